#include "capacity/quantity.h"

#include <stdio.h>

#define NANO_PER_ONE   INT64_C(1000000000)
#define NANO_PER_MILLI INT64_C(1000000)

#define NANO_MAX ((__int128)(~(unsigned __int128)0 >> 1))

/* The library caps BinarySI amounts at 2^63 - 1. */
#define BINARY_CAP ((__int128)INT64_MAX * NANO_PER_ONE)

enum {
    SMALLEST_EXPONENT = -9, /* 1n */
    LARGEST_DECIMAL = 38,   /* 10^38 < 2^127 */
    LARGEST_SI = 18,        /* E */
    MESSAGE_CHARS = 40,     /* of a broken text that an error shows */
};

/* A text taken apart: sign, digits before and after the point, and what the suffix means. */
struct parts {
    struct sv whole, fraction;
    bool negative;
    enum quantity_format format;
    int64_t exponent; /* of 10, or of 2 for BinarySI */
};

struct suffix {
    char text[3];
    enum quantity_format format;
    int8_t exponent;
};

static const struct suffix suffixes[] = {
    {"", QUANTITY_DECIMAL_SI, 0},   {"n", QUANTITY_DECIMAL_SI, -9}, {"u", QUANTITY_DECIMAL_SI, -6},
    {"m", QUANTITY_DECIMAL_SI, -3}, {"k", QUANTITY_DECIMAL_SI, 3},  {"M", QUANTITY_DECIMAL_SI, 6},
    {"G", QUANTITY_DECIMAL_SI, 9},  {"T", QUANTITY_DECIMAL_SI, 12}, {"P", QUANTITY_DECIMAL_SI, 15},
    {"E", QUANTITY_DECIMAL_SI, 18}, {"Ki", QUANTITY_BINARY_SI, 10}, {"Mi", QUANTITY_BINARY_SI, 20},
    {"Gi", QUANTITY_BINARY_SI, 30}, {"Ti", QUANTITY_BINARY_SI, 40}, {"Pi", QUANTITY_BINARY_SI, 50},
    {"Ei", QUANTITY_BINARY_SI, 60},
};

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool refuse(struct err *err, const char *kind, struct sv text, const char *expected)
{
    struct sv shown = {.at = text.at, .len = text.len < MESSAGE_CHARS ? text.len : MESSAGE_CHARS};

    return err_set(err, ERR_INPUT, 0, "%s: found '%.*s'%s, expected %s", kind, SV_ARG(shown),
                   shown.len < text.len ? "..." : "", expected);
}

static struct sv take_digits(struct sv *rest)
{
    size_t n = 0;

    while (n < rest->len && digit(rest->at[n]))
        n++;

    struct sv digits = {.at = rest->at, .len = n};

    *rest = sv_skip(*rest, n);
    return digits;
}

/* The shape of a suffix: letters that some suffix has, a sign, digits, and nothing behind. */
static bool suffix_shaped(struct sv suffix)
{
    while (suffix.len != 0 && suffix.at[0] != '\0' && strchr("eEinumkKMGTP", suffix.at[0]) != NULL)
        suffix = sv_skip(suffix, 1);
    if (suffix.len != 0 && (suffix.at[0] == '+' || suffix.at[0] == '-'))
        suffix = sv_skip(suffix, 1);
    (void)take_digits(&suffix);
    return suffix.len == 0;
}

static bool read_suffix(struct sv suffix, struct parts *p)
{
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        if (sv_eq(suffix, sv_from(suffixes[i].text))) {
            p->format = suffixes[i].format;
            p->exponent = suffixes[i].exponent;
            return true;
        }
    }
    if (suffix.at[0] != 'e' && suffix.at[0] != 'E')
        return false;
    if (!sv_to_i64(sv_skip(suffix, 1), &p->exponent))
        return false;
    /* The library cuts it to 32 bits: 1e4294967296 is 1, there and so here. */
    p->exponent = (int32_t)(uint32_t)p->exponent;
    p->format = QUANTITY_DECIMAL_EXPONENT;
    return true;
}

static struct sv without_leading_zeros(struct sv digits)
{
    while (digits.len != 0 && digits.at[0] == '0')
        digits = sv_skip(digits, 1);
    return digits;
}

