#include "policy/sim/replay_parts.h"

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- what happens in the cluster ---- */

static void see_pod(struct replay_world *w, const struct sim_event *e)
{
    uint32_t id = e->pod->id, pod;

    if (e->verb == SIM_ADDED) {
        size_t old = w->pod_of_cap;

        if (id >= old) {
            w->pod_of = vec_reserve(w->pod_of, &w->pod_of_cap, id + 1U, sizeof *w->pod_of);
            memset(w->pod_of + old, 0, (w->pod_of_cap - old) * sizeof *w->pod_of);
        }
        w->pod_of[id] = e->pod->owner != NULL ? REPLAY_FILLER : w->coming;
    }
    pod = w->pod_of[id];
    if (w->meter != NULL && pod == REPLAY_FILLER)
        meter_see_filler(w->meter, e);
    else if (w->meter != NULL)
        meter_see_paid(w->meter, w->sim, e, pod);
    if (w->pilot.see != NULL)
        w->pilot.see(w->pilot.self, e, pod);
}

static void see(void *self, const struct sim_event *e)
{
    struct replay_world *w = self;

    if (w->meter != NULL)
        meter_advance(w->meter, e->at);
    if (e->kind == SIM_POD)
        see_pod(w, e);
    else if (w->pilot.see != NULL)
        w->pilot.see(w->pilot.self, e, TRACE_NO_POD);
}

void world_init(struct replay_world *w, const struct trace *trace,
                const struct replay_setting *setting)
{
    struct sim_config config = sim_config_default();

    *w = (struct replay_world){.trace = trace, .setting = setting, .wake = {.us = SIM_NEVER}};
    config.seed = setting->seed;
    config.react_us = setting->controller_us;
    config.observer = (struct sim_observer){.see = see, .self = w};
    w->sim = sim_new(&config);
    w->kinds = xcalloc(trace->n_kinds + 1, sizeof *w->kinds);
    w->nodes = xcalloc(trace->n_nodes + 1, sizeof *w->nodes);
    w->pods = xcalloc(trace->n_pods + 1, sizeof *w->pods);
}

void world_done(struct replay_world *w)
{
    sim_free(w->sim);
    free(w->kinds);
    free(w->nodes);
    free(w->pods);
    free(w->pod_of);
    free(w->actions);
}

bool world_add_filler(struct replay_world *w, int64_t replicas, bool gated, struct err *err)
{
    const struct replay_setting *s = w->setting;
    struct sim_workload_spec spec = {.kind = SV("Deployment"),
                                     .name = SV("filler"),
                                     .replicas = (int32_t)replicas,
                                     .template = sim_pod_spec_default()};

    spec.template.ns = SV(REPLAY_FILLER_NS);
    spec.template.request = s->filler;
    spec.template.priority = REPLAY_FILLER_PRIORITY(s);
    spec.template.preempts_never = true;
    spec.template.gated = gated;
    spec.template.packs = s->placement == PLACEMENT_AFFINITY;
    spec.template.start_us = s->start_us;
    spec.template.grace_us = s->grace_us;
    spec.template.exit_us = s->grace_us;
    return sim_workload_add(w->sim, &spec, &w->filler, err);
}

/* ---- rows of the trace ---- */

static bool node_is(struct replay_world *w, const struct trace_facts *facts, struct err *err)
{
    const struct node_record record = {.name = sv_from(w->trace->nodes[facts->node]),
                                       .allocatable = facts->allocatable,
                                       .unschedulable = facts->unschedulable,
                                       .ready = true};

    return sim_node_put(w->sim, &record, &w->nodes[facts->node], err);
}

static void node_goes(struct replay_world *w, uint32_t node)
{
    if (w->nodes[node] != NULL)
        sim_node_remove(w->sim, w->nodes[node]);
    w->nodes[node] = NULL;
}

/* The pods of a kind share a spec. They are gone at the time that the trace says, and it does not matter when they run. */
static const struct sim_pod_spec *kind_spec(struct replay_world *w, uint32_t index)
{
    /* As the DaemonSet controller gives its pods. */
    static const struct toleration cordon = {.key = SV("node.kubernetes.io/unschedulable"),
                                             .op = TOLERATE_EXISTS,
                                             .effect = EFFECT_NO_SCHEDULE};
    const struct trace_kind *kind = &w->trace->kinds[index];
    struct sim_pod_spec spec = sim_pod_spec_default();

    spec.request = kind->request;
    spec.priority = kind->priority;
    spec.preempts_never = kind->preempts_never;
    spec.start_us = SIM_NEVER;
    if (kind->node == TRACE_ANY_NODE)
        return sim_spec_keep(w->sim, &spec);

    const struct sv name = sv_from(w->trace->nodes[kind->node]);
    const struct requirement field = {
        .key = SV("metadata.name"), .op = OP_IN, .values = &name, .n_values = 1};
    const struct node_term term = {.fields = &field, .n_fields = 1};

    spec.rules = (struct pod_rules){.has_affinity = true,
                                    .terms = &term,
                                    .n_terms = 1,
                                    .tolerations = &cordon,
                                    .n_tolerations = 1};
    return sim_spec_keep(w->sim, &spec);
}

