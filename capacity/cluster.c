#include "capacity/cluster.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "capacity/keep.h"
#include "capacity/node_sum.h"

enum pod_flag {
    POD_DELETING = 1 << 0,
    POD_READY = 1 << 1,
    POD_UNSCHEDULABLE = 1 << 2, /* reported so at least once while pending */
    POD_LISTED = 1 << 3,        /* named by the list that is being taken */
    POD_FREE = 1 << 4,          /* an unused place of the table; `shape` is the next free one */
};

#define NO_INDEX UINT32_MAX

static const struct cluster_room no_room = {INT64_MIN, INT64_MIN};

struct pod {
    struct uid uid;
    struct pending_pod *pending; /* NULL: bound, or terminating without ever having been */
    uint32_t node;               /* CLUSTER_NO_NODE: not bound */
    uint32_t shape;
    int8_t filler; /* CLUSTER_PAID or an index */
    uint8_t flags;
};
_Static_assert(sizeof(struct pod) == 40, "the pod table is sized for 150,000 pods");

/* A request that pods share; most clusters have a few hundred different ones. */
struct shape {
    struct resources request;
    struct resource_places places;
    uint32_t refs; /* 0: unused, `next` is the next unused one */
    uint32_t next;
};

/* What a filler that is apart holds, by node index. */
struct apart {
    bool is;
    struct resources *at;
    size_t n;
};

struct cluster {
    struct resource_names names;

    struct pod *pods;
    size_t n_pods, cap_pods;
    uint32_t free_pod;
    struct map by_uid;

    struct shape *shapes;
    size_t n_shapes, cap_shapes;
    uint32_t free_shape;
    struct map by_shape;

    struct keep *keep;
    struct cluster_node **nodes; /* NULL: a free index */
    size_t n_nodes, cap_nodes;
    struct cluster_room *rooms; /* of each node */
    size_t n_rooms, cap_rooms;
    size_t known_nodes, free_nodes;
    struct map by_name;
    uint32_t *changed;
    size_t n_changed, cap_changed;

    struct pending_pod **order; /* of pending pods, oldest first */
    size_t n_order, cap_order;

    struct filler_count fillers[CLUSTER_MAX_FILLERS];
    struct apart apart[CLUSTER_MAX_FILLERS];
    int n_apart;
    uint64_t room_generation, node_generation;
    uint64_t facts; /* of the node that was told of last */
};

static uint64_t pod_hash(const void *self, uint32_t index)
{
    const struct cluster *c = self;

    return uid_hash(c->pods[index].uid);
}

static bool pod_equal(const void *self, uint32_t index, const void *key)
{
    const struct cluster *c = self;

    return uid_eq(c->pods[index].uid, *(const struct uid *)key);
}

static uint64_t shape_hash(const void *self, uint32_t index)
{
    const struct cluster *c = self;

    return resources_hash(&c->shapes[index].request);
}

static bool shape_equal(const void *self, uint32_t index, const void *key)
{
    const struct cluster *c = self;

    return resources_equal(&c->shapes[index].request, key);
}

static uint64_t node_hash(const void *self, uint32_t index)
{
    const struct cluster *c = self;

    return sv_hash(sv_from(c->nodes[index]->name));
}

static bool node_equal(const void *self, uint32_t index, const void *key)
{
    const struct cluster *c = self;

    return sv_eq(sv_from(c->nodes[index]->name), *(const struct sv *)key);
}

static const struct map_ops pod_ops = {.hash = pod_hash, .equal = pod_equal};
static const struct map_ops shape_ops = {.hash = shape_hash, .equal = shape_equal};
static const struct map_ops node_ops = {.hash = node_hash, .equal = node_equal};

struct cluster *cluster_new(void)
{
    struct cluster *c = xcalloc(1, sizeof *c);

    resource_names_init(&c->names);
    c->free_pod = c->free_shape = NO_INDEX;
    c->keep = keep_new();
    map_init(&c->by_uid, &pod_ops, c);
    map_init(&c->by_shape, &shape_ops, c);
    map_init(&c->by_name, &node_ops, c);
    return c;
}

static void node_free(struct cluster *c, struct cluster_node *n)
{
    if (n == NULL)
        return;
    keep_drop(c->keep, n->kept);
    free(n->name);
    free(n->sums);
    free(n);
}

