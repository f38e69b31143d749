#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "capacity/claims.h"
#include "capacity/cluster.h"
#include "capacity/fit.h"

enum { GI = 1 << 30 };

static struct resources amount(int64_t cpu_milli, int64_t memory)
{
    struct resources r = {0};

    r.at[RESOURCE_CPU] = cpu_milli;
    r.at[RESOURCE_MEMORY] = memory;
    r.at[RESOURCE_PODS] = 1;
    return r;
}

static void add_node(struct cluster *c, const char *name, int64_t cpu_milli)
{
    struct node_record n = {.name = sv_from(name),
                            .allocatable = amount(cpu_milli, (int64_t)100 * GI)};

    n.allocatable.at[RESOURCE_PODS] = 110;
    cluster_upsert_node(c, &n);
}

static struct pod_record make_pod(uint64_t id, int64_t cpu_milli, const char *node)
{
    return (struct pod_record){.uid = {.hi = 1, .lo = id},
                               .request = amount(cpu_milli, GI),
                               .node = sv_from(node),
                               .phase = node != NULL ? PHASE_RUNNING : PHASE_PENDING,
                               .created = {.us = (int64_t)id}};
}

static struct pod_change put(struct cluster *c, struct pod_record pod, int filler)
{
    return cluster_upsert_pod(c, &pod, filler, false);
}

static void assert_sound(const struct cluster *c)
{
    char what[200];

    cr_assert(cluster_verify(c, what, sizeof what), "%s", what);
}

static const struct cluster_node *node_named(const struct cluster *c, const char *name)
{
    return cluster_node(c, cluster_find_node(c, sv_from(name)));
}

Test(cluster, a_paid_pod_that_is_told_of_as_it_was_changes_nothing)
{
    struct cluster *c = cluster_new();
    struct pod_record pod = make_pod(1, 2000, "n1");
    uint64_t room;
    size_t n;

    add_node(c, "n1", 8000);
    add_node(c, "n2", 8000);
    cr_assert_not(put(c, pod, CLUSTER_PAID).unchanged);
    cluster_changed_clear(c);
    room = cluster_room_generation(c);
    pod.ready = pod.deleting = true;
    cr_assert(put(c, pod, CLUSTER_PAID).unchanged, "of its status nothing is derived");
    (void)cluster_changed(c, &n);
    cr_assert_eq(n, 0);
    cr_assert_eq(cluster_room_generation(c), room);
    cr_assert(cluster_remove_pod(c, (struct uid){.hi = 2}).unchanged, "nobody knows it");
    cr_assert_not(put(c, make_pod(1, 1000, "n1"), CLUSTER_PAID).unchanged, "it shrank");
    cr_assert_eq(cluster_sum_place(node_named(c, "n1"), NODE_SUM_PAID, RESOURCE_CPU), 1000);
    cr_assert_not(put(c, make_pod(1, 1000, "n2"), CLUSTER_PAID).unchanged, "it moved");
    cr_assert_not(put(c, make_pod(1, 1000, "n2"), 0).unchanged, "it is filler");
    cr_assert_not(put(c, make_pod(1, 1000, "n2"), 0).unchanged, "filler's state counts");
    assert_sound(c);
    cluster_list_begin(c, CLUSTER_PODS);
    (void)put(c, make_pod(3, 1000, "n1"), CLUSTER_PAID);
    cr_assert_eq(cluster_list_end(c, CLUSTER_PODS), 1);
    cluster_list_begin(c, CLUSTER_PODS);
    cr_assert(put(c, make_pod(3, 1000, "n1"), CLUSTER_PAID).unchanged);
    cr_assert_eq(cluster_list_end(c, CLUSTER_PODS), 0, "a list that names it as it was names it");
    assert_sound(c);
    cluster_free(c);
}

Test(cluster, filler_without_a_node_holds_no_cpu)
{
    struct cluster *c = cluster_new();
    struct pod_record pod = make_pod(1, 2000, NULL);
    struct filler_count count;

    add_node(c, "n1", 8000);
    pod.gated = true;
    put(c, pod, 0);
    count = cluster_filler_count(c, 0);
    cr_assert_eq(count.pods[FILLER_STARTING], 1);
    cr_assert_eq(count.cpu_milli[FILLER_STARTING], 0);
    put(c, make_pod(1, 2000, "n1"), 0);
    count = cluster_filler_count(c, 0);
    cr_assert_eq(count.pods[FILLER_STARTING], 1);
    cr_assert_eq(count.cpu_milli[FILLER_STARTING], 2000);
    assert_sound(c);
    cluster_free(c);
}

