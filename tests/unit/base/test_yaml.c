#include "base/yaml.h"

#include <criterion/criterion.h>

#include "base/alloc.h"
#include "base/strbuf.h"

enum { ARENA_MAX = 64 << 20 };

static bool parse(struct arena *arena, struct sv text, struct yaml_doc **ret_docs, struct err *err)
{
    struct yaml_doc *const untouched = (struct yaml_doc *)arena;
    struct yaml_doc *docs = untouched;

    arena_init(arena, ARENA_MAX);
    *err = (struct err){0};
    if (!yaml_parse(arena, text, &docs, err)) {
        cr_assert(docs == untouched, "a failed parse set its result");
        cr_assert(err->kind == ERR_INPUT || err->kind == ERR_LIMIT);
        cr_assert(err->text[0] != '\0');
        return false;
    }
    *ret_docs = docs;
    return true;
}

/* The tree's invariants: counts, places, keys only in mappings; returns how many nodes there are.
 */
static size_t check_tree(const struct yaml_node *node, bool in_mapping, int depth)
{
    size_t children = 0, nodes = 1;

    cr_assert(depth <= YAML_MAX_DEPTH);
    cr_assert(node->line >= 1 && node->column >= 1);
    cr_assert_eq(in_mapping, node->key.at != NULL);
    if (in_mapping)
        cr_assert(node->key_line >= 1 && node->key_column >= 1 &&
                  node->key.at[node->key.len] == '\0');
    if (node->kind == YAML_SCALAR) {
        cr_assert(node->first == NULL && node->text.at[node->text.len] == '\0');
        return 1;
    }
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next) {
        nodes += check_tree(child, node->kind == YAML_MAPPING, depth + 1);
        children++;
    }
    cr_assert_eq(children, node->count);
    return nodes;
}

/* The tree as text: "s" in quotes where it was quoted, [..], {k: ..}, documents apart by "|". */
static void print_node(struct strbuf *out, const struct yaml_node *node)
{
    const char *before = "";

    if (node->kind == YAML_SCALAR) {
        (void)strbuf_addf(out, node->quoted ? "'%.*s'" : "%.*s", SV_ARG(node->text));
        return;
    }
    (void)strbuf_add_char(out, node->kind == YAML_MAPPING ? '{' : '[');
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next) {
        (void)strbuf_addf(out, "%s", before);
        before = ", ";
        if (node->kind == YAML_MAPPING)
            (void)strbuf_addf(out, "%.*s: ", SV_ARG(child->key));
        print_node(out, child);
    }
    (void)strbuf_add_char(out, node->kind == YAML_MAPPING ? '}' : ']');
}

static const struct {
    const char *name, *text, *tree;
} good[] = {
    {"nothing", "", ""},
    {"a comment", "# nobody\n", ""},
    {"an empty document", "---\n", "-"},
    {"two empty documents", "---\n---\n", "-|-"},
    {"a scalar", "a b", "a b"},
    {"a quoted empty scalar", "''", "''"},
    {"a mapping", "a: 1\nb: 'x'\n", "{a: 1, b: 'x'}"},
    {"a block text", "a: |\n  x\n  y\n", "{a: 'x\ny\n'}"},
    {"a folded text", "a: >-\n  x\n  y\n", "{a: 'x y'}"},
    {"a value left out", "a:\nb: 2", "{a: , b: 2}"},
    {"lists in lists", "- [1, 2]\n- - 3\n", "[[1, 2], [3]]"},
    {"flow and block", "a: {b: [c, {d: e}]}\nf: []\ng: {}", "{a: {b: [c, {d: e}]}, f: [], g: {}}"},
    {"JSON", "{\"a\": [1, true, null], \"b\": \"\\u00e9\"}", "{a: [1, true, null], b: '\xc3\xa9'}"},
    {"documents", "a: 1\n---\nb: 2\n...\n---\n[c]", "{a: 1}|{b: 2}|[c]"},
    {"one key in two mappings", "a: {k: 1}\nb: {k: 2}", "{a: {k: 1}, b: {k: 2}}"},
    {"a quoted merge key is a key", "'<<': 1", "{<<: 1}"},
    {"an explicit key", "? a\n: 1", "{a: 1}"},
    {"an anchor that nobody names", "&r {a: &x 1}", "{a: 1}"},
    {"an alias of a scalar", "a: &x '1'\nb: [*x, *x]", "{a: '1', b: ['1', '1']}"},
    {"an alias of nothing", "a: &x\nb: *x", "{a: , b: }"},
    {"an alias of a tree", "a: &x {b: [1, {c: d}], e: }\nf: *x\ng: [*x]",
     "{a: {b: [1, {c: d}], e: }, f: {b: [1, {c: d}], e: }, g: [{b: [1, {c: d}], e: }]}"},
    {"an alias in a copy", "- &x [1]\n- &y [*x, *x]\n- *y", "[[1], [[1], [1]], [[1], [1]]]"},
    {"an anchor given again", "- &x 1\n- *x\n- &x 2\n- *x", "[1, 1, 2, 2]"},
    {"the same anchor in two documents", "&x a\n---\n- &x b\n- *x", "a|[b, b]"},
    {"a byte order mark",
     "\xef\xbb\xbf"
     "a: 1",
     "{a: 1}"},
    {"Windows line ends", "a: 1\r\nb: 2\r\n", "{a: 1, b: 2}"},
    {"a YAML directive", "%YAML 1.1\n---\na: 1", "{a: 1}"},
};

