/*
 * share: how several fillers divide the room (docs/CONTROL.md 3).
 *
 * In order of priority (high first), then of name, each filler sees the room that the set points of
 * those before it leave, node by node, whatever they happen to run:
 *     x = min( S, max, max( min, S - min(S, h) ) )
 * with S: slots in that room, and h: what is kept free, in holes of this filler.
 * What is kept free is taken once: h is the largest R0 + H of all fillers, and what the fillers
 * before keep free is still room for h of those after. The x pods of a filler stand, for those
 * after it, on the nodes that its caps allow (placement.h), fullest first.
 *
 * Fillers of one priority first get their min each, as far as it fits (in order of name), then
 * split what these leave of what their group may take in the ratio of their weights. The share of a
 * filler that `max` keeps from using it passes on to the others, and what rounding leaves goes to
 * those with the largest remainders (of equal ones the first by name), so that all of it is used.
 *
 * Where its pods may really go is another matter: a filler above may stand elsewhere than its caps
 * would put it today. So for placement each filler has its places: the room that is left by the
 * pods of those before it where they really stand, and by what these want beyond that, put by their
 * caps where room is free of all filler now, else where it is free of those before. Places never
 * are more than fits on a node beside what stands there of those before; a set point is never made
 * of them.
 *
 * Set points so depend on paid load and on filler that is apart (cluster.h) alone: what that holds
 * is room to nobody else. Pods of all fillers together never ask for more than fits.
 */
#ifndef BRIM_POLICY_SHARE_H
#define BRIM_POLICY_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sv.h"
#include "capacity/cluster.h"
#include "capacity/fit.h"
#include "policy/node_order.h"

/* One filler: what it is, and what comes out. */
struct share_filler {
    struct sv name;
    int32_t priority;
    int32_t weight; /* at least 1 */
    int64_t min, max;
    int64_t hole_slots;    /* z */
    const struct fit *fit; /* its shape and the nodes that take it */
    const int64_t *stands; /* its pods by node index, n_stands of them; those beyond have none */
    size_t n_stands;

    /* By node index, cluster_node_limit() of each, to be filled where there is a second filler. */
    int64_t *slots;  /* on the room left */
    int64_t *places; /* slots for placement */
    int64_t total;   /* S, the sum of slots */
    int64_t kept;    /* h */
    int64_t point;   /* x */
    bool shared;     /* others of its priority want room, too: x is at most `share` */
    int64_t share;
    struct sv taker; /* of those before it, or of its priority, the one with most cpu; else empty */
};

/*
 * Fills in slots, places, total, kept, point and share of n fillers (in any order) for one amount
 * that is kept free. O(n log n) and, from the second filler on, O(nodes log nodes) each; a single
 * filler's slots are those of its fit, and neither they nor places are written. `order`: of the
 * cluster's nodes, kept by the caller from one call to the next.
 */
void share_out(struct share_filler *fillers, size_t n, const struct cluster *c,
               struct node_order *order, int64_t kept_milli);

#endif
