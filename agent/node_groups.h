/*
 * node_groups: the nodes of a cluster, told apart by the value of one of their labels, as a sample of
 * the history (storage/groups.h).
 *
 * At most GROUPS_MAX groups have a name of their own at a time, in the order in which they came; nodes of
 * further ones are GROUPS_OTHER together, until the last node of a group that has a name is gone. After a
 * restart that order begins anew. Of each node is remembered which group it is in, for as long as its
 * facts are the same: a sample is one walk over the nodes, O(1) each, and labels are only looked at where
 * a node came or changed. 16 bytes a node.
 */
#ifndef BRIM_AGENT_NODE_GROUPS_H
#define BRIM_AGENT_NODE_GROUPS_H

#include "capacity/fit.h"
#include "storage/groups.h"

struct node_groups;

/* The label's key is copied; what is longer than GROUPS_LABEL_SIZE takes is no label's. */
struct node_groups *node_groups_new(struct sv label);
void node_groups_free(struct node_groups *g);

const char *node_groups_label(const struct node_groups *g);

/* Fills label and groups; policy and time are the caller's. `fit` is the filler's. O(nodes). */
void node_groups_sample(struct node_groups *g, const struct cluster *c, const struct fit *fit,
                        struct groups_sample *to);

/* Had the last sample more groups than have names? */
bool node_groups_overflown(const struct node_groups *g);

#endif
