#include "agent/kube/decode.h"

#include <stdio.h>

#include "agent/kube/decode_parts.h"
#include "agent/kube/pbwire.h"

/* What the API server writes into pods that do not say (k8s.io/api/core/v1: DefaultTerminationGracePeriodSeconds). */
enum { GRACE_DEFAULT_S = 30 };

/* First room of a growing array: most lists of a pod are no longer. */
enum { LIST_FIRST = 4 };

/* Longest piece of a key from outside that an error shows. */
enum { KEY_SHOWN = 60 };

/* 0000-01-01 and the last second of 9999, as RFC 3339 bounds them. */
#define SECONDS_FIRST INT64_C(-62167219200)
#define SECONDS_LAST  INT64_C(253402300799)

static void path_text(const struct path *path, struct strbuf *out)
{
    if (path->up != NULL) {
        path_text(path->up, out);
        if (out->len != 0)
            (void)strbuf_add_char(out, '.');
    }
    if (path->name != NULL)
        (void)strbuf_addf(out, "%s", path->name);
    else
        (void)strbuf_addf(out, "%.*s", path->key.len < KEY_SHOWN ? (int)path->key.len : KEY_SHOWN,
                          path->key.at);
    if (path->index != PATH_NO_INDEX)
        (void)strbuf_addf(out, "[%zu]", path->index);
}

