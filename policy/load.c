#include "policy/load.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"

enum { FIRST_CAP = 64 };

/* Of the pieces that fit, half are for the coarse span and a quarter for the fine one: two
 * neighbours that could not be merged are longer than a grain together. */
enum { COARSE_GRAINS = LOAD_MAX / 4, FINE_GRAINS = LOAD_MAX / 8 };

struct piece {
    int64_t since, least, most;
};

/* ---- trees of maxima ---- */

static void tree_set(int64_t *tree, size_t cap, size_t leaf, int64_t value)
{
    tree[cap + leaf] = value;
    for (size_t i = (cap + leaf) / 2; i > 0; i /= 2) {
        int64_t max = max_i64(tree[2 * i], tree[2 * i + 1]);

        if (tree[i] == max)
            return;
        tree[i] = max;
    }
}

/* The maximum of the leaves [from, to]. */
static int64_t tree_max(const int64_t *tree, size_t cap, size_t from, size_t to)
{
    int64_t max = INT64_MIN;

    for (from += cap, to += cap + 1; from < to; from /= 2, to /= 2) {
        if (from % 2 == 1)
            max = max_i64(max, tree[from++]);
        if (to % 2 == 1)
            max = max_i64(max, tree[--to]);
    }
    return max;
}

/* The first leaf from `from` on that is above `value`; cap: there is none. */
static size_t tree_first_above(const int64_t *tree, size_t cap, size_t from, int64_t value)
{
    size_t i = cap + from;

    if (from >= cap)
        return cap;
    while (tree[i] <= value) {
        while (i % 2 == 1)
            i /= 2; /* the root's parent is 0 */
        if (i == 0)
            return cap;
        i++;
    }
    while (i < cap)
        i = 2 * i + (tree[2 * i] <= value);
    return i - cap;
}

/* The last leaf up to `to` that is at least `value`; cap: there is none. */
static size_t tree_last_reaching(const int64_t *tree, size_t cap, size_t to, int64_t value)
{
    size_t i = cap + to;

    while (tree[i] < value) {
        while (i % 2 == 0)
            i /= 2;
        if (i == 1)
            return cap;
        i--;
    }
    while (i < cap)
        i = 2 * i + (tree[2 * i + 1] >= value);
    return i - cap;
}

/* ---- pieces ---- */

static struct piece piece_at(const struct load *l, size_t i)
{
    return (struct piece){l->since[i], l->least[l->cap + i], l->most[l->cap + i]};
}

static void set_piece(struct load *l, size_t i, int64_t least, int64_t most)
{
    tree_set(l->least, l->cap, i, least);
    tree_set(l->most, l->cap, i, most);
}

