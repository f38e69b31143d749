/*
 * Placement in the simulated cluster: its scheduler binds, preempts and refuses, its ReplicaSet
 * chooses whom to delete. What must hold at every moment is checked after every step.
 */
#include <criterion/criterion.h>

#include "base/alloc.h"
#include "base/num.h"
#include "capacity/claims.h"
#include "capacity/fit.h"
#include "policy/caps.h"
#include "policy/placement.h"
#include "policy/sim/sim.h"
#include "tests/unit/policy/random.h"

enum { FILLER, NODES = 6, LARGEST = 12, WORLDS = 150, ARRANGEMENTS = 300, GRACE_S = 10 };
enum tag { TAG_PAID, TAG_FILLER, TAG_HIDDEN /* holds room that brim does not know of */ };

struct world {
    struct random random;
    struct sim *sim;
    const struct sim_workload *filler;
    struct cluster *cluster;
    struct claims *claims;
    struct fit *fit;
    struct placer *placer;
    struct resources request;
    bool own_class;
    int64_t slots[NODES], before[NODES];
    int64_t z, h, n, most;
    struct placement_input in;
    uint64_t refused, admissions;
};

static struct resources cores(int64_t n)
{
    struct resources r = {0};

    r.at[RESOURCE_CPU] = n * 1000;
    r.at[RESOURCE_PODS] = 1;
    return r;
}

/* What brim hears. */
static void see(void *self, const struct sim_event *e)
{
    struct world *w = self;
    bool filler = e->kind == SIM_POD && e->pod->spec->tag == TAG_FILLER;
    struct pod_record record;

    if (e->kind == SIM_NODE)
        cluster_upsert_node(w->cluster, &e->node->record);
    if (e->kind != SIM_POD || e->pod->spec->tag == TAG_HIDDEN)
        return;
    record = sim_pod_record(w->sim, e->pod);
    if (e->verb == SIM_DELETED) {
        (void)cluster_remove_pod(w->cluster, record.uid);
        placement_drop(w->placer, w->cluster, record.uid, e->at);
        return;
    }
    (void)cluster_upsert_pod(w->cluster, &record, filler ? FILLER : CLUSTER_PAID, false);
    if (filler)
        placement_put(w->placer, w->cluster, &record, e->at);
}

static void add_filler(struct world *w, int32_t replicas)
{
    struct sim_workload_spec spec = {
        .kind = SV("Deployment"), .name = SV("filler"), .replicas = replicas};
    struct err err;

    spec.template = sim_pod_spec_default();
    spec.template.request = w->request;
    spec.template.gated = true;
    spec.template.tag = TAG_FILLER;
    spec.template.priority = w->own_class ? -10 : 0;
    spec.template.grace_us = spec.template.exit_us = GRACE_S * US_PER_S;
    cr_assert(sim_workload_add(w->sim, &spec, &w->filler, &err), "%s", err.text);
}

static void world_init(struct world *w, struct random random, bool own_class)
{
    struct sim_config config = sim_config_default();
    struct pod_rules any = {0};
    const struct sim_node *added;
    struct err err;

    *w = (struct world){.random = random,
                        .cluster = cluster_new(),
                        .claims = claims_new(),
                        .placer = placement_new(),
                        .request = cores(1),
                        .own_class = own_class,
                        .z = 1};
    config.seed = random_u64(&w->random);
    config.start.us = US_PER_S;
    config.observer = (struct sim_observer){.see = see, .self = w};
    w->fit = fit_new(&w->request, &any, 0);
    w->sim = sim_new(&config);
    for (int i = 0; i < NODES; i++) {
        char name[] = {'n', (char)('0' + i), '\0'};
        struct node_record node = {.name = sv_from(name),
                                   .ready = true,
                                   .allocatable = cores(random_in(&w->random, 2, LARGEST))};

        node.allocatable.at[RESOURCE_PODS] = 110;
        cr_assert(sim_node_put(w->sim, &node, &added, &err), "%s", err.text);
    }
}

static void world_done(struct world *w)
{
    char what[200];

    cr_assert(sim_verify(w->sim, what, sizeof what), "%s", what);
    sim_free(w->sim);
    placement_free(w->placer);
    fit_free(w->fit);
    claims_free(w->claims);
    cluster_free(w->cluster);
}

static const struct sim_pod *add_pod(struct world *w, int64_t n, enum tag tag,
                                     const struct sim_node *node)
{
    struct sim_pod_spec spec = sim_pod_spec_default();
    const struct sim_pod *pod;
    struct err err;

    spec.request = cores(n);
    spec.tag = tag;
    cr_assert(sim_pod_create(w->sim, (struct sv){0}, &spec, node, &pod, &err), "%s", err.text);
    return pod;
}

