#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "agent/tally.h"

static const struct label zone_a[] = {{SV("zone"), SV("a")}},
                          zone_b[] = {{SV("zone"), SV("b,\"c\"")}};
static const struct taint taints[] = {{SV("dedicated"), SV("x"), EFFECT_NO_SCHEDULE}};

static void put_node(struct cluster *c, const char *name, int64_t cpu, const struct label *label,
                     bool tainted)
{
    struct node_record n = {.name = sv_from(name),
                            .labels = label,
                            .n_labels = label != NULL ? 1 : 0,
                            .taints = taints,
                            .n_taints = tainted ? 1 : 0,
                            .ready = true};

    n.allocatable.at[RESOURCE_CPU] = cpu;
    n.allocatable.at[RESOURCE_MEMORY] = INT64_C(8) << 30;
    n.allocatable.at[RESOURCE_PODS] = 10;
    cluster_upsert_node(c, &n);
}

static void put_pod(struct cluster *c, uint64_t id, const char *node, int64_t cpu, int filler)
{
    struct pod_record p = {.ns = SV("d"),
                           .name = SV("p"),
                           .uid = {1, id},
                           .node = sv_from(node),
                           .phase = PHASE_RUNNING};

    p.request.at[RESOURCE_CPU] = cpu;
    p.request.at[RESOURCE_MEMORY] = INT64_C(1) << 29;
    p.request.at[RESOURCE_PODS] = 1;
    (void)cluster_upsert_pod(c, &p, filler, true);
}

/* n1: 4 cores, 1 paid, 2 filler; n2: 2 cores, overcommitted by a half; n3: 8 cores, tainted,
 * without label. */
static struct cluster *sample(void)
{
    struct cluster *c = cluster_new();

    put_node(c, "n1", 4000, zone_a, false);
    put_node(c, "n2", 2000, zone_b, false);
    put_node(c, "n3", 8000, NULL, true);
    put_pod(c, 1, "n1", 1000, CLUSTER_PAID);
    put_pod(c, 2, "n1", 2000, 0);
    put_pod(c, 3, "n2", 2500, CLUSTER_PAID);
    return c;
}

/* The sum is that of the rows, an overcommitted node's free counted as 0. */
static void check(const struct tally *t)
{
    for (int i = 0; i < TALLY_COUNT_; i++) {
        int64_t sum = 0;
        bool is_free = i == TALLY_CPU_FREE || i == TALLY_MEMORY_FREE || i == TALLY_PODS_FREE;

        for (size_t k = 0; k < t->len; k++)
            sum += is_free && t->at[k].figure[i] < 0 ? 0 : t->at[k].figure[i];
        cr_assert_eq(sum, t->total.figure[i], "figure %d", i);
    }
}

static struct tally take(struct cluster *c, const char *group, const struct room_shape *shape)
{
    static const struct selector all;
    struct tally t;

    tally_init(&t, c, &all, group, shape);
    check(&t);
    return t;
}

static struct room_shape one_core(struct resources *request)
{
    static const struct pod_rules rules;

    *request = (struct resources){0};
    request->at[RESOURCE_CPU] = 1000;
    request->at[RESOURCE_PODS] = 1;
    return (struct room_shape){request, &rules};
}

Test(tally, counts_each_node)
{
    struct cluster *c = sample();
    struct tally t = take(c, NULL, NULL);

    tally_sort(&t, TALLY_BY_NAME);
    cr_assert_eq(t.len, 3);
    cr_expect_str_eq(t.at[0].name, "n1");
    cr_expect_eq(t.at[0].figure[TALLY_CPU_PAID], 1000);
    cr_expect_eq(t.at[0].figure[TALLY_CPU_FILLER], 2000);
    cr_expect_eq(t.at[0].figure[TALLY_CPU_FREE], 1000);
    cr_expect_eq(t.at[0].figure[TALLY_PODS_FREE], 8);
    cr_expect_eq(t.at[1].figure[TALLY_CPU_FREE], -500);
    cr_expect_eq(t.total.figure[TALLY_CPU_FREE], 9000);
    cr_expect_eq(t.total.nodes, 3);
    tally_done(&t);
    cluster_free(c);
}

