#include "agent/pod_text.h"

#include "agent/kube/jsonscan.h"
#include "agent/kube/template.h"
#include "base/jsonw.h"

/* JSON of a YAML text is at most a few times as long: quotes, escapes of six bytes. */
enum { YAML_MAX_ARENA = 256 << 20, YAML_MAX_JSON = 8 * YAML_MAX_BYTES };

/* Who is told, and where in the text we are. */
struct cut {
    const struct pod_text_handler *handler;
    size_t line;  /* of one object a line, from 1; 0: the text is of another form */
    bool in_list; /* item is the place in its items */
    size_t item;
};

static void tell_broken(const struct cut *c, struct err *err)
{
    if (c->in_list)
        (void)err_wrap(err, "items[%zu]", c->item);
    if (c->line != 0)
        (void)err_wrap(err, "line %zu", c->line);
    c->handler->broken(c->handler->self, err);
}

static void broken(const struct cut *c, const char *what)
{
    struct err err = {0};

    (void)err_set(&err, ERR_INPUT, 0, "%s", what);
    tell_broken(c, &err);
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

static void hand_over(const struct cut *c, struct sv pod)
{
    struct err err = {0};

    if (!c->handler->pod(c->handler->self, pod, &err))
        tell_broken(c, &err);
}

/* An object of this kind, which is no Pod: its template. */
static void workload(const struct cut *c, struct sv object, struct sv kind)
{
    struct strbuf pod;
    struct err err = {0};

    strbuf_init(&pod, TEMPLATE_MAX_POD);
    if (template_pod(object, &pod, &err)) {
        hand_over(c, strbuf_sv(&pod));
    } else {
        if (err.kind == ERR_NOT_FOUND)
            (void)err_set(&err, ERR_INPUT, 0,
                          "kind: found %.*s, expected \"Pod\" or a workload with spec.template",
                          (int)(kind.len < 60 ? kind.len : 60), kind.at);
        tell_broken(c, &err);
    }
    strbuf_done(&pod);
}

static void one_pod(const struct cut *c, struct sv object)
{
    struct sv kind;

    if (find_member(object, SV("\"kind\""), &kind) && !sv_eq(kind, SV("\"Pod\"")) &&
        !sv_eq(kind, SV("null")))
        workload(c, object, kind);
    else
        hand_over(c, object);
}

/* The elements of a JSON list, whose text begins with '['. */
static void each_item(const struct cut *c, struct sv list)
{
    struct cut place = *c;
    struct sv rest = sv_trim(sv_skip(list, 1));

    for (place.in_list = true; rest.len != 0 && rest.at[0] != ']'; place.item++) {
        struct jsonscan scan = {0};
        size_t used = 0;
        struct sv item;

        if (jsonscan_feed(&scan, rest, &used) != JSONSCAN_DONE || used == 0) {
            broken(&place, "found broken JSON, expected a Pod");
            return;
        }
        item = (struct sv){.at = rest.at, .len = used};
        if (item.at[0] == '{')
            one_pod(&place, item);
        else
            broken(&place, "found a value that is no object, expected a Pod");
        rest = sv_trim(sv_skip(rest, used));
        if (rest.len != 0 && rest.at[0] == ',')
            rest = sv_trim(sv_skip(rest, 1));
    }
}

/* A Pod, a workload, or a List of them. */
static void one_object(const struct cut *c, struct sv object)
{
    struct sv items;

    if (!find_member(object, SV("\"items\""), &items))
        one_pod(c, object);
    else if (items.len != 0 && items.at[0] == '[')
        each_item(c, items);
    else if (!sv_eq(items, SV("null"))) /* an empty list, as Go writes it */
        broken(c, "items: found something else, expected a list");
}

static void each_line(const struct pod_text_handler *h, struct sv text)
{
    struct cut c = {.handler = h};
    struct sv line;

    while (sv_next(&text, '\n', &line)) {
        c.line++;
        line = sv_trim(line);
        if (line.len == 0)
            continue;
        if (is_one_object(line))
            one_object(&c, line);
        else
            broken(&c, "found no JSON object, expected a Pod");
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

static void one_document(const struct cut *c, const struct yaml_node *root, struct strbuf *json)
{
    struct err err = {0};

    if (root->kind != YAML_MAPPING) {
        (void)err_set(&err, ERR_INPUT, 0, "%d:%d: found a %s, expected a Pod", root->line,
                      root->column, yaml_kind_name(root->kind));
        tell_broken(c, &err);
        return;
    }
    strbuf_clear(json);
    pod_text_from_yaml(root, json);
    if (json->full)
        broken(c, "the document is too large");
    else
        one_object(c, strbuf_sv(json));
}

static void each_document(const struct pod_text_handler *h, struct sv text)
{
    const struct cut c = {.handler = h};
    struct arena arena;
    struct strbuf json;
    struct yaml_doc *docs;
    struct err err = {0};

    arena_init(&arena, YAML_MAX_ARENA);
    strbuf_init(&json, YAML_MAX_JSON);
    if (!yaml_parse(&arena, text, &docs, &err)) {
        tell_broken(&c, &err);
    } else {
        for (const struct yaml_doc *doc = docs; doc != NULL; doc = doc->next) {
            if (doc->root != NULL)
                one_document(&c, doc->root, &json);
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
        one_object(&(struct cut){.handler = handler}, whole);
    else if (looks_like_lines(text))
        each_line(handler, text);
    else
        each_document(handler, text);
}
