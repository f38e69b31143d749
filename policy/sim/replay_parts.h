/*
 * replay_parts: what the files of the replay share; not for its users, who include replay.h.
 *
 * replay_world.c   the trace played in a simulated cluster: rows, filler, writes under way
 * replay_meter.c   the figures
 * replay_brim.c    the live controller as a pilot
 * replay.c         advice and results
 * peers.c, oracle.c
 */
#ifndef BRIM_POLICY_SIM_REPLAY_PARTS_H
#define BRIM_POLICY_SIM_REPLAY_PARTS_H

#include "base/alloc.h"
#include "policy/sim/replay.h"
#include "policy/sim/sim.h"

/* ---- turns: changes of direction, those of less than a threshold left out ---- */

struct turns {
    int64_t threshold; /* a move of more than this counts */
    int64_t low, high; /* since the last turn */
    int direction;     /* 0: not known yet */
    bool begun;
};

/* True: the direction changed. */
bool turns_add(struct turns *t, int64_t value);

/* ---- meter ---- */

/* A filler pod's; of paid pods' ids and of nobody's: STAGE_NONE. */
enum stage {
    STAGE_NONE,
    STAGE_WAITING,
    STAGE_STARTING,
    STAGE_WORKING,
    STAGE_LEAVING,
    STAGE_COUNT_
};

struct meter_node {
    uint32_t fillers;          /* bound here, terminating ones too */
    struct resources promised; /* to waiting paid pods nominated here */
};

struct meter {
    const struct trace *trace;
    const struct replay_setting *setting;
    struct replay_result *result;
    struct mono now, next_row;
    int64_t bound_milli, waiting_milli; /* paid */
    int64_t filler[STAGE_COUNT_];       /* pods */
    double paid_core_s, useful_core_s, wasted_core_s;
    uint8_t *stages; /* by the sim's pod id */
    size_t stages_cap;
    struct meter_node *nodes; /* by the sim's node id */
    size_t nodes_cap;
    int64_t *wait_us; /* by pod of the trace */
    uint8_t *was_blocked;
    uint32_t *promised_by; /* by pod of the trace: node id, or TRACE_ANY_NODE */
    struct turns pod_turns, write_turns, paid_turns;
    struct replay_row shown; /* the pilot's part of the next rows */
};

struct replay_world;

void meter_init(struct meter *m, const struct trace *trace, const struct replay_setting *setting,
                int64_t allocatable_milli, struct replay_result *result);
void meter_done(struct meter *m);
/* Time passed: what stood until now is added up. */
void meter_advance(struct meter *m, struct mono now);
void meter_see_paid(struct meter *m, const struct sim *s, const struct sim_event *e, uint32_t pod);
void meter_see_filler(struct meter *m, const struct sim_event *e);
void meter_wrote(struct meter *m, int64_t replicas);
void meter_pod_wrote(struct meter *m);
/* Sums up; the past gives what belongs to no pilot. */
void meter_finish(struct meter *m, const struct oracle *past);

/* ---- world ---- */

#define REPLAY_FILLER    (UINT32_MAX - 1)
#define REPLAY_FILLER_NS "filler"
/* Of a lower PriorityClass; the paid pods' priorities are the trace's, 0 in a file. */
#define REPLAY_FILLER_PRIORITY(setting) ((setting)->same_class ? 0 : -1000000)

/* Who decides on the filler. Every function may be NULL. */
struct replay_pilot {
    /* `pod`: of the trace, or REPLAY_FILLER; TRACE_NO_POD with other events. */
    void (*see)(void *self, const struct sim_event *e, uint32_t pod);
    /* Asked at the world's wake time; says when next. */
    struct mono (*step)(void *self, struct mono now);
    void *self;
};

enum act { ACT_SCALE, ACT_ADMIT, ACT_COST };

/* A write under way. */
struct action {
    struct mono due;
    enum act act;
    int32_t value;  /* replicas, cost */
    uint32_t pod;   /* the sim's id … */
    struct uid uid; /* … as long as it has this uid */
    uint32_t node;  /* the sim's id */
};

struct replay_world {
    const struct trace *trace;
    const struct replay_setting *setting;
    struct replay_pilot pilot;
    struct sim *sim;
    const struct sim_workload *filler; /* NULL: none */
    const struct sim_pod_spec **kinds; /* of the trace, kept by the sim; NULL: none came yet */
    const struct sim_node **nodes;     /* of the trace; NULL: not there */
    const struct sim_pod **pods;       /* of the trace; NULL: not there */
    uint32_t *pod_of;                  /* by the sim's pod id: pod of the trace, REPLAY_FILLER */
    size_t pod_of_cap;
    uint32_t coming;     /* the pod of the trace that is being created */
    struct meter *meter; /* NULL: nobody measures */
    struct action *actions;
    size_t n_actions, actions_cap;
    struct mono wake;
    size_t row;
    int percent;
    /* What was carried out; NULL: nobody wants to know. */
    void (*done)(void *self, const struct action *action, bool ok, struct mono now);
    void *done_self;
};

/* A cluster with nothing in it yet. */
void world_init(struct replay_world *w, const struct trace *trace,
                const struct replay_setting *setting);
void world_done(struct replay_world *w);
/* The filler's Deployment. */
bool world_add_filler(struct replay_world *w, int64_t replicas, bool gated,
                      struct err *err) MUST_CHECK;
/* Actions are carried out when they are due, of one time in the order of the calls. */
void world_act(struct replay_world *w, struct action action);
void world_drop_action(struct replay_world *w, size_t index);
/* Plays the trace to its end. */
bool world_play(struct replay_world *w, struct err *err) MUST_CHECK;

/* As many filler pods as a number of the API holds. */
int32_t world_replicas(const struct replay_setting *setting, const struct oracle *past, int64_t n);

#endif