Test(cluster, counts_a_pod_on_its_node_until_it_is_gone)
{
    struct cluster *c = cluster_new();
    struct pod_record pod = make_pod(1, 4000, "n1");

    add_node(c, "n1", 30000);
    cr_assert(put(c, pod, CLUSTER_PAID).bound);
    cr_assert_eq(cluster_sum_place(node_named(c, "n1"), NODE_SUM_PAID, RESOURCE_CPU), 4000);
    pod.deleting = true;
    put(c, pod, CLUSTER_PAID);
    cr_assert_eq(cluster_sum_place(node_named(c, "n1"), NODE_SUM_PAID, RESOURCE_CPU), 4000,
                 "terminating pods hold their room");
    cluster_remove_pod(c, pod.uid);
    cr_assert_eq(cluster_sum_place(node_named(c, "n1"), NODE_SUM_PAID, RESOURCE_CPU), 0);
    assert_sound(c);
    cluster_free(c);
}

Test(cluster, a_finished_pod_gives_its_room_back)
{
    struct cluster *c = cluster_new();
    struct pod_record pod = make_pod(1, 4000, "n1");

    add_node(c, "n1", 30000);
    put(c, pod, CLUSTER_PAID);
    pod.phase = PHASE_SUCCEEDED;
    cr_assert(put(c, pod, CLUSTER_PAID).removed);
    cr_assert_eq(cluster_sum_place(node_named(c, "n1"), NODE_SUM_PAID, RESOURCE_CPU), 0);
    cr_assert_eq(cluster_pod_count(c), 0);
    cluster_free(c);
}

Test(cluster, a_pod_may_name_a_node_that_comes_later)
{
    struct cluster *c = cluster_new();

    put(c, make_pod(1, 4000, "late"), CLUSTER_PAID);
    cr_assert_eq(cluster_node_count(c), 0);
    cr_assert_null(node_named(c, "late"));
    add_node(c, "late", 30000);
    cr_assert_eq(cluster_sum_place(node_named(c, "late"), NODE_SUM_PAID, RESOURCE_CPU), 4000);
    cluster_remove_node(c, SV("late"));
    cr_assert_eq(cluster_node_count(c), 0);
    assert_sound(c);
    add_node(c, "late", 30000);
    cr_assert_eq(cluster_sum_place(node_named(c, "late"), NODE_SUM_PAID, RESOURCE_CPU), 4000,
                 "the pod did not go with the node's facts");
    cluster_free(c);
}

/* Found by fuzzing: the node was forgotten with the nomination, and the pod then counted on it. */
Test(cluster, a_pod_may_be_bound_to_a_node_that_is_known_from_its_nomination_alone)
{
    struct cluster *c = cluster_new();
    struct pod_record pod = make_pod(1, 4000, NULL);

    pod.nominated = SV("late");
    put(c, pod, CLUSTER_PAID);
    put(c, make_pod(1, 4000, "late"), CLUSTER_PAID);
    assert_sound(c);
    add_node(c, "late", 30000);
    cr_assert_eq(cluster_sum_place(node_named(c, "late"), NODE_SUM_PAID, RESOURCE_CPU), 4000);
    cluster_free(c);
}

Test(cluster, a_relist_finds_the_deletions_it_missed)
{
    struct cluster *c = cluster_new();

    add_node(c, "n1", 30000);
    add_node(c, "n2", 30000);
    for (uint64_t id = 1; id <= 3; id++)
        put(c, make_pod(id, 1000, "n1"), CLUSTER_PAID);
    cluster_list_begin(c, CLUSTER_PODS);
    put(c, make_pod(2, 1000, "n1"), CLUSTER_PAID);
    cr_assert_eq(cluster_pod_count(c), 3, "nothing is forgotten before the list is whole");
    cr_assert_eq(cluster_list_end(c, CLUSTER_PODS), 2);
    cluster_list_begin(c, CLUSTER_NODES);
    add_node(c, "n2", 16000);
    cr_assert_eq(cluster_list_end(c, CLUSTER_NODES), 1);
    cr_assert_eq(cluster_pod_count(c), 1);
    cr_assert_eq(cluster_node_count(c), 1);
    assert_sound(c);
    cluster_free(c);
}

Test(cluster, released_pods_are_paid_at_once_and_arrive_nowhere)
{
    struct cluster *c = cluster_new();
    struct pod_record waits = make_pod(2, 1000, NULL);
    struct pod_change change;

    add_node(c, "n1", 10000);
    (void)put(c, make_pod(1, 3000, "n1"), 0);
    (void)put(c, waits, 0);
    (void)put(c, make_pod(3, 2000, "n1"), 1);
    cr_assert(cluster_admit(c, waits.uid, cluster_find_node(c, SV("n1"))));
    cr_assert_eq(cluster_release(c, 0), 2);
    assert_sound(c);
    cr_assert_eq(cluster_sum_place(node_named(c, "n1"), NODE_SUM_PAID, RESOURCE_CPU), 3000);
    cr_assert_eq(cluster_sum_place(node_named(c, "n1"), NODE_SUM_FILLER, RESOURCE_CPU), 2000,
                 "another one's stays");
    cr_assert_eq(cluster_sum_place(node_named(c, "n1"), NODE_SUM_ADMITTED, RESOURCE_CPU), 0);
    cr_assert(cluster_find_pending(c, waits.uid)->paid);
    cr_assert(cluster_find_pending(c, waits.uid)->arrived);
    change = put(c, make_pod(1, 3000, "n1"), 1);
    cr_assert(change.moved && !change.added && !change.bound);
    cr_assert_eq(cluster_sum_place(node_named(c, "n1"), NODE_SUM_FILLER, RESOURCE_CPU), 5000);
    assert_sound(c);
    cluster_free(c);
}

