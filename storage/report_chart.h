/*
 * report_chart: the pictures of the report's page, as SVG that needs no script and takes its colours from the page's style. Internal
 * to the report.
 *
 * Each has a title and a description, and a table of the same figures follows it. Text in them is made here or escaped.
 */
#ifndef BRIM_STORAGE_REPORT_CHART_H
#define BRIM_STORAGE_REPORT_CHART_H

#include "storage/report.h"

/* What the parts came to, column by column, with the paid pods that waited below. */
void report_chart_use(const struct report *r, struct strbuf *out);

/* Three maps, a cell for each hour of the week: paid, all that was used, waits. */
void report_chart_week(const struct report *r, struct strbuf *out);

/* How long those waited that did. */
void report_chart_waits(const struct report *r, struct strbuf *out);

/* How soon yields answered. */
void report_chart_latencies(const struct report *r, struct strbuf *out);

/* A bar that is as long as the group is large beside `most`, the mean of the largest one, split into paid, filler and free. */
void report_chart_group(const struct report_group *g, int64_t most_milli, struct strbuf *out);

/* Text without markup, with a blank for what would steer the eye (sv_hidden()). */
void report_html(struct strbuf *out, struct sv text);

#endif
