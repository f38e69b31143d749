/*
 * act: when a decision goes out as a write of the target's scale. Pure: facts and time in, one move
 * out; turn.c carries it out.
 *
 * - Urgent yield: a paid pod was reported unschedulable and filler stands in its way. At once where
 *   the scheduler will not preempt for it; else once every waiting pod was tried and the victims'
 *   deletion was seen, at the latest ACT_COALESCE_US after the report: no pod is killed twice over.
 * - Restoring yield: coalesce_us after the wish arose, so that the events of one change make one
 *   write, and once the deletion costs of the pods that should go are written, or ACT_MARK_US after
 *   the first of them was begun. Harvest: ACT_GROW_COALESCE_US, since room that comes free pod by pod
 *   becomes harvestable in the same small steps.
 * - One write at a time. A yield may overtake a growth, which the server then refuses, since it
 *   names the count it starts from; another yield only once that hangs for ACT_OVERTAKE_US: yields
 *   that arrive in the wrong order would raise the count. Then the target is read again. The same
 *   yield goes out again then, too: its connection may lead nowhere, and a second one does not. At most
 *   ACT_SAME_YIELDS are under way at a time.
 * - After a failed write: again after a back-off that doubles from ACT_RETRY_FIRST_US to
 *   ACT_RETRY_LAST_US. Growth and yields have one each: no yield waits for a growth that failed. A
 *   write that goes through ends both.
 * - Where the API server told a growth to wait (429, 503 with Retry-After) none goes out before, for ACT_TOLD_LAST_US
 *   at most. Yields go by their own back-off: a pod waits for them, and one each 10 s at most is no load.
 * - A write that is answered with another count (admission may set it) is not repeated at once either:
 *   after 1, 2, 4 … 64 s, from ACT_ALTERED_FIRST_US to ACT_ALTERED_LAST_US. An urgent yield does not
 *   wait for that: it goes out once for each report of a pod.
 *
 * docs/CONTROL.md 7.8 has the properties.
 */
#ifndef BRIM_AGENT_ACT_H
#define BRIM_AGENT_ACT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define ACT_COALESCE_US      (100 * US_PER_MS)
#define ACT_GROW_COALESCE_US (1 * US_PER_S)
#define ACT_OVERTAKE_US      (500 * US_PER_MS)
#define ACT_RETRY_FIRST_US   (200 * US_PER_MS)
#define ACT_RETRY_LAST_US    (10 * US_PER_S)
#define ACT_TOLD_LAST_US     (300 * US_PER_S)
#define ACT_ALTERED_FIRST_US (1 * US_PER_S)
#define ACT_ALTERED_LAST_US  (64 * US_PER_S)
#define ACT_MARK_US          (1 * US_PER_S)

enum { ACT_SAME_YIELDS = 3 };

enum act_move {
    ACT_NOTHING,
    ACT_SHRINK, /* write `to`, whatever the target asks for now */
    ACT_GROW,   /* write `to`, only if the target still asks for what was seen */
    ACT_MOVE_COUNT_,
};

struct act_facts {
    bool write;       /* the decision's */
    int64_t from, to; /* replicas of the target now; replicas wanted */
    bool urgent;      /* an unschedulable paid pod waits for filler, and no yield went out since */
    struct mono urgent_since;
    bool helpless;     /* no preemption will help it */
    bool victims_seen; /* all waiting pods were tried, and enough filler is leaving for each */
    bool marking;      /* deletion costs are being written, the first since */
    struct mono marking_since;
    int64_t coalesce_us; /* the policy's, ACT_COALESCE_US unless it says otherwise */
};

struct act_backoff {
    struct mono at; /* no write before; 0: free */
    int64_t us;     /* how long it was; 0: nothing failed */
    bool altered;   /* the last write went through, with another count */
};

struct act {
    int in_flight;        /* writes that were not answered yet */
    int64_t in_flight_to; /* of the newest, as the next two */
    bool in_flight_down;
    struct mono sent_at;
    bool overtook; /* more than one was in flight: read again when they are done */
    bool wants;    /* a write is due since `since` */
    bool wants_down;
    struct mono since;
    struct act_backoff grow, shrink;
};

struct act_result {
    enum act_move move;
    int64_t to;
    bool has_wake;
    struct mono wake;
};

/* What to do now. A move other than ACT_NOTHING counts as begun. */
struct act_result act_step(struct act *a, const struct act_facts *facts, struct mono now);

/* A write was answered, one for fewer (`down`) or for more. Returns true if the target should be read
 * again, because writes overtook each other or this one failed. */
bool act_answered(struct act *a, bool down, bool ok, struct mono now);
/* Behind act_answered() of one that failed: the server told to wait so long. */
void act_told_to_wait(struct act *a, bool down, int64_t us, struct mono now);
/* The same of one that went through, but with another count than was asked for. */
bool act_altered(struct act *a, bool down, struct mono now);

#endif
