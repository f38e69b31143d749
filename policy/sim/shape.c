/*
 * A shape is what pods with one request, one priority and one set of rules see of the nodes: a
 * score for each node that would take one now, under a tree of winners. It is brought up to date
 * just before it is asked, from the list of nodes that changed since: an attempt costs O(changed
 * log nodes), and nothing at all where the cluster stood still.
 */
#include <math.h>

#include "policy/sim/parts.h"

/* Least and balanced allocation count once, pod affinity and topology spread twice (default weights
 * of kube-scheduler's plugins); maxSkew of the default constraint on hostnames. */
enum { SCORE_FULL = 100, WEIGHT_COMPANY = 2, SPREAD_SKEW = 3 };

struct leaf {
    uint64_t key; /* score + 1 above, a random number below: ties fall by chance. 0: does not fit */
    uint64_t facts;   /* the node's, when `accepts` was found */
    uint64_t changed; /* the node's, when all this was found */
    bool accepts;
};

struct shape {
    struct resources request;
    struct packed_rules *rules;
    struct places places;
    int64_t score_cpu, score_mem;
    int32_t priority;
    uint64_t used;    /* when it was last asked, for making place */
    uint64_t seen;    /* changes it knows */
    uint32_t cap;     /* leaves, a power of two */
    uint32_t accepts; /* nodes that would take it but for room */
    struct leaf *leaves;
    uint32_t *winner; /* of the inner nodes of the tree, 1 .. cap - 1; children 2i and 2i + 1 */
};

void shape_free(struct shape *shape)
{
    if (shape == NULL)
        return;
    free(shape->rules);
    free(shape->leaves);
    free(shape->winner);
    free(shape);
}

/* Beyond this many noted changes a shape is as well built anew. */
static size_t changes_kept(const struct sim *s)
{
    return 2 * s->n_nodes + 1024;
}

void shape_node_changed(struct sim *s, struct node *node)
{
    struct sched *q = &s->sched;

    node->changed = ++s->serial;
    if (q->n_shapes == 0)
        return;
    /* Noted already, and not seen since: the first shape was asked last and has seen most. */
    if (q->n_changed != 0 && q->changed[q->n_changed - 1] == node->view.id &&
        q->shapes[0]->seen != q->changed_base + q->n_changed)
        return;
    if (q->n_changed >= changes_kept(s)) {
        q->changed_base += q->n_changed;
        q->n_changed = 0;
    }
    VEC_PUSH(q->changed, q->n_changed, q->changed_cap, node->view.id);
}

/* NodeResourcesFit's LeastAllocated over cpu and memory, whole numbers as there. */
static int64_t least_allocated(const struct node *node, const struct shape *shape)
{
    const int64_t total[] = {node->view.record.allocatable.at[RESOURCE_CPU],
                             node->view.record.allocatable.at[RESOURCE_MEMORY]};
    const int64_t asked[] = {node->score_cpu + shape->score_cpu,
                             node->score_mem + shape->score_mem};
    int64_t sum = 0, weights = 0;

    for (size_t i = 0; i < COUNT_OF(total); i++) {
        if (total[i] <= 0)
            continue;
        weights++;
        if (asked[i] > total[i])
            continue;
        if (total[i] <= INT64_MAX / SCORE_FULL)
            sum += (total[i] - asked[i]) * SCORE_FULL / total[i];
        else
            sum += (total[i] - asked[i]) / (total[i] / SCORE_FULL);
    }
    return weights != 0 ? sum / weights : 0;
}

/* NodeResourcesBalancedAllocation: how near the shares of cpu and memory are to each other. It goes
 * by what was really asked for; pods that ask for neither are not scored. */
static int64_t balanced(const struct node *node, const struct shape *shape)
{
    static const int kinds[] = {RESOURCE_CPU, RESOURCE_MEMORY};
    double shares[COUNT_OF(kinds)];
    size_t n = 0;

    if (shape->request.at[RESOURCE_CPU] == 0 && shape->request.at[RESOURCE_MEMORY] == 0)
        return 0;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        double total = (double)node->view.record.allocatable.at[kinds[i]];
        double asked = (double)(node->view.used.at[kinds[i]] + shape->request.at[kinds[i]]);

        if (total > 0)
            shares[n++] = asked < total ? asked / total : 1.0;
    }
    return (int64_t)((1.0 - (n == 2 ? fabs((shares[0] - shares[1]) / 2) : 0.0)) * SCORE_FULL);
}

