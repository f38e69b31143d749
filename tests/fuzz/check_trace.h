/*
 * check_trace: what trace.h says of every trace, however it was made.
 */
#ifndef BRIM_TESTS_FUZZ_CHECK_TRACE_H
#define BRIM_TESTS_FUZZ_CHECK_TRACE_H

#include "policy/sim/trace.h"

/* Aborts where it is not so. O(rows). */
void check_trace(const struct trace *t);

#endif
