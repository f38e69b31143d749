/*
 * cause: why brim does nothing about a filler, in words. Each is a condition that does not hold,
 * with a reason as Kubernetes writes them and a message for people.
 */
#ifndef BRIM_AGENT_CAUSE_H
#define BRIM_AGENT_CAUSE_H

#include <stdbool.h>

#include "agent/snapshot.h"
#include "agent/turn.h"

/* What keeps the target from being scaled, whatever room there is: the policy is gone, pods belong
 * to two policies, the target is not there, or (`owners`) another autoscaler scales it. False:
 * nothing does, and *ret_cause is left as it was. */
bool cause_of_hindrance(const struct turn *t, const struct turn_filler *tf, bool owners,
                        struct snapshot_condition *ret_cause);

/* Of REASON_UNKNOWN: the first thing that is missing to know the filler. */
struct snapshot_condition cause_of_unknown(const struct turn *t, const struct turn_filler *tf);

#endif
