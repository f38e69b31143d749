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
    char own[TEXT_SIZE],
        other[TEXT_SIZE]; /* who holds it; who was named in it before, "": nobody */
    bool held, settled;
};

/* The holder's text is only told: a lock that cannot name its holder holds as well. */
static void say_who(struct lock *l)
{
    char host[HOST_SIZE] = "";
    int len;

    (void)gethostname(host, sizeof host - 1);
    len = snprintf(l->own, sizeof l->own, "%lld %s\n", (long long)getpid(), host);
    if (ftruncate(l->name, 0) != 0 || pwrite(l->name, l->own, (size_t)len, 0) != len)
        (void)ftruncate(l->name, 0);
}

/* Who is named in it; "": nobody. */
static void read_who(int lock, char text[static TEXT_SIZE])
{
    ssize_t len = pread(lock, text, TEXT_SIZE - 1, 0);

    text[len > 0 ? len : 0] = '\0';
}

static bool is_host(struct sv host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (host.at[i] <= ' ' || host.at[i] > '~')
            return false;
    }
    return host.len != 0;
}

static bool refuse(const char *path, const char *text, struct err *err)
{
    struct sv process, host, rest;
    uint64_t pid;

    if (sv_cut(sv_from(text), ' ', &process, &rest) && sv_cut(rest, '\n', &host, &rest) &&
        sv_to_u64(process, &pid) && is_host(host))
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
    read_who(l->name, l->other);
    if (flock(l->name, LOCK_EX | LOCK_NB) == 0)
        return true;
    return errno == EWOULDBLOCK ? refuse(l->path, l->other, err) : cannot(file, err);
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
    say_who(l);
    l->held = true;
    l->settled = l->other[0] == '\0' || strcmp(l->other, l->own) == 0;
    *ret_lock = l;
    return true;
}

bool lock_is_settled(const struct lock *lock, struct err *ret_who)
{
    return lock->settled || refuse(lock->path, lock->other, ret_who) ||
           err_wrap(ret_who, "locks may not hold here");
}

void lock_settle(struct lock *lock)
{
    lock->settled = true;
}

/* What a holder that is named in it may go by: an empty text tells of an end in good order. */
static void leave(struct lock *l)
{
    char text[TEXT_SIZE];

    read_who(l->name, text);
    if (strcmp(text, l->own) == 0)
        (void)ftruncate(l->name, 0);
}

void lock_release(struct lock *lock)
{
    if (lock == NULL)
        return;
    if (lock->held)
        leave(lock);
    if (lock->db >= 0)
        (void)close(lock->db);
    if (lock->name >= 0)
        (void)close(lock->name);
    free(lock->path);
    free(lock);
}

/* A holder answers whoever wrote its own name over this one; who is answered leaves. */
static bool is_alone(struct lock *l, struct err *err)
{
    char text[TEXT_SIZE];

    read_who(l->name, text);
    if (strcmp(text, l->own) == 0)
        return true;
    if (!l->settled && text[0] != '\0')
        return refuse(l->path, text, err) || err_wrap(err, "locks do not hold here");
    say_who(l);
    return true;
}

bool lock_stands(struct lock *lock, struct err *err)
{
    struct stat named, locked;

    if (stat(lock->path, &named) != 0 || fstat(lock->db, &locked) != 0 ||
        named.st_ino != locked.st_ino || named.st_dev != locked.st_dev)
        return err_set(err, ERR_STORAGE, 0, "%s: was removed or replaced while it was written",
                       lock->path);
    return is_alone(lock, err);
}
