#include "storage/db.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "base/alloc.h"
#include "storage/mount.h"

_Static_assert(DB_BUSY == SQLITE_BUSY && DB_READ_ONLY == SQLITE_READONLY && DB_IO == SQLITE_IOERR &&
                   DB_CORRUPT == SQLITE_CORRUPT && DB_FULL == SQLITE_FULL &&
                   DB_CANT_OPEN == SQLITE_CANTOPEN && DB_NOT_A_DB == SQLITE_NOTADB,
               "the codes are SQLite's");

struct db {
    sqlite3 *sqlite;
    char *path;
    int64_t max_bytes;
    const char *network;
    struct err damage; /* what was found first */
};

struct db_stmt {
    struct db *db;
    sqlite3_stmt *sqlite;
    int failed; /* result of the first bind that failed since the last reset */
};

/* From now on nothing may be written into the file: it is kept for who salvages it. */
static void note_damage(struct db *db, const struct err *found)
{
    if (db->damage.kind == ERR_NONE)
        db->damage = *found;
    (void)sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

#define DAMAGED_HINT "; brim history recover saves what can be read"

static bool fail(struct db *db, int code, struct err *err)
{
    const char *text = db->sqlite != NULL && sqlite3_errcode(db->sqlite) != SQLITE_OK
                           ? sqlite3_errmsg(db->sqlite)
                           : sqlite3_errstr(code);
    int kind = code & 0xff;
    bool of_system = kind == SQLITE_CANTOPEN || kind == SQLITE_IOERR || kind == SQLITE_FULL;
    int why = of_system && db->sqlite != NULL ? sqlite3_system_errno(db->sqlite) : 0;
    struct err found = {0};

    (void)err_set(&found, ERR_STORAGE, kind, "%s: %s%s%s%s", db->path, text, why != 0 ? ": " : "",
                  why != 0 ? strerror(why) : "", kind == SQLITE_CORRUPT ? DAMAGED_HINT : "");
    if (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB)
        note_damage(db, &found);
    if (err != NULL)
        *err = found;
    return false;
}

/* What guards against a file that somebody else wrote; none of it changes the file. */
static bool set_guards(struct db *db, struct err *err)
{
    char cache[64];

    (void)sqlite3_extended_result_codes(db->sqlite, 0);
    (void)sqlite3_busy_timeout(db->sqlite, DB_BUSY_MS);
    (void)sqlite3_limit(db->sqlite, SQLITE_LIMIT_LENGTH, DB_MAX_VALUE);
    (void)sqlite3_limit(db->sqlite, SQLITE_LIMIT_ATTACHED, 0);
    (void)sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    (void)sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    (void)snprintf(cache, sizeof cache, "PRAGMA cell_size_check=ON;PRAGMA cache_size=-%d",
                   DB_CACHE_KIB);
    return db_exec(db, cache, err);
}

/*
 * Set before the first access, the write-ahead log does without shared memory (https://sqlite.org/wal.html#noshm). One that was
 * opened for reading asks for no more than a reader's lock.
 */
static bool keep_alone(struct db *db, const char *path, struct err *err)
{
    db->network = mount_network(path);
    return db->network == NULL || db_exec(db, "PRAGMA locking_mode=EXCLUSIVE", err);
}

bool db_open(const struct db_options *o, struct db **ret_db, struct err *err)
{
    CLEANUP(db_close_ptr) struct db *db = xcalloc(1, sizeof *db);
    int flags = SQLITE_OPEN_NOMUTEX |
                (o->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    int code;

    db->path = xstrdup(o->path);
    db->max_bytes = o->max_bytes;
    code = sqlite3_open_v2(o->path, &db->sqlite, flags, o->vfs);
    if (code != SQLITE_OK)
        return fail(db, code, err);
    if ((!o->read_only && !keep_alone(db, o->path, err)) || !set_guards(db, err))
        return false;
    if (!o->read_only && sqlite3_db_readonly(db->sqlite, "main") == 1)
        return err_set(err, ERR_STORAGE, DB_READ_ONLY, "%s: is read-only", db->path);
    *ret_db = TAKE(db);
    return true;
}

void db_close(struct db *db)
{
    if (db == NULL)
        return;
    (void)sqlite3_close(db->sqlite);
    free(db->path);
    free(db);
}

bool db_use_log(struct db *db, struct err *err)
{
    char sql[256];

    (void)snprintf(sql, sizeof sql,
                   "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA "
                   "wal_autocheckpoint=%d;PRAGMA journal_size_limit=%d",
                   DB_WAL_PAGES, DB_WAL_PAGES << 12);
    return db_exec(db, sql, err) && db_use_spare(db, false, err);
}

bool db_use_spare(struct db *db, bool use, struct err *err)
{
    int64_t page = 0, most = db->max_bytes - (use ? 0 : DB_SPARE_BYTES);
    char sql[64];

    if (db->max_bytes <= 0)
        return true;
    if (!db_number(db, "PRAGMA page_size", &page, err))
        return false;
    (void)snprintf(sql, sizeof sql, "PRAGMA max_page_count=%lld",
                   most > page && page > 0 ? (long long)(most / page) : 1LL);
    return db_exec(db, sql, err);
}

bool db_exec(struct db *db, const char *sql, struct err *err)
{
    int code = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);

    return code == SQLITE_OK || fail(db, code, err);
}

bool db_number(struct db *db, const char *sql, int64_t *ret_number, struct err *err)
{
    struct db_stmt *s = NULL;
    bool row = false;
    bool ok = db_prepare(db, sql, &s, err) && db_step(s, &row, err);

    if (ok)
        *ret_number = row ? db_i64(s, 0) : 0;
    db_stmt_free(s);
    return ok;
}

bool db_tables(struct db *db, void (*each)(void *self, struct sv name), void *self, struct err *err)
{
    struct db_stmt *s = NULL;
    bool row, ok = db_prepare(db,
                              "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT "
                              "LIKE 'sqlite!_%' ESCAPE '!' ORDER BY rowid",
                              &s, err);

    while (ok && (ok = db_step(s, &row, err)) && row)
        each(self, db_text(s, 0));
    db_stmt_free(s);
    return ok;
}

bool db_begin(struct db *db, struct err *err)
{
    return db_exec(db, "BEGIN IMMEDIATE", err);
}

bool db_commit(struct db *db, struct err *err)
{
    return db_exec(db, "COMMIT", err);
}

void db_rollback(struct db *db)
{
    /* A full disk may have ended the transaction already. */
    if (sqlite3_get_autocommit(db->sqlite) == 0)
        (void)sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
}

/* Runs a check that tells its first finding, or "ok". */
static bool check(struct db *db, const char *sql, struct err *err)
{
    struct err found = {0};
    struct db_stmt *s = NULL;
    bool row = false;
    bool ok = db_prepare(db, sql, &s, err) && db_step(s, &row, err);

    if (ok && !(row && sv_eq(db_text(s, 0), SV("ok")))) {
        ok = err_set(&found, ERR_STORAGE, DB_CORRUPT, "%s: damaged: %.*s" DAMAGED_HINT, db->path,
                     row ? (int)db_text(s, 0).len : 0, db_text(s, 0).at);
        note_damage(db, &found);
        if (err != NULL)
            *err = found;
    }
    db_stmt_free(s);
    return ok;
}

bool db_integrity(struct db *db, struct err *err)
{
    return check(db, "PRAGMA integrity_check(1)", err);
}

struct asking {
    bool (*go_on)(void *self);
    void *self;
    bool ended;
};

static int ask(void *self)
{
    struct asking *a = self;

    a->ended = a->ended || !a->go_on(a->self);
    return a->ended;
}

bool db_quick_check(struct db *db, bool (*go_on)(void *self), void *self, bool *ret_whole,
                    struct err *err)
{
    struct asking a = {.go_on = go_on, .self = self};
    bool ok;

    sqlite3_progress_handler(db->sqlite, DB_ASK_STEPS, ask, &a);
    ok = check(db, "PRAGMA quick_check(1)", err) || (a.ended && db_damage(db) == NULL);
    sqlite3_progress_handler(db->sqlite, 0, NULL, NULL);
    /* What was read for this alone: pages that are kept hide what becomes of those on the disk. */
    (void)sqlite3_db_release_memory(db->sqlite);
    if (ok)
        *ret_whole = !a.ended;
    return ok;
}

/* A reader of the log keeps what it sees until its transaction ends. */
static bool copy_pages(struct db *from, struct db *to, sqlite3_backup *copy,
                       void (*each)(void *self, int64_t left, int64_t pages), void *self,
                       struct err *err)
{
    int code;

    do {
        code = sqlite3_backup_step(copy, DB_COPY_PAGES);
        if (each != NULL)
            each(self, sqlite3_backup_remaining(copy), sqlite3_backup_pagecount(copy));
    } while (code == SQLITE_OK);
    if (code == SQLITE_DONE)
        return true;
    /* Whose it is stands in the code alone: what cannot be read is the source's. */
    return fail((code & 0xff) == SQLITE_FULL || (code & 0xff) == SQLITE_READONLY ? to : from, code,
                err);
}

bool db_copy(struct db *from, struct db *to, void (*each)(void *self, int64_t left, int64_t pages),
             void *self, struct err *err)
{
    sqlite3_backup *copy;
    int64_t tables;
    bool ok;

    if (!db_exec(from, "BEGIN", err))
        return false;
    ok = db_number(from, "SELECT count(*) FROM sqlite_schema", &tables, err);
    copy = ok ? sqlite3_backup_init(to->sqlite, "main", from->sqlite, "main") : NULL;
    if (ok && copy == NULL)
        ok = fail(to, sqlite3_errcode(to->sqlite), err);
    ok = ok && copy_pages(from, to, copy, each, self, err);
    (void)sqlite3_backup_finish(copy);
    db_rollback(from);
    return ok;
}

int64_t db_bytes(struct db *db)
{
    int64_t pages = 0, page = 0;

    return db_number(db, "PRAGMA page_count", &pages, NULL) &&
                   db_number(db, "PRAGMA page_size", &page, NULL)
               ? pages * page
               : 0;
}

bool db_at_limit(struct db *db)
{
    /* A blob of the largest size that did not fit any more leaves this much below the limit. */
    return db->max_bytes > 0 && db_bytes(db) + DB_SPARE_BYTES + DB_MAX_VALUE / 4 > db->max_bytes;
}

const char *db_path(const struct db *db)
{
    return db->path;
}

const char *db_network(const struct db *db)
{
    return db->network;
}

const char *db_damage(const struct db *db)
{
    return db->damage.kind != ERR_NONE ? db->damage.text : NULL;
}

bool db_prepare(struct db *db, const char *sql, struct db_stmt **ret_stmt, struct err *err)
{
    sqlite3_stmt *sqlite = NULL;
    int code = sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &sqlite, NULL);

    if (code != SQLITE_OK)
        return fail(db, code, err);
    *ret_stmt = xcalloc(1, sizeof **ret_stmt);
    **ret_stmt = (struct db_stmt){.db = db, .sqlite = sqlite};
    return true;
}

