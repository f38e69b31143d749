/*
 * A shape is what pods with one request, one priority and one set of rules see of the nodes: a key
 * for each node that would take one now, the largest of which wins. It is brought up to date just
 * before it is asked, from the list of nodes that changed since: an attempt costs O(changed), plus a
 * look at the largest key of each block of SHAPE_BLOCK nodes. With many kinds of pods much of a
 * replay's time is spent here: what is looked at lies densely (struct glance, keys), apart from the
 * nodes themselves, and branches that would be guessed wrong are avoided.
 */
#include <math.h>

#include "base/num.h"
#include "policy/sim/parts.h"

/* Least and balanced allocation count once, pod affinity and topology spread twice (default weights
 * of kube-scheduler's plugins); maxSkew of the default constraint on hostnames. */
enum { SCORE_FULL = 100, WEIGHT_COMPANY = 2, SPREAD_SKEW = 3 };

/* Keys under one maximum. */
enum { SHAPE_BLOCK = 16 };

/* Above all random numbers of a key; a key is a whole number that a double holds exactly. */
#define KEY_SCORE 4294967296.0

struct shape {
    struct resources request;
    struct packed_rules *rules;
    struct places places;
    bool small;  /* no amount reaches GLANCE_LIMIT */
    bool common; /* it is small and asks for cpu, memory and a place alone */
    bool bare;   /* asks for neither cpu nor memory */
    int64_t score_cpu, score_mem;
    pair score, asked; /* for a glance */
    pair needed;       /* as asked; what is not asked for is below all there is */
    int32_t priority;
    uint64_t random;     /* the state of its generator */
    uint64_t used;       /* when it was last asked, for making place */
    uint64_t seen;       /* changes it knows */
    uint64_t facts_seen; /* the facts' clock when all of accept[] was known; 0: nothing is known */
    uint32_t cap;        /* nodes there is room for: a multiple of SHAPE_BLOCK */
    uint32_t n_accept;   /* nodes that would take it but for room */
    /* By node. */
    double *key; /* KEY_SCORE * (score + 1) and a random number: ties fall by chance. 0: no room */
    uint64_t *facts; /* the node's, when accept was found */
    bool *accept;
    /* By block. */
    double *most; /* its largest key … */
    bool *stale;  /* … unless one has changed since */
};

void shape_free(struct shape *shape)
{
    if (shape == NULL)
        return;
    free(shape->rules);
    free(shape->key);
    free(shape->facts);
    free(shape->accept);
    free(shape->most);
    free(shape->stale);
    free(shape);
}

/* Beyond this many noted changes a shape is as well built anew. */
static size_t changes_kept(const struct sim *s)
{
    return 2 * s->n_nodes + 1024;
}

static bool below_limit(int64_t amount)
{
    return amount > -GLANCE_LIMIT && amount < GLANCE_LIMIT;
}

static pair pair_of(int64_t cpu, int64_t mem)
{
    return (pair){(double)cpu, (double)mem};
}

static int32_t within_int32(int64_t value)
{
    return (int32_t)max_i64(min_i64(value, INT32_MAX), INT32_MIN);
}

static struct glance *glance_at(struct sched *q, const struct node *node)
{
    const int64_t *total = node->view.record.allocatable.at, *left = node->free.at;
    uint32_t id = node->view.id;
    size_t old = q->glances_cap;

    if (id >= old) {
        q->glances = vec_reserve(q->glances, &q->glances_cap, id + 1U, sizeof *q->glances);
        memset(q->glances + old, 0, (q->glances_cap - old) * sizeof *q->glances);
    }

    struct glance *g = &q->glances[id];

    g->total = pair_of(total[RESOURCE_CPU], total[RESOURCE_MEMORY]);
    g->used = g->total - pair_of(left[RESOURCE_CPU], left[RESOURCE_MEMORY]);
    g->score = pair_of(node->score_cpu, node->score_mem);
    g->free_pods = within_int32(left[RESOURCE_PODS]);
    g->gone = node->view.gone;
    g->promised = node->nominated.n != 0;
    g->large = total[RESOURCE_CPU] <= 0 || total[RESOURCE_MEMORY] <= 0 ||
               !below_limit(total[RESOURCE_CPU]) || !below_limit(total[RESOURCE_MEMORY]) ||
               !below_limit(left[RESOURCE_CPU]) || !below_limit(left[RESOURCE_MEMORY]) ||
               !below_limit(node->score_cpu) || !below_limit(node->score_mem);
    g->odd = g->gone || g->promised || g->large;
    return g;
}

