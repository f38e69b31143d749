#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

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

/* The same of a plain GET. */
static cJSON *ask_for(const char *url, const struct snapshot *s, int *ret_status)
{
    struct question q;

    question(url, &q);
    return ask(&q, s, ret_status);
}

static cJSON *get(const char *url, const struct snapshot *s)
{
    int status;
    cJSON *json = ask_for(url, s, &status);

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

/* ---- values ---- */

#define AT "\"timestamp\":\"2026-09-21T14:13:20Z\""
#define SERIES(labels, metric, value)                                                              \
    "{\"metricName\":\"" metric "\",\"metricLabels\":{\"policy\":\"miner\"" labels "}," AT         \
    ",\"value\":\"" value "\"}"
#define OBJECT_AS(object, metric, selector, value)                                                 \
    "{\"describedObject\":{" object "},\"metric\":{\"name\":\"" metric "\",\"selector\":" selector \
    "}," AT ",\"value\":\"" value "\"}"
#define OBJECT(object, metric, value) OBJECT_AS(object, metric, "null", value)
#define DEPLOYMENT                                                                                 \
    "\"kind\":\"Deployment\",\"namespace\":\"filler\",\"name\":\"miner\",\"apiVersion\":\"apps/"   \
    "v1\""
#define SERVICE                                                                                    \
    "\"kind\":\"Service\",\"namespace\":\"filler\",\"name\":\"miner-room\",\"apiVersion\":\"v1\""
#define NAMESPACE "\"kind\":\"Namespace\",\"name\":\"filler\",\"apiVersion\":\"v1\""

/* What is asked and the items that come. */
static const struct value_row {
    const char *url, *items;
} value_rows[] = {
    {EXTERNAL "/namespaces/any/brim_replicas", SERIES("", "brim_replicas", "130")},
    {EXTERNAL "/namespaces/*/brim_replicas", SERIES("", "brim_replicas", "130")},
    {EXTERNAL "/namespaces/x/brim_replicas/", SERIES("", "brim_replicas", "130")},
    {EXTERNAL "/namespaces/x/cpu_capacity_remaining",
     SERIES("", "cpu_capacity_remaining", "171250m")},
    {EXTERNAL "/namespaces/x/cpu_capacity_reserved", SERIES("", "cpu_capacity_reserved", "250m")},
    {EXTERNAL "/namespaces/x/brim_settle_seconds", SERIES("", "brim_settle_seconds", "22600m")},
    /* 139 / 120 = 1.15833…: rounded up, 120 pods would ask for 140 */
    {EXTERNAL "/namespaces/x/brim_scale_ratio", SERIES("", "brim_scale_ratio", "1158m")},
    {EXTERNAL "/namespaces/x/brim_headroom_cores",
     SERIES(",\"kind\":\"surge\"", "brim_headroom_cores", "30")},
    {EXTERNAL "/namespaces/x/brim_paused",
     SERIES(",\"direction\":\"up\"", "brim_paused", "1") "," SERIES(",\"direction\":\"down\"",
                                                                    "brim_paused", "0")},
    {EXTERNAL "/namespaces/x/brim_replicas?labelSelector=policy=miner",
     SERIES("", "brim_replicas", "130")},
    {EXTERNAL "/namespaces/x/brim_replicas?labelSelector=policy in (a,miner),!state",
     SERIES("", "brim_replicas", "130")},
    {EXTERNAL "/namespaces/x/brim_replicas?labelSelector=", SERIES("", "brim_replicas", "130")},
    {EXTERNAL "/namespaces/x/brim_replicas?limit=1&labelSelector=policy=miner&labelSelector=a=b",
     SERIES("", "brim_replicas", "130")},
    {EXTERNAL "/namespaces/x/brim_replicas?watch=false", SERIES("", "brim_replicas", "130")},
    {EXTERNAL "/namespaces/x/brim_replicas?labelSelector=policy=other", ""},
    {EXTERNAL "/namespaces/x/brim_replicas?labelSelector=policy!=miner", ""},
    {EXTERNAL "/namespaces/x/brim_replicas?labelSelector=pool", ""},
    {EXTERNAL "/namespaces/x/brim_filler_pods?labelSelector=state=leaving",
     SERIES(",\"state\":\"leaving\"", "brim_filler_pods", "2")},
    {EXTERNAL "/namespaces/x/brim_filler_pods?labelSelector=policy=miner,state in (ready,leaving)",
     SERIES(",\"state\":\"ready\"", "brim_filler_pods", "120") "," SERIES(",\"state\":\"leaving\"",
                                                                          "brim_filler_pods", "2")},
    {CUSTOM "/namespaces/filler/deployments.apps/miner/brim_desired_replicas",
     OBJECT(DEPLOYMENT, "brim_desired_replicas", "139")},
    {CUSTOM "/namespaces/filler/deployments.apps/*/brim_desired_replicas",
     OBJECT(DEPLOYMENT, "brim_desired_replicas", "139")},
    {CUSTOM "/namespaces/other/deployments.apps/*/brim_desired_replicas", ""},
    {CUSTOM "/namespaces/filler/services/miner-room/cpu_capacity_allocatable",
     OBJECT(SERVICE, "cpu_capacity_allocatable", "184")},
    {CUSTOM "/namespaces/filler/services/*/cpu_capacity_allocatable",
     OBJECT(SERVICE, "cpu_capacity_allocatable", "184")},
    {CUSTOM "/namespaces/filler/metrics/cpu_capacity_remaining",
     OBJECT(NAMESPACE, "cpu_capacity_remaining", "171250m")},
    {CUSTOM "/namespaces/filler/cpu_capacity_remaining",
     OBJECT(NAMESPACE, "cpu_capacity_remaining", "171250m")},
    {CUSTOM "/namespaces/*/cpu_capacity_remaining",
     OBJECT(NAMESPACE, "cpu_capacity_remaining", "171250m")},
    {CUSTOM "/namespaces/filler/metrics/brim_replicas?metricLabelSelector=policy=miner",
     OBJECT_AS(NAMESPACE, "brim_replicas",
               "{\"matchExpressions\":[{\"key\":\"policy\",\"operator\":\"In\",\"values\":["
               "\"miner\"]}]}",
               "130")},
    {CUSTOM "/namespaces/filler/services/miner-room/"
            "brim_filler_pods?metricLabelSelector=state notin "
            "(starting,leaving,unschedulable,gated,admitted),policy,!x",
     OBJECT_AS(SERVICE, "brim_filler_pods",
               "{\"matchExpressions\":[{\"key\":\"state\",\"operator\":\"NotIn\",\"values\":["
               "\"starting\",\"leaving\",\"unschedulable\",\"gated\",\"admitted\"]},"
               "{\"key\":\"policy\",\"operator\":\"Exists\"},"
               "{\"key\":\"x\",\"operator\":\"DoesNotExist\"}]}",
               "120")},
    {CUSTOM "/namespaces/filler/deployments.apps/*/brim_replicas?metricLabelSelector=policy=x", ""},
    /* A labelSelector says nothing of one object. */
    {CUSTOM "/namespaces/filler/deployments.apps/miner/brim_replicas?labelSelector=a=b",
     OBJECT(DEPLOYMENT, "brim_replicas", "130")},
    {V1BETA1 "/namespaces/filler/deployments.apps/miner/brim_desired_replicas",
     "{\"describedObject\":{" DEPLOYMENT "},\"metricName\":\"brim_desired_replicas\"," AT
     ",\"value\":\"139\",\"selector\":null}"},
    {V1BETA1 "/namespaces/filler/metrics/brim_paused?metricLabelSelector=direction=up",
     "{\"describedObject\":{" NAMESPACE "},\"metricName\":\"brim_paused\"," AT
     ",\"value\":\"1\",\"selector\":{\"matchExpressions\":[{\"key\":\"direction\",\"operator\":"
     "\"In\",\"values\":[\"up\"]}]}}"},
};

static void check_list(const cJSON *json, const struct value_row *row)
{
    bool external = strncmp(row->url, EXTERNAL, strlen(EXTERNAL)) == 0,
         beta1 = strncmp(row->url, V1BETA1, strlen(V1BETA1)) == 0;
    char text[2048];
    cJSON *want;

    cr_expect_str_eq(text_at(json, "kind"),
                     external ? "ExternalMetricValueList" : "MetricValueList");
    cr_expect_str_eq(text_at(json, "apiVersion"), external ? "external.metrics.k8s.io/v1beta1"
                                                  : beta1  ? "custom.metrics.k8s.io/v1beta1"
                                                           : "custom.metrics.k8s.io/v1beta2");
    cr_expect(cJSON_IsObject(in(json, "metadata")));
    cr_assert((size_t)snprintf(text, sizeof text, "[%s]", row->items) < sizeof text);
    want = cJSON_Parse(text);
    cr_assert(want != NULL, "%s", text);
    if (!cJSON_Compare(in(json, "items"), want, true)) {
        char *found = cJSON_PrintUnformatted(in(json, "items"));

        cr_expect(false, "%s: %s, not %s", row->url, found, text);
        free(found);
    }
    cJSON_Delete(want);
}

Test(metrics_api, answers_with_values)
{
    struct snapshot *s = alive();

    for (size_t i = 0; i < COUNT_OF(value_rows); i++) {
        cJSON *json = get(value_rows[i].url, s);

        check_list(json, &value_rows[i]);
        cJSON_Delete(json);
    }
    snapshot_unref(s);
}

static int status_of(const char *url, const struct snapshot *s)
{
    int status;

    cJSON_Delete(ask_for(url, s, &status));
    return status;
}

Test(metrics_api, says_why_there_is_no_value)
{
    static const struct {
        const char *url;
        int want;
    } rows[] = {
        {EXTERNAL "/namespaces/x/nothing", 404},
        {EXTERNAL "/namespaces/x/brim_nodes", 404}, /* not of a policy */
        {EXTERNAL "/namespaces/x/brim_decisions_total", 404},
        {EXTERNAL "/namespaces/x/brim_replicas?labelSelector=policy in (a", 400},
        {EXTERNAL "/namespaces/x/brim_replicas?labelSelector==a", 400},
        {EXTERNAL "/namespaces/x/brim_replicas?labelSelector=a=\xff", 400},
        {EXTERNAL "/namespaces/x/nothing?labelSelector==a", 404},
        {CUSTOM "/namespaces/filler/deployments.apps/miner/nothing", 404},
        {CUSTOM "/namespaces/filler/deployments.apps/other/brim_replicas", 404},
        {CUSTOM "/namespaces/filler/deployments/miner/brim_replicas", 404},
        {CUSTOM "/namespaces/filler/deployments.extensions/miner/brim_replicas", 404},
        {CUSTOM "/namespaces/other/deployments.apps/miner/brim_replicas", 404},
        {CUSTOM "/namespaces/*/deployments.apps/miner/brim_replicas", 404},
        {CUSTOM "/deployments.apps/miner/brim_replicas", 404},
        {CUSTOM "/services/miner-room/brim_replicas", 404},
        {CUSTOM "/namespaces/filler/services/miner/brim_replicas", 404},
        {CUSTOM "/namespaces/other/services/miner-room/brim_replicas", 404},
        {CUSTOM "/namespaces/other/metrics/brim_replicas", 404},
        {CUSTOM "/namespaces/other/brim_replicas", 404},
        {CUSTOM "/namespaces/filler/metrics/nothing", 404},
        {CUSTOM "/namespaces/filler/namespaces/filler/brim_replicas", 404},
        {CUSTOM "/namespaces/filler/metrics/filler/brim_replicas", 404},
        {CUSTOM "/nodes/n1/brim_replicas", 404},
        {CUSTOM "/nodes/*/brim_replicas", 404},
        {CUSTOM "/namespaces/filler/metrics/brim_filler_pods", 400}, /* one of six */
        {CUSTOM "/namespaces/filler/deployments.apps/*/brim_filler_pods", 400},
        {CUSTOM "/namespaces/filler/metrics/brim_replicas?metricLabelSelector=policy=x", 404},
        {CUSTOM "/namespaces/filler/metrics/brim_replicas?metricLabelSelector=(", 400},
        {CUSTOM "/namespaces/filler/metrics/brim_replicas?metricLabelSelector=a>1", 400},
        {CUSTOM "/namespaces/filler/services/*/brim_replicas?labelSelector=app=x", 400},
    };
    struct snapshot *s = alive();

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int status = status_of(rows[i].url, s);

        cr_expect_eq(status, rows[i].want, "%s: %d", rows[i].url, status);
    }
    snapshot_unref(s);
}

