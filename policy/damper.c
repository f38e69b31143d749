#include "policy/damper.h"

#include "base/alloc.h"

enum { FIRST_CAP = 16 };

void damper_init(struct damper *d, int64_t window_us)
{
    *d = (struct damper){0};
    damper_set_window(d, window_us);
}

void damper_done(struct damper *d)
{
    free(d->at);
    *d = (struct damper){.window_us = d->window_us};
}

void damper_set_window(struct damper *d, int64_t window_us)
{
    d->window_us = window_us > 0 ? window_us : 0;
}

static struct damper_entry *entry(const struct damper *d, size_t i)
{
    return &d->at[(d->first + i) % d->cap];
}

static void grow(struct damper *d)
{
    size_t cap = d->cap != 0 ? d->cap * 2 : FIRST_CAP;
    struct damper_entry *at = xcalloc(cap, sizeof *at);

    for (size_t i = 0; i < d->len; i++)
        at[i] = *entry(d, i);
    free(d->at);
    d->at = at;
    d->cap = cap;
    d->first = 0;
}

/* Did this moment lie T or more before now? */
static bool outlived(const struct damper *d, struct mono since, struct mono now)
{
    int64_t age;

    /* now is never before since, so that an overflow means an age beyond every window. */
    return __builtin_sub_overflow(now.us, since.us, &age) || age >= d->window_us;
}

int64_t damper_push(struct damper *d, struct mono now, int64_t value)
{
    if (d->len == 0 || now.us > d->last.us)
        d->last = now;
    now = d->last;

    struct damper_entry added = {.since = now, .value = value};

    for (; d->len != 0 && entry(d, d->len - 1)->value >= value; d->len--)
        added.since = entry(d, d->len - 1)->since;
    if (d->len == DAMPER_MAX)
        d->len--; /* the entry before it now stands for both, with the lower value */
    if (d->len == d->cap)
        grow(d);
    d->len++;
    *entry(d, d->len - 1) = added;

    while (d->len > 1 && outlived(d, entry(d, 1)->since, now)) {
        d->first = (d->first + 1) % d->cap;
        d->len--;
    }
    return entry(d, 0)->value;
}

bool damper_value(const struct damper *d, int64_t *ret_value)
{
    if (d->len == 0)
        return false;
    *ret_value = entry(d, 0)->value;
    return true;
}

bool damper_next_rise(const struct damper *d, struct mono *ret_at)
{
    if (d->len < 2)
        return false;
    if (__builtin_add_overflow(entry(d, 1)->since.us, d->window_us, &ret_at->us))
        ret_at->us = INT64_MAX;
    return true;
}
