#include "agent/prom/ksm.h"

#include <string.h>

#include "base/alloc.h"
#include "base/num.h"

#define UNKNOWN INT64_MIN
#define NO_NODE UINT32_MAX
/* No number of a series is larger, so that no sum of a replay overflows: a billion cores, an exabyte, the year 2255. */
#define MAX_MILLI   INT64_C(1000000000000)
#define MAX_BYTES   (INT64_C(1) << 60)
#define MAX_TIME_MS INT64_C(9000000000000)
#define MS_PER_S    INT64_C(1000)
#define WAITED_MS   (60 * MS_PER_S)

enum { POD_TIED = 1, POD_FILLER = 2 };
enum { CPU, MEMORY, AMOUNTS };

/* Times in milliseconds since 1970, or UNKNOWN. */
struct ksm_pod {
    uint64_t id;
    int64_t created_ms, seen_ms, scheduled_ms, finished_ms, completion_ms, deletion_ms;
    int64_t request[AMOUNTS], init[AMOUNTS], sidecar[AMOUNTS], overhead[AMOUNTS];
    uint32_t node;
    uint32_t row; /* its index in the trace, once it came there */
    int32_t priority;
    uint8_t flags;
};

/* What a node offers from a window on. */
struct offer {
    int64_t at_ms;
    int64_t cpu, memory, pods;
};

struct span {
    int64_t from_ms, to_ms;
};

struct ksm_node {
    char *name;
    int64_t created_ms, first_ms, seen_ms;
    struct offer *offers;
    size_t n_offers, cap_offers;
    struct span *away;
    size_t n_away, cap_away;
    size_t offer_now, away_now; /* while the trace is written, in the order of time */
};

/* Pods, by uid, or nodes of which more is to be asked. */
struct names {
    struct strbuf text; /* each ended by '|' */
    size_t at;          /* up to where they were told */
    bool nameless;
};
enum { MAX_NAME = 253, MAX_NAMES = 1 << 30 };

struct ksm {
    int64_t since_ms, until_ms, interval_ms, window_ms, step_ms;
    const struct ksm_target *targets;
    size_t n_targets;
    struct ksm_pod *pods;
    size_t n_pods, cap_pods;
    struct ksm_node *nodes;
    size_t n_nodes, cap_nodes;
    struct map by_id, by_name;
    size_t n_away;
    /* Scrapes, in the order of time. */
    int64_t first_scrape_ms, last_scrape_ms;
    struct span *gaps; /* from the last scrape before to the first behind */
    size_t n_gaps, cap_gaps;
    struct names gone, ended,
        gone_nodes; /* of the window: for KSM_POD_LAST, KSM_POD_PHASES, KSM_NODE_LAST */
};

/* ---- pods and nodes by what they are called ---- */

static uint64_t pod_hash(const void *self, uint32_t index)
{
    return ((const struct ksm *)self)->pods[index].id;
}

static bool pod_equal(const void *self, uint32_t index, const void *key)
{
    return ((const struct ksm *)self)->pods[index].id == *(const uint64_t *)key;
}

static uint64_t node_hash(const void *self, uint32_t index)
{
    return sv_hash(sv_from(((const struct ksm *)self)->nodes[index].name));
}

static bool node_equal(const void *self, uint32_t index, const void *key)
{
    return sv_eq(sv_from(((const struct ksm *)self)->nodes[index].name), *(const struct sv *)key);
}

static const struct map_ops pod_ops = {.hash = pod_hash, .equal = pod_equal};
static const struct map_ops node_ops = {.hash = node_hash, .equal = node_equal};

/* A label, under the name that it had before a scrape renamed it. */
static struct sv label(const struct promread_series *s, const char *exported)
{
    struct sv renamed = promread_label(s, exported);

    return renamed.len != 0 ? renamed : promread_label(s, exported + strlen("exported_"));
}

/* 64 bits are enough: of a million pods two meet with a chance of 1 in 30 million. */
static uint64_t pod_id(const struct promread_series *s)
{
    struct sv uid = promread_label(s, "uid"), ns = label(s, "exported_namespace");

    if (uid.len != 0)
        return sv_hash(uid);
    return sv_hash(ns) * UINT64_C(0x9e3779b97f4a7c15) ^ sv_hash(label(s, "exported_pod"));
}

