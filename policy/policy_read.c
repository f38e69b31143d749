/* How a document becomes a policy. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "base/yaml.h"
#include "capacity/names.h"
#include "policy/field.h"
#include "policy/policy.h"
#include "policy/schedule.h"

enum { YAML_ARENA_BYTES = 64 << 20 }; /* the largest text with the most nodes fits */

/* One policy that is being read. */
struct reader {
    struct sv where;
    const struct zone_source *zones; /* NULL: UTC alone */
    struct policy *policy;
    struct policy *values; /* of an override, whose keys are being read; NULL: the spec's own */
    uint64_t *set;         /* and which of them were there */
    struct err *err;
};

/* Where in the document a value stands. */
struct place {
    const struct place *parent; /* NULL: the top */
    struct sv path;             /* in the table */
    struct sv key;              /* empty: an element of a list */
    size_t index;
};

static void show_place(const struct place *place, struct strbuf *out)
{
    char key[YAML_SHOW_SIZE];

    if (place->parent == NULL)
        return;
    show_place(place->parent, out);
    if (place->key.at == NULL)
        (void)strbuf_addf(out, "[%zu]", place->index);
    else
        (void)strbuf_addf(out, "%s%s", out->len != 0 ? "." : "", yaml_show(place->key, key));
}

/* Puts `where:line:column: path: ` in front. */
static bool wrap(const struct reader *r, int line, int column, const struct place *place)
{
    struct strbuf shown;

    strbuf_init(&shown, sizeof r->err->text);
    show_place(place, &shown);
    if (shown.len != 0)
        (void)err_wrap(r->err, "%s", strbuf_str(&shown));
    strbuf_done(&shown);
    return err_wrap(r->err, "%.*s:%d:%d", SV_ARG(r->where), line, column);
}

/* What is left to say of a value of the wrong kind, or of none (NULL). */
static bool refuse_kind(const struct reader *r, const struct yaml_node *node, const struct field *f)
{
    char text[YAML_SHOW_SIZE];
    struct strbuf expected;

    strbuf_init(&expected, sizeof r->err->text);
    if (f != NULL)
        field_expected(f, &expected);
    else
        (void)strbuf_add(&expected, SV("a mapping"));
    if (node == NULL)
        (void)err_set(r->err, ERR_INPUT, 0, "found nothing, expected %s", strbuf_str(&expected));
    else if (node->kind == YAML_SCALAR)
        (void)err_set(r->err, ERR_INPUT, 0, "found %s, expected %s", yaml_show(node->text, text),
                      strbuf_str(&expected));
    else
        (void)err_set(r->err, ERR_INPUT, 0, "found a %s, expected %s", yaml_kind_name(node->kind),
                      strbuf_str(&expected));
    strbuf_done(&expected);
    return false;
}

static void add_children(struct sv parent, struct strbuf *out)
{
    const char *before = "";
    struct sv key;

    for (size_t i = 0; i < field_count(); i++) {
        if (!field_is_child(field_at(i), parent, &key))
            continue;
        (void)strbuf_addf(out, "%s%.*s", before, SV_ARG(key));
        before = ", ";
    }
}

/* An override's keys are its own and the spec's. */
static bool refuse_override_key(const struct reader *r, const struct yaml_node *entry,
                                const struct place *place)
{
    const char *near = field_nearest(place->parent->path, entry->key);

    if (near == NULL)
        near = field_nearest(SV("spec"), entry->key);
    if (field_child(SV("spec"), entry->key) != NULL)
        (void)err_set(r->err, ERR_INPUT, 0,
                      "found a key that no schedule changes, expected another");
    else if (near != NULL && sv_starts(sv_from(near), SV("spec.")))
        (void)err_set(r->err, ERR_INPUT, 0, "unknown key, did you mean %s?",
                      sv_starts(sv_from(near), SV("spec.schedule")) ? near
                                                                    : near + strlen("spec."));
    else
        (void)err_set(r->err, ERR_INPUT, 0,
                      "unknown key, expected days, from, to, zone or a key of spec");
    return wrap(r, entry->key_line, entry->key_column, place);
}

