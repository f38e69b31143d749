#include <stdio.h>
#include <string.h>

#include "tests/pocket/answers.h"
#include "tests/pocket/parts.h"

enum { MAX_SELECTOR = 64 << 10 };

static cJSON *get(const cJSON *object, const char *key)
{
    return object != NULL ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

static const char *text_of(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(get(object, key));

    return text != NULL ? text : "";
}

/* "key in (a,b)", "!key", "key"; as labels.Selector writes it. */
static void add_expression(const cJSON *e, struct strbuf *out)
{
    const char *op = text_of(e, "operator"), *key = text_of(e, "key");
    const cJSON *value;
    bool some = false;

    if (strcmp(op, "Exists") == 0) {
        (void)strbuf_addf(out, "%s", key);
    } else if (strcmp(op, "DoesNotExist") == 0) {
        (void)strbuf_addf(out, "!%s", key);
    } else {
        (void)strbuf_addf(out, "%s %s (", key, strcmp(op, "In") == 0 ? "in" : "notin");
        cJSON_ArrayForEach(value, get(e, "values"))
        {
            (void)strbuf_addf(out, "%s%s", some ? "," : "", cJSON_GetStringValue(value));
            some = true;
        }
        (void)strbuf_add_char(out, ')');
    }
}

static void add_selector(const cJSON *selector, struct strbuf *out)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, get(selector, "matchLabels"))(void) strbuf_addf(
        out, "%s%s=%s", out->len != 0 ? "," : "", entry->string, cJSON_GetStringValue(entry));
    cJSON_ArrayForEach(entry, get(selector, "matchExpressions"))
    {
        if (out->len != 0)
            (void)strbuf_add_char(out, ',');
        add_expression(entry, out);
    }
}

/* The autoscaling/v1 Scale of a Deployment's tree. spec.replicas is left out at 0, as its Go type has it. */
static cJSON *scale_of(const cJSON *tree)
{
    static const char *const keys[] = {"name", "namespace", "uid", "resourceVersion",
                                       "creationTimestamp"};
    const cJSON *replicas = get(get(tree, "spec"), "replicas");
    cJSON *scale = cJSON_CreateObject(), *meta, *spec, *status;
    struct strbuf selector;

    strbuf_init(&selector, MAX_SELECTOR);
    (void)cJSON_AddStringToObject(scale, "kind", "Scale");
    (void)cJSON_AddStringToObject(scale, "apiVersion", "autoscaling/v1");
    meta = cJSON_AddObjectToObject(scale, "metadata");
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        (void)cJSON_AddStringToObject(meta, keys[i], text_of(get(tree, "metadata"), keys[i]));
    spec = cJSON_AddObjectToObject(scale, "spec");
    if (replicas != NULL && replicas->valuedouble > 0)
        (void)cJSON_AddNumberToObject(spec, "replicas", replicas->valuedouble);
    status = cJSON_AddObjectToObject(scale, "status");
    replicas = get(get(tree, "status"), "replicas");
    (void)cJSON_AddNumberToObject(status, "replicas", replicas != NULL ? replicas->valuedouble : 0);
    add_selector(get(get(tree, "spec"), "selector"), &selector);
    (void)cJSON_AddStringToObject(status, "selector", strbuf_str(&selector));
    strbuf_done(&selector);
    return scale;
}

static void fail_uid(const struct question *q, const char *asked, const char *have,
                     struct api_answer *a)
{
    char text[400];

    (void)snprintf(text, sizeof text,
                   "Operation cannot be fulfilled on deployments.apps/scale \"%.*s\": Precondition "
                   "failed: UID in "
                   "precondition: %.60s, UID in object meta: %s",
                   (int)(q->name.len < 200 ? q->name.len : 200), q->name.at, asked, have);
    answer_failure(q, &(struct failure){.code = 409, .reason = "Conflict", .message = text}, a);
}

/* Writes a changed Scale's replicas into the Deployment. */
static void store_scale(const struct question *q, const struct object *o, cJSON *tree,
                        const cJSON *before, const cJSON *scale, struct api_answer *a)
{
    const cJSON *replicas = get(get(scale, "spec"), "replicas");
    double count = cJSON_IsNumber(replicas) ? replicas->valuedouble : 0;
    const char *uid = text_of(get(scale, "metadata"), "uid"),
               *have = text_of(get(tree, "metadata"), "uid");
    const struct object *now = NULL;
    struct err err = {0};

    if (!check_version(q, before, scale, a))
        return;
    if (uid[0] != '\0' && strcmp(uid, have) != 0) {
        fail_uid(q, uid, have, a);
        return;
    }
    if ((replicas != NULL && !cJSON_IsNumber(replicas)) || !(count >= 0 && count <= INT32_MAX)) {
        answer_failure(
            q,
            &(struct failure){
                .code = 422,
                .reason = "Invalid",
                .message = "spec.replicas: Invalid value: must be greater than or equal to 0"},
            a);
        return;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(get(tree, "spec"), "replicas");
    (void)cJSON_AddNumberToObject(get(tree, "spec"), "replicas", count);
    if (!world_replace(q->api->world, o, tree, &now, &err)) {
        answer_err(q, &err, false, a);
        return;
    }
    cJSON *after = docs_tree(now);

    answer_tree(q, 200, scale_of(after), a);
    cJSON_Delete(after);
}

void scale_handle(const struct question *q, const struct object *o, struct api_answer *a)
{
    struct sv method = q->request->method;
    cJSON *tree = docs_tree(o);
    cJSON *before = scale_of(tree), *scale = NULL;

    if (sv_eq(method, SV("GET")))
        answer_tree(q, 200, cJSON_Duplicate(before, true), a);
    else if (sv_eq(method, SV("PATCH")))
        scale = body_patch(q, before, a);
    else if (sv_eq(method, SV("PUT")))
        scale = body_tree(q, a);
    else
        answer_not_allowed(q, a);
    if (scale != NULL)
        store_scale(q, o, tree, before, scale, a);
    cJSON_Delete(scale);
    cJSON_Delete(before);
    cJSON_Delete(tree);
}

void evict_handle(const struct question *q, const struct object *o, struct api_answer *a)
{
    if (!sv_eq(q->request->method, SV("POST"))) {
        answer_not_allowed(q, a);
        return;
    }
    world_delete(q->api->world, o, -1);
    answer_failure(q, &(struct failure){.code = 201, .reason = "", .message = ""}, a);
}
