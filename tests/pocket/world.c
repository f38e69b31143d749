#include "tests/pocket/world.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/pocket/parts.h"
#include "tests/pocket/podcheck.h"

/* The release that is played; its rules say how requests are counted. */
#define RELEASE "1.35"

#define SWIFT_BACKOFF_US US_PER_MS

struct sim *world_sim(struct world *w)
{
    return w->sim;
}

struct store *world_store(struct world *w)
{
    return w->store;
}

struct store *world_store_of(const struct world *w)
{
    return w->store;
}

struct resource_names *world_names(struct world *w)
{
    return &w->names;
}

const struct podreq_rules *world_rules(const struct world *w)
{
    return &w->rules;
}

int64_t world_speed(const struct world *w)
{
    return w->config.speed;
}

bool world_fat(const struct world *w)
{
    return w->config.fat;
}

/* ---- time ---- */

struct mono world_now(const struct world *w)
{
    return w->now;
}

static struct mono sim_time(const struct world *w, struct mono real)
{
    return (struct mono){.us = mono_since_us(w->config.now, real) * w->config.speed};
}

struct wall world_wall(const struct world *w, struct mono t)
{
    return (struct wall){.us = w->config.wall.us + t.us / w->config.speed};
}

int64_t world_shown_s(const struct world *w, int64_t sim_us)
{
    int64_t unit = US_PER_S * w->config.speed;

    return (sim_us + unit - 1) / unit;
}

void world_advance(struct world *w, struct mono now)
{
    w->now = now;
    sim_run_until(w->sim, sim_time(w, now));
}

int64_t world_idle_us(const struct world *w, int64_t max_us)
{
    struct mono next = sim_next(w->sim);
    int64_t wait_us;

    if (next.us == SIM_NEVER)
        return max_us;
    wait_us = (next.us - sim_time(w, w->now).us + w->config.speed - 1) / w->config.speed;
    return wait_us < 0 ? 0 : wait_us < max_us ? wait_us : max_us;
}

void world_uid(struct world *w, char text[static UID_TEXT_SIZE])
{
    struct uid uid;
    uint64_t *half[] = {&uid.hi, &uid.lo};

    for (size_t i = 0; i < COUNT_OF(half); i++) {
        uint64_t z = w->random += 0x9e3779b97f4a7c15;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        *half[i] = z ^ z >> 31;
    }
    /* Version 4, variant 1. */
    uid.hi = (uid.hi & ~UINT64_C(0xf000)) | 0x4000;
    uid.lo = uid.lo >> 2 | UINT64_C(1) << 63;
    uid_text(uid, text);
}

/* ---- what the simulation tells ---- */

static struct pod_doc **slot(struct pod_doc ***array, size_t *n, uint32_t id)
{
    while (*n <= id) {
        size_t more = *n != 0 ? *n * 2 : 64;

        *array = xrealloc(*array, more * sizeof **array);
        memset(*array + *n, 0, (more - *n) * sizeof **array);
        *n = more;
    }
    return *array + id;
}

static void see_pod(struct world *w, enum sim_verb verb, const struct sim_pod *pod)
{
    struct pod_doc **doc = slot(&w->pods, &w->n_pods, pod->id);

    switch (verb) {
    case SIM_ADDED:
        *doc = pod_doc_ref((struct pod_doc *)(uintptr_t)pod->spec->tag);
        store_put(w->store, podtext_object(w, pod, *doc));
        break;
    case SIM_MODIFIED:
        store_put(w->store, podtext_object(w, pod, *doc));
        break;
    case SIM_DELETED:
        (void)store_delete(w->store, KIND_PODS, pod->spec->ns, pod->name);
        pod_doc_unref(*doc);
        *doc = NULL;
        break;
    case SIM_VERB_COUNT_:
        break;
    }
}

/* Nodes change only by what clients do, and so are written to the store where that is done. */
static void see(void *self, const struct sim_event *event)
{
    struct world *w = self;

    switch (event->kind) {
    case SIM_POD:
        see_pod(w, event->verb, event->pod);
        break;
    case SIM_WORKLOAD:
        if (event->verb == SIM_MODIFIED)
            docs_refresh(w, event->workload);
        break;
    case SIM_NODE:
    case SIM_KIND_COUNT_:
        break;
    }
}

struct world *world_new(const struct world_config *config)
{
    struct world *w = xcalloc(1, sizeof *w);
    struct sim_config sim = sim_config_default();

    w->config = *config;
    w->now = config->now;
    /* Another sequence than the simulation's, which makes the uids of pods. */
    w->random = ~config->seed;
    w->store = store_new(config->ring);
    resource_names_init(&w->names);
    if (!podreq_rules_for(SV(RELEASE), &w->rules, NULL))
        abort();
    sim.seed = config->seed;
    sim.epoch = config->wall;
    if (config->swift) {
        sim.client_rate = 0;
        sim.backoff_us = SWIFT_BACKOFF_US;
    }
    sim.observer = (struct sim_observer){.see = see, .self = w};
    w->sim = sim_new(&sim);
    return w;
}

