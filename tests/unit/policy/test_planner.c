#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "policy/planner.h"
#include "tests/unit/policy/random.h"

enum { MAX_NODES = 8, MAX_PODS = 64, GRACE_S = 10 };

#define POLICY_MAX(name, max)                                                                      \
    "apiVersion: brim.dev/v1\nkind: FillerPolicy\nmetadata: {name: " name "}\nspec:\n"             \
    "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: " name "}\n"       \
    "  replicas: {max: " max "}\n"
#define POLICY(name) POLICY_MAX(name, "1000")

/* A planner with its policies, and the time. */
struct world {
    struct policy_list policies;
    struct planner *planner;
    struct planner_input input[PLANNER_MAX_FILLERS];
    struct planner_plan plans[PLANNER_MAX_FILLERS];
    struct mono now;
};

static void world_init(struct world *w, const char *policies)
{
    struct err err = {0};

    *w = (struct world){.planner = planner_new()};
    cr_assert(policy_read(SV("p.yaml"), sv_from(policies), &w->policies, &err), "%s", err.text);
    for (size_t i = 0; i < w->policies.len; i++) {
        cr_assert_eq(planner_add(w->planner, w->policies.at[i]), (int)i);
        w->input[i] = (struct planner_input){.known = true, .fresh = true, .carries_out = true};
    }
}

static void world_done(struct world *w)
{
    planner_free(w->planner);
    policy_list_done(&w->policies);
}

static void set_shape(struct world *w, int filler, int64_t cpu_milli)
{
    static const struct pod_rules any = {0};
    struct planner_shape shape = {
        .rules = &any,
        .claims = {.priority = -100, .own_class = true, .grace_us = GRACE_S * US_PER_S}};

    shape.request.at[RESOURCE_CPU] = cpu_milli;
    planner_set_shape(w->planner, filler, &shape);
}

static void put_node(struct world *w, int number, int64_t cpu_milli)
{
    char name[32];
    struct node_record node = {.ready = true};

    (void)snprintf(name, sizeof name, "n%d", number);
    node.name = sv_from(name);
    node.allocatable.at[RESOURCE_CPU] = cpu_milli;
    node.allocatable.at[RESOURCE_PODS] = 1000;
    planner_put_node(w->planner, &node);
}

/* A pod by its number; `node` below 0: it waits. */
static struct pod_change put_pod(struct world *w, int number, int filler, int64_t cpu_milli,
                                 int node)
{
    char name[32];
    struct pod_record pod = {.uid = {1, (uint64_t)number + 1}, .phase = PHASE_PENDING};

    (void)snprintf(name, sizeof name, "n%d", node);
    pod.node = node >= 0 ? sv_from(name) : (struct sv){0};
    pod.request.at[RESOURCE_CPU] = cpu_milli;
    pod.request.at[RESOURCE_PODS] = 1;
    pod.priority = filler == CLUSTER_PAID ? 0 : -100;
    pod.created.us = number;
    return planner_put_pod(w->planner, &pod, filler, false, w->now);
}

static void drop_pod(struct world *w, int number)
{
    (void)planner_drop_pod(w->planner, (struct uid){1, (uint64_t)number + 1}, w->now);
}

/* A step whose decisions are carried out. */
static struct planner_result step(struct world *w)
{
    struct planner_result r = planner_step(w->planner, w->input, w->plans, w->now);

    for (int i = 0; i < planner_limit(w->planner); i++) {
        if (!w->plans[i].decision.write)
            continue;
        w->input[i].replicas = w->plans[i].decision.replicas;
        planner_wrote(w->planner, i, w->input[i].replicas, w->now);
    }
    return r;
}

static void wait(struct world *w, double seconds)
{
    w->now = mono_plus_us(w->now, (int64_t)(seconds * 1e6));
}

Test(planner, learns_what_pods_that_arrive_need_and_not_what_was_there_before)
{
    struct world w;

    world_init(&w, POLICY("a") "  headroom: {max: 100}\n");
    put_node(&w, 0, 64000);
    set_shape(&w, 0, 1000);
    for (int i = 0; i < 30; i++)
        (void)put_pod(&w, i, CLUSTER_PAID, 100, 0);
    (void)step(&w);
    cr_assert_eq(w.plans[0].headroom.arrivals, 0, "they were there before the first step");
    wait(&w, 100);
    (void)put_pod(&w, 40, CLUSTER_PAID, 2000, -1);
    (void)put_pod(&w, 41, CLUSTER_PAID, 3000, -1);
    (void)step(&w);
    cr_assert_eq(w.plans[0].headroom.arrivals, 2);
    cr_assert_eq(w.plans[0].headroom.rise, 5000);
    (void)put_pod(&w, 40, CLUSTER_PAID, 2000, 0);
    (void)put_pod(&w, 42, CLUSTER_PAID, 1000, 0); /* was never seen waiting */
    (void)step(&w);
    cr_assert_eq(w.plans[0].headroom.arrivals, 3, "binding is no second arrival");
    cr_assert_eq(w.plans[0].headroom.rise, 6000);
    world_done(&w);
}