static bool take_apart(struct sv text, struct parts *p, struct err *err)
{
    struct sv rest = text;
    bool some;

    *p = (struct parts){0};
    if (text.len == 0)
        return err_set(err, ERR_INPUT, 0, "format: found nothing, expected a quantity");
    if (rest.at[0] == '+' || rest.at[0] == '-') {
        p->negative = rest.at[0] == '-';
        rest = sv_skip(rest, 1);
    }
    p->whole = take_digits(&rest);
    if (rest.len != 0 && rest.at[0] == '.') {
        rest = sv_skip(rest, 1);
        p->fraction = take_digits(&rest);
    }
    if (!suffix_shaped(rest))
        return refuse(err, "format", text, "digits and a suffix as in 1.5, 500m, 2Gi or 1e3");
    if (!read_suffix(rest, p))
        return refuse(err, "suffix", text, "n u m k M G T P E, Ki Mi Gi Ti Pi Ei or e<number>");

    /* A number without digits is 0, but where the library takes its slow path it finds nothing to
     * read. */
    some = p->whole.len != 0 || p->fraction.len != 0;
    if (!some &&
        (p->format == QUANTITY_BINARY_SI ? p->exponent >= 50 : p->exponent < SMALLEST_EXPONENT))
        return refuse(err, "numeric", text, "at least one digit");
    p->whole = without_leading_zeros(p->whole);
    return true;
}

static unsigned __int128 power_of_ten(int64_t n)
{
    unsigned __int128 power = 1;

    while (n-- > 0)
        power *= 10;
    return power;
}

/* What stands before the point times `scale`, saturated; scale > 0. */
static unsigned __int128 whole_times(struct sv digits, unsigned __int128 scale)
{
    const unsigned __int128 max = (unsigned __int128)NANO_MAX;
    unsigned __int128 value = 0;

    for (size_t i = 0; i < digits.len; i++) {
        if (value > (max - 9) / 10)
            return max;
        value = value * 10 + (unsigned)(digits.at[i] - '0');
    }
    return value > max / scale ? max : value * scale;
}

/*
 * 0.fraction times scale, rounded up; scale <= 2^60 * 10^9. From the last digit to the first, so
 * that no digit needs more than 128 bits: floor((x + y/10) / 10) = floor((x + floor(y/10)) / 10),
 * and any remainder means a fraction.
 */
static unsigned __int128 fraction_times(struct sv digits, unsigned __int128 scale)
{
    unsigned __int128 value = 0;
    bool inexact = false;

    for (size_t i = digits.len; i > 0; i--) {
        value += (unsigned)(digits.at[i - 1] - '0') * scale;
        inexact |= value % 10 != 0;
        value /= 10;
    }
    return value + inexact;
}

static unsigned __int128 add_capped(unsigned __int128 a, unsigned __int128 b)
{
    const unsigned __int128 max = (unsigned __int128)NANO_MAX;

    return a > max - b ? max : a + b;
}

/* The digits of a decimal, those after the point behind those before it. */
static int decimal_digit(const struct parts *p, size_t i)
{
    return (i < p->whole.len ? p->whole.at[i] : p->fraction.at[i - p->whole.len]) - '0';
}

/*
 * whole.fraction * 10^exponent in nano. `shift` says how many of all digits stand before the nano
 * point; what stands behind is rounded up, what is missing are zeros.
 */
static unsigned __int128 decimal_nano(const struct parts *p)
{
    const unsigned __int128 max = (unsigned __int128)NANO_MAX;
    int64_t digits = (int64_t)(p->whole.len + p->fraction.len);
    int64_t shift = (int64_t)p->whole.len + p->exponent - SMALLEST_EXPONENT;
    unsigned __int128 value = 0;
    bool inexact = false;

    for (int64_t i = 0; i < digits; i++) {
        int d = decimal_digit(p, (size_t)i);

        if (i >= shift) {
            inexact |= d != 0;
            continue;
        }
        if (value > (max - 9) / 10)
            return max;
        value = value * 10 + (unsigned)d;
    }
    if (shift > digits && value != 0) {
        if (shift - digits > LARGEST_DECIMAL)
            return max;
        unsigned __int128 scale = power_of_ten(shift - digits);

        value = value > max / scale ? max : value * scale;
    }
    return add_capped(value, inexact);
}

static unsigned __int128 binary_nano(const struct parts *p)
{
    unsigned __int128 scale = ((unsigned __int128)1 << p->exponent) * NANO_PER_ONE;
    unsigned __int128 value =
        add_capped(whole_times(p->whole, scale), fraction_times(p->fraction, scale));

    return value < (unsigned __int128)BINARY_CAP ? value : (unsigned __int128)BINARY_CAP;
}

static struct quantity put_together(const struct parts *p)
{
    bool binary = p->format == QUANTITY_BINARY_SI;
    unsigned __int128 nano = binary ? binary_nano(p) : decimal_nano(p);
    struct quantity q = {.nano = (__int128)nano, .format = p->format};

    if (binary && nano != 0 && nano < (unsigned __int128)NANO_PER_ONE)
        q.format = QUANTITY_DECIMAL_SI; /* as the library: less than one byte has no binary form */
    if (p->negative)
        q.nano = -q.nano;
    return q;
}

#define BINARY_NANO(bits) ((__int128)NANO_PER_ONE << (bits))

