#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/serve/room_query.h"
#include "agent/serve/routes.h"
#include "tests/unit/agent/sample_snapshot.h"

/* ---- the query ---- */

/* "key=value&key=value", as it stands. */
static size_t read_pairs(const char *text, struct routes_param *params)
{
    struct sv rest = sv_from(text), pair;
    size_t n = 0;

    while (sv_next(&rest, '&', &pair)) {
        cr_assert(n < ROUTES_MAX_PARAMS);
        params[n] = (struct routes_param){.key = pair};
        (void)sv_cut(pair, '=', &params[n].key, &params[n].value);
        n++;
    }
    return n;
}

Test(room_query, refuses_what_it_cannot_read_and_names_it)
{
    static const struct {
        const char *query, *field, *says;
    } rows[] = {
        {"cpu=1&memory=2GiB", "memory", "found '2GiB', expected a quantity like 2Gi or 1"},
        {"cpu=", "cpu", "found '', expected a quantity like 1500m or 2"},
        {"cpu=-1", "cpu", "found '-1', expected 0 or more"},
        {"cpu=9223372036854775807", "cpu", "expected less than 2^63 thousandths"},
        {"memory=10E", "memory", "expected less than 2^63"},
        {"cpu=1&cpu=2", "cpu", "found it twice"},
        {"mem=1Gi", "mem", "no such parameter; expected cpu, memory"},
        {"pods=1", "pods", "no such parameter"},
        {"=1", "", "no such parameter"},
        {"example.com/a b=1", "example.com/a b", "no such parameter"},
        {"nvidia.com/gpu=x", "nvidia.com/gpu", "found 'x'"},
        {"nodeSelector=a in (", "nodeSelector", "column"},
        {"nodeSelector=a%3Db", "nodeSelector", ""}, /* is decoded already */
        {"toleration=", "toleration", "found '', expected KEY, KEY=VALUE"},
        {"toleration=:NoSchedule", "toleration", "expected KEY"},
        {"toleration=a=b:Never", "toleration", "found effect 'Never', expected NoSchedule"},
        {"toleration=a b", "toleration", "expected KEY"},
        {"nodes=yes", "nodes", "found 'yes', expected 1 or 0"},
    };
    struct resource_names names;

    resource_names_init(&names);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct routes_param params[ROUTES_MAX_PARAMS];
        size_t n = read_pairs(rows[i].query, params);
        struct room_problem problem = {0};
        struct room_query q;
        struct arena arena;

        arena_init(&arena, ROOM_QUERY_MAX_ARENA);
        cr_expect(!room_query_read(params, n, &names, &arena, &q, &problem), "%s", rows[i].query);
        cr_expect(sv_eq(problem.field, sv_from(rows[i].field)), "%s: %.*s", rows[i].query,
                  SV_ARG(problem.field));
        cr_expect(strstr(problem.err.text, rows[i].says) != NULL, "%s: %s", rows[i].query,
                  problem.err.text);
        arena_done(&arena);
    }
    resource_names_done(&names);
}

Test(room_query, reads_what_a_pod_asks_for)
{
    struct routes_param params[ROUTES_MAX_PARAMS];
    struct room_problem problem = {0};
    struct resource_names names;
    struct room_query q;
    struct arena arena;
    int gpu;
    size_t n =
        read_pairs("cpu=1500m&memory=2Gi&ephemeral-storage=1k&nvidia.com/gpu=2&hugepages-2Mi=4Mi"
                   "&nodeSelector=pool=batch,!old&toleration=a=b:NoSchedule&toleration=*"
                   "&toleration=c&nodes=1&example.com/none=0",
                   params);

    resource_names_init(&names);
    gpu = resource_names_find(&names, SV("nvidia.com/gpu"), true);
    arena_init(&arena, ROOM_QUERY_MAX_ARENA);
    cr_assert(room_query_read(params, n, &names, &arena, &q, &problem), "%s", problem.err.text);
    cr_expect_eq(q.request.at[RESOURCE_CPU], 1500);
    cr_expect_eq(q.request.at[RESOURCE_MEMORY], INT64_C(2) << 30);
    cr_expect_eq(q.request.at[RESOURCE_EPHEMERAL], 1000);
    cr_expect_eq(q.request.at[RESOURCE_PODS], 1);
    cr_expect_eq(q.request.at[gpu], 2);
    cr_expect_eq(q.n_extended, 3);
    cr_expect_eq(q.extended[0].place, gpu);
    cr_expect_eq(q.extended[1].place, names.count, "no node has it");
    cr_expect_eq(q.extended[2].place, names.count + 1);
    cr_expect(sv_eq(room_query_name(&q, &names, names.count), SV("hugepages-2Mi")));
    cr_expect(sv_eq(room_query_name(&q, &names, RESOURCE_MEMORY), SV("memory")));
    names.overflow = true;
    cr_expect(!room_query_read(params, n, &names, &arena, &q, &problem), "it may be there");
    cr_expect(sv_eq(problem.field, SV("hugepages-2Mi")));
    names.overflow = false;
    cr_assert(room_query_read(params, n, &names, &arena, &q, &problem));
    cr_expect(q.rules.has_affinity && q.rules.n_terms == 1 && q.rules.terms[0].n_exprs == 2);
    cr_assert_eq(q.rules.n_tolerations, 3);
    cr_expect(q.rules.tolerations[0].op == TOLERATE_EQUAL &&
              q.rules.tolerations[0].effect == EFFECT_NO_SCHEDULE);
    cr_expect(q.rules.tolerations[1].op == TOLERATE_EXISTS && q.rules.tolerations[1].key.len == 0);
    cr_expect(q.rules.tolerations[2].op == TOLERATE_EXISTS &&
              q.rules.tolerations[2].effect == EFFECT_NONE);
    cr_expect(q.nodes);
    arena_done(&arena);
    resource_names_done(&names);
}

