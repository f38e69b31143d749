/*
 * turn: what happens once at the end of each round of the loop: gather, decide once for all fillers,
 * act, publish.
 *
 *     planner_step() -> for each filler: places_carry(), act_step() -> workload_shrink() or
 *     workload_grow() -> publish()
 *
 * Nothing grows, and no pod is let in, while a watch is cut off or lists anew; yields go on.
 *
 * The watches probe after a third of the shortest stale.after in force (watch.h), which cuts them
 * off for a moment; what waits for it is evaluated as soon as they are back.
 *
 * A turn in which nothing came in and nothing is due does nothing; one in which only such came in as
 * nobody waits for does nothing for TURN_GATHER_US after the last evaluation. All times are the loop's one
 * `now`. The planner is asked first when pods and nodes have been listed, every target was looked
 * for, and the past (past.h) was read or took too long. A filler that comes later is unknown until
 * its past was read or took too long; one whose past comes later still is careful till then.
 */
#ifndef BRIM_AGENT_TURN_H
#define BRIM_AGENT_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/act.h"
#include "agent/facts.h"
#include "agent/kube/timers.h"
#include "agent/kube/watch.h"
#include "agent/past.h"
#include "agent/places.h"
#include "agent/snapshot.h"
#include "agent/tell.h"
#include "agent/workload.h"

/* At most one snapshot in this time, unless something was decided. */
#define TURN_PUBLISH_US (100 * US_PER_MS)
/* How long what nobody waits for (facts.h: gathered) is gathered after an evaluation. Yields of such
 * are held back longer than that anyway (act.h). Less than TRANSPORT_BATCH_US: a batch is evaluated
 * in the turn that reads it. */
#define TURN_GATHER_US (15 * US_PER_MS)
/* The planner is asked at least this often (g of docs/CONTROL.md 10). */
#define TURN_TICK_US (5 * US_PER_S)
/* How long a filler waits for its past, and how often that is looked for. */
#define TURN_PAST_US      (2 * US_PER_S)
#define TURN_PAST_LOOK_US (50 * US_PER_MS)

struct elect;
struct recorder;
struct truth_map;

/* The parts that a turn joins; borrowed. */
struct turn_parts {
    const struct timers *timers; /* the turn's time, and what wakes it */
    struct clock clock;          /* the machine's, to measure inside a turn */
    struct facts *facts;
    struct watch *pods, *nodes;
    const struct watch *waiting; /* of pods without a node, to be shown */
    struct snapshot_slot *slot;
    struct recorder *recorder;     /* NULL: no history */
    const struct elect *elect;     /* NULL: there is no other replica, this one leads */
    const struct truth_map *truth; /* NULL likewise */
    bool dry_run;
};

/* One filler's part of it. */
struct turn_filler {
    int index;                   /* the planner's */
    const struct policy *text;   /* the policy as it was read. Borrowed, as are the next three */
    const struct policy *policy; /* as it is in force now: the facts' copy */
    struct workload *workload;
    struct places *places;
    struct policy effective; /* what the planner was given: the policy with another placement */
    struct act act;
    struct tell_altered altered; /* of the last write that went through */
    uint64_t taken;              /* id of the newest decision whose write went through */
    uint64_t refused;         /* and of the one whose write was the last that did not; 0: it did */
    struct wall scheduled_at; /* when the schedule was last asked */
    bool has_next;
    struct wall next; /* and when another policy is in force */
    bool let_go;      /* its policy is gone: its count is held */
    bool leads;       /* this replica does, and the target was read since */
    bool has_virtual; /* dry run: what would have been written, on top of `virtual_from` */
    int64_t virtual_replicas, virtual_from;
    bool has_found; /* metrics-only, or it stands by: the count that the planner was told */
    int64_t found_replicas;
    int64_t noticed; /* filler pods, beyond the target's count, that were noticed */
    struct uid uid;  /* of the target */
    struct mono came;
    bool learns;       /* it is to be told the turn's past */
    int64_t settle_us; /* as it was told last */

