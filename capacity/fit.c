#include "capacity/fit.h"

#include "base/alloc.h"
#include "capacity/selector.h"

struct fit {
    struct resources request;
    struct packed_rules *rules;
    int64_t min_paid_milli;
    struct fit_node *nodes;
    size_t n_nodes;
    struct fit_sum sum;
};

struct fit *fit_new(const struct resources *request, const struct pod_rules *rules,
                    int64_t min_paid_milli)
{
    struct fit *f = xcalloc(1, sizeof *f);

    f->request = *request;
    f->request.at[RESOURCE_PODS] = 1;
    f->rules = pack_rules(rules);
    f->min_paid_milli = min_paid_milli;
    return f;
}

void fit_free(struct fit *f)
{
    if (f == NULL)
        return;
    free(f->rules);
    free(f->nodes);
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
    struct resources room = n->allocatable;

    resources_sub(&room, &n->paid);
    resources_sub(&room, &n->claimed);
    return room;
}

static int64_t at_least_0(int64_t value)
{
    return value > 0 ? value : 0;
}

static struct fit_node measure(const struct fit *f, const struct cluster_node *n)
{
    struct fit_node result = {0};

    if (n == NULL)
        return result;

    struct node_record record = cluster_node_record(n);

    if (rules_check_node(&f->rules->rules, &record) != NODE_ACCEPTS)
        return result;

    struct resources room = fit_room(n);

    result.eligible = true;
    result.allocatable_milli = n->allocatable.at[RESOURCE_CPU];
    result.paid_milli = n->paid.at[RESOURCE_CPU];
    result.claimed_milli = n->claimed.at[RESOURCE_CPU];
    result.room_milli = at_least_0(room.at[RESOURCE_CPU]);
    if (result.paid_milli < f->min_paid_milli)
        return result;
    result.slots = resources_times(&f->request, &room, NULL);
    resources_sub(&room, &n->leaving);
    result.slots_now = resources_times(&f->request, &room, NULL);
    return result;
}

static void sum_add(struct fit_sum *sum, const struct fit_node *node, int sign)
{
    sum->nodes += sign * node->eligible;
    sum->allocatable_milli += sign * node->allocatable_milli;
    sum->paid_milli += sign * node->paid_milli;
    sum->claimed_milli += sign * node->claimed_milli;
    sum->room_milli += sign * node->room_milli;
    sum->slots += sign * node->slots;
    sum->slots_now += sign * node->slots_now;
}

static void look_at(struct fit *f, const struct cluster *c, uint32_t index)
{
    if (index >= f->n_nodes) {
        size_t cap = f->n_nodes;

        f->nodes = vec_reserve(f->nodes, &cap, cluster_node_limit(c), sizeof *f->nodes);
        memset(f->nodes + f->n_nodes, 0, (cap - f->n_nodes) * sizeof *f->nodes);
        f->n_nodes = cap;
    }
    sum_add(&f->sum, &f->nodes[index], -1);
    f->nodes[index] = measure(f, cluster_node(c, index));
    sum_add(&f->sum, &f->nodes[index], 1);
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

int64_t fit_largest_node_milli(const struct fit *f)
{
    int64_t largest = 0;

    for (size_t i = 0; i < f->n_nodes; i++) {
        if (f->nodes[i].allocatable_milli > largest)
            largest = f->nodes[i].allocatable_milli;
    }
    return largest;
}
