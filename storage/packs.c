#include "storage/packs.h"

#include "base/alloc.h"

enum statement { PUT, DROP, HAS, RANGE, LAST_BEFORE, SPAN, FORGET, STATEMENT_COUNT_ };

#define OF_ALL "(SELECT id FROM policy UNION ALL SELECT 0)"

/* SPAN goes through the primary key: a scan of the table would read all that lies in it. */
#define STATEMENTS(TABLE)                                                                          \
    {                                                                                              \
        [PUT] = "INSERT OR REPLACE INTO " TABLE "(policy, level, first, begin, until, rows, data)" \
                " VALUES(:policy, :level, :first, :begin, :until, :rows, :data)",                  \
        [DROP] =                                                                                   \
            "DELETE FROM " TABLE " WHERE policy = :policy AND level = :level AND first = :first",  \
        [HAS] = "SELECT first FROM " TABLE                                                         \
                " WHERE policy = :policy AND level = :level AND first = :first",                   \
        [RANGE] =                                                                                  \
            "SELECT first, begin, until, rows, data FROM " TABLE                                   \
            " WHERE policy = :policy AND level = :level AND first >= :from AND first < :until"     \
            " ORDER BY first",                                                                     \
        [LAST_BEFORE] = "SELECT first, begin, until, rows, data FROM " TABLE                       \
                        " WHERE policy = :policy AND level = :level AND first <= :t"               \
                        " AND begin <= :t ORDER BY first DESC LIMIT 1",                            \
        [SPAN] = "SELECT min(b), max(u) FROM (SELECT (SELECT begin FROM " TABLE                    \
                 " WHERE policy = id AND level = :level ORDER BY first LIMIT 1) AS b,"             \
                 " (SELECT until FROM " TABLE " WHERE policy = id AND level = :level"              \
                 " ORDER BY first DESC LIMIT 1) AS u FROM " OF_ALL ")",                            \
        [FORGET] = "DELETE FROM " TABLE " WHERE policy IN " OF_ALL                                 \
                   " AND level = :level AND first < :before AND until <= :before",                 \
    }

static const char *const sql[PACKS_TABLE_COUNT_][STATEMENT_COUNT_] = {
    [PACKS_FIGURES] = STATEMENTS("pack"), [PACKS_ACTIVITY] = STATEMENTS("activity")};

struct packs {
    struct db_stmt *stmt[STATEMENT_COUNT_];
};

int64_t level_step_ms(enum level level)
{
    static const int64_t steps[] = {[LEVEL_SAMPLES] = 0,
                                    [LEVEL_MINUTE] = PACKS_MINUTE_MS,
                                    [LEVEL_HOUR] = PACKS_HOUR_MS,
                                    [LEVEL_DAY] = PACKS_DAY_MS,
                                    [LEVEL_GROUP_MINUTE] = PACKS_MINUTE_MS,
                                    [LEVEL_GROUP_HOUR] = PACKS_HOUR_MS,
                                    [LEVEL_GROUP_DAY] = PACKS_DAY_MS};
    _Static_assert(COUNT_OF(steps) == LEVEL_COUNT_, "a level has no step");

    return steps[level];
}

int64_t level_span_ms(enum level level)
{
    static const int64_t spans[] = {
        [LEVEL_SAMPLES] = PACKS_HOUR_MS,      [LEVEL_MINUTE] = PACKS_HOUR_MS,
        [LEVEL_HOUR] = PACKS_DAY_MS,          [LEVEL_DAY] = 64 * PACKS_DAY_MS,
        [LEVEL_GROUP_MINUTE] = PACKS_HOUR_MS, [LEVEL_GROUP_HOUR] = PACKS_DAY_MS,
        [LEVEL_GROUP_DAY] = 64 * PACKS_DAY_MS};
    _Static_assert(COUNT_OF(spans) == LEVEL_COUNT_, "a level has no span");

    return spans[level];
}

int64_t packs_floor(int64_t t_ms, int64_t unit_ms)
{
    int64_t rest = t_ms % unit_ms;

    return t_ms - (rest < 0 ? rest + unit_ms : rest);
}

bool packs_unpacked(struct db_stmt *unpacked, int64_t now_ms, int64_t *ret_policy,
                    int64_t *ret_hour_ms, struct err *err)
{
    int64_t hour_ms = packs_floor(now_ms, PACKS_HOUR_MS), t_ms;
    bool row;

    db_bind_i64(unpacked, ":hour", hour_ms);
    db_bind_i64(unpacked, ":next", hour_ms + PACKS_HOUR_MS);
    if (!db_step(unpacked, &row, err))
        return false;
    *ret_hour_ms = INT64_MIN;
    if (!row)
        return true;
    /* An absent number reads as 0, and a time of 0 is early. */
    t_ms = db_text(unpacked, 1).at != NULL ? db_i64(unpacked, 1) : db_i64(unpacked, 2);
    *ret_policy = db_i64(unpacked, 0);
    *ret_hour_ms = packs_floor(t_ms, PACKS_HOUR_MS);
    db_reset(unpacked);
    return true;
}

