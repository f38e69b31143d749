/*
 * history_metrics: a history as OpenMetrics 1.0, by the names that /metrics serves (serve/exposition.h), and back.
 *
 * Out: of each policy the samples' room, headroom, filler and replicas at their times, and decisions counted since the begin of what is
 * written; or means by the minute, hour or day, each at the begin of its time, with a label `step` ("1m", "1h", "1d") that keeps them
 * apart from what was scraped. A family stands together, a series in it by time, as promtool wants them. What no metric is for (set
 * point, waiting pods, histograms of nodes) stays in CSV and JSON lines. brim_headroom_cores has no label `kind`: it is not kept.
 *
 * In: what was written, or a dump of a Prometheus that scraped brim; other labels are left alone, as are other metrics, which are
 * counted. Where nothing tells what is kept in whole holes, it is taken to be reserve and headroom.
 */
#ifndef BRIM_AGENT_HISTORY_METRICS_H
#define BRIM_AGENT_HISTORY_METRICS_H

#include "storage/export.h"
#include "storage/import.h"
#include "storage/record_text.h"

/* `kinds` of the query: one of samples, minutes, hours and days; decisions only with samples. ERR_INPUT, ERR_STORAGE, ERR_SYSTEM. */
bool history_metrics_write(struct history *h, const struct export_query *q, FILE *to,
                           struct export_damage *ret_damage, struct err *err) MUST_CHECK;

/* Reads to the end. ERR_INPUT with FILE:LINE, and as import_value(). */
bool history_metrics_read(struct record_lines *lines, struct import *import, int64_t *ret_skipped,
                          struct err *err) MUST_CHECK;

#endif
