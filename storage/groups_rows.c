#include "storage/groups_rows.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/num.h"
#include "storage/groups_file.h"

enum { MILLI = 1000 };

/* ---- out ---- */

struct listing {
    struct groups *groups;
    struct groups_names names;
    struct groups_table *table;
    enum level level;
    int64_t from_ms, until_ms;
    groups_row_fn *each;
    void *self;
    bool ended;
};

static void list_row(struct listing *l, const struct groups_name *name, int64_t first_ms,
                     const struct groups_sum *sum)
{
    struct groups_row row = {
        .level = l->level,
        .first_ms = first_ms,
        .label = sv_from(name->label),
        .value = sv_from(name->value),
        .covered_ms = sum->covered_ms,
        .most_paid_milli = max_i64(sum->most_paid_milli, groups_mean_milli(sum, GROUP_PAID)),
        .most_nodes_milli = max_i64(sum->most_nodes_milli, groups_mean_milli(sum, GROUP_NODES))};

    for (int k = 0; k < GROUP_FIELD_COUNT_; k++)
        row.mean_milli[k] = groups_mean_milli(sum, (enum group_field)k);
    l->ended = !l->each(l->self, &row);
}

static bool list_chunk(void *self, const struct pack *pack)
{
    struct listing *l = self;
    int64_t step_ms = level_step_ms(l->level);

    if (!groups_table_unpack(pack->data, step_ms, l->table)) {
        l->groups->damaged++;
        return true;
    }
    for (size_t i = 0; i < l->table->rows; i++) {
        int64_t first_ms = pack->first_ms + l->table->step[i] * step_ms;

        if (first_ms + step_ms <= l->from_ms || first_ms >= l->until_ms)
            continue;
        for (size_t n = 0; n < l->names.n && !l->ended; n++) {
            size_t k = 0;

            while (k < l->table->n && l->table->id[k] != l->names.at[n].id)
                k++;
            if (k < l->table->n && groups_table_at(l->table, i, k)->covered_ms > 0)
                list_row(l, &l->names.at[n], first_ms, groups_table_at(l->table, i, k));
        }
    }
    return !l->ended;
}

/* A sample's groups in the order of their names. */
static bool list_sample(void *self, int64_t t_ms, int64_t hold_ms, struct sv data)
{
    struct listing *l = self;
    int64_t id, milli[GROUP_FIELD_COUNT_];

    for (size_t n = 0; n < l->names.n; n++)
        l->names.at[n].sum = (struct groups_sum){0};
    while (groups_file_next_group(&data, &id, milli)) {
        struct groups_name *name = groups_names_find(&l->names, id);

        if (name != NULL)
            groups_sum_add(&name->sum, milli, hold_ms);
    }
    for (size_t n = 0; n < l->names.n && !l->ended; n++) {
        if (l->names.at[n].sum.covered_ms > 0)
            list_row(l, &l->names.at[n], t_ms, &l->names.at[n].sum);
    }
    return !l->ended;
}

bool groups_rows(struct groups *g, struct sv policy, enum level level, int64_t from_ms,
                 int64_t until_ms, groups_row_fn *each, void *self, struct err *err)
{
    struct listing l = {.groups = g,
                        .level = level,
                        .from_ms = from_ms,
                        .until_ms = until_ms,
                        .each = each,
                        .self = self};
    int64_t id;
    bool ok = samples_find_policy(g->samples, policy, &id, err) &&
              (id == 0 || groups_names_read(g, id, &l.names, err));

    if (ok && id != 0) {
        l.table = xmalloc(sizeof *l.table);
        ok = level == LEVEL_SAMPLES
                 ? groups_file_rows(g, id, from_ms, until_ms, list_sample, &l, err)
                 : packs_each(g->packs, id, level, from_ms, until_ms, list_chunk, &l, err);
        free(l.table);
    }
    groups_names_done(&l.names);
    return ok;
}

/* ---- in ---- */

