#include "storage/series.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/unit/policy/random.h"
#include "tests/unit/storage/folder.h"

#define MINUTE INT64_C(60000)
#define HOUR   INT64_C(3600000)
#define T0     INT64_C(1789999200000) /* 2026-09-21T14:00:00Z */

static void open_new(struct folder *f, struct history *h)
{
    struct err err = {0};

    *f = folder_new();
    cr_assert(history_open(&(struct db_options){.path = f->file}, h, &err), "%s", err.text);
}

static void close_all(struct folder *f, struct history *h)
{
    history_close(h);
    folder_done(f);
}

static void add(struct history *h, int64_t t_ms, int64_t paid)
{
    struct sample s = {.policy = "miner",
                       .t_ms = t_ms,
                       .at = {[SAMPLE_ALLOCATABLE] = 100000, [SAMPLE_PAID] = paid}};
    struct err err = {0};

    cr_assert(samples_add(h->samples, &s, &err), "%s", err.text);
}

static const enum series two[] = {(enum series)SAMPLE_PAID, SERIES_PART_IDLE};

/* Rows of `two`. */
static void read_rows(struct history *h, const int64_t *edges, size_t n, struct series_row *rows,
                      struct figures *figures)
{
    const struct series_query q = {
        .policy = SV("miner"), .series = two, .n_series = 2, .edges = edges, .n_rows = n};
    struct err err = {0};

    cr_assert(series_read(h, &q, rows, figures, &err), "%s", err.text);
}

/* By hand: a quarter of an hour at 20, one at 40 cores, a gap, and one at 60 that the next row shares. */
Test(series, rows_tell_what_held_in_them)
{
    const int64_t edges[] = {T0, T0 + HOUR, T0 + HOUR + 5 * MINUTE, T0 + 3 * HOUR};
    struct series_row rows[3];
    struct figures figures[6];
    struct folder f;
    struct history h;

    open_new(&f, &h);
    for (int64_t t = 0; t < 15 * MINUTE; t += 10000) {
        add(&h, T0 + t, 20000);
        add(&h, T0 + 15 * MINUTE + t, 40000);
        add(&h, T0 + 50 * MINUTE + t, 60000);
    }
    read_rows(&h, edges, 3, rows, figures);
    /* The last sample before a gap holds 30 s, 20 s longer than until the next would have come. */
    cr_assert_eq(rows[0].covered_ms, 40 * MINUTE + 20000);
    cr_assert_eq(rows[1].covered_ms, 5 * MINUTE);
    cr_assert_eq(rows[2].covered_ms, 20000);
    cr_assert(figures[0].min == 20000 && figures[0].p50 == 40000 && figures[0].p90 == 60000);
    cr_assert_eq(figures[0].mean_milli,
                 (20000 * INT64_C(900) + 40000 * 920 + 60000 * 600) * 1000 / 2420);
    cr_assert(figures[1].min == 40000 && figures[1].p50 == 60000 && figures[1].max == 80000);
    cr_assert_eq(figures[2].mean_milli, 60000000);
    cr_assert_eq(figures[4].covered_ms, 20000);
    close_all(&f, &h);
}

Test(series, of_a_policy_that_nobody_knows_are_empty)
{
    const int64_t edges[] = {T0, T0 + HOUR};
    struct series_row rows[1];
    struct figures figures[2];
    struct folder f;
    struct history h;

    open_new(&f, &h);
    read_rows(&h, edges, 1, rows, figures);
    cr_assert(rows[0].covered_ms == 0 && figures[0].covered_ms == 0);
    close_all(&f, &h);
}

Test(series, refuses_rows_that_do_not_rise_and_too_many)
{
    const int64_t edges[] = {T0, T0};
    struct series_query q = {.policy = SV("p"), .edges = edges, .n_rows = 1};
    struct series_row rows[1];
    struct err err = {0};
    struct folder f;
    struct history h;

    open_new(&f, &h);
    cr_assert_not(series_read(&h, &q, rows, NULL, &err));
    cr_assert_eq(err.kind, ERR_INPUT);
    q.n_rows = SERIES_MAX_ROWS + 1;
    cr_assert_not(series_read(&h, &q, rows, NULL, &err));
    cr_assert_eq(err.kind, ERR_LIMIT);
    close_all(&f, &h);
}

/* ---- packed against plain ---- */

