/*
 * What the history of a year costs: bytes a value at 10 s, the file's size with what is kept by default, and the time to read the year.
 *
 *     bench_store [BRIM]         a generated load, 365 days of it; BRIM is the program whose reports are timed, from its start to its end
 *     bench_store --days N       less of it
 *     bench_store --groups N     with nodes told apart by a label that has N values
 *     bench_store --make FILE    the file stays; also beside --days and --groups
 *     bench_store --file FILE    packs the samples of a history that is there (a copy of it: it is changed)
 *
 * The load is a web site's by hour and weekday with noise, batch pods that come and go, and filler that follows after a while, on 50 nodes;
 * about one row in ten changes all of a policy's numbers. Each change of filler is a decision, some hundreds a day; of pods the
 * journal has PODS_A_DAY paid and as many filler ones, one in 50 blocked for a while. The year's size is told with what was rolled up of
 * both, without the journal itself (it has a limit of its own). The file stands in TMPDIR. Lines of three words are for bench.py.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "storage/report.h"
#include "storage/series.h"

#define START_MS INT64_C(1790035200000) /* 2026-09-22T00:00:00Z */
#define HOUR_S   3600
#define DAY_S    86400

enum {
    PODS_A_DAY = 1440,
    POD_STEPS = DAY_S / PODS_A_DAY / 10, /* steps from one to the next */
    POD_LIVES = 60,                      /* of them are alive at one time */
    POD_BLOCKED = 50,                    /* each of so many waits */
    NODES = 50,
    NODE_MILLI = 32000,
    YEAR_DAYS = 365,
    READS = 20,
    STEP_S = SAMPLES_STEP_MS / 1000
};

static const struct history_keep keep = {.samples_ms = 14 * PACKS_DAY_MS,
                                         .minutes_ms = 90 * PACKS_DAY_MS,
                                         .journal_ms = 90 * PACKS_DAY_MS,
                                         .journal_bytes = 64 << 20};

static void check(bool ok, const struct err *err)
{
    if (ok)
        return;
    (void)fprintf(stderr, "bench_store: %s\n", err->text);
    exit(1);
}

static int64_t cpu_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

static uint64_t random_u64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static double random_share(uint64_t *state)
{
    return (double)(random_u64(state) >> 11) / (double)(1ULL << 53);
}

struct load {
    uint64_t random;
    int64_t t_s;
    int64_t web, batch, filler, want; /* pods: of 500 milli-cores, of 2 cores; replicas of 1 core */
    int64_t calm_s;                   /* for how long there was more room than filler */
    uint64_t decisions, pods;
    struct journal *journal;
};

/* Web pods follow the hour and the weekday every half a minute, batch comes in bursts. */
static void paid(struct load *l)
{
    double hour = fmod((double)l->t_s / HOUR_S, 24), week = fmod((double)l->t_s / DAY_S, 7);
    double want = 500 + 700 * exp(-(hour - 14) * (hour - 14) / 18) * (week < 5 ? 1 : 0.5);

    if (l->t_s % 30 == 0 && random_share(&l->random) < 0.4)
        l->web += (int64_t)(want * (0.97 + 0.06 * random_share(&l->random)) - (double)l->web) / 4;
    if (random_share(&l->random) < 0.01)
        l->batch += (int64_t)(random_share(&l->random) * 40);
    if (l->batch > 0 && random_share(&l->random) < 0.03)
        l->batch -= 1 + (int64_t)(random_share(&l->random) * (double)l->batch / 4);
}

/* Room spread over the nodes, a little differently on each. */
static void nodes(struct sample *s, int64_t free_milli, uint64_t salt)
{
    for (uint64_t i = 0; i < NODES; i++) {
        uint64_t state = i + salt;
        double room = (double)free_milli / NODES * 2 * random_share(&state);
        int64_t free = (int64_t)(room < NODE_MILLI ? room : NODE_MILLI) / 500 * 500;

        sample_add_node(s, NODE_MILLI, free, free / 1000);
    }
}

