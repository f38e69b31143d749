#include "storage/samples.h"

#include <stdio.h>

#include "base/alloc.h"
#include "storage/codec.h"
#include "storage/wire.h"

static const char *const field_names[] = {
    [SAMPLE_ALLOCATABLE] = "allocatable",
    [SAMPLE_PAID] = "paid",
    [SAMPLE_PENDING] = "pending",
    [SAMPLE_READY] = "ready",
    [SAMPLE_STARTING] = "starting",
    [SAMPLE_LEAVING] = "leaving",
    [SAMPLE_REMAINING] = "remaining",
    [SAMPLE_RESERVE] = "reserve",
    [SAMPLE_HEADROOM] = "headroom",
    [SAMPLE_KEPT] = "kept",
    [SAMPLE_SET_POINT] = "set_point",
    [SAMPLE_DAMPED] = "damped",
    [SAMPLE_REPLICAS] = "replicas",
    [SAMPLE_WAITING] = "waiting",
    [SAMPLE_NODES] = "nodes",
    [SAMPLE_NODE_FREE_MIN] = "node_free_min",
    [SAMPLE_NODE_FREE_MAX] = "node_free_max",
    [SAMPLE_NODE_FIT_MIN] = "node_fit_min",
    [SAMPLE_NODE_FIT_MAX] = "node_fit_max",
    [SAMPLE_NODE_FREE] = "node_free_0",
    "node_free_1",
    "node_free_2",
    "node_free_3",
    "node_free_4",
    "node_free_5",
    "node_free_6",
    "node_free_7",
    "node_free_8",
    [SAMPLE_NODE_FIT] = "node_fit_0",
    "node_fit_1",
    "node_fit_2",
    "node_fit_3",
    "node_fit_4",
    "node_fit_5",
    "node_fit_6",
    "node_fit_7",
    "node_fit_8",
};
_Static_assert(COUNT_OF(field_names) == SAMPLE_COUNT_, "a field has no name");

/* Parameter names of the fields that have a column of their own, in their order. */
static const char *const field_binds[] = {
    ":allocatable", ":paid",     ":pending", ":ready",     ":starting", ":leaving",  ":remaining",
    ":reserve",     ":headroom", ":kept",    ":set_point", ":damped",   ":replicas", ":waiting",
};

enum {
    OWN_COLUMNS =
        COUNT_OF(field_binds), /* the others stand in `more`, one number after the other */
    MORE_BYTES = (SAMPLE_COUNT_ - OWN_COLUMNS) * WIRE_MAX_NUMBER,
};

/* Ids of a chunk's columns. */
enum { ID_TIME, ID_MERGED, ID_FIELDS, ID_COUNT_ = ID_FIELDS + SAMPLE_COUNT_ };

#define COLUMNS                                                                                    \
    "allocatable, paid, pending, ready, starting, leaving, remaining, reserve, headroom, "         \
    "kept, set_point, damped, replicas, waiting, more"

enum statement {
    ADD,
    ADD_POLICY,
    FIND_POLICY,
    NAME_OF,
    POLICIES,
    RANGE,
    LAST_BEFORE,
    SPAN,
    FORGET,
    UNPACKED,
    ANY,
    ROWS_SPAN,
    DROP,
    STATEMENT_COUNT_
};