static struct sample draw(struct random *r, struct sample last)
{
    for (int i = 0; i < SAMPLE_COUNT_; i++) {
        if (random_percent(r, 20))
            last.at[i] = random_in(r, 0, 400) * 250;
    }
    if (random_percent(r, 2))
        last.at[SAMPLE_NODE_FIT_MAX] = SAMPLE_UNKNOWN;
    last.merged = random_percent(r, 1) ? random_in(r, 1, 20) : 0;
    return last;
}

/* How the clock of an agent goes on: 10 s, a decision in between, and now and then a pause, a step back, a restart. */
static int64_t later(struct random *r, int64_t t_ms)
{
    if (random_percent(r, 10))
        return t_ms + random_in(r, 1, 9000);
    if (random_in(r, 0, 999) < 3)
        return t_ms + random_in(r, 0, 5 * HOUR);
    if (random_in(r, 0, 9999) < 5)
        return t_ms - random_in(r, 0, 2 * HOUR);
    return t_ms + 10000 + random_in(r, -3, 3);
}

static void pack_all(struct history *h, int64_t now_ms)
{
    struct err err = {0};
    bool more = true;

    while (more)
        cr_assert(history_pack(h, now_ms, &more, &err), "%s", err.text);
}

struct pair {
    struct folder folders[2];
    struct history plain, packed;
    int64_t first_ms, until_ms;
    int64_t now_ms;
};

/* In the hour of the last sample, as an hour that was packed is not made again for a gap that comes later. */
static void pair_gap(struct pair *p, int64_t first_ms, int64_t last_ms)
{
    const struct history_gap gap = {.first_ms = first_ms, .last_ms = last_ms, .why = SV("start")};
    struct err err = {0};

    cr_assert(history_add_gap(&p->plain, &gap, &err) && history_add_gap(&p->packed, &gap, &err));
}

/* The same samples in two histories; one is packed on its way. */
static void pair_make(struct pair *p, struct random *r, size_t n)
{
    struct sample s = {.policy = "miner", .t_ms = T0 + random_in(r, 0, 20 * HOUR)};
    struct err err = {0};

    *p = (struct pair){.first_ms = s.t_ms, .until_ms = s.t_ms};
    open_new(&p->folders[0], &p->plain);
    open_new(&p->folders[1], &p->packed);
    cr_assert(db_begin(p->plain.db, &err) && db_begin(p->packed.db, &err));
    for (size_t i = 0; i < n; i++) {
        int64_t before_ms = s.t_ms;

        s = draw(r, s);
        s.t_ms = later(r, s.t_ms);
        if (s.t_ms > before_ms + HOUR)
            pair_gap(p, before_ms + random_in(r, 0, (HOUR - before_ms % HOUR) / 2), s.t_ms);
        cr_assert(samples_add(p->plain.samples, &s, &err), "%s", err.text);
        cr_assert(samples_add(p->packed.samples, &s, &err), "%s", err.text);
        if (random_percent(r, 1)) {
            cr_assert(db_commit(p->packed.db, &err));
            pack_all(&p->packed, s.t_ms);
            cr_assert(db_begin(p->packed.db, &err));
        }
        p->first_ms = s.t_ms < p->first_ms ? s.t_ms : p->first_ms;
        p->until_ms = s.t_ms > p->until_ms ? s.t_ms : p->until_ms;
        p->now_ms = s.t_ms;
    }
    cr_assert(db_commit(p->plain.db, &err) && db_commit(p->packed.db, &err));
    pack_all(&p->packed, p->now_ms);
}

static void pair_done(struct pair *p)
{
    close_all(&p->folders[0], &p->plain);
    close_all(&p->folders[1], &p->packed);
}

static const enum series some[] = {(enum series)SAMPLE_PAID, (enum series)SAMPLE_WAITING,
                                   (enum series)SAMPLE_NODE_FIT_MAX, SERIES_DEMAND,
                                   SERIES_PART_IDLE};
enum { N_SOME = COUNT_OF(some), MAX_ROWS = 64 };

/* Rows whose edges are multiples of `unit`. */
static size_t draw_edges(struct random *r, const struct pair *p, int64_t unit_ms, int64_t *edges)
{
    size_t n = 0, rows = (size_t)random_in(r, 1, MAX_ROWS);
    int64_t at = packs_floor(random_in(r, p->first_ms - HOUR, p->until_ms), unit_ms);

    edges[0] = at;
    while (n < rows && at < p->until_ms + HOUR) {
        at += random_in(r, 1, random_percent(r, 10) ? 36 * HOUR / unit_ms + 1 : 5) * unit_ms;
        edges[++n] = at;
    }
    return n;
}

