/*
 * decide_state: a cluster, its fillers and their controllers, driven by the lines of `brim decide` alone.
 *
 * Facts go to the planner (policy/planner.h), as those of the live agent do: claims, room, headroom, set points, dampers, placement.
 * What is left out is what a stream of facts does not have: what is decided counts as carried out at once, facts are always whole and
 * fresh, nothing is coalesced. Lines in any order that end in the same state give the same decision, as long as the same pods arrived.
 *
 * A pod line changes O(1); a step costs what planner_step() costs.
 */
#ifndef BRIM_AGENT_DECIDE_STATE_H
#define BRIM_AGENT_DECIDE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/decide_line.h"
#include "policy/planner.h"

struct decide;

/* The policies, 1 to PLANNER_MAX_FILLERS, are borrowed. */
bool decide_new(const struct policy_list *policies, struct decide **ret_d,
                struct err *err) MUST_CHECK;
void decide_free(struct decide *d);
DEFINE_FREE_PTR(struct decide, decide)

/* Extended resources, for decide_line_read(). */
struct resource_names *decide_names(struct decide *d);

/* Takes a fact over. Refused, and nothing changes: time that goes back, another policy's filler. A
 * question changes nothing but the time. */
bool decide_apply(struct decide *d, const struct decide_line *line, struct err *err) MUST_CHECK;

struct decide_answer {
    int64_t t_us;
    struct sv policy;
    int64_t from; /* replicas before the decision */
    const struct planner_plan *plan;
};

/*
 * Evaluates at the time of the last line, and carries out what is decided: one answer for each policy, in their order, valid until the
 * next call.
 */
const struct decide_answer *decide_step(struct decide *d, size_t *ret_n);

/* The next moment at which something would change though nothing happens, after a step; false: none. */
bool decide_wake(const struct decide *d, int64_t *ret_us);

/* A node's name by its index in a plan; valid until the next line. */
struct sv decide_node(const struct decide *d, uint32_t node);

#endif
