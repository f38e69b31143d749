#include "agent/kube/timers.h"

static struct mono now(void *self)
{
    return loop_now(self);
}

static struct wall wall(void *self)
{
    return loop_wall(self);
}

static void *timer_new(void *self, void (*fn)(void *fn_self), void *fn_self)
{
    return loop_timer_new(self, fn, fn_self);
}

static void timer_set(void *timer, int64_t delay_us)
{
    loop_timer_set(timer, delay_us);
}

static void timer_stop(void *timer)
{
    loop_timer_stop(timer);
}

static void timer_free(void *timer)
{
    loop_timer_free(timer);
}

struct timers timers_from_loop(struct loop *loop)
{
    return (struct timers){
        .now = now,
        .wall = wall,
        .timer_new = timer_new,
        .timer_set = timer_set,
        .timer_stop = timer_stop,
        .timer_free = timer_free,
        .self = loop,
    };
}
