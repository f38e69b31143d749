#include "base/jsonw.h"

#include <assert.h>

static void add_escaped(struct strbuf *out, uint32_t c)
{
    switch (c) {
    case '"':
        (void)strbuf_add(out, SV("\\\""));
        break;
    case '\\':
        (void)strbuf_add(out, SV("\\\\"));
        break;
    case '\n':
        (void)strbuf_add(out, SV("\\n"));
        break;
    case '\r':
        (void)strbuf_add(out, SV("\\r"));
        break;
    case '\t':
        (void)strbuf_add(out, SV("\\t"));
        break;
    default:
        if (c > 0xffff) { /* as a pair of surrogates (RFC 8259 7) */
            (void)strbuf_addf(out, "\\u%04x", 0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        (void)strbuf_addf(out, "\\u%04x", c);
        break;
    }
}

void jsonw_text(struct strbuf *out, struct sv text)
{
    size_t plain = 0; /* bytes at the front that go out as they are */

    (void)strbuf_add_char(out, '"');
    while (plain < text.len) {
        unsigned char c = (unsigned char)text.at[plain];
        bool special = c == '"' || c == '\\';
        size_t len;

        if (c >= ' ' && c < 0x7f && !special) {
            plain++;
            continue;
        }
        len = c < 0x80 ? 1 : sv_utf8(sv_skip(text, plain));
        if (!special && sv_hidden(sv_skip(text, plain)) == 0) {
            plain += len;
            continue;
        }
        (void)strbuf_add(out, (struct sv){.at = text.at, .len = plain});
        if (len == 0)
            (void)strbuf_add(out, SV("\xef\xbf\xbd"));
        else
            add_escaped(out, sv_code_point(sv_skip(text, plain)));
        text = sv_skip(text, plain + (len != 0 ? len : 1));
        plain = 0;
    }
    (void)strbuf_add(out, text);
    (void)strbuf_add_char(out, '"');
}

void jsonw_milli_text(struct strbuf *out, int64_t milli)
{
    uint64_t size = milli < 0 ? 0 - (uint64_t)milli : (uint64_t)milli;
    uint64_t part = size % 1000;

    (void)strbuf_addf(out, "%s%llu", milli < 0 ? "-" : "", (unsigned long long)(size / 1000));
    if (part == 0)
        return;
    if (part % 100 == 0)
        (void)strbuf_addf(out, ".%llu", (unsigned long long)(part / 100));
    else if (part % 10 == 0)
        (void)strbuf_addf(out, ".%02llu", (unsigned long long)(part / 10));
    else
        (void)strbuf_addf(out, ".%03llu", (unsigned long long)part);
}

void jsonw_init(struct jsonw *w, struct strbuf *out)
{
    *w = (struct jsonw){.out = out};
}

static void begin(struct jsonw *w, struct sv key)
{
    if (w->some[w->depth])
        (void)strbuf_add_char(w->out, ',');
    w->some[w->depth] = true;
    if (w->depth != 0 && !w->array[w->depth]) {
        assert(key.at != NULL);
        jsonw_text(w->out, key);
        (void)strbuf_add_char(w->out, ':');
    }
}

static void open_level(struct jsonw *w, const char *key, bool array)
{
    begin(w, sv_from(key));
    assert(w->depth < JSONW_MAX_DEPTH);
    w->depth++;
    w->some[w->depth] = false;
    w->array[w->depth] = array;
    (void)strbuf_add_char(w->out, array ? '[' : '{');
}

void jsonw_object(struct jsonw *w, const char *key)
{
    open_level(w, key, false);
}

void jsonw_array(struct jsonw *w, const char *key)
{
    open_level(w, key, true);
}

void jsonw_end(struct jsonw *w)
{
    assert(w->depth > 0);
    (void)strbuf_add_char(w->out, w->array[w->depth] ? ']' : '}');
    w->depth--;
}

void jsonw_str(struct jsonw *w, const char *key, struct sv value)
{
    begin(w, sv_from(key));
    jsonw_text(w->out, value);
}

void jsonw_sv_str(struct jsonw *w, struct sv key, struct sv value)
{
    begin(w, key);
    jsonw_text(w->out, value);
}

void jsonw_cstr(struct jsonw *w, const char *key, const char *value)
{
    if (value == NULL)
        jsonw_null(w, key);
    else
        jsonw_str(w, key, sv_from(value));
}

void jsonw_i64(struct jsonw *w, const char *key, int64_t value)
{
    begin(w, sv_from(key));
    (void)strbuf_addf(w->out, "%lld", (long long)value);
}

void jsonw_bool(struct jsonw *w, const char *key, bool value)
{
    begin(w, sv_from(key));
    (void)strbuf_add(w->out, value ? SV("true") : SV("false"));
}

void jsonw_null(struct jsonw *w, const char *key)
{
    begin(w, sv_from(key));
    (void)strbuf_add(w->out, SV("null"));
}

void jsonw_milli(struct jsonw *w, const char *key, int64_t value)
{
    begin(w, sv_from(key));
    jsonw_milli_text(w->out, value);
}

void jsonw_raw(struct jsonw *w, const char *key, struct sv json)
{
    begin(w, sv_from(key));
    (void)strbuf_add(w->out, json);
}
