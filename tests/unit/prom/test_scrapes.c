#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "agent/prom/scrapes.h"
#include "storage/report_figure.h"
#include "storage/report_text.h"

#define T0   INT64_C(1790000000000) /* some second */
#define STEP INT64_C(15000)

/* ---- a report out of scrapes that are played ---- */

struct play {
    void (*scenes)(struct scrapes *s);
    const char *label;
    int64_t step_ms;
};

static bool span(void *self, int64_t *ret_first_ms, int64_t *ret_until_ms, struct err *err)
{
    (void)self;
    (void)err;
    *ret_first_ms = T0;
    *ret_until_ms = T0 + 600000;
    return true;
}

static bool policies(void *self, const struct report_query *q,
                     void (*each)(void *to, struct sv name), void *to, struct err *err)
{
    (void)self;
    (void)q;
    (void)err;
    each(to, SV("miner"));
    return true;
}

static bool gather(void *self, struct report *r, struct err *err)
{
    const struct play *play = self;
    struct scrapes *s = scrapes_new(r, sv_from(play->label), play->step_ms);

    (void)err;
    play->scenes(s);
    scrapes_end(s);
    scrapes_free(s);
    return true;
}

static struct report report_in_steps(void (*scenes)(struct scrapes *s), int64_t step_ms)
{
    struct play play = {scenes, "cluster", step_ms};
    const struct report_source source = {&play, "a play", span, policies, gather};
    const struct report_query query = {.since_ms = T0, .by = REPORT_MINUTE};
    struct report r;
    struct err err = {0};

    cr_assert(report_make_from(&source, &query, &r, &err), "%s", err.text);
    return r;
}

static struct report report_of(void (*scenes)(struct scrapes *s))
{
    return report_in_steps(scenes, 0);
}

/* One sample of a series; `labels` as "cluster=eu1,replica=a". */
static void put(struct scrapes *s, const char *labels, const char *metric, const char *own,
                int64_t t_ms, const char *value)
{
    struct promread_label all[8] = {{SV("__name__"), sv_from(metric)}};
    const struct promread_point point = {t_ms, sv_from(value)};
    struct sv rest, word;
    struct err err = {0};
    size_t n = 1;
    char text[128];

    (void)snprintf(text, sizeof text, "%s%s%s", labels, own[0] != '\0' ? "," : "", own);
    rest = sv_from(text);
    while (sv_next(&rest, ',', &word)) {
        cr_assert(sv_cut(word, '=', &all[n].name, &all[n].value), "%s", text);
        n++;
    }
    cr_assert(scrapes_take(s, &(struct promread_series){all, n, &point, 1}, &err), "%s", err.text);
}

struct seen {
    int paid, filler; /* cores, of 100 */
    int yields, pods;
};

static void number(char text[static 16], int value)
{
    (void)snprintf(text, 16, "%d", value);
}

/* A whole scrape. */
static void scrape(struct scrapes *s, const char *who, int64_t t_ms, struct seen seen)
{
    char paid[16], filler[16], yields[16], pods[16];

    number(paid, seen.paid);
    number(filler, seen.filler);
    number(yields, seen.yields);
    number(pods, seen.pods);
    put(s, who, "brim_build_info", "version=1", t_ms, "1");
    put(s, who, "cpu_capacity_allocatable", "policy=miner", t_ms, "100");
    put(s, who, "cpu_capacity_requested", "policy=miner", t_ms, paid);
    put(s, who, "cpu_capacity_pending", "policy=miner", t_ms, "0.5");
    put(s, who, "brim_filler_cores", "policy=miner,state=ready", t_ms, filler);
    put(s, who, "brim_filler_cores", "policy=miner,state=starting", t_ms, "1");
    put(s, who, "brim_filler_cores", "policy=miner,state=leaving", t_ms, "0");
    put(s, who, "brim_kept_cores", "policy=miner", t_ms, "10");
    put(s, who, "brim_decisions_total", "policy=miner,reason=yield", t_ms, yields);
    put(s, who, "brim_paid_pods_total", "", t_ms, pods);
    put(s, who, "brim_nodes", "", t_ms, "4");
}

