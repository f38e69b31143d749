/*
 * A library for LD_PRELOAD: the disk under a program is another one than it seems.
 *
 * FAULTY_READ_ONLY=FILE  while it is there, nothing in the folder that it lies in can be opened for writing.
 * FAULTY_FS_TYPE=HEX     what statfs(2) says that every file lies on (linux/magic.h).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static int is_read_only(const char *path, int flags)
{
    const char *file = getenv("FAULTY_READ_ONLY");
    const char *end = file != NULL ? strrchr(file, '/') : NULL;
    int access_mode = flags & O_ACCMODE;

    return end != NULL && (access_mode != O_RDONLY || (flags & O_CREAT) != 0) &&
           strncmp(path, file, (size_t)(end - file) + 1) == 0 && access(file, F_OK) == 0;
}

static int open_as(const char *name, const char *path, int flags, mode_t mode)
{
    int (*real)(const char *, int, ...);

    if (is_read_only(path, flags)) {
        errno = EROFS;
        return -1;
    }
    *(void **)&real = dlsym(RTLD_NEXT, name);
    return real(path, flags, mode);
}

static mode_t mode_of(int flags, va_list more)
{
    return (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
}

int open64(const char *path, int flags, ...)
{
    va_list more;
    mode_t mode;

    va_start(more, flags);
    mode = mode_of(flags, more);
    va_end(more);
    return open_as("open64", path, flags, mode);
}

int statfs(const char *path, struct statfs *ret)
{
    const char *type = getenv("FAULTY_FS_TYPE");
    int (*real)(const char *, struct statfs *);
    int code;

    *(void **)&real = dlsym(RTLD_NEXT, "statfs64");
    code = real(path, ret);
    if (code == 0 && type != NULL)
        ret->f_type = (__fsword_t)strtol(type, NULL, 16);
    return code;
}
