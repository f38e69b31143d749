#include "agent/board.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"

struct board {
    pthread_mutex_t lock; /* held for a few instructions only, as in snapshot_slot */
    int64_t every_us, asked_us;
    struct board_value *newest;
    struct board_value *returned;         /* to be freed by the loop */
    _Atomic(struct board_waiter *) first; /* who waits, the longest first */
    struct board_waiter **last;
    bool closed;
    _Atomic int64_t asked_at_us;
    void (*ring)(void *self);
    void *ring_self;
};

/* Before any time that a clock tells. */
#define NEVER_US (INT64_MIN / 2)

void board_value_init(struct board_value *v, void (*free)(struct board_value *v))
{
    atomic_init(&v->refs, 1);
    v->free = free;
}

void board_value_unref(struct board_value *v)
{
    struct board *b;

    if (v == NULL || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
        return;
    b = v->board;
    if (b == NULL) {
        v->free(v);
        return;
    }
    (void)pthread_mutex_lock(&b->lock);
    v->next_returned = b->returned;
    b->returned = v;
    (void)pthread_mutex_unlock(&b->lock);
}

struct board *board_new(int64_t every_us, int64_t asked_us)
{
    struct board *b = xcalloc(1, sizeof *b);

    (void)pthread_mutex_init(&b->lock, NULL);
    b->every_us = every_us;
    b->asked_us = asked_us;
    atomic_init(&b->asked_at_us, NEVER_US);
    return b;
}

void board_free(struct board *b)
{
    if (b == NULL)
        return;
    board_clear(b);
    (void)pthread_mutex_destroy(&b->lock);
    free(b);
}

void board_on_wait(struct board *b, void (*ring)(void *self), void *self)
{
    b->ring = ring;
    b->ring_self = self;
}

struct board_value *board_ask(struct board *b, struct mono now)
{
    struct board_value *v;

    atomic_store_explicit(&b->asked_at_us, now.us, memory_order_relaxed);
    (void)pthread_mutex_lock(&b->lock);
    v = b->newest;
    if (v != NULL)
        (void)atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
    (void)pthread_mutex_unlock(&b->lock);
    return v;
}

bool board_wait(struct board *b, struct board_waiter *w)
{
    bool waits;

    w->next = NULL;
    (void)pthread_mutex_lock(&b->lock);
    waits = b->newest == NULL && !b->closed && b->ring != NULL;
    if (waits) {
        if (atomic_load(&b->first) == NULL)
            atomic_store(&b->first, w);
        else
            *b->last = w;
        b->last = &w->next;
    }
    (void)pthread_mutex_unlock(&b->lock);
    if (waits)
        b->ring(b->ring_self);
    return waits;
}

/* Tells those who wait since this or longer. Each is the reader's again as soon as it is told. */
static void tell(struct board *b, struct mono since)
{
    for (;;) {
        struct board_waiter *w, told = {0};

        (void)pthread_mutex_lock(&b->lock);
        w = atomic_load(&b->first);
        if (w != NULL && w->since.us <= since.us) {
            atomic_store(&b->first, w->next);
            told = *w;
        }
        (void)pthread_mutex_unlock(&b->lock);
        if (told.done == NULL)
            return;
        told.done(told.self);
    }
}

void board_expire(struct board *b, struct mono now)
{
    if (atomic_load_explicit(&b->first, memory_order_relaxed) != NULL)
        tell(b, (struct mono){now.us - BOARD_WAIT_US});
}

void board_close(struct board *b)
{
    (void)pthread_mutex_lock(&b->lock);
    b->closed = true;
    (void)pthread_mutex_unlock(&b->lock);
    tell(b, (struct mono){INT64_MAX});
}

static void free_returned(struct board *b)
{
    struct board_value *v;

    (void)pthread_mutex_lock(&b->lock);
    v = b->returned;
    b->returned = NULL;
    (void)pthread_mutex_unlock(&b->lock);
    while (v != NULL) {
        struct board_value *next = v->next_returned;

        v->free(v);
        v = next;
    }
}

static void hang(struct board *b, struct board_value *v)
{
    struct board_value *old;

    if (v != NULL)
        v->board = b;
    (void)pthread_mutex_lock(&b->lock);
    old = b->newest;
    b->newest = v;
    (void)pthread_mutex_unlock(&b->lock);
    board_value_unref(old);
    free_returned(b);
}

bool board_due(struct board *b, struct mono now)
{
    int64_t asked = atomic_load_explicit(&b->asked_at_us, memory_order_relaxed);

    /* Only the loop writes `newest`, so that it may read it without the lock. */
    if (asked == NEVER_US || now.us - asked > b->asked_us) {
        board_clear(b);
        return false;
    }
    free_returned(b);
    return b->newest == NULL || mono_since_us(b->newest->at, now) >= b->every_us;
}

struct board_value *board_newest(const struct board *b)
{
    return b->newest;
}

void board_set(struct board *b, struct board_value *v)
{
    hang(b, v);
    tell(b, (struct mono){INT64_MAX});
}

void board_clear(struct board *b)
{
    hang(b, NULL);
}
