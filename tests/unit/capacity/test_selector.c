#include "capacity/selector.h"

#include "base/strbuf.h"
#include "tests/unit/capacity/fixtures.h"

/* ---- text form ---- */

/* The text of a parsed selector in one spelling: "a in (b,c)", "!d", "e", "f>1". */
static void print(const struct selector *s, struct strbuf *out)
{
    static const char *const words[] = {
        [OP_IN] = " in ", [OP_NOT_IN] = " notin ", [OP_GT] = ">", [OP_LT] = "<"};

    for (size_t i = 0; i < s->n; i++) {
        const struct requirement *req = &s->reqs[i];
        bool list = req->op == OP_IN || req->op == OP_NOT_IN;

        (void)strbuf_addf(out, "%s%s%.*s", i != 0 ? "," : "",
                          req->op == OP_DOES_NOT_EXIST ? "!" : "", SV_ARG(req->key));
        if (req->op == OP_EXISTS || req->op == OP_DOES_NOT_EXIST)
            continue;
        (void)strbuf_addf(out, "%s%s", words[req->op], list ? "(" : "");
        for (size_t v = 0; v < req->n_values; v++)
            (void)strbuf_addf(out, "%s%.*s", v != 0 ? "," : "", SV_ARG(req->values[v]));
        (void)strbuf_addf(out, "%s", list ? ")" : "");
    }
}

/* What holds for every parsed selector: its printed form is parsed to the same again. */
static void check_invariants(const struct selector *s, const char *row)
{
    CLEANUP(strbuf_done) struct strbuf first, second;
    struct arena arena;
    struct selector again;
    struct err err = {0};

    strbuf_init(&first, 1 << 16);
    strbuf_init(&second, 1 << 16);
    arena_init(&arena, 1 << 20);
    print(s, &first);
    cr_assert(selector_parse(&arena, strbuf_sv(&first), &again, &err), "'%s' as '%s': %s", row,
              strbuf_str(&first), err.text);
    print(&again, &second);
    cr_assert_str_eq(strbuf_str(&first), strbuf_str(&second), "'%s'", row);
    arena_done(&arena);
}

Test(selector, reads_the_text_form)
{
    static const struct {
        const char *text, *printed;
    } rows[] = {
        {"", ""},
        {"  ", ""},
        {"a", "a"},
        {"!a", "!a"},
        {"! a", "!a"},
        {"a=b", "a in (b)"},
        {"a==b", "a in (b)"},
        {"a!=b", "a notin (b)"},
        {" a = b , c ", "a in (b),c"},
        {"a=", "a in ()"},
        {"a=,b", "a in (),b"},
        {"a!=", "a notin ()"},
        {"a=b,c in (d,e),!f", "a in (b),c in (d,e),!f"},
        {"a in()", "a in ()"},
        {"a in (,b)", "a in (,b)"},
        {"a in (b,)", "a in (b,)"},
        {"a in (,)", "a in (,)"},
        {"a in (b,,c)", "a in (b,,c)"},
        {"a notin(b)", "a notin (b)"},
        {"in in (in,notin)", "in in (in,notin)"},
        {"notin", "notin"},
        {"in=notin", "in in (notin)"},
        {"a>1", "a>1"},
        {"a < 007", "a<007"},
        {"app.kubernetes.io/name=web", "app.kubernetes.io/name in (web)"},
        {"a\t=\r\nb", "a in (b)"},
    };
    struct arena arena;

    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(strbuf_done) struct strbuf out;
        struct selector s;
        struct err err = {0};

        strbuf_init(&out, 1 << 10);
        cr_assert(selector_parse(&arena, sv_from(rows[i].text), &s, &err), "'%s': %s", rows[i].text,
                  err.text);
        print(&s, &out);
        cr_expect_str_eq(strbuf_str(&out), rows[i].printed, "'%s'", rows[i].text);
        check_invariants(&s, rows[i].text);
    }
    arena_done(&arena);
}

