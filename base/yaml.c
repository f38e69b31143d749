#include "base/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/alloc.h"

/* A list or mapping that is still open. */
struct level {
    struct yaml_node *node;
    struct yaml_node **tail; /* where the next child is hung */
    bool has_key;            /* a mapping's key came, its value is due */
    struct sv key;
    int key_line, key_column;
};

/* What an alias may stand for, in the document that is being read: the newest first, since names may be given again. */
struct anchor {
    struct sv name;
    const struct yaml_node *node;
    const struct anchor *next;
};

struct builder {
    struct arena *arena;
    struct yaml_doc *docs;
    struct yaml_doc **doc_tail;
    struct yaml_doc *doc; /* the document that is being read */
    struct level stack[YAML_MAX_DEPTH];
    int depth;
    size_t nodes;
    const struct yaml_node *newest; /* node; NULL: the last event made none */
    const struct anchor *anchors;
    int n_anchors;
    struct err *err;
};

static const char *const kind_names[] = {
    [YAML_SCALAR] = "scalar",
    [YAML_SEQUENCE] = "list",
    [YAML_MAPPING] = "mapping",
};
_Static_assert(COUNT_OF(kind_names) == YAML_KIND_COUNT_, "a kind has no name");

const char *yaml_kind_name(enum yaml_kind kind)
{
    return kind_names[kind];
}

/* libyaml counts from 0. The text is at most YAML_MAX_BYTES, so that both fit an int. */
static int line_of(yaml_mark_t mark)
{
    return (int)mark.line + 1;
}

static int column_of(yaml_mark_t mark)
{
    return (int)mark.column + 1;
}

static bool refuse(struct builder *b, enum err_kind kind, yaml_mark_t mark, const char *what)
{
    return err_set(b->err, kind, 0, "%d:%d: %s", line_of(mark), column_of(mark), what);
}

static bool refuse_memory(struct builder *b, yaml_mark_t mark)
{
    return err_set(b->err, ERR_LIMIT, 0, "%d:%d: found more than the limit of %zu bytes of content",
                   line_of(mark), column_of(mark), b->arena->max);
}

/* A scalar where a mapping wants a key is that key: the value comes next. */
static bool is_key(const struct builder *b)
{
    if (b->depth == 0)
        return false;

    const struct level *top = &b->stack[b->depth - 1];

    return top->node->kind == YAML_MAPPING && !top->has_key;
}

static bool take_key(struct builder *b, struct sv text, bool plain, yaml_mark_t mark)
{
    struct level *top = &b->stack[b->depth - 1];

    if (plain && sv_eq(text, SV("<<")))
        return refuse(b, ERR_INPUT, mark, "found a merge key <<, expected an ordinary key");
    top->key = arena_dup(b->arena, text);
    if (top->key.at == NULL)
        return refuse_memory(b, mark);
    top->has_key = true;
    top->key_line = line_of(mark);
    top->key_column = column_of(mark);
    return true;
}

/* Makes a node and hangs it where it belongs. */
static bool add_node(struct builder *b, enum yaml_kind kind, yaml_mark_t mark,
                     struct yaml_node **ret_node)
{
    struct yaml_node *node;

    if (b->nodes == YAML_MAX_NODES)
        return err_set(b->err, ERR_LIMIT, 0, "%d:%d: found more than %d values", line_of(mark),
                       column_of(mark), YAML_MAX_NODES);
    node = arena_alloc(b->arena, 1, sizeof *node);
    if (node == NULL)
        return refuse_memory(b, mark);
    b->nodes++;
    b->newest = node;
    node->kind = kind;
    node->line = line_of(mark);
    node->column = column_of(mark);
    if (b->depth == 0) {
        b->doc->root = node;
    } else {
        struct level *top = &b->stack[b->depth - 1];

        node->key = top->key;
        node->key_line = top->key_line;
        node->key_column = top->key_column;
        top->key = (struct sv){0};
        top->key_line = top->key_column = 0;
        top->has_key = false;
        *top->tail = node;
        top->tail = &node->next;
        top->node->count++;
    }
    *ret_node = node;
    return true;
}

