#include <stdlib.h>

#include "tests/pocket/answers.h"

static cJSON *typed(const char *kind)
{
    cJSON *tree = cJSON_CreateObject();

    (void)cJSON_AddStringToObject(tree, "kind", kind);
    (void)cJSON_AddStringToObject(tree, "apiVersion", "v1");
    return tree;
}

static cJSON *version_tree(void)
{
    static const char *const pairs[][2] = {
        {"major", "1"},    {"minor", "35"},           {"gitVersion", "v1.35.4"},
        {"gitCommit", ""}, {"gitTreeState", "clean"}, {"buildDate", ""},
        {"goVersion", ""}, {"compiler", "gc"},        {"platform", "linux/amd64"},
    };
    cJSON *tree = cJSON_CreateObject();

    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        (void)cJSON_AddStringToObject(tree, pairs[i][0], pairs[i][1]);
    return tree;
}

static void add_resource(cJSON *list, const char *name, const char *singular, const char *kind,
                         bool namespaced, const char *const *verbs, size_t n)
{
    cJSON *r = cJSON_CreateObject();

    (void)cJSON_AddStringToObject(r, "name", name);
    (void)cJSON_AddStringToObject(r, "singularName", singular);
    (void)cJSON_AddBoolToObject(r, "namespaced", namespaced);
    (void)cJSON_AddStringToObject(r, "kind", kind);
    cJSON_AddItemToObject(r, "verbs", cJSON_CreateStringArray(verbs, (int)n));
    cJSON_AddItemToArray(list, r);
}

/* The kinds of one group and version; NULL: there is none. */
static cJSON *resources_tree(struct sv version)
{
    static const char *const verbs[] = {"create", "delete", "deletecollection", "get",
                                        "list",   "patch",  "update",           "watch"};
    static const char *const scale_verbs[] = {"get", "patch", "update"};
    static const char *const evict_verbs[] = {"create"};
    cJSON *tree = typed("APIResourceList");
    cJSON *list;
    char *text = sv_dup(version);

    (void)cJSON_AddStringToObject(tree, "groupVersion", text);
    free(text);
    list = cJSON_AddArrayToObject(tree, "resources");
    for (enum kind k = 0; k < KIND_COUNT_; k++) {
        const struct kind_info *info = kind_info(k);

        if (!sv_eq(sv_from(info->api_version), version))
            continue;
        add_resource(list, info->plural, "", info->kind, info->namespaced, verbs, COUNT_OF(verbs));
        if (k == KIND_DEPLOYMENTS)
            add_resource(list, "deployments/scale", "", "Scale", true, scale_verbs,
                         COUNT_OF(scale_verbs));
        if (k == KIND_PODS)
            add_resource(list, "pods/eviction", "", "Eviction", true, evict_verbs,
                         COUNT_OF(evict_verbs));
    }
    if (cJSON_GetArraySize(list) != 0)
        return tree;
    cJSON_Delete(tree);
    return NULL;
}

static cJSON *groups_tree(void)
{
    cJSON *tree = typed("APIGroupList");
    cJSON *groups = cJSON_AddArrayToObject(tree, "groups");

    for (enum kind k = 0; k < KIND_COUNT_; k++) {
        struct sv group, version;
        cJSON *g, *v;
        char *name;

        if (!sv_cut(sv_from(kind_info(k)->api_version), '/', &group, &version))
            continue;
        g = cJSON_CreateObject();
        v = cJSON_CreateObject();
        name = sv_dup(group);
        (void)cJSON_AddStringToObject(g, "name", name);
        free(name);
        (void)cJSON_AddStringToObject(v, "groupVersion", kind_info(k)->api_version);
        name = sv_dup(version);
        (void)cJSON_AddStringToObject(v, "version", name);
        free(name);
        cJSON_AddItemToObject(g, "preferredVersion", cJSON_Duplicate(v, true));
        cJSON_AddItemToArray(cJSON_AddArrayToObject(g, "versions"), v);
        cJSON_AddItemToArray(groups, g);
    }
    return tree;
}

static cJSON *versions_tree(void)
{
    static const char *const versions[] = {"v1"};
    cJSON *tree = typed("APIVersions");

    cJSON_AddItemToObject(tree, "versions", cJSON_CreateStringArray(versions, COUNT_OF(versions)));
    return tree;
}

bool discovery_handle(const struct question *q, struct sv path, struct api_answer *a)
{
    cJSON *tree = NULL;

    if (sv_eq(path, SV("/readyz")) || sv_eq(path, SV("/livez")) || sv_eq(path, SV("/healthz"))) {
        a->content_type = "text/plain; charset=utf-8";
        (void)strbuf_add(&a->body, SV("ok"));
        return true;
    }
    if (sv_eq(path, SV("/version")))
        tree = version_tree();
    else if (sv_eq(path, SV("/api")))
        tree = versions_tree();
    else if (sv_eq(path, SV("/apis")))
        tree = groups_tree();
    else if (sv_starts(path, SV("/apis/")))
        tree = resources_tree(sv_skip(path, 6));
    else if (sv_starts(path, SV("/api/")))
        tree = resources_tree(sv_skip(path, 5));
    if (tree == NULL)
        return false;
    if (sv_eq(q->request->method, SV("GET"))) {
        answer_tree(q, 200, tree, a);
    } else {
        cJSON_Delete(tree);
        answer_not_allowed(q, a);
    }
    return true;
}