/* Nano in one of a one-letter suffix; 0 for those that short_parse() leaves to the full parser. */
static __int128 decimal_unit(char suffix)
{
    switch (suffix) {
    case 'n':
        return 1;
    case 'u':
        return 1000;
    case 'm':
        return NANO_PER_MILLI;
    case 'k':
        return (__int128)NANO_PER_ONE * 1000;
    case 'M':
        return (__int128)NANO_PER_ONE * 1000000;
    case 'G':
        return (__int128)NANO_PER_ONE * 1000000000;
    case 'T':
        return (__int128)NANO_PER_ONE * 1000000000000;
    default:
        return 0;
    }
}

static __int128 binary_unit(char suffix)
{
    switch (suffix) {
    case 'K':
        return BINARY_NANO(10);
    case 'M':
        return BINARY_NANO(20);
    case 'G':
        return BINARY_NANO(30);
    case 'T':
        return BINARY_NANO(40);
    default:
        return 0;
    }
}

/*
 * Nearly all quantities of a cluster are at most 15 digits and a small suffix. Then nothing needs
 * rounding and nothing overflows: 10^15 * 2^40 * 10^9 < 2^127. False: ask the full parser.
 */
static bool short_parse(struct sv text, struct quantity *ret_q)
{
    uint64_t value = 0;
    size_t n = 0;
    __int128 unit;

    while (n < text.len && n < 16 && digit(text.at[n]))
        value = value * 10 + (uint64_t)(text.at[n++] - '0');
    if (n == 0 || n > 15)
        return false;
    if (n == text.len) {
        *ret_q = (struct quantity){.nano = (__int128)value * NANO_PER_ONE};
        return true;
    }
    if (n + 1 == text.len) {
        unit = decimal_unit(text.at[n]);
        if (unit == 0)
            return false;
        *ret_q = (struct quantity){.nano = value * unit};
        return true;
    }
    if (n + 2 != text.len || text.at[n + 1] != 'i')
        return false;
    unit = binary_unit(text.at[n]);
    if (unit == 0 || value * unit > BINARY_CAP)
        return false;
    *ret_q = (struct quantity){.nano = value * unit, .format = QUANTITY_BINARY_SI};
    return true;
}

bool quantity_parse(struct sv text, struct quantity *ret_q, struct err *err)
{
    struct parts p;

    if (short_parse(text, ret_q))
        return true;
    if (!take_apart(text, &p, err))
        return false;
    *ret_q = put_together(&p);
    return true;
}

/* nano / unit, rounded away from zero, cut to int64. */
static bool round_up(__int128 nano, int64_t unit, int64_t *ret_value)
{
    __int128 value = nano / unit;

    if (nano % unit != 0)
        value += nano > 0 ? 1 : -1;
    if (value > INT64_MAX || value < INT64_MIN) {
        *ret_value = value > 0 ? INT64_MAX : INT64_MIN;
        return false;
    }
    *ret_value = (int64_t)value;
    return true;
}

bool quantity_milli(const struct quantity *q, int64_t *ret_milli)
{
    return round_up(q->nano, NANO_PER_MILLI, ret_milli);
}

bool quantity_value(const struct quantity *q, int64_t *ret_value)
{
    return round_up(q->nano, NANO_PER_ONE, ret_value);
}

static bool saturated(__int128 nano)
{
    return nano == NANO_MAX || nano == -NANO_MAX;
}

void quantity_add(struct quantity *sum, const struct quantity *q)
{
    __int128 added = q->nano, total; /* q may be the sum itself */

    if (sum->nano == 0)
        sum->format = q->format;
    if (saturated(sum->nano))
        return;
    if (saturated(added) || __builtin_add_overflow(sum->nano, added, &total) || total < -NANO_MAX)
        total = added > 0 ? NANO_MAX : -NANO_MAX;
    sum->nano = total;
}

/* What stands behind a number of this exponent: "Mi", "m", "e3". Binary exponents count in tens. */
static void suffix_text(enum quantity_format format, int64_t exponent, char text[static 24])
{
    text[0] = '\0';
    if (format == QUANTITY_DECIMAL_EXPONENT && exponent != 0)
        (void)snprintf(text, 24, "e%lld", (long long)exponent);
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        if (suffixes[i].format == format && suffixes[i].exponent == exponent)
            (void)snprintf(text, 24, "%.2s", suffixes[i].text);
    }
}

/* snprintf knows no 128-bit numbers. */
static void number_text(bool negative, unsigned __int128 value, const char *suffix,
                        char text[static QUANTITY_TEXT_SIZE])
{
    char digits[QUANTITY_TEXT_SIZE];
    size_t at = sizeof digits;

    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value != 0);
    (void)snprintf(text, QUANTITY_TEXT_SIZE, "%s%s%s", negative ? "-" : "", digits + at, suffix);
}

