/*
 * board: where the loop hangs a value that is as large as the cluster, for the serve thread.
 *
 * Such a value costs the loop time, so it is made only while somebody looks: a reader asks the board
 * (board_ask), which leaves a mark; the loop, in a turn that it has anyway, makes a new one at most
 * every `every_us` (board_due) and none once the mark is older than `asked_us`: what hung there is
 * then taken down. Who asks first finds nothing, and may wait for it (board_wait): that rings the
 * loop, which makes one at once.
 *
 * A value is immutable once it hangs, counted, and freed on the loop's thread, whoever gave the last
 * reference back.
 */
#ifndef BRIM_AGENT_BOARD_H
#define BRIM_AGENT_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/* How long somebody waits at most; the loop answers in milliseconds unless it hangs. */
#define BOARD_WAIT_US (5 * US_PER_S)

struct board;

/* The head of every value. */
struct board_value {
    atomic_int refs;
    struct mono at;
    struct board *board; /* where it hung last; NULL: nowhere yet */
    struct board_value *next_returned;
    void (*free)(struct board_value *v);
};

/* One reference, the caller's. */
void board_value_init(struct board_value *v, void (*free)(struct board_value *v));
void board_value_unref(struct board_value *v); /* NULL is fine */

struct board *board_new(int64_t every_us, int64_t asked_us);
/* No reader is left, and nobody waits. */
void board_free(struct board *b);

/* `ring` is called from a reader's thread when somebody waits; before the first reader comes. */
void board_on_wait(struct board *b, void (*ring)(void *self), void *self);

/* ---- For readers ---- */

/* Marks that somebody looks and returns a new reference to the newest, NULL if there is none. */
struct board_value *board_ask(struct board *b, struct mono now);

/* Somebody who waits; the reader's until `done` was called. */
struct board_waiter {
    void (*done)(void *self); /* called once, from any thread */
    void *self;
    struct mono since;
    struct board_waiter *next;
};

/* False: there is something by now, or nobody may wait any more: `done` is not called. Else it is
 * called when there is something, or for BOARD_WAIT_US there was nothing. */
bool board_wait(struct board *b, struct board_waiter *w);
/* Ends the waiting of those whose time is over: whoever comes by does it for the others. O(1) while
 * nobody waits. */
void board_expire(struct board *b, struct mono now);
/* Ends everybody's waiting; nobody may wait from now on. */
void board_close(struct board *b);

/* ---- For the loop ---- */

/* Is a new one due? */
bool board_due(struct board *b, struct mono now);
/* The one that hangs there, borrowed; NULL: none. */
struct board_value *board_newest(const struct board *b);
/* Hangs `v`, taking over the caller's reference, and tells those who wait. */
void board_set(struct board *b, struct board_value *v);
/* Takes down what hangs there and frees what was given back. */
void board_clear(struct board *b);

#endif
