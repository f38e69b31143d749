#include "policy/placement.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "capacity/fit.h"
#include "policy/caps.h"
#include "policy/node_order.h"
#include "policy/roster.h"

/* A node that pods may go to or leave; the least key comes first, then the first by name. */
struct candidate {
    int64_t key;
    int64_t pods; /* that may leave */
    uint32_t rank;
    uint32_t node;
    bool in_claim; /* its excess stands in a claim's room */
};

/* Pods that must leave whatever N says. */
struct required {
    enum roster_level top; /* the last level that one of them is in */
    int64_t pods;          /* of them in that level */
    int64_t marked;        /* of these, with the mark confirmed */
    bool excess;           /* some stand on the node of a claim */
};

struct placer {
    struct roster roster;
    struct caps *caps;
    struct mono now; /* the latest time heard */
    uint64_t refused;

    struct node_order order;
    struct mono *shun; /* by node: nothing is let in before */
    int silences; /* times that pods were given up of which the scheduler said nothing, since one
                     was bound */
    size_t n_shun;

    struct candidate *heap;
    size_t n_heap, cap_heap;
    uint32_t *picked; /* of one node, while victims are chosen */
    size_t n_picked, cap_picked;
    uint32_t *required;
    size_t n_required, cap_required;
    uint32_t *victims; /* chosen by this step, first to go first */
    size_t n_victims, cap_victims;

    struct placement_admission *admit;
    size_t n_admit, cap_admit;
    struct placement_cost *costs;
    size_t n_costs, cap_costs;
    struct placement_plan plan;
};

struct placer *placement_new(void)
{
    struct placer *p = xcalloc(1, sizeof *p);

    roster_init(&p->roster);
    p->caps = caps_new();
    return p;
}

void placement_free(struct placer *p)
{
    if (p == NULL)
        return;
    roster_done(&p->roster);
    caps_free(p->caps);
    node_order_done(&p->order);
    free(p->shun);
    free(p->heap);
    free(p->picked);
    free(p->required);
    free(p->victims);
    free(p->admit);
    free(p->costs);
    free(p);
}

static struct mono pass_time(struct placer *p, struct mono now)
{
    if (now.us > p->now.us)
        p->now = now;
    return p->now;
}

static struct roster_pod *pod_at(struct placer *p, uint32_t pod)
{
    return &p->roster.pods[pod];
}

/* Facts. */

/* The one node that the pod's rules leave it, or ROSTER_NONE: each term requires the same name. */
static uint32_t required_node(const struct cluster *c, const struct pod_rules *rules)
{
    struct sv name = {0};

    for (size_t i = 0; i < rules->n_terms; i++) {
        const struct node_term *term = &rules->terms[i];
        const struct requirement *field = NULL;

        for (size_t j = 0; j < term->n_fields; j++) {
            if (term->fields[j].op == OP_IN && term->fields[j].n_values == 1 &&
                sv_eq(term->fields[j].key, SV("metadata.name")))
                field = &term->fields[j];
        }
        if (field == NULL || (i != 0 && !sv_eq(name, field->values[0])))
            return ROSTER_NONE;
        name = field->values[0];
    }
    return name.len != 0 ? cluster_find_node(c, name) : ROSTER_NONE;
}
_Static_assert(ROSTER_NONE == CLUSTER_NO_NODE, "no node is no node");

static enum roster_level level_of(const struct pod_record *pod)
{
    if (pod->phase == PHASE_PENDING)
        return ROSTER_PENDING;
    if (pod->phase == PHASE_UNKNOWN)
        return ROSTER_UNKNOWN;
    return pod->ready ? ROSTER_READY : ROSTER_UNREADY;
}

static void let_in(struct placer *p, struct cluster *c, uint32_t pod, uint32_t node)
{
    struct roster_pod *f = pod_at(p, pod);

    (void)cluster_admit(c, f->uid, node);
    f->let_in_at = p->now;
    roster_move(&p->roster, pod, ROSTER_LET_IN, node, ROSTER_UNASSIGNED);
}

