/*
 * world: the cluster: the simulation, and the API objects that show it.
 *
 * Whatever clients write goes through world_create(), world_replace() and world_delete(), on whole JSON objects; what the
 * simulation does by itself (schedulers, controllers, kubelets, autoscalers) comes back as new versions in the store.
 * Pods' text is that of their template or of the POST, with what the simulation knows put in.
 *
 * Two times: real time, in which clients live, and the cluster's own, which runs `speed` times as fast. What clients see
 * and say is in real time: a terminationGracePeriodSeconds of 5 in a POST is 5 real seconds at any speed, and what a
 * scenario gives in the cluster's time is shown divided by the speed, rounded up to whole seconds.
 */
#ifndef BRIM_POCKET_WORLD_H
#define BRIM_POCKET_WORLD_H

#include <cjson/cJSON.h>

#include "policy/sim/sim.h"
#include "tests/pocket/store.h"

enum { WORLD_MAX_SPEED = 1000 };

struct world_config {
    uint64_t seed;
    int32_t speed;
    size_t ring;     /* changes of each kind that are kept for watches */
    bool fat;        /* objects have the size of real ones (fat.h) */
    bool swift;      /* controllers have no rate limit, the scheduler hardly a back-off */
    struct mono now; /* real time */
    struct wall wall;
};

struct world;

struct world *world_new(const struct world_config *config);
void world_free(struct world *w);

struct sim *world_sim(struct world *w);
struct store *world_store(struct world *w);
bool world_fat(const struct world *w);

/* Moves on to this real time. */
void world_advance(struct world *w, struct mono now);
/* The real time of the last world_advance(). */
struct mono world_now(const struct world *w);
/* How long, in real time, until something happens by itself; at most `max_us`. */
int64_t world_idle_us(const struct world *w, int64_t max_us);
/* A moment of the cluster's time as clients see it. */
struct wall world_wall(const struct world *w, struct mono sim_time);

/* Times in the cluster's own seconds; below 0: not given, the object says. */
struct world_timing {
    int64_t grace_us, start_us, exit_us;
};
#define WORLD_NO_TIMING ((struct world_timing){-1, -1, -1})

/*
 * Creates an object, with the defaults that the API server puts in. metadata.namespace is `ns`. Errors are ERR_INPUT
 * (422), ERR_CONFLICT (409 AlreadyExists), ERR_FORBIDDEN, ERR_LIMIT. *ret_object is borrowed from the store.
 */
bool world_create(struct world *w, enum kind kind, struct sv ns, cJSON *json,
                  const struct world_timing *timing, const struct object **ret_object,
                  struct err *err) MUST_CHECK;

/* Replaces an object by one that was made from its JSON. ERR_INPUT: what may not change has changed. */
bool world_replace(struct world *w, const struct object *old, cJSON *json,
                   const struct object **ret_object, struct err *err) MUST_CHECK;

/* grace_s < 0: the object's own. Pods go by the kubelet's time, all else is gone at once. */
void world_delete(struct world *w, const struct object *o, int64_t grace_s);

/* Creates a pod that runs on a node already. For large clusters; `template` is a pod's JSON, taken once for all. */
struct pod_doc;
bool world_pod_doc(struct world *w, struct sv ns, cJSON *pod, const struct world_timing *timing,
                   struct pod_doc **ret_doc, struct err *err) MUST_CHECK;
bool world_place(struct world *w, const struct pod_doc *doc, struct sv name, struct sv node,
                 struct err *err) MUST_CHECK;

#endif
