#include "storage/groups_read.h"

#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "storage/groups_file.h"

/* What a level tells of one time, for a part of it of which nothing finer is left. */
struct share {
    int64_t whole_ms;
    size_t n;
    int64_t id[GROUPS_TABLE_MAX];
    struct groups_sum at[GROUPS_TABLE_MAX];
};

/* A time that a level does not tell, for the next finer one. */
struct hole {
    int64_t from_ms, until_ms;
    struct share *share; /* what the level says of a longer time around; NULL: nothing */
    bool owns;
    bool lost; /* figures of it are damaged */
};

struct reading {
    struct groups *groups;
    int64_t policy;
    struct groups_names names;
    struct groups_table *table;
    struct groups_damage damage;
    struct err *err;
};

/* One level of a range. */
struct pass {
    struct reading *r;
    enum level level;
    const struct hole *in;
    int64_t told_ms; /* up to here it is told, or a hole */
    struct hole *holes;
    size_t n, cap;
};

static void add_one(struct reading *r, int64_t id, const struct groups_sum *from, int64_t part_ms,
                    int64_t whole_ms)
{
    struct groups_name *to = from->covered_ms != 0 ? groups_names_find(&r->names, id) : NULL;

    if (to != NULL)
        groups_sum_join(&to->sum, from, part_ms, whole_ms);
}

/* Up to until_ms nothing is told. */
static void add_hole(struct pass *p, int64_t until_ms, bool lost)
{
    struct hole hole = *p->in;

    hole.from_ms = p->told_ms;
    hole.until_ms = min_i64(until_ms, p->in->until_ms);
    hole.lost |= lost;
    hole.owns = false;
    if (hole.from_ms >= hole.until_ms)
        return;
    p->told_ms = hole.until_ms;
    VEC_PUSH(p->holes, p->n, p->cap, hole);
}

/* An edge cuts a row: the next finer level tells of its part, else it is a share. */
static void cut_row(struct pass *p, size_t row, int64_t until_ms, int64_t step_ms)
{
    struct groups_table *t = p->r->table;
    struct hole hole = {.from_ms = p->told_ms, .until_ms = until_ms, .owns = true};

    hole.share = xmalloc(sizeof *hole.share);
    hole.share->whole_ms = step_ms;
    hole.share->n = t->n;
    memcpy(hole.share->id, t->id, t->n * sizeof *t->id);
    memcpy(hole.share->at, groups_table_at(t, row, 0), t->n * sizeof *t->at);
    p->told_ms = until_ms;
    VEC_PUSH(p->holes, p->n, p->cap, hole);
}

static void take_row(struct pass *p, size_t row, int64_t begin_ms)
{
    int64_t step_ms = level_step_ms(p->level);
    int64_t until_ms = min_i64(p->in->until_ms, begin_ms + step_ms), part_ms;
    struct groups_table *t = p->r->table;

    if (p->told_ms >= until_ms || begin_ms >= until_ms)
        return;
    part_ms = until_ms - max_i64(p->told_ms, begin_ms);
    p->told_ms = until_ms - part_ms;
    if (part_ms < step_ms && p->level != LEVEL_GROUP_MINUTE) {
        cut_row(p, row, until_ms, step_ms);
        return;
    }
    for (size_t k = 0; k < t->n; k++)
        add_one(p->r, t->id[k], groups_table_at(t, row, k), part_ms, step_ms);
    p->told_ms = until_ms;
}

/* Of a chunk that can be read it is known where it tells of nothing; what came before it is a hole. */
static bool take_chunk(void *self, const struct pack *pack)
{
    struct pass *p = self;
    int64_t step_ms = level_step_ms(p->level), end_ms = pack->first_ms + level_span_ms(p->level);

    add_hole(p, pack->first_ms, false);
    if (!groups_table_unpack(pack->data, step_ms, p->r->table)) {
        p->r->groups->damaged++;
        p->r->damage.parts++;
        add_hole(p, max_i64(pack->begin_ms, pack->first_ms), false);
        add_hole(p, min_i64(pack->until_ms, end_ms), true);
        add_hole(p, end_ms, false);
        return true;
    }
    for (size_t i = 0; i < p->r->table->rows; i++) {
        int64_t begin_ms = pack->first_ms + p->r->table->step[i] * step_ms;

        if (p->in->share == NULL && !p->in->lost)
            add_hole(p, begin_ms, false);
        take_row(p, i, begin_ms);
    }
    if (p->in->share != NULL || p->in->lost)
        p->told_ms = max_i64(p->told_ms, min_i64(end_ms, p->in->until_ms));
    return true;
}

/* No level tells of it but for a share. */
static void end_hole(struct reading *r, const struct hole *hole)
{
    const struct share *s = hole->share;
    int64_t ms = hole->until_ms - hole->from_ms;

    for (size_t k = 0; s != NULL && k < s->n; k++)
        add_one(r, s->id[k], &s->at[k], ms, s->whole_ms);
    if (s == NULL && hole->lost)
        r->damage.missing_ms += ms;
}

/* From the coarsest level down: what one does not tell is asked of the next finer one. */
static bool read_level(struct reading *r, enum level level, const struct hole *in)
{
    struct pass p = {.r = r, .level = level, .in = in, .told_ms = in->from_ms};
    bool ok = packs_each(r->groups->packs, r->policy, level, in->from_ms, in->until_ms, take_chunk,
                         &p, r->err);

    add_hole(&p, in->until_ms, false);
    for (size_t i = 0; i < p.n; i++) {
        if (level == LEVEL_GROUP_MINUTE)
            end_hole(r, &p.holes[i]);
        else
            ok = ok && read_level(r, (enum level)(level - 1), &p.holes[i]);
        if (p.holes[i].owns)
            free(p.holes[i].share);
    }
    free(p.holes);
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
    if (data.len == 0)
        return;
    r->damage.parts++;
    r->damage.missing_ms += until_ms - from_ms;
}

static bool read_all(struct reading *r, int64_t from_ms, int64_t until_ms)
{
    const struct hole all = {.from_ms = from_ms, .until_ms = until_ms};
    /* One that began before may hold into the range. */
    const struct groups_reach in = {.first_ms = from_ms - GROUPS_MAX_HOLD_MS,
                                    .before_ms = until_ms,
                                    .from_ms = from_ms,
                                    .until_ms = until_ms};

    return groups_names_read(r->groups, r->policy, &r->names, r->err) &&
           (r->names.n == 0 ||
            (read_level(r, LEVEL_GROUP_DAY, &all) &&
             groups_file_spans(r->groups, r->policy, &in, read_span, r, r->err)));
}

bool groups_read(struct groups *g, struct sv policy, int64_t from_ms, int64_t until_ms,
                 groups_each_fn *each, void *self, struct groups_damage *ret_damage,
                 struct err *err)
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
    if (ok)
        *ret_damage = r.damage;
    groups_names_done(&r.names);
    free(r.table);
    return ok;
}
