/*
 * podreq_steps: the calculation of podreq.h as a table for people: a line a step, a column a
 * resource.
 *
 * Columns are cpu, memory and whatever else the pod names. A table without a strbuf writes nothing,
 * so that the arithmetic need not ask. Names of containers come from outside: they are cut at
 * PODREQ_STEPS_NAME bytes, and what is not printable ASCII becomes '?'. Inner part of podreq;
 * nobody else includes this.
 */
#ifndef BRIM_CAPACITY_PODREQ_STEPS_H
#define BRIM_CAPACITY_PODREQ_STEPS_H

#include <stdint.h>

#include "base/strbuf.h"
#include "capacity/podreq.h"

enum { PODREQ_STEPS_NAME = 63 };

/* Exact amounts by place; only those whose bit is in `has` are there, the others are not even
 * zeroed. */
struct podreq_sums {
    struct quantity at[RESOURCE_MAX];
    uint32_t has;
};
_Static_assert(RESOURCE_MAX <= 32, "a place has no bit");

static inline uint32_t podreq_bit(int place)
{
    return UINT32_C(1) << place;
}

struct podreq_steps {
    struct strbuf *out; /* NULL: nothing is written */
    const struct resource_names *names;
    uint32_t columns;
    int label_width;
};

/* Chooses the columns and writes the heading. */
void podreq_steps_begin(struct podreq_steps *s, const struct podreq_input *in,
                        const struct resource_names *names, struct strbuf *out);

/* A line: what and name, the amounts, and a note followed by the names of the places in `noted`. */
void podreq_steps_row(const struct podreq_steps *s, const char *what, struct sv name,
                      const struct podreq_sums *sums, const char *note, uint32_t noted);

/* The last line: what the scheduler counts, in whole units. */
void podreq_steps_end(const struct podreq_steps *s, const struct resources *total);

#endif
