#include "tests/pocket/object.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/pbmake.h"
#include "tests/pocket/encode.h"
#include "tests/pocket/scratch.h"

/* No object of this cluster is near this. */
enum { MAX_PART = 4 << 20 };

static const struct kind_info kinds[] = {
    [KIND_PODS] = {"v1", "Pod", "pods", true, true},
    [KIND_NODES] = {"v1", "Node", "nodes", false, true},
    [KIND_NAMESPACES] = {"v1", "Namespace", "namespaces", false, false},
    [KIND_CONFIGMAPS] = {"v1", "ConfigMap", "configmaps", true, false},
    [KIND_DEPLOYMENTS] = {"apps/v1", "Deployment", "deployments", true, false},
    [KIND_HPAS] = {"autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true,
                   false},
    [KIND_LEASES] = {"coordination.k8s.io/v1", "Lease", "leases", true, false},
    [KIND_EVENTS] = {"events.k8s.io/v1", "Event", "events", true, false},
    [KIND_PRIORITY_CLASSES] = {"scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", false,
                               false},
};
_Static_assert(COUNT_OF(kinds) == KIND_COUNT_, "a kind has no line");

const struct kind_info *kind_info(enum kind kind)
{
    return &kinds[kind];
}

static const char *const part_names[] = {
    [PART_META] = "metadata", [PART_SPEC] = "spec", [PART_STATUS] = "status"};

static const struct encode_message *message_of(enum kind kind, enum part part)
{
    if (part == PART_META)
        return &encode_meta;
    if (kind == KIND_PODS)
        return part == PART_SPEC ? &encode_pod_spec : &encode_pod_status;
    return part == PART_SPEC ? &encode_node_spec : &encode_node_status;
}

/* ---- shared parts ---- */

struct shared {
    unsigned refs;
    enum kind kind;
    char *text[PART_COUNT_];
    struct sv json[PART_COUNT_];
    struct strbuf protobuf[PART_COUNT_]; /* made when first wanted */
    bool encoded;
};

struct shared *shared_new(enum kind kind, const struct sv part[static PART_COUNT_])
{
    struct shared *s = xcalloc(1, sizeof *s);

    s->refs = 1;
    s->kind = kind;
    for (size_t i = 0; i < PART_COUNT_; i++) {
        s->text[i] = sv_dup(part[i]);
        s->json[i] = (struct sv){.at = s->text[i], .len = part[i].len};
        strbuf_init(&s->protobuf[i], MAX_PART);
    }
    return s;
}

struct shared *shared_ref(struct shared *s)
{
    if (s != NULL)
        s->refs++;
    return s;
}

void shared_unref(struct shared *s)
{
    if (s == NULL || --s->refs != 0)
        return;
    for (size_t i = 0; i < PART_COUNT_; i++) {
        free(s->text[i]);
        strbuf_done(&s->protobuf[i]);
    }
    free(s);
}

/* Encodes members without braces. */
static void encode_part(enum kind kind, enum part part, struct sv members, bool partial,
                        struct strbuf *out)
{
    struct strbuf text;
    cJSON *json;

    strbuf_init(&text, SIZE_MAX);
    (void)strbuf_room(&text, members.len + 2);
    (void)strbuf_add_char(&text, '{');
    (void)strbuf_add(&text, members);
    (void)strbuf_add_char(&text, '}');
    scratch_begin();
    json = cJSON_ParseWithLength(text.at, text.len);
    encode_object(message_of(kind, part), json, partial, out);
    cJSON_Delete(json);
    scratch_end();
    strbuf_done(&text);
}

static struct sv shared_part(struct shared *s, enum part part, bool protobuf)
{
    if (s == NULL)
        return (struct sv){0};
    if (!protobuf)
        return s->json[part];
    if (!s->encoded) {
        for (enum part p = PART_META; p < PART_COUNT_; p++)
            encode_part(s->kind, p, s->json[p], true, &s->protobuf[p]);
        s->encoded = true;
    }
    return strbuf_sv(&s->protobuf[part]);
}

/* ---- objects ---- */

static struct sv copy(char **at, struct sv text)
{
    struct sv to = {.at = *at, .len = text.len};

    if (text.len != 0)
        memcpy(*at, text.at, text.len);
    *at += text.len;
    return to;
}

static size_t text_size(const struct object_spec *s)
{
    size_t size = s->ns.len + s->name.len + s->node.len + s->phase.len + s->nominated.len;

    for (size_t i = 0; i < s->n_labels; i++)
        size += s->labels[i].key.len + s->labels[i].value.len;
    for (size_t i = 0; i < PART_COUNT_; i++)
        size += s->part[i].len;
    return size;
}

/* One allocation: the struct, the labels, the text. */
struct object *object_new(const struct object_spec *spec)
{
    size_t labels = spec->n_labels * sizeof *spec->labels;
    struct object *o = xmalloc(sizeof *o + labels + text_size(spec));
    struct label *label = (struct label *)(o + 1);
    char *at = (char *)label + labels;

