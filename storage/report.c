#include "storage/report.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "storage/blocked.h"

#define HOUR_MS INT64_C(3600000)

/* Amounts from a file may be anything. */
#define MAX_MILLI (INT64_C(1) << 40)

static int64_t unit_ms(enum report_by by)
{
    return by == REPORT_HOUR ? HOUR_MS : 24 * HOUR_MS;
}

static int64_t clamp(int64_t milli)
{
    return milli < 0 ? 0 : milli > MAX_MILLI ? MAX_MILLI : milli;
}

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void add_to(int64_t *sum, int64_t what)
{
    if (__builtin_add_overflow(*sum, what, sum))
        *sum = INT64_MAX;
}

/* The begin of the hour or day that t lies in. */
static int64_t floor_to_unit(const struct report_query *q, int64_t t_ms)
{
    int64_t unit = unit_ms(q->by), local = t_ms + q->offset_s * 1000;
    int64_t rest = local % unit;

    return t_ms - (rest < 0 ? rest + unit : rest);
}

static struct report_row *row_at(struct report *r, int64_t t_ms)
{
    int64_t i;

    if (t_ms < r->query.since_ms || t_ms >= r->query.until_ms)
        return NULL;
    i = (t_ms - floor_to_unit(&r->query, r->query.since_ms)) / unit_ms(r->query.by);
    return i >= 0 && (size_t)i < r->n_rows ? &r->rows[i] : NULL;
}

/* Splits what was offered in one moment into its parts. */
static void split(const struct sample *s, int64_t part[REPORT_PART_COUNT_])
{
    int64_t left = clamp(s->at[SAMPLE_ALLOCATABLE]);
    const int64_t wants[REPORT_PART_COUNT_] = {
        [REPORT_PAID] = clamp(s->at[SAMPLE_PAID]),
        [REPORT_FILLER] = clamp(s->at[SAMPLE_READY]),
        [REPORT_CHURN] = clamp(s->at[SAMPLE_STARTING]) + clamp(s->at[SAMPLE_LEAVING]),
        [REPORT_KEPT] = clamp(s->at[SAMPLE_KEPT]),
    };

    part[REPORT_OFFERED] = left;
    for (int i = REPORT_PAID; i < REPORT_IDLE; i++) {
        part[i] = min_of(wants[i], left);
        left -= part[i];
    }
    part[REPORT_IDLE] = left;
}

struct integral {
    struct report *report;
    int64_t *ends; /* when recording ended, in order */
    size_t n_ends, cap_ends, next_end;
    struct sample last;
    bool has_last;
};

/* How long the last sample holds, if not until the next: what it stands for is known in any case. */
static int64_t hold_until(struct integral *in)
{
    const struct sample *s = &in->last;
    int64_t until_ms = s->t_ms + sample_hold_ms(s), known_ms = until_ms - SAMPLES_HOLD_MS;

    while (in->next_end < in->n_ends && in->ends[in->next_end] < s->t_ms)
        in->next_end++;
    if (in->next_end < in->n_ends && in->ends[in->next_end] < until_ms)
        return in->ends[in->next_end] > known_ms ? in->ends[in->next_end] : known_ms;
    return until_ms;
}

/* The last sample holds from its time to `until`: spread over the rows. */
static void spread(struct integral *in, int64_t until_ms)
{
    const struct report_query *q = &in->report->query;
    int64_t from_ms = in->last.t_ms > q->since_ms ? in->last.t_ms : q->since_ms,
            part[REPORT_PART_COUNT_];
    struct report_row *row = row_at(in->report, from_ms);
    int64_t peak = clamp(in->last.at[SAMPLE_PAID]) + clamp(in->last.at[SAMPLE_PENDING]);

    until_ms = min_of(min_of(until_ms, hold_until(in)), q->until_ms);
    split(&in->last, part);
    for (; row != NULL && from_ms < until_ms; row = row_at(in->report, from_ms)) {
        int64_t end_ms = min_of(row->until_ms, until_ms), span_ms = end_ms - from_ms;

        row->covered_ms += span_ms;
        for (int i = 0; i < REPORT_PART_COUNT_; i++) {
            int64_t area;

            add_to(&row->part[i],
                   __builtin_mul_overflow(part[i], span_ms, &area) ? INT64_MAX : area);
        }
        if (peak > row->peak_paid_milli)
            row->peak_paid_milli = peak;
        from_ms = end_ms;
    }
}

