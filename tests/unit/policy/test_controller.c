#include "policy/controller.h"
#include "policy/damper.h"

#include <criterion/criterion.h>

#include "base/alloc.h"
#include "tests/unit/policy/random.h"

#define S(seconds) ((int64_t)((seconds)*1e6))

static const struct controller_config usual = {.min = 0, .max = 150, .settle.settle_us = S(90)};

/* Cores of one, holes of four, 30 cores of headroom: h is 32. */
static const struct controller_facts plain = {
    .known = true,
    .fresh = true,
    .slots = 166,
    .slot_milli = 1000,
    .hole_slots = 4,
    .headroom_milli = 30000,
};

static struct mono at(double seconds)
{
    return (struct mono){.us = S(seconds)};
}

/* What every decision keeps to, whatever the facts. */
static void check_decision(const struct decision *d, const struct controller_facts *f)
{
    cr_assert_eq(d->write, d->replicas != f->replicas);
    cr_assert_eq(d->write, d->reason == REASON_HARVEST || d->reason == REASON_YIELD);
    if (d->reason == REASON_UNKNOWN)
        return;
    cr_assert(d->damped <= d->set_point, "N is above x");
    cr_assert(d->set_point >= 0 && d->set_point <= d->slots);
    if (d->write)
        cr_assert_eq(d->replicas, d->damped);
    if (d->reason == REASON_HARVEST)
        cr_assert(d->replicas > f->replicas && f->fresh && !f->paused_up);
    if (d->reason == REASON_YIELD)
        cr_assert(d->replicas < f->replicas && !f->paused_down);
    if (d->bound == BOUND_SETTLE)
        cr_assert(d->damped < d->set_point && f->fresh);
}

static struct decision step(struct controller *c, const struct controller_facts *f, double seconds)
{
    struct decision d = controller_step(c, f, at(seconds));

    check_decision(&d, f);
    return d;
}

/* A step whose write, if there is one, goes through. */
static struct decision step_and_write(struct controller *c, struct controller_facts *f,
                                      double seconds)
{
    struct decision d = step(c, f, seconds);

    if (d.write) {
        controller_wrote(c, d.replicas, at(seconds));
        f->replicas = d.replicas;
    }
    return d;
}

/* A controller that has harvested all of x = 134 and is asked next at 100 s or later. */
static struct controller *settled(const struct controller_config *config,
                                  struct controller_facts *ret_f)
{
    struct controller *c = controller_new(config);

    *ret_f = plain;
    (void)step_and_write(c, ret_f, 0);
    (void)step_and_write(c, ret_f, 90);
    cr_assert_eq(ret_f->replicas, 134);
    return c;
}

Test(controller, follows_the_worked_example_with_fixed_headroom)
{
    static const struct {
        double t;
        int64_t slots, x, n;
        enum reason reason;
        enum bound bound;
    } rows[] = {
        {0, 166, 134, 0, REASON_HOLD, BOUND_SETTLE},
        {89, 166, 134, 0, REASON_HOLD, BOUND_SETTLE},
        {90, 166, 134, 134, REASON_HARVEST, BOUND_HEADROOM},
        {914, 166, 134, 134, REASON_STEADY, BOUND_HEADROOM},
        {915, 158, 126, 126, REASON_YIELD, BOUND_HEADROOM},
        {975, 142, 110, 110, REASON_YIELD, BOUND_HEADROOM},
        {1035, 110, 78, 78, REASON_YIELD, BOUND_HEADROOM},
        {1050, 110, 78, 78, REASON_STEADY, BOUND_HEADROOM},
        {1095, 106, 74, 74, REASON_YIELD, BOUND_HEADROOM},
        {1140, 106, 74, 74, REASON_STEADY, BOUND_HEADROOM},
        {1500, 166, 134, 74, REASON_HOLD, BOUND_SETTLE},
        {1589, 166, 134, 74, REASON_HOLD, BOUND_SETTLE},
        {1590, 166, 134, 134, REASON_HARVEST, BOUND_HEADROOM},
        {1700, 166, 134, 134, REASON_STEADY, BOUND_HEADROOM},
    };
    CLEANUP(controller_free_ptr) struct controller *c = controller_new(&usual);
    struct controller_facts f = plain;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        f.slots = rows[i].slots;

        struct decision d = step_and_write(c, &f, rows[i].t);

        cr_expect_eq(d.kept_slots, 32, "%g s", rows[i].t);
        cr_expect_eq(d.set_point, rows[i].x, "%g s: x %lld", rows[i].t, (long long)d.set_point);
        cr_expect_eq(d.damped, rows[i].n, "%g s: N %lld", rows[i].t, (long long)d.damped);
        cr_expect_eq(d.replicas, rows[i].n, "%g s", rows[i].t);
        cr_expect_eq(d.reason, rows[i].reason, "%g s: %s", rows[i].t, reason_name(d.reason));
        cr_expect_eq(d.bound, rows[i].bound, "%g s: %s", rows[i].t, bound_name(d.bound));
        cr_expect_eq(d.has_wake, d.reason == REASON_HOLD, "%g s", rows[i].t);
    }
}

