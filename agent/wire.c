#include "agent/wire.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "agent/facts.h"
#include "agent/kube/client.h"
#include "agent/kube/version.h"
#include "agent/kube/watch.h"
#include "agent/loop.h"
#include "agent/recorder.h"
#include "agent/serve/httpd.h"
#include "agent/snapshot.h"
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
    struct snapshot_slot *slot;
    struct httpd *httpd;
    struct loop_signal *on_term, *on_int;
    struct loop_timer *retry;
    int64_t pause_us;

    struct err fatal; /* why it cannot start after all; ERR_NONE: it can */

    bool started; /* all below is there */
    struct podreq_rules rules;
    struct facts facts;
    struct recorder *recorder; /* NULL: no history */
    struct past *past;
    struct watch *pods, *nodes;
    struct turn turn;
    struct lane *lanes[PLANNER_MAX_FILLERS]; /* by the planner's index; NULL: none */
};

/* One filler: its policy and its target. */
struct lane {
    struct agent *agent;
    int filler;
    const struct policy *policy; /* borrowed from the list in force */
    struct workload *workload;
    struct places *places;
};

/* Watches: what they bring goes into the facts. */

static void pods_begin(void *self)
{
    struct agent *a = self;

    a->facts.wall = loop_wall(a->loop);
    facts_list_begin(&a->facts, CLUSTER_PODS);
}

static bool pods_object(void *self, enum watch_change change, enum decode_format format,
                        struct sv object, struct err *err)
{
    struct agent *a = self;

    a->facts.wall = loop_wall(a->loop);
    return facts_pod(&a->facts, change == WATCH_DELETE, format, object, loop_now(a->loop), err);
}

static void pods_synced(void *self)
{
    struct agent *a = self;

    a->facts.wall = loop_wall(a->loop);
    facts_list_end(&a->facts, CLUSTER_PODS, loop_now(a->loop));
    log_info("pods listed", F_INT("pods", cluster_pod_count(facts_cluster(&a->facts))));
}

static void pods_trouble(void *self UNUSED, const struct err *err)
{
    log_warn("watching pods", F_STR("kind", err_kind_name(err->kind)), F_ERR(err));
}

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

/* Pods are listed once every target was looked for: till then filler would be taken for paid. */
static bool targets_read(const struct agent *a)
{
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        if (a->lanes[i] != NULL &&
            workload_view(a->lanes[i]->workload)->state == WORKLOAD_UNREAD)
            return false;
    }
    return true;
}

static void list_pods(struct agent *a, bool anew)
{
    if (anew && watch_state(a->pods) != WATCH_OFF)
        watch_stop(a->pods);
    if (targets_read(a) && watch_state(a->pods) == WATCH_OFF)
        watch_start(a->pods);
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

    facts_set_template(&l->agent->facts, l->filler, pod);
    turn_mark(&l->agent->turn);
}

static void written(void *self, int64_t replicas, const struct err *err)
{
    struct lane *l = self;

    turn_written(&l->agent->turn, l->filler, replicas, err);
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
    l->workload = workload_new(a->client, policy, cluster_names(facts_cluster(&a->facts)),
                               &a->rules,
                               &(struct workload_handler){.changed = workload_changed,
                                                          .template_read = template_read,
                                                          .written = written,
                                                          .self = l});
    l->places =
        places_new(a->client, policy->target_ns,
                   &(struct places_handler){.admitted = admitted, .costed = costed, .self = l});
    turn_add(&a->turn, filler, policy, l->workload, l->places);
    return true;
}

static void lane_free(struct lane *l)
{
    if (l == NULL)
        return;
    places_free(l->places);
    workload_free(l->workload);
    free(l);
}

/* The watches, before they are started. */
static void make_watches(struct agent *a)
{
    uint64_t seed = (uint64_t)loop_wall(a->loop).us * 31 + (uint64_t)getpid();

    a->pods =
        watch_new(a->client,
                  &(struct watch_options){
                      .path = WATCH_PODS_PATH, .field_selector = WATCH_PODS_SELECTOR, .seed = seed},
                  &(struct watch_handler){.begin = pods_begin,
                                          .object = pods_object,
                                          .synced = pods_synced,
                                          .trouble = pods_trouble,
                                          .self = a});
    a->nodes =
        watch_new(a->client, &(struct watch_options){.path = WATCH_NODES_PATH, .seed = seed + 1},
                  &(struct watch_handler){.begin = nodes_begin,
                                          .object = nodes_object,
                                          .synced = nodes_synced,
                                          .trouble = nodes_trouble,
                                          .self = a});
}

