/*
 * report_words: a report in sentences, and the ways in which its numbers are written. Pure; text and HTML take them from here.
 *
 * Cores and core-hours are whole from 10 up, with one decimal below, thousands apart by a comma; shares have one decimal, below 2 %
 * two; durations two units at most; times are those of the report's zone. What is named by others (policy, zone, reasons) is written
 * without control characters, and is not markup until its writer escapes it.
 */
#ifndef BRIM_STORAGE_REPORT_WORDS_H
#define BRIM_STORAGE_REPORT_WORDS_H

#include "storage/report.h"
#include "storage/report_advice.h"

/* What is told: a report, perhaps the one of another period, perhaps what replays found. */
struct report_story {
    const struct report *now;
    const struct report *before;        /* NULL: nothing to compare with */
    const struct report_advice *advice; /* NULL: nobody asked for it */
};

enum report_sentence {
    SAY_HAD,      /* what the cluster had */
    SAY_USED,     /* what paid work took */
    SAY_FILLER,   /* what filler took, and what was left */
    SAY_TARGET,   /* both against the policy's target */
    SAY_WAITED,   /* whom filler made wait */
    SAY_TURNED,   /* yields, harvests, reversals, and what starting and stopping cost */
    SAY_HEADROOM, /* kept free against growth */
    SAY_LONE,     /* nodes that only filler used */
    SAY_WORTH,    /* in money */
    SAY_BEFORE,   /* beside the other period */
    SAY_GAPS,     /* what is missing */
    SAY_SCRAPES,  /* what scrapes hide, of a report out of them */
    SAY_CHANGE,   /* what to change in the policy */
    SAY_COUNT_
};

/* Adds the sentence; false, and nothing added, where there is nothing to say. */
bool report_say(const struct report_story *story, enum report_sentence which, struct strbuf *out);

/* "from 1 Oct 2026 to 31 Oct 2026", or with times where it does not begin and end at midnight. */
void report_say_range(const struct report *r, struct strbuf *out);
/* The zone's name. */
struct sv report_zone_name(const struct report *r);

/* "136,896", "7.3"; of thousandths. */
void report_put_amount(struct strbuf *out, int64_t milli);
/* "1,083". */
void report_put_count(struct strbuf *out, int64_t count);
/* Core-hours of the whole time are told in these steps, in thousandths: whole from 1,000 up, else tenths; so that the parts add up
 * as they are written. */
int64_t report_step(const struct report *r);
void report_put_hours(struct strbuf *out, const struct report *r, int64_t milli);
/* "25.8 %", "0.12 %". */
void report_put_share(struct strbuf *out, int64_t part, int64_t whole);
/* "10.6 s", "2 min 5 s", "3 d 4 h". */
void report_put_duration(struct strbuf *out, int64_t ms);
/* "2,411 EUR"; two decimals below 100. */
void report_put_money(struct strbuf *out, const struct report_terms *terms, int64_t milli);
/* "1 Oct, 14:02". */
void report_put_moment(struct strbuf *out, const struct report *r, int64_t t_ms);

#endif
