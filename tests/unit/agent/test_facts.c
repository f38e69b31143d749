#include <criterion/criterion.h>
#include <malloc.h>
#include <stdio.h>

#include "agent/facts.h"

/*
 * Facts are fed as JSON, as the API server writes it; protobuf gives the same records (test_decode.c). One node of 10 cores, one filler of 1 core in
 * namespace "filler" with label app=miner.
 */

static const char policy_text[] =
    "apiVersion: brim.dev/v1\n"
    "kind: FillerPolicy\n"
    "metadata: {name: miner}\n"
    "spec:\n"
    "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}\n"
    "  replicas: {min: 0, max: 150}\n"
    "  paid:\n"
    "    ignore:\n"
    "      - {namespace: sandbox}\n"
    "      - {selector: \"tier in (batch, low)\", priorityBelow: 10}\n";

struct world {
    struct policy_list policies;
    struct facts facts;
    struct mono now;
    struct planner_plan plans[PLANNER_MAX_FILLERS];
    bool no_owner; /* pods come without a controller */
};

static void world_init_of(struct world *w, const char *text)
{
    struct podreq_rules rules;
    struct err err = {0};

    *w = (struct world){.now = {.us = US_PER_S}};
    cr_assert(policy_read(SV("test.yaml"), sv_from(text), &w->policies, &err), "%s", err.text);
    cr_assert(podreq_rules_for(SV("1.35"), &rules, &err), "%s", err.text);
    facts_init(&w->facts, &rules);
    for (size_t i = 0; i < w->policies.len; i++) {
        int filler;

        cr_assert(facts_add(&w->facts, w->policies.at[i], &filler, &err), "%s", err.text);
        cr_assert_eq(filler, (int)i);
    }
}

static void world_init(struct world *w)
{
    world_init_of(w, policy_text);
}

static void world_done(struct world *w)
{
    facts_done(&w->facts);
    policy_list_done(&w->policies);
}

static void give_node(struct world *w, const char *name, int cores)
{
    char text[512];
    struct err err = {0};

    (void)snprintf(
        text, sizeof text,
        "{\"metadata\":{\"name\":\"%s\",\"uid\":\"%s\"},\"spec\":{},"
        "\"status\":{\"allocatable\":{\"cpu\":\"%d\",\"memory\":\"64Gi\",\"pods\":\"110\"}}}",
        name, name, cores);
    cr_assert(facts_node(&w->facts, false, DECODE_JSON, sv_from(text), &err), "%s", err.text);
}

/* `more` goes into the spec, `status` is the whole status. */
static void give_pod(struct world *w, const char *ns, const char *name, const char *labels,
                     const char *cpu, const char *more, const char *status)
{
    char text[2048];
    struct err err = {0};

    (void)snprintf(
        text, sizeof text,
        "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\",\"uid\":\"%s\",\"labels\":{%s},"
        "\"creationTimestamp\":\"2026-10-01T10:00:00Z\",\"ownerReferences\":[{\"kind\":"
        "\"ReplicaSet\","
        "\"name\":\"rs\",\"uid\":\"rs\",\"controller\":%s}]},"
        "\"spec\":{\"containers\":[{\"name\":\"a\",\"resources\":{\"requests\":{\"cpu\":\"%s\","
        "\"memory\":\"1Gi\"}}}]%s},"
        "\"status\":%s}",
        name, ns, name, labels, w->no_owner ? "false" : "true", cpu, more, status);
    cr_assert(facts_pod(&w->facts, false, DECODE_JSON, sv_from(text), w->now, &err), "%s",
              err.text);
}

static void take_pod(struct world *w, const char *name)
{
    char text[256];
    struct err err = {0};

    (void)snprintf(text, sizeof text,
                   "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"x\",\"uid\":\"%s\"}}", name,
                   name);
    cr_assert(facts_pod(&w->facts, true, DECODE_JSON, sv_from(text), w->now, &err), "%s", err.text);
}

static void follow_as(struct world *w, int filler, const char *selector)
{
    bool changed;
    struct err err = {0};

    cr_assert(facts_set_selector(&w->facts, filler, sv_from(selector), w->now, &changed, &err),
              "%s", err.text);
    cr_assert(changed);
}

