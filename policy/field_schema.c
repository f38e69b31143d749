/* The table for editors: the JSON schema. */
#include <stdio.h>

#include "base/jsonw.h"
#include "policy/field.h"

struct schema {
    struct jsonw w;
    bool partial; /* of a spec that changes another: nothing is required, nothing has a default */
};

static void schema_default(struct schema *s, const struct field *f)
{
    if (f->def != NULL && !s->partial)
        jsonw_cstr(&s->w, "default", f->def);
}

static void schema_integer(struct schema *s, const struct field *f)
{
    int64_t value;

    jsonw_cstr(&s->w, "type", "integer");
    if (sv_to_i64(sv_from(f->min), &value))
        jsonw_i64(&s->w, "minimum", value);
    if (sv_to_i64(sv_from(f->max), &value))
        jsonw_i64(&s->w, "maximum", value);
    if (f->def != NULL && !s->partial && sv_to_i64(sv_from(f->def), &value))
        jsonw_i64(&s->w, "default", value);
}

static void schema_text(struct schema *s, const struct field *f, const char *pattern)
{
    jsonw_cstr(&s->w, "type", "string");
    if (pattern != NULL)
        jsonw_cstr(&s->w, "pattern", pattern);
    schema_default(s, f);
}

static void schema_span(struct schema *s, const struct field *f)
{
    char pattern[128];

    (void)snprintf(pattern, sizeof pattern,
                   "^(%s%s0|(([0-9]+\\.?[0-9]*|\\.[0-9]+)(h|m|s|ms|us))+)$",
                   f->instead != NULL ? f->instead : "", f->instead != NULL ? "|" : "");
    jsonw_array(&s->w, "type");
    jsonw_cstr(&s->w, NULL, "string");
    jsonw_cstr(&s->w, NULL, "integer"); /* 0 needs no unit, nor quotes */
    jsonw_end(&s->w);
    jsonw_i64(&s->w, "maximum", 0);
    jsonw_i64(&s->w, "minimum", 0);
    jsonw_cstr(&s->w, "pattern", pattern);
    schema_default(s, f);
}

/* Quantities may stand without quotes and are numbers then. */
static void schema_quantity(struct schema *s, const struct field *f)
{
    jsonw_array(&s->w, "type");
    jsonw_cstr(&s->w, NULL, "string");
    jsonw_cstr(&s->w, NULL, "number");
    jsonw_end(&s->w);
    schema_default(s, f);
}

static void schema_word(struct schema *s, const struct field *f)
{
    jsonw_array(&s->w, "enum");
    for (size_t i = 0; f->words[i] != NULL; i++)
        jsonw_cstr(&s->w, NULL, f->words[i]);
    jsonw_end(&s->w);
    schema_default(s, f);
}

#define LABEL_KEY_PATTERN                                                                          \
    "^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
#define DAYS_PATTERN        "(mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?"
#define LABEL_VALUE_PATTERN "^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$"

static void schema_labels(struct schema *s)
{
    jsonw_cstr(&s->w, "type", "object");
    jsonw_i64(&s->w, "maxProperties", FIELD_MAX_ELEMENTS);
    jsonw_object(&s->w, "propertyNames");
    jsonw_cstr(&s->w, "pattern", LABEL_KEY_PATTERN);
    jsonw_end(&s->w);
    jsonw_object(&s->w, "additionalProperties");
    jsonw_cstr(&s->w, "type", "string");
    jsonw_cstr(&s->w, "pattern", LABEL_VALUE_PATTERN);
    jsonw_end(&s->w);
}

static void schema_children(struct schema *s, struct sv parent);
static void schema_overrides(struct schema *s, const struct field *f);

