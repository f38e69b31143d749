#include "storage/groups.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/num.h"
#include "storage/figures.h"
#include "storage/groups_table.h"
#include "storage/wire.h"

enum { MILLI = 1000, MAX_ROW = 64 << 10, MAX_MERGED_MS = GROUPS_MAX_HOLD_MS - SAMPLES_HOLD_MS };

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

enum statement {
    FIND,
    NEW,
    KNOWN,
    TOLD,
    NAMES,
    ADD,
    RANGE,
    ONE,
    AFTER,
    NEWEST,
    DROP,
    UNPACKED,
    STATEMENT_COUNT_
};

static const char *const sql[] = {
    [FIND] =
        "SELECT id FROM node_group WHERE policy = :policy AND label = :label AND value = :value",
    [NEW] = "INSERT INTO node_group(policy, label, value) VALUES(:policy, :label, :value)",
    [KNOWN] = "SELECT count(*) FROM node_group WHERE policy = :policy AND label = :label"
              " AND value <> '" GROUPS_OTHER "'",
    [TOLD] = "SELECT count(*) FROM node_group WHERE policy = :policy",
    [NAMES] = "SELECT id, label, value FROM node_group WHERE policy = :policy"
              " ORDER BY label, substr(value, 1, 1) = '<', value",
    [ADD] = "INSERT OR REPLACE INTO group_sample(policy, t, hold, data)"
            " VALUES(:policy, :t, :hold, :data)",
    [RANGE] = "SELECT t, hold, data FROM group_sample"
              " WHERE policy = :policy AND t >= :from AND t < :until ORDER BY t",
    [ONE] = "SELECT t, hold, data FROM group_sample WHERE policy = :policy AND t = :t",
    [AFTER] = "SELECT t FROM group_sample WHERE policy = :policy AND t >= :t ORDER BY t LIMIT 1",
    [NEWEST] = "SELECT label FROM node_group WHERE policy = :policy ORDER BY id DESC LIMIT 1",
    [DROP] = "DELETE FROM group_sample WHERE policy = :policy AND t >= :from AND t < :until",
    [UNPACKED] =
        "SELECT id, (SELECT min(t) FROM group_sample WHERE policy = id AND t < :hour) AS"
        " early, (SELECT min(t) FROM group_sample WHERE policy = id AND t >= :next) AS late"
        " FROM policy WHERE early NOT NULL OR late NOT NULL LIMIT 1",
};
_Static_assert(COUNT_OF(sql) == STATEMENT_COUNT_, "a statement has no text");

struct groups {
    struct db_stmt *stmt[STATEMENT_COUNT_];
    struct samples *samples;
    struct packs *packs;
    int64_t damaged;
};

bool groups_open(struct db *db, struct samples *samples, struct groups **ret_groups,
                 struct err *err)
{
    struct groups *g = xcalloc(1, sizeof *g);
    bool ok = packs_open(db, PACKS_FIGURES, &g->packs, err);

    g->samples = samples;
    for (int i = 0; ok && i < STATEMENT_COUNT_; i++)
        ok = db_prepare(db, sql[i], &g->stmt[i], err);
    if (!ok) {
        groups_close(g);
        return false;
    }
    *ret_groups = g;
    return true;
}

void groups_close(struct groups *g)
{
    if (g == NULL)
        return;
    packs_close(g->packs);
    for (int i = 0; i < STATEMENT_COUNT_; i++)
        db_stmt_free(g->stmt[i]);
    free(g);
}

int64_t groups_damaged(const struct groups *g)
{
    return g->damaged;
}

/* ---- samples ---- */

size_t groups_sample_bytes(const struct groups_sample *s)
{
    return offsetof(struct groups_sample, at) + s->n * sizeof *s->at;
}

static const struct groups_one *find_one(const struct groups_sample *s, const char *value)
{
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->at[i].value, value) == 0)
            return &s->at[i];
    }
    return NULL;
}

