#include "policy/sim/sim.h"

#include <assert.h>

#include "policy/sim/parts.h"

/* What a round of an HPA takes by itself: the next one is due 15 s after its end, so that rounds
 * are a little more than 15 s apart and a proposal of 20 rounds ago is out of a window of 300 s. */
#define HPA_ROUND_US (10 * US_PER_MS)

static const char *const kind_names[] = {
    [SIM_NODE] = "Node", [SIM_POD] = "Pod", [SIM_WORKLOAD] = "Workload"};
_Static_assert(COUNT_OF(kind_names) == SIM_KIND_COUNT_, "a kind has no name");

static const char *const verb_names[] = {
    [SIM_ADDED] = "ADDED", [SIM_MODIFIED] = "MODIFIED", [SIM_DELETED] = "DELETED"};
_Static_assert(COUNT_OF(verb_names) == SIM_VERB_COUNT_, "a verb has no name");

const char *sim_kind_name(enum sim_kind kind)
{
    return kind_names[kind];
}

const char *sim_verb_name(enum sim_verb verb)
{
    return verb_names[verb];
}

struct sim_pod_spec sim_pod_spec_default(void)
{
    return (struct sim_pod_spec){.ns = SV("default"),
                                 .request = {.at = {[RESOURCE_PODS] = 1}},
                                 .grace_us = 30 * US_PER_S,
                                 .start_us = 2 * US_PER_S,
                                 .exit_us = US_PER_S};
}

struct sim_config sim_config_default(void)
{
    return (struct sim_config){.seed = 1,
                               .attempt_us = 1500,
                               .backoff_us = US_PER_S,
                               .backoff_max_us = 10 * US_PER_S,
                               .flush_us = 300 * US_PER_S,
                               .react_us = 5 * US_PER_MS,
                               .call_us = 2 * US_PER_MS,
                               .client_rate = 20,
                               .client_burst = 30,
                               .orphan_us = 40 * US_PER_S};
}

struct sim *sim_new(const struct sim_config *config)
{
    struct sim *s = xcalloc(1, sizeof *s);

    s->config = *config;
    s->now = config->start;
    for (uint64_t i = 0; i < CHANCE_COUNT_; i++)
        s->random[i] = sim_seed(s, i);
    s->client = (struct client){.tokens = config->client_burst * INT64_C(1000000), .at = s->now};
    map_init(&s->node_names, &node_map_ops, s);
    map_init(&s->pod_names, &pod_map_ops, s);
    map_init(&s->workload_names, &workload_map_ops, s);
    sched_init(&s->sched);
    return s;
}

static void workload_release(struct workload *w)
{
    free(w->kind);
    free(w->name);
    free(w->on_node);
    free(w->pods.at);
    spec_unref(w->template);
    free(w);
}

void sim_free(struct sim *s)
{
    if (s == NULL)
        return;
    for (uint32_t id = 0; id < s->n_pods; id++) {
        if (pod_at(s, id)->live)
            pod_release(pod_at(s, id));
    }
    for (size_t i = 0; i * POD_CHUNK < s->n_pods; i++)
        free(s->pod_chunks[i]);
    for (size_t i = 0; i < s->n_nodes; i++) {
        if (s->nodes[i] != NULL)
            node_release(s->nodes[i]);
    }
    for (size_t i = 0; i < s->n_workloads; i++) {
        if (s->workloads[i] != NULL)
            workload_release(s->workloads[i]);
    }
    for (size_t i = 0; i < s->n_hpas; i++)
        hpa_free(s->hpas[i].hpa);
    for (size_t i = 0; i < s->n_kept; i++)
        spec_unref(s->kept[i]);
    sched_done(&s->sched);
    map_done(&s->node_names);
    map_done(&s->pod_names);
    map_done(&s->workload_names);
    free(s->pod_chunks);
    free(s->nodes);
    free(s->workloads);
    free(s->free_nodes);
    free(s->free_pods);
    free(s->free_workloads);
    free(s->hpas);
    free(s->kept);
    free(s->timeline.at);
    free(s);
}

/* ---- time ---- */

struct mono sim_now(const struct sim *s)
{
    return s->now;
}

struct wall sim_wall(const struct sim *s, struct mono t)
{
    return (struct wall){.us = s->config.epoch.us + t.us};
}

uint64_t sim_version(const struct sim *s)
{
    return s->version;
}

struct mono sim_next(const struct sim *s)
{
    return s->timeline.n != 0 ? s->timeline.at[0].at : (struct mono){.us = SIM_NEVER};
}