static bool refuse_key(const struct reader *r, const struct yaml_node *entry,
                       const struct place *parent)
{
    const struct place place = {.parent = parent, .key = entry->key};
    const char *near = field_nearest(parent->path, entry->key);
    struct strbuf children;

    if (sv_eq(parent->path, SV("spec.schedule[]")))
        return refuse_override_key(r, entry, &place);

    strbuf_init(&children, sizeof r->err->text);
    add_children(parent->path, &children);
    if (near != NULL)
        (void)err_set(r->err, ERR_INPUT, 0, "unknown key, did you mean %s?", near);
    else
        (void)err_set(r->err, ERR_INPUT, 0, "unknown key, expected %s", strbuf_str(&children));
    strbuf_done(&children);
    return wrap(r, entry->key_line, entry->key_column, &place);
}

static bool read_mapping(struct reader *r, const struct yaml_node *node, const struct place *place,
                         void *object);

/* Asks for what must stand in this mapping and does not. */
static bool check_required(const struct reader *r, const struct yaml_node *node,
                           const struct place *place, const bool *seen)
{
    struct place child = {.parent = place};

    for (size_t i = 0; i < field_count(); i++) {
        const struct field *f = field_at(i);

        if (seen[i] || !f->required || !field_is_child(f, place->path, &child.key))
            continue;
        return refuse_kind(r, NULL, f) || wrap(r, node->line, node->column, &child);
    }
    return true;
}

static void set_default(const struct field *f, struct arena *arena, void *object)
{
    bool ok = f->def == NULL || field_read(f, sv_from(f->def), arena, object, NULL);

    assert(ok);
    (void)ok;
}

/* Every default of the table, so that groups which are left out have theirs too. */
static void set_defaults(struct policy *p)
{
    for (size_t i = 0; i < field_count(); i++) {
        if (strchr(field_at(i)->path, '[') == NULL)
            set_default(field_at(i), &p->arena, p);
    }
}

static void set_element_defaults(struct sv path, struct arena *arena, void *element)
{
    struct sv key;

    for (size_t i = 0; i < field_count(); i++) {
        if (field_is_child(field_at(i), path, &key))
            set_default(field_at(i), arena, element);
    }
}

static bool refuse_size(const struct reader *r)
{
    return err_set(r->err, ERR_LIMIT, 0, "the policy is larger than the limit of %d bytes",
                   POLICY_MAX_BYTES);
}

static bool read_element(struct reader *r, const struct field *f, const struct yaml_node *node,
                         const struct place *place, void *element)
{
    set_element_defaults(place->path, &r->policy->arena, element);
    if (!read_mapping(r, node, place, element))
        return false;
    return f->check == NULL || f->check(element, r->err) ||
           wrap(r, node->line, node->column, place);
}

static bool load_zone(const struct reader *r, struct policy_override *o)
{
    char shown[YAML_SHOW_SIZE];
    struct err reason = {0};

    if (r->zones != NULL) {
        if (r->zones->load(r->zones->self, o->zone_name, &o->zone, &reason))
            return true;
    } else if (sv_eq(o->zone_name, SV("UTC"))) {
        o->zone = zone_utc();
        return true;
    } else {
        (void)err_set(&reason, ERR_NOT_FOUND, 0, "UTC alone is known here");
    }
    return err_set(r->err, ERR_INPUT, 0, "found %s, expected a time zone: %s",
                   yaml_show(o->zone_name, shown), reason.text);
}

static bool is_empty(const struct policy_override *o)
{
    for (size_t i = 0; i < POLICY_SET_WORDS; i++) {
        if (o->set[i] != 0)
            return false;
    }
    return true;
}

/* An entry of the schedule. */
static bool read_override(struct reader *r, const struct field *f, const struct yaml_node *node,
                          const struct place *place, void *element)
{
    struct policy_override *o = element;
    const struct yaml_node *zone = yaml_get(node, "zone");
    const struct place zone_place = {.parent = place, .key = SV("zone")};
    struct policy *values = arena_alloc(&r->policy->arena, 1, sizeof *values);
    struct reader inner = *r;

    if (values == NULL)
        return refuse_size(r) || wrap(r, node->line, node->column, place);
    inner.values = values;
    inner.set = o->set;
    o->values = values;
    if (!read_element(&inner, f, node, place, o))
        return false;
    if (!load_zone(r, o))
        return wrap(r, zone != NULL ? zone->line : node->line,
                    zone != NULL ? zone->column : node->column, &zone_place);
    return !is_empty(o) ||
           err_set(r->err, ERR_INPUT, 0,
                   "found an entry that changes nothing, expected a key of spec in it") ||
           wrap(r, node->line, node->column, place);
}

