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

/* ---- writes that take their time ---- */

enum { SLOW_RUNS = 20, SLOW_RUN_S = 400 };

/* Nobody but the agent scales the filler: it takes nobody for such. Of counts that one before it asked for it cannot know. */
static void check_nobody(const struct core *c, uint64_t seed, int run, bool restarts)
{
    const struct turn_filler *tf = core_filler(c);
    bool foreign = tf != NULL && tf->decision.bound == BOUND_FOREIGN;

    if (restarts)
        foreign = foreign && tf->decision.reason == REASON_PAUSED;
    cr_assert(!foreign, "seed %llu run %d after %.1f s: %s at %lld", (unsigned long long)seed, run,
              (double)mono_since_us(c->began, c->fake.now) / 1e6, reason_name(tf->decision.reason),
              (long long)tf->input.replicas);
}

static void run_slowly(struct random *r, int run, bool restarts)
{
    struct core c;
    int64_t next_us = 0, web = 0;

    core_init(&c);
    c.random = r;
    c.slow_us = random_in(r, 500 * US_PER_MS, 30 * US_PER_S);
    while (mono_since_us(c.began, c.fake.now) < SLOW_RUN_S * US_PER_S || core_slow_count(&c) != 0) {
        int64_t us = mono_since_us(c.began, c.fake.now);

        core_step(&c);
        check_nobody(&c, r->seed, run, restarts);
        if (us < next_us || us >= SLOW_RUN_S * US_PER_S)
            continue;
        next_us = us + random_in(r, US_PER_S, 20 * US_PER_S);
        web = random_in(r, 1, 6);
        core_scale_web(&c, web);
        if (restarts && random_percent(r, 10))
            core_restart(&c);
    }
    /* A count of a process before this one is kept until the load is another one. */
    core_scale_web(&c, web == 2 ? 3 : 2);
    c.slow_us = 0;
    core_run(&c);
    core_check_end(&c);
    core_done(&c);
}

Test(core_faults, no_write_that_comes_late_is_taken_for_somebody_elses, .timeout = 300)
{
    struct random r = random_start("late writes");

    log_setup(LOG_ERROR, false);
    for (int run = 0; run < SLOW_RUNS; run += RUNS_APART)
        run_slowly(&r, run, false);
}

Test(core_faults, no_write_of_one_that_was_before_is_taken_for_a_quarrel, .timeout = 300)
{
    struct random r = random_start("late writes of one before");

    log_setup(LOG_ERROR, false);
    for (int run = 0; run < SLOW_RUNS; run += RUNS_APART)
        run_slowly(&r, run, true);
}

/* How long it takes until it says so. */
static int64_t wait_for(struct core *c, enum reason reason)
{
    struct mono began = c->fake.now;

    while (core_filler(c)->decision.reason != reason) {
        core_step(c);
        cr_assert_lt(mono_since_us(began, c->fake.now), 60 * US_PER_S, "found %s, expected %s",
                     reason_name(core_filler(c)->decision.reason), reason_name(reason));
    }
    return mono_since_us(began, c->fake.now);
}

Test(core_faults, somebody_else_is_found_with_the_next_reading_though_writes_are_late)
{
    struct random r = random_start("somebody else");
    struct core c;

    log_setup(LOG_ERROR, false);
    core_init(&c);
    core_run(&c);
    c.random = &r;
    c.slow_us = 2 * US_PER_S;
    core_scale_filler(&c, 3);
    cr_assert_leq(wait_for(&c, REASON_FOREIGN), WORKLOAD_POLL_US + US_PER_S);
    core_scale_web(&c, 3);
    (void)wait_for(&c, REASON_STEADY);
    core_scale_filler(&c, 4);
    cr_assert_leq(wait_for(&c, REASON_PAUSED), WORKLOAD_POLL_US + US_PER_S);
    cr_assert_eq(core_filler(&c)->decision.bound, BOUND_FOREIGN);
    core_done(&c);
}
