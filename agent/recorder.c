#include "agent/recorder.h"

#include <stdio.h>

#include "agent/node_groups.h"
#include "agent/turn.h"
#include "agent/workload.h"
#include "base/alloc.h"
#include "base/log.h"
#include "storage/policies.h"

/* How long a start waits for the file, so that the ids of decisions go on where they ended. */
#define FIRST_ID_WAIT_US (2 * US_PER_S)

/* How long an end waits for the disk: well within the 30 s that a cluster gives a pod to end. */
#define STOP_WAIT_US (5 * US_PER_S)

/* So many steps without a commit, though something waits, mean that the disk does not answer. */
enum { STALLED_STEPS = 2 };

struct recorder {
    struct loop *loop;
    struct writer *writer;
    struct journal *journal;
    struct loop_timer *timer;
    const struct turn *turn;
    uint64_t first_id;
    uint64_t commits; /* at the last step */
    int stalled;      /* steps */
    bool failing;     /* told in the log */
    bool network_told;
    uint64_t set_aside;        /* told */
    struct policy_texts texts; /* what is kept of policies, for a new file */
    struct found *found;       /* borrowed; NULL: not asked for */
    struct grouping {
        struct node_groups
            *groups; /* of each filler by its index; NULL: its policy asks for none */
        bool told;   /* that there are too many */
    } groupings[PLANNER_MAX_FILLERS];
};

static int64_t now_ms(const struct recorder *r)
{
    return loop_wall(r->loop).us / US_PER_MS;
}

/* Reserve and headroom in whole holes; without a filler's request there are none. */
static int64_t kept_milli(const struct planner_plan *plan)
{
    int64_t kept;

    if (plan->slot_milli <= 0)
        return plan->reserve_milli + plan->headroom.milli;
    return __builtin_mul_overflow(plan->decision.kept_slots, plan->slot_milli, &kept) ? INT64_MAX
                                                                                      : kept;
}

/* O(nodes), in some 20 ns each: for 5,000 nodes a hundred microseconds every 10 s. */
static void add_nodes(const struct turn *t, const struct turn_filler *tf, struct sample *s)
{
    const struct cluster *c = facts_cluster(t->parts.facts);
    const struct fit *fit = planner_fit(t->parts.facts->planner, tf->index);

    for (uint32_t i = 0; fit != NULL && i < cluster_node_limit(c); i++) {
        struct fit_node n = fit_node(fit, i);

        if (n.eligible)
            sample_add_node(s, n.allocatable_milli, n.room_milli, n.slots);
    }
}

/* What is not known is a gap in the history, not a zero. */
static bool is_known(const struct turn *t, const struct turn_filler *tf)
{
    return t->stepped && tf->input.known && tf->input.fresh &&
           planner_has_shape(t->parts.facts->planner, tf->index);
}

static void sample(struct recorder *r, const struct turn_filler *tf)
{
    const struct turn *t = r->turn;
    const struct planner_plan *plan = &tf->plan;
    struct filler_count count = cluster_filler_count(facts_cluster(t->parts.facts), tf->index);
    int64_t remaining = plan->room.room_milli - plan->reserve_milli;
    struct sample s = {
        .t_ms = now_ms(r),
        .at =
            {
                [SAMPLE_ALLOCATABLE] = plan->room.allocatable_milli,
                [SAMPLE_PAID] = plan->room.paid_milli,
                [SAMPLE_PENDING] = plan->room.claimed_milli,
                [SAMPLE_READY] = count.cpu_milli[FILLER_READY],
                [SAMPLE_STARTING] = count.cpu_milli[FILLER_STARTING],
                [SAMPLE_LEAVING] = count.cpu_milli[FILLER_LEAVING],
                [SAMPLE_REMAINING] = remaining > 0 ? remaining : 0,
                [SAMPLE_RESERVE] = plan->reserve_milli,
                [SAMPLE_HEADROOM] = plan->headroom.milli,
                [SAMPLE_KEPT] = kept_milli(plan),
                [SAMPLE_SET_POINT] = plan->decision.set_point,
                [SAMPLE_DAMPED] = plan->decision.damped,
                [SAMPLE_REPLICAS] = tf->input.replicas,
                [SAMPLE_WAITING] = t->claims.pods,
            },
    };

    if (!is_known(t, tf))
        return;
    (void)snprintf(s.policy, sizeof s.policy, "%.*s", SV_ARG(tf->policy->name));
    add_nodes(t, tf, &s);
    writer_sample(r->writer, &s);
}

