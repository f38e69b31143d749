#include "policy/planner.h"

#include <assert.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/num.h"
#include "policy/hole.h"
#include "policy/share.h"

/* How a filler takes part when room is shared, by what is known of it at a step. What the pods hold
 * of one that does not share is taken for all others; what it wants is not. */
enum part {
    PART_NONE,     /* nothing is known of its target: its slots are shown */
    PART_OBSERVED, /* nothing is written: it wants nothing of the others */
    PART_SHARES,
};

/* One filler. */
struct filler {
    bool used;
    enum part part;
    const struct policy *policy;
    bool has_shape;
    struct resources request;
    struct packed_rules *rules;
    struct claims_filler claims;
    int64_t start_us;
    struct fit *fit;  /* NULL while the shape is not known */
    int64_t *slots;   /* by node index */
    int64_t *places;  /* by node index: slots for placement, where it shares with others */
    size_t n_slots;   /* of either */
    bool alone;       /* shares with nobody: its places are its slots */
    bool slots_whole; /* slots are those of fit: only changed nodes must be looked at */
    struct controller *controller;
    struct controller_config config;
    struct headroom *headroom;
    struct headroom_config headroom_config;
    struct placer *placement;
};

/* A paid pod that was bound before it ever made a claim. */
struct bound_arrival {
    uint32_t node;
    int64_t cpu_milli;
};

struct planner {
    struct cluster *cluster;
    struct claims *claims;
    struct hole hole;
    struct filler fillers[PLANNER_MAX_FILLERS];
    int limit;
    struct node_order order;
    bool listing; /* pods come in lists: those of the first were there before */
    bool began;   /* what appears from now on arrives */
    struct bound_arrival *bound;
    size_t n_bound, cap_bound;
    uint32_t told;     /* the fillers that the past is told of */
    bool sizes_known;  /* a past was told before */
    int64_t *arrivals; /* scratch of a step: cpu of the pods that arrived, in order */
    size_t cap_arrivals;
};

static struct filler *filler_at(struct planner *p, int filler)
{
    assert(filler >= 0 && filler < p->limit && p->fillers[filler].used);
    return &p->fillers[filler];
}

struct planner *planner_new(void)
{
    struct planner *p = xcalloc(1, sizeof *p);

    p->cluster = cluster_new();
    p->claims = claims_new();
    return p;
}

static void filler_done(struct filler *f)
{
    free(f->rules);
    fit_free(f->fit);
    free(f->slots);
    free(f->places);
    controller_free(f->controller);
    headroom_free(f->headroom);
    placement_free(f->placement);
    *f = (struct filler){0};
}

void planner_free(struct planner *p)
{
    if (p == NULL)
        return;
    for (int i = 0; i < p->limit; i++)
        filler_done(&p->fillers[i]);
    node_order_done(&p->order);
    claims_free(p->claims);
    cluster_free(p->cluster);
    free(p->bound);
    free(p->arrivals);
    free(p);
}

struct cluster *planner_cluster(struct planner *p)
{
    return p->cluster;
}

int planner_limit(const struct planner *p)
{
    return p->limit;
}

/* Fillers. */

static int64_t actuation_us(const struct filler *f)
{
    return PLANNER_ACTUATION_BASE_US + f->claims.grace_us;
}

static struct controller_config config_of(const struct filler *f)
{
    const struct policy *policy = f->policy;

    return (struct controller_config){
        .min = policy->min,
        .max = policy->max,
        .settle = {.automatic = policy->settle_auto,
                   .settle_us = policy->settle_us,
                   .actuation_us = actuation_us(f),
                   .kill_us = f->start_us + f->claims.grace_us + policy->kill_cost_us},
        .stale_shrinks = policy->stale_then == STALE_SHRINK,
    };
}

