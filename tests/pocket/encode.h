/*
 * encode: objects of Kubernetes from JSON to protobuf, by a table of messages (schema.c).
 *
 * Written are the fields that the table names, in the order of their numbers, as the API server's encoder writes them:
 * what is not optional there stands in the message also when it is empty. Keys that the table does not know are left out.
 */
#ifndef BRIM_POCKET_ENCODE_H
#define BRIM_POCKET_ENCODE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/strbuf.h"

enum encode_type {
    ENCODE_STRING,
    ENCODE_INT,
    ENCODE_BOOL,
    ENCODE_MESSAGE,
    ENCODE_STRINGS,    /* repeated */
    ENCODE_MESSAGES,   /* repeated */
    ENCODE_LABELS,     /* map of text to text */
    ENCODE_QUANTITIES, /* map of text to Quantity */
    ENCODE_TIME,       /* RFC 3339 to {seconds, nanos} */
    ENCODE_JSON,       /* any JSON, as text in a message {1 bytes} */
};

struct encode_field {
    const char *key;
    unsigned number;
    enum encode_type type;
    bool always; /* written also when it is absent */
    const struct encode_message *message;
};

struct encode_message {
    const struct encode_field *fields; /* by number; the end has no key */
};

extern const struct encode_message encode_meta, encode_pod, encode_pod_spec, encode_pod_status,
    encode_node, encode_node_spec, encode_node_status, encode_list_meta, encode_status;

/*
 * Appends the message of a JSON object; NULL is an empty one. `partial`: only what is there, for a piece of a message
 * whose other piece is encoded elsewhere. What has another type than the table says is left out.
 */
void encode_object(const struct encode_message *m, const cJSON *json, bool partial,
                   struct strbuf *out);

#endif
