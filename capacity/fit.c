#include "capacity/fit.h"

#include "base/alloc.h"
#include "base/num.h"
#include "capacity/selector.h"

struct fit {
    struct resources request;
    struct resource_places places; /* of the request, and cpu */
    struct packed_rules *rules;
    int64_t min_paid_milli;
    int owner;
    struct fit_node *nodes;
    uint64_t *facts; /* of each node, when its rules were looked at */
    bool *accepts;
    size_t n_nodes;
    struct fit_sum sum;
    int64_t largest_milli; /* as far as it is known */
    bool largest_left;     /* a node as large as that offers less by now */
};

/* The room in cpu is shown, whatever is asked for. */
static struct resource_places places_with_cpu(const struct resources *request)
{
    struct resources more = *request;

    more.at[RESOURCE_CPU] = 1;
    return resources_places(&more);
}

struct fit *fit_new(const struct resources *request, const struct pod_rules *rules,
                    int64_t min_paid_milli)
{
    struct fit *f = xcalloc(1, sizeof *f);

    f->request = *request;
    f->request.at[RESOURCE_PODS] = 1;
    f->places = places_with_cpu(&f->request);
    f->rules = pack_rules(rules);
    f->min_paid_milli = min_paid_milli;
    f->owner = CLUSTER_PAID;
    return f;
}

void fit_set_owner(struct fit *f, int filler)
{
    f->owner = filler;
}

void fit_free(struct fit *f)
{
    if (f == NULL)
        return;
    free(f->rules);
    free(f->nodes);
    free(f->facts);
    free(f->accepts);
    free(f);
}

const struct resources *fit_request(const struct fit *f)
{
    return &f->request;
}

bool fit_is_for(const struct fit *f, const struct resources *request, const struct pod_rules *rules,
                int64_t min_paid_milli)
{
    CLEANUP(free_ptr) struct packed_rules *packed = pack_rules(rules);
    struct resources whole = *request;

    whole.at[RESOURCE_PODS] = 1;
    return packed->hash == f->rules->hash && min_paid_milli == f->min_paid_milli &&
           resources_equal(&whole, &f->request);
}

struct resources fit_room(const struct cluster_node *n)
{
    struct resources room = cluster_sum(n, NODE_SUM_ALLOCATABLE);
    struct resources paid = cluster_sum(n, NODE_SUM_PAID);
    struct resources claimed = cluster_sum(n, NODE_SUM_CLAIMED);

    resources_sub(&room, &paid);
    resources_sub(&room, &claimed);
    return room;
}

void fit_room_at(const struct cluster_node *n, const struct resource_places *places,
                 struct resources *ret_room)
{
    for (int i = 0; i < places->n; i++)
        ret_room->at[places->at[i]] = cluster_sum_place(n, NODE_SUM_ALLOCATABLE, places->at[i]);
    cluster_sum_sub_at(n, NODE_SUM_PAID, places, ret_room);
    cluster_sum_sub_at(n, NODE_SUM_CLAIMED, places, ret_room);
}

/* Does the node take the filler but for room? Its rules are looked at when its facts are new. */
static bool accepts(struct fit *f, uint32_t index, const struct cluster_node *n)
{
    if (f->facts[index] != n->facts) {
        struct node_record record = cluster_node_record(n);

        f->facts[index] = n->facts;
        f->accepts[index] = rules_check_node(&f->rules->rules, &record) == NODE_ACCEPTS;
    }
    return f->accepts[index];
}

static struct fit_node measure(struct fit *f, uint32_t index, const struct cluster *c)
{
    const struct cluster_node *n = cluster_node(c, index);
    struct fit_node result = {0};
    struct resources room;

    if (n == NULL || !accepts(f, index, n))
        return result;
    fit_room_at(n, &f->places, &room);
    result.eligible = true;
    result.allocatable_milli = cluster_sum_place(n, NODE_SUM_ALLOCATABLE, RESOURCE_CPU);
    result.paid_milli = cluster_sum_place(n, NODE_SUM_PAID, RESOURCE_CPU);
    result.claimed_milli = cluster_sum_place(n, NODE_SUM_CLAIMED, RESOURCE_CPU);
    result.room_milli = max_i64(room.at[RESOURCE_CPU], 0);
    result.offers = result.paid_milli >= f->min_paid_milli;
    if (!result.offers)
        return result;
    cluster_sub_apart(c, index, f->owner, &f->places, &room);
    result.slots = resources_times_at(&f->request, &room, &f->places);
    cluster_sum_sub_at(n, NODE_SUM_LEAVING, &f->places, &room);
    result.slots_now = resources_times_at(&f->request, &room, &f->places);
    return result;
}

