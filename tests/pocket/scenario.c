#include "tests/pocket/scenario.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/yaml.h"
#include "capacity/quantity.h"
#include "policy/field.h"
#include "tests/pocket/fat.h"
#include "tests/pocket/podtext.h"

enum { MAX_LOADS = 16, MAX_HPAS = 64, MAX_PARSED = 16 << 20 };

/* An HPA of the scenario: its workload's pods share a load evenly. */
struct source {
    const struct sim_workload *workload;
    const struct load *load;
    struct hpa_pod *pods;
    size_t cap;
};

struct scenario {
    struct world *world;
    const char *path;
    struct arena arena; /* of the file */
    struct {
        struct sv name;
        struct load load;
    } loads[MAX_LOADS];
    size_t n_loads;
    struct source hpas[MAX_HPAS];
    size_t n_hpas;
};

int64_t load_at(const struct load *l, struct mono t)
{
    int64_t whole = 0, at;

    for (size_t i = 0; i < l->n; i++)
        whole += l->steps[i].for_us;
    at = whole != 0 ? t.us % whole : 0;
    for (size_t i = 0; i < l->n; i++) {
        if (at < l->steps[i].for_us)
            return l->steps[i].rate_milli;
        at -= l->steps[i].for_us;
    }
    return 0;
}

/* ---- reading ---- */

static bool bad(const struct scenario *s, const struct yaml_node *at, struct err *err,
                const char *expected)
{
    char shown[YAML_SHOW_SIZE];

    return err_set(
        err, ERR_INPUT, 0, "%s:%d:%d: found %s, expected %s", s->path, at->line, at->column,
        at->kind == YAML_SCALAR ? yaml_show(at->text, shown) : yaml_kind_name(at->kind), expected);
}

/* Every key of a mapping must be one of `keys`, a list with blanks between. */
static bool check_keys(const struct scenario *s, const struct yaml_node *node, const char *keys,
                       struct err *err)
{
    if (node->kind != YAML_MAPPING)
        return bad(s, node, err, "a mapping");
    for (const struct yaml_node *n = node->first; n != NULL; n = n->next) {
        struct sv rest = sv_from(keys), key;
        bool known = false;

        while (sv_next(&rest, ' ', &key))
            known = known || sv_eq(key, n->key);
        if (!known)
            return err_set(err, ERR_INPUT, 0, "%s:%d:%d: found key '%.*s', expected one of: %s",
                           s->path, n->key_line, n->key_column, SV_ARG(n->key), keys);
    }
    return true;
}

static bool read_text(const struct scenario *s, const struct yaml_node *node, const char *key,
                      struct sv *ret_text, struct err *err)
{
    const struct yaml_node *n = yaml_get(node, key);

    if (n == NULL)
        return true;
    if (n->kind != YAML_SCALAR || n->text.len == 0)
        return bad(s, n, err, "text");
    *ret_text = n->text;
    return true;
}

static bool read_name(const struct scenario *s, const struct yaml_node *node, struct sv *ret_name,
                      struct err *err)
{
    if (yaml_get(node, "name") == NULL)
        return bad(s, node, err, "a name");
    return read_text(s, node, "name", ret_name, err);
}

static bool read_count(const struct scenario *s, const struct yaml_node *node, const char *key,
                       int64_t min, int64_t max, int64_t *ret_count, struct err *err)
{
    const struct yaml_node *n = yaml_get(node, key);
    int64_t value;
    char expected[80];

    if (n == NULL)
        return true;
    if (n->kind != YAML_SCALAR || !sv_to_i64(n->text, &value) || value < min || value > max) {
        (void)snprintf(expected, sizeof expected, "a number from %lld to %lld", (long long)min,
                       (long long)max);
        return bad(s, n, err, expected);
    }
    *ret_count = value;
    return true;
}

static bool read_span(const struct scenario *s, const struct yaml_node *node, const char *key,
                      int64_t *ret_us, struct err *err)
{
    const struct yaml_node *n = yaml_get(node, key);

    if (n == NULL || (n->kind == YAML_SCALAR && field_parse_span(n->text, ret_us)))
        return true;
    return bad(s, n, err, "a span such as 90s");
}