/* Means, rounded at once: what stays the same does so however often. NULL: it had no nodes then. */
static void merge_one(struct groups_one *to, const struct groups_one *later, int64_t mine,
                      int64_t theirs)
{
    for (int k = 0; k < GROUP_FIELD_COUNT_; k++) {
        __int128 sum =
            (__int128)to->at[k] * mine + (later != NULL ? (__int128)later->at[k] * theirs : 0);

        to->at[k] = (int64_t)((sum + (mine + theirs) / 2) / (mine + theirs));
    }
}

/* A group that is there in one of both had no nodes in the other. */
void groups_merge(struct groups_sample *into, const struct groups_sample *later)
{
    int64_t mine = into->merged + 1, theirs = later->merged + 1;

    if (strcmp(into->label, later->label) != 0) {
        memcpy(into, later, groups_sample_bytes(later));
        return;
    }
    for (size_t i = 0; i < later->n; i++) {
        if (find_one(into, later->at[i].value) == NULL && into->n < COUNT_OF(into->at)) {
            into->at[into->n] = (struct groups_one){0};
            memcpy(into->at[into->n++].value, later->at[i].value, sizeof later->at[i].value);
        }
    }
    for (size_t i = 0; i < into->n; i++)
        merge_one(&into->at[i], find_one(later, into->at[i].value), mine, theirs);
    into->merged += theirs;
}

/* ---- names ---- */

static bool find_id(struct groups *g, int64_t policy, struct sv label, struct sv value,
                    int64_t *ret_id, struct err *err)
{
    struct db_stmt *find = g->stmt[FIND];
    bool row;

    db_bind_i64(find, ":policy", policy);
    db_bind_text(find, ":label", label);
    db_bind_text(find, ":value", value);
    if (!db_step(find, &row, err))
        return false;
    *ret_id = row ? db_i64(find, 0) : 0;
    if (row)
        db_reset(find);
    return true;
}

/* Of a statement that has the policy, and the label where it asks for one. */
static bool count_names(struct db_stmt *count, int64_t policy, int64_t *ret_n, struct err *err)
{
    bool row;

    db_bind_i64(count, ":policy", policy);
    if (!db_step(count, &row, err))
        return false;
    *ret_n = row ? db_i64(count, 0) : 0;
    if (row)
        db_reset(count);
    return true;
}

/* A group's number; 0 where there is no place for a further one. */
static bool number_id(struct groups *g, int64_t policy, struct sv label, struct sv value,
                      int64_t *ret_id, struct err *err)
{
    struct db_stmt *add = g->stmt[NEW];
    int64_t known;

    if (!find_id(g, policy, label, value, ret_id, err))
        return false;
    if (*ret_id != 0)
        return true;
    db_bind_text(g->stmt[KNOWN], ":label", label);
    if (!count_names(g->stmt[KNOWN], policy, &known, err))
        return false;
    if (known >= GROUPS_KNOWN && !sv_eq(value, SV(GROUPS_OTHER)))
        return true;
    db_bind_i64(add, ":policy", policy);
    db_bind_text(add, ":label", label);
    db_bind_text(add, ":value", value);
    return db_run(add, err) && find_id(g, policy, label, value, ret_id, err);
}

/* The number of a group, which is made where there is none; of what is too much that of all others. */
static bool make_id(struct groups *g, int64_t policy, struct sv label, struct sv value,
                    int64_t *ret_id, struct err *err)
{
    return number_id(g, policy, label, value, ret_id, err) &&
           (*ret_id != 0 || number_id(g, policy, label, SV(GROUPS_OTHER), ret_id, err));
}

/* Of a policy with more groups than a chunk has places: the group that takes those that find none; else 0. */
static bool find_other(struct groups *g, int64_t policy, int64_t *ret_id, struct err *err)
{
    CLEANUP(free_ptr) char *label = NULL;
    struct db_stmt *newest = g->stmt[NEWEST];
    int64_t known;
    bool row;

    *ret_id = 0;
    if (!count_names(g->stmt[TOLD], policy, &known, err))
        return false;
    if (known < GROUPS_TABLE_MAX)
        return true;
    db_bind_i64(newest, ":policy", policy);
    if (!db_step(newest, &row, err))
        return false;
    if (!row)
        return true;
    label = sv_dup(db_text(newest, 0));
    db_reset(newest);
    return make_id(g, policy, sv_from(label), SV(GROUPS_OTHER), ret_id, err);
}

