/*
 * groups_rows: figures and samples of groups of nodes (groups.h) row by row, out of a history and into one.
 */
#ifndef BRIM_STORAGE_GROUPS_ROWS_H
#define BRIM_STORAGE_GROUPS_ROWS_H

#include "storage/groups.h"

/* One row as it is kept: of a level (LEVEL_GROUP_…), or a sample that is not packed yet (LEVEL_SAMPLES), which holds for covered_ms. */
struct groups_row {
    enum level level;
    int64_t first_ms;
    struct sv label, value;
    int64_t covered_ms;
    int64_t mean_milli[GROUP_FIELD_COUNT_];
    int64_t most_paid_milli, most_nodes_milli;
};

/* Those of a level that touch from <= t < until, by time, label and value; `each` returns false to end. */
typedef bool groups_row_fn(void *self, const struct groups_row *row);
bool groups_rows(struct groups *g, struct sv policy, enum level level, int64_t from_ms,
                 int64_t until_ms, groups_row_fn *each, void *self, struct err *err) MUST_CHECK;

/* How rows found what was there. */
struct groups_put_counts {
    int64_t added, there, replaced;
};
/*
 * Puts rows of one policy that belong to one chunk (of LEVEL_SAMPLES: to one moment) where they belong. Groups that are there and in none
 * of the rows stay; those of a moment hold as long as the rows do, which must all hold the same: else ERR_INPUT. ERR_CONFLICT where
 * there is something else and it may not be replaced, ERR_LIMIT where there are too many groups. Within the caller's transaction.
 */
bool groups_put(struct groups *g, struct sv policy, const struct groups_row *rows, size_t n,
                bool replace, struct groups_put_counts *counts, struct err *err) MUST_CHECK;

#endif
