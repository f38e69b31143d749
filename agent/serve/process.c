#include "agent/serve/process.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/sv.h"

/* The second field of /proc/self/statm: resident pages. */
static bool resident_pages(int64_t *ret_pages)
{
    char text[128];
    struct sv rest, field;
    ssize_t got;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    got = read(fd, text, sizeof text);
    (void)close(fd);
    if (got <= 0)
        return false;
    rest = (struct sv){.at = text, .len = (size_t)got};
    return sv_next(&rest, ' ', &field) && sv_next(&rest, ' ', &field) &&
           sv_to_i64(field, ret_pages);
}

struct process_figures process_read(struct wall started)
{
    struct process_figures p = {.started = started};
    struct timespec cpu;
    int64_t pages;

    if (resident_pages(&pages)) {
        p.has_resident = true;
        p.resident_bytes = pages * sysconf(_SC_PAGESIZE);
    }
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0) {
        p.has_cpu = true;
        p.cpu_us = (int64_t)cpu.tv_sec * US_PER_S + cpu.tv_nsec / 1000;
    }
    return p;
}