static void follow(struct world *w, const char *selector)
{
    follow_as(w, 0, selector);
}

static struct claims_sum measure(struct world *w)
{
    const struct planner_input in[PLANNER_MAX_FILLERS] = {0};
    struct planner_result r = planner_step(w->facts.planner, in, w->plans, w->now);

    facts_stepped(&w->facts, &r.claims);
    return r.claims;
}

static const struct cluster_node *node(const struct world *w, uint32_t index)
{
    return cluster_node(facts_cluster(&w->facts), index);
}

#define FILLER_SPEC                                                                                \
    ",\"priority\":-100,\"priorityClassName\":\"brim-filler\",\"terminationGracePeriodSeconds\":"  \
    "10"
#define BOUND   ",\"nodeName\":\"n1\""
#define RUNNING "{\"phase\":\"Running\"}"
#define PENDING "{\"phase\":\"Pending\"}"
#define UNSCHEDULABLE                                                                              \
    "{\"phase\":\"Pending\",\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"False\","      \
    "\"reason\":\"Unschedulable\"}]}"

Test(facts, filler_is_told_by_namespace_and_selector)
{
    struct world w;

    world_init(&w);
    follow(&w, "app=miner");
    give_node(&w, "n1", 10);
    give_pod(&w, "filler", "f1", "\"app\":\"miner\"", "1", FILLER_SPEC BOUND, RUNNING);
    give_pod(&w, "other", "p1", "\"app\":\"miner\"", "2", BOUND, RUNNING);
    give_pod(&w, "filler", "p2", "\"app\":\"web\"", "3", BOUND, RUNNING);
    (void)measure(&w);
    cr_assert_eq(w.facts.fillers[0].shape_source, SHAPE_POD);
    cr_assert_eq(w.plans[0].room.paid_milli, 5000);
    cr_assert_eq(w.plans[0].room.slots, 5);
    cr_assert_eq(cluster_filler_count(facts_cluster(&w.facts), 0).pods[FILLER_STARTING], 1);
    cr_assert_eq(w.facts.fillers[0].claims.grace_us, 10 * US_PER_S);
    world_done(&w);
}

Test(facts, paid_pods_that_wait_for_nobody_are_gathered_and_others_are_not)
{
    struct world w;

    world_init(&w);
    follow(&w, "app=miner");
    give_node(&w, "n1", 10);
    give_pod(&w, "filler", "f1", "\"app\":\"miner\"", "1", FILLER_SPEC BOUND, RUNNING);
    (void)measure(&w);
    cr_assert_not(w.facts.changed || w.facts.gathered);
    give_pod(&w, "other", "p1", "", "2", BOUND, RUNNING);
    cr_assert(!w.facts.changed && w.facts.gathered, "bound");
    (void)measure(&w);
    give_pod(&w, "other", "p1", "\"some\":\"label\"", "2", BOUND, RUNNING);
    take_pod(&w, "unknown");
    cr_assert_not(w.facts.changed || w.facts.gathered, "nothing is otherwise than it was");
    give_pod(&w, "other", "p2", "", "2", "", PENDING);
    cr_assert(!w.facts.changed && w.facts.gathered, "the scheduler was not heard");
    give_pod(&w, "other", "p2", "", "2", "", UNSCHEDULABLE);
    cr_assert(w.facts.changed, "it waits");
    (void)measure(&w);
    take_pod(&w, "p1");
    cr_assert(!w.facts.changed && w.facts.gathered, "gone");
    (void)measure(&w);
    give_pod(&w, "filler", "f1", "\"app\":\"miner\"", "1", FILLER_SPEC BOUND, RUNNING);
    cr_assert(w.facts.changed, "filler");
    (void)measure(&w);
    take_pod(&w, "f1");
    cr_assert(w.facts.changed, "filler is gone");
    world_done(&w);
}

Test(facts, without_a_target_all_pods_are_paid)
{
    struct world w;

    world_init(&w);
    give_node(&w, "n1", 10);
    give_pod(&w, "filler", "f1", "\"app\":\"miner\"", "1", FILLER_SPEC BOUND, RUNNING);
    cr_assert_not(planner_has_shape(w.facts.planner, 0), "nobody told the filler's shape");
    cr_assert_eq(cluster_sum_place(node(&w, 0), NODE_SUM_PAID, RESOURCE_CPU), 1000);
    world_done(&w);
}

