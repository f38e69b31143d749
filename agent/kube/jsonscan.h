/*
 * jsonscan: finds where a JSON value ends, in text that comes in pieces, and makes text ready for a parser.
 *
 * The scanner knows strings and nesting, nothing else: it never looks at a byte twice, holds no text and does not check
 * what is inside. Who wants the value parses it afterwards.
 */
#ifndef BRIM_AGENT_KUBE_JSONSCAN_H
#define BRIM_AGENT_KUBE_JSONSCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "base/sv.h"

/* No object of Kubernetes nests deeper than some tens; deeper than this is refused. */
enum { JSONSCAN_MAX_DEPTH = 1000 };

/* Zeroed: in front of a value. */
struct jsonscan {
    uint32_t depth;
    bool in_string, escaped, in_scalar;
};

enum jsonscan_result { JSONSCAN_MORE, JSONSCAN_DONE, JSONSCAN_BAD };

/*
 * Goes on through `bytes`; the first byte of all must be the value's own, not a blank. DONE: the value ends after *ret_used
 * bytes; numbers and words end before the byte behind them. MORE: all was used. BAD: no value starts so, or too deep.
 */
enum jsonscan_result jsonscan_feed(struct jsonscan *s, struct sv bytes, size_t *ret_used);

/* The next member of the object `rest` stands in; see jsonscan_open(). Text of key (with its quotes) and value. */
struct jsonscan_member {
    struct sv key, value;
};

/* Goes into an object's text: *rest is then what jsonscan_next() eats. False if it is none. */
bool jsonscan_open(struct sv object, struct sv *rest);

/* False at the object's end, and where the text is broken: then *ret_bad is set. */
bool jsonscan_next(struct sv *rest, struct jsonscan_member *ret_member, bool *ret_bad);

/*
 * cJSON keeps numbers as doubles and ends text at a NUL. So that nothing is lost, text is rewritten before it is parsed:
 * a number becomes a string that begins with JSONSCAN_NUMBER, and \u0000 becomes JSONSCAN_NUL. Neither byte occurs in UTF-8,
 * and text that holds one is refused. The value of "managedFields" is left out (null), being large and never wanted.
 * More than JSONSCAN_MAX_VALUES values are ERR_LIMIT, anything else that cannot be JSON is ERR_INPUT; what is still wrong
 * in the result the parser finds.
 */
enum { JSONSCAN_MAX_VALUES = 1 << 19 };
#define JSONSCAN_NUMBER '\xff'
#define JSONSCAN_NUL    '\xfe'

bool jsonscan_rewrite(struct sv text, struct strbuf *out, struct err *err) MUST_CHECK;

#endif