bool packs_open(struct db *db, enum packs_table table, struct packs **ret_packs, struct err *err)
{
    struct packs *p = xcalloc(1, sizeof *p);

    for (int i = 0; i < STATEMENT_COUNT_; i++) {
        if (!db_prepare(db, sql[table][i], &p->stmt[i], err)) {
            packs_close(p);
            return false;
        }
    }
    *ret_packs = p;
    return true;
}

void packs_close(struct packs *p)
{
    if (p == NULL)
        return;
    for (int i = 0; i < STATEMENT_COUNT_; i++)
        db_stmt_free(p->stmt[i]);
    free(p);
}

bool packs_put(struct packs *p, int64_t policy, enum level level, const struct pack *pack,
               struct err *err)
{
    struct db_stmt *s = p->stmt[PUT];

    db_bind_i64(s, ":policy", policy);
    db_bind_i64(s, ":level", level);
    db_bind_i64(s, ":first", pack->first_ms);
    db_bind_i64(s, ":begin", pack->begin_ms);
    db_bind_i64(s, ":until", pack->until_ms);
    db_bind_i64(s, ":rows", pack->rows);
    db_bind_blob(s, ":data", pack->data);
    return db_run(s, err);
}

bool packs_put_steps(struct packs *p, int64_t policy, enum level level, int64_t first_ms,
                     const int64_t *steps, size_t n, struct sv data, struct err *err)
{
    int64_t step_ms = level_step_ms(level);
    const struct pack pack = {.first_ms = first_ms,
                              .begin_ms = first_ms + steps[0] * step_ms,
                              .until_ms = first_ms + (steps[n - 1] + 1) * step_ms,
                              .rows = (int64_t)n,
                              .data = data};

    return packs_put(p, policy, level, &pack, err);
}

static void bind_place(struct db_stmt *s, int64_t policy, enum level level, int64_t first_ms)
{
    db_bind_i64(s, ":policy", policy);
    db_bind_i64(s, ":level", level);
    db_bind_i64(s, ":first", first_ms);
}

bool packs_drop(struct packs *p, int64_t policy, enum level level, int64_t first_ms,
                struct err *err)
{
    bind_place(p->stmt[DROP], policy, level, first_ms);
    return db_run(p->stmt[DROP], err);
}

/* Shows row after row. */
static bool show(struct db_stmt *s, packs_each_fn *each, void *self, struct err *err)
{
    bool row;

    for (;;) {
        if (!db_step(s, &row, err))
            return false;
        if (!row)
            return true;
        if (!each(self, &(struct pack){.first_ms = db_i64(s, 0),
                                       .begin_ms = db_i64(s, 1),
                                       .until_ms = db_i64(s, 2),
                                       .rows = db_i64(s, 3),
                                       .data = db_blob(s, 4)})) {
            db_reset(s);
            return true;
        }
    }
}

bool packs_each(struct packs *p, int64_t policy, enum level level, int64_t from_ms,
                int64_t until_ms, packs_each_fn *each, void *self, struct err *err)
{
    struct db_stmt *s = p->stmt[RANGE];

    db_bind_i64(s, ":policy", policy);
    db_bind_i64(s, ":level", level);
    db_bind_i64(s, ":from", packs_floor(from_ms, level_span_ms(level)));
    db_bind_i64(s, ":until", until_ms);
    return show(s, each, self, err);
}

bool packs_has(struct packs *p, int64_t policy, enum level level, int64_t first_ms, bool *ret_has,
               struct err *err)
{
    struct db_stmt *s = p->stmt[HAS];
    bool row;

    bind_place(s, policy, level, first_ms);
    if (!db_step(s, &row, err))
        return false;
    if (row)
        db_reset(s);
    *ret_has = row;
    return true;
}

bool packs_last_before(struct packs *p, int64_t policy, enum level level, int64_t t_ms,
                       packs_each_fn *each, void *self, struct err *err)
{
    struct db_stmt *s = p->stmt[LAST_BEFORE];

    db_bind_i64(s, ":policy", policy);
    db_bind_i64(s, ":level", level);
    db_bind_i64(s, ":t", t_ms);
    return show(s, each, self, err);
}

bool packs_span(struct packs *p, enum level level, int64_t *ret_begin_ms, int64_t *ret_until_ms,
                struct err *err)
{
    struct db_stmt *s = p->stmt[SPAN];
    bool row;

    db_bind_i64(s, ":level", level);
    if (!db_step(s, &row, err))
        return false;
    *ret_begin_ms = row ? db_i64(s, 0) : 0;
    *ret_until_ms = row ? db_i64(s, 1) : 0;
    if (row)
        db_reset(s);
    return true;
}

bool packs_forget(struct packs *p, enum level level, int64_t before_ms, struct err *err)
{
    db_bind_i64(p->stmt[FORGET], ":level", level);
    db_bind_i64(p->stmt[FORGET], ":before", before_ms);
    return db_run(p->stmt[FORGET], err);
}
