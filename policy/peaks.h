/*
 * peaks: the highest value of a long window, in a fixed number of parts.
 *
 * The window is cut into PEAKS parts of equal width at fixed times; one more is held, so that a
 * part counts until all of it has left the window: what is told is never below the window's true
 * peak. A plain value that owns nothing.
 */
#ifndef BRIM_POLICY_PEAKS_H
#define BRIM_POLICY_PEAKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

enum { PEAKS = 144 };

struct peaks_part {
    bool used;
    int64_t number; /* since number * width */
    int64_t highest;
    int64_t known_us; /* time of it in which the value was known */
};

/* Of all parts that count at one time. */
struct peaks_sum {
    int64_t highest;  /* INT64_MIN if nothing is known */
    int64_t known_us; /* time in which the value was known */
};

struct peaks {
    int64_t width_us;
    struct mono last;                /* end of what was noted */
    struct peaks_part at[PEAKS + 1]; /* by number, modulo */
    bool summed;                     /* sum is that of the part `number` */
    int64_t number;
    struct peaks_sum sum;
};

/* A window of at least PEAKS microseconds; less is taken as that. */
void peaks_init(struct peaks *p, int64_t window_us);

/* Another window from now on; parts that become finer all have the peak of the one they were. */
void peaks_set_window(struct peaks *p, int64_t window_us);

/* The value over [from, to), which begins where the last one ended or later. O(1) amortised. */
void peaks_note(struct peaks *p, struct mono from, struct mono to, int64_t value);

/* O(1), O(PEAKS) once a part. */
struct peaks_sum peaks_at(struct peaks *p, struct mono now);

/* When, if nothing is noted that is higher, peaks_at() will have another highest value, or less
 * than known_us of known time. O(PEAKS). */
struct mono peaks_falls(struct peaks *p, struct mono now, int64_t known_us);

#endif
