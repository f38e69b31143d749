#include "storage/series.h"

#include "base/alloc.h"
#include "storage/spans.h"

struct reading {
    const struct series_query *query;
    struct series_row *rows;
    struct figures *figures;
    struct figures_sum *sums; /* of the row that is being put together, n_series */
    size_t row;
};

static void end_row(struct reading *r)
{
    const struct series_query *q = r->query;

    for (size_t k = 0; k < q->n_series; k++)
        r->figures[r->row * q->n_series + k] = figures_end(&r->sums[k]);
    r->row++;
}

/* Ends the rows that lie before t. */
static void move_to(struct reading *r, int64_t t_ms)
{
    while (r->row < r->query->n_rows && r->query->edges[r->row + 1] <= t_ms)
        end_row(r);
}

static bool take_span(void *self, const struct sample *s, int64_t from_ms, int64_t until_ms)
{
    struct reading *r = self;
    const struct series_query *q = r->query;
    int64_t values[SERIES_COUNT_];

    series_values(s, values);
    for (move_to(r, from_ms); from_ms < until_ms; move_to(r, from_ms)) {
        int64_t edge_ms = q->edges[r->row + 1], end_ms = edge_ms < until_ms ? edge_ms : until_ms;

        r->rows[r->row].covered_ms += end_ms - from_ms;
        for (size_t k = 0; k < q->n_series; k++) {
            if (values[q->series[k]] != SAMPLE_UNKNOWN)
                figures_add(&r->sums[k], values[q->series[k]], end_ms - from_ms);
        }
        from_ms = end_ms;
    }
    return true;
}

static bool check(const struct series_query *q, struct err *err)
{
    if (q->n_rows > SERIES_MAX_ROWS)
        return err_set(err, ERR_LIMIT, 0, "found %zu rows, expected at most %d", q->n_rows,
                       SERIES_MAX_ROWS);
    for (size_t i = 0; i < q->n_rows; i++) {
        if (q->edges[i] >= q->edges[i + 1])
            return err_set(err, ERR_INPUT, 0, "found a row from %lld to %lld ms, expected a time",
                           (long long)q->edges[i], (long long)q->edges[i + 1]);
    }
    return true;
}

bool series_read(struct history *h, const struct series_query *q, struct series_row *ret_rows,
                 struct figures *ret_figures, struct err *err)
{
    struct reading r = {.query = q, .rows = ret_rows, .figures = ret_figures};
    bool ok;

    if (!check(q, err))
        return false;
    if (q->n_rows == 0)
        return true;
    for (size_t i = 0; i < q->n_rows; i++)
        ret_rows[i] = (struct series_row){0};
    r.sums = xcalloc(q->n_series + 1, sizeof *r.sums);
    ok = spans_each(h, q->policy, q->edges[0], q->edges[q->n_rows], take_span, &r, err);
    move_to(&r, INT64_MAX);
    for (size_t k = 0; k < q->n_series; k++)
        figures_done(&r.sums[k]);
    free(r.sums);
    return ok;
}

bool series_span(struct history *h, int64_t *ret_first_ms, int64_t *ret_until_ms, struct err *err)
{
    int64_t first, last;

    if (!samples_span(h->samples, &first, &last, err))
        return false;
    *ret_first_ms = first;
    *ret_until_ms = last == 0                            ? 0
                    : last > INT64_MAX - SAMPLES_STEP_MS ? INT64_MAX
                                                         : last + SAMPLES_STEP_MS;
    return true;
}
