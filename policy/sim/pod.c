#include <assert.h>
#include <stdio.h>

#include "policy/sim/parts.h"

/* What a pod that asks for nothing counts as in the scheduler's scores, never in the fit
 * (k8s.io/kubernetes/pkg/scheduler/util: DefaultMilliCPURequest, DefaultMemoryRequest). */
#define SCORE_CPU_MILLI INT64_C(100)
#define SCORE_MEM_BYTES (INT64_C(200) * 1024 * 1024)

/* ---- names ---- */

uint64_t object_hash(struct sv kind, struct sv ns, struct sv name)
{
    return sv_hash(name) ^ sv_hash(ns) * 31 ^ sv_hash(kind) * 131;
}

struct pod *pod_at(const struct sim *s, uint32_t id)
{
    return &s->pod_chunks[id / POD_CHUNK][id % POD_CHUNK];
}

struct node *node_at(const struct sim *s, uint32_t id)
{
    return s->nodes[id];
}

struct workload *workload_at(const struct sim *s, uint32_t id)
{
    return s->workloads[id];
}

static uint64_t pod_hash(const void *self, uint32_t index)
{
    const struct pod *pod = pod_at(self, index);

    return object_hash((struct sv){0}, pod->spec->view.ns, pod->view.name);
}

static bool pod_equal(const void *self, uint32_t index, const void *key)
{
    const struct pod *pod = pod_at(self, index);
    const struct object_key *k = key;

    return sv_eq(pod->view.name, k->name) && sv_eq(pod->spec->view.ns, k->ns);
}

static uint64_t node_hash(const void *self, uint32_t index)
{
    return object_hash((struct sv){0}, (struct sv){0}, node_at(self, index)->view.record.name);
}

static bool node_equal(const void *self, uint32_t index, const void *key)
{
    const struct object_key *k = key;

    return sv_eq(node_at(self, index)->view.record.name, k->name);
}

static uint64_t workload_hash(const void *self, uint32_t index)
{
    const struct sim_workload *w = &workload_at(self, index)->view;

    return object_hash(w->kind, w->ns, w->name);
}

static bool workload_equal(const void *self, uint32_t index, const void *key)
{
    const struct sim_workload *w = &workload_at(self, index)->view;
    const struct object_key *k = key;

    return sv_eq(w->name, k->name) && sv_eq(w->ns, k->ns) && sv_eq(w->kind, k->kind);
}

const struct map_ops pod_map_ops = {.hash = pod_hash, .equal = pod_equal};
const struct map_ops node_map_ops = {.hash = node_hash, .equal = node_equal};
const struct map_ops workload_map_ops = {.hash = workload_hash, .equal = workload_equal};

/* ---- specs ---- */

struct sv rules_pin(const struct pod_rules *rules)
{
    struct sv pin = {0};

    if (!rules->has_affinity)
        return pin;
    for (size_t i = 0; i < rules->n_terms; i++) {
        const struct node_term *term = &rules->terms[i];
        struct sv name = {0};

        for (size_t j = 0; j < term->n_fields; j++) {
            const struct requirement *f = &term->fields[j];

            if (sv_eq(f->key, SV("metadata.name")) && f->op == OP_IN && f->n_values == 1)
                name = f->values[0];
        }
        if (name.len == 0 || (pin.len != 0 && !sv_eq(pin, name)))
            return (struct sv){0};
        pin = name;
    }
    return pin;
}

static bool has_rules(const struct pod_rules *rules)
{
    return rules->has_affinity || rules->n_node_selector != 0 || rules->n_tolerations != 0;
}

struct spec *spec_new(const struct sim_pod_spec *from)
{
    struct spec *spec = xcalloc(1, sizeof *spec);
    const struct node_record text = {
        .name = from->ns, .labels = from->labels, .n_labels = from->n_labels};
    const int64_t *asked = from->request.at;

