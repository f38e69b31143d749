/*
 * metrics_api: custom.metrics.k8s.io (v1beta1, v1beta2) and external.metrics.k8s.io (v1beta1), what
 * HorizontalPodAutoscalers read. Pure: request, snapshot and time in, status and body out.
 *
 * Paths and the right that each takes: metrics_ask.h. The metrics are the gauges of policies
 * (exposition_gauge()), with the page's values: discovery in metrics_discovery.h, values in
 * metrics_values.h. Bodies are JSON; a client that takes protobuf alone gets 406.
 *
 * /apis is also answered as aggregated discovery to whom asks for it, with an ETag; If-None-Match
 * with that gives 304.
 *
 * Errors are Status objects: 400 BadRequest (a selector), 404 NotFound, 405 MethodNotAllowed, 406
 * NotAcceptable, 503 ServiceUnavailable (pods and nodes not listed yet, or no news from the API
 * server for longer than the policy's stale.after). No Retry-After where data is missing: a client
 * would wait in its place instead of going on with other work.
 *
 * Sources: k8s.io/metrics, sigs.k8s.io/custom-metrics-apiserver, k8s.io/apiserver's discovery.
 */
#ifndef BRIM_AGENT_SERVE_METRICS_METRICS_API_H
#define BRIM_AGENT_SERVE_METRICS_METRICS_API_H

#include "agent/serve/routes.h"

/* Always answers; for paths of which metrics_ask_is() is true. `s` may be NULL: no turn has ended
 * yet. `a` is as routes_answer() begins it. */
void metrics_api_answer(const struct routes_request *rq, const struct snapshot *s,
                        struct routes_answer *a);

#endif
