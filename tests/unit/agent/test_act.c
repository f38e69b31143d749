#include <criterion/criterion.h>

#include "agent/act.h"

static struct mono at_ms(int64_t ms)
{
    return (struct mono){.us = ms * US_PER_MS};
}

static struct act_facts want(int64_t from, int64_t to)
{
    return (struct act_facts){
        .write = from != to, .from = from, .to = to, .coalesce_us = ACT_COALESCE_US};
}

Test(act, harvest_and_restoring_yield_wait_for_their_like)
{
    static const int64_t targets[] = {20, 5}, waits_ms[] = {1000, 100};

    for (size_t i = 0; i < 2; i++) {
        struct act a = {0};
        struct act_facts f = want(10, targets[i]);
        struct act_result r = act_step(&a, &f, at_ms(1000));

        cr_assert_eq(r.move, ACT_NOTHING);
        cr_assert(r.has_wake);
        cr_assert_eq(r.wake.us, at_ms(1000 + waits_ms[i]).us);
        f.to += i == 0 ? 1 : -1;
        cr_assert_eq(act_step(&a, &f, at_ms(1050)).wake.us, at_ms(1000 + waits_ms[i]).us,
                     "a changed figure does not put it off");
        r = act_step(&a, &f, at_ms(1000 + waits_ms[i]));
        cr_assert_eq(r.move, i == 0 ? ACT_GROW : ACT_SHRINK);
        cr_assert_eq(r.to, f.to);
    }
}

Test(act, a_wish_that_passes_starts_its_wait_anew)
{
    struct act a = {0};
    struct act_facts f = want(10, 5), none = want(10, 10);

    (void)act_step(&a, &f, at_ms(0));
    cr_assert_not(act_step(&a, &none, at_ms(50)).has_wake);
    cr_assert_eq(act_step(&a, &f, at_ms(120)).wake.us, at_ms(220).us);
}

Test(act, an_urgent_yield_that_nobody_else_helps_goes_out_in_the_same_turn)
{
    struct act a = {0};
    struct act_facts f = want(10, 6);

    f.urgent = f.helpless = true;
    f.urgent_since = at_ms(1000);
    cr_assert_eq(act_step(&a, &f, at_ms(1000)).move, ACT_SHRINK);
}

Test(act, an_urgent_yield_follows_the_victims_or_a_tenth_of_a_second)
{
    struct act a = {0}, b = {0};
    struct act_facts f = want(10, 6);

    f.urgent = true;
    f.urgent_since = at_ms(1000);
    cr_assert_eq(act_step(&a, &f, at_ms(1000)).wake.us, at_ms(1100).us);
    cr_assert_eq(act_step(&b, &f, at_ms(1100)).move, ACT_SHRINK);
    f.victims_seen = true;
    cr_assert_eq(act_step(&a, &f, at_ms(1004)).move, ACT_SHRINK);
}

Test(act, growth_waits_for_the_answer_but_a_yield_overtakes)
{
    struct act a = {0};
    struct act_facts up = want(10, 20), more = want(10, 25), down = want(10, 4);

    (void)act_step(&a, &up, at_ms(0));
    cr_assert_eq(act_step(&a, &up, at_ms(1000)).move, ACT_GROW);
    cr_assert_eq(act_step(&a, &more, at_ms(3000)).move, ACT_NOTHING);
    down.urgent = down.helpless = true;
    cr_assert_eq(act_step(&a, &down, at_ms(3001)).move, ACT_SHRINK);
    cr_assert_not(act_answered(&a, false, true, at_ms(3010)), "one is still in flight");
    cr_assert(act_answered(&a, true, true, at_ms(3011)),
              "they may have arrived in any order: read again");
    cr_assert_eq(a.in_flight, 0);
}