    spec->view = *from;
    spec->refs = 1;
    spec->text = pack_node(&text);
    if (has_rules(&from->rules))
        spec->rules = pack_rules(&from->rules);
    if (from->priority_class.len != 0)
        spec->priority_class = sv_dup(from->priority_class);
    spec->view.ns = spec->text->name;
    spec->view.labels = spec->text->labels;
    spec->view.rules = spec->rules != NULL ? spec->rules->rules : (struct pod_rules){0};
    spec->view.priority_class =
        (struct sv){.at = spec->priority_class, .len = from->priority_class.len};
    spec->view.request.at[RESOURCE_PODS] = 1;
    spec->pin = rules_pin(&spec->view.rules);
    spec->score_cpu = asked[RESOURCE_CPU] > 0 ? asked[RESOURCE_CPU] : SCORE_CPU_MILLI;
    spec->score_mem = asked[RESOURCE_MEMORY] > 0 ? asked[RESOURCE_MEMORY] : SCORE_MEM_BYTES;
    for (int place = 0; place < RESOURCE_MAX; place++) {
        if (spec->view.request.at[place] <= 0)
            continue;
        spec->places.at[spec->places.n++] = (uint8_t)place;
        spec->request_hash = (spec->request_hash ^ (uint64_t)spec->view.request.at[place]) *
                                 UINT64_C(0x9e3779b97f4a7c15) +
                             (uint64_t)place;
        spec->request_hash ^= spec->request_hash >> 29;
    }
    return spec;
}

void spec_unref(struct spec *spec)
{
    if (spec == NULL || --spec->refs != 0)
        return;
    free(spec->text);
    free(spec->rules);
    free(spec->priority_class);
    free(spec);
}

/* ---- pods ---- */

/* A slot for a pod, or NULL at the limit. */
static struct pod *take_slot(struct sim *s)
{
    uint32_t id;

    if (s->n_free_pods != 0) {
        id = s->free_pods[--s->n_free_pods];
    } else {
        if (s->n_pods >= SIM_MAX_PODS)
            return NULL;
        id = (uint32_t)s->n_pods;
        if (id % POD_CHUNK == 0) {
            size_t chunks = id / POD_CHUNK;

            s->pod_chunks =
                vec_reserve(s->pod_chunks, &s->chunks_cap, chunks + 1, sizeof *s->pod_chunks);
            s->pod_chunks[chunks] = xcalloc(POD_CHUNK, sizeof(struct pod));
        }
        s->n_pods++;
    }

    struct pod *pod = pod_at(s, id);

    *pod = (struct pod){.live = true, .serial = ++s->serial, .view = {.id = id}};
    return pod;
}

/* The letters that the API server makes names of: no vowels, nothing that looks like another. */
static void random_letters(struct sim *s, char *to, size_t n)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    uint64_t bits = sim_random(s, CHANCE_NAMES);

    for (size_t i = 0; i < n; i++) {
        to[i] = letters[bits % (sizeof letters - 1)];
        bits /= sizeof letters - 1;
    }
    to[n] = '\0';
}

void pod_make_name(struct sim *s, struct sv ns, const char *prefix, char *name, size_t size)
{
    char tail[9];

    do {
        random_letters(s, tail, strlen(prefix) == 0 ? 8 : 5);
        (void)snprintf(name, size, "%s%s%s", prefix, prefix[0] != '\0' ? "-" : "", tail);
    } while (sim_pod_find(s, ns, sv_from(name)) != NULL);
}

struct pod *pod_add(struct sim *s, struct sv name, struct spec *spec, struct workload *owner)
{
    struct pod *pod = take_slot(s);

