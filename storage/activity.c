#include "storage/activity.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "storage/bins.h"
#include "storage/codec.h"
#include "storage/report_gather.h"

enum {
    COLUMNS = 3,
    STEPS = 64, /* of a chunk, at most */
    HOUR_MINUTES = 60,
    COARSEST = 10, /* 2^10 bins are all bins */
};
_Static_assert((int)ACTIVITY_COUNT_ - (int)ACTIVITY_UP_TO == (int)REPORT_WAIT_BUCKETS,
               "waits are counted by length");
_Static_assert(ACTIVITY_LATENCIES + BINS_COUNT <= ACTIVITY_WAITS, "bins share keys");

/* A file may say anything; sums of all rows of a report stay below 2^63. */
#define MAX_COUNT (INT64_C(1) << 45)
#define MAX_AREA  (INT64_C(1) << 61)
#define MAX_BIN   (INT64_C(1) << 31)

/*
 * A round reads about so many events of the journal, and all of its time's if that is no longer than ACTIVITY_REDO_MS: a million take a
 * second.
 */
#define ROUND_EVENTS 1e6

/* Rounds of which there is nothing to tell are passed over in one: weeks of a policy that is gone. */
enum { EMPTY_ROUNDS = 64 };

/* All rows of one chunk, by their step. */
struct table {
    bool there[STEPS];
    struct activity_row at[STEPS];
};

static struct table *table_new(int64_t first_ms, enum level level)
{
    struct table *t = xcalloc(1, sizeof *t);

    for (int i = 0; i < STEPS; i++)
        t->at[i].first_ms = first_ms + i * level_step_ms(level);
    return t;
}

static void table_free(struct table *t)
{
    if (t == NULL)
        return;
    for (int i = 0; i < STEPS; i++)
        free(t->at[i].bins);
    free(t);
}
DEFINE_FREE_PTR(struct table, table)

static int64_t steps_of(enum level level)
{
    return level_span_ms(level) / level_step_ms(level);
}

/* ---- rows ---- */

static bool is_sum(enum activity_key key)
{
    return key != ACTIVITY_FIRST_WAY && key != ACTIVITY_LAST_WAY && key != ACTIVITY_LATENCY_MAX &&
           key != ACTIVITY_RISE && key != ACTIVITY_NODES &&
           (key < ACTIVITY_LONGEST || key > ACTIVITY_LONGEST_END);
}

static bool is_area(enum activity_key key)
{
    return key == ACTIVITY_WAIT || key == ACTIVITY_LONE;
}

/* Counts into a bin. O(bins of the row). */
static void add_bin(struct activity_row *row, uint32_t key, int64_t n)
{
    size_t i = row->n_bins;

    while (i > 0 && row->bins[i - 1].key > key)
        i--;
    if (i > 0 && row->bins[i - 1].key == key) {
        row->bins[i - 1].n = min_i64(row->bins[i - 1].n + n, MAX_BIN);
        return;
    }
    VEC_PUSH(row->bins, row->n_bins, row->cap_bins, ((struct activity_bin){0}));
    memmove(&row->bins[i + 1], &row->bins[i], (row->n_bins - 1 - i) * sizeof *row->bins);
    row->bins[i] = (struct activity_bin){.key = key, .n = n};
}

static void join_ways(int64_t into[ACTIVITY_COUNT_], const int64_t later[ACTIVITY_COUNT_])
{
    if (later[ACTIVITY_FIRST_WAY] == 0)
        return;
    into[ACTIVITY_REVERSALS] +=
        into[ACTIVITY_LAST_WAY] != 0 && into[ACTIVITY_LAST_WAY] != later[ACTIVITY_FIRST_WAY];
    if (into[ACTIVITY_FIRST_WAY] == 0)
        into[ACTIVITY_FIRST_WAY] = later[ACTIVITY_FIRST_WAY];
    into[ACTIVITY_LAST_WAY] = later[ACTIVITY_LAST_WAY];
}

static void join_longest(struct activity_row *into, const struct activity_row *later)
{
    if (later->at[ACTIVITY_BLOCKED] == 0 ||
        later->at[ACTIVITY_LONGEST] < into->at[ACTIVITY_LONGEST])
        return;
    memcpy(&into->at[ACTIVITY_LONGEST], &later->at[ACTIVITY_LONGEST],
           (ACTIVITY_LONGEST_END - ACTIVITY_LONGEST + 1) * sizeof *into->at);
    into->at[ACTIVITY_LONGEST_REPORTED] += later->first_ms - into->first_ms;
}