static bool fits(const struct shape *shape, const struct resources *room)
{
    for (size_t i = 0; i < shape->places.n; i++) {
        size_t place = shape->places.at[i];

        if (shape->request.at[place] > room->at[place])
            return false;
    }
    return true;
}

static uint64_t key_of(struct sim *s, const struct shape *shape, const struct node *node)
{
    struct resources room;

    if (node->nominated.n != 0)
        room = sched_room(node, NULL, shape->priority);
    if (!fits(shape, node->nominated.n != 0 ? &room : &node->free))
        return 0;
    return (uint64_t)(least_allocated(node, shape) + balanced(node, shape) + 1) << 32 |
           (sim_random(s) >> 32);
}

/* False: nothing is new about the node. */
static bool look_at(struct sim *s, struct shape *shape, uint32_t id)
{
    const struct node *node = s->nodes[id];
    struct leaf *leaf = &shape->leaves[id];

    if (node != NULL && leaf->changed == node->changed)
        return false;
    shape->accepts -= leaf->accepts;
    if (node == NULL || node->view.gone) {
        *leaf = (struct leaf){0};
        return true;
    }
    if (leaf->facts != node->facts) {
        leaf->facts = node->facts;
        leaf->accepts = rules_check_node(&shape->rules->rules, &node->view.record) == NODE_ACCEPTS;
    }
    leaf->changed = node->changed;
    shape->accepts += leaf->accepts;
    leaf->key = leaf->accepts ? key_of(s, shape, node) : 0;
    return true;
}

static uint32_t winner_of(const struct shape *shape, uint32_t at)
{
    return at >= shape->cap ? at - shape->cap : shape->winner[at];
}

static void play(struct shape *shape, uint32_t at)
{
    uint32_t left = winner_of(shape, 2 * at), right = winner_of(shape, 2 * at + 1);

    shape->winner[at] = shape->leaves[left].key >= shape->leaves[right].key ? left : right;
}

/* From a leaf up, as far as it makes a difference. */
static void climb(struct shape *shape, uint32_t id)
{
    for (uint32_t at = (shape->cap + id) / 2; at >= 1; at /= 2) {
        uint32_t before = shape->winner[at];

        play(shape, at);
        if (before != id && shape->winner[at] == before)
            return;
    }
}

static void rebuild(struct sim *s, struct shape *shape)
{
    uint32_t cap = 2;

    while (cap < s->n_nodes)
        cap *= 2;
    if (cap != shape->cap) {
        free(shape->leaves);
        free(shape->winner);
        shape->leaves = xcalloc(cap, sizeof *shape->leaves);
        shape->winner = xcalloc(cap, sizeof *shape->winner);
        shape->cap = cap;
        shape->accepts = 0;
    }
    for (uint32_t id = 0; id < s->n_nodes; id++)
        (void)look_at(s, shape, id);
    for (uint32_t at = cap - 1; at >= 1; at--)
        play(shape, at);
}

static void catch_up(struct sim *s, struct shape *shape)
{
    const struct sched *q = &s->sched;
    uint64_t end = q->changed_base + q->n_changed;

    if (shape->cap < s->n_nodes || shape->seen < q->changed_base ||
        end - shape->seen > s->n_nodes) {
        rebuild(s, shape);
    } else {
        for (uint64_t i = shape->seen; i < end; i++) {
            uint32_t id = q->changed[i - q->changed_base];

            if (look_at(s, shape, id))
                climb(shape, id);
        }
    }
    shape->seen = end;
}

static struct shape *shape_new(const struct pod *pod)
{
    struct shape *shape = xcalloc(1, sizeof *shape);

    shape->request = pod->spec->view.request;
    shape->rules = pack_rules(pod_rules_of(pod));
    shape->places = pod->spec->places;
    shape->score_cpu = pod->spec->score_cpu;
    shape->score_mem = pod->spec->score_mem;
    shape->priority = pod->spec->view.priority;
    return shape;
}