struct both {
    size_t n;
    int64_t edges[MAX_ROWS + 1];
    struct series_row rows[2][MAX_ROWS];
    struct figures figures[2][MAX_ROWS * N_SOME];
};

static void read_both(struct pair *p, struct both *b)
{
    const struct series_query q = {.policy = SV("miner"),
                                   .series = some,
                                   .n_series = N_SOME,
                                   .edges = b->edges,
                                   .n_rows = b->n};
    struct err err = {0};

    cr_assert(series_read(&p->plain, &q, b->rows[0], b->figures[0], &err), "%s", err.text);
    cr_assert(series_read(&p->packed, &q, b->rows[1], b->figures[1], &err), "%s", err.text);
}

static bool near(int64_t a, int64_t b, int64_t most)
{
    return a - b <= most && b - a <= most;
}

/* Who asks for less gets the same of it, whether it is packed or not. */
static void check_depths(struct pair *p, const struct both *b)
{
    static const enum figures_depth depths[N_SOME] = {FIGURES_MEAN, FIGURES_MOST, FIGURES_ALL,
                                                      FIGURES_MOST, FIGURES_MEAN};
    static struct figures less[MAX_ROWS * N_SOME];
    static struct series_row rows[MAX_ROWS];
    const struct series_query q = {.policy = SV("miner"),
                                   .series = some,
                                   .depth = depths,
                                   .n_series = N_SOME,
                                   .edges = b->edges,
                                   .n_rows = b->n};

    for (int side = 0; side < 2; side++) {
        cr_assert(series_read(side == 0 ? &p->plain : &p->packed, &q, rows, less, NULL));
        cr_assert_arr_eq(rows, b->rows[side], b->n * sizeof *rows);
        for (size_t i = 0; i < b->n * N_SOME; i++) {
            const struct figures *x = &less[i], *y = &b->figures[side][i];

            cr_assert(x->covered_ms == y->covered_ms && x->mean_milli == y->mean_milli,
                      "side %d, row %zu, series %zu", side, i / N_SOME, i % N_SOME);
            cr_assert(depths[i % N_SOME] == FIGURES_MEAN || x->max == y->max,
                      "side %d, row %zu, series %zu", side, i / N_SOME, i % N_SOME);
        }
    }
}

/* All but quantiles are the same; these too, unless the row says that they are estimates. */
static void check_same(const struct both *b)
{
    for (size_t i = 0; i < b->n; i++) {
        cr_assert_eq(b->rows[0][i].covered_ms, b->rows[1][i].covered_ms,
                     "row %zu of %zu, %lld to %lld ms: %lld and %lld ms", i, b->n,
                     (long long)(b->edges[i] - T0), (long long)(b->edges[i + 1] - T0),
                     (long long)b->rows[0][i].covered_ms, (long long)b->rows[1][i].covered_ms);
        cr_assert_not(b->rows[1][i].cut);
        for (size_t k = 0; k < N_SOME; k++) {
            const struct figures *x = &b->figures[0][i * N_SOME + k],
                                 *y = &b->figures[1][i * N_SOME + k];

            cr_assert_eq(x->covered_ms, y->covered_ms, "row %zu, series %zu", i, k);
            cr_assert(x->min == y->min && x->max == y->max && near(x->mean_milli, y->mean_milli, 1),
                      "row %zu, series %zu", i, k);
            cr_assert(y->min <= y->p50 && y->p50 <= y->p90 && y->p90 <= y->p99 && y->p99 <= y->max);
            cr_assert(b->rows[1][i].estimated ||
                          (x->p50 == y->p50 && x->p90 == y->p90 && x->p99 == y->p99),
                      "row %zu, series %zu", i, k);
        }
    }
}

Test(series, of_a_packed_history_are_those_of_its_samples)
{
    static const int64_t units[] = {1, 10000, MINUTE, 15 * MINUTE, HOUR, 24 * HOUR};
    struct random r = random_start("of_a_packed_history_are_those_of_its_samples");
    static struct both b;

    for (int round = 0; round < 4; round++) {
        int64_t packs = 0;
        struct pair p;

        pair_make(&p, &r, (size_t)random_in(&r, 2000, 12000));
        cr_assert(db_number(p.packed.db, "SELECT count(*) FROM pack", &packs, NULL) && packs > 10);
        for (int i = 0; i < 40; i++) {
            b.n = draw_edges(&r, &p, units[random_in(&r, 0, COUNT_OF(units) - 1)], b.edges);
            read_both(&p, &b);
            check_same(&b);
            check_depths(&p, &b);
        }
        cr_assert(db_integrity(p.packed.db, NULL));
        pair_done(&p);
    }
}

