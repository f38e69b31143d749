#include "storage/report_gather.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "storage/series.h"

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
    piece->harvestable =
        terms->filler_max_milli > 0
            ? min_i64(room, report_area(terms->filler_max_milli, piece->covered_ms))
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
        report_add(&row->part[k], report_area(level->part[k], ms));
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
    int64_t most = report_area(report_area(terms->filler_max_milli, clusters), row->covered_ms);

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

static bool read_series(struct history *h, struct report *r, const int64_t *edges,
                        struct series_row *rows, struct figures *figures, struct err *err)
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

/* ---- all of a history ---- */

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

static bool add_decisions(struct history *h, struct report *r, const struct begins *begins,
                          struct err *err)
{
    int64_t policy;

    if (!samples_find_policy(h->samples, sv_from(r->policy), &policy, err) ||
        (policy != 0 && !report_count_rolled(h, r, policy, begins->decisions_ms, 0, err)))
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
    return report_count_rolled(h, r, 0, begins->journal_ms, covered_until(r), err);
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

    if (!find_begins(h, &begins, err) || !add_samples(h, r, err))
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
