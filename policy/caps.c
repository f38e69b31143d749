#include "policy/caps.h"

#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"

struct caps {
    const struct caps_input *in; /* of the call that runs */
    int64_t hole;                /* z */
    int64_t *cap;
    size_t n_cap;
    int64_t largest; /* of all caps */
    int64_t *bucket; /* by size, from 0 to `largest` */
    size_t n_bucket;
    uint32_t *holes; /* holes[v] = v / z, from 0 to `largest` */
    size_t n_holes;
};

struct caps *caps_new(void)
{
    return xcalloc(1, sizeof(struct caps));
}

void caps_free(struct caps *c)
{
    if (c == NULL)
        return;
    free(c->cap);
    free(c->bucket);
    free(c->holes);
    free(c);
}

static uint32_t node_at(const struct caps *c, size_t place)
{
    return c->in->order != NULL ? c->in->order[place] : (uint32_t)place;
}

static int64_t filler_at(const struct caps *c, uint32_t node)
{
    return c->in->filler != NULL ? c->in->filler[node] : 0;
}

/* Copies the slots, and returns their sum. */
static int64_t copy_slots(struct caps *c)
{
    int64_t sum = 0;

    c->cap = vec_reserve(c->cap, &c->n_cap, c->in->n + 1, sizeof *c->cap);
    c->largest = 0;
    for (size_t i = 0; i < c->in->n; i++) {
        c->cap[i] = min_i64(max_i64(c->in->slots[i], 0), CAPS_MAX_SLOTS);
        c->largest = max_i64(c->largest, c->cap[i]);
        sum += c->cap[i];
    }
    return sum;
}

static void clear_buckets(struct caps *c)
{
    size_t n = (size_t)c->largest + 1;

    c->bucket = vec_reserve(c->bucket, &c->n_bucket, n, sizeof *c->bucket);
    memset(c->bucket, 0, n * sizeof *c->bucket);
}

/* A division for every node would cost more than all the rest. */
static void divide_all(struct caps *c)
{
    uint32_t quotient = 0;
    int64_t rest = 0;

    c->holes = vec_reserve(c->holes, &c->n_holes, (size_t)c->largest + 1, sizeof *c->holes);
    for (int64_t v = 0; v <= c->largest; v++) {
        c->holes[v] = quotient;
        if (++rest == c->hole) {
            quotient++;
            rest = 0;
        }
    }
}

/* How many whole holes a node offers that has `filler` pods in the way. */
static int64_t offers(const uint32_t *holes, int64_t cap, int64_t filler)
{
    return cap > filler ? holes[cap - filler] : 0;
}

/*
 * The size that the last of `want` offers has when the largest are taken first, and how many of
 * that size are taken; 0 if there are not more than `want`. An offer of size v stands for a node
 * whose cap would go from v to v - z. `bucket` holds where chains begin (+) and end (-).
 */
static int64_t threshold(struct caps *c, int64_t want, int64_t *ret_last, int64_t *ret_offers)
{
    int64_t sum = 0;

    *ret_last = 0;
    for (int64_t v = c->largest; v >= c->hole; v--) {
        if (c->largest - v >= c->hole)
            c->bucket[v] += c->bucket[v + c->hole];
        sum += c->bucket[v];
        if (sum >= want) {
            *ret_last = want - (sum - c->bucket[v]);
            *ret_offers = want;
            return v;
        }
    }
    *ret_offers = sum;
    return 0;
}

/* Notes where each node's chain of offers begins and ends. */
static void add_chains(struct caps *c, bool free_ones)
{
    const uint32_t *holes = c->holes;
    const int64_t *cap = c->cap;
    int64_t *bucket, hole = c->hole;

    clear_buckets(c);
    bucket = c->bucket;
    for (uint32_t i = 0; i < c->in->n; i++) {
        int64_t n = offers(holes, cap[i], free_ones ? max_i64(filler_at(c, i), 0) : 0);

        if (n == 0)
            continue;
        bucket[cap[i]]++;
        bucket[cap[i] - n * hole]--;
    }
}

/* Takes the largest `want` whole holes, of those free of filler or of all; returns how many there
 * were. */
static int64_t take_holes(struct caps *c, int64_t want, bool free_ones)
{
    int64_t last, found, limit;

    add_chains(c, free_ones);
    limit = threshold(c, want, &last, &found);
    for (size_t i = 0; i < c->in->n; i++) {
        uint32_t node = node_at(c, i);
        int64_t cap = c->cap[node], n, take;

        if (cap < limit)
            continue;
        n = offers(c->holes, cap, free_ones ? max_i64(filler_at(c, node), 0) : 0);
        take = cap > limit ? min_i64(n, c->holes[cap - limit - 1] + 1) : 0;
        if (last > 0 && take < n && cap - take * c->hole == limit) {
            take++;
            last--;
        }
        c->cap[node] = cap - take * c->hole;
    }
    return found;
}

