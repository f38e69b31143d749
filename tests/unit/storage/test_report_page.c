#include "storage/report_page.h"

#include "storage/report_figure.h"
#include "storage/report_group.h"
#include "storage/report_text.h"
#include "tests/unit/storage/reported.h"

#define T0 INT64_C(1789999200000) /* 2026-09-21T14:00:00Z */

static struct zone *load(const char *name)
{
    struct zone_source zones = zone_files(TEST_DATA "/zones");
    struct zone *z = NULL;
    struct err err = {0};

    cr_assert(zones.load(zones.self, sv_from(name), &z, &err), "%s", err.text);
    return z;
}

static int count(const char *text, const char *what)
{
    int n = 0;

    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what))
        n++;
    return n;
}

/* Local midnight of a day, as a reading's seconds. */
static int64_t at(const struct zone *z, int64_t local_s)
{
    return zone_first_s(z, local_s) * 1000;
}

/* The days around the autumn's change, and the row of each. */
Test(report_page, has_a_day_of_25_hours_and_the_hour_that_comes_twice)
{
    struct zone *z = load("Europe/Berlin");
    struct report_query q = {.zone = z,
                             .zone_name = SV("Europe/Berlin"),
                             .since_ms = at(z, 1792800000), /* 24 to 26 October 2026 */
                             .until_ms = at(z, 1793059200),
                             .by = REPORT_DAY};
    static const int64_t hours[] = {24, 25, 24};
    struct reported d;
    struct report r;
    char name[CALENDAR_TEXT_SIZE];

    reported_open(&d);
    reported_fill(&d, "miner", q.since_ms, q.until_ms, 40000);
    r = reported_make(&d, &q);
    cr_assert_eq(r.n_rows, 3);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(r.rows[i].covered_ms, hours[i] * HOUR);
        cr_expect_eq(r.rows[i].part[REPORT_PAID], hours[i] * HOUR * 40000);
    }
    report_done(&r);

    q.by = REPORT_HOUR;
    r = reported_make(&d, &q);
    cr_assert_eq(r.n_rows, 24 + 25 + 24);
    report_row_name(&r, &r.rows[26], name);
    cr_expect_str_eq(name, "2026-10-25 02:00 +02:00");
    report_row_name(&r, &r.rows[27], name);
    cr_expect_str_eq(name, "2026-10-25 02:00 +01:00");
    report_done(&r);

    q.by = REPORT_WEEK_HOUR;
    r = reported_make(&d, &q);
    cr_assert_eq(r.n_rows, CALENDAR_WEEK_HOURS);
    cr_expect_eq(r.rows[6 * 24 + 2].covered_ms, 2 * HOUR, "Sunday at 02:00 comes twice");
    cr_expect_eq(r.rows[6 * 24 + 3].covered_ms, HOUR);
    cr_expect_eq(r.rows[24].covered_ms, 0);
    report_done(&r);
    reported_done(&d);
    zone_free(z);
}

Test(report_page, has_a_day_of_23_hours)
{
    struct zone *z = load("Europe/Berlin");
    struct report_query q = {.zone = z,
                             .since_ms = at(z, 1774742400), /* 29 March 2026 */
                             .until_ms = at(z, 1774828800),
                             .by = REPORT_HOUR};
    struct reported d;
    struct report r;

    reported_open(&d);
    reported_fill(&d, "miner", q.since_ms, q.until_ms, 40000);
    r = reported_make(&d, &q);
    cr_expect_eq(r.n_rows, 23);
    cr_expect_eq(r.total.covered_ms, 23 * HOUR);
    cr_expect_eq(r.week[6 * 24 + 2].covered_ms, 0, "Sunday at 02:00 is skipped");
    report_done(&r);
    reported_done(&d);
    zone_free(z);
}

static void add_yield(struct reported *d, uint64_t id, int64_t t_ms, int64_t latency_us)
{
    struct decision_entry e = {.id = id,
                               .t_ms = t_ms,
                               .policy = "p",
                               .reason = "yield",
                               .at = {[DECISION_BEFORE] = 9, [DECISION_LATENCY] = latency_us}};
    struct err err = {0};

    cr_assert(decisions_add(d->history.decisions, &e, &err), "%s", err.text);
}

static void check_latencies(const struct report_row *row, int64_t n, int64_t p50, int64_t p99,
                            int64_t most)
{
    cr_assert_eq(row->answers, n, "%lld", (long long)row->answers);
    cr_assert_eq(row->latency_p50_us, p50, "%lld", (long long)row->latency_p50_us);
    cr_assert_eq(row->latency_p99_us, p99, "%lld", (long long)row->latency_p99_us);
    cr_assert_eq(row->latency_max_us, most, "%lld", (long long)row->latency_max_us);
}

