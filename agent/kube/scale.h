/*
 * scale: reads and sets the replicas of one target: a Job, or any kind that has the scale subresource (target_kind.h).
 *
 * How a kind that is not known is spelled in paths is asked of the server (discovery) before the first request, and remembered. Operations run side by side. Each ends with its function
 * called once, never from inside the call that began it; after scale_cancel() it is not called. An operation is gone then.
 * Freeing the scaler cancels all; not inside a function of its own.
 *
 * Writes are guarded by the server, so that a late one does no harm:
 *   yield  merge patch with the target's uid: another object of the same name is refused (ERR_CONFLICT), a count that changed
 *          meanwhile is not looked at, since less is always safe.
 *   grow   JSON patch that tests uid and the count it starts from; if either is another now: ERR_CONFLICT. A Scale's count of 0
 *          is left out by the server, so there 0 is tested as null and the field is added.
 */
#ifndef BRIM_AGENT_KUBE_SCALE_H
#define BRIM_AGENT_KUBE_SCALE_H

#include <stdint.h>

#include "agent/kube/client.h"
#include "agent/kube/target_kind.h"

/* What a policy names. */
struct target {
    const char *api_version; /* "apps/v1", "v1" */
    const char *kind;
    const char *ns;
    const char *name;
};

/*
 * Annotations of a target: it shall not be scaled, not up, not down. Any value but "false" counts. Those of KEDA
 * (autoscaling.keda.sh/paused, paused-replicas, paused-scale-out, paused-scale-in) mean the same here: the count stays.
 */
#define SCALE_PAUSED      "brim.dev/paused"
#define SCALE_PAUSED_UP   "brim.dev/paused-up"
#define SCALE_PAUSED_DOWN "brim.dev/paused-down"

/* What they come to. */
struct scale_pause {
    bool up, down;
    const char *up_by,
        *down_by; /* the first annotation that says so; NULL: none. It lives for ever */
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
    const char *owner_kind;     /* of scale_find_owner(): "HorizontalPodAutoscaler"; NULL: none */
    struct sv owner;            /* and its name */
};

typedef void scale_fn(void *self, const struct scale_result *result);

struct scaler;
struct scale_op;

/* The target is copied. */
struct scaler *scaler_new(struct client *client, const struct target *target);
void scaler_free(struct scaler *s);

/* "deployments": the plural of the target's kind. NULL: the server was not asked yet. */
const char *scaler_resource(const struct scaler *s);
/* Has the kind the scale subresource? */
bool scaler_has_subresource(const struct scaler *s);

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

/*
 * Is there a HorizontalPodAutoscaler for the target, or a ScaledObject of KEDA? (The latter makes one of the former, but not
 * while it is paused.) Where the server has no KEDA, or the right to list its objects is missing, there is none, and they are
 * not asked for again for SCALE_ABSENT_US.
 */
#define SCALE_ABSENT_US (600 * US_PER_S)
struct scale_op *scale_find_owner(struct scaler *s, scale_fn *fn, void *self);

void scale_cancel(struct scale_op *op); /* NULL is fine */

#endif
