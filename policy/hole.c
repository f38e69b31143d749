#include "policy/hole.h"

#include <stdlib.h>
#include <string.h>

/* The first place of `sorted` whose value is at least `value`; len if there is none. */
static size_t place_of(const struct hole *h, int64_t value)
{
    size_t low = 0, high = h->len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (h->sorted[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void remove_oldest(struct hole *h)
{
    size_t place = place_of(h, h->ring[h->next]);

    h->len--;
    memmove(&h->sorted[place], &h->sorted[place + 1], (h->len - place) * sizeof h->sorted[0]);
}

void hole_add(struct hole *h, int64_t cpu_milli)
{
    int64_t value = cpu_milli > 0 ? cpu_milli : 0;

    if (h->len == HOLE_SIZES)
        remove_oldest(h);

    size_t place = place_of(h, value);

    memmove(&h->sorted[place + 1], &h->sorted[place], (h->len - place) * sizeof h->sorted[0]);
    h->sorted[place] = value;
    h->len++;
    h->ring[h->next] = value;
    h->next = (h->next + 1) % HOLE_SIZES;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

/* The last n sizes, rising. */
static void last_sizes(const struct hole *h, size_t n, int64_t *ret_sorted)
{
    for (size_t i = 0; i < n; i++)
        ret_sorted[i] = h->ring[(h->next + HOLE_SIZES - 1 - i) % HOLE_SIZES];
    qsort(ret_sorted, n, sizeof *ret_sorted, by_value);
}

int64_t hole_slots(const struct hole *h, int64_t slot_milli, int64_t largest_milli, size_t sizes,
                   int percentile)
{
    int64_t last[HOLE_SIZES];
    const int64_t *sorted = h->sorted;
    size_t n = h->len, rank;
    int64_t size;

    if (slot_milli <= 0)
        return 1;
    if (sizes < n) {
        n = sizes != 0 ? sizes : 1;
        last_sizes(h, n, last);
        sorted = last;
    }
    while (n != 0 && sorted[n - 1] > largest_milli)
        n--;
    if (n == 0)
        return 1;
    rank = (n * (size_t)percentile + 99) / 100; /* from 1 */
    size = sorted[rank - 1];
    return size <= slot_milli ? 1 : (size - 1) / slot_milli + 1;
}
