/*
 * object: one version of one API object: immutable, counted, ready to be written as JSON or protobuf.
 *
 * The text is kept in parts: the members of `metadata` (but for the resourceVersion, which is written by whoever writes
 * the object: a DELETED event shows another than the object had), and of `spec` and `status`. What many objects have in
 * common, such as the pods of a template, stands in a `struct shared`, once. Kinds other than pods and nodes are not
 * `parted`: all their members but metadata are one text, and they have no protobuf form.
 *
 * Protobuf is made from the JSON parts at its first use and kept. Fields of one message may then come in any order.
 */
#ifndef BRIM_POCKET_OBJECT_H
#define BRIM_POCKET_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "base/sv.h"
#include "capacity/records.h"

enum kind {
    KIND_PODS,
    KIND_NODES,
    KIND_NAMESPACES,
    KIND_CONFIGMAPS,
    KIND_DEPLOYMENTS,
    KIND_HPAS,
    KIND_LEASES,
    KIND_EVENTS,
    KIND_PRIORITY_CLASSES,
    KIND_COUNT_
};

struct kind_info {
    const char *api_version; /* "apps/v1" */
    const char *kind, *plural;
    bool namespaced;
    bool parted;
};

const struct kind_info *kind_info(enum kind kind);

enum part { PART_META, PART_SPEC, PART_STATUS, PART_COUNT_ };

/* Members of the parts' objects as JSON, without braces: `"a":1,"b":2`, or nothing. */
struct shared;
struct shared *shared_new(enum kind kind, const struct sv part[static PART_COUNT_]);
struct shared *shared_ref(struct shared *s);
void shared_unref(struct shared *s);

struct object_spec {
    enum kind kind;
    struct sv ns, name;
    struct sv node, phase, nominated; /* of pods, for field selectors */
    bool unschedulable;               /* of nodes, likewise */
    const struct label *labels;
    size_t n_labels;
    struct sv
        part[PART_COUNT_]; /* kinds that are not parted: PART_SPEC has all members but metadata */
    struct shared *shared; /* may be NULL; a reference is taken */
};

struct object {
    unsigned refs;
    uint64_t version;
    struct object_spec is; /* all text is owned by the object; part[] is the JSON */
    char *protobuf;        /* the parts one behind another; NULL: not made yet */
    uint32_t protobuf_len[PART_COUNT_];
};

struct object *object_new(const struct object_spec *spec);
struct object *object_ref(struct object *o);
void object_unref(struct object *o);

/* Appends the object, shown with this version. `typed`: with kind and apiVersion, as everywhere but in a list. */
void object_json(const struct object *o, uint64_t version, bool typed, struct strbuf *out);

/* How long the message is, and the message itself, without an envelope. For kinds that are parted. */
size_t object_protobuf_size(struct object *o);
void object_protobuf(struct object *o, struct strbuf *out);
/* The same with another version. */
void object_protobuf_as(struct object *o, uint64_t version, struct strbuf *out);

#endif
