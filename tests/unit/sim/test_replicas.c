#include "policy/sim/parts.h"
#include "tests/unit/sim/world.h"

/* Pods for the order of deletion; the first in a row goes before the second. */
struct stand {
    bool bound;
    enum pod_phase phase;
    bool ready;
    int32_t cost;
    uint32_t node; /* 0 .. 2 */
    double ready_at, created;
    uint64_t uid;
};

Test(replicas, deletes_in_the_order_of_the_real_controller)
{
    static const struct {
        const char *name;
        struct stand first, second;
        uint32_t crowd; /* further pods on node 1 */
    } rows[] = {
        {"unassigned",
         {false, PHASE_PENDING, false, 99, 0, 0, 0, 9},
         {true, PHASE_PENDING, false, -9, 0, 0, 0, 1},
         0},
        {"pending before running",
         {true, PHASE_PENDING, false, 9, 0, 0, 0, 9},
         {true, PHASE_RUNNING, false, 0, 0, 0, 0, 1},
         0},
        {"unknown before running",
         {true, PHASE_UNKNOWN, false, 9, 0, 0, 0, 9},
         {true, PHASE_RUNNING, false, 0, 0, 0, 0, 1},
         0},
        {"pending before unknown",
         {true, PHASE_PENDING, false, 9, 0, 0, 0, 9},
         {true, PHASE_UNKNOWN, false, 0, 0, 0, 0, 1},
         0},
        {"not ready before ready",
         {true, PHASE_RUNNING, false, 9, 0, 0, 0, 9},
         {true, PHASE_RUNNING, true, 0, 0, 10, 0, 1},
         0},
        {"lower cost",
         {true, PHASE_RUNNING, true, -1, 0, 10, 0, 9},
         {true, PHASE_RUNNING, true, 0, 1, 900, 0, 1},
         5},
        {"more neighbours",
         {true, PHASE_RUNNING, true, 0, 1, 10, 0, 9},
         {true, PHASE_RUNNING, true, 0, 0, 900, 0, 1},
         5},
        {"ready for a shorter time",
         {true, PHASE_RUNNING, true, 0, 0, 900, 0, 9},
         {true, PHASE_RUNNING, true, 0, 2, 10, 0, 1},
         0},
        {"ages of one magnitude: by uid",
         {true, PHASE_RUNNING, true, 0, 0, 110, 0, 1},
         {true, PHASE_RUNNING, true, 0, 2, 200, 0, 9},
         0},
        {"ready in the same second: by creation",
         {true, PHASE_RUNNING, true, 0, 0, 500.9, 490, 9},
         {true, PHASE_RUNNING, true, 0, 2, 500.1, 10, 1},
         0},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct pod pods[2 + 8] = {0};
        struct pod *list[COUNT_OF(pods)];
        struct node *nodes[3];
        struct crowd on_node[8] = {0};
        struct workload owner = {.on_node = on_node, .on_node_cap = COUNT_OF(on_node)};
        size_t n = 2 + rows[i].crowd;

        world_start(&w, 1);
        for (uint32_t j = 0; j < 3; j++) {
            char name[16];

            (void)snprintf(name, sizeof name, "n%u", j);
            nodes[j] = node_at(w.sim, world_node(&w, name, 8)->id);
        }
        world_run(&w, 1000);
        for (size_t j = 0; j < n; j++) {
            const struct stand *s = j == 0 ? &rows[i].first : &rows[i].second;

            /* The crowd is what it takes to be the last. */
            pods[j].serial = j;
            pods[j].owner = &owner;
            pods[j].node = s->bound ? nodes[j < 2 ? s->node : 1] : NULL;
            pods[j].view =
                (struct sim_pod){.uid = {.lo = s->uid},
                                 .node = pods[j].node != NULL ? &pods[j].node->view : NULL,
                                 .phase = s->phase,
                                 .ready = s->ready,
                                 .deletion_cost = j < 2 ? s->cost : 1000,
                                 .ready_at = {.us = SECONDS(s->ready_at)},
                                 .created = {.us = SECONDS(s->created)}};
            if (pods[j].node != NULL)
                on_node[pods[j].node->view.id].staying++;
            /* Either order of coming gives the same. */
            list[n - 1 - j] = &pods[j];
        }
        replicas_rank(w.sim, list, n, 2);
        cr_expect(list[0] == &pods[0], "%s", rows[i].name);
        cr_expect(list[1] == &pods[1], "%s: the crowd came between", rows[i].name);
        world_end(&w);
    }
}

