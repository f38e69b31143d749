#include "policy/headroom.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/num.h"
#include "base/sv.h"
#include "policy/controller.h"
#include "policy/damper.h"
#include "policy/peaks.h"
#include "tests/unit/policy/random.h"

#define S(seconds) ((int64_t)((seconds)*1e6))
#define CORES(n)   ((int64_t)((n)*1000))

static struct mono at(double seconds)
{
    return (struct mono){.us = S(seconds)};
}

/* ---- single rules ---- */

static struct headroom_config config_of(double max_cores)
{
    struct headroom_config c = headroom_config_default();

    c.max_milli = CORES(max_cores);
    return c;
}

Test(headroom, is_the_most_until_enough_is_known)
{
    struct headroom_config c = config_of(30);
    CLEANUP(headroom_free_ptr) struct headroom *h = headroom_new(&c);
    struct headroom_state s = headroom_at(h, at(0));

    cr_assert_eq(s.milli, CORES(30), "before anything was told");
    cr_assert_eq(s.kind, HEADROOM_CAREFUL);
    headroom_demand(h, at(0), CORES(10), CORES(100));
    cr_assert_eq(headroom_arrived(h, at(11.2), CORES(12)), 0);
    cr_assert_eq(headroom_at(h, at(11.2)).values, 0, "nothing is known of [t - T, t - A]");
    for (int i = 1; i <= 20; i++) {
        s = headroom_at(h, at(100 * i));
        cr_assert_eq(s.kind, HEADROOM_CAREFUL, "%d", i);
        cr_assert_eq(headroom_arrived(h, at(100 * i), CORES(13)), CORES(i == 1 ? 1 : 3));
        headroom_demand(h, at(100 * i + 1), CORES(10), CORES(100));
    }
    s = headroom_at(h, at(2000));
    cr_assert_eq(s.kind, HEADROOM_USUAL);
    cr_assert_eq(s.milli, CORES(3));
    cr_assert(s.arrivals == 20 && s.above == 0 && !s.capped);
}

Test(headroom, fixed_is_the_most_and_learns_all_the_same)
{
    struct headroom_config c = config_of(5);
    CLEANUP(headroom_free_ptr) struct headroom *h = headroom_new(&c);
    struct headroom_state s;

    headroom_demand(h, at(0), CORES(10), CORES(100));
    for (int i = 1; i <= 30; i++) {
        cr_assert_eq(headroom_arrived(h, at(1000 * i), CORES(18)), CORES(8));
        headroom_demand(h, at(1000 * i + 5), CORES(10), CORES(100));
    }
    c.fixed = true;
    headroom_configure(h, &c);
    s = headroom_at(h, at(30000));
    cr_assert_eq(s.milli, CORES(5));
    cr_assert_eq(s.kind, HEADROOM_FIXED);
    cr_assert(s.surge == 0 && s.expected == 0 && s.ceiling == INT64_MAX && !s.has_wake);
    cr_assert_eq(s.need, CORES(8));
    cr_assert(s.capped, "5 cores are not enough for all but 0.5 %%");
    c.max_milli = CORES(8);
    headroom_configure(h, &c);
    cr_assert(!headroom_at(h, at(30000)).capped);
}

Test(headroom, reads_one_moment_in_any_order)
{
    struct headroom_config c = config_of(10);
    struct headroom_state states[3];

    c.needed = 1;
    for (int order = 0; order < 3; order++) {
        CLEANUP(headroom_free_ptr) struct headroom *h = headroom_new(&c);

        headroom_demand(h, at(0), CORES(20), CORES(100));
        if (order == 0)
            headroom_demand(h, at(50), CORES(44), CORES(100));
        cr_assert_eq(headroom_arrived(h, at(50), CORES(32)), CORES(12));
        if (order == 2)
            (void)headroom_at(h, at(50));
        cr_assert_eq(headroom_arrived(h, at(50), CORES(44)), CORES(24));
        if (order == 1)
            headroom_demand(h, at(50), CORES(44), CORES(100));
        states[order] = headroom_at(h, at(50));
        cr_assert_eq(states[order].surge, CORES(48));
        cr_assert_eq(states[order].surges, 1);
        cr_assert_eq(states[order].milli, CORES(48));
        cr_assert(states[order].has_wake && states[order].wake.us == S(61.3));
        cr_assert_eq(headroom_at(h, at(61.3)).milli, CORES(10), "over after A");
    }
}

Test(headroom, of_a_gap_nothing_is_learned)
{
    struct headroom_config c = config_of(10);
    CLEANUP(headroom_free_ptr) struct headroom *h = headroom_new(&c);
    struct headroom_state s;

    c.needed = 1;
    headroom_configure(h, &c);
    headroom_demand(h, at(-8000), CORES(90), CORES(100));
    headroom_demand(h, at(-7000), CORES(20), CORES(100));
    (void)headroom_arrived(h, at(-6000), CORES(40));
    headroom_demand(h, at(-5000), CORES(20), CORES(100));
    (void)headroom_arrived(h, at(-4000), CORES(40));
    headroom_gap(h, at(0));
    s = headroom_at(h, at(0));
    cr_assert(s.rise == 0 && s.surge == 0 && s.ceiling == INT64_MAX && s.values == 2);
    cr_assert_eq(s.surges, 2);
    headroom_demand(h, at(0), CORES(60), CORES(100));
    s = headroom_at(h, at(5));
    cr_assert_eq(s.ceiling, CORES(35), "the peak stays: 90 + 5 - 60");
    cr_assert_eq(headroom_arrived(h, at(5), CORES(80)), 0);
    cr_assert_eq(headroom_arrived(h, at(12), CORES(81)), CORES(21), "60 was in force A ago");
    cr_assert_eq(headroom_at(h, at(12)).expected, 0);
}

