/*
 * Objects of Kubernetes from JSON. The only user of cJSON: one item at a time is parsed into its tree, the wanted texts
 * are copied into the arena, and the tree is freed. null is read as absent everywhere.
 */
#include <cjson/cJSON.h>

#include "agent/kube/decode_parts.h"
#include "agent/kube/jsonscan.h"

/* Longest text that an error shows of a value. */
enum { VALUE_SHOWN = 60 };

static void free_tree(cJSON **tree)
{
    cJSON_Delete(*tree);
}

/* The value under a key; of a key that comes twice the last one, as in Go. */
static const cJSON *member(const cJSON *object, const char *key)
{
    const cJSON *found = NULL;
    const cJSON *child;

    cJSON_ArrayForEach(child, object)
    {
        if (strcmp(child->string, key) == 0)
            found = child;
    }
    return found == NULL || cJSON_IsNull(found) ? NULL : found;
}

/* Numbers come as marked strings: see jsonscan_rewrite(). */
static bool is_number(const cJSON *value)
{
    return cJSON_IsString(value) && value->valuestring[0] == JSONSCAN_NUMBER;
}

static bool is_text(const cJSON *value)
{
    return cJSON_IsString(value) && !is_number(value);
}

static bool unexpected(const cJSON *value, const char *expected, const struct path *path,
                       struct err *err)
{
    if (is_number(value))
        (void)err_set(err, ERR_INPUT, 0, "found %.*s, expected %s", VALUE_SHOWN,
                      value->valuestring + 1, expected);
    else if (cJSON_IsString(value))
        (void)err_set(err, ERR_INPUT, 0, "found '%.*s', expected %s", VALUE_SHOWN,
                      value->valuestring, expected);
    else
        (void)err_set(err, ERR_INPUT, 0, "found %s, expected %s",
                      cJSON_IsObject(value)  ? "an object"
                      : cJSON_IsArray(value) ? "a list"
                      : cJSON_IsTrue(value)  ? "true"
                      : cJSON_IsFalse(value) ? "false"
                                             : "null",
                      expected);
    return path_wrap(path, err);
}

/* Copies text of the tree, which ends before the record does. */
static bool keep(struct decoder *d, const char *text, const struct path *path, struct sv *ret_text,
                 struct err *err)
{
    if (strchr(text, JSONSCAN_NUL) != NULL || strchr(text, JSONSCAN_NUMBER) != NULL) {
        (void)err_set(err, ERR_INPUT, 0, "found a NUL or a number, expected text");
        return path_wrap(path, err);
    }

    struct sv copy = arena_dup(&d->arena, sv_from(text));

    if (copy.at == NULL) {
        (void)arena_full(err);
        return path_wrap(path, err);
    }
    *ret_text = copy;
    return true;
}

/* The get_*() functions leave *ret_ as it is where the key is absent. */

static bool get_text(struct decoder *d, const cJSON *object, const char *key, const struct path *up,
                     struct sv *ret_text, struct err *err)
{
    const cJSON *value = member(object, key);
    struct path path = PATH(up, key);

    if (value == NULL)
        return true;
    if (!is_text(value))
        return unexpected(value, "text", &path, err);
    return keep(d, value->valuestring, &path, ret_text, err);
}

static bool get_i64(const cJSON *object, const char *key, const struct path *up, int64_t min,
                    int64_t max, int64_t *ret_number, struct err *err)
{
    const cJSON *value = member(object, key);
    struct path path = PATH(up, key);
    int64_t number;

    if (value == NULL)
        return true;
    if (!is_number(value) || !sv_to_i64(sv_from(value->valuestring + 1), &number) || number < min ||
        number > max)
        return unexpected(value, max > INT32_MAX ? "a whole number" : "a whole number of 32 bits",
                          &path, err);
    *ret_number = number;
    return true;
}

static bool get_i32(const cJSON *object, const char *key, const struct path *up,
                    int32_t *ret_number, struct err *err)
{
    int64_t number = *ret_number;

    if (!get_i64(object, key, up, INT32_MIN, INT32_MAX, &number, err))
        return false;
    *ret_number = (int32_t)number;
    return true;
}

static bool get_bool(const cJSON *object, const char *key, const struct path *up, bool *ret_flag,
                     struct err *err)
{
    const cJSON *value = member(object, key);
    struct path path = PATH(up, key);

