#include "agent/kube/template.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

/* A container has a handful; each is looked for among the requests, so that their number must end somewhere. */
enum { MAX_LIMITS = 256 };

static cJSON *get(cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

static bool any_names(cJSON *containers, const char *key)
{
    cJSON *container;

    cJSON_ArrayForEach(container, containers)
    {
        if (get(get(get(container, "resources"), "requests"), key) != NULL)
            return true;
    }
    return false;
}

/* The member as an object; an empty one is put in where it is missing or something else. */
static cJSON *object_at(cJSON *parent, const char *key)
{
    cJSON *object = get(parent, key);

    if (cJSON_IsObject(object))
        return object;
    cJSON_DeleteItemFromObjectCaseSensitive(parent, key);
    return cJSON_AddObjectToObject(parent, key);
}

static void set_text(cJSON *object, const char *key, const char *text)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    (void)cJSON_AddStringToObject(object, key, text);
}

/*
 * In `resources` each limit without a request becomes one. Of a whole pod (`containers` is set) only cpu and memory, and what
 * its containers ask for is no less than that: it is summed up anyway.
 */
static void default_requests(cJSON *resources, cJSON *containers)
{
    cJSON *limits = get(resources, "limits"), *requests;
    const cJSON *limit;
    int seen = 0;

    if (!cJSON_IsObject(limits))
        return;
    requests = object_at(resources, "requests");
    cJSON_ArrayForEach(limit, limits)
    {
        if (seen++ == MAX_LIMITS)
            return;

        bool native = strcmp(limit->string, "cpu") == 0 || strcmp(limit->string, "memory") == 0;

        if (get(requests, limit->string) == NULL &&
            (containers == NULL || (native && !any_names(containers, limit->string))))
            (void)cJSON_AddItemToObject(requests, limit->string, cJSON_Duplicate(limit, true));
    }
}

static void default_containers(cJSON *containers)
{
    cJSON *container;

    cJSON_ArrayForEach(container, containers)
    {
        default_requests(get(container, "resources"), NULL);
    }
}

static void default_pod(cJSON *spec)
{
    cJSON *containers = get(spec, "containers"), *resources = get(spec, "resources");

    default_containers(containers);
    default_containers(get(spec, "initContainers"));
    if (containers != NULL)
        default_requests(resources, containers);
}

static bool print(const cJSON *tree, struct strbuf *to, struct err *err)
{
    char *text = cJSON_PrintUnformatted(tree);
    bool ok = text != NULL && strbuf_add(to, sv_from(text));

    cJSON_free(text);
    return ok || err_set(err, ERR_LIMIT, 0, "the pod is longer than %zu bytes", to->max);
}

static cJSON *parse(struct sv text, struct err *err)
{
    cJSON *root = text.len != 0 ? cJSON_ParseWithLength(text.at, text.len) : NULL;

    if (cJSON_IsObject(root))
        return root;
    cJSON_Delete(root);
    (void)err_set(err, ERR_INPUT, 0, "found broken JSON, expected an object");
    return NULL;
}

static cJSON *find_template(cJSON *workload)
{
    cJSON *spec = get(workload, "spec");
    cJSON *const places[] = {
        get(spec, "template"),
        get(get(get(spec, "jobTemplate"), "spec"), "template"),
        get(workload, "template"),
    };

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (cJSON_IsObject(get(places[i], "spec")))
            return places[i];
    }
    return NULL;
}

bool template_of_tree(struct cJSON *workload, struct sv ns, struct strbuf *to, struct err *err)
{
    cJSON *template = find_template(workload);
    cJSON *metadata;

    if (template == NULL)
        return err_set(err, ERR_NOT_FOUND, 0, "it has no spec.template");
    metadata = object_at(template, "metadata");
    cJSON_DeleteItemFromObjectCaseSensitive(metadata, "namespace");
    if (ns.len != 0) {
        char *text = sv_dup(ns);

        set_text(metadata, "namespace", text);
        free(text);
    }
    set_text(template, "kind", "Pod");
    set_text(template, "apiVersion", "v1");
    default_pod(get(template, "spec"));
    return print(template, to, err);
}

bool template_pod(struct sv workload, struct strbuf *to, struct err *err)
{
    cJSON *root = parse(workload, err), *metadata;
    const char *name;
    bool ok;

    if (root == NULL)
        return false;
    metadata = get(root, "metadata");
    name = cJSON_GetStringValue(get(metadata, "name"));
    if (find_template(root) != NULL && name != NULL) {
        cJSON *own = object_at(find_template(root), "metadata");

        if (get(own, "name") == NULL)
            set_text(own, "name", name);
    }
    ok = template_of_tree(root, sv_from(cJSON_GetStringValue(get(metadata, "namespace"))), to, err);
    cJSON_Delete(root);
    return ok;
}

bool template_defaults(struct sv pod, struct strbuf *to, struct err *err)
{
    cJSON *root = parse(pod, err);
    bool ok;

    if (root == NULL)
        return false;
    default_pod(get(root, "spec"));
    ok = print(root, to, err);
    cJSON_Delete(root);
    return ok;
}
