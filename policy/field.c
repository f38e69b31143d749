/* The table, and how keys are looked up in it. */
#include "policy/field.h"

#include <assert.h>
#include <ctype.h>

#include "policy/policy.h"

static const char *const api_versions[] = {"brim.dev/v1", NULL};
static const char *const kinds[] = {"FillerPolicy", NULL};
static const char *const headroom_modes[] = {"learned", "fixed", NULL};
static const char *const placements[] = {[PLACEMENT_GATE] = "gate",
                                         [PLACEMENT_AFFINITY] = "affinity",
                                         [PLACEMENT_SPREAD] = "spread",
                                         [PLACEMENT_COUNT_] = NULL};
static const char *const stale_thens[] = {
    [STALE_HOLD] = "hold", [STALE_SHRINK] = "shrink", [STALE_COUNT_] = NULL};
static const char *const modes[] = {[MODE_CONTROL] = "control",
                                    [MODE_DRY_RUN] = "dry-run",
                                    [MODE_METRICS_ONLY] = "metrics-only",
                                    [MODE_COUNT_] = NULL};
static const char *const on_removes[] = {
    [REMOVE_LEAVE] = "leave", [REMOVE_RESTORE] = "restore", [REMOVE_COUNT_] = NULL};
static const char *const toleration_ops[] = {
    [TOLERATE_EQUAL] = "Equal", [TOLERATE_EXISTS] = "Exists", NULL};
/* EFFECT_NONE, every effect, is what an absent key means. */
static const char *const effects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute", NULL};
_Static_assert(EFFECT_NO_SCHEDULE == 1 && EFFECT_PREFER_NO_SCHEDULE == 2 && EFFECT_NO_EXECUTE == 3,
               "the effects' names are out of order");
/* The decoder stores a word's place as an int. */
_Static_assert(sizeof(enum placement_mode) == sizeof(int) &&
                   sizeof(enum stale_then) == sizeof(int) &&
                   sizeof(enum policy_mode) == sizeof(int) &&
                   sizeof(enum on_remove) == sizeof(int) &&
                   sizeof(enum toleration_op) == sizeof(int) &&
                   sizeof(enum taint_effect) == sizeof(int),
               "an enum is not an int");

static bool check_rule(const void *element, struct err *err)
{
    const struct paid_ignore *rule = element;

    if (rule->ns.len != 0 || rule->selector.len != 0 || rule->has_priority_below)
        return true;
    return err_set(err, ERR_INPUT, 0,
                   "found an empty rule, expected namespace, selector or priorityBelow");
}

/* What the API server asks of a pod's toleration. */
static bool check_toleration(const void *element, struct err *err)
{
    const struct toleration *t = element;

    if (t->op == TOLERATE_EXISTS && t->value.len != 0)
        return err_set(err, ERR_INPUT, 0, "found a value beside operator Exists, expected none");
    if (t->op == TOLERATE_EQUAL && t->key.len == 0)
        return err_set(err, ERR_INPUT, 0, "found no key, expected one or operator: Exists");
    return true;
}

#define FIELD(path_, type_, ...)                                                                   \
    {                                                                                              \
        .path = path_, .type = type_, .offset = FIELD_NOWHERE, .has_offset = FIELD_NOWHERE,        \
        .instead_offset = FIELD_NOWHERE, .count_offset = FIELD_NOWHERE, __VA_ARGS__                \
    }
#define IN_POLICY(member)     .offset = offsetof(struct policy, member)
#define IN_RULE(member)       .offset = offsetof(struct paid_ignore, member)
#define IN_OVERRIDE(member)   .offset = offsetof(struct policy_override, member)
#define IN_TOLERATION(member) .offset = offsetof(struct toleration, member)