void cluster_free(struct cluster *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n_order; i++) {
        free(c->order[i]->rules);
        free(c->order[i]);
    }
    for (size_t i = 0; i < c->n_nodes; i++)
        node_free(c, c->nodes[i]);
    for (int i = 0; i < CLUSTER_MAX_FILLERS; i++)
        free(c->apart[i].at);
    map_done(&c->by_uid);
    map_done(&c->by_shape);
    map_done(&c->by_name);
    free(c->pods);
    free(c->shapes);
    free(c->nodes);
    free(c->rooms);
    free(c->changed);
    free(c->order);
    keep_free(c->keep);
    resource_names_done(&c->names);
    free(c);
}

struct resource_names *cluster_names(struct cluster *c)
{
    return &c->names;
}

/* Nodes. */

static int64_t room_of(const struct cluster_node *n)
{
    int64_t room = cluster_sum_place(n, NODE_SUM_ALLOCATABLE, RESOURCE_CPU);

    room = amount_sub(room, cluster_sum_place(n, NODE_SUM_PAID, RESOURCE_CPU));
    return amount_sub(room, cluster_sum_place(n, NODE_SUM_CLAIMED, RESOURCE_CPU));
}

static int64_t free_of(const struct cluster_node *n)
{
    int64_t left = amount_sub(room_of(n), cluster_sum_place(n, NODE_SUM_FILLER, RESOURCE_CPU));

    return amount_sub(left, cluster_sum_place(n, NODE_SUM_ADMITTED, RESOURCE_CPU));
}

/* For whatever changes a sum of the node. */
static void note_room(struct cluster *c, uint32_t index)
{
    const struct cluster_node *n = c->nodes[index];

    c->rooms[index] = n->kept != NULL ? (struct cluster_room){room_of(n), free_of(n)} : no_room;
}

static void mark_changed(struct cluster *c, uint32_t index)
{
    struct cluster_node *n = c->nodes[index];

    note_room(c, index);
    if (n->changed)
        return;
    n->changed = true;
    VEC_PUSH(c->changed, c->n_changed, c->cap_changed, index);
}

static bool is_apart(const struct cluster *c, int filler)
{
    return filler != CLUSTER_PAID && c->apart[filler].is;
}

static uint32_t find_node(const struct cluster *c, struct sv name)
{
    return map_find(&c->by_name, sv_hash(name), &name);
}

static uint32_t want_node(struct cluster *c, struct sv name)
{
    uint32_t index = find_node(c, name);

    if (index != MAP_NONE)
        return index;

    struct cluster_node *n = xcalloc(1, sizeof *n);

    n->name = sv_dup(name);
    index = (uint32_t)c->n_nodes;
    if (c->free_nodes != 0) {
        for (index = 0; c->nodes[index] != NULL; index++)
            continue;
        c->nodes[index] = n;
        c->free_nodes--;
    } else {
        VEC_PUSH(c->nodes, c->n_nodes, c->cap_nodes, n);
        VEC_PUSH(c->rooms, c->n_rooms, c->cap_rooms, no_room);
    }
    map_put(&c->by_name, sv_hash(name), index);
    return index;
}

/*
 * Forgets a node that neither facts nor pods know any more. One that stands in the list of changed
 * nodes stays until that is cleared, so that whoever follows the list sees it go.
 */
static void maybe_forget(struct cluster *c, uint32_t index)
{
    struct cluster_node *n = c->nodes[index];

    if (n == NULL || n->kept != NULL || n->pods != 0 || n->changed)
        return;
    map_remove(&c->by_name, sv_hash(sv_from(n->name)), index);
    node_free(c, n);
    c->nodes[index] = NULL;
    c->rooms[index] = no_room;
    c->free_nodes++;
}

void cluster_upsert_node(struct cluster *c, const struct node_record *node)
{
    uint32_t index = want_node(c, node->name);
    struct cluster_node *n = c->nodes[index];
    struct kept_node *kept =
        keep_node(c->keep, node); /* first: the record may borrow from the node */
    struct resources allocatable = resources_bounded(&node->allocatable);

    if (n->kept == NULL) {
        c->known_nodes++;
        c->node_generation++;
    }
    keep_drop(c->keep, n->kept);
    n->kept = kept;
    n->facts = ++c->facts;
    node_sum_set(n, NODE_SUM_ALLOCATABLE, &allocatable);
    n->unschedulable = node->unschedulable;
    n->ready = node->ready;
    n->listed = true;
    c->room_generation++;
    mark_changed(c, index);
}

static void forget_facts(struct cluster *c, uint32_t index)
{
    struct cluster_node *n = c->nodes[index];

    keep_drop(c->keep, n->kept);
    n->kept = NULL;
    node_sum_set(n, NODE_SUM_ALLOCATABLE, &(struct resources){0});
    n->unschedulable = n->ready = false;
    c->known_nodes--;
    c->node_generation++;
    mark_changed(c, index);
}