/* Filler yields at once and grows after a minute and a half. */
static void step(struct load *l, struct sample *s)
{
    int64_t allocatable = (int64_t)NODES * NODE_MILLI, used, room, headroom = 60000;

    paid(l);
    used = l->web * 500 + l->batch * 2000;
    used = used < allocatable ? used : allocatable;
    room = allocatable - used;
    l->want = room > headroom ? (room - headroom) / 1000 : 0;
    l->calm_s = l->want > l->filler ? l->calm_s + STEP_S : 0;
    if (l->want < l->filler || l->calm_s >= 90)
        l->filler = l->want;
    *s = (struct sample){.policy = "miner", .t_ms = START_MS + l->t_s * 1000};
    s->t_ms += (int64_t)(random_u64(&l->random) % 2);
    s->at[SAMPLE_ALLOCATABLE] = allocatable;
    s->at[SAMPLE_PAID] = used;
    s->at[SAMPLE_PENDING] = random_share(&l->random) < 0.02 ? 2000 : 0;
    s->at[SAMPLE_READY] = l->filler * 1000;
    s->at[SAMPLE_REMAINING] = room;
    s->at[SAMPLE_HEADROOM] = headroom;
    s->at[SAMPLE_KEPT] = headroom;
    s->at[SAMPLE_SET_POINT] = l->want;
    s->at[SAMPLE_DAMPED] = s->at[SAMPLE_REPLICAS] = l->filler;
    s->at[SAMPLE_WAITING] = s->at[SAMPLE_PENDING] / 2000;
    nodes(s, room, (uint64_t)(l->web / 16));
    l->t_s += STEP_S;
}

/* ---- decisions and pods ---- */

static void decide(struct history *h, struct load *l, int64_t before, int64_t t_ms)
{
    bool yield = l->filler < before;
    struct decision_entry d = {.t_ms = t_ms, .policy = "miner"};
    struct err err = {0};

    if (l->filler == before)
        return;
    d.id = ++l->decisions;
    (void)snprintf(d.reason, sizeof d.reason, "%s", yield ? "yield" : "harvest");
    (void)snprintf(d.bound, sizeof d.bound, "headroom");
    d.at[DECISION_BEFORE] = before;
    d.at[DECISION_REPLICAS] = l->filler;
    if (yield)
        d.at[DECISION_LATENCY] = 500 + (int64_t)(random_u64(&l->random) >> 50);
    check(decisions_add(h->decisions, &d, &err), &err);
}

static bool take_piece(void *self, struct journal_piece *piece)
{
    struct err err = {0};

    check(chunks_add(((struct history *)self)->chunks, piece, &err), &err);
    free(piece);
    return true;
}

static size_t room(void *self UNUSED)
{
    return 1 << 20;
}

static void begin_journal(struct load *l, const struct resource_names *names, struct history *h)
{
    const struct journal_sink sink = {
        .take = take_piece, .room = room, .self = h, .limit = 1 << 20};

    l->journal = journal_new(names, &sink);
    journal_list_begin(l->journal, JOURNAL_NODES, START_MS);
    for (int i = 0; i < NODES; i++) {
        char name[16];
        struct node_record node = {.ready = true};

        (void)snprintf(name, sizeof name, "node%d", i);
        node.name = sv_from(name);
        node.allocatable.at[RESOURCE_CPU] = NODE_MILLI;
        node.allocatable.at[RESOURCE_PODS] = 110;
        journal_node(l->journal, &node, START_MS);
    }
    journal_list_end(l->journal, JOURNAL_NODES, START_MS);
    journal_list_begin(l->journal, JOURNAL_PODS, START_MS);
    journal_list_end(l->journal, JOURNAL_PODS, START_MS);
}

static void show_pod(struct load *l, uint64_t uid, bool filler, bool bound, bool waits,
                     int64_t t_ms)
{
    char node[16] = "";
    struct pod_record pod = {.uid = {uid, filler},
                             .owner_kind = SV("ReplicaSet"),
                             .priority = filler ? -100 : 0,
                             .phase = bound ? PHASE_RUNNING : PHASE_PENDING,
                             .created = {START_MS * 1000},
                             .unschedulable = waits};

    if (bound)
        (void)snprintf(node, sizeof node, "node%d", (int)(uid % NODES));
    pod.node = sv_from(node);
    pod.request.at[RESOURCE_CPU] = filler ? 1000 : 500;
    pod.request.at[RESOURCE_PODS] = 1;
    journal_pod(l->journal, &pod, filler, false, t_ms);
}

