#include "agent/turn.h"

#include <stdio.h>

#include "agent/publish.h"
#include "agent/recorder.h"
#include "base/log.h"
#include "base/num.h"

static struct mono now_of(const struct turn *t)
{
    return t->parts.timers->now(t->parts.timers->self);
}

static struct wall wall_now(const struct turn *t)
{
    return t->parts.timers->wall(t->parts.timers->self);
}

static void wake_up(void *self)
{
    turn_mark(self);
}

void turn_init(struct turn *t, const struct turn_parts *parts)
{
    struct controller_config config = facts_config(parts->facts);

    *t = (struct turn){.parts = *parts, .dirty = true, .settle_us = parts->policy->settle_us};
    t->controller = controller_new(&config);
    t->wake = parts->timers->timer_new(parts->timers->self, wake_up, t);
    t->started = wall_now(t);
    if (parts->recorder != NULL)
        t->last_id = recorder_first_id(parts->recorder) - 1;
}

void turn_done(struct turn *t)
{
    t->parts.timers->timer_free(t->wake);
    controller_free(t->controller);
}

void turn_mark(struct turn *t)
{
    t->dirty = true;
}

/* When the older of the two watches was last heard; false before both have been complete once. */
static bool heard(const struct turn *t, struct mono *ret_at)
{
    const struct watch_stats *pods = watch_stats(t->parts.pods),
                             *nodes = watch_stats(t->parts.nodes);

    if (!pods->synced || !nodes->synced)
        return false;
    ret_at->us = min_i64(pods->heard.us, nodes->heard.us);
    return true;
}

/* A settle time below twice the time that a yield takes would let filler back in before it has left. */
static void keep_settle_above_actuation(struct turn *t)
{
    const struct policy *p = t->parts.policy;
    struct controller_config config = facts_config(t->parts.facts);

    if (config.settle.settle_us == t->settle_us)
        return;
    if (config.settle.settle_us != p->settle_us)
        log_info("settle is raised to twice the time a yield takes", F_SV("policy", p->name),
                 F_INT("settle_ms", config.settle.settle_us / US_PER_MS),
                 F_INT("asked_ms", p->settle_us / US_PER_MS));
    t->settle_us = config.settle.settle_us;
    controller_configure(t->controller, &config);
}

/* What the target asks for, or in a dry run would ask for had brim written. */
static int64_t replicas_now(struct turn *t, const struct workload_view *view)
{
    if (t->has_virtual && t->virtual_from != view->replicas)
        t->has_virtual = false; /* somebody changed the real count: take that up */
    return t->has_virtual ? t->virtual_replicas : view->replicas;
}

static bool writes(const struct turn *t)
{
    return t->parts.policy->mode == MODE_CONTROL && !t->parts.dry_run;
}

static struct controller_facts gather(struct turn *t, struct mono now)
{
    const struct policy *p = t->parts.policy;
    const struct workload_view *view = workload_view(t->parts.workload);
    struct facts *f = t->parts.facts;
    struct mono heard_at = {0};
    bool synced = heard(t, &heard_at);
    struct controller_facts in = {0};

    t->claims = facts_measure(f, now);
    in.known = synced && f->classified && f->fit != NULL && view->known &&
               (!writes(t) || (view->owners_known && view->owner[0] == '\0'));
    in.fresh = synced && mono_since_us(heard_at, now) <= p->stale_after_us;
    in.replicas = replicas_now(t, view);
    if (f->fit == NULL)
        return in;
    t->room = fit_sum(f->fit);
    facts_room(f, &in);
    return in;
}