static const char *const sql[] = {
    [ADD] = ("INSERT OR REPLACE INTO sample(policy, t, merged, " COLUMNS
             ") VALUES(:policy, :t, :merged, :allocatable, :paid, "
             ":pending, :ready, :starting, :leaving, :remaining, :reserve, :headroom, :kept, "
             ":set_point, :damped, :replicas, :waiting, :more)"),
    [ADD_POLICY] = "INSERT INTO policy(name) VALUES(:name) ON CONFLICT DO NOTHING",
    [FIND_POLICY] = "SELECT id FROM policy WHERE name = :name",
    [NAME_OF] = "SELECT name FROM policy WHERE id = :policy",
    [POLICIES] = "SELECT name FROM policy ORDER BY id",
    [RANGE] = "SELECT t, merged, " COLUMNS
              " FROM sample WHERE policy = :policy AND t >= :from AND t < :until ORDER BY t",
    [LAST_BEFORE] =
        "SELECT t FROM sample WHERE policy = :policy AND t <= :t ORDER BY t DESC LIMIT 1",
    [SPAN] = "SELECT min(first), max(last) FROM (SELECT (SELECT min(t) FROM sample WHERE policy = "
             "id) AS first,"
             " (SELECT max(t) FROM sample WHERE policy = id) AS last FROM policy)",
    [FORGET] = "DELETE FROM sample WHERE policy IN (SELECT id FROM policy) AND t < :before",
    [UNPACKED] = "SELECT id, (SELECT min(t) FROM sample WHERE policy = id AND t < :hour) AS early,"
                 " (SELECT min(t) FROM sample WHERE policy = id AND t >= :next) AS late"
                 " FROM policy WHERE early NOT NULL OR late NOT NULL LIMIT 1",
    [ANY] = "SELECT t FROM sample WHERE policy = :policy AND t >= :from AND t < :until LIMIT 1",
    [ROWS_SPAN] = "SELECT first, last FROM (SELECT"
                  " (SELECT min(t) FROM sample WHERE policy = :policy) AS first,"
                  " (SELECT max(t) FROM sample WHERE policy = :policy) AS last)"
                  " WHERE first NOT NULL",
    [DROP] = "DELETE FROM sample WHERE policy = :policy AND t >= :from AND t < :until",
};
_Static_assert(COUNT_OF(sql) == STATEMENT_COUNT_, "a statement has no text");

struct samples {
    struct db_stmt *stmt[STATEMENT_COUNT_];
    struct packs *packs;
    int64_t damaged;
};

const char *sample_field_name(enum sample_field field)
{
    return field_names[field];
}

static void widen(struct sample *s, enum sample_field min, enum sample_field max, int64_t value)
{
    if (s->at[SAMPLE_NODES] == 0 || value < s->at[min])
        s->at[min] = value;
    if (s->at[SAMPLE_NODES] == 0 || value > s->at[max])
        s->at[max] = value;
}

static int class_of_free(int64_t allocatable_milli, int64_t free_milli)
{
    enum { EIGHTHS = SAMPLES_NODE_CLASSES - 1 };
    __int128 eighth = (__int128)free_milli * EIGHTHS;

    if (free_milli <= 0)
        return 0;
    return eighth >= (__int128)allocatable_milli * EIGHTHS
               ? EIGHTHS
               : (int)((eighth + allocatable_milli - 1) / allocatable_milli);
}

static int class_of_fit(int64_t fit)
{
    int bits = 0;

    while (bits < SAMPLES_NODE_CLASSES - 1 && fit > 0 && fit >> bits != 0)
        bits++;
    return bits;
}

void sample_add_node(struct sample *s, int64_t allocatable_milli, int64_t free_milli, int64_t fit)
{
    widen(s, SAMPLE_NODE_FREE_MIN, SAMPLE_NODE_FREE_MAX, free_milli);
    widen(s, SAMPLE_NODE_FIT_MIN, SAMPLE_NODE_FIT_MAX, fit);
    s->at[SAMPLE_NODES]++;
    s->at[SAMPLE_NODE_FREE + class_of_free(allocatable_milli, free_milli)]++;
    s->at[SAMPLE_NODE_FIT + class_of_fit(fit)]++;
}

void sample_mean(int64_t *at, int64_t *rest, int64_t mine, int64_t their_at, int64_t their_rest,
                 int64_t theirs)
{
    __int128 sum = (__int128)*at * mine + *rest + (__int128)their_at * theirs + their_rest;
    int64_t n = mine + theirs;
    __int128 twice = 2 * sum + n, mean = twice / (2 * n) - (twice % (2 * n) < 0);

    *at = (int64_t)mean;
    *rest = (int64_t)(sum - mean * n);
}

void sample_merge(struct sample *into, const struct sample *later)
{
    int64_t mine = into->merged + 1, theirs = later->merged + 1;

    for (int i = 0; i < SAMPLE_SET_POINT; i++)
        sample_mean(&into->at[i], &into->rest[i], mine, later->at[i], later->rest[i], theirs);
    for (int i = SAMPLE_SET_POINT; i < SAMPLE_COUNT_; i++)
        into->at[i] = later->at[i];
    into->merged += theirs;
}

