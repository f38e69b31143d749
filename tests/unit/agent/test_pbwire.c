#include <criterion/criterion.h>
#include <stdlib.h>

#include "agent/kube/pbwire.h"

/* The message on memory of exactly its size, so that a byte too many is seen by the sanitizer. */
static struct sv exact(struct sv bytes)
{
    char *copy = malloc(bytes.len != 0 ? bytes.len : 1);

    memcpy(copy, bytes.at, bytes.len);
    return (struct sv){.at = copy, .len = bytes.len};
}

Test(pbwire, reads_each_kind_of_field)
{
    static const struct {
        const char *name;
        struct sv message;
        uint32_t tag;
        uint64_t num;
        struct sv bytes;
    } rows[] = {
        {"varint of one byte", SV("\x08\x2a"), PB_VAR(1), 42, SV("")},
        {"varint of two bytes", SV("\x08\xac\x02"), PB_VAR(1), 300, SV("")},
        {"tag of two bytes", SV("\xc8\x01\x07"), PB_VAR(25), 7, SV("")},
        {"ten bytes, negative", SV("\x08\x9c\xff\xff\xff\xff\xff\xff\xff\xff\x01"), PB_VAR(1),
         (uint64_t)-100, SV("")},
        {"padded varint", SV("\x08\x81\x00"), PB_VAR(1), 1, SV("")},
        {"text",
         SV("\x12\x03"
            "abc"),
         PB_LEN(2), 0, SV("abc")},
        {"empty text", SV("\x12\x00"), PB_LEN(2), 0, SV("")},
        {"fixed64",
         SV("\x09"
            "12345678"),
         1 << 3 | PB_WIRE_FIXED64, 0, SV("12345678")},
        {"fixed32",
         SV("\x0d"
            "1234"),
         1 << 3 | PB_WIRE_FIXED32, 0, SV("1234")},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sv message = exact(rows[i].message);
        struct pb r = pb_open(message);
        struct pb_field f = {0};

        cr_assert(pb_next(&r, &f), "%s", rows[i].name);
        cr_expect_eq(f.tag, rows[i].tag, "%s", rows[i].name);
        cr_expect_eq(f.num, rows[i].num, "%s", rows[i].name);
        cr_expect(sv_eq(f.bytes, rows[i].bytes), "%s", rows[i].name);
        cr_expect(!pb_next(&r, &f), "%s: ends", rows[i].name);
        cr_expect(pb_done(&r, NULL), "%s: ends well", rows[i].name);
        free((void *)(uintptr_t)message.at);
    }
}

Test(pbwire, tells_what_is_broken_and_where)
{
    static const struct {
        const char *name;
        struct sv message;
        const char *text;
    } rows[] = {
        {"no number", SV("\x08"), "field 1 at offset 0: cut off"},
        {"half a varint", SV("\x08\x80"), "field 1 at offset 0: cut off"},
        {"half a tag", SV("\x80"), "field 0 at offset 0: cut off"},
        {"longer than the message",
         SV("\x08\x01\x12\x04"
            "abc"),
         "field 2 at offset 2: longer than what it is in"},
        {"length of 2^63", SV("\x12\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
         "field 2 at offset 0: longer than what it is in"},
        {"fixed64 cut off",
         SV("\x09"
            "1234567"),
         "field 1 at offset 0: longer than what it is in"},
        {"fixed32 cut off",
         SV("\x0d"
            "123"),
         "field 1 at offset 0: longer than what it is in"},
        {"eleven bytes", SV("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
         "field 1 at offset 0: a number of more than ten bytes"},
        {"field 0", SV("\x00\x01"), "field 0 at offset 0: no valid tag"},
        {"group", SV("\x0b\x0c"), "field 1 at offset 0: unknown wire type"},
        {"wire type 7", SV("\x0f\x01"), "field 1 at offset 0: unknown wire type"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sv message = exact(rows[i].message);
        struct pb r = pb_open(message);
        struct pb_field f = {0};
        struct err err = {0};

        while (pb_next(&r, &f))
            continue;
        cr_expect(!pb_next(&r, &f), "%s: stays at its end", rows[i].name);
        cr_expect(!pb_done(&r, &err), "%s", rows[i].name);
        cr_expect_eq(err.kind, ERR_PROTOCOL, "%s", rows[i].name);
        cr_expect_str_eq(err.text, rows[i].text, "%s: %s", rows[i].name, err.text);
        free((void *)(uintptr_t)message.at);
    }
}

Test(pbwire, counts_offsets_from_the_outermost_message)
{
    struct pb outer = pb_open(SV("\x08\x01\x12\x02\x08\x80"));
    struct pb_field f = {0};
    struct err err;

    cr_assert(pb_next(&outer, &f) && pb_next(&outer, &f));

    struct pb inner = pb_sub(outer.origin, f.bytes);

    cr_expect(!pb_next(&inner, &f));
    cr_expect(!pb_done(&inner, &err));
    cr_expect_str_eq(err.text, "field 1 at offset 4: cut off");
    cr_expect(pb_done(&outer, NULL), "the outer one knows nothing of it");
}

Test(pbwire, says_when_a_head_is_not_there_yet)
{
    struct sv whole = SV("\xc2\x01\xac\x02");
    struct pb_head head;
    const char *fault;

    for (size_t n = 0; n < whole.len; n++)
        cr_expect_eq(pb_read_head((struct sv){.at = whole.at, .len = n}, &head, &fault), PB_MORE,
                     "%zu bytes", n);
    cr_assert_eq(pb_read_head(whole, &head, &fault), PB_OK);
    cr_expect_eq(head.tag, PB_LEN(24));
    cr_expect_eq(head.len, 300);
    cr_expect_eq(head.size, 4);
    cr_expect_eq(pb_read_head(SV("\x0b"), &head, &fault), PB_BAD);
}

Test(pbwire, takes_the_envelope_off)
{
    static const struct {
        const char *name;
        struct sv body;
        bool ok;
    } rows[] = {
        {"object", SV("k8s\0\x0a\x00\x12\x02hi\x1a\x00\x22\x00"), true},
        {"nothing", SV(""), false},
        {"half the magic", SV("k8"), false},
        {"other magic", SV("k9s\0\x12\x02hi"), false},
        {"magic alone", SV("k8s\0"), false},
        {"no object", SV("k8s\0\x0a\x00"), false},
        {"object cut off", SV("k8s\0\x12\x03hi"), false},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sv object = {0};
        struct err err;

        cr_expect_eq(pb_unwrap(rows[i].body, &object, &err), rows[i].ok, "%s", rows[i].name);
        if (rows[i].ok)
            cr_expect(sv_eq(object, SV("hi")), "%s", rows[i].name);
        else
            cr_expect_eq(err.kind, ERR_PROTOCOL, "%s", rows[i].name);
    }
}
