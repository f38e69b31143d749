#include "tests/pocket/api.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/pbmake.h"
#include "tests/pocket/answers.h"
#include "tests/pocket/encode.h"
#include "tests/pocket/parts.h"

struct sv param(const struct api_request *r, const char *key)
{
    for (size_t i = 0; i < r->n_params; i++)
        if (sv_eq(r->params[i].key, sv_from(key)))
            return r->params[i].value;
    return (struct sv){0};
}

bool param_true(const struct api_request *r, const char *key)
{
    struct sv value = param(r, key);

    return sv_eq(value, SV("1")) || sv_eq(value, SV("true"));
}

/* ---- answers ---- */

static const char *group_of(enum kind kind, size_t *ret_len)
{
    struct sv group = {.at = "", .len = 0}, version;

    (void)sv_cut(sv_from(kind_info(kind)->api_version), '/', &group, &version);
    *ret_len = group.len;
    return group.at;
}

void status_json(const struct question *q, const struct failure *f, struct strbuf *out)
{
    struct jsonw w;
    size_t group_len;
    const char *group = group_of(q->kind, &group_len);

    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    jsonw_cstr(&w, "kind", "Status");
    jsonw_cstr(&w, "apiVersion", "v1");
    jsonw_object(&w, "metadata");
    if (f->token.len != 0)
        jsonw_str(&w, "continue", f->token);
    jsonw_end(&w);
    jsonw_cstr(&w, "status", f->code < 400 ? "Success" : "Failure");
    jsonw_cstr(&w, "message", f->message);
    jsonw_cstr(&w, "reason", f->reason);
    jsonw_object(&w, "details");
    if (q->name.len != 0)
        jsonw_str(&w, "name", q->name);
    if (group_len != 0)
        jsonw_str(&w, "group", (struct sv){.at = group, .len = group_len});
    jsonw_cstr(&w, "kind", kind_info(q->kind)->plural);
    if (f->cause != NULL) {
        jsonw_array(&w, "causes");
        jsonw_object(&w, NULL);
        jsonw_cstr(&w, "reason", f->cause);
        jsonw_cstr(&w, "message", f->message);
        if (f->cause_field != NULL)
            jsonw_cstr(&w, "field", f->cause_field);
        jsonw_end(&w);
        jsonw_end(&w);
    }
    if (f->retry_after_s != 0)
        jsonw_i64(&w, "retryAfterSeconds", f->retry_after_s);
    jsonw_end(&w);
    jsonw_i64(&w, "code", f->code);
    jsonw_end(&w);
}

void status_protobuf(const struct question *q, const struct failure *f, struct strbuf *out)
{
    struct strbuf json;
    cJSON *tree;

    strbuf_init(&json, ANSWER_MAX);
    status_json(q, f, &json);
    tree = cJSON_ParseWithLength(json.at, json.len);
    encode_object(&encode_status, tree, false, out);
    cJSON_Delete(tree);
    strbuf_done(&json);
}

void answer_failure(const struct question *q, const struct failure *f, struct api_answer *a)
{
    struct strbuf message;

    a->status = f->code;
    a->retry_after_s = f->retry_after_s;
    if (!q->protobuf) {
        a->content_type = TYPE_JSON;
        status_json(q, f, &a->body);
        return;
    }
    strbuf_init(&message, ANSWER_MAX);
    status_protobuf(q, f, &message);
    a->content_type = TYPE_PROTOBUF;
    pbmake_envelope(&a->body, "Status", strbuf_sv(&message));
    strbuf_done(&message);
}

void answer_err(const struct question *q, const struct err *err, bool creating,
                struct api_answer *a)
{
    struct failure f = {.code = 500, .reason = "InternalError", .message = err->text};

    if (err->kind == ERR_INPUT) {
        f.code = 422;
        f.reason = "Invalid";
    } else if (err->kind == ERR_PROTOCOL) {
        f.code = 400;
        f.reason = "BadRequest";
    } else if (err->kind == ERR_CONFLICT) {
        f.code = 409;
        f.reason = creating ? "AlreadyExists" : "Conflict";
    } else if (err->kind == ERR_FORBIDDEN) {
        f.code = 403;
        f.reason = "Forbidden";
    }
    answer_failure(q, &f, a);
}

void answer_object(const struct question *q, int status, const struct object *o,
                   struct api_answer *a)
{
    const struct kind_info *info = kind_info(o->is.kind);
    struct strbuf message;

    a->status = status;
    if (!q->protobuf || !info->parted) {
        a->content_type = TYPE_JSON;
        object_json(o, o->version, true, &a->body);
        return;
    }
    strbuf_init(&message, ANSWER_MAX);
    object_protobuf((struct object *)o, &message);
    a->content_type = TYPE_PROTOBUF;
    pbmake_envelope(&a->body, info->kind, strbuf_sv(&message));
    strbuf_done(&message);
}

void answer_tree(const struct question *q UNUSED, int status, cJSON *tree, struct api_answer *a)
{
    char *text = cJSON_PrintUnformatted(tree);

    a->status = status;
    a->content_type = TYPE_JSON;
    (void)strbuf_add(&a->body, sv_from(text));
    cJSON_free(text);
    cJSON_Delete(tree);
}

