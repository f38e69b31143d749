#include "storage/report.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/num.h"
#include "storage/bins.h"
#include "storage/report_gather.h"

#define HOUR_MS INT64_C(3600000)

static const char *const by_names[] = {
    [REPORT_MINUTE] = "minute", [REPORT_HOUR] = "hour",   [REPORT_DAY] = "day",
    [REPORT_WEEK] = "week",     [REPORT_MONTH] = "month", [REPORT_WEEK_HOUR] = "hour-of-week",
};
_Static_assert(COUNT_OF(by_names) == REPORT_BY_COUNT_, "a unit has no name");

static const enum calendar_unit units[] = {
    [REPORT_MINUTE] = CALENDAR_MINUTE, [REPORT_HOUR] = CALENDAR_HOUR,
    [REPORT_DAY] = CALENDAR_DAY,       [REPORT_WEEK] = CALENDAR_WEEK,
    [REPORT_MONTH] = CALENDAR_MONTH,   [REPORT_WEEK_HOUR] = CALENDAR_HOUR,
};
_Static_assert(COUNT_OF(units) == REPORT_BY_COUNT_, "a row has no unit");

const char *report_by_name(enum report_by by)
{
    return by_names[by];
}

enum report_by report_by_find(struct sv name)
{
    enum report_by by = REPORT_MINUTE;

    while (by < REPORT_BY_COUNT_ && !sv_eq(name, sv_from(by_names[by])))
        by++;
    return by;
}

/* ---- sums ---- */

void report_add(int64_t *sum, int64_t what)
{
    if (__builtin_add_overflow(*sum, what, sum))
        *sum = INT64_MAX;
}

int64_t report_area(int64_t milli, int64_t span_ms)
{
    int64_t product;

    return __builtin_mul_overflow(milli, span_ms, &product) ? INT64_MAX : product;
}

/* Times and amounts of a later piece. */
static void add_times(struct report_row *to, const struct report_row *piece)
{
    to->first_ms = min_i64(to->first_ms, piece->first_ms);
    to->until_ms = max_i64(to->until_ms, piece->until_ms);
    to->span_ms += piece->span_ms;
    to->times += piece->times;
    to->covered_ms += piece->covered_ms;
    to->journal_ms += piece->journal_ms;
    to->decisions_ms += piece->decisions_ms;
    for (int k = 0; k < REPORT_PART_COUNT_; k++)
        report_add(&to->part[k], piece->part[k]);
    report_add(&to->harvestable, piece->harvestable);
    report_add(&to->lone, piece->lone);
}

static void add_piece(struct report_row *to, const struct report_row *piece)
{
    add_times(to, piece);
    if (piece->peak_paid_milli > to->peak_paid_milli) {
        to->peak_paid_milli = piece->peak_paid_milli;
        to->peak_paid_ms = piece->peak_paid_ms;
    }
    to->peak_offered_milli = max_i64(to->peak_offered_milli, piece->peak_offered_milli);
    to->peak_kept_milli = max_i64(to->peak_kept_milli, piece->peak_kept_milli);
    to->rise_milli = max_i64(to->rise_milli, piece->rise_milli);
    to->nodes = max_i64(to->nodes, piece->nodes);
    to->yields += piece->yields;
    to->harvests += piece->harvests;
    to->reversals += piece->reversals;
    to->starts += piece->starts;
    to->stops += piece->stops;
    to->pods += piece->pods;
    to->blocked += piece->blocked;
    report_add(&to->wait_ms, piece->wait_ms);
    to->longest_wait_ms = max_i64(to->longest_wait_ms, piece->longest_wait_ms);
    to->latency_max_us = max_i64(to->latency_max_us, piece->latency_max_us);
    for (int i = 0; i < REPORT_WAIT_BUCKETS; i++)
        to->wait_buckets[i] += piece->wait_buckets[i];
}

