/*
 * scrapes: what agents' own series say of how cpu was used, gathered scrape by scrape into a report (storage/report.h).
 *
 * A period is looked at window by window. Of each the series that SCRAPES_METRICS names are handed in as they were scraped, with the
 * scrapes' own times, in any order and any of them again; scrapes_window() then goes through the scrapes in the order of time.
 *
 * All samples of one scrape bear one time: together they are what a history calls a sample (samples.h). It holds until the next one
 * comes or, if none comes, for three intervals between scrapes; a scrape that does not tell the room (an agent that is not ready) ends
 * it. What lies beyond was not recorded. Counters count from scrape to scrape; one that fell was begun anew at 0. Samples at a time of
 * which nothing says that the agent is there are no scrape: of them counters count with the next one.
 *
 * A feed is an agent as one scraper sees it: all of a series' labels but those of its metric. Two scrapers of one agent, and two agents
 * of one cluster, are told apart by some label (replica, instance, pod) and tell the same: of each cluster one feed is followed until it
 * is silent for two intervals, then another. Clusters are told apart by the value of one label; feeds of one cluster that tell of
 * different amounts of allocatable cpu are of two clusters, most likely, which shows in `disputed`.
 */
#ifndef BRIM_AGENT_PROM_SCRAPES_H
#define BRIM_AGENT_PROM_SCRAPES_H

#include "agent/prom/promread.h"
#include "storage/report.h"

/* A regular expression of the series' names. */
#define SCRAPES_METRICS                                                                            \
    "cpu_capacity_(allocatable|requested|pending|reserved)|brim_(headroom|kept|filler)_cores|"     \
    "brim_decisions_total|brim_desired_replicas|brim_paid_pods(_blocked)?_total|brim_nodes|"       \
    "brim_build_info"

/* Points of one window: 24 bytes each. */
enum { SCRAPES_MAX_POINTS = 1 << 23, SCRAPES_MAX_FEEDS = 1 << 14 };
#define SCRAPES_OTHERWISE_MS INT64_C(60000) /* the interval, where one scrape is all there is */

struct scrapes;

/*
 * The report's pieces are laid out and empty; it and the label's text are borrowed. The label may be empty. `step_ms` above 0: what is
 * handed in is the last scrape of each such step, at the step's end, so that what a step does not tell of was not scraped.
 */
struct scrapes *scrapes_new(struct report *r, struct sv label, int64_t step_ms);
void scrapes_free(struct scrapes *s);

/* A cluster that was asked for stands in the report though nothing may be scraped of it. ERR_LIMIT beyond REPORT_MAX_CLUSTERS. */
bool scrapes_expect(struct scrapes *s, struct sv cluster, struct err *err) MUST_CHECK;

/* Points of a series. What is none of brim's is left out. ERR_LIMIT: more than a window may have. */
bool scrapes_take(struct scrapes *s, const struct promread_series *series,
                  struct err *err) MUST_CHECK;
/* Forgets what was handed in since the last window. */
void scrapes_drop(struct scrapes *s);
/* All that lies before until_ms was handed in. O(points log points). */
void scrapes_window(struct scrapes *s, int64_t until_ms);

/* Everything was: completes the report's pieces, its clusters and what it says of scrapes. */
void scrapes_end(struct scrapes *s);

#endif