    if (pod == NULL) {
        spec_unref(spec);
        return NULL;
    }
    pod->spec = spec;
    pod->pin = spec->pin;
    pod->owner = owner;
    pod->view.uid = sim_uid(s);
    if (name.len != 0)
        pod->view.name = (struct sv){.at = sv_dup(name), .len = name.len};
    pod->view.spec = &spec->view;
    pod->view.rules = &spec->view.rules;
    pod->view.owner = owner != NULL ? &owner->view : NULL;
    pod->view.created = s->now;
    pod->view.phase = PHASE_PENDING;
    pod->view.gated = spec->view.gated;
    if (name.len != 0)
        map_put(&s->pod_names, object_hash((struct sv){0}, spec->view.ns, name), pod->view.id);
    s->live_pods++;
    if (owner != NULL) {
        pod->at_owner = owner->pods.n;
        list_push(&owner->pods, pod);
        replicas_account(pod, 1);
        replicas_arm(s, owner);
    }
    return pod;
}

/* Adds (sign 1) or takes out (-1) the pod from its owner's count of the node. */
static void crowd_add(const struct pod *pod, int sign)
{
    struct workload *w = pod->owner;
    uint32_t id = pod->node->view.id;

    if (w->on_node_cap <= id) {
        size_t old = w->on_node_cap;

        w->on_node = vec_reserve(w->on_node, &w->on_node_cap, id + 1U, sizeof *w->on_node);
        memset(w->on_node + old, 0, (w->on_node_cap - old) * sizeof *w->on_node);
    }
    w->on_node[id].all += (uint32_t)sign;
    if (!pod->view.deleting)
        w->on_node[id].staying += (uint32_t)sign;
}

/* As resources_add(): saturated. */
static int64_t sum(int64_t a, int64_t b)
{
    int64_t result;

    if (__builtin_add_overflow(a, b, &result))
        return a < 0 ? INT64_MIN : INT64_MAX;
    return result;
}

/* Adds (sign 1) or takes out (-1) the pod from its node's sums. Only what it asks for changes. */
static void count_on_node(struct sim *s, struct pod *pod, int sign)
{
    struct node *node = pod->node;
    const struct spec *spec = pod->spec;

    for (size_t i = 0; i < spec->places.n; i++) {
        size_t place = spec->places.at[i];
        int64_t *used = &node->view.used.at[place];

        *used = sum(*used, sign > 0 ? spec->view.request.at[place] : -spec->view.request.at[place]);
        node->free.at[place] = sum(node->view.record.allocatable.at[place], -*used);
    }
    node->score_cpu += sign * spec->score_cpu;
    node->score_mem += sign * spec->score_mem;
    node->view.pods += (uint32_t)sign;
    pod->counted = sign > 0;

    if (pod->owner != NULL)
        crowd_add(pod, sign);
    shape_node_changed(s, node);
}

void pod_bind(struct sim *s, struct pod *pod, struct node *node)
{
    sched_dequeue(s, pod);
    pod_nominate(s, pod, NULL);
    pod->node = node;
    pod->view.node = &node->view;
    pod->view.bound_at = s->now;
    pod->view.unschedulable = false;
    node_take_in(s, node, pod);
    s->bound++;
    count_on_node(s, pod, 1);
}

void pod_finish(struct sim *s, struct pod *pod)
{
    replicas_account(pod, -1);
    pod->view.phase = PHASE_SUCCEEDED;
    pod->view.ready = false;
    replicas_account(pod, 1);
    count_on_node(s, pod, -1);
    if (pod->owner != NULL)
        replicas_arm(s, pod->owner);
    tell_pod(s, SIM_MODIFIED, pod);
    sched_wake_room(s);
}

void pod_nominate(struct sim *s, struct pod *pod, struct node *node)
{
    struct node *old = pod->nominated;

    if (old == node)
        return;
    if (old != NULL) {
        struct pod *moved = list_cut(&old->nominated, pod->at_nominated);

        if (moved != NULL)
            moved->at_nominated = pod->at_nominated;
        shape_node_changed(s, old);
    }
    pod->nominated = node;
    pod->view.nominated = node != NULL ? &node->view : NULL;
    if (node != NULL) {
        pod->at_nominated = node->nominated.n;
        list_push(&node->nominated, pod);
        shape_node_changed(s, node);
    }
    if (old != NULL)
        node_drop_if_unused(s, old);
}