/* The place of the shape that was asked least recently. */
static size_t oldest(const struct sched *q)
{
    size_t at = 0;

    for (size_t i = 1; i < q->n_shapes; i++)
        at = q->shapes[i]->used < q->shapes[at]->used ? i : at;
    return at;
}

/* The one asked last stands first. */
static struct shape *shape_for(struct sched *q, const struct pod *pod)
{
    uint64_t hash = pod->spec->request_hash ^ pod_rules_hash(pod) * 31 ^
                    (uint64_t)(uint32_t)pod->spec->view.priority * 0x9e3779b97f4a7c15ULL;
    size_t at = 0;

    while (at < q->n_shapes && q->shape_hashes[at] != hash)
        at++;
    if (at == q->n_shapes) {
        if (q->n_shapes == SHAPES_MAX) {
            at = oldest(q);
            shape_free(q->shapes[at]);
        } else {
            q->n_shapes++;
        }
        q->shapes[at] = shape_new(pod);
    }

    struct shape *shape = q->shapes[at];

    q->shapes[at] = q->shapes[0];
    q->shape_hashes[at] = q->shape_hashes[0];
    q->shapes[0] = shape;
    q->shape_hashes[0] = hash;
    shape->used = ++q->shape_clock;
    return shape;
}

/*
 * How the pods of one workload stand on the nodes that fit: what a pod of it goes by that prefers
 * their company, or, as any Deployment's pod by default, avoids it.
 */
struct company {
    const struct workload *w;
    bool packs;
    uint32_t least, most; /* pods of it on one node */
    double spread_weight;
};

/* Those that leave keep their company but are no reason to stay away (pod affinity counts all,
 * topology spread the staying ones). */
static uint32_t company_on(const struct company *c, uint32_t id)
{
    if (id >= c->w->on_node_cap)
        return 0;
    return c->packs ? c->w->on_node[id].all : c->w->on_node[id].staying;
}

/* A pod of weight log(nodes + 2), and the skew that is allowed. */
static int64_t spread_raw(const struct company *c, uint32_t count)
{
    return llround(count * c->spread_weight + (SPREAD_SKEW - 1));
}

/* Of 0 .. 100: InterPodAffinity, or PodTopologySpread by the default constraint on hostnames. */
static int64_t company_score(const struct company *c, uint32_t count)
{
    if (c->packs)
        return (int64_t)SCORE_FULL * (count - c->least) / (c->most - c->least);

    int64_t most = spread_raw(c, c->most), least = spread_raw(c, c->least);

    return SCORE_FULL * (most + least - spread_raw(c, count)) / most;
}

/* The scores are relative to the nodes that fit, so that it needs a look at all of them. */
static uint32_t best_in_company(const struct sim *s, const struct shape *shape,
                                const struct workload *w, bool packs)
{
    struct company c = {.w = w, .packs = packs, .least = UINT32_MAX};
    uint32_t best = shape->winner[1], fitting = 0;
    uint64_t best_key = 0;

    for (uint32_t id = 0; id < s->n_nodes; id++) {
        if (shape->leaves[id].key == 0)
            continue;

        uint32_t count = company_on(&c, id);

        fitting++;
        c.least = count < c.least ? count : c.least;
        c.most = count > c.most ? count : c.most;
    }
    if (c.most <= c.least)
        return best;
    c.spread_weight = log(fitting + 2.0);
    for (uint32_t id = 0; id < s->n_nodes; id++) {
        uint64_t key = shape->leaves[id].key;

        if (key == 0)
            continue;
        key += (uint64_t)(WEIGHT_COMPANY * company_score(&c, company_on(&c, id))) << 32;
        if (key > best_key) {
            best_key = key;
            best = id;
        }
    }
    return best;
}

struct node *shape_pick(struct sim *s, const struct pod *pod, bool *ret_accepting)
{
    *ret_accepting = false;
    if (s->n_nodes == 0)
        return NULL;

    struct shape *shape = shape_for(&s->sched, pod);

    catch_up(s, shape);
    *ret_accepting = shape->accepts != 0;

    uint32_t id = shape->winner[1];

    if (shape->leaves[id].key == 0)
        return NULL;
    if (pod->owner != NULL)
        id = best_in_company(s, shape, pod->owner, pod->spec->view.packs);
    return s->nodes[id];
}
