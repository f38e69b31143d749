#include "policy/load.h"

#include <criterion/criterion.h>

#include "base/alloc.h"
#include "base/num.h"
#include "tests/unit/policy/random.h"

static struct mono at(int64_t us)
{
    return (struct mono){.us = us};
}

/* Times rise, a piece's least is not above its most, both trees hold the maxima of their leaves. */
static void check_invariants(const struct load *l)
{
    cr_assert(l->len <= l->cap && l->cap <= LOAD_MAX);
    for (size_t i = 0; i < l->len; i++) {
        cr_assert(i == 0 || l->since[i - 1] < l->since[i], "piece %zu", i);
        cr_assert(l->least[l->cap + i] <= l->most[l->cap + i], "piece %zu", i);
    }
    for (size_t i = l->cap > 0 ? l->cap - 1 : 0; i > 0; i--) {
        cr_assert_eq(l->least[i], max_i64(l->least[2 * i], l->least[2 * i + 1]), "node %zu", i);
        cr_assert_eq(l->most[i], max_i64(l->most[2 * i], l->most[2 * i + 1]), "node %zu", i);
    }
    if (l->len > 0)
        cr_assert_eq(l->least[l->cap + l->len - 1], l->most[l->cap + l->len - 1]);
}

/* All that was put, a change each, the last one of a moment. */
struct change {
    int64_t since, value;
};

struct changes {
    struct change *at;
    size_t len, cap;
};

static void put(struct load *l, struct changes *c, int64_t now, int64_t value)
{
    load_put(l, at(now), value);
    if (c->len > 0 && c->at[c->len - 1].since == now)
        c->len--;
    VEC_PUSH(c->at, c->len, c->cap, ((struct change){now, value}));
}

static int64_t end_of(const struct changes *c, size_t i)
{
    return i + 1 < c->len ? c->at[i + 1].since : INT64_MAX;
}

static int64_t peak(const struct changes *c, int64_t from, int64_t to)
{
    int64_t max = INT64_MIN;

    for (size_t i = 0; i < c->len && c->at[i].since <= to; i++)
        if (end_of(c, i) > from)
            max = max_i64(max, c->at[i].value);
    return max;
}

Test(load, tells_values_and_peaks)
{
    struct load l;
    struct mono next;

    load_init(&l, 100);
    cr_assert(!load_knows(&l, at(0)));
    cr_assert(!load_next(&l, at(INT64_MIN), &next));
    cr_assert(!load_last_end(&l, at(0), at(0), 0, &next));
    load_put(&l, at(-10), 5);
    load_put(&l, at(0), 8);
    load_put(&l, at(20), 3);
    load_put(&l, at(20), 4);
    check_invariants(&l);
    cr_assert(load_knows(&l, at(-10)) && !load_knows(&l, at(-11)));
    cr_assert_eq(load_least_at(&l, at(-1)), 5);
    cr_assert_eq(load_most_at(&l, at(0)), 8);
    cr_assert_eq(load_most_at(&l, at(1000)), 4, "the last value of a moment");
    cr_assert_eq(load_peak_least(&l, at(-10), at(-1)), 5);
    cr_assert_eq(load_peak_least(&l, at(-10), at(0)), 8, "both ends are in it");
    cr_assert_eq(load_peak_most(&l, at(19), at(30)), 8);
    cr_assert_eq(load_peak_most(&l, at(20), at(30)), 4);
    cr_assert(load_next(&l, at(0), &next) && next.us == 20);
    cr_assert(load_next_above(&l, at(-10), 7, &next) && next.us == 0);
    cr_assert(!load_next_above(&l, at(0), 4, &next));
    cr_assert(load_last_end(&l, at(-10), at(15), 8, &next) && next.us == 20);
    cr_assert(!load_last_end(&l, at(-10), at(25), 4, &next), "it has not ended");
    load_put(&l, at(30), 9);
    load_put(&l, at(30), 4);
    cr_assert_eq(l.len, 3, "a change that was taken back is none");
    load_clear(&l);
    cr_assert(!load_knows(&l, at(1000)));
    load_put(&l, at(40), 1);
    cr_assert_eq(load_peak_least(&l, at(-100), at(41)), 1);
    load_done(&l);
    load_done(&l);
}

static void check_next(const struct load *l, const struct changes *c, struct random *r)
{
    int64_t from = random_in(r, c->at[0].since, c->at[c->len - 1].since + 50);
    int64_t to = from + random_in(r, 0, 300), value = random_in(r, 0, 60);
    int64_t above = INT64_MAX, ended = INT64_MAX;
    struct mono next = at(INT64_MAX);

    for (size_t i = c->len; i-- > 0 && c->at[i].since > from;)
        above = c->at[i].value > value ? c->at[i].since : above;
    for (size_t i = 0; i < c->len && c->at[i].since <= to; i++)
        if (end_of(c, i) > from && c->at[i].value >= value)
            ended = end_of(c, i);
    cr_assert_eq(load_next_above(l, at(from), value, &next), above != INT64_MAX);
    cr_assert_eq(next.us, above, "seed %llu", (unsigned long long)r->seed);
    next = at(INT64_MAX);
    cr_assert_eq(load_next_most_above(l, at(from), value, &next), above != INT64_MAX);
    cr_assert_eq(next.us, above);
    next = at(INT64_MAX);
    cr_assert_eq(load_last_end(l, at(from), at(to), value, &next), ended != INT64_MAX);
    cr_assert_eq(next.us, ended, "seed %llu", (unsigned long long)r->seed);
}