Test(controller, counts_what_is_kept_in_whole_holes)
{
    static const struct {
        int64_t reserve, headroom, slot, hole, kept;
    } rows[] = {
        {0, 30000, 1000, 4, 32},
        {0, 30000, 1000, 1, 30},
        {0, 32000, 1000, 4, 32},
        {0, 32001, 1000, 4, 36},
        {2000, 30000, 1000, 4, 32},
        {2001, 30000, 1000, 4, 36},
        {0, 0, 1000, 4, 0},
        {0, 1, 1000, 4, 4},
        {0, 30000, 0, 4, 0},
        {0, 30000, -1, 4, 0},
        {0, 30000, 1000, 0, 30},
        {-5, -5, 1000, 4, 0},
        {INT64_MAX, INT64_MAX, 1, 1, INT64_MAX},
        {INT64_MAX, 1, 1, 1000, INT64_MAX},
        {5, 0, INT64_MAX, 7, 7},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t kept = kept_slots(rows[i].reserve, rows[i].headroom, rows[i].slot, rows[i].hole);

        cr_expect_eq(kept, rows[i].kept, "row %zu: %lld", i, (long long)kept);
    }
}

Test(controller, computes_the_set_point)
{
    static const struct {
        int64_t slots, kept, min, max, x;
    } rows[] = {
        {166, 32, 0, 150, 134}, {166, 0, 0, 150, 150},      {20, 32, 0, 150, 0},
        {20, 32, 5, 150, 5},    {3, 32, 5, 150, 3},         {0, 0, 5, 150, 0},
        {166, 32, 0, 0, 0},     {50, 10, 45, 150, 45},      {50, 10, 40, 150, 40},
        {50, 10, 30, 35, 35},   {50, INT64_MAX, 0, 150, 0},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t x = set_point(rows[i].slots, rows[i].kept, rows[i].min, rows[i].max);

        cr_expect_eq(x, rows[i].x, "row %zu: %lld", i, (long long)x);
    }
}

Test(controller, tells_which_limit_binds)
{
    static const struct {
        const char *name;
        int64_t slots, reserve, headroom, min, max, replicas;
        enum bound bound;
        int64_t alone; /* slots without other fillers */
    } rows[] = {
        {"the headroom", 166, 0, 30000, 0, 150, 134, BOUND_HEADROOM},
        {"the headroom on top of the reserve", 166, 8000, 30000, 0, 150, 126, BOUND_HEADROOM},
        {"the reserve", 166, 30000, 0, 0, 150, 134, BOUND_RESERVE},
        {"the reserve, headroom is in its last hole", 166, 30000, 2000, 0, 150, 134, BOUND_RESERVE},
        {"max", 200, 0, 30000, 0, 150, 150, BOUND_MAX},
        {"max of 0", 200, 0, 30000, 0, 0, 0, BOUND_MAX},
        {"the fit", 100, 0, 0, 0, 150, 100, BOUND_FIT},
        {"nothing fits", 0, 0, 30000, 5, 150, 0, BOUND_FIT},
        {"less than min fits", 4, 0, 30000, 5, 150, 4, BOUND_FIT},
        {"min", 40, 0, 30000, 20, 150, 20, BOUND_MIN},
        {"min would not be needed", 64, 0, 30000, 32, 150, 32, BOUND_HEADROOM},
        {"all is kept free", 20, 0, 30000, 0, 150, 0, BOUND_HEADROOM},
        {"those above have some", 60, 0, 30000, 0, 150, 28, BOUND_SHARE, 100},
        {"those above have all", 0, 0, 0, 0, 150, 0, BOUND_SHARE, 100},
        {"those above leave what is kept free", 32, 0, 30000, 0, 150, 0, BOUND_SHARE, 100},
        {"all would be kept free alone, too", 10, 0, 30000, 0, 150, 0, BOUND_HEADROOM, 32},
        {"all would be in the reserve alone, too", 0, 30000, 0, 0, 150, 0, BOUND_RESERVE, 32},
        {"nothing would fit alone either", 0, 0, 30000, 0, 150, 0, BOUND_FIT, 0},
        {"those above leave enough for max", 60, 0, 0, 0, 50, 50, BOUND_MAX, 100},
        {"those above leave min", 30, 0, 30000, 20, 150, 20, BOUND_MIN, 50},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct controller_config config = {
            .min = rows[i].min, .max = rows[i].max, .settle.settle_us = S(90)};
        CLEANUP(controller_free_ptr) struct controller *c = controller_new(&config);
        struct controller_facts f = plain;

        f.slots = rows[i].slots;
        f.slots_alone = rows[i].alone;
        f.reserve_milli = rows[i].reserve;
        f.headroom_milli = rows[i].headroom;
        f.replicas = rows[i].replicas;

        struct decision d = step(c, &f, 0);

        cr_expect_eq(d.reason, REASON_STEADY, "%s: %s", rows[i].name, reason_name(d.reason));
        cr_expect_eq(d.bound, rows[i].bound, "%s: %s", rows[i].name, bound_name(d.bound));
        cr_expect(!d.has_wake, "%s", rows[i].name);
    }
}