static bool read_milli(const struct scenario *s, const struct yaml_node *node, const char *key,
                       int64_t *ret_milli, struct err *err)
{
    const struct yaml_node *n = yaml_get(node, key);
    struct quantity q;

    if (n == NULL || (n->kind == YAML_SCALAR && quantity_parse(n->text, &q, NULL) &&
                      quantity_milli(&q, ret_milli)))
        return true;
    return bad(s, n, err, "a quantity such as 500m");
}

static void add_text(cJSON *object, const char *key, struct sv text)
{
    CLEANUP(free_ptr) char *copy = sv_dup(text);

    (void)cJSON_AddStringToObject(object, key, copy);
}

/* A mapping of text to text, as it stands. */
static bool add_map(const struct scenario *s, const struct yaml_node *node, const char *key,
                    cJSON *to, struct err *err)
{
    const struct yaml_node *map = yaml_get(node, key);

    for (const struct yaml_node *n = map != NULL ? map->first : NULL; n != NULL; n = n->next) {
        CLEANUP(free_ptr) char *name = sv_dup(n->key);

        if (n->kind != YAML_SCALAR)
            return bad(s, n, err, "text");
        add_text(to, name, n->text);
    }
    return true;
}

/* ---- making ---- */

static bool make(struct world *w, enum kind kind, struct sv ns, cJSON *json,
                 const struct world_timing *timing, struct err *err)
{
    const struct object *o;
    bool ok = world_create(w, kind, ns, json, timing, &o, err);

    cJSON_Delete(json);
    return ok;
}

static cJSON *named(struct sv name)
{
    cJSON *json = cJSON_CreateObject();

    add_text(cJSON_AddObjectToObject(json, "metadata"), "name", name);
    return json;
}

static bool make_namespace(struct world *w, struct sv name, struct err *err)
{
    if (store_find(world_store(w), KIND_NAMESPACES, (struct sv){0}, name) != NULL)
        return true;
    return make(w, KIND_NAMESPACES, (struct sv){0}, named(name), &WORLD_NO_TIMING, err);
}

static bool add_class(struct scenario *s, const struct yaml_node *node, struct err *err)
{
    struct sv name = {0}, policy = SV("PreemptLowerPriority");
    int64_t value = 0;
    cJSON *json;

    if (!check_keys(s, node, "name value preemptionPolicy", err) ||
        !read_name(s, node, &name, err) ||
        !read_count(s, node, "value", INT32_MIN, 2000001000, &value, err) ||
        !read_text(s, node, "preemptionPolicy", &policy, err))
        return false;
    json = named(name);
    (void)cJSON_AddNumberToObject(json, "value", (double)value);
    add_text(json, "preemptionPolicy", policy);
    return make(s->world, KIND_PRIORITY_CLASSES, (struct sv){0}, json, &WORLD_NO_TIMING, err);
}

static cJSON *node_json(const char *name, struct sv cpu, struct sv memory, struct sv pods)
{
    cJSON *json = named(sv_from(name));
    cJSON *labels = cJSON_AddObjectToObject(cJSON_GetObjectItem(json, "metadata"), "labels");
    cJSON *room;

    (void)cJSON_AddStringToObject(labels, "kubernetes.io/hostname", name);
    (void)cJSON_AddStringToObject(labels, "kubernetes.io/os", "linux");
    room = cJSON_AddObjectToObject(cJSON_AddObjectToObject(json, "status"), "capacity");
    add_text(room, "cpu", cpu);
    add_text(room, "memory", memory);
    add_text(room, "pods", pods);
    (void)cJSON_AddStringToObject(room, "ephemeral-storage", "100Gi");
    return json;
}

/* NAME, or NAME-0, NAME-1 … where there are several. */
static void number(char *to, size_t size, struct sv name, int64_t i, int64_t count)
{
    if (count == 1)
        (void)snprintf(to, size, "%.*s", SV_ARG(name));
    else
        (void)snprintf(to, size, "%.*s-%lld", SV_ARG(name), (long long)i);
}

