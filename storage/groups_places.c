#include "storage/groups_places.h"

static int64_t other_of(const struct groups_names *names, int64_t id)
{
    const struct groups_name *name = groups_names_find(names, id);

    return name != NULL ? name->other : 0;
}

static size_t find(const struct groups_table *t, int64_t id)
{
    size_t i = 0;

    while (i < t->n && t->id[i] != id)
        i++;
    return i < t->n ? i : GROUPS_TABLE_MAX;
}

/* The groups of each place's label, told by the number of its others. */
struct labels {
    int64_t other[GROUPS_TABLE_MAX];
    size_t largest; /* a place of the label with the most */
};

static size_t count(const struct groups_table *t, const struct labels *l, int64_t other)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        n += l->other[i] == other;
    return n;
}

static void tell_labels(const struct groups_table *t, const struct groups_names *names,
                        struct labels *l)
{
    size_t most = 0;

    l->largest = 0;
    for (size_t i = 0; i < t->n; i++)
        l->other[i] = other_of(names, t->id[i]);
    for (size_t i = 0; i < t->n; i++) {
        size_t n = l->other[i] != 0 ? count(t, l, l->other[i]) : 0;

        if (n > most) {
            most = n;
            l->largest = i;
        }
    }
}

static __int128 offered(struct groups_table *t, size_t group)
{
    __int128 area = 0;

    for (size_t i = 0; i < t->rows; i++)
        area += groups_table_at(t, i, group)->area[GROUP_ALLOCATABLE];
    return area;
}

/* Of a label that offered the least, but for its others; GROUPS_TABLE_MAX: there is none. */
static size_t least_of(struct groups_table *t, const struct labels *l, int64_t other)
{
    size_t least = GROUPS_TABLE_MAX;

    for (size_t i = 0; i < t->n; i++) {
        if (l->other[i] == other && t->id[i] != other &&
            (least == GROUPS_TABLE_MAX || offered(t, i) < offered(t, least)))
            least = i;
    }
    return least;
}

/* Where a full chunk has no place for a label's others, its least group becomes that. */
static size_t place_others(struct groups_table *t, const struct labels *l, int64_t other)
{
    size_t place = find(t, other);

    if (place != GROUPS_TABLE_MAX)
        return place;
    place = least_of(t, l, other);
    if (place != GROUPS_TABLE_MAX)
        t->id[place] = other;
    return place;
}

size_t groups_places_make(struct groups_table *t, const struct groups_names *names, int64_t id)
{
    size_t place = groups_table_group(t, id), others, least;
    int64_t own = other_of(names, id), most;
    struct labels l = {0};

    if (place < GROUPS_TABLE_MAX || own == 0)
        return place;
    tell_labels(t, names, &l);
    most = l.other[l.largest];
    if (count(t, &l, own) != 0 && (id == own || count(t, &l, own) + 1 >= count(t, &l, most)))
        return place_others(t, &l, own);
    others = place_others(t, &l, most);
    least = most != 0 ? least_of(t, &l, most) : GROUPS_TABLE_MAX;
    if (least == GROUPS_TABLE_MAX)
        return groups_places_find(t, names, id);
    groups_table_join(t, least, others);
    return groups_table_group(t, id);
}

size_t groups_places_find(const struct groups_table *t, const struct groups_names *names,
                          int64_t id)
{
    size_t place = find(t, id);
    int64_t other = place == GROUPS_TABLE_MAX ? other_of(names, id) : 0;

    return other != 0 ? find(t, other) : place;
}
