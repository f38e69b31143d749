/* The table for people and for editors: `brim explain policy` and the JSON schema. */
#include "policy/field.h"

#include <stdio.h>

#include "base/jsonw.h"

/* The longest paths are indented like the rest; a path that is longer still pushes its row to the
 * right. */
enum { PATH_WIDTH = 36, TYPE_WIDTH = 14, DEFAULT_WIDTH = 10 };

static void add_range(const struct field *f, struct strbuf *out)
{
    if (f->words != NULL)
        field_expected(f, out);
    else if (f->min != NULL && f->max != NULL)
        (void)strbuf_addf(out, "%s to %s%s%s", f->min, f->max, f->instead != NULL ? ", or " : "",
                          f->instead != NULL ? f->instead : "");
    else
        (void)strbuf_add_char(out, '-');
}

static const char *default_of(const struct field *f)
{
    return f->def != NULL ? f->def : f->required ? "required" : "-";
}

static bool has_value(const struct field *f)
{
    return f->type != FIELD_GROUP && f->type != FIELD_LIST;
}

static void add_row(const struct field *f, struct strbuf *out)
{
    (void)strbuf_addf(out, "%-*s %-*s %-*s ", PATH_WIDTH, f->path, TYPE_WIDTH,
                      field_type_name(f->type), DEFAULT_WIDTH, default_of(f));
    add_range(f, out);
    (void)strbuf_add_char(out, '\n');
}

static void add_table(struct strbuf *out)
{
    (void)strbuf_addf(out, "%-*s %-*s %-*s %s\n", PATH_WIDTH, "KEY", TYPE_WIDTH, "TYPE",
                      DEFAULT_WIDTH, "DEFAULT", "VALUES");
    for (size_t i = 0; i < field_count(); i++) {
        if (has_value(field_at(i)))
            add_row(field_at(i), out);
    }
}

static void add_one(const struct field *f, struct strbuf *out)
{
    (void)strbuf_addf(out, "%s\n    %s\n", f->path, f->doc);
    (void)strbuf_addf(out, "    type:     %s\n", field_type_name(f->type));
    if (f->unit != NULL)
        (void)strbuf_addf(out, "    unit:     %s\n", f->unit);
    if (!has_value(f))
        return;
    (void)strbuf_add(out, SV("    expected: "));
    field_expected(f, out);
    (void)strbuf_addf(out, "\n    default:  %s\n",
                      f->def != NULL ? f->def
                      : f->required  ? "none, the key is required"
                                     : "none");
    if (f->min != NULL && f->max != NULL)
        (void)strbuf_addf(out, "    range:    %s to %s\n", f->min, f->max);
}

static bool stands_under(const struct field *f, struct sv path)
{
    struct sv rest = sv_from(f->path);

    return sv_starts(rest, path) && rest.len > path.len &&
           (rest.at[path.len] == '.' || rest.at[path.len] == '[');
}

/* The field of a path with or without its "spec.". */
static const struct field *find_loosely(struct sv path)
{
    const struct field *f = field_find(path);

    for (size_t i = 0; i < field_count() && f == NULL; i++) {
        struct sv full = sv_from(field_at(i)->path);

        if (sv_starts(full, SV("spec.")) && sv_eq(sv_skip(full, 5), path))
            f = field_at(i);
    }
    return f;
}

bool field_explain(const char *key, struct strbuf *out)
{
    struct sv path = sv_from(key);
    const struct field *f;

    if (path.len == 0) {
        add_table(out);
        return true;
    }
    f = find_loosely(path);
    if (f == NULL)
        return false;
    add_one(f, out);
    for (size_t i = 0; i < field_count(); i++) {
        if (!has_value(field_at(i)) || !stands_under(field_at(i), sv_from(f->path)))
            continue;
        (void)strbuf_add_char(out, '\n');
        add_one(field_at(i), out);
    }
    return true;
}

static void schema_integer(struct jsonw *w, const struct field *f)
{
    int64_t value;

    jsonw_cstr(w, "type", "integer");
    if (sv_to_i64(sv_from(f->min), &value))
        jsonw_i64(w, "minimum", value);
    if (sv_to_i64(sv_from(f->max), &value))
        jsonw_i64(w, "maximum", value);
    if (f->def != NULL && sv_to_i64(sv_from(f->def), &value))
        jsonw_i64(w, "default", value);
}

static void schema_text(struct jsonw *w, const struct field *f, const char *pattern)
{
    jsonw_cstr(w, "type", "string");
    if (pattern != NULL)
        jsonw_cstr(w, "pattern", pattern);
    if (f->def != NULL)
        jsonw_cstr(w, "default", f->def);
}

static void schema_span(struct jsonw *w, const struct field *f)
{
    char pattern[128];

    (void)snprintf(pattern, sizeof pattern,
                   "^(%s%s0|(([0-9]+\\.?[0-9]*|\\.[0-9]+)(h|m|s|ms|us))+)$",
                   f->instead != NULL ? f->instead : "", f->instead != NULL ? "|" : "");
    schema_text(w, f, pattern);
}

