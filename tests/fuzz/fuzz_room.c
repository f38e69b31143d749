#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/serve/routes.h"
#include "base/alloc.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/agent/sample_snapshot.h"

/* Five nodes of each kind: with and without a taint, cordoned, full, with a device. */
static struct cluster *sample_cluster(void)
{
    static const struct label labels[] = {
        {SV("pool"), SV("batch")}, {SV("zone"), SV("a")}, {SV("n"), SV("3")}};
    static const struct taint taints[] = {{SV("dedicated"), SV("x"), EFFECT_NO_SCHEDULE}};
    struct cluster *c = cluster_new();
    int gpu = resource_names_find(cluster_names(c), SV("nvidia.com/gpu"), true);

    for (int i = 0; i < 5; i++) {
        const struct sv names[] = {SV("a"), SV("b"), SV("c"), SV("d"), SV("e")};
        struct node_record n = {.name = names[i],
                                .labels = labels,
                                .n_labels = (size_t)i % 4,
                                .taints = taints,
                                .n_taints = i == 1,
                                .unschedulable = i == 2,
                                .ready = true};

        n.allocatable.at[RESOURCE_CPU] = i == 3 ? 0 : 4000 * (i + 1);
        n.allocatable.at[RESOURCE_MEMORY] = INT64_C(8) << 30;
        n.allocatable.at[RESOURCE_PODS] = 10;
        n.allocatable.at[gpu] = i == 4 ? 2 : 0;
        cluster_upsert_node(c, &n);
    }
    return c;
}

static int64_t number(const cJSON *json, const char *key)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(json, key);

    if (!cJSON_IsNumber(found) || found->valuedouble < 0)
        abort();
    return (int64_t)found->valuedouble;
}

static int64_t sum(const cJSON *list)
{
    int64_t sum = 0;
    const cJSON *at;

    cJSON_ArrayForEach(at, list) sum += (int64_t)at->valuedouble;
    return sum;
}

/* Nodes take it, refuse it or are bound; more fits once filler is gone; the nodes' figures add up. */
static void check(const cJSON *json)
{
    const cJSON *now = cJSON_GetObjectItemCaseSensitive(json, "now"),
                *without = cJSON_GetObjectItemCaseSensitive(json, "without_filler"),
                *by_node = cJSON_GetObjectItemCaseSensitive(json, "by_node");

    if (number(json, "nodes") != 5 || number(now, "fits") > number(without, "fits") ||
        number(now, "nodes") > number(now, "fits") ||
        sum(cJSON_GetObjectItemCaseSensitive(json, "refused")) +
                sum(cJSON_GetObjectItemCaseSensitive(now, "bound_by")) !=
            5)
        abort();
    if (by_node != NULL &&
        sum(cJSON_GetObjectItemCaseSensitive(by_node, "now")) != number(now, "fits"))
        abort();
}

/* Lines of KEY=VALUE, as what MHD hands over: decoded. */
static size_t read_params(struct sv lines, struct routes_param *params)
{
    size_t n = 0;
    struct sv line;

    while (n < ROUTES_MAX_PARAMS && sv_next(&lines, '\n', &line)) {
        params[n] = (struct routes_param){.key = line};
        (void)sv_cut(line, '=', &params[n].key, &params[n].value);
        n++;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct routes_param params[ROUTES_MAX_PARAMS];
    struct cluster *c = sample_cluster();
    struct snapshot *s = sample_snapshot();
    struct boards boards;
    struct routes_request rq = {.method = SV("GET"),
                                .path = SV("/api/v1/room"),
                                .params = params,
                                .now = SAMPLE_NOW,
                                .boards = &boards};
    struct routes_answer a;
    cJSON *json;

    s->watches[1].heard = SAMPLE_NOW;
    s->n_fillers = 1;
    boards_init(&boards);
    board_set(boards.room, &room_view_new(c)->value);
    rq.n_params = read_params((struct sv){.at = (const char *)data, .len = size}, params);
    routes_answer(&rq, s, &a);
    json = cJSON_ParseWithLength(a.body.at, a.body.len);
    if (json == NULL || (a.status != 200 && a.status != 400))
        abort();
    if (a.status == 200)
        check(json);
    else if (number(json, "code") != 400)
        abort();
    cJSON_Delete(json);
    strbuf_done(&a.body);
    boards_done(&boards);
    snapshot_unref(s);
    cluster_free(c);
    return 0;
}