int64_t sample_hold_ms(const struct sample *s)
{
    /* A file may say anything: a day is more than the queue can hold back. */
    enum { MOST_MERGED = 24 * 3600 * 1000 / SAMPLES_STEP_MS };
    int64_t merged = s->merged < 0 ? 0 : s->merged > MOST_MERGED ? MOST_MERGED : s->merged;

    return SAMPLES_HOLD_MS + merged * SAMPLES_STEP_MS;
}

bool samples_open(struct db *db, struct samples **ret_samples, struct err *err)
{
    struct samples *s = xcalloc(1, sizeof *s);

    for (int i = 0; i < STATEMENT_COUNT_; i++) {
        if (!db_prepare(db, sql[i], &s->stmt[i], err)) {
            samples_close(s);
            return false;
        }
    }
    if (!packs_open(db, PACKS_FIGURES, &s->packs, err)) {
        samples_close(s);
        return false;
    }
    *ret_samples = s;
    return true;
}

void samples_close(struct samples *s)
{
    if (s == NULL)
        return;
    packs_close(s->packs);
    for (int i = 0; i < STATEMENT_COUNT_; i++)
        db_stmt_free(s->stmt[i]);
    free(s);
}

bool samples_find_policy(struct samples *s, struct sv name, int64_t *ret_id, struct err *err)
{
    struct db_stmt *find = s->stmt[FIND_POLICY];
    bool row;

    db_bind_text(find, ":name", name);
    if (!db_step(find, &row, err))
        return false;
    *ret_id = row ? db_i64(find, 0) : 0;
    if (row)
        db_reset(find);
    return true;
}

bool samples_policy(struct samples *s, struct sv name, int64_t *ret_id, struct err *err)
{
    int64_t id;

    if (!samples_find_policy(s, name, &id, err))
        return false;
    if (id == 0) {
        db_bind_text(s->stmt[ADD_POLICY], ":name", name);
        if (!db_run(s->stmt[ADD_POLICY], err) || !samples_find_policy(s, name, &id, err))
            return false;
    }
    *ret_id = id;
    return true;
}

bool samples_policy_name(struct samples *s, int64_t policy, char ret_name[SAMPLES_POLICY_SIZE],
                         struct err *err)
{
    struct db_stmt *name = s->stmt[NAME_OF];
    bool row;

    db_bind_i64(name, ":policy", policy);
    if (!db_step(name, &row, err))
        return false;
    if (!row)
        return err_set(err, ERR_STORAGE, 0, "found no policy with the number %lld",
                       (long long)policy);
    (void)snprintf(ret_name, SAMPLES_POLICY_SIZE, "%.*s", SV_ARG(db_text(name, 0)));
    db_reset(name);
    return true;
}

static void bind_more(struct db_stmt *add, const struct sample *sample)
{
    struct strbuf more;

    strbuf_init(&more, MORE_BYTES);
    for (int i = OWN_COLUMNS; i < SAMPLE_COUNT_; i++)
        wire_put_signed(&more, sample->at[i]);
    db_bind_blob(add, ":more", strbuf_sv(&more));
    strbuf_done(&more);
}

bool samples_add(struct samples *s, const struct sample *sample, struct err *err)
{
    struct db_stmt *add = s->stmt[ADD];
    int64_t policy;

    if (!samples_policy(s, sv_from(sample->policy), &policy, err))
        return false;
    db_bind_i64(add, ":policy", policy);
    db_bind_i64(add, ":t", sample->t_ms);
    db_bind_i64(add, ":merged", sample->merged);
    for (int i = 0; i < OWN_COLUMNS; i++)
        db_bind_i64(add, field_binds[i], sample->at[i]);
    bind_more(add, sample);
    return db_run(add, err);
}

/* Two streams of samples by time, joined: rows, and what is packed. Where both have a moment, the row is the later call. */
struct joining {
    struct samples *samples;
    int64_t from_ms, until_ms;
    samples_each_fn *each;
    void *self;
    struct sample row, packed; /* the row that comes next, and one of a chunk on its way */
    bool has_row, ended, failed;
    struct err *err;
};

static void read_row(struct db_stmt *range, struct sample *to)
{
    struct sv more = db_blob(range, 2 + OWN_COLUMNS);

    to->t_ms = db_i64(range, 0);
    to->merged = db_i64(range, 1);
    for (int i = 0; i < OWN_COLUMNS; i++)
        to->at[i] = db_i64(range, 2 + i);
    for (int i = OWN_COLUMNS; i < SAMPLE_COUNT_; i++) {
        if (!wire_get_signed(&more, &to->at[i]))
            to->at[i] = SAMPLE_UNKNOWN;
    }
}

