/*
 * event: what the event journal tells: how pods and nodes came, changed and went.
 *
 * Who reads begins with nothing: the first event is always a gap, and after each gap that `resets` everything is forgotten and
 * told anew as EVENT_NODE and EVENT_POD_FOUND. Text and pointers of an event live until the callback returns.
 */
#ifndef BRIM_STORAGE_EVENT_H
#define BRIM_STORAGE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sv.h"
#include "capacity/resources.h"

enum event_kind {
    EVENT_GAP,
    EVENT_NODE, /* a node that is there, came or changed, with all its facts */
    EVENT_NODE_GONE,
    EVENT_POD_FOUND,   /* was there already: no arrival */
    EVENT_POD_CREATED, /* arrived; without a node at first */
    EVENT_POD_CHANGED, /* has another shape now */
    EVENT_POD_BOUND,
    EVENT_POD_UNSCHEDULABLE, /* the scheduler found no room, for the first time since it waits */
    EVENT_POD_GONE,          /* deleted or finished */
    EVENT_COUNT_,
};
const char *event_kind_name(enum event_kind kind);

/* Why something is not known. */
enum gap_why {
    GAP_START,  /* the agent started */
    GAP_RELIST, /* a watch broke and was listed anew: what came about meanwhile bears the time of the list; resets nothing */
    GAP_LOST,   /* events were dropped because the disk did not keep up */
    GAP_CLOCK,  /* the clock was set back: times begin anew */
    GAP_DAMAGED, /* a part of the file cannot be read */
    GAP_BEGIN,   /* reading begins here */
    GAP_COUNT_,
};
const char *gap_why_name(enum gap_why why);

/* What a pod asks for, or a node offers, and what marks it. */
struct shape {
    struct resources
        amount; /* a pod's request or a node's allocatable; places as in resource_names of the reader */
    int32_t priority;
    bool filler, preempts_never, ignored, gated; /* of pods */
    bool tied;            /* of pods: may run on one node alone: a DaemonSet's, or static */
    bool cordoned, ready; /* of nodes */
};

struct event {
    enum event_kind kind;
    int64_t t_ms;
    enum gap_why why;          /* GAP */
    bool resets;               /* GAP: forget everything */
    uint64_t pod;              /* an id that no other pod of this reading has */
    const struct shape *shape; /* of the pod or the node; NULL for GAP and NODE_GONE */
    struct sv node;            /* the node; of a pod: where it is bound, empty while it waits */
    int64_t created_ms;        /* pods: creationTimestamp, whole seconds */
    bool unschedulable;        /* pods: was reported so since it waits */
};

#endif
