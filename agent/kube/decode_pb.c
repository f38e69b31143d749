/*
 * Objects of Kubernetes from protobuf. Field numbers are those of k8s.io/api/core/v1/generated.proto and
 * k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto. Encoders there write every message once; should one come twice,
 * the last one counts.
 */
#include "agent/kube/decode_parts.h"
#include "agent/kube/pbwire.h"

/* Told with the path in front; false. */
static bool fail(const struct path *path, const char *what, struct err *err)
{
    (void)err_set(err, ERR_PROTOCOL, 0, "%s", what);
    return path_wrap(path, err);
}

/* By value: see pb_next(). */
static bool done(struct pb r, const struct path *path, struct err *err)
{
    return r.fault == NULL || pb_done(&r, err) || path_wrap(path, err);
}

/* An entry of a map: 1 key, 2 value. */
static bool read_entry(const char *origin, struct sv entry, const struct path *path,
                       struct label *ret_entry, struct err *err)
{
    struct pb r = pb_sub(origin, entry);
    struct pb_field f;
    struct label found = {0};

    while (pb_next(&r, &f)) {
        if (f.tag == PB_LEN(1))
            found.key = f.bytes;
        else if (f.tag == PB_LEN(2))
            found.value = f.bytes;
    }
    *ret_entry = found;
    return done(r, path, err);
}

static bool read_label(struct decoder *d, const char *origin, struct sv bytes,
                       const struct path *path, struct list *labels, struct err *err)
{
    struct label *label = decode_push(d, labels, sizeof *label, err);

    if (label == NULL)
        return path_wrap(path, err);
    return read_entry(origin, bytes, path, label, err);
}

/* Quantity {1 string}; one that is not written at all is 0. */
static bool read_quantity(const char *origin, struct sv message, const struct path *path,
                          struct quantity *ret_q, struct err *err)
{
    struct pb r = pb_sub(origin, message);
    struct pb_field f;

    *ret_q = (struct quantity){0};
    while (pb_next(&r, &f))
        if (f.tag == PB_LEN(1) && !quantity_parse(f.bytes, ret_q, err))
            return path_wrap(path, err);
    return done(r, path, err);
}

/* An entry of a ResourceList. */
static bool read_amount(struct decoder *d, const char *origin, struct sv bytes,
                        const struct path *path, struct list *list, bool *uncountable,
                        struct err *err)
{
    struct label entry;
    struct quantity q;

    if (!read_entry(origin, bytes, path, &entry, err))
        return false;

    struct path at = PATH_KEY(path, entry.key);
    struct sv message = entry.value.at != NULL ? entry.value : (struct sv){.at = bytes.at};

    if (!read_quantity(origin, message, &at, &q, err))
        return false;
    return amounts_add(d, list, entry.key, &q, uncountable, err) || path_wrap(&at, err);
}

/* ResourceRequirements {2 requests}. */
static bool read_requests(struct decoder *d, const char *origin, struct sv bytes,
                          const struct path *up, struct amounts *ret_requests, bool *uncountable,
                          struct err *err)
{
    struct path resources = PATH(up, "resources");
    struct path requests = PATH(&resources, "requests");
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;
    struct list list = {0};

    while (pb_next(&r, &f))
        if (f.tag == PB_LEN(2) &&
            !read_amount(d, r.origin, f.bytes, &requests, &list, uncountable, err))
            return false;
    *ret_requests = amounts_of(&list);
    return done(r, &resources, err);
}

/* Time {1 seconds, 2 nanos}. */
static bool read_time(const char *origin, struct sv bytes, const struct path *path,
                      struct wall *ret_t, struct err *err)
{
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;
    int64_t seconds = 0;

    while (pb_next(&r, &f))
        if (f.tag == PB_VAR(1))
            seconds = pb_i64(f.num);
    if (!done(r, path, err))
        return false;
    return wall_of_seconds(seconds, ret_t) || fail(path, "a time beyond the year 9999", err);
}

/* OwnerReference {1 kind, 3 name, 4 uid, 6 controller}. */
static bool read_owner(const char *origin, struct sv bytes, const struct path *up,
                       struct meta_parts *meta, struct err *err)
{
    struct path path = PATH(up, "ownerReferences");
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;
    struct sv kind = {0}, name = {0}, uid = {0};
    bool controller = false;

