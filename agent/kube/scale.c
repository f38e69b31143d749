#include "agent/kube/scale.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "agent/kube/template.h"
#include "base/alloc.h"
#include "base/jsonw.h"

/* Of one group and version the largest have some tens of resources. */
enum { MAX_PATH = 16 << 10, MAX_PATCH = 4096, HPA_PAGE = 200, MAX_RESOURCES = 2000 };

/* The server itself gives up a patch after 34 s; long before that the caller wants to know. */
#define CONTROL_TIMEOUT_US (10 * US_PER_S)

static const struct {
    const char *api_version, *kind, *plural;
} known[] = {
    {"apps/v1", "Deployment", "deployments"},
    {"apps/v1", "StatefulSet", "statefulsets"},
    {"apps/v1", "ReplicaSet", "replicasets"},
    {"v1", "ReplicationController", "replicationcontrollers"},
};

struct scaler {
    struct client *client;
    char *api_version, *kind, *ns, *name;
    char *plural; /* NULL: not known yet */
    struct scale_op *ops;
};

enum op_kind { OP_GET, OP_PATCH, OP_TEMPLATE, OP_PAUSE, OP_HPA };

struct scale_op {
    struct scaler *scaler;
    struct scale_op *next, **link;
    enum op_kind kind;
    scale_fn *fn;
    void *self;
    struct client_call *call;
    const char *content_type; /* OP_PATCH, OP_PAUSE */
    struct strbuf body;
    struct strbuf token; /* OP_HPA: continue */
};

/* ---- small reading of JSON ---- */

static const cJSON *get(const cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

static struct sv text_of(const cJSON *object, const char *key)
{
    return sv_from(cJSON_GetStringValue(get(object, key)));
}

/* A whole number from 0 to what an int32 holds; absent is 0. */
static bool count_of(const cJSON *object, const char *key, int64_t *ret_count)
{
    const cJSON *item = get(object, key);

    if (item == NULL || cJSON_IsNull(item)) {
        *ret_count = 0;
        return true;
    }
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= INT32_MAX) ||
        (double)(int64_t)item->valuedouble < item->valuedouble)
        return false;
    *ret_count = (int64_t)item->valuedouble;
    return true;
}

/* ---- ends ---- */

static void op_free(struct scale_op *op)
{
    *op->link = op->next;
    if (op->next != NULL)
        op->next->link = op->link;
    strbuf_done(&op->body);
    strbuf_done(&op->token);
    free(op);
}

static void finish(struct scale_op *op, const struct scale_result *result)
{
    op->call = NULL;
    op->fn(op->self, result);
    op_free(op);
}

static void fail(struct scale_op *op, enum err_kind kind, const char *what)
{
    struct client_problem p = {.retry_after_s = -1};
    const struct scaler *s = op->scaler;

    (void)err_set(&p.err, kind, 0, "%s %s/%s: %s", s->kind, s->ns, s->name, what);
    finish(op, &(struct scale_result){.problem = &p});
}

/* ---- answers ---- */

static void take_scale(struct scale_op *op, const cJSON *root)
{
    const cJSON *metadata = get(root, "metadata"), *status = get(root, "status");
    struct scale_result r = {
        .scale =
            {
                .uid = text_of(metadata, "uid"),
                .resource_version = text_of(metadata, "resourceVersion"),
                .selector = text_of(status, "selector"),
            },
    };

    if (r.scale.uid.len == 0 || !count_of(get(root, "spec"), "replicas", &r.scale.replicas) ||
        !count_of(status, "replicas", &r.scale.status_replicas)) {
        fail(op, ERR_PROTOCOL, "the answer is no Scale with uid and counts");
        return;
    }
    finish(op, &r);
}

static bool is_set(const cJSON *annotations, const char *key)
{
    return get(annotations, key) != NULL && !sv_eq(text_of(annotations, key), SV("false"));
}

static struct scale_pause pause_of(const cJSON *metadata)
{
    const cJSON *annotations = get(metadata, "annotations");
    bool all = is_set(annotations, SCALE_PAUSED);

    return (struct scale_pause){.up = all || is_set(annotations, SCALE_PAUSED_UP),
                                .down = all || is_set(annotations, SCALE_PAUSED_DOWN)};
}