/* The agent decides as soon as it knows enough, and takes its first sample within 10 s. */
Test(report_page, of_the_whole_has_what_was_decided_before_the_first_sample)
{
    struct reported d;
    struct report r;

    reported_open(&d);
    reported_fill(&d, "p", T0, T0 + 2 * HOUR, 40000);
    add_yield(&d, 1, T0 - 10001, 5);
    add_yield(&d, 2, T0 - 9000, 6);
    add_yield(&d, 3, T0 - 1, 7);
    r = reported_make(&d, &(struct report_query){.by = REPORT_HOUR});
    cr_assert_eq(r.query.since_ms, T0 - 9000, "%lld", (long long)(r.query.since_ms - T0));
    cr_assert_eq(r.n_rows, 2);
    cr_assert_eq(r.rows[0].yields, 2);
    check_latencies(&r.rows[0], 2, 6, 7, 7);
    cr_assert_eq(r.rows[0].span_ms, HOUR + 9000);
    cr_assert_eq(r.rows[0].covered_ms, HOUR);
    report_done(&r);
    r = reported_make(&d, &(struct report_query){.by = REPORT_HOUR, .since_ms = T0});
    cr_assert_eq(r.total.yields, 0);
    report_done(&r);
    reported_done(&d);
}

/* By hand: 1 to 200 us in the first hour, one of 2.5 s in the third, and yields that nobody waited for. */
Test(report_page, tells_how_fast_yields_were)
{
    struct report_query q = {.by = REPORT_HOUR, .since_ms = T0, .until_ms = T0 + 4 * HOUR};
    struct report_story story = {0};
    struct report_figures f;
    struct reported d;
    struct report r;
    struct strbuf out;
    struct err err = {0};

    reported_open(&d);
    reported_fill(&d, "p", T0, T0 + 4 * HOUR, 40000);
    cr_assert(db_begin(d.history.db, &err), "%s", err.text);
    for (int i = 0; i < 200; i++)
        add_yield(&d, (uint64_t)(1 + i), T0 + 1000 * i, (i * 77 % 200) + 1);
    add_yield(&d, 201, T0 + HOUR, 0);
    add_yield(&d, 202, T0 + 2 * HOUR, 2500000);
    add_yield(&d, 203, T0 + 3 * HOUR - 1, 0);
    add_yield(&d, 204, T0 + 4 * HOUR, 7); /* beyond the end */
    cr_assert(db_commit(d.history.db, &err), "%s", err.text);

    r = reported_make(&d, &q);
    cr_assert_eq(r.n_rows, 4);
    check_latencies(&r.rows[0], 200, 100, 198, 200);
    check_latencies(&r.rows[1], 0, 0, 0, 0);
    check_latencies(&r.rows[2], 1, 2500000, 2500000, 2500000);
    check_latencies(&r.total, 201, 101, 199, 2500000);
    check_latencies(&r.week[calendar_week_hour(r.rows[0].local_s)], 200, 100, 198, 200);
    report_figures(&r, &r.rows[1], REPORT_FULL_STEP, &f);
    cr_assert(f.known[FIGURE_YIELDS] && !f.known[FIGURE_LATENCY_P99]);

    strbuf_init(&out, REPORT_MAX_TEXT);
    story.now = &r;
    report_print(&story, REPORT_CSV, &out);
    cr_assert_not_null(strstr(strbuf_str(&out), ",0.000100,0.000198,0.000200,"));
    cr_assert_not_null(strstr(strbuf_str(&out), ",2.500000,2.500000,2.500000,"));
    strbuf_clear(&out);
    report_print(&story, REPORT_WIDE, &out);
    cr_assert_not_null(strstr(strbuf_str(&out), "201 yields answered a paid pod that waited: half "
                                                "of them went out within 0.1 ms of hearing of it"));
    cr_assert_not_null(strstr(strbuf_str(&out), " 2500.0ms"));
    strbuf_clear(&out);
    report_print(&story, REPORT_JSON, &out);
    cr_assert_not_null(strstr(strbuf_str(&out), "\"yield_latency_max_seconds\":2.500000"));
    strbuf_done(&out);
    report_done(&r);

    q.by = REPORT_WEEK_HOUR;
    r = reported_make(&d, &q);
    check_latencies(&r.rows[calendar_week_hour(r.pieces[2].local_s)], 1, 2500000, 2500000, 2500000);
    report_done(&r);
    reported_done(&d);
}

/* Weeks begin on Monday, months on the first, and both add up to the same. */
Test(report_page, folds_weeks_and_months)
{
    static const struct {
        enum report_by by;
        size_t n;
        const char *first, *last;
    } rows[] = {
        {REPORT_WEEK, 4, "2026-W39", "2026-W42"},
        {REPORT_MONTH, 2, "2026-09", "2026-10"},
        {REPORT_DAY, 25, "2026-09-21", "2026-10-15"},
    };
    struct reported d;

    reported_open(&d);
    reported_fill(&d, "miner", T0, T0 + DAY, 40000);
    reported_fill(&d, "miner", T0 + 23 * DAY, T0 + 24 * DAY, 20000);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct report r =
            reported_make(&d, &(struct report_query){.by = rows[i].by, .until_ms = T0 + 24 * DAY});
        char name[CALENDAR_TEXT_SIZE];

        cr_expect_eq(r.n_rows, rows[i].n, "%s: %zu", rows[i].first, r.n_rows);
        report_row_name(&r, &r.rows[0], name);
        cr_expect_str_eq(name, rows[i].first);
        report_row_name(&r, &r.rows[r.n_rows - 1], name);
        cr_expect_str_eq(name, rows[i].last);
        cr_expect_eq(r.total.part[REPORT_PAID], DAY * 60000);
        cr_expect_eq(r.all_gaps, 1);
        report_done(&r);
    }
    reported_done(&d);
}

