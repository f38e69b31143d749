#include "tests/pocket/podcheck.h"

#include <string.h>

#include "agent/kube/decode.h"
#include "base/sv.h"

static const cJSON *get(const cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

static struct sv text_of(const cJSON *object, const char *key)
{
    return sv_from(cJSON_GetStringValue(get(object, key)));
}

/* Nothing, null and an empty object or list are the same. */
static bool same(const cJSON *a, const cJSON *b)
{
    bool a_empty = cJSON_GetArraySize(a) == 0, b_empty = cJSON_GetArraySize(b) == 0;

    if (!cJSON_IsObject(a) && !cJSON_IsArray(a) && !cJSON_IsObject(b) && !cJSON_IsArray(b))
        return (a == NULL && b == NULL) || cJSON_Compare(a, b, true);
    return (a_empty && b_empty) || cJSON_Compare(a, b, true);
}

/* Do two objects agree but for the members that may change? */
static bool same_but(const cJSON *a, const cJSON *b, const char *const *may, size_t n)
{
    const cJSON *sides[] = {a, b};

    for (size_t side = 0; side < 2; side++) {
        const cJSON *child;

        cJSON_ArrayForEach(child, sides[side])
        {
            bool free_to = false;

            for (size_t i = 0; i < n; i++)
                free_to = free_to || strcmp(child->string, may[i]) == 0;
            if (!free_to && !same(child, get(sides[1 - side], child->string)))
                return false;
        }
    }
    return true;
}

/* Is each gate of `now` one of `before`? */
static bool only_fewer(const cJSON *before, const cJSON *now)
{
    const cJSON *gate, *other;

    cJSON_ArrayForEach(gate, now)
    {
        bool found = false;

        cJSON_ArrayForEach(other, before) found =
            found || sv_eq(text_of(gate, "name"), text_of(other, "name"));
        if (!found)
            return false;
    }
    return true;
}

static bool only_more_labels(const cJSON *before, const cJSON *now)
{
    const cJSON *label;

    cJSON_ArrayForEach(label, before)
    {
        if (!same(label, get(now, label->string)))
            return false;
    }
    return true;
}

/* Does `now` begin with all of `before`? */
static bool begins_with(const cJSON *now, const cJSON *before)
{
    int n = cJSON_GetArraySize(before);

    if (cJSON_GetArraySize(now) < n)
        return false;
    for (int i = 0; i < n; i++)
        if (!cJSON_Compare(cJSON_GetArrayItem(now, i), cJSON_GetArrayItem(before, i), true))
            return false;
    return true;
}

static bool is_empty_term(const cJSON *term)
{
    return cJSON_GetArraySize(get(term, "matchExpressions")) == 0 &&
           cJSON_GetArraySize(get(term, "matchFields")) == 0;
}

static const cJSON *terms_of(const cJSON *affinity)
{
    return get(get(get(affinity, "nodeAffinity"), "requiredDuringSchedulingIgnoredDuringExecution"),
               "nodeSelectorTerms");
}

static bool only_narrower(const cJSON *before, const cJSON *now)
{
    int n = cJSON_GetArraySize(before);

    if (n == 0)
        return true;
    if (cJSON_GetArraySize(now) != n)
        return false;
    for (int i = 0; i < n; i++) {
        const cJSON *old = cJSON_GetArrayItem(before, i), *fresh = cJSON_GetArrayItem(now, i);

        if ((is_empty_term(old) && !is_empty_term(fresh)) ||
            !begins_with(get(fresh, "matchExpressions"), get(old, "matchExpressions")) ||
            !begins_with(get(fresh, "matchFields"), get(old, "matchFields")))
            return false;
    }
    return true;
}

/* As the server reads it: no plus, no leading zeros. */
static bool is_cost(struct sv text)
{
    bool begins = text.len != 0 && (text.at[0] == '-' || (text.at[0] >= '1' && text.at[0] <= '9') ||
                                    sv_eq(text, SV("0")));
    int64_t cost;

    return begins && sv_to_i64(text, &cost) && cost >= INT32_MIN && cost <= INT32_MAX;
}

static bool check_cost(const cJSON *pod, struct err *err)
{
    const cJSON *annotations = get(get(pod, "metadata"), "annotations");
    struct sv text = text_of(annotations, ANNOTATION_DELETION_COST);

    return text.at == NULL || is_cost(text) ||
           err_set(err, ERR_INPUT, 0,
                   "metadata.annotations[" ANNOTATION_DELETION_COST
                   "]: Invalid value: \"%.40s\": must be a 32bit integer",
                   text.at);
}

static bool check_narrowed(const cJSON *before, const cJSON *now, struct err *err)
{
    const cJSON *old = get(before, "affinity"), *fresh = get(now, "affinity");
    static const char *const may[] = {"nodeAffinity"};

    if (!only_more_labels(get(before, "nodeSelector"), get(now, "nodeSelector")))
        return err_set(err, ERR_INPUT, 0,
                       "spec.nodeSelector: Invalid value: only additions are allowed (no mutations "
                       "or deletions)");
    if (!only_narrower(terms_of(old), terms_of(fresh)))
        return err_set(err, ERR_INPUT, 0,
                       "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution."
                       "nodeSelectorTerms: Invalid value: only additions are allowed (no mutations "
                       "or deletions)");
    return same_but(old, fresh, may, 1) ||
           err_set(err, ERR_INPUT, 0,
                   "spec: Forbidden: pod updates may not change fields other than "
                   "`spec.affinity.nodeAffinity`");
}

bool podcheck_update(const cJSON *before_pod, const cJSON *now_pod, struct err *err)
{
    static const char *const may[] = {"schedulingGates", "affinity", "nodeSelector", "tolerations"};
    const cJSON *before = get(before_pod, "spec"), *now = get(now_pod, "spec");
    bool gated = cJSON_GetArraySize(get(before, "schedulingGates")) != 0;

    if (!only_fewer(get(before, "schedulingGates"), get(now, "schedulingGates")))
        return err_set(err, ERR_INPUT, 0,
                       "spec.schedulingGates: Forbidden: only deletion is allowed, but found new "
                       "scheduling gate");
    if (!same_but(before, now, may, gated ? COUNT_OF(may) : 1))
        return err_set(err, ERR_INPUT, 0,
                       "spec: Forbidden: pod updates may not change fields other than "
                       "`spec.containers[*].image`,`spec.tolerations` (only additions to existing "
                       "tolerations)");
    return (!gated || check_narrowed(before, now, err)) && check_cost(now_pod, err);
}
