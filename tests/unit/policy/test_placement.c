#include <criterion/criterion.h>

#include "base/alloc.h"
#include "base/num.h"
#include "capacity/claims.h"
#include "capacity/fit.h"
#include "policy/placement.h"

enum { FILLER, MAX_NODES = 8, MANY = 300 };

/* One filler of 1 core on a few nodes; what is asked for is written down by hand. */
struct bench {
    struct cluster *cluster;
    struct claims *claims;
    struct fit *fit;
    struct placer *placer;
    struct resources request;
    int64_t slots[MAX_NODES];
    struct placement_input in;
};

static struct resources cores(int64_t n)
{
    struct resources r = {0};

    r.at[RESOURCE_CPU] = n * 1000;
    r.at[RESOURCE_PODS] = 1;
    return r;
}

static struct bench bench_new(void)
{
    struct pod_rules any = {0};
    struct resources request = cores(1);

    return (struct bench){.cluster = cluster_new(),
                          .claims = claims_new(),
                          .fit = fit_new(&request, &any, 0),
                          .placer = placement_new(),
                          .request = request,
                          .in = {.mode = PLACEMENT_GATE,
                                 .hole_slots = 1,
                                 .may_grow = true,
                                 .may_shrink = true,
                                 .preempts = true,
                                 .now = {.us = US_PER_S},
                                 .refused_after_us = 5 * US_PER_S}};
}

static void bench_done(struct bench *b)
{
    char what[200];

    cr_assert(cluster_verify(b->cluster, what, sizeof what), "%s", what);
    placement_free(b->placer);
    fit_free(b->fit);
    claims_free(b->claims);
    cluster_free(b->cluster);
}

static uint32_t add_node(struct bench *b, const char *name, int64_t n)
{
    struct node_record node = {.name = sv_from(name), .allocatable = cores(n), .ready = true};

    node.allocatable.at[RESOURCE_PODS] = 110;
    cluster_upsert_node(b->cluster, &node);
    return cluster_find_node(b->cluster, node.name);
}

static struct pod_record make_pod(uint64_t id, int64_t n, const char *node)
{
    return (struct pod_record){.uid = {.hi = 1, .lo = id},
                               .name = SV("pod"),
                               .request = cores(n),
                               .node = sv_from(node),
                               .phase = node != NULL ? PHASE_RUNNING : PHASE_PENDING,
                               .ready = node != NULL,
                               .created = {.us = (int64_t)id * US_PER_S}};
}

static void put_paid(struct bench *b, struct pod_record pod)
{
    (void)cluster_upsert_pod(b->cluster, &pod, CLUSTER_PAID, false);
}

static void put(struct bench *b, struct pod_record pod)
{
    (void)cluster_upsert_pod(b->cluster, &pod, FILLER, false);
    placement_put(b->placer, b->cluster, &pod, b->in.now);
}

static void put_gated(struct bench *b, uint64_t first, uint64_t last)
{
    for (uint64_t id = first; id <= last; id++) {
        struct pod_record pod = make_pod(id, 1, NULL);

        pod.gated = true;
        put(b, pod);
    }
}

static void put_bound(struct bench *b, uint64_t first, uint64_t last, const char *node)
{
    for (uint64_t id = first; id <= last; id++)
        put(b, make_pod(id, 1, node));
}

static void gone(struct bench *b, uint64_t id)
{
    struct uid uid = {.hi = 1, .lo = id};

    (void)cluster_remove_pod(b->cluster, uid);
    placement_drop(b->placer, b->cluster, uid, b->in.now);
}

static const struct placement_plan *step(struct bench *b, int64_t replicas, int64_t asked)
{
    struct claims_filler filler = {.priority = -1, .own_class = true};

    (void)claims_update(b->claims, b->cluster, &filler, b->in.now);
    fit_update(b->fit, b->cluster);
    cluster_changed_clear(b->cluster);
    b->in.cluster = b->cluster;
    b->in.request = &b->request;
    b->in.slots = b->slots;
    b->in.n_nodes = cluster_node_limit(b->cluster);
    for (uint32_t i = 0; i < b->in.n_nodes; i++)
        b->slots[i] = fit_node(b->fit, i).slots;
    b->in.replicas = replicas;
    b->in.asked = asked;
    return placement_step(b->placer, &b->in);
}

