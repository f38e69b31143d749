/*
 * parts: what the files of the simulation share; not for its users, who include sim.h.
 *
 * clockwork.c  what happens when: the heap of events, random numbers, the observer
 * pod.c        specs, pods and nodes as objects, their names and sums
 * kubelet.c    from bound to Ready, from asked to stop to gone
 * sched.c      the scheduler's queues and its attempts
 * shape.c      where a pod fits best, without looking at every node
 * preempt.c    who must go for a pod
 * replicas.c   the ReplicaSet controller
 * sim.c        the calls of sim.h
 */
#ifndef BRIM_POLICY_SIM_PARTS_H
#define BRIM_POLICY_SIM_PARTS_H

#include "base/alloc.h"
#include "base/map.h"
#include "capacity/pack.h"
#include "capacity/selector.h"
#include "policy/sim/sim.h"

/* The resources that a pod asks for: to look at them alone is what resources_fit() comes to. */
struct places {
    uint8_t at[RESOURCE_MAX];
    uint8_t n;
};

/* A pod's spec, shared by all pods of a template. */
struct spec {
    struct sim_pod_spec view;   /* stands first: sim_pod_create_kept() goes by it */
    struct packed_node *text;   /* namespace and labels */
    struct packed_rules *rules; /* NULL: none */
    char *priority_class;       /* NULL: none */
    uint32_t refs;
    struct sv pin;                /* the one node that the rules allow; empty: no such rule */
    int64_t score_cpu, score_mem; /* what it asks for in the scheduler's scores */
    uint64_t request_hash;
    struct places places;
};

enum queue { QUEUE_NONE, QUEUE_ACTIVE, QUEUE_BACKOFF, QUEUE_UNSCHEDULABLE, QUEUE_COUNT_ };

struct pod {
    struct sim_pod view;
    bool live;
    bool counted;    /* bound and not finished: in its node's sums */
    bool wants_room; /* the last attempt found nodes that would accept it, if they had room */
    uint64_t serial; /* tells it from earlier pods with its id; also the order of creation */
    struct spec *spec;
    struct packed_rules *own_rules; /* after a patch */
    struct sv pin;                  /* of the rules that hold */
    struct node *node, *nominated;
    struct workload *owner;
    size_t at_nominated, at_owner, at_queue; /* positions in the lists that hold it */
    size_t at_slot;                          /* SIZE_MAX: in none */
    int64_t started_s; /* whole seconds of the wall clock; of one with a node */
    enum queue queue;
    uint64_t queue_order;  /* rises with each return to the queue */
    struct mono queued_at; /* unschedulable: since then */
    struct mono backoff_until;
    struct mono exit_at; /* valid while deleting */
};

struct pod_list {
    struct pod **at;
    size_t n, cap;
};

/* A pod on a node, with what others look at when they want its place. */
struct tenant {
    struct pod *pod;
    const struct resources *request;
    int64_t started_s; /* the pod's */
    int32_t priority;
};

struct node {
    struct sim_node view;
    bool live;
    uint64_t facts;   /* another value whenever the record changed or the node went */
    uint64_t removed; /* counts removals: an orphan event of an earlier one is void */
    struct packed_node *packed;
    struct resources free;        /* allocatable - used; may be negative */
    int64_t score_cpu, score_mem; /* sums of what pods ask for in the scheduler's scores */
    struct tenant *tenants;       /* pods that name it: finished ones, too; most important first */
    size_t n_tenants, tenants_cap;
    struct pod_list nominated;
    struct pod_list slots; /* the unfinished ones in the order of the scheduler's cache */
};

/* A workload's pods on a node that are not finished; `staying` are those that were not asked to go. */
struct crowd {
    uint32_t all, staying;
};

struct workload {
    struct sim_workload view;
    bool live;
    bool armed; /* a sync is on its way */
    bool dirty; /* something changed while a sync ran */
    uint64_t serial;
    char *kind, *name;
    struct spec *template;
    struct pod_list pods;
    int32_t ready_any; /* Running and Ready, terminating ones, too: what an HPA counts */
    int32_t calls;     /* of the sync that runs, not answered yet; 0: no sync runs */
    int32_t to_create; /* what that sync still has to create, after the batch that runs */
    int32_t batch;
    struct crowd *on_node; /* pods by node id */
    size_t on_node_cap;
};

