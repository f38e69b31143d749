/*
 * report_scraped: a report out of a Prometheus, or what speaks its HTTP API, that scraped brim's agents: agent/prom/scrapes.h's way to
 * the series.
 *
 * Series are asked for as they were scraped, in windows of 6 h; of a time of more than 14 days one scrape a minute, of more than 90
 * days one in 5 minutes, in windows of a day. Where the server says that it was too much the window is halved, down to 15 minutes,
 * and stays so. Which policies there are is asked first, at one point in 5 minutes or so.
 */
#ifndef BRIM_AGENT_REPORT_SCRAPED_H
#define BRIM_AGENT_REPORT_SCRAPED_H

#include "agent/prom/prom.h"
#include "storage/report.h"

#define REPORT_SCRAPED_WINDOW_MS     (INT64_C(6) * 3600 * 1000)
#define REPORT_SCRAPED_MIN_WINDOW_MS (INT64_C(15) * 60 * 1000)
/* How far back a report goes that nobody said since when. */
#define REPORT_SCRAPED_SINCE_MS (INT64_C(7) * 24 * 3600 * 1000)

struct report_scraped_options {
    struct prom_options prom;
    const char *match;     /* further label matchers: team="a"; "" or NULL: none */
    const char *label;     /* what tells clusters apart; NULL: "cluster" */
    const char **clusters; /* these alone, n_clusters of them; 0: all */
    size_t n_clusters;
    bool shows; /* progress on stderr */
};

struct report_scraped;

/* Options are borrowed. Errors as prom_open(), and ERR_INPUT for a label that is none. */
bool report_scraped_open(const struct report_scraped_options *options,
                         struct report_scraped **ret_scraped, struct err *err) MUST_CHECK;
void report_scraped_close(struct report_scraped *s);

/* Errors of gathering are those of prom_ask(), with the window in front. */
struct report_source report_scraped_source(struct report_scraped *s);

#endif
