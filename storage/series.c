#include "storage/series.h"

#include <string.h>

#include "base/alloc.h"
#include "storage/rollup.h"
#include "storage/spans.h"

enum { HOURS = 24, DAYS = 64 };

/* No history is longer, or ends later; a damaged one may say so. */
#define MOST_MS (200 * 366 * PACKS_DAY_MS)

/* Figures of one hour or day of the store. */
struct stored {
    bool there;
    int64_t covered_ms;
};

struct reading {
    struct history *history;
    const struct series_query *query;
    int64_t policy;
    struct series_row *rows;
    struct figures *figures;
    struct err *err;

    size_t row;               /* that is being put together */
    struct figures_sum *sums; /* its, n_series */
    size_t joined, spans;     /* what it is made of */

    int64_t samples_from_ms, samples_until_ms; /* samples that are to be read, one range of them */
    int64_t rows_first_ms, rows_last_ms;       /* of samples that are not packed; INT64_MIN: none */
    struct stored hours[HOURS], days[DAYS];
    struct figures *hour_figures, *day_figures; /* HOURS * n_series, DAYS * n_series */
    int64_t days_ms;                            /* the span that `days` are of */
};

static size_t n_series(const struct reading *r)
{
    return r->query->n_series;
}

static void end_row(struct reading *r)
{
    struct series_row *row = &r->rows[r->row];

    for (size_t k = 0; k < n_series(r); k++)
        r->figures[r->row * n_series(r) + k] = figures_end(&r->sums[k]);
    row->estimated = row->cut || r->joined > 1 || (r->joined != 0 && r->spans != 0);
    r->joined = r->spans = 0;
    r->row++;
}

/* Ends the rows that lie before t. */
static void move_to(struct reading *r, int64_t t_ms)
{
    while (r->row < r->query->n_rows && r->query->edges[r->row + 1] <= t_ms)
        end_row(r);
}

/* Where the row ends that t lies in, but no later than `until`; t is not before the row under way. */
static int64_t end_of(struct reading *r, int64_t t_ms, int64_t until_ms)
{
    int64_t edge_ms;

    move_to(r, t_ms);
    edge_ms = r->query->edges[r->row + 1];
    return edge_ms < until_ms ? edge_ms : until_ms;
}

static bool take_span(void *self, const struct sample *s, int64_t from_ms, int64_t until_ms)
{
    struct reading *r = self;
    int64_t values[SERIES_COUNT_];

    series_values(s, values);
    while (from_ms < until_ms) {
        int64_t end_ms = end_of(r, from_ms, until_ms);

        r->rows[r->row].covered_ms += end_ms - from_ms;
        r->spans++;
        for (size_t k = 0; k < n_series(r); k++) {
            int64_t value = values[r->query->series[k]];

            if (value != SAMPLE_UNKNOWN)
                figures_add(&r->sums[k], value, end_ms - from_ms);
        }
        from_ms = end_ms;
    }
    return true;
}

static bool read_samples(struct reading *r)
{
    int64_t from_ms = r->samples_from_ms, until_ms = r->samples_until_ms;

    r->samples_from_ms = r->samples_until_ms = 0;
    return from_ms == until_ms ||
           spans_each(r->history, r->query->policy, from_ms, until_ms, take_span, r, r->err);
}

/* Samples are read in ranges as long as can be: each begins with a search. */
static bool want_samples(struct reading *r, int64_t from_ms, int64_t until_ms)
{
    const struct series_query *q = r->query;

    from_ms = from_ms > q->edges[0] ? from_ms : q->edges[0];
    until_ms = until_ms < q->edges[q->n_rows] ? until_ms : q->edges[q->n_rows];
    if (from_ms >= until_ms)
        return true;
    if (from_ms != r->samples_until_ms) {
        if (!read_samples(r))
            return false;
        r->samples_from_ms = from_ms;
    }
    r->samples_until_ms = until_ms;
    return true;
}

