/*
 * What the event journal costs: bytes an event, packed and in the file, and nanoseconds an event, for traces of paid pods and for pods at
 * random.
 *
 *     bench_journal [TRACE…]      names of tests/data/traces
 *
 * A pod of a trace is created, reported unschedulable or not, bound to a node 20 to 400 ms later, and goes at its time; the journal is cut
 * and written each 10 s as the agent does. Lines of three words are for bench.py.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "storage/history.h"

enum { MAX_TRACE = 64 << 20, CUT_MS = 10000, RANDOM_PODS = 100000, RANDOM_NODES = 300 };
#define START_MS INT64_C(1790000000000)

struct step {
    int64_t t_ms;
    uint64_t pod;
    enum { CREATE, REPORT, BIND, DELETE } kind;
    int64_t cpu_milli, memory;
    int node;
};

struct steps {
    struct step *at;
    size_t len, cap;
};

struct bench {
    struct journal *journal;
    struct resource_names names;
    struct history history;
    bool store;
    size_t pieces;
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Of this process: others may be busy, too. */
static int64_t cpu_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

static bool take(void *self, struct journal_piece *piece)
{
    struct bench *b = self;
    struct err err = {0};

    b->pieces++;
    if (b->store && !chunks_add(b->history.chunks, piece, &err)) {
        (void)fprintf(stderr, "bench_journal: %s\n", err.text);
        exit(1);
    }
    free(piece);
    return true;
}

static size_t room(void *self)
{
    (void)self;
    return SIZE_MAX;
}

static void show_node(struct bench *b, int node, int64_t t_ms)
{
    char name[64];
    struct node_record record = {.ready = true};

    (void)snprintf(name, sizeof name, "ip-10-0-%d-%d.eu-central-1.compute.internal", node / 250,
                   node % 250);
    record.name = sv_from(name);
    record.allocatable.at[RESOURCE_CPU] = 31850;
    record.allocatable.at[RESOURCE_MEMORY] = INT64_C(125) << 30;
    record.allocatable.at[RESOURCE_PODS] = 110;
    journal_node(b->journal, &record, t_ms);
}

static void show(struct bench *b, const struct step *s)
{
    struct pod_record pod = {.uid = {mix(s->pod), mix(s->pod + 1)},
                             .created = {s->t_ms / 1000 * US_PER_S}};
    char name[64];

    if (s->kind == DELETE) {
        journal_pod_gone(b->journal, pod.uid, s->t_ms);
        return;
    }
    (void)snprintf(name, sizeof name, "ip-10-0-%d-%d.eu-central-1.compute.internal", s->node / 250,
                   s->node % 250);
    pod.node = s->kind == BIND ? sv_from(name) : (struct sv){0};
    pod.unschedulable = s->kind == REPORT;
    pod.request.at[RESOURCE_CPU] = s->cpu_milli;
    pod.request.at[RESOURCE_MEMORY] = s->memory;
    pod.request.at[RESOURCE_PODS] = 1;
    journal_pod(b->journal, &pod, false, false, s->t_ms);
}

static int by_time(const void *a, const void *b)
{
    const struct step *x = a, *y = b;

    return x->t_ms != y->t_ms ? (x->t_ms > y->t_ms) - (x->t_ms < y->t_ms)
                              : (x->kind > y->kind) - (x->kind < y->kind);
}

/* A pod's life; every tenth is reported unschedulable first and waits ten seconds. */
static void add_life(struct steps *steps, struct step s, int64_t end_ms, int nodes)
{
    int64_t bound_ms = s.t_ms + 20 + (int64_t)(mix(s.pod) % 380);

    s.node = (int)(mix(s.pod + 7) % (uint64_t)nodes);
    s.kind = CREATE;
    VEC_PUSH(steps->at, steps->len, steps->cap, s);
    if (s.pod % 10 == 0) {
        s.kind = REPORT;
        s.t_ms += 15;
        VEC_PUSH(steps->at, steps->len, steps->cap, s);
        bound_ms += 10000;
    }
    s.kind = BIND;
    s.t_ms = bound_ms;
    if (end_ms > bound_ms || end_ms == 0)
        VEC_PUSH(steps->at, steps->len, steps->cap, s);
    s.kind = DELETE;
    s.t_ms = end_ms;
    if (end_ms != 0)
        VEC_PUSH(steps->at, steps->len, steps->cap, s);
}

