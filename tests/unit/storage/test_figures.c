#include "storage/figures.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/alloc.h"
#include "tests/unit/policy/random.h"

static struct figures of(const int64_t *values, const int64_t *ms, size_t n)
{
    struct figures_sum sum = {0};
    struct figures f;

    for (size_t i = 0; i < n; i++)
        figures_add(&sum, values[i], ms[i]);
    f = figures_end(&sum);
    figures_done(&sum);
    return f;
}

Test(figures, weighs_values_by_the_time_that_they_held)
{
    static const int64_t values[] = {10, 50, 0, 20, 1000}, ms[] = {50, 39, 0, 10, 1};
    struct figures f = of(values, ms, COUNT_OF(values));

    cr_assert_eq(f.covered_ms, 100);
    cr_assert_eq(f.min, 10);
    cr_assert_eq(f.max, 1000);
    cr_assert_eq(f.mean_milli, 1000 * (10 * 50 + 50 * 39 + 20 * 10 + 1000) / 100);
    cr_assert_eq(f.p50, 10); /* exactly half of the time */
    cr_assert_eq(f.p90, 50);
    cr_assert_eq(f.p99, 50);
}

Test(figures, of_nothing_cover_nothing)
{
    struct figures f = of(NULL, NULL, 0);

    cr_assert_eq(f.covered_ms, 0);
}

/* By counting millisecond by millisecond. */
Test(figures, are_those_of_a_plain_count)
{
    struct random r = random_start(__func__);

    for (int round = 0; round < 200; round++) {
        int64_t values[40], ms[40], plain[40 * 30];
        size_t n = 1 + (size_t)random_in(&r, 0, 39), total = 0;
        struct figures f;
        int64_t sum = 0;

        for (size_t i = 0; i < n; i++) {
            values[i] = random_in(&r, 0, 19) * 7;
            ms[i] = 1 + random_in(&r, 0, 28);
            for (int64_t k = 0; k < ms[i]; k++)
                plain[total++] = values[i];
        }
        for (size_t i = 1; i < total; i++) {
            for (size_t k = i; k > 0 && plain[k - 1] > plain[k]; k--) {
                int64_t swap = plain[k];

                plain[k] = plain[k - 1];
                plain[k - 1] = swap;
            }
        }
        for (size_t i = 0; i < total; i++)
            sum += plain[i];
        f = of(values, ms, n);
        cr_assert_eq(f.covered_ms, (int64_t)total);
        cr_assert_eq(f.min, plain[0]);
        cr_assert_eq(f.max, plain[total - 1]);
        cr_assert_eq(f.p50, plain[(total * 50 + 99) / 100 - 1]);
        cr_assert_eq(f.p90, plain[(total * 90 + 99) / 100 - 1]);
        cr_assert_eq(f.p99, plain[(total * 99 + 99) / 100 - 1]);
        cr_assert_leq(llabs(f.mean_milli * (int64_t)total - sum * 1000), (int64_t)total);
    }
}

/* Figures of parts: what is exact is exact, estimates lie between what the parts say. */
Test(figures, of_parts_keep_covered_time_extremes_and_mean)
{
    struct random r = random_start(__func__);

    for (int round = 0; round < 200; round++) {
        struct figures_sum all = {0}, joined = {0};
        size_t parts = 1 + (size_t)random_in(&r, 0, 5);
        struct figures a, b;

        for (size_t i = 0; i < parts; i++) {
            struct figures_sum part = {0};
            struct figures f;

            for (int k = 0; k < 20; k++) {
                int64_t value = random_in(&r, 0, 999), ms = 1 + random_in(&r, 0, 19);

                figures_add(&all, value, ms);
                figures_add(&part, value, ms);
            }
            f = figures_end(&part);
            figures_join(&joined, &f);
            figures_done(&part);
        }
        a = figures_end(&all);
        b = figures_end(&joined);
        cr_assert(a.covered_ms == b.covered_ms && a.min == b.min && a.max == b.max);
        cr_assert_leq(llabs(a.mean_milli - b.mean_milli), 1);
        cr_assert(b.min <= b.p50 && b.p50 <= b.p90 && b.p90 <= b.p99 && b.p99 <= b.max);
        if (parts == 1)
            cr_assert(a.p50 == b.p50 && a.p90 == b.p90 && a.p99 == b.p99);
        cr_assert_leq(llabs(a.p50 - b.p50), 400);
        figures_done(&all);
        figures_done(&joined);
    }
}

Test(figures, split_what_was_offered_into_parts_that_add_up)
{
    struct random r = random_start(__func__);

    for (int round = 0; round < 1000; round++) {
        struct sample s = {.policy = "p"};
        int64_t v[SERIES_COUNT_], sum = 0;

        for (int i = 0; i < SAMPLE_COUNT_; i++)
            s.at[i] = random_in(&r, 0, 99999) - 1000;
        series_values(&s, v);
        for (int i = SERIES_PART_PAID; i <= SERIES_PART_IDLE; i++) {
            cr_assert_geq(v[i], 0);
            sum += v[i];
        }
        cr_assert_eq(sum, v[SAMPLE_ALLOCATABLE]);
    }
}

Test(figures, series_are_found_by_their_names)
{
    enum series found;

    for (int i = 0; i < SERIES_COUNT_; i++) {
        cr_assert(series_named(sv_from(series_name((enum series)i)), &found));
        cr_assert_eq((int)found, i, "%s", series_name((enum series)i));
    }
    cr_assert_not(series_named(SV("nothing"), &found));
}
