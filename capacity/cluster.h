/*
 * cluster: what is on every node, kept up to date event by event.
 *
 * Facts come in as records; the cluster keeps about 50 bytes a pod and forgets names, labels and
 * owners. A pod is filler (of the filler with an index from 0) or CLUSTER_PAID. A node's sums hold
 * every counted pod bound to it, terminating ones until they are gone; a pod may name a node that
 * was not seen yet, which then waits for its facts. Pods without a node are pending and keep their
 * rules, for claims.h.
 *
 * An amount that no machine has counts as its bound (resources_bounded()), so that sums are exact
 * whatever comes and goes.
 *
 * Each event is O(1) amortised; it marks the nodes that it touched as changed, for fit.h. A list is
 * taken as mark and sweep: cluster_list_begin(), the objects, cluster_list_end(), which removes
 * what the list did not name; the state between is as valid as any.
 *
 * Views that are handed out are valid until the next call that changes the cluster.
 */
#ifndef BRIM_CAPACITY_CLUSTER_H
#define BRIM_CAPACITY_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capacity/pack.h"
#include "capacity/records.h"

enum { CLUSTER_PAID = -1, CLUSTER_MAX_FILLERS = 32 };
#define CLUSTER_NO_NODE UINT32_MAX

/* What is kept of a node in amounts: cluster_sum(). */
enum node_sum {
    NODE_SUM_ALLOCATABLE,
    NODE_SUM_PAID,     /* counted paid pods bound here */
    NODE_SUM_FILLER,   /* counted filler pods bound here, of all fillers */
    NODE_SUM_LEAVING,  /* of those, the terminating ones of fillers that are not apart */
    NODE_SUM_CLAIMED,  /* claims placed here (claims.h has them placed) */
    NODE_SUM_ADMITTED, /* pending filler pods let in here (cluster_admit()) */
    NODE_SUM_COUNT_
};

struct cluster_node {
    struct kept_node *kept; /* NULL: pods name it, but it was not seen (or is gone) */
    char *name;
    uint64_t facts; /* another value whenever what `kept` says may have changed; never 0 */
    int64_t
        *sums; /* the sums, one behind another, each of `width` places: whatever is beyond is 0 */
    uint32_t pods; /* pods that name this node: it is forgotten at 0 when it is not kept */
    uint8_t width;
    bool unschedulable;
    bool ready;
    bool changed; /* stands in the list of changed nodes */
    bool listed;  /* named by the list that is being taken */
};

enum filler_state {
    FILLER_READY,
    FILLER_STARTING,
    FILLER_LEAVING,
    FILLER_UNSCHEDULABLE,
    FILLER_STATE_COUNT_
};

/* Filler pods that are not finished, by state. STARTING is whatever has not come to be ready:
 * pending, gated, bound. */
struct filler_count {
    int64_t pods[FILLER_STATE_COUNT_];
    int64_t cpu_milli[FILLER_STATE_COUNT_]; /* of those that have a node: others hold nothing */
};

/* Where a pending pod's claim stands; written by claims.h alone, dropped by the cluster when the
 * pod is no longer pending. */
struct claim {
    uint32_t node; /* the node that the request is placed on, or CLUSTER_NO_NODE */
    bool tried;    /* a node was looked for */
    bool judged;   /* it was looked at once since the scheduler reported the pod unschedulable */
    bool lapsed;
    struct mono until; /* lapsed: claims again then; else: lapses then (0: its room is not free) */
    int64_t wait_us;   /* how long the room must stand free before it lapses; doubles each time */
};

/*
 * A pod without a node that is not finished and not terminating; gated ones too. All of them are looked at in each
 * evaluation, where there may be tens of thousands: what is asked of every one stands in front.
 */
struct pending_pod {
    uint64_t kind; /* those of one ask for the same and may go to the same nodes; never 0 */
    struct claim claim;
    uint32_t nominated; /* node index, maybe of a node without facts, or CLUSTER_NO_NODE */
    int32_t priority;
    bool paid;
    bool gated;
    bool unschedulable;
    bool uncountable;
    bool preempts_never;
    bool ignored; /* as the caller of cluster_upsert_pod() said: makes no claim */
    bool arrived; /* was counted as an arrival of paid load; written by policy/planner.h, and by
                     cluster_release() */
    struct uid uid;
    struct wall created;
    struct packed_rules *rules;
    struct resources request;
    struct resource_places places; /* of the request */
    uint32_t admitted;             /* filler: the node it was let in to, or CLUSTER_NO_NODE */
    int filler;                    /* whose it is, or CLUSTER_PAID */
};

/* What an event changed, for counters and for urgency. */
struct pod_change {
    bool paid;
    bool added;         /* not seen before */
    bool bound;         /* has a node now and had none before (or was not seen before) */
    bool arrived;       /* bound: and was counted as an arrival while it waited */
    bool unschedulable; /* reported unschedulable for the first time since it became pending */
    bool leaving;       /* filler: its deletion was seen for the first time */
    bool removed;
    bool moved;     /* it was another's before; it is not taken to be added or bound for that */
    bool unchanged; /* nothing that is derived from the cluster differs: a paid pod stands where it
                       stood and asks for what it asked for, or one that is not known goes */
};

struct cluster;

struct cluster *cluster_new(void);
void cluster_free(struct cluster *c);

/* The names of extended resources, shared with the decoder. Owned by the cluster. */
struct resource_names *cluster_names(struct cluster *c);

void cluster_upsert_node(struct cluster *c, const struct node_record *node);
void cluster_remove_node(struct cluster *c, struct sv name);

