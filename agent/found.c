#include "agent/found.h"

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/log.h"

/* Goes to the disk thread with what is found, and comes back with what is kept. Counted: that thread
 * and the owner have a reference each. */
struct exchange {
    atomic_int refs;
    atomic_bool answered;
    struct policies_found *at; /* their text is owned */
    size_t n, cap;
};

struct found {
    struct writer *writer;
    struct exchange *open; /* NULL: none */
    struct exchange *last; /* that was answered; NULL: none */
};

static void add(void *self, const struct policies_found *found)
{
    struct exchange *e = self;
    struct policies_found copy = *found;

    copy.policy = sv_from(sv_dup(found->policy));
    VEC_PUSH(e->at, e->n, e->cap, copy);
}

static void clear(struct exchange *e)
{
    for (size_t i = 0; i < e->n; i++)
        free((char *)(uintptr_t)e->at[i].policy.at);
    e->n = 0;
}

static void exchange_unref(struct exchange *e)
{
    if (e == NULL || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
        return;
    clear(e);
    free(e->at);
    free(e);
}

/* On the disk thread. What cannot be kept comes back as nothing. */
static void run(void *self, struct history *history, const struct err *why_not UNUSED)
{
    struct exchange *e = self;
    struct err err = {0};
    bool kept = history != NULL && policies_keep_found(history->db, e->at, e->n, &err);

    clear(e);
    if (history != NULL && (!kept || !policies_load_found(history->db, add, e, &err)))
        log_warn("the targets' first counts could not be kept for a restart", F_ERR(&err));
    atomic_store_explicit(&e->answered, true, memory_order_release);
    exchange_unref(e);
}

struct found *found_new(struct writer *writer)
{
    struct found *f = xcalloc(1, sizeof *f);

    f->writer = writer;
    return f;
}

void found_free(struct found *f)
{
    if (f == NULL)
        return;
    exchange_unref(f->open);
    exchange_unref(f->last);
    free(f);
}

void found_keep(struct found *f, const struct policies_found *found, size_t n)
{
    struct exchange *e;

    if (f->writer == NULL)
        return;
    e = xcalloc(1, sizeof *e);
    atomic_init(&e->refs, 2);
    atomic_init(&e->answered, false);
    for (size_t i = 0; i < n; i++)
        add(e, &found[i]);
    exchange_unref(f->open);
    f->open = e;
    if (!writer_ask(f->writer, run, e)) {
        exchange_unref(e);
        exchange_unref(TAKE(f->open));
    }
}

/* Takes up the newest answer. */
static void take_answer(struct found *f)
{
    if (f->open == NULL || !atomic_load_explicit(&f->open->answered, memory_order_acquire))
        return;
    exchange_unref(f->last);
    f->last = TAKE(f->open);
}

void found_keep_again(struct found *f)
{
    take_answer(f);
    if (f->last != NULL)
        found_keep(f, f->last->at, f->last->n);
}

int64_t found_count(struct found *f, struct sv policy, struct uid uid, int64_t here)
{
    take_answer(f);
    for (size_t i = 0; f->last != NULL && i < f->last->n; i++) {
        const struct policies_found *kept = &f->last->at[i];

        if (sv_eq(kept->policy, policy) && uid_eq(kept->uid, uid))
            return kept->replicas;
    }
    return here;
}
