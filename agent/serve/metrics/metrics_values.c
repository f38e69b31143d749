#include "agent/serve/metrics/metrics_values.h"

#include <stdio.h>

#include "agent/serve/exposition.h"
#include "agent/serve/metrics/metrics_discovery.h"
#include "agent/serve/metrics/metrics_fail.h"
#include "base/jsonw.h"
#include "capacity/quantity.h"
#include "capacity/selector.h"

#define LABEL_SELECTOR        "labelSelector"
#define METRIC_LABEL_SELECTOR "metricLabelSelector"
#define NANO_PER_MILLI        1000000

/* A request that is being answered. */
struct answering {
    const struct routes_request *rq;
    const struct metrics_ask *ask;
    const struct snapshot *s;
    struct routes_answer *a;
    struct arena arena;
    struct selector picks; /* of series */
    struct jsonw w;
    char at[WALL_TEXT_SIZE];
    const struct snapshot_filler *stale; /* one of whose series would have been told of */
};

static void answering_done(struct answering *g)
{
    arena_done(&g->arena);
}

/* What both kinds of a request need before anything can be said; else the answer is an error. */
static bool begin(struct answering *g)
{
    if (!exposition_samples(g->ask->metric, NULL, NULL, NULL)) {
        metrics_fail(g->a, METRICS_NOT_FOUND, g->ask, "there is no metric %.*s",
                     SV_ARG(g->ask->metric));
        return false;
    }
    if (g->s == NULL || !g->s->ready) {
        metrics_fail(g->a, METRICS_UNAVAILABLE, g->ask, "pods and nodes were not listed yet");
        return false;
    }
    wall_format(g->s->at, 0, g->at);
    return true;
}

static bool read_selector(struct answering *g, const char *param)
{
    struct sv text = metrics_ask_param(g->rq, sv_from(param));
    struct err err = {0};

    if (text.len == 0 || selector_parse(&g->arena, text, &g->picks, &err))
        return true;
    metrics_fail(g->a, METRICS_BAD_REQUEST, g->ask, "%s: %s", param, err.text);
    return false;
}

static const struct snapshot_filler *filler_of(const struct snapshot *s, const char *policy)
{
    for (size_t i = 0; i < s->n_fillers; i++) {
        if (s->fillers[i].policy == policy)
            return &s->fillers[i];
    }
    return NULL;
}

static bool is_stale(const struct answering *g, const struct snapshot_filler *f)
{
    return f->reason == REASON_STALE || snapshot_silence_us(g->s, g->rq->now) > f->stale_after_us;
}

static bool is_picked(const struct answering *g, const struct exposition_sample *sample)
{
    const struct label labels[] = {
        {SV("policy"), sv_from(sample->policy)},
        {sv_from(sample->label), sv_from(sample->label_text)},
    };

    return selector_matches(&g->picks, labels, sample->label != NULL ? 2 : 1);
}

static void fail_stale(const struct answering *g)
{
    metrics_fail(g->a, METRICS_UNAVAILABLE, g->ask,
                 "what is known is stale: nothing was heard from the API server for %lld s",
                 (long long)(snapshot_silence_us(g->s, g->rq->now) / US_PER_S));
}

static void add_value(struct jsonw *w, int64_t milli)
{
    struct quantity q = {.nano = (__int128)milli * NANO_PER_MILLI, .format = QUANTITY_DECIMAL_SI};
    char text[QUANTITY_TEXT_SIZE];

    quantity_text(&q, text);
    jsonw_cstr(w, "value", text);
}

static void begin_list(struct answering *g, const char *kind)
{
    char version[64];

    (void)snprintf(version, sizeof version, "%s/%s", metrics_group_name(g->ask->group),
                   g->ask->version);
    jsonw_init(&g->w, &g->a->body);
    jsonw_object(&g->w, NULL);
    jsonw_cstr(&g->w, "kind", kind);
    jsonw_cstr(&g->w, "apiVersion", version);
    jsonw_object(&g->w, "metadata");
    jsonw_end(&g->w);
    jsonw_array(&g->w, "items");
}

