/*
 * yaml: a YAML document (JSON is YAML too) as a small tree that remembers where everything stood.
 * The only user of libyaml.
 *
 * Made for files that people write: policies, kubeconfig. An alias (*a) stands for a value with an
 * anchor (&a) in front of it in the same document, and becomes a copy, whose places are those of
 * the value. Tags and merge keys are refused (ERR_INPUT); so are duplicate keys, keys that are not
 * scalars, and aliases inside what they stand for. Limits (ERR_LIMIT): YAML_MAX_BYTES a text,
 * YAML_MAX_DEPTH levels of lists and mappings, YAML_MAX_NODES nodes (copies are counted, keys are
 * not), so that nothing can grow far beyond its text, YAML_MAX_ANCHORS a document, and the arena's
 * own. Errors read `line:column: what was found, what was expected`.
 *
 * Nodes live in the arena given by the caller, all text is copied there and ends in NUL. What a
 * failed parse has put into the arena stays there until it is cleared. A quoted text may hold a NUL
 * ("\0"): trust the length.
 */
#ifndef BRIM_BASE_YAML_H
#define BRIM_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/sv.h"

enum {
    YAML_MAX_BYTES = 4 << 20,
    YAML_MAX_DEPTH = 64,
    YAML_MAX_NODES = 200000,
    YAML_MAX_ANCHORS = 256
};

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING, YAML_KIND_COUNT_ };

struct yaml_node {
    enum yaml_kind kind;
    int line, column; /* from 1 */
    bool quoted;      /* scalar in quotes or a block: always text, never null, number or bool */
    struct sv text;   /* scalar */
    struct sv key;    /* of an entry of a mapping; key_line, key_column say where the key stood */
    int key_line, key_column;
    struct yaml_node
        *first; /* elements of a sequence, values of a mapping, in the order of the text */
    struct yaml_node *next; /* the next sibling */
    size_t count;           /* children */
};

/* One document of a stream of several ("---"). */
struct yaml_doc {
    struct yaml_node *root; /* NULL: an empty document */
    struct yaml_doc *next;
};

/* Parses all documents of the text; *ret_docs is NULL if there is none. O(n log n). */
bool yaml_parse(struct arena *arena, struct sv text, struct yaml_doc **ret_docs,
                struct err *err) MUST_CHECK;

/* The value under `key`, or NULL; node may be NULL or of another kind (then NULL). O(entries). */
const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key);

/* A plain null: absent, `~`, `null` (or `Null`, `NULL`) or an empty plain scalar. */
bool yaml_is_null(const struct yaml_node *node);

/* "scalar", "list", "mapping", as messages name what was found. */
const char *yaml_kind_name(enum yaml_kind kind);

/* Bytes that yaml_show() needs, its NUL included. */
#define YAML_SHOW_SIZE 64

/*
 * Text from outside, made fit for one line of a message: cut (then it ends in "..."), with '?' for
 * what a person must not be shown as it is (sv_hidden()). An empty text is shown as "". Returns
 * buf.
 */
const char *yaml_show(struct sv text, char buf[static YAML_SHOW_SIZE]);

#endif