    if (value == NULL)
        return true;
    if (!cJSON_IsBool(value))
        return unexpected(value, "true or false", &path, err);
    *ret_flag = cJSON_IsTrue(value);
    return true;
}

static bool get_object(const cJSON *object, const char *key, const struct path *up,
                       const cJSON **ret_object, struct err *err)
{
    const cJSON *value = member(object, key);
    struct path path = PATH(up, key);

    if (value != NULL && !cJSON_IsObject(value))
        return unexpected(value, "an object", &path, err);
    *ret_object = value;
    return true;
}

static bool get_list(const cJSON *object, const char *key, const struct path *up,
                     const cJSON **ret_list, struct err *err)
{
    const cJSON *value = member(object, key);
    struct path path = PATH(up, key);

    if (value != NULL && !cJSON_IsArray(value))
        return unexpected(value, "a list", &path, err);
    *ret_list = value;
    return true;
}

static bool get_time(struct decoder *d, const cJSON *object, const char *key, const struct path *up,
                     struct wall *ret_t, struct err *err)
{
    struct path path = PATH(up, key);
    struct sv text = {0};

    if (!get_text(d, object, key, up, &text, err))
        return false;
    if (text.at == NULL || wall_parse(text, ret_t))
        return true;
    return unexpected(member(object, key), "a time (RFC 3339)", &path, err);
}

/* Calls `read` for each element of a list of objects. */
typedef bool element_fn(struct decoder *d, const cJSON *element, const struct path *path,
                        void *into, struct err *err);

static bool each(struct decoder *d, const cJSON *object, const char *key, const struct path *up,
                 element_fn *read, void *into, struct err *err)
{
    const cJSON *list;
    const cJSON *element;
    size_t index = 0;

    if (!get_list(object, key, up, &list, err))
        return false;
    cJSON_ArrayForEach(element, list)
    {
        struct path path = PATH_AT(up, key, index++);

        if (!cJSON_IsObject(element))
            return unexpected(element, "an object", &path, err);
        if (!read(d, element, &path, into, err))
            return false;
    }
    return true;
}

/* A map of text to text, into struct label. */
static bool get_labels(struct decoder *d, const cJSON *object, const char *key,
                       const struct path *up, struct list *labels, struct err *err)
{
    struct path path = PATH(up, key);
    const cJSON *map;
    const cJSON *child;

    if (!get_object(object, key, up, &map, err))
        return false;
    cJSON_ArrayForEach(child, map)
    {
        struct path at = PATH_KEY(&path, sv_from(child->string));
        struct label *label = decode_push(d, labels, sizeof *label, err);

        if (label == NULL)
            return path_wrap(&at, err);
        if (!keep(d, child->string, &at, &label->key, err))
            return false;
        if (cJSON_IsNull(child))
            continue;
        if (!is_text(child))
            return unexpected(child, "text", &at, err);
        if (!keep(d, child->valuestring, &at, &label->value, err))
            return false;
    }
    return true;
}

/* A quantity is text with blanks around it allowed, a number, or null, which is 0. */
static bool read_quantity(const cJSON *value, const struct path *path, struct quantity *ret_q,
                          struct err *err)
{
    *ret_q = (struct quantity){0};
    if (cJSON_IsNull(value))
        return true;
    if (!cJSON_IsString(value))
        return unexpected(value, "a quantity", path, err);

    struct sv text =
        is_number(value) ? sv_from(value->valuestring + 1) : sv_trim(sv_from(value->valuestring));

    return quantity_parse(text, ret_q, err) || path_wrap(path, err);
}

static bool get_amounts(struct decoder *d, const cJSON *object, const char *key,
                        const struct path *up, struct amounts *ret_amounts, bool *uncountable,
                        struct err *err)
{
    struct path path = PATH(up, key);
    struct list list = {0};
    const cJSON *map;
    const cJSON *child;

    if (!get_object(object, key, up, &map, err))
        return false;
    cJSON_ArrayForEach(child, map)
    {
        struct path at = PATH_KEY(&path, sv_from(child->string));
        struct quantity q;
        struct sv name;

        if (!keep(d, child->string, &at, &name, err) || !read_quantity(child, &at, &q, err))
            return false;
        if (!amounts_add(d, &list, name, &q, uncountable, err))
            return path_wrap(&at, err);
    }
    *ret_amounts = amounts_of(&list);
    return true;
}

