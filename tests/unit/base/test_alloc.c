#include "base/alloc.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

Test(alloc, never_returns_null_for_nothing)
{
    CLEANUP(free_ptr) char *a = xmalloc(0);
    CLEANUP(free_ptr) char *b = xcalloc(0, 8);
    CLEANUP(free_ptr) char *c = xcalloc(3, 5);
    CLEANUP(free_ptr) char *d = xstrdup("text");

    cr_assert(a != NULL && b != NULL);
    cr_assert(memcmp(c, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15) == 0);
    cr_assert_str_eq(d, "text");
    a = xrealloc(a, 0);
    cr_assert(a != NULL);
}

Test(alloc, grows_arrays_by_half_and_keeps_their_elements)
{
    struct {
        int *at;
        size_t len, cap;
    } v = {0};
    size_t moves = 0, cap = 0;

    for (int i = 0; i < 100000; i++) {
        VEC_PUSH(v.at, v.len, v.cap, i);
        cr_assert(v.len <= v.cap);
        moves += v.cap != cap;
        cap = v.cap;
    }
    for (int i = 0; i < 100000; i++)
        cr_assert_eq(v.at[i], i);
    cr_assert(moves < 40, "%zu moves are not amortised O(1)", moves);
    v.at = vec_reserve(v.at, &v.cap, 10, sizeof *v.at);
    cr_assert_eq(v.cap, cap, "there is room already");
    v.at = vec_reserve(v.at, &v.cap, 1000000, sizeof *v.at);
    cr_assert(v.cap >= 1000000);
    free(v.at);
}

Test(alloc, aborts_when_a_size_overflows, .signal = SIGABRT)
{
    size_t cap = 0;

    (void)vec_reserve(NULL, &cap, SIZE_MAX / 4, 8);
}

Test(alloc, takes_ownership_away)
{
    char *text = xstrdup("x");
    CLEANUP(free_ptr) char *taken = TAKE(text);

    cr_assert(text == NULL);
    cr_assert_str_eq(taken, "x");
}
