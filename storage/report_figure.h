/*
 * report_figure: the figures of a report's row: what they are called, how they are written, and what they come to.
 *
 * Values are thousandths (of a share, a core, a core-hour, a second, money), latencies us, counts are whole. What the history does not tell of a
 * row has no value. docs/REPORT.md lists them.
 */
#ifndef BRIM_STORAGE_REPORT_FIGURE_H
#define BRIM_STORAGE_REPORT_FIGURE_H

#include "storage/report.h"

enum report_figure {
    FIGURE_RECORDED,
    FIGURE_OFFERED, /* up to IDLE: as enum report_part */
    FIGURE_PAID,
    FIGURE_FILLER,
    FIGURE_CHURN,
    FIGURE_KEPT,
    FIGURE_IDLE,
    FIGURE_USED_PAID, /* shares of what is offered */
    FIGURE_USED,
    FIGURE_ABOVE_TARGET, /* USED less the target; below 0: not reached */
    FIGURE_FILL,         /* share of HARVESTABLE */
    FIGURE_HARVESTABLE,
    FIGURE_LONE,
    FIGURE_PEAK,
    FIGURE_PEAK_OFFERED,
    FIGURE_MEAN_KEPT,
    FIGURE_PEAK_KEPT,
    FIGURE_RISE,
    FIGURE_NODES,
    FIGURE_YIELDS,
    FIGURE_HARVESTS,
    FIGURE_REVERSALS,
    FIGURE_LATENCY_P50, /* of yields that a paid pod waited for */
    FIGURE_LATENCY_P99,
    FIGURE_LATENCY_MAX,
    FIGURE_STARTS,
    FIGURE_STOPS,
    FIGURE_PODS,
    FIGURE_BLOCKED,
    FIGURE_BLOCKED_SHARE,
    FIGURE_WAIT,
    FIGURE_WAIT_P50,
    FIGURE_WAIT_P99,
    FIGURE_LONGEST,
    FIGURE_FILLER_WORTH,
    FIGURE_IDLE_WORTH,
    FIGURE_COUNT_
};

enum report_form {
    FORM_SHARE,
    FORM_POINTS, /* a difference of shares */
    FORM_CORE_HOURS,
    FORM_CORES,
    FORM_COUNT,
    FORM_TIME,
    FORM_LATENCY, /* millionths */
    FORM_MONEY
};

struct report_figure_kind {
    const char *head, *key; /* of a table's column; of CSV and JSON */
    const char *label;      /* for people */
    enum report_form form;
    bool wide; /* not in the narrow table */
};
const struct report_figure_kind *report_figure_kind(enum report_figure f);

/* The steps that core-hours are rounded to, in thousandths: a table's last digit, and that of CSV and JSON. */
enum { REPORT_TABLE_STEP = 100, REPORT_FULL_STEP = 1 };

/* All figures of a row. `known` says which have a value; the others are 0. O(1). */
struct report_figures {
    int64_t at[FIGURE_COUNT_];
    bool known[FIGURE_COUNT_];
};
void report_figures(const struct report *r, const struct report_row *row, int64_t step_milli,
                    struct report_figures *ret_figures);

enum { REPORT_CELL_SIZE = 40 };
/* As a table shows it: one decimal; "-" where it has no value. */
void report_cell(const struct report_figures *figures, enum report_figure f,
                 char text[static REPORT_CELL_SIZE]);
/* Any value in a form, with one decimal. */
void report_form_text(enum report_form form, int64_t value, char text[static REPORT_CELL_SIZE]);
/* A cell at the right end of its column, two blanks behind the one before. */
void report_put_cell(const char *text, int width, struct strbuf *out);
/* Millionths, from 0 up. */
void report_put_micro(struct strbuf *out, int64_t micro);
/* Any value in a form, with all its digits, as CSV and JSON have it; latencies from 0 up. */
void report_put_number(enum report_form form, int64_t value, struct strbuf *out);

#endif
