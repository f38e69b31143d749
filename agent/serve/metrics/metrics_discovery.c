#include "agent/serve/metrics/metrics_discovery.h"

#include <stdio.h>

#include "agent/serve/exposition.h"
#include "base/jsonw.h"

/* "deployments.apps", and with a metric behind it. */
enum { RESOURCE_SIZE = 2 * SNAPSHOT_NAME_SIZE, FULL_NAME_SIZE = RESOURCE_SIZE + 64 };

enum { MAX_SUBRESOURCES = 64 << 10 }; /* the table of metrics as JSON; 200 bytes each */

struct resource {
    const char *name;
    bool namespaced;
};

static const struct resource fixed[] = {{"namespaces", false}, {"pods", true}, {"services", true}};

static struct sv api_group(const char *api_version)
{
    struct sv group, version;

    return sv_cut(sv_from(api_version), '/', &group, &version) ? group : (struct sv){0};
}

/* False where the target's resource is not known. */
static bool target_resource(const struct snapshot_filler *f, char text[static RESOURCE_SIZE])
{
    struct sv group = api_group(f->target_api_version);

    (void)snprintf(text, RESOURCE_SIZE, "%s%s%.*s", f->target_resource, group.len != 0 ? "." : "",
                   SV_ARG(group));
    return f->target_resource[0] != '\0';
}

bool metrics_is_target_resource(const struct snapshot_filler *f, struct sv resource)
{
    char own[RESOURCE_SIZE];

    return target_resource(f, own) && sv_eq(resource, sv_from(own));
}

static bool named_before(const struct snapshot *s, size_t i, const char *resource)
{
    for (size_t k = 0; k < i; k++) {
        if (metrics_is_target_resource(&s->fillers[k], sv_from(resource)))
            return true;
    }
    return false;
}

typedef void resource_fn(const struct resource *r, struct sv metrics, struct jsonw *w);

/* Calls fn for each resource of the custom metrics, targets last, none twice. `metrics` is handed
 * on. */
static void each_resource(const struct snapshot *s, struct sv metrics, struct jsonw *w,
                          resource_fn *fn)
{
    char name[RESOURCE_SIZE];

    for (size_t i = 0; i < COUNT_OF(fixed); i++)
        fn(&fixed[i], metrics, w);
    for (size_t i = 0; s != NULL && i < s->n_fillers; i++) {
        if (target_resource(&s->fillers[i], name) && !named_before(s, i, name))
            fn(&(struct resource){.name = name, .namespaced = true}, metrics, w);
    }
}

static void add_get(struct jsonw *w)
{
    jsonw_array(w, "verbs");
    jsonw_cstr(w, NULL, "get");
    jsonw_end(w);
}

/* ---- plain ---- */

static void add_version(enum metrics_group group, const char *key, const char *version,
                        struct jsonw *w)
{
    char full[64];

    (void)snprintf(full, sizeof full, "%s/%s", metrics_group_name(group), version);
    jsonw_object(w, key);
    jsonw_cstr(w, "groupVersion", full);
    jsonw_cstr(w, "version", version);
    jsonw_end(w);
}

static void add_group(enum metrics_group group, struct jsonw *w)
{
    const char *version;

    jsonw_cstr(w, "name", metrics_group_name(group));
    jsonw_array(w, "versions");
    for (size_t i = 0; (version = metrics_group_version(group, i)) != NULL; i++)
        add_version(group, NULL, version, w);
    jsonw_end(w);
    add_version(group, "preferredVersion", metrics_group_version(group, 0), w);
}

static void begin(struct jsonw *w, struct strbuf *out, const char *kind, const char *api_version)
{
    jsonw_init(w, out);
    jsonw_object(w, NULL);
    jsonw_cstr(w, "kind", kind);
    jsonw_cstr(w, "apiVersion", api_version);
}

static void end(struct jsonw *w, struct strbuf *out)
{
    jsonw_end(w);
    (void)strbuf_add_char(out, '\n');
}

void metrics_discovery_groups(unsigned groups, struct strbuf *out)
{
    struct jsonw w;

    begin(&w, out, "APIGroupList", "v1");
    jsonw_array(&w, "groups");
    for (int g = 0; g < METRICS_GROUP_COUNT_; g++) {
        if ((groups & 1U << g) == 0)
            continue;
        jsonw_object(&w, NULL);
        add_group((enum metrics_group)g, &w);
        jsonw_end(&w);
    }
    jsonw_end(&w);
    end(&w, out);
}

void metrics_discovery_group(enum metrics_group group, struct strbuf *out)
{
    struct jsonw w;

    begin(&w, out, "APIGroup", "v1");
    add_group(group, &w);
    end(&w, out);
}

static void add_plain(const char *name, bool namespaced, const char *kind, struct jsonw *w)
{
    jsonw_object(w, NULL);
    jsonw_cstr(w, "name", name);
    jsonw_cstr(w, "singularName", "");
    jsonw_bool(w, "namespaced", namespaced);
    jsonw_cstr(w, "kind", kind);
    add_get(w);
    jsonw_end(w);
}