/* Follows the policy: another label begins with nothing. */
static struct grouping *grouping_of(struct recorder *r, const struct turn_filler *tf)
{
    struct grouping *g = &r->groupings[tf->index];
    struct sv label = tf->policy->report.group_by;

    if (g->groups != NULL && sv_eq(sv_from(node_groups_label(g->groups)), label))
        return g;
    node_groups_free(g->groups);
    *g = (struct grouping){.groups = label.len != 0 ? node_groups_new(label) : NULL};
    return g;
}

/* Once each time that there come to be too many. */
static void tell_too_many(const struct turn_filler *tf, struct grouping *g)
{
    bool too_many = node_groups_overflown(g->groups);

    if (too_many && !g->told)
        log_warn("more groups of nodes than the history tells apart: the further ones count as one",
                 F_SV("policy", tf->policy->name), F_STR("label", node_groups_label(g->groups)),
                 F_INT("most", GROUPS_MAX));
    g->told = too_many;
}

static void sample_groups(struct recorder *r, const struct turn_filler *tf)
{
    const struct turn *t = r->turn;
    const struct fit *fit = planner_fit(t->parts.facts->planner, tf->index);
    struct grouping *g = grouping_of(r, tf);
    struct groups_sample s;

    if (g->groups == NULL || fit == NULL || !is_known(t, tf))
        return;
    s.t_ms = now_ms(r);
    s.merged = 0;
    (void)snprintf(s.policy, sizeof s.policy, "%.*s", SV_ARG(tf->policy->name));
    node_groups_sample(g->groups, facts_cluster(t->parts.facts), fit, &s);
    tell_too_many(tf, g);
    writer_groups(r->writer, &s);
}

/* Counts the steps in which the disk took nothing of what waits. */
static bool is_stalled(struct recorder *r, const struct writer_status *status)
{
    r->stalled = status->queued != 0 && status->commits == r->commits ? r->stalled + 1 : 0;
    r->commits = status->commits;
    return r->stalled >= STALLED_STEPS;
}

/* Texts on their way to the disk thread. */
struct keeping {
    struct policy_texts texts;
    int64_t at_ms;
};

static void keep_policies(void *self, struct history *history, const struct err *why_not UNUSED)
{
    struct keeping *k = self;
    struct policies_text *texts = xcalloc(k->texts.len, sizeof *texts);
    struct err err = {0};

    for (size_t i = 0; i < k->texts.len; i++)
        texts[i] = (struct policies_text){.name = sv_from(k->texts.at[i].name),
                                          .text = {k->texts.at[i].at, k->texts.at[i].len}};
    if (history != NULL && !policies_save(history->db, texts, k->texts.len, k->at_ms, &err))
        log_warn("the policies' text could not be kept for a restart", F_ERR(&err));
    free(texts);
    policy_texts_done(&k->texts);
    free(k);
}

static void copy_texts(const struct policy_texts *from, struct policy_texts *to)
{
    for (size_t i = 0; i < from->len; i++)
        policy_texts_add(to, sv_from(from->at[i].name),
                         (struct sv){from->at[i].at, from->at[i].len});
}

static void send_policies(struct recorder *r)
{
    struct keeping *k = xcalloc(1, sizeof *k);

    k->at_ms = now_ms(r);
    copy_texts(&r->texts, &k->texts);
    if (!writer_ask(r->writer, keep_policies, k)) {
        policy_texts_done(&k->texts);
        free(k);
    }
}

