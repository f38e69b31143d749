#include "storage/report.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/jsonw.h"

/* What a column shows, in the order of the columns. */
enum column {
    RECORDED, /* share of the time, in thousandths */
    OFFERED,  /* core-hours in thousandths, up to IDLE */
    PAID,
    FILLER,
    CHURN,
    KEPT,
    IDLE,
    USED_PAID, /* shares of what is offered, in thousandths */
    USED,
    PEAK, /* milli-cores */
    YIELDS,
    HARVESTS,
    PODS,
    BLOCKED,
    WAIT, /* ms */
    LONGEST,
    COLUMN_COUNT_,
};

enum form { SHARE, MILLI, COUNT, TIME };

static const struct {
    const char *head, *key;
    enum form form;
} columns[] = {
    [RECORDED] = {"RECORDED", "recorded", SHARE},
    [OFFERED] = {"OFFERED", "offered_core_hours", MILLI},
    [PAID] = {"PAID", "paid_core_hours", MILLI},
    [FILLER] = {"FILLER", "filler_core_hours", MILLI},
    [CHURN] = {"CHURN", "churn_core_hours", MILLI},
    [KEPT] = {"KEPT", "kept_core_hours", MILLI},
    [IDLE] = {"IDLE", "idle_core_hours", MILLI},
    [USED_PAID] = {"PAID%", "utilisation_paid", SHARE},
    [USED] = {"USED%", "utilisation", SHARE},
    [PEAK] = {"PEAK", "peak_paid_cores", MILLI},
    [YIELDS] = {"YIELDS", "yields", COUNT},
    [HARVESTS] = {"HARVESTS", "harvests", COUNT},
    [PODS] = {"PODS", "paid_pods", COUNT},
    [BLOCKED] = {"BLOCKED", "blocked_pods", COUNT},
    [WAIT] = {"WAIT", "wait_seconds", TIME},
    [LONGEST] = {"LONGEST", "longest_wait_seconds", TIME},
};
_Static_assert(COUNT_OF(columns) == COLUMN_COUNT_, "a column has no head");

enum { CELL_SIZE = 32, HEAD_WIDTH = 16 };

/* Thousandths of a core-hour that a table's last digit stands for, and that of CSV and JSON. */
enum { TABLE_STEP = 100, FULL_STEP = 1 };

static void values_of(const struct report *r, const struct report_row *row, int64_t step,
                      int64_t value[static COLUMN_COUNT_])
{
    int64_t from_ms = row->first_ms > r->query.since_ms ? row->first_ms : r->query.since_ms;
    int64_t until_ms = row->until_ms < r->query.until_ms ? row->until_ms : r->query.until_ms;
    const int64_t *part = row->part;
    int64_t used;

    if (__builtin_add_overflow(part[REPORT_PAID], part[REPORT_FILLER], &used))
        used = INT64_MAX;
    report_core_hours(part, step, &value[OFFERED]);
    for (int c = OFFERED; c <= IDLE; c++)
        value[c] *= step;
    value[RECORDED] = report_share_milli(row->covered_ms, until_ms - from_ms);
    value[USED_PAID] = report_share_milli(part[REPORT_PAID], part[REPORT_OFFERED]);
    value[USED] = report_share_milli(used, part[REPORT_OFFERED]);
    value[PEAK] = row->peak_paid_milli;
    value[YIELDS] = row->yields;
    value[HARVESTS] = row->harvests;
    value[PODS] = row->pods;
    value[BLOCKED] = row->blocked;
    value[WAIT] = row->wait_ms;
    value[LONGEST] = row->longest_wait_ms;
}
_Static_assert((int)IDLE - (int)OFFERED == REPORT_PART_COUNT_ - 1, "the parts stand together");

/* Is there anything to divide by? What was not recorded is not 0. */
static bool known(const struct report_row *row, enum column c)
{
    return row->covered_ms > 0 || c == RECORDED || c >= YIELDS;
}

static void cell(enum form form, int64_t value, char text[static CELL_SIZE])
{
    int64_t tenths = (value + 50) / 100;

    if (form == SHARE)
        (void)snprintf(text, CELL_SIZE, "%lld.%lld%%", (long long)(value / 10),
                       (long long)(value % 10));
    else if (form == MILLI)
        (void)snprintf(text, CELL_SIZE, "%lld.%lld", (long long)(tenths / 10),
                       (long long)(tenths % 10));
    else if (form == TIME)
        (void)snprintf(text, CELL_SIZE, "%lld.%llds", (long long)(tenths / 10),
                       (long long)(tenths % 10));
    else
        (void)snprintf(text, CELL_SIZE, "%lld", (long long)value);
}

/* "2026-10-01 14:00", or the day alone, by the report's clock. */
static void period(const struct report *r, const struct report_row *row,
                   char text[static CELL_SIZE])
{
    char utc[WALL_TEXT_SIZE];

    wall_format((struct wall){(row->first_ms + r->query.offset_s * 1000) * 1000}, 0, utc);
    (void)snprintf(text, CELL_SIZE, "%.10s %.5s", utc, utc + 11);
    if (r->query.by == REPORT_DAY)
        text[10] = '\0';
}