static int64_t core_s(int64_t part)
{
    return part / 1000000;
}

/* ---- one agent ---- */

static void ten_minutes(struct scrapes *s)
{
    for (int i = 40; i-- > 0;) /* in any order */
        scrape(s, "instance=a", T0 + i * STEP, (struct seen){20 + i / 20 * 10, 50, i / 4, i});
    scrapes_window(s, T0 + 600000);
}

Test(scrapes, add_up_to_parts_and_counts)
{
    struct report r = report_of(ten_minutes);
    const struct report_row *t = &r.total;

    cr_expect_eq(t->covered_ms, 600000, "%lld", (long long)t->covered_ms);
    cr_expect_eq(core_s(t->part[REPORT_OFFERED]), 60000);
    cr_expect_eq(core_s(t->part[REPORT_PAID]), 20 * 300 + 30 * 300);
    cr_expect_eq(core_s(t->part[REPORT_FILLER]), 30000);
    cr_expect_eq(core_s(t->part[REPORT_CHURN]), 600);
    cr_expect_eq(core_s(t->part[REPORT_KEPT]), 6000);
    cr_expect_eq(core_s(t->part[REPORT_IDLE]), 60000 - 15000 - 30000 - 600 - 6000);
    cr_expect_eq(core_s(t->harvestable), 45000);
    cr_expect_eq(t->peak_paid_milli, 30500);
    cr_expect_eq(t->nodes, 4);
    cr_expect_eq(t->yields, 9);
    cr_expect_eq(t->pods, 39);
    cr_expect_eq(r.scrapes.interval_ms, STEP);
    cr_expect_eq(r.n_clusters, 1);
    cr_expect_eq(r.all_gaps, 0);
    report_done(&r);
}

Test(scrapes, what_they_do_not_tell_is_not_known)
{
    struct report r = report_of(ten_minutes);
    struct report_figures f;

    report_figures(&r, &r.total, REPORT_FULL_STEP, &f);
    for (enum report_figure i = FIGURE_STARTS; i <= FIGURE_STOPS; i++)
        cr_expect_not(f.known[i]);
    cr_expect_not(f.known[FIGURE_WAIT] || f.known[FIGURE_LONE] || f.known[FIGURE_RISE]);
    cr_expect(f.known[FIGURE_PODS] && f.known[FIGURE_BLOCKED] && f.known[FIGURE_YIELDS]);
    report_done(&r);
}

/* Scrapes until 2:00 and from 5:00 on. */
static void with_a_gap(struct scrapes *s)
{
    for (int i = 0; i < 40; i++) {
        if (i <= 8 || i >= 20)
            scrape(s, "instance=a", T0 + i * STEP, (struct seen){20, 50, i, 0});
    }
    scrapes_window(s, T0 + 600000);
}

Test(scrapes, hold_for_three_intervals_and_no_longer)
{
    struct report r = report_of(with_a_gap);

    cr_expect_eq(r.total.covered_ms, 600000 - 180000 + 45000, "%lld",
                 (long long)r.total.covered_ms);
    cr_expect_eq(core_s(r.total.part[REPORT_FILLER]), 50 * 465);
    cr_expect_eq(r.all_gaps, 1);
    cr_expect_eq(r.total.yields, 39, "what came about in the gap counts behind it");
    report_done(&r);
}

/* From 2:00 to 5:00 the agent is there and knows nothing: it lists the cluster anew. */
static void not_ready(struct scrapes *s)
{
    for (int i = 0; i < 40; i++) {
        if (i < 8 || i >= 20)
            scrape(s, "instance=a", T0 + i * STEP, (struct seen){20, 50, 0, 0});
        else
            put(s, "instance=a", "brim_build_info", "version=1", T0 + i * STEP, "1");
    }
    scrapes_window(s, T0 + 600000);
}

