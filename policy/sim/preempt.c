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
    for (size_t i = 0; i < node->n_tenants; i++) {
        const struct pod *other = node->tenants[i].pod;

        if (other->view.deleting && other->view.preempted &&
            other->spec->view.priority < pod->spec->view.priority)
            return false;
    }
    return true;
}

/* Room in the places that a pod asks for. */
struct few {
    int64_t at[RESOURCE_MAX];
};

static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return a < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

static void few_add(struct few *few, const struct places *places, const struct resources *what)
{
    for (size_t i = 0; i < places->n; i++)
        few->at[i] = add(few->at[i], what->at[places->at[i]]);
}

static void few_take(struct few *few, const struct places *places, const struct resources *what)
{
    for (size_t i = 0; i < places->n; i++)
        few->at[i] = add(few->at[i], -what->at[places->at[i]]);
}

/* As sched_room(). */
static struct few few_room(const struct node *node, const struct pod *pod)
{
    const struct places *places = &pod->spec->places;
    struct few room;

    memset(room.at, 0, places->n * sizeof *room.at);
    few_add(&room, places, &node->free);
    for (size_t i = 0; i < node->nominated.n; i++) {
        const struct pod *other = node->nominated.at[i];

        if (other != pod && other->spec->view.priority >= pod->spec->view.priority)
            few_take(&room, places, &other->spec->view.request);
    }
    return room;
}

/* Would `asked` still fit if `what` were put back? Then it is. */
static bool few_put_back(struct few *few, const struct places *places,
                         const struct resources *asked, const struct resources *what)
{
    for (size_t i = 0; i < places->n; i++) {
        if (add(few->at[i], -what->at[places->at[i]]) < asked->at[places->at[i]])
            return false;
    }
    few_take(few, places, what);
    return true;
}

/*
 * Takes all pods of lower priority off the node in thought, then puts back whoever still fits, the
 * most important ones first: the rest are the victims. False: not even the node without all of them
 * would do, or nobody need go.
 */
static bool find_victims(struct sched *q, const struct pod *pod, const struct node *node)
{
    static const struct resources nothing;
    const struct resources *asked = &pod->spec->view.request;
    const struct places *places = &pod->spec->places;
    struct few room = few_room(node, pod);
    size_t first = 0;

    while (first < node->n_tenants && node->tenants[first].priority >= pod->spec->view.priority)
        first++;
    for (size_t i = first; i < node->n_tenants; i++) {
        if (node->tenants[i].pod->counted)
            few_add(&room, places, node->tenants[i].request);
    }
    q->victims.n = 0;
    if (first == node->n_tenants || !few_put_back(&room, places, asked, &nothing))
        return false;
    for (size_t i = first; i < node->n_tenants; i++) {
        const struct tenant *t = &node->tenants[i];

        if (t->pod->counted && !few_put_back(&room, places, asked, t->request))
            list_push(&q->victims, t->pod);
    }
    return q->victims.n != 0;
}

/* What two sets of victims are compared by; they are sorted by importance. */
struct price {
    int32_t highest;
    int64_t sum; /* of priority + 2^31, so that more victims are never cheaper */
    size_t n;
    int64_t started_s; /* the earliest among those of the highest priority */
};

static struct price price_of(const struct sim *s, const struct pod_list *victims)
{
    struct price p = {.highest = victims->at[0]->spec->view.priority,
                      .n = victims->n,
                      .started_s = sim_seconds(s, victims->at[0]->view.bound_at)};

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
    return a->started_s > b->started_s;
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
    size_t start = s->n_nodes != 0 ? sim_random(s, CHANCE_PREEMPTION) % s->n_nodes : 0;
    struct node *best = NULL;
    struct price best_price = {0};

    wanted = wanted < CANDIDATES_MIN ? CANDIDATES_MIN : wanted;
    q->best.n = 0;
    for (size_t i = 0; i < s->n_nodes && found < wanted; i++) {
        struct node *node = s->nodes[(start + i) % s->n_nodes];

        if (!curable(pod, node) || !find_victims(q, pod, node))
            continue;
        found++;

        struct price price = price_of(s, &q->victims);

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
