/*
 * A shape is what pods with one request, one priority and one set of rules see of the nodes: a key
 * for each node that would take one now, the largest of which wins. It is brought up to date just
 * before it is asked, from the list of nodes that changed since: an attempt costs O(changed), plus a
 * look at the largest key of each block of SHAPE_BLOCK nodes. With many kinds of pods most of a replay's time is spent here: what is looked at lies
 * densely (struct glance, keys), apart from the nodes themselves.
 */
#include <math.h>

#include "policy/sim/parts.h"

/* Least and balanced allocation count once, pod affinity and topology spread twice (default weights
 * of kube-scheduler's plugins); maxSkew of the default constraint on hostnames. */
enum { SCORE_FULL = 100, WEIGHT_COMPANY = 2, SPREAD_SKEW = 3 };

/* Keys under one maximum. */
enum { SHAPE_BLOCK = 16 };

struct shape {
    struct resources request;
    struct packed_rules *rules;
    struct places places;
    bool common; /* asks for cpu, memory and a place alone */
    int64_t score_cpu, score_mem;
    int32_t priority;
    uint64_t used;       /* when it was last asked, for making place */
    uint64_t seen;       /* changes it knows */
    uint64_t facts_seen; /* the facts' clock when all of accept[] was known */
    uint32_t cap;        /* nodes there is room for: a multiple of SHAPE_BLOCK */
    uint32_t n_accept;   /* nodes that would take it but for room */
    /* By node. */
    uint64_t *key;     /* score + 1 above, a random number below: ties fall by chance. 0: no room */
    uint64_t *changed; /* the node's, when its key was found */
    uint64_t *facts;   /* the node's, when accept was found */
    bool *accept;
    /* By block. */
    uint64_t *most; /* its largest key */
    uint32_t *best; /* the node that has it */
    bool *stale;    /* that key became smaller */
};

void shape_free(struct shape *shape)
{
    if (shape == NULL)
        return;
    free(shape->rules);
    free(shape->key);
    free(shape->changed);
    free(shape->facts);
    free(shape->accept);
    free(shape->most);
    free(shape->best);
    free(shape->stale);
    free(shape);
}

/* Beyond this many noted changes a shape is as well built anew. */
static size_t changes_kept(const struct sim *s)
{
    return 2 * s->n_nodes + 1024;
}

static void glance_at(struct sched *q, const struct node *node)
{
    const struct resources *total = &node->view.record.allocatable;
    uint32_t id = node->view.id;
    size_t old = q->glances_cap;

    if (id >= old) {
        q->glances = vec_reserve(q->glances, &q->glances_cap, id + 1U, sizeof *q->glances);
        memset(q->glances + old, 0, (q->glances_cap - old) * sizeof *q->glances);
    }

    struct glance *g = &q->glances[id];

    if (g->total_cpu != total->at[RESOURCE_CPU] || g->total_mem != total->at[RESOURCE_MEMORY]) {
        g->total_cpu = total->at[RESOURCE_CPU];
        g->total_mem = total->at[RESOURCE_MEMORY];
        g->per_cpu = SCORE_FULL / (double)g->total_cpu;
        g->per_mem = SCORE_FULL / (double)g->total_mem;
        g->large = g->total_cpu > INT64_MAX / SCORE_FULL || g->total_mem > INT64_MAX / SCORE_FULL;
    }
    g->free_cpu = node->free.at[RESOURCE_CPU];
    g->free_mem = node->free.at[RESOURCE_MEMORY];
    g->free_pods = node->free.at[RESOURCE_PODS];
    g->score_cpu = node->score_cpu;
    g->score_mem = node->score_mem;
    g->changed = node->changed;
    g->gone = node->view.gone;
    g->promised = node->nominated.n != 0;
}

