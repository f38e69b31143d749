/*
 * wire: the bytes of the event journal. Whole numbers in seven-bit groups, the lowest first; signed ones in zigzag.
 *
 * A journal is cut into segments, a segment into chunks of at most a few JOURNAL_CHUNK_BYTES. A segment begins with a keyframe,
 * all that lives at that moment, and needs nothing from before it: the oldest segments can be dropped. Within a segment each
 * chunk needs those before it. A chunk comes with the time of its first record in milliseconds.
 *
 *     record   := op byte (low 4 bits enum wire_op, high 4 bits the time), [time], fields
 *     time     := 0 to 13: that many ms after the record before; 14: 14 + a number that follows
 *     DEF_NAME, DEF_FACTS, DEF_RESOURCE: length, bytes; they get the next index of their kind
 *     facts    := flags byte, priority signed, then pairs (resource's index, amount signed) to the end
 *     KEY      := why (0: goes on from the segment before, else 1 + enum gap_why), id that the next created pod will get
 *     KEY_END  := the keyframe is complete
 *     GAP      := why
 *     NODE     := name, facts               NODE_GONE := name
 *     FOUND    := id - id of the FOUND before (signed), facts, 0 or 1 + node's name, age in s * 2 + unschedulable
 *     CREATED  := facts, age in s (creationTimestamp to record)
 *     CHANGED  := pod, facts                BOUND := pod, node's name       UNSCHEDULABLE, GONE := pod
 *     pod      := last id given - its id: small for young pods
 */
#ifndef BRIM_STORAGE_WIRE_H
#define BRIM_STORAGE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "base/sv.h"

enum wire_op {
    WIRE_DEF_NAME,
    WIRE_DEF_FACTS,
    WIRE_DEF_RESOURCE,
    WIRE_KEY,
    WIRE_KEY_END,
    WIRE_GAP,
    WIRE_NODE,
    WIRE_NODE_GONE,
    WIRE_FOUND,
    WIRE_CREATED,
    WIRE_CHANGED,
    WIRE_BOUND,
    WIRE_UNSCHEDULABLE,
    WIRE_GONE,
    WIRE_OP_COUNT_,
};

/* How the high half of the op byte says the time. */
enum { WIRE_TIME_FOLLOWS = 14 };

/* Flags of facts. */
enum {
    WIRE_FILLER = 1,
    WIRE_PREEMPTS_NEVER = 2,
    WIRE_IGNORED = 4,
    WIRE_GATED = 8,
    WIRE_CORDONED = 16,
    WIRE_READY = 32,
    WIRE_TIED = 64,
};

enum {
    WIRE_MAX_NAME =
        316, /* bytes of a node's or a resource's name: 253 + '/' + 63, less is what nodes have */
    WIRE_MAX_FACTS = 1024, /* bytes of facts: 32 resources of 1 + 10 bytes and a head */
    WIRE_MAX_NUMBER = 10,  /* bytes of a number */
};

void wire_put(struct strbuf *out, uint64_t value);
void wire_put_signed(struct strbuf *out, int64_t value);
void wire_put_bytes(struct strbuf *out, struct sv bytes);

/* Take from the front of *in: false where it ends too early or a number is too long. */
bool wire_get(struct sv *in, uint64_t *ret_value) MUST_CHECK;
bool wire_get_signed(struct sv *in, int64_t *ret_value) MUST_CHECK;
bool wire_get_byte(struct sv *in, uint8_t *ret_byte) MUST_CHECK;
/* Length and bytes; at most max of them. */
bool wire_get_bytes(struct sv *in, size_t max, struct sv *ret_bytes) MUST_CHECK;

#endif