Test(cluster, says_once_when_a_pod_becomes_unschedulable)
{
    struct cluster *c = cluster_new();
    struct pod_record pod = make_pod(1, 1000, NULL);

    cr_assert_not(put(c, pod, CLUSTER_PAID).unschedulable);
    pod.unschedulable = true;
    cr_assert(put(c, pod, CLUSTER_PAID).unschedulable);
    cr_assert_not(put(c, pod, CLUSTER_PAID).unschedulable);
    cluster_free(c);
}

/* Claims. */

struct world {
    struct cluster *c;
    struct claims *claims;
    struct fit *fit;
    struct claims_filler filler;
    struct mono now;
};

static struct world world_new(void)
{
    struct resources shape = amount(1000, GI);
    struct pod_rules any = {0};

    return (struct world){
        .c = cluster_new(),
        .claims = claims_new(),
        .fit = fit_new(&shape, &any, 0),
        .filler = {.priority = -100, .own_class = true, .grace_us = 10 * US_PER_S},
        .now = {.us = US_PER_S}};
}

static struct claims_sum update(struct world *w)
{
    struct claims_sum sum = claims_update(w->claims, w->c, &w->filler, w->now);

    fit_update(w->fit, w->c);
    cluster_changed_clear(w->c);
    return sum;
}

static void world_done(struct world *w)
{
    assert_sound(w->c);
    claims_free(w->claims);
    fit_free(w->fit);
    cluster_free(w->c);
}

Test(claims, a_pending_pod_takes_its_room_at_once_and_binding_changes_nothing)
{
    struct world w = world_new();
    struct pod_record pod = make_pod(1, 4000, NULL);

    add_node(w.c, "n1", 10000);
    update(&w);
    cr_assert_eq(fit_sum(w.fit).slots, 10);
    put(w.c, pod, CLUSTER_PAID);
    cr_assert_eq(update(&w).pods, 1);
    cr_assert_eq(fit_sum(w.fit).slots, 6);
    cr_assert_eq(fit_sum(w.fit).claimed_milli, 4000);
    pod.node = SV("n1");
    put(w.c, pod, CLUSTER_PAID);
    cr_assert_eq(update(&w).pods, 0);
    cr_assert_eq(fit_sum(w.fit).slots, 6);
    cr_assert_eq(fit_sum(w.fit).claimed_milli, 0);
    world_done(&w);
}

Test(claims, a_pod_that_fits_nowhere_even_without_filler_claims_nothing)
{
    struct world w = world_new();

    add_node(w.c, "n1", 10000);
    put(w.c, make_pod(1, 11000, NULL), CLUSTER_PAID);
    cr_assert_eq(update(&w).pods, 0);
    cr_assert_eq(fit_sum(w.fit).slots, 10);
    add_node(w.c, "n2", 12000);
    cr_assert_eq(update(&w).pods, 1, "a larger node came");
    world_done(&w);
}

Test(claims, gated_ignored_and_lower_pods_claim_nothing)
{
    struct world w = world_new();
    struct pod_record gated = make_pod(1, 1000, NULL), lower = make_pod(2, 1000, NULL),
                      equal = make_pod(3, 1000, NULL);
    struct pod_record ignored = make_pod(4, 1000, NULL);

    gated.gated = true;
    lower.priority = -101;
    equal.priority = -100;
    add_node(w.c, "n1", 10000);
    put(w.c, gated, CLUSTER_PAID);
    put(w.c, lower, CLUSTER_PAID);
    put(w.c, equal, CLUSTER_PAID);
    cluster_upsert_pod(w.c, &ignored, CLUSTER_PAID, true);
    put(w.c, make_pod(5, 1000, NULL), 0);
    cr_assert_eq(update(&w).pods, 0);
    w.filler.own_class = false;
    cr_assert_eq(update(&w).pods, 1,
                 "without a PriorityClass of its own filler makes room for its equals");
    world_done(&w);
}

Test(claims, the_scheduler_s_nomination_moves_the_claim)
{
    struct world w = world_new();
    struct pod_record pod = make_pod(1, 4000, NULL);

    add_node(w.c, "n1", 20000);
    add_node(w.c, "n2", 10000);
    put(w.c, pod, CLUSTER_PAID);
    update(&w);
    cr_assert_eq(cluster_sum_place(node_named(w.c, "n1"), NODE_SUM_CLAIMED, RESOURCE_CPU), 4000);
    pod.nominated = SV("n2");
    put(w.c, pod, CLUSTER_PAID);
    update(&w);
    cr_assert_eq(cluster_sum_place(node_named(w.c, "n1"), NODE_SUM_CLAIMED, RESOURCE_CPU), 0);
    cr_assert_eq(cluster_sum_place(node_named(w.c, "n2"), NODE_SUM_CLAIMED, RESOURCE_CPU), 4000);
    world_done(&w);
}

