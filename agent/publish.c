#include "agent/publish.h"

#include <stdio.h>

#include "agent/cause.h"
#include "agent/elect.h"
#include "agent/publish_boards.h"
#include "agent/recorder.h"
#include "agent/truth_map.h"
#include "agent/turn.h"

static void copy(char *to, size_t size, struct sv text)
{
    (void)snprintf(to, size, "%.*s", SV_ARG(text));
}

static void fill_watch(struct snapshot_watch *to, const char *name, const struct watch *w)
{
    const struct watch_stats *stats = watch_stats(w);

    *to = (struct snapshot_watch){.name = name,
                                  .synced = stats->synced,
                                  .heard = stats->heard,
                                  .relists_total = stats->relists,
                                  .errors_total = stats->errors,
                                  .events_total = stats->events};
}

/* Can the target be scaled at all? */
static void fill_able(const struct turn *t, const struct turn_filler *tf,
                      struct snapshot_condition *c)
{
    const struct workload_view *view = workload_view(tf->workload);
    char text[SNAPSHOT_TEXT_SIZE];

    if (cause_of_hindrance(t, tf, true, c))
        return;
    if (tf->altered.is && tf->decision.write) {
        (void)snprintf(
            text, sizeof text,
            "%lld replicas were asked for, the API server set %lld: an admission webhook "
            "may have changed it",
            (long long)tf->altered.asked, (long long)tf->altered.answered);
        snapshot_condition_set(c, false, "ScaleAltered", text);
        return;
    }
    if (view->pause_problem[0] == '\0') {
        snapshot_condition_set(c, true, "ReadyForNewScale", "the target's scale can be read");
        return;
    }
    (void)snprintf(text, sizeof text, "whether it is paused cannot be told%s: %s",
                   view->pause_known ? "" : ", filler does not grow", view->pause_problem);
    snapshot_condition_set(c, view->pause_known, "PauseUnknown", text);
}

static void fill_paused(const struct turn_filler *tf, struct snapshot_condition *c)
{
    const struct workload_view *view = workload_view(tf->workload);
    const char *by = view->pause.up_by != NULL ? view->pause.up_by : view->pause.down_by;
    char text[SNAPSHOT_TEXT_SIZE];

    if (tf->decision.bound == BOUND_FOREIGN)
        (void)snprintf(text, sizeof text, "somebody else keeps scaling the target");
    else if (by != NULL)
        (void)snprintf(text, sizeof text, "paused by annotation %s", by);
    else
        (void)snprintf(text, sizeof text, "whether the target is paused was not read yet");
    snapshot_condition_set(c, false, "Paused", text);
}

/* Does brim compute and follow a count? */
static void fill_active(const struct turn *t, const struct turn_filler *tf,
                        struct snapshot_condition *c)
{
    switch (tf->decision.reason) {
    case REASON_UNKNOWN:
        *c = cause_of_unknown(t, tf);
        return;
    case REASON_STALE:
        snapshot_condition_set(c, false, "Stale",
                               "no news from the API server: filler does not grow");
        return;
    case REASON_PAUSED:
        fill_paused(tf, c);
        return;
    case REASON_STEADY:
    case REASON_HARVEST:
    case REASON_YIELD:
    case REASON_HOLD:
    case REASON_FOREIGN:
        snapshot_condition_set(c, true, "RoomKnown", "the room that paid pods leave is known");
        return;
    case REASON_COUNT_:
        return;
    }
}

static void fill_limited(const struct turn_filler *tf, struct snapshot_condition *c)
{
    enum bound bound = tf->decision.bound;

    snapshot_condition_set(c, bound == BOUND_MAX || bound == BOUND_MIN,
                           bound == BOUND_MAX   ? "TooManyReplicas"
                           : bound == BOUND_MIN ? "TooFewReplicas"
                                                : "DesiredWithinRange",
                           bound_name(bound));
}

