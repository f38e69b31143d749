#include <criterion/criterion.h>

#include "agent/day.h"

#define HOUR_US (3600 * US_PER_S)
#define START   (INT64_C(497222) * HOUR_US)

static struct wall at(int64_t s)
{
    return (struct wall){.us = START + s * US_PER_S};
}

/* The shares of a day never leave what they are shares of. */
static void check(const struct day *d)
{
    struct day_sum sum = day_sum(d);

    cr_assert(sum.util_paid_milli >= 0 && sum.util_paid_milli <= sum.util_milli);
    cr_assert(sum.from.us >= d->from.us && sum.from.us <= d->at.us);
}

static void run(struct day *d, int64_t from_s, int64_t to_s, struct day_sample sample)
{
    for (int64_t s = from_s; s <= to_s; s += 10) {
        day_add(d, &sample, at(s));
        check(d);
    }
}

Test(day, knows_nothing_before_some_time_was_seen)
{
    struct day d = {0};
    const struct day_sample sample = {.known = true, .allocatable_milli = 1000};

    cr_expect(!day_sum(&d).known);
    day_add(&d, &sample, at(0));
    cr_expect(!day_sum(&d).known, "one moment has no length");
    day_add(&d, &sample, at(1));
    cr_expect(day_sum(&d).known);
}

Test(day, sums_shares_and_core_hours_over_the_hours)
{
    struct day d = {0};
    struct day_sum sum;

    run(&d, 0, 7200,
        (struct day_sample){.known = true,
                            .allocatable_milli = 100000,
                            .paid_milli = 40000,
                            .filler_milli = 50000,
                            .paid_pods_total = 7,
                            .blocked_total = 2});
    sum = day_sum(&d);
    cr_expect_eq(sum.util_milli, 900);
    cr_expect_eq(sum.util_paid_milli, 400);
    cr_expect_eq(sum.filler_core_hours_milli, 100000, "two hours of 50 cores");
    cr_expect_eq(sum.paid_pods, 7);
    cr_expect_eq(sum.blocked, 2);
    cr_expect_eq(sum.from.us, at(0).us);
}

Test(day, leaves_out_gaps_and_what_is_not_known)
{
    struct day d = {0};
    const struct day_sample full = {
        .known = true, .allocatable_milli = 10000, .filler_milli = 10000};

    run(&d, 0, 100, full);
    run(&d, 1000, 1100, full); /* nothing was heard for 15 minutes */
    run(&d, 1100, 1200, (struct day_sample){.known = false});
    cr_expect_eq(day_sum(&d).filler_core_hours_milli, 200 * 10000 / 3600);
    cr_expect_eq(day_sum(&d).util_milli, 1000);
}

Test(day, forgets_after_a_day_and_says_since_when)
{
    struct day d = {0};
    struct day_sample sample = {.known = true, .allocatable_milli = 10, .paid_pods_total = 100};

    run(&d, 0, 3600, sample);
    sample.paid_pods_total = 103;
    run(&d, 3610, 40 * 3600, sample);
    cr_expect_eq(day_sum(&d).paid_pods, 0);
    cr_expect_eq(day_sum(&d).from.us, at((40 - 24) * 3600).us);
}

Test(day, takes_clocks_and_counters_that_go_back)
{
    struct day d = {0};
    const struct day_sample later = {.known = true, .allocatable_milli = 10, .paid_pods_total = 5};
    const struct day_sample less = {.known = true, .allocatable_milli = 10, .paid_pods_total = 1};

    day_add(&d, &later, at(100));
    day_add(&d, &less, at(50));
    check(&d);
    cr_expect_eq(d.at.us, at(100).us);
    cr_expect_eq(day_sum(&d).paid_pods, 5);
}