/* An empty row that begins where the piece does. */
static struct report_row row_from(const struct report_row *piece, int64_t local_s)
{
    return (struct report_row){.first_ms = piece->first_ms,
                               .until_ms = piece->until_ms,
                               .local_s = local_s,
                               .offset_s = piece->offset_s};
}

/* An hour that comes twice, since the clock is put back, is two rows. */
static bool same_row(const struct report *r, const struct report_row *row,
                     const struct report_row *piece, int64_t local_s)
{
    return row->local_s == local_s &&
           (r->query.by > REPORT_HOUR || row->offset_s == piece->offset_s);
}

static void fold_rows(struct report *r)
{
    size_t cap = 0;

    for (size_t i = 0; i < r->n_pieces; i++) {
        const struct report_row *piece = &r->pieces[i];
        int64_t local_s = calendar_floor(units[r->query.by], piece->local_s);

        if (r->n_rows == 0 || !same_row(r, &r->rows[r->n_rows - 1], piece, local_s))
            VEC_PUSH(r->rows, r->n_rows, cap, row_from(piece, local_s));
        add_piece(&r->rows[r->n_rows - 1], piece);
    }
}

static void fold_week(struct report *r)
{
    r->week = xcalloc(CALENDAR_WEEK_HOURS, sizeof *r->week);
    for (int i = 0; i < CALENDAR_WEEK_HOURS; i++)
        r->week[i] = (struct report_row){
            .first_ms = INT64_MAX, .until_ms = INT64_MIN, .local_s = (int64_t)i * CALENDAR_HOUR_S};
    for (size_t i = 0; i < r->n_pieces; i++)
        add_piece(&r->week[calendar_week_hour(r->pieces[i].local_s)], &r->pieces[i]);
}

/* ---- lengths ---- */

static int by_length(const void *a, const void *b)
{
    const struct report_length *x = a, *y = b;

    return (x->length > y->length) - (x->length < y->length);
}

/* What is told of one row's lengths: how many there are, how many were seen, and what half, or 99 of 100, do not exceed. */
struct ranks {
    int64_t n, seen, p50, p99;
};

static int64_t want(int64_t n, int64_t percent)
{
    return (n * percent + 99) / 100;
}

static void see(struct ranks *ranks, const struct report_length *l)
{
    int64_t before = ranks->seen;

    ranks->seen += l->n;
    if (before < want(ranks->n, 50) && ranks->seen >= want(ranks->n, 50))
        ranks->p50 = l->length;
    if (before < want(ranks->n, 99) && ranks->seen >= want(ranks->n, 99))
        ranks->p99 = l->length;
}

/* Of lengths by length, into the rows that the pieces belong to. What was rolled up may stand for less than it says. O(n). */
static struct ranks *rank(const struct report_lengths *lengths, const size_t *rows, size_t n_rows)
{
    struct ranks *ranks = xcalloc(n_rows, sizeof *ranks);

    for (size_t i = 0; i < lengths->n; i++)
        ranks[rows[lengths->at[i].piece]].n += lengths->at[i].n;
    for (size_t i = 0; i < lengths->n; i++)
        see(&ranks[rows[lengths->at[i].piece]], &lengths->at[i]);
    return ranks;
}

/* `of`: the row of each piece. */
static void fold_lengths(struct report *r, const size_t *of, struct report_row *rows, size_t n_rows)
{
    CLEANUP(free_ptr)
    struct ranks *latencies = rank(&r->latencies, of, n_rows),
                 *waits = rank(&r->lengths_of_waits, of, n_rows);

    for (size_t i = 0; i < n_rows; i++) {
        rows[i].answers = latencies[i].n;
        rows[i].latency_p50_us = min_i64(latencies[i].p50, rows[i].latency_max_us);
        rows[i].latency_p99_us = min_i64(latencies[i].p99, rows[i].latency_max_us);
        rows[i].wait_p50_ms = min_i64(waits[i].p50, rows[i].longest_wait_ms);
        rows[i].wait_p99_ms = min_i64(waits[i].p99, rows[i].longest_wait_ms);
    }
}

