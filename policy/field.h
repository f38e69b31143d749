/*
 * field: the one table of all keys of a policy file: path, type, range, default, meaning.
 *
 * The decoder (policy_read.c), its error texts, `brim explain policy`, the JSON schema and the
 * manual's reference are all made from it. A path names the keys from the top with dots between;
 * "[]" behind a list stands for each of its elements: "spec.paid.ignore[].namespace". Parents stand
 * before their children.
 */
#ifndef BRIM_POLICY_FIELD_H
#define BRIM_POLICY_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "base/sv.h"

enum field_type {
    FIELD_GROUP,       /* a mapping of further keys */
    FIELD_LIST,        /* a list of mappings; an array in the arena, its length beside it */
    FIELD_OVERRIDES,   /* a list whose mappings may have any key of a spec, too (policy_override) */
    FIELD_LABELS,      /* a mapping of label keys to values; an array of struct label, likewise */
    FIELD_WORD,        /* one of field->words; an int, the word's place + first_word */
    FIELD_EITHER,      /* one of two words; a bool, true for the second */
    FIELD_LABEL,       /* a DNS label (RFC 1123); struct sv, as are the next seven */
    FIELD_SUBDOMAIN,   /* a DNS subdomain */
    FIELD_API_VERSION, /* "apps/v1", "v1" */
    FIELD_KIND,        /* "Deployment" */
    FIELD_SELECTOR,    /* labels in the text form, checked by selector.h */
    FIELD_LABEL_KEY,   /* "app", "example.org/app" */
    FIELD_LABEL_VALUE, /* at most 63 characters, may be empty */
    FIELD_ZONE,        /* "Europe/Berlin"; whether it is there is looked up elsewhere */
    FIELD_DAYS,        /* "mon-fri,sun"; uint8_t, bit 0 is Monday */
    FIELD_TIME,        /* "08:00"; int32_t in minutes */
    FIELD_INT32,       /* int32_t */
    FIELD_INT64,       /* int64_t */
    FIELD_SPAN,        /* a duration; int64_t in microseconds */
    FIELD_SHARE,       /* "0.5%"; int32_t in millionths */
    FIELD_FACTOR,      /* "1.5"; int32_t in hundredths */
    FIELD_PRICE,       /* "0.035"; int64_t in millionths */
    FIELD_ROOM,        /* cores, a share or largestNode; struct room_spec */
    FIELD_CPU,         /* cores as a quantity; int64_t in milli */
    FIELD_BYTES,       /* a quantity; int64_t */
    FIELD_TYPE_COUNT_,
};

/* Nothing is stored: the key has only to be right. */
#define FIELD_NOWHERE SIZE_MAX

/* Elements of a list, bytes of a selector, and what cpu anywhere is bounded by, so that no sum can
 * overflow. */
enum { FIELD_MAX_ELEMENTS = 100, FIELD_MAX_SELECTOR = 4096, FIELD_MAX_CORES = 1000000 };

struct policy;

struct field {
    const char *path;
    enum field_type type;
    bool required;            /* where the mapping that it stands in is there */
    const char *unit;         /* of the value, for people; NULL: none */
    const char *min, *max;    /* as one would write them, both allowed; NULL: none */
    const char *def;          /* as one would write it; NULL: none */
    const char *const *words; /* ends with NULL */
    int first_word;           /* what the first word is stored as */
    const char *instead;      /* a word that may stand in the value's place; NULL: none */
    const char *doc;          /* whole sentences */
    size_t offset;            /* in struct policy, or in the element of a list */
    size_t has_offset; /* a bool that says whether the key was there; FIELD_NOWHERE: nobody asks */
    size_t instead_offset; /* a bool: the word `instead` stood there */
    size_t count_offset;   /* of lists and labels: a size_t, how many */
    size_t element_size;   /* of lists */
    bool (*check)(const void *element, struct err *err); /* of lists, of a whole element; or NULL */
};

/* The table. */
size_t field_count(void);
const struct field *field_at(size_t i);

/* By path, or NULL. O(fields). */
const struct field *field_find(struct sv path);

/* Does the field stand directly under this path ("" is the top, "a[]" an element of the list a)?
 * *ret_key is its last part. */
bool field_is_child(const struct field *f, struct sv parent, struct sv *ret_key);

/* The child of `parent` by its key, or NULL. */
const struct field *field_child(struct sv parent, struct sv key);

/* The path of a list's elements: "spec.paid.ignore[]" for "spec.paid.ignore". */
struct sv field_elements(const struct field *list);

/* May a schedule change what stands under this path? Keys of the spec, apart from target and
 * schedule. */
bool field_is_scheduled(const struct field *f);

/* Copies the field's value, and that it is there, from one policy to another. */
void field_copy(const struct field *f, struct policy *to, const struct policy *from);

/* The path that was probably meant: a child of `parent`, or the same key further down; NULL if none
 * is near. */
const char *field_nearest(struct sv parent, struct sv key);

/* The same for a whole path, each of whose parts may be misspelled; "spec." may be left out. */
const char *field_suggest(struct sv path);

/*
 * Reads one scalar and stores it in the object. Errors are ERR_INPUT, `found 140%, expected at most
 * 100%`, without the place. Texts are copied into the arena.
 */
bool field_read(const struct field *f, struct sv text, struct arena *arena, void *object,
                struct err *err) MUST_CHECK;

/* What a value of the field must look like: "a whole number from 0 to 1000000", "affinity or
 * spread". */
void field_expected(const struct field *f, struct strbuf *out);

/*
 * A span as Go writes them: "90s", "1h30m", "1.5h", "500ms", "20us"; "0" needs no unit. False where
 * the text is anything else, is negative or does not fit.
 */
bool field_parse_span(struct sv text, int64_t *ret_us) MUST_CHECK;

/* The type's name, as `brim explain policy` shows it. */
const char *field_type_name(enum field_type type);

/*
 * `brim explain policy [KEY]`: all keys as a table, or one key (and what stands under it) at
 * length. "spec." may be left out. False, and nothing written, if there is no such key; NULL or ""
 * is all keys.
 */
bool field_explain(const char *key, struct strbuf *out);

/* All keys as a table in Markdown: the reference in docs/POLICY.md. */
void field_reference(struct strbuf *out);

/* The JSON schema (draft 2020-12) of a policy document. */
void field_schema(struct strbuf *out);

#endif
