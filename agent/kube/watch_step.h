/*
 * watch_step: the states of a watch (watch.h) and the one function that makes every move: state, input and time in, what should
 * be done out. It asks nobody and does nothing; watch.c is its driver.
 *
 *     OFF --start--> LIST or INITIAL --complete, marked--> STREAM --silent--> PROBE --complete--> STREAM
 *                     ^                                      |
 *                     +--wait over-- LIST_LATER, STREAM_LATER <--whatever goes wrong
 *
 * What goes wrong, and how it is mended:
 *   history gone (410 as answer or as event), list token expired  list anew; again within 10 s wait first as if unreachable
 *   version or token that the server cannot read (400, 422)       likewise
 *   server behind our resourceVersion (504 TooLarge)              wait as told, retry; after 3 tries list without version
 *   told to wait (429, 503 with Retry-After)                      wait as told, go on from where we were
 *   unreachable, cut off, 5xx, 401                                wait 0.8 s, doubled up to 30 s, plus up to as much again
 *                                                                 by chance; from 0.8 s again after 2 min without failure
 *   forbidden (403)                                               wait 0.8 s, 1.6 s, 3.2 s, each plus up to as much again by
 *                                                                 chance (a server that has just started has not read its
 *                                                                 roles yet); 30 s from the 4th in a row on, until something
 *                                                                 is granted
 *   the same page 3 times by the server's fault                   wait as above, then list anew, no older than what is known
 *   a list of another kind than options.list_kind, or of none     as unreachable; it says nothing of what is gone
 *   no protobuf (406, 415)                                        JSON from now on, in pages of WATCH_PAGE_JSON, until
 *                                                                 nothing was heard for WATCH_ABSENCE_US
 *   JSON though protobuf was offered                              pages of WATCH_PAGE_JSON as long as answers are such
 *   no initial events: 422 or 400, an ERROR 500 in front of       pages from now on, until nothing was heard for
 *     everything else (etcd too old), a bookmark without the      WATCH_ABSENCE_US; not told as trouble
 *     mark, or none and silence for WATCH_MARK_US (so long
 *     after the first change, where changes come all the time)
 *   initial events that break off                                 wait as above, from their beginning; pages after 3 in a
 *                                                                 row, since those are resumed
 *   initial events that do not begin in 60 s                      as unreachable
 *   ended in peace                                                at once from the last version; under 1 s, and without an
 *                                                                 event or again within 10 s, it counts as a failure
 *   a list that leads back to the same page, or has more than     as unreachable, and from its beginning
 *     WATCH_MAX_PAGES
 *   bytes that tell nothing for so long                           wait as if unreachable, then list, no older than what is known
 *   silent for longer than watch_set_silence() allows             probe (below), then watch again, or list
 *
 * Silence: a server that is behind our version answers 200 and says nothing; one that has nothing to say does the same, since
 * bookmarks come only after the version moved. So after silence a list of one object, not older than our version, is asked
 * for: it gives the 504 of a server that is behind. So `heard` stays young while all is well,
 * however quiet the cluster: no older than the silence and the time of one answer. A connection that
 * died unnoticed is silent, too, so the stream is cancelled before, and opened anew behind the answer: meanwhile, for the
 * time of two answers, the watch is not `connected`. A stream whose head has not come is given WATCH_SILENT_US.
 *
 * A stream that goes on behind one that ended is probed after WATCH_DOUBT_US, once, if it says nothing: the server may be another
 * one, or have been restored from a backup (its versions go back, and it is behind ours until it has made as many again).
 *
 * But somebody in between may answer probes and keep back what streams bring. So where a probe finds another version than ours and no
 * stream has told of anything for WATCH_UNPROVEN_US, the list is taken anew, no older than what is known.
 */
#ifndef BRIM_AGENT_KUBE_WATCH_STEP_H
#define BRIM_AGENT_KUBE_WATCH_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/client.h"

/* For so long it is believed that a stream tells nothing for that nothing happens (docs/FAULTS.md says why so long). */
#define WATCH_UNPROVEN_US (120 * US_PER_S)
/* Longer than between two words of a busy cluster; beside the minutes that a stream lasts a probe costs nothing. */
#define WATCH_DOUBT_US (5 * US_PER_S)
/* Unheard for so long, the server may be another release when it is back. */
#define WATCH_ABSENCE_US (300 * US_PER_S)