/* Figures of some time, to the rows that it lies in. */
static void join(struct reading *r, const struct stored *s, const struct figures *figures,
                 int64_t from_ms, int64_t until_ms)
{
    int64_t step_ms = until_ms - from_ms, first_ms = r->query->edges[0],
            last_ms = r->query->edges[r->query->n_rows];

    until_ms = until_ms < last_ms ? until_ms : last_ms;
    from_ms = from_ms > first_ms ? from_ms : first_ms;
    while (from_ms < until_ms) {
        int64_t end_ms = end_of(r, from_ms, until_ms), ms = end_ms - from_ms;

        r->rows[r->row].cut |= ms < step_ms;
        r->rows[r->row].covered_ms += (int64_t)((__int128)s->covered_ms * ms / step_ms);
        r->joined++;
        for (size_t k = 0; k < n_series(r); k++)
            figures_join_part(&r->sums[k], &figures[k],
                              (int64_t)((__int128)figures[k].covered_ms * ms / step_ms));
        from_ms = end_ms;
    }
}

/* Does no edge lie within? O(log rows). */
static bool is_whole(const struct reading *r, int64_t from_ms, int64_t until_ms)
{
    const int64_t *edges = r->query->edges;
    size_t low = 0, high = r->query->n_rows;

    if (from_ms < edges[0] || until_ms > edges[high])
        return false;
    /* edges[low] <= from < edges[high] */
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (edges[mid] <= from_ms)
            low = mid;
        else
            high = mid;
    }
    return until_ms <= edges[high];
}

static bool take_minute(void *self, const struct rollup_row *row)
{
    struct reading *r = self;
    const struct stored minute = {.covered_ms = row->covered_ms};

    join(r, &minute, row->at, row->first_ms, row->first_ms + PACKS_MINUTE_MS);
    return true;
}

static struct rollup_query ask(const struct reading *r, enum level level, int64_t from_ms,
                               int64_t until_ms)
{
    return (struct rollup_query){.policy = r->policy,
                                 .level = level,
                                 .from_ms = from_ms,
                                 .until_ms = until_ms,
                                 .series = r->query->series,
                                 .depth = r->query->depth,
                                 .n_series = n_series(r)};
}

/* An hour that edges cut: from the finest that is left of it. */
static bool read_cut_hour(struct reading *r, int hour, int64_t from_ms)
{
    const struct rollup_query q = ask(r, LEVEL_MINUTE, from_ms, from_ms + PACKS_HOUR_MS);
    bool samples, minutes;

    if (!packs_has(r->history->packs, r->policy, LEVEL_SAMPLES, from_ms, &samples, r->err) ||
        !packs_has(r->history->packs, r->policy, LEVEL_MINUTE, from_ms, &minutes, r->err))
        return false;
    if (samples)
        return want_samples(r, from_ms, from_ms + PACKS_HOUR_MS);
    if (!read_samples(r))
        return false;
    if (minutes)
        return rollup_each(r->history, &q, take_minute, r, r->err);
    join(r, &r->hours[hour], r->hour_figures + (size_t)hour * n_series(r), from_ms,
         from_ms + PACKS_HOUR_MS);
    return true;
}

/*
 * Are there samples that may tell of an hour, or day, and are not in its figures yet? Those of the hour before hold into it, where
 * there are no figures even those of the day before.
 */
static bool is_open(struct reading *r, bool there, int64_t from_ms, int64_t until_ms,
                    bool *ret_open)
{
    int64_t begin_ms = from_ms - (there ? PACKS_HOUR_MS : PACKS_DAY_MS + PACKS_HOUR_MS);

    *ret_open = false;
    if (r->rows_last_ms < begin_ms || r->rows_first_ms >= until_ms)
        return true;
    return samples_has_rows(r->history->samples, r->policy, begin_ms, until_ms, ret_open, r->err);
}

