#include "agent/serve/status_json.h"

#include <stdio.h>

#include "base/jsonw.h"
#include "policy/controller.h"

static int64_t ms_of(struct wall t)
{
    return t.us / US_PER_MS;
}

static void known_i64(struct jsonw *w, const char *key, bool known, int64_t value)
{
    if (known)
        jsonw_i64(w, key, value);
    else
        jsonw_null(w, key);
}

static bool is_shown(const struct snapshot_filler *f, struct sv policy)
{
    return policy.len == 0 || sv_eq(policy, sv_from(f->policy));
}

/* Of several fillers the one whose news matters most speaks for brim; this is the order. */
static const enum reason speaking_order[] = {
    REASON_STALE, REASON_YIELD,   REASON_UNKNOWN, REASON_HARVEST,
    REASON_HOLD,  REASON_FOREIGN, REASON_PAUSED,  REASON_STEADY,
};
_Static_assert(COUNT_OF(speaking_order) == REASON_COUNT_, "a reason has no rank");

static const struct snapshot_filler *speaker(const struct snapshot *s, struct sv policy)
{
    for (size_t r = 0; r < COUNT_OF(speaking_order); r++) {
        for (size_t i = 0; i < s->n_fillers; i++) {
            if (s->fillers[i].reason == speaking_order[r] && is_shown(&s->fillers[i], policy))
                return &s->fillers[i];
        }
    }
    return NULL;
}

static void write_watches(struct jsonw *w, const struct snapshot *s, struct mono now)
{
    static const struct {
        const char *name, *key;
    } kinds[] = {{"pods", "pods_ms"}, {"nodes", "nodes_ms"}, {"waiting", "waiting_ms"}};

    jsonw_object(w, "watch");
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        const struct snapshot_watch *found = NULL;

        for (size_t i = 0; s != NULL && i < COUNT_OF(s->watches); i++) {
            if (s->watches[i].name != NULL &&
                sv_eq(sv_from(s->watches[i].name), sv_from(kinds[k].name)))
                found = &s->watches[i];
        }
        if (found != NULL && found->synced && mono_since_us(found->heard, now) >= 0)
            jsonw_i64(w, kinds[k].key, mono_since_us(found->heard, now) / US_PER_MS);
        else
            known_i64(w, kinds[k].key, found != NULL && found->synced, 0);
    }
    jsonw_end(w);
}

/* The known filler whose nodes offer most, NULL if no filler is known. */
static const struct snapshot_filler *widest(const struct snapshot *s)
{
    const struct snapshot_filler *best = NULL;

    for (size_t i = 0; s != NULL && i < s->n_fillers; i++) {
        const struct snapshot_filler *f = &s->fillers[i];

        if (f->known && (best == NULL || f->allocatable_milli > best->allocatable_milli))
            best = f;
    }
    return best;
}

static void write_cpu(struct jsonw *w, const struct snapshot *s)
{
    /* Not const: so much of zeros need not be in the program. */
    static struct snapshot_filler nothing;
    const struct snapshot_filler *wide = widest(s), *f = wide != NULL ? wide : &nothing;
    int64_t filler_milli = 0, leaving_milli = 0;
    bool pods_known = s != NULL && s->ready;

    for (size_t i = 0; pods_known && i < s->n_fillers; i++) {
        filler_milli += s->fillers[i].ready_milli + s->fillers[i].starting_milli;
        leaving_milli += s->fillers[i].leaving_milli;
    }
    jsonw_object(w, "cpu");
    known_i64(w, "allocatable_milli", wide != NULL, f->allocatable_milli);
    known_i64(w, "paid_milli", wide != NULL, f->requested_milli);
    known_i64(w, "pending_milli", wide != NULL, f->pending_milli);
    known_i64(w, "filler_milli", pods_known, filler_milli);
    known_i64(w, "leaving_milli", pods_known, leaving_milli);
    known_i64(w, "headroom_milli", wide != NULL, f->headroom_milli);
    known_i64(w, "reserve_milli", wide != NULL, f->reserved_milli);
    jsonw_end(w);
}