Test(claims, urgent_until_enough_filler_is_leaving)
{
    struct world w = world_new();
    struct pod_record pod = make_pod(1, 4000, NULL);

    add_node(w.c, "n1", 10000);
    for (uint64_t id = 10; id < 20; id++)
        put(w.c, make_pod(id, 1000, "n1"), 0);
    pod.unschedulable = true;
    put(w.c, pod, CLUSTER_PAID);

    struct claims_sum sum = update(&w);

    cr_assert_eq(sum.blocked, 1);
    cr_assert_eq(sum.urgent, 1);
    cr_assert_eq(sum.uncovered, 1);
    cr_assert_eq(sum.helpless, 0);
    for (uint64_t id = 10; id < 14; id++) {
        struct pod_record victim = make_pod(id, 1000, "n1");

        victim.deleting = true;
        cr_assert(put(w.c, victim, 0).leaving);
        sum = update(&w);
        cr_assert_eq(sum.blocked, 0, "a pod is blocked once");
        cr_assert_eq(sum.uncovered, id == 13 ? 0 : 1);
    }
    cr_assert_eq(sum.urgent, 1);
    for (uint64_t id = 10; id < 14; id++)
        cluster_remove_pod(w.c, (struct uid){.hi = 1, .lo = id});
    cr_assert_eq(update(&w).urgent, 0);
    world_done(&w);
}

Test(claims, lapse_when_free_room_does_not_help_and_come_back_after_a_doubling_wait)
{
    struct world w = world_new();
    struct pod_record pod = make_pod(1, 4000, NULL);
    int64_t wait = w.filler.grace_us + CLAIMS_LAPSE_EXTRA_US;
    struct claims_sum sum;

    add_node(w.c, "n1", 10000);
    pod.unschedulable = true;
    put(w.c, pod, CLUSTER_PAID);
    sum = update(&w);
    cr_assert_eq(sum.pods, 1);
    cr_assert_eq(sum.blocked, 0, "its room stands free: filler does not hold it back");
    cr_assert(sum.has_deadline);
    cr_assert_eq(sum.deadline.us, w.now.us + wait);
    w.now.us += wait - 1;
    cr_assert_eq(update(&w).pods, 1);
    w.now.us += 1;
    sum = update(&w);
    cr_assert_eq(sum.lapsed, 1);
    cr_assert_eq(sum.pods, 0);
    cr_assert_eq(fit_sum(w.fit).slots, 10);
    w.now = sum.deadline;
    sum = update(&w);
    cr_assert_eq(sum.pods, 1, "renewed");
    cr_assert_eq(sum.deadline.us, w.now.us + 2 * wait, "the next wait is twice as long");
    world_done(&w);
}

Test(claims, of_a_pod_that_something_else_holds_back_move_to_free_room_and_lapse)
{
    struct world w = world_new();
    struct pod_record pod = make_pod(1, 4000, NULL);
    struct mono first;
    struct claims_sum sum;

    add_node(w.c, "n1", 10000);
    pod.unschedulable = true;
    put(w.c, pod, CLUSTER_PAID);
    sum = update(&w);
    cr_assert_eq(cluster_sum_place(node_named(w.c, "n1"), NODE_SUM_CLAIMED, RESOURCE_CPU), 4000);
    first = sum.deadline;
    add_node(w.c, "n2", 10000);
    for (uint64_t id = 10; id < 18; id++) /* filler takes the claim's own room */
        put(w.c, make_pod(id, 1000, "n1"), 0);
    w.now.us += US_PER_S;
    sum = update(&w);
    cr_assert_eq(cluster_sum_place(node_named(w.c, "n2"), NODE_SUM_CLAIMED, RESOURCE_CPU), 4000);
    cr_assert_eq(sum.urgent, 0, "no filler must leave for it");
    cr_assert_eq(sum.deadline.us, first.us, "room stood free all the time");
    w.now = first;
    cr_assert_eq(update(&w).lapsed, 1);
    world_done(&w);
}

Test(claims, stay_where_they_fit_when_the_nominated_node_is_full_of_paid_pods)
{
    struct world w = world_new();
    struct pod_record pod = make_pod(1, 4000, NULL);

    add_node(w.c, "n1", 10000);
    add_node(w.c, "n2", 10000);
    put(w.c, make_pod(2, 9000, "n2"), CLUSTER_PAID);
    pod.nominated = SV("n2");
    put(w.c, pod, CLUSTER_PAID);
    cr_assert_eq(update(&w).pods, 1);
    cr_assert_eq(cluster_sum_place(node_named(w.c, "n1"), NODE_SUM_CLAIMED, RESOURCE_CPU), 4000);
    world_done(&w);
}