static void expect_admission(const struct placement_plan *plan, size_t i, uint64_t id,
                             uint32_t node)
{
    cr_assert_lt(i, plan->n_admit);
    cr_assert_eq(plan->admit[i].uid.lo, id, "admission %zu is of %llu", i,
                 (unsigned long long)plan->admit[i].uid.lo);
    cr_assert_eq(plan->admit[i].node, node, "admission %zu goes to %u", i, plan->admit[i].node);
}

static void expect_cost(const struct placement_plan *plan, size_t i, uint64_t id, int32_t cost)
{
    cr_assert_lt(i, plan->n_costs);
    cr_assert_eq(plan->costs[i].uid.lo, id, "cost %zu is of %llu", i,
                 (unsigned long long)plan->costs[i].uid.lo);
    cr_assert_eq(plan->costs[i].cost, cost);
}

/* Answers every entry of the plan. */
static void answer(struct bench *b, const struct placement_plan *plan, bool ok)
{
    for (size_t i = 0; i < plan->n_costs; i++)
        placement_costed(b->placer, plan->costs[i].uid, plan->costs[i].cost, ok);
    for (size_t i = 0; i < plan->n_admit; i++)
        placement_admitted(b->placer, b->cluster, plan->admit[i].uid, ok, b->in.now);
}

Test(placement, lets_the_oldest_in_to_the_fullest_node)
{
    struct bench b = bench_new();
    uint32_t n1 = add_node(&b, "n1", 4), n2 = add_node(&b, "n2", 4), n3 = add_node(&b, "n3", 4);
    const struct placement_plan *plan;

    put_bound(&b, 1, 1, "n2");
    put_paid(&b, make_pod(2, 3, "n3"));
    put_gated(&b, 10, 20);
    plan = step(&b, 6, 12);
    cr_assert_eq(plan->n_admit, 5, "six may be there");
    expect_admission(plan, 0, 10, n3);
    expect_admission(plan, 1, 11, n2);
    expect_admission(plan, 3, 13, n2);
    expect_admission(plan, 4, 14, n1);
    cr_assert_eq(step(&b, 6, 12)->n_admit, 0, "they count from now on");
    cr_assert_eq(placement_counts(b.placer).gated, 6);
    cr_assert_eq(placement_counts(b.placer).admitted, 5);
    bench_done(&b);
}

Test(placement, ties_go_by_name_not_by_arrival)
{
    struct bench b = bench_new();
    uint32_t last = add_node(&b, "z", 4), first = add_node(&b, "a", 4);

    put_gated(&b, 1, 1);
    expect_admission(step(&b, 1, 1), 0, 1, first);
    cr_assert_neq(first, last);
    bench_done(&b);
}

Test(placement, leaves_the_holes_alone)
{
    struct bench b = bench_new();
    uint32_t n1 = add_node(&b, "n1", 4);

    (void)add_node(&b, "n2", 4);
    b.in.hole_slots = 4;
    b.in.kept_slots = 4;
    put_gated(&b, 1, 8);

    const struct placement_plan *plan = step(&b, 4, 8);

    cr_assert_eq(plan->n_admit, 4);
    for (size_t i = 0; i < 4; i++)
        cr_assert_neq(plan->admit[i].node, n1, "of equals the first keeps the hole");
    bench_done(&b);
}

Test(placement, a_minimum_reaches_into_what_is_kept)
{
    struct bench b = bench_new();

    (void)add_node(&b, "n1", 4);
    b.in.kept_slots = 4;
    put_gated(&b, 1, 4);
    cr_assert_eq(step(&b, 3, 4)->n_admit, 3);
    bench_done(&b);
}

