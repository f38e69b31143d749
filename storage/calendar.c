#include "storage/calendar.h"

#include <stdio.h>

#include "base/num.h"
#include "base/strbuf.h"

#define MS INT64_C(1000)

struct civil {
    int64_t year;
    int month, day; /* from 1 */
};

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t floor_to(int64_t value, int64_t unit)
{
    return floor_div(value, unit) * unit;
}

/* Years of the count begin in March, so that the leap day is a year's last: H. Hinnant,
 * "chrono-compatible low-level date algorithms", civil_from_days. */
static struct civil civil_from_days(int64_t days)
{
    int64_t z = days + 719468, era = floor_div(z, 146097), doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    struct civil c = {.day = (int)(doy - (153 * mp + 2) / 5 + 1),
                      .month = (int)(mp < 10 ? mp + 3 : mp - 9)};

    c.year = yoe + era * 400 + (c.month <= 2);
    return c;
}

static struct civil civil_of(int64_t local_s)
{
    return civil_from_days(floor_div(local_s, CALENDAR_DAY_S));
}

/* 0: Monday. 1970 began on a Thursday. */
static int week_day(int64_t local_s)
{
    int64_t day = floor_div(local_s, CALENDAR_DAY_S) + 3;

    return (int)(day - floor_to(day, 7));
}

int64_t calendar_local_s(const struct zone *zone, int64_t t_ms)
{
    int64_t t_s = floor_div(t_ms, MS);

    return t_s + (zone != NULL ? zone_offset_s(zone, t_s) : 0);
}

int64_t calendar_floor(enum calendar_unit unit, int64_t local_s)
{
    int64_t day_s = floor_to(local_s, CALENDAR_DAY_S);

    switch (unit) {
    case CALENDAR_MINUTE:
        return floor_to(local_s, CALENDAR_MINUTE_S);
    case CALENDAR_HOUR:
        return floor_to(local_s, CALENDAR_HOUR_S);
    case CALENDAR_DAY:
        return day_s;
    case CALENDAR_WEEK:
        return day_s - (int64_t)week_day(local_s) * CALENDAR_DAY_S;
    case CALENDAR_MONTH:
        return day_s - (int64_t)(civil_of(local_s).day - 1) * CALENDAR_DAY_S;
    case CALENDAR_UNIT_COUNT_:
        break;
    }
    return local_s;
}

int64_t calendar_piece_end_ms(const struct zone *zone, int64_t t_ms, int64_t unit_s)
{
    int64_t t_s = floor_div(t_ms, MS), local_s = calendar_local_s(zone, t_ms);
    int64_t end_s = t_s + unit_s - (local_s - floor_to(local_s, unit_s));

    return (zone != NULL ? min_i64(end_s, zone_next_s(zone, t_s)) : end_s) * MS;
}

int calendar_week_hour(int64_t local_s)
{
    int64_t hour = (local_s - calendar_floor(CALENDAR_WEEK, local_s)) / CALENDAR_HOUR_S;

    return (int)hour;
}

int64_t calendar_month(int64_t local_s)
{
    struct civil c = civil_of(local_s);

    return c.year * 12 + c.month - 1;
}

/* The week is that of its Thursday: ISO 8601. */
static void week_text(int64_t local_s, char text[static CALENDAR_TEXT_SIZE])
{
    int64_t thursday = calendar_floor(CALENDAR_WEEK, local_s) + 3 * (int64_t)CALENDAR_DAY_S;
    struct civil c = civil_of(thursday);
    int64_t first = thursday;

    while (civil_of(first - 7 * (int64_t)CALENDAR_DAY_S).year == c.year)
        first -= 7 * (int64_t)CALENDAR_DAY_S;
    (void)snprintf(text, CALENDAR_TEXT_SIZE, "%04lld-W%02lld", (long long)c.year,
                   (long long)((thursday - first) / (7 * (int64_t)CALENDAR_DAY_S) + 1));
}

void calendar_text(enum calendar_unit unit, int64_t local_s, char text[static CALENDAR_TEXT_SIZE])
{
    struct civil c = civil_of(local_s);
    int64_t rest = local_s - floor_to(local_s, CALENDAR_DAY_S);

    if (unit == CALENDAR_WEEK)
        week_text(local_s, text);
    else if (unit == CALENDAR_MONTH)
        (void)snprintf(text, CALENDAR_TEXT_SIZE, "%04lld-%02d", (long long)c.year, c.month);
    else if (unit == CALENDAR_DAY)
        (void)snprintf(text, CALENDAR_TEXT_SIZE, "%04lld-%02d-%02d", (long long)c.year, c.month,
                       c.day);
    else
        (void)snprintf(text, CALENDAR_TEXT_SIZE, "%04lld-%02d-%02d %02lld:%02lld",
                       (long long)c.year, c.month, c.day, (long long)(rest / CALENDAR_HOUR_S),
                       (long long)(rest % CALENDAR_HOUR_S / CALENDAR_MINUTE_S));
}

void calendar_text_offset(enum calendar_unit unit, int64_t local_s, int64_t offset_s,
                          char text[static CALENDAR_TEXT_SIZE])
{
    int minutes = (int)((offset_s < 0 ? -offset_s : offset_s) / CALENDAR_MINUTE_S % 6000);
    struct strbuf whole;

    strbuf_init(&whole, CALENDAR_TEXT_SIZE - 1);
    calendar_text(unit, local_s, text);
    (void)strbuf_addf(&whole, "%s %c%02d:%02d", text, offset_s < 0 ? '-' : '+', minutes / 60,
                      minutes % 60);
    (void)snprintf(text, CALENDAR_TEXT_SIZE, "%s", strbuf_str(&whole));
    strbuf_done(&whole);
}

const char *calendar_day_name(int day)
{
    static const char *const names[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

    return names[day];
}

void calendar_text_day(int64_t local_s, char text[static CALENDAR_TEXT_SIZE])
{
    struct civil c = civil_of(local_s);

    (void)snprintf(text, CALENDAR_TEXT_SIZE, "%d %s %lld", c.day, months[c.month - 1],
                   (long long)c.year);
}

void calendar_text_moment(int64_t local_s, char text[static CALENDAR_TEXT_SIZE])
{
    struct civil c = civil_of(local_s);
    int64_t rest = local_s - floor_to(local_s, CALENDAR_DAY_S);

    (void)snprintf(text, CALENDAR_TEXT_SIZE, "%d %s, %02lld:%02lld", c.day, months[c.month - 1],
                   (long long)(rest / CALENDAR_HOUR_S),
                   (long long)(rest % CALENDAR_HOUR_S / CALENDAR_MINUTE_S));
}