Test(claims, a_nomination_of_a_node_that_comes_later_counts_when_it_comes)
{
    struct world w = world_new();
    struct pod_record pod = make_pod(1, 4000, NULL);

    add_node(w.c, "n1", 10000);
    pod.nominated = SV("late");
    put(w.c, pod, CLUSTER_PAID);
    update(&w);
    cr_assert_eq(cluster_sum_place(node_named(w.c, "n1"), NODE_SUM_CLAIMED, RESOURCE_CPU), 4000);
    add_node(w.c, "late", 10000);
    update(&w);
    cr_assert_eq(cluster_sum_place(node_named(w.c, "late"), NODE_SUM_CLAIMED, RESOURCE_CPU), 4000);
    world_done(&w);
}

Test(claims, are_tried_again_when_their_pod_changes)
{
    struct world w = world_new();

    add_node(w.c, "n1", 10000);
    put(w.c, make_pod(1, 50000, NULL), CLUSTER_PAID);
    cr_assert_eq(update(&w).pods, 0);
    put(w.c, make_pod(1, 3000, NULL), CLUSTER_PAID);
    cr_assert_eq(update(&w).pods, 1);
    cr_assert_eq(fit_sum(w.fit).slots, 7);
    world_done(&w);
}

/* Pods of one kind are not tried twice in a pass. */
Test(claims, a_pod_is_not_judged_by_another_one_that_fits_nowhere)
{
    const struct label elsewhere = {SV("zone"), SV("b")};
    struct world w = world_new();
    struct pod_record picky = make_pod(2, 3000, NULL);

    picky.rules.node_selector = &elsewhere;
    picky.rules.n_node_selector = 1;
    add_node(w.c, "n1", 10000);
    put(w.c, make_pod(1, 50000, NULL), CLUSTER_PAID);
    put(w.c, picky, CLUSTER_PAID);
    put(w.c, make_pod(3, 3000, NULL), CLUSTER_PAID);
    put(w.c, make_pod(4, 50000, NULL), CLUSTER_PAID);
    cr_assert_eq(update(&w).pods, 1);
    cr_assert_eq(fit_sum(w.fit).slots, 7);
    world_done(&w);
}

Test(claims, of_the_youngest_give_way_on_a_node_that_lost_room)
{
    struct world w = world_new();

    add_node(w.c, "n1", 10000);
    put(w.c, make_pod(1, 4000, NULL), CLUSTER_PAID);
    put(w.c, make_pod(2, 5000, NULL), CLUSTER_PAID);
    cr_assert_eq(update(&w).pods, 2);
    put(w.c, make_pod(3, 5000, "n1"), CLUSTER_PAID);
    cr_assert_eq(update(&w).cpu_milli, 4000, "the older one stays");
    cr_assert_eq(fit_sum(w.fit).slots, 1);
    world_done(&w);
}

Test(claims, what_a_lapse_gives_back_is_seen_at_once)
{
    struct world w = world_new();
    struct pod_record old = make_pod(50, 6000, NULL);
    struct claims_sum sum;

    add_node(w.c, "n1", 10000);
    old.unschedulable = true;
    put(w.c, old, CLUSTER_PAID);
    update(&w);
    put(w.c, make_pod(1, 8000, NULL), CLUSTER_PAID); /* created before, seen later */
    sum = update(&w);
    cr_assert_eq(sum.cpu_milli, 6000);
    w.now = sum.deadline;
    sum = update(&w);
    cr_assert_eq(sum.lapsed, 1);
    cr_assert_eq(sum.cpu_milli, 8000);
    world_done(&w);
}

/* Fit. */

Test(fit, an_overcommitted_node_lends_nothing)
{
    struct world w = world_new();

    add_node(w.c, "n1", 10000);
    add_node(w.c, "n2", 10000);
    put(w.c, make_pod(1, 14000, "n1"), CLUSTER_PAID);
    update(&w);
    cr_assert_eq(fit_sum(w.fit).slots, 10);
    cr_assert_eq(fit_sum(w.fit).room_milli, 10000);
    world_done(&w);
}

Test(fit, cordon_and_taints_take_a_node_out_of_every_sum)
{
    struct world w = world_new();
    struct taint taint = {.key = SV("k"), .effect = EFFECT_NO_SCHEDULE};
    struct node_record n = {.name = SV("n1"), .allocatable = amount(8000, (int64_t)64 * GI)};

    n.allocatable.at[RESOURCE_PODS] = 110;
    cluster_upsert_node(w.c, &n);
    update(&w);
    cr_assert_eq(fit_sum(w.fit).nodes, 1);
    n.unschedulable = true;
    cluster_upsert_node(w.c, &n);
    update(&w);
    cr_assert_eq(fit_sum(w.fit).nodes, 0);
    cr_assert_eq(fit_sum(w.fit).allocatable_milli, 0);
    n.unschedulable = false;
    n.taints = &taint;
    n.n_taints = 1;
    cluster_upsert_node(w.c, &n);
    update(&w);
    cr_assert_eq(fit_sum(w.fit).slots, 0);
    world_done(&w);
}

