#include "base/clock.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

Test(clock, goes_forward)
{
    struct clock c = clock_system();
    struct mono before = c.mono(c.self);

    for (int i = 0; i < 1000; i++) {
        struct mono now = c.mono(c.self);

        cr_assert(mono_since_us(before, now) >= 0);
        before = now;
    }
    cr_assert(c.wall(c.self).us > INT64_C(1600000000) * US_PER_S);
    cr_assert_eq(mono_plus_us((struct mono){5}, -7).us, -2);
}

Test(clock, writes_rfc_3339_in_utc)
{
    static const struct {
        int64_t us;
        int digits;
        const char *text;
    } rows[] = {
        {0, 0, "1970-01-01T00:00:00Z"},
        {INT64_C(1790865435123456), 6, "2026-10-01T14:37:15.123456Z"},
        {INT64_C(1790865435123456), 3, "2026-10-01T14:37:15.123Z"},
        {INT64_C(1790865435123456), 0, "2026-10-01T14:37:15Z"},
        {-1, 6, "1969-12-31T23:59:59.999999Z"},
        {-1000000, 3, "1969-12-31T23:59:59.000Z"},
        {INT64_C(951782400000000), 0, "2000-02-29T00:00:00Z"},
        {INT64_C(253402300799999999), 6, "9999-12-31T23:59:59.999999Z"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[WALL_TEXT_SIZE];

        wall_format((struct wall){rows[i].us}, rows[i].digits, text);
        cr_expect_str_eq(text, rows[i].text);
    }
}

Test(clock, writes_any_number_as_some_time)
{
    static const int64_t ends[] = {INT64_MIN, INT64_MIN + 1, INT64_MAX, INT64_C(253402300800000000),
                                   INT64_C(-62167219200000001)};

    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        char text[WALL_TEXT_SIZE];
        struct wall back;

        wall_format((struct wall){ends[i]}, 6, text);
        cr_expect_eq(strlen(text), WALL_TEXT_SIZE - 1, "%s", text);
        cr_expect(wall_parse(sv_from(text), &back), "%s", text);
    }
}

Test(clock, reads_rfc_3339)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t us;
    } rows[] = {
        {"1970-01-01T00:00:00Z", true, 0},
        {"2026-10-01T14:37:15.123456Z", true, INT64_C(1790865435123456)},
        {"2026-10-01T16:37:15.123456+02:00", true, INT64_C(1790865435123456)},
        {"2026-10-01T04:07:15.123456-10:30", true, INT64_C(1790865435123456)},
        {"2026-10-01t14:37:15.1z", true, INT64_C(1790865435100000)},
        {"2026-10-01T14:37:15.123456789Z", true, INT64_C(1790865435123456)},
        {"2000-02-29T00:00:00Z", true, INT64_C(951782400000000)},
        {"2001-02-29T00:00:00Z", false, 0},
        {"2100-02-29T00:00:00Z", false, 0},
        {"2026-02-30T00:00:00Z", false, 0},
        {"2026-04-31T00:00:00Z", false, 0},
        {"1969-12-31T23:59:59.5Z", true, -500000},
        {"2016-12-31T23:59:60Z", true, INT64_C(1483228800000000)},
        {"0000-01-01T00:00:00Z", true, INT64_C(-62167219200000000)},
        {"", false, 0},
        {"2026-10-01", false, 0},
        {"2026-10-01T14:37:15", false, 0},
        {"2026-10-01 14:37:15Z", false, 0},
        {"2026-10-01T14:37Z", false, 0},
        {"2026-13-01T14:37:15Z", false, 0},
        {"2026-00-01T14:37:15Z", false, 0},
        {"2026-10-32T14:37:15Z", false, 0},
        {"2026-10-01T24:37:15Z", false, 0},
        {"2026-10-01T14:60:15Z", false, 0},
        {"2026-10-01T14:37:61Z", false, 0},
        {"2026-10-01T14:37:15.Z", false, 0},
        {"2026-10-01T14:37:15.1234567890Z", false, 0},
        {"2026-10-01T14:37:15+2:00", false, 0},
        {"2026-10-01T14:37:15+24:00", false, 0},
        {"2026-10-01T14:37:15Zx", false, 0},
        {"-026-10-01T14:37:15Z", false, 0},
        {"2026-10-+1T14:37:15Z", false, 0},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct wall t = {42};

        cr_expect_eq(wall_parse(sv_from(rows[i].text), &t), rows[i].ok, "'%s'", rows[i].text);
        cr_expect_eq(t.us, rows[i].ok ? rows[i].us : 42, "'%s': %lld", rows[i].text,
                     (long long)t.us);
    }
}

Test(clock, reads_what_it_wrote)
{
    srand(3);
    for (int i = 0; i < 100000; i++) {
        int64_t us = ((int64_t)rand() << 31 ^ rand()) % INT64_C(250000000000000000);
        char text[WALL_TEXT_SIZE];
        struct wall t;

        wall_format((struct wall){us}, 6, text);
        cr_assert(wall_parse(sv_from(text), &t), "%s", text);
        cr_assert_eq(t.us, us, "%s", text);
    }
}

/* The calendar of the C library is the witness, a day at a time. */
Test(clock, agrees_with_the_calendar)
{
    for (int64_t day = -20000; day < 60000; day++) {
        time_t seconds = (time_t)(day * 86400);
        struct tm tm;
        char text[32];
        struct wall t;

        cr_assert(gmtime_r(&seconds, &tm) != NULL);
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
        cr_assert(wall_parse(sv_from(text), &t), "%s", text);
        cr_assert_eq(t.us, day * 86400 * US_PER_S, "%s", text);
    }
}
