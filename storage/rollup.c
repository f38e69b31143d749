#include "storage/rollup.h"

#include <string.h>

#include "base/alloc.h"
#include "storage/codec.h"
#include "storage/spans.h"

enum kind {
    KIND_MISSING,
    KIND_P50,
    KIND_MEAN,
    KIND_MIN,
    KIND_P90,
    KIND_P99,
    KIND_MAX,
    KIND_COUNT_
};

enum {
    ID_STEP,
    ID_COVERED,
    ID_SERIES = 16,
    ID_PER_SERIES = 8,
    ID_END = ID_SERIES + ID_PER_SERIES * (ROLLUP_DERIVED + SERIES_COUNT_ - SAMPLE_COUNT_),
    MAX_ROWS = 64, /* of one chunk */
    PER_MEAN = 1000,
    PASS = 8, /* series of a day that are gathered at one time, at 16 bytes a change of value */
};

/*
 * Figures that told of so much more time were made of samples that are gone: a clock was set back by weeks. Less may come of a sample
 * that held on, and was followed by another later on.
 */
#define GONE_MS (5 * PACKS_MINUTE_MS)

_Static_assert((int)SAMPLE_COUNT_ <= (int)ROLLUP_DERIVED,
               "fields and what is derived share numbers");
_Static_assert(2 + SERIES_COUNT_ * KIND_COUNT_ <= CODEC_MAX_COLUMNS, "a chunk has too few columns");

/* Figures of all rows of one chunk: row i's of series k are at i * SERIES_COUNT_ + k. */
struct table {
    size_t rows;
    int64_t step[MAX_ROWS], covered[MAX_ROWS];
    struct figures at[MAX_ROWS * SERIES_COUNT_];
};

static uint32_t id_of(enum series series, enum kind kind)
{
    int number =
        (int)series < SAMPLE_COUNT_ ? (int)series : ROLLUP_DERIVED + (int)series - SAMPLE_COUNT_;

    return (uint32_t)(ID_SERIES + ID_PER_SERIES * number + (int)kind);
}

/* ---- writing ---- */

static int64_t value_of(const struct figures *f, int64_t covered_ms, enum kind kind)
{
    if (f->covered_ms == 0)
        return kind == KIND_P50 ? CODEC_GAP : kind == KIND_MISSING ? covered_ms : 0;
    switch (kind) {
    case KIND_MISSING:
        return covered_ms - f->covered_ms;
    case KIND_P50:
        return f->p50;
    case KIND_MEAN:
        return f->mean_milli - PER_MEAN * f->p50;
    case KIND_MIN:
        return f->p50 - f->min;
    case KIND_P90:
        return f->p90 - f->p50;
    case KIND_P99:
        return f->p99 - f->p90;
    case KIND_MAX:
        return f->max - f->p99;
    case KIND_COUNT_:
        break;
    }
    return 0;
}

/* Columns under way; all have room for MAX_ROWS. */
struct packing {
    struct codec_column columns[CODEC_MAX_COLUMNS];
    size_t n;
    int64_t *values;
};

static void pack_kind(struct packing *p, const struct table *t, enum series series, enum kind kind)
{
    int64_t *values = p->values + p->n * MAX_ROWS, any = 0;

    for (size_t i = 0; i < t->rows; i++) {
        values[i] = value_of(&t->at[i * SERIES_COUNT_ + series], t->covered[i], kind);
        any |= values[i];
    }
    if (any != 0 || kind == KIND_P50)
        p->columns[p->n++] = (struct codec_column){.id = id_of(series, kind), .values = values};
}

static bool has_values(const struct table *t, enum series series)
{
    size_t i = 0;

    while (i < t->rows && t->at[i * SERIES_COUNT_ + series].covered_ms == 0)
        i++;
    return i < t->rows;
}

static void pack_table(const struct table *t, struct strbuf *to)
{
    struct packing p = {.values = xcalloc((size_t)CODEC_MAX_COLUMNS * MAX_ROWS, sizeof *p.values)};

    p.columns[p.n++] = (struct codec_column){.id = ID_STEP, .values = t->step};
    p.columns[p.n++] = (struct codec_column){.id = ID_COVERED, .values = t->covered};
    for (int k = 0; k < SERIES_COUNT_; k++) {
        for (int kind = 0; kind < KIND_COUNT_ && has_values(t, (enum series)k); kind++)
            pack_kind(&p, t, (enum series)k, (enum kind)kind);
    }
    codec_pack(p.columns, p.n, t->rows, to);
    free(p.values);
}