Test(yaml, reads_what_people_write)
{
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct arena arena;
        struct yaml_doc *docs;
        struct err err;
        struct strbuf out;

        strbuf_init(&out, 4096);
        cr_assert(parse(&arena, sv_from(good[i].text), &docs, &err), "%s: %s", good[i].name,
                  err.text);
        for (const struct yaml_doc *doc = docs; doc != NULL; doc = doc->next) {
            if (doc != docs)
                (void)strbuf_add_char(&out, '|');
            if (doc->root == NULL) {
                (void)strbuf_add_char(&out, '-');
                continue;
            }
            (void)check_tree(doc->root, false, 0);
            print_node(&out, doc->root);
        }
        cr_assert_str_eq(strbuf_str(&out), good[i].tree, "%s", good[i].name);
        strbuf_done(&out);
        arena_done(&arena);
    }
}

static const struct {
    const char *name, *text, *message;
} bad[] = {
    {"an anchor on a key", "&x a: 1", "1:1: found an anchor (&) on a key, expected it on a value"},
    {"an alias for nothing", "a: 1\nb: *x",
     "2:4: found an alias (*), expected its anchor (&) in front of it"},
    {"an alias for what comes behind it", "a: *x\nb: &x 1",
     "1:4: found an alias (*), expected its anchor (&) in front of it"},
    {"an alias for what another document holds", "a: &x 1\n---\nb: *x",
     "3:4: found an alias (*), expected its anchor (&) in front of it"},
    {"an alias for an anchor on nothing", "--- &x\n---\na: *x",
     "3:4: found an alias (*), expected its anchor (&) in front of it"},
    {"an alias for what it is part of", "a: &x [1, {b: *x}]",
     "1:15: found an alias (*) inside what it stands for"},
    {"an alias as a key", "a: &x k\n*x : 1", "2:1: found an alias (*) as a key, expected a scalar"},
    {"a key twice, once behind an alias", "a: &x 1\nb: *x\na: *x",
     "3:1: found key a a second time, expected it once"},
    {"a tag", "a: !!str 1", "1:4: found a tag (!), expected a plain value"},
    {"a local tag", "a: !x [1]", "1:4: found a tag (!), expected a plain value"},
    {"the tag that says nothing", "a: ! 1", "1:4: found a tag (!), expected a plain value"},
    {"a merge key", "a:\n  <<: {b: 1}", "2:3: found a merge key <<, expected an ordinary key"},
    {"a key twice", "a: 1\nb: 2\na: 3", "3:1: found key a a second time, expected it once"},
    {"two keys twice", "a: 1\nb: 2\nb: 3\na: 4",
     "3:1: found key b a second time, expected it once"},
    {"a key three times", "{a: 1, a: 2, a: 3}", "1:8: found key a a second time, expected it once"},
    {"a key twice, once in quotes", "a: 1\n'a': 3",
     "2:1: found key a a second time, expected it once"},
    {"a list as a key", "? [a]\n: 1", "1:3: found a list as a key, expected a scalar"},
    {"a mapping as a key", "{{a: 1}: 2}", "1:2: found a mapping as a key, expected a scalar"},
    {"a control character", "a: 1\nb: \x01", "2:4: control characters are not allowed"},
    {"broken UTF-8", "\xc3\xa9: \xff", "1:4: invalid leading UTF-8 octet"},
    {"a tab as indentation", "a:\n\tb: 1",
     "2:1: found character that cannot start any token, while scanning for the next token that "
     "began at 2:1"},
    {"a list left open", "a: [1, 2",
     "2:1: did not find expected ',' or ']', while parsing a flow sequence that began at 1:4"},
    {"a quote left open", "a: 'x",
     "1:6: found unexpected end of stream, while scanning a quoted scalar that began at 1:4"},
    {"text behind a value", "a: 'x' y",
     "1:8: did not find expected key, while parsing a block mapping that began at 1:1"},
};

