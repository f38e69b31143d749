/*
 * samples: what one policy's world looked like, every 10 s and at each decision.
 *
 * The newest are rows of a table, so that each commit keeps what it was given. Once their hour has passed they are packed into one
 * chunk (codec.h), a byte a value or less; readers do not see the difference.
 *
 * A sample holds from its time on, until the next one comes or, if none comes, for SAMPLES_HOLD_MS; what lies beyond is a gap. A sample that
 * stands for several (sample_merge()) holds the longer.
 */
#ifndef BRIM_STORAGE_SAMPLES_H
#define BRIM_STORAGE_SAMPLES_H

#include "storage/db.h"
#include "storage/packs.h"

enum {
    SAMPLES_POLICY_SIZE = 256, /* bytes of a policy's name with its NUL */
    SAMPLES_STEP_MS = 10000,
    SAMPLES_HOLD_MS = 3 * SAMPLES_STEP_MS,
    SAMPLES_NODE_CLASSES = 9,
};

enum sample_field {
    SAMPLE_ALLOCATABLE, /* milli-cores, as all up to KEPT */
    SAMPLE_PAID,
    SAMPLE_PENDING,
    SAMPLE_READY, /* filler */
    SAMPLE_STARTING,
    SAMPLE_LEAVING,
    SAMPLE_REMAINING,
    SAMPLE_RESERVE,
    SAMPLE_HEADROOM,
    SAMPLE_KEPT,      /* what reserve and headroom come to in whole holes */
    SAMPLE_SET_POINT, /* replicas, as the next two */
    SAMPLE_DAMPED,    /* N */
    SAMPLE_REPLICAS,
    SAMPLE_WAITING, /* paid pods that have a claim */
    /*
     * The nodes that may take the filler, whatever their number: the extremes, and how many nodes have so much room beside paid pods
     * and claims, or so many filler pods that fit there. Class 0 has none; class i of room has more than (i - 1)/8 of what the node
     * offers and at most i/8; class i of fits has from 2^(i - 1) to 2^i - 1 of them, the last class any number above.
     */
    SAMPLE_NODES,
    SAMPLE_NODE_FREE_MIN, /* milli-cores */
    SAMPLE_NODE_FREE_MAX,
    SAMPLE_NODE_FIT_MIN,
    SAMPLE_NODE_FIT_MAX,
    SAMPLE_NODE_FREE, /* class 0, the others follow; nodes */
    SAMPLE_NODE_FIT = SAMPLE_NODE_FREE + SAMPLES_NODE_CLASSES,
    SAMPLE_COUNT_ = SAMPLE_NODE_FIT + SAMPLES_NODE_CLASSES,
};
/* A value that nobody knows: a gap of one field alone. */
#define SAMPLE_UNKNOWN INT64_MIN

/* "allocatable", … as the table's columns, where they have one, are called. Files hold the numbers (codec.h's ids). */
const char *sample_field_name(enum sample_field field);

struct sample {
    char policy[SAMPLES_POLICY_SIZE];
    int64_t t_ms;
    int64_t merged; /* how many further samples it stands for */
    int64_t at[SAMPLE_COUNT_];
    /* Of one that stands for others: what the amounts' sums are above so many times their rounded means. Not in files. */
    int64_t rest[SAMPLE_SET_POINT];
};

/* Counts one more node into the fields of nodes, which begin at 0. O(1). */
void sample_add_node(struct sample *s, int64_t allocatable_milli, int64_t free_milli, int64_t fit);

/*
 * Takes a later sample of the same policy into `into`: amounts become the mean of all, pods and counts the newest, the time stays
 * the oldest, so that the sums of a report stay right. Means are rounded once: some samples come to the same in whatever order
 * neighbours are merged.
 */
void sample_merge(struct sample *into, const struct sample *later);
/*
 * The mean of `mine` amounts that are `at` on average, with a rest as in struct sample, and of `theirs`: rounded, halves up. Beyond
 * 2^62 * (mine + theirs) it may be any.
 */
