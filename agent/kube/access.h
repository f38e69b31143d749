/*
 * access: what the API server would let brim do, asked of itself: a SelfSubjectAccessReview, which every account may create.
 *
 * It answers for the authorizer (RBAC) alone: admission policies and webhooks may still refuse the request. A right that is
 * missing may be granted at any time, so an answer is about now.
 */
#ifndef BRIM_AGENT_KUBE_ACCESS_H
#define BRIM_AGENT_KUBE_ACCESS_H

#include <stdbool.h>

#include "agent/kube/client.h"
#include "agent/loop.h"
#include "capacity/records.h"

/* NULL where there is none: the group of pods, a subresource; a namespace: all of them; a name: any. */
struct access_right {
    const char *verb, *group, *resource, *subresource, *ns, *name;
};

/* What letting in and deletion costs need (pod_patch.h), beside listing pods. `ns` is borrowed. */
struct access_right access_right_to_patch_pods(const char *ns);

/* Appends it for people: "patch deployments.apps/scale miner in namespace filler". */
void access_right_text(const struct access_right *right, struct strbuf *to);

/* err NULL: the server answered, and only then `allowed` counts. */
typedef void access_fn(void *self, bool allowed, const struct err *err);

struct access_question;

/* The function is called once, never from inside this call; not after a cancel, which must come before the client is freed. */
struct access_question *access_ask(struct client *client, const struct access_right *right,
                                   access_fn *fn, void *self);
void access_cancel(struct access_question *question); /* NULL is fine */

/* For commands: runs the loop until the answer is there. */
bool access_wait(struct client *client, struct loop *loop, const struct access_right *right,
                 bool *ret_allowed, struct err *err) MUST_CHECK;

/*
 * Does the pod of a target's template (scale_template(), decoded) wait for brim? ERR_NOT_FOUND: it carries no gate
 * brim.dev/room, so that its pods are scheduled wherever they fit, whatever brim plans.
 */
bool access_template_gated(const struct pod_record *pod, struct err *err) MUST_CHECK;

#endif