void cluster_remove_node(struct cluster *c, struct sv name)
{
    uint32_t index = find_node(c, name);

    if (index != MAP_NONE && c->nodes[index]->kept != NULL)
        forget_facts(c, index);
}

size_t cluster_node_count(const struct cluster *c)
{
    return c->known_nodes;
}

uint32_t cluster_node_limit(const struct cluster *c)
{
    return (uint32_t)c->n_nodes;
}

const struct cluster_room *cluster_rooms(const struct cluster *c)
{
    return c->rooms;
}

const struct cluster_node *cluster_node(const struct cluster *c, uint32_t index)
{
    if (index >= c->n_nodes || c->nodes[index] == NULL || c->nodes[index]->kept == NULL)
        return NULL;
    return c->nodes[index];
}

uint32_t cluster_find_node(const struct cluster *c, struct sv name)
{
    uint32_t index = find_node(c, name);

    return index != MAP_NONE && c->nodes[index]->kept != NULL ? index : CLUSTER_NO_NODE;
}

struct node_record cluster_node_record(const struct cluster_node *node)
{
    return (struct node_record){.name = sv_from(node->name),
                                .labels = node->kept->labels,
                                .n_labels = node->kept->n_labels,
                                .taints = node->kept->taints,
                                .n_taints = node->kept->n_taints,
                                .allocatable = cluster_sum(node, NODE_SUM_ALLOCATABLE),
                                .unschedulable = node->unschedulable,
                                .ready = node->ready};
}

struct kept_node *cluster_node_hold(const struct cluster_node *node)
{
    return keep_again(node->kept);
}

void cluster_node_let_go(struct cluster *c, struct kept_node *kept)
{
    keep_drop(c->keep, kept);
}

const uint32_t *cluster_changed(const struct cluster *c, size_t *ret_n)
{
    *ret_n = c->n_changed;
    return c->changed;
}

void cluster_changed_clear(struct cluster *c)
{
    for (size_t i = 0; i < c->n_changed; i++) {
        c->nodes[c->changed[i]]->changed = false;
        maybe_forget(c, c->changed[i]);
    }
    c->n_changed = 0;
}

void cluster_claim(struct cluster *c, uint32_t node, const struct pending_pod *pod, int sign)
{
    struct cluster_node *n = c->nodes[node];

    node_sum_count(n, NODE_SUM_CLAIMED, &pod->request, &pod->places, sign);
    n->pods += (uint32_t)sign;
    if (sign < 0)
        c->room_generation++;
    mark_changed(c, node);
}

uint64_t cluster_room_generation(const struct cluster *c)
{
    return c->room_generation;
}

uint64_t cluster_node_generation(const struct cluster *c)
{
    return c->node_generation;
}

/* Shapes. */

static uint32_t shape_ref(struct cluster *c, const struct resources *request)
{
    uint64_t hash = resources_hash(request);
    uint32_t index = map_find(&c->by_shape, hash, request);

    if (index == MAP_NONE) {
        if (c->free_shape != NO_INDEX) {
            index = c->free_shape;
            c->free_shape = c->shapes[index].next;
        } else {
            index = (uint32_t)c->n_shapes;
            VEC_PUSH(c->shapes, c->n_shapes, c->cap_shapes, (struct shape){0});
        }
        c->shapes[index] = (struct shape){.request = *request, .places = resources_places(request)};
        map_put(&c->by_shape, hash, index);
    }
    c->shapes[index].refs++;
    return index;
}

static void shape_unref(struct cluster *c, uint32_t index)
{
    struct shape *s = &c->shapes[index];

    if (--s->refs != 0)
        return;
    map_remove(&c->by_shape, resources_hash(&s->request), index);
    s->next = c->free_shape;
    c->free_shape = index;
}

/* Pending pods. */

static int pending_cmp(const struct pending_pod *a, const struct pending_pod *b)
{
    if (a->created.us != b->created.us)
        return a->created.us < b->created.us ? -1 : 1;
    if (a->uid.hi != b->uid.hi)
        return a->uid.hi < b->uid.hi ? -1 : 1;
    return (a->uid.lo > b->uid.lo) - (a->uid.lo < b->uid.lo);
}

