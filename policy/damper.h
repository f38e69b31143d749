/*
 * damper: the least set point of the last T seconds, so that filler takes only room that has been
 * free for T.
 *
 * Yielding is immediate and in one step; a slot is harvested when it has been free for T. Exact and
 * O(1) amortised: a monotone queue of (since, value), values rising from front to back. An entry
 * says: from `since` until the next entry began, the set point was never below `value`.
 *
 * Properties P1 to P5 and P8 of docs/CONTROL.md hold for any times that do not go back; a time that
 * does go back is taken as the last one seen. At most DAMPER_MAX entries are held; past that the
 * two youngest are merged downwards (toward less filler) before the new one is added, so that N is
 * never too large.
 *
 * Owns its ring. A damper that was initialised or zeroed may be done any number of times.
 */
#ifndef BRIM_POLICY_DAMPER_H
#define BRIM_POLICY_DAMPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

enum { DAMPER_MAX = 4096 };

struct damper_entry {
    struct mono since;
    int64_t value;
};

struct damper {
    int64_t window_us;       /* T, at least 0 */
    struct damper_entry *at; /* a ring */
    size_t first, len, cap;
    struct mono last; /* time of the last push */
};

void damper_init(struct damper *d, int64_t window_us);
void damper_done(struct damper *d);

/*
 * Another T from now on. A longer one does not bring back what was dropped, and never lets N fall;
 * a shorter one may let N rise at the next push.
 */
void damper_set_window(struct damper *d, int64_t window_us);

/*
 * The set point is `value` from now on. Returns N = min over [now - T, now]. The first push ever
 * also starts the history: give it the replicas found.
 */
int64_t damper_push(struct damper *d, struct mono now, int64_t value);

/* N as of the last push; false before the first. */
bool damper_value(const struct damper *d, int64_t *ret_value);

/* When N will rise if no further push comes; false if it will not. */
bool damper_next_rise(const struct damper *d, struct mono *ret_at);

#endif