Test(planner, arrivals_of_what_no_machine_has_add_up)
{
    struct world w;

    world_init(&w, POLICY("a") "  headroom: {max: 100}\n");
    put_node(&w, 0, 64000);
    set_shape(&w, 0, 1000);
    (void)step(&w);
    wait(&w, 100);
    for (int i = 0; i < 3; i++)
        (void)put_pod(&w, i, CLUSTER_PAID, INT64_MAX, 0);
    (void)step(&w);
    cr_assert_eq(w.plans[0].headroom.arrivals, 3);
    cr_assert_eq(w.plans[0].headroom.rise, 3 * RESOURCE_BOUND_COUNT);
    world_done(&w);
}

Test(planner, a_pod_that_can_go_nowhere_does_not_arrive)
{
    struct world w;

    world_init(&w, POLICY("a"));
    put_node(&w, 0, 8000);
    set_shape(&w, 0, 1000);
    (void)step(&w);
    wait(&w, 100);
    (void)put_pod(&w, 1, CLUSTER_PAID, 9000, -1);
    (void)step(&w);
    cr_assert_eq(w.plans[0].headroom.arrivals, 0);
    cr_assert_eq(w.plans[0].headroom.rise, 0);
    put_node(&w, 1, 16000);
    (void)step(&w);
    cr_assert_eq(w.plans[0].headroom.arrivals, 1, "now that a node could take it");
    world_done(&w);
}

Test(planner, what_a_list_names_first_was_there_and_what_comes_later_arrives)
{
    struct world w;

    world_init(&w, POLICY("a"));
    set_shape(&w, 0, 1000);
    planner_list_begin(w.planner, CLUSTER_NODES);
    put_node(&w, 0, 32000);
    planner_list_end(w.planner, CLUSTER_NODES, w.now);
    planner_list_begin(w.planner, CLUSTER_PODS);
    (void)put_pod(&w, 0, CLUSTER_PAID, 1000, 0);
    (void)put_pod(&w, 1, CLUSTER_PAID, 1000, -1);
    planner_list_end(w.planner, CLUSTER_PODS, w.now);
    (void)step(&w);
    wait(&w, 100);
    (void)step(&w);
    cr_assert_eq(w.plans[0].headroom.arrivals, 0);
    (void)put_pod(&w, 1, CLUSTER_PAID, 1000, 0);
    (void)put_pod(&w, 2, CLUSTER_PAID, 1000, -1);
    (void)step(&w);
    cr_assert_eq(w.plans[0].headroom.arrivals, 1);
    world_done(&w);
}

Test(planner, the_past_is_learned_like_the_present)
{
    struct world live, told;
    struct random r = random_start("the past is learned like the present");
    int64_t demand = 0;

    world_init(&live, POLICY("a") "  headroom: {max: 10}\n");
    world_init(&told, POLICY("a") "  headroom: {max: 10}\n");
    put_node(&live, 0, 640000);
    put_node(&told, 0, 640000);
    set_shape(&live, 0, 1000);
    set_shape(&told, 0, 1000);
    (void)step(&live);
    planner_past_begin(told.planner, 1);
    planner_past_demand(told.planner, live.now, 0, 640000);
    for (int i = 0; i < 200; i++) {
        int64_t cpu = random_in(&r, 100, 3000);

        wait(&live, (double)random_in(&r, 1, 60));
        demand += cpu;
        (void)put_pod(&live, i, CLUSTER_PAID, cpu, 0);
        (void)step(&live);
        planner_past_arrival(told.planner, live.now, demand, cpu);
        planner_past_demand(told.planner, live.now, demand, 640000);
        (void)put_pod(&told, i, CLUSTER_PAID, cpu, 0); /* what a list will show */
    }
    told.now = live.now;
    (void)step(&told);
    (void)step(&live);
    cr_assert_eq(live.plans[0].headroom.values, told.plans[0].headroom.values);
    cr_assert_eq(live.plans[0].headroom.need, told.plans[0].headroom.need);
    cr_assert_eq(live.plans[0].headroom.milli, told.plans[0].headroom.milli);
    world_done(&live);
    world_done(&told);
}

Test(planner, a_past_that_is_told_of_one_filler_leaves_the_others_as_they_are)
{
    struct world w;

    world_init(&w,
               POLICY("a") "  headroom: {max: 10}\n---\n" POLICY("b") "  headroom: {max: 10}\n");
    put_node(&w, 0, 640000);
    set_shape(&w, 0, 1000);
    set_shape(&w, 1, 1000);
    (void)step(&w);
    wait(&w, 100);
    (void)put_pod(&w, 1, CLUSTER_PAID, 2000, 0);
    (void)step(&w);
    cr_assert_eq(w.plans[1].headroom.values, 1);
    planner_past_begin(w.planner, UINT32_C(1) << 1);
    for (int i = 0; i < 40; i++) {
        const struct mono at = {w.now.us - (40 - i) * 200 * US_PER_S};

        planner_past_demand(w.planner, at, 0, 640000);
        planner_past_arrival(w.planner, mono_plus_us(at, 150 * US_PER_S), 1000, 1000);
    }
    (void)step(&w);
    cr_assert_eq(w.plans[0].headroom.values, 1);
    cr_assert_eq(w.plans[0].headroom.kind, HEADROOM_CAREFUL);
    cr_assert_eq(w.plans[1].headroom.values, 40);
    cr_assert_eq(w.plans[1].headroom.need, 1000);
    world_done(&w);
}