/* NULL: there are too many, and err is set. */
static struct ksm_pod *pod_at(struct ksm *k, const struct promread_series *s, struct err *err)
{
    uint64_t id = pod_id(s);
    uint32_t index = map_find(&k->by_id, id, &id);

    if (index == MAP_NONE) {
        const struct ksm_pod fresh = {.id = id,
                                      .created_ms = UNKNOWN,
                                      .seen_ms = UNKNOWN,
                                      .scheduled_ms = UNKNOWN,
                                      .finished_ms = UNKNOWN,
                                      .completion_ms = UNKNOWN,
                                      .deletion_ms = UNKNOWN,
                                      .node = NO_NODE};

        if (k->n_pods >= KSM_MAX_PODS) {
            (void)err_set(err, ERR_LIMIT, 0, "more than %d pods", KSM_MAX_PODS);
            return NULL;
        }
        index = (uint32_t)k->n_pods;
        VEC_PUSH(k->pods, k->n_pods, k->cap_pods, fresh);
        map_put(&k->by_id, id, index);
    }
    return &k->pods[index];
}

static bool node_at(struct ksm *k, struct sv name, uint32_t *ret_node, struct err *err)
{
    uint32_t index = map_find(&k->by_name, sv_hash(name), &name);

    if (index == MAP_NONE) {
        const struct ksm_node fresh = {.name = sv_dup(name),
                                       .created_ms = UNKNOWN,
                                       .first_ms = k->window_ms,
                                       .seen_ms = UNKNOWN};

        if (k->n_nodes >= KSM_MAX_NODES) {
            free(fresh.name);
            return err_set(err, ERR_LIMIT, 0, "more than %d nodes", KSM_MAX_NODES);
        }
        index = (uint32_t)k->n_nodes;
        VEC_PUSH(k->nodes, k->n_nodes, k->cap_nodes, fresh);
        map_put(&k->by_name, sv_hash(name), index);
    }
    *ret_node = index;
    return true;
}

/* ---- series ---- */

/* Whose pods are `name`-SUFFIX of a ReplicaSet: the pod template's hash has no '-' (k8s.io/kubernetes, controller_utils.go). */
static bool is_replica_set_of(struct sv set, struct sv deployment)
{
    struct sv rest = sv_skip(set, deployment.len);

    return sv_starts(set, deployment) && rest.len > 1 && rest.at[0] == '-' &&
           memchr(rest.at + 1, '-', rest.len - 1) == NULL;
}

static bool is_filler(const struct ksm *k, const struct promread_series *s)
{
    struct sv kind = promread_label(s, "created_by_kind"),
              name = promread_label(s, "created_by_name"), ns = label(s, "exported_namespace");

    for (size_t i = 0; i < k->n_targets; i++) {
        const struct ksm_target *t = &k->targets[i];

        if (!sv_eq(ns, t->ns))
            continue;
        if (sv_eq(kind, t->kind) && sv_eq(name, t->name))
            return true;
        if (sv_eq(t->kind, SV("Deployment")) && sv_eq(kind, SV("ReplicaSet")) &&
            is_replica_set_of(name, t->name))
            return true;
    }
    return false;
}

/* The classes that every cluster has; of others the value is not known. */
static int32_t priority_of(struct sv class)
{
    if (sv_eq(class, SV("system-node-critical")))
        return 2000001000;
    return sv_eq(class, SV("system-cluster-critical")) ? 2000000000 : 0;
}

static bool take_info(struct ksm *k, struct ksm_pod *pod, const struct promread_series *s,
                      struct err *err)
{
    struct sv kind = promread_label(s, "created_by_kind"), node = label(s, "exported_node");

    pod->priority = priority_of(promread_label(s, "priority_class"));
    if (is_filler(k, s))
        pod->flags |= POD_FILLER;
    if (sv_eq(kind, SV("DaemonSet")) || sv_eq(kind, SV("Node")))
        pod->flags |= POD_TIED;
    /* Before it was bound there was a series without a node. */
    return node.len == 0 || node_at(k, node, &pod->node, err);
}

static bool is_time(int64_t ms)
{
    return ms > 0 && ms < MAX_TIME_MS;
}

static bool time_of(struct sv value, int64_t *ret_ms)
{
    return promread_number(value, 3, ret_ms) && is_time(*ret_ms);
}

