/*
 * json_read: picks single values out of a small JSON answer, without a tree. Whatever the text,
 * nothing is read outside it.
 *
 * A path names members, dot by dot: "cpu.paid_milli"; "" is the value itself. Each call walks the
 * text again: O(length).
 */
#ifndef BRIM_AGENT_JSON_READ_H
#define BRIM_AGENT_JSON_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "base/sv.h"

/* The value's own text; empty where there is none. null is a value. */
struct sv json_at(struct sv json, const char *path);

/* False where it is absent, null or no whole number. */
bool json_i64(struct sv json, const char *path, int64_t *ret_value);
bool json_true(struct sv json, const char *path);

/* Adds the string, its escapes undone; false, and nothing added, where it is absent, null or no
 * string. */
bool json_text(struct sv json, const char *path, struct strbuf *out);

/* The elements of a list one by one: *rest is the list's text at first. */
bool json_next(struct sv *rest, struct sv *ret_item);

/* The members of an object one by one: *rest is the object's text at first; *ret_key has its
 * quotes. */
bool json_next_member(struct sv *rest, struct sv *ret_key, struct sv *ret_value);

#endif
