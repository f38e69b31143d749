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

/* When the entry vanished if it is not in the list; false: it is, or was held for long enough. */
static bool is_held(const struct policy_set_entry *e, const struct policy_list *list,
                    int64_t hold_us, struct mono now, struct mono *ret_vanished)
{
    *ret_vanished = e->present ? now : e->vanished;
    return !is_replaced(list, e->policy) && mono_since_us(*ret_vanished, now) < hold_us;
}

/* Goes over into `to`, to be held. */
static void carry_over(struct policy_set_entry *old, struct policy_set *to, struct mono vanished)
{
    const struct policy_set_entry held = {.policy = TAKE(old->policy), .vanished = vanished};

    VEC_PUSH(to->at, to->len, to->cap, held);
}

bool policy_set_fits(const struct policy_set *before, const struct policy_list *list,
                     int64_t hold_us, struct mono now, struct err *err)
{
    struct mono vanished;
    size_t held = 0;

    for (size_t i = 0; i < before->len; i++)
        held += is_held(&before->at[i], list, hold_us, now, &vanished);
    if (list->len + held <= POLICY_MAX_TOGETHER)
        return true;
    return err_set(err, ERR_LIMIT, 0,
                   "found %zu policies beside %zu that vanish or have vanished and are held for "
                   "%lld s, expected at most %d together: take some away, add others when those "
                   "are let go",
                   list->len, held, (long long)(hold_us / US_PER_S), POLICY_MAX_TOGETHER);
}

struct policy_set policy_set_after(struct policy_set *before, struct policy_list *list,
                                   int64_t hold_us, struct mono now)
{
    struct policy_set set = {0};
    struct mono vanished;

    for (size_t i = 0; i < list->len; i++) {
        const struct policy_set_entry entry = {.policy = list->at[i], .present = true};

        VEC_PUSH(set.at, set.len, set.cap, entry);
    }
    for (size_t i = 0; i < before->len; i++) {
        if (is_held(&before->at[i], list, hold_us, now, &vanished))
            carry_over(&before->at[i], &set, vanished);
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