enum happening {
    HAPPEN_ATTEMPT, /* the scheduler ends an attempt */
    HAPPEN_FLUSH,   /* it looks for pods that were unschedulable for long */
    HAPPEN_RUNNING, /* a pod's containers have started */
    HAPPEN_READY,
    HAPPEN_DONE,    /* a pod with an end has come to it */
    HAPPEN_EXIT,    /* a terminating pod is gone */
    HAPPEN_ORPHANS, /* the pods of a removed node go */
    HAPPEN_SYNC,    /* the ReplicaSet controller looks at a workload */
    HAPPEN_CREATE,  /* its call that creates a pod is answered */
    HAPPEN_DELETE,  /* its call that deletes a pod is answered */
    HAPPEN_HPA,
    HAPPEN_COUNT_
};

struct timed {
    struct mono at;
    uint64_t seq; /* equal times: in the order of their making */
    enum happening what;
    uint32_t id;     /* of the pod, node, workload, HPA */
    uint32_t other;  /* HAPPEN_DELETE: the workload */
    uint64_t serial; /* of what `id` names: void if it has another one by now */
    uint64_t other_serial;
};

struct timeline {
    struct timed *at;
    size_t n, cap;
    uint64_t seq;
};

/* Pods by a rule of order, each knowing its place. */
struct pod_heap {
    struct pod_list list;
    bool (*before)(const struct pod *a, const struct pod *b);
};

/* Amounts of cpu and memory that are worked on together; a vector has no other spelling. */
typedef double pair __attribute__((vector_size(2 * sizeof(double))));

/* What attempts look at, of one node; beside those of all other nodes. Whole numbers below
 * GLANCE_LIMIT, so that sums, SCORE_FULL times as much, and the whole part of a quotient are exact. */
#define GLANCE_LIMIT (INT64_C(1) << 46)
struct glance {
    pair total, used;
    pair score;     /* sums of what pods ask for in the scheduler's scores */
    uint64_t noted; /* where it stands last in sched.changed, and one more; 0: nowhere */
    int32_t free_pods;
    bool gone;
    bool promised; /* pods are nominated here */
    bool large;    /* it lacks cpu or memory, or an amount reaches the limit */
    bool odd;      /* any of these */
};

/* A node changed. */
struct change {
    uint64_t before; /* as its glance's `noted` before this */
    uint32_t node;
};

struct shape;
enum { SHAPES_MAX = 64 }; /* more kinds of pods than that at a time are built anew each time */

struct sched {
    struct pod_heap active, backoff;
    struct pod_list unschedulable;
    bool armed; /* an attempt is on its way */
    bool flush_armed;
    uint64_t order;
    struct shape *shapes[SHAPES_MAX];
    uint64_t shape_hashes[SHAPES_MAX]; /* beside them, for a quick search */
    size_t n_shapes;
    uint64_t shape_clock;
    struct glance *glances; /* by node id */
    size_t n_glances, glances_cap;
    uint64_t facts_clock;   /* rises whenever facts of a node change */
    struct change *changed; /* for the shapes to catch up */
    size_t n_changed, changed_cap;
    uint64_t changed_base;         /* how many were dropped before changed[0] */
    struct pod_list victims, best; /* scratch of preempt.c */
    uint64_t attempts, bindings, preemptions;
};

struct autoscaler {
    struct hpa *hpa;
    struct sim_metrics metrics;
    uint32_t workload;
    uint64_t serial;
};

struct client { /* a token bucket, in millionths of a call */
    int64_t tokens;
    struct mono at;
};

enum { POD_CHUNK = 256 };

/*
 * What chance decides. Each has a generator of its own, so that what one pod is called moves nobody
 * else; ties of the scheduler's scores are each shape's (shape.c): a kind of pods that comes in
 * addition, or that never comes, leaves the luck of the others as it is.
 */
enum chance { CHANCE_NAMES, CHANCE_TIMES, CHANCE_PREEMPTION, CHANCE_COUNT_ };

