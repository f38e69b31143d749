#include "storage/writer.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "storage/groups_read.h"
#include "tests/unit/storage/folder.h"
#include "tests/unit/storage/world.h"

static void nap_us(int64_t us)
{
    (void)nanosleep(&(struct timespec){us / US_PER_S, us % US_PER_S * 1000}, NULL);
}

static int64_t mono_us(void)
{
    struct clock clock = clock_system();

    return clock.mono(clock.self).us;
}

static struct writer *start(const struct writer_options *options)
{
    struct writer *w;
    struct err err = {0};

    cr_assert(writer_start(options, &w, &err), "%s", err.text);
    return w;
}

static struct sample sample_at(int64_t t_ms)
{
    struct sample s = {.policy = "miner",
                       .t_ms = t_ms,
                       .at = {[SAMPLE_ALLOCATABLE] = 184000, [SAMPLE_PAID] = t_ms % 100000}};

    return s;
}

static struct decision_entry decision(uint64_t id, int64_t t_ms)
{
    struct decision_entry d = {
        .id = id, .t_ms = t_ms, .policy = "miner", .reason = "yield", .bound = "fit"};

    return d;
}

static bool count_sample(void *self, const struct sample *s)
{
    *(int64_t *)self += 1 + s->merged;
    return true;
}

/* How many the samples of a file stand for. */
static int64_t samples_in(const char *path)
{
    const struct db_options options = {.path = path, .read_only = true};
    struct history h;
    struct err err = {0};
    int64_t n = 0;

    cr_assert(history_open(&options, &h, &err), "%s", err.text);
    cr_assert(samples_each(h.samples, SV("miner"), 0, INT64_MAX, count_sample, &n, &err));
    history_close(&h);
    return n;
}

/* Waits until `done` holds of the status; fails after 20 s. */
#define WAIT_FOR(writer, status, done)                                                             \
    do {                                                                                           \
        int64_t until_ = mono_us() + 20 * US_PER_S;                                                \
        do {                                                                                       \
            nap_us(1000);                                                                          \
            writer_status((writer), &(status));                                                    \
            cr_assert_lt(mono_us(), until_, "waited for " #done ": %s", (status).error);           \
        } while (!(done));                                                                         \
    } while (0)

static int64_t number(const char *path, const char *sql)
{
    const struct db_options options = {.path = path, .read_only = true};
    struct err err = {0};
    struct db *db = NULL;
    int64_t n = -1;

    cr_assert(db_open(&options, &db, &err), "%s", err.text);
    cr_assert(db_number(db, sql, &n, &err), "%s", err.text);
    db_close(db);
    return n;
}

Test(writer, writes_what_it_was_given_and_ids_go_on_rising)
{
    struct folder f = folder_new();
    const struct writer_options options = {.path = f.file, .interval_us = 20000};

    for (int round = 0; round < 3; round++) {
        struct writer *w = start(&options);
        uint64_t id = writer_first_id(w, 10 * US_PER_S);

        cr_assert_eq(id, (uint64_t)round * 50 + 1);
        for (int i = 0; i < 50; i++) {
            struct sample s = sample_at(1000 + (round * 50 + i) * 10000);
            struct decision_entry d = decision(id + (uint64_t)i, s.t_ms);

            writer_sample(w, &s);
            writer_decision(w, &d);
        }
        cr_assert(writer_stop(w));
    }
    cr_assert_eq(number(f.file, "SELECT count(*) FROM sample"), 150);
    cr_assert_eq(number(f.file, "SELECT count(*) FROM decision"), 150);
    cr_assert_eq(number(f.file, "SELECT max(id) FROM decision"), 150);
    cr_assert_eq(number(f.file, "SELECT count(*) FROM gap WHERE why = 'agent started'"), 2);
    folder_done(&f);
}

Test(writer, writes_a_decision_at_once_and_a_sample_within_the_interval)
{
    struct folder f = folder_new();
    const struct writer_options options = {.path = f.file, .interval_us = 2 * US_PER_S};
    struct writer *w = start(&options);
    struct decision_entry d = decision(writer_first_id(w, 10 * US_PER_S), 1000);
    struct sample s = sample_at(1000);
    struct writer_status status;
    int64_t begun = mono_us();

    writer_decision(w, &d);
    WAIT_FOR(w, status, status.commits == 1);
    cr_assert_lt(mono_us() - begun, 1500000);
    begun = mono_us();
    writer_sample(w, &s);
    WAIT_FOR(w, status, status.commits == 2);
    cr_assert_lt(mono_us() - begun, 4 * US_PER_S);
    cr_assert_eq(status.queued, 0);
    cr_assert_gt(status.bytes, 0);
    writer_stop(w);
    folder_done(&f);
}

/* A way to the files on which every sync takes as long as `slow_us` says. */
static _Atomic int64_t slow_us;
static sqlite3_vfs slow_vfs;

/* SQLite has a set of methods for each kind of file; each gets a slow twin. */
static struct twin {
    const sqlite3_io_methods *fast;
    sqlite3_io_methods slow;
} twins[8];

static int slow_sync(sqlite3_file *file, int flags)
{
    int64_t until = mono_us() + slow_us;

    while (mono_us() < until && slow_us != 0)
        nap_us(1000);
    for (size_t i = 0; i < COUNT_OF(twins); i++) {
        if (file->pMethods == &twins[i].slow)
            return twins[i].fast->xSync(file, flags);
    }
    return SQLITE_IOERR;
}

static int slow_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *ret_flags)
{
    sqlite3_vfs *base = vfs->pAppData;
    int code = base->xOpen(base, name, file, flags, ret_flags);
    size_t i = 0;

    if (code != SQLITE_OK || file->pMethods == NULL)
        return code;
    while (twins[i].fast != NULL && twins[i].fast != file->pMethods)
        i++;
    cr_assert_lt(i, COUNT_OF(twins) - 1);
    twins[i].fast = file->pMethods;
    twins[i].slow = *file->pMethods;
    twins[i].slow.xSync = slow_sync;
    file->pMethods = &twins[i].slow;
    return code;
}

