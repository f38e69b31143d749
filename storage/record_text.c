#include "storage/record_text.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/jsonr.h"
#include "base/jsonw.h"

enum { PIECE = 64 << 10, SHOWN = 40 };

/* ---- numbers ---- */

void record_add_number(struct strbuf *to, int64_t value, int digits)
{
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value, scale = 1;

    for (int i = 0; i < digits; i++)
        scale *= 10;
    (void)strbuf_addf(to, "%s%llu", value < 0 ? "-" : "", (unsigned long long)(rest / scale));
    rest %= scale;
    if (rest != 0)
        (void)strbuf_add_char(to, '.');
    for (; rest != 0; rest %= scale) {
        scale /= 10;
        (void)strbuf_add_char(to, (char)('0' + rest / scale));
    }
}

/* Digits, at least one, onto a number. */
static bool take_digits(struct sv *text, uint64_t *value, size_t *ret_n)
{
    size_t n = 0;

    while (text->len != 0 && text->at[0] >= '0' && text->at[0] <= '9') {
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, (uint64_t)(text->at[0] - '0'), value))
            return false;
        *text = sv_skip(*text, 1);
        n++;
    }
    *ret_n = n;
    return n != 0;
}

bool record_parse_number(struct sv text, int digits, int64_t *ret_value)
{
    bool negative = sv_starts(text, SV("-"));
    size_t n, places = 0;
    uint64_t value = 0;

    text = sv_skip(text, negative);
    if (!take_digits(&text, &value, &n))
        return false;
    if (text.len != 0 && text.at[0] == '.') {
        text = sv_skip(text, 1);
        if (!take_digits(&text, &value, &places))
            return false;
    }
    if (text.len != 0 || places > (size_t)digits)
        return false;
    for (; places < (size_t)digits; places++) {
        if (__builtin_mul_overflow(value, 10, &value))
            return false;
    }
    if (value > INT64_MAX)
        return false;
    *ret_value = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

/* ---- out ---- */

void record_writer_init(struct record_writer *w, const struct record_tables *tables,
                        enum record_format format, FILE *to)
{
    *w = (struct record_writer){
        .tables = tables, .format = format, .to = to, .kind = RECORD_KIND_COUNT_};
    strbuf_init(&w->line, (size_t)2 * RECORD_MAX_LINE);
}

void record_writer_done(struct record_writer *w)
{
    strbuf_done(&w->line);
}

static void add_cell(struct strbuf *to, struct sv text)
{
    bool quoted = false;

    for (size_t i = 0; i < text.len; i++)
        quoted |=
            text.at[i] == ',' || text.at[i] == '"' || text.at[i] == '\n' || text.at[i] == '\r';
    if (!quoted) {
        (void)strbuf_add(to, text);
        return;
    }
    (void)strbuf_add_char(to, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '"')
            (void)strbuf_add_char(to, '"');
        (void)strbuf_add_char(to, text.at[i]);
    }
    (void)strbuf_add_char(to, '"');
}

static void add_time(struct strbuf *to, int64_t t_ms)
{
    int64_t bounded = t_ms < -RECORD_LAST_MS  ? -RECORD_LAST_MS
                      : t_ms > RECORD_LAST_MS ? RECORD_LAST_MS
                                              : t_ms;
    char text[WALL_TEXT_SIZE];

    wall_format((struct wall){bounded * US_PER_MS}, 3, text);
    (void)strbuf_add(to, sv_from(text));
}

/* A value as both formats have it, without quotes. */
static void add_value(struct strbuf *to, const struct record_column *c, const struct record *r)
{
    switch (c->type) {
    case RECORD_TIME:
        add_time(to, r->number[c->place]);
        return;
    case RECORD_NUMBER:
        record_add_number(to, r->number[c->place], c->digits);
        return;
    case RECORD_TEXT:
        (void)strbuf_add(to, r->text[c->place]);
        return;
    case RECORD_BYTES:
        (void)base64_encode(r->text[c->place], to);
        return;
    }
}

static bool is_known(const struct record_column *c, const struct record *r)
{
    return c->type == RECORD_TEXT || c->type == RECORD_BYTES ||
           r->number[c->place] != RECORD_UNKNOWN;
}

static void add_csv_head(struct strbuf *to, const struct record_table *t)
{
    (void)strbuf_add(to, SV("kind"));
    for (size_t i = 0; i < t->n; i++)
        (void)strbuf_addf(to, ",%s", t->at[i].name);
    (void)strbuf_add_char(to, '\n');
}

