/*
 * fit: how much room the cluster has for one filler, node by node and in sum.
 *
 * A filler's shape is what one of its pods asks for and where it may go. For every node that can
 * take it (all of the scheduler's checks but room):
 *     F     = allocatable - paid - claims - what other fillers hold that are apart   per resource
 *     slots = max(0, min over asked resources of floor(F / request))
 * Pods are counted like a resource, so that an overcommitted node lends nothing and nothing is
 * counted twice (docs/CONTROL.md 3). The sums are kept incrementally: fit_update() looks at the
 * nodes that changed, O(changed). What filler that is driven holds never enters, except in
 * `slots_now`, which also leaves out what terminating filler still holds: growth beyond it would
 * wait.
 */
#ifndef BRIM_CAPACITY_FIT_H
#define BRIM_CAPACITY_FIT_H

#include "capacity/cluster.h"

struct fit_node {
    bool eligible;
    bool offers; /* it has min_paid of paid pods */
    int64_t slots;
    int64_t slots_now;
    int64_t allocatable_milli, paid_milli, claimed_milli,
        room_milli; /* as they stand in the sums; 0 unless eligible */
};

struct fit_sum {
    int64_t nodes; /* eligible ones */
    int64_t allocatable_milli;
    int64_t offered_milli; /* allocatable of those with min_paid: what percentages are of */
    int64_t paid_milli;
    int64_t claimed_milli;
    int64_t room_milli; /* sum of max(0, allocatable - paid - claims) in cpu: remaining, before the
                           reserve */
    int64_t slots;      /* S */
    int64_t slots_now;
};

struct fit;

/* `request.at[RESOURCE_PODS]` is taken as 1. The rules are copied. A node on which paid pods ask
 * for less than min_paid_milli offers no slots. */
struct fit *fit_new(const struct resources *request, const struct pod_rules *rules,
                    int64_t min_paid_milli);
void fit_free(struct fit *f);
/* Whose it is: what that filler holds itself is never taken. CLUSTER_PAID, as at first: nobody's.
 * The caller rebuilds. */
void fit_set_owner(struct fit *f, int filler);

const struct resources *fit_request(const struct fit *f);

/* Is this the shape that the fit was made for? */
bool fit_is_for(const struct fit *f, const struct resources *request, const struct pod_rules *rules,
                int64_t min_paid_milli);

/* Takes over the nodes in cluster_changed(); the caller clears that list once every fit has seen
 * it. O(changed). */
void fit_update(struct fit *f, const struct cluster *c);
/* Looks at every node, for a new shape. O(nodes). */
void fit_rebuild(struct fit *f, const struct cluster *c);

struct fit_sum fit_sum(const struct fit *f);
/* Of one node; zero for an unknown index. */
struct fit_node fit_node(const struct fit *f, uint32_t index);
/* Slots of one node beside what is taken there besides. O(asked resources). */
int64_t fit_slots_beside(const struct fit *f, const struct cluster *c, uint32_t index,
                         const struct resources *taken);
/* The largest allocatable cpu of a node that offers room. O(1); O(nodes) once such a node has gone or
 * offers less. */
int64_t fit_largest_node_milli(struct fit *f);

/* What paid pods leave of a node: allocatable - paid - claims. */
struct resources fit_room(const struct cluster_node *n);
/* The same in some places alone: the others are not written. O(places). */
void fit_room_at(const struct cluster_node *n, const struct resource_places *places,
                 struct resources *ret_room);

#endif
