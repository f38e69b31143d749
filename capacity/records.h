/*
 * records: plain facts about pods and nodes, as decoders hand them to everybody else.
 *
 * A record borrows all its text and arrays from the message (or arena) it was decoded from and is
 * valid until that is cleared; who keeps something copies it. Records carry no protocol: they are
 * the same from protobuf, JSON, a file or a simulation.
 */
#ifndef BRIM_CAPACITY_RECORDS_H
#define BRIM_CAPACITY_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/sv.h"
#include "capacity/resources.h"

/* metadata.uid in 128 bits: a UUID's own bits; any other text by its hash. All zero: none. */
struct uid {
    uint64_t hi, lo;
};

struct uid uid_parse(struct sv text);

/* The UUID's text, NUL included. Of another text's hash it is a UUID that nobody has. */
#define UID_TEXT_SIZE 37
void uid_format(struct uid uid, char text[static UID_TEXT_SIZE]);

static inline bool uid_eq(struct uid a, struct uid b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

static inline bool uid_is_zero(struct uid uid)
{
    return uid.hi == 0 && uid.lo == 0;
}

/* Good low bits also where uids differ in few of theirs. */
static inline uint64_t uid_hash(struct uid uid)
{
    uint64_t mixed = (uid.hi ^ uid.lo << 32 ^ uid.lo >> 32) * UINT64_C(0x9e3779b97f4a7c15);

    return mixed ^ mixed >> 32;
}

struct label {
    struct sv key, value;
};

enum taint_effect {
    EFFECT_NONE,
    EFFECT_NO_SCHEDULE,
    EFFECT_PREFER_NO_SCHEDULE,
    EFFECT_NO_EXECUTE,
    EFFECT_OTHER,
    EFFECT_COUNT_
};

struct taint {
    struct sv key, value;
    enum taint_effect effect;
};

enum toleration_op { TOLERATE_EQUAL, TOLERATE_EXISTS, TOLERATE_OTHER, TOLERATE_COUNT_ };

struct toleration {
    struct sv key, value;
    enum toleration_op op; /* an empty operator is Equal; Lt and Gt are OTHER and match nothing */
    enum taint_effect effect; /* EFFECT_NONE: every effect */
};

enum requirement_op {
    OP_IN,
    OP_NOT_IN,
    OP_EXISTS,
    OP_DOES_NOT_EXIST,
    OP_GT,
    OP_LT,
    OP_INVALID,
    OP_COUNT_
};

/* `key op values`: of label selectors and of node selector terms. */
struct requirement {
    struct sv key;
    enum requirement_op op;
    const struct sv *values;
    size_t n_values;
};

/* One nodeSelectorTerm: all expressions (labels) and all fields (metadata.name) must hold; an empty
 * term matches nothing. */
struct node_term {
    const struct requirement *exprs;
    size_t n_exprs;
    const struct requirement *fields;
    size_t n_fields;
};

/* Which nodes a pod accepts and which accept it: everything but room. */
struct pod_rules {
    const struct label *node_selector; /* all must be equal */
    size_t n_node_selector;
    bool has_affinity; /* required node affinity is there; then one of the terms must match */
    const struct node_term *terms;
    size_t n_terms;
    const struct toleration *tolerations;
    size_t n_tolerations;
};

enum pod_phase {
    PHASE_PENDING,
    PHASE_RUNNING,
    PHASE_SUCCEEDED,
    PHASE_FAILED,
    PHASE_UNKNOWN,
    PHASE_COUNT_
};

/* The Kubernetes spelling: "Pending", … */
const char *pod_phase_name(enum pod_phase phase);

struct pod_record {
    struct sv ns, name;
    struct uid uid;
    struct uid owner_uid; /* the controller owner's; zero: none */
    struct sv owner_kind, owner_name;
    const struct label *labels;
    size_t n_labels;
    struct sv node;      /* spec.nodeName; empty: not bound */
    struct sv nominated; /* status.nominatedNodeName */
    struct sv priority_class;
    struct resources request; /* as the scheduler counts it: with a node its sum there, without a
                                 node what it asks for; at[RESOURCE_PODS] = 1 */
    struct pod_rules rules;
    struct wall created; /* metadata.creationTimestamp; whole seconds from a real server */
    int64_t grace_s;     /* terminationGracePeriodSeconds; 30 where it is absent */
    int32_t priority;
    int32_t deletion_cost; /* annotation controller.kubernetes.io/pod-deletion-cost; broken or
                              absent: 0 */
    enum pod_phase phase;
    bool preempts_never;  /* preemptionPolicy: Never */
    bool gated;           /* schedulingGates are left; then one of the next two holds, or both */
    bool gated_by_brim;   /* brim.dev/room is among them */
    bool gated_by_others; /* other gates are among them: let in by brim it would still wait */
    bool deleting;        /* metadata.deletionTimestamp is set */
    bool ready;           /* condition Ready is True */
    bool unschedulable;   /* condition PodScheduled is False for reason Unschedulable */
    bool uncountable;     /* asks for an extended resource that found no place in resource_names */
};

struct node_record {
    struct sv name;
    struct uid uid;
    const struct label *labels;
    size_t n_labels;
    const struct taint *taints;
    size_t n_taints;
    struct resources allocatable; /* a missing key is 0 */
    bool unschedulable;           /* spec.unschedulable */
    bool ready;                   /* condition Ready; for display: the scheduler goes by taints */
};

/* Is the pod in the scheduler's sum of a node: bound, and not Succeeded or Failed? Terminating pods
 * are. */
bool pod_record_counted(const struct pod_record *pod);

#endif
