/* How the values of keys are read, and what they must look like. */
#include "policy/field.h"

#include <assert.h>
#include <ctype.h>

#include "base/clock.h"
#include "base/yaml.h"
#include "base/zone.h"
#include "capacity/names.h"
#include "capacity/quantity.h"
#include "capacity/selector.h"
#include "policy/policy.h"

/* One number with its unit off the front of a span, in microseconds. */
static bool take_span_part(struct sv *rest, int64_t *ret_us)
{
    static const struct {
        struct sv unit;
        int64_t us;
    } units[] = {{{"ms", 2}, US_PER_MS},
                 {{"us", 2}, 1},
                 {{"h", 1}, 3600 * US_PER_S},
                 {{"m", 1}, 60 * US_PER_S},
                 {{"s", 1}, US_PER_S}};
    int64_t whole = 0, part = 0, scale = 1;
    size_t digits = 0;
    bool point = false;

    for (;
         rest->len != 0 && (isdigit((unsigned char)rest->at[0]) || (rest->at[0] == '.' && !point));
         *rest = sv_skip(*rest, 1)) {
        int digit = rest->at[0] - '0';

        if (rest->at[0] == '.') {
            point = true;
            continue;
        }
        digits++;
        if (!point && (__builtin_mul_overflow(whole, 10, &whole) ||
                       __builtin_add_overflow(whole, digit, &whole)))
            return false;
        if (point && scale < 1000000) { /* finer than this is cut */
            part = part * 10 + digit;
            scale *= 10;
        }
    }
    if (digits == 0)
        return false;
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (!sv_starts(*rest, units[i].unit))
            continue;
        *rest = sv_skip(*rest, units[i].unit.len);
        return !__builtin_mul_overflow(whole, units[i].us, &whole) &&
               !__builtin_add_overflow(whole, part * units[i].us / scale, ret_us);
    }
    return false;
}

bool field_parse_span(struct sv text, int64_t *ret_us)
{
    int64_t sum = 0, part;

    if (sv_eq(text, SV("0"))) {
        *ret_us = 0;
        return true;
    }
    if (text.len == 0)
        return false;
    while (text.len != 0) {
        if (!take_span_part(&text, &part) || __builtin_add_overflow(sum, part, &sum))
            return false;
    }
    *ret_us = sum;
    return true;
}

/* The grammar of quantities takes a bare suffix or sign for 0; in a policy that is a slip of the
 * pen. */
static bool has_digit(struct sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (isdigit((unsigned char)text.at[i]))
            return true;
    }
    return false;
}

/* "12.25" with at most `digits` behind the point, as a whole number of 10^-digits. */
static bool parse_decimal(struct sv text, size_t digits, int64_t *ret_value)
{
    struct sv whole, part = SV("0");
    int64_t value, fraction = 0, scale = 1;
    bool point = sv_cut(text, '.', &whole, &part);

    if (!point)
        whole = text;
    if (!has_digit(whole) || part.len == 0 || part.len > digits ||
        !isdigit((unsigned char)part.at[0]) || !sv_to_i64(whole, &value) ||
        !sv_to_i64(part, &fraction))
        return false;
    for (size_t i = 0; i < digits; i++) {
        scale *= 10;
        fraction *= i < part.len ? 1 : 10;
    }
    return !__builtin_mul_overflow(value, scale, &value) &&
           !__builtin_add_overflow(value, whole.at[0] == '-' ? -fraction : fraction, ret_value);
}

/* The same in percent: "5%", "12.25%". */
static bool parse_percent(struct sv text, size_t digits, int64_t *ret_value)
{
    if (!sv_ends(text, SV("%")))
        return false;
    text.len--;
    return parse_decimal(text, digits, ret_value);
}

/* "08:00" */
static bool parse_time(struct sv text, int64_t *ret_minutes)
{
    struct sv hour, minute;
    int64_t h, m;

    if (text.len != 5 || !sv_cut(text, ':', &hour, &minute) || hour.len != 2 ||
        !isdigit((unsigned char)hour.at[0]) || !isdigit((unsigned char)minute.at[0]) ||
        !sv_to_i64(hour, &h) || !sv_to_i64(minute, &m) || m > 59)
        return false;
    *ret_minutes = h * 60 + m;
    return true;
}