static void line(const struct report *r, const struct report_row *row, const char *name,
                 const int width[], struct strbuf *out)
{
    int64_t value[COLUMN_COUNT_];
    char text[CELL_SIZE];

    values_of(r, row, TABLE_STEP, value);
    (void)strbuf_addf(out, "%-*s", HEAD_WIDTH, name);
    for (int c = 0; c < COLUMN_COUNT_; c++) {
        if (known(row, (enum column)c))
            cell(columns[c].form, value[c], text);
        else
            (void)snprintf(text, sizeof text, "-");
        (void)strbuf_addf(out, "  %*s", width[c], text);
    }
    (void)strbuf_add_char(out, '\n');
}

/* Columns are as wide as their widest cell; that is the total's, the head's, or a count's. */
static void widths(const struct report *r, int width[])
{
    int64_t value[COLUMN_COUNT_];
    char text[CELL_SIZE];

    for (int c = 0; c < COLUMN_COUNT_; c++)
        width[c] = (int)strlen(columns[c].head);
    for (size_t i = 0; i <= r->n_rows; i++) {
        values_of(r, i < r->n_rows ? &r->rows[i] : &r->total, TABLE_STEP, value);
        for (int c = 0; c < COLUMN_COUNT_; c++) {
            cell(columns[c].form, value[c], text);
            if ((int)strlen(text) > width[c])
                width[c] = (int)strlen(text);
        }
    }
}

static void print_table(const struct report *r, struct strbuf *out)
{
    int width[COLUMN_COUNT_];
    char name[CELL_SIZE];

    widths(r, width);
    (void)strbuf_addf(out, "%-*s", HEAD_WIDTH, r->query.by == REPORT_HOUR ? "HOUR" : "DAY");
    for (int c = 0; c < COLUMN_COUNT_; c++)
        (void)strbuf_addf(out, "  %*s", width[c], columns[c].head);
    (void)strbuf_add_char(out, '\n');
    for (size_t i = 0; i < r->n_rows; i++) {
        period(r, &r->rows[i], name);
        line(r, &r->rows[i], name, width, out);
    }
    line(r, &r->total, "total", width, out);
    if (r->damaged_chunks != 0)
        (void)strbuf_addf(
            out, "%lld parts of the event journal are damaged: pods of that time are missing\n",
            (long long)r->damaged_chunks);
}

static void print_csv(const struct report *r, struct strbuf *out)
{
    int64_t value[COLUMN_COUNT_];
    char utc[WALL_TEXT_SIZE];

    (void)strbuf_add(out, SV("from,until"));
    for (int c = 0; c < COLUMN_COUNT_; c++)
        (void)strbuf_addf(out, ",%s", columns[c].key);
    (void)strbuf_add_char(out, '\n');
    for (size_t i = 0; i < r->n_rows; i++) {
        wall_format((struct wall){r->rows[i].first_ms * 1000}, 0, utc);
        (void)strbuf_addf(out, "%s,", utc);
        wall_format((struct wall){r->rows[i].until_ms * 1000}, 0, utc);
        (void)strbuf_addf(out, "%s", utc);
        values_of(r, &r->rows[i], FULL_STEP, value);
        for (int c = 0; c < COLUMN_COUNT_; c++) {
            (void)strbuf_add_char(out, ',');
            if (known(&r->rows[i], (enum column)c) && columns[c].form == COUNT)
                (void)strbuf_addf(out, "%lld", (long long)value[c]);
            else if (known(&r->rows[i], (enum column)c))
                jsonw_milli_text(out, value[c]);
        }
        (void)strbuf_add_char(out, '\n');
    }
}

static void row_json(const struct report *r, const struct report_row *row, const char *key,
                     struct jsonw *w)
{
    int64_t value[COLUMN_COUNT_];
    char utc[WALL_TEXT_SIZE];

    values_of(r, row, FULL_STEP, value);
    jsonw_object(w, key);
    wall_format((struct wall){row->first_ms * 1000}, 0, utc);
    jsonw_cstr(w, "from", utc);
    wall_format((struct wall){row->until_ms * 1000}, 0, utc);
    jsonw_cstr(w, "until", utc);
    for (int c = 0; c < COLUMN_COUNT_; c++) {
        if (!known(row, (enum column)c))
            jsonw_null(w, columns[c].key);
        else if (columns[c].form == COUNT)
            jsonw_i64(w, columns[c].key, value[c]);
        else
            jsonw_milli(w, columns[c].key, value[c]);
    }
    jsonw_end(w);
}

static void print_json(const struct report *r, struct strbuf *out)
{
    struct jsonw w;

    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    jsonw_i64(&w, "version", 1);
    jsonw_cstr(&w, "policy", r->policy);
    jsonw_cstr(&w, "by", r->query.by == REPORT_HOUR ? "hour" : "day");
    jsonw_i64(&w, "utc_offset_seconds", r->query.offset_s);
    jsonw_i64(&w, "damaged_chunks", r->damaged_chunks);
    jsonw_array(&w, "rows");
    for (size_t i = 0; i < r->n_rows; i++)
        row_json(r, &r->rows[i], NULL, &w);
    jsonw_end(&w);
    row_json(r, &r->total, "total", &w);
    jsonw_end(&w);
    (void)strbuf_add_char(out, '\n');
}

void report_print(const struct report *r, enum report_format format, struct strbuf *out)
{
    switch (format) {
    case REPORT_TABLE:
        print_table(r, out);
        return;
    case REPORT_CSV:
        print_csv(r, out);
        return;
    case REPORT_JSON:
        print_json(r, out);
        return;
    }
}