/* `resources: {requests}`; *ret_found = is resources there? */
static bool get_requests(struct decoder *d, const cJSON *object, const struct path *up,
                         struct amounts *ret_requests, bool *ret_found, bool *uncountable,
                         struct err *err)
{
    struct path path = PATH(up, "resources");
    const cJSON *resources;

    if (!get_object(object, "resources", up, &resources, err))
        return false;
    *ret_found = resources != NULL;
    return get_amounts(d, resources, "requests", &path, ret_requests, uncountable, err);
}

static bool read_owner(struct decoder *d, const cJSON *owner, const struct path *path, void *into,
                       struct err *err)
{
    struct meta_parts *meta = into;
    bool controller = false;

    if (!get_bool(owner, "controller", path, &controller, err))
        return false;
    if (!controller || meta->has_owner)
        return true;
    meta->has_owner = true;
    return get_text(d, owner, "kind", path, &meta->owner_kind, err) &&
           get_text(d, owner, "name", path, &meta->owner_name, err) &&
           get_text(d, owner, "uid", path, &meta->owner_uid, err);
}

static bool read_annotations(struct decoder *d, const cJSON *object, const struct path *up,
                             struct meta_parts *meta, struct err *err)
{
    static const char *const wanted[] = {ANNOTATION_DELETION_COST, ANNOTATION_INITIAL_EVENTS_END};
    struct path path = PATH(up, "annotations");
    const cJSON *annotations;

    if (!get_object(object, "annotations", up, &annotations, err))
        return false;
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        struct sv value = {0};

        if (!get_text(d, annotations, wanted[i], &path, &value, err))
            return false;
        meta_note_annotation(meta, sv_from(wanted[i]), value);
    }
    return true;
}

static bool read_meta(struct decoder *d, const cJSON *root, struct meta_parts *meta,
                      struct err *err)
{
    struct path path = PATH(NULL, "metadata");
    struct wall deleted;
    const cJSON *object;

    if (!get_object(root, "metadata", NULL, &object, err))
        return false;
    meta->deleting = member(object, "deletionTimestamp") != NULL;
    return get_text(d, object, "name", &path, &meta->name, err) &&
           get_text(d, object, "namespace", &path, &meta->ns, err) &&
           get_text(d, object, "uid", &path, &meta->uid, err) &&
           get_text(d, object, "resourceVersion", &path, &meta->resource_version, err) &&
           get_time(d, object, "creationTimestamp", &path, &meta->created, err) &&
           get_time(d, object, "deletionTimestamp", &path, &deleted, err) &&
           get_labels(d, object, "labels", &path, &meta->labels, err) &&
           read_annotations(d, object, &path, meta, err) &&
           each(d, object, "ownerReferences", &path, read_owner, meta, err);
}

/* Containers or init containers of a pod. */
struct containers {
    struct pod_parts *pod;
    struct list *list;
};

static bool read_container(struct decoder *d, const cJSON *container, const struct path *path,
                           void *into, struct err *err)
{
    struct containers *to = into;
    struct container_amounts *c = decode_push(d, to->list, sizeof *c, err);
    struct sv policy = {0};
    bool found;

    if (c == NULL)
        return path_wrap(path, err);
    if (!get_text(d, container, "name", path, &c->name, err) ||
        !get_text(d, container, "restartPolicy", path, &policy, err) ||
        !get_requests(d, container, path, &c->requests, &found, &to->pod->rec.uncountable, err))
        return false;
    c->sidecar = to->list == &to->pod->inits && sv_eq(policy, SV("Always"));
    return true;
}

