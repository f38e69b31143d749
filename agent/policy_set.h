/*
 * policy_set: the policies in force, as files come and go.
 *
 * A policy whose file vanishes is not let go at once: a mount may be on its way, a name mistyped.
 * It stays in the set for POLICY_SET_HOLD_US, not present: its filler is held at its count. Then it
 * leaves the set. It comes back as if nothing had happened. One whose target another policy now has
 * (it was given a new name) leaves at once. Pure: the time is given.
 */
#ifndef BRIM_AGENT_POLICY_SET_H
#define BRIM_AGENT_POLICY_SET_H

#include "base/clock.h"
#include "policy/policy.h"

#define POLICY_SET_HOLD_US (300 * US_PER_S)

struct policy_set_entry {
    struct policy *policy; /* owned */
    bool present;          /* false: hold the count, do nothing else */
    struct mono vanished;  /* since when it is not */
    bool changed;          /* its file has another text than with the set before (policy_watch.h) */
};

struct policy_set {
    struct policy_set_entry *at; /* present ones in their files' order, then the others */
    size_t len, cap;
};

/*
 * The set after the files held these policies (taken over; the list is empty then), made from the
 * one before, which keeps what is its own until policy_set_done(): who borrows a policy of it has
 * time to change over. Nothing in the list clashes (policy_list_check()). O(n²) in the policies.
 */
struct policy_set policy_set_after(struct policy_set *before, struct policy_list *list,
                                   int64_t hold_us, struct mono now);

/* Would the set that policy_set_after() makes have no more than POLICY_MAX_TOGETHER policies, those
 * that it holds among them? The error (ERR_LIMIT) is without the place. */
bool policy_set_fits(const struct policy_set *before, const struct policy_list *list,
                     int64_t hold_us, struct mono now, struct err *err) MUST_CHECK;

/* When the next entry leaves; false: none is vanished. */
bool policy_set_wake(const struct policy_set *set, int64_t hold_us, struct mono *ret_wake);

void policy_set_done(struct policy_set *set);

#endif