static void slow_register(void)
{
    sqlite3_vfs *base = sqlite3_vfs_find(NULL);

    slow_vfs = *base;
    slow_vfs.zName = "slow";
    slow_vfs.xOpen = slow_open;
    slow_vfs.pAppData = base;
    cr_assert_eq(sqlite3_vfs_register(&slow_vfs, 0), SQLITE_OK);
}

/* The disk stands still (for 30 s, if need be) while the loop goes on: it is never kept waiting, and nothing disappears uncounted. */
Test(writer, never_keeps_the_loop_waiting_for_a_slow_disk)
{
    enum { SAMPLES = 3 * WRITER_SLOTS, DECISIONS = 200 };
    struct folder f = folder_new();
    struct writer_options options = {.path = f.file, .vfs = "slow", .interval_us = 20000};
    static struct world world;
    struct writer_status status;
    struct writer *w;
    struct sample s;
    struct decision_entry d;
    uint64_t id;
    int64_t worst = 0, span;

    slow_register();
    w = start(&options);
    id = writer_first_id(w, 10 * US_PER_S);
    s = sample_at(0);
    writer_sample(w, &s);
    WAIT_FOR(w, status, status.commits == 1);
    slow_us = 30 * US_PER_S;

    const struct journal_sink sink = writer_sink(w);

    world_init(&world, "slow disk");
    world.journal = journal_new(&world.names, &sink);
    world_list(&world);
    for (int i = 1; i <= SAMPLES; i++) {
        int64_t begun = mono_us(), took;

        s = sample_at(i * 10000);
        writer_sample(w, &s);
        if (i % (SAMPLES / DECISIONS) == 0) {
            d = decision(id++, s.t_ms);
            writer_decision(w, &d);
        }
        world_step(&world);
        journal_cut(world.journal, world.now_ms);
        took = mono_us() - begun;
        worst = took > worst ? took : worst;
    }
    /* Without the writer's help: a preempted test may take its time, 30 s it does not. */
    cr_assert_lt(worst, 2 * US_PER_S);
    writer_status(w, &status);
    cr_assert_gt(status.merged, 0);
    cr_assert_gt(status.dropped, 0);
    cr_assert_gt(status.dropped_pieces, 0);
    cr_assert_leq(status.queued, WRITER_SLOTS);
    cr_assert(journal_stats(world.journal).losing);

    slow_us = 0;
    WAIT_FOR(w, status, status.queued == 0);
    s = sample_at((SAMPLES + 1) * 10000);
    writer_sample(w, &s);
    d = decision(id++, s.t_ms);
    writer_decision(w, &d);
    journal_cut(world.journal, world.now_ms);
    cr_assert_not(journal_stats(world.journal).losing);
    world_step(&world);
    journal_cut(world.journal, world.now_ms);
    writer_status(w, &status);
    writer_stop(w);

    /* Each sample is there or merged into one that is; each decision is there or in a gap. */
    span = samples_in(f.file);
    cr_assert_eq(span, SAMPLES + 2, "%lld", (long long)span);
    cr_assert_eq(
        number(f.file, "SELECT (SELECT count(*) FROM decision) + (SELECT sum(decisions) FROM gap)"),
        (int64_t)id - 1);
    cr_assert_eq((uint64_t)number(f.file, "SELECT sum(decisions) FROM gap"), status.dropped);
    cr_assert_eq(number(f.file, "SELECT count(DISTINCT segment) FROM chunk"), 2);
    world_done(&world);
    folder_done(&f);
}

