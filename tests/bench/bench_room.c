/* What /api/v1/room costs: the loop, which makes the view, and the server, for each request. CPU of the thread. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/serve/routes.h"
#include "base/alloc.h"
#include "tests/unit/agent/sample_snapshot.h"

enum { NODES = 5000, LABELS = 20, PODS_A_NODE = 30, ROUNDS = 11 };

static double now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void put_node(struct cluster *c, int i)
{
    char texts[LABELS][2][48], name[48];
    struct label labels[LABELS];
    struct node_record n = {.labels = labels, .n_labels = LABELS, .ready = true};

    (void)snprintf(name, sizeof name, "node-%05d.example.internal", i);
    n.name = sv_from(name);
    for (int k = 0; k < LABELS; k++) {
        (void)snprintf(texts[k][0], sizeof texts[k][0], "example.com/label-%d", k);
        (void)snprintf(texts[k][1], sizeof texts[k][1], "value-%d", k == 0 ? i : i % (k + 1));
        labels[k] = (struct label){sv_from(texts[k][0]), sv_from(texts[k][1])};
    }
    n.allocatable.at[RESOURCE_CPU] = 64000;
    n.allocatable.at[RESOURCE_MEMORY] = INT64_C(256) << 30;
    n.allocatable.at[RESOURCE_PODS] = 110;
    n.allocatable.at[resource_names_find(cluster_names(c), SV("nvidia.com/gpu"), true)] =
        i % 8 == 0;
    cluster_upsert_node(c, &n);
    for (int k = 0; k < PODS_A_NODE; k++) {
        struct pod_record p = {.ns = SV("d"),
                               .name = SV("p"),
                               .uid = {(uint64_t)i + 1, (uint64_t)k + 1},
                               .node = n.name,
                               .phase = PHASE_RUNNING};

        p.request.at[RESOURCE_CPU] = 100 + 50 * ((i + k) % 7);
        p.request.at[RESOURCE_MEMORY] = INT64_C(1) << 30;
        p.request.at[RESOURCE_PODS] = 1;
        (void)cluster_upsert_pod(c, &p, k % 3 == 0 ? 0 : CLUSTER_PAID, true);
    }
}

static void print(const char *figure, double us)
{
    printf("room.%s %.0f us\n", figure, us);
}

static void measure_view(struct cluster *c, struct boards *boards)
{
    for (int i = 0; i < ROUNDS; i++) {
        double began = now_us();

        board_set(boards->room, &room_view_new(c)->value);
        print("view", now_us() - began);
    }
}

static void measure(struct boards *boards, const char *figure, const struct routes_param *params,
                    size_t n)
{
    struct snapshot *s = sample_snapshot();
    s->watches[1].heard = SAMPLE_NOW;
    s->n_fillers = 1;
    for (int i = 0; i < ROUNDS; i++) {
        struct routes_request rq = {.method = SV("GET"),
                                    .path = SV("/api/v1/room"),
                                    .params = params,
                                    .n_params = n,
                                    .now = SAMPLE_NOW,
                                    .boards = boards};
        struct routes_answer a;
        double began = now_us();

        routes_answer(&rq, s, &a);
        print(figure, now_us() - began);
        if (a.status != 200)
            exit(1);
        strbuf_done(&a.body);
    }
    snapshot_unref(s);
}

int main(void)
{
    static const struct routes_param params[] = {
        {SV("cpu"), SV("1")},
        {SV("memory"), SV("2Gi")},
        {SV("nvidia.com/gpu"), SV("1")},
        {SV("nodeSelector"), SV("example.com/label-19 in (value-1,value-3),!x")}};
    static const struct routes_param all[] = {{SV("cpu"), SV("1")}, {SV("nodes"), SV("1")}};
    struct cluster *c = cluster_new();
    struct boards boards;

    for (int i = 0; i < NODES; i++)
        put_node(c, i);
    boards_init(&boards);
    measure_view(c, &boards);
    measure(&boards, "request", params, 2);
    measure(&boards, "labels", params, 4);
    measure(&boards, "nodes", all, 2);
    boards_done(&boards);
    cluster_free(c);
    return 0;
}
