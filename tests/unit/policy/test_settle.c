#include "policy/settle.h"

#include <criterion/criterion.h>

#include "base/alloc.h"
#include "base/num.h"
#include "policy/damper.h"
#include "tests/unit/policy/random.h"

#define S(seconds) ((int64_t)((seconds)*1e6))

static struct mono at(double seconds)
{
    return (struct mono){.us = S(seconds)};
}

static struct settle_config automatic(double actuation_s, double kill_s)
{
    return (struct settle_config){
        .automatic = true, .actuation_us = S(actuation_s), .kill_us = S(kill_s)};
}

Test(settle, says_the_least_T_that_may_be_in_force)
{
    static const struct {
        bool automatic;
        double settle, actuation, least;
    } rows[] = {
        {false, 90, 11.3, 90}, {false, 10, 11.3, 22.6}, {true, 90, 11.3, 30},
        {true, 0, 20, 40},     {true, 10, 1000, 2000},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct settle_config c = {
            .automatic = rows[i].automatic,
            .settle_us = S(rows[i].settle),
            .actuation_us = S(rows[i].actuation),
        };

        cr_expect_eq(settle_least_us(&c), S(rows[i].least), "row %zu", i);
    }
}

Test(settle, with_a_fixed_T_is_a_damper)
{
    struct random r = random_start("settle with a fixed T");
    struct settle_config c = {.settle_us = S(60), .actuation_us = S(5)};
    CLEANUP(settle_free_ptr) struct settle *s = settle_new(&c);
    struct mono now = {.us = -S(1000)}, a, b;
    struct damper d;
    int64_t n;

    damper_init(&d, S(60));
    cr_assert(!settle_value(s, &n) && !settle_next_rise(s, &a));
    for (int i = 0; i < 5000; i++) {
        int64_t x = random_in(&r, 0, 100);

        now.us += random_in(&r, 0, S(20));
        cr_assert_eq(settle_push(s, now, x), damper_push(&d, now, x));
        cr_assert(settle_value(s, &n) && damper_value(&d, &x) && n == x);
        cr_assert_eq(settle_next_rise(s, &a), damper_next_rise(&d, &b));
        cr_assert(!damper_next_rise(&d, &b) || a.us == b.us);
    }
    cr_assert_eq(settle_window_us(s), S(60));
    damper_done(&d);
}

/* Room comes every 10 min for so many seconds, and goes again. */
static int64_t settled_on(double free_s, double kill_s)
{
    struct settle_config c = automatic(5, kill_s);
    CLEANUP(settle_free_ptr) struct settle *s = settle_new(&c);

    for (int t = 0; t < 3 * 3600; t++)
        (void)settle_push(s, at(t), t % 600 < free_s ? 50 : 10);
    return settle_window_us(s);
}

Test(settle, learns_what_pays)
{
    cr_expect_eq(settled_on(590, 10), S(30), "long free, cheap kills: early");
    cr_expect_eq(settled_on(590, 700), S(900), "a kill costs more than there is to have");
    cr_expect_eq(settled_on(80, 60), S(900), "free for 80 s, a kill costs 60: not worth it");
    cr_expect_eq(settled_on(80, 45), S(30), "it is now");
}

Test(settle, is_careful_in_its_first_hour)
{
    struct settle_config c = automatic(5, 0);
    CLEANUP(settle_free_ptr) struct settle *s = settle_new(&c);

    (void)settle_push(s, at(0), 10);
    (void)settle_push(s, at(0), 50);
    for (int t = 1; t < 90; t++)
        cr_assert_eq(settle_push(s, at(t), 50), 10, "%d s", t);
    cr_assert_eq(settle_push(s, at(90), 50), 50);
    cr_assert_eq(settle_window_us(s), S(90));
    (void)settle_push(s, at(3599), 50);
    cr_assert_eq(settle_window_us(s), S(90));
    (void)settle_push(s, at(3600), 50);
    cr_assert_eq(settle_window_us(s), S(30), "kills cost nothing");
}

Test(settle, keeps_N_when_its_mode_changes)
{
    struct settle_config fixed = {.settle_us = S(60), .actuation_us = S(5)};
    struct settle_config other = automatic(5, 60);
    CLEANUP(settle_free_ptr) struct settle *s = settle_new(&fixed);

    (void)settle_push(s, at(0), 20);
    (void)settle_push(s, at(10), 30);
    settle_configure(s, &other);
    cr_assert_eq(settle_push(s, at(20), 30), 20);
    cr_assert_eq(settle_push(s, at(99), 30), 20, "as if at a start");
    cr_assert_eq(settle_push(s, at(100), 30), 30);
    settle_configure(s, &fixed);
    cr_assert_eq(settle_push(s, at(101), 40), 30);
    cr_assert_eq(settle_push(s, at(102), 5), 5);
}

