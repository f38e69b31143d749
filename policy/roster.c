#include "policy/roster.h"

#include <string.h>

#include "base/alloc.h"

static uint64_t pod_hash(const void *self, uint32_t index)
{
    const struct roster *r = self;

    return uid_hash(r->pods[index].uid);
}

static bool pod_equal(const void *self, uint32_t index, const void *key)
{
    const struct roster *r = self;

    return uid_eq(r->pods[index].uid, *(const struct uid *)key);
}

static const struct map_ops pod_ops = {.hash = pod_hash, .equal = pod_equal};

void roster_init(struct roster *r)
{
    *r = (struct roster){.free_pod = ROSTER_NONE};
    map_init(&r->by_uid, &pod_ops, r);
}

void roster_done(struct roster *r)
{
    for (size_t i = 0; i < r->n_pods; i++)
        free(r->pods[i].name);
    map_done(&r->by_uid);
    free(r->pods);
    free(r->nodes);
    free(r->filler);
    free(r->gated);
    free(r->waiting);
    free(r->marked);
}

int roster_age_cmp(const struct roster_pod *a, const struct roster_pod *b)
{
    if (a->created.us != b->created.us)
        return a->created.us < b->created.us ? -1 : 1;
    if (a->uid.hi != b->uid.hi)
        return a->uid.hi < b->uid.hi ? -1 : 1;
    return (a->uid.lo > b->uid.lo) - (a->uid.lo < b->uid.lo);
}

/* Gated pods. */

