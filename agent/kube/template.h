/*
 * template: the pod that the API server would make, of a workload's pod template or of a pod's manifest.
 *
 * When the API server stores a pod, each limit of a container without a request becomes one, and so do the cpu and memory
 * limits of the pod as a whole where no container asks for any. Pods read from the server have that already; templates and
 * files have not. What admission adds (LimitRange, RuntimeClass overhead, priority) is not in it.
 *
 * Results are JSON for decode_pod(DECODE_JSON), added to a strbuf of the caller's. Errors: ERR_INPUT (no JSON object),
 * ERR_NOT_FOUND (no template), ERR_LIMIT (it does not fit into the strbuf).
 */
#ifndef BRIM_AGENT_KUBE_TEMPLATE_H
#define BRIM_AGENT_KUBE_TEMPLATE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "base/sv.h"

enum { TEMPLATE_MAX_POD = 4 << 20 }; /* more than the server stores */

struct cJSON;

/* The pod of a workload that was read already; its tree is changed. The pod gets this namespace; an empty one is left out. */
bool template_of_tree(struct cJSON *workload, struct sv ns, struct strbuf *to,
                      struct err *err) MUST_CHECK;

/*
 * The pod of a workload's text: spec.template (Deployment, Job, …), spec.jobTemplate.spec.template (CronJob) or template
 * (PodTemplate). Its namespace is the workload's; a template without a name gets the workload's, too.
 */
bool template_pod(struct sv workload, struct strbuf *to, struct err *err) MUST_CHECK;

/* The same pod, with its limits made requests. */
bool template_defaults(struct sv pod, struct strbuf *to, struct err *err) MUST_CHECK;

#endif
