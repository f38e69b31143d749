/*
 * oracle: a trace without any filler, and what a clairvoyant would make of the room that is left.
 *
 * The paid pods are scheduled as if nobody else were there: their waits are the ones that filler is not to blame for. On each node each
 * slot (room for one filler pod) is free for intervals; the clairvoyant uses every one that is longer than start-up and grace together,
 * and of it all but those; of one that the trace ends in all but start-up, since nobody has to be gone by then. More than max_replicas at a time he does not use. He is a bound for those who never keep a paid pod waiting:
 * one who does may use more.
 */
#ifndef BRIM_POLICY_SIM_ORACLE_H
#define BRIM_POLICY_SIM_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct trace;
struct replay_setting;

struct oracle {
    int64_t *wait_us;        /* of each pod of the trace; of one that never ran: until it went */
    double available_core_s; /* not requested by bound paid pods, at most max_replicas' worth */
    double allocatable_core_s;
    double useful_core_s; /* the clairvoyant's */
    int64_t peak_milli;   /* the most that paid pods ever asked for, waiting ones too */
    int64_t empty_slots; /* filler pods that fit the largest cluster there was, without paid pods */
};

bool oracle_find(const struct trace *trace, const struct replay_setting *setting,
                 struct oracle *ret_oracle, struct err *err) MUST_CHECK;
void oracle_done(struct oracle *o);

#endif
