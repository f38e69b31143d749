#include "policy/policy.h"

#include <stdlib.h>

int64_t room_spec_milli(const struct room_spec *spec, int64_t allocatable_milli,
                        int64_t largest_node_milli)
{
    __int128 share;

    switch (spec->kind) {
    case ROOM_CPU:
        return spec->milli;
    case ROOM_LARGEST_NODE:
        return largest_node_milli;
    case ROOM_PERCENT:
        share = ((__int128)(allocatable_milli > 0 ? allocatable_milli : 0) * spec->milli + 9999) /
                10000;
        return share < INT64_MAX ? (int64_t)share : INT64_MAX;
    case ROOM_KIND_COUNT_:
        break;
    }
    return 0;
}

void policy_free(struct policy *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->n_overrides; i++)
        zone_free(p->overrides[i].zone);
    arena_done(&p->arena);
    free(p);
}

void policy_list_done(struct policy_list *list)
{
    while (list->len != 0)
        policy_free(list->at[--list->len]);
    free(list->at);
    *list = (struct policy_list){0};
}

/* "apps" of "apps/v1"; empty for the core group. */
static struct sv group_of(struct sv api_version)
{
    struct sv group = {0}, version;

    (void)sv_cut(api_version, '/', &group, &version);
    return group;
}

static bool same_target(const struct policy *a, const struct policy *b)
{
    return sv_eq(a->target_name, b->target_name) && sv_eq(a->target_ns, b->target_ns) &&
           sv_eq(a->target_kind, b->target_kind) &&
           sv_eq(group_of(a->target_api_version), group_of(b->target_api_version));
}

bool policy_clash(const struct policy *a, const struct policy *b)
{
    return sv_eq(a->name, b->name) || same_target(a, b);
}

/* Both places come first, so that a long name does not push them out. */
static void say_name_clash(struct err *err, const struct policy *p, const struct policy *earlier)
{
    (void)err_set(err, ERR_INPUT, 0,
                  "%.*s:%d:%d: metadata.name: found the same name as at %.*s:%d:%d: %.*s",
                  SV_ARG(p->where), p->name_at.line, p->name_at.column, SV_ARG(earlier->where),
                  earlier->name_at.line, earlier->name_at.column, SV_ARG(p->name));
}

static void say_target_clash(struct err *err, const struct policy *p, const struct policy *earlier)
{
    (void)err_set(err, ERR_INPUT, 0,
                  "%.*s:%d:%d: spec.target: found the same target as at %.*s:%d:%d: %.*s %.*s/%.*s",
                  SV_ARG(p->where), p->target_at.line, p->target_at.column, SV_ARG(earlier->where),
                  earlier->target_at.line, earlier->target_at.column, SV_ARG(p->target_kind),
                  SV_ARG(p->target_ns), SV_ARG(p->target_name));
}

const struct policy *policy_list_clash(const struct policy_list *list, size_t i, struct err *err)
{
    const struct policy *p = list->at[i];

    for (size_t j = 0; j < i; j++) {
        const struct policy *earlier = list->at[j];

        if (!policy_clash(p, earlier))
            continue;
        if (sv_eq(p->name, earlier->name))
            say_name_clash(err, p, earlier);
        else
            say_target_clash(err, p, earlier);
        return earlier;
    }
    return NULL;
}

bool policy_list_fits(const struct policy_list *list, struct err *err)
{
    const struct policy *p;

    if (list->len <= POLICY_MAX_TOGETHER)
        return true;
    p = list->at[POLICY_MAX_TOGETHER];
    return err_set(err, ERR_LIMIT, 0,
                   "%.*s:%d:%d: found %zu policies together, of which this is number %d, expected "
                   "at most %d",
                   SV_ARG(p->where), p->name_at.line, p->name_at.column, list->len,
                   POLICY_MAX_TOGETHER + 1, POLICY_MAX_TOGETHER);
}

bool policy_list_check(const struct policy_list *list, struct err *err)
{
    for (size_t i = 0; i < list->len; i++) {
        if (policy_list_clash(list, i, err) != NULL)
            return false;
    }
    return policy_list_fits(list, err);
}

const char *policy_mode_name(enum policy_mode mode)
{
    static const char *const names[] = {[MODE_CONTROL] = "control",
                                        [MODE_DRY_RUN] = "dry-run",
                                        [MODE_METRICS_ONLY] = "metrics-only"};
    _Static_assert(COUNT_OF(names) == MODE_COUNT_, "a mode has no name");

    return names[mode];
}