Test(act, yields_do_not_overtake_each_other_unless_one_hangs)
{
    struct act a = {0};
    struct act_facts down = want(100, 60), further = want(100, 40);

    down.urgent = down.helpless = further.urgent = further.helpless = true;
    cr_assert_eq(act_step(&a, &down, at_ms(0)).move, ACT_SHRINK);
    cr_assert_eq(act_step(&a, &further, at_ms(5)).wake.us, ACT_OVERTAKE_US);
    cr_assert_eq(act_step(&a, &down, at_ms(6)).move, ACT_NOTHING);
    cr_assert_eq(act_step(&a, &further, at_ms(500)).move, ACT_SHRINK);
    cr_assert_not(act_answered(&a, true, true, at_ms(501)));
    cr_assert(act_answered(&a, true, true, at_ms(502)),
              "read again: the older one may have come last");
}

Test(act, a_yield_that_hangs_goes_out_again_but_not_without_end)
{
    struct act a = {0};
    struct act_facts down = want(10, 4);

    down.urgent = down.helpless = true;
    for (int i = 0; i < ACT_SAME_YIELDS; i++) {
        cr_assert_eq(act_step(&a, &down, at_ms(500 * i)).move, ACT_SHRINK, "try %d", i);
        cr_assert_eq(act_step(&a, &down, at_ms(500 * i + 499)).move, ACT_NOTHING, "try %d", i);
    }
    cr_assert_eq(act_step(&a, &down, at_ms(60000)).move, ACT_NOTHING);
    down = want(10, 3);
    down.urgent = down.helpless = true;
    cr_assert_eq(act_step(&a, &down, at_ms(60000)).move, ACT_SHRINK, "less is another matter");
}

Test(act, a_failed_write_is_tried_again_after_a_growing_pause)
{
    struct act a = {0};
    struct act_facts down = want(10, 4);
    int64_t t = 1000, expected[] = {200, 400, 800, 1600, 3200, 6400, 10000, 10000};

    down.urgent = down.helpless = true;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        cr_assert_eq(act_step(&a, &down, at_ms(t)).move, ACT_SHRINK);
        cr_assert(act_answered(&a, true, false, at_ms(t)));
        cr_assert_eq(act_step(&a, &down, at_ms(t)).wake.us, at_ms(t + expected[i]).us);
        t += expected[i];
    }
    cr_assert_eq(act_step(&a, &down, at_ms(t)).move, ACT_SHRINK);
    cr_assert_not(act_answered(&a, true, true, at_ms(t)));
    cr_assert_eq(act_step(&a, &down, at_ms(t)).move, ACT_SHRINK, "a success forgets the pause");
}

Test(act, growth_waits_as_it_is_told_and_yields_do_not)
{
    static const struct {
        int64_t told_us, until_ms;
    } rows[] = {{30 * US_PER_S, 31000}, {50 * US_PER_MS, 1200}, {86400 * US_PER_S, 301000}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct act a = {0};
        struct act_facts up = want(4, 10), down = want(10, 4);

        (void)act_step(&a, &up, at_ms(0));
        cr_assert_eq(act_step(&a, &up, at_ms(1000)).move, ACT_GROW);
        cr_assert(act_answered(&a, false, false, at_ms(1000)));
        act_told_to_wait(&a, false, rows[i].told_us, at_ms(1000));
        (void)act_step(&a, &up, at_ms(1001));
        cr_assert_eq(act_step(&a, &up, at_ms(1100)).wake.us, at_ms(rows[i].until_ms).us, "row %zu",
                     i);
        down.urgent = down.helpless = true;
        cr_assert_eq(act_step(&a, &down, at_ms(1200)).move, ACT_SHRINK);
        cr_assert(act_answered(&a, true, false, at_ms(1200)));
        act_told_to_wait(&a, true, rows[i].told_us, at_ms(1200));
        cr_assert_eq(act_step(&a, &down, at_ms(1200)).wake.us, at_ms(1400).us, "row %zu", i);
    }
}

