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
/* So much for so long, INT64_MAX where that is more. */
int64_t report_area(int64_t milli, int64_t span_ms);

/* The piece that a time lies in, NULL outside of the range. O(1). */
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

/* Counts decisions, or the journal's events, into the report's pieces; what is not in from_ms <= t < to_ms counts in nothing. */
bool report_count_decisions(struct history *h, struct report *r, int64_t from_ms, int64_t to_ms,
                            struct err *err) MUST_CHECK;
struct report_events {
    int64_t read_ms; /* where reading begins: what is known at from_ms may be of before */
    int64_t from_ms, to_ms;
    int64_t spread_ms; /* nodes stay as the last event left them until then */
    int64_t until_ms;  /* where reading ends: waits may end behind to_ms */
};
bool report_count_events(struct history *h, struct report *r, const struct report_events *events,
                         struct err *err) MUST_CHECK;

/* What both of them, and what was rolled up, are counted with (report_count.c). `piece`: its place. */
void report_keep_length(struct report_lengths *lengths, size_t piece, int64_t length, int64_t n);
/* Directions that come after those the piece has. */
void report_join_ways(struct report_row *piece, int first_way, int last_way);
/* Keeps the longest waits, the longest first. */
void report_keep_wait(struct report *r, const struct report_wait *wait);
/* One of those that were blocked in this piece, which may be its longest. */
void report_show_wait(struct report *r, struct report_row *piece, const struct report_wait *wait);

/*
 * Counts what was rolled up of a policy's decisions, or of the journal (policy 0), and these themselves where nothing is rolled up and at
 * the range's edges: so they come to what they would come to alone, but as report.h says. They are kept from kept_ms on; covered_ms: where the last
 * sample that holds ends. O(hours of the range, decisions or events of an hour or two).
 */
bool report_count_rolled(struct history *h, struct report *r, int64_t policy, int64_t kept_ms,
                         int64_t covered_ms, struct err *err) MUST_CHECK;

/* A history as a source; gathering costs O(samples, decisions and events of the range, or what stands for them). */
struct report_source report_history(struct history *h);

#endif