/* Both kinds of arrays: where they begin, and how many there are. */
static void store_array(const struct field *f, void *object, void *first, size_t count)
{
    memcpy((char *)object + f->offset, &(void *){count != 0 ? first : NULL}, sizeof first);
    memcpy((char *)object + f->count_offset, &count, sizeof count);
}

/* Room for the elements; what they are called is for the error. */
static bool make_array(const struct reader *r, const struct field *f, const struct yaml_node *node,
                       const char *what, void **ret_first)
{
    if (node->kind != (f->type == FIELD_LABELS ? YAML_MAPPING : YAML_SEQUENCE))
        return refuse_kind(r, node, f);
    if (node->count > FIELD_MAX_ELEMENTS)
        return err_set(r->err, ERR_INPUT, 0, "found %zu %s, expected at most %d", node->count, what,
                       FIELD_MAX_ELEMENTS);
    *ret_first = arena_alloc(&r->policy->arena, node->count, f->element_size);
    return *ret_first != NULL || refuse_size(r);
}

static bool read_list(struct reader *r, const struct field *f, const struct yaml_node *node,
                      const struct place *place, void *object)
{
    bool overrides = f->type == FIELD_OVERRIDES;
    struct place element = {.parent = place, .path = field_elements(f)};
    struct reader inner = *r;
    void *first = NULL;

    if (!make_array(r, f, node, overrides ? "entries" : "rules", &first))
        return wrap(r, node->line, node->column, place);
    /* At once, so that whatever of it is made is freed with the policy. */
    store_array(f, object, first, node->count);
    inner.values = NULL;
    for (const struct yaml_node *each = node->first; each != NULL;
         each = each->next, element.index++) {
        void *at = (char *)first + element.index * f->element_size;

        if (!(overrides ? read_override : read_element)(&inner, f, each, &element, at))
            return false;
    }
    return true;
}

static bool read_label(struct reader *r, const struct yaml_node *node, struct label *label)
{
    char shown[YAML_SHOW_SIZE];

    if (!names_qualified(node->key))
        return err_set(r->err, ERR_INPUT, 0, "found %s, expected a label's key such as app",
                       yaml_show(node->key, shown));
    if (node->kind != YAML_SCALAR || !names_label_value(node->text))
        return err_set(r->err, ERR_INPUT, 0, "found %s, expected a label's value",
                       node->kind == YAML_SCALAR ? yaml_show(node->text, shown)
                                                 : yaml_kind_name(node->kind));
    label->key = arena_dup(&r->policy->arena, node->key);
    label->value = arena_dup(&r->policy->arena, node->text);
    return (label->key.at != NULL && label->value.at != NULL) || refuse_size(r);
}

static bool read_labels(struct reader *r, const struct field *f, const struct yaml_node *node,
                        const struct place *place, void *object)
{
    void *first = NULL;
    size_t n = 0;

    if (!make_array(r, f, node, "labels", &first))
        return wrap(r, node->line, node->column, place);
    for (const struct yaml_node *each = node->first; each != NULL; each = each->next) {
        const struct place label = {.parent = place, .key = each->key};

        if (!read_label(r, each, (struct label *)first + n++))
            return wrap(r, each->line, each->column, &label);
    }
    store_array(f, object, first, n);
    return true;
}

static bool read_value(struct reader *r, const struct field *f, const struct yaml_node *node,
                       const struct place *place, void *object)
{
    if (f->type == FIELD_GROUP)
        return read_mapping(r, node, place, object);
    if (f->type == FIELD_LIST || f->type == FIELD_OVERRIDES)
        return read_list(r, f, node, place, object);
    if (f->type == FIELD_LABELS)
        return read_labels(r, f, node, place, object);
    if (node->kind != YAML_SCALAR ? !refuse_kind(r, node, f)
                                  : !field_read(f, node->text, &r->policy->arena, object, r->err))
        return wrap(r, node->line, node->column, place);
    return true;
}

/* Which key an entry is, and whose: among the keys of an override are the spec's. */
static const struct field *find_key(const struct reader *r, struct sv path, struct sv key,
                                    void **object)
{
    const struct field *f = field_child(path, key);

    if (f != NULL || !sv_eq(path, SV("spec.schedule[]")))
        return f;
    f = field_child(SV("spec"), key);
    if (f == NULL || !field_is_scheduled(f))
        return NULL;
    *object = r->values;
    return f;
}