void shape_node_changed(struct sim *s, struct node *node)
{
    struct sched *q = &s->sched;
    struct glance *g = glance_at(q, node);
    uint32_t id = node->view.id;

    if (q->n_shapes == 0)
        return;
    /* Noted already, and not seen since: the first shape was asked last and has seen most. */
    if (q->n_changed != 0 && q->changed[q->n_changed - 1].node == id &&
        q->shapes[0]->seen != q->changed_base + q->n_changed)
        return;
    if (q->n_changed >= changes_kept(s)) {
        q->changed_base += q->n_changed;
        q->n_changed = 0;
    }
    VEC_PUSH(q->changed, q->n_changed, q->changed_cap,
             ((struct change){.before = g->noted, .node = id}));
    g->noted = q->changed_base + q->n_changed;
}

/* NodeResourcesFit's LeastAllocated over cpu and memory, whole numbers as there. */
static int64_t least_allocated(const struct node *node, const struct shape *shape)
{
    const int64_t *totals = node->view.record.allocatable.at;
    const int64_t total[] = {totals[RESOURCE_CPU], totals[RESOURCE_MEMORY]};
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
    return weights == 2 ? sum / 2 : sum;
}

/* NodeResourcesBalancedAllocation: how near the shares of cpu and memory are to each other. It goes
 * by what was really asked for; pods that ask for neither are not scored. */
static int64_t balanced(const struct node *node, const struct shape *shape)
{
    const int64_t *request = shape->request.at, *left = node->free.at;
    const int64_t *total = node->view.record.allocatable.at;
    const int64_t totals[] = {total[RESOURCE_CPU], total[RESOURCE_MEMORY]};
    const int64_t askeds[] = {total[RESOURCE_CPU] - left[RESOURCE_CPU] + request[RESOURCE_CPU],
                              total[RESOURCE_MEMORY] - left[RESOURCE_MEMORY] +
                                  request[RESOURCE_MEMORY]};
    double shares[COUNT_OF(totals)];
    size_t n = 0;

    if (shape->bare)
        return 0;
    for (size_t i = 0; i < COUNT_OF(totals); i++) {
        double of = (double)totals[i], asked = (double)askeds[i];

        if (of > 0)
            shares[n++] = asked < of ? asked / of : 1.0;
    }
    return (int64_t)((1.0 - (n == 2 ? fabs((shares[0] - shares[1]) / 2) : 0.0)) * SCORE_FULL);
}

static double at_most_1(double value)
{
    return value < 1 ? value : 1;
}

/* least_allocated() + balanced() of a node that is not large and a small shape. Called for millions
 * of nodes: without branches. */
static inline int64_t plain_score(const struct glance *g, pair score, pair asked, bool bare)
{
    pair left = (double)SCORE_FULL * (g->total - g->score - score) / g->total;
    pair share = (g->used + asked) / g->total;
    uint64_t least = (uint64_t)(max_i64((int64_t)left[0], 0) + max_i64((int64_t)left[1], 0));
    double apart = fabs((at_most_1(share[0]) - at_most_1(share[1])) / 2);

    return (int64_t)(least / 2) + (bare ? 0 : (int64_t)((1.0 - apart) * SCORE_FULL));
}

/* Of a node that is not odd and a common shape. */
static inline bool plain_fits(const struct glance *g, pair needed)
{
    pair then = g->used + needed;

    return (then[0] <= g->total[0]) & (then[1] <= g->total[1]) & (g->free_pods >= 1);
}

/* 0: no room. */
static inline double key_of(int64_t score, uint64_t random, bool room)
{
    return (double)(room ? (score + 1) << 32 | (int64_t)(random >> 32) : 0);
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

    return shape->common && !g->odd ? plain_fits(g, shape->needed)
                                    : fits_closely(shape, s->nodes[id]);
}

static int64_t score(const struct sim *s, const struct shape *shape, uint32_t id)
{
    const struct glance *g = &s->sched.glances[id];

    if (shape->small && !g->large)
        return plain_score(g, shape->score, shape->asked, shape->bare);
    return least_allocated(s->nodes[id], shape) + balanced(s->nodes[id], shape);
}

static void set_accept(struct shape *shape, uint32_t id, bool accept)
{
    shape->n_accept -= shape->accept[id];
    shape->accept[id] = accept;
    shape->n_accept += accept;
}

