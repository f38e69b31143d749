/*
 * A library for LD_PRELOAD: the machine under a program fails while files say so.
 *
 * FAULTY_NAMES=FILE  while it is there no name can be looked up; else every name that ends in ".test" is this machine.
 * FAULTY_CLOCK=FILE  its number of seconds is added to the wall clock.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    const char *broken = getenv("FAULTY_NAMES");
    size_t len = node != NULL ? strlen(node) : 0;

    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (broken != NULL && len > 5 && strcmp(node + len - 5, ".test") == 0) {
        if (access(broken, F_OK) == 0)
            return EAI_AGAIN;
        node = "127.0.0.1";
    }
    return real(node, service, hints, result);
}

static long step_s(void)
{
    const char *path = getenv("FAULTY_CLOCK");
    FILE *f = path != NULL ? fopen(path, "re") : NULL;
    long s = 0;

    if (f == NULL)
        return 0;
    if (fscanf(f, "%ld", &s) != 1)
        s = 0;
    (void)fclose(f);
    return s;
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
    int (*real)(clockid_t, struct timespec *);
    int code;

    *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    code = real(id, ret);
    if (id == CLOCK_REALTIME && code == 0)
        ret->tv_sec += step_s();
    return code;
}

int gettimeofday(struct timeval *ret, void *zone)
{
    struct timespec now;
    int code = clock_gettime(CLOCK_REALTIME, &now);

    (void)zone;
    ret->tv_sec = now.tv_sec;
    ret->tv_usec = now.tv_nsec / 1000;
    return code;
}
