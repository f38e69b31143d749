#include "storage/report_gather.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "storage/blocked.h"
#include "storage/series.h"

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

/* From when the journal tells, and decisions, which are kept as long as samples are. */
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

static bool read_series(struct history *h, struct report *r, const int64_t *edges,
                        struct series_row *rows, struct figures *figures, struct err *err)
{
    const struct series_query query = {.policy = sv_from(r->policy),
                                       .series = series,
                                       .depth = depths,
                                       .n_series = N_SERIES,
                                       .edges = edges,
                                       .n_rows = r->n_pieces};
    struct begins begins;

    if (!find_begins(h, &begins, err) || !series_read(h, &query, rows, figures, err))
        return false;
    for (size_t i = 0; i < r->n_pieces; i++) {
        struct report_row *piece = &r->pieces[i];

        piece->covered_ms = rows[i].covered_ms;
        piece->journal_ms = told_since(piece, begins.journal_ms);
        piece->decisions_ms = told_since(piece, begins.decisions_ms);
        take_figures(&r->query.terms, &figures[i * N_SERIES], piece);
    }
    return true;
}

static bool add_samples(struct history *h, struct report *r, struct err *err)
{
    int64_t *edges = xcalloc(r->n_pieces + 1, sizeof *edges);
    struct series_row *rows = xcalloc(r->n_pieces, sizeof *rows);
    struct figures *figures = xcalloc(r->n_pieces * N_SERIES, sizeof *figures);
    bool ok;

    for (size_t i = 0; i < r->n_pieces; i++)
        edges[i] = r->pieces[i].first_ms;
    edges[r->n_pieces] = r->query.until_ms;
    ok = read_series(h, r, edges, rows, figures, err);
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

struct turns {
    struct report *report;
    size_t cap; /* of its latencies */
    int later;  /* the direction of the next one in time: 1 up, -1 down, 0 there is none */
    int64_t later_ms;
};

static void keep_latency(struct turns *turns, const struct decision_entry *d)
{
    struct report *r = turns->report;

    if (d->at[DECISION_LATENCY] > 0 && r->n_latencies < REPORT_KEEP_LATENCIES)
        VEC_PUSH(r->latencies, r->n_latencies, turns->cap,
                 ((struct report_latency){.t_ms = d->t_ms, .us = d->at[DECISION_LATENCY]}));
}

/* Newest first: a change of direction belongs to the later decision. */
static bool take_decision(void *self, const struct decision_entry *d)
{
    struct turns *turns = self;
    struct report_row *piece = report_piece_at(turns->report, d->t_ms);
    int64_t change = d->at[DECISION_REPLICAS] - d->at[DECISION_BEFORE];
    int direction = (change > 0) - (change < 0);

    if (piece == NULL)
        return true;
    keep_latency(turns, d);
    piece->yields += strcmp(d->reason, "yield") == 0;
    piece->harvests += strcmp(d->reason, "harvest") == 0;
    if (direction == 0)
        return true;
    if (turns->later == -direction)
        report_piece_at(turns->report, turns->later_ms)->reversals++;
    turns->later = direction;
    turns->later_ms = d->t_ms;
    return true;
}

static bool add_decisions(struct history *h, struct report *r, struct err *err)
{
    const struct decisions_filter filter = {
        .policy = sv_from(r->policy), .from_ms = r->query.since_ms, .until_ms = r->query.until_ms};
    struct turns turns = {.report = r};

    return decisions_each(h->decisions, &filter, take_decision, &turns, err);
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

static void count_wait(struct report *r, int64_t ms)
{
    static const int64_t steps_ms[] = REPORT_WAIT_STEPS_MS;
    size_t i = 0;

    _Static_assert(COUNT_OF(steps_ms) + 1 == REPORT_WAIT_BUCKETS, "one bucket is beyond the last");
    while (i < COUNT_OF(steps_ms) && ms > steps_ms[i])
        i++;
    r->wait_buckets[i]++;
}

static void take_blocked(void *self, const struct blocked_pod *pod)
{
    struct report *r = self;
    struct report_row *piece = report_piece_at(r, pod->reported_ms);
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
    piece->longest_wait_ms = max_i64(piece->longest_wait_ms, wait_ms);
    count_wait(r, wait_ms);
    keep_wait(r, &wait);
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
    struct blocked *blocked;
    struct blocked_sums sums; /* since last_ms */
    int64_t last_ms;
    struct rise rise;
};

/* What the nodes were since the last event. */
static void spread_nodes(struct events *ev, int64_t until_ms)
{
    const struct report_query *q = &ev->report->query;
    int64_t from_ms = max_i64(ev->last_ms, q->since_ms);
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

static void count_event(struct report *r, const struct event *e)
{
    struct report_row *piece = report_piece_at(r, e->t_ms);
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
    piece = report_piece_at(ev->report, e->t_ms);
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
    count_event(ev->report, e);
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

static bool add_events(struct history *h, struct report *r, struct err *err)
{
    struct events events = {.report = r, .blocked = blocked_new(take_blocked, r)};
    bool ok = chunks_read(h->chunks, r->query.since_ms, r->query.until_ms, take_event, &events,
                          &r->damaged_chunks, err);

    if (ok) {
        spread_nodes(&events, covered_until(r));
        blocked_finish(events.blocked, r->query.until_ms);
    }
    blocked_free(events.blocked);
    return ok;
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

    if (!add_samples(h, r, err))
        return false;
    report_cut_begin(r);
    return begin_with_decisions(h, r, err) && add_gaps(h, r, err) && add_decisions(h, r, err) &&
           add_events(h, r, err);
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