static void keep_newest(int64_t *have, int64_t ms)
{
    *have = max_i64(*have, ms);
}

static void keep_oldest(int64_t *have, int64_t ms)
{
    *have = *have == UNKNOWN ? ms : min_i64(*have, ms);
}

static bool amount_of(struct sv value, int digits, int64_t max, int64_t *ret)
{
    return promread_number(value, digits, ret) && *ret >= 0 && *ret <= max;
}

static void keep_amount(int64_t amounts[static AMOUNTS], struct sv resource, struct sv value)
{
    int64_t amount;

    if (sv_eq(resource, SV("cpu")) && amount_of(value, 3, MAX_MILLI, &amount))
        amounts[CPU] = max_i64(amounts[CPU], amount);
    else if (sv_eq(resource, SV("memory")) && amount_of(value, 0, MAX_BYTES, &amount))
        amounts[MEMORY] = max_i64(amounts[MEMORY], amount);
}

/* Something to be asked by: a '.' in a regular expression fits itself, too, and nothing else means anything in one. */
static bool is_name(struct sv name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];

        if (c != '-' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') &&
            (c < 'A' || c > 'Z'))
            return false;
    }
    return name.len != 0 && name.len <= MAX_NAME;
}

static void add_name(struct names *names, struct sv name)
{
    names->nameless |= !is_name(name) || names->text.full;
    if (is_name(name)) {
        (void)strbuf_add(&names->text, name);
        (void)strbuf_add_char(&names->text, '|');
    }
}

static void take_pod_points(struct ksm_pod *pod, enum ksm_fact fact,
                            const struct promread_series *s)
{
    int64_t value;

    for (size_t i = 0; i < s->n_points; i++) {
        int64_t t_ms = s->points[i].t_ms;

        if (!is_time(t_ms))
            continue;
        if (fact == KSM_POD_LAST)
            keep_newest(&pod->seen_ms, t_ms);
        else if (promread_number(s->points[i].value, 0, &value) && value == 1)
            keep_oldest(&pod->finished_ms, t_ms);
    }
}

/* When a container ended says it better than any scrape. */
static void take_ended(struct ksm *k, struct ksm_pod *pod, const struct promread_series *s)
{
    if (pod->completion_ms != UNKNOWN)
        keep_oldest(&pod->finished_ms, pod->completion_ms);
    else if (pod->finished_ms == UNKNOWN)
        add_name(&k->ended, promread_label(s, "uid"));
}

static void take_pod_time(struct ksm_pod *pod, enum ksm_fact fact, int64_t ms)
{
    if (fact == KSM_POD_CREATED)
        pod->created_ms = ms;
    else if (fact == KSM_POD_SEEN)
        keep_newest(&pod->seen_ms, ms);
    else if (fact == KSM_POD_SCHEDULED)
        pod->scheduled_ms = ms;
    else if (fact == KSM_POD_FINISHED)
        keep_oldest(&pod->finished_ms, ms);
    else if (fact == KSM_POD_COMPLETION)
        keep_newest(&pod->completion_ms, ms);
    else
        pod->deletion_ms = ms;
}

static bool take_pod(struct ksm *k, enum ksm_fact fact, const struct promread_series *s,
                     struct err *err)
{
    struct sv resource = promread_label(s, "resource"), value = s->points[0].value;
    struct ksm_pod *pod = pod_at(k, s, err);
    int64_t ms;

    if (pod == NULL)
        return false;
    if (fact == KSM_POD_INFO)
        return take_info(k, pod, s, err);
    if (fact == KSM_POD_CREATED && (pod->seen_ms == UNKNOWN || pod->seen_ms < k->window_ms))
        add_name(&k->gone, promread_label(s, "uid"));
    if (fact == KSM_POD_LAST || fact == KSM_POD_PHASES)
        take_pod_points(pod, fact, s);
    else if (fact == KSM_POD_ENDED)
        take_ended(k, pod, s);
    else if (fact == KSM_POD_REQUEST)
        keep_amount(pod->request, resource, value);
    else if (fact == KSM_POD_INIT)
        keep_amount(pod->init, resource, value);
    else if (fact == KSM_POD_SIDECAR)
        keep_amount(pod->sidecar, resource, value);
    else if (fact == KSM_POD_OVERHEAD_CPU)
        keep_amount(pod->overhead, SV("cpu"), value);
    else if (fact == KSM_POD_OVERHEAD_MEMORY)
        keep_amount(pod->overhead, SV("memory"), value);
    else if (time_of(value, &ms))
        take_pod_time(pod, fact, ms);
    return true;
}

