#include "agent/prom/promread.h"

#include <string.h>

#include "base/alloc.h"
#include "base/jsonr.h"

/* Where we are: in the answer itself, in "data", in "result", behind it all. */
enum { LEVEL_ANSWER, LEVEL_DATA, LEVEL_RESULT, LEVEL_BEHIND };

/* … and what comes next there. */
enum { IN_FRONT, FIRST, NEXT_KEY, COLON, VALUE, BEHIND_VALUE };

enum {
    MEMBER_OTHER,
    MEMBER_STATUS,
    MEMBER_DATA,
    MEMBER_RESULT,
    MEMBER_ERROR_TYPE,
    MEMBER_ERROR,
    MEMBER_WARNINGS,
    MEMBER_PARTIAL
};

static const struct {
    const char *key;
    uint8_t level, member;
} members[] = {
    {"\"status\"", LEVEL_ANSWER, MEMBER_STATUS},
    {"\"data\"", LEVEL_ANSWER, MEMBER_DATA},
    {"\"errorType\"", LEVEL_ANSWER, MEMBER_ERROR_TYPE},
    {"\"error\"", LEVEL_ANSWER, MEMBER_ERROR},
    {"\"warnings\"", LEVEL_ANSWER, MEMBER_WARNINGS},
    {"\"isPartial\"", LEVEL_ANSWER, MEMBER_PARTIAL},
    {"\"result\"", LEVEL_DATA, MEMBER_RESULT},
};

/* ---- what is handed out ---- */

struct sv promread_label(const struct promread_series *s, const char *name)
{
    for (size_t i = 0; i < s->n_labels; i++) {
        if (sv_eq(s->labels[i].name, sv_from(name)))
            return s->labels[i].value;
    }
    return (struct sv){0};
}

/* Decimal, maybe with an exponent, not "NaN" or "+Inf". */
static bool is_number(struct sv text)
{
    size_t i = text.len != 0 && text.at[0] == '-', digits = 0, points = 0;

    for (; i < text.len && (text.at[i] == '.' || (text.at[i] >= '0' && text.at[i] <= '9')); i++) {
        points += text.at[i] == '.';
        digits += text.at[i] != '.';
    }
    if (digits == 0 || points > 1 || i == text.len)
        return digits != 0 && points <= 1;
    if (text.at[i] != 'e' && text.at[i] != 'E')
        return false;
    i += i + 1 < text.len && (text.at[i + 1] == '+' || text.at[i + 1] == '-') ? 2 : 1;
    digits = text.len - i;
    while (i < text.len && text.at[i] >= '0' && text.at[i] <= '9')
        i++;
    return i == text.len && digits > 0 && digits <= 3;
}

bool promread_number(struct sv value, int digits, int64_t *ret)
{
    int64_t fine;

    /* A sum of floats may lie a hair beside what was meant: one more digit is read, and rounded. */
    if (!is_number(value) || !jsonr_fixed(value, digits + 1, &fine) ||
        __builtin_add_overflow(fine, fine < 0 ? -5 : 5, &fine))
        return false;
    *ret = fine / 10;
    return true;
}

/* ---- values that are whole ---- */

static bool out_of_shape(const char *expected, struct err *err)
{
    return err_set(err, ERR_PROTOCOL, 0, "this is no answer of Prometheus: expected %s", expected);
}

/* What cannot be printed becomes a blank. */
static void keep_text(struct sv text, char *to, size_t size)
{
    size_t len = 0;

    for (; len < text.len && len + 1 < size; len++)
        to[len] = (unsigned char)text.at[len] < 0x20 || text.at[len] == 0x7f ? ' ' : text.at[len];
    to[len] = '\0';
}

static bool read_labels(struct promread *r, struct jsonr *in)
{
    struct promread_label label;

    r->n_labels = 0;
    if (!jsonr_object(in))
        return false;
    while (jsonr_key(in, &label.name)) {
        if (!jsonr_string(in, &label.value))
            return false;
        VEC_PUSH(r->labels, r->n_labels, r->cap_labels, label);
    }
    return true;
}

/* [1790000000.123,"0.25"] */
static bool read_point(struct promread *r, struct jsonr *in)
{
    struct promread_point point;
    struct sv time;

    if (!jsonr_array(in) || !jsonr_element(in) || !jsonr_number(in, &time))
        return false;
    if (!jsonr_fixed(time, 3, &point.t_ms))
        return jsonr_refuse(in, "found a time beyond all bounds");
    if (!jsonr_element(in) || !jsonr_string(in, &point.value))
        return false;
    VEC_PUSH(r->points, r->n_points, r->cap_points, point);
    return !jsonr_element(in) || jsonr_expected(in, "the point's end");
}

