/*
 * timers: time as the API client's parts are given it, so that tests can turn the clock by hand.
 *
 * `now` and `wall` are the turn's time. A timer fires once each time it is set; setting it again moves it, and it may be
 * stopped or freed in any callback, its own included. timers_from_loop() gives the loop's.
 */
#ifndef BRIM_AGENT_KUBE_TIMERS_H
#define BRIM_AGENT_KUBE_TIMERS_H

#include <stdint.h>

#include "agent/loop.h"
#include "base/clock.h"

struct timers {
    struct mono (*now)(void *self);
    struct wall (*wall)(void *self);
    void *(*timer_new)(void *self, void (*fn)(void *fn_self), void *fn_self);
    void (*timer_set)(void *timer, int64_t delay_us);
    void (*timer_stop)(void *timer);
    void (*timer_free)(void *timer); /* NULL is fine */
    void *self;
};

struct timers timers_from_loop(struct loop *loop);

#endif
