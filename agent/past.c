#include "agent/past.h"

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/map.h"
#include "base/num.h"

/* So many events are read between two looks at the clock. */
enum { LOOK_EVERY = 1024 };

struct paid_pod {
    uint64_t id;
    int64_t cpu_milli; /* what it adds to D now */
    bool counts;       /* bound, or waits and may claim */
    bool arrived;
};

struct past_node {
    uint64_t name_hash;
    int64_t cpu_milli;
};

/* D and the allocatable from `at` on. */
struct step {
    struct wall at;
    int64_t demand_milli, allocatable_milli;
    int64_t cpu_milli; /* of the pod that arrived with it */
    bool arrival;
    bool gap; /* nothing is known of the time before */
};

struct past {
    atomic_int refs;
    atomic_bool ready;
    struct wall from, until;
    struct clock clock;
    struct mono give_up_at;
    uint64_t events;
    bool cut; /* the newest part was not read */

    struct paid_pod *pods;
    size_t n_pods, cap_pods;
    struct map by_id;
    struct past_node *nodes;
    size_t n_nodes, cap_nodes;
    struct map by_name;
    int64_t demand_milli, allocatable_milli;

    struct wall *alive;
    size_t n_alive, cap_alive;
    struct wall last; /* of the newest event */
    struct step *steps;
    size_t n_steps, cap_steps;
    bool resetting; /* what comes is what was there at `last`, when recording went on */
    bool gap;       /* that was too long after it had ended */
};

