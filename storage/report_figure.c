#include "storage/report_figure.h"

#include <stdio.h>
#include <string.h>

#include "base/jsonw.h"

static const struct report_figure_kind kinds[] = {
    [FIGURE_RECORDED] = {"RECORDED", "recorded", "recorded, share of the time", FORM_SHARE, false},
    [FIGURE_OFFERED] = {"OFFERED", "offered_core_hours", "offered", FORM_CORE_HOURS, false},
    [FIGURE_PAID] = {"PAID", "paid_core_hours", "paid work", FORM_CORE_HOURS, false},
    [FIGURE_FILLER] = {"FILLER", "filler_core_hours", "filler at work", FORM_CORE_HOURS, false},
    [FIGURE_CHURN] = {"CHURN", "churn_core_hours", "filler starting and stopping", FORM_CORE_HOURS,
                      false},
    [FIGURE_KEPT] = {"KEPT", "kept_core_hours", "kept free", FORM_CORE_HOURS, false},
    [FIGURE_IDLE] = {"IDLE", "idle_core_hours", "idle", FORM_CORE_HOURS, false},
    [FIGURE_USED_PAID] = {"PAID%", "utilisation_paid", "utilisation, paid alone", FORM_SHARE,
                          false},
    [FIGURE_USED] = {"USED%", "utilisation", "utilisation, with filler", FORM_SHARE, false},
    [FIGURE_ABOVE_TARGET] = {"TARGET+-", "above_target", "above the target", FORM_POINTS, true},
    [FIGURE_FILL] = {"FILL%", "share_of_harvestable", "share of the harvestable", FORM_SHARE,
                     false},
    [FIGURE_HARVESTABLE] = {"HARVESTABLE", "harvestable_core_hours", "harvestable", FORM_CORE_HOURS,
                            true},
    [FIGURE_LONE] = {"ONLYFILLER", "only_filler_node_core_hours", "of nodes that only filler used",
                     FORM_CORE_HOURS, true},
    [FIGURE_PEAK] = {"PEAK", "peak_paid_cores", "paid demand, the most at once", FORM_CORES, false},
    [FIGURE_PEAK_OFFERED] = {"CORES", "peak_offered_cores", "offered, the most at once", FORM_CORES,
                             true},
    [FIGURE_MEAN_KEPT] = {"KEPTMEAN", "mean_kept_cores", "kept free, mean", FORM_CORES, true},
    [FIGURE_PEAK_KEPT] = {"KEPTMOST", "peak_kept_cores", "kept free, the most at once", FORM_CORES,
                          true},
    [FIGURE_RISE] = {"RISE", "largest_rise_cores", "largest growth of paid demand in a minute",
                     FORM_CORES, true},
    [FIGURE_NODES] = {"NODES", "peak_nodes", "nodes, the most at once", FORM_COUNT, true},
    [FIGURE_YIELDS] = {"YIELDS", "yields", "yields", FORM_COUNT, false},
    [FIGURE_HARVESTS] = {"HARVESTS", "harvests", "harvests", FORM_COUNT, false},
    [FIGURE_REVERSALS] = {"REVERSALS", "reversals", "reversals", FORM_COUNT, true},
    [FIGURE_LATENCY_P50] = {"LATENCY50", "yield_latency_p50_seconds",
                            "yield latency, half of them within", FORM_LATENCY, true},
    [FIGURE_LATENCY_P99] = {"LATENCY99", "yield_latency_p99_seconds",
                            "yield latency, 99 of 100 within", FORM_LATENCY, true},
    [FIGURE_LATENCY_MAX] = {"LATENCYMAX", "yield_latency_max_seconds", "yield latency, longest",
                            FORM_LATENCY, true},
    [FIGURE_STARTS] = {"STARTS", "filler_starts", "filler pods started", FORM_COUNT, true},
    [FIGURE_STOPS] = {"STOPS", "filler_stops", "filler pods stopped", FORM_COUNT, true},
    [FIGURE_PODS] = {"PODS", "paid_pods", "paid pods that came", FORM_COUNT, false},
    [FIGURE_BLOCKED] = {"BLOCKED", "blocked_pods", "paid pods that waited for filler", FORM_COUNT,
                        false},
    [FIGURE_BLOCKED_SHARE] = {"BLOCKED%", "blocked_share", "share of paid pods that waited",
                              FORM_SHARE, true},
    [FIGURE_WAIT] = {"WAIT", "wait_seconds", "their waits, in all", FORM_TIME, false},
    [FIGURE_WAIT_P50] = {"WAIT50", "wait_p50_seconds", "waits, half of them within", FORM_TIME,
                         true},
    [FIGURE_WAIT_P99] = {"WAIT99", "wait_p99_seconds", "waits, 99 of 100 within", FORM_TIME, true},
    [FIGURE_LONGEST] = {"LONGEST", "longest_wait_seconds", "longest wait", FORM_TIME, false},
    [FIGURE_FILLER_WORTH] = {"EARNED", "filler_worth", "worth of filler's core-hours", FORM_MONEY,
                             true},
    [FIGURE_IDLE_WORTH] = {"IDLEWORTH", "idle_worth", "worth of what lay idle", FORM_MONEY, true},
};
_Static_assert(COUNT_OF(kinds) == FIGURE_COUNT_, "a figure has no name");
_Static_assert((int)FIGURE_IDLE - (int)FIGURE_OFFERED == REPORT_PART_COUNT_ - 1,
               "the parts stand together");