static bool pod_comes(struct replay_world *w, uint32_t index, struct err *err)
{
    const struct trace_pod *pod = &w->trace->pods[index];
    const struct sim_node *on = pod->found_on != TRACE_ANY_NODE ? w->nodes[pod->found_on] : NULL;

    if (w->kinds[pod->kind] == NULL)
        w->kinds[pod->kind] = kind_spec(w, pod->kind);
    w->coming = index;
    return sim_pod_create_kept(w->sim, w->kinds[pod->kind], on, &w->pods[index], err);
}

static void pod_goes(struct replay_world *w, uint32_t index)
{
    if (w->pods[index] != NULL)
        sim_pod_delete(w->sim, w->pods[index], 0);
    w->pods[index] = NULL;
}

static bool play_row(struct replay_world *w, const struct trace_row *row, struct err *err)
{
    switch (row->what) {
    case TRACE_NODE_IS:
        return node_is(w, &w->trace->facts[row->index], err);
    case TRACE_POD_COMES:
        return pod_comes(w, row->index, err);
    case TRACE_NODE_GOES:
        node_goes(w, row->index);
        break;
    case TRACE_POD_GOES:
        pod_goes(w, row->index);
        break;
    case TRACE_WHAT_COUNT_:
        break;
    }
    return true;
}

static bool play_rows(struct replay_world *w, int64_t until_us, struct err *err)
{
    const struct trace *t = w->trace;

    for (; w->row < t->n_rows && t->rows[w->row].at_us <= until_us; w->row++) {
        if (!play_row(w, &t->rows[w->row], err))
            return false;
    }
    return true;
}

/* ---- writes ---- */

void world_act(struct replay_world *w, struct action action)
{
    VEC_PUSH(w->actions, w->n_actions, w->actions_cap, action);
}

void world_drop_action(struct replay_world *w, size_t index)
{
    w->n_actions--;
    memmove(&w->actions[index], &w->actions[index + 1],
            (w->n_actions - index) * sizeof *w->actions);
}

static bool admit(struct replay_world *w, const struct action *a, const struct sim_pod *pod)
{
    const struct sim_node *node = sim_node_at(w->sim, a->node);

    if (node == NULL || !pod->gated)
        return false;

    const struct requirement field = {
        .key = SV("metadata.name"), .op = OP_IN, .values = &node->record.name, .n_values = 1};
    const struct node_term term = {.fields = &field, .n_fields = 1};
    const struct pod_rules rules = {.has_affinity = true, .terms = &term, .n_terms = 1};
    const struct sim_pod_patch patch = {.ungate = true, .rules = &rules};

    sim_pod_patch(w->sim, pod, &patch);
    return true;
}

static bool carry_out(struct replay_world *w, const struct action *a)
{
    const struct sim_pod *pod;

    if (a->act == ACT_SCALE) {
        if (w->meter != NULL)
            meter_wrote(w->meter, a->value);
        sim_workload_scale(w->sim, w->filler, a->value);
        return true;
    }
    if (w->meter != NULL)
        meter_pod_wrote(w->meter);
    pod = sim_pod_at(w->sim, a->pod);
    if (pod == NULL || !uid_eq(pod->uid, a->uid))
        return false;
    if (a->act == ACT_ADMIT)
        return admit(w, a, pod);

    const struct sim_pod_patch patch = {.has_cost = true, .cost = a->value};

    sim_pod_patch(w->sim, pod, &patch);
    return true;
}

/* In the order in which they were asked for; the rest closes up. */
static void carry_out_due(struct replay_world *w, struct mono now)
{
    size_t kept = 0;

    for (size_t i = 0; i < w->n_actions; i++) {
        struct action a = w->actions[i];

        if (a.due.us > now.us) {
            w->actions[kept++] = a;
            continue;
        }

        bool ok = carry_out(w, &a);

        if (w->done != NULL)
            w->done(w->done_self, &a, ok, now);
    }
    w->n_actions = kept;
}

/* ---- time ---- */

static struct mono next_moment(const struct replay_world *w)
{
    int64_t at = earlier(sim_next(w->sim).us, w->wake.us);

    if (w->row < w->trace->n_rows)
        at = earlier(at, w->trace->rows[w->row].at_us);
    for (size_t i = 0; i < w->n_actions; i++)
        at = earlier(at, w->actions[i].due.us);
    return (struct mono){.us = at};
}

static void tell_progress(struct replay_world *w, int64_t now_us)
{
    int percent = w->trace->end_us > 0 ? (int)(100 * (double)now_us / (double)w->trace->end_us) : 0;

    if (percent == w->percent || w->setting->progress == NULL)
        return;
    w->percent = percent;
    w->setting->progress(w->setting->self, percent);
}

bool world_play(struct replay_world *w, struct err *err)
{
    const struct mono end = {.us = w->trace->end_us};

    for (;;) {
        struct mono now = next_moment(w);

        if (now.us >= end.us)
            break;
        sim_run_until(w->sim, now);
        carry_out_due(w, now);
        if (w->pilot.step != NULL && w->wake.us <= now.us)
            w->wake = w->pilot.step(w->pilot.self, now);
        if (!play_rows(w, now.us, err))
            return false;
        tell_progress(w, now.us);
    }
    sim_run_until(w->sim, end);
    if (w->meter != NULL)
        meter_advance(w->meter, end);
    return true;
}

int32_t world_replicas(const struct replay_setting *setting, const struct oracle *past, int64_t n)
{
    int64_t most = earlier(setting->max_replicas, past->empty_slots);

    n = n < 0 ? 0 : n;
    return (int32_t)earlier(earlier(n, most), INT32_MAX);
}
