#include "policy/sim/sim.h"

#include <math.h>

#include "capacity/selector.h"
#include "tests/unit/sim/world.h"

/* ---- the scheduler against a look at every node ---- */

/* Free room as a pod sees it, from the views alone. */
static struct resources room_for(const struct sim *s, const struct sim_node *node,
                                 const struct sim_pod *pod)
{
    struct resources room = node->record.allocatable;

    for (uint32_t id = 0; id < sim_pod_limit(s); id++) {
        const struct sim_pod *other = sim_pod_at(s, id);

        if (other == NULL || other == pod)
            continue;
        if ((other->node == node && other->phase != PHASE_SUCCEEDED) ||
            (other->nominated == node && other->spec->priority >= pod->spec->priority))
            resources_sub(&room, &other->spec->request);
    }
    return room;
}

static bool could_take(const struct sim *s, const struct sim_node *node, const struct sim_pod *pod)
{
    struct resources room = room_for(s, node, pod);

    return resources_fit(&pod->spec->request, &room, NULL) &&
           rules_check_node(pod->rules, &node->record) == NODE_ACCEPTS;
}

/* BalancedAllocation: what is asked on the node with this pod there, as shares. */
static int64_t balance_with(const struct sim *s, const struct sim_node *node,
                            const struct sim_pod *pod)
{
    const int64_t *has = node->record.allocatable.at, *asks = pod->spec->request.at;
    double cpu = 0, mem = 0;

    if (asks[RESOURCE_CPU] == 0 && asks[RESOURCE_MEMORY] == 0)
        return 0;
    for (uint32_t id = 0; id < sim_pod_limit(s); id++) {
        const struct sim_pod *p = sim_pod_at(s, id);

        if (p == NULL || (p != pod && (p->node != node || p->phase == PHASE_SUCCEEDED)))
            continue;
        cpu += (double)p->spec->request.at[RESOURCE_CPU];
        mem += (double)p->spec->request.at[RESOURCE_MEMORY];
    }
    cpu = fmin(cpu / (double)has[RESOURCE_CPU], 1);
    mem = fmin(mem / (double)has[RESOURCE_MEMORY], 1);
    return (int64_t)((1 - fabs((cpu - mem) / 2)) * 100);
}

/* Allocation scores with this pod there; what asks for nothing counts as 100m and 200 MiB. */
static int64_t score_with(const struct sim *s, const struct sim_node *node,
                          const struct sim_pod *pod)
{
    int64_t cpu = 0, mem = 0;
    const int64_t *has = node->record.allocatable.at;

    for (uint32_t id = 0; id < sim_pod_limit(s); id++) {
        const struct sim_pod *p = sim_pod_at(s, id);

        if (p == NULL || (p != pod && (p->node != node || p->phase == PHASE_SUCCEEDED)))
            continue;
        cpu += p->spec->request.at[RESOURCE_CPU] > 0 ? p->spec->request.at[RESOURCE_CPU] : 100;
        mem += p->spec->request.at[RESOURCE_MEMORY] > 0 ? p->spec->request.at[RESOURCE_MEMORY]
                                                        : INT64_C(200) << 20;
    }
    return ((cpu <= has[RESOURCE_CPU] ? (has[RESOURCE_CPU] - cpu) * 100 / has[RESOURCE_CPU] : 0) +
            (mem <= has[RESOURCE_MEMORY] ? (has[RESOURCE_MEMORY] - mem) * 100 / has[RESOURCE_MEMORY]
                                         : 0)) /
               2 +
           balance_with(s, node, pod);
}

struct judge {
    struct world *world;
    uint64_t bound, failed; /* judged so far */
    uint64_t bindings;
};

/* A pod that was just bound stands where it scores best; for one that was refused there was no
 * room. */
static void judge(void *self, const struct sim_event *e)
{
    struct judge *j = self;
    const struct sim *s = j->world->sim;
    struct sim_counts now = sim_counts(s);
    bool bound = now.bindings != j->bindings;

    j->bindings = now.bindings;
    world_see(j->world, e);
    if (e->kind != SIM_POD || e->verb != SIM_MODIFIED)
        return;
    /* A refusal that is told: the first. */
    if (!bound && (!e->pod->unschedulable || e->pod->attempts != 1 || e->pod->deleting ||
                   e->pod->failed_at.us != e->at.us))
        return;
    if (bound)
        cr_assert(could_take(s, e->pod->node, e->pod), "bound where it may not stand");
    for (uint32_t id = 0; id < sim_node_limit(s); id++) {
        const struct sim_node *node = sim_node_at(s, id);

        if (node == NULL || (bound && node == e->pod->node))
            continue;
        if (!bound) {
            cr_assert(!could_take(s, node, e->pod), "node %u had room for a refused pod", id);
            continue;
        }
        if (could_take(s, node, e->pod) && e->pod->owner == NULL && !e->pod->blocked)
            cr_assert_leq(score_with(s, node, e->pod), score_with(s, e->pod->node, e->pod),
                          "node %u would have been better", id);
    }
    j->bound += bound;
    j->failed += !bound;
}

