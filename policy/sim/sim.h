/*
 * sim: a Kubernetes cluster in virtual time: kube-scheduler, ReplicaSets, kubelets and HPAs over
 * nodes and pods.
 *
 * It is the world in which policies are tried: one pure, deterministic, event-driven simulation.
 * Time is virtual, starts at config.start and moves only in sim_run_until(). The same calls with
 * the same seed give the same events in the same order. Nothing is read, written or logged.
 *
 * What it follows (release 1.35):
 * - scheduler: queue by priority, then creation; a filter by the same code that the agent counts
 * with (resources_fit, rules_check_node); LeastAllocated, BalancedAllocation and, for pods of a
 * workload, the default spread over hostnames, ties by the seed; nominated pods; preemption with
 * reprieve; back-off, and retries when something happened that could help; gated
 * pods are not tried.
 * - ReplicaSet controller: one client of 20 calls/s with a burst of 30 for all workloads; slow
 * start 1, 2, 4, 8 …, at most 500 a sync; a sync is not interrupted; the deletion order of the real
 * one. A Deployment is one ReplicaSet.
 * - kubelet: start-up and termination take the times that the pod's spec says; a terminating pod
 * holds its room; one that has not started goes at once.
 * - HPA: hpa.h every 15 s on a workload's scale.
 * Left out: PodDisruptionBudgets, topology spread of a pod's own or over zones, required pod (anti-)affinity, host ports,
 * volumes, rollouts, NoExecute evictions.
 *
 * Views (struct sim_pod, sim_node, sim_workload) are read-only and live as long as their object:
 * they always show the present. The observer is told every change, in order, after it happened; it
 * must not call what changes the sim.
 *
 * Limits: SIM_MAX_NODES, SIM_MAX_PODS, SIM_MAX_WORKLOADS; what would go beyond is an ERR_LIMIT.
 * Strings and arrays of specs are borrowed for the call and copied.
 */
#ifndef BRIM_POLICY_SIM_SIM_H
#define BRIM_POLICY_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "capacity/records.h"
#include "policy/sim/hpa.h"

enum { SIM_MAX_NODES = 100000, SIM_MAX_PODS = 4000000, SIM_MAX_WORKLOADS = 100000 };
#define SIM_NEVER INT64_MAX

struct sim;

/* ---- nodes ---- */

struct sim_node {
    uint32_t id;
    struct uid uid;
    struct node_record record; /* owned by the sim */
    struct mono created;
    uint64_t version;
    struct resources used; /* of the pods bound here, terminating ones too */
    uint32_t pods;         /* how many that are */
    bool gone;             /* was removed; pods that name it are still to go */
};

/* ---- pods ---- */

struct sim_pod_spec {
    struct sv ns;
    struct resources request; /* at[RESOURCE_PODS] is taken as 1 */
    int32_t priority;
    struct sv priority_class;
    bool preempts_never;
    bool gated;
    bool packs; /* preferred pod affinity to its own workload by hostname, weight 100, in place of
                   the default spread */
    struct pod_rules rules;
    const struct label *labels;
    size_t n_labels;
    int64_t grace_us; /* terminationGracePeriodSeconds */
    int64_t start_us; /* from bound to Running; SIM_NEVER: it is never seen to run */
    int64_t ready_us; /* from Running to Ready */
    int64_t exit_us;  /* from SIGTERM to gone; never more than the grace */
    int64_t run_us;   /* from Running to Succeeded; 0: runs until it is deleted */
    uint64_t tag;     /* the caller's own; kept and not looked at */
};

/* Namespace "default", one pod's place, nothing asked, grace 30 s, start 2 s, exit 1 s. */
struct sim_pod_spec sim_pod_spec_default(void);