/* Any number of the first is the beginning of the whole order. */
Test(replicas, the_first_few_are_the_beginning_of_all_in_order)
{
    enum { N = 200 };
    struct world w;
    struct random random = random_start("replicas::the_first_few");
    struct pod *pods = xcalloc(N, sizeof *pods);
    struct pod *all[N], *few[N];

    world_start(&w, 1);
    world_run(&w, 1000);
    for (size_t i = 0; i < N; i++) {
        pods[i].serial = i;
        /* By uid and by serial in the same direction: the real order has cycles where they differ. */
        pods[i].view = (struct sim_pod){.uid = {.lo = N - i},
                                        .phase = PHASE_RUNNING,
                                        .deletion_cost = (int32_t)random_in(&random, 0, 20),
                                        .created = {.us = SECONDS(random_in(&random, 0, 3))}};
        all[i] = &pods[i];
    }
    replicas_rank(w.sim, all, N, N);
    for (size_t wanted = 1; wanted <= N; wanted++) {
        for (size_t i = 0; i < N; i++)
            few[i] = &pods[i];
        replicas_rank(w.sim, few, N, wanted);
        cr_assert_arr_eq(few, all, wanted * sizeof few[0], "the first %zu of %d", wanted, N);
    }
    free(pods);
    world_end(&w);
}

Test(replicas, are_made_by_20_a_second_after_a_burst_of_30)
{
    struct world w;

    world_start(&w, 1);
    for (int i = 0; i < 10; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "n%d", i);
        (void)world_node(&w, name, 100);
    }

    struct sim_pod_spec spec = world_spec(100, 0, 0);
    const struct sim_workload *workload = world_workload(&w, "web", 130, &spec);

    world_run(&w, 0.1);
    cr_expect(workload->live.replicas >= 30 && workload->live.replicas <= 33, "%d after the burst",
              workload->live.replicas);
    world_run(&w, 3.05);
    cr_expect(workload->live.replicas >= 88 && workload->live.replicas <= 92, "%d after 3 s",
              workload->live.replicas);
    world_run(&w, 6);
    cr_expect_eq(workload->live.replicas, 130);
    cr_expect_eq(workload->status.replicas, 130);
    world_end(&w);
}

/* 1, 2, 4, 8 … each batch waits for the answers of the one before. */
Test(replicas, start_slowly)
{
    static const int32_t sizes[] = {1, 3, 7, 15, 31, 63, 100};
    struct world w;

    world_start(&w, 1);
    sim_free(w.sim);
    w.config.client_rate = 0;
    w.config.call_us = 10000;
    w.config.react_us = 0;
    w.sim = sim_new(&w.config);

    struct sim_pod_spec spec = world_spec(100, 0, 0);
    const struct sim_workload *workload = world_workload(&w, "web", 100, &spec);

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        world_run(&w, 0.01 * (double)(i + 1));
        cr_expect_eq(workload->live.replicas, sizes[i], "batch %zu: %d", i,
                     workload->live.replicas);
    }
    world_end(&w);
}

/* The scale is looked at between syncs only: what was begun is made. */
Test(replicas, finish_a_sync_before_they_follow_a_new_scale)
{
    struct world w;

    world_start(&w, 1);
    (void)world_node(&w, "n1", 100);

    struct sim_pod_spec spec = world_spec(100, 0, 0);
    const struct sim_workload *workload = world_workload(&w, "web", 90, &spec);

    world_run(&w, 0.5);
    sim_workload_scale(w.sim, workload, 10);
    world_run(&w, 2);
    cr_expect_gt(workload->live.replicas, 60);
    world_run(&w, 3.1);
    cr_expect_lt(workload->live.replicas, 90);
    world_run(&w, 10);
    cr_expect_eq(workload->live.replicas, 10);
    world_end(&w);
}