void sample_mean(int64_t *at, int64_t *rest, int64_t mine, int64_t their_at, int64_t their_rest,
                 int64_t theirs);

/* How long it holds if no other comes, in ms. */
int64_t sample_hold_ms(const struct sample *s);

/* Rows of one open history; borrows the db. */
struct samples;

bool samples_open(struct db *db, struct samples **ret_samples, struct err *err) MUST_CHECK;
void samples_close(struct samples *s);

/* Two of one policy at the same millisecond: the later call wins. */
bool samples_add(struct samples *s, const struct sample *sample, struct err *err) MUST_CHECK;

/* The number that stands for a policy's name in the tables: 0 where there is none; or made if it has none. */
bool samples_find_policy(struct samples *s, struct sv name, int64_t *ret_id,
                         struct err *err) MUST_CHECK;
bool samples_policy(struct samples *s, struct sv name, int64_t *ret_id, struct err *err) MUST_CHECK;

/* Calls `each` for every sample of the policy with from <= t < until, by time; it returns false to end. */
typedef bool samples_each_fn(void *self, const struct sample *sample);
bool samples_each(struct samples *s, struct sv policy, int64_t from_ms, int64_t until_ms,
                  samples_each_fn *each, void *self, struct err *err) MUST_CHECK;

/* The time of the policy's last sample at or before t_ms; INT64_MIN where there is none. */
bool samples_last_before(struct samples *s, struct sv policy, int64_t t_ms, int64_t *ret_t_ms,
                         struct err *err) MUST_CHECK;

/* The names of all policies, in order of their first appearance. */
bool samples_policies(struct samples *s, void (*each)(void *self, struct sv name), void *self,
                      struct err *err) MUST_CHECK;

/* The time of the newest sample of all; 0: none. And that of the oldest. */
bool samples_span(struct samples *s, int64_t *ret_first_ms, int64_t *ret_last_ms,
                  struct err *err) MUST_CHECK;

bool samples_forget(struct samples *s, int64_t before_ms, struct err *err) MUST_CHECK;

/*
 * Looks for an hour that can be packed: one that has rows of any policy and is not that of `now_ms`. INT64_MIN where there is none.
 */
bool samples_unpacked(struct samples *s, int64_t now_ms, int64_t *ret_policy, int64_t *ret_hour_ms,
                      struct err *err) MUST_CHECK;
/* Are there rows that are not packed, of from <= t < until? */
bool samples_has_rows(struct samples *s, int64_t policy, int64_t from_ms, int64_t until_ms,
                      bool *ret_has, struct err *err) MUST_CHECK;
/* The times of the first and the last row that is not packed; both INT64_MIN: there is none. O(log rows). */
bool samples_rows_span(struct samples *s, int64_t policy, int64_t *ret_first_ms,
                       int64_t *ret_last_ms, struct err *err) MUST_CHECK;
/*
 * Packs the rows of an hour together with what is packed of it already (a clock that was set back comes by twice). Of more than
 * CODEC_MAX_ROWS in one hour the last are dropped, and every second one of more than DB_MAX_VALUE bytes. Within the caller's transaction.
 */
bool samples_pack(struct samples *s, int64_t policy, int64_t hour_ms, struct err *err) MUST_CHECK;

/* Drops all samples of an hour, rows and packed ones. */
bool samples_drop_hour(struct samples *s, int64_t policy, int64_t hour_ms,
                       struct err *err) MUST_CHECK;

/* How many chunks could not be read until now: what was in them is missing. */
int64_t samples_damaged(const struct samples *s);

/* A policy's name by its number; false with ERR_STORAGE where there is none. */
bool samples_policy_name(struct samples *s, int64_t policy, char ret_name[SAMPLES_POLICY_SIZE],
                         struct err *err) MUST_CHECK;

#endif
