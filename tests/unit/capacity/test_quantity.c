#include "capacity/quantity.h"

#include <inttypes.h>

#include "tests/unit/capacity/fixtures.h"

static const char *const format_names[] = {
    [QUANTITY_DECIMAL_SI] = "DecimalSI",
    [QUANTITY_BINARY_SI] = "BinarySI",
    [QUANTITY_DECIMAL_EXPONENT] = "DecimalExponent",
};

static void i128_text(__int128 value, char text[static 64])
{
    unsigned __int128 left = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
    char digits[64];
    size_t at = sizeof digits;

    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + (int)(left % 10));
        left /= 10;
    } while (left != 0);
    (void)snprintf(text, 64, "%s%s", value < 0 ? "-" : "", digits + at);
}

static struct quantity parsed(const char *text)
{
    struct quantity q = {0};
    struct err err = {0};

    cr_assert(quantity_parse(sv_from(text), &q, &err), "'%s': %s", text, err.text);
    return q;
}

/*
 * What holds for every quantity: it prints, and what it prints is the same amount. It is the same
 * text again too, unless it is of BinarySI and has no suffix: plain digits are read as DecimalSI.
 */
static void check_invariants(const struct quantity *q, const char *row)
{
    char text[QUANTITY_TEXT_SIZE], again_text[QUANTITY_TEXT_SIZE];
    struct quantity again;
    struct err err = {0};

    quantity_text(q, text);
    cr_assert(strlen(text) < QUANTITY_TEXT_SIZE - 1);
    cr_assert(quantity_parse(sv_from(text), &again, &err), "'%s' prints as '%s': %s", row, text,
              err.text);
    cr_assert(again.nano == q->nano, "'%s' prints as '%s', another amount", row, text);
    if (q->format == QUANTITY_BINARY_SI && again.format == QUANTITY_DECIMAL_SI)
        return;
    quantity_text(&again, again_text);
    cr_assert_str_eq(again_text, text, "'%s'", row);
}

static void check_i64(const cJSON *c, const char *key, bool fits, int64_t value)
{
    const char *input = fixture_text(c, "input");
    const char *expected = fixture_text(c, key);
    char text[32];

    (void)snprintf(text, sizeof text, "%" PRId64, value);
    if (expected == NULL) {
        cr_assert(!fits, "'%s': %s fits as %s, but overflows in the library", input, key, text);
        cr_assert(value == INT64_MAX || value == INT64_MIN, "'%s': %s is not saturated", input,
                  key);
        return;
    }
    cr_assert(fits, "'%s': %s does not fit, expected %s", input, key, expected);
    cr_assert_str_eq(text, expected, "'%s': %s", input, key);
}

static void check_canonical(const cJSON *c, const struct quantity *q, bool exact)
{
    const char *input = fixture_text(c, "input");
    const char *expected = fixture_text(c, "canonical");
    CLEANUP(strbuf_done) struct strbuf out;
    char text[QUANTITY_TEXT_SIZE];
    struct err err = {0};

    strbuf_init(&out, 256);
    cr_assert(quantity_canonical(sv_from(input), &out, &err), "'%s': %s", input, err.text);
    cr_assert_str_eq(strbuf_str(&out), expected, "'%s'", input);
    if (!exact)
        return;
    quantity_text(q, text);
    cr_assert_str_eq(text, expected, "'%s'", input);
    check_invariants(q, input);
}

static void check_good(const cJSON *c)
{
    const char *input = fixture_text(c, "input"), *nano = fixture_text(c, "nano");
    struct quantity q = parsed(input);
    bool exact = q.nano < ((__int128)INT64_MAX << 63);
    int64_t milli, value;
    char text[64];

    i128_text(q.nano, text);
    if (exact)
        cr_assert_str_eq(text, nano, "'%s'", input);
    else
        cr_assert(strlen(nano) >= 39, "'%s' saturates, though it is %s nano", input, nano);
    cr_assert_str_eq(format_names[q.format], fixture_text(c, "format"), "'%s'", input);

    bool milli_fits = quantity_milli(&q, &milli);
    bool value_fits = quantity_value(&q, &value);

    check_i64(c, "milliValue", milli_fits, milli);
    check_i64(c, "value", value_fits, value);
    check_canonical(c, &q, exact);
}

