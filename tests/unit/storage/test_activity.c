#include "storage/activity.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "storage/bins.h"
#include "storage/writer.h"
#include "tests/unit/storage/reported.h"
#include "tests/unit/storage/world.h"

#define T0 INT64_C(1790035200000) /* 2026-09-22T00:00:00Z */

enum { WEEKS = 53 };
#define YEAR_END (T0 + (WEEKS - 1) * 7 * DAY + HOUR)

Test(activity, bins_are_at_most_a_sixteenth_wide)
{
    struct random r = random_start("bins");
    int64_t before = -1;

    for (uint32_t bin = 0; bin < BINS_COUNT - BINS_EXACT; bin++) {
        int64_t most = bins_most(bin);

        cr_assert_gt(most, before, "bin %u", bin);
        cr_assert_eq(bins_of(most), bin);
        cr_assert_eq(bins_of(before + 1), bin);
        before = most;
    }
    for (int i = 0; i < 100000; i++) {
        int64_t value = (int64_t)(random_u64(&r) >> random_in(&r, 1, 63));
        int64_t most = bins_most(bins_of(value));

        cr_assert(most >= value && most - value <= value / BINS_EXACT, "%lld: %lld",
                  (long long)value, (long long)most);
    }
    cr_assert_lt(bins_of(INT64_MAX), BINS_COUNT);
    cr_assert_eq(bins_of(INT64_MIN), 0);
}

/* A history of one policy and a world of pods, hour by hour, rolled up as an agent does it. */
struct life {
    struct reported d;
    struct world world;
    struct random random;
    uint64_t id;
    int64_t replicas;
};

static bool take_piece(void *self, struct journal_piece *piece)
{
    struct life *l = self;
    struct err err = {0};

    cr_assert(chunks_add(l->d.history.chunks, piece, &err), "%s", err.text);
    free(piece);
    return true;
}

static size_t room(void *self UNUSED)
{
    return 1 << 20;
}

static void life_begin(struct life *l, const char *test)
{
    const struct journal_sink sink = {
        .take = take_piece, .room = room, .self = l, .limit = 1 << 20};
    struct err err = {0};

    memset(l, 0, sizeof *l);
    reported_open(&l->d);
    cr_assert(db_exec(l->d.history.db, "PRAGMA synchronous=OFF", &err));
    l->random = random_start(test);
    world_init(&l->world, test);
    l->world.now_ms = T0;
    l->world.journal = journal_new(&l->world.names, &sink);
    journal_set_segment(l->world.journal, 40 << 10, 100 * DAY);
    for (int i = 0; i < WORLD_NODES; i += 2)
        l->world.nodes[i] = true;
    world_list(&l->world);
}

static void life_end(struct life *l)
{
    world_done(&l->world);
    reported_done(&l->d);
}

static void decide(struct life *l, int64_t t_ms)
{
    static const char *const reasons[] = {"yield", "harvest", "hold"};
    struct decision_entry d = {.id = ++l->id, .t_ms = t_ms, .policy = "miner", .bound = "fit"};
    struct err err = {0};
    int reason = (int)random_in(&l->random, 0, 2);

    (void)snprintf(d.reason, sizeof d.reason, "%s", reasons[reason]);
    d.at[DECISION_BEFORE] = l->replicas;
    l->replicas = random_in(&l->random, 0, 20);
    d.at[DECISION_REPLICAS] = l->replicas;
    if (reason == 0 && random_percent(&l->random, 70))
        d.at[DECISION_LATENCY] = (int64_t)(random_u64(&l->random) >> random_in(&l->random, 36, 62));
    cr_assert(decisions_add(l->d.history.decisions, &d, &err), "%s", err.text);
}

static void pack(struct life *l, int64_t now_ms)
{
    struct err err = {0};
    bool more = true;

    while (more)
        cr_assert(history_pack(&l->d.history, now_ms, &more, &err), "%s", err.text);
}

/* As a file is when it was opened. */
static void restart(struct life *l)
{
    activity_progress_free(l->d.history.activity_progress);
    l->d.history.activity_progress = NULL;
}