Test(replicas, are_at_most_500_in_one_sync)
{
    struct world w;

    world_start(&w, 1);
    sim_free(w.sim);
    w.config.client_rate = 0;
    w.config.react_us = SECONDS(1);
    w.sim = sim_new(&w.config);

    struct sim_pod_spec spec = world_spec(100, 0, 0);
    const struct sim_workload *workload = world_workload(&w, "web", 700, &spec);

    world_run(&w, 1.9);
    cr_expect_eq(workload->live.replicas, 500);
    world_run(&w, 3);
    cr_expect_eq(workload->live.replicas, 700);
    sim_workload_scale(w.sim, workload, 0);
    world_run(&w, 3.9);
    cr_expect_eq(workload->live.replicas, 200);
    world_end(&w);
}

Test(replicas, replace_a_deleted_pod_at_once_while_it_still_holds_its_room)
{
    struct world w;

    world_start(&w, 1);
    (void)world_node(&w, "n1", 4);

    struct sim_pod_spec spec = world_spec(1000, 0, 10);
    const struct sim_workload *workload = world_workload(&w, "web", 4, &spec);

    world_run(&w, 5);
    cr_assert_eq(workload->status.ready, 4);
    for (uint32_t id = 0; id < sim_pod_limit(w.sim); id++) {
        if (sim_pod_at(w.sim, id) != NULL) {
            sim_pod_delete(w.sim, sim_pod_at(w.sim, id), -1);
            break;
        }
    }
    world_run(&w, 5.1);
    cr_expect_eq(workload->status.replicas, 4);
    cr_expect_eq(workload->status.ready, 3);
    cr_expect_eq(workload->status.terminating, 1);
    cr_expect_eq(sim_counts(w.sim).pending, 1);
    cr_expect_eq(sim_node_find(w.sim, SV("n1"))->used.at[RESOURCE_CPU], 4000);
    world_run(&w, 18);
    cr_expect_eq(workload->status.ready, 4);
    cr_expect_eq(sim_counts(w.sim).pods, 4);
    world_end(&w);
}

Test(replicas, go_by_deletion_cost)
{
    struct world w;

    world_start(&w, 1);
    (void)world_node(&w, "n1", 10);

    struct sim_pod_spec spec = world_spec(1000, 0, 0);
    const struct sim_workload *workload = world_workload(&w, "web", 6, &spec);

    world_run(&w, 5);
    for (uint32_t id = 0; id < sim_pod_limit(w.sim); id++) {
        struct sim_pod_patch cost = {.has_cost = true, .cost = id % 2 == 0 ? -5 : 5};

        sim_pod_patch(w.sim, sim_pod_at(w.sim, id), &cost);
    }
    sim_workload_scale(w.sim, workload, 3);
    world_run(&w, 10);
    for (uint32_t id = 0; id < sim_pod_limit(w.sim); id++)
        cr_expect_eq(sim_pod_at(w.sim, id) == NULL, id % 2 == 0, "pod %u", id);
    world_end(&w);
}

Test(replicas, leave_with_their_workload)
{
    struct world w;

    world_start(&w, 1);
    (void)world_node(&w, "n1", 3);

    struct sim_pod_spec spec = world_spec(1000, 0, 5);
    const struct sim_workload *workload = world_workload(&w, "web", 6, &spec);

    world_run(&w, 5);
    sim_workload_remove(w.sim, workload);
    cr_expect_null(sim_workload_find(w.sim, SV("Deployment"), SV("default"), SV("web")));
    world_run(&w, 5.5);
    cr_expect_eq(sim_counts(w.sim).pods, 3);
    world_run(&w, 11);
    cr_expect_eq(sim_counts(w.sim).pods, 0);
    world_end(&w);
}
