/*
 * alloc: small allocations that abort when memory is gone, and growing arrays.
 *
 * Every size in the tree is bounded by a named limit, so that running out of memory leaves no sane
 * answer but to stop. None of these functions returns NULL.
 */
#ifndef BRIM_BASE_ALLOC_H
#define BRIM_BASE_ALLOC_H

#include <stddef.h>
#include <stdlib.h>

#include "base/attr.h"

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *text);

/*
 * Makes room for `need` elements of `size` bytes in an array of `*cap`: returns the array, which
 * may have moved, and sets *cap. Grows by half, so that appending is amortised O(1).
 */
void *vec_reserve(void *array, size_t *cap, size_t need, size_t size);

/* Appends one element: VEC_PUSH(v->at, v->len, v->cap, value). */
#define VEC_PUSH(array, len, cap, value)                                                           \
    do {                                                                                           \
        if ((len) == (cap))                                                                        \
            (array) = vec_reserve((array), &(cap), (len) + 1, sizeof *(array));                    \
        (array)[(len)++] = (value);                                                                \
    } while (0)

/* Cleanup for any pointer from malloc: CLEANUP(free_ptr) char *text = ... */
static inline void free_ptr(void *p)
{
    free(*(void **)p);
}

#endif