/* An hour with samples, decisions and events; then it is over. */
static void live(struct life *l, int64_t hour_ms)
{
    struct err err = {0};
    int n = (int)random_in(&l->random, 0, 40);
    int64_t t_ms = hour_ms;

    reported_fill(&l->d, "miner", hour_ms, hour_ms + HOUR, 40000);
    cr_assert(db_begin(l->d.history.db, &err));
    for (int i = 0; i < n; i++) {
        t_ms += random_in(&l->random, 0, HOUR / 40 - 1);
        decide(l, t_ms);
    }
    while (l->world.now_ms < hour_ms + HOUR - 40000)
        world_step(&l->world);
    journal_cut(l->world.journal, l->world.now_ms);
    cr_assert(db_commit(l->d.history.db, &err));
    pack(l, hour_ms + HOUR);
}

/* What decisions and events themselves told of the time is gone, but for its last hour. */
static void forget(struct life *l, int64_t now_ms)
{
    const struct history_keep keep = {.samples_ms = HOUR, .journal_ms = HOUR};
    struct err err = {0};
    int64_t n;

    cr_assert(history_forget(&l->d.history, &keep, now_ms, &err), "%s", err.text);
    cr_assert(db_number(l->d.history.db, "SELECT count(DISTINCT segment) FROM chunk", &n, &err));
    cr_assert_eq(n, 1);
}

static void same_quantile(const char *what, size_t row, int64_t rolled, int64_t exact)
{
    cr_assert(rolled >= exact && rolled - exact <= exact / BINS_EXACT, "row %zu: %s %lld of %lld",
              row, what, (long long)rolled, (long long)exact);
}

/* Wherever reading begins, who waits is stated anew, and judged by the room of that moment: now and then a pod is blocked or not for it. */
enum { SLACK_ONCE = 4, SLACK_OFTEN = 8 };

static void same_row(size_t i, const struct report_row *rolled, const struct report_row *exact,
                     int64_t slack)
{
#define SAME(FIELD)                                                                                \
    cr_assert_eq(rolled->FIELD, exact->FIELD, "row %zu: " #FIELD " %lld, expected %lld", i,        \
                 (long long)rolled->FIELD, (long long)exact->FIELD)
    SAME(first_ms);
    SAME(covered_ms);
    SAME(decisions_ms);
    SAME(journal_ms);
    SAME(yields);
    SAME(harvests);
    SAME(reversals);
    SAME(answers);
    SAME(latency_max_us);
    SAME(starts);
    SAME(stops);
    SAME(pods);
    SAME(lone);
    SAME(rise_milli);
    SAME(nodes);
#undef SAME
    same_quantile("p50", i, rolled->latency_p50_us, exact->latency_p50_us);
    same_quantile("p99", i, rolled->latency_p99_us, exact->latency_p99_us);
    cr_assert_leq(llabs(rolled->blocked - exact->blocked), slack + exact->blocked / 50,
                  "row %zu: blocked %lld, expected %lld", i, (long long)rolled->blocked,
                  (long long)exact->blocked);
    if (rolled->blocked != exact->blocked || rolled->wait_ms != exact->wait_ms)
        return;
    same_quantile("wait p50", i, rolled->wait_p50_ms, exact->wait_p50_ms);
    same_quantile("wait p99", i, rolled->wait_p99_ms, exact->wait_p99_ms);
}

static void same_report(const struct report *rolled, const struct report *exact, int64_t slack)
{
    cr_assert_eq(rolled->n_rows, exact->n_rows);
    for (size_t i = 0; i < exact->n_rows; i++)
        same_row(i, &rolled->rows[i], &exact->rows[i], slack);
    same_row(exact->n_rows, &rolled->total, &exact->total, slack);
    cr_assert(exact->n_waits > 0 && rolled->n_waits > 0);
}

/* Out of decisions and events alone: what was rolled up is hidden meanwhile. */
static struct report made_of_events(struct life *l, const struct report_query *q)
{
    struct report r;
    struct err err = {0};

    cr_assert(db_exec(l->d.history.db,
                      "CREATE TEMP TABLE hidden AS SELECT * FROM activity; DELETE FROM activity",
                      &err),
              "%s", err.text);
    r = reported_make(&l->d, q);
    cr_assert(db_exec(l->d.history.db,
                      "INSERT INTO activity SELECT * FROM hidden; DROP TABLE hidden", &err),
              "%s", err.text);
    return r;
}