Test(headroom, takes_times_and_amounts_at_their_ends)
{
    struct headroom_config c = {
        .settle_us = INT64_MAX,
        .actuation_us = INT64_MAX,
        .min_milli = INT64_MAX,
        .max_milli = INT64_MAX,
        .blocked_ppm = INT32_MAX,
        .samples = INT32_MAX,
        .needed = INT32_MIN,
        .surge_percent = INT32_MAX,
        .ceiling_ppm = INT32_MAX,
        .ceiling_window_us = INT64_MAX,
        .jitter_us = INT64_MAX,
    };
    static const int64_t times[] = {INT64_MIN, -1, 0, 1, INT64_MAX, 0};
    CLEANUP(headroom_free_ptr) struct headroom *h = headroom_new(&c);

    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < COUNT_OF(times); i++) {
            struct mono now = {.us = times[i]};

            headroom_demand(h, now, i % 2 == 0 ? INT64_MAX : INT64_MIN, INT64_MAX);
            cr_assert(headroom_arrived(h, now, INT64_MAX) >= 0);
            cr_assert(headroom_at(h, now).milli >= 0);
        }
        headroom_gap(h, (struct mono){.us = INT64_MIN});
        c = round % 2 == 0 ? (struct headroom_config){0} : headroom_config_default();
        headroom_configure(h, &c);
    }
    headroom_free(NULL);
}

/* ---- the cycle of docs/CONTROL.md 4, and more of its trace ---- */

struct row {
    int64_t us;
    bool create;
    int64_t milli;
};

struct trace {
    struct row *rows;
    size_t len, cap;
};

/* "975", "12.25" */
static int64_t micros_of(struct sv text)
{
    struct sv whole = text, part = {0};
    int64_t seconds = 0, fraction = 0;

    (void)sv_cut(text, '.', &whole, &part);
    cr_assert(sv_to_i64(whole, &seconds));
    cr_assert(part.len == 0 || sv_to_i64(part, &fraction));
    for (size_t i = part.len; i < 6; i++)
        fraction *= 10;
    for (size_t i = 6; i < part.len; i++)
        fraction /= 10;
    return seconds * US_PER_S + fraction;
}

static struct trace trace_read(const char *name)
{
    struct trace t = {0};
    char path[4096], line[512];
    FILE *file;

    (void)snprintf(path, sizeof path, TEST_DATA "/traces/%s.csv", name);
    file = fopen(path, "r");
    cr_assert(file != NULL, "%s", path);
    cr_assert(fgets(line, sizeof line, file) != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        struct sv rest = sv_from(line), time, event, pod, cpu;
        struct row row = {0};

        cr_assert(sv_next(&rest, ',', &time) && sv_next(&rest, ',', &event) &&
                  sv_next(&rest, ',', &pod) && sv_next(&rest, ',', &cpu));
        row.us = micros_of(time);
        row.create = sv_eq(event, SV("create"));
        cr_assert(sv_to_i64(cpu, &row.milli));
        VEC_PUSH(t.rows, t.len, t.cap, row);
    }
    (void)fclose(file);
    return t;
}

/* Filler of 1 core on `allocatable`, its caps and the nodes left aside. */
struct loop {
    struct headroom *headroom;
    struct damper damper;
    int64_t allocatable, hole_slots, demand;
    struct headroom_state state; /* of the last step, as the next four */
    int64_t slots, kept, x, n;
    size_t row; /* next */
};

static void loop_step(struct loop *l, struct mono now)
{
    l->state = headroom_at(l->headroom, now);
    l->slots = (l->allocatable - l->demand) / CORES(1);
    l->kept = kept_slots(0, l->state.milli, CORES(1), l->hole_slots);
    l->x = set_point(l->slots, l->kept, 0, 1000);
    l->n = damper_push(&l->damper, now, l->x);
}

static void loop_tell(struct loop *l, const struct row *row)
{
    struct mono now = {.us = row->us};

    l->demand += row->create ? row->milli : -row->milli;
    if (row->create && row->us > 0)
        (void)headroom_arrived(l->headroom, now, l->demand);
    headroom_demand(l->headroom, now, l->demand, l->allocatable);
}