static void write_condition(struct jsonw *w, const char *type, const struct snapshot_condition *c)
{
    if (c->reason[0] == '\0') /* never judged */
        return;
    jsonw_object(w, NULL);
    jsonw_cstr(w, "type", type);
    jsonw_cstr(w, "status", c->status ? "True" : "False");
    jsonw_cstr(w, "reason", c->reason);
    jsonw_cstr(w, "message", c->message);
    jsonw_end(w);
}

static void write_target(struct jsonw *w, const struct snapshot_filler *f)
{
    jsonw_object(w, "target");
    jsonw_cstr(w, "api_version", f->target_api_version);
    jsonw_cstr(w, "kind", f->target_kind);
    jsonw_cstr(w, "namespace", f->target_ns);
    jsonw_cstr(w, "name", f->target_name);
    jsonw_end(w);
}

/* Where the headroom comes from, and what would have sufficed. */
static void write_headroom(struct jsonw *w, const struct snapshot_filler *f)
{
    const struct headroom_state *h = &f->headroom;

    if (!f->known) {
        jsonw_null(w, "headroom");
        return;
    }
    jsonw_object(w, "headroom");
    jsonw_i64(w, "milli", h->milli);
    jsonw_cstr(w, "kind", headroom_kind_name(h->kind));
    jsonw_i64(w, "usual_milli", h->usual);
    jsonw_i64(w, "surge_milli", h->surge);
    jsonw_i64(w, "expected_milli", h->expected);
    known_i64(w, "ceiling_milli", h->ceiling != INT64_MAX, h->ceiling);
    known_i64(w, "need_milli", h->values != 0, h->need);
    jsonw_i64(w, "values", (int64_t)h->values);
    jsonw_bool(w, "capped", h->capped);
    jsonw_end(w);
}

static void write_paused(struct jsonw *w, const struct snapshot_filler *f)
{
    jsonw_object(w, "paused");
    jsonw_bool(w, "up", f->paused_up);
    jsonw_bool(w, "down", f->paused_down);
    jsonw_cstr(w, "up_by", f->paused_up_by);
    jsonw_cstr(w, "down_by", f->paused_down_by);
    jsonw_end(w);
}

static void write_filler(struct jsonw *w, const struct snapshot *s, const struct snapshot_filler *f)
{
    bool pods_known = s->ready && f->has_replicas;

    jsonw_object(w, NULL);
    jsonw_cstr(w, "policy", f->policy);
    write_target(w, f);
    known_i64(w, "wanted", f->has_replicas, f->desired);
    known_i64(w, "replicas", f->has_replicas, f->replicas);
    known_i64(w, "running", pods_known, f->ready);
    known_i64(w, "starting", pods_known, f->starting);
    known_i64(w, "leaving", pods_known, f->leaving);
    known_i64(w, "unschedulable", pods_known, f->unschedulable);
    known_i64(w, "gated", pods_known, f->gated);
    known_i64(w, "admitted", pods_known, f->admitted);
    jsonw_i64(w, "refused", (int64_t)f->refused_total);
    known_i64(w, "fit", snapshot_decided(f), f->slots);
    known_i64(w, "kept", snapshot_decided(f), f->kept_slots);
    known_i64(w, "set_point", snapshot_decided(f), f->set_point);
    known_i64(w, "damped", snapshot_decided(f), f->damped);
    known_i64(w, "remaining_milli", f->known, f->remaining_milli);
    known_i64(w, "slot_milli", f->known, f->slot_milli);
    known_i64(w, "z", f->known, f->hole_slots);
    known_i64(w, "settle_ms", f->known, f->settle_us / US_PER_MS);
    write_headroom(w, f);
    write_paused(w, f);
    jsonw_i64(w, "min", f->min);
    jsonw_i64(w, "max", f->max);
    jsonw_cstr(w, "state", reason_name(f->reason));
    jsonw_cstr(w, "bound_by", f->bound == BOUND_NONE ? NULL : bound_name(f->bound));
    known_i64(w, "earliest_up_t", f->has_wake, ms_of(f->wake));
    jsonw_array(w, "conditions");
    write_condition(w, "AbleToScale", &f->able);
    write_condition(w, "ScalingActive", &f->active);
    write_condition(w, "ScalingLimited", &f->limited);
    write_condition(w, "PodsPlaced", &f->placed);
    write_condition(w, "HeadroomSufficient", &f->covered);
    jsonw_end(w);
    jsonw_object(w, "decisions");
    for (int r = 0; r < REASON_COUNT_; r++)
        jsonw_i64(w, reason_name((enum reason)r), (int64_t)f->decisions_total[r]);
    jsonw_end(w);
    jsonw_i64(w, "scale_errors", (int64_t)f->scale_errors_total);
    jsonw_end(w);
}

