#include "agent/kube/scale.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "agent/kube/template.h"
#include "agent/kube/tree.h"
#include "base/alloc.h"
#include "base/jsonw.h"

/* Of one group and version the largest have some tens of resources. */
enum {
    MAX_PATH = 16 << 10,
    MAX_PATCH = 4096,
    MAX_SELECTOR = 64 << 10,
    OWNER_PAGE = 200,
    MAX_RESOURCES = 2000
};

/* The server itself gives up a patch after 34 s; long before that the caller wants to know. */
#define CONTROL_TIMEOUT_US (10 * US_PER_S)

/* What else scales workloads. `apiVersion` and `kind` of the target may be left out of a ScaledObject. */
static const struct owner_kind {
    const char *kind, *group_version, *plural;
    const char *default_version, *default_kind; /* NULL: none */
    bool optional;                              /* the server may not have it */
} owner_kinds[] = {
    {"HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers", NULL, NULL, false},
    {"ScaledObject", "keda.sh/v1alpha1", "scaledobjects", "apps/v1", "Deployment", true},
};

static const struct pause_key {
    const char *key;
    bool up, down;
} pause_keys[] = {
    {SCALE_PAUSED, true, true},
    {SCALE_PAUSED_UP, true, false},
    {SCALE_PAUSED_DOWN, false, true},
    {"autoscaling.keda.sh/paused", true, true},
    {"autoscaling.keda.sh/paused-replicas", true, true},
    {"autoscaling.keda.sh/paused-scale-out", true, false},
    {"autoscaling.keda.sh/paused-scale-in", false, true},
};
/* Those before are brim's, in the order of SCALE_PAUSE_ALL and its like. */
enum { OWN_PAUSE_KEYS = 3 };

struct scaler {
    struct client *client;
    char *api_version, *kind, *ns, *name;
    char *plural; /* NULL: not known yet */
    const struct target_kind *is;
    struct mono absent_until[COUNT_OF(owner_kinds)]; /* till then there are none of that kind */
    struct scale_op *ops;
};

enum op_kind { OP_GET, OP_PATCH, OP_TEMPLATE, OP_PAUSE, OP_OWNER };

struct scale_op {
    struct scaler *scaler;
    struct scale_op *next, **link;
    enum op_kind kind;
    scale_fn *fn;
    void *self;
    struct client_call *call;
    const char *content_type; /* OP_PATCH, OP_PAUSE */
    struct strbuf body;
    struct strbuf token; /* OP_OWNER: continue */
    size_t looks_for;    /* OP_OWNER: one of owner_kinds */
};

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
    struct scale_result r = {0};
    struct strbuf selector;
    struct err err = {0};

    strbuf_init(&selector, MAX_SELECTOR);
    if (target_kind_read(op->scaler->is, root, &selector, &r.scale, &err))
        finish(op, &r);
    else
        fail(op, err.kind, err.text);
    strbuf_done(&selector);
}

static bool is_set(const cJSON *annotations, const char *key)
{
    return tree_get(annotations, key) != NULL && !sv_eq(tree_text(annotations, key), SV("false"));
}

static struct scale_pause pause_of(const cJSON *metadata)
{
    const cJSON *annotations = tree_get(metadata, "annotations");
    struct scale_pause pause = {0};

    for (size_t i = 0; i < COUNT_OF(pause_keys); i++) {
        const struct pause_key *k = &pause_keys[i];

        if (!is_set(annotations, k->key))
            continue;
        if (k->up && !pause.up)
            pause.up_by = k->key;
        if (k->down && !pause.down)
            pause.down_by = k->key;
        pause.up |= k->up;
        pause.down |= k->down;
    }
    return pause;
}

