#include <criterion/criterion.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "policy/sim/trace.h"

#define NODES "node,cpu_milli,memory_mib\nn0,8000,16384\nn1,4000,8192\n"
#define HEAD  "time_s,event,pod,cpu_milli,memory_mib,node\n"

static bool read_pods(struct trace *t, const char *text, struct err *err)
{
    return trace_read_pods(t, SV("T.csv"), sv_from(text), err);
}

static void nodes_of(struct trace *t, const char *text)
{
    struct err err = {0};

    trace_init(t);
    cr_assert(trace_read_nodes(t, SV("T.nodes.csv"), sv_from(text), &err), "%s", err.text);
}

Test(trace, reads_nodes_pods_and_filler)
{
    char json[] =
        "{\"seconds\":90.0,\"filler_cpu_milli\":500,\"filler_memory_mib\":64,\"name\":\"x\","
        "\"reserve_cpu_milli\":1000,\"max_replicas\":7}";
    struct trace t;
    struct err err = {0};

    nodes_of(&t, NODES);
    cr_assert(read_pods(&t,
                        HEAD "0,create,a,2000,1024,\n0.5,create,b,250,0,n1\r\n\n12.000001,delete,a,"
                             "2000,1024,\n12.000001,create,a,2000,1024,",
                        &err),
              "%s", err.text);
    cr_assert(trace_read_filler(&t, SV("T.json"), json, sizeof json - 1, &err), "%s", err.text);
    cr_assert_eq(t.n_nodes, 2);
    cr_assert_eq(t.n_pods, 3);
    cr_assert_eq(t.n_kinds, 2, "pods that ask for the same are of one kind");
    cr_assert_eq(t.pods[0].create_us, 0);
    cr_assert_eq(t.pods[0].delete_us, 12000001);
    cr_assert_eq(t.pods[2].kind, t.pods[0].kind);
    cr_assert_eq(t.pods[2].delete_us, TRACE_STAYS);
    cr_assert_eq(t.kinds[t.pods[1].kind].node, trace_find_node(&t, SV("n1")));
    cr_assert_eq(t.kinds[0].request.at[RESOURCE_MEMORY], INT64_C(1) << 30);
    cr_assert_eq(t.facts[1].allocatable.at[RESOURCE_CPU], 4000);
    cr_assert_eq(t.end_us, 90 * US_PER_S);
    cr_assert_eq(t.filler.at[RESOURCE_MEMORY], INT64_C(64) << 20);
    cr_assert_eq(t.reserve_milli, 1000);
    cr_assert_eq(t.max_replicas, 7);
    for (size_t i = 1; i < t.n_rows; i++)
        cr_assert_geq(t.rows[i].at_us, t.rows[i - 1].at_us);
    trace_done(&t);
}

Test(trace, says_where_a_table_is_wrong)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"", "T.csv: found an empty file, expected a line of names, time_s first"},
        {"time,event,pod,cpu_milli,memory_mib,node\n",
         "T.csv:1: found column time, expected time_s"},
        {"time_s,event,pod\n", "T.csv:1: found 3 columns, expected 6"},
        {HEAD "0,create,a,1,1\n", "T.csv:2: found 5 columns, expected 6"},
        {HEAD "x,create,a,1,1,\n",
         "T.csv:2: time_s: found x, expected seconds from the start, at most 3162240000"},
        {HEAD "-1,create,a,1,1,\n",
         "T.csv:2: time_s: found -1, expected seconds from the start, at most 3162240000"},
        {HEAD "1.,create,a,1,1,\n",
         "T.csv:2: time_s: found 1., expected seconds from the start, at most 3162240000"},
        {HEAD "1e3,create,a,1,1,\n",
         "T.csv:2: time_s: found 1e3, expected seconds from the start, at most 3162240000"},
        {HEAD "99999999999999999999,create,a,1,1,\n",
         "T.csv:2: time_s: found 99999999999999999999, expected seconds from the start, at most "
         "3162240000"},
        {HEAD "5,create,a,1,1,\n4.9,delete,a,1,1,\n",
         "T.csv:3: time_s: found 4.9, expected a time that is not before the line above"},
        {HEAD "0,make,a,1,1,\n", "T.csv:2: event: found make, expected create or delete"},
        {HEAD "0,,a,1,1,\n", "T.csv:2: event: found nothing, expected create or delete"},
        {HEAD "0,create,,1,1,\n", "T.csv:2: pod: found nothing, expected a name"},
        {HEAD "2.50,create,a,1,1,\n3,create,a,1,1,\n",
         "T.csv:3: pod: found a, expected a name that is free: the pod created at 2.5 s was not "
         "deleted yet"},
        {HEAD "10,create,a,1,1,\n10,create,a,1,1,\n",
         "T.csv:3: pod: found a, expected a name that is free: the pod created at 10 s was not "
         "deleted yet"},
        {HEAD "0,delete,a,1,1,\n",
         "T.csv:2: pod: found a, expected the name of a pod that was created and is not deleted "
         "yet"},
        {HEAD "0,create,a,1,1,\n0,delete,a,1,2,\n",
         "T.csv:3: memory_mib: found 2, expected what the pod was created with"},
        {HEAD "0,create,a,1,1,\n0,delete,a,2,1,\n",
         "T.csv:3: cpu_milli: found 2, expected what the pod was created with"},
        {"time_s,,pod,cpu_milli,memory_mib,node\n",
         "T.csv:1: found column nothing, expected event"},
        {HEAD "0,create,a,1.5,1,\n",
         "T.csv:2: cpu_milli: found 1.5, expected a whole number from 0 to 1000000000000"},
        {HEAD "0,create,a,1,-1,\n",
         "T.csv:2: memory_mib: found -1, expected a whole number from 0 to 1099511627776"},
        {HEAD "0,create,a,1,1,n7\n",
         "T.csv:2: node: found n7, expected nothing or the name of a node"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err err = {0};
        struct trace t;

        nodes_of(&t, NODES);
        cr_assert_not(read_pods(&t, rows[i].text, &err), "row %zu was taken", i);
        cr_assert_eq(err.kind, ERR_INPUT);
        cr_assert_str_eq(err.text, rows[i].error);
        trace_done(&t);
    }
}

