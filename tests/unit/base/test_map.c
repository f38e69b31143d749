#include "base/map.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/alloc.h"

enum { KEYS = 3000 };

/* The array of keys; `mask` makes hashes collide at will. */
struct keys {
    uint64_t at[KEYS];
    uint64_t mask;
};

static uint64_t hash_of(const struct keys *k, uint64_t key)
{
    return (key * 0x9e3779b97f4a7c15ULL >> 20) & k->mask;
}

static uint64_t hash(const void *self, uint32_t index)
{
    const struct keys *k = self;

    return hash_of(k, k->at[index]);
}

static bool equal(const void *self, uint32_t index, const void *key)
{
    const struct keys *k = self;

    return k->at[index] == *(const uint64_t *)key;
}

static const struct map_ops ops = {hash, equal};

static uint32_t find(const struct map *m, const struct keys *k, uint64_t key)
{
    return map_find(m, hash_of(k, key), &key);
}

Test(map, finds_nothing_in_an_empty_one)
{
    static struct keys k = {.mask = UINT64_MAX};
    struct map m;

    map_init(&m, &ops, &k);
    cr_assert_eq(find(&m, &k, 5), MAP_NONE);
    map_clear(&m);
    map_done(&m);
    map_done(&m);
}

/* Every step is compared with an array of who is in. Small masks make long runs that wrap around
 * the table's end. */
Test(map, holds_what_was_put_and_not_removed)
{
    static const uint64_t masks[] = {UINT64_MAX, 0xff, 0xf, 0x1, 0, UINT64_MAX << 4};
    static struct keys k;

    for (size_t round = 0; round < COUNT_OF(masks); round++) {
        static bool in[KEYS];
        size_t count = 0, keys = masks[round] < 16 ? 200 : KEYS;
        struct map m;

        k.mask = masks[round];
        memset(in, 0, sizeof in);
        for (size_t i = 0; i < KEYS; i++)
            k.at[i] = i * 7919;
        map_init(&m, &ops, &k);
        srand(7);
        for (size_t step = 0; step < keys * 10; step++) {
            uint32_t i = (uint32_t)((size_t)rand() % keys);

            if (in[i]) {
                map_remove(&m, hash(&k, i), i);
                count--;
            } else {
                map_put(&m, hash(&k, i), i);
                count++;
            }
            in[i] = !in[i];
            cr_assert_eq(m.used, count);
            cr_assert(m.used * 4 <= m.cap * 3, "the table is too full");
            if (step % 97 != 0)
                continue;
            for (uint32_t j = 0; j < keys; j++)
                cr_assert_eq(find(&m, &k, k.at[j]), in[j] ? j : MAP_NONE,
                             "mask %llx, step %zu, key %u", (unsigned long long)masks[round], step,
                             j);
        }
        map_clear(&m);
        cr_assert_eq(find(&m, &k, k.at[0]), MAP_NONE);
        map_put(&m, hash(&k, 0), 0);
        cr_assert_eq(find(&m, &k, k.at[0]), 0);
        map_done(&m);
    }
}
