#include "policy/hole.h"

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

int64_t hole_slots(const struct hole *h, int64_t slot_milli)
{
    if (h->len == 0 || slot_milli <= 0)
        return 1;

    size_t rank = (h->len * HOLE_PERCENTILE + 99) / 100; /* from 1 */
    int64_t size = h->sorted[rank - 1];

    return size <= slot_milli ? 1 : (size - 1) / slot_milli + 1;
}
