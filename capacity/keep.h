/*
 * keep: labels and taints of the nodes of a cluster, for as long as the nodes are there.
 *
 * Nodes have most of their labels in common, so that every text is kept once and counted: a further node costs 32 bytes a
 * label, and what no other node says. Keeping and dropping are O(labels + taints), each a look into a table.
 *
 * What is kept borrows its text from the keeper. Small things of one node, or texts that are different anyway: pack.h.
 */
#ifndef BRIM_CAPACITY_KEEP_H
#define BRIM_CAPACITY_KEEP_H

#include "capacity/records.h"

struct kept_node {
    const struct label *labels;
    size_t n_labels;
    const struct taint *taints;
    size_t n_taints;
    uint32_t refs;
};

struct keep;

struct keep *keep_new(void);
/* What was kept has been dropped. */
void keep_free(struct keep *k);

/* Labels and taints of a record, which may borrow from what is kept already. */
struct kept_node *keep_node(struct keep *k, const struct node_record *node);
/* Each is dropped as often as it was kept: once by keep_node(), and once more a time here. Its labels and taints, and their
 * text, do not change or move meanwhile, so that another thread may read them. */
struct kept_node *keep_again(struct kept_node *node);
void keep_drop(struct keep *k, struct kept_node *node);

/* How many different texts there are, for tests. */
size_t keep_texts(const struct keep *k);

#endif