Test(facts, a_pod_that_nobody_controls_is_paid_whatever_its_labels)
{
    struct world w;

    world_init(&w);
    follow(&w, "app=miner");
    give_node(&w, "n1", 10);
    w.no_owner = true;
    give_pod(&w, "filler", "stray", "\"app\":\"miner\"", "5", BOUND, RUNNING);
    cr_assert_eq(w.facts.fillers[0].shape_source, SHAPE_NONE, "it teaches no shape");
    cr_assert_eq(cluster_sum_place(node(&w, 0), NODE_SUM_PAID, RESOURCE_CPU), 5000);
    world_done(&w);
}

Test(facts, paid_and_filler_are_told_apart_once_a_list_began_and_ended_under_the_selector)
{
    struct world w;

    world_init(&w);
    facts_list_begin(&w.facts, CLUSTER_PODS);
    facts_list_end(&w.facts, CLUSTER_PODS, w.now);
    cr_assert(facts_classified(&w.facts, 0), "no target: all pods are paid");
    facts_list_begin(&w.facts, CLUSTER_PODS);
    follow(&w, "app=miner");
    cr_assert_not(facts_classified(&w.facts, 0));
    facts_list_end(&w.facts, CLUSTER_PODS, w.now);
    cr_assert_not(facts_classified(&w.facts, 0), "that list began under another selector");
    facts_list_begin(&w.facts, CLUSTER_NODES);
    facts_list_end(&w.facts, CLUSTER_NODES, w.now);
    cr_assert_not(facts_classified(&w.facts, 0));
    facts_list_begin(&w.facts, CLUSTER_PODS);
    cr_assert_not(facts_classified(&w.facts, 0));
    facts_list_end(&w.facts, CLUSTER_PODS, w.now);
    cr_assert(facts_classified(&w.facts, 0));
    world_done(&w);
}

Test(facts, a_selector_that_cannot_be_read_changes_nothing)
{
    struct world w;
    struct err err = {0};
    bool changed = true;

    world_init(&w);
    follow(&w, "app=miner");
    cr_assert_not(facts_set_selector(&w.facts, 0, SV("app in (miner"), w.now, &changed, &err));
    cr_assert_str_eq(w.facts.fillers[0].selector_text, "app=miner");
    cr_assert(facts_set_selector(&w.facts, 0, SV("app=miner"), w.now, &changed, &err));
    cr_assert_not(changed);
    world_done(&w);
}

Test(facts, the_policy_s_ignored_pods_claim_nothing)
{
    struct world w;

    world_init(&w);
    follow(&w, "app=miner");
    give_node(&w, "n1", 10);
    give_pod(&w, "filler", "f1", "\"app\":\"miner\"", "1", FILLER_SPEC BOUND, RUNNING);
    give_pod(&w, "sandbox", "p1", "", "1", "", PENDING);
    give_pod(&w, "prod", "p2", "\"tier\":\"batch\"", "1", ",\"priority\":5", PENDING);
    cr_assert_eq(measure(&w).pods, 0);
    give_pod(&w, "prod", "p3", "\"tier\":\"batch\"", "1", ",\"priority\":50", PENDING);
    give_pod(&w, "prod", "p4", "\"tier\":\"web\"", "1", "", PENDING);
    cr_assert_eq(measure(&w).pods, 2);
    world_done(&w);
}

