#include "agent/serve/metrics/metrics_ask.h"

enum { MAX_SEGMENTS = 8 }; /* one more than the longest form has */

static const struct {
    const char *name, *word;
    const char *versions[METRICS_MAX_VERSIONS];
} groups[] = {
    [METRICS_CUSTOM] = {"custom.metrics.k8s.io", "custom", {"v1beta2", "v1beta1"}},
    [METRICS_EXTERNAL] = {"external.metrics.k8s.io", "external", {"v1beta1"}},
};
_Static_assert(COUNT_OF(groups) == METRICS_GROUP_COUNT_, "a group has no name");

const char *metrics_group_name(enum metrics_group group)
{
    return groups[group].name;
}

const char *metrics_group_version(enum metrics_group group, size_t i)
{
    return i < METRICS_MAX_VERSIONS ? groups[group].versions[i] : NULL;
}

const char *metrics_group_word(enum metrics_group group)
{
    return groups[group].word;
}

bool metrics_groups_parse(struct sv list, unsigned *ret_groups)
{
    unsigned found = 0;
    struct sv word;

    while (sv_next(&list, ',', &word)) {
        int g = 0;

        while (g < METRICS_GROUP_COUNT_ && !sv_eq(word, sv_from(groups[g].word)))
            g++;
        if (g == METRICS_GROUP_COUNT_)
            return false;
        found |= 1U << g;
    }
    if (found == 0)
        return false;
    *ret_groups = found;
    return true;
}

bool metrics_ask_is(struct sv path)
{
    return sv_eq(path, SV("/apis")) || sv_starts(path, SV("/apis/"));
}

struct sv metrics_ask_param(const struct routes_request *rq, struct sv key)
{
    for (size_t i = 0; i < rq->n_params; i++) {
        if (sv_eq(rq->params[i].key, key))
            return rq->params[i].value;
    }
    return (struct sv){0};
}

/* As the API machinery reads a bool: whatever is there and is not "0" or "false" is true. */
static bool param_on(const struct routes_request *rq, struct sv key)
{
    for (size_t i = 0; i < rq->n_params; i++) {
        struct sv value = rq->params[i].value;

        if (sv_eq(rq->params[i].key, key))
            return !sv_eq(value, SV("0")) &&
                   !(value.len == 5 && sv_starts_ascii_case(value, SV("false")));
    }
    return false;
}

/* The segments behind "/apis"; false where one of them is none. */
static bool cut_path(struct sv path, struct sv *segments, size_t *ret_n)
{
    struct sv rest = sv_skip(path, sizeof "/apis" - 1);
    size_t n = 0;

    if (!sv_is_utf8(path) || memchr(path.at, '\0', path.len) != NULL)
        return false;
    rest = sv_skip(rest, 1);
    while (n < MAX_SEGMENTS && sv_next(&rest, '/', &segments[n])) {
        if (segments[n].len == 0 || sv_eq(segments[n], SV(".")) || sv_eq(segments[n], SV("..")))
            return false;
        n++;
    }
    *ret_n = n;
    return rest.len == 0;
}

static bool find_group(struct sv name, unsigned served, enum metrics_group *ret_group)
{
    for (int g = 0; g < METRICS_GROUP_COUNT_; g++) {
        if ((served & 1U << g) == 0 || !sv_eq(name, sv_from(groups[g].name)))
            continue;
        *ret_group = (enum metrics_group)g;
        return true;
    }
    return false;
}

static const char *find_version(enum metrics_group group, struct sv text)
{
    const char *version;

    for (size_t i = 0; (version = metrics_group_version(group, i)) != NULL; i++) {
        if (sv_eq(text, sv_from(version)))
            return version;
    }
    return NULL;
}

static void read_series(const struct sv *segments, size_t n, struct metrics_ask *ask)
{
    if (n != 3 || !sv_eq(segments[0], SV("namespaces")))
        return;
    ask->what = METRICS_SERIES;
    ask->ns = segments[1];
    ask->resource = ask->metric = segments[2];
}

static void read_objects(const struct sv *segments, size_t n, struct metrics_ask *ask)
{
    bool within = n > 3 && sv_eq(segments[0], SV("namespaces"));

    if (n < 3 || n > 5 || (n > 3 && !within))
        return;
    if (within)
        ask->ns = segments[1];
    if (n == 4) { /* the namespace's own */
        if (!sv_eq(segments[2], SV("metrics")))
            return;
        ask->resource = segments[2];
        ask->name = segments[3];
    } else {
        ask->resource = segments[n - 3];
        ask->name = segments[n - 2];
        ask->subresource = segments[n - 1];
    }
    ask->what = METRICS_OBJECTS;
    ask->metric = segments[n - 1];
}

static void read_path(const struct routes_request *rq, struct metrics_ask *ask)
{
    struct sv segments[MAX_SEGMENTS];
    size_t n;

    if (!metrics_ask_is(rq->path) || !cut_path(rq->path, segments, &n))
        return;
    if (n == 0) {
        ask->what = METRICS_GROUPS;
        return;
    }
    if (!find_group(segments[0], rq->metrics_groups, &ask->group))
        return;
    ask->version = n > 1 ? find_version(ask->group, segments[1]) : NULL;
    if (n == 1)
        ask->what = METRICS_GROUP;
    else if (ask->version != NULL && n == 2)
        ask->what = METRICS_RESOURCES;
    else if (ask->version != NULL && ask->group == METRICS_EXTERNAL)
        read_series(segments + 2, n - 2, ask);
    else if (ask->version != NULL)
        read_objects(segments + 2, n - 2, ask);
}

static const struct {
    const char *method, *plain;
    const char *one, *all; /* of a resource request: with a name, and without */
} verbs[] = {
    {"GET", "get", "get", "list"},
    {"HEAD", "head", "get", "list"},
    {"POST", "post", "create", "create"},
    {"PUT", "put", "update", "update"},
    {"PATCH", "patch", "patch", "patch"},
    {"DELETE", "delete", "delete", "deletecollection"},
    {"OPTIONS", "options", "other", "other"},
};

static const char *verb_of(const struct routes_request *rq, const struct metrics_ask *ask)
{
    bool resource = ask->what == METRICS_SERIES || ask->what == METRICS_OBJECTS;

    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        if (!sv_eq(rq->method, sv_from(verbs[i].method)))
            continue;
        if (!resource)
            return verbs[i].plain;
        if (i <= 1 && ask->name.len == 0 && param_on(rq, SV("watch")))
            return "watch";
        return ask->name.len != 0 ? verbs[i].one : verbs[i].all;
    }
    return "other";
}

struct metrics_ask metrics_ask_read(const struct routes_request *rq)
{
    struct metrics_ask ask = {0};

    read_path(rq, &ask);
    if (ask.what == METRICS_NOTHING)
        ask = (struct metrics_ask){0};
    ask.verb = verb_of(rq, &ask);
    return ask;
}
