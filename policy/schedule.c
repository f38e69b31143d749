#include "policy/schedule.h"

#include "base/num.h"
#include "policy/field.h"

enum {
    DAY_S = 86400,
    /* An entry that holds now began today or yesterday, by its clock. */
    DAYS_BACK = 2,
    /* Each day of the week comes within seven days; a week more, since a zone may skip a day. */
    DAYS_AHEAD = 14,
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* From when to when, in Unix seconds, the entry of a day holds; empty where the day is not its or
 * is skipped by the zone. */
struct span {
    int64_t begin_s, end_s;
};

static struct span span_of(const struct policy_override *o, int64_t day)
{
    /* 1970 began on a Thursday. */
    int64_t weekday = day + 3 - 7 * floor_div(day + 3, 7);
    int64_t end_day = day + (o->to_min <= o->from_min);

    if ((o->days >> weekday & 1) == 0)
        return (struct span){0};
    return (struct span){.begin_s = zone_first_s(o->zone, day * DAY_S + o->from_min * 60),
                         .end_s = zone_first_s(o->zone, end_day * DAY_S + o->to_min * 60)};
}

/* Does the entry hold at a time; *next falls to its next beginning or end after that. */
static bool look(const struct policy_override *o, int64_t now_s, int64_t *next_s)
{
    int64_t today = floor_div(now_s + zone_offset_s(o->zone, now_s), DAY_S);
    bool holds = false;

    for (int64_t day = today - DAYS_BACK; day <= today + DAYS_AHEAD; day++) {
        struct span span = span_of(o, day);

        if (span.begin_s >= span.end_s || span.end_s <= now_s)
            continue;
        holds = holds || span.begin_s <= now_s;
        *next_s = min_i64(*next_s, span.begin_s > now_s ? span.begin_s : span.end_s);
    }
    return holds;
}

bool schedule_at(const struct policy *p, struct wall now, struct policy *ret_effective,
                 struct wall *ret_next)
{
    int64_t now_s = floor_div(now.us, US_PER_S), next_s = INT64_MAX;

    *ret_effective = *p;
    for (size_t i = 0; i < p->n_overrides; i++) {
        if (look(&p->overrides[i], now_s, &next_s))
            schedule_apply(&p->overrides[i], ret_effective);
    }
    if (ret_effective->min > ret_effective->max)
        ret_effective->min = ret_effective->max;
    if (ret_effective->advanced.needed > ret_effective->advanced.values)
        ret_effective->advanced.needed = ret_effective->advanced.values;
    if (next_s == INT64_MAX)
        return false;
    *ret_next = (struct wall){.us = next_s * US_PER_S};
    return true;
}

void schedule_apply(const struct policy_override *o, struct policy *to)
{
    for (size_t i = 0; i < field_count(); i++) {
        if ((o->set[i / 64] >> i % 64 & 1) != 0)
            field_copy(field_at(i), to, o->values);
    }
}
