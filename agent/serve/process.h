/*
 * process: what this process uses of the machine, for /metrics.
 */
#ifndef BRIM_AGENT_SERVE_PROCESS_H
#define BRIM_AGENT_SERVE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct process_figures {
    struct wall started; /* us = 0: not known */
    bool has_resident, has_cpu;
    int64_t resident_bytes;
    int64_t cpu_us; /* user and system time of all threads */
};

/* Asks the kernel. What cannot be read is left out by its flag. `started` is the caller's. */
struct process_figures process_read(struct wall started);

#endif
