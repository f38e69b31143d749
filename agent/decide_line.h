/*
 * decide_line: one line of `brim decide`, read and checked: a fact about a node, a pod or the
 * filler, or a question.
 *
 * A line names only what it changes. Every value that it names is in the struct, and its bit in
 * `given`; null stands there as the value that an absent key has, with its bit in `withdrawn` too.
 * A line is read whole or refused: the error says what was found and what was expected, as in
 * `pod.cpu: found "4x", expected a quantity such as 4 or 1500m`.
 *
 * One table (decide_line.c) names every key; docs/DECIDE.md explains them.
 */
#ifndef BRIM_AGENT_DECIDE_LINE_H
#define BRIM_AGENT_DECIDE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/sv.h"
#include "capacity/records.h"

/* The largest amounts: a million nodes of them still add up. The last moment is in the year 5138,
 * long before the controller's clocks end (headroom.c: 18,000 years). */
#define DECIDE_MAX_CPU_MILLI INT64_C(1000000000000)
#define DECIDE_MAX_T_US      (INT64_C(100000000000) * US_PER_S)
/* Pods that a node takes if its line does not say; the grace of a filler whose line does not.
 * Kubernetes' defaults. */
enum { DECIDE_NODE_PODS = 110, DECIDE_GRACE_S = 30 };

enum line_kind { LINE_NODE, LINE_POD, LINE_FILLER, LINE_STEP, LINE_KIND_COUNT_ };

/* The keys that whoever takes a line over asks for by name; amounts are not among them. */
enum line_key {
    KEY_LABELS,
    KEY_TAINTS,
    KEY_SCHEDULABLE,
    KEY_READY,
    KEY_DELETED,
    KEY_NODE,
    KEY_PHASE,
    KEY_CREATED,
    KEY_PRIORITY,
    KEY_POLICY,
    KEY_GATED,
    KEY_DELETING,
    KEY_GONE,
    KEY_UNSCHEDULABLE,
    KEY_NOMINATED,
    KEY_ONLY_NODE,
    KEY_PREEMPTION_POLICY,
    KEY_NAMESPACE,
    KEY_NODE_SELECTOR,
    KEY_TOLERATIONS,
    KEY_REPLICAS,
    KEY_GRACE,
    KEY_START,
    KEY_NAME, /* of a node, uid of a pod, policy of a filler: must be there */
    KEY_COUNT_,
};

/* A resource of a node, pod or filler pod; `place` -1: it found none in resource_names. */
struct decide_amount {
    int place;
    int64_t value; /* milli for cpu, else whole */
};

struct decide_labels {
    struct label *at;
    size_t len, cap;
};

struct decide_taints {
    struct taint *at;
    size_t len, cap;
};

struct decide_tolerations {
    struct toleration *at;
    size_t len, cap;
};

/* Borrows its texts from the line's bytes; owns its lists, which the next reading uses again. */
struct decide_line {
    int64_t t_us;
    enum line_kind kind;
    uint32_t given, withdrawn; /* bit 1 << enum line_key */
    struct sv name;
    struct decide_amount amounts[RESOURCE_MAX + 1];
    size_t n_amounts;
    struct decide_labels labels, node_selector;
    struct decide_taints taints;
    struct decide_tolerations tolerations;
    struct sv node, nominated, only_node, ns, policy;
    enum pod_phase phase;
    int64_t created_us, grace_us, start_us;
    int64_t priority, replicas;
    bool schedulable, ready, deleted, gated, deleting, gone, unschedulable, preempts_never;
};

static inline bool decide_given(const struct decide_line *line, enum line_key key)
{
    return (line->given & UINT32_C(1) << key) != 0;
}

/* Zeroed before the first reading. The bytes are written to (base/jsonr.h); `names` learns extended
 * resources. */
bool decide_line_read(struct decide_line *line, char *text, size_t len,
                      struct resource_names *names, struct err *err) MUST_CHECK;
void decide_line_done(struct decide_line *line);

#endif