static void write_fillers(struct jsonw *w, const struct snapshot *s, struct sv policy)
{
    size_t shown = 0;

    jsonw_array(w, "fillers");
    for (size_t i = 0; s != NULL && i < s->n_fillers && shown < STATUS_MAX_FILLERS; i++) {
        if (!is_shown(&s->fillers[i], policy))
            continue;
        write_filler(w, s, &s->fillers[i]);
        shown++;
    }
    jsonw_end(w);
    jsonw_i64(w, "fillers_total", s != NULL ? (int64_t)s->n_fillers : 0);
}

static void say_moved(struct jsonw *w, const struct snapshot_filler *f, const char *before)
{
    int64_t moved = f->desired > f->from ? f->desired - f->from : f->from - f->desired;
    char text[64];

    jsonw_cstr(w, NULL, before);
    (void)snprintf(text, sizeof text, "%lld pod%s", (long long)moved, moved == 1 ? "" : "s");
    jsonw_cstr(w, NULL, text);
}

static void say_doing(struct jsonw *w, const struct snapshot_filler *f)
{
    switch (f->reason) {
    case REASON_STEADY:
        jsonw_cstr(w, NULL, "Steady");
        return;
    case REASON_HARVEST:
        say_moved(w, f, "Growing by ");
        return;
    case REASON_YIELD:
        say_moved(w, f, "Giving back ");
        return;
    case REASON_HOLD:
        jsonw_cstr(w, NULL, "Waiting for room to settle");
        if (f->has_wake) {
            jsonw_cstr(w, NULL, ", ");
            jsonw_object(w, NULL);
            jsonw_i64(w, "until", ms_of(f->wake));
            jsonw_end(w);
            jsonw_cstr(w, NULL, " more");
        }
        return;
    case REASON_FOREIGN:
        jsonw_cstr(w, NULL, "Keeping the count that somebody else set");
        return;
    case REASON_PAUSED:
        jsonw_cstr(w, NULL, "Paused");
        return;
    case REASON_STALE:
        jsonw_cstr(w, NULL, "Not growing: no news from the Kubernetes API");
        return;
    case REASON_UNKNOWN:
        jsonw_cstr(w, NULL, "Not acting: ");
        jsonw_cstr(w, NULL,
                   f->active.message[0] != '\0' ? f->active.message
                                                : "the filler is not known yet");
        return;
    case REASON_COUNT_:
        return;
    }
}

static void write_say(struct jsonw *w, const struct snapshot *s, const struct snapshot_filler *f)
{
    jsonw_object(w, "say");
    jsonw_array(w, "doing");
    if (s == NULL || !s->ready)
        jsonw_cstr(w, NULL, "Starting: pods and nodes are not listed yet");
    else if (f == NULL)
        jsonw_cstr(w, NULL,
                   s->n_fillers == 0 ? "No filler yet: there is no policy"
                                     : "There is no policy of this name");
    else {
        if (s->lead.on && !s->lead.leads) {
            jsonw_cstr(w, NULL, "Standing by; ");
            jsonw_cstr(w, NULL, s->lead.holder[0] != '\0' ? s->lead.holder : "nobody");
            jsonw_cstr(w, NULL, " leads. ");
        }
        if (s->dry_run)
            jsonw_cstr(w, NULL, "Only watching (dry run): ");
        say_doing(w, f);
    }
    jsonw_end(w);
    jsonw_array(w, "why");
    if (f != NULL && f->detail[0] != '\0')
        jsonw_cstr(w, NULL, f->detail);
    jsonw_end(w);
    jsonw_end(w);
}

