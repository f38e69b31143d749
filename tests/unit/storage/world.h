/*
 * world: pods and nodes that come and go at random, shown to a journal; and what a reader of the events believes, to be compared
 * with it.
 */
#ifndef BRIM_TESTS_UNIT_STORAGE_WORLD_H
#define BRIM_TESTS_UNIT_STORAGE_WORLD_H

#include <criterion/criterion.h>
#include <string.h>

#include "base/alloc.h"
#include "storage/journal.h"
#include "storage/unpack.h"
#include "tests/unit/policy/random.h"

enum { WORLD_PODS = 200, WORLD_NODES = 12, WORLD_SHAPES = 9, WORLD_MAX_EVENTS = 200000 };

/* What an event says, without pointers. */
struct told {
    enum event_kind kind;
    int64_t t_ms;
    uint64_t pod;
    int64_t cpu, memory, extended;
    int32_t priority;
    bool filler, ignored, gated, preempts_never, tied, cordoned, ready, unschedulable;
    char node[16];
    int64_t created_ms;
    enum gap_why why;
    bool resets;
};

struct world_pod {
    bool there;
    bool told_unschedulable;
    uint64_t uid;
    int shape;
    int node; /* -1: waits */
    int64_t created_s;
};

struct world {
    struct random random;
    struct journal *journal;
    struct resource_names names;
    int gpu; /* the place of an extended resource */
    struct world_pod pods[WORLD_PODS];
    bool nodes[WORLD_NODES];
    int node_shape[WORLD_NODES];
    int64_t now_ms;
    uint64_t uids;
    struct told *expected; /* what the journal must tell, without gaps */
    size_t n_expected, cap_expected;
};

static inline struct resources world_shape(const struct world *w, int shape)
{
    struct resources r = {0};

    r.at[RESOURCE_CPU] = (shape + 1) * 250;
    r.at[RESOURCE_MEMORY] = (int64_t)(shape + 1) << 30;
    r.at[RESOURCE_PODS] = 1;
    if (shape % 4 == 3)
        r.at[w->gpu] = shape;
    return r;
}

static inline void world_init(struct world *w, const char *test)
{
    memset(w, 0, sizeof *w);
    w->random = random_start(test);
    resource_names_init(&w->names);
    w->gpu = resource_names_find(&w->names, SV("nvidia.com/gpu"), true);
    w->now_ms = INT64_C(1790000000000);
}

static inline void world_done(struct world *w)
{
    journal_free(w->journal);
    resource_names_done(&w->names);
    free(w->expected);
}

static inline const char *world_node_name(int node)
{
    static const char *const names[WORLD_NODES] = {"n0", "n1", "n2", "n3", "n4",  "n5",
                                                   "n6", "n7", "n8", "n9", "n10", "n11"};

    return node >= 0 ? names[node] : "";
}

static inline const char *world_owner(int shape)
{
    return shape == 8 ? "DaemonSet" : shape == 7 ? "Node" : "ReplicaSet";
}

static inline void world_expect(struct world *w, enum event_kind kind, const struct world_pod *pod,
                                int node)
{
    bool is_node = kind == EVENT_NODE || kind == EVENT_NODE_GONE;
    int shape = is_node ? w->node_shape[node] : pod->shape;
    struct resources r = world_shape(w, shape);
    struct told t = {.kind = kind, .t_ms = w->now_ms};

    if (kind != EVENT_NODE_GONE) {
        t.cpu = r.at[RESOURCE_CPU];
        t.memory = r.at[RESOURCE_MEMORY];
        t.extended = r.at[w->gpu];
    }
    if (is_node) {
        t.cordoned = kind == EVENT_NODE && shape % 2 == 1;
        t.ready = kind == EVENT_NODE;
    } else {
        t.pod = pod->uid; /* the reader's ids are other numbers: compared through a table */
        t.filler = shape % 3 == 0;
        t.ignored = shape % 5 == 4;
        t.priority = shape % 3 == 0 ? -100 : shape;
        t.preempts_never = shape == 2;
        t.tied = shape >= 7;
        t.created_ms = pod->created_s * 1000;
        t.unschedulable =
            kind == EVENT_POD_UNSCHEDULABLE || (pod->told_unschedulable && pod->node < 0);
        node = kind == EVENT_POD_CREATED ? -1 : pod->node;
    }
    (void)snprintf(t.node, sizeof t.node, "%s", world_node_name(node));
    VEC_PUSH(w->expected, w->n_expected, w->cap_expected, t);
}

