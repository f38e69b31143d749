/*
 * dict: byte strings that get a small rising index each; finding one again is O(1). Owns copies.
 */
#ifndef BRIM_STORAGE_DICT_H
#define BRIM_STORAGE_DICT_H

#include "base/attr.h"
#include "base/map.h"
#include "base/sv.h"

struct dict {
    struct sv *at;
    size_t len, cap;
    struct map map;
};

/* On the heap, since the map keeps its address. */
struct dict *dict_new(void);
void dict_free(struct dict *d);
DEFINE_FREE_PTR(struct dict, dict)

/* MAP_NONE if it is not there. */
uint32_t dict_find(const struct dict *d, struct sv text);
/* Finds or adds; *ret_added says which. */
uint32_t dict_add(struct dict *d, struct sv text, bool *ret_added);

#endif
