#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

void strbuf_init(struct strbuf *b, size_t max)
{
    *b = (struct strbuf){.max = max};
}

void strbuf_done(struct strbuf *b)
{
    free(b->at);
    *b = (struct strbuf){.max = b->max};
}

void strbuf_clear(struct strbuf *b)
{
    b->len = 0;
    b->full = false;
    if (b->at != NULL)
        b->at[0] = '\0';
}

char *strbuf_room(struct strbuf *b, size_t n)
{
    if (b->full || n > b->max - b->len) {
        b->full = true;
        return NULL;
    }
    b->at = vec_reserve(b->at, &b->cap, b->len + n + 1, 1);
    return b->at + b->len;
}

void strbuf_wrote(struct strbuf *b, size_t n)
{
    b->len += n;
    b->at[b->len] = '\0';
}

bool strbuf_add(struct strbuf *b, struct sv text)
{
    char *room = strbuf_room(b, text.len);

    if (room == NULL)
        return false;
    if (text.len != 0)
        memcpy(room, text.at, text.len);
    strbuf_wrote(b, text.len);
    return true;
}

bool strbuf_add_char(struct strbuf *b, char c)
{
    return strbuf_add(b, (struct sv){.at = &c, .len = 1});
}

bool strbuf_addf(struct strbuf *b, const char *fmt, ...)
{
    va_list args;
    int need;
    char *room;

    va_start(args, fmt);
    need = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (need < 0) {
        b->full = true;
        return false;
    }
    room = strbuf_room(b, (size_t)need);
    if (room == NULL)
        return false;
    va_start(args, fmt);
    (void)vsnprintf(room, (size_t)need + 1, fmt, args);
    va_end(args);
    strbuf_wrote(b, (size_t)need);
    return true;
}

bool strbuf_add_shown(struct strbuf *b, struct sv text)
{
    while (text.len != 0) {
        size_t hidden = sv_hidden(text), len = hidden != 0 ? hidden : sv_utf8(text);

        (void)strbuf_add(b, hidden != 0 ? SV("?") : (struct sv){text.at, len});
        text = sv_skip(text, len);
    }
    return !b->full;
}

bool strbuf_add_shown_left(struct strbuf *b, struct sv text, int width)
{
    size_t from = b->len;

    (void)strbuf_add_shown(b, text);
    for (; from < b->len; from++)
        width -= ((unsigned char)b->at[from] & 0xc0) != 0x80; /* one that goes on a character */
    return width <= 0 ? !b->full : strbuf_addf(b, "%*s", width, "");
}

bool strbuf_add_csv(struct strbuf *b, struct sv text)
{
    bool formula = text.len != 0 && strchr("=+-@", text.at[0]) != NULL && text.at[0] != '\0';
    struct sv piece, quote = SV("");

    for (size_t i = 0; i < text.len && quote.len == 0; i++)
        quote = text.at[i] == ',' || text.at[i] == '"' ? SV("\"") : quote;
    (void)strbuf_add(b, quote);
    (void)strbuf_add(b, formula ? SV("'") : SV(""));
    while (sv_cut(text, '"', &piece, &text)) {
        (void)strbuf_add_shown(b, piece);
        (void)strbuf_add(b, SV("\"\""));
    }
    (void)strbuf_add_shown(b, text);
    (void)strbuf_add(b, quote);
    return !b->full;
}

bool strbuf_add_size(struct strbuf *b, int64_t bytes)
{
    if (bytes < 1 << 10)
        return strbuf_addf(b, "%lld B", (long long)bytes);
    if (bytes < 1 << 20)
        return strbuf_addf(b, "%.1f KiB", (double)bytes / (1 << 10));
    return strbuf_addf(b, "%.1f MiB", (double)bytes / (1 << 20));
}

void strbuf_drop(struct strbuf *b, size_t n)
{
    if (n == 0)
        return;
    memmove(b->at, b->at + n, b->len - n);
    b->len -= n;
    b->at[b->len] = '\0';
}