struct sim_pod {
    uint32_t id; /* index for sim_pod_at(); taken by another pod once this one is gone */
    struct uid uid;
    struct sv name;
    const struct sim_pod_spec *spec;  /* shared by the pods of a template */
    const struct pod_rules *rules;    /* the spec's, or what sim_pod_patch() gave */
    const struct sim_workload *owner; /* NULL: none */
    const struct sim_node *node;      /* NULL: not bound */
    const struct sim_node *nominated; /* status.nominatedNodeName */
    struct mono created;
    struct mono failed_at;  /* first failed attempt; valid while attempts > 0 and `blocked` */
    struct mono bound_at;   /* valid with a node */
    struct mono ready_at;   /* valid while ready */
    struct mono deleted_at; /* valid while deleting: when the deletion was asked for */
    int64_t grace_us;       /* valid while deleting: the grace of the deletion */
    uint64_t version;       /* resourceVersion of its last change */
    uint32_t attempts;      /* of the scheduler */
    int32_t deletion_cost;
    enum pod_phase phase;
    bool gated;
    bool unschedulable; /* condition PodScheduled=False, reason Unschedulable; ends with binding */
    bool blocked;       /* an attempt failed, once */
    bool ready;
    bool deleting;
    bool preempted; /* condition DisruptionTarget, reason PreemptionByScheduler */
};

/* ---- workloads ---- */

struct sim_workload_status {
    int32_t replicas; /* pods that are neither terminating nor finished */
    int32_t ready;
    int32_t terminating;
};

struct sim_workload {
    uint32_t id;
    struct uid uid;
    struct sv kind, ns, name; /* kind: "Deployment", "ReplicaSet", whatever the caller said */
    const struct sim_pod_spec *template;
    struct mono created;
    uint64_t version;
    int64_t generation;
    int32_t replicas;                  /* spec.replicas */
    struct sim_workload_status status; /* as the controller last wrote it */
    struct sim_workload_status live;   /* as it is */
};

struct sim_workload_spec {
    struct sv kind, name; /* the namespace is the template's */
    int32_t replicas;
    struct sim_pod_spec template;
};

/* ---- the world ---- */

enum sim_kind { SIM_NODE, SIM_POD, SIM_WORKLOAD, SIM_KIND_COUNT_ };
enum sim_verb { SIM_ADDED, SIM_MODIFIED, SIM_DELETED, SIM_VERB_COUNT_ };
const char *sim_kind_name(enum sim_kind kind);
/* "ADDED", "MODIFIED", "DELETED" */
const char *sim_verb_name(enum sim_verb verb);

struct sim_event {
    enum sim_kind kind;
    enum sim_verb verb;
    uint64_t version; /* rises with every event */
    struct mono at;
    union {
        const struct sim_node *node;
        const struct sim_pod *pod;
        const struct sim_workload *workload;
    };
};

struct sim_observer {
    void (*see)(void *self, const struct sim_event *event); /* NULL: nobody looks */
    void *self;
};

struct sim_config {
    uint64_t seed;
    struct mono start;
    struct wall epoch; /* the wall clock at mono 0 */
    struct sim_observer observer;
    int64_t attempt_us;     /* one scheduling attempt */
    int64_t backoff_us;     /* first back-off, up to the end of its second, doubling … */
    int64_t backoff_max_us; /* … up to this */
    int64_t flush_us;       /* an unschedulable pod is tried again after this in any case */
    int64_t react_us;       /* from a change to the ReplicaSet controller's sync */
    int64_t call_us;        /* one API call of that controller */
    int32_t client_rate,
        client_burst;       /* of that controller: calls a second, burst; rate 0: no limit */
    int64_t orphan_us;      /* pods of a removed node go after this */
    int32_t jitter_percent; /* start_us and exit_us vary by so much both ways */
};

/* The real ones' defaults: 1.5 ms an attempt, 1 s to 10 s, 5 min, 5 ms, 2 ms, 20/s and 30, 40 s, no
 * jitter, seed 1. */
struct sim_config sim_config_default(void);

struct sim *sim_new(const struct sim_config *config);
void sim_free(struct sim *s);
DEFINE_FREE_PTR(struct sim, sim)

struct mono sim_now(const struct sim *s);
struct wall sim_wall(const struct sim *s, struct mono t);
/* The version of the last event. */
uint64_t sim_version(const struct sim *s);

/* Carries out all that happens up to and at `t`, then it is `t`. An earlier t changes nothing. */
void sim_run_until(struct sim *s, struct mono t);
/* When something happens next by itself; SIM_NEVER: nothing does. */
struct mono sim_next(const struct sim *s);

/* ---- what users and clouds do; each takes effect now ---- */

/* Adds a node or replaces what is known of it (by name). */
bool sim_node_put(struct sim *s, const struct node_record *node, const struct sim_node **ret_node,
                  struct err *err) MUST_CHECK;
/* Its pods go orphan_us later, unless a node of this name has come back. */
void sim_node_remove(struct sim *s, const struct sim_node *node);

