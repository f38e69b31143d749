#include "storage/report_gather.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "storage/activity.h"
#include "storage/bins.h"
#include "storage/blocked.h"
#include "storage/series.h"

enum { HOURS = 24 };

static int64_t area(int64_t milli, int64_t span_ms)
{
    int64_t product;

    return __builtin_mul_overflow(milli, span_ms, &product) ? INT64_MAX : product;
}

/* ---- samples ---- */

static const enum series series[] = {
    SERIES_PART_PAID,
    SERIES_PART_FILLER,
    SERIES_PART_CHURN,
    SERIES_PART_KEPT,
    SERIES_PART_IDLE,
    SERIES_DEMAND,
    (enum series)SAMPLE_ALLOCATABLE,
};
static const enum figures_depth depths[] = {
    FIGURES_MEAN, FIGURES_MEAN, FIGURES_MEAN, FIGURES_MOST,
    FIGURES_MEAN, FIGURES_MOST, FIGURES_MOST,
};
_Static_assert(COUNT_OF(depths) == COUNT_OF(series), "a series has no depth");
enum { N_SERIES = COUNT_OF(series), IN_KEPT = 3, IN_DEMAND = 5, IN_ALLOCATABLE = 6 };

/* Milli-core milliseconds. */
static int64_t area_of(const struct figures *f)
{
    __int128 sum = ((__int128)f->mean_milli * f->covered_ms + 500) / 1000;

    return f->covered_ms <= 0 || sum < 0 ? 0 : sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
}

static int64_t most_of(const struct figures *f)
{
    return f->covered_ms > 0 ? max_i64(f->max, 0) : 0;
}

static void take_figures(const struct report_terms *terms, const struct figures f[N_SERIES],
                         struct report_row *piece)
{
    int64_t room = 0;

    for (int k = REPORT_PAID; k < REPORT_PART_COUNT_; k++) {
        piece->part[k] = area_of(&f[k - REPORT_PAID]);
        report_add(&piece->part[REPORT_OFFERED], piece->part[k]);
        if (k != REPORT_PAID)
            report_add(&room, piece->part[k]);
    }
    piece->harvestable = terms->filler_max_milli > 0
                             ? min_i64(room, area(terms->filler_max_milli, piece->covered_ms))
                             : room;
    piece->peak_kept_milli = most_of(&f[IN_KEPT]);
    piece->peak_paid_milli = most_of(&f[IN_DEMAND]);
    piece->peak_paid_ms = piece->first_ms;
    piece->peak_offered_milli = most_of(&f[IN_ALLOCATABLE]);
}

/* ---- levels ---- */

struct report_level report_level_of(const struct sample *s)
{
    struct report_level level = {0};
    int64_t values[SERIES_COUNT_];

    series_values(s, values);
    for (int k = REPORT_PAID; k < REPORT_PART_COUNT_; k++) {
        level.part[k] = values[series[k - REPORT_PAID]];
        level.part[REPORT_OFFERED] += level.part[k];
    }
    level.demand = values[SERIES_DEMAND];
    return level;
}

void report_row_level(struct report_row *row, const struct report_level *level, int64_t from_ms,
                      int64_t ms)
{
    for (int k = 0; k < REPORT_PART_COUNT_; k++)
        report_add(&row->part[k], area(level->part[k], ms));
    row->covered_ms += ms;
    row->peak_kept_milli = max_i64(row->peak_kept_milli, level->part[REPORT_KEPT]);
    row->peak_offered_milli = max_i64(row->peak_offered_milli, level->part[REPORT_OFFERED]);
    row->nodes = max_i64(row->nodes, level->nodes);
    if (level->demand > row->peak_paid_milli) {
        row->peak_paid_milli = level->demand;
        row->peak_paid_ms = from_ms;
    }
}

void report_take_level(struct report *r, const struct report_level *level, int64_t from_ms,
                       int64_t until_ms)
{
    struct report_row *piece;

    from_ms = max_i64(from_ms, r->query.since_ms);
    until_ms = min_i64(until_ms, r->query.until_ms);
    for (piece = report_piece_at(r, from_ms); from_ms < until_ms; piece++) {
        int64_t end_ms = min_i64(piece->until_ms, until_ms);

        report_row_level(piece, level, piece->first_ms, end_ms - from_ms);
        from_ms = end_ms;
    }
}

