#include "tests/unit/sim/world.h"

Test(sched, binds_a_pod_after_one_attempt_and_the_kubelet_starts_it)
{
    struct world w;

    world_start(&w, 1);
    world_node(&w, "n1", 4);

    struct sim_pod_spec spec = world_spec(1000, 0, 1);
    const struct sim_pod *pod = world_pod(&w, "a", &spec);

    spec.ready_us = 0;
    world_run(&w, 0.001);
    cr_expect_null(pod->node);
    world_run(&w, 0.0015);
    cr_assert_not_null(pod->node);
    cr_expect_eq(pod->phase, PHASE_PENDING);
    world_run(&w, 2.0014);
    cr_expect_eq(pod->phase, PHASE_PENDING);
    world_run(&w, 2.0016);
    cr_expect_eq(pod->phase, PHASE_RUNNING);
    cr_expect(pod->ready);
    world_end(&w);
}

Test(sched, spreads_pods_to_the_least_allocated_node)
{
    struct world w;

    world_start(&w, 7);
    world_node(&w, "n1", 4);
    world_node(&w, "n2", 8);

    struct sim_pod_spec spec = world_spec(1000, 0, 1);

    for (int i = 0; i < 9; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "p%d", i);
        (void)world_pod(&w, name, &spec);
        world_run(&w, i + 1);
    }
    /* 9 cores of 12 asked: each node stands at three quarters. */
    cr_expect_eq(sim_node_find(w.sim, SV("n1"))->pods, 3);
    cr_expect_eq(sim_node_find(w.sim, SV("n2"))->pods, 6);
    world_end(&w);
}

/* By allocation alone the large node would get nearly all of them. */
Test(sched, spreads_a_workload_over_hostnames_by_default)
{
    struct world w;
    struct sim_pod_spec spec = world_spec(1000, -100, 1);

    world_start(&w, 3);
    (void)world_node(&w, "n1", 8);
    (void)world_node(&w, "n2", 32);
    (void)world_workload(&w, "filler", 10, &spec);
    world_run(&w, 5);
    cr_expect_eq(sim_node_find(w.sim, SV("n1"))->pods, 4, "%u",
                 sim_node_find(w.sim, SV("n1"))->pods);
    cr_expect_eq(sim_node_find(w.sim, SV("n2"))->pods, 6);
    world_end(&w);
}

/* The nodes are equally free on average, but the pod evens out what one of them has in use. */
Test(sched, prefers_the_node_whose_shares_become_more_even)
{
    struct world w;
    struct sim_pod_spec much_memory = world_spec(0, 0, 1), much_cpu = world_spec(4000, 0, 1);
    struct sim_pod_spec spec = world_spec(4000, 0, 1);

    world_start(&w, 1);
    much_memory.request.at[RESOURCE_CPU] = 100;
    much_memory.request.at[RESOURCE_MEMORY] = 4 * 4 * GIB;
    much_cpu.request.at[RESOURCE_MEMORY] = GIB / 10;
    spec.request.at[RESOURCE_MEMORY] = GIB / 10;
    for (int i = 0; i < 2; i++) {
        const struct sim_node *node = world_node(&w, i == 0 ? "n1" : "n2", 16);
        const struct sim_pod *pod;

        cr_assert(sim_pod_create(w.sim, i == 0 ? SV("a") : SV("b"),
                                 i == 0 ? &much_cpu : &much_memory, node, &pod, NULL));
    }
    (void)world_pod(&w, "new", &spec);
    world_run(&w, 1);
    EXPECT_ON(&w, "new", "n2");
    world_end(&w);
}

Test(sched, packs_where_the_template_prefers_its_own)
{
    struct world w;

    world_start(&w, 3);
    for (int i = 0; i < 4; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "n%d", i);
        (void)world_node(&w, name, 8);
    }

    struct sim_pod_spec spec = world_spec(1000, -100, 1);

    spec.packs = true;
    (void)world_workload(&w, "filler", 12, &spec);
    world_run(&w, 5);

    uint32_t most = 0, used = 0;

    for (uint32_t id = 0; id < 4; id++) {
        uint32_t pods = sim_node_at(w.sim, id)->pods;

        most = pods > most ? pods : most;
        used += pods != 0;
    }
    cr_expect_eq(most, 8);
    cr_expect_eq(used, 2);
    world_end(&w);
}

