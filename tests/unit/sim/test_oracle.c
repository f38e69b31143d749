#include "tests/unit/sim/played.h"

/* One scheduling attempt: pods are bound so long after they came. */
static const double attempt_s = 0.0015;

static void near(double found, double expected, const char *what)
{
    cr_assert_float_eq(found, expected, 1e-6, "%s: found %f, expected %f", what, found, expected);
}

Test(oracle, uses_what_stays_free_less_start_and_grace)
{
    struct replay_setting s = played_setting();
    struct trace t;

    played_read(&t, "n0,4000,0\n", "40,create,a,2000,0,\n60,delete,a,2000,0,\n", 100);

    struct oracle o = played_past(&t, &s);

    near(o.allocatable_core_s, 400, "allocatable");
    near(o.available_core_s, 400 - 2 * (20 - attempt_s), "available");
    /* Two slots all the time, two until 40 s and from 60 s on; each less 5 s, and less 10 s where somebody
     * comes. */
    near(o.useful_core_s, 2 * 95 + 2 * (25 + attempt_s) + 2 * 35, "useful");
    cr_assert_eq(o.peak_milli, 2000);
    cr_assert_eq(o.empty_slots, 4);
    cr_assert_eq(o.wait_us[0], 1500);
    oracle_done(&o);
    trace_done(&t);
}

Test(oracle, leaves_out_the_warm_up_and_intervals_that_are_too_short)
{
    struct replay_setting s = played_setting();
    struct trace t;

    s.warmup_us = 50 * US_PER_S;
    played_read(&t, "n0,2000,0\n",
                "40,create,a,1000,0,\n60,delete,a,1000,0,\n74,create,b,1000,0,\n", 100);

    struct oracle o = played_past(&t, &s);

    near(o.allocatable_core_s, 100, "allocatable");
    near(o.useful_core_s, 50, "useful: one slot from 50 to 100; 14 s are too short for the other");
    oracle_done(&o);
    trace_done(&t);
}

Test(oracle, uses_no_more_than_max_replicas_at_a_time)
{
    struct replay_setting s = played_setting();
    struct trace t;

    s.max_replicas = 3;
    played_read(&t, "n0,2000,0\nn1,2000,0\n", "40,create,a,2000,0,\n60,delete,a,2000,0,\n", 100);

    struct oracle o = played_past(&t, &s);

    /* 4 slots from 5 s to 30 s and from 65 s to 100 s, 2 between; 3 are allowed. */
    near(o.useful_core_s, 3 * (25 + attempt_s) + 2 * (35 - attempt_s) + 3 * 35, "useful");
    near(o.available_core_s, 3 * (80 + attempt_s) + 2 * (20 - attempt_s), "available");
    oracle_done(&o);
    trace_done(&t);
}

Test(oracle, counts_memory_and_nodes_that_come_and_go)
{
    const struct resources offer = {
        .at = {[RESOURCE_CPU] = 4000, [RESOURCE_MEMORY] = 2, [RESOURCE_PODS] = 110}};
    struct replay_setting s = played_setting();
    struct trace t;

    s.filler.at[RESOURCE_MEMORY] = 1;
    trace_init(&t);
    cr_assert(trace_put_node(&t, 0, SV("n0"), &offer, false, NULL));
    cr_assert(trace_put_node(&t, 20 * US_PER_S, SV("n1"), &offer, false, NULL));
    trace_drop_node(&t, 60 * US_PER_S, 1);
    t.end_us = 100 * US_PER_S;

    struct oracle o = played_past(&t, &s);

    near(o.useful_core_s, 2 * 95 + 2 * 25, "useful");
    near(o.allocatable_core_s, 4 * 100 + 4 * 40, "allocatable");
    cr_assert_eq(o.empty_slots, 4);
    oracle_done(&o);
    trace_done(&t);
}

Test(oracle, knows_the_wait_of_who_never_ran)
{
    struct replay_setting s = played_setting();
    struct trace t;

    played_read(&t, "n0,2000,0\n",
                "0,create,a,2000,0,\n10,create,b,1000,0,\n30,delete,b,1000,0,\n40,create,c,1,0,\n",
                100);

    struct oracle o = played_past(&t, &s);

    cr_assert_eq(o.wait_us[1], 20 * US_PER_S);
    cr_assert_eq(o.wait_us[2], 60 * US_PER_S);
    oracle_done(&o);
    trace_done(&t);
}