static void sum_from(const struct groups_row *row, struct groups_sum *to)
{
    *to = (struct groups_sum){.covered_ms = row->covered_ms,
                              .most_paid_milli = row->most_paid_milli,
                              .most_nodes_milli = row->most_nodes_milli};
    for (int k = 0; k < GROUP_FIELD_COUNT_; k++)
        to->area[k] = (__int128)row->mean_milli[k] * row->covered_ms;
}

static bool same_sum(const struct groups_sum *a, const struct groups_sum *b)
{
    for (int k = 0; k < GROUP_FIELD_COUNT_; k++) {
        if (a->area[k] != b->area[k])
            return false;
    }
    return a->covered_ms == b->covered_ms && a->most_paid_milli == b->most_paid_milli &&
           a->most_nodes_milli == b->most_nodes_milli;
}

static bool refuse_row(struct sv policy, const struct groups_row *row, struct err *err)
{
    char text[WALL_TEXT_SIZE];

    wall_format((struct wall){row->first_ms * US_PER_MS}, 3, text);
    return err_set(err, ERR_CONFLICT, 0,
                   "the history has other figures of %.*s for the group %.*s at %s: --replace "
                   "takes these in their place",
                   SV_ARG(policy), SV_ARG(row->value), text);
}

static bool refuse_more(struct sv policy, const struct groups_row *row, int most, const char *where,
                        struct err *err)
{
    return err_set(err, ERR_LIMIT, 0,
                   "group: found %.*s beside %d others of %.*s, expected at most %d %s",
                   SV_ARG(row->value), most, SV_ARG(policy), most, where);
}

/* What is told apart in the rows stays apart: there is no other group for what is too much. */
static bool find_place(struct groups *g, int64_t id, struct sv policy, const struct groups_row *row,
                       int64_t *ret_group, struct err *err)
{
    return groups_file_number(g, id, row->label, row->value, ret_group, err) &&
           (*ret_group != 0 || refuse_more(policy, row, GROUPS_KNOWN, "in the history", err));
}

/* Puts a sum where another may be. *ret_new: something has changed. */
static bool put_sum(struct sv policy, const struct groups_row *row, bool replace,
                    struct groups_sum *to, struct groups_put_counts *counts, bool *ret_new,
                    struct err *err)
{
    struct groups_sum sum;

    sum_from(row, &sum);
    if (to->covered_ms != 0 && same_sum(to, &sum)) {
        counts->there++;
        return true;
    }
    if (to->covered_ms != 0 && !replace)
        return refuse_row(policy, row, err);
    counts->replaced += to->covered_ms != 0;
    counts->added += to->covered_ms == 0;
    *to = sum;
    *ret_new = true;
    return true;
}

static bool put_figures(struct groups *g, int64_t id, struct sv policy,
                        const struct groups_row *rows, size_t n, bool replace,
                        struct groups_put_counts *counts, struct groups_table *t, struct err *err)
{
    enum level level = rows[0].level;
    int64_t chunk_ms = packs_floor(rows[0].first_ms, level_span_ms(level)), group;
    bool some = false, damaged;

    if (!groups_file_load(g, id, level, chunk_ms, t, &damaged, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t row = groups_table_row(t, (rows[i].first_ms - chunk_ms) / level_step_ms(level));
        size_t place;

        if (row == GROUPS_TABLE_ROWS || !find_place(g, id, policy, &rows[i], &group, err))
            return false;
        place = groups_table_group(t, group);
        if (place == GROUPS_TABLE_MAX)
            return refuse_more(policy, &rows[i], GROUPS_TABLE_MAX, "at that time", err);
        t->covered[row] = max_i64(t->covered[row], rows[i].covered_ms);
        if (!put_sum(policy, &rows[i], replace, groups_table_at(t, row, place), counts, &some, err))
            return false;
    }
    return !some || groups_file_store(g, id, level, chunk_ms, t, err);
}

/* What one sample says, group by group, as it stands in its row. */
struct moment {
    int64_t id[GROUPS_TABLE_MAX];
    struct groups_sum at[GROUPS_TABLE_MAX];
    size_t n;
};

static struct groups_sum *in_moment(struct moment *m, int64_t id)
{
    size_t i = 0;

