/*
 * version: which release the API server is of, from GET /version. It tells how the scheduler counts
 * pods (podreq.h).
 */
#ifndef BRIM_AGENT_KUBE_VERSION_H
#define BRIM_AGENT_KUBE_VERSION_H

#include "agent/kube/client.h"

#define KUBE_VERSION_PATH "/version"

struct kube_version {
    char release[16]; /* "1.35", for podreq_rules_for() */
    char git[64];     /* "v1.35.4", for people */
};

/* Reads the answer's body. A "+" behind the minor number, as some providers have it, is left out.
 */
bool kube_version_parse(struct sv body, struct kube_version *ret_version,
                        struct err *err) MUST_CHECK;

/* One of the two is NULL. */
typedef void kube_version_fn(void *self, const struct kube_version *version,
                             const struct err *problem);

struct kube_version_question;

/* Asks once; `fn` is called once, never from inside this call; not after a cancel, which must come before the client is freed. */
struct kube_version_question *kube_version_ask(struct client *client, kube_version_fn *fn,
                                               void *self);
void kube_version_cancel(struct kube_version_question *question); /* NULL is fine */

#endif