Test(placement, waits_for_terminating_filler_and_for_claims)
{
    struct bench b = bench_new();
    struct pod_record leaving = make_pod(1, 1, "n1"), waiting = make_pod(2, 2, NULL);

    (void)add_node(&b, "n1", 3);
    put(&b, leaving);
    leaving.deleting = true;
    put(&b, leaving);
    put_paid(&b, waiting);
    put_gated(&b, 10, 12);
    cr_assert_eq(step(&b, 3, 3)->n_admit, 0, "one slot, and it is not free yet");
    cr_assert_eq(placement_counts(b.placer).leaving, 1);
    gone(&b, 1);
    cr_assert_eq(step(&b, 3, 3)->n_admit, 1);
    bench_done(&b);
}

Test(placement, two_fillers_never_take_the_same_room)
{
    struct bench b = bench_new();
    struct placer *other = placement_new(), *first = b.placer;
    struct pod_record pod = make_pod(50, 1, NULL);

    (void)add_node(&b, "n1", 2);
    put_gated(&b, 1, 2);
    cr_assert_eq(step(&b, 2, 2)->n_admit, 2);
    pod.gated = true;
    (void)cluster_upsert_pod(b.cluster, &pod, 1, false);
    placement_put(other, b.cluster, &pod, b.in.now);
    b.placer = other;
    cr_assert_eq(step(&b, 1, 1)->n_admit, 0);
    placement_admitted(first, b.cluster, (struct uid){.hi = 1, .lo = 1}, false, b.in.now);
    cr_assert_eq(step(&b, 1, 1)->n_admit, 1, "what was refused is free again");
    b.placer = first;
    placement_free(other);
    bench_done(&b);
}

Test(placement, lets_nobody_in_while_it_may_not_grow_nor_without_gates)
{
    struct bench b = bench_new();
    struct pod_record held = make_pod(9, 1, NULL);

    (void)add_node(&b, "n1", 4);
    held.gated = held.gated_by_others = true;
    put(&b, held);
    cr_assert_eq(step(&b, 1, 1)->n_admit, 0, "it waits behind gates of others");
    put_gated(&b, 1, 1);
    b.in.may_grow = false;
    cr_assert_eq(step(&b, 1, 1)->n_admit, 0);
    b.in.may_grow = true;
    b.in.mode = PLACEMENT_AFFINITY;
    cr_assert_eq(step(&b, 1, 1)->n_admit, 0);
    b.in.mode = PLACEMENT_GATE;
    cr_assert_eq(step(&b, 1, 1)->n_admit, 1);
    bench_done(&b);
}

Test(placement, tries_again_after_a_write_that_failed)
{
    struct bench b = bench_new();
    const struct placement_plan *plan;

    (void)add_node(&b, "n1", 4);
    put_gated(&b, 1, 1);
    answer(&b, step(&b, 1, 1), false);
    plan = step(&b, 1, 1);
    cr_assert_eq(plan->n_admit, 0);
    cr_assert(plan->has_wake);
    cr_assert_eq(plan->wake.us, b.in.now.us + PLACEMENT_RETRY_US);
    b.in.now = plan->wake;
    cr_assert_eq(step(&b, 1, 1)->n_admit, 1);
    bench_done(&b);
}

