/*
 * run: what `brim top` saw since it started: one sample a second for the chart, sums for the report.
 * A value; nothing is allocated. Times are ms since 1970 by the reader's clock.
 */
#ifndef BRIM_AGENT_TOP_RUN_H
#define BRIM_AGENT_TOP_RUN_H

#include "agent/top/view.h"
#include "base/strbuf.h"

enum { RUN_SAMPLES = 7200 }; /* two hours of seconds */
/* A status that is older says nothing about now: the chart shows `?`. Longer where the agent is
 * asked less often (run_init). */
#define RUN_LEAST_GAP_MS INT64_C(5000)

struct run_sample {
    int64_t s; /* the second it stands for; 0: none */
    int64_t allocatable, paid, waiting, filler, leaving, kept; /* milli */
};

struct run {
    int64_t gap_ms;
    int64_t started_ms, last_ms;  /* of the first and the last status */
    int64_t known_ms;             /* how much of it is known */
    double offered, paid, filler; /* milli x ms */
    struct top_cpu last;
    bool has_last;
    int64_t boot, arrived, blocked, yields_seen,
        harvests_seen;                                    /* the agent's counters, as last seen */
    int64_t arrivals, waits, yields, harvests, reversals; /* their growth since the start */
    uint64_t last_id;
    bool has_id;
    int direction; /* of the last decision that moved: -1, 1; 0: none yet */
    struct run_sample samples[RUN_SAMPLES]; /* by second modulo RUN_SAMPLES */
};

/* What is kept free of what is free: the reserve and the headroom in force. */
int64_t run_kept(const struct top_cpu *cpu);

void run_init(struct run *r, int64_t interval_ms);

/* A status came; after a new status, the decisions. */
void run_status(struct run *r, const struct top_view *v, int64_t now_ms);
void run_decisions(struct run *r, const struct top_view *v);

/* What held in the `seconds` that begin at second `s`, as far as they are over: the newest sample in
 * them, else the last one before. NULL: nothing is known of them. */
const struct run_sample *run_at(const struct run *r, int64_t s, int64_t seconds);

/* The report of the run, in lines. */
void run_report(const struct run *r, struct strbuf *out);

#endif
