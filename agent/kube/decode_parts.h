/*
 * decode_parts: what the two forms of decoding share, so that they cannot differ: how texts become enums, how quantities
 * become amounts, what a condition means, where an error stood. Private to decode*.c and frame*.c.
 */
#ifndef BRIM_AGENT_KUBE_DECODE_PARTS_H
#define BRIM_AGENT_KUBE_DECODE_PARTS_H

#include "agent/kube/decode.h"

/* Where in the object we are; made on the stack, written out only for an error: spec.containers[1].resources. */
struct path {
    const struct path *up; /* NULL: the object itself */
    const char *name;      /* a field's name; NULL: a map's key */
    struct sv key;
    size_t index; /* of an element, or PATH_NO_INDEX */
};

#define PATH_NO_INDEX            SIZE_MAX
#define PATH(outer, field)       ((struct path){.up = (outer), .name = (field), .index = PATH_NO_INDEX})
#define PATH_AT(outer, field, i) ((struct path){.up = (outer), .name = (field), .index = (i)})
#define PATH_KEY(outer, k)       ((struct path){.up = (outer), .key = (k), .index = PATH_NO_INDEX})

/* Puts the path in front of the error; false. */
bool path_wrap(const struct path *path, struct err *err);

/* A growing array in the decoder's arena. Given to records by its `at` and `n`. */
struct list {
    void *at;
    size_t n, cap;
};

/* A zeroed element at the end. NULL, and ERR_LIMIT, when the arena is full. */
void *decode_push(struct decoder *d, struct list *list, size_t size, struct err *err);

/* ERR_LIMIT: the object needs more than DECODE_MAX_ARENA; false. */
bool arena_full(struct err *err);

enum taint_effect taint_effect_of(struct sv text);
enum toleration_op toleration_op_of(struct sv text);
enum requirement_op requirement_op_of(struct sv text);
enum pod_phase pod_phase_of(struct sv text); /* none is Pending: an object nobody has stored yet */

/* Of a bookmark. */
#define ANNOTATION_INITIAL_EVENTS_END "k8s.io/initial-events-end"

/* Seconds since 1970 of the years 0 to 9999, which is what RFC 3339 can say; false outside. */
bool wall_of_seconds(int64_t seconds, struct wall *ret_t) MUST_CHECK;

/* metadata, of any kind of object. */
struct meta_parts {
    struct sv ns, name, resource_version, uid;
    struct list labels; /* struct label */
    struct wall created;
    struct sv deletion_cost;
    struct sv owner_kind, owner_name, owner_uid; /* of the first owner that is the controller */
    bool has_owner;
    bool deleting;
    bool initial_events_end;
};

void meta_note_annotation(struct meta_parts *meta, struct sv key, struct sv value);

/* A pod while it is being read: the record, and what enters the sum of its request. */
struct pod_parts {
    struct meta_parts meta;
    struct pod_record rec;
    struct podreq_input in;
    struct list containers, inits;                /* struct container_amounts */
    struct list statuses, init_statuses;          /* struct status_amounts */
    struct list selector;                         /* struct label */
    struct list terms;                            /* struct node_term */
    struct list tolerations;                      /* struct toleration */
    bool seen_ready, seen_scheduled, seen_resize; /* the first condition of a type counts */
};

struct node_parts {
    struct meta_parts meta;
    struct node_record rec;
    struct list taints; /* struct taint */
    struct amounts allocatable;
    bool seen_ready;
};

/* Only for bound pods, and by releases that know in-place resize, are the containers' statuses counted. */
bool pod_wants_status(const struct decoder *d, const struct pod_parts *pod);

void pod_note_condition(struct pod_parts *pod, struct sv type, struct sv status, struct sv reason);
void pod_note_grace(struct pod_parts *pod, int64_t seconds);
void pod_note_gate(struct pod_parts *pod, struct sv name);
void node_note_condition(struct node_parts *node, struct sv type, struct sv status);

/*
 * Adds one key of a ResourceList; a key that comes twice counts as it came last. Names that the scheduler ignores are left
 * out; an extended one for which no place is left sets *uncountable. A quantity that is broken is an error in any case.
 */
bool amounts_add(struct decoder *d, struct list *list, struct sv name, const struct quantity *q,
                 bool *uncountable, struct err *err) MUST_CHECK;

static inline struct amounts amounts_of(const struct list *list)
{
    return (struct amounts){.at = list->at, .n = list->n};
}

/* The two readers. Each fills the parts; decode.c makes records of them. */
bool pb_read_pod(struct decoder *d, struct sv object, struct pod_parts *pod,
                 struct err *err) MUST_CHECK;
bool pb_read_node(struct decoder *d, struct sv object, struct node_parts *node,
                  struct err *err) MUST_CHECK;
bool pb_read_meta(struct decoder *d, struct sv object, struct meta_parts *meta,
                  struct err *err) MUST_CHECK;
bool pb_read_version(struct sv object, struct sv *ret_version, struct err *err) MUST_CHECK;
bool pb_read_status(struct decoder *d, struct sv object, struct api_status *status,
                    struct err *err) MUST_CHECK;

bool json_read_pod(struct decoder *d, struct sv object, struct pod_parts *pod,
                   struct err *err) MUST_CHECK;
bool json_read_node(struct decoder *d, struct sv object, struct node_parts *node,
                    struct err *err) MUST_CHECK;
bool json_read_meta(struct decoder *d, struct sv object, struct meta_parts *meta,
                    struct err *err) MUST_CHECK;
bool json_read_status(struct decoder *d, struct sv object, struct api_status *status,
                      struct err *err) MUST_CHECK;

/* The metadata of a list, {"resourceVersion":…,"continue":…}; the texts live in the arena. */
bool json_read_list_meta(struct decoder *d, struct sv object, struct sv *ret_version,
                         struct sv *ret_continue, struct err *err) MUST_CHECK;

#endif
