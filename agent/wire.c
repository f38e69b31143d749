#include "agent/wire.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "agent/elect.h"
#include "agent/facts.h"
#include "agent/kube/client.h"
#include "agent/kube/version.h"
#include "agent/kube/watch.h"
#include "agent/loop.h"
#include "agent/pods.h"
#include "agent/policy_watch.h"
#include "agent/recorder.h"
#include "agent/restore.h"
#include "agent/serve/httpd.h"
#include "agent/snapshot.h"
#include "agent/truth_map.h"
#include "agent/turn.h"
#include "agent/workload.h"
#include "base/alloc.h"
#include "base/log.h"

/* Pauses between attempts to reach the API server before anything is known. */
#define FIRST_PAUSE_US (1 * US_PER_S)
#define LAST_PAUSE_US  (15 * US_PER_S)

struct agent {
    struct agent_options *options;
    struct loop *loop;
    struct kube_config config;
    struct transport_curl *curl;
    struct transport transport;
    struct timers timers;
    struct client *client;
    struct sv lease_ns, lease_name;
    struct elect *elect;     /* NULL: there is no election */
    struct truth_map *truth; /* NULL likewise */
    bool lost;               /* what waits to be sent is to be dropped */
    bool stopping;
    struct snapshot_slot *slot;
    struct httpd *httpd;
    struct secure *secure;     /* NULL: no TLS port */
    struct loop_wake *on_wait; /* rung by a reader of the boards */
    struct loop_signal *on_term, *on_int;
    struct loop_timer *retry;
    int64_t pause_us;
    struct kube_version_question *question; /* of the API server's release; NULL: none is open */

    struct err fatal; /* why it cannot start after all; ERR_NONE: it can */

    bool started; /* all below is there */
    struct podreq_rules rules;
    struct facts facts;
    struct recorder *recorder; /* NULL: no history */
    struct found *found;
    struct pods *pods;
    struct watch *nodes;
    bool relist; /* pods are to be listed anew: whose they are has changed */
    struct turn turn;
    struct lane *lanes[PLANNER_MAX_FILLERS]; /* by the planner's index; NULL: none */
    struct lane *leaving;                    /* let go, their last write is not answered */
    struct loop_timer *bury;
    struct policy_watch *watch; /* NULL: policies come from standard input */
    bool broken;                /* what the policies' files hold is not in force */
};

/* Of a lane whose target another replica has written to. */
#define NOT_HERE UINT64_MAX

/* One filler: its policy and its target. */
struct lane {
    struct agent *agent;
    int filler;
    const struct policy *policy; /* borrowed from the set in force; NULL once let go */
    struct workload *workload;
    struct places *places;
    struct uid uid;  /* of the target; the next three are of this object */
    int64_t found;   /* its count before it was first written */
    uint64_t begun;  /* writes that were begun before it was read */
    bool found_kept; /* for a restart */
    bool held;       /* its policy vanished, and may come back */
    struct lane *next_leaving;
    struct restore *restore; /* leaving: NULL where nothing is given back */
    bool done;               /* leaving: nothing is left to write */
};

/* Watches: what they bring goes into the facts. */

static void nodes_begin(void *self)
{
    struct agent *a = self;

    a->facts.wall = loop_wall(a->loop);
    facts_list_begin(&a->facts, CLUSTER_NODES);
}

static bool nodes_object(void *self, enum watch_change change, enum decode_format format,
                         struct sv object, struct err *err)
{
    struct agent *a = self;

    a->facts.wall = loop_wall(a->loop);
    return facts_node(&a->facts, change == WATCH_DELETE, format, object, err);
}

static void nodes_synced(void *self)
{
    struct agent *a = self;

    a->facts.wall = loop_wall(a->loop);
    facts_list_end(&a->facts, CLUSTER_NODES, loop_now(a->loop));
    log_info("nodes listed", F_INT("nodes", cluster_node_count(facts_cluster(&a->facts))));
}

static void nodes_trouble(void *self UNUSED, const struct err *err)
{
    log_warn("watching nodes", F_STR("kind", err_kind_name(err->kind)), F_ERR(err));
}

/* Targets. */

/* Pods are listed once every target was looked for: till then filler would be taken for paid. What
 * is known of them already is followed meanwhile. */
static bool targets_read(const struct agent *a)
{
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        if (a->lanes[i] != NULL && workload_view(a->lanes[i]->workload)->state == WORKLOAD_UNREAD)
            return false;
    }
    return true;
}

