#include "agent/pod_text.h"

#include "agent/kube/jsonscan.h"
#include "base/jsonw.h"

/* JSON of a YAML text is at most a few times as long: quotes, escapes of six bytes. */
enum { YAML_MAX_ARENA = 256 << 20, YAML_MAX_JSON = 8 * YAML_MAX_BYTES };

static void broken(const struct pod_text_handler *h, const char *where, const char *what)
{
    struct err err = {0};

    (void)err_set(&err, ERR_INPUT, 0, "%s%s", where, what);
    h->broken(h->self, &err);
}

/* Does the text hold one JSON object from its first byte to its last? */
static bool is_one_object(struct sv text)
{
    struct jsonscan scan = {0};
    size_t used = 0;

    return text.len != 0 && text.at[0] == '{' &&
           jsonscan_feed(&scan, text, &used) == JSONSCAN_DONE && used == text.len;
}

static bool find_member(struct sv object, struct sv quoted_key, struct sv *ret_value)
{
    struct jsonscan_member m;
    struct sv rest;
    bool bad = false, found = false;

    if (!jsonscan_open(object, &rest))
        return false;
    while (jsonscan_next(&rest, &m, &bad)) {
        if (sv_eq(m.key, quoted_key)) {
            *ret_value = m.value;
            found = true;
        }
    }
    return found;
}

static void one_pod(struct sv object, const struct pod_text_handler *h)
{
    struct sv kind;
    struct err err = {0};

    if (find_member(object, SV("\"kind\""), &kind) && !sv_eq(kind, SV("\"Pod\"")) &&
        !sv_eq(kind, SV("null"))) {
        (void)err_set(&err, ERR_INPUT, 0, "kind: found %.*s, expected \"Pod\"",
                      (int)(kind.len < 60 ? kind.len : 60), kind.at);
        h->broken(h->self, &err);
        return;
    }
    h->pod(h->self, object);
}

/* The elements of a JSON list, whose text begins with '['. */
static void each_item(struct sv list, const struct pod_text_handler *h)
{
    struct sv rest = sv_trim(sv_skip(list, 1));

    while (rest.len != 0 && rest.at[0] != ']') {
        struct jsonscan scan = {0};
        size_t used = 0;
        struct sv item;

        if (jsonscan_feed(&scan, rest, &used) != JSONSCAN_DONE || used == 0) {
            broken(h, "items: ", "found broken JSON, expected a list of Pods");
            return;
        }
        item = (struct sv){.at = rest.at, .len = used};
        if (item.at[0] == '{')
            one_pod(item, h);
        else
            broken(h, "items: ", "found a value that is no object, expected a Pod");
        rest = sv_trim(sv_skip(rest, used));
        if (rest.len != 0 && rest.at[0] == ',')
            rest = sv_trim(sv_skip(rest, 1));
    }
}

/* A Pod, or a List of them. */
static void one_object(struct sv object, const struct pod_text_handler *h)
{
    struct sv items;

    if (!find_member(object, SV("\"items\""), &items))
        one_pod(object, h);
    else if (items.len != 0 && items.at[0] == '[')
        each_item(items, h);
    else if (!sv_eq(items, SV("null"))) /* an empty list, as Go writes it */
        broken(h, "items: ", "found something else, expected a list");
}

static void each_line(struct sv text, const struct pod_text_handler *h)
{
    struct sv line;

    while (sv_next(&text, '\n', &line)) {
        line = sv_trim(line);
        if (line.len == 0)
            continue;
        if (is_one_object(line))
            one_object(line, h);
        else
            broken(h, "", "found a line that is no JSON object, expected a Pod");
    }
}

/*
 * One object a line? Where the text as a whole is no object, an object's brace at the start of a
 * line says so: YAML has it only in front of a document ("---" before it), JSON over several lines
 * only at its own start.
 */