static void check_bad(const cJSON *c)
{
    const char *input = fixture_text(c, "input");
    CLEANUP(strbuf_done) struct strbuf out;
    struct quantity q = {.nano = 77};
    struct err err = {0};
    char kind[32];

    strbuf_init(&out, 256);
    cr_assert(!quantity_parse(sv_from(input), &q, &err), "'%s' was parsed", input);
    cr_assert(q.nano == 77, "'%s': a failed parse wrote its result", input);
    cr_assert_eq(err.kind, ERR_INPUT, "'%s'", input);
    (void)snprintf(kind, sizeof kind, "%s: ", fixture_text(c, "error"));
    cr_assert(sv_starts(sv_from(err.text), sv_from(kind)), "'%s': found '%s', expected a %s error",
              input, err.text, kind);
    cr_assert(!quantity_canonical(sv_from(input), &out, NULL), "'%s' has a canonical form", input);
}

Test(quantity, agrees_with_every_row_of_the_table)
{
    cJSON *cases = fixture_load("quantities.json");
    const cJSON *c;
    int good = 0, bad = 0, quirks = 0;

    cJSON_ArrayForEach(c, cases)
    {
        if (cJSON_HasObjectItem(c, "quirk")) {
            quirks++;
        } else if (cJSON_HasObjectItem(c, "error")) {
            check_bad(c);
            bad++;
        } else {
            check_good(c);
            good++;
        }
    }
    cJSON_Delete(cases);
    cr_assert_eq(good, 330, "%d rows were read", good);
    cr_assert_eq(bad, 83, "%d rows were refused", bad);
    cr_assert_eq(quirks, 7, "%d rows are quirks", quirks);
}

struct row {
    const char *input;
    const char *canonical;
    bool milli_fits;
    int64_t milli;
};

/* What the table has no row for. */
static const struct row rows[] = {
    {"64651038429890.625Ki", "66202663352208000", false, INT64_MAX},
    {"0.00000000000000000000000000000000000000000001", "1n", true, 1},
    {"1.00000000000000000000000000000000000000000001Ki", "1024000000001n", true, 1024001},
    {"0.99999999999999999999Ki", "1Ki", true, 1024000},
    {"-0.99999999999999999999", "-1", true, -1000},
    {"00000000000000000000000000000000000000000000000005", "5", true, 5000},
    {"1.50000000000000000000000000000000000000000000000m", "1500u", true, 2},
    {"0.0000000009765625Ki", "1u", true, 1},
    {"0.00000000097656251Ki", "1001n", true, 1},
    {"1e-1000000", "1e-9", true, 1},
    {"0e1000000", "0", true, 0},
    {"1000E", "1000E", false, INT64_MAX},
    {"-1e1000000", "-10e999999", false, INT64_MIN},
    {"170141183460469231731687303715.884105727", "170141183460469231731687303715884105727n", false,
     INT64_MAX},
    {"170141183460469231731687303715.884105728", "170141183460469231731687303715884105728n", false,
     INT64_MAX},
    {"999999999999999999999999999999999.9999999999", "1000000000000000E", false, INT64_MAX},
    {"123456789012345678901234567890123456789012345678",
     "123456789012345678901234567890123456789012345678", false, INT64_MAX},
    {"16Ei", "9223372036854775807", false, INT64_MAX},
    {"999999999999999Gi", "9223372036854775807", false, INT64_MAX},
    {"999999999999999G", "999999999999999G", false, INT64_MAX},
    {"999999999999999T", "999999999999999T", false, INT64_MAX},
    {"999999999999999Ti", "9223372036854775807", false, INT64_MAX},
    {"9223372036854775807", "9223372036854775807", false, INT64_MAX},
    {"9223372036854775.807", "9223372036854775807m", true, INT64_MAX},
    {"-9223372036854775.808", "-9223372036854775808m", true, INT64_MIN},
    {"9223372036854775.8070000001", "9223372036854775807000001n", false, INT64_MAX},
};