static void list_pods(struct agent *a, bool anew)
{
    a->relist |= anew;
    if (!targets_read(a))
        return;
    if (a->relist)
        watch_stop(pods_watch(a->pods));
    a->relist = false;
    watch_start(pods_watch(a->pods));
}

/* What another replica found before it first wrote to this object is what was found. */
static void take_found(struct lane *l)
{
    const struct truth *told = l->agent->truth != NULL ? truth_map_told(l->agent->truth) : NULL;
    const struct truth_filler *of = truth_find(told, l->policy->name);

    if (of == NULL || uid_is_zero(of->found.uid) || !uid_eq(of->found.uid, l->uid))
        return;
    l->found = of->found.replicas;
    l->begun = NOT_HERE;
}

/* What the target asks for is what was found as long as brim wrote nothing to this object. */
static void note_found(struct lane *l)
{
    const struct workload_view *view = workload_view(l->workload);

    if (!view->known)
        return;
    if (!uid_eq(view->uid, l->uid)) {
        l->uid = view->uid;
        l->begun = workload_writes_begun(l->workload);
        l->found_kept = false;
        take_found(l);
    }
    if (workload_writes_begun(l->workload) == l->begun)
        l->found = view->replicas;
}

static bool was_written(const struct lane *l)
{
    return !uid_is_zero(l->uid) && workload_writes_begun(l->workload) != l->begun;
}

/* Keeps what was found for a restart. */
static void keep_found(struct agent *a)
{
    struct policies_found found[PLANNER_MAX_FILLERS];
    size_t n = 0;

    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        struct lane *l = a->lanes[i];

        if (l == NULL)
            continue;
        l->found_kept = was_written(l);
        found[n++] = (struct policies_found){.policy = l->policy->name,
                                             .uid = l->found_kept ? l->uid : (struct uid){0},
                                             .replicas = l->found};
    }
    found_keep(a->found, found, n);
}

/* Pods are told apart by the targets' selectors: another one means that they must be looked at anew.
 */
static void workload_changed(void *self)
{
    struct lane *l = self;
    struct agent *a = l->agent;
    const struct workload_view *view = workload_view(l->workload);
    bool selector_changed = false;
    struct err err = {0};

    if (l->policy == NULL)
        return;
    note_found(l);
    turn_mark(&a->turn);
    if (view->state == WORKLOAD_UNREAD)
        return;
    if (!facts_set_selector(&a->facts, l->filler, sv_from(view->selector), loop_now(a->loop),
                            &selector_changed, &err))
        log_warn("the target cannot be followed", F_SV("policy", l->policy->name), F_ERR(&err));
    list_pods(a, selector_changed);
}

static void template_read(void *self, const struct pod_record *pod)
{
    struct lane *l = self;

    if (l->policy == NULL)
        return;
    facts_set_template(&l->agent->facts, l->filler, pod);
    turn_mark(&l->agent->turn);
}

static void written(void *self, bool down, int64_t replicas, int64_t answered,
                    const struct client_problem *problem)
{
    struct lane *l = self;
    const struct err *err = problem != NULL ? &problem->err : NULL;

    if (l->policy != NULL) {
        if (!l->found_kept && was_written(l))
            keep_found(l->agent);
        turn_written(&l->agent->turn, l->filler, down, replicas, answered, problem);
        return;
    }
    if (err != NULL)
        log_warn("the target could not be restored", F_INT("to", replicas), F_ERR(err));
    if (l->restore != NULL)
        restore_answered(l->restore, err);
}

static void admitted(void *self, struct uid uid, bool ok)
{
    struct lane *l = self;

    turn_admitted(&l->agent->turn, l->filler, uid, ok);
}

static void costed(void *self, struct uid uid, int32_t cost, bool ok)
{
    struct lane *l = self;

    turn_costed(&l->agent->turn, l->filler, uid, cost, ok);
}

static bool lane_add(struct agent *a, const struct policy *policy, struct err *err)
{
    struct lane *l;
    int filler;

    if (!facts_add(&a->facts, policy, &filler, err))
        return false;
    l = xcalloc(1, sizeof *l);
    *l = (struct lane){.agent = a, .filler = filler, .policy = policy};
    a->lanes[filler] = l;
    l->workload =
        workload_new(a->client, policy, cluster_names(facts_cluster(&a->facts)), &a->rules,
                     &(struct workload_handler){.changed = workload_changed,
                                                .template_read = template_read,
                                                .written = written,
                                                .self = l});
    l->places =
        places_new(a->client, policy->target_ns,
                   &(struct places_handler){.admitted = admitted, .costed = costed, .self = l});
    turn_add(&a->turn, filler, policy, l->workload, l->places);
    log_info("policy in force", F_SV("policy", policy->name),
             F_STR("mode", policy_mode_name(policy->mode)), F_SV("namespace", policy->target_ns),
             F_SV("target", policy->target_name));
    return true;
}

