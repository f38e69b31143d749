#include "agent/room_view.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "capacity/keep.h"

static void view_free(struct board_value *value)
{
    struct room_view *v = (struct room_view *)value;

    for (size_t i = 0; i < v->n; i++)
        cluster_node_let_go(v->cluster, v->rows[i].kept);
    resource_names_done(&v->names);
    strbuf_done(&v->text);
    free(v->rows);
    free(v->amounts);
    free(v);
}

static int64_t *amounts_of(const struct room_view *v, size_t row, enum room_when when)
{
    return v->amounts + (row * ROOM_WHEN_COUNT_ + when) * (size_t)v->names.count;
}

static void fill_amounts(const struct room_view *v, const struct cluster_node *n, uint32_t index,
                         size_t row, const struct resource_places *all)
{
    int64_t *now = amounts_of(v, row, ROOM_NOW), *without = amounts_of(v, row, ROOM_WITHOUT_FILLER);
    struct resources left = {0};

    for (int place = 0; place < v->names.count; place++) {
        int64_t beside = amount_sub(cluster_sum_place(n, NODE_SUM_ALLOCATABLE, place),
                                    cluster_sum_place(n, NODE_SUM_PAID, place));

        now[place] = amount_sub(beside, cluster_sum_place(n, NODE_SUM_FILLER, place));
        left.at[place] = amount_sub(beside, cluster_sum_place(n, NODE_SUM_CLAIMED, place));
    }
    cluster_sub_apart(v->cluster, index, CLUSTER_PAID, all, &left);
    memcpy(without, left.at, (size_t)v->names.count * sizeof *without);
}

static void add_row(struct room_view *v, const struct cluster_node *n)
{
    struct sv name = sv_from(n->name);

    v->rows[v->n++] = (struct room_row){.kept = cluster_node_hold(n),
                                        .name_at = (uint32_t)v->text.len,
                                        .name_len = (uint32_t)name.len,
                                        .cordoned = n->unschedulable};
    (void)strbuf_add(&v->text, name);
}

struct room_view *room_view_new(struct cluster *c)
{
    const struct resource_names *names = cluster_names(c);
    struct room_view *v = xcalloc(1, sizeof *v);
    struct resource_places all = {0};
    size_t n = cluster_node_count(c);

    board_value_init(&v->value, view_free);
    v->cluster = c;
    strbuf_init(&v->text, ROOM_VIEW_MAX_NAMES);
    resource_names_init(&v->names);
    for (int i = RESOURCE_FIRST_EXTENDED; i < names->count; i++)
        (void)resource_names_find(&v->names, sv_from(names->name[i]), true);
    v->names.overflow = names->overflow;
    for (int i = 0; i < v->names.count; i++)
        all.at[all.n++] = (uint8_t)i;
    v->rows = xcalloc(n + 1, sizeof *v->rows);
    v->amounts = xcalloc((n + 1) * ROOM_WHEN_COUNT_ * (size_t)v->names.count, sizeof *v->amounts);
    for (uint32_t i = 0; i < cluster_node_limit(c); i++) {
        const struct cluster_node *node = cluster_node(c, i);

        if (node == NULL)
            continue;
        fill_amounts(v, node, i, v->n, &all);
        add_row(v, node);
    }
    return v;
}

void room_view_unref(struct room_view *v)
{
    if (v != NULL)
        board_value_unref(&v->value);
}

struct sv room_view_name(const struct room_view *v, size_t row)
{
    return (struct sv){.at = v->text.at + v->rows[row].name_at, .len = v->rows[row].name_len};
}

/* `free` has what is asked for alone. */
static void count_here(const struct room_view *v, size_t row, const struct room_shape *shape,
                       const struct resource_places *asked, struct node_record *node,
                       struct resources *free, struct room_here *ret_here)
{
    const struct room_row *r = &v->rows[row];
    enum node_refusal refusal;

    node->name = room_view_name(v, row);
    node->labels = r->kept->labels;
    node->n_labels = r->kept->n_labels;
    node->taints = r->kept->taints;
    node->n_taints = r->kept->n_taints;
    node->unschedulable = r->cordoned;
    refusal = rules_check_node(shape->rules, node);
    for (int when = 0; when < ROOM_WHEN_COUNT_; when++) {
        const int64_t *amounts = amounts_of(v, row, (enum room_when)when);

        for (int i = 0; i < asked->n; i++) {
            int place = asked->at[i];

            free->at[place] = place < v->names.count ? amounts[place] : 0;
        }
        ret_here[when] = room_here(shape, refusal, free);
    }
}

void room_view_count(const struct room_view *v, const struct room_shape *shape,
                     struct room_count ret_count[static ROOM_WHEN_COUNT_], room_heres *ret_rows)
{
    struct resource_places asked = resources_places(shape->request);
    struct node_record node = {0};
    struct resources free = {0};
    room_heres here;

    for (int when = 0; when < ROOM_WHEN_COUNT_; when++)
        ret_count[when] = (struct room_count){0};
    for (size_t row = 0; row < v->n; row++) {
        count_here(v, row, shape, &asked, &node, &free, here);
        for (int when = 0; when < ROOM_WHEN_COUNT_; when++)
            room_count_add(&ret_count[when], &here[when]);
        if (ret_rows != NULL)
            memcpy(ret_rows[row], here, sizeof here);
    }
}
