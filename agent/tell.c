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

static void tell_pause(struct tell *told, const struct policy *p, const struct workload_view *v)
{
    if ((v->pause_problem[0] != '\0') == told->pause_unknown)
        return;
    told->pause_unknown = !told->pause_unknown;
    if (!told->pause_unknown)
        log_info("the target's annotations can be read again", F_SV("policy", p->name));
    else
        log_warn("the target's annotations cannot be read: a pause is not seen",
                 F_SV("policy", p->name), F_STR("growth", v->pause_known ? "goes on" : "held back"),
                 F_STR("error", v->pause_problem));
}

void tell_target(struct tell *told, const struct policy *p, struct workload *w)
{
    const struct workload_view *v = workload_view(w);

    tell_state(told, p, v);
    tell_owner(told, p, w);
    tell_pause(told, p, v);
    if ((v->owner_problem[0] != '\0') == told->owner_unknown)
        return;
    told->owner_unknown = !told->owner_unknown;
    if (told->owner_unknown)
        log_warn("whether another autoscaler scales the target cannot be told; control goes on",
                 F_SV("policy", p->name), F_STR("error", v->owner_problem));
}

void tell_overlap(struct tell *told, const struct policy *p, const struct policy *other)
{
    if ((other != NULL) == told->overlaps)
        return;
    told->overlaps = other != NULL;
    if (other != NULL)
        log_error("target is left alone: its selector matches pods of another policy's target",
                  F_SV("policy", p->name), F_SV("other", other->name));
    else
        log_info("no pod belongs to two policies any more", F_SV("policy", p->name));
}

static void tell_gate(struct tell *told, const struct policy *p, struct workload *w,
                      const struct facts_filler *facts)
{
    bool missing =
        p->placement == PLACEMENT_GATE && facts->template_known && !facts->template_gated;
    static const char note[] = "Its pod template has no scheduling gate " ROOM_GATE
                               ": brim cannot choose nodes, pods go where the scheduler puts them";

    if (missing == told->gate_missing)
        return;
    told->gate_missing = missing;
    if (!missing) {
        log_info("pods are placed by gate", F_SV("policy", p->name));
        return;
    }
    log_warn("the template has no gate: pods go where the scheduler puts them",
             F_SV("policy", p->name), F_STR("gate", ROOM_GATE));
    workload_event(w, true, "GateMissing", "Place", sv_from(note));
}

void tell_places(struct tell *told, const struct policy *p, struct workload *w,
                 const struct facts_filler *facts, const char *missing)
{
    char note[TELL_TEXT_SIZE];

    tell_gate(told, p, w, facts);
    if ((missing != NULL) == told->places_forbidden)
        return;
    told->places_forbidden = missing != NULL;
    if (missing == NULL) {
        log_info("pods can be patched again", F_SV("policy", p->name));
        return;
    }
    log_warn("pods are not placed: a right is missing", F_SV("policy", p->name),
             F_STR("missing", missing));
    (void)snprintf(note, sizeof note, "Pods are not placed: %s", missing);
    workload_event(w, true, "PlacementForbidden", "Place", sv_from(note));
}

void tell_settle(int64_t *told_us, const struct policy *p, int64_t settle_us)
{
    if (p->settle_auto || settle_us == *told_us || settle_us == 0)
        return;
    *told_us = settle_us;
    if (settle_us != p->settle_us)
        log_info("settle is raised to twice the time a yield takes", F_SV("policy", p->name),
                 F_INT("settle_ms", settle_us / US_PER_MS),
                 F_INT("asked_ms", p->settle_us / US_PER_MS));
}

void tell_headroom(struct tell *told, const struct policy *p, struct workload *w,
                   const struct headroom_state *h)
{
    char note[TELL_TEXT_SIZE];

    if (h->capped == told->capped)
        return;
    told->capped = h->capped;
    if (!h->capped) {
        log_info("headroom suffices again", F_SV("policy", p->name));
        return;
    }
    log_warn("headroom stands at its cap and does not suffice", F_SV("policy", p->name),
             F_INT("max_milli", h->usual), F_INT("need_milli", h->need));
    (void)snprintf(note, sizeof note,
                   "More paid pods than headroom.blocked allows find too little room: headroom.max "
                   "is %lld.%03lld cores, %lld.%03lld would have met it",
                   (long long)(h->usual / 1000), (long long)(h->usual % 1000),
                   (long long)(h->need / 1000), (long long)(h->need % 1000));
    workload_event(w, true, "HeadroomCapped", "Rescale", sv_from(note));
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

void tell_rescale(const struct policy *p, bool dry_run, int64_t from, const struct decision *d,
                  const char *detail)
{
    log_info("rescale", F_SV("policy", p->name), F_INT("from", from), F_INT("to", d->replicas),
             F_STR("reason", reason_name(d->reason)), F_STR("detail", detail),
             F_STR("mode", dry_run ? "dry-run" : "control"));
}

void tell_rescaled(struct tell *told, struct workload *w, int64_t to, const char *detail)
{
    char note[TELL_TEXT_SIZE];

    told->refused = false;
    (void)snprintf(note, sizeof note, "New size: %lld; reason: %s", (long long)to, detail);
    workload_event(w, false, "SuccessfulRescale", "Rescale", sv_from(note));
}

void tell_refused(struct tell *told, const struct policy *p, struct workload *w, int64_t to,
                  const char *detail, const struct err *err)
{
    char note[TELL_TEXT_SIZE + sizeof err->text];

    log_warn("the target could not be scaled", F_SV("policy", p->name), F_INT("to", to),
             F_STR("kind", err_kind_name(err->kind)), F_ERR(err));
    if (told->refused)
        return;
    told->refused = true;
    (void)snprintf(note, sizeof note, "New size: %lld; reason: %s; error: %s", (long long)to,
                   detail, err->text);
    workload_event(w, true, "FailedRescale", "Rescale", sv_from(note));
}

bool tell_is_repeated(const struct tell_altered *last, int64_t from, int64_t to)
{
    return last->is && last->answered == from && last->asked == to;
}

void tell_answer(struct tell_altered *last, const struct policy *p, struct workload *w,
                 int64_t asked, int64_t answered)
{
    bool was = last->is, repeated = tell_is_repeated(last, answered, asked);
    char note[TELL_TEXT_SIZE];

    *last = (struct tell_altered){.is = asked != answered, .asked = asked, .answered = answered};
    if (!last->is) {
        if (was)
            log_info("the target takes the count that is asked for", F_SV("policy", p->name));
        return;
    }
    if (repeated)
        return;
    log_warn("the API server sets another count than was asked for: does admission change it?",
             F_SV("policy", p->name), F_INT("asked", asked), F_INT("answered", answered));
    (void)snprintf(note, sizeof note, "%lld replicas were asked for, the API server set %lld",
                   (long long)asked, (long long)answered);
    workload_event(w, true, "ScaleAltered", "Rescale", sv_from(note));
}