static bool read_requirement(struct decoder *d, const cJSON *object, const struct path *path,
                             void *into, struct err *err)
{
    struct requirement *req = decode_push(d, into, sizeof *req, err);
    struct list values = {0};
    struct sv op = {0};
    const cJSON *list;
    const cJSON *child;

    if (req == NULL)
        return path_wrap(path, err);
    if (!get_text(d, object, "key", path, &req->key, err) ||
        !get_text(d, object, "operator", path, &op, err) ||
        !get_list(object, "values", path, &list, err))
        return false;
    cJSON_ArrayForEach(child, list)
    {
        struct path at = PATH_AT(path, "values", values.n);
        struct sv *value = decode_push(d, &values, sizeof *value, err);

        if (value == NULL)
            return path_wrap(&at, err);
        if (!is_text(child))
            return unexpected(child, "text", &at, err);
        if (!keep(d, child->valuestring, &at, value, err))
            return false;
    }
    req->op = requirement_op_of(op);
    req->values = values.at;
    req->n_values = values.n;
    return true;
}

static bool read_term(struct decoder *d, const cJSON *object, const struct path *path, void *into,
                      struct err *err)
{
    struct pod_parts *pod = into;
    struct node_term *term = decode_push(d, &pod->terms, sizeof *term, err);
    struct list exprs = {0}, fields = {0};

    if (term == NULL)
        return path_wrap(path, err);
    if (!each(d, object, "matchExpressions", path, read_requirement, &exprs, err) ||
        !each(d, object, "matchFields", path, read_requirement, &fields, err))
        return false;
    *term = (struct node_term){
        .exprs = exprs.at, .n_exprs = exprs.n, .fields = fields.at, .n_fields = fields.n};
    return true;
}

static bool read_affinity(struct decoder *d, const cJSON *spec, const struct path *up,
                          struct pod_parts *pod, struct err *err)
{
    static const char *const required_key = "requiredDuringSchedulingIgnoredDuringExecution";
    struct path affinity_path = PATH(up, "affinity");
    struct path node_path = PATH(&affinity_path, "nodeAffinity");
    struct path path = PATH(&node_path, required_key);
    const cJSON *affinity, *node, *required;

    if (!get_object(spec, "affinity", up, &affinity, err) ||
        !get_object(affinity, "nodeAffinity", &affinity_path, &node, err) ||
        !get_object(node, required_key, &node_path, &required, err))
        return false;
    pod->rec.rules.has_affinity = required != NULL;
    return each(d, required, "nodeSelectorTerms", &path, read_term, pod, err);
}

static bool read_toleration(struct decoder *d, const cJSON *object, const struct path *path,
                            void *into, struct err *err)
{
    struct pod_parts *pod = into;
    struct toleration *t = decode_push(d, &pod->tolerations, sizeof *t, err);
    struct sv op = {0}, effect = {0};

    if (t == NULL)
        return path_wrap(path, err);
    if (!get_text(d, object, "key", path, &t->key, err) ||
        !get_text(d, object, "operator", path, &op, err) ||
        !get_text(d, object, "value", path, &t->value, err) ||
        !get_text(d, object, "effect", path, &effect, err))
        return false;
    t->op = toleration_op_of(op);
    t->effect = taint_effect_of(effect);
    return true;
}

static bool read_placement(struct decoder *d, const cJSON *spec, const struct path *path,
                           struct pod_parts *pod, struct err *err)
{
    return get_labels(d, spec, "nodeSelector", path, &pod->selector, err) &&
           read_affinity(d, spec, path, pod, err) &&
           each(d, spec, "tolerations", path, read_toleration, pod, err);
}

static bool read_containers(struct decoder *d, const cJSON *spec, const struct path *path,
                            struct pod_parts *pod, struct err *err)
{
    struct containers containers = {.pod = pod, .list = &pod->containers};
    struct containers inits = {.pod = pod, .list = &pod->inits};
    bool *uncountable = &pod->rec.uncountable;
    bool found;

    return each(d, spec, "containers", path, read_container, &containers, err) &&
           each(d, spec, "initContainers", path, read_container, &inits, err) &&
           get_requests(d, spec, path, &pod->in.pod_level, &found, uncountable, err) &&
           get_amounts(d, spec, "overhead", path, &pod->in.overhead, uncountable, err);
}

static bool read_gate(struct decoder *d, const cJSON *object, const struct path *path, void *into,
                      struct err *err)
{
    struct sv name = {0};

    if (!get_text(d, object, "name", path, &name, err))
        return false;
    pod_note_gate(into, name);
    return true;
}