/* When the samples are gone, minutes and hours tell the same. */
Test(series, stay_when_their_samples_are_gone)
{
    struct random r = random_start("stay_when_their_samples_are_gone");
    static struct both b;

    for (int round = 0; round < 3; round++) {
        const struct history_keep samples_go = {.samples_ms = 1}, minutes_go = {.minutes_ms = 1};
        int64_t rows = 1, end_ms;
        struct err err = {0};
        struct pair p;

        pair_make(&p, &r, 9000);
        end_ms = p.until_ms + 2 * HOUR;
        pack_all(&p.packed, end_ms);
        cr_assert(history_forget(&p.packed, &samples_go, end_ms, &err), "%s", err.text);
        cr_assert(db_number(p.packed.db, "SELECT count(*) FROM pack WHERE level = 0", &rows, NULL));
        cr_assert_eq(rows, 0);
        for (int i = 0; i < 60; i++) {
            if (i == 30)
                cr_assert(history_forget(&p.packed, &minutes_go, end_ms, &err), "%s", err.text);
            b.n = draw_edges(&r, &p, i < 30 ? MINUTE : HOUR, b.edges);
            read_both(&p, &b);
            check_same(&b);
            check_depths(&p, &b);
        }
        pair_done(&p);
    }
}

/* The span is that of all policies, packed or not; what is too old goes, of each. */
Test(series, reach_from_the_first_policy_to_the_last)
{
    const struct history_keep keep = {.minutes_ms = 1};
    int64_t first_ms, until_ms, minutes;
    struct err err = {0};
    struct folder f;
    struct history h;

    open_new(&f, &h);
    cr_assert(db_begin(h.db, &err), "%s", err.text);
    for (int i = 0; i < 3; i++) {
        struct sample s = {.at = {[SAMPLE_ALLOCATABLE] = 1000}};

        (void)snprintf(s.policy, sizeof s.policy, "p%d", i);
        for (s.t_ms = T0 + (2 - i) * 30 * HOUR; s.t_ms < T0 + (3 - i) * 30 * HOUR; s.t_ms += 20000)
            cr_assert(samples_add(h.samples, &s, &err), "%s", err.text);
    }
    cr_assert(db_commit(h.db, &err), "%s", err.text);
    cr_assert(series_span(&h, &first_ms, &until_ms, &err), "%s", err.text);
    cr_assert(first_ms == T0 && near(until_ms, T0 + 90 * HOUR, 30000));
    pack_all(&h, T0 + 120 * HOUR);
    /* What is packed tells of whole days. */
    cr_assert(series_span(&h, &first_ms, &until_ms, &err), "%s", err.text);
    cr_assert_eq(first_ms, packs_floor(T0, 24 * HOUR));
    cr_assert_eq(until_ms, packs_floor(T0 + 90 * HOUR, 24 * HOUR) + 24 * HOUR);
    cr_assert(history_forget(&h, &keep, T0 + 200 * HOUR, &err), "%s", err.text);
    cr_assert(db_number(h.db, "SELECT count(*) FROM pack WHERE level = 1", &minutes, &err));
    cr_assert_eq(minutes, 0);
    close_all(&f, &h);
}

/* An edge within an hour of which nothing finer is left. */
Test(series, share_an_hour_out_that_an_edge_cuts)
{
    const struct history_keep keep = {.samples_ms = 1, .minutes_ms = 1};
    const int64_t edges[] = {T0, T0 + 15 * MINUTE, T0 + HOUR};
    struct series_row rows[2];
    struct figures figures[4];
    struct err err = {0};
    struct folder f;
    struct history h;

    open_new(&f, &h);
    for (int64_t t = 0; t < HOUR; t += 10000)
        add(&h, T0 + t, t < HOUR / 2 ? 20000 : 40000);
    pack_all(&h, T0 + 2 * HOUR);
    cr_assert(history_forget(&h, &keep, T0 + 2 * HOUR, &err), "%s", err.text);
    read_rows(&h, edges, 2, rows, figures);
    cr_assert(rows[0].cut && rows[0].estimated && rows[1].cut);
    cr_assert(rows[0].covered_ms == 15 * MINUTE && rows[1].covered_ms == 45 * MINUTE);
    cr_assert_eq(figures[0].mean_milli, 30000000);
    cr_assert(figures[0].min == 20000 && figures[0].max == 40000);
    close_all(&f, &h);
}

