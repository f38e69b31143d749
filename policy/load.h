/*
 * load: the paid demand D of the last day, as a step function that can be asked for its highest
 * value over any span.
 *
 * A row of pieces, each with the time it began and the least and the highest (`most`) value until
 * the next one begins; the last piece is open and holds what is in force now. Pieces are exact
 * (both are one) until LOAD_MAX changes lie within LOAD_HISTORY_S (or the fine span, if that is
 * longer). Then neighbours are merged: up to 1/4096 of the fine span within it, up to 4/LOAD_MAX of
 * the history before it. What is asked from below (`least`) is then never too high, what is asked
 * from above (`most`) never too low. At most LOAD_MAX pieces of 56 bytes are held.
 *
 * D at a moment is the last value told for it. Times must not go back; `from` of a span that lies
 * before everything known is taken as the first time known. All look-ups O(log pieces).
 */
#ifndef BRIM_POLICY_LOAD_H
#define BRIM_POLICY_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

enum { LOAD_MAX = 32768, LOAD_HISTORY_S = 25 * 3600 };

struct load {
    int64_t *since; /* when piece i began, in microseconds, rising */
    /* The values as trees of maxima: piece i at cap + i, node i over 2i and 2i + 1. */
    int64_t *least, *most;
    size_t len, cap; /* pieces; a power of two */
    int64_t fine_us;
    uint64_t merges; /* how often pieces were merged: what was looked up may be another since */
};

void load_init(struct load *l, int64_t fine_us);
void load_done(struct load *l);

/* The span in which pieces stay fine, from now on. */
void load_set_fine(struct load *l, int64_t fine_us);

/* D is `value` from now on. O(log) amortised. */
void load_put(struct load *l, struct mono now, int64_t value);

/* Forgets everything. */
void load_clear(struct load *l);

/* Is D known at this time, and ever since? */
bool load_knows(const struct load *l, struct mono at);

/* The least and the highest that D may have been then. Something must be known. */
int64_t load_least_at(const struct load *l, struct mono at);
int64_t load_most_at(const struct load *l, struct mono at);

/* The highest D over [from, to]: never too high, and never too low. `to` must be known and not
 * before `from`. */
int64_t load_peak_least(const struct load *l, struct mono from, struct mono to);
int64_t load_peak_most(const struct load *l, struct mono from, struct mono to);

/* When the first piece began after `after`; false: none did. */
bool load_next(const struct load *l, struct mono after, struct mono *ret_at);

/* The same for the first whose least (most) value is above `value`. */
bool load_next_above(const struct load *l, struct mono after, int64_t value, struct mono *ret_at);
bool load_next_most_above(const struct load *l, struct mono after, int64_t value,
                          struct mono *ret_at);

/*
 * When the last piece of [from, to] whose least value is at least `value` ended; false: it is the
 * open one, or there is none.
 */
bool load_last_end(const struct load *l, struct mono from, struct mono to, int64_t value,
                   struct mono *ret_at);

#endif
