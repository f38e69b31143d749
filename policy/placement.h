/*
 * placement: which nodes filler goes to, and which filler pods go (docs/CONTROL.md 6).
 *
 * One placer is one filler's: its pods one by one (name, node, state, deletion cost), and what
 * is under way for them. Records come in as they came to the cluster; placement_step() says which
 * gated pods to let in and where, which deletion costs to write before the target shrinks, and how
 * many pods must leave whatever N says. It is pure: the caller writes, and answers with
 * placement_admitted() and placement_costed(). Until answered a write counts as done, so that no
 * room is given away twice; it is not asked for again.
 *
 * Letting in (mode gate). A pod that waits behind our gate alone goes to a node where
 *     filler there (bound, not terminating, + let in) < cap[n]                          (caps.h)
 *     allocatable - paid - claims - filler (terminating too) - let in >= request        (now)
 * and only while fewer than N are let in. The oldest pod goes to the fullest node: the one with the
 * fewest slots free of filler, slots[n] - filler there; ties by name. A node stays the fullest
 * until it is at its cap, so that what is left over gathers on the emptiest nodes in pieces larger
 * than a hole, and a node's hole, slots[n] - cap[n], is never broken into. At most
 * PLACEMENT_UNDER_WAY admissions are under way at once: ask again after the answers.
 *
 * A pod that was let in and is not bound after `refused_after_us`, or half of it after the
 * scheduler called it unschedulable, is given up (where the scheduler says nothing of pods, as
 * while it is down, each time that ends so doubles the time that the next ones have, up to
 * PLACEMENT_PATIENCE_US, until one is bound): it must leave, and a node that was called
 * unschedulable for it is left alone for PLACEMENT_SHUN_US. It keeps its room until it is gone, as
 * it may still be bound.
 *
 * Which pods go. A ReplicaSet that shrinks removes pods in this order: without a node, phase
 * Pending, Unknown, not ready, and only then by deletion cost. Whole levels go anyway; costs are
 * written in the one level that is cut: first on pods above slots[n] where a claim is placed, then
 * on pods above cap[n]; within each the node with the smallest excess first, there the youngest
 * first. What goes below the caps is left to the ReplicaSet. A pod that was marked and not needed
 * keeps its cost until the next choice in its level, which sets it to 0.
 *
 * Pods that must leave whatever N says: those given up; and where the scheduler does not preempt
 * this filler, what stands above slots[n] on the node of a claim whose pod was reported
 * unschedulable. They are marked first. As long as they stay, `evict` lowers the target so far that
 * they go, with all whom a ReplicaSet takes before them; it counts only pods whose mark has been
 * confirmed. 0 again once they are terminating.
 *
 * Times that go back are taken as no time passed. Ties are broken by node name and by age, then
 * uid, so that equal histories give equal plans.
 */
#ifndef BRIM_POLICY_PLACEMENT_H
#define BRIM_POLICY_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "capacity/cluster.h"
#include "policy/policy.h"

/* Admissions that are under way at once, and costs in one plan: what the writers do in parallel,
 * and in the second that a shrinking scale waits for. */
enum { PLACEMENT_UNDER_WAY = 100, PLACEMENT_MAX_COSTS = 500 };

/* A write that failed is tried again after this, an admission after twice the time for each one of
 * the pod's that failed before. */
#define PLACEMENT_RETRY_US (1 * US_PER_S)
enum { PLACEMENT_MAX_DOUBLINGS = 6 };
/* The longest that a pod of which the scheduler says nothing is waited for. */
#define PLACEMENT_PATIENCE_US (600 * US_PER_S)
/* How long nothing is let in to a node that refused a pod. */
#define PLACEMENT_SHUN_US (60 * US_PER_S)

/* Deletion costs of pods that should go; lower than what people write, and told apart from it after
 * a restart. */
#define PLACEMENT_COST_FIRST INT32_C(-2000000000) /* they must leave, or stand in a claim's room */
#define PLACEMENT_COST_NEXT  INT32_C(-1000000000) /* they stand in a hole */

/* One filler's state; `enum placement_mode` is the policy's word for where its pods go. */
struct placer;