Test(placement, tries_again_ever_more_seldom_what_is_refused_again_and_again)
{
    static const int64_t pauses_s[] = {1, 2, 4, 8, 16, 32, 64, 64};
    struct bench b = bench_new();

    (void)add_node(&b, "n1", 4);
    put_gated(&b, 1, 1);
    put_gated(&b, 2, 2);
    answer(&b, step(&b, 1, 1), false);
    for (size_t i = 0; i < COUNT_OF(pauses_s); i++) {
        const struct placement_plan *plan = step(&b, 1, 1);

        if (i == 0) { /* the other one may go meanwhile */
            cr_assert_eq(plan->n_admit, 1);
            answer(&b, plan, true);
            plan = step(&b, 2, 2);
        }
        cr_assert_eq(plan->n_admit, 0);
        b.in.now = mono_plus_us(b.in.now, pauses_s[i] * US_PER_S - 1);
        cr_assert_eq(step(&b, 2, 2)->n_admit, 0, "after %lld s", (long long)pauses_s[i]);
        b.in.now = mono_plus_us(b.in.now, 1);
        plan = step(&b, 2, 2);
        cr_assert_eq(plan->n_admit, 1, "after %lld s", (long long)pauses_s[i]);
        answer(&b, plan, false);
    }
    bench_done(&b);
}

Test(placement, an_older_record_does_not_undo_an_admission)
{
    struct bench b = bench_new();

    (void)add_node(&b, "n1", 4);
    put_gated(&b, 1, 1);
    answer(&b, step(&b, 1, 1), true);
    put_gated(&b, 1, 1);
    cr_assert_eq(step(&b, 1, 1)->n_admit, 0);
    cr_assert_eq(placement_counts(b.placer).admitted, 1);
    put_bound(&b, 1, 1, "n1");
    cr_assert_eq(placement_counts(b.placer).bound, 1);
    bench_done(&b);
}

Test(placement, at_most_so_many_admissions_are_under_way)
{
    struct bench b = bench_new();
    const struct placement_plan *plan;

    for (int i = 0; i < 3; i++)
        (void)add_node(&b, (const char *[]){"n1", "n2", "n3"}[i], 100);
    put_gated(&b, 1, MANY);
    plan = step(&b, MANY, MANY);
    cr_assert_eq(plan->n_admit, PLACEMENT_UNDER_WAY);
    answer(&b, plan, true);
    cr_assert_eq(step(&b, MANY, MANY)->n_admit, PLACEMENT_UNDER_WAY);
    bench_done(&b);
}

Test(placement, knows_after_a_restart_who_was_let_in_and_where)
{
    struct sv name = SV("n1");
    struct requirement field = {
        .key = SV("metadata.name"), .op = OP_IN, .values = &name, .n_values = 1};
    struct node_term term = {.fields = &field, .n_fields = 1};
    struct bench b = bench_new();
    struct pod_record pod = make_pod(1, 1, NULL);
    uint32_t n1 = add_node(&b, "n1", 1);

    pod.rules = (struct pod_rules){.has_affinity = true, .terms = &term, .n_terms = 1};
    put(&b, pod);
    put_gated(&b, 2, 2);
    cr_assert_eq(cluster_sum_place(cluster_node(b.cluster, n1), NODE_SUM_ADMITTED, RESOURCE_CPU),
                 1000);
    cr_assert_eq(step(&b, 2, 2)->n_admit, 0, "its room is taken");
    bench_done(&b);
}

Test(placement, gives_up_whom_the_node_refuses_and_shuns_the_node)
{
    struct bench b = bench_new();
    struct pod_record pod = make_pod(1, 1, NULL);
    uint32_t n1 = add_node(&b, "n1", 2), n2 = add_node(&b, "n2", 4);
    const struct placement_plan *plan;

    put_gated(&b, 1, 1);
    plan = step(&b, 1, 1);
    expect_admission(plan, 0, 1, n1);
    answer(&b, plan, true);
    pod.unschedulable = true;
    put(&b, pod);
    plan = step(&b, 1, 1);
    cr_assert_eq(plan->n_costs, 0);
    cr_assert_eq(plan->wake.us, b.in.now.us + b.in.refused_after_us / 2);
    b.in.now = plan->wake;
    plan = step(&b, 1, 1);
    expect_cost(plan, 0, 1, PLACEMENT_COST_FIRST);
    cr_assert_eq(plan->evict, 0, "the mark is not written yet");
    answer(&b, plan, true);
    plan = step(&b, 1, 1);
    cr_assert_eq(plan->n_costs, 0);
    cr_assert_eq(plan->evict, 1);
    gone(&b, 1);
    cr_assert_eq(step(&b, 1, 0)->evict, 0);
    put_gated(&b, 2, 3);
    plan = step(&b, 1, 1);
    expect_admission(plan, 0, 2, n2);
    cr_assert_eq(placement_counts(b.placer).refused, 1);
    bench_done(&b);
}