Test(quantity, is_exact_where_texts_are_long_small_or_huge)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        struct quantity q = parsed(row->input);
        CLEANUP(strbuf_done) struct strbuf out;
        int64_t milli;

        strbuf_init(&out, 256);
        cr_expect(quantity_canonical(sv_from(row->input), &out, NULL), "'%s'", row->input);
        cr_expect_str_eq(strbuf_str(&out), row->canonical, "'%s'", row->input);
        cr_expect_eq(quantity_milli(&q, &milli), row->milli_fits, "'%s'", row->input);
        cr_expect_eq(milli, row->milli, "'%s': %" PRId64, row->input, milli);
    }
}

Test(quantity, refuses_a_number_without_digits_where_the_library_does)
{
    static const struct {
        const char *input;
        bool good;
    } none[] = {{"Ti", true},   {"Pi", false},     {"Ei", false},   {"-Ei", false},
                {".Pi", false}, {"0Pi", true},     {"e-9", true},   {"e-10", false},
                {"n", true},    {"-.e-10", false}, {"0e-10", true}, {".0e-10", true},
                {"e10", true}};

    for (size_t i = 0; i < COUNT_OF(none); i++) {
        struct quantity q = {.nano = 1};
        struct err err = {0};
        bool good = quantity_parse(sv_from(none[i].input), &q, &err);

        cr_expect_eq(good, none[i].good, "'%s'", none[i].input);
        cr_expect(good ? q.nano == 0 : sv_starts(sv_from(err.text), SV("numeric: ")), "'%s': '%s'",
                  none[i].input, err.text);
    }
}

Test(quantity, refuses_bytes_that_are_no_text)
{
    static const struct sv texts[] = {SV("1\0"),   SV("1\0Ki"), SV("\0"),
                                      SV("1\xff"), SV("1K\0i"), SV("1i")};

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct quantity q;

        cr_expect(!quantity_parse(texts[i], &q, NULL), "row %zu", i);
    }
}

Test(quantity, says_how_a_text_is_broken)
{
    struct quantity q;
    struct err err;

    cr_assert(!quantity_parse(SV("1K"), &q, &err));
    cr_assert_str_eq(
        err.text, "suffix: found '1K', expected n u m k M G T P E, Ki Mi Gi Ti Pi Ei or e<number>");
    cr_assert(!quantity_parse(SV("a text that is far too long to be shown as a whole"), &q, &err));
    cr_assert_str_eq(err.text,
                     "format: found 'a text that is far too long to be shown '..., expected "
                     "digits and a suffix as in 1.5, 500m, 2Gi or 1e3");
}

Test(quantity, reports_a_canonical_form_that_has_no_room)
{
    CLEANUP(strbuf_done) struct strbuf out;
    struct err err = {0};

    strbuf_init(&out, 3);
    cr_assert(!quantity_canonical(SV("12345"), &out, &err));
    cr_assert_eq(err.kind, ERR_LIMIT);
}

Test(quantity, adds_before_it_rounds)
{
    struct quantity sum = {0}, part = parsed("100u");
    int64_t milli;

    quantity_add(&sum, &part);
    quantity_add(&sum, &part);
    cr_assert(quantity_milli(&sum, &milli));
    cr_assert_eq(milli, 1);
}

Test(quantity, keeps_a_saturated_sum_saturated)
{
    const struct quantity huge = parsed("1e40"), minus = parsed("-1e40"), one = parsed("-1Gi");
    struct quantity sum = parsed("170141183460469231731687303715");
    int64_t value;

    quantity_add(&sum, &sum);
    cr_assert(sum.nano == huge.nano, "a sum beyond the range is the largest amount");
    quantity_add(&sum, &one);
    cr_assert(sum.nano == huge.nano);
    quantity_add(&sum, &minus);
    cr_assert(sum.nano == huge.nano);
    cr_assert(!quantity_value(&sum, &value));
    cr_assert_eq(value, INT64_MAX);

    sum = one;
    quantity_add(&sum, &minus);
    cr_assert(sum.nano == minus.nano && minus.nano == -huge.nano);
    quantity_add(&sum, &huge);
    cr_assert(sum.nano == minus.nano);
}