const struct report_figure_kind *report_figure_kind(enum report_figure f)
{
    return &kinds[f];
}

/* Core-milliseconds in thousandths of a core, as thousandths of money. */
static int64_t worth(int64_t part, int64_t price_micro)
{
    __int128 money = (__int128)part * price_micro / INT64_C(3600000) / INT64_C(1000000);

    return money > INT64_MAX ? INT64_MAX : (int64_t)money;
}

static int64_t core_hours(int64_t part, int64_t step_milli)
{
    int64_t step = INT64_C(3600000) * step_milli;

    return (part / step + (part % step >= step - part % step)) * step_milli;
}

static void from_samples(const struct report *r, const struct report_row *row, int64_t step,
                         int64_t at[static FIGURE_COUNT_])
{
    const struct report_terms *terms = &r->query.terms;
    const int64_t *part = row->part;
    int64_t used;

    if (__builtin_add_overflow(part[REPORT_PAID], part[REPORT_FILLER], &used))
        used = INT64_MAX;
    report_core_hours(part, step, &at[FIGURE_OFFERED]);
    for (int f = FIGURE_OFFERED; f <= FIGURE_IDLE; f++)
        at[f] *= step;
    at[FIGURE_RECORDED] = report_share_milli(row->covered_ms, row->span_ms);
    at[FIGURE_USED_PAID] = report_share_milli(part[REPORT_PAID], part[REPORT_OFFERED]);
    at[FIGURE_USED] = report_share_milli(used, part[REPORT_OFFERED]);
    at[FIGURE_ABOVE_TARGET] = at[FIGURE_USED] - (terms->target_ppm + 500) / 1000;
    at[FIGURE_FILL] = report_share_milli(part[REPORT_FILLER], row->harvestable);
    at[FIGURE_HARVESTABLE] = core_hours(row->harvestable, step);
    at[FIGURE_PEAK] = row->peak_paid_milli;
    at[FIGURE_PEAK_OFFERED] = row->peak_offered_milli;
    at[FIGURE_MEAN_KEPT] = row->covered_ms > 0 ? part[REPORT_KEPT] / row->covered_ms : 0;
    at[FIGURE_PEAK_KEPT] = row->peak_kept_milli;
    at[FIGURE_RISE] = row->rise_milli;
    at[FIGURE_FILLER_WORTH] = worth(part[REPORT_FILLER], terms->price_micro);
    at[FIGURE_IDLE_WORTH] = worth(part[REPORT_IDLE], terms->price_micro);
}