/* ---- against the lists ---- */

struct change {
    int64_t since, value;
};

struct model {
    struct settle_config c;
    struct change *x;
    size_t len, cap;
    int64_t n;
};

static int64_t least_over(const struct model *m, int64_t from, int64_t to)
{
    int64_t least = INT64_MAX;

    for (size_t i = 0; i < m->len && m->x[i].since <= to; i++)
        if (i + 1 == m->len || m->x[i + 1].since > from)
            least = min_i64(least, m->x[i].value);
    return least;
}

static int rising(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* N dt - K per kill of one T, from `oldest` on. Every change of N is at one of x or T after it. */
static double model_score(const struct model *m, int64_t window_us, int64_t oldest, int64_t now)
{
    int64_t *times = xcalloc(2 * m->len + 2, sizeof *times), before = 0;
    size_t n = 0;
    long double score = 0;

    times[n++] = now;
    times[n++] = max_i64(oldest, m->x[0].since);
    for (size_t i = 0; i < m->len; i++) {
        times[n++] = m->x[i].since;
        times[n++] = m->x[i].since + window_us;
    }
    qsort(times, n, sizeof *times, rising);
    for (size_t i = 0; i < n && times[i] <= now; i++) {
        int64_t value = least_over(m, times[i] - window_us, times[i]);
        int64_t end = i + 1 < n ? min_i64(times[i + 1], now) : now;

        if (times[i] >= oldest && value < before)
            score -= (long double)m->c.kill_us * (before - value);
        if (times[i] >= oldest)
            score += (long double)value * (end - times[i]);
        before = value;
    }
    free(times);
    return (double)score;
}

static int64_t minute_of(int64_t us)
{
    return us >= 0 ? us / S(60) : -((-us + S(60) - 1) / S(60));
}

/*
 * What the minute that `now` lies in begins with: the best T of the 60 before, 90 s before an hour is
 * known. `twin` has seen what the model has, and tells the scores in between.
 */
static int64_t model_choice(const struct model *m, struct settle *twin, int64_t now, int64_t x,
                            bool look)
{
    int64_t begin = minute_of(now) * S(60), best_us = settle_try_us(twin, 2);
    double highest = -1e300;

    (void)settle_push(twin, (struct mono){.us = begin}, x);
    if (begin - m->x[0].since < S(3600))
        return best_us;
    for (size_t k = 0; k < SETTLE_TRIES; k++) {
        double score = look ? model_score(m, settle_try_us(twin, k), begin - S(3600), begin)
                            : settle_score(twin, k);

        best_us = score >= highest ? settle_try_us(twin, k) : best_us;
        highest = score >= highest ? score : highest;
    }
    return best_us;
}

static void run_auto(struct random *r, int run)
{
    struct settle_config c = automatic((double)random_in(r, 1, 30), (double)random_in(r, 0, 600));
    CLEANUP(settle_free_ptr) struct settle *s = settle_new(&c);
    CLEANUP(settle_free_ptr) struct settle *twin = settle_new(&c);
    struct model m = {.c = c};
    int64_t now = random_in(r, -S(9000), S(1000)), x = random_in(r, 0, 50), fell = INT64_MIN;
    int64_t direction_n = 0, direction_x = 0, turns_n = 0, turns_x = 0, start = now;
    int64_t minute = minute_of(now), best_us = settle_try_us(s, 2);

    for (int i = 0; i < 400; i++) {
        int64_t before = m.n, x_before = x, best;

        now += random_percent(r, 10) ? random_in(r, 0, S(600)) : random_in(r, 1, S(30));
        x = random_percent(r, 30) ? x : random_in(r, 0, 50);
        if (m.len == 0)
            now = start;
        if (minute_of(now) != minute)
            best_us = model_choice(&m, twin, now, x_before, i % 8 == 0);
        minute = minute_of(now);
        VEC_PUSH(m.x, m.len, m.cap, ((struct change){now, x}));
        m.n = settle_push(s, (struct mono){.us = now}, x);
        (void)settle_push(twin, (struct mono){.us = now}, x);

        /* The score of each T, by whole minutes. */
        for (size_t k = 0; k < SETTLE_TRIES; k++) {
            int64_t try_us = settle_try_us(s, k);
            double score = i % 8 == 0 ? model_score(&m, try_us, (minute - 60) * S(60), now)
                                      : settle_score(s, k);

            cr_assert(score - settle_score(s, k) < 1 && settle_score(s, k) - score < 1,
                      "seed %llu run %d push %d T %lld: score %.0f, not %.0f",
                      (unsigned long long)r->seed, run, i, (long long)try_us, settle_score(s, k),
                      score);
        }
        cr_assert_eq(settle_window_us(s), best_us, "seed %llu run %d push %d",
                     (unsigned long long)r->seed, run, i);
        best = least_over(&m, now - best_us, now);
        cr_assert_eq(m.n, i == 0 ? x : max_i64(best, min_i64(before, x)),
                     "seed %llu run %d push %d: N %lld", (unsigned long long)r->seed, run, i,
                     (long long)m.n);

        /* P1 to P3 with the least T, and nothing falls but for x. */
        int64_t least_us = settle_least_us(&c);

        cr_assert(m.n <= least_over(&m, now - least_us, now), "seed %llu run %d push %d",
                  (unsigned long long)r->seed, run, i);
        if (i == 0)
            continue;
        cr_assert(m.n >= before || m.n == x, "fell below x");
        if (m.n > before)
            cr_assert(fell == INT64_MIN || now - fell >= least_us, "P3, seed %llu run %d push %d",
                      (unsigned long long)r->seed, run, i);
        fell = m.n < before ? now : fell;

        int64_t way_n = (m.n > before) - (m.n < before), way_x = (x > x_before) - (x < x_before);

        turns_n += way_n != 0 && direction_n == -way_n;
        turns_x += way_x != 0 && direction_x == -way_x;
        direction_n = way_n != 0 ? way_n : direction_n;
        direction_x = way_x != 0 ? way_x : direction_x;
        cr_assert(turns_n <= turns_x, "P2, seed %llu run %d push %d", (unsigned long long)r->seed,
                  run, i);
    }
    free(m.x);
}

Test(settle, equals_the_lists_and_P1_P2_P3_hold_with_the_least_T, .timeout = 120)
{
    struct random r = random_start("settle against the lists");

    for (int run = 0; run < 40; run++)
        run_auto(&r, run);
}

/* Pushed when x changes and when it asked to be, and the same with questions in between. */
static void run_questions(struct random *r, int run)
{
    struct settle_config c = automatic((double)random_in(r, 1, 30), (double)random_in(r, 0, 300));
    CLEANUP(settle_free_ptr) struct settle *s = settle_new(&c);
    CLEANUP(settle_free_ptr) struct settle *asked = settle_new(&c);
    int64_t x = random_in(r, 0, 50), change_us = random_in(r, -S(9000), S(1000));
    int64_t end_us = change_us + S(9000), last_us = change_us;

    for (int64_t now = change_us; now < end_us;) {
        struct mono wake;

        for (int i = 0; now > last_us && i < 3; i++) {
            int64_t between = random_in(r, last_us, now - 1);

            (void)settle_push(asked, (struct mono){.us = between}, x);
            last_us = between;
        }
        if (now == change_us) {
            x = random_percent(r, 20) ? x : random_in(r, 0, 50);
            change_us += random_percent(r, 20) ? random_in(r, 1, S(900)) : random_in(r, 1, S(60));
        }

        int64_t n = settle_push(s, (struct mono){.us = now}, x);

        cr_assert_eq(settle_push(asked, (struct mono){.us = now}, x), n,
                     "seed %llu run %d at %lld: N", (unsigned long long)r->seed, run,
                     (long long)now);
        cr_assert_eq(settle_window_us(asked), settle_window_us(s), "seed %llu run %d at %lld: T",
                     (unsigned long long)r->seed, run, (long long)now);
        last_us = now;
        now = change_us;
        if (settle_next_rise(s, &wake)) {
            cr_assert(wake.us > last_us, "seed %llu run %d: a wake in the past",
                      (unsigned long long)r->seed, run);
            now = min_i64(now, wake.us);
        }
    }
}

Test(settle, misses_nothing_before_it_asks_to_be_pushed, .timeout = 120)
{
    struct random r = random_start("settle with questions in between");

    for (int run = 0; run < 200; run++)
        run_questions(&r, run);
}

Test(settle, survives_times_and_counts_at_their_ends)
{
    struct settle_config c = {.automatic = true, .actuation_us = INT64_MAX, .kill_us = INT64_MAX};
    CLEANUP(settle_free_ptr) struct settle *s = settle_new(&c);

    cr_assert_eq(settle_push(s, (struct mono){INT64_MIN}, INT64_MAX), INT64_MAX);
    cr_assert_eq(settle_push(s, (struct mono){INT64_MAX}, 0), 0);
    cr_assert_eq(settle_push(s, (struct mono){0}, INT64_MAX), 0);
    settle_free(NULL);
}