static struct headroom_config headroom_config_of(const struct filler *f)
{
    const struct policy *policy = f->policy;
    const struct policy_advanced *advanced = &policy->advanced;
    struct fit_sum room = f->fit != NULL ? fit_sum(f->fit) : (struct fit_sum){0};
    bool by_node = policy->headroom_max.kind == ROOM_LARGEST_NODE ||
                   policy->headroom_min.kind == ROOM_LARGEST_NODE;
    int64_t largest = by_node && f->fit != NULL ? fit_largest_node_milli(f->fit) : 0;

    return (struct headroom_config){
        .settle_us = controller_settle_us(f->controller),
        .actuation_us = actuation_us(f),
        .min_milli = room_spec_milli(&policy->headroom_min, room.offered_milli, largest),
        .max_milli = room_spec_milli(&policy->headroom_max, room.offered_milli, largest),
        .blocked_ppm = policy->blocked_ppm,
        .fixed = policy->headroom_fixed,
        .samples = advanced->values,
        .needed = advanced->needed,
        .surge_percent = advanced->surge_percent,
        .ceiling_ppm = advanced->ceiling_ppm,
        .ceiling_window_us = advanced->ceiling_window_us,
        .jitter_us = advanced->jitter_us,
    };
}

/* Takes up what changed of policy, shape or size of the cluster. */
static void configure(struct filler *f)
{
    struct controller_config config = config_of(f);
    struct headroom_config headroom;

    if (memcmp(&config, &f->config, sizeof config) != 0)
        controller_configure(f->controller, &config);
    f->config = config;
    headroom = headroom_config_of(f);
    if (memcmp(&headroom, &f->headroom_config, sizeof headroom) != 0)
        headroom_configure(f->headroom, &headroom);
    f->headroom_config = headroom;
}

int planner_add(struct planner *p, const struct policy *policy)
{
    int i = 0;

    while (i < p->limit && p->fillers[i].used)
        i++;
    if (i == PLANNER_MAX_FILLERS)
        return -1;
    if (i == p->limit)
        p->limit++;

    struct filler *f = &p->fillers[i];

    *f = (struct filler){.used = true, .policy = policy, .placement = placement_new()};
    f->config = config_of(f);
    f->controller = controller_new(&f->config);
    f->headroom_config = headroom_config_of(f);
    f->headroom = headroom_new(&f->headroom_config);
    return i;
}

static void make_fit(struct planner *p, struct filler *f)
{
    int64_t min_paid = f->policy->min_paid_milli;

    if (f->fit != NULL && fit_is_for(f->fit, &f->request, &f->rules->rules, min_paid))
        return;
    fit_free(f->fit);
    f->fit = fit_new(&f->request, &f->rules->rules, min_paid);
    fit_set_owner(f->fit, (int)(f - p->fillers));
    fit_rebuild(f->fit, p->cluster);
    f->slots_whole = false;
}

void planner_set_policy(struct planner *p, int filler, const struct policy *policy)
{
    struct filler *f = filler_at(p, filler);

    f->policy = policy;
    if (f->has_shape)
        make_fit(p, f);
    configure(f);
}

void planner_remove(struct planner *p, int filler)
{
    filler_done(filler_at(p, filler));
    cluster_set_apart(p->cluster, filler, false);
    while (p->limit > 0 && !p->fillers[p->limit - 1].used)
        p->limit--;
}

void planner_restart(struct planner *p, int filler)
{
    struct filler *f = filler_at(p, filler);

    controller_free(f->controller);
    f->controller = controller_new(&f->config);
}

void planner_set_shape(struct planner *p, int filler, const struct planner_shape *shape)
{
    struct filler *f = filler_at(p, filler);
    struct packed_rules *rules = pack_rules(shape->rules);

    free(f->rules);
    f->rules = rules;
    f->has_shape = true;
    f->request = shape->request;
    f->request.at[RESOURCE_PODS] = 1;
    f->claims = shape->claims;
    f->start_us = shape->start_us;
    make_fit(p, f);
    configure(f);
}

bool planner_has_shape(const struct planner *p, int filler)
{
    return p->fillers[filler].has_shape;
}