Test(scrapes, that_tell_no_room_end_what_was_told)
{
    struct report r = report_of(not_ready);

    cr_expect_eq(r.total.covered_ms, 600000 - 180000, "%lld", (long long)r.total.covered_ms);
    report_done(&r);
}

/* Of two scrapers 7 s apart, as put together series by series: counters, the kind of headroom
 * and that the agent is there stand at the other one's times. */
static void put_together(struct scrapes *s)
{
    char count[16];

    for (int i = 0; i < 40; i++) {
        scrape(s, "instance=a", T0 + i * STEP, (struct seen){20, 50, 0, 0});
        number(count, i);
        put(s, "instance=a", "brim_headroom_cores", "policy=miner,kind=usual", T0 + i * STEP + 7000,
            "3");
        put(s, "instance=a", "brim_build_info", "version=2", T0 + i * STEP + 9000, "1");
        put(s, "instance=a", "brim_decisions_total", "policy=miner,reason=harvest",
            T0 + i * STEP + 7000, count);
    }
    scrapes_window(s, T0 + 600000);
}

Test(scrapes, samples_that_stand_alone_are_no_scrape)
{
    struct report r = report_of(put_together);

    cr_expect_eq(r.total.covered_ms, 600000, "%lld", (long long)r.total.covered_ms);
    cr_expect_eq(r.scrapes.interval_ms, STEP, "%lld", (long long)r.scrapes.interval_ms);
    cr_expect_eq(r.total.harvests, 38, "%lld", (long long)r.total.harvests);
    report_done(&r);
}

/* Twice from 0, once from 5 below. */
static void restarts(struct scrapes *s)
{
    static const int yields[] = {7, 9, 9, 2, 3, 0, 4};

    for (int i = 0; i < 7; i++)
        scrape(s, "instance=a", T0 + i * STEP, (struct seen){20, 50, yields[i], 0});
    scrapes_window(s, T0 + 600000);
}

Test(scrapes, counters_that_fell_began_at_zero)
{
    struct report r = report_of(restarts);

    cr_expect_eq(r.total.yields, 2 + 2 + 1 + 0 + 4, "%lld", (long long)r.total.yields);
    report_done(&r);
}

/* The baseline lies before the time that was asked for; each window brings some points of the one before again. */
static void in_windows(struct scrapes *s)
{
    for (int w = -1; w < 4; w++) {
        for (int i = w * 10 - (w > -1); i < w * 10 + 10; i++)
            scrape(s, "instance=a", T0 + i * STEP, (struct seen){20, 50, 100 + i, 0});
        scrapes_window(s, T0 + (w * 10 + 10) * STEP);
    }
}

Test(scrapes, windows_do_not_show)
{
    struct report r = report_of(in_windows);

    cr_expect_eq(r.total.covered_ms, 600000, "%lld", (long long)r.total.covered_ms);
    cr_expect_eq(core_s(r.total.part[REPORT_FILLER]), 30000);
    cr_expect_eq(r.total.yields, 40, "%lld", (long long)r.total.yields);
    report_done(&r);
}

/* An agent that does not tell brim_kept_cores yet. */
static void of_before(struct scrapes *s)
{
    for (int i = 0; i < 40; i++) {
        int64_t t_ms = T0 + i * STEP;

        put(s, "instance=a", "cpu_capacity_allocatable", "policy=miner", t_ms, "100");
        put(s, "instance=a", "cpu_capacity_requested", "policy=miner", t_ms, "20");
        put(s, "instance=a", "cpu_capacity_pending", "policy=miner", t_ms, "0");
        put(s, "instance=a", "cpu_capacity_reserved", "policy=miner", t_ms, "5");
        put(s, "instance=a", "brim_headroom_cores",
            i % 2 != 0 ? "policy=miner,kind=usual" : "policy=miner,kind=surge", t_ms, "7.5");
        put(s, "instance=a", "brim_filler_cores", "policy=miner,state=ready", t_ms, "0");
        put(s, "instance=a", "brim_filler_cores", "policy=miner,state=starting", t_ms, "0");
        put(s, "instance=a", "brim_filler_cores", "policy=miner,state=leaving", t_ms, "NaN");
        put(s, "instance=a", "brim_filler_cores", "policy=miner,state=leaving", t_ms, "0");
    }
    scrapes_window(s, T0 + 600000);
}