/* All groups of a policy, in the order in which they are told. */
struct names {
    struct name {
        int64_t id;
        char *label, *value;
        struct groups_sum sum;
    } * at;
    size_t n, cap;
};

static void names_done(struct names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        free(names->at[i].label);
        free(names->at[i].value);
    }
    free(names->at);
    *names = (struct names){0};
}

static bool read_names(struct groups *g, int64_t policy, struct names *to, struct err *err)
{
    struct db_stmt *s = g->stmt[NAMES];
    bool row;

    db_bind_i64(s, ":policy", policy);
    for (;;) {
        if (!db_step(s, &row, err))
            return false;
        if (!row)
            return true;
        VEC_PUSH(to->at, to->n, to->cap,
                 ((struct name){.id = db_i64(s, 0),
                                .label = sv_dup(db_text(s, 1)),
                                .value = sv_dup(db_text(s, 2))}));
    }
}

static struct name *name_of(struct names *names, int64_t id)
{
    for (size_t i = 0; i < names->n; i++) {
        if (names->at[i].id == id)
            return &names->at[i];
    }
    return NULL;
}

/* ---- rows of the running hour ---- */

static void put_group(struct strbuf *data, int64_t id, const int64_t at[GROUP_FIELD_COUNT_])
{
    wire_put_signed(data, id);
    for (int k = 0; k < GROUP_FIELD_COUNT_; k++)
        wire_put_signed(data, at[k]);
}

static bool put_row(struct groups *g, int64_t policy, int64_t t_ms, int64_t hold_ms, struct sv data,
                    struct err *err)
{
    struct db_stmt *add = g->stmt[ADD];

    db_bind_i64(add, ":policy", policy);
    db_bind_i64(add, ":t", t_ms);
    db_bind_i64(add, ":hold", hold_ms);
    db_bind_blob(add, ":data", data);
    return db_run(add, err);
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

    strbuf_init(&data, MAX_ROW);
    for (size_t i = 0; i < from->n; i++)
        put_group(&data, from->id[i], from->at[i]);
    ok = put_row(g, policy, t_ms, hold_ms, strbuf_sv(&data), err);
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
        if (!make_id(g, policy, sv_from(s->label), sv_from(s->at[i].value), &id, err))
            return false;
        add_numbered(&all, id, s->at[i].at);
    }
    return put_numbered(g, policy, s->t_ms, SAMPLES_HOLD_MS + merged_ms, &all, err);
}

/* A row's next group, in thousandths; false at its end, or where it is damaged. */
static bool next_group(struct sv *data, int64_t *ret_id, int64_t milli[GROUP_FIELD_COUNT_])
{
    if (!wire_get_signed(data, ret_id))
        return false;
    for (int k = 0; k < GROUP_FIELD_COUNT_; k++) {
        if (!wire_get_signed(data, &milli[k]))
            return false;
        bool counts = k == GROUP_NODES || k == GROUP_FIT;
        int64_t most = FIGURES_MAX / 2 / (counts ? MILLI : 1);

        milli[k] = max_i64(0, min_i64(milli[k], most)) * (counts ? MILLI : 1);
    }
    return true;
}

/* A row, and the time in which it holds. */
typedef void span_fn(void *self, struct sv data, int64_t from_ms, int64_t until_ms);

struct row {
    int64_t t_ms, hold_ms;
    struct strbuf data;
    bool is;
};

/* It is followed by another one at next_ms. */
static void end_row(struct row *row, int64_t next_ms, int64_t from_ms, int64_t until_ms,
                    span_fn *each, void *self)
{
    int64_t end_ms = min_i64(min_i64(row->t_ms + row->hold_ms, next_ms), until_ms);

    from_ms = max_i64(from_ms, row->t_ms);
    if (row->is && from_ms < end_ms)
        each(self, strbuf_sv(&row->data), from_ms, end_ms);
    row->is = false;
}

