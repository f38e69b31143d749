#include "storage/calendar.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/policy/random.h"

#define HOUR_MS INT64_C(3600000)

static struct zone *load(const char *name)
{
    struct zone_source zones = zone_files(TEST_DATA "/zones");
    struct zone *z = NULL;
    struct err err = {0};

    cr_assert(zones.load(zones.self, sv_from(name), &z, &err), "%s", err.text);
    return z;
}

Test(calendar, names_units)
{
    static const struct {
        int64_t local_s;
        const char *minute, *day, *week, *month;
        int week_hour;
    } rows[] = {
        {0, "1970-01-01 00:00", "1970-01-01", "1970-W01", "1970-01", 72},
        {-1, "1969-12-31 23:59", "1969-12-31", "1970-W01", "1969-12", 71},
        {1609459199, "2020-12-31 23:59", "2020-12-31", "2020-W53", "2020-12", 95},
        {1609459200, "2021-01-01 00:00", "2021-01-01", "2020-W53", "2021-01", 96},
        {1609718400, "2021-01-04 00:00", "2021-01-04", "2021-W01", "2021-01", 0},
        {1709209800, "2024-02-29 12:30", "2024-02-29", "2024-W09", "2024-02", 84},
        {1791244799, "2026-10-05 23:59", "2026-10-05", "2026-W41", "2026-10", 23},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[CALENDAR_TEXT_SIZE];

        calendar_text(CALENDAR_MINUTE, rows[i].local_s, text);
        cr_expect_str_eq(text, rows[i].minute);
        calendar_text(CALENDAR_DAY, rows[i].local_s, text);
        cr_expect_str_eq(text, rows[i].day);
        calendar_text(CALENDAR_WEEK, rows[i].local_s, text);
        cr_expect_str_eq(text, rows[i].week);
        calendar_text(CALENDAR_MONTH, rows[i].local_s, text);
        cr_expect_str_eq(text, rows[i].month);
        cr_expect_eq(calendar_week_hour(rows[i].local_s), rows[i].week_hour, "%s", rows[i].minute);
    }
}

/* A unit begins where its floor says, and what lies before belongs to another. */
Test(calendar, floors_any_reading)
{
    struct random rnd = random_start("calendar");

    for (int i = 0; i < 20000; i++) {
        int64_t local_s = random_in(&rnd, -10000000000, 100000000000);

        for (enum calendar_unit unit = 0; unit < CALENDAR_UNIT_COUNT_; unit++) {
            int64_t begin = calendar_floor(unit, local_s);
            char now[CALENDAR_TEXT_SIZE], then[CALENDAR_TEXT_SIZE], before[CALENDAR_TEXT_SIZE];

            cr_assert(begin <= local_s && local_s - begin < 31 * (int64_t)CALENDAR_DAY_S);
            cr_assert_eq(calendar_floor(unit, begin), begin);
            calendar_text(unit, local_s, now);
            calendar_text(unit, begin, then);
            calendar_text(unit, begin - 1, before);
            cr_assert(unit == CALENDAR_HOUR || strcmp(now, then) == 0, "%s, %s", now, then);
            cr_assert_str_neq(now, before);
        }
    }
}

/* The pieces of a day: their ends follow each other, and the offset is the same in each. */
static int count_pieces(const struct zone *zone, int64_t from_s, int64_t until_s)
{
    int n = 0;

    for (int64_t t_ms = from_s * 1000; t_ms < until_s * 1000; n++) {
        int64_t end_ms = calendar_piece_end_ms(zone, t_ms, CALENDAR_HOUR_S);
        int64_t off = calendar_local_s(zone, t_ms) - t_ms / 1000;

        cr_assert(end_ms > t_ms && end_ms - t_ms <= HOUR_MS);
        cr_assert_eq(calendar_local_s(zone, end_ms - 1) - (end_ms - 1) / 1000, off);
        t_ms = end_ms;
    }
    return n;
}

Test(calendar, counts_the_hours_of_a_day_on_which_the_clock_is_changed)
{
    struct zone *z = load("Europe/Berlin");
    int64_t long_day = zone_first_s(z, 1792886400), /* 2026-10-25 */
        after_long = zone_first_s(z, 1792972800), short_day = zone_first_s(z, 1774742400),
            after_short = zone_first_s(z, 1774828800); /* 2026-03-29 and 30 */

    cr_expect_eq(after_long - long_day, 25 * 3600);
    cr_expect_eq(count_pieces(z, long_day, after_long), 25);
    cr_expect_eq(after_short - short_day, 23 * 3600);
    cr_expect_eq(count_pieces(z, short_day, after_short), 23);
    zone_free(z);
}

Test(calendar, writes_an_offset)
{
    char text[CALENDAR_TEXT_SIZE];

    calendar_text_offset(CALENDAR_HOUR, 1792893600, 7200, text);
    cr_expect_str_eq(text, "2026-10-25 02:00 +02:00");
    calendar_text_offset(CALENDAR_HOUR, 1792893600, -12600, text);
    cr_expect_str_eq(text, "2026-10-25 02:00 -03:30");
    calendar_text_moment(1792893720, text);
    cr_expect_str_eq(text, "25 Oct, 02:02");
    calendar_text_day(1792893720, text);
    cr_expect_str_eq(text, "25 Oct 2026");
}
