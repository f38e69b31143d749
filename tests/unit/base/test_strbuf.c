#include "base/strbuf.h"

#include <criterion/criterion.h>

#include "base/alloc.h"

static void check_invariants(const struct strbuf *b)
{
    cr_assert(b->len <= b->max);
    if (b->at == NULL)
        cr_assert_eq(b->len, 0);
    else
        cr_assert(b->len < b->cap && b->at[b->len] == '\0', "no NUL at the end");
}

Test(strbuf, is_empty_text_before_the_first_byte)
{
    struct strbuf b;

    strbuf_init(&b, 10);
    check_invariants(&b);
    cr_assert_str_eq(strbuf_str(&b), "");
    cr_assert_eq(strbuf_sv(&b).len, 0);
    strbuf_done(&b);
    strbuf_done(&b);
    strbuf_done(&(struct strbuf){0});
}

Test(strbuf, builds_text_from_pieces)
{
    struct strbuf b;

    strbuf_init(&b, 1000);
    cr_assert(strbuf_add(&b, SV("ab")));
    cr_assert(strbuf_add(&b, (struct sv){0}));
    cr_assert(strbuf_add_char(&b, 'c'));
    cr_assert(strbuf_addf(&b, "%d%s", 12, "!"));
    check_invariants(&b);
    cr_assert_str_eq(strbuf_str(&b), "abc12!");
    strbuf_drop(&b, 2);
    cr_assert_str_eq(strbuf_str(&b), "c12!");
    strbuf_drop(&b, 0);
    strbuf_drop(&b, 4);
    check_invariants(&b);
    cr_assert_eq(b.len, 0);
    strbuf_done(&b);
    strbuf_drop(&b, 0);
}

Test(strbuf, keeps_what_fitted_whole_and_says_that_it_is_full)
{
    struct strbuf b;

    strbuf_init(&b, 5);
    cr_assert(strbuf_add(&b, SV("abc")));
    cr_assert(!strbuf_add(&b, SV("def")));
    cr_assert(b.full);
    cr_assert_str_eq(strbuf_str(&b), "abc");
    cr_assert(!strbuf_add_char(&b, 'd'),
              "what would fit is dropped too, or pieces would be missing in the middle");
    cr_assert(!strbuf_addf(&b, "%d", 1));
    cr_assert(strbuf_room(&b, 1) == NULL);
    check_invariants(&b);
    strbuf_clear(&b);
    cr_assert(!b.full);
    cr_assert(strbuf_addf(&b, "%s", "12345"));
    cr_assert(!strbuf_addf(&b, "%s", "6"));
    cr_assert_str_eq(strbuf_str(&b), "12345");
    strbuf_done(&b);
}

Test(strbuf, refuses_sizes_that_would_overflow)
{
    struct strbuf b;

    strbuf_init(&b, 100);
    cr_assert(strbuf_add(&b, SV("abc")));
    cr_assert(strbuf_room(&b, SIZE_MAX) == NULL);
    cr_assert(strbuf_room(&b, SIZE_MAX - 2) == NULL);
    cr_assert_str_eq(strbuf_str(&b), "abc");
    strbuf_done(&b);
}

Test(strbuf, gives_room_to_write_into)
{
    struct strbuf b;
    char *room;

    strbuf_init(&b, 1 << 20);
    for (int i = 0; i < 1000; i++) {
        room = strbuf_room(&b, 100);
        cr_assert(room != NULL);
        memset(room, 'x', 100);
        strbuf_wrote(&b, 7);
        check_invariants(&b);
    }
    cr_assert_eq(b.len, 7000);
    cr_assert_eq(strspn(strbuf_str(&b), "x"), 7000);
    strbuf_done(&b);
}

Test(strbuf, tells_sizes_in_a_unit_that_shows_them)
{
    static const struct {
        int64_t bytes;
        const char *text;
    } rows[] = {{0, "0 B"},           {1023, "1023 B"},       {1024, "1.0 KiB"},  {4200, "4.1 KiB"},
                {1 << 20, "1.0 MiB"}, {13 << 20, "13.0 MiB"}, {52428, "51.2 KiB"}};
    struct strbuf b;

    strbuf_init(&b, 64);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        strbuf_clear(&b);
        cr_assert(strbuf_add_size(&b, rows[i].bytes));
        cr_assert_str_eq(strbuf_str(&b), rows[i].text);
    }
    strbuf_done(&b);
}

Test(strbuf, writes_cells_of_csv)
{
    static const struct {
        struct sv text;
        const char *cell;
    } rows[] = {
        {SV(""), ""},
        {SV("eu-1a"), "eu-1a"},
        {SV("a,b"), "\"a,b\""},
        {SV("say \"x\""), "\"say \"\"x\"\"\""},
        {SV("\""), "\"\"\"\""},
        {SV("a\r\nb"), "a??b"},
        {SV("=A1,2"), "\"'=A1,2\""},
        {SV("+1"), "'+1"},
        {SV("-1"), "'-1"},
        {SV("@x"), "'@x"},
        {SV("a\u202eb"), "a?b"},
    };
    struct strbuf b;

    strbuf_init(&b, 64);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        strbuf_clear(&b);
        cr_assert(strbuf_add_csv(&b, rows[i].text));
        cr_assert_str_eq(strbuf_str(&b), rows[i].cell, "row %zu: %s", i, strbuf_str(&b));
    }
    strbuf_done(&b);
}

Test(strbuf, fills_a_column_with_blanks)
{
    struct strbuf b;

    strbuf_init(&b, 64);
    cr_assert(strbuf_add_shown_left(&b, SV("K\u00f6ln\x1b"), 8) && strbuf_add_char(&b, '|'));
    cr_assert(strbuf_add_shown_left(&b, SV(""), 2) && strbuf_add_char(&b, '|'));
    cr_assert(strbuf_add_shown_left(&b, SV("long"), 2) && strbuf_add_char(&b, '|'));
    cr_assert_str_eq(strbuf_str(&b), "K\u00f6ln?   |  |long|");
    strbuf_done(&b);
}

Test(strbuf, shows_no_character_that_steers_a_terminal)
{
    struct strbuf b;

    strbuf_init(&b, 64);
    cr_assert(strbuf_add_shown(&b, SV("a\tb\x1b[31m\x7f \xc2\x9b[1m \xc3\x84\xc2\xb5\xc2")));
    cr_assert_str_eq(strbuf_str(&b), "a?b?[31m? ?[1m \xc3\x84\xc2\xb5?");
    strbuf_clear(&b);
    cr_assert(strbuf_add_shown(&b, SV("eu\u202eb1-\u2066x\ufeff\u200b \u20ac\U0001f600\x9b")));
    cr_assert_str_eq(strbuf_str(&b), "eu?b1-?x?? \u20ac\U0001f600?");
    strbuf_done(&b);
    /* Of what does not fit whole characters stay. */
    strbuf_init(&b, 5);
    cr_assert_not(strbuf_add_shown(&b, SV("abc\u20ac")));
    cr_assert_str_eq(strbuf_str(&b), "abc");
    strbuf_done(&b);
}
