/*
 * report: what the cluster's cpu was used for, by minute, hour, day, week, month or hour of the week, from samples, decisions and
 * the event journal.
 *
 * Everything that the nodes offered is split into parts that always add up to the whole:
 *     offered = paid + filler (ready) + churn (filler that starts or leaves) + kept (reserve and headroom in whole holes, as far as
 *               free) + idle
 * for the time that was recorded; a gap (spans.h) counts in nothing and shows in `covered_ms`. Paid pods on overcommitted nodes
 * count no more than what is offered.
 *
 * All is summed in pieces, minutes or hours of the zone's clock (calendar.h), from which rows, hours of the week and the total are
 * folded: so a day on which the clock is changed has the 23 or 25 hours that it had. Times are ms since 1970. A pod is counted where it arrived, a
 * blocked one where it was reported, a reversal where the filler's direction changed.
 *
 * What the history does not tell is not 0: rows say of how much of their time samples, journal and decisions tell (`*_ms`).
 *
 * A range of up to REPORT_MINUTES_MS that decisions (the journal) tell of from its begin on is counted out of these; of a longer one,
 * what was rolled up (activity.h), and single decisions (events) at its edges and where nothing was. Both come to the same, but for quantiles
 * (at most 6.25 % too high) and the list of waits (the longest of each minute, or hour where minutes are gone), and where pieces begin within an
 * hour whose minutes and events are gone: what happened in it counts where its middle lies, amounts in proportion.
 *
 *     report.c            the query, the pieces, the rows
 *     report_gather.c     samples into pieces; all of a history
 *     report_count.c      decisions and events into pieces
 *     report_rolled.c     what was rolled up of them
 *     report_figure.h     the figures of a row, their names and forms
 *     report_text.c       table, CSV, JSON
 *     report_group_text.c likewise of groups of nodes
 *     report_words.c      the sentences of the summary
 *     report_page.c       HTML
 *     report_chart.c      its pictures
 */
#ifndef BRIM_STORAGE_REPORT_H
#define BRIM_STORAGE_REPORT_H

#include "base/strbuf.h"
#include "storage/calendar.h"
#include "storage/groups_read.h"
#include "storage/history.h"
#include "storage/series.h"

enum {
    REPORT_MAX_PIECES = SERIES_MAX_ROWS, /* hours of 11 years */
    REPORT_MAX_TEXT = 64 << 20,
    REPORT_KEEP_WAITS = 50, /* the longest that are listed */
    REPORT_KEEP_GAPS = 20,
    REPORT_KEEP_LENGTHS = 1 << 20, /* further ones count in no quantile */
    REPORT_CURRENCY_SIZE = 16,
};

/* Ranges up to this are summed by the minute. */
#define REPORT_MINUTES_MS (INT64_C(6) * 3600 * 1000)
/* Growth of what paid pods ask for is measured over this time: what headroom is kept for. */
#define REPORT_RISE_MS INT64_C(60000)

enum report_by {
    REPORT_MINUTE,
    REPORT_HOUR,
    REPORT_DAY,
    REPORT_WEEK,
    REPORT_MONTH,
    REPORT_WEEK_HOUR, /* 168 rows */
    REPORT_BY_COUNT_
};
/* "minute", …, "hour-of-week"; REPORT_BY_COUNT_: no such. */
const char *report_by_name(enum report_by by);
enum report_by report_by_find(struct sv name);

enum report_part {
    REPORT_OFFERED,
    REPORT_PAID,
    REPORT_FILLER,
    REPORT_CHURN,
    REPORT_KEPT,
    REPORT_IDLE,
    REPORT_PART_COUNT_
};

/* What the figures are held against; a zeroed one holds them against nothing. */
struct report_terms {
    int64_t target_ppm;  /* utilisation aimed at; 0: none */
    int64_t price_micro; /* of a core-hour, in millionths; 0: none */
    char currency[REPORT_CURRENCY_SIZE];
    int64_t blocked_ppm;      /* share of paid pods that may be blocked; 0: not known */
    int64_t filler_max_milli; /* what the policy's maximum of filler asks for; 0: no bound */
};

struct report_query {
    struct sv policy;           /* empty: the only one there is */
    int64_t since_ms, until_ms; /* since <= t < until; 0: from the first record, to the last */
    int64_t last_ms;            /* above 0, where since is 0: so long before until */
    enum report_by by;
    const struct zone *zone; /* of the clock; NULL: UTC. Must live as long as the report */
    struct sv zone_name;     /* as it is shown; likewise. Empty: UTC */
    struct report_terms terms;
};

struct report_wait {
    int64_t created_ms, reported_ms, until_ms;
    int64_t cpu_milli;
    bool bound, waits; /* as in blocked.h */
};

/* Waits up to so long; the last bucket has no end. */
#define REPORT_WAIT_STEPS_MS                                                                       \
    {                                                                                              \
        1000, 5000, 10000, 30000, 60000, 300000                                                    \
    }
enum { REPORT_WAIT_BUCKETS = 7 };