/* A pod without a node that is not terminating. */
static void put_unbound(struct placer *p, struct cluster *c, uint32_t pod,
                        const struct pod_record *record)
{
    struct roster_pod *f = pod_at(p, pod);

    if (record->gated && (f->state == ROSTER_LET_IN || f->state == ROSTER_ADMITTING))
        return; /* older than what we did */
    if (record->gated) {
        roster_move(&p->roster, pod, record->gated_by_others ? ROSTER_HELD : ROSTER_GATED,
                    ROSTER_NONE, ROSTER_UNASSIGNED);
        return;
    }
    if (f->state == ROSTER_ADMITTING)
        let_in(p, c, pod, f->node);
    else if (f->state != ROSTER_LET_IN)
        let_in(p, c, pod, required_node(c, &record->rules));
    if (record->unschedulable && f->unschedulable_at.us == 0)
        f->unschedulable_at = p->now;
}

static bool is_mark(int32_t cost)
{
    return cost == PLACEMENT_COST_FIRST || cost == PLACEMENT_COST_NEXT;
}

static void set_cost(struct placer *p, uint32_t pod, int32_t cost)
{
    roster_set_cost(&p->roster, pod, cost, is_mark(cost));
}

static void put_cost(struct placer *p, uint32_t pod, int32_t cost)
{
    struct roster_pod *f = pod_at(p, pod);

    if (f->echo && cost != f->cost)
        return; /* older than what was written */
    f->echo = false;
    set_cost(p, pod, cost);
}

void placement_put(struct placer *p, struct cluster *c, const struct pod_record *record,
                   struct mono now)
{
    struct roster *r = &p->roster;
    uint32_t pod = roster_find(r, record->uid);

    (void)pass_time(p, now);
    if (record->phase == PHASE_SUCCEEDED || record->phase == PHASE_FAILED) {
        placement_drop(p, c, record->uid, now);
        return;
    }
    if (pod == ROSTER_NONE)
        pod = roster_add(r, record->uid, record->name, record->created);
    pod_at(p, pod)->listed = true;
    put_cost(p, pod, record->deletion_cost);
    if (record->node.len != 0 && pod_at(p, pod)->state < ROSTER_BOUND)
        p->silences = 0;
    if (record->deleting)
        roster_move(r, pod, ROSTER_LEAVING, ROSTER_NONE, ROSTER_UNASSIGNED);
    else if (record->node.len != 0)
        roster_move(r, pod, ROSTER_BOUND, cluster_pod_node(c, record->uid), level_of(record));
    else
        put_unbound(p, c, pod, record);
}

static void drop(struct placer *p, struct cluster *c, uint32_t pod)
{
    (void)cluster_admit(c, pod_at(p, pod)->uid, CLUSTER_NO_NODE);
    roster_remove(&p->roster, pod);
}

void placement_drop(struct placer *p, struct cluster *c, struct uid uid, struct mono now)
{
    uint32_t pod = roster_find(&p->roster, uid);

    (void)pass_time(p, now);
    if (pod != ROSTER_NONE)
        drop(p, c, pod);
}

void placement_list_begin(struct placer *p)
{
    for (size_t i = 0; i < p->roster.n_pods; i++)
        p->roster.pods[i].listed = false;
}

size_t placement_list_end(struct placer *p, struct cluster *c, struct mono now)
{
    size_t dropped = 0;

    (void)pass_time(p, now);
    for (uint32_t i = 0; i < p->roster.n_pods; i++) {
        if (p->roster.pods[i].name != NULL && !p->roster.pods[i].listed) {
            drop(p, c, i);
            dropped++;
        }
    }
    return dropped;
}

void placement_admitted(struct placer *p, struct cluster *c, struct uid uid, bool ok,
                        struct mono now)
{
    uint32_t pod = roster_find(&p->roster, uid);
    struct roster_pod *f;