/* Steps at every row of the trace, and when something wakes. */
static void loop_until(struct loop *l, const struct trace *t, int64_t end_us)
{
    for (;;) {
        int64_t next = l->row < t->len ? t->rows[l->row].us : INT64_MAX;
        struct mono rise;

        if (l->state.has_wake)
            next = min_i64(next, l->state.wake.us);
        if (damper_next_rise(&l->damper, &rise))
            next = min_i64(next, rise.us);
        if (next > end_us)
            break;
        while (l->row < t->len && t->rows[l->row].us <= next)
            loop_tell(l, &t->rows[l->row++]);
        loop_step(l, (struct mono){.us = next});
    }
    loop_step(l, (struct mono){.us = end_us});
}

Test(headroom, follows_the_worked_example)
{
    static const struct {
        double t, demand, u, h;
        enum headroom_kind kind;
        int64_t slots, kept, x, n;
    } rows[] = {
        {90, 18, 0, 30, HEADROOM_CAREFUL, 166, 32, 134, 134},
        {915, 26, 8, 30, HEADROOM_CAREFUL, 158, 32, 126, 126},
        {975, 42, 16, 30, HEADROOM_CAREFUL, 142, 32, 110, 110},
        {1035, 74, 32, 64, HEADROOM_SURGE, 110, 64, 46, 46},
        {1050, 74, 0, 30, HEADROOM_CAREFUL, 110, 32, 78, 46},
        {1095, 78, 4, 30, HEADROOM_CAREFUL, 106, 32, 74, 46},
        {1140, 78, 0, 30, HEADROOM_CAREFUL, 106, 32, 74, 74},
        {1500, 18, 0, 30, HEADROOM_CAREFUL, 166, 32, 134, 74},
        {1590, 18, 0, 30, HEADROOM_CAREFUL, 166, 32, 134, 134},
        /* The second cycle: the same; from its fifth pod on 20 rises are known, 32 the largest. */
        {2115, 26, 8, 30, HEADROOM_CAREFUL, 158, 32, 126, 126},
        {2175, 42, 16, 30, HEADROOM_USUAL, 142, 32, 110, 110},
        {2235, 74, 32, 64, HEADROOM_SURGE, 110, 64, 46, 46},
        {2700, 18, 0, 30, HEADROOM_USUAL, 166, 32, 134, 74},
        {2790, 18, 0, 30, HEADROOM_USUAL, 166, 32, 134, 134},
        /* The third is expected: 32 more, seen twice, from j + A + 6 s before. */
        {3407, 42, 0, 30, HEADROOM_USUAL, 142, 32, 110, 110},
        {3408, 42, 0, 32, HEADROOM_EXPECTED, 142, 32, 110, 110},
        {3435, 74, 32, 64, HEADROOM_SURGE, 110, 64, 46, 46},
        {3450, 74, 0, 30, HEADROOM_USUAL, 110, 32, 78, 46},
        /* From 3600 s on the ceiling counts. */
        {3599, 78, 0, 30, HEADROOM_USUAL, 106, 32, 74, 74},
        {3600, 78, 0, 9.2, HEADROOM_CEILING, 106, 12, 94, 74},
        {8235, 74, 32, 13.2, HEADROOM_CEILING, 110, 16, 94, 94},
        {8295, 78, 4, 9.2, HEADROOM_CEILING, 106, 12, 94, 94},
    };
    struct headroom_config c = config_of(30);
    struct trace trace = trace_read("seed003");
    struct loop l = {.headroom = headroom_new(&c), .allocatable = CORES(184), .hole_slots = 4};

    damper_init(&l.damper, c.settle_us);
    (void)damper_push(&l.damper, at(0), 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        loop_until(&l, &trace, S(rows[i].t));
        cr_expect_eq(l.demand, CORES(rows[i].demand), "%g s: D %lld", rows[i].t,
                     (long long)l.demand);
        cr_expect_eq(l.state.rise, CORES(rows[i].u), "%g s: u %lld", rows[i].t,
                     (long long)l.state.rise);
        cr_expect_eq(l.state.milli, CORES(rows[i].h), "%g s: H %lld", rows[i].t,
                     (long long)l.state.milli);
        cr_expect_eq(l.state.kind, rows[i].kind, "%g s: %s", rows[i].t,
                     headroom_kind_name(l.state.kind));
        cr_expect(l.slots == rows[i].slots && l.kept == rows[i].kept && l.x == rows[i].x &&
                      l.n == rows[i].n,
                  "%g s: S %lld h %lld x %lld N %lld", rows[i].t, (long long)l.slots,
                  (long long)l.kept, (long long)l.x, (long long)l.n);
    }
    loop_until(&l, &trace, S(15300));
    cr_expect_eq(l.state.surges, 12, "%llu surges, one a cycle",
                 (unsigned long long)l.state.surges);
    cr_expect_eq(l.state.expected_came, 10, "%llu came", (unsigned long long)l.state.expected_came);
    cr_expect_eq(l.state.expected_missed, 0, "%llu did not come",
                 (unsigned long long)l.state.expected_missed);
    free(trace.rows);
    damper_done(&l.damper);
    headroom_free(l.headroom);
}