static bool add_node(struct scenario *s, const struct yaml_node *node, struct err *err)
{
    struct sv name = {0}, cpu = SV("32"), memory = SV("128Gi"), pods = SV("110");
    int64_t count = 1;
    char text[300];

    if (!check_keys(s, node, "name count cpu memory pods labels", err) ||
        !read_name(s, node, &name, err) ||
        !read_count(s, node, "count", 1, SCENARIO_MAX_COUNT, &count, err) ||
        !read_text(s, node, "cpu", &cpu, err) || !read_text(s, node, "memory", &memory, err) ||
        !read_text(s, node, "pods", &pods, err))
        return false;
    for (int64_t i = 0; i < count; i++) {
        cJSON *json;

        number(text, sizeof text, name, i, count);
        json = node_json(text, cpu, memory, pods);
        if (!add_map(s, node, "labels",
                     cJSON_GetObjectItem(cJSON_GetObjectItem(json, "metadata"), "labels"), err)) {
            cJSON_Delete(json);
            return false;
        }
        if (!make(s->world, KIND_NODES, (struct sv){0}, json, &WORLD_NO_TIMING, err))
            return err_wrap(err, "%s:%d:%d", s->path, node->line, node->column);
    }
    return true;
}

/* What a workload's template and a single pod have in common. */
struct shape {
    struct sv ns, name, cpu, memory, class, gate;
    bool packs;
    struct world_timing timing;
};

#define SHAPE_KEYS "namespace name cpu memory grace start exit priorityClass gate packs labels"

static bool read_shape(const struct scenario *s, const struct yaml_node *node,
                       struct shape *ret_shape, struct err *err)
{
    struct shape shape = {
        .ns = SV("default"), .cpu = SV("1"), .memory = SV("1Gi"), .timing = WORLD_NO_TIMING};
    struct sv packs = SV("false");

    if (!read_name(s, node, &shape.name, err) || !read_text(s, node, "namespace", &shape.ns, err) ||
        !read_text(s, node, "cpu", &shape.cpu, err) ||
        !read_text(s, node, "memory", &shape.memory, err) ||
        !read_text(s, node, "priorityClass", &shape.class, err) ||
        !read_text(s, node, "gate", &shape.gate, err) ||
        !read_text(s, node, "packs", &packs, err) ||
        !read_span(s, node, "grace", &shape.timing.grace_us, err) ||
        !read_span(s, node, "start", &shape.timing.start_us, err) ||
        !read_span(s, node, "exit", &shape.timing.exit_us, err))
        return false;
    shape.packs = sv_eq(packs, SV("true"));
    *ret_shape = shape;
    return make_namespace(s->world, shape.ns, err);
}

/* Room is kept in large pieces by putting such pods beside each other. */
static void add_packing(cJSON *spec, struct sv app)
{
    cJSON *pods = cJSON_AddObjectToObject(cJSON_AddObjectToObject(spec, "affinity"), "podAffinity");
    cJSON *list = cJSON_AddArrayToObject(pods, "preferredDuringSchedulingIgnoredDuringExecution");
    cJSON *item = cJSON_CreateObject();
    cJSON *term;

    (void)cJSON_AddNumberToObject(item, "weight", 100);
    term = cJSON_AddObjectToObject(item, "podAffinityTerm");
    (void)cJSON_AddStringToObject(term, "topologyKey", "kubernetes.io/hostname");
    add_text(cJSON_AddObjectToObject(cJSON_AddObjectToObject(term, "labelSelector"), "matchLabels"),
             "app", app);
    cJSON_AddItemToArray(list, item);
}