static int64_t hold_of(int64_t hold_ms)
{
    return max_i64(0, min_i64(hold_ms, GROUPS_MAX_HOLD_MS));
}

/* Rows with first <= t < before, as far as they hold in from <= t < until. */
struct reach {
    int64_t first_ms, before_ms, from_ms, until_ms;
};

static bool each_span(struct groups *g, int64_t policy, const struct reach *in, span_fn *each,
                      void *self, struct err *err)
{
    struct db_stmt *range = g->stmt[RANGE];
    struct row last = {0};
    bool ok, row;

    strbuf_init(&last.data, MAX_ROW);
    db_bind_i64(range, ":policy", policy);
    db_bind_i64(range, ":from", in->first_ms);
    db_bind_i64(range, ":until", in->before_ms);
    while ((ok = db_step(range, &row, err)) && row) {
        end_row(&last, db_i64(range, 0), in->from_ms, in->until_ms, each, self);
        last.t_ms = db_i64(range, 0);
        last.hold_ms = hold_of(db_i64(range, 1));
        strbuf_clear(&last.data);
        last.is = strbuf_add(&last.data, db_blob(range, 2));
    }
    if (ok)
        end_row(&last, INT64_MAX, in->from_ms, in->until_ms, each, self);
    strbuf_done(&last.data);
    return ok;
}

/* ---- packing ---- */

bool groups_unpacked(struct groups *g, int64_t now_ms, int64_t *ret_policy, int64_t *ret_hour_ms,
                     struct err *err)
{
    return packs_unpacked(g->stmt[UNPACKED], now_ms, ret_policy, ret_hour_ms, err);
}

struct making {
    struct groups_table *minutes;
    int64_t hour_ms;
    int64_t other; /* the group that takes those for which there is no place */
};

/* NULL where there is no place even in `other`: the chunk is full of groups of another label. */
static struct groups_sum *sum_of(struct groups_table *t, size_t row, int64_t id, int64_t other)
{
    size_t group;

    /* It has a place before there are too few. */
    if (other != 0)
        (void)groups_table_group(t, other);
    group = groups_table_group(t, id);
    if (group == GROUPS_TABLE_MAX)
        group = groups_table_group(t, other);
    return group < GROUPS_TABLE_MAX ? groups_table_at(t, row, group) : NULL;
}

static void add_beside(struct groups_table *t, size_t row, int64_t id, int64_t other,
                       const struct groups_sum *from)
{
    struct groups_sum *to = sum_of(t, row, id, other);

    if (to != NULL)
        groups_sum_beside(to, from);
}

/* Of a row its groups that share a place count together, as one. */
static void take_moment(struct making *m, size_t row, struct sv data, int64_t ms)
{
    struct groups_sum now[GROUPS_TABLE_MAX] = {0};
    int64_t id, milli[GROUP_FIELD_COUNT_];

    while (next_group(&data, &id, milli)) {
        const struct groups_sum *at = sum_of(m->minutes, row, id, m->other);
        struct groups_sum one = {0};

        if (at == NULL)
            continue;
        groups_sum_add(&one, milli, ms);
        groups_sum_beside(&now[at - groups_table_at(m->minutes, row, 0)], &one);
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

struct loading {
    struct groups *groups;
    struct groups_table *to;
    enum level level;
};

static bool load_pack(void *self, const struct pack *pack)
{
    struct loading *l = self;

    if (!groups_table_unpack(pack->data, level_step_ms(l->level), l->to)) {
        *l->to = (struct groups_table){0};
        l->groups->damaged++;
    }
    return false;
}

/* The chunk at first_ms; empty where there is none. */
static bool load(struct groups *g, int64_t policy, enum level level, int64_t first_ms,
                 struct groups_table *to, struct err *err)
{
    struct loading l = {.groups = g, .to = to, .level = level};

    *to = (struct groups_table){0};
    return packs_each(g->packs, policy, level, first_ms, first_ms + 1, load_pack, &l, err);
}

static bool store(struct groups *g, int64_t policy, enum level level, int64_t first_ms,
                  const struct groups_table *t, struct err *err)
{
    struct strbuf data;
    bool ok;

    if (t->rows == 0)
        return true;
    strbuf_init(&data, DB_MAX_VALUE);
    groups_table_pack(t, &data);
    ok =
        packs_put_steps(g->packs, policy, level, first_ms, t->step, t->rows, strbuf_sv(&data), err);
    strbuf_done(&data);
    return ok;
}

/* Takes over the rows of a chunk that was there, where they tell of more. */
static void keep_longer(struct groups_table *to, struct groups_table *from, int64_t other)
{
    for (size_t i = 0; i < from->rows; i++) {
        size_t row = groups_table_row(to, from->step[i]);

        if (row == GROUPS_TABLE_ROWS || to->covered[row] >= from->covered[i])
            continue;
        to->covered[row] = from->covered[i];
        memset(groups_table_at(to, row, 0), 0, GROUPS_TABLE_MAX * sizeof *to->at);
        for (size_t k = 0; k < from->n; k++)
            add_beside(to, row, from->id[k], other, groups_table_at(from, i, k));
    }
}

/* One row for all rows of a finer chunk, unless it is there and tells of more: what it was made of is gone. */
static void fold(struct groups_table *from, struct groups_table *to, int64_t step, int64_t other)
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
            add_beside(to, row, from->id[k], other, &all);
    }
}