/* Pods that arrived since `from`, and those of them that filler kept waiting. */
static void write_arrivals(struct jsonw *w, const char *key, bool known, struct wall from,
                           uint64_t paid, uint64_t blocked)
{
    jsonw_object(w, key);
    known_i64(w, "from_t", known, ms_of(from));
    known_i64(w, "paid", known, (int64_t)paid);
    known_i64(w, "blocked", known, (int64_t)blocked);
    jsonw_end(w);
}

static void write_waiting(struct jsonw *w, const struct snapshot *s)
{
    bool known = s != NULL && s->ready;
    struct day_sum day = known ? day_sum(&s->day) : (struct day_sum){0};

    jsonw_object(w, "waiting");
    known_i64(w, "pods", known, known ? s->waiting_pods : 0);
    write_arrivals(w, "total", known, known ? s->started : (struct wall){0},
                   known ? s->paid_pods_total : 0, known ? s->paid_pods_blocked_total : 0);
    write_arrivals(w, "day", known, day.from, day.paid_pods, day.blocked);
    jsonw_end(w);
}

static void write_earned(struct jsonw *w, const struct snapshot *s)
{
    struct day_sum day = s != NULL ? day_sum(&s->day) : (struct day_sum){0};

    jsonw_object(w, "earned");
    jsonw_object(w, "day");
    known_i64(w, "from_t", day.known, ms_of(day.from));
    known_i64(w, "core_hours_milli", day.known, day.filler_core_hours_milli);
    known_i64(w, "util_milli", day.known, day.util_milli);
    known_i64(w, "util_paid_milli", day.known, day.util_paid_milli);
    jsonw_end(w);
    jsonw_end(w);
}

static void write_lead(struct jsonw *w, const struct snapshot *s)
{
    if (s == NULL || !s->lead.on) {
        jsonw_null(w, "leader");
        return;
    }
    jsonw_object(w, "leader");
    jsonw_bool(w, "leads", s->lead.leads);
    jsonw_cstr(w, "identity", s->lead.identity);
    jsonw_cstr(w, "holder", s->lead.holder[0] != '\0' ? s->lead.holder : NULL);
    jsonw_cstr(w, "url", s->lead.url[0] != '\0' ? s->lead.url : NULL);
    jsonw_end(w);
}

static void write_history(struct jsonw *w, const struct snapshot *s)
{
    const struct snapshot_history *h = s != NULL ? &s->history : NULL;

    if (h == NULL || !h->on) {
        jsonw_null(w, "history");
        return;
    }
    jsonw_object(w, "history");
    jsonw_i64(w, "bytes", h->bytes);
    known_i64(w, "written_t", h->written_at.us != 0, ms_of(h->written_at));
    jsonw_cstr(w, "error", h->failing ? h->error : NULL);
    jsonw_cstr(w, "network", h->network);
    jsonw_i64(w, "damaged", (int64_t)h->damaged_total);
    jsonw_i64(w, "set_aside", (int64_t)h->set_aside_total);
    jsonw_cstr(w, "aside", h->aside[0] != '\0' ? h->aside : NULL);
    jsonw_end(w);
}

void status_json_write(const struct snapshot *s, struct sv policy, struct mono now,
                       struct wall now_wall, struct strbuf *out)
{
    const struct snapshot_filler *f = s != NULL ? speaker(s, policy) : NULL;
    struct jsonw w;

    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    jsonw_i64(&w, "v", 1);
    jsonw_i64(&w, "t", ms_of(s != NULL ? s->at : now_wall));
    known_i64(&w, "boot", s != NULL, s != NULL ? ms_of(s->started) : 0);
    jsonw_cstr(&w, "version", BRIM_VERSION);
    jsonw_cstr(&w, "state",
               s == NULL || !s->ready ? "starting"
               : f == NULL            ? "no-policy"
                                      : reason_name(f->reason));
    jsonw_bool(&w, "dry_run", s != NULL && s->dry_run);
    write_watches(&w, s, now);
    write_cpu(&w, s);
    write_waiting(&w, s);
    write_earned(&w, s);
    known_i64(&w, "nodes", s != NULL && s->ready, s != NULL ? s->nodes : 0);
    known_i64(&w, "eligible_nodes", s != NULL && s->ready, s != NULL ? s->eligible_nodes : 0);
    known_i64(&w, "pods", s != NULL && s->ready, s != NULL ? s->pods : 0);
    write_history(&w, s);
    write_lead(&w, s);
    jsonw_cstr(&w, "policy_error", s != NULL && s->policies_broken ? s->policy_error : NULL);
    write_fillers(&w, s, policy);
    write_say(&w, s, f);
    jsonw_end(&w);
    (void)strbuf_add_char(out, '\n');
}