static void add_csv(struct strbuf *to, const struct record_table *t, const struct record *r)
{
    (void)strbuf_add(to, sv_from(record_kind_name(r->kind)));
    for (size_t i = 0; i < t->n; i++) {
        (void)strbuf_add_char(to, ',');
        if (t->at[i].type == RECORD_TEXT)
            add_cell(to, r->text[t->at[i].place]);
        else if (is_known(&t->at[i], r))
            add_value(to, &t->at[i], r);
    }
    (void)strbuf_add_char(to, '\n');
}

static void add_json(struct strbuf *to, const struct record_table *t, const struct record *r)
{
    (void)strbuf_addf(to, "{\"kind\":\"%s\"", record_kind_name(r->kind));
    for (size_t i = 0; i < t->n; i++) {
        const struct record_column *c = &t->at[i];
        bool quoted = c->type == RECORD_TIME || c->type == RECORD_BYTES;

        if (!is_known(c, r))
            continue;
        (void)strbuf_addf(to, ",\"%s\":%s", c->name, quoted ? "\"" : "");
        if (c->type == RECORD_TEXT)
            jsonw_text(to, r->text[c->place]);
        else
            add_value(to, c, r);
        if (quoted)
            (void)strbuf_add_char(to, '"');
    }
    (void)strbuf_add(to, SV("}\n"));
}

bool record_write(struct record_writer *w, const struct record *r)
{
    const struct record_table *t = &w->tables->of[r->kind];

    strbuf_clear(&w->line);
    if (w->format == RECORD_JSONL) {
        if (w->kind == RECORD_KIND_COUNT_)
            (void)strbuf_addf(&w->line, "{\"kind\":\"history\",\"version\":%d}\n",
                              RECORD_TEXT_VERSION);
        add_json(&w->line, t, r);
    } else {
        if (w->kind != r->kind)
            add_csv_head(&w->line, t);
        add_csv(&w->line, t, r);
    }
    w->kind = r->kind;
    if (w->line.full) {
        errno = EFBIG;
        return false;
    }
    return fwrite(w->line.at, 1, w->line.len, w->to) == w->line.len;
}

/* ---- lines ---- */

void record_lines_init(struct record_lines *l, FILE *from, const char *name)
{
    *l = (struct record_lines){.from = from, .name = name, .piece = xmalloc(PIECE)};
    strbuf_init(&l->line, RECORD_MAX_LINE);
}

void record_lines_done(struct record_lines *l)
{
    strbuf_done(&l->line);
    free(l->piece);
    *l = (struct record_lines){0};
}

bool record_lines_wrong(const struct record_lines *l, struct err *err)
{
    return err_wrap(err, "%s:%lld", l->name, (long long)l->number);
}

/* Some editors put it in front of UTF-8. */
#define BYTE_ORDER_MARK SV("\xef\xbb\xbf")

static bool fill(struct record_lines *l)
{
    if (l->at == l->len) {
        l->at = 0;
        l->len = fread(l->piece, 1, PIECE, l->from);
    }
    if (!l->begun && sv_starts((struct sv){.at = l->piece, .len = l->len}, BYTE_ORDER_MARK))
        l->at = BYTE_ORDER_MARK.len;
    l->begun = true;
    return l->at < l->len;
}

/* After fill(): did the stream give all that it has? */
static bool is_read(const struct record_lines *l, struct err *err)
{
    return ferror(l->from) == 0 ||
           err_set(err, ERR_SYSTEM, errno, "%s: %s", l->name, strerror(errno));
}

bool record_lines_peek(struct record_lines *l, int *ret_byte, struct err *err)
{
    bool some = fill(l);

    if (!some && !is_read(l, err))
        return false;
    *ret_byte = some ? (unsigned char)l->piece[l->at] : EOF;
    return true;
}

/* Adds what is left up to the line's end; *ret_any: there was a byte. */
static bool add_line(struct record_lines *l, bool *ret_any, struct err *err)
{
    const char *end = NULL;

    *ret_any = false;
    while (end == NULL && fill(l)) {
        struct sv rest = {.at = l->piece + l->at, .len = l->len - l->at};

        end = memchr(rest.at, '\n', rest.len);
        rest.len = end != NULL ? (size_t)(end - rest.at) : rest.len;
        l->at += rest.len + (end != NULL);
        *ret_any = true;
        if (!strbuf_add(&l->line, rest)) {
            (void)err_set(err, ERR_INPUT, 0,
                          "found a line of more than %d bytes, expected a shorter one",
                          RECORD_MAX_LINE);
            return record_lines_wrong(l, err);
        }
    }
    l->read += *ret_any;
    return end != NULL || is_read(l, err);
}