Test(scrapes, without_holes_reserve_and_headroom_are_kept)
{
    struct report r = report_of(of_before);

    cr_expect_eq(core_s(r.total.part[REPORT_KEPT]), 7500, "%lld",
                 (long long)core_s(r.total.part[REPORT_KEPT]));
    report_done(&r);
}

static void wild(struct scrapes *s)
{
    for (int i = 0; i < 40; i++)
        scrape(s, "instance=a", T0 + i * STEP, (struct seen){20, 50, i, 0});
    scrape(s, "instance=a", INT64_MAX, (struct seen){20, 50, 90, 0});
    scrape(s, "instance=a", INT64_MIN, (struct seen){20, 50, 90, 0});
    put(s, "instance=b", "cpu_capacity_allocatable", "policy=miner", T0, "1e300");
    put(s, "instance=b", "cpu_capacity_allocatable", "policy=miner", T0 + 1, "-5");
    put(s, "instance=b", "brim_decisions_total", "policy=miner,reason=yield", T0, "+Inf");
    put(s, "instance=b", "brim_of_another_day", "policy=miner", T0, "1");
    scrapes_window(s, T0 + 600000);
}

Test(scrapes, of_impossible_times_and_values_are_left_out)
{
    struct report r = report_of(wild);

    cr_expect_eq(r.total.covered_ms, 600000, "%lld", (long long)r.total.covered_ms);
    cr_expect_eq(core_s(r.total.part[REPORT_OFFERED]), 60000);
    cr_expect_eq(r.total.yields, 39, "%lld", (long long)r.total.yields);
    report_done(&r);
}

/* ---- several ---- */

/* Two scrapers, 4 s apart; the first is away from 3:00 to 6:00. */
static void two_replicas(struct scrapes *s)
{
    for (int i = 0; i < 40; i++) {
        if (i < 12 || i >= 24)
            scrape(s, "cluster=eu1,replica=a", T0 + i * STEP, (struct seen){20, 50, i, 0});
        scrape(s, "cluster=eu1,replica=b", T0 + 4000 + i * STEP, (struct seen){20, 50, i, 0});
    }
    scrapes_window(s, T0 + 600000);
}

Test(scrapes, replicas_count_once_and_stand_in_for_each_other)
{
    struct report r = report_of(two_replicas);

    cr_expect_eq(r.total.covered_ms, 600000, "%lld", (long long)r.total.covered_ms);
    cr_expect_eq(core_s(r.total.part[REPORT_FILLER]), 30000);
    cr_expect(r.total.yields >= 38 && r.total.yields <= 40, "%lld", (long long)r.total.yields);
    cr_expect_eq(r.n_clusters, 1);
    cr_expect_eq(r.scrapes.feeds, 2);
    cr_expect_gt(r.scrapes.compared, 20);
    cr_expect_eq(r.scrapes.disputed, 0);
    report_done(&r);
}

/* us1 is scraped from 5:00 on. */
static void two_clusters(struct scrapes *s)
{
    for (int i = 0; i < 40; i++) {
        scrape(s, "cluster=us1", T0 + i * STEP, (struct seen){20, 50, i, 2 * i});
        if (i >= 20)
            scrape(s, "cluster=eu1", T0 + i * STEP, (struct seen){80, 10, i, i});
    }
    scrapes_window(s, T0 + 600000);
}

