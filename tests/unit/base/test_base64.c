#include <criterion/criterion.h>
#include <string.h>

#include "base/base64.h"

static const struct {
    const char *name, *bytes, *text;
} pairs[] = {
    {"empty", "", ""},
    {"one byte", "f", "Zg=="},
    {"two bytes", "fo", "Zm8="},
    {"three bytes", "foo", "Zm9v"},
    {"four bytes", "foob", "Zm9vYg=="},
    {"high bits", "\xff\xfe\xfd", "//79"},
    {"plus and slash", "\xfb\xef\xbe\xff", "++++/w=="},
};

Test(base64, turns_bytes_into_text_and_back)
{
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        struct strbuf out;

        strbuf_init(&out, 100);
        cr_assert(base64_encode(sv_from(pairs[i].bytes), &out));
        cr_assert_str_eq(strbuf_str(&out), pairs[i].text, "%s: found %s", pairs[i].name,
                         strbuf_str(&out));
        strbuf_clear(&out);
        cr_assert(base64_decode(sv_from(pairs[i].text), &out), "%s", pairs[i].name);
        cr_assert_str_eq(strbuf_str(&out), pairs[i].bytes, "%s", pairs[i].name);
        strbuf_done(&out);
    }
}

static const struct {
    const char *name, *text;
} broken[] = {
    {"lone digit", "Z"},
    {"no padding", "Zg"},
    {"too little padding", "Zg="},
    {"too much padding", "Zg==="},
    {"padding of a whole group", "Zm9v="},
    {"padding inside", "Zg==Zg=="},
    {"only padding", "===="},
    {"foreign character", "Zm9*"},
    {"blank", "Zm 9v"},
    {"url alphabet", "__79"},
    {"stray bits of two digits", "Zh=="},
    {"stray bits of three digits", "Zm9="},
};

Test(base64, refuses_what_no_encoder_writes)
{
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        struct strbuf out;

        strbuf_init(&out, 100);
        (void)strbuf_add(&out, SV("kept"));
        cr_assert_not(base64_decode(sv_from(broken[i].text), &out), "%s", broken[i].name);
        cr_assert_eq(out.len, 4, "%s", broken[i].name);
        strbuf_done(&out);
    }
}

Test(base64, skips_line_breaks)
{
    struct strbuf out;

    strbuf_init(&out, 100);
    cr_assert(base64_decode(SV("Zm9v\r\nYmFy\nZg=\n=\n"), &out));
    cr_assert_str_eq(strbuf_str(&out), "foobarf");
    strbuf_done(&out);
}

Test(base64, keeps_to_the_limit)
{
    struct strbuf out;

    strbuf_init(&out, 3);
    cr_assert_not(base64_encode(SV("f"), &out));
    strbuf_clear(&out);
    cr_assert_not(base64_decode(SV("Zm9v"), &out));
    strbuf_done(&out);
}
