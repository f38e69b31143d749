#include "base/jsonr.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/attr.h"

/* A copy on memory of exactly its size: jsonr writes to it, and must touch nothing else. */
static char *copy_of(struct sv text)
{
    char *copy = xmalloc(text.len != 0 ? text.len : 1);

    if (text.len != 0)
        memcpy(copy, text.at, text.len);
    return copy;
}

/* Reads whatever stands next; the number of values. */
static int read_any(struct jsonr *r, int depth)
{
    struct sv text;
    bool truth;
    int values = 1;

    switch (depth < 20 ? jsonr_peek(r) : JSONR_NONE) {
    case JSONR_OBJECT:
        if (jsonr_object(r)) {
            while (jsonr_key(r, &text))
                values += read_any(r, depth + 1);
        }
        return values;
    case JSONR_ARRAY:
        if (jsonr_array(r)) {
            while (jsonr_element(r))
                values += read_any(r, depth + 1);
        }
        return values;
    case JSONR_STRING:
        return jsonr_string(r, &text);
    case JSONR_NUMBER:
        return jsonr_number(r, &text);
    case JSONR_TRUE:
    case JSONR_FALSE:
        return jsonr_bool(r, &truth);
    case JSONR_NULL:
        return jsonr_null(r);
    case JSONR_NONE:
    case JSONR_KIND_COUNT_:
        break;
    }
    return jsonr_expected(r, "a value");
}

static bool parse(struct sv text, int *ret_values, struct err *err)
{
    char *copy = copy_of(text);
    struct jsonr r;
    bool ok;

    jsonr_init(&r, copy, text.len);
    *ret_values = read_any(&r, 0);
    ok = jsonr_end(&r, err);
    free(copy);
    return ok;
}

#define DOCUMENT                                                                                   \
    "{\"a\" : [1, -0.5e+3, {\"b\":null}, [], {}, \"x\\u00e9\\n\"] ,\"c\":true,\"d\":false}"

Test(jsonr, reads_every_kind_of_value)
{
    struct err err = {0};
    int values = 0;

    cr_assert(parse(SV(DOCUMENT), &values, &err), "%s", err.text);
    cr_assert_eq(values, 11);
}

Test(jsonr, refuses_a_text_that_is_cut_anywhere)
{
    for (size_t len = 0; len < sizeof DOCUMENT - 1; len++) {
        struct err err = {0};
        int values;

        cr_expect(!parse((struct sv){.at = DOCUMENT, .len = len}, &values, &err),
                  "%zu bytes were taken", len);
        cr_expect_eq(err.kind, ERR_INPUT);
    }
}

Test(jsonr, says_where_what_was_found_and_what_was_expected)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", "column 1: found the end, expected a value"},
        {"{\"a\":1,}", "column 8: found '}', expected a key in quotes"},
        {"{\"a\" 1}", "column 6: found '1', expected ':'"},
        {"{,\"a\":1}", "column 2: found ',', expected a key in quotes"},
        {"[1 2]", "column 4: found '2', expected ',' or ']'"},
        {"[1,]", "column 4: found ']', expected a value"},
        {"[1}", "column 3: found '}', expected ',' or ']'"},
        {"1 1", "column 3: found '1', expected nothing more"},
        {"truth", "column 1: found 't', expected true or false"},
        {"nul", "column 1: found 'n', expected null"},
        {"-", "column 2: found the end, expected a digit"},
        {"01", "column 2: found '1', expected nothing more"},
        {"1.", "column 3: found the end, expected a digit"},
        {"1e+x", "column 4: found 'x', expected a digit"},
        {"+1", "column 1: found '+', expected a value"},
        {"\"a\tb\"", "column 3: found byte 0x09, expected text, control characters escaped"},
        {"\"\\x\"", "column 3: found 'x', expected an escape"},
        {"\"\\u12g4\"", "column 6: found 'g', expected a hexadecimal digit"},
        {"\"\\ud800x\"", "column 8: found 'x', expected the second half of a surrogate pair"},
        {"\"\\u0000\"",
         "column 8: found '\"', expected no NUL and no half of a surrogate pair before it"},
        {"\"\\udc00\"",
         "column 8: found '\"', expected no NUL and no half of a surrogate pair before it"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err err = {0};
        int values;

        cr_expect(!parse(sv_from(rows[i].text), &values, &err), "%s was taken", rows[i].text);
        cr_expect_str_eq(err.text, rows[i].want, "%s: %s", rows[i].text, err.text);
    }
}

Test(jsonr, undoes_escapes_in_place)
{
    static const struct {
        const char *json, *want;
    } rows[] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"a\\\"b\\\\c\\/d\\be\\ff\\ng\\rh\\ti\"", "a\"b\\c/d\be\ff\ng\rh\ti"},
        {"\"\\u0041\\u00E9\\u20ac\\ud83d\\ude00z\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"},
        {"\"\xc3\xa9\"", "\xc3\xa9"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *copy = copy_of(sv_from(rows[i].json));
        struct jsonr r;
        struct sv text;

        jsonr_init(&r, copy, strlen(rows[i].json));
        cr_assert(jsonr_string(&r, &text), "%s: %s", rows[i].json, r.err.text);
        cr_expect(sv_eq(text, sv_from(rows[i].want)), "%s: %.*s", rows[i].json, SV_ARG(text));
        cr_expect(jsonr_end(&r, NULL));
        free(copy);
    }
}

Test(jsonr, the_first_mistake_stays)
{
    char text[] = "{\"a\":x}";
    struct jsonr r;
    struct sv key;
    struct err err = {0};
    bool truth;

    jsonr_init(&r, text, sizeof text - 1);
    cr_assert(jsonr_object(&r) && jsonr_key(&r, &key));
    cr_expect(!jsonr_bool(&r, &truth));
    cr_expect(!jsonr_refuse(&r, "another"));
    cr_expect(!jsonr_null(&r) && !jsonr_key(&r, &key) && !jsonr_element(&r) &&
              !jsonr_string(&r, &key));
    cr_expect_eq(jsonr_peek(&r), JSONR_NONE);
    cr_expect(!jsonr_end(&r, &err));
    cr_expect_str_eq(err.text, "column 6: found 'x', expected true or false");
}

Test(jsonr, makes_fixed_numbers)
{
    static const struct {
        const char *text;
        int digits;
        bool ok;
        int64_t want;
    } rows[] = {
        {"12.5", 6, true, 12500000},
        {"0", 6, true, 0},
        {"-0.0000019", 6, true, -1},
        {"1e3", 0, true, 1000},
        {"1.25E2", 0, true, 125},
        {"12345e-3", 0, true, 12},
        {"12345e-3", 2, true, 1234},
        {"1790000000.123456789", 6, true, 1790000000123456},
        {"9223372036854775807", 0, true, INT64_MAX},
        {"9223372036854775808", 0, false, 0},
        {"9223372036854775807", 1, false, 0},
        {"1e400", 6, false, 0},
        {"1e99999999999999999999", 6, false, 0},
        {"0e99999999999999999999", 6, true, 0},
        {"1e-99999999999999999999", 6, true, 0},
        {"0.000000000000000000000000000001", 6, true, 0},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t value = 0;

        cr_expect_eq(jsonr_fixed(sv_from(rows[i].text), rows[i].digits, &value), rows[i].ok, "%s",
                     rows[i].text);
        cr_expect_eq(value, rows[i].want, "%s: %lld", rows[i].text, (long long)value);
    }
}
