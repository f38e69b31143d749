/*
 * late: counts that a target may still take on by writes of our own. Pure: times in, answers out.
 *
 * A write whose end is not known (no answer, a connection that broke, 5xx) may be carried out as long
 * as the API server works on a request: LATE_US after it was given up at the latest. A count that shows
 * in the target meanwhile may be such a write's, and is nobody else's for sure.
 *
 * Counts are forgotten when a reading of the target that began after that time was taken in, and the
 * next one comes: what was carried out between two readings is told by the second. A write that was
 * answered, or refused, while no other one was open is forgotten at once. So somebody else's counts are
 * found at once where writes are answered, and otherwise unless they are the very counts that we
 * asked for.
 *
 * At most LATE_MAX counts are kept, the youngest ones.
 */
#ifndef BRIM_AGENT_LATE_H
#define BRIM_AGENT_LATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

/* kube-apiserver gives up what is no watch after 60 s (--request-timeout; a patch's own 34 s lie
 * inside, the queue before it, too). */
#define LATE_US (60 * US_PER_S)

/* Two yields a second go out at most (act.h), and each is given up after 10 s (kube/scale.c). */
enum { LATE_MAX = 64 };

/* How a write ended. */
enum late_end {
    LATE_KNOWN,   /* answered or refused */
    LATE_UNKNOWN, /* it may be carried out yet */
};

struct late {
    struct late_count {
        int64_t replicas;
        int open;          /* writes of it without an end */
        struct mono until; /* may be carried out till then; before all times: it may not */
    } at[LATE_MAX];
    size_t n;
    int open;               /* of all counts */
    bool crossed;           /* more than one has been open since none was */
    struct mono read_began; /* the last reading that was taken in */
};

/* Zero is an empty one; it needs no end. All O(LATE_MAX). */
void late_begin(struct late *l, int64_t replicas);
void late_end(struct late *l, int64_t replicas, enum late_end how, struct mono now);
/* A reading that began then is taken in: what late_has() says of it holds until the next one. */
void late_read(struct late *l, struct mono began);

/* May a write of ours have set this count lately? */
bool late_has(const struct late *l, int64_t replicas);

#endif
