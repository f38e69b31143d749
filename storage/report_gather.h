/*
 * report_gather: what a history holds, summed into a report's pieces (report.c). Internal to the report.
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

/* The pieces are laid out and empty. O(samples + decisions + events of the range). */
bool report_gather(struct history *h, struct report *r, struct err *err) MUST_CHECK;

#endif