static inline void world_show_pod(struct world *w, const struct world_pod *pod, bool unschedulable)
{
    const struct pod_record record = {.uid = {pod->uid * 77, pod->uid},
                                      .owner_kind = sv_from(world_owner(pod->shape)),
                                      .node = sv_from(world_node_name(pod->node)),
                                      .request = world_shape(w, pod->shape),
                                      .priority = pod->shape % 3 == 0 ? -100 : pod->shape,
                                      .preempts_never = pod->shape == 2,
                                      .phase = pod->node >= 0 ? PHASE_RUNNING : PHASE_PENDING,
                                      .created = {pod->created_s * US_PER_S},
                                      .unschedulable = unschedulable};

    journal_pod(w->journal, &record, pod->shape % 3 == 0, pod->shape % 5 == 4, w->now_ms);
}

static inline void world_show_node(struct world *w, int node)
{
    const struct node_record record = {.name = sv_from(world_node_name(node)),
                                       .allocatable = world_shape(w, w->node_shape[node]),
                                       .unschedulable = w->node_shape[node] % 2 == 1,
                                       .ready = true};

    journal_node(w->journal, &record, w->now_ms);
}

/* Lists everything, as a watch does at its start. */
static inline void world_list(struct world *w)
{
    journal_list_begin(w->journal, JOURNAL_NODES, w->now_ms);
    for (int i = 0; i < WORLD_NODES; i++) {
        if (w->nodes[i])
            world_show_node(w, i);
    }
    journal_list_end(w->journal, JOURNAL_NODES, w->now_ms);
    journal_list_begin(w->journal, JOURNAL_PODS, w->now_ms);
    for (int i = 0; i < WORLD_PODS; i++) {
        if (w->pods[i].there)
            world_show_pod(w, &w->pods[i], w->pods[i].told_unschedulable);
    }
    journal_list_end(w->journal, JOURNAL_PODS, w->now_ms);
}

static inline void world_step_node(struct world *w)
{
    int node = (int)random_in(&w->random, 0, WORLD_NODES - 1);

    if (w->nodes[node] && random_percent(&w->random, 50)) {
        world_expect(w, EVENT_NODE_GONE, NULL, node);
        w->nodes[node] = false;
        journal_node_gone(w->journal, sv_from(world_node_name(node)), w->now_ms);
        return;
    }
    int shape = (int)random_in(&w->random, 0, WORLD_SHAPES - 1);

    if (!w->nodes[node] || w->node_shape[node] != shape) {
        w->nodes[node] = true;
        w->node_shape[node] = shape;
        world_expect(w, EVENT_NODE, NULL, node);
    }
    world_show_node(w, node);
}