/* What was rolled up begins with its hour; a report of the whole begins with the first sample. */
Test(report_page, of_the_whole_begins_with_the_first_record)
{
    int64_t begin_ms = T0 + 29 * 60000 + 20000;
    struct reported d;
    struct report r;
    struct err err = {0};
    bool more = true;

    reported_open(&d);
    reported_fill(&d, "miner", begin_ms, T0 + 3 * HOUR, 40000);
    while (more)
        cr_assert(history_pack(&d.history, T0 + 10 * HOUR, &more, &err), "%s", err.text);
    for (enum report_by by = REPORT_MINUTE; by <= REPORT_DAY; by++) {
        r = reported_make(&d, &(struct report_query){.by = by, .until_ms = T0 + 3 * HOUR});
        cr_expect_eq(r.query.since_ms, begin_ms, "%lld", (long long)(r.query.since_ms - T0));
        cr_expect_eq(r.total.covered_ms, T0 + 3 * HOUR - begin_ms);
        cr_expect_eq(r.all_gaps, 0);
        report_done(&r);
    }
    reported_done(&d);
}

static struct report three_hours(struct reported *d, const struct report_terms *terms)
{
    const struct report_query q = {
        .since_ms = T0, .until_ms = T0 + 3 * HOUR, .by = REPORT_HOUR, .terms = *terms};
    const struct decision_entry yield = {.id = 1,
                                         .t_ms = T0 + 5,
                                         .policy = "miner",
                                         .reason = "yield",
                                         .bound = "fit",
                                         .at = {[DECISION_BEFORE] = 9, [DECISION_REPLICAS] = 3}};
    const struct decision_entry harvest = {.id = 2,
                                           .t_ms = T0 + 6,
                                           .policy = "miner",
                                           .reason = "harvest",
                                           .bound = "fit",
                                           .at = {[DECISION_BEFORE] = 3, [DECISION_REPLICAS] = 5}};
    struct err err = {0};

    reported_open(d);
    reported_fill(d, "miner", T0, T0 + HOUR, 40000);
    reported_fill(d, "miner", T0 + 2 * HOUR, T0 + 3 * HOUR, 40000);
    cr_assert(decisions_add(d->history.decisions, &yield, &err) &&
                  decisions_add(d->history.decisions, &harvest, &err),
              "%s", err.text);
    return reported_make(d, &q);
}

static const struct report_terms terms = {.target_ppm = 850000,
                                          .price_micro = 30000,
                                          .currency = "EUR",
                                          .blocked_ppm = 5000,
                                          .filler_max_milli = 50000};

/* Every form says the same, in each row; what is not known is not 0. */
Test(report_page, prints_a_table_csv_and_json)
{
    static const char table[] = "HOUR              RECORDED  OFFERED  PAID  FILLER  CHURN  KEPT  "
                                "IDLE  PAID%  USED%  FILL%  "
                                "PEAK  YIELDS  HARVESTS  PODS  BLOCKED  WAIT  LONGEST\n"
                                "2026-09-21 14:00    100.0%    100.0  40.0    30.0    3.0  10.0  "
                                "17.0  40.0%  70.0%  60.0%  "
                                "40.0       1         1     -        -     -        -\n"
                                "2026-09-21 15:00      0.0%        -     -       -      -     -    "
                                " -      -      -      -  "
                                "   -       -         -     -        -     -        -\n"
                                "2026-09-21 16:00    100.0%    100.0  40.0    30.0    3.0  10.0  "
                                "17.0  40.0%  70.0%  60.0%  "
                                "40.0       0         0     -        -     -        -\n"
                                "total                66.7%    200.0  80.0    60.0    6.0  20.0  "
                                "34.0  40.0%  70.0%  60.0%  "
                                "40.0       1         1     -        -     -        -\n";
    struct reported d;
    struct report r = three_hours(&d, &terms);
    struct strbuf out;

    cr_expect_eq(r.total.reversals, 1);
    strbuf_init(&out, REPORT_MAX_TEXT);
    report_print(&(struct report_story){.now = &r}, REPORT_TABLE, &out);
    cr_expect_not_null(strstr(strbuf_str(&out), table), "%s", strbuf_str(&out));
    strbuf_clear(&out);
    report_print(&(struct report_story){.now = &r}, REPORT_CSV, &out);
    cr_expect_not_null(strstr(strbuf_str(&out), "\n2026-09-21 15:00,2026-09-21T15:00:00Z,"
                                                "2026-09-21T16:00:00Z,0,,,,,,,"),
                       "%s", strbuf_str(&out));
    cr_expect_not_null(strstr(strbuf_str(&out), "Z,1,100,40,30,3,10,17,0.4,0.7,-0.15,0.6,50,"),
                       "%s", strbuf_str(&out));
    strbuf_clear(&out);
    report_print(&(struct report_story){.now = &r}, REPORT_JSON, &out);
    cr_expect_not_null(strstr(strbuf_str(&out), "\"utilisation\":0.7"));
    cr_expect_not_null(strstr(strbuf_str(&out), "\"offered_core_hours\":null"));
    cr_expect_not_null(strstr(strbuf_str(&out), "\"filler_worth\":1.8"), "%s", strbuf_str(&out));
    cr_expect_not_null(strstr(strbuf_str(&out), "\"blocked_pods\":null"));
    strbuf_done(&out);
    report_done(&r);
    reported_done(&d);
}

