#include "agent/nodes_view.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct nodes_view *nodes_view_new(void)
{
    struct nodes_view *v = xcalloc(1, sizeof *v);

    atomic_init(&v->refs, 1);
    v->gen = 1;
    return v;
}

void nodes_view_add(struct nodes_view *v, const struct nodes_row *row)
{
    struct nodes_row copy = *row;

    copy.name = xstrdup(row->name);
    VEC_PUSH(v->rows, v->len, v->cap, copy);
}

static bool same_nodes(const struct nodes_view *a, const struct nodes_view *b)
{
    if (a->len != b->len)
        return false;
    for (size_t i = 0; i < a->len; i++) {
        if (strcmp(a->rows[i].name, b->rows[i].name) != 0)
            return false;
    }
    return true;
}

void nodes_view_set_gen(struct nodes_view *v, const struct nodes_view *before)
{
    if (before != NULL)
        v->gen = same_nodes(v, before) ? before->gen : before->gen + 1;
}

void nodes_view_unref(struct nodes_view *v)
{
    if (v == NULL || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < v->len; i++)
        free(v->rows[i].name);
    free(v->rows);
    free(v);
}

struct nodes_board {
    pthread_mutex_t lock; /* held for a few instructions only, as in snapshot_slot */
    struct nodes_view *newest;
    uint64_t last_gen; /* of a view that was taken down: its numbers are not used again */
    _Atomic int64_t asked_us;
};

/* Before any time that a clock tells. */
#define NEVER_US (INT64_MIN / 2)

struct nodes_board *nodes_board_new(void)
{
    struct nodes_board *b = xcalloc(1, sizeof *b);

    (void)pthread_mutex_init(&b->lock, NULL);
    atomic_init(&b->asked_us, NEVER_US);
    return b;
}

void nodes_board_free(struct nodes_board *b)
{
    if (b == NULL)
        return;
    nodes_view_unref(b->newest);
    (void)pthread_mutex_destroy(&b->lock);
    free(b);
}

struct nodes_view *nodes_board_ask(struct nodes_board *b, struct mono now)
{
    struct nodes_view *v;

    atomic_store_explicit(&b->asked_us, now.us, memory_order_relaxed);
    (void)pthread_mutex_lock(&b->lock);
    v = b->newest;
    if (v != NULL)
        (void)atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
    (void)pthread_mutex_unlock(&b->lock);
    return v;
}

static struct nodes_view *swap(struct nodes_board *b, struct nodes_view *v)
{
    struct nodes_view *old;

    (void)pthread_mutex_lock(&b->lock);
    old = b->newest;
    b->newest = v;
    (void)pthread_mutex_unlock(&b->lock);
    return old;
}

bool nodes_board_due(struct nodes_board *b, struct mono now)
{
    int64_t asked = atomic_load_explicit(&b->asked_us, memory_order_relaxed);

    /* Only the loop writes `newest`, so that it may read it without the lock. */
    if (asked == NEVER_US || now.us - asked > NODES_VIEW_ASKED_US) {
        if (b->newest != NULL) {
            b->last_gen = b->newest->gen;
            nodes_view_unref(swap(b, NULL));
        }
        return false;
    }
    return b->newest == NULL || mono_since_us(b->newest->at_mono, now) >= NODES_VIEW_EVERY_US;
}

void nodes_board_set(struct nodes_board *b, struct nodes_view *v)
{
    if (b->newest != NULL)
        nodes_view_set_gen(v, b->newest);
    else
        v->gen = b->last_gen + 1;
    b->last_gen = v->gen;
    nodes_view_unref(swap(b, v));
}
