/*
 * report_ask: from what is asked for in words (flags, a query) to a report with all that belongs to it.
 *
 * Times are dates ("2026-10-01", midnight of the zone), readings of the zone's clock ("2026-10-01T08:00"), RFC 3339, or spans before
 * the end ("7d", "12h"; the end of the first is the last record). Target, price, the share that may be blocked and what advice starts
 * from are those of the policy of that name that the history keeps, or of a file. Out of a Prometheus the end of the first is now,
 * policies come out of a file alone, and there is no advice: no series tells of single pods.
 */
#ifndef BRIM_AGENT_REPORT_ASK_H
#define BRIM_AGENT_REPORT_ASK_H

#include "agent/report_scraped.h"
#include "policy/policy.h"
#include "storage/report_words.h"

/* One of db and scraped is given; everything else may be empty or NULL. */
struct report_ask {
    const char *db;
    const struct report_scraped_options *scraped;
    struct sv policy, by, since, until, zone, compare, target, price;
    const char *policy_file;
    bool advice;
};

/* Zeroed before; refers to itself and to the ask's texts, so that it must not move and they must live. */
struct report_answer {
    struct history history; /* open where the ask names one, else … */
    struct report_scraped *scraped;
    struct report_source source;
    struct zone *zone;
    struct policy_list policies;
    struct report now, before;
    bool has_now, has_before;
    struct report_advice advice;
    struct report_story story;
};

/* ERR_INPUT, and as report_make(). report_answer_done() in any case. */
bool report_ask(const struct report_ask *ask, struct report_answer *ret_answer,
                struct err *err) MUST_CHECK;
void report_answer_done(struct report_answer *a);

/* A time in words; UTC where `zone` is NULL. One of the two is set: the time, or the span above 0. */
bool report_time(struct sv text, const struct zone *zone, int64_t *ret_ms, int64_t *ret_span_ms,
                 struct err *err) MUST_CHECK;

/* "0.03", "0.03 EUR": into price and currency. */
bool report_price(struct sv text, struct report_terms *terms, struct err *err) MUST_CHECK;

#endif
