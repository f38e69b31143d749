#include <criterion/criterion.h>
#include <string.h>

#include "agent/serve/metrics/metrics_ask.h"

#define BOTH     (1U << METRICS_CUSTOM | 1U << METRICS_EXTERNAL)
#define CUSTOM   "/apis/custom.metrics.k8s.io/v1beta2"
#define EXTERNAL "/apis/external.metrics.k8s.io/v1beta1"

static struct metrics_ask read_path(const char *method, const char *path)
{
    return metrics_ask_read(&(struct routes_request){
        .method = sv_from(method), .path = sv_from(path), .metrics_groups = BOTH});
}

static void expect_text(const char *path, const char *what, struct sv found, const char *want)
{
    cr_expect(sv_eq(found, sv_from(want)), "%s: %s is '%.*s', not '%s'", path, what, SV_ARG(found),
              want);
}

/* FACTS of k8s.io/apiserver's RequestInfo: path -> resourceAttributes, verb of a GET. */
Test(metrics_ask, tells_which_right_a_path_takes)
{
    static const struct {
        const char *path;
        enum metrics_what what;
        const char *verb, *ns, *resource, *name, *subresource, *metric;
    } rows[] = {
        {"/apis", METRICS_GROUPS, "get", "", "", "", "", ""},
        {"/apis/", METRICS_GROUPS, "get", "", "", "", "", ""},
        {"/apis/custom.metrics.k8s.io", METRICS_GROUP, "get", "", "", "", "", ""},
        {"/apis/custom.metrics.k8s.io/", METRICS_GROUP, "get", "", "", "", "", ""},
        {CUSTOM, METRICS_RESOURCES, "get", "", "", "", "", ""},
        {CUSTOM "/", METRICS_RESOURCES, "get", "", "", "", "", ""},
        {EXTERNAL, METRICS_RESOURCES, "get", "", "", "", "", ""},
        {CUSTOM "/namespaces/ns/pods/*/m", METRICS_OBJECTS, "get", "ns", "pods", "*", "m", "m"},
        {CUSTOM "/namespaces/ns/deployments.apps/x/m", METRICS_OBJECTS, "get", "ns",
         "deployments.apps", "x", "m", "m"},
        {CUSTOM "/namespaces/ns/metrics/m", METRICS_OBJECTS, "get", "ns", "metrics", "m", "", "m"},
        {CUSTOM "/namespaces/ns/m", METRICS_OBJECTS, "get", "", "namespaces", "ns", "m", "m"},
        {CUSTOM "/nodes/x/m", METRICS_OBJECTS, "get", "", "nodes", "x", "m", "m"},
        {CUSTOM "/nodes/x/m/", METRICS_OBJECTS, "get", "", "nodes", "x", "m", "m"},
        {EXTERNAL "/namespaces/ns/m", METRICS_SERIES, "list", "ns", "m", "", "", "m"},
        {EXTERNAL "/namespaces/*/m", METRICS_SERIES, "list", "*", "m", "", "", "m"},
        {"/apis/x", METRICS_NOTHING, "get", "", "", "", "", ""},
        {"/apis//", METRICS_NOTHING, "get", "", "", "", "", ""},
        {"//apis", METRICS_NOTHING, "get", "", "", "", "", ""},
        {"/apis/custom.metrics.k8s.io//", METRICS_NOTHING, "get", "", "", "", "", ""},
        {"/apis/custom.metrics.k8s.io/v1", METRICS_NOTHING, "get", "", "", "", "", ""},
        {"/apis/external.metrics.k8s.io/v1beta2", METRICS_NOTHING, "get", "", "", "", "", ""},
        {"/apis/custom.metrics.k8s.io/v1/nodes/x/m", METRICS_NOTHING, "get", "", "", "", "", ""},
        {CUSTOM "/nodes", METRICS_NOTHING, "get", "", "", "", "", ""},
        {CUSTOM "/nodes/x", METRICS_NOTHING, "get", "", "", "", "", ""},
        {CUSTOM "/nodes/x/m/y", METRICS_NOTHING, "get", "", "", "", "", ""},
        {CUSTOM "/namespaces/ns/pods/x", METRICS_NOTHING, "get", "", "", "", "", ""},
        {CUSTOM "/namespaces/ns/pods/x/m/y", METRICS_NOTHING, "get", "", "", "", "", ""},
        {CUSTOM "/a/b/c/d/e/f/g/h/i/j", METRICS_NOTHING, "get", "", "", "", "", ""},
        {CUSTOM "/namespaces//pods/x/m", METRICS_NOTHING, "get", "", "", "", "", ""},
        {CUSTOM "/namespaces/../pods/x/m", METRICS_NOTHING, "get", "", "", "", "", ""},
        {CUSTOM "/./nodes/x/m", METRICS_NOTHING, "get", "", "", "", "", ""},
        {CUSTOM "/nodes/\xff/m", METRICS_NOTHING, "get", "", "", "", "", ""},
        {EXTERNAL "/m", METRICS_NOTHING, "get", "", "", "", "", ""},
        {EXTERNAL "/namespaces/ns", METRICS_NOTHING, "get", "", "", "", "", ""},
        {EXTERNAL "/namespaces/ns/m/x", METRICS_NOTHING, "get", "", "", "", "", ""},
        {EXTERNAL "/nodes/ns/m", METRICS_NOTHING, "get", "", "", "", "", ""},
        {"", METRICS_NOTHING, "get", "", "", "", "", ""},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct metrics_ask ask = read_path("GET", rows[i].path);

        cr_expect_eq(ask.what, rows[i].what, "%s: %d", rows[i].path, ask.what);
        cr_expect_str_eq(ask.verb, rows[i].verb, "%s", rows[i].path);
        expect_text(rows[i].path, "namespace", ask.ns, rows[i].ns);
        expect_text(rows[i].path, "resource", ask.resource, rows[i].resource);
        expect_text(rows[i].path, "name", ask.name, rows[i].name);
        expect_text(rows[i].path, "subresource", ask.subresource, rows[i].subresource);
        expect_text(rows[i].path, "metric", ask.metric, rows[i].metric);
        if (ask.what >= METRICS_RESOURCES)
            cr_expect(ask.version != NULL && strstr(rows[i].path, ask.version) != NULL, "%s",
                      rows[i].path);
    }
}

