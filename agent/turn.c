#include "agent/turn.h"

#include <stdio.h>

#include "agent/cause.h"
#include "agent/publish.h"
#include "agent/publish_boards.h"
#include "agent/recorder.h"
#include "agent/truth_map.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/num.h"
#include "policy/schedule.h"

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
    *t = (struct turn){.parts = *parts, .dirty = true, .leads = parts->elect == NULL};
    t->wake = parts->timers->timer_new(parts->timers->self, wake_up, t);
    t->started = wall_now(t);
    if (parts->recorder != NULL)
        t->last_id = recorder_first_id(parts->recorder) - 1;
}

void turn_done(struct turn *t)
{
    boards_clear(snapshot_slot_boards(t->parts.slot));
    t->parts.timers->timer_free(t->wake);
    past_unref(t->past);
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++)
        free(t->fillers[i]);
}

void turn_mark(struct turn *t)
{
    t->dirty = true;
}

void turn_show(struct turn *t)
{
    publish_boards(t);
}

/* Fillers. */

/*
 * The planner is given the policy as it can be carried out: without the right to patch pods nothing
 * can be let in nor marked, and pods that have no gate go where the scheduler puts them.
 */
static enum placement_mode placement_mode(const struct turn *t, const struct turn_filler *tf,
                                          struct mono now)
{
    const struct facts_filler *ff = &t->parts.facts->fillers[tf->index];
    struct places_view view = places_view(tf->places, now);

    if (!view.allowed && !view.trying)
        return PLACEMENT_SPREAD;
    if (tf->policy->placement == PLACEMENT_GATE && ff->template_known && !ff->template_gated)
        return PLACEMENT_AFFINITY;
    return tf->policy->placement;
}

static void set_effective(struct turn *t, struct turn_filler *tf, enum placement_mode mode)
{
    tf->effective = *tf->policy;
    tf->effective.placement = mode;
    planner_set_policy(t->parts.facts->planner, tf->index, &tf->effective);
}

/* Looks at the pods anew: whose they are, or whether they claim, has changed. */
static void relist(struct turn *t)
{
    if (watch_state(t->parts.pods) == WATCH_OFF)
        return;
    watch_stop(t->parts.pods);
    watch_start(t->parts.pods);
}

/* What the target was taken to ask for, and who is taken to have asked, is void. */
static void start_anew(struct turn *t, struct turn_filler *tf)
{
    planner_restart(t->parts.facts->planner, tf->index);
    tf->has_virtual = tf->has_found = false;
    tf->altered = (struct tell_altered){0};
}

/* Takes the values that the policy's schedule has for this time. */
static void put_in_force(struct turn *t, struct turn_filler *tf, struct wall wall)
{
    enum policy_mode mode = tf->policy->mode;
    struct policy policy;
    struct err err = {0};
    bool anew = false;

    tf->scheduled_at = wall;
    tf->has_next = schedule_at(tf->text, wall, &policy, &tf->next);
    if (memcmp(&policy, tf->policy, sizeof policy) == 0)
        return;
    log_debug("a policy is put in force", F_SV("policy", tf->text->name));
    if (!facts_set_policy(t->parts.facts, tf->index, &policy, &anew, &err)) {
        log_error("a policy cannot be put in force", F_SV("policy", tf->text->name), F_ERR(&err));
        return;
    }
    set_effective(t, tf, policy.placement);
    if (policy.mode != mode)
        start_anew(t, tf);
    if (anew)
        relist(t);
}

static void follow_schedule(struct turn *t, struct turn_filler *tf)
{
    struct wall wall = wall_now(t);
    bool set_back = wall.us < tf->scheduled_at.us;

    if (set_back || (tf->has_next && wall.us >= tf->next.us))
        put_in_force(t, tf, wall);
}

void turn_add(struct turn *t, int filler, const struct policy *policy, struct workload *workload,
              struct places *places)
{
    struct turn_filler *tf = xcalloc(1, sizeof *tf);

