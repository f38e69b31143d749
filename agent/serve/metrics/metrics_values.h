/*
 * metrics_values: the values that the metrics APIs answer with.
 *
 * external: the series of a metric, in any namespace or "*". labelSelector picks by their labels:
 * `policy`, and those of docs/METRICS.md. An HPA sums what it gets, so a policy's should be named.
 *
 * custom: a metric of one object, or of all of a name "*", each with one item:
 *     namespaces       that of a policy's target
 *     RESOURCE.GROUP   a policy's target, like deployments.apps
 *     services         spec.service of a policy, in the target's namespace
 *     pods             the filler pods of a policy that are not terminating, each with the policy's figure
 * metricLabelSelector picks among the series of an object, of which one must be left: two policies
 * may share a namespace or a Service. Of these objects the agent keeps no labels, so labelSelector
 * cannot pick among them: 400. Of pods it keeps none either, but it knows what each target selects,
 * which is what an HPA of that target asks for: a labelSelector that has the same requirements picks
 * the target's pods, none at all picks those of all targets of the namespace, another one is 400.
 * The names of pods hang on a board; the answer awaits it where it is empty.
 *
 * A figure that is not known is no data: no item in a list, 404 for one object. Data is stale, 503,
 * as soon as one of the series that would be told of belongs to a policy whose stale.after has
 * passed since the API server was last heard. Values are cut to thousandths and never negative: an
 * HPA rounds up what is finer, and would ask for a replica too many. The time is the snapshot's.
 */
#ifndef BRIM_AGENT_SERVE_METRICS_METRICS_VALUES_H
#define BRIM_AGENT_SERVE_METRICS_METRICS_VALUES_H

#include "agent/serve/metrics/metrics_ask.h"

/* Bytes that a selector's structure may take. */
enum { METRICS_MAX_SELECTOR = 1 << 20 };

/* METRICS_SERIES and METRICS_OBJECTS. `s` may be NULL: 503. */
void metrics_values_series(const struct routes_request *rq, const struct metrics_ask *ask,
                           const struct snapshot *s, struct routes_answer *a);
void metrics_values_objects(const struct routes_request *rq, const struct metrics_ask *ask,
                            const struct snapshot *s, struct routes_answer *a);

#endif
