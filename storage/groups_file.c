#include "storage/groups_file.h"

#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "storage/figures.h"
#include "storage/wire.h"

enum { MILLI = 1000 };

enum statement { FIND, NEW, KNOWN, NAMES, ADD, RANGE, AFTER, DROP, UNPACKED, STATEMENT_COUNT_ };

static const char *const sql[] = {
    [FIND] =
        "SELECT id FROM node_group WHERE policy = :policy AND label = :label AND value = :value",
    [NEW] = "INSERT INTO node_group(policy, label, value) VALUES(:policy, :label, :value)",
    [KNOWN] = "SELECT count(*) FROM node_group WHERE policy = :policy AND label = :label"
              " AND value <> '" GROUPS_OTHER "'",
    [NAMES] = "SELECT id, label, value FROM node_group WHERE policy = :policy"
              " ORDER BY label, substr(value, 1, 1) = '<', value",
    [ADD] = "INSERT OR REPLACE INTO group_sample(policy, t, hold, data)"
            " VALUES(:policy, :t, :hold, :data)",
    [RANGE] = "SELECT t, hold, data FROM group_sample"
              " WHERE policy = :policy AND t >= :from AND t < :until ORDER BY t",
    [AFTER] = "SELECT t FROM group_sample WHERE policy = :policy AND t >= :t ORDER BY t LIMIT 1",
    [DROP] = "DELETE FROM group_sample WHERE policy = :policy AND t >= :from AND t < :until",
    [UNPACKED] =
        "SELECT id, (SELECT min(t) FROM group_sample WHERE policy = id AND t < :hour) AS"
        " early, (SELECT min(t) FROM group_sample WHERE policy = id AND t >= :next) AS late"
        " FROM policy WHERE early NOT NULL OR late NOT NULL LIMIT 1",
};
_Static_assert(COUNT_OF(sql) == STATEMENT_COUNT_, "a statement has no text");
_Static_assert((int)STATEMENT_COUNT_ == (int)GROUPS_FILE_STATEMENTS, "a statement has no place");

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

static bool count_names(struct groups *g, int64_t policy, struct sv label, int64_t *ret_n,
                        struct err *err)
{
    struct db_stmt *count = g->stmt[KNOWN];
    bool row;

    db_bind_i64(count, ":policy", policy);
    db_bind_text(count, ":label", label);
    if (!db_step(count, &row, err))
        return false;
    *ret_n = row ? db_i64(count, 0) : 0;
    if (row)
        db_reset(count);
    return true;
}

bool groups_file_number(struct groups *g, int64_t policy, struct sv label, struct sv value,
                        int64_t *ret_id, struct err *err)
{
    struct db_stmt *add = g->stmt[NEW];
    int64_t known;

    if (!find_id(g, policy, label, value, ret_id, err))
        return false;
    if (*ret_id != 0)
        return true;
    if (!count_names(g, policy, label, &known, err))
        return false;
    if (known >= GROUPS_KNOWN && !sv_eq(value, SV(GROUPS_OTHER)))
        return true;
    db_bind_i64(add, ":policy", policy);
    db_bind_text(add, ":label", label);
    db_bind_text(add, ":value", value);
    return db_run(add, err) && find_id(g, policy, label, value, ret_id, err);
}

bool groups_file_number_or_other(struct groups *g, int64_t policy, struct sv label, struct sv value,
                                 int64_t *ret_id, struct err *err)
{
    return groups_file_number(g, policy, label, value, ret_id, err) &&
           (*ret_id != 0 || groups_file_number(g, policy, label, SV(GROUPS_OTHER), ret_id, err));
}

void groups_names_done(struct groups_names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        free(names->at[i].label);
        free(names->at[i].value);
    }
    free(names->by_id);
    free(names->at);
    *names = (struct groups_names){0};
}

static int by_id(const void *a, const void *b)
{
    const struct groups_name *x = *(struct groups_name *const *)a;
    const struct groups_name *y = *(struct groups_name *const *)b;

    return (x->id > y->id) - (x->id < y->id);
}

/* Names come by label: those of one stand together. */
static void tell_others(struct groups_names *names)
{
    for (size_t i = 0, end; i < names->n; i = end) {
        int64_t other = 0;

        for (end = i; end < names->n && strcmp(names->at[end].label, names->at[i].label) == 0;
             end++) {
            if (strcmp(names->at[end].value, GROUPS_OTHER) == 0)
                other = names->at[end].id;
        }
        for (size_t k = i; k < end; k++)
            names->at[k].other = other;
    }
}

bool groups_names_read(struct groups *g, int64_t policy, struct groups_names *to, struct err *err)
{
    struct db_stmt *s = g->stmt[NAMES];
    bool row;

    db_bind_i64(s, ":policy", policy);
    for (;;) {
        if (!db_step(s, &row, err))
            return false;
        if (!row)
            break;
        VEC_PUSH(to->at, to->n, to->cap,
                 ((struct groups_name){.id = db_i64(s, 0),
                                       .label = sv_dup(db_text(s, 1)),
                                       .value = sv_dup(db_text(s, 2))}));
    }
    tell_others(to);
    to->by_id = xcalloc(to->n + 1, sizeof *to->by_id);
    for (size_t i = 0; i < to->n; i++)
        to->by_id[i] = &to->at[i];
    if (to->n != 0)
        qsort(to->by_id, to->n, sizeof *to->by_id, by_id);
    return true;
}

