/*
 * The live controller as a pilot: what the agent does with a plan, in the simulation. Facts reach the
 * planner at once; what they would take to come is a part of setting.api_us.
 */
#include "base/num.h"
#include "policy/planner.h"
#include "policy/schedule.h"
#include "policy/sim/replay_parts.h"

struct brim {
    struct replay_world *w;
    struct planner *planner;
    int filler;
    const struct policy *policy; /* in force: `text`, or `effective` */
    const struct policy *text;
    struct policy effective; /* what the schedule makes of it; borrows from the text */
    struct mono change;      /* when it is another, SIM_NEVER: never */
    struct planner_plan plan;
};

/* ---- facts ---- */

static void see_pod(struct brim *b, const struct sim_event *e, uint32_t pod)
{
    if (e->verb == SIM_DELETED) {
        (void)planner_drop_pod(b->planner, e->pod->uid, e->at);
        return;
    }

    struct pod_record record = sim_pod_record(b->w->sim, e->pod);

    (void)planner_put_pod(b->planner, &record, pod == REPLAY_FILLER ? b->filler : CLUSTER_PAID,
                          false, e->at);
}

static void see_node(struct brim *b, const struct sim_event *e)
{
    if (e->verb == SIM_DELETED)
        planner_drop_node(b->planner, e->node->record.name);
    else
        planner_put_node(b->planner, &e->node->record);
}

static void see(void *self, const struct sim_event *e, uint32_t pod)
{
    struct brim *b = self;
    struct mono wake = mono_plus_us(e->at, b->w->setting->gather_us);

    if (e->kind == SIM_POD)
        see_pod(b, e, pod);
    else if (e->kind == SIM_NODE)
        see_node(b, e);
    if (wake.us < b->w->wake.us)
        b->w->wake = wake;
}

/* ---- writes ---- */

/* One write of the scale is under way at most: the newest value counts, and a yield is not kept waiting by a growth. */
static void write_scale(struct brim *b, struct mono now)
{
    const struct decision *d = &b->plan.decision;
    const struct replay_setting *s = b->w->setting;
    struct action a = {.act = ACT_SCALE, .value = (int32_t)d->replicas};
    size_t i = 0;

    while (i < b->w->n_actions && b->w->actions[i].act != ACT_SCALE)
        i++;

    bool is_under_way = i < b->w->n_actions;
    struct action before = is_under_way ? b->w->actions[i] : a;

    if (is_under_way)
        world_drop_action(b->w, i);
    if (!d->write)
        return;
    a.due = mono_plus_us(now, s->api_us);
    if (d->replicas > b->w->filler->replicas)
        a.due.us += s->grow_us;
    if (is_under_way && before.due.us < a.due.us)
        a.due = before.due;
    world_act(b->w, a);
}

/* The write to one filler pod; its id tells it as long as its uid is the same. */
static struct action pod_write(const struct brim *b, enum act act, struct sv name, struct uid uid,
                               struct mono now)
{
    const struct sim_pod *pod = sim_pod_find(b->w->sim, SV(REPLAY_FILLER_NS), name);

    return (struct action){.due = mono_plus_us(now, b->w->setting->api_us),
                           .act = act,
                           .pod = pod != NULL ? pod->id : UINT32_MAX,
                           .uid = uid};
}

static void write_pods(struct brim *b, struct mono now)
{
    const struct placement_plan *plan = b->plan.placement;
    const struct cluster *cluster = planner_cluster(b->planner);

    for (size_t i = 0; plan != NULL && i < plan->n_costs; i++) {
        const struct placement_cost *cost = &plan->costs[i];
        struct action a = pod_write(b, ACT_COST, cost->name, cost->uid, now);

        a.value = cost->cost;
        world_act(b->w, a);
    }
    for (size_t i = 0; plan != NULL && i < plan->n_admit; i++) {
        const struct placement_admission *let = &plan->admit[i];
        struct action a = pod_write(b, ACT_ADMIT, let->name, let->uid, now);
        const struct sim_node *node =
            sim_node_find(b->w->sim, sv_from(cluster_node(cluster, let->node)->name));

        a.node = node != NULL ? node->id : UINT32_MAX;
        world_act(b->w, a);
    }
}

static void carried_out(void *self, const struct action *a, bool ok, struct mono now)
{
    struct brim *b = self;

    switch (a->act) {
    case ACT_SCALE:
        planner_wrote(b->planner, b->filler, a->value, now);
        break;
    case ACT_ADMIT:
        planner_admitted(b->planner, b->filler, a->uid, ok, now);
        break;
    case ACT_COST:
        planner_costed(b->planner, b->filler, a->uid, a->value, ok);
        break;
    }
}