static void end_list(struct answering *g)
{
    jsonw_end(&g->w);
    jsonw_end(&g->w);
    (void)strbuf_add_char(&g->a->body, '\n');
}

/* ---- external ---- */

static void add_series(void *self, const struct exposition_sample *sample)
{
    struct answering *g = self;
    const struct snapshot_filler *f = filler_of(g->s, sample->policy);

    if (!is_picked(g, sample))
        return;
    if (is_stale(g, f))
        g->stale = f;
    jsonw_object(&g->w, NULL);
    jsonw_str(&g->w, "metricName", g->ask->metric);
    jsonw_object(&g->w, "metricLabels");
    jsonw_cstr(&g->w, "policy", sample->policy);
    if (sample->label != NULL)
        jsonw_cstr(&g->w, sample->label, sample->label_text);
    jsonw_end(&g->w);
    jsonw_cstr(&g->w, "timestamp", g->at);
    add_value(&g->w, sample->milli);
    jsonw_end(&g->w);
}

void metrics_values_series(const struct routes_request *rq, const struct metrics_ask *ask,
                           const struct snapshot *s, struct routes_answer *a)
{
    CLEANUP(answering_done) struct answering g = {.rq = rq, .ask = ask, .s = s, .a = a};

    arena_init(&g.arena, METRICS_MAX_SELECTOR);
    if (!begin(&g) || !read_selector(&g, LABEL_SELECTOR))
        return;
    begin_list(&g, "ExternalMetricValueList");
    (void)exposition_samples(ask->metric, s, add_series, &g);
    end_list(&g);
    if (g.stale != NULL)
        fail_stale(&g);
}

/* ---- custom ---- */

enum object_kind {
    OBJECT_NAMESPACE,
    OBJECT_TARGET,
    OBJECT_SERVICE,
    OBJECT_POD, /* many of a filler: answer_pods() */
    OBJECT_KIND_COUNT_
};

/* Whom the objects of a kind are called by, in this namespace; NULL: the filler has none. */
static const char *object_name(const struct answering *g, const struct snapshot_filler *f,
                               enum object_kind kind)
{
    bool here = sv_eq(g->ask->ns, sv_from(f->target_ns));

    switch (kind) {
    case OBJECT_NAMESPACE:
        return f->target_ns;
    case OBJECT_TARGET:
        return here && metrics_is_target_resource(f, g->ask->resource) ? f->target_name : NULL;
    case OBJECT_SERVICE:
        return here && f->service[0] != '\0' ? f->service : NULL;
    case OBJECT_POD:
    case OBJECT_KIND_COUNT_:
        break;
    }
    return NULL;
}

static bool has_object(const struct answering *g, const struct snapshot_filler *f,
                       enum object_kind kind, struct sv name)
{
    const char *own = object_name(g, f, kind);

    return own != NULL && sv_eq(name, sv_from(own));
}

/* The series of one object, as they are told. */
struct pick {
    const struct answering *g;
    enum object_kind kind;
    struct sv name;
    size_t n;
    struct exposition_sample last;
};

static void pick(void *self, const struct exposition_sample *sample)
{
    struct pick *p = self;

    if (!has_object(p->g, filler_of(p->g->s, sample->policy), p->kind, p->name) ||
        !is_picked(p->g, sample))
        return;
    p->last = *sample;
    p->n++;
}

static const char *op_name(enum requirement_op op)
{
    switch (op) {
    case OP_IN:
        return "In";
    case OP_NOT_IN:
        return "NotIn";
    case OP_EXISTS:
        return "Exists";
    case OP_DOES_NOT_EXIST:
        return "DoesNotExist";
    case OP_GT:
    case OP_LT:
    case OP_INVALID:
    case OP_COUNT_:
        break;
    }
    return NULL; /* a LabelSelector cannot say it */
}

