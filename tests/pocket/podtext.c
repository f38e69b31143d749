#include "tests/pocket/podtext.h"

#include <stdio.h>
#include <string.h>

#include "agent/json_read.h"
#include "base/alloc.h"
#include "base/jsonw.h"
#include "tests/pocket/fat.h"
#include "tests/pocket/parts.h"

enum { MAX_TEXT = 1 << 20 };

void uid_text(struct uid uid, char text[static UID_TEXT_SIZE])
{
    (void)snprintf(text, UID_TEXT_SIZE, "%08llx-%04llx-%04llx-%04llx-%012llx",
                   (unsigned long long)(uid.hi >> 32), (unsigned long long)(uid.hi >> 16 & 0xffff),
                   (unsigned long long)(uid.hi & 0xffff), (unsigned long long)(uid.lo >> 48),
                   (unsigned long long)(uid.lo & 0xffffffffffff));
}

struct pod_doc *pod_doc_ref(struct pod_doc *d)
{
    d->refs++;
    return d;
}

void pod_doc_unref(struct pod_doc *d)
{
    if (d == NULL || --d->refs != 0)
        return;
    decoder_done(&d->decoder);
    shared_unref(d->shared);
    strbuf_done(&d->gates);
    strbuf_done(&d->containers);
    free(d);
}

/* ---- defaults ---- */