Test(load, equals_the_list_of_changes, .timeout = 120)
{
    struct random r = random_start("load against the list of changes");

    for (int run = 0; run < 60; run++) {
        struct changes changes = {0};
        int64_t now = random_in(&r, -1000, 1000);
        struct load l;

        load_init(&l, 100);
        for (int i = 0; i < 500; i++) {
            now += random_percent(&r, 20) ? 0 : random_in(&r, 0, 9);
            put(&l, &changes, now, random_in(&r, 0, 50));

            int64_t first = changes.at[0].since;
            int64_t from = random_in(&r, first - 5, now), to = random_in(&r, from, now + 9);

            to = max_i64(to, first);

            int64_t want = peak(&changes, from, to);

            cr_assert_eq(load_peak_least(&l, at(from), at(to)), want, "seed %llu run %d step %d",
                         (unsigned long long)r.seed, run, i);
            cr_assert_eq(load_peak_most(&l, at(from), at(to)), want);
            cr_assert_eq(load_least_at(&l, at(to)), peak(&changes, to, to));
            /* Changes to the same value are no pieces. */
            if (i % 5 == 0)
                check_invariants(&l);
        }
        free(changes.at);
        load_done(&l);
    }
}

Test(load, finds_the_next_change_that_matters)
{
    struct random r = random_start("load: the next change");

    for (int run = 0; run < 200; run++) {
        struct changes changes = {0};
        int64_t now = random_in(&r, -1000, 1000), last = -1;
        struct load l;

        load_init(&l, 100);
        for (int i = 0; i < 200; i++) {
            int64_t value = random_in(&r, 0, 50);

            now += random_in(&r, 1, 9);
            put(&l, &changes, now, value != last ? value : value + 1);
            last = changes.at[changes.len - 1].value;
            check_next(&l, &changes, &r);
        }
        free(changes.at);
        load_done(&l);
    }
}

/* More changes than there is room for: what is told brackets the truth, and pieces stay short. */
Test(load, errs_to_the_safe_side_when_it_is_full, .timeout = 120)
{
    enum { CHANGES = 4 * LOAD_MAX };
    const int64_t fine_us = 3600 * US_PER_S;
    struct random r = random_start("load in a flood");
    struct changes changes = {0};
    int64_t now = 0, value = 1000;
    struct load l;

    load_init(&l, fine_us);
    for (int i = 0; i < CHANGES; i++) {
        now += random_in(&r, 1, US_PER_S / 10);
        value = max_i64(0, value + random_in(&r, -9, 9));
        put(&l, &changes, now, value);
        if (i % 100 != 0 || i == 0)
            continue;

        int64_t from = random_in(&r, now - fine_us, now), to = random_in(&r, from, now);

        from = max_i64(from, 0);
        to = max_i64(to, from);
        if (!load_knows(&l, at(from)))
            continue;

        int64_t want = peak(&changes, from, to);
        int64_t least = load_peak_least(&l, at(from), at(to));
        int64_t most = load_peak_most(&l, at(from), at(to));

        cr_assert(least <= want && want <= most, "seed %llu change %d: %lld to %lld, truly %lld",
                  (unsigned long long)r.seed, i, (long long)least, (long long)most,
                  (long long)want);
        cr_assert(load_least_at(&l, at(to)) <= peak(&changes, to, to));
        cr_assert(load_most_at(&l, at(to)) >= peak(&changes, to, to));
    }
    check_invariants(&l);
    cr_assert(l.merges > 0);
    for (size_t i = 0; i + 1 < l.len; i++) {
        bool exact = l.least[l.cap + i] == l.most[l.cap + i];
        int64_t long_us = l.since[i + 1] - l.since[i];

        cr_assert(exact || long_us <= 4 * LOAD_HISTORY_S * US_PER_S / LOAD_MAX + 1, "piece %zu", i);
    }
    free(changes.at);
    load_done(&l);
}

Test(load, forgets_what_is_older_than_its_history)
{
    struct load l;

    load_init(&l, US_PER_S);
    for (int64_t hour = 0; hour < 200; hour++)
        for (int64_t i = 0; i < 100; i++)
            load_put(&l, at((hour * 3600 + i) * US_PER_S), i);
    cr_assert_eq(l.merges, 0);
    cr_assert(l.cap <= 8192);
    cr_assert(load_knows(&l, at((199 - 25) * 3600 * US_PER_S)));
    check_invariants(&l);
    load_done(&l);
}