/* Paid pods before filler, and those of one priority in the order of their coming. */
Test(sched, takes_pods_by_priority_then_by_age)
{
    static const struct {
        const char *name;
        int32_t priority;
    } rows[] = {{"late", 0}, {"filler", -100}, {"later", 0}, {"first", 1000}};
    struct world w;

    world_start(&w, 1);
    world_node(&w, "n1", 3);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sim_pod_spec spec = world_spec(1000, rows[i].priority, 1);

        (void)world_pod(&w, rows[i].name, &spec);
    }
    world_run(&w, 0.002);
    EXPECT_ON(&w, "first", "n1");
    EXPECT_ON(&w, "late", "-");
    world_run(&w, 0.0035);
    EXPECT_ON(&w, "late", "n1");
    EXPECT_ON(&w, "later", "-");
    world_run(&w, 1);
    EXPECT_ON(&w, "later", "n1");
    EXPECT_ON(&w, "filler", "-");
    cr_expect(world_find(&w, "filler")->unschedulable);
    cr_expect(!world_find(&w, "late")->unschedulable);
    world_end(&w);
}

Test(sched, goes_by_taints_cordons_and_selectors)
{
    const struct label gpu = {SV("gpu"), SV("yes")};
    const struct taint keep_off = {SV("dedicated"), SV("x"), EFFECT_NO_SCHEDULE};
    struct node_record records[] = {world_node_record("plain", 2), world_node_record("gpu", 4),
                                    world_node_record("tainted", 32), world_node_record("off", 64)};
    struct world w;

    records[1].labels = &gpu;
    records[1].n_labels = 1;
    records[2].taints = &keep_off;
    records[2].n_taints = 1;
    records[3].unschedulable = true;
    world_start(&w, 1);
    for (size_t i = 0; i < COUNT_OF(records); i++) {
        const struct sim_node *node;

        cr_assert(sim_node_put(w.sim, &records[i], &node, NULL));
    }

    struct sim_pod_spec plain = world_spec(2000, 0, 1), picky = plain, brave = plain;
    const struct toleration any = {
        .op = TOLERATE_EXISTS, .effect = EFFECT_NO_SCHEDULE, .key = SV("dedicated")};

    picky.rules = (struct pod_rules){.node_selector = &gpu, .n_node_selector = 1};
    brave.rules = (struct pod_rules){.tolerations = &any, .n_tolerations = 1};
    brave.request.at[RESOURCE_CPU] = 20000;
    (void)world_pod(&w, "picky", &picky);
    (void)world_pod(&w, "picky2", &picky);
    (void)world_pod(&w, "brave", &brave);
    (void)world_pod(&w, "plain", &plain);
    (void)world_pod(&w, "plain2", &plain);
    world_run(&w, 1);
    EXPECT_ON(&w, "picky", "gpu");
    EXPECT_ON(&w, "picky2", "gpu");
    EXPECT_ON(&w, "brave", "tainted");
    EXPECT_ON(&w, "plain", "plain");
    EXPECT_ON(&w, "plain2", "-");

    /* What was in the way goes: the pod is tried again at once. */
    records[3].unschedulable = false;
    const struct sim_node *node;

    cr_assert(sim_node_put(w.sim, &records[3], &node, NULL));
    world_run(&w, 1.01);
    EXPECT_ON(&w, "plain2", "off");
    world_end(&w);
}