/* Takes a later row of a finer level into one. */
static void join(struct activity_row *into, const struct activity_row *later)
{
    static const enum activity_key most[] = {ACTIVITY_LATENCY_MAX, ACTIVITY_RISE, ACTIVITY_NODES};

    for (int k = 0; k < ACTIVITY_COUNT_; k++) {
        if (is_sum((enum activity_key)k))
            report_add(&into->at[k], later->at[k]);
    }
    for (size_t i = 0; i < COUNT_OF(most); i++)
        into->at[most[i]] = max_i64(into->at[most[i]], later->at[most[i]]);
    join_ways(into->at, later->at);
    join_longest(into, later);
    for (size_t i = 0; i < later->n_bins; i++)
        add_bin(into, later->bins[i].key, later->bins[i].n);
}

/* ---- reading ---- */

static void take_number(struct table *t, int64_t step, int64_t key, int64_t value)
{
    struct activity_row *row = &t->at[step];

    if (key < ACTIVITY_COUNT_) {
        if (value > 0 && value <= (is_area((enum activity_key)key) ? MAX_AREA : MAX_COUNT))
            row->at[key] = value;
        t->there[step] = true;
    } else if (value > 0 && value <= MAX_BIN && key >= ACTIVITY_LATENCIES &&
               key < ACTIVITY_WAITS + BINS_COUNT) {
        add_bin(row, (uint32_t)key, value);
    }
}

/* False: it is damaged. What a newer brim counts besides is left out. */
static bool unpack(enum level level, struct sv data, struct table *t)
{
    CLEANUP(free_ptr) int64_t *values = NULL;
    struct codec_cursor cursor = {0};
    struct err damage = {0};
    struct codec codec;
    unsigned seen = 0;

    if (!codec_open(data, &codec, NULL))
        return false;
    values = xcalloc(COLUMNS * codec.rows, sizeof *values);
    while (codec_next(&codec, &cursor, &damage)) {
        if (cursor.id >= COLUMNS)
            continue;
        if (!codec_values(&codec, &cursor, values + cursor.id * codec.rows, &damage))
            return false;
        seen |= 1u << cursor.id;
    }
    if (damage.kind != ERR_NONE || seen != (1u << COLUMNS) - 1)
        return false;
    for (size_t i = 0; i < codec.rows; i++) {
        int64_t step = values[i], key = values[codec.rows + i];

        if (step < 0 || step >= steps_of(level) || key < 0)
            return false;
        take_number(t, step, key, values[2 * codec.rows + i]);
    }
    return true;
}

bool activity_check(enum level level, struct sv data)
{
    CLEANUP(table_free_ptr) struct table *t = table_new(0, level);

    return unpack(level, data, t);
}

struct reading {
    enum level level;
    int64_t from_ms, until_ms;
    activity_each_fn *each;
    void *self;
};

static bool take_chunk(void *self, const struct pack *pack)
{
    const struct reading *r = self;
    CLEANUP(table_free_ptr) struct table *t = table_new(pack->first_ms, r->level);

    if (!unpack(r->level, pack->data, t))
        return true;
    for (int i = 0; i < STEPS; i++) {
        if (t->there[i] && t->at[i].first_ms >= r->from_ms && t->at[i].first_ms < r->until_ms &&
            !r->each(r->self, &t->at[i]))
            return false;
    }
    return true;
}

bool activity_each(struct history *h, int64_t policy, enum level level, int64_t from_ms,
                   int64_t until_ms, activity_each_fn *each, void *self, struct err *err)
{
    struct reading r = {
        .level = level, .from_ms = from_ms, .until_ms = until_ms, .each = each, .self = self};

    return packs_each(h->activity, policy, level, from_ms, until_ms, take_chunk, &r, err);
}

static bool take_end(void *self, const struct pack *pack)
{
    *(int64_t *)self = pack->until_ms;
    return false;
}

bool activity_until(struct history *h, int64_t policy, int64_t t_ms, int64_t *ret_until_ms,
                    struct err *err)
{
    int64_t until_ms = INT64_MIN;

