#include "policy/node_order.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static int by_name(const void *a, const void *b, void *cluster)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    const struct cluster_node *m = cluster_node(cluster, x), *n = cluster_node(cluster, y);

    if (m == NULL || n == NULL)
        return m == n ? (x > y) - (x < y) : (m == NULL) - (n == NULL);
    return strcmp(m->name, n->name);
}

void node_order_done(struct node_order *o)
{
    free(o->nodes);
    free(o->rank);
    *o = (struct node_order){0};
}

void node_order_update(struct node_order *o, const struct cluster *c, size_t n)
{
    uint64_t generation = cluster_node_generation(c);

    if (o->nodes != NULL && o->n == n && o->generation == generation)
        return;
    o->nodes = vec_reserve(o->nodes, &o->cap_nodes, n + 1, sizeof *o->nodes);
    o->rank = vec_reserve(o->rank, &o->cap_rank, n + 1, sizeof *o->rank);
    for (uint32_t i = 0; i < n; i++)
        o->nodes[i] = i;
    qsort_r(o->nodes, n, sizeof *o->nodes, by_name, (void *)c);
    for (uint32_t i = 0; i < n; i++)
        o->rank[o->nodes[i]] = i;
    o->n = n;
    o->generation = generation;
}
