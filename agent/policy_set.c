#include "agent/policy_set.h"

#include "base/alloc.h"

/* Is there a policy of this name, or one that now has its target? */
static bool is_replaced(const struct policy_list *list, const struct policy *p)
{
    for (size_t i = 0; i < list->len; i++) {
        if (policy_clash(list->at[i], p))
            return true;
    }
    return false;
}

/* Goes over into `to` where it is to be held. */
static void carry_over(struct policy_set_entry *old, struct policy_set *to, int64_t hold_us,
                       struct mono now)
{
    struct policy_set_entry held = *old;

    if (held.present)
        held.vanished = now;
    held.present = false;
    if (mono_since_us(held.vanished, now) >= hold_us)
        return;
    old->policy = NULL;
    VEC_PUSH(to->at, to->len, to->cap, held);
}

struct policy_set policy_set_after(struct policy_set *before, struct policy_list *list,
                                   int64_t hold_us, struct mono now)
{
    struct policy_set set = {0};

    for (size_t i = 0; i < list->len; i++) {
        const struct policy_set_entry entry = {.policy = list->at[i], .present = true};

        VEC_PUSH(set.at, set.len, set.cap, entry);
    }
    for (size_t i = 0; i < before->len; i++) {
        if (!is_replaced(list, before->at[i].policy))
            carry_over(&before->at[i], &set, hold_us, now);
    }
    list->len = 0;
    policy_list_done(list);
    return set;
}

bool policy_set_wake(const struct policy_set *set, int64_t hold_us, struct mono *ret_wake)
{
    bool any = false;

    for (size_t i = 0; i < set->len; i++) {
        struct mono leaves = mono_plus_us(set->at[i].vanished, hold_us);

        if (set->at[i].present || (any && leaves.us >= ret_wake->us))
            continue;
        *ret_wake = leaves;
        any = true;
    }
    return any;
}

void policy_set_done(struct policy_set *set)
{
    for (size_t i = 0; i < set->len; i++)
        policy_free(set->at[i].policy);
    free(set->at);
    *set = (struct policy_set){0};
}