/* Is the node one that takes the shape but for room? */
static bool accepts(struct sim *s, struct shape *shape, uint32_t id, bool facts)
{
    const struct node *node;

    if (s->sched.glances[id].gone) {
        set_accept(shape, id, false);
        shape->facts[id] = 0;
        return false;
    }
    if (!facts)
        return shape->accept[id];
    node = s->nodes[id];
    if (shape->facts[id] != node->facts) {
        shape->facts[id] = node->facts;
        set_accept(shape, id,
                   rules_check_node(&shape->rules->rules, &node->view.record) == NODE_ACCEPTS);
    }
    return shape->accept[id];
}

/* A node changed. `facts`: those of a node may be new. Only where there is room is a random number
 * drawn. */
static void look_at(struct sim *s, struct shape *shape, uint32_t id, bool facts)
{
    shape->stale[id / SHAPE_BLOCK] = true;
    shape->key[id] = 0;
    if (accepts(s, shape, id, facts) && fits(s, shape, id))
        shape->key[id] = key_of(score(s, shape, id), random_of(shape->random += RANDOM_STEP), true);
}

/* look_at() for what the shape has not seen, a common one of which all facts are known. */
static void look_quickly(struct sim *s, struct shape *shape)
{
    const struct sched *q = &s->sched;
    const struct change *end = q->changed + q->n_changed;
    const pair score = shape->score, asked = shape->asked, needed = shape->needed;
    const bool bare = shape->bare, *accept = shape->accept;
    const uint64_t seen = shape->seen;
    double *key = shape->key;
    bool *stale = shape->stale;
    uint64_t random = shape->random;

    for (const struct change *c = q->changed + (seen - q->changed_base); c < end; c++) {
        const struct glance *g = &q->glances[c->node];
        uint64_t next = random + RANDOM_STEP;

        if (c->before > seen)
            continue;
        if (g->odd || !accept[c->node]) {
            shape->random = random;
            look_at(s, shape, c->node, false);
            random = shape->random;
            continue;
        }

        bool room = plain_fits(g, needed);

        key[c->node] = key_of(plain_score(g, score, asked, bare), random_of(next), room);
        stale[c->node / SHAPE_BLOCK] = true;
        random = room ? next : random;
    }
    shape->random = random;
}

static double most_of(const double *key)
{
    double even = 0, odd = 0;

    for (size_t i = 0; i < SHAPE_BLOCK; i += 2) {
        even = key[i] > even ? key[i] : even;
        odd = key[i + 1] > odd ? key[i + 1] : odd;
    }
    return even > odd ? even : odd;
}

/* The node with the largest key; one without a key if there is no room. */
static uint32_t winner(struct shape *shape)
{
    const uint32_t blocks = shape->cap / SHAPE_BLOCK;
    const double *key = shape->key;
    double *mosts = shape->most, most = 0;
    bool *stale = shape->stale;
    uint32_t best = 0;

    for (uint32_t block = 0; block < blocks; block++) {
        if (stale[block])
            mosts[block] = most_of(&key[block * SHAPE_BLOCK]);
        stale[block] = false;
        best = mosts[block] > most ? block : best;
        most = mosts[block] > most ? mosts[block] : most;
    }
    best *= SHAPE_BLOCK;
    while (key[best] < most)
        best++;
    return best;
}

static void reserve(struct shape *shape, size_t nodes)
{
    uint32_t cap = (uint32_t)((nodes + SHAPE_BLOCK - 1) / SHAPE_BLOCK * SHAPE_BLOCK);

    free(shape->key);
    free(shape->facts);
    free(shape->accept);
    free(shape->most);
    free(shape->stale);
    shape->key = xcalloc(cap, sizeof *shape->key);
    shape->facts = xcalloc(cap, sizeof *shape->facts);
    shape->accept = xcalloc(cap, sizeof *shape->accept);
    shape->most = xcalloc(cap / SHAPE_BLOCK, sizeof *shape->most);
    shape->stale = xcalloc(cap / SHAPE_BLOCK, sizeof *shape->stale);
    shape->cap = cap;
    shape->n_accept = 0;
    shape->facts_seen = 0;
}

static void catch_up(struct sim *s, struct shape *shape)
{
    const struct sched *q = &s->sched;
    uint64_t end = q->changed_base + q->n_changed;

    if (shape->cap < s->n_nodes)
        reserve(shape, s->n_nodes);

    bool known = shape->facts_seen != 0, facts = shape->facts_seen != q->facts_clock;

    if (!known || shape->seen < q->changed_base || end - shape->seen > s->n_nodes) {
        for (uint32_t id = 0; id < s->n_nodes; id++) {
            if (!known || q->glances[id].noted > shape->seen)
                look_at(s, shape, id, true);
        }
    } else if (shape->common && !facts) {
        look_quickly(s, shape);
    } else {
        for (uint64_t i = shape->seen; i < end; i++) {
            const struct change *change = &q->changed[i - q->changed_base];

            /* Of several changes of a node the first is looked at. */
            if (change->before <= shape->seen)
                look_at(s, shape, change->node, facts);
        }
    }
    shape->seen = end;
    shape->facts_seen = q->facts_clock;
}