static bool take_scalar(struct builder *b, const yaml_event_t *event)
{
    struct sv text = {.at = (const char *)event->data.scalar.value,
                      .len = event->data.scalar.length};
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    struct yaml_node *node = NULL;

    if (is_key(b))
        return take_key(b, text, plain, event->start_mark);
    if (b->depth == 0 && plain && text.len == 0)
        return true; /* an empty document */
    if (!add_node(b, YAML_SCALAR, event->start_mark, &node))
        return false;
    node->quoted = !plain;
    node->text = arena_dup(b->arena, text);
    if (node->text.at == NULL)
        return refuse_memory(b, event->start_mark);
    return true;
}

static bool open_level(struct builder *b, enum yaml_kind kind, yaml_mark_t mark)
{
    struct yaml_node *node = NULL;

    if (is_key(b))
        return err_set(b->err, ERR_INPUT, 0, "%d:%d: found a %s as a key, expected a scalar",
                       line_of(mark), column_of(mark), kind_names[kind]);
    if (b->depth == YAML_MAX_DEPTH)
        return err_set(b->err, ERR_LIMIT, 0,
                       "%d:%d: found more than %d levels of lists and mappings", line_of(mark),
                       column_of(mark), YAML_MAX_DEPTH);
    if (!add_node(b, kind, mark, &node))
        return false;
    b->stack[b->depth++] = (struct level){.node = node, .tail = &node->first};
    return true;
}

static bool stands_before(const struct yaml_node *a, const struct yaml_node *b)
{
    return a->key_line != b->key_line ? a->key_line < b->key_line : a->key_column < b->key_column;
}

static int by_key_and_place(const void *a, const void *b)
{
    const struct yaml_node *x = *(struct yaml_node *const *)a;
    const struct yaml_node *y = *(struct yaml_node *const *)b;
    int order = sv_cmp(x->key, y->key);

    return order != 0 ? order : stands_before(y, x) - stands_before(x, y);
}

/* The first entry of the text whose key stood before, or NULL. Sorting makes this O(n log n) for
 * any keys. */
static const struct yaml_node *find_duplicate(const struct yaml_node *mapping)
{
    if (mapping->count < 2)
        return NULL;

    CLEANUP(free_ptr) struct yaml_node **entries = xcalloc(mapping->count, sizeof *entries);
    const struct yaml_node *found = NULL;
    size_t n = 0;

    for (struct yaml_node *entry = mapping->first; entry != NULL; entry = entry->next)
        entries[n++] = entry;
    qsort(entries, n, sizeof *entries, by_key_and_place);
    for (size_t i = 1; i < n; i++) {
        if (sv_eq(entries[i - 1]->key, entries[i]->key) &&
            (found == NULL || stands_before(entries[i], found)))
            found = entries[i];
    }
    return found;
}

static bool close_level(struct builder *b)
{
    const struct yaml_node *node = b->stack[--b->depth].node;
    const struct yaml_node *twice = node->kind == YAML_MAPPING ? find_duplicate(node) : NULL;
    char shown[YAML_SHOW_SIZE];

    if (twice != NULL)
        return err_set(b->err, ERR_INPUT, 0, "%d:%d: found key %s a second time, expected it once",
                       twice->key_line, twice->key_column, yaml_show(twice->key, shown));
    return true;
}

static bool open_document(struct builder *b, yaml_mark_t mark)
{
    b->doc = arena_alloc(b->arena, 1, sizeof *b->doc);
    if (b->doc == NULL)
        return refuse_memory(b, mark);
    *b->doc_tail = b->doc;
    b->doc_tail = &b->doc->next;
    b->anchors = NULL;
    b->n_anchors = 0;
    return true;
}