/* Whoever makes pods can name a node for one that it cannot hold. */
Test(planner, a_pod_larger_than_every_node_costs_its_node_and_nothing_besides)
{
    struct world w;

    world_init(&w, POLICY("a") "  headroom: {mode: fixed, max: 4}\n");
    for (int i = 0; i < 4; i++)
        put_node(&w, i, 32000);
    set_shape(&w, 0, 1000);
    (void)put_pod(&w, 0, CLUSTER_PAID, 2000, 0);
    (void)step(&w);
    cr_assert_eq(w.plans[0].hole_slots, 2);
    cr_assert_eq(w.plans[0].decision.set_point, 122);
    (void)put_pod(&w, 1, CLUSTER_PAID, 100000, 0);
    (void)step(&w);
    cr_assert_eq(w.plans[0].hole_slots, 2);
    cr_assert_eq(w.plans[0].decision.set_point, 92, "three nodes without the 4 that are kept free");
    put_node(&w, 4, 100000);
    (void)step(&w);
    cr_assert_eq(w.plans[0].hole_slots, 100, "it could stand there");
    world_done(&w);
}

/* docs/CONTROL.md 7.2: for given history and no pending paid pod x is the same for any arrangement and number of filler pods. */
Test(planner, filler_never_enters_the_set_point)
{
    struct random r = random_start("filler never enters the set point");

    for (int run = 0; run < 300; run++) {
        struct world alone, beside;
        int nodes = (int)random_in(&r, 1, MAX_NODES), pods = 0;

        world_init(&alone, POLICY("a") "  headroom: {max: 8}\n");
        world_init(&beside, POLICY("a") "  headroom: {max: 8}\n");
        for (int i = 0; i < nodes; i++) {
            int64_t cpu = random_in(&r, 1, 32) * 1000;

            put_node(&alone, i, cpu);
            put_node(&beside, i, cpu);
        }
        set_shape(&alone, 0, 1000);
        set_shape(&beside, 0, 1000);
        for (int e = 0; e < 60; e++) {
            int64_t cpu = random_in(&r, 100, 4000);
            int node = (int)random_in(&r, 0, nodes - 1);

            if (random_percent(&r, 50)) {
                (void)put_pod(&alone, pods, CLUSTER_PAID, cpu, node);
                (void)put_pod(&beside, pods++, CLUSTER_PAID, cpu, node);
            } else if (pods > 0) {
                int gone = (int)random_in(&r, 0, pods - 1);

                drop_pod(&alone, gone);
                drop_pod(&beside, gone);
            }
            for (int n = (int)random_in(&r, 0, 6); n > 0; n--) {
                int filler = 1000 + (int)random_in(&r, 0, 40);

                if (random_percent(&r, 40))
                    drop_pod(&beside, filler);
                else
                    (void)put_pod(&beside, filler, 0, 1000,
                                  random_percent(&r, 70) ? (int)random_in(&r, 0, nodes - 1) : -1);
            }
            (void)step(&alone);
            (void)step(&beside);
            cr_assert_eq(alone.plans[0].decision.set_point, beside.plans[0].decision.set_point,
                         "seed %llu run %d event %d", (unsigned long long)r.seed, run, e);
            wait(&alone, (double)random_in(&r, 0, 30));
            beside.now = alone.now;
        }
        world_done(&alone);
        world_done(&beside);
    }
}

/* docs/CONTROL.md 7.5: events in any order that ends in the same state give the same S; and a full list does. */
Test(planner, the_order_of_events_and_a_relist_change_nothing)
{
    struct random r = random_start("the order of events and a relist change nothing");

    for (int run = 0; run < 300; run++) {
        struct world w, again;
        int nodes = (int)random_in(&r, 1, MAX_NODES);
        int64_t size[MAX_PODS], cpu[MAX_NODES];
        int place[MAX_PODS];

        world_init(&w, POLICY("a"));
        world_init(&again, POLICY("a"));
        set_shape(&w, 0, 500);
        set_shape(&again, 0, 500);
        for (int i = 0; i < nodes; i++)
            put_node(&w, i, cpu[i] = random_in(&r, 1, 40) * 500);
        for (int i = 0; i < MAX_PODS; i++) {
            size[i] = random_in(&r, 1, 3000);
            place[i] = (int)random_in(&r, 0, nodes - 1);
            (void)put_pod(&w, i, CLUSTER_PAID, size[i], random_percent(&r, 50) ? -1 : place[i]);
            if (random_percent(&r, 20))
                (void)step(&w);
        }
        for (int i = 0; i < MAX_PODS; i++)
            (void)put_pod(&w, i, CLUSTER_PAID, size[i], place[i]);
        (void)step(&w);

        planner_list_begin(again.planner, CLUSTER_PODS);
        for (int i = MAX_PODS - 1; i >= 0; i--)
            (void)put_pod(&again, i, CLUSTER_PAID, size[i], place[i]);
        planner_list_end(again.planner, CLUSTER_PODS, again.now);
        for (int i = nodes - 1; i >= 0; i--)
            put_node(&again, i, cpu[i]);
        (void)step(&again);
        cr_assert_eq(w.plans[0].decision.slots, again.plans[0].decision.slots, "seed %llu run %d",
                     (unsigned long long)r.seed, run);
        world_done(&w);
        world_done(&again);
    }
}

