/*
 * caps: how many filler pods each node may hold, so that what is kept free lies in pieces that paid
 * pods fit in (docs/CONTROL.md 6).
 *
 *     cap = slots ; left = min(h, S)
 *     while left > 0:  k = min(z, left)
 *         take the node that can give k slots; among those one where most of them are free of
 *         filler now, min(k, cap - filler there); then the one with most cap; then the first in
 *         order
 *         k = min(k, cap[node]) ; cap[node] -= k ; left -= k
 *         (no node can give k: the node with most cap)
 *
 * So sum of cap = S - min(S, h) and 0 <= cap <= slots. Holes stay where they are free already, on
 * the emptiest nodes, so that keeping them moves no filler; one that a small paid pod broke into is
 * made whole again there, where the fewest must leave, instead of another one being begun. (That
 * alone takes the blocked pods of a replayed load with large pods from 3.3 % to 1.6 %.)
 *
 * The loop is not walked hole by hole: a node's offers are the chain cap, cap - z, cap - 2z …, and
 * taking the most of all chains again and again is taking whatever lies above one threshold, which
 * is found by counting offers by size. O(n + the largest slots), whatever h is.
 */
#ifndef BRIM_POLICY_CAPS_H
#define BRIM_POLICY_CAPS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Slots of one node beyond this are not counted: a kubelet takes about a hundred pods. */
enum { CAPS_MAX_SLOTS = 1 << 20 };

struct caps_input {
    const int64_t *slots;  /* by node index; below 0 counts as 0 */
    const int64_t *filler; /* pods there now; NULL: none */
    const uint32_t *order; /* the n indexes in the order that breaks ties; NULL: as they are */
    size_t n;
    int64_t hole_slots; /* z; below 1 counts as 1 */
    int64_t kept_slots; /* h; below 0 counts as 0 */
};

struct caps; /* memory that is used again */

struct caps *caps_new(void);
void caps_free(struct caps *c);
DEFINE_FREE_PTR(struct caps, caps)

/* The n caps, by node index. Valid until the next call. */
const int64_t *caps_compute(struct caps *c, const struct caps_input *in);

#endif