Test(yaml, says_what_is_wrong_and_where)
{
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct arena arena;
        struct yaml_doc *docs;
        struct err err;

        cr_assert(!parse(&arena, sv_from(bad[i].text), &docs, &err), "%s was accepted",
                  bad[i].name);
        cr_expect_eq(err.kind, ERR_INPUT, "%s", bad[i].name);
        cr_expect_str_eq(err.text, bad[i].message, "%s: %s", bad[i].name, err.text);
        arena_done(&arena);
    }
}

Test(yaml, remembers_where_everything_stood)
{
    struct arena arena;
    struct yaml_doc *docs;
    struct err err;

    cr_assert(parse(&arena, SV("# head\nspec:\n  caf\xc3\xa9: x\n  list:\n  - a\n  - {b: c}\n"),
                    &docs, &err));

    const struct yaml_node *spec = yaml_get(docs->root, "spec");
    const struct yaml_node *cafe = yaml_get(spec, "caf\xc3\xa9");
    const struct yaml_node *list = yaml_get(spec, "list");
    const struct yaml_node *c = yaml_get(list->first->next, "b");

    cr_assert_eq(docs->root->line, 2);
    cr_assert_eq(spec->key_line, 2);
    cr_assert_eq(spec->key_column, 1);
    cr_assert_eq(spec->line, 3);
    cr_assert_eq(spec->column, 3);
    cr_assert_eq(cafe->line, 3);
    cr_assert_eq(cafe->column, 9, "columns count characters, not bytes");
    cr_assert_eq(list->key_line, 4);
    cr_assert_eq(list->count, 2);
    cr_assert_eq(c->line, 6);
    cr_assert_eq(c->column, 9);
    cr_assert_eq(c->key_column, 6);
    cr_assert_eq(list->first->key.at, NULL);
    arena_done(&arena);
}

Test(yaml, a_copy_stands_where_it_was_written)
{
    struct arena arena;
    struct yaml_doc *docs;
    struct err err;

    cr_assert(parse(&arena, SV("a: &x\n  k: v\nb: *x\n"), &docs, &err), "%s", err.text);

    const struct yaml_node *b = yaml_get(docs->root, "b"), *k = yaml_get(b, "k");

    cr_assert(b->line == 1 && b->column == 4, "%d:%d", b->line, b->column);
    cr_assert(b->key_line == 3 && b->key_column == 1);
    cr_assert(k->line == 2 && k->column == 6 && k->key_line == 2 && k->key_column == 3);
    arena_done(&arena);
}

/* n times `piece`. */
static void repeat(struct strbuf *out, const char *piece, int n)
{
    for (int i = 0; i < n; i++)
        (void)strbuf_add(out, sv_from(piece));
}