/* As a metav1.LabelSelector; null: everything is picked. */
static void add_selector(const struct selector *s, struct jsonw *w)
{
    if (s->n == 0) {
        jsonw_null(w, "selector");
        return;
    }
    jsonw_object(w, "selector");
    jsonw_array(w, "matchExpressions");
    for (size_t i = 0; i < s->n; i++) {
        jsonw_object(w, NULL);
        jsonw_str(w, "key", s->reqs[i].key);
        jsonw_cstr(w, "operator", op_name(s->reqs[i].op));
        if (s->reqs[i].n_values != 0)
            jsonw_array(w, "values");
        for (size_t k = 0; k < s->reqs[i].n_values; k++)
            jsonw_str(w, NULL, s->reqs[i].values[k]);
        if (s->reqs[i].n_values != 0)
            jsonw_end(w);
        jsonw_end(w);
    }
    jsonw_end(w);
    jsonw_end(w);
}

static void add_described(struct answering *g, const struct pick *p)
{
    const struct snapshot_filler *f = filler_of(g->s, p->last.policy);
    bool target = p->kind == OBJECT_TARGET;

    jsonw_object(&g->w, "describedObject");
    jsonw_cstr(&g->w, "kind",
               target                        ? f->target_kind
               : p->kind == OBJECT_NAMESPACE ? "Namespace"
               : p->kind == OBJECT_POD       ? "Pod"
                                             : "Service");
    if (p->kind != OBJECT_NAMESPACE)
        jsonw_str(&g->w, "namespace", g->ask->ns);
    jsonw_str(&g->w, "name", p->name);
    jsonw_cstr(&g->w, "apiVersion", target ? f->target_api_version : "v1");
    jsonw_end(&g->w);
}

static void add_object(struct answering *g, const struct pick *p)
{
    bool beta1 = sv_eq(sv_from(g->ask->version), SV("v1beta1"));

    jsonw_object(&g->w, NULL);
    add_described(g, p);
    if (beta1) {
        jsonw_str(&g->w, "metricName", g->ask->metric);
    } else {
        jsonw_object(&g->w, "metric");
        jsonw_str(&g->w, "name", g->ask->metric);
        add_selector(&g->picks, &g->w);
        jsonw_end(&g->w);
    }
    jsonw_cstr(&g->w, "timestamp", g->at);
    add_value(&g->w, p->last.milli);
    if (beta1)
        add_selector(&g->picks, &g->w);
    jsonw_end(&g->w);
}

/* Is there one figure to tell of? False: there is none, or (an error is answered, *ret_failed) too many. */
static bool has_one(struct answering *g, const struct pick *p, bool *ret_failed)
{
    *ret_failed = p->n > 1;
    if (p->n == 0)
        return false;
    if (p->n > 1) {
        metrics_fail(g->a, METRICS_BAD_REQUEST, g->ask,
                     "%zu series of %.*s belong to %.*s: choose one with " METRIC_LABEL_SELECTOR
                     ", such as policy=%s%s%s%s%s",
                     p->n, SV_ARG(g->ask->metric), SV_ARG(p->name), p->last.policy,
                     p->last.label != NULL ? "," : "", p->last.label != NULL ? p->last.label : "",
                     p->last.label != NULL ? "=" : "",
                     p->last.label != NULL ? p->last.label_text : "");
        return false;
    }
    if (is_stale(g, filler_of(g->s, p->last.policy))) {
        fail_stale(g);
        *ret_failed = true;
    }
    return !*ret_failed;
}

/* Adds the object's item, if its figure is known. False: the answer is an error. */
static bool answer_object(struct answering *g, enum object_kind kind, struct sv name, size_t *n)
{
    struct pick p = {.g = g, .kind = kind, .name = name};
    bool failed;

    (void)exposition_samples(g->ask->metric, g->s, pick, &p);
    if (has_one(g, &p, &failed)) {
        add_object(g, &p);
        (*n)++;
    }
    return !failed;
}

static bool told_before(const struct answering *g, size_t i, enum object_kind kind, struct sv name)
{
    for (size_t k = 0; k < i; k++) {
        if (has_object(g, &g->s->fillers[k], kind, name))
            return true;
    }
    return false;
}

static bool answer_all(struct answering *g, enum object_kind kind)
{
    size_t n = 0;

    for (size_t i = 0; i < g->s->n_fillers; i++) {
        const char *name = object_name(g, &g->s->fillers[i], kind);

        if (name != NULL && name[0] != '\0' && !told_before(g, i, kind, sv_from(name)) &&
            !answer_object(g, kind, sv_from(name), &n))
            return false;
    }
    return true;
}

