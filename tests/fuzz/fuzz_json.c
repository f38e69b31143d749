#include <cjson/cJSON.h>
#include <stdlib.h>

#include "agent/kube/jsonscan.h"
#include "base/alloc.h"
#include "base/jsonr.h"
#include "base/jsonw.h"
#include "tests/fuzz/fuzz.h"

/* cJSON takes numbers of up to 63 characters. */
enum { MAX_DEPTH = JSONW_MAX_DEPTH - 2, MAX_NUMBER = 60, TEXT_MAX = 4 << 20 };

struct copy {
    struct jsonr r;
    struct jsonw w;
    bool long_number;
};

static bool copy_value(struct copy *c, int depth);

/* An object becomes the list of its keys and values, so that a copy's copy is the copy itself. */
static bool copy_object(struct copy *c, int depth)
{
    struct sv key;

    if (!jsonr_object(&c->r))
        return false;
    while (jsonr_key(&c->r, &key)) {
        jsonw_str(&c->w, NULL, key);
        if (!copy_value(c, depth + 1))
            return false;
    }
    return true;
}

static bool copy_array(struct copy *c, int depth)
{
    if (!jsonr_array(&c->r))
        return false;
    while (jsonr_element(&c->r)) {
        if (!copy_value(c, depth + 1))
            return false;
    }
    return true;
}

static bool copy_number(struct copy *c)
{
    int64_t fixed, cut;
    struct sv number;

    if (!jsonr_number(&c->r, &number))
        return false;
    if (jsonr_fixed(number, 3, &fixed) && (!jsonr_fixed(number, 0, &cut) || cut != fixed / 1000))
        abort();
    c->long_number |= number.len > MAX_NUMBER;
    jsonw_raw(&c->w, NULL, number);
    return true;
}

static bool copy_string(struct copy *c)
{
    struct sv text;

    if (!jsonr_string(&c->r, &text))
        return false;
    jsonw_str(&c->w, NULL, text);
    return true;
}

static bool copy_bool(struct copy *c)
{
    bool value;

    if (!jsonr_bool(&c->r, &value))
        return false;
    jsonw_bool(&c->w, NULL, value);
    return true;
}

static bool copy_null(struct copy *c)
{
    if (!jsonr_null(&c->r))
        return false;
    jsonw_null(&c->w, NULL);
    return true;
}

static bool copy_nested(struct copy *c, enum jsonr_kind kind, int depth)
{
    if (depth >= MAX_DEPTH)
        return jsonr_refuse(&c->r, "%s nests too deep", jsonr_kind_name(kind));
    jsonw_array(&c->w, NULL);
    if (!(kind == JSONR_OBJECT ? copy_object(c, depth) : copy_array(c, depth)))
        return false;
    jsonw_end(&c->w);
    return c->r.err.kind == ERR_NONE;
}

static bool copy_value(struct copy *c, int depth)
{
    enum jsonr_kind kind = jsonr_peek(&c->r);

    switch (kind) {
    case JSONR_OBJECT:
    case JSONR_ARRAY:
        return copy_nested(c, kind, depth);
    case JSONR_STRING:
        return copy_string(c);
    case JSONR_NUMBER:
        return copy_number(c);
    case JSONR_TRUE:
    case JSONR_FALSE:
        return copy_bool(c);
    case JSONR_NULL:
        return copy_null(c);
    case JSONR_NONE:
        return jsonr_expected(&c->r, "a value");
    case JSONR_KIND_COUNT_:
        break;
    }
    abort();
}

/* False where the text is refused. */
static bool copy(struct sv text, struct strbuf *out, bool *ret_long_number)
{
    char *own = xmalloc(text.len != 0 ? text.len : 1); /* exactly as long; it is written to */
    struct err err = {0};
    struct copy c = {0};
    bool ok;

    if (text.len != 0)
        memcpy(own, text.at, text.len);
    jsonr_init(&c.r, own, text.len);
    jsonw_init(&c.w, out);
    ok = copy_value(&c, 0);
    if (ok && c.r.err.kind != ERR_NONE)
        abort();
    if (jsonr_end(&c.r, &err) != (err.kind == ERR_NONE) || (!ok && err.kind == ERR_NONE))
        abort();
    if (err.kind != ERR_NONE && (err.kind != ERR_INPUT || err.text[0] == '\0'))
        abort();
    *ret_long_number = c.long_number;
    free(own);
    return err.kind == ERR_NONE;
}

static void check_tree(struct sv text)
{
    cJSON *tree = cJSON_ParseWithLength(text.at, text.len);

    if (tree == NULL)
        abort();
    cJSON_Delete(tree);
}

/* What jsonr takes the other reader takes, too. */
static void check_rewrite(struct sv text)
{
    struct strbuf out;

    strbuf_init(&out, TEXT_MAX);
    if (memchr(text.at, JSONSCAN_NUMBER, text.len) == NULL &&
        memchr(text.at, JSONSCAN_NUL, text.len) == NULL) {
        if (!jsonscan_rewrite(text, &out, NULL))
            abort();
        check_tree(strbuf_sv(&out));
    }
    strbuf_done(&out);
}

/* Any bytes as key and value of an object are read back as what jsonw makes of them; so is a number. */
static void check_object(struct sv text, int64_t milli)
{
    struct strbuf out;
    struct jsonw w;
    struct jsonr r;
    struct sv key, value;
    int64_t read;

    strbuf_init(&out, TEXT_MAX);
    jsonw_init(&w, &out);
    jsonw_object(&w, NULL);
    jsonw_milli(&w, "milli", milli);
    jsonw_sv_str(&w, text, text);
    jsonw_end(&w);
    jsonr_init(&r, out.at, out.len);
    if (!jsonr_object(&r) || !jsonr_key(&r, &key) || !jsonr_number(&r, &value) ||
        !jsonr_fixed(value, 3, &read) || read != milli)
        abort();
    /* A NUL is written as an escape that jsonr refuses. */
    if ((text.len == 0 || memchr(text.at, '\0', text.len) == NULL) &&
        (!jsonr_key(&r, &key) || !jsonr_string(&r, &value) || !sv_eq(key, value) ||
         jsonr_key(&r, &key) || !jsonr_end(&r, NULL)))
        abort();
    strbuf_done(&out);
}

/* What is read is what another parser reads, too; what is written is read again, and its copy is the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv text = {.at = (const char *)data, .len = size};
    struct strbuf first, second;
    bool long_number;

    strbuf_init(&first, TEXT_MAX);
    strbuf_init(&second, TEXT_MAX);
    if (copy(text, &first, &long_number)) {
        check_rewrite(text);
        if (!long_number) {
            check_tree(text);
            check_tree(strbuf_sv(&first));
        }
        if (!copy(strbuf_sv(&first), &second, &long_number) ||
            !sv_eq(strbuf_sv(&first), strbuf_sv(&second)))
            abort();
    }
    check_object(text, (int64_t)sv_hash(text));
    strbuf_done(&first);
    strbuf_done(&second);
    return 0;
}