    (void)pass_time(p, now);
    if (pod == ROSTER_NONE || pod_at(p, pod)->state != ROSTER_ADMITTING)
        return; /* gone, or a record was here before the answer */
    f = pod_at(p, pod);
    if (ok) {
        let_in(p, c, pod, f->node);
        return;
    }
    (void)cluster_admit(c, uid, CLUSTER_NO_NODE);
    f->retry_at = mono_plus_us(p->now, PLACEMENT_RETRY_US << f->failed);
    if (f->failed < PLACEMENT_MAX_DOUBLINGS)
        f->failed++;
    roster_move(&p->roster, pod, ROSTER_GATED, ROSTER_NONE, ROSTER_UNASSIGNED);
}

void placement_costed(struct placer *p, struct uid uid, int32_t cost, bool ok)
{
    uint32_t pod = roster_find(&p->roster, uid);
    struct roster_pod *f;

    if (pod == ROSTER_NONE)
        return;
    f = pod_at(p, pod);
    f->costing = false;
    f->echo = ok;
    if (ok)
        set_cost(p, pod, cost);
    else
        f->retry_at = mono_plus_us(p->now, PLACEMENT_RETRY_US);
}

void placement_names(const struct placer *p, void (*take)(void *self, struct sv name), void *self)
{
    for (size_t i = 0; i < p->roster.n_pods; i++) {
        const struct roster_pod *pod = &p->roster.pods[i];

        if (pod->name != NULL && pod->state != ROSTER_LEAVING)
            take(self, sv_from(pod->name));
    }
}

struct placement_counts placement_counts(const struct placer *p)
{
    const int64_t *states = p->roster.states;

    return (struct placement_counts){
        .gated = states[ROSTER_GATED] + states[ROSTER_HELD],
        .admitted = states[ROSTER_ADMITTING] + states[ROSTER_LET_IN],
        .bound = states[ROSTER_BOUND],
        .leaving = states[ROSTER_LEAVING],
        .refused = p->refused,
    };
}

const int64_t *placement_by_node(const struct placer *p, size_t *ret_n)
{
    *ret_n = p->roster.n_nodes;
    return p->roster.filler;
}

/* The heap of candidates. */

static bool comes_before(const struct candidate *a, const struct candidate *b)
{
    return a->key != b->key ? a->key < b->key : a->rank < b->rank;
}

static void sift_down(struct placer *p, size_t at)
{
    struct candidate moved = p->heap[at];

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= p->n_heap)
            break;
        if (child + 1 < p->n_heap && comes_before(&p->heap[child + 1], &p->heap[child]))
            child++;
        if (!comes_before(&p->heap[child], &moved))
            break;
        p->heap[at] = p->heap[child];
        at = child;
    }
    p->heap[at] = moved;
}

static void heapify(struct placer *p)
{
    for (size_t i = p->n_heap / 2; i > 0; i--)
        sift_down(p, i - 1);
}

static bool pop(struct placer *p, struct candidate *ret_candidate)
{
    if (p->n_heap == 0)
        return false;
    *ret_candidate = p->heap[0];
    p->heap[0] = p->heap[--p->n_heap];
    if (p->n_heap != 0)
        sift_down(p, 0);
    return true;
}

/* Wakes. */

static void wake_at(struct placer *p, struct mono at)
{
    if (p->plan.has_wake && p->plan.wake.us <= at.us)
        return;
    p->plan.has_wake = true;
    p->plan.wake = at;
}

static bool must_wait(struct placer *p, struct mono until)
{
    if (until.us <= p->now.us)
        return false;
    wake_at(p, until);
    return true;
}

/* Given-up admissions. */

static void shun(struct placer *p, uint32_t node)
{
    size_t cap = p->n_shun;

    if (node >= p->n_shun) {
        p->shun = vec_reserve(p->shun, &cap, (size_t)node + 1, sizeof *p->shun);
        memset(p->shun + p->n_shun, 0, (cap - p->n_shun) * sizeof *p->shun);
        p->n_shun = cap;
    }
    p->shun[node] = mono_plus_us(p->now, PLACEMENT_SHUN_US);
}

