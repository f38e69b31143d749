/*
 * frame_parts: what the two forms of framing share. Private to frame*.c.
 */
#ifndef BRIM_AGENT_KUBE_FRAME_PARTS_H
#define BRIM_AGENT_KUBE_FRAME_PARTS_H

#include "agent/kube/frame.h"
#include "agent/kube/jsonscan.h"

struct frame_pb {
    enum {
        FRAME_PB_MAGIC,   /* list: in front of the magic */
        FRAME_PB_UNKNOWN, /* list: at a field of runtime.Unknown */
        FRAME_PB_LIST,    /* list: at a field of the list's own message */
        FRAME_PB_LENGTH,  /* watch: in front of a frame */
    } state;
    bool seen_list;
    uint64_t list_left; /* bytes of the list's message still to come */
    uint64_t skip;      /* bytes to pass over */
    size_t want; /* how many bytes the piece in the buffer has when it is whole, as far as known */
};

struct frame_json {
    enum {
        FRAME_JSON_START,      /* list: in front of the list; watch: in front of an event */
        FRAME_JSON_FIRST_KEY,  /* of the list: a key or its end */
        FRAME_JSON_KEY,        /* a key */
        FRAME_JSON_COLON,      /* behind a key */
        FRAME_JSON_VALUE,      /* behind the colon */
        FRAME_JSON_NEXT,       /* behind a value */
        FRAME_JSON_FIRST_ITEM, /* of "items": an item or the end */
        FRAME_JSON_ITEM,       /* an item */
        FRAME_JSON_NEXT_ITEM,  /* behind an item */
        FRAME_JSON_END,        /* behind the list */
    } state;
    enum {
        FRAME_JSON_NOTHING,
        FRAME_JSON_PASS,
        FRAME_JSON_TAKE
    } value; /* what is done with the value we are in */
    struct jsonscan scan;
    enum {
        FRAME_JSON_OTHER,
        FRAME_JSON_KIND,
        FRAME_JSON_METADATA,
        FRAME_JSON_ITEMS
    } member; /* the key seen last */
};

struct frame {
    bool watch;
    enum decode_format format;
    struct frame_handler handler;
    struct strbuf buf; /* the beginning of a piece that straddles pushes */
    struct strbuf version, next, kind;
    struct frame_pb pb;
    struct frame_json json;
};

bool frame_hand_out(struct frame *f, enum frame_event event, struct sv object, struct err *err);
bool frame_set_meta(struct frame *f, struct sv version, struct sv next, struct err *err);
bool frame_set_kind(struct frame *f, struct sv kind, struct err *err);
enum frame_event frame_event_of(struct sv type);

/* The buffer's text was used: empties it, and gives much memory back. */
void frame_drop_buf(struct frame *f);

bool frame_pb_push(struct frame *f, struct sv bytes, struct err *err);
bool frame_pb_end(const struct frame *f);
bool frame_json_push(struct frame *f, struct sv bytes, struct err *err);
bool frame_json_end(const struct frame *f);

#endif