/* docs/CONTROL.md 7.4, with cpu alone: a pending pod that fits lowers S by at least floor(cpu / c) at once. */
Test(planner, a_pending_pod_counts_at_once)
{
    struct random r = random_start("a pending pod counts at once");

    for (int run = 0; run < 2000; run++) {
        struct world w;
        int nodes = (int)random_in(&r, 1, MAX_NODES);
        int64_t c = random_in(&r, 1, 8) * 250, cpu = random_in(&r, 100, 6000), before;
        bool fits = false;

        world_init(&w, POLICY("a") "  headroom: {mode: fixed, max: 0}\n");
        set_shape(&w, 0, c);
        for (int i = 0; i < nodes; i++) {
            int64_t room = random_in(&r, 0, 8000);

            fits = fits || room >= cpu;
            put_node(&w, i, room);
        }
        (void)step(&w);
        before = w.plans[0].decision.slots;
        (void)put_pod(&w, 1, CLUSTER_PAID, cpu, -1);
        (void)step(&w);
        if (fits)
            cr_assert_leq(w.plans[0].decision.slots, before - cpu / c, "seed %llu run %d",
                          (unsigned long long)r.seed, run);
        else
            cr_assert_eq(w.plans[0].decision.slots, before);
        world_done(&w);
    }
}

#define THREE                                                                                      \
    POLICY("a")                                                                                    \
    "  priority: 1\n  headroom: {max: 6}\n---\n" POLICY(                                           \
        "b") "  weight: 2\n  headroom: {max: 4}\n"                                                 \
             "---\n" POLICY_MAX("c", "20") "  headroom: {mode: fixed, max: 5}\n"

/* docs/CONTROL.md 7.12: all fillers together are never wanted above what fits, nor decided, whatever happens. */
Test(planner, several_fillers_together_never_want_more_than_fits)
{
    static const int64_t sizes[] = {1000, 500, 2000};
    struct random r = random_start("several fillers together never want more than fits");

    for (int run = 0; run < 100; run++) {
        struct world w;
        int nodes = (int)random_in(&r, 1, MAX_NODES), pods = 0;

        world_init(&w, THREE);
        for (int i = 0; i < nodes; i++)
            put_node(&w, i, random_in(&r, 1, 32) * 1000);
        for (int i = 0; i < 3; i++)
            set_shape(&w, i, sizes[i]);
        for (int e = 0; e < 100; e++) {
            int64_t asked = 0, room = 0;

            if (random_percent(&r, 60) || pods == 0)
                (void)put_pod(&w, pods++, CLUSTER_PAID, random_in(&r, 100, 4000),
                              random_percent(&r, 30) ? -1 : (int)random_in(&r, 0, nodes - 1));
            else
                drop_pod(&w, (int)random_in(&r, 0, pods - 1));
            wait(&w, (double)random_in(&r, 0, 60));
            (void)step(&w);
            for (uint32_t n = 0; n < cluster_node_limit(planner_cluster(w.planner)); n++) {
                const struct cluster_node *node = cluster_node(planner_cluster(w.planner), n);

                if (node != NULL)
                    room += max_i64(fit_room(node).at[RESOURCE_CPU], 0);
            }
            for (int i = 0; i < 3; i++) {
                cr_assert_leq(w.plans[i].decision.damped, w.plans[i].decision.set_point);
                asked += w.plans[i].decision.damped * sizes[i];
            }
            cr_assert_leq(asked, room, "seed %llu run %d event %d", (unsigned long long)r.seed, run,
                          e);
        }
        world_done(&w);
    }
}

/*
 * docs/CONTROL.md 7.11, P7: on one node no paid pod is blocked by filler if its rise is at most the least H over [t - T, t - A]. Filler
 * here is the worst that may be there: what N allowed A ago, which leaves a grace period after it was asked to.
 */