/* ---- pods ---- */

static bool is_within(const struct requirement *a, const struct requirement *b)
{
    for (size_t i = 0; i < a->n_values; i++) {
        size_t k = 0;

        while (k < b->n_values && !sv_eq(a->values[i], b->values[k]))
            k++;
        if (k == b->n_values)
            return false;
    }
    return true;
}

static bool has_requirement(const struct selector *s, const struct requirement *wanted)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct requirement *own = &s->reqs[i];

        if (own->op == wanted->op && sv_eq(own->key, wanted->key) && is_within(own, wanted) &&
            is_within(wanted, own))
            return true;
    }
    return false;
}

/* The same requirements, in whatever order and spelling: an HPA sorts them. */
static bool is_same_selector(const struct selector *a, const struct selector *b)
{
    for (size_t i = 0; i < a->n; i++) {
        if (!has_requirement(b, &a->reqs[i]))
            return false;
    }
    for (size_t i = 0; i < b->n; i++) {
        if (!has_requirement(a, &b->reqs[i]))
            return false;
    }
    return true;
}

static void pick_policy(void *self, const struct exposition_sample *sample)
{
    struct pick *p = self;

    if (!sv_eq(p->name, sv_from(sample->policy)) || !is_picked(p->g, sample))
        return;
    p->last = *sample;
    p->n++;
}

/* Adds an item for each pod of a policy, or for the one of this name. False: the answer is an error. */
static bool answer_part(struct answering *g, const struct pods_view *v,
                        const struct pods_part *part, struct sv name, size_t *n)
{
    struct pick p = {.g = g, .kind = OBJECT_POD, .name = sv_from(part->policy)};
    bool all = sv_eq(name, SV("*")), failed = false, has = false;

    for (size_t i = part->first; i < part->first + part->n; i++) {
        if (!all && !sv_eq(name, pods_view_name(v, i)))
            continue;
        if (!has) {
            (void)exposition_samples(g->ask->metric, g->s, pick_policy, &p);
            has = has_one(g, &p, &failed);
        }
        if (!has)
            break;
        p.name = pods_view_name(v, i);
        add_object(g, &p);
        (*n)++;
    }
    return !failed;
}

/* Of `*` and one part of the namespace: does the labelSelector ask for its pods? */
static bool asks_for(struct answering *g, const struct selector *asked,
                     const struct pods_part *part)
{
    struct selector own = {0};

    return asked->n == 0 || (selector_parse(&g->arena, sv_from(part->selector), &own, NULL) &&
                             is_same_selector(asked, &own));
}

/* The selector that one of the namespace's parts has, for people; NULL: there is none there. */
static const char *some_selector(const struct answering *g, const struct pods_view *v)
{
    for (size_t i = 0; i < v->n_parts; i++) {
        if (sv_eq(g->ask->ns, sv_from(v->parts[i].ns)))
            return v->parts[i].selector;
    }
    return NULL;
}

static void answer_parts(struct answering *g, const struct pods_view *v, size_t *ret_n)
{
    struct selector asked = {0};
    struct sv text = metrics_ask_param(g->rq, SV(LABEL_SELECTOR)), name = g->ask->name;
    bool all = sv_eq(name, SV("*")), found = false;
    struct err err = {0};

    if (all && text.len != 0 && !selector_parse(&g->arena, text, &asked, &err)) {
        metrics_fail(g->a, METRICS_BAD_REQUEST, g->ask, LABEL_SELECTOR ": %s", err.text);
        return;
    }
    begin_list(g, "MetricValueList");
    for (size_t i = 0; i < v->n_parts; i++) {
        const struct pods_part *part = &v->parts[i];

        if (!sv_eq(g->ask->ns, sv_from(part->ns)) || (all && !asks_for(g, &asked, part)))
            continue;
        found = true;
        if (!answer_part(g, v, part, name, ret_n))
            return;
    }
    end_list(g);
    if (all && !found && asked.n != 0 && some_selector(g, v) != NULL)
        metrics_fail(g->a, METRICS_BAD_REQUEST, g->ask,
                     LABEL_SELECTOR
                     ": the labels of pods are not known here, but those that a target "
                     "selects: expected '%s'",
                     some_selector(g, v));
    else if (!all && *ret_n == 0)
        metrics_fail(g->a, METRICS_NOT_FOUND, g->ask,
                     "the metric %.*s of the pod %.*s is not known", SV_ARG(g->ask->metric),
                     SV_ARG(name));
}

