#include "agent/kube/target_kind.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "agent/kube/tree.h"
#include "base/attr.h"

static const struct target_kind known[] = {
    {"apps/v1", "Deployment", "deployments", "replicas", "replicas", 0, false},
    {"apps/v1", "StatefulSet", "statefulsets", "replicas", "replicas", 0, false},
    {"apps/v1", "ReplicaSet", "replicasets", "replicas", "replicas", 0, false},
    {"v1", "ReplicationController", "replicationcontrollers", "replicas", "replicas", 0, false},
    {"batch/v1", "Job", "jobs", "parallelism", "active", 1, true},
};

/* Of any other kind, by its scale subresource. */
static const struct target_kind other = {NULL, NULL, NULL, "replicas", "replicas", 0, false};

const struct target_kind *target_kind_find(const char *api_version, const char *kind)
{
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (strcmp(known[i].api_version, api_version) == 0 && strcmp(known[i].kind, kind) == 0)
            return &known[i];
    }
    return &other;
}

/* ---- label selectors ---- */

/* What keys and values of labels are made of: nothing that would mean something else in the text. */
static bool add_word(struct strbuf *to, struct sv word)
{
    for (size_t i = 0; i < word.len; i++) {
        char c = word.at[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '-' || c == '_' || c == '/'))
            return false;
    }
    (void)strbuf_add(to, word); /* the limit is looked at once, at the end */
    return true;
}

static bool add_key(struct strbuf *to, struct sv key)
{
    if (to->len != 0)
        (void)strbuf_add_char(to, ',');
    return key.len != 0 && add_word(to, key);
}

static bool add_values(struct strbuf *to, const char *operator, const cJSON * values)
{
    const cJSON *value;
    bool first = true;

    (void)strbuf_addf(to, " %s (", operator);
    cJSON_ArrayForEach(value, values)
    {
        if (!cJSON_IsString(value))
            return false;
        if (!first)
            (void)strbuf_add_char(to, ',');
        first = false;
        if (!add_word(to, sv_from(value->valuestring)))
            return false;
    }
    (void)strbuf_add_char(to, ')');
    return cJSON_IsArray(values) && !first;
}

static bool add_expression(struct strbuf *to, const cJSON *expression)
{
    struct sv operator= tree_text(expression, "operator"), key = tree_text(expression, "key");
    const cJSON *values = tree_get(expression, "values");

    if (sv_eq(operator, SV("DoesNotExist"))) {
        if (to->len != 0)
            (void)strbuf_add_char(to, ',');
        (void)strbuf_add_char(to, '!');
        return key.len != 0 && add_word(to, key);
    }
    if (!add_key(to, key))
        return false;
    if (sv_eq(operator, SV("Exists")))
        return true;
    return (sv_eq(operator, SV("In")) && add_values(to, "in", values)) ||
           (sv_eq(operator, SV("NotIn")) && add_values(to, "notin", values));
}

static bool add_selector(struct strbuf *to, const cJSON *selector)
{
    const cJSON *labels = tree_get(selector, "matchLabels"), *item;
    const cJSON *expressions = tree_get(selector, "matchExpressions");

    cJSON_ArrayForEach(item, labels)
    {
        if (!cJSON_IsString(item) || !add_key(to, sv_from(item->string)))
            return false;
        (void)strbuf_add_char(to, '=');
        if (!add_word(to, sv_from(item->valuestring)))
            return false;
    }
    cJSON_ArrayForEach(item, expressions)
    {
        if (!add_expression(to, item))
            return false;
    }
    return (labels == NULL || cJSON_IsObject(labels) || cJSON_IsNull(labels)) &&
           (expressions == NULL || cJSON_IsArray(expressions) || cJSON_IsNull(expressions));
}

bool target_selector_text(const cJSON *selector, struct strbuf *to, struct err *err)
{
    if (selector == NULL || cJSON_IsNull(selector))
        return true;
    if (!cJSON_IsObject(selector) || !add_selector(to, selector))
        return err_set(err, ERR_PROTOCOL, 0, "found no LabelSelector, expected one");
    return !to->full ||
           err_set(err, ERR_LIMIT, 0, "the selector is longer than %zu bytes", to->max);
}

/* ---- objects ---- */

/* Of a Job: what it has come to, or NULL. Conditions that announce the end come before it. */
static const char *end_of(const cJSON *status)
{
    static const struct {
        const char *type, *says;
    } ends[] = {
        {"Complete", "has ended (Complete)"},
        {"Failed", "has ended (Failed)"},
        {"SuccessCriteriaMet", "is about to end (SuccessCriteriaMet)"},
        {"FailureTarget", "is about to end (FailureTarget)"},
    };
    const cJSON *condition;

    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        cJSON_ArrayForEach(condition, tree_get(status, "conditions"))
        {
            if (sv_eq(tree_text(condition, "type"), sv_from(ends[i].type)) &&
                sv_eq(tree_text(condition, "status"), SV("True")))
                return ends[i].says;
        }
    }
    return NULL;
}

static bool read_own(const cJSON *object, struct strbuf *selector, struct scale *s, struct err *err)
{
    const cJSON *spec = tree_get(object, "spec");
    const char *end = end_of(tree_get(object, "status"));

    strbuf_clear(selector);
    if (!target_selector_text(tree_get(spec, "selector"), selector, err))
        return false;
    s->selector = strbuf_sv(selector);
    if (end != NULL)
        s->rests = sv_from(end);
    else if (cJSON_IsTrue(tree_get(spec, "suspend")))
        s->rests = SV("is suspended");
    return true;
}

bool target_kind_read(const struct target_kind *kind, const cJSON *object, struct strbuf *selector,
                      struct scale *ret_scale, struct err *err)
{
    const cJSON *metadata = tree_get(object, "metadata"), *status = tree_get(object, "status");
    struct scale s = {
        .uid = tree_text(metadata, "uid"),
        .resource_version = tree_text(metadata, "resourceVersion"),
    };

    if (s.uid.len == 0 ||
        !tree_count(tree_get(object, "spec"), kind->count, kind->absent, &s.replicas) ||
        !tree_count(status, kind->exists, 0, &s.status_replicas))
        return err_set(err, ERR_PROTOCOL, 0, "the answer is no %s with uid and counts",
                       kind->own ? kind->kind : "Scale");
    if (!kind->own)
        s.selector = tree_text(status, "selector");
    else if (!read_own(object, selector, &s, err))
        return false;
    *ret_scale = s;
    return true;
}
