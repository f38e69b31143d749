/*
 * series: the figures of some series over rows of time that the caller chooses: hours, days of a zone (23 or 25 hours long), months.
 *
 * The history keeps samples (every 10 s and at each decision) for two weeks, figures by the minute for 90 days, and by the hour and
 * by the day of UTC for ever (history.h has the settings). Each row is put together from the coarsest of them that fits into it
 * and, where it begins or ends in between, from finer ones.
 *
 * What is exact: covered time, min, max and mean of a row whose edges are full minutes, or full hours once the minutes are gone.
 * Where an edge cuts an hour (a minute) of which nothing finer is left, its time goes to both sides in proportion, `cut` says so.
 * Quantiles are exact in a row that is made of samples alone, or of exactly one minute, hour or day of the store; else they are
 * estimates from those of its parts (figures.h), `estimated` says so.
 */
#ifndef BRIM_STORAGE_SERIES_H
#define BRIM_STORAGE_SERIES_H

#include "storage/figures.h"
#include "storage/history.h"

enum { SERIES_MAX_ROWS = 100000 };

struct series_query {
    struct sv policy;                /* its name */
    const enum series *series;       /* which, n_series of them */
    const enum figures_depth *depth; /* of each of them; NULL: FIGURES_ALL */
    size_t n_series;
    const int64_t
        *edges; /* n_rows + 1 times in ms, rising: row i is edges[i] <= t < edges[i + 1] */
    size_t n_rows;
};

struct series_row {
    int64_t covered_ms; /* for how long anything was recorded */
    bool cut, estimated;
};

/*
 * Fills n_rows rows, and n_rows * n_series figures: those of row i and series[k] are at ret_figures[i * n_series + k]. A policy
 * that nobody knows has empty rows. ERR_LIMIT beyond SERIES_MAX_ROWS, ERR_INPUT if edges do not rise, ERR_STORAGE.
 * What is read: a day of 10 s values takes about 2 ms, a year by the hour about 20 ms, less of FIGURES_MEAN.
 */
bool series_read(struct history *h, const struct series_query *q, struct series_row *ret_rows,
                 struct figures *ret_figures, struct err *err) MUST_CHECK;

/* From the first sample or figures of any policy to the end of the last figures, or a step after the last sample; both 0: none. */
bool series_span(struct history *h, int64_t *ret_first_ms, int64_t *ret_until_ms,
                 struct err *err) MUST_CHECK;

#endif