/* Facts. */

static void learn_size(struct planner *p, const struct pod_record *pod)
{
    hole_add(&p->hole, pod->request.at[RESOURCE_CPU]);
}

static void note_bound(struct planner *p, const struct pod_record *pod)
{
    struct bound_arrival arrival = {
        .node = cluster_find_node(p->cluster, pod->node),
        .cpu_milli = amount_bounded(RESOURCE_CPU, pod->request.at[RESOURCE_CPU])};

    VEC_PUSH(p->bound, p->n_bound, p->cap_bound, arrival);
}

static void drop_placed(struct planner *p, struct uid uid, struct mono now)
{
    for (int i = 0; i < p->limit; i++) {
        if (p->fillers[i].used)
            placement_drop(p->fillers[i].placement, p->cluster, uid, now);
    }
}

struct pod_change planner_put_pod(struct planner *p, const struct pod_record *pod, int filler,
                                  bool ignored, struct mono now)
{
    struct pod_change change = cluster_upsert_pod(p->cluster, pod, filler, ignored);

    if (change.moved)
        drop_placed(p, pod->uid, now);
    if (filler != CLUSTER_PAID)
        placement_put(filler_at(p, filler)->placement, p->cluster, pod, now);
    if (!change.paid)
        return change;
    if (change.added)
        learn_size(p, pod);
    if (change.bound && !change.arrived && p->began)
        note_bound(p, pod);
    return change;
}

struct pod_change planner_drop_pod(struct planner *p, struct uid uid, struct mono now)
{
    struct pod_change change = cluster_remove_pod(p->cluster, uid);

    if (change.removed && !change.paid)
        drop_placed(p, uid, now);
    return change;
}

void planner_put_node(struct planner *p, const struct node_record *node)
{
    cluster_upsert_node(p->cluster, node);
}

void planner_drop_node(struct planner *p, struct sv name)
{
    cluster_remove_node(p->cluster, name);
}

void planner_list_begin(struct planner *p, enum cluster_kind kind)
{
    p->listing = true;
    cluster_list_begin(p->cluster, kind);
    for (int i = 0; i < p->limit && kind == CLUSTER_PODS; i++) {
        if (p->fillers[i].used)
            placement_list_begin(p->fillers[i].placement);
    }
}

/* Pods that are there now did not arrive. */
static void begin(struct planner *p)
{
    size_t n;
    struct pending_pod **pods = cluster_pending(p->cluster, &n);

    for (size_t i = 0; i < n; i++)
        pods[i]->arrived = true;
    p->n_bound = 0;
    p->began = true;
}

void planner_list_end(struct planner *p, enum cluster_kind kind, struct mono now)
{
    (void)cluster_list_end(p->cluster, kind);
    for (int i = 0; i < p->limit && kind == CLUSTER_PODS; i++) {
        if (p->fillers[i].used)
            placement_list_end(p->fillers[i].placement, p->cluster, now);
    }
    if (kind == CLUSTER_PODS && !p->began)
        begin(p);
}

void planner_release(struct planner *p, int filler, struct mono now)
{
    struct filler *f = filler_at(p, filler);
    size_t released = cluster_release(p->cluster, filler);

    placement_free(f->placement);
    f->placement = placement_new();
    for (int i = 0; i < p->limit && released != 0; i++) {
        if (p->fillers[i].used)
            headroom_gap(p->fillers[i].headroom, now);
    }
}

/* The past. */

static bool is_told(const struct planner *p, int filler)
{
    return p->fillers[filler].used && (p->told >> filler & 1) != 0;
}

void planner_past_demand(struct planner *p, struct mono at, int64_t demand_milli,
                         int64_t allocatable_milli)
{
    for (int i = 0; i < p->limit; i++) {
        if (is_told(p, i))
            headroom_demand(p->fillers[i].headroom, at, demand_milli, allocatable_milli);
    }
}