    while (pb_next(&r, &f)) {
        switch (f.tag) {
        case PB_LEN(1):
            kind = f.bytes;
            break;
        case PB_LEN(3):
            name = f.bytes;
            break;
        case PB_LEN(4):
            uid = f.bytes;
            break;
        case PB_VAR(6):
            controller = f.num != 0;
            break;
        default:
            break;
        }
    }
    if (!done(r, &path, err))
        return false;
    if (controller && !meta->has_owner) {
        meta->has_owner = true;
        meta->owner_kind = kind;
        meta->owner_name = name;
        meta->owner_uid = uid;
    }
    return true;
}

static bool read_annotation(const char *origin, struct sv bytes, const struct path *up,
                            struct meta_parts *meta, struct err *err)
{
    struct path path = PATH(up, "annotations");
    struct label entry;

    if (!read_entry(origin, bytes, &path, &entry, err))
        return false;
    meta_note_annotation(meta, entry.key, entry.value);
    return true;
}

/* ObjectMeta. managedFields (17) is the largest part of most objects and skipped in O(1). */
static bool read_meta(struct decoder *d, const char *origin, struct sv bytes,
                      struct meta_parts *meta, struct err *err)
{
    struct path path = PATH(NULL, "metadata");
    struct path labels = PATH(&path, "labels");
    struct path created = PATH(&path, "creationTimestamp");
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;
    bool ok = true;

    while (ok && pb_next(&r, &f)) {
        switch (f.tag) {
        case PB_LEN(1):
            meta->name = f.bytes;
            break;
        case PB_LEN(3):
            meta->ns = f.bytes;
            break;
        case PB_LEN(5):
            meta->uid = f.bytes;
            break;
        case PB_LEN(6):
            meta->resource_version = f.bytes;
            break;
        case PB_LEN(8):
            /* Always written; empty while nobody has stored the object. */
            ok = f.bytes.len == 0 || read_time(r.origin, f.bytes, &created, &meta->created, err);
            break;
        case PB_LEN(9):
            meta->deleting = true;
            break;
        case PB_LEN(11):
            ok = read_label(d, r.origin, f.bytes, &labels, &meta->labels, err);
            break;
        case PB_LEN(12):
            ok = read_annotation(r.origin, f.bytes, &path, meta, err);
            break;
        case PB_LEN(13):
            ok = read_owner(r.origin, f.bytes, &path, meta, err);
            break;
        default:
            break;
        }
    }
    return ok && done(r, &path, err);
}

/* Container {1 name, 8 resources, 24 restartPolicy}. */
static bool read_container(struct decoder *d, const char *origin, struct sv bytes,
                           const struct path *up, const char *field, struct list *list,
                           struct pod_parts *pod, struct err *err)
{
    struct path path = PATH_AT(up, field, list->n);
    struct container_amounts *c = decode_push(d, list, sizeof *c, err);
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;

    if (c == NULL)
        return path_wrap(&path, err);
    while (pb_next(&r, &f)) {
        switch (f.tag) {
        case PB_LEN(1):
            c->name = f.bytes;
            break;
        case PB_LEN(8):
            if (!read_requests(d, r.origin, f.bytes, &path, &c->requests, &pod->rec.uncountable,
                               err))
                return false;
            break;
        case PB_LEN(24):
            c->sidecar = list == &pod->inits && sv_eq(f.bytes, SV("Always"));
            break;
        default:
            break;
        }
    }
    return done(r, &path, err);
}

/* NodeSelectorRequirement {1 key, 2 operator, 3 values}. */
static bool read_requirement(struct decoder *d, const char *origin, struct sv bytes,
                             const struct path *up, const char *field, struct list *list,
                             struct err *err)
{
    struct path path = PATH_AT(up, field, list->n);
    struct requirement *req = decode_push(d, list, sizeof *req, err);
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;
    struct list values = {0};

    if (req == NULL)
        return path_wrap(&path, err);
    req->op = OP_INVALID;
    while (pb_next(&r, &f)) {
        if (f.tag == PB_LEN(1)) {
            req->key = f.bytes;
        } else if (f.tag == PB_LEN(2)) {
            req->op = requirement_op_of(f.bytes);
        } else if (f.tag == PB_LEN(3)) {
            struct sv *value = decode_push(d, &values, sizeof *value, err);

            if (value == NULL)
                return path_wrap(&path, err);
            *value = f.bytes;
        }
    }
    req->values = values.at;
    req->n_values = values.n;
    return done(r, &path, err);
}