static bool looks_like_lines(struct sv text)
{
    struct sv line, first = {0};
    size_t braces = 0;

    while (sv_next(&text, '\n', &line)) {
        if (first.len == 0)
            first = sv_trim(line);
        braces += line.len > 1 && line.at[0] == '{';
    }
    return braces >= 2 || (braces == 1 && !sv_starts(first, SV("---")));
}

static bool is_number(struct sv text)
{
    size_t i = 0, digits;

    if (i < text.len && text.at[i] == '-')
        i++;
    for (digits = 0; i < text.len && text.at[i] >= '0' && text.at[i] <= '9'; i++)
        digits++;
    if (digits == 0 || (digits > 1 && text.at[i - digits] == '0'))
        return false;
    if (i < text.len && text.at[i] == '.') {
        for (i++, digits = 0; i < text.len && text.at[i] >= '0' && text.at[i] <= '9'; i++)
            digits++;
        if (digits == 0)
            return false;
    }
    if (i < text.len && (text.at[i] == 'e' || text.at[i] == 'E')) {
        i++;
        if (i < text.len && (text.at[i] == '+' || text.at[i] == '-'))
            i++;
        for (digits = 0; i < text.len && text.at[i] >= '0' && text.at[i] <= '9'; i++)
            digits++;
        if (digits == 0)
            return false;
    }
    return i == text.len;
}

static void scalar(const struct yaml_node *node, struct strbuf *out)
{
    struct sv text = node->text;

    if (yaml_is_null(node))
        (void)strbuf_add(out, SV("null"));
    else if (!node->quoted &&
             (sv_eq(text, SV("true")) || sv_eq(text, SV("false")) || is_number(text)))
        (void)strbuf_add(out, text);
    else
        jsonw_text(out, text);
}

/* The depth is bounded by YAML_MAX_DEPTH. */
void pod_text_from_yaml(const struct yaml_node *node, struct strbuf *out)
{
    if (node->kind == YAML_SCALAR) {
        scalar(node, out);
        return;
    }
    (void)strbuf_add_char(out, node->kind == YAML_SEQUENCE ? '[' : '{');
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next) {
        if (child != node->first)
            (void)strbuf_add_char(out, ',');
        if (node->kind == YAML_MAPPING) {
            jsonw_text(out, child->key);
            (void)strbuf_add_char(out, ':');
        }
        pod_text_from_yaml(child, out);
    }
    (void)strbuf_add_char(out, node->kind == YAML_SEQUENCE ? ']' : '}');
}

static void one_document(const struct yaml_node *root, struct strbuf *json,
                         const struct pod_text_handler *h)
{
    struct err err = {0};

    if (root->kind != YAML_MAPPING) {
        (void)err_set(&err, ERR_INPUT, 0, "%d:%d: found a %s, expected a Pod", root->line,
                      root->column, yaml_kind_name(root->kind));
        h->broken(h->self, &err);
        return;
    }
    strbuf_clear(json);
    pod_text_from_yaml(root, json);
    if (json->full)
        broken(h, "", "the document is too large");
    else
        one_object(strbuf_sv(json), h);
}

static void each_document(struct sv text, const struct pod_text_handler *h)
{
    struct arena arena;
    struct strbuf json;
    struct yaml_doc *docs;
    struct err err = {0};

    arena_init(&arena, YAML_MAX_ARENA);
    strbuf_init(&json, YAML_MAX_JSON);
    if (!yaml_parse(&arena, text, &docs, &err)) {
        h->broken(h->self, &err);
    } else {
        for (const struct yaml_doc *doc = docs; doc != NULL; doc = doc->next) {
            if (doc->root != NULL)
                one_document(doc->root, &json, h);
        }
    }
    strbuf_done(&json);
    arena_done(&arena);
}

void pod_text_each(struct sv text, const struct pod_text_handler *handler)
{
    struct sv whole = sv_trim(text);

    if (whole.len == 0)
        return;
    if (is_one_object(whole))
        one_object(whole, handler);
    else if (looks_like_lines(text))
        each_line(text, handler);
    else
        each_document(text, handler);
}
