#include "agent/kube/jsonscan.h"

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Numbers, true, false, null. */
static bool scalar(char c)
{
    return digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '+' || c == '.' || c == 'E';
}

static struct sv skip_blanks(struct sv text)
{
    while (text.len != 0 && blank(text.at[0]))
        text = sv_skip(text, 1);
    return text;
}

/* The rest of a string, its closing quote included; true if that was there. */
static bool scan_string(struct jsonscan *s, struct sv bytes, size_t *i)
{
    for (; *i < bytes.len; ++*i) {
        char c = bytes.at[*i];

        if (s->escaped) {
            s->escaped = false;
        } else if (c == '\\') {
            s->escaped = true;
        } else if (c == '"') {
            s->in_string = false;
            ++*i;
            return true;
        }
    }
    return false;
}

static bool start(struct jsonscan *s, char c)
{
    if (c == '"')
        s->in_string = true;
    else if (c == '{' || c == '[')
        s->depth = 1;
    else if (scalar(c))
        s->in_scalar = true;
    else
        return false;
    return true;
}

static enum jsonscan_result scan_scalar(struct sv bytes, size_t i, size_t *ret_used)
{
    while (i < bytes.len && scalar(bytes.at[i]))
        i++;
    *ret_used = i;
    return i < bytes.len ? JSONSCAN_DONE : JSONSCAN_MORE;
}

static enum jsonscan_result scan_nested(struct jsonscan *s, struct sv bytes, size_t i,
                                        size_t *ret_used)
{
    while (i < bytes.len) {
        char c = bytes.at[i];

        if (s->in_string) {
            (void)scan_string(s, bytes, &i);
            continue;
        }
        i++;
        if (c == '"') {
            s->in_string = true;
        } else if (c == '{' || c == '[') {
            if (s->depth++ == JSONSCAN_MAX_DEPTH)
                return JSONSCAN_BAD;
        } else if ((c == '}' || c == ']') && --s->depth == 0) {
            *ret_used = i;
            return JSONSCAN_DONE;
        }
    }
    *ret_used = i;
    return JSONSCAN_MORE;
}

enum jsonscan_result jsonscan_feed(struct jsonscan *s, struct sv bytes, size_t *ret_used)
{
    size_t i = 0;

    *ret_used = 0;
    if (bytes.len == 0)
        return JSONSCAN_MORE;
    if (!s->in_string && !s->in_scalar && s->depth == 0) {
        if (!start(s, bytes.at[0]))
            return JSONSCAN_BAD;
        i = 1;
    }
    if (s->in_scalar)
        return scan_scalar(bytes, i, ret_used);
    if (s->depth != 0)
        return scan_nested(s, bytes, i, ret_used);

    bool ended = scan_string(s, bytes, &i);

    *ret_used = i;
    return ended ? JSONSCAN_DONE : JSONSCAN_MORE;
}

/* Takes one whole value off the front. */
static bool take_value(struct sv *rest, struct sv *ret_value)
{
    struct jsonscan s = {0};
    size_t used;

    if (jsonscan_feed(&s, *rest, &used) != JSONSCAN_DONE)
        return false;
    *ret_value = (struct sv){.at = rest->at, .len = used};
    *rest = sv_skip(*rest, used);
    return true;
}

bool jsonscan_open(struct sv object, struct sv *rest)
{
    object = skip_blanks(object);
    if (object.len == 0 || object.at[0] != '{')
        return false;
    *rest = sv_skip(object, 1);
    return true;
}

bool jsonscan_next(struct sv *rest, struct jsonscan_member *ret_member, bool *ret_bad)
{
    struct sv text = skip_blanks(*rest);
    struct jsonscan_member member;

    *ret_bad = false;
    if (text.len != 0 && text.at[0] == '}')
        return false;
    *ret_bad = true;
    if (text.len == 0 || text.at[0] != '"' || !take_value(&text, &member.key))
        return false;
    text = skip_blanks(text);
    if (text.len == 0 || text.at[0] != ':')
        return false;
    text = skip_blanks(sv_skip(text, 1));
    if (!take_value(&text, &member.value))
        return false;
    text = skip_blanks(text);
    if (text.len == 0 || (text.at[0] != ',' && text.at[0] != '}'))
        return false;
    *rest = text.at[0] == ',' ? sv_skip(text, 1) : text;
    *ret_member = member;
    *ret_bad = false;
    return true;
}

/* How many digits stand at the front. */
static size_t digits(struct sv text)
{
    size_t n = 0;

    while (n < text.len && digit(text.at[n]))
        n++;
    return n;
}