    if (!packs_last_before(h->activity, policy, LEVEL_HOUR, t_ms - 1, take_end, &until_ms, err) ||
        (until_ms == INT64_MIN &&
         !packs_last_before(h->activity, policy, LEVEL_DAY, t_ms - 1, take_end, &until_ms, err)))
        return false;
    *ret_until_ms = until_ms;
    return true;
}

/* ---- writing ---- */

/* The codec's columns under way. */
struct packing {
    int64_t *step, *key, *value;
    size_t n, cap;
};

static void put_number(struct packing *p, int64_t step, int64_t key, int64_t value)
{
    if (value == 0 || p->n == p->cap)
        return;
    p->step[p->n] = step;
    p->key[p->n] = key;
    p->value[p->n++] = value;
}

/* Takes bins together, 2^bits of them into the highest. */
static void coarsen(struct activity_row *row, int bits)
{
    struct activity_row finer = *row;
    uint32_t mask = (1u << bits) - 1;

    row->bins = NULL;
    row->n_bins = row->cap_bins = 0;
    for (size_t i = 0; i < finer.n_bins; i++) {
        uint32_t base = finer.bins[i].key < ACTIVITY_WAITS ? ACTIVITY_LATENCIES : ACTIVITY_WAITS;
        uint32_t bin = (finer.bins[i].key - base) | mask;

        add_bin(row, base + (bin < BINS_COUNT ? bin : BINS_COUNT - 1), finer.bins[i].n);
    }
    free(finer.bins);
}

static size_t bins_in(const struct table *t)
{
    size_t n = 0;

    for (int i = 0; i < STEPS; i++)
        n += t->at[i].n_bins;
    return n;
}

static void pack(struct table *t, struct strbuf *out)
{
    struct packing p = {.cap = CODEC_MAX_ROWS};
    CLEANUP(free_ptr) int64_t *values = xcalloc(COLUMNS * p.cap, sizeof *values);

    _Static_assert(STEPS * ACTIVITY_COUNT_ + STEPS * 2 < CODEC_MAX_ROWS, "a chunk is too small");
    for (int bits = 1; bits <= COARSEST && bins_in(t) + STEPS * ACTIVITY_COUNT_ > p.cap; bits++) {
        for (int i = 0; i < STEPS; i++)
            coarsen(&t->at[i], bits);
    }
    p.step = values;
    p.key = values + p.cap;
    p.value = values + 2 * p.cap;
    for (int k = 0; k < ACTIVITY_COUNT_; k++) {
        for (int i = 0; i < STEPS; i++)
            put_number(&p, i, k, t->there[i] ? t->at[i].at[k] : 0);
    }
    for (int i = 0; i < STEPS; i++) {
        for (size_t k = 0; t->there[i] && k < t->at[i].n_bins; k++)
            put_number(&p, i, t->at[i].bins[k].key, t->at[i].bins[k].n);
    }
    if (p.n > 0)
        codec_pack((const struct codec_column[]){{0, p.step}, {1, p.key}, {2, p.value}}, COLUMNS,
                   p.n, out);
}

static bool put_table(struct history *h, int64_t policy, enum level level, struct table *t,
                      struct err *err)
{
    int64_t step_ms = level_step_ms(level);
    struct pack chunk = {.first_ms = t->at[0].first_ms};
    struct strbuf data;
    bool ok;

    for (int i = 0; i < STEPS; i++) {
        if (!t->there[i])
            continue;
        chunk.begin_ms = chunk.rows == 0 ? t->at[i].first_ms : chunk.begin_ms;
        chunk.until_ms = t->at[i].first_ms + step_ms;
        chunk.rows++;
    }
    strbuf_init(&data, DB_MAX_VALUE);
    pack(t, &data);
    chunk.data = strbuf_sv(&data);
    ok = chunk.data.len == 0 ? packs_drop(h->activity, policy, level, chunk.first_ms, err)
                             : packs_put(h->activity, policy, level, &chunk, err);
    strbuf_done(&data);
    return ok;
}

struct looking {
    int64_t first_ms;
    struct sv data;
    bool there, same;
};