/* Do pods go where the policy wants them? */
static void fill_placed(const struct turn *t, const struct turn_filler *tf,
                        struct snapshot_condition *c)
{
    const struct facts_filler *ff = &t->parts.facts->fillers[tf->index];
    struct places_view places =
        places_view(tf->places, t->parts.timers->now(t->parts.timers->self));
    char text[SNAPSHOT_TEXT_SIZE];

    if (places.missing != NULL && turn_patches(t, tf)) {
        (void)snprintf(text, sizeof text, "%s%s",
                       tf->policy->placement == PLACEMENT_GATE
                           ? ""
                           : "paid pods may wait beside filler that has no PriorityClass of its "
                             "own: ",
                       places.missing);
        snapshot_condition_set(c, false, "Forbidden", text);
    } else if (tf->policy->placement != PLACEMENT_GATE)
        snapshot_condition_set(c, true, "ByScheduler", "the policy leaves nodes to the scheduler");
    else if (ff->template_known && !ff->template_gated)
        snapshot_condition_set(c, false, "GateMissing",
                               "the pod template has no scheduling gate " ROOM_GATE
                               ": pods go where the scheduler puts them");
    else if (places.refused != NULL &&
             planner_placement(t->parts.facts->planner, tf->index).gated != 0)
        snapshot_condition_set(c, false, "Refused", places.refused);
    else
        snapshot_condition_set(c, true, "ByGate", "pods are let in one by one, each to its node");
}

/* Would headroom.max have met headroom.blocked? */
static void fill_covered(const struct turn_filler *tf, struct snapshot_condition *c)
{
    const struct headroom_state *h = &tf->plan.headroom;
    char text[SNAPSHOT_TEXT_SIZE];

    if (!h->capped) {
        snapshot_condition_set(c, true, "HeadroomSuffices", headroom_kind_name(h->kind));
        return;
    }
    (void)snprintf(text, sizeof text,
                   "more paid pods than headroom.blocked allows find too little room: headroom.max "
                   "is %lld.%03lld cores, %lld.%03lld would have met it",
                   (long long)(h->usual / 1000), (long long)(h->usual % 1000),
                   (long long)(h->need / 1000), (long long)(h->need % 1000));
    snapshot_condition_set(c, false, "HeadroomCapped", text);
}

static void fill_room(const struct turn_filler *tf, struct snapshot_filler *s)
{
    const struct planner_plan *plan = &tf->plan;
    int64_t remaining = plan->room.room_milli - plan->reserve_milli;

    s->allocatable_milli = plan->room.allocatable_milli;
    s->requested_milli = plan->room.paid_milli;
    s->pending_milli = plan->room.claimed_milli;
    s->reserved_milli = plan->reserve_milli;
    s->remaining_milli = remaining > 0 ? remaining : 0;
    s->headroom_milli = plan->headroom.milli;
    s->headroom = plan->headroom;
    s->slots = plan->decision.slots;
    s->kept_slots = plan->decision.kept_slots;
    s->set_point = plan->decision.set_point;
    s->damped = plan->decision.damped;
    s->slot_milli = plan->slot_milli;
    s->hole_slots = plan->hole_slots;
    s->settle_us = plan->settle_us;
}

static void fill_pods(const struct turn *t, const struct turn_filler *tf, struct snapshot_filler *s)
{
    const struct facts *f = t->parts.facts;
    struct filler_count count = cluster_filler_count(facts_cluster(f), tf->index);
    struct placement_counts placed = planner_placement(f->planner, tf->index);
    struct places_view places = places_view(tf->places, (struct mono){0});

    s->ready = count.pods[FILLER_READY];
    s->starting = count.pods[FILLER_STARTING];
    s->leaving = count.pods[FILLER_LEAVING];
    s->unschedulable = count.pods[FILLER_UNSCHEDULABLE];
    s->ready_milli = count.cpu_milli[FILLER_READY];
    s->starting_milli = count.cpu_milli[FILLER_STARTING];
    s->leaving_milli = count.cpu_milli[FILLER_LEAVING];
    s->gated = placed.gated;
    s->admitted = placed.admitted;
    s->refused_total = placed.refused;
    s->admitted_total = places.admitted_total;
    s->place_errors_total = places.errors_total;
}