    *tf = (struct turn_filler){.index = filler,
                               .text = policy,
                               .policy = &t->parts.facts->fillers[filler].policy,
                               .workload = workload,
                               .places = places,
                               .settle_us = policy->settle_us,
                               .came = now_of(t),
                               .learns = true,
                               .leads = t->leads,
                               .decision.reason = REASON_UNKNOWN};
    t->fillers[filler] = tf;
    set_effective(t, tf, policy->placement);
    put_in_force(t, tf, wall_now(t));
    turn_mark(t);
}

void turn_set_policy(struct turn *t, int filler, const struct policy *policy)
{
    struct turn_filler *tf = t->fillers[filler];

    tf->text = policy;
    put_in_force(t, tf, wall_now(t));
    turn_mark(t);
}

void turn_let_go(struct turn *t, int filler, bool let_go)
{
    t->fillers[filler]->let_go = let_go;
    turn_mark(t);
}

void turn_remove(struct turn *t, int filler)
{
    free(t->fillers[filler]);
    t->fillers[filler] = NULL;
    turn_mark(t);
}

void turn_expect_past(struct turn *t, struct past *past)
{
    past_unref(t->past);
    t->past = past;
    turn_mark(t);
}

void turn_policy_error(struct turn *t, const char *text)
{
    (void)snprintf(t->policy_error, sizeof t->policy_error, "%s", text != NULL ? text : "");
    turn_mark(t);
}

static bool awaits_past(const struct turn *t, const struct turn_filler *tf, struct mono now)
{
    return t->past != NULL && tf->learns && mono_since_us(tf->came, now) < TURN_PAST_US;
}

bool turn_awaits_past(const struct turn *t, const struct turn_filler *tf)
{
    return awaits_past(t, tf, now_of(t));
}

void turn_lead(struct turn *t, bool leads)
{
    t->leads = leads;
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        struct turn_filler *tf = t->fillers[i];

        if (tf == NULL)
            continue;
        tf->leads = false;
        if (leads)
            workload_take_over(tf->workload);
        else
            start_anew(t, tf);
    }
    turn_mark(t);
}

/* Once the target was read. */
static void take_over(struct turn *t, struct turn_filler *tf)
{
    if (tf->leads || !t->leads || !workload_is_current(tf->workload))
        return;
    tf->leads = true;
    start_anew(t, tf);
}

bool turn_writes(const struct turn *t, const struct turn_filler *tf)
{
    return tf->leads && tf->policy->mode == MODE_CONTROL && !t->parts.dry_run && !tf->let_go;
}

bool turn_patches(const struct turn *t, const struct turn_filler *tf)
{
    return tf->policy->placement == PLACEMENT_GATE ||
           !t->parts.facts->fillers[tf->index].claims.own_class;
}

static bool is_dry_run(const struct turn *t, const struct turn_filler *tf)
{
    return tf->policy->mode == MODE_DRY_RUN ||
           (tf->policy->mode == MODE_CONTROL && t->parts.dry_run);
}

/* The past. */

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

/* Was its target looked for, and if it is there what its pods are like, and which they are? */
static bool is_looked_at(const struct turn *t, const struct turn_filler *tf)
{
    const struct workload_view *view = workload_view(tf->workload);

    if (view->state == WORKLOAD_FOUND)
        return view->template_known && facts_classified(t->parts.facts, tf->index);
    return view->state != WORKLOAD_UNREAD;
}

/* The fillers that learn, by bits; false as long as one of them is not looked at. */
static bool find_learners(const struct turn *t, uint32_t *ret_set)
{
    uint32_t set = 0;

    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        if (t->fillers[i] == NULL || !t->fillers[i]->learns)
            continue;
        if (!is_looked_at(t, t->fillers[i]))
            return false;
        set |= UINT32_C(1) << i;
    }
    *ret_set = set;
    return true;
}

/* Tells the past to those that are to learn of it, once it is read and they can take it in. */
static void tell_past(struct turn *t, struct mono now)
{
    struct mono heard_at;
    uint32_t set;

    if (t->past == NULL || !past_ready(t->past) || !heard(t, &heard_at) || !find_learners(t, &set))
        return;
    (void)past_feed(t->past, t->parts.facts->planner, set, now, wall_now(t));
    past_unref(TAKE(t->past));
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        if (t->fillers[i] != NULL)
            t->fillers[i]->learns = false;
    }
}

