/*
 * queue: a bounded queue from one thread to another that neither ever waits for.
 *
 * One thread pushes, one other peeks and pops; what was peeked stays in the queue, and counts against its limit, until it is popped.
 * All O(1), no locks. What is in it at queue_free() is freed.
 */
#ifndef BRIM_STORAGE_QUEUE_H
#define BRIM_STORAGE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct queue_item {
    int kind;
    size_t bytes; /* against the limit of bytes */
    void *data;   /* on the heap, owned by the queue while it is in there */
};

struct queue;

struct queue *queue_new(size_t slots, size_t max_bytes);
void queue_free(struct queue *q);

/* The pushing thread. False when it is full: the item stays the caller's. */
bool queue_push(struct queue *q, struct queue_item item) MUST_CHECK;
/* Bytes that still go in. */
size_t queue_room(const struct queue *q);

/* Any thread. */
size_t queue_len(const struct queue *q);

/* The popping thread: the i-th oldest, i < queue_len(); and drops the n oldest with their data. */
struct queue_item queue_peek(const struct queue *q, size_t i);
void queue_pop(struct queue *q, size_t n);

#endif
