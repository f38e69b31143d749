/*
 * A library for LD_PRELOAD: the disk under a program is another one than it seems.
 *
 * FAULTY_DISK=FILE      while it is there, calls on files of the folder that it lies in fail as its words say: a call ("open" for
 *                       writing, "read", "write", "sync"), an errno, and how the names end for which this holds ("" or none: all).
 * FAULTY_FS_TYPE=HEX    what statfs(2) says that every file lies on (linux/magic.h).
 * FAULTY_LOCKS=1        every lock is given to everybody.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* The words of the switch, read without what is replaced here; "" where it is not there. */
static void read_switch(const char *file, char *words, size_t size)
{
    FILE *f = fopen(file, "re");
    size_t len = f != NULL ? fread(words, 1, size - 1, f) : 0;

    words[len] = '\0';
    if (f != NULL)
        (void)fclose(f);
}

static int ends(const char *path, const char *end)
{
    size_t len = strlen(path), n = strlen(end);

    return n <= len && strcmp(path + len - n, end) == 0;
}

/* The errno with which a call on a path fails; 0: it does not. */
static int fault(const char *call, const char *path)
{
    const char *file = getenv("FAULTY_DISK");
    const char *slash = file != NULL ? strrchr(file, '/') : NULL;
    char words[128], of[16], end[64] = "";
    int code, kept = errno;

    if (slash == NULL || strncmp(path, file, (size_t)(slash - file) + 1) != 0 ||
        strcmp(path, file) == 0)
        return 0;
    read_switch(file, words, sizeof words);
    errno = kept;
    return sscanf(words, "%15s %d %63s", of, &code, end) >= 2 && strcmp(of, call) == 0 &&
                   ends(path, end)
               ? code
               : 0;
}

static int fault_of(const char *call, int fd)
{
    char link[64], path[4096];
    ssize_t len;

    if (getenv("FAULTY_DISK") == NULL)
        return 0;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof path - 1);
    if (len < 0)
        return 0;
    path[len] = '\0';
    return fault(call, path);
}

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* Sets errno where there is a fault. */
static int fails(int code)
{
    if (code != 0)
        errno = code;
    return code != 0;
}

int open64(const char *path, int flags, ...)
{
    int (*call)(const char *, int, ...) = (int (*)(const char *, int, ...))real("open64");
    int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0;
    va_list more;
    mode_t mode;

    va_start(more, flags);
    mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    return writes && fails(fault("open", path)) ? -1 : call(path, flags, mode);
}

ssize_t pread64(int fd, void *to, size_t len, off64_t at)
{
    ssize_t (*call)(int, void *, size_t, off64_t) =
        (ssize_t(*)(int, void *, size_t, off64_t))real("pread64");

    return fails(fault_of("read", fd)) ? -1 : call(fd, to, len, at);
}

ssize_t pwrite64(int fd, const void *from, size_t len, off64_t at)
{
    ssize_t (*call)(int, const void *, size_t, off64_t) =
        (ssize_t(*)(int, const void *, size_t, off64_t))real("pwrite64");

    return fails(fault_of("write", fd)) ? -1 : call(fd, from, len, at);
}

int fsync(int fd)
{
    int (*call)(int) = (int (*)(int))real("fsync");

    return fails(fault_of("sync", fd)) ? -1 : call(fd);
}

int fdatasync(int fd)
{
    int (*call)(int) = (int (*)(int))real("fdatasync");

    return fails(fault_of("sync", fd)) ? -1 : call(fd);
}

int statfs(const char *path, struct statfs *ret)
{
    const char *type = getenv("FAULTY_FS_TYPE");
    int (*call)(const char *, struct statfs *) =
        (int (*)(const char *, struct statfs *))real("statfs64");
    int code = call(path, ret);

    if (code == 0 && type != NULL)
        ret->f_type = (__fsword_t)strtol(type, NULL, 16);
    return code;
}

int flock(int fd, int operation)
{
    int (*call)(int, int) = (int (*)(int, int))real("flock");

    return getenv("FAULTY_LOCKS") != NULL ? 0 : call(fd, operation);
}

int fcntl64(int fd, int command, ...)
{
    int (*call)(int, int, ...) = (int (*)(int, int, ...))real("fcntl64");
    int locks = command == F_SETLK || command == F_OFD_SETLK;
    va_list more;
    void *arg;

    va_start(more, command);
    arg = va_arg(more, void *);
    va_end(more);
    return locks && getenv("FAULTY_LOCKS") != NULL ? 0 : call(fd, command, arg);
}
