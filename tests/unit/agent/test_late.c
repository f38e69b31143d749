#include "agent/late.h"

#include <criterion/criterion.h>

#include "tests/unit/policy/random.h"

static struct mono at(int64_t s)
{
    return (struct mono){s * US_PER_S};
}

Test(late, an_answered_write_is_forgotten_at_once)
{
    struct late l = {0};

    late_begin(&l, 10);
    cr_assert(late_has(&l, 10), "it may be carried out before its answer comes");
    cr_assert(!late_has(&l, 11));
    late_end(&l, 10, LATE_KNOWN, at(1));
    cr_assert(!late_has(&l, 10));
    cr_assert_eq(l.n, 0);
}

Test(late, an_unanswered_write_is_kept_until_a_reading_has_told_what_became_of_it)
{
    struct late l = {0};

    late_begin(&l, 10);
    late_end(&l, 10, LATE_UNKNOWN, at(10));
    late_read(&l, at(15));
    late_read(&l, at(69));
    late_read(&l, at(71));
    cr_assert(late_has(&l, 10), "carried out at 70 s, it is told by the reading of 71 s");
    late_read(&l, at(76));
    cr_assert(!late_has(&l, 10));
}

Test(late, writes_that_crossed_are_kept_until_a_reading_has_told_which_came_last)
{
    struct late l = {0};

    late_begin(&l, 10);
    late_begin(&l, 8);
    late_end(&l, 8, LATE_KNOWN, at(1));
    late_end(&l, 10, LATE_KNOWN, at(2));
    cr_assert(late_has(&l, 10) && late_has(&l, 8));
    late_read(&l, at(3));
    cr_assert(late_has(&l, 10) && late_has(&l, 8), "this one tells");
    late_read(&l, at(8));
    cr_assert_eq(l.n, 0);
    late_begin(&l, 6);
    late_end(&l, 6, LATE_KNOWN, at(9));
    cr_assert_eq(l.n, 0, "nothing crosses any more");
}

Test(late, one_of_two_writes_of_a_count_that_is_answered_leaves_the_other)
{
    struct late l = {0};

    late_begin(&l, 10);
    late_end(&l, 10, LATE_UNKNOWN, at(10));
    late_begin(&l, 10);
    late_end(&l, 10, LATE_KNOWN, at(11));
    late_read(&l, at(60));
    late_read(&l, at(65));
    cr_assert(late_has(&l, 10));
}

Test(late, the_youngest_counts_are_kept)
{
    struct late l = {0};

    for (int i = 0; i < 3 * LATE_MAX; i++) {
        late_begin(&l, i);
        late_end(&l, i, LATE_UNKNOWN, at(i));
    }
    cr_assert_eq(l.n, LATE_MAX);
    for (int i = 0; i < 3 * LATE_MAX; i++)
        cr_assert_eq(late_has(&l, i), i >= 2 * LATE_MAX, "%d", i);
}

Test(late, more_open_writes_than_there_is_room_for_end_in_peace)
{
    struct late l = {0};

    for (int i = 0; i < 2 * LATE_MAX; i++)
        late_begin(&l, i);
    for (int i = 0; i < 2 * LATE_MAX; i++)
        late_end(&l, i, LATE_KNOWN, at(1));
    cr_assert_eq(l.open, 0);
    late_read(&l, at(2));
    late_read(&l, at(3));
    cr_assert_eq(l.n, 0);
}

/* A count that a write sets while the server may still carry it out is ours when the next reading tells of it. */
Test(late, no_count_is_forgotten_while_it_may_come)
{
    struct random r = random_start("late");

    for (int run = 0; run < 2000; run++) {
        struct late l = {0};
        struct mono now = at(1);
        int64_t sent = random_in(&r, 0, 5), carried_us, read_us = 0;
        bool told = false;

        late_begin(&l, sent);
        now = mono_plus_us(now, random_in(&r, 0, 10 * US_PER_S));
        late_end(&l, sent, LATE_UNKNOWN, now);
        carried_us = now.us + random_in(&r, 0, LATE_US);
        while (!told) {
            read_us = now.us;
            now = mono_plus_us(now, random_in(&r, 0, 30 * US_PER_S));
            late_read(&l, (struct mono){read_us});
            told = read_us >= carried_us;
            cr_assert(late_has(&l, sent), "seed %llu run %d", (unsigned long long)r.seed, run);
            now = mono_plus_us(now, 5 * US_PER_S);
        }
    }
}