/* Those of an hour ago go, a filler pod and a paid one come; by time, as the journal has it. */
static void pods(struct load *l, int64_t t_ms)
{
    uint64_t uid = ++l->pods;
    bool waits = uid % POD_BLOCKED == 0;

    for (uint64_t filler = 0; filler < 2 && uid > POD_LIVES; filler++)
        journal_pod_gone(l->journal, (struct uid){uid - POD_LIVES, filler}, t_ms);
    show_pod(l, uid, true, false, false, t_ms);
    show_pod(l, uid, false, false, false, t_ms);
    show_pod(l, uid, true, true, false, t_ms + 10);
    if (waits)
        show_pod(l, uid, false, false, true, t_ms + 15);
    show_pod(l, uid, false, true, false,
             t_ms + 20 + (waits ? (int64_t)(random_u64(&l->random) % 5000) : 0));
}

/* ---- groups of nodes ---- */

/* The same cluster by groups: pods are spread evenly, so that one that comes or goes changes one group. */
static void groups_of(const struct load *l, const struct sample *s, int64_t n,
                      struct groups_sample *to)
{
    int64_t filler = l->filler;

    *to = (struct groups_sample){.policy = "miner", .label = "zone", .t_ms = s->t_ms};
    for (int64_t i = 0; i < n; i++) {
        struct groups_one *g = &to->at[to->n++];
        int64_t allocatable = (int64_t)NODES * NODE_MILLI / n;
        int64_t paid = (l->web + i) / n * 500 + (l->batch + 7 * i % n) / n * 2000;
        int64_t room = allocatable > paid ? allocatable - paid : 0;
        int64_t mine = filler / (n - i) < room / 1000 ? filler / (n - i) : room / 1000;

        filler -= mine;
        (void)snprintf(g->value, sizeof g->value, "zone-%d", (int)i);
        g->at[GROUP_NODES] = NODES / n;
        g->at[GROUP_ALLOCATABLE] = allocatable;
        g->at[GROUP_PAID] = paid < allocatable ? paid : allocatable;
        g->at[GROUP_FILLER] = mine * 1000;
        g->at[GROUP_FIT] = room / 1000;
    }
}

static void add_groups(struct history *h, const struct load *l, const struct sample *s, int64_t n)
{
    struct groups_sample groups;
    struct err err = {0};

    if (n == 0)
        return;
    groups_of(l, s, n, &groups);
    check(groups_add(h->groups, &groups, &err), &err);
}

static void pack(struct history *h, int64_t now_ms)
{
    struct err err = {0};
    bool more = true;

    while (more)
        check(history_pack(h, now_ms, &more, &err), &err);
}

static void fill(struct history *h, int64_t days, int64_t groups)
{
    struct load load = {.random = 1, .web = 500};
    struct resource_names names;
    struct sample s = {0};
    struct err err = {0};

    check(db_exec(h->db, "PRAGMA synchronous=OFF", &err), &err);
    resource_names_init(&names);
    begin_journal(&load, &names, h);
    while (load.t_s < days * DAY_S) {
        check(db_begin(h->db, &err), &err);
        do {
            int64_t before = load.filler;

            step(&load, &s);
            check(samples_add(h->samples, &s, &err), &err);
            decide(h, &load, before, s.t_ms);
            if (load.t_s / STEP_S % POD_STEPS == 0)
                pods(&load, s.t_ms);
            journal_cut(load.journal, s.t_ms + SAMPLES_STEP_MS - 1);
            add_groups(h, &load, &s, groups);
        } while (load.t_s % HOUR_S != 0);
        check(db_commit(h->db, &err), &err);
        pack(h, START_MS + load.t_s * 1000);
        check(history_forget(h, &keep, START_MS + load.t_s * 1000, &err), &err);
    }
    journal_free(load.journal);
    resource_names_done(&names);
}

static int64_t number(struct history *h, const char *sql)
{
    struct err err = {0};
    int64_t n = 0;

    check(db_number(h->db, sql, &n, &err), &err);
    return n;
}

static const enum series read_series[] = {(enum series)SAMPLE_ALLOCATABLE,
                                          (enum series)SAMPLE_PAID,
                                          (enum series)SAMPLE_READY,
                                          SERIES_PART_PAID,
                                          SERIES_PART_FILLER,
                                          SERIES_PART_CHURN,
                                          SERIES_PART_KEPT,
                                          SERIES_PART_IDLE,
                                          SERIES_DEMAND,
                                          (enum series)SAMPLE_WAITING};