static bool put_table(struct history *h, int64_t policy, enum level level, int64_t first_ms,
                      const struct table *t, struct err *err)
{
    struct strbuf data;
    bool ok;

    if (t->rows == 0)
        return packs_drop(h->packs, policy, level, first_ms, err);
    strbuf_init(&data, DB_MAX_VALUE);
    pack_table(t, &data);
    ok =
        packs_put_steps(h->packs, policy, level, first_ms, t->step, t->rows, strbuf_sv(&data), err);
    strbuf_done(&data);
    return ok;
}

/* ---- reading ---- */

/* A column's values go where they belong in the figures; what was not told before is 0. */
static void put_values(struct figures *f, size_t stride, size_t rows, enum kind kind,
                       const int64_t *values)
{
    static const size_t places[] = {[KIND_MISSING] = offsetof(struct figures, covered_ms),
                                    [KIND_P50] = offsetof(struct figures, p50),
                                    [KIND_MEAN] = offsetof(struct figures, mean_milli),
                                    [KIND_MIN] = offsetof(struct figures, min),
                                    [KIND_P90] = offsetof(struct figures, p90),
                                    [KIND_P99] = offsetof(struct figures, p99),
                                    [KIND_MAX] = offsetof(struct figures, max)};

    for (size_t i = 0; i < rows; i++, f += stride)
        memcpy((char *)f + places[kind], &values[i], sizeof values[i]);
}

static enum figures_depth depth_of(const struct rollup_query *q, size_t k)
{
    return q->depth != NULL ? q->depth[k] : FIGURES_ALL;
}

/* The columns that a depth needs: the most is told by those up to it. */
static bool needs(enum figures_depth depth, enum kind kind)
{
    switch (kind) {
    case KIND_MISSING:
    case KIND_P50:
    case KIND_MEAN:
        return true;
    case KIND_P90:
    case KIND_P99:
    case KIND_MAX:
        return depth != FIGURES_MEAN;
    case KIND_MIN:
        return depth == FIGURES_ALL;
    case KIND_COUNT_:
        break;
    }
    return false;
}

/* A file may say anything: sums wrap around, and what comes out is looked at. */
static int64_t plus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* From what the columns say to figures. */
static void settle(struct figures *f, int64_t covered_ms, bool told, enum figures_depth depth)
{
    if (!told || f->p50 == CODEC_GAP || f->covered_ms < 0 || f->covered_ms >= covered_ms) {
        *f = (struct figures){0};
        return;
    }
    f->covered_ms = covered_ms - f->covered_ms;
    f->min = (int64_t)((uint64_t)f->p50 - (uint64_t)f->min);
    f->mean_milli = plus((int64_t)((uint64_t)f->p50 * PER_MEAN), f->mean_milli);
    f->p90 = plus(f->p50, f->p90);
    f->p99 = plus(f->p90, f->p99);
    f->max = plus(f->p99, f->max);
    if (!figures_plausible(f, depth))
        *f = (struct figures){0};
}

struct reading {
    const struct rollup_query *query;
    rollup_each_fn *each;
    void *self;
    int wanted[ID_END]; /* a column's series, by its place in the query, + 1; 0: not asked for */
};

/* One chunk. */
struct opened {
    struct codec codec;
    int64_t *step, *covered, *values;
    struct figures *figures; /* rows * n_series */
    bool *told;              /* n_series */
};

static bool take_column(struct reading *r, struct opened *o, const struct codec_cursor *cursor,
                        struct err *err)
{
    size_t n = r->query->n_series;
    int place = cursor->id < ID_END ? r->wanted[cursor->id] : 0;
    enum kind kind = (enum kind)(cursor->id % ID_PER_SERIES);

