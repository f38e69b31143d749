/*
 * tell: what a turn has to say to people: log lines, and events on the target. Each change of state
 * is told once, when it begins and when it ends; routine is not told.
 */
#ifndef BRIM_AGENT_TELL_H
#define BRIM_AGENT_TELL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/workload.h"
#include "policy/controller.h"
#include "policy/policy.h"

enum { TELL_TEXT_SIZE = 320 };

/* What was told last. Zeroed: nothing yet. */
struct tell {
    enum workload_state state;
    char owner[TELL_TEXT_SIZE];
    bool owner_unknown;
    enum reason reason;
    enum bound bound;
};

/* A target that is missing, unreadable, scaled by somebody else, or can be controlled again. */
void tell_target(struct tell *told, const struct policy *p, struct workload *w);

/* That somebody else scales the target, that facts are stale, that growth is held back; and the
 * end of each. */
void tell_reason(struct tell *told, const struct policy *p, struct workload *w,
                 const struct decision *d, int64_t replicas);

/* A rescale that goes out (or, in a dry run, would have): `detail` from decision_text(). */
void tell_rescale(const struct policy *p, struct workload *w, bool dry_run, int64_t from,
                  const struct decision *d, const char *detail);

#endif
