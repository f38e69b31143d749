/*
 * arena: many small things with one lifetime, freed together: one arena a decoded message, one a
 * policy file.
 *
 * Memory comes in blocks that double from 4 KiB up to 256 KiB. `max` bounds the sum of all that is
 * asked for; beyond it arena_alloc() returns NULL, which a decoder of outside bytes reports as
 * ERR_LIMIT. Memory is zeroed and aligned for any type.
 */
#ifndef BRIM_BASE_ARENA_H
#define BRIM_BASE_ARENA_H

#include <stddef.h>

#include "base/sv.h"

struct arena_block;

struct arena {
    struct arena_block *head; /* the block that is being filled */
    size_t used;              /* bytes asked for since the last clear */
    size_t max;
};

void arena_init(struct arena *a, size_t max);
void arena_done(struct arena *a);
/* Forgets everything; keeps one block for reuse. */
void arena_clear(struct arena *a);

/* NULL beyond the limit or when count * size overflows. */
void *arena_alloc(struct arena *a, size_t count, size_t size);

/* A NUL-terminated copy; .at is NULL beyond the limit. */
struct sv arena_dup(struct arena *a, struct sv text);

#endif