/* Whatever happened: a report of what was rolled up tells the same as one of the decisions and events themselves. */
Test(activity, tells_what_decisions_and_events_told)
{
    static const enum report_by by[] = {REPORT_MINUTE, REPORT_HOUR, REPORT_DAY, REPORT_WEEK_HOUR};
    enum { HOURS = 50 };
    const int64_t until_ms = T0 + (HOURS + 1) * HOUR;
    struct report exact[COUNT_OF(by)];
    struct life l;

    life_begin(&l, "activity");
    for (int i = 0; i < HOURS; i++)
        live(&l, T0 + i * HOUR);
    reported_fill(&l.d, "miner", T0 + HOURS * HOUR, until_ms, 40000);
    pack(&l, until_ms);
    for (size_t i = 0; i < COUNT_OF(by); i++)
        exact[i] = made_of_events(
            &l, &(struct report_query){.since_ms = T0, .until_ms = until_ms, .by = by[i]});
    cr_assert(exact[0].total.yields > 100 && exact[0].total.blocked > 20 &&
              exact[0].total.reversals > 50 && exact[0].total.starts > 100);
    forget(&l, until_ms);
    for (size_t i = 0; i < COUNT_OF(by); i++) {
        struct report rolled = reported_make(
            &l.d, &(struct report_query){.since_ms = T0, .until_ms = until_ms, .by = by[i]});

        same_report(&rolled, &exact[i], SLACK_ONCE);
        report_done(&rolled);
        report_done(&exact[i]);
    }
    life_end(&l);
}

/* Nothing was rolled up of some days and of the minutes of some hours. */
static void lose_some(struct life *l)
{
    struct err err = {0};
    char sql[160];

    (void)snprintf(sql, sizeof sql,
                   "DELETE FROM activity WHERE (level = %d OR level = %d) AND (first / 3600000 + "
                   "policy * 7 + %d) %% 3 = 0",
                   LEVEL_MINUTE, LEVEL_HOUR, (int)random_in(&l->random, 0, 2));
    cr_assert(db_exec(l->d.history.db, sql, &err), "%s", err.text);
}

static struct report_query some_range(struct life *l, int hours)
{
    static const enum report_by by[] = {REPORT_HOUR, REPORT_DAY, REPORT_WEEK_HOUR};
    struct report_query q = {.by = by[random_in(&l->random, 0, COUNT_OF(by) - 1)]};

    q.since_ms = T0 + random_in(&l->random, 0, (hours - 12) * HOUR);
    q.until_ms =
        q.since_ms + random_in(&l->random, REPORT_MINUTES_MS + 1, T0 + hours * HOUR - q.since_ms);
    return q;
}

/*
 * Where decisions and events are kept beside it, its edges need not be full hours, and some of it may be missing: that is counted out
 * of these.
 */
Test(activity, is_put_together_with_decisions_and_events)
{
    enum { HOURS = 75, ROUNDS = 40, WHOLE = 20 };
    struct life l;

    life_begin(&l, "together");
    for (int i = 0; i < HOURS; i++)
        live(&l, T0 + i * HOUR);
    for (int i = 0; i < ROUNDS; i++) {
        struct report_query q = some_range(&l, HOURS);
        struct report exact = made_of_events(&l, &q), rolled = reported_make(&l.d, &q);

        same_report(&rolled, &exact, i <= WHOLE ? SLACK_ONCE : SLACK_OFTEN);
        report_done(&rolled);
        report_done(&exact);
        if (i == WHOLE)
            lose_some(&l);
    }
    life_end(&l);
}

static void count_rows(struct life *l, enum level level, int64_t expected)
{
    struct err err = {0};
    char sql[96];
    int64_t n;

    (void)snprintf(sql, sizeof sql, "SELECT coalesce(sum(rows), 0) FROM activity WHERE level = %d",
                   level);
    cr_assert(db_number(l->d.history.db, sql, &n, &err), "%s", err.text);
    cr_assert_eq(n, expected, "level %d: %lld rows", level, (long long)n);
}

