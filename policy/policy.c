#include "policy/policy.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "base/yaml.h"
#include "capacity/names.h"
#include "policy/field.h"

enum { YAML_ARENA_BYTES = 64 << 20 }; /* the largest text with the most nodes fits */

/* One policy that is being read. */
struct reader {
    struct sv where;
    struct policy *policy;
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

static bool refuse_key(const struct reader *r, const struct yaml_node *entry,
                       const struct place *parent)
{
    const struct place place = {.parent = parent, .key = entry->key};
    const char *near = field_nearest(parent->path, entry->key);
    struct strbuf children;

    strbuf_init(&children, sizeof r->err->text);
    add_children(parent->path, &children);
    if (field_is_later(parent->path, entry->key))
        (void)err_set(r->err, ERR_INPUT, 0, "this release does not have this key, expected %s",
                      strbuf_str(&children));
    else if (near != NULL)
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

/* Every default of the table, so that groups which are left out have theirs too; those of the
 * elements of lists are all zero. */
static void set_defaults(struct policy *p)
{
    for (size_t i = 0; i < field_count(); i++) {
        const struct field *f = field_at(i);
        bool ok = f->def == NULL || strchr(f->path, '[') != NULL ||
                  field_read(f, sv_from(f->def), &p->arena, p, NULL);

        assert(ok);
        (void)ok;
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
    if (!read_mapping(r, node, place, element))
        return false;
    return f->check == NULL || f->check(element, r->err) ||
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
    if (node->kind != (f->type == FIELD_LIST ? YAML_SEQUENCE : YAML_MAPPING))
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
    struct place element = {.parent = place, .path = field_elements(f)};
    void *first;

    if (!make_array(r, f, node, "rules", &first))
        return wrap(r, node->line, node->column, place);
    for (const struct yaml_node *each = node->first; each != NULL;
         each = each->next, element.index++) {
        if (!read_element(r, f, each, &element, (char *)first + element.index * f->element_size))
            return false;
    }
    store_array(f, object, first, node->count);
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
    void *first;
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
    if (f->type == FIELD_LIST)
        return read_list(r, f, node, place, object);
    if (f->type == FIELD_LABELS)
        return read_labels(r, f, node, place, object);
    if (node->kind != YAML_SCALAR ? !refuse_kind(r, node, f)
                                  : !field_read(f, node->text, &r->policy->arena, object, r->err))
        return wrap(r, node->line, node->column, place);
    return true;
}

/* Goes no deeper than the table: a key that is no group is not followed. */
static bool read_mapping(struct reader *r, const struct yaml_node *node, const struct place *place,
                         void *object)
{
    bool seen[128] = {false};

    assert(field_count() <= COUNT_OF(seen));
    if (node->kind != YAML_MAPPING)
        return refuse_kind(r, node, NULL) || wrap(r, node->line, node->column, place);
    for (const struct yaml_node *entry = node->first; entry != NULL; entry = entry->next) {
        const struct field *f = field_child(place->path, entry->key);
        struct place child = {.parent = place, .key = entry->key};

        if (f == NULL)
            return refuse_key(r, entry, place);
        if (yaml_is_null(entry))
            continue;
        child.path = sv_from(f->path);
        seen[f - field_at(0)] = true;
        if (!read_value(r, f, entry, &child, object))
            return false;
        if (f->has_offset != FIELD_NOWHERE)
            memcpy((char *)object + f->has_offset, &(bool){true}, sizeof(bool));
    }
    return check_required(r, node, place, seen);
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

static bool refuse_pair(const struct reader *r, const struct yaml_node *root, const char *path,
                        int32_t found, int32_t most, const char *other)
{
    const struct yaml_node *node = value_at(root, sv_from(path));

    return err_set(r->err, ERR_INPUT, 0,
                   "%.*s:%d:%d: %s: found %d, expected at most %d, which is %s", SV_ARG(r->where),
                   node->line, node->column, path, found, most, other);
}

/* What the table cannot say: how two keys go together. */
static bool check_policy(const struct reader *r, const struct yaml_node *root)
{
    const struct policy *p = r->policy;
    const struct policy_advanced *a = &p->advanced;

    if (p->min > p->max)
        return refuse_pair(r, root, "spec.replicas.min", p->min, p->max, "max");
    if (a->needed > a->values)
        return refuse_pair(r, root, "spec.advanced.needed", a->needed, a->values, "values");
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

static struct policy *read_document(struct sv where, const struct yaml_node *root, struct err *err)
{
    CLEANUP(policy_free_ptr) struct policy *p = xcalloc(1, sizeof *p);
    struct reader r = {.where = where, .policy = p, .err = err};
    const struct place top = {.parent = NULL};

    arena_init(&p->arena, POLICY_MAX_BYTES);
    set_defaults(p);
    if (!read_mapping(&r, root, &top, p) || !check_policy(&r, root) || !note_places(&r, root))
        return NULL;
    return TAKE(p);
}

static bool read_documents(struct sv where, const struct yaml_doc *docs, struct policy_list *to,
                           struct err *err)
{
    size_t count = 0;

    for (const struct yaml_doc *doc = docs; doc != NULL; doc = doc->next) {
        if (yaml_is_null(doc->root))
            continue;
        if (++count > POLICY_MAX_COUNT)
            return err_set(err, ERR_LIMIT, 0, "%.*s:%d:%d: found more than %d policies",
                           SV_ARG(where), doc->root->line, doc->root->column, POLICY_MAX_COUNT);

        struct policy *p = read_document(where, doc->root, err);

        if (p == NULL)
            return false;
        VEC_PUSH(to->at, to->len, to->cap, p);
    }
    return true;
}

int64_t room_spec_milli(const struct room_spec *spec, int64_t allocatable_milli,
                        int64_t largest_node_milli)
{
    __int128 share;

    switch (spec->kind) {
    case ROOM_CPU:
        return spec->milli;
    case ROOM_LARGEST_NODE:
        return largest_node_milli;
    case ROOM_PERCENT:
        share = ((__int128)(allocatable_milli > 0 ? allocatable_milli : 0) * spec->milli + 9999) /
                10000;
        return share < INT64_MAX ? (int64_t)share : INT64_MAX;
    case ROOM_KIND_COUNT_:
        break;
    }
    return 0;
}

bool policy_read(struct sv where, struct sv text, struct policy_list *to, struct err *err)
{
    CLEANUP(arena_done) struct arena arena;
    CLEANUP(policy_list_done) struct policy_list read = {0};
    struct yaml_doc *docs;
    struct err broken;

    arena_init(&arena, YAML_ARENA_BYTES);
    if (!yaml_parse(&arena, text, &docs, &broken))
        return err_set(err, broken.kind, broken.code, "%.*s:%s", SV_ARG(where), broken.text);
    if (!read_documents(where, docs, &read, err))
        return false;
    to->at = vec_reserve(to->at, &to->cap, to->len + read.len, sizeof *to->at);
    for (size_t i = 0; i < read.len; i++)
        to->at[to->len++] = read.at[i];
    read.len = 0;
    return true;
}

void policy_free(struct policy *p)
{
    if (p == NULL)
        return;
    arena_done(&p->arena);
    free(p);
}

void policy_list_done(struct policy_list *list)
{
    while (list->len != 0)
        policy_free(list->at[--list->len]);
    free(list->at);
    *list = (struct policy_list){0};
}

/* "apps" of "apps/v1"; empty for the core group. */
static struct sv group_of(struct sv api_version)
{
    struct sv group = {0}, version;

    (void)sv_cut(api_version, '/', &group, &version);
    return group;
}

static bool same_target(const struct policy *a, const struct policy *b)
{
    return sv_eq(a->target_name, b->target_name) && sv_eq(a->target_ns, b->target_ns) &&
           sv_eq(a->target_kind, b->target_kind) &&
           sv_eq(group_of(a->target_api_version), group_of(b->target_api_version));
}

/* Both places come first, so that a long name does not push them out. */
static void say_name_clash(struct err *err, const struct policy *p, const struct policy *earlier)
{
    (void)err_set(err, ERR_INPUT, 0,
                  "%.*s:%d:%d: metadata.name: found the same name as at %.*s:%d:%d: %.*s",
                  SV_ARG(p->where), p->name_at.line, p->name_at.column, SV_ARG(earlier->where),
                  earlier->name_at.line, earlier->name_at.column, SV_ARG(p->name));
}

static void say_target_clash(struct err *err, const struct policy *p, const struct policy *earlier)
{
    (void)err_set(err, ERR_INPUT, 0,
                  "%.*s:%d:%d: spec.target: found the same target as at %.*s:%d:%d: %.*s %.*s/%.*s",
                  SV_ARG(p->where), p->target_at.line, p->target_at.column, SV_ARG(earlier->where),
                  earlier->target_at.line, earlier->target_at.column, SV_ARG(p->target_kind),
                  SV_ARG(p->target_ns), SV_ARG(p->target_name));
}

const struct policy *policy_list_clash(const struct policy_list *list, size_t i, struct err *err)
{
    const struct policy *p = list->at[i];

    for (size_t j = 0; j < i; j++) {
        const struct policy *earlier = list->at[j];
        bool same_name = sv_eq(p->name, earlier->name);

        if (!same_name && !same_target(p, earlier))
            continue;
        if (same_name)
            say_name_clash(err, p, earlier);
        else
            say_target_clash(err, p, earlier);
        return earlier;
    }
    return NULL;
}

bool policy_list_check(const struct policy_list *list, struct err *err)
{
    for (size_t i = 0; i < list->len; i++) {
        if (policy_list_clash(list, i, err) != NULL)
            return false;
    }
    return true;
}

const char *policy_mode_name(enum policy_mode mode)
{
    static const char *const names[] = {[MODE_CONTROL] = "control",
                                        [MODE_DRY_RUN] = "dry-run",
                                        [MODE_METRICS_ONLY] = "metrics-only"};
    _Static_assert(COUNT_OF(names) == MODE_COUNT_, "a mode has no name");

    return names[mode];
}
