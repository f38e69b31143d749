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
 * What goes wrong is told once by trouble() and mended: watch_step.h says how, and when a silent stream is
 * probed. What counts as heard is the head of an answer, an object, a bookmark and an event of a known type,
 * but not bytes that make none of them.
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
#include "agent/kube/watch_step.h"

/* The longest and the shortest silence without a probe. */
#define WATCH_SILENT_US     (60 * US_PER_S)
#define WATCH_SILENT_MIN_US (1 * US_PER_S)
/* A server with WatchList waits at most 3 s for etcd; one that pauses longer is listed in pages, which is as right. */
#define WATCH_MARK_US (10 * US_PER_S)
enum {
    WATCH_PAGE = 500,
    WATCH_PAGE_JSON =
        50, /* proxies that know no protobuf hold whole answers, and JSON is half as large again */
    WATCH_MAX_PAGES = 20000, /* a million objects in the small pages: several clusters */
    WATCH_MAX_VERSION = 128,
    WATCH_MAX_CONTINUE = 16 << 10
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

/* After what silence a stream is probed (one that goes on behind another sooner: WATCH_DOUBT_US), in force at once:
 * WATCH_SILENT_US until told, and never above that nor under WATCH_SILENT_MIN_US. It costs two requests for each such time that is silent. */
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