/* A later designator overrides FIELD's offset on purpose. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const struct field fields[] = {
    FIELD("apiVersion", FIELD_WORD, .required = true, .words = api_versions,
          .doc = "The version of this format."),
    FIELD("kind", FIELD_WORD, .required = true, .words = kinds, .doc = "What the document is."),
    FIELD("metadata", FIELD_GROUP, .required = true, .doc = "What the policy is called."),
    FIELD("metadata.name", FIELD_SUBDOMAIN, .required = true, IN_POLICY(name),
          .doc = "The policy's name in metrics, logs and commands. No two policies share one."),
    FIELD("spec", FIELD_GROUP, .required = true, .doc = "What the policy says."),

    FIELD("spec.target", FIELD_GROUP, .required = true,
          .doc = "The filler: a workload with a scale subresource."),
    FIELD("spec.target.apiVersion", FIELD_API_VERSION, .required = true,
          IN_POLICY(target_api_version),
          .doc = "Group and version of the target, such as apps/v1."),
    FIELD("spec.target.kind", FIELD_KIND, .required = true, IN_POLICY(target_kind),
          .doc = "Kind of the target, such as Deployment."),
    FIELD("spec.target.namespace", FIELD_LABEL, .required = true, IN_POLICY(target_ns),
          .doc = "Namespace of the target."),
    FIELD("spec.target.name", FIELD_SUBDOMAIN, .required = true, IN_POLICY(target_name),
          .doc = "Name of the target."),

    FIELD("spec.replicas", FIELD_GROUP, .required = true,
          .doc = "Between which counts the filler is scaled."),
    FIELD("spec.replicas.min", FIELD_INT32, .unit = "replicas", .min = "0", .max = "1000000",
          .def = "0", IN_POLICY(min),
          .doc = "The filler keeps this many replicas, as far as they fit, even when no room is "
                 "left for them. At most max."),
    FIELD("spec.replicas.max", FIELD_INT32, .required = true, .unit = "replicas", .min = "0",
          .max = "1000000", IN_POLICY(max), .doc = "The filler never has more replicas."),

    FIELD("spec.priority", FIELD_INT32, .min = "-1000000", .max = "1000000", .def = "0",
          IN_POLICY(priority),
          .doc = "Of several fillers the one with the higher priority takes the room first."),
    FIELD("spec.weight", FIELD_INT32, .min = "1", .max = "1000", .def = "1", IN_POLICY(weight),
          .doc = "Fillers of one priority share the room in the ratio of their weights."),

    FIELD("spec.reserve", FIELD_GROUP,
          .doc =
              "Room that is always kept free and is no part of what the metric calls remaining."),
    FIELD("spec.reserve.cpu", FIELD_ROOM, .unit = "cores", .min = "0", .max = "100%", .def = "0",
          IN_POLICY(reserve),
          .doc = "Cores, a share of what the nodes offer, or largestNode: as much as the largest "
                 "node offers."),

    FIELD("spec.headroom", FIELD_GROUP,
          .doc = "Room kept free beyond the reserve, because paid pods will soon want it."),
    FIELD("spec.headroom.mode", FIELD_EITHER, .words = headroom_modes, .def = "learned",
          IN_POLICY(headroom_fixed),
          .doc = "learned: what recent paid pods needed. fixed: always max."),
    FIELD("spec.headroom.min", FIELD_ROOM, .unit = "cores", .min = "0", .max = "100%", .def = "0",
          IN_POLICY(headroom_min), .doc = "What is kept free at least. Learned headroom only."),
    FIELD("spec.headroom.max", FIELD_ROOM, .unit = "cores", .min = "0", .max = "100%", .def = "16%",
          IN_POLICY(headroom_max),
          .doc = "What is kept free at most for the usual: cores, a share of what the nodes offer, "
                 "or largestNode."),
    FIELD("spec.headroom.blocked", FIELD_SHARE, .unit = "of paid pods", .min = "0%", .max = "50%",
          .def = "0.5%", IN_POLICY(blocked_ppm),
          .doc = "The share of paid pods that may find the headroom too small. Learned headroom "
                 "is what all the others needed."),

    FIELD("spec.settle", FIELD_SPAN, .unit = "time", .min = "0s", .max = "1h", .def = "90s",
          .instead = "auto", IN_POLICY(settle_us),
          .instead_offset = offsetof(struct policy, settle_auto),
          .doc = "How long room must have been free before filler takes it. Best is what a killed "
                 "filler pod costs in time. auto: learned from the load and killCost."),
    FIELD("spec.killCost", FIELD_SPAN, .unit = "time", .min = "0s", .max = "24h", .def = "60s",
          IN_POLICY(kill_cost_us),
          .doc = "The work that a killed filler pod loses, start and grace aside. For settle: auto "
                 "and reports."),
    FIELD("spec.placement", FIELD_WORD, .words = placements, .def = "gate", IN_POLICY(placement),
          .doc = "gate: filler pods wait behind a scheduling gate until brim names their node. "
                 "affinity: the filler's template packs it together by a preferred affinity to "
                 "itself. spread: the scheduler's own choice."),

    FIELD("spec.nodes", FIELD_GROUP, .doc = "Which nodes the filler may use."),
    FIELD("spec.nodes.minPaid", FIELD_CPU, .unit = "cores", .min = "0", .max = "1000000",
          .def = "0", IN_POLICY(min_paid_milli),
          .doc = "Cores of paid pods that a node must hold to offer room to filler, so that filler "
                 "alone keeps no node up."),

    FIELD("spec.paid", FIELD_GROUP, .doc = "Which pods the filler makes room for."),
    FIELD(
        "spec.paid.ignore", FIELD_LIST, IN_POLICY(ignore),
        .count_offset = offsetof(struct policy, n_ignore),
        .element_size = sizeof(struct paid_ignore), .check = check_rule,
        .doc =
            "Pending pods that make no claim on room. A rule holds where all that it gives holds."),
    FIELD("spec.paid.ignore[].namespace", FIELD_LABEL, IN_RULE(ns),
          .doc = "Pods of this namespace."),
    FIELD("spec.paid.ignore[].selector", FIELD_SELECTOR, IN_RULE(selector),
          .doc = "Pods with these labels, such as app=batch,tier in (low,idle)."),
    FIELD("spec.paid.ignore[].priorityBelow", FIELD_INT32, .min = "-2147483648",
          .max = "2147483647", IN_RULE(priority_below),
          .has_offset = offsetof(struct paid_ignore, has_priority_below),
          .doc = "Pods of a lower priority than this."),

    FIELD("spec.stale", FIELD_GROUP, .doc = "What to do when the API server is silent."),
    FIELD("spec.stale.after", FIELD_SPAN, .unit = "time", .min = "1s", .max = "1h", .def = "90s",
          IN_POLICY(stale_after_us),
          .doc = "How old facts may be. On older ones the filler never grows."),
    FIELD("spec.stale.then", FIELD_WORD, .words = stale_thens, .def = "hold", IN_POLICY(stale_then),
          .doc = "hold: keep the count. shrink: go down to replicas.min."),

    FIELD("spec.mode", FIELD_WORD, .words = modes, .def = "control", IN_POLICY(mode),
          .doc = "control: scale the target. dry-run: decide and record, write nothing. "
                 "metrics-only: publish, decide nothing."),

    FIELD("spec.service", FIELD_LABEL, IN_POLICY(service),
          .doc = "A Service in the target's namespace that the metrics are published on, too."),
    FIELD("spec.onRemove", FIELD_WORD, .words = on_removes, .def = "leave", IN_POLICY(on_remove),
          .doc = "What becomes of the target when the policy is removed. leave: it keeps its "
                 "count. restore: it gets the count that it had before brim took over."),

    FIELD("spec.schedule", FIELD_OVERRIDES, IN_POLICY(overrides),
          .count_offset = offsetof(struct policy, n_overrides),
          .element_size = sizeof(struct policy_override),
          .doc = "Times at which keys of the spec have other values: each entry holds those keys, "
                 "any but target and schedule, beside the following. Where entries overlap the "
                 "later one of the list wins."),
    FIELD("spec.schedule[].days", FIELD_DAYS, .def = "mon-sun", IN_OVERRIDE(days),
          .doc = "The days on which it begins, such as mon-fri or \"sat,sun\"."),
    FIELD("spec.schedule[].from", FIELD_TIME, .min = "00:00", .max = "23:59", .def = "00:00",
          IN_OVERRIDE(from_min),
          .doc = "When it begins. A time that a change of the clock skips is the moment of the "
                 "change, of one that comes twice the first counts."),
    FIELD("spec.schedule[].to", FIELD_TIME, .min = "00:00", .max = "24:00", .def = "24:00",
          IN_OVERRIDE(to_min),
          .doc = "When it ends, on the next day where that is not later than from."),
    FIELD("spec.schedule[].zone", FIELD_ZONE, .def = "UTC", IN_OVERRIDE(zone_name),
          .doc = "The IANA time zone whose clock counts, such as Europe/Berlin."),

    FIELD("spec.pod", FIELD_GROUP, .has_offset = offsetof(struct policy, pod.given),
          .doc = "The filler's pods, where neither a live one nor the target's template tells."),
    FIELD("spec.pod.cpu", FIELD_CPU, .required = true, .unit = "cores", .min = "1m",
          .max = "1000000", IN_POLICY(pod.cpu_milli), .doc = "What one pod requests."),
    FIELD("spec.pod.memory", FIELD_BYTES, .unit = "bytes", .min = "0", .max = "1Pi", .def = "0",
          IN_POLICY(pod.memory_bytes), .doc = "What one pod requests."),
    FIELD("spec.pod.graceSeconds", FIELD_INT64, .unit = "seconds", .min = "0", .max = "86400",
          .def = "30", IN_POLICY(pod.grace_s), .doc = "Its termination grace period."),
    FIELD("spec.pod.priority", FIELD_INT32, .min = "-2147483648", .max = "1000000000", .def = "0",
          IN_POLICY(pod.priority), .doc = "The value of its PriorityClass."),
    FIELD("spec.pod.tolerations", FIELD_LIST, IN_POLICY(pod.tolerations),
          .count_offset = offsetof(struct policy, pod.n_tolerations),
          .element_size = sizeof(struct toleration), .check = check_toleration,
          .doc = "The taints that it tolerates, as in a pod."),
    FIELD("spec.pod.tolerations[].key", FIELD_LABEL_KEY, IN_TOLERATION(key),
          .doc = "The taint's key. Absent: every key, with operator Exists."),
    FIELD("spec.pod.tolerations[].operator", FIELD_WORD, .words = toleration_ops, .def = "Equal",
          IN_TOLERATION(op), .doc = "Equal: key and value are. Exists: the key is there."),
    FIELD("spec.pod.tolerations[].value", FIELD_LABEL_VALUE, IN_TOLERATION(value),
          .doc = "The taint's value."),
    FIELD("spec.pod.tolerations[].effect", FIELD_WORD, .words = effects,
          .first_word = EFFECT_NO_SCHEDULE, IN_TOLERATION(effect),
          .doc = "The taint's effect. Absent: every effect."),
    FIELD("spec.pod.nodeSelector", FIELD_LABELS, IN_POLICY(pod.node_selector),
          .count_offset = offsetof(struct policy, pod.n_node_selector),
          .element_size = sizeof(struct label), .doc = "Labels that its nodes must have."),

    FIELD("spec.report", FIELD_GROUP, .doc = "What reports compare with."),
    FIELD("spec.report.target", FIELD_SHARE, .unit = "of what the nodes offer", .min = "0%",
          .max = "100%", .def = "85%", IN_POLICY(report.target_ppm),
          .doc = "The utilisation aimed at."),
    FIELD("spec.report.price", FIELD_PRICE, .unit = "a core for an hour", .min = "0",
          .max = "1000000", .def = "0", IN_POLICY(report.price_micro),
          .doc = "What a core costs for an hour, in any currency. 0: reports name no money."),
    FIELD("spec.report.groupBy", FIELD_LABEL_KEY, IN_POLICY(report.group_by),
          .doc =
              "The history keeps figures of groups of nodes, told apart by this label of theirs, "
              "and reports show them: topology.kubernetes.io/zone."),

    FIELD("spec.advanced", FIELD_GROUP,
          .doc = "Constants of the controller. The defaults were found by simulation; a reason to "
                 "change one is rare."),
    FIELD("spec.advanced.tick", FIELD_SPAN, .unit = "time", .min = "1s", .max = "1m", .def = "5s",
          IN_POLICY(advanced.tick_us),
          .doc = "How long nothing may happen before the set point is computed all the same."),
    FIELD("spec.advanced.coalesce", FIELD_SPAN, .unit = "time", .min = "0s", .max = "5s",
          .def = "100ms", IN_POLICY(advanced.coalesce_us),
          .doc = "How long events are gathered before a write that nobody waits for."),
    FIELD("spec.advanced.values", FIELD_INT32, .unit = "pods", .min = "20", .max = "20000",
          .def = "2000", IN_POLICY(advanced.values),
          .doc = "Of how many recent paid pods it is remembered what they needed."),
    FIELD("spec.advanced.needed", FIELD_INT32, .unit = "pods", .min = "1", .max = "20000",
          .def = "20", IN_POLICY(advanced.needed),
          .doc = "With fewer remembered pods the headroom is headroom.max. At most values."),
    FIELD("spec.advanced.surgeFactor", FIELD_FACTOR, .min = "1", .max = "10", .def = "2",
          IN_POLICY(advanced.surge_percent),
          .doc = "How many times its own size a surge keeps free while it lasts."),
    FIELD("spec.advanced.ceilingMargin", FIELD_SHARE, .unit = "of what the nodes offer",
          .min = "0%", .max = "100%", .def = "5%", IN_POLICY(advanced.ceiling_ppm),
          .doc = "Room beyond the highest demand of ceilingWindow and this is not kept free."),
    FIELD("spec.advanced.ceilingWindow", FIELD_SPAN, .unit = "time", .min = "1h", .max = "168h",
          .def = "24h", IN_POLICY(advanced.ceiling_window_us),
          .doc = "How far back the highest demand is looked for."),
    FIELD("spec.advanced.jitter", FIELD_SPAN, .unit = "time", .min = "0s", .max = "10m",
          .def = "10s", IN_POLICY(advanced.jitter_us),
          .doc = "How much earlier or later than expected a surge may come."),
    FIELD("spec.advanced.holePercentile", FIELD_INT32, .unit = "%", .min = "50", .max = "100",
          .def = "95", IN_POLICY(advanced.hole_percentile),
          .doc = "Room is kept free in pieces that this share of recent paid pods fit in."),
    FIELD("spec.advanced.holeSizes", FIELD_INT32, .unit = "pods", .min = "20", .max = "400",
          .def = "400", IN_POLICY(advanced.hole_sizes),
          .doc = "Of how many recent paid pods the requests are remembered for that."),
    FIELD("spec.advanced.refusedAfter", FIELD_SPAN, .unit = "time", .min = "1s", .max = "10m",
          .def = "5s", IN_POLICY(advanced.refused_after_us),
          .doc = "A filler pod that was let in to a node and is not bound by then is given up."),
};
#pragma GCC diagnostic pop

static const char *const type_names[] = {
    [FIELD_GROUP] = "mapping",       [FIELD_LIST] = "list",
    [FIELD_OVERRIDES] = "list",      [FIELD_ZONE] = "time zone",
    [FIELD_DAYS] = "days",           [FIELD_TIME] = "time",
    [FIELD_LABELS] = "labels",       [FIELD_WORD] = "word",
    [FIELD_EITHER] = "word",         [FIELD_LABEL] = "DNS label",
    [FIELD_SUBDOMAIN] = "DNS name",  [FIELD_API_VERSION] = "API version",
    [FIELD_KIND] = "kind",           [FIELD_SELECTOR] = "selector",
    [FIELD_LABEL_KEY] = "label key", [FIELD_LABEL_VALUE] = "label value",
    [FIELD_INT32] = "whole number",  [FIELD_INT64] = "whole number",
    [FIELD_SPAN] = "span",           [FIELD_SHARE] = "share",
    [FIELD_FACTOR] = "number",       [FIELD_PRICE] = "number",
    [FIELD_ROOM] = "cpu or share",   [FIELD_CPU] = "quantity",
    [FIELD_BYTES] = "quantity",
};
_Static_assert(COUNT_OF(type_names) == FIELD_TYPE_COUNT_, "a type has no name");

const char *field_type_name(enum field_type type)
{
    return type_names[type];
}

size_t field_count(void)
{
    return COUNT_OF(fields);
}

const struct field *field_at(size_t i)
{
    return &fields[i];
}

const struct field *field_find(struct sv path)
{
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (sv_eq(sv_from(fields[i].path), path))
            return &fields[i];
    }
    return NULL;
}

/* The key under which a path stands directly in its parent. */
static bool split_child(struct sv path, struct sv parent, struct sv *ret_key)
{
    if (parent.len != 0) {
        if (!sv_starts(path, parent) || path.len <= parent.len + 1 || path.at[parent.len] != '.')
            return false;
        path = sv_skip(path, parent.len + 1);
    }
    if (memchr(path.at, '.', path.len) != NULL)
        return false;
    *ret_key = path;
    return true;
}