/* `filler`: whose it is, or CLUSTER_PAID. `ignored`: a pending paid pod that makes no claim by
 * policy. A finished pod is removed. */
struct pod_change cluster_upsert_pod(struct cluster *c, const struct pod_record *pod, int filler,
                                     bool ignored);
struct pod_change cluster_remove_pod(struct cluster *c, struct uid uid);
/* All pods of a filler are paid from now on, until they are shown again; pending ones are neither
 * admitted nor arrivals. Returns how many that were. O(pods). */
size_t cluster_release(struct cluster *c, int filler);

enum cluster_kind { CLUSTER_PODS, CLUSTER_NODES };
void cluster_list_begin(struct cluster *c, enum cluster_kind kind);
/* Returns how many were removed because the list did not name them. */
size_t cluster_list_end(struct cluster *c, enum cluster_kind kind);

size_t cluster_pod_count(const struct cluster *c);
/* Nodes whose facts are known. */
size_t cluster_node_count(const struct cluster *c);
struct filler_count cluster_filler_count(const struct cluster *c, int filler);

/* Node indexes run from 0 to cluster_node_limit() - 1; an index keeps its node for the node's life.
 */
uint32_t cluster_node_limit(const struct cluster *c);
/* NULL where the index is free or the node's facts are unknown. */
const struct cluster_node *cluster_node(const struct cluster *c, uint32_t index);

/* What a node has left in cpu, in an array by node index, so that a search through all nodes reads
 * little memory. */
struct cluster_room {
    int64_t room_milli; /* allocatable - paid - claims; INT64_MIN of a node without facts */
    int64_t free_milli; /* … - filler - what was let in; likewise */
};
const struct cluster_room *cluster_rooms(const struct cluster *c);

/* CLUSTER_NO_NODE if the name is unknown. */
uint32_t cluster_find_node(const struct cluster *c, struct sv name);

static inline int64_t cluster_sum_place(const struct cluster_node *n, enum node_sum sum, int place)
{
    return place < n->width ? n->sums[(int)sum * n->width + place] : 0;
}
struct resources cluster_sum(const struct cluster_node *n, enum node_sum sum);
/* to += sum, to -= sum, in these places. */
void cluster_sum_add_at(const struct cluster_node *n, enum node_sum sum,
                        const struct resource_places *places, struct resources *to);
void cluster_sum_sub_at(const struct cluster_node *n, enum node_sum sum,
                        const struct resource_places *places, struct resources *to);

/* For rules_check_node(): the node as a record (name, labels, taints, cordon, allocatable). */
struct node_record cluster_node_record(const struct cluster_node *node);

/* Labels and taints of a node, for longer than the node has them: to be let go, by the same thread,
 * before the cluster is freed. Another thread may read them (keep.h). */
struct kept_node *cluster_node_hold(const struct cluster_node *node);
void cluster_node_let_go(struct cluster *c, struct kept_node *kept);

/* The nodes that changed since cluster_changed_clear(). */
const uint32_t *cluster_changed(const struct cluster *c, size_t *ret_n);
void cluster_changed_clear(struct cluster *c);

/* Pending pods, oldest first; of one creation time by uid, so that a relist gives the same. */
struct pending_pod **cluster_pending(struct cluster *c, size_t *ret_n);

/* For walks through all of them, which else wait for memory at each: asks for the front of the pod there, if there is one. */
enum { CLUSTER_PENDING_AHEAD = 8 };
static inline void cluster_pending_fetch(struct pending_pod *const *pods, size_t n, size_t i)
{
    if (i >= n)
        return;
    __builtin_prefetch(pods[i]);
    __builtin_prefetch(&pods[i]->arrived); /* it may lie across two lines */
}

/* NULL: the pod is not pending. */
const struct pending_pod *cluster_find_pending(const struct cluster *c, struct uid uid);

/* Adds a pod to (sign 1), or takes it from (sign -1), the claims of a node. */
void cluster_claim(struct cluster *c, uint32_t node, const struct pending_pod *pod, int sign);

/*
 * A pending pod is let in to a node, or (CLUSTER_NO_NODE) not any more: its request counts there as
 * `admitted` until it is no longer pending. False, and nothing changes, if the pod is not pending.
 */
bool cluster_admit(struct cluster *c, struct uid uid, uint32_t node);

/*
 * A filler that is apart is one that nobody here drives: for the others what it holds on a node
 * (bound, terminating ones until they are gone, let in) is taken, as if it were paid (fit.h). None
 * is at first. O(pods) where that changes and it has pods.
 */
void cluster_set_apart(struct cluster *c, int filler, bool is_so);
/* to -= what the fillers that are apart hold on a node, but for one of them, in these places.
 * O(fillers), O(1) where none is. */
void cluster_sub_apart(const struct cluster *c, uint32_t node, int but,
                       const struct resource_places *places, struct resources *to);

/* The node that a pod is bound to, also one without facts; else CLUSTER_NO_NODE. It keeps its index
 * while the pod is there. */
uint32_t cluster_pod_node(const struct cluster *c, struct uid uid);

/* Rises whenever a node's facts come or go. */
uint64_t cluster_node_generation(const struct cluster *c);

/* Rises whenever room may have become free for pending pods: a node came or changed, a pod left or
 * shrank. */
uint64_t cluster_room_generation(const struct cluster *c);

/* A count from scratch of what is kept incrementally; false and the first difference in `what` if
 * they disagree. O(pods + nodes), for tests. */
bool cluster_verify(const struct cluster *c, char *what, size_t size);

#endif
