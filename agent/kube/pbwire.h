/*
 * pbwire: reads protobuf messages field by field, in place: no tree, no copy, nothing looked at twice.
 *
 * A reader walks one message. pb_next() gives a field with its tag (number and wire type together), so that a switch over
 * PB_LEN(n) and PB_VAR(n) skips by itself what is unknown and what has another wire type than expected, as proto2 asks.
 * A submessage is skipped in O(1); to go into one, open a reader on its bytes with pb_sub().
 *
 * Every length is checked against the message before it is used. At the first fault reading ends and pb_done() tells it,
 * with the field's number and its offset in the outermost message. Groups (wire types 3 and 4) are a fault: no encoder of
 * Kubernetes writes them. Readers are plain values that borrow the message.
 */
#ifndef BRIM_AGENT_KUBE_PBWIRE_H
#define BRIM_AGENT_KUBE_PBWIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/sv.h"

enum pb_wire { PB_WIRE_VARINT = 0, PB_WIRE_FIXED64 = 1, PB_WIRE_LEN = 2, PB_WIRE_FIXED32 = 5 };

/* Tags, for switches. */
#define PB_VAR(number) ((uint32_t)(number) << 3 | PB_WIRE_VARINT)
#define PB_LEN(number) ((uint32_t)(number) << 3 | PB_WIRE_LEN)

/* Longest tag and length (or number) together. */
enum { PB_MAX_HEAD = 15 };

/* A field without its bytes. */
struct pb_head {
    uint32_t tag;
    uint64_t num; /* of a varint, as it stands; of the others 0 */
    uint64_t len; /* how many bytes follow the head: of a varint 0, of fixed ones 4 and 8 */
    size_t size;  /* of the head */
};

enum pb_result { PB_OK, PB_MORE, PB_BAD };

/*
 * Reads the head at the beginning of `bytes`. PB_MORE: it is not all there yet. PB_BAD: it is none, and *ret_fault says
 * why. For streams; says nothing about whether the field's bytes are there.
 */
enum pb_result pb_read_head(struct sv bytes, struct pb_head *ret_head, const char **ret_fault);

struct pb {
    const char *at, *end;
    const char *origin; /* of the outermost message, for offsets */
    const char *fault;  /* NULL: none so far. Else at and end stand at the field's tag */
    uint32_t number;    /* of the field at fault */
};

struct pb_field {
    uint32_t tag;
    uint64_t num;    /* of a varint */
    struct sv bytes; /* of a length-delimited one, never NULL */
};

/* A reader of an outermost message. */
struct pb pb_open(struct sv message);

/* A reader of a submessage; offsets go on counting from the outermost one, where it begins. */
static inline struct pb pb_sub(const char *origin, struct sv bytes)
{
    return (struct pb){.at = bytes.at, .end = bytes.at + bytes.len, .origin = origin};
}

/* What pb_next() does where its own way is not enough: fields of any form, the end, faults. */
struct pb_step {
    struct pb r;
    struct pb_field field;
    bool found;
};
struct pb_step pb_step_any(struct pb r);

/* A field whose tag and length (or number) have one or two bytes each; false where it is another. */
__attribute__((always_inline)) static inline bool pb_next_short(struct pb *r,
                                                                struct pb_field *ret_field)
{
    const unsigned char *p = (const unsigned char *)r->at;
    const unsigned char *end = (const unsigned char *)r->end;
    uint32_t tag, num;

    if (end - p < 2)
        return false;
    tag = *p++;
    if (tag >= 0x80) {
        if (*p >= 0x80 || end - p < 2)
            return false;
        tag = (tag & 0x7f) | (uint32_t)*p++ << 7;
    }
    num = *p++;
    if (num >= 0x80) {
        if (p == end || *p >= 0x80)
            return false;
        num = (num & 0x7f) | (uint32_t)*p++ << 7;
    }
    if (tag < PB_VAR(1))
        return false;
    if ((tag & 7) == PB_WIRE_LEN && num <= end - p) {
        r->at = (const char *)p + num;
        *ret_field = (struct pb_field){.tag = tag, .bytes = {.at = (const char *)p, .len = num}};
        return true;
    }
    if ((tag & 7) == PB_WIRE_VARINT) {
        r->at = (const char *)p;
        *ret_field = (struct pb_field){.tag = tag, .num = num, .bytes = {.at = r->at}};
        return true;
    }
    return false;
}

/*
 * The next field; false at the end and at a fault. Decoding a list is for the most part this, so it is in the header, and
 * the reader never leaves it by its address: compilers then keep it in registers.
 */
__attribute__((always_inline)) static inline bool pb_next(struct pb *r, struct pb_field *ret_field)
{
    if (r->at == r->end)
        return false;
    if (pb_next_short(r, ret_field))
        return true;

    struct pb_step step = pb_step_any(*r);

    *r = step.r;
    *ret_field = step.field;
    return step.found;
}

/* After the last pb_next(): true if the message ended well, else ERR_PROTOCOL with field and offset. */
bool pb_done(const struct pb *r, struct err *err) MUST_CHECK;

/* Varints as protobuf's types: int64 and int32 are two's complement, int32 cut to its low 32 bits. */
static inline int64_t pb_i64(uint64_t num)
{
    return (int64_t)num;
}

static inline int32_t pb_i32(uint64_t num)
{
    return (int32_t)(uint32_t)num;
}

/*
 * What stands in front of every object of Kubernetes: the four bytes "k8s\0", then runtime.Unknown. Gives the object's own
 * message (field raw). ERR_PROTOCOL without the magic or without the field.
 */
#define PB_MAGIC SV("k8s\0")
enum { PB_UNKNOWN_TYPE = 1, PB_UNKNOWN_RAW = 2 };
bool pb_unwrap(struct sv body, struct sv *ret_object, struct err *err) MUST_CHECK;

#endif
