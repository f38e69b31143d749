#include "policy/damper.h"

#include <criterion/criterion.h>

#include "base/alloc.h"
#include "tests/unit/policy/random.h"

#define S(seconds) ((int64_t)((seconds)*1e6))

static struct mono at(double seconds)
{
    return (struct mono){.us = S(seconds)};
}

/* Values and times rise from front to back, all within the ring. */
static void check_invariants(const struct damper *d)
{
    cr_assert(d->len <= d->cap && d->len <= DAMPER_MAX);
    for (size_t i = 1; i < d->len; i++) {
        const struct damper_entry *a = &d->at[(d->first + i - 1) % d->cap];
        const struct damper_entry *b = &d->at[(d->first + i) % d->cap];

        cr_assert(a->value < b->value, "entry %zu", i);
        cr_assert(a->since.us <= b->since.us && b->since.us <= d->last.us, "entry %zu", i);
    }
}

static int64_t push(struct damper *d, double seconds, int64_t value)
{
    int64_t n = damper_push(d, at(seconds), value);
    int64_t again;

    check_invariants(d);
    cr_assert(damper_value(d, &again) && again == n);
    return n;
}

Test(damper, holds_a_rise_for_the_window_and_yields_at_once)
{
    static const struct {
        const char *name;
        double t;
        int64_t value, n;
    } rows[] = {
        {"found", 0, 10, 10},
        {"room", 0, 30, 10},
        {"not yet", 89.999999, 30, 10},
        {"free for T", 90, 30, 30},
        {"yield", 100, 5, 5},
        {"back at once", 101, 30, 5},
        {"less came back", 150, 20, 5},
        {"the fall is T ago", 190, 20, 5},
        {"its end is T ago", 191, 20, 20},
        {"20 since 101", 200, 20, 20},
        {"the same", 1000, 20, 20},
        {"zero", 1001, 0, 0},
    };
    struct damper d;

    damper_init(&d, S(90));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t n = push(&d, rows[i].t, rows[i].value);

        cr_expect_eq(n, rows[i].n, "%s: %lld", rows[i].name, (long long)n);
    }
    damper_done(&d);
}

Test(damper, says_when_it_will_rise)
{
    struct damper d;
    struct mono rise = at(-1);
    int64_t n;

    damper_init(&d, S(90));
    cr_assert(!damper_next_rise(&d, &rise));
    cr_assert(!damper_value(&d, &n));
    (void)push(&d, 10, 3);
    cr_assert(!damper_next_rise(&d, &rise), "nothing more is wanted");
    (void)push(&d, 12.5, 22);
    (void)push(&d, 20, 30);
    cr_assert(damper_next_rise(&d, &rise));
    cr_assert_eq(rise.us, S(102.5));
    cr_assert_eq(push(&d, 102.499999, 30), 3);
    cr_assert_eq(push(&d, 102.5, 30), 22);
    cr_assert(damper_next_rise(&d, &rise));
    cr_assert_eq(rise.us, S(110));
    damper_done(&d);
}

Test(damper, without_a_window_is_the_set_point)
{
    struct damper d;

    damper_init(&d, 0);
    cr_assert_eq(push(&d, 0, 5), 5);
    cr_assert_eq(push(&d, 0, 9), 9);
    cr_assert_eq(push(&d, 1, 2), 2);
    damper_done(&d);
}

Test(damper, takes_a_time_that_goes_back_as_the_last_one)
{
    struct damper d;

    damper_init(&d, S(90));
    (void)push(&d, 100, 5);
    cr_assert_eq(push(&d, 50, 8), 5);
    cr_assert_eq(d.last.us, S(100));
    cr_assert_eq(push(&d, 140, 8), 5, "50 + T is no reason to rise");
    cr_assert_eq(push(&d, 190, 8), 8);
    cr_assert_eq(push(&d, 1, 3), 3, "a yield does not wait for a clock");
    damper_done(&d);
}

Test(damper, changes_its_window_without_a_fall)
{
    struct damper d;

    damper_init(&d, S(90));
    (void)push(&d, 0, 5);
    (void)push(&d, 10, 8);
    damper_set_window(&d, S(900));
    cr_assert_eq(push(&d, 100, 8), 5);
    damper_set_window(&d, S(50));
    cr_assert_eq(push(&d, 100, 8), 8);
    damper_set_window(&d, S(900));
    cr_assert_eq(push(&d, 101, 9), 8);
    damper_set_window(&d, -1);
    cr_assert_eq(push(&d, 101, 9), 9, "below 0 counts as 0");
    damper_done(&d);
}