static int64_t offered_milli(const struct fit_node *node)
{
    return node->offers ? node->allocatable_milli : 0;
}

static void sum_add(struct fit_sum *sum, const struct fit_node *node, int sign)
{
    sum->nodes += sign * node->eligible;
    sum->allocatable_milli += sign * node->allocatable_milli;
    sum->offered_milli += sign * offered_milli(node);
    sum->paid_milli += sign * node->paid_milli;
    sum->claimed_milli += sign * node->claimed_milli;
    sum->room_milli += sign * node->room_milli;
    sum->slots += sign * node->slots;
    sum->slots_now += sign * node->slots_now;
}

static void reserve(struct fit *f, size_t nodes)
{
    size_t old = f->n_nodes, cap = old, facts_cap = old, accepts_cap = old;

    f->nodes = vec_reserve(f->nodes, &cap, nodes, sizeof *f->nodes);
    f->facts = vec_reserve(f->facts, &facts_cap, cap, sizeof *f->facts);
    f->accepts = vec_reserve(f->accepts, &accepts_cap, cap, sizeof *f->accepts);
    memset(f->nodes + old, 0, (cap - old) * sizeof *f->nodes);
    memset(f->facts + old, 0, (cap - old) * sizeof *f->facts);
    f->n_nodes = cap;
}

static void note_size(struct fit *f, int64_t before_milli, int64_t milli)
{
    if (milli >= f->largest_milli) {
        f->largest_milli = milli;
        f->largest_left = false;
    } else if (before_milli == f->largest_milli) {
        f->largest_left = true;
    }
}

static void look_at(struct fit *f, const struct cluster *c, uint32_t index)
{
    int64_t before_milli;

    if (index >= f->n_nodes)
        reserve(f, cluster_node_limit(c));
    before_milli = offered_milli(&f->nodes[index]);
    sum_add(&f->sum, &f->nodes[index], -1);
    f->nodes[index] = measure(f, index, c);
    sum_add(&f->sum, &f->nodes[index], 1);
    note_size(f, before_milli, offered_milli(&f->nodes[index]));
}

void fit_update(struct fit *f, const struct cluster *c)
{
    size_t n;
    const uint32_t *changed = cluster_changed(c, &n);

    for (size_t i = 0; i < n; i++)
        look_at(f, c, changed[i]);
}

void fit_rebuild(struct fit *f, const struct cluster *c)
{
    uint32_t limit = cluster_node_limit(c);

    for (uint32_t i = 0; i < limit; i++)
        look_at(f, c, i);
}

struct fit_sum fit_sum(const struct fit *f)
{
    return f->sum;
}

struct fit_node fit_node(const struct fit *f, uint32_t index)
{
    return index < f->n_nodes ? f->nodes[index] : (struct fit_node){0};
}

int64_t fit_slots_beside(const struct fit *f, const struct cluster *c, uint32_t index,
                         const struct resources *taken)
{
    struct resources room;

    if (fit_node(f, index).slots == 0)
        return 0;
    fit_room_at(cluster_node(c, index), &f->places, &room);
    cluster_sub_apart(c, index, f->owner, &f->places, &room);
    for (int i = 0; i < f->places.n; i++) {
        int place = f->places.at[i];

        room.at[place] = amount_sub(room.at[place], taken->at[place]);
    }
    return resources_times_at(&f->request, &room, &f->places);
}

int64_t fit_largest_node_milli(struct fit *f)
{
    if (f->largest_left) {
        f->largest_milli = 0;
        for (size_t i = 0; i < f->n_nodes; i++)
            f->largest_milli = max_i64(f->largest_milli, offered_milli(&f->nodes[i]));
        f->largest_left = false;
    }
    return f->largest_milli;
}