/* NodeSelectorTerm {1 matchExpressions, 2 matchFields}. */
static bool read_term(struct decoder *d, const char *origin, struct sv bytes, const struct path *up,
                      struct pod_parts *pod, struct err *err)
{
    struct path path = PATH_AT(up, "nodeSelectorTerms", pod->terms.n);
    struct node_term *term = decode_push(d, &pod->terms, sizeof *term, err);
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;
    struct list exprs = {0}, fields = {0};
    bool ok = true;

    if (term == NULL)
        return path_wrap(&path, err);
    while (ok && pb_next(&r, &f)) {
        if (f.tag == PB_LEN(1))
            ok = read_requirement(d, r.origin, f.bytes, &path, "matchExpressions", &exprs, err);
        else if (f.tag == PB_LEN(2))
            ok = read_requirement(d, r.origin, f.bytes, &path, "matchFields", &fields, err);
    }
    *term = (struct node_term){
        .exprs = exprs.at, .n_exprs = exprs.n, .fields = fields.at, .n_fields = fields.n};
    return ok && done(r, &path, err);
}

/* The bytes of field 1 of a message, *ret_found = is it there? Affinity {1 nodeAffinity {1 required}} is a chain of such. */
static bool read_first(const char *origin, struct sv bytes, const struct path *path,
                       struct sv *ret_first, struct err *err)
{
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;

    *ret_first = (struct sv){0};
    while (pb_next(&r, &f))
        if (f.tag == PB_LEN(1))
            *ret_first = f.bytes;
    return done(r, path, err);
}

static bool read_affinity(struct decoder *d, const char *origin, struct sv bytes,
                          const struct path *up, struct pod_parts *pod, struct err *err)
{
    struct path affinity = PATH(up, "affinity");
    struct path node = PATH(&affinity, "nodeAffinity");
    struct path required = PATH(&node, "requiredDuringSchedulingIgnoredDuringExecution");
    struct sv node_bytes, required_bytes;

    if (!read_first(origin, bytes, &affinity, &node_bytes, err))
        return false;
    if (node_bytes.at == NULL)
        return true;
    if (!read_first(origin, node_bytes, &node, &required_bytes, err))
        return false;
    if (required_bytes.at == NULL)
        return true;

    struct pb r = pb_sub(origin, required_bytes);
    struct pb_field f;

    pod->rec.rules.has_affinity = true;
    pod->terms = (struct list){0};
    while (pb_next(&r, &f))
        if (f.tag == PB_LEN(1) && !read_term(d, r.origin, f.bytes, &required, pod, err))
            return false;
    return done(r, &required, err);
}

/* Toleration {1 key, 2 operator, 3 value, 4 effect}. */
static bool read_toleration(struct decoder *d, const char *origin, struct sv bytes,
                            const struct path *up, struct pod_parts *pod, struct err *err)
{
    struct path path = PATH_AT(up, "tolerations", pod->tolerations.n);
    struct toleration *t = decode_push(d, &pod->tolerations, sizeof *t, err);
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;

    if (t == NULL)
        return path_wrap(&path, err);
    *t = (struct toleration){.op = TOLERATE_EQUAL, .effect = EFFECT_NONE};
    while (pb_next(&r, &f)) {
        switch (f.tag) {
        case PB_LEN(1):
            t->key = f.bytes;
            break;
        case PB_LEN(2):
            t->op = toleration_op_of(f.bytes);
            break;
        case PB_LEN(3):
            t->value = f.bytes;
            break;
        case PB_LEN(4):
            t->effect = taint_effect_of(f.bytes);
            break;
        default:
            break;
        }
    }
    return done(r, &path, err);
}

static bool read_overhead(struct decoder *d, const char *origin, struct sv bytes,
                          const struct path *up, struct list *overhead, struct pod_parts *pod,
                          struct err *err)
{
    struct path path = PATH(up, "overhead");

    return read_amount(d, origin, bytes, &path, overhead, &pod->rec.uncountable, err);
}

