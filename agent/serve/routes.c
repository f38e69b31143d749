#include "agent/serve/routes.h"

#include <stdio.h>

#include "agent/serve/exposition.h"
#include "agent/serve/fail.h"
#include "agent/serve/metrics/metrics_api.h"
#include "agent/serve/metrics/metrics_ask.h"
#include "agent/serve/metrics/metrics_fail.h"
#include "agent/serve/nodes_json.h"
#include "agent/serve/openapi.h"
#include "agent/serve/room_api.h"
#include "agent/serve/status_json.h"

static const char type_text[] = "text/plain; charset=utf-8";
static const char type_json[] = "application/json";

static const char other_host[] =
    "the Host header names another machine than the one that this server listens on";

enum { DECISIONS_DEFAULT = 50 };

struct route {
    const char *path;
    bool prefix; /* whatever follows the path is handled too */
    const char *doc;
    void (*answer)(const struct routes_request *rq, const struct snapshot *s,
                   struct routes_answer *a);
};

static const struct routes_param *param(const struct routes_request *rq, const char *key)
{
    for (size_t i = 0; i < rq->n_params; i++) {
        if (sv_eq(rq->params[i].key, sv_from(key)))
            return &rq->params[i];
    }
    return NULL;
}

static struct sv param_text(const struct routes_request *rq, const char *key)
{
    const struct routes_param *p = param(rq, key);

    return p != NULL ? p->value : (struct sv){0};
}

static void answer_metrics(const struct routes_request *rq, const struct snapshot *s,
                           struct routes_answer *a)
{
    enum exposition_format format = exposition_negotiate(rq->accept);

    a->content_type = exposition_content_type(format);
    exposition_write(format, s, rq->process, rq->now, &a->body);
}

static void answer_livez(const struct routes_request *rq, const struct snapshot *s,
                         struct routes_answer *a)
{
    int64_t age_us = s != NULL ? mono_since_us(s->at_mono, rq->now) : 0;

    if (age_us <= ROUTES_DEAD_US) {
        (void)strbuf_add(&a->body, SV("ok\n"));
        return;
    }
    (void)strbuf_addf(&a->body, "the loop has not turned for %lld s\n",
                      (long long)(age_us / US_PER_S));
    a->status = 503;
}

static bool watch_synced(const struct snapshot *s, const char *name)
{
    for (size_t i = 0; s != NULL && i < COUNT_OF(s->watches); i++) {
        if (s->watches[i].name != NULL && sv_eq(sv_from(s->watches[i].name), sv_from(name)))
            return s->watches[i].synced;
    }
    return false;
}

static void answer_readyz(const struct routes_request *rq, const struct snapshot *s,
                          struct routes_answer *a)
{
    static const char *const checks[] = {"pods", "nodes"};
    bool verbose = param(rq, "verbose") != NULL, ready = s != NULL && s->ready;

    for (size_t i = 0; i < COUNT_OF(checks); i++) {
        bool synced = watch_synced(s, checks[i]);

        if (verbose)
            (void)strbuf_addf(&a->body, "[%c]%s: %s\n", synced ? '+' : '-', checks[i],
                              synced ? "listed" : "not listed yet");
        else if (!synced)
            (void)strbuf_addf(&a->body, "%s: not listed yet\n", checks[i]);
    }
    if (verbose && s != NULL && s->lead.on)
        (void)strbuf_addf(&a->body, "[+]lease: %s\n",
                          s->lead.leads               ? "this replica leads"
                          : s->lead.holder[0] != '\0' ? s->lead.holder
                                                      : "nobody leads");
    if (ready)
        (void)strbuf_add(&a->body, SV("ok\n"));
    else if (verbose || a->body.len == 0)
        (void)strbuf_add(&a->body, SV("not ready\n"));
    a->status = ready ? 200 : 503;
}

static void answer_status(const struct routes_request *rq, const struct snapshot *s,
                          struct routes_answer *a)
{
    a->content_type = type_json;
    status_json_write(s, param_text(rq, "policy"), rq->now, rq->now_wall, &a->body);
}

static void answer_decisions(const struct routes_request *rq, const struct snapshot *s,
                             struct routes_answer *a)
{
    const struct routes_param *limit = param(rq, "limit"), *before = param(rq, "before");
    struct decisions_query q = {.limit = DECISIONS_DEFAULT, .before = UINT64_MAX};
    uint64_t n;

