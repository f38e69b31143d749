/*
 * groups_read: what groups of nodes (groups.h) came to in any range of time, for a report.
 */
#ifndef BRIM_STORAGE_GROUPS_READ_H
#define BRIM_STORAGE_GROUPS_READ_H

#include "storage/groups.h"

struct groups_total {
    struct sv label, value;
    struct groups_sum sum;
};

/* What could not be read. */
struct groups_damage {
    int64_t parts;
    int64_t missing_ms; /* of which nothing else tells */
};

/*
 * What each group of the policy came to from <= t < until, by label and value; those of no value come last. Days, hours and minutes that
 * lie in the range count as they are; of a minute that an edge cuts, or a longer time of which nothing finer is left, a share. In the place
 * of a chunk that is damaged stand finer ones, else a share of a coarser one that an edge cuts. A policy that nobody knows has none.
 */
typedef void groups_each_fn(void *self, const struct groups_total *total);
bool groups_read(struct groups *g, struct sv policy, int64_t from_ms, int64_t until_ms,
                 groups_each_fn *each, void *self, struct groups_damage *ret_damage,
                 struct err *err) MUST_CHECK;

#endif
