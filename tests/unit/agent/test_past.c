#include <criterion/criterion.h>

#include "agent/past.h"
#include "capacity/cluster.h"

/*
 * The same history is told to one planner as it happens, and to another one through the journal's events after a start. One node of 100
 * cores, filler of one core with grace 10 s.
 */

#define START_MS INT64_C(1790000000000)
#define MS       US_PER_MS

static const char policy_text[] =
    "apiVersion: brim.dev/v1\nkind: FillerPolicy\nmetadata: {name: miner}\nspec:\n"
    "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}\n"
    "  replicas: {min: 0, max: 150}\n  headroom: {max: 20%}\n";

struct side {
    struct policy_list policies;
    struct planner *planner;
};

static struct node_record the_node(void)
{
    struct node_record node = {.name = SV("n1"), .ready = true};

    node.allocatable.at[RESOURCE_CPU] = 100000;
    node.allocatable.at[RESOURCE_PODS] = 500;
    return node;
}

static void side_init(struct side *s)
{
    const struct pod_rules rules = {0};
    const struct node_record node = the_node();
    struct planner_shape shape = {.rules = &rules, .claims = {.priority = -10, .own_class = true}};
    struct err err = {0};

    *s = (struct side){.planner = planner_new()};
    cr_assert(policy_read(SV("p"), SV(policy_text), &s->policies, &err), "%s", err.text);
    cr_assert_eq(planner_add(s->planner, s->policies.at[0]), 0);
    shape.request.at[RESOURCE_CPU] = 1000;
    shape.claims.grace_us = 10 * US_PER_S;
    planner_set_shape(s->planner, 0, &shape);
    planner_list_begin(s->planner, CLUSTER_NODES);
    planner_put_node(s->planner, &node);
    planner_list_end(s->planner, CLUSTER_NODES, (struct mono){0});
}

static void side_done(struct side *s)
{
    planner_free(s->planner);
    policy_list_done(&s->policies);
}

/* What a step at this time finds. */
static struct headroom_state look(struct side *s, struct mono now)
{
    const struct planner_input in[PLANNER_MAX_FILLERS] = {0};
    struct planner_plan plans[PLANNER_MAX_FILLERS];

    (void)planner_step(s->planner, in, plans, now);
    return plans[0].headroom;
}

/* One pod's life. */
struct life {
    int64_t begin_ms, bound_ms, end_ms;
    int64_t cpu_milli;
};

/* Bursts every 10 min, each of more pods than the one before, among pods that come one by one. */
static size_t make_lives(struct life *lives, size_t cap)
{
    size_t n = 0;

    for (int64_t t = 1000; t < 7200 * 1000 && n < cap; t += 20000)
        lives[n++] = (struct life){t, t + 200, t + 90000, 500 + (t / 20000) % 7 * 250};
    for (int burst = 1; burst < 12; burst++) {
        for (int i = 0; i < 3 + burst && n < cap; i++)
            lives[n++] = (struct life){burst * 600000 + 7 + i * 40, burst * 600000 + 300 + i * 40,
                                       burst * 600000 + 240000 + i * 500, 2000};
    }
    return n;
}

static void put(struct side *s, const struct life *life, uint64_t id, bool bound, struct mono now)
{
    struct pod_record pod = {.uid = {.hi = 1, .lo = id + 1},
                             .phase = PHASE_PENDING,
                             .node = bound ? SV("n1") : (struct sv){0},
                             .created = {.us = (START_MS + life->begin_ms) * MS}};

    pod.request.at[RESOURCE_CPU] = life->cpu_milli;
    pod.request.at[RESOURCE_PODS] = 1;
    (void)planner_put_pod(s->planner, &pod, CLUSTER_PAID, false, now);
}

/* What happens to pod `id`, in the order of time. */
struct moment {
    int64_t t_ms;
    uint64_t id;
    enum event_kind kind;
};