void report_end_levels(const struct report_terms *terms, int64_t clusters, struct report_row *row)
{
    int64_t room = row->part[REPORT_OFFERED] - row->part[REPORT_PAID];
    int64_t most = area(area(terms->filler_max_milli, clusters), row->covered_ms);

    row->harvestable = terms->filler_max_milli > 0 ? min_i64(room, most) : room;
}

/* From when the journal itself tells, and single decisions, which are kept as long as samples are. */
struct begins {
    int64_t journal_ms, decisions_ms;
};

static bool find_begins(struct history *h, struct begins *ret_begins, struct err *err)
{
    struct chunks_totals totals;
    struct begins b;
    int64_t last_ms;

    if (!chunks_totals(h->chunks, &totals, err) ||
        !samples_span(h->samples, &b.decisions_ms, &last_ms, err))
        return false;
    if (last_ms == 0)
        b.decisions_ms = INT64_MAX;
    b.journal_ms = totals.segments != 0 ? totals.first_ms : INT64_MAX;
    *ret_begins = b;
    return true;
}

/* Of the covered time, what may lie behind `since`. */
static int64_t told_since(const struct report_row *piece, int64_t since_ms)
{
    return max_i64(
        0, min_i64(piece->covered_ms, piece->until_ms - max_i64(piece->first_ms, since_ms)));
}

static bool read_series(struct history *h, struct report *r, const struct begins *begins,
                        const int64_t *edges, struct series_row *rows, struct figures *figures,
                        struct err *err)
{
    const struct series_query query = {.policy = sv_from(r->policy),
                                       .series = series,
                                       .depth = depths,
                                       .n_series = N_SERIES,
                                       .edges = edges,
                                       .n_rows = r->n_pieces};

    if (!series_read(h, &query, rows, figures, err))
        return false;
    for (size_t i = 0; i < r->n_pieces; i++) {
        struct report_row *piece = &r->pieces[i];

        piece->covered_ms = rows[i].covered_ms;
        piece->journal_ms = told_since(piece, begins->journal_ms);
        piece->decisions_ms = told_since(piece, begins->decisions_ms);
        take_figures(&r->query.terms, &figures[i * N_SERIES], piece);
    }
    return true;
}

static bool add_samples(struct history *h, struct report *r, const struct begins *begins,
                        struct err *err)
{
    int64_t *edges = xcalloc(r->n_pieces + 1, sizeof *edges);
    struct series_row *rows = xcalloc(r->n_pieces, sizeof *rows);
    struct figures *figures = xcalloc(r->n_pieces * N_SERIES, sizeof *figures);
    bool ok;

    for (size_t i = 0; i < r->n_pieces; i++)
        edges[i] = r->pieces[i].first_ms;
    edges[r->n_pieces] = r->query.until_ms;
    ok = read_series(h, r, begins, edges, rows, figures, err);
    free(figures);
    free(rows);
    free(edges);
    return ok;
}

/* ---- gaps ---- */

/* The place of the shortest gap that is kept. */
static size_t shortest_gap(const struct report *r)
{
    size_t shortest = 0;

    for (size_t i = 1; i < r->n_gaps; i++) {
        if (r->gaps[i].missing_ms < r->gaps[shortest].missing_ms)
            shortest = i;
    }
    return shortest;
}

static void keep_gap(struct report *r, const struct report_gap *gap)
{
    size_t at;

    r->all_gaps++;
    if (r->n_gaps == REPORT_KEEP_GAPS) {
        at = shortest_gap(r);
        if (r->gaps[at].missing_ms >= gap->missing_ms)
            return;
        memmove(&r->gaps[at], &r->gaps[at + 1], (r->n_gaps - at - 1) * sizeof *gap);
        r->n_gaps--;
    }
    r->gaps[r->n_gaps++] = *gap;
}

/* Pieces that follow each other and of which something is missing are one gap. */
void report_find_gaps(struct report *r)
{
    struct report_gap gap = {0};

    for (size_t i = 0; i <= r->n_pieces; i++) {
        const struct report_row *piece = i < r->n_pieces ? &r->pieces[i] : NULL;

        if (piece != NULL && piece->covered_ms < piece->span_ms) {
            gap.first_ms = gap.missing_ms == 0 ? piece->first_ms : gap.first_ms;
            gap.until_ms = piece->until_ms;
            gap.missing_ms += piece->span_ms - piece->covered_ms;
        } else if (gap.missing_ms != 0) {
            keep_gap(r, &gap);
            gap.missing_ms = 0;
        }
    }
}

