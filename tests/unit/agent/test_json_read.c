#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "agent/json_read.h"
#include "agent/show.h"

#define DOCUMENT                                                                                   \
    "{\"t\":1790000000000,\"n\":null,\"a\":{\"b\":{\"c\":-7}},\"s\":"                              \
    "\"x\\\"\\u00e9\\ud83d\\ude00\\n\","                                                           \
    "\"list\":[1, {\"k\":\"v\"} ,[],\"z\"],\"yes\":true,\"f\":1.5}"

Test(json_read, finds_values_by_path)
{
    static const struct {
        const char *path, *want;
    } rows[] = {
        {"t", "1790000000000"}, {"n", "null"},  {"a.b.c", "-7"}, {"a.b", "{\"c\":-7}"}, {"a.x", ""},
        {"a.b.c.d", ""},        {"list.k", ""}, {"", DOCUMENT},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sv got = json_at(SV(DOCUMENT), rows[i].path);

        cr_expect(sv_eq(got, sv_from(rows[i].want)), "%s: %.*s", rows[i].path, SV_ARG(got));
    }
}

Test(json_read, reads_numbers_text_and_truth)
{
    struct strbuf out;
    int64_t n = 0;

    strbuf_init(&out, 100);
    cr_expect(json_i64(SV(DOCUMENT), "a.b.c", &n) && n == -7);
    cr_expect(!json_i64(SV(DOCUMENT), "n", &n) && !json_i64(SV(DOCUMENT), "f", &n) &&
              !json_i64(SV(DOCUMENT), "q", &n));
    cr_expect_eq(n, -7);
    cr_expect(json_true(SV(DOCUMENT), "yes") && !json_true(SV(DOCUMENT), "t"));
    cr_expect(json_text(SV(DOCUMENT), "s", &out));
    cr_expect_str_eq(strbuf_str(&out), "x\"\xc3\xa9\xf0\x9f\x98\x80\n");
    cr_expect(!json_text(SV(DOCUMENT), "t", &out) && !json_text(SV(DOCUMENT), "none", &out));
    strbuf_done(&out);
}

Test(json_read, undoes_broken_escapes_without_reading_past_the_end)
{
    static const struct {
        const char *json, *want;
    } rows[] = {
        {"\"\\u12\"", "\xef\xbf\xbd"
                      "12"}, /* what an escape cannot be is one bad character */
        {"\"\\ud800\"", "\xef\xbf\xbd"},
        {"\"\\ud800\\u0041\"", "\xef\xbf\xbd"
                               "A"},
        {"\"\\q\"", "\xef\xbf\xbd"},
        {"\"\\u00zz\"", "\xef\xbf\xbd"
                        "00zz"},
        {"\"\"", ""},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct strbuf out;

        strbuf_init(&out, 100);
        cr_expect(json_text(sv_from(rows[i].json), "", &out), "%s", rows[i].json);
        cr_expect_str_eq(strbuf_str(&out), rows[i].want, "%s: %s", rows[i].json, strbuf_str(&out));
        strbuf_done(&out);
    }
}

Test(json_read, walks_lists_and_objects)
{
    struct sv rest = json_at(SV(DOCUMENT), "list"), item, key, value;
    size_t n = 0;

    while (json_next(&rest, &item))
        n++;
    cr_expect_eq(n, 4);
    cr_expect(sv_eq(item, SV("\"z\"")));
    rest = SV("{\"a\":1,\"b\":[2]}");
    cr_expect(json_next_member(&rest, &key, &value) && sv_eq(key, SV("\"a\"")) &&
              sv_eq(value, SV("1")));
    cr_expect(json_next_member(&rest, &key, &value) && sv_eq(key, SV("\"b\"")) &&
              sv_eq(value, SV("[2]")));
    cr_expect(!json_next_member(&rest, &key, &value));
    rest = SV("");
    cr_expect(!json_next(&rest, &item) && !json_next_member(&rest, &key, &value));
}

Test(json_read, survives_a_text_that_is_cut_anywhere)
{
    for (size_t len = 0; len <= sizeof DOCUMENT - 1; len++) {
        char *copy =
            malloc(len != 0 ? len : 1); /* exactly as long, so that a read past the end is found */
        struct sv text = {.at = copy, .len = len}, rest, item;
        struct strbuf out;
        int64_t n;

        memcpy(copy, DOCUMENT, len);
        strbuf_init(&out, 100);
        (void)json_i64(text, "a.b.c", &n);
        (void)json_text(text, "s", &out);
        for (rest = json_at(text, "list"); json_next(&rest, &item);)
            cr_assert_leq(item.at + item.len, copy + len);
        strbuf_done(&out);
        free(copy);
    }
}

Test(json_read, shows_sentences_in_parts)
{
    struct strbuf out;

    strbuf_init(&out, 1000);
    show_parts(SV("{\"t\":1790000000000}"),
               SV("[\"Waiting \",{\"until\":1790000065000},\" more, till "
                  "\",{\"at\":1790000065000},\"\\u001b[2J\"]"),
               &out);
    cr_expect_str_eq(strbuf_str(&out), "Waiting 1 min 5 s more, till 2026-09-21T14:14:25Z?[2J");
    strbuf_clear(&out);
    show_number(SV("{\"a\":null}"), "a", &out);
    show_milli(SV("{\"a\":1500}"), "a", &out);
    show_moment(-1, &out);
    show_moment(INT64_MAX, &out);
    cr_expect_str_eq(strbuf_str(&out), "-1.5--");
    strbuf_done(&out);
}