Test(controller, starts_with_the_replicas_found)
{
    CLEANUP(controller_free_ptr) struct controller *c = controller_new(&usual);
    struct controller_facts f = plain;

    f.replicas = 40;

    struct decision d = step(c, &f, 1000);

    cr_assert_eq(d.reason, REASON_HOLD);
    cr_assert_eq(d.damped, 40);
    cr_assert(d.has_wake);
    cr_assert_eq(d.wake.us, S(1090));
    cr_assert_eq(step(c, &f, 1089.9).damped, 40);
    d = step(c, &f, 1090);
    cr_assert_eq(d.reason, REASON_HARVEST);
    cr_assert_eq(d.replicas, 134);
}

Test(controller, yields_in_the_first_step)
{
    CLEANUP(controller_free_ptr) struct controller *c = controller_new(&usual);
    struct controller_facts f = plain;

    f.replicas = 150;

    struct decision d = step(c, &f, 1000);

    cr_assert_eq(d.reason, REASON_YIELD);
    cr_assert_eq(d.replicas, 134);
    cr_assert_eq(d.bound, BOUND_HEADROOM);
}

Test(controller, says_write_again_until_a_write_goes_through)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    f.slots = 110;
    for (int i = 0; i < 5; i++) {
        struct decision d = step(c, &f, 100 + i);

        cr_assert(d.write && d.replicas == 78 && d.reason == REASON_YIELD, "attempt %d", i);
    }
    controller_wrote(c, 78, at(106));
    f.replicas = 78;
    cr_assert_eq(step(c, &f, 107).reason, REASON_STEADY);
}

Test(controller, knows_its_own_write_before_its_answer_came)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    f.slots = 110;
    cr_assert(step(c, &f, 100).write);
    f.slots = 106;
    cr_assert_eq(step(c, &f, 101).replicas, 74);
    f.replicas = 78; /* the first of two writes shows */
    f.slots = 200;
    cr_assert_eq(step(c, &f, 102).reason, REASON_YIELD);
    f.replicas = 74;
    cr_assert_eq(step(c, &f, 103).reason, REASON_HOLD);
}

Test(controller, pauses_each_direction_by_itself)
{
    static const struct {
        const char *name;
        bool up, down;
        int64_t slots, replicas_after;
        enum reason reason;
        enum bound bound;
    } rows[] = {
        {"up, room grows", true, false, 174, 134, REASON_PAUSED, BOUND_PAUSED},
        {"up, room shrinks", true, false, 110, 78, REASON_YIELD, BOUND_HEADROOM},
        {"down, room grows", false, true, 174, 142, REASON_HARVEST, BOUND_HEADROOM},
        {"down, room shrinks", false, true, 110, 134, REASON_PAUSED, BOUND_PAUSED},
        {"both, room grows", true, true, 174, 134, REASON_PAUSED, BOUND_PAUSED},
        {"both, room shrinks", true, true, 110, 134, REASON_PAUSED, BOUND_PAUSED},
        {"both, nothing to do", true, true, 166, 134, REASON_STEADY, BOUND_HEADROOM},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct controller_facts f;
        CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

        f.paused_up = rows[i].up;
        f.paused_down = rows[i].down;
        f.slots = rows[i].slots;
        (void)step(c, &f, 100);

        struct decision d = step(c, &f, 200);

        cr_expect_eq(d.replicas, rows[i].replicas_after, "%s: %lld", rows[i].name,
                     (long long)d.replicas);
        cr_expect_eq(d.reason, rows[i].reason, "%s: %s", rows[i].name, reason_name(d.reason));
        cr_expect_eq(d.bound, rows[i].bound, "%s: %s", rows[i].name, bound_name(d.bound));
    }
}