static bool read_selector(struct decoder *d, const char *origin, struct sv bytes,
                          const struct path *up, struct pod_parts *pod, struct err *err)
{
    struct path path = PATH(up, "nodeSelector");

    return read_label(d, origin, bytes, &path, &pod->selector, err);
}

/* PodSchedulingGate {1 name}. */
static bool read_gate(const char *origin, struct sv bytes, const struct path *up,
                      struct pod_parts *pod, struct err *err)
{
    struct path path = PATH(up, "schedulingGates");
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;
    struct sv name = {0};

    while (pb_next(&r, &f))
        if (f.tag == PB_LEN(1))
            name = f.bytes;
    pod_note_gate(pod, name);
    return done(r, &path, err);
}

/* One flat table of the fields of PodSpec. */
static bool read_spec(struct decoder *d, const char *origin, struct sv bytes, struct pod_parts *pod,
                      struct err *err)
{
    struct path path = PATH(NULL, "spec");
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;
    struct pod_record *rec = &pod->rec;
    struct list overhead = {0};
    bool ok = true;

    while (ok && pb_next(&r, &f)) {
        switch (f.tag) {
        case PB_LEN(2):
            ok = read_container(d, r.origin, f.bytes, &path, "containers", &pod->containers, pod,
                                err);
            break;
        case PB_VAR(4):
            pod_note_grace(pod, pb_i64(f.num));
            break;
        case PB_LEN(7):
            ok = read_selector(d, r.origin, f.bytes, &path, pod, err);
            break;
        case PB_LEN(10):
            rec->node = f.bytes;
            break;
        case PB_LEN(18):
            ok = read_affinity(d, r.origin, f.bytes, &path, pod, err);
            break;
        case PB_LEN(20):
            ok = read_container(d, r.origin, f.bytes, &path, "initContainers", &pod->inits, pod,
                                err);
            break;
        case PB_LEN(22):
            ok = read_toleration(d, r.origin, f.bytes, &path, pod, err);
            break;
        case PB_LEN(24):
            rec->priority_class = f.bytes;
            break;
        case PB_VAR(25):
            rec->priority = pb_i32(f.num);
            break;
        case PB_LEN(31):
            rec->preempts_never = sv_eq(f.bytes, SV("Never"));
            break;
        case PB_LEN(32):
            ok = read_overhead(d, r.origin, f.bytes, &path, &overhead, pod, err);
            break;
        case PB_LEN(38):
            ok = read_gate(r.origin, f.bytes, &path, pod, err);
            break;
        case PB_LEN(40):
            ok = read_requests(d, r.origin, f.bytes, &path, &pod->in.pod_level, &rec->uncountable,
                               err);
            break;
        default:
            break;
        }
    }
    pod->in.overhead = amounts_of(&overhead);
    return ok && done(r, &path, err);
}

/* ContainerStatus {1 name, 10 allocatedResources, 11 resources}. */
static bool read_container_status(struct decoder *d, const char *origin, struct sv bytes,
                                  const struct path *up, const char *field, struct list *list,
                                  struct pod_parts *pod, struct err *err)
{
    struct path path = PATH_AT(up, field, list->n);
    struct path allocated_path = PATH(&path, "allocatedResources");
    struct status_amounts *status = decode_push(d, list, sizeof *status, err);
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;
    struct list allocated = {0};
    bool ok = true;

    if (status == NULL)
        return path_wrap(&path, err);
    while (ok && pb_next(&r, &f)) {
        switch (f.tag) {
        case PB_LEN(1):
            status->name = f.bytes;
            break;
        case PB_LEN(10):
            ok = read_amount(d, r.origin, f.bytes, &allocated_path, &allocated,
                             &pod->rec.uncountable, err);
            break;
        case PB_LEN(11):
            status->has_resources = true;
            ok = read_requests(d, r.origin, f.bytes, &path, &status->requests,
                               &pod->rec.uncountable, err);
            break;
        default:
            break;
        }
    }
    status->allocated = amounts_of(&allocated);
    return ok && done(r, &path, err);
}

/* PodCondition and NodeCondition {1 type, 2 status, 5 reason}. */
struct condition {
    struct sv type, status, reason;
};

static bool read_condition(const char *origin, struct sv bytes, struct condition *ret_c,
                           struct err *err)
{
    struct path status = PATH(NULL, "status");
    struct path path = PATH(&status, "conditions");
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;

