/*
 * metrics_discovery: what the metrics APIs say they have: groups, versions, and resources, plain or
 * aggregated (apidiscovery.k8s.io v2 and v2beta1).
 *
 * Of external.metrics.k8s.io the resources are the metrics (exposition_gauge()). Of
 * custom.metrics.k8s.io they are RESOURCE/METRIC for namespaces, pods, services and the resources of
 * the policies' targets, as far as the snapshot knows them; NULL: without targets. All of this
 * is answered before the first turn, too, since kube-apiserver takes it for a sign of life.
 */
#ifndef BRIM_AGENT_SERVE_METRICS_METRICS_DISCOVERY_H
#define BRIM_AGENT_SERVE_METRICS_METRICS_DISCOVERY_H

#include "agent/serve/metrics/metrics_ask.h"

/* APIGroupList of those in `groups`, bits 1 << group. */
void metrics_discovery_groups(unsigned groups, struct strbuf *out);
/* APIGroup. */
void metrics_discovery_group(enum metrics_group group, struct strbuf *out);
/* APIResourceList. */
void metrics_discovery_resources(enum metrics_group group, const char *version,
                                 const struct snapshot *s, struct strbuf *out);
/* APIGroupDiscoveryList; `api_version` is "v2" or "v2beta1". */
void metrics_discovery_aggregated(unsigned groups, const char *api_version,
                                  const struct snapshot *s, struct strbuf *out);

/* Is "deployments.apps" the resource of the filler's target? False where that is not known yet. */
bool metrics_is_target_resource(const struct snapshot_filler *f, struct sv resource);

#endif
