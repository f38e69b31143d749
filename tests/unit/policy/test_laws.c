/*
 * What docs/CONTROL.md 8 proves, and the parts of 7.6 that a whole run can show, checked on each trace of tests/data/traces, with the
 * planner as it decides live. Paid pods go to the node with most room, at once; filler is as the planner wants it.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "base/strbuf.h"
#include "policy/planner.h"
#include "policy/sim/trace.h"

static const char *const traces[] = {"burst3",   "seed003", "cron",     "diurnal",
                                     "rollouts", "noise",   "square60", "square450"};

#define HOUR_US (3600 * US_PER_S)

/* A file of the trace; freed by the caller. */
static char *read_file(const char *trace, const char *ending, size_t *ret_len)
{
    char path[4096];
    FILE *file;
    long len = 0;
    char *text;

    (void)snprintf(path, sizeof path, "%s/traces/%s%s", TEST_DATA, trace, ending);
    file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    cr_assert(fseek(file, 0, SEEK_END) == 0 && (len = ftell(file)) > 0);
    rewind(file);
    text = xmalloc((size_t)len + 1);
    cr_assert_eq(fread(text, 1, (size_t)len, file), (size_t)len);
    text[len] = '\0';
    (void)fclose(file);
    *ret_len = (size_t)len;
    return text;
}

static void read_trace(struct trace *t, const char *name)
{
    struct err err = {0};
    size_t len;
    char *text = read_file(name, ".nodes.csv", &len);

    trace_init(t);
    cr_assert(trace_read_nodes(t, sv_from(name), (struct sv){text, len}, &err), "%s", err.text);
    free(text);
    text = read_file(name, ".csv", &len);
    cr_assert(trace_read_pods(t, sv_from(name), (struct sv){text, len}, &err), "%s", err.text);
    free(text);
    text = read_file(name, ".json", &len);
    cr_assert(trace_read_filler(t, sv_from(name), text, len, &err), "%s", err.text);
    free(text);
}

/* Direction changes of a sequence of counts. */
struct turns {
    bool begun;
    int64_t last;
    int direction;
    int64_t count;
};

static void follow(struct turns *t, int64_t value)
{
    int direction = value > t->last ? 1 : -1;

    if (t->begun && value != t->last) {
        t->count += t->direction == -direction;
        t->direction = direction;
    }
    t->begun = true;
    t->last = value;
}

/* One run of a trace, and what the laws are about. */
struct play {
    const char *name;
    struct trace trace;
    struct policy_list policies;
    struct planner *planner;
    struct planner_input input;
    struct planner_plan plan;
    struct mono now;
    struct resources *used; /* by node */
    uint32_t *place;        /* by pod */
    struct turns x, n;
    int64_t fell_at;    /* N's last fall, INT64_MIN: none */
    int64_t arrived_at; /* the last arrival */
    int64_t peak;       /* highest D ever; traces that last no day */
    int64_t steps;
};

static void put_pod(struct play *p, uint32_t pod, bool bound)
{
    const struct trace_kind *kind = &p->trace.kinds[p->trace.pods[pod].kind];
    struct pod_record record = {
        .uid = {1, pod + 1}, .request = kind->request, .created = {p->now.us}};

    record.request.at[RESOURCE_PODS] = 1;
    record.node = bound ? sv_from(p->trace.nodes[p->place[pod]]) : (struct sv){0};
    (void)planner_put_pod(p->planner, &record, CLUSTER_PAID, false, p->now);
}

/* The node with most room that takes it, or TRACE_ANY_NODE. */
static uint32_t choose(const struct play *p, const struct trace_kind *kind)
{
    uint32_t best = TRACE_ANY_NODE;
    int64_t most = -1;

    for (uint32_t i = 0; i < p->trace.n_nodes; i++) {
        const struct cluster_node *node = cluster_node(planner_cluster(p->planner), i);
        struct resources room = cluster_sum(node, NODE_SUM_ALLOCATABLE);

        resources_sub(&room, &p->used[i]);
        if ((kind->node == TRACE_ANY_NODE || kind->node == i) &&
            resources_fit(&kind->request, &room, NULL) && room.at[RESOURCE_CPU] > most) {
            best = i;
            most = room.at[RESOURCE_CPU];
        }
    }
    return best;
}

static void check_laws(struct play *p, int64_t before)
{
    const struct decision *d = &p->plan.decision;
    const struct headroom_state *h = &p->plan.headroom;
    int64_t t = p->now.us, demand = p->plan.room.paid_milli + p->plan.room.claimed_milli;
    int64_t allocatable = p->plan.room.allocatable_milli;

    p->steps++;
    cr_assert_leq(d->damped, d->set_point, "%s: P1 at %g s", p->name, (double)t / 1e6);
    follow(&p->x, d->set_point);
    follow(&p->n, d->damped);
    cr_assert_leq(p->n.count, p->x.count, "%s: P2 at %g s", p->name, (double)t / 1e6);
    if (d->damped > before && p->fell_at != INT64_MIN)
        cr_assert_geq(t, p->fell_at + p->plan.settle_us, "%s: P3 at %g s", p->name,
                      (double)t / 1e6);
    if (d->damped < before)
        p->fell_at = t;
    cr_assert_leq(d->damped, d->slots, "%s", p->name);
    cr_assert_leq(h->usual, p->trace.reserve_milli, "%s: H0 above its cap", p->name);
    p->peak = max_i64(p->peak, demand);
    if (h->ceiling != INT64_MAX)
        cr_assert_leq(demand + h->milli, p->peak + (allocatable * 5 + 99) / 100,
                      "%s: above the peak and its margin at %g s", p->name, (double)t / 1e6);
    else
        cr_assert_lt(t, HOUR_US + US_PER_S, "%s: no ceiling after an hour", p->name);
    if (t > p->arrived_at + PLANNER_ACTUATION_BASE_US + 10 * US_PER_S)
        cr_assert_eq(h->surge, 0, "%s: a surge later than A after the last arrival", p->name);
}

