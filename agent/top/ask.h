/*
 * ask: keeps asking the agent, without ever waiting for it. A round asks for the status, then for
 * decisions and, where somebody wants them, for nodes; what comes goes into the view and the run.
 * When the agent does not answer, the view stays as it was and `trouble` says why; the next round
 * tries again. One round at a time: a round begun while another is under way is left out.
 */
#ifndef BRIM_AGENT_TOP_ASK_H
#define BRIM_AGENT_TOP_ASK_H

#include "agent/api.h"
#include "agent/top/run.h"
#include "agent/top/view.h"

/* The agent answers from memory: what takes longer than this is no answer. */
#define ASK_TIMEOUT_US (3 * US_PER_S)

struct ask {
    struct api *api; /* borrowed, as are view and run */
    struct top_view *view;
    struct run *run;
    bool nodes; /* ask for nodes too */
    void (*round_over)(void *self);
    void *self;

    int64_t answered_ms; /* when a status last came; 0: never */
    int64_t away_ms;     /* since when no status comes; 0: it does */
    struct err trouble;
    struct client_call *call;
};

void ask_round(struct ask *a);
void ask_cancel(struct ask *a);

#endif
