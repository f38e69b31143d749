/*
 * random: random numbers for property tests, the same for the same seed on every machine.
 *
 * random_start() takes the seed from BRIM_SEED, else from the clock, and prints it, so that a
 * failure can be had again.
 */
#ifndef BRIM_TESTS_UNIT_POLICY_RANDOM_H
#define BRIM_TESTS_UNIT_POLICY_RANDOM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

struct random {
    uint64_t seed, state;
};

static inline struct random random_start(const char *test)
{
    const char *given = getenv("BRIM_SEED");
    struct clock clock = clock_system();
    uint64_t seed = (uint64_t)clock.wall(clock.self).us;

    if (given != NULL && !sv_to_u64(sv_from(given), &seed)) {
        (void)fprintf(stderr, "BRIM_SEED: found %s, expected a whole number\n", given);
        abort();
    }
    (void)fprintf(stderr, "# %s: BRIM_SEED=%llu\n", test, (unsigned long long)seed);
    return (struct random){.seed = seed, .state = seed};
}

/* splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators") */
static inline uint64_t random_u64(struct random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* From low to high, both included. */
static inline int64_t random_in(struct random *r, int64_t low, int64_t high)
{
    return low + (int64_t)(random_u64(r) % (uint64_t)(high - low + 1));
}

static inline bool random_percent(struct random *r, int percent)
{
    return random_in(r, 0, 99) < percent;
}

#endif
