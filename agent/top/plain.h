/*
 * plain: `brim top` for a pipe: one picture of 80 x 24, then one line a change:
 *
 *     14:37:15 yield miner 110 -> 78: 78 fit, 0 kept free; paid 74 filler 78 free 32 waiting 0
 *
 * A change is a decision that moves the count, one that begins or ends a state in which filler is not scaled as usual (paused, stale,
 * foreign, unknown), an agent that is gone, and one that is back. After PLAIN_QUIET_MS without any, one line says how things stand:
 *
 *     14:38:15 steady; paid 74 filler 78 free 32 waiting 0
 */
#ifndef BRIM_AGENT_TOP_PLAIN_H
#define BRIM_AGENT_TOP_PLAIN_H

#include "agent/top/screen.h"

enum { PLAIN_QUIET_MS = 60000 };

struct plain {
    bool begun;   /* the picture was shown */
    bool away;    /* it was said that the agent is gone */
    int64_t boot; /* of the agent whose decisions `last_id` counts */
    uint64_t last_id;
    int64_t said_ms; /* when the last line was added */
};

/* Adds what is new of the screen since the last call. */
void plain_add(struct plain *p, const struct screen *s, struct strbuf *out);

#endif
