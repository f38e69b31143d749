/*
 * decisions: the journal of what the controller decided, why, and on which facts.
 *
 * Reasons and bounds are kept by their names, so that a history stays readable when the controller learns new ones. Ids rise over
 * restarts; a jump means that decisions were lost (a gap says so).
 */
#ifndef BRIM_STORAGE_DECISIONS_H
#define BRIM_STORAGE_DECISIONS_H

#include "storage/samples.h"

enum { DECISIONS_WORD_SIZE = 32, DECISIONS_DETAIL_SIZE = 256 };

/* Numbers of a decision: what came out, then what went in. */
enum decision_field {
    DECISION_BEFORE, /* replicas found */
    DECISION_REPLICAS,
    DECISION_SET_POINT,
    DECISION_DAMPED,
    DECISION_SLOTS,
    DECISION_KEPT_SLOTS,
    DECISION_SLOT, /* milli-cores of one filler pod */
    DECISION_HOLE_SLOTS,
    DECISION_ALLOCATABLE, /* milli-cores, as all that follow */
    DECISION_PAID,
    DECISION_PENDING,
    DECISION_RESERVE,
    DECISION_HEADROOM,
    DECISION_LATENCY, /* us from when a paid pod was known to be unschedulable to the write that answers it; 0: answers none */
    DECISION_COUNT_,
};
const char *decision_field_name(enum decision_field field);

struct decision_entry {
    uint64_t id;
    int64_t t_ms;
    char policy[SAMPLES_POLICY_SIZE];
    char reason[DECISIONS_WORD_SIZE];
    char bound[DECISIONS_WORD_SIZE];
    char detail[DECISIONS_DETAIL_SIZE];
    int64_t at[DECISION_COUNT_];
};

/* Which decisions are wanted; a zeroed filter takes all. */
struct decisions_filter {
    struct sv policy, reason;  /* empty: any */
    int64_t from_ms, until_ms; /* from <= t < until; until 0: no end */
    uint64_t before;           /* ids below; 0: any */
    bool oldest_first;
};

struct decisions;

/* Borrows both. */
bool decisions_open(struct db *db, struct samples *policies, struct decisions **ret_decisions,
                    struct err *err) MUST_CHECK;
void decisions_close(struct decisions *d);

/* An id that is taken is an error: it would be another decision. */
bool decisions_add(struct decisions *d, const struct decision_entry *entry,
                   struct err *err) MUST_CHECK;

/* Newest first, unless the filter says otherwise; `each` returns false to end. */
typedef bool decisions_each_fn(void *self, const struct decision_entry *entry);
bool decisions_each(struct decisions *d, const struct decisions_filter *filter,
                    decisions_each_fn *each, void *self, struct err *err) MUST_CHECK;

/* The decision with an id; *ret_there false where there is none. And drops it. */
bool decisions_find(struct decisions *d, uint64_t id, struct decision_entry *ret_entry,
                    bool *ret_there, struct err *err) MUST_CHECK;
bool decisions_drop(struct decisions *d, uint64_t id, struct err *err) MUST_CHECK;

/* The highest id; 0: there is none. */
bool decisions_last_id(struct decisions *d, uint64_t *ret_id, struct err *err) MUST_CHECK;

bool decisions_forget(struct decisions *d, int64_t before_ms, struct err *err) MUST_CHECK;

#endif