void world_free(struct world *w)
{
    if (w == NULL)
        return;
    sim_free(w->sim);
    for (size_t i = 0; i < w->n_pods; i++)
        pod_doc_unref(w->pods[i]);
    for (size_t i = 0; i < w->n_templates; i++)
        pod_doc_unref(w->templates[i]);
    for (size_t i = 0; i < w->n_events; i++)
        free((char *)w->events[i].at);
    free(w->events);
    free(w->pods);
    free(w->templates);
    store_free(w->store);
    resource_names_done(&w->names);
    free(w);
}

/* ---- pods ---- */

static cJSON *get(const cJSON *object, const char *key)
{
    return object != NULL ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

static struct sv text_of(const cJSON *object, const char *key)
{
    return sv_from(cJSON_GetStringValue(get(object, key)));
}

bool world_pod_doc(struct world *w, struct sv ns, cJSON *pod, const struct world_timing *timing,
                   struct pod_doc **ret_doc, struct err *err)
{
    cJSON *meta = get(pod, "metadata");
    CLEANUP(free_ptr) char *ns_text = sv_dup(ns);

    if (meta == NULL)
        meta = cJSON_AddObjectToObject(pod, "metadata");
    cJSON_DeleteItemFromObjectCaseSensitive(meta, "namespace");
    (void)cJSON_AddStringToObject(meta, "namespace", ns_text);
    if (!podtext_default(w, get(pod, "spec"), true, err))
        return false;
    if (timing->grace_us >= 0)
        (void)cJSON_SetNumberHelper(get(get(pod, "spec"), "terminationGracePeriodSeconds"),
                                    (double)world_shown_s(w, timing->grace_us));
    return podtext_doc(w, pod, timing, ret_doc, err);
}

static bool create_pod(struct world *w, struct sv ns, cJSON *json,
                       const struct world_timing *timing, const struct object **ret_object,
                       struct err *err)
{
    cJSON *meta = get(json, "metadata");
    struct sv node_name = text_of(get(json, "spec"), "nodeName");
    const struct sim_node *node = NULL;
    const struct sim_pod *pod;
    struct pod_doc *doc;
    bool ok;

    if (!docs_stamp(w, KIND_PODS, ns, json, err))
        return false;
    if (node_name.len != 0) {
        node = sim_node_find(w->sim, node_name);
        if (node == NULL)
            return err_set(err, ERR_INPUT, 0, "spec.nodeName: found '%.*s', expected a node",
                           SV_ARG(node_name));
    }
    if (!world_pod_doc(w, ns, json, timing, &doc, err))
        return false;
    ok = sim_pod_create(w->sim, text_of(meta, "name"), &doc->spec, node, &pod, err);
    if (ok && doc->cost != 0)
        sim_pod_patch(w->sim, pod, &(struct sim_pod_patch){.has_cost = true, .cost = doc->cost});
    pod_doc_unref(doc);
    if (ok)
        *ret_object = store_find(w->store, KIND_PODS, ns, text_of(meta, "name"));
    return ok;
}

bool world_place(struct world *w, const struct pod_doc *doc, struct sv name, struct sv node,
                 struct err *err)
{
    const struct sim_pod *pod;
    const struct sim_node *at = sim_node_find(w->sim, node);

    if (at == NULL)
        return err_set(err, ERR_INPUT, 0, "found no node '%.*s'", SV_ARG(node));
    return sim_pod_create(w->sim, name, &doc->spec, at, &pod, err);
}

static bool replace_pod(struct world *w, const struct object *old, const cJSON *tree, cJSON *json,
                        struct err *err)
{
    const struct sim_pod *pod = sim_pod_find(w->sim, old->is.ns, old->is.name);
    struct pod_doc **doc = slot(&w->pods, &w->n_pods, pod->id);
    struct world_timing timing = {(*doc)->spec.grace_us, (*doc)->spec.start_us,
                                  (*doc)->spec.exit_us};
    struct pod_doc *fresh;
    uint64_t version = store_version(w->store);

    if (!podcheck_update(tree, json, err) || !podtext_doc(w, json, &timing, &fresh, err))
        return false;
    pod_doc_unref(*doc);
    *doc = fresh;
    sim_pod_patch(w->sim, pod,
                  &(struct sim_pod_patch){.ungate = pod->gated && fresh->gates.len == 0,
                                          .rules = pod->gated ? &fresh->spec.rules : NULL,
                                          .has_cost = true,
                                          .cost = fresh->cost});
    /* Labels and annotations mean nothing to the simulation. */
    if (store_version(w->store) == version)
        store_put(w->store, podtext_object(w, pod, fresh));
    return true;
}

/* ---- nodes ---- */

/* A node that is put here is one whose kubelet reports that all is well. */
static void default_node(struct world *w, cJSON *json)
{
    cJSON *status = get(json, "status");
    cJSON *conditions, *ready;
    char now[WALL_TEXT_SIZE];

    if (status == NULL)
        status = cJSON_AddObjectToObject(json, "status");
    if (get(json, "spec") == NULL)
        (void)cJSON_AddObjectToObject(json, "spec");
    if (get(status, "allocatable") == NULL && get(status, "capacity") != NULL)
        cJSON_AddItemToObject(status, "allocatable",
                              cJSON_Duplicate(get(status, "capacity"), true));
    if (get(status, "conditions") != NULL)
        return;
    wall_format(world_wall(w, sim_now(w->sim)), 0, now);
    conditions = cJSON_AddArrayToObject(status, "conditions");
    ready = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(ready, "type", "Ready");
    (void)cJSON_AddStringToObject(ready, "status", "True");
    (void)cJSON_AddStringToObject(ready, "lastHeartbeatTime", now);
    (void)cJSON_AddStringToObject(ready, "lastTransitionTime", now);
    (void)cJSON_AddStringToObject(ready, "reason", "KubeletReady");
    (void)cJSON_AddStringToObject(ready, "message", "kubelet is posting ready status");
    cJSON_AddItemToArray(conditions, ready);
}

static bool put_node(struct world *w, cJSON *json, struct err *err)
{
    struct decoder decoder;
    struct node_record record;
    const struct sim_node *node;
    char *text = cJSON_PrintUnformatted(json);
    bool ok;

    decoder_init(&decoder, &w->names, &w->rules);
    ok = decode_node(&decoder, DECODE_JSON, sv_from(text), &record, err) &&
         sim_node_put(w->sim, &record, &node, err);
    if (ok) {
        struct object *o = docs_object(KIND_NODES, (struct sv){0}, json);

        o->is.unschedulable = record.unschedulable;
        store_put(w->store, o);
    }
    decoder_done(&decoder);
    cJSON_free(text);
    return ok;
}

/* ---- what clients do ---- */

bool world_create(struct world *w, enum kind kind, struct sv ns, cJSON *json,
                  const struct world_timing *timing, const struct object **ret_object,
                  struct err *err)
{
    struct sv name;
    bool ok;

    if (!cJSON_IsObject(json))
        return err_set(err, ERR_INPUT, 0, "found no object");
    if (kind == KIND_PODS)
        return create_pod(w, ns, json, timing, ret_object, err);
    if (!docs_stamp(w, kind, ns, json, err))
        return false;
    name = text_of(get(json, "metadata"), "name");
    if (kind == KIND_NODES)
        default_node(w, json);
    if (kind == KIND_NODES)
        ok = put_node(w, json, err);
    else if (kind == KIND_DEPLOYMENTS)
        ok = docs_create_deployment(w, ns, json, timing, err);
    else
        ok = docs_put(w, kind, ns, json, err);
    if (ok)
        *ret_object = store_find(w->store, kind, ns, name);
    return ok;
}

/* Name, namespace and uid are for ever. */
static bool check_identity(const cJSON *before, const cJSON *now, struct err *err)
{
    static const char *const keys[] = {"name", "namespace", "uid", "creationTimestamp"};

    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (!sv_eq(text_of(before, keys[i]), text_of(now, keys[i])))
            return err_set(err, ERR_INPUT, 0, "metadata.%s: Invalid value: field is immutable",
                           keys[i]);
    return true;
}

bool world_replace(struct world *w, const struct object *old, cJSON *json,
                   const struct object **ret_object, struct err *err)
{
    cJSON *tree = docs_tree(old);
    enum kind kind = old->is.kind;
    CLEANUP(free_ptr) char *ns = sv_dup(old->is.ns), *name = sv_dup(old->is.name);
    bool ok = true;

    if (!check_identity(get(tree, "metadata"), get(json, "metadata"), err)) {
        ok = false;
    } else if (!cJSON_Compare(tree, json, true)) {
        if (kind == KIND_PODS)
            ok = replace_pod(w, old, tree, json, err);
        else if (kind == KIND_NODES)
            ok = put_node(w, json, err);
        else if (kind == KIND_DEPLOYMENTS)
            ok = docs_replace_deployment(w, old, json, err);
        else
            ok = docs_put(w, kind, old->is.ns, json, err);
    }
    cJSON_Delete(tree);
    if (ok)
        *ret_object = store_find(w->store, kind, sv_from(ns), sv_from(name));
    return ok;
}

void world_delete(struct world *w, const struct object *o, int64_t grace_s)
{
    CLEANUP(free_ptr) char *ns = sv_dup(o->is.ns), *name = sv_dup(o->is.name);
    enum kind kind = o->is.kind;

    if (kind == KIND_PODS) {
        sim_pod_delete(w->sim, sim_pod_find(w->sim, o->is.ns, o->is.name),
                       grace_s < 0 ? -1 : grace_s * US_PER_S * w->config.speed);
        return;
    }
    if (kind == KIND_NODES) {
        const struct sim_node *node = sim_node_find(w->sim, o->is.name);

        if (node != NULL)
            sim_node_remove(w->sim, node);
    } else if (kind == KIND_DEPLOYMENTS) {
        docs_remove_deployment(w, o);
    }
    (void)store_delete(w->store, kind, sv_from(ns), sv_from(name));
}
