#include "base/jsonr.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {
    [JSONR_OBJECT] = "an object", [JSONR_ARRAY] = "a list",  [JSONR_STRING] = "a string",
    [JSONR_NUMBER] = "a number",  [JSONR_TRUE] = "true",     [JSONR_FALSE] = "false",
    [JSONR_NULL] = "null",        [JSONR_NONE] = "no value",
};
_Static_assert(COUNT_OF(kind_names) == JSONR_KIND_COUNT_, "a kind has no name");

const char *jsonr_kind_name(enum jsonr_kind kind)
{
    return kind_names[kind];
}

void jsonr_init(struct jsonr *r, char *text, size_t len)
{
    r->begin = r->at = text;
    r->end = text + len;
    r->some = false;
    r->err.kind = ERR_NONE;
}

static bool broken(const struct jsonr *r)
{
    return r->err.kind != ERR_NONE;
}

static void skip_blanks(struct jsonr *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

bool jsonr_expected(struct jsonr *r, const char *what)
{
    char found[16];

    if (broken(r))
        return false;
    if (r->at == r->end)
        (void)snprintf(found, sizeof found, "the end");
    else if (*r->at > ' ' && *r->at < 0x7f)
        (void)snprintf(found, sizeof found, "'%c'", *r->at);
    else
        (void)snprintf(found, sizeof found, "byte 0x%02x", (unsigned char)*r->at);
    return err_set(&r->err, ERR_INPUT, 0, "column %zu: found %s, expected %s",
                   (size_t)(r->at - r->begin) + 1, found, what);
}

bool jsonr_refuse(struct jsonr *r, const char *fmt, ...)
{
    char text[sizeof r->err.text];
    va_list args;

    if (broken(r))
        return false;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return err_set(&r->err, ERR_INPUT, 0, "%s", text);
}

enum jsonr_kind jsonr_peek(struct jsonr *r)
{
    skip_blanks(r);
    if (broken(r) || r->at == r->end)
        return JSONR_NONE;
    switch (*r->at) {
    case '{':
        return JSONR_OBJECT;
    case '[':
        return JSONR_ARRAY;
    case '"':
        return JSONR_STRING;
    case 't':
        return JSONR_TRUE;
    case 'f':
        return JSONR_FALSE;
    case 'n':
        return JSONR_NULL;
    default:
        return *r->at == '-' || (*r->at >= '0' && *r->at <= '9') ? JSONR_NUMBER : JSONR_NONE;
    }
}

/* Wants one byte, blanks before it aside. */
static bool take(struct jsonr *r, char c, const char *what)
{
    skip_blanks(r);
    if (broken(r) || r->at == r->end || *r->at != c)
        return jsonr_expected(r, what);
    r->at++;
    return true;
}

static bool open_level(struct jsonr *r, char c, const char *what)
{
    r->some = false;
    return take(r, c, what);
}

/* Goes to the next element of the open level, or over its end: false. */
static bool next(struct jsonr *r, char end, const char *what)
{
    skip_blanks(r);
    if (broken(r))
        return false;
    if (r->at < r->end && *r->at == end) {
        r->at++;
        r->some = true; /* the closed level is an element of the one around it */
        return false;
    }
    if (r->some && !take(r, ',', what))
        return false;
    r->some = true;
    return true;
}

bool jsonr_object(struct jsonr *r)
{
    return open_level(r, '{', "an object");
}

bool jsonr_key(struct jsonr *r, struct sv *ret_key)
{
    if (!next(r, '}', "',' or '}'"))
        return false;
    if (jsonr_peek(r) != JSONR_STRING)
        return jsonr_expected(r, "a key in quotes");
    return jsonr_string(r, ret_key) && take(r, ':', "':'");
}

bool jsonr_array(struct jsonr *r)
{
    return open_level(r, '[', "a list");
}

bool jsonr_element(struct jsonr *r)
{
    return next(r, ']', "',' or ']'");
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The four digits behind \u; the reader stands on the first. */
static bool unicode(struct jsonr *r, uint32_t *ret_code)
{
    *ret_code = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        int digit = r->at < r->end ? hex_digit(*r->at) : -1;

        if (digit < 0)
            return jsonr_expected(r, "a hexadecimal digit");
        *ret_code = *ret_code << 4 | (uint32_t)digit;
    }
    return true;
}

static char *put_utf8(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

static bool unicode_escape(struct jsonr *r, char **to)
{
    uint32_t code, low;

    if (!unicode(r, &code))
        return false;
    if (code >= 0xd800 && code < 0xdc00) {
        if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u')
            return jsonr_expected(r, "the second half of a surrogate pair");
        r->at += 2;
        if (!unicode(r, &low))
            return false;
        code =
            low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00)) : 0;
    } else if (code >= 0xdc00 && code < 0xe000) {
        code = 0;
    }
    if (code == 0)
        return jsonr_expected(r, "no NUL and no half of a surrogate pair before it");
    *to = put_utf8(*to, code);
    return true;
}