/* Filler pods by node that are bound and not terminating, as the simulation has them, and all. */
static int64_t count_bound(const struct world *w, int64_t *by_node)
{
    int64_t sum = 0;

    memset(by_node, 0, NODES * sizeof *by_node);
    for (uint32_t id = 0; id < sim_pod_limit(w->sim); id++) {
        const struct sim_pod *pod = sim_pod_at(w->sim, id);

        if (pod == NULL || pod->spec->tag != TAG_FILLER || pod->deleting || pod->node == NULL)
            continue;
        by_node[pod->node->id]++;
        sum++;
    }
    return sum;
}

/* The same and what was let in, or is being let in, by its reservation. */
static void count_let_in(const struct world *w, int64_t *by_node)
{
    (void)count_bound(w, by_node);
    for (uint32_t i = 0; i < NODES; i++)
        by_node[i] +=
            cluster_sum_place(cluster_node(w->cluster, i), NODE_SUM_ADMITTED, RESOURCE_PODS);
}

/* Nodes were added by name, so that their indexes are in the order of names. */
static void check_admissions(struct world *w, const struct placement_plan *plan)
{
    CLEANUP(caps_free_ptr) struct caps *memory = caps_new();
    const struct caps_input in = {.slots = w->slots,
                                  .filler = w->before,
                                  .n = NODES,
                                  .hole_slots = w->z,
                                  .kept_slots = min_i64(w->h, w->most - w->n)};
    const int64_t *caps = caps_compute(memory, &in);
    int64_t now[NODES];
    struct placement_counts counts = placement_counts(w->placer);

    count_let_in(w, now);
    for (size_t i = 0; i < plan->n_admit; i++) {
        const struct cluster_node *n = cluster_node(w->cluster, plan->admit[i].node);
        int64_t taken = 0;

        for (int sum = NODE_SUM_PAID; sum < NODE_SUM_COUNT_; sum++)
            taken += sum != NODE_SUM_LEAVING
                         ? cluster_sum_place(n, (enum node_sum)sum, RESOURCE_CPU)
                         : 0;
        cr_assert_leq(taken, cluster_sum_place(n, NODE_SUM_ALLOCATABLE, RESOURCE_CPU),
                      "more is let in than fits");
        cr_assert_leq(now[plan->admit[i].node], caps[plan->admit[i].node], "above the cap");
    }
    cr_assert(plan->n_admit == 0 || counts.admitted + counts.bound <= w->n,
              "%lld are let in, %lld wanted", (long long)(counts.admitted + counts.bound),
              (long long)w->n);
    w->admissions += plan->n_admit;
}

static void check_counts(const struct world *w)
{
    struct placement_counts counts = placement_counts(w->placer);
    int64_t by_node[NODES];
    char what[200];

    cr_assert_eq(counts.bound, count_bound(w, by_node));
    cr_assert_eq(counts.gated + counts.admitted + counts.bound, w->filler->live.replicas);
    cr_assert_eq(counts.leaving, w->filler->live.terminating);
    cr_assert(cluster_verify(w->cluster, what, sizeof what), "%s", what);
}

static void carry_out_admission(struct world *w, const struct placement_admission *admission)
{
    struct sv node = sv_from(cluster_node(w->cluster, admission->node)->name);
    struct requirement field = {
        .key = SV("metadata.name"), .op = OP_IN, .values = &node, .n_values = 1};
    struct node_term term = {.fields = &field, .n_fields = 1};
    struct pod_rules rules = {.has_affinity = true, .terms = &term, .n_terms = 1};
    struct sim_pod_patch patch = {.ungate = true, .rules = &rules};

    sim_pod_patch(w->sim, sim_pod_find(w->sim, SV("default"), admission->name), &patch);
}

/* Writes what the plan says; of 100 writes so many fail. The record may come before the answer. */
static void carry_out(struct world *w, const struct placement_plan *plan, int failures)
{
    struct mono now = sim_now(w->sim);

    for (size_t i = 0; i < plan->n_costs; i++) {
        struct sim_pod_patch patch = {.has_cost = true, .cost = plan->costs[i].cost};
        bool ok = !random_percent(&w->random, failures);

        if (ok)
            sim_pod_patch(w->sim, sim_pod_find(w->sim, SV("default"), plan->costs[i].name), &patch);
        placement_costed(w->placer, plan->costs[i].uid, plan->costs[i].cost, ok);
    }
    for (size_t i = 0; i < plan->n_admit; i++) {
        bool ok = !random_percent(&w->random, failures), early = random_percent(&w->random, 50);
        struct placement_admission admission = plan->admit[i];

        if (ok && early)
            carry_out_admission(w, &admission);
        placement_admitted(w->placer, w->cluster, admission.uid, ok, now);
        if (ok && !early)
            carry_out_admission(w, &admission);
    }
}

