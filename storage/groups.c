#include "storage/groups.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "storage/groups_file.h"
#include "storage/groups_places.h"

enum { MAX_MERGED_MS = GROUPS_MAX_HOLD_MS - SAMPLES_HOLD_MS };

static const char *const field_names[] = {
    [GROUP_NODES] = "nodes", [GROUP_ALLOCATABLE] = "allocatable",
    [GROUP_PAID] = "paid",   [GROUP_FILLER] = "filler",
    [GROUP_FIT] = "fit",
};
_Static_assert(COUNT_OF(field_names) == GROUP_FIELD_COUNT_, "a field has no name");

const char *group_field_name(enum group_field field)
{
    return field_names[field];
}

/* ---- samples ---- */

size_t groups_sample_bytes(const struct groups_sample *s)
{
    return offsetof(struct groups_sample, at) + s->n * sizeof *s->at;
}

static struct groups_one *find_one(struct groups_sample *s, const char *value)
{
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->at[i].value, value) == 0)
            return &s->at[i];
    }
    return NULL;
}

static struct groups_one *new_one(struct groups_sample *s, const char *value)
{
    struct groups_one *one = &s->at[s->n++];

    *one = (struct groups_one){0};
    (void)snprintf(one->value, sizeof one->value, "%s", value);
    return one;
}

/* Where a group of that name counts: the last place is that of all others. */
static struct groups_one *place_of(struct groups_sample *s, const char *value)
{
    struct groups_one *one = find_one(s, value);
    size_t named = s->n - (find_one(s, GROUPS_OTHER) != NULL);

    if (one != NULL)
        return one;
    if (named < GROUPS_MAX || strcmp(value, GROUPS_OTHER) == 0)
        return new_one(s, value);
    one = find_one(s, GROUPS_OTHER);
    return one != NULL ? one : new_one(s, GROUPS_OTHER);
}

/* Groups that count in one place at the same time are one. */
static void add_beside_one(struct groups_one *to, const struct groups_one *from)
{
    for (int k = 0; k < GROUP_FIELD_COUNT_; k++) {
        to->at[k] += from->at[k];
        to->rest[k] += from->rest[k];
    }
}

void groups_merge(struct groups_sample *into, const struct groups_sample *later)
{
    int64_t mine = into->merged + 1, theirs = later->merged + 1;
    struct groups_one at[COUNT_OF(into->at)] = {0}; /* the later one's, by their places */

    if (strcmp(into->label, later->label) != 0) {
        memcpy(into, later, groups_sample_bytes(later));
        return;
    }
    for (size_t i = 0; i < later->n; i++)
        add_beside_one(&at[place_of(into, later->at[i].value) - into->at], &later->at[i]);
    for (size_t i = 0; i < into->n; i++) {
        for (int k = 0; k < GROUP_FIELD_COUNT_; k++)
            sample_mean(&into->at[i].at[k], &into->at[i].rest[k], mine, at[i].at[k], at[i].rest[k],
                        theirs);
    }
    into->merged += theirs;
}

/* A sample's groups by their numbers: those that count as the same are one. */
struct numbered {
    int64_t id[GROUPS_MAX + 1];
    int64_t at[GROUPS_MAX + 1][GROUP_FIELD_COUNT_];
    size_t n;
};

static void add_numbered(struct numbered *to, int64_t id, const int64_t at[GROUP_FIELD_COUNT_])
{
    size_t i = 0;

    while (i < to->n && to->id[i] != id)
        i++;
    to->n += i == to->n;
    to->id[i] = id;
    for (int k = 0; k < GROUP_FIELD_COUNT_; k++)
        to->at[i][k] += at[k];
}

static bool put_numbered(struct groups *g, int64_t policy, int64_t t_ms, int64_t hold_ms,
                         const struct numbered *from, struct err *err)
{
    struct strbuf data;
    bool ok;

    strbuf_init(&data, GROUPS_FILE_MAX_ROW);
    for (size_t i = 0; i < from->n; i++)
        groups_file_put_group(&data, from->id[i], from->at[i]);
    ok = groups_file_put(g, policy, t_ms, hold_ms, strbuf_sv(&data), err);
    strbuf_done(&data);
    return ok;
}

bool groups_add(struct groups *g, const struct groups_sample *s, struct err *err)
{
    int64_t merged_ms =
        s->merged < MAX_MERGED_MS / SAMPLES_STEP_MS ? s->merged * SAMPLES_STEP_MS : MAX_MERGED_MS;
    struct numbered all = {0};
    int64_t policy, id;

    if (!samples_policy(g->samples, sv_from(s->policy), &policy, err))
        return false;
    for (size_t i = 0; i < s->n; i++) {
        if (!groups_file_number_or_other(g, policy, sv_from(s->label), sv_from(s->at[i].value), &id,
                                         err))
            return false;
        add_numbered(&all, id, s->at[i].at);
    }
    return put_numbered(g, policy, s->t_ms, SAMPLES_HOLD_MS + merged_ms, &all, err);
}