/* The first piece that began after `after`; len: none did. */
static size_t first_after(const struct load *l, int64_t after)
{
    size_t low = 0, high = l->len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (l->since[middle] <= after)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The piece of this time; the first for times before it. */
static size_t piece_of(const struct load *l, int64_t at)
{
    size_t next = first_after(l, at);

    return next > 0 ? next - 1 : 0;
}

/* Gives the pieces room for `cap` and makes the trees anew. `pieces` may be NULL if there are
 * none. */
static void rebuild(struct load *l, const struct piece *pieces, size_t len, size_t cap)
{
    if (cap != l->cap) {
        l->since = xrealloc(l->since, cap * sizeof *l->since);
        l->least = xrealloc(l->least, 2 * cap * sizeof *l->least);
        l->most = xrealloc(l->most, 2 * cap * sizeof *l->most);
    }
    l->cap = cap;
    l->len = len;
    for (size_t i = 0; i < cap; i++) {
        bool used = i < len;

        l->since[i] = used ? pieces[i].since : 0;
        l->least[cap + i] = used ? pieces[i].least : INT64_MIN;
        l->most[cap + i] = used ? pieces[i].most : INT64_MIN;
    }
    for (size_t i = cap - 1; i > 0; i--) {
        l->least[i] = max_i64(l->least[2 * i], l->least[2 * i + 1]);
        l->most[i] = max_i64(l->most[2 * i], l->most[2 * i + 1]);
    }
}

static int64_t history_us(const struct load *l)
{
    return max_i64(LOAD_HISTORY_S * US_PER_S, l->fine_us);
}

/* Merges neighbours where the two together are not longer than a grain; the newest stays as it is.
 */
static size_t merge(const struct load *l, struct piece *pieces, size_t len)
{
    int64_t newest = pieces[len - 1].since;
    int64_t coarse_us = history_us(l) / COARSE_GRAINS + 1, fine_us = l->fine_us / FINE_GRAINS + 1;
    size_t kept = 1;

    for (size_t i = 1; i < len; i++) {
        struct piece *before = &pieces[kept - 1];
        bool is_newest = i + 1 == len;
        int64_t end = is_newest ? newest : pieces[i + 1].since;
        int64_t grain_us = newest - end < l->fine_us ? fine_us : coarse_us;

        if (!is_newest && end - before->since <= grain_us) {
            before->least = min_i64(before->least, pieces[i].least);
            before->most = max_i64(before->most, pieces[i].most);
        } else {
            pieces[kept++] = pieces[i];
        }
    }
    return kept;
}

/* All pieces are in use: forgets what is too old, else grows, else merges. A part of the pieces is
 * free then, so that the cost is O(1) amortised. */
static void make_room(struct load *l)
{
    if (l->cap == 0) {
        rebuild(l, NULL, 0, FIRST_CAP);
        return;
    }

    size_t old = piece_of(l, l->since[l->len - 1] - history_us(l)), len = l->len - old;
    size_t cap = l->cap;
    CLEANUP(free_ptr) struct piece *pieces = xmalloc(len * sizeof *pieces);

    for (size_t i = 0; i < len; i++)
        pieces[i] = piece_at(l, old + i);
    if (len > cap / 2 && cap < LOAD_MAX) {
        cap *= 2;
    } else if (len > cap / 2) {
        len = merge(l, pieces, len);
        l->merges++;
    }
    rebuild(l, pieces, len, cap);
}

static bool began(const struct load *l, size_t piece, struct mono *ret_at)
{
    if (piece >= l->len)
        return false;
    *ret_at = (struct mono){.us = l->since[piece]};
    return true;
}

void load_init(struct load *l, int64_t fine_us)
{
    *l = (struct load){0};
    load_set_fine(l, fine_us);
}

void load_done(struct load *l)
{
    free(l->since);
    free(l->least);
    free(l->most);
    *l = (struct load){.fine_us = l->fine_us};
}

void load_set_fine(struct load *l, int64_t fine_us)
{
    l->fine_us = max_i64(fine_us, 0);
}

void load_put(struct load *l, struct mono now, int64_t value)
{
    if (l->len > 0 && l->since[l->len - 1] == now.us) {
        set_piece(l, l->len - 1, value, value);
    } else if (l->len == 0 || l->least[l->cap + l->len - 1] != value) {
        assert(l->len == 0 || now.us > l->since[l->len - 1]);
        if (l->len == l->cap)
            make_room(l);
        l->since[l->len++] = now.us;
        set_piece(l, l->len - 1, value, value);
    }
    if (l->len < 2)
        return;

    struct piece before = piece_at(l, l->len - 2);

    if (before.least == value && before.most == value) {
        l->len--; /* of two changes at one moment the second took the first one back */
        set_piece(l, l->len, INT64_MIN, INT64_MIN);
    }
}

void load_clear(struct load *l)
{
    l->len = 0;
    if (l->cap != 0)
        rebuild(l, NULL, 0, l->cap);
}

bool load_knows(const struct load *l, struct mono at)
{
    return l->len > 0 && l->since[0] <= at.us;
}

int64_t load_least_at(const struct load *l, struct mono at)
{
    assert(l->len > 0);
    return l->least[l->cap + piece_of(l, at.us)];
}

int64_t load_most_at(const struct load *l, struct mono at)
{
    assert(l->len > 0);
    return l->most[l->cap + piece_of(l, at.us)];
}

int64_t load_peak_least(const struct load *l, struct mono from, struct mono to)
{
    assert(load_knows(l, to));
    return tree_max(l->least, l->cap, piece_of(l, from.us), piece_of(l, to.us));
}

int64_t load_peak_most(const struct load *l, struct mono from, struct mono to)
{
    assert(load_knows(l, to));
    return tree_max(l->most, l->cap, piece_of(l, from.us), piece_of(l, to.us));
}

bool load_next(const struct load *l, struct mono after, struct mono *ret_at)
{
    return began(l, first_after(l, after.us), ret_at);
}

bool load_next_above(const struct load *l, struct mono after, int64_t value, struct mono *ret_at)
{
    size_t from = first_after(l, after.us);

    return from < l->len && began(l, tree_first_above(l->least, l->cap, from, value), ret_at);
}

bool load_next_most_above(const struct load *l, struct mono after, int64_t value,
                          struct mono *ret_at)
{
    size_t from = first_after(l, after.us);

    return from < l->len && began(l, tree_first_above(l->most, l->cap, from, value), ret_at);
}

bool load_last_end(const struct load *l, struct mono from, struct mono to, int64_t value,
                   struct mono *ret_at)
{
    if (!load_knows(l, to))
        return false;

    size_t last = tree_last_reaching(l->least, l->cap, piece_of(l, to.us), value);

    return last != l->cap && last >= piece_of(l, from.us) && began(l, last + 1, ret_at);
}
