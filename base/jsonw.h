/*
 * jsonw: writes JSON onto a strbuf, piece by piece. Commas and nesting are its business, the order
 * of keys the caller's.
 *
 * Keys are plain C strings and may be NULL inside arrays and at the top. Text is written as valid
 * JSON whatever its bytes: what a person must not be shown as it is (sv_hidden()) is escaped, bytes
 * that are not UTF-8 become U+FFFD.
 * Numbers do not depend on the locale. When the strbuf is full the rest is dropped and `full` stays
 * set there.
 */
#ifndef BRIM_BASE_JSONW_H
#define BRIM_BASE_JSONW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "base/sv.h"

enum { JSONW_MAX_DEPTH = 32 };

struct jsonw {
    struct strbuf *out;
    int depth;
    bool some[JSONW_MAX_DEPTH + 1]; /* has this level an element already? */
    bool array[JSONW_MAX_DEPTH + 1];
};

void jsonw_init(struct jsonw *w, struct strbuf *out);

/* Opens an object or array; jsonw_end() closes whichever is open. */
void jsonw_object(struct jsonw *w, const char *key);
void jsonw_array(struct jsonw *w, const char *key);
void jsonw_end(struct jsonw *w);

void jsonw_str(struct jsonw *w, const char *key, struct sv value);
void jsonw_cstr(struct jsonw *w, const char *key, const char *value); /* NULL is written as null */
void jsonw_i64(struct jsonw *w, const char *key, int64_t value);
void jsonw_bool(struct jsonw *w, const char *key, bool value);
void jsonw_null(struct jsonw *w, const char *key);
/* Thousandths as a decimal number: 1500 is written as 1.5. */
void jsonw_milli(struct jsonw *w, const char *key, int64_t value);
/* Text that is JSON already, taken as it stands. */
void jsonw_raw(struct jsonw *w, const char *key, struct sv json);
/* An object key that is not a C string (a label, say) with a string value. */
void jsonw_sv_str(struct jsonw *w, struct sv key, struct sv value);

/* One JSON string with its quotes, outside any structure. */
void jsonw_text(struct strbuf *out, struct sv text);
/* Thousandths as the shortest decimal: 1500 -> "1.5", 2000 -> "2". */
void jsonw_milli_text(struct strbuf *out, int64_t milli);

#endif