/* ---- packing ---- */

/* Where a policy has more groups than a chunk has places, each of its labels has a group of those that find none. */
static bool read_names(struct groups *g, int64_t policy, struct groups_names *names,
                       struct err *err)
{
    int64_t id;

    if (!groups_names_read(g, policy, names, err))
        return false;
    if (names->n < GROUPS_TABLE_MAX)
        return true;
    for (size_t i = 0; i < names->n; i++) {
        if (names->at[i].other == 0 &&
            (i == 0 || strcmp(names->at[i].label, names->at[i - 1].label) != 0) &&
            !groups_file_number(g, policy, sv_from(names->at[i].label), SV(GROUPS_OTHER), &id, err))
            return false;
    }
    groups_names_done(names);
    return groups_names_read(g, policy, names, err);
}

static void add_beside(struct groups_table *t, size_t row, int64_t id,
                       const struct groups_names *names, const struct groups_sum *from)
{
    size_t place = groups_places_make(t, names, id);

    if (place < GROUPS_TABLE_MAX)
        groups_sum_beside(groups_table_at(t, row, place), from);
}

struct making {
    struct groups_table *minutes;
    int64_t hour_ms;
    const struct groups_names *names;
};

static void make_places(struct making *m, struct sv data)
{
    int64_t id, milli[GROUP_FIELD_COUNT_];

    while (groups_file_next_group(&data, &id, milli))
        (void)groups_places_make(m->minutes, m->names, id);
}

/* Of a row its groups that share a place count together, as one. */
static void take_moment(struct making *m, size_t row, struct sv data, int64_t ms)
{
    struct groups_sum now[GROUPS_TABLE_MAX] = {0};
    int64_t id, milli[GROUP_FIELD_COUNT_];

    make_places(m, data);
    while (groups_file_next_group(&data, &id, milli)) {
        size_t place = groups_places_find(m->minutes, m->names, id);
        struct groups_sum one = {0};

        if (place == GROUPS_TABLE_MAX)
            continue;
        groups_sum_add(&one, milli, ms);
        groups_sum_beside(&now[place], &one);
    }
    for (size_t i = 0; i < m->minutes->n; i++) {
        if (now[i].covered_ms != 0)
            groups_sum_join(groups_table_at(m->minutes, row, i), &now[i], 1, 1);
    }
    m->minutes->covered[row] += ms;
}

static void take_span(void *self, struct sv data, int64_t from_ms, int64_t until_ms)
{
    struct making *m = self;

    while (from_ms < until_ms) {
        int64_t minute = (from_ms - m->hour_ms) / PACKS_MINUTE_MS;
        int64_t end_ms = min_i64(m->hour_ms + (minute + 1) * PACKS_MINUTE_MS, until_ms);
        size_t row = groups_table_row(m->minutes, minute);

        if (row < GROUPS_TABLE_ROWS)
            take_moment(m, row, data, end_ms - from_ms);
        from_ms = end_ms;
    }
}

/* Takes over the rows of a chunk that was there, where they tell of more. */
static void keep_longer(struct groups_table *to, struct groups_table *from,
                        const struct groups_names *names)
{
    for (size_t i = 0; i < from->rows; i++) {
        size_t row = groups_table_row(to, from->step[i]);

        if (row == GROUPS_TABLE_ROWS || to->covered[row] >= from->covered[i])
            continue;
        to->covered[row] = from->covered[i];
        memset(groups_table_at(to, row, 0), 0, GROUPS_TABLE_MAX * sizeof *to->at);
        for (size_t k = 0; k < from->n; k++)
            add_beside(to, row, from->id[k], names, groups_table_at(from, i, k));
    }
}

/* One row for all rows of a finer chunk, unless it is there and tells of more: what it was made of is gone. */
static void fold(struct groups_table *from, struct groups_table *to, int64_t step,
                 const struct groups_names *names)
{
    size_t row = groups_table_row(to, step);
    int64_t covered_ms = 0;

    for (size_t i = 0; i < from->rows; i++)
        covered_ms += from->covered[i];
    if (row == GROUPS_TABLE_ROWS || to->covered[row] > covered_ms)
        return;
    to->covered[row] = covered_ms;
    memset(groups_table_at(to, row, 0), 0, GROUPS_TABLE_MAX * sizeof *to->at);
    for (size_t k = 0; k < from->n; k++) {
        struct groups_sum all = {0};

        for (size_t i = 0; i < from->rows; i++)
            groups_sum_join(&all, groups_table_at(from, i, k), 1, 1);
        if (all.covered_ms != 0)
            add_beside(to, row, from->id[k], names, &all);
    }
}