/* Any type that is a number: as an int64 in the unit in which it is stored. */
static bool parse_number(enum field_type type, struct sv text, int64_t *ret_value)
{
    struct quantity q;

    switch (type) {
    case FIELD_INT32:
    case FIELD_INT64:
        return sv_to_i64(text, ret_value);
    case FIELD_SPAN:
        return field_parse_span(text, ret_value);
    case FIELD_TIME:
        return parse_time(text, ret_value);
    case FIELD_SHARE:
        return parse_percent(text, 4, ret_value);
    case FIELD_FACTOR:
        return parse_decimal(text, 2, ret_value);
    case FIELD_PRICE:
        return parse_decimal(text, 6, ret_value);
    case FIELD_CPU:
    case FIELD_BYTES:
    case FIELD_ROOM:
        if (!has_digit(text) || !quantity_parse(text, &q, NULL))
            return false;
        /* An amount too large to hold is saturated, and then above every maximum. */
        if (type == FIELD_BYTES)
            (void)quantity_value(&q, ret_value);
        else
            (void)quantity_milli(&q, ret_value);
        return true;
    case FIELD_GROUP:
    case FIELD_LIST:
    case FIELD_OVERRIDES:
    case FIELD_LABELS:
    case FIELD_WORD:
    case FIELD_EITHER:
    case FIELD_DAYS:
    case FIELD_LABEL:
    case FIELD_SUBDOMAIN:
    case FIELD_API_VERSION:
    case FIELD_KIND:
    case FIELD_SELECTOR:
    case FIELD_LABEL_KEY:
    case FIELD_LABEL_VALUE:
    case FIELD_ZONE:
    case FIELD_TYPE_COUNT_:
        break;
    }
    return false;
}

static bool refuse(const struct field *f, struct sv text, struct err *err)
{
    char shown[YAML_SHOW_SIZE];
    struct strbuf expected;

    strbuf_init(&expected, sizeof err->text);
    field_expected(f, &expected);
    (void)err_set(err, ERR_INPUT, 0, "found %s, expected %s", yaml_show(text, shown),
                  strbuf_str(&expected));
    strbuf_done(&expected);
    return false;
}

static bool check_range(struct sv text, int64_t value, int64_t min, int64_t max,
                        const char *min_text, const char *max_text, struct err *err)
{
    char shown[YAML_SHOW_SIZE];

    if (value < min)
        return err_set(err, ERR_INPUT, 0, "found %s, expected at least %s", yaml_show(text, shown),
                       min_text);
    if (value > max)
        return err_set(err, ERR_INPUT, 0, "found %s, expected at most %s", yaml_show(text, shown),
                       max_text);
    return true;
}

static bool read_number(const struct field *f, struct sv text, int64_t *ret_value, struct err *err)
{
    int64_t value, min, max;
    bool bounds = parse_number(f->type, sv_from(f->min), &min) &&
                  parse_number(f->type, sv_from(f->max), &max);

    assert(bounds);
    (void)bounds;
    /* Of a negative span only the sign is wrong. */
    if (f->type == FIELD_SPAN && sv_starts(text, SV("-")) &&
        field_parse_span(sv_skip(text, 1), &value))
        value = -1;
    else if (!parse_number(f->type, text, &value))
        return refuse(f, text, err);
    if (!check_range(text, value, min, max, f->min, f->max, err))
        return false;
    *ret_value = value;
    return true;
}

static bool read_room(const struct field *f, struct sv text, struct room_spec *ret_room,
                      struct err *err)
{
    struct room_spec room = {.kind = ROOM_CPU};

    if (sv_eq(text, SV("largestNode"))) {
        room.kind = ROOM_LARGEST_NODE;
    } else if (parse_percent(text, 2, &room.milli)) {
        room.kind = ROOM_PERCENT;
        if (!check_range(text, room.milli, 0, 10000, "0%", "100%", err))
            return false;
    } else {
        if (!parse_number(f->type, text, &room.milli))
            return refuse(f, text, err);
        if (!check_range(text, room.milli, 0, FIELD_MAX_CORES * INT64_C(1000), "0", "1000000", err))
            return false;
    }
    *ret_room = room;
    return true;
}

static bool is_alnum_lower(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_label(struct sv text)
{
    if (text.len == 0 || text.len > 63 || !is_alnum_lower(text.at[0]) ||
        !is_alnum_lower(text.at[text.len - 1]))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_alnum_lower(text.at[i]) && text.at[i] != '-')
            return false;
    }
    return true;
}

static bool is_subdomain(struct sv text)
{
    struct sv label;

    if (text.len == 0 || text.len > 253 || sv_ends(text, SV(".")))
        return false;
    while (sv_next(&text, '.', &label)) {
        if (!is_label(label))
            return false;
    }
    return true;
}