/* What the history says of a gap: the newest that it notes there. */
static bool take_gap(void *self, const struct history_gap *note)
{
    struct report *r = self;

    for (size_t i = 0; i < r->n_gaps && note->decisions == 0; i++) {
        struct report_gap *gap = &r->gaps[i];

        if (note->first_ms < gap->until_ms && note->last_ms >= gap->first_ms)
            (void)snprintf(gap->why, sizeof gap->why, "%.*s", SV_ARG(note->why));
    }
    return true;
}

static bool add_gaps(struct history *h, struct report *r, struct err *err)
{
    report_find_gaps(r);
    return r->n_gaps == 0 ||
           history_gaps(h, r->query.since_ms, r->query.until_ms, take_gap, r, err);
}

/* ---- decisions ---- */

static void keep_length(struct report_lengths *lengths, size_t piece, int64_t length, int64_t n)
{
    if (lengths->n < REPORT_KEEP_LENGTHS)
        VEC_PUSH(lengths->at, lengths->n, lengths->cap,
                 ((struct report_length){.length = length, .n = n, .piece = piece}));
}

static size_t place_of(const struct report *r, const struct report_row *piece)
{
    return (size_t)(piece - r->pieces);
}

/* Directions that come after those the piece has. */
static void join_ways(struct report_row *piece, int first_way, int last_way)
{
    if (first_way == 0)
        return;
    piece->reversals += piece->last_way == -first_way;
    piece->first_way = piece->first_way == 0 ? first_way : piece->first_way;
    piece->last_way = last_way;
}

static bool take_decision(void *self, const struct decision_entry *d)
{
    struct report *r = self;
    struct report_row *piece = report_piece_at(r, d->t_ms);
    int64_t change = d->at[DECISION_REPLICAS] - d->at[DECISION_BEFORE];
    int64_t latency_us = d->at[DECISION_LATENCY];
    int way = (change > 0) - (change < 0);

    if (piece == NULL)
        return true;
    if (latency_us > 0) {
        keep_length(&r->latencies, place_of(r, piece), latency_us, 1);
        piece->latency_max_us = max_i64(piece->latency_max_us, latency_us);
    }
    piece->yields += strcmp(d->reason, "yield") == 0;
    piece->harvests += strcmp(d->reason, "harvest") == 0;
    join_ways(piece, way, way);
    return true;
}

bool report_count_decisions(struct history *h, struct report *r, int64_t from_ms, struct err *err)
{
    const struct decisions_filter filter = {.policy = sv_from(r->policy),
                                            .from_ms = max_i64(from_ms, r->query.since_ms),
                                            .until_ms = r->query.until_ms,
                                            .oldest_first = true};

    return decisions_each(h->decisions, &filter, take_decision, r, err);
}

/* A change of direction belongs to the later decision, which may lie in another piece. */
static void join_pieces(struct report *r)
{
    int last_way = 0;

    for (size_t i = 0; i < r->n_pieces; i++) {
        struct report_row *piece = &r->pieces[i];

        if (piece->first_way == 0)
            continue;
        piece->reversals += piece->first_way == -last_way;
        last_way = piece->last_way;
    }
}

/* ---- the event journal ---- */

/* Keeps the longest waits, the longest first. */
static void keep_wait(struct report *r, const struct report_wait *wait)
{
    int64_t ms = wait->until_ms - wait->created_ms;
    size_t at = REPORT_KEEP_WAITS - 1;

    if (r->n_waits < REPORT_KEEP_WAITS)
        at = r->n_waits++;
    else if (r->waits[at].until_ms - r->waits[at].created_ms >= ms)
        return;
    for (; at > 0 && r->waits[at - 1].until_ms - r->waits[at - 1].created_ms < ms; at--)
        r->waits[at] = r->waits[at - 1];
    r->waits[at] = *wait;
}

static size_t wait_bucket(int64_t ms)
{
    static const int64_t steps_ms[] = REPORT_WAIT_STEPS_MS;
    size_t i = 0;

    _Static_assert(COUNT_OF(steps_ms) + 1 == REPORT_WAIT_BUCKETS, "one bucket is beyond the last");
    while (i < COUNT_OF(steps_ms) && ms > steps_ms[i])
        i++;
    return i;
}