Test(headroom, min_is_kept_where_the_ceiling_is_lower)
{
    struct headroom_config c = headroom_config_default();
    struct headroom *h;
    struct headroom_state s;

    c.min_milli = CORES(8);
    c.max_milli = CORES(30);
    h = headroom_new(&c);
    headroom_demand(h, (struct mono){S(0)}, CORES(20), CORES(100));
    s = headroom_at(h, (struct mono){S(4000)});
    cr_assert_eq(s.ceiling, CORES(5), "nothing above 20 was wanted");
    cr_assert_eq(s.milli, CORES(8));
    cr_assert_eq(s.kind, HEADROOM_CEILING, "without it there would be 30");
    c.max_milli = CORES(8);
    headroom_configure(h, &c);
    s = headroom_at(h, (struct mono){S(4000)});
    cr_assert_eq(s.milli, CORES(8));
    cr_assert_eq(s.kind, HEADROOM_CAREFUL, "the ceiling takes nothing away");
    headroom_free(h);
}

/* ---- the model: lists, and the text of docs/CONTROL.md 4 ---- */

struct change {
    int64_t since, value;
};

struct span {
    int64_t from, to, value;
};

struct model {
    struct headroom_config c;
    struct change *d; /* since the last gap, the last of each moment */
    size_t n_d, cap_d;
    struct span *known; /* all that ever was in force, but for now */
    size_t n_known, cap_known;
    int64_t *u;
    size_t n_u, cap_u;
    int64_t *starts; /* of surges since the last gap */
    size_t n_starts, cap_starts;
    uint64_t surges, came, missed, above; /* of what lies before the last gap, but for above */
    bool on;
    int64_t judged; /* surges are, of all times up to before this one */
    int64_t now, allocatable;
};

static void model_done(struct model *m)
{
    free(m->d);
    free(m->known);
    free(m->u);
    free(m->starts);
}

static int64_t demand_at(const struct model *m, int64_t t)
{
    for (size_t i = m->n_d; i-- > 0;)
        if (m->d[i].since <= t)
            return m->d[i].value;
    return m->d[0].value;
}

static int64_t peak_over(const struct model *m, int64_t from, int64_t to)
{
    int64_t max = 0;

    for (size_t i = 0; i < m->n_d && m->d[i].since <= to; i++)
        if (i + 1 == m->n_d || m->d[i + 1].since > from)
            max = max_i64(max, m->d[i].value);
    return max;
}

static bool known_at(const struct model *m, int64_t t)
{
    return m->n_d > 0 && m->d[0].since <= t;
}

static int64_t model_rise(const struct model *m, int64_t t)
{
    if (!known_at(m, t - m->c.actuation_us))
        return 0;
    return max_i64(0, demand_at(m, t) - peak_over(m, t - m->c.settle_us, t - m->c.actuation_us));
}

static size_t model_values(const struct model *m)
{
    return m->n_u < (size_t)m->c.samples ? m->n_u : (size_t)m->c.samples;
}

static int falling(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x < y) - (x > y);
}

static int64_t model_need(const struct model *m)
{
    size_t k = model_values(m);
    int64_t sorted[64], need;

    if (k == 0)
        return 0;
    cr_assert(k <= COUNT_OF(sorted));
    memcpy(sorted, &m->u[m->n_u - k], k * sizeof *sorted);
    qsort(sorted, k, sizeof *sorted, falling);
    need = sorted[(size_t)m->c.blocked_ppm * k / 1000000];
    return need;
}

static int64_t model_usual(const struct model *m)
{
    if (m->c.fixed || model_values(m) < (size_t)m->c.needed)
        return m->c.max_milli;
    return max_i64(m->c.min_milli, min_i64(model_need(m), m->c.max_milli));
}

static void judge(struct model *m, int64_t t)
{
    bool above = model_rise(m, t) > model_usual(m);

    if (above && !m->on &&
        (m->n_starts == 0 || t - m->starts[m->n_starts - 1] >= m->c.actuation_us))
        VEC_PUSH(m->starts, m->n_starts, m->cap_starts, t);
    m->on = above;
}

/* When a piece of demand enters or leaves what u looks at. */
static size_t moments(const struct model *m, int64_t from, int64_t to, int64_t *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < m->n_d; i++) {
        int64_t times[] = {m->d[i].since + m->c.actuation_us, m->d[i].since + m->c.settle_us};

        for (size_t k = 0; k < COUNT_OF(times); k++)
            if (times[k] > from && times[k] < to)
                ret[n++] = times[k];
    }
    qsort(ret, n, sizeof *ret, falling);
    return n;
}

static void model_pass(struct model *m, int64_t now)
{
    int64_t *times = xcalloc(2 * m->n_d + 1, sizeof *times);
    size_t n;

    if (m->n_d > 0 && now > m->now) {
        judge(m, m->now);
        n = moments(m, m->now, now, times);
        while (n > 0)
            judge(m, times[--n]);
        VEC_PUSH(m->known, m->n_known, m->cap_known,
                 ((struct span){m->now, now, demand_at(m, m->now)}));
    }
    m->now = max_i64(m->now, now);
    free(times);
}

static void model_demand(struct model *m, int64_t now, int64_t value)
{
    model_pass(m, now);
    if (m->n_d > 0 && m->d[m->n_d - 1].since == m->now)
        m->n_d--;
    VEC_PUSH(m->d, m->n_d, m->cap_d, ((struct change){m->now, value}));
}

