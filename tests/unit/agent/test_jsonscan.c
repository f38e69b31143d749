#include <criterion/criterion.h>

#include "agent/kube/jsonscan.h"

Test(jsonscan, finds_the_end_of_a_value_however_it_is_cut)
{
    static const struct {
        const char *text;
        size_t len; /* of the value at the front */
    } rows[] = {
        {"{} ", 2},
        {"[],", 2},
        {"\"\",", 2},
        {"17,", 2},
        {"-1.5e+3}", 7},
        {"null]", 4},
        {"{\"a\":[{\"b\":\"]}\"}]}}}", 18},
        {"\"\\\"\\\\\" ", 6},
        {"[\"\\\\\",\"[\"]]", 10},
        {"[[[[]]]]]", 8},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sv text = sv_from(rows[i].text);

        for (size_t step = 1; step <= text.len; step++) {
            struct jsonscan s = {0};
            enum jsonscan_result result = JSONSCAN_MORE;
            size_t at = 0, used;

            while (result == JSONSCAN_MORE && at < text.len) {
                struct sv piece = sv_skip(text, at);

                piece.len = piece.len < step ? piece.len : step;
                result = jsonscan_feed(&s, piece, &used);
                at += used;
            }
            cr_expect_eq(result, JSONSCAN_DONE, "%s by %zu", rows[i].text, step);
            cr_expect_eq(at, rows[i].len, "%s by %zu: %zu", rows[i].text, step, at);
        }
    }
}

Test(jsonscan, refuses_what_starts_no_value)
{
    static const char *const rows[] = {"}", "]", ",", ":", " 1", "'a'", "\x01", "<"};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct jsonscan s = {0};
        size_t used;

        cr_expect_eq(jsonscan_feed(&s, sv_from(rows[i]), &used), JSONSCAN_BAD, "%s", rows[i]);
    }
}

Test(jsonscan, walks_the_members_of_an_object)
{
    static const struct {
        const char *text;
        int members; /* before the end, or before the fault */
        bool bad;
    } rows[] = {
        {"{}", 0, false},         {" { } ", 0, false},
        {"{\"a\":1}", 1, false},  {"{ \"a\" : [1] , \"b\" : {\"c\":2} }", 2, false},
        {"{\"a\":1", 0, true},    {"{\"a\":1 \"b\":2}", 0, true},
        {"{\"a\":1,b}", 1, true}, {"{\"a\"}", 0, true},
        {"{\"a\":}", 0, true},    {"{", 0, true},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sv rest;
        struct jsonscan_member member;
        int members = 0;
        bool bad;

        cr_assert(jsonscan_open(sv_from(rows[i].text), &rest), "%s", rows[i].text);
        while (jsonscan_next(&rest, &member, &bad))
            members++;
        cr_expect_eq(members, rows[i].members, "%s: %d", rows[i].text, members);
        cr_expect_eq(bad, rows[i].bad, "%s", rows[i].text);
    }

    struct sv rest;

    cr_expect(!jsonscan_open(SV("[]"), &rest));
    cr_expect(!jsonscan_open(SV(""), &rest));
}

Test(jsonscan, rewrites_what_a_parser_would_lose)
{
    static const struct {
        const char *text;
        const char *rewritten;
    } rows[] = {
        {"{\"a\":1.50}", "{\"a\":\"\xff"
                         "1.50\"}"},
        {"[-0,1e5,12345678901234567890]", "[\"\xff-0\",\"\xff"
                                          "1e5\",\"\xff"
                                          "12345678901234567890\"]"},
        {"[true,false,null]", "[true,false,null]"},
        {"\"1\"", "\"1\""},
        {"\"a\\u0000b\"", "\"a\xfe"
                          "b\""},
        {"\"a\\\\u0000b\"", "\"a\\\\u0000b\""},
        {"\"\\n\\u00e9\\\"\"", "\"\\n\\u00e9\\\"\""},
        {"{\"managedFields\":[{\"a\":[\"]\"]},1],\"b\":2}", "{\"managedFields\":null,\"b\":\"\xff"
                                                            "2\"}"},
        {"{\"managedFields\" : [ ] }", "{\"managedFields\":null }"},
        {"{\"managedFields\":\"[\"}", "{\"managedFields\":\"[\"}"},
    };
    CLEANUP(strbuf_done) struct strbuf out;

    strbuf_init(&out, 1000);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err err = {0};

        cr_expect(jsonscan_rewrite(sv_from(rows[i].text), &out, &err), "%s: %s", rows[i].text,
                  err.text);
        cr_expect_str_eq(strbuf_str(&out), rows[i].rewritten, "%s: %s", rows[i].text,
                         strbuf_str(&out));
    }
}

/* One inside the other, each was looked for its end anew. */
Test(jsonscan, refuses_managed_fields_without_an_end)
{
    static const char *const bad[] = {"{\"managedFields\":[",
                                      "{\"managedFields\":[\"managedFields\":[{}]",
                                      "{\"managedFields\":[\"]}"};
    CLEANUP(strbuf_done) struct strbuf out;
    struct err err;

    strbuf_init(&out, 1000);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        cr_expect(!jsonscan_rewrite(sv_from(bad[i]), &out, &err), "%s", bad[i]);
        cr_expect_eq(err.kind, ERR_INPUT, "%s", bad[i]);
    }
}

Test(jsonscan, knows_the_grammar_of_numbers)
{
    static const char *const good[] = {"0", "-0", "10", "0.5", "-1.25", "1e5", "1E+5", "1.0e-10"};
    static const char *const bad[] = {"-",     "01", "1.",   "1e",  "1e+", "--1",
                                      "1.2.3", "1a", "0x10", "-.5", "1-"};
    CLEANUP(strbuf_done) struct strbuf out;
    struct err err;

    strbuf_init(&out, 1000);
    for (size_t i = 0; i < COUNT_OF(good); i++)
        cr_expect(jsonscan_rewrite(sv_from(good[i]), &out, NULL), "%s", good[i]);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        cr_expect(!jsonscan_rewrite(sv_from(bad[i]), &out, &err), "%s: %s", bad[i],
                  strbuf_str(&out));
        cr_expect_eq(err.kind, ERR_INPUT, "%s", bad[i]);
    }
}

Test(jsonscan, bounds_what_comes_out)
{
    CLEANUP(strbuf_done) struct strbuf small, large, text;
    struct err err;

    strbuf_init(&small, 10);
    strbuf_init(&large, SIZE_MAX);
    strbuf_init(&text, SIZE_MAX);
    cr_expect(!jsonscan_rewrite(SV("[\"0123456789\"]"), &small, &err));
    cr_expect_eq(err.kind, ERR_LIMIT);
    cr_expect(!jsonscan_rewrite(SV("[1,2,3]"), &small, &err));
    cr_expect_eq(err.kind, ERR_LIMIT);
    for (int i = 0; i <= JSONSCAN_MAX_VALUES; i++)
        (void)strbuf_add_char(&text, '[');
    cr_expect(!jsonscan_rewrite(strbuf_sv(&text), &large, &err));
    cr_expect_eq(err.kind, ERR_LIMIT);
}