struct row {
    int64_t t_ms, cpu_milli, memory_mib;
    uint64_t pod;
    bool create;
};

/* "time_s,event,pod,cpu_milli,memory_mib,node" */
static bool read_row(struct sv line, struct row *ret_row)
{
    struct sv time, whole, part = {0}, event, pod, cpu, memory;
    int64_t s, ms = 0;

    if (!sv_cut(line, ',', &time, &line) || !sv_cut(line, ',', &event, &line) ||
        !sv_cut(line, ',', &pod, &line) || !sv_cut(line, ',', &cpu, &line) ||
        !sv_cut(line, ',', &memory, &line))
        return false;
    if (!sv_cut(time, '.', &whole, &part))
        whole = time;
    part.len = part.len < 3 ? part.len : 3;
    if (!sv_to_i64(whole, &s) || (part.len != 0 && !sv_to_i64(part, &ms)) ||
        !sv_to_i64(cpu, &ret_row->cpu_milli) || !sv_to_i64(memory, &ret_row->memory_mib))
        return false;
    for (size_t i = part.len; part.len != 0 && i < 3; i++)
        ms *= 10;
    ret_row->t_ms = START_MS + s * 1000 + ms;
    ret_row->pod = sv_hash(pod) | 1;
    ret_row->create = sv_eq(event, SV("create"));
    return true;
}

static bool read_file(const char *path, struct strbuf *text)
{
    FILE *file = fopen(path, "re");
    char *at;

    if (file == NULL)
        return false;
    strbuf_init(text, MAX_TRACE);
    at = strbuf_room(text, MAX_TRACE / 8);
    strbuf_wrote(text, at != NULL ? fread(at, 1, MAX_TRACE / 8, file) : 0);
    (void)fclose(file);
    return true;
}

/* Joins each creation with its deletion, by looking for it from there on. */
static void join(const struct row *rows, size_t n, int nodes, struct steps *steps)
{
    for (size_t i = 0; i < n; i++) {
        int64_t end_ms = 0;

        if (!rows[i].create)
            continue;
        for (size_t k = i + 1; k < n && end_ms == 0; k++) {
            if (!rows[k].create && rows[k].pod == rows[i].pod)
                end_ms = rows[k].t_ms;
        }
        add_life(steps,
                 (struct step){.t_ms = rows[i].t_ms,
                               .pod = steps->len + 10,
                               .cpu_milli = rows[i].cpu_milli,
                               .memory = rows[i].memory_mib << 20},
                 end_ms, nodes);
    }
}

static bool read_trace(const char *name, struct steps *steps, int *ret_nodes)
{
    struct strbuf text;
    struct sv rest, line;
    struct row *rows = NULL, row;
    size_t n = 0, cap = 0;
    char path[512];
    int nodes = -1;

    (void)snprintf(path, sizeof path, TEST_DATA "/traces/%s.nodes.csv", name);
    if (!read_file(path, &text))
        return false;
    for (rest = strbuf_sv(&text); sv_next(&rest, '\n', &line);)
        nodes++;
    strbuf_done(&text);
    (void)snprintf(path, sizeof path, TEST_DATA "/traces/%s.csv", name);
    if (nodes < 1 || !read_file(path, &text))
        return false;
    for (rest = strbuf_sv(&text); sv_next(&rest, '\n', &line);) {
        if (read_row(line, &row))
            VEC_PUSH(rows, n, cap, row);
    }
    join(rows, n, nodes, steps);
    free(rows);
    strbuf_done(&text);
    *ret_nodes = nodes;
    return true;
}

