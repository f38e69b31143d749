/*
 * places: carries out what placement planned for one filler (policy/placement.h): lets gated pods in
 * to their nodes and writes deletion costs, many at once (kube/pod_patch.h).
 *
 * Each entry of a plan is answered once through the handler; those that may not be written at once,
 * from inside places_carry(). Where the right to patch pods is missing nothing is sent for
 * PLACES_RETRY_US; then a single patch finds out whether that still is so. What an admission policy
 * or webhook refuses is that pod's trouble alone.
 */
#ifndef BRIM_AGENT_PLACES_H
#define BRIM_AGENT_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/kube/client.h"
#include "capacity/cluster.h"
#include "policy/placement.h"

#define PLACES_RETRY_US (60 * US_PER_S)

struct places_handler {
    /* `ok`: it went through, or may have. */
    void (*admitted)(void *self, struct uid uid, bool ok);
    void (*costed)(void *self, struct uid uid, int32_t cost, bool ok);
    void *self;
};

struct places_view {
    bool allowed;         /* as far as is known */
    bool trying;          /* the right was missing, and it is time to try again */
    const char *missing;  /* not allowed: the right that is missing, for people */
    struct mono retry_at; /* not allowed */
    const char *refused;  /* why the newest pod was not let in, for people; NULL: it was */
    size_t costs;         /* deletion costs that were not answered yet */
    struct mono costs_since;
    uint64_t admitted_total, errors_total;
};

struct places;

/* The client is borrowed. Freeing cancels what is under way. */
struct places *places_new(struct client *client, struct sv ns,
                          const struct places_handler *handler);
void places_free(struct places *p);

struct places_view places_view(const struct places *p, struct mono now);

/* Begins all that the plan says; what it names is looked up in the cluster. O(entries). */
void places_carry(struct places *p, const struct cluster *c, const struct placement_plan *plan,
                  struct mono now);

#endif
