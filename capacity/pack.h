/*
 * pack: deep copies of what records borrow, each in one block of memory that one free() returns.
 *
 * A cluster keeps labels and taints of nodes and the rules of pending pods for as long as they are
 * there; everything else of a record is forgotten. O(bytes).
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
