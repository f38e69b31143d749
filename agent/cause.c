#include "agent/cause.h"

#include <stdio.h>

static bool of_target(const struct turn_filler *tf, struct snapshot_condition *ret_cause)
{
    const struct workload_view *view = workload_view(tf->workload);
    char text[SNAPSHOT_TEXT_SIZE];

    switch (view->state) {
    case WORKLOAD_UNREAD:
        snapshot_condition_set(ret_cause, false, "TargetUnread", "the target was not read yet");
        return true;
    case WORKLOAD_MISSING:
        (void)snprintf(text, sizeof text, "%.*s %.*s/%.*s does not exist",
                       SV_ARG(tf->policy->target_kind), SV_ARG(tf->policy->target_ns),
                       SV_ARG(tf->policy->target_name));
        snapshot_condition_set(ret_cause, false, "TargetMissing", text);
        return true;
    case WORKLOAD_RESTING:
        (void)snprintf(text, sizeof text, "%.*s %.*s/%.*s takes no count: %s",
                       SV_ARG(tf->policy->target_kind), SV_ARG(tf->policy->target_ns),
                       SV_ARG(tf->policy->target_name), view->problem);
        snapshot_condition_set(ret_cause, false, "TargetResting", text);
        return true;
    case WORKLOAD_UNREADABLE:
        snapshot_condition_set(ret_cause, false, "FailedGetScale", view->problem);
        return true;
    case WORKLOAD_FOUND:
    case WORKLOAD_STATE_COUNT_:
        break;
    }
    return false;
}

bool cause_of_hindrance(const struct turn *t, const struct turn_filler *tf, bool owners,
                        struct snapshot_condition *ret_cause)
{
    const struct facts_filler *fillers = t->parts.facts->fillers;
    const char *owner = workload_view(tf->workload)->owner;
    int other = fillers[tf->index].overlaps;
    char text[SNAPSHOT_TEXT_SIZE];

    if (tf->let_go) {
        snapshot_condition_set(ret_cause, false, "PolicyGone",
                               "its policy is gone: the target is left as it is");
        return true;
    }
    if (other >= 0) {
        (void)snprintf(text, sizeof text, "policy %.*s has pods that it matches too: left alone",
                       SV_ARG(fillers[other].policy.name));
        snapshot_condition_set(ret_cause, false, "PodsOverlap", text);
        return true;
    }
    if (owners && owner[0] != '\0') {
        (void)snprintf(text, sizeof text, "%s scales it too: left alone", owner);
        snapshot_condition_set(ret_cause, false, "AnotherAutoscaler", text);
        return true;
    }
    return of_target(tf, ret_cause);
}

static const char *missing(const struct turn *t, const struct turn_filler *tf)
{
    const struct workload_view *view = workload_view(tf->workload);

    if (!watch_stats(t->parts.pods)->synced || !watch_stats(t->parts.nodes)->synced)
        return "pods and nodes are not listed yet";
    if (!facts_classified(t->parts.facts, tf->index))
        return "its pods are not told from others yet: all pods are listed anew";
    if (!view->template_known)
        return "the target's pod template was not read yet";
    if (turn_writes(t, tf) && !view->owners_known)
        return "whether another autoscaler scales the target was not read yet";
    if (turn_awaits_past(t, tf))
        return "its history is being read";
    if (!planner_has_shape(t->parts.facts->planner, tf->index))
        return "the filler's shape is not known: no pod, no template, no spec.pod";
    return "waiting for pods, nodes and the targets";
}

struct snapshot_condition cause_of_unknown(const struct turn *t, const struct turn_filler *tf)
{
    struct snapshot_condition cause;

    if (!cause_of_hindrance(t, tf, turn_writes(t, tf), &cause))
        snapshot_condition_set(&cause, false, "Unknown", missing(t, tf));
    return cause;
}
