#include "agent/publish.h"

#include <stdio.h>

#include "agent/recorder.h"
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

static void set_condition(struct snapshot_condition *c, bool status, const char *reason,
                          const char *message)
{
    c->status = status;
    copy(c->reason, sizeof c->reason, sv_from(reason));
    copy(c->message, sizeof c->message, sv_from(message));
}

/* Can the target be scaled at all? */
static void fill_able(const struct turn *t, struct snapshot_condition *c)
{
    const struct workload_view *view = workload_view(t->parts.workload);
    char text[SNAPSHOT_TEXT_SIZE];

    if (view->owner[0] != '\0') {
        (void)snprintf(text, sizeof text, "left alone: %s scales it too", view->owner);
        set_condition(c, false, "AnotherAutoscaler", text);
        return;
    }
    switch (view->state) {
    case WORKLOAD_UNREAD:
        set_condition(c, false, "TargetUnread", "the target was not read yet");
        return;
    case WORKLOAD_MISSING:
        (void)snprintf(text, sizeof text, "%.*s %.*s/%.*s does not exist",
                       SV_ARG(t->parts.policy->target_kind), SV_ARG(t->parts.policy->target_ns),
                       SV_ARG(t->parts.policy->target_name));
        set_condition(c, false, "TargetMissing", text);
        return;
    case WORKLOAD_UNREADABLE:
        set_condition(c, false, "FailedGetScale", view->problem);
        return;
    case WORKLOAD_FOUND:
        set_condition(c, true, "ReadyForNewScale", "the target's scale can be read");
        return;
    case WORKLOAD_STATE_COUNT_:
        return;
    }
}

/* Does brim compute and follow a count? */
static void fill_active(const struct turn *t, struct snapshot_condition *c)
{
    switch (t->decision.reason) {
    case REASON_UNKNOWN:
        set_condition(c, false, "Unknown",
                      t->parts.facts->fit == NULL
                          ? "the filler's shape is not known: no pod, no template, no spec.pod"
                          : "waiting for pods, nodes and the target");
        return;
    case REASON_STALE:
        set_condition(c, false, "Stale", "no news from the API server: filler does not grow");
        return;
    case REASON_PAUSED:
        set_condition(c, false, "Paused",
                      t->decision.bound == BOUND_FOREIGN ? "somebody else keeps scaling the target"
                                                         : "paused by annotation");
        return;
    case REASON_STEADY:
    case REASON_HARVEST:
    case REASON_YIELD:
    case REASON_HOLD:
    case REASON_FOREIGN:
        set_condition(c, true, "RoomKnown", "the room that paid pods leave is known");
        return;
    case REASON_COUNT_:
        return;
    }
}

static void fill_limited(const struct turn *t, struct snapshot_condition *c)
{
    bool limited = t->decision.bound == BOUND_MAX || t->decision.bound == BOUND_MIN;

    set_condition(c, limited,
                  t->decision.bound == BOUND_MAX   ? "TooManyReplicas"
                  : t->decision.bound == BOUND_MIN ? "TooFewReplicas"
                                                   : "DesiredWithinRange",
                  bound_name(t->decision.bound));
}

static void fill_room(const struct turn *t, struct snapshot_filler *s)
{
    int64_t remaining = t->room.room_milli - t->input.reserve_milli;

    s->allocatable_milli = t->room.allocatable_milli;
    s->requested_milli = t->room.paid_milli;
    s->pending_milli = t->room.claimed_milli;
    s->reserved_milli = t->input.reserve_milli;
    s->remaining_milli = remaining > 0 ? remaining : 0;
    s->headroom_milli = t->input.headroom_milli;
    s->slots = t->input.slots;
    s->kept_slots = kept_slots(t->input.reserve_milli, t->input.headroom_milli, t->input.slot_milli,
                               t->input.hole_slots);
    s->set_point = t->decision.set_point;
    s->damped = t->decision.damped;
    s->slot_milli = t->input.slot_milli;
    s->hole_slots = t->input.hole_slots;
}

static void fill_pods(const struct turn *t, struct snapshot_filler *s)
{
    struct filler_count count = cluster_filler_count(t->parts.facts->cluster, 0);

    s->ready = count.pods[FILLER_READY];
    s->starting = count.pods[FILLER_STARTING];
    s->leaving = count.pods[FILLER_LEAVING];
    s->unschedulable = count.pods[FILLER_UNSCHEDULABLE];
    s->ready_milli = count.cpu_milli[FILLER_READY];
    s->starting_milli = count.cpu_milli[FILLER_STARTING];
    s->leaving_milli = count.cpu_milli[FILLER_LEAVING];
}

