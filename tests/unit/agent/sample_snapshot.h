/* sample_snapshot: a snapshot whose every field tells where it came from, for tests of what is
 * shown of it. */
#ifndef BRIM_TESTS_SAMPLE_SNAPSHOT_H
#define BRIM_TESTS_SAMPLE_SNAPSHOT_H

#include <stdio.h>

#include "agent/snapshot.h"

#define SAMPLE_NOW  ((struct mono){.us = 1000 * US_PER_S})
#define SAMPLE_WALL ((struct wall){.us = INT64_C(1790000000) * US_PER_S})

static inline void sample_filler(struct snapshot_filler *f, const char *policy)
{
    (void)snprintf(f->policy, sizeof f->policy, "%s", policy);
    (void)snprintf(f->target_kind, sizeof f->target_kind, "Deployment");
    (void)snprintf(f->target_ns, sizeof f->target_ns, "filler");
    (void)snprintf(f->target_name, sizeof f->target_name, "%s", policy);
    (void)snprintf(f->target_api_version, sizeof f->target_api_version, "apps/v1");
    (void)snprintf(f->target_resource, sizeof f->target_resource, "deployments");
    (void)snprintf(f->service, sizeof f->service, "%s-room", policy);
    f->stale_after_us = 90 * US_PER_S;
    f->max = 150;
    f->known = f->has_replicas = true;
    f->allocatable_milli = 184000;
    f->requested_milli = 8500;
    f->pending_milli = 4000;
    f->reserved_milli = 250;
    f->remaining_milli = 171250;
    f->headroom_milli = 30000;
    f->headroom = (struct headroom_state){.milli = 30000,
                                          .kind = HEADROOM_SURGE,
                                          .usual = 24000,
                                          .surge = 30000,
                                          .ceiling = INT64_MAX,
                                          .need = 41500,
                                          .values = 40,
                                          .capped = true};
    f->settle_us = 22600 * US_PER_MS;
    f->gated = 6;
    f->admitted = 4;
    f->admitted_total = 90;
    f->refused_total = 2;
    f->place_errors_total = 1;
    f->paused_up = true;
    f->slots = 171;
    f->kept_slots = 32;
    f->set_point = 139;
    f->damped = 139;
    f->slot_milli = 1000;
    f->hole_slots = 4;
    f->replicas = 130;
    f->from = 130;
    f->desired = 139;
    (void)snprintf(f->detail, sizeof f->detail, "now of \"%s\"", policy);
    f->ready = 120;
    f->starting = 10;
    f->leaving = 2;
    f->unschedulable = 1;
    f->ready_milli = 120000;
    f->starting_milli = 10000;
    f->leaving_milli = 2000;
    f->reason = REASON_HARVEST;
    f->bound = BOUND_HEADROOM;
    f->decisions_total[REASON_HARVEST] = 7;
    f->decisions_total[REASON_YIELD] = 5;
    f->scale_errors_total = 3;
    f->yield_latency.bucket[0] = 4;
    f->yield_latency.bucket[9] = 1;
    f->yield_latency.bucket[13] = 2;
    f->yield_latency.count = 7;
    f->yield_latency.sum_us = 30001500;
    f->active = (struct snapshot_condition){
        .status = true, .reason = "ValidRoom", .message = "the room is known"};
    f->n_decisions = 3;
    for (size_t i = 0; i < f->n_decisions; i++) {
        f->decisions[i] = (struct snapshot_decision){
            .id = 30 - 10 * i,
            .at = {.us = SAMPLE_WALL.us - (int64_t)i * US_PER_S},
            .from = 130,
            .decision = {.replicas = 139,
                         .reason = i == 1 ? REASON_YIELD : REASON_HARVEST,
                         .bound = BOUND_HEADROOM},
            .allocatable_milli = 184000,
        };
        (void)snprintf(f->decisions[i].detail, sizeof f->decisions[i].detail,
                       "detail %zu of \"%s\"", i, policy);
    }
}

/* Two fillers: "miner", of which all is known, and one with a name that needs escapes, of which
 * nothing is. */
static inline struct snapshot *sample_snapshot(void)
{
    struct snapshot *s = snapshot_new(2);

    s->at = SAMPLE_WALL;
    s->at_mono = SAMPLE_NOW;
    s->started = (struct wall){.us = SAMPLE_WALL.us - 3600 * US_PER_S};
    s->ready = true;
    s->nodes = 6;
    s->eligible_nodes = 5;
    s->pods = 200;
    s->paid_pods_total = 40;
    s->paid_pods_blocked_total = 1;
    s->waiting_pods = 2;
    s->watches[0] = (struct snapshot_watch){.name = "pods",
                                            .synced = true,
                                            .heard = {.us = SAMPLE_NOW.us - 1500000},
                                            .relists_total = 2};
    s->watches[1] = (struct snapshot_watch){.name = "nodes", .synced = false, .errors_total = 9};
    s->watches[2] = (struct snapshot_watch){
        .name = "waiting", .synced = true, .heard = {.us = SAMPLE_NOW.us - 40000000}};
    s->history = (struct snapshot_history){.on = true, .bytes = 4096, .merged_total = 3};
    sample_filler(&s->fillers[0], "miner");
    (void)snprintf(s->fillers[1].policy, sizeof s->fillers[1].policy, "a\"b\\c\nd");
    s->fillers[1].reason = REASON_UNKNOWN;
    return s;
}

#endif
