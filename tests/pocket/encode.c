#include "tests/pocket/encode.h"

#include <string.h>

#include "base/clock.h"
#include "tests/pbmake.h"

/* Turns what was appended since `start` into the body of a length-delimited field. */
static void wrap(struct strbuf *out, size_t start, unsigned number)
{
    size_t len = out->len - start, head_len;
    char head[32];

    /* Written behind, then brought in front. */
    pbmake_var(out, number, len);
    head_len = out->len - start - len;
    memcpy(head, out->at + start + len, head_len);
    head[0] = (char)(head[0] | 2); /* the low bits of a tag's first byte are the wire type */
    memmove(out->at + start + head_len, out->at + start, len);
    memcpy(out->at + start, head, head_len);
}

static void add_text(const cJSON *value, unsigned number, struct strbuf *out)
{
    const char *text = cJSON_GetStringValue(value);

    pbmake_str(out, number, text != NULL ? text : "");
}

static void add_time(const cJSON *value, unsigned number, struct strbuf *out)
{
    const char *text = cJSON_GetStringValue(value);
    size_t start = out->len;
    struct wall t;

    if (text != NULL && wall_parse(sv_from(text), &t)) {
        pbmake_var(out, 1, (uint64_t)(t.us / US_PER_S));
        pbmake_var(out, 2, (uint64_t)(t.us % US_PER_S * 1000));
    }
    wrap(out, start, number);
}

static void add_map(const cJSON *map, const struct encode_field *f, struct strbuf *out)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, map)
    {
        const char *text = cJSON_GetStringValue(entry);

        if (text == NULL)
            continue;
        if (f->type == ENCODE_LABELS)
            pbmake_entry(out, f->number, entry->string, text);
        else
            pbmake_quantity(out, f->number, entry->string, text);
    }
}

static void add_json(const cJSON *value, unsigned number, struct strbuf *out)
{
    char *text = cJSON_PrintUnformatted(value);
    size_t start = out->len;

    pbmake_str(out, 1, text != NULL ? text : "");
    wrap(out, start, number);
    cJSON_free(text);
}

static void add_message(const struct encode_field *f, const cJSON *value, struct strbuf *out)
{
    size_t start = out->len;

    encode_object(f->message, value, false, out);
    wrap(out, start, f->number);
}

static void add_each(const struct encode_field *f, const cJSON *list, struct strbuf *out)
{
    const cJSON *element;

    if (!cJSON_IsArray(list))
        return;
    cJSON_ArrayForEach(element, list)
    {
        if (f->type == ENCODE_STRINGS)
            add_text(element, f->number, out);
        else
            add_message(f, element, out);
    }
}

static void add_field(const struct encode_field *f, const cJSON *value, struct strbuf *out)
{
    switch (f->type) {
    case ENCODE_STRING:
        add_text(value, f->number, out);
        break;
    case ENCODE_INT:
        pbmake_var(out, f->number,
                   cJSON_IsNumber(value) ? (uint64_t)(int64_t)value->valuedouble : 0);
        break;
    case ENCODE_BOOL:
        pbmake_var(out, f->number, cJSON_IsTrue(value) ? 1 : 0);
        break;
    case ENCODE_MESSAGE:
        add_message(f, value, out);
        break;
    case ENCODE_STRINGS:
    case ENCODE_MESSAGES:
        add_each(f, value, out);
        break;
    case ENCODE_LABELS:
    case ENCODE_QUANTITIES:
        add_map(value, f, out);
        break;
    case ENCODE_TIME:
        add_time(value, f->number, out);
        break;
    case ENCODE_JSON:
        add_json(value, f->number, out);
        break;
    }
}

void encode_object(const struct encode_message *m, const cJSON *json, bool partial,
                   struct strbuf *out)
{
    for (const struct encode_field *f = m->fields; f->key != NULL; f++) {
        const cJSON *value = json != NULL ? cJSON_GetObjectItemCaseSensitive(json, f->key) : NULL;

        if (cJSON_IsNull(value))
            value = NULL;
        if (value != NULL || (f->always && !partial))
            add_field(f, value, out);
    }
}
