/*
 * events: tells the cluster's users what was done, as Events (events.k8s.io/v1) on the object that it was done to.
 *
 * Never blocks and never fails: an event that cannot be written is dropped and counted. The same event again within 6 min
 * becomes a series of the first: its count is written at the second time, then at most every 6 min. Per object there are 25
 * events at once, then one each 5 min (the reference client's limits). Texts that are too long are cut.
 */
#ifndef BRIM_AGENT_KUBE_EVENTS_H
#define BRIM_AGENT_KUBE_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/client.h"

#define EVENTS_SERIES_US (360 * US_PER_S)
#define EVENTS_REFILL_US (300 * US_PER_S)

/* Series and objects remembered: the oldest is forgotten for a new one. */
enum {
    EVENTS_BURST = 25,
    EVENTS_MAX_SERIES = 64,
    EVENTS_MAX_OBJECTS = 64,
    EVENTS_MAX_UNDERWAY = 32
};

struct events_object {
    const char *api_version, *kind;
    const char *ns; /* NULL: of the cluster as a whole */
    const char *name, *uid;
};

struct event {
    bool warning;
    const char *reason; /* one word, "ScaledDown" */
    const char *action; /* what was done or tried, one word, "Rescale" */
    const char *note;   /* for people */
};

struct events_stats {
    uint64_t sent;
    uint64_t aggregated; /* part of a series */
    uint64_t limited;    /* held back: too many for the object, or too many under way */
    uint64_t failed;
};

struct events;

/* `instance` names this process ("POD", or host and pid); borrowed nothing. */
struct events *events_new(struct client *client, const char *controller, const char *instance);
/* Drops what is under way. */
void events_free(struct events *e);

void events_post(struct events *e, const struct events_object *object, const struct event *event);

const struct events_stats *events_stats(const struct events *e);

#endif