/* The tables of an hour, its day, and the 64 days around; one more. */
struct packing {
    struct groups_table made, there, above, spare;
    struct groups_names names;
};

/* A damaged chunk is made anew of the finer ones that are left. */
static bool restore(struct groups *g, int64_t policy, enum level level, int64_t chunk_ms,
                    struct packing *p, struct groups_table *to, const struct groups_names *names,
                    struct err *err)
{
    int64_t step_ms = level_step_ms(level), steps = level_span_ms(level) / step_ms;
    bool damaged;

    for (int64_t i = 0; i < steps; i++) {
        if (!groups_file_load(g, policy, (enum level)(level - 1), chunk_ms + i * step_ms, &p->spare,
                              &damaged, err))
            return false;
        if (p->spare.rows != 0)
            fold(&p->spare, to, i, names);
    }
    return true;
}

/* From a chunk to its row in the next coarser one. */
static bool raise_level(struct groups *g, int64_t policy, enum level level, int64_t first_ms,
                        struct packing *p, const struct groups_names *names, struct err *err)
{
    int64_t chunk_ms = packs_floor(first_ms, level_span_ms(level));
    bool day = level == LEVEL_GROUP_DAY, damaged;
    struct groups_table *from = day ? &p->there : &p->made, *to = day ? &p->above : &p->there;

    if (from->rows == 0)
        return true;
    if (!groups_file_load(g, policy, level, chunk_ms, to, &damaged, err) ||
        (damaged && !restore(g, policy, level, chunk_ms, p, to, names, err)))
        return false;
    fold(from, to, (first_ms - chunk_ms) / level_step_ms(level), names);
    return groups_file_store(g, policy, level, chunk_ms, to, err);
}

/* What the hour's last row still holds for goes on as a row at the next hour's begin. */
struct carrying {
    int64_t hold_ms;
    struct strbuf data;
};

static void carry_row(void *self, struct sv data, int64_t from_ms, int64_t until_ms)
{
    struct carrying *c = self;

    c->hold_ms = strbuf_add(&c->data, data) ? until_ms - from_ms : 0;
}

static bool carry(struct groups *g, int64_t policy, int64_t hour_ms, struct err *err)
{
    int64_t end_ms = hour_ms + PACKS_HOUR_MS;
    struct groups_reach in = {.first_ms = hour_ms, .before_ms = end_ms, .from_ms = end_ms};
    struct carrying c = {0};
    bool ok = groups_file_next_at(g, policy, end_ms, &in.until_ms, err);

    strbuf_init(&c.data, GROUPS_FILE_MAX_ROW);
    ok = ok && groups_file_spans(g, policy, &in, carry_row, &c, err);
    if (ok && c.hold_ms > 0)
        ok = groups_file_put(g, policy, end_ms, c.hold_ms, strbuf_sv(&c.data), err);
    strbuf_done(&c.data);
    return ok;
}

static bool make_hour(struct groups *g, int64_t policy, int64_t hour_ms, struct packing *p,
                      struct err *err)
{
    struct making m = {.minutes = &p->made, .hour_ms = hour_ms, .names = &p->names};
    int64_t end_ms = hour_ms + PACKS_HOUR_MS, day_ms = packs_floor(hour_ms, PACKS_DAY_MS);
    struct groups_reach in = {
        .first_ms = hour_ms, .before_ms = end_ms, .from_ms = hour_ms, .until_ms = end_ms};
    bool damaged;

    if (!read_names(g, policy, &p->names, err) ||
        !groups_file_spans(g, policy, &in, take_span, &m, err) ||
        !groups_file_load(g, policy, LEVEL_GROUP_MINUTE, hour_ms, &p->there, &damaged, err))
        return false;
    keep_longer(&p->made, &p->there, m.names);
    return groups_file_store(g, policy, LEVEL_GROUP_MINUTE, hour_ms, &p->made, err) &&
           raise_level(g, policy, LEVEL_GROUP_HOUR, hour_ms, p, m.names, err) &&
           raise_level(g, policy, LEVEL_GROUP_DAY, day_ms, p, m.names, err);
}

bool groups_pack(struct groups *g, int64_t policy, int64_t hour_ms, struct err *err)
{
    struct packing *p = xcalloc(1, sizeof *p);
    bool ok = make_hour(g, policy, hour_ms, p, err) && carry(g, policy, hour_ms, err) &&
              groups_file_drop(g, policy, hour_ms, hour_ms + PACKS_HOUR_MS, err);

    groups_names_done(&p->names);
    free(p);
    return ok;
}
