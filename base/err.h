/*
 * err: what went wrong, for callers (kind, code) and for people (text).
 *
 * A function that can fail returns bool, true for success, is marked MUST_CHECK and takes `struct
 * err *err` last; NULL is allowed and means that nobody wants to know. The struct lives on the
 * caller's stack and never allocates; a text that is too long is cut between two characters and
 * then ends in "…". Each layer puts its context in front:
 * `policy night.yaml: 12:5: reserve: 140% is above 100%`.
 */
#ifndef BRIM_BASE_ERR_H
#define BRIM_BASE_ERR_H

#include <stdbool.h>

#include "base/attr.h"

enum err_kind {
    ERR_NONE,
    ERR_INPUT, /* what somebody wrote or sent is wrong; the text says where, what was found, what
                  was expected */
    ERR_NOT_FOUND, /* the thing asked for does not exist (HTTP 404) */
    ERR_CONFLICT,  /* somebody else was faster (409), or a test in a patch failed (422) */
    ERR_GONE,      /* history is no longer there: list again (410) */
    ERR_AUTH,      /* credentials are missing or refused (401) */
    ERR_FORBIDDEN, /* known, but not allowed (403) */
    ERR_THROTTLED, /* asked to wait (429), code = HTTP status */
    ERR_NETWORK,   /* could not reach, cut off, timed out */
    ERR_SERVER,    /* the other side failed (5xx) */
    ERR_PROTOCOL,  /* the other side said what cannot be understood */
    ERR_LIMIT,     /* a named limit was reached */
    ERR_STORAGE,   /* the database */
    ERR_SYSTEM,    /* the operating system refused; code = errno */
    ERR_KIND_COUNT_,
};

struct err {
    enum err_kind kind;
    int code;
    char text[240];
};

/* The kind's name, as logs and JSON show it. */
const char *err_kind_name(enum err_kind kind);

/* Fills err, if there is one. Always returns false, so that `return err_set(...)` reads well. */
bool err_set(struct err *err, enum err_kind kind, int code, const char *fmt, ...) PRINTF(4, 5);

/* Puts context and ": " in front of the text. Always returns false. */
bool err_wrap(struct err *err, const char *fmt, ...) PRINTF(2, 3);

#endif
