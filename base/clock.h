/*
 * clock: two kinds of time that the compiler keeps apart.
 *
 * `mono` is for durations and deadlines: microseconds on CLOCK_BOOTTIME, which goes on while the
 * machine sleeps and never jumps. `wall` is for what is stored and shown: microseconds since 1970
 * in UTC, and may jump. The pure parts are given a time and never ask for one; the loop asks once a
 * turn.
 */
#ifndef BRIM_BASE_CLOCK_H
#define BRIM_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/sv.h"

struct mono {
    int64_t us;
};

struct wall {
    int64_t us;
};

#define US_PER_MS INT64_C(1000)
#define US_PER_S  INT64_C(1000000)

/* Where a program gets its time from; tests drive their own. */
struct clock {
    struct mono (*mono)(void *self);
    struct wall (*wall)(void *self);
    void *self;
};

/* The machine's clocks. */
struct clock clock_system(void);

static inline int64_t mono_since_us(struct mono earlier, struct mono now)
{
    return now.us - earlier.us;
}

static inline struct mono mono_plus_us(struct mono t, int64_t us)
{
    return (struct mono){.us = t.us + us};
}

/* Bytes that wall_format() needs, its NUL included. */
#define WALL_TEXT_SIZE 28

/* RFC 3339 in UTC. digits: 0, 3 or 6 after the point: "2026-10-01T14:37:15.123456Z"
 * (metav1.MicroTime wants exactly six). */
void wall_format(struct wall t, int digits, char text[static WALL_TEXT_SIZE]);

/* Reads RFC 3339, with any offset and up to nine fractional digits (cut to six). */
bool wall_parse(struct sv text, struct wall *ret_t) MUST_CHECK;

#endif
