/* The text form of label selectors; the grammar of k8s.io/apimachinery/pkg/labels, without its
 * sorting. */
#include "capacity/names.h"
#include "capacity/selector.h"

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,
    TOKEN_COMMA,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_NOT,
    TOKEN_EQUAL,
    TOKEN_NOT_EQUAL,
    TOKEN_GREATER,
    TOKEN_LESS,
};

enum { MESSAGE_CHARS = 40 };

struct parser {
    struct sv text;
    size_t at; /* behind the current token */
    enum token_kind kind;
    struct sv token; /* the current token */
    struct requirement *reqs;
    size_t n_reqs;
    struct sv *values; /* of all requirements, one after the other */
    size_t n_values;
    struct err *err;
};

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool special(char c)
{
    return c == '=' || c == '!' || c == '(' || c == ')' || c == ',' || c == '>' || c == '<';
}

static enum token_kind special_kind(char c, bool before_equal)
{
    switch (c) {
    case ',':
        return TOKEN_COMMA;
    case '(':
        return TOKEN_OPEN;
    case ')':
        return TOKEN_CLOSE;
    case '!':
        return before_equal ? TOKEN_NOT_EQUAL : TOKEN_NOT;
    case '>':
        return TOKEN_GREATER;
    case '<':
        return TOKEN_LESS;
    default:
        return TOKEN_EQUAL;
    }
}

static void next(struct parser *p)
{
    while (p->at < p->text.len && blank(p->text.at[p->at]))
        p->at++;

    struct sv rest = sv_skip(p->text, p->at);
    size_t len = 0;

    if (rest.len == 0) {
        p->kind = TOKEN_END;
    } else if (special(rest.at[0])) {
        bool before_equal = rest.len > 1 && rest.at[1] == '=';

        p->kind = special_kind(rest.at[0], before_equal);
        len = before_equal && (rest.at[0] == '=' || rest.at[0] == '!') ? 2 : 1;
    } else {
        p->kind = TOKEN_WORD;
        while (len < rest.len && !special(rest.at[len]) && !blank(rest.at[len]))
            len++;
    }
    p->token = (struct sv){.at = rest.at, .len = len};
    p->at += len;
}

static bool refuse(const struct parser *p, const char *expected)
{
    size_t column = p->at - p->token.len + 1;
    int shown = p->token.len < MESSAGE_CHARS ? (int)p->token.len : MESSAGE_CHARS;

    if (p->kind == TOKEN_END)
        return err_set(p->err, ERR_INPUT, 0, "column %zu: found the end, expected %s", column,
                       expected);
    return err_set(p->err, ERR_INPUT, 0, "column %zu: found '%.*s', expected %s", column, shown,
                   p->token.at, expected);
}

static void add_value(struct parser *p, struct sv value)
{
    p->values[p->n_values++] = value;
}

/* A value may be left out: it is empty then. */
static bool read_value(struct parser *p)
{
    if (p->kind != TOKEN_WORD) {
        add_value(p, (struct sv){0});
        return true;
    }
    if (!names_label_value(p->token))
        return refuse(p, "a label value");
    add_value(p, p->token);
    next(p);
    return true;
}

static bool read_list(struct parser *p)
{
    if (p->kind != TOKEN_OPEN)
        return refuse(p, "'('");
    do {
        next(p);
        if (!read_value(p))
            return false;
    } while (p->kind == TOKEN_COMMA);
    if (p->kind != TOKEN_CLOSE)
        return refuse(p, "',' or ')'");
    next(p);
    return true;
}

static bool read_exact(struct parser *p)
{
    if (p->kind != TOKEN_WORD && p->kind != TOKEN_END && p->kind != TOKEN_COMMA)
        return refuse(p, "a value");
    return read_value(p);
}

static bool read_number(struct parser *p)
{
    int64_t number;

    if (p->kind != TOKEN_WORD || !sv_to_i64(p->token, &number))
        return refuse(p, "a whole number");
    return read_value(p);
}

/* Operator and values behind a key. */
static bool read_condition(struct parser *p, struct requirement *req)
{
    enum token_kind kind = p->kind;
    struct sv word = kind == TOKEN_WORD ? p->token : (struct sv){0};

    if (kind == TOKEN_END || kind == TOKEN_COMMA) {
        req->op = OP_EXISTS;
        return true;
    }
    if (sv_eq(word, SV("in")) || sv_eq(word, SV("notin"))) {
        req->op = word.len == 2 ? OP_IN : OP_NOT_IN;
        next(p);
        return read_list(p);
    }
    if (kind == TOKEN_EQUAL || kind == TOKEN_NOT_EQUAL) {
        req->op = kind == TOKEN_EQUAL ? OP_IN : OP_NOT_IN;
        next(p);
        return read_exact(p);
    }
    if (kind == TOKEN_GREATER || kind == TOKEN_LESS) {
        req->op = kind == TOKEN_GREATER ? OP_GT : OP_LT;
        next(p);
        return read_number(p);
    }
    return refuse(p, "',', =, ==, !=, >, <, in or notin");
}

static bool read_requirement(struct parser *p)
{
    struct requirement req = {.op = OP_DOES_NOT_EXIST, .values = p->values + p->n_values};
    size_t before = p->n_values;
    bool denied = p->kind == TOKEN_NOT;

    if (denied)
        next(p);
    if (p->kind != TOKEN_WORD || !names_qualified(p->token))
        return refuse(p, denied ? "a label key" : "a label key or '!'");
    req.key = p->token;
    next(p);
    if (!denied && !read_condition(p, &req))
        return false;
    req.n_values = p->n_values - before;
    p->reqs[p->n_reqs++] = req;
    return true;
}

static size_t commas(struct sv text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n += text.at[i] == ',';
    return n;
}

bool selector_parse(struct arena *arena, struct sv text, struct selector *ret_s, struct err *err)
{
    /* With c commas there are at most c + 1 requirements and, since a list of k values has k - 1
     * commas, c + 1 values. */
    size_t most = commas(text) + 1;
    struct parser p = {
        .text = arena_dup(arena, text),
        .reqs = arena_alloc(arena, most, sizeof *p.reqs),
        .values = arena_alloc(arena, most, sizeof *p.values),
        .err = err,
    };

    if (p.text.at == NULL || p.reqs == NULL || p.values == NULL)
        return err_set(err, ERR_LIMIT, 0, "the selector is too long");
    next(&p);
    while (p.kind != TOKEN_END) {
        if (!read_requirement(&p))
            return false;
        if (p.kind == TOKEN_END)
            break;
        if (p.kind != TOKEN_COMMA)
            return refuse(&p, "',' or the end");
        next(&p);
        if (p.kind == TOKEN_END)
            return refuse(&p, "a label key behind ','");
    }
    *ret_s = (struct selector){.reqs = p.reqs, .n = p.n_reqs};
    return true;
}