static bool take_sample(void *self, const struct sample *s)
{
    struct integral *in = self;

    if (in->has_last)
        spread(in, s->t_ms);
    in->last = *s;
    in->has_last = true;
    return true;
}

/* Lost decisions are no gap in the samples. */
static bool take_gap(void *self, const struct history_gap *gap)
{
    struct integral *in = self;

    if (gap->decisions == 0 && in->n_ends <= REPORT_MAX_GAPS)
        VEC_PUSH(in->ends, in->n_ends, in->cap_ends, gap->first_ms);
    return true;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static bool find_ends(struct history *h, int64_t from_ms, struct integral *in, struct err *err)
{
    if (!history_gaps(h, from_ms, in->report->query.until_ms, take_gap, in, err))
        return false;
    if (in->n_ends > REPORT_MAX_GAPS)
        return err_set(err, ERR_LIMIT, 0,
                       "found more than %d gaps, expected fewer: ask for a shorter time",
                       REPORT_MAX_GAPS);
    if (in->n_ends != 0)
        qsort(in->ends, in->n_ends, sizeof *in->ends, by_time);
    return true;
}

static bool add_samples(struct history *h, struct report *r, struct err *err)
{
    const struct report_query *q = &r->query;
    struct integral in = {.report = r};
    int64_t from_ms;
    bool ok;

    /* The one before since may hold into the range. */
    if (!samples_last_before(h->samples, sv_from(r->policy), q->since_ms, &from_ms, err))
        return false;
    if (from_ms == INT64_MIN)
        from_ms = q->since_ms;
    ok = find_ends(h, from_ms, &in, err) &&
         samples_each(h->samples, sv_from(r->policy), from_ms, q->until_ms, take_sample, &in, err);
    if (ok && in.has_last)
        spread(&in, INT64_MAX);
    free(in.ends);
    return ok;
}

static bool take_decision(void *self, const struct decision_entry *d)
{
    struct report_row *row = row_at(self, d->t_ms);

    if (row != NULL) {
        row->yields += strcmp(d->reason, "yield") == 0;
        row->harvests += strcmp(d->reason, "harvest") == 0;
    }
    return true;
}

static bool add_decisions(struct history *h, struct report *r, struct err *err)
{
    const struct decisions_filter filter = {
        .policy = sv_from(r->policy), .from_ms = r->query.since_ms, .until_ms = r->query.until_ms};

    return decisions_each(h->decisions, &filter, take_decision, r, err);
}

static void take_blocked(void *self, const struct blocked_pod *pod)
{
    struct report_row *row = row_at(self, pod->reported_ms);
    int64_t wait_ms = pod->until_ms > pod->created_ms ? pod->until_ms - pod->created_ms : 0;

    if (row == NULL)
        return;
    row->blocked++;
    add_to(&row->wait_ms, wait_ms);
    if (wait_ms > row->longest_wait_ms)
        row->longest_wait_ms = wait_ms;
}

struct events {
    struct report *report;
    struct blocked *blocked;
};

static bool take_event(void *self, const struct event *e)
{
    struct events *events = self;
    struct report_row *row;

    blocked_event(events->blocked, e);
    if (e->kind == EVENT_POD_CREATED && !e->shape->filler) {
        row = row_at(events->report, e->t_ms);
        if (row != NULL)
            row->pods++;
    }
    return true;
}

static bool add_events(struct history *h, struct report *r, struct err *err)
{
    struct events events = {.report = r, .blocked = blocked_new(take_blocked, r)};
    bool ok = chunks_read(h->chunks, r->query.since_ms, r->query.until_ms, take_event, &events,
                          &r->damaged_chunks, err);

    if (ok)
        blocked_finish(events.blocked, r->query.until_ms);
    blocked_free(events.blocked);
    return ok;
}

static void sum_up(struct report *r)
{
    struct report_row *t = &r->total;

    t->first_ms = r->query.since_ms;
    t->until_ms = r->query.until_ms;
    for (size_t i = 0; i < r->n_rows; i++) {
        const struct report_row *row = &r->rows[i];

        t->covered_ms += row->covered_ms;
        for (int k = 0; k < REPORT_PART_COUNT_; k++)
            add_to(&t->part[k], row->part[k]);
        if (row->peak_paid_milli > t->peak_paid_milli)
            t->peak_paid_milli = row->peak_paid_milli;
        t->yields += row->yields;
        t->harvests += row->harvests;
        t->pods += row->pods;
        t->blocked += row->blocked;
        add_to(&t->wait_ms, row->wait_ms);
        if (row->longest_wait_ms > t->longest_wait_ms)
            t->longest_wait_ms = row->longest_wait_ms;
    }
}

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

static bool find_policy(struct history *h, struct sv want, char policy[SAMPLES_POLICY_SIZE],
                        struct err *err)
{
    struct naming names = {.want = want};
    bool ok;

    strbuf_init(&names.all, 1 << 16);
    ok = samples_policies(h->samples, take_name, &names, err);
    if (ok && names.n == 0)
        ok = err_set(err, ERR_NOT_FOUND, 0, "%s: nothing was recorded yet", db_path(h->db));
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

/* Fills in since and until, and lays out the rows. */
static bool lay_out(struct history *h, struct report *r, struct err *err)
{
    struct report_query *q = &r->query;
    int64_t first, last, begin, rows, unit = unit_ms(q->by);

    if (!samples_span(h->samples, &first, &last, err))
        return false;
    if (last == 0)
        return err_set(err, ERR_NOT_FOUND, 0, "%s: nothing was recorded yet", db_path(h->db));
    if (first < -MAX_MILLI * 1000 || last >= MAX_MILLI * 1000)
        return err_set(err, ERR_STORAGE, 0,
                       "%s: the history is damaged: found samples from %lld to %lld ms",
                       db_path(h->db), (long long)first, (long long)last);
    q->since_ms = q->since_ms != 0 ? q->since_ms : first;
    q->until_ms = q->until_ms != 0 ? q->until_ms : last + 1;
    if (q->since_ms < -MAX_MILLI * 1000 || q->until_ms > MAX_MILLI * 1000 ||
        q->since_ms >= q->until_ms)
        return err_set(err, ERR_INPUT, 0,
                       "found a time of %lld to %lld ms, expected since before until",
                       (long long)q->since_ms, (long long)q->until_ms);
    begin = floor_to_unit(q, q->since_ms);
    rows = (q->until_ms - begin + unit - 1) / unit;
    if (rows > REPORT_MAX_ROWS)
        return err_set(err, ERR_LIMIT, 0,
                       "found %lld rows, expected at most %d: ask for a shorter time",
                       (long long)rows, REPORT_MAX_ROWS);
    r->rows = xcalloc((size_t)rows, sizeof *r->rows);
    r->n_rows = (size_t)rows;
    for (int64_t i = 0; i < rows; i++) {
        r->rows[i].first_ms = begin + i * unit;
        r->rows[i].until_ms = begin + (i + 1) * unit;
    }
    return true;
}

bool report_make(struct history *h, const struct report_query *query, struct report *ret_report,
                 struct err *err)
{
    struct report r = {.query = *query};

    if (!find_policy(h, query->policy, r.policy, err) || !lay_out(h, &r, err) ||
        !add_samples(h, &r, err) || !add_decisions(h, &r, err) || !add_events(h, &r, err)) {
        report_done(&r);
        return false;
    }
    r.query.policy = (struct sv){0};
    sum_up(&r);
    *ret_report = r;
    return true;
}

void report_done(struct report *r)
{
    free(r->rows);
    r->rows = NULL;
    r->n_rows = 0;
}

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