Test(controller, grows_at_once_after_a_pause_that_outlasted_T)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    f.paused_up = true;
    f.slots = 174;
    (void)step(c, &f, 100);
    (void)step(c, &f, 195);
    f.paused_up = false;
    cr_assert_eq(step(c, &f, 196).replicas, 142);
}

Test(controller, grows_at_once_after_a_list_that_outlasted_T_but_yields_during_it)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    f.cut_off = true;
    f.slots = 174;
    (void)step(c, &f, 100);

    struct decision d = step_and_write(c, &f, 195);

    cr_assert_eq(d.reason, REASON_HOLD);
    cr_assert_eq(d.bound, BOUND_STALE);
    cr_assert_eq(d.replicas, 134);
    f.cut_off = false;
    cr_assert_eq(step_and_write(c, &f, 196).replicas, 142);
    f.cut_off = true;
    f.slots = 110;
    d = step_and_write(c, &f, 200);
    cr_assert_eq(d.reason, REASON_YIELD);
    cr_assert_eq(d.replicas, 78);
}

Test(controller, does_not_grow_on_stale_facts_but_yields)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    f.slots = 174;
    (void)step(c, &f, 100);
    f.fresh = false;

    struct decision d = step_and_write(c, &f, 189);

    cr_assert_eq(d.reason, REASON_STALE);
    cr_assert_eq(d.bound, BOUND_STALE);
    cr_assert(!d.has_wake, "time alone will not let it grow");
    cr_assert_eq(step_and_write(c, &f, 400).replicas, 134, "room from before the silence");
    f.slots = 110;
    d = step_and_write(c, &f, 410);
    cr_assert_eq(d.reason, REASON_YIELD);
    cr_assert_eq(d.replicas, 78);
    f.slots = 174;
    (void)step_and_write(c, &f, 500);
    f.fresh = true;
    cr_assert_eq(step_and_write(c, &f, 600).reason, REASON_HOLD);
    cr_assert_eq(step_and_write(c, &f, 689.9).replicas, 78);
    cr_assert_eq(step_and_write(c, &f, 690).replicas, 142);
}

Test(controller, forgets_what_a_failed_harvest_was_owed_when_facts_grow_stale)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    f.slots = 174;
    (void)step(c, &f, 100);
    cr_assert_eq(step(c, &f, 190).replicas, 142);
    f.fresh = false;
    (void)step(c, &f, 191);
    f.fresh = true;
    cr_assert_eq(step(c, &f, 192).reason, REASON_HOLD);
    cr_assert_eq(step(c, &f, 282).replicas, 142);
}

Test(controller, shrinks_on_stale_facts_where_the_policy_says_so)
{
    struct controller_config config = {
        .min = 7, .max = 150, .settle.settle_us = S(90), .stale_shrinks = true};
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&config, &f);

    f.fresh = false;

    struct decision d = step_and_write(c, &f, 100);

    cr_assert_eq(d.reason, REASON_YIELD);
    cr_assert_eq(d.replicas, 7);
    cr_assert_eq(d.bound, BOUND_STALE);
    f.fresh = true;
    cr_assert_eq(step_and_write(c, &f, 110).reason, REASON_HOLD);
    cr_assert_eq(step_and_write(c, &f, 200).replicas, 134);
}

