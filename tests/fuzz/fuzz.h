/*
 * fuzz: what the fuzz targets share. Each target defines LLVMFuzzerTestOneInput(), which libFuzzer calls, or driver.c.
 */
#ifndef BRIM_TESTS_FUZZ_FUZZ_H
#define BRIM_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "agent/kube/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * Decodes as pod, node, metadata and status, and reads every byte that a record points to. The sum of them is of no use but
 * to keep a compiler from leaving the reading out.
 */
size_t fuzz_decode(enum decode_format format, struct sv object);

/* Says what differs, and aborts. */
NORETURN void fuzz_fail(const char *what);

#endif