/* Begins to watch and to control, now that the server's release is known. */
static bool start_parts(struct agent *a, struct err *err)
{
    facts_init(&a->facts, &a->rules);
    if (a->options->db != NULL &&
        !recorder_new(a->loop, a->options->db, cluster_names(facts_cluster(&a->facts)),
                      &a->recorder, err)) {
        facts_done(&a->facts);
        return false;
    }
    if (a->recorder != NULL) {
        a->facts.journal = recorder_journal(a->recorder);
        a->past = recorder_past(a->recorder);
    }
    make_watches(a);
    turn_init(&a->turn, &(struct turn_parts){.timers = &a->timers,
                                             .clock = clock_system(),
                                             .facts = &a->facts,
                                             .pods = a->pods,
                                             .nodes = a->nodes,
                                             .slot = a->slot,
                                             .recorder = a->recorder,
                                             .past = a->past,
                                             .dry_run = a->options->dry_run});
    a->started = true;
    for (size_t i = 0; i < a->options->policies.len; i++) {
        if (!lane_add(a, a->options->policies.at[i], err))
            return false;
    }
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

    kube_version_ask(a->client, version_came, a);
}

static void stop(void *self)
{
    struct agent *a = self;

    log_info("stopping: filler stays as it is");
    loop_stop(a->loop);
}

static bool build(struct agent *a, struct err *err)
{
    if (!kube_config_load(&a->options->kube, &a->config, err))
        return false;
    a->loop = loop_new();
    if (a->loop == NULL)
        return err_set(err, ERR_SYSTEM, 0, "libev has no backend that works here");
    a->slot = snapshot_slot_new();
    if (!httpd_start(a->options->listen, a->slot, clock_system(), &a->httpd, err))
        return false;
    if (!transport_curl_new(a->loop, &a->config, &a->curl, err))
        return false;
    a->transport = transport_curl_transport(a->curl);
    a->timers = timers_from_loop(a->loop);
    a->client = client_new(&a->config, &a->transport, &a->timers);
    a->on_term = loop_signal_new(a->loop, SIGTERM, stop, a);
    a->on_int = loop_signal_new(a->loop, SIGINT, stop, a);
    a->retry = loop_timer_new(a->loop, ask_version, a);
    a->pause_us = FIRST_PAUSE_US;
    return true;
}

static void take_apart(struct agent *a)
{
    recorder_free(a->recorder);
    past_unref(a->past);
    a->facts.journal = NULL;
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++)
        lane_free(a->lanes[i]);
    if (a->started)
        turn_done(&a->turn);
    watch_free(a->pods);
    watch_free(a->nodes);
    if (a->started)
        facts_done(&a->facts);
    loop_timer_free(a->retry);
    loop_signal_free(a->on_term);
    loop_signal_free(a->on_int);
    client_free(a->client);
    transport_curl_free(a->curl);
    httpd_stop(a->httpd);
    if (a->slot != NULL)
        snapshot_slot_free(a->slot);
    loop_free(a->loop);
    kube_config_done(&a->config);
}

static void tell_start(const struct agent *a)
{
    const struct agent_options *options = a->options;

    log_info("brim " BRIM_VERSION, F_STR("server", a->config.server),
             F_STR("listen", options->listen), F_INT("policies", options->policies.len));
    for (size_t i = 0; i < options->policies.len; i++) {
        const struct policy *p = options->policies.at[i];

        log_info("policy", F_SV("policy", p->name),
                 F_STR("mode", options->dry_run ? "dry-run" : policy_mode_name(p->mode)),
                 F_SV("namespace", p->target_ns), F_SV("target", p->target_name));
    }
}

bool agent_run(struct agent_options *options, struct err *err)
{
    struct agent a = {.options = options};
    bool ok = build(&a, err);

    if (ok) {
        /* A peer that is gone, or a log at its file's limit, is an error of that write alone. */
        (void)signal(SIGPIPE, SIG_IGN);
        (void)signal(SIGXFSZ, SIG_IGN);
        tell_start(&a);
        ask_version(&a);
        loop_run(a.loop);
        ok = a.fatal.kind == ERR_NONE;
        if (!ok && err != NULL)
            *err = a.fatal;
    }
    take_apart(&a);
    policy_list_done(&options->policies);
    return ok;
}
