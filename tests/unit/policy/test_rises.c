#include "policy/rises.h"

#include <criterion/criterion.h>

#include "tests/unit/policy/random.h"

Test(rises, need_is_what_a_share_of_them_exceeds)
{
    static const struct {
        size_t count; /* values 1 to count */
        int32_t ppm;
        int64_t need;
    } rows[] = {
        {0, 5000, 0},        {1, 5000, 1},     {199, 5000, 199},   {200, 5000, 199},
        {399, 5000, 398},    {400, 5000, 398}, {2000, 5000, 1990}, {2000, 0, 2000},
        {2000, -1, 2000},    {10, 500000, 5},  {10, 999999, 1},    {10, 1000000, 1},
        {10, 1500000000, 1},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rises r;

        rises_init(&r, 2000);
        for (size_t v = 0; v < rows[i].count; v++)
            rises_add(&r, (int64_t)((v * 7919) % rows[i].count) + 1); /* each once, shuffled */
        cr_expect_eq(rises_need(&r, rows[i].ppm), rows[i].need, "row %zu: %lld", i,
                     (long long)rises_need(&r, rows[i].ppm));
        rises_done(&r);
    }
}

/* By counting, of the last `len` of all. */
static int64_t need_by_counting(const int64_t *values, size_t len, int32_t ppm)
{
    int64_t need = INT64_MAX;
    size_t allowed = (size_t)ppm * len / 1000000;

    for (size_t i = 0; i < len; i++) {
        size_t above = 0;

        for (size_t j = 0; j < len; j++)
            above += values[j] > values[i];
        if (above <= allowed && values[i] < need)
            need = values[i];
    }
    return len > 0 ? need : 0;
}

Test(rises, equal_counting_also_after_another_number_is_kept)
{
    enum { VALUES = 400 };
    struct random r = random_start("rises against counting");

    for (int run = 0; run < 40; run++) {
        int64_t values[VALUES];
        int32_t ppm = (int32_t)random_in(&r, 0, 300000);
        size_t max = (size_t)random_in(&r, 1, 100), kept = 0;
        struct rises rises;

        rises_init(&rises, max);
        for (size_t i = 0; i < VALUES; i++) {
            values[i] = random_percent(&r, 60) ? 0 : random_in(&r, 0, 50);
            rises_add(&rises, values[i]);
            kept = kept < max ? kept + 1 : max;
            if (random_percent(&r, 2)) {
                max = (size_t)random_in(&r, 1, 100);
                rises_set_max(&rises, max);
                kept = kept < max ? kept : max;
            }
            cr_assert_eq(rises.len, kept);

            int64_t need = need_by_counting(&values[i + 1 - kept], kept, ppm);

            cr_assert_eq(rises_need(&rises, ppm), need,
                         "seed %llu run %d value %zu: %lld, not %lld", (unsigned long long)r.seed,
                         run, i, (long long)rises_need(&rises, ppm), (long long)need);
        }
        rises_done(&rises);
    }
}
