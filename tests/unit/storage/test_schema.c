#include "storage/schema.h"

#include <sqlite3.h>

#include "storage/history.h"
#include "tests/unit/storage/folder.h"

static void sql(const char *path, const char *text)
{
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    (void)sqlite3_close(db);
}

static void make(const struct folder *f)
{
    const struct db_options options = {.path = f->file};
    struct history h;
    struct err err = {0};

    cr_assert(history_open(&options, &h, &err), "%s", err.text);
    history_close(&h);
}

Test(schema, makes_a_history_and_opens_it_again)
{
    struct folder f = folder_new();
    const struct db_options read = {.path = f.file, .read_only = true};
    struct err err = {0};
    struct db *db;
    int64_t n;

    make(&f);
    make(&f);
    cr_assert(schema_open(&read, &db, &err), "%s", err.text);
    cr_assert(db_number(db, "PRAGMA user_version", &n, &err) && n == SCHEMA_VERSION);
    cr_assert(db_number(db, "PRAGMA application_id", &n, &err) && n == SCHEMA_APPLICATION);
    cr_assert(db_integrity(db, &err), "%s", err.text);
    db_close(db);
    folder_done(&f);
}

/* A file of the first schema: what was kept in whole holes is taken to be reserve and headroom; how fast yields were is not known. */
Test(schema, takes_a_file_of_the_first_schema_on)
{
    struct folder f = folder_new();
    const struct db_options options = {.path = f.file};
    struct err err = {0};
    struct db *db;
    int64_t n;

    make(&f);
    sql(f.file, "INSERT INTO sample VALUES(1,2,0,3,0,0,0,0,0,0,40,7,0,0,0,0,99,NULL);"
                "INSERT INTO decision VALUES(3,1,2,'yield','none','',0,0,0,0,0,0,0,0,0,0,0,0,0,5);"
                "ALTER TABLE decision DROP COLUMN latency_us;"
                "ALTER TABLE sample DROP COLUMN kept;ALTER TABLE sample DROP COLUMN more;DROP "
                "TABLE pack;DROP TABLE policy_text;"
                "DROP TABLE policy_found;DROP TABLE activity;DROP TABLE node_group;DROP TABLE "
                "group_sample;PRAGMA "
                "user_version=1");
    cr_assert(schema_open(&options, &db, &err), "%s", err.text);
    cr_assert(db_number(db, "PRAGMA user_version", &n, &err) && n == SCHEMA_VERSION);
    cr_assert(db_number(db, "SELECT kept FROM sample", &n, &err));
    cr_assert_eq(n, 47);
    cr_assert(db_number(db, "SELECT latency_us FROM decision WHERE id = 3", &n, &err));
    cr_assert_eq(n, 0);
    cr_assert(db_number(db, "SELECT count(*) FROM activity", &n, &err), "%s", err.text);
    cr_assert_eq(n, 0);
    db_close(db);
    folder_done(&f);
}

/* A file from before groups of nodes were kept: what it has stays, and groups begin. */
Test(schema, takes_a_file_without_groups_on)
{
    struct folder f = folder_new();
    const struct db_options options = {.path = f.file};
    struct groups_sample s = {.policy = "miner", .label = "zone", .t_ms = 5, .n = 1};
    struct err err = {0};
    struct history h;
    int64_t n;

    make(&f);
    sql(f.file, "INSERT INTO policy VALUES(1,'miner');"
                "INSERT INTO pack VALUES(1,2,0,0,3600000,1,x'00');"
                "DROP TABLE node_group;DROP TABLE group_sample;PRAGMA user_version=7");
    cr_assert(history_open(&options, &h, &err), "%s", err.text);
    cr_assert(db_number(h.db, "PRAGMA user_version", &n, &err) && n == SCHEMA_VERSION);
    cr_assert(db_number(h.db, "SELECT count(*) FROM pack", &n, &err) && n == 1);
    (void)snprintf(s.at[0].value, sizeof s.at[0].value, "a");
    cr_assert(groups_add(h.groups, &s, &err), "%s", err.text);
    cr_assert(db_number(h.db, "SELECT policy FROM node_group WHERE value = 'a'", &n, &err));
    cr_assert_eq(n, 1);
    history_close(&h);
    folder_done(&f);
}