/* A stop gives up on a disk that stands still; what was committed before is there, and the rest follows if the process lives on. */
Test(writer, stops_in_time_on_a_disk_that_stands_still)
{
    struct folder f = folder_new();
    struct writer_options options = {
        .path = f.file, .vfs = "slow", .interval_us = 20000, .stop_us = 100000};
    struct sample s = sample_at(0);
    struct writer_status status;
    struct writer *w;
    char log[320];
    int64_t begun;

    slow_register();
    w = start(&options);
    writer_sample(w, &s);
    WAIT_FOR(w, status, status.commits == 1);
    slow_us = 30 * US_PER_S;
    s = sample_at(10000);
    writer_sample(w, &s);
    begun = mono_us();
    cr_assert_not(writer_stop(w));
    cr_assert_lt(mono_us() - begun, 2 * US_PER_S);

    slow_us = 0;
    /* SQLite removes the log when the file is closed. */
    (void)snprintf(log, sizeof log, "%s-wal", f.file);
    for (begun = mono_us(); access(log, F_OK) == 0;) {
        cr_assert_lt(mono_us() - begun, 20 * US_PER_S, "the thread never ended");
        nap_us(1000);
    }
    cr_assert_eq(number(f.file, "SELECT count(*) FROM sample"), 2);
    folder_done(&f);
}

/* `fail` makes every write fail, `heal` ends that. Meanwhile things wait; afterwards all of them are written. */
static void check_recovery(void (*fail)(void *self), void (*heal)(void *self), struct folder *f,
                           const char *says)
{
    const struct writer_options options = {.path = f->file, .interval_us = 20000};
    struct writer_status status;
    struct writer *w = start(&options);
    struct sample s = sample_at(0);
    struct err err = {0};

    writer_sample(w, &s);
    WAIT_FOR(w, status, status.commits == 1);
    fail(f);
    for (int i = 1; i <= 100; i++) {
        s = sample_at(i * 10000);
        writer_sample(w, &s);
    }
    WAIT_FOR(w, status, status.errors >= 2);
    cr_assert_not_null(strstr(status.error, says), "%s", status.error);
    cr_assert_neq(status.failing_since.us, 0);
    cr_assert_eq(status.queued, 100);
    heal(f);
    WAIT_FOR(w, status, status.queued == 0 && status.failing_since.us == 0);
    cr_assert_str_eq(status.error, "");
    writer_stop(w);
    cr_assert_eq(number(f->file, "SELECT count(*) FROM sample"), 101);

    const struct db_options read = {.path = f->file, .read_only = true};
    struct db *db;

    cr_assert(db_open(&read, &db, &err) && db_integrity(db, &err), "%s", err.text);
    db_close(db);
}

