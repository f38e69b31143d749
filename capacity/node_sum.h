/*
 * node_sum: changes the sums that a node of the cluster keeps (enum node_sum); cluster_sum() and its
 * kin in cluster.h read them. For cluster.c alone, which tells whoever watches a node.
 *
 * All are O(places), and allocate when a place comes that the node had no need of before.
 */
#ifndef BRIM_CAPACITY_NODE_SUM_H
#define BRIM_CAPACITY_NODE_SUM_H

#include "capacity/cluster.h"

/* Adds (sign 1) or takes away (-1), at these places only; exact, as amounts_count(). */
void node_sum_count(struct cluster_node *n, enum node_sum sum, const struct resources *what,
                    const struct resource_places *places, int sign);

/* At all places. */
void node_sum_set(struct cluster_node *n, enum node_sum sum, const struct resources *what);

#endif
