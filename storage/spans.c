#include "storage/spans.h"

#include "base/alloc.h"

struct spans {
    int64_t from_ms, until_ms;
    spans_each_fn *each;
    void *self;
    int64_t *ends; /* when recording ended, in order */
    size_t n_ends, cap_ends, next_end;
    struct sample last;
    bool has_last, ended;
};

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How long the last sample holds, if not until the next: what it stands for is known in any case. */
static int64_t hold_until(struct spans *p)
{
    const struct sample *s = &p->last;
    int64_t until_ms = s->t_ms + sample_hold_ms(s), known_ms = until_ms - SAMPLES_HOLD_MS;

    while (p->next_end < p->n_ends && p->ends[p->next_end] < s->t_ms)
        p->next_end++;
    if (p->next_end < p->n_ends && p->ends[p->next_end] < until_ms)
        return p->ends[p->next_end] > known_ms ? p->ends[p->next_end] : known_ms;
    return until_ms;
}

/* The last sample holds until the next. */
static void tell(struct spans *p, int64_t next_ms)
{
    int64_t from_ms = p->last.t_ms > p->from_ms ? p->last.t_ms : p->from_ms;
    int64_t until_ms = min_of(min_of(next_ms, hold_until(p)), p->until_ms);

    if (from_ms < until_ms)
        p->ended = !p->each(p->self, &p->last, from_ms, until_ms);
}

static bool take_sample(void *self, const struct sample *s)
{
    struct spans *p = self;

    if (p->has_last)
        tell(p, s->t_ms);
    p->last = *s;
    p->has_last = !p->ended;
    return p->has_last;
}

/* Lost decisions are no gap in the samples. */
static bool take_gap(void *self, const struct history_gap *gap)
{
    struct spans *p = self;

    if (gap->decisions == 0 && p->n_ends <= SPANS_MAX_GAPS)
        VEC_PUSH(p->ends, p->n_ends, p->cap_ends, gap->first_ms);
    return true;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static bool find_ends(struct history *h, int64_t from_ms, struct spans *p, struct err *err)
{
    if (!history_gaps(h, from_ms, p->until_ms, take_gap, p, err))
        return false;
    if (p->n_ends > SPANS_MAX_GAPS)
        return err_set(err, ERR_LIMIT, 0,
                       "found more than %d gaps, expected fewer: ask for a shorter time",
                       SPANS_MAX_GAPS);
    if (p->n_ends != 0)
        qsort(p->ends, p->n_ends, sizeof *p->ends, by_time);
    return true;
}

bool spans_each(struct history *h, struct sv policy, int64_t from_ms, int64_t until_ms,
                spans_each_fn *each, void *self, struct err *err)
{
    struct spans p = {.from_ms = from_ms, .until_ms = until_ms, .each = each, .self = self};
    int64_t first_ms;
    bool ok;

    /* The one before may hold into the range. */
    if (!samples_last_before(h->samples, policy, from_ms, &first_ms, err))
        return false;
    if (first_ms == INT64_MIN)
        first_ms = from_ms;
    ok = find_ends(h, first_ms, &p, err) &&
         samples_each(h->samples, policy, first_ms, until_ms, take_sample, &p, err);
    if (ok && p.has_last)
        tell(&p, INT64_MAX);
    free(p.ends);
    return ok;
}
