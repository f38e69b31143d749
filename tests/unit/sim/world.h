/*
 * world: a small cluster for the tests of the simulation, with an observer that checks every event.
 *
 * world_run() moves time from one happening to the next and has the whole state counted from
 * scratch after each.
 */
#ifndef BRIM_TESTS_UNIT_SIM_WORLD_H
#define BRIM_TESTS_UNIT_SIM_WORLD_H

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/alloc.h"
#include "policy/sim/sim.h"
#include "tests/unit/policy/random.h"

#define SECONDS(n) ((int64_t)((n)*1000000))
#define GIB        (INT64_C(1) << 30)

struct world {
    struct sim *sim;
    struct sim_config config;
    uint64_t version;
    uint64_t digest; /* of all events, in order */
    uint64_t events;
    bool overbooked; /* pods are bound by hand, or nodes shrink: a node may hold more than it has */
    char text[300];  /* of world_where() */
};

static inline uint64_t digest_add(uint64_t digest, uint64_t part)
{
    return (digest ^ part) * UINT64_C(0x100000001b3) + (digest >> 31);
}

static inline void world_check_pod(struct world *w, const struct sim_pod *pod)
{
    if (pod->gated)
        cr_assert_null(pod->node, "a gated pod is bound");
    if (pod->node != NULL)
        cr_assert_null(pod->nominated, "a bound pod is still nominated");
    cr_assert(!pod->ready || pod->phase == PHASE_RUNNING, "ready, but not running");
    w->digest = digest_add(w->digest, pod->uid.lo);
    w->digest = digest_add(w->digest, pod->node != NULL ? pod->node->id + 1 : 0);
    w->digest = digest_add(w->digest, (uint64_t)pod->phase * 8 + pod->deleting * 4U +
                                          pod->unschedulable * 2U + pod->ready);
}

static inline void world_see(void *self, const struct sim_event *e)
{
    struct world *w = self;

    cr_assert(e->version > w->version, "versions must rise");
    w->version = e->version;
    w->events++;
    w->digest = digest_add(w->digest, (uint64_t)e->kind * 4 + (uint64_t)e->verb);
    w->digest = digest_add(w->digest, (uint64_t)e->at.us);
    if (e->kind == SIM_POD)
        world_check_pod(w, e->pod);
}

static inline void world_start(struct world *w, uint64_t seed)
{
    *w = (struct world){.config = sim_config_default()};
    w->config.seed = seed;
    w->config.observer = (struct sim_observer){.see = world_see, .self = w};
    w->sim = sim_new(&w->config);
}

static inline void world_verify(const struct world *w)
{
    char what[200];

    cr_assert(sim_verify(w->sim, what, sizeof what), "%s", what);
    for (uint32_t id = 0; id < sim_node_limit(w->sim) && !w->overbooked; id++) {
        const struct sim_node *n = sim_node_at(w->sim, id);

        for (int i = 0; n != NULL && i < RESOURCE_MAX; i++)
            cr_assert(n->used.at[i] <= n->record.allocatable.at[i], "node %u is over in %d", id, i);
    }
}

/* To `at`, in seconds. */
static inline void world_run(struct world *w, double at)
{
    struct mono end = {.us = SECONDS(at)};

    while (sim_next(w->sim).us <= end.us) {
        sim_run_until(w->sim, sim_next(w->sim));
        world_verify(w);
    }
    sim_run_until(w->sim, end);
    world_verify(w);
}

static inline void world_end(struct world *w)
{
    world_verify(w);
    sim_free(w->sim);
}

static inline struct node_record world_node_record(const char *name, int64_t cores)
{
    return (struct node_record){.name = sv_from(name),
                                .ready = true,
                                .allocatable = {.at = {[RESOURCE_CPU] = cores * 1000,
                                                       [RESOURCE_MEMORY] = cores * 4 * GIB,
                                                       [RESOURCE_PODS] = 110}}};
}

static inline const struct sim_node *world_node(struct world *w, const char *name, int64_t cores)
{
    struct node_record record = world_node_record(name, cores);
    const struct sim_node *node;
    struct err err;

    cr_assert(sim_node_put(w->sim, &record, &node, &err), "%s", err.text);
    return node;
}

/* A pod of so many milli and priority; grace and exit in seconds. */
static inline struct sim_pod_spec world_spec(int64_t milli, int32_t priority, double grace)
{
    struct sim_pod_spec spec = sim_pod_spec_default();

    spec.request.at[RESOURCE_CPU] = milli;
    spec.priority = priority;
    spec.grace_us = spec.exit_us = SECONDS(grace);
    return spec;
}

static inline const struct sim_pod *world_pod(struct world *w, const char *name,
                                              const struct sim_pod_spec *spec)
{
    const struct sim_pod *pod;
    struct err err;

    cr_assert(sim_pod_create(w->sim, sv_from(name), spec, NULL, &pod, &err), "%s", err.text);
    return pod;
}

static inline const struct sim_workload *world_workload(struct world *w, const char *name,
                                                        int32_t replicas,
                                                        const struct sim_pod_spec *template)
{
    const struct sim_workload_spec spec = {.kind = SV("Deployment"),
                                           .name = sv_from(name),
                                           .replicas = replicas,
                                           .template = *template};
    const struct sim_workload *workload;
    struct err err;

    cr_assert(sim_workload_add(w->sim, &spec, &workload, &err), "%s", err.text);
    return workload;
}

/* The pod of this name in "default", or NULL. */
static inline const struct sim_pod *world_find(const struct world *w, const char *name)
{
    return sim_pod_find(w->sim, SV("default"), sv_from(name));
}

/* Where a pod stands: its node's name, "-" without, "gone" if there is none. */
static inline const char *world_where(struct world *w, const char *name)
{
    const struct sim_pod *pod = world_find(w, name);

    if (pod == NULL || pod->node == NULL)
        return pod == NULL ? "gone" : "-";
    (void)snprintf(w->text, sizeof w->text, "%.*s", SV_ARG(pod->node->record.name));
    return w->text;
}

#define EXPECT_ON(world, pod, node)                                                                \
    do {                                                                                           \
        const char *where_ = world_where((world), (pod));                                          \
        cr_expect_str_eq(where_, (node), "%s: found on %s, expected %s", (pod), where_, (node));   \
    } while (0)

#endif
