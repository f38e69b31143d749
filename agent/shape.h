/*
 * shape: what the pods of a filler look like, read off one of them or off the target's template.
 */
#ifndef BRIM_AGENT_SHAPE_H
#define BRIM_AGENT_SHAPE_H

#include "base/arena.h"
#include "capacity/claims.h"
#include "capacity/records.h"

/* Priority, class and grace, as they decide who claims. */
struct claims_filler shape_claims(const struct pod_record *pod);

/*
 * The pod's rules without the node that letting it in has written into them (pod_patch.h): each
 * term loses `metadata.name In [node]`; terms of nothing else go. What is made lives in the arena,
 * the rest is the pod's. O(terms).
 */
struct pod_rules shape_rules(const struct pod_record *pod, struct arena *arena);

#endif