bool path_wrap(const struct path *path, struct err *err)
{
    CLEANUP(strbuf_done) struct strbuf text = {.max = sizeof err->text};

    if (err == NULL)
        return false;
    path_text(path, &text);
    if (text.len != 0)
        (void)err_wrap(err, "%s", strbuf_str(&text));
    /* Keys and values from outside are in it: shown as far as they are ASCII, which all that is valid is. */
    for (char *c = err->text; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return false;
}

bool arena_full(struct err *err)
{
    return err_set(err, ERR_LIMIT, 0, "needs more than %d MiB when decoded",
                   DECODE_MAX_ARENA >> 20);
}

void *decode_push(struct decoder *d, struct list *list, size_t size, struct err *err)
{
    if (list->n == list->cap) {
        size_t cap = list->cap != 0 ? list->cap * 2 : LIST_FIRST;
        void *grown = arena_alloc(&d->arena, cap, size);

        if (grown == NULL) {
            (void)arena_full(err);
            return NULL;
        }
        if (list->n != 0)
            memcpy(grown, list->at, list->n * size);
        list->at = grown;
        list->cap = cap;
    }
    return (char *)list->at + list->n++ * size;
}

enum taint_effect taint_effect_of(struct sv text)
{
    if (text.len == 0)
        return EFFECT_NONE;
    if (sv_eq(text, SV("NoSchedule")))
        return EFFECT_NO_SCHEDULE;
    if (sv_eq(text, SV("NoExecute")))
        return EFFECT_NO_EXECUTE;
    return sv_eq(text, SV("PreferNoSchedule")) ? EFFECT_PREFER_NO_SCHEDULE : EFFECT_OTHER;
}

enum toleration_op toleration_op_of(struct sv text)
{
    if (text.len == 0 || sv_eq(text, SV("Equal")))
        return TOLERATE_EQUAL;
    return sv_eq(text, SV("Exists")) ? TOLERATE_EXISTS : TOLERATE_OTHER;
}

static const struct sv op_names[] = {
    [OP_IN] = SV("In"),         [OP_NOT_IN] = SV("NotIn"),
    [OP_EXISTS] = SV("Exists"), [OP_DOES_NOT_EXIST] = SV("DoesNotExist"),
    [OP_GT] = SV("Gt"),         [OP_LT] = SV("Lt"),
};
_Static_assert(COUNT_OF(op_names) == OP_INVALID, "an operator has no name");

enum requirement_op requirement_op_of(struct sv text)
{
    for (unsigned op = 0; op < COUNT_OF(op_names); op++)
        if (sv_eq(text, op_names[op]))
            return (enum requirement_op)op;
    return OP_INVALID;
}

struct sv requirement_op_name(enum requirement_op op)
{
    return op_names[op];
}

enum pod_phase pod_phase_of(struct sv text)
{
    if (text.len == 0)
        return PHASE_PENDING;
    for (unsigned phase = 0; phase < PHASE_COUNT_; phase++)
        if (sv_eq(text, sv_from(pod_phase_name((enum pod_phase)phase))))
            return (enum pod_phase)phase;
    return PHASE_UNKNOWN;
}

bool wall_of_seconds(int64_t seconds, struct wall *ret_t)
{
    if (seconds < SECONDS_FIRST || seconds > SECONDS_LAST)
        return false;
    *ret_t = (struct wall){.us = seconds * US_PER_S};
    return true;
}

void meta_note_annotation(struct meta_parts *meta, struct sv key, struct sv value)
{
    if (sv_eq(key, SV(ANNOTATION_DELETION_COST)))
        meta->deletion_cost = value;
    else if (sv_eq(key, SV(ANNOTATION_INITIAL_EVENTS_END)))
        meta->initial_events_end = sv_eq(value, SV("true"));
}

/* As the ReplicaSet controller reads it: a plus sign or a leading zero is broken, and broken is 0. */
static int32_t deletion_cost(struct sv text)
{
    int64_t cost;

    if (text.len == 0 || text.at[0] == '+' || (text.at[0] == '0' && text.len > 1))
        return 0;
    if (!sv_to_i64(text, &cost) || cost < INT32_MIN || cost > INT32_MAX)
        return 0;
    return (int32_t)cost;
}

bool pod_wants_status(const struct decoder *d, const struct pod_parts *pod)
{
    return pod->rec.node.len != 0 && (d->rules.status || d->rules.pod_level_status);
}

void pod_note_condition(struct pod_parts *pod, struct sv type, struct sv status, struct sv reason)
{
    if (sv_eq(type, SV("Ready")) && !pod->seen_ready) {
        pod->seen_ready = true;
        pod->rec.ready = sv_eq(status, SV("True"));
    } else if (sv_eq(type, SV("PodScheduled")) && !pod->seen_scheduled) {
        pod->seen_scheduled = true;
        pod->rec.unschedulable = sv_eq(status, SV("False")) && sv_eq(reason, SV("Unschedulable"));
    } else if (sv_eq(type, SV("PodResizePending")) && !pod->seen_resize) {
        pod->seen_resize = true;
        pod->in.infeasible = sv_eq(reason, SV("Infeasible"));
    }
}

/* Bounded, so that nobody overflows when making microseconds of it. Negative ones are refused by the API server. */
void pod_note_grace(struct pod_parts *pod, int64_t seconds)
{
    if (seconds < 0)
        seconds = 0;
    pod->rec.grace_s = seconds < INT32_MAX ? seconds : INT32_MAX;
}

void pod_note_gate(struct pod_parts *pod, struct sv name)
{
    pod->rec.gated = true;
    if (sv_eq(name, SV(ROOM_GATE)))
        pod->rec.gated_by_brim = true;
    else
        pod->rec.gated_by_others = true;
}

void node_note_condition(struct node_parts *node, struct sv type, struct sv status)
{
    if (!sv_eq(type, SV("Ready")) || node->seen_ready)
        return;
    node->seen_ready = true;
    node->rec.ready = sv_eq(status, SV("True"));
}

/* -1 where the name is not counted; *ret_no_place: it would be, but all places are taken. */
static int place_of(struct resource_names *names, struct sv name, bool *ret_no_place)
{
    bool overflow = names->overflow;
    int place;

    names->overflow = false;
    place = resource_names_find(names, name, true);
    *ret_no_place = names->overflow;
    names->overflow |= overflow;
    return place;
}

bool amounts_add(struct decoder *d, struct list *list, struct sv name, const struct quantity *q,
                 bool *uncountable, struct err *err)
{
    bool no_place;
    int place = place_of(d->names, name, &no_place);

    if (no_place && q->nano > 0)
        *uncountable = true;
    if (place < 0)
        return true;

    struct amount *all = list->at;
    struct amount *amount = NULL;

    for (size_t i = 0; i < list->n; i++)
        if (all[i].place == place)
            amount = &all[i];
    if (amount == NULL)
        amount = decode_push(d, list, sizeof *amount, err);
    if (amount == NULL)
        return false;
    *amount = (struct amount){.place = place, .q = *q};
    return true;
}

void decoder_init(struct decoder *d, struct resource_names *names, const struct podreq_rules *rules)
{
    *d = (struct decoder){.names = names, .rules = *rules};
    arena_init(&d->arena, DECODE_MAX_ARENA);
}

void decoder_done(struct decoder *d)
{
    arena_done(&d->arena);
}

/* No text is no uid. */
static struct uid uid_of(struct sv text)
{
    return text.len != 0 ? uid_parse(text) : (struct uid){0};
}

static void finish_pod(struct decoder *d, struct pod_parts *pod)
{
    const struct meta_parts *meta = &pod->meta;
    struct pod_record *rec = &pod->rec;
    struct podreq_input *in = &pod->in;

    rec->ns = meta->ns;
    rec->name = meta->name;
    rec->uid = uid_of(meta->uid);
    rec->labels = meta->labels.at;
    rec->n_labels = meta->labels.n;
    rec->created = meta->created;
    rec->deleting = meta->deleting;
    rec->deletion_cost = deletion_cost(meta->deletion_cost);
    if (meta->has_owner) {
        rec->owner_uid = uid_of(meta->owner_uid);
        rec->owner_kind = meta->owner_kind;
        rec->owner_name = meta->owner_name;
    }
    rec->rules.node_selector = pod->selector.at;
    rec->rules.n_node_selector = pod->selector.n;
    rec->rules.terms = pod->terms.at;
    rec->rules.n_terms = pod->terms.n;
    rec->rules.tolerations = pod->tolerations.at;
    rec->rules.n_tolerations = pod->tolerations.n;

    in->containers = pod->containers.at;
    in->n_containers = pod->containers.n;
    in->inits = pod->inits.at;
    in->n_inits = pod->inits.n;
    in->statuses = pod->statuses.at;
    in->n_statuses = pod->statuses.n;
    in->init_statuses = pod->init_statuses.at;
    in->n_init_statuses = pod->init_statuses.n;
    in->has_node = rec->node.len != 0;
    rec->request = podreq_count(in, &d->rules, d->names, d->steps);
}

bool decode_pod(struct decoder *d, enum decode_format format, struct sv object,
                struct pod_record *ret_pod, struct err *err)
{
    struct pod_parts pod = {.rec.grace_s = GRACE_DEFAULT_S};
    bool ok;

    arena_clear(&d->arena);
    ok = format == DECODE_PROTOBUF ? pb_read_pod(d, object, &pod, err)
                                   : json_read_pod(d, object, &pod, err);
    if (!ok)
        return false;
    finish_pod(d, &pod);
    *ret_pod = pod.rec;
    return true;
}

static void finish_node(struct node_parts *node)
{
    struct node_record *rec = &node->rec;
    const struct amount *amounts = node->allocatable.at;

    rec->name = node->meta.name;
    rec->uid = uid_of(node->meta.uid);
    rec->labels = node->meta.labels.at;
    rec->n_labels = node->meta.labels.n;
    rec->taints = node->taints.at;
    rec->n_taints = node->taints.n;
    for (size_t i = 0; i < node->allocatable.n; i++) {
        int64_t *to = &rec->allocatable.at[amounts[i].place];

        /* What does not fit int64 stays at its largest number. */
        if (amounts[i].place == RESOURCE_CPU)
            (void)quantity_milli(&amounts[i].q, to);
        else
            (void)quantity_value(&amounts[i].q, to);
    }
}

bool decode_node(struct decoder *d, enum decode_format format, struct sv object,
                 struct node_record *ret_node, struct err *err)
{
    struct node_parts node = {0};
    bool ok;

    arena_clear(&d->arena);
    ok = format == DECODE_PROTOBUF ? pb_read_node(d, object, &node, err)
                                   : json_read_node(d, object, &node, err);
    if (!ok)
        return false;
    finish_node(&node);
    *ret_node = node.rec;
    return true;
}

bool decode_meta(struct decoder *d, enum decode_format format, struct sv object,
                 struct object_meta *ret_meta, struct err *err)
{
    struct meta_parts meta = {0};
    bool ok;

    arena_clear(&d->arena);
    ok = format == DECODE_PROTOBUF ? pb_read_meta(d, object, &meta, err)
                                   : json_read_meta(d, object, &meta, err);
    if (!ok)
        return false;
    *ret_meta = (struct object_meta){
        .ns = meta.ns,
        .name = meta.name,
        .resource_version = meta.resource_version,
        .uid = uid_of(meta.uid),
        .initial_events_end = meta.initial_events_end,
    };
    return true;
}

bool decode_version(struct decoder *d, enum decode_format format, struct sv object,
                    struct sv *ret_version, struct err *err)
{
    struct object_meta meta;

    if (format == DECODE_PROTOBUF)
        return pb_read_version(object, ret_version, err);
    if (!decode_meta(d, format, object, &meta, err))
        return false;
    *ret_version = meta.resource_version;
    return true;
}

bool decode_status(struct decoder *d, enum decode_format format, struct sv object,
                   struct api_status *ret_status, struct err *err)
{
    struct api_status status = {0};
    bool ok;

    arena_clear(&d->arena);
    ok = format == DECODE_PROTOBUF ? pb_read_status(d, object, &status, err)
                                   : json_read_status(d, object, &status, err);
    if (!ok)
        return false;
    *ret_status = status;
    return true;
}

bool decode_unwrap(enum decode_format format, struct sv body, struct sv *ret_object,
                   struct err *err)
{
    if (format == DECODE_PROTOBUF)
        return pb_unwrap(body, ret_object, err);
    *ret_object = body;
    return true;
}