/* CPU of reading ten series over all days in rows of so many hours; the best of some. */
static double read_ms(struct history *h, int64_t days, int64_t hours, int64_t shift_ms)
{
    size_t n = (size_t)(days * 24 / hours);
    int64_t *edges = xcalloc(n + 1, sizeof *edges), best = INT64_MAX;
    struct figures *figures = xcalloc(n * COUNT_OF(read_series), sizeof *figures);
    struct series_row *rows = xcalloc(n, sizeof *rows);
    const struct series_query q = {.policy = SV("miner"),
                                   .series = read_series,
                                   .n_series = COUNT_OF(read_series),
                                   .edges = edges,
                                   .n_rows = n};
    struct err err = {0};

    for (size_t i = 0; i <= n; i++)
        edges[i] = START_MS + shift_ms + (int64_t)i * hours * PACKS_HOUR_MS;
    for (int i = 0; i < READS; i++) {
        int64_t begun = cpu_us();

        check(series_read(h, &q, rows, figures, &err), &err);
        best = cpu_us() - begun < best ? cpu_us() - begun : best;
    }
    free(rows);
    free(figures);
    free(edges);
    return (double)best / 1000;
}

/* CPU of a report of all there is, by the month; the best of some. */
static double report_cpu_ms(struct history *h)
{
    const struct report_query q = {.by = REPORT_MONTH};
    int64_t best = INT64_MAX;
    struct err err = {0};

    for (int i = 0; i < READS; i++) {
        int64_t begun = cpu_us();
        struct report r;

        check(report_make(h, &q, &r, &err), &err);
        report_done(&r);
        best = cpu_us() - begun < best ? cpu_us() - begun : best;
    }
    return (double)best / 1000;
}

