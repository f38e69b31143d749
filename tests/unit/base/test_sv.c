#include "base/sv.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/alloc.h"

Test(sv, compares_byte_by_byte)
{
    static const struct {
        const char *a, *b;
        int order;
    } rows[] = {{"", "", 0},    {"a", "a", 0}, {"a", "b", -1},   {"b", "a", 1}, {"a", "ab", -1},
                {"ab", "a", 1}, {"", "a", -1}, {"\xff", "a", 1}, {"A", "a", -1}};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int order = sv_cmp(sv_from(rows[i].a), sv_from(rows[i].b));

        cr_expect_eq((order > 0) - (order < 0), rows[i].order, "'%s' and '%s'", rows[i].a,
                     rows[i].b);
        cr_expect_eq(sv_eq(sv_from(rows[i].a), sv_from(rows[i].b)), rows[i].order == 0,
                     "'%s' and '%s'", rows[i].a, rows[i].b);
    }
    cr_assert(sv_eq((struct sv){0}, SV("")), "an empty view may have no pointer");
    cr_assert_eq(sv_from(NULL).len, 0);
}

Test(sv, knows_beginnings_and_ends)
{
    cr_assert(sv_starts(SV("abc"), SV("ab")) && sv_starts(SV("abc"), SV("")) &&
              sv_starts((struct sv){0}, (struct sv){0}));
    cr_assert(!sv_starts(SV("ab"), SV("abc")) && !sv_starts(SV("abc"), SV("bc")));
    cr_assert(sv_ends(SV("abc"), SV("bc")) && sv_ends(SV("abc"), SV("")) &&
              sv_ends(SV("abc"), SV("abc")));
    cr_assert(!sv_ends(SV("bc"), SV("abc")) && !sv_ends(SV("abc"), SV("ab")));
}

Test(sv, knows_beginnings_in_either_case)
{
    static const struct {
        const char *text, *prefix;
        bool starts;
    } rows[] = {
        {"HTTPS://a", "https://", true}, {"hTtP://A", "HtTp://", true}, {"a", "", true},
        {"http", "http://", false},      {"https:@", "https:`", false}, {"[", "{", false},
        {"\xc4", "\xe4", false},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        cr_expect_eq(sv_starts_ascii_case(sv_from(rows[i].text), sv_from(rows[i].prefix)),
                     rows[i].starts, "'%s' and '%s'", rows[i].text, rows[i].prefix);
    cr_assert(sv_starts_ascii_case((struct sv){0}, (struct sv){0}));
}

Test(sv, skips_no_further_than_the_end)
{
    cr_assert(sv_eq(sv_skip(SV("abc"), 1), SV("bc")));
    cr_assert_eq(sv_skip(SV("abc"), 3).len, 0);
    cr_assert_eq(sv_skip(SV("abc"), 99).len, 0);
    cr_assert_eq(sv_skip((struct sv){0}, 5).at, NULL);
}

Test(sv, cuts_at_the_first_mark)
{
    struct sv head = SV("untouched"), tail = SV("untouched");

    cr_assert(!sv_cut(SV("abc"), '=', &head, &tail));
    cr_assert(!sv_cut((struct sv){0}, '=', &head, &tail));
    cr_assert(sv_eq(head, SV("untouched")) && sv_eq(tail, SV("untouched")));
    cr_assert(sv_cut(SV("a=b=c"), '=', &head, &tail));
    cr_assert(sv_eq(head, SV("a")) && sv_eq(tail, SV("b=c")));
    cr_assert(sv_cut(SV("="), '=', &head, &tail));
    cr_assert(head.len == 0 && tail.len == 0);
}

Test(sv, takes_pieces_off_the_front)
{
    static const struct {
        const char *text, *pieces; /* each followed by | */
    } rows[] = {{"a,,b", "a||b|"}, {"a", "a|"}, {"", ""}, {",", "|"}, {"a,", "a|"}, {",a", "|a|"}};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sv rest = sv_from(rows[i].text), piece;
        char found[32] = "";

        while (sv_next(&rest, ',', &piece)) {
            strncat(found, piece.at, piece.len);
            strcat(found, "|");
        }
        cr_expect_str_eq(found, rows[i].pieces, "'%s'", rows[i].text);
    }
}

Test(sv, trims_blanks_at_both_ends)
{
    cr_assert(sv_eq(sv_trim(SV(" \t\r\n a b \n")), SV("a b")));
    cr_assert_eq(sv_trim(SV("  \n")).len, 0);
    cr_assert_eq(sv_trim((struct sv){0}).len, 0);
}