static inline void world_step_pod(struct world *w)
{
    struct world_pod *pod = &w->pods[random_in(&w->random, 0, WORLD_PODS - 1)];

    if (!pod->there) {
        *pod = (struct world_pod){.there = true,
                                  .uid = ++w->uids,
                                  .shape = (int)random_in(&w->random, 0, WORLD_SHAPES - 1),
                                  .node = -1,
                                  .created_s =
                                      w->now_ms / 1000 - (random_percent(&w->random, 5) ? 100 : 0)};
        world_expect(w, EVENT_POD_CREATED, pod, -1);
        world_show_pod(w, pod, false);
    } else if (pod->node < 0 && random_percent(&w->random, 30)) {
        if (!pod->told_unschedulable)
            world_expect(w, EVENT_POD_UNSCHEDULABLE, pod, -1);
        pod->told_unschedulable = true;
        world_show_pod(w, pod, true);
    } else if (pod->node < 0 && random_percent(&w->random, 70)) {
        pod->node = (int)random_in(&w->random, 0, WORLD_NODES - 1);
        world_expect(w, EVENT_POD_BOUND, pod, pod->node);
        world_show_pod(w, pod, false);
    } else if (random_percent(&w->random, 10)) {
        pod->shape = (pod->shape + 1) % WORLD_SHAPES;
        world_expect(w, EVENT_POD_CHANGED, pod, pod->node);
        world_show_pod(w, pod, pod->told_unschedulable && pod->node < 0);
    } else {
        world_expect(w, EVENT_POD_GONE, pod, pod->node);
        pod->there = false;
        journal_pod_gone(w->journal, (struct uid){pod->uid * 77, pod->uid}, w->now_ms);
    }
}

/* One thing happens, a random while after the last. */
static inline void world_step(struct world *w)
{
    w->now_ms += random_percent(&w->random, 60) ? random_in(&w->random, 0, 5)
                                                : random_in(&w->random, 0, 30000);
    if (random_percent(&w->random, 3))
        world_step_node(w);
    else
        world_step_pod(w);
}

/* What a reader gathered. */
struct gathered {
    const struct unpack
        *unpack; /* NULL: the only extended resource stands at the first place for them */
    struct told *at;
    size_t len, cap;
};

static inline bool world_gather(void *self, const struct event *e)
{
    struct gathered *g = self;
    struct told t = {.kind = e->kind,
                     .t_ms = e->t_ms,
                     .pod = e->pod,
                     .why = e->why,
                     .resets = e->resets,
                     .created_ms = e->created_ms,
                     .unschedulable = e->unschedulable};

    if (e->shape != NULL) {
        t.cpu = e->shape->amount.at[RESOURCE_CPU];
        t.memory = e->shape->amount.at[RESOURCE_MEMORY];
        t.extended = e->shape->amount.at[RESOURCE_FIRST_EXTENDED];
        t.priority = e->shape->priority;
        t.filler = e->shape->filler;
        t.ignored = e->shape->ignored;
        t.gated = e->shape->gated;
        t.preempts_never = e->shape->preempts_never;
        t.tied = e->shape->tied;
        t.cordoned = e->shape->cordoned;
        t.ready = e->shape->ready;
    }
    (void)snprintf(t.node, sizeof t.node, "%.*s", SV_ARG(e->node));
    VEC_PUSH(g->at, g->len, g->cap, t);
    return true;
}

static inline void world_same(const struct told *got, const struct told *want, size_t i)
{
    cr_assert_eq(got->kind, want->kind, "event %zu: %s, expected %s", i, event_kind_name(got->kind),
                 event_kind_name(want->kind));
    cr_assert_eq(got->t_ms, want->t_ms, "event %zu: time", i);
    cr_assert(got->cpu == want->cpu && got->memory == want->memory &&
                  got->extended == want->extended,
              "event %zu: amounts", i);
    cr_assert(got->priority == want->priority && got->filler == want->filler &&
                  got->ignored == want->ignored && got->gated == want->gated &&
                  got->preempts_never == want->preempts_never && got->tied == want->tied &&
                  got->cordoned == want->cordoned && got->ready == want->ready,
              "event %zu: marks", i);
    cr_assert_str_eq(got->node, want->node, "event %zu: node", i);
    cr_assert_eq(got->unschedulable, want->unschedulable, "event %zu: unschedulable", i);
    cr_assert_eq(got->created_ms, want->created_ms, "event %zu: created", i);
}

#endif
