#include <cjson/cJSON.h>
#include <stdlib.h>

#include "agent/serve/metrics/metrics_ask.h"
#include "agent/serve/routes.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/agent/sample_snapshot.h"

/* Values are amounts that are not negative, items are named, a Status says its code. */
static void check_json(const struct routes_answer *a)
{
    cJSON *json = cJSON_ParseWithLength(a->body.at, a->body.len);
    const cJSON *item;

    if (json == NULL)
        abort();
    if (a->status != 200 && cJSON_GetObjectItemCaseSensitive(json, "code")->valueint != a->status)
        abort();
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "items"))
    {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(item, "value");

        if (value != NULL &&
            (!cJSON_IsString(value) || value->valuestring[0] < '0' || value->valuestring[0] > '9'))
            abort();
    }
    cJSON_Delete(json);
}

static void check(const struct routes_answer *a, const struct routes_request *rq)
{
    if ((a->body.len == 0) != (a->status == 304) || a->body.full ||
        (a->allow != NULL) != (a->status == 405) || (a->status == 304 && a->etag[0] == '\0'))
        abort();
    if (metrics_ask_is(rq->path) && !sv_starts(sv_from(a->content_type), SV("application/json")))
        abort();
    if (a->status != 304 && metrics_ask_is(rq->path))
        check_json(a);
}

static bool within(struct sv part, struct sv whole)
{
    return part.len == 0 || (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

/* What is authorized stands in the path: a value is never given without a metric and a place. */
static void check_ask(const struct routes_request *rq, int status)
{
    struct metrics_ask ask = metrics_ask_read(rq);
    bool resource = ask.what == METRICS_SERIES || ask.what == METRICS_OBJECTS;

    if (!within(ask.ns, rq->path) || !within(ask.resource, rq->path) ||
        !within(ask.name, rq->path) || !within(ask.subresource, rq->path) ||
        !within(ask.metric, rq->path))
        abort();
    if (resource != (ask.resource.len != 0) || resource != (ask.metric.len != 0) ||
        (ask.what == METRICS_OBJECTS) != (ask.name.len != 0) || ask.verb == NULL)
        abort();
    if (ask.what == METRICS_NOTHING && status < 400)
        abort();
}

/* The list of a flag, too: what is taken names a group, and none that is not there. */
static void check_groups(struct sv list)
{
    unsigned groups = 0;

    if (metrics_groups_parse(list, &groups) &&
        (groups == 0 || groups >= 1U << METRICS_GROUP_COUNT_))
        abort();
}

static void ask(const struct routes_request *rq, const struct snapshot *s)
{
    struct routes_answer a;

    routes_answer(rq, s, &a);
    check(&a, rq);
    if (metrics_ask_is(rq->path))
        check_ask(rq, a.status);
    strbuf_done(&a.body);
}

/* Lines: method, path, Accept (and a flag's groups), If-None-Match, then a parameter each as KEY=VALUE; decoded. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv lines = {.at = (const char *)data, .len = size}, line;
    const struct process_figures process = {0};
    struct routes_param params[ROUTES_MAX_PARAMS];
    struct boards boards;
    struct routes_request rq = {
        .params = params,
        .boards = &boards,
        .now = SAMPLE_NOW,
        .now_wall = SAMPLE_WALL,
        .process = &process,
        .metrics_groups =
            size % 4 == 0 ? 1U << METRICS_CUSTOM : 1U << METRICS_CUSTOM | 1U << METRICS_EXTERNAL,
    };
    struct snapshot *s = sample_snapshot();
    struct pods_view *v = pods_view_new();

    boards_init(&boards);
    pods_view_add_part(v, SV("miner"), SV("filler"), SV("app=miner,tier in (a,b)"));
    pods_view_add(v, SV("miner-1"));
    pods_view_add(v, SV("miner-2"));
    (void)(sv_next(&lines, '\n', &rq.method) && sv_next(&lines, '\n', &rq.path) &&
           sv_next(&lines, '\n', &rq.accept) && sv_next(&lines, '\n', &rq.if_none_match));
    check_groups(rq.accept);
    while (rq.n_params < ROUTES_MAX_PARAMS && sv_next(&lines, '\n', &line)) {
        params[rq.n_params] = (struct routes_param){.key = line};
        (void)sv_cut(line, '=', &params[rq.n_params].key, &params[rq.n_params].value);
        rq.n_params++;
    }
    s->watches[1].synced = true;
    s->watches[1].heard = SAMPLE_NOW;
    ask(&rq, s);
    board_set(boards.pods, &v->value);
    ask(&rq, s);
    ask(&rq, NULL);
    rq.now = mono_plus_us(rq.now, 1000 * US_PER_S);
    ask(&rq, s);
    boards_done(&boards);
    snapshot_unref(s);
    return 0;
}