static void next_row(struct joining *j)
{
    struct db_stmt *range = j->samples->stmt[RANGE];

    j->failed = !db_step(range, &j->has_row, j->err);
    j->has_row = j->has_row && !j->failed;
    if (j->has_row)
        read_row(range, &j->row);
}

/* Tells the rows before t. False at the end of all. */
static bool tell_rows(struct joining *j, int64_t t_ms)
{
    while (!j->failed && !j->ended && j->has_row && j->row.t_ms < t_ms) {
        j->ended = !j->each(j->self, &j->row);
        if (!j->ended)
            next_row(j);
    }
    return !j->failed && !j->ended;
}

/* A chunk's values, column by column; columns that it lacks are unknown. */
struct table {
    size_t rows;
    int64_t *at[ID_COUNT_];
    int64_t *values;
};

static bool unpack(struct sv data, struct table *ret_table, struct err *err)
{
    struct codec_cursor cursor = {0};
    struct err damage = {0};
    struct table t = {0};
    struct codec c;

    if (!codec_open(data, &c, err))
        return false;
    t.rows = c.rows;
    t.values = xcalloc(ID_COUNT_ * c.rows, sizeof *t.values);
    while (codec_next(&c, &cursor, &damage)) {
        if (cursor.id >= ID_COUNT_)
            continue;
        t.at[cursor.id] = t.values + cursor.id * c.rows;
        if (!codec_values(&c, &cursor, t.at[cursor.id], &damage))
            break;
    }
    if (damage.kind != ERR_NONE || t.at[ID_TIME] == NULL || t.at[ID_MERGED] == NULL) {
        free(t.values);
        return err_set(err, ERR_STORAGE, 0, "%s",
                       damage.kind != ERR_NONE ? damage.text : "a chunk has no times");
    }
    *ret_table = t;
    return true;
}

static void sample_of(const struct table *t, size_t row, struct sample *to)
{
    to->t_ms = t->at[ID_TIME][row];
    to->merged = t->at[ID_MERGED][row];
    for (int i = 0; i < SAMPLE_COUNT_; i++)
        to->at[i] = t->at[ID_FIELDS + i] != NULL ? t->at[ID_FIELDS + i][row] : SAMPLE_UNKNOWN;
}

static bool join_chunk(void *self, const struct pack *pack)
{
    struct joining *j = self;
    struct table t;
    bool more = true;

    if (!unpack(pack->data, &t, NULL)) {
        j->samples->damaged++;
        return true;
    }
    for (size_t i = 0; more && i < t.rows; i++) {
        sample_of(&t, i, &j->packed);
        if (j->packed.t_ms < j->from_ms || j->packed.t_ms >= j->until_ms)
            continue;
        more = tell_rows(j, j->packed.t_ms);
        if (more && !(j->has_row && j->row.t_ms == j->packed.t_ms))
            more = !(j->ended = !j->each(j->self, &j->packed));
    }
    free(t.values);
    return more;
}

static void join(struct joining *j, int64_t policy)
{
    struct db_stmt *range = j->samples->stmt[RANGE];

    db_bind_i64(range, ":policy", policy);
    db_bind_i64(range, ":from", j->from_ms);
    db_bind_i64(range, ":until", j->until_ms);
    next_row(j);
    if (!j->failed && !packs_each(j->samples->packs, policy, LEVEL_SAMPLES, j->from_ms, j->until_ms,
                                  join_chunk, j, j->err))
        j->failed = true;
    if (!j->failed && !j->ended)
        (void)tell_rows(j, INT64_MAX);
    db_reset(range);
}

bool samples_each(struct samples *s, struct sv policy, int64_t from_ms, int64_t until_ms,
                  samples_each_fn *each, void *self, struct err *err)
{
    struct joining j = {.samples = s,
                        .from_ms = from_ms,
                        .until_ms = until_ms,
                        .each = each,
                        .self = self,
                        .err = err};
    int64_t id;

    if (!samples_find_policy(s, policy, &id, err))
        return false;
    (void)snprintf(j.row.policy, sizeof j.row.policy, "%.*s", SV_ARG(policy));
    (void)snprintf(j.packed.policy, sizeof j.packed.policy, "%.*s", SV_ARG(policy));
    if (id != 0)
        join(&j, id);
    return !j.failed;
}