static int64_t *offer_of(struct offer *o, struct sv resource)
{
    if (sv_eq(resource, SV("cpu")))
        return &o->cpu;
    if (sv_eq(resource, SV("memory")))
        return &o->memory;
    return sv_eq(resource, SV("pods")) ? &o->pods : NULL;
}

/* A window that offers something else than the one before is kept. */
static void take_offer(struct ksm *k, struct ksm_node *node, const struct promread_series *s)
{
    struct offer next = node->n_offers != 0 ? node->offers[node->n_offers - 1] : (struct offer){0};
    struct sv resource = promread_label(s, "resource");
    int64_t *place = offer_of(&next, resource), amount;

    if (place == NULL ||
        !amount_of(s->points[0].value, place == &next.cpu ? 3 : 0,
                   place == &next.cpu ? MAX_MILLI : MAX_BYTES, &amount) ||
        (node->n_offers != 0 && *place == amount))
        return;
    *place = amount;
    if (node->n_offers != 0 && next.at_ms == k->window_ms) {
        node->offers[node->n_offers - 1] = next;
        return;
    }
    next.at_ms = k->window_ms;
    VEC_PUSH(node->offers, node->n_offers, node->cap_offers, next);
}

static bool take_away(struct ksm *k, struct ksm_node *node, const struct promread_series *s,
                      struct err *err)
{
    for (size_t i = 0; i < s->n_points; i++) {
        struct span *last = node->n_away != 0 ? &node->away[node->n_away - 1] : NULL;
        int64_t at_ms = s->points[i].t_ms;

        if (!is_time(at_ms))
            continue;

        const struct span next = {at_ms, at_ms + k->step_ms};

        if (last != NULL && next.from_ms <= last->to_ms) {
            last->to_ms = max_i64(last->to_ms, next.to_ms);
            continue;
        }
        if (k->n_away++ >= KSM_MAX_AWAY)
            return err_set(err, ERR_LIMIT, 0, "nodes were cordoned or not ready more than %d times",
                           KSM_MAX_AWAY);
        VEC_PUSH(node->away, node->n_away, node->cap_away, next);
    }
    return true;
}

static void take_node_points(struct ksm_node *node, const struct promread_series *s)
{
    for (size_t i = 0; i < s->n_points; i++) {
        if (s->points[i].t_ms > 0 && s->points[i].t_ms < MAX_TIME_MS)
            keep_newest(&node->seen_ms, s->points[i].t_ms);
    }
}

static bool take_node(struct ksm *k, enum ksm_fact fact, const struct promread_series *s,
                      struct err *err)
{
    struct sv name = label(s, "exported_node");
    struct ksm_node *node;
    uint32_t index;
    int64_t ms;

    if (name.len == 0)
        return true;
    if (!node_at(k, name, &index, err))
        return false;
    node = &k->nodes[index];
    if (fact == KSM_NODE_AWAY)
        return take_away(k, node, s, err);
    if (fact == KSM_NODE_OFFERS && (node->seen_ms == UNKNOWN || node->seen_ms < k->window_ms))
        add_name(&k->gone_nodes, promread_label(s, "node")); /* renamed, it says who told it */
    if (fact == KSM_NODE_LAST)
        take_node_points(node, s);
    else if (fact == KSM_NODE_OFFERS)
        take_offer(k, node, s);
    else if (time_of(s->points[0].value, &ms) && fact == KSM_NODE_CREATED)
        keep_oldest(&node->created_ms, ms);
    else if (fact == KSM_NODE_SEEN && time_of(s->points[0].value, &ms))
        keep_newest(&node->seen_ms, ms);
    return true;
}

static void take_scrapes(struct ksm *k, const struct promread_series *s)
{
    for (size_t i = 0; i < s->n_points; i++) {
        int64_t ms;

        if (!time_of(s->points[i].value, &ms) || ms < k->since_ms || ms <= k->last_scrape_ms)
            continue;
        if (k->last_scrape_ms == UNKNOWN) {
            k->first_scrape_ms = ms;
        } else if (ms - k->last_scrape_ms > 3 * max_i64(k->interval_ms, k->step_ms)) {
            const struct span gap = {k->last_scrape_ms, ms};

            VEC_PUSH(k->gaps, k->n_gaps, k->cap_gaps, gap);
        }
        k->last_scrape_ms = ms;
    }
}