static int64_t model_arrived(struct model *m, int64_t now, int64_t value)
{
    int64_t u;

    model_demand(m, now, value);
    if (!known_at(m, m->now - m->c.actuation_us))
        return 0;
    u = model_rise(m, m->now);
    m->above += u > model_usual(m);
    VEC_PUSH(m->u, m->n_u, m->cap_u, u);
    return u;
}

/* What became of the times that pairs of surges made due. */
static void count_due(const struct model *m, int64_t now, uint64_t *ret_came, uint64_t *ret_missed)
{
    int64_t a = m->c.actuation_us, j = m->c.jitter_us;

    for (size_t i = 1; i < m->n_starts; i++) {
        int64_t p = m->starts[i] - m->starts[i - 1];
        bool last = i + 1 == m->n_starts;
        int64_t until = last ? now : m->starts[i + 1];

        for (int k = 1; p >= 4 * a && k <= 2; k++) {
            int64_t due = m->starts[i] + k * p;

            if (due + j < until)
                ++*ret_missed;
            else if (!last && due - j - a - S(6) <= until) {
                ++*ret_came;
                break;
            }
        }
    }
}

static void model_gap(struct model *m, int64_t now)
{
    if (m->n_d > 0)
        judge(m, m->now);
    count_due(m, m->now, &m->came, &m->missed);
    m->surges += m->n_starts;
    m->n_starts = 0;
    m->n_d = 0;
    m->on = false;
    m->now = max_i64(m->now, now);
}

static int64_t model_expected(const struct model *m)
{
    int64_t a = m->c.actuation_us, j = m->c.jitter_us, t = m->now, r[3];
    size_t n = 0;

    if (m->n_starts < 2)
        return 0;

    int64_t p = m->starts[m->n_starts - 1] - m->starts[m->n_starts - 2];

    if (p < 4 * a)
        return 0;
    for (int k = 1; k <= 3; k++) {
        int64_t from = t - k * p - j, arrived = demand_at(m, t) - demand_at(m, t - 2 * j);

        if (known_at(m, from))
            r[n++] = peak_over(m, from, min_i64(t, from + 2 * j + a + S(6))) - demand_at(m, from) -
                     max_i64(0, arrived);
    }
    qsort(r, n, sizeof *r, falling);
    return n >= 2 ? max_i64(0, r[1]) : 0;
}

/* *ret_peak: of the window, the part that is the oldest whole. */
static int64_t model_ceiling(const struct model *m, int64_t *ret_peak)
{
    int64_t width = (m->c.ceiling_window_us - 1) / PEAKS + 1, known = 0;
    int64_t part = m->now >= 0 ? m->now / width : -((-m->now + width - 1) / width);
    int64_t from = (part - PEAKS) * width;

    *ret_peak = demand_at(m, m->now);
    for (size_t i = 0; i < m->n_known; i++) {
        if (m->known[i].to <= from)
            continue;
        known += m->known[i].to - max_i64(from, m->known[i].from);
        *ret_peak = max_i64(*ret_peak, m->known[i].value);
    }
    if (known < min_i64(S(3600), m->c.ceiling_window_us))
        return INT64_MAX;
    return max_i64(0, *ret_peak + (m->allocatable * m->c.ceiling_ppm + 999999) / 1000000 -
                          demand_at(m, m->now));
}

/* ---- headroom against the model ---- */

struct against {
    struct headroom *h;    /* asked all the time */
    struct headroom *twin; /* asked now and then */
    struct model m;
    int64_t demand, rose; /* when D last rose */
    bool reconfigured;    /* what is due was judged with another A and j */
    const char *where;
};

#define SAME(field, want)                                                                          \
    cr_assert(s.field == (want), "%s: " #field " is %lld, the model's %lld", a->where,             \
              (long long)s.field, (long long)(want))

static void check_state(const struct against *a, struct headroom_state s)
{
    struct model m = a->m;
    int64_t peak = 0, usual = model_usual(&m), u = 0, surge = 0, expected = 0, top = INT64_MAX;
    uint64_t came = m.came, missed = m.missed;

    /* The moment itself is judged for the answer only: more may be told of it. */
    m.starts = xcalloc(m.n_starts + 1, sizeof *m.starts);
    for (size_t i = 0; i < m.n_starts; i++)
        m.starts[i] = a->m.starts[i];
    m.cap_starts = m.n_starts + 1;
    if (m.n_d > 0) {
        judge(&m, m.now);
        u = model_rise(&m, m.now);
        if (!m.c.fixed) {
            surge = u > usual ? (u * m.c.surge_percent + 99) / 100 : 0;
            expected = model_expected(&m);
            top = model_ceiling(&m, &peak);
        }
    }
    count_due(&m, m.now, &came, &missed);
    SAME(rise, u);
    SAME(need, model_need(&m));
    SAME(usual, usual);
    SAME(surge, surge);
    SAME(expected, expected);
    SAME(ceiling, top);
    SAME(milli, max_i64(m.c.min_milli, min_i64(top, max_i64(usual, max_i64(surge, expected)))));
    SAME(values, model_values(&m));
    SAME(arrivals, m.n_u);
    SAME(above, m.above);
    SAME(surges, m.surges + m.n_starts);
    if (!a->reconfigured) {
        SAME(expected_came, came);
        SAME(expected_missed, missed);
    }
    free(m.starts);

    /* docs/CONTROL.md 7.6 and 7.7 */
    cr_assert(s.usual <= m.c.max_milli, "%s: H0 above max", a->where);
    if (top != INT64_MAX)
        cr_assert(s.milli == m.c.min_milli ||
                      a->demand + s.milli <=
                          peak + (m.allocatable * m.c.ceiling_ppm + 999999) / 1000000,
                  "%s: above the peak and its margin", a->where);
    if (m.now >= a->rose + m.c.actuation_us)
        cr_assert_eq(s.surge, 0, "%s: a surge later than A after the last arrival", a->where);
    if (s.has_wake)
        cr_assert(s.wake.us > m.now, "%s: wakes in the past", a->where);
}

