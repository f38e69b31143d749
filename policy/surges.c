#include "policy/surges.h"

/* p is at least as many A, and as many are due after two at that distance: the one after them is
 * seen in one earlier rise only. */
enum { LEAST_DISTANCE = 4, DUE = 2 };

static void start(struct surges *s, struct mono now, int64_t actuation_us, int64_t jitter_us)
{
    if (s->starts > 0 && mono_since_us(s->at[1], now) < actuation_us)
        return;
    if (s->due > 0 && mono_since_us(now, s->next) <= jitter_us + actuation_us + SURGES_SPREAD_US)
        s->came++;
    s->count++;
    s->at[0] = s->at[1];
    s->at[1] = now;
    if (s->starts < 2)
        s->starts++;
    s->due = surges_distance(s, actuation_us, &s->distance_us) ? DUE : 0;
    s->next = mono_plus_us(now, s->distance_us);
}

void surges_pass(struct surges *s, struct mono now, int64_t jitter_us)
{
    while (s->due > 0 && mono_since_us(s->next, now) > jitter_us) {
        s->missed++;
        s->due--;
        s->next = mono_plus_us(s->next, s->distance_us);
    }
}

void surges_step(struct surges *s, bool above, struct mono now, int64_t actuation_us,
                 int64_t jitter_us)
{
    surges_pass(s, now, jitter_us);
    if (above && !s->on)
        start(s, now, actuation_us, jitter_us);
    s->on = above;
}

void surges_forget(struct surges *s)
{
    *s = (struct surges){.count = s->count, .came = s->came, .missed = s->missed};
}

bool surges_distance(const struct surges *s, int64_t actuation_us, int64_t *ret_us)
{
    int64_t distance = mono_since_us(s->at[0], s->at[1]);

    if (s->starts < 2 || distance / LEAST_DISTANCE < actuation_us)
        return false;
    *ret_us = distance;
    return true;
}