static struct mono patience_ends(const struct placer *p, const struct roster_pod *f,
                                 int64_t refused_after_us)
{
    int64_t patience = refused_after_us;

    if (f->unschedulable_at.us != 0)
        return (struct mono){
            .us = min_i64(f->let_in_at.us + patience, f->unschedulable_at.us + patience / 2)};
    for (int i = 0; i < p->silences && patience < PLACEMENT_PATIENCE_US; i++)
        patience *= 2;
    return mono_plus_us(f->let_in_at,
                        max_i64(refused_after_us, min_i64(patience, PLACEMENT_PATIENCE_US)));
}

/* Who was let in and is not bound in time; all of them must leave. */
static void give_up(struct placer *p, const struct placement_input *in)
{
    bool silent = false;

    for (size_t i = 0; i < p->roster.n_waiting; i++) {
        uint32_t pod = p->roster.waiting[i];
        struct roster_pod *f = pod_at(p, pod);

        if (!f->given_up && must_wait(p, patience_ends(p, f, in->refused_after_us)))
            continue;
        if (!f->given_up) {
            f->given_up = true;
            p->refused++;
            silent = silent || f->unschedulable_at.us == 0;
            if (f->unschedulable_at.us != 0 && f->node != ROSTER_NONE)
                shun(p, f->node);
        }
        f->chosen = true;
        VEC_PUSH(p->required, p->n_required, p->cap_required, pod);
    }
    p->silences += silent;
}

/* Victims. */

static int by_preference(const void *a, const void *b, void *self)
{
    const struct roster_pod *pods = self;
    const struct roster_pod *x = &pods[*(const uint32_t *)a], *y = &pods[*(const uint32_t *)b];

    if (x->chosen != y->chosen)
        return x->chosen ? -1 : 1;
    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    if (is_mark(x->cost) != is_mark(y->cost))
        return is_mark(x->cost) ? -1 : 1;
    return roster_age_cmp(y, x);
}

/* The pods of a node from one level up to another, those first that should go first. */
static void pick(struct placer *p, uint32_t node, enum roster_level from, enum roster_level to)
{
    p->n_picked = 0;
    for (uint32_t i = p->roster.nodes[node].first; i != ROSTER_NONE; i = p->roster.pods[i].next) {
        if (p->roster.pods[i].level >= from && p->roster.pods[i].level <= to)
            VEC_PUSH(p->picked, p->n_picked, p->cap_picked, i);
    }
    if (p->n_picked > 1)
        qsort_r(p->picked, p->n_picked, sizeof *p->picked, by_preference, p->roster.pods);
}

/* What stands above the slots of a node where a reported pod's claim is. */
static void require_excess(struct placer *p, const struct placement_input *in, uint32_t node)
{
    int64_t slots = node < in->n_nodes ? max_i64(in->slots[node], 0) : 0;
    int64_t excess = node < p->roster.n_nodes ? p->roster.filler[node] - slots : 0;

    if (excess <= 0)
        return;
    pick(p, node, ROSTER_UNASSIGNED, ROSTER_READY);
    for (size_t i = 0; i < (size_t)excess; i++) {
        struct roster_pod *f = pod_at(p, p->picked[i]);

        if (f->chosen)
            continue;
        f->chosen = true;
        VEC_PUSH(p->required, p->n_required, p->cap_required, p->picked[i]);
    }
}

/* Does some node hold more than its slots? Asked at every step: no branches, so that it is
 * vectorised. */
static bool any_excess(const struct placer *p, const struct placement_input *in)
{
    const int64_t *filler = p->roster.filler;
    int64_t any = 0;

    for (size_t i = 0; i < in->n_nodes; i++)
        any |= (filler[i] > in->slots[i]) & (filler[i] > 0);
    for (size_t i = in->n_nodes; i < p->roster.n_nodes; i++)
        any |= filler[i];
    return any != 0;
}

