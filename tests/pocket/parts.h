/*
 * parts: what the files of the world share; not for its users, who include world.h.
 *
 * world.c    time, the simulation's observer, what clients do to pods and nodes
 * docs.c     objects that are no more than their JSON, and Deployments and what they own
 * podtext.c  pods from JSON to the simulation
 * podnow.c   and back
 * podcheck.c what may change on a pod
 */
#ifndef BRIM_POCKET_PARTS_H
#define BRIM_POCKET_PARTS_H

#include "capacity/podreq.h"
#include "tests/pocket/podtext.h"

struct world {
    struct world_config config;
    struct sim *sim;
    struct store *store;
    struct resource_names names;
    struct podreq_rules rules;
    struct mono now;       /* real time */
    uint64_t random;       /* for uids and names */
    struct pod_doc **pods; /* by the pod's id */
    size_t n_pods;
    struct pod_doc **templates; /* by the workload's id */
    size_t n_templates;
    struct sv *events; /* names of the Events in the store, "ns/name", oldest first */
    size_t n_events, events_cap;
};

struct store *world_store_of(const struct world *w);
struct resource_names *world_names(struct world *w);
const struct podreq_rules *world_rules(const struct world *w);
int64_t world_speed(const struct world *w);
/* A span of the cluster's time in whole seconds of the clients', rounded up. */
int64_t world_shown_s(const struct world *w, int64_t sim_us);

/* A fresh uid, by the seed. */
void world_uid(struct world *w, char text[static UID_TEXT_SIZE]);

/* ---- docs.c ---- */

/* An object that is no more than its JSON, metadata as it stands there. The store takes the reference. */
struct object *docs_object(enum kind kind, struct sv ns, const cJSON *json);
/* The object's JSON as a tree; freed by the caller. */
cJSON *docs_tree(const struct object *o);
/* name, namespace, uid, creationTimestamp: what a new object's metadata gets. */
bool docs_stamp(struct world *w, enum kind kind, struct sv ns, cJSON *json,
                struct err *err) MUST_CHECK;

bool docs_create_deployment(struct world *w, struct sv ns, cJSON *json,
                            const struct world_timing *timing, struct err *err) MUST_CHECK;
bool docs_replace_deployment(struct world *w, const struct object *old, cJSON *json,
                             struct err *err) MUST_CHECK;
/* Goes with its pods; the object in the store stays. */
void docs_remove_deployment(struct world *w, const struct object *o);
/* Objects that nothing else depends on. */
bool docs_put(struct world *w, enum kind kind, struct sv ns, const cJSON *json,
              struct err *err) MUST_CHECK;
/* The simulation says that replicas or status of a workload changed. */
void docs_refresh(struct world *w, const struct sim_workload *workload);

#endif
