#include "agent/tell.h"

#include <stdio.h>

#include "base/log.h"

static void tell_state(struct tell *told, const struct policy *p, const struct workload_view *v)
{
    if (v->state == told->state)
        return;
    told->state = v->state;
    if (v->state == WORKLOAD_FOUND)
        log_info("target found", F_SV("policy", p->name), F_SV("kind", p->target_kind),
                 F_SV("namespace", p->target_ns), F_SV("name", p->target_name),
                 F_INT("replicas", v->replicas));
    else if (v->state != WORKLOAD_UNREAD)
        log_warn("target is left alone", F_SV("policy", p->name), F_SV("kind", p->target_kind),
                 F_SV("namespace", p->target_ns), F_SV("name", p->target_name),
                 F_STR("state", workload_state_name(v->state)), F_STR("error", v->problem));
}

static void tell_owner(struct tell *told, const struct policy *p, struct workload *w)
{
    const struct workload_view *v = workload_view(w);
    char note[TELL_TEXT_SIZE + 64];

    if (strncmp(v->owner, told->owner, sizeof told->owner - 1) == 0)
        return;
    (void)snprintf(told->owner, sizeof told->owner, "%s", v->owner);
    if (told->owner[0] == '\0') {
        log_info("no other autoscaler scales the target any more", F_SV("policy", p->name));
        return;
    }
    log_warn("target is left alone: another autoscaler scales it", F_SV("policy", p->name),
             F_STR("autoscaler", told->owner));
    (void)snprintf(note, sizeof note, "brim leaves this workload alone: %s scales it too",
                   told->owner);
    workload_event(w, true, "AnotherAutoscaler", "Rescale", sv_from(note));
}

void tell_target(struct tell *told, const struct policy *p, struct workload *w)
{
    const struct workload_view *v = workload_view(w);

    tell_state(told, p, v);
    tell_owner(told, p, w);
    if ((v->owner_problem[0] != '\0') == told->owner_unknown)
        return;
    told->owner_unknown = !told->owner_unknown;
    if (told->owner_unknown)
        log_warn("whether another autoscaler scales the target cannot be told; control goes on",
                 F_SV("policy", p->name), F_STR("error", v->owner_problem));
}

void tell_reason(struct tell *told, const struct policy *p, struct workload *w,
                 const struct decision *d, int64_t replicas)
{
    bool was_held = told->reason == REASON_PAUSED || told->reason == REASON_STALE;
    bool same =
        d->reason == told->reason && (d->reason != REASON_PAUSED || d->bound == told->bound);
    char note[TELL_TEXT_SIZE];

    if (same)
        return;
    told->reason = d->reason;
    told->bound = d->bound;
    if (d->reason == REASON_FOREIGN) {
        log_warn("somebody else scaled the target: kept until the wanted count changes",
                 F_SV("policy", p->name), F_INT("replicas", replicas), F_INT("wanted", d->damped));
        (void)snprintf(note, sizeof note,
                       "Somebody else set %lld replicas; brim wants %lld and leaves it so until "
                       "that changes",
                       (long long)replicas, (long long)d->damped);
        workload_event(w, true, "ForeignScale", "Rescale", sv_from(note));
    } else if (d->reason == REASON_PAUSED && d->bound == BOUND_FOREIGN) {
        log_warn("somebody else keeps scaling the target: brim does not let it grow",
                 F_SV("policy", p->name), F_INT("replicas", replicas),
                 F_INT("for_s", FOREIGN_WINDOW_S));
        (void)snprintf(note, sizeof note,
                       "Somebody else keeps scaling this workload: brim does not let it grow for "
                       "%d min",
                       FOREIGN_WINDOW_S / 60);
        workload_event(w, true, "ForeignScalePause", "Rescale", sv_from(note));
    } else if (d->reason == REASON_STALE) {
        log_warn("no news from the API server: filler does not grow", F_SV("policy", p->name));
    } else if (was_held) {
        log_info("filler may grow again", F_SV("policy", p->name));
    }
}

void tell_rescale(const struct policy *p, struct workload *w, bool dry_run, int64_t from,
                  const struct decision *d, const char *detail)
{
    char note[TELL_TEXT_SIZE];

    log_info("rescale", F_SV("policy", p->name), F_INT("from", from), F_INT("to", d->replicas),
             F_STR("reason", reason_name(d->reason)), F_STR("detail", detail),
             F_STR("mode", dry_run ? "dry-run" : "control"));
    if (dry_run)
        return;
    (void)snprintf(note, sizeof note, "New size: %lld; reason: %s", (long long)d->replicas, detail);
    workload_event(w, false, "SuccessfulRescale", "Rescale", sv_from(note));
}