static cJSON *get(const cJSON *object, const char *key)
{
    return object != NULL ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

static void default_text(cJSON *object, const char *key, const char *value)
{
    if (get(object, key) == NULL)
        (void)cJSON_AddStringToObject(object, key, value);
}

static void default_requests(cJSON *resources)
{
    cJSON *requests = get(resources, "requests");
    const cJSON *limit;

    if (get(resources, "limits") == NULL)
        return;
    if (requests == NULL)
        requests = cJSON_AddObjectToObject(resources, "requests");
    cJSON_ArrayForEach(limit, get(resources, "limits"))
    {
        if (get(requests, limit->string) == NULL)
            cJSON_AddItemToObject(requests, limit->string, cJSON_Duplicate(limit, true));
    }
}

static void default_containers(cJSON *containers, bool whole)
{
    cJSON *c;

    cJSON_ArrayForEach(c, containers)
    {
        default_text(c, "terminationMessagePath", "/dev/termination-log");
        default_text(c, "terminationMessagePolicy", "File");
        default_text(c, "imagePullPolicy", "IfNotPresent");
        if (get(c, "resources") == NULL)
            (void)cJSON_AddObjectToObject(c, "resources");
        if (whole)
            default_requests(get(c, "resources"));
    }
}

static void add_toleration(cJSON *list, const char *key)
{
    cJSON *t = cJSON_CreateObject();
    const cJSON *other;

    cJSON_ArrayForEach(other, list)
    {
        const char *there = cJSON_GetStringValue(get(other, "key"));

        if (there != NULL && strcmp(there, key) == 0) {
            cJSON_Delete(t);
            return;
        }
    }
    (void)cJSON_AddStringToObject(t, "key", key);
    (void)cJSON_AddStringToObject(t, "operator", "Exists");
    (void)cJSON_AddStringToObject(t, "effect", "NoExecute");
    (void)cJSON_AddNumberToObject(t, "tolerationSeconds", 300);
    cJSON_AddItemToArray(list, t);
}

/* Takes value and preemptionPolicy over from the pod's class. */
static bool resolve_class(const struct world *w, cJSON *spec, struct err *err)
{
    const char *name = cJSON_GetStringValue(get(spec, "priorityClassName"));
    const struct object *class;
    struct strbuf json, policy;
    int64_t value = 0;

    if (name == NULL || name[0] == '\0') {
        if (get(spec, "priority") == NULL)
            (void)cJSON_AddNumberToObject(spec, "priority", 0);
        default_text(spec, "preemptionPolicy", "PreemptLowerPriority");
        return true;
    }
    class = store_find(world_store_of(w), KIND_PRIORITY_CLASSES, (struct sv){0}, sv_from(name));
    if (class == NULL)
        return err_set(err, ERR_FORBIDDEN, 0, "no PriorityClass with name %.200s was found", name);
    strbuf_init(&json, MAX_TEXT);
    strbuf_init(&policy, 64);
    object_json(class, 0, false, &json);
    (void)json_i64(strbuf_sv(&json), "value", &value);
    (void)json_text(strbuf_sv(&json), "preemptionPolicy", &policy);
    cJSON_DeleteItemFromObjectCaseSensitive(spec, "priority");
    (void)cJSON_AddNumberToObject(spec, "priority", (double)value);
    default_text(spec, "preemptionPolicy",
                 policy.len != 0 ? strbuf_str(&policy) : "PreemptLowerPriority");
    strbuf_done(&json);
    strbuf_done(&policy);
    return true;
}

bool podtext_default(const struct world *w, cJSON *spec, bool whole, struct err *err)
{
    cJSON *tolerations = get(spec, "tolerations");

    if (!cJSON_IsObject(spec) || cJSON_GetArraySize(get(spec, "containers")) == 0)
        return err_set(err, ERR_INPUT, 0, "spec.containers: Required value");
    default_text(spec, "restartPolicy", "Always");
    default_text(spec, "dnsPolicy", "ClusterFirst");
    default_text(spec, "schedulerName", "default-scheduler");
    if (get(spec, "securityContext") == NULL)
        (void)cJSON_AddObjectToObject(spec, "securityContext");
    if (get(spec, "terminationGracePeriodSeconds") == NULL)
        (void)cJSON_AddNumberToObject(spec, "terminationGracePeriodSeconds", 30);
    default_containers(get(spec, "containers"), whole);
    default_containers(get(spec, "initContainers"), whole);
    if (!whole)
        return true;
    default_text(spec, "serviceAccountName", "default");
    if (tolerations == NULL)
        tolerations = cJSON_AddArrayToObject(spec, "tolerations");
    add_toleration(tolerations, "node.kubernetes.io/not-ready");
    add_toleration(tolerations, "node.kubernetes.io/unreachable");
    return resolve_class(w, spec, err);
}

/* ---- docs ---- */

/* The members of an object without its braces; freed by cJSON_free(). */
static struct sv members_of(char *text)
{
    size_t len = text != NULL ? strlen(text) : 0;

    return len >= 2 ? (struct sv){.at = text + 1, .len = len - 2} : (struct sv){0};
}

static char *print_only(const cJSON *object, const char *const *keys, size_t n, bool only)
{
    cJSON *copy = object != NULL ? cJSON_Duplicate(object, true) : cJSON_CreateObject();
    cJSON *child = copy->child, *next;
    char *text;

    for (; child != NULL; child = next) {
        bool named = false;

        next = child->next;
        for (size_t i = 0; i < n; i++)
            named = named || strcmp(child->string, keys[i]) == 0;
        if (named != only)
            cJSON_Delete(cJSON_DetachItemViaPointer(copy, child));
    }
    text = cJSON_PrintUnformatted(copy);
    cJSON_Delete(copy);
    return text;
}

static struct shared *make_shared(const struct world *w, const cJSON *pod)
{
    /* A fat pod has labels of its own: they come first, and are left out here. */
    static const char *const meta_keys[] = {"labels", "annotations", "ownerReferences",
                                            "generateName", "finalizers"};
    size_t skip = world_fat(w) ? 1 : 0;
    static const char *const own_keys[] = {"nodeName", "schedulingGates"};
    cJSON *spec = cJSON_Duplicate(get(pod, "spec"), true);
    char *meta =
        print_only(get(pod, "metadata"), meta_keys + skip, COUNT_OF(meta_keys) - skip, true);
    char *spec_text;
    struct strbuf fat;
    struct shared *shared;

    strbuf_init(&fat, MAX_TEXT);
    (void)strbuf_add(&fat, members_of(meta));
    if (world_fat(w)) {
        fat_managed(&fat);
        fat_env(spec);
    }
    spec_text = print_only(spec, own_keys, COUNT_OF(own_keys), false);
    shared = shared_new(KIND_PODS,
                        (struct sv[PART_COUNT_]){[PART_META] = strbuf_sv(&fat),
                                                 [PART_SPEC] = members_of(spec_text),
                                                 [PART_STATUS] = SV("\"qosClass\":\"Burstable\"")});
    strbuf_done(&fat);
    cJSON_free(spec_text);
    cJSON_free(meta);
    cJSON_Delete(spec);
    return shared;
}

static bool packs(const cJSON *spec)
{
    const cJSON *pods = get(get(spec, "affinity"), "podAffinity");
    const cJSON *term;

    cJSON_ArrayForEach(term, get(pods, "preferredDuringSchedulingIgnoredDuringExecution"))
    {
        const char *key = cJSON_GetStringValue(get(get(term, "podAffinityTerm"), "topologyKey"));

        if (key != NULL && strcmp(key, "kubernetes.io/hostname") == 0)
            return true;
    }
    return false;
}

/* The delay of one of kwok's stages, "1500ms", in microseconds of real time; below 0 where the pod names none. */
static int64_t stage_delay(const cJSON *pod, const char *stage)
{
    char key[80];
    struct sv text;
    int64_t ms;

    (void)snprintf(key, sizeof key, "%s.stage.kwok.x-k8s.io/delay", stage);
    text = sv_from(cJSON_GetStringValue(get(get(get(pod, "metadata"), "annotations"), key)));
    if (!sv_ends(text, SV("ms")) ||
        !sv_to_i64((struct sv){.at = text.at, .len = text.len - 2}, &ms) || ms < 0 ||
        ms > 1000000000)
        return -1;
    return ms * US_PER_MS;
}

static int64_t first_given(int64_t given, int64_t real_us, int64_t speed, int64_t fallback)
{
    return given >= 0 ? given : real_us >= 0 ? real_us * speed : fallback;
}

static void note_containers(const cJSON *pod, struct strbuf *out)
{
    const cJSON *c;
    struct jsonw w;

    jsonw_init(&w, out);
    jsonw_array(&w, NULL);
    cJSON_ArrayForEach(c, get(get(pod, "spec"), "containers"))
    {
        jsonw_object(&w, NULL);
        jsonw_cstr(&w, "name", cJSON_GetStringValue(get(c, "name")));
        jsonw_cstr(&w, "image",
                   cJSON_GetStringValue(get(c, "image")) != NULL
                       ? cJSON_GetStringValue(get(c, "image"))
                       : "");
        jsonw_end(&w);
    }
    jsonw_end(&w);
}

/* What the simulation is given. */
static void fill_spec(const struct world *w, struct pod_doc *d, const struct pod_record *rec,
                      const cJSON *pod, const struct world_timing *timing)
{
    int64_t speed = world_speed(w);

    d->spec = sim_pod_spec_default();
    d->cost = rec->deletion_cost;
    d->spec.ns = rec->ns;
    d->spec.request = rec->request;
    d->spec.priority = rec->priority;
    d->spec.priority_class = rec->priority_class;
    d->spec.preempts_never = rec->preempts_never;
    d->spec.gated = rec->gated;
    d->spec.packs = packs(get(pod, "spec"));
    d->spec.rules = rec->rules;
    d->spec.labels = rec->labels;
    d->spec.n_labels = rec->n_labels;
    d->spec.grace_us = timing->grace_us >= 0 ? timing->grace_us : rec->grace_s * US_PER_S * speed;
    d->spec.start_us =
        first_given(timing->start_us, stage_delay(pod, "pod-ready"), speed, d->spec.start_us);
    d->spec.exit_us =
        first_given(timing->exit_us, stage_delay(pod, "pod-delete"), speed, d->spec.grace_us);
    if (stage_delay(pod, "pod-complete") > 0)
        d->spec.run_us = stage_delay(pod, "pod-complete") * speed;
    d->spec.tag = (uint64_t)(uintptr_t)d;
}

bool podtext_doc(struct world *w, const cJSON *pod, const struct world_timing *timing,
                 struct pod_doc **ret_doc, struct err *err)
{
    struct pod_doc *d = xcalloc(1, sizeof *d);
    char *text = cJSON_PrintUnformatted(pod);
    cJSON *gates = get(get(pod, "spec"), "schedulingGates");
    struct pod_record rec;
    bool ok;

    d->refs = 1;
    decoder_init(&d->decoder, world_names(w), world_rules(w));
    strbuf_init(&d->gates, MAX_TEXT);
    strbuf_init(&d->containers, MAX_TEXT);
    ok = decode_pod(&d->decoder, DECODE_JSON, sv_from(text), &rec, err);
    cJSON_free(text);
    if (!ok) {
        pod_doc_unref(d);
        return false;
    }
    fill_spec(w, d, &rec, pod, timing);
    if (cJSON_GetArraySize(gates) != 0) {
        text = cJSON_PrintUnformatted(gates);
        (void)strbuf_add(&d->gates, sv_from(text));
        cJSON_free(text);
    }
    note_containers(pod, &d->containers);
    d->shared = make_shared(w, pod);
    *ret_doc = d;
    return true;
}
