#include "storage/db.h"

#include "base/alloc.h"
#include "tests/unit/storage/folder.h"

static struct db *open_new(struct folder *f)
{
    struct err err = {0};
    struct db *db = NULL;

    *f = folder_new();
    cr_assert(db_open(&(struct db_options){.path = f->file}, &db, &err) && db_use_log(db, &err),
              "%s", err.text);
    cr_assert(db_exec(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c BLOB)", &err), "%s",
              err.text);
    return db;
}

Test(db, gives_back_what_was_bound)
{
    static const char blob[] = "a\0b\xff\0";
    struct folder f;
    struct db *db = open_new(&f);
    struct db_stmt *add, *get;
    struct err err = {0};
    bool row;

    cr_assert(db_prepare(db, "INSERT INTO t VALUES(:a, :b, :c)", &add, &err));
    cr_assert(db_prepare(db, "SELECT a, b, c FROM t ORDER BY a", &get, &err));
    for (int64_t i = 0; i < 3; i++) {
        db_bind_i64(add, ":a", i == 0 ? INT64_MIN : i);
        db_bind_text(add, ":b", i == 1 ? (struct sv){0} : SV("it's \"text\""));
        db_bind_blob(add, ":c", (struct sv){blob, i == 1 ? 0 : sizeof blob});
        cr_assert(db_run(add, &err), "%s", err.text);
    }
    for (int64_t i = 0; i < 3; i++) {
        cr_assert(db_step(get, &row, &err) && row);
        cr_assert_eq(db_i64(get, 0), i == 0 ? INT64_MIN : i);
        cr_assert(sv_eq(db_text(get, 1), i == 1 ? SV("") : SV("it's \"text\"")));
        cr_assert(sv_eq(db_blob(get, 2), i == 1 ? SV("") : (struct sv){blob, sizeof blob}));
    }
    cr_assert(db_step(get, &row, &err) && !row);
    cr_assert(db_step(get, &row, &err) && row, "after the end it begins again");
    db_stmt_free(add);
    db_stmt_free(get);
    db_close(db);
    folder_done(&f);
}

static bool no_more(void *self)
{
    return ++*(int *)self < 3;
}

Test(db, looks_over_its_pages_as_long_as_it_may)
{
    struct folder f;
    struct db *db = open_new(&f);
    struct err err = {0};
    bool whole = false;
    int asked = -1000000;
    char garbage[4096];
    FILE *file;

    cr_assert(db_exec(db,
                      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
                      "5000) INSERT INTO t SELECT i, 'text', randomblob(300) FROM n",
                      &err));
    cr_assert(db_quick_check(db, no_more, &asked, &whole, &err) && whole, "%s", err.text);
    asked = 0;
    cr_assert(db_quick_check(db, no_more, &asked, &whole, &err) && !whole, "%s", err.text);
    cr_assert_eq(asked, 3);
    cr_assert_null(db_damage(db));
    db_close(db);

    memset(garbage, 'x', sizeof garbage);
    file = fopen(f.file, "r+b");
    cr_assert(file != NULL && fseek(file, 100 * 4096, SEEK_SET) == 0 &&
              fwrite(garbage, 1, sizeof garbage, file) == sizeof garbage && fclose(file) == 0);
    cr_assert(db_open(&(struct db_options){.path = f.file}, &db, &err), "%s", err.text);
    asked = -1000000;
    cr_assert_not(db_quick_check(db, no_more, &asked, &whole, &err));
    cr_assert_eq(err.code, DB_CORRUPT);
    cr_assert_not_null(strstr(err.text, "brim history recover"), "%s", err.text);
    cr_assert_not_null(db_damage(db));
    db_close(db);
    folder_done(&f);
}

Test(db, undoes_what_was_not_committed)
{
    struct folder f;
    struct db *db = open_new(&f);
    struct err err = {0};
    int64_t n = -1;

    cr_assert(db_begin(db, &err) && db_exec(db, "INSERT INTO t(a) VALUES(1)", &err));
    db_rollback(db);
    db_rollback(db);
    cr_assert(db_number(db, "SELECT count(*) FROM t", &n, &err) && n == 0);
    cr_assert(db_begin(db, &err) && db_exec(db, "INSERT INTO t(a) VALUES(1)", &err) &&
              db_commit(db, &err));
    cr_assert(db_number(db, "SELECT count(*) FROM t", &n, &err) && n == 1);
    cr_assert(db_number(db, "SELECT a FROM t WHERE a = 9", &n, &err) && n == 0);
    db_close(db);
    folder_done(&f);
}

Test(db, reports_mistakes_with_the_file_and_goes_on)
{
    struct folder f;
    struct db *db = open_new(&f);
    char *large = xcalloc(1, DB_MAX_VALUE + 1);
    struct db_stmt *add;
    struct err err = {0};
    int64_t n;

    cr_assert_not(db_exec(db, "SELECT nonsense", &err));
    cr_assert(err.kind == ERR_STORAGE && strstr(err.text, f.file) != NULL &&
                  strstr(err.text, "nonsense") != NULL,
              "%s", err.text);
    cr_assert(db_prepare(db, "INSERT INTO t(c) VALUES(:c)", &add, &err));
    db_bind_blob(add, ":c", (struct sv){large, DB_MAX_VALUE + 1});
    cr_assert_not(db_run(add, &err), "too large");
    db_bind_blob(add, ":c", (struct sv){large, 10});
    cr_assert(db_run(add, &err), "%s", err.text);
    cr_assert(db_number(db, "SELECT count(*) FROM t", &n, &err) && n == 1);
    cr_assert_not(db_exec(db, "ATTACH '/tmp/other.db' AS other", &err));
    db_stmt_free(add);
    free(large);
    db_close(db);
    folder_done(&f);
}
