#include "agent/nodes_view.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static void view_free(struct board_value *value)
{
    struct nodes_view *v = (struct nodes_view *)value;

    for (size_t i = 0; i < v->len; i++)
        free(v->rows[i].name);
    free(v->rows);
    free(v);
}

struct nodes_view *nodes_view_new(void)
{
    struct nodes_view *v = xcalloc(1, sizeof *v);

    board_value_init(&v->value, view_free);
    v->gen = 1;
    return v;
}

void nodes_view_add(struct nodes_view *v, const struct nodes_row *row)
{
    struct nodes_row copy = *row;

    copy.name = xstrdup(row->name);
    VEC_PUSH(v->rows, v->len, v->cap, copy);
}

static bool same_nodes(const struct nodes_view *a, const struct nodes_view *b)
{
    if (a->len != b->len)
        return false;
    for (size_t i = 0; i < a->len; i++) {
        if (strcmp(a->rows[i].name, b->rows[i].name) != 0)
            return false;
    }
    return true;
}

void nodes_view_set_gen(struct nodes_view *v, const struct nodes_view *before)
{
    if (before != NULL)
        v->gen = same_nodes(v, before) ? before->gen : before->gen + 1;
}

void nodes_view_unref(struct nodes_view *v)
{
    if (v != NULL)
        board_value_unref(&v->value);
}

void nodes_board_init(struct nodes_board *b)
{
    *b = (struct nodes_board){.board = board_new(NODES_VIEW_EVERY_US, NODES_VIEW_ASKED_US)};
}

void nodes_board_done(struct nodes_board *b)
{
    board_free(b->board);
}

struct nodes_view *nodes_board_ask(struct nodes_board *b, struct mono now)
{
    return (struct nodes_view *)board_ask(b->board, now);
}

void nodes_board_set(struct nodes_board *b, struct nodes_view *v)
{
    const struct nodes_view *before = (const struct nodes_view *)board_newest(b->board);

    if (before != NULL)
        nodes_view_set_gen(v, before);
    else
        v->gen = b->last_gen + 1;
    b->last_gen = v->gen;
    board_set(b->board, &v->value);
}
