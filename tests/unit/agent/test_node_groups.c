#include "agent/node_groups.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/unit/policy/random.h"

#define KEY "zone"

/* A node with the value of the label; NULL: without it. */
static void put_node(struct cluster *c, int number, const char *zone, bool cordoned)
{
    const struct label labels[] = {{SV("a"), SV("b")}, {SV(KEY), sv_from(zone)}};
    char name[32];
    struct node_record n = {.labels = labels,
                            .n_labels = zone != NULL ? 2 : 1,
                            .ready = true,
                            .unschedulable = cordoned};

    (void)snprintf(name, sizeof name, "n%d", number);
    n.name = sv_from(name);
    n.allocatable.at[RESOURCE_CPU] = 8000;
    n.allocatable.at[RESOURCE_MEMORY] = INT64_C(8) << 30;
    n.allocatable.at[RESOURCE_PODS] = 110;
    cluster_upsert_node(c, &n);
}

static void drop_node(struct cluster *c, int number)
{
    char name[32];

    (void)snprintf(name, sizeof name, "n%d", number);
    cluster_remove_node(c, sv_from(name));
}

static void put_pod(struct cluster *c, uint64_t id, int number, int64_t cpu, int filler)
{
    char node[32];
    struct pod_record p = {.ns = SV("d"), .name = SV("p"), .uid = {1, id}, .phase = PHASE_RUNNING};

    (void)snprintf(node, sizeof node, "n%d", number);
    p.node = sv_from(node);
    p.request.at[RESOURCE_CPU] = cpu;
    p.request.at[RESOURCE_PODS] = 1;
    (void)cluster_upsert_pod(c, &p, filler, true);
}

static struct fit *fit_of_one_core(void)
{
    static const struct pod_rules rules;
    struct resources request = {0};

    request.at[RESOURCE_CPU] = 1000;
    return fit_new(&request, &rules, 0);
}

static void sample(struct node_groups *g, struct cluster *c, struct fit *f,
                   struct groups_sample *to)
{
    fit_rebuild(f, c);
    node_groups_sample(g, c, f, to);
}

static const struct groups_one *group(const struct groups_sample *s, const char *value)
{
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->at[i].value, value) == 0)
            return &s->at[i];
    }
    return NULL;
}

Test(node_groups, tells_nodes_apart_by_a_label)
{
    struct node_groups *g = node_groups_new(SV(KEY));
    struct cluster *c = cluster_new();
    struct fit *f = fit_of_one_core();
    struct groups_sample s = {0};

    put_node(c, 1, "a", false);
    put_node(c, 2, "a", true); /* offers nothing, and its filler is told all the same */
    put_node(c, 3, NULL, false);
    put_node(c, 4, "", false);
    put_pod(c, 1, 1, 3000, CLUSTER_PAID);
    put_pod(c, 2, 1, 1000, 0);
    put_pod(c, 3, 2, 2000, 0);
    sample(g, c, f, &s);
    cr_assert_str_eq(s.label, KEY);
    cr_assert_eq(s.n, 3);
    cr_assert_eq(group(&s, "a")->at[GROUP_NODES], 1);
    cr_assert_eq(group(&s, "a")->at[GROUP_ALLOCATABLE], 8000);
    cr_assert_eq(group(&s, "a")->at[GROUP_PAID], 3000);
    cr_assert_eq(group(&s, "a")->at[GROUP_FILLER], 3000);
    cr_assert_eq(group(&s, "a")->at[GROUP_FIT], 5);
    cr_assert_eq(group(&s, GROUPS_NONE)->at[GROUP_FIT], 8);
    cr_assert_eq(group(&s, GROUPS_EMPTY)->at[GROUP_NODES], 1);
    cr_assert_not(node_groups_overflown(g));

    /* A node changes its label, another one goes. */
    put_node(c, 1, "b", false);
    drop_node(c, 3);
    sample(g, c, f, &s);
    cr_assert_eq(group(&s, "b")->at[GROUP_PAID], 3000);
    cr_assert_eq(group(&s, "a")->at[GROUP_NODES], 0);
    cr_assert_null(group(&s, GROUPS_NONE));
    fit_free(f);
    cluster_free(c);
    node_groups_free(g);
}