static void from_events(const struct report_row *row, int64_t step,
                        int64_t at[static FIGURE_COUNT_])
{
    at[FIGURE_LONE] = core_hours(row->lone, step);
    at[FIGURE_NODES] = row->nodes;
    at[FIGURE_YIELDS] = row->yields;
    at[FIGURE_HARVESTS] = row->harvests;
    at[FIGURE_REVERSALS] = row->reversals;
    at[FIGURE_LATENCY_P50] = row->latency_p50_us;
    at[FIGURE_LATENCY_P99] = row->latency_p99_us;
    at[FIGURE_LATENCY_MAX] = row->latency_max_us;
    at[FIGURE_STARTS] = row->starts;
    at[FIGURE_STOPS] = row->stops;
    at[FIGURE_PODS] = row->pods;
    at[FIGURE_BLOCKED] = row->blocked;
    at[FIGURE_BLOCKED_SHARE] = report_share_milli(row->blocked, row->pods);
    at[FIGURE_WAIT] = row->wait_ms;
    at[FIGURE_WAIT_P50] = row->wait_p50_ms;
    at[FIGURE_WAIT_P99] = row->wait_p99_ms;
    at[FIGURE_LONGEST] = row->longest_wait_ms;
}

/* Series of an agent count pods; what became of each one is told by a journal alone. */
static bool pods_are_told(const struct report *r)
{
    return r->scrapes.interval_ms == 0;
}

/* What was counted is known, whatever the times say. */
static bool journal_tells(const struct report_row *row)
{
    return row->journal_ms > 0 || row->pods != 0 || row->blocked != 0 || row->starts != 0 ||
           row->stops != 0;
}

static bool known(const struct report *r, const struct report_row *row, enum report_figure f)
{
    const struct report_terms *terms = &r->query.terms;

    switch (f) {
    case FIGURE_RECORDED:
        return row->span_ms > 0;
    case FIGURE_OFFERED:
    case FIGURE_PAID:
    case FIGURE_FILLER:
    case FIGURE_CHURN:
    case FIGURE_KEPT:
    case FIGURE_IDLE:
    case FIGURE_HARVESTABLE:
    case FIGURE_PEAK:
    case FIGURE_PEAK_OFFERED:
    case FIGURE_MEAN_KEPT:
    case FIGURE_PEAK_KEPT:
        return row->covered_ms > 0;
    case FIGURE_USED_PAID:
    case FIGURE_USED:
        return row->part[REPORT_OFFERED] > 0;
    case FIGURE_ABOVE_TARGET:
        return row->part[REPORT_OFFERED] > 0 && terms->target_ppm > 0;
    case FIGURE_FILL:
        return row->harvestable > 0;
    case FIGURE_YIELDS:
    case FIGURE_HARVESTS:
    case FIGURE_REVERSALS:
        return row->decisions_ms > 0 || row->yields != 0 || row->harvests != 0;
    case FIGURE_LATENCY_P50:
    case FIGURE_LATENCY_P99:
    case FIGURE_LATENCY_MAX:
        return row->answers > 0;
    case FIGURE_NODES:
        return row->nodes > 0;
    case FIGURE_LONE:
        return row->nodes > 0 && pods_are_told(r);
    case FIGURE_RISE:
    case FIGURE_STARTS:
    case FIGURE_STOPS:
        return journal_tells(row) && pods_are_told(r);
    case FIGURE_PODS:
    case FIGURE_BLOCKED:
        return journal_tells(row);
    case FIGURE_BLOCKED_SHARE:
        return row->pods > 0;
    case FIGURE_WAIT:
    case FIGURE_LONGEST:
        return journal_tells(row) && pods_are_told(r);
    case FIGURE_WAIT_P50:
    case FIGURE_WAIT_P99:
        return row->blocked > 0 && pods_are_told(r);
    case FIGURE_FILLER_WORTH:
    case FIGURE_IDLE_WORTH:
        return row->covered_ms > 0 && terms->price_micro > 0;
    case FIGURE_COUNT_:
        break;
    }
    return false;
}