void planner_past_arrival(struct planner *p, struct mono at, int64_t demand_milli,
                          int64_t cpu_milli)
{
    if (!p->sizes_known)
        hole_add(&p->hole, cpu_milli);
    for (int i = 0; i < p->limit; i++) {
        if (is_told(p, i))
            (void)headroom_arrived(p->fillers[i].headroom, at, demand_milli);
    }
}

void planner_past_gap(struct planner *p, struct mono at)
{
    for (int i = 0; i < p->limit; i++) {
        if (is_told(p, i))
            headroom_gap(p->fillers[i].headroom, at);
    }
}

/* Steps. */

static void reserve_slots(struct filler *f, size_t n)
{
    if (n <= f->n_slots)
        return;

    size_t cap = f->n_slots, same = f->n_slots;

    f->slots = vec_reserve(f->slots, &cap, n, sizeof *f->slots);
    f->places = vec_reserve(f->places, &same, n, sizeof *f->places);
    memset(f->slots + f->n_slots, 0, (cap - f->n_slots) * sizeof *f->slots);
    memset(f->places + f->n_slots, 0, (same - f->n_slots) * sizeof *f->places);
    f->n_slots = cap;
}

/* A filler that is alone has the slots of its fit. */
static void copy_slots(struct filler *f, const struct cluster *c)
{
    size_t n;
    const uint32_t *changed = cluster_changed(c, &n);

    if (!f->slots_whole) {
        for (uint32_t i = 0; i < cluster_node_limit(c); i++)
            f->slots[i] = fit_node(f->fit, i).slots;
        f->slots_whole = true;
        return;
    }
    for (size_t i = 0; i < n; i++)
        f->slots[changed[i]] = fit_node(f->fit, changed[i]).slots;
}

/* With nobody who writes, as in a dry run of all, it is shown how they would share. */
static void set_parts(struct planner *p, const struct planner_input *in)
{
    bool any = false;

    for (int i = 0; i < p->limit; i++)
        any = any || (p->fillers[i].has_shape && in[i].known && in[i].carries_out);
    for (int i = 0; i < p->limit; i++) {
        struct filler *f = &p->fillers[i];

        if (!in[i].known)
            f->part = PART_NONE;
        else
            f->part = in[i].carries_out || !any ? PART_SHARES : PART_OBSERVED;
        cluster_set_apart(p->cluster, i, f->used && (!f->has_shape || f->part != PART_SHARES));
    }
}

static int count_sharing(const struct planner *p)
{
    int n = 0;

    for (int i = 0; i < p->limit; i++)
        n += p->fillers[i].has_shape && p->fillers[i].part == PART_SHARES;
    return n;
}

/* Who claims is decided by the lowest filler, of those that share if there are any; whose grace is
 * the longest decides when a claim lapses. */
static struct claims_filler claims_filler(const struct planner *p)
{
    struct claims_filler lowest = {0};
    bool any = false, shared = count_sharing(p) != 0;

    for (int i = 0; i < p->limit; i++) {
        const struct filler *f = &p->fillers[i];
        int64_t grace = max_i64(lowest.grace_us, f->claims.grace_us);

        if (!f->has_shape || (shared && f->part != PART_SHARES))
            continue;
        if (!any || f->claims.priority < lowest.priority)
            lowest = f->claims;
        lowest.grace_us = grace;
        any = true;
    }
    return lowest;
}

static void update_rooms(struct planner *p)
{
    int sharing = count_sharing(p);

    for (int i = 0; i < p->limit; i++) {
        struct filler *f = &p->fillers[i];

        if (!f->used || !f->has_shape)
            continue;
        f->alone = f->part == PART_NONE || (f->part == PART_SHARES && sharing == 1);
        fit_update(f->fit, p->cluster);
        reserve_slots(f, cluster_node_limit(p->cluster));
        if (f->alone)
            copy_slots(f, p->cluster);
        else
            f->slots_whole = false;
    }
    cluster_changed_clear(p->cluster);
}

