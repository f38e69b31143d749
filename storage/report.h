/*
 * report: what the cluster's cpu was used for, hour by hour or day by day, from samples, decisions and the event journal.
 *
 * Everything that the nodes offered is split into parts that always add up to the whole:
 *     offered = paid + filler (ready) + churn (filler that starts or leaves) + kept (reserve and headroom in whole holes, as far as
 *               free) + idle
 * for the time that was recorded; a gap (samples.h) counts in nothing and shows in `covered_ms`. Where the history notes that nobody
 * recorded, a sample holds no longer than until then, or as long as those that it stands for. Paid pods on overcommitted nodes count
 * no more than what is offered.
 *
 * Times are ms since 1970, hours and days those of a fixed offset from UTC. A pod is counted where it arrived, a blocked one where it
 * was reported.
 */
#ifndef BRIM_STORAGE_REPORT_H
#define BRIM_STORAGE_REPORT_H

#include "base/strbuf.h"
#include "storage/history.h"

enum { REPORT_MAX_ROWS = 100000, REPORT_MAX_GAPS = 100000, REPORT_MAX_TEXT = 64 << 20 };

enum report_by { REPORT_HOUR, REPORT_DAY };

enum report_part {
    REPORT_OFFERED,
    REPORT_PAID,
    REPORT_FILLER,
    REPORT_CHURN,
    REPORT_KEPT,
    REPORT_IDLE,
    REPORT_PART_COUNT_
};

struct report_query {
    struct sv policy;           /* empty: the only one there is */
    int64_t since_ms, until_ms; /* since <= t < until; 0: from the first sample, to the last */
    enum report_by by;
    int64_t offset_s; /* of the clock from UTC, east positive */
};

struct report_row {
    int64_t first_ms, until_ms;
    int64_t covered_ms;
    int64_t
        part[REPORT_PART_COUNT_]; /* milli-core milliseconds; INT64_MAX where that is not enough */
    int64_t peak_paid_milli;      /* the most that paid pods held and claimed */
    int64_t yields, harvests;     /* decisions */
    int64_t pods;                 /* paid pods that arrived */
    int64_t blocked;              /* of them blocked (blocked.h) */
    int64_t wait_ms, longest_wait_ms; /* of the blocked, from arrival to a node */
};

struct report {
    char policy[SAMPLES_POLICY_SIZE];
    struct report_query query; /* with since and until filled in; its policy is the name above */
    struct report_row *rows;
    size_t n_rows;
    struct report_row total;
    int64_t damaged_chunks;
};

/*
 * ERR_NOT_FOUND where nothing was recorded of that policy; ERR_INPUT where it must be named or since is not before until; ERR_LIMIT
 * beyond REPORT_MAX_ROWS or REPORT_MAX_GAPS; ERR_STORAGE. O(samples + events of the range). report_done() afterwards.
 */
bool report_make(struct history *h, const struct report_query *query, struct report *ret_report,
                 struct err *err) MUST_CHECK;
void report_done(struct report *r);

/*
 * Milli-core milliseconds as core-hours, in steps of so many thousandths. Each part is at most one step off what it is, and the parts
 * add up to what was offered, rounded, too.
 */
void report_core_hours(const int64_t part[REPORT_PART_COUNT_], int64_t step_milli,
                       int64_t ret_steps[REPORT_PART_COUNT_]);
/* Share of a whole in thousandths, rounded (0 of 0 is 0). */
int64_t report_share_milli(int64_t part, int64_t whole);

enum report_format { REPORT_TABLE, REPORT_CSV, REPORT_JSON };

/* Aligned columns with a line of sums; CSV with a head, times in UTC; JSON {"version":1,…}. Cuts at the buffer's limit (`full`). */
void report_print(const struct report *r, enum report_format format, struct strbuf *out);

#endif
