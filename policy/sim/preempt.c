/*
 * Source: k8s.io/kubernetes/pkg/scheduler/framework/preemption and plugins/defaultpreemption.
 * Budgets (PodDisruptionBudget) are left out: no eviction violates one.
 */
#include "policy/sim/parts.h"

/* Candidates that are looked at: a tenth of the nodes, at least 100
 * (DefaultPreemptionArgs: minCandidateNodesPercentage, minCandidateNodesAbsolute). */
enum { CANDIDATES_PERCENT = 10, CANDIDATES_MIN = 100 };

bool preempt_allowed(const struct pod *pod)
{
    const struct node *node = pod->nominated;

    if (pod->spec->view.preempts_never)
        return false;
    if (node == NULL || rules_check_node(pod_rules_of(pod), &node->view.record) != NODE_ACCEPTS)
        return true;
    for (size_t i = 0; i < node->pods.n; i++) {
        const struct pod *other = node->pods.at[i];

        if (other->view.deleting && other->view.preempted &&
            other->spec->view.priority < pod->spec->view.priority)
            return false;
    }
    return true;
}

/* The most important pod stands first: higher priority, then earlier started. */
static int by_importance(const void *left, const void *right)
{
    const struct pod *a = *(struct pod *const *)left, *b = *(struct pod *const *)right;

    if (a->spec->view.priority != b->spec->view.priority)
        return a->spec->view.priority > b->spec->view.priority ? -1 : 1;
    if (a->view.bound_at.us != b->view.bound_at.us)
        return a->view.bound_at.us < b->view.bound_at.us ? -1 : 1;
    return a->serial < b->serial ? -1 : 1;
}

/*
 * Takes all pods of lower priority off the node in thought, then puts back whoever still fits, the
 * most important ones first: the rest are the victims. False: not even an empty node of them would
 * do, or nobody need go.
 */
static bool find_victims(struct sched *q, const struct pod *pod, const struct node *node)
{
    const struct resources *asked = &pod->spec->view.request;
    struct resources room = sched_room(node, pod, pod->spec->view.priority);

    q->lower.n = q->victims.n = 0;
    for (size_t i = 0; i < node->pods.n; i++) {
        struct pod *other = node->pods.at[i];

        if (!other->counted || other->spec->view.priority >= pod->spec->view.priority)
            continue;
        list_push(&q->lower, other);
        resources_add(&room, &other->spec->view.request);
    }
    if (q->lower.n == 0 || !resources_fit(asked, &room, NULL))
        return false;
    qsort(q->lower.at, q->lower.n, sizeof *q->lower.at, by_importance);
    for (size_t i = 0; i < q->lower.n; i++) {
        const struct resources *back = &q->lower.at[i]->spec->view.request;

        resources_sub(&room, back);
        if (resources_fit(asked, &room, NULL))
            continue;
        resources_add(&room, back);
        list_push(&q->victims, q->lower.at[i]);
    }
    return q->victims.n != 0;
}

/* What two sets of victims are compared by; they are sorted by importance. */
struct price {
    int32_t highest;
    int64_t sum; /* of priority + 2^31, so that more victims are never cheaper */
    size_t n;
    struct mono started; /* the earliest among those of the highest priority */
};

static struct price price_of(const struct pod_list *victims)
{
    struct price p = {.highest = victims->at[0]->spec->view.priority,
                      .n = victims->n,
                      .started = victims->at[0]->view.bound_at};

    for (size_t i = 0; i < victims->n; i++)
        p.sum += (int64_t)victims->at[i]->spec->view.priority + INT64_C(0x80000000);
    return p;
}

static bool cheaper(const struct price *a, const struct price *b)
{
    if (a->highest != b->highest)
        return a->highest < b->highest;
    if (a->sum != b->sum)
        return a->sum < b->sum;
    if (a->n != b->n)
        return a->n < b->n;
    return a->started.us > b->started.us;
}

/* Could the node be freed at all: refused for want of room alone, and large enough when empty. */
static bool curable(const struct pod *pod, const struct node *node)
{
    return node != NULL && !node->view.gone && node->view.pods != 0 &&
           resources_fit(&pod->spec->view.request, &node->view.record.allocatable, NULL) &&
           rules_check_node(pod_rules_of(pod), &node->view.record) == NODE_ACCEPTS;
}

struct node *preempt_find(struct sim *s, const struct pod *pod)
{
    struct sched *q = &s->sched;
    size_t wanted = s->live_nodes * CANDIDATES_PERCENT / 100, found = 0;
    size_t start = s->n_nodes != 0 ? sim_random(s) % s->n_nodes : 0;
    struct node *best = NULL;
    struct price best_price = {0};

    wanted = wanted < CANDIDATES_MIN ? CANDIDATES_MIN : wanted;
    q->best.n = 0;
    for (size_t i = 0; i < s->n_nodes && found < wanted; i++) {
        struct node *node = s->nodes[(start + i) % s->n_nodes];

        if (!curable(pod, node) || !find_victims(q, pod, node))
            continue;
        found++;

        struct price price = price_of(&q->victims);

        if (best != NULL && !cheaper(&price, &best_price))
            continue;
        best = node;
        best_price = price;

        struct pod_list spare = q->best;

        q->best = q->victims;
        q->victims = spare;
    }
    return best;
}
