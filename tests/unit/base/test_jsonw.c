#include "base/jsonw.h"

#include <criterion/criterion.h>

#include "base/attr.h"

Test(jsonw, sets_commas_and_nests)
{
    struct strbuf out;
    struct jsonw w;

    strbuf_init(&out, 1000);
    jsonw_init(&w, &out);
    jsonw_object(&w, NULL);
    jsonw_i64(&w, "a", INT64_MIN);
    jsonw_array(&w, "b");
    jsonw_bool(&w, NULL, true);
    jsonw_null(&w, NULL);
    jsonw_array(&w, NULL);
    jsonw_end(&w);
    jsonw_object(&w, NULL);
    jsonw_cstr(&w, "c", NULL);
    jsonw_end(&w);
    jsonw_end(&w);
    jsonw_milli(&w, "d", -1500);
    jsonw_sv_str(&w, SV("app/\"x\""), SV("y"));
    jsonw_raw(&w, "e", SV("{\"f\":1}"));
    jsonw_bool(&w, "g", false);
    jsonw_end(&w);
    cr_assert_str_eq(strbuf_str(&out),
                     "{\"a\":-9223372036854775808,\"b\":[true,null,[],{\"c\":null}],\"d\":-1.5,"
                     "\"app/\\\"x\\\"\":\"y\",\"e\":{\"f\":1},\"g\":false}");
    strbuf_done(&out);
}

Test(jsonw, writes_any_bytes_as_valid_text)
{
    static const struct {
        const char *name;
        struct sv text;
        const char *json;
    } rows[] = {
        {"empty", {NULL, 0}, "\"\""},
        {"plain", {"abc", 3}, "\"abc\""},
        {"escapes", {"\"\\\n\r\t", 5}, "\"\\\"\\\\\\n\\r\\t\""},
        {"control", {"\0\x1f\x7f", 3}, "\"\\u0000\\u001f\\u007f\""},
        {"C1", SV("a\xc2\x9bz"), "\"a\\u009bz\""},
        {"turned and unseen", SV("eu\u202eb1\u2066x\ufeff\u200b\u061c"),
         "\"eu\\u202eb1\\u2066x\\ufeff\\u200b\\u061c\""},
        {"a tag", SV("a\U000e0041z"), "\"a\\udb40\\udc41z\""},
        {"two bytes", {"\xc3\xa9", 2}, "\"\xc3\xa9\""},
        {"three bytes", {"\xe2\x82\xac", 3}, "\"\xe2\x82\xac\""},
        {"four bytes", {"\xf0\x9f\x98\x80", 4}, "\"\xf0\x9f\x98\x80\""},
        {"cut sequence", {"a\xe2\x82", 3}, "\"a\xef\xbf\xbd\xef\xbf\xbd\""},
        {"lone continuation", {"\x80z", 2}, "\"\xef\xbf\xbdz\""},
        {"overlong", {"\xc0\xaf", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"overlong of three", {"\xe0\x80\x80", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"surrogate", {"\xed\xa0\x80", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"beyond U+10FFFF",
         {"\xf4\x90\x80\x80", 4},
         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"no UTF-8 at all", {"\xff", 1}, "\"\xef\xbf\xbd\""},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct strbuf out;

        strbuf_init(&out, 100);
        jsonw_text(&out, rows[i].text);
        cr_expect_str_eq(strbuf_str(&out), rows[i].json, "%s: %s", rows[i].name, strbuf_str(&out));
        strbuf_done(&out);
    }
}

Test(jsonw, writes_thousandths_as_the_shortest_decimal)
{
    static const struct {
        int64_t milli;
        const char *text;
    } rows[] = {{0, "0"},
                {1, "0.001"},
                {10, "0.01"},
                {100, "0.1"},
                {1500, "1.5"},
                {2000, "2"},
                {-1, "-0.001"},
                {-2050, "-2.05"},
                {INT64_MAX, "9223372036854775.807"},
                {INT64_MIN, "-9223372036854775.808"}};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct strbuf out;

        strbuf_init(&out, 100);
        jsonw_milli_text(&out, rows[i].milli);
        cr_expect_str_eq(strbuf_str(&out), rows[i].text);
        strbuf_done(&out);
    }
}

Test(jsonw, stays_within_a_full_buffer)
{
    for (size_t max = 0; max < 60; max++) {
        struct strbuf out;
        struct jsonw w;

        strbuf_init(&out, max);
        jsonw_init(&w, &out);
        jsonw_object(&w, NULL);
        for (int i = 0; i < 10; i++)
            jsonw_str(&w, "key", SV("value"));
        jsonw_end(&w);
        cr_assert(out.full && out.len <= max);
        strbuf_done(&out);
    }
}