static void add_plain_resource(const struct resource *r, struct sv metrics UNUSED, struct jsonw *w)
{
    char name[FULL_NAME_SIZE];
    const char *metric;

    for (size_t i = 0; (metric = exposition_gauge(i)) != NULL; i++) {
        (void)snprintf(name, sizeof name, "%s/%s", r->name, metric);
        add_plain(name, r->namespaced, "MetricValueList", w);
    }
}

void metrics_discovery_resources(enum metrics_group group, const char *version,
                                 const struct snapshot *s, struct strbuf *out)
{
    struct jsonw w;
    char full[64];
    const char *metric;

    (void)snprintf(full, sizeof full, "%s/%s", metrics_group_name(group), version);
    begin(&w, out, "APIResourceList", "v1");
    jsonw_cstr(&w, "groupVersion", full);
    jsonw_array(&w, "resources");
    switch (group) {
    case METRICS_CUSTOM:
        each_resource(s, (struct sv){0}, &w, add_plain_resource);
        break;
    case METRICS_EXTERNAL:
        for (size_t i = 0; (metric = exposition_gauge(i)) != NULL; i++)
            add_plain(metric, true, "ExternalMetricValueList", &w);
        break;
    case METRICS_GROUP_COUNT_:
        break;
    }
    jsonw_end(&w);
    end(&w, out);
}

/* ---- aggregated ---- */

static void add_response_kind(const char *kind, struct jsonw *w)
{
    jsonw_object(w, "responseKind");
    jsonw_cstr(w, "group", "");
    jsonw_cstr(w, "version", "");
    jsonw_cstr(w, "kind", kind);
    jsonw_end(w);
}

/* The metrics as subresources: the same of every resource, and most of the document. */
static void add_subresources(struct strbuf *out)
{
    struct jsonw w;
    const char *metric;

    jsonw_init(&w, out);
    jsonw_array(&w, NULL);
    for (size_t i = 0; (metric = exposition_gauge(i)) != NULL; i++) {
        jsonw_object(&w, NULL);
        jsonw_cstr(&w, "subresource", metric);
        add_response_kind("MetricValueList", &w);
        add_get(&w);
        jsonw_end(&w);
    }
    jsonw_end(&w);
}

static void add_aggregated_resource(const struct resource *r, struct sv metrics, struct jsonw *w)
{
    jsonw_object(w, NULL);
    jsonw_cstr(w, "resource", r->name);
    add_response_kind("", w);
    jsonw_cstr(w, "scope", r->namespaced ? "Namespaced" : "Cluster");
    jsonw_cstr(w, "singularResource", "");
    jsonw_array(w, "verbs");
    jsonw_end(w);
    jsonw_raw(w, "subresources", metrics);
    jsonw_end(w);
}

static void add_aggregated_metric(const char *metric, struct jsonw *w)
{
    jsonw_object(w, NULL);
    jsonw_cstr(w, "resource", metric);
    add_response_kind("ExternalMetricValueList", w);
    jsonw_cstr(w, "scope", "Namespaced");
    jsonw_cstr(w, "singularResource", "");
    add_get(w);
    jsonw_end(w);
}

static void add_aggregated_version(enum metrics_group group, const char *version,
                                   const struct snapshot *s, struct sv subresources,
                                   struct jsonw *w)
{
    const char *metric;

    jsonw_object(w, NULL);
    jsonw_cstr(w, "version", version);
    jsonw_array(w, "resources");
    switch (group) {
    case METRICS_CUSTOM:
        each_resource(s, subresources, w, add_aggregated_resource);
        break;
    case METRICS_EXTERNAL:
        for (size_t i = 0; (metric = exposition_gauge(i)) != NULL; i++)
            add_aggregated_metric(metric, w);
        break;
    case METRICS_GROUP_COUNT_:
        break;
    }
    jsonw_end(w);
    jsonw_cstr(w, "freshness", "Current");
    jsonw_end(w);
}

static void add_aggregated_group(enum metrics_group group, const struct snapshot *s,
                                 struct sv subresources, struct jsonw *w)
{
    const char *version;

    jsonw_object(w, NULL);
    jsonw_object(w, "metadata");
    jsonw_cstr(w, "name", metrics_group_name(group));
    jsonw_null(w, "creationTimestamp");
    jsonw_end(w);
    jsonw_array(w, "versions");
    for (size_t i = 0; (version = metrics_group_version(group, i)) != NULL; i++)
        add_aggregated_version(group, version, s, subresources, w);
    jsonw_end(w);
    jsonw_end(w);
}

void metrics_discovery_aggregated(unsigned groups, const char *api_version,
                                  const struct snapshot *s, struct strbuf *out)
{
    struct strbuf subresources;
    struct jsonw w;
    char full[64];

    strbuf_init(&subresources, MAX_SUBRESOURCES);
    add_subresources(&subresources);
    (void)snprintf(full, sizeof full, "apidiscovery.k8s.io/%s", api_version);
    begin(&w, out, "APIGroupDiscoveryList", full);
    jsonw_object(&w, "metadata");
    jsonw_end(&w);
    jsonw_array(&w, "items");
    for (int g = 0; g < METRICS_GROUP_COUNT_; g++) {
        if ((groups & 1U << g) != 0)
            add_aggregated_group((enum metrics_group)g, s, strbuf_sv(&subresources), &w);
    }
    jsonw_end(&w);
    end(&w, out);
    strbuf_done(&subresources);
}