Test(planner, on_one_node_what_headroom_covers_finds_room)
{
    enum { STEPS = 400, SLOTS = 64 };
    struct random r = random_start("on one node what headroom covers finds room");
    int64_t covered = 0;

    for (int run = 0; run < 60; run++) {
        const int64_t t_us = 90 * US_PER_S;
        const int64_t a_us = PLANNER_ACTUATION_BASE_US + GRACE_S * US_PER_S;
        struct {
            int64_t at, n, h;
        } past[STEPS + 1];
        struct world w;
        int pods = 0;

        world_init(&w, POLICY("a") "  headroom: {max: 12}\n");
        put_node(&w, 0, SLOTS * 1000);
        set_shape(&w, 0, 1000);
        (void)step(&w);
        past[0].at = w.now.us, past[0].n = 0, past[0].h = w.plans[0].headroom.milli;
        for (int e = 1; e <= STEPS; e++) {
            int64_t cpu = random_in(&r, 1, 3) * 1000, paid, filler = 0, least = INT64_MAX;
            bool comes = random_percent(&r, 55);

            wait(&w, (double)random_in(&r, 1, 40) * (random_percent(&r, 10) ? 10 : 1));
            paid = cluster_sum_place(cluster_node(planner_cluster(w.planner), 0), NODE_SUM_PAID,
                                     RESOURCE_CPU);
            comes = comes && paid + cpu <= SLOTS * 1000;
            if (comes)
                (void)put_pod(&w, pods++, CLUSTER_PAID, cpu, -1);
            else if (pods > 0)
                drop_pod(&w, (int)random_in(&r, 0, pods - 1));
            (void)step(&w);
            /* The most filler that can be there: the highest N within the last A, before this step; and what stood before it. */
            for (int i = e - 1; i >= 0; i--) {
                filler = max_i64(filler, past[i].n);
                if (past[i].at <= w.now.us - a_us)
                    break;
            }
            for (int i = e - 1; i >= 0; i--) {
                int64_t until = i + 1 < e ? past[i + 1].at : w.now.us;

                if (past[i].at <= w.now.us - a_us && until > w.now.us - t_us)
                    least = min_i64(least, past[i].h);
            }
            if (comes && least != INT64_MAX && w.plans[0].headroom.rise <= least) {
                covered++;
                cr_assert_leq(filler * 1000 + paid + cpu, SLOTS * 1000,
                              "seed %llu run %d event %d: rise %lld, H %lld",
                              (unsigned long long)r.seed, run, e,
                              (long long)w.plans[0].headroom.rise, (long long)least);
            }
            if (comes)
                (void)put_pod(&w, pods - 1, CLUSTER_PAID, cpu, 0);
            past[e].at = w.now.us, past[e].n = w.input[0].replicas;
            past[e].h = w.plans[0].headroom.milli;
        }
        world_done(&w);
    }
    cr_assert_gt(covered, 1000);
}

/* docs/CONTROL.md 7.8: what is paused is not written, and what a dry run plans is not placed. */
Test(planner, a_pause_stops_its_direction)
{
    struct world w;

    world_init(&w, POLICY("a") "  headroom: {mode: fixed, max: 0}\n");
    put_node(&w, 0, 10000);
    set_shape(&w, 0, 1000);
    (void)step(&w);
    wait(&w, 90);
    w.input[0].paused_up = true;
    (void)step(&w);
    cr_assert_eq(w.input[0].replicas, 0);
    cr_assert_eq(w.plans[0].decision.reason, REASON_PAUSED);
    w.input[0].paused_up = false;
    (void)step(&w);
    cr_assert_eq(w.input[0].replicas, 10);
    w.input[0].paused_down = true;
    (void)put_pod(&w, 1, CLUSTER_PAID, 4000, 0);
    (void)step(&w);
    cr_assert_eq(w.input[0].replicas, 10);
    w.input[0].paused_down = false;
    (void)step(&w);
    cr_assert_eq(w.input[0].replicas, 6);
    world_done(&w);
}

#define TWO_FIXED                                                                                  \
    POLICY("a")                                                                                    \
    "  priority: 1\n  headroom: {mode: fixed, max: 20}\n---\n" POLICY(                             \
        "b") "  headroom: {mode: fixed, max: 4}\n"

Test(planner, one_that_is_not_carried_out_or_not_known_takes_nothing_from_others)
{
    struct world w;

    world_init(&w, TWO_FIXED);
    put_node(&w, 0, 40000);
    set_shape(&w, 0, 1000);
    set_shape(&w, 1, 1000);
    (void)step(&w);
    cr_assert_eq(w.plans[0].decision.set_point, 20);
    cr_assert_eq(w.plans[1].decision.set_point, 0);
    w.input[0].carries_out = false;
    (void)step(&w);
    cr_assert_eq(w.plans[0].decision.set_point, 20, "what it would have");
    cr_assert_eq(w.plans[1].decision.set_point, 36, "alone, with its own headroom");
    cr_assert_eq(planner_node_slots(w.planner, 1, 0), 40);
    w.input[0].known = false;
    (void)step(&w);
    cr_assert_eq(w.plans[0].decision.reason, REASON_UNKNOWN);
    cr_assert_eq(w.plans[1].decision.set_point, 36);
    world_done(&w);
}