/* Gathering. */

/* What the target asks for, or in a dry run would ask for had brim written. */
static int64_t replicas_now(const struct turn *t, struct turn_filler *tf,
                            const struct workload_view *view)
{
    /* Once somebody changed the real count, that is taken up. */
    if (!is_dry_run(t, tf) || tf->virtual_from != view->replicas)
        tf->has_virtual = false;
    return tf->has_virtual ? tf->virtual_replicas : view->replicas;
}

/* What a watch would tell is not known while it lists anew, and neither while it is cut off. */
static bool is_followed(const struct watch *w)
{
    return watch_stats(w)->connected && !watch_stats(w)->listing;
}

static bool follows(const struct turn *t)
{
    return is_followed(t->parts.pods) && is_followed(t->parts.nodes);
}

static struct planner_input gather(struct turn *t, struct turn_filler *tf, struct mono now)
{
    const struct facts *f = t->parts.facts;
    const struct facts_filler *ff = &f->fillers[tf->index];
    const struct workload_view *view = workload_view(tf->workload);
    struct mono heard_at = {0};
    bool synced = heard(t, &heard_at);

    return (struct planner_input){
        .known = synced && facts_classified(f, tf->index) && view->known && view->template_known &&
                 ff->overlaps < 0 && !tf->let_go && !awaits_past(t, tf, now) &&
                 (!turn_writes(t, tf) || (view->owners_known && view->owner[0] == '\0')),
        .fresh = synced && mono_since_us(heard_at, now) <= tf->policy->stale_after_us,
        .cut_off = !follows(t),
        .paused_up = view->pause.up || !view->pause_known,
        .paused_down = view->pause.down,
        .carries_out = turn_writes(t, tf),
        .replicas = replicas_now(t, tf, view),
        .late = workload_may_have_set(tf->workload, view->replicas),
        .inherits = workload_inherits(tf->workload),
    };
}

static bool has_fillers(const struct turn *t)
{
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        if (t->fillers[i] != NULL)
            return true;
    }
    return false;
}

/* May the planner be asked yet? */
static bool may_step(struct turn *t, struct mono now)
{
    struct mono heard_at;

    if (t->stepped)
        return true;
    if (!has_fillers(t) || !heard(t, &heard_at))
        return false;
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        const struct turn_filler *tf = t->fillers[i];

        if (tf != NULL && (!is_looked_at(t, tf) || awaits_past(t, tf, now)))
            return false;
    }
    t->stepped = true;
    return true;
}

/* Keeps a decision for showing: those that change the count, and those whose reason is new. The latency as in recorder_decided(). */
static void record(struct turn *t, struct turn_filler *tf, int64_t latency_us)
{
    struct snapshot_decision *d = tf->recent;
    struct strbuf text;

    if (tf->n_recent < SNAPSHOT_DECISIONS)
        tf->n_recent++;
    memmove(tf->recent + 1, tf->recent, (tf->n_recent - 1) * sizeof *tf->recent);
    *d = (struct snapshot_decision){.id = ++t->last_id,
                                    .at = wall_now(t),
                                    .from = tf->from,
                                    .decision = tf->decision,
                                    .paid_milli = tf->plan.room.paid_milli,
                                    .pending_milli = tf->plan.room.claimed_milli,
                                    .allocatable_milli = tf->plan.room.allocatable_milli};
    strbuf_init(&text, sizeof d->detail - 1);
    if (d->decision.reason == REASON_UNKNOWN)
        (void)strbuf_addf(&text, "%s: %s", reason_name(REASON_UNKNOWN),
                          cause_of_unknown(t, tf).message);
    else
        decision_text(&tf->decision, tf->from, &text);
    (void)snprintf(d->detail, sizeof d->detail, "%s", strbuf_str(&text));
    strbuf_done(&text);
    tf->decisions_total[tf->decision.reason]++;
    t->unpublished = true;
    if (t->parts.recorder != NULL)
        recorder_decided(t->parts.recorder, tf, latency_us);
}

/* Acting. */