Test(controller, does_nothing_while_facts_are_unknown_and_starts_anew_after)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    f.slots = 174;
    (void)step(c, &f, 100);
    f.known = false;
    f.replicas = 3;

    struct decision d = step(c, &f, 101);

    cr_assert_eq(d.reason, REASON_UNKNOWN);
    cr_assert_eq(d.bound, BOUND_NONE);
    cr_assert_eq(d.replicas, 3);
    cr_assert(!d.write && !d.has_wake);
    f.known = true;
    f.replicas = 150;
    d = step_and_write(c, &f, 500);
    cr_assert_eq(d.replicas, 134, "what was found is above what was wanted");
    cr_assert_eq(d.reason, REASON_YIELD);
    cr_assert_eq(step_and_write(c, &f, 589.9).reason, REASON_HOLD);
    cr_assert_eq(step_and_write(c, &f, 590).replicas, 142);

    f.known = false;
    (void)step(c, &f, 600);
    f.known = true;
    f.replicas = 3; /* the target was made anew, say */
    d = step_and_write(c, &f, 601);
    cr_assert_eq(d.reason, REASON_HOLD);
    cr_assert_eq(d.replicas, 3);
    cr_assert_eq(step_and_write(c, &f, 691).replicas, 142);
}

Test(controller, takes_a_clock_that_goes_back_as_standing_still)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    f.slots = 174;
    (void)step(c, &f, 1000);
    cr_assert_eq(step(c, &f, 10).replicas, 134);
    cr_assert_eq(step(c, &f, 1089).replicas, 134);
    cr_assert_eq(step(c, &f, 1090).replicas, 142);
    f.slots = 110;
    cr_assert_eq(step(c, &f, 0).replicas, 78);
    cr_assert(controller_step(c, &f, (struct mono){INT64_MIN}).replicas == 78);
    cr_assert(controller_step(c, &f, (struct mono){INT64_MAX}).replicas == 78);
}

Test(controller, takes_down_at_once_what_somebody_raised_above_N)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    f.replicas = 150;

    struct decision d = step_and_write(c, &f, 100);

    cr_assert_eq(d.reason, REASON_YIELD);
    cr_assert_eq(d.replicas, 134);
}

Test(controller, keeps_a_foreign_count_below_N_until_N_changes)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    f.replicas = 20;

    struct decision d = step_and_write(c, &f, 100);

    cr_assert_eq(d.reason, REASON_FOREIGN);
    cr_assert_eq(d.bound, BOUND_FOREIGN);
    cr_assert_eq(d.replicas, 20);
    cr_assert_eq(d.damped, 134);
    cr_assert_eq(step_and_write(c, &f, 5000).reason, REASON_FOREIGN);
    f.slots = 158;
    d = step_and_write(c, &f, 5001);
    cr_assert_eq(d.replicas, 126, "N changed, and 126 have been free for T");
    cr_assert_eq(d.reason, REASON_HARVEST);
}

Test(controller, yields_from_a_foreign_count)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    f.replicas = 20;
    (void)step_and_write(c, &f, 100);
    f.slots = 40;
    cr_assert_eq(step_and_write(c, &f, 101).replicas, 8);
}

Test(controller, stops_growing_after_two_foreign_resets)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    f.replicas = 20;
    cr_assert_eq(step_and_write(c, &f, 100).reason, REASON_FOREIGN);
    f.slots = 158;
    (void)step_and_write(c, &f, 200);
    f.replicas = 20;

    struct decision d = step_and_write(c, &f, 300);

    cr_assert_eq(d.reason, REASON_PAUSED);
    cr_assert_eq(d.bound, BOUND_FOREIGN);
    cr_assert(d.has_wake);
    cr_assert_eq(d.wake.us, S(300 + FOREIGN_WINDOW_S));
    f.slots = 150;
    cr_assert_eq(step_and_write(c, &f, 400).reason, REASON_PAUSED,
                 "N changed, but growing would be a quarrel");
    f.slots = 40;
    cr_assert_eq(step_and_write(c, &f, 500).replicas, 8, "a yield is never held back");
    f.slots = 158;
    (void)step_and_write(c, &f, 600);
    cr_assert_eq(step_and_write(c, &f, 899.9).reason, REASON_PAUSED);
    cr_assert_eq(step_and_write(c, &f, 900).replicas, 126);
}

/* Writes that nobody answered: their counts show when they are carried out. */
Test(controller, finds_nothing_foreign_in_counts_of_its_own_that_come_late)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    f.late = true;
    for (int i = 0; i < 10; i++) {
        f.replicas = 50 + i;

        struct decision d = step(c, &f, 100 + i);

        cr_assert_eq(d.reason, REASON_HARVEST, "count %d", i);
        cr_assert_eq(d.replicas, 134);
    }
    f.replicas = 150;
    cr_assert_eq(step(c, &f, 120).reason, REASON_YIELD);
    f.late = false;
    cr_assert_eq(step(c, &f, 121).reason, REASON_YIELD, "it is known by now");
    f.replicas = 20;
    cr_assert_eq(step(c, &f, 130).reason, REASON_FOREIGN, "this one is not ours");
}