/* A node keeps its size when it comes back: pods may still be on it. */
static int64_t cores_of(int node)
{
    return 4 + node * 3 % 8;
}

/* One random thing that a user or a cloud does. */
static void do_something(struct world *w, struct random *r)
{
    uint32_t limit = sim_pod_limit(w->sim);
    const struct sim_pod *pod =
        limit != 0 ? sim_pod_at(w->sim, (uint32_t)random_in(r, 0, limit - 1)) : NULL;
    const struct sim_workload *filler =
        sim_workload_find(w->sim, SV("Deployment"), SV("default"), SV("filler"));
    struct sim_pod_spec spec = world_spec(
        random_in(r, 0, 30) * 100, (int32_t)random_in(r, -2, 3) * 100, (double)random_in(r, 0, 20));
    char name[16];
    struct node_record record;
    const struct sim_node *node;

    int which = (int)random_in(r, 0, 11);

    (void)snprintf(name, sizeof name, "n%d", which);
    record = world_node_record(name, cores_of(which));
    switch (random_in(r, 0, 14)) {
    case 0:
        record.unschedulable = random_percent(r, 30);
        cr_assert(sim_node_put(w->sim, &record, &node, NULL));
        break;
    case 1:
        node = sim_node_find(w->sim, sv_from(name));
        if (node != NULL && random_percent(r, 30))
            sim_node_remove(w->sim, node);
        break;
    case 2:
    case 3:
        sim_workload_scale(w->sim, filler, (int32_t)random_in(r, 0, 60));
        break;
    case 4:
    case 5:
    case 6:
        if (pod != NULL)
            sim_pod_delete(w->sim, pod, random_percent(r, 20) ? random_in(r, 0, 5) * 500000 : -1);
        break;
    case 7:
        if (pod != NULL)
            sim_pod_patch(w->sim, pod,
                          &(struct sim_pod_patch){.ungate = random_percent(r, 50),
                                                  .has_cost = true,
                                                  .cost = (int32_t)random_in(r, -3, 3)});
        break;
    default:
        spec.gated = random_percent(r, 10);
        spec.preempts_never = random_percent(r, 20);
        spec.run_us = random_percent(r, 20) ? random_in(r, 1, 60) * US_PER_S : 0;
        spec.ready_us = random_percent(r, 20) ? US_PER_S : 0;
        (void)world_pod(w, "", &spec);
        break;
    }
}

/* A history of a few minutes; returns what tells it from others. */
static uint64_t play(uint64_t seed, int steps, struct judge *j)
{
    struct random r = {.seed = seed, .state = seed};
    struct sim_pod_spec template = world_spec(1000, -100, 5);
    struct world w;
    double at = 0;

    world_start(&w, seed);
    sim_free(w.sim);
    w.config.jitter_percent = 20;
    if (j != NULL) {
        *j = (struct judge){.world = &w, .bound = j->bound, .failed = j->failed};
        w.config.observer = (struct sim_observer){.see = judge, .self = j};
    }
    w.sim = sim_new(&w.config);
    template.preempts_never = true;
    template.packs = random_percent(&r, 50);
    template.gated = random_percent(&r, 20);
    for (int i = 0; i < 6; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "n%d", i);
        (void)world_node(&w, name, cores_of(i));
    }
    (void)world_workload(&w, "filler", 20, &template);
    for (int i = 0; i < steps; i++) {
        at += (double)random_in(&r, 0, 3000) / 1000;
        world_run(&w, at);
        do_something(&w, &r);
        world_verify(&w);
    }
    world_run(&w, at + 100);

    uint64_t digest = w.digest;

    world_end(&w);
    return digest;
}

Test(sim, keeps_its_sums_over_random_histories)
{
    struct random r = random_start("sim_histories");

    for (int i = 0; i < 40; i++)
        (void)play(random_u64(&r), 150, NULL);
}

Test(sim, places_pods_where_a_look_at_every_node_would)
{
    struct random r = random_start("sim_places");
    struct judge j = {0};

    for (int i = 0; i < 20; i++)
        (void)play(random_u64(&r), 150, &j);
    cr_expect_gt(j.bound, 500, "only %llu bindings were judged", (unsigned long long)j.bound);
    cr_expect_gt(j.failed, 50, "only %llu refusals were judged", (unsigned long long)j.failed);
}

Test(sim, does_the_same_again_with_the_same_seed)
{
    struct random r = random_start("sim_same");

    for (int i = 0; i < 5; i++) {
        uint64_t seed = random_u64(&r), first = play(seed, 100, NULL);

        cr_assert_eq(first, play(seed, 100, NULL));
        cr_assert_neq(first, play(seed + 1, 100, NULL));
    }
}

Test(sim, gives_the_same_whether_time_moves_in_steps_or_at_once)
{
    uint64_t digests[2];

    for (int i = 0; i < 2; i++) {
        struct world w;
        struct sim_pod_spec spec = world_spec(1000, 0, 1);

        world_start(&w, 5);
        (void)world_node(&w, "n1", 16);
        (void)world_workload(&w, "web", 40, &spec);
        if (i == 0)
            world_run(&w, 60);
        for (int64_t us = 0; i == 1 && us <= SECONDS(60); us += 333)
            sim_run_until(w.sim, (struct mono){.us = us});
        sim_run_until(w.sim, (struct mono){.us = SECONDS(60)});
        digests[i] = w.digest;
        world_end(&w);
    }
    cr_expect_eq(digests[0], digests[1]);
}