bool record_lines_next(struct record_lines *l, bool *ret_some, struct err *err)
{
    bool ok;

    strbuf_clear(&l->line);
    l->number = l->read + 1;
    ok = add_line(l, ret_some, err);
    if (ok && !*ret_some)
        l->number = l->read;
    return ok;
}

/* ---- in ---- */

void record_reader_init(struct record_reader *r, const struct record_tables *tables,
                        enum record_format format, struct record_lines *lines)
{
    *r = (struct record_reader){
        .tables = tables, .format = format, .lines = lines, .kind = RECORD_KIND_COUNT_};
    strbuf_init(&r->bytes, DB_MAX_VALUE);
    strbuf_init(&r->head, RECORD_MAX_LINE);
}

void record_reader_done(struct record_reader *r)
{
    strbuf_done(&r->bytes);
    strbuf_done(&r->head);
}

/* What was found, cut and without what a terminal would take for an order. */
static const char *shown(struct sv text, char to[SHOWN + 4])
{
    size_t n = text.len < SHOWN ? text.len : SHOWN;

    for (size_t i = 0; i < n; i++)
        to[i] = (char)(text.at[i] < ' ' || text.at[i] == 0x7f ? '?' : text.at[i]);
    memcpy(to + n, n < text.len ? "…" : "", n < text.len ? 4 : 1);
    return n == 0 ? "nothing" : to;
}

static bool unlike(const char *name, struct sv found, const char *expected, struct err *err)
{
    char text[SHOWN + 4];

    return err_set(err, ERR_INPUT, 0, "%s: found %s, expected %s", name, shown(found, text),
                   expected);
}

static bool take_time(const struct record_column *c, struct sv text, struct record *to,
                      struct err *err)
{
    struct wall t;

    if (!wall_parse(text, &t) || t.us < 0 || t.us / US_PER_MS > RECORD_LAST_MS)
        return unlike(c->name, text, "a time like 2026-10-01T08:00:00.000Z", err);
    to->number[c->place] = t.us / US_PER_MS;
    return true;
}

static bool take_value(struct record_reader *r, const struct record_column *c, struct sv text,
                       struct record *to, struct err *err)
{
    char expected[64];

    switch (c->type) {
    case RECORD_TIME:
        return take_time(c, text, to, err);
    case RECORD_NUMBER:
        if (record_parse_number(text, c->digits, &to->number[c->place]))
            return true;
        (void)snprintf(expected, sizeof expected, "a %snumber%s", c->digits == 0 ? "whole " : "",
                       c->digits == 0   ? ""
                       : c->digits == 3 ? " with at most 3 decimals"
                                        : " with at most 6 decimals");
        return unlike(c->name, text, expected, err);
    case RECORD_TEXT:
        to->text[c->place] = text;
        return true;
    case RECORD_BYTES:
        strbuf_clear(&r->bytes);
        if (!base64_decode(text, &r->bytes))
            return unlike(c->name, text, "base64 of at most 1 MiB", err);
        to->text[c->place] = strbuf_sv(&r->bytes);
        return true;
    }
    return false;
}

/* Columns come in their order as a rule: looked for from where the last one was. */
static const struct record_column *find_column(const struct record_table *t, struct sv name,
                                               size_t *from)
{
    for (size_t i = 0; i < t->n; i++) {
        size_t at = (*from + i) % t->n;

        if (sv_eq(name, sv_from(t->at[at].name))) {
            *from = at + 1;
            return &t->at[at];
        }
    }
    return NULL;
}

static bool take_kind(struct sv text, enum record_kind *ret_kind, struct err *err)
{
    *ret_kind = record_kind_named(text);
    return *ret_kind != RECORD_KIND_COUNT_ ||
           unlike("kind", text,
                  "day, hour, minute, sample, decision, gap, journal, activity, event or blocked",
                  err);
}

static bool unknown_column(struct sv name, enum record_kind kind, struct err *err)
{
    char expected[64];

    (void)snprintf(expected, sizeof expected, "a column of a %s", record_kind_name(kind));
    return unlike("name", name, expected, err);
}

/* Is all there that a row cannot do without? */
static bool is_whole(const struct record_reader *r, const struct record *to, uint8_t *seen,
                     struct err *err)
{
    const struct record_table *t = &r->tables->of[to->kind];