/* The workload with this id, if it is still the one that was meant. */
static struct workload *meant_workload(const struct sim *s, uint32_t id, uint64_t serial)
{
    struct workload *w = id < s->n_workloads ? s->workloads[id] : NULL;

    return w != NULL && w->serial == serial ? w : NULL;
}

static struct pod *meant_pod(const struct sim *s, uint32_t id, uint64_t serial)
{
    struct pod *pod = id < s->n_pods ? pod_at(s, id) : NULL;

    return pod != NULL && pod->live && pod->serial == serial ? pod : NULL;
}

static void orphans_go(struct sim *s, struct node *node)
{
    while (node->n_tenants > 1)
        pod_gone(s, node->tenants[node->n_tenants - 1].pod);
    /* The node goes with its last pod. */
    if (node->n_tenants == 1)
        pod_gone(s, node->tenants[0].pod);
}

static void hpa_goes_round(struct sim *s, const struct timed *e)
{
    struct autoscaler *a = &s->hpas[e->id];
    struct workload *w = meant_workload(s, a->workload, a->serial);
    struct hpa_input in;

    if (w == NULL)
        return;
    in = (struct hpa_input){.replicas = w->view.replicas,
                            .status_replicas = w->view.status.replicas,
                            .ready = w->ready_any};
    s->telling = true;
    for (size_t i = 0; i < hpa_spec(a->hpa)->n_metrics; i++)
        in.readings[i] = a->metrics.read(a->metrics.self, i, s->now);
    s->telling = false;

    struct hpa_result result = hpa_round(a->hpa, &in, s->now);

    if (result.outcome == HPA_RESCALED)
        sim_workload_scale(s, &w->view, result.replicas);
    timeline_add(s, mono_plus_us(s->now, HPA_SYNC_US + HPA_ROUND_US), *e);
}

static void happen_to_pod(struct sim *s, const struct timed *e)
{
    struct pod *pod = meant_pod(s, e->id, e->serial);

    if (pod == NULL)
        return;
    if (e->what == HAPPEN_RUNNING)
        kubelet_running(s, pod);
    else if (e->what == HAPPEN_READY)
        kubelet_ready(s, pod);
    else if (e->what == HAPPEN_DONE)
        kubelet_done(s, pod);
    else if (pod->exit_at.us == e->at.us)
        pod_gone(s, pod);
}

static void happen_to_workload(struct sim *s, const struct timed *e)
{
    struct workload *w = e->what == HAPPEN_SYNC ? meant_workload(s, e->id, e->serial)
                                                : meant_workload(s, e->other, e->other_serial);

    if (w == NULL)
        return;
    if (e->what == HAPPEN_SYNC)
        replicas_sync(s, w);
    else if (e->what == HAPPEN_CREATE)
        replicas_created(s, w);
    else
        replicas_deleted(s, w, meant_pod(s, e->id, e->serial));
}

static void happen_to_node(struct sim *s, const struct timed *e)
{
    struct node *node = e->id < s->n_nodes ? s->nodes[e->id] : NULL;

    if (node != NULL && node->view.gone && node->removed == e->serial)
        orphans_go(s, node);
}

static void happen(struct sim *s, const struct timed *e)
{
    switch (e->what) {
    case HAPPEN_ATTEMPT:
        sched_attempt(s);
        break;
    case HAPPEN_FLUSH:
        sched_flush(s);
        break;
    case HAPPEN_RUNNING:
    case HAPPEN_READY:
    case HAPPEN_DONE:
    case HAPPEN_EXIT:
        happen_to_pod(s, e);
        break;
    case HAPPEN_ORPHANS:
        happen_to_node(s, e);
        break;
    case HAPPEN_SYNC:
    case HAPPEN_CREATE:
    case HAPPEN_DELETE:
        happen_to_workload(s, e);
        break;
    case HAPPEN_HPA:
        hpa_goes_round(s, e);
        break;
    case HAPPEN_COUNT_:
        break;
    }
}

void sim_run_until(struct sim *s, struct mono t)
{
    struct timed e;

    assert(!s->telling);
    while (timeline_take(s, t, &e)) {
        s->now = e.at;
        happen(s, &e);
    }
    if (t.us > s->now.us)
        s->now = t;
}

/* ---- nodes ---- */

/* By name; removed ones whose pods are still to go, too. */
static struct node *find_node(const struct sim *s, struct sv name)
{
    const struct object_key key = {.name = name};
    uint32_t id = map_find(&s->node_names, object_hash((struct sv){0}, (struct sv){0}, name), &key);