static bool read_hour(struct reading *r, int hour, int64_t from_ms)
{
    bool open;

    if (!is_open(r, r->hours[hour].there, from_ms, from_ms + PACKS_HOUR_MS, &open))
        return false;
    if (open)
        return want_samples(r, from_ms, from_ms + PACKS_HOUR_MS);
    if (!r->hours[hour].there)
        return true;
    if (!is_whole(r, from_ms, from_ms + PACKS_HOUR_MS))
        return read_cut_hour(r, hour, from_ms);
    if (!read_samples(r))
        return false;
    join(r, &r->hours[hour], r->hour_figures + (size_t)hour * n_series(r), from_ms,
         from_ms + PACKS_HOUR_MS);
    return true;
}

static void keep(const struct reading *r, const struct rollup_row *row, struct stored *s,
                 struct figures *figures)
{
    *s = (struct stored){.there = true, .covered_ms = row->covered_ms};
    memcpy(figures, row->at, n_series(r) * sizeof *figures);
}

static bool take_hour(void *self, const struct rollup_row *row)
{
    struct reading *r = self;
    int64_t day_ms = packs_floor(row->first_ms, PACKS_DAY_MS);
    size_t hour = (size_t)((row->first_ms - day_ms) / PACKS_HOUR_MS);

    keep(r, row, &r->hours[hour], r->hour_figures + hour * n_series(r));
    return true;
}

static bool take_day(void *self, const struct rollup_row *row)
{
    struct reading *r = self;
    size_t day = (size_t)((row->first_ms - r->days_ms) / PACKS_DAY_MS);

    keep(r, row, &r->days[day], r->day_figures + day * n_series(r));
    return true;
}

/* Figures of a whole day that lies in one row; *ret_done false where there are none. */
static bool read_whole_day(struct reading *r, int64_t day_ms, bool *ret_done)
{
    int64_t days_ms = packs_floor(day_ms, DAYS * PACKS_DAY_MS);
    const struct rollup_query q = ask(r, LEVEL_DAY, days_ms, days_ms + DAYS * PACKS_DAY_MS);
    size_t day = (size_t)((day_ms - days_ms) / PACKS_DAY_MS);
    bool open;

    *ret_done = false;
    if (days_ms != r->days_ms) {
        memset(r->days, 0, sizeof r->days);
        r->days_ms = days_ms;
        if (!rollup_each(r->history, &q, take_day, r, r->err))
            return false;
    }
    if (!r->days[day].there)
        return true;
    if (!is_open(r, true, day_ms, day_ms + PACKS_DAY_MS, &open))
        return false;
    if (open)
        return true;
    *ret_done = true;
    if (!read_samples(r))
        return false;
    join(r, &r->days[day], r->day_figures + day * n_series(r), day_ms, day_ms + PACKS_DAY_MS);
    return true;
}

static bool read_day(struct reading *r, int64_t day_ms)
{
    const struct rollup_query q = ask(r, LEVEL_HOUR, day_ms, day_ms + PACKS_DAY_MS);
    bool done = false;

    if (is_whole(r, day_ms, day_ms + PACKS_DAY_MS) && !read_whole_day(r, day_ms, &done))
        return false;
    if (done)
        return true;
    memset(r->hours, 0, sizeof r->hours);
    if (!rollup_each(r->history, &q, take_hour, r, r->err))
        return false;
    for (int i = 0; i < HOURS; i++) {
        int64_t from_ms = day_ms + i * PACKS_HOUR_MS;

        if (from_ms + PACKS_HOUR_MS > r->query->edges[0] &&
            from_ms < r->query->edges[r->query->n_rows] && !read_hour(r, i, from_ms))
            return false;
    }
    return true;
}