Test(metrics_api, an_error_names_what_was_asked_for)
{
    struct snapshot *s = alive();
    struct question q;
    const cJSON *details;
    cJSON *json;
    int status;

    question(CUSTOM "/namespaces/filler/deployments.apps/other/brim_replicas", &q);
    json = ask(&q, s, &status);
    details = in(json, "details");
    cr_expect_str_eq(text_at(details, "group"), "custom.metrics.k8s.io");
    cr_expect_str_eq(text_at(details, "kind"), "deployments.apps");
    cr_expect_str_eq(text_at(details, "name"), "other");
    cr_expect_str_eq(text_at(json, "message"),
                     "the metric brim_replicas of deployments.apps other is not known");
    cJSON_Delete(json);
    question(EXTERNAL "/namespaces/x/brim_replicas?labelSelector=policy in (a", &q);
    json = ask(&q, s, &status);
    cr_expect_str_eq(text_at(json, "message"),
                     "labelSelector: column 13: found the end, expected ',' or ')'");
    cJSON_Delete(json);
    question(CUSTOM "/namespaces/filler/metrics/brim_paused", &q);
    json = ask(&q, s, &status);
    cr_expect_str_eq(text_at(json, "message"),
                     "2 series of brim_paused belong to filler: choose one with "
                     "metricLabelSelector, such as policy=miner,direction=down");
    cJSON_Delete(json);
    snapshot_unref(s);
}