/* A template; with a name it is a pod. The label `app` is the name. */
static cJSON *template_json(const struct shape *shape)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *labels = cJSON_AddObjectToObject(cJSON_AddObjectToObject(json, "metadata"), "labels");
    cJSON *spec = cJSON_AddObjectToObject(json, "spec");
    cJSON *container = cJSON_CreateObject(), *requests;

    add_text(labels, "app", shape->name);
    add_text(container, "name", shape->name);
    (void)cJSON_AddStringToObject(container, "image", "registry.k8s.io/pause:3.10");
    requests = cJSON_AddObjectToObject(cJSON_AddObjectToObject(container, "resources"), "requests");
    add_text(requests, "cpu", shape->cpu);
    add_text(requests, "memory", shape->memory);
    cJSON_AddItemToArray(cJSON_AddArrayToObject(spec, "containers"), container);
    if (shape->class.len != 0)
        add_text(spec, "priorityClassName", shape->class);
    if (shape->packs)
        add_packing(spec, shape->name);
    if (shape->gate.len != 0) {
        cJSON *gate = cJSON_CreateObject();

        add_text(gate, "name", shape->gate);
        cJSON_AddItemToArray(cJSON_AddArrayToObject(spec, "schedulingGates"), gate);
    }
    return json;
}

static bool add_pod(struct scenario *s, const struct yaml_node *node, struct err *err)
{
    struct shape shape;
    int64_t count = 1;
    char text[300];

    if (!check_keys(s, node, SHAPE_KEYS " count", err) || !read_shape(s, node, &shape, err) ||
        !read_count(s, node, "count", 1, SCENARIO_MAX_COUNT, &count, err))
        return false;
    for (int64_t i = 0; i < count; i++) {
        cJSON *json = template_json(&shape);
        cJSON *meta = cJSON_GetObjectItem(json, "metadata");

        number(text, sizeof text, shape.name, i, count);
        (void)cJSON_AddStringToObject(meta, "name", text);
        if (!add_map(s, node, "labels", cJSON_GetObjectItem(meta, "labels"), err)) {
            cJSON_Delete(json);
            return false;
        }
        if (!make(s->world, KIND_PODS, shape.ns, json, &shape.timing, err))
            return err_wrap(err, "%s:%d:%d", s->path, node->line, node->column);
    }
    return true;
}

/* ---- autoscalers ---- */

static struct hpa_reading read_metric(void *self, size_t index, struct mono now)
{
    struct source *from = self;
    const struct sim_workload_status *live = &from->workload->live;
    size_t n = (size_t)live->replicas;
    int64_t rate = load_at(from->load, now);

    (void)index;
    if (n > from->cap) {
        from->pods = xrealloc(from->pods, n * sizeof *from->pods);
        from->cap = n;
    }
    for (size_t i = 0; i < n; i++) {
        bool ready = i < (size_t)live->ready;

        from->pods[i] = (struct hpa_pod){
            .pending = !ready, .sampled = ready, .milli = ready ? rate / live->ready : 0};
    }
    return (struct hpa_reading){.valid = n != 0, .pods = from->pods, .n_pods = n};
}

static const struct load *find_load(const struct scenario *s, struct sv name)
{
    for (size_t i = 0; i < s->n_loads; i++)
        if (sv_eq(s->loads[i].name, name))
            return &s->loads[i].load;
    return NULL;
}

/* The HPA as an API object. */
static bool make_hpa(struct scenario *s, const struct shape *shape, struct sv metric,
                     struct sv target, const struct hpa_spec *spec, struct err *err)
{
    cJSON *json = named(shape->name), *body = cJSON_AddObjectToObject(json, "spec"), *ref, *item,
          *pods;

    ref = cJSON_AddObjectToObject(body, "scaleTargetRef");
    (void)cJSON_AddStringToObject(ref, "apiVersion", "apps/v1");
    (void)cJSON_AddStringToObject(ref, "kind", "Deployment");
    add_text(ref, "name", shape->name);
    (void)cJSON_AddNumberToObject(body, "minReplicas", spec->min);
    (void)cJSON_AddNumberToObject(body, "maxReplicas", spec->max);
    item = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(item, "type", "Pods");
    pods = cJSON_AddObjectToObject(item, "pods");
    add_text(cJSON_AddObjectToObject(pods, "metric"), "name", metric);
    ref = cJSON_AddObjectToObject(pods, "target");
    (void)cJSON_AddStringToObject(ref, "type", "AverageValue");
    add_text(ref, "averageValue", target);
    cJSON_AddItemToArray(cJSON_AddArrayToObject(body, "metrics"), item);
    return make(s->world, KIND_HPAS, shape->ns, json, &WORLD_NO_TIMING, err);
}