static bool read_days(struct reading *r)
{
    const struct series_query *q = r->query;
    int64_t first_ms, until_ms;

    if (!series_span(r->history, &first_ms, &until_ms, r->err) ||
        !samples_rows_span(r->history->samples, r->policy, &r->rows_first_ms, &r->rows_last_ms,
                           r->err))
        return false;
    first_ms = first_ms > q->edges[0] ? first_ms : q->edges[0];
    /* A sample holds no longer than a day (samples.h). */
    until_ms = until_ms < MOST_MS ? until_ms + PACKS_DAY_MS : MOST_MS;
    until_ms = until_ms < q->edges[q->n_rows] ? until_ms : q->edges[q->n_rows];
    if (until_ms > first_ms && first_ms < until_ms - MOST_MS)
        return err_set(r->err, ERR_LIMIT, 0,
                       "found more than 200 years of history: the file is "
                       "damaged, or ask for a shorter time");
    for (int64_t day_ms = packs_floor(first_ms, PACKS_DAY_MS); day_ms < until_ms;
         day_ms += PACKS_DAY_MS) {
        if (!read_day(r, day_ms))
            return false;
    }
    return read_samples(r);
}

static bool check(const struct series_query *q, struct err *err)
{
    if (q->n_rows > SERIES_MAX_ROWS)
        return err_set(err, ERR_LIMIT, 0, "found %zu rows, expected at most %d", q->n_rows,
                       SERIES_MAX_ROWS);
    for (size_t i = 0; i < q->n_rows; i++) {
        if (q->edges[i] >= q->edges[i + 1])
            return err_set(err, ERR_INPUT, 0, "found a row from %lld to %lld ms, expected a time",
                           (long long)q->edges[i], (long long)q->edges[i + 1]);
    }
    return true;
}

bool series_read(struct history *h, const struct series_query *q, struct series_row *ret_rows,
                 struct figures *ret_figures, struct err *err)
{
    struct reading r = {.history = h,
                        .query = q,
                        .rows = ret_rows,
                        .figures = ret_figures,
                        .err = err,
                        .days_ms = INT64_MIN};
    bool ok;

    if (!check(q, err) || !samples_find_policy(h->samples, q->policy, &r.policy, err))
        return false;
    if (q->n_rows == 0)
        return true;
    for (size_t i = 0; i < q->n_rows; i++)
        ret_rows[i] = (struct series_row){0};
    r.sums = xcalloc(q->n_series + 1, sizeof *r.sums);
    for (size_t k = 0; k < q->n_series && q->depth != NULL; k++)
        r.sums[k].depth = q->depth[k];
    r.hour_figures = xcalloc((HOURS + DAYS) * q->n_series + 1, sizeof *r.hour_figures);
    r.day_figures = r.hour_figures + HOURS * q->n_series;
    ok = r.policy == 0 || read_days(&r);
    move_to(&r, INT64_MAX);
    for (size_t k = 0; k < q->n_series; k++)
        figures_done(&r.sums[k]);
    free(r.hour_figures);
    free(r.sums);
    return ok;
}

/* Takes another span into one; 0 is none. */
static void widen(int64_t *first_ms, int64_t *until_ms, int64_t begin_ms, int64_t end_ms)
{
    if (end_ms == 0)
        return;
    *first_ms = *until_ms == 0 || begin_ms < *first_ms ? begin_ms : *first_ms;
    *until_ms = *until_ms == 0 || end_ms > *until_ms ? end_ms : *until_ms;
}

bool series_span(struct history *h, int64_t *ret_first_ms, int64_t *ret_until_ms, struct err *err)
{
    int64_t first_ms = 0, until_ms = 0, begin_ms, end_ms;

    if (!samples_span(h->samples, &begin_ms, &end_ms, err))
        return false;
    if (end_ms != 0)
        end_ms = end_ms > INT64_MAX - SAMPLES_STEP_MS ? INT64_MAX : end_ms + SAMPLES_STEP_MS;
    widen(&first_ms, &until_ms, begin_ms, end_ms);
    for (int level = LEVEL_MINUTE; level < LEVEL_COUNT_; level++) {
        if (!packs_span(h->packs, (enum level)level, &begin_ms, &end_ms, err))
            return false;
        widen(&first_ms, &until_ms, begin_ms, end_ms);
    }
    *ret_first_ms = first_ms;
    *ret_until_ms = until_ms;
    return true;
}