static void lane_free(struct lane *l)
{
    if (l == NULL)
        return;
    restore_free(l->restore);
    places_free(l->places);
    workload_free(l->workload);
    free(l);
}

static void bury(void *self)
{
    struct agent *a = self;

    for (struct lane **at = &a->leaving; *at != NULL;) {
        struct lane *l = *at;

        if (!l->done) {
            at = &l->next_leaving;
            continue;
        }
        *at = l->next_leaving;
        lane_free(l);
    }
}

static void let_go_done(void *self)
{
    struct lane *l = self;

    l->done = true;
    loop_timer_set(l->agent->bury, 0); /* not inside a function of its own */
}

/* Gives the target back, with the count that it had if the policy says so. */
static void let_go(struct agent *a, struct lane *l, const struct policy *policy)
{
    const struct workload_view *view = workload_view(l->workload);
    bool restores = policy->on_remove == REMOVE_RESTORE && policy->mode == MODE_CONTROL &&
                    !a->options->dry_run && view->known && a->turn.leads;
    int64_t count =
        restores ? found_count(a->found, policy->name, view->uid, l->found) : view->replicas;

    log_info("the policy is gone: its target is let go", F_SV("policy", policy->name),
             F_INT("replicas", count));
    places_free(TAKE(l->places));
    l->policy = NULL;
    l->next_leaving = a->leaving;
    a->leaving = l;
    if (restores)
        l->restore = restore_new(l->workload, &a->timers, count, let_go_done, l);
    else
        let_go_done(l);
}

static void lane_remove(struct agent *a, struct lane *l)
{
    turn_remove(&a->turn, l->filler);
    facts_remove(&a->facts, l->filler, loop_now(a->loop));
    a->lanes[l->filler] = NULL;
    let_go(a, l, l->policy);
}

/* Policies. */

static const struct policy_set_entry *find_entry(const struct policy_set *set, struct sv name)
{
    for (size_t i = 0; i < set->len; i++) {
        if (sv_eq(set->at[i].policy->name, name))
            return &set->at[i];
    }
    return NULL;
}

static bool same_target(const struct policy *a, const struct policy *b)
{
    return sv_eq(a->target_api_version, b->target_api_version) &&
           sv_eq(a->target_kind, b->target_kind) && sv_eq(a->target_ns, b->target_ns) &&
           sv_eq(a->target_name, b->target_name);
}

/* That a policy vanished, or is back. */
static void tell_presence(const struct agent *a, const struct policy_set_entry *e)
{
    char until[WALL_TEXT_SIZE];

    if (e->present) {
        log_info("the policy is back", F_SV("policy", e->policy->name));
        return;
    }
    wall_format((struct wall){loop_wall(a->loop).us + POLICY_SET_HOLD_US -
                              mono_since_us(e->vanished, loop_now(a->loop))},
                0, until);
    log_warn("the policy vanished: its target is left as it is, then let go",
             F_SV("policy", e->policy->name), F_STR("until", until));
}

/* Brings a filler in step with its entry of the set; false: it has none, or another target. */
static bool keep_lane(struct agent *a, struct lane *l, const struct policy_set *set)
{
    const struct policy_set_entry *e = find_entry(set, l->policy->name);

    if (e == NULL || !same_target(e->policy, l->policy))
        return false;
    if (e->changed)
        log_info("policy read anew: its file has changed", F_SV("policy", e->policy->name),
                 F_SV("file", e->policy->where));
    if (e->policy != l->policy) {
        l->policy = e->policy;
        turn_set_policy(&a->turn, l->filler, e->policy);
    }
    if (l->held == e->present)
        tell_presence(a, e);
    l->held = !e->present;
    turn_let_go(&a->turn, l->filler, l->held);
    return true;
}

static bool has_lane(const struct agent *a, struct sv name)
{
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        if (a->lanes[i] != NULL && sv_eq(a->lanes[i]->policy->name, name))
            return true;
    }
    return false;
}

