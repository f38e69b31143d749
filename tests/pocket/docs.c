#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/pocket/parts.h"

/* The newest Events that are kept. */
enum { MAX_EVENTS = 1000, MAX_NAME = 253 };

static cJSON *get(const cJSON *object, const char *key)
{
    return object != NULL ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

static struct sv text_of(const cJSON *object, const char *key)
{
    return sv_from(cJSON_GetStringValue(get(object, key)));
}

static void set_text(cJSON *object, const char *key, const char *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    (void)cJSON_AddStringToObject(object, key, value);
}

static void set_number(cJSON *object, const char *key, int64_t value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    (void)cJSON_AddNumberToObject(object, key, (double)value);
}

/* ---- JSON and objects ---- */

/* An object's members without its braces, freed by cJSON_free(*to_free); nothing for what is none. */
static struct sv members(const cJSON *object, char **to_free)
{
    *to_free = cJSON_IsObject(object) ? cJSON_PrintUnformatted(object) : NULL;
    return *to_free != NULL ? (struct sv){.at = *to_free + 1, .len = strlen(*to_free) - 2}
                            : (struct sv){0};
}

static size_t read_labels(const cJSON *meta, struct label **ret_labels)
{
    const cJSON *map = get(meta, "labels"), *entry;
    struct label *labels = xcalloc((size_t)cJSON_GetArraySize(map) + 1, sizeof *labels);
    size_t n = 0;

    cJSON_ArrayForEach(entry, map)
    {
        labels[n].key = sv_from(entry->string);
        labels[n++].value = sv_from(cJSON_GetStringValue(entry));
    }
    *ret_labels = labels;
    return n;
}

struct object *docs_object(enum kind kind, struct sv ns, const cJSON *json)
{
    cJSON *meta = cJSON_Duplicate(get(json, "metadata"), true);
    cJSON *rest = cJSON_Duplicate(json, true);
    struct object_spec spec = {.kind = kind, .ns = ns, .name = text_of(meta, "name")};
    char *text[PART_COUNT_] = {0};
    struct label *labels;
    struct object *o;

    cJSON_DeleteItemFromObjectCaseSensitive(meta, "resourceVersion");
    cJSON_DeleteItemFromObjectCaseSensitive(meta, "managedFields");
    cJSON_DeleteItemFromObjectCaseSensitive(rest, "metadata");
    cJSON_DeleteItemFromObjectCaseSensitive(rest, "kind");
    cJSON_DeleteItemFromObjectCaseSensitive(rest, "apiVersion");
    spec.part[PART_META] = members(meta, &text[PART_META]);
    spec.part[PART_SPEC] =
        members(kind_info(kind)->parted ? get(rest, "spec") : rest, &text[PART_SPEC]);
    spec.part[PART_STATUS] =
        members(kind_info(kind)->parted ? get(rest, "status") : NULL, &text[PART_STATUS]);
    spec.n_labels = read_labels(meta, &labels);
    spec.labels = labels;
    o = object_new(&spec);
    for (size_t i = 0; i < PART_COUNT_; i++)
        cJSON_free(text[i]);
    free(labels);
    cJSON_Delete(rest);
    cJSON_Delete(meta);
    return o;
}

cJSON *docs_tree(const struct object *o)
{
    struct strbuf json;
    cJSON *tree;

    strbuf_init(&json, SIZE_MAX);
    object_json(o, o->version, true, &json);
    tree = cJSON_ParseWithLength(json.at, json.len);
    strbuf_done(&json);
    return tree;
}

static bool give_name(struct world *w, cJSON *meta, struct err *err)
{
    struct sv prefix = text_of(meta, "generateName");
    char uid[UID_TEXT_SIZE], name[MAX_NAME + 1];

    if (text_of(meta, "name").len == 0 && prefix.len != 0 && prefix.len < MAX_NAME - 8) {
        world_uid(w, uid);
        (void)snprintf(name, sizeof name, "%.*s%.8s", SV_ARG(prefix), uid);
        set_text(meta, "name", name);
    }
    if (text_of(meta, "name").len == 0 || text_of(meta, "name").len > MAX_NAME)
        return err_set(err, ERR_INPUT, 0,
                       "metadata.name: Required value: name or generateName is required");
    return true;
}

bool docs_stamp(struct world *w, enum kind kind, struct sv ns, cJSON *json, struct err *err)
{
    cJSON *meta = get(json, "metadata");
    char uid[UID_TEXT_SIZE], now[WALL_TEXT_SIZE];
    CLEANUP(free_ptr) char *ns_text = sv_dup(ns);

    if (meta == NULL)
        meta = cJSON_AddObjectToObject(json, "metadata");
    if (!give_name(w, meta, err))
        return false;
    if (store_find(w->store, kind, ns, text_of(meta, "name")) != NULL)
        return err_set(err, ERR_CONFLICT, 0, "%s \"%.200s\" already exists",
                       kind_info(kind)->plural, cJSON_GetStringValue(get(meta, "name")));
    world_uid(w, uid);
    wall_format(world_wall(w, sim_now(w->sim)), 0, now);
    set_text(meta, "uid", uid);
    set_text(meta, "creationTimestamp", now);
    if (ns.len != 0)
        set_text(meta, "namespace", ns_text);
    return true;
}

/* Of the newest Events only so many are kept, as the server's one hour does. */
static void note_event(struct world *w, struct sv ns, struct sv name)
{
    char text[2 * MAX_NAME + 2];
    struct sv old_ns, old_name;
    int len;

    if (store_find(w->store, KIND_EVENTS, ns, name) != NULL)
        return;
    len = snprintf(text, sizeof text, "%.*s/%.*s", SV_ARG(ns), SV_ARG(name));
    if (w->n_events == MAX_EVENTS) {
        if (sv_cut(w->events[0], '/', &old_ns, &old_name))
            (void)store_delete(w->store, KIND_EVENTS, old_ns, old_name);
        free((char *)w->events[0].at);
        memmove(&w->events[0], &w->events[1], --w->n_events * sizeof *w->events);
    }
    VEC_PUSH(w->events, w->n_events, w->events_cap,
             ((struct sv){.at = xstrdup(text),
                          .len = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1}));
}

/* RFC 3339 with exactly six digits behind the point, or nothing at all. */
static bool is_micro_time(const cJSON *value)
{
    struct sv text = sv_from(cJSON_GetStringValue(value)), date, rest;
    struct wall t;
    size_t digits = 0;

    if (value == NULL || cJSON_IsNull(value))
        return true;
    if (!wall_parse(text, &t) || !sv_cut(text, '.', &date, &rest))
        return false;
    while (digits < rest.len && rest.at[digits] >= '0' && rest.at[digits] <= '9')
        digits++;
    return digits == 6;
}

bool docs_put(struct world *w, enum kind kind, struct sv ns, const cJSON *json, struct err *err)
{
    const cJSON *spec = get(json, "spec");

    if (kind == KIND_LEASES &&
        (!is_micro_time(get(spec, "renewTime")) || !is_micro_time(get(spec, "acquireTime"))))
        return err_set(err, ERR_PROTOCOL, 0,
                       "Lease in version \"v1\" cannot be handled as a Lease: parsing time");
    if (kind == KIND_EVENTS) {
        if (!is_micro_time(get(json, "eventTime")))
            return err_set(err, ERR_PROTOCOL, 0,
                           "Event in version \"v1\" cannot be handled as a Event: parsing time");
        note_event(w, ns, text_of(get(json, "metadata"), "name"));
    }
    store_put(w->store, docs_object(kind, ns, json));
    return true;
}

/* ---- Deployments ---- */

#define WORKLOAD SV("Deployment")

static void own(cJSON *meta, const char *name, const char *uid)
{
    cJSON *list = cJSON_CreateArray(), *owner = cJSON_CreateObject();

    (void)cJSON_AddStringToObject(owner, "apiVersion", "apps/v1");
    (void)cJSON_AddStringToObject(owner, "kind", "ReplicaSet");
    (void)cJSON_AddStringToObject(owner, "name", name);
    (void)cJSON_AddStringToObject(owner, "uid", uid);
    (void)cJSON_AddBoolToObject(owner, "controller", true);
    (void)cJSON_AddBoolToObject(owner, "blockOwnerDeletion", true);
    cJSON_AddItemToArray(list, owner);
    cJSON_AddItemToObject(meta, "ownerReferences", list);
}

/* The pods of a Deployment's template, as its ReplicaSet makes them. */
static bool template_doc(struct world *w, struct sv ns, const cJSON *json,
                         const struct world_timing *timing, struct pod_doc **ret_doc,
                         struct err *err)
{
    cJSON *pod = cJSON_Duplicate(get(get(json, "spec"), "template"), true);
    cJSON *meta = get(pod, "metadata");
    const char *name = cJSON_GetStringValue(get(get(json, "metadata"), "name"));
    char set[MAX_NAME + 16], hash[16], uid[UID_TEXT_SIZE];
    char *text = cJSON_PrintUnformatted(pod);
    bool ok;

    (void)snprintf(hash, sizeof hash, "%08x", (unsigned)sv_hash(sv_from(text)));
    cJSON_free(text);
    (void)snprintf(set, sizeof set, "%s-%s", name, hash);
    world_uid(w, uid);
    (void)cJSON_AddStringToObject(get(meta, "labels"), "pod-template-hash", hash);
    own(meta, set, uid);
    ok = world_pod_doc(w, ns, pod, timing, ret_doc, err);
    cJSON_Delete(pod);
    return ok;
}

/* spec.selector must pick the template's own pods. */
static bool check_deployment(const cJSON *spec, struct err *err)
{
    const cJSON *wanted = get(get(spec, "selector"), "matchLabels"), *entry;
    const cJSON *labels = get(get(get(spec, "template"), "metadata"), "labels");
    const cJSON *replicas = get(spec, "replicas");

    if (cJSON_GetArraySize(wanted) == 0)
        return err_set(err, ERR_INPUT, 0, "spec.selector: Required value");
    cJSON_ArrayForEach(entry, wanted)
    {
        if (!sv_eq(sv_from(cJSON_GetStringValue(entry)), text_of(labels, entry->string)))
            return err_set(
                err, ERR_INPUT, 0,
                "spec.template.metadata.labels: Invalid value: `selector` does not match "
                "template `labels`");
    }
    if (replicas != NULL && !(cJSON_IsNumber(replicas) && replicas->valuedouble >= 0 &&
                              replicas->valuedouble <= INT32_MAX))
        return err_set(err, ERR_INPUT, 0,
                       "spec.replicas: Invalid value: must be greater than or equal to 0");
    return true;
}

static int32_t replicas_of(const cJSON *json)
{
    const cJSON *replicas = get(get(json, "spec"), "replicas");

    return cJSON_IsNumber(replicas) ? (int32_t)replicas->valuedouble : 1;
}

static void keep_template(struct world *w, uint32_t id, struct pod_doc *doc)
{
    while (w->n_templates <= id) {
        size_t more = w->n_templates != 0 ? w->n_templates * 2 : 16;

        w->templates = xrealloc(w->templates, more * sizeof *w->templates);
        memset(w->templates + w->n_templates, 0, (more - w->n_templates) * sizeof *w->templates);
        w->n_templates = more;
    }
    pod_doc_unref(w->templates[id]);
    w->templates[id] = doc;
}

bool docs_create_deployment(struct world *w, struct sv ns, cJSON *json,
                            const struct world_timing *timing, struct err *err)
{
    cJSON *spec = get(json, "spec"), *meta = get(json, "metadata");
    const struct sim_workload *workload;
    struct pod_doc *doc;

    if (!check_deployment(spec, err) ||
        !podtext_default(w, get(get(spec, "template"), "spec"), false, err))
        return false;
    /* Shown in real seconds. */
    if (timing->grace_us >= 0)
        set_number(get(get(spec, "template"), "spec"), "terminationGracePeriodSeconds",
                   world_shown_s(w, timing->grace_us));
    set_number(spec, "replicas", replicas_of(json));
    set_number(meta, "generation", 1);
    cJSON_DeleteItemFromObjectCaseSensitive(json, "status");
    (void)cJSON_AddObjectToObject(json, "status");
    if (!template_doc(w, ns, json, timing, &doc, err))
        return false;
    if (!sim_workload_add(w->sim,
                          &(struct sim_workload_spec){.kind = WORKLOAD,
                                                      .name = text_of(meta, "name"),
                                                      .replicas = replicas_of(json),
                                                      .template = doc->spec},
                          &workload, err)) {
        pod_doc_unref(doc);
        return false;
    }
    keep_template(w, workload->id, doc);
    store_put(w->store, docs_object(KIND_DEPLOYMENTS, ns, json));
    return true;
}

bool docs_replace_deployment(struct world *w, const struct object *old, cJSON *json,
                             struct err *err)
{
    const struct sim_workload *workload =
        sim_workload_find(w->sim, WORKLOAD, old->is.ns, old->is.name);
    cJSON *before = docs_tree(old);
    cJSON *spec = get(json, "spec");
    struct pod_doc *doc = NULL;
    bool ok = check_deployment(spec, err) &&
              podtext_default(w, get(get(spec, "template"), "spec"), false, err);

    if (ok && !cJSON_Compare(get(get(before, "spec"), "template"), get(spec, "template"), true))
        ok = template_doc(w, old->is.ns, json, &WORLD_NO_TIMING, &doc, err);
    if (ok) {
        set_number(spec, "replicas", replicas_of(json));
        if (!cJSON_Compare(get(before, "spec"), spec, true))
            set_number(get(json, "metadata"), "generation",
                       (int64_t)cJSON_GetNumberValue(get(get(before, "metadata"), "generation")) +
                           1);
        store_put(w->store, docs_object(KIND_DEPLOYMENTS, workload->template->ns, json));
        if (doc != NULL) {
            sim_workload_template(w->sim, workload, &doc->spec);
            keep_template(w, workload->id, doc);
        }
        if (replicas_of(json) != workload->replicas)
            sim_workload_scale(w->sim, workload, replicas_of(json));
    }
    cJSON_Delete(before);
    return ok;
}

void docs_remove_deployment(struct world *w, const struct object *o)
{
    const struct sim_workload *workload = sim_workload_find(w->sim, WORKLOAD, o->is.ns, o->is.name);

    if (workload == NULL)
        return;
    uint32_t id = workload->id;

    sim_workload_remove(w->sim, workload);
    keep_template(w, id, NULL);
}

static void set_count(cJSON *status, const char *key, int32_t count)
{
    cJSON_DeleteItemFromObjectCaseSensitive(status, key);
    if (count != 0)
        (void)cJSON_AddNumberToObject(status, key, count);
}

void docs_refresh(struct world *w, const struct sim_workload *workload)
{
    struct object *o =
        store_find(w->store, KIND_DEPLOYMENTS, workload->template->ns, workload->name);
    const struct sim_workload_status *now = &workload->status;
    cJSON *before, *json, *status;

    if (o == NULL)
        return;
    before = docs_tree(o);
    json = cJSON_Duplicate(before, true);
    if (replicas_of(json) != workload->replicas) {
        set_number(get(json, "spec"), "replicas", workload->replicas);
        set_number(get(json, "metadata"), "generation",
                   (int64_t)cJSON_GetNumberValue(get(get(json, "metadata"), "generation")) + 1);
    }
    status = get(json, "status");
    set_number(status, "observedGeneration",
               (int64_t)cJSON_GetNumberValue(get(get(json, "metadata"), "generation")));
    set_count(status, "replicas", now->replicas);
    set_count(status, "updatedReplicas", now->replicas);
    set_count(status, "readyReplicas", now->ready);
    set_count(status, "availableReplicas", now->ready);
    set_count(status, "unavailableReplicas",
              now->replicas > now->ready ? now->replicas - now->ready : 0);
    set_count(status, "terminatingReplicas", now->terminating);
    if (!cJSON_Compare(before, json, true))
        store_put(w->store, docs_object(KIND_DEPLOYMENTS, workload->template->ns, json));
    cJSON_Delete(json);
    cJSON_Delete(before);
}
