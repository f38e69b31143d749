/*
 * pack: deep copies of what records borrow, each in one block of memory that one free() returns.
 *
 * For the rules of pending pods and for what is small and one's own; the nodes of a cluster, which have their labels in
 * common, are kept by keep.h. O(bytes).
 */
#ifndef BRIM_CAPACITY_PACK_H
#define BRIM_CAPACITY_PACK_H

#include "capacity/records.h"

struct packed_node {
    struct sv name;
    const struct label *labels;
    size_t n_labels;
    const struct taint *taints;
    size_t n_taints;
};

/* The parts of a node that decide who may go there. */
struct packed_node *pack_node(const struct node_record *node);

struct packed_rules {
    struct pod_rules rules;
    uint64_t hash; /* equal rules have equal hashes */
};

struct packed_rules *pack_rules(const struct pod_rules *rules);

#endif
