/*
 * resources: amounts of cpu, memory, ephemeral storage, pods and extended resources, as one plain
 * value.
 *
 * Units: cpu in milli, everything else whole (bytes, pods, devices), int64, never fractions. Sums
 * that are kept and changed by differences are exact (amounts_count()), of amounts that have bounds
 * (resources_bounded()); a sum that is made for a moment saturates. Extended resources ("nvidia.com/gpu", "hugepages-2Mi") get a place
 * by name in a `struct resource_names`, which all values that meet each other must share. There are
 * RESOURCE_MAX places; a name for which none is left is not counted, and names->overflow says so.
 * A request of 0 and no request are the same: neither is ever refused (kube-scheduler,
 * noderesources/fit.go).
 */
#ifndef BRIM_CAPACITY_RESOURCES_H
#define BRIM_CAPACITY_RESOURCES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/num.h"
#include "base/sv.h"

enum {
    RESOURCE_CPU,
    RESOURCE_MEMORY,
    RESOURCE_EPHEMERAL,
    RESOURCE_PODS,
    RESOURCE_FIRST_EXTENDED,
    RESOURCE_MAX = 32
};

struct resources {
    int64_t at[RESOURCE_MAX];
};

struct resource_names {
    char *name[RESOURCE_MAX]; /* owned; the first four are literals */
    int count;     /* places taken, at least RESOURCE_FIRST_EXTENDED; loops run to here */
    bool overflow; /* a name found no place */
};

void resource_names_init(struct resource_names *names);
/* Safe on a zeroed struct. */
void resource_names_done(struct resource_names *names);

/*
 * The place of a resource's name, -1 if it has none. `add` gives a countable name the next free
 * place. "pods" has a place because nodes offer it; podreq.h ignores it as a pod's request.
 */
int resource_names_find(struct resource_names *names, struct sv name, bool add);

/*
 * Does the scheduler count a request for this name at all? It does for cpu, memory,
 * ephemeral-storage, pods, extended names ("domain/name"), "hugepages-*", "attachable-volumes-*"
 * and names with "kubernetes.io/"; it ignores all others (k8s.io/kubernetes/pkg/scheduler/util:
 * IsScalarResourceName). Names longer than any valid one are not counted.
 */
bool resource_countable(struct sv name);

/*
 * What one pod or one node counts at most: cpu and pods up to 2^40 (a thousand million cores; 2^22
 * of them, more pods than etcd has room for, add up to 2^62), everything else up to 2^50 (1 PiB;
 * 2^12 of them on one node likewise). No machine has a thousandth of the first or a tenth of the
 * second, so that a pod that asks for more finds no room either way; and what is counted can be
 * taken away again.
 */
#define RESOURCE_BOUND_COUNT (INT64_C(1) << 40)
#define RESOURCE_BOUND_BYTES (INT64_C(1) << 50)

static inline int64_t amount_bounded(int place, int64_t amount)
{
    int64_t bound = place == RESOURCE_CPU || place == RESOURCE_PODS ? RESOURCE_BOUND_COUNT
                                                                    : RESOURCE_BOUND_BYTES;

    return max_i64(min_i64(amount, bound), 0);
}

/* Each amount within 0 and its bound; the API server lets nothing below 0 in. O(RESOURCE_MAX). */
struct resources resources_bounded(const struct resources *r);

/*
 * Sums that saturate, without branches and overflow builtins, so that the compiler makes vector code of loops over them: an
 * overflow shows in the sign bit of `overflow`, and its limit has the sign of the left side.
 */
static inline int64_t amount_saturate(uint64_t left, uint64_t result, uint64_t overflow)
{
    uint64_t limit = (left >> 63) + (uint64_t)INT64_MAX;
    uint64_t mask = 0 - (overflow >> 63);

    return (int64_t)((limit & mask) | (result & ~mask));
}

static inline int64_t amount_add(int64_t to, int64_t what)
{
    uint64_t a = (uint64_t)to, b = (uint64_t)what;

    return amount_saturate(a, a + b, ~(a ^ b) & (a ^ (a + b)));
}

static inline int64_t amount_sub(int64_t from, int64_t what)
{
    uint64_t a = (uint64_t)from, b = (uint64_t)what;

    return amount_saturate(a, a - b, (a ^ b) & (a ^ (a - b)));
}

/* to += what, to -= what, saturating; O(RESOURCE_MAX), vectorised. */
void resources_add(struct resources *to, const struct resources *what);
void resources_sub(struct resources *to, const struct resources *what);
/* Per place the larger one. */
void resources_max(struct resources *to, const struct resources *other);
bool resources_equal(const struct resources *a, const struct resources *b);

/*
 * Would the scheduler's fit check let `request` into `free`? request.at[RESOURCE_PODS] is the 1
 * that each pod takes. On failure *ret_short (may be NULL) is the first place that lacks, in the
 * scheduler's order: pods, cpu, memory, ephemeral storage, others. Only what is asked for can lack:
 * `free` may be below 0 elsewhere.
 */
bool resources_fit(const struct resources *request, const struct resources *free, int *ret_short);

/*
 * How many requests go into `free` at once: min over the asked places of floor(free / request), at
 * least 0. *ret_bound (may be NULL) = the place that binds, the first in the scheduler's order
 * where several do. Nothing asked: INT64_MAX, bound -1.
 */
int64_t resources_times(const struct resources *request, const struct resources *free,
                        int *ret_bound);

uint64_t resources_hash(const struct resources *r);

/*
 * Where something is asked for at all, as a rule two to four places: what is summed up and compared
 * for one request need not look at the others. The results are those of the functions above.
 */
struct resource_places {
    uint8_t n;
    uint8_t at[RESOURCE_MAX]; /* in the scheduler's order */
};

struct resource_places resources_places(const struct resources *request);

/*
 * Adds `what` to (sign 1), or takes it from (-1), a kept sum that has all these places. Never
 * saturates, so that a sum is again what it was when all is taken away. One beyond int64, which
 * takes 8,192 pods of the bound on one node, wraps; that node is full by its number of pods, unless
 * it offers so many. O(places).
 */
void amounts_count(int64_t *sum, const struct resources *what, const struct resource_places *places,
                   int sign);

/* `what` is 0 outside of the places. O(places). */
void resources_add_at(struct resources *to, const struct resources *what,
                      const struct resource_places *places);
void resources_sub_at(struct resources *to, const struct resources *what,
                      const struct resource_places *places);
/* `places` are those of the request; what `free` has elsewhere is not read. O(places). */
bool resources_fit_at(const struct resources *request, const struct resources *free,
                      const struct resource_places *places);
int64_t resources_times_at(const struct resources *request, const struct resources *free,
                           const struct resource_places *places);

#endif
