#include <string.h>

#include "base/num.h"
#include "storage/activity.h"
#include "storage/bins.h"
#include "storage/report_gather.h"

/* So long before events count they are read: who waits then was mostly reported since. */
#define LEAD_MS (10 * PACKS_MINUTE_MS)

/* Rows are taken by time; what lies between two of them is counted itself, as far as it is kept. */
struct rolled {
    struct history *history;
    struct report *report;
    bool journal; /* else a policy's decisions */
    int64_t policy;
    int64_t kept_ms;    /* from when on decisions, or events, are there */
    int64_t covered_ms; /* nodes stay as the last event left them until then */
    int64_t done_ms;    /* up to here all is counted */
    enum level level;   /* that is being read */
    bool failed;
    struct err *err;
};

/* That something is told of a time. */
static void note_told(struct rolled *d, int64_t from_ms, int64_t until_ms)
{
    struct report *r = d->report;
    struct report_row *piece;

    from_ms = max_i64(from_ms, r->query.since_ms);
    until_ms = min_i64(until_ms, r->query.until_ms);
    for (piece = report_piece_at(r, from_ms); from_ms < until_ms; piece++) {
        int64_t end_ms = min_i64(piece->until_ms, until_ms);
        int64_t *told_ms = d->journal ? &piece->journal_ms : &piece->decisions_ms;

        *told_ms = min_i64(*told_ms + end_ms - from_ms, piece->covered_ms);
        from_ms = end_ms;
    }
}

/* ---- what is not rolled up ---- */

static bool count_events(struct rolled *d, int64_t from_ms, int64_t to_ms)
{
    int64_t end_ms = d->report->query.until_ms;
    const struct report_events range = {
        .read_ms = from_ms - LEAD_MS,
        .from_ms = from_ms,
        .to_ms = to_ms,
        .spread_ms = min_i64(to_ms, d->covered_ms),
        .until_ms = to_ms < end_ms ? min_i64(to_ms + ACTIVITY_REDO_MS, end_ms) : end_ms};

    return report_count_events(d->history, d->report, &range, d->err);
}

/* Counts all up to a time that no row told of. */
static bool count_up_to(struct rolled *d, int64_t to_ms)
{
    int64_t from_ms = d->done_ms, kept_ms = max_i64(from_ms, d->kept_ms);

    if (from_ms >= to_ms)
        return true;
    d->done_ms = to_ms;
    if (kept_ms < to_ms)
        note_told(d, kept_ms, to_ms);
    return d->journal ? kept_ms >= to_ms || count_events(d, kept_ms, to_ms)
                      : report_count_decisions(d->history, d->report, from_ms, to_ms, d->err);
}

/* ---- what is ---- */

static int way_of(int64_t way)
{
    return way == 1 ? 1 : way == 2 ? -1 : 0;
}

/* No more than the longest comes out of it in the end (report.c). */
static void keep_bins(struct report_lengths *lengths, const struct activity_row *row,
                      uint32_t first, size_t piece)
{
    for (size_t i = 0; i < row->n_bins; i++) {
        const struct activity_bin *bin = &row->bins[i];

        if (bin->key >= first && bin->key < first + BINS_COUNT)
            report_keep_length(lengths, piece, bins_most(bin->key - first), bin->n);
    }
}

static void add_decided(struct report *r, struct report_row *piece, const struct activity_row *row)
{
    const int64_t *at = row->at;

    piece->yields += at[ACTIVITY_YIELDS];
    piece->harvests += at[ACTIVITY_HARVESTS];
    piece->reversals += at[ACTIVITY_REVERSALS];
    report_join_ways(piece, way_of(at[ACTIVITY_FIRST_WAY]), way_of(at[ACTIVITY_LAST_WAY]));
    piece->latency_max_us = max_i64(piece->latency_max_us, at[ACTIVITY_LATENCY_MAX]);
    keep_bins(&r->latencies, row, ACTIVITY_LATENCIES, (size_t)(piece - r->pieces));
}