/* Minutes go before hours do; where hours are gone too, a day stands where its middle lies. */
Test(activity, stays_for_as_long_as_figures_do)
{
    const struct history_keep minutes = {
        .samples_ms = HOUR, .minutes_ms = HOUR, .journal_ms = HOUR};
    const struct history_keep none = {
        .samples_ms = HOUR, .minutes_ms = HOUR, .hours_ms = HOUR, .journal_ms = HOUR};
    const struct report_query q = {.since_ms = T0, .until_ms = T0 + DAY, .by = REPORT_DAY};
    struct report before, after;
    struct err err = {0};
    struct life l;

    life_begin(&l, "stays");
    for (int i = 0; i < 26; i++)
        live(&l, T0 + i * HOUR);
    before = reported_make(&l.d, &q);
    count_rows(&l, LEVEL_MINUTE, 2 * 26 * 60);
    count_rows(&l, LEVEL_HOUR, 2 * 26);
    count_rows(&l, LEVEL_DAY, 2 * 2);
    cr_assert(history_forget(&l.d.history, &minutes, T0 + 26 * HOUR, &err), "%s", err.text);
    count_rows(&l, LEVEL_MINUTE, 2 * 60);
    count_rows(&l, LEVEL_HOUR, 2 * 26);
    cr_assert(db_exec(l.d.history.db,
                      "DELETE FROM activity WHERE level = 2 AND first < 1790121600000", &err));
    after = reported_make(&l.d, &q);
    cr_assert_gt(before.total.yields, 0);
    cr_assert_eq(after.total.yields, before.total.yields);
    cr_assert_eq(after.total.pods, before.total.pods);
    cr_assert_eq(after.total.journal_ms, DAY);
    report_done(&before);
    report_done(&after);
    cr_assert(history_forget(&l.d.history, &none, T0 + 100 * DAY, &err), "%s", err.text);
    count_rows(&l, LEVEL_HOUR, 0);
    count_rows(&l, LEVEL_DAY, 0);
    life_end(&l);
}

/* A file of a brim that did not roll up: what is there is rolled up at once, and nothing is made up for the time before. */
Test(activity, takes_in_what_an_older_file_has)
{
    struct report_query q = {.since_ms = T0, .until_ms = T0 + 30 * HOUR, .by = REPORT_HOUR};
    struct report exact, rolled;
    struct err err = {0};
    struct life l;

    life_begin(&l, "older");
    for (int i = 0; i < 30; i++)
        live(&l, T0 + i * HOUR);
    exact = made_of_events(&l, &q);
    cr_assert(db_exec(l.d.history.db, "DELETE FROM activity", &err), "%s", err.text);
    restart(&l);
    pack(&l, T0 + 30 * HOUR);
    forget(&l, T0 + 30 * HOUR);
    rolled = reported_make(&l.d, &q);
    same_report(&rolled, &exact, SLACK_ONCE);
    report_done(&rolled);
    q.since_ms -= DAY;
    rolled = reported_make(&l.d, &q);
    cr_assert_eq(rolled.total.decisions_ms, 30 * HOUR);
    cr_assert_eq(rolled.total.journal_ms, 30 * HOUR);
    cr_assert_eq(rolled.total.yields, exact.total.yields);
    report_done(&rolled);
    report_done(&exact);
    life_end(&l);
}

static bool add_row(void *self, const struct activity_row *row)
{
    struct activity_row *sum = self;

    for (int k = 0; k < ACTIVITY_COUNT_; k++)
        sum->at[k] += row->at[k];
    return true;
}

static struct activity_row told_of_the_journal(struct life *l)
{
    struct activity_row sum = {0};
    struct err err = {0};

    cr_assert(activity_each(&l->d.history, 0, LEVEL_DAY, T0, YEAR_END, add_row, &sum, &err), "%s",
              err.text);
    return sum;
}

/*
 * A year in which each week has an hour with something to tell, as a brim kept it that did not roll up. What rolling up comes to in one go
 * is put by.
 */
static struct activity_row live_an_older_year(struct life *l)
{
    struct activity_row expected;
    struct err err = {0};

    for (int week = 0; week < WEEKS; week++) {
        l->world.now_ms = T0 + week * 7 * DAY;
        live(l, l->world.now_ms);
    }
    cr_assert(db_exec(l->d.history.db, "DELETE FROM activity", &err), "%s", err.text);
    restart(l);
    pack(l, YEAR_END);
    expected = told_of_the_journal(l);
    cr_assert(db_exec(l->d.history.db,
                      "ALTER TABLE activity RENAME TO expected;DROP TABLE node_group;"
                      "DROP TABLE group_sample;PRAGMA user_version=6",
                      &err),
              "%s", err.text);
    history_close(&l->d.history);
    return expected;
}

