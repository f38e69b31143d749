#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

/* Reads every byte, so that a sanitizer sees one that is not there. */
static size_t touch(struct sv text)
{
    size_t sum = 0;

    for (size_t i = 0; i < text.len; i++)
        sum += (unsigned char)text.at[i];
    return sum;
}

static size_t touch_labels(const struct label *labels, size_t n)
{
    size_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += touch(labels[i].key) + touch(labels[i].value);
    return sum;
}

static size_t touch_requirements(const struct requirement *reqs, size_t n)
{
    size_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += touch(reqs[i].key) + reqs[i].op;
        for (size_t v = 0; v < reqs[i].n_values; v++)
            sum += touch(reqs[i].values[v]);
    }
    return sum;
}

static size_t touch_pod(const struct pod_record *pod)
{
    size_t sum = touch(pod->ns) + touch(pod->name) + touch(pod->owner_kind) +
                 touch(pod->owner_name) + touch(pod->node) + touch(pod->nominated) +
                 touch(pod->priority_class) + touch_labels(pod->labels, pod->n_labels) +
                 touch_labels(pod->rules.node_selector, pod->rules.n_node_selector);

    for (size_t i = 0; i < pod->rules.n_terms; i++)
        sum += touch_requirements(pod->rules.terms[i].exprs, pod->rules.terms[i].n_exprs) +
               touch_requirements(pod->rules.terms[i].fields, pod->rules.terms[i].n_fields);
    for (size_t i = 0; i < pod->rules.n_tolerations; i++)
        sum += touch(pod->rules.tolerations[i].key) + touch(pod->rules.tolerations[i].value);
    /* What others rely on. */
    if (pod->request.at[RESOURCE_PODS] != 1 || pod->grace_s < 0)
        abort();
    return sum;
}

static size_t touch_node(const struct node_record *node)
{
    size_t sum = touch(node->name) + touch_labels(node->labels, node->n_labels);

    for (size_t i = 0; i < node->n_taints; i++)
        sum += touch(node->taints[i].key) + touch(node->taints[i].value);
    return sum;
}

size_t fuzz_decode(enum decode_format format, struct sv object)
{
    size_t sum = 0;
    struct resource_names names;
    struct podreq_rules rules = {.status = true, .pod_level = true, .pod_level_status = true};
    struct decoder d;
    struct pod_record pod;
    struct node_record node;
    struct object_meta meta;
    struct api_status status;
    struct err err;

    resource_names_init(&names);
    decoder_init(&d, &names, &rules);
    if (decode_pod(&d, format, object, &pod, &err))
        sum += touch_pod(&pod);
    if (decode_node(&d, format, object, &node, &err))
        sum += touch_node(&node);
    if (decode_meta(&d, format, object, &meta, &err))
        sum += touch(meta.ns) + touch(meta.name) + touch(meta.resource_version);
    if (decode_status(&d, format, object, &status, &err))
        sum += touch(status.reason) + touch(status.message) + touch(status.cause);
    decoder_done(&d);
    resource_names_done(&names);
    return sum;
}

void fuzz_fail(const char *what)
{
    (void)fprintf(stderr, "%s\n", what);
    abort();
}
