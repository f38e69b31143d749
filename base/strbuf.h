/*
 * strbuf: text that is built. Owns its bytes, is always NUL-terminated, and never grows beyond
 * `max` bytes.
 *
 * Reaching the limit is an ordinary error: appending then returns false, `full` stays set and the
 * text holds what fitted whole before. A caller may append many times and look at `full` once at
 * the end.
 */
#ifndef BRIM_BASE_STRBUF_H
#define BRIM_BASE_STRBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/sv.h"

struct strbuf {
    char *at; /* NULL until the first byte */
    size_t len;
    size_t cap;
    size_t max;
    bool full;
};

void strbuf_init(struct strbuf *b, size_t max);
/* Frees the bytes; the struct may be initialised again. Safe on a zeroed struct. */
void strbuf_done(struct strbuf *b);
/* Empties for reuse, keeps the bytes. */
void strbuf_clear(struct strbuf *b);

bool strbuf_add(struct strbuf *b, struct sv text);
bool strbuf_add_char(struct strbuf *b, char c);
bool strbuf_addf(struct strbuf *b, const char *fmt, ...) PRINTF(2, 3);
/* What a file or a server says, for a person: what would steer the terminal or the eye (sv_hidden()) becomes '?'. */
bool strbuf_add_shown(struct strbuf *b, struct sv text);
/* Likewise at the left end of a column of so many characters, blanks behind it. */
bool strbuf_add_shown_left(struct strbuf *b, struct sv text, int width);
/*
 * Likewise as a cell of CSV, quoted where it has to be. What a spreadsheet would take for a formula gets a quotation mark in front.
 */
bool strbuf_add_csv(struct strbuf *b, struct sv text);
/* An amount of bytes for people: "812 B", "4.1 KiB", "13.0 MiB". */
bool strbuf_add_size(struct strbuf *b, int64_t bytes);

/* Drops the first n bytes (n <= len). O(len). */
void strbuf_drop(struct strbuf *b, size_t n);

/* Gives room for n more bytes at the end and returns where they begin, or NULL (and full) beyond
 * the limit. */
char *strbuf_room(struct strbuf *b, size_t n);
/* Says that n bytes of the room were written. */
void strbuf_wrote(struct strbuf *b, size_t n);

static inline struct sv strbuf_sv(const struct strbuf *b)
{
    return (struct sv){.at = b->at, .len = b->len};
}

/* The text as a C string; "" while nothing was added. */
static inline const char *strbuf_str(const struct strbuf *b)
{
    return b->at != NULL ? b->at : "";
}

#endif
