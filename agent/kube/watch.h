/*
 * watch: keeps somebody up to date about all objects of one kind: a list, then a watch, again and again.
 *
 * A list comes in pages, or, where options.initial_events asks for it and the server has the feature WatchList, as the
 * beginning of the watch itself: a stream of all there is, a bookmark that marks its end, and on the same stream what
 * changes. Nothing is held beyond one object (FRAME_MAX_OBJECT) either way.
 *
 * The handler is told in this order: begin() when a list starts, object() for every object, synced() when the list is
 * complete: what was known before and was not named since begin() is gone (mark and sweep). Then object() for each change.
 * begin() may come again before synced(): the list started anew. Among initial events there may be changes, of the
 * time between what the server has in memory and what it has been asked for. WATCH_DELETE says "no longer ours": the object is gone or
 * left the field selector. An object that the handler refuses is counted, reported by trouble(), and skipped.
 *
 * What goes wrong is told once by trouble() and mended here:
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
 * for: it gives the 504 of a server that is behind. What counts as heard is the head of an
 * answer, an object, a bookmark and an event of a known type, but not bytes that make none of them. So `heard` stays young
 * while all is well, however quiet the cluster: no older than the silence and the time of one answer. A connection that
 * died unnoticed is silent, too, so the stream is cancelled before, and opened anew behind the answer: meanwhile, for the
 * time of two answers, the watch is not `connected`. A stream whose head has not come is given WATCH_SILENT_US.
 *
 * But somebody in between may answer probes and keep back what streams bring. So where a probe finds another version than ours and no
 * stream has told of anything for WATCH_UNPROVEN_US, the list is taken anew, no older than what is known.
 *
 * Everything happens on the loop's thread. watch_stop() may be called in any callback, watch_start() and
 * watch_free() in none of its own.
 */
#ifndef BRIM_AGENT_KUBE_WATCH_H
#define BRIM_AGENT_KUBE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/client.h"
#include "agent/kube/decode.h"

/* The longest and the shortest silence without a probe. */
#define WATCH_SILENT_US     (60 * US_PER_S)
#define WATCH_SILENT_MIN_US (1 * US_PER_S)
/* For so long it is believed that a stream tells nothing for that nothing happens. */
#define WATCH_UNPROVEN_US (120 * US_PER_S)
/* A server with WatchList waits at most 3 s for etcd; one that pauses longer is listed in pages, which is as right. */
#define WATCH_MARK_US (10 * US_PER_S)
/* Unheard for so long, the server may be another release when it is back. */
#define WATCH_ABSENCE_US (300 * US_PER_S)

enum {
    WATCH_PAGE = 500,
    WATCH_PAGE_JSON =
        50, /* proxies that know no protobuf hold whole answers, and JSON is half as large again */
    WATCH_MAX_PAGES = 20000, /* a million objects in the small pages: several clusters */
    WATCH_MAX_VERSION = 128,
    WATCH_MAX_CONTINUE = 16 << 10,
    WATCH_TOO_LARGE_TRIES = 3
};

enum watch_change { WATCH_UPSERT, WATCH_DELETE };

struct watch_handler {
    void (*begin)(void *self);
    /* The object without envelope; valid during the call. False, with err: it is broken. */
    bool (*object)(void *self, enum watch_change change, enum decode_format format,
                   struct sv object, struct err *err);
    void (*synced)(void *self);
    void (*trouble)(void *self, const struct err *err);
    void *self;
};

struct watch_options {
    const char *path;           /* "/api/v1/pods"; borrowed, as are the next two */
    const char *list_kind;      /* what a list must call itself: "PodList" */
    const char *field_selector; /* NULL: none; not yet encoded */
    bool initial_events;        /* lists as the beginning of a stream, where the server has that */
    bool batched;               /* what it tells may come TRANSPORT_BATCH_US late */
    uint64_t seed;              /* of jitter and timeouts */
};

#define WATCH_PODS_PATH "/api/v1/pods"
#define WATCH_PODS_KIND "PodList"
/* The scheduler's own: finished pods arrive as deleted. */
#define WATCH_PODS_SELECTOR "status.phase!=Succeeded,status.phase!=Failed"
#define WATCH_NODES_PATH    "/api/v1/nodes"
#define WATCH_NODES_KIND    "NodeList"

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

struct watch_stats {
    uint64_t relists;  /* lists begun after the first */
    uint64_t errors;   /* troubles but broken objects */
    uint64_t events;   /* changes from the stream; neither bookmarks nor initial events */
    uint64_t broken;   /* objects refused */
    uint64_t refused;  /* lists that the server did not give as initial events */
    bool listing;      /* begin() was told, synced() not yet */
    bool synced;       /* a list has been complete */
    bool connected;    /* a stream is open: what happens is told as it happens */
    struct mono heard; /* when the server last said anything; 0: never */
};

struct watch;

struct watch *watch_new(struct client *client, const struct watch_options *options,
                        const struct watch_handler *handler);
void watch_free(struct watch *w);

/* After what silence a stream is probed, in force at once: WATCH_SILENT_US until told, and never above
 * that nor under WATCH_SILENT_MIN_US. It costs two requests for each such time that is silent. */
void watch_set_silence(struct watch *w, int64_t us);
int64_t watch_silence(const struct watch *w);

/* Begins with a list; does nothing if it runs. */
void watch_start(struct watch *w);
/* Ends what is under way; nothing is reported any more. */
void watch_stop(struct watch *w);

enum watch_state watch_state(const struct watch *w);
const struct watch_stats *watch_stats(const struct watch *w);

/* The version up to which all was told, also while a list is to begin without it; "" before the
 * first list. */
const char *watch_version(const struct watch *w);

#endif