static void measure(struct world *w)
{
    struct claims_filler filler = {.priority = w->own_class ? -10 : 0,
                                   .own_class = w->own_class,
                                   .grace_us = GRACE_S * US_PER_S};

    (void)claims_update(w->claims, w->cluster, &filler, sim_now(w->sim));
    fit_update(w->fit, w->cluster);
    cluster_changed_clear(w->cluster);
    w->most = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        w->slots[i] = fit_node(w->fit, i).slots;
        w->most += w->slots[i];
    }
    count_let_in(w, w->before);
}

/* One turn of brim: N is x, or less. */
static const struct placement_plan *turn(struct world *w, int failures)
{
    const struct placement_plan *plan;
    struct placement_plan kept;

    measure(w);
    w->n = min_i64(w->n, w->most - min_i64(w->h, w->most));
    w->in = (struct placement_input){.mode = PLACEMENT_GATE,
                                     .cluster = w->cluster,
                                     .request = &w->request,
                                     .slots = w->slots,
                                     .n_nodes = NODES,
                                     .hole_slots = w->z,
                                     .kept_slots = w->h,
                                     .replicas = w->n,
                                     .asked = w->filler->replicas,
                                     .may_grow = true,
                                     .may_shrink = true,
                                     .preempts = w->own_class,
                                     .now = sim_now(w->sim),
                                     .refused_after_us = 5 * US_PER_S};
    plan = placement_step(w->placer, &w->in);
    kept = *plan;
    cr_assert(kept.evict >= 0 && kept.evict <= w->n);
    check_admissions(w, plan);
    carry_out(w, plan, failures);
    if (w->filler->replicas != w->n - kept.evict)
        sim_workload_scale(w->sim, w->filler, (int32_t)(w->n - kept.evict));
    check_counts(w);
    return plan;
}

static void let_pass(struct world *w, int64_t us)
{
    sim_run_until(w->sim, mono_plus_us(sim_now(w->sim), us));
}

static void random_event(struct world *w)
{
    const struct sim_pod *pod =
        sim_pod_at(w->sim, (uint32_t)random_in(&w->random, 0, sim_pod_limit(w->sim)));

    if (random_percent(&w->random, 30))
        (void)add_pod(w, random_in(&w->random, 1, 4), TAG_PAID, NULL);
    else if (random_percent(&w->random, 50) && pod != NULL && pod->spec->tag != TAG_FILLER)
        sim_pod_delete(w->sim, pod, -1);
    else if (random_percent(&w->random, 5) && pod != NULL)
        sim_pod_delete(w->sim, pod, -1);
    if (random_percent(&w->random, 10))
        w->n = random_in(&w->random, 0, w->most);
    if (random_percent(&w->random, 5))
        w->z = random_in(&w->random, 1, 5);
    if (random_percent(&w->random, 5))
        w->h = w->z * random_in(&w->random, 0, 6);
}

Test(placement_world, never_lets_in_more_than_wanted_nor_than_fits, .timeout = 300)
{
    struct random random = random_start("placement_world");
    uint64_t admissions = 0;

    for (int i = 0; i < WORLDS; i++) {
        struct world w;

        world_init(&w, random, i % 2 == 0);
        add_filler(&w, 0);
        measure(&w);
        for (int j = 0; j < 200; j++) {
            random_event(&w);
            let_pass(&w, random_in(&w.random, 0, random_percent(&w.random, 90) ? 300000 : 9000000));
            (void)turn(&w, 10);
        }
        admissions += w.admissions;
        random = w.random;
        world_done(&w);
    }
    cr_assert_gt(admissions, 10 * WORLDS, "%llu are too few to tell",
                 (unsigned long long)admissions);
}

Test(placement_world, comes_to_rest_with_all_that_is_wanted_bound, .timeout = 300)
{
    struct random random = random_start("placement_world_rest");

    for (int i = 0; i < WORLDS; i++) {
        int64_t by_node[NODES];
        uint64_t admissions;
        struct world w;

        world_init(&w, random, i % 2 == 0);
        add_filler(&w, 0);
        measure(&w);
        for (int j = 0; j < 100; j++) {
            random_event(&w);
            let_pass(&w, 200000);
            (void)turn(&w, 0);
        }
        for (int j = 0; j < 600; j++) {
            w.n = w.most; /* turn() takes it down to x */
            let_pass(&w, 200000);
            (void)turn(&w, 0);
        }
        admissions = w.admissions;
        cr_assert_eq(count_bound(&w, by_node), w.n, "%lld of %lld are bound",
                     (long long)count_bound(&w, by_node), (long long)w.n);
        for (int j = 0; j < 100; j++) {
            let_pass(&w, 200000);
            cr_assert_eq(turn(&w, 0)->n_costs, 0);
        }
        cr_assert_eq(w.admissions, admissions, "at rest nothing moves");
        random = w.random;
        world_done(&w);
    }
}

