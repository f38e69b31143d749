#include <string.h>

#include "tests/pocket/answers.h"
#include "tests/pocket/patch.h"

cJSON *body_tree(const struct question *q, struct api_answer *a)
{
    struct sv body = q->request->body;
    cJSON *json = body.len != 0 ? cJSON_ParseWithLength(body.at, body.len) : NULL;

    if (cJSON_IsObject(json))
        return json;
    cJSON_Delete(json);
    answer_failure(
        q,
        &(struct failure){.code = 400,
                          .reason = "BadRequest",
                          .message = "the object provided is unrecognized: found no JSON object"},
        a);
    return NULL;
}

bool check_version(const struct question *q, const cJSON *tree, const cJSON *json,
                   struct api_answer *a)
{
    const cJSON *meta = cJSON_GetObjectItemCaseSensitive(json, "metadata");
    const char *named =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(meta, "resourceVersion"));
    const char *have = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(tree, "metadata"), "resourceVersion"));

    if (named == NULL || named[0] == '\0' || strcmp(named, have) == 0)
        return true;
    answer_failure(q,
                   &(struct failure){
                       .code = 409,
                       .reason = "Conflict",
                       .message =
                           "the object has been modified; please apply your changes to the latest "
                           "version and try again"},
                   a);
    return false;
}

static void fail_patch(const struct question *q, const struct err *err, struct api_answer *a)
{
    struct failure f = {.code = 422, .reason = "Invalid", .message = err->text};

    if (err->kind == ERR_INPUT) {
        f.code = 400;
        f.reason = "BadRequest";
    }
    answer_failure(q, &f, a);
}

cJSON *body_patch(const struct question *q, const cJSON *tree, struct api_answer *a)
{
    struct sv type = q->request->content_type, more;
    struct err err = {0};
    cJSON *patch, *json;
    bool ok = true;

    (void)sv_cut(type, ';', &type, &more);
    if (!sv_eq(type, SV("application/merge-patch+json")) &&
        !sv_eq(type, SV("application/json-patch+json"))) {
        answer_failure(q,
                       &(struct failure){
                           .code = 415,
                           .reason = "UnsupportedMediaType",
                           .message =
                               "the body of the request was in an unknown format - accepted media "
                               "types include: application/json-patch+json, "
                               "application/merge-patch+json"},
                       a);
        return NULL;
    }
    patch = cJSON_ParseWithLength(q->request->body.at, q->request->body.len);
    json = cJSON_Duplicate(tree, true);
    if (patch == NULL)
        ok = err_set(&err, ERR_INPUT, 0, "found no JSON");
    else if (sv_eq(type, SV("application/json-patch+json")))
        ok = patch_json(json, patch, &err);
    else if (cJSON_IsObject(patch))
        patch_merge(json, patch);
    else
        ok = err_set(&err, ERR_INPUT, 0, "found no object");
    cJSON_Delete(patch);
    if (ok)
        return json;
    cJSON_Delete(json);
    fail_patch(q, &err, a);
    return NULL;
}