static void run(const char *brim, const char *path)
{
    char *const words[] = {(char *)brim,   (char *)"report", (char *)"--zone=Europe/Berlin",
                           (char *)"--db", (char *)path,     NULL};
    posix_spawn_file_actions_t actions;
    int status = 0;
    pid_t pid;

    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (posix_spawn(&pid, brim, &actions, NULL, words, NULL) != 0 ||
        waitpid(pid, &status, 0) != pid || status != 0) {
        (void)fprintf(stderr, "bench_store: %s report failed\n", brim);
        exit(1);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
}

static int64_t children_us(void)
{
    struct rusage use;

    (void)getrusage(RUSAGE_CHILDREN, &use);
    return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * US_PER_S + use.ru_utime.tv_usec +
           use.ru_stime.tv_usec;
}

/* The whole command: a year by the day of a zone, as a table. */
static void tell_command(const char *brim, const char *path)
{
    const struct clock clock = clock_system();

    for (int i = 0; i < READS; i++) {
        int64_t cpu = children_us(), begun = clock.mono(clock.self).us;

        run(brim, path);
        (void)printf("store.command_wall %.2f ms\n",
                     (double)(clock.mono(clock.self).us - begun) / 1000);
        (void)printf("store.command %.2f ms\n", (double)(children_us() - cpu) / 1000);
    }
}

static void skip_total(void *self UNUSED, const struct groups_total *total UNUSED)
{
}

/* CPU of what a report reads of groups: all there is, cut within an hour; the best of some. */
static double read_groups_ms(struct history *h)
{
    int64_t best = INT64_MAX;
    struct groups_damage damage;
    struct err err = {0};

    for (int i = 0; i < READS; i++) {
        int64_t begun = cpu_us();

        check(groups_read(h->groups, SV("miner"), START_MS + PACKS_MINUTE_MS, INT64_C(1) << 42,
                          skip_total, NULL, &damage, &err),
              &err);
        best = cpu_us() - begun < best ? cpu_us() - begun : best;
    }
    return (double)best / 1000;
}

static void tell_values(struct history *h)
{
    int64_t rows = number(h, "SELECT sum(rows) FROM pack WHERE level = 0");
    int64_t bytes = number(h, "SELECT sum(length(data)) FROM pack WHERE level = 0");

    if (rows == 0)
        return;
    (void)printf("%" PRId64 " samples of %d values in %" PRId64 " bytes\n", rows, SAMPLE_COUNT_,
                 bytes);
    (void)printf("store.value %.3f B\n", (double)bytes / (double)(rows * (SAMPLE_COUNT_ + 1)));
    /* The fields that were rows before, as if the others took nothing. */
    (void)printf("store.value_of_fields_that_change %.3f B\n",
                 (double)bytes / (double)(rows * (SAMPLE_WAITING + 1)));
    for (int level = LEVEL_MINUTE; level < LEVEL_COUNT_; level++) {
        static const char *const tables[] = {"pack", "activity"};

        for (size_t i = 0; i < COUNT_OF(tables); i++) {
            char sql[96];

            (void)snprintf(sql, sizeof sql, "SELECT sum(length(data)) FROM %s WHERE level = %d",
                           tables[i], level);
            (void)printf("%s, level %d: %" PRId64 " bytes\n", tables[i], level, number(h, sql));
        }
    }
}

static void year(const char *path, int64_t days, int64_t groups, const char *brim)
{
    const struct db_options options = {.path = path};
    struct history h;
    struct err err = {0};
    int64_t begun = cpu_us(), journal;

    check(history_open(&options, &h, &err), &err);
    fill(&h, days, groups);
    (void)printf("store.hour %.2f ms\n", (double)(cpu_us() - begun) / 1000 / (double)(days * 24));
    tell_values(&h);
    journal = number(&h, "SELECT coalesce(sum(bytes), 0) FROM chunk");
    (void)printf("%" PRIu64 " decisions, %" PRId64 " bytes of journal\n",
                 (uint64_t)number(&h, "SELECT max(id) FROM decision"), journal);
    (void)printf("%s %.2f MB\n", days == YEAR_DAYS ? "store.year" : "the file, not of a year:",
                 (double)(db_bytes(h.db) - journal) / 1e6);
    (void)printf("store.read_hours %.2f ms\n", read_ms(&h, days, 1, 0));
    (void)printf("store.read_days %.2f ms\n", read_ms(&h, days, 24, 0));
    (void)printf("store.read_days_of_a_zone %.2f ms\n", read_ms(&h, days, 24, PACKS_HOUR_MS));
    (void)printf("store.read_half_hour_zone %.2f ms\n",
                 read_ms(&h, days, 24, PACKS_HOUR_MS + PACKS_HOUR_MS / 2));
    (void)printf("store.report %.2f ms\n", report_cpu_ms(&h));
    if (groups != 0)
        (void)printf("store.read_groups %.2f ms\n", read_groups_ms(&h));
    history_close(&h);
    if (brim != NULL)
        tell_command(brim, path);
}

static void file(const char *path)
{
    const struct db_options options = {.path = path};
    struct history h;
    struct err err = {0};

    check(history_open(&options, &h, &err), &err);
    pack(&h, INT64_C(1) << 42);
    tell_values(&h);
    history_close(&h);
}

/* What the command line asks for; false: something else. */
struct asked {
    const char *make, *file, *brim;
    int64_t days, groups;
};

static bool read_words(int argc, char **argv, struct asked *ret_asked)
{
    struct asked a = {.days = YEAR_DAYS, .brim = argc == 2 ? argv[1] : NULL};
    bool ok = argc == 2 || argc % 2 == 1;

    for (int i = 1; ok && i + 1 < argc; i += 2) {
        struct sv word = sv_from(argv[i]), value = sv_from(argv[i + 1]);

        if (sv_eq(word, SV("--make")))
            a.make = argv[i + 1];
        else if (sv_eq(word, SV("--file")))
            a.file = argv[i + 1];
        else if (sv_eq(word, SV("--days")))
            ok = sv_to_i64(value, &a.days) && a.days > 0;
        else
            ok = sv_eq(word, SV("--groups")) && sv_to_i64(value, &a.groups) && a.groups > 0 &&
                 a.groups <= GROUPS_MAX;
    }
    *ret_asked = a;
    return ok;
}

static void forget_file(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm"};

    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        char name[264];

        (void)snprintf(name, sizeof name, "%s%s", path, ends[i]);
        (void)unlink(name);
    }
}

int main(int argc, char **argv)
{
    const char *tmp = getenv("TMPDIR");
    struct asked a;
    char path[256];

    if (!read_words(argc, argv, &a)) {
        (void)fprintf(stderr, "bench_store: expected [BRIM] or [--days N] [--groups N] [--make "
                              "FILE] or --file FILE\n");
        return 2;
    }
    if (a.file != NULL) {
        file(a.file);
        return 0;
    }
    (void)snprintf(path, sizeof path, "%s/brim-store-%ld.db", tmp != NULL ? tmp : "/tmp",
                   (long)getpid());
    year(a.make != NULL ? a.make : path, a.days, a.groups, a.brim);
    if (a.make == NULL)
        forget_file(path);
    return 0;
}
