/*
 * planner: the facts of a cluster and its fillers in, decisions out. It joins what the rest of
 * policy/ and capacity/ compute into one evaluation, and is the same code in the agent, in `brim
 * decide`, in `brim replay` and in tests. Pure: no I/O, no clock.
 *
 *     claims -> room (fit) -> demand -> headroom -> share -> set point -> damper -> placement
 *
 * Whoever has the facts shows every pod and node as it comes, says of each pod whose it is, then
 * asks once: planner_step(). What a step plans is carried out by the caller, who says how that
 * went: planner_wrote(), planner_admitted(), planner_costed().
 *
 * Fillers share the room in order of their policy's priority (high first), then of name
 * (docs/CONTROL.md 3): each sees the room that the set points of those above it leave, whatever
 * they happen to run; what is kept free is taken once, the largest R0 + H of all. Only fillers that
 * are known and carried out share. What the pods of the others hold is room to nobody but
 * themselves. One that is merely observed (dry run, metrics-only) is computed as if it shared with
 * these, and what it wants takes nothing from them; with none of these, all that are known share as
 * they would. Claims are made by paid pods whose priority is above that of the lowest filler.
 *
 * Demand D is what paid pods ask for on the nodes that the filler may use, and what waiting ones
 * claim there. A pod arrives when it is first bound or has a claim, unless it was there when the
 * facts began (planner_list_end(), or the first step).
 *
 * A step costs O(changed nodes + pending pods + n log n of the admissions); with several fillers
 * also O(nodes x fillers).
 */
#ifndef BRIM_POLICY_PLANNER_H
#define BRIM_POLICY_PLANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capacity/claims.h"
#include "capacity/cluster.h"
#include "capacity/fit.h"
#include "policy/controller.h"
#include "policy/headroom.h"
#include "policy/placement.h"
#include "policy/policy.h"

/* What A is made of besides the filler's grace: watch, write, latency of the controller and of the
 * scheduler's back-off (docs/CONTROL.md 4). */
#define PLANNER_ACTUATION_BASE_US (1300 * US_PER_MS)
enum { PLANNER_MAX_FILLERS = CLUSTER_MAX_FILLERS };

struct planner;

struct planner *planner_new(void);
void planner_free(struct planner *p);
DEFINE_FREE_PTR(struct planner, planner)

/* To look at; pods and nodes are changed through the planner alone. */
struct cluster *planner_cluster(struct planner *p);

/* ---- fillers ---- */

/* What a pod of the filler looks like. */
struct planner_shape {
    struct resources request;
    const struct pod_rules *rules; /* copied */
    struct claims_filler claims;   /* its priority and grace */
    int64_t start_us;              /* from bound to ready; a part of what a kill costs */
};

/* A further filler; the index counts from 0 and is what planner_put_pod() wants. Below 0: there are
 * PLANNER_MAX_FILLERS. The policy is borrowed until the next planner_set_policy(). */
int planner_add(struct planner *p, const struct policy *policy);
/* Another text of the same policy; history stays. */
void planner_set_policy(struct planner *p, int filler, const struct policy *policy);
/* The filler is no more: its index is free. What it had is released before (planner_release()). */
void planner_remove(struct planner *p, int filler);
/* The same policy has another target: what was learned of the old one's count is void. */
void planner_restart(struct planner *p, int filler);

void planner_set_shape(struct planner *p, int filler, const struct planner_shape *shape);
bool planner_has_shape(const struct planner *p, int filler);

/* ---- facts ---- */

/* `filler`: whose it is, or CLUSTER_PAID; `ignored`: makes no claim by policy. */
struct pod_change planner_put_pod(struct planner *p, const struct pod_record *pod, int filler,
                                  bool ignored, struct mono now);
struct pod_change planner_drop_pod(struct planner *p, struct uid uid, struct mono now);
void planner_put_node(struct planner *p, const struct node_record *node);
void planner_drop_node(struct planner *p, struct sv name);
void planner_list_begin(struct planner *p, enum cluster_kind kind);
void planner_list_end(struct planner *p, enum cluster_kind kind, struct mono now);
/* The filler has another target, or none: its pods are paid until they are shown again. What that
 * adds to the demand is no rise: where there are any, demand before `now` is forgotten. O(pods). */
void planner_release(struct planner *p, int filler, struct mono now);

/* ---- the past: what a journal tells, oldest first ---- */

/*
 * What follows is told of these fillers (bit i: the one with index i), as their shapes and the
 * nodes are now: rises depend on A and T, and on what a share of the cluster comes to. It takes the
 * place of what their headroom learned so far; that of others goes on. Sizes of pods, which all
 * fillers have in common, are learned from the first past that is told. O(nodes).
 */
void planner_past_begin(struct planner *p, uint32_t fillers);
/* D and the allocatable of all nodes, from `at` on. */
void planner_past_demand(struct planner *p, struct mono at, int64_t demand_milli,
                         int64_t allocatable_milli);
/* A paid pod arrived; D is with it. */
void planner_past_arrival(struct planner *p, struct mono at, int64_t demand_milli,
                          int64_t cpu_milli);
/* Nothing is known of the time before `at`. */
void planner_past_gap(struct planner *p, struct mono at);

/* ---- steps ---- */

/* What the caller knows of one filler's target. */
struct planner_input {
    bool known; /* target found, and paid and filler pods can be told apart; the shape is looked at
                   besides */
    bool fresh; /* nothing is older than stale.after */
    bool cut_off; /* pods or nodes are cut off or listed anew: yields go on, growth waits */
    bool paused_up, paused_down;
    bool carries_out; /* what is planned will be done: false in a dry run and with metrics-only */
    int64_t replicas; /* what the target asks for */
    bool late;        /* a write that was not answered may have set them */
    bool inherits;    /* so may one of whoever wrote before */
};

struct planner_plan {
    struct decision decision;
    struct fit_sum room;
    int64_t reserve_milli;          /* R0 of its policy */
    int64_t slot_milli, hole_slots; /* c, z */
    struct headroom_state headroom;
    int64_t settle_us; /* T in force: the policy's, 2A, or what `auto` found best */
    const struct placement_plan *placement; /* NULL where nothing can be placed; valid until the
                                               next step */
};

struct planner_result {
    struct claims_sum claims;
    bool has_wake;
    struct mono wake; /* ask again then if nothing happens before */
};

/* One evaluation: `in` and `plans` hold one for each index up to planner_limit(). */
struct planner_result planner_step(struct planner *p, const struct planner_input *in,
                                   struct planner_plan *plans, struct mono now);
/* One more than the highest index in use. */
int planner_limit(const struct planner *p);

/* What another process has learned of this filler's headroom: headroom_told(). */
void planner_learned(struct planner *p, int filler, int64_t need_milli, int64_t values);

/* How what was planned went. */
void planner_wrote(struct planner *p, int filler, int64_t replicas, struct mono now);
void planner_admitted(struct planner *p, int filler, struct uid uid, bool ok, struct mono now);
void planner_costed(struct planner *p, int filler, struct uid uid, int32_t cost, bool ok);

/* Pods of the filler one by one, as placement sees them. */
struct placement_counts planner_placement(const struct planner *p, int filler);
/* Their names: placement_names(). */
void planner_pod_names(const struct planner *p, int filler,
                       void (*take)(void *self, struct sv name), void *self);
/* Room by node as the filler has it beside those alone that are not driven; NULL while its shape is
 * not known. */
const struct fit *planner_fit(const struct planner *p, int filler);
/* The filler's slots on a node, where its pods may go, as of the last step. */
int64_t planner_node_slots(const struct planner *p, int filler, uint32_t node);

#endif