static bool add_hpa(struct scenario *s, const struct yaml_node *node, const struct shape *shape,
                    const struct sim_workload *workload, struct err *err)
{
    struct hpa_spec spec = hpa_spec_default();
    struct sv metric = SV("http_requests"), target = SV("1"), load = {0};
    struct source *source = &s->hpas[s->n_hpas];
    int64_t min = 1, max = 10, target_milli = 1000, down_us = spec.down_window_s * US_PER_S;

    if (!check_keys(s, node, "metric target min max load downscaleStabilization", err) ||
        !read_text(s, node, "metric", &metric, err) ||
        !read_text(s, node, "target", &target, err) ||
        !read_milli(s, node, "target", &target_milli, err) ||
        !read_text(s, node, "load", &load, err) ||
        !read_count(s, node, "min", 1, SCENARIO_MAX_COUNT, &min, err) ||
        !read_count(s, node, "max", 1, SCENARIO_MAX_COUNT, &max, err) ||
        !read_span(s, node, "downscaleStabilization", &down_us, err))
        return false;
    if (s->n_hpas == MAX_HPAS)
        return bad(s, node, err, "at most 64 autoscalers");
    *source = (struct source){.workload = workload, .load = find_load(s, load)};
    if (source->load == NULL)
        return bad(s, node, err, "the name of a load");
    s->n_hpas++;
    spec.min = (int32_t)min;
    spec.max = (int32_t)max;
    spec.down_window_s = (int32_t)(down_us / US_PER_S);
    spec.metrics[0] = (struct hpa_metric){.target = HPA_PODS, .target_milli = target_milli};
    spec.n_metrics = 1;
    return sim_hpa_add(world_sim(s->world), workload, &spec,
                       &(struct sim_metrics){.read = read_metric, .self = source},
                       mono_plus_us(sim_now(world_sim(s->world)), HPA_SYNC_US), err) &&
           make_hpa(s, shape, metric, target, &spec, err);
}

static bool add_workload(struct scenario *s, const struct yaml_node *node, struct err *err)
{
    struct shape shape;
    int64_t replicas = 1;
    const struct yaml_node *hpa = yaml_get(node, "hpa");
    const struct sim_workload *workload;
    cJSON *json, *spec, *template;

    if (!check_keys(s, node, SHAPE_KEYS " replicas hpa", err) ||
        !read_shape(s, node, &shape, err) ||
        !read_count(s, node, "replicas", 0, SCENARIO_MAX_COUNT, &replicas, err))
        return false;
    json = named(shape.name);
    spec = cJSON_AddObjectToObject(json, "spec");
    (void)cJSON_AddNumberToObject(spec, "replicas", (double)replicas);
    add_text(cJSON_AddObjectToObject(cJSON_AddObjectToObject(spec, "selector"), "matchLabels"),
             "app", shape.name);
    template = template_json(&shape);
    cJSON_AddItemToObject(spec, "template", template);
    if (!add_map(s, node, "labels",
                 cJSON_GetObjectItem(cJSON_GetObjectItem(template, "metadata"), "labels"), err)) {
        cJSON_Delete(json);
        return false;
    }
    if (!make(s->world, KIND_DEPLOYMENTS, shape.ns, json, &shape.timing, err))
        return err_wrap(err, "%s:%d:%d", s->path, node->line, node->column);
    workload = sim_workload_find(world_sim(s->world), SV("Deployment"), shape.ns, shape.name);
    return hpa == NULL || add_hpa(s, hpa, &shape, workload, err);
}

static bool add_load(struct scenario *s, const struct yaml_node *node, struct err *err)
{
    const struct yaml_node *steps = yaml_get(node, "steps");
    struct load *load = &s->loads[s->n_loads].load;

    if (!check_keys(s, node, "name steps", err) ||
        !read_name(s, node, &s->loads[s->n_loads].name, err))
        return false;
    if (s->n_loads == MAX_LOADS || steps == NULL || steps->kind != YAML_SEQUENCE ||
        steps->count > SCENARIO_MAX_STEPS)
        return bad(s, node, err, "at most 16 loads, each with a list of at most 64 steps");
    for (const struct yaml_node *n = steps->first; n != NULL; n = n->next) {
        if (!check_keys(s, n, "for rate", err) ||
            !read_span(s, n, "for", &load->steps[load->n].for_us, err) ||
            !read_milli(s, n, "rate", &load->steps[load->n].rate_milli, err))
            return false;
        load->n++;
    }
    s->n_loads++;
    return true;
}