void db_stmt_free(struct db_stmt *s)
{
    if (s == NULL)
        return;
    (void)sqlite3_finalize(s->sqlite);
    free(s);
}

static int place(struct db_stmt *s, const char *name)
{
    int index = sqlite3_bind_parameter_index(s->sqlite, name);

    assert(index > 0);
    return index;
}

static void bound(struct db_stmt *s, int code)
{
    if (code != SQLITE_OK && s->failed == SQLITE_OK)
        s->failed = code;
}

void db_bind_i64(struct db_stmt *s, const char *name, int64_t value)
{
    bound(s, sqlite3_bind_int64(s->sqlite, place(s, name), value));
}

void db_bind_text(struct db_stmt *s, const char *name, struct sv value)
{
    bound(s, sqlite3_bind_text64(s->sqlite, place(s, name), value.len != 0 ? value.at : "",
                                 value.len, SQLITE_TRANSIENT, SQLITE_UTF8));
}

void db_bind_blob(struct db_stmt *s, const char *name, struct sv value)
{
    bound(s, sqlite3_bind_blob64(s->sqlite, place(s, name), value.len != 0 ? value.at : "",
                                 value.len, SQLITE_TRANSIENT));
}

void db_bind_column(struct db_stmt *s, const char *name, struct db_stmt *from, int column)
{
    bound(s, sqlite3_bind_value(s->sqlite, place(s, name),
                                sqlite3_column_value(from->sqlite, column)));
}

