/*
 * stress: keeps a large cluster busy, and measures from the server's side how soon a controller of filler answers.
 *
 * Events: a rate of changes of paid pods: two thirds are changed in place, the others come (bound to a node) and go, one for one.
 * Probes: paid pods of one core that may not preempt (unless told so), one at a time, while the scheduler finds no room for them. The time of
 * each runs from the moment that the frame which reports the pod unschedulable is handed to the connection (just before it is written,
 * the first of several watches counts) to the moment that a merge patch of the target's scale reached the server's socket, as the
 * kernel noted it: a server of one thread may be busy with others then, an API server has threads for each. Beside it is told when
 * this server came round to reading it. A probe that is bound before any patch came is no sample: it was served by room that came
 * free for another reason; one that preempts may well be, and its sample is how long the count stayed too high. So that there is little of such, and no patch that is not a probe's, what comes and goes beside probes
 * asks for no cpu. Probes stay: each takes one core that was filler's.
 */
#ifndef BRIM_POCKET_STRESS_H
#define BRIM_POCKET_STRESS_H

#include <stdio.h>

#include "base/clock.h"
#include "tests/pocket/world.h"

struct stress_config {
    struct clock clock;
    int64_t events_per_s, probes_per_s; /* 0: none */
    bool preempt;                       /* probes preempt filler */
    const char *target;                 /* of the probes: NAMESPACE/DEPLOYMENT; borrowed */
    uint64_t seed;
};

struct stress;

/* Probes and what comes and goes live in the namespace "stress". */
bool stress_new(struct world *w, const struct stress_config *config, struct stress **ret_stress,
                struct err *err) MUST_CHECK;
/* Before the world. */
void stress_free(struct stress *s);

/* Does what is due; at most a fifth of a second's events at once. */
void stress_run(struct stress *s);
/* How long until something is due; at most `max_us`. */
int64_t stress_idle_us(const struct stress *s, int64_t max_us);

/* A frame with this object goes out. */
void stress_told(struct stress *s, const struct object *o);
/* The head of a merge patch was read; its first byte had reached the socket at `arrived`. */
void stress_heard(struct stress *s, struct sv path, struct wall arrived);

/* Prints one line of JSON about the probes since the last report, and of the events; times in microseconds. */
void stress_report(struct stress *s, FILE *to);

#endif