static bool read_spec(struct decoder *d, const cJSON *root, struct pod_parts *pod, struct err *err)
{
    struct path path = PATH(NULL, "spec");
    struct pod_record *rec = &pod->rec;
    int64_t grace_s = rec->grace_s;
    struct sv preemption = {0};
    const cJSON *spec;

    if (!get_object(root, "spec", NULL, &spec, err) ||
        !get_text(d, spec, "nodeName", &path, &rec->node, err) ||
        !get_text(d, spec, "priorityClassName", &path, &rec->priority_class, err) ||
        !get_text(d, spec, "preemptionPolicy", &path, &preemption, err) ||
        !get_i32(spec, "priority", &path, &rec->priority, err) ||
        !get_i64(spec, "terminationGracePeriodSeconds", &path, INT64_MIN, INT64_MAX, &grace_s,
                 err) ||
        !each(d, spec, "schedulingGates", &path, read_gate, pod, err))
        return false;
    pod_note_grace(pod, grace_s);
    rec->preempts_never = sv_eq(preemption, SV("Never"));
    return read_placement(d, spec, &path, pod, err) && read_containers(d, spec, &path, pod, err);
}

static bool read_condition(struct decoder *d, const cJSON *object, const struct path *path,
                           struct sv *ret_type, struct sv *ret_status, struct sv *ret_reason,
                           struct err *err)
{
    *ret_type = *ret_status = *ret_reason = (struct sv){0};
    return get_text(d, object, "type", path, ret_type, err) &&
           get_text(d, object, "status", path, ret_status, err) &&
           get_text(d, object, "reason", path, ret_reason, err);
}

static bool read_pod_condition(struct decoder *d, const cJSON *object, const struct path *path,
                               void *into, struct err *err)
{
    struct sv type, status, reason;

    if (!read_condition(d, object, path, &type, &status, &reason, err))
        return false;
    pod_note_condition(into, type, status, reason);
    return true;
}

/* Statuses of containers or init containers. */
struct statuses {
    struct pod_parts *pod;
    struct list *list;
};

static bool read_container_status(struct decoder *d, const cJSON *object, const struct path *path,
                                  void *into, struct err *err)
{
    struct statuses *to = into;
    struct status_amounts *status = decode_push(d, to->list, sizeof *status, err);
    bool *uncountable = &to->pod->rec.uncountable;

    if (status == NULL)
        return path_wrap(path, err);
    return get_text(d, object, "name", path, &status->name, err) &&
           get_requests(d, object, path, &status->requests, &status->has_resources, uncountable,
                        err) &&
           get_amounts(d, object, "allocatedResources", path, &status->allocated, uncountable, err);
}

/* What only the resize rules look at. */
static bool read_resize(struct decoder *d, const cJSON *status, const struct path *path,
                        struct pod_parts *pod, struct err *err)
{
    struct statuses containers = {.pod = pod, .list = &pod->statuses};
    struct statuses inits = {.pod = pod, .list = &pod->init_statuses};
    struct podreq_input *in = &pod->in;
    bool *uncountable = &pod->rec.uncountable;

    return each(d, status, "containerStatuses", path, read_container_status, &containers, err) &&
           each(d, status, "initContainerStatuses", path, read_container_status, &inits, err) &&
           get_requests(d, status, path, &in->pod_status, &in->has_pod_status, uncountable, err) &&
           get_amounts(d, status, "allocatedResources", path, &in->pod_allocated, uncountable, err);
}

static bool read_pod_status(struct decoder *d, const cJSON *root, struct pod_parts *pod,
                            struct err *err)
{
    struct path path = PATH(NULL, "status");
    struct sv phase = {0};
    const cJSON *status;

    if (!get_object(root, "status", NULL, &status, err) ||
        !get_text(d, status, "phase", &path, &phase, err) ||
        !get_text(d, status, "nominatedNodeName", &path, &pod->rec.nominated, err) ||
        !each(d, status, "conditions", &path, read_pod_condition, pod, err))
        return false;
    pod->rec.phase = pod_phase_of(phase);
    return !pod_wants_status(d, pod) || read_resize(d, status, &path, pod, err);
}

