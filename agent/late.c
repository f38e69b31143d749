#include "agent/late.h"

static struct late_count *find(struct late *l, int64_t replicas)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->at[i].replicas == replicas)
            return &l->at[i];
    }
    return NULL;
}

static void forget(struct late *l, struct late_count *c)
{
    *c = l->at[--l->n];
}

/* The one that is over first, of those that are not open; NULL: all are. */
static struct late_count *oldest(struct late *l)
{
    struct late_count *oldest = NULL;

    for (size_t i = 0; i < l->n; i++) {
        struct late_count *c = &l->at[i];

        if (c->open == 0 && (oldest == NULL || c->until.us < oldest->until.us))
            oldest = c;
    }
    return oldest;
}

/* NULL: so many are open. */
static struct late_count *find_or_add(struct late *l, int64_t replicas)
{
    struct late_count *c = find(l, replicas);

    if (c != NULL)
        return c;
    if (l->n == LATE_MAX) {
        c = oldest(l);
        if (c == NULL)
            return NULL;
        forget(l, c);
    }
    c = &l->at[l->n++];
    *c = (struct late_count){.replicas = replicas, .until.us = INT64_MIN};
    return c;
}

void late_begin(struct late *l, int64_t replicas)
{
    struct late_count *c = find_or_add(l, replicas);

    l->crossed |= l->open != 0;
    l->open++;
    if (c != NULL)
        c->open++;
}

/* Until when may a write that ended so be carried out? Where writes crossed, nobody knows which one the
 * target has: the next reading tells. */
static struct mono end_of(const struct late *l, enum late_end how, struct mono now)
{
    switch (how) {
    case LATE_KNOWN:
        return l->crossed ? now : (struct mono){INT64_MIN};
    case LATE_UNKNOWN:
        break;
    }
    return mono_plus_us(now, LATE_US);
}

void late_end(struct late *l, int64_t replicas, enum late_end how, struct mono now)
{
    struct late_count *c = find(l, replicas);
    struct mono until = end_of(l, how, now);

    l->open--;
    if (l->open == 0)
        l->crossed = false;
    if (c == NULL || c->open == 0)
        return;
    c->open--;
    if (until.us > c->until.us)
        c->until = until;
    if (c->open == 0 && c->until.us == INT64_MIN)
        forget(l, c);
}

void late_read(struct late *l, struct mono began)
{
    for (size_t i = l->n; i-- > 0;) {
        if (l->at[i].open == 0 && l->at[i].until.us < l->read_began.us)
            forget(l, &l->at[i]);
    }
    l->read_began = began;
}

bool late_has(const struct late *l, int64_t replicas)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->at[i].replicas == replicas)
            return true;
    }
    return false;
}