/* Puts filler on the nodes at random, until it is where it is. */
static void arrange(struct world *w)
{
    measure(w);
    add_filler(w, (int32_t)random_in(&w->random, 1, w->most));
    let_pass(w, 20 * US_PER_S);
    for (uint32_t id = 0; id < sim_pod_limit(w->sim); id++) {
        const struct sim_pod *pod = sim_pod_at(w->sim, id);
        struct placement_admission to = {.node = (uint32_t)random_in(&w->random, 0, NODES - 1)};

        if (pod == NULL || pod->spec->tag != TAG_FILLER)
            continue;
        while (sim_node_at(w->sim, to.node)->used.at[RESOURCE_CPU] >=
               sim_node_at(w->sim, to.node)->record.allocatable.at[RESOURCE_CPU])
            to.node = (to.node + 1) % NODES;
        to.name = pod->name;
        carry_out_admission(w, &to);
        let_pass(w, US_PER_S / 10);
    }
    let_pass(w, 5 * US_PER_S);
}

Test(placement_world, without_preemption_a_paid_pod_that_one_node_could_hold_waits_no_longer,
     .timeout = 300)
{
    struct random random = random_start("placement_world_blocked");
    int64_t longest = 0, waited = 0;

    for (int i = 0; i < ARRANGEMENTS; i++) {
        const struct sim_pod *paid;
        int64_t largest = 0, waits;
        struct world w;

        world_init(&w, random, false);
        for (int64_t j = random_in(&w.random, 0, 4); j > 0; j--)
            (void)add_pod(&w, random_in(&w.random, 1, 2), TAG_PAID, NULL);
        let_pass(&w, 5 * US_PER_S);
        arrange(&w);
        measure(&w);
        for (uint32_t j = 0; j < NODES; j++)
            largest = max_i64(largest, w.slots[j]);
        paid = add_pod(&w, max_i64(largest - random_in(&w.random, 0, 2), 1), TAG_PAID, NULL);
        w.n = w.filler->replicas;
        waits = sim_now(w.sim).us;
        while (paid->node == NULL && sim_now(w.sim).us - waits < 60 * US_PER_S) {
            let_pass(&w, 100 * US_PER_MS);
            (void)turn(&w, 0);
        }
        waits = sim_now(w.sim).us - waits;
        longest = max_i64(longest, waits);
        waited += waits > US_PER_S;
        cr_assert_leq(waits, (GRACE_S + 10 + 5) * US_PER_S, "arrangement %d: waits %lld us", i,
                      (long long)waits);
        random = w.random;
        world_done(&w);
    }
    cr_assert_gt(waited, ARRANGEMENTS / 10, "filler stood in the way too seldom to tell");
}

/* The deadline for whom the node refuses, from when the scheduler says so until it is gone. */
static void watch_refused(const struct world *w, int64_t *since, size_t n)
{
    for (uint32_t id = 0; id < n; id++) {
        const struct sim_pod *pod = id < sim_pod_limit(w->sim) ? sim_pod_at(w->sim, id) : NULL;

        if (pod == NULL || pod->spec->tag != TAG_FILLER || !pod->unschedulable || pod->gated)
            since[id] = 0;
        else if (since[id] == 0)
            since[id] = sim_now(w->sim).us;
        cr_assert(since[id] == 0 || sim_now(w->sim).us - since[id] <= 5 * US_PER_S,
                  "unschedulable for more than 5 s");
    }
}

Test(placement_world, no_filler_is_unschedulable_for_long_where_nodes_refuse_it, .timeout = 300)
{
    struct random random = random_start("placement_world_refused");
    uint64_t refused = 0;

    for (int i = 0; i < WORLDS / 3; i++) {
        int64_t since[1000] = {0}, by_node[NODES];
        struct world w;

        world_init(&w, random, true);
        add_filler(&w, 0);
        for (int j = 0; j < 3; j++)
            (void)add_pod(&w, random_in(&w.random, 1, 4), TAG_HIDDEN, NULL);
        let_pass(&w, US_PER_S);
        measure(&w);
        for (int j = 0; j < 300; j++) {
            w.n = max_i64(w.most - 14, 0);
            let_pass(&w, 100 * US_PER_MS);
            (void)turn(&w, 0);
            watch_refused(&w, since, COUNT_OF(since));
        }
        refused += placement_counts(w.placer).refused;
        cr_assert_eq(count_bound(&w, by_node), w.n, "the others took them");
        random = w.random;
        world_done(&w);
    }
    cr_assert_gt(refused, 0);
}
