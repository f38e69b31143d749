/*
 * decide_state: a cluster, a filler and the controller, driven by the lines of `brim decide` alone.
 *
 * Facts go through the same code as those of the live agent (agent/facts.h): claims, fit, hole, set
 * point, damper, decision. What is left out is what a stream of facts does not have: a decision
 * counts as carried out at once, facts are always whole and fresh, nothing is coalesced. Lines in
 * any order that end in the same state give the same decision, as long as the same pods arrived.
 *
 * A pod line changes O(1); a step costs what the changed nodes and the pending pods cost.
 */
#ifndef BRIM_AGENT_DECIDE_STATE_H
#define BRIM_AGENT_DECIDE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/decide_line.h"
#include "policy/controller.h"
#include "policy/policy.h"

struct decide;

/* The policy is borrowed. */
bool decide_new(const struct policy *policy, struct decide **ret_d, struct err *err) MUST_CHECK;
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
    struct decision decision;
    bool has_wake;
    int64_t wake_us; /* the next moment at which something would change though nothing happens */
};

/* Evaluates the controller at the time of the last line, and carries its decision out. */
struct decide_answer decide_step(struct decide *d);

#endif