/* ---- a step ---- */

static void show(struct brim *b, struct mono now)
{
    struct replay_row *row = &b->w->meter->shown;
    struct replay_result *r = b->w->meter->result;
    const struct planner_plan *plan = &b->plan;
    const struct replay_step step = {.at_us = now.us, .set_point = plan->decision.set_point};

    row->rise_milli = plan->headroom.rise;
    row->headroom_milli = plan->headroom.milli;
    row->kind = (int32_t)plan->headroom.kind;
    row->slots = plan->decision.slots;
    row->kept_slots = plan->decision.kept_slots;
    row->set_point = plan->decision.set_point;
    row->damped = plan->decision.damped;
    if (r->n_steps == 0 || r->steps[r->n_steps - 1].set_point != step.set_point)
        VEC_PUSH(r->steps, r->n_steps, r->steps_cap, step);
}

/* The policy as it is at this time. The filler's pods were made for one placement. */
static void follow_schedule(struct brim *b, struct mono now)
{
    int64_t began_us = b->w->trace->began.us;
    struct wall next = {.us = INT64_MAX};

    if (now.us < b->change.us)
        return;
    b->change.us =
        schedule_at(b->text, (struct wall){.us = began_us + now.us}, &b->effective, &next)
            ? next.us - began_us
            : SIM_NEVER;
    b->effective.placement = b->text->placement;
    b->policy = &b->effective;
    planner_set_policy(b->planner, b->filler, b->policy);
}

static struct mono step(void *self, struct mono now)
{
    struct brim *b = self;

    follow_schedule(b, now);

    struct mono tick = mono_plus_us(now, b->policy->advanced.tick_us);
    const struct planner_input in = {
        .known = true, .fresh = true, .carries_out = true, .replicas = b->w->filler->replicas};
    struct planner_result result = planner_step(b->planner, &in, &b->plan, now);

    show(b, now);
    write_pods(b, now); /* deletion costs before the scale */
    write_scale(b, now);
    if (result.has_wake && result.wake.us < tick.us)
        tick = result.wake;
    return (struct mono){.us = min_i64(tick.us, b->change.us)};
}

static void learned(const struct brim *b, struct replay_result *r)
{
    const struct headroom_state *h = &b->plan.headroom;

    r->has_learned = true;
    r->learned = (struct replay_learned){.need_milli = h->need,
                                         .usual_milli = h->usual,
                                         .arrivals = h->arrivals,
                                         .above = h->above,
                                         .surges = h->surges,
                                         .expected_came = h->expected_came,
                                         .expected_missed = h->expected_missed,
                                         .hole_slots = b->plan.hole_slots,
                                         .capped = h->capped};
    r->refused = planner_placement(b->planner, b->filler).refused;
}

/* ---- a run ---- */

static bool fly(struct brim *b, struct err *err)
{
    const struct replay_setting *s = b->w->setting;
    const struct pod_rules anywhere = {0};
    const struct planner_shape shape = {
        .request = s->filler,
        .rules = &anywhere,
        .claims = {.priority = REPLAY_FILLER_PRIORITY(s),
                   .own_class = !s->same_class,
                   .grace_us = s->grace_us},
        .start_us = s->start_us,
    };

    b->filler = planner_add(b->planner, b->policy);
    planner_set_shape(b->planner, b->filler, &shape);
    b->w->pilot = (struct replay_pilot){.see = see, .step = step, .self = b};
    b->w->done = carried_out;
    b->w->done_self = b;
    b->w->wake = (struct mono){.us = 1}; /* what is there at 0 did not arrive */
    return world_add_filler(b->w, 0, b->policy->placement == PLACEMENT_GATE, err) &&
           world_play(b->w, err);
}

bool replay_run(const struct trace *trace, const struct replay_setting *setting,
                const struct oracle *past, const struct policy *policy,
                struct replay_result *ret_result, struct err *err)
{
    struct replay_setting own = *setting;
    struct replay_result result = {0};
    struct replay_world w;
    struct meter meter;
    struct brim b = {.w = &w, .policy = policy, .text = policy};
    bool ok;

    own.placement = policy->placement;
    b.change.us = trace->dated && policy->n_overrides != 0 ? 0 : SIM_NEVER;
    world_init(&w, trace, &own);
    meter_init(&meter, trace, &own, trace_allocatable(trace), &result);
    w.meter = &meter;
    b.planner = planner_new();
    ok = fly(&b, err);
    if (ok) {
        meter_finish(&meter, past);
        learned(&b, &result);
        *ret_result = result;
    } else {
        replay_result_done(&result);
    }
    planner_free(b.planner);
    meter_done(&meter);
    world_done(&w);
    return ok;
}