/* The grammar of RFC 8259, 6. */
static bool number_valid(struct sv text)
{
    size_t n;

    if (text.len != 0 && text.at[0] == '-')
        text = sv_skip(text, 1);
    n = digits(text);
    if (n == 0 || (n > 1 && text.at[0] == '0'))
        return false;
    text = sv_skip(text, n);
    if (text.len != 0 && text.at[0] == '.') {
        text = sv_skip(text, 1);
        n = digits(text);
        if (n == 0)
            return false;
        text = sv_skip(text, n);
    }
    if (text.len != 0 && (text.at[0] == 'e' || text.at[0] == 'E')) {
        text = sv_skip(text, 1);
        if (text.len != 0 && (text.at[0] == '+' || text.at[0] == '-'))
            text = sv_skip(text, 1);
        n = digits(text);
        if (n == 0)
            return false;
        text = sv_skip(text, n);
    }
    return text.len == 0;
}

struct rewriter {
    struct sv text;
    size_t at; /* how far it is read */
    size_t values;
    struct strbuf *out;
    struct err *err;
};

static struct sv rest_of(const struct rewriter *w)
{
    return sv_skip(w->text, w->at);
}

static bool broken(const struct rewriter *w, size_t at, const char *what)
{
    return err_set(w->err, ERR_INPUT, 0, "no valid JSON: %s at offset %zu", what, at);
}

static bool copy(struct rewriter *w, size_t n)
{
    struct sv piece = {.at = w->text.at + w->at, .len = n};

    w->at += n;
    return strbuf_add(w->out, piece) ||
           err_set(w->err, ERR_LIMIT, 0, "JSON of more than %zu bytes", w->out->max);
}

static bool rewrite_number(struct rewriter *w)
{
    struct sv rest = rest_of(w);
    size_t n = 0;

    while (n < rest.len && scalar(rest.at[n]))
        n++;
    if (!number_valid((struct sv){.at = rest.at, .len = n}))
        return broken(w, w->at, "no number");

    const char mark[] = {'"', JSONSCAN_NUMBER};

    (void)strbuf_add(w->out, (struct sv){.at = mark, .len = sizeof mark});
    (void)copy(w, n);
    if (!strbuf_add_char(w->out, '"'))
        return copy(w, 0);
    return true;
}

/* Copies the string's text up to `end` with each \u0000 replaced. */
static bool copy_string(struct rewriter *w, size_t end)
{
    static const struct sv nul = {.at = "\\u0000", .len = 6};

    while (w->at < end) {
        struct sv rest = {.at = w->text.at + w->at, .len = end - w->at};
        const char *escape = memchr(rest.at, '\\', rest.len);
        size_t plain = escape != NULL ? (size_t)(escape - rest.at) : rest.len;

        if (!copy(w, plain))
            return false;
        rest = sv_skip(rest, plain);
        if (sv_starts(rest, nul)) {
            (void)strbuf_add_char(w->out, JSONSCAN_NUL);
            w->at += nul.len;
        } else if (rest.len != 0 && !copy(w, 2)) { /* the backslash and what it escapes */
            return false;
        }
    }
    return copy(w, 0);
}

/* Behind the key "managedFields": leaves out a list that follows. */
static bool skip_managed_fields(struct rewriter *w)
{
    struct sv rest = skip_blanks(rest_of(w));
    struct sv list;

    if (rest.len == 0 || rest.at[0] != ':')
        return true;
    rest = skip_blanks(sv_skip(rest, 1));
    if (rest.len == 0 || rest.at[0] != '[')
        return true;
    if (!take_value(&rest,
                    &list)) /* tried again at each that is inside it would take quadratic time */
        return broken(w, w->at, "a list without an end");
    w->at = w->text.len - rest.len;
    return strbuf_add(w->out, SV(":null")) || copy(w, 0);
}

static bool rewrite_string(struct rewriter *w)
{
    struct jsonscan s = {0};
    size_t used;

    if (jsonscan_feed(&s, rest_of(w), &used) != JSONSCAN_DONE)
        return broken(w, w->at, "a string without an end");

    struct sv text = {.at = w->text.at + w->at, .len = used};

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];

        if (c < 0x20)
            return broken(w, w->at + i, "a control character");
        if (c >= 0xfe)
            return broken(w, w->at + i, "a byte that is not UTF-8");
    }
    if (!copy_string(w, w->at + used))
        return false;
    return !sv_eq(text, SV("\"managedFields\"")) || skip_managed_fields(w);
}

static bool rewrite_next(struct rewriter *w)
{
    char c = w->text.at[w->at];

    if (c == '"')
        return rewrite_string(w);
    if (c == '-' || digit(c))
        return rewrite_number(w);
    if ((unsigned char)c < 0x20 && !blank(c))
        return broken(w, w->at, "a control character");
    if (c == ',' || c == '{' || c == '[')
        w->values++;
    if (w->values > JSONSCAN_MAX_VALUES)
        return err_set(w->err, ERR_LIMIT, 0, "JSON of more than %d values", JSONSCAN_MAX_VALUES);
    return copy(w, 1);
}

bool jsonscan_rewrite(struct sv text, struct strbuf *out, struct err *err)
{
    struct rewriter w = {.text = text, .out = out, .err = err};

    strbuf_clear(out);
    while (w.at < text.len)
        if (!rewrite_next(&w))
            return false;
    return true;
}