    while (i < m->n && m->id[i] != id)
        i++;
    if (i == GROUPS_TABLE_MAX)
        return NULL;
    m->n += i == m->n;
    m->id[i] = id;
    return &m->at[i];
}

static bool take_moment(void *self, int64_t t_ms UNUSED, int64_t hold_ms, struct sv data)
{
    int64_t id, milli[GROUP_FIELD_COUNT_];

    while (groups_file_next_group(&data, &id, milli)) {
        struct groups_sum *sum = in_moment(self, id);

        if (sum != NULL)
            groups_sum_add(sum, milli, hold_ms);
    }
    return true;
}

static bool load_moment(struct groups *g, int64_t policy, int64_t t_ms, struct moment *to,
                        struct err *err)
{
    return groups_file_rows(g, policy, t_ms, t_ms + 1, take_moment, to, err);
}

/* Its groups share one hold. */
static bool store_moment(struct groups *g, int64_t policy, int64_t t_ms, int64_t hold_ms,
                         const struct moment *m, struct err *err)
{
    struct strbuf data;
    bool ok;

    strbuf_init(&data, GROUPS_FILE_MAX_ROW);
    for (size_t i = 0; i < m->n; i++) {
        int64_t at[GROUP_FIELD_COUNT_];

        for (int k = 0; k < GROUP_FIELD_COUNT_; k++)
            at[k] = groups_mean_milli(&m->at[i], (enum group_field)k) /
                    (k == GROUP_NODES || k == GROUP_FIT ? MILLI : 1);
        groups_file_put_group(&data, m->id[i], at);
    }
    ok = groups_file_put(g, policy, t_ms, hold_ms, strbuf_sv(&data), err);
    strbuf_done(&data);
    return ok;
}

static bool put_sample(struct groups *g, int64_t id, struct sv policy,
                       const struct groups_row *rows, size_t n, bool replace,
                       struct groups_put_counts *counts, struct err *err)
{
    struct moment m = {0};
    bool some = false;
    int64_t group, covered_ms = rows[0].covered_ms;

    if (!load_moment(g, id, rows[0].first_ms, &m, err))
        return false;
    if (m.n != 0 && m.at[0].covered_ms != covered_ms && !replace)
        return refuse_row(policy, &rows[0], err);
    for (size_t i = 0; i < n; i++) {
        struct groups_sum *to;

        if (!find_place(g, id, policy, &rows[i], &group, err))
            return false;
        if (rows[i].covered_ms != covered_ms)
            return err_set(
                err, ERR_INPUT, 0,
                "covered_ms: found %lld, expected the %lld ms of the moment's first group",
                (long long)rows[i].covered_ms, (long long)covered_ms);
        to = in_moment(&m, group);
        if (to == NULL)
            return refuse_more(policy, &rows[i], GROUPS_TABLE_MAX, "at that time", err);
        if (!put_sum(policy, &rows[i], replace, to, counts, &some, err))
            return false;
    }
    return !some || store_moment(g, id, rows[0].first_ms, covered_ms, &m, err);
}

bool groups_put(struct groups *g, struct sv policy, const struct groups_row *rows, size_t n,
                bool replace, struct groups_put_counts *counts, struct err *err)
{
    CLEANUP(free_ptr) struct groups_table *t = xmalloc(sizeof *t);
    int64_t id;

    return samples_policy(g->samples, policy, &id, err) &&
           (rows[0].level == LEVEL_SAMPLES
                ? put_sample(g, id, policy, rows, n, replace, counts, err)
                : put_figures(g, id, policy, rows, n, replace, counts, t, err));
}
