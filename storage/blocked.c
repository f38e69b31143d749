#include "storage/blocked.h"

#include "base/alloc.h"
#include "base/map.h"
#include "storage/dict.h"

#define NONE UINT32_MAX

/* About 50 bytes a pod: what it asks for stands once for all pods of its kind. */
struct pod {
    uint64_t id;
    uint32_t amount; /* in `amounts` */
    uint32_t node;   /* bound there, or placed there virtually while it is blocked */
    int32_t priority;
    bool filler, tied, claims, bound, blocked;
    int64_t seen_ms, reported_ms;
};

struct node {
    struct resources free; /* allocatable - paid - placed */
    struct resources allocatable;
    bool known, cordoned;
    int64_t fillers, paid; /* bound there; paid pods but those that are tied to it */
};

struct blocked {
    void (*told)(void *self, const struct blocked_pod *pod);
    void *self;
    struct dict *amounts, *names; /* a name's index is its node's */
    struct pod *pods;
    size_t n_pods, cap_pods;
    struct map by_id;
    struct node *nodes;
    size_t n_nodes, cap_nodes;
    int32_t filler_priority;
    bool saw_filler;
    int64_t last_ms;
    struct blocked_sums sums;
};

static uint64_t id_hash(uint64_t id)
{
    return id * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

static uint64_t hash(const void *self, uint32_t index)
{
    return id_hash(((const struct blocked *)self)->pods[index].id);
}

static bool equal(const void *self, uint32_t index, const void *key)
{
    return ((const struct blocked *)self)->pods[index].id == *(const uint64_t *)key;
}

static const struct map_ops ops = {hash, equal};

struct blocked *blocked_new(void (*told)(void *self, const struct blocked_pod *pod), void *self)
{
    struct blocked *b = xcalloc(1, sizeof *b);

    b->told = told;
    b->self = self;
    b->amounts = dict_new();
    b->names = dict_new();
    map_init(&b->by_id, &ops, b);
    return b;
}

void blocked_free(struct blocked *b)
{
    if (b == NULL)
        return;
    dict_free(b->amounts);
    dict_free(b->names);
    map_done(&b->by_id);
    free(b->pods);
    free(b->nodes);
    free(b);
}

static void amount_of(const struct blocked *b, const struct pod *pod, struct resources *ret_amount)
{
    struct resources asked;

    memcpy(&asked, b->amounts->at[pod->amount].at, sizeof asked);
    *ret_amount = resources_bounded(&asked);
}

static uint32_t node_index(struct blocked *b, struct sv name)
{
    bool added;
    uint32_t index = dict_add(b->names, name, &added);

    if (added)
        VEC_PUSH(b->nodes, b->n_nodes, b->cap_nodes, (struct node){0});
    return index;
}

/* Takes a paid pod's room on its node (sign 1), or gives it back (-1). */
static void hold(struct blocked *b, const struct pod *pod, int sign)
{
    struct resources amount;

    if (pod->filler || pod->node == NONE)
        return;
    amount_of(b, pod, &amount);
    if (sign > 0)
        resources_sub(&b->nodes[pod->node].free, &amount);
    else
        resources_add(&b->nodes[pod->node].free, &amount);
}

static int64_t lone_milli(const struct node *node)
{
    return node->known && node->fillers > 0 && node->paid == 0 ? node->allocatable.at[RESOURCE_CPU]
                                                               : 0;
}

static int64_t cpu_of(const struct blocked *b, const struct pod *pod)
{
    struct resources amount;

    amount_of(b, pod, &amount);
    return amount.at[RESOURCE_CPU];
}

/* Takes a pod into the sums, and a bound one as its node's (sign 1), or out of them (-1). */
static void count(struct blocked *b, const struct pod *pod, int sign)
{
    struct node *node;

    if (!pod->filler && (pod->bound || pod->claims))
        b->sums.demand_milli += sign * cpu_of(b, pod);
    if (!pod->bound)
        return;
    node = &b->nodes[pod->node];
    b->sums.lone_milli -= lone_milli(node);
    if (pod->filler)
        node->fillers += sign;
    else if (!pod->tied)
        node->paid += sign;
    b->sums.lone_milli += lone_milli(node);
}

static void end_wait(struct blocked *b, struct pod *pod, int64_t now_ms, bool bound, bool waits)
{
    if (!pod->blocked)
        return;
    b->told(b->self, &(struct blocked_pod){.created_ms = pod->seen_ms,
                                           .reported_ms = pod->reported_ms,
                                           .until_ms = now_ms,
                                           .bound = bound,
                                           .waits = waits,
                                           .cpu_milli = cpu_of(b, pod)});
    pod->blocked = false;
    b->sums.waiting--;
}

static void set_shape(struct blocked *b, struct pod *pod, const struct shape *shape)
{
    bool added;

    pod->amount = dict_add(b->amounts,
                           (struct sv){(const char *)&shape->amount, sizeof shape->amount}, &added);
    pod->filler = shape->filler;
    pod->tied = shape->tied;
    pod->priority = shape->priority;
    pod->claims = !shape->filler && !shape->ignored && !shape->gated;
    if (shape->filler) {
        b->saw_filler = true;
        b->filler_priority = shape->priority;
    }
}

/* Reported unschedulable: is there a node that would take it if filler were gone? Then it is placed there. */
static void report(struct blocked *b, struct pod *pod, int64_t now_ms)
{
    struct resources amount;

    if (!pod->claims || pod->bound || pod->blocked ||
        (b->saw_filler && pod->priority < b->filler_priority))
        return;
    amount_of(b, pod, &amount);
    for (size_t i = 0; i < b->n_nodes; i++) {
        if (b->nodes[i].known && !b->nodes[i].cordoned &&
            resources_fit(&amount, &b->nodes[i].free, NULL)) {
            pod->node = (uint32_t)i;
            pod->blocked = true;
            b->sums.waiting++;
            pod->reported_ms = now_ms;
            hold(b, pod, 1);
            return;
        }
    }
}

static void bind(struct blocked *b, struct pod *pod, struct sv node, int64_t now_ms)
{
    end_wait(b, pod, now_ms, true, false);
    hold(b, pod, -1);
    count(b, pod, -1);
    pod->node = node_index(b, node);
    pod->bound = true;
    hold(b, pod, 1);
    count(b, pod, 1);
}

static struct pod *add(struct blocked *b, const struct event *e)
{
    int64_t seen_ms = e->kind == EVENT_POD_FOUND ? e->created_ms : e->t_ms;

    VEC_PUSH(b->pods, b->n_pods, b->cap_pods,
             ((struct pod){.id = e->pod, .node = NONE, .seen_ms = seen_ms}));
    map_put(&b->by_id, id_hash(e->pod), (uint32_t)b->n_pods - 1);
    set_shape(b, &b->pods[b->n_pods - 1], e->shape);
    count(b, &b->pods[b->n_pods - 1], 1);
    return &b->pods[b->n_pods - 1];
}

static void drop(struct blocked *b, struct pod *pod, int64_t now_ms)
{
    uint32_t index = (uint32_t)(pod - b->pods), last = (uint32_t)b->n_pods - 1;

    end_wait(b, pod, now_ms, false, false);
    hold(b, pod, -1);
    count(b, pod, -1);
    map_remove(&b->by_id, id_hash(pod->id), index);
    if (index != last) {
        map_remove(&b->by_id, id_hash(b->pods[last].id), last);
        *pod = b->pods[last];
        map_put(&b->by_id, id_hash(pod->id), index);
    }
    b->n_pods--;
}

static void set_node(struct blocked *b, const struct event *e)
{
    uint32_t index = node_index(b, e->node); /* may move the nodes */
    struct node *node = &b->nodes[index];

    resources_sub(&node->free, &node->allocatable);
    b->sums.nodes -= node->known;
    b->sums.lone_milli -= lone_milli(node);
    node->allocatable =
        e->shape != NULL ? resources_bounded(&e->shape->amount) : (struct resources){0};
    node->cordoned = e->shape != NULL && e->shape->cordoned;
    node->known = e->shape != NULL;
    resources_add(&node->free, &node->allocatable);
    b->sums.nodes += node->known;
    b->sums.lone_milli += lone_milli(node);
}

static void forget(struct blocked *b, int64_t now_ms)
{
    blocked_finish(b, now_ms);
    dict_free(b->amounts);
    dict_free(b->names);
    b->amounts = dict_new();
    b->names = dict_new();
    map_clear(&b->by_id);
    b->n_pods = b->n_nodes = 0;
    b->sums = (struct blocked_sums){0};
}

static void pod_event(struct blocked *b, const struct event *e, struct pod *pod)
{
    if (e->kind == EVENT_POD_CHANGED) {
        hold(b, pod, -1);
        count(b, pod, -1);
        set_shape(b, pod, e->shape);
        hold(b, pod, 1);
        count(b, pod, 1);
    } else if (e->kind == EVENT_POD_BOUND) {
        bind(b, pod, e->node, e->t_ms);
    } else if (e->kind == EVENT_POD_UNSCHEDULABLE) {
        report(b, pod, e->t_ms);
    } else {
        drop(b, pod, e->t_ms);
    }
}

void blocked_event(struct blocked *b, const struct event *e)
{
    uint32_t index;
    struct pod *pod;

    switch (e->kind) {
    case EVENT_GAP:
        if (e->resets)
            forget(b, b->last_ms);
        break;
    case EVENT_NODE:
    case EVENT_NODE_GONE:
        set_node(b, e);
        break;
    case EVENT_POD_FOUND:
    case EVENT_POD_CREATED:
        pod = add(b, e);
        if (e->node.len != 0)
            bind(b, pod, e->node, e->t_ms);
        break;
    case EVENT_POD_CHANGED:
    case EVENT_POD_BOUND:
    case EVENT_POD_UNSCHEDULABLE:
    case EVENT_POD_GONE:
        index = map_find(&b->by_id, id_hash(e->pod), &e->pod);
        if (index != MAP_NONE)
            pod_event(b, e, &b->pods[index]);
        break;
    case EVENT_COUNT_:
        break;
    }
    b->last_ms = e->t_ms;
}

void blocked_finish(struct blocked *b, int64_t now_ms)
{
    for (size_t i = 0; i < b->n_pods; i++)
        end_wait(b, &b->pods[i], now_ms, false, true);
}

struct blocked_sums blocked_sums(const struct blocked *b)
{
    return b->sums;
}