/* ---- the file ---- */

static bool add_all(struct scenario *s, const struct yaml_node *root, struct err *err)
{
    static const struct {
        const char *key;
        bool (*add)(struct scenario *s, const struct yaml_node *node, struct err *err);
    } sections[] = {
        {"priorityClasses", add_class}, {"loads", add_load}, {"nodes", add_node}, {"pods", add_pod},
        {"workloads", add_workload},
    };

    if (!check_keys(s, root, "priorityClasses loads nodes pods workloads", err))
        return false;
    for (size_t i = 0; i < COUNT_OF(sections); i++) {
        const struct yaml_node *list = yaml_get(root, sections[i].key);

        if (list == NULL)
            continue;
        if (list->kind != YAML_SEQUENCE)
            return bad(s, list, err, "a list");
        for (const struct yaml_node *n = list->first; n != NULL; n = n->next)
            if (!sections[i].add(s, n, err))
                return false;
    }
    return true;
}

static bool read_file(const char *path, struct strbuf *out, struct err *err)
{
    FILE *f = fopen(path, "re");
    size_t got = 1;

    if (f == NULL)
        return err_set(err, ERR_SYSTEM, 0, "%s: cannot be opened", path);
    while (got != 0) {
        char *room = strbuf_room(out, 4096);

        got = room != NULL ? fread(room, 1, 4096, f) : 0;
        if (got != 0)
            strbuf_wrote(out, got);
    }
    (void)fclose(f);
    return !out->full || err_set(err, ERR_LIMIT, 0, "%s: too large", path);
}

bool scenario_load(struct world *w, const char *path, struct scenario **ret_scenario,
                   struct err *err)
{
    struct scenario *s = xcalloc(1, sizeof *s);
    CLEANUP(strbuf_done) struct strbuf text;
    struct yaml_doc *docs = NULL;
    bool ok;

    *s = (struct scenario){.world = w, .path = path};
    arena_init(&s->arena, MAX_PARSED);
    strbuf_init(&text, YAML_MAX_BYTES);
    ok = read_file(path, &text, err);
    if (ok && !yaml_parse(&s->arena, strbuf_sv(&text), &docs, err))
        ok = err_wrap(err, "%s", path);
    ok = ok && make_namespace(w, SV("default"), err) && make_namespace(w, SV("kube-system"), err);
    ok = ok && (docs == NULL || docs->root == NULL || add_all(s, docs->root, err));
    s->path = NULL;
    if (!ok) {
        scenario_free(s);
        return false;
    }
    *ret_scenario = s;
    return true;
}

void scenario_free(struct scenario *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n_hpas; i++)
        free(s->hpas[i].pods);
    arena_done(&s->arena);
    free(s);
}

/* ---- large clusters ---- */

/* Paid pods, from small to large; the small ones are the most. `share`: of 20 parts. */
static const struct {
    const char *app, *cpu, *memory, *owner;
    int share;
    bool ended;
} sizes[] = {
    {"sidecar", "50m", "64Mi", "ReplicaSet", 3, false},
    {"api", "100m", "128Mi", "ReplicaSet", 3, false},
    {"web", "250m", "256Mi", "ReplicaSet", 3, false},
    {"worker", "500m", "512Mi", "ReplicaSet", 3, false},
    {"queue", "750m", "1Gi", "StatefulSet", 2, false},
    {"cache", "1", "2Gi", "StatefulSet", 2, false},
    {"batch", "500m", "1Gi", "Job", 3, false},
    {"done", "250m", "512Mi", "Job", 1, true},
};
enum { SHARES = 20 };

