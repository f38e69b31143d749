#include "storage/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "storage/schema.h"

static char *with_end(const char *path, const char *end)
{
    size_t size = strlen(path) + strlen(end) + 1;
    char *all = xmalloc(size);

    (void)snprintf(all, size, "%s%s", path, end);
    return all;
}

/* What an earlier run that was killed may have left. */
static void remove_part(const char *path)
{
    static const char *const ends[] = {".part", ".part-journal", ".part-wal", ".part-shm"};

    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        CLEANUP(free_ptr) char *file = with_end(path, ends[i]);

        (void)unlink(file);
    }
}

bool backup_begin(const char *path, struct db **ret_db, struct err *err)
{
    CLEANUP(free_ptr) char *part = with_end(path, ".part");
    const struct db_options options = {.path = part};

    if (access(path, F_OK) == 0)
        return err_set(err, ERR_STORAGE, 0, "%s: is there already, expected a new name", path);
    remove_part(path);
    return db_open(&options, ret_db, err);
}

/* Folders must be synced, too, for a new name to stay. */
static bool sync_folder(const char *path, struct err *err)
{
    CLEANUP(free_ptr) char *folder = xstrdup(path);
    char *slash = strrchr(folder, '/');
    int fd, failed;

    if (slash != NULL)
        slash[slash == folder ? 1 : 0] = '\0';
    fd = open(slash != NULL ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    failed = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        (void)close(fd);
    return failed == 0 || failed == EINVAL ||
           err_set(err, ERR_STORAGE, 0, "%s: its folder cannot be synced: %s", path,
                   strerror(failed));
}

/* link(2) does not overwrite what somebody else may have put there meanwhile. */
static bool give_name(const char *path, struct err *err)
{
    CLEANUP(free_ptr) char *part = with_end(path, ".part");

    if (link(part, path) != 0 && (errno == EEXIST || rename(part, path) != 0))
        return err_set(err, ERR_STORAGE, 0, "%s: %s", path, strerror(errno));
    (void)unlink(part);
    return sync_folder(path, err);
}

bool backup_end(const char *path, struct db *db, struct err *err)
{
    /* Without a log it is one file, and can be read where nothing can be written. */
    bool ok = db_exec(db, "PRAGMA locking_mode=NORMAL;PRAGMA journal_mode=DELETE", err) &&
              db_integrity(db, err);

    db_close(db);
    ok = ok && give_name(path, err);
    remove_part(path);
    return ok;
}

void backup_drop(const char *path, struct db *db)
{
    db_close(db);
    remove_part(path);
}

static bool is_history(struct db *db, struct err *err)
{
    int64_t application;

    if (!db_number(db, "PRAGMA application_id", &application, err))
        return false;
    return application == SCHEMA_APPLICATION ||
           err_set(err, ERR_STORAGE, 0, "%s: is not a history of brim", db_path(db));
}

bool backup_make(const char *from, const char *to,
                 void (*each)(void *self, int64_t left, int64_t pages), void *self,
                 int64_t *ret_bytes, struct err *err)
{
    const struct db_options options = {.path = from, .read_only = true};
    CLEANUP(db_close_ptr) struct db *source = NULL;
    struct db *copy;
    int64_t bytes;

    if (!db_open(&options, &source, err) || !is_history(source, err) ||
        !backup_begin(to, &copy, err))
        return false;
    if (!db_copy(source, copy, each, self, err)) {
        backup_drop(to, copy);
        return false;
    }
    bytes = db_bytes(copy);
    if (!backup_end(to, copy, err))
        return false;
    *ret_bytes = bytes;
    return true;
}
