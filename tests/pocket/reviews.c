#include <string.h>

#include "tests/pocket/answers.h"

/*
 * Who there is and what they may: enough for a server that asks. system:masters may everything, `viewer` may read, the
 * others nothing.
 */
static const struct {
    const char *token, *user, *group;
} accounts[] = {
    {"pocket", "pocket-admin", "system:masters"},
    {"pocket-viewer", "pocket-viewer", "viewers"},
    {"pocket-nobody", "pocket-nobody", "nobodies"},
};

static const struct {
    const char *group;
    const char *verbs[4]; /* none: all */
} grants[] = {
    {"system:masters", {NULL}},
    {"viewers", {"get", "list", "watch", NULL}},
};

static cJSON *get(const cJSON *object, const char *key)
{
    return object != NULL ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

static struct sv text_of(const cJSON *object, const char *key)
{
    return sv_from(cJSON_GetStringValue(get(object, key)));
}

static void review_token(cJSON *review, cJSON *status)
{
    struct sv token = text_of(get(review, "spec"), "token");

    for (size_t i = 0; i < COUNT_OF(accounts); i++) {
        const char *const groups[] = {accounts[i].group, "system:authenticated"};
        cJSON *user;

        if (!sv_eq(token, sv_from(accounts[i].token)))
            continue;
        (void)cJSON_AddBoolToObject(status, "authenticated", true);
        user = cJSON_AddObjectToObject(status, "user");
        (void)cJSON_AddStringToObject(user, "username", accounts[i].user);
        cJSON_AddItemToObject(user, "groups", cJSON_CreateStringArray(groups, COUNT_OF(groups)));
        return;
    }
    (void)cJSON_AddStringToObject(status, "error", "invalid bearer token");
}

static bool group_may(struct sv group, struct sv verb)
{
    for (size_t i = 0; i < COUNT_OF(grants); i++) {
        if (!sv_eq(group, sv_from(grants[i].group)))
            continue;
        if (grants[i].verbs[0] == NULL)
            return true;
        for (size_t k = 0; grants[i].verbs[k] != NULL; k++)
            if (sv_eq(verb, sv_from(grants[i].verbs[k])))
                return true;
    }
    return false;
}

static void review_access(cJSON *review, cJSON *status)
{
    const cJSON *spec = get(review, "spec"), *group;
    const cJSON *what = get(spec, "resourceAttributes") != NULL
                            ? get(spec, "resourceAttributes")
                            : get(spec, "nonResourceAttributes");
    bool allowed = false;

    cJSON_ArrayForEach(group, get(spec, "groups")) allowed =
        allowed || group_may(sv_from(cJSON_GetStringValue(group)), text_of(what, "verb"));
    (void)cJSON_AddBoolToObject(status, "allowed", allowed);
}

/* Whoever talks to this server is its admin. */
static void review_self(cJSON *review UNUSED, cJSON *status)
{
    (void)cJSON_AddBoolToObject(status, "allowed", true);
}

bool review_handle(const struct question *q, struct sv path, struct api_answer *a)
{
    static const struct {
        const char *path;
        void (*review)(cJSON *review, cJSON *status);
    } reviews[] = {
        {"/apis/authentication.k8s.io/v1/tokenreviews", review_token},
        {"/apis/authorization.k8s.io/v1/subjectaccessreviews", review_access},
        {"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review_self},
    };

    for (size_t i = 0; i < COUNT_OF(reviews); i++) {
        cJSON *tree;

        if (!sv_eq(path, sv_from(reviews[i].path)))
            continue;
        if (!sv_eq(q->request->method, SV("POST"))) {
            answer_not_allowed(q, a);
            return true;
        }
        tree = body_tree(q, a);
        if (tree == NULL)
            return true;
        cJSON_DeleteItemFromObjectCaseSensitive(tree, "status");
        reviews[i].review(tree, cJSON_AddObjectToObject(tree, "status"));
        answer_tree(q, 201, tree, a);
        return true;
    }
    return false;
}