/* Of each metric alone what the page shows of it: nothing where it shows nothing. */
Test(metrics_api, what_is_not_known_is_no_data)
{
    static const struct {
        const char *url;
        int want;
    } rows[] = {
        {EXTERNAL "/namespaces/x/cpu_capacity_remaining", 200},
        {CUSTOM "/namespaces/filler/deployments.apps/*/brim_desired_replicas", 200},
        {CUSTOM "/namespaces/filler/deployments.apps/miner/brim_desired_replicas", 404},
        {CUSTOM "/namespaces/filler/services/miner-room/cpu_capacity_remaining", 404},
        {CUSTOM "/namespaces/filler/metrics/cpu_capacity_remaining", 404},
    };
    struct snapshot *s = alive();

    s->fillers[0].known = s->fillers[0].has_replicas = false;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int status;
        cJSON *json = ask_for(rows[i].url, s, &status);

        cr_expect_eq(status, rows[i].want, "%s: %d", rows[i].url, status);
        cr_expect(status != 200 || cJSON_GetArraySize(in(json, "items")) == 0, "%s", rows[i].url);
        cJSON_Delete(json);
    }
    snapshot_unref(s);
}

Test(metrics_api, data_that_is_not_fresh_is_not_served)
{
    static const char *const urls[] = {
        EXTERNAL "/namespaces/x/brim_replicas",
        CUSTOM "/namespaces/filler/deployments.apps/miner/brim_replicas",
        CUSTOM "/namespaces/filler/deployments.apps/*/brim_replicas",
        CUSTOM "/namespaces/filler/metrics/brim_replicas",
        CUSTOM "/namespaces/filler/services/miner-room/brim_replicas",
    };

    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        struct snapshot *s = alive();
        struct question q;
        int status;

        cr_expect_eq(status_of(urls[i], NULL), 503, "%s", urls[i]);
        s->ready = false;
        cr_expect_eq(status_of(urls[i], s), 503, "%s", urls[i]);
        s->ready = true;
        s->fillers[0].reason = REASON_STALE;
        cr_expect_eq(status_of(urls[i], s), 503, "%s", urls[i]);
        s->fillers[0].reason = REASON_HOLD;

        /* However long the loop has not turned. */
        question(urls[i], &q);
        q.rq.now = mono_plus_us(s->watches[0].heard, s->fillers[0].stale_after_us);
        cJSON_Delete(ask(&q, s, &status));
        cr_expect_eq(status, 200, "%s: %d", urls[i], status);
        q.rq.now.us++;
        cJSON_Delete(ask(&q, s, &status));
        cr_expect_eq(status, 503, "%s: %d", urls[i], status);
        snapshot_unref(s);
    }
}

