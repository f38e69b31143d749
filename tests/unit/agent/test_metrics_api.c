#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/serve/exposition.h"
#include "agent/serve/metrics/metrics_ask.h"
#include "agent/serve/routes.h"
#include "tests/unit/agent/sample_snapshot.h"

#define BOTH     (1U << METRICS_CUSTOM | 1U << METRICS_EXTERNAL)
#define V1BETA1  "/apis/custom.metrics.k8s.io/v1beta1"
#define CUSTOM   "/apis/custom.metrics.k8s.io/v1beta2"
#define EXTERNAL "/apis/external.metrics.k8s.io/v1beta1"
#define V2       "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
#define V2BETA1  "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"

/* The sample with both watches alive. */
static struct snapshot *alive(void)
{
    struct snapshot *s = sample_snapshot();

    s->watches[1].synced = true;
    s->watches[1].heard = SAMPLE_NOW;
    return s;
}

/* GET of a path with a query, whose values stand as they are. */
struct question {
    struct routes_request rq;
    struct routes_param params[ROUTES_MAX_PARAMS];
};

static void read_query(struct sv query, struct question *q)
{
    struct sv pair;

    while (sv_next(&query, '&', &pair)) {
        struct routes_param *p = &q->params[q->rq.n_params++];

        *p = (struct routes_param){.key = pair};
        (void)sv_cut(pair, '=', &p->key, &p->value);
    }
}

static void question(const char *url, struct question *ret_q)
{
    struct sv query = {0};

    *ret_q = (struct question){.rq = {
                                   .method = SV("GET"),
                                   .path = sv_from(url),
                                   .host = SV("localhost"),
                                   .loopback = true,
                                   .now = SAMPLE_NOW,
                                   .now_wall = SAMPLE_WALL,
                                   .metrics_groups = BOTH,
                               }};
    (void)sv_cut(sv_from(url), '?', &ret_q->rq.path, &query);
    ret_q->rq.params = ret_q->params;
    read_query(query, ret_q);
}

static const char *text_at(const cJSON *json, const char *key)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(json, key);

    return cJSON_IsString(found) ? found->valuestring : "";
}

static const cJSON *in(const cJSON *json, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(json, key);
}

/* A Status says what its HTTP status says. */
static void check_status(const cJSON *json, int status)
{
    static const struct {
        int code;
        const char *reason;
    } rows[] = {{400, "BadRequest"},       {403, "Forbidden"},     {404, "NotFound"},
                {405, "MethodNotAllowed"}, {406, "NotAcceptable"}, {503, "ServiceUnavailable"}};
    bool found = false;

    cr_expect_str_eq(text_at(json, "kind"), "Status");
    cr_expect_str_eq(text_at(json, "apiVersion"), "v1");
    cr_expect_str_eq(text_at(json, "status"), "Failure");
    cr_expect(strlen(text_at(json, "message")) != 0);
    cr_expect(cJSON_IsObject(in(json, "metadata")));
    cr_expect_eq(in(json, "code")->valueint, status);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        found |= rows[i].code == status && strcmp(rows[i].reason, text_at(json, "reason")) == 0;
    cr_expect(found, "%d with reason %s", status, text_at(json, "reason"));
}

/* The answer's JSON; NULL with a 304 alone. */
static cJSON *ask(const struct question *q, const struct snapshot *s, int *ret_status)
{
    struct routes_answer a;
    cJSON *json = NULL;

    routes_answer(&q->rq, s, &a);
    *ret_status = a.status;
    cr_assert_eq(a.body.len == 0, a.status == 304);
    cr_assert_eq(a.allow != NULL, a.status == 405);
    if (a.status != 304) {
        cr_assert(sv_starts(sv_from(a.content_type), SV("application/json")));
        json = cJSON_ParseWithLength(a.body.at, a.body.len);
        cr_assert(json != NULL, "%s", strbuf_str(&a.body));
    }
    if (a.status != 200 && json != NULL)
        check_status(json, a.status);
    strbuf_done(&a.body);
    return json;
}

static cJSON *get(const char *url, const struct snapshot *s)
{
    struct question q;
    cJSON *json;
    int status;

    question(url, &q);
    json = ask(&q, s, &status);
    cr_assert_eq(status, 200, "%s: %d", url, status);
    return json;
}

