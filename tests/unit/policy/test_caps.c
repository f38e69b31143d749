#include <criterion/criterion.h>

#include "base/alloc.h"
#include "base/num.h"
#include "policy/caps.h"
#include "tests/unit/policy/random.h"

enum { NODES = 40, CASES = 20000 };

struct cluster_case {
    int64_t slots[NODES], filler[NODES];
    uint32_t order[NODES];
    int64_t cap[NODES];
    struct caps_input in;
};

/* How many of a hole's k slots are free of filler on the node. */
static int64_t free_of(const struct cluster_case *t, uint32_t node, int64_t k)
{
    return min_i64(k, max_i64(t->cap[node] - t->filler[node], 0));
}

/* Is `a` the better node for a hole of k slots, of two that both can give it? */
static bool better(const struct cluster_case *t, uint32_t a, uint32_t b, int64_t k)
{
    int64_t a_free = free_of(t, a, k), b_free = free_of(t, b, k);

    if (a_free != b_free)
        return a_free > b_free;
    return t->cap[a] > t->cap[b];
}

/* The loop as it stands in caps.h, hole by hole. */
static void walk(struct cluster_case *t)
{
    int64_t sum = 0, left;

    for (size_t i = 0; i < t->in.n; i++)
        sum += t->cap[i] = t->slots[i];
    left = min_i64(t->in.kept_slots, sum);
    while (left > 0) {
        int64_t k = min_i64(t->in.hole_slots, left);
        uint32_t best = UINT32_MAX, most = t->order[0];

        for (size_t i = 0; i < t->in.n; i++) {
            uint32_t node = t->order[i];

            if (t->cap[node] >= k && (best == UINT32_MAX || better(t, node, best, k)))
                best = node;
            if (t->cap[node] > t->cap[most])
                most = node;
        }
        if (best == UINT32_MAX)
            best = most;
        k = min_i64(k, t->cap[best]);
        t->cap[best] -= k;
        left -= k;
    }
}

static void shuffle(struct random *r, uint32_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)random_in(r, 0, (int64_t)i - 1);
        uint32_t other = order[j];

        order[j] = order[i - 1];
        order[i - 1] = other;
    }
}

static int64_t fill_in(struct random *r, struct cluster_case *t)
{
    int64_t most = random_in(r, 0, 40), sum = 0;

    t->in = (struct caps_input){.slots = t->slots,
                                .filler = t->filler,
                                .order = t->order,
                                .n = (size_t)random_in(r, 1, NODES),
                                .hole_slots = random_in(r, 1, random_percent(r, 80) ? 8 : 50)};
    for (size_t i = 0; i < t->in.n; i++) {
        t->slots[i] = random_in(r, 0, most);
        t->filler[i] = random_percent(r, 30) ? 0 : random_in(r, 0, most + 2);
        sum += t->slots[i];
    }
    t->in.kept_slots = random_in(r, 0, sum + 5);
    shuffle(r, t->order, t->in.n);
    return sum;
}

Test(caps, are_those_of_the_loop_hole_by_hole)
{
    struct random r = random_start("caps");
    CLEANUP(caps_free_ptr) struct caps *caps = caps_new();
    struct cluster_case t;

    for (int i = 0; i < CASES; i++) {
        int64_t sum = fill_in(&r, &t), kept = 0;
        const int64_t *cap = caps_compute(caps, &t.in);

        walk(&t);
        for (size_t n = 0; n < t.in.n; n++) {
            cr_assert_eq(cap[n], t.cap[n], "case %d, z %lld, h %lld: node %zu has %lld, not %lld",
                         i, (long long)t.in.hole_slots, (long long)t.in.kept_slots, n,
                         (long long)cap[n], (long long)t.cap[n]);
            cr_assert(cap[n] >= 0 && cap[n] <= t.slots[n]);
            kept += t.slots[n] - cap[n];
        }
        cr_assert_eq(kept, min_i64(t.in.kept_slots, sum));
    }
}

Test(caps, keep_holes_where_they_are_free_of_filler)
{
    static const int64_t slots[] = {10, 8, 6}, filler[] = {10, 5, 2};
    struct caps_input in = {
        .slots = slots, .filler = filler, .n = 3, .hole_slots = 4, .kept_slots = 4};
    CLEANUP(caps_free_ptr) struct caps *caps = caps_new();
    const int64_t *cap = caps_compute(caps, &in);

    cr_assert_eq(cap[0], 10);
    cr_assert_eq(cap[1], 8, "three slots are free there, a hole has four");
    cr_assert_eq(cap[2], 2);
}

Test(caps, mend_the_hole_that_was_broken_into)
{
    static const int64_t slots[] = {10, 8, 6}, filler[] = {9, 5, 4};
    struct caps_input in = {
        .slots = slots, .filler = filler, .n = 3, .hole_slots = 4, .kept_slots = 4};
    CLEANUP(caps_free_ptr) struct caps *caps = caps_new();
    const int64_t *cap = caps_compute(caps, &in);

    cr_assert_eq(cap[0], 10, "a hole there would make three leave");
    cr_assert_eq(cap[1], 4, "one must leave");
    cr_assert_eq(cap[2], 6);
}

Test(caps, of_no_nodes_and_of_impossible_amounts_are_none)
{
    static const int64_t slots[] = {-3, INT64_MAX};
    struct caps_input in = {.slots = slots, .n = 2, .hole_slots = INT64_MAX, .kept_slots = -1};
    CLEANUP(caps_free_ptr) struct caps *caps = caps_new();
    const int64_t *cap = caps_compute(caps, &in);

    cr_assert_eq(cap[0], 0);
    cr_assert_eq(cap[1], CAPS_MAX_SLOTS);
    in.kept_slots = INT64_MAX;
    cr_assert_eq(caps_compute(caps, &in)[1], 0);
    in.kept_slots = 5;
    cr_assert_eq(caps_compute(caps, &in)[1], CAPS_MAX_SLOTS - 5);
    in.n = 0;
    (void)caps_compute(caps, &in);
}

Test(caps, without_an_order_ties_go_by_index)
{
    static const int64_t slots[] = {4, 4, 4};
    struct caps_input in = {.slots = slots, .n = 3, .hole_slots = 2, .kept_slots = 4};
    CLEANUP(caps_free_ptr) struct caps *caps = caps_new();
    const int64_t *cap = caps_compute(caps, &in);

    cr_assert_eq(cap[0], 2);
    cr_assert_eq(cap[1], 2);
    cr_assert_eq(cap[2], 4);
}