/* Nobody else's silence counts: the other policy waits longer. */
Test(metrics_api, each_policy_is_stale_by_its_own_measure)
{
    struct snapshot *s = alive();
    struct question q;
    int status;

    sample_filler(&s->fillers[1], "patient");
    s->fillers[1].stale_after_us = 600 * US_PER_S;
    question(EXTERNAL "/namespaces/x/brim_replicas?labelSelector=policy=patient", &q);
    q.rq.now = mono_plus_us(SAMPLE_NOW, 100 * US_PER_S);
    cJSON_Delete(ask(&q, s, &status));
    cr_expect_eq(status, 200);
    question(EXTERNAL "/namespaces/x/brim_replicas", &q);
    q.rq.now = mono_plus_us(SAMPLE_NOW, 100 * US_PER_S);
    cJSON_Delete(ask(&q, s, &status));
    cr_expect_eq(status, 503);
    snapshot_unref(s);
}

Test(metrics_api, two_policies_of_one_namespace_are_told_apart)
{
    static const struct {
        const char *url;
        int want;
        int items;
    } rows[] = {
        {EXTERNAL "/namespaces/x/brim_replicas", 200, 2},
        {CUSTOM "/namespaces/filler/deployments.apps/*/brim_replicas", 200, 2},
        {CUSTOM "/namespaces/filler/services/*/brim_replicas", 200, 2},
        {CUSTOM "/namespaces/filler/metrics/brim_replicas", 400, 0},
        {CUSTOM "/namespaces/*/brim_replicas", 400, 0},
        {CUSTOM "/namespaces/*/brim_replicas?metricLabelSelector=policy=other", 200, 1},
        {CUSTOM "/namespaces/filler/metrics/brim_replicas?metricLabelSelector=policy=other", 200,
         1},
    };
    struct snapshot *s = alive();

    sample_filler(&s->fillers[1], "other");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int status;
        cJSON *json = ask_for(rows[i].url, s, &status);

        cr_expect_eq(status, rows[i].want, "%s: %d", rows[i].url, status);
        cr_expect_eq(cJSON_GetArraySize(in(json, "items")), rows[i].items, "%s", rows[i].url);
        cJSON_Delete(json);
    }
    snapshot_unref(s);
}

