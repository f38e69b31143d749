#include "policy/share.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/num.h"
#include "policy/caps.h"
#include "policy/controller.h"

/* A group's room, which its fillers count in slots of their own, is split in parts of this. */
#define WHOLE (INT64_C(1) << 60)

/* The work of one share_out(). */
struct sharing {
    struct share_filler *fillers;
    const struct cluster *cluster;
    int64_t kept_milli;
    const struct node_order *by_name;
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

/* Slots on the room that set points leave. */
static void measure(const struct sharing *s, struct share_filler *f)
{
    f->total = 0;
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        f->slots[i] = fit_slots_beside(f->fit, s->cluster, i, &s->taken[i]);
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
    uint32_t node, rank;
    int64_t cap, slots;
};

/* Nodes where paid pods leave least first, of equal ones the first by name. */
static int by_fullness(const void *a, const void *b)
{
    const struct capped_node *x = a, *y = b;

    if (x->slots != y->slots)
        return x->slots < y->slots ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* Puts the x pods on the nodes, within the caps; where min takes of what is to be kept free, less
 * is. */
static void take(struct sharing *s, const struct share_filler *f)
{
    CLEANUP(free_ptr) struct capped_node *nodes = xcalloc(s->n_nodes, sizeof *nodes);
    const struct caps_input in = {.slots = f->slots,
                                  .order = s->by_name->nodes,
                                  .n = s->n_nodes,
                                  .hole_slots = f->hole_slots,
                                  .kept_slots = min_i64(f->kept, f->total - f->point)};
    const int64_t *caps = caps_compute(s->caps, &in);
    int64_t left = f->point;

    for (uint32_t i = 0; i < s->n_nodes; i++)
        nodes[i] = (struct capped_node){
            .node = i, .rank = s->by_name->rank[i], .cap = caps[i], .slots = f->slots[i]};
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

/* One filler of a group, while its room is split. */
struct part {
    struct share_filler *filler;
    int64_t unit; /* what one pod is of the room; 0: it may take nothing */
    int64_t rest; /* of what it is due, beyond whole pods */
    size_t place; /* in the group */
    bool full;    /* has its max, or may take nothing */
};

/* Pods of a filler as a part of the group's room. */
static int64_t part_of(const struct part *p, int64_t pods)
{
    if (pods == 0)
        return 0;
    return pods >= takeable(p->filler) ? WHOLE : pods * p->unit;
}

/* How many pods a part of the room is. */
static int64_t pods_in(const struct part *p, int64_t room)
{
    return room == WHOLE ? takeable(p->filler) : room / p->unit;
}

/* Largest remainder first; remainders are of different units. */
static int by_remainder(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    __int128 of_x = (__int128)x->rest * y->unit, of_y = (__int128)y->rest * x->unit;

    if (of_x != of_y)
        return of_x > of_y ? -1 : 1;
    return x->place < y->place ? -1 : 1;
}

static int64_t due(const struct part *p, int64_t left, int64_t weights)
{
    return (int64_t)((__int128)left * p->filler->weight / weights);
}

/* Those whose max is less than what they are due have it; what that leaves is passed on. */
static void fill_up(struct part *parts, size_t n, int64_t *left, int64_t *weights)
{
    bool again = true;

    while (again && *weights > 0) {
        int64_t was_left = *left, was_weights = *weights;

        again = false;
        for (size_t i = 0; i < n; i++) {
            struct part *p = &parts[i];
            struct share_filler *f = p->filler;

            if (p->full || f->max - f->min >= pods_in(p, due(p, was_left, was_weights)))
                continue;
            f->share = f->max;
            p->full = again = true;
            *left = max_i64(*left - part_of(p, f->max - f->min), 0);
            *weights -= f->weight;
        }
    }
}

/* What rounding down leaves: a pod each by largest remainder, then whatever still fits. */
static void hand_out_rest(struct part *parts, size_t n, int64_t rest)
{
    qsort(parts, n, sizeof *parts, by_remainder);
    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < n; i++) {
            struct share_filler *f = parts[i].filler;
            int64_t more;

            if (parts[i].full)
                continue;
            more = min_i64(rest / parts[i].unit, f->max - f->share);
            if (turn == 0)
                more = min_i64(more, 1);
            f->share += more;
            rest -= more * parts[i].unit;
        }
    }
}

/* The share of each filler of a group: its min, and of what all minima leave a part by weight; what
 * max keeps from one passes on. */
static void split(struct sharing *s, const size_t *group, size_t n)
{
    CLEANUP(free_ptr) struct part *parts = xcalloc(n, sizeof *parts);
    int64_t left = WHOLE, weights = 0, used = 0;

    for (size_t i = 0; i < n; i++) {
        struct share_filler *f = &s->fillers[group[i]];
        int64_t all = takeable(f);

        parts[i] = (struct part){
            .filler = f, .unit = all > 0 ? WHOLE / all : 0, .place = i, .full = all == 0};
        f->shared = true;
        f->share = f->min;
        left = max_i64(left - part_of(&parts[i], f->min), 0);
        weights += all > 0 ? f->weight : 0;
    }
    fill_up(parts, n, &left, &weights);
    for (size_t i = 0; i < n; i++) {
        struct part *p = &parts[i];

        if (p->full)
            continue;
        p->rest = due(p, left, weights);
        p->filler->share = p->filler->min + pods_in(p, p->rest);
        p->rest -= part_of(p, p->filler->share - p->filler->min);
        used += due(p, left, weights) - p->rest;
    }
    hand_out_rest(parts, n, left - used);
}

/* Who of those before the end of its group has most of what a filler could have. */
static void find_taker(const struct sharing *s, struct share_filler *f, size_t end)
{
    int64_t most = 0;

    f->taker = (struct sv){0};
    for (size_t i = 0; i < end; i++) {
        const struct share_filler *other = &s->fillers[s->order[i]];
        int64_t milli = other->point * slot_milli(other);

        if (other == f || milli <= most)
            continue;
        most = milli;
        f->taker = other->name;
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
    for (size_t i = 0; i < n; i++)
        find_taker(s, &s->fillers[group[i]], (size_t)(group - s->order) + n);
}

/* Places. */

static int64_t standing(const struct share_filler *f, uint32_t node)
{
    return node < f->n_stands ? f->stands[node] : 0;
}

/* What a filler wants beyond what stands is put first within caps where room is free of all filler,
 * then within caps, then anywhere that those before leave. */
enum pass { PASS_FREE, PASS_CAPPED, PASS_ANY, PASS_COUNT_ };

static int64_t pass_room(const struct sharing *s, const struct share_filler *f, enum pass pass,
                         const struct capped_node *n)
{
    int64_t capped = max_i64(n->cap - s->here[n->node], 0);

    switch (pass) {
    case PASS_FREE:
        return min_i64(capped, fit_slots_beside(f->fit, s->cluster, n->node, &s->all[n->node]));
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
                                  .order = s->by_name->nodes,
                                  .n = s->n_nodes,
                                  .hole_slots = f->hole_slots,
                                  .kept_slots = min_i64(f->kept, max_i64(total - f->point, 0))};
    const int64_t *caps = caps_compute(s->caps, &in);

    for (uint32_t i = 0; i < s->n_nodes; i++)
        nodes[i] = (struct capped_node){.node = i,
                                        .rank = s->by_name->rank[i],
                                        .cap = caps[i],
                                        .slots = f->places[i] - s->here[i]};
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
        f->places[i] = fit_slots_beside(f->fit, s->cluster, i, &s->stood[i]);
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

void share_out(struct share_filler *fillers, size_t n, const struct cluster *c,
               struct node_order *order, int64_t kept_milli)
{
    struct sharing s = {.fillers = fillers,
                        .cluster = c,
                        .kept_milli = kept_milli,
                        .by_name = order,
                        .n_nodes = cluster_node_limit(c)};

    if (n == 1) {
        fillers->shared = false;
        fillers->taker = (struct sv){0};
        fillers->total = fit_sum(fillers->fit).slots;
        settle_point(&s, fillers);
        return;
    }
    node_order_update(order, c, s.n_nodes);
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