/* Returns it, at least 1. */
static int64_t count_latency(struct turn *t, struct turn_filler *tf)
{
    static const double bounds[] = SNAPSHOT_LATENCY_BOUNDS;
    int64_t us = mono_since_us(t->parts.facts->fillers[tf->index].urgent_since,
                               t->parts.clock.mono(t->parts.clock.self));
    size_t i = 0;

    while (i < COUNT_OF(bounds) && (double)us / 1e6 > bounds[i])
        i++;
    tf->latency.bucket[i]++;
    tf->latency.count++;
    tf->latency.sum_us += us;
    return max_i64(us, 1);
}

static bool is_urgent(const struct turn *t, const struct turn_filler *tf)
{
    const struct facts_filler *ff = &t->parts.facts->fillers[tf->index];

    return ff->urgent && !ff->urgent_served && t->claims.urgent != 0;
}

/* A dry run takes a move as carried out. */
static void pretend(struct turn *t, struct turn_filler *tf, const struct act_result *move,
                    struct mono now)
{
    tf->has_virtual = true;
    tf->virtual_from = workload_view(tf->workload)->replicas;
    tf->virtual_replicas = move->to;
    (void)act_answered(&tf->act, move->move == ACT_SHRINK, true, now);
    planner_wrote(t->parts.facts->planner, tf->index, move->to, now);
    turn_mark(t);
}

/* The newest decision that went out as this write; NULL: too many came after it. */
static const struct snapshot_decision *sent(const struct turn_filler *tf, bool down,
                                            int64_t replicas)
{
    for (size_t i = 0; i < tf->n_recent; i++) {
        const struct snapshot_decision *d = &tf->recent[i];

        if (d->decision.write && d->decision.replicas == replicas && (d->from > replicas) == down)
            return d;
    }
    return NULL;
}

/* Is it what was just refused, asked for once more? That is no other decision. A pod that waits is: how long it does, counts. */
static bool is_tried_again(const struct turn_filler *tf, const struct act_result *move, bool urgent)
{
    const struct snapshot_decision *d = sent(tf, move->move == ACT_SHRINK, move->to);

    return !urgent && d != NULL && d->id == tf->refused && d->from == tf->from &&
           d->decision.reason == tf->decision.reason;
}

static void carry_out(struct turn *t, struct turn_filler *tf, const struct act_result *move,
                      struct mono now)
{
    struct facts_filler *ff = &t->parts.facts->fillers[tf->index];
    bool urgent = move->move == ACT_SHRINK && is_urgent(t, tf);
    int64_t latency_us = 0;

    tf->decision.replicas = move->to;
    if (turn_writes(t, tf)) {
        if (move->move == ACT_SHRINK)
            workload_shrink(tf->workload, move->to);
        else
            workload_grow(tf->workload, move->to);
        if (urgent)
            latency_us = count_latency(t, tf);
        ff->urgent_served |= move->move == ACT_SHRINK;
    } else {
        pretend(t, tf, move, now);
    }
    if (is_tried_again(tf, move, urgent))
        return;
    record(t, tf, latency_us);
    if (!tell_is_repeated(&tf->altered, tf->from, move->to))
        tell_rescale(tf->policy, !turn_writes(t, tf), tf->from, &tf->decision,
                     tf->recent[0].detail);
}

static struct act_facts wishes(const struct turn *t, const struct turn_filler *tf, struct mono now)
{
    const struct claims_sum *c = &t->claims;
    struct places_view places = places_view(tf->places, now);

    return (struct act_facts){
        .write =
            tf->decision.write && tf->policy->mode != MODE_METRICS_ONLY && !tf->let_go && tf->leads,
        .from = tf->input.replicas,
        .to = tf->decision.replicas,
        .urgent = is_urgent(t, tf),
        .urgent_since = t->parts.facts->fillers[tf->index].urgent_since,
        .helpless = c->helpless != 0,
        .victims_seen = c->uncovered == 0 && c->pods == c->unschedulable,
        .marking = places.costs != 0,
        .marking_since = places.costs_since,
        .coalesce_us = tf->policy->advanced.coalesce_us,
    };
}