/* From a chunk to its row in the next coarser one. */
static bool raise_level(struct groups *g, int64_t policy, enum level level, int64_t first_ms,
                        struct groups_table *from, struct groups_table *to, int64_t other,
                        struct err *err)
{
    int64_t chunk_ms = packs_floor(first_ms, level_span_ms(level));

    if (from->rows == 0)
        return true;
    if (!load(g, policy, level, chunk_ms, to, err))
        return false;
    fold(from, to, (first_ms - chunk_ms) / level_step_ms(level), other);
    return store(g, policy, level, chunk_ms, to, err);
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

/* The time of the first row at or after t; INT64_MAX where there is none. */
static bool next_row_at(struct groups *g, int64_t policy, int64_t t_ms, int64_t *ret_t_ms,
                        struct err *err)
{
    struct db_stmt *after = g->stmt[AFTER];
    bool row;

    db_bind_i64(after, ":policy", policy);
    db_bind_i64(after, ":t", t_ms);
    if (!db_step(after, &row, err))
        return false;
    *ret_t_ms = row ? db_i64(after, 0) : INT64_MAX;
    if (row)
        db_reset(after);
    return true;
}

static bool carry(struct groups *g, int64_t policy, int64_t hour_ms, struct err *err)
{
    int64_t end_ms = hour_ms + PACKS_HOUR_MS;
    struct reach in = {.first_ms = hour_ms, .before_ms = end_ms, .from_ms = end_ms};
    struct carrying c = {0};
    bool ok = next_row_at(g, policy, end_ms, &in.until_ms, err);

    strbuf_init(&c.data, MAX_ROW);
    ok = ok && each_span(g, policy, &in, carry_row, &c, err);
    if (ok && c.hold_ms > 0)
        ok = put_row(g, policy, end_ms, c.hold_ms, strbuf_sv(&c.data), err);
    strbuf_done(&c.data);
    return ok;
}

static bool drop_rows(struct groups *g, int64_t policy, int64_t hour_ms, struct err *err)
{
    struct db_stmt *drop = g->stmt[DROP];

    db_bind_i64(drop, ":policy", policy);
    db_bind_i64(drop, ":from", hour_ms);
    db_bind_i64(drop, ":until", hour_ms + PACKS_HOUR_MS);
    return db_run(drop, err);
}

/* The tables of an hour, its day, and the 64 days around. */
struct packing {
    struct groups_table made, there, above;
};

static bool make_hour(struct groups *g, int64_t policy, int64_t hour_ms, struct packing *p,
                      struct err *err)
{
    struct making m = {.minutes = &p->made, .hour_ms = hour_ms};
    int64_t end_ms = hour_ms + PACKS_HOUR_MS, day_ms = packs_floor(hour_ms, PACKS_DAY_MS);
    struct reach in = {
        .first_ms = hour_ms, .before_ms = end_ms, .from_ms = hour_ms, .until_ms = end_ms};