Test(selector, says_where_a_text_is_broken)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"a=b,", "column 5: found the end, expected a label key behind ','"},
        {",a", "column 1: found ',', expected a label key or '!'"},
        {"a,,b", "column 3: found ',', expected a label key or '!'"},
        {"!", "column 2: found the end, expected a label key"},
        {"!!a", "column 2: found '!', expected a label key"},
        {"!a=b", "column 3: found '=', expected ',' or the end"},
        {"=b", "column 1: found '=', expected a label key or '!'"},
        {"a b", "column 3: found 'b', expected ',', =, ==, !=, >, <, in or notin"},
        {"a=b c", "column 5: found 'c', expected ',' or the end"},
        {"a===b", "column 4: found '=', expected a value"},
        {"a=(b)", "column 3: found '(', expected a value"},
        {"a in b", "column 6: found 'b', expected '('"},
        {"a in (b", "column 8: found the end, expected ',' or ')'"},
        {"a in (b c)", "column 9: found 'c', expected ',' or ')'"},
        {"a in (b=c)", "column 8: found '=', expected ',' or ')'"},
        {"a in", "column 5: found the end, expected '('"},
        {"a>b", "column 3: found 'b', expected a whole number"},
        {"a>", "column 3: found the end, expected a whole number"},
        {"a>-1", "column 3: found '-1', expected a label value"},
        {"a<99999999999999999999",
         "column 3: found '99999999999999999999', expected a whole number"},
        {"-a", "column 1: found '-a', expected a label key or '!'"},
        {"a=-b", "column 3: found '-b', expected a label value"},
        {"a in (b,c!)", "column 10: found '!', expected ',' or ')'"},
        {"a)", "column 2: found ')', expected ',', =, ==, !=, >, <, in or notin"},
    };
    struct arena arena;

    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct selector s = {.n = 77};
        struct err err = {0};

        cr_expect(!selector_parse(&arena, sv_from(rows[i].text), &s, &err), "'%s'", rows[i].text);
        cr_expect_str_eq(err.text, rows[i].message, "'%s': %s", rows[i].text, err.text);
        cr_expect_eq(err.kind, ERR_INPUT, "'%s'", rows[i].text);
        cr_expect_eq(s.n, 77, "'%s': a failed parse wrote its result", rows[i].text);
    }
    arena_done(&arena);
}

Test(selector, stops_at_the_limit_of_the_arena)
{
    for (size_t max = 0; max < 200; max++) {
        struct arena arena;
        struct selector s;
        struct err err = {0};

        arena_init(&arena, max);
        if (selector_parse(&arena, SV("a=b,c=d"), &s, &err))
            cr_expect_eq(s.n, 2);
        else
            cr_expect_eq(err.kind, ERR_LIMIT, "%zu bytes", max);
        cr_expect_eq(err.kind == ERR_LIMIT, max < 7 + 1 + 2 * (sizeof *s.reqs + sizeof(struct sv)),
                     "%zu bytes", max);
        arena_done(&arena);
    }
}

Test(selector, survives_any_text)
{
    static const char *const pieces[] = {"a",  "b", "in", "notin", "=",  "==",    "!",
                                         "!=", ",", "(",  ")",     " ",  ">",     "<",
                                         "1",  "-", "\n", "x/y",   "()", " in (", "\xff"};
    struct dice d = dice_new("survives_any_text");
    int good = 0;

    for (int round = 0; round < 30000; round++) {
        char text[128] = "";
        size_t len = 0, n = dice_below(&d, 12);
        struct arena arena;
        struct selector s;

        for (size_t i = 0; i < n; i++)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s",
                                    pieces[dice_below(&d, COUNT_OF(pieces))]);
        arena_init(&arena, 1 << 16);
        if (selector_parse(&arena, (struct sv){text, len}, &s, NULL)) {
            check_invariants(&s, text);
            good++;
        }
        arena_done(&arena);
    }
    cr_assert_gt(good, 1000, "only %d texts were right", good);
}

/* ---- requirements ---- */

static const struct label labels[] = {
    {SV("zone"), SV("a")},
    {SV("empty"), {0}},
    {SV("cores"), SV("16")},
    {SV("size"), SV("big")},
};