bool field_is_child(const struct field *f, struct sv parent, struct sv *ret_key)
{
    return split_child(sv_from(f->path), parent, ret_key);
}

const struct field *field_child(struct sv parent, struct sv key)
{
    struct sv name;

    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (field_is_child(&fields[i], parent, &name) && sv_eq(name, key))
            return &fields[i];
    }
    return NULL;
}

struct sv field_elements(const struct field *list)
{
    struct sv path = sv_from(list->path);

    /* Borrowed from its first child, which stands right behind it. */
    assert(list->element_size != 0);
    return (struct sv){.at = list[1].path, .len = path.len + 2};
}

bool field_is_scheduled(const struct field *f)
{
    struct sv path = sv_from(f->path);

    return sv_starts(path, SV("spec.")) && !sv_starts(path, SV("spec.target")) &&
           !sv_starts(path, SV("spec.schedule"));
}

/* How much is stored at the field's place; 0: nothing. */
static size_t stored_bytes(enum field_type type)
{
    switch (type) {
    case FIELD_GROUP:
    case FIELD_TYPE_COUNT_:
        return 0;
    case FIELD_LIST:
    case FIELD_OVERRIDES:
    case FIELD_LABELS:
        return sizeof(void *);
    case FIELD_WORD:
        return sizeof(int);
    case FIELD_EITHER:
        return sizeof(bool);
    case FIELD_LABEL:
    case FIELD_SUBDOMAIN:
    case FIELD_API_VERSION:
    case FIELD_KIND:
    case FIELD_SELECTOR:
    case FIELD_LABEL_KEY:
    case FIELD_LABEL_VALUE:
    case FIELD_ZONE:
        return sizeof(struct sv);
    case FIELD_DAYS:
        return sizeof(uint8_t);
    case FIELD_TIME:
    case FIELD_INT32:
    case FIELD_SHARE:
    case FIELD_FACTOR:
        return sizeof(int32_t);
    case FIELD_INT64:
    case FIELD_SPAN:
    case FIELD_PRICE:
    case FIELD_CPU:
    case FIELD_BYTES:
        return sizeof(int64_t);
    case FIELD_ROOM:
        return sizeof(struct room_spec);
    }
    return 0;
}