static void take_template(struct scale_op *op, cJSON *root)
{
    const cJSON *metadata = get(root, "metadata");
    struct client_problem p = {.retry_after_s = -1};
    struct scale_result r = {.read = true,
                             .uid = text_of(metadata, "uid"),
                             .resource_version = text_of(metadata, "resourceVersion"),
                             .pause = pause_of(metadata)};
    struct strbuf pod;

    strbuf_init(&pod, TEMPLATE_MAX_POD);
    if (template_of_tree(root, sv_from(op->scaler->ns), &pod, &p.err)) {
        r.pod_json = strbuf_sv(&pod);
    } else {
        r.problem = &p;
        (void)err_wrap(&p.err, "%s %s/%s", op->scaler->kind, op->scaler->ns, op->scaler->name);
    }
    finish(op, &r);
    strbuf_done(&pod);
}

/* The group of "apps/v1" is "apps", of "v1" it is "". Versions of a group name the same objects. */
static struct sv group_of(struct sv api_version)
{
    struct sv group = {0}, version;

    (void)sv_cut(api_version, '/', &group, &version);
    return group;
}

static bool refers_to(const cJSON *ref, const struct scaler *s)
{
    return sv_eq(text_of(ref, "kind"), sv_from(s->kind)) &&
           sv_eq(text_of(ref, "name"), sv_from(s->name)) &&
           sv_eq(group_of(text_of(ref, "apiVersion")), group_of(sv_from(s->api_version)));
}

static void request(struct scale_op *op);

static void take_hpas(struct scale_op *op, const cJSON *root)
{
    struct sv token = text_of(get(root, "metadata"), "continue");
    const cJSON *items = get(root, "items");
    const cJSON *hpa;

    if (!cJSON_IsArray(items)) {
        fail(op, ERR_PROTOCOL, "the answer is no list of HorizontalPodAutoscalers");
        return;
    }
    cJSON_ArrayForEach(hpa, items)
    {
        if (refers_to(get(get(hpa, "spec"), "scaleTargetRef"), op->scaler)) {
            finish(op, &(struct scale_result){.hpa = text_of(get(hpa, "metadata"), "name")});
            return;
        }
    }
    if (token.len == 0) {
        finish(op, &(struct scale_result){0});
        return;
    }
    strbuf_clear(&op->token);
    if (strbuf_add(&op->token, token))
        request(op);
    else
        fail(op, ERR_LIMIT, "the list's continue token is too long");
}

/* The resource of our kind that has a "/scale". Names are held against each other: not where there are too many. */
static const char *find_plural(const cJSON *root, const char *kind)
{
    const cJSON *resources = get(root, "resources"), *item, *other;

    if (cJSON_GetArraySize(resources) > MAX_RESOURCES)
        return NULL;
    cJSON_ArrayForEach(item, resources)
    {
        struct sv name = text_of(item, "name");

        if (!sv_eq(text_of(item, "kind"), sv_from(kind)) || name.len == 0 ||
            memchr(name.at, '/', name.len) != NULL)
            continue;
        cJSON_ArrayForEach(other, resources)
        {
            struct sv full = text_of(other, "name");

            if (full.len == name.len + 6 && sv_starts(full, name) && sv_ends(full, SV("/scale")))
                return name.at;
        }
    }
    return NULL;
}

static void take_discovery(struct scale_op *op, const cJSON *root)
{
    const char *plural = find_plural(root, op->scaler->kind);

    if (plural == NULL) {
        fail(op, ERR_NOT_FOUND, "the server knows no such kind with a scale subresource");
        return;
    }
    if (op->scaler->plural == NULL)
        op->scaler->plural = xstrdup(plural);
    request(op);
}