Test(facts, arrivals_and_blocked_pods_are_counted_once_the_first_list_is_whole)
{
    struct world w;

    world_init(&w);
    follow(&w, "app=miner");
    facts_list_begin(&w.facts, CLUSTER_PODS);
    give_node(&w, "n1", 10);
    for (int i = 0; i < 10; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "f%d", i);
        give_pod(&w, "filler", name, "\"app\":\"miner\"", "1", FILLER_SPEC BOUND, RUNNING);
    }
    give_pod(&w, "prod", "old", "", "0", BOUND, RUNNING);
    facts_list_end(&w.facts, CLUSTER_PODS, w.now);
    cr_assert_eq(w.facts.paid_pods_total, 0);
    give_pod(&w, "prod", "new", "", "4", "", PENDING);
    cr_assert_eq(measure(&w).urgent, 0, "the scheduler has not tried it yet");
    w.now.us += 5000;
    give_pod(&w, "prod", "new", "", "4", "", UNSCHEDULABLE);
    cr_assert(w.facts.fillers[0].urgent);
    cr_assert_eq(w.facts.fillers[0].urgent_since.us, w.now.us);
    cr_assert_eq(measure(&w).urgent, 1);
    cr_assert_eq(w.facts.blocked_total, 1);
    cr_assert_eq(w.facts.paid_pods_total, 1);
    take_pod(&w, "new");
    (void)measure(&w);
    cr_assert_not(w.facts.fillers[0].urgent);
    cr_assert_eq(w.facts.blocked_total, 1);
    world_done(&w);
}

Test(facts, a_template_s_class_is_below_everybody_until_a_pod_tells_its_number)
{
    struct world w;
    struct pod_record template = {.request = {.at = {[RESOURCE_CPU] = 1000}},
                                  .priority_class = SV("brim-filler"),
                                  .grace_s = 30};

    world_init(&w);
    follow(&w, "app=miner");
    facts_set_template(&w.facts, 0, &template);
    cr_assert_eq(w.facts.fillers[0].shape_source, SHAPE_TEMPLATE);
    cr_assert_eq(w.facts.fillers[0].claims.priority, INT32_MIN);
    give_pod(&w, "filler", "f1", "\"app\":\"miner\"", "2", FILLER_SPEC, PENDING);
    cr_assert_eq(w.facts.fillers[0].claims.priority, -100);
    facts_set_template(&w.facts, 0, &template);
    cr_assert_eq(w.facts.fillers[0].shape_source, SHAPE_POD, "a live pod knows better");
    take_pod(&w, "f1");
    facts_set_template(&w.facts, 0, &template);
    cr_assert_eq(w.facts.fillers[0].shape_source, SHAPE_TEMPLATE);
    cr_assert_eq(fit_request(planner_fit(w.facts.planner, 0))->at[RESOURCE_CPU], 1000);
    cr_assert_eq(w.facts.fillers[0].claims.priority, -100, "what a pod told stays known");
    world_done(&w);
}

Test(facts, a_broken_pod_is_refused_and_leaves_everything_as_it_was)
{
    struct world w;
    struct err err = {0};

    world_init(&w);
    follow(&w, "app=miner");
    give_node(&w, "n1", 10);
    give_pod(&w, "prod", "p1", "", "4", BOUND, RUNNING);
    cr_assert_not(facts_pod(
        &w.facts, false, DECODE_JSON,
        SV("{\"metadata\":{\"name\":\"p2\",\"uid\":\"p2\"},\"spec\":{\"nodeName\":\"n1\","
           "\"containers\":"
           "[{\"name\":\"a\",\"resources\":{\"requests\":{\"cpu\":\"1.5GB\"}}}]},\"status\":{}}"),
        w.now, &err));
    cr_assert_eq(err.kind, ERR_INPUT);
    cr_assert_eq(cluster_pod_count(facts_cluster(&w.facts)), 1);
    cr_assert_eq(cluster_sum_place(node(&w, 0), NODE_SUM_PAID, RESOURCE_CPU), 4000);
    world_done(&w);
}

Test(facts, a_node_goes_whatever_else_is_said_of_it)
{
    static const char broken[] = "{\"metadata\":{\"name\":\"n1\",\"uid\":\"n1\"},\"spec\":{},"
                                 "\"status\":{\"allocatable\":{\"cpu\":\"1.5GB\"}}}";
    struct world w;
    struct err err = {0};

    world_init(&w);
    give_node(&w, "n1", 10);
    give_node(&w, "n2", 10);
    cr_assert_not(facts_node(&w.facts, false, DECODE_JSON, sv_from(broken), &err));
    cr_assert_eq(cluster_node_count(facts_cluster(&w.facts)), 2);
    cr_assert(facts_node(&w.facts, true, DECODE_JSON, sv_from(broken), &err), "%s", err.text);
    cr_assert_eq(cluster_node_count(facts_cluster(&w.facts)), 1);
    cr_assert_not(facts_node(&w.facts, true, DECODE_JSON, SV("[]"), &err));
    world_done(&w);
}

