#include "policy/peaks.h"

#include <criterion/criterion.h>

#include "base/alloc.h"
#include "base/num.h"
#include "tests/unit/policy/random.h"

#define DAY_US (24 * 3600 * US_PER_S)

static struct mono at(int64_t us)
{
    return (struct mono){.us = us};
}

Test(peaks, count_until_all_of_their_part_has_left)
{
    struct peaks p;

    peaks_init(&p, DAY_US);
    cr_assert_eq(peaks_at(&p, at(0)).known_us, 0);
    peaks_note(&p, at(0), at(1000 * US_PER_S), 78);
    peaks_note(&p, at(1000 * US_PER_S), at(DAY_US), 18);
    cr_assert_eq(peaks_at(&p, at(DAY_US)).highest, 78);
    cr_assert_eq(peaks_at(&p, at(DAY_US)).known_us, DAY_US);
    cr_assert_eq(peaks_falls(&p, at(DAY_US), 0).us, DAY_US + 1200 * US_PER_S);
    cr_assert_eq(peaks_falls(&p, at(DAY_US), DAY_US - 1).us, DAY_US + 600 * US_PER_S,
                 "less would be known");
    peaks_note(&p, at(DAY_US), at(DAY_US + 1200 * US_PER_S), 18);
    cr_assert_eq(peaks_at(&p, at(DAY_US + 1200 * US_PER_S - 1)).highest, 78);
    cr_assert_eq(peaks_at(&p, at(DAY_US + 1200 * US_PER_S)).highest, 18);
    cr_assert_eq(peaks_at(&p, at(3 * DAY_US)).known_us, 0, "all of it was too long ago");
}

/* When the highest value falls, and not before, whatever was noted. */
Test(peaks, say_when_they_fall)
{
    struct random r = random_start("peaks say when they fall");

    for (int run = 0; run < 2000; run++) {
        int64_t now = random_in(&r, -5000, 5000), needed = random_in(&r, 0, 1500), falls;
        struct peaks p, later;

        peaks_init(&p, random_in(&r, 1, 2000));
        for (int n = (int)random_in(&r, 1, 30); n > 0; n--) {
            int64_t from = now + (random_percent(&r, 20) ? random_in(&r, 0, 500) : 0);

            now = from + random_in(&r, 0, 100);
            peaks_note(&p, at(from), at(now), random_in(&r, 0, 9));
        }

        struct peaks_sum first = peaks_at(&p, at(now));

        falls = peaks_falls(&p, at(now), needed).us;
        cr_assert_gt(falls, now);
        for (int64_t t = now; t < falls; t += 7) {
            later = p;
            struct peaks_sum sum = peaks_at(&later, at(t));

            cr_assert_eq(sum.highest, first.highest);
            cr_assert(sum.known_us >= needed || first.known_us < needed);
        }
        later = p;
        if (first.known_us != 0) {
            struct peaks_sum sum = peaks_at(&later, at(falls));

            cr_assert(sum.highest < first.highest || sum.known_us < needed);
        }
    }
}

struct span {
    int64_t from, to, value;
};

static struct peaks_sum sum_of(const struct span *spans, size_t len, int64_t from)
{
    struct peaks_sum sum = {.highest = INT64_MIN};

    for (size_t i = 0; i < len; i++) {
        if (spans[i].to <= from || spans[i].from == spans[i].to)
            continue;
        sum.highest = max_i64(sum.highest, spans[i].value);
        sum.known_us += spans[i].to - max_i64(spans[i].from, from);
    }
    return sum;
}

Test(peaks, equal_the_brute_force_from_the_oldest_part_on)
{
    struct random r = random_start("peaks against brute force");

    for (int run = 0; run < 100; run++) {
        int64_t window_us = random_in(&r, 1, 2000), now = random_in(&r, -5000, 5000);
        struct span *spans = NULL;
        size_t len = 0, cap = 0;
        struct peaks p;

        peaks_init(&p, window_us);
        for (int i = 0; i < 300; i++) {
            int64_t from = now + (random_percent(&r, 20) ? random_in(&r, 0, 500) : 0);
            int64_t next = from + random_in(&r, 0, random_percent(&r, 3) ? 3 * window_us : 30);

            VEC_PUSH(spans, len, cap, ((struct span){from, next, random_in(&r, 0, 50)}));
            peaks_note(&p, at(from), at(next), spans[len - 1].value);
            now = next;

            int64_t width = p.width_us,
                    part = now >= 0 ? now / width : -((-now + width - 1) / width);
            int64_t oldest = (part - PEAKS) * width;
            struct peaks_sum want = sum_of(spans, len, oldest), got = peaks_at(&p, at(now));

            cr_assert(oldest <= now - window_us && oldest > now - window_us - 2 * width - PEAKS);
            cr_assert(got.highest == want.highest && got.known_us == want.known_us,
                      "seed %llu run %d step %d: %lld over %lld us, not %lld over %lld",
                      (unsigned long long)r.seed, run, i, (long long)got.highest,
                      (long long)got.known_us, (long long)want.highest, (long long)want.known_us);
        }
        free(spans);
    }
}

Test(peaks, of_another_window_are_never_too_low)
{
    struct random r = random_start("peaks of another window");

    for (int run = 0; run < 300; run++) {
        int64_t window_us = random_in(&r, 1, 100000), now = random_in(&r, -5000, 5000);
        struct span spans[200];
        struct peaks p;
        size_t len = 0;

        peaks_init(&p, window_us);
        for (; len < COUNT_OF(spans) - 20; len++) {
            spans[len] = (struct span){now, now + random_in(&r, 1, 3000), random_in(&r, 0, 50)};
            peaks_note(&p, at(now), at(spans[len].to), spans[len].value);
            now = spans[len].to;
        }

        int64_t other_us = random_in(&r, 1, 100000);

        peaks_set_window(&p, other_us);
        for (; len < COUNT_OF(spans); len++) {
            int64_t both_us = min_i64(window_us, other_us);
            struct peaks_sum least = sum_of(spans, len, now - both_us), got = peaks_at(&p, at(now));

            cr_assert(got.highest >= least.highest, "seed %llu run %d: %lld below %lld",
                      (unsigned long long)r.seed, run, (long long)got.highest,
                      (long long)least.highest);
            spans[len] = (struct span){now, now + random_in(&r, 1, 3000), random_in(&r, 0, 50)};
            peaks_note(&p, at(now), at(spans[len].to), spans[len].value);
            now = spans[len].to;
        }
    }
}
