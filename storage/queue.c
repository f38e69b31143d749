#include "storage/queue.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/alloc.h"

struct queue {
    size_t slots, max_bytes;
    _Atomic size_t pushed, popped; /* ever; their difference is what is in */
    _Atomic size_t bytes;
    struct queue_item at[];
};

struct queue *queue_new(size_t slots, size_t max_bytes)
{
    struct queue *q = xcalloc(1, sizeof *q + slots * sizeof q->at[0]);

    q->slots = slots;
    q->max_bytes = max_bytes;
    return q;
}

void queue_free(struct queue *q)
{
    if (q == NULL)
        return;
    queue_pop(q, queue_len(q));
    free(q);
}

bool queue_push(struct queue *q, struct queue_item item)
{
    size_t pushed = atomic_load_explicit(&q->pushed, memory_order_relaxed);

    if (pushed - atomic_load_explicit(&q->popped, memory_order_acquire) == q->slots ||
        item.bytes > queue_room(q))
        return false;
    q->at[pushed % q->slots] = item;
    atomic_fetch_add_explicit(&q->bytes, item.bytes, memory_order_relaxed);
    atomic_store_explicit(&q->pushed, pushed + 1, memory_order_release);
    return true;
}

size_t queue_room(const struct queue *q)
{
    size_t bytes = atomic_load_explicit(&q->bytes, memory_order_relaxed);

    return bytes < q->max_bytes ? q->max_bytes - bytes : 0;
}

size_t queue_len(const struct queue *q)
{
    size_t popped = atomic_load_explicit(&q->popped, memory_order_acquire);

    return atomic_load_explicit(&q->pushed, memory_order_acquire) - popped;
}

struct queue_item queue_peek(const struct queue *q, size_t i)
{
    size_t popped = atomic_load_explicit(&q->popped, memory_order_relaxed);

    assert(i < queue_len(q));
    return q->at[(popped + i) % q->slots];
}

void queue_pop(struct queue *q, size_t n)
{
    size_t popped = atomic_load_explicit(&q->popped, memory_order_relaxed);

    assert(n <= queue_len(q));
    for (size_t i = 0; i < n; i++) {
        struct queue_item *item = &q->at[(popped + i) % q->slots];

        free(item->data);
        atomic_fetch_sub_explicit(&q->bytes, item->bytes, memory_order_relaxed);
    }
    atomic_store_explicit(&q->popped, popped + n, memory_order_release);
}
