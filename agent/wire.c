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
    const struct agent_options *options;
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
    struct facts facts;
    struct recorder *recorder; /* NULL: no history */
    struct workload *workload;
    struct watch *pods, *nodes;
    struct turn turn;
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
    facts_list_end(&a->facts, CLUSTER_PODS);
    log_info("pods listed", F_INT("pods", cluster_pod_count(a->facts.cluster)));
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
    facts_list_end(&a->facts, CLUSTER_NODES);
    log_info("nodes listed", F_INT("nodes", cluster_node_count(a->facts.cluster)));
}

static void nodes_trouble(void *self UNUSED, const struct err *err)
{
    log_warn("watching nodes", F_STR("kind", err_kind_name(err->kind)), F_ERR(err));
}

/* The target. */

/* Pods are told apart by the target's selector: another one means that they must be looked at anew.
 */
static void workload_changed(void *self)
{
    struct agent *a = self;
    const struct workload_view *view = workload_view(a->workload);
    bool selector_changed = false;
    struct err err = {0};

    turn_mark(&a->turn);
    if (view->state == WORKLOAD_UNREAD)
        return;
    if (!facts_set_selector(&a->facts, sv_from(view->selector), &selector_changed, &err)) {
        log_warn("the target cannot be followed", F_SV("policy", a->options->policy->name),
                 F_ERR(&err));
        return;
    }
    if (selector_changed && watch_state(a->pods) != WATCH_OFF)
        watch_stop(a->pods);
    if (selector_changed || watch_state(a->pods) == WATCH_OFF)
        watch_start(a->pods);
}

static void template_read(void *self, const struct pod_record *pod)
{
    struct agent *a = self;

    facts_set_template(&a->facts, pod);
    turn_mark(&a->turn);
}

static void written(void *self, int64_t replicas, const struct err *err)
{
    struct agent *a = self;

    turn_written(&a->turn, replicas, err);
}

/* Begins to watch and to control, now that the server's release is known. */
static bool start_parts(struct agent *a, const struct podreq_rules *rules, struct err *err)
{
    const struct policy *policy = a->options->policy;
    uint64_t seed = (uint64_t)loop_wall(a->loop).us * 31 + (uint64_t)getpid();

    if (!facts_init(&a->facts, policy, rules, err))
        return false;
    if (a->options->db != NULL &&
        !recorder_new(a->loop, a->options->db, cluster_names(a->facts.cluster), &a->recorder,
                      err)) {
        facts_done(&a->facts);
        return false;
    }
    if (a->recorder != NULL)
        a->facts.journal = recorder_journal(a->recorder);
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
    a->workload = workload_new(a->client, policy, cluster_names(a->facts.cluster), rules,
                               &(struct workload_handler){.changed = workload_changed,
                                                          .template_read = template_read,
                                                          .written = written,
                                                          .self = a});
    turn_init(&a->turn, &(struct turn_parts){.timers = &a->timers,
                                             .clock = clock_system(),
                                             .policy = policy,
                                             .facts = &a->facts,
                                             .workload = a->workload,
                                             .pods = a->pods,
                                             .nodes = a->nodes,
                                             .slot = a->slot,
                                             .recorder = a->recorder,
                                             .dry_run = a->options->dry_run});
    if (a->recorder != NULL)
        recorder_follow(a->recorder, &a->turn);
    watch_start(a->nodes);
    loop_at_turn(a->loop, turn_run, &a->turn);
    client_keep_warm(a->client);
    a->started = true;
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
    struct podreq_rules rules;
    struct err err = {0};

    if (problem != NULL) {
        try_again(a, problem);
        return;
    }
    if (!podreq_rules_for(sv_from(version->release), &rules, &err) ||
        !start_parts(a, &rules, &err)) {
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
    a->facts.journal = NULL;
    if (a->started)
        turn_done(&a->turn);
    workload_free(a->workload);
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

bool agent_run(const struct agent_options *options, struct err *err)
{
    struct agent a = {.options = options};
    bool ok = build(&a, err);

    if (ok) {
        /* A peer that is gone, or a log at its file's limit, is an error of that write alone. */
        (void)signal(SIGPIPE, SIG_IGN);
        (void)signal(SIGXFSZ, SIG_IGN);
        log_info(
            "brim " BRIM_VERSION, F_SV("policy", options->policy->name),
            F_STR("server", a.config.server), F_STR("listen", options->listen),
            F_STR("mode", options->dry_run ? "dry-run" : policy_mode_name(options->policy->mode)));
        ask_version(&a);
        loop_run(a.loop);
        ok = a.fatal.kind == ERR_NONE;
        if (!ok && err != NULL)
            *err = a.fatal;
    }
    take_apart(&a);
    policy_free(options->policy);
    return ok;
}