static bool check_marks(struct builder *b, yaml_mark_t mark, const yaml_char_t *anchor,
                        const yaml_char_t *tag)
{
    b->newest = NULL;
    if (anchor != NULL && is_key(b))
        return refuse(b, ERR_INPUT, mark, "found an anchor (&) on a key, expected it on a value");
    if (tag != NULL)
        return refuse(b, ERR_INPUT, mark, "found a tag (!), expected a plain value");
    return true;
}

/* ---- aliases ---- */

static bool keep_anchor(struct builder *b, const yaml_char_t *name, yaml_mark_t mark)
{
    struct anchor *anchor;

    if (name == NULL || b->newest == NULL)
        return true;
    if (b->n_anchors++ == YAML_MAX_ANCHORS)
        return err_set(b->err, ERR_LIMIT, 0, "%d:%d: found more than %d anchors (&)", line_of(mark),
                       column_of(mark), YAML_MAX_ANCHORS);
    anchor = arena_alloc(b->arena, 1, sizeof *anchor);
    if (anchor == NULL)
        return refuse_memory(b, mark);
    anchor->name = arena_dup(b->arena, sv_from((const char *)name));
    if (anchor->name.at == NULL)
        return refuse_memory(b, mark);
    anchor->node = b->newest;
    anchor->next = b->anchors;
    b->anchors = anchor;
    return true;
}

/* Once more what was there before; it keeps the places where it was written. Texts are shared. */
static bool repeat(struct builder *b, const struct yaml_node *node, yaml_mark_t mark)
{
    struct yaml_node *copy;

    if (node->kind == YAML_SCALAR) {
        if (!add_node(b, YAML_SCALAR, mark, &copy))
            return false;
        copy->quoted = node->quoted;
        copy->text = node->text;
    } else {
        if (!open_level(b, node->kind, mark))
            return false;
        copy = b->stack[b->depth - 1].node;
    }
    copy->line = node->line;
    copy->column = node->column;
    if (node->kind == YAML_SCALAR)
        return true;
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next) {
        struct level *top = &b->stack[b->depth - 1];

        top->has_key = node->kind == YAML_MAPPING;
        top->key = child->key;
        top->key_line = child->key_line;
        top->key_column = child->key_column;
        if (!repeat(b, child, mark))
            return false;
    }
    b->depth--; /* whose keys differ */
    return true;
}

static bool take_alias(struct builder *b, struct sv name, yaml_mark_t mark)
{
    const struct anchor *anchor = b->anchors;

    if (is_key(b))
        return refuse(b, ERR_INPUT, mark, "found an alias (*) as a key, expected a scalar");
    while (anchor != NULL && !sv_eq(anchor->name, name))
        anchor = anchor->next;
    if (anchor == NULL)
        return refuse(b, ERR_INPUT, mark,
                      "found an alias (*), expected its anchor (&) in front of it");
    for (int i = 0; i < b->depth; i++) {
        if (b->stack[i].node == anchor->node)
            return refuse(b, ERR_INPUT, mark, "found an alias (*) inside what it stands for");
    }
    return repeat(b, anchor->node, mark);
}

static bool take_event(struct builder *b, const yaml_event_t *event)
{
    yaml_mark_t mark = event->start_mark;

    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return true;
    case YAML_DOCUMENT_START_EVENT:
        return open_document(b, mark);
    case YAML_ALIAS_EVENT:
        return take_alias(b, sv_from((const char *)event->data.alias.anchor), mark);
    case YAML_SCALAR_EVENT:
        return check_marks(b, mark, event->data.scalar.anchor, event->data.scalar.tag) &&
               take_scalar(b, event) && keep_anchor(b, event->data.scalar.anchor, mark);
    case YAML_SEQUENCE_START_EVENT:
        return check_marks(b, mark, event->data.sequence_start.anchor,
                           event->data.sequence_start.tag) &&
               open_level(b, YAML_SEQUENCE, mark) &&
               keep_anchor(b, event->data.sequence_start.anchor, mark);
    case YAML_MAPPING_START_EVENT:
        return check_marks(b, mark, event->data.mapping_start.anchor,
                           event->data.mapping_start.tag) &&
               open_level(b, YAML_MAPPING, mark) &&
               keep_anchor(b, event->data.mapping_start.anchor, mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_level(b);
    }
    return true;
}

