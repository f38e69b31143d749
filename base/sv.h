/*
 * sv: text that is read, a pointer and a length. It owns nothing and need not end in NUL.
 *
 * An empty view has len 0; `at` may then be NULL. Views compare byte by byte, and no locale counts;
 * only a name that ends in _ascii_case takes letters of ASCII for the same in both cases.
 */
#ifndef BRIM_BASE_SV_H
#define BRIM_BASE_SV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"

struct sv {
    const char *at;
    size_t len;
};

/* A view of a string literal. */
#define SV(literal) ((struct sv){.at = (literal), .len = sizeof(literal) - 1})

/* For printf: "%.*s", SV_ARG(text). Texts from outside are cut at 2^31 - 1. */
#define SV_ARG(text) (int)(text).len, (text).at

static inline struct sv sv_from(const char *text)
{
    return (struct sv){.at = text, .len = text != NULL ? strlen(text) : 0};
}

static inline bool sv_eq(struct sv a, struct sv b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool sv_starts(struct sv text, struct sv prefix)
{
    return text.len >= prefix.len &&
           (prefix.len == 0 || memcmp(text.at, prefix.at, prefix.len) == 0);
}

/* For what protocols write in either case: schemes, media types. */
bool sv_starts_ascii_case(struct sv text, struct sv prefix);

static inline bool sv_ends(struct sv text, struct sv suffix)
{
    return text.len >= suffix.len &&
           (suffix.len == 0 || memcmp(text.at + text.len - suffix.len, suffix.at, suffix.len) == 0);
}

/* The text without its first n bytes; n beyond the end gives an empty view. */
static inline struct sv sv_skip(struct sv text, size_t n)
{
    if (n > text.len)
        n = text.len;
    return (struct sv){.at = text.len != 0 ? text.at + n : text.at, .len = text.len - n};
}

/* Orders byte by byte, a prefix first: <0, 0, >0. */
int sv_cmp(struct sv a, struct sv b);

/* Splits at the first `mark`: false (and ret_ untouched) where there is none. The mark itself
 * belongs to neither. */
bool sv_cut(struct sv text, char mark, struct sv *ret_head, struct sv *ret_tail);

/* Takes the next piece up to `mark` off the front of *rest: false when rest is empty. "a,,b" gives
 * "a", "", "b". */
bool sv_next(struct sv *rest, char mark, struct sv *ret_piece);

/* Length of the character of UTF-8 at the front of a text that is not empty, 0 if it is none (RFC 3629: no overlong forms, no
 * surrogates). */
size_t sv_utf8(struct sv text);
bool sv_is_utf8(struct sv text);
/*
 * Bytes at the front of a text that is not empty which a person must not be shown as they are, 0 if there are none: a character that
 * steers a terminal (C0, DEL, C1), turns the direction of what stands around it (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to
 * U+2069), or cannot be seen (U+00AD, U+200B to U+200D, U+2060 to U+206F, U+FEFF, tags and the like), or a byte that is no UTF-8.
 */
size_t sv_hidden(struct sv text);
/* The code point of the character of UTF-8 at the front, of sv_utf8() bytes. */
uint32_t sv_code_point(struct sv text);

/* Without blanks, tabs, CR and LF at both ends. */
struct sv sv_trim(struct sv text);

/* Whole decimal numbers: an optional sign (i64), digits, nothing else; no blanks. False on
 * overflow. */
bool sv_to_i64(struct sv text, int64_t *ret_value) MUST_CHECK;
bool sv_to_u64(struct sv text, uint64_t *ret_value) MUST_CHECK;

/* A NUL-terminated copy on the heap; a NUL inside ends it for C readers. */
char *sv_dup(struct sv text);

/* A 64-bit hash with good low bits (wyhash-like mixing); not for secrets. O(len). */
uint64_t sv_hash(struct sv text);

#endif
