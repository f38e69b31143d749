#include "tests/unit/agent/samples.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

static int base64_value(char c)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c != '\0' ? strchr(alphabet, c) : NULL;

    return found != NULL ? (int)(found - alphabet) : -1;
}

static void base64_decode(const char *text, struct strbuf *out)
{
    unsigned bits = 0, n = 0;

    for (; base64_value(*text) >= 0; text++) {
        bits = bits << 6 | (unsigned)base64_value(*text);
        n += 6;
        if (n >= 8) {
            n -= 8;
            (void)strbuf_add_char(out, (char)(bits >> n));
        }
    }
}

static void read_file(const char *path, struct strbuf *out)
{
    FILE *file = fopen(path, "re");
    char piece[4096];
    size_t n;

    if (file == NULL)
        abort();
    while ((n = fread(piece, 1, sizeof piece, file)) != 0)
        (void)strbuf_add(out, (struct sv){.at = piece, .len = n});
    (void)fclose(file);
}

static void print_json(const cJSON *value, struct strbuf *out)
{
    char *text = cJSON_PrintUnformatted(value);

    (void)strbuf_add(out, sv_from(text));
    free(text);
}

static void load_one(const cJSON *entry, struct sample *sample)
{
    const cJSON *json = cJSON_GetObjectItemCaseSensitive(entry, "json");
    const cJSON *line;

    (void)snprintf(sample->name, sizeof sample->name, "%s",
                   cJSON_GetObjectItemCaseSensitive(entry, "name")->valuestring);
    strbuf_init(&sample->protobuf, 1 << 20);
    strbuf_init(&sample->json, 1 << 20);
    base64_decode(cJSON_GetObjectItemCaseSensitive(entry, "base64")->valuestring,
                  &sample->protobuf);
    if (!cJSON_IsArray(json)) {
        print_json(json, &sample->json);
        return;
    }
    cJSON_ArrayForEach(line, json)
    {
        print_json(line, &sample->json);
        (void)strbuf_add_char(&sample->json, '\n');
    }
}

void samples_load(struct samples *s)
{
    CLEANUP(strbuf_done) struct strbuf text;
    const cJSON *entry;
    cJSON *root;

    s->n = 0;
    strbuf_init(&text, 1 << 20);
    read_file(BRIM_SOURCE_ROOT "/tests/data/protobuf-samples.json", &text);
    root = cJSON_Parse(strbuf_str(&text));
    if (root == NULL || cJSON_GetArraySize(root) > SAMPLES_MAX)
        abort();
    cJSON_ArrayForEach(entry, root) load_one(entry, &s->at[s->n++]);
    cJSON_Delete(root);
}

void samples_done(struct samples *s)
{
    for (size_t i = 0; i < s->n; i++) {
        strbuf_done(&s->at[i].protobuf);
        strbuf_done(&s->at[i].json);
    }
}

const struct sample *samples_find(const struct samples *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->at[i].name, name) == 0)
            return &s->at[i];
    abort();
}

/* What the comparisons below write to. */
struct difference {
    char *text;
};

static void num_differs(struct difference *d, const char *what, int64_t a, int64_t b)
{
    if (a != b && d->text[0] == '\0')
        (void)snprintf(d->text, DIFFERENCE_SIZE, "%s: %" PRIi64 " and %" PRIi64, what, a, b);
}

static void text_differs(struct difference *d, const char *what, struct sv a, struct sv b)
{
    if (!sv_eq(a, b) && d->text[0] == '\0')
        (void)snprintf(d->text, DIFFERENCE_SIZE, "%s: '%.*s' and '%.*s'", what, SV_ARG(a),
                       SV_ARG(b));
}

static void uid_differs(struct difference *d, const char *what, struct uid a, struct uid b)
{
    num_differs(d, what, (int64_t)a.hi, (int64_t)b.hi);
    num_differs(d, what, (int64_t)a.lo, (int64_t)b.lo);
}

static void labels_differ(struct difference *d, const char *what, const struct label *a, size_t n_a,
                          const struct label *b, size_t n_b)
{
    num_differs(d, what, (int64_t)n_a, (int64_t)n_b);
    for (size_t i = 0; i < n_a && i < n_b; i++) {
        text_differs(d, what, a[i].key, b[i].key);
        text_differs(d, what, a[i].value, b[i].value);
    }
}

static void resources_differ(struct difference *d, const char *what, const struct resources *a,
                             const struct resources *b)
{
    char name[64];

    for (int i = 0; i < RESOURCE_MAX; i++) {
        (void)snprintf(name, sizeof name, "%s[%d]", what, i);
        num_differs(d, name, a->at[i], b->at[i]);
    }
}