/* Nine lines of nine aliases each stand for 9^9 texts. */
Test(yaml, aliases_do_not_grow_beyond_the_limits)
{
    struct arena arena;
    struct yaml_doc *docs;
    struct err err;
    struct strbuf text;

    strbuf_init(&text, 1 << 20);
    (void)strbuf_addf(&text, "- &a0 ha\n");
    for (int i = 1; i <= 9; i++) {
        (void)strbuf_addf(&text, "- &a%d [*a%d", i, i - 1);
        for (int j = 1; j < 9; j++)
            (void)strbuf_addf(&text, ", *a%d", i - 1);
        (void)strbuf_addf(&text, "]\n");
    }
    cr_assert(!parse(&arena, strbuf_sv(&text), &docs, &err));
    cr_assert_eq(err.kind, ERR_LIMIT, "%s", err.text);
    cr_assert_not_null(strstr(err.text, "found more than 200000 values"), "%s", err.text);
    arena_done(&arena);

    strbuf_clear(&text);
    (void)strbuf_addf(&text, "- &x [[1]]\n- ");
    repeat(&text, "[", YAML_MAX_DEPTH - 2);
    (void)strbuf_addf(&text, "*x");
    repeat(&text, "]", YAML_MAX_DEPTH - 2);
    cr_assert(!parse(&arena, strbuf_sv(&text), &docs, &err));
    cr_assert_eq(err.kind, ERR_LIMIT, "%s", err.text);
    cr_assert_not_null(strstr(err.text, "levels of lists and mappings"), "%s", err.text);
    arena_done(&arena);

    for (int extra = 0; extra <= 1; extra++) {
        strbuf_clear(&text);
        repeat(&text, "- &x 1\n", YAML_MAX_ANCHORS + extra);
        cr_assert_eq(parse(&arena, strbuf_sv(&text), &docs, &err), extra == 0, "%s", err.text);
        arena_done(&arena);
    }
    strbuf_done(&text);
}

Test(yaml, stops_at_the_depth_limit)
{
    static const struct {
        const char *name, *open, *close;
    } rows[] = {{"lists", "[", "]"}, {"mappings", "{a: ", "}"}};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (int extra = 0; extra <= 1; extra++) {
            struct arena arena;
            struct yaml_doc *docs;
            struct err err;
            struct strbuf text;
            bool ok;

            strbuf_init(&text, 1 << 20);
            repeat(&text, rows[i].open, YAML_MAX_DEPTH + extra);
            repeat(&text, rows[i].close, YAML_MAX_DEPTH + extra);
            ok = parse(&arena, strbuf_sv(&text), &docs, &err);
            cr_assert_eq(ok, extra == 0, "%s: %s", rows[i].name, err.text);
            if (!ok)
                cr_assert_eq(err.kind, ERR_LIMIT, "%s", rows[i].name);
            strbuf_done(&text);
            arena_done(&arena);
        }
    }
}

Test(yaml, survives_a_hundred_thousand_open_brackets)
{
    struct arena arena;
    struct yaml_doc *docs;
    struct err err;
    struct strbuf text;

    strbuf_init(&text, 1 << 20);
    repeat(&text, "[", 100000);
    cr_assert(!parse(&arena, strbuf_sv(&text), &docs, &err));
    arena_done(&arena);
    strbuf_clear(&text);
    repeat(&text, "- ", 100000);
    cr_assert(!parse(&arena, strbuf_sv(&text), &docs, &err));
    strbuf_done(&text);
    arena_done(&arena);
}

Test(yaml, stops_at_the_limits_of_nodes_and_bytes)
{
    struct arena arena;
    struct yaml_doc *docs;
    struct err err;
    struct strbuf text;

    strbuf_init(&text, 2 * YAML_MAX_BYTES);
    repeat(&text, "- a\n", YAML_MAX_NODES - 1); /* and the list itself */
    cr_assert(parse(&arena, strbuf_sv(&text), &docs, &err), "%s", err.text);
    cr_assert_eq(check_tree(docs->root, false, 0), YAML_MAX_NODES);
    arena_done(&arena);

    repeat(&text, "- a\n", 1);
    cr_assert(!parse(&arena, strbuf_sv(&text), &docs, &err));
    cr_assert_eq(err.kind, ERR_LIMIT);
    arena_done(&arena);

    strbuf_clear(&text);
    repeat(&text, "#", YAML_MAX_BYTES);
    cr_assert(parse(&arena, strbuf_sv(&text), &docs, &err), "%s", err.text);
    arena_done(&arena);
    repeat(&text, "#", 1);
    cr_assert(!parse(&arena, strbuf_sv(&text), &docs, &err));
    cr_assert_eq(err.kind, ERR_LIMIT);
    strbuf_done(&text);
    arena_done(&arena);
}