    return id != MAP_NONE ? node_at(s, id) : NULL;
}

bool sim_node_put(struct sim *s, const struct node_record *record, const struct sim_node **ret_node,
                  struct err *err)
{
    struct node *node = find_node(s, record->name);
    bool added = node == NULL || node->view.gone;

    assert(!s->telling);
    if (record->name.len == 0)
        return err_set(err, ERR_INPUT, 0, "a node needs a name");
    if (added && s->live_nodes >= SIM_MAX_NODES)
        return err_set(err, ERR_LIMIT, 0, "more than %d nodes", SIM_MAX_NODES);
    if (node == NULL) {
        node = node_add(s, record->name);
    } else if (added) {
        node->view.gone = false;
        node->view.uid = sim_uid(s);
        node->view.created = s->now;
        s->live_nodes++;
    }
    node_set(s, node, record);
    tell_node(s, added ? SIM_ADDED : SIM_MODIFIED, node);
    sched_wake_node(s, node);
    *ret_node = &node->view;
    return true;
}

void sim_node_remove(struct sim *s, const struct sim_node *view)
{
    struct node *node = node_at(s, view->id);

    assert(!s->telling);
    if (node->view.gone)
        return;
    for (size_t i = node->nominated.n; i-- > 0;) {
        struct pod *pod = node->nominated.at[i];

        pod_nominate(s, pod, NULL);
        tell_pod(s, SIM_MODIFIED, pod);
    }
    node->view.gone = true;
    node->facts = ++s->serial;
    s->sched.facts_clock = node->facts;
    node->removed++;
    s->live_nodes--;
    shape_node_changed(s, node);
    tell_node(s, SIM_DELETED, node);
    if (node->n_tenants != 0)
        timeline_add(
            s, mono_plus_us(s->now, s->config.orphan_us),
            (struct timed){.what = HAPPEN_ORPHANS, .id = view->id, .serial = node->removed});
    node_drop_if_unused(s, node);
}

/* ---- pods ---- */

/* Takes over a reference to the spec. */
static bool create(struct sim *s, struct sv name, struct spec *spec, const struct sim_node *node,
                   const struct sim_pod **ret_pod, struct err *err)
{
    struct pod *pod = pod_add(s, name, spec, NULL);

    if (pod == NULL)
        return err_set(err, ERR_LIMIT, 0, "more than %d pods", SIM_MAX_PODS);
    if (node != NULL)
        pod_bind(s, pod, node_at(s, node->id));
    tell_pod(s, SIM_ADDED, pod);
    if (node != NULL)
        kubelet_bound(s, pod);
    else if (!pod->view.gated)
        sched_enqueue(s, pod);
    *ret_pod = &pod->view;
    return true;
}

bool sim_pod_create(struct sim *s, struct sv name, const struct sim_pod_spec *spec,
                    const struct sim_node *node, const struct sim_pod **ret_pod, struct err *err)
{
    char made[32];

    assert(!s->telling);
    if (name.len == 0) {
        pod_make_name(s, spec->ns, "", made, sizeof made);
        name = sv_from(made);
    } else if (sim_pod_find(s, spec->ns, name) != NULL) {
        return err_set(err, ERR_CONFLICT, 0, "pod %.*s/%.*s exists", SV_ARG(spec->ns),
                       SV_ARG(name));
    }

    return create(s, name, spec_new(spec), node, ret_pod, err);
}

const struct sim_pod_spec *sim_spec_keep(struct sim *s, const struct sim_pod_spec *from)
{
    struct spec *spec = spec_new(from);

    VEC_PUSH(s->kept, s->n_kept, s->kept_cap, spec);
    return &spec->view;
}

bool sim_pod_create_kept(struct sim *s, const struct sim_pod_spec *kept,
                         const struct sim_node *node, const struct sim_pod **ret_pod,
                         struct err *err)
{
    struct spec *spec = (struct spec *)kept; /* its first member */

    assert(!s->telling);
    spec->refs++;
    return create(s, (struct sv){0}, spec, node, ret_pod, err);
}

void sim_pod_delete(struct sim *s, const struct sim_pod *view, int64_t grace_us)
{
    struct pod *pod = pod_at(s, view->id);

    assert(!s->telling);
    pod_ask_to_go(s, pod, grace_us < 0 ? pod->spec->view.grace_us : grace_us);
}

static void set_rules(struct pod *pod, const struct pod_rules *rules)
{
    struct packed_rules *old = pod->own_rules;

    pod->own_rules = pack_rules(rules); /* `rules` may lie in the old ones */
    free(old);
    pod->view.rules = &pod->own_rules->rules;
    pod->pin = rules_pin(pod->view.rules);
}