struct groups_name *groups_names_find(const struct groups_names *names, int64_t id)
{
    size_t low = 0, high = names->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (names->by_id[mid]->id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low < names->n && names->by_id[low]->id == id ? names->by_id[low] : NULL;
}

/* ---- rows of the running hour ---- */

void groups_file_put_group(struct strbuf *data, int64_t id, const int64_t at[GROUP_FIELD_COUNT_])
{
    wire_put_signed(data, id);
    for (int k = 0; k < GROUP_FIELD_COUNT_; k++)
        wire_put_signed(data, at[k]);
}

bool groups_file_put(struct groups *g, int64_t policy, int64_t t_ms, int64_t hold_ms,
                     struct sv data, struct err *err)
{
    struct db_stmt *add = g->stmt[ADD];

    db_bind_i64(add, ":policy", policy);
    db_bind_i64(add, ":t", t_ms);
    db_bind_i64(add, ":hold", hold_ms);
    db_bind_blob(add, ":data", data);
    return db_run(add, err);
}

bool groups_file_next_group(struct sv *data, int64_t *ret_id, int64_t milli[GROUP_FIELD_COUNT_])
{
    struct sv rest = *data;

    if (!wire_get_signed(&rest, ret_id))
        return false;
    for (int k = 0; k < GROUP_FIELD_COUNT_; k++) {
        bool counts = k == GROUP_NODES || k == GROUP_FIT;
        int64_t most = FIGURES_MAX / 2 / (counts ? MILLI : 1);

        if (!wire_get_signed(&rest, &milli[k]))
            return false;
        milli[k] = max_i64(0, min_i64(milli[k], most)) * (counts ? MILLI : 1);
    }
    *data = rest;
    return true;
}

bool groups_file_rows(struct groups *g, int64_t policy, int64_t from_ms, int64_t until_ms,
                      groups_file_row_fn *each, void *self, struct err *err)
{
    struct db_stmt *range = g->stmt[RANGE];
    bool row;

    db_bind_i64(range, ":policy", policy);
    db_bind_i64(range, ":from", from_ms);
    db_bind_i64(range, ":until", until_ms);
    for (;;) {
        if (!db_step(range, &row, err))
            return false;
        if (!row)
            return true;
        if (!each(self, db_i64(range, 0), max_i64(0, min_i64(db_i64(range, 1), GROUPS_MAX_HOLD_MS)),
                  db_blob(range, 2))) {
            db_reset(range);
            return true;
        }
    }
}

/* The row before, until it is known when the next one comes. */
struct spans {
    const struct groups_reach *in;
    groups_file_span_fn *each;
    void *self;
    int64_t t_ms, hold_ms;
    struct strbuf data;
    bool is;
};

/* It is followed by another one at next_ms. */
static void end_row(struct spans *s, int64_t next_ms)
{
    int64_t from_ms = max_i64(s->in->from_ms, s->t_ms);
    int64_t end_ms = min_i64(min_i64(s->t_ms + s->hold_ms, next_ms), s->in->until_ms);

    if (s->is && from_ms < end_ms)
        s->each(s->self, strbuf_sv(&s->data), from_ms, end_ms);
    s->is = false;
}

static bool take_row(void *self, int64_t t_ms, int64_t hold_ms, struct sv data)
{
    struct spans *s = self;

    end_row(s, t_ms);
    s->t_ms = t_ms;
    s->hold_ms = hold_ms;
    strbuf_clear(&s->data);
    s->is = strbuf_add(&s->data, data);
    return true;
}

bool groups_file_spans(struct groups *g, int64_t policy, const struct groups_reach *in,
                       groups_file_span_fn *each, void *self, struct err *err)
{
    struct spans s = {.in = in, .each = each, .self = self};
    bool ok;

    strbuf_init(&s.data, GROUPS_FILE_MAX_ROW);
    ok = groups_file_rows(g, policy, in->first_ms, in->before_ms, take_row, &s, err);
    if (ok)
        end_row(&s, INT64_MAX);
    strbuf_done(&s.data);
    return ok;
}

bool groups_file_next_at(struct groups *g, int64_t policy, int64_t t_ms, int64_t *ret_t_ms,
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

bool groups_file_drop(struct groups *g, int64_t policy, int64_t from_ms, int64_t until_ms,
                      struct err *err)
{
    struct db_stmt *drop = g->stmt[DROP];

    db_bind_i64(drop, ":policy", policy);
    db_bind_i64(drop, ":from", from_ms);
    db_bind_i64(drop, ":until", until_ms);
    return db_run(drop, err);
}

/* ---- chunks ---- */

bool groups_unpacked(struct groups *g, int64_t now_ms, int64_t *ret_policy, int64_t *ret_hour_ms,
                     struct err *err)
{
    return packs_unpacked(g->stmt[UNPACKED], now_ms, ret_policy, ret_hour_ms, err);
}

struct loading {
    struct groups *groups;
    struct groups_table *to;
    enum level level;
    bool damaged;
};

static bool load_pack(void *self, const struct pack *pack)
{
    struct loading *l = self;

    if (!groups_table_unpack(pack->data, level_step_ms(l->level), l->to)) {
        *l->to = (struct groups_table){0};
        l->groups->damaged++;
        l->damaged = true;
    }
    return false;
}

bool groups_file_load(struct groups *g, int64_t policy, enum level level, int64_t first_ms,
                      struct groups_table *to, bool *ret_damaged, struct err *err)
{
    struct loading l = {.groups = g, .to = to, .level = level};

    *to = (struct groups_table){0};
    if (!packs_each(g->packs, policy, level, first_ms, first_ms + 1, load_pack, &l, err))
        return false;
    *ret_damaged = l.damaged;
    return true;
}

bool groups_file_store(struct groups *g, int64_t policy, enum level level, int64_t first_ms,
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