/* Pods of 40 shapes that live 0 to 2 h, one a second. */
static void random_trace(struct steps *steps)
{
    for (uint64_t i = 0; i < RANDOM_PODS; i++) {
        uint64_t x = mix(i + 1000003);
        struct step s = {.t_ms = START_MS + (int64_t)i * 1000 + (int64_t)(x % 1000),
                         .pod = i,
                         .cpu_milli = (int64_t)(x >> 10) % 40 * 100 + 100,
                         .memory = ((int64_t)(x >> 10) % 40 + 1) << 28};

        add_life(steps, s, s.t_ms + 30000 + (int64_t)((x >> 20) % 7200000), RANDOM_NODES);
    }
}

static bool play(struct bench *b, const struct steps *steps, int nodes, struct err *err)
{
    int64_t cut_ms = START_MS + CUT_MS;

    if (b->store && !db_begin(b->history.db, err))
        return false;
    journal_list_begin(b->journal, JOURNAL_NODES, START_MS);
    for (int i = 0; i < nodes; i++)
        show_node(b, i, START_MS);
    journal_list_end(b->journal, JOURNAL_NODES, START_MS);
    journal_list_begin(b->journal, JOURNAL_PODS, START_MS);
    journal_list_end(b->journal, JOURNAL_PODS, START_MS);
    for (size_t i = 0; i < steps->len; i++) {
        for (; steps->at[i].t_ms >= cut_ms; cut_ms += CUT_MS)
            journal_cut(b->journal, cut_ms);
        show(b, &steps->at[i]);
    }
    journal_cut(b->journal, cut_ms);
    return !b->store || db_commit(b->history.db, err);
}

/* One pass in memory for the time, one into a file for the bytes. */
static bool measure(const char *name, const struct steps *steps, int nodes, struct err *err)
{
    char path[] = "/tmp/brim-bench-XXXXXX";
    int64_t begun, took = 0, file = 0;
    struct journal_stats stats = {0};
    int fd = mkstemp(path);
    bool ok = fd >= 0;

    for (int pass = 0; ok && pass < 2; pass++) {
        struct bench b = {.store = pass == 1};
        const struct journal_sink sink = {take, room, &b, SIZE_MAX};

        resource_names_init(&b.names);
        b.journal = journal_new(&b.names, &sink);
        ok = !b.store || history_open(&(struct db_options){.path = path}, &b.history, err);
        begun = cpu_us();
        ok = ok && play(&b, steps, nodes, err);
        took = pass == 0 ? cpu_us() - begun : took;
        stats = journal_stats(b.journal);
        if (ok && b.store)
            file = db_bytes(b.history.db);
        journal_free(b.journal);
        resource_names_done(&b.names);
        history_close(&b.history);
    }
    (void)close(fd);
    (void)unlink(path);
    if (ok) {
        printf("| journal, %-8s | %6" PRIu64 " events, %7" PRIu64
               " bytes | %5.2f bytes/event, %6.2f in the file, %4.0f ns | about 8 bytes |\n",
               name, stats.events, stats.bytes, (double)stats.bytes / (double)stats.events,
               (double)file / (double)stats.events, (double)took * 1000 / (double)stats.events);
        printf("journal.event.%s %.2f B\n", name, (double)stats.bytes / (double)stats.events);
    }
    return ok;
}

int main(int argc, char **argv)
{
    static char *const usual[] = {"seed003", "cron", "rollouts", "noise", "random"};
    char *const *names = argc > 1 ? argv + 1 : usual;
    int n = argc > 1 ? argc - 1 : (int)COUNT_OF(usual);

    for (int i = 0; i < n; i++) {
        struct steps steps = {0};
        struct err err = {0};
        int nodes = RANDOM_NODES;

        if (strcmp(names[i], "random") == 0) {
            random_trace(&steps);
        } else if (!read_trace(names[i], &steps, &nodes)) {
            (void)fprintf(stderr, "bench_journal: %s: no such trace\n", names[i]);
            return 1;
        }
        qsort(steps.at, steps.len, sizeof *steps.at, by_time);
        if (!measure(names[i], &steps, nodes, &err)) {
            (void)fprintf(stderr, "bench_journal: %s\n", err.text);
            return 1;
        }
        free(steps.at);
    }
    return 0;
}
