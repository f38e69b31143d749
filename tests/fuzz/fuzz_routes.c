#include <cjson/cJSON.h>
#include <stdlib.h>

#include "agent/serve/exposition.h"
#include "agent/serve/routes.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/agent/sample_snapshot.h"

/* Whatever is asked: a status, a type, a body, an Allow with each 405 alone, JSON where JSON is said. */
static void check(const struct routes_answer *a, const struct routes_request *rq)
{
    cJSON *json;

    if (a->status < 200 || a->status > 599 || a->body.len == 0 || a->body.full ||
        (a->allow != NULL) != (a->status == 405))
        abort();
    if (strcmp(a->content_type, "application/json") != 0)
        return;
    json = cJSON_ParseWithLength(a->body.at, a->body.len);
    if (json == NULL)
        abort();
    if (a->status >= 300 && cJSON_GetObjectItemCaseSensitive(json, "code")->valueint != a->status)
        abort();
    cJSON_Delete(json);
    if (a->status == 200 && rq->loopback && sv_starts(rq->host, SV("evil")))
        abort();
}

static void ask(const struct routes_request *rq, const struct snapshot *s)
{
    struct routes_answer a;

    routes_answer(rq, s, &a);
    check(&a, rq);
    strbuf_done(&a.body);
}

/* Lines: method, path, Accept, Host, then a parameter each as KEY=VALUE; what MHD hands over, decoded. */
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
    struct sv lines = {.at = (const char *)data, .len = size};
    const struct process_figures process = {.started = {.us = 1}};
    struct routes_param params[ROUTES_MAX_PARAMS];
    struct boards boards;
    struct routes_request rq = {
        .params = params,
        .loopback = size % 2 == 0,
        .listen_host = SV("127.0.0.7"),
        .now = SAMPLE_NOW,
        .now_wall = SAMPLE_WALL,
        .process = &process,
        .boards = &boards,
    };
    struct snapshot *s = sample_snapshot();

    boards_init(&boards);
    (void)(sv_next(&lines, '\n', &rq.method) && sv_next(&lines, '\n', &rq.path) &&
           sv_next(&lines, '\n', &rq.accept) && sv_next(&lines, '\n', &rq.host));
    rq.n_params = read_params(lines, params);
    ask(&rq, s);
    ask(&rq, NULL);
    nodes_board_set(&boards.nodes, nodes_view_new());
    ask(&rq, s);
    boards_done(&boards);
    snapshot_unref(s);
    return 0;
}
