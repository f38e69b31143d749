/*
 * calendar: minutes, hours, days, weeks and months by the clock of a zone.
 *
 * A local time is what that clock reads, in seconds since 1970 as if it were UTC. Weeks begin on
 * Monday. Days on which the clock is changed have 23 or 25 hours, or what the zone's law made of
 * them. All O(log transitions) or O(1); nothing can fail.
 */
#ifndef BRIM_STORAGE_CALENDAR_H
#define BRIM_STORAGE_CALENDAR_H

#include "base/zone.h"

enum { CALENDAR_MINUTE_S = 60, CALENDAR_HOUR_S = 3600, CALENDAR_DAY_S = 86400 };
enum { CALENDAR_WEEK_HOURS = 7 * 24, CALENDAR_TEXT_SIZE = 64 };

enum calendar_unit {
    CALENDAR_MINUTE,
    CALENDAR_HOUR,
    CALENDAR_DAY,
    CALENDAR_WEEK,
    CALENDAR_MONTH,
    CALENDAR_UNIT_COUNT_
};

/* What the clock reads at a time; `zone` NULL: UTC. */
int64_t calendar_local_s(const struct zone *zone, int64_t t_ms);

/* The begin of the unit that a reading lies in, as a reading. */
int64_t calendar_floor(enum calendar_unit unit, int64_t local_s);

/* When the piece of `unit_s` seconds (a minute or an hour of the clock) that t lies in ends: at the
 * latest when the clock is changed, so that the offset is the same all through the piece. */
int64_t calendar_piece_end_ms(const struct zone *zone, int64_t t_ms, int64_t unit_s);

/* 0: Monday from 00:00 to 01:00, up to 167. */
int calendar_week_hour(int64_t local_s);

/* Months since the year 0. */
int64_t calendar_month(int64_t local_s);

/* "2026-10-05", "2026-10-05 14:00" or, with an offset, "2026-10-05 14:00 +02:00"; "2026-10" of a
 * month, "2026-W41" of a week (ISO 8601). */
void calendar_text(enum calendar_unit unit, int64_t local_s, char text[static CALENDAR_TEXT_SIZE]);
void calendar_text_offset(enum calendar_unit unit, int64_t local_s, int64_t offset_s,
                          char text[static CALENDAR_TEXT_SIZE]);

/* "Mon" … "Sun". */
const char *calendar_day_name(int day);
/* The day of the month and the month's name, "5 Oct 2026", and with the time, "5 Oct, 14:02". */
void calendar_text_day(int64_t local_s, char text[static CALENDAR_TEXT_SIZE]);
void calendar_text_moment(int64_t local_s, char text[static CALENDAR_TEXT_SIZE]);

#endif
