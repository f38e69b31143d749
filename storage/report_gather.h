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

/* What a cluster's cpu is used for at one moment, in milli-cores. Levels of several clusters may be added. */
struct report_level {
    int64_t part[REPORT_PART_COUNT_];
    int64_t demand; /* what paid pods hold and claim */
    int64_t nodes;
};
/* Nodes are not told by samples and stay 0. */
struct report_level report_level_of(const struct sample *s);
/* That it held for so long from from_ms on: into one row, or into the pieces that the time lies in. */
void report_row_level(struct report_row *row, const struct report_level *level, int64_t from_ms,
                      int64_t ms);
void report_take_level(struct report *r, const struct report_level *level, int64_t from_ms,
                       int64_t until_ms);
/* What filler could have used, once all levels of the row are in; of so many clusters. */
void report_end_levels(const struct report_terms *terms, int64_t clusters, struct report_row *row);

/* For sources: runs of pieces of which something is missing become gaps, without a reason. */
void report_find_gaps(struct report *r);
/* For sources: where nobody said since when, what lies before the first record is cut off. */
void report_cut_begin(struct report *r);

/* Counts decisions, or the journal's events, into the report's pieces; what was before from_ms counts in nothing. */
bool report_count_decisions(struct history *h, struct report *r, int64_t from_ms,
                            struct err *err) MUST_CHECK;
struct report_events {
    int64_t read_ms;   /* where reading begins: what is known at from_ms may be of before */
    int64_t from_ms;   /* not before it */
    int64_t spread_ms; /* nodes stay as the last event left them until then */
    int64_t until_ms;  /* where reading ends: waits may end behind the report's range */
};
bool report_count_events(struct history *h, struct report *r, const struct report_events *events,
                         struct err *err) MUST_CHECK;

/* A history as a source; gathering costs O(samples, decisions and events of the range, or what stands for them). */
struct report_source report_history(struct history *h);

#endif