struct placer *placement_new(void);
void placement_free(struct placer *p);
DEFINE_FREE_PTR(struct placer, placement)

/*
 * A filler pod as it came, after cluster_upsert_pod() with it; a finished one is dropped. A pod
 * that is found let in and not bound (a restart, an answer that was lost) stands on the node that
 * its rules require. A gate that is gone does not come back: an older record does not undo an
 * admission. O(log gated) and a move within the list of gated pods.
 */
void placement_put(struct placer *p, struct cluster *c, const struct pod_record *pod,
                   struct mono now);
/* Before or after cluster_remove_pod(); unknown pods are ignored. */
void placement_drop(struct placer *p, struct cluster *c, struct uid uid, struct mono now);

/* Mark and sweep, as cluster_list_begin(); _end drops what the list did not name and returns how
 * many that were. */
void placement_list_begin(struct placer *p);
size_t placement_list_end(struct placer *p, struct cluster *c, struct mono now);

struct placement_input {
    enum placement_mode mode; /* only gate lets in */
    struct cluster *cluster;
    const struct resources *request; /* of one filler pod */
    const int64_t *slots;            /* of this filler by node index; 0: not eligible */
    size_t n_nodes;                  /* nodes from here on have no slots */
    int64_t hole_slots;              /* z, at least 1 */
    int64_t kept_slots; /* h; less is kept free where N, by the policy's minimum, leaves less */
    int64_t replicas;   /* N, what is wanted */
    int64_t asked;      /* what the target asks for now */
    bool may_grow;      /* fresh and complete facts, not paused up: pods may be let in */
    bool may_shrink;    /* costs may be written and pods made to leave */
    bool preempts; /* the scheduler preempts this filler for every paid pod that waits: it has a
                      lower PriorityClass, and no waiting pod is claims_sum.helpless */
    struct mono now;
    int64_t refused_after_us;
};

/* Names are valid until the pod is put or dropped. */
struct placement_admission {
    struct uid uid;
    struct sv name;
    uint32_t node;
};

struct placement_cost {
    struct uid uid;
    struct sv name;
    int32_t cost;
};

struct placement_plan {
    const struct placement_admission *admit; /* oldest pod first */
    size_t n_admit;
    const struct placement_cost *costs; /* changed ones only; those that should go first first */
    size_t n_costs;
    int64_t evict; /* ask for N - evict until they are terminating */
    bool has_wake;
    struct mono wake; /* ask again then if nothing happens before */
};

/*
 * What should be written now. Valid until the next call with this placer. O(1) plus what was let
 * in and is not bound, as long as no pod waits that N has a place for, `asked` <= N, nobody must
 * leave and `preempts`; else O(nodes), plus O(log nodes) for each node that pods go to or leave,
 * and without `preempts` O(pending) while filler stands above its slots.
 */
const struct placement_plan *placement_step(struct placer *p, const struct placement_input *in);

/*
 * Answers, one for each entry of a plan. `ok`: it went through; for an admission also: it may have.
 * An admission that did not is tried again after PLACEMENT_RETRY_US, or twice, four times … as long
 * if it fails again and again; a cost with the next plan that wants it after PLACEMENT_RETRY_US. Pods that are gone are ignored.
 */
void placement_admitted(struct placer *p, struct cluster *c, struct uid uid, bool ok,
                        struct mono now);
void placement_costed(struct placer *p, struct uid uid, int32_t cost, bool ok);

struct placement_counts {
    int64_t gated;    /* wait behind our gate, or that of others */
    int64_t admitted; /* let in, or that is being written; not bound */
    int64_t bound;
    int64_t leaving;
    uint64_t refused; /* given up since the start, each pod once */
};

struct placement_counts placement_counts(const struct placer *p);

/* The pods that are not terminating, one by one, in no order. O(pods). */
void placement_names(const struct placer *p, void (*take)(void *self, struct sv name), void *self);

/* Pods by node index that stand there: bound and not terminating, let in, or being let in. Valid
 * until the placer is changed. */
const int64_t *placement_by_node(const struct placer *p, size_t *ret_n);

#endif