/* Where the scheduler does not preempt, nobody else makes room on the right node. */
static void require_room(struct placer *p, const struct placement_input *in)
{
    size_t n;
    struct pending_pod **pods;

    if (!any_excess(p, in))
        return;
    pods = cluster_pending(in->cluster, &n);
    for (size_t i = 0; i < n; i++) {
        if (pods[i]->paid && pods[i]->unschedulable && pods[i]->claim.node != CLUSTER_NO_NODE)
            require_excess(p, in, pods[i]->claim.node);
    }
}

static struct required sum_required(struct placer *p, size_t given_up)
{
    struct required sum = {.excess = p->n_required > given_up};

    for (size_t i = 0; i < p->n_required; i++) {
        const struct roster_pod *f = pod_at(p, p->required[i]);

        if (f->level > sum.top) {
            sum.top = f->level;
            sum.pods = sum.marked = 0;
        }
        sum.pods += f->level == sum.top;
        sum.marked += f->level == sum.top && f->cost == PLACEMENT_COST_FIRST;
    }
    return sum;
}

/* How many pods a ReplicaSet lets go of before it comes to a level. */
static int64_t before_level(const struct placer *p, enum roster_level level)
{
    int64_t sum = 0;

    for (enum roster_level i = 0; i < level; i++)
        sum += p->roster.levels[i];
    return sum;
}

static void choose(struct placer *p, uint32_t pod)
{
    pod_at(p, pod)->chosen = true;
    VEC_PUSH(p->victims, p->n_victims, p->cap_victims, pod);
}

/* Where the policy's minimum leaves less than h, what it leaves is kept free. */
static int64_t kept_slots_beside(const struct placement_input *in)
{
    int64_t sum = 0;

    for (size_t i = 0; i < in->n_nodes; i++)
        sum += max_i64(in->slots[i], 0);
    return min_i64(in->kept_slots, max_i64(sum - in->replicas, 0));
}

/* The caps; from here on nodes have ranks. */
static const int64_t *find_caps(struct placer *p, const struct placement_input *in)
{
    struct caps_input input = {.slots = in->slots,
                               .filler = p->roster.filler,
                               .n = in->n_nodes,
                               .hole_slots = in->hole_slots,
                               .kept_slots = kept_slots_beside(in)};

    node_order_update(&p->order, in->cluster, in->n_nodes);
    input.order = p->order.nodes;
    return caps_compute(p->caps, &input);
}

/* Keys of nodes that are to lose pods: those with a claim's excess come first. */
#define AFTER_CLAIMS (INT64_C(1) << 62)

static void add_loser(struct placer *p, uint32_t node, int64_t excess, int64_t pods, bool in_claim)
{
    struct candidate loser = {.key = excess + (in_claim ? 0 : AFTER_CLAIMS),
                              .pods = min_i64(excess, pods),
                              .rank = p->order.rank[node],
                              .node = node,
                              .in_claim = in_claim};

    VEC_PUSH(p->heap, p->n_heap, p->cap_heap, loser);
}

/* The nodes that hold more than their caps without those who go anyway. */
static void find_losers(struct placer *p, const struct placement_input *in, enum roster_level level)
{
    const int64_t *caps = find_caps(p, in);

    p->n_heap = 0;
    for (uint32_t i = 0; i < in->n_nodes; i++) {
        const struct roster_node *n = &p->roster.nodes[i];
        const struct cluster_node *facts;
        int64_t stay = p->roster.filler[i];

        if (n->at[level] == 0 || stay <= caps[i])
            continue;
        for (enum roster_level l = 0; l < level; l++)
            stay -= n->at[l];
        if (stay > caps[i])
            add_loser(p, i, stay - caps[i], n->at[level], false);
        facts = cluster_node(in->cluster, i);
        if (facts != NULL && cluster_sum_place(facts, NODE_SUM_CLAIMED, RESOURCE_PODS) > 0 &&
            stay > in->slots[i])
            add_loser(p, i, stay - max_i64(in->slots[i], 0), n->at[level], true);
    }
    heapify(p);
}

