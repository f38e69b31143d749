#include "base/zone_rule.h"

#include <ctype.h>

#include "base/zone.h"

enum { DAY_S = 86400, HOUR_S = 3600, MIN_NAME = 3, CHANGES = 6 };

/* A number of at most three digits and within bounds off the front. */
static bool take_number(struct sv *rest, int32_t min, int32_t max, int32_t *ret_value)
{
    int32_t value = 0;
    size_t n = 0;

    for (; n < rest->len && n < 3 && isdigit((unsigned char)rest->at[n]); n++)
        value = value * 10 + (rest->at[n] - '0');
    if (n == 0 || value < min || value > max)
        return false;
    *rest = sv_skip(*rest, n);
    *ret_value = value;
    return true;
}

static bool take_char(struct sv *rest, char c)
{
    if (rest->len == 0 || rest->at[0] != c)
        return false;
    *rest = sv_skip(*rest, 1);
    return true;
}

/* "CET" or "<+0330>". */
static bool take_name(struct sv *rest)
{
    size_t n = 0;

    if (take_char(rest, '<')) {
        while (n < rest->len &&
               (isalnum((unsigned char)rest->at[n]) || rest->at[n] == '+' || rest->at[n] == '-'))
            n++;
        *rest = sv_skip(*rest, n);
        return n >= MIN_NAME && take_char(rest, '>');
    }
    while (n < rest->len && isalpha((unsigned char)rest->at[n]))
        n++;
    *rest = sv_skip(*rest, n);
    return n >= MIN_NAME;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool take_time(struct sv *rest, int32_t max_hours, int32_t *ret_s)
{
    int32_t h, m = 0, s = 0;
    bool negative = take_char(rest, '-');

    if (!negative)
        (void)take_char(rest, '+');
    if (!take_number(rest, 0, max_hours, &h) ||
        (take_char(rest, ':') && (!take_number(rest, 0, 59, &m) ||
                                  (take_char(rest, ':') && !take_number(rest, 0, 59, &s)))))
        return false;
    *ret_s = (h * HOUR_S + m * 60 + s) * (negative ? -1 : 1);
    return true;
}

/* POSIX counts westward, everybody else eastward. */
static bool take_offset(struct sv *rest, int32_t *ret_s)
{
    int32_t west;

    if (!take_time(rest, 24, &west))
        return false;
    *ret_s = -west;
    return true;
}

/* ",M3.5.0/2" */
static bool take_change(struct sv *rest, struct zone_change *c)
{
    bool ok;

    *c = (struct zone_change){.time_s = 2 * HOUR_S};
    if (!take_char(rest, ','))
        return false;
    if (take_char(rest, 'M')) {
        c->kind = ZONE_DAY_OF_WEEK;
        ok = take_number(rest, 1, 12, &c->month) && take_char(rest, '.') &&
             take_number(rest, 1, 5, &c->week) && take_char(rest, '.') &&
             take_number(rest, 0, 6, &c->day);
    } else if (take_char(rest, 'J')) {
        c->kind = ZONE_DAY_NO_LEAP;
        ok = take_number(rest, 1, 365, &c->day);
    } else {
        c->kind = ZONE_DAY_OF_YEAR;
        ok = take_number(rest, 0, 365, &c->day);
    }
    return ok && (!take_char(rest, '/') || take_time(rest, 167, &c->time_s));
}

bool zone_rule_parse(struct sv text, struct zone_rule *ret_rule)
{
    struct zone_rule rule = {0};

    if (!take_name(&text) || !take_offset(&text, &rule.standard_s))
        return false;
    if (text.len != 0) {
        rule.changes = true;
        if (!take_name(&text))
            return false;
        rule.daylight_s = rule.standard_s + HOUR_S;
        if (text.len != 0 && text.at[0] != ',' && !take_offset(&text, &rule.daylight_s))
            return false;
        if (!take_change(&text, &rule.start) || !take_change(&text, &rule.end))
            return false;
    }
    if (text.len != 0)
        return false;
    *ret_rule = rule;
    return true;
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days from 1970-01-01 to 1 January. */
static int64_t days_to_year(int64_t year)
{
    int64_t y = year - 1;

    return 365 * (year - 1970) + (floor_div(y, 4) - floor_div(1969, 4)) -
           (floor_div(y, 100) - floor_div(1969, 100)) + (floor_div(y, 400) - floor_div(1969, 400));
}

/* The year that a day is in. */
static int64_t year_of(int64_t day)
{
    int64_t year = 1970 + floor_div(day * 400, 146097); /* days of 400 years; at most one off */

    while (days_to_year(year) > day)
        year--;
    while (days_to_year(year + 1) <= day)
        year++;
    return year;
}

static int32_t days_to_month(int64_t year, int32_t month)
{
    static const int32_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};

    return before[month - 1] + (month > 2 && is_leap(year));
}

static int32_t weekday_in_month(const struct zone_change *c, int64_t year)
{
    int64_t first = days_to_year(year) + days_to_month(year, c->month);
    int64_t weekday = first + 4 - 7 * floor_div(first + 4, 7); /* 1970 began on a Thursday */
    int32_t day = (int32_t)((c->day - weekday + 7) % 7) + 7 * (c->week - 1);
    int32_t month_days =
        c->month == 12 ? 31 : days_to_month(year, c->month + 1) - days_to_month(year, c->month);

    if (day >= month_days)
        day -= 7;
    return days_to_month(year, c->month) + day;
}

/* When the change is in a year, by the clock that it ends. */
static int64_t change_local_s(const struct zone_change *c, int64_t year)
{
    int32_t day = c->day;

    switch (c->kind) {
    case ZONE_DAY_OF_YEAR:
        break;
    case ZONE_DAY_NO_LEAP:
        day += is_leap(year) && day >= 60 ? 0 : -1;
        break;
    case ZONE_DAY_OF_WEEK:
        day = weekday_in_month(c, year);
        break;
    }
    return (days_to_year(year) + day) * DAY_S + c->time_s;
}

/* The changes of the year around a time and of both its neighbours; at the even places daylight
 * saving ends. Where an end and a start are one moment the start is later. */
static void changes_near(const struct zone_rule *rule, int64_t at_s, int64_t ret_at[static CHANGES])
{
    int64_t year = year_of(floor_div(at_s, DAY_S)) - 1;

    for (int i = 0; i < CHANGES; i += 2, year++) {
        ret_at[i] = change_local_s(&rule->end, year) - rule->daylight_s;
        ret_at[i + 1] = change_local_s(&rule->start, year) - rule->standard_s;
    }
}

int32_t zone_rule_offset_s(const struct zone_rule *rule, int64_t at_s)
{
    int64_t at[CHANGES], last = INT64_MIN;
    int32_t offset = rule->standard_s;

    if (!rule->changes)
        return offset;
    changes_near(rule, at_s, at);
    for (int i = 0; i < CHANGES; i++) {
        bool start = i % 2 != 0;

        if (at[i] > at_s || at[i] < last || (at[i] == last && !start))
            continue;
        last = at[i];
        offset = start ? rule->daylight_s : rule->standard_s;
    }
    return offset;
}

int64_t zone_rule_next_s(const struct zone_rule *rule, int64_t after_s)
{
    int64_t at[CHANGES], next = INT64_MAX;

    if (!rule->changes)
        return next;
    changes_near(rule, after_s, at);
    for (int i = 0; i < CHANGES; i++) {
        if (at[i] > after_s && at[i] < next)
            next = at[i];
    }
    return next;
}
