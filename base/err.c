#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {
    [ERR_NONE] = "none",           [ERR_INPUT] = "input",         [ERR_NOT_FOUND] = "not-found",
    [ERR_CONFLICT] = "conflict",   [ERR_GONE] = "gone",           [ERR_AUTH] = "auth",
    [ERR_FORBIDDEN] = "forbidden", [ERR_THROTTLED] = "throttled", [ERR_NETWORK] = "network",
    [ERR_SERVER] = "server",       [ERR_PROTOCOL] = "protocol",   [ERR_LIMIT] = "limit",
    [ERR_STORAGE] = "storage",     [ERR_SYSTEM] = "system",
};
_Static_assert(COUNT_OF(kind_names) == ERR_KIND_COUNT_, "an error kind has no name");

const char *err_kind_name(enum err_kind kind)
{
    return kind_names[kind];
}

/* Of a text that did not fit: its last character ends whole, and "…" says that more was there. */
static void mark_cut(struct err *err)
{
    size_t end = sizeof err->text - sizeof "…";

    /* Bytes that go on a character of UTF-8; a character has at most three. */
    for (int i = 0; i < 3 && ((unsigned char)err->text[end] & 0xc0) == 0x80; i++)
        end--;
    memcpy(err->text + end, "…", sizeof "…");
}

bool err_set(struct err *err, enum err_kind kind, int code, const char *fmt, ...)
{
    va_list args;

    if (err == NULL)
        return false;
    err->kind = kind;
    err->code = code;
    va_start(args, fmt);
    if (vsnprintf(err->text, sizeof err->text, fmt, args) >= (int)sizeof err->text)
        mark_cut(err);
    va_end(args);
    return false;
}

bool err_wrap(struct err *err, const char *fmt, ...)
{
    va_list args;
    char inner[sizeof err->text];
    size_t len;

    if (err == NULL)
        return false;
    memcpy(inner, err->text, sizeof inner);
    va_start(args, fmt);
    (void)vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    len = strlen(err->text);
    if (snprintf(err->text + len, sizeof err->text - len, ": %s", inner) >=
        (int)(sizeof err->text - len))
        mark_cut(err);
    return false;
}
