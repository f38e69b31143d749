#include "agent/prom/matchers.h"

#include <string.h>

enum { SHOWN = 20 }; /* bytes of what was found */

struct scan {
    struct sv text;
    size_t at;
};

static char next(const struct scan *s)
{
    return s->at < s->text.len ? s->text.at[s->at] : '\0';
}

/* What stands at the place, up to the next blank or comma, as far as it is shown; whole characters. */
static int shown(const struct scan *s)
{
    int n = 0;

    while (s->at + (size_t)n < s->text.len && n < SHOWN &&
           strchr(" ,\n", s->text.at[s->at + (size_t)n]) == NULL)
        n++;
    while (n > 0 && s->at + (size_t)n < s->text.len &&
           (s->text.at[s->at + (size_t)n] & 0xc0) == 0x80)
        n--;
    return n > 0 ? n : s->at < s->text.len ? 1 : 0;
}

static bool unlike(const struct scan *s, const char *expected, struct err *err)
{
    if (s->at >= s->text.len)
        return err_set(err, ERR_INPUT, 0, "found the end after %zu characters, expected %s", s->at,
                       expected);
    return err_set(err, ERR_INPUT, 0, "character %zu: found '%.*s', expected %s", s->at + 1,
                   shown(s), s->text.at + s->at, expected);
}

static void skip_blanks(struct scan *s)
{
    while (s->at < s->text.len && strchr(" \t\r\n", s->text.at[s->at]) != NULL)
        s->at++;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Of Go's escapes those of one character, and numbers by their first. */
static bool take_escape(struct scan *s, char quote, struct err *err)
{
    s->at++;
    if (s->at < s->text.len &&
        (next(s) == quote || strchr("abfnrtv\\01234567xuU", next(s)) != NULL)) {
        s->at++;
        return true;
    }
    return unlike(s, "an escape such as \\\\, \\n or \\\"", err);
}

/* "…", '…' with escapes, or `…`. */
static bool take_string(struct scan *s, struct err *err)
{
    const size_t begin = s->at;
    char quote = next(s);

    s->at++;
    while (s->at < s->text.len && next(s) != quote && (quote == '`' || next(s) != '\n')) {
        if (quote != '`' && next(s) == '\\') {
            if (!take_escape(s, quote, err))
                return false;
            continue;
        }
        s->at++;
    }
    if (next(s) != quote || s->at >= s->text.len) {
        s->at = begin;
        return unlike(s, "a quote that ends", err);
    }
    s->at++;
    return true;
}

static bool is_quote(const struct scan *s)
{
    return s->at < s->text.len && strchr("\"'`", next(s)) != NULL;
}

/* A name may be in quotes, too: "node.pool". */
static bool take_name(struct scan *s, struct err *err)
{
    if (is_quote(s))
        return take_string(s, err);
    if (!is_letter(next(s)))
        return unlike(s, "a label's name", err);
    while (is_letter(next(s)) || (next(s) >= '0' && next(s) <= '9'))
        s->at++;
    return true;
}

static bool take_operator(struct scan *s, struct err *err)
{
    static const struct sv operators[] = {SV("=~"), SV("!~"), SV("!="), SV("=")};
    struct sv rest = {.at = s->text.at + s->at, .len = s->text.len - s->at};

    for (size_t i = 0; i < COUNT_OF(operators); i++) {
        if (sv_starts(rest, operators[i])) {
            s->at += operators[i].len;
            return true;
        }
    }
    return unlike(s, "=, !=, =~ or !~", err);
}

static bool take_matcher(struct scan *s, struct err *err)
{
    if (!take_name(s, err))
        return false;
    skip_blanks(s);
    if (!take_operator(s, err))
        return false;
    skip_blanks(s);
    return is_quote(s) ? take_string(s, err) : unlike(s, "a text in quotes", err);
}

bool matchers_check(struct sv text, struct err *err)
{
    struct scan s = {.text = text};

    skip_blanks(&s);
    while (s.at < text.len) {
        if (!take_matcher(&s, err))
            return false;
        skip_blanks(&s);
        if (s.at == text.len)
            break;
        if (next(&s) != ',')
            return unlike(&s, "a comma or the end", err);
        s.at++;
        skip_blanks(&s);
    }
    return true;
}
