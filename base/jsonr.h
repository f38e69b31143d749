/*
 * jsonr: reads one JSON text from front to back, piece by piece, without a tree and without
 * allocating.
 *
 * The caller asks for what it expects: jsonr_object(), then jsonr_key() until it gives false, and
 * for each key one value. Strings lose their escapes in place, so the text is written to, and what
 * is handed out points into it.
 *
 *     jsonr_init(&r, text, len);
 *     if (jsonr_object(&r)) {
 *         while (jsonr_key(&r, &key))
 *             ...one value...
 *     }
 *     if (!jsonr_end(&r, err)) ...
 *
 * The first mistake stays: from then on every call gives false, and jsonr_end() says what was
 * found, what was expected, and at which column. The grammar is RFC 8259's, strictly; \u0000 and
 * lone surrogates are refused (text that may be cut at a NUL is a trap). Bytes above 0x7f are
 * handed on as they are. Whatever the text, nothing outside it is touched. O(length), without
 * recursion: the nesting is the caller's.
 */
#ifndef BRIM_BASE_JSONR_H
#define BRIM_BASE_JSONR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/sv.h"

enum jsonr_kind {
    JSONR_OBJECT,
    JSONR_ARRAY,
    JSONR_STRING,
    JSONR_NUMBER,
    JSONR_TRUE,
    JSONR_FALSE,
    JSONR_NULL,
    JSONR_NONE, /* no value begins here */
    JSONR_KIND_COUNT_,
};
/* "an object", "a string", … */
const char *jsonr_kind_name(enum jsonr_kind kind);

struct jsonr {
    char *begin, *at, *end;
    bool some;      /* the level that is open has had an element */
    struct err err; /* of kind ERR_NONE while all is well */
};

void jsonr_init(struct jsonr *r, char *text, size_t len);

/* What comes next, by its first byte; nothing is read, no mistake is made. */
enum jsonr_kind jsonr_peek(struct jsonr *r);

bool jsonr_object(struct jsonr *r) MUST_CHECK;
/* The next member's key; its value must be read before the next call. False at the end, which is
 * read too. */
bool jsonr_key(struct jsonr *r, struct sv *ret_key) MUST_CHECK;

bool jsonr_array(struct jsonr *r) MUST_CHECK;
/* Is there another element? It must be read before the next call. False at the end, which is read
 * too. */
bool jsonr_element(struct jsonr *r) MUST_CHECK;

bool jsonr_string(struct jsonr *r, struct sv *ret_text) MUST_CHECK;
bool jsonr_bool(struct jsonr *r, bool *ret_value) MUST_CHECK;
bool jsonr_null(struct jsonr *r) MUST_CHECK;
/* The number as it is written. */
bool jsonr_number(struct jsonr *r, struct sv *ret_text) MUST_CHECK;

/* Refuses what stands next: "column 7: found '}', expected " and what. Returns false. */
bool jsonr_expected(struct jsonr *r, const char *what);
/* Refuses what was read, for a reason of the caller's: the text gets no column. Returns false. */
bool jsonr_refuse(struct jsonr *r, const char *fmt, ...) PRINTF(2, 3);

/* Was all well, and is nothing left but blanks? */
bool jsonr_end(struct jsonr *r, struct err *err) MUST_CHECK;

/*
 * A number's text as a whole number of 10^-digits, cut, not rounded: "12.5" with 6 digits is
 * 12500000. Exponents count. False if it does not fit into int64.
 */
bool jsonr_fixed(struct sv number, int digits, int64_t *ret_value) MUST_CHECK;

#endif