Test(report_page, says_it_in_sentences)
{
    static const char *const says[] = {
        [SAY_HAD] =
            "From 21 Sep 2026, 14:00 to 21 Sep 2026, 17:00 (UTC), 66.7 % of it recorded, the "
            "cluster offered 200.0 core-hours: 100 cores.",
        [SAY_USED] =
            "Paid work used 80.0 (40 %) of them and asked for at most 40 cores at once (21 "
            "Sep, 14:00).",
        [SAY_FILLER] =
            "Filler used another 60.0 (30 %), 60 % of what it could have used. 20.0 (10 %) "
            "were kept free for paid growth, 34.0 (17 %) lay idle: room still settling, "
            "or pieces too small, and 6.0 (3 %) went into filler that started or stopped.",
        [SAY_TARGET] =
            "Together that is 70 % of what was offered, where paid work alone would have "
            "come to 40 %; the policy aims at 85 %.",
        [SAY_WAITED] =
            "Whom filler made wait is not known: the event journal does not tell of that "
            "time.",
        [SAY_WORTH] =
            "At 0.03 EUR a core-hour filler's work was worth 1.80 EUR; what lay idle would "
            "have been worth 1.02 EUR.",
        [SAY_GAPS] = "1 h 0 min were not recorded, in 1 gap; no figure counts them.",
        [SAY_COUNT_] = NULL,
    };
    struct reported d;
    struct report r = three_hours(&d, &terms);
    struct strbuf out;

    strbuf_init(&out, REPORT_MAX_TEXT);
    for (enum report_sentence i = 0; i < SAY_COUNT_; i++) {
        strbuf_clear(&out);
        if (says[i] != NULL) {
            cr_expect(report_say(&(struct report_story){.now = &r}, i, &out));
            cr_expect_str_eq(strbuf_str(&out), says[i]);
        }
    }
    strbuf_done(&out);
    report_done(&r);
    reported_done(&d);
}

/* The sentence of a verdict begins so. */
/* Figures of the first hour are left, and decisions of the second. */
Test(report_page, says_that_decisions_are_gone_and_were_not_rolled_up)
{
    const struct decision_entry yield = {
        .id = 1,
        .t_ms = T0 + HOUR + 5,
        .policy = "miner",
        .reason = "yield",
        .bound = "fit",
        .at = {[DECISION_BEFORE] = 9, [DECISION_REPLICAS] = 3, [DECISION_LATENCY] = 4000}};
    const struct report_query q = {.since_ms = T0, .until_ms = T0 + 2 * HOUR, .by = REPORT_HOUR};
    struct reported d;
    struct report r;
    struct strbuf out;
    struct err err = {0};
    bool more = true;

    reported_open(&d);
    reported_fill(&d, "miner", T0, T0 + 2 * HOUR, 40000);
    cr_assert(decisions_add(d.history.decisions, &yield, &err), "%s", err.text);
    while (more)
        cr_assert(history_pack(&d.history, T0 + 3 * HOUR, &more, &err), "%s", err.text);
    cr_assert(
        history_forget(&d.history, &(struct history_keep){.samples_ms = HOUR}, T0 + 2 * HOUR, &err),
        "%s", err.text);
    r = reported_make(&d, &q);
    strbuf_init(&out, REPORT_MAX_TEXT);
    cr_assert(report_say(&(struct report_story){.now = &r}, SAY_TURNED, &out));
    cr_assert_not_null(strstr(strbuf_str(&out), "in 1 yield "), "%s", strbuf_str(&out));
    cr_assert_null(strstr(strbuf_str(&out), "a part of the time"), "%s", strbuf_str(&out));
    report_page(&(struct report_story){.now = &r}, &out);
    cr_assert_not_null(strstr(strbuf_str(&out), ">5 ms</th><td>1</td>"), "%s", strbuf_str(&out));
    report_done(&r);
    /* As a file that an older brim wrote. */
    cr_assert(db_exec(d.history.db, "DELETE FROM activity", &err), "%s", err.text);
    strbuf_clear(&out);
    r = reported_make(&d, &q);
    cr_assert(report_say(&(struct report_story){.now = &r}, SAY_TURNED, &out));
    cr_assert_not_null(strstr(strbuf_str(&out), " Decisions are kept of a part of the time only: "),
                       "%s", strbuf_str(&out));
    strbuf_done(&out);
    report_done(&r);
    reported_done(&d);
}