Test(tally, says_how_many_fit_and_what_binds)
{
    struct cluster *c = sample();
    struct resources request;
    struct room_shape shape = one_core(&request);
    struct tally t = take(c, NULL, &shape);

    tally_sort(&t, TALLY_BY_FITS);
    cr_expect_str_eq(t.at[0].name, "n1");
    cr_expect_eq(t.at[0].figure[TALLY_FITS], 1);
    cr_expect_str_eq(t.at[0].why, "cpu");
    cr_expect_str_eq(t.at[1].why, "cpu");
    cr_expect_str_eq(t.at[2].why, "a taint is not tolerated");
    cr_expect_eq(t.total.figure[TALLY_FITS], 1);
    tally_done(&t);
    cluster_free(c);
}

Test(tally, sorts_in_every_order_and_breaks_ties_by_name)
{
    static const struct {
        enum tally_order order;
        const char *want;
    } rows[] = {{TALLY_BY_NAME, "n1n2n3"},
                {TALLY_BY_FREE, "n2n1n3"},
                {TALLY_BY_CPU, "n3n1n2"},
                {TALLY_BY_FITS, "n1n2n3"}};
    struct cluster *c = sample();
    struct tally t = take(c, NULL, NULL);

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char got[16];

        tally_sort(&t, rows[i].order);
        (void)snprintf(got, sizeof got, "%.4s%.4s%.4s", t.at[0].name, t.at[1].name, t.at[2].name);
        cr_expect_str_eq(got, rows[i].want, "order %d", (int)rows[i].order);
    }
    tally_done(&t);
    cluster_free(c);
}

Test(tally, groups_by_a_label_and_picks_by_a_selector)
{
    static const struct sv a = SV("a");
    static const struct requirement in_a = {
        .key = SV("zone"), .op = OP_IN, .values = &a, .n_values = 1};
    const struct selector only_a = {&in_a, 1};
    struct cluster *c = sample();
    struct tally t;

    put_node(c, "n4", 1000, zone_a, false);
    t = take(c, "zone", NULL);
    tally_sort(&t, TALLY_BY_CPU);
    cr_assert_eq(t.len, 3);
    cr_expect_str_eq(t.at[0].name, "<none>");
    cr_expect_str_eq(t.at[1].name, "a");
    cr_expect_eq(t.at[1].nodes, 2);
    cr_expect_eq(t.at[1].figure[TALLY_CPU_ALLOCATABLE], 5000);
    tally_done(&t);
    tally_init(&t, c, &only_a, NULL, NULL);
    cr_expect_eq(t.len, 2);
    tally_done(&t);
    cluster_free(c);
}

Test(tally, prints_every_form)
{
    struct cluster *c = sample();
    struct resources request;
    struct room_shape shape = one_core(&request);
    struct tally t = take(c, "zone", &shape);
    struct strbuf out;
    cJSON *json;

    tally_sort(&t, TALLY_BY_NAME);
    strbuf_init(&out, 1 << 20);
    tally_csv(&t, &out);
    cr_expect(strstr(strbuf_str(&out), "\n\"b,\"\"c\"\"\",1,true,true,2000,2500,0,0,") != NULL,
              "%s", strbuf_str(&out));
    strbuf_clear(&out);
    tally_json(&t, &out);
    json = cJSON_ParseWithLength(out.at, out.len);
    cr_assert(json != NULL, "%s", strbuf_str(&out));
    cr_expect_eq(cJSON_GetArraySize(cJSON_GetObjectItem(json, "rows")), 3);
    cJSON_Delete(json);
    strbuf_clear(&out);
    tally_yaml(&t, &out);
    cr_expect(strstr(strbuf_str(&out), "- name: \"b,\\\"c\\\"\"\n  nodes: 1\n") != NULL, "%s",
              strbuf_str(&out));
    strbuf_clear(&out);
    tally_table(&t, true, &out);
    cr_expect(strstr(strbuf_str(&out), "TOTAL") != NULL &&
                  strstr(strbuf_str(&out), "7.0Gi") != NULL,
              "%s", strbuf_str(&out));
    strbuf_done(&out);
    tally_done(&t);
    cluster_free(c);
}