static void on_answer(void *self, const struct client_answer *answer)
{
    struct scale_op *op = self;
    bool discovering = op->scaler->plural == NULL && op->kind != OP_HPA;
    cJSON *root;

    op->call = NULL;
    if (answer->problem != NULL) {
        finish(op, &(struct scale_result){.problem = answer->problem});
        return;
    }
    root = answer->body.len != 0 ? cJSON_ParseWithLength(answer->body.at, answer->body.len) : NULL;
    if (!cJSON_IsObject(root))
        fail(op, ERR_PROTOCOL, "the answer is no JSON object");
    else if (discovering)
        take_discovery(op, root);
    else if (op->kind == OP_TEMPLATE)
        take_template(op, root);
    else if (op->kind == OP_HPA)
        take_hpas(op, root);
    else if (op->kind == OP_PAUSE)
        finish(op, &(struct scale_result){.read = true, .pause = pause_of(get(root, "metadata"))});
    else
        take_scale(op, root);
    cJSON_Delete(root);
}

/* ---- requests ---- */

static void add_segment(struct strbuf *path, const char *text)
{
    (void)strbuf_add_char(path, '/');
    client_escape(path, sv_from(text));
}

/* "/apis/GROUP/VERSION", or "/api/v1". */
static void add_version(struct strbuf *path, const char *api_version)
{
    struct sv group, version;

    if (sv_cut(sv_from(api_version), '/', &group, &version)) {
        (void)strbuf_addf(path, "/apis/");
        client_escape(path, group);
        (void)strbuf_add_char(path, '/');
        client_escape(path, version);
    } else {
        (void)strbuf_addf(path, "/api");
        add_segment(path, api_version);
    }
}

static bool is_write(const struct scale_op *op)
{
    return op->kind == OP_PATCH || op->kind == OP_PAUSE;
}

static void add_path(struct strbuf *path, const struct scale_op *op)
{
    const struct scaler *s = op->scaler;

    if (op->kind == OP_HPA) {
        (void)strbuf_addf(path, "/apis/autoscaling/v2/namespaces");
        add_segment(path, s->ns);
        (void)strbuf_addf(path, "/horizontalpodautoscalers?limit=%d", HPA_PAGE);
        if (op->token.len != 0) {
            (void)strbuf_addf(path, "&continue=");
            client_escape(path, strbuf_sv(&op->token));
        }
        return;
    }
    add_version(path, s->api_version);
    if (s->plural == NULL)
        return;
    add_segment(path, "namespaces");
    add_segment(path, s->ns);
    add_segment(path, s->plural);
    add_segment(path, s->name);
    if (op->kind == OP_GET || op->kind == OP_PATCH)
        add_segment(path, "scale");
    if (is_write(op))
        (void)strbuf_addf(path, "?fieldManager=brim");
}

static void request(struct scale_op *op)
{
    bool patch = is_write(op) && op->scaler->plural != NULL;
    struct strbuf path;

    strbuf_init(&path, MAX_PATH);
    add_path(&path, op);
    op->call = client_send(op->scaler->client,
                           &(struct client_request){
                               .method = patch ? "PATCH" : "GET",
                               .path = strbuf_str(&path),
                               .content_type = patch ? op->content_type : NULL,
                               .body = patch ? strbuf_sv(&op->body) : (struct sv){0},
                               .channel = op->kind == OP_PATCH ? CHANNEL_CONTROL : CHANNEL_POOL,
                               .timeout_us = op->kind == OP_PATCH ? CONTROL_TIMEOUT_US : 0,
                           },
                           on_answer, op);
    strbuf_done(&path);
    if (op->kind == OP_PATCH)
        client_push(op->scaler->client, CHANNEL_CONTROL);
}

static struct scale_op *op_new(struct scaler *s, enum op_kind kind, scale_fn *fn, void *self)
{
    struct scale_op *op = xcalloc(1, sizeof *op);

    *op = (struct scale_op){
        .scaler = s, .kind = kind, .fn = fn, .self = self, .next = s->ops, .link = &s->ops};
    if (s->ops != NULL)
        s->ops->link = &op->next;
    s->ops = op;
    strbuf_init(&op->body, MAX_PATCH);
    strbuf_init(&op->token, MAX_PATH / 4);
    return op;
}

static struct scale_op *simple(struct scaler *s, enum op_kind kind, scale_fn *fn, void *self)
{
    struct scale_op *op = op_new(s, kind, fn, self);

    request(op);
    return op;
}

/* ---- public ---- */