Test(report_page, says_what_to_change)
{
    static const struct {
        const char *what;
        int64_t blocked, trial_hours, trial_blocked, allowed_ppm;
        const char *says;
    } rows[] = {
        {"more", 1, 1200000, 3, 5000,
         "In a replay of the time a headroom.max of 24 cores instead of 30 cores brings filler 200 "
         "core-hours more, with 0.30 % of the paid pods waiting; you allow 0.50 %."},
        {"hardly more", 1, 1009000, 3, 5000, "Change nothing: "},
        {"more, but too many wait", 1, 1200000, 6, 5000, "Change nothing: "},
        {"too many wait", 9, 900000, 3, 5000,
         "In a replay of the time 0.90 % of the paid pods wait; a headroom.max of 24 cores instead "
         "of "
         "30 cores brings filler 100 core-hours less, with 0.30 % of the paid pods waiting, within "
         "what "
         "you allow, 0.50 %."},
        {"no remedy", 9, 900000, 8, 5000,
         "In a replay of the time 0.90 % of the paid pods wait, and no other "},
    };
    struct reported d;
    struct report r = three_hours(&d, &terms);
    struct strbuf out;

    strbuf_init(&out, REPORT_MAX_TEXT);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct report_advice advice = {
            .made = true,
            .paid_pods = 1000,
            .allowed_ppm = rows[i].allowed_ppm,
            .headroom_milli = 30000,
            .settle_us = 90000000,
            .core_hours = 1000000,
            .blocked = rows[i].blocked,
            .trials = {{TRIAL_HEADROOM, 24000, rows[i].trial_hours, rows[i].trial_blocked}},
            .n = 1};

        strbuf_clear(&out);
        cr_expect(
            report_say(&(struct report_story){.now = &r, .advice = &advice}, SAY_CHANGE, &out));
        cr_expect(sv_starts(strbuf_sv(&out), sv_from(rows[i].says)), "%s: %s", rows[i].what,
                  strbuf_str(&out));
    }
    strbuf_done(&out);
    report_done(&r);
    reported_done(&d);
}

/* Two zones and nodes without one, an hour of each; before, a pool that the policy grouped by. */
static void add_groups(struct reported *d)
{
    struct groups_sample s = {.policy = "miner", .label = "zone", .n = 3};
    struct groups_sample pool = {.policy = "miner", .label = "pool<b>,", .t_ms = T0, .n = 1};
    struct err err = {0};

    pool.at[0] =
        (struct groups_one){.value = "a\"b", .at = {[GROUP_NODES] = 1, [GROUP_ALLOCATABLE] = 8000}};
    s.at[0] = (struct groups_one){.value = "eu-1a",
                                  .at = {[GROUP_NODES] = 2,
                                         [GROUP_ALLOCATABLE] = 64000,
                                         [GROUP_PAID] = 30000,
                                         [GROUP_FILLER] = 24000,
                                         [GROUP_FIT] = 30}};
    s.at[1] = (struct groups_one){.value = "eu-1b",
                                  .at = {[GROUP_NODES] = 1,
                                         [GROUP_ALLOCATABLE] = 32000,
                                         [GROUP_PAID] = 10000,
                                         [GROUP_FILLER] = 6000,
                                         [GROUP_FIT] = 21}};
    s.at[2] = (struct groups_one){.value = GROUPS_NONE, .at = {[GROUP_FILLER] = 500}};
    cr_assert(groups_add(d->history.groups, &pool, &err), "%s", err.text);
    for (s.t_ms = T0 + HOUR; s.t_ms < T0 + 3 * HOUR; s.t_ms += SAMPLES_HOLD_MS) {
        s.at[1].at[GROUP_PAID] = s.t_ms < T0 + 2 * HOUR ? 10000 : 20000;
        cr_assert(groups_add(d->history.groups, &s, &err), "%s", err.text);
    }
}

/* No label's value looks like that, but an imported file may say it. */
Test(report_page, a_name_in_csv_is_no_formula)
{
    static const char *const names[] = {"=HYPERLINK(\"x\")", "+1", "-1", "@x"};
    struct groups_sample s = {.policy = "miner", .label = "zone", .t_ms = T0};
    struct reported d;
    struct report r;
    struct report_story story = {.now = &r};
    struct strbuf out;
    struct err err = {0};

    reported_open(&d);
    reported_fill(&d, "miner", T0, T0 + HOUR, 40000);
    for (; s.n < COUNT_OF(names); s.n++)
        (void)snprintf(s.at[s.n].value, sizeof s.at[s.n].value, "%s", names[s.n]);
    cr_assert(groups_add(d.history.groups, &s, &err), "%s", err.text);
    r = reported_make(&d, &(struct report_query){.by = REPORT_HOUR, .until_ms = T0 + HOUR});
    strbuf_init(&out, REPORT_MAX_TEXT);
    report_print(&story, REPORT_GROUPS_CSV, &out);
    cr_expect_not_null(strstr(strbuf_str(&out), "\nzone,\"'=HYPERLINK(\"\"x\"\")\","), "%s",
                       strbuf_str(&out));
    cr_expect_not_null(strstr(strbuf_str(&out), "\nzone,'+1,"));
    cr_expect_not_null(strstr(strbuf_str(&out), "\nzone,'-1,"));
    cr_expect_not_null(strstr(strbuf_str(&out), "\nzone,'@x,"));
    strbuf_done(&out);
    report_done(&r);
    reported_done(&d);
}

