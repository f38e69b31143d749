/*
 * rises: the last values of something, and the value that only a given share of them exceeds.
 *
 * Kept twice: as they came, and sorted, so that a quantile is a look-up and an addition two moves
 * within an array of at most RISES_MAX. Owns both.
 */
#ifndef BRIM_POLICY_RISES_H
#define BRIM_POLICY_RISES_H

#include <stddef.h>
#include <stdint.h>

enum { RISES_MAX = 20000 };

struct rises {
    int64_t *ring;   /* as they came; `next` is overwritten first once len is max */
    int64_t *sorted; /* the same, rising */
    size_t len, next, max;
};

/* Keeps the last `max`, from 1 to RISES_MAX. */
void rises_init(struct rises *r, size_t max);
void rises_done(struct rises *r);

/* Another number of values from now on; the oldest go. O(max). */
void rises_set_max(struct rises *r, size_t max);

void rises_add(struct rises *r, int64_t value);

/*
 * The (floor(share k) + 1)-th largest of the k values: at most floor(share k) of them exceed it.
 * The share in millionths; from one million on it is the least value. 0 without values. O(1).
 */
int64_t rises_need(const struct rises *r, int32_t share_ppm);

#endif
