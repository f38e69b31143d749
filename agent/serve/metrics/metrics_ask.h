/*
 * metrics_ask: what a request to the metrics APIs asks for, and which right it takes. Pure: method,
 * path and query in, one value out, so that what is authorized is what is answered.
 *
 *     /apis                                                 the groups
 *     /apis/GROUP                                           one of them
 *     /apis/GROUP/VERSION                                   its resources
 *     /apis/external.metrics.k8s.io/V/namespaces/NS/M       a metric's series
 *     /apis/custom.metrics.k8s.io/V/namespaces/NS/RESOURCE/NAME/M   of objects in a namespace
 *     /apis/custom.metrics.k8s.io/V/namespaces/NS/metrics/M         of the namespace itself, as an
 *                                                                   HPA asks
 *     /apis/custom.metrics.k8s.io/V/RESOURCE/NAME/M         of objects without a namespace;
 *                                                           namespaces/NS/M is one
 *
 * The path is percent-decoded before it is cut, as kube-apiserver does it: a %2F separates. One
 * slash at the end is passed over. An empty segment elsewhere, "." and "..", bytes that are not
 * UTF-8, and whatever is beyond these forms is METRICS_NOTHING.
 *
 * Rights (k8s.io/apiserver's RequestInfo, but for objects without a namespace, where
 * namespaces/NS/M names the object NS): METRICS_SERIES and METRICS_OBJECTS are resource requests,
 * all else is a nonResourceRequest of the path. An empty attribute is left out of the review.
 */
#ifndef BRIM_AGENT_SERVE_METRICS_METRICS_ASK_H
#define BRIM_AGENT_SERVE_METRICS_METRICS_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/serve/routes.h"
#include "base/sv.h"

enum metrics_group { METRICS_CUSTOM, METRICS_EXTERNAL, METRICS_GROUP_COUNT_ };

enum { METRICS_MAX_VERSIONS = 2 };

/* "custom.metrics.k8s.io". */
const char *metrics_group_name(enum metrics_group group);
/* The group's i-th version, the preferred one first; NULL beyond the last. */
const char *metrics_group_version(enum metrics_group group, size_t i);
/* As the flag calls it: "custom", "external". */
const char *metrics_group_word(enum metrics_group group);

/* A list of those words, "custom,external", as bits 1 << group. False if one is none of them, or
 * the list is empty. */
bool metrics_groups_parse(struct sv list, unsigned *ret_groups) MUST_CHECK;

enum metrics_what {
    METRICS_NOTHING, /* there is nothing at this path */
    METRICS_GROUPS,
    METRICS_GROUP,
    METRICS_RESOURCES,
    METRICS_SERIES,  /* external */
    METRICS_OBJECTS, /* custom */
    METRICS_WHAT_COUNT_
};

/* Texts are of the request or constants. */
struct metrics_ask {
    enum metrics_what what;
    enum metrics_group group; /* from METRICS_GROUP on, as far as it is served */
    const char *version;      /* from METRICS_RESOURCES on */
    const char *verb;         /* get, list, watch, create, update, patch, delete, deletecollection;
                                 of a nonResourceRequest the method in lower case, or "other" */
    /* resourceAttributes of METRICS_SERIES and METRICS_OBJECTS */
    struct sv ns, resource, name, subresource;
    struct sv metric;
};

/* Is the path one of these APIs', whether there is anything or not? */
bool metrics_ask_is(struct sv path);

/* Never fails. `rq->metrics_groups` says which groups there are. O(length). */
struct metrics_ask metrics_ask_read(const struct routes_request *rq);

/* The parameter's value, empty where it is absent; of several the first. */
struct sv metrics_ask_param(const struct routes_request *rq, struct sv key);

#endif