static void reopen(struct life *l)
{
    struct err err = {0};

    cr_assert(history_open(&(struct db_options){.path = l->d.folder.file}, &l->d.history, &err),
              "%s", err.text);
}

static int64_t count(struct life *l, const char *sql)
{
    struct err err = {0};
    int64_t n;

    cr_assert(db_number(l->d.history.db, sql, &n, &err), "%s", err.text);
    return n;
}

/* Chunks of what is put by that are not there so; of the journal no more than where they lie is compared. */
#define OF_CHUNKS "SELECT policy, level, first, begin, until, rows, iif(policy, data, '') FROM "
#define MISSING   "SELECT count(*) FROM (" OF_CHUNKS "expected EXCEPT " OF_CHUNKS "activity)"
#define TOO_MANY  "SELECT count(*) FROM (" OF_CHUNKS "activity EXCEPT " OF_CHUNKS "expected)"

/* Whether a pod counts as blocked may depend on where reading begins. */
static void same_as_in_one_go(struct life *l, const struct activity_row *expected)
{
    static const enum activity_key same[] = {ACTIVITY_COVERED, ACTIVITY_STARTS, ACTIVITY_STOPS,
                                             ACTIVITY_PODS};
    struct activity_row sum = told_of_the_journal(l);

    cr_assert_gt(count(l, "SELECT count(*) FROM expected"), WEEKS);
    cr_assert_eq(count(l, MISSING), 0);
    cr_assert_eq(count(l, TOO_MANY), 0);
    for (size_t i = 0; i < COUNT_OF(same); i++)
        cr_assert_eq(sum.at[same[i]], expected->at[same[i]], "%d: %lld", same[i],
                     (long long)sum.at[same[i]]);
    cr_assert_gt(expected->at[ACTIVITY_PODS], 0);
    cr_assert_leq(llabs(sum.at[ACTIVITY_BLOCKED] - expected->at[ACTIVITY_BLOCKED]),
                  2 + expected->at[ACTIVITY_BLOCKED] / 50, "%lld blocked, expected %lld",
                  (long long)sum.at[ACTIVITY_BLOCKED], (long long)expected->at[ACTIVITY_BLOCKED]);
}

/* A call is a round, and one that never came to the next goes on where it was. */
Test(activity, takes_in_an_older_year_round_by_round)
{
    enum { HOURS_A_ROUND = ACTIVITY_ROUND_MS / PACKS_HOUR_MS };
    struct activity_row expected;
    struct err err = {0};
    struct life l;
    int64_t before = 0, after;
    bool more = true;
    int calls = 0;

    life_begin(&l, "older year");
    expected = live_an_older_year(&l);
    reopen(&l);
    for (; more; calls++) {
        cr_assert(history_pack(&l.d.history, YEAR_END, &more, &err), "%s", err.text);
        after = count(&l, "SELECT coalesce(sum(rows), 0) FROM activity WHERE level = 2");
        cr_assert(after >= before && after - before <= HOURS_A_ROUND, "%lld to %lld",
                  (long long)before, (long long)after);
        before = after;
        if (random_percent(&l.random, 10)) {
            history_close(&l.d.history);
            reopen(&l);
        }
    }
    cr_assert_geq(calls, WEEKS);
    cr_assert_geq(before, (WEEKS - 1) * HOURS_A_ROUND);
    same_as_in_one_go(&l, &expected);
    life_end(&l);
}

