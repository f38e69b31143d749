/*
 * samples: what one policy's world looked like, every 10 s and at each decision.
 *
 * A sample holds from its time on, until the next one comes or, if none comes, for SAMPLES_HOLD_MS; what lies beyond is a gap. A sample that
 * stands for several (sample_merge()) holds the longer.
 */
#ifndef BRIM_STORAGE_SAMPLES_H
#define BRIM_STORAGE_SAMPLES_H

#include "storage/db.h"

enum {
    SAMPLES_POLICY_SIZE = 256, /* bytes of a policy's name with its NUL */
    SAMPLES_STEP_MS = 10000,
    SAMPLES_HOLD_MS = 3 * SAMPLES_STEP_MS,
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
    SAMPLE_COUNT_,
};
/* A value that nobody knows: a gap of one field alone. */
#define SAMPLE_UNKNOWN INT64_MIN

/* As the column is called: "allocatable", … */
const char *sample_field_name(enum sample_field field);

struct sample {
    char policy[SAMPLES_POLICY_SIZE];
    int64_t t_ms;
    int64_t merged; /* how many further samples it stands for */
    int64_t at[SAMPLE_COUNT_];
};

/*
 * Takes a later sample of the same policy into `into`: amounts become the mean of all, pods and counts the newest, the time stays
 * the oldest, so that the sums of a report stay right.
 */
void sample_merge(struct sample *into, const struct sample *later);

/* How long it holds if no other comes, in ms. */
int64_t sample_hold_ms(const struct sample *s);

/* Rows of one open history; borrows the db. */
struct samples;

bool samples_open(struct db *db, struct samples **ret_samples, struct err *err) MUST_CHECK;
void samples_close(struct samples *s);

/* Two of one policy at the same millisecond: the later call wins. */
bool samples_add(struct samples *s, const struct sample *sample, struct err *err) MUST_CHECK;

/* The number that stands for a policy's name in the tables; made if it has none. */
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

#endif