/* Quantities may stand without quotes and are numbers then. */
static void schema_quantity(struct jsonw *w, const struct field *f)
{
    jsonw_array(w, "type");
    jsonw_cstr(w, NULL, "string");
    jsonw_cstr(w, NULL, "number");
    jsonw_end(w);
    if (f->def != NULL)
        jsonw_cstr(w, "default", f->def);
}

static void schema_word(struct jsonw *w, const struct field *f)
{
    jsonw_array(w, "enum");
    for (size_t i = 0; f->words[i] != NULL; i++)
        jsonw_cstr(w, NULL, f->words[i]);
    jsonw_end(w);
    if (f->def != NULL)
        jsonw_cstr(w, "default", f->def);
}

#define LABEL_KEY_PATTERN                                                                          \
    "^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
#define LABEL_VALUE_PATTERN "^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$"

static void schema_labels(struct jsonw *w)
{
    jsonw_cstr(w, "type", "object");
    jsonw_i64(w, "maxProperties", FIELD_MAX_ELEMENTS);
    jsonw_object(w, "propertyNames");
    jsonw_cstr(w, "pattern", LABEL_KEY_PATTERN);
    jsonw_end(w);
    jsonw_object(w, "additionalProperties");
    jsonw_cstr(w, "type", "string");
    jsonw_cstr(w, "pattern", LABEL_VALUE_PATTERN);
    jsonw_end(w);
}

static void schema_children(struct jsonw *w, struct sv parent);

static void schema_field(struct jsonw *w, const struct field *f)
{
    jsonw_cstr(w, "description", f->doc);
    switch (f->type) {
    case FIELD_GROUP:
        schema_children(w, sv_from(f->path));
        return;
    case FIELD_LIST:
        jsonw_cstr(w, "type", "array");
        jsonw_i64(w, "maxItems", FIELD_MAX_ELEMENTS);
        jsonw_object(w, "items");
        schema_children(w, field_elements(f));
        jsonw_i64(w, "minProperties", 1);
        jsonw_end(w);
        return;
    case FIELD_LABELS:
        schema_labels(w);
        return;
    case FIELD_WORD:
    case FIELD_EITHER:
        schema_word(w, f);
        return;
    case FIELD_LABEL:
        schema_text(w, f, "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$");
        return;
    case FIELD_SUBDOMAIN:
        schema_text(w, f,
                    "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$");
        return;
    case FIELD_API_VERSION:
        schema_text(w, f, "^([a-z0-9.-]+/)?[a-z0-9-]+$");
        return;
    case FIELD_KIND:
        schema_text(w, f, "^[A-Z][A-Za-z0-9]{0,62}$");
        return;
    case FIELD_SELECTOR:
        schema_text(w, f, NULL);
        return;
    case FIELD_LABEL_KEY:
        schema_text(w, f, LABEL_KEY_PATTERN);
        return;
    case FIELD_LABEL_VALUE:
        schema_text(w, f, LABEL_VALUE_PATTERN);
        return;
    case FIELD_INT32:
    case FIELD_INT64:
        schema_integer(w, f);
        return;
    case FIELD_SHARE:
        schema_text(w, f, "^[0-9]+(\\.[0-9]{1,4})?%$");
        return;
    case FIELD_SPAN:
        schema_span(w, f);
        return;
    case FIELD_FACTOR:
    case FIELD_PRICE:
    case FIELD_ROOM:
    case FIELD_CPU:
    case FIELD_BYTES:
        schema_quantity(w, f);
        return;
    case FIELD_TYPE_COUNT_:
        break;
    }
}

/* An object of everything directly under a path. */
static void schema_children(struct jsonw *w, struct sv parent)
{
    struct sv key;

    jsonw_cstr(w, "type", "object");
    jsonw_bool(w, "additionalProperties", false);
    jsonw_array(w, "required");
    for (size_t i = 0; i < field_count(); i++) {
        if (field_at(i)->required && field_is_child(field_at(i), parent, &key))
            jsonw_str(w, NULL, key);
    }
    jsonw_end(w);
    jsonw_object(w, "properties");
    for (size_t i = 0; i < field_count(); i++) {
        if (!field_is_child(field_at(i), parent, &key))
            continue;
        /* A key is the end of a path, so that it ends in NUL as jsonw wants it. */
        jsonw_object(w, key.at);
        schema_field(w, field_at(i));
        jsonw_end(w);
    }
    jsonw_end(w);
}

void field_schema(struct strbuf *out)
{
    struct jsonw w;

    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    jsonw_cstr(&w, "$schema", "https://json-schema.org/draft/2020-12/schema");
    jsonw_cstr(&w, "title", "FillerPolicy brim.dev/v1");
    schema_children(&w, (struct sv){0});
    jsonw_end(&w);
    (void)strbuf_add_char(out, '\n');
}