static bool fill_nodes(struct world *w, const struct scenario_fill *f, struct err *err)
{
    char name[40], cores[24];

    (void)snprintf(cores, sizeof cores, "%lld", (long long)f->cores);
    for (int64_t i = 0; i < f->nodes; i++) {
        cJSON *json;

        (void)snprintf(name, sizeof name, "n-%05lld", (long long)i);
        json = node_json(name, sv_from(cores), SV("128Gi"), SV("250"));
        if (world_fat(w))
            fat_node(json, name);
        if (!make(w, KIND_NODES, (struct sv){0}, json, &WORLD_NO_TIMING, err))
            return false;
    }
    return true;
}

static size_t size_by_share(uint64_t share)
{
    size_t size = 0;

    for (int64_t left = (int64_t)share - sizes[0].share; left >= 0; left -= sizes[size].share)
        size++;
    return size;
}

static bool fill_pods(struct world *w, struct pod_doc *const *docs, const struct scenario_fill *f,
                      struct err *err)
{
    uint64_t random = f->seed;
    char name[FAT_NAME_MAX + 1], node[40];

    for (int64_t i = 0; i < f->pods; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t size = size_by_share((random >> 40) % SHARES);

        if (world_fat(w))
            fat_name(name, sizes[size].app, i, (unsigned)(random >> 44));
        else
            (void)snprintf(name, sizeof name, "%s-%07lld-%05llx", sizes[size].app, (long long)i,
                           (unsigned long long)(random >> 44));
        (void)snprintf(node, sizeof node, "n-%05lld", (long long)(i % f->nodes));
        if (!world_place(w, docs[size], sv_from(name), sv_from(node), err))
            return false;
    }
    return true;
}

static void add_owner(cJSON *pod, const char *kind, const char *name)
{
    cJSON *owner = cJSON_CreateObject();
    bool is_job = strcmp(kind, "Job") == 0;

    (void)cJSON_AddStringToObject(owner, "apiVersion", is_job ? "batch/v1" : "apps/v1");
    (void)cJSON_AddStringToObject(owner, "kind", kind);
    (void)cJSON_AddStringToObject(owner, "name", name);
    (void)cJSON_AddStringToObject(owner, "uid", "0b6a0e5c-5d0b-4b52-9d57-5f7c1f0f8a11");
    (void)cJSON_AddBoolToObject(owner, "controller", true);
    cJSON_AddItemToArray(
        cJSON_AddArrayToObject(cJSON_GetObjectItem(pod, "metadata"), "ownerReferences"), owner);
}

static bool fill_doc(struct world *w, size_t size, struct pod_doc **ret_doc, struct err *err)
{
    const struct world_timing timing = {.grace_us = -1, .start_us = 0, .exit_us = -1};
    struct shape shape = {.name = sv_from(sizes[size].app),
                          .cpu = sv_from(sizes[size].cpu),
                          .memory = sv_from(sizes[size].memory)};
    cJSON *json = template_json(&shape);
    bool ok;

    add_owner(json, sizes[size].owner, sizes[size].app);
    if (sizes[size].ended)
        (void)cJSON_AddStringToObject(
            cJSON_AddObjectToObject(cJSON_GetObjectItem(json, "metadata"), "annotations"),
            "pod-complete.stage.kwok.x-k8s.io/delay", "1ms");
    ok = make_namespace(w, shape.name, err) &&
         world_pod_doc(w, shape.name, json, &timing, ret_doc, err);
    cJSON_Delete(json);
    return ok;
}

bool scenario_fill(struct world *w, const struct scenario_fill *fill, struct err *err)
{
    struct pod_doc *docs[COUNT_OF(sizes)] = {0};
    bool ok = fill->nodes > 0 || fill->pods == 0 ||
              err_set(err, ERR_INPUT, 0, "--pods: expected --nodes, too");

    ok = ok && fill_nodes(w, fill, err);
    for (size_t i = 0; ok && i < COUNT_OF(sizes); i++)
        ok = fill_doc(w, i, &docs[i], err);
    ok = ok && fill_pods(w, docs, fill, err);
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        pod_doc_unref(docs[i]);
    return ok;
}