Test(controller, counts_nothing_that_a_writer_before_it_may_have_asked_for_as_a_reset)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    f.inherits = true;
    for (int i = 0; i < 10; i++) {
        f.replicas = 20 + i;
        cr_assert_eq(step_and_write(c, &f, 100 + i).reason, REASON_FOREIGN,
                     "count %d: kept, and no quarrel", i);
    }
    f.inherits = false;
    f.replicas = 20;
    cr_assert_eq(step_and_write(c, &f, 120).reason, REASON_FOREIGN);
    f.replicas = 21;
    cr_assert_eq(step_and_write(c, &f, 121).reason, REASON_PAUSED);
}

Test(controller, takes_foreign_resets_far_apart_for_no_quarrel)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    for (int i = 0; i < 5; i++) {
        f.replicas = 20;
        cr_assert_eq(step_and_write(c, &f, 1000 + i * 601).reason, REASON_FOREIGN, "reset %d", i);
        f.slots -= 8;
        cr_assert_eq(step_and_write(c, &f, 1100 + i * 601).reason, REASON_HARVEST, "reset %d", i);
    }
}

Test(controller, grows_again_once_a_pause_was_taken_away)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    f.replicas = 20;
    (void)step_and_write(c, &f, 100);
    f.replicas = 21;
    cr_assert_eq(step_and_write(c, &f, 110).reason, REASON_PAUSED);
    f.paused_up = true;
    (void)step_and_write(c, &f, 120);
    f.paused_up = false;
    f.slots = 158;
    cr_assert_eq(step_and_write(c, &f, 130).replicas, 126);
}

Test(controller, finds_nothing_foreign_where_the_caller_tells_each_count)
{
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    for (int i = 0; i < 10; i++) {
        f.replicas = 50 + i;
        controller_wrote(c, f.replicas, at(100 + i));

        struct decision d = step(c, &f, 100 + i);

        cr_assert_eq(d.reason, REASON_HARVEST, "another autoscaler's step %d", i);
    }
}

Test(controller, obeys_a_new_policy_and_keeps_its_history)
{
    struct controller_config config = usual;
    struct controller_facts f;
    CLEANUP(controller_free_ptr) struct controller *c = settled(&usual, &f);

    config.max = 50;
    controller_configure(c, &config);
    cr_assert_eq(step_and_write(c, &f, 100).replicas, 50);
    config.max = 150;
    config.settle.settle_us = S(20);
    controller_configure(c, &config);
    cr_assert_eq(step_and_write(c, &f, 101).reason, REASON_HOLD);
    cr_assert_eq(step_and_write(c, &f, 121).replicas, 134);
    config = (struct controller_config){.min = -5, .max = -5, .settle.settle_us = -5};
    controller_configure(c, &config);
    cr_assert_eq(step_and_write(c, &f, 122).replicas, 0);
}

