/*
 * metrics_fail: the errors of the metrics APIs, as Status objects with what was asked for in their
 * details.
 */
#ifndef BRIM_AGENT_SERVE_METRICS_METRICS_FAIL_H
#define BRIM_AGENT_SERVE_METRICS_METRICS_FAIL_H

#include "agent/serve/metrics/metrics_ask.h"
#include "base/attr.h"

enum metrics_error {
    METRICS_BAD_REQUEST,
    METRICS_FORBIDDEN,
    METRICS_NOT_FOUND,
    METRICS_NOT_ALLOWED,
    METRICS_NOT_ACCEPTABLE,
    METRICS_UNAVAILABLE,
    METRICS_ERROR_COUNT_
};

/* Texts from outside are cut in the message. The body that was begun is thrown away. */
void metrics_fail(struct routes_answer *a, enum metrics_error error, const struct metrics_ask *ask,
                  const char *fmt, ...) PRINTF(4, 5);

#endif