    if (!find_other(g, policy, &m.other, err) || !each_span(g, policy, &in, take_span, &m, err) ||
        !load(g, policy, LEVEL_GROUP_MINUTE, hour_ms, &p->there, err))
        return false;
    keep_longer(&p->made, &p->there, m.other);
    if (!store(g, policy, LEVEL_GROUP_MINUTE, hour_ms, &p->made, err) ||
        !raise_level(g, policy, LEVEL_GROUP_HOUR, hour_ms, &p->made, &p->there, m.other, err))
        return false;
    return raise_level(g, policy, LEVEL_GROUP_DAY, day_ms, &p->there, &p->above, m.other, err);
}

bool groups_pack(struct groups *g, int64_t policy, int64_t hour_ms, struct err *err)
{
    CLEANUP(free_ptr) struct packing *p = xcalloc(1, sizeof *p);

    return make_hour(g, policy, hour_ms, p, err) && carry(g, policy, hour_ms, err) &&
           drop_rows(g, policy, hour_ms, err);
}

/* ---- reading ---- */

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
    struct names names;
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
        struct name *to = from->covered_ms != 0 ? name_of(&r->names, t->id[k]) : NULL;

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

    while (next_group(&data, &id, milli)) {
        struct name *to = name_of(&r->names, id);

        if (to != NULL)
            groups_sum_add(&to->sum, milli, until_ms - from_ms);
    }
}

static bool read_all(struct reading *r, int64_t from_ms, int64_t until_ms)
{
    /* One that began before may hold into the range. */
    const struct reach in = {.first_ms = from_ms - GROUPS_MAX_HOLD_MS,
                             .before_ms = until_ms,
                             .from_ms = from_ms,
                             .until_ms = until_ms};

    return read_names(r->groups, r->policy, &r->names, r->err) &&
           read_level(r, LEVEL_GROUP_DAY, from_ms, until_ms) &&
           each_span(r->groups, r->policy, &in, read_span, r, r->err);
}

bool groups_read(struct groups *g, struct sv policy, int64_t from_ms, int64_t until_ms,
                 groups_each_fn *each, void *self, struct err *err)
{
    struct reading r = {.groups = g, .err = err};
    bool ok = samples_find_policy(g->samples, policy, &r.policy, err);

    r.table = xmalloc(sizeof *r.table);
    ok = ok && (r.policy == 0 || read_all(&r, from_ms, until_ms));
    for (size_t i = 0; ok && i < r.names.n; i++) {
        const struct name *name = &r.names.at[i];

        if (name->sum.covered_ms > 0)
            each(self, &(struct groups_total){.label = sv_from(name->label),
                                              .value = sv_from(name->value),
                                              .sum = name->sum});
    }
    names_done(&r.names);
    free(r.table);
    return ok;
}

/* ---- row by row ---- */

struct listing {
    struct groups *groups;
    struct names names;
    struct groups_table *table;
    enum level level;
    int64_t from_ms, until_ms;
    groups_row_fn *each;
    void *self;
    bool ended;
};