static void note_set(const struct reader *r, const struct field *f)
{
    size_t i = (size_t)(f - field_at(0));

    if (r->values != NULL && field_is_scheduled(f))
        r->set[i / 64] |= UINT64_C(1) << i % 64;
}

/* Goes no deeper than the table: a key that is no group is not followed. */
static bool read_mapping(struct reader *r, const struct yaml_node *node, const struct place *place,
                         void *object)
{
    bool seen[64 * POLICY_SET_WORDS] = {false};

    assert(field_count() <= COUNT_OF(seen));
    if (node->kind != YAML_MAPPING)
        return refuse_kind(r, node, NULL) || wrap(r, node->line, node->column, place);
    for (const struct yaml_node *entry = node->first; entry != NULL; entry = entry->next) {
        struct place child = {.parent = place, .key = entry->key};
        void *to = object;
        const struct field *f = find_key(r, place->path, entry->key, &to);

        if (f == NULL)
            return refuse_key(r, entry, place);
        if (yaml_is_null(entry))
            continue;
        child.path = sv_from(f->path);
        seen[f - field_at(0)] = true;
        if (!read_value(r, f, entry, &child, to))
            return false;
        if (f->has_offset != FIELD_NOWHERE)
            memcpy((char *)to + f->has_offset, &(bool){true}, sizeof(bool));
        note_set(r, f);
    }
    /* What an override leaves out stays as it is. */
    return r->values != NULL || check_required(r, node, place, seen);
}

/* The value at a path, or the root where it ends. */
static const struct yaml_node *value_at(const struct yaml_node *root, struct sv path)
{
    struct sv key;

    while (sv_next(&path, '.', &key)) {
        CLEANUP(free_ptr) char *name = sv_dup(key);
        const struct yaml_node *value = yaml_get(root, name);

        if (value == NULL)
            break;
        root = value;
    }
    return root;
}

static bool refuse_text(const struct reader *r, const struct yaml_node *spec,
                        const struct place *place, const char *path, const char *found,
                        const char *expected)
{
    const struct yaml_node *node = value_at(spec, sv_from(path));
    const struct place pair = {.parent = place, .key = sv_from(path)};

    return err_set(r->err, ERR_INPUT, 0, "found %s, expected %s", found, expected) ||
           wrap(r, node->line, node->column, &pair);
}

static bool refuse_pair(const struct reader *r, const struct yaml_node *spec,
                        const struct place *place, const char *path, int64_t found,
                        const char *expected)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%lld", (long long)found);
    return refuse_text(r, spec, place, path, text, expected);
}

/* 30, 1500m, 5% or 2.50%. */
static void print_room(const struct room_spec *room, char *to, size_t size)
{
    bool percent = room->kind == ROOM_PERCENT;
    int64_t unit = percent ? 100 : 1000;
    long long whole = room->milli / unit, rest = room->milli % unit;

    if (rest == 0)
        (void)snprintf(to, size, "%lld%s", whole, percent ? "%" : "");
    else if (percent)
        (void)snprintf(to, size, "%lld.%02lld%%", whole, rest);
    else
        (void)snprintf(to, size, "%lldm", (long long)room->milli);
}

/* Amounts of different units are compared when the cluster is known (headroom.h). */
static bool check_headroom(const struct reader *r, const struct policy *p,
                           const struct yaml_node *spec, const struct place *place)
{
    char found[32], most[32], expected[64];

    if (p->headroom_min.kind != p->headroom_max.kind || p->headroom_min.kind == ROOM_LARGEST_NODE ||
        p->headroom_min.milli <= p->headroom_max.milli)
        return true;
    print_room(&p->headroom_min, found, sizeof found);
    print_room(&p->headroom_max, most, sizeof most);
    (void)snprintf(expected, sizeof expected, "at most %s, which is max", most);
    return refuse_text(r, spec, place, "headroom.min", found, expected);
}

/* What the table cannot say: how two keys go together. `spec` is the mapping at `place` that holds
 * at least one of them. */
static bool check_keys(const struct reader *r, const struct policy *p, const struct yaml_node *spec,
                       const struct place *place)
{
    const struct policy_advanced *a = &p->advanced;
    char expected[64];

    if (p->min > p->max) {
        (void)snprintf(expected, sizeof expected, "at most %d, which is max", p->max);
        return refuse_pair(r, spec, place, "replicas.min", p->min, expected);
    }
    if (a->needed > a->values) {
        (void)snprintf(expected, sizeof expected, "at most %d, which is values", a->values);
        return refuse_pair(r, spec, place, "advanced.needed", a->needed, expected);
    }
    if (p->pod.given && p->pod.cpu_milli == 0)
        return refuse_text(r, spec, place, "pod.cpu", "nothing", "what a pod requests");
    return check_headroom(r, p, spec, place);
}

