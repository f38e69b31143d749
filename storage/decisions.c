#include "storage/decisions.h"

#include <stdio.h>

#include "base/alloc.h"

static const char *const field_names[] = {
    [DECISION_BEFORE] = "before",
    [DECISION_REPLICAS] = "replicas",
    [DECISION_SET_POINT] = "set_point",
    [DECISION_DAMPED] = "damped",
    [DECISION_SLOTS] = "slots",
    [DECISION_KEPT_SLOTS] = "kept_slots",
    [DECISION_SLOT] = "slot",
    [DECISION_HOLE_SLOTS] = "hole_slots",
    [DECISION_ALLOCATABLE] = "allocatable",
    [DECISION_PAID] = "paid",
    [DECISION_PENDING] = "pending",
    [DECISION_RESERVE] = "reserve",
    [DECISION_HEADROOM] = "headroom",
    [DECISION_LATENCY] = "latency_us",
};
_Static_assert(COUNT_OF(field_names) == DECISION_COUNT_, "a field has no name");

#define COLUMNS                                                                                    \
    "before, replicas, set_point, damped, slots, kept_slots, slot, hole_slots, allocatable, "      \
    "paid, pending, reserve, headroom, latency_us"

enum statement { ADD, RANGE, RISING, ONE, DROP, LAST_ID, FORGET, STATEMENT_COUNT_ };

#define SELECTED                                                                                   \
    "SELECT decision.id, t, reason, bound, detail, policy.name, " COLUMNS                          \
    " FROM decision JOIN policy ON policy.id = decision.policy "
#define FILTERED                                                                                   \
    SELECTED "WHERE decision.id < :below AND t >= :from AND t < :until AND (:policy = '' OR "      \
             "policy.name = :policy) AND (:reason = '' OR reason = :reason) ORDER BY decision.id"

static const char *const sql[] = {
    [ADD] = "INSERT INTO decision(id, policy, t, reason, bound, detail, " COLUMNS
            ") VALUES(:id, :policy, :t, :reason, :bound, "
            ":detail, :before, :replicas, :set_point, :damped, :slots, :kept_slots, :slot, "
            ":hole_slots, :allocatable, :paid, "
            ":pending, :reserve, :headroom, :latency_us)",
    [RANGE] = FILTERED " DESC",
    [RISING] = FILTERED,
    [ONE] = SELECTED "WHERE decision.id = :id",
    [DROP] = "DELETE FROM decision WHERE id = :id",
    [LAST_ID] = "SELECT max(id) FROM decision",
    [FORGET] = "DELETE FROM decision WHERE t < :before",
};
_Static_assert(COUNT_OF(sql) == STATEMENT_COUNT_, "a statement has no text");

struct decisions {
    struct samples *policies;
    struct db_stmt *stmt[STATEMENT_COUNT_];
};

const char *decision_field_name(enum decision_field field)
{
    return field_names[field];
}

bool decisions_open(struct db *db, struct samples *policies, struct decisions **ret_decisions,
                    struct err *err)
{
    struct decisions *d = xcalloc(1, sizeof *d);

    d->policies = policies;
    for (int i = 0; i < STATEMENT_COUNT_; i++) {
        if (!db_prepare(db, sql[i], &d->stmt[i], err)) {
            decisions_close(d);
            return false;
        }
    }
    *ret_decisions = d;
    return true;
}

void decisions_close(struct decisions *d)
{
    if (d == NULL)
        return;
    for (int i = 0; i < STATEMENT_COUNT_; i++)
        db_stmt_free(d->stmt[i]);
    free(d);
}

bool decisions_add(struct decisions *d, const struct decision_entry *entry, struct err *err)
{
    struct db_stmt *add = d->stmt[ADD];
    char name[DECISIONS_WORD_SIZE];
    int64_t policy;

    if (!samples_policy(d->policies, sv_from(entry->policy), &policy, err))
        return false;
    db_bind_i64(add, ":id", (int64_t)entry->id);
    db_bind_i64(add, ":policy", policy);
    db_bind_i64(add, ":t", entry->t_ms);
    db_bind_text(add, ":reason", sv_from(entry->reason));
    db_bind_text(add, ":bound", sv_from(entry->bound));
    db_bind_text(add, ":detail", sv_from(entry->detail));
    for (int i = 0; i < DECISION_COUNT_; i++) {
        (void)snprintf(name, sizeof name, ":%s", field_names[i]);
        db_bind_i64(add, name, entry->at[i]);
    }
    return db_run(add, err);
}

static void copy(char *to, size_t size, struct sv text)
{
    (void)snprintf(to, size, "%.*s", SV_ARG(text));
}

static void read_row(struct db_stmt *row, struct decision_entry *entry)
{
    entry->id = (uint64_t)db_i64(row, 0);
    entry->t_ms = db_i64(row, 1);
    copy(entry->reason, sizeof entry->reason, db_text(row, 2));
    copy(entry->bound, sizeof entry->bound, db_text(row, 3));
    copy(entry->detail, sizeof entry->detail, db_text(row, 4));
    copy(entry->policy, sizeof entry->policy, db_text(row, 5));
    for (int i = 0; i < DECISION_COUNT_; i++)
        entry->at[i] = db_i64(row, 6 + i);
}

bool decisions_each(struct decisions *d, const struct decisions_filter *filter,
                    decisions_each_fn *each, void *self, struct err *err)
{
    struct db_stmt *range = d->stmt[filter->oldest_first ? RISING : RANGE];
    struct decision_entry entry;
    bool row;

    db_bind_i64(range, ":below",
                filter->before != 0 && filter->before < INT64_MAX ? (int64_t)filter->before
                                                                  : INT64_MAX);
    db_bind_i64(range, ":from", filter->from_ms);
    db_bind_i64(range, ":until", filter->until_ms != 0 ? filter->until_ms : INT64_MAX);
    db_bind_text(range, ":policy", filter->policy);
    db_bind_text(range, ":reason", filter->reason);
    for (;;) {
        if (!db_step(range, &row, err))
            return false;
        if (!row)
            return true;
        read_row(range, &entry);
        if (!each(self, &entry)) {
            db_reset(range);
            return true;
        }
    }
}

bool decisions_find(struct decisions *d, uint64_t id, struct decision_entry *ret_entry,
                    bool *ret_there, struct err *err)
{
    struct db_stmt *one = d->stmt[ONE];

    db_bind_i64(one, ":id", (int64_t)id);
    if (!db_step(one, ret_there, err))
        return false;
    if (*ret_there) {
        *ret_entry = (struct decision_entry){0};
        read_row(one, ret_entry);
        db_reset(one);
    }
    return true;
}

bool decisions_drop(struct decisions *d, uint64_t id, struct err *err)
{
    db_bind_i64(d->stmt[DROP], ":id", (int64_t)id);
    return db_run(d->stmt[DROP], err);
}

bool decisions_last_id(struct decisions *d, uint64_t *ret_id, struct err *err)
{
    bool row;

    if (!db_step(d->stmt[LAST_ID], &row, err))
        return false;
    *ret_id = row && db_i64(d->stmt[LAST_ID], 0) > 0 ? (uint64_t)db_i64(d->stmt[LAST_ID], 0) : 0;
    if (row)
        db_reset(d->stmt[LAST_ID]);
    return true;
}

bool decisions_forget(struct decisions *d, int64_t before_ms, struct err *err)
{
    db_bind_i64(d->stmt[FORGET], ":before", before_ms);
    return db_run(d->stmt[FORGET], err);
}
