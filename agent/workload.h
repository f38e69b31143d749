/*
 * workload: the target that brim scales, followed and written through the API server.
 *
 * Its scale is read every WORKLOAD_POLL_US and after each write that failed or was overtaken; its
 * template and annotations when its resourceVersion is another one then, so that `brim pause` takes
 * hold by the next poll; the autoscalers of its namespace every WORKLOAD_SLOW_POLL_US. A target that is
 * missing, that takes no count now, or that a HorizontalPodAutoscaler or a ScaledObject scales, is
 * reported and left alone; all are looked at again for ever. Writes are guarded as DESIGN says: growth by the replicas that were seen, a yield
 * by the uid alone. Which counts may come of writes whose end is not known is kept (late.h).
 */
#ifndef BRIM_AGENT_WORKLOAD_H
#define BRIM_AGENT_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/client.h"
#include "agent/kube/scale.h"
#include "agent/late.h"
#include "base/err.h"
#include "capacity/podreq.h"
#include "capacity/records.h"
#include "policy/policy.h"

#define WORKLOAD_POLL_US      (5 * US_PER_S)
#define WORKLOAD_SLOW_POLL_US (30 * US_PER_S)
/* What was sent before may be carried out for LATE_US, and is seen by the next reading. */
#define WORKLOAD_INHERITS_US (LATE_US + WORKLOAD_POLL_US)

enum workload_state {
    WORKLOAD_UNREAD, /* no answer yet */
    WORKLOAD_FOUND,
    WORKLOAD_MISSING,    /* the API server says that there is none */
    WORKLOAD_RESTING,    /* it takes no count now, as a Job that has ended: `problem` says why */
    WORKLOAD_UNREADABLE, /* it could not be read: `problem` says why; what was known before still
                            stands */
    WORKLOAD_STATE_COUNT_,
};
const char *workload_state_name(enum workload_state state);

struct workload_view {
    enum workload_state state;
    const char
        *resource; /* "deployments": how paths spell the target's kind; NULL: not known yet */
    /* It was found once and has been neither missing nor resting since: the next four are its. */
    bool known;
    struct uid uid;
    int64_t replicas;        /* spec.replicas, as last read or written */
    int64_t status_replicas; /* pods that exist */
    const char *selector;    /* "" if the scale has none */
    bool owners_known;       /* the autoscalers of the namespace were listed */
    const char *owner;       /* who scales it too: "ScaledObject filler/miner"; "" if nobody does */
    const char *owner_problem; /* why nobody can tell who else scales it; "" if that is known */
    const char *problem;       /* "" if the last reading went well */
    bool template_known;       /* the target as a whole was looked at; the next three are of it */
    struct scale_pause pause;  /* by annotation (kube/scale.h), as last read */
    bool
        pause_known; /* its annotations were read once, or may not be read: then it says which right
                         is missing, and nothing pauses */
    const char *pause_problem; /* why they could not be read last time; "" if they were */
};

struct workload_handler {
    /* Something in the view changed. */
    void (*changed)(void *self);
    /* The pod template, decoded; valid during the call. */
    void (*template_read)(void *self, const struct pod_record *pod);
    /* A write was answered, one by workload_shrink() (`down`) or by workload_grow(): problem is NULL if
     * it went through. `answered` is then the count that the API server set, which admission may
     * have made another one than `replicas`, what was asked for; else it is `replicas`. */
    void (*written)(void *self, bool down, int64_t replicas, int64_t answered,
                    const struct client_problem *problem);
    void *self;
};

struct workload;

/* `policy`, `client` are borrowed; `names` and `rules` are for the template's request. Reading
 * begins at once. */
struct workload *workload_new(struct client *client, const struct policy *policy,
                              struct resource_names *names, const struct podreq_rules *rules,
                              const struct workload_handler *handler);
void workload_free(struct workload *t);

const struct workload_view *workload_view(const struct workload *t);

/* Reads the scale now, unless a reading is under way. */
void workload_refresh(struct workload *t);

/* Asks for fewer: whatever the target asks for now, as long as it is the same object. */
void workload_shrink(struct workload *t, int64_t replicas);
/* Asks for more: refused (ERR_CONFLICT) unless the target still asks for view.replicas. */
void workload_grow(struct workload *t, int64_t replicas);

/* May a write of ours that was not answered have set this count? */
bool workload_may_have_set(const struct workload *t, int64_t replicas);
/* May one of another process, or of a workload before this one: for WORKLOAD_INHERITS_US, from the beginning or from
 * workload_take_over() on. */
bool workload_inherits(const struct workload *t);

/* Another process wrote until now: the scale is read anew. Until that is taken in workload_is_current() is false. */
void workload_take_over(struct workload *t);
bool workload_is_current(const struct workload *t);

/* Is a write open? Inside written() the one that is told of is not. */
bool workload_writes(const struct workload *t);

/* How many writes were begun, whatever became of them. */
uint64_t workload_writes_begun(const struct workload *w);

/* Puts an event on the target. */
void workload_event(struct workload *t, bool warning, const char *reason, const char *action,
                    struct sv note);

#endif
