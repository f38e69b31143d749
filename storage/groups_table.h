/*
 * groups_table: the figures of all groups of a policy in one chunk, out of its bytes and into them. Internal as groups_file.h. Pure.
 *
 * In a chunk (codec.h) a row is a minute, hour or day; columns:
 *     0: how many steps after the chunk's first time the row begins      1: ms that were recorded
 *     16 + 8 * group + kind, where kind is 0: ms that were recorded, but without the group     1 + enum group_field: mean
 *                                         6: most that paid pods held - mean    7: most nodes - mean
 * all in thousandths. A column that is 0 in all rows is left out, but for the mean of nodes: it says that the group is there.
 */
#ifndef BRIM_STORAGE_GROUPS_TABLE_H
#define BRIM_STORAGE_GROUPS_TABLE_H

#include "base/strbuf.h"
#include "storage/groups.h"

enum { GROUPS_TABLE_ROWS = 64, GROUPS_TABLE_MAX = 60 };

struct groups_table {
    size_t rows, n;
    int64_t step[GROUPS_TABLE_ROWS]; /* rising */
    int64_t covered[GROUPS_TABLE_ROWS];
    int64_t id[GROUPS_TABLE_MAX]; /* of groups, in any order */
    struct groups_sum at[GROUPS_TABLE_ROWS * GROUPS_TABLE_MAX];
};

static inline struct groups_sum *groups_table_at(struct groups_table *t, size_t row, size_t group)
{
    return &t->at[row * GROUPS_TABLE_MAX + group];
}

/* An amount that held for so long. */
void groups_sum_add(struct groups_sum *sum, const int64_t milli[GROUP_FIELD_COUNT_], int64_t ms);
/* Another time of the same group, or `part` of `whole` of it. */
void groups_sum_join(struct groups_sum *to, const struct groups_sum *from, int64_t part,
                     int64_t whole);
/* Another group at the same time. */
void groups_sum_beside(struct groups_sum *to, const struct groups_sum *from);

/* The place of a row, which is made where there is none; GROUPS_TABLE_ROWS: no more go in. */
size_t groups_table_row(struct groups_table *t, int64_t step);
/* Likewise of a group; GROUPS_TABLE_MAX. */
size_t groups_table_group(struct groups_table *t, int64_t id);

/* Another group's figures count with those of `to`, and its place is free: that of the last one is there now. */
void groups_table_join(struct groups_table *t, size_t group, size_t to);

/* At least one row. */
void groups_table_pack(const struct groups_table *t, struct strbuf *out);
/* Of a chunk of rows of step_ms. False where it is damaged; then the table means nothing. */
bool groups_table_unpack(struct sv data, int64_t step_ms, struct groups_table *t) MUST_CHECK;

#endif