/* Each row prepares a file; what is said about it must hold the given words, and the file must stay as it is. */
Test(schema, refuses_what_is_not_its_own_by_name)
{
    static const struct {
        const char *name, *sql;
        bool made, read_only;
        const char *says;
    } rows[] = {
        {"newer", "PRAGMA user_version=99", true, false,
         "written by a newer brim: found schema 99"},
        {"newer, reading", "PRAGMA user_version=99", true, true,
         "written by a newer brim: found schema 99"},
        {"older, reading", "PRAGMA user_version=6", true, true,
         "it is of an older brim, and brought up to date when an agent of this one opens it"},
        {"another application", "PRAGMA application_id=7", true, false, "another application"},
        {"plain database", "CREATE TABLE t(a)", false, false, "another application"},
        {"empty, reading", "PRAGMA page_size=4096;VACUUM", false, true,
         "expected a history of brim"},
        {"below zero", "PRAGMA user_version=-3", true, false, "found schema -3"},
        {"tables gone", "DROP TABLE chunk", true, false, "no such table"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct folder f = folder_new();
        const struct db_options options = {.path = f.file, .read_only = rows[i].read_only};
        struct history h;
        struct err err = {0};

        if (rows[i].made)
            make(&f);
        sql(f.file, rows[i].sql);
        cr_assert_not(history_open(&options, &h, &err), "%s", rows[i].name);
        cr_assert_eq(err.kind, ERR_STORAGE, "%s", rows[i].name);
        cr_assert_not_null(strstr(err.text, rows[i].says), "%s: %s", rows[i].name, err.text);
        cr_assert_not_null(strstr(err.text, f.file), "%s: %s", rows[i].name, err.text);
        folder_done(&f);
    }
}

static void write_file(const char *path, const char *text, size_t len)
{
    FILE *file = fopen(path, "w");

    cr_assert_not_null(file);
    cr_assert_eq(fwrite(text, 1, len, file), len);
    (void)fclose(file);
}

Test(schema, reports_what_cannot_be_opened)
{
    static char noise[8192];
    struct folder f = folder_new();
    struct db_options options = {.path = f.file};
    struct err err = {0};
    struct db *db;

    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)(i * 31 + 7);
    write_file(f.file, noise, sizeof noise);
    cr_assert_not(schema_open(&options, &db, &err));
    cr_assert_eq(err.code, DB_NOT_A_DB, "%s", err.text);
    options.path = f.path;
    cr_assert_not(schema_open(&options, &db, &err));
    cr_assert_eq(err.code, DB_CANT_OPEN, "%s", err.text);
    options = (struct db_options){.path = "/nowhere/history.db", .read_only = true};
    cr_assert_not(schema_open(&options, &db, &err));
    cr_assert_eq(err.code, DB_CANT_OPEN, "%s", err.text);
    folder_done(&f);
}

/* Bytes of a good file are changed one after the other: whatever comes of it, nothing crashes. */
Test(schema, survives_broken_files)
{
    struct folder f = folder_new();
    static char good[1 << 20], bad[sizeof good];
    FILE *file;
    size_t len;

    make(&f);
    file = fopen(f.file, "r");
    cr_assert_not_null(file);
    len = fread(good, 1, sizeof good, file);
    (void)fclose(file);
    for (size_t at = 0; at < len; at += at < 200 ? 3 : 611) {
        const struct db_options options = {.path = f.file};
        struct chunks_totals totals;
        struct history h;
        int64_t first, last;

        memcpy(bad, good, len);
        bad[at] = (char)~bad[at];
        write_file(f.file, bad, len);
        if (history_open(&options, &h, NULL)) {
            (void)!db_integrity(h.db, NULL);
            (void)!chunks_totals(h.chunks, &totals, NULL);
            (void)!samples_span(h.samples, &first, &last, NULL);
            history_close(&h);
        }
    }
    folder_done(&f);
}