static void answer_pods(struct answering *g)
{
    struct board *board = g->rq->boards != NULL ? g->rq->boards->pods : NULL;
    struct pods_view *v = board != NULL ? (struct pods_view *)board_ask(board, g->rq->now) : NULL;
    size_t n = 0;

    if (v != NULL) {
        answer_parts(g, v, &n);
    } else {
        metrics_fail(g->a, METRICS_UNAVAILABLE, g->ask,
                     "the names of pods are being gathered: ask again within seconds");
        g->a->awaits = board;
    }
    pods_view_unref(v);
}

/* False: no such resource. */
static bool find_kind(const struct answering *g, enum object_kind *ret_kind)
{
    struct sv resource = g->ask->resource;

    for (size_t i = 0; i < g->s->n_fillers; i++) {
        if (g->ask->subresource.len == 0 ||
            !metrics_is_target_resource(&g->s->fillers[i], resource))
            continue;
        *ret_kind = OBJECT_TARGET;
        return true;
    }
    if (g->ask->subresource.len == 0 || (g->ask->ns.len == 0 && sv_eq(resource, SV("namespaces"))))
        *ret_kind = OBJECT_NAMESPACE;
    else if (sv_eq(resource, SV("services")))
        *ret_kind = OBJECT_SERVICE;
    else if (g->ask->ns.len != 0 && sv_eq(resource, SV("pods")))
        *ret_kind = OBJECT_POD;
    else
        return false;
    return true;
}

static void answer_objects(struct answering *g)
{
    struct sv name = g->ask->subresource.len == 0 ? g->ask->ns : g->ask->name;
    bool all = sv_eq(name, SV("*")), done;
    enum object_kind kind;
    size_t n = 0;

    if (!find_kind(g, &kind)) {
        metrics_fail(g->a, METRICS_NOT_FOUND, g->ask, "there are no metrics of %.*s",
                     SV_ARG(g->ask->resource));
        return;
    }
    if (kind == OBJECT_POD) {
        answer_pods(g);
        return;
    }
    if (all && metrics_ask_param(g->rq, SV(LABEL_SELECTOR)).len != 0) {
        metrics_fail(g->a, METRICS_BAD_REQUEST, g->ask,
                     LABEL_SELECTOR ": the labels of %.*s are not known here",
                     SV_ARG(g->ask->resource));
        return;
    }
    begin_list(g, "MetricValueList");
    done = all ? answer_all(g, kind) : answer_object(g, kind, name, &n);
    if (!done)
        return;
    end_list(g);
    if (!all && n == 0)
        metrics_fail(g->a, METRICS_NOT_FOUND, g->ask, "the metric %.*s of %.*s %.*s is not known",
                     SV_ARG(g->ask->metric), SV_ARG(g->ask->resource), SV_ARG(name));
}

void metrics_values_objects(const struct routes_request *rq, const struct metrics_ask *ask,
                            const struct snapshot *s, struct routes_answer *a)
{
    CLEANUP(answering_done) struct answering g = {.rq = rq, .ask = ask, .s = s, .a = a};

    arena_init(&g.arena, METRICS_MAX_SELECTOR);
    if (!begin(&g) || !read_selector(&g, METRIC_LABEL_SELECTOR))
        return;
    for (size_t i = 0; i < g.picks.n; i++) {
        if (op_name(g.picks.reqs[i].op) == NULL) {
            metrics_fail(a, METRICS_BAD_REQUEST, ask,
                         METRIC_LABEL_SELECTOR ": found > or <, expected =, !=, in or notin");
            return;
        }
    }
    answer_objects(&g);
}