void report_figures(const struct report *r, const struct report_row *row, int64_t step_milli,
                    struct report_figures *ret_figures)
{
    struct report_figures figures = {0};

    from_samples(r, row, step_milli, figures.at);
    from_events(row, step_milli, figures.at);
    for (enum report_figure f = 0; f < FIGURE_COUNT_; f++) {
        figures.known[f] = known(r, row, f);
        figures.at[f] = figures.known[f] ? figures.at[f] : 0;
    }
    *ret_figures = figures;
}

/* A table of a year has thousands of cells: printf would take as long as reading the history. */
static char *put_digits(char *to, uint64_t value)
{
    char digits[20];
    size_t n = 0;

    for (; value != 0 || n == 0; value /= 10)
        digits[n++] = (char)('0' + value % 10);
    while (n > 0)
        *to++ = digits[--n];
    return to;
}

/* In tenths (10) or hundredths (100). */
static char *put_decimal(char *to, uint64_t value, uint64_t scale)
{
    to = put_digits(to, value / scale);
    *to++ = '.';
    for (; scale > 1; scale /= 10)
        *to++ = (char)('0' + value % scale / (scale / 10));
    return to;
}

void report_form_text(enum report_form form, int64_t value, char text[static REPORT_CELL_SIZE])
{
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value, tenths = (size + 50) / 100;
    char *to = text;

    if (value < 0 || (form == FORM_POINTS && value > 0))
        *to++ = value < 0 ? '-' : '+';
    switch (form) {
    case FORM_SHARE:
        to = put_decimal(to, size, 10);
        *to++ = '%';
        break;
    case FORM_POINTS:
        to = put_decimal(to, size, 10);
        break;
    case FORM_CORE_HOURS:
    case FORM_CORES:
        to = put_decimal(to, tenths, 10);
        break;
    case FORM_COUNT:
        to = put_digits(to, size);
        break;
    case FORM_TIME:
        to = put_decimal(to, tenths, 10);
        *to++ = 's';
        break;
    case FORM_LATENCY:
        to = put_decimal(to, tenths, 10);
        *to++ = 'm';
        *to++ = 's';
        break;
    case FORM_MONEY:
        to = put_decimal(to, (size + 5) / 10, 100);
        break;
    }
    *to = '\0';
}

void report_cell(const struct report_figures *figures, enum report_figure f,
                 char text[static REPORT_CELL_SIZE])
{
    if (figures->known[f])
        report_form_text(kinds[f].form, figures->at[f], text);
    else
        (void)snprintf(text, REPORT_CELL_SIZE, "-");
}

void report_put_cell(const char *text, int width, struct strbuf *out)
{
    char blanks[2 + REPORT_CELL_SIZE];
    size_t len = strlen(text);

    memset(blanks, ' ', sizeof blanks);
    (void)strbuf_add(out, (struct sv){blanks, 2 + (size_t)width - len});
    (void)strbuf_add(out, (struct sv){text, len});
}

void report_put_micro(struct strbuf *out, int64_t micro)
{
    (void)strbuf_addf(out, "%lld.%06lld", (long long)(micro / 1000000),
                      (long long)(micro % 1000000));
}

void report_put_number(enum report_form form, int64_t value, struct strbuf *out)
{
    switch (form) {
    case FORM_COUNT:
        (void)strbuf_addf(out, "%lld", (long long)value);
        return;
    case FORM_LATENCY:
        report_put_micro(out, value);
        return;
    case FORM_SHARE:
    case FORM_POINTS:
    case FORM_CORE_HOURS:
    case FORM_CORES:
    case FORM_TIME:
    case FORM_MONEY:
        jsonw_milli_text(out, value);
        return;
    }
}