Test(damper, survives_times_at_both_ends)
{
    struct damper d;
    struct mono rise;

    damper_init(&d, INT64_MAX);
    (void)damper_push(&d, (struct mono){INT64_MIN}, 3);
    (void)damper_push(&d, (struct mono){INT64_MIN}, 5);
    cr_assert_eq(damper_push(&d, (struct mono){INT64_MAX}, 5), 5);
    (void)damper_push(&d, (struct mono){INT64_MAX}, 9);
    cr_assert(damper_next_rise(&d, &rise));
    cr_assert_eq(rise.us, INT64_MAX);
    damper_done(&d);
    damper_done(&d);
}

Test(damper, merges_downwards_when_it_is_full)
{
    struct damper d;

    damper_init(&d, S(100000));
    for (int i = 0; i < DAMPER_MAX + 500; i++)
        cr_assert_eq(push(&d, i, i), 0);
    cr_assert_eq(d.len, DAMPER_MAX);
    /* The youngest is there as it is; what came before it stands lower than it was, never higher.
     */
    cr_assert_eq(push(&d, DAMPER_MAX + 500 + 100000, DAMPER_MAX + 499), DAMPER_MAX + 499);
    damper_done(&d);

    damper_init(&d, S(100000));
    for (int i = 0; i < DAMPER_MAX + 500; i++)
        (void)push(&d, i, i);
    for (int i = 0; i < DAMPER_MAX + 500; i++)
        cr_assert(push(&d, 100000 + i, 1000000) <= i, "slot %d was not free for T", i);
    damper_done(&d);
}

/* What was pushed, for the brute force: from at[i].since to at[i + 1].since the set point was
 * at[i].value. */
struct history {
    struct damper_entry *at;
    size_t len, cap, from; /* from: earlier ones are out of every window */
};

static int64_t least_of_window(struct history *h, struct mono now, int64_t window_us)
{
    int64_t least = h->at[h->len - 1].value;

    for (; h->from + 1 < h->len && now.us - h->at[h->from + 1].since.us >= window_us; h->from++)
        continue;
    for (size_t i = h->from; i < h->len; i++)
        least = h->at[i].value < least ? h->at[i].value : least;
    return least;
}

struct turns {
    int64_t last;
    int direction, reversals;
};

static void note_turn(struct turns *t, int64_t value)
{
    int direction = (value > t->last) - (value < t->last);

    if (direction == 0)
        return;
    t->reversals += t->direction == -direction;
    t->direction = direction;
    t->last = value;
}

/* A step of an irregular clock: often none, mostly seconds, now and then far more than T. */
static int64_t random_step(struct random *r, int64_t window_us)
{
    if (random_percent(r, 10))
        return 0;
    if (random_percent(r, 2))
        return random_in(r, 0, 3 * window_us);
    return random_in(r, 0, S(5));
}

static int64_t random_value(struct random *r, int64_t last)
{
    if (random_percent(r, 30))
        return last;
    if (random_percent(r, 50))
        return last + random_in(r, last >= 5 ? -5 : -last, 5);
    return random_in(r, 0, 200);
}

enum { RUNS = 60, PUSHES = 4000 };

static void run_against_brute_force(struct random *r, int run)
{
    int64_t window_us = random_in(r, 0, S(120));
    int64_t x = random_in(r, 0, 200), n = x, fell_us = INT64_MIN;
    struct mono now = {.us = random_in(r, -S(1000), S(1000))};
    struct turns of_x = {.last = x}, of_n = {.last = x};
    struct history history = {0};
    struct damper d;

    damper_init(&d, window_us);
    VEC_PUSH(history.at, history.len, history.cap, ((struct damper_entry){now, x}));
    cr_assert_eq(damper_push(&d, now, x), x);
    for (int i = 0; i < PUSHES; i++) {
        int64_t before = n;

        now.us += random_step(r, window_us);
        x = random_value(r, x);
        n = damper_push(&d, now, x);
        VEC_PUSH(history.at, history.len, history.cap, ((struct damper_entry){now, x}));
        note_turn(&of_x, x);
        note_turn(&of_n, n);

        int64_t least = least_of_window(&history, now, window_us);

        cr_assert_eq(n, least, "seed %llu run %d push %d: N %lld, brute force %lld",
                     (unsigned long long)r->seed, run, i, (long long)n, (long long)least);
        cr_assert(n <= x, "P1, seed %llu run %d push %d", (unsigned long long)r->seed, run, i);
        if (n > before)
            cr_assert(fell_us == INT64_MIN || now.us - fell_us >= window_us,
                      "P3, seed %llu run %d push %d: rose %lld us after a fall",
                      (unsigned long long)r->seed, run, i, (long long)(now.us - fell_us));
        if (n < before)
            fell_us = now.us;
        if (i % 97 == 0)
            check_invariants(&d);
    }
    cr_assert(of_n.reversals <= of_x.reversals, "P2, seed %llu run %d: %d of N, %d of x",
              (unsigned long long)r->seed, run, of_n.reversals, of_x.reversals);
    free(history.at);
    damper_done(&d);
}