Test(selector, matches_labels)
{
    static const struct {
        const char *text;
        bool matches;
    } rows[] = {
        {"", true},
        {"zone=a", true},
        {"zone=b", false},
        {"zone!=b", true},
        {"zone!=a", false},
        {"other!=a", true},
        {"other=a", false},
        {"other=", false},
        {"empty=", true},
        {"empty!=", false},
        {"zone", true},
        {"!zone", false},
        {"!other", true},
        {"zone in (b,a)", true},
        {"zone in (b,c)", false},
        {"zone notin (b,c)", true},
        {"zone notin (b,a)", false},
        {"empty in ()", true},
        {"cores>15", true},
        {"cores>16", false},
        {"cores<16", false},
        {"cores<17", true},
        {"size>1", false},
        {"size<1", false},
        {"other>1", false},
        {"zone=a,cores>15,!other", true},
        {"zone=a,cores>16,!other", false},
        {"zone=a,zone=b", false},
    };
    struct arena arena;

    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct selector s;

        cr_assert(selector_parse(&arena, sv_from(rows[i].text), &s, NULL), "'%s'", rows[i].text);
        cr_expect_eq(selector_matches(&s, labels, COUNT_OF(labels)), rows[i].matches, "'%s'",
                     rows[i].text);
    }
    arena_done(&arena);
}

Test(selector, finds_labels_by_whole_keys)
{
    cr_assert(sv_eq(*label_find(labels, COUNT_OF(labels), SV("zone")), SV("a")));
    cr_assert_null(label_find(labels, COUNT_OF(labels), SV("zon")));
    cr_assert_null(label_find(NULL, 0, SV("zone")));
}

/* ---- node affinity ---- */

enum { MAX_VALUES = 2 };

struct wanted {
    const char *key;
    enum requirement_op op;
    size_t n_values;
    struct sv values[MAX_VALUES];
};

static struct requirement requirement_of(const struct wanted *w)
{
    return (struct requirement){
        .key = sv_from(w->key), .op = w->op, .values = w->values, .n_values = w->n_values};
}

static bool one_term(const struct requirement *exprs, size_t n_exprs,
                     const struct requirement *fields, size_t n_fields)
{
    const struct node_term term = {
        .exprs = exprs, .n_exprs = n_exprs, .fields = fields, .n_fields = n_fields};
    const struct pod_rules rules = {.has_affinity = true, .terms = &term, .n_terms = 1};

    return rules_match_node(&rules, SV("n1"), labels, COUNT_OF(labels));
}

