/*
 * live: `brim top` on a terminal: asks, draws, obeys keys and signals until it is told to end.
 *
 * A frame is one write, at most one in LIVE_FRAME_US; a resize or a key draws at once. Ctrl-C, q,
 * SIGTERM and SIGHUP end it with the screen as it was before.
 */
#ifndef BRIM_AGENT_TOP_LIVE_H
#define BRIM_AGENT_TOP_LIVE_H

#include "agent/top/ask.h"

#define LIVE_FRAME_US (250 * US_PER_MS)
/* How often ages are brought up to date though nothing came. */
#define LIVE_REDRAW_US (500 * US_PER_MS)

struct live_options {
    const char *agent;
    int64_t interval_us; /* from one question to the next */
    int64_t for_us;      /* end by itself after this; 0: never */
};

bool live_run(struct ask *ask, const struct live_options *options, struct err *err) MUST_CHECK;

/* The same without a terminal: the first picture, then one line a change (plain.h). */
bool live_lines(struct ask *ask, const struct live_options *options, bool go_on,
                struct err *err) MUST_CHECK;

#endif
