/*
 * What pending paid pods cost an evaluation: claims_update() on 5,000 nodes full of filler, CPU of the thread. A pod either finds a
 * node that filler must leave, or is too large for all of them. Between two updates nothing happens ("idle"), or one pod ends ("event").
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "capacity/claims.h"

enum { NODES = 5000, CORES = 64, FILLER_A_NODE = 30, KINDS = 100, ROUNDS = 101 };

static const struct claims_filler filler = {
    .priority = -100, .own_class = true, .grace_us = 10 * US_PER_S};

static double now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void put_pod(struct cluster *c, uint64_t hi, uint64_t lo, const char *node,
                    int64_t cpu_milli, bool paid)
{
    struct pod_record p = {.ns = SV("d"),
                           .name = SV("p"),
                           .uid = {hi, lo},
                           .node = sv_from(node),
                           .priority = paid ? 0 : -100,
                           .phase = node[0] != '\0' ? PHASE_RUNNING : PHASE_PENDING,
                           .unschedulable = node[0] == '\0'};

    p.request.at[RESOURCE_CPU] = cpu_milli;
    p.request.at[RESOURCE_PODS] = 1;
    (void)cluster_upsert_pod(c, &p, paid ? CLUSTER_PAID : 0, false);
}

static void node_name(char name[static 16], int i)
{
    (void)snprintf(name, 16, "n%d", i);
}

static struct cluster *make(int pending, bool too_large)
{
    struct cluster *c = cluster_new();
    char name[16];

    for (int i = 0; i < NODES; i++) {
        struct node_record n = {.ready = true};

        node_name(name, i);
        n.name = sv_from(name);
        n.allocatable.at[RESOURCE_CPU] = CORES * 1000;
        n.allocatable.at[RESOURCE_PODS] = 110;
        cluster_upsert_node(c, &n);
        for (int k = 0; k < FILLER_A_NODE; k++)
            put_pod(c, (uint64_t)i + 1, (uint64_t)k + 1, name, 2000, false);
        put_pod(c, (uint64_t)i + 1, FILLER_A_NODE + 1, name, 2000, true);
    }
    for (int i = 0; i < pending; i++)
        put_pod(c, NODES + 1, (uint64_t)i + 1, "", (too_large ? CORES * 1000 : 4000) + i % KINDS,
                true);
    return c;
}

static void measure(int pending, bool too_large, bool event)
{
    struct cluster *c = make(pending, too_large);
    struct claims *cl = claims_new();
    double us[ROUNDS];
    char name[16];

    (void)claims_update(cl, c, &filler, (struct mono){US_PER_S});
    for (int i = 0; i < ROUNDS; i++) {
        double began;

        node_name(name, i);
        if (event)
            put_pod(c, (uint64_t)i + 1, FILLER_A_NODE + 1, name, i % 2 == 0 ? 1000 : 2000, true);
        began = now_us();
        (void)claims_update(cl, c, &filler, (struct mono){US_PER_S + i});
        us[i] = now_us() - began;
    }
    qsort(us, ROUNDS, sizeof us[0], by_value);
    printf("claims.%s_%s_%d %.1f us\n", too_large ? "large" : "placed", event ? "event" : "idle",
           pending, us[ROUNDS / 2]);
    claims_free(cl);
    cluster_free(c);
}

int main(void)
{
    static const int sizes[] = {100, 1000, 10000};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int k = 0; k < 4; k++)
            measure(sizes[i], k & 2, k & 1);
    return 0;
}
