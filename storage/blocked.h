/*
 * blocked: which paid pods had to wait for filler, told from the event journal.
 *
 * Blocked is a paid pod that the scheduler reported unschedulable although some node had room for it beside all paid pods there, and
 * beside the blocked pods that were placed virtually before it: with no filler it would have been bound. The journal keeps what pods
 * ask for, not which nodes they accept: a pod that no node would take for another reason than room is counted too. Pods that make no claim
 * (ignored by the policy, gated, of a priority below the filler's) are not.
 *
 * On its way it knows what paid pods ask for together, and which nodes are there for filler alone.
 */
#ifndef BRIM_STORAGE_BLOCKED_H
#define BRIM_STORAGE_BLOCKED_H

#include "storage/event.h"

struct blocked_pod {
    int64_t
        created_ms; /* when it was first seen; creationTimestamp of one that was found waiting */
    int64_t reported_ms; /* when the scheduler said that it found no room */
    int64_t until_ms;    /* bound or gone */
    bool bound;
    bool waits; /* neither; until_ms is the end of what is known */
    int64_t cpu_milli;
};

struct blocked;

/* `told` is called for every blocked pod when its wait ends. */
struct blocked *blocked_new(void (*told)(void *self, const struct blocked_pod *pod), void *self);
void blocked_free(struct blocked *b);

/* Events in order, as unpack.h tells them. O(1), an unschedulable pod O(nodes). */
void blocked_event(struct blocked *b, const struct event *event);

/* No more comes: tells those that still wait. Also done at a gap after which everything is told anew. */
void blocked_finish(struct blocked *b, int64_t now_ms);

/* Sums as of the last event. O(1). */
struct blocked_sums {
    int64_t demand_milli; /* what paid pods hold and claim */
    int64_t nodes;
    int64_t waiting; /* pods that are blocked */
    /* What the nodes offer on which filler is, and no paid pod but those that are tied to them (a DaemonSet's). */
    int64_t lone_milli;
};
struct blocked_sums blocked_sums(const struct blocked *b);

#endif