/* New fillers learn from the history. */
static void learn_past(struct agent *a)
{
    if (a->recorder != NULL)
        turn_expect_past(&a->turn, recorder_past(a->recorder));
}

static void apply_set(struct agent *a, const struct policy_set *set)
{
    bool removed = false, added = false;
    struct err err = {0};

    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        if (a->lanes[i] != NULL && !keep_lane(a, a->lanes[i], set)) {
            lane_remove(a, a->lanes[i]);
            removed = true;
        }
    }
    for (size_t i = 0; i < set->len; i++) {
        const struct policy *p = set->at[i].policy;

        if (!set->at[i].present || has_lane(a, p->name))
            continue;
        if (lane_add(a, p, &err))
            added = true;
        else
            log_error("a policy is left out", F_SV("policy", p->name), F_ERR(&err));
    }
    if (added)
        learn_past(a);
    if (removed)
        list_pods(a, true);
    /* A start may find a directory that is filled later. */
    if (removed || added)
        keep_found(a);
}

static void policies_changed(void *self, const struct policy_set *set, const struct err *broken)
{
    struct agent *a = self;

    if (a->broken && broken == NULL)
        log_info("policies are whole again");
    a->broken = broken != NULL;
    apply_set(a, set);
    turn_policy_error(&a->turn, broken != NULL ? broken->text : NULL);
}

static void policies_broken(void *self, const struct err *err)
{
    struct agent *a = self;

    a->broken = true;
    log_error("policies are broken: what was in force stays", F_ERR(err));
    turn_policy_error(&a->turn, err->text);
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        if (a->lanes[i] != NULL)
            workload_event(a->lanes[i]->workload, true, "PolicyBroken", "Reload",
                           sv_from(err->text));
    }
}

static void policies_keep(void *self, const struct policy_texts *texts)
{
    struct agent *a = self;

    if (a->recorder != NULL)
        recorder_keep_policies(a->recorder, texts);
}

/* Takes the policies into force, from now on as their files say. */
static bool follow_policies(struct agent *a, struct err *err)
{
    const struct agent_options *o = a->options;
    struct policy_watch_options options = policy_watch_options_default(o->policy);

    for (size_t i = 0; o->policy == NULL && i < o->policies.len; i++) {
        if (!lane_add(a, o->policies.at[i], err))
            return false;
    }
    if (o->policy == NULL)
        learn_past(a);
    else
        a->watch = policy_watch_new(a->loop, &options, &o->stored,
                                    &(struct policy_watch_handler){.changed = policies_changed,
                                                                   .broken = policies_broken,
                                                                   .keep = policies_keep,
                                                                   .self = a});
    return true;
}

/* The watches, before they are started. */
static void make_watches(struct agent *a)
{
    uint64_t seed = a->options->seed;

    if (seed == 0)
        seed = (uint64_t)loop_wall(a->loop).us * 31 + (uint64_t)getpid();
    a->pods = pods_new(a->client, &a->facts, seed);
    a->nodes = watch_new(a->client,
                         &(struct watch_options){.path = WATCH_NODES_PATH,
                                                 .list_kind = WATCH_NODES_KIND,
                                                 .initial_events = true,
                                                 .seed = seed + 2},
                         &(struct watch_handler){.begin = nodes_begin,
                                                 .object = nodes_object,
                                                 .synced = nodes_synced,
                                                 .trouble = nodes_trouble,
                                                 .self = a});
}

/* The election. */

static struct mono fresh(void *self)
{
    return loop_fresh(self);
}

static struct wall wall(void *self)
{
    return loop_wall(self);
}

static void election_changed(void *self, bool leads)
{
    struct agent *a = self;

    a->lost = !leads && !a->stopping; /* who gives the lease back holds it until all was answered */
    turn_lead(&a->turn, leads);
}

static void truth_changed(void *self)
{
    struct agent *a = self;

    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        if (a->lanes[i] != NULL && !was_written(a->lanes[i]))
            take_found(a->lanes[i]);
    }
    turn_mark(&a->turn);
}

static void tell_found(void *self, const char *policy, struct truth_found *ret_found)
{
    const struct agent *a = self;

    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        const struct lane *l = a->lanes[i];

        if (l == NULL || !sv_eq(l->policy->name, sv_from(policy)) || !was_written(l))
            continue;
        *ret_found = (struct truth_found){
            .uid = l->uid, .replicas = found_count(a->found, l->policy->name, l->uid, l->found)};
    }
}