Test(planner, one_below_that_is_not_carried_out_sees_what_those_above_leave)
{
    struct world w;

    world_init(&w, TWO_FIXED);
    put_node(&w, 0, 40000);
    set_shape(&w, 0, 1000);
    set_shape(&w, 1, 1000);
    planner_set_policy(w.planner, 0, w.policies.at[1]);
    planner_set_policy(w.planner, 1, w.policies.at[0]);
    w.input[0].carries_out = false; /* b, below */
    (void)step(&w);
    cr_assert_eq(w.plans[0].decision.set_point, 0);
    cr_assert_eq(w.plans[0].decision.slots, 20);
    cr_assert_eq(w.plans[1].decision.set_point, 20);
    w.input[1].carries_out = false;
    (void)step(&w);
    cr_assert_eq(w.plans[0].decision.slots, 20, "in a dry run of all they share as they would");
    cr_assert_eq(w.plans[1].decision.set_point, 20);
    world_done(&w);
}

/* docs/CONTROL.md 7.12: whatever one that is not carried out wants, the others decide as if it were not there. */
Test(planner, the_others_decide_as_if_what_is_not_carried_out_were_not_there)
{
    struct random r = random_start("the others decide as if it were not there");

    for (int run = 0; run < 200; run++) {
        struct world with, without;
        int nodes = (int)random_in(&r, 1, MAX_NODES), dry = (int)random_in(&r, 0, 2);

        world_init(&with, THREE);
        world_init(&without, THREE);
        for (int i = 0; i < nodes; i++) {
            int64_t cpu = random_in(&r, 1, 32) * 1000;

            put_node(&with, i, cpu);
            put_node(&without, i, cpu);
        }
        for (int i = 0; i < 3; i++) {
            int64_t cpu = random_in(&r, 1, 4) * 500;

            set_shape(&with, i, cpu);
            if (i != dry)
                set_shape(&without, i, cpu);
        }
        with.input[dry].carries_out = false;
        for (int e = 0; e < 30; e++) {
            int64_t cpu = random_in(&r, 100, 4000);
            int node = random_percent(&r, 30) ? -1 : (int)random_in(&r, 0, nodes - 1);

            (void)put_pod(&with, e, CLUSTER_PAID, cpu, node);
            (void)put_pod(&without, e, CLUSTER_PAID, cpu, node);
            (void)step(&with);
            (void)step(&without);
            for (int i = 0; i < 3; i++) {
                cr_assert(i == dry || with.plans[i].decision.set_point ==
                                          without.plans[i].decision.set_point,
                          "seed %llu run %d event %d", (unsigned long long)r.seed, run, e);
                cr_assert(i == dry ||
                          with.plans[i].decision.damped == without.plans[i].decision.damped);
            }
            wait(&with, (double)random_in(&r, 0, 60));
            without.now = with.now;
        }
        world_done(&with);
        world_done(&without);
    }
}

/* Pods of fillers that stand somewhere, by number. */
struct standing {
    int filler[MAX_PODS], node[MAX_PODS];
    bool there[MAX_PODS];
};

static void random_standing(struct world *w, struct standing *s, struct random *r,
                            const int64_t *sizes, int nodes)
{
    int i = (int)random_in(r, 0, MAX_PODS - 1);

    s->there[i] = random_percent(r, 70);
    s->filler[i] = i % 3;
    s->node[i] = (int)random_in(r, 0, nodes - 1);
    drop_pod(w, 1000 + i);
    if (s->there[i])
        (void)put_pod(w, 1000 + i, s->filler[i], sizes[s->filler[i]], s->node[i]);
}

static bool is_driven(const struct world *w, int filler)
{
    bool any = false;

    for (int i = 0; i < 3; i++)
        any = any || (w->input[i].known && w->input[i].carries_out);
    return w->input[filler].known && (w->input[filler].carries_out || !any);
}

/* What paid pods and the standing pods of those that are not driven leave of all nodes. */
static int64_t room_of_driven(const struct world *w, const struct standing *s, const int64_t *sizes)
{
    struct cluster *c = planner_cluster(w->planner);
    int64_t sum = 0;

    for (uint32_t n = 0; n < cluster_node_limit(c); n++) {
        const struct cluster_node *node = cluster_node(c, n);
        int64_t room = node != NULL ? fit_room(node).at[RESOURCE_CPU] : 0;

        for (int i = 0; i < MAX_PODS && node != NULL; i++) {
            if (s->there[i] && s->node[i] == node->name[1] - '0' && !is_driven(w, s->filler[i]))
                room -= sizes[s->filler[i]];
        }
        sum += max_i64(room, 0);
    }
    return sum;
}

/*
 * docs/CONTROL.md 7.12: those that are driven, and all that stands of those that are not, fit beside what is kept free,
 * whoever is driven.
 */
