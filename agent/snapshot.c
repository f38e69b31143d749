#include "agent/snapshot.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/num.h"

void snapshot_condition_set(struct snapshot_condition *c, bool status, const char *reason,
                            const char *message)
{
    c->status = status;
    (void)snprintf(c->reason, sizeof c->reason, "%s", reason);
    (void)snprintf(c->message, sizeof c->message, "%s", message);
}

struct snapshot *snapshot_new(size_t n_fillers)
{
    struct snapshot *s = xcalloc(1, sizeof *s + n_fillers * sizeof s->fillers[0]);

    atomic_init(&s->refs, 1);
    s->n_fillers = n_fillers;
    return s;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    /* Relaxed is enough: whoever refs holds a reference already, so the value cannot go away
     * meanwhile. */
    (void)atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void snapshot_unref(struct snapshot *s)
{
    int before;

    if (s == NULL)
        return;
    before = atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1)
        free(s);
}

/*
 * A mutex around one pointer. Reading the pointer and adding to its count must be one step, or the
 * writer could free between the two; the lock is held for a few instructions, whatever readers then
 * do with their reference.
 */
struct snapshot_slot {
    pthread_mutex_t lock;
    struct snapshot *newest;
    struct boards boards;
};

struct snapshot_slot *snapshot_slot_new(void)
{
    struct snapshot_slot *slot = xcalloc(1, sizeof *slot);

    (void)pthread_mutex_init(&slot->lock, NULL);
    boards_init(&slot->boards);
    return slot;
}

void snapshot_slot_free(struct snapshot_slot *slot)
{
    if (slot == NULL)
        return;
    snapshot_unref(slot->newest);
    boards_done(&slot->boards);
    (void)pthread_mutex_destroy(&slot->lock);
    free(slot);
}

void snapshot_slot_set(struct snapshot_slot *slot, struct snapshot *s)
{
    struct snapshot *old;

    (void)pthread_mutex_lock(&slot->lock);
    old = slot->newest;
    slot->newest = s;
    (void)pthread_mutex_unlock(&slot->lock);
    snapshot_unref(old); /* outside the lock: freeing may take longer than the swap */
}

struct snapshot *snapshot_slot_get(struct snapshot_slot *slot)
{
    struct snapshot *s;

    (void)pthread_mutex_lock(&slot->lock);
    s = slot->newest != NULL ? snapshot_ref(slot->newest) : NULL;
    (void)pthread_mutex_unlock(&slot->lock);
    return s;
}

struct boards *snapshot_slot_boards(struct snapshot_slot *slot)
{
    return &slot->boards;
}

int64_t snapshot_silence_us(const struct snapshot *s, struct mono now)
{
    return max_i64(mono_since_us(s->watches[0].heard, now),
                   mono_since_us(s->watches[1].heard, now));
}

bool snapshot_is_stale(const struct snapshot *s, struct mono now)
{
    int64_t after_us = s->n_fillers == 0 ? SNAPSHOT_STALE_US : INT64_MAX;

    for (size_t i = 0; i < s->n_fillers; i++)
        after_us = min_i64(after_us, s->fillers[i].stale_after_us);
    return snapshot_silence_us(s, now) > after_us;
}