/* The exponent, a multiple of 3 and as large as possible, that leaves no fraction of a number
 * ending in `zeros` zeros. */
static int64_t canonical_exponent(enum quantity_format format, int64_t exponent, int64_t zeros)
{
    int64_t largest = exponent + zeros;

    largest -= (largest % 3 + 3) % 3;
    return format == QUANTITY_DECIMAL_SI && largest > LARGEST_SI ? LARGEST_SI : largest;
}

static bool has_binary_form(const struct quantity *q, unsigned __int128 nano)
{
    return q->format == QUANTITY_BINARY_SI && nano % (unsigned)NANO_PER_ONE == 0 &&
           nano >= (unsigned __int128)1024 * NANO_PER_ONE;
}

void quantity_text(const struct quantity *q, char text[static QUANTITY_TEXT_SIZE])
{
    bool negative = q->nano < 0;
    unsigned __int128 left = negative ? -(unsigned __int128)q->nano : (unsigned __int128)q->nano;
    enum quantity_format format = q->format;
    int64_t exponent = 0;
    char suffix[24];

    if (left == 0) {
        (void)snprintf(text, QUANTITY_TEXT_SIZE, "0");
        return;
    }
    if (has_binary_form(q, left)) {
        left /= (unsigned)NANO_PER_ONE;
        for (; left % 1024 == 0 && exponent < 60; exponent += 10)
            left /= 1024;
    } else {
        if (format == QUANTITY_BINARY_SI)
            format = QUANTITY_DECIMAL_SI;
        int64_t zeros = 0;

        for (unsigned __int128 rest = left; rest % 10 == 0; rest /= 10)
            zeros++;
        exponent = canonical_exponent(format, SMALLEST_EXPONENT, zeros);
        left /= power_of_ten(exponent - SMALLEST_EXPONENT);
    }
    suffix_text(format, exponent, suffix);
    number_text(negative, left, suffix, text);
}

/* Adds one to a number in digits that begins with a 0, so that there is room for a carry. */
static void digits_increment(char *digits, size_t len)
{
    while (digits[len - 1] == '9')
        digits[--len] = '0';
    digits[len - 1]++;
}

/* All digits down to 1n, rounded up there, behind a 0. Returns the exponent of the last. For
 * amounts above 1. */
static int64_t digits_of(const struct parts *p, struct strbuf *to)
{
    size_t digits = p->whole.len + p->fraction.len;
    size_t before_nano = (size_t)((int64_t)p->whole.len + p->exponent - SMALLEST_EXPONENT);
    size_t kept = digits < before_nano ? digits : before_nano;
    bool inexact = false;

    (void)strbuf_add_char(to, '0');
    for (size_t i = 0; i < kept; i++)
        (void)strbuf_add_char(to, (char)('0' + decimal_digit(p, i)));
    for (size_t i = kept; i < digits; i++)
        inexact |= decimal_digit(p, i) != 0;
    if (inexact)
        digits_increment(to->at, to->len);
    return (int64_t)(before_nano - kept) + SMALLEST_EXPONENT;
}

/* The canonical text of a decimal that is too large for a struct quantity, digit by digit. */
static void canonical_digits(const struct parts *p, struct strbuf *out)
{
    CLEANUP(strbuf_done) struct strbuf digits;
    int64_t exponent, canonical;
    int64_t zeros = 0;
    char suffix[24];

    strbuf_init(&digits, p->whole.len + p->fraction.len + 1);
    exponent = digits_of(p, &digits);

    struct sv number = without_leading_zeros(strbuf_sv(&digits));

    while (number.at[number.len - 1 - (size_t)zeros] == '0')
        zeros++;
    canonical = canonical_exponent(p->format, exponent, zeros);
    if (p->negative)
        (void)strbuf_add_char(out, '-');
    if (canonical > exponent)
        number.len -= (size_t)(canonical - exponent);
    (void)strbuf_add(out, number);
    for (int64_t e = canonical; e < exponent; e++)
        (void)strbuf_add_char(out, '0');
    suffix_text(p->format, canonical, suffix);
    (void)strbuf_add(out, sv_from(suffix));
}

bool quantity_canonical(struct sv text, struct strbuf *out, struct err *err)
{
    char canonical[QUANTITY_TEXT_SIZE];
    struct quantity q;
    struct parts p;

    if (!take_apart(text, &p, err))
        return false;
    q = put_together(&p);
    if (saturated(q.nano)) {
        canonical_digits(&p, out);
    } else {
        quantity_text(&q, canonical);
        (void)strbuf_add(out, sv_from(canonical));
    }
    if (out->full)
        return err_set(err, ERR_LIMIT, 0, "the canonical form is longer than %zu bytes", out->max);
    return true;
}