void pod_ask_to_go(struct sim *s, struct pod *pod, int64_t grace_us)
{
    if (pod->node == NULL || pod_finished(pod) || grace_us == 0) {
        pod_gone(s, pod);
        return;
    }

    bool first = !pod->view.deleting;

    if (!first && grace_us >= pod->view.grace_us)
        return;
    replicas_account(pod, -1);
    if (first && pod->owner != NULL && pod->counted)
        pod->owner->on_node[pod->node->view.id].staying--;
    pod->view.deleting = true;
    replicas_account(pod, 1);
    pod->view.grace_us = grace_us;
    if (first)
        pod->view.deleted_at = s->now;
    kubelet_stop(s, pod);
    if (pod->owner != NULL)
        replicas_arm(s, pod->owner);
    tell_pod(s, SIM_MODIFIED, pod);
}

/* Takes the pod out of every list and sum. */
static void detach(struct sim *s, struct pod *pod)
{
    struct pod *moved;

    sched_dequeue(s, pod);
    pod_nominate(s, pod, NULL);
    if (pod->counted)
        count_on_node(s, pod, -1);
    if (pod->node != NULL) {
        s->bound--;
        node_let_go(pod->node, pod);
    }
    if (pod->owner != NULL) {
        replicas_account(pod, -1);
        moved = list_cut(&pod->owner->pods, pod->at_owner);
        if (moved != NULL)
            moved->at_owner = pod->at_owner;
        replicas_arm(s, pod->owner);
    }
}

void pod_release(struct pod *pod)
{
    free((char *)pod->view.name.at);
    free(pod->own_rules);
    spec_unref(pod->spec);
    *pod = (struct pod){.live = false};
}

void pod_gone(struct sim *s, struct pod *pod)
{
    bool freed_room = pod->counted || pod->nominated != NULL;
    struct node *node = pod->node;
    uint32_t id = pod->view.id;

    if (pod->view.name.len != 0)
        map_remove(&s->pod_names, pod_hash(s, id), id);
    detach(s, pod);
    tell_pod(s, SIM_DELETED, pod);
    pod_release(pod);
    s->live_pods--;
    VEC_PUSH(s->free_pods, s->n_free_pods, s->free_pods_cap, id);
    if (node != NULL)
        node_drop_if_unused(s, node);
    if (freed_room)
        sched_wake_room(s);
}

/* ---- nodes ---- */

struct node *node_add(struct sim *s, struct sv name)
{
    uint32_t id;
    struct node *node = xcalloc(1, sizeof *node);
    const struct node_record record = {.name = name};

    if (s->n_free_nodes != 0) {
        id = s->free_nodes[--s->n_free_nodes];
        s->nodes[id] = node;
    } else {
        id = (uint32_t)s->n_nodes;
        VEC_PUSH(s->nodes, s->n_nodes, s->nodes_cap, node);
    }
    node->live = true;
    node->packed = pack_node(&record);
    node->view = (struct sim_node){.id = id, .uid = sim_uid(s), .created = s->now};
    node->view.record.name = node->packed->name;
    map_put(&s->node_names, node_hash(s, id), id);
    s->live_nodes++;
    return node;
}

void node_set(struct sim *s, struct node *node, const struct node_record *record)
{
    struct packed_node *packed = pack_node(record);

    free(node->packed);
    node->packed = packed;
    node->view.record = (struct node_record){.name = packed->name,
                                             .uid = node->view.uid,
                                             .labels = packed->labels,
                                             .n_labels = packed->n_labels,
                                             .taints = packed->taints,
                                             .n_taints = packed->n_taints,
                                             .allocatable = record->allocatable,
                                             .unschedulable = record->unschedulable,
                                             .ready = record->ready};
    node->free = record->allocatable;
    resources_sub(&node->free, &node->view.used);
    node->facts = ++s->serial;
    s->sched.facts_clock = node->facts;
    shape_node_changed(s, node);
}