/* By their bins first: what was rolled up is in order then, and need not be compared. O(n) for it, else O(n log n). */
static void sort_lengths(struct report_lengths *lengths)
{
    struct report_length *to = xcalloc(lengths->n + 1, sizeof *to);
    size_t ends[BINS_COUNT + 1] = {0}, from = 0;

    for (size_t i = 0; i < lengths->n; i++)
        ends[bins_of(lengths->at[i].length) + 1]++;
    for (size_t bin = 1; bin <= BINS_COUNT; bin++)
        ends[bin] += ends[bin - 1];
    for (size_t i = 0; i < lengths->n; i++)
        to[ends[bins_of(lengths->at[i].length)]++] = lengths->at[i];
    /* Each is now where the next bin begins. */
    for (size_t bin = 0; bin < BINS_COUNT; from = ends[bin++]) {
        size_t same = from;

        while (same < ends[bin] && to[same].length == to[from].length)
            same++;
        if (same < ends[bin])
            qsort(to + from, ends[bin] - from, sizeof *to, by_length);
    }
    free(lengths->at);
    lengths->at = to;
    lengths->cap = lengths->n + 1;
}

static void fold_all_lengths(struct report *r)
{
    CLEANUP(free_ptr) size_t *of = xcalloc(r->n_pieces, sizeof *of);
    size_t row = 0;

    sort_lengths(&r->latencies);
    sort_lengths(&r->lengths_of_waits);
    fold_lengths(r, of, &r->total, 1);
    for (size_t i = 0; i < r->n_pieces; i++)
        of[i] = (size_t)calendar_week_hour(r->pieces[i].local_s);
    fold_lengths(r, of, r->week, CALENDAR_WEEK_HOURS);
    for (size_t i = 0; i < r->n_pieces; i++) {
        row += row + 1 < r->n_rows && r->pieces[i].first_ms >= r->rows[row + 1].first_ms;
        of[i] = row;
    }
    if (r->n_rows > 0)
        fold_lengths(r, of, r->rows, r->n_rows);
}

static void fold(struct report *r)
{
    r->total = row_from(&r->pieces[0], r->pieces[0].local_s);
    for (size_t i = 0; i < r->n_pieces; i++) {
        add_piece(&r->total, &r->pieces[i]);
        r->offsets_differ |= r->pieces[i].offset_s != r->pieces[0].offset_s;
    }
    fold_week(r);
    if (r->query.by != REPORT_WEEK_HOUR)
        fold_rows(r);
    fold_all_lengths(r);
    if (r->query.by != REPORT_WEEK_HOUR)
        return;
    r->n_rows = CALENDAR_WEEK_HOURS;
    r->rows = xcalloc(r->n_rows, sizeof *r->rows);
    memcpy(r->rows, r->week, r->n_rows * sizeof *r->rows);
}

/* ---- pieces ---- */

/* Pieces are of one length, but for the first, the last and those in which the clock is changed: so it is where it should be, or near. */
struct report_row *report_piece_at(struct report *r, int64_t t_ms)
{
    int64_t range_ms = r->query.until_ms - r->query.since_ms;
    size_t at;

    if (t_ms < r->query.since_ms || t_ms >= r->query.until_ms)
        return NULL;
    at = (size_t)((__int128)(t_ms - r->query.since_ms) * (int64_t)r->n_pieces / range_ms);
    while (r->pieces[at].first_ms > t_ms)
        at--;
    while (r->pieces[at].until_ms <= t_ms)
        at++;
    return &r->pieces[at];
}