static bool look_at(void *self, const struct pack *pack)
{
    struct looking *l = self;

    l->there = pack->first_ms == l->first_ms;
    l->same = l->there && sv_eq(pack->data, l->data);
    return false;
}

bool activity_look(struct history *h, int64_t policy, enum level level, int64_t first_ms,
                   struct sv data, bool *ret_there, bool *ret_same, struct err *err)
{
    struct looking l = {.first_ms = first_ms, .data = data};

    if (!packs_each(h->activity, policy, level, first_ms, first_ms + 1, look_at, &l, err))
        return false;
    *ret_there = l.there;
    *ret_same = l.same;
    return true;
}

bool activity_put(struct history *h, int64_t policy, enum level level, int64_t first_ms,
                  struct sv data, struct err *err)
{
    CLEANUP(table_free_ptr) struct table *t = table_new(first_ms, level);

    if (!unpack(level, data, t))
        return err_set(err, ERR_STORAGE, 0, "found %zu bytes that are no chunk", data.len);
    return put_table(h, policy, level, t, err);
}

static bool copy_row(void *self, const struct activity_row *row)
{
    struct table *t = self;
    int64_t span_ms = t->at[1].first_ms - t->at[0].first_ms;
    int64_t step = (row->first_ms - t->at[0].first_ms) / span_ms;

    t->there[step] = true;
    join(&t->at[step], row);
    return true;
}

static bool read_table(struct history *h, int64_t policy, enum level level, int64_t t_ms,
                       struct table **ret_table, struct err *err)
{
    int64_t span_ms = level_span_ms(level), first_ms = packs_floor(t_ms, span_ms);
    CLEANUP(table_free_ptr) struct table *t = table_new(first_ms, level);

    if (!activity_each(h, policy, level, first_ms, first_ms + span_ms, copy_row, t, err))
        return false;
    *ret_table = TAKE(t);
    return true;
}

/* Puts a row into the table that it belongs to, in the place of the one that is there; all of the finer table's into it. */
static void set_row(struct table *t, enum level level, const struct table *finer)
{
    int64_t first_ms = packs_floor(finer->at[0].first_ms, level_step_ms(level));
    int64_t step = (first_ms - t->at[0].first_ms) / level_step_ms(level);
    struct activity_row *row = &t->at[step];

    free(row->bins);
    *row = (struct activity_row){.first_ms = first_ms};
    t->there[step] = true;
    for (int i = 0; i < STEPS; i++) {
        if (finer->there[i])
            join(row, &finer->at[i]);
    }
}

/* Does the table tell more of the hour already? Then it was made of what is gone. */
static bool knew_more(const struct table *hours, const struct table *minutes)
{
    int64_t told_ms = 0;
    size_t step = (size_t)((minutes->at[0].first_ms - hours->at[0].first_ms) / PACKS_HOUR_MS);

    for (int i = 0; i < STEPS; i++)
        told_ms += minutes->at[i].at[ACTIVITY_COVERED];
    return hours->at[step].at[ACTIVITY_COVERED] > told_ms;
}

/* An hour by its minutes, and what it adds to its day. */
static bool put_hour(struct history *h, int64_t policy, struct table *minutes, struct err *err)
{
    CLEANUP(table_free_ptr) struct table *hours = NULL, *days = NULL;
    int64_t hour_ms = minutes->at[0].first_ms;

    if (!read_table(h, policy, LEVEL_HOUR, hour_ms, &hours, err))
        return false;
    if (knew_more(hours, minutes))
        return true;
    set_row(hours, LEVEL_HOUR, minutes);
    if (!put_table(h, policy, LEVEL_MINUTE, minutes, err) ||
        !put_table(h, policy, LEVEL_HOUR, hours, err) ||
        !read_table(h, policy, LEVEL_DAY, hour_ms, &days, err))
        return false;
    set_row(days, LEVEL_DAY, hours);
    return put_table(h, policy, LEVEL_DAY, days, err);
}

/* ---- making ---- */

struct making {
    struct history *history;
    int64_t policy;   /* 0: the journal */
    int64_t begin_ms; /* from when on there is something to tell */
    int64_t now_ms;
    int64_t round_ms; /* whole hours */
};

