#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec ts;

    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

static struct mono system_mono(void *self UNUSED)
{
    return (struct mono){.us = read_us(CLOCK_BOOTTIME)};
}

static struct wall system_wall(void *self UNUSED)
{
    return (struct wall){.us = read_us(CLOCK_REALTIME)};
}

struct clock clock_system(void)
{
    return (struct clock){.mono = system_mono, .wall = system_wall};
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar (Howard Hinnant,
 * "chrono-compatible low-level date algorithms"). */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;

    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

void wall_format(struct wall t, int digits, char text[static WALL_TEXT_SIZE])
{
    int64_t us = t.us % US_PER_S;
    time_t seconds = (time_t)(t.us / US_PER_S);
    struct tm tm;
    size_t len;

    if (us < 0) {
        us += US_PER_S;
        seconds--;
    }
    if (gmtime_r(&seconds, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
        tm = (struct tm){.tm_mday = 1, .tm_year = 70};
    len = strftime(text, WALL_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    if (digits == 3)
        (void)snprintf(text + len, WALL_TEXT_SIZE - len, ".%03dZ", (int)(us / 1000));
    else if (digits == 6)
        (void)snprintf(text + len, WALL_TEXT_SIZE - len, ".%06dZ", (int)us);
    else
        (void)snprintf(text + len, WALL_TEXT_SIZE - len, "Z");
}

/* Takes `count` digits and, unless it is '\0', the mark behind them. */
static bool take(struct sv *rest, size_t count, char mark, int64_t *ret_value)
{
    struct sv digits = {.at = rest->at, .len = count};
    uint64_t value;

    if (rest->len < count + (mark != '\0') || !sv_to_u64(digits, &value))
        return false;
    if (mark != '\0' && rest->at[count] != mark && !(mark == 'T' && rest->at[count] == 't'))
        return false;
    *rest = sv_skip(*rest, count + (mark != '\0'));
    *ret_value = (int64_t)value;
    return true;
}

static bool take_offset(struct sv rest, int64_t *ret_seconds)
{
    int64_t hours, minutes;

    if (rest.len == 1 && (rest.at[0] == 'Z' || rest.at[0] == 'z')) {
        *ret_seconds = 0;
        return true;
    }
    if (rest.len != 6 || (rest.at[0] != '+' && rest.at[0] != '-'))
        return false;

    int64_t sign = rest.at[0] == '-' ? -1 : 1;

    rest = sv_skip(rest, 1);
    if (!take(&rest, 2, ':', &hours) || !take(&rest, 2, '\0', &minutes) || hours > 23 ||
        minutes > 59)
        return false;
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

/* Does the month have that day? */
static bool is_day(int64_t year, int64_t month, int64_t day)
{
    int64_t next_year = month == 12 ? year + 1 : year, next = month == 12 ? 1 : month + 1;

    return month >= 1 && month <= 12 && day >= 1 &&
           days_from_civil(year, month, day) < days_from_civil(next_year, next, 1);
}

bool wall_parse(struct sv text, struct wall *ret_t)
{
    int64_t year, month, day, hour, minute, second, offset, us = 0;
    struct sv rest = text;

    if (!take(&rest, 4, '-', &year) || !take(&rest, 2, '-', &month) || !take(&rest, 2, 'T', &day) ||
        !take(&rest, 2, ':', &hour) || !take(&rest, 2, ':', &minute) ||
        !take(&rest, 2, '\0', &second))
        return false;
    if (!is_day(year, month, day) || hour > 23 || minute > 59 || second > 60)
        return false;
    if (rest.len != 0 && rest.at[0] == '.') {
        size_t digits = 0;

        rest = sv_skip(rest, 1);
        for (; rest.len != 0 && rest.at[0] >= '0' && rest.at[0] <= '9'; rest = sv_skip(rest, 1)) {
            if (++digits <= 6)
                us = us * 10 + (rest.at[0] - '0');
        }
        if (digits == 0 || digits > 9)
            return false;
        for (; digits < 6; digits++)
            us *= 10;
    }
    if (!take_offset(rest, &offset))
        return false;
    ret_t->us =
        (days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset) *
            US_PER_S +
        us;
    return true;
}
