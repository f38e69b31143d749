/*
 * surges: when demand outgrew what was kept, at what distance, and when the next is due.
 *
 * A surge starts when a rise comes to be above H0, at least A after the start before it. Two at a
 * distance p >= 4A make the next ones due p and 2p after the second; a due one is expected from
 * j + A + 6 s before that until j after (docs/CONTROL.md 4: there the rise of the one before lies
 * within the 2j + A + 6 s that are looked at). A start within that time has come as expected; one
 * before it makes another distance, and nothing is said of what had been due. A plain value, all
 * zero at first.
 */
#ifndef BRIM_POLICY_SURGES_H
#define BRIM_POLICY_SURGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

/* What a rise takes beyond A from its first pod to its last: pods of one step come within it. */
#define SURGES_SPREAD_US (6 * US_PER_S)

struct surges {
    bool on;           /* the rise is above H0 */
    size_t starts;     /* known, up to 2 */
    struct mono at[2]; /* of the last two, the newer one second; the only one second too */
    uint64_t count, came, missed;
    int due;          /* how many are still due */
    struct mono next; /* when the first of them is */
    int64_t distance_us;
};

/* Is the rise above H0 from now on? Times must not go back; j and A are taken as they are now. */
void surges_step(struct surges *s, bool above, struct mono now, int64_t actuation_us,
                 int64_t jitter_us);

/* No surge started until now: what was due so long ago has not come. */
void surges_pass(struct surges *s, struct mono now, int64_t jitter_us);

/* Nothing is known of the time before: distances are forgotten, counts stay. */
void surges_forget(struct surges *s);

/* p, if there is one and it is at least 4A; else false. */
bool surges_distance(const struct surges *s, int64_t actuation_us, int64_t *ret_us);

#endif