    if (limit != NULL) {
        if (!sv_to_u64(limit->value, &n) || n < 1 || n > ROUTES_MAX_DECISIONS) {
            fail_json(a, 400, "BadRequest", "limit: expected a number from 1 to 500");
            return;
        }
        q.limit = (size_t)n;
    }
    if (before != NULL && !sv_to_u64(before->value, &q.before)) {
        fail_json(a, 400, "BadRequest", "before: expected the number of a decision");
        return;
    }
    q.policy = param_text(rq, "policy");
    q.reason = param_text(rq, "reason");
    a->content_type = type_json;
    status_json_decisions(s, &q, &a->body);
}

static void answer_decision(const struct routes_request *rq, const struct snapshot *s,
                            struct routes_answer *a)
{
    uint64_t id;

    a->content_type = type_json;
    if (!sv_to_u64(sv_skip(rq->path, sizeof "/api/v1/decisions/" - 1), &id))
        fail_json(a, 404, "NotFound", "a decision is named by its number");
    else if (!status_json_decision(s, id, &a->body))
        fail_json(a, 404, "NotFound", "no decision of this number is held");
}

static void answer_nodes(const struct routes_request *rq, const struct snapshot *s,
                         struct routes_answer *a)
{
    struct nodes_view *v = rq->boards != NULL ? nodes_board_ask(&rq->boards->nodes, rq->now) : NULL;

    a->content_type = type_json;
    if (v != NULL) {
        nodes_json_write(v, sv_eq(param_text(rq, "names"), SV("1")), &a->body);
    } else {
        fail_json(a, 503, "ServiceUnavailable",
                  "the table of nodes is being made: ask again within seconds");
        a->awaits = s != NULL && s->ready && rq->boards != NULL ? rq->boards->nodes.board : NULL;
    }
    nodes_view_unref(v);
}

static void add_escaped(struct strbuf *out, struct sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            c == '-' || c == '.' || c == '_' || c == '~')
            (void)strbuf_add_char(out, c);
        else
            (void)strbuf_addf(out, "%%%02X", (unsigned)(unsigned char)c);
    }
}

/* The same question to the replica that leads. */
static void redirect(const struct routes_request *rq, const char *url, struct routes_answer *a)
{
    struct strbuf to;

    strbuf_init(&to, sizeof a->location - 1);
    (void)strbuf_addf(&to, "%s%.*s", url, SV_ARG(rq->path));
    for (size_t i = 0; i < rq->n_params; i++) {
        (void)strbuf_add_char(&to, i == 0 ? '?' : '&');
        add_escaped(&to, rq->params[i].key);
        (void)strbuf_add_char(&to, '=');
        add_escaped(&to, rq->params[i].value);
    }
    if (to.full || rq->more_params) {
        fail_text(a, 414, "the address is too long to be sent on to the replica that leads");
    } else {
        a->status = 307;
        (void)snprintf(a->location, sizeof a->location, "%s", strbuf_str(&to));
        (void)strbuf_addf(&a->body, "the replica that leads answers this: %s\n", a->location);
    }
    strbuf_done(&to);
}

static void answer_report(const struct routes_request *rq, const struct snapshot *s,
                          struct routes_answer *a)
{
    if (s != NULL && s->lead.on && !s->lead.leads && s->lead.url[0] != '\0') {
        redirect(rq, s->lead.url, a);
        return;
    }
    a->wants_report = rq->has_reports;
    if (!rq->has_reports)
        fail_text(a, 404, "no history is kept: start the agent with --db FILE");
}

static void answer_root(const struct routes_request *rq, const struct snapshot *s,
                        struct routes_answer *a);