static const char two_policies[] =
    "apiVersion: brim.dev/v1\n"
    "kind: FillerPolicy\n"
    "metadata: {name: zeta}\n"
    "spec:\n"
    "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: zeta}\n"
    "  replicas: {max: 10}\n"
    "  paid:\n"
    "    ignore:\n"
    "      - {namespace: sandbox}\n"
    "      - {namespace: lab}\n"
    "---\n"
    "apiVersion: brim.dev/v1\n"
    "kind: FillerPolicy\n"
    "metadata: {name: alpha}\n"
    "spec:\n"
    "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: alpha}\n"
    "  replicas: {max: 10}\n"
    "  paid: {ignore: [{namespace: lab}]}\n";

Test(facts, a_pod_that_two_policies_match_is_the_first_by_name_s_and_the_other_is_told)
{
    struct world w;

    world_init_of(&w, two_policies);
    follow_as(&w, 0, "app=miner");
    follow_as(&w, 1, "app in (miner,render)");
    give_node(&w, "n1", 10);
    give_pod(&w, "filler", "f1", "\"app\":\"render\"", "1", FILLER_SPEC BOUND, RUNNING);
    cr_assert_eq(w.facts.fillers[0].overlaps, -1);
    give_pod(&w, "filler", "f2", "\"app\":\"miner\"", "1", FILLER_SPEC BOUND, RUNNING);
    cr_assert_eq(w.facts.fillers[0].overlaps, 1);
    cr_assert_eq(w.facts.fillers[1].overlaps, -1);
    cr_assert_eq(cluster_filler_count(facts_cluster(&w.facts), 1).pods[FILLER_STARTING], 2);
    cr_assert_eq(cluster_filler_count(facts_cluster(&w.facts), 0).pods[FILLER_STARTING], 0);
    follow_as(&w, 1, "app=render");
    cr_assert_eq(w.facts.fillers[0].overlaps, -1, "all pods are looked at anew");
    world_done(&w);
}

/* A list that names these pods of namespace "filler" with label app=miner or app=other. */
static void list_fillers(struct world *w)
{
    facts_list_begin(&w->facts, CLUSTER_PODS);
    give_pod(w, "filler", "f1", "\"app\":\"miner\"", "1", FILLER_SPEC BOUND, RUNNING);
    give_pod(w, "filler", "f2", "\"app\":\"other\"", "2", FILLER_SPEC BOUND, RUNNING);
    facts_list_end(&w->facts, CLUSTER_PODS, w->now);
}

Test(facts, of_a_filler_that_comes_or_goes_the_others_know_nothing_less)
{
    struct world w;
    int other;

    world_init(&w);
    follow(&w, "app=miner");
    give_node(&w, "n1", 10);
    list_fillers(&w);
    cr_assert(facts_classified(&w.facts, 0));
    cr_assert_eq(cluster_sum_place(node(&w, 0), NODE_SUM_PAID, RESOURCE_CPU), 2000);

    cr_assert(facts_add(&w.facts, w.policies.at[0], &other, NULL));
    follow_as(&w, other, "app=other");
    cr_assert(facts_classified(&w.facts, 0) && !facts_classified(&w.facts, other));
    cr_assert_eq(cluster_sum_place(node(&w, 0), NODE_SUM_PAID, RESOURCE_CPU), 2000,
                 "till the list tells");
    list_fillers(&w);
    cr_assert(facts_classified(&w.facts, 0) && facts_classified(&w.facts, other));
    cr_assert_eq(cluster_sum_place(node(&w, 0), NODE_SUM_PAID, RESOURCE_CPU), 0);
    cr_assert_eq(cluster_sum_place(node(&w, 0), NODE_SUM_FILLER, RESOURCE_CPU), 3000);
    cr_assert_eq(w.facts.paid_pods_total, 0, "nobody arrived");

    facts_remove(&w.facts, other, w.now);
    cr_assert(facts_classified(&w.facts, 0));
    cr_assert_eq(cluster_sum_place(node(&w, 0), NODE_SUM_PAID, RESOURCE_CPU), 2000, "at once");
    cr_assert_eq(cluster_sum_place(node(&w, 0), NODE_SUM_FILLER, RESOURCE_CPU), 1000);
    world_done(&w);
}

