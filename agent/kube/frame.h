/*
 * frame: cuts a response body, as its bytes come in, into objects: the items of a list, or the events of a watch.
 *
 * Bytes may be given in pieces of any size, and the same bytes give the same events however they were cut. An object that
 * lies inside one piece is handed out in place; only one that straddles pieces is copied together. Nothing is held beyond
 * one object; an object above FRAME_MAX_OBJECT is ERR_LIMIT, told before anything is allocated. Four shapes: list and watch,
 * protobuf and JSON. Protobuf lists are "k8s\0" + runtime.Unknown{raw = List{1 metadata, 2 items...}}; watches are frames of
 * a 4-byte big-endian length and a WatchEvent whose object has the magic and Unknown again. A JSON list is cut at the
 * elements of "items" by a small scanner (jsonscan.h); a JSON watch is a row of objects, by habit one a line.
 *
 * What does not fit the shape is ERR_PROTOCOL. The inside of an object is not looked at.
 */
#ifndef BRIM_AGENT_KUBE_FRAME_H
#define BRIM_AGENT_KUBE_FRAME_H

#include "agent/kube/decode.h"
#include "base/err.h"
#include "base/strbuf.h"

/* etcd's limit is 1.5 MB an object, JSON may double it. */
enum { FRAME_MAX_OBJECT = 8 << 20 };

/* Longest resourceVersion, continue token or kind of a list; servers stay below 4 KiB. */
enum { FRAME_MAX_TOKEN = 64 << 10 };

enum frame_event {
    FRAME_ITEM,
    FRAME_ADDED,
    FRAME_MODIFIED,
    FRAME_DELETED,
    FRAME_BOOKMARK,
    FRAME_ERROR, /* the object is a Status */
    FRAME_OTHER, /* a type that nobody knows yet */
    FRAME_EVENT_COUNT_
};

struct frame_handler {
    /*
     * One object, without envelope, in `format`; valid during the call. False stops frame_push() with the handler's error.
     * The handler must not push into or free the frame.
     */
    bool (*object)(void *self, enum frame_event event, enum decode_format format, struct sv object,
                   struct err *err);
    void *self;
};

struct frame; /* opaque: buffer and state of the scanner */

struct frame *frame_new(bool watch, enum decode_format format, const struct frame_handler *handler);
void frame_free(struct frame *f);
DEFINE_FREE_PTR(struct frame, frame)

/* Takes bytes. After an error the frame only may be freed. */
bool frame_push(struct frame *f, struct sv bytes, struct err *err) MUST_CHECK;

/* The body has ended: ERR_PROTOCOL if that was in the middle of something. A watch may end between any two events. */
bool frame_end(struct frame *f, struct err *err) MUST_CHECK;

/*
 * Of a list, once seen (metadata comes before the items in both forms as servers write them, and may come after them;
 * complete after frame_end()): "" while unknown. Owned by the frame.
 */
struct sv frame_resource_version(const struct frame *f);
struct sv frame_continue(const struct frame *f);
/* What a list calls itself: "PodList". As the others, but in front of everything in protobuf. */
struct sv frame_kind(const struct frame *f);
/* Is it that kind of list? ERR_PROTOCOL tells which it is instead; nothing counts as another kind. */
bool frame_check_kind(const struct frame *f, const char *kind, struct err *err) MUST_CHECK;

#endif
