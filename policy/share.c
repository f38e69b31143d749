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

    /* Of where pods really stand. */
    struct resources *stood; /* by node: what those before hold, and still want there */
    struct resources *all;   /* by node: what all hold, and those before still want */
    int64_t *here;           /* by node: pods of one filler */
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

/* Slots of a node on the room that is left beside what is taken. */
static int64_t slots_beside(const struct sharing *s, const struct share_filler *f, uint32_t node,
                            const struct resources *taken)
{
    struct resources room;

    if (fit_node(f->fit, node).slots == 0)
        return 0;
    room = fit_room(cluster_node(s->cluster, node));
    resources_sub(&room, taken);
    return resources_times(fit_request(f->fit), &room, NULL);
}

/* Slots on the room that set points leave. */
static void measure(const struct sharing *s, struct share_filler *f)
{
    f->total = 0;
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        f->slots[i] = slots_beside(s, f, i, &s->taken[i]);
        f->total += f->slots[i];
    }
}

static void add_pods(struct resources *to, const struct share_filler *f, int64_t pods)
{
    for (int r = 0; r < RESOURCE_MAX; r++)
        to->at[r] += pods * fit_request(f->fit)->at[r];
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

        add_pods(&s->taken[nodes[i].node], f, here);
        left -= here;
    }
}

/* What a filler of the group may take at most, were it alone there. */
static int64_t takeable(const struct share_filler *f)
{
    return f->total - min_i64(f->total, f->kept);
}

/* Pods of a filler as a fraction of the group's room, rounded up. */
static int64_t fraction(const struct share_filler *f, int64_t pods)
{
    int64_t all = takeable(f);

    if (pods == 0)
        return 0;
    return pods >= all ? WHOLE : (int64_t)((__int128)pods * WHOLE / all) + 1;
}

/* The share of each filler of a group: its min, and of what all minima leave a part by weight; what max keeps from one passes on. */
static void split(struct sharing *s, const size_t *group, size_t n)
{
    CLEANUP(free_ptr) bool *full = xcalloc(n, sizeof *full);
    int64_t left = WHOLE, weights = 0;
    bool again = true;

    for (size_t i = 0; i < n; i++) {
        struct share_filler *f = &s->fillers[group[i]];

        f->shared = true;
        f->share = f->min;
        left = max_i64(left - fraction(f, f->min), 0);
        weights += f->weight;
    }
    while (again && weights > 0) {
        int64_t was_left = left, was_weights = weights;

        again = false;
        for (size_t i = 0; i < n; i++) {
            struct share_filler *f = &s->fillers[group[i]];
            int64_t more = f->max - f->min;

            if (full[i])
                continue;
            f->share = f->min + (int64_t)((__int128)takeable(f) * was_left / WHOLE * f->weight /
                                          was_weights);
            if (f->max >= f->share)
                continue;
            f->share = f->max;
            full[i] = again = true;
            left = max_i64(left - fraction(f, more), 0);
            weights -= f->weight;
        }
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

/* Places. */

static int64_t standing(const struct share_filler *f, uint32_t node)
{
    return node < f->n_stands ? f->stands[node] : 0;
}

/* What a filler wants beyond what stands is put first within caps where room is free of all filler, then within caps, then anywhere
 * that those before leave. */
enum pass { PASS_FREE, PASS_CAPPED, PASS_ANY, PASS_COUNT_ };

static int64_t pass_room(const struct sharing *s, const struct share_filler *f, enum pass pass,
                         const struct capped_node *n)
{
    int64_t capped = max_i64(n->cap - s->here[n->node], 0);

    switch (pass) {
    case PASS_FREE:
        return min_i64(capped, slots_beside(s, f, n->node, &s->all[n->node]));
    case PASS_CAPPED:
        return capped;
    case PASS_ANY:
    case PASS_COUNT_:
        break;
    }
    return f->places[n->node] - s->here[n->node];
}

/* Holds room for pods that do not stand yet. */
static void put_missing(struct sharing *s, const struct share_filler *f, int64_t total,
                        int64_t missing)
{
    CLEANUP(free_ptr) struct capped_node *nodes = xcalloc(s->n_nodes, sizeof *nodes);
    const struct caps_input in = {.slots = f->places,
                                  .filler = s->here,
                                  .n = s->n_nodes,
                                  .hole_slots = f->hole_slots,
                                  .kept_slots = min_i64(f->kept, max_i64(total - f->point, 0))};
    const int64_t *caps = caps_compute(s->caps, &in);

    for (uint32_t i = 0; i < s->n_nodes; i++)
        nodes[i] =
            (struct capped_node){.node = i, .cap = caps[i], .slots = f->places[i] - s->here[i]};
    qsort(nodes, s->n_nodes, sizeof *nodes, by_fullness);
    for (enum pass pass = 0; pass < PASS_COUNT_; pass++) {
        for (uint32_t i = 0; i < s->n_nodes && missing > 0; i++) {
            uint32_t node = nodes[i].node;
            int64_t pods = min_i64(pass_room(s, f, pass, &nodes[i]), missing);

            add_pods(&s->stood[node], f, pods);
            add_pods(&s->all[node], f, pods);
            s->here[node] += pods;
            missing -= pods;
        }
    }
}

/* Pods above the places leave: they hold no room. */
static void find_places_of(struct sharing *s, const struct share_filler *f)
{
    int64_t total = 0, stand = 0;

    for (uint32_t i = 0; i < s->n_nodes; i++) {
        f->places[i] = slots_beside(s, f, i, &s->stood[i]);
        s->here[i] = min_i64(standing(f, i), f->places[i]);
        add_pods(&s->stood[i], f, s->here[i]);
        total += f->places[i];
        stand += s->here[i];
    }
    if (stand < f->point)
        put_missing(s, f, total, f->point - stand);
}

static void find_places(struct sharing *s, size_t n)
{
    s->stood = xcalloc(s->n_nodes, sizeof *s->stood);
    s->all = xcalloc(s->n_nodes, sizeof *s->all);
    s->here = xcalloc(s->n_nodes, sizeof *s->here);
    for (size_t i = 0; i < n; i++) {
        for (uint32_t node = 0; node < s->n_nodes; node++)
            add_pods(&s->all[node], &s->fillers[i], standing(&s->fillers[i], node));
    }
    for (size_t i = 0; i < n; i++)
        find_places_of(s, &s->fillers[s->order[i]]);
    free(s->stood);
    free(s->all);
    free(s->here);
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
    find_places(&s, n);
    caps_free(s.caps);
    free(s.order);
    free(s.taken);
}
