/*
 * groups_file: what the file holds of groups: their names and the numbers that stand for these, the samples of the running hour, one
 * row each, and the chunks of what is packed. Internal to groups.c, groups_read.c and groups_rows.c.
 */
#ifndef BRIM_STORAGE_GROUPS_FILE_H
#define BRIM_STORAGE_GROUPS_FILE_H

#include "storage/groups.h"
#include "storage/groups_table.h"

enum {
    GROUPS_FILE_MAX_ROW = 64 << 10, /* bytes of a sample */
    GROUPS_FILE_STATEMENTS = 9,
};

struct groups {
    struct db_stmt *stmt[GROUPS_FILE_STATEMENTS];
    struct samples *samples;
    struct packs *packs;
    int64_t damaged;
};

/* ---- names ---- */

/* A group's number, which is made where there is none; 0 where there is no place for a further one. */
bool groups_file_number(struct groups *g, int64_t policy, struct sv label, struct sv value,
                        int64_t *ret_id, struct err *err) MUST_CHECK;

/* Likewise, but of one for which there is no place that of GROUPS_OTHER of its label. */
bool groups_file_number_or_other(struct groups *g, int64_t policy, struct sv label, struct sv value,
                                 int64_t *ret_id, struct err *err) MUST_CHECK;
/* All groups of a policy, in the order in which they are told. */
struct groups_names {
    struct groups_name {
        int64_t id;
        int64_t other; /* the number of GROUPS_OTHER of its label; 0: there is none */
        char *label, *value;
        struct groups_sum sum;
    } * at;
    size_t n, cap;
    struct groups_name **by_id;
};

bool groups_names_read(struct groups *g, int64_t policy, struct groups_names *to,
                       struct err *err) MUST_CHECK;
void groups_names_done(struct groups_names *names);
/* NULL: the file names no such group. O(log names). */
struct groups_name *groups_names_find(const struct groups_names *names, int64_t id);

/* ---- samples that are not packed ---- */

/* One group more into a row's data: amounts as in groups_sample. */
void groups_file_put_group(struct strbuf *data, int64_t id, const int64_t at[GROUP_FIELD_COUNT_]);
/* A row's next group, in thousandths; false at its end, or where it is damaged: then there is more of it. */
bool groups_file_next_group(struct sv *data, int64_t *ret_id, int64_t milli[GROUP_FIELD_COUNT_]);

/* Takes the place of the one at that time. */
bool groups_file_put(struct groups *g, int64_t policy, int64_t t_ms, int64_t hold_ms,
                     struct sv data, struct err *err) MUST_CHECK;
bool groups_file_drop(struct groups *g, int64_t policy, int64_t from_ms, int64_t until_ms,
                      struct err *err) MUST_CHECK;

/* Those with from <= t < until, by time; `each` returns false to end, and may not ask for others. */
typedef bool groups_file_row_fn(void *self, int64_t t_ms, int64_t hold_ms, struct sv data);
bool groups_file_rows(struct groups *g, int64_t policy, int64_t from_ms, int64_t until_ms,
                      groups_file_row_fn *each, void *self, struct err *err) MUST_CHECK;

/* Those with first <= t < before, as far as they hold in from <= t < until: until the next one at most. */
struct groups_reach {
    int64_t first_ms, before_ms, from_ms, until_ms;
};
typedef void groups_file_span_fn(void *self, struct sv data, int64_t from_ms, int64_t until_ms);
bool groups_file_spans(struct groups *g, int64_t policy, const struct groups_reach *in,
                       groups_file_span_fn *each, void *self, struct err *err) MUST_CHECK;

/* The time of the first one at or after t; INT64_MAX where there is none. */
bool groups_file_next_at(struct groups *g, int64_t policy, int64_t t_ms, int64_t *ret_t_ms,
                         struct err *err) MUST_CHECK;

/* ---- chunks ---- */

/* The chunk at first_ms; empty where there is none, and where it is damaged, which is counted. */
bool groups_file_load(struct groups *g, int64_t policy, enum level level, int64_t first_ms,
                      struct groups_table *to, bool *ret_damaged, struct err *err) MUST_CHECK;
/* Takes its place; of no rows it stays as it is. */
bool groups_file_store(struct groups *g, int64_t policy, enum level level, int64_t first_ms,
                       const struct groups_table *t, struct err *err) MUST_CHECK;

#endif