/* One of those that were blocked in this piece, which may be its longest. */
static void show_wait(struct report *r, struct report_row *piece, const struct report_wait *wait)
{
    int64_t wait_ms = wait->until_ms - wait->created_ms;

    if (wait_ms >= piece->longest_wait_ms) {
        piece->longest_wait_ms = wait_ms;
        piece->longest = *wait;
    }
    keep_wait(r, wait);
}

/*
 * The least that paid pods asked for in each second of the last REPORT_RISE_MS: of those only that are less than what came later,
 * the oldest first, so that adding is O(1) amortised.
 */
enum { RISE_SECONDS = REPORT_RISE_MS / 1000 + 2 };

struct rise {
    struct {
        int64_t second, least_milli;
    } at[RISE_SECONDS];
    size_t first, n; /* a ring */
};

static size_t rise_place(const struct rise *r, size_t i)
{
    return (r->first + i) % RISE_SECONDS;
}

/* How far demand stands above the least of the last REPORT_RISE_MS; times that fall begin anew. */
static int64_t rise_by(struct rise *r, int64_t t_ms, int64_t demand_milli)
{
    int64_t second = t_ms / 1000, oldest = second - REPORT_RISE_MS / 1000;

    if (r->n != 0 && r->at[rise_place(r, r->n - 1)].second > second)
        r->n = 0;
    while (r->n != 0 && r->at[rise_place(r, 0)].second < oldest) {
        r->first = rise_place(r, 1);
        r->n--;
    }
    while (r->n != 0 && r->at[rise_place(r, r->n - 1)].least_milli >= demand_milli)
        r->n--;
    if (r->n == 0 || r->at[rise_place(r, r->n - 1)].second != second) {
        size_t at = rise_place(r, r->n++);

        r->at[at].second = second;
        r->at[at].least_milli = demand_milli;
    }
    return demand_milli - r->at[rise_place(r, 0)].least_milli;
}

struct events {
    struct report *report;
    int64_t from_ms; /* what was before it counts in nothing */
    struct blocked *blocked;
    struct blocked_sums sums; /* since last_ms */
    int64_t last_ms;
    struct rise rise;
};

/* The piece of a time that counts. */
static struct report_row *counted_at(const struct events *ev, int64_t t_ms)
{
    return t_ms >= ev->from_ms ? report_piece_at(ev->report, t_ms) : NULL;
}

static void take_blocked(void *self, const struct blocked_pod *pod)
{
    const struct events *ev = self;
    struct report_row *piece = counted_at(ev, pod->reported_ms);
    struct report_wait wait = {.created_ms = pod->created_ms,
                               .reported_ms = pod->reported_ms,
                               .until_ms = max_i64(pod->until_ms, pod->created_ms),
                               .cpu_milli = pod->cpu_milli,
                               .bound = pod->bound,
                               .waits = pod->waits};
    int64_t wait_ms = wait.until_ms - wait.created_ms;

    if (piece == NULL)
        return;
    piece->blocked++;
    report_add(&piece->wait_ms, wait_ms);
    piece->wait_buckets[wait_bucket(wait_ms)]++;
    keep_length(&ev->report->lengths_of_waits, place_of(ev->report, piece), wait_ms, 1);
    show_wait(ev->report, piece, &wait);
}

/* What the nodes were since the last event. */
static void spread_nodes(struct events *ev, int64_t until_ms)
{
    const struct report_query *q = &ev->report->query;
    int64_t from_ms = max_i64(ev->last_ms, max_i64(ev->from_ms, q->since_ms));
    struct report_row *piece;

    until_ms = min_i64(until_ms, q->until_ms);
    if (from_ms >= until_ms || ev->sums.nodes == 0)
        return;
    for (piece = report_piece_at(ev->report, from_ms); from_ms < until_ms; piece++) {
        int64_t end_ms = min_i64(piece->until_ms, until_ms);

        piece->nodes = max_i64(piece->nodes, ev->sums.nodes);
        report_add(&piece->lone, area(ev->sums.lone_milli, end_ms - from_ms));
        from_ms = end_ms;
    }
}