Test(placement, gives_up_whom_nobody_binds)
{
    struct bench b = bench_new();
    const struct placement_plan *plan;

    (void)add_node(&b, "n1", 2);
    put_gated(&b, 1, 1);
    answer(&b, step(&b, 1, 1), true);
    plan = step(&b, 1, 1);
    cr_assert_eq(plan->wake.us, b.in.now.us + b.in.refused_after_us);
    b.in.now = plan->wake;
    expect_cost(step(&b, 1, 1), 0, 1, PLACEMENT_COST_FIRST);
    b.in.now.us += US_PER_S;
    (void)step(&b, 1, 1);
    cr_assert_eq(placement_counts(b.placer).refused, 1, "each pod once");
    bench_done(&b);
}

/* A scheduler that is down costs no more pods than the doubling of patience lets go. */
Test(placement, gives_up_ever_more_slowly_while_nobody_is_bound)
{
    struct bench b = bench_new();
    int64_t patience = b.in.refused_after_us;

    (void)add_node(&b, "n1", 2);
    for (int i = 1; i <= 9; i++) {
        const struct placement_plan *plan;

        put_gated(&b, (uint64_t)i, (uint64_t)i);
        answer(&b, step(&b, 1, 1), true);
        plan = step(&b, 1, 1);
        cr_assert_eq(plan->wake.us, b.in.now.us + min_i64(patience, PLACEMENT_PATIENCE_US),
                     "the %d. pod", i);
        b.in.now = plan->wake;
        (void)step(&b, 1, 1);
        gone(&b, (uint64_t)i);
        patience *= 2;
    }
    put_gated(&b, 10, 10);
    answer(&b, step(&b, 1, 1), true);
    put_bound(&b, 10, 10, "n1");
    gone(&b, 10);
    put_gated(&b, 11, 11);
    answer(&b, step(&b, 1, 1), true);
    cr_assert_eq(step(&b, 1, 1)->wake.us, b.in.now.us + b.in.refused_after_us, "one was bound");
    bench_done(&b);
}

Test(placement, marks_what_stands_in_a_claim_then_in_holes_youngest_first)
{
    struct bench b = bench_new();
    const struct placement_plan *plan;

    (void)add_node(&b, "n1", 6);
    (void)add_node(&b, "n2", 4);
    put_bound(&b, 11, 16, "n1");
    put_bound(&b, 21, 24, "n2");
    put_paid(&b, make_pod(1, 3, NULL));    /* goes to the larger node: three slots are left there */
    b.in.hole_slots = b.in.kept_slots = 1; /* the hole is on n2, which has most slots now */
    plan = step(&b, 6, 10);
    cr_assert_eq(plan->n_costs, 4);
    expect_cost(plan, 0, 16, PLACEMENT_COST_FIRST);
    expect_cost(plan, 1, 15, PLACEMENT_COST_FIRST);
    expect_cost(plan, 2, 14, PLACEMENT_COST_FIRST);
    expect_cost(plan, 3, 24, PLACEMENT_COST_NEXT);
    cr_assert_eq(step(&b, 6, 10)->n_costs, 0, "they are under way");
    answer(&b, &(struct placement_plan){0}, true);
    bench_done(&b);
}