/*
 * More filler pods than the target's known count explains mean that somebody scaled it since it was
 * read: it is read again, once for each such number, since pods may also outlast a count.
 */
static void notice_growth(struct turn *t, struct turn_filler *tf)
{
    struct filler_count count = cluster_filler_count(facts_cluster(t->parts.facts), tf->index);
    int64_t staying =
        count.pods[FILLER_READY] + count.pods[FILLER_STARTING] + count.pods[FILLER_UNSCHEDULABLE];
    const struct workload_view *view = workload_view(tf->workload);
    bool more = view->known && tf->act.in_flight == 0 && staying > view->replicas;

    if (more && staying != tf->noticed)
        workload_refresh(tf->workload);
    tf->noticed = more ? staying : 0;
}

/* Another object under the target's name: what was learned of the old one's count is void. */
static void notice_new_target(struct turn *t, struct turn_filler *tf)
{
    const struct workload_view *view = workload_view(tf->workload);

    if (!view->known || uid_eq(view->uid, tf->uid))
        return;
    if (!uid_is_zero(tf->uid))
        start_anew(t, tf);
    tf->uid = view->uid;
}

/* What another autoscaler sets is no foreign change where brim only measures, nor what the leader sets where it stands by. */
static void notice_found(struct turn *t, struct turn_filler *tf, struct mono now)
{
    if ((tf->policy->mode != MODE_METRICS_ONLY && tf->leads) || !tf->input.known ||
        (tf->has_found && tf->found_replicas == tf->input.replicas))
        return;
    tf->has_found = true;
    tf->found_replicas = tf->input.replicas;
    planner_wrote(t->parts.facts->planner, tf->index, tf->input.replicas, now);
}

/* What another replica has learned counts until this one has learned enough. */
static void learn_told(const struct turn *t, const struct turn_filler *tf)
{
    const struct truth *told = t->parts.truth != NULL ? truth_map_told(t->parts.truth) : NULL;
    const struct truth_filler *of = truth_find(told, tf->policy->name);
    int64_t need_milli, values;

    if (truth_learned(of, &need_milli, &values))
        planner_learned(t->parts.facts->planner, tf->index, need_milli, values);
}

static void prepare(struct turn *t, struct turn_filler *tf, struct mono now)
{
    enum placement_mode mode;

    follow_schedule(t, tf);
    notice_new_target(t, tf);
    take_over(t, tf);
    mode = placement_mode(t, tf, now);
    if (tf->effective.placement != mode)
        set_effective(t, tf, mode);
    learn_told(t, tf);
    tf->input = gather(t, tf, now);
    tf->from = tf->input.replicas;
    notice_found(t, tf, now);
}

/* In a quiet cluster the watches probe early enough for whoever wants the youngest facts. */
static void set_silence(const struct turn *t)
{
    int64_t stale_us = INT64_MAX;

    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        if (t->fillers[i] != NULL)
            stale_us = min_i64(stale_us, t->fillers[i]->policy->stale_after_us);
    }
    watch_set_silence(t->parts.pods, stale_us / 3);
    watch_set_silence(t->parts.nodes, stale_us / 3);
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a == 0 || b < a ? b : a;
}

/* Where no pod is to be patched no cost is written. */
static void place(struct turn *t, struct turn_filler *tf, struct mono now)
{
    const struct placement_plan *plan = tf->plan.placement;

    if (turn_patches(t, tf)) {
        places_carry(tf->places, facts_cluster(t->parts.facts), plan, now);
        return;
    }
    for (size_t i = 0; i < plan->n_costs; i++)
        planner_costed(t->parts.facts->planner, tf->index, plan->costs[i].uid, plan->costs[i].cost,
                       false);
}