static void fill_filler(const struct turn *t, struct snapshot_filler *s)
{
    const struct policy *p = t->parts.policy;
    const struct workload_view *view = workload_view(t->parts.workload);
    struct mono now = t->parts.timers->now(t->parts.timers->self);

    copy(s->policy, sizeof s->policy, p->name);
    copy(s->target_kind, sizeof s->target_kind, p->target_kind);
    copy(s->target_ns, sizeof s->target_ns, p->target_ns);
    copy(s->target_name, sizeof s->target_name, p->target_name);
    s->min = p->min;
    s->max = p->max;
    s->known = watch_stats(t->parts.pods)->synced && watch_stats(t->parts.nodes)->synced &&
               t->parts.facts->fit != NULL;
    fill_room(t, s);
    fill_pods(t, s);
    s->has_replicas = view->known;
    s->replicas = view->replicas;
    s->desired = t->decision.replicas;
    s->reason = t->decision.reason;
    s->bound = t->decision.bound;
    s->has_wake = t->decision.has_wake;
    s->wake.us =
        t->parts.timers->wall(t->parts.timers->self).us + mono_since_us(now, t->decision.wake);
    memcpy(s->decisions_total, t->decisions_total, sizeof s->decisions_total);
    s->scale_errors_total = t->scale_errors_total;
    s->yield_latency = t->latency;
    fill_able(t, &s->able);
    fill_active(t, &s->active);
    fill_limited(t, &s->limited);
    memcpy(s->decisions, t->recent, t->n_recent * sizeof *t->recent);
    s->n_decisions = t->n_recent;
}

/* The day goes on from where the snapshot before left it. */
static void fill_day(const struct turn *t, struct snapshot *s)
{
    const struct snapshot_filler *f = &s->fillers[0];
    const struct day_sample sample = {
        .known = s->ready && f->known,
        .allocatable_milli = f->allocatable_milli,
        .paid_milli = f->requested_milli,
        .filler_milli = f->ready_milli + f->starting_milli,
        .paid_pods_total = s->paid_pods_total,
        .blocked_total = s->paid_pods_blocked_total,
    };
    struct snapshot *before = snapshot_slot_get(t->parts.slot);

    if (before != NULL)
        s->day = before->day;
    snapshot_unref(before);
    day_add(&s->day, &sample, s->at);
}

static void add_node(const struct cluster_node *n, const struct fit *fit, uint32_t index,
                     struct nodes_view *v)
{
    struct fit_node room = fit != NULL ? fit_node(fit, index) : (struct fit_node){0};
    struct nodes_row row = {
        .name = n->name,
        .allocatable_milli = n->allocatable.at[RESOURCE_CPU],
        .paid_milli = n->paid.at[RESOURCE_CPU],
        .filler_milli = n->filler.at[RESOURCE_CPU] - n->leaving.at[RESOURCE_CPU],
        .leaving_milli = n->leaving.at[RESOURCE_CPU],
        .claimed_milli = n->claimed.at[RESOURCE_CPU],
        .fit = room.slots,
        .eligible = room.eligible,
        .cordoned = n->unschedulable,
        .ready = n->ready,
    };
    int64_t unused = row.allocatable_milli - row.paid_milli - n->filler.at[RESOURCE_CPU];

    row.free_milli = unused > 0 ? unused : 0;
    nodes_view_add(v, &row);
}

/* The table of nodes, O(nodes): only if somebody looks. */
static void publish_nodes(const struct turn *t)
{
    struct nodes_board *board = snapshot_slot_nodes(t->parts.slot);
    const struct facts *f = t->parts.facts;
    struct nodes_view *v;

    if (!nodes_board_due(board, t->parts.timers->now(t->parts.timers->self)))
        return;
    v = nodes_view_new();
    v->at = t->parts.timers->wall(t->parts.timers->self);
    v->at_mono = t->parts.timers->now(t->parts.timers->self);
    v->fit_known = f->fit != NULL;
    for (uint32_t i = 0; i < cluster_node_limit(f->cluster); i++) {
        const struct cluster_node *n = cluster_node(f->cluster, i);

        if (n != NULL)
            add_node(n, f->fit, i, v);
    }
    nodes_board_set(board, v);
}

static void fill_history(const struct turn *t, struct snapshot_history *h)
{
    struct writer_status status;

    if (t->parts.recorder == NULL)
        return;
    recorder_status(t->parts.recorder, &status);
    *h = (struct snapshot_history){.on = true,
                                   .failing = status.failing_since.us != 0,
                                   .queued = (int64_t)status.queued,
                                   .bytes = status.bytes,
                                   .merged_total = status.merged,
                                   .dropped_total = status.dropped + status.dropped_pieces,
                                   .errors_total = status.errors};
}

void publish(const struct turn *t)
{
    struct snapshot *s = snapshot_new(1);
    const struct facts *f = t->parts.facts;

    s->at = t->parts.timers->wall(t->parts.timers->self);
    s->at_mono = t->parts.timers->now(t->parts.timers->self);
    s->started = t->started;
    s->dry_run = t->parts.dry_run || t->parts.policy->mode == MODE_DRY_RUN;
    fill_watch(&s->watches[0], "pods", t->parts.pods);
    fill_watch(&s->watches[1], "nodes", t->parts.nodes);
    s->ready = s->watches[0].synced && s->watches[1].synced;
    s->nodes = (int64_t)cluster_node_count(f->cluster);
    s->eligible_nodes = t->room.nodes;
    s->pods = (int64_t)cluster_pod_count(f->cluster);
    s->paid_pods_total = f->paid_pods_total;
    s->paid_pods_blocked_total = f->blocked_total;
    s->waiting_pods = t->claims.pods;
    fill_history(t, &s->history);
    fill_filler(t, &s->fillers[0]);
    fill_day(t, s);
    publish_nodes(t);
    snapshot_slot_set(t->parts.slot, s);
}
