#include "policy/rises.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

enum { PPM = 1000000 };

/* The first place of `sorted` whose value is at least `value`; len if there is none. */
static size_t place_of(const struct rises *r, int64_t value)
{
    size_t low = 0, high = r->len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (r->sorted[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Replaces one value by another: moves only what lies between the two. */
static void replace(struct rises *r, int64_t old, int64_t value)
{
    size_t from = place_of(r, old), to = place_of(r, value);

    if (from < to) {
        to--;
        memmove(&r->sorted[from], &r->sorted[from + 1], (to - from) * sizeof r->sorted[0]);
    } else {
        memmove(&r->sorted[to + 1], &r->sorted[to], (from - to) * sizeof r->sorted[0]);
    }
    r->sorted[to] = value;
}

static void insert(struct rises *r, int64_t value)
{
    size_t place = place_of(r, value);

    memmove(&r->sorted[place + 1], &r->sorted[place], (r->len - place) * sizeof r->sorted[0]);
    r->sorted[place] = value;
    r->len++;
}

void rises_init(struct rises *r, size_t max)
{
    assert(max >= 1 && max <= RISES_MAX);
    *r = (struct rises){
        .ring = xcalloc(max, sizeof *r->ring),
        .sorted = xcalloc(max, sizeof *r->sorted),
        .max = max,
    };
}

void rises_done(struct rises *r)
{
    free(r->ring);
    free(r->sorted);
    *r = (struct rises){0};
}

void rises_set_max(struct rises *r, size_t max)
{
    if (max == r->max)
        return;

    struct rises old = *r;
    size_t kept = old.len < max ? old.len : max;

    rises_init(r, max);
    for (size_t i = old.len - kept; i < old.len; i++)
        rises_add(r, old.ring[(old.next + old.max - old.len + i) % old.max]);
    rises_done(&old);
}

void rises_add(struct rises *r, int64_t value)
{
    if (r->len == r->max)
        replace(r, r->ring[r->next], value);
    else
        insert(r, value);
    r->ring[r->next] = value;
    r->next = (r->next + 1) % r->max;
}

int64_t rises_need(const struct rises *r, int32_t share_ppm)
{
    if (r->len == 0)
        return 0;
    if (share_ppm >= PPM)
        return r->sorted[0];

    size_t above = share_ppm > 0 ? (size_t)share_ppm * r->len / PPM : 0;

    return r->sorted[r->len - 1 - above];
}