    *o = (struct object){.refs = 1, .is = *spec};
    o->is.ns = copy(&at, spec->ns);
    o->is.name = copy(&at, spec->name);
    o->is.node = copy(&at, spec->node);
    o->is.phase = copy(&at, spec->phase);
    o->is.nominated = copy(&at, spec->nominated);
    o->is.labels = label;
    for (size_t i = 0; i < spec->n_labels; i++) {
        label[i].key = copy(&at, spec->labels[i].key);
        label[i].value = copy(&at, spec->labels[i].value);
    }
    for (size_t i = 0; i < PART_COUNT_; i++)
        o->is.part[i] = copy(&at, spec->part[i]);
    (void)shared_ref(spec->shared);
    return o;
}

struct object *object_ref(struct object *o)
{
    o->refs++;
    return o;
}

void object_unref(struct object *o)
{
    if (o == NULL || --o->refs != 0)
        return;
    shared_unref(o->is.shared);
    free(o->protobuf);
    free(o);
}

/* ---- JSON ---- */

static void add_members(struct strbuf *out, struct sv own, struct sv common)
{
    (void)strbuf_add(out, own);
    if (own.len != 0 && common.len != 0)
        (void)strbuf_add_char(out, ',');
    (void)strbuf_add(out, common);
}

void object_json(const struct object *o, uint64_t version, bool typed, struct strbuf *out)
{
    const struct kind_info *info = kind_info(o->is.kind);

    (void)strbuf_add_char(out, '{');
    if (typed)
        (void)strbuf_addf(out, "\"kind\":\"%s\",\"apiVersion\":\"%s\",", info->kind,
                          info->api_version);
    (void)strbuf_addf(out, "\"metadata\":{\"resourceVersion\":\"%llu\",",
                      (unsigned long long)version);
    add_members(out, o->is.part[PART_META], shared_part(o->is.shared, PART_META, false));
    (void)strbuf_add_char(out, '}');
    if (!info->parted && o->is.part[PART_SPEC].len != 0) {
        (void)strbuf_add_char(out, ',');
        (void)strbuf_add(out, o->is.part[PART_SPEC]);
    }
    for (enum part p = PART_SPEC; info->parted && p < PART_COUNT_; p++) {
        (void)strbuf_addf(out, ",\"%s\":{", part_names[p]);
        add_members(out, o->is.part[p], shared_part(o->is.shared, p, false));
        (void)strbuf_add_char(out, '}');
    }
    (void)strbuf_add_char(out, '}');
}

/* ---- protobuf ---- */

enum { META_VERSION = 6 };

static void make_protobuf(struct object *o)
{
    struct strbuf all;

    if (o->protobuf != NULL)
        return;
    strbuf_init(&all, MAX_PART);
    for (enum part p = PART_META; p < PART_COUNT_; p++) {
        size_t before = all.len;

        encode_part(o->is.kind, p, o->is.part[p], false, &all);
        o->protobuf_len[p] = (uint32_t)(all.len - before);
    }
    o->protobuf = xrealloc(all.at, all.len + 1);
}

static size_t varint_size(uint64_t value)
{
    size_t size = 1;

    while (value >= 0x80) {
        value >>= 7;
        size++;
    }
    return size;
}

/* The part's own bytes, the version where it is metadata, and what is shared. */
static size_t part_size(struct object *o, enum part part, size_t version_len)
{
    size_t size = o->protobuf_len[part] + shared_part(o->is.shared, part, true).len;

    return part == PART_META ? size + 1 + varint_size(version_len) + version_len : size;
}

static struct sv version_text(uint64_t version, char text[static 24])
{
    return (struct sv){.at = text,
                       .len = (size_t)snprintf(text, 24, "%llu", (unsigned long long)version)};
}

size_t object_protobuf_size(struct object *o)
{
    char text[24];
    size_t version_len = version_text(o->version, text).len;
    size_t size = 0;

    make_protobuf(o);
    for (enum part p = PART_META; p < PART_COUNT_; p++) {
        size_t n = part_size(o, p, version_len);

        size += 1 + varint_size(n) + n;
    }
    return size;
}

void object_protobuf_as(struct object *o, uint64_t version, struct strbuf *out)
{
    char text[24];
    struct sv version_sv = version_text(version, text);
    const char *own;

    make_protobuf(o);
    own = o->protobuf;
    for (enum part p = PART_META; p < PART_COUNT_; p++) {
        /* A tag and a length look like a number in a field, but for the wire type. */
        size_t tag_at = out->len;

        pbmake_var(out, p + 1, part_size(o, p, version_sv.len));
        out->at[tag_at] = (char)(out->at[tag_at] | 2);
        (void)strbuf_add(out, (struct sv){.at = own, .len = o->protobuf_len[p]});
        if (p == PART_META)
            pbmake_bytes(out, META_VERSION, version_sv);
        (void)strbuf_add(out, shared_part(o->is.shared, p, true));
        own += o->protobuf_len[p];
    }
}

void object_protobuf(struct object *o, struct strbuf *out)
{
    object_protobuf_as(o, o->version, out);
}