static int by_time(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;

    if (x->t_ms != y->t_ms)
        return x->t_ms < y->t_ms ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

enum { LIVES = 600 };

struct story {
    struct life lives[LIVES];
    struct moment moments[3 * LIVES];
    size_t n;
};

static void make_history(struct story *h)
{
    size_t n = make_lives(h->lives, LIVES);

    for (size_t i = 0; i < n; i++) {
        const struct life *l = &h->lives[i];

        h->moments[h->n++] = (struct moment){l->begin_ms, i, EVENT_POD_CREATED};
        h->moments[h->n++] = (struct moment){l->bound_ms, i, EVENT_POD_BOUND};
        h->moments[h->n++] = (struct moment){l->end_ms, i, EVENT_POD_GONE};
    }
    qsort(h->moments, h->n, sizeof *h->moments, by_time);
}

/* As it happens, up to `until`. */
static void live(struct side *s, const struct story *h, int64_t until_ms)
{
    planner_list_begin(s->planner, CLUSTER_PODS);
    planner_list_end(s->planner, CLUSTER_PODS, (struct mono){0});
    (void)look(s, (struct mono){0});
    for (size_t i = 0; i < h->n && h->moments[i].t_ms < until_ms; i++) {
        const struct moment *m = &h->moments[i];
        struct mono now = {.us = m->t_ms * MS};

        if (m->kind == EVENT_POD_GONE)
            (void)planner_drop_pod(s->planner, (struct uid){.hi = 1, .lo = m->id + 1}, now);
        else
            put(s, &h->lives[m->id], m->id, m->kind == EVENT_POD_BOUND, now);
        (void)look(s, now);
    }
}

static void tell_start(struct past *p, int64_t t_ms)
{
    const struct shape node = {.amount = the_node().allocatable, .ready = true};

    past_event(p, &(struct event){.kind = EVENT_GAP, .t_ms = t_ms, .resets = true});
    past_event(p,
               &(struct event){.kind = EVENT_NODE, .t_ms = t_ms, .node = SV("n1"), .shape = &node});
}

static void tell_moment(struct past *p, const struct story *h, const struct moment *m)
{
    struct shape pod = {0};

    pod.amount.at[RESOURCE_CPU] = h->lives[m->id].cpu_milli;
    past_event(p,
               &(struct event){.kind = m->kind,
                               .t_ms = START_MS + m->t_ms,
                               .pod = m->id,
                               .shape = &pod,
                               .node = m->kind == EVENT_POD_CREATED ? (struct sv){0} : SV("n1")});
}

/* The pods that are there at the restart. */
static void list(struct side *s, const struct story *h, int64_t at_ms, struct mono now)
{
    planner_list_begin(s->planner, CLUSTER_PODS);
    for (uint64_t i = 0; i < LIVES; i++) {
        const struct life *l = &h->lives[i];

        if (l->cpu_milli != 0 && l->begin_ms < at_ms && l->end_ms >= at_ms)
            put(s, l, i, l->bound_ms < at_ms, now);
    }
    planner_list_end(s->planner, CLUSTER_PODS, now);
}

static void check_same(struct headroom_state a, struct headroom_state b, int64_t at_ms)
{
    cr_assert_eq(a.milli, b.milli, "at %lld ms: H %lld live, %lld told", (long long)at_ms,
                 (long long)a.milli, (long long)b.milli);
    cr_assert_eq(a.kind, b.kind, "at %lld ms: %s live, %s told", (long long)at_ms,
                 headroom_kind_name(a.kind), headroom_kind_name(b.kind));
    cr_assert_eq(a.usual, b.usual);
    cr_assert_eq(a.surge, b.surge);
    cr_assert_eq(a.expected, b.expected);
    cr_assert_eq(a.ceiling, b.ceiling);
    cr_assert_eq(a.need, b.need);
    cr_assert_eq(a.values, b.values);
    cr_assert_eq(a.arrivals, b.arrivals);
    cr_assert_eq(a.above, b.above);
    cr_assert_eq(a.surges, b.surges);
}

Test(past, the_journal_tells_what_was_learned_live)
{
    static const int64_t restarts_ms[] = {30000, 601500, 1800000, 3600450, 4200400, 7000000};
    static struct story h;

    make_history(&h);
    for (size_t i = 0; i < COUNT_OF(restarts_ms); i++) {
        const int64_t at = restarts_ms[i];
        /* The machine of the second life was started just now. */
        const struct mono now = {.us = 5 * US_PER_S};
        struct past *past = past_new();
        struct side a, b;

        side_init(&a);
        side_init(&b);
        live(&a, &h, at);
        tell_start(past, START_MS);
        for (size_t k = 0; k < h.n && h.moments[k].t_ms < at; k++)
            tell_moment(past, &h, &h.moments[k]);
        past_alive(past, (struct wall){.us = (START_MS + at) * MS});
        past_end(past);
        list(&b, &h, at, now);
        (void)past_feed(past, b.planner, 1, now, (struct wall){.us = (START_MS + at) * MS});
        check_same(look(&a, (struct mono){.us = at * MS}), look(&b, now), at);
        past_unref(past);
        side_done(&a);
        side_done(&b);
    }
}

/* What is known of a past that ended this long before the start. */
static struct headroom_state after_gap(int64_t gap_ms, bool alive)
{
    static struct story h;
    const struct mono now = {.us = 5 * US_PER_S};
    const int64_t end = 7000 * 1000;
    struct past *past = past_new();
    struct headroom_state state;
    struct side s;

    if (h.n == 0)
        make_history(&h);
    side_init(&s);
    tell_start(past, START_MS);
    for (size_t k = 0; k < h.n && h.moments[k].t_ms < end; k++)
        tell_moment(past, &h, &h.moments[k]);
    if (alive)
        past_alive(past, (struct wall){.us = (START_MS + end + gap_ms - 1000) * MS});
    past_end(past);
    list(&s, &h, end, now);
    (void)past_feed(past, s.planner, 1, now, (struct wall){.us = (START_MS + end + gap_ms) * MS});
    state = look(&s, now);
    past_unref(past);
    side_done(&s);
    return state;
}

Test(past, what_lies_behind_a_long_gap_is_not_taken_for_the_present)
{
    struct headroom_state bridged = after_gap(20000, false), unknown = after_gap(600000, false);

    cr_assert_gt(bridged.surges, 0);
    cr_assert_gt(unknown.values, 20, "rises stay known");
    cr_assert_eq(unknown.expected, 0);
    cr_assert_eq(unknown.rise, 0, "of the demand nothing is known");
    cr_assert_eq(after_gap(600000, true).values, unknown.values);
}

Test(past, ignored_and_gated_pods_count_once_they_are_bound)
{
    const struct mono now = {.us = 5 * US_PER_S};
    struct past *past = past_new();
    struct shape shape = {.gated = true};
    struct side s;

    shape.amount.at[RESOURCE_CPU] = 3000;
    side_init(&s);
    tell_start(past, START_MS);
    past_event(
        past, &(struct event){
                  .kind = EVENT_POD_CREATED, .t_ms = START_MS + 120000, .pod = 1, .shape = &shape});
    shape.gated = false;
    shape.ignored = true;
    past_event(
        past, &(struct event){
                  .kind = EVENT_POD_CHANGED, .t_ms = START_MS + 130000, .pod = 1, .shape = &shape});
    past_event(past, &(struct event){.kind = EVENT_POD_BOUND,
                                     .t_ms = START_MS + 140000,
                                     .pod = 1,
                                     .shape = &shape,
                                     .node = SV("n1")});
    past_end(past);
    cr_assert_eq(past_feed(past, s.planner, 1, now, (struct wall){.us = (START_MS + 150000) * MS}),
                 1);
    past_unref(past);
    side_done(&s);
}

Test(past, filler_is_no_demand)
{
    const struct mono now = {.us = 5 * US_PER_S};
    struct past *past = past_new();
    struct shape shape = {.filler = true};
    struct side s;

    shape.amount.at[RESOURCE_CPU] = 3000;
    side_init(&s);
    tell_start(past, START_MS);
    past_event(past, &(struct event){.kind = EVENT_POD_BOUND,
                                     .t_ms = START_MS + 1000,
                                     .pod = 1,
                                     .shape = &shape,
                                     .node = SV("n1")});
    past_end(past);
    cr_assert_eq(past_feed(past, s.planner, 1, now, (struct wall){.us = (START_MS + 2000) * MS}),
                 0);
    past_unref(past);
    side_done(&s);
}
