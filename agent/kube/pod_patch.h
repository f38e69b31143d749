/*
 * pod_patch: the two things that brim writes on filler pods, many at once: letting a gated pod in on a node, and how soon it
 * shall go when its workload shrinks.
 *
 *   let in  one merge patch takes the gate brim.dev/room away and requires the node: matchFields metadata.name In [node] in
 *           every term of the pod's required node affinity that is not empty (an empty one matches nothing), or in a term of
 *           its own where there is none. Other gates, preferred affinities and affinities to pods stay as they are. The
 *           server lets a gated pod's terms only be added to (k8s.io/kubernetes, ValidatePodUpdate), and only while it is
 *           gated: of two who let one pod in on different nodes, the second is refused.
 *   cost    merge patch of the annotation controller.kubernetes.io/pod-deletion-cost; 0 takes it away.
 *
 * Both carry the pod's uid, and no resourceVersion: whatever else changes on the pod meanwhile does no harm. Where the server
 * says that the patch does not suit the pod (409, 422), the pod is read once (as a list of one, which the right to list pods
 * covers) and the patch made again of what it is: its terms were others, another gate is there, or it is another pod.
 *
 * A patcher serves one namespace. At most POD_PATCH_PARALLEL of its patches are on their way, over connections that nothing
 * else uses (CHANNEL_PODS); the others wait here, costs before let-ins, each kind in the order in which it was asked for. A
 * 429 stops all of them for as long as the server says. What was not written within POD_PATCH_PATIENCE_US of its being asked for
 * is not sent any more: room that was counted then may be gone. Each patch ends with its function called once, never from inside the call
 * that began it or began another; after pod_patch_cancel() it is not called. Beyond that nothing is tried again: callers know better.
 */
#ifndef BRIM_AGENT_KUBE_POD_PATCH_H
#define BRIM_AGENT_KUBE_POD_PATCH_H

#include <stdint.h>

#include "agent/kube/client.h"
#include "capacity/records.h"

/* One that is sent has a connection: it does not wait once more inside the transport. */
enum { POD_PATCH_PARALLEL = TRANSPORT_POD_CONNECTIONS };
#define POD_PATCH_PATIENCE_US (5 * US_PER_S)

enum pod_patch_outcome {
    POD_PATCH_DONE,
    POD_PATCH_GONE,    /* the pod is no more, is another of its name, or is on its way out */
    POD_PATCH_REFUSED, /* and will be again; ERR_CONFLICT of a let-in: its gate is gone already */
    POD_PATCH_LATE,    /* not written: the server asked for patience (429), or was too slow */
    POD_PATCH_UNKNOWN, /* no answer, or the server failed: it may have been written or not */
    POD_PATCH_OUTCOME_COUNT_,
};
const char *pod_patch_outcome_name(enum pod_patch_outcome outcome);

struct pod_patch_result {
    struct uid uid; /* of the pod, as the caller named it */
    enum pod_patch_outcome outcome;
    const struct err *err; /* NULL: POD_PATCH_DONE; valid during the call */
};

typedef void pod_patch_fn(void *self, const struct pod_patch_result *result);

/*
 * Everything is copied. `rules` and `gated_by_others` as the pod's record has them. Where the rules are NULL (not known), or
 * others' gates are there (their names are not known), the pod is read first.
 */
struct pod_patch_pod {
    struct sv name;
    struct uid uid;
    const struct pod_rules *rules;
    bool gated_by_others;
};

struct pod_patcher;
struct pod_patch; /* one that has not ended */

/* The client is borrowed. Freeing cancels all; not inside a function of its own patches. */
struct pod_patcher *pod_patcher_new(struct client *client, const char *ns);
void pod_patcher_free(struct pod_patcher *p);

struct pod_patch *pod_patch_let_in(struct pod_patcher *p, const struct pod_patch_pod *pod,
                                   struct sv node, pod_patch_fn *fn, void *self);
/* Of the pod only name and uid are looked at. */
struct pod_patch *pod_patch_cost(struct pod_patcher *p, const struct pod_patch_pod *pod,
                                 int32_t cost, pod_patch_fn *fn, void *self);

/* NULL is fine. One that waits is never sent; one on its way may be written or not. */
void pod_patch_cancel(struct pod_patch *patch);

/* `missing`: the right that the server says is missing, for people; NULL again once a patch went through. */
struct pod_patcher_view {
    size_t waiting, sent;
    const char *missing;
};
struct pod_patcher_view pod_patcher_view(const struct pod_patcher *p);

#endif