Test(planner, what_stands_of_fillers_that_are_not_driven_is_room_to_nobody_else)
{
    static const int64_t sizes[] = {1000, 500, 2000};
    struct random r = random_start("what stands is room to nobody else");

    for (int run = 0; run < 200; run++) {
        struct world w;
        struct standing s = {0};
        int nodes = (int)random_in(&r, 1, MAX_NODES), pods = 0;

        world_init(&w, THREE);
        for (int i = 0; i < nodes; i++)
            put_node(&w, i, random_in(&r, 1, 32) * 1000);
        for (int i = 0; i < 3; i++)
            set_shape(&w, i, sizes[i]);
        for (int e = 0; e < 100; e++) {
            int64_t asked = 0, kept = 0;
            int whose = (int)random_in(&r, 0, 2);

            if (random_percent(&r, 30) && pods < 500)
                (void)put_pod(&w, pods++, CLUSTER_PAID, random_in(&r, 100, 2000),
                              random_percent(&r, 30) ? -1 : (int)random_in(&r, 0, nodes - 1));
            else if (pods != 0)
                drop_pod(&w, (int)random_in(&r, 0, pods - 1));
            random_standing(&w, &s, &r, sizes, nodes);
            w.input[whose].known = random_percent(&r, 80);
            w.input[whose].carries_out = random_percent(&r, 60);
            wait(&w, (double)random_in(&r, 0, 60));
            (void)step(&w);
            for (int i = 0; i < 3; i++) {
                const struct decision *d = &w.plans[i].decision;

                if (!is_driven(&w, i))
                    continue;
                asked += d->set_point * sizes[i];
                kept = max_i64(kept, d->why.reserve_milli + d->why.headroom_milli);
            }
            cr_assert(asked == 0 || asked + kept <= room_of_driven(&w, &s, sizes),
                      "seed %llu run %d event %d: %lld asked, %lld kept",
                      (unsigned long long)r.seed, run, e, (long long)asked, (long long)kept);
        }
        world_done(&w);
    }
}

Test(planner, a_yield_to_a_filler_above_names_it)
{
    struct world w;

    world_init(&w, POLICY_MAX("a", "30") "  priority: 1\n  headroom: {mode: fixed, max: 0}\n"
                                         "---\n" POLICY("b") "  headroom: {mode: fixed, max: 4}\n");
    put_node(&w, 0, 40000);
    set_shape(&w, 0, 1000);
    set_shape(&w, 1, 1000);
    w.input[1].replicas = 20;
    (void)step(&w);
    cr_assert_eq(w.plans[1].decision.reason, REASON_YIELD);
    cr_assert_eq(w.plans[1].decision.set_point, 6);
    cr_assert_eq(w.plans[1].decision.bound, BOUND_SHARE);
    cr_assert_str_eq(w.plans[1].decision.why.taker, "a");
    (void)put_pod(&w, 1, CLUSTER_PAID, 37000, 0);
    (void)step(&w);
    cr_assert_eq(w.plans[1].decision.bound, BOUND_HEADROOM, "alone it would have nothing either");
    world_done(&w);
}

Test(planner, percentages_are_of_the_nodes_that_offer_room)
{
    struct world w;

    world_init(&w, POLICY("a") "  nodes: {minPaid: 2}\n  headroom: {mode: fixed, max: 25%}\n");
    put_node(&w, 0, 20000);
    put_node(&w, 1, 60000);
    set_shape(&w, 0, 1000);
    (void)put_pod(&w, 1, CLUSTER_PAID, 2000, 0);
    (void)step(&w);
    cr_assert_eq(w.plans[0].headroom.milli, 5000);
    cr_assert_eq(w.plans[0].decision.set_point, 12, "5 cores are three holes of 2");
    world_done(&w);
}

Test(planner, the_margin_of_the_ceiling_is_not_cut_to_whole_percents)
{
    struct world w;

    world_init(&w, POLICY("a") "  headroom: {max: 30}\n  advanced: {ceilingMargin: 0.5%}\n");
    put_node(&w, 0, 100000);
    set_shape(&w, 0, 1000);
    (void)step(&w);
    wait(&w, 4000);
    (void)step(&w);
    cr_assert_eq(w.plans[0].headroom.ceiling, 500);
    cr_assert_eq(w.plans[0].headroom.milli, 500);
    world_done(&w);
}

/* ---- several fillers behind gates ---- */

#define TWO_GATED                                                                                  \
    POLICY_MAX("a", "10")                                                                          \
    "  priority: 10\n  headroom: {mode: fixed, max: 0}\n  settle: 0\n---\n" POLICY_MAX(            \
        "b", "150") "  headroom: {mode: fixed, max: 0}\n  settle: 0\n"

enum { GATED_PODS = 200, NOWHERE = -1, GONE = -2 };

/* Pods of two fillers by number: where they are, and whose. */
struct gated {
    int filler[GATED_PODS], node[GATED_PODS];
    int n;
};

