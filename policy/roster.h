/*
 * roster: the pods of one filler, by state, by node, and in the order in which a ReplicaSet lets go
 * of them.
 *
 * For placement.c alone, which decides what a pod's state is; roster_move() makes every move and
 * keeps all sums. Pods are named by an index that is theirs while they are there. A pod that was
 * let in stands on its node like a bound one; a terminating one stands nowhere. O(1), but for
 * gated pods, which are kept oldest first: O(log gated) and a move within an array.
 */
#ifndef BRIM_POLICY_ROSTER_H
#define BRIM_POLICY_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/map.h"
#include "capacity/records.h"

#define ROSTER_NONE UINT32_MAX

enum roster_state {
    ROSTER_GATED,     /* waits behind our gate alone */
    ROSTER_HELD,      /* waits behind gates of others, too */
    ROSTER_ADMITTING, /* is being let in: the write is under way */
    ROSTER_LET_IN,    /* not bound yet */
    ROSTER_BOUND,
    ROSTER_LEAVING, /* terminating */
    ROSTER_STATE_COUNT_
};

/* What a ReplicaSet looks at before deletion costs; the first level goes first. */
enum roster_level {
    ROSTER_UNASSIGNED,
    ROSTER_PENDING,
    ROSTER_UNKNOWN,
    ROSTER_UNREADY,
    ROSTER_READY,
    ROSTER_LEVEL_COUNT_
};

struct roster_pod {
    struct uid uid;
    char *name; /* owned; NULL: an unused place, `next` is the next one */
    struct wall created;
    struct mono let_in_at;        /* ROSTER_LET_IN */
    struct mono unschedulable_at; /* ROSTER_LET_IN: first told so; 0: not */
    struct mono retry_at;         /* after a write that failed */
    uint32_t node;                /* ADMITTING, LET_IN (may have none) and BOUND */
    uint32_t next, previous;      /* on the node */
    uint32_t waiting_at;          /* place in `waiting` */
    uint32_t marked_at;           /* place in `marked`, or ROSTER_NONE */
    int32_t cost;                 /* as known */
    enum roster_state state;
    enum roster_level level;
    bool listed;
    bool given_up;
    bool costing;   /* a cost is being written */
    bool echo;      /* the written cost has not been seen in a record yet */
    bool chosen;    /* by the step that runs */
    uint8_t failed; /* admissions in a row, at most PLACEMENT_MAX_DOUBLINGS */
};

struct roster_node {
    uint32_t first;
    int32_t at[ROSTER_LEVEL_COUNT_];
};

struct roster {
    struct roster_pod *pods;
    size_t n_pods, cap_pods;
    uint32_t free_pod;
    struct map by_uid;

    struct roster_node *nodes; /* n_nodes */
    int64_t *filler;           /* let in and bound, by node: the sum of nodes[].at */
    size_t n_nodes;

    uint32_t *gated; /* ROSTER_GATED, oldest first */
    size_t n_gated, cap_gated;
    uint32_t *waiting; /* ROSTER_LET_IN */
    size_t n_waiting, cap_waiting;
    uint32_t *marked; /* with a deletion cost of ours */
    size_t n_marked, cap_marked;

    int64_t states[ROSTER_STATE_COUNT_];
    int64_t levels[ROSTER_LEVEL_COUNT_]; /* of pods that are not terminating */
};

void roster_init(struct roster *r);
void roster_done(struct roster *r);

/* ROSTER_NONE: unknown. */
uint32_t roster_find(const struct roster *r, struct uid uid);
/* A pod that waits behind gates of others, until it is moved. */
uint32_t roster_add(struct roster *r, struct uid uid, struct sv name, struct wall created);
void roster_remove(struct roster *r, uint32_t pod);

/* `node`: ROSTER_NONE where the state has none. */
void roster_move(struct roster *r, uint32_t pod, enum roster_state state, uint32_t node,
                 enum roster_level level);

/* What the pod's deletion cost is, and whether that is a mark of ours. */
void roster_set_cost(struct roster *r, uint32_t pod, int32_t cost, bool mark);

/* Room for nodes up to n - 1. */
void roster_reserve_nodes(struct roster *r, size_t n);

/* Pods that are not terminating. */
int64_t roster_active(const struct roster *r);
/* Pods that were let in, or are being let in, bound or not. */
int64_t roster_let_in(const struct roster *r);

/* Orders by age, then uid: <0: `a` is older. */
int roster_age_cmp(const struct roster_pod *a, const struct roster_pod *b);

#endif