    for (size_t i = 0; i < t->n; i++) {
        if (t->at[i].needed && seen[i] == 0)
            return err_set(err, ERR_INPUT, 0, "found a %s without %s", record_kind_name(to->kind),
                           t->at[i].name);
    }
    return true;
}

/* One value of a row; twice the same column is a mistake. */
static bool take_cell(struct record_reader *r, const struct record_column *c, struct sv text,
                      struct record *to, uint8_t *seen, struct err *err)
{
    size_t at = (size_t)(c - r->tables->of[to->kind].at);

    if (seen[at]++ != 0)
        return err_set(err, ERR_INPUT, 0, "found %s twice, expected it once", c->name);
    return take_value(r, c, text, to, err);
}

/* The next cell, its quotes removed in place; *ret_last: the line ends with it. */
static bool next_cell(struct strbuf *line, size_t *at, struct sv *ret_cell, bool *ret_last,
                      struct err *err)
{
    char *in = line->at + *at, *end = line->at + line->len, *out = in, *begin = in;
    bool quoted = in < end && *in == '"';

    if (!quoted) {
        while (in < end && *in != ',')
            in++;
        out = in;
    }
    if (quoted) {
        for (in++; in < end && (*in != '"' || (in + 1 < end && in[1] == '"')); in++) {
            in += *in == '"';
            *out++ = *in;
        }
        if (in == end || (in + 1 < end && in[1] != ','))
            return err_set(
                err, ERR_INPUT, 0,
                "found a quote that does not end before a comma, expected one that does");
        in++;
    }
    *ret_cell = (struct sv){.at = begin, .len = (size_t)(out - begin)};
    *ret_last = in == end;
    *at = (size_t)(in - line->at) + 1;
    return true;
}

/* A head names columns, but not of which kind: the first row after it does. What is wrong with it stands in its own line. */
static bool read_head(struct record_reader *r, enum record_kind kind, struct err *err)
{
    const struct record_table *t = &r->tables->of[kind];
    size_t at = sizeof "kind", from = 0;
    int64_t number = r->lines->number;
    bool last = r->head.len < at;
    struct sv cell;

    r->lines->number = r->head_number;
    for (r->n = 0; !last; r->n++) {
        if (!next_cell(&r->head, &at, &cell, &last, err))
            return false;
        if (r->n == RECORD_MAX_COLUMNS)
            return err_set(err, ERR_INPUT, 0, "found more than %d columns, expected fewer",
                           RECORD_MAX_COLUMNS);
        r->columns[r->n] = find_column(t, cell, &from);
        if (r->columns[r->n] == NULL)
            return unknown_column(cell, kind, err);
    }
    r->kind = kind;
    r->lines->number = number;
    return true;
}

static bool want_head(struct record_reader *r, enum record_kind kind, struct err *err)
{
    if (r->kind == kind)
        return true;
    if (r->kind == RECORD_KIND_COUNT_ && r->head_number != 0)
        return read_head(r, kind, err);
    return err_set(err, ERR_INPUT, 0,
                   "found a %s, expected before it a line that names its columns: kind,time,…",
                   record_kind_name(kind));
}

static bool read_csv_row(struct record_reader *r, struct record *to, struct err *err)
{
    struct strbuf *line = &r->lines->line;
    uint8_t seen[RECORD_MAX_COLUMNS] = {0};
    enum record_kind kind;
    size_t at = 0, n = 0;
    struct sv cell;
    bool last;

    if (!next_cell(line, &at, &cell, &last, err) || !take_kind(cell, &kind, err) ||
        !want_head(r, kind, err))
        return false;
    record_clear(to, kind);
    for (; !last; n++) {
        if (!next_cell(line, &at, &cell, &last, err))
            return false;
        if (n < r->n &&
            (cell.len != 0 || r->columns[n]->type == RECORD_TEXT ||
             r->columns[n]->type == RECORD_BYTES) &&
            !take_cell(r, r->columns[n], cell, to, seen, err))
            return false;
    }
    if (n != r->n)
        return err_set(err, ERR_INPUT, 0, "found %zu cells, expected %zu", n + 1, r->n + 1);
    return is_whole(r, to, seen, err);
}

static bool is_head(struct sv line)
{
    return sv_eq(line, SV("kind")) || sv_starts(line, SV("kind,"));
}

static void keep_head(struct record_reader *r)
{
    strbuf_clear(&r->head);
    (void)strbuf_add(&r->head, strbuf_sv(&r->lines->line));
    r->head_number = r->lines->number;
    r->kind = RECORD_KIND_COUNT_;
}

