/*
 * unpack: the event journal's reading end: chunks in, events out, with shapes and nodes resolved.
 *
 * Chunks are given in order. Events before `from` build up what was there; it is told as a gap (GAP_BEGIN), nodes and found pods when
 * the first event at or after `from` comes, or by unpack_finish(). Bytes are hostile: every count is capped, every reference checked;
 * a chunk that does not hold together is ERR_STORAGE, and what follows is skipped up to the next keyframe, which is then a gap
 * (GAP_DAMAGED). Events are told in the order in which they were written; times within a segment never fall.
 */
#ifndef BRIM_STORAGE_UNPACK_H
#define BRIM_STORAGE_UNPACK_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "storage/event.h"

enum {
    UNPACK_MAX_PODS = 1 << 21, /* alive at one time */
    UNPACK_MAX_NAMES = 1 << 18,
    UNPACK_MAX_FACTS = 1 << 18,
};

/* Returns false to end. */
typedef bool unpack_each_fn(void *self, const struct event *event);

struct unpack;

/* Tells events with from <= t < until. */
struct unpack *unpack_new(int64_t from_ms, int64_t until_ms, unpack_each_fn *each, void *self);
void unpack_free(struct unpack *u);
DEFINE_FREE_PTR(struct unpack, unpack)

/* The names of the places in a shape's amounts; they may change with each segment, never the place of a name. */
const struct resource_names *unpack_names(const struct unpack *u);

/* The chunk that is given next is not the one after the last: a part is missing. */
void unpack_break(struct unpack *u);

/*
 * `number`: of the chunk in its segment; 0 begins one, with a keyframe. False with ERR_STORAGE if the chunk is damaged, or if the first of
 * all is not a segment's begin; then go on with the next.
 */
bool unpack_chunk(struct unpack *u, int64_t number, int64_t first_ms, struct sv bytes,
                  struct err *err) MUST_CHECK;

/* There is no more: tells what is there, if that was not told yet. */
void unpack_finish(struct unpack *u);

/* `each` has ended the reading. */
bool unpack_ended(const struct unpack *u);

#endif