Test(fit, slots_now_leave_out_what_leaving_filler_still_holds)
{
    struct world w = world_new();
    struct pod_record f = make_pod(1, 1000, "n1");

    add_node(w.c, "n1", 10000);
    put(w.c, f, 0);
    f.deleting = true;
    put(w.c, f, 0);
    update(&w);
    cr_assert_eq(fit_sum(w.fit).slots, 10);
    cr_assert_eq(fit_sum(w.fit).slots_now, 9);
    world_done(&w);
}

Test(fit, what_other_fillers_hold_that_are_apart_is_taken_until_it_is_gone)
{
    struct world w = world_new();
    struct pod_record bound = make_pod(1, 3000, "n1"), waits = make_pod(2, 2000, NULL);

    fit_set_owner(w.fit, 0);
    add_node(w.c, "n1", 10000);
    put(w.c, bound, 1);
    put(w.c, waits, 1);
    put(w.c, make_pod(3, 1000, "n1"), 0);
    cr_assert(cluster_admit(w.c, waits.uid, cluster_find_node(w.c, SV("n1"))));
    update(&w);
    cr_assert_eq(fit_sum(w.fit).slots, 10);
    cluster_set_apart(w.c, 1, true);
    update(&w);
    cr_assert_eq(fit_sum(w.fit).slots, 5);
    cr_assert_eq(fit_sum(w.fit).room_milli, 10000, "paid pods leave all of it");
    bound.deleting = true;
    put(w.c, bound, 1);
    update(&w);
    cr_assert_eq(fit_sum(w.fit).slots, 5, "a terminating pod still holds its room");
    cr_assert_eq(fit_sum(w.fit).slots_now, 5, "and no more than that");
    cluster_remove_pod(w.c, bound.uid);
    update(&w);
    cr_assert_eq(fit_sum(w.fit).slots, 8);
    cluster_set_apart(w.c, 0, true);
    update(&w);
    cr_assert_eq(fit_sum(w.fit).slots, 8, "what it holds itself is its own room");
    cluster_set_apart(w.c, 1, false);
    update(&w);
    cr_assert_eq(fit_sum(w.fit).slots, 10);
    world_done(&w);
}

Test(fit, a_node_without_the_paid_pods_asked_for_offers_nothing)
{
    struct world w = world_new();
    struct resources shape = amount(1000, GI);
    struct pod_rules any = {0};

    fit_free(w.fit);
    w.fit = fit_new(&shape, &any, 2000);
    add_node(w.c, "n1", 10000);
    add_node(w.c, "n2", 30000);
    put(w.c, make_pod(1, 2000, "n1"), CLUSTER_PAID);
    put(w.c, make_pod(2, 1000, "n2"), CLUSTER_PAID);
    update(&w);
    cr_assert_eq(fit_sum(w.fit).allocatable_milli, 40000);
    cr_assert_eq(fit_sum(w.fit).offered_milli, 10000);
    cr_assert_eq(fit_sum(w.fit).slots, 8);
    cr_assert_eq(fit_largest_node_milli(w.fit), 10000);
    put(w.c, make_pod(3, 1000, "n2"), CLUSTER_PAID);
    update(&w);
    cr_assert_eq(fit_sum(w.fit).offered_milli, 40000);
    cr_assert_eq(fit_largest_node_milli(w.fit), 30000);
    world_done(&w);
}

/* Properties. */

enum { NODES = 12, PODS = 400, EVENTS = 100000 };

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t pick_seed(void)
{
    const char *given = getenv("BRIM_SEED");
    uint64_t seed =
        given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 2654435761U + 1;

    fprintf(stderr, "# BRIM_SEED=%llu\n", (unsigned long long)seed);
    return seed | 1;
}

static const char *const node_names[NODES] = {"n0", "n1", "n2", "n3", "n4",  "n5",
                                              "n6", "n7", "n8", "n9", "n10", "n11"};

static void random_node_event(struct world *w, uint64_t *rng)
{
    struct taint taint = {.key = SV("k"),
                          .effect = next_random(rng) % 2 ? EFFECT_NO_SCHEDULE
                                                         : EFFECT_PREFER_NO_SCHEDULE};
    struct node_record n = {.name = sv_from(node_names[next_random(rng) % NODES]),
                            .allocatable = amount((int64_t)(next_random(rng) % 32) * 500,
                                                  (int64_t)(next_random(rng) % 64) * GI),
                            .unschedulable = next_random(rng) % 8 == 0,
                            .taints = &taint,
                            .n_taints = next_random(rng) % 8 == 0};

    n.allocatable.at[RESOURCE_PODS] = (int64_t)(next_random(rng) % 40);
    if (next_random(rng) % 5 == 0)
        cluster_remove_node(w->c, n.name);
    else
        cluster_upsert_node(w->c, &n);
}

