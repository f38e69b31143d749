#include "storage/schema.h"

#include <stdio.h>

/*
 * Migration N takes a file from N - 1 to N; migrations that were released are never changed. Times are milliseconds since 1970 in
 * UTC, amounts of cpu milli-cores.
 */
static const char *const migrations[] = {
    /* 1: samples and decisions of each policy, the event journal's chunks, and gaps. */
    "CREATE TABLE policy(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE sample("
    "  policy INTEGER NOT NULL, t INTEGER NOT NULL, merged INTEGER NOT NULL,"
    "  allocatable INTEGER NOT NULL, paid INTEGER NOT NULL, pending INTEGER NOT NULL,"
    "  ready INTEGER NOT NULL, starting INTEGER NOT NULL, leaving INTEGER NOT NULL,"
    "  remaining INTEGER NOT NULL, reserve INTEGER NOT NULL, headroom INTEGER NOT NULL,"
    "  set_point INTEGER NOT NULL, damped INTEGER NOT NULL, replicas INTEGER NOT NULL, waiting "
    "INTEGER NOT NULL,"
    "  PRIMARY KEY(policy, t)) WITHOUT ROWID;"
    "CREATE TABLE decision("
    "  id INTEGER PRIMARY KEY, policy INTEGER NOT NULL, t INTEGER NOT NULL,"
    "  reason TEXT NOT NULL, bound TEXT NOT NULL, detail TEXT NOT NULL,"
    "  before INTEGER NOT NULL, replicas INTEGER NOT NULL,"
    "  set_point INTEGER NOT NULL, damped INTEGER NOT NULL, slots INTEGER NOT NULL, kept_slots "
    "INTEGER NOT NULL,"
    "  slot INTEGER NOT NULL, hole_slots INTEGER NOT NULL, allocatable INTEGER NOT NULL, paid "
    "INTEGER NOT NULL,"
    "  pending INTEGER NOT NULL, reserve INTEGER NOT NULL, headroom INTEGER NOT NULL);"
    "CREATE INDEX decision_t ON decision(t);"
    "CREATE TABLE chunk("
    "  segment INTEGER NOT NULL, number INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT "
    "NULL,"
    "  events INTEGER NOT NULL, bytes INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY(segment, "
    "number));"
    "CREATE TABLE gap(id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, why "
    "TEXT NOT NULL,"
    "  decisions INTEGER NOT NULL);",

    /* 2: what reserve and headroom come to in whole holes. */
    "ALTER TABLE sample ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;"
    "UPDATE sample SET kept = reserve + headroom;",

    /* 3: the last good policy files, in their order. */
    "CREATE TABLE policy_text(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, text BLOB NOT "
    "NULL,"
    "  saved_at INTEGER NOT NULL);",

    /* 4: what each policy's target, by its uid, asked for before brim first wrote. */
    "CREATE TABLE policy_found(policy TEXT PRIMARY KEY, uid TEXT NOT NULL, replicas INTEGER NOT "
    "NULL,"
    "  in_force INTEGER NOT NULL) WITHOUT ROWID;",

    /* 5: values packed by the hour and day (packs.h), and fields of samples that have no column of their own. */
    "ALTER TABLE sample ADD COLUMN more BLOB;"
    "CREATE TABLE pack("
    "  policy INTEGER NOT NULL, level INTEGER NOT NULL, first INTEGER NOT NULL,"
    "  begin INTEGER NOT NULL, until INTEGER NOT NULL, rows INTEGER NOT NULL, data BLOB NOT NULL,"
    "  PRIMARY KEY(policy, level, first));",

    /* 6: how fast a yield was; 0 where nobody was waiting, or nobody knows. */
    "ALTER TABLE decision ADD COLUMN latency_us INTEGER NOT NULL DEFAULT 0;",

    /* 7: what happened in each minute, hour and day (activity.h); policy 0: what the event journal tells. */
    "CREATE TABLE activity("
    "  policy INTEGER NOT NULL, level INTEGER NOT NULL, first INTEGER NOT NULL,"
    "  begin INTEGER NOT NULL, until INTEGER NOT NULL, rows INTEGER NOT NULL, data BLOB NOT NULL,"
    "  PRIMARY KEY(policy, level, first));",

    /* 8: groups of nodes by a label's value, and their samples of the running hour (groups.h). */
    "CREATE TABLE node_group("
    "  id INTEGER PRIMARY KEY, policy INTEGER NOT NULL, label TEXT NOT NULL, value TEXT NOT NULL,"
    "  UNIQUE(policy, label, value));"
    "CREATE TABLE group_sample("
    "  policy INTEGER NOT NULL, t INTEGER NOT NULL, hold INTEGER NOT NULL, data BLOB NOT NULL,"
    "  PRIMARY KEY(policy, t)) WITHOUT ROWID;",
};
_Static_assert(sizeof migrations / sizeof *migrations == SCHEMA_VERSION,
               "a migration has no number");

