#include "base/alloc.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void *checked(void *p)
{
    if (p == NULL) {
        (void)fputs("brim: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *xmalloc(size_t size)
{
    return checked(malloc(size != 0 ? size : 1));
}

void *xcalloc(size_t count, size_t size)
{
    return checked(calloc(count != 0 ? count : 1, size != 0 ? size : 1));
}

void *xrealloc(void *old, size_t size)
{
    return checked(realloc(old, size != 0 ? size : 1));
}

char *xstrdup(const char *text)
{
    return checked(strdup(text));
}

void *vec_reserve(void *array, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return array;

    size_t grown = *cap + *cap / 2 + 4;

    if (grown < need)
        grown = need;
    if (grown > SIZE_MAX / size)
        checked(NULL);
    array = xrealloc(array, grown * size);
    *cap = grown;
    return array;
}