static void write_decision(struct jsonw *w, const char *key, const struct snapshot_filler *f,
                           const struct snapshot_decision *d)
{
    bool known = d->decision.reason != REASON_UNKNOWN;

    jsonw_object(w, key);
    jsonw_i64(w, "id", (int64_t)d->id);
    jsonw_i64(w, "t", ms_of(d->at));
    jsonw_cstr(w, "policy", f->policy);
    jsonw_i64(w, "from", d->from);
    jsonw_i64(w, "to", d->decision.replicas);
    jsonw_cstr(w, "reason", reason_name(d->decision.reason));
    jsonw_cstr(w, "bound_by",
               d->decision.bound == BOUND_NONE ? NULL : bound_name(d->decision.bound));
    known_i64(w, "fit", known, d->decision.slots);
    known_i64(w, "kept", known, d->decision.kept_slots);
    known_i64(w, "headroom_milli", d->decision.why.known, d->decision.why.headroom_milli);
    jsonw_cstr(w, "headroom_kind",
               d->decision.why.known ? headroom_kind_name(d->decision.why.headroom) : NULL);
    known_i64(w, "set_point", known, d->decision.set_point);
    known_i64(w, "damped", known, d->decision.damped);
    known_i64(w, "allocatable_milli", known, d->allocatable_milli);
    known_i64(w, "paid_milli", known, d->paid_milli);
    known_i64(w, "pending_milli", known, d->pending_milli);
    jsonw_cstr(w, "detail", d->detail);
    jsonw_end(w);
}

static bool asked_for(const struct decisions_query *q, const struct snapshot_filler *f,
                      const struct snapshot_decision *d)
{
    return d->id < q->before && (q->policy.len == 0 || sv_eq(q->policy, sv_from(f->policy))) &&
           (q->reason.len == 0 || sv_eq(q->reason, sv_from(reason_name(d->decision.reason))));
}

/* The newest decision that the query asks for. O(decisions): a snapshot holds few. */
static const struct snapshot_decision *newest(const struct snapshot *s,
                                              const struct decisions_query *q,
                                              const struct snapshot_filler **ret_filler)
{
    const struct snapshot_decision *best = NULL;

    for (size_t i = 0; s != NULL && i < s->n_fillers; i++) {
        const struct snapshot_filler *f = &s->fillers[i];

        for (size_t k = 0; k < f->n_decisions; k++) {
            if (!asked_for(q, f, &f->decisions[k]) ||
                (best != NULL && f->decisions[k].id < best->id))
                continue;
            best = &f->decisions[k];
            *ret_filler = f;
        }
    }
    return best;
}

void status_json_decisions(const struct snapshot *s, const struct decisions_query *query,
                           struct strbuf *out)
{
    struct decisions_query rest = *query;
    const struct snapshot_filler *f = NULL;
    struct jsonw w;

    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    jsonw_i64(&w, "v", 1);
    jsonw_array(&w, "decisions");
    for (; rest.limit != 0; rest.limit--) {
        const struct snapshot_decision *d = newest(s, &rest, &f);

        if (d == NULL)
            break;
        write_decision(&w, NULL, f, d);
        rest.before = d->id;
    }
    jsonw_end(&w);
    jsonw_end(&w);
    (void)strbuf_add_char(out, '\n');
}

bool status_json_decision(const struct snapshot *s, uint64_t id, struct strbuf *out)
{
    const struct decisions_query one = {.limit = 1, .before = id < UINT64_MAX ? id + 1 : id};
    const struct snapshot_filler *f = NULL;
    const struct snapshot_decision *d = newest(s, &one, &f);
    struct jsonw w;

    if (d == NULL || d->id != id)
        return false;
    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    jsonw_i64(&w, "v", 1);
    write_decision(&w, "decision", f, d);
    jsonw_end(&w);
    (void)strbuf_add_char(out, '\n');
    return true;
}