static bool make_pieces(struct report *r, struct err *err)
{
    const struct report_query *q = &r->query;
    int64_t range_ms = q->until_ms - q->since_ms, unit_s, end_ms;
    size_t cap = 0;

    r->minutes =
        q->by == REPORT_MINUTE || (q->by < REPORT_WEEK_HOUR && range_ms <= REPORT_MINUTES_MS);
    unit_s = r->minutes ? CALENDAR_MINUTE_S : CALENDAR_HOUR_S;
    if (range_ms / (unit_s * 1000) > REPORT_MAX_PIECES)
        return err_set(err, ERR_LIMIT, 0,
                       "found a time of %lld %s, expected at most %d: ask for a shorter one",
                       (long long)(range_ms / (unit_s * 1000)), r->minutes ? "minutes" : "hours",
                       REPORT_MAX_PIECES);
    for (int64_t t_ms = q->since_ms; t_ms < q->until_ms; t_ms = end_ms) {
        int64_t local_s = calendar_local_s(q->zone, t_ms);

        end_ms = min_i64(calendar_piece_end_ms(q->zone, t_ms, unit_s), q->until_ms);
        VEC_PUSH(r->pieces, r->n_pieces, cap,
                 ((struct report_row){.first_ms = t_ms,
                                      .until_ms = end_ms,
                                      .local_s = local_s,
                                      .offset_s = calendar_local_s(q->zone, t_ms) -
                                                  calendar_local_s(NULL, t_ms),
                                      .span_ms = end_ms - t_ms,
                                      .times = 1}));
    }
    return true;
}

/* ---- the query ---- */

struct naming {
    struct sv want;
    size_t n;
    bool found;
    struct strbuf all;
    char first[SAMPLES_POLICY_SIZE];
};

static void take_name(void *self, struct sv name)
{
    struct naming *n = self;

    if (n->n == 0)
        (void)snprintf(n->first, sizeof n->first, "%.*s", SV_ARG(name));
    n->found |= sv_eq(name, n->want);
    (void)strbuf_addf(&n->all, "%s%.*s", n->n == 0 ? "" : ", ", SV_ARG(name));
    n->n++;
}

static bool find_policy(const struct report_source *source, const struct report_query *q,
                        char policy[SAMPLES_POLICY_SIZE], struct err *err)
{
    struct sv want = q->policy;
    struct naming names = {.want = want};
    bool ok;

    strbuf_init(&names.all, 1 << 16);
    ok = source->policies(source->self, q, take_name, &names, err);
    if (ok && names.n == 0)
        ok = err_set(err, ERR_NOT_FOUND, 0, "%s: nothing was recorded yet", source->name);
    else if (ok && want.len == 0 && names.n > 1)
        ok = err_set(err, ERR_INPUT, 0, "found policies %s, expected one to be named",
                     strbuf_str(&names.all));
    else if (ok && want.len != 0 && !names.found)
        ok = err_set(err, ERR_NOT_FOUND, 0, "found policies %s, none is named %.*s",
                     strbuf_str(&names.all), SV_ARG(want));
    if (ok)
        (void)snprintf(policy, SAMPLES_POLICY_SIZE, "%.*s",
                       want.len != 0 ? (int)want.len : (int)strlen(names.first),
                       want.len != 0 ? want.at : names.first);
    strbuf_done(&names.all);
    return ok;
}

static bool refuse_range(const struct report_query *q, struct err *err)
{
    char since[WALL_TEXT_SIZE], until[WALL_TEXT_SIZE];

    wall_format((struct wall){q->since_ms * 1000}, 0, since);
    wall_format((struct wall){q->until_ms * 1000}, 0, until);
    return err_set(err, ERR_INPUT, 0, "found a time from %s until %s, expected since before until",
                   since, until);
}

