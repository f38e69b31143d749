/*
 * spans: samples with the time that each one holds.
 *
 * A sample holds from its time on until the next one comes; if none comes, for sample_hold_ms(). Where the history notes that nobody
 * recorded from some time on, it holds no longer than until then, or as long as those that it stands for.
 */
#ifndef BRIM_STORAGE_SPANS_H
#define BRIM_STORAGE_SPANS_H

#include "storage/history.h"

enum { SPANS_MAX_GAPS = 100000 };

/* The sample holds from <= t < until, which is not empty; returns false to end. */
typedef bool spans_each_fn(void *self, const struct sample *s, int64_t from_ms, int64_t until_ms);

/* Those that touch from <= t < until, by time, cut to it. ERR_LIMIT beyond SPANS_MAX_GAPS; ERR_STORAGE. */
bool spans_each(struct history *h, struct sv policy, int64_t from_ms, int64_t until_ms,
                spans_each_fn *each, void *self, struct err *err) MUST_CHECK;

#endif
