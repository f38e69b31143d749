#include "storage/samples.h"

#include <stdio.h>

#include "base/alloc.h"

static const char *const field_names[] = {
    [SAMPLE_ALLOCATABLE] = "allocatable", [SAMPLE_PAID] = "paid",
    [SAMPLE_PENDING] = "pending",         [SAMPLE_READY] = "ready",
    [SAMPLE_STARTING] = "starting",       [SAMPLE_LEAVING] = "leaving",
    [SAMPLE_REMAINING] = "remaining",     [SAMPLE_RESERVE] = "reserve",
    [SAMPLE_HEADROOM] = "headroom",       [SAMPLE_KEPT] = "kept",
    [SAMPLE_SET_POINT] = "set_point",     [SAMPLE_DAMPED] = "damped",
    [SAMPLE_REPLICAS] = "replicas",       [SAMPLE_WAITING] = "waiting",
};
_Static_assert(COUNT_OF(field_names) == SAMPLE_COUNT_, "a field has no name");

/* Parameter names, in the order of the fields. */
static const char *const field_binds[] = {
    ":allocatable", ":paid",     ":pending", ":ready",     ":starting", ":leaving",  ":remaining",
    ":reserve",     ":headroom", ":kept",    ":set_point", ":damped",   ":replicas", ":waiting",
};
_Static_assert(COUNT_OF(field_binds) == SAMPLE_COUNT_, "a field cannot be bound");

#define COLUMNS                                                                                    \
    "allocatable, paid, pending, ready, starting, leaving, remaining, reserve, headroom, "         \
    "kept, set_point, damped, replicas, waiting"

enum statement {
    ADD,
    ADD_POLICY,
    FIND_POLICY,
    POLICIES,
    RANGE,
    LAST_BEFORE,
    SPAN,
    FORGET,
    STATEMENT_COUNT_
};

static const char *const sql[] = {
    [ADD] = ("INSERT OR REPLACE INTO sample(policy, t, merged, " COLUMNS
             ") VALUES(:policy, :t, :merged, :allocatable, :paid, "
             ":pending, :ready, :starting, :leaving, :remaining, :reserve, :headroom, :kept, "
             ":set_point, :damped, :replicas, :waiting)"),
    [ADD_POLICY] = "INSERT INTO policy(name) VALUES(:name) ON CONFLICT DO NOTHING",
    [FIND_POLICY] = "SELECT id FROM policy WHERE name = :name",
    [POLICIES] = "SELECT name FROM policy ORDER BY id",
    [RANGE] = "SELECT t, merged, " COLUMNS
              " FROM sample WHERE policy = :policy AND t >= :from AND t < :until ORDER BY t",
    [LAST_BEFORE] =
        "SELECT t FROM sample WHERE policy = :policy AND t <= :t ORDER BY t DESC LIMIT 1",
    [SPAN] = "SELECT min(first), max(last) FROM (SELECT (SELECT min(t) FROM sample WHERE policy = "
             "id) AS first,"
             " (SELECT max(t) FROM sample WHERE policy = id) AS last FROM policy)",
    [FORGET] = "DELETE FROM sample WHERE policy IN (SELECT id FROM policy) AND t < :before",
};
_Static_assert(COUNT_OF(sql) == STATEMENT_COUNT_, "a statement has no text");

struct samples {
    struct db_stmt *stmt[STATEMENT_COUNT_];
};

const char *sample_field_name(enum sample_field field)
{
    return field_names[field];
}

void sample_merge(struct sample *into, const struct sample *later)
{
    int64_t mine = into->merged + 1, theirs = later->merged + 1;

    for (int i = 0; i < SAMPLE_SET_POINT; i++)
        into->at[i] += (int64_t)((__int128)(later->at[i] - into->at[i]) * theirs / (mine + theirs));
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
    *ret_samples = s;
    return true;
}

void samples_close(struct samples *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < STATEMENT_COUNT_; i++)
        db_stmt_free(s->stmt[i]);
    free(s);
}

/* 0: there is none. */
static bool find_policy(struct samples *s, struct sv name, int64_t *ret_id, struct err *err)
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

    if (!find_policy(s, name, &id, err))
        return false;
    if (id == 0) {
        db_bind_text(s->stmt[ADD_POLICY], ":name", name);
        if (!db_run(s->stmt[ADD_POLICY], err) || !find_policy(s, name, &id, err))
            return false;
    }
    *ret_id = id;
    return true;
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
    for (int i = 0; i < SAMPLE_COUNT_; i++)
        db_bind_i64(add, field_binds[i], sample->at[i]);
    return db_run(add, err);
}

bool samples_each(struct samples *s, struct sv policy, int64_t from_ms, int64_t until_ms,
                  samples_each_fn *each, void *self, struct err *err)
{
    struct db_stmt *range = s->stmt[RANGE];
    struct sample sample = {0};
    int64_t id;
    bool row;

    if (!find_policy(s, policy, &id, err))
        return false;
    (void)snprintf(sample.policy, sizeof sample.policy, "%.*s", SV_ARG(policy));
    db_bind_i64(range, ":policy", id);
    db_bind_i64(range, ":from", from_ms);
    db_bind_i64(range, ":until", until_ms);
    for (;;) {
        if (!db_step(range, &row, err))
            return false;
        if (!row)
            return true;
        sample.t_ms = db_i64(range, 0);
        sample.merged = db_i64(range, 1);
        for (int i = 0; i < SAMPLE_COUNT_; i++)
            sample.at[i] = db_i64(range, 2 + i);
        if (!each(self, &sample)) {
            db_reset(range);
            return true;
        }
    }
}

bool samples_last_before(struct samples *s, struct sv policy, int64_t t_ms, int64_t *ret_t_ms,
                         struct err *err)
{
    struct db_stmt *last = s->stmt[LAST_BEFORE];
    int64_t id;
    bool row;

    if (!find_policy(s, policy, &id, err))
        return false;
    db_bind_i64(last, ":policy", id);
    db_bind_i64(last, ":t", t_ms);
    if (!db_step(last, &row, err))
        return false;
    *ret_t_ms = row ? db_i64(last, 0) : INT64_MIN;
    if (row)
        db_reset(last);
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
    bool row;

    if (!db_step(span, &row, err))
        return false;
    *ret_first_ms = row ? db_i64(span, 0) : 0;
    *ret_last_ms = row ? db_i64(span, 1) : 0;
    if (row)
        db_reset(span);
    return true;
}

bool samples_forget(struct samples *s, int64_t before_ms, struct err *err)
{
    db_bind_i64(s->stmt[FORGET], ":before", before_ms);
    return db_run(s->stmt[FORGET], err);
}