/* Chooses up to `want` pods of the level that is cut. Returns how many are left to the
 * ReplicaSet. */
static int64_t choose_excess(struct placer *p, const struct placement_input *in,
                             enum roster_level level, int64_t want, size_t *ret_first)
{
    struct candidate from;

    find_losers(p, in, level);
    while (want > 0 && pop(p, &from)) {
        pick(p, from.node, level, level);
        for (size_t i = 0; i < (size_t)from.pods && want > 0; i++) {
            if (pod_at(p, p->picked[i])->chosen)
                continue;
            choose(p, p->picked[i]);
            want--;
        }
        if (from.in_claim)
            *ret_first = p->n_victims;
    }
    return want;
}

static void write_cost(struct placer *p, uint32_t pod, int32_t cost)
{
    struct roster_pod *f = pod_at(p, pod);
    struct placement_cost entry = {.uid = f->uid, .name = sv_from(f->name), .cost = cost};

    if (f->cost == cost || f->costing || p->n_costs == PLACEMENT_MAX_COSTS ||
        must_wait(p, f->retry_at))
        return;
    f->costing = true;
    VEC_PUSH(p->costs, p->n_costs, p->cap_costs, entry);
}

/* Marks the victims, the first `first` of them before the others, and takes the mark off those
 * that would go in their place. */
static void write_costs(struct placer *p, size_t first, enum roster_level level, bool complete)
{
    for (size_t i = 0; i < p->n_victims; i++) {
        if (i < first)
            write_cost(p, p->victims[i], PLACEMENT_COST_FIRST);
        else if (!is_mark(pod_at(p, p->victims[i])->cost))
            write_cost(p, p->victims[i], PLACEMENT_COST_NEXT);
    }
    for (size_t i = 0; i < p->roster.n_marked && complete; i++) {
        const struct roster_pod *f = pod_at(p, p->roster.marked[i]);

        if (!f->chosen && f->state != ROSTER_LEAVING && f->level == level)
            write_cost(p, p->roster.marked[i], 0);
    }
}

/* `must` of the pods in the order of deletion go; costs decide in the level that is cut. */
static void choose_victims(struct placer *p, const struct placement_input *in, int64_t must)
{
    enum roster_level level = ROSTER_UNASSIGNED;
    int64_t want = must;
    size_t first;

    while (level < ROSTER_READY && want > p->roster.levels[level])
        want -= p->roster.levels[level++];
    for (size_t i = 0; i < p->n_required; i++) {
        if (pod_at(p, p->required[i])->level == level)
            choose(p, p->required[i]);
    }
    want -= (int64_t)p->n_victims;
    first = p->n_victims;
    if (want > 0 && level != ROSTER_UNASSIGNED && want < p->roster.levels[level])
        want = choose_excess(p, in, level, want, &first);
    write_costs(p, first, level, want <= 0);
}

static void clear_chosen(struct placer *p)
{
    for (size_t i = 0; i < p->n_victims; i++)
        pod_at(p, p->victims[i])->chosen = false;
    for (size_t i = 0; i < p->n_required; i++)
        pod_at(p, p->required[i])->chosen = false;
    p->n_victims = p->n_required = 0;
}

/* Costs and evictions. Returns whether filler must make way for a claim. */
static bool shrink(struct placer *p, const struct placement_input *in)
{
    size_t given_up = p->n_required;
    int64_t active = roster_active(&p->roster), must = 0;
    struct required required;

    if (!in->preempts)
        require_room(p, in);
    required = sum_required(p, given_up);
    if (in->asked > in->replicas)
        must = max_i64(active - in->replicas, 0);
    if (p->n_required != 0)
        must = max_i64(must, before_level(p, required.top) + required.pods);
    if (must > 0)
        choose_victims(p, in, must);
    if (required.marked > 0)
        p->plan.evict =
            max_i64(in->replicas - (active - before_level(p, required.top) - required.marked), 0);
    return required.excess;
}

/* Admissions. */

