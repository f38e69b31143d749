/*
 * selector: which nodes and pods a rule picks: label selectors, nodeSelector, required node
 * affinity, taints and tolerations.
 *
 * Source: kube-scheduler's NodeAffinity, TaintToleration and NodeUnschedulable plugins;
 * k8s.io/apimachinery/pkg/labels for the text form ("a=b,c in (d,e),!f") that the scale subresource
 * reports in status.selector.
 */
#ifndef BRIM_CAPACITY_SELECTOR_H
#define BRIM_CAPACITY_SELECTOR_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "capacity/records.h"

/* A label selector: all requirements must hold; none at all matches everything. */
struct selector {
    const struct requirement *reqs;
    size_t n;
};

/*
 * Parses the text form; results and a copy of the text live in the arena. `=` and `==` become
 * OP_IN, `!=` OP_NOT_IN, each with one value, `>` and `<` OP_GT and OP_LT. Keys and values must be
 * valid label keys and values. Errors are ERR_INPUT and carry the column, or ERR_LIMIT where the
 * arena is full.
 */
bool selector_parse(struct arena *arena, struct sv text, struct selector *ret_s,
                    struct err *err) MUST_CHECK;

bool selector_matches(const struct selector *s, const struct label *labels, size_t n_labels);

/* The label's value, or NULL. */
const struct sv *label_find(const struct label *labels, size_t n_labels, struct sv key);

/* nodeSelector and required node affinity. A term with a parse error matches nothing; others may
 * match. */
bool rules_match_node(const struct pod_rules *rules, struct sv node_name,
                      const struct label *labels, size_t n_labels);

/* Are all NoSchedule and NoExecute taints tolerated? On failure *ret_taint (may be NULL) is the
 * first that is not. */
bool rules_tolerate(const struct pod_rules *rules, const struct taint *taints, size_t n_taints,
                    const struct taint **ret_taint);

/*
 * All of the scheduler's node checks but room: cordon (tolerable as
 * node.kubernetes.io/unschedulable:NoSchedule), taints, selector, affinity. The first that refuses
 * is named.
 */
enum node_refusal {
    NODE_ACCEPTS,
    NODE_CORDONED,
    NODE_TAINTED,
    NODE_NOT_SELECTED,
    NODE_REFUSAL_COUNT_
};
enum node_refusal rules_check_node(const struct pod_rules *rules, const struct node_record *node);

#endif