/* A quoted cell may hold the end of a line. */
static bool next_csv_line(struct record_reader *r, bool *ret_some, struct err *err)
{
    struct record_lines *l = r->lines;
    size_t quotes = 0, looked = 0;
    bool more = true;

    if (!record_lines_next(l, ret_some, err))
        return false;
    for (;;) {
        for (; looked < l->line.len; looked++)
            quotes += l->line.at[looked] == '"';
        if (quotes % 2 == 0 || !more)
            return true;
        (void)strbuf_add_char(&l->line, '\n');
        if (!add_line(l, &more, err))
            return false;
    }
}

static void cut_return(struct strbuf *line)
{
    if (line->len != 0 && line->at[line->len - 1] == '\r')
        line->at[--line->len] = '\0';
}

static bool read_csv(struct record_reader *r, struct record *to, bool *ret_some, struct err *err)
{
    for (;;) {
        if (!next_csv_line(r, ret_some, err))
            return false;
        if (!*ret_some)
            return true;
        cut_return(&r->lines->line);
        if (is_head(strbuf_sv(&r->lines->line)))
            keep_head(r);
        else if (r->lines->line.len != 0)
            return read_csv_row(r, to, err) || record_lines_wrong(r->lines, err);
    }
}

static bool read_json_value(struct record_reader *r, struct jsonr *json,
                            const struct record_column *c, struct record *to, uint8_t *seen,
                            struct err *err)
{
    struct sv text;
    bool ok = c->type == RECORD_NUMBER ? jsonr_number(json, &text) : jsonr_string(json, &text);

    return !ok || take_cell(r, c, text, to, seen, err);
}

/* The values of an object whose kind was read. False with an error, or with the mistake in `json`. */
static bool read_json_row(struct record_reader *r, struct jsonr *json, struct record *to,
                          struct err *err)
{
    const struct record_table *t = &r->tables->of[to->kind];
    uint8_t seen[RECORD_MAX_COLUMNS] = {0};
    size_t from = 0;
    struct sv key;

    record_clear(to, to->kind);
    while (jsonr_key(json, &key)) {
        const struct record_column *c = find_column(t, key, &from);

        if (c == NULL)
            return unknown_column(key, to->kind, err);
        if (!read_json_value(r, json, c, to, seen, err))
            return false;
    }
    return jsonr_end(json, err) && is_whole(r, to, seen, err);
}

static bool read_version(struct jsonr *json, struct err *err)
{
    struct sv key, number = {0};
    int64_t version = 0;

    while (jsonr_key(json, &key)) {
        if (!sv_eq(key, SV("version")))
            return unlike("name", key, "version", err);
        if (jsonr_number(json, &number) && !sv_to_i64(number, &version))
            version = 0;
    }
    if (!jsonr_end(json, err))
        return false;
    return version == RECORD_TEXT_VERSION || unlike("version", number, "1", err);
}

/* *ret_row: it is a row, not the line that tells the version. */
static bool read_json_line(struct record_reader *r, struct record *to, bool *ret_row,
                           struct err *err)
{
    struct strbuf *line = &r->lines->line;
    struct sv key = {0}, kind = {0};
    struct jsonr json;

    jsonr_init(&json, line->at, line->len);
    if (!jsonr_object(&json))
        return jsonr_end(&json, err);
    if (!jsonr_key(&json, &key) || !sv_eq(key, SV("kind")) || !jsonr_string(&json, &kind))
        return (json.err.kind != ERR_NONE && jsonr_end(&json, err)) ||
               (json.err.kind == ERR_NONE && unlike("name", key, "kind, the first of all", err));
    *ret_row = !sv_eq(kind, SV("history"));
    if (!*ret_row)
        return read_version(&json, err);
    return take_kind(kind, &to->kind, err) && read_json_row(r, &json, to, err);
}

static bool read_json(struct record_reader *r, struct record *to, bool *ret_some, struct err *err)
{
    for (bool row = false; !row;) {
        if (!record_lines_next(r->lines, ret_some, err))
            return false;
        if (!*ret_some)
            return true;
        cut_return(&r->lines->line);
        if (r->lines->line.len != 0 && !read_json_line(r, to, &row, err))
            return record_lines_wrong(r->lines, err);
    }
    return true;
}

bool record_read(struct record_reader *r, struct record *ret_record, bool *ret_some,
                 struct err *err)
{
    return r->format == RECORD_CSV ? read_csv(r, ret_record, ret_some, err)
                                   : read_json(r, ret_record, ret_some, err);
}