static uint64_t pod_hash(const void *self, uint32_t index)
{
    return ((const struct past *)self)->pods[index].id * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

static bool pod_equal(const void *self, uint32_t index, const void *key)
{
    return ((const struct past *)self)->pods[index].id == *(const uint64_t *)key;
}

static uint64_t node_hash(const void *self, uint32_t index)
{
    return ((const struct past *)self)->nodes[index].name_hash;
}

static bool node_equal(const void *self, uint32_t index, const void *key)
{
    return ((const struct past *)self)->nodes[index].name_hash == *(const uint64_t *)key;
}

static const struct map_ops pod_ops = {.hash = pod_hash, .equal = pod_equal};
static const struct map_ops node_ops = {.hash = node_hash, .equal = node_equal};

struct past *past_new(void)
{
    struct past *p = xcalloc(1, sizeof *p);

    atomic_init(&p->refs, 1);
    atomic_init(&p->ready, false);
    map_init(&p->by_id, &pod_ops, p);
    map_init(&p->by_name, &node_ops, p);
    return p;
}

/* What is needed to read on. */
static void forget_world(struct past *p)
{
    map_clear(&p->by_id);
    map_clear(&p->by_name);
    p->n_pods = p->n_nodes = 0;
    p->demand_milli = p->allocatable_milli = 0;
}

void past_unref(struct past *p)
{
    if (p == NULL || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    map_done(&p->by_id);
    map_done(&p->by_name);
    free(p->pods);
    free(p->nodes);
    free(p->alive);
    free(p->steps);
    free(p);
}

void past_alive(struct past *p, struct wall at)
{
    VEC_PUSH(p->alive, p->n_alive, p->cap_alive, at);
}

/* The newest time at or before `at` at which the recording is known to have run. */
static struct wall recorded_until(const struct past *p, struct wall at)
{
    struct wall newest = p->last;

    for (size_t i = 0; i < p->n_alive; i++) {
        if (p->alive[i].us <= at.us)
            newest.us = max_i64(newest.us, p->alive[i].us);
    }
    return newest;
}

/* Steps. */

static void drop_older_half(struct past *p)
{
    p->n_steps /= 2;
    memmove(p->steps, p->steps + p->n_steps, p->n_steps * sizeof *p->steps);
}

static void add_step(struct past *p, struct step step)
{
    struct step *before = p->n_steps != 0 ? &p->steps[p->n_steps - 1] : NULL;

    step.demand_milli = p->demand_milli;
    step.allocatable_milli = p->allocatable_milli;
    if (before != NULL && before->at.us == step.at.us && !before->arrival && !before->gap &&
        !step.gap) {
        *before = step;
        return;
    }
    if (p->n_steps == PAST_MAX_STEPS)
        drop_older_half(p);
    VEC_PUSH(p->steps, p->n_steps, p->cap_steps, step);
}

/* All that was there when recording went on has been told. */
static void end_reset(struct past *p)
{
    if (!p->resetting)
        return;
    p->resetting = false;
    add_step(p, (struct step){.at = p->last, .gap = p->gap});
}

static void begin_reset(struct past *p, const struct event *e, struct wall at)
{
    if (e->why == GAP_CLOCK)
        p->n_steps = 0;
    p->gap = p->n_steps != 0 && at.us - recorded_until(p, at).us > PAST_BRIDGE_US;
    forget_world(p);
    p->resetting = true;
}

/* Pods and nodes. */

static struct paid_pod *pod_at(struct past *p, uint64_t id)
{
    uint64_t hash = id * UINT64_C(0x9e3779b97f4a7c15) >> 16;
    uint32_t index = map_find(&p->by_id, hash, &id);

    if (index == MAP_NONE) {
        index = (uint32_t)p->n_pods;
        VEC_PUSH(p->pods, p->n_pods, p->cap_pods, (struct paid_pod){.id = id});
        map_put(&p->by_id, hash, index);
    }
    return &p->pods[index];
}

static void put_pod(struct past *p, const struct event *e, struct wall at)
{
    const struct shape *shape = e->shape;
    struct paid_pod *pod = pod_at(p, e->pod);
    bool counts = !shape->filler && (e->node.len != 0 || (!shape->ignored && !shape->gated));
    int64_t cpu = counts ? shape->amount.at[RESOURCE_CPU] : 0;
    bool arrives = counts && !pod->arrived && e->kind != EVENT_POD_FOUND;

    /* Filler whose target is let go was there before. */
    pod->arrived |= counts || shape->filler || e->kind == EVENT_POD_FOUND;
    if (cpu == pod->cpu_milli && !arrives)
        return;
    p->demand_milli += cpu - pod->cpu_milli;
    pod->cpu_milli = cpu;
    if (!p->resetting)
        add_step(p, (struct step){.at = at, .arrival = arrives, .cpu_milli = cpu});
}

static void drop_pod(struct past *p, uint64_t id, struct wall at)
{
    struct paid_pod *pod = pod_at(p, id), *moved = &p->pods[p->n_pods - 1];
    uint32_t index = (uint32_t)(pod - p->pods), end = (uint32_t)p->n_pods - 1;
    int64_t cpu = pod->cpu_milli;

    map_remove(&p->by_id, pod_hash(p, index), index);
    if (index != end) {
        map_remove(&p->by_id, pod_hash(p, end), end);
        *pod = *moved;
        map_put(&p->by_id, pod_hash(p, index), index);
    }
    p->n_pods--;
    p->demand_milli -= cpu;
    if (cpu != 0 && !p->resetting)
        add_step(p, (struct step){.at = at});
}

static void put_node(struct past *p, struct sv name, int64_t cpu_milli, struct wall at)
{
    uint64_t hash = sv_hash(name);
    uint32_t index = map_find(&p->by_name, hash, &hash);

    if (index == MAP_NONE) {
        index = (uint32_t)p->n_nodes;
        VEC_PUSH(p->nodes, p->n_nodes, p->cap_nodes, (struct past_node){.name_hash = hash});
        map_put(&p->by_name, hash, index);
    }
    if (p->nodes[index].cpu_milli == cpu_milli)
        return;
    p->allocatable_milli += cpu_milli - p->nodes[index].cpu_milli;
    p->nodes[index].cpu_milli = cpu_milli;
    if (!p->resetting)
        add_step(p, (struct step){.at = at});
}

void past_event(struct past *p, const struct event *e)
{
    struct wall at = {.us = e->t_ms * US_PER_MS};

    if ((e->kind != EVENT_POD_FOUND && e->kind != EVENT_NODE) || at.us != p->last.us)
        end_reset(p);
    switch (e->kind) {
    case EVENT_GAP:
        if (e->resets)
            begin_reset(p, e, at);
        break;
    case EVENT_NODE:
        put_node(p, e->node, e->shape->amount.at[RESOURCE_CPU], at);
        break;
    case EVENT_NODE_GONE:
        put_node(p, e->node, 0, at);
        break;
    case EVENT_POD_FOUND:
    case EVENT_POD_CREATED:
    case EVENT_POD_CHANGED:
    case EVENT_POD_BOUND:
    case EVENT_POD_UNSCHEDULABLE:
        put_pod(p, e, at);
        break;
    case EVENT_POD_GONE:
        drop_pod(p, e->pod, at);
        break;
    case EVENT_COUNT_:
        break;
    }
    p->last = at;
}

void past_end(struct past *p)
{
    end_reset(p);
    forget_world(p);
    atomic_store_explicit(&p->ready, true, memory_order_release);
}

bool past_ready(const struct past *p)
{
    return atomic_load_explicit(&p->ready, memory_order_acquire);
}

/* Reading, on the disk thread. */

static bool each_event(void *self, const struct event *e)
{
    struct past *p = self;

    past_event(p, e);
    if (++p->events % LOOK_EVERY == 0 && p->clock.mono(p->clock.self).us > p->give_up_at.us)
        p->cut = true;
    return !p->cut;
}

static bool each_sample(void *self, const struct sample *sample)
{
    past_alive(self, (struct wall){.us = sample->t_ms * US_PER_MS});
    return true;
}

struct reading {
    struct history *history;
    struct past *past;
};

/* Samples say when the recording ran, as long as they are taken of any policy. */
static void each_policy(void *self, struct sv name)
{
    const struct reading *r = self;
    struct past *p = r->past;

    (void)!samples_each(r->history->samples, name, p->from.us / US_PER_MS, p->until.us / US_PER_MS,
                        each_sample, p, NULL);
}

static void read_past(void *self, struct history *history, const struct err *why_not UNUSED)
{
    struct past *p = self;
    struct reading reading = {.history = history, .past = p};
    struct err err = {0};
    int64_t damaged;

    p->give_up_at = mono_plus_us(p->clock.mono(p->clock.self), PAST_READ_US);
    if (history != NULL && (!samples_policies(history->samples, each_policy, &reading, &err) ||
                            !chunks_read(history->chunks, p->from.us / US_PER_MS,
                                         p->until.us / US_PER_MS, each_event, p, &damaged, &err)))
        log_warn("the history's past could not be read: headroom begins anew", F_ERR(&err));
    if (p->cut)
        log_warn("the history takes too long to read: its newest part counts as unknown",
                 F_INT("events", p->events));
    past_end(p);
    past_unref(p);
}

void past_ask(struct past *p, struct writer *writer, struct wall now, struct clock clock)
{
    p->until = now;
    p->from.us = now.us - PAST_SPAN_US;
    p->clock = clock;
    (void)atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    if (!writer_ask(writer, read_past, p)) {
        past_end(p);
        past_unref(p);
    }
}

/* Feeding. */

size_t past_feed(struct past *p, struct planner *planner, uint32_t fillers, struct mono now,
                 struct wall wall_now)
{
    size_t arrivals = 0;
    bool unknown = p->cut || wall_now.us - recorded_until(p, wall_now).us > PAST_BRIDGE_US;

    if (!past_ready(p) || p->n_steps == 0)
        return 0;
    planner_past_begin(planner, fillers);
    for (size_t i = 0; i < p->n_steps && p->steps[i].at.us <= wall_now.us; i++) {
        const struct step *s = &p->steps[i];
        struct mono at = {.us = now.us - (wall_now.us - s->at.us)};

        if (s->gap)
            planner_past_gap(planner, at);
        if (s->arrival)
            planner_past_arrival(planner, at, s->demand_milli, s->cpu_milli);
        planner_past_demand(planner, at, s->demand_milli, s->allocatable_milli);
        arrivals += s->arrival;
    }
    if (unknown)
        planner_past_gap(planner, now);
    free(p->steps);
    p->steps = NULL;
    p->n_steps = p->cap_steps = 0;
    return arrivals;
}