/* The page's figures are these, to the thousandth: none is missing, none is made up. */
Test(metrics_api, tells_of_what_the_page_shows)
{
    struct snapshot *s = alive();
    const struct process_figures process = {0};
    struct strbuf page;
    const char *metric;

    strbuf_init(&page, 1 << 20);
    exposition_write(EXPOSITION_TEXT, s, &process, SAMPLE_NOW, &page);
    for (size_t i = 0; (metric = exposition_gauge(i)) != NULL; i++) {
        char url[256], line[128];
        cJSON *json;
        int shown = 0;

        (void)snprintf(line, sizeof line, "\n%s{policy=\"", metric);
        for (const char *at = page.at; (at = strstr(at, line)) != NULL; at++)
            shown++;
        (void)snprintf(url, sizeof url, EXTERNAL "/namespaces/x/%s", metric);
        json = get(url, s);
        cr_expect_eq(cJSON_GetArraySize(in(json, "items")), shown, "%s", metric);
        cr_expect_gt(shown, 0, "%s", metric);
        cJSON_Delete(json);
    }
    strbuf_done(&page);
    snapshot_unref(s);
}

Test(metrics_api, amounts_are_canonical)
{
    static const struct {
        int64_t milli;
        const char *want;
    } rows[] = {{0, "0"},        {1, "1m"},         {999, "999m"},
                {1000, "1"},     {1500, "1500m"},   {12000, "12"},
                {1000000, "1k"}, {1234000, "1234"}, {1234567, "1234567m"},
                {-1, "0"},       {INT64_MIN, "0"},  {INT64_MAX, "9223372036854775807m"}};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct snapshot *s = alive();
        cJSON *json;

        s->fillers[0].remaining_milli = rows[i].milli;
        json = get(EXTERNAL "/namespaces/x/cpu_capacity_remaining", s);
        cr_expect_str_eq(text_at(cJSON_GetArrayItem(in(json, "items"), 0), "value"), rows[i].want);
        cJSON_Delete(json);
        snapshot_unref(s);
    }
}

