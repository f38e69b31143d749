#include "storage/groups_read.h"

#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "storage/groups_file.h"

enum { MAX_PARTS = 4 };

/* A time whose level tells of more than is asked for: at the two ends of a range. */
struct part {
    int64_t begin_ms, from_ms, until_ms;
    struct groups_table *whole; /* the chunk that it is in, on the heap */
    size_t row;
};

struct reading {
    struct groups *groups;
    int64_t policy;
    struct groups_names names;
    struct groups_table *table;
    enum level level;
    int64_t from_ms, until_ms;
    struct part parts[MAX_PARTS];
    size_t n_parts;
    struct err *err;
};

static void add_share(struct reading *r, struct groups_table *t, size_t row, int64_t part_ms,
                      int64_t whole_ms)
{
    for (size_t k = 0; k < t->n; k++) {
        const struct groups_sum *from = groups_table_at(t, row, k);
        struct groups_name *to =
            from->covered_ms != 0 ? groups_names_find(&r->names, t->id[k]) : NULL;

        if (to != NULL)
            groups_sum_join(&to->sum, from, part_ms, whole_ms);
    }
}

static void keep_part(struct reading *r, size_t row, int64_t begin_ms, int64_t from_ms,
                      int64_t until_ms)
{
    struct part *part;

    if (r->n_parts == MAX_PARTS)
        return;
    part = &r->parts[r->n_parts++];
    *part =
        (struct part){.begin_ms = begin_ms, .from_ms = from_ms, .until_ms = until_ms, .row = row};
    part->whole = xmalloc(sizeof *part->whole);
    *part->whole = *r->table;
}

static bool read_chunk(void *self, const struct pack *pack)
{
    struct reading *r = self;
    int64_t step_ms = level_step_ms(r->level);

    if (!groups_table_unpack(pack->data, step_ms, r->table)) {
        r->groups->damaged++;
        return true;
    }
    for (size_t i = 0; i < r->table->rows; i++) {
        int64_t begin_ms = pack->first_ms + r->table->step[i] * step_ms;
        int64_t from_ms = max_i64(r->from_ms, begin_ms);
        int64_t until_ms = min_i64(r->until_ms, begin_ms + step_ms);

        if (from_ms >= until_ms)
            continue;
        if (until_ms - from_ms < step_ms && r->level != LEVEL_GROUP_MINUTE)
            keep_part(r, i, begin_ms, from_ms, until_ms);
        else
            add_share(r, r->table, i, until_ms - from_ms, step_ms);
    }
    return true;
}

static bool read_level(struct reading *r, enum level level, int64_t from_ms, int64_t until_ms);

/* From the finer chunk of that time; where it is gone, a share of what is told of the whole. */
static bool read_part(struct reading *r, const struct part *part, enum level level)
{
    enum level finer = (enum level)(level - 1);
    bool has;

    if (!packs_has(r->groups->packs, r->policy, finer, part->begin_ms, &has, r->err))
        return false;
    if (has)
        return read_level(r, finer, part->from_ms, part->until_ms);
    add_share(r, part->whole, part->row, part->until_ms - part->from_ms, level_step_ms(level));
    return true;
}

static bool read_level(struct reading *r, enum level level, int64_t from_ms, int64_t until_ms)
{
    struct part parts[MAX_PARTS];
    size_t n;
    bool ok;

    r->level = level;
    r->from_ms = from_ms;
    r->until_ms = until_ms;
    r->n_parts = 0;
    ok = packs_each(r->groups->packs, r->policy, level, from_ms, until_ms, read_chunk, r, r->err);
    n = r->n_parts;
    memcpy(parts, r->parts, n * sizeof *parts);
    for (size_t i = 0; i < n; i++) {
        ok = ok && read_part(r, &parts[i], level);
        free(parts[i].whole);
    }
    return ok;
}

static void read_span(void *self, struct sv data, int64_t from_ms, int64_t until_ms)
{
    struct reading *r = self;
    int64_t id, milli[GROUP_FIELD_COUNT_];

    while (groups_file_next_group(&data, &id, milli)) {
        struct groups_name *to = groups_names_find(&r->names, id);

        if (to != NULL)
            groups_sum_add(&to->sum, milli, until_ms - from_ms);
    }
}

static bool read_all(struct reading *r, int64_t from_ms, int64_t until_ms)
{
    /* One that began before may hold into the range. */
    const struct groups_reach in = {.first_ms = from_ms - GROUPS_MAX_HOLD_MS,
                                    .before_ms = until_ms,
                                    .from_ms = from_ms,
                                    .until_ms = until_ms};

    return groups_names_read(r->groups, r->policy, &r->names, r->err) &&
           read_level(r, LEVEL_GROUP_DAY, from_ms, until_ms) &&
           groups_file_spans(r->groups, r->policy, &in, read_span, r, r->err);
}

bool groups_read(struct groups *g, struct sv policy, int64_t from_ms, int64_t until_ms,
                 groups_each_fn *each, void *self, struct err *err)
{
    struct reading r = {.groups = g, .err = err};
    bool ok = samples_find_policy(g->samples, policy, &r.policy, err);

    r.table = xmalloc(sizeof *r.table);
    ok = ok && (r.policy == 0 || read_all(&r, from_ms, until_ms));
    for (size_t i = 0; ok && i < r.names.n; i++) {
        const struct groups_name *name = &r.names.at[i];

        if (name->sum.covered_ms > 0)
            each(self, &(struct groups_total){.label = sv_from(name->label),
                                              .value = sv_from(name->value),
                                              .sum = name->sum});
    }
    groups_names_done(&r.names);
    free(r.table);
    return ok;
}