struct latest {
    int64_t t_ms, found_ms;
};

/* The last sample of a chunk that is not after t. */
static bool find_latest(void *self, const struct pack *pack)
{
    struct latest *l = self;
    struct table t;

    l->found_ms = pack->begin_ms;
    if (!unpack(pack->data, &t, NULL))
        return false;
    for (size_t i = 0; i < t.rows; i++) {
        if (t.at[ID_TIME][i] <= l->t_ms && t.at[ID_TIME][i] > l->found_ms)
            l->found_ms = t.at[ID_TIME][i];
    }
    free(t.values);
    return false;
}

bool samples_last_before(struct samples *s, struct sv policy, int64_t t_ms, int64_t *ret_t_ms,
                         struct err *err)
{
    struct latest latest = {.t_ms = t_ms, .found_ms = INT64_MIN};
    struct db_stmt *last = s->stmt[LAST_BEFORE];
    int64_t id, row_ms = INT64_MIN;
    bool row;

    if (!samples_find_policy(s, policy, &id, err))
        return false;
    db_bind_i64(last, ":policy", id);
    db_bind_i64(last, ":t", t_ms);
    if (!db_step(last, &row, err))
        return false;
    if (row) {
        row_ms = db_i64(last, 0);
        db_reset(last);
    }
    if (!packs_last_before(s->packs, id, LEVEL_SAMPLES, t_ms, find_latest, &latest, err))
        return false;
    *ret_t_ms = row_ms > latest.found_ms ? row_ms : latest.found_ms;
    return true;
}

bool samples_policies(struct samples *s, void (*each)(void *self, struct sv name), void *self,
                      struct err *err)
{
    struct db_stmt *policies = s->stmt[POLICIES];
    bool row;

    for (;;) {
        if (!db_step(policies, &row, err))
            return false;
        if (!row)
            return true;
        each(self, db_text(policies, 0));
    }
}

bool samples_span(struct samples *s, int64_t *ret_first_ms, int64_t *ret_last_ms, struct err *err)
{
    struct db_stmt *span = s->stmt[SPAN];
    int64_t first, last, begin, until;
    bool row;

    if (!packs_span(s->packs, LEVEL_SAMPLES, &begin, &until, err) || !db_step(span, &row, err))
        return false;
    first = row ? db_i64(span, 0) : 0;
    last = row ? db_i64(span, 1) : 0;
    if (row)
        db_reset(span);
    if (until != 0) {
        first = last == 0 || begin < first ? begin : first;
        last = until - 1 > last ? until - 1 : last;
    }
    *ret_first_ms = first;
    *ret_last_ms = last;
    return true;
}

bool samples_forget(struct samples *s, int64_t before_ms, struct err *err)
{
    db_bind_i64(s->stmt[FORGET], ":before", before_ms);
    return db_run(s->stmt[FORGET], err) && packs_forget(s->packs, LEVEL_SAMPLES, before_ms, err);
}

bool samples_unpacked(struct samples *s, int64_t now_ms, int64_t *ret_policy, int64_t *ret_hour_ms,
                      struct err *err)
{
    return packs_unpacked(s->stmt[UNPACKED], now_ms, ret_policy, ret_hour_ms, err);
}

static bool gather(void *self, const struct sample *sample)
{
    struct table *t = self;

    t->at[ID_TIME][t->rows] = sample->t_ms;
    t->at[ID_MERGED][t->rows] = sample->merged;
    for (int i = 0; i < SAMPLE_COUNT_; i++)
        t->at[ID_FIELDS + i][t->rows] = sample->at[i];
    return ++t->rows < CODEC_MAX_ROWS;
}

static bool count(void *self, const struct sample *sample UNUSED)
{
    return ++*(size_t *)self < CODEC_MAX_ROWS;
}

static bool is_unknown(const int64_t *values, size_t rows)
{
    size_t i = 0;

    while (i < rows && values[i] == SAMPLE_UNKNOWN)
        i++;
    return i == rows;
}