Test(controller, says_its_decision_in_words)
{
    static const struct {
        struct decision d;
        int64_t from;
        const char *text;
    } rows[] = {
        {{.replicas = 78,
          .write = true,
          .reason = REASON_YIELD,
          .bound = BOUND_HEADROOM,
          .slots = 110,
          .kept_slots = 32},
         110,
         "yield 110 -> 78: 110 fit, 32 kept free; bound by headroom"},
        {{.replicas = 46,
          .reason = REASON_HOLD,
          .bound = BOUND_SETTLE,
          .slots = 110,
          .kept_slots = 32},
         46,
         "hold 46: 110 fit, 32 kept free; bound by settle"},
        {{.replicas = 46,
          .write = true,
          .reason = REASON_YIELD,
          .bound = BOUND_HEADROOM,
          .slots = 110,
          .kept_slots = 64,
          .why = {.known = true, .headroom = HEADROOM_SURGE, .headroom_milli = 64000}},
         110,
         "yield 110 -> 46: 110 fit, 64 kept free; bound by headroom (surge, 64 cores)"},
        {{.replicas = 46,
          .reason = REASON_HOLD,
          .bound = BOUND_SETTLE,
          .slots = 110,
          .kept_slots = 32,
          .has_wake = true,
          .wake = {S(90)},
          .why = {.known = true, .at = {S(75.5)}, .settle_us = S(90)}},
         46,
         "hold 46: 110 fit, 32 kept free; bound by settle (90 s, 14.5 s to go)"},
        {{.replicas = 78,
          .reason = REASON_STEADY,
          .bound = BOUND_RESERVE,
          .slots = 110,
          .kept_slots = 32,
          .why = {.known = true,
                  .reserve_milli = 30050,
                  .capped = true,
                  .cap_milli = 0,
                  .need_milli = 38000,
                  .blocked_ppm = 5000}},
         78,
         "steady 78: 110 fit, 32 kept free; bound by reserve (30.05 cores); more than 0.5 % of the "
         "paid pods needed more than headroom.max, 0 cores: 38 would have met it"},
        {{.replicas = 5,
          .write = true,
          .reason = REASON_YIELD,
          .bound = BOUND_SHARE,
          .slots = 9,
          .kept_slots = 4,
          .why = {.known = true, .taker = "batch"}},
         8,
         "yield 8 -> 5: 9 fit, 4 kept free; bound by share (batch)"},
        {{.replicas = 3, .reason = REASON_UNKNOWN},
         3,
         "unknown 3: the target or its pods' shape is not known"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct strbuf out;

        strbuf_init(&out, 400);
        decision_text(&rows[i].d, rows[i].from, &out);
        cr_expect_str_eq(strbuf_str(&out), rows[i].text);
        strbuf_done(&out);
    }
}

/* docs/CONTROL.md 7, parts of 3 and 6. */
Test(controller, set_point_is_monotone_and_kept_room_is_whole_holes)
{
    struct random r = random_start("set point");

    for (int i = 0; i < 200000; i++) {
        int64_t slots = random_in(&r, 0, 300), min = random_in(&r, 0, 100),
                max = random_in(&r, 0, 300);
        int64_t c = random_in(&r, 1, 4000), z = random_in(&r, 1, 16);
        int64_t reserve = random_in(&r, 0, 50000), headroom = random_in(&r, 0, 50000);
        int64_t h = kept_slots(reserve, headroom, c, z);
        int64_t x = set_point(slots, h, min, max);
        unsigned long long seed = r.seed;

        cr_assert(h % z == 0, "seed %llu: h %lld is not in holes of %lld", seed, (long long)h,
                  (long long)z);
        cr_assert(h * c >= reserve + headroom && (h == 0 || (h - z) * c < reserve + headroom),
                  "seed %llu: h %lld is too much or too little", seed, (long long)h);
        cr_assert(x >= 0 && x <= slots && x <= max, "seed %llu", seed);
        cr_assert(x >= min || x == slots || x == max, "seed %llu: less than min although it fits",
                  seed);
        cr_assert(set_point(slots - random_in(&r, 0, slots), h, min, max) <= x,
                  "seed %llu: fell with S", seed);
        cr_assert(set_point(slots, kept_slots(reserve, headroom + random_in(&r, 0, 50000), c, z),
                            min, max) <= x,
                  "seed %llu: rose with H", seed);
    }
}

/* What was known when: growth to v is allowed if every entry of the window is at least v. */
struct seen {
    struct damper_entry *at;
    size_t len, cap;
};

static int64_t least_seen(const struct seen *s, struct mono now, int64_t window_us)
{
    int64_t least = INT64_MAX;

    for (size_t i = s->len; i-- > 0;) {
        least = s->at[i].value < least ? s->at[i].value : least;
        if (now.us - s->at[i].since.us >= window_us)
            break; /* what came before ended when the window began */
    }
    return least;
}

static void see(struct seen *s, struct mono now, int64_t value)
{
    VEC_PUSH(s->at, s->len, s->cap, ((struct damper_entry){now, value}));
}

struct world {
    struct random *r;
    struct controller_facts f;
    struct mono now;
    bool was_known;
    int64_t wanted; /* N of the last step with known facts */
};

static void change_world(struct world *w)
{
    struct random *r = w->r;

    w->now.us += random_percent(r, 20)  ? 0
                 : random_percent(r, 3) ? random_in(r, -S(300), S(600))
                                        : random_in(r, 0, S(6));
    if (random_percent(r, 40))
        w->f.slots = random_percent(r, 60) ? w->f.slots + random_in(r, -w->f.slots / 8, 8)
                                           : random_in(r, 0, 250);
    if (random_percent(r, 2))
        w->f.headroom_milli = random_in(r, 0, 40000);
    if (random_percent(r, 2))
        w->f.hole_slots = random_in(r, 1, 8);
    if (random_percent(r, 2))
        w->f.paused_up = random_percent(r, 30);
    if (random_percent(r, 2))
        w->f.paused_down = random_percent(r, 30);
    if (random_percent(r, 3))
        w->f.fresh = random_percent(r, 80);
    if (random_percent(r, 2))
        w->f.known = random_percent(r, 85);
    if (random_percent(r, 1))
        w->f.replicas = random_in(r, 0, 200); /* somebody else */
}

/* docs/CONTROL.md 7, items 8 and 9, with writes that fail, whatever order things come in. */
static void run_world(struct random *r, int run)
{
    struct controller_config config = {.min = random_percent(r, 50) ? 0 : random_in(r, 0, 40),
                                       .max = random_in(r, 0, 200),
                                       .settle.settle_us = random_in(r, 0, S(120))};
    CLEANUP(controller_free_ptr) struct controller *c = controller_new(&config);
    struct world w = {.r = r, .f = plain};
    struct seen seen = {0};
    struct mono latest = {.us = INT64_MIN};

    w.f.replicas = random_in(r, 0, 200);
    for (int i = 0; i < 3000; i++) {
        change_world(&w);
        if (w.now.us > latest.us)
            latest = w.now;

        struct decision d = controller_step(c, &w.f, w.now);

        check_decision(&d, &w.f);
        if (w.f.paused_up && w.f.paused_down)
            cr_assert(!d.write, "seed %llu run %d step %d: wrote while paused",
                      (unsigned long long)r->seed, run, i);
        if (w.f.known && !w.was_known) {
            int64_t start = seen.len != 0 && w.wanted < w.f.replicas ? w.wanted : w.f.replicas;

            seen.len = 0;
            see(&seen, (struct mono){.us = INT64_MIN / 4}, start);
        }
        w.was_known = w.f.known;
        if (!w.f.known)
            continue;
        see(&seen, latest, w.f.fresh || d.set_point < w.f.replicas ? d.set_point : w.f.replicas);
        w.wanted = d.damped;

        int64_t least = least_seen(&seen, latest, config.settle.settle_us);

        cr_assert(d.damped <= least,
                  "seed %llu run %d step %d: N %lld, but only %lld were free for T",
                  (unsigned long long)r->seed, run, i, (long long)d.damped, (long long)least);
        if (w.f.replicas > d.damped && !w.f.paused_down)
            cr_assert_eq(d.reason, REASON_YIELD, "seed %llu run %d step %d",
                         (unsigned long long)r->seed, run, i);
        cr_assert(d.replicas <= config.max || w.f.paused_down);
        if (d.write && random_percent(r, 80)) {
            w.f.replicas = d.replicas;
            if (random_percent(r, 80))
                controller_wrote(c, d.replicas, w.now);
        }
    }
    free(seen.at);
}

Test(controller, never_grows_without_history_and_always_yields, .timeout = 120)
{
    struct random r = random_start("controller");

    for (int run = 0; run < 100; run++)
        run_world(&r, run);
}

/* From any turmoil a calm world ends at x exactly, once T and the longest pause for resets are
 * over. */
Test(controller, settles_on_the_set_point_after_any_turmoil, .timeout = 120)
{
    struct random r = random_start("controller settles");

    for (int run = 0; run < 200; run++) {
        struct controller_config config = {.max = 200,
                                           .settle.settle_us = random_in(&r, 0, S(120))};
        CLEANUP(controller_free_ptr) struct controller *c = controller_new(&config);
        struct world w = {.r = &r, .f = plain};

        for (int i = 0; i < 300; i++) {
            change_world(&w);

            struct decision d = controller_step(c, &w.f, w.now);

            if (d.write)
                controller_wrote(c, w.f.replicas = d.replicas, w.now);
        }
        w.f.known = w.f.fresh = true;
        w.f.paused_up = w.f.paused_down = false;
        w.f.slots = 33; /* N moves, so that no foreign count is kept */
        w.now.us += S(3600);
        for (int i = 0; i < 2; i++, w.f.slots = 166) {
            for (int s = 0; s < 150; s++, w.now.us += S(5)) {
                struct decision d = controller_step(c, &w.f, w.now);

                if (d.write)
                    controller_wrote(c, w.f.replicas = d.replicas, w.now);
            }
        }

        struct decision d = controller_step(c, &w.f, w.now);

        cr_assert(d.reason == REASON_STEADY && w.f.replicas == d.set_point,
                  "seed %llu run %d: %s, %lld of %lld", (unsigned long long)r.seed, run,
                  reason_name(d.reason), (long long)w.f.replicas, (long long)d.set_point);
    }
}