static const struct route routes[] = {
    {"/", false, "this list", answer_root},
    {"/metrics", false, "figures for Prometheus", answer_metrics},
    {"/livez", false, "ok while the process serves", answer_livez},
    {"/readyz", false, "ok once pods and nodes are listed; ?verbose", answer_readyz},
    {"/report", false, "what the cpu was used for; ?since=7d, ?zone=NAME, ?compare=previous, …",
     answer_report},
    {"/api/v1/status", false, "what brim does now and why; ?policy=NAME", answer_status},
    {"/api/v1/decisions", false,
     "the last decisions; ?limit=N, ?before=ID, ?policy=NAME, ?reason=NAME", answer_decisions},
    {"/api/v1/decisions/", true, "one decision by its number", answer_decision},
    {"/api/v1/nodes", false, "what is on each node, by columns; ?names=1", answer_nodes},
    {"/api/v1/room", false, "how many pods like this fit, and why no more; ?cpu=1&memory=2Gi, …",
     room_api_answer},
    {"/api/v1/openapi.json", false, "all of this as an OpenAPI document", openapi_answer},
};

static void answer_root(const struct routes_request *rq, const struct snapshot *s,
                        struct routes_answer *a)
{
    (void)rq;
    (void)s;
    (void)strbuf_addf(&a->body, "brim %s\n\n", BRIM_VERSION);
    for (size_t i = 0; i < COUNT_OF(routes); i++)
        (void)strbuf_addf(&a->body, "%-20s  %s\n", routes[i].path, routes[i].doc);
}

static const struct route *find_route(struct sv path)
{
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        struct sv own = sv_from(routes[i].path);

        if (routes[i].prefix ? sv_starts(path, own) && path.len > own.len : sv_eq(path, own))
            return &routes[i];
    }
    return NULL;
}

/* Without ":port" and without the brackets of an IPv6 address. */
static struct sv host_alone(struct sv host)
{
    struct sv head, tail;

    if (host.len != 0 && host.at[0] == '[')
        return sv_cut(sv_skip(host, 1), ']', &head, &tail) ? head : host;
    return sv_cut(host, ':', &head, &tail) ? head : host;
}

static bool host_allowed(const struct routes_request *rq)
{
    struct sv host = host_alone(rq->host);

    if (!rq->loopback)
        return true;
    return sv_eq(host, SV("localhost")) || sv_eq(host, SV("127.0.0.1")) || sv_eq(host, SV("::1")) ||
           (rq->listen_host.len != 0 && sv_eq(host, rq->listen_host));
}

/* Of the metrics APIs, which are there only if one of them was turned on. */
static bool answer_metrics_api(const struct routes_request *rq, const struct snapshot *s,
                               struct routes_answer *a)
{
    if (rq->metrics_groups == 0 || !metrics_ask_is(rq->path))
        return false;
    if (!host_allowed(rq))
        metrics_fail(a, METRICS_FORBIDDEN, &(struct metrics_ask){0}, "%s", other_host);
    else
        metrics_api_answer(rq, s, a);
    return true;
}

static void answer(const struct routes_request *rq, const struct snapshot *s,
                   struct routes_answer *a)
{
    bool api = sv_eq(rq->path, SV("/api")) || sv_starts(rq->path, SV("/api/"));
    const struct route *r = find_route(rq->path);

    if (answer_metrics_api(rq, s, a))
        return;
    if (!sv_eq(rq->method, SV("GET")) && !sv_eq(rq->method, SV("HEAD"))) {
        a->allow = "GET, HEAD";
        if (api)
            fail_json(a, 405, "MethodNotAllowed", "expected GET or HEAD");
        else
            fail_text(a, 405, "expected GET or HEAD");
    } else if (api && !host_allowed(rq)) {
        fail_json(a, 403, "Forbidden", other_host);
    } else if (r != NULL && r->answer == answer_report && !host_allowed(rq)) {
        fail_text(a, 403, other_host);
    } else if (r != NULL) {
        r->answer(rq, s, a);
    } else if (api) {
        fail_json(a, 404, "NotFound", "there is nothing at this address");
    } else {
        fail_text(a, 404, "there is nothing at this address; / lists what there is");
    }
}

void routes_answer(const struct routes_request *rq, const struct snapshot *s,
                   struct routes_answer *ret_answer)
{
    struct routes_answer a = {.status = 200, .content_type = type_text};

    strbuf_init(&a.body, ROUTES_MAX_BODY);
    answer(rq, s, &a);
    if (a.body.full) { /* half an answer would be taken for a whole one */
        strbuf_clear(&a.body);
        fail_text(&a, 500, "the answer is larger than this server sends");
    }
    *ret_answer = a;
}