static void act(struct turn *t, struct turn_filler *tf, struct mono now)
{
    enum reason before = tf->decision.reason;
    struct act_facts facts;
    struct act_result move;

    tf->decision = tf->plan.decision;
    tell_reason(&tf->told, tf->policy, tf->workload, &tf->decision, tf->from);
    tell_headroom(&tf->told, tf->policy, tf->workload, &tf->plan.headroom);
    tell_settle(&tf->settle_us, tf->policy, tf->plan.settle_us);
    if (tf->plan.placement != NULL && turn_writes(t, tf))
        place(t, tf, now);
    facts = wishes(t, tf, now);
    move = act_step(&tf->act, &facts, now);
    if (move.move != ACT_NOTHING)
        carry_out(t, tf, &move, now);
    else if (tf->decision.reason != before && !facts.write && tf->leads)
        record(t, tf, 0);
    if (move.has_wake)
        t->due.us = earliest(t->due.us, move.wake.us);
    notice_growth(t, tf);
}

/* The plans before the planner may be asked. */
static void plan_nothing(const struct planner_input *in, struct planner_plan *plans)
{
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++)
        plans[i] = (struct planner_plan){
            .decision = {.reason = REASON_UNKNOWN, .replicas = in[i].replicas}};
}

static void evaluate(struct turn *t, struct mono now)
{
    struct planner_input in[PLANNER_MAX_FILLERS] = {0};
    struct planner_plan plans[PLANNER_MAX_FILLERS];
    struct planner_result result = {0};

    tell_past(t, now);
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        if (t->fillers[i] == NULL)
            continue;
        prepare(t, t->fillers[i], now);
        in[i] = t->fillers[i]->input;
    }
    set_silence(t);
    t->cut_off = !follows(t);
    if (may_step(t, now)) {
        result = planner_step(t->parts.facts->planner, in, plans, now);
        t->claims = result.claims;
        facts_stepped(t->parts.facts, &result.claims);
    } else {
        plan_nothing(in, plans);
        t->parts.facts->changed = t->parts.facts->gathered = false;
    }
    t->due.us = result.has_wake ? result.wake.us : 0;
    t->ticked_at = now;
    t->unpublished = true;
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        if (t->fillers[i] == NULL)
            continue;
        t->fillers[i]->plan = plans[i];
        act(t, t->fillers[i], now);
    }
}

/* When the facts become stale for somebody, of whom that is not known yet. */
static int64_t stale_at(const struct turn *t, struct mono now)
{
    struct mono heard_at;
    int64_t at = 0;

    if (!heard(t, &heard_at))
        return 0;
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        const struct turn_filler *tf = t->fillers[i];

        if (tf != NULL && heard_at.us + tf->policy->stale_after_us >= now.us)
            at = earliest(at, heard_at.us + tf->policy->stale_after_us + 1);
    }
    return at;
}

/* How long until a schedule changes a policy; INT64_MAX: none does. */
static int64_t schedule_us(const struct turn *t)
{
    int64_t left = INT64_MAX;

    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        if (t->fillers[i] != NULL && t->fillers[i]->has_next)
            left = min_i64(left, max_i64(t->fillers[i]->next.us - wall_now(t).us, 0));
    }
    return left;
}

/* The longest time without an evaluation. */
static int64_t tick_us(const struct turn *t, struct mono now)
{
    int64_t tick = TURN_TICK_US;

    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        if (t->fillers[i] == NULL)
            continue;
        tick = min_i64(tick, t->fillers[i]->policy->advanced.tick_us);
        if (awaits_past(t, t->fillers[i], now))
            tick = min_i64(tick, TURN_PAST_LOOK_US);
    }
    return tick;
}

static void wake_at(struct turn *t, int64_t at_us, struct mono now)
{
    t->wake_at.us = at_us;
    t->parts.timers->timer_set(t->wake, max_i64(at_us - now.us, 0));
}

/* Sets the timer to the first moment at which something is due though nothing happens. */
static void set_wake(struct turn *t, struct mono now)
{
    int64_t at = t->ticked_at.us + tick_us(t, now);
    int64_t stale = stale_at(t, now);

    int64_t scheduled = schedule_us(t);

    if (t->due.us != 0)
        at = earliest(at, t->due.us);
    if (scheduled != INT64_MAX)
        at = earliest(at, now.us + scheduled);
    if (stale != 0)
        at = earliest(at, stale);
    if (t->unpublished)
        at = earliest(at, t->published_at.us + TURN_PUBLISH_US);
    wake_at(t, at, now);
}

