#include "storage/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/sv.h"

/* "PROCESS HOST\n": 20 digits, and names of up to 64 bytes. */
enum { TEXT_SIZE = 128, HOST_SIZE = 65 };

/* SQLite's locks lie at 1 GiB (https://sqlite.org/fileformat.html, "The Lock-Byte Page"). */
#define LOCK_BYTE (INT64_C(1) << 62)

struct lock {
    char *path;   /* as it was given */
    int name, db; /* PATH-lock, and the database; -1: not open */
};

/* The holder's text is only told: a lock that cannot name its holder holds as well. */
static void say_who(int lock)
{
    char host[HOST_SIZE] = "", text[TEXT_SIZE];
    int len;

    (void)gethostname(host, sizeof host - 1);
    len = snprintf(text, sizeof text, "%lld %s\n", (long long)getpid(), host);
    if (ftruncate(lock, 0) != 0 || pwrite(lock, text, (size_t)len, 0) != len)
        (void)ftruncate(lock, 0);
}

static bool is_host(struct sv host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (host.at[i] <= ' ' || host.at[i] > '~')
            return false;
    }
    return host.len != 0;
}

static bool refuse(const char *path, int lock, struct err *err)
{
    char text[TEXT_SIZE];
    ssize_t len = pread(lock, text, sizeof text, 0);
    struct sv process, host, rest;
    uint64_t pid;

    if (len > 0 && sv_cut((struct sv){text, (size_t)len}, ' ', &process, &rest) &&
        sv_cut(rest, '\n', &host, &rest) && sv_to_u64(process, &pid) && is_host(host))
        return err_set(err, ERR_STORAGE, 0, "%s: is written by another agent, process %llu on %.*s",
                       path, (unsigned long long)pid, SV_ARG(host));
    return err_set(err, ERR_STORAGE, 0, "%s: is written by another agent", path);
}

/* Where the database really lies, so that all symbolic links to it have one PATH-lock. */
static char *real_path(const char *path)
{
    char *real = realpath(path, NULL);
    const char *slash = strrchr(path, '/');
    CLEANUP(free_ptr) char *folder = NULL, *real_folder = NULL;
    size_t size;

    if (real != NULL || slash == NULL || slash == path)
        return real != NULL ? real : xstrdup(path);
    folder = xstrdup(path);
    folder[slash - path] = '\0';
    real_folder = realpath(folder, NULL);
    if (real_folder == NULL)
        return xstrdup(path);
    size = strlen(real_folder) + strlen(slash) + 1;
    real = xmalloc(size);
    (void)snprintf(real, size, "%s%s", real_folder, slash);
    return real;
}

static bool cannot(const char *file, struct err *err)
{
    bool read_only = errno == EACCES || errno == EROFS || errno == EPERM;

    return err_set(err, ERR_STORAGE, 0, "%s: %s%s", file, read_only ? "cannot be written: " : "",
                   strerror(errno));
}

static bool take_name(struct lock *l, struct err *err)
{
    CLEANUP(free_ptr) char *real = real_path(l->path);
    size_t size = strlen(real) + sizeof "-lock";
    CLEANUP(free_ptr) char *file = xmalloc(size);

    (void)snprintf(file, size, "%s-lock", real);
    l->name = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (l->name < 0)
        return cannot(file, err);
    if (flock(l->name, LOCK_EX | LOCK_NB) == 0)
        return true;
    return errno == EWOULDBLOCK ? refuse(l->path, l->name, err) : cannot(file, err);
}

static bool take_db(struct lock *l, struct err *err)
{
    struct flock range = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_BYTE, .l_len = 1};

    l->db = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (l->db < 0)
        return cannot(l->path, err);
    if (fcntl(l->db, F_OFD_SETLK, &range) != 0 && (errno == EAGAIN || errno == EACCES))
        return err_set(err, ERR_STORAGE, 0, "%s: is written by another agent, by another name",
                       l->path);
    return true;
}

bool lock_take(const char *path, struct lock **ret_lock, struct err *err)
{
    struct lock *l = xcalloc(1, sizeof *l);

    *l = (struct lock){.path = xstrdup(path), .name = -1, .db = -1};
    if (!take_name(l, err) || !take_db(l, err)) {
        lock_release(l);
        return false;
    }
    say_who(l->name);
    *ret_lock = l;
    return true;
}

void lock_release(struct lock *lock)
{
    if (lock == NULL)
        return;
    if (lock->db >= 0)
        (void)close(lock->db);
    if (lock->name >= 0)
        (void)close(lock->name);
    free(lock->path);
    free(lock);
}

bool lock_stands(const struct lock *lock, struct err *err)
{
    struct stat named, locked;

    if (stat(lock->path, &named) == 0 && fstat(lock->db, &locked) == 0 &&
        named.st_ino == locked.st_ino && named.st_dev == locked.st_dev)
        return true;
    return err_set(err, ERR_STORAGE, 0, "%s: was removed or replaced while it was written",
                   lock->path);
}
