/*
 * slow_sync: a disk that takes its time. Loaded before libc (LD_PRELOAD), it makes each fsync and fdatasync wait for as many seconds
 * as SLOW_SYNC_S says, once the file that SLOW_SYNC_IF names is there. What is asked for is then done.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void wait_for_disk(void)
{
    const char *seconds = getenv("SLOW_SYNC_S"), *when = getenv("SLOW_SYNC_IF");
    struct timespec left = {.tv_sec = seconds != NULL ? strtol(seconds, NULL, 10) : 0};

    if (when == NULL || access(when, F_OK) != 0)
        return;
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

static int then_call(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

    wait_for_disk();
    return real(fd);
}

int fsync(int fd)
{
    return then_call("fsync", fd);
}

int fdatasync(int fd)
{
    return then_call("fdatasync", fd);
}