Test(metrics_api, a_path_of_any_length_is_answered)
{
    struct snapshot *s = alive();
    char *url = malloc(16384);

    for (size_t len = 1; len < 10240; len *= 3) {
        int n = snprintf(url, 256, "%s", CUSTOM "/namespaces/filler/deployments.apps/");

        memset(url + n, 'a', len);
        (void)snprintf(url + n + len, 256, "/brim_replicas");
        cr_expect_eq(status_of(url, s), 404, "%zu", len);
        (void)snprintf(url, 256, "%s", EXTERNAL "/namespaces/x/");
        n = (int)strlen(url);
        memset(url + n, 'm', len);
        url[(size_t)n + len] = '\0';
        cr_expect_eq(status_of(url, s), 404, "%zu", len);
    }
    free(url);
    snapshot_unref(s);
}

/* ---- pods ---- */

#define POD(name, value)                                                                           \
    OBJECT_AS("\"kind\":\"Pod\",\"namespace\":\"filler\",\"name\":\"" name                         \
              "\",\"apiVersion\":\"v1\"",                                                          \
              "brim_scale_ratio", "null", value)

static void hang_pods(struct boards *boards)
{
    struct pods_view *v = pods_view_new();

    pods_view_add_part(v, SV("miner"), SV("filler"), SV("app=miner,tier in (b,a)"));
    pods_view_add(v, SV("miner-1"));
    pods_view_add(v, SV("miner-2"));
    pods_view_add_part(v, SV("other"), SV("filler"), SV("app=other"));
    pods_view_add(v, SV("other-1"));
    pods_view_add_part(v, SV("gone"), SV("filler"), SV("app=gone")); /* not in the snapshot */
    pods_view_add(v, SV("gone-1"));
    pods_view_add_part(v, SV("miner"), SV("elsewhere"), SV("app=miner,tier in (b,a)"));
    pods_view_add(v, SV("miner-3"));
    board_set(boards->pods, &v->value);
}

