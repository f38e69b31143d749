/*
 * base64: RFC 4648 text <-> bytes, with the standard alphabet and padding.
 *
 * Decoding is strict: a foreign character, missing or misplaced padding and bits that no encoder would set are refused.
 * Line breaks (CR, LF) are skipped anywhere, since people fold certificates in YAML; other blanks are not.
 */
#ifndef BRIM_BASE_BASE64_H
#define BRIM_BASE_BASE64_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/strbuf.h"
#include "base/sv.h"

/* Appends the bytes to `out`: false, and `out` as it was, if the text is not base64 or does not fit. */
bool base64_decode(struct sv text, struct strbuf *out) MUST_CHECK;

/* Appends the text to `out`: false if it does not fit. */
bool base64_encode(struct sv bytes, struct strbuf *out);

#endif