Test(damper, equals_the_brute_force_and_P1_P2_P3_hold, .timeout = 120)
{
    struct random r = random_start("damper against brute force");

    for (int run = 0; run < RUNS; run++)
        run_against_brute_force(&r, run);
}

Test(damper, P4_settles_on_a_constant_load)
{
    struct random r = random_start("damper P4");

    for (int run = 0; run < 500; run++) {
        int64_t window_us = random_in(&r, 0, S(120)), x = 50, n = 0;
        struct mono now = {0};
        struct damper d;

        damper_init(&d, window_us);
        for (int i = 0; i < 50; i++) {
            now.us += random_in(&r, 0, S(5));
            n = damper_push(&d, now, x = random_value(&r, x));
        }

        struct mono from = now;

        while (now.us - from.us < 2 * window_us + S(10)) {
            int64_t before = n;

            now.us += random_in(&r, 1, S(7));
            n = damper_push(&d, now, x);
            cr_assert(n >= before, "P4, seed %llu run %d: fell", (unsigned long long)r.seed, run);
            if (now.us - from.us >= window_us)
                cr_assert_eq(n, x, "P4, seed %llu run %d: not settled", (unsigned long long)r.seed,
                             run);
        }
        damper_done(&d);
    }
}

Test(damper, P5_does_not_follow_a_square_wave_shorter_than_T)
{
    struct random r = random_start("damper P5");

    for (int run = 0; run < 200; run++) {
        int64_t window_us = random_in(&r, S(20), S(120)), low = random_in(&r, 0, 50);
        struct mono now = {0};
        struct damper d;

        damper_init(&d, window_us);
        (void)damper_push(&d, now, low);
        for (int wave = 0; wave < 40; wave++) {
            struct mono end = {.us = now.us + random_in(&r, 1, window_us - 1)};

            for (; now.us < end.us; now.us += random_in(&r, 1, S(5)))
                cr_assert_eq(damper_push(&d, now, low + 70), low, "P5, seed %llu run %d",
                             (unsigned long long)r.seed, run);
            now = end;
            cr_assert_eq(damper_push(&d, now, low), low);
            now.us += random_in(&r, 1, S(100));
        }
        damper_done(&d);
    }
}

/* One slot of P8: since when it is free, and since when it is used; -1: not. */
struct slot {
    int64_t free_us, used_us;
};

static void check_slots(struct slot *slots, size_t count, int64_t x, int64_t n, int64_t now_us,
                        int64_t cost_us, uint64_t seed)
{
    for (size_t i = 0; i < count; i++) {
        struct slot *s = &slots[i];
        bool is_free = x > (int64_t)i, used = n > (int64_t)i;

        if (is_free && s->free_us < 0)
            s->free_us = now_us;
        if (used && s->used_us < 0)
            s->used_us = now_us;
        if (is_free || s->free_us < 0)
            continue;

        int64_t length = now_us - s->free_us;
        int64_t idle = s->used_us >= 0 ? s->used_us - s->free_us : length;
        int64_t paid = idle + (s->used_us >= 0 ? cost_us : 0);

        cr_assert(!used, "P8, seed %llu: slot %zu is used and not free", (unsigned long long)seed,
                  i);
        cr_assert(paid <= 2 * (length < cost_us ? length : cost_us),
                  "P8, seed %llu: slot %zu paid %lld us for a free interval of %lld us, a kill "
                  "costs %lld us",
                  (unsigned long long)seed, i, (long long)paid, (long long)length,
                  (long long)cost_us);
        *s = (struct slot){-1, -1};
    }
}

Test(damper, P8_costs_at_most_twice_what_a_clairvoyant_pays, .timeout = 120)
{
    enum { SLOTS = 40 };
    struct random r = random_start("damper P8");

    for (int run = 0; run < 40; run++) {
        int64_t cost_us = random_in(&r, S(5), S(100)), x = 0;
        struct slot slots[SLOTS];
        struct mono now = {0}, rise;
        struct damper d;

        for (size_t i = 0; i < SLOTS; i++)
            slots[i] = (struct slot){-1, -1};
        damper_init(&d, cost_us);
        (void)damper_push(&d, now, 0);
        for (int i = 0; i < 1000; i++) {
            struct mono next = {.us = now.us + random_step(&r, cost_us)};

            while (damper_next_rise(&d, &rise) && rise.us <= next.us)
                check_slots(slots, SLOTS, x, damper_push(&d, rise, x), rise.us, cost_us, r.seed);
            now = next;
            x = random_in(&r, 0, SLOTS);
            check_slots(slots, SLOTS, x, damper_push(&d, now, x), now.us, cost_us, r.seed);
        }
        damper_done(&d);
    }
}
