/*
 * promread: reads what Prometheus answers to a query while it comes in, one series at a time.
 *
 * An answer is {"status":"success","data":{"resultType":"vector"|"matrix","result":[…]},"warnings":[…]}, its members in any order,
 * foreign ones skipped (Thanos, Mimir and VictoriaMetrics add their own), or {"status":"error","errorType":…,"error":…}. Never more
 * than one series is held: bytes go in as they come, in pieces of any size, and each series is handed out when its last byte is
 * there. (prometheus.io/docs/prometheus/latest/querying/api)
 *
 * What is no such answer is ERR_PROTOCOL; a series of more than PROMREAD_MAX_SERIES bytes is ERR_LIMIT. Native histograms are
 * series without points. O(bytes).
 */
#ifndef BRIM_AGENT_PROM_PROMREAD_H
#define BRIM_AGENT_PROM_PROMREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/kube/jsonscan.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "base/sv.h"

/* 11,000 points, the most that Prometheus gives of one series, take about 400 KB. */
enum { PROMREAD_MAX_SERIES = 4 << 20, PROMREAD_MAX_TEXT = 200 };

struct promread_label {
    struct sv name, value;
};

struct promread_point {
    int64_t t_ms;
    struct sv value; /* as it is written: "0.25", "1.7e+09", "NaN" */
};

/* Valid during the call that hands it out. */
struct promread_series {
    const struct promread_label *labels;
    size_t n_labels;
    const struct promread_point *points; /* one of a vector */
    size_t n_points;
};

/* The value of a label; empty where there is none, which is the same to Prometheus. O(labels). */
struct sv promread_label(const struct promread_series *s, const char *name);

/* A value as a whole number of 10^-digits, rounded; false where it is none ("NaN", "+Inf") or does not fit. */
bool promread_number(struct sv value, int digits, int64_t *ret) MUST_CHECK;

/* False ends the reading; the error is what promread_push() returns. */
typedef bool promread_fn(void *self, const struct promread_series *s, struct err *err);

struct promread {
    promread_fn *fn;
    void *self;
    struct strbuf buf; /* of the value that is coming in, where it came in pieces */
    struct jsonscan scan;
    uint8_t level, state, member;
    bool in_value, wanted;

    struct promread_label *labels; /* of the series at hand */
    size_t n_labels, cap_labels;
    struct promread_point *points;
    size_t n_points, cap_points;

    /* What the answer says of itself; texts are cut and have no line breaks. */
    bool success, has_result;
    bool partial; /* isPartial, or there were warnings: something may be missing */
    uint64_t n_series;
    char error_type[64], error[PROMREAD_MAX_TEXT], warning[PROMREAD_MAX_TEXT]; /* the first one */
};

void promread_init(struct promread *r, promread_fn *fn, void *self);
void promread_done(struct promread *r);

bool promread_push(struct promread *r, struct sv bytes, struct err *err) MUST_CHECK;

/* Was the answer whole? An error that Prometheus tells is ERR_SERVER, "errorType: error". */
bool promread_end(struct promread *r, struct err *err) MUST_CHECK;

#endif
