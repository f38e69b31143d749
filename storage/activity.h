/*
 * activity: what happened in each minute, hour and day of UTC, kept when the decisions and the events that tell of it are long gone.
 *
 * Two things are rolled up alike: a policy's decisions, and, as policy 0, what the event journal tells. Both are counted as a report
 * counts them (report_gather.h), and what is rolled up adds up to the same: counts, sums and the longest exactly, reversals too, since each row
 * has its first and its last direction. Of lengths (how fast yields were, how long pods waited) a histogram stays, so that their
 * quantiles are at most 6.25 % too high (bins.h). What became of blocked pods may now and then differ by a pod: one that waits where
 * reading begins is stated anew there, and judged by the room of that moment.
 *
 * It is made when an hour is over, and made once more in the ACTIVITY_REDO_MS after it: so waits that end within that time count
 * whole. What was made of more than is left stays as it was.
 *
 * In a chunk each number that is not 0 is a row of the codec, with the columns 0: which step of the chunk, 1: its key (enum
 * activity_key, or ACTIVITY_LATENCIES or ACTIVITY_WAITS + the number of a bin), 2: the number; by key and step, and behind them bins by
 * step and key. Where that is too much for a chunk, bins are taken together.
 */
#ifndef BRIM_STORAGE_ACTIVITY_H
#define BRIM_STORAGE_ACTIVITY_H

#include "storage/history.h"

/* Files hold these numbers. */
enum activity_key {
    ACTIVITY_COVERED, /* ms of the row that are told of */
    /* Of decisions. */
    ACTIVITY_YIELDS,
    ACTIVITY_HARVESTS,
    ACTIVITY_REVERSALS,   /* within the row */
    ACTIVITY_FIRST_WAY,   /* 1: up, 2: down; 0: no decision changed anything */
    ACTIVITY_LAST_WAY,    /* the same */
    ACTIVITY_LATENCY_MAX, /* us */
    /* Of the journal. */
    ACTIVITY_STARTS, /* filler pods bound, and bound ones gone */
    ACTIVITY_STOPS,
    ACTIVITY_PODS,    /* paid ones that arrived */
    ACTIVITY_BLOCKED, /* of them; counted where they were reported */
    ACTIVITY_WAIT,    /* ms, of all */
    ACTIVITY_LONE,    /* milli-core ms of nodes that only filler used */
    ACTIVITY_RISE,    /* milli-cores */
    ACTIVITY_NODES,
    ACTIVITY_LONGEST,          /* the longest wait, ms; the next four are its: */
    ACTIVITY_LONGEST_REPORTED, /* ms after the row's begin */
    ACTIVITY_LONGEST_BEFORE,   /* ms from its begin to the report */
    ACTIVITY_LONGEST_CPU,      /* milli-cores */
    ACTIVITY_LONGEST_END,      /* 0: gone, 1: bound, 2: waits */
    ACTIVITY_UP_TO,            /* waits by length, as REPORT_WAIT_STEPS_MS has them */
    ACTIVITY_COUNT_ = ACTIVITY_UP_TO + 7,
};

#define ACTIVITY_REDO_MS  (6 * PACKS_HOUR_MS)
#define ACTIVITY_ROUND_MS (7 * PACKS_DAY_MS)

enum { ACTIVITY_LATENCIES = 1024, ACTIVITY_WAITS = 2048 }; /* in us; in ms */

struct activity_bin {
    uint32_t key;
    int64_t n;
};

struct activity_row {
    int64_t first_ms;
    int64_t at[ACTIVITY_COUNT_];
    struct activity_bin *bins; /* by key */
    size_t n_bins, cap_bins;
};

/*
 * Rows that begin in from <= t < until of a level above LEVEL_SAMPLES, by time; `each` returns false to end, and the row is borrowed. Chunks
 * that are damaged are left out. O(numbers in the chunks).
 */
typedef bool activity_each_fn(void *self, const struct activity_row *row);
bool activity_each(struct history *h, int64_t policy, enum level level, int64_t from_ms,
                   int64_t until_ms, activity_each_fn *each, void *self,
                   struct err *err) MUST_CHECK;

/* The end of the last hour that was rolled up and began before t, or day, where hours are gone; INT64_MIN: none was. */
bool activity_until(struct history *h, int64_t policy, int64_t t_ms, int64_t *ret_until_ms,
                    struct err *err) MUST_CHECK;

/*
 * Rolls up what there is up to the hour of `now_ms`, of all policies and then of the journal, the oldest first: one round a call, of
 * ACTIVITY_ROUND_MS of one of them or, of a full journal, of less, in a transaction of its own. *ret_more: there may be another one. A round that failed is the next one
 * again. Once an hour is over each of them takes a round: O(events of twice ACTIVITY_REDO_MS, and bytes of the segments they lie in); after a
 * file was brought up to date there are as many as what is kept needs, each O(events of its time and of twice ACTIVITY_REDO_MS). Else O(1).
 *
 * How far it came is known from the file, but for time of which there is nothing to tell: that is in memory.
 */
bool activity_roll(struct history *h, int64_t now_ms, bool *ret_more, struct err *err) MUST_CHECK;

/* How far rolling up has come since a history was opened; NULL: it was not begun. */
struct activity_progress;
void activity_progress_free(struct activity_progress *p);

/*
 * For those who take in a chunk as the file keeps it. Is it such a chunk, of rows of this level? Is there one for that time, and is it the same?
 * Takes its place; ERR_STORAGE where it is none.
 */
bool activity_check(enum level level, struct sv data) MUST_CHECK;
bool activity_look(struct history *h, int64_t policy, enum level level, int64_t first_ms,
                   struct sv data, bool *ret_there, bool *ret_same, struct err *err) MUST_CHECK;
bool activity_put(struct history *h, int64_t policy, enum level level, int64_t first_ms,
                  struct sv data, struct err *err) MUST_CHECK;

#endif
