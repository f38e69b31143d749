/*
 * share: how several fillers divide the room (docs/CONTROL.md 3).
 *
 * In order of priority (high first), then of name, each filler sees the room that the set points of those before it leave, node by
 * node, whatever they happen to run:
 *     x = min( S, max, max( min, S - min(S, h) ) )     S: slots in that room; h: kept free, in holes of this filler
 * What is kept free is taken once: h is the largest R0 + H of all fillers, and what the fillers before keep free is still room for h of
 * those after. The x pods of a filler stand, for those after it, on the nodes that its caps allow (placement.h), fullest first.
 *
 * Fillers of one priority split what their group may take in the ratio of their weights. The share of a filler that `max` keeps from
 * using it passes on to the others; min comes first as far as it fits, in order of name.
 *
 * Set points so depend on paid load alone, and pods of all fillers together never ask for more than fits.
 */
#ifndef BRIM_POLICY_SHARE_H
#define BRIM_POLICY_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sv.h"
#include "capacity/cluster.h"
#include "capacity/fit.h"

/* One filler: what it is, and what comes out. */
struct share_filler {
    struct sv name;
    int32_t priority;
    int32_t weight; /* at least 1 */
    int64_t min, max;
    int64_t hole_slots;    /* z */
    const struct fit *fit; /* its shape and the nodes that take it */

    int64_t *
        slots; /* by node index, cluster_node_limit() of them, to be filled: slots on the room left */
    int64_t total; /* S, their sum */
    int64_t kept;  /* h */
    int64_t point; /* x */
    bool shared;   /* others of its priority want room, too: x is at most `share` */
    int64_t share;
};

/*
 * Fills in slots, total, kept, point and share of n fillers (in any order) for one amount that is kept free. O(n log n) and, from the
 * second filler on, O(nodes) each; a single filler's slots are taken over from its fit.
 */
void share_out(struct share_filler *fillers, size_t n, const struct cluster *c, int64_t kept_milli);

#endif
