/*
 * schedule: which values a policy's keys have at a moment.
 *
 * Each entry of spec.schedule has its own values of some keys, from a time of day to another, by
 * the clock of a time zone, on the days of the week on which it begins. Where `to` is not later
 * than `from` it ends on the next day, which need not be named. Of several entries that set one key
 * the later one of the list wins. An entry begins and ends when that clock first reads its time or
 * more (zone_first_s()): at a change of the clock a time that is skipped is the moment of the
 * change, of one that comes twice the first counts; so entries that touch neither overlap nor leave
 * a hole, and none begins twice.
 *
 * Each entry alone goes together with the spec (policy.h checks that). Where two entries at a time
 * put replicas.min above max, or advanced.needed above values, the latter holds for both.
 */
#ifndef BRIM_POLICY_SCHEDULE_H
#define BRIM_POLICY_SCHEDULE_H

#include <stdbool.h>

#include "base/clock.h"
#include "policy/policy.h"

/*
 * The policy in force at `now`: a plain copy that borrows everything from `p` and must not be
 * freed. True where it may be another at *ret_next, the next time at which an entry begins or ends;
 * false (and *ret_next untouched) where there is none. Ask again then, and whenever the clock was
 * set. O(entries).
 */
bool schedule_at(const struct policy *p, struct wall now, struct policy *ret_effective,
                 struct wall *ret_next);

/* Sets the entry's keys, whatever the time. */
void schedule_apply(const struct policy_override *o, struct policy *to);

#endif
