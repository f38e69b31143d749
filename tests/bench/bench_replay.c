/*
 * bench_replay: how long `brim replay` takes for 1,000,000 paid pods of 40 kinds on 500 nodes: the run without filler and the run under a
 * policy, with the live controller and placement by gate. Budget 5 s on one core.
 *
 * Twenty pods come every 100 ms and stay for 20 to 120 s, so that the cluster is half full; filler takes what is left, up to 5,000.
 * Lines of three words are for bench.py.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "policy/sim/replay.h"

#ifndef BENCH_PODS
#define BENCH_PODS 1000000
#endif
enum { NODES = 500, PODS = BENCH_PODS, KINDS = 40, BATCH = 20, LIVES = 100 };
#define GIB      (INT64_C(1) << 30)
#define EVERY_US (100 * US_PER_MS)

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
    (void)fprintf(stderr, "bench_replay: %s\n", err->text);
    exit(1);
}

static struct trace_kind kind(int i)
{
    return (struct trace_kind){.request = {.at = {[RESOURCE_CPU] = 100 + i * 25,
                                                  [RESOURCE_MEMORY] = GIB / 4 + i * GIB / 16,
                                                  [RESOURCE_PODS] = 1}},
                               .node = TRACE_ANY_NODE};
}

/* Pods of one life go in the order in which they came: a queue for each of the lives. */
static void make_trace(struct trace *t)
{
    static uint32_t first[LIVES], last[LIVES], next[PODS];
    struct err err = {0};

    trace_init(t);
    for (int i = 0; i < NODES; i++) {
        const struct resources offer = {
            .at = {[RESOURCE_CPU] = 32000, [RESOURCE_MEMORY] = 128 * GIB, [RESOURCE_PODS] = 110}};
        char name[24];

        (void)snprintf(name, sizeof name, "node-%03d", i);
        need(trace_put_node(t, 0, sv_from(name), &offer, false, &err), &err);
    }
    for (int i = 0; i < LIVES; i++)
        first[i] = TRACE_NO_POD;
    for (int batch = 0; batch < PODS / BATCH; batch++) {
        int64_t now_us = batch * EVERY_US;

        for (int life = 0; life < LIVES; life++) {
            while (first[life] != TRACE_NO_POD &&
                   t->pods[first[life]].create_us + (20 + life) * US_PER_S <= now_us) {
                trace_end_pod(t, now_us, first[life]);
                first[life] = first[life] == last[life] ? TRACE_NO_POD : next[first[life]];
            }
        }
        for (int j = 0; j < BATCH; j++) {
            const struct trace_kind k = kind((batch * BATCH + j) * 7 % KINDS);
            int life = batch % LIVES;
            uint32_t pod;

            need(trace_add_pod(t, now_us, &k, TRACE_ANY_NODE, &pod, &err), &err);
            if (first[life] == TRACE_NO_POD)
                first[life] = pod;
            else
                next[last[life]] = pod;
            last[life] = pod;
        }
    }
}

static void read_policy(struct policy_list *to)
{
    struct err err = {0};

    need(policy_read(SV("bench"),
                     SV("apiVersion: brim.dev/v1\nkind: FillerPolicy\nmetadata: {name: bench}\n"
                        "spec:\n  target: {apiVersion: apps/v1, kind: Deployment, namespace: "
                        "filler, name: filler}\n  replicas: {max: 5000}\n"),
                     to, &err),
         &err);
}

int main(void)
{
    static struct trace trace;
    struct replay_setting setting = replay_setting_default();
    struct policy_list policies = {0};
    struct replay_result r;
    struct oracle past;
    struct err err = {0};

    make_trace(&trace);
    read_policy(&policies);
    setting.filler = (struct resources){
        .at = {[RESOURCE_CPU] = 1000, [RESOURCE_MEMORY] = 2 * GIB, [RESOURCE_PODS] = 1}};
    setting.max_replicas = 5000;

    double start = seconds();

    need(oracle_find(&trace, &setting, &past, &err), &err);

    double between = seconds();

    need(replay_run(&trace, &setting, &past, policies.at[0], &r, &err), &err);

    double end = seconds();

    (void)printf("%-16s %6.2f s\n", "without filler", between - start);
    (void)printf("%-16s %6.2f s  fill %.1f %%, %llu of %llu blocked\n", "policy", end - between,
                 100 * r.fill, (unsigned long long)r.blocked, (unsigned long long)r.paid_pods);
    (void)printf("%-16s %6.2f s  budget 5 s\n", "both", end - start);
    (void)printf("replay.cpu %.3f s\nreplay.alone %.3f s\n", end - start, between - start);
    replay_result_done(&r);
    oracle_done(&past);
    policy_list_done(&policies);
    trace_done(&trace);
    return 0;
}