/* `hash` is the shape's. One that was dropped and is built anew has other luck than before. */
static struct shape *shape_new(const struct sim *s, const struct pod *pod, uint64_t hash)
{
    struct shape *shape = xcalloc(1, sizeof *shape);
    const int64_t *request = pod->spec->view.request.at;

    shape->random = sim_seed(s, hash + (uint64_t)s->now.us);
    shape->request = pod->spec->view.request;
    shape->rules = pack_rules(pod_rules_of(pod));
    shape->places = pod->spec->places;
    shape->small = below_limit(request[RESOURCE_CPU]) && below_limit(request[RESOURCE_MEMORY]);
    shape->bare = request[RESOURCE_CPU] == 0 && request[RESOURCE_MEMORY] == 0;
    shape->common = shape->small;
    for (size_t i = 0; i < shape->places.n; i++)
        shape->common &= shape->places.at[i] == RESOURCE_CPU ||
                         shape->places.at[i] == RESOURCE_MEMORY ||
                         shape->places.at[i] == RESOURCE_PODS;
    shape->score_cpu = pod->spec->score_cpu;
    shape->score_mem = pod->spec->score_mem;
    shape->score = pair_of(shape->score_cpu, shape->score_mem);
    shape->asked = pair_of(request[RESOURCE_CPU], request[RESOURCE_MEMORY]);
    shape->needed = (pair){request[RESOURCE_CPU] > 0 ? shape->asked[0] : -INFINITY,
                           request[RESOURCE_MEMORY] > 0 ? shape->asked[1] : -INFINITY};
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
static struct shape *shape_for(struct sim *s, const struct pod *pod)
{
    struct sched *q = &s->sched;
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
        q->shapes[at] = shape_new(s, pod, hash);
    }

    struct shape *shape = q->shapes[at];

    q->shapes[at] = q->shapes[0];
    q->shape_hashes[at] = q->shape_hashes[0];
    q->shapes[0] = shape;
    q->shape_hashes[0] = hash;
    shape->used = ++q->shape_clock;
    return shape;
}

/* Nodes have few different counts: what the first of them add to a key is made once. */
enum { COMPANY_KEYS = 64 };

/*
 * How the pods of one workload stand on the nodes that fit: what a pod of it goes by that prefers
 * their company, or, as any Deployment's pod by default, avoids it.
 */
struct company {
    const struct workload *w;
    bool packs;
    uint32_t least, most; /* pods of it on one node */
    double spread_weight;
    double keys[COMPANY_KEYS]; /* company_key() of `least` and what follows */
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

/* What it adds to a node's key. */
static double company_key(const struct company *c, uint32_t count)
{
    return KEY_SCORE * (double)(WEIGHT_COMPANY * company_score(c, count));
}

static void set_keys(struct company *c)
{
    for (uint32_t i = 0; i < COMPANY_KEYS && i <= c->most - c->least; i++)
        c->keys[i] = company_key(c, c->least + i);
}

static double key_of_count(const struct company *c, uint32_t count)
{
    return count - c->least < COMPANY_KEYS ? c->keys[count - c->least] : company_key(c, count);
}

/* The scores are relative to the nodes that fit, so that it needs a look at all of them. */
static uint32_t best_in_company(const struct sim *s, const struct shape *shape, uint32_t best,
                                const struct workload *w, bool packs)
{
    struct company c = {.w = w, .packs = packs, .least = UINT32_MAX};
    uint32_t fitting = 0;
    double best_key = 0;

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
    set_keys(&c);
    for (uint32_t id = 0; id < s->n_nodes; id++) {
        double key = shape->key[id];

        if (key == 0)
            continue;
        key += key_of_count(&c, company_on(&c, id));
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

    struct shape *shape = shape_for(s, pod);

    catch_up(s, shape);
    *ret_accepting = shape->n_accept != 0;

    uint32_t id = winner(shape);

    if (shape->key[id] == 0)
        return NULL;
    if (pod->owner != NULL)
        id = best_in_company(s, shape, id, pod->owner, pod->spec->view.packs);
    return s->nodes[id];
}