static void count_event(const struct events *ev, const struct event *e)
{
    struct report_row *piece = counted_at(ev, e->t_ms);
    bool pod = e->shape != NULL && e->kind >= EVENT_POD_FOUND;

    if (piece == NULL || !pod)
        return;
    piece->pods += e->kind == EVENT_POD_CREATED && !e->shape->filler;
    piece->starts += e->kind == EVENT_POD_BOUND && e->shape->filler;
    piece->stops += e->kind == EVENT_POD_GONE && e->shape->filler && e->node.len != 0;
}

/* What is found was there before: growth is told by what comes after it. */
static void note_rise(struct events *ev, const struct event *e)
{
    struct report_row *piece;
    int64_t rise;

    if (e->kind == EVENT_GAP || e->kind == EVENT_POD_FOUND) {
        ev->rise.n = 0;
        return;
    }
    rise = rise_by(&ev->rise, e->t_ms, ev->sums.demand_milli);
    piece = counted_at(ev, e->t_ms);
    if (piece != NULL)
        piece->rise_milli = max_i64(piece->rise_milli, rise);
}

/* Where everything is told anew, nobody knows what was since the last event. */
static bool take_event(void *self, const struct event *e)
{
    struct events *ev = self;

    if (e->kind != EVENT_GAP || !e->resets)
        spread_nodes(ev, e->t_ms);
    blocked_event(ev->blocked, e);
    ev->sums = blocked_sums(ev->blocked);
    ev->last_ms = e->t_ms;
    note_rise(ev, e);
    count_event(ev, e);
    return true;
}

bool report_count_events(struct history *h, struct report *r, const struct report_events *range,
                         struct err *err)
{
    struct events events = {.report = r, .from_ms = range->from_ms};
    bool ok;

    events.blocked = blocked_new(take_blocked, &events);
    ok = chunks_read(h->chunks, range->read_ms, range->until_ms, take_event, &events,
                     &r->damaged_chunks, err);
    if (ok) {
        spread_nodes(&events, range->spread_ms);
        blocked_finish(events.blocked, range->until_ms);
    }
    blocked_free(events.blocked);
    return ok;
}

/* ---- what was rolled up ---- */

struct rolled {
    struct history *history;
    struct report *report;
    bool journal; /* else a policy's decisions */
    int64_t policy, until_ms;
    enum level level; /* that is being read */
    bool any;
    int64_t cut[HOURS]; /* hours of a day that lie in no piece as a whole */
    size_t n_cut;
};

/* That something is told of a row's time, or of the end of it. */
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
            keep_length(lengths, piece, bins_most(bin->key - first), bin->n);
    }
}

static void add_decided(struct report *r, struct report_row *piece, const struct activity_row *row)
{
    const int64_t *at = row->at;

    piece->yields += at[ACTIVITY_YIELDS];
    piece->harvests += at[ACTIVITY_HARVESTS];
    piece->reversals += at[ACTIVITY_REVERSALS];
    join_ways(piece, way_of(at[ACTIVITY_FIRST_WAY]), way_of(at[ACTIVITY_LAST_WAY]));
    piece->latency_max_us = max_i64(piece->latency_max_us, at[ACTIVITY_LATENCY_MAX]);
    keep_bins(&r->latencies, row, ACTIVITY_LATENCIES, place_of(r, piece));
}

static void add_happened(struct report *r, struct report_row *piece, const struct activity_row *row)
{
    const int64_t *at = row->at;
    int64_t reported_ms = row->first_ms + at[ACTIVITY_LONGEST_REPORTED];
    int64_t created_ms = reported_ms - at[ACTIVITY_LONGEST_BEFORE];
    const struct report_wait longest = {.created_ms = created_ms,
                                        .reported_ms = reported_ms,
                                        .until_ms = created_ms + at[ACTIVITY_LONGEST],
                                        .cpu_milli = at[ACTIVITY_LONGEST_CPU],
                                        .bound = at[ACTIVITY_LONGEST_END] == 1,
                                        .waits = at[ACTIVITY_LONGEST_END] == 2};

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
        show_wait(r, piece, &longest);
    keep_bins(&r->lengths_of_waits, row, ACTIVITY_WAITS, place_of(r, piece));
}

