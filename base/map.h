/*
 * map: from a key to the index of an element in an array of the caller's.
 *
 * The map holds indexes only, four bytes a slot at 50 to 75 % load; keys stay in the caller's
 * array, hashes are asked for again when the table grows. Linear probing with backward-shift
 * deletion: no tombstones, so that a table that lives for years does not slow down. Find, put and
 * remove are O(1) expected.
 */
#ifndef BRIM_BASE_MAP_H
#define BRIM_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAP_NONE UINT32_MAX

struct map_ops {
    uint64_t (*hash)(const void *self, uint32_t index); /* of the element at index */
    bool (*equal)(const void *self, uint32_t index,
                  const void *key); /* has that element this key? */
};

struct map {
    const struct map_ops *ops;
    const void *self; /* the caller's array or its owner, given to ops */
    uint32_t *slots;
    size_t cap; /* a power of two, or 0 */
    size_t used;
};

void map_init(struct map *m, const struct map_ops *ops, const void *self);
void map_done(struct map *m);
void map_clear(struct map *m);

/* The index of the element with this key and hash, or MAP_NONE. */
uint32_t map_find(const struct map *m, uint64_t hash, const void *key);

/* Adds an element that is not in the map; its key must already stand in the array. */
void map_put(struct map *m, uint64_t hash, uint32_t index);

/* Removes an element that is in the map; its key must still stand in the array. */
void map_remove(struct map *m, uint64_t hash, uint32_t index);

#endif