void answer_not_found(const struct question *q, struct api_answer *a)
{
    char text[400];

    if (q->name.len != 0)
        (void)snprintf(text, sizeof text, "%s \"%.*s\" not found", kind_info(q->kind)->plural,
                       (int)(q->name.len < 253 ? q->name.len : 253), q->name.at);
    else
        (void)snprintf(text, sizeof text, "the server could not find the requested resource");
    answer_failure(q, &(struct failure){.code = 404, .reason = "NotFound", .message = text}, a);
}

void answer_not_allowed(const struct question *q, struct api_answer *a)
{
    answer_failure(
        q,
        &(struct failure){.code = 405,
                          .reason = "MethodNotAllowed",
                          .message =
                              "the server does not allow this method on the requested resource"},
        a);
}

/* ---- what a request is about ---- */

/* The first of the types in Accept that can be given. False: none can. `as=…` are forms that are not served. */
static bool choose_format(struct sv accept, bool json_only, bool *ret_protobuf)
{
    struct sv rest = accept, entry, type, more;

    *ret_protobuf = false;
    if (accept.len == 0)
        return true;
    while (sv_next(&rest, ',', &entry)) {
        if (!sv_cut(entry, ';', &type, &more)) {
            type = entry;
            more = (struct sv){0};
        }
        type = sv_trim(type);
        if (more.len != 0 && memmem(more.at, more.len, "as=", 3) != NULL)
            continue;
        *ret_protobuf = !json_only && sv_eq(type, SV(TYPE_PROTOBUF));
        if (*ret_protobuf || sv_eq(type, SV(TYPE_JSON)) || sv_eq(type, SV("*/*")) ||
            sv_eq(type, SV("application/*")))
            return true;
    }
    return false;
}

static bool find_kind(struct sv api_version, struct sv plural, enum kind *ret_kind)
{
    for (enum kind k = 0; k < KIND_COUNT_; k++) {
        if (sv_eq(sv_from(kind_info(k)->plural), plural) &&
            sv_eq(sv_from(kind_info(k)->api_version), api_version)) {
            *ret_kind = k;
            return true;
        }
    }
    return false;
}

/* /api/v1/…, /apis/GROUP/VERSION/…: [namespaces/NS/]PLURAL[/NAME[/SUBRESOURCE]]. */
static bool take_apart(struct question *q, struct sv path)
{
    struct sv rest = sv_skip(path, 1), piece, segment[API_MAX_SEGMENTS];
    size_t n = 0, at;
    struct sv version;

    while (n < API_MAX_SEGMENTS && sv_next(&rest, '/', &piece))
        segment[n++] = piece;
    if (n >= 3 && sv_eq(segment[0], SV("api"))) {
        version = segment[1];
        at = 2;
    } else if (n >= 4 && sv_eq(segment[0], SV("apis"))) {
        version = (struct sv){.at = segment[1].at, .len = segment[1].len + 1 + segment[2].len};
        at = 3;
    } else {
        return false;
    }
    if (n - at >= 3 && sv_eq(segment[at], SV("namespaces"))) {
        q->ns = segment[at + 1];
        at += 2;
    }
    if (n - at > 3 || !find_kind(version, segment[at], &q->kind))
        return false;
    q->name = n - at >= 2 ? segment[at + 1] : (struct sv){0};
    q->sub = n - at == 3 ? segment[at + 2] : (struct sv){0};
    return q->ns.len == 0 || kind_info(q->kind)->namespaced;
}

/* ---- objects one by one ---- */

static void create(const struct question *q, struct api_answer *a)
{
    const struct object *o = NULL;
    struct err err = {0};
    cJSON *json = body_tree(q, a);

    if (json == NULL)
        return;
    if (kind_info(q->kind)->namespaced && q->ns.len == 0)
        answer_not_allowed(q, a);
    else if (world_create(q->api->world, q->kind, q->ns, json, &WORLD_NO_TIMING, &o, &err))
        answer_object(q, 201, o, a);
    else
        answer_err(q, &err, true, a);
    cJSON_Delete(json);
}

static void replace(const struct question *q, struct object *o, cJSON *json, struct api_answer *a)
{
    const struct object *now = NULL;
    struct err err = {0};

    if (world_replace(q->api->world, o, json, &now, &err))
        answer_object(q, 200, now, a);
    else
        answer_err(q, &err, false, a);
}

static void put(const struct question *q, struct object *o, struct api_answer *a)
{
    cJSON *json = body_tree(q, a);
    cJSON *tree = docs_tree(o);

    if (json != NULL && check_version(q, tree, json, a))
        replace(q, o, json, a);
    cJSON_Delete(tree);
    cJSON_Delete(json);
}

static void patch(const struct question *q, struct object *o, struct api_answer *a)
{
    cJSON *tree = docs_tree(o);
    cJSON *json = body_patch(q, tree, a);

    if (json != NULL && check_version(q, tree, json, a))
        replace(q, o, json, a);
    cJSON_Delete(tree);
    cJSON_Delete(json);
}

