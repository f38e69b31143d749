#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"

enum { BLOCK_FIRST = 4 << 10, BLOCK_LARGEST = 256 << 10 };

struct arena_block {
    struct arena_block *next;
    size_t size; /* of bytes[] */
    size_t used;
    alignas(max_align_t) char bytes[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

void arena_done(struct arena *a)
{
    while (a->head != NULL) {
        struct arena_block *next = a->head->next;

        free(a->head);
        a->head = next;
    }
    a->used = 0;
}

void arena_clear(struct arena *a)
{
    while (a->head != NULL && a->head->next != NULL) {
        struct arena_block *next = a->head->next;

        free(a->head);
        a->head = next;
    }
    if (a->head != NULL)
        a->head->used = 0;
    a->used = 0;
}

static void add_block(struct arena *a, size_t need)
{
    size_t size = a->head != NULL ? a->head->size * 2 : BLOCK_FIRST;

    if (size > BLOCK_LARGEST)
        size = BLOCK_LARGEST;
    if (size < need)
        size = need;

    struct arena_block *block = xmalloc(sizeof *block + size);

    *block = (struct arena_block){.next = a->head, .size = size};
    a->head = block;
}

void *arena_alloc(struct arena *a, size_t count, size_t size)
{
    size_t need;

    if (__builtin_mul_overflow(count, size, &need) || need > a->max - a->used)
        return NULL;

    size_t rounded = (need + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);

    if (a->head == NULL || rounded > a->head->size - a->head->used)
        add_block(a, rounded);

    void *p = a->head->bytes + a->head->used;

    a->head->used += rounded;
    a->used += need;
    memset(p, 0, need);
    return p;
}

struct sv arena_dup(struct arena *a, struct sv text)
{
    char *copy = arena_alloc(a, text.len + 1, 1);

    if (copy == NULL)
        return (struct sv){0};
    if (text.len != 0)
        memcpy(copy, text.at, text.len);
    return (struct sv){.at = copy, .len = text.len};
}