/* Who arrived, as one filler sees it: cpu on nodes that it may use, in order; returns how many. */
static size_t arrivals(struct planner *p, const struct filler *f, int64_t *ret_sum)
{
    size_t n_pending, n = 0;
    struct pending_pod **pods = cluster_pending(p->cluster, &n_pending);

    *ret_sum = 0;
    for (size_t i = 0; i < p->n_bound; i++) {
        if (fit_node(f->fit, p->bound[i].node).eligible)
            VEC_PUSH(p->arrivals, n, p->cap_arrivals, p->bound[i].cpu_milli);
    }
    for (size_t i = 0; i < n_pending; i++) {
        const struct pending_pod *pod = pods[i];

        cluster_pending_fetch(pods, n_pending, i + CLUSTER_PENDING_AHEAD);
        if (!pod->arrived && pod->claim.node != CLUSTER_NO_NODE &&
            fit_node(f->fit, pod->claim.node).eligible)
            VEC_PUSH(p->arrivals, n, p->cap_arrivals, pod->request.at[RESOURCE_CPU]);
    }
    for (size_t i = 0; i < n; i++)
        *ret_sum += p->arrivals[i];
    return n;
}

static void learn_demand(struct planner *p, struct filler *f, struct mono now)
{
    struct fit_sum room = fit_sum(f->fit);
    int64_t demand = room.paid_milli + room.claimed_milli, sum;
    size_t n = arrivals(p, f, &sum);

    demand -= sum;
    for (size_t i = 0; i < n; i++) {
        demand += p->arrivals[i];
        (void)headroom_arrived(f->headroom, now, demand);
    }
    headroom_demand(f->headroom, now, demand, room.allocatable_milli);
}

static void learn(struct planner *p, struct mono now)
{
    size_t n;
    struct pending_pod **pods;

    if (!p->began && !p->listing)
        begin(p);
    if (!p->began)
        return;
    for (int i = 0; i < p->limit; i++) {
        if (p->fillers[i].used && p->fillers[i].has_shape) {
            configure(&p->fillers[i]);
            learn_demand(p, &p->fillers[i], now);
        }
    }
    pods = cluster_pending(p->cluster, &n);
    for (size_t i = 0; i < n; i++) {
        cluster_pending_fetch(pods, n, i + CLUSTER_PENDING_AHEAD);
        pods[i]->arrived |= pods[i]->claim.node != CLUSTER_NO_NODE;
    }
    p->n_bound = 0;
}

static int64_t reserve_milli(const struct filler *f)
{
    const struct room_spec *reserve = &f->policy->reserve;
    int64_t largest = reserve->kind == ROOM_LARGEST_NODE ? fit_largest_node_milli(f->fit) : 0;

    return room_spec_milli(reserve, fit_sum(f->fit).offered_milli, largest);
}

static struct share_filler share_of(const struct planner *p, const struct filler *f)
{
    size_t n_stands;
    const int64_t *stands = placement_by_node(f->placement, &n_stands);

    return (struct share_filler){
        .stands = stands,
        .n_stands = n_stands,
        .places = f->places,
        .name = f->policy->name,
        .priority = f->policy->priority,
        .weight = f->policy->weight,
        .min = f->policy->min,
        .max = f->policy->max,
        .hole_slots =
            hole_slots(&p->hole, f->request.at[RESOURCE_CPU], fit_largest_node_milli(f->fit),
                       (size_t)f->policy->advanced.hole_sizes, f->policy->advanced.hole_percentile),
        .fit = f->fit,
        .slots = f->slots,
    };
}

/* What one filler's step needs of what those share that it is computed with. */
struct common {
    int64_t reserve_milli, headroom_milli; /* of the filler that keeps most free */
    enum headroom_kind headroom;
    int64_t helpless; /* waiting pods for which the scheduler will not preempt */
    struct mono now;
};

