/*
 * snapshot: what brim knows and wants at the end of a turn, as an immutable value that the serve
 * thread answers from.
 *
 * The loop builds a new one at most once a turn and swaps it in; readers take a reference and are
 * never waited for. Everything is a copy: no pointer into cluster, policy or controller. Unknown is
 * said by a flag, never by 0. All cpu in milli. Size does not grow with pods.
 *
 * Counters (`_total`, yield_latency) only rise while the process lives; a filler keeps its own
 * across snapshots.
 */
#ifndef BRIM_AGENT_SNAPSHOT_H
#define BRIM_AGENT_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/boards.h"
#include "agent/day.h"
#include "base/attr.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "policy/controller.h"
#include "policy/headroom.h"

enum { SNAPSHOT_NAME_SIZE = 256, SNAPSHOT_TEXT_SIZE = 256, SNAPSHOT_DECISIONS = 64 };

/* Upper bounds in seconds of brim_yield_latency_seconds; +Inf follows. */
#define SNAPSHOT_LATENCY_BOUNDS                                                                    \
    {                                                                                              \
        0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10                      \
    }
enum { SNAPSHOT_LATENCY_BUCKETS = 14 };

struct snapshot_latency {
    uint64_t bucket[SNAPSHOT_LATENCY_BUCKETS]; /* not cumulative; the last is +Inf */
    uint64_t count;
    int64_t sum_us;
};

/* One decision that changed something or changed its reason; the newest SNAPSHOT_DECISIONS are
 * kept. */
struct snapshot_decision {
    uint64_t
        id; /* from 1, rising; one count for all policies, so that a number names one decision */
    struct wall at;
    int64_t from;
    struct decision decision;
    int64_t paid_milli, pending_milli, allocatable_milli;
    char detail[SNAPSHOT_TEXT_SIZE];
};

/* AbleToScale, ScalingActive, ScalingLimited, in the words of a HorizontalPodAutoscaler. */
struct snapshot_condition {
    bool status;
    char reason[48];
    char message[SNAPSHOT_TEXT_SIZE];
};

/* Cuts off what does not fit. */
void snapshot_condition_set(struct snapshot_condition *c, bool status, const char *reason,
                            const char *message);

struct snapshot_filler {
    char policy[SNAPSHOT_NAME_SIZE];
    char target_api_version[SNAPSHOT_NAME_SIZE];
    char target_kind[64], target_ns[SNAPSHOT_NAME_SIZE], target_name[SNAPSHOT_NAME_SIZE];
    char target_resource[64];         /* "deployments"; "": not known yet */
    char service[SNAPSHOT_NAME_SIZE]; /* the Service that carries its metrics; "": none */
    int64_t stale_after_us;
    int64_t min, max;
    bool known; /* room is known: both watches complete and the shape is; else the figures up to
                   damped mean nothing */
    int64_t allocatable_milli, requested_milli, pending_milli, reserved_milli, remaining_milli,
        headroom_milli;
    int64_t slot_milli, hole_slots;
    int64_t slots, kept_slots, set_point, damped; /* known as snapshot_decided() says */
    int64_t settle_us;                            /* T in force */
    struct headroom_state
        headroom;      /* where headroom_milli comes from, and what would have sufficed */
    bool has_replicas; /* the target was read */
    int64_t replicas;  /* what the target asks for */
    int64_t desired;   /* what brim wants */
    int64_t from;      /* what it was before that was decided */
    int64_t ready, starting, leaving, unschedulable; /* filler pods */
    int64_t ready_milli, starting_milli, leaving_milli;
    int64_t gated, admitted; /* filler pods that wait, and that were let in and are not bound */
    uint64_t admitted_total, refused_total, place_errors_total;
    enum reason reason;
    enum bound bound;
    char detail[SNAPSHOT_TEXT_SIZE]; /* why, with the figures of now; "" where nothing is decided */
    bool has_wake;
    struct wall wake;
    uint64_t decisions_total[REASON_COUNT_];
    uint64_t scale_errors_total;
    struct snapshot_latency yield_latency;
    bool paused_up, paused_down;
    const char *paused_up_by,
        *paused_down_by; /* by which annotation; NULL: by none. They live for ever */
    struct snapshot_condition able, active, limited;
    struct snapshot_condition placed;  /* pods go where brim wants them */
    struct snapshot_condition covered; /* headroom.max is no lower than what would be needed */
    struct snapshot_decision decisions[SNAPSHOT_DECISIONS]; /* newest first */
    size_t n_decisions;
};