    if (cursor->id == ID_STEP)
        return codec_values(&o->codec, cursor, o->step, err);
    if (cursor->id == ID_COVERED)
        return codec_values(&o->codec, cursor, o->covered, err);
    if (place == 0)
        return true;
    if (!codec_values(&o->codec, cursor, o->values, err))
        return false;
    put_values(o->figures + place - 1, n, o->codec.rows, kind, o->values);
    o->told[place - 1] |= kind == KIND_P50;
    return true;
}

static bool show_rows(struct reading *r, struct opened *o, int64_t first_ms)
{
    const struct rollup_query *q = r->query;
    int64_t step_ms = level_step_ms(q->level), span_ms = level_span_ms(q->level);

    for (size_t i = 0; i < o->codec.rows; i++) {
        struct rollup_row row = {.covered_ms = o->covered[i], .at = o->figures + i * q->n_series};

        if (o->step[i] < 0 || o->step[i] >= span_ms / step_ms || row.covered_ms <= 0 ||
            row.covered_ms > step_ms)
            continue;
        row.first_ms = first_ms + o->step[i] * step_ms;
        if (row.first_ms + step_ms <= q->from_ms || row.first_ms >= q->until_ms)
            continue;
        for (size_t k = 0; k < q->n_series; k++)
            settle(&o->figures[i * q->n_series + k], row.covered_ms, o->told[k], depth_of(q, k));
        if (!r->each(r->self, &row))
            return false;
    }
    return true;
}

static bool take_chunk(void *self, const struct pack *pack)
{
    struct reading *r = self;
    struct codec_cursor cursor = {0};
    struct opened o = {0};
    struct err damage = {0};
    bool more = true;

    if (!codec_open(pack->data, &o.codec, NULL))
        return true;
    o.step = xcalloc(3 * o.codec.rows, sizeof *o.step);
    o.covered = o.step + o.codec.rows;
    o.values = o.covered + o.codec.rows;
    o.figures = xcalloc(o.codec.rows * r->query->n_series + 1, sizeof *o.figures);
    o.told = xcalloc(r->query->n_series + 1, sizeof *o.told);
    while (codec_next(&o.codec, &cursor, &damage) && take_column(r, &o, &cursor, &damage))
        continue;
    if (damage.kind == ERR_NONE)
        more = show_rows(r, &o, pack->first_ms);
    free(o.told);
    free(o.figures);
    free(o.step);
    return more;
}

bool rollup_each(struct history *h, const struct rollup_query *q, rollup_each_fn *each, void *self,
                 struct err *err)
{
    struct reading r = {.query = q, .each = each, .self = self};

    for (size_t k = 0; k < q->n_series; k++) {
        for (int kind = 0; kind < KIND_COUNT_; kind++) {
            if (needs(depth_of(q, k), (enum kind)kind))
                r.wanted[id_of(q->series[k], (enum kind)kind)] = (int)k + 1;
        }
    }
    return packs_each(h->packs, q->policy, q->level, q->from_ms, q->until_ms, take_chunk, &r, err);
}

/* ---- making ---- */

/* Copies the rows of a chunk that is there, but for the one that begins at `without`. */
struct keeping {
    struct table *table;
    int64_t first_ms, step_ms, without_ms;
    int64_t was_covered_ms; /* of that one */
};

static bool keep_row(void *self, const struct rollup_row *row)
{
    struct keeping *k = self;
    struct table *t = k->table;

    if (row->first_ms == k->without_ms)
        k->was_covered_ms = row->covered_ms;
    if (row->first_ms == k->without_ms || t->rows == MAX_ROWS)
        return true;
    t->step[t->rows] = (row->first_ms - k->first_ms) / k->step_ms;
    t->covered[t->rows] = row->covered_ms;
    memcpy(&t->at[t->rows * SERIES_COUNT_], row->at, SERIES_COUNT_ * sizeof *row->at);
    t->rows++;
    return true;
}

static void move_row(struct table *t, size_t from, size_t to)
{
    t->step[to] = t->step[from];
    t->covered[to] = t->covered[from];
    memmove(&t->at[to * SERIES_COUNT_], &t->at[from * SERIES_COUNT_],
            SERIES_COUNT_ * sizeof *t->at);
}