/* Where `p` stands, or would stand, in the order. */
static size_t order_place(const struct cluster *c, const struct pending_pod *p)
{
    size_t low = 0, high = c->n_order;

    if (high != 0 && pending_cmp(c->order[high - 1], p) < 0)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (pending_cmp(c->order[middle], p) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void order_insert(struct cluster *c, struct pending_pod *p)
{
    size_t at = order_place(c, p);

    VEC_PUSH(c->order, c->n_order, c->cap_order, p);
    memmove(c->order + at + 1, c->order + at, (c->n_order - 1 - at) * sizeof *c->order);
    c->order[at] = p;
}

static void order_remove(struct cluster *c, const struct pending_pod *p)
{
    size_t at = order_place(c, p);

    memmove(c->order + at, c->order + at + 1, (c->n_order - 1 - at) * sizeof *c->order);
    c->n_order--;
}

static void pending_add(struct cluster *c, struct pod *pod, const struct pod_record *record)
{
    struct pending_pod *p = xcalloc(1, sizeof *p);

    p->uid = pod->uid;
    p->created = record->created;
    p->claim.node = CLUSTER_NO_NODE;
    p->nominated = CLUSTER_NO_NODE;
    p->admitted = CLUSTER_NO_NODE;
    p->filler = pod->filler;
    pod->pending = p;
    order_insert(c, p);
}

/* Which node the scheduler holds for the pod; it counts as one that names the node. */
static void nominate(struct cluster *c, struct pending_pod *p, uint32_t node)
{
    uint32_t old = p->nominated;

    if (node != CLUSTER_NO_NODE)
        c->nodes[node]->pods++;
    p->nominated = node;
    if (old != CLUSTER_NO_NODE) {
        c->nodes[old]->pods--;
        maybe_forget(c, old);
    }
}

static void drop_claim(struct cluster *c, struct pending_pod *p)
{
    if (p->claim.node == CLUSTER_NO_NODE)
        return;
    cluster_claim(c, p->claim.node, p, -1);
    p->claim.node = CLUSTER_NO_NODE;
}

/* Adds to (1), or takes from (-1), what a filler that is apart holds on a node. */
static void account_apart(struct cluster *c, int filler, uint32_t node,
                          const struct resources *request, const struct resource_places *places,
                          int sign)
{
    struct apart *apart = &c->apart[filler];
    size_t old = apart->n;

    if (node >= apart->n) {
        apart->at = vec_reserve(apart->at, &apart->n, c->n_nodes, sizeof *apart->at);
        memset(apart->at + old, 0, (apart->n - old) * sizeof *apart->at);
    }
    amounts_count(apart->at[node].at, request, places, sign);
    mark_changed(c, node);
}

/* The same for what a pod was let in to. */
static void account_admitted(struct cluster *c, const struct pending_pod *p, uint32_t node,
                             int sign)
{
    node_sum_count(c->nodes[node], NODE_SUM_ADMITTED, &p->request, &p->places, sign);
    if (is_apart(c, p->filler))
        account_apart(c, p->filler, node, &p->request, &p->places, sign);
    note_room(c, node);
}

/* Moves what a pod that was let in holds; it counts as one that names the node. */
static void admit(struct cluster *c, struct pending_pod *p, uint32_t node)
{
    uint32_t old = p->admitted;

    if (node != CLUSTER_NO_NODE) {
        account_admitted(c, p, node, 1);
        c->nodes[node]->pods++;
    }
    p->admitted = node;
    if (old != CLUSTER_NO_NODE) {
        account_admitted(c, p, old, -1);
        c->nodes[old]->pods--;
        c->room_generation++;
        maybe_forget(c, old);
    }
}

bool cluster_admit(struct cluster *c, struct uid uid, uint32_t node)
{
    uint32_t index = map_find(&c->by_uid, uid_hash(uid), &uid);

    if (index == MAP_NONE || c->pods[index].pending == NULL)
        return false;
    admit(c, c->pods[index].pending, node);
    return true;
}

static void pending_remove(struct cluster *c, struct pod *pod)
{
    struct pending_pod *p = pod->pending;

    drop_claim(c, p);
    admit(c, p, CLUSTER_NO_NODE);
    nominate(c, p, CLUSTER_NO_NODE);
    order_remove(c, p);
    free(p->rules);
    free(p);
    pod->pending = NULL;
    pod->flags &= (uint8_t)~POD_UNSCHEDULABLE;
}

/* Takes over what the record says of a pod that stays pending. */
static void pending_update(struct cluster *c, struct pod *pod, const struct pod_record *record,
                           bool ignored)
{
    struct pending_pod *p = pod->pending;
    const struct shape *shape = &c->shapes[pod->shape];
    struct packed_rules *rules = pack_rules(&record->rules);
    bool same = p->rules != NULL && p->rules->hash == rules->hash &&
                resources_equal(&p->request, &shape->request);

    if (!same || record->gated || ignored)
        drop_claim(c, p);
    /* Another pod to the eyes of claims.h: it may fit now, or want what it was not to have. */
    if (!same || (p->ignored && !ignored))
        p->claim.tried = false;
    if (p->created.us != record->created.us) {
        order_remove(c, p);
        p->created = record->created;
        order_insert(c, p);
    }
    if (p->admitted != CLUSTER_NO_NODE)
        account_admitted(c, p, p->admitted, -1);
    p->filler = pod->filler;
    p->request = shape->request;
    p->places = shape->places;
    if (p->admitted != CLUSTER_NO_NODE)
        account_admitted(c, p, p->admitted, 1);
    free(p->rules);
    p->rules = rules;
    p->kind = (rules->hash * 31 ^ resources_hash(&p->request)) | 1;
    nominate(c, p, record->nominated.len != 0 ? want_node(c, record->nominated) : CLUSTER_NO_NODE);
    p->priority = record->priority;
    p->paid = pod->filler == CLUSTER_PAID;
    p->gated = record->gated;
    p->ignored = ignored;
    p->uncountable = record->uncountable;
    p->preempts_never = record->preempts_never;
    p->unschedulable = record->unschedulable;
}

struct pending_pod **cluster_pending(struct cluster *c, size_t *ret_n)
{
    *ret_n = c->n_order;
    return c->order;
}

/* Pods. */

static enum filler_state filler_state(const struct pod *pod)
{
    if (pod->flags & POD_DELETING)
        return FILLER_LEAVING;
    if (pod->flags & POD_READY)
        return FILLER_READY;
    if (pod->flags & POD_UNSCHEDULABLE)
        return FILLER_UNSCHEDULABLE;
    return FILLER_STARTING;
}

/* Adds the pod to (1), or takes it from (-1), every sum it stands in. */
static void account(struct cluster *c, const struct pod *pod, int sign)
{
    const struct shape *shape = &c->shapes[pod->shape];
    const struct resources *request = &shape->request;

    if (pod->filler != CLUSTER_PAID) {
        struct filler_count *count = &c->fillers[pod->filler];
        enum filler_state state = filler_state(pod);

        count->pods[state] += sign;
        if (pod->node != CLUSTER_NO_NODE)
            count->cpu_milli[state] += sign * request->at[RESOURCE_CPU];
    }
    if (pod->node == CLUSTER_NO_NODE)
        return;

    struct cluster_node *n = c->nodes[pod->node];
    enum node_sum sum = pod->filler == CLUSTER_PAID ? NODE_SUM_PAID : NODE_SUM_FILLER;

    n->pods += (uint32_t)sign;
    node_sum_count(n, sum, request, &shape->places, sign);
    if (is_apart(c, pod->filler))
        account_apart(c, pod->filler, pod->node, request, &shape->places, sign);
    else if (pod->filler != CLUSTER_PAID && (pod->flags & POD_DELETING))
        node_sum_count(n, NODE_SUM_LEAVING, request, &shape->places, sign);
    if (sign < 0)
        c->room_generation++;
    mark_changed(c, pod->node);
}

static uint32_t pod_new(struct cluster *c, struct uid uid)
{
    uint32_t index = c->free_pod;

    if (index != NO_INDEX) {
        c->free_pod = c->pods[index].shape;
    } else {
        index = (uint32_t)c->n_pods;
        VEC_PUSH(c->pods, c->n_pods, c->cap_pods, (struct pod){0});
    }
    c->pods[index] = (struct pod){
        .uid = uid, .node = CLUSTER_NO_NODE, .shape = NO_INDEX, .filler = CLUSTER_PAID};
    map_put(&c->by_uid, uid_hash(uid), index);
    return index;
}

static void pod_drop(struct cluster *c, uint32_t index)
{
    struct pod *pod = &c->pods[index];

    account(c, pod, -1);
    if (pod->pending != NULL)
        pending_remove(c, pod);
    shape_unref(c, pod->shape);
    map_remove(&c->by_uid, uid_hash(pod->uid), index);
    *pod = (struct pod){.flags = POD_FREE, .shape = c->free_pod};
    c->free_pod = index;
}

struct pod_change cluster_remove_pod(struct cluster *c, struct uid uid)
{
    uint32_t index = map_find(&c->by_uid, uid_hash(uid), &uid);
    struct pod_change change = {.unchanged = index == MAP_NONE};

    if (index == MAP_NONE)
        return change;
    change.paid = c->pods[index].filler == CLUSTER_PAID;
    change.removed = true;
    pod_drop(c, index);
    return change;
}

static void pod_release(struct cluster *c, struct pod *pod)
{
    account(c, pod, -1);
    pod->filler = CLUSTER_PAID;
    account(c, pod, 1);
    if (pod->pending == NULL)
        return;
    admit(c, pod->pending, CLUSTER_NO_NODE);
    pod->pending->paid = pod->pending->arrived = true;
    pod->pending->filler = CLUSTER_PAID;
}

size_t cluster_release(struct cluster *c, int filler)
{
    size_t released = 0;

    assert(filler >= 0 && filler < CLUSTER_MAX_FILLERS);
    for (size_t i = 0; i < c->n_pods; i++) {
        if (c->pods[i].flags & POD_FREE || c->pods[i].filler != filler)
            continue;
        pod_release(c, &c->pods[i]);
        released++;
    }
    return released;
}

/* Adds all pods of a filler to (1), or takes them from (-1), every sum they stand in. */
static void account_all(struct cluster *c, int filler, int sign)
{
    for (size_t i = 0; i < c->n_pods; i++) {
        const struct pod *pod = &c->pods[i];

        if (pod->flags & POD_FREE || pod->filler != filler)
            continue;
        account(c, pod, sign);
        if (pod->pending != NULL && pod->pending->admitted != CLUSTER_NO_NODE)
            account_admitted(c, pod->pending, pod->pending->admitted, sign);
    }
}

static bool has_pods(const struct cluster *c, int filler)
{
    int64_t pods = 0;

    for (int i = 0; i < FILLER_STATE_COUNT_; i++)
        pods += c->fillers[filler].pods[i];
    return pods != 0;
}

void cluster_set_apart(struct cluster *c, int filler, bool is_so)
{
    struct apart *apart = &c->apart[filler];
    bool any = has_pods(c, filler);

    if (apart->is == is_so)
        return;
    if (any)
        account_all(c, filler, -1);
    apart->is = is_so;
    c->n_apart += is_so ? 1 : -1;
    if (any)
        account_all(c, filler, 1);
    if (is_so)
        return;
    free(TAKE(apart->at));
    apart->n = 0;
}

void cluster_sub_apart(const struct cluster *c, uint32_t node, int but,
                       const struct resource_places *places, struct resources *to)
{
    if (c->n_apart == 0)
        return;
    for (int f = 0; f < CLUSTER_MAX_FILLERS; f++) {
        const struct apart *apart = &c->apart[f];

        for (int i = 0; i < places->n && f != but && node < apart->n; i++) {
            int place = places->at[i];

            to->at[place] = amount_sub(to->at[place], apart->at[node].at[place]);
        }
    }
}

/* As a rule a pod asks for what it asked for before. */
static void set_shape(struct cluster *c, struct pod *pod, const struct resources *request)
{
    uint32_t old = pod->shape;

    if (old != NO_INDEX && resources_equal(&c->shapes[old].request, request))
        return;
    pod->shape = shape_ref(c, request);
    if (old != NO_INDEX)
        shape_unref(c, old);
}

static uint8_t record_flags(const struct pod_record *record)
{
    return (uint8_t)(POD_LISTED | (record->deleting ? POD_DELETING : 0) |
                     (record->ready ? POD_READY : 0));
}

/* Writes node, request and flags of a pod that stands in no sum. */
static void take_over(struct cluster *c, uint32_t index, const struct pod_record *record,
                      const struct resources *request, int filler)
{
    uint32_t node = record->node.len != 0 ? want_node(c, record->node) : CLUSTER_NO_NODE;
    struct pod *pod = &c->pods[index];
    uint8_t keep = pod->flags & POD_UNSCHEDULABLE;

    set_shape(c, pod, request);
    pod->node = node;
    pod->filler = (int8_t)filler;
    pod->flags = keep | record_flags(record);
}

/* Most of what is told of a paid pod that is bound is its status, which stands in no sum. */
static bool stays_as_it_is(const struct cluster *c, const struct pod *pod,
                           const struct pod_record *record, const struct resources *request,
                           int filler)
{
    return filler == CLUSTER_PAID && pod->filler == CLUSTER_PAID && pod->node != CLUSTER_NO_NODE &&
           sv_eq(sv_from(c->nodes[pod->node]->name), record->node) &&
           resources_equal(&c->shapes[pod->shape].request, request);
}

struct pod_change cluster_upsert_pod(struct cluster *c, const struct pod_record *record, int filler,
                                     bool ignored)
{
    uint32_t index = map_find(&c->by_uid, uid_hash(record->uid), &record->uid);
    struct pod_change change = {.paid = filler == CLUSTER_PAID, .added = index == MAP_NONE};
    struct resources request = resources_bounded(&record->request);
    bool was_bound = false, was_leaving = false;

    assert(filler >= CLUSTER_PAID && filler < CLUSTER_MAX_FILLERS);
    if (record->phase == PHASE_SUCCEEDED || record->phase == PHASE_FAILED)
        return cluster_remove_pod(c, record->uid);
    if (index != MAP_NONE && stays_as_it_is(c, &c->pods[index], record, &request, filler)) {
        c->pods[index].flags = record_flags(record);
        change.unchanged = true;
        return change;
    }
    if (index == MAP_NONE) {
        index = pod_new(c, record->uid);
    } else {
        account(c, &c->pods[index], -1);
        was_bound = c->pods[index].node != CLUSTER_NO_NODE;
        was_leaving = (c->pods[index].flags & POD_DELETING) != 0;
        change.moved = c->pods[index].filler != filler;
    }
    if (change.moved && c->pods[index].pending != NULL)
        pending_remove(c, &c->pods[index]); /* what it claims or was let in to is void */
    uint32_t old_node = c->pods[index].node;

    take_over(c, index, record, &request, filler);

    struct pod *pod = &c->pods[index];
    bool pending = pod->node == CLUSTER_NO_NODE && !record->deleting;

    if (!pending && pod->pending != NULL) {
        change.arrived = pod->pending->arrived;
        if (pod->node != CLUSTER_NO_NODE)
            mark_changed(c,
                         pod->node); /* its nomination goes, and may be all that keeps the node */
        pending_remove(c, pod);
    }
    if (pending && pod->pending == NULL)
        pending_add(c, pod, record);
    if (pending) {
        pending_update(c, pod, record, ignored);
        if (record->unschedulable && !(pod->flags & POD_UNSCHEDULABLE)) {
            change.unschedulable = true;
            pod->flags |= POD_UNSCHEDULABLE;
        }
    }
    account(c, pod, 1);
    if (old_node != CLUSTER_NO_NODE && old_node != pod->node)
        maybe_forget(c, old_node);
    change.bound = pod->node != CLUSTER_NO_NODE && !was_bound;
    change.leaving = filler != CLUSTER_PAID && record->deleting && !was_leaving;
    return change;
}

const struct pending_pod *cluster_find_pending(const struct cluster *c, struct uid uid)
{
    uint32_t index = map_find(&c->by_uid, uid_hash(uid), &uid);

    return index != MAP_NONE ? c->pods[index].pending : NULL;
}

uint32_t cluster_pod_node(const struct cluster *c, struct uid uid)
{
    uint32_t index = map_find(&c->by_uid, uid_hash(uid), &uid);

    return index != MAP_NONE ? c->pods[index].node : CLUSTER_NO_NODE;
}

size_t cluster_pod_count(const struct cluster *c)
{
    return c->by_uid.used;
}

struct filler_count cluster_filler_count(const struct cluster *c, int filler)
{
    return c->fillers[filler];
}

void cluster_list_begin(struct cluster *c, enum cluster_kind kind)
{
    switch (kind) {
    case CLUSTER_PODS:
        for (size_t i = 0; i < c->n_pods; i++)
            c->pods[i].flags &= (uint8_t)~POD_LISTED;
        break;
    case CLUSTER_NODES:
        for (size_t i = 0; i < c->n_nodes; i++) {
            if (c->nodes[i] != NULL)
                c->nodes[i]->listed = false;
        }
        break;
    }
}

size_t cluster_list_end(struct cluster *c, enum cluster_kind kind)
{
    size_t removed = 0;

    switch (kind) {
    case CLUSTER_PODS:
        for (uint32_t i = 0; i < c->n_pods; i++) {
            if (!(c->pods[i].flags & (POD_LISTED | POD_FREE))) {
                pod_drop(c, i);
                removed++;
            }
        }
        break;
    case CLUSTER_NODES:
        for (uint32_t i = 0; i < c->n_nodes; i++) {
            if (c->nodes[i] != NULL && c->nodes[i]->kept != NULL && !c->nodes[i]->listed) {
                forget_facts(c, i);
                removed++;
            }
        }
        break;
    }
    return removed;
}

/* A count from scratch. */

struct recount {
    struct resources sum[NODE_SUM_COUNT_]; /* but for what the node offers */
    struct resources apart;                /* of fillers that are */
    uint32_t pods;
};

static const char *const sum_names[] = {
    [NODE_SUM_ALLOCATABLE] = "allocatable", [NODE_SUM_PAID] = "paid",
    [NODE_SUM_FILLER] = "filler",           [NODE_SUM_LEAVING] = "leaving",
    [NODE_SUM_CLAIMED] = "claimed",         [NODE_SUM_ADMITTED] = "admitted",
};
_Static_assert(COUNT_OF(sum_names) == NODE_SUM_COUNT_, "a sum has no name");

static struct resources sum_apart(const struct cluster *c, size_t node)
{
    struct resources sum = {0};

    for (int i = 0; i < CLUSTER_MAX_FILLERS; i++) {
        if (node < c->apart[i].n)
            resources_add(&sum, &c->apart[i].at[node]);
    }
    return sum;
}

static bool node_differs(const struct cluster *c, size_t node, const struct recount *r, char *what,
                         size_t size)
{
    const struct cluster_node *n = c->nodes[node];
    const struct cluster_room *room = &c->rooms[node];
    const char *field = n->pods != r->pods ? "pods" : NULL;
    struct resources apart = sum_apart(c, node);

    if (!resources_equal(&apart, &r->apart))
        field = "apart";
    if (room->room_milli != (n->kept != NULL ? room_of(n) : INT64_MIN) ||
        room->free_milli != (n->kept != NULL ? free_of(n) : INT64_MIN))
        field = "room";
    for (int i = NODE_SUM_PAID; i < NODE_SUM_COUNT_; i++) {
        struct resources kept = cluster_sum(n, (enum node_sum)i);

        if (!resources_equal(&kept, &r->sum[i]))
            field = sum_names[i];
    }
    if (field != NULL)
        (void)snprintf(what, size, "node %s: %s differs from a recount", n->name, field);
    return field != NULL;
}

static void recount_pod(const struct cluster *c, const struct pod *pod, struct recount *nodes,
                        struct filler_count *fillers)
{
    const struct resources *request = &c->shapes[pod->shape].request;

    if (pod->filler != CLUSTER_PAID) {
        fillers[pod->filler].pods[filler_state(pod)]++;
        if (pod->node != CLUSTER_NO_NODE)
            fillers[pod->filler].cpu_milli[filler_state(pod)] += request->at[RESOURCE_CPU];
    }
    if (pod->node == CLUSTER_NO_NODE)
        return;

    struct recount *r = &nodes[pod->node];

    r->pods++;
    resources_add(&r->sum[pod->filler == CLUSTER_PAID ? NODE_SUM_PAID : NODE_SUM_FILLER], request);
    if (is_apart(c, pod->filler))
        resources_add(&r->apart, request);
    else if (pod->filler != CLUSTER_PAID && (pod->flags & POD_DELETING))
        resources_add(&r->sum[NODE_SUM_LEAVING], request);
}

bool cluster_verify(const struct cluster *c, char *what, size_t size)
{
    CLEANUP(free_ptr) struct recount *nodes = xcalloc(c->n_nodes, sizeof *nodes);
    struct filler_count fillers[CLUSTER_MAX_FILLERS] = {0};
    size_t pods = 0, known = 0, pending = 0;

    for (size_t i = 0; i < c->n_pods; i++) {
        if (c->pods[i].flags & POD_FREE)
            continue;
        pods++;
        pending += c->pods[i].pending != NULL;
        recount_pod(c, &c->pods[i], nodes, fillers);
    }
    for (size_t i = 0; i < c->n_order; i++) {
        const struct claim *claim = &c->order[i]->claim;

        if (c->order[i]->nominated != CLUSTER_NO_NODE)
            nodes[c->order[i]->nominated].pods++;
        if (claim->node != CLUSTER_NO_NODE) {
            resources_add(&nodes[claim->node].sum[NODE_SUM_CLAIMED], &c->order[i]->request);
            nodes[claim->node].pods++;
        }
        if (c->order[i]->admitted != CLUSTER_NO_NODE) {
            resources_add(&nodes[c->order[i]->admitted].sum[NODE_SUM_ADMITTED],
                          &c->order[i]->request);
            nodes[c->order[i]->admitted].pods++;
            if (is_apart(c, c->order[i]->filler))
                resources_add(&nodes[c->order[i]->admitted].apart, &c->order[i]->request);
        }
        if (i != 0 && pending_cmp(c->order[i - 1], c->order[i]) >= 0) {
            (void)snprintf(what, size, "pending pods %zu and %zu are out of order", i - 1, i);
            return false;
        }
    }
    for (size_t i = 0; i < c->n_nodes; i++) {
        if (c->nodes[i] == NULL)
            continue;
        known += c->nodes[i]->kept != NULL;
        if (node_differs(c, i, &nodes[i], what, size))
            return false;
    }
    if (pods != c->by_uid.used || known != c->known_nodes || pending != c->n_order ||
        memcmp(fillers, c->fillers, sizeof fillers) != 0) {
        (void)snprintf(
            what, size,
            "counts differ: %zu pods (%zu kept), %zu nodes (%zu), %zu pending (%zu), or fillers",
            pods, c->by_uid.used, known, c->known_nodes, pending, c->n_order);
        return false;
    }
    return true;
}
