/*
 * groups_places: which groups of nodes have a place in a chunk (groups_table.h) when there are more than GROUPS_TABLE_MAX. Internal to
 * groups.c. Pure.
 *
 * In a full chunk labels share the places alike: of the one that has the most groups, the one that offered the least joins the
 * label's GROUPS_OTHER; of a label that has its share, a new group is one of the others itself. Nothing is left out, unless there are as
 * many labels as places.
 */
#ifndef BRIM_STORAGE_GROUPS_PLACES_H
#define BRIM_STORAGE_GROUPS_PLACES_H

#include "storage/groups_file.h"

/* The place of a group, or of the others that it counts with; GROUPS_TABLE_MAX: none. Those of others may change. O(places^2) if full. */
size_t groups_places_make(struct groups_table *t, const struct groups_names *names, int64_t id);
/* Likewise, but nothing changes. */
size_t groups_places_find(const struct groups_table *t, const struct groups_names *names,
                          int64_t id);

#endif
