/*
 * podreq: the effective request of a pod, exactly as kube-scheduler of a given release counts it.
 *
 * Containers are summed; init containers count by their maximum, sidecars (restartPolicy Always)
 * run on from their place in the order; then pod-level requests replace, overhead is added, and the
 * whole is rounded up once. For a pod that has a node, from 1.33 on, a container's status (in-place
 * resize) counts as well: the largest of spec, status.resources and allocatedResources. A key that
 * is missing is not a 0 until the end. Source: k8s.io/component-helpers/resource/helpers.go 1.28
 * to 1.35, KEP-753, KEP-1287, KEP-2837.
 */
#ifndef BRIM_CAPACITY_PODREQ_H
#define BRIM_CAPACITY_PODREQ_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "capacity/quantity.h"
#include "capacity/resources.h"

/* What differs by release and feature gate. */
struct podreq_rules {
    bool status;           /* InPlacePodVerticalScaling: on from 1.33 */
    bool pod_level;        /* PodLevelResources: on from 1.34 */
    bool pod_level_status; /* InPlacePodLevelResourcesVerticalScaling: 1.35 alpha, off */
};

/*
 * The rules of a release by its default gates: "1.33", "v1.34.2", "1.33+", "v1.32.9-eks-1a2b".
 * "1.35-alpha" has alpha gates on. Newer releases than known count as the newest known one; what is
 * older than 1.28 is an ERR_INPUT.
 */
bool podreq_rules_for(struct sv version, struct podreq_rules *ret_rules,
                      struct err *err) MUST_CHECK;

/*
 * One key of a ResourceList; `place` from resource_names_find(). Keys that are not counted are left
 * out by the decoder; RESOURCE_PODS is ignored here, as the scheduler does. Of two entries with one
 * place in a list the last counts.
 */
struct amount {
    int place;
    struct quantity q;
};

struct amounts {
    const struct amount *at;
    size_t n;
};

struct container_amounts {
    struct sv name;
    struct amounts requests;
    bool sidecar; /* an init container with restartPolicy Always */
};

/* Found by name, the last of several, init containers' before the others. */
struct status_amounts {
    struct sv name;
    bool has_resources;       /* status.resources is there (maybe empty) */
    struct amounts requests;  /* of status.resources */
    struct amounts allocated; /* allocatedResources */
};

/* All that enters the sum; borrowed from the message. */
struct podreq_input {
    const struct container_amounts *containers;
    size_t n_containers;
    const struct container_amounts *inits;
    size_t n_inits;
    const struct status_amounts *statuses; /* containerStatuses */
    size_t n_statuses;
    const struct status_amounts *init_statuses;
    size_t n_init_statuses;
    struct amounts pod_level;     /* spec.resources.requests */
    bool has_pod_status;          /* status.resources of the pod is there */
    struct amounts pod_status;    /* status.resources.requests of the pod (1.35) */
    struct amounts pod_allocated; /* status.allocatedResources of the pod (1.35) */
    struct amounts overhead;
    bool has_node;   /* spec.nodeName is set: the status counts */
    bool infeasible; /* the first condition of type PodResizePending has reason Infeasible */
};

/*
 * The request, rounded up, saturated at int64, at[RESOURCE_PODS] = 1. `steps` (may be NULL)
 * receives the calculation for people, a line a step, in columns. O(containers + statuses), times
 * the names for init containers.
 */
struct resources podreq_count(const struct podreq_input *in, const struct podreq_rules *rules,
                              const struct resource_names *names, struct strbuf *steps);

#endif