/* Neither is a label's value, but an imported file may say it: nothing in any form turns round or hides what stands in it. */
Test(report_page, a_name_steers_no_eye)
{
    enum { PAGE = REPORT_JSON + 1 };
    static const struct {
        const char *form;
        int format;
        const char *has;
    } rows[] = {
        {"table", REPORT_TABLE, "\neu?1b?? "},
        {"csv", REPORT_GROUPS_CSV, "\nzone,eu?1b??,"},
        {"json", REPORT_JSON, "\"name\":\"eu\\u202e1b\\u200b\\u009b\""},
        {"page", PAGE, "<th scope=\"row\">eu 1b  </th>"},
    };
    struct groups_sample s = {.policy = "miner",
                              .label = "zone",
                              .t_ms = T0,
                              .n = 1,
                              .at = {{"eu\u202e1b\u200b\xc2\x9b"}}};
    struct reported d;
    struct report r;
    struct report_story story = {.now = &r};
    struct strbuf out;
    struct err err = {0};

    reported_open(&d);
    reported_fill(&d, "miner", T0, T0 + HOUR, 40000);
    cr_assert(groups_add(d.history.groups, &s, &err), "%s", err.text);
    r = reported_make(&d, &(struct report_query){.by = REPORT_HOUR, .until_ms = T0 + HOUR});
    strbuf_init(&out, REPORT_MAX_TEXT);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        strbuf_clear(&out);
        if (rows[i].format == PAGE)
            report_page(&story, &out);
        else
            report_print(&story, (enum report_format)rows[i].format, &out);
        cr_expect_not_null(strstr(strbuf_str(&out), rows[i].has), "%s: %s", rows[i].form,
                           strbuf_str(&out));
        cr_expect(strstr(strbuf_str(&out), "\u202e") == NULL &&
                      strstr(strbuf_str(&out), "\xc2\x9b") == NULL,
                  "%s", rows[i].form);
    }
    strbuf_done(&out);
    report_done(&r);
    reported_done(&d);
}

Test(report_page, tells_of_groups_of_nodes_in_every_form)
{
    static const struct {
        const char *form;
        enum report_format format;
        const char *has;
    } rows[] = {
        {"table", REPORT_TABLE,
         "\nnodes by pool<b>,\n"
         "GROUP  RECORDED  NODES  OFFERED  PAID  FILLER  FREE  PAID%  USED%  PEAK  FIT\n"
         "a\"b        0.3%      1      0.1   0.0     0.0   0.1   0.0%   0.0%   0.0  0.0\n"
         "\nnodes by zone\n"
         "GROUP   RECORDED  NODES  OFFERED  PAID  FILLER  FREE  PAID%  USED%  PEAK   FIT\n"
         "eu-1a      66.7%      2    128.0  60.0    48.0  20.0  46.9%  84.4%  30.0  30.0\n"
         "eu-1b      66.7%      1     64.0  30.0    12.0  22.0  46.9%  65.6%  20.0  21.0\n"
         "<none>     66.7%      0      0.0   0.0     1.0   0.0      -      -   0.0   0.0\n"},
        {"csv", REPORT_GROUPS_CSV,
         "label,group,recorded,peak_nodes,offered_core_hours,paid_core_hours,filler_core_hours,"
         "free_core_hours,utilisation_paid,utilisation,peak_paid_cores,mean_fit\n"
         "\"pool<b>,\",\"a\"\"b\",0.003,1,0.067,0,0,0.067,0,0,0,0\n"
         "zone,eu-1a,0.667,2,128,60,48,20,0.469,0.844,30,30\n"
         "zone,eu-1b,0.667,1,64,30,12,22,0.469,0.656,20,21\n"
         "zone,<none>,0.667,0,0,0,1,0,,,0,0\n"},
        {"json", REPORT_JSON,
         "{\"label\":\"zone\",\"name\":\"eu-1b\",\"recorded\":0.667,\"peak_nodes\":1,"
         "\"offered_core_hours\":64,\"paid_core_hours\":30,\"filler_core_hours\":12,"
         "\"free_core_hours\":22,\"utilisation_paid\":0.469,\"utilisation\":0.656,"
         "\"peak_paid_cores\":20,\"mean_fit\":21}"},
    };
    struct reported d;
    struct report r;
    struct strbuf out;
    struct report_story story = {.now = &r};

    reported_open(&d);
    reported_fill(&d, "miner", T0, T0 + 3 * HOUR, 40000);
    add_groups(&d);
    r = reported_make(&d, &(struct report_query){.by = REPORT_HOUR, .until_ms = T0 + 3 * HOUR});
    strbuf_init(&out, REPORT_MAX_TEXT);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        strbuf_clear(&out);
        report_print(&story, rows[i].format, &out);
        cr_expect_not_null(strstr(strbuf_str(&out), rows[i].has), "%s: %s", rows[i].form,
                           strbuf_str(&out));
    }
    strbuf_clear(&out);
    report_page(&story, &out);
    cr_expect_not_null(strstr(strbuf_str(&out), "<caption>By the label pool&lt;b&gt;,, of the"));
    cr_expect_not_null(strstr(strbuf_str(&out), "<th scope=\"row\">&lt;none&gt;</th>"));
    /* Half as many cores as in the largest zone: 15 and 6 of 64. */
    cr_expect_not_null(strstr(
        strbuf_str(&out),
        "<th scope=\"row\">eu-1b</th><td class=\"bar\"><svg width=\"100%\" height=\"12\" "
        "aria-hidden=\"true\"><rect class=\"paid\" x=\"0.0%\" width=\"23.4%\" height=\"12\"/>"
        "<rect class=\"filler\" x=\"23.4%\" width=\"9.3%\" height=\"12\"/>"
        "<rect class=\"filler-dots\" x=\"23.4%\" width=\"9.3%\" height=\"12\"/>"
        "<rect class=\"idle\" x=\"32.7%\" width=\"17.1%\" height=\"12\"/></svg></td>"
        "<td>66.7%</td><td>1</td><td>64.0</td>"));
    strbuf_done(&out);
    report_done(&r);
    reported_done(&d);
}