static void minutes_of(struct report *r, int64_t from_ms, int64_t until_ms)
{
    r->query.since_ms = from_ms;
    r->query.until_ms = until_ms;
    r->n_pieces = (size_t)((until_ms - from_ms) / PACKS_MINUTE_MS);
    r->pieces = xcalloc(r->n_pieces, sizeof *r->pieces);
    for (size_t i = 0; i < r->n_pieces; i++) {
        r->pieces[i].first_ms = from_ms + (int64_t)i * PACKS_MINUTE_MS;
        r->pieces[i].until_ms = r->pieces[i].first_ms + PACKS_MINUTE_MS;
    }
}

static int64_t number_of(int way)
{
    return way > 0 ? 1 : way < 0 ? 2 : 0;
}

static void from_piece(const struct report_row *piece, int64_t begin_ms, struct activity_row *row)
{
    const struct report_wait *longest = &piece->longest;
    int64_t *at = row->at;

    at[ACTIVITY_COVERED] = max_i64(0, min_i64(PACKS_MINUTE_MS, piece->until_ms - begin_ms));
    at[ACTIVITY_YIELDS] = piece->yields;
    at[ACTIVITY_HARVESTS] = piece->harvests;
    at[ACTIVITY_REVERSALS] = piece->reversals;
    at[ACTIVITY_FIRST_WAY] = number_of(piece->first_way);
    at[ACTIVITY_LAST_WAY] = number_of(piece->last_way);
    at[ACTIVITY_LATENCY_MAX] = piece->latency_max_us;
    at[ACTIVITY_STARTS] = piece->starts;
    at[ACTIVITY_STOPS] = piece->stops;
    at[ACTIVITY_PODS] = piece->pods;
    at[ACTIVITY_BLOCKED] = piece->blocked;
    at[ACTIVITY_WAIT] = piece->wait_ms;
    at[ACTIVITY_LONE] = piece->lone;
    at[ACTIVITY_RISE] = piece->rise_milli;
    at[ACTIVITY_NODES] = piece->nodes;
    for (int i = 0; i < REPORT_WAIT_BUCKETS; i++)
        at[ACTIVITY_UP_TO + i] = piece->wait_buckets[i];
    if (piece->blocked == 0)
        return;
    at[ACTIVITY_LONGEST] = piece->longest_wait_ms;
    at[ACTIVITY_LONGEST_REPORTED] = longest->reported_ms - piece->first_ms;
    at[ACTIVITY_LONGEST_BEFORE] = max_i64(0, longest->reported_ms - longest->created_ms);
    at[ACTIVITY_LONGEST_CPU] = longest->cpu_milli;
    at[ACTIVITY_LONGEST_END] = longest->bound ? 1 : longest->waits ? 2 : 0;
}

static int by_piece(const void *a, const void *b)
{
    const struct report_length *x = a, *y = b;

    return (x->piece > y->piece) - (x->piece < y->piece);
}

/* Those of an hour, which begins with a piece, go into its minutes; *at is how many are done. Lengths are in order of pieces. */
static void add_lengths(struct table *minutes, size_t piece, const struct report_lengths *of,
                        uint32_t first, size_t *at)
{
    for (; *at < of->n && of->at[*at].piece < piece + HOUR_MINUTES; ++*at)
        add_bin(&minutes->at[of->at[*at].piece - piece], first + bins_of(of->at[*at].length), 1);
}

/* Did a policy live in that hour? */
static bool has_samples(const struct making *m, int64_t hour_ms, bool *ret_has, struct err *err)
{
    struct history *h = m->history;

    if (m->policy == 0) {
        *ret_has = true;
        return true;
    }
    return packs_has(h->packs, m->policy, LEVEL_SAMPLES, hour_ms, ret_has, err) &&
           (*ret_has || samples_has_rows(h->samples, m->policy, hour_ms, hour_ms + PACKS_HOUR_MS,
                                         ret_has, err));
}

struct places {
    size_t latency, wait;
};

static bool roll_hour(const struct making *m, const struct report *r, size_t piece,
                      struct places *at, bool *ret_any, struct err *err)
{
    int64_t hour_ms = r->pieces[piece].first_ms;
    CLEANUP(table_free_ptr) struct table *minutes = table_new(hour_ms, LEVEL_MINUTE);
    bool any = false;

