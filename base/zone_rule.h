/*
 * zone_rule: the footer of a time zone file: which offset is in force for all years to come.
 *
 * The text is POSIX's TZ variable with RFC 9636's extension (hours of a change from -167 to 167):
 * "CET-1CEST,M3.5.0,M10.5.0/3". Names are skipped. Part of zone.h, which has the manual.
 */
#ifndef BRIM_BASE_ZONE_RULE_H
#define BRIM_BASE_ZONE_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/sv.h"

enum zone_day { ZONE_DAY_OF_YEAR, ZONE_DAY_NO_LEAP, ZONE_DAY_OF_WEEK };

/* A moment of every year, in the local time that it ends. */
struct zone_change {
    enum zone_day kind;
    int32_t month, week, day; /* ZONE_DAY_OF_WEEK: 1-12, 1-5 (5: the last), 0 is Sunday; else the
                                 day alone: 0-365, or 1-365 where 29 February is not counted */
    int32_t time_s;           /* from that day's midnight */
};

struct zone_rule {
    int32_t standard_s, daylight_s; /* offsets */
    bool changes;                   /* false: standard_s, always */
    struct zone_change start, end;  /* of daylight saving */
};

bool zone_rule_parse(struct sv text, struct zone_rule *ret_rule) MUST_CHECK;
int32_t zone_rule_offset_s(const struct zone_rule *rule, int64_t at_s);
/* INT64_MAX: never. */
int64_t zone_rule_next_s(const struct zone_rule *rule, int64_t after_s);

#endif