static void ask(struct against *a, struct random *r, int64_t until)
{
    struct headroom_state s = headroom_at(a->h, (struct mono){.us = a->m.now}), later;

    check_state(a, s);
    if (random_percent(r, 10)) {
        struct headroom_state twin = headroom_at(a->twin, (struct mono){.us = a->m.now});

        cr_assert(twin.milli == s.milli && twin.kind == s.kind && twin.surges == s.surges,
                  "%s: asking changes what is answered", a->where);
        /* What was due before another A and j is judged by those in force when it is looked at. */
        cr_assert(a->reconfigured || (twin.expected_came == s.expected_came &&
                                      twin.expected_missed == s.expected_missed),
                  "%s: asking changes what came as expected", a->where);
    }
    /* Nothing happens until then, and nothing changes before it said it might. */
    for (int i = 0; i < 3 && a->m.now < until; i++) {
        int64_t last = s.has_wake ? min_i64(until, s.wake.us - 1) : until;
        int64_t next = random_percent(r, 50) ? last : random_in(r, a->m.now, last);

        later = headroom_at(a->h, (struct mono){.us = next});
        cr_assert_eq(later.milli, s.milli, "%s: was to wake later", a->where);
        model_pass(&a->m, next);
        check_state(a, later);
        if (!s.has_wake || s.wake.us > until)
            break;
        next = s.wake.us;
        s = headroom_at(a->h, (struct mono){.us = next});
        model_pass(&a->m, next);
        check_state(a, s);
    }
}

static struct headroom_config random_config(struct random *r)
{
    struct headroom_config c = headroom_config_default();

    c.actuation_us = random_in(r, S(0.5), S(15));
    c.settle_us = random_in(r, c.actuation_us, S(120));
    c.max_milli = random_in(r, 0, CORES(40));
    c.min_milli = random_percent(r, 70) ? 0 : random_in(r, 0, c.max_milli);
    c.blocked_ppm = (int32_t)random_in(r, 0, 200000);
    c.samples = (int32_t)random_in(r, 1, 60);
    c.needed = (int32_t)random_in(r, 0, c.samples < 20 ? c.samples : 20);
    c.surge_percent = random_percent(r, 70) ? 200 : (int32_t)random_in(r, 0, 400);
    c.ceiling_ppm = (int32_t)random_in(r, 0, 100000);
    c.ceiling_window_us = random_in(r, S(600), S(30000));
    c.jitter_us = random_in(r, 0, S(15));
    c.fixed = random_percent(r, 5);
    return c;
}

static void both_demand(struct against *a, int64_t now, int64_t demand)
{
    struct mono t = {.us = now};

    model_demand(&a->m, now, demand);
    headroom_demand(a->h, t, demand, a->m.allocatable);
    headroom_demand(a->twin, t, demand, a->m.allocatable);
    if (demand > a->demand)
        a->rose = now;
    a->demand = demand;
}

/* Some pods of one moment arrive; told before, after or without the demand of that moment. */
static void both_arrive(struct against *a, struct random *r, int64_t now, int pods, int64_t most)
{
    int64_t demand = a->demand, first = a->demand;
    bool before = random_percent(r, 30), after = random_percent(r, 30);
    int64_t sizes[8];

    cr_assert(pods <= (int)COUNT_OF(sizes));
    for (int i = 0; i < pods; i++)
        demand += sizes[i] = random_in(r, 0, most);
    if (before)
        both_demand(a, now, demand);
    for (int i = 0; i < pods; i++) {
        int64_t with = first += sizes[i], u = model_arrived(&a->m, now, with);
        struct mono t = {.us = now};

        cr_assert_eq(headroom_arrived(a->h, t, with), u, "%s: u", a->where);
        cr_assert_eq(headroom_arrived(a->twin, t, with), u, "%s: u", a->where);
    }
    if (demand > a->demand || pods > 0)
        a->rose = now;
    a->demand = demand;
    if (after)
        both_demand(a, now, demand);
}

/* Random churn, or a burst every so often that comes a little early or late. */
struct pattern {
    int64_t period_us; /* 0: none */
    int64_t next_us, jitter_us, ends_us, size;
};