Test(facts, a_pod_is_ignored_only_if_every_policy_ignores_it)
{
    struct world w;

    world_init_of(&w, two_policies);
    follow_as(&w, 0, "app=zeta");
    follow_as(&w, 1, "app=alpha");
    give_node(&w, "n1", 10);
    give_pod(&w, "filler", "f1", "\"app\":\"alpha\"", "1", FILLER_SPEC BOUND, RUNNING);
    give_pod(&w, "lab", "p1", "", "1", "", PENDING);
    cr_assert_eq(measure(&w).pods, 0);
    give_pod(&w, "sandbox", "p2", "", "1", "", PENDING);
    cr_assert_eq(measure(&w).pods, 1);
    world_done(&w);
}

Test(facts, other_ignore_rules_mean_that_pods_are_listed_anew)
{
    struct world w;
    struct policy changed;
    struct err err = {0};
    bool relist = true;

    world_init(&w);
    changed = *w.policies.at[0];
    changed.max = 7;
    cr_assert(facts_set_policy(&w.facts, 0, &changed, &relist, &err), "%s", err.text);
    cr_assert_not(relist);
    changed.n_ignore = 1;
    cr_assert(facts_set_policy(&w.facts, 0, &changed, &relist, &err), "%s", err.text);
    cr_assert(relist);
    world_done(&w);
}

Test(facts, the_node_that_a_pod_was_let_in_to_is_no_part_of_the_shape)
{
    struct world w;

    world_init(&w);
    follow(&w, "app=miner");
    give_node(&w, "n1", 10);
    give_node(&w, "n2", 10);
    give_pod(
        &w, "filler", "f1", "\"app\":\"miner\"", "1",
        FILLER_SPEC BOUND
        ",\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{"
        "\"nodeSelectorTerms\":[{\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\","
        "\"values\":[\"n1\"]}]}]}}}",
        RUNNING);
    (void)measure(&w);
    cr_assert_eq(w.plans[0].room.nodes, 2);
    world_done(&w);
}

/* A pod and a node with an extended resource of this number come and go. */
static void come_and_go(struct world *w, int number)
{
    char text[512];
    struct err err = {0};

    for (int gone = 0; gone < 2; gone++) {
        (void)snprintf(text, sizeof text,
                       "{\"metadata\":{\"name\":\"x\",\"namespace\":\"prod\",\"uid\":\"x%d\"},"
                       "\"spec\":{\"containers\":[{\"name\":\"a\",\"resources\":{\"requests\":{"
                       "\"cpu\":\"1\",\"example.com/pod-%d\":\"1\"}}}]}}",
                       number, number);
        cr_assert(facts_pod(&w->facts, gone != 0, DECODE_JSON, sv_from(text), w->now, &err), "%s",
                  err.text);
        (void)snprintf(text, sizeof text,
                       "{\"metadata\":{\"name\":\"x\",\"uid\":\"x%d\"},\"spec\":{},\"status\":{"
                       "\"allocatable\":{\"cpu\":\"1\",\"example.com/node-%d\":\"1\"}}}",
                       number, number);
        cr_assert(facts_node(&w->facts, gone != 0, DECODE_JSON, sv_from(text), &err), "%s",
                  err.text);
    }
}

Test(facts, names_of_resources_that_come_and_go_take_no_more_and_more_memory)
{
    struct world w;
    size_t before = 0;

    world_init(&w);
    give_node(&w, "n1", 10);
    for (int i = 0; i < 10000; i++) {
        come_and_go(&w, i);
        if (i == 100)
            before = mallinfo2().uordblks;
    }
    cr_assert_leq(mallinfo2().uordblks, before + 4096);
    cr_assert_leq(cluster_names(facts_cluster(&w.facts))->count, RESOURCE_MAX);
    cr_assert_eq(cluster_pod_count(facts_cluster(&w.facts)), 0);
    give_pod(&w, "prod", "p", "", "2", "", "{\"phase\":\"Pending\"}");
    cr_assert_eq(cluster_pod_count(facts_cluster(&w.facts)), 1, "others count as before");
    world_done(&w);
}