struct kind {
    int64_t application, version, objects;
};

static bool look(struct db *db, struct kind *ret_kind, struct err *err)
{
    struct kind k;

    if (!db_number(db, "PRAGMA application_id", &k.application, err) ||
        !db_number(db, "PRAGMA user_version", &k.version, err) ||
        !db_number(db, "SELECT count(*) FROM sqlite_schema", &k.objects, err))
        return false;
    *ret_kind = k;
    return true;
}

/* Refuses what is not ours, or newer than we are. */
static bool judge(const struct db *db, const struct kind *k, bool read_only, struct err *err)
{
    bool empty = k->application == 0 && k->version == 0 && k->objects == 0;

    if (k->application != SCHEMA_APPLICATION && !(empty && !read_only))
        return err_set(err, ERR_STORAGE, 0, "%s: %s, expected a history of brim", db_path(db),
                       empty ? "found an empty database"
                             : "found a database of another application");
    if (k->version > SCHEMA_VERSION)
        return err_set(
            err, ERR_STORAGE, 0,
            "%s: was written by a newer brim: found schema %lld, this one knows up to %d",
            db_path(db), (long long)k->version, SCHEMA_VERSION);
    if (k->version < 0 || (read_only && k->version < SCHEMA_VERSION))
        return err_set(err, ERR_STORAGE, 0, "%s: found schema %lld, expected %d%s", db_path(db),
                       (long long)k->version, SCHEMA_VERSION,
                       k->version < 0
                           ? ""
                           : ": it is of an older brim, and brought up to date when an agent of "
                             "this one opens it");
    return true;
}

static bool migrate(struct db *db, struct err *err)
{
    char sql[128];
    struct kind k;
    bool ok;

    if (!db_begin(db, err))
        return false;
    /* Looked at again under the lock: another process may have been faster. */
    ok = look(db, &k, err) && judge(db, &k, false, err);
    for (int64_t version = ok ? k.version : SCHEMA_VERSION; ok && version < SCHEMA_VERSION;
         version++)
        ok = db_exec(db, migrations[version], err) ||
             err_wrap(err, "migration %lld", (long long)version + 1);
    (void)snprintf(sql, sizeof sql, "PRAGMA application_id=%d;PRAGMA user_version=%d",
                   SCHEMA_APPLICATION, SCHEMA_VERSION);
    ok = ok && db_exec(db, sql, err) && db_commit(db, err);
    if (!ok)
        db_rollback(db);
    return ok;
}

bool schema_open(const struct db_options *options, struct db **ret_db, struct err *err)
{
    CLEANUP(db_close_ptr) struct db *db = NULL;
    struct kind k;

    if (!db_open(options, &db, err) || !look(db, &k, err) ||
        !judge(db, &k, options->read_only, err))
        return false;
    if (!options->read_only &&
        (!db_use_log(db, err) || (k.version < SCHEMA_VERSION && !migrate(db, err))))
        return false;
    *ret_db = TAKE(db);
    return true;
}