static int64_t random_pause(struct random *r)
{
    if (random_percent(r, 10))
        return 0;
    if (random_percent(r, 3))
        return random_in(r, 0, S(2000));
    return random_in(r, 0, S(12));
}

static void random_event(struct against *a, struct random *r, int64_t now)
{
    if (random_percent(r, 45))
        both_arrive(a, r, now, (int)random_in(r, 1, 3), CORES(4));
    else if (random_percent(r, 80))
        both_demand(a, now, max_i64(0, a->demand - random_in(r, 0, CORES(6))));
    else if (random_percent(r, 50))
        both_demand(a, now, random_in(r, 0, CORES(80)));
    else if (random_percent(r, 90))
        a->m.allocatable = random_in(r, 0, CORES(200));
}

/* The burst or its end, if it is time. */
static bool pattern_event(struct pattern *p, struct against *a, struct random *r, int64_t now)
{
    if (p->period_us == 0)
        return false;
    if (now >= p->ends_us) {
        both_demand(a, now, max_i64(0, a->demand - p->size));
        p->ends_us = INT64_MAX;
        return true;
    }
    if (now < p->next_us)
        return false;

    int64_t before = a->demand;

    both_arrive(a, r, now, 8, CORES(6));
    p->size = a->demand - before;
    p->ends_us = now + random_in(r, S(20), p->period_us / 2 + S(20));
    p->next_us += p->period_us + random_in(r, -p->jitter_us, p->jitter_us);
    return true;
}

static void run_against_model(struct random *r, int run, int events)
{
    struct headroom_config c = random_config(r);
    struct against a = {.h = headroom_new(&c), .twin = headroom_new(&c), .m = {.c = c}};
    struct pattern pattern = {.ends_us = INT64_MAX, .jitter_us = random_in(r, 0, S(15))};
    char where[80];

    a.where = where;
    a.m.now = random_in(r, -S(9000), S(1000));
    a.m.allocatable = CORES(100);
    if (random_percent(r, 70))
        pattern.period_us = random_in(r, S(20), S(400));
    pattern.next_us = a.m.now + S(100);
    for (int i = 0; i < events; i++) {
        int64_t now = a.m.now + random_pause(r);

        (void)snprintf(where, sizeof where, "seed %llu run %d event %d",
                       (unsigned long long)r->seed, run, i);
        now = max_i64(a.m.now,
                      min_i64(now, min_i64(pattern.ends_us,
                                           max_i64(a.m.now, pattern.period_us != 0 ? pattern.next_us
                                                                                   : INT64_MAX))));
        if (a.m.n_d > 0 && random_percent(r, 60))
            ask(&a, r, now);
        if (random_percent(r, 1) && random_percent(r, 30)) {
            (void)headroom_at(a.twin, (struct mono){.us = a.m.now}); /* known up to here */
            model_gap(&a.m, now);
            headroom_gap(a.h, (struct mono){.us = now});
            headroom_gap(a.twin, (struct mono){.us = now});
        } else if (!pattern_event(&pattern, &a, r, now)) {
            random_event(&a, r, now);
        }
        both_demand(&a, max_i64(now, a.m.now), a.demand);
        if (random_percent(r, 2)) {
            struct headroom_config other = random_config(r);

            other.ceiling_window_us = c.ceiling_window_us;
            other.samples = c.samples;
            other.needed = (int32_t)min_i64(other.needed, c.samples);
            headroom_configure(a.h, &other);
            headroom_configure(a.twin, &other);
            a.m.c = other;
            a.reconfigured = true;
        }
    }
    headroom_free(a.h);
    headroom_free(a.twin);
    model_done(&a.m);
}

Test(headroom, equals_the_model_made_from_the_text, .timeout = 300)
{
    struct random r = random_start("headroom against the model");

    for (int run = 0; run < 150; run++)
        run_against_model(&r, run, 300);
}

/* ---- P7, and what a flood does ---- */