/* ---- the answer ---- */

static void put_node(struct cluster *c, const char *name, int64_t cpu, const char *pool,
                     bool tainted)
{
    const struct label labels[] = {{SV("pool"), sv_from(pool)}};
    const struct taint taints[] = {{SV("dedicated"), SV("x"), EFFECT_NO_SCHEDULE}};
    struct node_record n = {.name = sv_from(name),
                            .labels = labels,
                            .n_labels = 1,
                            .taints = taints,
                            .n_taints = tainted,
                            .ready = true};

    n.allocatable.at[RESOURCE_CPU] = cpu;
    n.allocatable.at[RESOURCE_MEMORY] = INT64_C(16) << 30;
    n.allocatable.at[RESOURCE_PODS] = 10;
    n.allocatable.at[resource_names_find(cluster_names(c), SV("nvidia.com/gpu"), true)] = 1;
    cluster_upsert_node(c, &n);
}

static void put_pod(struct cluster *c, uint64_t id, const char *node, int64_t cpu, int filler)
{
    struct pod_record p = {.ns = SV("d"),
                           .name = SV("p"),
                           .uid = {1, id},
                           .node = sv_from(node),
                           .phase = *node != '\0' ? PHASE_RUNNING : PHASE_PENDING};

    p.request.at[RESOURCE_CPU] = cpu;
    p.request.at[RESOURCE_PODS] = 1;
    (void)cluster_upsert_pod(c, &p, filler, false);
}

/*
 * n1: 4 cores, 1 paid, 2 filler; n2: 2 cores, overcommitted by a half; n3: 8 cores, tainted, 1 paid, 3 of filler that is
 * apart; n4: 8 cores, cordoned. A pod of 1 core waits for n1.
 */
static struct cluster *sample(void)
{
    struct cluster *c = cluster_new();
    struct pending_pod **pending;
    size_t n;

    put_node(c, "n1", 4000, "a", false);
    put_node(c, "n2", 2000, "b", false);
    put_node(c, "n3", 8000, "a", true);
    put_node(c, "n4", 8000, "a", false);
    put_pod(c, 1, "n1", 1000, CLUSTER_PAID);
    put_pod(c, 2, "n1", 2000, 0);
    put_pod(c, 3, "n2", 2500, CLUSTER_PAID);
    put_pod(c, 4, "n3", 1000, CLUSTER_PAID);
    put_pod(c, 5, "n3", 3000, 1);
    put_pod(c, 6, "", 1000, CLUSTER_PAID);
    cluster_set_apart(c, 1, true);
    pending = cluster_pending(c, &n);
    cr_assert_eq(n, 1);
    cluster_claim(c, cluster_find_node(c, SV("n1")), pending[0], 1);
    cluster_upsert_node(c, &(struct node_record){.name = SV("n4"),
                                                 .allocatable.at = {[RESOURCE_CPU] = 8000},
                                                 .unschedulable = true});
    return c;
}

struct rig {
    struct cluster *c;
    struct boards boards;
    struct snapshot *s;
    struct routes_param params[ROUTES_MAX_PARAMS];
    struct routes_request rq;
};