static struct resources free_room(const struct cluster_node *n)
{
    struct resources room = fit_room(n);
    struct resources filler = cluster_sum(n, NODE_SUM_FILLER);
    struct resources admitted = cluster_sum(n, NODE_SUM_ADMITTED);

    resources_sub(&room, &filler);
    resources_sub(&room, &admitted);
    return room;
}

static bool may_take(struct placer *p, uint32_t node)
{
    return node >= p->n_shun || !must_wait(p, p->shun[node]);
}

/* The nodes that are below their caps, by the slots that are free of filler. */
static void find_takers(struct placer *p, const struct placement_input *in)
{
    const int64_t *caps = find_caps(p, in);

    p->n_heap = 0;
    for (uint32_t i = 0; i < in->n_nodes; i++) {
        struct candidate taker = {.key = in->slots[i] - p->roster.filler[i],
                                  .pods = caps[i] - p->roster.filler[i],
                                  .rank = p->order.rank[i],
                                  .node = i};

        if (taker.pods > 0 && may_take(p, i))
            VEC_PUSH(p->heap, p->n_heap, p->cap_heap, taker);
    }
    heapify(p);
}

/* The oldest gated pod from a place on that may be let in; false: there is none. */
static bool next_gated(struct placer *p, const struct placement_input *in, size_t *place,
                       const struct pending_pod **ret_pending)
{
    for (; *place < p->roster.n_gated; (*place)++) {
        const struct roster_pod *f = pod_at(p, p->roster.gated[*place]);

        *ret_pending = cluster_find_pending(in->cluster, f->uid);
        if (*ret_pending != NULL && !must_wait(p, f->retry_at))
            return true;
    }
    return false;
}

static void admit(struct placer *p, const struct placement_input *in, uint32_t pod, uint32_t node)
{
    const struct roster_pod *f = pod_at(p, pod);
    struct placement_admission entry = {.uid = f->uid, .name = sv_from(f->name), .node = node};

    (void)cluster_admit(in->cluster, f->uid, node);
    VEC_PUSH(p->admit, p->n_admit, p->cap_admit, entry);
    roster_move(&p->roster, pod, ROSTER_ADMITTING, node, ROSTER_UNASSIGNED);
}

static void grow(struct placer *p, const struct placement_input *in)
{
    int64_t want = min_i64(in->replicas - roster_let_in(&p->roster),
                           PLACEMENT_UNDER_WAY - p->roster.states[ROSTER_ADMITTING]);
    const struct pending_pod *pending;
    struct candidate to;
    size_t place = 0;

    if (want <= 0 || !next_gated(p, in, &place, &pending))
        return;
    find_takers(p, in);
    while (want > 0 && pop(p, &to)) {
        assert(cluster_node(in->cluster, to.node) != NULL); /* it has slots */
        for (int64_t i = 0; i < to.pods && want > 0; i++) {
            struct resources room = free_room(cluster_node(in->cluster, to.node));

            if (!next_gated(p, in, &place, &pending))
                return;
            if (!resources_fit(&pending->request, &room, NULL) ||
                !resources_fit(in->request, &room, NULL))
                break;
            admit(p, in, p->roster.gated[place], to.node);
            want--;
        }
    }
}

const struct placement_plan *placement_step(struct placer *p, const struct placement_input *in)
{
    bool makes_way = false;

    (void)pass_time(p, in->now);
    p->plan = (struct placement_plan){0};
    p->n_admit = p->n_costs = 0;
    if (in->mode == PLACEMENT_GATE)
        give_up(p, in);
    roster_reserve_nodes(&p->roster, in->n_nodes);
    if (in->may_shrink)
        makes_way = shrink(p, in);
    clear_chosen(p);
    if (in->mode == PLACEMENT_GATE && in->may_grow && !makes_way && p->roster.n_gated != 0)
        grow(p, in);
    p->plan.admit = p->admit;
    p->plan.n_admit = p->n_admit;
    p->plan.costs = p->costs;
    p->plan.n_costs = p->n_costs;
    return &p->plan;
}