static void pack_table(const struct table *t, struct strbuf *to)
{
    struct codec_column columns[ID_COUNT_];
    size_t n = 0;

    for (uint32_t id = 0; id < ID_COUNT_; id++) {
        if (!is_unknown(t->at[id], t->rows))
            columns[n++] = (struct codec_column){.id = id, .values = t->at[id]};
    }
    codec_pack(columns, n, t->rows, to);
}

/* Every second row is enough where all are more than a chunk holds. */
static void thin_out(struct table *t)
{
    for (size_t id = 0; id < ID_COUNT_; id++) {
        for (size_t i = 0; i < t->rows; i += 2)
            t->at[id][i / 2] = t->at[id][i];
    }
    t->rows = (t->rows + 1) / 2;
}

static bool put_table(struct samples *s, int64_t policy, int64_t hour_ms, struct table *t,
                      struct err *err)
{
    struct strbuf data;
    bool ok;

    strbuf_init(&data, DB_MAX_VALUE);
    pack_table(t, &data);
    while (data.full) {
        thin_out(t);
        strbuf_done(&data);
        strbuf_init(&data, DB_MAX_VALUE);
        pack_table(t, &data);
    }
    ok = packs_put(s->packs, policy, LEVEL_SAMPLES,
                   &(struct pack){.first_ms = hour_ms,
                                  .begin_ms = t->at[ID_TIME][0],
                                  .until_ms = t->at[ID_TIME][t->rows - 1] + 1,
                                  .rows = (int64_t)t->rows,
                                  .data = strbuf_sv(&data)},
                   err);
    strbuf_done(&data);
    return ok;
}

static bool drop_rows(struct samples *s, int64_t policy, int64_t hour_ms, struct err *err)
{
    struct db_stmt *drop = s->stmt[DROP];

    db_bind_i64(drop, ":policy", policy);
    db_bind_i64(drop, ":from", hour_ms);
    db_bind_i64(drop, ":until", hour_ms + PACKS_HOUR_MS);
    return db_run(drop, err);
}

bool samples_has_rows(struct samples *s, int64_t policy, int64_t from_ms, int64_t until_ms,
                      bool *ret_has, struct err *err)
{
    struct db_stmt *any = s->stmt[ANY];
    bool row;

    db_bind_i64(any, ":policy", policy);
    db_bind_i64(any, ":from", from_ms);
    db_bind_i64(any, ":until", until_ms);
    if (!db_step(any, &row, err))
        return false;
    if (row)
        db_reset(any);
    *ret_has = row;
    return true;
}

bool samples_rows_span(struct samples *s, int64_t policy, int64_t *ret_first_ms,
                       int64_t *ret_last_ms, struct err *err)
{
    struct db_stmt *span = s->stmt[ROWS_SPAN];
    bool row;

    db_bind_i64(span, ":policy", policy);
    if (!db_step(span, &row, err))
        return false;
    *ret_first_ms = row ? db_i64(span, 0) : INT64_MIN;
    *ret_last_ms = row ? db_i64(span, 1) : INT64_MIN;
    if (row)
        db_reset(span);
    return true;
}

bool samples_pack(struct samples *s, int64_t policy, int64_t hour_ms, struct err *err)
{
    CLEANUP(free_ptr) int64_t *values = NULL;
    int64_t until_ms = hour_ms + PACKS_HOUR_MS;
    char name[SAMPLES_POLICY_SIZE];
    struct table t = {0};
    size_t rows = 0;

    if (!samples_policy_name(s, policy, name, err) ||
        !samples_each(s, sv_from(name), hour_ms, until_ms, count, &rows, err))
        return false;
    values = xcalloc(ID_COUNT_ * rows + 1, sizeof *values);
    for (size_t i = 0; i < ID_COUNT_; i++)
        t.at[i] = values + i * rows;
    return samples_each(s, sv_from(name), hour_ms, until_ms, gather, &t, err) &&
           (t.rows == 0 || put_table(s, policy, hour_ms, &t, err)) &&
           drop_rows(s, policy, hour_ms, err);
}

bool samples_drop_hour(struct samples *s, int64_t policy, int64_t hour_ms, struct err *err)
{
    return drop_rows(s, policy, hour_ms, err) &&
           packs_drop(s->packs, policy, LEVEL_SAMPLES, hour_ms, err);
}

int64_t samples_damaged(const struct samples *s)
{
    return s->damaged;
}