/* Grace from the body's DeleteOptions or the query; -1: not given, -2: no such number. */
static int64_t grace_of(const struct question *q, const cJSON *options)
{
    struct sv text = param(q->request, "gracePeriodSeconds");
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(options, "gracePeriodSeconds");
    int64_t grace = -1;

    if (cJSON_IsNumber(value))
        grace = value->valuedouble >= 0 && value->valuedouble <= INT32_MAX
                    ? (int64_t)value->valuedouble
                    : -2;
    else if (text.len != 0 && (!sv_to_i64(text, &grace) || grace < 0 || grace > INT32_MAX))
        grace = -2;
    return grace;
}

static void delete (const struct question *q, struct object *o, struct api_answer *a)
{
    cJSON *options = q->request->body.len != 0 ? body_tree(q, a) : cJSON_CreateObject();
    const struct object *left;
    int64_t grace_s;

    if (options == NULL)
        return;
    grace_s = grace_of(q, options);
    cJSON_Delete(options);
    if (grace_s == -2) {
        answer_failure(q,
                       &(struct failure){.code = 422,
                                         .reason = "Invalid",
                                         .message = "gracePeriodSeconds: Invalid value"},
                       a);
        return;
    }
    (void)object_ref(o);
    world_delete(q->api->world, o, grace_s);
    left = store_find(world_store(q->api->world), q->kind, q->ns, q->name);
    answer_object(q, 200, left != NULL ? left : o, a);
    object_unref(o);
}

static void delete_all(const struct question *q, struct api_answer *a)
{
    struct listing *l = store_list(world_store(q->api->world), q->kind);
    struct match m;
    struct err err = {0};

    if (!match_init(&m, q->kind, q->ns, param(q->request, "fieldSelector"),
                    param(q->request, "labelSelector"), &err)) {
        answer_err(q, &(struct err){.kind = ERR_PROTOCOL}, false, a);
    } else {
        for (size_t i = 0; i < l->n; i++)
            if (match_object(&m, l->at[i]))
                world_delete(q->api->world, l->at[i], grace_of(q, NULL));
        answer_failure(q, &(struct failure){.code = 200, .reason = "", .message = ""}, a);
    }
    match_done(&m);
    listing_unref(l);
}

static void handle_object(const struct question *q, struct api_answer *a)
{
    struct object *o = store_find(world_store(q->api->world), q->kind, q->ns, q->name);
    struct sv method = q->request->method;

    if (o == NULL)
        answer_not_found(q, a);
    else if (sv_eq(q->sub, SV("scale")) && q->kind == KIND_DEPLOYMENTS)
        scale_handle(q, o, a);
    else if (sv_eq(q->sub, SV("eviction")) && q->kind == KIND_PODS)
        evict_handle(q, o, a);
    else if (q->sub.len != 0)
        answer_not_found(
            &(struct question){.api = q->api, .kind = q->kind, .protobuf = q->protobuf}, a);
    else if (sv_eq(method, SV("GET")))
        answer_object(q, 200, o, a);
    else if (sv_eq(method, SV("PUT")))
        put(q, o, a);
    else if (sv_eq(method, SV("PATCH")))
        patch(q, o, a);
    else if (sv_eq(method, SV("DELETE")))
        delete (q, o, a);
    else
        answer_not_allowed(q, a);
}

static void handle_collection(const struct question *q, struct api_answer *a)
{
    struct sv method = q->request->method;

    if (sv_eq(method, SV("GET")) && param_true(q->request, "watch"))
        watch_handle(q, a);
    else if (sv_eq(method, SV("GET")))
        list_handle(q, a);
    else if (sv_eq(method, SV("POST")))
        create(q, a);
    else if (sv_eq(method, SV("DELETE")))
        delete_all(q, a);
    else
        answer_not_allowed(q, a);
}

void api_handle(struct api *api, const struct api_request *r, struct api_answer *ret_answer)
{
    struct question q = {.api = api, .request = r};
    struct api_answer *a = ret_answer;

    *a = (struct api_answer){.status = 200, .content_type = TYPE_JSON};
    strbuf_init(&a->body, ANSWER_MAX);
    if (!choose_format(r->accept, api->json_only, &q.protobuf)) {
        answer_failure(
            &q,
            &(struct failure){.code = 406,
                              .reason = "NotAcceptable",
                              .message = "only the following media types are accepted: " TYPE_JSON
                                         ", " TYPE_PROTOBUF},
            a);
        return;
    }
    if (discovery_handle(&q, r->path, a) || review_handle(&q, r->path, a))
        return;
    if (!take_apart(&q, r->path))
        answer_not_found(&(struct question){.api = api, .protobuf = q.protobuf}, a);
    else if (param(r, "dryRun").len != 0)
        answer_failure(&q,
                       &(struct failure){.code = 400,
                                         .reason = "BadRequest",
                                         .message = "dryRun is not supported"},
                       a);
    else if (q.name.len != 0)
        handle_object(&q, a);
    else
        handle_collection(&q, a);
}
