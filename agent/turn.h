/*
 * turn: what happens once at the end of each round of the loop: gather, decide once, act, publish.
 *
 *     facts_measure() -> controller_step() -> act_step() -> workload_shrink() or workload_grow() -> publish()
 *
 * A turn in which nothing came in and nothing is due does nothing. All times are the loop's one `now`.
 */
#ifndef BRIM_AGENT_TURN_H
#define BRIM_AGENT_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/act.h"
#include "agent/facts.h"
#include "agent/kube/timers.h"
#include "agent/kube/watch.h"
#include "agent/snapshot.h"
#include "agent/tell.h"
#include "agent/workload.h"
#include "policy/controller.h"

/* At most one snapshot in this time, unless something was decided. */
#define TURN_PUBLISH_US (100 * US_PER_MS)
/* The controller is asked at least this often (g of docs/CONTROL.md 10). */
#define TURN_TICK_US (5 * US_PER_S)

struct recorder;

/* The parts that a turn joins; borrowed. */
struct turn_parts {
    const struct timers *timers; /* the turn's time, and what wakes it */
    struct clock clock;          /* the machine's, to measure inside a turn */
    const struct policy *policy;
    struct facts *facts;
    struct workload *workload;
    struct watch *pods, *nodes;
    struct snapshot_slot *slot;
    struct recorder *recorder; /* NULL: no history */
    bool dry_run;
};

struct turn {
    struct turn_parts parts;
    struct controller *controller;
    struct act act;
    void *wake;
    struct mono ticked_at, published_at;
    bool dirty; /* evaluate at the end of this turn */
    bool unpublished;
    int64_t settle_us; /* in force: the policy's, or 2A */
    bool has_virtual;  /* dry run: what would have been written, on top of `virtual_from` */
    int64_t virtual_replicas, virtual_from;
    bool has_found;         /* the target's count was seen once */
    int64_t found_replicas; /* the count at the last evaluation, for metrics-only */

    /* What the last evaluation saw and decided. */
    struct controller_facts input;
    struct decision decision;
    int64_t from; /* replicas before the decision */
    struct claims_sum claims;
    struct fit_sum room;

    /* What is counted and kept for showing. */
    struct wall started;
    uint64_t decisions_total[REASON_COUNT_];
    uint64_t scale_errors_total;
    struct snapshot_latency latency;
    struct snapshot_decision recent[SNAPSHOT_DECISIONS]; /* newest first */
    size_t n_recent;
    uint64_t last_id;
    struct tell told;
    int64_t noticed; /* filler pods, beyond the target's count, that were noticed */
    struct uid uid;  /* of the target */
};

void turn_init(struct turn *t, const struct turn_parts *parts);
void turn_done(struct turn *t);

/* Something came in: evaluate at the end of this round. */
void turn_mark(struct turn *t);

/* The round's end; give it to loop_at_turn(). */
void turn_run(void *self);

/* A write of the target was answered. */
void turn_written(struct turn *t, int64_t replicas, const struct err *err);

#endif