static bool is_api_version(struct sv text)
{
    struct sv group, version;

    return sv_cut(text, '/', &group, &version) ? is_subdomain(group) && is_label(version)
                                               : is_label(text);
}

static bool is_kind(struct sv text)
{
    if (text.len == 0 || text.len > 63 || !isupper((unsigned char)text.at[0]))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!isalnum((unsigned char)text.at[i]))
            return false;
    }
    return true;
}

static bool check_selector(struct sv text, struct err *err)
{
    enum { SCRATCH_BYTES = 1 << 20 };
    struct arena scratch;
    struct selector selector;
    bool ok;

    if (text.len > FIELD_MAX_SELECTOR)
        return err_set(err, ERR_INPUT, 0, "found %zu bytes, expected a selector of at most %d",
                       text.len, FIELD_MAX_SELECTOR);
    if (text.len == 0)
        return err_set(err, ERR_INPUT, 0, "found \"\", expected a selector such as app=batch");
    arena_init(&scratch, SCRATCH_BYTES);
    ok = selector_parse(&scratch, text, &selector, err);
    arena_done(&scratch);
    return ok;
}

static bool check_text(const struct field *f, struct sv text, struct err *err)
{
    bool ok;

    if (f->type == FIELD_SELECTOR)
        return check_selector(text, err);
    ok = f->type == FIELD_LABEL         ? is_label(text)
         : f->type == FIELD_SUBDOMAIN   ? is_subdomain(text)
         : f->type == FIELD_KIND        ? is_kind(text)
         : f->type == FIELD_LABEL_KEY   ? names_qualified(text)
         : f->type == FIELD_LABEL_VALUE ? names_label_value(text)
         : f->type == FIELD_ZONE        ? zone_is_name(text)
                                        : is_api_version(text);
    return ok || refuse(f, text, err);
}

static bool read_word(const struct field *f, struct sv text, int *ret_place, struct err *err)
{
    for (int i = 0; f->words[i] != NULL; i++) {
        if (sv_eq(text, sv_from(f->words[i]))) {
            *ret_place = f->first_word + i;
            return true;
        }
    }
    return refuse(f, text, err);
}

static bool read_day(struct sv text, int *ret_day)
{
    static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

    for (int i = 0; i < (int)COUNT_OF(days); i++) {
        if (sv_eq(text, sv_from(days[i]))) {
            *ret_day = i;
            return true;
        }
    }
    return false;
}

/* "mon-fri,sun"; "sat-mon" goes round the week's end. */
static bool read_days(const struct field *f, struct sv text, uint8_t *ret_days, struct err *err)
{
    struct sv rest = text, piece, first, last;
    unsigned days = 0;

    while (sv_next(&rest, ',', &piece)) {
        int from, to;

        piece = sv_trim(piece);
        if (!sv_cut(piece, '-', &first, &last))
            first = last = piece;
        if (!read_day(first, &from) || !read_day(last, &to))
            return refuse(f, text, err);
        for (days |= 1U << from; from != to; days |= 1U << from)
            from = (from + 1) % 7;
    }
    if (days == 0 || sv_ends(text, SV(",")))
        return refuse(f, text, err);
    *ret_days = (uint8_t)days;
    return true;
}

/* memcpy, so that the table need not tell the compiler the member's type. */
static void store_at(size_t offset, void *object, const void *value, size_t size)
{
    if (offset != FIELD_NOWHERE)
        memcpy((char *)object + offset, value, size);
}

static void store(const struct field *f, void *object, const void *value, size_t size)
{
    store_at(f->offset, object, value, size);
}

static bool read_text(const struct field *f, struct sv text, struct arena *arena, void *object,
                      struct err *err)
{
    struct sv copy;

    if (!check_text(f, text, err))
        return false;
    copy = arena_dup(arena, text);
    if (copy.at == NULL)
        return err_set(err, ERR_LIMIT, 0, "the policy is larger than the limit of %zu bytes",
                       arena->max);
    store(f, object, &copy, sizeof copy);
    return true;
}

static bool read_plain(const struct field *f, struct sv text, struct arena *arena, void *object,
                       struct err *err)
{
    struct room_spec room = {0};
    int64_t number = 0;
    int32_t small;
    int place = 0;
    bool second;
    uint8_t days = 0;

