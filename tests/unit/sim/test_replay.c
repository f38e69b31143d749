#include <stdio.h>
#include <string.h>

#include "policy/sim/replay_parts.h"
#include "tests/unit/policy/random.h"
#include "tests/unit/sim/played.h"

/* Two nodes of 8 cores, a pod of 2 all the time, three bursts of two such pods and one that stays. */
static const char *const burst_nodes = "n000,8000,16384\nn001,8000,16384\n";
static const char *const burst_pods = "0,create,p0,2000,1024,\n"
                                      "60,create,p1,2000,1024,\n60,create,p2,2000,1024,\n"
                                      "150,delete,p1,2000,1024,\n150,delete,p2,2000,1024,\n"
                                      "240,create,p3,2000,1024,\n240,create,p4,2000,1024,\n"
                                      "330,delete,p3,2000,1024,\n330,delete,p4,2000,1024,\n"
                                      "420,create,p5,2000,1024,\n420,create,p6,2000,1024,\n"
                                      "510,delete,p5,2000,1024,\n510,delete,p6,2000,1024,\n"
                                      "600,create,p7,2000,1024,\n600,create,p8,2000,1024,\n";

Test(turns, count_changes_of_direction_beyond_the_threshold)
{
    static const struct {
        int64_t threshold;
        int64_t values[8];
        int turns;
    } rows[] = {
        {0, {0, 5, 5, 3, 3, 4, 4, 4}, 2},  {0, {3, 3, 3, 3, 3, 3, 3, 3}, 0},
        {0, {1, 2, 3, 4, 5, 6, 7, 8}, 0},  {2, {0, 5, 3, 5, 3, 5, 3, 5}, 0},
        {2, {0, 5, 2, 5, 2, 5, 2, 5}, 6},  {2, {9, 8, 7, 6, 5, 4, 3, 2}, 0},
        {3, {0, 2, 4, 6, 4, 2, 0, -2}, 1}, {3, {0, 3, 0, 3, 0, -4, 0, -4}, 2},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct turns t = {.threshold = rows[i].threshold};
        int turns = 0;

        for (size_t j = 0; j < COUNT_OF(rows[i].values); j++)
            turns += turns_add(&t, rows[i].values[j]);
        cr_assert_eq(turns, rows[i].turns, "row %zu: found %d turns", i, turns);
    }
}

Test(replay, preemption_alone_blocks_every_pod_of_a_full_cluster)
{
    struct replay_setting s = played_setting();
    struct trace t;

    s.warmup_us = 30 * US_PER_S;
    played_read(&t, burst_nodes, burst_pods, 720);

    struct replay_result r = played_peer(&t, &s, PEER_PREEMPT);

    cr_assert_eq(r.paid_pods, 8, "p0 came in the warm-up");
    cr_assert_eq(r.blocked, 8);
    cr_assert_eq(r.delayed, 8);
    cr_assert_eq(r.kills, 16, "two cores for each of them");
    cr_assert_eq(r.scale_writes, 0);
    cr_assert(r.wait_p50_us >= 10 * US_PER_S && r.wait_max_us < 12 * US_PER_S);
    cr_assert_eq(r.blocked_p50_us, r.wait_p50_us);
    cr_assert_float_eq(r.wait_core_h * 3600, 8 * 2 * 10, 8);
    /* All of what paid pods leave, but for start and grace of the 12 that came back. */
    cr_assert(r.fill > 0.95 && r.fill <= 1, "found %f", r.fill);
    cr_assert_eq(r.pod_turns, 6);
    cr_assert_eq(r.paid_turns, 6);
    replay_result_done(&r);
    trace_done(&t);
}

Test(replay, pods_of_the_same_class_wait_for_room_that_nobody_makes)
{
    struct replay_setting s = played_setting();
    struct trace t;

    s.same_class = true;
    played_read(&t, "n0,4000,0\n", "50,create,a,1000,0,\n90,delete,a,1000,0,\n", 100);

    struct replay_result r = played_peer(&t, &s, PEER_PREEMPT);

    cr_assert_eq(r.blocked, 1);
    cr_assert_eq(r.kills, 0);
    cr_assert_eq(r.wait_max_us, 40 * US_PER_S, "it went at its time and never ran");
    replay_result_done(&r);
    trace_done(&t);
}

Test(replay, who_fits_nowhere_is_not_blocked_by_filler)
{
    struct replay_setting s = played_setting();
    struct trace t;

    played_read(&t, "n0,4000,0\n",
                "50,create,a,5000,0,\n60,create,b,3000,0,\n61,create,c,3000,0,\n", 100);

    struct replay_result r = played_peer(&t, &s, PEER_PREEMPT);

    cr_assert_eq(r.paid_pods, 3);
    cr_assert_eq(r.blocked, 1, "a is too large, and c's room is b's");
    cr_assert_eq(r.delayed, 1);
    replay_result_done(&r);
    trace_done(&t);
}

