/*
 * fixtures: what the tests of capacity/ share: files of tests/data/ as JSON, and random numbers
 * with a printed seed.
 *
 * BRIM_TEST_SEED repeats a run that failed.
 */
#ifndef BRIM_TESTS_CAPACITY_FIXTURES_H
#define BRIM_TESTS_CAPACITY_FIXTURES_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "base/alloc.h"
#include "base/sv.h"

/* The array in tests/data/NAME; the caller deletes it. */
static inline cJSON *fixture_load(const char *name)
{
    char path[512];
    char *text = NULL;
    size_t len = 0;

    (void)snprintf(path, sizeof path, "%s/%s", TEST_DATA, name);

    FILE *file = fopen(path, "rb");

    cr_assert_not_null(file, "%s is missing", path);
    for (;;) {
        text = xrealloc(text, len + 65536 + 1);
        size_t got = fread(text + len, 1, 65536, file);

        len += got;
        if (got == 0)
            break;
    }
    text[len] = '\0';
    (void)fclose(file);

    cJSON *array = cJSON_Parse(text);

    free(text);
    cr_assert(cJSON_IsArray(array), "%s is not an array", path);
    return array;
}

/* The text under a key, or NULL. */
static inline const char *fixture_text(const cJSON *object, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

struct dice {
    uint64_t state;
};

static inline struct dice dice_new(const char *test)
{
    const char *given = getenv("BRIM_TEST_SEED");
    struct timespec now;
    uint64_t seed;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    seed = (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20;
    if (given != NULL)
        cr_assert(sv_to_u64(sv_from(given), &seed), "BRIM_TEST_SEED is not a number");
    (void)fprintf(stderr, "# %s: BRIM_TEST_SEED=%llu\n", test, (unsigned long long)seed);
    return (struct dice){.state = seed};
}

/* splitmix64. */
static inline uint64_t dice_u64(struct dice *d)
{
    uint64_t z = d->state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

/* 0 .. n - 1. */
static inline size_t dice_below(struct dice *d, size_t n)
{
    return (size_t)(dice_u64(d) % n);
}

#endif
