/*
 * figures: which series the history has, and what is told of one over a span of time.
 *
 * A series is a field of the samples (samples.h), or follows from them. All figures weigh a value by how long it held: the mean, and
 * the quantiles, which are the least value that held, or a lower one did, for that share of the time. Min and max are of values
 * that held at all.
 *
 * The parts split what the nodes offered in each moment, one after the other, each as far as there is room left:
 *     allocatable = part_paid + part_filler (ready) + part_churn (filler that starts or leaves) + part_kept (reserve and headroom in
 *                   whole holes, as far as free) + part_idle
 * so that their means add up to allocatable's (each is rounded to a thousandth of its unit).
 */
#ifndef BRIM_STORAGE_FIGURES_H
#define BRIM_STORAGE_FIGURES_H

#include "storage/samples.h"

/* Those up to SAMPLE_COUNT_ are the samples' fields, in their units. Files hold these numbers (rollup.h). */
enum series {
    SERIES_DEMAND = SAMPLE_COUNT_, /* paid + pending; milli-cores, as all that follow */
    SERIES_PART_PAID,
    SERIES_PART_FILLER,
    SERIES_PART_CHURN,
    SERIES_PART_KEPT,
    SERIES_PART_IDLE,
    SERIES_COUNT_,
};

/* No value is below 0 or above; what a sample says beyond is taken for the nearest. */
#define FIGURES_MAX (INT64_C(1) << 41)

/* "allocatable", … "demand", "part_paid", … */
const char *series_name(enum series series);
/* False where no series is called so. */
bool series_named(struct sv name, enum series *ret_series) MUST_CHECK;

/* The value of each series at the time of a sample; SAMPLE_UNKNOWN where it does not tell. */
void series_values(const struct sample *s, int64_t ret_values[SERIES_COUNT_]);

struct figures {
    int64_t covered_ms; /* for how long there was a value; 0: all others mean nothing */
    int64_t min, max, p50, p90, p99;
    int64_t mean_milli; /* in thousandths of the unit */
};

/* How much is asked for of a series: what is not need not be read, or worked out. */
enum figures_depth {
    FIGURES_ALL,
    FIGURES_MEAN, /* covered_ms and mean_milli: all others mean nothing */
    FIGURES_MOST, /* max, too */
};

/* May these, as far as they mean anything, be figures of some values? */
bool figures_plausible(const struct figures *f, enum figures_depth depth);

/* Values that are gathered into figures. A zeroed one is empty. */
struct figures_sum {
    enum figures_depth depth;
    int64_t covered_ms, min, max;
    __int128 area; /* thousandths of the unit times ms */
    struct figures only;
    bool has_only; /* `only` is all there is, and not among the points */
    struct figures_point {
        int64_t value, ms;
    } * points;
    size_t n, cap;
};

/* A value that held for so long. Adding is O(1) amortised; memory is 16 bytes for each change of value. */
void figures_add(struct figures_sum *sum, int64_t value, int64_t ms);
/*
 * Figures of another span. Min, max and mean stay exact. Alone they come out as they went in; together with others their quantiles
 * are estimates: their time is spread evenly between min, p50, p90, p99 and max.
 */
void figures_join(struct figures_sum *sum, const struct figures *f);
/* Only `part_ms` of the covered time of f, as if it were the same all over. */
void figures_join_part(struct figures_sum *sum, const struct figures *f, int64_t part_ms);

/* O(n log n) in the changes of value, O(1) but for FIGURES_ALL. The sum is empty again and keeps its depth and its memory. */
struct figures figures_end(struct figures_sum *sum);
void figures_done(struct figures_sum *sum);

#endif