Test(replay, the_static_peer_leaves_the_peak_free)
{
    struct replay_setting s = played_setting();
    struct trace t;

    played_read(&t, burst_nodes, burst_pods, 720);

    struct replay_result r = played_peer(&t, &s, PEER_STATIC);

    cr_assert_eq(r.rows[r.n_rows - 1].active, 10, "16 less 6 cores");
    cr_assert_float_eq(r.useful_core_s, 10 * 715, 10 * 5.0);
    cr_assert_leq(r.kills, 4, "where room lies in pieces");
    replay_result_done(&r);
    trace_done(&t);
}

Test(replay, autoscalers_follow_the_reversed_metric)
{
    struct replay_setting s = played_setting();
    struct trace t;

    s.reserve_milli = 4000;
    played_read(&t, burst_nodes, burst_pods, 720);

    struct replay_result r = played_peer(&t, &s, PEER_HPA);
    struct replay_result tuned = played_peer(&t, &s, PEER_HPA_TUNED);

    cr_assert_eq(r.rows[5].active, 10, "at 50 s: 16 - 2 - 4, found %d", r.rows[5].active);
    cr_assert_eq(tuned.rows[5].active, 1, "growth waits for 300 s");
    cr_assert_eq(tuned.rows[71].active, 6, "16 - 6 - 4");
    cr_assert_eq(tuned.blocked, 0);
    replay_result_done(&r);
    replay_result_done(&tuned);
    trace_done(&t);
}

Test(replay, is_the_same_again)
{
    struct replay_setting s = played_setting();
    struct trace t;

    played_read(&t, burst_nodes, burst_pods, 720);
    for (enum peer peer = 0; peer < PEER_ORACLE; peer++) {
        struct replay_result a = played_peer(&t, &s, peer), b = played_peer(&t, &s, peer);

        cr_assert_eq(a.n_rows, 72);
        cr_assert_eq(a.n_rows, b.n_rows);
        cr_assert_eq(memcmp(a.rows, b.rows, a.n_rows * sizeof *a.rows), 0, "%s", peer_name(peer));
        cr_assert_eq(memcmp(&a.fill, &b.fill, sizeof a.fill), 0);
        replay_result_done(&a);
        replay_result_done(&b);
    }
    trace_done(&t);
}

Test(replay, advice_is_the_damper_over_the_set_points)
{
    struct replay_setting s = played_setting();
    struct replay_step steps[] = {{0, 10}, {100 * US_PER_S, 4}, {120 * US_PER_S, 10}};
    struct replay_result r = {.steps = steps, .n_steps = 3, .available_core_s = 1000, .hours = 0.5};
    /* 10 from 30 s, 4 from 100 s, 10 again from 150 s; 5 s of start for 16 of them. */
    struct replay_advice a = replay_advise(&r, &s, 200 * US_PER_S, 30 * US_PER_S, 20 * US_PER_S);

    cr_assert_float_eq(a.fill, (70 * 10 + 50 * 4 + 50 * 10 - 16 * 5) / 1000.0, 1e-9, "%f", a.fill);
    cr_assert_float_eq(a.kills_h, 6 / 0.5, 1e-9);
    cr_assert_float_eq(a.net, a.fill - 6 * 20 / 1000.0, 1e-9);
}

Test(peers, are_found_by_their_names)
{
    for (enum peer peer = 0; peer < PEER_COUNT_; peer++)
        cr_assert_eq(peer_find(sv_from(peer_name(peer))), peer);
    cr_assert_eq(peer_find(SV("hpa-")), PEER_COUNT_);
}

static struct replay_result played_policy(const struct trace *t, const struct replay_setting *s,
                                          const char *spec)
{
    struct policy_list policies = {0};
    struct oracle past = played_past(t, s);
    struct replay_result r;
    struct strbuf text;
    struct err err = {0};

    strbuf_init(&text, 4096);
    (void)strbuf_addf(&text,
                      "apiVersion: brim.dev/v1\nkind: FillerPolicy\nmetadata: {name: test}\n"
                      "spec:\n  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, "
                      "name: filler}\n%s%s",
                      strstr(spec, "  replicas:") == NULL ? "  replicas: {max: 16}\n" : "", spec);
    cr_assert(policy_read(SV("test"), strbuf_sv(&text), &policies, &err), "%s", err.text);
    cr_assert(replay_run(t, s, &past, policies.at[0], &r, &err), "%s", err.text);
    strbuf_done(&text);
    policy_list_done(&policies);
    oracle_done(&past);
    return r;
}

/* Many pods of a few kinds for a small cluster: nodes tie often, and where a pod goes decides who
 * waits later. */