struct report_row {
    int64_t first_ms, until_ms; /* of an hour of the week: of all its times */
    int64_t local_s;            /* what the clock read at the unit's begin */
    int64_t offset_s;           /* of the clock at first_ms */
    int64_t span_ms;            /* of the time asked for */
    int64_t times;              /* pieces: of an hour of the week, how many of them */
    int64_t covered_ms;         /* of it, that samples tell of */
    int64_t journal_ms;         /* … and the journal, too */
    int64_t decisions_ms;       /* … and decisions, too */
    /* Milli-core milliseconds; INT64_MAX where that is not enough. */
    int64_t part[REPORT_PART_COUNT_];
    int64_t harvestable; /* what paid pods left, at most filler_max_milli at any time */
    int64_t lone; /* offered by nodes that filler was on, and no paid pod but those tied to them */
    int64_t peak_paid_milli,
        peak_paid_ms; /* the most that paid pods held and claimed, and when first */
    int64_t peak_offered_milli;
    int64_t peak_kept_milli;
    int64_t rise_milli; /* the largest growth of paid demand within REPORT_RISE_MS */
    int64_t nodes;      /* the most at once */
    int64_t yields, harvests, reversals; /* decisions; changes of their direction */
    int first_way,
        last_way;          /* of a piece: its first and its last direction: 1 up, -1 down, 0 none */
    int64_t starts, stops; /* filler pods bound, and bound ones gone */
    int64_t answers;       /* yields whose latency is known, in us of them: */
    int64_t latency_p50_us, latency_p99_us, latency_max_us;
    int64_t pods;                     /* paid pods that arrived */
    int64_t blocked;                  /* of them blocked (blocked.h) */
    int64_t wait_ms, longest_wait_ms; /* of the blocked, from arrival to a node; in ms of them: */
    int64_t wait_p50_ms, wait_p99_ms;
    int64_t wait_buckets[REPORT_WAIT_BUCKETS];
    struct report_wait longest; /* of a piece: the one that waited longest; all 0: none did */
};

/* How long something took in a piece, n times: how fast a yield was, in us, or how long a pod waited, in ms. */
struct report_length {
    int64_t length, n;
    size_t piece; /* its place */
};
struct report_lengths {
    struct report_length *at; /* in any order; of a report that is made, the shortest first */
    size_t n, cap;
};

/* Pieces, one after the other, of which samples do not tell all. */
struct report_gap {
    int64_t first_ms, until_ms;
    int64_t missing_ms;
    char why[32]; /* as the history has it; empty: it does not say */
};

/* Of a report out of what agents were scraped by (report_make_from()). */
struct report_scrapes {
    int64_t
        interval_ms; /* between scrapes, the longest of any agent; 0: the report is of a history */
    int64_t step_ms; /* of a long time only one scrape in each step was asked for; 0: all */
    int64_t feeds;   /* agents as each of the scrapers sees them */
    int64_t compared,
        disputed; /* scrapes beside another one of the same cluster; that told another size of it */
    int64_t queries, partial; /* answers that may lack something */
    char warning[200];        /* of the first of them */
};

/* One of several clusters: what it came to, all in all. */
struct report_cluster {
    char *name;
    struct report_row total;
};
enum { REPORT_MAX_CLUSTERS = 1000, REPORT_LABEL_SIZE = 64 };

/* A group of nodes (groups.h) in the whole time; of a history alone. */
struct report_group {
    char *label, *name;
    struct groups_sum sum;
};

struct report {
    char policy[SAMPLES_POLICY_SIZE];
    struct report_query query; /* with since and until filled in; its policy is the name above */
    struct report_row *pieces; /* minutes or hours, oldest first */
    size_t n_pieces;
    bool minutes; /* pieces are minutes */
    bool whole;   /* nobody said since when: from the first record */
    struct report_row *rows;
    size_t n_rows;
    struct report_row *week; /* CALENDAR_WEEK_HOURS */
    struct report_row total;
    struct report_lengths latencies, lengths_of_waits;
    bool offsets_differ;                         /* the clock is changed in the range */
    struct report_wait waits[REPORT_KEEP_WAITS]; /* the longest first */
    size_t n_waits;
    struct report_gap gaps[REPORT_KEEP_GAPS]; /* the longest, oldest first */
    size_t n_gaps;
    int64_t all_gaps; /* how many there were */
    int64_t damaged_chunks;
    struct report_scrapes scrapes;
    char cluster_label[REPORT_LABEL_SIZE]; /* what tells clusters apart; empty: it is of one */
    struct report_cluster *clusters;       /* by name */
    size_t n_clusters;
    struct report_group *groups; /* by label and name; those without a value last */
    size_t n_groups;
    struct groups_damage groups_damage;
};

/*
 * Where a report takes its facts from: a history file (report_make()), or what an agent was scraped by.
 *
 *     span      from the first record to the end of the last, both 0 where there is none
 *     policies  the name of each policy that the query's range tells of
 *     gather    fills the report's pieces, which are laid out and empty, and what belongs to the report as a whole
 */
struct report_source {
    void *self;
    const char *name; /* for errors */
    bool (*span)(void *self, int64_t *ret_first_ms, int64_t *ret_until_ms, struct err *err);
    bool (*policies)(void *self, const struct report_query *query,
                     void (*each)(void *to, struct sv name), void *to, struct err *err);
    bool (*gather)(void *self, struct report *r, struct err *err);
};
/* As report_make(), out of any source. */
bool report_make_from(const struct report_source *source, const struct report_query *query,
                      struct report *ret_report, struct err *err) MUST_CHECK;

/*
 * ERR_NOT_FOUND where nothing was recorded of that policy; ERR_INPUT where it must be named or since is not before until; ERR_LIMIT
 * beyond REPORT_MAX_PIECES; ERR_STORAGE. O(what series.h reads + what report_count_rolled() does). report_done() afterwards.
 * Reads in one transaction, so that all figures are of one moment; none may be open.
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

/* A row's name: "2026-10-05 14:00", "2026-W41", "Mon 14:00". */
void report_row_name(const struct report *r, const struct report_row *row,
                     char text[static CALENDAR_TEXT_SIZE]);

#endif
