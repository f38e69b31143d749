#include "base/arena.h"

#include <criterion/criterion.h>
#include <stdalign.h>

#include "base/alloc.h"

Test(arena, gives_zeroed_aligned_memory_that_does_not_overlap)
{
    enum { PIECES = 2000 };
    static unsigned char *pieces[PIECES];
    struct arena a;

    arena_init(&a, 64 << 20);
    for (size_t i = 0; i < PIECES; i++) {
        size_t size = i * 37 % 3000;

        pieces[i] = arena_alloc(&a, size, 1);
        cr_assert(pieces[i] != NULL);
        cr_assert_eq((uintptr_t)pieces[i] % alignof(max_align_t), 0);
        for (size_t j = 0; j < size; j++)
            cr_assert_eq(pieces[i][j], 0, "piece %zu is not zeroed", i);
        memset(pieces[i], (int)(i % 255) + 1, size);
    }
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t j = 0; j < i * 37 % 3000; j++)
            cr_assert_eq(pieces[i][j], i % 255 + 1, "piece %zu was written over", i);
    }
    arena_done(&a);
    arena_done(&a);
}

Test(arena, stops_at_its_limit)
{
    struct arena a;

    arena_init(&a, 100);
    cr_assert(arena_alloc(&a, 10, 6) != NULL);
    cr_assert(arena_alloc(&a, 41, 1) == NULL);
    cr_assert(arena_alloc(&a, 40, 1) != NULL, "what was refused does not count");
    cr_assert(arena_alloc(&a, 1, 1) == NULL);
    cr_assert(arena_dup(&a, SV("")).at == NULL);
    cr_assert(arena_alloc(&a, SIZE_MAX / 2, 3) == NULL);
    cr_assert(arena_alloc(&a, SIZE_MAX, 1) == NULL);
    cr_assert_eq(a.used, 100);
    arena_clear(&a);
    cr_assert(arena_alloc(&a, 100, 1) != NULL);
    arena_done(&a);
}

Test(arena, is_zeroed_again_after_a_clear)
{
    struct arena a;

    arena_init(&a, 1 << 20);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++) {
            unsigned char *p = arena_alloc(&a, 1000, 1);

            for (int j = 0; j < 1000; j++)
                cr_assert_eq(p[j], 0);
            memset(p, 0xff, 1000);
        }
        arena_clear(&a);
    }
    arena_done(&a);
}

Test(arena, copies_text_with_a_nul_behind)
{
    struct arena a;
    struct sv copy;

    arena_init(&a, 1 << 20);
    copy = arena_dup(&a, SV("abc"));
    cr_assert(sv_eq(copy, SV("abc")) && copy.at[3] == '\0');
    copy = arena_dup(&a, (struct sv){0});
    cr_assert(copy.len == 0 && copy.at != NULL && copy.at[0] == '\0');
    arena_done(&a);
}

Test(arena, takes_pieces_larger_than_a_block)
{
    struct arena a;
    char *large;

    arena_init(&a, 64 << 20);
    cr_assert(arena_alloc(&a, 1, 1) != NULL);
    large = arena_alloc(&a, 10 << 20, 1);
    cr_assert(large != NULL);
    memset(large, 1, 10 << 20);
    cr_assert(arena_alloc(&a, 1000, 1) != NULL);
    arena_done(&a);
}