Test(act, a_count_that_admission_changes_is_asked_for_ever_more_seldom)
{
    struct act a = {0};
    struct act_facts down = want(150, 36);
    int64_t t = 1000, expected_s[] = {1, 2, 4, 8, 16, 32, 64, 64};

    (void)act_step(&a, &down, at_ms(t - 100));
    for (size_t i = 0; i < sizeof expected_s / sizeof *expected_s; i++) {
        cr_assert_eq(act_step(&a, &down, at_ms(t)).move, ACT_SHRINK);
        cr_assert_not(act_altered(&a, true, at_ms(t)), "the answer told the count");
        cr_assert_eq(act_step(&a, &down, at_ms(t)).wake.us, at_ms(t + expected_s[i] * 1000).us);
        t += expected_s[i] * 1000;
    }
    down.urgent = down.helpless = true;
    cr_assert_eq(act_step(&a, &down, at_ms(t - 1)).move, ACT_SHRINK, "a pod waits");
    cr_assert_not(act_answered(&a, true, true, at_ms(t)));
    cr_assert_eq(act_step(&a, &down, at_ms(t)).move, ACT_SHRINK, "one right answer ends it");
}

Test(act, no_yield_waits_for_a_growth_that_failed_nor_growth_for_a_yield)
{
    for (int down = 0; down < 2; down++) {
        struct act a = {0};
        struct act_facts failing = down ? want(10, 4) : want(10, 20);
        struct act_facts other = down ? want(10, 20) : want(10, 4);
        int64_t t = 1000;

        for (int i = 0; i < 12; i++) {
            struct act_result r = act_step(&a, &failing, at_ms(t));

            while (r.move == ACT_NOTHING) {
                t = r.wake.us / US_PER_MS;
                r = act_step(&a, &failing, at_ms(t));
            }
            cr_assert(act_answered(&a, down, false, at_ms(t)));
        }
        cr_assert_eq(act_step(&a, &failing, at_ms(t)).wake.us, at_ms(t + 10000).us);
        other.urgent = other.helpless = !down;
        other.urgent_since = at_ms(t);
        cr_assert_eq(act_step(&a, &other, at_ms(t)).move, down ? ACT_NOTHING : ACT_SHRINK);
        if (down)
            cr_assert_eq(act_step(&a, &other, at_ms(t + 1000)).move, ACT_GROW);
        cr_assert_not(act_answered(&a, !down, true, at_ms(t + 1000)));
        cr_assert_leq(act_step(&a, &failing, at_ms(t + 1000)).wake.us, at_ms(t + 2000).us,
                      "a write that went through ends the other's pause, too");
    }
}

Test(act, a_restoring_yield_waits_for_deletion_costs_but_a_second_at_most)
{
    struct act a = {0}, b = {0};
    struct act_facts f = want(10, 6);

    f.marking = true;
    f.marking_since = at_ms(1000);
    cr_assert_eq(act_step(&a, &f, at_ms(1000)).wake.us, at_ms(2000).us);
    cr_assert_eq(act_step(&a, &f, at_ms(1999)).move, ACT_NOTHING);
    cr_assert_eq(act_step(&a, &f, at_ms(2000)).move, ACT_SHRINK);
    (void)act_step(&b, &f, at_ms(1000));
    f.marking = false;
    cr_assert_eq(act_step(&b, &f, at_ms(1150)).move, ACT_SHRINK, "they are written");
}

Test(act, an_urgent_yield_waits_for_no_deletion_cost)
{
    struct act a = {0};
    struct act_facts f = want(10, 6);

    f.marking = f.urgent = f.helpless = true;
    f.marking_since = f.urgent_since = at_ms(1000);
    cr_assert_eq(act_step(&a, &f, at_ms(1000)).move, ACT_SHRINK);
}

Test(act, how_long_events_are_gathered_is_the_policy_s)
{
    struct act a = {0};
    struct act_facts f = want(10, 6);

    f.coalesce_us = 30 * US_PER_MS;
    cr_assert_eq(act_step(&a, &f, at_ms(1000)).wake.us, at_ms(1030).us);
}
