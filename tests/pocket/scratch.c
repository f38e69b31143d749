#include "tests/pocket/scratch.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum { SCRATCH_BYTES = 256 << 10 };

static struct {
    alignas(max_align_t) char block[SCRATCH_BYTES];
    size_t used;
    bool open, hooked;
} scratch;

static void *allocate(size_t size)
{
    size_t aligned = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    char *at = scratch.block + scratch.used;

    if (!scratch.open || size > SCRATCH_BYTES || aligned > SCRATCH_BYTES - scratch.used)
        return malloc(size);
    scratch.used += aligned;
    return at;
}

static void release(void *at)
{
    uintptr_t p = (uintptr_t)at, begin = (uintptr_t)scratch.block;

    if (p < begin || p >= begin + SCRATCH_BYTES)
        free(at);
}

void scratch_begin(void)
{
    assert(!scratch.open);
    if (!scratch.hooked)
        cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = allocate, .free_fn = release});
    scratch.hooked = scratch.open = true;
}

void scratch_end(void)
{
    scratch.open = false;
    scratch.used = 0;
}