static bool may_write(void *self)
{
    return elect_leads(self);
}

/* A process that was stopped finds that before it does anything else: what waits to be sent then never is. */
static void begin_turn(void *self)
{
    struct agent *a = self;

    elect_check(a->elect);
    if (a->lost)
        client_drop_writes(a->client);
    a->lost = false;
}

static void stand_for_election(struct agent *a)
{
    char identity[LEASE_MAX_NAME];

    if (a->options->lease == NULL)
        return;
    elect_make_identity(identity);
    a->elect = elect_new(a->client,
                         &(struct elect_options){.ns = a->lease_ns,
                                                 .name = a->lease_name,
                                                 .identity = identity,
                                                 .seed = sv_hash(sv_from(identity)),
                                                 .clock = {fresh, wall, a->loop}},
                         &(struct elect_handler){.changed = election_changed, .self = a});
    client_set_fence(a->client, &(struct client_fence){.may_write = may_write, .self = a->elect});
    loop_at_begin(a->loop, begin_turn, a);
    a->truth = truth_map_new(
        a->client,
        &(struct truth_map_options){.ns = a->lease_ns,
                                    .lease = a->lease_name,
                                    .url = a->options->advertise,
                                    .elect = a->elect,
                                    .slot = a->slot},
        &(struct truth_map_handler){.changed = truth_changed, .found = tell_found, .self = a});
}

/* Begins to watch and to control, now that the server's release is known. */
static bool start_parts(struct agent *a, struct err *err)
{
    facts_init(&a->facts, &a->rules);
    if (a->options->db != NULL &&
        !recorder_new(a->loop, a->options->db, &a->options->keep,
                      cluster_names(facts_cluster(&a->facts)), &a->recorder, err)) {
        facts_done(&a->facts);
        return false;
    }
    if (a->recorder != NULL)
        a->facts.journal = recorder_journal(a->recorder);
    a->found = a->recorder != NULL ? recorder_found(a->recorder) : found_new(NULL);
    make_watches(a);
    stand_for_election(a);
    turn_init(&a->turn, &(struct turn_parts){.timers = &a->timers,
                                             .clock = clock_system(),
                                             .facts = &a->facts,
                                             .pods = pods_watch(a->pods),
                                             .nodes = a->nodes,
                                             .waiting = pods_waiting(a->pods),
                                             .slot = a->slot,
                                             .recorder = a->recorder,
                                             .elect = a->elect,
                                             .truth = a->truth,
                                             .dry_run = a->options->dry_run});
    a->started = true;
    if (!follow_policies(a, err))
        return false;
    list_pods(a, false);
    if (a->recorder != NULL)
        recorder_follow(a->recorder, &a->turn);
    watch_start(a->nodes);
    loop_at_turn(a->loop, turn_run, &a->turn);
    client_keep_warm(a->client);
    return true;
}

/* The first question to the API server. */

static void ask_version(void *self);

static void try_again(struct agent *a, const struct err *err)
{
    log_warn("the API server does not answer yet", F_STR("server", a->config.server),
             F_STR("kind", err_kind_name(err->kind)), F_ERR(err),
             F_INT("again_in_ms", a->pause_us / US_PER_MS));
    loop_timer_set(a->retry, a->pause_us);
    a->pause_us = a->pause_us * 2 < LAST_PAUSE_US ? a->pause_us * 2 : LAST_PAUSE_US;
}

static void version_came(void *self, const struct kube_version *version, const struct err *problem)
{
    struct agent *a = self;
    struct err err = {0};

    a->question = NULL;
    if (problem != NULL) {
        try_again(a, problem);
        return;
    }
    if (!podreq_rules_for(sv_from(version->release), &a->rules, &err) || !start_parts(a, &err)) {
        a->fatal = err;
        loop_stop(a->loop);
        return;
    }
    log_info("API server found", F_STR("server", a->config.server), F_STR("version", version->git));
}

static void ask_version(void *self)
{
    struct agent *a = self;

    a->question = kube_version_ask(a->client, version_came, a);
}

static void stop_now(void *self)
{
    struct agent *a = self;

    loop_stop(a->loop);
}

static void stop(void *self)
{
    struct agent *a = self;
    bool again = a->stopping;

    log_info("stopping: filler stays as it is");
    a->stopping = true;
    if (a->elect != NULL && !again)
        elect_release(a->elect, stop_now, a);
    else
        loop_stop(a->loop);
}