/* Keeps a decision for showing: those that change the count, and those whose reason is new. */
static void record(struct turn *t)
{
    struct snapshot_decision *d = t->recent;
    struct strbuf text;

    if (t->n_recent < SNAPSHOT_DECISIONS)
        t->n_recent++;
    memmove(t->recent + 1, t->recent, (t->n_recent - 1) * sizeof *t->recent);
    *d = (struct snapshot_decision){.id = ++t->last_id,
                                    .at = wall_now(t),
                                    .from = t->from,
                                    .decision = t->decision,
                                    .paid_milli = t->room.paid_milli,
                                    .pending_milli = t->room.claimed_milli,
                                    .allocatable_milli = t->room.allocatable_milli};
    strbuf_init(&text, sizeof d->detail - 1);
    decision_text(&t->decision, t->from, &text);
    (void)snprintf(d->detail, sizeof d->detail, "%s", strbuf_str(&text));
    strbuf_done(&text);
    t->decisions_total[t->decision.reason]++;
    t->unpublished = true;
    if (t->parts.recorder != NULL)
        recorder_decided(t->parts.recorder);
}

static void count_latency(struct turn *t)
{
    static const double bounds[] = SNAPSHOT_LATENCY_BOUNDS;
    int64_t us =
        mono_since_us(t->parts.facts->urgent_since, t->parts.clock.mono(t->parts.clock.self));
    size_t i = 0;

    while (i < COUNT_OF(bounds) && (double)us / 1e6 > bounds[i])
        i++;
    t->latency.bucket[i]++;
    t->latency.count++;
    t->latency.sum_us += us;
}

/* What is not known at the start, when nothing can be, is no news. */
static bool is_news(const struct turn *t, enum reason before)
{
    return t->decision.reason != before &&
           (t->n_recent != 0 || t->decision.reason != REASON_UNKNOWN);
}

/* Carries a move out, or in a dry run takes it as carried out. */
static void carry_out(struct turn *t, const struct act_result *move, struct mono now)
{
    bool urgent = move->move == ACT_SHRINK && t->claims.urgent != 0 && t->parts.facts->urgent &&
                  !t->parts.facts->urgent_served;

    t->decision.replicas = move->to;
    record(t);
    if (!writes(t)) {
        t->has_virtual = true;
        t->virtual_from = workload_view(t->parts.workload)->replicas;
        t->virtual_replicas = move->to;
        (void)act_answered(&t->act, true, now);
        controller_wrote(t->controller, move->to, now);
        tell_rescale(t->parts.policy, t->parts.workload, true, t->from, &t->decision,
                     t->recent[0].detail);
        turn_mark(t);
        return;
    }
    if (move->move == ACT_SHRINK)
        workload_shrink(t->parts.workload, move->to);
    else
        workload_grow(t->parts.workload, move->to);
    if (urgent)
        count_latency(t);
    t->parts.facts->urgent_served |= move->move == ACT_SHRINK;
    tell_rescale(t->parts.policy, t->parts.workload, false, t->from, &t->decision,
                 t->recent[0].detail);
}

static struct act_facts wishes(const struct turn *t)
{
    const struct claims_sum *c = &t->claims;
    struct act_facts f = {
        .write = t->decision.write && t->parts.policy->mode != MODE_METRICS_ONLY,
        .from = t->input.replicas,
        .to = t->decision.replicas,
        .urgent = t->parts.facts->urgent && !t->parts.facts->urgent_served && c->urgent != 0,
        .urgent_since = t->parts.facts->urgent_since,
        .helpless = c->helpless != 0,
        .victims_seen = c->uncovered == 0 && c->pods == c->unschedulable,
    };

    if (f.to > f.from) {
        f.to = facts_growth(t->parts.facts, f.from, f.to);
        f.write = f.write && f.to != f.from;
    }
    return f;
}

/*
 * More filler pods than the target's known count explains mean that somebody scaled it since it was
 * read: it is read again, once for each such number, since pods may also outlast a count.
 */
static void notice_growth(struct turn *t)
{
    struct filler_count count = cluster_filler_count(t->parts.facts->cluster, 0);
    int64_t staying =
        count.pods[FILLER_READY] + count.pods[FILLER_STARTING] + count.pods[FILLER_UNSCHEDULABLE];
    const struct workload_view *view = workload_view(t->parts.workload);
    bool more = view->known && t->act.in_flight == 0 && staying > view->replicas;

    if (more && staying != t->noticed)
        workload_refresh(t->parts.workload);
    t->noticed = more ? staying : 0;
}

