/*
 * kube_status: an error as the Status object of the Kubernetes API, which its clients know how to
 * show and branch on by `reason` (metav1.Status).
 */
#ifndef BRIM_AGENT_SERVE_KUBE_STATUS_H
#define BRIM_AGENT_SERVE_KUBE_STATUS_H

#include "base/strbuf.h"
#include "base/sv.h"

struct kube_status {
    int code; /* of HTTP */
    const char *reason, *message;
    struct sv group, kind, name; /* details: what was asked for; empty ones are left out */
    int retry_after_s;           /* details; 0: not said */
    struct sv field;     /* details: the part of the request that is wrong; empty: not said */
    const char *problem; /* … and what is wrong with it */
};

void kube_status_write(const struct kube_status *status, struct strbuf *out);

#endif