static bool read_points(struct promread *r, struct jsonr *in)
{
    if (!jsonr_array(in))
        return false;
    while (jsonr_element(in)) {
        if (!read_point(r, in))
            return false;
    }
    return true;
}

/* One member of a series; the text is in the buffer, which is ours to write to. */
static bool read_member(struct promread *r, const struct jsonscan_member *m, struct err *err)
{
    struct jsonr in;
    bool ok = true;

    jsonr_init(&in, r->buf.at + (m->value.at - r->buf.at), m->value.len);
    if (sv_eq(m->key, SV("\"metric\"")))
        ok = read_labels(r, &in);
    else if (sv_eq(m->key, SV("\"value\"")))
        ok = read_point(r, &in);
    else if (sv_eq(m->key, SV("\"values\"")))
        ok = read_points(r, &in);
    else
        return true;
    if (ok && jsonr_end(&in, err))
        return true;
    (void)jsonr_refuse(&in, "found a point without a time and a value");
    return err_set(err, ERR_PROTOCOL, 0, "a series in the answer: %s", in.err.text);
}

static bool take_series(struct promread *r, struct sv text, struct err *err)
{
    struct promread_series series;
    struct jsonscan_member member;
    struct sv rest;
    bool bad = false;

    r->state = BEHIND_VALUE;
    r->n_labels = r->n_points = 0;
    if (!jsonscan_open(text, &rest))
        return out_of_shape("a list of series", err);
    while (jsonscan_next(&rest, &member, &bad)) {
        if (!read_member(r, &member, err))
            return false;
    }
    if (bad)
        return out_of_shape("a series of members", err);
    series = (struct promread_series){
        .labels = r->labels, .n_labels = r->n_labels, .points = r->points, .n_points = r->n_points};
    r->n_series++;
    return r->fn(r->self, &series, err);
}

/* The first of a list of texts. */
static void take_warnings(struct promread *r, struct jsonr *in)
{
    struct sv text;

    if (jsonr_peek(in) != JSONR_ARRAY || !jsonr_array(in) || !jsonr_element(in) ||
        !jsonr_string(in, &text))
        return;
    r->partial = true;
    keep_text(text, r->warning, sizeof r->warning);
}

static bool take_key(struct promread *r, struct sv key)
{
    r->member = MEMBER_OTHER;
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        if (members[i].level == r->level && sv_eq(key, sv_from(members[i].key)))
            r->member = members[i].member;
    }
    r->state = COLON;
    return true;
}

static void take_member(struct promread *r)
{
    struct jsonr in;
    struct sv text = {0};
    bool flag = false;

    jsonr_init(&in, r->buf.at, r->buf.len);
    r->state = BEHIND_VALUE;
    if (r->member == MEMBER_WARNINGS)
        take_warnings(r, &in);
    else if (r->member == MEMBER_PARTIAL)
        r->partial |= jsonr_peek(&in) == JSONR_TRUE && jsonr_bool(&in, &flag);
    else if (jsonr_peek(&in) != JSONR_STRING || !jsonr_string(&in, &text))
        return;
    else if (r->member == MEMBER_STATUS)
        r->success = sv_eq(text, SV("success"));
    else if (r->member == MEMBER_ERROR_TYPE)
        keep_text(text, r->error_type, sizeof r->error_type);
    else if (r->member == MEMBER_ERROR)
        keep_text(text, r->error, sizeof r->error);
}

static bool take(struct promread *r, struct err *err)
{
    bool ok = true;

    if (r->state == FIRST || r->state == NEXT_KEY)
        ok = r->level == LEVEL_RESULT ? take_series(r, strbuf_sv(&r->buf), err)
                                      : take_key(r, strbuf_sv(&r->buf));
    else
        take_member(r);
    strbuf_clear(&r->buf);
    return ok;
}

/* ---- the text, piece by piece ---- */