static void rig_init(struct rig *r)
{
    *r = (struct rig){.c = sample(), .s = sample_snapshot()};
    boards_init(&r->boards);
    r->s->watches[1].synced = true;
    r->s->watches[1].heard = SAMPLE_NOW;
    r->s->fillers[1].stale_after_us = r->s->fillers[0].stale_after_us;
    r->rq = (struct routes_request){.method = SV("GET"),
                                    .path = SV("/api/v1/room"),
                                    .params = r->params,
                                    .now = SAMPLE_NOW,
                                    .boards = &r->boards};
}

static void rig_done(struct rig *r)
{
    snapshot_unref(r->s);
    boards_done(&r->boards);
    cluster_free(r->c);
}

static void hang(struct rig *r)
{
    struct room_view *v = room_view_new(r->c);

    v->at.us = 5 * US_PER_S;
    board_set(r->boards.room, &v->value);
}

/* The answer of one query; its text is the caller's. */
static char *ask(struct rig *r, const char *query, int want)
{
    struct routes_answer a;
    char *text;

    r->rq.n_params = read_pairs(query, r->params);
    routes_answer(&r->rq, r->s, &a);
    cr_expect_eq(a.status, want, "%s: %s", query, strbuf_str(&a.body));
    cr_expect_str_eq(a.content_type, "application/json");
    text = sv_dup(strbuf_sv(&a.body));
    strbuf_done(&a.body);
    return text;
}

Test(room_api, counts_now_and_without_filler)
{
    static const struct {
        const char *query, *want;
    } rows[] = {
        {"cpu=1", "{\"v\":1,\"t\":5000,\"asked\":{\"cpu_milli\":1000,\"memory_bytes\":0,"
                  "\"ephemeral_storage_bytes\":0,"
                  "\"extended\":{}},"
                  "\"now\":{\"fits\":1,\"nodes\":1,\"bound_by\":{\"cpu\":2}},"
                  "\"without_filler\":{\"fits\":2,\"nodes\":1,\"bound_by\":{\"cpu\":2}},"
                  "\"nodes\":4,\"refused\":{\"cordoned\":1,\"tainted\":1,\"not_selected\":0}}\n"},
        /* What is apart stays: 8 - 1 - 3 on n3. */
        {"cpu=1&toleration=dedicated:NoSchedule&nodeSelector=pool=a",
         "{\"v\":1,\"t\":5000,\"asked\":{\"cpu_milli\":1000,\"memory_bytes\":0,\"ephemeral_storage_"
         "bytes\":0,"
         "\"extended\":{}},"
         "\"now\":{\"fits\":5,\"nodes\":2,\"bound_by\":{\"cpu\":2}},"
         "\"without_filler\":{\"fits\":6,\"nodes\":2,\"bound_by\":{\"cpu\":2}},"
         "\"nodes\":4,\"refused\":{\"cordoned\":1,\"tainted\":0,\"not_selected\":1}}\n"},
        {"cpu=1&nvidia.com/gpu=1",
         "{\"v\":1,\"t\":5000,\"asked\":{\"cpu_milli\":1000,\"memory_bytes\":0,\"ephemeral_storage_"
         "bytes\":0,"
         "\"extended\":{\"nvidia.com/gpu\":1}},"
         "\"now\":{\"fits\":1,\"nodes\":1,\"bound_by\":{\"cpu\":2}},"
         "\"without_filler\":{\"fits\":1,\"nodes\":1,\"bound_by\":{\"cpu\":1,\"nvidia.com/"
         "gpu\":1}},"
         "\"nodes\":4,\"refused\":{\"cordoned\":1,\"tainted\":1,\"not_selected\":0}}\n"},
        {"cpu=1&example.com/none=1&nodes=1",
         "{\"v\":1,\"t\":5000,\"asked\":{\"cpu_milli\":1000,\"memory_bytes\":0,\"ephemeral_storage_"
         "bytes\":0,"
         "\"extended\":{\"example.com/none\":1}},"
         "\"now\":{\"fits\":0,\"nodes\":0,\"bound_by\":{\"cpu\":1,\"example.com/none\":1}},"
         "\"without_filler\":{\"fits\":0,\"nodes\":0,\"bound_by\":{\"cpu\":1,\"example.com/"
         "none\":1}},"
         "\"nodes\":4,\"refused\":{\"cordoned\":1,\"tainted\":1,\"not_selected\":0},"
         "\"by_node\":{\"name\":[\"n1\",\"n2\",\"n3\",\"n4\"],\"now\":[0,0,0,0],\"without_filler\":"
         "[0,0,0,0],"
         "\"bound_by\":[\"example.com/none\",\"cpu\",\"a taint is not "
         "tolerated\",\"cordoned\"]}}\n"},
        {"nodes=1",
         "{\"v\":1,\"t\":5000,\"asked\":{\"cpu_milli\":0,\"memory_bytes\":0,\"ephemeral_storage_"
         "bytes\":0,"
         "\"extended\":{}},"
         "\"now\":{\"fits\":17,\"nodes\":2,\"bound_by\":{\"pods\":2}},"
         "\"without_filler\":{\"fits\":17,\"nodes\":2,\"bound_by\":{\"pods\":2}},"
         "\"nodes\":4,\"refused\":{\"cordoned\":1,\"tainted\":1,\"not_selected\":0},"
         "\"by_node\":{\"name\":[\"n1\",\"n2\",\"n3\",\"n4\"],\"now\":[8,9,0,0],\"without_filler\":"
         "[8,9,0,0],"
         "\"bound_by\":[\"pods\",\"pods\",\"a taint is not tolerated\",\"cordoned\"]}}\n"},
    };
    struct rig r;

    rig_init(&r);
    hang(&r);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *text = ask(&r, rows[i].query, 200);

        cr_expect_str_eq(text, rows[i].want, "%s: %s", rows[i].query, text);
        free(text);
    }
    rig_done(&r);
}