static cJSON *get_as(const char *url, const char *accept, const struct snapshot *s)
{
    struct question q;
    cJSON *json;
    int status;

    question(url, &q);
    q.rq.accept = sv_from(accept);
    json = ask(&q, s, &status);
    cr_assert_eq(status, 200, "%s: %d", url, status);
    return json;
}

static size_t n_gauges(void)
{
    size_t n = 0;

    while (exposition_gauge(n) != NULL)
        n++;
    return n;
}

/* ---- discovery ---- */

Test(metrics_api, lists_the_groups_that_are_turned_on)
{
    static const struct {
        unsigned groups;
        const char *want;
    } rows[] = {
        {1U << METRICS_CUSTOM,
         "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[{\"name\":\"custom.metrics."
         "k8s.io\",\"versions\":[{\"groupVersion\":\"custom.metrics.k8s.io/"
         "v1beta2\",\"version\":\"v1beta2\"},{\"groupVersion\":\"custom.metrics.k8s.io/"
         "v1beta1\",\"version\":\"v1beta1\"}],\"preferredVersion\":{\"groupVersion\":\"custom."
         "metrics.k8s.io/v1beta2\",\"version\":\"v1beta2\"}}]}\n"},
        {1U << METRICS_EXTERNAL,
         "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[{\"name\":\"external."
         "metrics.k8s.io\",\"versions\":[{\"groupVersion\":\"external.metrics.k8s.io/"
         "v1beta1\",\"version\":\"v1beta1\"}],\"preferredVersion\":{\"groupVersion\":\"external."
         "metrics.k8s.io/v1beta1\",\"version\":\"v1beta1\"}}]}\n"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct routes_answer a;
        struct question q;

        question("/apis", &q);
        q.rq.metrics_groups = rows[i].groups;
        routes_answer(&q.rq, NULL, &a);
        cr_expect_eq(a.status, 200);
        cr_expect(a.vary_accept);
        cr_expect_str_eq(strbuf_str(&a.body), rows[i].want);
        strbuf_done(&a.body);
    }
}

Test(metrics_api, names_one_group)
{
    cJSON *json = get("/apis/custom.metrics.k8s.io", NULL);

    cr_expect_str_eq(text_at(json, "kind"), "APIGroup");
    cr_expect_str_eq(text_at(json, "apiVersion"), "v1");
    cr_expect_str_eq(text_at(json, "name"), "custom.metrics.k8s.io");
    cr_expect_str_eq(text_at(in(json, "preferredVersion"), "version"), "v1beta2");
    cr_expect_eq(cJSON_GetArraySize(in(json, "versions")), 2);
    cJSON_Delete(json);
}

/* Merging discovery fails where one resource is said to be namespaced and not. */
static void check_resources(const cJSON *json, const char *kind, bool has_target)
{
    const cJSON *r;
    size_t targets = 0;

    cJSON_ArrayForEach(r, in(json, "resources"))
    {
        const char *name = text_at(r, "name");
        bool root = strncmp(name, "namespaces/", 11) == 0;

        cr_expect_str_eq(text_at(r, "kind"), kind);
        cr_expect(cJSON_IsString(in(r, "singularName")));
        cr_expect_eq(cJSON_IsTrue(in(r, "namespaced")), !root, "%s", name);
        cr_expect_eq(cJSON_GetArraySize(in(r, "verbs")), 1);
        cr_expect_str_eq(cJSON_GetArrayItem(in(r, "verbs"), 0)->valuestring, "get");
        targets += strncmp(name, "deployments.apps/", 17) == 0;
    }
    cr_expect_eq(targets, has_target ? n_gauges() : 0);
}

Test(metrics_api, lists_resources_of_each_version)
{
    static const struct {
        const char *path, *group_version, *kind;
        size_t resources; /* a metric */
    } rows[] = {
        {CUSTOM, "custom.metrics.k8s.io/v1beta2", "MetricValueList", 4},
        {V1BETA1, "custom.metrics.k8s.io/v1beta1", "MetricValueList", 4},
        {EXTERNAL, "external.metrics.k8s.io/v1beta1", "ExternalMetricValueList", 1},
    };
    struct snapshot *s = alive();

    cr_assert_gt(n_gauges(), 15);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        cJSON *json = get(rows[i].path, s);

        cr_expect_str_eq(text_at(json, "kind"), "APIResourceList");
        cr_expect_str_eq(text_at(json, "apiVersion"), "v1");
        cr_expect_str_eq(text_at(json, "groupVersion"), rows[i].group_version);
        cr_expect_eq((size_t)cJSON_GetArraySize(in(json, "resources")),
                     rows[i].resources * n_gauges(), "%s", rows[i].path);
        check_resources(json, rows[i].kind, rows[i].resources == 4);
        cJSON_Delete(json);
    }
    snapshot_unref(s);
}

