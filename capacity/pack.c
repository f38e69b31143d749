#include "capacity/pack.h"

#include <stdalign.h>

#include "base/alloc.h"

/*
 * The same function walks a record twice: first with `at` NULL, to learn the size, then to copy.
 * Arrays stand before the text they point to, so that everything is aligned by rounding each piece
 * up.
 */
struct packer {
    char *at;
    size_t used;
};

static void *take(struct packer *p, const void *from, size_t size)
{
    size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    char *to = p->at != NULL ? p->at + p->used : NULL;

    p->used += rounded;
    if (to != NULL && size != 0)
        memcpy(to, from, size);
    return to;
}

static struct sv take_sv(struct packer *p, struct sv text)
{
    char *to = p->at != NULL ? p->at + p->used : NULL;

    p->used += text.len;
    if (to != NULL && text.len != 0)
        memcpy(to, text.at, text.len);
    return (struct sv){.at = to, .len = text.len};
}

static const struct label *take_labels(struct packer *p, const struct label *labels, size_t n)
{
    struct label *to = take(p, labels, n * sizeof *labels);

    return to;
}

static const struct requirement *take_requirements(struct packer *p, const struct requirement *from,
                                                   size_t n)
{
    struct requirement *to = take(p, from, n * sizeof *from);

    for (size_t i = 0; i < n; i++) {
        const struct sv *values =
            take(p, from[i].values, from[i].n_values * sizeof *from[i].values);

        if (to != NULL)
            to[i].values = values;
    }
    return to;
}

static const struct node_term *take_terms(struct packer *p, const struct node_term *from, size_t n)
{
    struct node_term *to = take(p, from, n * sizeof *from);

    for (size_t i = 0; i < n; i++) {
        const struct requirement *exprs = take_requirements(p, from[i].exprs, from[i].n_exprs);
        const struct requirement *fields = take_requirements(p, from[i].fields, from[i].n_fields);

        if (to != NULL) {
            to[i].exprs = exprs;
            to[i].fields = fields;
        }
    }
    return to;
}

/* Texts come last: they need no alignment. The arrays are const for readers; here they are still
 * being made. */
static void take_label_texts(struct packer *p, const struct label *from, const struct label *to,
                             size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct sv key = take_sv(p, from[i].key);
        struct sv value = take_sv(p, from[i].value);

        if (to != NULL)
            ((struct label *)to)[i] = (struct label){.key = key, .value = value};
    }
}

static void take_requirement_texts(struct packer *p, const struct requirement *from,
                                   const struct requirement *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct sv key = take_sv(p, from[i].key);

        if (to != NULL)
            ((struct requirement *)to)[i].key = key;
        for (size_t j = 0; j < from[i].n_values; j++) {
            struct sv value = take_sv(p, from[i].values[j]);

            if (to != NULL)
                ((struct sv *)to[i].values)[j] = value;
        }
    }
}

static void copy_node(struct packer *p, const struct node_record *node, struct packed_node *to)
{
    const struct label *labels = take_labels(p, node->labels, node->n_labels);
    struct taint *taints = take(p, node->taints, node->n_taints * sizeof *node->taints);
    struct sv name = take_sv(p, node->name);

    take_label_texts(p, node->labels, labels, node->n_labels);
    for (size_t i = 0; i < node->n_taints; i++) {
        struct sv key = take_sv(p, node->taints[i].key);
        struct sv value = take_sv(p, node->taints[i].value);

        if (taints != NULL)
            taints[i] =
                (struct taint){.key = key, .value = value, .effect = node->taints[i].effect};
    }
    if (to != NULL)
        *to = (struct packed_node){.name = name,
                                   .labels = labels,
                                   .n_labels = node->n_labels,
                                   .taints = taints,
                                   .n_taints = node->n_taints};
}

struct packed_node *pack_node(const struct node_record *node)
{
    struct packer size = {0};
    size_t head =
        (sizeof(struct packed_node) + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);

    copy_node(&size, node, NULL);

    char *block = xmalloc(head + size.used);
    struct packer fill = {.at = block + head};

    copy_node(&fill, node, (struct packed_node *)(void *)block);
    return (struct packed_node *)(void *)block;
}

static void copy_rules(struct packer *p, const struct pod_rules *rules, struct pod_rules *to)
{
    const struct label *selector = take_labels(p, rules->node_selector, rules->n_node_selector);
    const struct node_term *terms = take_terms(p, rules->terms, rules->n_terms);
    struct toleration *tolerations =
        take(p, rules->tolerations, rules->n_tolerations * sizeof *rules->tolerations);

    take_label_texts(p, rules->node_selector, selector, rules->n_node_selector);
    for (size_t i = 0; i < rules->n_terms; i++) {
        take_requirement_texts(p, rules->terms[i].exprs, terms != NULL ? terms[i].exprs : NULL,
                               rules->terms[i].n_exprs);
        take_requirement_texts(p, rules->terms[i].fields, terms != NULL ? terms[i].fields : NULL,
                               rules->terms[i].n_fields);
    }
    for (size_t i = 0; i < rules->n_tolerations; i++) {
        struct sv key = take_sv(p, rules->tolerations[i].key);
        struct sv value = take_sv(p, rules->tolerations[i].value);

        if (tolerations != NULL) {
            tolerations[i].key = key;
            tolerations[i].value = value;
        }
    }
    if (to != NULL)
        *to = (struct pod_rules){.node_selector = selector,
                                 .n_node_selector = rules->n_node_selector,
                                 .has_affinity = rules->has_affinity,
                                 .terms = terms,
                                 .n_terms = rules->n_terms,
                                 .tolerations = tolerations,
                                 .n_tolerations = rules->n_tolerations};
}

static uint64_t mix(uint64_t hash, uint64_t part)
{
    return (hash ^ part) * UINT64_C(0x9fb21c651e98df25) + (hash >> 29);
}

static uint64_t hash_requirements(uint64_t hash, const struct requirement *reqs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        hash = mix(hash, sv_hash(reqs[i].key) + (uint64_t)reqs[i].op);
        for (size_t j = 0; j < reqs[i].n_values; j++)
            hash = mix(hash, sv_hash(reqs[i].values[j]));
    }
    return mix(hash, n);
}

static uint64_t hash_rules(const struct pod_rules *rules)
{
    uint64_t hash = mix(rules->has_affinity, rules->n_terms);

    for (size_t i = 0; i < rules->n_node_selector; i++)
        hash = mix(mix(hash, sv_hash(rules->node_selector[i].key)),
                   sv_hash(rules->node_selector[i].value));
    for (size_t i = 0; i < rules->n_terms; i++) {
        hash = hash_requirements(hash, rules->terms[i].exprs, rules->terms[i].n_exprs);
        hash = hash_requirements(hash, rules->terms[i].fields, rules->terms[i].n_fields);
    }
    for (size_t i = 0; i < rules->n_tolerations; i++) {
        const struct toleration *t = &rules->tolerations[i];

        hash = mix(mix(mix(hash, sv_hash(t->key)), sv_hash(t->value)),
                   (uint64_t)t->op * 16 + (uint64_t)t->effect);
    }
    return hash;
}

struct packed_rules *pack_rules(const struct pod_rules *rules)
{
    struct packer size = {0};
    size_t head =
        (sizeof(struct packed_rules) + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);

    copy_rules(&size, rules, NULL);

    char *block = xmalloc(head + size.used);
    struct packer fill = {.at = block + head};
    struct packed_rules *packed = (struct packed_rules *)(void *)block;

    copy_rules(&fill, rules, &packed->rules);
    packed->hash = hash_rules(&packed->rules);
    return packed;
}