/* Was a count computed for the filler? The room may be known and the target not, or left alone. */
static inline bool snapshot_decided(const struct snapshot_filler *f)
{
    return f->known && f->reason != REASON_UNKNOWN;
}

struct snapshot_watch {
    const char *name;  /* "pods", "nodes", "waiting": the small one of pods without a node */
    bool synced;       /* a list has been complete */
    struct mono heard; /* when anything last came from the server; meaningless until synced */
    uint64_t relists_total, errors_total, events_total;
};

/* How the disk thread fares; nothing here is known while `on` is false. */
struct snapshot_history {
    bool on;         /* the agent keeps history */
    int64_t failing; /* 1: it cannot be written */
    int64_t queued, bytes;
    struct wall written_at; /* last commit; 0: none */
    uint64_t
        merged_total; /* samples that were merged into others because the disk did not keep up */
    uint64_t dropped_total; /* decisions and pieces of the journal that were lost */
    uint64_t errors_total;
    uint64_t damaged_total;         /* packed parts that could not be read */
    uint64_t set_aside_total;       /* damaged files */
    const char *network;            /* the network file system that the file lies on; NULL: none */
    char error[SNAPSHOT_TEXT_SIZE]; /* "" while it can be written */
    char aside[SNAPSHOT_TEXT_SIZE]; /* the last damaged file, where it lies now; "": none */
};

/* Which of several replicas this one is. */
struct snapshot_lead {
    bool on; /* there may be others: who leads is elected */
    bool leads;
    char identity[SNAPSHOT_NAME_SIZE];
    char holder[SNAPSHOT_NAME_SIZE]; /* who leads as far as is known; "": nobody */
    char url[SNAPSHOT_NAME_SIZE]; /* where people reach it, if that is another one; "": nowhere */
};

struct snapshot {
    atomic_int refs;
    struct wall at;
    struct mono at_mono;
    struct wall started;
    bool dry_run;
    bool ready;           /* pods and nodes were listed: /readyz */
    bool policies_broken; /* their files are no good, what was in force before still is */
    char policy_error[SNAPSHOT_TEXT_SIZE];
    int64_t nodes, eligible_nodes, pods;
    uint64_t paid_pods_total;         /* paid pods seen to arrive after the first list */
    uint64_t paid_pods_blocked_total; /* of them blocked: unschedulable at first, although it would
                                         have fitted without filler */
    int64_t waiting_pods;             /* paid pods that have a claim now */
    struct day day;                   /* what the last 24 hours came to */
    struct snapshot_watch watches[3];
    struct snapshot_history history;
    struct snapshot_lead lead;
    size_t n_fillers;
    struct snapshot_filler fillers[];
};

/* A zeroed snapshot with one reference. */
struct snapshot *snapshot_new(size_t n_fillers);
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s);

/* The place where the newest snapshot hangs: one writer, any number of readers. */
struct snapshot_slot;
struct snapshot_slot *snapshot_slot_new(void);
void snapshot_slot_free(struct snapshot_slot *slot);
/* Puts `s` there, taking over the caller's reference. */
void snapshot_slot_set(struct snapshot_slot *slot, struct snapshot *s);
/* A new reference to the newest, NULL before the first. */
struct snapshot *snapshot_slot_get(struct snapshot_slot *slot);

/* The boards of what is as large as the cluster; they live as long as the slot. */
struct boards *snapshot_slot_boards(struct snapshot_slot *slot);

/* For how long nothing was heard of pods or of nodes. Both were listed. */
int64_t snapshot_silence_us(const struct snapshot *s, struct mono now);
/* Is what is known too old for one of the policies (stale.after)? Where there is none,
 * SNAPSHOT_STALE_US counts: nobody has a watch probed sooner. */
#define SNAPSHOT_STALE_US (10 * 60 * US_PER_S)
bool snapshot_is_stale(const struct snapshot *s, struct mono now);

#endif