enum { WATCH_TOO_LARGE_TRIES = 3 };

/* The enum's names are what logs show. */
enum watch_state {
    WATCH_OFF,
    WATCH_LIST,
    WATCH_INITIAL, /* a list as the beginning of a stream */
    WATCH_STREAM,
    WATCH_PROBE,
    WATCH_LIST_LATER,
    WATCH_STREAM_LATER,
    WATCH_STATE_COUNT_
};
const char *watch_state_name(enum watch_state state);

/* What can happen. */
enum watch_input {
    WATCH_IN_START,
    WATCH_IN_STOP,
    WATCH_IN_TIMER,     /* the wait is over; of a stream or probe: silence */
    WATCH_IN_PAGE,      /* a page of a list is complete, more follow */
    WATCH_IN_COMPLETE,  /* the answer is complete: the last page, the stream's end, the probe */
    WATCH_IN_MARKED,    /* the stream has told all that there was, and goes on with what changes */
    WATCH_IN_REFUSED,   /* the server has no initial events */
    WATCH_IN_MUTE,      /* the stream brings bytes and tells nothing */
    WATCH_IN_GONE,      /* the version or the list's token is too old */
    WATCH_IN_TOO_LARGE, /* the server is behind */
    WATCH_IN_TOLD_TO_WAIT,
    WATCH_IN_FORBIDDEN,
    WATCH_IN_NOT_ACCEPTABLE, /* the server has no such format */
    WATCH_IN_FAILED,         /* anything else */
};

/* What the driver should do after a move. */
enum watch_action {
    WATCH_DO_NOTHING,
    WATCH_DO_CANCEL,
    WATCH_DO_LIST_FIRST,
    WATCH_DO_LIST_NEXT,
    WATCH_DO_INITIAL,
    WATCH_DO_FOLLOW, /* what is under way goes on as a stream */
    WATCH_DO_STREAM,
    WATCH_DO_PROBE,
    WATCH_DO_WAIT
};

struct watch_move {
    enum watch_action action;
    int64_t wait_us; /* WATCH_DO_WAIT */
    bool synced;     /* tell the handler first */
};

/* A plain value; what the driver knows of the answer under way it writes here before each move. */
struct watch_step {
    enum watch_state state;
    bool asks_initial; /* initial events rather than pages, where the server has them */
    uint64_t random;   /* the seed at first */

    /* What the driver says. */
    struct mono heard;     /* when the server last said anything; 0: never */
    struct mono told;      /* when a stream last told something, or a list was complete */
    struct mono begun;     /* of the request under way */
    uint64_t heard_events; /* from the stream under way, bookmarks included, initial events not */
    bool answers;          /* the head of the answer under way has come */
    bool moved_on;         /* the probe found a version that we were not told of */

    /* What the driver goes by. It sets `resumes` before each move, and clears `doubted` with a stream's first word. */
    bool anew;      /* the next list is not to go by a version */
    bool resumes;   /* the list has got somewhere: it goes on with its next page */
    bool json_only; /* no protobuf from this server */
    bool refused;   /* no initial events from this server */
    bool doubted; /* the stream goes on behind one that ended: does this server know our version? */
    uint64_t refusals;

    /* The machine's own. */
    struct mono now; /* of the last move */
    struct mono json_only_at, refused_at;
    uint32_t failures;         /* in a row: power of the back-off */
    uint32_t stream_failures;  /* streams in a row that the server broke */
    uint32_t initial_failures; /* initial events in a row that broke off */
    uint32_t page_failures;    /* of one page, by the server */
    uint32_t too_large;        /* tries in a row */
    uint32_t forbidden;        /* 403s since anything was last granted */
    struct mono failed_at;
    struct mono gone_at;  /* when a list was last begun anew because of a 410; 0: never */
    struct mono short_at; /* when a stream last ended soon behind an event; 0: never */
};

/* `problem`: what went wrong, where something did. O(1). */
struct watch_move watch_step(struct watch_step *s, enum watch_input in,
                             const struct client_problem *problem, struct mono now);

/* Is a list under way, in either form? */
bool watch_step_lists(const struct watch_step *s);

/* From 0 to limit - 1, by chance. */
int64_t watch_step_chance(struct watch_step *s, int64_t limit);

#endif
