/*
 * hpa: the HorizontalPodAutoscaler (autoscaling/v2), one round at a time.
 *
 * It is what kube-controller-manager does every 15 s for one HPA: a proposal from each metric, the
 * largest counts, stabilization over the proposals of the last minutes, then the limits on growth
 * and shrinking. It reads nothing and writes nothing: the caller brings scale, pods and metric
 * values and carries out the result. Usable without the simulation.
 *
 * Values are in milli, as the controller reads them. What it remembers (proposals and rescales of
 * the last 30 minutes at most) dies with it, as in a restart of the real controller.
 *
 * Source: kubernetes/pkg/controller/podautoscaler 1.35 (horizontal.go, replica_calculator.go).
 */
#ifndef BRIM_POLICY_SIM_HPA_H
#define BRIM_POLICY_SIM_HPA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"

enum {
    HPA_MAX_METRICS = 8,
    HPA_MAX_POLICIES = 8,
    HPA_MAX_PERIOD_S = 1800, /* the API's bound on periodSeconds */
    HPA_MAX_WINDOW_S = 3600, /* … and on stabilizationWindowSeconds */
};

#define HPA_SYNC_US (15 * US_PER_S)

enum hpa_target {
    HPA_VALUE,         /* Object or External, target type Value */
    HPA_AVERAGE_VALUE, /* Object or External, target type AverageValue */
    HPA_PODS,          /* Pods: a mean over the pods, AverageValue */
    HPA_TARGET_COUNT_
};

struct hpa_metric {
    enum hpa_target target;
    int64_t target_milli; /* above 0 */
};

enum hpa_unit { HPA_UNIT_PODS, HPA_UNIT_PERCENT, HPA_UNIT_COUNT_ };
enum hpa_select { HPA_SELECT_MAX, HPA_SELECT_MIN, HPA_SELECT_DISABLED, HPA_SELECT_COUNT_ };

struct hpa_policy {
    enum hpa_unit unit;
    int32_t value;    /* above 0 */
    int32_t period_s; /* 1 .. HPA_MAX_PERIOD_S */
};

/* One direction of spec.behavior. */
struct hpa_rules {
    int32_t window_s;
    enum hpa_select select;
    struct hpa_policy policies[HPA_MAX_POLICIES];
    size_t n_policies;
};

struct hpa_spec {
    int32_t min, max; /* min 0 is the alpha gate HPAScaleToZero */
    struct hpa_metric metrics[HPA_MAX_METRICS];
    size_t n_metrics;
    int32_t down_window_s; /* --horizontal-pod-autoscaler-downscale-stabilization; used without
                              behavior */
    int32_t tolerance_up_milli, tolerance_down_milli; /* 100 = 10 % */
    bool has_behavior;                                /* any part of spec.behavior is given */
    struct hpa_rules up, down;
};

/* min 1, max 10, no metric, tolerance 10 %, window 300 s, behavior not given but filled with the
 * API's defaults. */
struct hpa_spec hpa_spec_default(void);

/* One pod that the selector finds, for HPA_PODS. */
struct hpa_pod {
    bool ignored; /* being deleted, or Failed */
    bool pending; /* phase Pending: counts as not ready */
    bool sampled; /* the metrics API has a value for it */
    int64_t milli;
};

/* What the metrics API answered for one metric. */
struct hpa_reading {
    bool valid;                 /* false: the request failed or gave nothing */
    int64_t milli;              /* HPA_VALUE, HPA_AVERAGE_VALUE: the sum of all items */
    const struct hpa_pod *pods; /* HPA_PODS */
    size_t n_pods;
};

struct hpa_input {
    int32_t replicas;        /* scale.spec.replicas */
    int32_t status_replicas; /* scale.status.replicas */
    int32_t ready;           /* pods of the selector that are Running and Ready */
    struct hpa_reading readings[HPA_MAX_METRICS]; /* one a metric of the spec */
};

enum hpa_outcome {
    HPA_STEADY,     /* no change wanted */
    HPA_RESCALED,   /* the scale should become `replicas` */
    HPA_DISABLED,   /* replicas is 0 and min is not: nothing is done */
    HPA_NO_METRICS, /* the metrics did not suffice for a decision: no change */
    HPA_OUTCOME_COUNT_
};
const char *hpa_outcome_name(enum hpa_outcome outcome);

struct hpa_result {
    enum hpa_outcome outcome;
    int32_t proposal; /* the largest of the metrics' proposals; the replicas found where none was
                         read */
    int32_t replicas; /* what the scale should say */
};

struct hpa;

/* ERR_INPUT names what is out of the API's bounds. The spec is copied. */
bool hpa_new(const struct hpa_spec *spec, struct hpa **ret_hpa, struct err *err) MUST_CHECK;
void hpa_free(struct hpa *h);
DEFINE_FREE_PTR(struct hpa, hpa)

const struct hpa_spec *hpa_spec(const struct hpa *h);

/* One round. `now` never falls. The caller carries the result out before the next one. O(rounds
 * kept). */
struct hpa_result hpa_round(struct hpa *h, const struct hpa_input *in, struct mono now);

#endif
