/*
 * quantity: the API's resource.Quantity, "1500m", "2Gi", "1e3", read exactly as the Go library
 * reads it.
 *
 * An amount is held exactly, in units of 10^-9 (nano), as a 128-bit integer: 2^63 * 10^9 < 2^127.
 * Whatever is finer is rounded away from zero to 1n when it is parsed, as the library does. Sums
 * and comparisons are exact; round once, at the end, with quantity_milli() or quantity_value().
 * Amounts beyond +-(2^127 - 1) nano saturate and stay saturated.
 *
 * Source: k8s.io/apimachinery/pkg/api/resource 0.35 (grammar, suffixes, rounding, canonical form).
 * Two oddities of the library are left out: negative amounts are rounded away from zero whatever
 * their size, and an amount of 1000E or more keeps its suffix in the canonical text.
 */
#ifndef BRIM_CAPACITY_QUANTITY_H
#define BRIM_CAPACITY_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "base/sv.h"

enum quantity_format {
    QUANTITY_DECIMAL_SI,
    QUANTITY_BINARY_SI,
    QUANTITY_DECIMAL_EXPONENT,
    QUANTITY_FORMAT_COUNT_
};

struct quantity {
    __int128 nano;
    enum quantity_format format; /* how it was written, for quantity_text() alone */
};

/* Longest canonical text, its NUL included. */
#define QUANTITY_TEXT_SIZE 64

/*
 * Parses the text as it stands: blanks are an error (JSON decoders trim before), so is an empty
 * text. Errors are ERR_INPUT, and the text begins with "format: ", "suffix: " or "numeric: " as the
 * library tells them apart. O(length), without allocating.
 */
bool quantity_parse(struct sv text, struct quantity *ret_q, struct err *err) MUST_CHECK;

/* MilliValue() and Value(): rounded away from zero. False, and the saturated number, if it does not
 * fit int64. */
bool quantity_milli(const struct quantity *q, int64_t *ret_milli);
bool quantity_value(const struct quantity *q, int64_t *ret_value);

/* *sum += q, saturating. A sum that was 0 takes the format of q. */
void quantity_add(struct quantity *sum, const struct quantity *q);

/* The canonical text in the quantity's own format: "1536Mi", "1500m", "1e3". */
void quantity_text(const struct quantity *q, char text[static QUANTITY_TEXT_SIZE]);

/* Appends the canonical form of a text, exact also where the amount is beyond struct quantity
 * ("1e30"). */
bool quantity_canonical(struct sv text, struct strbuf *out, struct err *err) MUST_CHECK;

#endif