/* People look at the targets: brim has no object of its own to put an event on. */
static void tell_damage(const struct recorder *r, const struct writer_status *status)
{
    char note[2 * sizeof status->aside + 128];

    log_warn("the history was damaged: it was set aside, and a new one is begun",
             F_STR("error", status->damage), F_STR("file", status->aside));
    (void)snprintf(
        note, sizeof note,
        "brim's history was damaged (%s): it was set aside as %s, and a new one is begun",
        status->damage, status->aside);
    for (int i = 0; r->turn != NULL && i < PLANNER_MAX_FILLERS; i++) {
        const struct turn_filler *tf = r->turn->fillers[i];

        if (tf != NULL)
            workload_event(tf->workload, true, "HistoryDamaged", "Record", sv_from(note));
    }
}

/* Told once each: where the file lies, and that another one is begun, in which what must outlast a restart is kept again. */
static void report_file(struct recorder *r, const struct writer_status *status)
{
    if (status->network != NULL && !r->network_told)
        log_warn("the history lies on a network file system: nobody else can read it while this "
                 "agent runs",
                 F_STR("kind", status->network));
    r->network_told = r->network_told || status->network != NULL;
    if (status->set_aside == r->set_aside || r->turn == NULL)
        return;
    r->set_aside = status->set_aside;
    tell_damage(r, status);
    if (r->texts.len != 0)
        send_policies(r);
    if (r->found != NULL)
        found_keep_again(r->found);
}

/* Told once when history cannot be written, and once when it can be again. */
static void report(struct recorder *r)
{
    struct writer_status status;
    bool refused, stalled;

    writer_status(r->writer, &status);
    report_file(r, &status);
    refused = status.failing_since.us != 0;
    stalled = is_stalled(r, &status);
    if ((refused || stalled) == r->failing)
        return;
    r->failing = !r->failing;
    if (r->failing)
        log_warn("history cannot be written; control goes on",
                 F_STR("error", refused ? status.error : "the disk does not answer"));
    else
        log_info("history is written again", F_INT("merged", status.merged),
                 F_INT("dropped", status.dropped + status.dropped_pieces));
}

static void step(void *self)
{
    struct recorder *r = self;

    loop_timer_set(r->timer, SAMPLES_STEP_MS * US_PER_MS);
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        if (r->turn->fillers[i] != NULL) {
            sample(r, r->turn->fillers[i]);
            sample_groups(r, r->turn->fillers[i]);
        }
    }
    journal_cut(r->journal, now_ms(r));
    writer_wake(r->writer);
    report(r);
}

bool recorder_new(struct loop *loop, const char *path, const struct history_keep *keep,
                  const struct resource_names *names, struct recorder **ret_r, struct err *err)
{
    struct writer_options options = {
        .path = path,
        .max_bytes = RECORDER_MAX_BYTES,
        .keep = {.samples_ms = keep->samples_ms > 0 ? keep->samples_ms : RECORDER_KEEP_SAMPLES_MS,
                 .minutes_ms = keep->minutes_ms > 0 ? keep->minutes_ms : RECORDER_KEEP_MINUTES_MS,
                 .hours_ms = keep->hours_ms,
                 .journal_ms = RECORDER_KEEP_JOURNAL_MS,
                 .journal_bytes = RECORDER_JOURNAL_BYTES},
        .stop_us = STOP_WAIT_US,
    };
    struct journal_sink sink;
    struct writer *writer;
    struct recorder *r;

    if (!writer_start(&options, &writer, err))
        return false;
    r = xcalloc(1, sizeof *r);
    *r = (struct recorder){.loop = loop, .writer = writer};
    sink = writer_sink(writer);
    r->journal = journal_new(names, &sink);
    r->first_id = writer_first_id(writer, FIRST_ID_WAIT_US);
    r->timer = loop_timer_new(loop, step, r);
    report(r);
    *ret_r = r;
    return true;
}