Test(yaml, stops_wherever_the_arena_ends)
{
    const struct sv text = SV("a: {b: [c, 'd']}\n---\ne: f\n");
    struct arena arena;
    struct yaml_doc *docs = NULL;
    struct err err = {0};
    size_t max = 0;

    for (;; max++) {
        arena_init(&arena, max);
        if (yaml_parse(&arena, text, &docs, &err))
            break;
        cr_assert_eq(err.kind, ERR_LIMIT, "%zu bytes: %s", max, err.text);
        arena_done(&arena);
    }
    cr_assert(max > 100, "%zu bytes are not enough for this tree", max);
    cr_assert_eq(check_tree(docs->root, false, 0), 5);
    arena_done(&arena);
}

/* A mapping of many keys must not take quadratic time, whatever their hashes or order. */
Test(yaml, finds_the_one_duplicate_among_many_keys)
{
    struct arena arena;
    struct yaml_doc *docs;
    struct err err;
    struct strbuf text;

    strbuf_init(&text, YAML_MAX_BYTES);
    for (int i = 0; i < 100000; i++)
        (void)strbuf_addf(&text, "k%d: 1\n", i);
    cr_assert(parse(&arena, strbuf_sv(&text), &docs, &err), "%s", err.text);
    arena_done(&arena);
    (void)strbuf_addf(&text, "k77: 1\n");
    cr_assert(!parse(&arena, strbuf_sv(&text), &docs, &err));
    cr_assert_str_eq(err.text, "100001:1: found key k77 a second time, expected it once");
    strbuf_done(&text);
    arena_done(&arena);
}

Test(yaml, tells_null_from_text)
{
    static const struct {
        const char *text;
        bool null;
    } rows[] = {
        {"a:", true},       {"a: ~", true},   {"a: null", true}, {"a: Null", true},
        {"a: NULL", true},  {"b: 1", true},   {"a: ''", false},  {"a: 'null'", false},
        {"a: nULL", false}, {"a: []", false}, {"a: 0", false},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena;
        struct yaml_doc *docs;
        struct err err;

        cr_assert(parse(&arena, sv_from(rows[i].text), &docs, &err), "%s", rows[i].text);
        cr_expect_eq(yaml_is_null(yaml_get(docs->root, "a")), rows[i].null, "%s", rows[i].text);
        arena_done(&arena);
    }
}

Test(yaml, looks_up_nothing_in_what_is_not_a_mapping)
{
    struct arena arena;
    struct yaml_doc *docs;
    struct err err;

    cr_assert(parse(&arena, SV("[a]"), &docs, &err));
    cr_assert(yaml_get(docs->root, "a") == NULL);
    cr_assert(yaml_get(docs->root->first, "a") == NULL);
    cr_assert(yaml_get(NULL, "a") == NULL);
    cr_assert_str_eq(yaml_kind_name(docs->root->kind), "list");
    arena_done(&arena);
}

Test(yaml, shows_any_text_on_one_line)
{
    static const struct {
        const char *name;
        struct sv text;
        const char *shown;
    } rows[] = {
        {"plain", {"140%", 4}, "140%"},
        {"empty", {"", 0}, "\"\""},
        {"no pointer", {NULL, 0}, "\"\""},
        {"control characters", {"a\nb\0c\x7f", 6}, "a?b?c?"},
        {"UTF-8", {"caf\xc3\xa9", 5}, "caf\xc3\xa9"},
        {"a cut sequence", {"caf\xc3", 4}, "caf?"},
        {"no UTF-8", {"\xff\xfe", 2}, "??"},
        {"turned and unseen", SV("a\u202eb\u200b\xc2\x9b"), "a?b??"},
        {"63 bytes",
         {"123456789012345678901234567890123456789012345678901234567890123", 63},
         "123456789012345678901234567890123456789012345678901234567890123"},
        {"64 bytes",
         {"1234567890123456789012345678901234567890123456789012345678901234", 64},
         "123456789012345678901234567890123456789012345678901234567890..."},
        {"cut in front of a sequence",
         {"12345678901234567890123456789012345678901234567890123456789\xc3\xa9zzzz", 65},
         "12345678901234567890123456789012345678901234567890123456789..."},
    };
    char buf[YAML_SHOW_SIZE];

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        cr_expect_str_eq(yaml_show(rows[i].text, buf), rows[i].shown, "%s: %s", rows[i].name, buf);
}
