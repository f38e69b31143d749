/*
 * scale: reads and sets the replicas of one target, of any kind that has the scale subresource.
 *
 * Deployment, StatefulSet, ReplicaSet and ReplicationController are known; how another kind is spelled in paths is asked of
 * the server (discovery) before the first request, and remembered. Operations run side by side. Each ends with its function
 * called once, never from inside the call that began it; after scale_cancel() it is not called. An operation is gone then.
 * Freeing the scaler cancels all; not inside a function of its own.
 *
 * Writes are guarded by the server, so that a late one does no harm:
 *   yield  merge patch with the target's uid: another object of the same name is refused (ERR_CONFLICT), a count that changed
 *          meanwhile is not looked at, since less is always safe.
 *   grow   JSON patch that tests uid and the count it starts from; if either is another now: ERR_CONFLICT. A count of 0 is
 *          left out by the server, so 0 is tested as null and the field is added.
 */
#ifndef BRIM_AGENT_KUBE_SCALE_H
#define BRIM_AGENT_KUBE_SCALE_H

#include <stdint.h>

#include "agent/kube/client.h"

/* What a policy names. */
struct target {
    const char *api_version; /* "apps/v1", "v1" */
    const char *kind;
    const char *ns;
    const char *name;
};

struct scale {
    struct sv uid;              /* of the target */
    struct sv resource_version; /* of the target */
    struct sv selector;         /* status.selector as text; empty: the target reports none */
    int64_t replicas;           /* what is asked for */
    int64_t status_replicas;    /* pods that exist */
};

/* Annotations of a target: it shall not be scaled, not up, not down. Any value but "false" counts. */
#define SCALE_PAUSED      "brim.dev/paused"
#define SCALE_PAUSED_UP   "brim.dev/paused-up"
#define SCALE_PAUSED_DOWN "brim.dev/paused-down"

/* What they come to. */
struct scale_pause {
    bool up, down;
};
/* Single annotations, to be or-ed. */
enum { SCALE_PAUSE_ALL = 1, SCALE_PAUSE_UP = 2, SCALE_PAUSE_DOWN = 4 };

/* All text is valid during the call. */
struct scale_result {
    const struct client_problem *problem; /* NULL: none, and only then the rest counts */
    struct scale scale;                   /* of scale_get() and the patches: as it is now */
    struct sv pod_json;                   /* of scale_template() */
    struct sv uid;                        /* of scale_template(): the target's, as the next two */
    bool read; /* the target was read, though maybe it has no template (problem) */
    struct scale_pause
        pause; /* as its annotations say, if it was read; of scale_patch_pause(), too */
    struct sv resource_version; /* if it was read */
    struct sv hpa;              /* of scale_find_hpa(): its name; empty: none */
};

typedef void scale_fn(void *self, const struct scale_result *result);

struct scaler;
struct scale_op;

/* The target is copied. */
struct scaler *scaler_new(struct client *client, const struct target *target);
void scaler_free(struct scaler *s);

/* "deployments": the plural of the target's kind. NULL: the server was not asked yet. */
const char *scaler_resource(const struct scaler *s);

struct scale_op *scale_get(struct scaler *s, scale_fn *fn, void *self);

/* `uid` from an earlier scale; n >= 0. They go over the control channel. */
struct scale_op *scale_patch_yield(struct scaler *s, struct sv uid, int64_t n, scale_fn *fn,
                                   void *self);
struct scale_op *scale_patch_grow(struct scaler *s, struct sv uid, int64_t from, int64_t to,
                                  scale_fn *fn, void *self);

/*
 * The target's annotations, and its pod template as the pod it would become (template.h), for decode_pod(DECODE_JSON),
 * with the target's namespace. ERR_NOT_FOUND: there is no such target, or it has no spec.template.
 */
struct scale_op *scale_template(struct scaler *s, scale_fn *fn, void *self);

/* Sets these annotations of the target to "true", or takes them away; the others stay. */
struct scale_op *scale_patch_pause(struct scaler *s, int annotations, bool set, scale_fn *fn,
                                   void *self);

/* Is there a HorizontalPodAutoscaler for the target? (A ScaledObject of KEDA makes one, too.) */
struct scale_op *scale_find_hpa(struct scaler *s, scale_fn *fn, void *self);

void scale_cancel(struct scale_op *op); /* NULL is fine */

#endif