Test(selector, knows_the_operators_of_node_affinity)
{
    static const struct {
        const char *name;
        struct wanted w;
        bool matches;
    } rows[] = {
        {"In, listed", {"zone", OP_IN, 2, {SV("b"), SV("a")}}, true},
        {"In, not listed", {"zone", OP_IN, 1, {SV("b")}}, false},
        {"In, no label", {"other", OP_IN, 1, {SV("a")}}, false},
        {"In, no label, empty value", {"other", OP_IN, 1, {{0}}}, false},
        {"In, empty label", {"empty", OP_IN, 1, {{0}}}, true},
        {"In, no values", {"zone", OP_IN, 0, {{0}}}, false},
        {"NotIn, listed", {"zone", OP_NOT_IN, 1, {SV("a")}}, false},
        {"NotIn, not listed", {"zone", OP_NOT_IN, 1, {SV("b")}}, true},
        {"NotIn, no label", {"other", OP_NOT_IN, 1, {SV("a")}}, true},
        {"NotIn, no values is an error", {"zone", OP_NOT_IN, 0, {{0}}}, false},
        {"Exists", {"zone", OP_EXISTS, 0, {{0}}}, true},
        {"Exists, empty label", {"empty", OP_EXISTS, 0, {{0}}}, true},
        {"Exists, no label", {"other", OP_EXISTS, 0, {{0}}}, false},
        {"Exists with values is an error", {"zone", OP_EXISTS, 1, {SV("a")}}, false},
        {"DoesNotExist", {"other", OP_DOES_NOT_EXIST, 0, {{0}}}, true},
        {"DoesNotExist, label", {"zone", OP_DOES_NOT_EXIST, 0, {{0}}}, false},
        {"DoesNotExist with values is an error", {"other", OP_DOES_NOT_EXIST, 1, {SV("a")}}, false},
        {"Gt, above", {"cores", OP_GT, 1, {SV("15")}}, true},
        {"Gt, equal", {"cores", OP_GT, 1, {SV("16")}}, false},
        {"Gt, below", {"cores", OP_GT, 1, {SV("17")}}, false},
        {"Lt, below", {"cores", OP_LT, 1, {SV("17")}}, true},
        {"Lt, equal", {"cores", OP_LT, 1, {SV("16")}}, false},
        {"Gt, no label", {"other", OP_GT, 1, {SV("1")}}, false},
        {"Gt, label is no number", {"size", OP_GT, 1, {SV("1")}}, false},
        {"Lt, label is no number", {"size", OP_LT, 1, {SV("1")}}, false},
        {"Gt, value is no number", {"cores", OP_GT, 1, {SV("x")}}, false},
        {"Gt, value with a blank", {"cores", OP_GT, 1, {SV(" 1")}}, false},
        {"Gt, a fraction", {"cores", OP_GT, 1, {SV("1.5")}}, false},
        {"Gt, hexadecimal", {"cores", OP_GT, 1, {SV("0x1")}}, false},
        {"Gt, empty value", {"cores", OP_GT, 1, {{0}}}, false},
        {"Gt, beyond 64 bits", {"cores", OP_LT, 1, {SV("9223372036854775808")}}, false},
        {"Lt, the largest number", {"cores", OP_LT, 1, {SV("9223372036854775807")}}, true},
        {"Gt, a negative number is no label value", {"cores", OP_GT, 1, {SV("-1")}}, false},
        {"Gt, two values", {"cores", OP_GT, 2, {SV("1"), SV("2")}}, false},
        {"Gt, no value", {"cores", OP_GT, 0, {{0}}}, false},
        {"unknown operator", {"zone", OP_INVALID, 1, {SV("a")}}, false},
        {"a key that is none", {"-zone", OP_DOES_NOT_EXIST, 0, {{0}}}, false},
        {"a value that is none", {"zone", OP_NOT_IN, 1, {SV("-b")}}, false},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct requirement req = requirement_of(&rows[i].w);

        cr_expect_eq(one_term(&req, 1, NULL, 0), rows[i].matches, "%s", rows[i].name);
    }
}

Test(selector, matches_the_field_metadata_name_alone)
{
    static const struct {
        const char *name;
        struct wanted w;
        bool matches;
    } rows[] = {
        {"In, its name", {"metadata.name", OP_IN, 1, {SV("n1")}}, true},
        {"In, another", {"metadata.name", OP_IN, 1, {SV("n2")}}, false},
        {"In, two values are an error", {"metadata.name", OP_IN, 2, {SV("n1"), SV("n2")}}, false},
        {"In, no value is an error", {"metadata.name", OP_IN, 0, {{0}}}, false},
        {"NotIn, its name", {"metadata.name", OP_NOT_IN, 1, {SV("n1")}}, false},
        {"NotIn, another", {"metadata.name", OP_NOT_IN, 1, {SV("n2")}}, true},
        {"NotIn, two values are an error",
         {"metadata.name", OP_NOT_IN, 2, {SV("n2"), SV("n3")}},
         false},
        {"Exists is an error", {"metadata.name", OP_EXISTS, 0, {{0}}}, false},
        {"Gt is an error", {"metadata.name", OP_GT, 1, {SV("1")}}, false},
        {"a label is no field", {"zone", OP_IN, 1, {SV("a")}}, false},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct requirement req = requirement_of(&rows[i].w);

        cr_expect_eq(one_term(NULL, 0, &req, 1), rows[i].matches, "%s", rows[i].name);
    }
}

