#include "storage/policies.h"

static const char *const add_sql =
    "INSERT INTO policy_text(name, text, saved_at) VALUES(:name, :text, :saved_at)";
static const char *const get_sql = "SELECT name, text, saved_at FROM policy_text ORDER BY id";
static const char *const stays_sql = "UPDATE policy_found SET in_force = 1 WHERE policy = :policy";
static const char *const found_sql =
    "INSERT INTO policy_found(policy, uid, replicas, in_force)"
    "  VALUES(:policy, :uid, :replicas, 1)"
    "  ON CONFLICT(policy) DO UPDATE SET uid = excluded.uid, replicas = excluded.replicas"
    "  WHERE uid <> excluded.uid";
static const char *const get_found_sql =
    "SELECT policy, uid, replicas FROM policy_found ORDER BY policy";

static bool add_all(struct db *db, const struct policies_text *texts, size_t n, int64_t saved_at_ms,
                    struct err *err)
{
    struct db_stmt *add;
    bool ok = db_prepare(db, add_sql, &add, err);

    if (!ok)
        return false;
    for (size_t i = 0; ok && i < n; i++) {
        db_bind_text(add, ":name", texts[i].name);
        db_bind_blob(add, ":text", texts[i].text);
        db_bind_i64(add, ":saved_at", saved_at_ms);
        ok = db_run(add, err);
    }
    db_stmt_free(add);
    return ok;
}

bool policies_save(struct db *db, const struct policies_text *texts, size_t n, int64_t saved_at_ms,
                   struct err *err)
{
    if (!db_begin(db, err))
        return false;
    if (db_exec(db, "DELETE FROM policy_text", err) && add_all(db, texts, n, saved_at_ms, err) &&
        db_commit(db, err))
        return true;
    db_rollback(db);
    return false;
}

bool policies_load(struct db *db,
                   void (*each)(void *self, const struct policies_text *text, int64_t saved_at_ms),
                   void *self, struct err *err)
{
    struct db_stmt *get;
    bool row = false, ok = db_prepare(db, get_sql, &get, err);

    if (!ok)
        return false;
    while ((ok = db_step(get, &row, err)) && row) {
        const struct policies_text text = {.name = db_text(get, 0), .text = db_blob(get, 1)};

        each(self, &text, db_i64(get, 2));
    }
    db_stmt_free(get);
    return ok;
}

/* Found counts. */

static bool mark_all(struct db *db, const struct policies_found *found, size_t n, struct err *err)
{
    struct db_stmt *stays;
    bool ok = db_prepare(db, stays_sql, &stays, err);

    if (!ok)
        return false;
    for (size_t i = 0; ok && i < n; i++) {
        db_bind_text(stays, ":policy", found[i].policy);
        ok = db_run(stays, err);
    }
    db_stmt_free(stays);
    return ok;
}

static bool add_found(struct db *db, const struct policies_found *found, size_t n, struct err *err)
{
    struct db_stmt *add;
    bool ok = db_prepare(db, found_sql, &add, err);

    if (!ok)
        return false;
    for (size_t i = 0; ok && i < n; i++) {
        char uid[UID_TEXT_SIZE];

        if (uid_is_zero(found[i].uid))
            continue;
        uid_format(found[i].uid, uid);
        db_bind_text(add, ":policy", found[i].policy);
        db_bind_text(add, ":uid", sv_from(uid));
        db_bind_i64(add, ":replicas", found[i].replicas);
        ok = db_run(add, err);
    }
    db_stmt_free(add);
    return ok;
}

bool policies_keep_found(struct db *db, const struct policies_found *found, size_t n,
                         struct err *err)
{
    if (!db_begin(db, err))
        return false;
    if (db_exec(db, "UPDATE policy_found SET in_force = 0", err) && mark_all(db, found, n, err) &&
        add_found(db, found, n, err) &&
        db_exec(db, "DELETE FROM policy_found WHERE in_force = 0", err) && db_commit(db, err))
        return true;
    db_rollback(db);
    return false;
}

bool policies_load_found(struct db *db,
                         void (*each)(void *self, const struct policies_found *found), void *self,
                         struct err *err)
{
    struct db_stmt *get;
    bool row = false, ok = db_prepare(db, get_found_sql, &get, err);

    if (!ok)
        return false;
    while ((ok = db_step(get, &row, err)) && row) {
        const struct policies_found found = {.policy = db_text(get, 0),
                                             .uid = uid_parse(db_text(get, 1)),
                                             .replicas = db_i64(get, 2)};

        each(self, &found);
    }
    db_stmt_free(get);
    return ok;
}