/* The reader stands behind the backslash. What an escape stands for is never longer than the
 * escape. */
static bool escape(struct jsonr *r, char **to)
{
    static const char from[] = "\"\\/bfnrt", meaning[] = "\"\\/\b\f\n\r\t";
    const char *found;

    if (r->at < r->end && *r->at == 'u') {
        r->at++;
        return unicode_escape(r, to);
    }
    found = r->at < r->end && *r->at != '\0' ? strchr(from, *r->at) : NULL;
    if (found == NULL)
        return jsonr_expected(r, "an escape");
    r->at++;
    *(*to)++ = meaning[found - from];
    return true;
}

bool jsonr_string(struct jsonr *r, struct sv *ret_text)
{
    char *from, *to;

    if (!take(r, '"', "a string"))
        return false;
    from = r->at;
    while (r->at < r->end && *r->at != '"' && *r->at != '\\' && (unsigned char)*r->at >= ' ')
        r->at++;
    for (to = r->at; r->at < r->end && *r->at != '"';) {
        if ((unsigned char)*r->at < ' ')
            return jsonr_expected(r, "text, control characters escaped");
        if (*r->at != '\\') {
            *to++ = *r->at++;
            continue;
        }
        r->at++;
        if (!escape(r, &to))
            return false;
    }
    if (r->at == r->end)
        return jsonr_expected(r, "'\"'");
    r->at++;
    *ret_text = (struct sv){.at = from, .len = (size_t)(to - from)};
    return true;
}

static bool word(struct jsonr *r, struct sv text)
{
    struct sv rest = {.at = r->at, .len = (size_t)(r->end - r->at)};

    if (!sv_starts(rest, text))
        return false;
    r->at += text.len;
    return true;
}

bool jsonr_bool(struct jsonr *r, bool *ret_value)
{
    skip_blanks(r);
    if (broken(r))
        return false;
    if (word(r, SV("true")))
        *ret_value = true;
    else if (word(r, SV("false")))
        *ret_value = false;
    else
        return jsonr_expected(r, "true or false");
    return true;
}

bool jsonr_null(struct jsonr *r)
{
    skip_blanks(r);
    return !broken(r) && (word(r, SV("null")) || jsonr_expected(r, "null"));
}

static bool digits(struct jsonr *r)
{
    const char *from = r->at;

    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return r->at != from || jsonr_expected(r, "a digit");
}

bool jsonr_number(struct jsonr *r, struct sv *ret_text)
{
    char *from;

    skip_blanks(r);
    if (broken(r) || jsonr_peek(r) != JSONR_NUMBER)
        return jsonr_expected(r, "a number");
    from = r->at;
    if (*r->at == '-')
        r->at++;
    if (r->at < r->end && *r->at == '0')
        r->at++;
    else if (!digits(r))
        return false;
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        if (!digits(r))
            return false;
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
            r->at++;
        if (!digits(r))
            return false;
    }
    *ret_text = (struct sv){.at = from, .len = (size_t)(r->at - from)};
    return true;
}

bool jsonr_end(struct jsonr *r, struct err *err)
{
    skip_blanks(r);
    if (!broken(r) && r->at != r->end)
        (void)jsonr_expected(r, "nothing more");
    if (!broken(r))
        return true;
    if (err != NULL)
        *err = r->err;
    return false;
}

/* Ten times the value and a digit; false on overflow. */
static bool shift_in(int64_t *value, int digit)
{
    return !__builtin_mul_overflow(*value, 10, value) &&
           !__builtin_add_overflow(*value, digit, value);
}

/* Takes the exponent off; one beyond +-1000 is as good as any other. */
static int64_t cut_exponent(struct sv *number)
{
    int64_t exponent;
    struct sv tail;

    if (!sv_cut(*number, 'e', number, &tail) && !sv_cut(*number, 'E', number, &tail))
        return 0;
    if (!sv_to_i64(tail, &exponent) || exponent > 1000 || exponent < -1000)
        return sv_starts(tail, SV("-")) ? -1000 : 1000;
    return exponent;
}

bool jsonr_fixed(struct sv number, int digits_wanted, int64_t *ret_value)
{
    bool negative = number.len != 0 && number.at[0] == '-', point = false;
    int64_t value = 0, given = 0; /* digits behind the point */
    struct sv mantissa = negative ? sv_skip(number, 1) : number;
    int64_t exponent = cut_exponent(&mantissa) + digits_wanted;

    for (size_t i = 0; i < mantissa.len; i++) {
        if (mantissa.at[i] == '.') {
            point = true;
            continue;
        }
        if (point && given >= exponent)
            continue; /* finer than is wanted */
        if (!shift_in(&value, mantissa.at[i] - '0'))
            return false;
        given += point;
    }
    for (; given < exponent && value != 0; given++) {
        if (!shift_in(&value, 0))
            return false;
    }
    for (; given > exponent && value != 0; given--)
        value /= 10;
    *ret_value = negative ? -value : value;
    return true;
}