Test(scrapes, clusters_are_told_one_by_one_and_in_all)
{
    struct report r = report_of(two_clusters);

    cr_assert_eq(r.n_clusters, 2);
    cr_expect_str_eq(r.clusters[0].name, "eu1");
    cr_expect_eq(core_s(r.clusters[0].total.part[REPORT_PAID]), 80 * 300);
    cr_expect_eq(r.clusters[0].total.covered_ms, 300000);
    cr_expect_eq(r.clusters[0].total.pods, 19);
    cr_expect_eq(core_s(r.clusters[1].total.part[REPORT_PAID]), 20 * 600);
    cr_expect_eq(core_s(r.total.part[REPORT_PAID]), 80 * 300 + 20 * 600);
    cr_expect_eq(core_s(r.total.part[REPORT_OFFERED]), 90000);
    cr_expect_eq(r.total.peak_paid_milli, 101000, "together at one time");
    cr_expect_eq(r.total.nodes, 8);
    cr_expect_eq(r.total.pods, 78 + 19);
    cr_expect_eq(r.total.covered_ms, 600000);
    report_done(&r);
}

/* In all 50.5 %; one of them 100.0 %, which is a letter more. */
static void full_and_empty(struct scrapes *s)
{
    for (int i = 0; i < 40; i++) {
        scrape(s, "cluster=full", T0 + i * STEP, (struct seen){100, 0, i, i});
        scrape(s, "cluster=of-a-name-that-is-longer-than-all-others", T0 + i * STEP,
               (struct seen){1, 90, i, i});
    }
    scrapes_window(s, T0 + 600000);
}

Test(scrapes, clusters_stand_in_columns_of_their_own_width)
{
    struct report r = report_of(full_and_empty);
    const struct report_story story = {.now = &r};
    struct strbuf table;

    (void)snprintf(r.cluster_label, sizeof r.cluster_label, "cluster");
    strbuf_init(&table, REPORT_MAX_TEXT);
    report_print(&story, REPORT_TABLE, &table);
    cr_expect_not_null(strstr(strbuf_str(&table), "\nfull      "), "%s", strbuf_str(&table));
    cr_expect_not_null(strstr(strbuf_str(&table), "  100.0%  100.0%  "), "%s", strbuf_str(&table));
    strbuf_done(&table);
    report_done(&r);
}

static void unlike(struct scrapes *s)
{
    for (int i = 0; i < 40; i++) {
        scrape(s, "instance=a", T0 + i * STEP, (struct seen){20, 50, 0, 0});
        scrape(s, "instance=b", T0 + 1000 + i * STEP, (struct seen){20, 50, 0, 0});
        put(s, "instance=b", "cpu_capacity_allocatable", "policy=miner", T0 + 1000 + i * STEP,
            "400");
    }
    scrapes_window(s, T0 + 600000);
}

Test(scrapes, of_clusters_that_are_not_told_apart_are_disputed)
{
    struct report r = report_of(unlike);
    const struct report_story story = {.now = &r};
    struct strbuf said;

    strbuf_init(&said, 4096);
    cr_expect_gt(r.scrapes.disputed, 20, "%lld", (long long)r.scrapes.disputed);
    cr_expect(report_say(&story, SAY_SCRAPES, &said));
    cr_expect_not_null(strstr(strbuf_str(&said), "--by-label"), "%s", strbuf_str(&said));
    strbuf_done(&said);
    report_done(&r);
}

/* Two replicas of which only the last scrape of each minute is looked at; the first is silent from 5:00 on. */
static void in_steps(struct scrapes *s)
{
    for (int i = 0; i < 8; i++) {
        if (i < 5)
            scrape(s, "replica=a", T0 + i * 60000, (struct seen){20, 50, i, 0});
        scrape(s, "replica=b", T0 + i * 60000, (struct seen){20, 50, i, 0});
    }
    scrapes_window(s, T0 + 600000);
}

Test(scrapes, of_steps_hold_for_a_step)
{
    struct report r = report_in_steps(in_steps, 60000);

    cr_expect_eq(r.total.covered_ms, 7 * 60000, "%lld", (long long)r.total.covered_ms);
    cr_expect_eq(r.total.yields, 7, "%lld", (long long)r.total.yields);
    report_done(&r);
}