/* Is `a` more important than `b`: by priority, then by the second of its start; of equals the
 * scheduler takes the one that its cache has first. */
static bool more_important(const struct tenant *a, const struct tenant *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->started_s != b->started_s)
        return a->started_s < b->started_s;
    return a->pod->at_slot < b->pod->at_slot;
}

static struct tenant tenant_of(struct pod *pod)
{
    return (struct tenant){.pod = pod,
                           .request = &pod->spec->view.request,
                           .started_s = pod->started_s,
                           .priority = pod->spec->view.priority};
}

/* How many of the node's pods are more important. */
static size_t tenant_place(const struct node *node, const struct tenant *tenant)
{
    size_t low = 0, high = node->n_tenants;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (more_important(&node->tenants[middle], tenant))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Behind those that are as important: finished ones. */
static void insert_tenant(struct node *node, struct pod *pod)
{
    struct tenant tenant = tenant_of(pod);
    size_t at = tenant_place(node, &tenant);

    while (at < node->n_tenants && !more_important(&tenant, &node->tenants[at]))
        at++;
    VEC_PUSH(node->tenants, node->n_tenants, node->tenants_cap, tenant);
    memmove(&node->tenants[at + 1], &node->tenants[at],
            (node->n_tenants - 1 - at) * sizeof *node->tenants);
    node->tenants[at] = tenant;
}

static void take_tenant(struct node *node, struct pod *pod)
{
    struct tenant tenant = tenant_of(pod);
    size_t at = tenant_place(node, &tenant);

    while (node->tenants[at].pod != pod)
        at++;
    node->n_tenants--;
    memmove(&node->tenants[at], &node->tenants[at + 1],
            (node->n_tenants - at) * sizeof *node->tenants);
}

/* As the scheduler's cache does it: the last one takes the place of the one that goes. */
static void leave_slot(struct node *node, struct pod *pod)
{
    if (pod->at_slot == SIZE_MAX)
        return;

    struct pod *last = node->slots.at[node->slots.n - 1];

    if (last == pod) {
        node->slots.n--;
    } else {
        take_tenant(node, last);
        (void)list_cut(&node->slots, pod->at_slot);
        last->at_slot = pod->at_slot;
        insert_tenant(node, last);
    }
    pod->at_slot = SIZE_MAX;
}

static void take_slot_on(struct node *node, struct pod *pod)
{
    pod->at_slot = node->slots.n;
    list_push(&node->slots, pod);
}

void node_take_in(const struct sim *s, struct node *node, struct pod *pod)
{
    pod->started_s = sim_seconds(s, pod->view.bound_at);
    take_slot_on(node, pod);
    insert_tenant(node, pod);
}

void node_let_go(struct node *node, struct pod *pod)
{
    take_tenant(node, pod);
    leave_slot(node, pod);
}

void node_heard_of(struct node *node, struct pod *pod)
{
    if (pod->at_slot == node->slots.n - 1 && !pod_finished(pod))
        return;

    take_tenant(node, pod);
    leave_slot(node, pod);
    if (!pod_finished(pod))
        take_slot_on(node, pod);
    insert_tenant(node, pod);
}

void node_release(struct node *node)
{
    free(node->packed);
    free(node->tenants);
    free(node->nominated.at);
    free(node->slots.at);
    free(node);
}

void node_drop_if_unused(struct sim *s, struct node *node)
{
    uint32_t id = node->view.id;

    if (!node->view.gone || node->n_tenants != 0 || node->nominated.n != 0)
        return;
    map_remove(&s->node_names, node_hash(s, id), id);
    node_release(node);
    s->nodes[id] = NULL;
    VEC_PUSH(s->free_nodes, s->n_free_nodes, s->free_nodes_cap, id);
}
