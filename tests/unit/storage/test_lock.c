#include "storage/lock.h"

#include <signal.h>
#include <sys/wait.h>

#include "tests/unit/storage/folder.h"

static void put(const struct folder *f, const char *text)
{
    char path[400];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s-lock", f->file);
    file = fopen(path, "w");
    cr_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static bool text_is(const struct folder *f, const char *expected)
{
    char path[400], text[200];
    FILE *file;
    size_t len;

    (void)snprintf(path, sizeof path, "%s-lock", f->file);
    file = fopen(path, "r");
    cr_assert_not_null(file);
    len = fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    cr_assert_eq(fclose(file), 0);
    return strcmp(text, expected) == 0;
}

/* A process that holds the lock until it is killed. */
static pid_t holder(const struct folder *f)
{
    struct lock *lock;
    int ends[2];
    char byte;
    pid_t pid;

    cr_assert_eq(pipe(ends), 0);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        if (!lock_take(f->file, &lock, NULL) || write(ends[1], "!", 1) != 1)
            _exit(1);
        for (;;)
            (void)pause();
    }
    (void)close(ends[1]);
    cr_assert_eq(read(ends[0], &byte, 1), 1);
    (void)close(ends[0]);
    return pid;
}

Test(lock, is_one_process_s_and_says_whose)
{
    struct folder f = folder_new();
    pid_t pid = holder(&f);
    struct err err = {0};
    char who[64];
    struct lock *lock;

    (void)snprintf(who, sizeof who, "another agent, process %lld on ", (long long)pid);
    cr_assert_not(lock_take(f.file, &lock, &err));
    cr_assert_eq(err.kind, ERR_STORAGE);
    cr_assert_not_null(strstr(err.text, who), "%s", err.text);

    /* A text that is no holder's is not told. */
    put(&f, "1 \033[31mred\n");
    cr_assert_not(lock_take(f.file, &lock, &err));
    cr_assert_null(strchr(err.text, '\033'), "%s", err.text);
    cr_assert_not_null(strstr(err.text, "another agent"), "%s", err.text);

    /* Whatever ends the holder frees the lock. */
    cr_assert_eq(kill(pid, SIGKILL), 0);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    cr_assert(lock_take(f.file, &lock, &err), "%s", err.text);
    lock_release(lock);
    cr_assert(lock_take(f.file, &lock, &err), "%s", err.text);
    lock_release(lock);
    lock_release(NULL);
    folder_done(&f);
}

Test(lock, needs_a_file_of_its_own)
{
    struct folder f = folder_new();
    char link[400], path[400];
    struct err err = {0};
    struct lock *lock;

    (void)snprintf(path, sizeof path, "%s/no/history.db", f.path);
    cr_assert_not(lock_take(path, &lock, &err));
    cr_assert_not_null(strstr(err.text, "No such file"), "%s", err.text);
    (void)snprintf(link, sizeof link, "%s-lock", f.file);
    cr_assert_eq(symlink("elsewhere", link), 0);
    cr_assert_not(lock_take(f.file, &lock, &err));
    cr_assert_eq(err.kind, ERR_STORAGE);
    folder_done(&f);
}

/* Whatever its name for the file, and whether or not somebody removed the lock's, a second agent finds that it is taken. */
Test(lock, is_found_by_every_name_of_the_file)
{
    struct folder f = folder_new();
    struct lock *lock, *other;
    char link_path[400], name[400];
    struct err err = {0};

    (void)snprintf(link_path, sizeof link_path, "%s/other.db", f.path);
    (void)snprintf(name, sizeof name, "%s-lock", f.file);
    cr_assert(lock_take(f.file, &lock, &err), "%s", err.text);

    cr_assert_eq(symlink(f.file, link_path), 0);
    cr_assert_not(lock_take(link_path, &other, &err));
    cr_assert_not_null(strstr(err.text, "another agent, process"), "%s", err.text);
    cr_assert_eq(unlink(link_path), 0);

    cr_assert_eq(link(f.file, link_path), 0);
    cr_assert_not(lock_take(link_path, &other, &err));
    cr_assert_not_null(strstr(err.text, "another agent"), "%s", err.text);
    cr_assert_eq(unlink(link_path), 0);

    cr_assert_eq(unlink(name), 0);
    cr_assert_not(lock_take(f.file, &other, &err));
    cr_assert_not_null(strstr(err.text, "another agent"), "%s", err.text);

    lock_release(lock);
    cr_assert(lock_take(f.file, &lock, &err), "%s", err.text);
    lock_release(lock);
    folder_done(&f);
}

Test(lock, does_not_stand_when_the_file_was_removed_or_replaced)
{
    struct folder f = folder_new();
    struct err err = {0};
    struct lock *lock;
    FILE *file;

    cr_assert(lock_take(f.file, &lock, &err), "%s", err.text);
    cr_assert(lock_stands(lock, &err), "%s", err.text);
    cr_assert_eq(unlink(f.file), 0);
    cr_assert_not(lock_stands(lock, &err));
    cr_assert_not_null(strstr(err.text, "removed or replaced"), "%s", err.text);
    file = fopen(f.file, "w");
    cr_assert(file != NULL && fclose(file) == 0);
    cr_assert_not(lock_stands(lock, &err));
    lock_release(lock);
    folder_done(&f);
}

/* Where locks do not hold two may have one: the one who is named answers, the newcomer leaves. */
Test(lock, is_answered_by_who_is_named_where_locks_do_not_hold)
{
    struct folder f = folder_new();
    struct err err = {0};
    struct lock *lock;

    put(&f, "123 elsewhere\n");
    cr_assert(lock_take(f.file, &lock, &err), "%s", err.text);
    cr_assert_not(lock_is_settled(lock, &err));
    cr_assert_not_null(strstr(err.text, "process 123 on elsewhere"), "%s", err.text);
    cr_assert(lock_stands(lock, &err), "%s", err.text);
    put(&f, "123 elsewhere\n");
    cr_assert_not(lock_stands(lock, &err));
    cr_assert_not_null(strstr(err.text, "process 123 on elsewhere"), "%s", err.text);
    cr_assert_not_null(strstr(err.text, "locks do not hold here"), "%s", err.text);
    lock_release(lock);

    /* Without an answer it is settled, and answers itself. */
    cr_assert(lock_take(f.file, &lock, &err) && !lock_is_settled(lock, &err), "%s", err.text);
    lock_settle(lock);
    put(&f, "456 newcomer\n");
    cr_assert(lock_is_settled(lock, &err) && lock_stands(lock, &err), "%s", err.text);
    cr_assert_not(text_is(&f, "456 newcomer\n"));
    lock_release(lock);

    /* Who ended in good order is not waited for. */
    cr_assert(text_is(&f, ""));
    cr_assert(lock_take(f.file, &lock, &err) && lock_is_settled(lock, &err), "%s", err.text);
    lock_release(lock);
    folder_done(&f);
}
