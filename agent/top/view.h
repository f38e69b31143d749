/*
 * view: what `brim top` knows at one moment, as plain values. answers.h fills it from what the agent
 * says, screen.h draws it. TOP_UNKNOWN stands for every figure that is not known. cpu in milli, times
 * in ms since 1970. All text was made safe for a terminal when it came in (answers.h).
 */
#ifndef BRIM_AGENT_TOP_VIEW_H
#define BRIM_AGENT_TOP_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOP_NAME = 64, TOP_TEXT = 200, TOP_FILLERS = 8, TOP_DECISIONS = 64, TOP_NODES = 5000 };
#define TOP_UNKNOWN INT64_C(-1)

/* How the cpu of the nodes that can take filler is used. */
struct top_cpu {
    int64_t allocatable, paid, waiting, filler, leaving, reserve, headroom;
};

struct top_filler {
    char policy[TOP_NAME];
    char state[TOP_NAME];   /* a reason of policy/controller.h */
    char bound[TOP_NAME];   /* "" : nothing */
    char trouble[TOP_TEXT]; /* why it cannot be scaled; "" : it can */
    char note[TOP_TEXT];    /* what is not as it should be though it is scaled; "" : nothing */
    int64_t wanted, running, starting, leaving, gated, fit, kept, damped, min, max;
    int64_t slot; /* milli of one of its pods */
    int64_t earliest_up_t;
    int64_t yields, harvests; /* counted by the agent since it started */
};

struct top_decision {
    uint64_t id;
    int64_t t, from, to, paid, waiting;
    char policy[TOP_NAME];
    char reason[TOP_NAME];
    char detail[TOP_TEXT];
};

struct top_node {
    char name[TOP_NAME];
    int64_t allocatable, paid, filler, leaving, free;
    bool cordoned;
};

struct top_view {
    bool has_status; /* the agent answered once; what follows is its last word */
    int64_t t, boot; /* the agent's time of it; when the agent started */
    char state[TOP_NAME];
    bool dry_run;
    int64_t watch_ms; /* since the older of its watches was heard */
    int64_t nodes, eligible_nodes, waiting_pods;
    struct top_cpu cpu;
    int64_t arrived_total, blocked_total; /* paid pods since the agent started */
    int64_t day_from, day_paid, day_blocked,
        day_core_hours; /* the last thousand is in core_hours */
    char doing[TOP_TEXT];
    struct top_filler fillers[TOP_FILLERS];
    size_t n_fillers;
    int64_t fillers_total;
    struct top_decision decisions[TOP_DECISIONS]; /* newest first */
    size_t n_decisions;
    struct top_node *node; /* least free first; owned by answers.h's caller */
    size_t n_nodes, cap_nodes;
    bool has_nodes;
};

#endif