static struct report_wait longest_of(const struct activity_row *row)
{
    const int64_t *at = row->at;
    int64_t reported_ms = row->first_ms + at[ACTIVITY_LONGEST_REPORTED];
    int64_t created_ms = reported_ms - at[ACTIVITY_LONGEST_BEFORE];

    return (struct report_wait){.created_ms = created_ms,
                                .reported_ms = reported_ms,
                                .until_ms = created_ms + at[ACTIVITY_LONGEST],
                                .cpu_milli = at[ACTIVITY_LONGEST_CPU],
                                .bound = at[ACTIVITY_LONGEST_END] == 1,
                                .waits = at[ACTIVITY_LONGEST_END] == 2};
}

static void add_happened(struct report *r, struct report_row *piece, const struct activity_row *row)
{
    const int64_t *at = row->at;
    const struct report_wait longest = longest_of(row);

    piece->starts += at[ACTIVITY_STARTS];
    piece->stops += at[ACTIVITY_STOPS];
    piece->pods += at[ACTIVITY_PODS];
    piece->blocked += at[ACTIVITY_BLOCKED];
    report_add(&piece->wait_ms, at[ACTIVITY_WAIT]);
    report_add(&piece->lone, at[ACTIVITY_LONE]);
    piece->rise_milli = max_i64(piece->rise_milli, at[ACTIVITY_RISE]);
    piece->nodes = max_i64(piece->nodes, at[ACTIVITY_NODES]);
    for (int i = 0; i < REPORT_WAIT_BUCKETS; i++)
        piece->wait_buckets[i] += at[ACTIVITY_UP_TO + i];
    if (at[ACTIVITY_BLOCKED] > 0)
        report_show_wait(r, piece, &longest);
    keep_bins(&r->lengths_of_waits, row, ACTIVITY_WAITS, (size_t)(piece - r->pieces));
}

/* A row that lies in the range with a part of it alone is left out where what it tells of is kept. */
static bool is_left(const struct rolled *d, int64_t first_ms, int64_t end_ms)
{
    const struct report_query *q = &d->report->query;

    return (first_ms < q->since_ms || end_ms > q->until_ms) &&
           max_i64(first_ms, q->since_ms) >= d->kept_ms;
}

/* A row counts in the piece that the middle of the time lies in that it tells of. */
static bool take_row(void *self, const struct activity_row *row)
{
    struct rolled *d = self;
    int64_t step_ms = level_step_ms(d->level), end_ms = row->first_ms + step_ms;
    int64_t told_ms = min_i64(max_i64(row->at[ACTIVITY_COVERED], 1), step_ms);
    struct report_row *piece = report_piece_at(d->report, end_ms - (told_ms + 1) / 2);

    if (end_ms <= d->done_ms || is_left(d, row->first_ms, end_ms))
        return true;
    if (!count_up_to(d, row->first_ms)) {
        d->failed = true;
        return false;
    }
    d->done_ms = end_ms;
    note_told(d, end_ms - told_ms, end_ms);
    if (piece != NULL && d->journal)
        add_happened(d->report, piece, row);
    else if (piece != NULL)
        add_decided(d->report, piece, row);
    return true;
}

static bool read_level(struct rolled *d, enum level level, int64_t from_ms, int64_t until_ms)
{
    d->level = level;
    return from_ms >= until_ms ||
           (activity_each(d->history, d->policy, level, from_ms, until_ms, take_row, d, d->err) &&
            !d->failed);
}

/* An hour that is cut by pieces is put together of its minutes; where they are gone, it counts as a whole. */
static bool read_cut_hour(struct rolled *d, int64_t hour_ms)
{
    int64_t done_ms = d->done_ms;

    return read_level(d, LEVEL_MINUTE, hour_ms, hour_ms + PACKS_HOUR_MS) &&
           (d->done_ms != done_ms || read_level(d, LEVEL_HOUR, hour_ms, hour_ms + 1));
}