void shape_node_changed(struct sim *s, struct node *node)
{
    struct sched *q = &s->sched;

    node->changed = ++s->serial;
    glance_at(q, node);
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

/* SCORE_FULL * left / total, rounded down; `per` is SCORE_FULL / total and saves the division. */
static int64_t part_of(int64_t left, int64_t total, double per)
{
    int64_t part = (int64_t)((double)left * per), rest = left * SCORE_FULL - part * total;

    return part + (rest >= total) - (rest < 0);
}

/* NodeResourcesFit's LeastAllocated over cpu and memory, whole numbers as there. */
static int64_t least_allocated(const struct glance *g, const struct shape *shape)
{
    const int64_t total[] = {g->total_cpu, g->total_mem};
    const int64_t asked[] = {g->score_cpu + shape->score_cpu, g->score_mem + shape->score_mem};
    const double per[] = {g->per_cpu, g->per_mem};
    int64_t sum = 0, weights = 0;

    for (size_t i = 0; i < COUNT_OF(total); i++) {
        if (total[i] <= 0)
            continue;
        weights++;
        if (asked[i] > total[i])
            continue;
        if (!g->large)
            sum += part_of(total[i] - asked[i], total[i], per[i]);
        else if (total[i] <= INT64_MAX / SCORE_FULL)
            sum += (total[i] - asked[i]) * SCORE_FULL / total[i];
        else
            sum += (total[i] - asked[i]) / (total[i] / SCORE_FULL);
    }
    return weights == 2 ? sum / 2 : sum;
}

/* NodeResourcesBalancedAllocation: how near the shares of cpu and memory are to each other. It goes
 * by what was really asked for; pods that ask for neither are not scored. */
static int64_t balanced(const struct glance *g, const struct shape *shape)
{
    const int64_t *request = shape->request.at;
    const int64_t totals[] = {g->total_cpu, g->total_mem};
    const int64_t askeds[] = {g->total_cpu - g->free_cpu + request[RESOURCE_CPU],
                              g->total_mem - g->free_mem + request[RESOURCE_MEMORY]};
    double shares[COUNT_OF(totals)];
    size_t n = 0;

    if (request[RESOURCE_CPU] == 0 && request[RESOURCE_MEMORY] == 0)
        return 0;
    for (size_t i = 0; i < COUNT_OF(totals); i++) {
        double total = (double)totals[i], asked = (double)askeds[i];

        if (total > 0)
            shares[n++] = asked < total ? asked / total : 1.0;
    }
    return (int64_t)((1.0 - (n == 2 ? fabs((shares[0] - shares[1]) / 2) : 0.0)) * SCORE_FULL);
}

/* With all the resources there are, and what other pods were promised. */
static bool fits_closely(const struct shape *shape, const struct node *node)
{
    struct resources room;

    if (node->nominated.n != 0)
        room = sched_room(node, NULL, shape->priority);
    else
        room = node->free;
    for (size_t i = 0; i < shape->places.n; i++) {
        size_t place = shape->places.at[i];

        if (shape->request.at[place] > room.at[place])
            return false;
    }
    return true;
}

static bool fits(const struct sim *s, const struct shape *shape, uint32_t id)
{
    const struct glance *g = &s->sched.glances[id];
    const int64_t *asked = shape->request.at;

    if (!shape->common || g->promised)
        return fits_closely(shape, s->nodes[id]);
    return (asked[RESOURCE_CPU] == 0 || asked[RESOURCE_CPU] <= g->free_cpu) &&
           (asked[RESOURCE_MEMORY] == 0 || asked[RESOURCE_MEMORY] <= g->free_mem) &&
           asked[RESOURCE_PODS] <= g->free_pods;
}

static uint64_t key_of(struct sim *s, const struct shape *shape, uint32_t id)
{
    const struct glance *g = &s->sched.glances[id];

    if (!fits(s, shape, id))
        return 0;
    return (uint64_t)(least_allocated(g, shape) + balanced(g, shape) + 1) << 32 |
           (sim_random(s) >> 32);
}

static void set_accept(struct shape *shape, uint32_t id, bool accept)
{
    shape->n_accept -= shape->accept[id];
    shape->accept[id] = accept;
    shape->n_accept += accept;
}

static void set_key(struct shape *shape, uint32_t id, uint64_t key)
{
    uint32_t block = id / SHAPE_BLOCK;

    shape->key[id] = key;
    if (key >= shape->most[block]) {
        shape->most[block] = key;
        shape->best[block] = id;
        shape->stale[block] = false;
    } else if (shape->best[block] == id) {
        shape->stale[block] = true;
    }
}

/* Nothing changes where nothing is new about the node. `facts`: those of a node may be new. */
static void look_at(struct sim *s, struct shape *shape, uint32_t id, bool facts)
{
    const struct glance *g = &s->sched.glances[id];

    if (shape->changed[id] == g->changed)
        return;
    shape->changed[id] = g->changed;
    if (g->gone) {
        set_accept(shape, id, false);
        shape->facts[id] = 0;
    } else if (facts && shape->facts[id] != s->nodes[id]->facts) {
        shape->facts[id] = s->nodes[id]->facts;
        set_accept(shape, id,
                   rules_check_node(&shape->rules->rules, &s->nodes[id]->view.record) ==
                       NODE_ACCEPTS);
    }
    set_key(shape, id, shape->accept[id] ? key_of(s, shape, id) : 0);
}

static void find_best(struct shape *shape, uint32_t block)
{
    uint32_t begin = block * SHAPE_BLOCK, best = begin;

    for (uint32_t id = begin + 1; id < begin + SHAPE_BLOCK; id++)
        best = shape->key[id] > shape->key[best] ? id : best;
    shape->most[block] = shape->key[best];
    shape->best[block] = best;
    shape->stale[block] = false;
}

/* The key that a stale block is said to have is more than it has. */
static uint32_t winner(struct shape *shape)
{
    uint32_t best = 0;
    uint64_t most = 0;

    for (uint32_t block = 0; block < shape->cap / SHAPE_BLOCK; block++) {
        if (shape->most[block] <= most)
            continue;
        if (shape->stale[block])
            find_best(shape, block);
        if (shape->most[block] > most) {
            most = shape->most[block];
            best = shape->best[block];
        }
    }
    return best;
}

static void reserve(struct shape *shape, size_t nodes)
{
    uint32_t cap = (uint32_t)((nodes + SHAPE_BLOCK - 1) / SHAPE_BLOCK * SHAPE_BLOCK);

    free(shape->key);
    free(shape->changed);
    free(shape->facts);
    free(shape->accept);
    free(shape->most);
    free(shape->best);
    free(shape->stale);
    shape->key = xcalloc(cap, sizeof *shape->key);
    shape->changed = xcalloc(cap, sizeof *shape->changed);
    shape->facts = xcalloc(cap, sizeof *shape->facts);
    shape->accept = xcalloc(cap, sizeof *shape->accept);
    shape->most = xcalloc(cap / SHAPE_BLOCK, sizeof *shape->most);
    shape->best = xcalloc(cap / SHAPE_BLOCK, sizeof *shape->best);
    shape->stale = xcalloc(cap / SHAPE_BLOCK, sizeof *shape->stale);
    shape->cap = cap;
    shape->n_accept = 0;
    shape->facts_seen = 0; /* nothing is known */
}

static void catch_up(struct sim *s, struct shape *shape)
{
    const struct sched *q = &s->sched;
    uint64_t end = q->changed_base + q->n_changed;

    if (shape->cap < s->n_nodes)
        reserve(shape, s->n_nodes);

    bool facts = shape->facts_seen != q->facts_clock;

    if (shape->facts_seen == 0 || shape->seen < q->changed_base || end - shape->seen > s->n_nodes) {
        for (uint32_t id = 0; id < s->n_nodes; id++)
            look_at(s, shape, id, true);
    } else {
        for (uint64_t i = shape->seen; i < end; i++)
            look_at(s, shape, q->changed[i - q->changed_base], facts);
    }
    shape->seen = end;
    shape->facts_seen = q->facts_clock;
}

static struct shape *shape_new(const struct pod *pod)
{
    struct shape *shape = xcalloc(1, sizeof *shape);

    shape->request = pod->spec->view.request;
    shape->rules = pack_rules(pod_rules_of(pod));
    shape->places = pod->spec->places;
    shape->common = true;
    for (size_t i = 0; i < shape->places.n; i++)
        shape->common &= shape->places.at[i] == RESOURCE_CPU ||
                         shape->places.at[i] == RESOURCE_MEMORY ||
                         shape->places.at[i] == RESOURCE_PODS;
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
static uint32_t best_in_company(const struct sim *s, const struct shape *shape, uint32_t best,
                                const struct workload *w, bool packs)
{
    struct company c = {.w = w, .packs = packs, .least = UINT32_MAX};
    uint32_t fitting = 0;
    uint64_t best_key = 0;

    for (uint32_t id = 0; id < s->n_nodes; id++) {
        if (shape->key[id] == 0)
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
        uint64_t key = shape->key[id];

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
    *ret_accepting = shape->n_accept != 0;

    uint32_t id = winner(shape);

    if (shape->key[id] == 0)
        return NULL;
    if (pod->owner != NULL)
        id = best_in_company(s, shape, id, pod->owner, pod->spec->view.packs);
    return s->nodes[id];
}
