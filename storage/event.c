#include "storage/event.h"

#include "base/attr.h"

static const char *const kind_names[] = {
    [EVENT_GAP] = "gap",
    [EVENT_NODE] = "node",
    [EVENT_NODE_GONE] = "node-gone",
    [EVENT_POD_FOUND] = "pod-found",
    [EVENT_POD_CREATED] = "pod-created",
    [EVENT_POD_CHANGED] = "pod-changed",
    [EVENT_POD_BOUND] = "pod-bound",
    [EVENT_POD_UNSCHEDULABLE] = "pod-unschedulable",
    [EVENT_POD_GONE] = "pod-gone",
};
_Static_assert(COUNT_OF(kind_names) == EVENT_COUNT_, "a kind has no name");

static const char *const why_names[] = {
    [GAP_START] = "agent started",
    [GAP_RELIST] = "watch listed anew",
    [GAP_LOST] = "history could not keep up",
    [GAP_CLOCK] = "clock set back",
    [GAP_DAMAGED] = "history damaged",
    [GAP_BEGIN] = "history begins",
};
_Static_assert(COUNT_OF(why_names) == GAP_COUNT_, "a why has no name");

const char *event_kind_name(enum event_kind kind)
{
    return kind_names[kind];
}

const char *gap_why_name(enum gap_why why)
{
    return why_names[why];
}
