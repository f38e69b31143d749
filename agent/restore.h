/*
 * restore: gives a target the count back that was found, after its policy is gone.
 *
 * A write that is open is waited for first: answered later it would undo this. One that failed is
 * tried once more after the target was read again; then it is left as it is.
 */
#ifndef BRIM_AGENT_RESTORE_H
#define BRIM_AGENT_RESTORE_H

#include <stdint.h>

#include "agent/workload.h"

enum { RESTORE_TRIES = 2 };
/* The next try, by when the target was polled. */
#define RESTORE_RETRY_US (WORKLOAD_POLL_US + 1 * US_PER_S)

struct restore;

/* The workload and the timers are borrowed. `done` is called once, maybe from inside; not to free
 * this or the workload in it. */
struct restore *restore_new(struct workload *w, const struct timers *timers, int64_t count,
                            void (*done)(void *self), void *self);
void restore_free(struct restore *r);

/* A write of the workload was answered: what workload_handler.written() tells. */
void restore_answered(struct restore *r, const struct err *err);

#endif
