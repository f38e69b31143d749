#include <criterion/criterion.h>
#include <stdio.h>

#include "base/log.h"
#include "tests/unit/agent/core.h"

/* Whole runs of the agent's core, from the first list on, of which one thing goes wrong: all come to the same end. */

/* Of so many runs that there might be one takes place (other calls fail for each fault): sanitizers take four times as long. */
#ifdef __SANITIZE_ADDRESS__
enum { RUNS_APART = 3 };
#else
enum { RUNS_APART = 1 };
#endif

static int64_t end_without_faults(int *ret_calls)
{
    struct core c;
    int64_t replicas;

    log_setup(LOG_ERROR, false); /* each fault is told of as it should be: thousands of lines */
    core_init(&c);
    core_run(&c);
    core_check_end(&c);
    replicas = core_replicas(&c);
    *ret_calls = c.fake.started;
    core_done(&c);
    return replicas;
}

/* False: the run made fewer calls. */
static bool run_with(int failing, enum core_fault fault, int64_t expected)
{
    struct core c;
    bool failed;

    core_init(&c);
    c.failing = failing;
    c.fault = fault;
    core_run(&c);
    failed = c.failed;
    core_check_end(&c);
    cr_assert_eq(core_replicas(&c), expected, "call %d %s: %lld replicas, expected %lld", failing,
                 core_fault_name(fault), (long long)core_replicas(&c), (long long)expected);
    core_done(&c);
    return failed;
}

static void fail_each_call(enum core_fault fault)
{
    int calls;
    int64_t expected = end_without_faults(&calls);

    cr_assert_geq(expected, 12);
    cr_assert_geq(calls, 60);
    for (int n = 1 + (int)fault % RUNS_APART; run_with(n, fault, expected); n += RUNS_APART)
        ;
}

Test(core_faults, any_call_may_find_no_connection)
{
    fail_each_call(CORE_REFUSED);
}

Test(core_faults, any_call_may_be_carried_out_and_its_answer_lost)
{
    fail_each_call(CORE_LOST);
}

Test(core_faults, any_answer_may_break_off)
{
    fail_each_call(CORE_HALF);
}

Test(core_faults, any_call_may_be_carried_out_and_never_answered)
{
    fail_each_call(CORE_HANGS);
}

Test(core_faults, any_call_may_be_refused_with_500)
{
    fail_each_call(CORE_BROKEN);
}

Test(core_faults, any_call_may_be_told_to_wait)
{
    fail_each_call(CORE_THROTTLED);
}

Test(core_faults, any_call_may_be_forbidden_once)
{
    fail_each_call(CORE_FORBIDDEN);
}

Test(core_faults, any_call_may_be_told_that_history_is_gone)
{
    fail_each_call(CORE_GONE);
}

Test(core_faults, any_twenty_calls_in_a_row_may_find_no_connection)
{
    fail_each_call(CORE_OUTAGE);
}

/* The writes of a run whose wall clock steps at this moment; no step: 0. */
static void run_with_step(int64_t at_us, int64_t by_us, struct core *c)
{
    core_init(c);
    while (mono_since_us(c->began, c->fake.now) < at_us)
        core_step(c);
    c->fake.wall.us += by_us;
    core_run(c);
    core_check_end(c);
    core_done(c);
}

Test(core_faults, a_clock_that_steps_by_an_hour_changes_no_write)
{
    static const int64_t hours[] = {-3600 * US_PER_S, 3600 * US_PER_S};
    struct core plain, c;

    log_setup(LOG_ERROR, false);
    run_with_step(0, 0, &plain);
    cr_assert_geq(plain.n_writes, 4);
    for (int64_t at_us = US_PER_S; at_us < 80 * US_PER_S; at_us += 3 * RUNS_APART * US_PER_S) {
        for (size_t h = 0; h < COUNT_OF(hours); h++) {
            run_with_step(at_us, hours[h], &c);
            cr_assert_eq(c.n_writes, plain.n_writes, "a step of %lld s at %lld s: %zu writes",
                         (long long)(hours[h] / US_PER_S), (long long)(at_us / US_PER_S),
                         c.n_writes);
            for (size_t i = 0; i < c.n_writes && i < CORE_MAX_WRITES; i++)
                cr_assert(c.writes[i].to == plain.writes[i].to &&
                              c.writes[i].at_us == plain.writes[i].at_us,
                          "a step of %lld s at %lld s: write %zu to %lld after %lld us",
                          (long long)(hours[h] / US_PER_S), (long long)(at_us / US_PER_S), i,
                          (long long)c.writes[i].to, (long long)c.writes[i].at_us);
        }
    }
}