/* No file may grow beyond a page: EFBIG instead of ENOSPC, which SQLite reports the same way. SIGXFSZ must not end the process. */
static void fill_disk(void *self)
{
    (void)self;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, RLIM_INFINITY}), 0);
}

static void empty_disk(void *self)
{
    (void)self;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}), 0);
}

Test(writer, goes_on_after_the_disk_was_full)
{
    struct folder f = folder_new();

    check_recovery(fill_disk, empty_disk, &f, "disk");
    folder_done(&f);
}

/* A clock that stands until it is set; also asked by the disk thread. */
struct standing {
    _Atomic int64_t us;
};

static struct mono standing_mono(void *self)
{
    return (struct mono){atomic_load(&((struct standing *)self)->us)};
}

static struct wall standing_wall(void *self)
{
    return (struct wall){INT64_C(1700000000) * US_PER_S +
                         atomic_load(&((struct standing *)self)->us)};
}

static void answered(void *self, struct history *history, const struct err *why_not)
{
    cr_assert_not_null(history, "%s", why_not != NULL ? why_not->text : "");
    atomic_store((atomic_bool *)self, true);
}

/* Writes one sample after `us` on the clock; when it returns, what follows a commit is over, too. */
static void commit_one(struct writer *w, struct standing *clock, int64_t us, int64_t t_ms)
{
    struct writer_status status;
    struct sample s = sample_at(t_ms);
    atomic_bool done = false;
    uint64_t commits;

    writer_status(w, &status);
    commits = status.commits;
    atomic_fetch_add(&clock->us, us);
    writer_sample(w, &s);
    writer_wake(w);
    WAIT_FOR(w, status, status.commits > commits);
    cr_assert(writer_ask(w, answered, &done));
    WAIT_FOR(w, status, atomic_load(&done));
}

/*
 * What cannot be rolled up, here since the table takes nothing, is not tried after every commit: with one every 100 s it is at the 2nd,
 * then 100 s, 200 s and 400 s later, and every 600 s from then on, at the 15th, the 21st, … the 99th.
 */
