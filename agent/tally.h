/*
 * tally: the nodes of a cluster as rows of figures, and their print as table, JSON, YAML or CSV
 * (brim capacity).
 *
 * Free is allocatable - paid - filler and may be negative on an overcommitted node; sums count such
 * a node as 0, since it lends nothing. `fits` is how many pods of a shape the node would take now,
 * `why` what keeps it from taking one more.
 */
#ifndef BRIM_AGENT_TALLY_H
#define BRIM_AGENT_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "capacity/cluster.h"
#include "capacity/room.h"
#include "capacity/selector.h"

enum tally_figure {
    TALLY_CPU_ALLOCATABLE, /* milli */
    TALLY_CPU_PAID,
    TALLY_CPU_FILLER,
    TALLY_CPU_FREE,
    TALLY_MEMORY_ALLOCATABLE, /* bytes */
    TALLY_MEMORY_PAID,
    TALLY_MEMORY_FILLER,
    TALLY_MEMORY_FREE,
    TALLY_PODS_ALLOCATABLE,
    TALLY_PODS_PAID,
    TALLY_PODS_FILLER,
    TALLY_PODS_FREE,
    TALLY_FITS,
    TALLY_COUNT_,
};

struct tally_row {
    char *name;    /* of the node or the group; owned */
    int64_t nodes; /* 1, or of a group */
    bool ready, schedulable;
    int64_t figure[TALLY_COUNT_];
    char why[96]; /* "" where no shape was asked for, and in groups */
};

struct tally {
    struct tally_row *at;
    size_t len, cap;
    struct tally_row total; /* its name is NULL */
    bool has_fits;
};

enum tally_order { TALLY_BY_NAME, TALLY_BY_FREE, TALLY_BY_CPU, TALLY_BY_FITS };

/*
 * Takes the nodes that the selector picks. `group` (NULL: none) is the label whose values make the
 * rows; nodes without it make the row "<none>". `shape` may be NULL.
 */
void tally_init(struct tally *t, struct cluster *c, const struct selector *nodes, const char *group,
                const struct room_shape *shape);
void tally_done(struct tally *t);

void tally_sort(struct tally *t, enum tally_order order);

/* `wide` adds memory, pods and states. */
void tally_table(const struct tally *t, bool wide, struct strbuf *out);
void tally_json(const struct tally *t, struct strbuf *out);
void tally_yaml(const struct tally *t, struct strbuf *out);
void tally_csv(const struct tally *t, struct strbuf *out);

#endif