Test(quantity, gives_an_empty_sum_the_format_of_its_first_part)
{
    struct quantity sum = {0}, part = parsed("1Gi"), other = parsed("1M");
    char text[QUANTITY_TEXT_SIZE];

    quantity_add(&sum, &part);
    quantity_text(&sum, text);
    cr_assert_str_eq(text, "1Gi");
    quantity_add(&sum, &other);
    cr_assert_eq(sum.format, QUANTITY_BINARY_SI);
}

/* Digits, maybe a point, one of all suffixes. */
static void random_text(struct dice *d, char text[static 64])
{
    static const char *const suffixes[] = {"",   "n",  "u",  "m",  "k",   "M",   "G",
                                           "T",  "P",  "E",  "Ki", "Mi",  "Gi",  "Ti",
                                           "Pi", "Ei", "e0", "e3", "e-3", "E+6", "e-12"};
    size_t len = 0, digits = 1 + dice_below(d, 20), point = dice_below(d, 30);

    if (dice_below(d, 4) == 0)
        text[len++] = "+-"[dice_below(d, 2)];
    for (size_t i = 0; i < digits; i++) {
        if (i == point)
            text[len++] = '.';
        text[len++] = (char)('0' + (int)dice_below(d, 10));
    }
    (void)snprintf(text + len, 64 - len, "%s", suffixes[dice_below(d, COUNT_OF(suffixes))]);
}

Test(quantity, parses_what_it_prints)
{
    struct dice d = dice_new("parses_what_it_prints");

    for (int i = 0; i < 50000; i++) {
        char text[64];
        struct quantity q;

        random_text(&d, text);
        q = parsed(text);
        if (q.nano < ((__int128)INT64_MAX << 63) && q.nano > -((__int128)INT64_MAX << 63))
            check_invariants(&q, text);
    }
}

/* a.b as a text is the sum of a and 0.b as texts, with any suffix that needs no rounding. */
Test(quantity, parses_a_sum_as_the_sum_of_its_parts)
{
    static const char *const suffixes[] = {"m", "", "k", "M", "G", "Ki", "Mi", "Gi", "e0", "e3"};
    struct dice d = dice_new("parses_a_sum_as_the_sum_of_its_parts");

    for (int i = 0; i < 50000; i++) {
        const char *suffix = suffixes[dice_below(&d, COUNT_OF(suffixes))];
        unsigned a = (unsigned)dice_below(&d, 1000000000), b = (unsigned)dice_below(&d, 1000);
        char whole[64], part_a[64], part_b[64];
        struct quantity q, sum, second;

        (void)snprintf(whole, sizeof whole, "%u.%03u%s", a, b, suffix);
        (void)snprintf(part_a, sizeof part_a, "%u%s", a, suffix);
        (void)snprintf(part_b, sizeof part_b, ".%03u%s", b, suffix);
        q = parsed(whole);
        sum = parsed(part_a);
        second = parsed(part_b);
        quantity_add(&sum, &second);
        cr_assert(q.nano == sum.nano, "%s = %s + %s", whole, part_a, part_b);
    }
}

Test(quantity, survives_any_bytes)
{
    static const char alphabet[] = "0123456789.+-eEinumkKMGTP \0x";
    struct dice d = dice_new("survives_any_bytes");

    for (int i = 0; i < 200000; i++) {
        char text[24];
        size_t len = dice_below(&d, sizeof text);
        struct quantity q;

        for (size_t at = 0; at < len; at++)
            text[at] = alphabet[dice_below(&d, sizeof alphabet - 1)];

        char *exact = xmalloc(len); /* so that a sanitizer sees a read beyond the end */

        memcpy(exact, text, len);
        if (quantity_parse((struct sv){.at = exact, .len = len}, &q, NULL))
            cr_assert_leq(q.format, QUANTITY_DECIMAL_EXPONENT);
        free(exact);
    }
}