static size_t gated_place(const struct roster *r, uint32_t pod)
{
    const struct roster_pod *p = &r->pods[pod];
    size_t low = 0, high = r->n_gated;

    if (high != 0 && roster_age_cmp(&r->pods[r->gated[high - 1]], p) < 0)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (roster_age_cmp(&r->pods[r->gated[middle]], p) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void gated_insert(struct roster *r, uint32_t pod)
{
    size_t at = gated_place(r, pod);

    VEC_PUSH(r->gated, r->n_gated, r->cap_gated, pod);
    memmove(r->gated + at + 1, r->gated + at, (r->n_gated - 1 - at) * sizeof *r->gated);
    r->gated[at] = pod;
}

static void gated_remove(struct roster *r, uint32_t pod)
{
    size_t at = gated_place(r, pod);

    r->n_gated--;
    memmove(r->gated + at, r->gated + at + 1, (r->n_gated - at) * sizeof *r->gated);
}

/* Nodes. */

void roster_reserve_nodes(struct roster *r, size_t n)
{
    size_t cap = r->n_nodes, cap_filler = r->n_nodes;

    if (n <= r->n_nodes)
        return;
    r->nodes = vec_reserve(r->nodes, &cap, n, sizeof *r->nodes);
    r->filler = vec_reserve(r->filler, &cap_filler, cap, sizeof *r->filler);
    for (size_t i = r->n_nodes; i < cap; i++) {
        r->nodes[i] = (struct roster_node){.first = ROSTER_NONE};
        r->filler[i] = 0;
    }
    r->n_nodes = cap;
}

static void node_link(struct roster *r, uint32_t pod)
{
    struct roster_pod *p = &r->pods[pod];

    roster_reserve_nodes(r, (size_t)p->node + 1);

    struct roster_node *n = &r->nodes[p->node];

    p->previous = ROSTER_NONE;
    p->next = n->first;
    if (n->first != ROSTER_NONE)
        r->pods[n->first].previous = pod;
    n->first = pod;
    n->at[p->level]++;
    r->filler[p->node]++;
}

static void node_unlink(struct roster *r, uint32_t pod)
{
    const struct roster_pod *p = &r->pods[pod];
    struct roster_node *n = &r->nodes[p->node];

    if (p->previous != ROSTER_NONE)
        r->pods[p->previous].next = p->next;
    else
        n->first = p->next;
    if (p->next != ROSTER_NONE)
        r->pods[p->next].previous = p->previous;
    n->at[p->level]--;
    r->filler[p->node]--;
}

/* Moves. */

static void enter(struct roster *r, uint32_t pod)
{
    struct roster_pod *p = &r->pods[pod];

    r->states[p->state]++;
    if (p->state != ROSTER_LEAVING)
        r->levels[p->level]++;
    if (p->node != ROSTER_NONE)
        node_link(r, pod);
    if (p->state == ROSTER_GATED)
        gated_insert(r, pod);
    if (p->state == ROSTER_LET_IN) {
        p->waiting_at = (uint32_t)r->n_waiting;
        VEC_PUSH(r->waiting, r->n_waiting, r->cap_waiting, pod);
    }
}

static void leave(struct roster *r, uint32_t pod)
{
    const struct roster_pod *p = &r->pods[pod];

    r->states[p->state]--;
    if (p->state != ROSTER_LEAVING)
        r->levels[p->level]--;
    if (p->node != ROSTER_NONE)
        node_unlink(r, pod);
    if (p->state == ROSTER_GATED)
        gated_remove(r, pod);
    if (p->state == ROSTER_LET_IN) {
        uint32_t last = r->waiting[--r->n_waiting];

        r->waiting[p->waiting_at] = last;
        r->pods[last].waiting_at = p->waiting_at;
    }
}

void roster_move(struct roster *r, uint32_t pod, enum roster_state state, uint32_t node,
                 enum roster_level level)
{
    struct roster_pod *p = &r->pods[pod];

    if (p->state == state && p->node == node && p->level == level)
        return;
    leave(r, pod);
    p->state = state;
    p->node = node;
    p->level = level;
    enter(r, pod);
}

void roster_set_cost(struct roster *r, uint32_t pod, int32_t cost, bool mark)
{
    struct roster_pod *p = &r->pods[pod];

    p->cost = cost;
    if (mark && p->marked_at == ROSTER_NONE) {
        p->marked_at = (uint32_t)r->n_marked;
        VEC_PUSH(r->marked, r->n_marked, r->cap_marked, pod);
    } else if (!mark && p->marked_at != ROSTER_NONE) {
        uint32_t last = r->marked[--r->n_marked];

        r->marked[p->marked_at] = last;
        r->pods[last].marked_at = p->marked_at;
        p->marked_at = ROSTER_NONE;
    }
}

/* Pods. */

uint32_t roster_find(const struct roster *r, struct uid uid)
{
    return map_find(&r->by_uid, uid_hash(uid), &uid);
}

uint32_t roster_add(struct roster *r, struct uid uid, struct sv name, struct wall created)
{
    uint32_t pod = r->free_pod;

    if (pod != ROSTER_NONE) {
        r->free_pod = r->pods[pod].next;
    } else {
        pod = (uint32_t)r->n_pods;
        VEC_PUSH(r->pods, r->n_pods, r->cap_pods, (struct roster_pod){0});
    }
    r->pods[pod] = (struct roster_pod){.uid = uid,
                                       .name = sv_dup(name),
                                       .created = created,
                                       .node = ROSTER_NONE,
                                       .marked_at = ROSTER_NONE,
                                       .state = ROSTER_HELD};
    map_put(&r->by_uid, uid_hash(uid), pod);
    enter(r, pod);
    return pod;
}

void roster_remove(struct roster *r, uint32_t pod)
{
    struct roster_pod *p = &r->pods[pod];

    leave(r, pod);
    roster_set_cost(r, pod, 0, false);
    map_remove(&r->by_uid, uid_hash(p->uid), pod);
    free(p->name);
    *p = (struct roster_pod){.next = r->free_pod};
    r->free_pod = pod;
}

int64_t roster_active(const struct roster *r)
{
    int64_t sum = 0;

    for (int i = 0; i < ROSTER_LEVEL_COUNT_; i++)
        sum += r->levels[i];
    return sum;
}

int64_t roster_let_in(const struct roster *r)
{
    return r->states[ROSTER_ADMITTING] + r->states[ROSTER_LET_IN] + r->states[ROSTER_BOUND];
}
