/*
 * node_order: nodes in order of their names, so that ties do not depend on the order in which nodes
 * came. Kept until nodes come or go.
 */
#ifndef BRIM_POLICY_NODE_ORDER_H
#define BRIM_POLICY_NODE_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "capacity/cluster.h"

struct node_order {
    uint32_t *nodes; /* node indexes by name; those without facts last, by index */
    uint32_t *rank;  /* a node's place in `nodes` */
    size_t n;
    size_t cap_nodes, cap_rank;
    uint64_t generation; /* of the nodes when they were sorted */
};

/* Frees what it owns; `o` begins as zeroes. */
void node_order_done(struct node_order *o);

/* Takes up the nodes with indexes up to n - 1. O(n log n) if any came or went since, else O(1). */
void node_order_update(struct node_order *o, const struct cluster *c, size_t n);

#endif
