/*
 * day: what the last 24 hours came to, as a value that travels from one snapshot to the next.
 *
 * Kept by the hour, so that what is told covers the running hour and the 24 before it, or less
 * after a start: `day_sum()` says since when. Between two samples the earlier one holds (steps, no
 * slopes); gaps longer than DAY_MAX_GAP_US count in nothing.
 */
#ifndef BRIM_AGENT_DAY_H
#define BRIM_AGENT_DAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

enum { DAY_HOURS = 25 };
#define DAY_MAX_GAP_US (60 * US_PER_S)

/* How things stand now. */
struct day_sample {
    bool known; /* the amounts are; the counters always count */
    int64_t allocatable_milli, paid_milli, filler_milli;
    uint64_t paid_pods_total, blocked_total; /* counters that only rise */
};

struct day_hour {
    int64_t hour; /* since 1970 */
    uint64_t paid_pods, blocked;
    double offered, paid, filler; /* milli x us, which 63 bits need not hold */
};

/* Zeroed: nothing was seen yet. */
struct day {
    bool begun;
    struct wall from, at; /* of the first and the last sample */
    struct day_sample last;
    struct day_hour hours[DAY_HOURS]; /* by hour modulo DAY_HOURS */
};

/* Takes a sample; times that go back count as the last one. O(1). */
void day_add(struct day *d, const struct day_sample *sample, struct wall now);

struct day_sum {
    struct wall from;
    uint64_t paid_pods, blocked;
    bool known; /* some time was seen, so that the rest can be told */
    int64_t filler_core_hours_milli;
    int64_t util_milli, util_paid_milli; /* of 1000: with and without filler */
};
struct day_sum day_sum(const struct day *d);

#endif