/*
 * Creates a pod. An empty name gets one. `node` (may be NULL) binds it without the scheduler, as a
 * DaemonSet's, a static or an already running pod; room is not asked for then. ERR_CONFLICT: the
 * namespace has a pod of this name.
 */
bool sim_pod_create(struct sim *s, struct sv name, const struct sim_pod_spec *spec,
                    const struct sim_node *node, const struct sim_pod **ret_pod,
                    struct err *err) MUST_CHECK;
/*
 * For a great many pods of few kinds: a spec that is copied once and lives as long as the sim, and a
 * pod of it, which has no name: nothing finds it by one.
 */
const struct sim_pod_spec *sim_spec_keep(struct sim *s, const struct sim_pod_spec *spec);
bool sim_pod_create_kept(struct sim *s, const struct sim_pod_spec *kept,
                         const struct sim_node *node, const struct sim_pod **ret_pod,
                         struct err *err) MUST_CHECK;
/* Without a node, or with grace 0, it is gone at once. grace_us < 0: its own. Twice: the shorter
 * grace counts. */
void sim_pod_delete(struct sim *s, const struct sim_pod *pod, int64_t grace_us);

struct sim_pod_patch {
    bool ungate;                   /* all gates go */
    const struct pod_rules *rules; /* NULL: as they are; copied */
    bool has_cost;
    int32_t cost; /* the deletion cost */
};
/* One write, one event. Rules of a pod that is bound may change, without effect. */
void sim_pod_patch(struct sim *s, const struct sim_pod *pod, const struct sim_pod_patch *patch);

/* ERR_CONFLICT: kind, namespace and name are taken. */
bool sim_workload_add(struct sim *s, const struct sim_workload_spec *spec,
                      const struct sim_workload **ret_workload, struct err *err) MUST_CHECK;
/* spec.replicas; below 0 counts as 0. */
void sim_workload_scale(struct sim *s, const struct sim_workload *workload, int32_t replicas);
/* For pods that are created from now on: pods that exist are left alone. */
void sim_workload_template(struct sim *s, const struct sim_workload *workload,
                           const struct sim_pod_spec *template);
/* Its pods are deleted with it, each with its own grace. */
void sim_workload_remove(struct sim *s, const struct sim_workload *workload);

/* Where an HPA's metric values come from; called at each of its rounds, inside sim_run_until(). */
struct sim_metrics {
    /* The reading of spec.metrics[index]; what it points to is used before the next call. */
    struct hpa_reading (*read)(void *self, size_t index, struct mono now);
    void *self;
};
/* Gives the workload an HPA, first round at `first`, then every 15 s, while the workload lives. */
bool sim_hpa_add(struct sim *s, const struct sim_workload *workload, const struct hpa_spec *spec,
                 const struct sim_metrics *metrics, struct mono first, struct err *err) MUST_CHECK;

/* ---- queries ---- */

/* Ids run from 0 to limit - 1; NULL where none has the id. */
uint32_t sim_node_limit(const struct sim *s);
const struct sim_node *sim_node_at(const struct sim *s, uint32_t id);
uint32_t sim_pod_limit(const struct sim *s);
const struct sim_pod *sim_pod_at(const struct sim *s, uint32_t id);
uint32_t sim_workload_limit(const struct sim *s);
const struct sim_workload *sim_workload_at(const struct sim *s, uint32_t id);

/* O(1); NULL: there is none. */
const struct sim_node *sim_node_find(const struct sim *s, struct sv name);
const struct sim_pod *sim_pod_find(const struct sim *s, struct sv ns, struct sv name);
const struct sim_workload *sim_workload_find(const struct sim *s, struct sv kind, struct sv ns,
                                             struct sv name);

struct sim_counts {
    uint32_t nodes, workloads;
    uint32_t pods;
    uint32_t bound;                           /* with a node, terminating ones too */
    uint32_t pending;                         /* without */
    uint64_t attempts, bindings, preemptions; /* since the start; preemptions: victims */
};
struct sim_counts sim_counts(const struct sim *s);

/* The pod as capacity's record; it borrows from the view. */
struct pod_record sim_pod_record(const struct sim *s, const struct sim_pod *pod);

/* A count from scratch of what is kept incrementally; false and the first difference in `what`.
 * O(all), for tests. */
bool sim_verify(const struct sim *s, char *what, size_t size);

#endif
