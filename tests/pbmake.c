#include "tests/pbmake.h"

#include <string.h>

#include "base/alloc.h"

static void varint(struct strbuf *out, uint64_t value)
{
    char text[10];
    size_t n = 0;

    while (value >= 0x80) {
        text[n++] = (char)(value | 0x80);
        value >>= 7;
    }
    text[n++] = (char)value;
    (void)strbuf_add(out, (struct sv){.at = text, .len = n});
}

static size_t varint_size(uint64_t value)
{
    size_t size = 1;

    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

/* Of a field with a number below 16. */
static size_t field_size(size_t len)
{
    return 1 + varint_size(len) + len;
}

void pbmake_var(struct strbuf *out, unsigned number, uint64_t value)
{
    varint(out, (uint64_t)number << 3);
    varint(out, value);
}

void pbmake_bytes(struct strbuf *out, unsigned number, struct sv bytes)
{
    varint(out, (uint64_t)number << 3 | 2);
    varint(out, bytes.len);
    (void)strbuf_add(out, bytes);
}

void pbmake_str(struct strbuf *out, unsigned number, const char *text)
{
    pbmake_bytes(out, number, sv_from(text));
}

void pbmake_message(struct strbuf *out, unsigned number, struct strbuf *message)
{
    pbmake_bytes(out, number, strbuf_sv(message));
    strbuf_clear(message);
}

void pbmake_entry(struct strbuf *out, unsigned number, const char *key, const char *value)
{
    varint(out, (uint64_t)number << 3 | 2);
    varint(out, field_size(strlen(key)) + field_size(strlen(value)));
    pbmake_str(out, 1, key);
    pbmake_str(out, 2, value);
}

void pbmake_quantity(struct strbuf *out, unsigned number, const char *key, const char *value)
{
    CLEANUP(strbuf_done) struct strbuf entry, quantity;

    strbuf_init(&entry, SIZE_MAX);
    strbuf_init(&quantity, SIZE_MAX);
    pbmake_str(&quantity, 1, value);
    pbmake_str(&entry, 1, key);
    pbmake_message(&entry, 2, &quantity);
    pbmake_message(out, number, &entry);
}

void pbmake_envelope(struct strbuf *out, const char *kind, struct sv object)
{
    CLEANUP(strbuf_done) struct strbuf type;

    strbuf_init(&type, SIZE_MAX);
    pbmake_str(&type, 1, "v1");
    pbmake_str(&type, 2, kind);
    (void)strbuf_add(out, SV("k8s\0"));
    pbmake_message(out, 1, &type);
    pbmake_bytes(out, 2, object);
    pbmake_str(out, 3, "");
    pbmake_str(out, 4, "");
}

void pbmake_watch_frame(struct strbuf *out, const char *type, const char *kind, struct sv object)
{
    CLEANUP(strbuf_done) struct strbuf event, body, raw;

    strbuf_init(&event, SIZE_MAX);
    strbuf_init(&body, SIZE_MAX);
    strbuf_init(&raw, SIZE_MAX);
    pbmake_envelope(&body, kind, object);
    pbmake_message(&raw, 1, &body);
    pbmake_str(&event, 1, type);
    pbmake_message(&event, 2, &raw);
    for (int shift = 24; shift >= 0; shift -= 8)
        (void)strbuf_add_char(out, (char)(event.len >> shift));
    (void)strbuf_add(out, strbuf_sv(&event));
}
