#include "policy/share.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/num.h"
#include "policy/caps.h"
#include "policy/controller.h"

/* What is left of a group's room, as a fraction of this. */
#define WHOLE (INT64_C(1) << 30)

/* The work of one share_out(). */
struct sharing {
    struct share_filler *fillers;
    const struct cluster *cluster;
    int64_t kept_milli;
    size_t *order;           /* of the fillers */
    struct resources *taken; /* by node: what the set points of those before ask for */
    struct caps *caps;
    uint32_t n_nodes;
};

static int by_rank(const void *a, const void *b, void *fillers)
{
    const struct share_filler *x = (const struct share_filler *)fillers + *(const size_t *)a;
    const struct share_filler *y = (const struct share_filler *)fillers + *(const size_t *)b;

    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    return sv_cmp(x->name, y->name);
}

static int64_t slot_milli(const struct share_filler *f)
{
    return fit_request(f->fit)->at[RESOURCE_CPU];
}

/* Slots on the room that is left. */
static void measure(const struct sharing *s, struct share_filler *f)
{
    f->total = 0;
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        int64_t slots = fit_node(f->fit, i).slots;

        if (slots != 0) {
            struct resources room = fit_room(cluster_node(s->cluster, i));

            resources_sub(&room, &s->taken[i]);
            slots = resources_times(fit_request(f->fit), &room, NULL);
        }
        f->slots[i] = slots;
        f->total += slots;
    }
}

static void settle_point(const struct sharing *s, struct share_filler *f)
{
    f->kept = kept_slots(s->kept_milli, 0, slot_milli(f), f->hole_slots);
    f->point = set_point(f->total, f->kept, f->min, f->max);
    if (f->shared)
        f->point = min_i64(f->point, f->share);
}

struct capped_node {
    uint32_t node;
    int64_t cap, slots;
};

/* Nodes where paid pods leave least first. */
static int by_fullness(const void *a, const void *b)
{
    const struct capped_node *x = a, *y = b;

    if (x->slots != y->slots)
        return x->slots < y->slots ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

/* Puts the x pods on the nodes, within the caps; where min takes of what is to be kept free, less is. */
static void take(struct sharing *s, const struct share_filler *f)
{
    CLEANUP(free_ptr) struct capped_node *nodes = xcalloc(s->n_nodes, sizeof *nodes);
    const struct caps_input in = {.slots = f->slots,
                                  .n = s->n_nodes,
                                  .hole_slots = f->hole_slots,
                                  .kept_slots = min_i64(f->kept, f->total - f->point)};
    const int64_t *caps = caps_compute(s->caps, &in);
    int64_t left = f->point;

    for (uint32_t i = 0; i < s->n_nodes; i++)
        nodes[i] = (struct capped_node){.node = i, .cap = caps[i], .slots = f->slots[i]};
    qsort(nodes, s->n_nodes, sizeof *nodes, by_fullness);
    for (uint32_t i = 0; i < s->n_nodes && left > 0; i++) {
        int64_t here = min_i64(nodes[i].cap, left);
        struct resources *taken = &s->taken[nodes[i].node];

        for (int r = 0; r < RESOURCE_MAX; r++)
            taken->at[r] += here * fit_request(f->fit)->at[r];
        left -= here;
    }
}

/* The share of each filler of a group, by weight; what max keeps from one passes on. */
static void split(struct sharing *s, const size_t *group, size_t n)
{
    CLEANUP(free_ptr) bool *full = xcalloc(n, sizeof *full);
    int64_t left = WHOLE, weights = 0;
    bool again = true;

    for (size_t i = 0; i < n; i++)
        weights += s->fillers[group[i]].weight;
    while (again && weights > 0) {
        int64_t was_left = left, was_weights = weights;

        again = false;
        for (size_t i = 0; i < n; i++) {
            struct share_filler *f = &s->fillers[group[i]];
            int64_t all = f->total - min_i64(f->total, f->kept);

            if (full[i])
                continue;
            f->share = (int64_t)((__int128)all * was_left / WHOLE * f->weight / was_weights);
            if (f->max >= f->share)
                continue;
            f->share = f->max;
            full[i] = again = true;
            left -= (int64_t)((__int128)f->max * WHOLE / all) + 1;
            weights -= f->weight;
        }
        left = max_i64(left, 0);
    }
    for (size_t i = 0; i < n; i++) {
        struct share_filler *f = &s->fillers[group[i]];

        f->shared = true;
        f->share = max_i64(f->share, f->min);
    }
}

static void share_group(struct sharing *s, const size_t *group, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct share_filler *f = &s->fillers[group[i]];

        measure(s, f);
        f->shared = false;
        settle_point(s, f);
    }
    if (n > 1)
        split(s, group, n);
    for (size_t i = 0; i < n; i++) {
        struct share_filler *f = &s->fillers[group[i]];

        if (i > 0)
            measure(s, f);
        settle_point(s, f);
        take(s, f);
    }
}

void share_out(struct share_filler *fillers, size_t n, const struct cluster *c, int64_t kept_milli)
{
    struct sharing s = {.fillers = fillers,
                        .cluster = c,
                        .kept_milli = kept_milli,
                        .n_nodes = cluster_node_limit(c)};

    if (n == 1) {
        fillers->shared = false;
        fillers->total = fit_sum(fillers->fit).slots;
        settle_point(&s, fillers);
        return;
    }
    s.order = xcalloc(n, sizeof *s.order);
    s.taken = xcalloc(s.n_nodes, sizeof *s.taken);
    s.caps = caps_new();
    for (size_t i = 0; i < n; i++)
        s.order[i] = i;
    qsort_r(s.order, n, sizeof *s.order, by_rank, fillers);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && fillers[s.order[end]].priority == fillers[s.order[i]].priority;
             end++)
            ;
        share_group(&s, s.order + i, end - i);
    }
    caps_free(s.caps);
    free(s.order);
    free(s.taken);
}