/* Puts a row where it belongs by its time. */
static void insert_row(struct table *t, int64_t step, int64_t covered_ms, const struct figures *at)
{
    size_t i = t->rows++;

    for (; i > 0 && t->step[i - 1] > step; i--)
        move_row(t, i - 1, i);
    t->step[i] = step;
    t->covered[i] = covered_ms;
    memcpy(&t->at[i * SERIES_COUNT_], at, SERIES_COUNT_ * sizeof *at);
}

static struct rollup_query all_of(int64_t policy, enum level level, int64_t from_ms,
                                  int64_t until_ms, enum series all[SERIES_COUNT_])
{
    for (int k = 0; k < SERIES_COUNT_; k++)
        all[k] = (enum series)k;
    return (struct rollup_query){.policy = policy,
                                 .level = level,
                                 .from_ms = from_ms,
                                 .until_ms = until_ms,
                                 .series = all,
                                 .n_series = SERIES_COUNT_};
}

/* Puts one row into the chunk that it belongs to; *ret_gone: its samples are gone, and it stays as it was. */
static bool put_row(struct history *h, int64_t policy, enum level level, int64_t first_ms,
                    int64_t covered_ms, const struct figures *at, bool *ret_gone, struct err *err)
{
    CLEANUP(free_ptr) struct table *t = xcalloc(1, sizeof *t);
    int64_t span_ms = level_span_ms(level), chunk_ms = packs_floor(first_ms, span_ms);
    struct keeping keeping = {
        .table = t, .first_ms = chunk_ms, .step_ms = level_step_ms(level), .without_ms = first_ms};
    enum series all[SERIES_COUNT_];
    const struct rollup_query q = all_of(policy, level, chunk_ms, chunk_ms + span_ms, all);

    if (!rollup_each(h, &q, keep_row, &keeping, err))
        return false;
    *ret_gone = keeping.was_covered_ms > covered_ms + GONE_MS;
    if (*ret_gone)
        return true;
    if (covered_ms > 0 && t->rows < MAX_ROWS)
        insert_row(t, (first_ms - chunk_ms) / keeping.step_ms, covered_ms, at);
    return put_table(h, policy, level, chunk_ms, t, err);
}

/* Puts a row into a table, in the place of the one that is there. */
static void set_row(struct table *t, int64_t step, const struct rollup_row *row)
{
    for (size_t i = 0; i < t->rows; i++) {
        if (t->step[i] == step) {
            t->covered[i] = row->covered_ms;
            memcpy(&t->at[i * SERIES_COUNT_], row->at, SERIES_COUNT_ * sizeof *row->at);
            return;
        }
    }
    if (t->rows < MAX_ROWS)
        insert_row(t, step, row->covered_ms, row->at);
}

bool rollup_put(struct history *h, int64_t policy, enum level level, const struct rollup_row *rows,
                size_t n, struct err *err)
{
    CLEANUP(free_ptr) struct table *t = xcalloc(1, sizeof *t);
    int64_t span_ms = level_span_ms(level), chunk_ms = packs_floor(rows[0].first_ms, span_ms);
    struct keeping keeping = {
        .table = t, .first_ms = chunk_ms, .step_ms = level_step_ms(level), .without_ms = INT64_MIN};
    enum series all[SERIES_COUNT_];
    const struct rollup_query q = all_of(policy, level, chunk_ms, chunk_ms + span_ms, all);

    if (!rollup_each(h, &q, keep_row, &keeping, err))
        return false;
    for (size_t i = 0; i < n; i++)
        set_row(t, (rows[i].first_ms - chunk_ms) / keeping.step_ms, &rows[i]);
    return put_table(h, policy, level, chunk_ms, t, err);
}

/* An hour under way. */
struct hour {
    int64_t first_ms, covered_ms;
    int64_t minute; /* the one whose sums are open */
    int64_t minute_covered_ms;
    struct figures_sum sums[SERIES_COUNT_], minute_sums[SERIES_COUNT_];
    struct table minutes;
};

static void end_minute(struct hour *hour)
{
    struct table *t = &hour->minutes;

    if (hour->minute_covered_ms > 0 && t->rows < MAX_ROWS) {
        t->step[t->rows] = hour->minute;
        t->covered[t->rows] = hour->minute_covered_ms;
        for (int k = 0; k < SERIES_COUNT_; k++)
            t->at[t->rows * SERIES_COUNT_ + (size_t)k] = figures_end(&hour->minute_sums[k]);
        t->rows++;
    }
    hour->minute_covered_ms = 0;
}