    for (int i = 0; i < HOUR_MINUTES; i++) {
        const struct report_row *p = &r->pieces[piece + (size_t)i];

        from_piece(p, m->begin_ms, &minutes->at[i]);
        minutes->there[i] = minutes->at[i].at[ACTIVITY_COVERED] > 0 || p->yields != 0 ||
                            p->harvests != 0 || p->first_way != 0;
        any |= p->yields != 0 || p->harvests != 0 || p->first_way != 0;
    }
    add_lengths(minutes, piece, &r->latencies, ACTIVITY_LATENCIES, &at->latency);
    add_lengths(minutes, piece, &r->lengths_of_waits, ACTIVITY_WAITS, &at->wait);
    if (!any && !has_samples(m, hour_ms, &any, err))
        return false;
    *ret_any |= any;
    return !any || put_hour(m->history, m->policy, minutes, err);
}

static bool put_hours(const struct making *m, struct report *r, bool *ret_any, struct err *err)
{
    struct places at = {0};
    bool ok = db_begin(m->history->db, err);

    if (!ok)
        return false;
    if (r->latencies.n > 0)
        qsort(r->latencies.at, r->latencies.n, sizeof *r->latencies.at, by_piece);
    if (r->lengths_of_waits.n > 0)
        qsort(r->lengths_of_waits.at, r->lengths_of_waits.n, sizeof *r->lengths_of_waits.at,
              by_piece);
    for (size_t i = 0; ok && i < r->n_pieces; i += HOUR_MINUTES)
        ok = roll_hour(m, r, i, &at, ret_any, err);
    ok = ok && db_commit(m->history->db, err);
    if (!ok)
        db_rollback(m->history->db);
    return ok;
}

/* The journal is read from before on, so that whoever waits at the begin is known, and what room they are to have. */
static bool count(const struct making *m, struct report *r, struct err *err)
{
    struct report_events range = {.read_ms = r->query.since_ms - ACTIVITY_REDO_MS,
                                  .from_ms = r->query.since_ms,
                                  .to_ms = r->query.until_ms,
                                  .spread_ms = r->query.until_ms,
                                  .until_ms =
                                      min_i64(r->query.until_ms + ACTIVITY_REDO_MS, m->now_ms)};

    if (m->policy != 0)
        return report_count_decisions(m->history, r, r->query.since_ms, r->query.until_ms, err);
    return report_count_events(m->history, r, &range, err);
}

static bool roll_round(const struct making *m, int64_t from_ms, int64_t until_ms, bool *ret_any,
                       struct err *err)
{
    struct report r = {0};
    bool ok;

    if (m->policy != 0 && !samples_policy_name(m->history->samples, m->policy, r.policy, err))
        return false;
    minutes_of(&r, from_ms, until_ms);
    ok = count(m, &r, err) && put_hours(m, &r, ret_any, err);
    report_done(&r);
    return ok;
}

/* Of one policy, or of the journal: all before is rolled up. */
struct rolled {
    int64_t policy, until_ms;
};

struct activity_progress {
    int64_t hour_ms; /* where what is under way ends, or what was done last ended */
    bool done;
    struct rolled *at;
    size_t n, cap;
};

void activity_progress_free(struct activity_progress *p)
{
    if (p == NULL)
        return;
    free(p->at);
    free(p);
}

/* What was rolled up last is made once more: waits that had not ended then may have. */
static void begin_again(struct activity_progress *p, int64_t hour_ms)
{
    for (size_t i = 0; i < p->n; i++)
        p->at[i].until_ms = min_i64(p->at[i].until_ms, hour_ms) - ACTIVITY_REDO_MS;
    p->hour_ms = hour_ms;
    p->done = false;
}

/* What begins now, or later, is told when it is over. */
static bool find_rolled(struct history *h, const struct making *m, struct rolled **ret_rolled,
                        struct err *err)
{
    struct activity_progress *p = h->activity_progress;
    struct rolled fresh = {.policy = m->policy, .until_ms = INT64_MIN};
    int64_t done_ms;

    for (size_t i = 0; i < p->n; i++) {
        if (p->at[i].policy == m->policy) {
            *ret_rolled = &p->at[i];
            return true;
        }
    }
    if (!activity_until(h, m->policy, m->now_ms, &done_ms, err))
        return false;
    if (done_ms != INT64_MIN)
        fresh.until_ms = min_i64(done_ms, p->hour_ms) - ACTIVITY_REDO_MS;
    VEC_PUSH(p->at, p->n, p->cap, fresh);
    *ret_rolled = &p->at[p->n - 1];
    return true;
}

