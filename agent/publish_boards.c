#include "agent/publish_boards.h"

#include "agent/turn.h"

const struct turn_filler *publish_widest(const struct turn *t)
{
    const struct turn_filler *best = NULL;

    for (int i = 0; t->stepped && i < PLANNER_MAX_FILLERS; i++) {
        const struct turn_filler *tf = t->fillers[i];

        if (tf != NULL && planner_has_shape(t->parts.facts->planner, i) &&
            (best == NULL || tf->plan.room.allocatable_milli > best->plan.room.allocatable_milli))
            best = tf;
    }
    return best;
}

static void add_node(const struct cluster_node *n, const struct fit *fit, uint32_t index,
                     struct nodes_view *v)
{
    struct fit_node room = fit != NULL ? fit_node(fit, index) : (struct fit_node){0};
    int64_t filler = cluster_sum_place(n, NODE_SUM_FILLER, RESOURCE_CPU);
    int64_t leaving = cluster_sum_place(n, NODE_SUM_LEAVING, RESOURCE_CPU);
    struct nodes_row row = {
        .name = n->name,
        .allocatable_milli = cluster_sum_place(n, NODE_SUM_ALLOCATABLE, RESOURCE_CPU),
        .paid_milli = cluster_sum_place(n, NODE_SUM_PAID, RESOURCE_CPU),
        .filler_milli = filler - leaving,
        .leaving_milli = leaving,
        .claimed_milli = cluster_sum_place(n, NODE_SUM_CLAIMED, RESOURCE_CPU),
        .fit = room.slots,
        .eligible = room.eligible,
        .cordoned = n->unschedulable,
        .ready = n->ready,
    };
    int64_t unused = row.allocatable_milli - row.paid_milli - filler;

    row.free_milli = unused > 0 ? unused : 0;
    nodes_view_add(v, &row);
}

static void publish_nodes(const struct turn *t)
{
    struct nodes_board *board = &snapshot_slot_boards(t->parts.slot)->nodes;
    const struct cluster *c = facts_cluster(t->parts.facts);
    const struct turn_filler *wide = publish_widest(t);
    const struct fit *fit = NULL;
    struct nodes_view *v;

    if (!board_due(board->board, t->parts.timers->now(t->parts.timers->self)))
        return;
    if (wide != NULL)
        fit = planner_fit(t->parts.facts->planner, wide->index);
    v = nodes_view_new();
    v->at = t->parts.timers->wall(t->parts.timers->self);
    v->value.at = t->parts.timers->now(t->parts.timers->self);
    v->fit_known = fit != NULL;
    for (uint32_t i = 0; i < cluster_node_limit(c); i++) {
        const struct cluster_node *n = cluster_node(c, i);

        if (n != NULL)
            add_node(n, fit, i, v);
    }
    nodes_board_set(board, v);
}

static void publish_room(const struct turn *t)
{
    struct board *board = snapshot_slot_boards(t->parts.slot)->room;
    struct room_view *v;

    if (!board_due(board, t->parts.timers->now(t->parts.timers->self)))
        return;
    v = room_view_new(facts_cluster(t->parts.facts));
    v->at = t->parts.timers->wall(t->parts.timers->self);
    v->value.at = t->parts.timers->now(t->parts.timers->self);
    board_set(board, &v->value);
}

static void add_pod(void *self, struct sv name)
{
    pods_view_add(self, name);
}

static void publish_pods(const struct turn *t)
{
    struct board *board = snapshot_slot_boards(t->parts.slot)->pods;
    const struct facts *f = t->parts.facts;
    struct pods_view *v;

    if (!board_due(board, t->parts.timers->now(t->parts.timers->self)))
        return;
    v = pods_view_new();
    v->value.at = t->parts.timers->now(t->parts.timers->self);
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        const struct facts_filler *ff = &f->fillers[i];

        if (t->fillers[i] == NULL || ff->selector_text == NULL || !facts_classified(f, i))
            continue;
        pods_view_add_part(v, ff->policy.name, ff->policy.target_ns, sv_from(ff->selector_text));
        planner_pod_names(f->planner, i, add_pod, v);
    }
    board_set(board, &v->value);
}

void publish_boards(const struct turn *t)
{
    publish_nodes(t);
    publish_room(t);
    publish_pods(t);
}