/* A damaged chunk costs what is in it, and nothing else. */
Test(series, do_without_a_damaged_chunk)
{
    const int64_t edges[] = {T0, T0 + HOUR, T0 + 2 * HOUR};
    struct series_row rows[2];
    struct figures figures[4];
    struct err err = {0};
    struct folder f;
    struct history h;

    open_new(&f, &h);
    for (int64_t t = 0; t < 2 * HOUR; t += 10000)
        add(&h, T0 + t, 20000);
    pack_all(&h, T0 + 3 * HOUR);
    cr_assert(db_exec(h.db,
                      "UPDATE pack SET data = zeroblob(50) WHERE level < 3 AND rowid IN"
                      " (SELECT rowid FROM pack ORDER BY first DESC, level LIMIT 1)",
                      &err),
              "%s", err.text);
    read_rows(&h, edges, 2, rows, figures);
    cr_assert(rows[0].covered_ms == HOUR && rows[1].covered_ms == HOUR, "the hours tell it");
    cr_assert(db_exec(h.db, "UPDATE pack SET data = x'00'", &err), "%s", err.text);
    read_rows(&h, edges, 2, rows, figures);
    cr_assert(rows[0].covered_ms == 0 && rows[1].covered_ms == 0);
    close_all(&f, &h);
}

/* Clock set back by weeks: what is known of the time from before stays. */
Test(series, keep_figures_whose_samples_are_gone)
{
    const struct history_keep keep = {.samples_ms = 1};
    const int64_t edges[] = {T0, T0 + 30 * MINUTE, T0 + HOUR};
    struct series_row rows[2];
    struct figures figures[4];
    struct err err = {0};
    struct folder f;
    struct history h;

    open_new(&f, &h);
    for (int64_t t = 0; t < HOUR; t += 10000)
        add(&h, T0 + t, 20000);
    pack_all(&h, T0 + 2 * HOUR);
    cr_assert(history_forget(&h, &keep, T0 + 2 * HOUR, &err), "%s", err.text);
    for (int64_t t = 0; t < 10 * MINUTE; t += 10000)
        add(&h, T0 - 5 * MINUTE + t, 70000);
    pack_all(&h, T0 + 2 * HOUR);
    cr_assert(history_forget(&h, &keep, T0 + 2 * HOUR, &err), "%s", err.text);
    read_rows(&h, edges, 2, rows, figures);
    cr_assert(rows[0].covered_ms == 30 * MINUTE && rows[1].covered_ms == 30 * MINUTE);
    cr_assert_eq(figures[0].max, 20000);
    close_all(&f, &h);
}

/* A disk that took nothing for hours: one sample stands for them all. */
Test(series, know_a_merged_sample_for_as_long_as_it_holds)
{
    enum { HOURS = 5 };
    struct sample s = {.policy = "miner",
                       .t_ms = T0 + 1000,
                       .merged = HOURS * HOUR / SAMPLES_STEP_MS,
                       .at = {[SAMPLE_ALLOCATABLE] = 100000, [SAMPLE_PAID] = 30000}};
    int64_t edges[HOURS + 3];
    struct series_row rows[HOURS + 2];
    struct figures figures[2 * (HOURS + 2)];
    struct err err = {0};
    struct folder f;
    struct history h;

    open_new(&f, &h);
    for (int i = 0; i < HOURS + 3; i++)
        edges[i] = T0 + i * HOUR;
    cr_assert(samples_add(h.samples, &s, &err), "%s", err.text);
    for (int packed = 0; packed < 3; packed++) {
        if (packed == 1)
            pack_all(&h, T0 + 20 * HOUR);
        if (packed == 2)
            cr_assert(
                history_forget(&h, &(struct history_keep){.samples_ms = 1}, T0 + 20 * HOUR, &err));
        read_rows(&h, edges, HOURS + 2, rows, figures);
        cr_assert_eq(rows[0].covered_ms, HOUR - 1000);
        for (int i = 1; i < HOURS; i++)
            cr_assert_eq(rows[i].covered_ms, HOUR, "%d: hour %d", packed, i);
        cr_assert_eq(rows[HOURS].covered_ms, 1000 + SAMPLES_HOLD_MS, "%d", packed);
        cr_assert_eq(rows[HOURS + 1].covered_ms, 0);
    }
    close_all(&f, &h);
}