static void crowded(struct random *r, struct trace *t)
{
    static const int64_t sizes[] = {500, 1000, 2000, 3000, 7000};

    trace_init(t);
    for (int i = 0; i < 4; i++) {
        const struct resources offer = {.at = {[RESOURCE_CPU] = 8000, [RESOURCE_PODS] = 110}};
        char name[16];

        (void)snprintf(name, sizeof name, "n%d", i);
        cr_assert(trace_put_node(t, 0, sv_from(name), &offer, false, NULL));
    }

    uint32_t pods[16];
    size_t n = 0;

    for (int64_t at_us = 0; at_us < 3600 * US_PER_S; at_us += random_in(r, 0, 20 * US_PER_S)) {
        size_t place = n < COUNT_OF(pods) ? n++ : (size_t)random_in(r, 0, COUNT_OF(pods) - 1);
        const struct trace_kind kind = {
            .request = {.at = {[RESOURCE_CPU] = sizes[random_in(r, 0, COUNT_OF(sizes) - 1)],
                               [RESOURCE_PODS] = 1}},
            .node = TRACE_ANY_NODE};

        if (t->n_pods >= COUNT_OF(pods))
            trace_end_pod(t, at_us, pods[place]);
        cr_assert(trace_add_pod(t, at_us, &kind, TRACE_ANY_NODE, &pods[place], NULL));
    }
    t->end_us = 3600 * US_PER_S;
}

Test(replay, without_filler_nobody_is_delayed)
{
    struct random random = random_start("replay without filler");
    struct replay_setting s = played_setting();
    bool waited = false;

    for (int run = 0; run < 20; run++) {
        struct trace t;

        s.seed = random_u64(&random);
        crowded(&random, &t);

        struct oracle past = played_past(&t, &s);
        struct replay_result r = played_policy(&t, &s, "  replicas: {max: 0}\n");

        for (size_t i = 0; i < t.n_pods; i++)
            waited = waited || past.wait_us[i] > US_PER_S;
        cr_assert_eq(r.delayed, 0, "seed %llu run %d: %llu pods", (unsigned long long)random.seed,
                     run, (unsigned long long)r.delayed);
        cr_assert_eq(r.kills, 0);
        oracle_done(&past);
        replay_result_done(&r);
        trace_done(&t);
    }
    cr_assert(waited, "no trace in which anybody waits");
}

Test(replay, the_live_controller_keeps_room_and_settles)
{
    struct replay_setting s = played_setting();
    struct trace t;

    played_read(&t, burst_nodes, burst_pods, 720);

    struct replay_result r =
        played_policy(&t, &s, "  headroom: {mode: fixed, max: 4}\n  settle: 90s\n");

    cr_assert_eq(r.blocked, 0, "each burst fits in the four cores that are kept");
    cr_assert_eq(r.rows[5].active, 0, "at 50 s no room has been free for 90 s");
    cr_assert_eq(r.rows[13].active, 6, "at 130 s: 16 - 6 - 4, found %d", r.rows[13].active);
    cr_assert_eq(r.rows[13].set_point, 6);
    cr_assert_eq(r.rows[23].active, 6, "bursts 90 s apart are one load");
    cr_assert_eq(r.pod_turns, 0);
    cr_assert_eq(r.kills, 0);
    replay_result_done(&r);
    trace_done(&t);
}

Test(replay, each_placement_is_played_with_and_without_a_class)
{
    static const char *const modes[] = {"gate", "affinity", "spread"};
    struct replay_setting s = played_setting();
    struct trace t;

    played_read(&t, burst_nodes, burst_pods, 720);
    for (size_t i = 0; i < 2 * COUNT_OF(modes); i++) {
        char spec[200];

        s.same_class = i >= COUNT_OF(modes);
        (void)snprintf(spec, sizeof spec,
                       "  headroom: {mode: fixed, max: 0}\n  settle: 30s\n  placement: %s\n",
                       modes[i % COUNT_OF(modes)]);

        struct replay_result r = played_policy(&t, &s, spec);

        cr_assert_gt(r.fill, 0.7, "%s: found %f", modes[i % 3], r.fill);
        cr_assert_gt(r.blocked, 0, "%s", modes[i % 3]);
        cr_assert_lt(r.wait_max_us, 30 * US_PER_S, "%s: somebody waited for %f s", modes[i % 3],
                     (double)r.wait_max_us / 1e6);
        cr_assert_eq(r.pod_writes != 0, i % 3 == 0 || s.same_class, "%s", modes[i % 3]);
        replay_result_done(&r);
    }
    trace_done(&t);
}

