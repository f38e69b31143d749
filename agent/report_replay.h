/*
 * report_replay: a report's time played again from the event journal, under the policy as it is and with one key changed at a time.
 */
#ifndef BRIM_AGENT_REPORT_REPLAY_H
#define BRIM_AGENT_REPORT_REPLAY_H

#include "policy/policy.h"
#include "storage/report.h"
#include "storage/report_advice.h"

/* Paid pods that are played at most: of a longer time its end is. About 10 s on one core. */
enum { REPORT_REPLAY_PODS = 100000 };
/* Less is luck. */
#define REPORT_REPLAY_LEAST_MS (INT64_C(3600) * 1000)

/*
 * headroom.max a half, three quarters, one and a half and twice what it is, where it is an amount or a share; settle 30, 60, 120 and
 * 300 s. Start-up and grace of the filler are what the samples show. O(trials x events). What went wrong is in why_not.
 */
void report_replay(struct history *h, const struct policy *policy, const struct report *r,
                   struct report_advice *ret_advice);

#endif