static void keep_most(struct common *common, const struct planner_plan *plan)
{
    if (plan->reserve_milli + plan->headroom.milli <=
        common->reserve_milli + common->headroom_milli)
        return;
    common->reserve_milli = plan->reserve_milli;
    common->headroom_milli = plan->headroom.milli;
    common->headroom = plan->headroom.kind;
}

/* What is shared in a step: by filler index. */
struct sharing {
    struct share_filler shares[PLANNER_MAX_FILLERS];
    struct common common[PLANNER_MAX_FILLERS];
};

static void share_room(struct planner *p, struct share_filler *shares, size_t n,
                       const struct common *common)
{
    if (n != 0)
        share_out(shares, n, p->cluster, &p->order, common->reserve_milli + common->headroom_milli);
}

/* Those that share do so among themselves; `all` is theirs. */
static void share_among(struct planner *p, struct sharing *s, const struct planner_plan *plans,
                        struct common *all)
{
    struct share_filler among[PLANNER_MAX_FILLERS];
    size_t n = 0;

    for (int i = 0; i < p->limit; i++) {
        if (!p->fillers[i].has_shape || p->fillers[i].part != PART_SHARES)
            continue;
        keep_most(all, &plans[i]);
        among[n++] = s->shares[i];
    }
    share_room(p, among, n, all);
    n = 0;
    for (int i = 0; i < p->limit; i++) {
        if (!p->fillers[i].has_shape || p->fillers[i].part != PART_SHARES)
            continue;
        s->shares[i] = among[n++];
        s->common[i] = *all;
    }
}

/* One that does not: as it would be beside those that do, which keep what they have. */
static void share_beside(struct planner *p, struct sharing *s, const struct planner_plan *plans,
                         int filler)
{
    uint32_t n_nodes = cluster_node_limit(p->cluster);
    bool observed = p->fillers[filler].part == PART_OBSERVED;
    size_t n = 1, n_others = observed ? (size_t)count_sharing(p) : 0;
    CLEANUP(free_ptr) int64_t *slots = xcalloc(2 * n_others * n_nodes + 1, sizeof *slots);
    struct share_filler among[PLANNER_MAX_FILLERS] = {s->shares[filler]};

    for (int i = 0; i < p->limit && observed; i++) {
        if (!p->fillers[i].has_shape || p->fillers[i].part != PART_SHARES)
            continue;
        among[n] = s->shares[i];
        among[n].slots = slots + 2 * (n - 1) * n_nodes;
        among[n].places = among[n].slots + n_nodes;
        n++;
    }
    keep_most(&s->common[filler], &plans[filler]);
    share_room(p, among, n, &s->common[filler]);
    s->shares[filler] = among[0];
}

static void share_all(struct planner *p, struct sharing *s, const struct planner_plan *plans,
                      struct common base)
{
    struct common all = base;

    share_among(p, s, plans, &all);
    for (int i = 0; i < p->limit; i++) {
        if (!p->fillers[i].has_shape || p->fillers[i].part == PART_SHARES)
            continue;
        s->common[i] = p->fillers[i].part == PART_OBSERVED ? all : base;
        share_beside(p, s, plans, i);
    }
}

/* Growth goes no further than what terminating filler leaves; then the decision is to wait for
 * it. */
static void bound_growth(const struct filler *f, const struct share_filler *share,
                         struct planner_plan *plan, int64_t asked)
{
    struct decision *d = &plan->decision;
    int64_t fits =
        max_i64(fit_sum(f->fit).slots_now - (fit_sum(f->fit).slots - share->total), asked);

    if (!d->write || d->replicas <= asked || f->policy->placement == PLACEMENT_GATE ||
        d->replicas <= fits)
        return;
    d->replicas = fits;
    d->write = fits != asked;
    if (!d->write) {
        d->reason = REASON_HOLD;
        d->bound = BOUND_FIT;
    }
}