static void schema_field(struct schema *s, const struct field *f)
{
    jsonw_cstr(&s->w, "description", f->doc);
    switch (f->type) {
    case FIELD_GROUP:
        schema_children(s, sv_from(f->path));
        return;
    case FIELD_LIST:
        jsonw_cstr(&s->w, "type", "array");
        jsonw_i64(&s->w, "maxItems", FIELD_MAX_ELEMENTS);
        jsonw_object(&s->w, "items");
        schema_children(s, field_elements(f));
        jsonw_i64(&s->w, "minProperties", 1);
        jsonw_end(&s->w);
        return;
    case FIELD_OVERRIDES:
        jsonw_cstr(&s->w, "type", "array");
        jsonw_i64(&s->w, "maxItems", FIELD_MAX_ELEMENTS);
        jsonw_object(&s->w, "items");
        schema_overrides(s, f);
        jsonw_end(&s->w);
        return;
    case FIELD_LABELS:
        schema_labels(s);
        return;
    case FIELD_WORD:
    case FIELD_EITHER:
        schema_word(s, f);
        return;
    case FIELD_LABEL:
        schema_text(s, f, "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$");
        return;
    case FIELD_SUBDOMAIN:
        schema_text(s, f,
                    "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$");
        return;
    case FIELD_API_VERSION:
        schema_text(s, f, "^([a-z0-9.-]+/)?[a-z0-9-]+$");
        return;
    case FIELD_KIND:
        schema_text(s, f, "^[A-Z][A-Za-z0-9]{0,62}$");
        return;
    case FIELD_SELECTOR:
        schema_text(s, f, NULL);
        return;
    case FIELD_LABEL_KEY:
        schema_text(s, f, LABEL_KEY_PATTERN);
        return;
    case FIELD_LABEL_VALUE:
        schema_text(s, f, LABEL_VALUE_PATTERN);
        return;
    case FIELD_ZONE:
        schema_text(s, f, "^[A-Za-z0-9+_][A-Za-z0-9+_-]*(/[A-Za-z0-9+_][A-Za-z0-9+_-]*)*$");
        return;
    case FIELD_DAYS:
        schema_text(s, f, "^ *" DAYS_PATTERN "( *, *" DAYS_PATTERN ")* *$");
        return;
    case FIELD_TIME:
        schema_text(s, f, "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$");
        return;
    case FIELD_INT32:
    case FIELD_INT64:
        schema_integer(s, f);
        return;
    case FIELD_SHARE:
        schema_text(s, f, "^[0-9]+(\\.[0-9]{1,4})?%$");
        return;
    case FIELD_SPAN:
        schema_span(s, f);
        return;
    case FIELD_FACTOR:
    case FIELD_PRICE:
    case FIELD_ROOM:
    case FIELD_CPU:
    case FIELD_BYTES:
        schema_quantity(s, f);
        return;
    case FIELD_TYPE_COUNT_:
        break;
    }
}

/* One key and what it holds. */
static void schema_property(struct schema *s, const struct field *f, struct sv key)
{
    /* A key is the end of a path, so that it ends in NUL as jsonw wants it. */
    jsonw_object(&s->w, key.at);
    schema_field(s, f);
    jsonw_end(&s->w);
}

/* An object of everything directly under a path. */
static void schema_children(struct schema *s, struct sv parent)
{
    struct sv key;

    jsonw_cstr(&s->w, "type", "object");
    jsonw_bool(&s->w, "additionalProperties", false);
    jsonw_array(&s->w, "required");
    for (size_t i = 0; i < field_count(); i++) {
        if (field_at(i)->required && !s->partial && field_is_child(field_at(i), parent, &key))
            jsonw_str(&s->w, NULL, key);
    }
    jsonw_end(&s->w);
    jsonw_object(&s->w, "properties");
    for (size_t i = 0; i < field_count(); i++) {
        if (field_is_child(field_at(i), parent, &key))
            schema_property(s, field_at(i), key);
    }
    jsonw_end(&s->w);
}

/* An entry of the schedule: its own keys, and any of the spec's, of which none is required. */
static void schema_overrides(struct schema *s, const struct field *f)
{
    struct sv key;

    jsonw_cstr(&s->w, "type", "object");
    jsonw_bool(&s->w, "additionalProperties", false);
    jsonw_object(&s->w, "properties");
    for (size_t i = 0; i < field_count(); i++) {
        if (field_is_child(field_at(i), field_elements(f), &key))
            schema_property(s, field_at(i), key);
    }
    s->partial = true;
    for (size_t i = 0; i < field_count(); i++) {
        if (field_is_child(field_at(i), SV("spec"), &key) && field_is_scheduled(field_at(i)))
            schema_property(s, field_at(i), key);
    }
    s->partial = false;
    jsonw_end(&s->w);
}

void field_schema(struct strbuf *out)
{
    struct schema s = {.partial = false};

    jsonw_init(&s.w, out);
    jsonw_object(&s.w, NULL);
    jsonw_cstr(&s.w, "$schema", "https://json-schema.org/draft/2020-12/schema");
    jsonw_cstr(&s.w, "title", "FillerPolicy brim.dev/v1");
    schema_children(&s, (struct sv){0});
    jsonw_end(&s.w);
    (void)strbuf_add_char(out, '\n');
}