/* By the hour, and by the minute where a piece ends within one. */
static bool read_hours(struct rolled *d, int64_t from_ms, int64_t until_ms)
{
    const struct report *r = d->report;

    for (size_t i = 0; i <= r->n_pieces; i++) {
        int64_t edge_ms = i < r->n_pieces ? r->pieces[i].first_ms : r->query.until_ms;
        int64_t hour_ms = packs_floor(edge_ms, PACKS_HOUR_MS);

        if (edge_ms == hour_ms || hour_ms < from_ms || hour_ms >= until_ms)
            continue;
        if (!read_level(d, LEVEL_HOUR, from_ms, hour_ms) || !read_cut_hour(d, hour_ms))
            return false;
        from_ms = hour_ms + PACKS_HOUR_MS;
    }
    return read_level(d, LEVEL_HOUR, from_ms, until_ms);
}

/* Where hours are gone, by the day. */
static bool read_rolled(struct rolled *d)
{
    const struct report_query *q = &d->report->query;
    int64_t until_ms, hours_ms, end_ms, from_ms = packs_floor(q->since_ms, PACKS_HOUR_MS);

    if (!activity_until(d->history, d->policy, q->until_ms, &until_ms, d->err) ||
        !packs_span(d->history->activity, LEVEL_HOUR, &hours_ms, &end_ms, d->err))
        return false;
    until_ms = min_i64(until_ms, q->until_ms);
    hours_ms = end_ms != 0 ? min_i64(packs_floor(hours_ms, PACKS_DAY_MS), until_ms) : until_ms;
    return read_level(d, LEVEL_DAY, packs_floor(q->since_ms, PACKS_DAY_MS), hours_ms) &&
           read_hours(d, max_i64(from_ms, hours_ms), until_ms);
}

/* ---- the list of waits ---- */

static bool list_wait(void *self, const struct activity_row *row)
{
    struct rolled *d = self;
    const struct report_query *q = &d->report->query;
    const struct report_wait wait = longest_of(row);
    bool listed = row->at[ACTIVITY_BLOCKED] == 0 || wait.reported_ms < q->since_ms ||
                  wait.reported_ms >= q->until_ms;

    for (size_t i = 0; i < d->report->n_waits && !listed; i++)
        listed = d->report->waits[i].reported_ms == wait.reported_ms &&
                 d->report->waits[i].created_ms == wait.created_ms;
    if (!listed)
        report_keep_wait(d->report, &wait);
    return true;
}

/* An hour tells of its longest wait alone: where that is listed, its minutes may have others. */
static bool list_waits(struct rolled *d)
{
    struct report_wait listed[REPORT_KEEP_WAITS];
    size_t n = d->report->n_waits;

    memcpy(listed, d->report->waits, n * sizeof *listed);
    for (size_t i = 0; i < n; i++) {
        int64_t hour_ms = packs_floor(listed[i].reported_ms, PACKS_HOUR_MS);

        if (!activity_each(d->history, d->policy, LEVEL_MINUTE, hour_ms, hour_ms + PACKS_HOUR_MS,
                           list_wait, d, d->err))
            return false;
    }
    return true;
}

bool report_count_rolled(struct history *h, struct report *r, int64_t policy, int64_t kept_ms,
                         int64_t covered_ms, struct err *err)
{
    const struct report_query *q = &r->query;
    struct rolled d = {.history = h,
                       .report = r,
                       .journal = policy == 0,
                       .policy = policy,
                       .kept_ms = kept_ms,
                       .covered_ms = covered_ms,
                       .done_ms = q->since_ms,
                       .err = err};
    bool whole = q->until_ms - q->since_ms > REPORT_MINUTES_MS || q->since_ms < kept_ms;

    return (!whole || read_rolled(&d)) && count_up_to(&d, q->until_ms) &&
           (!whole || !d.journal || list_waits(&d));
}