static bool parse(struct sv object, cJSON **ret_root, struct err *err)
{
    CLEANUP(strbuf_done) struct strbuf text;
    CLEANUP(free_tree) cJSON *root = NULL;

    strbuf_init(&text, DECODE_MAX_ARENA);
    if (!jsonscan_rewrite(object, &text, err))
        return false;
    /* The length given includes the NUL that cJSON is asked to find behind the value. */
    root = text.len != 0 ? cJSON_ParseWithLengthOpts(text.at, text.len + 1, NULL, true) : NULL;
    if (root == NULL)
        return err_set(err, ERR_INPUT, 0, "no valid JSON in %zu bytes", object.len);
    if (!cJSON_IsObject(root))
        return unexpected(root, "an object", &PATH(NULL, ""), err);
    *ret_root = TAKE(root);
    return true;
}

bool json_read_pod(struct decoder *d, struct sv object, struct pod_parts *pod, struct err *err)
{
    CLEANUP(free_tree) cJSON *root = NULL;

    return parse(object, &root, err) && read_meta(d, root, &pod->meta, err) &&
           read_spec(d, root, pod, err) && read_pod_status(d, root, pod, err);
}

static bool read_taint(struct decoder *d, const cJSON *object, const struct path *path, void *into,
                       struct err *err)
{
    struct node_parts *node = into;
    struct taint *taint = decode_push(d, &node->taints, sizeof *taint, err);
    struct sv effect = {0};

    if (taint == NULL)
        return path_wrap(path, err);
    if (!get_text(d, object, "key", path, &taint->key, err) ||
        !get_text(d, object, "value", path, &taint->value, err) ||
        !get_text(d, object, "effect", path, &effect, err))
        return false;
    taint->effect = taint_effect_of(effect);
    return true;
}

static bool read_node_condition(struct decoder *d, const cJSON *object, const struct path *path,
                                void *into, struct err *err)
{
    struct sv type, status, reason;

    if (!read_condition(d, object, path, &type, &status, &reason, err))
        return false;
    node_note_condition(into, type, status);
    return true;
}

bool json_read_node(struct decoder *d, struct sv object, struct node_parts *node, struct err *err)
{
    CLEANUP(free_tree) cJSON *root = NULL;
    struct path spec_path = PATH(NULL, "spec");
    struct path status_path = PATH(NULL, "status");
    const cJSON *spec, *status;
    bool no_place = false;

    return parse(object, &root, err) && read_meta(d, root, &node->meta, err) &&
           get_object(root, "spec", NULL, &spec, err) &&
           get_bool(spec, "unschedulable", &spec_path, &node->rec.unschedulable, err) &&
           each(d, spec, "taints", &spec_path, read_taint, node, err) &&
           get_object(root, "status", NULL, &status, err) &&
           get_amounts(d, status, "allocatable", &status_path, &node->allocatable, &no_place,
                       err) &&
           each(d, status, "conditions", &status_path, read_node_condition, node, err);
}

bool json_read_meta(struct decoder *d, struct sv object, struct meta_parts *meta, struct err *err)
{
    CLEANUP(free_tree) cJSON *root = NULL;

    return parse(object, &root, err) && read_meta(d, root, meta, err);
}

static bool read_cause(struct decoder *d, const cJSON *cause, const struct path *path, void *into,
                       struct err *err)
{
    struct sv *reason = into;

    return path->index != 0 || get_text(d, cause, "reason", path, reason, err);
}

bool json_read_status(struct decoder *d, struct sv object, struct api_status *status,
                      struct err *err)
{
    CLEANUP(free_tree) cJSON *root = NULL;
    struct path path = PATH(NULL, "details");
    const cJSON *details;

    return parse(object, &root, err) && get_i32(root, "code", NULL, &status->code, err) &&
           get_text(d, root, "reason", NULL, &status->reason, err) &&
           get_text(d, root, "message", NULL, &status->message, err) &&
           get_object(root, "details", NULL, &details, err) &&
           get_i32(details, "retryAfterSeconds", &path, &status->retry_after_s, err) &&
           each(d, details, "causes", &path, read_cause, &status->cause, err);
}

bool json_read_list_meta(struct decoder *d, struct sv object, struct sv *ret_version,
                         struct sv *ret_continue, struct err *err)
{
    CLEANUP(free_tree) cJSON *root = NULL;
    struct path path = PATH(NULL, "metadata");

    return parse(object, &root, err) &&
           get_text(d, root, "resourceVersion", &path, ret_version, err) &&
           get_text(d, root, "continue", &path, ret_continue, err);
}