static void fill_target(const struct turn_filler *tf, struct snapshot_filler *s)
{
    const struct policy *p = tf->policy;

    copy(s->policy, sizeof s->policy, p->name);
    copy(s->target_api_version, sizeof s->target_api_version, p->target_api_version);
    copy(s->target_kind, sizeof s->target_kind, p->target_kind);
    copy(s->target_ns, sizeof s->target_ns, p->target_ns);
    copy(s->target_name, sizeof s->target_name, p->target_name);
    copy(s->target_resource, sizeof s->target_resource,
         sv_from(workload_view(tf->workload)->resource));
    copy(s->service, sizeof s->service, p->service);
    s->stale_after_us = p->stale_after_us;
    s->min = p->min;
    s->max = p->max;
}

static void fill_detail(const struct turn_filler *tf, struct snapshot_filler *s)
{
    struct strbuf text;

    strbuf_init(&text, sizeof s->detail - 1);
    decision_text(&tf->decision, tf->from, &text);
    copy(s->detail, sizeof s->detail, strbuf_sv(&text));
    strbuf_done(&text);
}

static void fill_filler(const struct turn *t, const struct turn_filler *tf,
                        struct snapshot_filler *s)
{
    const struct workload_view *view = workload_view(tf->workload);
    struct mono now = t->parts.timers->now(t->parts.timers->self);

    fill_target(tf, s);
    s->known = t->stepped && planner_has_shape(t->parts.facts->planner, tf->index);
    fill_room(tf, s);
    fill_pods(t, tf, s);
    s->has_replicas = view->known;
    s->replicas = view->replicas;
    s->paused_up = view->pause.up;
    s->paused_down = view->pause.down;
    s->paused_up_by = view->pause.up_by;
    s->paused_down_by = view->pause.down_by;
    s->desired = tf->decision.replicas;
    s->from = tf->from;
    s->reason = tf->decision.reason;
    s->bound = tf->decision.bound;
    if (s->reason != REASON_UNKNOWN)
        fill_detail(tf, s);
    s->has_wake = tf->decision.has_wake;
    s->wake.us =
        t->parts.timers->wall(t->parts.timers->self).us + mono_since_us(now, tf->decision.wake);
    memcpy(s->decisions_total, tf->decisions_total, sizeof s->decisions_total);
    s->scale_errors_total = tf->scale_errors_total;
    s->yield_latency = tf->latency;
    fill_able(t, tf, &s->able);
    fill_active(t, tf, &s->active);
    fill_limited(tf, &s->limited);
    fill_placed(t, tf, &s->placed);
    if (s->known)
        fill_covered(tf, &s->covered);
    memcpy(s->decisions, tf->recent, tf->n_recent * sizeof *tf->recent);
    s->n_decisions = tf->n_recent;
}

/* The day goes on from where the snapshot before left it. */
static void fill_day(const struct turn *t, struct snapshot *s)
{
    const struct turn_filler *wide = publish_widest(t);
    struct day_sample sample = {
        .known = s->ready && wide != NULL,
        .paid_pods_total = s->paid_pods_total,
        .blocked_total = s->paid_pods_blocked_total,
    };
    struct snapshot *before = snapshot_slot_get(t->parts.slot);

    if (wide != NULL) {
        sample.allocatable_milli = wide->plan.room.allocatable_milli;
        sample.paid_milli = wide->plan.room.paid_milli;
    }
    for (size_t i = 0; i < s->n_fillers; i++)
        sample.filler_milli += s->fillers[i].ready_milli + s->fillers[i].starting_milli;
    if (before != NULL)
        s->day = before->day;
    snapshot_unref(before);
    day_add(&s->day, &sample, s->at);
}

