#include "policy/surges.h"

#include <criterion/criterion.h>

#define S(seconds) ((int64_t)((seconds)*1e6))
#define A          S(10)
#define J          S(5)

static void surge(struct surges *s, double seconds)
{
    surges_step(s, true, (struct mono){S(seconds)}, A, J);
    surges_step(s, false, (struct mono){S(seconds + 1)}, A, J);
}

Test(surges, start_at_least_A_apart)
{
    struct surges s = {0};
    int64_t distance;

    surge(&s, 0);
    surge(&s, 9.999);
    cr_assert_eq(s.count, 1);
    surge(&s, 10);
    cr_assert_eq(s.count, 2);
    cr_assert(!surges_distance(&s, A, &distance), "less than 4A");
    surges_step(&s, true, (struct mono){S(50)}, A, J);
    surges_step(&s, true, (struct mono){S(100)}, A, J);
    cr_assert_eq(s.count, 3, "one that goes on is one");
    cr_assert(surges_distance(&s, A, &distance) && distance == S(40));
    surges_forget(&s);
    cr_assert(!surges_distance(&s, A, &distance));
    cr_assert_eq(s.count, 3);
    surge(&s, 200);
    cr_assert(!surges_distance(&s, A, &distance), "nothing is learned across what is not known");
}

Test(surges, come_as_expected_or_do_not)
{
    /* Two starts at 0 and 100: due at 200 and 300, from 21 s before (5 + 10 + 6) to 5 s after. */
    static const struct {
        const char *name;
        double next, asked;
        uint64_t came, missed;
    } rows[] = {
        {"on time", 200, 202, 1, 0},      {"early", 179, 180, 1, 0},
        {"late", 205, 206, 1, 0},         {"too early to count", 178.999, 180, 0, 0},
        {"too late", 205.001, 207, 0, 1}, {"the second one", 300, 302, 1, 1},
        {"neither", 306, 308, 0, 2},      {"none yet", 1e6, 205, 0, 0},
        {"both over", 1e6, 306, 0, 2},    {"no more than two", 1e6, 5000, 0, 2},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct surges s = {0};

        surge(&s, 0);
        surge(&s, 100);
        if (rows[i].next < rows[i].asked)
            surge(&s, rows[i].next);
        surges_step(&s, false, (struct mono){S(rows[i].asked)}, A, J);
        cr_expect_eq(s.came, rows[i].came, "%s: %llu came", rows[i].name,
                     (unsigned long long)s.came);
        cr_expect_eq(s.missed, rows[i].missed, "%s: %llu missed", rows[i].name,
                     (unsigned long long)s.missed);
    }
}