/* The hour in which zone eu-1b had more to do, beside the two before it; then the pool was what the policy grouped by. */
Test(report_page, tells_of_groups_of_two_periods_in_every_form)
{
    static const struct {
        const char *form;
        enum report_format format;
        const char *has;
    } rows[] = {
        {"table", REPORT_TABLE,
         "\nnodes by pool<b>,\n"
         "GROUP          RECORDED  NODES  OFFERED  PAID  FILLER  FREE  PAID%  USED%  PEAK  FIT\n"
         "a\"b    before      0.4%      1      0.1   0.0     0.0   0.1   0.0%   0.0%   0.0  0.0\n"
         "\nnodes by zone\n"
         "GROUP           RECORDED  NODES  OFFERED  PAID  FILLER   FREE  PAID%  USED%  PEAK   FIT\n"
         "eu-1a   now       100.0%      2     64.0  30.0    24.0   10.0  46.9%  84.4%  30.0  30.0\n"
         "        before     50.0%      2     64.0  30.0    24.0   10.0  46.9%  84.4%  30.0  30.0\n"
         "        change     +50.0      0      0.0   0.0     0.0    0.0    0.0    0.0   0.0   0.0\n"
         "eu-1b   now       100.0%      1     32.0  20.0     6.0    6.0  62.5%  81.3%  20.0  21.0\n"
         "        before     50.0%      1     32.0  10.0     6.0   16.0  31.3%  50.0%  10.0  21.0\n"
         "        change     +50.0      0      0.0  10.0     0.0  -10.0  +31.2  +31.3  10.0   0.0\n"
         "<none>  now       100.0%      0      0.0   0.0     0.5    0.0      -      -   0.0   "
         "0.0\n"},
        {"csv", REPORT_GROUPS_CSV,
         "\"pool<b>,\",\"a\"\"b\",mean_fit,,0\n"
         "zone,eu-1a,recorded,1,0.5\n"
         "zone,eu-1a,peak_nodes,2,2\n"},
        {"json", REPORT_JSON,
         "\"utilisation_paid\":null,\"utilisation\":null,\"peak_paid_cores\":0,\"mean_fit\":0}],"
         "\"groups_before\":[{\"label\":\"pool<b>,\",\"name\":\"a\\\"b\",\"recorded\":0.004,"},
    };
    static const char *const page[] = {
        "<caption>By the label zone, of the whole of both times; filler is that of all policies<",
        "<th scope=\"rowgroup\" rowspan=\"1\">a&quot;b</th><th class=\"when\" "
        "scope=\"row\">before</th>",
        "<th scope=\"rowgroup\" rowspan=\"3\">eu-1b</th><th class=\"when\" scope=\"row\">now</th>"
        "<td class=\"bar\"><svg",
        "</td><td>50.0%</td><td>1</td><td>32.0</td><td>10.0</td><td>6.0</td><td>16.0</td>",
        "<tr><th class=\"when\" scope=\"row\">change</th><td "
        "class=\"bar\"></td><td>+50.0</td><td>0</td><td>0.0</td>"
        "<td>+10.0</td><td>0.0</td><td>-10.0</td><td>+31.2</td><td>+31.3</td><td>+10</td>"
        "<td>0.0</td></tr>",
    };
    struct reported d;
    struct report r, before;
    struct strbuf out;
    struct report_story story = {.now = &r, .before = &before};

    reported_open(&d);
    reported_fill(&d, "miner", T0, T0 + 3 * HOUR, 40000);
    add_groups(&d);
    r = reported_make(&d, &(struct report_query){.by = REPORT_HOUR,
                                                 .since_ms = T0 + 2 * HOUR,
                                                 .until_ms = T0 + 3 * HOUR});
    before =
        reported_make(&d, &(struct report_query){.by = REPORT_HOUR, .until_ms = T0 + 2 * HOUR});
    strbuf_init(&out, REPORT_MAX_TEXT);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        strbuf_clear(&out);
        report_print(&story, rows[i].format, &out);
        cr_expect_not_null(strstr(strbuf_str(&out), rows[i].has), "%s: %s", rows[i].form,
                           strbuf_str(&out));
    }
    strbuf_clear(&out);
    report_page(&story, &out);
    for (size_t i = 0; i < COUNT_OF(page); i++)
        cr_expect_not_null(strstr(strbuf_str(&out), page[i]), "%s: %s", page[i], strbuf_str(&out));
    strbuf_done(&out);
    report_done(&before);
    report_done(&r);
    reported_done(&d);
}