bool ksm_take(struct ksm *k, enum ksm_fact fact, const struct promread_series *s, struct err *err)
{
    if (s->n_points == 0)
        return true;
    switch (fact) {
    case KSM_POD_CREATED:
    case KSM_POD_SEEN:
    case KSM_POD_INFO:
    case KSM_POD_REQUEST:
    case KSM_POD_INIT:
    case KSM_POD_SIDECAR:
    case KSM_POD_OVERHEAD_CPU:
    case KSM_POD_OVERHEAD_MEMORY:
    case KSM_POD_SCHEDULED:
    case KSM_POD_FINISHED:
    case KSM_POD_COMPLETION:
    case KSM_POD_DELETION:
    case KSM_POD_LAST:
    case KSM_POD_ENDED:
    case KSM_POD_PHASES:
        return take_pod(k, fact, s, err);
    case KSM_NODE_CREATED:
    case KSM_NODE_SEEN:
    case KSM_NODE_OFFERS:
    case KSM_NODE_AWAY:
    case KSM_NODE_LAST:
        return take_node(k, fact, s, err);
    case KSM_SCRAPES:
        take_scrapes(k, s);
        return true;
    case KSM_FACT_COUNT_:
        break;
    }
    return true;
}

/* ---- birth and death ---- */

struct ksm *ksm_new(int64_t since_ms, int64_t until_ms, int64_t interval_ms,
                    const struct ksm_target *targets, size_t n_targets)
{
    struct ksm *k = xcalloc(1, sizeof *k);

    k->since_ms = k->window_ms = since_ms;
    k->until_ms = until_ms;
    k->interval_ms = k->step_ms = interval_ms;
    k->targets = targets;
    k->n_targets = n_targets;
    k->first_scrape_ms = k->last_scrape_ms = UNKNOWN;
    strbuf_init(&k->gone.text, MAX_NAMES);
    strbuf_init(&k->ended.text, MAX_NAMES);
    strbuf_init(&k->gone_nodes.text, MAX_NAMES);
    map_init(&k->by_id, &pod_ops, k);
    map_init(&k->by_name, &node_ops, k);
    return k;
}

void ksm_free(struct ksm *k)
{
    if (k == NULL)
        return;
    for (size_t i = 0; i < k->n_nodes; i++) {
        free(k->nodes[i].name);
        free(k->nodes[i].offers);
        free(k->nodes[i].away);
    }
    strbuf_done(&k->gone.text);
    strbuf_done(&k->ended.text);
    strbuf_done(&k->gone_nodes.text);
    map_done(&k->by_id);
    map_done(&k->by_name);
    free(k->pods);
    free(k->nodes);
    free(k->gaps);
    free(k);
}

static void clear_names(struct names *names)
{
    strbuf_clear(&names->text);
    names->at = 0;
    names->nameless = false;
}

static struct names *names_of(struct ksm *k, enum ksm_fact fact)
{
    return fact == KSM_POD_LAST ? &k->gone : fact == KSM_NODE_LAST ? &k->gone_nodes : &k->ended;
}

bool ksm_names(struct ksm *k, enum ksm_fact fact, size_t max_bytes, struct strbuf *out)
{
    struct names *names = names_of(k, fact);
    size_t begin = names->at, end = begin;

    for (size_t i = begin; i < names->text.len && i - begin <= max_bytes; i++) {
        if (names->text.at[i] == '|')
            end = i;
    }
    if (end == begin)
        return false;
    (void)strbuf_add(out, (struct sv){.at = names->text.at + begin, .len = end - begin});
    names->at = end + 1;
    return true;
}

bool ksm_nameless(struct ksm *k, enum ksm_fact fact)
{
    return names_of(k, fact)->nameless;
}

void ksm_window(struct ksm *k, int64_t begin_ms, int64_t step_ms)
{
    clear_names(&k->gone);
    clear_names(&k->ended);
    clear_names(&k->gone_nodes);
    k->window_ms = begin_ms;
    k->step_ms = step_ms;
}

