/*
 * rollup: figures of every series by the minute, the hour and the day of UTC, kept when the samples they are made of are long gone.
 *
 * All three are made of samples, so that all they say is exact, quantiles too. An hour and its minutes are made when the hour is
 * packed, its day when an hour is packed of a day that is over. What is packed once more (a clock was set back) is made once more, but
 * not if its samples are gone: then the figures stay as they are.
 *
 * In a chunk a row is a minute, hour or day; columns (codec.h):
 *     0: how many steps after the chunk's first time the row begins      1: ms that were recorded
 *     16 + 8 * series + kind, where kind is 0: ms that were recorded, but without a value    1: p50     2: mean_milli - 1000 * p50
 *                                           3: p50 - min     4: p90 - p50     5: p99 - p90    6: max - p99
 * A column that is 0 in all rows is left out, but for p50, which is a gap where there is no value at all. `series` is the number of a
 * sample's field, or ROLLUP_DERIVED + how many after SAMPLE_COUNT_.
 */
#ifndef BRIM_STORAGE_ROLLUP_H
#define BRIM_STORAGE_ROLLUP_H

#include "storage/figures.h"
#include "storage/history.h"

enum { ROLLUP_DERIVED = 48 };

/*
 * Makes the minutes and the figures of an hour, and says how much of it was recorded; those of a day. Within the caller's
 * transaction. O(samples * series).
 */
bool rollup_make_hour(struct history *h, int64_t policy, int64_t hour_ms, int64_t *ret_covered_ms,
                      struct err *err) MUST_CHECK;
bool rollup_make_day(struct history *h, int64_t policy, int64_t day_ms, struct err *err) MUST_CHECK;

struct rollup_row {
    int64_t first_ms, covered_ms;
    const struct figures *at; /* as many as series were asked for */
};

/*
 * Rows of a level above LEVEL_SAMPLES that touch from <= t < until, by time; `each` returns false to end. Chunks that are damaged are
 * left out. O(columns of the chunks + values asked for).
 */
typedef bool rollup_each_fn(void *self, const struct rollup_row *row);
struct rollup_query {
    int64_t policy;
    enum level level;
    int64_t from_ms, until_ms;
    const enum series *series;
    const enum figures_depth *depth; /* of each; NULL: FIGURES_ALL */
    size_t n_series;
};
bool rollup_each(struct history *h, const struct rollup_query *q, rollup_each_fn *each, void *self,
                 struct err *err) MUST_CHECK;

/*
 * Puts figures that were made elsewhere into the chunk that they belong to, all of them into one: SERIES_COUNT_ of each row, in the
 * place of those that are there.
 */
bool rollup_put(struct history *h, int64_t policy, enum level level, const struct rollup_row *rows,
                size_t n, struct err *err) MUST_CHECK;

#endif