Test(metrics_api, tells_of_each_pod_what_its_policy_has)
{
#define MINERS POD("miner-1", "1158m") "," POD("miner-2", "1158m")
#define PODS   CUSTOM "/namespaces/filler/pods/"
    static const struct {
        const char *url, *items; /* NULL: the status alone */
        int want;
    } rows[] = {
        {PODS "*/brim_scale_ratio?labelSelector=app=miner,tier in (a,b)", MINERS, 200},
        {PODS "*/brim_scale_ratio?labelSelector=tier in (a,b),app in (miner)", MINERS, 200},
        {PODS "*/brim_scale_ratio?labelSelector=app=other", POD("other-1", "2"), 200},
        {PODS "*/brim_scale_ratio", MINERS "," POD("other-1", "2"), 200},
        {PODS "*/brim_scale_ratio?labelSelector=app=gone", "", 200},
        {PODS "miner-2/brim_scale_ratio", POD("miner-2", "1158m"), 200},
        {PODS "miner-2/brim_scale_ratio?labelSelector=x=y", POD("miner-2", "1158m"), 200},
        {CUSTOM "/namespaces/empty/pods/*/brim_scale_ratio?labelSelector=a=b", "", 200},
        {PODS "*/brim_scale_ratio?labelSelector=app=miner", NULL, 400},
        {PODS "*/brim_scale_ratio?labelSelector=app=miner,tier in (a,b,c)", NULL, 400},
        {PODS "*/brim_scale_ratio?labelSelector=app!=miner,tier in (a,b)", NULL, 400},
        {PODS "*/brim_scale_ratio?labelSelector=app in (", NULL, 400},
        {PODS "*/brim_filler_pods?labelSelector=app=other", NULL, 400}, /* one of six */
        {PODS "*/brim_filler_pods?labelSelector=app=other&metricLabelSelector=state=ready", NULL,
         200},
        {PODS "miner-3/brim_scale_ratio", NULL, 404},
        {PODS "gone-1/brim_scale_ratio", NULL, 404},
        {PODS "*/nothing", NULL, 404},
        {CUSTOM "/pods/*/brim_scale_ratio", NULL, 404},
    };
    struct snapshot *s = alive();
    struct boards boards;

    boards_init(&boards);
    hang_pods(&boards);
    sample_filler(&s->fillers[1], "other");
    s->fillers[1].desired = 240;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct question q;
        char want[2048];
        cJSON *json;
        char *items;
        int status;

        question(rows[i].url, &q);
        q.rq.boards = &boards;
        json = ask(&q, s, &status);
        cr_expect_eq(status, rows[i].want, "%s: %d", rows[i].url, status);
        (void)snprintf(want, sizeof want, "[%s]", rows[i].items != NULL ? rows[i].items : "");
        items = cJSON_PrintUnformatted(in(json, "items"));
        if (rows[i].items != NULL)
            cr_expect_str_eq(items, want, "%s: %s", rows[i].url, items);
        cJSON_free(items);
        cJSON_Delete(json);
    }
    boards_done(&boards);
    snapshot_unref(s);
}

Test(metrics_api, tells_of_pods_once_their_names_are_there_and_not_stale)
{
    struct snapshot *s = alive();
    struct routes_answer a;
    struct boards boards;
    struct question q;

    boards_init(&boards);
    question(PODS "*/brim_scale_ratio", &q);
    q.rq.boards = &boards;
    routes_answer(&q.rq, s, &a);
    cr_expect_eq(a.status, 503);
    cr_expect_eq(a.awaits, boards.pods);
    strbuf_done(&a.body);
    cr_expect(board_due(boards.pods, q.rq.now));
    hang_pods(&boards);
    routes_answer(&q.rq, s, &a);
    cr_expect(a.status == 200 && a.awaits == NULL);
    strbuf_done(&a.body);
    q.rq.now.us += 91 * US_PER_S;
    routes_answer(&q.rq, s, &a);
    cr_expect(a.status == 503 && a.awaits == NULL);
    strbuf_done(&a.body);
    boards_done(&boards);
    snapshot_unref(s);
}