/* libyaml's reader (encoding, control characters) knows only the byte's offset. */
static yaml_mark_t mark_of_offset(struct sv text, size_t offset)
{
    yaml_mark_t mark = {0};

    for (size_t i = 0; i < offset && i < text.len; i++) {
        if (text.at[i] == '\n') {
            mark.line++;
            mark.column = 0;
        } else if (((unsigned char)text.at[i] & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

static bool refuse_syntax(struct builder *b, struct sv text, const yaml_parser_t *parser)
{
    const char *problem = parser->problem != NULL ? parser->problem : "not YAML";
    yaml_mark_t mark = parser->problem_mark;

    if (parser->error == YAML_MEMORY_ERROR)
        return err_set(b->err, ERR_LIMIT, 0, "out of memory");
    if (parser->error == YAML_READER_ERROR)
        mark = mark_of_offset(text, parser->problem_offset);
    if (parser->context != NULL)
        return err_set(b->err, ERR_INPUT, 0, "%d:%d: %s, %s that began at %d:%d", line_of(mark),
                       column_of(mark), problem, parser->context, line_of(parser->context_mark),
                       column_of(parser->context_mark));
    return refuse(b, ERR_INPUT, mark, problem);
}

bool yaml_parse(struct arena *arena, struct sv text, struct yaml_doc **ret_docs, struct err *err)
{
    struct builder b = {.arena = arena, .err = err};
    CLEANUP(yaml_parser_delete) yaml_parser_t parser;
    bool end = false;

    if (yaml_parser_initialize(&parser) == 0)
        return err_set(err, ERR_LIMIT, 0, "out of memory");
    if (text.len > YAML_MAX_BYTES)
        return err_set(err, ERR_LIMIT, 0, "1:1: found %zu bytes, expected at most %d", text.len,
                       YAML_MAX_BYTES);
    b.doc_tail = &b.docs;
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.len != 0 ? text.at : ""),
                                 text.len);
    while (!end) {
        CLEANUP(yaml_event_delete) yaml_event_t event = {0};

        if (yaml_parser_parse(&parser, &event) == 0)
            return refuse_syntax(&b, text, &parser);
        if (!take_event(&b, &event))
            return false;
        end = event.type == YAML_STREAM_END_EVENT;
    }
    *ret_docs = b.docs;
    return true;
}

const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key)
{
    struct sv wanted = sv_from(key);

    if (node == NULL || node->kind != YAML_MAPPING)
        return NULL;
    for (const struct yaml_node *entry = node->first; entry != NULL; entry = entry->next) {
        if (sv_eq(entry->key, wanted))
            return entry;
    }
    return NULL;
}

bool yaml_is_null(const struct yaml_node *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};

    if (node == NULL)
        return true;
    if (node->kind != YAML_SCALAR || node->quoted)
        return false;
    for (size_t i = 0; i < COUNT_OF(nulls); i++) {
        if (sv_eq(node->text, sv_from(nulls[i])))
            return true;
    }
    return false;
}

const char *yaml_show(struct sv text, char buf[static YAML_SHOW_SIZE])
{
    static const char dots[] = "...";
    size_t used = 0;

    if (text.len == 0) {
        (void)snprintf(buf, YAML_SHOW_SIZE, "\"\"");
        return buf;
    }
    while (text.len != 0) {
        size_t hidden = sv_hidden(text), from = hidden != 0 ? hidden : sv_utf8(text);
        size_t len = hidden != 0 ? 1 : from;

        if (used + text.len >= YAML_SHOW_SIZE && used + len + sizeof dots > YAML_SHOW_SIZE) {
            memcpy(buf + used, dots, sizeof dots);
            return buf;
        }
        memcpy(buf + used, hidden != 0 ? "?" : text.at, len);
        used += len;
        text = sv_skip(text, from);
    }
    buf[used] = '\0';
    return buf;
}
