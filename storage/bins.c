#include "storage/bins.h"

/* The highest bit of BINS_EXACT. */
enum { EXACT_BITS = 4 };
_Static_assert(1 << EXACT_BITS == BINS_EXACT,
               "a doubling has as many bins as there are exact ones");

uint32_t bins_of(int64_t value)
{
    int shift;

    if (value < BINS_EXACT)
        return value < 0 ? 0 : (uint32_t)value;
    shift = 63 - __builtin_clzll((uint64_t)value) - EXACT_BITS;
    return (uint32_t)(shift * BINS_EXACT) + (uint32_t)(value >> shift);
}

int64_t bins_most(uint32_t bin)
{
    uint32_t shift = bin < 2 * BINS_EXACT ? 0 : bin / BINS_EXACT - 1;
    uint64_t lead = bin - shift * BINS_EXACT;

    return (int64_t)(((lead + 1) << shift) - 1);
}