    *ret_c = (struct condition){0};
    while (pb_next(&r, &f)) {
        if (f.tag == PB_LEN(1))
            ret_c->type = f.bytes;
        else if (f.tag == PB_LEN(2))
            ret_c->status = f.bytes;
        else if (f.tag == PB_LEN(5))
            ret_c->reason = f.bytes;
    }
    return done(r, &path, err);
}

static bool read_pod_condition(const char *origin, struct sv bytes, struct pod_parts *pod,
                               struct err *err)
{
    struct condition c;

    if (!read_condition(origin, bytes, &c, err))
        return false;
    pod_note_condition(pod, c.type, c.status, c.reason);
    return true;
}

/* PodStatus. What only the resize rules look at is read only where they apply. */
static bool read_pod_status(struct decoder *d, const char *origin, struct sv bytes,
                            struct pod_parts *pod, struct err *err)
{
    struct path path = PATH(NULL, "status");
    struct path allocated_path = PATH(&path, "allocatedResources");
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;
    struct podreq_input *in = &pod->in;
    bool *uncountable = &pod->rec.uncountable;
    struct list allocated = {0};
    struct sv phase = {0};
    bool amounts = pod_wants_status(d, pod);
    bool ok = true;

    while (ok && pb_next(&r, &f)) {
        switch (f.tag) {
        case PB_LEN(1):
            phase = f.bytes;
            break;
        case PB_LEN(2):
            ok = read_pod_condition(r.origin, f.bytes, pod, err);
            break;
        case PB_LEN(8):
            ok = !amounts || read_container_status(d, r.origin, f.bytes, &path, "containerStatuses",
                                                   &pod->statuses, pod, err);
            break;
        case PB_LEN(10):
            ok = !amounts ||
                 read_container_status(d, r.origin, f.bytes, &path, "initContainerStatuses",
                                       &pod->init_statuses, pod, err);
            break;
        case PB_LEN(11):
            pod->rec.nominated = f.bytes;
            break;
        case PB_LEN(19):
            ok = !amounts ||
                 read_amount(d, r.origin, f.bytes, &allocated_path, &allocated, uncountable, err);
            break;
        case PB_LEN(20):
            in->has_pod_status = amounts;
            ok = !amounts ||
                 read_requests(d, r.origin, f.bytes, &path, &in->pod_status, uncountable, err);
            break;
        default:
            break;
        }
    }
    pod->rec.phase = pod_phase_of(phase);
    in->pod_allocated = amounts_of(&allocated);
    return ok && done(r, &path, err);
}

/* Every object is {1 metadata, 2 spec, 3 status}; a part that is not there has no bytes. */
struct object {
    const char *origin;
    struct sv meta, spec, status;
};

static bool open_object(struct sv bytes, struct object *o, struct err *err)
{
    struct pb r = pb_open(bytes);
    struct pb_field f;
    struct sv none = {.at = r.at};

    *o = (struct object){.origin = r.origin, .meta = none, .spec = none, .status = none};
    while (pb_next(&r, &f)) {
        if (f.tag == PB_LEN(1))
            o->meta = f.bytes;
        else if (f.tag == PB_LEN(2))
            o->spec = f.bytes;
        else if (f.tag == PB_LEN(3))
            o->status = f.bytes;
    }
    return pb_done(&r, err);
}

bool pb_read_pod(struct decoder *d, struct sv object, struct pod_parts *pod, struct err *err)
{
    struct object o;

    return open_object(object, &o, err) && read_meta(d, o.origin, o.meta, &pod->meta, err) &&
           read_spec(d, o.origin, o.spec, pod, err) &&
           read_pod_status(d, o.origin, o.status, pod, err);
}

/* Taint {1 key, 2 value, 3 effect}. */
static bool read_taint(struct decoder *d, const char *origin, struct sv bytes,
                       const struct path *up, struct node_parts *node, struct err *err)
{
    struct path path = PATH_AT(up, "taints", node->taints.n);
    struct taint *taint = decode_push(d, &node->taints, sizeof *taint, err);
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;

    if (taint == NULL)
        return path_wrap(&path, err);
    while (pb_next(&r, &f)) {
        if (f.tag == PB_LEN(1))
            taint->key = f.bytes;
        else if (f.tag == PB_LEN(2))
            taint->value = f.bytes;
        else if (f.tag == PB_LEN(3))
            taint->effect = taint_effect_of(f.bytes);
    }
    return done(r, &path, err);
}