Test(metrics_api, a_resource_of_two_targets_is_listed_once)
{
    struct snapshot *s = alive();
    cJSON *json;

    sample_filler(&s->fillers[1], "other");
    json = get(CUSTOM, s);
    cr_expect_eq((size_t)cJSON_GetArraySize(in(json, "resources")), 4 * n_gauges());
    cJSON_Delete(json);
    (void)snprintf(s->fillers[1].target_api_version, sizeof s->fillers[1].target_api_version,
                   "batch.example/v1");
    json = get(CUSTOM, s);
    cr_expect_eq((size_t)cJSON_GetArraySize(in(json, "resources")), 5 * n_gauges());
    cJSON_Delete(json);
    snapshot_unref(s);
}

Test(metrics_api, is_alive_before_the_first_turn)
{
    cJSON *json = get(CUSTOM, NULL);

    cr_expect_eq((size_t)cJSON_GetArraySize(in(json, "resources")), 3 * n_gauges());
    check_resources(json, "MetricValueList", false);
    cJSON_Delete(json);
}

static void check_aggregated_resource(const cJSON *r, bool custom)
{
    const cJSON *subresources = in(r, "subresources"), *first = cJSON_GetArrayItem(subresources, 0);
    bool root = strcmp(text_at(r, "resource"), "namespaces") == 0;

    cr_expect(cJSON_IsObject(in(r, "responseKind")));
    cr_expect_str_eq(text_at(r, "scope"), root ? "Cluster" : "Namespaced");
    cr_expect_eq(cJSON_GetArraySize(in(r, "verbs")), custom ? 0 : 1);
    cr_expect_eq((size_t)cJSON_GetArraySize(subresources), custom ? n_gauges() : 0);
    cr_expect_str_eq(text_at(custom ? in(first, "responseKind") : in(r, "responseKind"), "kind"),
                     custom ? "MetricValueList" : "ExternalMetricValueList");
}

static void check_aggregated_group(const cJSON *item, bool custom)
{
    const cJSON *version, *r;

    cr_expect_str_eq(text_at(in(item, "metadata"), "name"),
                     custom ? "custom.metrics.k8s.io" : "external.metrics.k8s.io");
    cr_expect_eq(cJSON_GetArraySize(in(item, "versions")), custom ? 2 : 1);
    cJSON_ArrayForEach(version, in(item, "versions"))
    {
        cr_expect_str_eq(text_at(version, "freshness"), "Current");
        cr_expect_eq((size_t)cJSON_GetArraySize(in(version, "resources")), custom ? 4 : n_gauges());
        cJSON_ArrayForEach(r, in(version, "resources")) check_aggregated_resource(r, custom);
    }
}

Test(metrics_api, aggregates_discovery_for_who_asks)
{
    static const struct {
        const char *accept, *api_version;
    } rows[] = {{V2 "," V2BETA1 ",application/json", "apidiscovery.k8s.io/v2"},
                {V2BETA1 ",application/json", "apidiscovery.k8s.io/v2beta1"}};
    struct snapshot *s = alive();

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        cJSON *json = get_as("/apis", rows[i].accept, s);

        cr_expect_str_eq(text_at(json, "kind"), "APIGroupDiscoveryList");
        cr_expect_str_eq(text_at(json, "apiVersion"), rows[i].api_version);
        cr_assert_eq(cJSON_GetArraySize(in(json, "items")), 2);
        check_aggregated_group(cJSON_GetArrayItem(in(json, "items"), 0), true);
        check_aggregated_group(cJSON_GetArrayItem(in(json, "items"), 1), false);
        cJSON_Delete(json);
    }
    snapshot_unref(s);
}