Test(metrics_ask, tells_the_verb_of_each_method)
{
    static const struct {
        const char *method, *plain, *one, *all;
    } rows[] = {
        {"GET", "get", "get", "list"},        {"HEAD", "head", "get", "list"},
        {"POST", "post", "create", "create"}, {"PUT", "put", "update", "update"},
        {"PATCH", "patch", "patch", "patch"}, {"DELETE", "delete", "delete", "deletecollection"},
        {"get", "other", "other", "other"},   {"", "other", "other", "other"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *method = rows[i].method;

        cr_expect_str_eq(read_path(method, "/apis").verb, rows[i].plain, "%s", method);
        cr_expect_str_eq(read_path(method, CUSTOM "/nodes/x/m").verb, rows[i].one, "%s", method);
        cr_expect_str_eq(read_path(method, EXTERNAL "/namespaces/x/m").verb, rows[i].all, "%s",
                         method);
    }
}

Test(metrics_ask, a_list_that_shall_go_on_is_a_watch)
{
    static const struct {
        const char *value, *verb;
    } rows[] = {{"true", "watch"}, {"1", "watch"},    {"", "watch"},     {"no", "watch"},
                {"0", "list"},     {"false", "list"}, {"FALSE", "list"}, {"False", "list"}};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct routes_param watch = {.key = SV("watch"), .value = sv_from(rows[i].value)};
        struct routes_request rq = {.method = SV("GET"),
                                    .path = SV(EXTERNAL "/namespaces/x/m"),
                                    .params = &watch,
                                    .n_params = 1,
                                    .metrics_groups = BOTH};

        cr_expect_str_eq(metrics_ask_read(&rq).verb, rows[i].verb, "watch=%s", rows[i].value);
        rq.path = SV(CUSTOM "/nodes/x/m");
        cr_expect_str_eq(metrics_ask_read(&rq).verb, "get", "watch=%s", rows[i].value);
    }
}

Test(metrics_ask, knows_only_what_is_turned_on)
{
    struct routes_request rq = {.method = SV("GET"), .path = SV(CUSTOM)};

    cr_expect_eq(metrics_ask_read(&rq).what, METRICS_NOTHING);
    rq.metrics_groups = 1U << METRICS_EXTERNAL;
    cr_expect_eq(metrics_ask_read(&rq).what, METRICS_NOTHING);
    rq.metrics_groups = 1U << METRICS_CUSTOM;
    cr_expect_eq(metrics_ask_read(&rq).what, METRICS_RESOURCES);
    rq.path = SV(EXTERNAL);
    cr_expect_eq(metrics_ask_read(&rq).what, METRICS_NOTHING);
}

Test(metrics_ask, bytes_that_end_texts_elsewhere_end_nothing_here)
{
    struct routes_request rq = {
        .method = SV("GET"), .path = SV(EXTERNAL "/namespaces/x/m\0"), .metrics_groups = BOTH};

    cr_expect_eq(metrics_ask_read(&rq).what, METRICS_NOTHING);
}

Test(metrics_ask, reads_the_flag)
{
    static const struct {
        const char *text;
        unsigned want; /* 0: refused */
    } rows[] = {
        {"custom", 1U << METRICS_CUSTOM},
        {"external", 1U << METRICS_EXTERNAL},
        {"custom,external", BOTH},
        {"external,custom", BOTH},
        {"custom,custom", 1U << METRICS_CUSTOM},
        {"", 0},
        {"all", 0},
        {"custom, external", 0},
        {"custom,,external", 0},
        {"Custom", 0},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        unsigned found = 0;

        cr_expect_eq(metrics_groups_parse(sv_from(rows[i].text), &found), rows[i].want != 0, "'%s'",
                     rows[i].text);
        cr_expect_eq(found, rows[i].want, "'%s'", rows[i].text);
    }
}
