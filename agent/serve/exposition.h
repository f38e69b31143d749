/*
 * exposition: the snapshot as a Prometheus page, in text format 0.0.4 or OpenMetrics 1.0.
 *
 * One table says of each metric its name, type, unit, labels, meaning and where the value comes
 * from; the page and docs/METRICS.md are made from it. What is not known has no sample (never 0),
 * nothing is negative, numbers do not depend on the locale, and the size grows with the policies
 * alone. Pure: a snapshot, the process's figures and a time in, text out.
 */
#ifndef BRIM_AGENT_SERVE_EXPOSITION_H
#define BRIM_AGENT_SERVE_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/serve/process.h"
#include "agent/snapshot.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "base/sv.h"

enum exposition_format { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS, EXPOSITION_FORMAT_COUNT_ };

/* The Content-Type of a page. */
const char *exposition_content_type(enum exposition_format format);

/*
 * Which format an Accept header asks for. OpenMetrics only where it is named with a q above 0 that
 * is at least text's: a client that takes both alike gets it, one that names neither (or sends no
 * header, or one that cannot be read) gets text.
 */
enum exposition_format exposition_negotiate(struct sv accept);

/* Writes the page. `s` may be NULL (no turn has ended yet): then only what is known of the process
 * stands there. */
void exposition_write(enum exposition_format format, const struct snapshot *s,
                      const struct process_figures *process, struct mono now, struct strbuf *out);

/* docs/METRICS.md, whole. */
void exposition_document(struct strbuf *out);

/* The i-th metric's name as samples carry it (a histogram's without suffix), NULL beyond the last.
 */
const char *exposition_metric_name(size_t i);

/*
 * Gauges that tell of policies one by one: what the metrics APIs serve. One of their samples; it
 * points into the snapshot and the table.
 */
struct exposition_sample {
    const char *policy;             /* the very field of its filler: may be compared as a pointer */
    const char *label, *label_text; /* the label beside `policy`; NULL: none */
    int64_t milli;                  /* cut, not rounded; at least 0; saturated */
};
typedef void exposition_take(void *self, const struct exposition_sample *sample);

/* The i-th of these gauges, NULL beyond the last. O(metrics). */
const char *exposition_gauge(size_t i);
/* Hands over each sample of the gauge that the page would have, by policy in the snapshot's order.
 * False where no such gauge is called so. `s` NULL: there is no sample. */
bool exposition_samples(struct sv gauge, const struct snapshot *s, exposition_take *take,
                        void *self);

/* HELP, TYPE and, in OpenMetrics, UNIT of a metric as the page has them. False where no metric is called so. */
bool exposition_head(enum exposition_format format, const char *name, struct strbuf *out);

/* A label's value as it stands between its quotes. */
void exposition_add_label(const char *value, struct strbuf *out);

#endif
