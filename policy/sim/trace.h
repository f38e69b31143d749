/*
 * trace: paid load as it was: pods that come and go on nodes, in the order of time.
 *
 * It is read from text (CSV and JSON, below) or built row by row, as from the journal of a history file. Times are microseconds from
 * its start. A pod comes at one row and goes at another, or stays to the end. Pods that ask for the same are of one kind.
 *
 *   NAME.csv         time_s,event,pod,cpu_milli,memory_mib,node
 *                    event is create or delete; node is empty or the only one the pod may run on; times never fall
 *   NAME.nodes.csv   node,cpu_milli,memory_mib
 *   NAME.json        {"seconds":…,"filler_cpu_milli":…,"filler_memory_mib":…,"reserve_cpu_milli":…,"max_replicas":…}; other keys
 *                    are told by nobody and skipped
 *
 * A file's nodes offer as many pods as anybody wants. Mistakes are ERR_INPUT, "NAME.csv:17: time_s: found x, expected seconds"; a
 * trace that was refused is only good for trace_done().
 */
#ifndef BRIM_POLICY_SIM_TRACE_H
#define BRIM_POLICY_SIM_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/map.h"
#include "base/sv.h"
#include "capacity/resources.h"

enum { TRACE_MAX_PODS = 1 << 24, TRACE_MAX_NODES = 100000, TRACE_MAX_KINDS = 1 << 20 };
#define TRACE_ANY_NODE UINT32_MAX
#define TRACE_NO_POD   UINT32_MAX
#define TRACE_STAYS    INT64_MAX

/* What happens in a row; of one time in this order, as far as the reader of a file is concerned. */
enum trace_what {
    TRACE_POD_GOES,
    TRACE_NODE_GOES,
    TRACE_NODE_IS, /* comes, or offers something else from now on */
    TRACE_POD_COMES,
    TRACE_WHAT_COUNT_
};

struct trace_row {
    int64_t at_us;
    enum trace_what what;
    uint32_t index; /* of the pod; of the node that goes; of trace.facts */
};

struct trace_kind {
    struct resources request;
    int32_t priority;
    bool preempts_never;
    uint32_t node; /* the only one it may run on, or TRACE_ANY_NODE */
};

struct trace_pod {
    int64_t create_us;
    int64_t delete_us; /* TRACE_STAYS: never */
    uint32_t kind;
    uint32_t found_on; /* it ran there when it was first seen; TRACE_ANY_NODE: it arrived */
};

struct trace_facts {
    uint32_t node;
    struct resources allocatable;
    bool unschedulable;
};

struct trace {
    struct trace_row *rows;
    size_t n_rows, rows_cap;
    struct trace_pod *pods;
    size_t n_pods, pods_cap;
    struct trace_kind *kinds;
    size_t n_kinds, kinds_cap;
    struct trace_facts *facts;
    size_t n_facts, facts_cap;
    char **nodes; /* their names */
    size_t n_nodes, nodes_cap;
    struct map kind_map, node_map;
    int64_t end_us; /* length */
    bool dated;     /* it is known what time 0 was: `began` */
    struct wall began;
    /* What NAME.json says; has_filler: it was read. */
    bool has_filler;
    struct resources filler; /* request of one filler pod */
    int64_t reserve_milli;
    int64_t max_replicas;
};

/* The trace must stay where it is. */
void trace_init(struct trace *t);
void trace_done(struct trace *t);

/* ---- text ---- */

/* `where` names the text in errors. Nodes come first, since pods may name them. */
bool trace_read_nodes(struct trace *t, struct sv where, struct sv text, struct err *err) MUST_CHECK;
/* O(rows). Sets end_us to the last row's time. */
bool trace_read_pods(struct trace *t, struct sv where, struct sv text, struct err *err) MUST_CHECK;
/* The text is written to. Sets end_us to `seconds`, which must not lie before the last row. */
bool trace_read_filler(struct trace *t, struct sv where, char *text, size_t len,
                       struct err *err) MUST_CHECK;

/* ---- row by row; times must not fall, ERR_LIMIT beyond a limit ---- */

/* A node's index, TRACE_ANY_NODE if the name is new. */
uint32_t trace_find_node(const struct trace *t, struct sv name);
bool trace_put_node(struct trace *t, int64_t at_us, struct sv name,
                    const struct resources *allocatable, bool unschedulable,
                    struct err *err) MUST_CHECK;
void trace_drop_node(struct trace *t, int64_t at_us, uint32_t node);
bool trace_add_pod(struct trace *t, int64_t at_us, const struct trace_kind *kind, uint32_t found_on,
                   uint32_t *ret_pod, struct err *err) MUST_CHECK;
/* The pod can have run on that node alone, as is known only now; its row is as if that had been known when it came. */
bool trace_tie_pod(struct trace *t, uint32_t pod, uint32_t node, struct err *err) MUST_CHECK;
void trace_end_pod(struct trace *t, int64_t at_us, uint32_t pod);

/* The cpu of the nodes that are there at the start, in milli. O(rows of that time). */
int64_t trace_allocatable(const struct trace *t);

#endif