/* Another object under the target's name: what was learned of the old one's count is void. */
static void notice_new_target(struct turn *t)
{
    const struct workload_view *view = workload_view(t->parts.workload);
    struct controller_config config = facts_config(t->parts.facts);

    if (!view->known || uid_eq(view->uid, t->uid))
        return;
    if (!uid_is_zero(t->uid)) {
        controller_free(t->controller);
        t->controller = controller_new(&config);
        t->has_virtual = t->has_found = false;
    }
    t->uid = view->uid;
}

static void evaluate(struct turn *t, struct mono now)
{
    enum reason before = t->decision.reason;
    struct act_facts facts;
    struct act_result move;

    notice_new_target(t);
    keep_settle_above_actuation(t);
    t->input = gather(t, now);
    if (t->parts.policy->mode == MODE_METRICS_ONLY && t->input.known &&
        (!t->has_found || t->found_replicas != t->input.replicas)) {
        t->has_found = true;
        t->found_replicas = t->input.replicas;
        controller_wrote(t->controller, t->input.replicas, now);
    }
    t->from = t->input.replicas;
    t->decision = controller_step(t->controller, &t->input, now);
    tell_reason(&t->told, t->parts.policy, t->parts.workload, &t->decision, t->from);
    t->ticked_at = now;
    t->unpublished = true;
    facts = wishes(t);
    move = act_step(&t->act, &facts, now);
    if (move.move != ACT_NOTHING)
        carry_out(t, &move, now);
    else if (is_news(t, before) && !facts.write)
        record(t);
    if (move.has_wake && (!t->decision.has_wake || move.wake.us < t->decision.wake.us)) {
        t->decision.has_wake = true;
        t->decision.wake = move.wake;
    }
    notice_growth(t);
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a == 0 || b < a ? b : a;
}

/* Sets the timer to the first moment at which something is due though nothing happens. */
static void set_wake(struct turn *t, struct mono now)
{
    int64_t at = t->ticked_at.us + TURN_TICK_US;
    struct mono heard_at;

    if (t->decision.has_wake)
        at = earliest(at, t->decision.wake.us);
    if (t->claims.has_deadline)
        at = earliest(at, t->claims.deadline.us);
    if (heard(t, &heard_at) && heard_at.us + t->parts.policy->stale_after_us >= now.us)
        at = earliest(at, heard_at.us + t->parts.policy->stale_after_us + 1);
    if (t->unpublished)
        at = earliest(at, t->published_at.us + TURN_PUBLISH_US);
    t->parts.timers->timer_set(t->wake, at > now.us ? at - now.us : 0);
}

void turn_run(void *self)
{
    struct turn *t = self;
    struct mono now = now_of(t);
    uint64_t decided = t->last_id;

    if (!t->dirty && !t->parts.facts->changed)
        return;
    t->dirty = false;
    tell_target(&t->told, t->parts.policy, t->parts.workload);
    evaluate(t, now);
    if (t->last_id != decided || mono_since_us(t->published_at, now) >= TURN_PUBLISH_US) {
        publish(t);
        t->published_at = now;
        t->unpublished = false;
    }
    set_wake(t, now);
}

void turn_written(struct turn *t, int64_t replicas, const struct err *err)
{
    struct mono now = now_of(t);
    bool again = act_answered(&t->act, err == NULL, now);

    if (err == NULL) {
        controller_wrote(t->controller, replicas, now);
    } else {
        t->scale_errors_total++;
        t->parts.facts->urgent_served = false;
        log_warn("the target could not be scaled", F_SV("policy", t->parts.policy->name),
                 F_INT("to", replicas), F_STR("kind", err_kind_name(err->kind)), F_ERR(err));
    }
    if (again)
        workload_refresh(t->parts.workload);
    turn_mark(t);
}