/* Fills in since and until. */
static bool find_range(const struct report_source *source, struct report_query *q, struct err *err)
{
    int64_t first, last, limit = REPORT_MAX_MILLI * 1000;

    if (!source->span(source->self, &first, &last, err))
        return false;
    if (last == 0)
        return err_set(err, ERR_NOT_FOUND, 0, "%s: nothing was recorded yet", source->name);
    if (first < -limit || last >= limit)
        return err_set(err, ERR_STORAGE, 0,
                       "%s: the history is damaged: found samples from %lld to %lld ms",
                       source->name, (long long)first, (long long)last);
    q->until_ms = q->until_ms != 0 ? q->until_ms : last;
    if (q->since_ms == 0)
        q->since_ms = q->last_ms > 0 ? q->until_ms - q->last_ms : first;
    if (q->since_ms < -limit || q->until_ms > limit)
        return err_set(err, ERR_INPUT, 0, "found a time of %lld to %lld ms, expected less of it",
                       (long long)q->since_ms, (long long)q->until_ms);
    if (q->since_ms >= q->until_ms)
        return refuse_range(q, err);
    return true;
}

bool report_make_from(const struct report_source *source, const struct report_query *query,
                      struct report *ret_report, struct err *err)
{
    struct report r = {.query = *query, .whole = query->since_ms == 0 && query->last_ms == 0};

    if (!find_range(source, &r.query, err) || !find_policy(source, &r.query, r.policy, err) ||
        !make_pieces(&r, err) || !source->gather(source->self, &r, err)) {
        report_done(&r);
        return false;
    }
    r.query.policy = (struct sv){0};
    fold(&r);
    *ret_report = r;
    return true;
}

bool report_make(struct history *h, const struct report_query *query, struct report *ret_report,
                 struct err *err)
{
    const struct report_source source = report_history(h);
    bool ok;

    if (!db_exec(h->db, "BEGIN", err))
        return false;
    ok = report_make_from(&source, query, ret_report, err);
    db_rollback(h->db); /* nothing was written */
    return ok;
}

void report_done(struct report *r)
{
    for (size_t i = 0; i < r->n_clusters; i++)
        free(r->clusters[i].name);
    free(r->clusters);
    for (size_t i = 0; i < r->n_groups; i++) {
        free(r->groups[i].label);
        free(r->groups[i].name);
    }
    free(r->groups);
    free(r->pieces);
    free(r->rows);
    free(r->week);
    free(r->latencies.at);
    free(r->lengths_of_waits.at);
    r->latencies = r->lengths_of_waits = (struct report_lengths){0};
    r->pieces = r->rows = r->week = NULL;
    r->clusters = NULL;
    r->groups = NULL;
    r->n_pieces = r->n_rows = r->n_clusters = r->n_groups = 0;
}

/* ---- for showing ---- */

void report_core_hours(const int64_t part[REPORT_PART_COUNT_], int64_t step_milli,
                       int64_t ret_steps[REPORT_PART_COUNT_])
{
    __int128 step = (__int128)HOUR_MS * step_milli, sum = 0, told = 0;

    /* Sums are rounded, not parts: what one is too much the next is too little. */
    for (int i = REPORT_PAID; i < REPORT_PART_COUNT_; i++) {
        sum += part[i];
        ret_steps[i] = (int64_t)((sum + step / 2) / step - told);
        told += ret_steps[i];
    }
    ret_steps[REPORT_OFFERED] = (int64_t)((part[REPORT_OFFERED] + step / 2) / step);
}

int64_t report_share_milli(int64_t part, int64_t whole)
{
    return whole > 0 ? (int64_t)(((__int128)part * 1000 + whole / 2) / whole) : 0;
}

void report_row_name(const struct report *r, const struct report_row *row,
                     char text[static CALENDAR_TEXT_SIZE])
{
    int hour = (int)(row->local_s / CALENDAR_HOUR_S);

    if (r->query.by == REPORT_WEEK_HOUR)
        (void)snprintf(text, CALENDAR_TEXT_SIZE, "%s %02d:00", calendar_day_name(hour / 24),
                       hour % 24);
    else if (r->offsets_differ && r->query.by <= REPORT_HOUR)
        calendar_text_offset(units[r->query.by], row->local_s, row->offset_s, text);
    else
        calendar_text(units[r->query.by], row->local_s, text);
}