static void copy_member(size_t offset, size_t size, struct policy *to, const struct policy *from)
{
    if (offset != FIELD_NOWHERE)
        memcpy((char *)to + offset, (const char *)from + offset, size);
}

void field_copy(const struct field *f, struct policy *to, const struct policy *from)
{
    copy_member(f->offset, stored_bytes(f->type), to, from);
    copy_member(f->has_offset, sizeof(bool), to, from);
    copy_member(f->instead_offset, sizeof(bool), to, from);
    copy_member(f->count_offset, sizeof(size_t), to, from);
}

enum { NEAR_MAX = 32 }; /* longer keys are near to none */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance, letters' case aside. Both texts are at most NEAR_MAX long. */
static size_t distance(struct sv a, struct sv b)
{
    size_t row[NEAR_MAX + 1];

    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            bool same = tolower((unsigned char)a.at[i - 1]) == tolower((unsigned char)b.at[j - 1]);
            size_t replaced = diagonal + !same;

            diagonal = row[j];
            row[j] = least(replaced, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.len];
}

/* The last part of a path. */
static struct sv last_key(const char *path)
{
    const char *dot = strrchr(path, '.');

    return sv_from(dot != NULL ? dot + 1 : path);
}

const char *field_nearest(struct sv parent, struct sv key)
{
    const char *nearest = NULL;
    size_t best = key.len / 3 + 2; /* a letter or two, in long keys a third of them */
    struct sv sibling;

    if (key.len == 0 || key.len > NEAR_MAX)
        return NULL;
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (!field_is_child(&fields[i], parent, &sibling) || sibling.len > NEAR_MAX)
            continue;

        size_t far = distance(key, sibling);

        if (far < best && far < key.len) {
            best = far;
            nearest = fields[i].path;
        }
    }
    for (size_t i = 0; i < COUNT_OF(fields) && nearest == NULL; i++) {
        if (sv_starts(sv_from(fields[i].path), parent) && sv_eq(last_key(fields[i].path), key))
            nearest = fields[i].path;
    }
    return nearest;
}

/* Which child of `parent` was meant; one of the spec where its name begins the path. */
static const char *suggest_child(struct sv parent, struct sv key)
{
    const struct field *f = field_child(parent, key);
    const char *near;

    if (f != NULL)
        return f->path;
    if (parent.len != 0)
        return field_nearest(parent, key);
    f = field_child(SV("spec"), key);
    near = f != NULL ? f->path : field_nearest(SV("spec"), key);
    return near != NULL ? near : field_nearest(parent, key);
}

const char *field_suggest(struct sv path)
{
    struct sv parent = {0}, key, index;
    const char *near = NULL;

    while (sv_next(&path, '.', &key)) {
        const struct field *f;

        (void)sv_cut(key, '[', &key, &index);
        near = suggest_child(parent, key);
        if (near == NULL)
            return NULL;
        f = field_find(sv_from(near));
        parent =
            f->type == FIELD_LIST || f->type == FIELD_OVERRIDES ? field_elements(f) : sv_from(near);
    }
    return near;
}
