/*
 * podtext: pods between their JSON and the simulation.
 *
 * A pod_doc is what a template or a POST says of a pod: the text that all pods made from it share, and the spec that the
 * simulation is given. The spec's tag points back to the doc. Docs are counted.
 */
#ifndef BRIM_POCKET_PODTEXT_H
#define BRIM_POCKET_PODTEXT_H

#include <cjson/cJSON.h>

#include "agent/kube/decode.h"
#include "policy/sim/sim.h"
#include "tests/pocket/object.h"
#include "tests/pocket/world.h"

struct pod_doc {
    unsigned refs;
    struct decoder decoder; /* owns what spec points to */
    struct sim_pod_spec spec;
    struct shared *shared;
    int32_t cost;             /* its annotation pod-deletion-cost */
    struct strbuf gates;      /* schedulingGates as JSON; empty: none */
    struct strbuf containers; /* their names and images, for statuses: a JSON list */
};

struct pod_doc *pod_doc_ref(struct pod_doc *d);
void pod_doc_unref(struct pod_doc *d);

/*
 * Puts in what the API server's defaulting and admission would (priority from the class, tolerations, requests from
 * limits …). `whole`: a pod, not a Deployment's template, whose priority and tolerations come with its pods.
 */
bool podtext_default(const struct world *w, cJSON *spec, bool whole, struct err *err) MUST_CHECK;

/* Of a whole pod after podtext_default(); metadata but labels, annotations and owners is left out. */
bool podtext_doc(struct world *w, const cJSON *pod, const struct world_timing *timing,
                 struct pod_doc **ret_doc, struct err *err) MUST_CHECK;

/* The pod as it is now. */
struct object *podtext_object(const struct world *w, const struct sim_pod *pod,
                              const struct pod_doc *doc);

/* 8-4-4-4-12. */
void uid_text(struct uid uid, char text[static UID_TEXT_SIZE]);

#endif
