/*
 * room: how many pods of a shape go into nodes, and what keeps them from taking one more.
 *
 * By all of kube-scheduler's checks that follow from a node's own facts: cordon, taints, nodeSelector and required node
 * affinity (rules_check_node()), and what it has free of each resource that is asked for, pods too. Not looked at: rules
 * between pods (anti-affinity, spread), host ports, volumes.
 */
#ifndef BRIM_CAPACITY_ROOM_H
#define BRIM_CAPACITY_ROOM_H

#include "capacity/resources.h"
#include "capacity/selector.h"

/* `request->at[RESOURCE_PODS]` is 1. Both are borrowed. */
struct room_shape {
    const struct resources *request;
    const struct pod_rules *rules;
};

/* Of one node. */
struct room_here {
    enum node_refusal refusal;
    int64_t pods; /* how many fit; 0 where the node refuses */
    int bound; /* the place that keeps it from one more; -1: it refuses, or nothing is asked for */
};

/* `refusal` as rules_check_node() says; of `free` only what is asked for is read. */
struct room_here room_here(const struct room_shape *shape, enum node_refusal refusal,
                           const struct resources *free);

/* "cordoned", …; NULL of NODE_ACCEPTS. */
const char *room_refusal_text(enum node_refusal refusal);

/* Of many nodes; begins as {0}. */
struct room_count {
    int64_t nodes;                        /* all that were looked at */
    int64_t pods;                         /* saturates */
    int64_t takes;                        /* nodes that take one at least */
    int64_t bound[RESOURCE_MAX];          /* nodes that accept, by what binds there */
    int64_t refused[NODE_REFUSAL_COUNT_]; /* nodes that do not */
};

void room_count_add(struct room_count *sum, const struct room_here *here);

#endif