static void tell_targets(struct turn *t, struct mono now)
{
    const struct facts *f = t->parts.facts;

    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        struct turn_filler *tf = t->fillers[i];
        int other;

        if (tf == NULL)
            continue;
        other = f->fillers[i].overlaps;
        tell_target(&tf->told, tf->policy, tf->workload);
        tell_overlap(&tf->told, tf->policy, other >= 0 ? &f->fillers[other].policy : NULL);
        tell_places(&tf->told, tf->policy, tf->workload, &f->fillers[i],
                    turn_patches(t, tf) ? places_view(tf->places, now).missing : NULL);
    }
}

/* What waits for a watch that is cut off need not wait for the tick, too. */
static bool is_joined_again(const struct turn *t)
{
    return t->cut_off && follows(t);
}

/* Is there anything to evaluate now? What is gathered longer wakes the turn when its time has come. */
static bool is_due(struct turn *t, struct mono now)
{
    int64_t ripe_us = t->ticked_at.us + TURN_GATHER_US;

    if (t->dirty || t->parts.facts->changed || is_joined_again(t))
        return true;
    if (!t->parts.facts->gathered || now.us >= ripe_us)
        return t->parts.facts->gathered;
    if (ripe_us < t->wake_at.us)
        wake_at(t, ripe_us, now);
    return false;
}

void turn_run(void *self)
{
    struct turn *t = self;
    struct mono now = now_of(t);
    uint64_t decided = t->last_id;

    if (!is_due(t, now))
        return;
    t->dirty = false;
    tell_targets(t, now);
    evaluate(t, now);
    if (t->last_id != decided || mono_since_us(t->published_at, now) >= TURN_PUBLISH_US) {
        publish(t);
        t->published_at = now;
        t->unpublished = false;
    }
    set_wake(t, now);
}

static void taken(struct turn_filler *tf, const struct snapshot_decision *d, int64_t replicas,
                  int64_t answered)
{
    int64_t from = d != NULL ? d->from : replicas;

    /* The same yield may go out more than once, and all of them be answered. */
    if (d == NULL || d->id > tf->taken) {
        if (!tell_is_repeated(&tf->altered, from, replicas))
            tell_rescaled(&tf->told, tf->workload, replicas, d != NULL ? d->detail : "");
        tf->taken = d != NULL ? d->id : tf->taken;
    }
    tf->refused = 0;
    tell_answer(&tf->altered, tf->policy, tf->workload, replicas, answered);
}

void turn_written(struct turn *t, int filler, bool down, int64_t replicas, int64_t answered,
                  const struct client_problem *problem)
{
    struct turn_filler *tf = t->fillers[filler];
    const struct snapshot_decision *d = tf != NULL ? sent(tf, down, replicas) : NULL;
    struct mono now = now_of(t);
    bool again;

    if (tf == NULL)
        return;
    if (answered != replicas)
        again = act_altered(&tf->act, down, now);
    else
        again = act_answered(&tf->act, down, problem == NULL, now);
    if (problem == NULL) {
        /* The answer of an older write says nothing of what the target has now. */
        if (answered == workload_view(tf->workload)->replicas)
            planner_wrote(t->parts.facts->planner, filler, answered, now);
        taken(tf, d, replicas, answered);
    } else {
        tf->scale_errors_total++;
        t->parts.facts->fillers[filler].urgent_served = false;
        tf->refused = d != NULL ? d->id : 0;
        tell_refused(&tf->told, tf->policy, tf->workload, replicas, d != NULL ? d->detail : "",
                     &problem->err);
        if (problem->retry_after_s > 0)
            act_told_to_wait(&tf->act, down, problem->retry_after_s * US_PER_S, now);
    }
    if (again)
        workload_refresh(tf->workload);
    turn_mark(t);
}

void turn_admitted(struct turn *t, int filler, struct uid uid, bool ok)
{
    planner_admitted(t->parts.facts->planner, filler, uid, ok, now_of(t));
    turn_mark(t);
}

void turn_costed(struct turn *t, int filler, struct uid uid, int32_t cost, bool ok)
{
    planner_costed(t->parts.facts->planner, filler, uid, cost, ok);
    turn_mark(t);
}