struct sim {
    struct sim_config config;
    struct mono now;
    uint64_t version, serial;
    uint64_t random[CHANCE_COUNT_]; /* states of the generators */
    bool telling;                   /* the observer or a metric is being called */
    struct timeline timeline;
    struct node **nodes;
    size_t n_nodes, nodes_cap;
    struct pod **pod_chunks;
    size_t n_pods, chunks_cap; /* ids given so far; chunks */
    struct workload **workloads;
    size_t n_workloads, workloads_cap;
    uint32_t *free_nodes, *free_pods, *free_workloads;
    size_t n_free_nodes, n_free_pods, n_free_workloads;
    size_t free_nodes_cap, free_pods_cap, free_workloads_cap;
    struct map node_names, pod_names, workload_names;
    struct autoscaler *hpas;
    size_t n_hpas, hpas_cap;
    struct spec **kept; /* of sim_spec_keep() */
    size_t n_kept, kept_cap;
    struct sched sched;
    struct client client;
    uint32_t live_nodes, live_pods, live_workloads, bound;
};

/* ---- clockwork.c ---- */

void timeline_add(struct sim *s, struct mono at, struct timed what);
bool timeline_take(struct sim *s, struct mono until, struct timed *ret_what);
uint64_t sim_random(struct sim *s, enum chance chance);
/* Where a generator begins that is for `of` alone. */
uint64_t sim_seed(const struct sim *s, uint64_t of);
/* splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators"): a state that
 * grows by a step, and the number that is made of it. */
#define RANDOM_STEP 0x9e3779b97f4a7c15ULL
static inline uint64_t random_of(uint64_t state)
{
    uint64_t z = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9ULL;

    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}
/* us, more or less by the configured jitter. */
int64_t sim_jitter(struct sim *s, int64_t us);
/* The wall clock at t in whole seconds, as the API stores times. */
int64_t sim_seconds(const struct sim *s, struct mono t);
struct uid sim_uid(struct sim *s);

void tell_pod(struct sim *s, enum sim_verb verb, struct pod *pod);
void tell_node(struct sim *s, enum sim_verb verb, struct node *node);
void tell_workload(struct sim *s, enum sim_verb verb, struct workload *w);

void list_push(struct pod_list *list, struct pod *pod);
/* Takes out the pod at a place; the last one takes the place and is returned (NULL: none moved). */
struct pod *list_cut(struct pod_list *list, size_t at);
void heap_push(struct pod_heap *heap, struct pod *pod);
void heap_cut(struct pod_heap *heap, struct pod *pod);

/* ---- pod.c ---- */

extern const struct map_ops pod_map_ops, node_map_ops, workload_map_ops;
struct object_key {
    struct sv kind, ns, name;
};
uint64_t object_hash(struct sv kind, struct sv ns, struct sv name);

struct spec *spec_new(const struct sim_pod_spec *from);
void spec_unref(struct spec *spec);
/* The one node that rules allow by metadata.name; empty: there is no such rule. */
struct sv rules_pin(const struct pod_rules *rules);

struct pod *pod_at(const struct sim *s, uint32_t id);
struct node *node_at(const struct sim *s, uint32_t id);
struct workload *workload_at(const struct sim *s, uint32_t id);

/* Takes over a reference to the spec. Without a name nothing finds it by one. NULL: SIM_MAX_PODS are
 * there. Nobody was told. */
struct pod *pod_add(struct sim *s, struct sv name, struct spec *spec, struct workload *owner);
/* A free name after this prefix. */
void pod_make_name(struct sim *s, struct sv ns, const char *prefix, char *name, size_t size);
/* On the node from now on; nobody was told. */
void pod_bind(struct sim *s, struct pod *pod, struct node *node);
/* Succeeded: takes no room any more. */
void pod_finish(struct sim *s, struct pod *pod);
void pod_nominate(struct sim *s, struct pod *pod, struct node *node); /* NULL: withdraws it */
/* Deletion is asked for; gone at once without node or grace, else when the kubelet says so. */
void pod_ask_to_go(struct sim *s, struct pod *pod, int64_t grace_us);
/* The object vanishes; everybody is told. */
void pod_gone(struct sim *s, struct pod *pod);
/* Frees what it holds; for pod_gone() and the end of the world. */
void pod_release(struct pod *pod);

