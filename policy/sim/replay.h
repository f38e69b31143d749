/*
 * replay: what would have become of a trace's paid load, and of filler beside it, under some pilot: a policy with the live controller
 * in it (policy/planner.h), or one of the peers that it is held against (policy/sim/peers.h).
 *
 * The load is an open loop: paid pods come and go at their times whatever the pilot does; one that still waits when it goes never ran.
 * Filler is a Deployment in the simulated cluster (sim.h). All is virtual time: the same arguments give the same result.
 *
 *     oracle_find(trace, setting)        once: the trace without filler, and the clairvoyant (oracle.h)
 *     replay_run(…)                      once for each pilot
 *
 * Of a dated trace the policy's schedule is followed, all but the entries' placement, mode and paid.ignore: the filler's pods are made
 * for one placement, a policy is played as one that is in control, and a trace's pods have no names. Else spec holds at all times.
 *
 * The first `warmup_us` are left out of every figure: pods that came in them are not counted, times are counted from there on.
 * Figures are those of docs/REPLAY.md.
 */
#ifndef BRIM_POLICY_SIM_REPLAY_H
#define BRIM_POLICY_SIM_REPLAY_H

#include "policy/policy.h"
#include "policy/sim/oracle.h"
#include "policy/sim/trace.h"

/* What a replay plays with. */
struct replay_setting {
    struct resources filler; /* request of one filler pod */
    int64_t start_us;        /* from bound to ready */
    int64_t grace_us;        /* from asked to stop to gone */
    int64_t api_us;          /* from a decision to its effect: facts and write under way */
    int64_t gather_us;       /* from a change to the decision that takes it up */
    int64_t grow_us;         /* how much longer growth is gathered */
    int64_t
        controller_us; /* from a change of the scale to the ReplicaSet controller's look at it */
    bool same_class;   /* filler has the paid pods' priority: nobody is preempted */
    enum placement_mode placement;
    int64_t max_replicas;
    int64_t reserve_milli; /* R of the peers */
    int64_t warmup_us;
    int64_t sample_us; /* between rows of the series; 0: no series */
    uint64_t seed;
    /* Told of each hundredth of the way; NULL: nobody. */
    void (*progress)(void *self, int percent);
    void *self;
};

/* Start 5 s, grace 10 s, api 150 ms, gather 100 ms and 1 s, controller 150 ms, gate, any number of replicas, warm-up 600 s, a row each 10 s,
 * seed 1. */
struct replay_setting replay_setting_default(void);

/* How it stood at a moment. */
struct replay_row {
    int64_t at_us;
    int64_t demand_milli;  /* D: paid pods bound and waiting */
    int64_t waiting_milli; /* of it, those that wait */
    int32_t active;        /* filler pods bound and not asked to stop */
    int32_t leaving;
    int32_t pending; /* filler pods not bound */
    int32_t replicas;
    int32_t blocked; /* paid pods found blocked since the row before */
    /* Of a policy; all 0 with a peer. */
    int32_t kind; /* enum headroom_kind */
    int64_t rise_milli, headroom_milli, slots, kept_slots, set_point, damped;
};

/* The set point from `at_us` on. */
struct replay_step {
    int64_t at_us, set_point;
};

struct replay_learned {
    int64_t need_milli, usual_milli;
    uint64_t arrivals, above, surges, expected_came, expected_missed;
    int64_t hole_slots;
    bool capped;
};

struct replay_result {
    double fill;        /* useful / available, 0 .. 1 */
    double of_oracle;   /* useful / the clairvoyant's */
    double utilisation; /* (paid + useful) / allocatable */
    double useful_core_s, available_core_s;
    uint64_t paid_pods; /* that came */
    uint64_t blocked, delayed;
    int64_t wait_p50_us, wait_p99_us, wait_max_us; /* because of filler, over all paid pods */
    int64_t blocked_p50_us;                        /* over the blocked ones */
    double wait_core_h;
    uint64_t kills, young_kills;
    double wasted;                               /* start-up and grace / available */
    uint64_t pod_turns, write_turns, paid_turns; /* changes of direction */
    uint64_t scale_writes, pod_writes;
    uint64_t refused; /* admitted, and the node had no room */
    double hours;     /* counted */
    bool has_learned;
    struct replay_learned learned;
    struct replay_row *rows;
    size_t n_rows, rows_cap;
    struct replay_step *steps; /* of a policy */
    size_t n_steps, steps_cap;
};

void replay_result_done(struct replay_result *r);

/* ERR_INPUT, ERR_LIMIT. The policy is borrowed for the call; `past` is of the same trace and setting. */
bool replay_run(const struct trace *trace, const struct replay_setting *setting,
                const struct oracle *past, const struct policy *policy,
                struct replay_result *ret_result, struct err *err) MUST_CHECK;

/* What another T would have come to. Since the set point does not depend on the filler, it is computed from its history. */
struct replay_advice {
    int64_t settle_us;
    double fill; /* of available */
    double kills_h;
    double net; /* fill less what kills cost, as a share of available */
};
struct replay_advice replay_advise(const struct replay_result *r,
                                   const struct replay_setting *setting, int64_t end_us,
                                   int64_t settle_us, int64_t kill_cost_us);

#endif