void sim_pod_patch(struct sim *s, const struct sim_pod *view, const struct sim_pod_patch *patch)
{
    struct pod *pod = pod_at(s, view->id);
    bool let_in = patch->ungate && pod->view.gated;

    assert(!s->telling);
    if (patch->rules != NULL)
        set_rules(pod, patch->rules);
    if (patch->has_cost)
        pod->view.deletion_cost = patch->cost;
    if (let_in)
        pod->view.gated = false;
    tell_pod(s, SIM_MODIFIED, pod);
    if (let_in && pod->node == NULL)
        sched_enqueue(s, pod);
    else if (patch->rules != NULL)
        sched_wake(s, pod);
}

/* ---- workloads ---- */

static uint32_t place_workload(struct sim *s, struct workload *w)
{
    uint32_t id;

    if (s->n_free_workloads != 0) {
        id = s->free_workloads[--s->n_free_workloads];
        s->workloads[id] = w;
    } else {
        id = (uint32_t)s->n_workloads;
        VEC_PUSH(s->workloads, s->n_workloads, s->workloads_cap, w);
    }
    return id;
}

bool sim_workload_add(struct sim *s, const struct sim_workload_spec *spec,
                      const struct sim_workload **ret_workload, struct err *err)
{
    assert(!s->telling);
    if (sim_workload_find(s, spec->kind, spec->template.ns, spec->name) != NULL)
        return err_set(err, ERR_CONFLICT, 0, "%.*s %.*s/%.*s exists", SV_ARG(spec->kind),
                       SV_ARG(spec->template.ns), SV_ARG(spec->name));
    if (spec->name.len == 0 || spec->name.len > 253)
        return err_set(err, ERR_INPUT, 0, "a name of %zu bytes, expected 1 to 253", spec->name.len);
    if (s->live_workloads >= SIM_MAX_WORKLOADS)
        return err_set(err, ERR_LIMIT, 0, "more than %d workloads", SIM_MAX_WORKLOADS);

    struct workload *w = xcalloc(1, sizeof *w);

    w->serial = ++s->serial;
    w->kind = sv_dup(spec->kind);
    w->name = sv_dup(spec->name);
    w->template = spec_new(&spec->template);
    w->view = (struct sim_workload){.uid = sim_uid(s),
                                    .kind = {.at = w->kind, .len = spec->kind.len},
                                    .ns = w->template->view.ns,
                                    .name = {.at = w->name, .len = spec->name.len},
                                    .template = &w->template->view,
                                    .created = s->now,
                                    .generation = 1,
                                    .replicas = spec->replicas > 0 ? spec->replicas : 0};
    w->view.id = place_workload(s, w);
    map_put(&s->workload_names, object_hash(w->view.kind, w->view.ns, w->view.name), w->view.id);
    s->live_workloads++;
    tell_workload(s, SIM_ADDED, w);
    replicas_arm(s, w);
    *ret_workload = &w->view;
    return true;
}

void sim_workload_scale(struct sim *s, const struct sim_workload *view, int32_t replicas)
{
    struct workload *w = workload_at(s, view->id);

    assert(!s->telling);
    if (replicas < 0)
        replicas = 0;
    if (replicas == w->view.replicas)
        return;
    w->view.replicas = replicas;
    w->view.generation++;
    tell_workload(s, SIM_MODIFIED, w);
    replicas_arm(s, w);
}

void sim_workload_template(struct sim *s, const struct sim_workload *view,
                           const struct sim_pod_spec *template)
{
    struct workload *w = workload_at(s, view->id);
    struct spec *old = w->template;
    struct sim_pod_spec spec = *template;

    assert(!s->telling);
    spec.ns = w->view.ns;
    w->template = spec_new(&spec);
    w->view.template = &w->template->view;
    w->view.ns = w->template->view.ns;
    w->view.generation++;
    spec_unref(old);
    tell_workload(s, SIM_MODIFIED, w);
}

void sim_workload_remove(struct sim *s, const struct sim_workload *view)
{
    uint32_t id = view->id;
    struct workload *w = workload_at(s, id);
    struct pod_list pods = w->pods;

    assert(!s->telling);
    w->pods = (struct pod_list){0};
    for (size_t i = 0; i < pods.n; i++) {
        pods.at[i]->owner = NULL;
        pods.at[i]->view.owner = NULL;
    }
    tell_workload(s, SIM_DELETED, w);
    map_remove(&s->workload_names, object_hash(w->view.kind, w->view.ns, w->view.name), id);
    workload_release(w);
    s->workloads[id] = NULL;
    s->live_workloads--;
    VEC_PUSH(s->free_workloads, s->n_free_workloads, s->free_workloads_cap, id);
    for (size_t i = 0; i < pods.n; i++)
        pod_ask_to_go(s, pods.at[i], pods.at[i]->spec->view.grace_us);
    free(pods.at);
}

