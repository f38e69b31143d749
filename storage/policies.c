#include "storage/policies.h"

static const char *const add_sql =
    "INSERT INTO policy_text(name, text, saved_at) VALUES(:name, :text, :saved_at)";
static const char *const get_sql = "SELECT name, text, saved_at FROM policy_text ORDER BY id";

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
