#include "base/map.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

enum { FIRST_CAP = 16 };

void map_init(struct map *m, const struct map_ops *ops, const void *self)
{
    *m = (struct map){.ops = ops, .self = self};
}

void map_done(struct map *m)
{
    free(m->slots);
    m->slots = NULL;
    m->cap = m->used = 0;
}

void map_clear(struct map *m)
{
    if (m->cap != 0)
        memset(m->slots, 0xff, m->cap * sizeof *m->slots);
    m->used = 0;
}

uint32_t map_find(const struct map *m, uint64_t hash, const void *key)
{
    if (m->cap == 0)
        return MAP_NONE;
    for (size_t i = hash & (m->cap - 1); m->slots[i] != MAP_NONE; i = (i + 1) & (m->cap - 1)) {
        if (m->ops->equal(m->self, m->slots[i], key))
            return m->slots[i];
    }
    return MAP_NONE;
}

static void insert(struct map *m, uint64_t hash, uint32_t index)
{
    size_t i = hash & (m->cap - 1);

    while (m->slots[i] != MAP_NONE)
        i = (i + 1) & (m->cap - 1);
    m->slots[i] = index;
}

static void grow(struct map *m)
{
    uint32_t *old = m->slots;
    size_t old_cap = m->cap;

    m->cap = old_cap != 0 ? old_cap * 2 : FIRST_CAP;
    m->slots = xmalloc(m->cap * sizeof *m->slots);
    memset(m->slots, 0xff, m->cap * sizeof *m->slots);
    for (size_t i = 0; i < old_cap; i++) {
        if (old[i] != MAP_NONE)
            insert(m, m->ops->hash(m->self, old[i]), old[i]);
    }
    free(old);
}

void map_put(struct map *m, uint64_t hash, uint32_t index)
{
    assert(index != MAP_NONE);
    if ((m->used + 1) * 4 > m->cap * 3)
        grow(m);
    insert(m, hash, index);
    m->used++;
}

void map_remove(struct map *m, uint64_t hash, uint32_t index)
{
    size_t mask = m->cap - 1;
    size_t hole = hash & mask;

    while (m->slots[hole] != index) {
        assert(m->slots[hole] != MAP_NONE);
        hole = (hole + 1) & mask;
    }
    /* Shift back whatever probed past the hole, so that no search ends too early. */
    for (size_t i = (hole + 1) & mask; m->slots[i] != MAP_NONE; i = (i + 1) & mask) {
        size_t home = m->ops->hash(m->self, m->slots[i]) & mask;

        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = MAP_NONE;
    m->used--;
}