/* One node: the filler of a moment is at most what was asked for within the last A. */
static void run_coverage(struct random *r, int run)
{
    struct headroom_config c = random_config(r);
    int64_t capacity = CORES(random_in(r, 20, 200)), slot = random_in(r, 1, 3000), demand = 0;
    int64_t holes = random_in(r, 1, 5);
    struct change *h = NULL, *n = NULL; /* of every step */
    size_t h_len = 0, h_cap = 0, n_len = 0, n_cap = 0;
    CLEANUP(headroom_free_ptr) struct headroom *head = headroom_new(&c);
    struct damper damper;
    struct mono now = {0}, rise;
    struct headroom_state s = {0};
    uint64_t covered = 0;

    damper_init(&damper, c.settle_us);
    headroom_demand(head, now, 0, capacity);
    for (int i = 0; i < 600; i++) {
        int64_t next = now.us + random_pause(r);

        if (i > 0 && s.has_wake)
            next = min_i64(next, max_i64(s.wake.us, now.us));
        if (damper_next_rise(&damper, &rise))
            next = min_i64(next, max_i64(rise.us, now.us));
        now.us = next;
        if (random_percent(r, 40)) {
            int64_t pod = random_in(r, 0, min_i64(capacity - demand, CORES(8)));
            int64_t from = now.us - c.settle_us, to = now.us - c.actuation_us;
            int64_t least = INT64_MAX, most = 0, u;

            demand += pod;
            u = headroom_arrived(head, now, demand);
            for (size_t k = 0; k < h_len && h[k].since <= to; k++)
                if (k + 1 == h_len || h[k + 1].since > from)
                    least = min_i64(least, h[k].value);
            for (size_t k = 0; k < n_len; k++)
                if (k + 1 == n_len || n[k + 1].since > to)
                    most = max_i64(most, n[k].value);
            if (least != INT64_MAX && u <= least) {
                covered++;
                cr_assert(demand + most * slot <= capacity,
                          "P7, seed %llu run %d step %d: %lld of paid load, %lld x %lld of filler",
                          (unsigned long long)r->seed, run, i, (long long)demand, (long long)most,
                          (long long)slot);
            }
        } else if (random_percent(r, 50)) {
            demand = max_i64(0, demand - random_in(r, 0, CORES(20)));
        }
        headroom_demand(head, now, demand, capacity);
        s = headroom_at(head, now);
        if (h_len > 0 && h[h_len - 1].since == now.us)
            h_len--;
        VEC_PUSH(h, h_len, h_cap, ((struct change){now.us, s.milli}));

        int64_t slots = (capacity - demand) / slot;
        int64_t point = set_point(slots, kept_slots(0, s.milli, slot, holes), 0, INT64_MAX);

        VEC_PUSH(n, n_len, n_cap, ((struct change){now.us, damper_push(&damper, now, point)}));
    }
    cr_assert(covered > 0, "seed %llu run %d", (unsigned long long)r->seed, run);
    free(h);
    free(n);
    damper_done(&damper);
}

Test(headroom, P7_covers_every_rise_up_to_the_least_headroom, .timeout = 120)
{
    struct random r = random_start("headroom P7");

    for (int run = 0; run < 100; run++)
        run_coverage(&r, run);
}

/* A thousand changes a second for as long as it takes to fill everything, and T an hour. */
Test(headroom, learns_no_rise_too_small_in_a_flood, .timeout = 120)
{
    enum { EVENTS = 400000 };
    struct random r = random_start("headroom in a flood");
    struct headroom_config c = config_of(30);
    struct change *d = NULL;
    size_t len = 0, cap = 0;
    int64_t now = 0, demand = CORES(500), worst = 0;

    c.settle_us = S(3600);

    CLEANUP(headroom_free_ptr) struct headroom *h = headroom_new(&c);

    for (int i = 0; i < EVENTS; i++) {
        now += random_in(&r, 1, 2000);
        demand = max_i64(0, demand + random_in(&r, -1000, 1000));
        VEC_PUSH(d, len, cap, ((struct change){now, demand}));

        int64_t u = headroom_arrived(h, (struct mono){.us = now}, demand), peak = INT64_MIN;

        if (i % 1000 != 0 || now < c.actuation_us + c.actuation_us)
            continue;
        for (size_t k = 0; k < len && d[k].since <= now - c.actuation_us; k++)
            peak = max_i64(peak, d[k].value);
        cr_assert(u >= max_i64(0, demand - peak), "seed %llu event %d: %lld below %lld",
                  (unsigned long long)r.seed, i, (long long)u, (long long)(demand - peak));
        worst = max_i64(worst, u - max_i64(0, demand - peak));
    }
    cr_assert(now < c.settle_us, "the brute force looks at all of it");
    cr_expect(worst <= CORES(100), "seed %llu: %lld too much", (unsigned long long)r.seed,
              (long long)worst);
    free(d);
}

/* Until enough was learned here, what was learned elsewhere counts. */
Test(headroom, what_another_learned_counts_until_enough_is_known)
{
    struct headroom_config c = headroom_config_default();
    struct headroom_state s;

    c.max_milli = CORES(16);

    CLEANUP(headroom_free_ptr) struct headroom *h = headroom_new(&c);

    headroom_demand(h, (struct mono){0}, CORES(100), CORES(1000));
    headroom_told(h, CORES(3), c.needed - 1);
    s = headroom_at(h, (struct mono){S(1)});
    cr_assert_eq(s.kind, HEADROOM_CAREFUL);
    cr_assert_eq(s.usual, CORES(16));
    headroom_told(h, CORES(3), 500);
    headroom_told(h, CORES(1), c.needed - 1); /* means nothing */
    s = headroom_at(h, (struct mono){S(2)});
    cr_assert_eq(s.kind, HEADROOM_USUAL);
    cr_assert_eq(s.usual, CORES(3));
    cr_assert_eq(s.need, CORES(3));
    cr_assert_eq(s.values, 500);
    headroom_told(h, CORES(40), 500);
    s = headroom_at(h, (struct mono){S(3)});
    cr_assert_eq(s.usual, CORES(16));
    cr_assert(s.capped);
    for (int i = 0; i < c.needed; i++)
        (void)headroom_arrived(h, (struct mono){S(200)}, CORES(102));
    s = headroom_at(h, (struct mono){S(200)});
    cr_assert_eq(s.values, (size_t)c.needed);
    cr_assert_eq(s.usual, CORES(2));
}
