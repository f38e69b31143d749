/*
 * ignore: which pending paid pods make no claim by policy (spec.paid.ignore).
 *
 * A rule holds for a pod if all that it gives holds: namespace, labels, a priority below its bound.
 * A pod is ignored if one of the rules holds; with several fillers, if every one's policy ignores
 * it (ignore_by_all()).
 */
#ifndef BRIM_POLICY_IGNORE_H
#define BRIM_POLICY_IGNORE_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "capacity/records.h"
#include "policy/policy.h"

struct ignore;

/* The policy is borrowed. ERR_INPUT for a selector that cannot be read (policy_read() checks
 * them). */
bool ignore_new(const struct policy *policy, struct ignore **ret_ignore,
                struct err *err) MUST_CHECK;
void ignore_free(struct ignore *i);
DEFINE_FREE_PTR(struct ignore, ignore)

/* O(rules). */
bool ignore_holds(const struct ignore *i, const struct pod_record *pod);

/* Does each of these hold? NULLs are left out; of none at all: false. O(rules of all). */
bool ignore_by_all(struct ignore *const *ignores, size_t n, const struct pod_record *pod);

#endif