static bool hour_span(void *self, const struct sample *s, int64_t from_ms, int64_t until_ms)
{
    struct hour *hour = self;
    int64_t values[SERIES_COUNT_];

    series_values(s, values);
    hour->covered_ms += until_ms - from_ms;
    while (from_ms < until_ms) {
        int64_t minute = (from_ms - hour->first_ms) / PACKS_MINUTE_MS;
        int64_t end_ms = hour->first_ms + (minute + 1) * PACKS_MINUTE_MS;
        int64_t ms = (end_ms < until_ms ? end_ms : until_ms) - from_ms;

        if (minute != hour->minute)
            end_minute(hour);
        hour->minute = minute;
        hour->minute_covered_ms += ms;
        for (int k = 0; k < SERIES_COUNT_; k++) {
            if (values[k] == SAMPLE_UNKNOWN)
                continue;
            figures_add(&hour->sums[k], values[k], ms);
            figures_add(&hour->minute_sums[k], values[k], ms);
        }
        from_ms += ms;
    }
    return true;
}

static bool put_hour(struct history *h, int64_t policy, struct hour *hour, struct err *err)
{
    struct figures at[SERIES_COUNT_];
    bool gone;

    end_minute(hour);
    for (int k = 0; k < SERIES_COUNT_; k++)
        at[k] = figures_end(&hour->sums[k]);
    return put_row(h, policy, LEVEL_HOUR, hour->first_ms, hour->covered_ms, at, &gone, err) &&
           (gone || put_table(h, policy, LEVEL_MINUTE, hour->first_ms, &hour->minutes, err));
}

bool rollup_make_hour(struct history *h, int64_t policy, int64_t hour_ms, int64_t *ret_covered_ms,
                      struct err *err)
{
    struct hour *hour = xcalloc(1, sizeof *hour);
    char name[SAMPLES_POLICY_SIZE];
    bool ok;

    hour->first_ms = hour_ms;
    ok = samples_policy_name(h->samples, policy, name, err) &&
         spans_each(h, sv_from(name), hour_ms, hour_ms + PACKS_HOUR_MS, hour_span, hour, err) &&
         put_hour(h, policy, hour, err);
    if (ok)
        *ret_covered_ms = hour->covered_ms;
    for (int k = 0; k < SERIES_COUNT_; k++) {
        figures_done(&hour->sums[k]);
        figures_done(&hour->minute_sums[k]);
    }
    free(hour);
    return ok;
}

/* Some series of a day. */
struct day {
    int first_series;
    int64_t covered_ms;
    struct figures_sum sums[PASS];
};

static bool day_span(void *self, const struct sample *s, int64_t from_ms, int64_t until_ms)
{
    struct day *day = self;
    int64_t values[SERIES_COUNT_];

    series_values(s, values);
    day->covered_ms += until_ms - from_ms;
    for (int k = 0; k < PASS && day->first_series + k < SERIES_COUNT_; k++) {
        if (values[day->first_series + k] != SAMPLE_UNKNOWN)
            figures_add(&day->sums[k], values[day->first_series + k], until_ms - from_ms);
    }
    return true;
}

bool rollup_make_day(struct history *h, int64_t policy, int64_t day_ms, struct err *err)
{
    struct figures at[SERIES_COUNT_] = {0};
    char name[SAMPLES_POLICY_SIZE];
    struct day day = {0};
    bool gone, ok = samples_policy_name(h->samples, policy, name, err);

    for (; ok && day.first_series < SERIES_COUNT_; day.first_series += PASS) {
        day.covered_ms = 0;
        ok = spans_each(h, sv_from(name), day_ms, day_ms + PACKS_DAY_MS, day_span, &day, err);
        for (int k = 0; k < PASS && day.first_series + k < SERIES_COUNT_; k++)
            at[day.first_series + k] = figures_end(&day.sums[k]);
    }
    for (int k = 0; k < PASS; k++)
        figures_done(&day.sums[k]);
    return ok && put_row(h, policy, LEVEL_DAY, day_ms, day.covered_ms, at, &gone, err);
}