static void random_pod_event(struct world *w, uint64_t *rng)
{
    uint64_t id = next_random(rng) % PODS;
    struct pod_record pod = make_pod(id, (int64_t)(next_random(rng) % 9) * 500, NULL);
    int filler = id % 3 == 0 ? 0 : CLUSTER_PAID;

    if (next_random(rng) % 16 == 0)
        filler = (int)(next_random(rng) % 3) - 1;
    if (next_random(rng) % 4 != 0) {
        pod.node = sv_from(node_names[next_random(rng) % NODES]);
        pod.phase = PHASE_RUNNING;
    } else if (next_random(rng) % 4 == 0) {
        pod.nominated = sv_from(node_names[next_random(rng) % NODES]);
    }
    pod.created.us = (int64_t)(next_random(rng) % 50);
    pod.unschedulable = pod.node.len == 0 && next_random(rng) % 2 == 0;
    pod.gated = next_random(rng) % 16 == 0;
    pod.deleting = next_random(rng) % 8 == 0;
    pod.ready = next_random(rng) % 2 == 0;
    pod.priority = next_random(rng) % 8 == 0 ? -200 : 0;
    if (next_random(rng) % 16 == 0)
        pod.phase = PHASE_FAILED;
    if (next_random(rng) % 4 == 0)
        cluster_remove_pod(w->c, pod.uid);
    else
        cluster_upsert_pod(w->c, &pod, filler, next_random(rng) % 16 == 0);
}

static void random_admission(struct world *w, uint64_t *rng)
{
    size_t n;
    struct pending_pod **pending = cluster_pending(w->c, &n);
    uint32_t node = cluster_find_node(w->c, sv_from(node_names[next_random(rng) % NODES]));
    size_t i = n != 0 ? next_random(rng) % n : 0;

    if (n != 0 && !pending[i]->paid)
        (void)cluster_admit(w->c, pending[i]->uid, node);
}

static int64_t filler_pods(const struct cluster *c, int filler)
{
    struct filler_count count = cluster_filler_count(c, filler);
    int64_t pods = 0;

    for (size_t i = 0; i < FILLER_STATE_COUNT_; i++)
        pods += count.pods[i];
    return pods;
}

/* The sums of a fit made from scratch equal those that were kept event by event. */
static void assert_fit_equals_recount(const struct world *w)
{
    struct pod_rules any = {0};
    struct fit *fresh = fit_new(fit_request(w->fit), &any, 0);
    struct fit_sum kept = fit_sum(w->fit), counted;
    int64_t largest_milli = 0;

    fit_rebuild(fresh, w->c);
    counted = fit_sum(fresh);
    for (uint32_t i = 0; i < cluster_node_limit(w->c); i++) {
        struct fit_node node = fit_node(fresh, i);

        if (node.offers && node.allocatable_milli > largest_milli)
            largest_milli = node.allocatable_milli;
    }
    cr_assert_eq(fit_largest_node_milli(w->fit), largest_milli);
    cr_assert_eq(memcmp(&kept, &counted, sizeof kept), 0, "slots %lld, recounted %lld",
                 (long long)kept.slots, (long long)counted.slots);
    fit_free(fresh);
}

static void assert_claims_fit(struct world *w, const struct claims_sum *sum)
{
    int64_t pods = 0, milli = 0;
    size_t n;
    struct pending_pod **pending = cluster_pending(w->c, &n);

    for (size_t i = 0; i < n; i++) {
        if (pending[i]->claim.node == CLUSTER_NO_NODE)
            continue;
        pods++;
        milli += pending[i]->request.at[RESOURCE_CPU];

        struct resources room = fit_room(cluster_node(w->c, pending[i]->claim.node));

        resources_add(&room, &pending[i]->request);
        cr_assert(resources_fit(&pending[i]->request, &room, NULL),
                  "a claim stands where it does not fit");
    }
    cr_assert_eq(pods, sum->pods);
    cr_assert_eq(milli, sum->cpu_milli);
}

Test(cluster, equals_a_recount_after_each_of_100000_random_events, .timeout = 300)
{
    uint64_t rng = pick_seed();
    struct world w = world_new();

    for (int i = 0; i < EVENTS; i++) {
        w.now.us += (int64_t)(next_random(&rng) % (20 * US_PER_S));
        if (next_random(&rng) % 10 == 0)
            random_node_event(&w, &rng);
        else
            random_pod_event(&w, &rng);
        if (next_random(&rng) % 20 == 0)
            random_admission(&w, &rng);
        if (next_random(&rng) % 100 == 0)
            cluster_set_apart(w.c, i % 2, next_random(&rng) % 2 == 0);
        if (next_random(&rng) % 500 == 0) {
            (void)cluster_release(w.c, i % 2);
            cr_assert_eq(filler_pods(w.c, i % 2), 0);
        }
        if (next_random(&rng) % 1000 == 0) {
            cluster_list_begin(w.c, CLUSTER_PODS);
            for (int j = 0; j < PODS; j++)
                random_pod_event(&w, &rng);
            (void)cluster_list_end(w.c, CLUSTER_PODS);
        }
        assert_sound(w.c);
        if (next_random(&rng) % 3 == 0) {
            struct claims_sum sum = update(&w);

            assert_sound(w.c);
            assert_fit_equals_recount(&w);
            assert_claims_fit(&w, &sum);
        }
    }
    world_done(&w);
}

