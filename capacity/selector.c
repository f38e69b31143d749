#include "capacity/selector.h"

#include "capacity/names.h"

const struct sv *label_find(const struct label *labels, size_t n_labels, struct sv key)
{
    for (size_t i = 0; i < n_labels; i++) {
        if (sv_eq(labels[i].key, key))
            return &labels[i].value;
    }
    return NULL;
}

static bool listed(const struct requirement *req, struct sv value)
{
    for (size_t i = 0; i < req->n_values; i++) {
        if (sv_eq(req->values[i], value))
            return true;
    }
    return false;
}

/* Gt and Lt: both sides whole numbers, exactly one value. *ret_order is -1, 0 or 1 for label <, =,
 * > value. */
static bool numbers_compare(const struct requirement *req, struct sv label, int *ret_order)
{
    int64_t left, right;

    if (req->n_values != 1 || !sv_to_i64(label, &left) || !sv_to_i64(req->values[0], &right))
        return false;
    *ret_order = (left > right) - (left < right);
    return true;
}

/* `value` is NULL where the label is missing. */
static bool requirement_holds(const struct requirement *req, const struct sv *value)
{
    int order;

    switch (req->op) {
    case OP_IN:
        return value != NULL && listed(req, *value);
    case OP_NOT_IN:
        return value == NULL || !listed(req, *value);
    case OP_EXISTS:
        return value != NULL;
    case OP_DOES_NOT_EXIST:
        return value == NULL;
    case OP_GT:
        return value != NULL && numbers_compare(req, *value, &order) && order > 0;
    case OP_LT:
        return value != NULL && numbers_compare(req, *value, &order) && order < 0;
    case OP_INVALID:
    case OP_COUNT_:
        return false;
    }
    return false;
}

bool selector_matches(const struct selector *s, const struct label *labels, size_t n_labels)
{
    for (size_t i = 0; i < s->n; i++) {
        if (!requirement_holds(&s->reqs[i], label_find(labels, n_labels, s->reqs[i].key)))
            return false;
    }
    return true;
}

/* Would the scheduler's parser accept it? Gt and Lt with bad numbers never hold, so that they need
 * no look here. */
static bool expression_valid(const struct requirement *req)
{
    bool lists = req->op == OP_IN || req->op == OP_NOT_IN;
    bool bare = req->op == OP_EXISTS || req->op == OP_DOES_NOT_EXIST;

    if (!names_qualified(req->key) || (lists && req->n_values == 0) || (bare && req->n_values != 0))
        return false;
    for (size_t i = 0; i < req->n_values; i++) {
        if (!names_label_value(req->values[i]))
            return false;
    }
    return true;
}

/* Fields: In and NotIn with one value; nodes have the field metadata.name alone, any other is
 * empty. */
static bool field_holds(const struct requirement *req, struct sv node_name)
{
    struct sv value = sv_eq(req->key, SV("metadata.name")) ? node_name : (struct sv){0};

    if (req->n_values != 1 || (req->op != OP_IN && req->op != OP_NOT_IN))
        return false;
    return sv_eq(value, req->values[0]) == (req->op == OP_IN);
}

static bool term_matches(const struct node_term *term, struct sv node_name,
                         const struct label *labels, size_t n_labels)
{
    const struct selector exprs = {.reqs = term->exprs, .n = term->n_exprs};

    if (term->n_exprs == 0 && term->n_fields == 0)
        return false;
    for (size_t i = 0; i < term->n_fields; i++) {
        if (!field_holds(&term->fields[i], node_name))
            return false;
    }
    if (!selector_matches(&exprs, labels, n_labels))
        return false;
    /* Last, since it is slow and seldom decides: what holds counts only if every expression is
     * valid. */
    for (size_t i = 0; i < term->n_exprs; i++) {
        if (!expression_valid(&term->exprs[i]))
            return false;
    }
    return true;
}

bool rules_match_node(const struct pod_rules *rules, struct sv node_name,
                      const struct label *labels, size_t n_labels)
{
    for (size_t i = 0; i < rules->n_node_selector; i++) {
        const struct label *wanted = &rules->node_selector[i];
        const struct sv *value = label_find(labels, n_labels, wanted->key);

        if (value == NULL || !sv_eq(*value, wanted->value))
            return false;
    }
    if (!rules->has_affinity)
        return true;
    for (size_t i = 0; i < rules->n_terms; i++) {
        if (term_matches(&rules->terms[i], node_name, labels, n_labels))
            return true;
    }
    return false;
}

static bool tolerates(const struct toleration *t, const struct taint *taint)
{
    if (t->effect != EFFECT_NONE && t->effect != taint->effect)
        return false;
    if (t->key.len != 0 && !sv_eq(t->key, taint->key))
        return false;
    switch (t->op) {
    case TOLERATE_EQUAL:
        return sv_eq(t->value, taint->value);
    case TOLERATE_EXISTS:
        return true;
    case TOLERATE_OTHER:
    case TOLERATE_COUNT_:
        return false;
    }
    return false;
}

static bool tolerated(const struct pod_rules *rules, const struct taint *taint)
{
    for (size_t i = 0; i < rules->n_tolerations; i++) {
        if (tolerates(&rules->tolerations[i], taint))
            return true;
    }
    return false;
}

bool rules_tolerate(const struct pod_rules *rules, const struct taint *taints, size_t n_taints,
                    const struct taint **ret_taint)
{
    for (size_t i = 0; i < n_taints; i++) {
        if (taints[i].effect != EFFECT_NO_SCHEDULE && taints[i].effect != EFFECT_NO_EXECUTE)
            continue;
        if (tolerated(rules, &taints[i]))
            continue;
        if (ret_taint != NULL)
            *ret_taint = &taints[i];
        return false;
    }
    return true;
}

enum node_refusal rules_check_node(const struct pod_rules *rules, const struct node_record *node)
{
    const struct taint cordon = {.key = SV("node.kubernetes.io/unschedulable"),
                                 .effect = EFFECT_NO_SCHEDULE};

    if (node->unschedulable && !tolerated(rules, &cordon))
        return NODE_CORDONED;
    if (!rules_tolerate(rules, node->taints, node->n_taints, NULL))
        return NODE_TAINTED;
    if (!rules_match_node(rules, node->name, node->labels, node->n_labels))
        return NODE_NOT_SELECTED;
    return NODE_ACCEPTS;
}