bool db_step(struct db_stmt *s, bool *ret_row, struct err *err)
{
    int code = s->failed != SQLITE_OK ? s->failed : sqlite3_step(s->sqlite);

    if (code == SQLITE_ROW) {
        *ret_row = true;
        return true;
    }
    if (code != SQLITE_DONE)
        (void)fail(s->db, code, err);
    db_reset(s);
    if (code != SQLITE_DONE)
        return false;
    *ret_row = false;
    return true;
}

bool db_run(struct db_stmt *s, struct err *err)
{
    bool row;

    do {
        if (!db_step(s, &row, err))
            return false;
    } while (row);
    return true;
}

void db_reset(struct db_stmt *s)
{
    (void)sqlite3_reset(s->sqlite);
    s->failed = SQLITE_OK;
}

int64_t db_i64(struct db_stmt *s, int column)
{
    return sqlite3_column_int64(s->sqlite, column);
}

struct sv db_text(struct db_stmt *s, int column)
{
    const unsigned char *at = sqlite3_column_text(s->sqlite, column);

    return (struct sv){.at = (const char *)at,
                       .len = at != NULL ? (size_t)sqlite3_column_bytes(s->sqlite, column) : 0};
}

struct sv db_blob(struct db_stmt *s, int column)
{
    const void *at = sqlite3_column_blob(s->sqlite, column);

    return (struct sv){.at = at,
                       .len = at != NULL ? (size_t)sqlite3_column_bytes(s->sqlite, column) : 0};
}
