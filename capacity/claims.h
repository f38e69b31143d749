/*
 * claims: the room that pending paid pods want, placed virtually on nodes.
 *
 * A paid pod that waits makes a claim when its priority is above the filler's, it is not gated, not
 * ignored by the policy, and it would fit on some node if all filler were gone. Placement, oldest
 * pod first: the nominated node; else the node chosen before, as long as the pod would fit there;
 * else a node that has room without evicting filler; else the node with most room. It only decides
 * where room is made; each pod counts once (docs/CONTROL.md 3).
 *
 * A claim lapses when its room stood free for grace + 60 s and its pod is still unschedulable:
 * something else than room holds the pod back. It is renewed after as long again, and each lapse
 * doubles that wait.
 *
 * claims_update() keeps what still holds and looks for a node only where it must: O(pending), plus
 * O(nodes) for each pod that has to be placed. Pods of one kind that fitted nowhere are not tried
 * twice in one pass, nor again before room may have become free.
 */
#ifndef BRIM_CAPACITY_CLAIMS_H
#define BRIM_CAPACITY_CLAIMS_H

#include "base/clock.h"
#include "capacity/cluster.h"

/* Added to the filler's grace: how long room may stand free before its claim lapses; and the
 * longest that doubling takes it to. */
#define CLAIMS_LAPSE_EXTRA_US (60 * US_PER_S)
#define CLAIMS_LAPSE_MAX_US   (3600 * US_PER_S)

/* What of the filler decides who claims. */
struct claims_filler {
    int32_t priority;
    bool own_class; /* it has a PriorityClass: pods of the same priority are then its equals and
                       claim nothing */
    int64_t grace_us;
};

struct claims_sum {
    int64_t pods; /* that have a claim */
    int64_t cpu_milli;
    int64_t unschedulable; /* of these, reported so by the scheduler */
    int64_t urgent;        /* of these, where filler must leave before the pod fits */
    int64_t uncovered;     /* of the urgent, where more filler must go than is leaving already */
    int64_t helpless;      /* of the uncovered, for which the scheduler will not preempt filler */
    int64_t blocked;       /* found blocked in this update (docs/CONTROL.md 2) */
    int64_t lapsed;        /* claims that lapsed in this update */
    bool has_deadline;
    struct mono deadline; /* when the next claim lapses or is renewed */
};

struct claims;

struct claims *claims_new(void);
void claims_free(struct claims *cl);

/* Brings all claims up to date with the cluster; returns what they come to. Changes the nodes'
 * `claimed`. */
struct claims_sum claims_update(struct claims *cl, struct cluster *c,
                                const struct claims_filler *filler, struct mono now);

#endif
