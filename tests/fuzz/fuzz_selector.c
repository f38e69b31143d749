#include <stdlib.h>

#include "base/arena.h"
#include "capacity/names.h"
#include "capacity/selector.h"
#include "tests/fuzz/fuzz.h"

enum { ARENA_MAX = 4 << 20, TEXT_MAX = 1 << 20, MAX_LABELS = 32 };

static void print_values(const struct requirement *r, struct strbuf *out)
{
    (void)strbuf_addf(out, r->op == OP_IN ? " in (" : " notin (");
    for (size_t i = 0; i < r->n_values; i++)
        (void)strbuf_addf(out, "%s%.*s", i != 0 ? "," : "", SV_ARG(r->values[i]));
    (void)strbuf_add_char(out, ')');
}

static void print(const struct selector *s, struct strbuf *out)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct requirement *r = &s->reqs[i];

        (void)strbuf_addf(out, "%s%s%.*s", i != 0 ? "," : "", r->op == OP_DOES_NOT_EXIST ? "!" : "",
                          SV_ARG(r->key));
        if (r->op == OP_IN || r->op == OP_NOT_IN)
            print_values(r, out);
        if (r->op == OP_GT || r->op == OP_LT)
            (void)strbuf_addf(out, "%c%.*s", r->op == OP_GT ? '>' : '<', SV_ARG(r->values[0]));
    }
}

static void check_requirement(const struct requirement *r)
{
    bool lists = r->op == OP_IN || r->op == OP_NOT_IN, one = r->op == OP_GT || r->op == OP_LT;

    if (r->op >= OP_INVALID || !names_qualified(r->key))
        abort();
    if ((lists && r->n_values == 0) || (one && r->n_values != 1) ||
        (!lists && !one && r->n_values != 0))
        abort();
    for (size_t i = 0; i < r->n_values; i++) {
        if (!names_label_value(r->values[i]))
            abort();
    }
}

/* The printed selector reads as the same one. */
static void check_print(struct arena *arena, const struct selector *s)
{
    struct strbuf first, second;
    struct selector again;

    strbuf_init(&first, TEXT_MAX);
    strbuf_init(&second, TEXT_MAX);
    print(s, &first);
    if (!selector_parse(arena, strbuf_sv(&first), &again, NULL) || again.n != s->n)
        abort();
    print(&again, &second);
    if (!sv_eq(strbuf_sv(&first), strbuf_sv(&second)))
        abort();
    strbuf_done(&first);
    strbuf_done(&second);
}

/* The labels, a line each as KEY=VALUE, against the selector, and against each of its parts. */
static void check_match(const struct selector *s, struct sv lines)
{
    struct label labels[MAX_LABELS];
    size_t n = 0;
    struct sv line;
    bool all = true;

    while (n < MAX_LABELS && sv_next(&lines, '\n', &line))
        n += sv_cut(line, '=', &labels[n].key, &labels[n].value);
    for (size_t i = 0; i < s->n; i++) {
        const struct selector one = {.reqs = &s->reqs[i], .n = 1};

        all = selector_matches(&one, labels, n) && all;
    }
    if (selector_matches(s, labels, n) != all)
        abort();
}

/* As a node's affinity with the taints of a line each. */
static void check_rules(const struct selector *s, struct sv lines)
{
    struct label own[] = {{.key = SV("zone"), .value = SV("a")},
                          {.key = SV("n"), .value = SV("7")}};
    const struct node_term term = {
        .exprs = s->reqs, .n_exprs = s->n, .fields = s->reqs, .n_fields = s->n > 1 ? 1 : 0};
    struct taint taints[MAX_LABELS];
    struct toleration tolerations[MAX_LABELS];
    size_t n = 0;
    struct sv line;

    while (n < MAX_LABELS && sv_next(&lines, '\n', &line)) {
        struct sv key = line, value = {0};

        (void)sv_cut(line, '=', &key, &value);
        taints[n] = (struct taint){
            .key = key, .value = value, .effect = (enum taint_effect)(line.len % EFFECT_COUNT_)};
        tolerations[n] = (struct toleration){.key = key,
                                             .value = value,
                                             .op = (enum toleration_op)(line.len % TOLERATE_COUNT_),
                                             .effect = (enum taint_effect)(n % EFFECT_COUNT_)};
        n++;
    }

    const struct pod_rules rules = {.node_selector = own,
                                    .n_node_selector = s->n % 3 == 0,
                                    .has_affinity = s->n != 0,
                                    .terms = &term,
                                    .n_terms = 1,
                                    .tolerations = tolerations,
                                    .n_tolerations = n};
    const struct node_record node = {.name = SV("n1"),
                                     .labels = own,
                                     .n_labels = COUNT_OF(own),
                                     .taints = taints,
                                     .n_taints = n,
                                     .unschedulable = n % 2 != 0};
    const struct taint *first = NULL;
    bool tolerated = rules_tolerate(&rules, taints, n, &first);
    enum node_refusal refusal = rules_check_node(&rules, &node);

    if (tolerated != (first == NULL) || (!tolerated && refusal == NODE_ACCEPTS))
        abort();
    if (refusal == NODE_ACCEPTS && !rules_match_node(&rules, node.name, own, COUNT_OF(own)))
        abort();
}

/* The first line is a selector, the others are labels and taints. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv lines = {.at = (const char *)data, .len = size}, text = {0};
    struct arena arena;
    struct selector s;
    struct err err = {0};

    (void)sv_next(&lines, '\n', &text);
    arena_init(&arena, ARENA_MAX);
    if (selector_parse(&arena, text, &s, &err)) {
        for (size_t i = 0; i < s.n; i++)
            check_requirement(&s.reqs[i]);
        check_print(&arena, &s);
        check_match(&s, lines);
        check_rules(&s, lines);
    } else if ((err.kind != ERR_INPUT && err.kind != ERR_LIMIT) || err.text[0] == '\0') {
        abort();
    }
    arena_done(&arena);
    return 0;
}