/* A row counts in the piece that the middle of the time lies in that it tells of. */
static bool take_row(void *self, const struct activity_row *row)
{
    struct rolled *d = self;
    int64_t end_ms = row->first_ms + level_step_ms(d->level);
    int64_t told_ms = min_i64(max_i64(row->at[ACTIVITY_COVERED], 1), level_step_ms(d->level));
    int64_t t_ms = end_ms - (told_ms + 1) / 2;
    struct report_row *piece = report_piece_at(d->report, t_ms);

    d->any = true;
    note_told(d, end_ms - told_ms, end_ms);
    if (piece == NULL)
        return true;
    if (d->journal)
        add_happened(d->report, piece, row);
    else
        add_decided(d->report, piece, row);
    return true;
}

/* One that is cut by pieces is put together of its minutes. */
static bool take_hour(void *self, const struct activity_row *row)
{
    struct rolled *d = self;
    const struct report_row *piece = report_piece_at(d->report, row->first_ms);

    if (piece != NULL && piece == report_piece_at(d->report, row->first_ms + PACKS_HOUR_MS - 1))
        return take_row(d, row);
    if (d->n_cut < HOURS)
        d->cut[d->n_cut++] = row->first_ms;
    d->any = true;
    return true;
}

static bool read_level(struct rolled *d, enum level level, int64_t from_ms, int64_t until_ms,
                       activity_each_fn *each, struct err *err)
{
    d->level = level;
    d->any = false;
    return activity_each(d->history, d->policy, level, from_ms, until_ms, each, d, err);
}

static bool read_cut_hour(struct rolled *d, int64_t hour_ms, struct err *err)
{
    return read_level(d, LEVEL_MINUTE, hour_ms, hour_ms + PACKS_HOUR_MS, take_row, err) &&
           (d->any || read_level(d, LEVEL_HOUR, hour_ms, hour_ms + 1, take_row, err));
}

/* By the hour; where hours are gone, by the day. */
static bool read_day(struct rolled *d, int64_t day_ms, struct err *err)
{
    int64_t from_ms = max_i64(day_ms, packs_floor(d->report->query.since_ms, PACKS_HOUR_MS));

    d->n_cut = 0;
    if (!read_level(d, LEVEL_HOUR, from_ms, min_i64(day_ms + PACKS_DAY_MS, d->until_ms), take_hour,
                    err))
        return false;
    if (!d->any)
        return read_level(d, LEVEL_DAY, day_ms, day_ms + 1, take_row, err);
    for (size_t i = 0; i < d->n_cut; i++) {
        if (!read_cut_hour(d, d->cut[i], err))
            return false;
    }
    return true;
}

static bool read_days(struct rolled *d, struct err *err)
{
    const struct report_query *q = &d->report->query;
    int64_t begin_ms, end_ms;

    if (!packs_span(d->history->activity, LEVEL_DAY, &begin_ms, &end_ms, err))
        return false;
    for (int64_t day_ms = packs_floor(max_i64(begin_ms, q->since_ms), PACKS_DAY_MS);
         day_ms < d->until_ms; day_ms += PACKS_DAY_MS) {
        if (!read_day(d, day_ms, err))
            return false;
    }
    return true;
}

/*
 * What was rolled up of a policy's decisions or of the journal, where these themselves begin after the range does; *ret_from_ms: from
 * where on the rest is to be counted.
 */
static bool add_rolled(struct history *h, struct report *r, int64_t policy, int64_t begin_ms,
                       int64_t *ret_from_ms, struct err *err)
{
    const struct report_query *q = &r->query;
    struct rolled d = {.history = h, .report = r, .journal = policy == 0, .policy = policy};
    int64_t until_ms;

    *ret_from_ms = q->since_ms;
    if (q->since_ms >= begin_ms)
        return true;
    if (!activity_until(h, policy, q->until_ms, &until_ms, err))
        return false;
    d.until_ms = min_i64(until_ms, q->until_ms);
    if (d.until_ms <= q->since_ms)
        return true;
    for (size_t i = 0; i < r->n_pieces; i++) {
        struct report_row *piece = &r->pieces[i];

        *(d.journal ? &piece->journal_ms : &piece->decisions_ms) =
            told_since(piece, max_i64(begin_ms, d.until_ms));
    }
    *ret_from_ms = d.until_ms;
    return read_days(&d, err);
}

/* ---- all of a history ---- */

static bool add_decisions(struct history *h, struct report *r, const struct begins *begins,
                          struct err *err)
{
    int64_t policy, from_ms = r->query.since_ms;

