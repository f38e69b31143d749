/*
 * bins: a log-scaled histogram of whole numbers, so that quantiles of many can be kept in little and joined.
 *
 * Numbers up to BINS_EXACT have a bin each; above, each doubling has BINS_EXACT of them, so that a bin's highest number is at most
 * 1/BINS_EXACT (6.25 %) above any other in it. A quantile that is told as its bin's highest number is so never too low, and at most
 * that much too high. (After G. Tene, HdrHistogram.) Files hold these numbers (activity.h).
 */
#ifndef BRIM_STORAGE_BINS_H
#define BRIM_STORAGE_BINS_H

#include <stdint.h>

enum { BINS_EXACT = 16, BINS_COUNT = 60 * BINS_EXACT };

/* The bin of a number; what is below 0 counts as 0. */
uint32_t bins_of(int64_t value);
/* The highest number of a bin below BINS_COUNT. */
int64_t bins_most(uint32_t bin);

#endif
