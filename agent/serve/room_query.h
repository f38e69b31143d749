/*
 * room_query: the pod that a request for /api/v1/room asks about. Pure: parameters in, a shape or an error that names the
 * parameter out.
 *
 *     cpu, memory, ephemeral-storage     what the pod asks for, as quantities: 1500m, 2Gi
 *     NAME                               so many of an extended resource: nvidia.com/gpu=1, hugepages-2Mi=1Gi
 *     nodeSelector                       a label selector, "pool=batch,zone in (a,b),!gpu": of the pod's nodeSelector, or of one term
 *                                        of its required node affinity
 *     toleration                         KEY, KEY=VALUE, each with :EFFECT or for all effects, or * for all taints; may come often
 *     nodes                              1: each node's answer, too
 *
 * Each but toleration may come once. What is not asked for is 0, as it is for the scheduler. It is not asked whether a node
 * has such a resource: then none fits.
 */
#ifndef BRIM_AGENT_SERVE_ROOM_QUERY_H
#define BRIM_AGENT_SERVE_ROOM_QUERY_H

#include "agent/serve/routes.h"
#include "base/arena.h"
#include "base/err.h"
#include "capacity/records.h"

/* Bytes that a query's structure may take; more than one that HTTPD_MEMORY lets in. */
enum { ROOM_QUERY_MAX_ARENA = 1 << 20 };

struct room_amount {
    struct sv name;
    int64_t amount;
    int place; /* in the request: one of those that have a name, or one behind them, of which no node has anything */
};

struct room_query {
    struct resources request;                       /* pods 1 */
    struct room_amount extended[ROUTES_MAX_PARAMS]; /* as they came */
    size_t n_extended;
    struct pod_rules rules;
    bool nodes;
    struct toleration tolerations[ROUTES_MAX_PARAMS];
    struct node_term term;
};

/* The parameter that is wrong, and what is. */
struct room_problem {
    struct sv field;
    struct err err;
};

/* What is at a place that a request has; empty: nothing. */
struct sv room_query_name(const struct room_query *q, const struct resource_names *names,
                          int place);

/* `names`: the places of resources. What the query points to is the parameters' and the arena's, and itself: it is not to be
 * moved. */
bool room_query_read(const struct routes_param *params, size_t n,
                     const struct resource_names *names, struct arena *arena,
                     struct room_query *ret_q, struct room_problem *ret_problem) MUST_CHECK;

#endif