/* ---- the trace ---- */

/* Who offers no number of pods takes any: more than a simulation can hold. */
#define ANY_NUMBER_OF_PODS (INT64_C(1) << 32)

struct ksm_event {
    int64_t at_ms;
    enum trace_what what;
    uint32_t index; /* of the pod or node */
};

struct making {
    struct ksm *k;
    struct trace *trace;
    struct ksm_seen seen;
    int64_t zero_ms, end_ms;
    struct ksm_event *events;
    size_t n_events, cap_events;
    uint64_t once_or_twice[2];
    int64_t filler_ms; /* when the newest filler pod was created */
};

static void add_event(struct making *m, int64_t at_ms, enum trace_what what, size_t index)
{
    const struct ksm_event event = {at_ms, what, (uint32_t)index};

    VEC_PUSH(m->events, m->n_events, m->cap_events, event);
}

/* Nothing was seen of it any more, though there were scrapes. */
static bool has_vanished(const struct making *m, int64_t seen_ms)
{
    return seen_ms != UNKNOWN && seen_ms < m->end_ms - 2 * m->k->interval_ms;
}

/* The gap begins within two scrapes of `seen_ms`. O(log gaps). */
static bool before_gap(const struct ksm *k, int64_t seen_ms)
{
    size_t low = 0, high = k->n_gaps;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (k->gaps[middle].from_ms < seen_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low < k->n_gaps && k->gaps[low].from_ms - seen_ms <= 2 * k->interval_ms;
}

/* How many scrapes saw a pod that vanished follows from its age at the last one. */
static void count_scrapes(struct making *m, const struct ksm_pod *pod)
{
    int64_t before = (pod->seen_ms - pod->created_ms) / m->k->interval_ms;

    if (pod->created_ms >= m->zero_ms && before >= 0 && before <= 1)
        m->once_or_twice[before]++;
}

enum ending { STAYED, FINISHED, VANISHED, LOST_IN_GAP };

static enum ending ending_of(const struct making *m, const struct ksm_pod *pod)
{
    if (pod->finished_ms != UNKNOWN)
        return FINISHED;
    if (!has_vanished(m, pod->seen_ms))
        return STAYED;
    return before_gap(m->k, pod->seen_ms) ? LOST_IN_GAP : VANISHED;
}

/* When the pod went; MAX_TIME_MS: it stayed. */
static int64_t end_of(const struct making *m, const struct ksm_pod *pod, enum ending ending)
{
    int64_t half = m->k->interval_ms / 2;

    if (ending == STAYED)
        return MAX_TIME_MS;
    if (ending == FINISHED)
        return pod->completion_ms != UNKNOWN ? pod->completion_ms : pod->finished_ms - half;
    if (pod->deletion_ms > pod->seen_ms)
        return min_i64(pod->seen_ms + half, pod->deletion_ms);
    return pod->seen_ms + half;
}

static int64_t request_of(const struct ksm_pod *pod, int what)
{
    return max_i64(pod->request[what] + pod->sidecar[what], pod->init[what]) + pod->overhead[what];
}

static struct resources resources_of(const struct ksm_pod *pod)
{
    return (struct resources){.at = {[RESOURCE_CPU] = request_of(pod, CPU),
                                     [RESOURCE_MEMORY] = request_of(pod, MEMORY),
                                     [RESOURCE_PODS] = 1}};
}

static void keep_filler(struct making *m, const struct ksm_pod *pod)
{
    m->seen.filler_pods++;
    if (pod->created_ms < m->filler_ms || request_of(pod, CPU) <= 0)
        return;
    m->filler_ms = pod->created_ms;
    m->trace->filler = resources_of(pod);
    m->trace->has_filler = true;
}

static void count_pod(struct making *m, const struct ksm_pod *pod, enum ending ending)
{
    m->seen.pods++;
    m->seen.vanished += ending == VANISHED;
    m->seen.ended_in_gap += ending == LOST_IN_GAP;
    if (ending == VANISHED)
        count_scrapes(m, pod);
    m->seen.no_request += request_of(pod, CPU) == 0;
    m->seen.never_scheduled += pod->node == NO_NODE;
    m->seen.waited += pod->scheduled_ms != UNKNOWN && pod->created_ms >= m->zero_ms &&
                      pod->scheduled_ms - pod->created_ms > WAITED_MS;
}

static void plan_pod(struct making *m, size_t index)
{
    const struct ksm_pod *pod = &m->k->pods[index];
    enum ending ending = ending_of(m, pod);
    int64_t begin, end;

    if (pod->created_ms == UNKNOWN) {
        m->seen.no_created++;
        return;
    }
    if (pod->created_ms >= m->end_ms)
        return;
    if ((pod->flags & POD_FILLER) != 0) {
        keep_filler(m, pod);
        return;
    }
    begin = max_i64(pod->created_ms, m->zero_ms);
    end = end_of(m, pod, ending);
    if (end < m->zero_ms || (end == m->zero_ms && pod->created_ms < m->zero_ms))
        return;
    /* Times are whole seconds: who comes and goes in one has lived for half of it. */
    end = max_i64(end, begin + MS_PER_S / 2);
    count_pod(m, pod, ending);
    add_event(m, begin, TRACE_POD_COMES, index);
    if (end < m->end_ms)
        add_event(m, end, TRACE_POD_GOES, index);
}

static void plan_node(struct making *m, size_t index)
{
    const struct ksm_node *node = &m->k->nodes[index];
    int64_t first = node->created_ms != UNKNOWN ? node->created_ms : node->first_ms;
    int64_t begin = max_i64(first, m->zero_ms), end = m->end_ms;

    if (has_vanished(m, node->seen_ms))
        end = node->seen_ms + m->k->interval_ms / 2;
    if (node->n_offers == 0 || begin >= end)
        return;
    m->seen.nodes++;
    add_event(m, begin, TRACE_NODE_IS, index);
    for (size_t i = 1; i < node->n_offers; i++) {
        if (node->offers[i].at_ms > begin && node->offers[i].at_ms < end)
            add_event(m, node->offers[i].at_ms, TRACE_NODE_IS, index);
    }
    for (size_t i = 0; i < node->n_away; i++) {
        if (node->away[i].from_ms > begin && node->away[i].from_ms < end)
            add_event(m, node->away[i].from_ms, TRACE_NODE_IS, index);
        if (node->away[i].to_ms > begin && node->away[i].to_ms < end)
            add_event(m, node->away[i].to_ms, TRACE_NODE_IS, index);
    }
    if (end < m->end_ms)
        add_event(m, end, TRACE_NODE_GOES, index);
}

static int by_time(const void *left, const void *right)
{
    const struct ksm_event *a = left, *b = right;

    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    if (a->what != b->what)
        return a->what < b->what ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

/* So that it does not depend on the order in which a server answers. */
static int by_creation(const void *left, const void *right)
{
    const struct ksm_pod *a = left, *b = right;

    if (a->created_ms != b->created_ms)
        return a->created_ms < b->created_ms ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* What it offers at this time. */
static bool node_is(struct making *m, struct ksm_node *node, int64_t at_ms, struct err *err)
{
    struct resources offers = {0};
    const struct offer *o;
    bool away;

    while (node->offer_now + 1 < node->n_offers && node->offers[node->offer_now + 1].at_ms <= at_ms)
        node->offer_now++;
    while (node->away_now < node->n_away && node->away[node->away_now].to_ms <= at_ms)
        node->away_now++;
    away = node->away_now < node->n_away && node->away[node->away_now].from_ms <= at_ms;
    o = &node->offers[node->offer_now];
    offers.at[RESOURCE_CPU] = o->cpu;
    offers.at[RESOURCE_MEMORY] = o->memory;
    offers.at[RESOURCE_PODS] = o->pods != 0 ? o->pods : ANY_NUMBER_OF_PODS;
    return trace_put_node(m->trace, (at_ms - m->zero_ms) * US_PER_MS, sv_from(node->name), &offers,
                          away, err);
}

static uint32_t node_of(const struct making *m, const struct ksm_pod *pod)
{
    if (pod->node == NO_NODE)
        return TRACE_ANY_NODE;
    return trace_find_node(m->trace, sv_from(m->k->nodes[pod->node].name));
}

static bool pod_comes(struct making *m, struct ksm_pod *pod, int64_t at_ms, struct err *err)
{
    uint32_t node = node_of(m, pod);
    bool found = pod->created_ms < m->zero_ms &&
                 (pod->scheduled_ms == UNKNOWN || pod->scheduled_ms <= m->zero_ms);
    const struct trace_kind kind = {.request = resources_of(pod),
                                    .priority = pod->priority,
                                    .node = (pod->flags & POD_TIED) != 0 ? node : TRACE_ANY_NODE};

    return trace_add_pod(m->trace, (at_ms - m->zero_ms) * US_PER_MS, &kind,
                         found ? node : TRACE_ANY_NODE, &pod->row, err);
}

static bool write_event(struct making *m, const struct ksm_event *e, struct err *err)
{
    int64_t at_us = (e->at_ms - m->zero_ms) * US_PER_MS;
    uint32_t node;

    switch (e->what) {
    case TRACE_POD_GOES:
        trace_end_pod(m->trace, at_us, m->k->pods[e->index].row);
        return true;
    case TRACE_NODE_GOES:
        node = trace_find_node(m->trace, sv_from(m->k->nodes[e->index].name));
        trace_drop_node(m->trace, at_us, node);
        return true;
    case TRACE_NODE_IS:
        return node_is(m, &m->k->nodes[e->index], e->at_ms, err);
    case TRACE_POD_COMES:
        return pod_comes(m, &m->k->pods[e->index], e->at_ms, err);
    case TRACE_WHAT_COUNT_:
        break;
    }
    return true;
}

static void plan(struct making *m)
{
    struct ksm *k = m->k;

    if (k->n_pods != 0)
        qsort(k->pods, k->n_pods, sizeof *k->pods, by_creation);
    map_clear(&k->by_id); /* the indexes are others now */
    for (size_t i = 0; i < k->n_pods; i++)
        plan_pod(m, i);
    for (size_t i = 0; i < k->n_nodes; i++)
        plan_node(m, i);
    if (m->n_events != 0)
        qsort(m->events, m->n_events, sizeof *m->events, by_time);
}

static void sum_up(struct making *m)
{
    const struct ksm *k = m->k;
    uint64_t once = m->once_or_twice[0], twice = m->once_or_twice[1];

    m->seen.interval_us = k->interval_ms * US_PER_MS;
    m->seen.began.us = m->zero_ms * US_PER_MS;
    m->seen.ended.us = m->end_ms * US_PER_MS;
    m->seen.gaps = k->n_gaps;
    for (size_t i = 0; i < k->n_gaps; i++) {
        int64_t us = (k->gaps[i].to_ms - k->gaps[i].from_ms) * US_PER_MS;

        m->seen.gap_us += us;
        m->seen.longest_gap_us = max_i64(m->seen.longest_gap_us, us);
    }
    m->seen.once = once;
    m->seen.has_hidden = once <= 2 * twice;
    m->seen.hidden = m->seen.has_hidden && twice != 0 ? once * once / (2 * twice) : 0;
}

static bool write_trace(struct making *m, struct err *err)
{
    plan(m);
    if (m->seen.pods == 0)
        return err_set(err, ERR_INPUT, 0, "found no paid pod (kube_pod_created) in this period");
    if (m->seen.nodes == 0)
        return err_set(err, ERR_INPUT, 0,
                       "found no node (kube_node_status_allocatable) in this period");
    for (size_t i = 0; i < m->n_events; i++) {
        if (!write_event(m, &m->events[i], err))
            return false;
    }
    m->trace->end_us = (m->end_ms - m->zero_ms) * US_PER_MS;
    m->trace->dated = true;
    m->trace->began.us = m->zero_ms * US_PER_MS;
    return true;
}

bool ksm_trace(struct ksm *k, struct trace *t, struct ksm_seen *ret_seen, struct err *err)
{
    struct making m = {.k = k, .trace = t, .filler_ms = UNKNOWN};
    bool ok;

    if (k->last_scrape_ms == UNKNOWN)
        return err_set(err, ERR_INPUT, 0,
                       "found no kube_node_info in this period: is kube-state-metrics scraped?");
    m.zero_ms =
        k->first_scrape_ms - k->since_ms > 3 * k->interval_ms ? k->first_scrape_ms : k->since_ms;
    m.end_ms = min_i64(k->until_ms, k->last_scrape_ms);
    ok = write_trace(&m, err);
    if (ok) {
        sum_up(&m);
        *ret_seen = m.seen;
    }
    free(m.events);
    return ok;
}
