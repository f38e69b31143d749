#include "storage/aside.h"

#include <sys/stat.h>

#include "storage/history.h"
#include "storage/schema.h"
#include "tests/unit/storage/folder.h"

static const struct wall now = {INT64_C(1795426200) * US_PER_S};

static void put(const char *path, const char *text, size_t len)
{
    FILE *file = fopen(path, "wb");

    cr_assert(file != NULL && fwrite(text, 1, len, file) == len && fclose(file) == 0);
}

static void overwrite(const char *path, long at, int byte, size_t len)
{
    FILE *file = fopen(path, "r+b");

    cr_assert(file != NULL && fseek(file, at, SEEK_SET) == 0);
    for (size_t i = 0; i < len; i++)
        cr_assert_eq(fputc(byte, file), byte);
    cr_assert_eq(fclose(file), 0);
}

static void make(const struct folder *f, const char *sql)
{
    const struct db_options options = {.path = f->file};
    struct err err = {0};
    struct db *db;

    (void)unlink(f->file);
    cr_assert(schema_open(&options, &db, &err), "%s", err.text);
    cr_assert(sql == NULL || db_exec(db, sql, &err), "%s", err.text);
    db_close(db);
}

Test(aside, tells_a_history_from_what_is_somebody_else_s)
{
    static const char zeros[8192];
    struct folder f = folder_new();

    make(&f, NULL);
    cr_assert(aside_is_history(f.file));
    overwrite(f.file, 0, 'x', 100);
    cr_assert(aside_is_history(f.file), "the header is gone, the pages are not");
    put(f.file, zeros, sizeof zeros);
    cr_assert(aside_is_history(f.file), "what a file system may leave after a power loss");
    make(&f, "PRAGMA user_version=999");
    cr_assert_not(aside_is_history(f.file), "a newer brim's");
    make(&f, "PRAGMA application_id=7");
    cr_assert_not(aside_is_history(f.file), "another application's");
    put(f.file, "0123456789", 10);
    cr_assert_not(aside_is_history(f.file));
    put(f.file,
        "What is written here is no database, however long it is, and it may well be that "
        "somebody wants to keep it.",
        106);
    cr_assert_not(aside_is_history(f.file));
    cr_assert_not(aside_is_history("/no/such/file"));
    folder_done(&f);
}

Test(aside, tells_what_the_disk_refuses_to_read)
{
    struct folder f = folder_new();
    struct err err = {0};
    char log[400];

    (void)snprintf(log, sizeof log, "%s-wal", f.file);
    cr_assert(aside_can_read(f.file, &err), "nothing is there: %s", err.text);
    put(f.file, "db", 2);
    cr_assert(aside_can_read(f.file, &err), "%s", err.text);
    /* What can be opened and not be read. */
    cr_assert_eq(mkdir(log, 0700), 0);
    cr_assert_not(aside_can_read(f.file, &err));
    cr_assert_not_null(strstr(err.text, "-wal: cannot be read: Is a directory"), "%s", err.text);
    cr_assert_eq(rmdir(log), 0);
    folder_done(&f);
}

Test(aside, moves_file_and_log_and_never_too_many)
{
    struct folder f = folder_new();
    char log[400], memory[400], moved[420], name[400];
    struct err err = {0};

    (void)snprintf(log, sizeof log, "%s-wal", f.file);
    (void)snprintf(memory, sizeof memory, "%s-shm", f.file);
    for (int i = 0; i < ASIDE_MAX; i++) {
        struct wall at = {now.us + i * US_PER_S};

        put(f.file, "db", 2);
        put(log, "log", 3);
        put(memory, "shm", 3);
        cr_assert(aside_move(f.file, at, name, sizeof name, &err), "%s", err.text);
        cr_assert(access(f.file, F_OK) != 0 && access(log, F_OK) != 0 && access(memory, F_OK) != 0);
        cr_assert_eq(access(name, F_OK), 0);
        (void)snprintf(moved, sizeof moved, "%s-wal", name);
        cr_assert_eq(access(moved, F_OK), 0);
        if (i == 0) {
            (void)snprintf(moved, sizeof moved, "%s.corrupt-20261123T093000Z", f.file);
            cr_assert_str_eq(name, moved);
            put(f.file, "db", 2);
            cr_assert_not(aside_move(f.file, at, name, sizeof name, &err), "twice in a second");
            cr_assert_not_null(strstr(err.text, "is there already"), "%s", err.text);
        }
    }
    put(f.file, "db", 2);
    cr_assert_not(aside_move(f.file, (struct wall){0}, name, sizeof name, &err));
    cr_assert_not_null(strstr(err.text, "8 damaged files were set aside already"), "%s", err.text);
    cr_assert_eq(access(f.file, F_OK), 0);
    cr_assert_not(aside_move("/no/such/file", now, name, sizeof name, &err));
    folder_done(&f);
}
