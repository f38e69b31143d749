/*
 * past: what the history's journal tells of the time before a filler came, as what planner_past_*()
 * wants: the demand D of paid pods, who arrived, and since when that is known. A filler comes with
 * the agent's start, or later with its policy's file; then the last seconds, which are not on the
 * disk yet, are not told.
 *
 * D is the sum of the requests of paid pods that are neither ignored nor gated: bound ones, and
 * pending ones from their creation. Filler is left out. It counts all nodes, since which of them the
 * filler could use then is not told. What lies between two recordings, up to PAST_BRIDGE_US, is
 * taken as a time in which nothing changed, which errs towards too much headroom; after a longer gap
 * nothing is known of the demand before it. A clock that was set back makes all before it void.
 *
 * The last PAST_SPAN_US count, and of them the newest PAST_MAX_STEPS changes.
 *
 * past_ask() reads on the disk thread, which may take as long as it does: nobody waits. The struct
 * is counted: that thread and its owner have a reference each.
 */
#ifndef BRIM_AGENT_PAST_H
#define BRIM_AGENT_PAST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "policy/planner.h"
#include "storage/event.h"
#include "storage/writer.h"

#define PAST_SPAN_US   (INT64_C(25) * 3600 * US_PER_S)
#define PAST_BRIDGE_US (60 * US_PER_S)
#define PAST_READ_US   (2 * US_PER_S)

enum { PAST_MAX_STEPS = 1 << 18 }; /* 10 MiB until they are fed */

struct past;

struct past *past_new(void);
/* Gives up a reference; NULL is allowed. */
void past_unref(struct past *p);

/* The recording ran at this time, though maybe nothing happened: in any order, before the events. */
void past_alive(struct past *p, struct wall at);
/* One event, in the order of their telling. O(1) amortised. */
void past_event(struct past *p, const struct event *event);
/* There is no more; past_feed() may be called. */
void past_end(struct past *p);

/*
 * Reads the last PAST_SPAN_US before `now` on the writer's thread, for at most PAST_READ_US by that
 * clock. past_ready() is true from its end on; at once if nothing can be asked.
 */
void past_ask(struct past *p, struct writer *writer, struct wall now, struct clock clock);
/* Any thread. */
bool past_ready(const struct past *p);

/*
 * Tells the planner all of it, if it is ready, of these fillers (planner_past_begin()), once they
 * have their shapes. If it is empty what they learned stays. Wall times become
 * now - (wall_now - t); what lies ahead of wall_now is left out. Frees what it told; returns how
 * many arrivals that were. O(steps log steps).
 */
size_t past_feed(struct past *p, struct planner *planner, uint32_t fillers, struct mono now,
                 struct wall wall_now);

#endif