static void list_row(struct listing *l, const struct name *name, int64_t first_ms,
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
static void list_sample(struct listing *l, int64_t t_ms, int64_t hold_ms, struct sv data)
{
    int64_t id, milli[GROUP_FIELD_COUNT_];

    for (size_t n = 0; n < l->names.n; n++)
        l->names.at[n].sum = (struct groups_sum){0};
    while (next_group(&data, &id, milli)) {
        struct name *name = name_of(&l->names, id);

        if (name != NULL)
            groups_sum_add(&name->sum, milli, hold_ms);
    }
    for (size_t n = 0; n < l->names.n && !l->ended; n++) {
        if (l->names.at[n].sum.covered_ms > 0)
            list_row(l, &l->names.at[n], t_ms, &l->names.at[n].sum);
    }
}

static bool list_samples(struct listing *l, int64_t policy, struct err *err)
{
    struct db_stmt *range = l->groups->stmt[RANGE];
    bool row;

    db_bind_i64(range, ":policy", policy);
    db_bind_i64(range, ":from", l->from_ms);
    db_bind_i64(range, ":until", l->until_ms);
    for (;;) {
        if (!db_step(range, &row, err))
            return false;
        if (!row)
            return true;
        list_sample(l, db_i64(range, 0), hold_of(db_i64(range, 1)), db_blob(range, 2));
        if (l->ended) {
            db_reset(range);
            return true;
        }
    }
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
              (id == 0 || read_names(g, id, &l.names, err));

    if (ok && id != 0) {
        l.table = xmalloc(sizeof *l.table);
        ok = level == LEVEL_SAMPLES
                 ? list_samples(&l, id, err)
                 : packs_each(g->packs, id, level, from_ms, until_ms, list_chunk, &l, err);
        free(l.table);
    }
    names_done(&l.names);
    return ok;
}

/* ---- rows that come from elsewhere ---- */

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
    return number_id(g, id, row->label, row->value, ret_group, err) &&
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
    bool some = false;

    if (!load(g, id, level, chunk_ms, t, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t row = groups_table_row(t, (rows[i].first_ms - chunk_ms) / level_step_ms(level));
        struct groups_sum *to;

        if (row == GROUPS_TABLE_ROWS || !find_place(g, id, policy, &rows[i], &group, err))
            return false;
        to = sum_of(t, row, group, 0);
        if (to == NULL)
            return refuse_more(policy, &rows[i], GROUPS_TABLE_MAX, "at that time", err);
        t->covered[row] = max_i64(t->covered[row], rows[i].covered_ms);
        if (!put_sum(policy, &rows[i], replace, to, counts, &some, err))
            return false;
    }
    return !some || store(g, id, level, chunk_ms, t, err);
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

static bool load_moment(struct groups *g, int64_t policy, int64_t t_ms, struct moment *to,
                        struct err *err)
{
    struct db_stmt *one = g->stmt[ONE];
    int64_t id, milli[GROUP_FIELD_COUNT_];
    bool row;

    db_bind_i64(one, ":policy", policy);
    db_bind_i64(one, ":t", t_ms);
    if (!db_step(one, &row, err))
        return false;
    if (!row)
        return true;
    for (struct sv data = db_blob(one, 2); next_group(&data, &id, milli);) {
        struct groups_sum *sum = in_moment(to, id);

        if (sum != NULL)
            groups_sum_add(sum, milli, hold_of(db_i64(one, 1)));
    }
    db_reset(one);
    return true;
}

static bool store_moment(struct groups *g, int64_t policy, int64_t t_ms, const struct moment *m,
                         struct err *err)
{
    struct strbuf data;
    bool ok;

    strbuf_init(&data, MAX_ROW);
    for (size_t i = 0; i < m->n; i++) {
        int64_t at[GROUP_FIELD_COUNT_];

        for (int k = 0; k < GROUP_FIELD_COUNT_; k++)
            at[k] = groups_mean_milli(&m->at[i], (enum group_field)k) /
                    (k == GROUP_NODES || k == GROUP_FIT ? MILLI : 1);
        put_group(&data, m->id[i], at);
    }
    ok = put_row(g, policy, t_ms, m->at[0].covered_ms, strbuf_sv(&data), err);
    strbuf_done(&data);
    return ok;
}

static bool put_sample(struct groups *g, int64_t id, struct sv policy,
                       const struct groups_row *rows, size_t n, bool replace,
                       struct groups_put_counts *counts, struct err *err)
{
    struct moment m = {0};
    bool some = false;
    int64_t group, covered_ms;

    if (!load_moment(g, id, rows[0].first_ms, &m, err))
        return false;
    covered_ms = m.n != 0 ? m.at[0].covered_ms : rows[0].covered_ms;
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
    return !some || store_moment(g, id, rows[0].first_ms, &m, err);
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
