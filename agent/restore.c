#include "agent/restore.h"

#include "base/alloc.h"

struct restore {
    struct workload *workload;
    const struct timers *timers;
    void *timer;
    int64_t count;
    int tries; /* that are left */
    void (*done)(void *self);
    void *self;
};

static void step(void *self)
{
    struct restore *r = self;
    const struct workload_view *view = workload_view(r->workload);

    if (workload_writes(r->workload))
        return;
    if (!view->known || view->replicas == r->count || r->tries == 0) {
        r->done(r->self);
        return;
    }
    r->tries--;
    if (r->count < view->replicas)
        workload_shrink(r->workload, r->count);
    else
        workload_grow(r->workload, r->count);
}

struct restore *restore_new(struct workload *w, const struct timers *timers, int64_t count,
                            void (*done)(void *self), void *self)
{
    struct restore *r = xcalloc(1, sizeof *r);

    *r = (struct restore){.workload = w,
                          .timers = timers,
                          .count = count,
                          .tries = RESTORE_TRIES,
                          .done = done,
                          .self = self};
    r->timer = timers->timer_new(timers->self, step, r);
    step(r);
    return r;
}

void restore_free(struct restore *r)
{
    if (r == NULL)
        return;
    r->timers->timer_free(r->timer);
    free(r);
}

void restore_answered(struct restore *r, const struct err *err)
{
    if (err == NULL || r->tries == 0) {
        step(r);
        return;
    }
    workload_refresh(r->workload);
    r->timers->timer_set(r->timer, RESTORE_RETRY_US);
}
