#include "storage/wire.h"

#include <criterion/criterion.h>

#include "storage/dict.h"
#include "tests/unit/policy/random.h"

Test(wire, reads_back_the_numbers_it_wrote)
{
    struct random r = random_start("wire");
    struct strbuf b;

    strbuf_init(&b, 1 << 10);
    for (int i = 0; i < 100000; i++) {
        uint64_t u = i == 0   ? UINT64_MAX
                     : i == 1 ? 0
                              : random_u64(&r) >> random_in(&r, 0, 63),
                 got_u;
        int64_t s = i == 0   ? INT64_MIN
                    : i == 1 ? INT64_MAX
                             : (int64_t)random_u64(&r) >> random_in(&r, 0, 63),
                got_s;
        struct sv in;

        strbuf_clear(&b);
        wire_put(&b, u);
        cr_assert_leq(b.len, WIRE_MAX_NUMBER);
        wire_put_signed(&b, s);
        wire_put_bytes(&b, SV("abc"));
        in = strbuf_sv(&b);
        cr_assert(wire_get(&in, &got_u) && got_u == u);
        cr_assert(wire_get_signed(&in, &got_s) && got_s == s);

        struct sv text;

        cr_assert(wire_get_bytes(&in, 3, &text) && sv_eq(text, SV("abc")) && in.len == 0);
    }
    strbuf_done(&b);
}

Test(wire, refuses_what_is_cut_or_too_long)
{
    static const struct {
        const char *name;
        struct sv in;
    } rows[] = {
        {"nothing", SV("")},
        {"cut", SV("\x80")},
        {"cut late", SV("\xff\xff\xff\xff\xff\xff\xff\xff\xff")},
        {"beyond 64 bits", SV("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02")},
        {"eleven bytes", SV("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sv in = rows[i].in, text;
        uint64_t value = 7;

        cr_assert_not(wire_get(&in, &value), "%s", rows[i].name);
        cr_assert(in.len == rows[i].in.len && value == 7, "%s: nothing is taken", rows[i].name);
        cr_assert_not(wire_get_bytes(&in, 100, &text), "%s", rows[i].name);
    }

    struct sv in = SV("\x05"
                      "abcd"),
              text;

    cr_assert_not(wire_get_bytes(&in, 100, &text), "longer than there is");
    in = SV("\x04"
            "abcd");
    cr_assert_not(wire_get_bytes(&in, 3, &text), "longer than allowed");
}

Test(wire, gives_each_text_one_index)
{
    struct dict *d = dict_new();
    char text[32];
    bool added;

    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 5000; i++) {
            (void)snprintf(text, sizeof text, "node-%u", i);
            cr_assert_eq(dict_add(d, sv_from(text), &added), i);
            cr_assert_eq(added, round == 0);
        }
    }
    cr_assert_eq(dict_find(d, SV("node-77")), 77);
    cr_assert_eq(dict_find(d, SV("nobody")), MAP_NONE);
    cr_assert_eq(dict_add(d, (struct sv){0}, &added), 5000);
    cr_assert_eq(dict_find(d, SV("")), 5000);
    cr_assert(sv_eq(d->at[4999], SV("node-4999")));
    dict_free(d);
    dict_free(NULL);
}
