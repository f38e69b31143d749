/*
 * num: small arithmetic on whole numbers that several modules need.
 */
#ifndef BRIM_BASE_NUM_H
#define BRIM_BASE_NUM_H

#include <stdint.h>

static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

#endif