Test(writer, packs_ever_later_while_it_fails)
{
    enum { INTERVAL_S = 100, COMMITS = 100, TRIES = 19 };
    struct folder f = folder_new();
    struct standing clock = {.us = US_PER_S};
    struct writer_options options = {.path = f.file, .interval_us = INTERVAL_S * US_PER_S};
    struct writer_status status;
    struct writer *w = start(&options);
    sqlite3 *db;

    writer_stop(w);
    cr_assert_eq(sqlite3_open(f.file, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                              "DROP TABLE activity;CREATE TABLE activity(policy, level, first, "
                              "begin, until, rows CHECK(rows < 0), data, "
                              "PRIMARY KEY(policy, level, first))",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    options.clock = (struct clock){standing_mono, standing_wall, &clock};
    w = start(&options);
    for (int64_t i = 0; i < COMMITS; i++)
        commit_one(w, &clock, INTERVAL_S * US_PER_S, i == 0 ? 0 : PACKS_HOUR_MS + i * 1000);
    writer_status(w, &status);
    cr_assert_eq(status.commits, COMMITS);
    cr_assert_eq(status.errors, TRIES, "%llu", (unsigned long long)status.errors);
    writer_stop(w);
    cr_assert_eq(samples_in(f.file), COMMITS);
    folder_done(&f);
}

static sqlite3 *other;

static void lock_file(void *self)
{
    cr_assert_eq(sqlite3_open(((struct folder *)self)->file, &other), SQLITE_OK);
    cr_assert_eq(sqlite3_busy_timeout(other, 30000), SQLITE_OK); /* a commit is under way, maybe */
    cr_assert_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

static void unlock_file(void *self)
{
    (void)self;
    cr_assert_eq(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(other);
}

Test(writer, goes_on_after_another_process_held_the_file)
{
    struct folder f = folder_new();

    check_recovery(lock_file, unlock_file, &f, "locked");
    folder_done(&f);
}

Test(writer, says_that_there_can_be_no_thread)
{
    const struct writer_options options = {.path = "never made"};
    struct err err = {0};
    pthread_attr_t attr;
    struct writer *w;

    cr_assert(pthread_getattr_default_np(&attr) == 0 &&
              pthread_attr_setstacksize(&attr, (size_t)1 << 46) == 0 &&
              pthread_setattr_default_np(&attr) == 0);
    cr_assert_not(writer_start(&options, &w, &err));
    cr_assert_eq(err.kind, ERR_SYSTEM);
    (void)pthread_attr_destroy(&attr);
}

/* A child that does not outlive the test, however that ends. */
static pid_t fork_child(void)
{
    pid_t parent = getpid(), pid = fork();

    cr_assert_geq(pid, 0);
    if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent))
        _exit(1);
    return pid;
}

/* Writes a history of its own until it is killed; says when it has begun. */
static pid_t other_agent(const char *path, int say)
{
    const struct writer_options options = {.path = path, .interval_us = 20000};
    pid_t pid = fork_child();
    struct writer *w;

    if (pid != 0)
        return pid;
    if (!writer_start(&options, &w, NULL) || writer_first_id(w, 60 * US_PER_S) != 1 ||
        write(say, "!", 1) != 1)
        _exit(1);
    for (;;)
        (void)pause();
}

Test(writer, goes_on_without_a_file_that_another_agent_writes_and_takes_it_over_at_its_end)
{
    struct folder f = folder_new();
    const struct writer_options options = {.path = f.file, .interval_us = 20000};
    struct sample s = sample_at(10000);
    struct writer_status status;
    char byte, who[64];
    struct writer *w;
    int ends[2];
    pid_t pid;

    cr_assert_eq(pipe(ends), 0);
    pid = other_agent(f.file, ends[1]);
    cr_assert_eq(read(ends[0], &byte, 1), 1);
    w = start(&options);
    (void)snprintf(who, sizeof who, "process %lld on ", (long long)pid);
    writer_sample(w, &s);
    WAIT_FOR(w, status, status.errors >= 2);
    cr_assert(!status.open && status.queued == 1);
    cr_assert_not_null(strstr(status.error, who), "%s", status.error);
    cr_assert_eq(kill(pid, SIGKILL), 0);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    WAIT_FOR(w, status, status.open && status.queued == 0 && status.failing_since.us == 0);
    writer_stop(w);
    (void)close(ends[0]);
    (void)close(ends[1]);
    folder_done(&f);
}

Test(writer, reports_a_file_that_is_no_history_and_goes_on_without_it)
{
    struct folder f = folder_new();
    const struct writer_options options = {.path = f.file, .interval_us = 20000};
    struct writer_status status;
    struct writer *w;
    FILE *file = fopen(f.file, "w");

    cr_assert(file != NULL &&
              fputs("this is not a database at all, and long enough to be looked at", file) >= 0);
    (void)fclose(file);
    w = start(&options);
    cr_assert_eq(writer_first_id(w, 10 * US_PER_S), 1);
    for (int i = 0; i < 3 * WRITER_SLOTS; i++) {
        struct sample s = sample_at(i * 10000);

        writer_sample(w, &s);
    }
    WAIT_FOR(w, status, status.errors >= 2);
    cr_assert_not(status.open);
    cr_assert_not_null(strstr(status.error, "not a database"), "%s", status.error);
    cr_assert_gt(status.merged, 0);
    writer_stop(w);
    folder_done(&f);
}

struct question {
    atomic_int answers;
    bool had_history;
    int64_t samples;
};

static void count_samples(void *self, struct history *h, const struct err *why_not)
{
    struct question *q = self;

    q->had_history = h != NULL;
    cr_assert(h != NULL || why_not->kind == ERR_STORAGE);
    if (h != NULL)
        cr_assert(db_number(h->db, "SELECT count(*) FROM sample", &q->samples, NULL));
    atomic_fetch_add(&q->answers, 1);
}

Test(writer, answers_questions_on_its_thread)
{
    struct folder f = folder_new();
    const struct writer_options options = {.path = f.file, .interval_us = 50000};
    struct writer *w = start(&options);
    struct sample s = sample_at(0);
    struct writer_status status;
    struct question q = {0};
    int asked = 0;

    writer_sample(w, &s);
    WAIT_FOR(w, status, status.commits == 1);
    for (; asked < 500; asked++) {
        if (!writer_ask(w, count_samples, &q))
            break;
    }
    cr_assert_geq(asked, WRITER_MAX_REQUESTS);
    writer_stop(w);
    cr_assert_eq(q.answers, asked);
    folder_done(&f);
}

/* What the child says it has done, in memory that outlives it. */
struct diary {
    _Atomic int64_t pushed, committed; /* newest sample's time */
};

enum { KILL_INTERVAL_US = 50000, KILL_ROUNDS = 200, KILL_ROUNDS_A_FILE = 20 };

/* Samples every ms, events, decisions; ends only by being killed. */
static void live_until_killed(const char *path, struct diary *diary, int64_t t_ms)
{
    const struct writer_options options = {.path = path, .interval_us = KILL_INTERVAL_US};
    static struct world world;
    struct writer *w;
    struct writer_status status;
    uint64_t commits = 0, id;

    if (!writer_start(&options, &w, NULL))
        _exit(1);
    id = writer_first_id(w, 10 * US_PER_S);

    const struct journal_sink sink = writer_sink(w);

    world_init(&world, "kill");
    world.journal = journal_new(&world.names, &sink);
    world.now_ms = t_ms;
    world_list(&world);
    for (int64_t n = 0;; n++) {
        struct sample s = sample_at(t_ms + n);
        int64_t before = diary->pushed;

        writer_sample(w, &s);
        diary->pushed = s.t_ms;
        if (n % 20 == 0) {
            struct decision_entry d = decision(id++, s.t_ms);

            writer_decision(w, &d);
        }
        world_step(&world);
        if (n % 10 == 0)
            journal_cut(world.journal, world.now_ms);
        writer_status(w, &status);
        /* Nothing waits: what was pushed before this look is committed. */
        if (status.commits != commits && status.queued == 0)
            diary->committed = before;
        commits = status.commits;
        nap_us(1000);
    }
}

static void check_after_kill(const char *path, int64_t committed)
{
    struct db_options options = {.path = path};
    struct gathered g = {0};
    struct err err = {0};
    struct history h;
    int64_t first, last, damaged;

    cr_assert(history_open(&options, &h, &err), "%s", err.text);
    cr_assert(db_integrity(h.db, &err), "%s", err.text);
    cr_assert(samples_span(h.samples, &first, &last, &err));
    cr_assert_geq(last, committed, "a committed sample is missing");
    cr_assert(chunks_read(h.chunks, 0, INT64_MAX, world_gather, &g, &damaged, &err) &&
              damaged == 0);
    free(g.at);
    history_close(&h);
}

/*
 * kill -9 at random moments, with an interval of 50 ms instead of 10 s. What was committed is there; what was pushed longer ago than the
 * interval and the time that this machine needed for the longest commit is, too: the same bound that holds at 10 s. Each file lives
 * through 20 kills, so that the looks at it stay short; the time limit is for a machine that is slow and busy.
 */
Test(writer, loses_at_most_one_interval_when_it_is_killed, .timeout = 400)
{
    struct diary *diary =
        mmap(NULL, sizeof *diary, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct random r = random_start("kill");
    struct folder f = folder_new();
    int64_t t_ms = INT64_C(1790000000000), lost_most = 0;

    cr_assert_neq(diary, MAP_FAILED);
    for (int round = 0; round < KILL_ROUNDS; round++) {
        int64_t last;
        pid_t child;
        int status;

        if (round > 0 && round % KILL_ROUNDS_A_FILE == 0) {
            folder_done(&f);
            f = folder_new();
            diary->pushed = diary->committed = 0;
        }
        child = fork_child();
        if (child == 0)
            live_until_killed(f.file, diary, t_ms);
        nap_us(random_in(&r, 1000, 150000));
        cr_assert_eq(kill(child, SIGKILL), 0);
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        check_after_kill(f.file, diary->committed);
        last = number(f.file, "SELECT coalesce(max(t), 0) FROM sample");
        /* Samples are a millisecond apart or more; a round begins a minute after the one before. */
        if (last < t_ms - 1)
            last = t_ms - 1;
        if (diary->pushed - last > lost_most)
            lost_most = diary->pushed - last;
        t_ms += 60000;
    }
    (void)fprintf(stderr, "# the most that was missing: %lld samples of 1 ms, interval %d ms\n",
                  (long long)lost_most, KILL_INTERVAL_US / 1000);
    /* Commits on a busy machine may take as long again many times over: only the order of magnitude can be asserted. */
    cr_assert_leq(lost_most, 20 * KILL_INTERVAL_US / 1000);
    folder_done(&f);
}

/* Writes garbage over a part of the file, behind everybody's back. */
static void damage(const char *path, long at, long len)
{
    FILE *file = fopen(path, "r+b");

    cr_assert(file != NULL && fseek(file, at, SEEK_SET) == 0);
    for (long i = 0; i < len; i++)
        cr_assert_neq(fputc('x', file), EOF);
    cr_assert_eq(fclose(file), 0);
}

/* An agent's life: n samples and decisions from a time on; how it fared. */
static struct writer_status write_some(const struct writer_options *options, int64_t from_ms, int n)
{
    struct writer *w = start(options);
    uint64_t id = writer_first_id(w, 10 * US_PER_S);
    struct writer_status status;

    for (int i = 0; i < n; i++) {
        struct sample s = sample_at(from_ms + i * 10000);
        struct decision_entry d = decision(id + (uint64_t)i, s.t_ms);

        writer_sample(w, &s);
        writer_decision(w, &d);
    }
    writer_wake(w);
    WAIT_FOR(w, status, status.queued == 0 && status.open);
    writer_stop(w);
    return status;
}

Test(writer, sets_a_damaged_history_aside_and_begins_a_new_one)
{
    static const struct {
        const char *what;
        long at, len; /* of the garbage */
    } rows[] = {
        {"the header", 0, 100},
        {"the first page", 0, 4096},
        {"all but the header", 100, 60000},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct folder f = folder_new();
        const struct writer_options options = {.path = f.file, .interval_us = 20000};
        struct writer_status status = write_some(&options, 10000, 300);

        cr_assert(status.set_aside == 0 && status.aside[0] == '\0');
        damage(f.file, rows[i].at, rows[i].len);
        status = write_some(&options, 10000000, 20);
        cr_assert_eq(status.set_aside, 1, "%s: %s", rows[i].what, status.error);
        cr_assert_not_null(strstr(status.aside, "history.db.corrupt-"), "%s", status.aside);
        cr_assert_neq(status.damage[0], '\0');
        cr_assert_eq(access(status.aside, F_OK), 0);
        cr_assert_eq(number(f.file, "SELECT count(*) FROM sample"), 20);
        folder_done(&f);
    }
}

/* Pages that are read when all is prepared for writing, and such as no start reads. */
Test(writer, looks_over_a_file_that_it_opens)
{
    static const char *const trees[] = {"decision", "decision_t", "gap", "chunk", "pack"};

    for (size_t i = 0; i < COUNT_OF(trees); i++) {
        struct folder f = folder_new();
        const struct writer_options options = {.path = f.file, .interval_us = 20000};
        struct writer_status status = write_some(&options, 10000, 3000);
        struct writer *w;
        char sql[128];

        cr_assert_eq(status.set_aside, 0);
        (void)snprintf(sql, sizeof sql, "SELECT rootpage FROM sqlite_schema WHERE name = '%s'",
                       trees[i]);
        damage(f.file, 4096 * (number(f.file, sql) - 1), 4096);
        w = start(&options);
        WAIT_FOR(w, status, status.set_aside == 1);
        cr_assert(writer_stop(w));
        cr_assert_eq(number(f.file, "SELECT count(*) FROM sample"), 0, "%s", trees[i]);
        folder_done(&f);
    }
}

/* Damage that is found only while it writes: nothing that was handed over is missing in the new file. */
Test(writer, begins_anew_when_the_file_is_damaged_under_it)
{
    struct folder f = folder_new();
    const struct writer_options options = {.path = f.file, .interval_us = 20000};
    struct writer_status status = write_some(&options, 10000, 3000);
    struct writer *w = start(&options);
    uint64_t id = writer_first_id(w, 10 * US_PER_S);
    int n = 0;

    damage(f.file, 4096, 400000);
    do {
        struct sample s = sample_at(100000000 + n * 10000);
        struct decision_entry d = decision(id + (uint64_t)n, s.t_ms);

        n++;
        writer_sample(w, &s);
        writer_decision(w, &d);
        WAIT_FOR(w, status, status.queued == 0 && status.failing_since.us == 0);
    } while (status.set_aside == 0 && n < 5000);
    cr_assert_eq(status.set_aside, 1);
    writer_stop(w);
    cr_assert_geq(number(f.file, "SELECT count(*) FROM decision"), 1);
    cr_assert_eq((uint64_t)number(f.file, "SELECT max(id) FROM decision"), id + (uint64_t)n - 1);
    folder_done(&f);
}

Test(writer, begins_anew_when_the_file_was_removed)
{
    struct folder f = folder_new();
    const struct writer_options options = {.path = f.file, .interval_us = 20000};
    struct writer *w = start(&options);
    struct sample s = sample_at(10000);
    struct writer_status status;

    writer_sample(w, &s);
    WAIT_FOR(w, status, status.commits == 1);
    cr_assert_eq(unlink(f.file), 0);
    s = sample_at(20000);
    writer_sample(w, &s);
    WAIT_FOR(w, status, status.commits == 2);
    cr_assert(status.errors > 0 && status.set_aside == 0);
    writer_stop(w);
    cr_assert_eq(number(f.file, "SELECT count(*) FROM sample"), 1);
    folder_done(&f);
}

static void read_samples(void *self, struct history *history, const struct err *why_not)
{
    int64_t n = 0;

    cr_assert_not_null(history, "%s", why_not != NULL ? why_not->text : "");
    cr_assert(samples_each(history->samples, SV("miner"), 0, INT64_MAX, count_sample, &n, NULL));
    atomic_store((atomic_int *)self, 1);
}

static void no_group(void *self UNUSED, const struct groups_total *total UNUSED)
{
}

static void read_groups(void *self, struct history *history, const struct err *why_not)
{
    struct groups_damage damage;

    cr_assert_not_null(history, "%s", why_not != NULL ? why_not->text : "");
    cr_assert(
        groups_read(history->groups, SV("miner"), 0, PACKS_HOUR_MS, no_group, NULL, &damage, NULL));
    atomic_store((atomic_int *)self, 1);
}

/* What is packed cannot be read; the next commit says so. */
static void expect_damage(enum level level, writer_run_fn *read)
{
    char sql[100];
    struct folder f = folder_new();
    const struct writer_options options = {.path = f.file, .interval_us = 20000};
    struct groups_sample groups = {
        .policy = "miner", .label = "zone", .t_ms = 10000, .n = 1, .at = {{.value = "a"}}};
    struct sample s = sample_at(10000);
    struct writer_status status;
    atomic_int done = 0;
    struct history h;
    struct writer *w;
    struct err err = {0};
    bool more = true;

    cr_assert(history_open(&(struct db_options){.path = f.file}, &h, &err), "%s", err.text);
    cr_assert(samples_add(h.samples, &s, &err) && groups_add(h.groups, &groups, &err), "%s",
              err.text);
    while (more)
        cr_assert(history_pack(&h, 2 * PACKS_HOUR_MS, &more, &err), "%s", err.text);
    (void)snprintf(sql, sizeof sql, "UPDATE pack SET data = zeroblob(40) WHERE level = %d", level);
    cr_assert(db_exec(h.db, sql, &err), "%s", err.text);
    history_close(&h);
    w = start(&options);
    cr_assert(writer_ask(w, read, &done));
    WAIT_FOR(w, status, atomic_load(&done) != 0);
    s.t_ms = 20000;
    writer_sample(w, &s);
    WAIT_FOR(w, status, status.damaged >= 1);
    cr_assert(writer_stop(w));
    folder_done(&f);
}

Test(writer, damaged_samples_are_counted)
{
    expect_damage(LEVEL_SAMPLES, read_samples);
}

Test(writer, damaged_groups_are_counted)
{
    expect_damage(LEVEL_GROUP_DAY, read_groups);
}
