#include "storage/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/sv.h"

/* "PROCESS HOST\n": 20 digits, and names of up to 64 bytes. */
enum { TEXT_SIZE = 128, HOST_SIZE = 65 };

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

bool lock_take(const char *path, int *ret_lock, struct err *err)
{
    size_t size = strlen(path) + sizeof "-lock";
    CLEANUP(free_ptr) char *file = xmalloc(size);
    int lock;

    (void)snprintf(file, size, "%s-lock", path);
    lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (lock < 0)
        return err_set(err, ERR_STORAGE, 0, "%s: %s", file, strerror(errno));
    if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            (void)refuse(path, lock, err);
        else
            (void)err_set(err, ERR_STORAGE, 0, "%s: %s", file, strerror(errno));
        (void)close(lock);
        return false;
    }
    say_who(lock);
    *ret_lock = lock;
    return true;
}

void lock_release(int lock)
{
    if (lock >= 0)
        (void)close(lock);
}