void recorder_free(struct recorder *r)
{
    if (r == NULL)
        return;
    loop_timer_free(r->timer);
    journal_cut(r->journal, now_ms(r));
    journal_free(r->journal);
    policy_texts_done(&r->texts);
    for (size_t i = 0; i < PLANNER_MAX_FILLERS; i++)
        node_groups_free(r->groupings[i].groups);
    if (!writer_stop(r->writer))
        log_warn("the end of the history could not be written: the disk is too slow",
                 F_INT("waited_ms", STOP_WAIT_US / US_PER_MS));
    free(r);
}

struct journal *recorder_journal(struct recorder *r)
{
    return r->journal;
}

uint64_t recorder_first_id(const struct recorder *r)
{
    return r->first_id;
}

void recorder_follow(struct recorder *r, const struct turn *t)
{
    r->turn = t;
    loop_timer_set(r->timer, SAMPLES_STEP_MS * US_PER_MS);
}

void recorder_decided(struct recorder *r, const struct turn_filler *tf, int64_t latency_us)
{
    const struct snapshot_decision *d = &tf->recent[0];
    const struct planner_plan *plan = &tf->plan;
    struct decision_entry entry = {
        .id = d->id,
        .t_ms = d->at.us / US_PER_MS,
        .at =
            {
                [DECISION_BEFORE] = d->from,
                [DECISION_REPLICAS] = d->decision.replicas,
                [DECISION_SET_POINT] = d->decision.set_point,
                [DECISION_DAMPED] = d->decision.damped,
                [DECISION_SLOTS] = d->decision.slots,
                [DECISION_KEPT_SLOTS] = d->decision.kept_slots,
                [DECISION_SLOT] = plan->slot_milli,
                [DECISION_HOLE_SLOTS] = plan->hole_slots,
                [DECISION_ALLOCATABLE] = d->allocatable_milli,
                [DECISION_PAID] = d->paid_milli,
                [DECISION_PENDING] = d->pending_milli,
                [DECISION_RESERVE] = plan->reserve_milli,
                [DECISION_HEADROOM] = plan->headroom.milli,
                [DECISION_LATENCY] = latency_us,
            },
    };

    (void)snprintf(entry.policy, sizeof entry.policy, "%.*s", SV_ARG(tf->policy->name));
    (void)snprintf(entry.reason, sizeof entry.reason, "%s", reason_name(d->decision.reason));
    (void)snprintf(entry.bound, sizeof entry.bound, "%s", bound_name(d->decision.bound));
    (void)snprintf(entry.detail, sizeof entry.detail, "%s", d->detail);
    writer_decision(r->writer, &entry);
    sample(r, tf);
}

void recorder_keep_policies(struct recorder *r, const struct policy_texts *texts)
{
    policy_texts_done(&r->texts);
    copy_texts(texts, &r->texts);
    send_policies(r);
}

static void add_stored(void *self, const struct policies_text *text, int64_t saved_at_ms UNUSED)
{
    policy_texts_add(self, text->name, text->text);
}

bool recorder_stored_policies(const char *path, struct policy_texts *to, struct err *err)
{
    const struct db_options options = {.path = path, .read_only = true};
    struct history history = {0};
    bool ok =
        history_open(&options, &history, err) && policies_load(history.db, add_stored, to, err);

    history_close(&history);
    if (!ok)
        policy_texts_done(to);
    return ok;
}

struct past *recorder_past(struct recorder *r)
{
    struct past *past = past_new();

    past_ask(past, r->writer, loop_wall(r->loop), clock_system());
    return past;
}

struct found *recorder_found(struct recorder *r)
{
    r->found = found_new(r->writer);
    return r->found;
}

void recorder_status(struct recorder *r, struct writer_status *ret_status)
{
    writer_status(r->writer, ret_status);
}