Test(sim, ends_pods_that_have_an_end)
{
    struct world w;
    struct sim_pod_spec spec = world_spec(1000, 0, 1);

    world_start(&w, 1);
    (void)world_node(&w, "n1", 1);
    spec.run_us = SECONDS(10);

    const struct sim_pod *pod = world_pod(&w, "job", &spec);

    (void)world_pod(&w, "next", &spec);
    world_run(&w, 12);
    EXPECT_ON(&w, "next", "-");
    world_run(&w, 12.1);
    cr_expect_eq(pod->phase, PHASE_SUCCEEDED);
    EXPECT_ON(&w, "next", "n1");
    world_end(&w);
}

Test(sim, shortens_a_grace_but_never_lengthens_it)
{
    struct world w;
    struct sim_pod_spec spec = world_spec(1000, 0, 30);

    world_start(&w, 1);
    (void)world_node(&w, "n1", 1);

    const struct sim_pod *pod = world_pod(&w, "a", &spec);

    world_run(&w, 5);
    sim_pod_delete(w.sim, pod, -1);
    world_run(&w, 6);
    sim_pod_delete(w.sim, pod, SECONDS(60));
    world_run(&w, 7);
    sim_pod_delete(w.sim, pod, SECONDS(2));
    world_run(&w, 8.9);
    EXPECT_ON(&w, "a", "n1");
    world_run(&w, 9.1);
    EXPECT_ON(&w, "a", "gone");
    world_end(&w);
}

Test(sim, lets_a_pod_go_at_once_that_has_not_started)
{
    struct world w;
    struct sim_pod_spec spec = world_spec(1000, 0, 30);

    world_start(&w, 1);
    (void)world_node(&w, "n1", 1);

    const struct sim_pod *pod = world_pod(&w, "a", &spec);

    world_run(&w, 1);
    cr_assert_not_null(pod->node);
    sim_pod_delete(w.sim, pod, -1);
    world_run(&w, 1.001);
    EXPECT_ON(&w, "a", "gone");
    world_end(&w);
}

/* Twelve cores of load per pod's target of 1: the web app of twelve, found in doublings. */
static struct hpa_reading twelve(void *self, size_t index, struct mono now)
{
    (void)self, (void)index, (void)now;
    return (struct hpa_reading){.valid = true, .milli = 12000};
}

Test(sim, lets_an_hpa_scale_a_workload)
{
    static const int32_t sizes[] = {4, 8, 12, 12};
    struct world w;
    struct sim_pod_spec spec = world_spec(1000, 0, 1);
    struct hpa_spec hpa = hpa_spec_default();
    const struct sim_metrics metrics = {.read = twelve};

    world_start(&w, 1);
    (void)world_node(&w, "n1", 20);

    const struct sim_workload *web = world_workload(&w, "web", 1, &spec);

    hpa.max = 20;
    hpa.metrics[0] = (struct hpa_metric){.target = HPA_AVERAGE_VALUE, .target_milli = 1000};
    hpa.n_metrics = 1;
    cr_assert(sim_hpa_add(w.sim, web, &hpa, &metrics, (struct mono){.us = SECONDS(10)}, NULL));
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        world_run(&w, 10.1 + 15.01 * (double)i);
        cr_expect_eq(web->replicas, sizes[i], "round %zu: %d", i, web->replicas);
    }
    sim_workload_remove(w.sim, web);
    world_run(&w, 100);
    cr_expect_eq(sim_counts(w.sim).pods, 0);
    world_end(&w);
}

Test(sim, shows_a_pod_as_capacity_knows_it)
{
    const struct label labels[] = {{SV("app"), SV("web")}};
    struct world w;
    struct sim_pod_spec spec = world_spec(1500, 7, 12);

    world_start(&w, 1);
    (void)world_node(&w, "n1", 2);
    spec.labels = labels;
    spec.n_labels = 1;
    spec.priority_class = SV("high");

    const struct sim_workload *web = world_workload(&w, "web", 1, &spec);

    world_run(&w, 5);

    struct pod_record r = sim_pod_record(w.sim, sim_pod_at(w.sim, 0));

    cr_expect(sv_eq(r.node, SV("n1")) && sv_eq(r.ns, SV("default")));
    cr_expect(sv_eq(r.priority_class, SV("high")) && sv_eq(r.labels[0].value, SV("web")));
    cr_expect(uid_eq(r.owner_uid, web->uid) && sv_eq(r.owner_name, SV("web")));
    cr_expect_eq(r.request.at[RESOURCE_CPU], 1500);
    cr_expect_eq(r.request.at[RESOURCE_PODS], 1);
    cr_expect_eq(r.grace_s, 12);
    cr_expect_eq(r.priority, 7);
    cr_expect(r.ready && !r.deleting && pod_record_counted(&r));
    world_end(&w);
}