/* A part of an agent's life: samples until something else was committed for some times, or until it is killed. */
static void write_on(const char *path, int64_t t_ms, uint64_t commits)
{
    const struct writer_options options = {.path = path, .interval_us = 20000};
    struct writer_status status = {0};
    struct writer *w;

    cr_assert(writer_start(&options, &w, NULL));
    for (int i = 0; status.commits < commits; i++) {
        struct sample s = {.policy = "miner", .t_ms = t_ms + i};

        writer_sample(w, &s);
        writer_wake(w);
        (void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        writer_status(w, &status);
        cr_assert_eq(status.errors, 0, "%s", status.error);
    }
    cr_assert(writer_stop(w));
}

static void write_until_killed(struct life *l, int64_t t_ms)
{
    pid_t parent = getpid(), child = fork();

    cr_assert_geq(child, 0);
    if (child == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
            write_on(l->d.folder.file, t_ms, UINT64_MAX);
        _exit(1);
    }
    (void)nanosleep(&(struct timespec){.tv_nsec = random_in(&l->random, 1, 200) * 1000000}, NULL);
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
}

/* Agents that are killed, and that end in good order after some commits, take turns until all is rolled up. */
Test(activity, an_older_year_holds_up_neither_commits_nor_the_end_and_no_kill_loses_of_it)
{
    enum { LIVES = 300 };
    struct activity_row expected;
    struct err err = {0};
    struct life l;
    int64_t left = INT64_MAX, samples = 0;
    int lives = 0;

    life_begin(&l, "lives");
    expected = live_an_older_year(&l);
    for (; left != 0; lives++) {
        cr_assert_lt(lives, LIVES, "%lld chunks are left", (long long)left);
        write_until_killed(&l, YEAR_END + 10000 * lives);
        write_on(l.d.folder.file, YEAR_END + 10000 * lives + 5000, 3);
        reopen(&l);
        cr_assert(db_integrity(l.d.history.db, &err), "%s", err.text);
        cr_assert_gt(count(&l, "SELECT count(*) FROM sample"), samples);
        samples = count(&l, "SELECT count(*) FROM sample");
        left = count(&l, MISSING);
        history_close(&l.d.history);
    }
    cr_assert_geq(lives, 3);
    reopen(&l);
    same_as_in_one_go(&l, &expected);
    life_end(&l);
}

/* What was made of more than there is now stays: rolling up once more does not take it away. */
Test(activity, is_not_made_less_by_what_was_dropped)
{
    const struct report_query q = {.since_ms = T0, .until_ms = T0 + 5 * HOUR, .by = REPORT_HOUR};
    struct report before, after;
    struct life l;

    life_begin(&l, "dropped");
    for (int i = 0; i < 5; i++)
        live(&l, T0 + i * HOUR);
    before = reported_make(&l.d, &q);
    forget(&l, T0 + 5 * HOUR);
    restart(&l);
    live(&l, T0 + 5 * HOUR);
    after = reported_make(&l.d, &q);
    cr_assert_gt(before.total.yields, 0);
    cr_assert_eq(after.total.yields, before.total.yields);
    cr_assert_leq(llabs(after.total.blocked - before.total.blocked), SLACK_ONCE, "%lld of %lld",
                  (long long)after.total.blocked, (long long)before.total.blocked);
    cr_assert_eq(after.total.reversals, before.total.reversals);
    report_done(&before);
    report_done(&after);
    life_end(&l);
}

static bool count_row(void *self, const struct activity_row *row)
{
    int64_t *sum = self;

    for (int k = 0; k < ACTIVITY_COUNT_; k++)
        cr_assert_geq(row->at[k], 0);
    *sum += row->at[ACTIVITY_PODS];
    return true;
}

/* Bytes of a chunk are changed one after the other: it is left out, or numbers stay what they can be. */
Test(activity, survives_broken_chunks)
{
    struct random r = random_start("broken");
    struct life l;
    struct err err = {0};
    char sql[160];

    life_begin(&l, "broken");
    live(&l, T0);
    for (int i = 0; i < 300; i++) {
        int64_t sum = 0;

        (void)snprintf(sql, sizeof sql,
                       "UPDATE activity SET data = CAST(substr(data, 1, %d) || char(%d) || "
                       "substr(data, %d) AS BLOB) WHERE level = 1",
                       (int)random_in(&r, 0, 80), (int)random_in(&r, 1, 127),
                       (int)random_in(&r, 1, 90));
        cr_assert(db_begin(l.d.history.db, &err) && db_exec(l.d.history.db, sql, &err), "%s",
                  err.text);
        cr_assert(
            activity_each(&l.d.history, 0, LEVEL_MINUTE, T0, T0 + HOUR, count_row, &sum, &err),
            "%s", err.text);
        db_rollback(l.d.history.db);
    }
    life_end(&l);
}