bool sim_hpa_add(struct sim *s, const struct sim_workload *view, const struct hpa_spec *spec,
                 const struct sim_metrics *metrics, struct mono first, struct err *err)
{
    struct autoscaler a = {.metrics = *metrics, .workload = view->id};

    a.serial = workload_at(s, view->id)->serial;
    if (!hpa_new(spec, &a.hpa, err))
        return err_wrap(err, "HPA of %.*s", SV_ARG(view->name));
    VEC_PUSH(s->hpas, s->n_hpas, s->hpas_cap, a);
    timeline_add(s, first, (struct timed){.what = HAPPEN_HPA, .id = (uint32_t)s->n_hpas - 1});
    return true;
}

/* ---- queries ---- */

uint32_t sim_node_limit(const struct sim *s)
{
    return (uint32_t)s->n_nodes;
}

const struct sim_node *sim_node_at(const struct sim *s, uint32_t id)
{
    if (id >= s->n_nodes || s->nodes[id] == NULL || s->nodes[id]->view.gone)
        return NULL;
    return &s->nodes[id]->view;
}

uint32_t sim_pod_limit(const struct sim *s)
{
    return (uint32_t)s->n_pods;
}

const struct sim_pod *sim_pod_at(const struct sim *s, uint32_t id)
{
    return id < s->n_pods && pod_at(s, id)->live ? &pod_at(s, id)->view : NULL;
}

uint32_t sim_workload_limit(const struct sim *s)
{
    return (uint32_t)s->n_workloads;
}

const struct sim_workload *sim_workload_at(const struct sim *s, uint32_t id)
{
    return id < s->n_workloads && s->workloads[id] != NULL ? &s->workloads[id]->view : NULL;
}

const struct sim_node *sim_node_find(const struct sim *s, struct sv name)
{
    const struct node *node = find_node(s, name);

    return node != NULL && !node->view.gone ? &node->view : NULL;
}

const struct sim_pod *sim_pod_find(const struct sim *s, struct sv ns, struct sv name)
{
    const struct object_key key = {.ns = ns, .name = name};

    return sim_pod_at(s, map_find(&s->pod_names, object_hash((struct sv){0}, ns, name), &key));
}

const struct sim_workload *sim_workload_find(const struct sim *s, struct sv kind, struct sv ns,
                                             struct sv name)
{
    const struct object_key key = {.kind = kind, .ns = ns, .name = name};

    return sim_workload_at(s, map_find(&s->workload_names, object_hash(kind, ns, name), &key));
}

struct sim_counts sim_counts(const struct sim *s)
{
    return (struct sim_counts){.nodes = s->live_nodes,
                               .workloads = s->live_workloads,
                               .pods = s->live_pods,
                               .bound = s->bound,
                               .pending = s->live_pods - s->bound,
                               .attempts = s->sched.attempts,
                               .bindings = s->sched.bindings,
                               .preemptions = s->sched.preemptions};
}

struct pod_record sim_pod_record(const struct sim *s, const struct sim_pod *pod)
{
    const struct sim_pod_spec *spec = pod->spec;
    struct pod_record r = {.ns = spec->ns,
                           .name = pod->name,
                           .uid = pod->uid,
                           .labels = spec->labels,
                           .n_labels = spec->n_labels,
                           .priority_class = spec->priority_class,
                           .request = spec->request,
                           .rules = *pod->rules,
                           .created = sim_wall(s, pod->created),
                           .grace_s = spec->grace_us / US_PER_S,
                           .priority = spec->priority,
                           .deletion_cost = pod->deletion_cost,
                           .phase = pod->phase,
                           .preempts_never = spec->preempts_never,
                           .gated = pod->gated,
                           .deleting = pod->deleting,
                           .ready = pod->ready,
                           .unschedulable = pod->unschedulable};

    if (pod->owner != NULL) {
        r.owner_uid = pod->owner->uid;
        r.owner_kind = pod->owner->kind;
        r.owner_name = pod->owner->name;
    }
    if (pod->node != NULL)
        r.node = pod->node->record.name;
    if (pod->nominated != NULL)
        r.nominated = pod->nominated->record.name;
    return r;
}
