/*
 * settle: N, the count that the set point x lets filler have, with T as the policy says or chosen by
 * experience (`settle: auto`).
 *
 * With a fixed T it is one damper (damper.h): N is the least x of the last T. With auto the same is
 * done for each of SETTLE_TRIES times at once, 30, 60, 90, 120, 300 and 900 s, none less than 2A:
 * what N would have been, since x does not depend on it. Each is scored over the last hour:
 *     score = sum of N dt - K per pod that N fell by,    K = start-up + grace + killCost
 * in pods times microseconds, exactly, by whole minutes of the clock: the one that is under way and the
 * 60 before it. At the beginning of each minute the best one of the 60 before is put in force; of equal
 * ones the longest. Until an hour is known it is 90 s. N follows only upwards to what T in force has:
 *     N = max(N of the T in force, min(N before, x))
 * so that another choice never makes it fall. N is never above what the least T has: properties P1
 * to P3 of docs/CONTROL.md hold with that one. The choice is a function of the set points alone, at
 * whatever times they were pushed: pushes of the same x before settle_next_rise() change nothing.
 *
 * Times must not go back further than the last one seen, as which they are taken. Memory: SETTLE_TRIES
 * dampers and as many hours of minutes. Pure.
 */
#ifndef BRIM_POLICY_SETTLE_H
#define BRIM_POLICY_SETTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"

enum { SETTLE_TRIES = 6, SETTLE_MEMORY_MIN = 60 };

struct settle_config {
    bool automatic;       /* settle: auto */
    int64_t settle_us;    /* T, unless automatic */
    int64_t actuation_us; /* A; T is at least 2A */
    int64_t kill_us;      /* K */
};

/* The least T that may be in force. */
int64_t settle_least_us(const struct settle_config *config);

struct settle;

struct settle *settle_new(const struct settle_config *config);
void settle_free(struct settle *s);
DEFINE_FREE_PTR(struct settle, settle)

/*
 * Another T, A, K or mode. A longer T does not bring back what was dropped and never lets N fall; a
 * shorter one may let it rise at the next push. A change of mode keeps N, and begins with it as if
 * at a start.
 */
void settle_configure(struct settle *s, const struct settle_config *config);

/*
 * The set point is x from now on. Returns N. The first push ever starts the history: give it the
 * replicas found. O(SETTLE_TRIES + SETTLE_MEMORY_MIN) at most, O(1) with a fixed T, amortised.
 */
int64_t settle_push(struct settle *s, struct mono now, int64_t x);

/* N as of the last push; false before the first. */
bool settle_value(const struct settle *s, int64_t *ret_value);

/*
 * When N may rise if no further push comes; false if it will not. Nothing is missed until then. With
 * auto it may be the beginning of a minute at which another T may come into force; N may stay then.
 */
bool settle_next_rise(const struct settle *s, struct mono *ret_at);

/* T in force, and with auto each time that is tried with its score; the i-th of SETTLE_TRIES. */
int64_t settle_window_us(const struct settle *s);
int64_t settle_try_us(const struct settle *s, size_t i);
double settle_score(const struct settle *s, size_t i);

#endif