/* Of too many groups the further ones are one, until there is room. */
Test(node_groups, further_groups_are_one)
{
    struct node_groups *g = node_groups_new(SV(KEY));
    struct cluster *c = cluster_new();
    struct fit *f = fit_of_one_core();
    struct groups_sample s = {0};
    char zone[16];

    for (int i = 0; i < GROUPS_MAX + 5; i++) {
        (void)snprintf(zone, sizeof zone, "z%d", i);
        put_node(c, i, zone, false);
    }
    sample(g, c, f, &s);
    cr_assert_eq(s.n, GROUPS_MAX + 1);
    cr_assert_eq(group(&s, GROUPS_OTHER)->at[GROUP_NODES], 5);
    cr_assert(node_groups_overflown(g));
    for (int i = 0; i < 5; i++)
        drop_node(c, i);
    sample(g, c, f, &s); /* their names are free from now on */
    sample(g, c, f, &s);
    cr_assert_eq(s.n, GROUPS_MAX);
    cr_assert_null(group(&s, GROUPS_OTHER));
    cr_assert_not_null(group(&s, "z36"));
    cr_assert_not(node_groups_overflown(g));
    fit_free(f);
    cluster_free(c);
    node_groups_free(g);
}

/* After each of many random events: the groups are what the cluster has, each node in that of its label. */
struct world {
    struct random random;
    struct cluster *cluster;
    struct fit *fit;
    struct node_groups *groups;
    int zone[64]; /* of each node; -1: there is none */
    uint64_t pods;
};

static const char *const zones[] = {"a", "b", "c", NULL};

static void change(struct world *w)
{
    int node = (int)random_in(&w->random, 0, COUNT_OF(w->zone) - 1);

    switch (random_in(&w->random, 0, 5)) {
    case 0:
        drop_node(w->cluster, node);
        w->zone[node] = -1;
        break;
    case 1:
    case 2:
        w->zone[node] = (int)random_in(&w->random, 0, COUNT_OF(zones) - 1);
        put_node(w->cluster, node, zones[w->zone[node]], random_percent(&w->random, 10));
        break;
    case 3:
        (void)cluster_remove_pod(
            w->cluster, (struct uid){1, (uint64_t)random_in(&w->random, 0, (int64_t)w->pods)});
        break;
    default:
        put_pod(w->cluster, ++w->pods, node, random_in(&w->random, 1, 2000),
                random_percent(&w->random, 50) ? 0 : CLUSTER_PAID);
        break;
    }
}

static void check(struct world *w)
{
    struct groups_sample s = {0};
    int64_t sum[GROUP_FIELD_COUNT_] = {0}, nodes[COUNT_OF(zones)] = {0}, filler = 0;
    struct fit_sum all;

    sample(w->groups, w->cluster, w->fit, &s);
    all = fit_sum(w->fit);
    for (size_t i = 0; i < s.n; i++) {
        for (int k = 0; k < GROUP_FIELD_COUNT_; k++)
            sum[k] += s.at[i].at[k];
    }
    for (uint32_t i = 0; i < cluster_node_limit(w->cluster); i++) {
        const struct cluster_node *n = cluster_node(w->cluster, i);

        if (n == NULL)
            continue;
        filler += cluster_sum_place(n, NODE_SUM_FILLER, RESOURCE_CPU);
        if (fit_node(w->fit, i).eligible)
            nodes[w->zone[atoi(n->name + 1)]]++;
    }
    cr_assert_eq(sum[GROUP_NODES], all.nodes);
    cr_assert_eq(sum[GROUP_ALLOCATABLE], all.allocatable_milli);
    cr_assert_eq(sum[GROUP_PAID], all.paid_milli);
    cr_assert_eq(sum[GROUP_FILLER], filler);
    cr_assert_eq(sum[GROUP_FIT], all.slots);
    for (size_t z = 0; z < COUNT_OF(zones); z++) {
        const struct groups_one *one = group(&s, zones[z] != NULL ? zones[z] : GROUPS_NONE);

        cr_assert_eq(one != NULL ? one->at[GROUP_NODES] : 0, nodes[z]);
    }
}

Test(node_groups, add_up_to_the_cluster_after_any_events)
{
    struct world w = {.random = random_start("node_groups/add_up_to_the_cluster"),
                      .cluster = cluster_new(),
                      .fit = fit_of_one_core(),
                      .groups = node_groups_new(SV(KEY))};

    for (size_t i = 0; i < COUNT_OF(w.zone); i++)
        w.zone[i] = -1;
    for (int i = 0; i < 3000; i++) {
        change(&w);
        check(&w);
    }
    node_groups_free(w.groups);
    fit_free(w.fit);
    cluster_free(w.cluster);
}
