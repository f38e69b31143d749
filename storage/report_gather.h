/*
 * report_gather: what a history holds, and what any source shares, summed into a report's pieces (report.c). Internal to the report.
 */
#ifndef BRIM_STORAGE_REPORT_GATHER_H
#define BRIM_STORAGE_REPORT_GATHER_H

#include "storage/report.h"

/* Amounts from a file may be anything. */
#define REPORT_MAX_MILLI (INT64_C(1) << 40)

/* Sums that stay at INT64_MAX. */
void report_add(int64_t *sum, int64_t what);

/* The piece that a time lies in, NULL outside of the range. O(log pieces). */
struct report_row *report_piece_at(struct report *r, int64_t t_ms);

/* For sources: runs of pieces of which something is missing become gaps, without a reason. */
void report_find_gaps(struct report *r);
/* For sources: where nobody said since when, what lies before the first record is cut off. */
void report_cut_begin(struct report *r);

/* A history as a source; gathering costs O(samples + decisions + events of the range). */
struct report_source report_history(struct history *h);

#endif