static void requirements_differ(struct difference *d, const char *what, const struct requirement *a,
                                size_t n_a, const struct requirement *b, size_t n_b)
{
    num_differs(d, what, (int64_t)n_a, (int64_t)n_b);
    for (size_t i = 0; i < n_a && i < n_b; i++) {
        text_differs(d, what, a[i].key, b[i].key);
        num_differs(d, what, a[i].op, b[i].op);
        num_differs(d, what, (int64_t)a[i].n_values, (int64_t)b[i].n_values);
        for (size_t v = 0; v < a[i].n_values && v < b[i].n_values; v++)
            text_differs(d, what, a[i].values[v], b[i].values[v]);
    }
}

static void rules_differ(struct difference *d, const struct pod_rules *a, const struct pod_rules *b)
{
    labels_differ(d, "nodeSelector", a->node_selector, a->n_node_selector, b->node_selector,
                  b->n_node_selector);
    num_differs(d, "has_affinity", a->has_affinity, b->has_affinity);
    num_differs(d, "terms", (int64_t)a->n_terms, (int64_t)b->n_terms);
    for (size_t i = 0; i < a->n_terms && i < b->n_terms; i++) {
        requirements_differ(d, "exprs", a->terms[i].exprs, a->terms[i].n_exprs, b->terms[i].exprs,
                            b->terms[i].n_exprs);
        requirements_differ(d, "fields", a->terms[i].fields, a->terms[i].n_fields,
                            b->terms[i].fields, b->terms[i].n_fields);
    }
    num_differs(d, "tolerations", (int64_t)a->n_tolerations, (int64_t)b->n_tolerations);
    for (size_t i = 0; i < a->n_tolerations && i < b->n_tolerations; i++) {
        text_differs(d, "toleration key", a->tolerations[i].key, b->tolerations[i].key);
        text_differs(d, "toleration value", a->tolerations[i].value, b->tolerations[i].value);
        num_differs(d, "toleration op", a->tolerations[i].op, b->tolerations[i].op);
        num_differs(d, "toleration effect", a->tolerations[i].effect, b->tolerations[i].effect);
    }
}

void pods_differ(const struct pod_record *a, const struct pod_record *b,
                 char text[static DIFFERENCE_SIZE])
{
    struct difference d = {.text = text};

    text[0] = '\0';
    text_differs(&d, "namespace", a->ns, b->ns);
    text_differs(&d, "name", a->name, b->name);
    uid_differs(&d, "uid", a->uid, b->uid);
    uid_differs(&d, "owner uid", a->owner_uid, b->owner_uid);
    text_differs(&d, "owner kind", a->owner_kind, b->owner_kind);
    text_differs(&d, "owner name", a->owner_name, b->owner_name);
    labels_differ(&d, "labels", a->labels, a->n_labels, b->labels, b->n_labels);
    text_differs(&d, "node", a->node, b->node);
    text_differs(&d, "nominated", a->nominated, b->nominated);
    text_differs(&d, "priority class", a->priority_class, b->priority_class);
    resources_differ(&d, "request", &a->request, &b->request);
    rules_differ(&d, &a->rules, &b->rules);
    num_differs(&d, "created", a->created.us, b->created.us);
    num_differs(&d, "grace", a->grace_s, b->grace_s);
    num_differs(&d, "priority", a->priority, b->priority);
    num_differs(&d, "deletion cost", a->deletion_cost, b->deletion_cost);
    num_differs(&d, "phase", a->phase, b->phase);
    num_differs(&d, "preempts_never", a->preempts_never, b->preempts_never);
    num_differs(&d, "gated", a->gated, b->gated);
    num_differs(&d, "gated by brim", a->gated_by_brim, b->gated_by_brim);
    num_differs(&d, "gated by others", a->gated_by_others, b->gated_by_others);
    num_differs(&d, "deleting", a->deleting, b->deleting);
    num_differs(&d, "ready", a->ready, b->ready);
    num_differs(&d, "unschedulable", a->unschedulable, b->unschedulable);
    num_differs(&d, "uncountable", a->uncountable, b->uncountable);
}

void nodes_differ(const struct node_record *a, const struct node_record *b,
                  char text[static DIFFERENCE_SIZE])
{
    struct difference d = {.text = text};

    text[0] = '\0';
    text_differs(&d, "name", a->name, b->name);
    uid_differs(&d, "uid", a->uid, b->uid);
    labels_differ(&d, "labels", a->labels, a->n_labels, b->labels, b->n_labels);
    num_differs(&d, "taints", (int64_t)a->n_taints, (int64_t)b->n_taints);
    for (size_t i = 0; i < a->n_taints && i < b->n_taints; i++) {
        text_differs(&d, "taint key", a->taints[i].key, b->taints[i].key);
        text_differs(&d, "taint value", a->taints[i].value, b->taints[i].value);
        num_differs(&d, "taint effect", a->taints[i].effect, b->taints[i].effect);
    }
    resources_differ(&d, "allocatable", &a->allocatable, &b->allocatable);
    num_differs(&d, "unschedulable", a->unschedulable, b->unschedulable);
    num_differs(&d, "ready", a->ready, b->ready);
}