/* How much of a hole that the node could give is free of filler; all whole ones are taken. */
static int64_t part_of(const struct caps *c, uint32_t node)
{
    int64_t room = c->cap[node] - max_i64(filler_at(c, node), 0);

    return c->cap[node] >= c->hole && room > 0 ? room : 0;
}

/* Of the sizes in the buckets the one that the last of `want` has when the largest are taken first,
 * and how many of that size are taken; 0 if there are not more than `want`. */
static int64_t cut_at(const struct caps *c, int64_t want, int64_t *ret_last)
{
    for (int64_t v = c->largest; v > 0; v--) {
        if (c->bucket[v] >= want) {
            *ret_last = want;
            return v;
        }
        want -= c->bucket[v];
    }
    *ret_last = 0;
    return 0;
}

/* Takes up to `want` holes that are free in part, one of a node, those of which most is free first,
 * of equal ones where most cap is. Returns how many there were. */
static int64_t take_parts(struct caps *c, int64_t want)
{
    int64_t last, limit, last_cap, cap_limit, found = 0;

    clear_buckets(c);
    for (uint32_t i = 0; i < c->in->n; i++)
        c->bucket[part_of(c, i)]++;
    limit = cut_at(c, want, &last);
    clear_buckets(c);
    for (uint32_t i = 0; i < c->in->n; i++)
        c->bucket[c->cap[i]] += limit > 0 && part_of(c, i) == limit;
    cap_limit = cut_at(c, last, &last_cap);
    for (size_t i = 0; i < c->in->n; i++) {
        uint32_t node = node_at(c, i);
        int64_t part = part_of(c, node);
        bool is_last = limit > 0 && part == limit && c->cap[node] == cap_limit;

        if (part == 0 || part < limit || (part == limit && c->cap[node] < cap_limit) ||
            (is_last && last_cap-- <= 0))
            continue;
        c->cap[node] -= c->hole;
        found++;
    }
    return found;
}

/* No node can give a whole hole: takes nodes as they are, largest first, until one can give what is
 * left. Returns what is left then. */
static int64_t take_pieces(struct caps *c, int64_t left)
{
    bool found = false;

    clear_buckets(c);
    for (size_t i = 0; i < c->in->n; i++)
        c->bucket[c->cap[i]]++;
    for (int64_t v = c->largest; v > 0; v--) {
        int64_t n = found ? 0 : min_i64(c->bucket[v], (left - 1) / v);

        found |= n < c->bucket[v];
        c->bucket[v] = n; /* of this size are taken */
        left -= n * v;
    }
    for (size_t i = 0; i < c->in->n; i++) {
        uint32_t node = node_at(c, i);

        if (c->cap[node] != 0 && c->bucket[c->cap[node]] > 0) {
            c->bucket[c->cap[node]]--;
            c->cap[node] = 0;
        }
    }
    return left;
}

static void take_last(struct caps *c, int64_t left)
{
    uint32_t best = UINT32_MAX;
    int64_t best_free = 0;

    for (size_t i = 0; i < c->in->n; i++) {
        uint32_t node = node_at(c, i);
        int64_t room = c->cap[node] - max_i64(filler_at(c, node), 0);
        int64_t is_free = min_i64(max_i64(room, 0), left);

        if (c->cap[node] < left || (best != UINT32_MAX && is_free < best_free))
            continue;
        if (best == UINT32_MAX || is_free > best_free || c->cap[node] > c->cap[best]) {
            best = node;
            best_free = is_free;
        }
    }
    if (best != UINT32_MAX)
        c->cap[best] -= left;
}

const int64_t *caps_compute(struct caps *c, const struct caps_input *in)
{
    int64_t sum, left, want;

    c->in = in;
    c->hole = max_i64(in->hole_slots, 1);
    sum = copy_slots(c);
    left = max_i64(in->kept_slots, 0);
    if (left >= sum) {
        memset(c->cap, 0, in->n * sizeof *c->cap);
        return c->cap;
    }
    divide_all(c);
    want = left / c->hole;
    left -= want * c->hole;
    if (want > 0)
        want -= take_holes(c, want, true);
    if (want > 0)
        want -= take_parts(c, want);
    if (want > 0)
        want -= take_holes(c, want, false);
    left += want * c->hole;
    if (left > 0)
        take_last(c, take_pieces(c, left));
    return c->cap;
}