/* A round, if one is left. */
static bool roll(const struct making *m, bool *ret_any, struct err *err)
{
    int64_t hour_ms = m->history->activity_progress->hour_ms;
    struct rolled *r;
    bool told = false;

    if (!find_rolled(m->history, m, &r, err))
        return false;
    r->until_ms = max_i64(r->until_ms, packs_floor(m->begin_ms, PACKS_HOUR_MS));
    *ret_any = r->until_ms < hour_ms;
    for (int i = 0; i < EMPTY_ROUNDS && !told && r->until_ms < hour_ms; i++) {
        int64_t until_ms = min_i64(r->until_ms + m->round_ms, hour_ms);

        if (!roll_round(m, r->until_ms, until_ms, &told, err))
            return false;
        r->until_ms = until_ms;
    }
    return true;
}

struct numbers {
    int64_t *at;
    size_t n, cap;
    struct history *history;
    struct err *err;
    bool failed;
};

static void add_number(void *self, struct sv name)
{
    struct numbers *n = self;
    int64_t policy;

    if (samples_find_policy(n->history->samples, name, &policy, n->err))
        VEC_PUSH(n->at, n->n, n->cap, policy);
    else
        n->failed = true;
}

static bool roll_policies(struct history *h, int64_t begin_ms, int64_t now_ms, bool *ret_any,
                          struct err *err)
{
    struct numbers policies = {.history = h, .err = err};
    bool ok = samples_policies(h->samples, add_number, &policies, err) && !policies.failed;

    for (size_t i = 0; ok && !*ret_any && i < policies.n; i++)
        ok = roll(&(struct making){.history = h,
                                   .policy = policies.at[i],
                                   .begin_ms = begin_ms,
                                   .now_ms = now_ms,
                                   .round_ms = ACTIVITY_ROUND_MS},
                  ret_any, err);
    free(policies.at);
    return ok;
}

static int64_t journal_round_ms(const struct chunks_totals *journal)
{
    double span_ms = (double)journal->last_ms - (double)journal->first_ms;
    double ms =
        ROUND_EVENTS / (double)max_i64(1, journal->events) * span_ms - 2.0 * ACTIVITY_REDO_MS;

    if (ms <= (double)ACTIVITY_REDO_MS)
        return ACTIVITY_REDO_MS;
    return ms < (double)ACTIVITY_ROUND_MS ? packs_floor((int64_t)ms, PACKS_HOUR_MS)
                                          : ACTIVITY_ROUND_MS;
}

static bool roll_journal(struct history *h, int64_t now_ms, bool *ret_any, struct err *err)
{
    struct chunks_totals journal;
    struct making m = {.history = h, .now_ms = now_ms};

    if (!chunks_totals(h->chunks, &journal, err))
        return false;
    m.begin_ms = journal.first_ms;
    m.round_ms = journal_round_ms(&journal);
    return journal.segments == 0 || roll(&m, ret_any, err);
}

/* The first round that is left, of whichever. */
static bool roll_any(struct history *h, int64_t now_ms, bool *ret_any, struct err *err)
{
    int64_t first_ms, last_ms;

    return samples_span(h->samples, &first_ms, &last_ms, err) &&
           (last_ms == 0 || roll_policies(h, first_ms, now_ms, ret_any, err)) &&
           (*ret_any || roll_journal(h, now_ms, ret_any, err));
}

bool activity_roll(struct history *h, int64_t now_ms, bool *ret_more, struct err *err)
{
    int64_t hour_ms = packs_floor(now_ms, PACKS_HOUR_MS);
    struct activity_progress *p = h->activity_progress;
    bool any = false;

    if (p == NULL) {
        p = h->activity_progress = xcalloc(1, sizeof *p);
        p->hour_ms = hour_ms;
    }
    if (hour_ms < p->hour_ms || (p->done && hour_ms != p->hour_ms))
        begin_again(p, hour_ms);
    if (!p->done && !roll_any(h, now_ms, &any, err))
        return false;
    p->done = !any;
    *ret_more = any;
    return true;
}