Test(sched, leaves_gated_pods_alone_until_the_gate_goes)
{
    struct world w;

    world_start(&w, 1);
    world_node(&w, "n1", 4);
    world_node(&w, "n2", 64);

    struct sim_pod_spec spec = world_spec(1000, -100, 1);
    const struct sv name = SV("n1");
    const struct requirement field = {
        .key = SV("metadata.name"), .op = OP_IN, .values = &name, .n_values = 1};
    const struct node_term term = {.fields = &field, .n_fields = 1};
    const struct pod_rules rules = {.has_affinity = true, .terms = &term, .n_terms = 1};

    spec.gated = true;

    const struct sim_pod *pod = world_pod(&w, "a", &spec);

    world_run(&w, 100);
    cr_expect_null(pod->node);
    cr_expect(!pod->unschedulable);
    cr_expect_eq(pod->attempts, 0);
    sim_pod_patch(w.sim, pod, &(struct sim_pod_patch){.ungate = true, .rules = &rules});
    world_run(&w, 100.01);
    EXPECT_ON(&w, "a", "n1");
    cr_expect_eq(pod->attempts, 1);
    world_end(&w);
}

/*
 * Back-off is 1, 2, 4, 8, 10 s after each failed attempt. While other pods are to be tried it is
 * kept to; with nothing else to do a woken pod is tried at once.
 */
Test(sched, keeps_a_pod_back_while_others_are_to_be_tried)
{
    static const int64_t waits_ms[] = {1999, 3000, 5000, 9000, 11000, 11000};
    struct node_record record = world_node_record("n1", 4);
    struct sim_pod_spec tall = world_spec(5000, 0, 0), tiny = world_spec(0, -1, 0);
    const struct sim_node *node;
    struct world w;
    int64_t ms = 0, tried = 1;

    world_start(&w, 1);
    sim_free(w.sim);
    w.config.attempt_us = 1000;
    w.sim = sim_new(&w.config);
    record.allocatable.at[RESOURCE_CPU] = 5500;
    record.allocatable.at[RESOURCE_PODS] = 1000000;
    cr_assert(sim_node_put(w.sim, &record, &node, NULL));

    /* Half a core too little is left, and 45 s of other work to do. A wait ends with its second. */
    struct sim_pod_spec holds = world_spec(1000, 0, 0);
    const struct sim_pod *pod, *blip;

    (void)world_pod(&w, "holds", &holds);
    world_run(&w, 1);
    pod = world_pod(&w, "waits", &tall);
    for (int i = 0; i < 45000; i++)
        (void)world_pod(&w, "", &tiny);
    ms = 1001;
    sim_run_until(w.sim, (struct mono){.us = ms * US_PER_MS});
    cr_assert_eq(pod->attempts, 1);
    for (size_t i = 0; i < COUNT_OF(waits_ms); i++) {
        for (tried = ms; pod->attempts == i + 1; ms++) {
            /* Room is freed each millisecond. */
            cr_assert(sim_pod_create(w.sim, SV("blip"), &tiny, node, &blip, NULL));
            sim_pod_delete(w.sim, blip, 0);
            sim_run_until(w.sim, (struct mono){.us = (ms + 1) * US_PER_MS});
        }
        cr_expect_eq(ms - tried, waits_ms[i], "attempt %zu came after %lld ms", i + 2,
                     (long long)(ms - tried));
    }
    world_end(&w);
}

/* The later one is more important, and both waits end in one second: it is taken first. */
Test(sched, takes_pods_whose_back_off_ends_in_one_second_by_priority)
{
    struct world w;
    struct sim_pod_spec tall = world_spec(4000, 10, 0), low = world_spec(3000, 0, 0);
    struct sim_pod_spec high = world_spec(3000, 5, 0);

    world_start(&w, 1);
    (void)world_node(&w, "n1", 4);

    const struct sim_pod *holds = world_pod(&w, "holds", &tall);

    high.preempts_never = true;
    world_run(&w, 1.1);
    (void)world_pod(&w, "low", &low);
    world_run(&w, 1.3);
    (void)world_pod(&w, "high", &high);
    world_run(&w, 1.4);
    sim_pod_delete(w.sim, holds, -1);
    world_run(&w, 1.5);
    EXPECT_ON(&w, "high", "n1");
    EXPECT_ON(&w, "low", "-");
    world_end(&w);
}

