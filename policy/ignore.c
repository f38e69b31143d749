#include "policy/ignore.h"

#include "base/alloc.h"
#include "capacity/selector.h"

struct ignore {
    const struct policy *policy;
    struct arena arena;
    struct selector *selectors; /* one for each rule */
};

bool ignore_new(const struct policy *policy, struct ignore **ret_ignore, struct err *err)
{
    CLEANUP(ignore_free_ptr) struct ignore *made = xcalloc(1, sizeof *made);

    made->policy = policy;
    made->selectors = xcalloc(policy->n_ignore, sizeof *made->selectors);
    arena_init(&made->arena, POLICY_MAX_BYTES);
    for (size_t i = 0; i < policy->n_ignore; i++) {
        if (!selector_parse(&made->arena, policy->ignore[i].selector, &made->selectors[i], err))
            return err_wrap(err, "policy %.*s: spec.paid.ignore[%zu].selector",
                            SV_ARG(policy->name), i);
    }
    *ret_ignore = made;
    made = NULL;
    return true;
}

void ignore_free(struct ignore *i)
{
    if (i == NULL)
        return;
    arena_done(&i->arena);
    free(i->selectors);
    free(i);
}

bool ignore_holds(const struct ignore *i, const struct pod_record *pod)
{
    for (size_t r = 0; r < i->policy->n_ignore; r++) {
        const struct paid_ignore *rule = &i->policy->ignore[r];

        if (rule->ns.len != 0 && !sv_eq(rule->ns, pod->ns))
            continue;
        if (rule->has_priority_below && pod->priority >= rule->priority_below)
            continue;
        if (selector_matches(&i->selectors[r], pod->labels, pod->n_labels))
            return true;
    }
    return false;
}

bool ignore_by_all(struct ignore *const *ignores, size_t n, const struct pod_record *pod)
{
    bool any = false;

    for (size_t i = 0; i < n; i++) {
        if (ignores[i] != NULL && !ignore_holds(ignores[i], pod))
            return false;
        any |= ignores[i] != NULL;
    }
    return any;
}