struct scaler *scaler_new(struct client *client, const struct target *target)
{
    struct scaler *s = xcalloc(1, sizeof *s);

    *s = (struct scaler){
        .client = client,
        .api_version = xstrdup(target->api_version),
        .kind = xstrdup(target->kind),
        .ns = xstrdup(target->ns),
        .name = xstrdup(target->name),
    };
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (strcmp(known[i].api_version, s->api_version) == 0 &&
            strcmp(known[i].kind, s->kind) == 0)
            s->plural = xstrdup(known[i].plural);
    return s;
}

void scaler_free(struct scaler *s)
{
    if (s == NULL)
        return;
    while (s->ops != NULL)
        scale_cancel(s->ops);
    free(s->api_version);
    free(s->kind);
    free(s->ns);
    free(s->name);
    free(s->plural);
    free(s);
}

const char *scaler_resource(const struct scaler *s)
{
    return s->plural;
}

struct scale_op *scale_get(struct scaler *s, scale_fn *fn, void *self)
{
    return simple(s, OP_GET, fn, self);
}

struct scale_op *scale_patch_yield(struct scaler *s, struct sv uid, int64_t n, scale_fn *fn,
                                   void *self)
{
    struct scale_op *op = op_new(s, OP_PATCH, fn, self);
    struct jsonw w;

    op->content_type = CLIENT_MERGE_PATCH;
    jsonw_init(&w, &op->body);
    jsonw_object(&w, NULL);
    jsonw_object(&w, "metadata");
    jsonw_str(&w, "uid", uid);
    jsonw_end(&w);
    jsonw_object(&w, "spec");
    jsonw_i64(&w, "replicas", n);
    jsonw_end(&w);
    jsonw_end(&w);
    request(op);
    return op;
}

static void patch_step(struct jsonw *w, const char *what, const char *path)
{
    jsonw_object(w, NULL);
    jsonw_cstr(w, "op", what);
    jsonw_cstr(w, "path", path);
}

struct scale_op *scale_patch_grow(struct scaler *s, struct sv uid, int64_t from, int64_t to,
                                  scale_fn *fn, void *self)
{
    struct scale_op *op = op_new(s, OP_PATCH, fn, self);
    struct jsonw w;

    op->content_type = CLIENT_JSON_PATCH;
    jsonw_init(&w, &op->body);
    jsonw_array(&w, NULL);
    patch_step(&w, "test", "/metadata/uid");
    jsonw_str(&w, "value", uid);
    jsonw_end(&w);
    patch_step(&w, "test", "/spec/replicas");
    if (from == 0)
        jsonw_null(&w, "value");
    else
        jsonw_i64(&w, "value", from);
    jsonw_end(&w);
    patch_step(&w, from == 0 ? "add" : "replace", "/spec/replicas");
    jsonw_i64(&w, "value", to);
    jsonw_end(&w);
    jsonw_end(&w);
    request(op);
    return op;
}

struct scale_op *scale_template(struct scaler *s, scale_fn *fn, void *self)
{
    return simple(s, OP_TEMPLATE, fn, self);
}

struct scale_op *scale_patch_pause(struct scaler *s, int annotations, bool set, scale_fn *fn,
                                   void *self)
{
    static const char *const keys[] = {SCALE_PAUSED, SCALE_PAUSED_UP, SCALE_PAUSED_DOWN};
    struct scale_op *op = op_new(s, OP_PAUSE, fn, self);
    struct jsonw w;

    op->content_type = CLIENT_MERGE_PATCH;
    jsonw_init(&w, &op->body);
    jsonw_object(&w, NULL);
    jsonw_object(&w, "metadata");
    jsonw_object(&w, "annotations");
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if ((annotations & 1 << i) != 0)
            jsonw_cstr(&w, keys[i], set ? "true" : NULL);
    }
    jsonw_end(&w);
    jsonw_end(&w);
    jsonw_end(&w);
    request(op);
    return op;
}

struct scale_op *scale_find_hpa(struct scaler *s, scale_fn *fn, void *self)
{
    return simple(s, OP_HPA, fn, self);
}

void scale_cancel(struct scale_op *op)
{
    if (op == NULL)
        return;
    client_cancel(op->call);
    op_free(op);
}
