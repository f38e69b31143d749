/*
 * status_json: the snapshot as the JSON of /api/v1/status and /api/v1/decisions.
 *
 * `v` is 1, `_milli` are integers, times are milliseconds since 1970, what is not known is null.
 * Names and texts of others are JSON strings and nothing else. Sentences travel as parts: a string
 * is text, {"at":MS} is a moment to be shown in the reader's zone, {"until":MS} is the time that is
 * left until then. Pure; `s` may be NULL: no turn has ended yet.
 *
 * status: v t boot version state dry_run watch{pods nodes waiting}_ms cpu{allocatable paid pending
 * filler leaving headroom reserve}_milli waiting{pods total{} day{}} earned{day{}} nodes eligible_nodes pods
 * policy_error fillers[]
 * fillers_total say{doing why}. `state` is "starting", "no-policy", or the reason
 * (policy/controller.h) of the filler that `say` speaks of. `cpu` is as the filler sees it that may
 * use most of the cluster; filler and leaving are the sums over all fillers.
 */
#ifndef BRIM_AGENT_SERVE_STATUS_JSON_H
#define BRIM_AGENT_SERVE_STATUS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/snapshot.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "base/sv.h"

/* So that an answer stays below 16 KiB; fillers_total tells how many there are, a policy's name
 * picks any. */
enum { STATUS_MAX_FILLERS = 8 };

/* `policy` empty: the first STATUS_MAX_FILLERS fillers, else that one alone. */
void status_json_write(const struct snapshot *s, struct sv policy, struct mono now,
                       struct wall now_wall, struct strbuf *out);

struct decisions_query {
    size_t limit;
    uint64_t before;  /* only smaller ids; UINT64_MAX: all */
    struct sv policy; /* empty: any */
    struct sv reason; /* empty: any */
};

/* {"v":1,"decisions":[…]}, newest first. */
void status_json_decisions(const struct snapshot *s, const struct decisions_query *query,
                           struct strbuf *out);

/* {"v":1,"decision":{…}}; false, and nothing written, if the snapshot holds no decision of this id.
 */
bool status_json_decision(const struct snapshot *s, uint64_t id, struct strbuf *out);

#endif