struct node *node_add(struct sim *s, struct sv name);
void node_set(struct sim *s, struct node *node, const struct node_record *record);
/* Puts a pod into the list of those that name the node, or takes it out. O(its pods). */
void node_take_in(const struct sim *s, struct node *node, struct pod *pod);
void node_let_go(struct node *node, struct pod *pod);
/* The scheduler heard of a change: the pod goes to the end of the node's slots. O(its pods). */
void node_heard_of(struct node *node, struct pod *pod);
/* Forgets a removed node that no pod names any more. */
void node_drop_if_unused(struct sim *s, struct node *node);
void node_release(struct node *node);

/* The rules that hold for the pod. */
static inline const struct pod_rules *pod_rules_of(const struct pod *pod)
{
    return pod->view.rules;
}

static inline uint64_t pod_rules_hash(const struct pod *pod)
{
    if (pod->own_rules != NULL)
        return pod->own_rules->hash;
    return pod->spec->rules != NULL ? pod->spec->rules->hash : 0;
}

static inline bool pod_finished(const struct pod *pod)
{
    return pod->view.phase == PHASE_SUCCEEDED || pod->view.phase == PHASE_FAILED;
}

/* What a controller counts as there. */
static inline bool pod_active(const struct pod *pod)
{
    return !pod->view.deleting && !pod_finished(pod);
}

/* ---- kubelet.c ---- */

void kubelet_bound(struct sim *s, struct pod *pod);
void kubelet_running(struct sim *s, struct pod *pod);
void kubelet_ready(struct sim *s, struct pod *pod);
void kubelet_done(struct sim *s, struct pod *pod);
/* Sets when a pod that was asked to go is gone. */
void kubelet_stop(struct sim *s, struct pod *pod);

/* ---- sched.c ---- */

void sched_init(struct sched *sched);
void sched_done(struct sched *sched);
void sched_enqueue(struct sim *s, struct pod *pod);
void sched_dequeue(struct sim *s, struct pod *pod);
void sched_attempt(struct sim *s);
void sched_flush(struct sim *s);
/* Room became free somewhere: pods that lacked room are tried again. */
void sched_wake_room(struct sim *s);
/* A node came or changed: pods that could fit there at all are tried again. */
void sched_wake_node(struct sim *s, const struct node *node);
/* One unschedulable pod is tried again. */
void sched_wake(struct sim *s, struct pod *pod);

/* Room on the node as this pod sees it: nominated pods of its priority or above count as there. */
struct resources sched_room(const struct node *node, const struct pod *pod, int32_t priority);
bool sched_fits(const struct pod *pod, const struct node *node);

/* ---- shape.c ---- */

/* The node for this pod, or NULL; *ret_accepting: some node accepts it but for room. */
struct node *shape_pick(struct sim *s, const struct pod *pod, bool *ret_accepting);
/* Sums, facts or nominations of a node changed. */
void shape_node_changed(struct sim *s, struct node *node);
void shape_free(struct shape *shape);

/* ---- preempt.c ---- */

/* Is the pod allowed to make others leave now? */
bool preempt_allowed(const struct pod *pod);
/* The node to free and, in sched.best, who must leave it; NULL: no node can be freed. */
struct node *preempt_find(struct sim *s, const struct pod *pod);

/* ---- replicas.c ---- */

/* Something about the workload or its pods changed: the controller will look. */
void replicas_arm(struct sim *s, struct workload *w);
void replicas_sync(struct sim *s, struct workload *w);
void replicas_created(struct sim *s, struct workload *w);
void replicas_deleted(struct sim *s, struct workload *w, struct pod *pod);
/* Adds (sign 1) or takes out (-1) a pod in its present state from the owner's counts. */
void replicas_account(struct pod *pod, int32_t sign);
/* Writes over the beginning of `pods` those `wanted` (1 … n) of the n that go first, in their order, as the ReplicaSet
 * controller has it. O(n log wanted): one of ten thousand that goes costs no sort. */
void replicas_rank(const struct sim *s, struct pod **pods, size_t n, size_t wanted);

#endif