Test(selector, joins_terms_by_or_and_expressions_by_and)
{
    static const struct sv a = SV("a"), b = SV("b"), n1 = SV("n1");
    static const struct requirement holds[] = {{SV("zone"), OP_IN, &a, 1},
                                               {SV("size"), OP_EXISTS, NULL, 0}};
    static const struct requirement mixed[] = {{SV("zone"), OP_IN, &a, 1},
                                               {SV("zone"), OP_IN, &b, 1}};
    static const struct requirement broken[] = {{SV("zone"), OP_IN, &a, 1},
                                                {SV("zone"), OP_NOT_IN, NULL, 0}};
    static const struct requirement named[] = {{SV("metadata.name"), OP_IN, &n1, 1}};
    static const struct node_term empty = {0}, good = {.exprs = holds, .n_exprs = 2},
                                  bad = {.exprs = mixed, .n_exprs = 2},
                                  error = {.exprs = broken, .n_exprs = 2},
                                  both = {holds, 2, named, 1}, field_only = {NULL, 0, named, 1},
                                  label_bad = {mixed, 2, named, 1};
    const struct {
        const char *name;
        struct node_term terms[2];
        size_t n;
        bool matches;
    } rows[] = {
        {"no term", {{0}}, 0, false},
        {"an empty term", {empty}, 1, false},
        {"an empty term and a good one", {empty, good}, 2, true},
        {"all expressions hold", {good}, 1, true},
        {"one does not", {bad}, 1, false},
        {"bad or good", {bad, good}, 2, true},
        {"bad or empty", {bad, empty}, 2, false},
        {"a broken term alone", {error}, 1, false},
        {"a broken term is skipped", {error, good}, 2, true},
        {"fields and labels", {both}, 1, true},
        {"fields alone", {field_only}, 1, true},
        {"fields hold, labels do not", {label_bad}, 1, false},
    };
    const struct pod_rules none = {0};

    cr_assert(rules_match_node(&none, SV("n1"), labels, COUNT_OF(labels)), "no affinity at all");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct pod_rules rules = {
            .has_affinity = true, .terms = rows[i].terms, .n_terms = rows[i].n};

        cr_expect_eq(rules_match_node(&rules, SV("n1"), labels, COUNT_OF(labels)), rows[i].matches,
                     "%s", rows[i].name);
    }
}

Test(selector, wants_all_of_the_node_selector_and_the_affinity)
{
    static const struct label both[] = {{SV("zone"), SV("a")}, {SV("size"), SV("big")}};
    static const struct label one_off[] = {{SV("zone"), SV("a")}, {SV("size"), SV("small")}};
    static const struct label missing[] = {{SV("other"), {0}}};
    struct pod_rules rules = {.node_selector = both, .n_node_selector = 2};

    cr_expect(rules_match_node(&rules, SV("n1"), labels, COUNT_OF(labels)));
    rules.has_affinity = true;
    cr_expect(!rules_match_node(&rules, SV("n1"), labels, COUNT_OF(labels)),
              "affinity without terms");
    rules = (struct pod_rules){.node_selector = one_off, .n_node_selector = 2};
    cr_expect(!rules_match_node(&rules, SV("n1"), labels, COUNT_OF(labels)));
    rules = (struct pod_rules){.node_selector = missing, .n_node_selector = 1};
    cr_expect(!rules_match_node(&rules, SV("n1"), labels, COUNT_OF(labels)),
              "missing is not empty");
}

/* ---- taints ---- */

Test(selector, tolerates_by_the_truth_table)
{
    static const enum taint_effect effects[] = {EFFECT_NO_SCHEDULE, EFFECT_NO_EXECUTE};
    static const struct sv keys[] = {SV("k"), SV("other"), {0}};
    static const struct sv values[] = {SV("v"), SV("other"), {0}};

    for (size_t e = 0; e < COUNT_OF(effects); e++) {
        const struct taint taint = {SV("k"), SV("v"), effects[e]};

        for (int effect = 0; effect < EFFECT_COUNT_; effect++) {
            for (size_t k = 0; k < COUNT_OF(keys); k++) {
                for (size_t v = 0; v < COUNT_OF(values); v++) {
                    for (int op = 0; op < TOLERATE_COUNT_; op++) {
                        const struct toleration t = {keys[k], values[v], (enum toleration_op)op,
                                                     (enum taint_effect)effect};
                        const struct pod_rules rules = {.tolerations = &t, .n_tolerations = 1};
                        /* Key 1 and value 1 are the wrong ones; an empty key matches, an empty
                         * value does not. */
                        bool expected = (effect == EFFECT_NONE || effect == (int)effects[e]) &&
                                        k != 1 &&
                                        (op == TOLERATE_EXISTS || (op == TOLERATE_EQUAL && v == 0));

                        cr_expect_eq(rules_tolerate(&rules, &taint, 1, NULL), expected,
                                     "taint %d, effect %d, key %zu, value %zu, op %d",
                                     (int)effects[e], effect, k, v, op);
                    }
                }
            }
        }
    }
}