static struct planner_result step(struct play *p)
{
    int64_t before = p->steps != 0 ? p->plan.decision.damped : 0;
    struct planner_result r = planner_step(p->planner, &p->input, &p->plan, p->now);

    check_laws(p, before);
    if (p->plan.decision.write) {
        p->input.replicas = p->plan.decision.replicas;
        planner_wrote(p->planner, 0, p->input.replicas, p->now);
    }
    return r;
}

static void play_row(struct play *p, const struct trace_row *row)
{
    const struct trace_kind *kind;

    switch (row->what) {
    case TRACE_POD_COMES:
        kind = &p->trace.kinds[p->trace.pods[row->index].kind];
        p->arrived_at = p->now.us;
        p->place[row->index] = choose(p, kind);
        put_pod(p, row->index, false);
        (void)step(p);
        if (p->place[row->index] == TRACE_ANY_NODE)
            break;
        resources_add(&p->used[p->place[row->index]], &kind->request);
        put_pod(p, row->index, true);
        break;
    case TRACE_POD_GOES:
        kind = &p->trace.kinds[p->trace.pods[row->index].kind];
        if (p->place[row->index] != TRACE_ANY_NODE)
            resources_sub(&p->used[p->place[row->index]], &kind->request);
        (void)planner_drop_pod(p->planner, (struct uid){1, row->index + 1}, p->now);
        break;
    case TRACE_NODE_GOES:
    case TRACE_NODE_IS:
    case TRACE_WHAT_COUNT_:
        break;
    }
}

static void begin(struct play *p, const char *name, bool automatic)
{
    static const struct pod_rules any = {0};
    struct planner_shape shape = {
        .rules = &any,
        .claims = {.priority = -100, .own_class = true, .grace_us = 10 * US_PER_S},
        .start_us = 5 * US_PER_S};
    struct strbuf text;
    struct err err = {0};

    *p = (struct play){.name = name,
                       .input = {.known = true, .fresh = true, .carries_out = true},
                       .fell_at = INT64_MIN};
    read_trace(&p->trace, name);
    strbuf_init(&text, 4096);
    (void)strbuf_addf(&text,
                      "apiVersion: brim.dev/v1\nkind: FillerPolicy\nmetadata: {name: f}\nspec:\n"
                      "  target: {apiVersion: apps/v1, kind: Deployment, namespace: f, name: f}\n"
                      "  replicas: {max: %lld}\n  headroom: {max: %lldm}\n  settle: %s\n",
                      (long long)p->trace.max_replicas, (long long)p->trace.reserve_milli,
                      automatic ? "auto" : "90s");
    cr_assert(policy_read(SV("p.yaml"), strbuf_sv(&text), &p->policies, &err), "%s", err.text);
    strbuf_done(&text);
    p->planner = planner_new();
    cr_assert_eq(planner_add(p->planner, p->policies.at[0]), 0);
    shape.request = p->trace.filler;
    planner_set_shape(p->planner, 0, &shape);
    for (size_t i = 0; i < p->trace.n_facts; i++) {
        struct node_record node = {.name = sv_from(p->trace.nodes[p->trace.facts[i].node]),
                                   .allocatable = p->trace.facts[i].allocatable,
                                   .ready = true};

        planner_put_node(p->planner, &node);
    }
    p->used = xcalloc(p->trace.n_nodes, sizeof *p->used);
    p->place = xcalloc(p->trace.n_pods, sizeof *p->place);
}

static void end(struct play *p)
{
    free(p->used);
    free(p->place);
    planner_free(p->planner);
    policy_list_done(&p->policies);
    trace_done(&p->trace);
}

/* All rows, a step after each, and one whenever a step asked for it. */
static void play(const char *name, bool automatic)
{
    struct play p;
    struct planner_result r;

    begin(&p, name, automatic);
    follow(&p.x, 0); /* both begin with what was found */
    follow(&p.n, 0);
    r = step(&p);
    for (size_t i = 0; i < p.trace.n_rows; i++) {
        while (r.has_wake && r.wake.us < p.trace.rows[i].at_us) {
            cr_assert_gt(r.wake.us, p.now.us, "%s: to be asked in the past", name);
            p.now = r.wake;
            r = step(&p);
        }
        p.now.us = p.trace.rows[i].at_us;
        play_row(&p, &p.trace.rows[i]);
        r = step(&p);
    }
    (void)fprintf(stderr, "# %s: %lld steps, reversals of x %lld, of N %lld\n", name,
                  (long long)p.steps, (long long)p.x.count, (long long)p.n.count);
    end(&p);
}

Test(laws, hold_on_every_trace, .timeout = 300)
{
    for (size_t i = 0; i < COUNT_OF(traces); i++)
        play(traces[i], false);
}

/* P1 to P3 hold with the least T. */
Test(laws, hold_with_a_settle_time_that_is_learned, .timeout = 300)
{
    for (size_t i = 0; i < COUNT_OF(traces); i++)
        play(traces[i], true);
}