    /* What the last evaluation saw and decided. */
    struct planner_input input;
    struct planner_plan plan;
    struct decision decision; /* the plan's, with the count that was written */
    int64_t from;             /* replicas before the decision */

    /* What is counted and kept for showing. */
    uint64_t decisions_total[REASON_COUNT_];
    uint64_t scale_errors_total;
    struct snapshot_latency latency;
    struct snapshot_decision recent[SNAPSHOT_DECISIONS]; /* newest first */
    size_t n_recent;
    struct tell told;
};

struct turn {
    struct turn_parts parts;
    void *wake;
    struct mono ticked_at, published_at;
    struct mono wake_at; /* what `wake` is set to */
    struct past *past;   /* what the history tells, for those that learn; NULL: nothing */
    bool dirty;          /* evaluate at the end of this turn */
    bool stepped;        /* the planner was asked once */
    bool cut_off;        /* at the last evaluation a watch was cut off or listed anew */
    bool unpublished;
    bool leads;                                       /* of several replicas this one */
    struct turn_filler *fillers[PLANNER_MAX_FILLERS]; /* by the planner's index; NULL: none */

    struct claims_sum claims; /* of the last evaluation, as the next */
    struct mono due; /* when the planner wants to be asked again; 0: no sooner than the tick */

    struct wall started;
    char policy_error[SNAPSHOT_TEXT_SIZE]; /* "" where there is none */
    uint64_t last_id;                      /* of the newest decision; one count for all fillers */
};

void turn_init(struct turn *t, const struct turn_parts *parts);
/* Takes down what hangs on the boards: nobody reads there any more. */
void turn_done(struct turn *t);

/* A filler that facts_add() gave this index; policy, workload and places are borrowed. */
void turn_add(struct turn *t, int filler, const struct policy *policy, struct workload *workload,
              struct places *places);
/* Another text of its policy. */
void turn_set_policy(struct turn *t, int filler, const struct policy *policy);
/* Its policy is gone (true) or back: its count stays as it is. */
void turn_let_go(struct turn *t, int filler, bool let_go);
/* Before facts_remove(). */
void turn_remove(struct turn *t, int filler);

/* What the history tells is on its way (recorder_past()): fillers that were added since the last one
 * was told learn of it. Takes the reference over. */
void turn_expect_past(struct turn *t, struct past *past);

/* What is wrong with the policies' files now, while older ones are in force; NULL: nothing. */
void turn_policy_error(struct turn *t, const char *text);

/*
 * Of several replicas this one leads from now on, or does not. Who does not evaluates all the same, so that it knows and has
 * learned what it needs when it comes to lead, takes the targets' counts as they are, and does nothing. Who leads reads each
 * target anew, then begins as a fresh start does with the count that it finds.
 */
void turn_lead(struct turn *t, bool leads);

/* Something came in: evaluate at the end of this round. */
void turn_mark(struct turn *t);

/* Somebody waits for what hangs on a board: it is made at once, and nothing is evaluated. */
void turn_show(struct turn *t);

/* The round's end; give it to loop_at_turn(). */
void turn_run(void *self);

/* A write of a filler's target was answered, as workload_handler.written() tells. */
void turn_written(struct turn *t, int filler, bool down, int64_t replicas, int64_t answered,
                  const struct client_problem *problem);
/* So were an admission and a deletion cost (places.h). */
void turn_admitted(struct turn *t, int filler, struct uid uid, bool ok);
void turn_costed(struct turn *t, int filler, struct uid uid, int32_t cost, bool ok);

/* Does it wait for its past, for TURN_PAST_US at most? */
bool turn_awaits_past(const struct turn *t, const struct turn_filler *tf);

/* Is what is decided for it written? */
bool turn_writes(const struct turn *t, const struct turn_filler *tf);
/* Does it take the right to patch pods? Affinity and spread need it only for filler that has no
 * PriorityClass of its own: then nobody but brim makes room on the right node (docs/CONTROL.md 6). */
bool turn_patches(const struct turn *t, const struct turn_filler *tf);

#endif