Test(placement, who_goes_anyway_needs_no_mark)
{
    struct bench b = bench_new();
    struct pod_record starting = make_pod(20, 1, "n1");
    const struct placement_plan *plan;

    (void)add_node(&b, "n1", 4);
    b.in.hole_slots = b.in.kept_slots = 4;
    put_bound(&b, 11, 13, "n1");
    starting.ready = false;
    put(&b, starting);
    put_gated(&b, 30, 39);
    cr_assert_eq(step(&b, 4, 14)->n_costs, 0, "ten gated pods go first");
    cr_assert_eq(step(&b, 3, 14)->n_costs, 0, "then the one that is not ready");
    plan = step(&b, 2, 14);
    expect_cost(plan, 0, 13, PLACEMENT_COST_NEXT);
    cr_assert_eq(plan->n_costs, 1, "then one of three");
    plan = step(&b, 1, 14);
    expect_cost(plan, 0, 12, PLACEMENT_COST_NEXT);
    cr_assert_eq(plan->n_costs, 1, "the other one is under way");
    bench_done(&b);
}

Test(placement, a_mark_that_was_not_needed_goes_with_the_next_choice)
{
    struct bench b = bench_new();
    struct pod_record paid = make_pod(1, 3, NULL);
    const struct placement_plan *plan;

    (void)add_node(&b, "n1", 4);
    (void)add_node(&b, "n2", 4);
    b.in.hole_slots = b.in.kept_slots = 2;
    put_bound(&b, 11, 14, "n1");
    put_bound(&b, 21, 24, "n2");
    plan = step(&b, 6, 8);
    expect_cost(plan, 0, 14, PLACEMENT_COST_NEXT);
    expect_cost(plan, 1, 13, PLACEMENT_COST_NEXT);
    answer(&b, plan, true);
    cr_assert_eq(step(&b, 8, 8)->n_costs, 0, "nobody goes: nothing is written");
    gone(&b, 21);
    gone(&b, 22);
    paid.nominated = SV("n2"); /* one slot is left there */
    put_paid(&b, paid);
    plan = step(&b, 5, 6);
    expect_cost(plan, 0, 24, PLACEMENT_COST_FIRST);
    expect_cost(plan, 1, 14, 0);
    expect_cost(plan, 2, 13, 0);
    cr_assert_eq(plan->n_costs, 3);
    bench_done(&b);
}

Test(placement, a_failed_cost_is_written_again_and_an_older_record_changes_nothing)
{
    struct bench b = bench_new();
    const struct placement_plan *plan;

    (void)add_node(&b, "n1", 2);
    b.in.kept_slots = 1;
    put_bound(&b, 1, 2, "n1");
    answer(&b, step(&b, 1, 2), false);
    plan = step(&b, 1, 2);
    cr_assert_eq(plan->n_costs, 0);
    b.in.now = plan->wake;
    plan = step(&b, 1, 2);
    expect_cost(plan, 0, 2, PLACEMENT_COST_NEXT);
    answer(&b, plan, true);
    put_bound(&b, 2, 2, "n1");
    cr_assert_eq(step(&b, 1, 2)->n_costs, 0);
    bench_done(&b);
}

Test(placement, without_preemption_the_excess_on_a_claim_s_node_leaves_whatever_n_says)
{
    struct bench b = bench_new();
    struct pod_record paid = make_pod(1, 2, NULL);
    const struct placement_plan *plan;

    (void)add_node(&b, "n1", 4);
    put_bound(&b, 11, 14, "n1");
    paid.unschedulable = true;
    put_paid(&b, paid);
    cr_assert_eq(step(&b, 4, 4)->n_costs, 0, "the scheduler preempts");
    b.in.preempts = false;
    put_gated(&b, 20, 21);
    plan = step(&b, 4, 6);
    cr_assert_eq(plan->n_admit, 0);
    cr_assert_eq(plan->n_costs, 2);
    expect_cost(plan, 0, 14, PLACEMENT_COST_FIRST);
    expect_cost(plan, 1, 13, PLACEMENT_COST_FIRST);
    answer(&b, plan, true);
    plan = step(&b, 4, 6);
    cr_assert_eq(plan->evict, 2, "of six pods the two gated ones go, and two more");
    bench_done(&b);
}
