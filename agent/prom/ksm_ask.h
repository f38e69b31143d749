/*
 * ksm_ask: asks a Prometheus for what kube-state-metrics saw in a period, window by window, and hands it to a `struct ksm`.
 *
 * A window is 6 h. Facts of pods are asked for as one number a pod, and summed by the server: an answer is about 200 bytes a pod,
 * whatever the scrape interval; the scrapes themselves, and times at which nodes were cordoned or not ready, by range queries at the
 * scrape interval. Each window is asked with KSM_FACT_COUNT_ queries. Where the server says that it was too much (too many samples,
 * too long), the window is halved, down to 15 minutes, and stays so; where it is throttled or away for a moment, it is asked again.
 */
#ifndef BRIM_AGENT_PROM_KSM_ASK_H
#define BRIM_AGENT_PROM_KSM_ASK_H

#include "agent/prom/ksm.h"
#include "agent/prom/prom.h"

#define KSM_WINDOW_MS     (INT64_C(6) * 3600 * 1000)
#define KSM_MIN_WINDOW_MS (INT64_C(15) * 60 * 1000)

struct ksm_period {
    int64_t since_ms, until_ms;
    int64_t interval_ms; /* between scrapes */
    const char *match;   /* further label matchers: cluster="eu1"; "" for none */
    /* Told of each window that is done; NULL: nobody. */
    void (*progress)(void *self, int percent);
    void *self;
};

struct ksm_asked {
    struct prom_asked asked;
    uint64_t windows, halved; /* how often a window was too much */
};

/*
 * The interval between scrapes: the median of half an hour at the period's end, else at its begin. ERR_INPUT: there were none at either,
 * so that nothing is known of kube-state-metrics in the period.
 */
bool ksm_ask_interval(struct prom *p, const struct ksm_period *period, int64_t *ret_interval_ms,
                      struct err *err) MUST_CHECK;

/* Errors are those of prom_ask(), with the window in front. */
bool ksm_ask(struct prom *p, const struct ksm_period *period, struct ksm *k,
             struct ksm_asked *ret_asked, struct err *err) MUST_CHECK;

#endif