/* The spec alone, and with each override alone. */
static bool check_policy(const struct reader *r, const struct yaml_node *root)
{
    const struct yaml_node *spec = yaml_get(root, "spec");
    const struct yaml_node *schedule = yaml_get(spec, "schedule");
    const struct yaml_node *entry = schedule != NULL ? schedule->first : NULL;
    const struct place top = {.parent = NULL};
    const struct place spec_place = {.parent = &top, .key = SV("spec")};
    const struct place schedule_place = {.parent = &spec_place, .key = SV("schedule")};

    if (!check_keys(r, r->policy, spec, &spec_place))
        return false;
    for (size_t i = 0; i < r->policy->n_overrides; i++, entry = entry->next) {
        const struct place place = {.parent = &schedule_place, .index = i};
        struct policy with = *r->policy;

        schedule_apply(&r->policy->overrides[i], &with);
        if (!check_keys(r, &with, entry, &place))
            return false;
    }
    return true;
}

/* Keeps where things stand, for errors that name two policies. */
static bool note_places(const struct reader *r, const struct yaml_node *root)
{
    const struct yaml_node *name = yaml_get(yaml_get(root, "metadata"), "name");
    const struct yaml_node *target = yaml_get(yaml_get(root, "spec"), "target");
    struct policy *p = r->policy;

    p->where = arena_dup(&p->arena, r->where);
    if (p->where.at == NULL)
        return err_set(r->err, ERR_LIMIT, 0,
                       "%.*s: the policy is larger than the limit of %d bytes", SV_ARG(r->where),
                       POLICY_MAX_BYTES);
    p->name_at = (struct policy_place){name->line, name->column};
    p->target_at = (struct policy_place){target->key_line, target->key_column};
    return true;
}

static struct policy *read_document(struct sv where, const struct yaml_node *root,
                                    const struct zone_source *zones, struct err *err)
{
    CLEANUP(policy_free_ptr) struct policy *p = xcalloc(1, sizeof *p);
    struct reader r = {.where = where, .zones = zones, .policy = p, .err = err};
    const struct place top = {.parent = NULL};

    arena_init(&p->arena, POLICY_MAX_BYTES);
    set_defaults(p);
    if (!read_mapping(&r, root, &top, p) || !check_policy(&r, root) || !note_places(&r, root))
        return NULL;
    return TAKE(p);
}

static bool read_documents(struct sv where, const struct yaml_doc *docs,
                           const struct zone_source *zones, struct policy_list *to, struct err *err)
{
    size_t count = 0;

    for (const struct yaml_doc *doc = docs; doc != NULL; doc = doc->next) {
        if (yaml_is_null(doc->root))
            continue;
        if (++count > POLICY_MAX_COUNT)
            return err_set(err, ERR_LIMIT, 0, "%.*s:%d:%d: found more than %d policies",
                           SV_ARG(where), doc->root->line, doc->root->column, POLICY_MAX_COUNT);

        struct policy *p = read_document(where, doc->root, zones, err);

        if (p == NULL)
            return false;
        VEC_PUSH(to->at, to->len, to->cap, p);
    }
    return true;
}

bool policy_read_zoned(struct sv where, struct sv text, const struct zone_source *zones,
                       struct policy_list *to, struct err *err)
{
    CLEANUP(arena_done) struct arena arena;
    CLEANUP(policy_list_done) struct policy_list read = {0};
    struct yaml_doc *docs;
    struct err broken;

    arena_init(&arena, YAML_ARENA_BYTES);
    if (!yaml_parse(&arena, text, &docs, &broken))
        return err_set(err, broken.kind, broken.code, "%.*s:%s", SV_ARG(where), broken.text);
    if (!read_documents(where, docs, zones, &read, err))
        return false;
    to->at = vec_reserve(to->at, &to->cap, to->len + read.len, sizeof *to->at);
    for (size_t i = 0; i < read.len; i++)
        to->at[to->len++] = read.at[i];
    read.len = 0;
    return true;
}

bool policy_read(struct sv where, struct sv text, struct policy_list *to, struct err *err)
{
    return policy_read_zoned(where, text, NULL, to, err);
}
