/*
 * truth: what the replica that leads has decided, as it tells the others, so that all of them say the same. Pure: a JSON text
 * out of a snapshot, and back onto one.
 *
 * What the leader decides is told: the count it wants and how it came to it, the reason, the conditions, the headroom and what
 * was learned for it, and the count that a target had before brim first wrote. What each replica counts by itself (room, pods,
 * what the target asks for) is not.
 *
 * Versions may be mixed: members that are not known are passed over, those that are absent leave what is there. A member of
 * the wrong kind is an error, and nothing of that text counts.
 */
#ifndef BRIM_AGENT_TRUTH_H
#define BRIM_AGENT_TRUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/snapshot.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "capacity/records.h"

/* Of the text. What does not fit is left out by whole policies, the last by name first. */
enum { TRUTH_MAX = 192 << 10, TRUTH_MAX_FILLERS = 64 };
enum { TRUTH_FIGURES = 14, TRUTH_CONDITIONS = 5 };

struct truth_found {
    struct uid uid; /* of the target; zero: it was not written yet */
    int64_t replicas;
};

struct truth_filler {
    char policy[SNAPSHOT_NAME_SIZE];
    struct truth_found found;
    uint32_t given; /* which of the figures, by bits */
    int64_t figure[TRUTH_FIGURES];
    bool has_reason, has_bound, has_kind, capped, has_wake;
    enum reason reason;
    enum bound bound;
    enum headroom_kind kind;
    int64_t values; /* rises that the need was learned from */
    struct wall wake;
    char detail[SNAPSHOT_TEXT_SIZE];
    struct snapshot_condition condition[TRUTH_CONDITIONS]; /* reason "": not told */
};

struct truth {
    char identity[SNAPSHOT_NAME_SIZE]; /* who tells */
    char url[SNAPSHOT_NAME_SIZE];      /* where people reach it; "": nowhere */
    int64_t left_out;                  /* policies that did not fit */
    size_t n;
    struct truth_filler filler[];
};

struct truth_teller {
    const char *url; /* NULL: none */
    struct wall now; /* so that a text that is written again differs */
    /* The count that was found; NULL is allowed. */
    void (*found)(void *self, const char *policy, struct truth_found *ret_found);
    void *self;
};

/* Appends the text; `s` is of the replica that leads. O(policies). */
void truth_write(const struct snapshot *s, const struct truth_teller *teller, struct strbuf *out);

/* Reads such a text; to be freed. NULL: ERR_LIMIT where it is longer than TRUTH_MAX or has too many policies, else ERR_PROTOCOL. */
struct truth *truth_read(struct sv text, struct err *err) MUST_CHECK;

/* What is told of a policy; NULL: nothing. */
const struct truth_filler *truth_find(const struct truth *t, struct sv policy);

/* What the headroom needs by what was learned, and from how many rises; false: that is not told. NULL is allowed. */
bool truth_learned(const struct truth_filler *told, int64_t *ret_need_milli, int64_t *ret_values);

/* Puts what is told in the place of what the snapshot's own replica would decide. */
void truth_apply(const struct truth_filler *told, struct snapshot_filler *f);
/* The same where nothing is told: of the leader nothing was heard yet, or not for `old_us`. */
void truth_apply_nothing(struct snapshot_filler *f);
void truth_apply_old(struct snapshot_filler *f, int64_t old_us);

/* An address for people, as --advertise takes it: http:// or https://, a host, maybe a port and a path; no more. */
bool truth_is_url(struct sv url);

#endif