/* Pods that must leave whatever N says are taken off the count until they are terminating. */
static void bound_evictions(struct planner_plan *plan, const struct planner_input *in)
{
    struct decision *d = &plan->decision;
    int64_t want = max_i64(d->damped - plan->placement->evict, 0);

    if (plan->placement->evict == 0 || !in->known)
        return;
    if (in->replicas > want && !in->paused_down) {
        d->reason = REASON_YIELD;
        d->replicas = want;
        d->write = true;
    } else if (d->write && d->replicas > want) {
        d->reason = REASON_HOLD;
        d->replicas = in->replicas;
        d->write = false;
    } else {
        return;
    }
    d->bound = BOUND_NODE;
}

static const struct placement_plan *place(const struct planner *p, struct filler *f,
                                          const struct share_filler *share,
                                          const struct planner_input *in, const struct decision *d,
                                          int64_t helpless, struct mono now)
{
    bool acts = in->known && in->carries_out;
    struct placement_input input = {
        .mode = f->policy->placement,
        .cluster = p->cluster,
        .request = &f->request,
        .slots = f->alone ? f->slots : f->places,
        .n_nodes = cluster_node_limit(p->cluster),
        .hole_slots = share->hole_slots,
        .kept_slots = share->kept,
        .replicas = d->damped,
        .asked = in->replicas,
        .may_grow = acts && in->fresh && !in->cut_off && !in->paused_up,
        .may_shrink = acts && !in->paused_down,
        .preempts = f->claims.own_class && helpless == 0,
        .now = now,
        .refused_after_us = f->policy->advanced.refused_after_us,
    };

    return placement_step(f->placement, &input);
}

static struct decision_why why_of(const struct filler *f, const struct common *common,
                                  const struct planner_plan *plan)
{
    return (struct decision_why){
        .known = true,
        .at = common->now,
        .settle_us = controller_settle_us(f->controller),
        .reserve_milli = common->reserve_milli,
        .headroom_milli = common->headroom_milli,
        .headroom = common->headroom,
        .capped = plan->headroom.capped,
        .cap_milli = f->headroom_config.max_milli,
        .need_milli = plan->headroom.need,
        .blocked_ppm = f->policy->blocked_ppm,
    };
}

static void step_filler(struct planner *p, struct filler *f, const struct share_filler *share,
                        const struct common *common, const struct planner_input *in,
                        struct planner_plan *plan)
{
    struct controller_facts facts = {
        .known = in->known,
        .fresh = in->fresh,
        .cut_off = in->cut_off,
        .paused_up = in->paused_up,
        .paused_down = in->paused_down,
        .slots = share->total,
        .slots_alone = fit_sum(f->fit).slots,
        .slot_milli = f->request.at[RESOURCE_CPU],
        .hole_slots = share->hole_slots,
        .reserve_milli = common->reserve_milli,
        .headroom_milli = common->headroom_milli,
        .shared = share->shared,
        .share = share->share,
        .replicas = in->replicas,
        .late = in->late,
        .inherits = in->inherits,
    };

    plan->decision = controller_step(f->controller, &facts, common->now);
    plan->decision.why = why_of(f, common, plan);
    if (plan->decision.bound == BOUND_SHARE)
        (void)snprintf(plan->decision.why.taker, sizeof plan->decision.why.taker, "%.*s",
                       (int)share->taker.len, share->taker.at);
    plan->settle_us = controller_settle_us(f->controller);
    if (!in->known)
        return;
    bound_growth(f, share, plan, in->replicas);
    plan->placement = place(p, f, share, in, &plan->decision, common->helpless, common->now);
    bound_evictions(plan, in);
}

static void wake_at(struct planner_result *r, bool has, struct mono at)
{
    if (!has || (r->has_wake && r->wake.us <= at.us))
        return;
    r->has_wake = true;
    r->wake = at;
}

static void collect_wakes(struct planner_result *r, const struct planner_plan *plan)
{
    wake_at(r, plan->decision.has_wake, plan->decision.wake);
    wake_at(r, plan->headroom.has_wake, plan->headroom.wake);
    if (plan->placement != NULL)
        wake_at(r, plan->placement->has_wake, plan->placement->wake);
}

