#include "agent/day.h"

#define US_PER_HOUR (3600 * US_PER_S)

static struct day_hour *hour_at(struct day *d, int64_t hour)
{
    struct day_hour *h = &d->hours[hour % DAY_HOURS];

    if (h->hour != hour)
        *h = (struct day_hour){.hour = hour};
    return h;
}

/* The time since the last sample, an hour's share to each hour. */
static void add_time(struct day *d, struct wall now)
{
    struct wall from = d->at;

    if (!d->last.known || now.us - from.us > DAY_MAX_GAP_US)
        return;
    while (from.us < now.us) {
        int64_t hour = from.us / US_PER_HOUR, end = (hour + 1) * US_PER_HOUR;
        int64_t until = end < now.us ? end : now.us;
        double us = (double)(until - from.us);
        struct day_hour *h = hour_at(d, hour);

        h->offered += (double)d->last.allocatable_milli * us;
        h->paid += (double)d->last.paid_milli * us;
        h->filler += (double)d->last.filler_milli * us;
        from.us = until;
    }
}

void day_add(struct day *d, const struct day_sample *sample, struct wall now)
{
    struct day_hour *h;

    if (!d->begun) {
        d->begun = true;
        d->from = d->at = now;
    }
    if (now.us < d->at.us)
        now = d->at;
    add_time(d, now);
    h = hour_at(d, now.us / US_PER_HOUR);
    if (sample->paid_pods_total >= d->last.paid_pods_total)
        h->paid_pods += sample->paid_pods_total - d->last.paid_pods_total;
    if (sample->blocked_total >= d->last.blocked_total)
        h->blocked += sample->blocked_total - d->last.blocked_total;
    d->last = *sample;
    d->at = now;
}

struct day_sum day_sum(const struct day *d)
{
    int64_t oldest = d->at.us / US_PER_HOUR - (DAY_HOURS - 1);
    double offered = 0, paid = 0, filler = 0;
    struct day_sum sum = {.from = d->from};

    if (sum.from.us < oldest * US_PER_HOUR)
        sum.from.us = oldest * US_PER_HOUR;
    for (int i = 0; i < DAY_HOURS; i++) {
        const struct day_hour *h = &d->hours[i];

        if (!d->begun || h->hour < oldest)
            continue;
        sum.paid_pods += h->paid_pods;
        sum.blocked += h->blocked;
        offered += h->offered;
        paid += h->paid;
        filler += h->filler;
    }
    sum.known = offered > 0;
    if (!sum.known)
        return sum;
    sum.filler_core_hours_milli = (int64_t)(filler / (double)US_PER_HOUR);
    sum.util_milli = (int64_t)((paid + filler) * 1000 / offered + 0.5);
    sum.util_paid_milli = (int64_t)(paid * 1000 / offered + 0.5);
    return sum;
}
