#include "storage/backup.h"

#include "storage/writer.h"
#include "tests/unit/storage/folder.h"

static int64_t number(const char *path, const char *sql)
{
    const struct db_options options = {.path = path, .read_only = true};
    struct err err = {0};
    struct db *db = NULL;
    int64_t n = -1;

    cr_assert(db_open(&options, &db, &err) && db_number(db, sql, &n, &err) &&
                  db_integrity(db, &err),
              "%s", err.text);
    db_close(db);
    return n;
}

static void add(struct writer *w, uint64_t *id, int n)
{
    for (int i = 0; i < n; i++) {
        struct decision_entry d = {.id = (*id)++, .policy = "miner", .t_ms = 1000};

        writer_decision(w, &d);
    }
}

static void wait_written(struct writer *w)
{
    struct writer_status status;

    for (int i = 0; i < 20000; i++) {
        writer_status(w, &status);
        if (status.queued == 0 && status.open)
            return;
        (void)usleep(1000);
    }
    cr_assert_fail("not written: %s", status.error);
}

/* Each copy has what was acknowledged before it began, and the agent's writing goes on meanwhile. */
Test(backup, copies_what_was_acknowledged_while_the_agent_writes)
{
    struct folder f = folder_new();
    const struct writer_options options = {.path = f.file, .interval_us = 1000};
    struct writer *w;
    struct err err = {0};
    uint64_t id;

    cr_assert(writer_start(&options, &w, &err), "%s", err.text);
    id = writer_first_id(w, INT64_C(10000000));
    for (int i = 0; i < 20; i++) {
        char to[400], name[500];
        int64_t acknowledged, n, bytes;

        add(w, &id, 100);
        wait_written(w);
        acknowledged = (int64_t)id - 1;
        add(w, &id, 100);
        (void)snprintf(to, sizeof to, "%s/copy-%d.db", f.path, i);
        cr_assert(backup_make(f.file, to, NULL, NULL, &bytes, &err), "%s", err.text);
        n = number(to, "SELECT count(*) FROM decision");
        cr_assert(n >= acknowledged && n <= (int64_t)id - 1, "%lld of %lld", (long long)n,
                  (long long)acknowledged);
        cr_assert_eq(number(to, "SELECT max(id) FROM decision"), n);
        (void)snprintf(name, sizeof name, "%s-wal", to);
        cr_assert_neq(access(name, F_OK), 0, "a copy is one file");
        (void)snprintf(name, sizeof name, "%s.part", to);
        cr_assert_neq(access(name, F_OK), 0);
    }
    wait_written(w);
    cr_assert(writer_stop(w));
    cr_assert_eq(number(f.file, "SELECT count(*) FROM decision"), (int64_t)id - 1);
    folder_done(&f);
}

static void count(void *self, int64_t left, int64_t pages)
{
    int *steps = self;

    cr_assert(left >= 0 && left <= pages);
    ++*steps;
}

Test(backup, goes_in_steps_and_overwrites_nothing)
{
    struct folder f = folder_new();
    const struct db_options options = {.path = f.file};
    struct history h;
    struct err err = {0};
    char to[400];
    int64_t bytes;
    int steps = 0;

    (void)snprintf(to, sizeof to, "%s/copy.db", f.path);
    cr_assert(history_open(&options, &h, &err) &&
                  db_exec(h.db,
                          "CREATE TABLE more(a); WITH RECURSIVE n(i) AS (SELECT 1 "
                          "UNION ALL SELECT i + 1 FROM n WHERE i < 4000) INSERT INTO more SELECT "
                          "randomblob(1000) FROM n",
                          &err),
              "%s", err.text);
    cr_assert(backup_make(f.file, to, count, &steps, &bytes, &err), "%s", err.text);
    cr_assert(steps >= 4 && bytes >= 4000000, "%d steps, %lld bytes", steps, (long long)bytes);
    cr_assert_eq(number(to, "SELECT count(*) FROM more"), 4000);
    cr_assert_not(backup_make(f.file, to, NULL, NULL, &bytes, &err));
    cr_assert_not_null(strstr(err.text, "is there already"), "%s", err.text);
    history_close(&h);
    folder_done(&f);
}

Test(backup, refuses_what_is_no_history_or_damaged)
{
    struct folder f = folder_new();
    const struct db_options options = {.path = f.file};
    struct history h;
    struct err err = {0};
    struct db *db;
    char to[400], garbage[4096];
    FILE *file;
    int64_t bytes;

    (void)snprintf(to, sizeof to, "%s/copy.db", f.path);
    cr_assert_not(backup_make(f.file, to, NULL, NULL, &bytes, &err));
    cr_assert(db_open(&options, &db, &err) && db_exec(db, "CREATE TABLE t(a)", &err));
    db_close(db);
    cr_assert_not(backup_make(f.file, to, NULL, NULL, &bytes, &err));
    cr_assert_not_null(strstr(err.text, "is not a history"), "%s", err.text);
    cr_assert_eq(unlink(f.file), 0);

    cr_assert(history_open(&options, &h, &err), "%s", err.text);
    history_close(&h);
    memset(garbage, 'x', sizeof garbage);
    file = fopen(f.file, "r+b");
    cr_assert(file != NULL && fseek(file, 2 * 4096, SEEK_SET) == 0 &&
              fwrite(garbage, 1, sizeof garbage, file) == sizeof garbage && fclose(file) == 0);
    cr_assert_not(backup_make(f.file, to, NULL, NULL, &bytes, &err));
    cr_assert_neq(access(to, F_OK), 0);
    folder_done(&f);
}
