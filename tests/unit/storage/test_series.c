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
