#include <stdlib.h>

#include "policy/field.h"
#include "policy/policy.h"
#include "policy/schedule.h"
#include "tests/fuzz/fuzz.h"

/* A policy that was accepted keeps to what policy.h says of it. */
static void check_values(const struct policy *p)
{
    int64_t room = room_spec_milli(&p->reserve, 184000, 32000) +
                   room_spec_milli(&p->headroom_max, 184000, 32000);

    if (p->name.len == 0 || p->name.len > 253 || p->target_name.len == 0 || p->target_ns.len == 0 ||
        p->target_kind.len == 0 || p->target_api_version.len == 0)
        abort();
    if (p->min < 0 || p->min > p->max || room < 0 || p->settle_us < 0 || p->stale_after_us <= 0)
        abort();
    for (size_t i = 0; i < p->n_ignore; i++) {
        if (p->ignore[i].ns.len == 0 && p->ignore[i].selector.len == 0 &&
            !p->ignore[i].has_priority_below)
            abort();
    }
    if (p->advanced.needed > p->advanced.values || (p->pod.given && p->pod.cpu_milli == 0))
        abort();
}

/* So does what its schedule makes of it. */
static void check(const struct policy *p)
{
    struct wall now = {.us = 1700000000 * US_PER_S}, next;
    struct policy effective;

    check_values(p);
    for (int i = 0; i < 20 && schedule_at(p, now, &effective, &next); i++, now = next) {
        check_values(&effective);
        if (next.us <= now.us)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv text = {.at = (const char *)data, .len = size};
    struct policy_list list = {0};
    struct err err = {0};
    int64_t span;

    if (field_parse_span(text, &span) && span < 0)
        abort();
    (void)field_nearest(SV("spec"), text);
    if (policy_read(SV("fuzz.yaml"), text, &list, &err)) {
        for (size_t i = 0; i < list.len; i++)
            check(list.at[i]);
        if (!policy_list_check(&list, &err) && err.kind != ERR_INPUT)
            abort();
    } else if (list.len != 0 || (err.kind != ERR_INPUT && err.kind != ERR_LIMIT)) {
        abort();
    }
    policy_list_done(&list);
    return 0;
}