Test(sv, reads_whole_numbers_and_nothing_else)
{
    static const struct {
        const char *text;
        bool is_signed, is_unsigned;
        int64_t value;
    } rows[] = {
        {"0", true, true, 0},
        {"007", true, true, 7},
        {"9223372036854775807", true, true, INT64_MAX},
        {"9223372036854775808", false, true, INT64_MIN},
        {"-9223372036854775808", true, false, INT64_MIN},
        {"-9223372036854775809", false, false, 0},
        {"18446744073709551615", false, true, -1},
        {"18446744073709551616", false, false, 0},
        {"99999999999999999999999", false, false, 0},
        {"+5", true, false, 5},
        {"-5", true, false, -5},
        {"-0", true, false, 0},
        {"", false, false, 0},
        {"-", false, false, 0},
        {"+", false, false, 0},
        {"--5", false, false, 0},
        {" 5", false, false, 0},
        {"5 ", false, false, 0},
        {"5x", false, false, 0},
        {"0x5", false, false, 0},
        {"1.0", false, false, 0},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t whole = 42;
        uint64_t natural = 42;

        cr_expect_eq(sv_to_i64(sv_from(rows[i].text), &whole), rows[i].is_signed, "'%s'",
                     rows[i].text);
        cr_expect_eq(sv_to_u64(sv_from(rows[i].text), &natural), rows[i].is_unsigned, "'%s'",
                     rows[i].text);
        cr_expect_eq(whole, rows[i].is_signed ? rows[i].value : 42, "'%s'", rows[i].text);
        cr_expect_eq(natural, rows[i].is_unsigned ? (uint64_t)rows[i].value : 42, "'%s'",
                     rows[i].text);
    }
}

Test(sv, copies_onto_the_heap)
{
    CLEANUP(free_ptr) char *copy = sv_dup((struct sv){"a\0b", 3});
    CLEANUP(free_ptr) char *empty = sv_dup((struct sv){0});

    cr_assert(memcmp(copy, "a\0b", 4) == 0);
    cr_assert_str_eq(empty, "");
}

/* Low bits pick the slot of a map: short, similar keys must spread over them. */
Test(sv, hashes_spread_over_the_low_bits)
{
    enum { KEYS = 4096 };
    static int slots[KEYS];
    int worst = 0;

    for (int i = 0; i < KEYS; i++) {
        char key[32];

        (void)snprintf(key, sizeof key, "pod-%d", i);

        int *slot = &slots[sv_hash(sv_from(key)) % KEYS];

        ++*slot;
        worst = *slot > worst ? *slot : worst;
    }
    cr_assert(worst <= 10, "%d keys of %d share a slot", worst, KEYS);
    cr_assert_eq(sv_hash(SV("same")), sv_hash(SV("same")));
    cr_assert_neq(sv_hash(SV("a")), sv_hash((struct sv){"a\0", 2}), "length counts");
}

Test(sv, tells_utf8_from_other_bytes)
{
    static const struct {
        const char *text;
        bool is_utf8;
    } rows[] = {{"", true},
                {"a\xc3\xa4\xe2\x80\xa6\xf0\x9f\x98\x80", true},
                {"a\xc3", false},
                {"\xff", false},
                {"\xa4", false},
                {"\xc0\x80", false},
                {"\xe0\x80\x80", false},
                {"\xed\xa0\x80", false},
                {"\xf4\x90\x80\x80", false},
                {"\xe2\x80 ", false}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_assert_eq(sv_is_utf8(sv_from(rows[i].text)), rows[i].is_utf8, "row %zu", i);
}

/* The ends of each range, what lies beside them, and what of UTF-8 is cut. */
Test(sv, tells_what_a_person_must_not_be_shown)
{
    static const struct {
        const char *text;
        size_t hidden;
        uint32_t code;
    } rows[] = {
        {"\x01", 1, 0x01},
        {"\x1f", 1, 0x1f},
        {" ", 0, ' '},
        {"~", 0, '~'},
        {"\x7f", 1, 0x7f},
        {"\xc2\x80", 2, 0x80},
        {"\xc2\x9fm", 2, 0x9f},
        {"\xc2\xa0", 0, 0xa0},
        {"\u00ad", 2, 0xad},
        {"\u00ae", 0, 0xae},
        {"\u061b", 0, 0x61b},
        {"\u061c", 2, 0x61c},
        {"\u180e", 3, 0x180e},
        {"\u200a", 0, 0x200a},
        {"\u200b", 3, 0x200b},
        {"\u200fx", 3, 0x200f},
        {"\u2010", 0, 0x2010},
        {"\u2027", 0, 0x2027},
        {"\u2028", 3, 0x2028},
        {"\u202a", 3, 0x202a},
        {"\u202e", 3, 0x202e},
        {"\u202f", 0, 0x202f},
        {"\u205f", 0, 0x205f},
        {"\u2060", 3, 0x2060},
        {"\u2066", 3, 0x2066},
        {"\u2069", 3, 0x2069},
        {"\u206f", 3, 0x206f},
        {"\u2070", 0, 0x2070},
        {"\ufefe", 0, 0xfefe},
        {"\ufeff", 3, 0xfeff},
        {"\ufff9", 3, 0xfff9},
        {"\ufffd", 0, 0xfffd},
        {"\U0001f600", 0, 0x1f600},
        {"\U000e0041", 4, 0xe0041},
        {"\U000e0100", 0, 0xe0100},
        {"\x9b", 1, 0x9b},
        {"\xe2\x80", 1, 0xe2},
        {"\xff", 1, 0xff},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sv text = sv_from(rows[i].text);

        cr_assert_eq(sv_hidden(text), rows[i].hidden, "row %zu: %zu", i, sv_hidden(text));
        cr_assert_eq(sv_code_point(text), rows[i].code, "row %zu: %x", i, sv_code_point(text));
    }
}