/* The plan of a filler whose shape is not known. */
static void step_unknown(struct filler *f, const struct planner_input *in,
                         struct planner_plan *plan, struct mono now)
{
    struct controller_facts facts = {.replicas = in->replicas};

    plan->decision = controller_step(f->controller, &facts, now);
}

static void learn_anew(struct filler *f)
{
    headroom_free(f->headroom);
    f->headroom = headroom_new(&f->headroom_config);
    configure(f);
}

void planner_past_begin(struct planner *p, uint32_t fillers)
{
    p->sizes_known = p->told != 0;
    p->told = fillers;
    update_rooms(p);
    for (int i = 0; i < p->limit; i++) {
        if (is_told(p, i))
            learn_anew(&p->fillers[i]);
    }
}

/* What one filler wants before anything is shared. */
static void measure(const struct planner *p, struct filler *f, struct planner_plan *plan,
                    struct share_filler *share, struct mono now)
{
    plan->room = fit_sum(f->fit);
    plan->reserve_milli = reserve_milli(f);
    plan->slot_milli = f->request.at[RESOURCE_CPU];
    plan->headroom = headroom_at(f->headroom, now);
    *share = share_of(p, f);
    plan->hole_slots = share->hole_slots;
}

struct planner_result planner_step(struct planner *p, const struct planner_input *in,
                                   struct planner_plan *plans, struct mono now)
{
    struct planner_result result = {0};
    struct claims_filler lowest;
    struct common common = {.now = now};
    struct sharing sharing;

    set_parts(p, in);
    lowest = claims_filler(p);
    result.claims = claims_update(p->claims, p->cluster, &lowest, now);
    common.helpless = result.claims.helpless;
    wake_at(&result, result.claims.has_deadline, result.claims.deadline);
    update_rooms(p);
    learn(p, now);
    for (int i = 0; i < p->limit; i++) {
        plans[i] = (struct planner_plan){0};
        if (p->fillers[i].has_shape)
            measure(p, &p->fillers[i], &plans[i], &sharing.shares[i], now);
    }
    share_all(p, &sharing, plans, common);
    for (int i = 0; i < p->limit; i++) {
        struct filler *f = &p->fillers[i];

        if (!f->used)
            continue;
        if (f->has_shape)
            step_filler(p, f, &sharing.shares[i], &sharing.common[i], &in[i], &plans[i]);
        else
            step_unknown(f, &in[i], &plans[i], now);
        collect_wakes(&result, &plans[i]);
    }
    return result;
}

void planner_learned(struct planner *p, int filler, int64_t need_milli, int64_t values)
{
    headroom_told(filler_at(p, filler)->headroom, need_milli, values);
}

void planner_wrote(struct planner *p, int filler, int64_t replicas, struct mono now)
{
    controller_wrote(filler_at(p, filler)->controller, replicas, now);
}

void planner_admitted(struct planner *p, int filler, struct uid uid, bool ok, struct mono now)
{
    placement_admitted(filler_at(p, filler)->placement, p->cluster, uid, ok, now);
}

void planner_costed(struct planner *p, int filler, struct uid uid, int32_t cost, bool ok)
{
    placement_costed(filler_at(p, filler)->placement, uid, cost, ok);
}

void planner_pod_names(const struct planner *p, int filler,
                       void (*take)(void *self, struct sv name), void *self)
{
    placement_names(p->fillers[filler].placement, take, self);
}

struct placement_counts planner_placement(const struct planner *p, int filler)
{
    return placement_counts(p->fillers[filler].placement);
}

const struct fit *planner_fit(const struct planner *p, int filler)
{
    return p->fillers[filler].fit;
}

int64_t planner_node_slots(const struct planner *p, int filler, uint32_t node)
{
    const struct filler *f = &p->fillers[filler];

    return node < f->n_slots ? f->slots[node] : 0;
}
