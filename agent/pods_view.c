#include "agent/pods_view.h"

#include <stdlib.h>

#include "base/alloc.h"

static void view_free(struct board_value *value)
{
    struct pods_view *v = (struct pods_view *)value;

    for (size_t i = 0; i < v->n_parts; i++) {
        free(v->parts[i].policy);
        free(v->parts[i].ns);
        free(v->parts[i].selector);
    }
    free(v->parts);
    free(v->names);
    strbuf_done(&v->text);
    free(v);
}

struct pods_view *pods_view_new(void)
{
    struct pods_view *v = xcalloc(1, sizeof *v);

    board_value_init(&v->value, view_free);
    strbuf_init(&v->text, PODS_VIEW_MAX_TEXT);
    return v;
}

void pods_view_add_part(struct pods_view *v, struct sv policy, struct sv ns, struct sv selector)
{
    const struct pods_part part = {.policy = sv_dup(policy),
                                   .ns = sv_dup(ns),
                                   .selector = sv_dup(selector),
                                   .first = v->n_names};

    VEC_PUSH(v->parts, v->n_parts, v->cap_parts, part);
}

void pods_view_add(struct pods_view *v, struct sv name)
{
    const struct pods_name entry = {(uint32_t)v->text.len, (uint32_t)name.len};

    if (!strbuf_add(&v->text, name))
        return;
    VEC_PUSH(v->names, v->n_names, v->cap_names, entry);
    v->parts[v->n_parts - 1].n++;
}

void pods_view_unref(struct pods_view *v)
{
    if (v != NULL)
        board_value_unref(&v->value);
}

struct sv pods_view_name(const struct pods_view *v, size_t i)
{
    return (struct sv){.at = v->text.at + v->names[i].at, .len = v->names[i].len};
}
