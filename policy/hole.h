/*
 * hole: how large the pieces must be in which room is kept free, learned from what paid pods ask
 * for.
 *
 * z = ceil(95th percentile of the cpu requests of the last 400 paid pods / c), at least 1, in slots
 * of c (docs/CONTROL.md 6). The percentile is by nearest rank: the least request that at least 95 %
 * of them do not exceed. Pods that are larger than any node count not: a piece of their size is no
 * use to anybody, wherever it lies. They are left out when the percentile is asked for, since nodes
 * come and go. A plain value that owns nothing; all zero is an empty one, the pods found
 * at start are added like any.
 */
#ifndef BRIM_POLICY_HOLE_H
#define BRIM_POLICY_HOLE_H

#include <stddef.h>
#include <stdint.h>

enum { HOLE_SIZES = 400, HOLE_PERCENTILE = 95 };

struct hole {
    int64_t ring[HOLE_SIZES]; /* cpu requests in milli, as they came; next is overwritten first once
                                 full */
    int64_t sorted[HOLE_SIZES]; /* the same, rising */
    size_t len, next;
};

/* A paid pod arrived. Below 0 counts as 0. O(HOLE_SIZES). */
void hole_add(struct hole *h, int64_t cpu_milli);

/*
 * z by a percentile (1 to 100) of those of the last `sizes` pods (1 to HOLE_SIZES) that ask for
 * `largest_milli`, the cpu of the largest node, at most. 1 while no such pod is known, and where the
 * filler's request is 0. O(pods that ask for more); O(sizes log sizes) where fewer count than are
 * known.
 */
int64_t hole_slots(const struct hole *h, int64_t slot_milli, int64_t largest_milli, size_t sizes,
                   int percentile);

#endif