static void put_filler_pod(struct world *w, const struct gated *g, int pod)
{
    struct pod_record record = {.uid = {2, (uint64_t)pod + 1},
                                .phase = PHASE_PENDING,
                                .gated = g->node[pod] == NOWHERE,
                                .priority = -100};
    char name[32];

    (void)snprintf(name, sizeof name, "n%d", g->node[pod]);
    if (g->node[pod] >= 0) {
        record.node = sv_from(name);
        record.phase = PHASE_RUNNING;
        record.ready = true;
    }
    record.request.at[RESOURCE_CPU] = 1000;
    record.request.at[RESOURCE_PODS] = 1;
    record.created.us = pod;
    (void)planner_put_pod(w->planner, &record, g->filler[pod], false, w->now);
}

static void remove_filler_pod(struct world *w, struct gated *g, int pod)
{
    g->node[pod] = GONE;
    (void)planner_drop_pod(w->planner, (struct uid){2, (uint64_t)pod + 1}, w->now);
}

static int count_pods(const struct gated *g, int filler, int *ret_bound)
{
    int n = 0;

    *ret_bound = 0;
    for (int i = 0; i < g->n; i++) {
        n += g->filler[i] == filler && g->node[i] != GONE;
        *ret_bound += g->filler[i] == filler && g->node[i] >= 0;
    }
    return n;
}

/* What a ReplicaSet does: gated pods go first, then the newest. */
static void follow_count(struct world *w, struct gated *g, int filler)
{
    int bound, n = count_pods(g, filler, &bound);

    for (; n < w->input[filler].replicas; n++) {
        cr_assert_lt(g->n, GATED_PODS);
        g->filler[g->n] = filler;
        g->node[g->n] = NOWHERE;
        put_filler_pod(w, g, g->n++);
    }
    for (bool gated = n > bound; n > w->input[filler].replicas; n--) {
        int pod = g->n - 1;

        while (g->filler[pod] != filler || g->node[pod] == GONE ||
               (gated && g->node[pod] != NOWHERE))
            pod--;
        remove_filler_pod(w, g, pod);
        gated = n - 1 > bound;
    }
}

/* Lets in what is admitted, until nothing changes any more. */
static void let_in_and_follow(struct world *w, struct gated *g)
{
    for (int turn = 0; turn < 12; turn++) {
        wait(w, 5);
        (void)step(w);
        for (int f = 0; f < 2; f++) {
            const struct placement_plan *plan = w->plans[f].placement;

            for (size_t i = 0; i < plan->n_admit; i++) {
                int pod = (int)plan->admit[i].uid.lo - 1;
                const struct cluster_node *node =
                    cluster_node(planner_cluster(w->planner), plan->admit[i].node);

                planner_admitted(w->planner, f, plan->admit[i].uid, true, w->now);
                g->node[pod] = node->name[1] - '0';
            }
        }
        for (int i = 0; i < g->n; i++) {
            if (g->node[i] >= 0)
                put_filler_pod(w, g, i);
        }
        for (int f = 0; f < 2; f++)
            follow_count(w, g, f);
        for (uint32_t i = 0; i < cluster_node_limit(planner_cluster(w->planner)); i++) {
            const struct cluster_node *node = cluster_node(planner_cluster(w->planner), i);

            cr_assert_leq(cluster_sum_place(node, NODE_SUM_FILLER, RESOURCE_CPU) +
                              cluster_sum_place(node, NODE_SUM_PAID, RESOURCE_CPU),
                          cluster_sum_place(node, NODE_SUM_ALLOCATABLE, RESOURCE_CPU), "node %s",
                          node->name);
        }
    }
}

Test(planner, a_lower_filler_fills_the_node_that_the_upper_one_left)
{
    struct world w;
    struct gated g = {0};
    int bound;

    world_init(&w, TWO_GATED);
    for (int i = 1; i <= 4; i++)
        put_node(&w, i, 10000);
    set_shape(&w, 0, 1000);
    set_shape(&w, 1, 1000);
    let_in_and_follow(&w, &g);
    cr_assert_eq(count_pods(&g, 0, &bound), 10);
    cr_assert_eq(bound, 10);
    cr_assert_eq(count_pods(&g, 1, &bound), 30);
    cr_assert_eq(bound, 30);

    /* A paid pod takes the first node from whoever is there, and leaves again. */
    for (int i = 0; i < g.n; i++) {
        if (g.node[i] == 1)
            remove_filler_pod(&w, &g, i);
    }
    (void)put_pod(&w, 1, CLUSTER_PAID, 10000, 1);
    let_in_and_follow(&w, &g);
    cr_assert_eq(count_pods(&g, 0, &bound), 10);
    cr_assert_eq(bound, 10, "the upper one stands elsewhere");
    cr_assert_eq(count_pods(&g, 1, &bound), 20);
    cr_assert_eq(bound, 20);
    drop_pod(&w, 1);
    let_in_and_follow(&w, &g);
    cr_assert_eq(count_pods(&g, 0, &bound), 10);
    cr_assert_eq(bound, 10);
    cr_assert_eq(count_pods(&g, 1, &bound), 30);
    cr_assert_eq(bound, 30, "%d of 30 found a node", bound);
    world_done(&w);
}