Test(sched, takes_a_pod_out_of_its_back_off_when_nothing_else_waits)
{
    struct world w;

    world_start(&w, 1);
    world_node(&w, "n1", 4);

    struct sim_pod_spec tall = world_spec(4000, 0, 0);
    const struct sim_pod *holds = world_pod(&w, "holds", &tall);

    world_run(&w, 0.1);
    (void)world_pod(&w, "waits", &tall);
    world_run(&w, 0.2);
    EXPECT_ON(&w, "waits", "-");
    sim_pod_delete(w.sim, holds, -1);
    world_run(&w, 0.202);
    EXPECT_ON(&w, "waits", "n1");
    world_end(&w);
}

Test(sched, tries_an_unschedulable_pod_again_after_five_minutes_in_any_case)
{
    struct world w;

    world_start(&w, 1);
    world_node(&w, "n1", 1);

    struct sim_pod_spec spec = world_spec(2000, 0, 0);
    const struct sim_pod *pod = world_pod(&w, "a", &spec);

    world_run(&w, 299);
    cr_expect_eq(pod->attempts, 1);
    world_run(&w, 331);
    cr_expect_eq(pod->attempts, 2);
    world_end(&w);
}

Test(sched, leaves_pods_whose_rules_no_node_meets_asleep_when_room_is_freed)
{
    const struct label gpu = {SV("gpu"), SV("yes")};
    struct world w;

    world_start(&w, 1);
    world_node(&w, "n1", 1);

    struct sim_pod_spec picky = world_spec(100, 0, 0), plain = world_spec(100, 0, 0);

    picky.rules = (struct pod_rules){.node_selector = &gpu, .n_node_selector = 1};

    const struct sim_pod *pod = world_pod(&w, "picky", &picky);
    const struct sim_pod *other = world_pod(&w, "plain", &plain);

    world_run(&w, 20);
    sim_pod_delete(w.sim, other, 0);
    world_run(&w, 40);
    cr_expect_eq(pod->attempts, 1);
    world_end(&w);
}

Test(sched, deletes_pods_of_a_removed_node_later_and_reuses_its_place)
{
    struct world w;

    world_start(&w, 1);

    const struct sim_node *node = world_node(&w, "n1", 4);
    struct sim_pod_spec spec = world_spec(1000, 0, 30);

    (void)world_pod(&w, "a", &spec);
    (void)world_pod(&w, "b", &spec);
    world_run(&w, 5);
    sim_node_remove(w.sim, node);
    cr_expect_null(sim_node_find(w.sim, SV("n1")));
    world_run(&w, 44);
    EXPECT_ON(&w, "a", "n1");
    world_run(&w, 46);
    EXPECT_ON(&w, "a", "gone");
    cr_expect_eq(sim_counts(w.sim).pods, 0);
    node = world_node(&w, "n2", 4);
    cr_expect_eq(node->id, 0);
    (void)world_pod(&w, "c", &spec);
    world_run(&w, 47);
    EXPECT_ON(&w, "c", "n2");

    /* A node that comes back in time keeps its pods. */
    sim_node_remove(w.sim, node);
    world_run(&w, 60);
    (void)world_node(&w, "n2", 4);
    world_run(&w, 200);
    EXPECT_ON(&w, "c", "n2");
    world_end(&w);
}

Test(sched, refuses_a_second_pod_of_one_name)
{
    struct world w;
    struct sim_pod_spec spec = world_spec(1, 0, 0);
    const struct sim_pod *pod;
    struct err err;

    world_start(&w, 1);
    (void)world_pod(&w, "a", &spec);
    cr_expect(!sim_pod_create(w.sim, SV("a"), &spec, NULL, &pod, &err));
    cr_expect_eq(err.kind, ERR_CONFLICT);
    spec.ns = SV("elsewhere");
    cr_expect(sim_pod_create(w.sim, SV("a"), &spec, NULL, &pod, &err));
    world_end(&w);
}
