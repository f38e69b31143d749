/*
 * loop: the one thread on which everything happens that a yield waits for. The only user of libev.
 *
 * A turn is one round of the loop: callbacks gather facts, then the turn's work is done once by the
 * function given to loop_at_turn(), then the loop sleeps. There is one `now` a turn. What a
 * callback closes is freed by its owner; timers and io handles may be freed inside any callback.
 * Not thread-safe but for loop_wake().
 */
#ifndef BRIM_AGENT_LOOP_H
#define BRIM_AGENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"

struct loop;
struct loop_timer;
struct loop_io;
struct loop_signal;
struct loop_wake;

typedef void loop_fn(void *self);
typedef void loop_io_fn(void *self, int fd, bool readable, bool writable);

struct loop *loop_new(void);
void loop_free(struct loop *l);

/* Runs until loop_stop(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* The turn's time. */
struct mono loop_now(const struct loop *l);
struct wall loop_wall(const struct loop *l);
/* Asks the clock again, for measuring inside a long turn. */
struct mono loop_fresh(const struct loop *l);

/* Called once at the end of each turn, before the loop sleeps; one function a loop. */
void loop_at_turn(struct loop *l, loop_fn *fn, void *self);

/* Called first in each turn, before any callback, however long the loop slept or was stopped; one function a loop. */
void loop_at_begin(struct loop *l, loop_fn *fn, void *self);

/* A timer that fires once, `delay_us` from now, each time it is set; setting it again moves it. */
struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *self);
void loop_timer_set(struct loop_timer *t, int64_t delay_us);
void loop_timer_stop(struct loop_timer *t);
bool loop_timer_pending(const struct loop_timer *t);
void loop_timer_free(struct loop_timer *t);

/* Watches a file descriptor; loop_io_set() says for what (neither: not at all). The fd is not
 * owned. */
struct loop_io *loop_io_new(struct loop *l, int fd, loop_io_fn *fn, void *self);
void loop_io_set(struct loop_io *io, bool read, bool write);
void loop_io_free(struct loop_io *io);

struct loop_signal *loop_signal_new(struct loop *l, int signo, loop_fn *fn, void *self);
void loop_signal_free(struct loop_signal *s);

/* A bell that another thread may ring: fn then runs on the loop's thread, once for any number of
 * rings. */
struct loop_wake *loop_wake_new(struct loop *l, loop_fn *fn, void *self);
void loop_wake_ring(struct loop_wake *w);
void loop_wake_free(struct loop_wake *w);

#endif
