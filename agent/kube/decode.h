/*
 * decode: API objects as bytes -> records, from protobuf (decode_pb.c, a skipping reader over pbwire.h, no trees) or JSON
 * (decode_json.c, cJSON).
 *
 * Both forms give the same record for the same object; tests hold them against each other. What a record points to lives in
 * the message and in the decoder's arena, until the next decode_*() call. Every length is checked before it is used; a
 * broken object is an ERR_PROTOCOL (protobuf), ERR_INPUT (JSON, and a broken quantity in either) or ERR_LIMIT, names the
 * field, and leaves the decoder usable: `spec.containers[1].resources.requests.cpu: found …`. Texts in errors are ASCII.
 *
 * Only what a record needs is looked at: a fault in a part that nobody wants (managedFields, volumes, limits) goes unseen,
 * and container statuses are read only for bound pods under rules that count them. Maps keep the order of the message; a key
 * that comes twice in a map of labels, which no server sends, stays twice there, and in a list of resources counts as it
 * came last.
 *
 * A decoder may be used for any mix of objects, by one thread at a time.
 */
#ifndef BRIM_AGENT_KUBE_DECODE_H
#define BRIM_AGENT_KUBE_DECODE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "capacity/podreq.h"
#include "capacity/records.h"

/* The scheduling gate that holds filler back until brim lets it in (pod_patch.h). */
#define ROOM_GATE "brim.dev/room"

/* Lower goes first when a ReplicaSet shrinks; an int32 as text, 0 where it is absent. */
#define ANNOTATION_DELETION_COST "controller.kubernetes.io/pod-deletion-cost"

enum decode_format { DECODE_JSON, DECODE_PROTOBUF };

/* Bytes of decoded structure one object may need: 1,000 containers fit well. */
enum { DECODE_MAX_ARENA = 16 << 20 };

struct decoder {
    struct arena arena;
    struct resource_names *names; /* shared with whoever counts; not owned */
    struct podreq_rules rules;
    struct strbuf *steps; /* not NULL: podreq writes its calculation here (brim explain pod) */
};

/* `names` may be NULL for a decoder that only reads metadata and statuses. */
void decoder_init(struct decoder *d, struct resource_names *names,
                  const struct podreq_rules *rules);
void decoder_done(struct decoder *d);

/* `object` is a Pod (Node) message without envelope for protobuf, or one JSON object's text. */
bool decode_pod(struct decoder *d, enum decode_format format, struct sv object,
                struct pod_record *ret_pod, struct err *err) MUST_CHECK;
bool decode_node(struct decoder *d, enum decode_format format, struct sv object,
                 struct node_record *ret_node, struct err *err) MUST_CHECK;

/* What every object has: for bookmarks, deletions and resuming. Only metadata is looked at. */
struct object_meta {
    struct sv ns, name, resource_version;
    struct uid uid;
    bool initial_events_end; /* annotation k8s.io/initial-events-end: "true" */
};
bool decode_meta(struct decoder *d, enum decode_format format, struct sv object,
                 struct object_meta *ret_meta, struct err *err) MUST_CHECK;

/* metadata.resourceVersion alone, for whoever has the rest already; empty where there is none. */
bool decode_version(struct decoder *d, enum decode_format format, struct sv object,
                    struct sv *ret_version, struct err *err) MUST_CHECK;

/* A meta.v1.Status: the body of a failed request, or the object of an ERROR event. */
struct api_status {
    int code;
    struct sv reason, message;
    struct sv cause;   /* reason of the first cause, e.g. ResourceVersionTooLarge */
    int retry_after_s; /* 0: not given */
};
bool decode_status(struct decoder *d, enum decode_format format, struct sv object,
                   struct api_status *ret_status, struct err *err) MUST_CHECK;

/* The Kubernetes spelling, "In" and so on; not of OP_INVALID. */
struct sv requirement_op_name(enum requirement_op op);

/*
 * The object of a whole body that is not a stream (one Pod, the Status of a failed request): takes the envelope off
 * protobuf, gives JSON back as it is. frame.h does this by itself.
 */
bool decode_unwrap(enum decode_format format, struct sv body, struct sv *ret_object,
                   struct err *err) MUST_CHECK;

#endif