/* What nobody's machine has: 9 P cores, 7 EiB. */
static struct pod_record huge_pod(uint64_t id, const char *node)
{
    struct pod_record pod = make_pod(id, INT64_C(9000000000000000000), node);

    pod.request.at[RESOURCE_MEMORY] = INT64_C(7) << 60;
    return pod;
}

static struct fit *fit_of_slots(int64_t cpu_milli)
{
    struct resources request = amount(cpu_milli, GI);

    return fit_new(&request, &(struct pod_rules){0}, 0);
}

static int64_t slots_of(struct fit *f, struct cluster *c)
{
    fit_update(f, c);
    cluster_changed_clear(c);
    return fit_sum(f).slots;
}

Test(cluster, what_no_machine_has_is_counted_and_taken_away_again)
{
    static const int owners[] = {CLUSTER_PAID, 0, 1};
    struct cluster *c = cluster_new();
    struct fit *f = fit_of_slots(1000);

    add_node(c, "n1", 8000);
    cluster_set_apart(c, 1, true);
    fit_set_owner(f, 0);
    cr_assert_eq(slots_of(f, c), 8);
    for (size_t o = 0; o < sizeof owners / sizeof *owners; o++) {
        for (uint64_t i = 0; i < 3; i++)
            put(c, huge_pod(10 + i, "n1"), owners[o]);
        cr_assert_eq(slots_of(f, c), owners[o] == 0 ? 8 : 0, "owner %d", owners[o]);
        assert_sound(c);
        for (uint64_t i = 0; i < 3; i++)
            cluster_remove_pod(c, make_pod(10 + i, 0, NULL).uid);
        cr_assert_eq(slots_of(f, c), 8, "owner %d: all are gone", owners[o]);
        assert_sound(c);
    }
    fit_free(f);
    cluster_free(c);
}

Test(cluster, a_claim_of_what_no_machine_has_is_taken_away_again)
{
    struct cluster *c = cluster_new();

    add_node(c, "n1", 8000);
    for (uint64_t i = 1; i <= 3; i++)
        put(c, huge_pod(i, NULL), i == 3 ? 0 : CLUSTER_PAID);
    for (uint64_t i = 1; i <= 2; i++)
        cluster_claim(c, 0, cluster_find_pending(c, make_pod(i, 0, NULL).uid), 1);
    for (uint64_t i = 1; i <= 2; i++)
        cluster_claim(c, 0, cluster_find_pending(c, make_pod(i, 0, NULL).uid), -1);
    cr_assert(cluster_admit(c, make_pod(3, 0, NULL).uid, 0));
    cr_assert(cluster_admit(c, make_pod(3, 0, NULL).uid, CLUSTER_NO_NODE));
    cr_assert_eq(cluster_rooms(c)[0].free_milli, 8000);
    cr_assert_eq(cluster_sum_place(node_named(c, "n1"), NODE_SUM_CLAIMED, RESOURCE_MEMORY), 0);
    assert_sound(c);
    cluster_free(c);
}

Test(cluster, totals_of_what_no_machine_has_are_exact)
{
    enum { MANY = 30 };
    struct cluster *c = cluster_new();
    struct fit *f = fit_of_slots(1000);
    char name[16];

    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "n%d", i);
        add_node(c, name, INT64_MAX);
        put(c, huge_pod((uint64_t)i, name), i % 2 == 0 ? CLUSTER_PAID : 0);
    }
    cr_assert_eq(slots_of(f, c), MANY / 2 * 100, "as the memory has room for, where none is paid");
    cr_assert_eq(fit_sum(f).allocatable_milli, MANY * RESOURCE_BOUND_COUNT);
    cr_assert_eq(fit_sum(f).paid_milli, MANY / 2 * RESOURCE_BOUND_COUNT);
    cr_assert_eq(fit_sum(f).room_milli, MANY / 2 * RESOURCE_BOUND_COUNT);
    cr_assert_eq(cluster_filler_count(c, 0).cpu_milli[FILLER_STARTING],
                 MANY / 2 * RESOURCE_BOUND_COUNT);
    assert_sound(c);
    fit_free(f);
    cluster_free(c);
}

Test(cluster, a_request_below_0_makes_no_room)
{
    struct cluster *c = cluster_new();
    struct fit *f = fit_of_slots(1000);

    add_node(c, "n1", 8000);
    put(c, make_pod(1, -5000, "n1"), CLUSTER_PAID);
    cr_assert_eq(slots_of(f, c), 8);
    cr_assert(put(c, make_pod(1, -5000, "n1"), CLUSTER_PAID).unchanged);
    assert_sound(c);
    fit_free(f);
    cluster_free(c);
}
