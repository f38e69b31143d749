/*
 * peers: ways to run filler that a policy is held against. All but the clairvoyant play in the same simulation.
 *
 * The autoscalers are HPAs (hpa.h) on the reversed metric: remaining = sum over nodes of max(0, allocatable - paid), less what waiting
 * paid pods ask for and less the reserve R; External metric, target AverageValue of one filler pod's cpu.
 */
#ifndef BRIM_POLICY_SIM_PEERS_H
#define BRIM_POLICY_SIM_PEERS_H

#include "policy/sim/replay.h"

enum peer {
    PEER_HPA,       /* as it comes: tolerance 10 %, down after 300 s */
    PEER_HPA_TUNED, /* turned round by an expert: down at once, up after 300 s, tolerance 0 */
    PEER_KEDA,      /* PEER_HPA that reads a value up to 30 s old */
    PEER_PREEMPT,   /* max replicas always; the scheduler's preemption makes room */
    PEER_STATIC,    /* allocatable less the highest paid load, known in hindsight */
    PEER_ORACLE,    /* the clairvoyant: fill alone */
    PEER_COUNT_
};
const char *peer_name(enum peer peer);
/* PEER_COUNT_: no peer has the name. */
enum peer peer_find(struct sv name);

/* As replay_run(). */
bool peers_run(const struct trace *trace, const struct replay_setting *setting,
               const struct oracle *past, enum peer peer, struct replay_result *ret_result,
               struct err *err) MUST_CHECK;

#endif