Test(metrics_api, aggregated_discovery_that_is_known_is_not_sent_again)
{
    static const char *const same[] = {"%s", "W/%s", "\"x\", %s", "*", " %s ,\"y\""};
    struct snapshot *s = alive();
    struct routes_answer a;
    struct question q;
    char etag[24], text[64];

    question("/apis", &q);
    q.rq.accept = SV(V2);
    routes_answer(&q.rq, s, &a);
    cr_assert_eq(a.status, 200);
    cr_expect_str_eq(a.content_type, V2);
    cr_assert_eq(strlen(a.etag), 18);
    memcpy(etag, a.etag, sizeof a.etag);
    strbuf_done(&a.body);
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        struct sv head, tail;

        (void)snprintf(text, sizeof text, "%s", same[i]);
        if (sv_cut(sv_from(same[i]), '%', &head, &tail))
            (void)snprintf(text, sizeof text, "%.*s%s%s", SV_ARG(head), etag, tail.at + 1);
        q.rq.if_none_match = sv_from(text);
        routes_answer(&q.rq, s, &a);
        cr_expect_eq(a.status, 304, "%s: %d", text, a.status);
        cr_expect_str_eq(a.etag, etag);
        cr_expect_eq(a.body.len, 0);
        strbuf_done(&a.body);
    }
    /* Another form, and what has changed, are other bodies. */
    q.rq.if_none_match = sv_from(etag);
    q.rq.accept = SV(V2BETA1);
    routes_answer(&q.rq, s, &a);
    cr_expect_eq(a.status, 200);
    cr_expect_str_eq(a.content_type, V2BETA1);
    strbuf_done(&a.body);
    q.rq.accept = SV(V2);
    routes_answer(&q.rq, NULL, &a);
    cr_expect_eq(a.status, 200);
    strbuf_done(&a.body);
    snapshot_unref(s);
}

/* ---- errors ---- */

Test(metrics_api, refuses_what_it_does_not_serve)
{
    static const struct {
        const char *method, *url, *accept, *host;
        int want;
    } rows[] = {
        {"HEAD", CUSTOM, NULL, NULL, 200},
        {"POST", CUSTOM, NULL, NULL, 405},
        {"POST", "/apis/nothing", NULL, NULL, 405},
        {"DELETE", CUSTOM "/namespaces/filler/deployments.apps/miner/brim_replicas", NULL, NULL,
         405},
        {"GET", EXTERNAL "/namespaces/x/brim_replicas?watch=true", NULL, NULL, 405},
        {"GET", CUSTOM, "application/vnd.kubernetes.protobuf", NULL, 406},
        {"GET", CUSTOM, V2, NULL, 406},
        {"GET", CUSTOM, "application/vnd.kubernetes.protobuf, */*", NULL, 200},
        {"GET", "/apis", "text/html", NULL, 406},
        {"GET", "/apis", NULL, "evil.example", 403},
        {"GET", CUSTOM, NULL, "evil.example", 403},
        {"GET", "/apis/apps", NULL, NULL, 404},
        {"GET", "/apis/apps/v1", NULL, NULL, 404},
        {"GET", "/apis/custom.metrics.k8s.io/v1", NULL, NULL, 404},
        {"GET", "/apis//custom.metrics.k8s.io", NULL, NULL, 404},
        {"GET", "/apis/../apis", NULL, NULL, 404},
        {"GET", CUSTOM "/\xff\xfe/x/m", NULL, NULL, 404},
        {"GET", CUSTOM "/namespaces", NULL, NULL, 404},
    };
    struct snapshot *s = alive();

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct question q;
        int status;

        question(rows[i].url, &q);
        q.rq.method = sv_from(rows[i].method);
        q.rq.accept = sv_from(rows[i].accept);
        if (rows[i].host != NULL)
            q.rq.host = sv_from(rows[i].host);
        cJSON_Delete(ask(&q, s, &status));
        cr_expect_eq(status, rows[i].want, "%s %s: %d", rows[i].method, rows[i].url, status);
    }
    snapshot_unref(s);
}

Test(metrics_api, is_not_there_unless_it_is_turned_on)
{
    static const char *const paths[] = {"/apis", CUSTOM, EXTERNAL};

    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct routes_answer a;
        struct question q;

        question(paths[i], &q);
        q.rq.metrics_groups = 0;
        routes_answer(&q.rq, NULL, &a);
        cr_expect_eq(a.status, 404);
        strbuf_done(&a.body);
    }
}