Test(report_page, says_what_is_missing_of_groups)
{
    static const char sentence[] = "2 parts of the figures of groups of nodes cannot be read: of 1 "
                                   "min 0 s nothing else tells.";
    struct reported d;
    struct report r;
    struct report_story story = {.now = &r};
    struct strbuf out;
    struct err err = {0};

    reported_open(&d);
    reported_fill(&d, "miner", T0, T0 + 3 * HOUR, 40000);
    add_groups(&d);
    cr_assert(db_exec(d.history.db,
                      "UPDATE group_sample SET data = substr(data, 1, length(data) - 1) WHERE t IN "
                      "(SELECT t FROM group_sample ORDER BY t DESC LIMIT 2)",
                      &err),
              "%s", err.text);
    r = reported_make(&d, &(struct report_query){.by = REPORT_HOUR, .until_ms = T0 + 3 * HOUR});
    strbuf_init(&out, REPORT_MAX_TEXT);
    report_print(&story, REPORT_TABLE, &out);
    cr_expect_not_null(strstr(strbuf_str(&out), sentence), "%s", strbuf_str(&out));
    strbuf_clear(&out);
    report_print(&story, REPORT_JSON, &out);
    cr_expect_not_null(
        strstr(strbuf_str(&out), "\"damaged_groups\":2,\"missing_groups_seconds\":60,"), "%s",
        strbuf_str(&out));
    cr_expect_not_null(strstr(strbuf_str(&out), sentence));
    strbuf_clear(&out);
    report_page(&story, &out);
    cr_expect_not_null(strstr(strbuf_str(&out), sentence));
    strbuf_done(&out);
    report_done(&r);
    reported_done(&d);
}

/* Markup in a name stays text, every element that is opened is closed, and there is nothing to run or to load. */
Test(report_page, makes_a_page_that_needs_nothing_else)
{
    static const char *const pairs[][2] = {
        {"<section", "</section>"}, {"<table", "</table>"}, {"<svg", "</svg>"},
        {"<details", "</details>"}, {"<tr>", "</tr>"},      {"<p", "</p>"},
    };
    static const char name[] = "<img src=x onerror=alert(1)>&\"'\x01";
    struct reported d;
    struct report r, before;
    struct strbuf out;
    const char *page;

    reported_open(&d);
    reported_fill(&d, name, T0, T0 + 3 * DAY, 40000);
    r = reported_make(
        &d, &(struct report_query){
                .by = REPORT_DAY, .since_ms = T0 + DAY, .terms = terms, .zone_name = SV("<b>")});
    before = reported_make(&d, &(struct report_query){.by = REPORT_DAY, .until_ms = T0 + DAY});
    strbuf_init(&out, REPORT_MAX_TEXT);
    report_page(&(struct report_story){.now = &r, .before = &before}, &out);
    page = strbuf_str(&out);
    cr_expect(!out.full);
    cr_expect_null(strstr(page, "<img"));
    cr_expect_null(strstr(page, "<b>\x29"));
    cr_expect_not_null(strstr(page, "&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#39; "));
    cr_expect_not_null(strstr(page, "All times are those of &lt;b&gt;."));
    cr_expect_null(strstr(page, "<script"));
    cr_expect_null(strstr(page, "http://"));
    cr_expect_null(strstr(page, "https://"));
    cr_expect_null(strstr(page, " style=\""));
    cr_expect_not_null(strstr(page, "before: "));
    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        cr_expect(
            count(page, pairs[i][1]) > 0 &&
                (pairs[i][0][1] == 'p' || count(page, pairs[i][0]) == count(page, pairs[i][1])),
            "%s", pairs[i][0]);
    strbuf_done(&out);
    report_done(&r);
    report_done(&before);
    reported_done(&d);
}

/* A year by the hour stays small enough to send by mail. */
Test(report_page, of_a_year_is_at_most_300_kB)
{
    struct reported d;
    struct report r;
    struct strbuf out;
    struct err err = {0};

    reported_open(&d);
    cr_assert(db_begin(d.history.db, &err));
    for (int64_t t_ms = T0; t_ms < T0 + 365 * DAY; t_ms += HOUR) {
        for (int64_t k = 0; k < 60; k += 59)
            reported_add(&d, "miner", t_ms + k * 60000, 40000 + t_ms / HOUR % 17 * 1000);
    }
    cr_assert(db_commit(d.history.db, &err));
    r = reported_make(&d, &(struct report_query){.by = REPORT_DAY, .terms = terms});
    strbuf_init(&out, REPORT_MAX_TEXT);
    report_page(&(struct report_story){.now = &r}, &out);
    cr_expect_leq(out.len, 300000, "%zu", out.len);
    strbuf_done(&out);
    report_done(&r);
    reported_done(&d);
}

/* docs/REPORT.md tells of every figure. */
Test(report_page, has_figures_that_are_documented)
{
    FILE *f = fopen(TEST_DATA "/../../docs/REPORT.md", "r");
    struct strbuf text;
    size_t n;

    cr_assert_not_null(f);
    strbuf_init(&text, 1 << 20);
    n = fread(strbuf_room(&text, 1 << 19), 1, 1 << 19, f);
    strbuf_wrote(&text, n);
    (void)fclose(f);
    for (int i = 0; i < GROUP_FIGURE_COUNT_; i++) {
        const struct report_figure_kind *kind = report_group_kind((enum report_group_figure)i);
        char row[128];

        (void)snprintf(row, sizeof row, "| `%s` | %s |", kind->key, kind->head);
        cr_expect_not_null(strstr(strbuf_str(&text), row), "%s", row);
    }
    for (enum report_figure i = 0; i < FIGURE_COUNT_; i++) {
        char key[64];

        (void)snprintf(key, sizeof key, "`%s`", report_figure_kind(i)->key);
        cr_expect_not_null(strstr(strbuf_str(&text), key), "%s", key);
        cr_expect_not_null(strstr(strbuf_str(&text), report_figure_kind(i)->head), "%s", key);
    }
    strbuf_done(&text);
}