    if (!samples_find_policy(h->samples, sv_from(r->policy), &policy, err) ||
        (policy != 0 && !add_rolled(h, r, policy, begins->decisions_ms, &from_ms, err)) ||
        !report_count_decisions(h, r, from_ms, err))
        return false;
    join_pieces(r);
    return true;
}

/* Nodes are as the last event left them until the last sample that holds. */
static int64_t covered_until(const struct report *r)
{
    for (size_t i = r->n_pieces; i-- > 0;) {
        if (r->pieces[i].covered_ms != 0)
            return r->pieces[i].first_ms + r->pieces[i].covered_ms;
    }
    return r->query.since_ms;
}

static bool add_events(struct history *h, struct report *r, const struct begins *begins,
                       struct err *err)
{
    struct report_events range = {.spread_ms = covered_until(r), .until_ms = r->query.until_ms};

    if (!add_rolled(h, r, 0, begins->journal_ms, &range.from_ms, err))
        return false;
    range.read_ms = range.from_ms;
    return report_count_events(h, r, &range, err);
}

/* ---- groups of nodes ---- */

struct grouping {
    struct report *report;
    size_t cap;
};

static void take_group(void *self, const struct groups_total *total)
{
    struct grouping *g = self;
    struct report *r = g->report;

    VEC_PUSH(r->groups, r->n_groups, g->cap,
             ((struct report_group){
                 .label = sv_dup(total->label), .name = sv_dup(total->value), .sum = total->sum}));
}

static bool add_groups(struct history *h, struct report *r, struct err *err)
{
    struct grouping g = {.report = r};

    return groups_read(h->groups, sv_from(r->policy), r->query.since_ms, r->query.until_ms,
                       take_group, &g, &r->groups_damage, err);
}

/* Where nobody said since when, the report begins with what was recorded: what is rolled up begins with its hour. */
void report_cut_begin(struct report *r)
{
    struct report_row *first;
    size_t empty = 0;

    while (empty < r->n_pieces && r->pieces[empty].covered_ms == 0)
        empty++;
    if (!r->whole || empty == r->n_pieces)
        return;
    r->n_pieces -= empty;
    memmove(r->pieces, r->pieces + empty, r->n_pieces * sizeof *r->pieces);
    first = &r->pieces[0];
    first->first_ms = max_i64(first->first_ms, first->until_ms - first->covered_ms);
    first->span_ms = first->until_ms - first->first_ms;
    r->query.since_ms = first->first_ms;
}

static bool take_time(void *self, const struct decision_entry *d)
{
    *(int64_t *)self = d->t_ms; /* newest first: the last one stays */
    return true;
}

/* What was decided before there was a first sample belongs to it, and to its row. */
static bool begin_with_decisions(struct history *h, struct report *r, struct err *err)
{
    int64_t begin_ms = r->query.since_ms;
    const struct decisions_filter filter = {
        .policy = sv_from(r->policy), .from_ms = begin_ms - SAMPLES_STEP_MS, .until_ms = begin_ms};
    struct report_row *first = &r->pieces[0];

    if (!r->whole)
        return true;
    if (!decisions_each(h->decisions, &filter, take_time, &begin_ms, err))
        return false;
    first->first_ms = r->query.since_ms = begin_ms;
    first->span_ms = first->until_ms - begin_ms;
    return true;
}

static bool gather(void *self, struct report *r, struct err *err)
{
    struct history *h = self;
    struct begins begins;

    if (!find_begins(h, &begins, err) || !add_samples(h, r, &begins, err))
        return false;
    report_cut_begin(r);
    return begin_with_decisions(h, r, err) && add_gaps(h, r, err) &&
           add_decisions(h, r, &begins, err) && add_events(h, r, &begins, err) &&
           add_groups(h, r, err);
}

static bool span(void *self, int64_t *ret_first_ms, int64_t *ret_until_ms, struct err *err)
{
    return series_span(self, ret_first_ms, ret_until_ms, err);
}

static bool policies(void *self, const struct report_query *query UNUSED,
                     void (*each)(void *to, struct sv name), void *to, struct err *err)
{
    return samples_policies(((struct history *)self)->samples, each, to, err);
}

struct report_source report_history(struct history *h)
{
    return (struct report_source){
        .self = h, .name = db_path(h->db), .span = span, .policies = policies, .gather = gather};
}