Test(selector, names_the_first_taint_that_is_not_tolerated)
{
    static const struct taint taints[] = {
        {SV("soft"), {0}, EFFECT_PREFER_NO_SCHEDULE},
        {SV("odd"), {0}, EFFECT_OTHER},
        {SV("none"), {0}, EFFECT_NONE},
        {SV("a"), {0}, EFFECT_NO_SCHEDULE},
        {SV("b"), SV("1"), EFFECT_NO_EXECUTE},
        {SV("c"), {0}, EFFECT_NO_SCHEDULE},
    };
    static const struct toleration tolerations[] = {
        {SV("a"), {0}, TOLERATE_EXISTS, EFFECT_NO_SCHEDULE},
        {SV("b"), SV("1"), TOLERATE_EQUAL, EFFECT_NONE},
        {SV("c"), {0}, TOLERATE_EXISTS, EFFECT_NO_SCHEDULE},
    };

    for (size_t n = 0; n <= COUNT_OF(tolerations); n++) {
        const struct pod_rules rules = {.tolerations = tolerations, .n_tolerations = n};
        const struct taint *first = NULL;
        bool all = rules_tolerate(&rules, taints, COUNT_OF(taints), &first);

        cr_expect_eq(all, n == COUNT_OF(tolerations), "%zu tolerations", n);
        cr_expect_eq(first, all ? NULL : &taints[3 + n], "%zu tolerations", n);
        cr_expect(rules_tolerate(&rules, taints, 3, NULL), "taints that do not keep pods away");
        cr_expect(rules_tolerate(&rules, NULL, 0, NULL));
    }
}

Test(selector, checks_cordon_taints_and_labels_in_this_order)
{
    static const struct taint taint = {SV("t"), {0}, EFFECT_NO_SCHEDULE};
    static const struct label wanted = {SV("zone"), SV("b")};
    static const struct toleration all = {.op = TOLERATE_EXISTS};
    static const struct toleration cordon = {
        SV("node.kubernetes.io/unschedulable"), {0}, TOLERATE_EQUAL, EFFECT_NO_SCHEDULE};
    static const struct toleration evict = {
        SV("node.kubernetes.io/unschedulable"), {0}, TOLERATE_EXISTS, EFFECT_NO_EXECUTE};
    const struct {
        const char *name;
        bool cordoned, tainted;
        const struct toleration *toleration;
        bool selects;
        enum node_refusal expected;
    } rows[] = {
        {"nothing", false, false, NULL, false, NODE_ACCEPTS},
        {"cordoned", true, false, NULL, false, NODE_CORDONED},
        {"cordoned first", true, true, NULL, true, NODE_CORDONED},
        {"cordon tolerated by name", true, false, &cordon, false, NODE_ACCEPTS},
        {"cordon tolerated for another effect", true, false, &evict, false, NODE_CORDONED},
        {"cordon tolerated, taint not", true, true, &cordon, false, NODE_TAINTED},
        {"all tolerated", true, true, &all, false, NODE_ACCEPTS},
        {"tainted", false, true, NULL, true, NODE_TAINTED},
        {"not selected", false, false, NULL, true, NODE_NOT_SELECTED},
        {"tolerated but not selected", true, true, &all, true, NODE_NOT_SELECTED},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct node_record node = {.name = SV("n1"),
                                         .labels = labels,
                                         .n_labels = COUNT_OF(labels),
                                         .taints = &taint,
                                         .n_taints = rows[i].tainted,
                                         .unschedulable = rows[i].cordoned};
        const struct pod_rules rules = {.node_selector = &wanted,
                                        .n_node_selector = rows[i].selects,
                                        .tolerations = rows[i].toleration,
                                        .n_tolerations = rows[i].toleration != NULL};

        cr_expect_eq(rules_check_node(&rules, &node), rows[i].expected, "%s", rows[i].name);
    }
}
