/*
 * played: small traces from text, for the tests of the replay.
 */
#ifndef BRIM_TESTS_UNIT_SIM_PLAYED_H
#define BRIM_TESTS_UNIT_SIM_PLAYED_H

#include <criterion/criterion.h>

#include "base/alloc.h"
#include "policy/sim/peers.h"

#define PLAYED_NODES "node,cpu_milli,memory_mib\n"
#define PLAYED_PODS  "time_s,event,pod,cpu_milli,memory_mib,node\n"

/* Rows without their lines of names. */
static inline void played_read(struct trace *t, const char *nodes, const char *pods,
                               int64_t seconds)
{
    struct strbuf text;
    struct err err = {0};

    trace_init(t);
    strbuf_init(&text, 1 << 20);
    (void)strbuf_addf(&text, "%s%s", PLAYED_NODES, nodes);
    cr_assert(trace_read_nodes(t, SV("nodes"), strbuf_sv(&text), &err), "%s", err.text);
    strbuf_clear(&text);
    (void)strbuf_addf(&text, "%s%s", PLAYED_PODS, pods);
    cr_assert(trace_read_pods(t, SV("pods"), strbuf_sv(&text), &err), "%s", err.text);
    strbuf_done(&text);
    t->end_us = seconds * US_PER_S;
}

/* Filler of one core and no memory, nothing left out of the figures. */
static inline struct replay_setting played_setting(void)
{
    struct replay_setting s = replay_setting_default();

    s.filler = (struct resources){.at = {[RESOURCE_CPU] = 1000, [RESOURCE_PODS] = 1}};
    s.placement = PLACEMENT_SPREAD;
    s.warmup_us = 0;
    return s;
}

static inline struct oracle played_past(const struct trace *t, const struct replay_setting *s)
{
    struct oracle o;
    struct err err = {0};

    cr_assert(oracle_find(t, s, &o, &err), "%s", err.text);
    return o;
}

static inline struct replay_result played_peer(const struct trace *t,
                                               const struct replay_setting *s, enum peer peer)
{
    struct oracle past = played_past(t, s);
    struct replay_result r;
    struct err err = {0};

    cr_assert(peers_run(t, s, &past, peer, &r, &err), "%s", err.text);
    oracle_done(&past);
    return r;
}

#endif
