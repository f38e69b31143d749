#include "agent/node_groups.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

enum { OTHER = GROUPS_MAX };

/* Which group a node is in, as its facts have it. */
struct place {
    uint64_t facts; /* 0: not known */
    uint32_t group;
};

struct node_groups {
    char label[GROUPS_LABEL_SIZE];
    struct groups_one at[GROUPS_MAX + 1]; /* a group without a name is free */
    size_t nodes[GROUPS_MAX + 1];         /* of the walk under way, whatever they offer */
    struct place *places;                 /* by node index */
    size_t n_places;
};

struct node_groups *node_groups_new(struct sv label)
{
    struct node_groups *g = xcalloc(1, sizeof *g);

    (void)snprintf(g->label, sizeof g->label, "%.*s", SV_ARG(label));
    (void)snprintf(g->at[OTHER].value, sizeof g->at[OTHER].value, "%s", GROUPS_OTHER);
    return g;
}

void node_groups_free(struct node_groups *g)
{
    if (g == NULL)
        return;
    free(g->places);
    free(g);
}

const char *node_groups_label(const struct node_groups *g)
{
    return g->label;
}

bool node_groups_overflown(const struct node_groups *g)
{
    return g->nodes[OTHER] != 0;
}

static struct sv value_of(const struct node_groups *g, const struct cluster_node *n)
{
    const struct node_record record = cluster_node_record(n);

    for (size_t i = 0; i < record.n_labels; i++) {
        if (sv_eq(record.labels[i].key, sv_from(g->label)))
            return record.labels[i].value.len != 0 ? record.labels[i].value : SV(GROUPS_EMPTY);
    }
    return SV(GROUPS_NONE);
}

/* The group of that name, or a free one for it; else that of all others. */
static uint32_t find_group(struct node_groups *g, struct sv value)
{
    uint32_t to = OTHER;

    for (uint32_t i = GROUPS_MAX; i-- > 0;) {
        if (g->at[i].value[0] == '\0')
            to = i;
        else if (sv_eq(sv_from(g->at[i].value), value))
            return i;
    }
    if (to != OTHER)
        (void)snprintf(g->at[to].value, sizeof g->at[to].value, "%.*s", SV_ARG(value));
    return to;
}

static void make_places(struct node_groups *g, size_t n)
{
    if (n <= g->n_places)
        return;
    g->places = xrealloc(g->places, n * sizeof *g->places);
    memset(g->places + g->n_places, 0, (n - g->n_places) * sizeof *g->places);
    g->n_places = n;
}

static uint32_t group_of(struct node_groups *g, const struct cluster_node *n, uint32_t index)
{
    struct place *place = &g->places[index];

    if (place->facts != n->facts)
        *place = (struct place){.facts = n->facts, .group = find_group(g, value_of(g, n))};
    return place->group;
}

static void add_node(struct groups_one *to, const struct cluster_node *n, struct fit_node fit)
{
    to->at[GROUP_FILLER] += cluster_sum_place(n, NODE_SUM_FILLER, RESOURCE_CPU);
    if (!fit.eligible)
        return;
    to->at[GROUP_NODES]++;
    to->at[GROUP_ALLOCATABLE] += fit.allocatable_milli;
    to->at[GROUP_PAID] += fit.paid_milli;
    to->at[GROUP_FIT] += fit.slots;
}

/* Groups that have lost their last node are free; then others may have a name, from the next sample on. */
static void free_groups(struct node_groups *g)
{
    bool any = false;

    for (size_t i = 0; i < GROUPS_MAX; i++) {
        if (g->nodes[i] == 0)
            g->at[i].value[0] = '\0';
        any |= g->nodes[i] == 0;
    }
    for (size_t i = 0; any && g->nodes[OTHER] != 0 && i < g->n_places; i++) {
        if (g->places[i].group == OTHER)
            g->places[i].facts = 0;
    }
}

void node_groups_sample(struct node_groups *g, const struct cluster *c, const struct fit *fit,
                        struct groups_sample *to)
{
    uint32_t limit = cluster_node_limit(c);

    make_places(g, limit);
    memset(g->nodes, 0, sizeof g->nodes);
    for (size_t i = 0; i <= GROUPS_MAX; i++)
        memset(g->at[i].at, 0, sizeof g->at[i].at);
    for (uint32_t i = 0; i < limit; i++) {
        const struct cluster_node *n = cluster_node(c, i);
        uint32_t group;

        if (n == NULL)
            continue;
        group = group_of(g, n, i);
        g->nodes[group]++;
        add_node(&g->at[group], n, fit_node(fit, i));
    }
    memcpy(to->label, g->label, sizeof to->label);
    to->n = 0;
    for (size_t i = 0; i <= GROUPS_MAX; i++) {
        if (g->nodes[i] != 0)
            to->at[to->n++] = g->at[i];
    }
    free_groups(g);
}