    switch (f->type) {
    case FIELD_WORD:
        if (!read_word(f, text, &place, err))
            return false;
        store(f, object, &place, sizeof place);
        return true;
    case FIELD_EITHER:
        if (!read_word(f, text, &place, err))
            return false;
        second = place != 0;
        store(f, object, &second, sizeof second);
        return true;
    case FIELD_ROOM:
        if (!read_room(f, text, &room, err))
            return false;
        store(f, object, &room, sizeof room);
        return true;
    case FIELD_DAYS:
        if (!read_days(f, text, &days, err))
            return false;
        store(f, object, &days, sizeof days);
        return true;
    case FIELD_INT32:
    case FIELD_TIME:
    case FIELD_SHARE:
    case FIELD_FACTOR:
        if (!read_number(f, text, &number, err))
            return false;
        small = (int32_t)number; /* the range of each such field is within int32 */
        store(f, object, &small, sizeof small);
        return true;
    case FIELD_INT64:
    case FIELD_SPAN:
    case FIELD_PRICE:
    case FIELD_CPU:
    case FIELD_BYTES:
        if (!read_number(f, text, &number, err))
            return false;
        store(f, object, &number, sizeof number);
        return true;
    case FIELD_LABEL:
    case FIELD_SUBDOMAIN:
    case FIELD_API_VERSION:
    case FIELD_KIND:
    case FIELD_SELECTOR:
    case FIELD_LABEL_KEY:
    case FIELD_LABEL_VALUE:
    case FIELD_ZONE:
        return read_text(f, text, arena, object, err);
    case FIELD_GROUP:
    case FIELD_LIST:
    case FIELD_OVERRIDES:
    case FIELD_LABELS:
    case FIELD_TYPE_COUNT_:
        break;
    }
    return refuse(f, text, err);
}

bool field_read(const struct field *f, struct sv text, struct arena *arena, void *object,
                struct err *err)
{
    bool instead = f->instead != NULL && sv_eq(text, sv_from(f->instead));

    if (!instead && !read_plain(f, text, arena, object, err))
        return false;
    store_at(f->instead_offset, object, &instead, sizeof instead);
    return true;
}

static void add_words(const struct field *f, struct strbuf *out)
{
    for (size_t i = 0; f->words[i] != NULL; i++) {
        const char *before = i == 0 ? "" : f->words[i + 1] == NULL ? " or " : ", ";

        (void)strbuf_addf(out, "%s%s", before, f->words[i]);
    }
}

void field_expected(const struct field *f, struct strbuf *out)
{
    static const char *const texts[] = {
        [FIELD_GROUP] = "a mapping",
        [FIELD_LIST] = "a list",
        [FIELD_OVERRIDES] = "a list",
        [FIELD_LABELS] = "a mapping of labels",
        [FIELD_WORD] = NULL, /* the words themselves */
        [FIELD_EITHER] = NULL,
        [FIELD_LABEL] = "a name of at most 63 characters a-z, 0-9 and -, beginning and ending with "
                        "a letter or digit",
        [FIELD_SUBDOMAIN] =
            "a name of a-z, 0-9, - and ., each part at most 63 long, all at most 253",
        [FIELD_API_VERSION] = "a group and version such as apps/v1",
        [FIELD_KIND] = "a kind such as Deployment",
        [FIELD_SELECTOR] = "a selector such as app=batch",
        [FIELD_LABEL_KEY] = "a label's key such as app or example.org/app",
        [FIELD_LABEL_VALUE] = "a label's value of at most 63 letters, digits, -, _ and .",
        [FIELD_ZONE] = "a time zone such as Europe/Berlin",
        [FIELD_DAYS] = "days such as mon-fri or sat,sun",
        [FIELD_TIME] = "a time such as 08:00",
        [FIELD_INT32] = "a whole number",
        [FIELD_INT64] = "a whole number",
        [FIELD_SPAN] = "a span such as 90s or 1h30m",
        [FIELD_SHARE] = "a share such as 5% or 0.5%",
        [FIELD_FACTOR] = "a number such as 2 or 1.5",
        [FIELD_PRICE] = "a number such as 0.035",
        [FIELD_ROOM] = "cores such as 30 or 1500m, a share such as 5%, or largestNode",
        [FIELD_CPU] = "cores such as 2 or 500m",
        [FIELD_BYTES] = "bytes such as 512Mi",
    };
    _Static_assert(COUNT_OF(texts) == FIELD_TYPE_COUNT_, "a type has no text");

    if (f->words != NULL) {
        add_words(f, out);
        return;
    }
    (void)strbuf_add(out, sv_from(texts[f->type]));
    if (f->min != NULL && f->max != NULL && f->type != FIELD_ROOM)
        (void)strbuf_addf(out, " from %s to %s", f->min, f->max);
    if (f->instead != NULL)
        (void)strbuf_addf(out, ", or %s", f->instead);
}
