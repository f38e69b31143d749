/*
 * ksm: paid load as kube-state-metrics saw it: what its series say of pods and nodes, gathered series by series, and made into a trace.
 *
 * The period is looked at window by window (ksm_ask.h); in each the series of every question below are handed in, in any order, and
 * any of them again (but KSM_POD_SEEN before KSM_POD_CREATED, KSM_NODE_SEEN before KSM_NODE_OFFERS, and KSM_POD_COMPLETION before KSM_POD_ENDED): facts are kept by the pod's uid (by namespace and name where there is none), so that replicas, shards and repeated
 * answers count once. Labels that a scrape has renamed to exported_… are read as the names that they had. About 130 bytes a pod.
 *
 * A pod comes when it was created (to the second). It goes when its last container ended, if it finished; else, between the last scrape
 * that saw it and the next, taken as the middle, or at its deletion's deadline if that is earlier. Its request is that of
 * kube-scheduler as far as the series tell: the containers and sidecars together, at least the largest init container, plus overhead;
 * after a resize the largest. Pods of a target (a filler's own) are left out; those of DaemonSets and static ones are tied to their
 * node. (kube-state-metrics 2.x, docs/metrics/workload/pod-metrics.md, docs/metrics/cluster/node-metrics.md)
 *
 * What scrapes every `interval` cannot show is counted in ksm_seen. A pod whose k-th and last scrape was seen has lived at least
 * k - 1 intervals and less than k + 1. Pods that come and go between two scrapes leave nothing: how many they were is estimated from
 * those seen once (n1) and twice (n2) as n1² / 2 n2 (A. Chao, 1984): for lives of constant rate a sixth too many; it is told only
 * where n1 <= 2 n2.
 */
#ifndef BRIM_AGENT_PROM_KSM_H
#define BRIM_AGENT_PROM_KSM_H

#include "agent/prom/promread.h"
#include "base/map.h"
#include "policy/sim/trace.h"

enum { KSM_MAX_PODS = 1 << 24, KSM_MAX_NODES = TRACE_MAX_NODES, KSM_MAX_AWAY = 1 << 20 };

/* What a series tells. Values are seconds since 1970 where no other unit is named. */
enum ksm_fact {
    KSM_POD_CREATED,
    KSM_POD_SEEN,    /* the newest scrape that saw it */
    KSM_POD_INFO,    /* labels node, created_by_kind, created_by_name, priority_class */
    KSM_POD_REQUEST, /* label resource: cores or bytes, summed over containers */
    KSM_POD_INIT,    /* … the largest of the init containers that end */
    KSM_POD_SIDECAR, /* … summed over those that run on */
    KSM_POD_OVERHEAD_CPU,
    KSM_POD_OVERHEAD_MEMORY,
    KSM_POD_SCHEDULED,
    KSM_POD_FINISHED,   /* when it was first seen to have Succeeded or Failed */
    KSM_POD_COMPLETION, /* when a container ended; counts if the pod finished */
    KSM_POD_DELETION,   /* by when it is to be gone */
    KSM_NODE_CREATED,
    KSM_NODE_SEEN,
    KSM_NODE_OFFERS, /* label resource: cores, bytes, pods */
    KSM_NODE_AWAY,   /* points at the times at which it was cordoned or not ready */
    KSM_SCRAPES,     /* points: the newest scrape there was */
    KSM_POD_LAST,    /* points of a pod that is not there at the window's end: its scrapes */
    KSM_POD_ENDED,   /* it has Succeeded or Failed by the window's end */
    KSM_POD_PHASES,  /* points of one that has: 1 from then on */
    KSM_NODE_LAST,   /* points of a node that is not there at the window's end: its scrapes */
    KSM_FACT_COUNT_
};

struct ksm_target {
    struct sv ns, kind, name; /* borrowed */
};

/* What was found, and what was not. */
struct ksm_seen {
    uint64_t pods, filler_pods; /* filler's are not among the pods */
    uint64_t vanished;          /* their end is known to an interval only */
    uint64_t ended_in_gap;      /* … or to a gap between scrapes */
    uint64_t once;              /* seen by one scrape alone */
    bool has_hidden;
    uint64_t hidden; /* estimated: came and went between two scrapes */
    uint64_t waited; /* scheduled more than a minute after they were created */
    uint64_t never_scheduled;
    uint64_t no_request; /* of cpu */
    uint64_t no_created; /* left out */
    uint64_t nodes;
    uint64_t gaps; /* of more than three intervals without a scrape */
    int64_t gap_us, longest_gap_us, interval_us;
    struct wall began, ended; /* the first and last scrape, within the period */
};

struct ksm;

/* `targets` are borrowed. The period and the interval between scrapes in milliseconds. */
struct ksm *ksm_new(int64_t since_ms, int64_t until_ms, int64_t interval_ms,
                    const struct ksm_target *targets, size_t n_targets);
void ksm_free(struct ksm *k);

/* From now on what is handed in is of this window. `step_ms` is between the points of KSM_NODE_AWAY and KSM_SCRAPES. */
void ksm_window(struct ksm *k, int64_t begin_ms, int64_t step_ms);

/* ERR_LIMIT. A series whose value or labels are not what they should be is left out. O(labels + points). */
bool ksm_take(struct ksm *k, enum ksm_fact fact, const struct promread_series *s,
              struct err *err) MUST_CHECK;

/*
 * KSM_POD_LAST, KSM_NODE_LAST and KSM_POD_PHASES are wanted of a few only: of pods that KSM_POD_CREATED named and KSM_POD_SEEN did not,
 * of nodes that KSM_NODE_OFFERS named and KSM_NODE_SEEN did not, and of pods that ended nobody knows when. Adds uids, or nodes' names,
 * of some that were not told yet, "a|b|c", of at most max_bytes; false: none is left.
 */
bool ksm_names(struct ksm *k, enum ksm_fact fact, size_t max_bytes, struct strbuf *out);
/* Some of them cannot be named so: KSM_POD_SEEN, KSM_NODE_SEEN, KSM_POD_FINISHED are wanted of all and of all scrapes. */
bool ksm_nameless(struct ksm *k, enum ksm_fact fact);

/*
 * Makes the trace: initialised, empty. Its time 0 is the period's begin, or the first scrape if that is later. The filler's request is
 * that of its newest pod, if there was one. ERR_INPUT: there is no pod, or no node. O(pods log pods).
 */
bool ksm_trace(struct ksm *k, struct trace *t, struct ksm_seen *ret_seen,
               struct err *err) MUST_CHECK;

#endif