Test(replay, advice_for_the_policy_s_own_settle_is_what_was_played)
{
    struct replay_setting s = played_setting();
    struct trace t;

    played_read(&t, burst_nodes, burst_pods, 720);

    struct replay_result r =
        played_policy(&t, &s, "  headroom: {mode: fixed, max: 4}\n  settle: 30s\n");
    struct replay_advice a = replay_advise(&r, &s, t.end_us, 30 * US_PER_S, 0);

    cr_assert_float_eq(a.fill, r.fill, 0.02, "advised %f, played %f", a.fill, r.fill);
    cr_assert_float_eq(a.kills_h * r.hours, (double)r.kills, 1e-6, "advised %f, played %llu",
                       a.kills_h * r.hours, (unsigned long long)r.kills);
    replay_result_done(&r);
    trace_done(&t);
}

/* From 300 s to 600 s of a trace that began at 7:55 at most two, and later none is kept free. */
static const char *const scheduled =
    "  headroom: {mode: fixed, max: 4}\n  settle: 30s\n  schedule:\n"
    "    - {from: \"08:00\", to: \"08:05\", replicas: {max: 2}, placement: spread}\n"
    "    - {from: \"08:05\", to: \"09:00\", headroom: {max: 0}}\n";

Test(replay, a_dated_trace_follows_the_schedule)
{
    struct replay_setting s = played_setting();
    struct trace t;

    played_read(&t, burst_nodes, "0,create,p0,2000,1024,\n", 720);
    t.dated = true;
    cr_assert(wall_parse(SV("2026-10-01T07:55:00Z"), &t.began));

    struct replay_result r = played_policy(&t, &s, scheduled);

    cr_assert_eq(r.rows[29].active, 10, "at 290 s: 16 - 2 - 4, found %d", r.rows[29].active);
    cr_assert_eq(r.rows[31].replicas, 2, "at 310 s, found %d", r.rows[31].replicas);
    cr_assert_eq(r.rows[59].active, 2, "at 590 s, found %d", r.rows[59].active);
    cr_assert_eq(r.rows[61].set_point, 14, "at 610 s, found %lld", (long long)r.rows[61].set_point);
    cr_assert_eq(r.rows[70].active, 14, "at 700 s: 16 - 2, found %d", r.rows[70].active);
    for (size_t i = 1; i < r.n_steps; i++)
        cr_assert_eq(r.steps[i].at_us % (300 * US_PER_S), 0, "step %zu: at %lld us", i,
                     (long long)r.steps[i].at_us);
    replay_result_done(&r);
    trace_done(&t);
}

Test(replay, without_a_date_spec_holds_at_all_times)
{
    struct replay_setting s = played_setting();
    struct trace t;

    played_read(&t, burst_nodes, burst_pods, 720);

    struct replay_result a = played_policy(&t, &s, scheduled);
    struct replay_result b =
        played_policy(&t, &s, "  headroom: {mode: fixed, max: 4}\n  settle: 30s\n");

    cr_assert_eq(a.n_rows, b.n_rows);
    cr_assert_eq(memcmp(a.rows, b.rows, a.n_rows * sizeof *a.rows), 0);
    replay_result_done(&a);
    replay_result_done(&b);
    trace_done(&t);
}

Test(replay, a_tied_pod_waits_for_its_node_alone_and_bears_a_cordon)
{
    const struct resources four = {
        .at = {[RESOURCE_CPU] = 4000, [RESOURCE_MEMORY] = 1 << 30, [RESOURCE_PODS] = 10}};
    struct trace_kind kind = {.request = {.at = {[RESOURCE_CPU] = 3000, [RESOURCE_PODS] = 1}},
                              .node = TRACE_ANY_NODE};
    struct replay_setting s = played_setting();
    struct err err = {0};
    struct trace t;
    uint32_t a, b;

    trace_init(&t);
    cr_assert(trace_put_node(&t, 0, SV("n0"), &four, false, &err));
    cr_assert(trace_put_node(&t, 0, SV("n1"), &four, true, &err), "cordoned");
    cr_assert(trace_add_pod(&t, 10 * US_PER_S, &kind, TRACE_ANY_NODE, &a, &err));
    cr_assert(trace_add_pod(&t, 20 * US_PER_S, &kind, TRACE_ANY_NODE, &b, &err));
    cr_assert(trace_tie_pod(&t, a, 1, &err));
    cr_assert_eq(t.kinds[t.pods[a].kind].node, 1);
    cr_assert_eq(t.kinds[t.pods[b].kind].node, TRACE_ANY_NODE);
    t.end_us = 60 * US_PER_S;

    struct oracle past = played_past(&t, &s);

    cr_assert_lt(past.wait_us[a], US_PER_S, "the cordoned node is its own");
    cr_assert_lt(past.wait_us[b], US_PER_S, "the other node is free");
    oracle_done(&past);
    trace_done(&t);
}
