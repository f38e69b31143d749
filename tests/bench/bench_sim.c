/*
 * bench_sim: how fast the simulation runs.
 *
 * load: 5,000 nodes and 150,000 pods of ten kinds are created and bound.
 * replay: 1,000,000 pods of 40 kinds come and go on 500 nodes beside 5,000 filler pods, as
 * `brim replay` drives it; budget 5 s on one core.
 * full: the same with 100,000 pods and more filler than fits: each paid pod preempts, and thousands
 * of pending pods are tried whenever one leaves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "policy/sim/sim.h"

enum { LOAD_NODES = 5000, LOAD_PODS = 150000, LOAD_KINDS = 10 };
enum {
    REPLAY_NODES = 500,
    REPLAY_PODS = 1000000,
    FULL_PODS = 100000,
    REPLAY_KINDS = 40,
    REPLAY_BATCH = 20
};
#define GIB (INT64_C(1) << 30)

static double seconds(void)
{
    struct rusage use;

    (void)getrusage(RUSAGE_SELF, &use);
    return (double)use.ru_utime.tv_sec + (double)use.ru_utime.tv_usec / 1e6 +
           (double)use.ru_stime.tv_sec + (double)use.ru_stime.tv_usec / 1e6;
}

static void need(bool ok, const struct err *err)
{
    if (ok)
        return;
    (void)fprintf(stderr, "bench_sim: %s\n", err->text);
    exit(1);
}

static void add_nodes(struct sim *s, int n, int64_t cores)
{
    for (int i = 0; i < n; i++) {
        char name[24];
        const struct sim_node *node;
        struct err err = {0};

        (void)snprintf(name, sizeof name, "node-%05d", i);

        const struct node_record record = {
            .name = sv_from(name),
            .ready = true,
            .allocatable = {.at = {[RESOURCE_CPU] = cores * 1000,
                                   [RESOURCE_MEMORY] = cores * 4 * GIB,
                                   [RESOURCE_PODS] = 110}}};

        need(sim_node_put(s, &record, &node, &err), &err);
    }
}

static struct sim_pod_spec kind(int i)
{
    struct sim_pod_spec spec = sim_pod_spec_default();

    spec.request.at[RESOURCE_CPU] = 100 + i * 25;
    spec.request.at[RESOURCE_MEMORY] = GIB / 4 + i * GIB / 16;
    return spec;
}

static void report(const char *what, const struct sim *s, double took)
{
    struct sim_counts c = sim_counts(s);

    (void)printf("%-7s %6.2f s  %u pods there, %llu attempts, %llu bindings, %llu victims\n", what,
                 took, c.pods, (unsigned long long)c.attempts, (unsigned long long)c.bindings,
                 (unsigned long long)c.preemptions);
}

static void bench_load(void)
{
    struct sim_config config = sim_config_default();
    struct sim *s = sim_new(&config);
    double start = seconds();

    add_nodes(s, LOAD_NODES, 16);
    for (int i = 0; i < LOAD_PODS; i++) {
        struct sim_pod_spec spec = kind(i % LOAD_KINDS);
        const struct sim_pod *pod;
        struct err err = {0};

        need(sim_pod_create(s, (struct sv){0}, &spec, NULL, &pod, &err), &err);
    }
    sim_run_until(s, (struct mono){.us = 600 * US_PER_S});
    report("load", s, seconds() - start);
    sim_free(s);
}

/* Pods live for a little less than it takes to fill half of the cluster. */
/* The client makes filler without a limit where the cluster shall be full from the start. */
static void bench_replay(const char *name, int pods, int32_t fillers, int32_t rate)
{
    struct sim_config config = sim_config_default();
    struct sim_pod_spec filler = kind(36);
    const struct sim_workload *workload;
    double start = seconds();
    int64_t now_us = 0;
    struct err err = {0};

    config.client_rate = rate;

    struct sim *s = sim_new(&config);

    add_nodes(s, REPLAY_NODES, 32);
    filler.priority = -100;
    filler.preempts_never = true;
    filler.exit_us = 10 * US_PER_S;

    const struct sim_workload_spec spec = {
        .kind = SV("Deployment"), .name = SV("filler"), .replicas = fillers, .template = filler};

    need(sim_workload_add(s, &spec, &workload, &err), &err);
    for (int i = 0; i < pods; i += REPLAY_BATCH) {
        for (int j = 0; j < REPLAY_BATCH; j++) {
            struct sim_pod_spec paid = kind((i + j) * 7 % REPLAY_KINDS);
            const struct sim_pod *pod;

            paid.run_us = (20 + i % 100) * US_PER_S;
            need(sim_pod_create(s, (struct sv){0}, &paid, NULL, &pod, &err), &err);
        }
        now_us += 100 * US_PER_MS;
        sim_run_until(s, (struct mono){.us = now_us});
        /* What has ended is cleaned away now and then. */
        for (uint32_t id = 0; i % 2000 == 0 && id < sim_pod_limit(s); id++) {
            const struct sim_pod *pod = sim_pod_at(s, id);

            if (pod != NULL && pod->phase == PHASE_SUCCEEDED)
                sim_pod_delete(s, pod, 0);
        }
    }
    report(name, s, seconds() - start);
    sim_free(s);
}

int main(void)
{
    bench_load();
    bench_replay("full", FULL_PODS, 10000, 0);
    bench_replay("replay", REPLAY_PODS, 5000, 20);
    return 0;
}
