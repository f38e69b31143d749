#include "agent/shape.h"

struct claims_filler shape_claims(const struct pod_record *pod)
{
    return (struct claims_filler){.priority = pod->priority,
                                  .own_class = pod->priority_class.len != 0 || pod->priority != 0,
                                  .grace_us = pod->grace_s * US_PER_S};
}

static bool names_one_node(const struct requirement *field)
{
    return field->op == OP_IN && field->n_values == 1 && sv_eq(field->key, SV("metadata.name"));
}

static bool names_a_node(const struct pod_rules *rules)
{
    for (size_t i = 0; i < rules->n_terms; i++) {
        for (size_t k = 0; k < rules->terms[i].n_fields; k++) {
            if (names_one_node(&rules->terms[i].fields[k]))
                return true;
        }
    }
    return false;
}

/* The term without the node; its fields are copied. */
static struct node_term without_node(const struct node_term *term, struct arena *arena)
{
    struct requirement *fields = arena_alloc(arena, term->n_fields, sizeof *fields);
    struct node_term left = *term;

    left.n_fields = 0;
    for (size_t i = 0; fields != NULL && i < term->n_fields; i++) {
        if (!names_one_node(&term->fields[i]))
            fields[left.n_fields++] = term->fields[i];
    }
    left.fields = fields;
    return left;
}

struct pod_rules shape_rules(const struct pod_record *pod, struct arena *arena)
{
    struct pod_rules rules = pod->rules;
    struct node_term *terms;

    if (!names_a_node(&rules))
        return rules;
    terms = arena_alloc(arena, rules.n_terms, sizeof *terms);
    rules.n_terms = 0;
    for (size_t i = 0; terms != NULL && i < pod->rules.n_terms; i++) {
        struct node_term term = without_node(&pod->rules.terms[i], arena);

        if (term.n_exprs + term.n_fields != 0)
            terms[rules.n_terms++] = term;
    }
    rules.terms = terms;
    rules.has_affinity = rules.n_terms != 0;
    return rules;
}