/* Inside a value: goes on to its end, or to the end of the bytes. */
static bool in_value(struct promread *r, struct sv *bytes, struct err *err)
{
    struct sv piece = *bytes;
    enum jsonscan_result result = jsonscan_feed(&r->scan, *bytes, &piece.len);

    if (result == JSONSCAN_BAD)
        return out_of_shape("JSON", err);
    *bytes = sv_skip(*bytes, piece.len);
    if (r->wanted && !strbuf_add(&r->buf, piece))
        return err_set(err, ERR_LIMIT, 0, "a series of more than %d MiB",
                       PROMREAD_MAX_SERIES >> 20);
    if (result == JSONSCAN_MORE)
        return true;
    r->in_value = false;
    if (r->wanted)
        return take(r, err);
    r->state = BEHIND_VALUE;
    return true;
}

static bool begin(struct promread *r, bool wanted)
{
    r->in_value = true;
    r->wanted = wanted;
    r->scan = (struct jsonscan){0};
    return true;
}

static bool become(struct promread *r, struct sv *bytes, uint8_t level, uint8_t state)
{
    r->level = level;
    r->state = state;
    *bytes = sv_skip(*bytes, 1);
    return true;
}

/* In front of the value of a key. */
static bool before_value(struct promread *r, struct sv *bytes, struct err *err)
{
    char c = bytes->at[0];

    if (r->member == MEMBER_DATA && c == '{')
        return become(r, bytes, LEVEL_DATA, FIRST);
    if (r->member == MEMBER_RESULT && c != '[')
        return out_of_shape("a list of series", err);
    if (r->member == MEMBER_RESULT) {
        r->has_result = true;
        return become(r, bytes, LEVEL_RESULT, FIRST);
    }
    return begin(r, r->member != MEMBER_OTHER && r->member != MEMBER_DATA);
}

/* A level's closing bracket: what it closed was a value of the level above. */
static bool close(struct promread *r, struct sv *bytes)
{
    return become(r, bytes, r->level == LEVEL_ANSWER ? LEVEL_BEHIND : (uint8_t)(r->level - 1),
                  BEHIND_VALUE);
}

/* One character of the answer's own structure. */
static bool structure(struct promread *r, struct sv *bytes, struct err *err)
{
    char c = bytes->at[0];
    char end = r->level == LEVEL_RESULT ? ']' : '}';

    if (r->level == LEVEL_BEHIND)
        return out_of_shape("its end", err);
    switch (r->state) {
    case IN_FRONT:
        return c == '{' ? become(r, bytes, LEVEL_ANSWER, FIRST) : out_of_shape("an object", err);
    case FIRST:
        if (c == end)
            return close(r, bytes);
        break;
    case COLON:
        return c == ':' ? become(r, bytes, r->level, VALUE) : out_of_shape("':'", err);
    case VALUE:
        return before_value(r, bytes, err);
    case BEHIND_VALUE:
        if (c == end)
            return close(r, bytes);
        return c == ',' ? become(r, bytes, r->level, NEXT_KEY)
                        : out_of_shape("',' or its end", err);
    default: /* NEXT_KEY: as FIRST, but something must come */
        break;
    }
    if (c != (r->level == LEVEL_RESULT ? '{' : '"'))
        return out_of_shape(r->level == LEVEL_RESULT ? "a list of series" : "a key", err);
    return begin(r, true);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void promread_init(struct promread *r, promread_fn *fn, void *self)
{
    *r = (struct promread){.fn = fn, .self = self};
    strbuf_init(&r->buf, PROMREAD_MAX_SERIES);
}

void promread_done(struct promread *r)
{
    strbuf_done(&r->buf);
    free(r->labels);
    free(r->points);
    *r = (struct promread){0};
}

bool promread_push(struct promread *r, struct sv bytes, struct err *err)
{
    while (bytes.len != 0) {
        if (r->in_value) {
            if (!in_value(r, &bytes, err))
                return false;
        } else if (blank(bytes.at[0])) {
            bytes = sv_skip(bytes, 1);
        } else if (!structure(r, &bytes, err)) {
            return false;
        }
    }
    return true;
}

bool promread_end(struct promread *r, struct err *err)
{
    if (r->level != LEVEL_BEHIND)
        return err_set(err, ERR_PROTOCOL, 0, "the answer of Prometheus is cut off");
    if (!r->success)
        return err_set(err, ERR_SERVER, 0, "%s: %s",
                       r->error_type[0] != '\0' ? r->error_type : "error",
                       r->error[0] != '\0' ? r->error : "no reason is given");
    return r->has_result || out_of_shape("a result", err);
}