static void fill_history(const struct turn *t, struct snapshot_history *h)
{
    struct writer_status status;

    if (t->parts.recorder == NULL)
        return;
    recorder_status(t->parts.recorder, &status);
    *h = (struct snapshot_history){.on = true,
                                   .failing = status.failing_since.us != 0,
                                   .written_at = status.written_at,
                                   .network = status.network,
                                   .damaged_total = status.damaged,
                                   .set_aside_total = status.set_aside,
                                   .queued = (int64_t)status.queued,
                                   .bytes = status.bytes,
                                   .merged_total = status.merged,
                                   .dropped_total = status.dropped + status.dropped_pieces,
                                   .errors_total = status.errors};
    (void)snprintf(h->error, sizeof h->error, "%s", status.error);
    (void)snprintf(h->aside, sizeof h->aside, "%s", status.aside);
}

static void fill_lead(const struct turn *t, struct snapshot_lead *l)
{
    const struct elect *e = t->parts.elect;

    if (e == NULL)
        return;
    *l = (struct snapshot_lead){.on = true, .leads = t->leads};
    copy(l->identity, sizeof l->identity, sv_from(elect_identity(e)));
    copy(l->holder, sizeof l->holder, sv_from(elect_holder(e)));
}

/* Policies in the order of their names. */
static size_t fillers_by_name(const struct turn *t, const struct turn_filler **ret_fillers)
{
    size_t n = 0;

    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        size_t at = n;

        if (t->fillers[i] == NULL)
            continue;
        for (; at > 0 && sv_cmp(t->fillers[i]->policy->name, ret_fillers[at - 1]->policy->name) < 0;
             at--)
            ret_fillers[at] = ret_fillers[at - 1];
        ret_fillers[at] = t->fillers[i];
        n++;
    }
    return n;
}

static void fill_fillers(const struct turn *t, const struct turn_filler *const *fillers,
                         struct snapshot *s)
{
    bool pretending = s->n_fillers != 0;

    for (size_t i = 0; i < s->n_fillers; i++) {
        fill_filler(t, fillers[i], &s->fillers[i]);
        pretending &= fillers[i]->policy->mode == MODE_DRY_RUN;
    }
    s->dry_run = t->parts.dry_run || pretending;
}

void publish(const struct turn *t)
{
    const struct turn_filler *fillers[PLANNER_MAX_FILLERS], *wide = publish_widest(t);
    struct snapshot *s = snapshot_new(fillers_by_name(t, fillers));
    const struct facts *f = t->parts.facts;

    s->at = t->parts.timers->wall(t->parts.timers->self);
    s->at_mono = t->parts.timers->now(t->parts.timers->self);
    s->started = t->started;
    fill_watch(&s->watches[0], "pods", t->parts.pods);
    fill_watch(&s->watches[1], "nodes", t->parts.nodes);
    fill_watch(&s->watches[2], "waiting", t->parts.waiting);
    s->ready = s->watches[0].synced && s->watches[1].synced;
    s->nodes = (int64_t)cluster_node_count(facts_cluster(f));
    s->eligible_nodes = wide != NULL ? wide->plan.room.nodes : 0;
    s->pods = (int64_t)cluster_pod_count(facts_cluster(f));
    s->paid_pods_total = f->paid_pods_total;
    s->paid_pods_blocked_total = f->blocked_total;
    s->waiting_pods = t->claims.pods;
    s->policies_broken = t->policy_error[0] != '\0';
    copy(s->policy_error, sizeof s->policy_error, sv_from(t->policy_error));
    fill_history(t, &s->history);
    fill_lead(t, &s->lead);
    fill_fillers(t, fillers, s);
    if (t->parts.truth != NULL && !t->leads)
        truth_map_show(t->parts.truth, s);
    fill_day(t, s);
    publish_boards(t);
    snapshot_slot_set(t->parts.slot, s);
}
