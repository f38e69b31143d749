#include "policy/hole.h"

#include <criterion/criterion.h>

#include "base/alloc.h"
#include "tests/unit/policy/random.h"

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* sorted holds what ring holds, in order. */
static void check_invariants(const struct hole *h)
{
    int64_t copy[HOLE_SIZES];

    cr_assert(h->len <= HOLE_SIZES && h->next < HOLE_SIZES);
    memcpy(copy, h->ring, h->len * sizeof copy[0]);
    qsort(copy, h->len, sizeof copy[0], compare);
    cr_assert(memcmp(copy, h->sorted, h->len * sizeof copy[0]) == 0);
}

static int64_t usual_slots(const struct hole *h, int64_t slot_milli)
{
    return hole_slots(h, slot_milli, INT64_MAX, HOLE_SIZES, HOLE_PERCENTILE);
}

Test(hole, is_one_slot_while_nothing_is_known)
{
    struct hole h = {0};

    cr_assert_eq(usual_slots(&h, 1000), 1);
    hole_add(&h, 4000);
    cr_assert_eq(usual_slots(&h, 1000), 4);
    cr_assert_eq(usual_slots(&h, 0), 1);
    cr_assert_eq(usual_slots(&h, -5), 1);
}

Test(hole, rounds_up_to_whole_slots)
{
    static const struct {
        int64_t cpu, slot, z;
    } rows[] = {
        {0, 1000, 1},    {1, 1000, 1},  {1000, 1000, 1},           {1001, 1000, 2}, {4000, 1000, 4},
        {4000, 3000, 2}, {-7, 1000, 1}, {INT64_MAX, 1, INT64_MAX}, {500, 2000, 1},  {4000, 1500, 3},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct hole h = {0};

        hole_add(&h, rows[i].cpu);
        cr_expect_eq(usual_slots(&h, rows[i].slot), rows[i].z, "%lld in %lld",
                     (long long)rows[i].cpu, (long long)rows[i].slot);
    }
}

Test(hole, goes_by_the_95th_percentile)
{
    struct hole h = {0};

    for (int i = 0; i < 19; i++)
        hole_add(&h, 1000);
    hole_add(&h, 8000);
    cr_assert_eq(usual_slots(&h, 1000), 1, "one in twenty is beyond 95 %%");
    hole_add(&h, 8000);
    cr_assert_eq(usual_slots(&h, 1000), 8, "two of 21 are not");
    check_invariants(&h);
}

Test(hole, forgets_all_but_the_last_400)
{
    struct hole h = {0};

    for (int i = 0; i < 1000; i++)
        hole_add(&h, 8000);
    for (int i = 0; i < HOLE_SIZES - 21; i++)
        hole_add(&h, 1000);
    cr_assert_eq(usual_slots(&h, 1000), 8);
    hole_add(&h, 1000);
    cr_assert_eq(usual_slots(&h, 1000), 1, "20 of 400 are left");
    cr_assert_eq(hole_slots(&h, 1000, INT64_MAX, HOLE_SIZES, 96), 8, "the 384th of 400");
    hole_add(&h, 3000);
    cr_assert_eq(hole_slots(&h, 1000, INT64_MAX, 20, 95), 1);
    cr_assert_eq(hole_slots(&h, 1000, INT64_MAX, 20, 100), 3);
    cr_assert_eq(hole_slots(&h, 1000, INT64_MAX, 1, 1), 3, "the newest alone");
    check_invariants(&h);
}

Test(hole, what_no_node_can_hold_counts_not)
{
    struct hole h = {0};

    hole_add(&h, INT64_MAX);
    cr_assert_eq(hole_slots(&h, 1000, 32000, HOLE_SIZES, 95), 1, "it is the only one");
    for (int i = 0; i < 10; i++)
        hole_add(&h, 4000);
    hole_add(&h, 32000);
    hole_add(&h, 32001);
    cr_assert_eq(hole_slots(&h, 1000, 32000, HOLE_SIZES, 95), 32, "what just fits counts");
    cr_assert_eq(hole_slots(&h, 1000, 31999, HOLE_SIZES, 95), 4);
    cr_assert_eq(hole_slots(&h, 1000, 32000, 1, 95), 1, "the newest alone, and it is too large");
    cr_assert_eq(hole_slots(&h, 1000, 32001, HOLE_SIZES, 95), 33, "once such a node is there");
}

Test(hole, equals_sorting_the_last_400)
{
    struct random r = random_start("hole");
    static int64_t all[5000];
    struct hole h = {0};

    for (size_t n = 1; n <= COUNT_OF(all); n++) {
        int64_t last[HOLE_SIZES], slot = random_in(&r, 1, 4000);
        size_t len = n < HOLE_SIZES ? n : HOLE_SIZES, exceed = 0;

        all[n - 1] = random_percent(&r, 90) ? random_in(&r, 0, 20) * 250 : random_in(&r, 0, 64000);
        hole_add(&h, all[n - 1]);
        check_invariants(&h);
        memcpy(last, &all[n - len], len * sizeof last[0]);
        qsort(last, len, sizeof last[0], compare);

        int64_t z = usual_slots(&h, slot), least = 0;

        /* The least of them that at most 5 % exceed. */
        for (size_t i = len; i-- > 0 && exceed * 20 <= len; exceed++)
            least = last[i];
        cr_assert(z >= 1 && z * slot >= least && (z == 1 || (z - 1) * slot < least),
                  "seed %llu after %zu: z %lld of %lld for %lld", (unsigned long long)r.seed, n,
                  (long long)z, (long long)slot, (long long)least);
    }
}
