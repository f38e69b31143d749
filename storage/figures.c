#include "storage/figures.h"

#include "base/alloc.h"

/* Amounts from a file may be anything; two of them may be added. */
#define MAX_VALUE (FIGURES_MAX / 2)

enum { MILLI = 1000 };

static const char *const derived_names[] = {"demand",     "part_paid", "part_filler",
                                            "part_churn", "part_kept", "part_idle"};
_Static_assert(COUNT_OF(derived_names) == SERIES_COUNT_ - SAMPLE_COUNT_, "a series has no name");

const char *series_name(enum series series)
{
    return (int)series < SAMPLE_COUNT_ ? sample_field_name((enum sample_field)series)
                                       : derived_names[series - SAMPLE_COUNT_];
}

bool series_named(struct sv name, enum series *ret_series)
{
    for (int i = 0; i < SERIES_COUNT_; i++) {
        if (sv_eq(name, sv_from(series_name((enum series)i)))) {
            *ret_series = (enum series)i;
            return true;
        }
    }
    return false;
}

static int64_t clamp(int64_t value)
{
    return value < 0 ? 0 : value > MAX_VALUE ? MAX_VALUE : value;
}

static int64_t take(int64_t want, int64_t *left)
{
    int64_t part = clamp(want) < *left ? clamp(want) : *left;

    *left -= part;
    return part;
}

void series_values(const struct sample *s, int64_t ret_values[SERIES_COUNT_])
{
    int64_t left = clamp(s->at[SAMPLE_ALLOCATABLE]);

    for (int i = 0; i < SAMPLE_COUNT_; i++)
        ret_values[i] = s->at[i] == SAMPLE_UNKNOWN ? SAMPLE_UNKNOWN : clamp(s->at[i]);
    ret_values[SERIES_DEMAND] = clamp(s->at[SAMPLE_PAID]) + clamp(s->at[SAMPLE_PENDING]);
    ret_values[SERIES_PART_PAID] = take(s->at[SAMPLE_PAID], &left);
    ret_values[SERIES_PART_FILLER] = take(s->at[SAMPLE_READY], &left);
    ret_values[SERIES_PART_CHURN] =
        take(clamp(s->at[SAMPLE_STARTING]) + clamp(s->at[SAMPLE_LEAVING]), &left);
    ret_values[SERIES_PART_KEPT] = take(s->at[SAMPLE_KEPT], &left);
    ret_values[SERIES_PART_IDLE] = left;
}

bool figures_plausible(const struct figures *f, enum figures_depth depth)
{
    int64_t least = depth == FIGURES_ALL ? f->min : 0;
    int64_t most = depth == FIGURES_MEAN ? FIGURES_MAX : f->max;

    return least >= 0 && least <= f->p50 && most <= FIGURES_MAX && f->mean_milli >= MILLI * least &&
           f->mean_milli <= MILLI * most &&
           (depth == FIGURES_MEAN || (f->p50 <= f->p90 && f->p90 <= f->p99 && f->p99 <= f->max));
}

static void cover(struct figures_sum *sum, int64_t min, int64_t max, int64_t ms)
{
    sum->min = sum->covered_ms == 0 || min < sum->min ? min : sum->min;
    sum->max = sum->covered_ms == 0 || max > sum->max ? max : sum->max;
    sum->covered_ms += ms;
}

static void add_point(struct figures_sum *sum, int64_t value, int64_t ms)
{
    if (sum->depth != FIGURES_ALL)
        return;
    if (sum->n != 0 && sum->points[sum->n - 1].value == value)
        sum->points[sum->n - 1].ms += ms;
    else if (ms > 0)
        VEC_PUSH(sum->points, sum->n, sum->cap, ((struct figures_point){.value = value, .ms = ms}));
}

/* A share of the time, evenly between two values: half of it at each quarter. */
static void add_piece(struct figures_sum *sum, int64_t low, int64_t high, int64_t ms)
{
    int64_t quarter = (high - low) / 4;

    add_point(sum, low + quarter, ms - ms / 2);
    add_point(sum, high - quarter, ms / 2);
}

static void add_spread(struct figures_sum *sum, const struct figures *f)
{
    int64_t p50 = f->covered_ms / 2, p90 = f->covered_ms - f->covered_ms / 10,
            p99 = f->covered_ms - f->covered_ms / 100;

    if (sum->depth != FIGURES_ALL)
        return;
    add_piece(sum, f->min, f->p50, p50);
    add_piece(sum, f->p50, f->p90, p90 - p50);
    add_piece(sum, f->p90, f->p99, p99 - p90);
    add_piece(sum, f->p99, f->max, f->covered_ms - p99);
}

/* What stood alone until now has company. */
static void spread_only(struct figures_sum *sum)
{
    if (sum->has_only)
        add_spread(sum, &sum->only);
    sum->has_only = false;
}

void figures_add(struct figures_sum *sum, int64_t value, int64_t ms)
{
    if (ms <= 0)
        return;
    spread_only(sum);
    cover(sum, value, value, ms);
    sum->area += (__int128)value * MILLI * ms;
    add_point(sum, value, ms);
}

void figures_join(struct figures_sum *sum, const struct figures *f)
{
    if (f->covered_ms <= 0)
        return;
    spread_only(sum);
    sum->has_only = sum->covered_ms == 0;
    cover(sum, f->min, f->max, f->covered_ms);
    sum->area += (__int128)f->mean_milli * f->covered_ms;
    if (sum->has_only)
        sum->only = *f;
    else
        add_spread(sum, f);
}

void figures_join_part(struct figures_sum *sum, const struct figures *f, int64_t part_ms)
{
    struct figures part = *f;

    part.covered_ms = part_ms < f->covered_ms ? part_ms : f->covered_ms;
    figures_join(sum, &part);
}

static int by_value(const void *a, const void *b)
{
    const struct figures_point *x = a, *y = b;

    return (x->value > y->value) - (x->value < y->value);
}

/* The least value at or below which lay so many percent of the time. */
static int64_t quantile(const struct figures_sum *sum, int percent, size_t *at, int64_t *before_ms)
{
    while (*at + 1 < sum->n &&
           (__int128)(*before_ms + sum->points[*at].ms) * 100 < (__int128)sum->covered_ms * percent)
        *before_ms += sum->points[(*at)++].ms;
    return sum->points[*at].value;
}

static struct figures finish(struct figures_sum *sum)
{
    struct figures f = {.covered_ms = sum->covered_ms, .min = sum->min, .max = sum->max};
    __int128 half = sum->covered_ms / 2;
    int64_t before_ms = 0;
    size_t at = 0;

    f.mean_milli = (int64_t)((sum->area + (sum->area < 0 ? -half : half)) / sum->covered_ms);
    if (sum->depth != FIGURES_ALL)
        return f;
    qsort(sum->points, sum->n, sizeof *sum->points, by_value);
    f.p50 = quantile(sum, 50, &at, &before_ms);
    f.p90 = quantile(sum, 90, &at, &before_ms);
    f.p99 = quantile(sum, 99, &at, &before_ms);
    return f;
}

struct figures figures_end(struct figures_sum *sum)
{
    struct figures f = sum->covered_ms == 0 ? (struct figures){0}
                       : sum->has_only      ? sum->only
                                            : finish(sum);

    *sum = (struct figures_sum){.depth = sum->depth, .points = sum->points, .cap = sum->cap};
    return f;
}

void figures_done(struct figures_sum *sum)
{
    free(sum->points);
    *sum = (struct figures_sum){0};
}