Test(trace, says_where_nodes_are_wrong)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"node,cpu_milli,memory_mib\n", "T.nodes.csv: found no node, expected at least one"},
        {NODES "n0,1,1\n", "T.nodes.csv:4: node: found n0, expected a name that no other node has"},
        {NODES ",1,1\n", "T.nodes.csv:4: node: found nothing, expected a name"},
        {NODES "n2,one,1\n",
         "T.nodes.csv:4: cpu_milli: found one, expected a whole number from 0 to 1000000000000"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err err = {0};
        struct trace t;

        trace_init(&t);
        cr_assert_not(trace_read_nodes(&t, SV("T.nodes.csv"), sv_from(rows[i].text), &err));
        cr_assert_str_eq(err.text, rows[i].error);
        trace_done(&t);
    }
}

Test(trace, says_what_is_wrong_with_the_filler)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"{\"seconds\":9}", "T.json: found no filler_cpu_milli"},
        {"{\"seconds\":\"9\"}", "T.json: column 12: found '\"', expected a number"},
        {"{\"filler_cpu_milli\":0}",
         "T.json: filler_cpu_milli: found 0, expected a number above 0, at most 1000000000000"},
        {"{\"max_replicas\":-1}",
         "T.json: max_replicas: found -1, expected a number from 0 up, at most 1000000000"},
        {"{\"seconds\":1e15}",
         "T.json: seconds: found 1e15, expected a number above 0, at most 3162240000"},
        {"{\"seconds\":3162240000.1}",
         "T.json: seconds: found 3162240000.1, expected a number above 0, at most 3162240000"},
        {"{\"seconds\":9,\"filler_cpu_milli\":1,\"filler_memory_mib\":1,\"reserve_cpu_milli\":1,"
         "\"max_replicas\":1}",
         "T.json: seconds: found 9, expected at least the last row's time, 10"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err err = {0};
        struct trace t;
        char *text = xstrdup(rows[i].text);

        nodes_of(&t, NODES);
        cr_assert(read_pods(&t, HEAD "10,create,a,1,1,\n", NULL));
        cr_assert_not(trace_read_filler(&t, SV("T.json"), text, strlen(text), &err));
        cr_assert_str_eq(err.text, rows[i].error);
        free(text);
        trace_done(&t);
    }
}

Test(trace, is_built_row_by_row)
{
    const struct resources offer = {.at = {[RESOURCE_CPU] = 4000, [RESOURCE_PODS] = 110}};
    const struct trace_kind kind = {
        .request = {.at = {[RESOURCE_CPU] = 100}}, .priority = 5, .node = TRACE_ANY_NODE};
    struct trace_kind other = kind;
    struct trace t;
    uint32_t a, b;

    trace_init(&t);
    other.priority = 6;
    cr_assert(trace_put_node(&t, 0, SV("n0"), &offer, false, NULL));
    cr_assert(trace_put_node(&t, 10, SV("n0"), &offer, true, NULL));
    cr_assert(trace_add_pod(&t, 20, &kind, 0, &a, NULL));
    cr_assert(trace_add_pod(&t, 30, &other, TRACE_ANY_NODE, &b, NULL));
    trace_end_pod(&t, 40, a);
    trace_drop_node(&t, 50, 0);
    cr_assert_eq(t.n_nodes, 1);
    cr_assert_eq(t.n_facts, 2);
    cr_assert_eq(t.n_rows, 6);
    cr_assert_eq(t.n_kinds, 2);
    cr_assert_eq(t.pods[a].found_on, 0);
    cr_assert_eq(t.pods[b].delete_us, TRACE_STAYS);
    cr_assert_eq(t.end_us, 50);
    trace_done(&t);
}
