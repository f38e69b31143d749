#include "capacity/node_sum.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* A sum has no more places than were ever needed there: most nodes have four resources, not
 * RESOURCE_MAX. */
static void widen(struct cluster_node *n, int width)
{
    int64_t *sums = xcalloc(NODE_SUM_COUNT_ * (size_t)width, sizeof *sums);

    for (int sum = 0; n->width != 0 && sum < NODE_SUM_COUNT_; sum++)
        memcpy(sums + sum * width, n->sums + (int)sum * n->width, n->width * sizeof *sums);
    free(n->sums);
    n->sums = sums;
    n->width = (uint8_t)width;
}

/* The sum, wide enough for these places. */
static int64_t *sum_of(struct cluster_node *n, enum node_sum sum,
                       const struct resource_places *places)
{
    int width = n->width;

    for (int i = 0; i < places->n; i++)
        width = places->at[i] >= width ? places->at[i] + 1 : width;
    if (width != n->width)
        widen(n, width);
    return n->sums + (int)sum * n->width;
}

void node_sum_count(struct cluster_node *n, enum node_sum sum, const struct resources *what,
                    const struct resource_places *places, int sign)
{
    amounts_count(sum_of(n, sum, places), what, places, sign);
}

void node_sum_set(struct cluster_node *n, enum node_sum sum, const struct resources *what)
{
    struct resource_places places = resources_places(what);
    int64_t *to = sum_of(n, sum, &places);

    for (int i = 0; i < n->width; i++)
        to[i] = what->at[i];
}

struct resources cluster_sum(const struct cluster_node *n, enum node_sum sum)
{
    struct resources whole = {0};

    if (n->width != 0)
        memcpy(whole.at, n->sums + (int)sum * n->width, n->width * sizeof *whole.at);
    return whole;
}

void cluster_sum_add_at(const struct cluster_node *n, enum node_sum sum,
                        const struct resource_places *places, struct resources *to)
{
    for (int i = 0; i < places->n; i++) {
        int place = places->at[i];

        to->at[place] = amount_add(to->at[place], cluster_sum_place(n, sum, place));
    }
}

void cluster_sum_sub_at(const struct cluster_node *n, enum node_sum sum,
                        const struct resource_places *places, struct resources *to)
{
    for (int i = 0; i < places->n; i++) {
        int place = places->at[i];

        to->at[place] = amount_sub(to->at[place], cluster_sum_place(n, sum, place));
    }
}