/* Before the parts are there nobody may wait (routes.h), but the bell may still be on its way. */
static void show(void *self)
{
    struct agent *a = self;

    if (a->started)
        turn_show(&a->turn);
}

static void ring(void *self)
{
    loop_wake_ring(self);
}

static bool build(struct agent *a, struct err *err)
{
    struct exec_runner runner;

    const char *lease = a->options->lease;

    if ((lease != NULL && !elect_parse_name(sv_from(lease), &a->lease_ns, &a->lease_name, err)) ||
        !kube_config_load(&a->options->kube, &a->config, err))
        return false;
    a->loop = loop_new();
    if (a->loop == NULL)
        return err_set(err, ERR_SYSTEM, 0, "libev has no backend that works here");
    a->slot = snapshot_slot_new();
    a->on_wait = loop_wake_new(a->loop, show, a);
    boards_on_wait(snapshot_slot_boards(a->slot), ring, a->on_wait);
    if (!httpd_start(a->options->listen, a->slot, clock_system(), &a->httpd, err) ||
        (a->options->db != NULL && !httpd_serve_reports(a->httpd, NULL, a->options->db, err)))
        return false;
    httpd_serve_metrics(a->httpd, a->options->metrics_groups);
    if (!secure_new(a->loop, a->httpd, &a->options->secure, &a->secure, err))
        return false;
    if (!transport_curl_new(a->loop, &a->config, &a->curl, err))
        return false;
    a->transport = transport_curl_transport(a->curl);
    a->timers = timers_from_loop(a->loop);
    a->client = client_new(&a->config, &a->transport, &a->timers);
    runner = exec_runner_from_loop(a->loop);
    client_set_runner(a->client, &runner);
    a->on_term = loop_signal_new(a->loop, SIGTERM, stop, a);
    a->on_int = loop_signal_new(a->loop, SIGINT, stop, a);
    a->retry = loop_timer_new(a->loop, ask_version, a);
    a->bury = loop_timer_new(a->loop, bury, a);
    a->pause_us = FIRST_PAUSE_US;
    return true;
}

void agent_free(struct agent *a)
{
    if (a == NULL)
        return;
    policy_watch_free(a->watch);
    recorder_free(a->recorder);
    found_free(a->found);
    a->facts.journal = NULL;
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++)
        lane_free(a->lanes[i]);
    while (a->leaving != NULL) {
        struct lane *l = a->leaving;

        a->leaving = l->next_leaving;
        lane_free(l);
    }
    httpd_stop(a->httpd); /* before what its answers read */
    if (a->started)
        turn_done(&a->turn);
    pods_free(a->pods);
    watch_free(a->nodes);
    if (a->started)
        facts_done(&a->facts);
    loop_timer_free(a->retry);
    loop_timer_free(a->bury);
    loop_signal_free(a->on_term);
    loop_signal_free(a->on_int);
    kube_version_cancel(a->question);
    truth_map_free(a->truth);
    elect_free(a->elect);
    client_free(a->client);
    transport_curl_free(a->curl);
    secure_free(a->secure);
    loop_wake_free(a->on_wait);
    if (a->slot != NULL)
        snapshot_slot_free(a->slot);
    loop_free(a->loop);
    kube_config_done(&a->config);
    policy_list_done(&a->options->policies);
    policy_texts_done(&a->options->stored);
    free(a);
}

bool agent_new(struct agent_options *options, struct agent **ret_agent, struct err *err)
{
    CLEANUP(agent_free_ptr) struct agent *a = xcalloc(1, sizeof *a);

    a->options = options;
    if (!build(a, err))
        return false;
    log_info("brim " BRIM_VERSION, F_STR("server", a->config.server),
             F_STR("listen", options->listen),
             F_STR("secure_listen", options->secure.listen != NULL ? options->secure.listen : ""),
             F_STR("policies", options->policy != NULL ? options->policy : "standard input"),
             F_STR("mode", options->dry_run ? "dry-run" : "as the policies say"));
    ask_version(a);
    *ret_agent = TAKE(a);
    return true;
}

bool agent_run(struct agent_options *options, struct err *err)
{
    CLEANUP(agent_free_ptr) struct agent *a = NULL;

    if (!agent_new(options, &a, err))
        return false;
    /* A peer that is gone, or a log at its file's limit, is an error of that write alone. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    loop_run(a->loop);
    if (a->fatal.kind != ERR_NONE && err != NULL)
        *err = a->fatal;
    return a->fatal.kind == ERR_NONE;
}