Test(room_api, counts_what_was_there_although_the_cluster_goes_on)
{
    struct rig r;
    char *before, *after;

    rig_init(&r);
    hang(&r);
    before = ask(&r, "cpu=1&nodeSelector=pool=a&nodes=1", 200);
    cluster_remove_node(r.c, SV("n1"));
    put_node(r.c, "n2", 64000, "c", true);
    after = ask(&r, "cpu=1&nodeSelector=pool=a&nodes=1", 200);
    cr_expect_str_eq(before, after);
    free(before);
    free(after);
    hang(&r);
    after = ask(&r, "cpu=1&nodeSelector=pool=c&toleration=*", 200);
    cr_expect(strstr(after, "\"fits\":9,") != NULL, "10 pods, one of them is there: %s", after);
    free(after);
    rig_done(&r);
}

/* A Status names the parameter among its causes, too. */
Test(room_api, answers_errors_that_machines_can_read)
{
    struct rig r;
    cJSON *json;
    const cJSON *cause;
    char *text;

    rig_init(&r);
    hang(&r);
    text = ask(&r, "cpu=1&memory=\"x", 400);
    json = cJSON_Parse(text);
    cr_assert_not_null(json, "%s", text);
    cr_expect_str_eq(cJSON_GetObjectItem(json, "reason")->valuestring, "BadRequest");
    cr_expect(strstr(cJSON_GetObjectItem(json, "message")->valuestring, "memory: found '\"x'") !=
              NULL);
    cause =
        cJSON_GetArrayItem(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "details"), "causes"), 0);
    cr_expect_str_eq(cJSON_GetObjectItem(cause, "field")->valuestring, "memory");
    cr_expect_str_eq(cJSON_GetObjectItem(cause, "reason")->valuestring, "FieldValueInvalid");
    cJSON_Delete(json);
    free(text);
    r.rq.more_params = true;
    free(ask(&r, "cpu=1", 400));
    rig_done(&r);
}

Test(room_api, says_nothing_where_nothing_is_known)
{
    struct snapshot *s;
    struct rig r;

    rig_init(&r);
    free(ask(&r, "cpu=1", 503)); /* nothing hangs there yet */
    cr_expect(board_due(r.boards.room, SAMPLE_NOW), "it was asked for");
    hang(&r);
    free(ask(&r, "cpu=1", 200));
    s = r.s;
    s->ready = false;
    free(ask(&r, "cpu=1", 503));
    s->ready = true;
    s->watches[1].heard.us = SAMPLE_NOW.us - 90 * US_PER_S;
    free(ask(&r, "cpu=1", 200));
    s->watches[1].heard.us--;
    free(ask(&r, "cpu=1", 503));
    s->n_fillers = 0; /* nobody has the watches probed so soon */
    free(ask(&r, "cpu=1", 200));
    r.s = NULL;
    free(ask(&r, "cpu=1", 503));
    r.s = s;
    rig_done(&r);
}