static void take_template(struct scale_op *op, cJSON *root)
{
    const cJSON *metadata = tree_get(root, "metadata");
    struct client_problem p = {.retry_after_s = -1};
    struct scale_result r = {.read = true,
                             .uid = tree_text(metadata, "uid"),
                             .resource_version = tree_text(metadata, "resourceVersion"),
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

static struct sv text_or(const cJSON *object, const char *key, const char *absent)
{
    struct sv text = tree_text(object, key);

    return text.len != 0 ? text : sv_from(absent);
}

static bool refers_to(const cJSON *ref, const struct owner_kind *by, const struct scaler *s)
{
    return sv_eq(text_or(ref, "kind", by->default_kind), sv_from(s->kind)) &&
           sv_eq(tree_text(ref, "name"), sv_from(s->name)) &&
           sv_eq(group_of(text_or(ref, "apiVersion", by->default_version)),
                 group_of(sv_from(s->api_version)));
}

static void request(struct scale_op *op);

static struct mono now_of(const struct scaler *s)
{
    const struct timers *timers = client_timers(s->client);

    return timers->now(timers->self);
}

/* Asks for the next kind of owner that the server may have; false: there is none. */
static bool look_further(struct scale_op *op)
{
    struct mono now = now_of(op->scaler);

    strbuf_clear(&op->token);
    while (++op->looks_for < COUNT_OF(owner_kinds)) {
        if (now.us >= op->scaler->absent_until[op->looks_for].us) {
            request(op);
            return true;
        }
    }
    return false;
}

static void look_further_or_finish(struct scale_op *op)
{
    if (!look_further(op))
        finish(op, &(struct scale_result){0});
}

static void take_owners(struct scale_op *op, const cJSON *root)
{
    const struct owner_kind *kind = &owner_kinds[op->looks_for];
    struct sv token = tree_text(tree_get(root, "metadata"), "continue");
    const cJSON *items = tree_get(root, "items");
    const cJSON *owner;

    if (!cJSON_IsArray(items)) {
        fail(op, ERR_PROTOCOL, "the answer to what else scales it is no list");
        return;
    }
    cJSON_ArrayForEach(owner, items)
    {
        if (refers_to(tree_get(tree_get(owner, "spec"), "scaleTargetRef"), kind, op->scaler)) {
            finish(op,
                   &(struct scale_result){.owner_kind = kind->kind,
                                          .owner = tree_text(tree_get(owner, "metadata"), "name")});
            return;
        }
    }
    if (token.len == 0) {
        look_further_or_finish(op);
        return;
    }
    strbuf_clear(&op->token);
    if (strbuf_add(&op->token, token))
        request(op);
    else
        fail(op, ERR_LIMIT, "the list's continue token is too long");
}

/* The server has no such kind, or does not let us see: true if that means that there are none. */
static bool is_absent(struct scale_op *op, const struct client_problem *p)
{
    if (op->kind != OP_OWNER || !owner_kinds[op->looks_for].optional ||
        (p->err.kind != ERR_NOT_FOUND && p->err.kind != ERR_FORBIDDEN))
        return false;
    op->scaler->absent_until[op->looks_for] = mono_plus_us(now_of(op->scaler), SCALE_ABSENT_US);
    return true;
}

/* The resource of our kind that has a "/scale". Names are held against each other: not where there are too many. */
static const char *find_plural(const cJSON *root, const char *kind)
{
    const cJSON *resources = tree_get(root, "resources"), *item, *other;

    if (cJSON_GetArraySize(resources) > MAX_RESOURCES)
        return NULL;
    cJSON_ArrayForEach(item, resources)
    {
        struct sv name = tree_text(item, "name");

        if (!sv_eq(tree_text(item, "kind"), sv_from(kind)) || name.len == 0 ||
            memchr(name.at, '/', name.len) != NULL)
            continue;
        cJSON_ArrayForEach(other, resources)
        {
            struct sv full = tree_text(other, "name");

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
    bool discovering = op->scaler->plural == NULL && op->kind != OP_OWNER;
    cJSON *root;

    op->call = NULL;
    if (answer->problem != NULL) {
        if (is_absent(op, answer->problem))
            look_further_or_finish(op);
        else
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
    else if (op->kind == OP_OWNER)
        take_owners(op, root);
    else if (op->kind == OP_PAUSE)
        finish(op,
               &(struct scale_result){.read = true, .pause = pause_of(tree_get(root, "metadata"))});
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

    if (op->kind == OP_OWNER) {
        add_version(path, owner_kinds[op->looks_for].group_version);
        add_segment(path, "namespaces");
        add_segment(path, s->ns);
        (void)strbuf_addf(path, "/%s?limit=%d", owner_kinds[op->looks_for].plural, OWNER_PAGE);
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
    if (!s->is->own && (op->kind == OP_GET || op->kind == OP_PATCH))
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
    s->is = target_kind_find(target->api_version, target->kind);
    if (s->is->plural != NULL)
        s->plural = xstrdup(s->is->plural);
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

bool scaler_has_subresource(const struct scaler *s)
{
    return !s->is->own;
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
    jsonw_i64(&w, s->is->count, n);
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

/* A JSON pointer: names of the table have nothing to escape. */
static void patch_count(struct jsonw *w, const char *what, const struct scaler *s)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/spec/%s", s->is->count);
    patch_step(w, what, path);
}

struct scale_op *scale_patch_grow(struct scaler *s, struct sv uid, int64_t from, int64_t to,
                                  scale_fn *fn, void *self)
{
    struct scale_op *op = op_new(s, OP_PATCH, fn, self);
    bool left_out = from == 0 && !s->is->own;
    struct jsonw w;

    op->content_type = CLIENT_JSON_PATCH;
    jsonw_init(&w, &op->body);
    jsonw_array(&w, NULL);
    patch_step(&w, "test", "/metadata/uid");
    jsonw_str(&w, "value", uid);
    jsonw_end(&w);
    patch_count(&w, "test", s);
    if (left_out)
        jsonw_null(&w, "value");
    else
        jsonw_i64(&w, "value", from);
    jsonw_end(&w);
    patch_count(&w, left_out ? "add" : "replace", s);
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
    struct scale_op *op = op_new(s, OP_PAUSE, fn, self);
    struct jsonw w;

    op->content_type = CLIENT_MERGE_PATCH;
    jsonw_init(&w, &op->body);
    jsonw_object(&w, NULL);
    jsonw_object(&w, "metadata");
    jsonw_object(&w, "annotations");
    for (size_t i = 0; i < OWN_PAUSE_KEYS; i++) {
        if ((annotations & 1 << i) != 0)
            jsonw_cstr(&w, pause_keys[i].key, set ? "true" : NULL);
    }
    jsonw_end(&w);
    jsonw_end(&w);
    jsonw_end(&w);
    request(op);
    return op;
}

struct scale_op *scale_find_owner(struct scaler *s, scale_fn *fn, void *self)
{
    return simple(s, OP_OWNER, fn, self);
}

void scale_cancel(struct scale_op *op)
{
    if (op == NULL)
        return;
    client_cancel(op->call);
    op_free(op);
}