/* NodeSpec {4 unschedulable, 5 taints}. */
static bool read_node_spec(struct decoder *d, const char *origin, struct sv bytes,
                           struct node_parts *node, struct err *err)
{
    struct path path = PATH(NULL, "spec");
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;
    bool ok = true;

    while (ok && pb_next(&r, &f)) {
        if (f.tag == PB_VAR(4))
            node->rec.unschedulable = f.num != 0;
        else if (f.tag == PB_LEN(5))
            ok = read_taint(d, r.origin, f.bytes, &path, node, err);
    }
    return ok && done(r, &path, err);
}

/* NodeStatus {2 allocatable, 4 conditions}. */
static bool read_node_status(struct decoder *d, const char *origin, struct sv bytes,
                             struct node_parts *node, struct err *err)
{
    struct path path = PATH(NULL, "status");
    struct path allocatable = PATH(&path, "allocatable");
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;
    struct condition c;
    struct list list = {0};
    bool no_place =
        false; /* of no interest: what a node offers and nobody can count is not offered */
    bool ok = true;

    while (ok && pb_next(&r, &f)) {
        if (f.tag == PB_LEN(2)) {
            ok = read_amount(d, r.origin, f.bytes, &allocatable, &list, &no_place, err);
        } else if (f.tag == PB_LEN(4)) {
            ok = read_condition(r.origin, f.bytes, &c, err);
            if (ok)
                node_note_condition(node, c.type, c.status);
        }
    }
    node->allocatable = amounts_of(&list);
    return ok && done(r, &path, err);
}

bool pb_read_node(struct decoder *d, struct sv object, struct node_parts *node, struct err *err)
{
    struct object o;

    return open_object(object, &o, err) && read_meta(d, o.origin, o.meta, &node->meta, err) &&
           read_node_spec(d, o.origin, o.spec, node, err) &&
           read_node_status(d, o.origin, o.status, node, err);
}

bool pb_read_meta(struct decoder *d, struct sv object, struct meta_parts *meta, struct err *err)
{
    struct object o;

    return open_object(object, &o, err) && read_meta(d, o.origin, o.meta, meta, err);
}

bool pb_read_version(struct sv object, struct sv *ret_version, struct err *err)
{
    struct path path = PATH(NULL, "metadata");
    struct object o;
    struct pb_field f;
    struct sv version = {0};

    if (!open_object(object, &o, err))
        return false;

    struct pb r = pb_sub(o.origin, o.meta);

    while (pb_next(&r, &f))
        if (f.tag == PB_LEN(6))
            version = f.bytes;
    if (!done(r, &path, err))
        return false;
    *ret_version = version;
    return true;
}

/* StatusDetails {4 causes {1 reason}, 5 retryAfterSeconds}. */
static bool read_details(const char *origin, struct sv bytes, struct api_status *status,
                         struct err *err)
{
    struct path path = PATH(NULL, "details");
    struct path causes = PATH(&path, "causes");
    struct pb r = pb_sub(origin, bytes);
    struct pb_field f;
    bool seen = false;

    while (pb_next(&r, &f)) {
        if (f.tag == PB_LEN(4) && !seen) {
            seen = true;
            if (!read_first(r.origin, f.bytes, &causes, &status->cause, err))
                return false;
        } else if (f.tag == PB_VAR(5)) {
            status->retry_after_s = pb_i32(f.num);
        }
    }
    return done(r, &path, err);
}

bool pb_read_status(struct decoder *d UNUSED, struct sv object, struct api_status *status,
                    struct err *err)
{
    struct pb r = pb_open(object);
    struct pb_field f;

    while (pb_next(&r, &f)) {
        switch (f.tag) {
        case PB_LEN(3):
            status->message = f.bytes;
            break;
        case PB_LEN(4):
            status->reason = f.bytes;
            break;
        case PB_LEN(5):
            if (!read_details(r.origin, f.bytes, status, err))
                return false;
            break;
        case PB_VAR(6):
            status->code = pb_i32(f.num);
            break;
        default:
            break;
        }
    }
    return pb_done(&r, err);
}
