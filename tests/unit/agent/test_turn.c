#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/policy_set.h"
#include "agent/turn.h"
#include "agent/wire.h"
#include "tests/unit/agent/fake_machine.h"

/*
 * Stories of the whole way from the API server's answers to the patch: the agent is as agent_new()
 * builds it, its policy comes from a file; network and clock are driven by hand. One node of 100
 * cores; filler of one core, grace 10 s, settle 25 s, 4 cores kept free.
 */

static const char policy_text[] =
    "apiVersion: brim.dev/v1\n"
    "kind: FillerPolicy\n"
    "metadata: {name: miner}\n"
    "spec:\n"
    "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}\n"
    "  replicas: {min: 0, max: 150}\n"
    "  headroom: {mode: fixed, max: 4}\n"
    "  settle: 25s\n";

#define POD_PATH   "/api/v1/namespaces/filler/pods/"
#define SCALE_PATH "/apis/apps/v1/namespaces/filler/deployments/miner/scale"

struct world {
    struct fake fake;
    struct fake_machine machine;
    char dir[256]; /* of the policy's file */
    struct agent_options options;
    struct agent *agent;
    struct turn *turn; /* the agent's, and its parts */
    struct facts *facts;
    struct watch *pods, *nodes;
    struct workload *workload;

    /* The server's side. */
    bool missing; /* the target does not exist */
    bool broken;  /* reads of its scale fail */
    bool owned;   /* a HorizontalPodAutoscaler scales it, too */
    const char *uid;
    long replicas;       /* the target's */
    long filler_pods;    /* that exist, bound and ready */
    long stray_pods;     /* with the filler's labels, owned by nobody */
    long paid_cores;     /* in pods of two */
    long fixed_replicas; /* what a webhook makes of any count that is written; 0: there is none */
    int scale_reads, patches;
    char last_event[600]; /* its body */
    int rescaled, failed; /* events SuccessfulRescale, FailedRescale */
    bool hold_patches;    /* they stay unanswered */
    bool hold_lists;      /* so do lists of all pods */
    bool second_node;     /* n2, of 20 cores */
    int told_to_wait_s;   /* scale patches are answered 429 */
    int lost_status;      /* … with this, and nothing is read of the scale any more */
    bool mute;            /* nothing is told of pods and nodes, nor answered */
    /* Of a paid pod that the scheduler found no room for, told of by the small watch alone. */
    long waiting_cores;
    int version;             /* of the target */
    const char *annotations; /* of the target */
    bool gated;              /* its template has the gate */
    bool classless;          /* it has no PriorityClass */
    int target_status;       /* with which reads of the target are refused; 0: they are not */
    long gated_pods;         /* that wait behind it */
    bool pods_forbidden, hold_pods; /* patches of pods */
    const char *refused_pod; /* whose patches a webhook refuses; "": everybody's; NULL: nobody's */
    int pod_patches, refusals;
    int64_t scaled_at_us; /* when the newest patch of the scale came */
};

static void policy_path(const struct world *w, char path[static 300])
{
    (void)snprintf(path, 300, "%s/policy.yaml", w->dir);
}

static void write_policy(const struct world *w, const char *text)
{
    char path[300];
    FILE *file;

    policy_path(w, path);
    file = fopen(path, "we");
    cr_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void remove_policy(const struct world *w)
{
    char path[300];

    policy_path(w, path);
    cr_assert_eq(unlink(path), 0);
}

/* The server says its release, and all begins. */
static void begin(struct world *w)
{
    struct transfer *t = fake_pending(&w->fake);

    cr_assert_str_eq(t->path, "/version");
    fake_json(t, 200, "{\"major\":\"1\",\"minor\":\"35\",\"gitVersion\":\"v1.35.4\"}");
    w->turn = fake_machine_turn_self(&w->machine);
    cr_assert_not_null(w->turn);
    w->facts = w->turn->parts.facts;
    w->pods = w->turn->parts.pods;
    w->nodes = w->turn->parts.nodes;
    w->workload = w->turn->fillers[0]->workload;
}

static void world_init_of(struct world *w, const char *text, long replicas, long paid_cores)
{
    const char *tmp = getenv("TMPDIR");
    struct err err = {0};

    *w = (struct world){
        .uid = "u1", .replicas = replicas, .filler_pods = replicas, .paid_cores = paid_cores};
    fake_init(&w->fake);
    w->machine = (struct fake_machine){.fake = &w->fake};
    fake_machine_use(&w->machine);
    (void)snprintf(w->dir, sizeof w->dir, "%s/brim-turn-XXXXXX", tmp != NULL ? tmp : "/tmp");
    cr_assert_not_null(mkdtemp(w->dir));
    write_policy(w, text);
    w->options = (struct agent_options){
        .kube = {.kubeconfig = BRIM_SOURCE_ROOT "/tests/unit/agent/core_kubeconfig.yaml"},
        .listen = "",
        .policy = w->dir,
        .seed = 1};
    cr_assert(agent_new(&w->options, &w->agent, &err), "%s", err.text);
    begin(w);
}

static void world_init(struct world *w, long replicas, long paid_cores)
{
    world_init_of(w, policy_text, replicas, paid_cores);
}

static void world_done(struct world *w)
{
    char path[300];

    agent_free(w->agent);
    policy_path(w, path);
    (void)unlink(path);
    cr_assert_eq(rmdir(w->dir), 0);
    fake_done(&w->fake);
}

/* The server. */

static void add_pod(struct strbuf *out, const char *ns, const char *name, long cores,
                    const char *labels, const char *owner, int priority, int grace)
{
    (void)strbuf_addf(
        out,
        "%s{\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\",\"uid\":\"%s\",\"labels\":{%s},"
        "\"creationTimestamp\":\"2026-10-01T10:00:00Z\"%s},\"spec\":{\"nodeName\":\"n1\","
        "\"priority\":"
        "%d,\"terminationGracePeriodSeconds\":%d,\"containers\":[{\"name\":\"a\",\"resources\":{"
        "\"requests\":{\"cpu\":\"%ld\"}}}]},\"status\":{\"phase\":\"Running\",\"conditions\":[{"
        "\"type\":"
        "\"Ready\",\"status\":\"True\"}]}}",
        out->at[out->len - 1] == '[' ? "" : ",", name, ns, name, labels, owner, priority, grace,
        cores);
}

static void write_pods(const struct world *w, struct strbuf *out)
{
    char name[32];

    (void)strbuf_addf(
        out, "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[");
    for (long i = 0; i < w->filler_pods; i++) {
        (void)snprintf(name, sizeof name, "f%ld", i);
        add_pod(
            out, "filler", name, 1, "\"app\":\"miner\"",
            ",\"ownerReferences\":[{\"kind\":\"ReplicaSet\",\"uid\":\"rs\",\"controller\":true}]",
            w->classless ? 0 : -100, 10);
    }
    for (long i = 0; i < w->stray_pods; i++) {
        (void)snprintf(name, sizeof name, "stray%ld", i);
        add_pod(out, "filler", name, 1, "\"app\":\"miner\"", "", -100, 300);
    }
    for (long i = 0; i < w->paid_cores; i += 2) {
        (void)snprintf(name, sizeof name, "paid%ld", i);
        add_pod(out, "prod", name, 2, "", "", 0, 30);
    }
    for (long i = 0; i < w->gated_pods; i++)
        (void)strbuf_addf(
            out,
            "%s{\"metadata\":{\"name\":\"g%ld\",\"namespace\":\"filler\",\"uid\":\"g%ld\","
            "\"labels\":{"
            "\"app\":\"miner\"},\"creationTimestamp\":\"2026-10-01T10:00:00Z\",\"ownerReferences\":"
            "[{"
            "\"kind\":\"ReplicaSet\",\"uid\":\"rs\",\"controller\":true}]},\"spec\":{\"priority\":-"
            "100,"
            "\"terminationGracePeriodSeconds\":10,\"schedulingGates\":[{\"name\":\"brim.dev/"
            "room\"}],"
            "\"containers\":[{\"name\":\"a\",\"resources\":{\"requests\":{\"cpu\":\"1\"}}}]},"
            "\"status\":{\"phase\":\"Pending\"}}",
            out->at[out->len - 1] == '[' ? "" : ",", i, i);
    (void)strbuf_addf(out, "]}");
}

/* The pods without a node, as far as the stories need them. */
static void write_waiting(const struct world *w, struct strbuf *out)
{
    (void)strbuf_addf(out,
                      "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[");
    if (w->waiting_cores != 0)
        (void)strbuf_addf(
            out,
            "{\"metadata\":{\"name\":\"new\",\"namespace\":\"prod\",\"uid\":\"new\","
            "\"resourceVersion\":\"9\",\"creationTimestamp\":\"2026-10-01T10:00:00Z\"},\"spec\":{"
            "\"containers\":[{\"name\":\"a\",\"resources\":{\"requests\":{\"cpu\":\"%ld\"}}}]},"
            "\"status\":{\"phase\":\"Pending\",\"conditions\":[{\"type\":\"PodScheduled\","
            "\"status\":\"False\",\"reason\":\"Unschedulable\"}]}}",
            w->waiting_cores);
    (void)strbuf_addf(out, "]}");
}

static void write_scale(const struct world *w, struct strbuf *out)
{
    (void)strbuf_addf(out,
                      "{\"kind\":\"Scale\",\"metadata\":{\"name\":\"miner\",\"uid\":\"%s\","
                      "\"resourceVersion\":\"%d\"},\"spec\":{\"replicas\":%ld},\"status\":{"
                      "\"replicas\":%ld,\"selector\":"
                      "\"app=miner\"}}",
                      w->uid, w->version, w->replicas, w->filler_pods);
}

static bool path_is(const struct transfer *t, const char *prefix)
{
    return strncmp(t->path, prefix, strlen(prefix)) == 0;
}

static void answer_scale(struct world *w, struct transfer *t)
{
    struct strbuf body;
    bool patch = strcmp(t->method, "PATCH") == 0;

    if (w->missing || w->broken) {
        fake_json(t, w->missing ? 404 : 500,
                  w->missing ? "{\"kind\":\"Status\",\"code\":404,\"reason\":\"NotFound\"}"
                             : "{\"kind\":\"Status\",\"code\":500}");
        return;
    }
    if (patch && w->told_to_wait_s != 0) {
        w->patches++;
        fake_reply(t, 429, "text/plain", w->told_to_wait_s, "Too many requests.");
        return;
    }
    if (patch && w->lost_status != 0) {
        fake_reply(t, w->lost_status, "text/plain", -1, "no");
        w->broken = true;
        return;
    }
    if (patch) {
        const char *value = strstr(t->body, "\"replicas\":");

        w->patches++;
        w->scaled_at_us = w->fake.now.us;
        if (value == NULL)
            value = strrchr(t->body, ':') - strlen("\"replicas\"");
        cr_assert_eq(sscanf(value + strlen("\"replicas\":"), "%ld", &w->replicas), 1, "%s",
                     t->body);
        if (w->fixed_replicas != 0)
            w->replicas = w->fixed_replicas;
    } else {
        w->scale_reads++;
    }
    strbuf_init(&body, 4096);
    write_scale(w, &body);
    fake_json(t, 200, strbuf_str(&body));
    strbuf_done(&body);
}

static void answer(struct world *w, struct transfer *t)
{
    struct strbuf body;

    if (path_is(t, SCALE_PATH)) {
        answer_scale(w, t);
        return;
    }
    if (path_is(t, POD_PATH) && strcmp(t->method, "PATCH") == 0) {
        w->pod_patches++;
        if (w->refused_pod != NULL &&
            strncmp(t->path + strlen(POD_PATH), w->refused_pod, strlen(w->refused_pod)) == 0) {
            w->refusals++;
            fake_json(t, 403,
                      "{\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\",\"message\":"
                      "\"admission webhook \\\"x\\\" denied the request: not today\"}");
            return;
        }
        fake_json(t, w->pods_forbidden ? 403 : 200,
                  w->pods_forbidden ? "{\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\","
                                      "\"message\":\"pods is forbidden\"}"
                                    : "{}");
        return;
    }
    if (strstr(t->path, "sendInitialEvents") != NULL) {
        fake_json(t, 422, "{\"kind\":\"Status\",\"code\":422}");
        return;
    }
    if (strstr(t->path, "watch=") != NULL) {
        (void)fake_head(t, 200, "application/json", -1);
        return;
    }
    if (path_is(t, "/apis/events.k8s.io/") && strcmp(t->method, "POST") == 0) {
        (void)snprintf(w->last_event, sizeof w->last_event, "%s", t->body);
        w->rescaled += strstr(t->body, "\"SuccessfulRescale\"") != NULL;
        w->failed += strstr(t->body, "\"FailedRescale\"") != NULL;
    }
    strbuf_init(&body, 1 << 20);
    if (strstr(t->path, "spec.nodeName") != NULL) {
        write_waiting(w, &body);
    } else if (path_is(t, "/api/v1/pods")) {
        write_pods(w, &body);
    } else if (path_is(t, "/api/v1/nodes")) {
        (void)strbuf_addf(&body,
                          "{\"kind\":\"NodeList\","
                          "\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[{\"metadata\":{"
                          "\"name\":\"n1\",\"uid\":\"n1\"},\"spec\":{},\"status\":{\"allocatable\":"
                          "{\"cpu\":\"100\",\"memory\":\"1Ti\",\"pods\":\"500\"}}}%s]}",
                          w->second_node
                              ? ",{\"metadata\":{\"name\":\"n2\",\"uid\":\"n2\"},\"spec\":{},"
                                "\"status\":{\"allocatable\":{\"cpu\":\"20\",\"memory\":\"1Ti\","
                                "\"pods\":\"500\"}}}"
                              : "");
    } else if (path_is(t, "/apis/autoscaling/")) {
        (void)strbuf_addf(&body, "{\"items\":[%s]}",
                          w->owned ? "{\"metadata\":{\"name\":\"other\",\"namespace\":\"filler\"},"
                                     "\"spec\":{\"scaleTargetRef\":{\"apiVersion\":\"apps/v1\","
                                     "\"kind\":\"Deployment\",\"name\":\"miner\"}}}"
                                   : "");
    } else if (path_is(t, "/apis/keda.sh/")) {
        strbuf_done(&body);
        fake_json(t, 404, "{\"kind\":\"Status\",\"code\":404}");
        return;
    } else if (path_is(t, "/apis/apps/v1/") && w->target_status != 0) {
        strbuf_done(&body);
        fake_json(t, w->target_status, "{\"kind\":\"Status\",\"message\":\"no, thanks\"}");
        return;
    } else if (path_is(t, "/apis/apps/v1/")) {
        (void)strbuf_addf(
            &body,
            "{\"metadata\":{\"name\":\"miner\",\"uid\":\"%s\",\"resourceVersion\":\"%d\","
            "\"annotations\":{%s}},\"spec\":{\"template\":{\"spec\":{%s%"
            "s\"terminationGracePeriodSeconds\":10,"
            "\"containers\":[{\"name\":\"a\",\"resources\":{\"requests\":{\"cpu\":\"1\"}}}]"
            "}}}}",
            w->uid, w->version, w->annotations != NULL ? w->annotations : "",
            w->gated ? "\"schedulingGates\":[{\"name\":\"brim.dev/room\"}]," : "",
            w->classless ? "" : "\"priorityClassName\":\"f\",");
    } else {
        (void)strbuf_addf(&body, "{}");
    }
    fake_json(t, 200, strbuf_str(&body));
    strbuf_done(&body);
}

static bool is_held(const struct world *w, const struct transfer *t)
{
    if (w->mute && (path_is(t, "/api/v1/pods?") || path_is(t, "/api/v1/nodes?")))
        return true;
    if (w->hold_lists && path_is(t, "/api/v1/pods?limit=") &&
        strstr(t->path, "spec.nodeName") == NULL)
        return true;
    return strcmp(t->method, "PATCH") == 0 &&
           ((w->hold_patches && path_is(t, SCALE_PATH)) || (w->hold_pods && path_is(t, POD_PATH)));
}

/* Answers all that lies there (patches apart where they are held), a turn behind each answer. */
static void serve(struct world *w)
{
    for (int i = 0; i < 1000; i++) {
        struct transfer *t = fake_pending(&w->fake);

        while (t != NULL && (t->answering || is_held(w, t)))
            t = t->next;
        if (t == NULL)
            return;
        answer(w, t);
        turn_run(w->turn);
    }
    cr_assert_fail("requests without end");
}

/* Lets time pass in steps of 100 ms, with the server answering at once. */
static void live(struct world *w, int64_t ms)
{
    for (; ms > 0; ms -= 100) {
        fake_machine_look(&w->machine);
        fake_advance(&w->fake, 100 * US_PER_MS);
        turn_run(w->turn);
        serve(w);
    }
}

Test(turn, fills_what_paid_pods_leave_once_it_has_been_free_for_settle)
{
    struct world w;

    world_init(&w, 0, 30);
    live(&w, 24000);
    cr_assert_eq(w.replicas, 0);
    live(&w, 4000);
    cr_assert_eq(w.replicas, 66, "100 - 30 paid - 4 kept; is %ld", w.replicas);
    cr_assert_eq(w.patches, 1);
    world_done(&w);
}

Test(turn, gathers_what_nobody_waits_for_after_an_evaluation)
{
    struct world w;
    struct mono evaluated;

    world_init(&w, 0, 30);
    live(&w, 5000);
    turn_mark(w.turn);
    turn_run(w.turn);
    evaluated = w.turn->ticked_at;
    cr_assert_eq(evaluated.us, w.fake.now.us);
    w.facts->gathered = true;
    fake_advance(&w.fake, TURN_GATHER_US - 1);
    turn_run(w.turn);
    cr_assert_eq(w.turn->ticked_at.us, evaluated.us);
    fake_advance(&w.fake, 1);
    turn_run(w.turn);
    cr_assert_eq(w.turn->ticked_at.us, evaluated.us + TURN_GATHER_US, "its timer woke it");
    cr_assert_not(w.facts->gathered);
    w.facts->gathered = true;
    fake_advance(&w.fake, 1);
    w.facts->changed = true;
    turn_run(w.turn);
    cr_assert_eq(w.turn->ticked_at.us, w.fake.now.us, "somebody waits");
    fake_advance(&w.fake, TURN_GATHER_US + 1);
    w.facts->gathered = true;
    turn_run(w.turn);
    cr_assert_eq(w.turn->ticked_at.us, w.fake.now.us, "the last evaluation is long ago");
    world_done(&w);
}

Test(turn, a_start_is_no_decision_but_a_target_that_vanishes_is)
{
    struct world w;

    world_init(&w, 66, 30);
    turn_run(w.turn);
    cr_assert_eq(w.turn->fillers[0]->decision.reason, REASON_UNKNOWN);
    cr_assert_eq(w.turn->fillers[0]->n_recent, 0);
    live(&w, 10000);
    cr_assert_neq(w.turn->fillers[0]->decision.reason, REASON_UNKNOWN);
    for (size_t i = 0; i < w.turn->fillers[0]->n_recent; i++)
        cr_assert_neq(w.turn->fillers[0]->recent[i].decision.reason, REASON_UNKNOWN);
    cr_assert_eq(w.turn->fillers[0]->decisions_total[REASON_UNKNOWN], 0);
    w.missing = true;
    live(&w, 10000);
    cr_assert_eq(w.turn->fillers[0]->recent[0].decision.reason, REASON_UNKNOWN);
    cr_assert_eq(w.turn->fillers[0]->decisions_total[REASON_UNKNOWN], 1);
    world_done(&w);
}

Test(turn, an_agent_that_starts_beside_filler_changes_nothing)
{
    struct world w;

    world_init(&w, 66, 30);
    live(&w, 60000);
    cr_assert_eq(w.patches, 0);
    world_done(&w);
}

Test(turn, a_target_that_could_not_be_read_at_first_loses_nothing)
{
    static const struct {
        const char *name;
        bool missing, broken;
    } rows[] = {{"missing", true, false}, {"broken", false, true}};

    for (size_t i = 0; i < 2; i++) {
        struct world w;

        world_init(&w, 66, 30);
        w.missing = rows[i].missing;
        w.broken = rows[i].broken;
        live(&w, 12000);
        w.missing = w.broken = false;
        live(&w, 60000);
        cr_assert_eq(w.patches, 0, "%s: %d patches, replicas %ld", rows[i].name, w.patches,
                     w.replicas);
        world_done(&w);
    }
}

Test(turn, a_target_that_goes_and_comes_back_under_its_name_keeps_its_filler)
{
    struct world w;

    world_init(&w, 66, 30);
    live(&w, 30000);
    w.missing = true;
    live(&w, 8000);
    w.missing = false;
    w.uid = "u2";
    live(&w, 60000);
    cr_assert_eq(w.patches, 0, "replicas %ld", w.replicas);
    world_done(&w);
}

Test(turn, a_stray_pod_with_filler_s_labels_costs_no_requests)
{
    struct world w;
    int reads;

    world_init(&w, 65, 30);
    w.stray_pods = 1;
    live(&w, 30000);
    reads = w.scale_reads;
    live(&w, 20000);
    cr_assert_leq(w.scale_reads - reads, 5, "the scale is read every 5 s: %d in 20 s",
                  w.scale_reads - reads);
    cr_assert_eq(w.patches, 0);
    cr_assert_eq(w.facts->fillers[0].claims.grace_us, 10 * US_PER_S);
    world_done(&w);
}

Test(turn, what_somebody_adds_above_the_wanted_count_is_taken_down)
{
    struct world w;

    world_init(&w, 66, 30);
    live(&w, 30000);
    w.replicas = 90;
    live(&w, 6000);
    cr_assert_eq(w.replicas, 66);
    world_done(&w);
}

Test(turn, a_write_that_is_not_answered_is_not_followed_by_growth)
{
    struct world w;

    world_init(&w, 0, 30);
    w.hold_patches = true;
    live(&w, 40000);
    cr_assert_eq(w.patches, 0);
    cr_assert_eq(w.turn->fillers[0]->act.in_flight, 1);
    w.hold_patches = false;
    live(&w, 3000);
    cr_assert_eq(w.patches, 1);
    cr_assert_eq(w.replicas, 66);
    world_done(&w);
}

static void expect_able(const struct world *w, const char *reason)
{
    struct snapshot *s = snapshot_slot_get(w->machine.slot);

    cr_expect_str_eq(s->fillers[0].able.reason, reason, "%s", s->fillers[0].able.message);
    snapshot_unref(s);
}

Test(turn, a_count_that_admission_fixes_is_asked_for_ever_more_seldom)
{
    struct world w;

    world_init(&w, 90, 30);
    w.fixed_replicas = 90;
    live(&w, 130000);
    cr_assert_geq(w.patches, 6, "%d patches", w.patches);
    cr_assert_leq(w.patches, 8, "%d patches", w.patches);
    expect_able(&w, "ScaleAltered");
    w.fixed_replicas = 0;
    live(&w, 70000);
    cr_assert_eq(w.replicas, 66);
    cr_assert_leq(w.patches, 9, "%d patches", w.patches);
    expect_able(&w, "ReadyForNewScale");
    world_done(&w);
}

static void heard(void *self)
{
    ++*(int *)self;
}

Test(turn, who_waits_for_what_is_on_the_nodes_has_it_at_once)
{
    struct world w;
    struct boards *boards;
    struct room_view *room;
    struct nodes_view *nodes;
    int told = 0;
    struct board_waiter waiters[2] = {{.done = heard, .self = &told},
                                      {.done = heard, .self = &told}};
    const struct mono never = {0};

    world_init(&w, 90, 30);
    live(&w, 2000);
    boards = snapshot_slot_boards(w.machine.slot);
    cr_assert_null(board_ask(boards->room, w.fake.now));
    cr_assert_null(nodes_board_ask(&boards->nodes, never));
    cr_assert(board_wait(boards->room, &waiters[0]));
    cr_assert_eq(told, 1);
    room = (struct room_view *)board_ask(boards->room, w.fake.now);
    cr_assert_not_null(room);
    cr_assert_geq(room->n, 1);
    room_view_unref(room);
    nodes = nodes_board_ask(&boards->nodes, w.fake.now);
    cr_expect_null(nodes, "nobody waits for it, and who asked did so long ago");
    cr_assert(board_wait(boards->nodes.board, &waiters[1]));
    cr_assert_eq(told, 2);
    nodes = nodes_board_ask(&boards->nodes, w.fake.now);
    cr_assert_not_null(nodes);
    nodes_view_unref(nodes);
    world_done(&w);
}

Test(turn, the_snapshot_tells_what_was_decided)
{
    struct world w;
    struct snapshot *s;

    world_init(&w, 0, 30);
    live(&w, 30000);
    s = snapshot_slot_get(w.machine.slot);
    cr_assert_not_null(s);
    cr_assert(s->ready);
    cr_assert_eq(s->fillers[0].desired, 66);
    cr_assert_eq(s->fillers[0].remaining_milli, 70000);
    cr_assert_eq(s->fillers[0].kept_slots, 4);
    cr_assert_str_eq(s->fillers[0].able.reason, "ReadyForNewScale");
    snapshot_unref(s);
    world_done(&w);
}

Test(turn, annotations_of_the_target_hold_it_and_let_it_go)
{
    struct world w;

    world_init(&w, 0, 30);
    w.version = 1;
    w.annotations = "\"brim.dev/paused-up\":\"true\"";
    live(&w, 40000);
    cr_assert_eq(w.patches, 0);
    cr_assert_eq(w.turn->fillers[0]->decision.reason, REASON_PAUSED);
    w.version = 2;
    w.annotations = "\"brim.dev/paused-up\":\"false\"";
    live(&w, 8000);
    cr_assert_eq(w.replicas, 66);
    world_done(&w);
}

Test(turn, nothing_grows_before_a_pause_was_looked_for_unless_that_is_forbidden)
{
    static const struct {
        int status;
        bool able;
        long replicas;
    } rows[] = {{500, false, 0}, {403, true, 66}};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct snapshot *s;

        world_init(&w, 0, 30);
        w.target_status = rows[i].status;
        w.filler_pods = 1; /* tells the shape, as the template cannot */
        live(&w, 40000);
        cr_assert_eq(w.replicas, rows[i].replicas, "%d: %ld", rows[i].status, w.replicas);
        s = snapshot_slot_get(w.machine.slot);
        cr_assert_eq(s->fillers[0].able.status, rows[i].able, "%d", rows[i].status);
        cr_assert_str_eq(s->fillers[0].able.reason, "PauseUnknown", "%d", rows[i].status);
        cr_assert_not_null(strstr(s->fillers[0].able.message, "no, thanks"), "%s",
                           s->fillers[0].able.message);
        snapshot_unref(s);
        w.target_status = 0;
        w.annotations = "\"brim.dev/paused\":\"true\"";
        w.version = 1;
        live(&w, 10000);
        cr_assert(workload_view(w.workload)->pause.up, "%d", rows[i].status);
        s = snapshot_slot_get(w.machine.slot);
        cr_assert_str_eq(s->fillers[0].able.reason, "ReadyForNewScale");
        snapshot_unref(s);
        w.target_status = 500; /* what was read once stands */
        w.version = 2;
        live(&w, 60000);
        cr_assert(workload_view(w.workload)->pause.up, "%d", rows[i].status);
        cr_assert_eq(w.replicas, rows[i].replicas);
        world_done(&w);
    }
}

Test(turn, without_the_right_to_patch_pods_one_is_tried_a_minute_and_scaling_goes_on)
{
    struct world w;
    struct snapshot *s;
    int before;

    world_init(&w, 66, 30);
    w.filler_pods = 60;
    w.gated_pods = 6;
    w.gated = w.pods_forbidden = true;
    live(&w, 30000);
    cr_assert_gt(w.pod_patches, 0);
    s = snapshot_slot_get(w.machine.slot);
    cr_assert_str_eq(s->fillers[0].placed.reason, "Forbidden");
    cr_assert_not_null(strstr(s->fillers[0].placed.message, "patch"));
    snapshot_unref(s);
    before = w.pod_patches;
    live(&w, 120000);
    cr_assert_leq(w.pod_patches - before, 2);
    cr_assert_geq(w.pod_patches - before, 1);
    w.pods_forbidden = false;
    live(&w, 70000);
    s = snapshot_slot_get(w.machine.slot);
    cr_assert_str_eq(s->fillers[0].placed.reason, "ByGate");
    cr_assert_geq(s->fillers[0].admitted_total, 1);
    snapshot_unref(s);
    world_done(&w);
}

/* Reason of the condition PodsPlaced. */
static void expect_placed(const struct world *w, const char *reason)
{
    struct snapshot *s = snapshot_slot_get(w->machine.slot);

    cr_expect_str_eq(s->fillers[0].placed.reason, reason);
    cr_expect_eq(s->fillers[0].placed.status, strcmp(reason, "ByGate") == 0);
    snapshot_unref(s);
}

Test(turn, a_pod_that_admission_refuses_keeps_no_other_one_out)
{
    struct world w;

    world_init(&w, 66, 30);
    w.filler_pods = 60;
    w.gated_pods = 6;
    w.gated = true;
    w.refused_pod = "g3";
    live(&w, 500);
    cr_assert_eq(w.pod_patches, 6, "%d patches", w.pod_patches);
    cr_assert_eq(w.refusals, 1);
    live(&w, 130000);
    cr_assert_geq(w.refusals, 6, "it is tried again: %d times", w.refusals);
    cr_assert_leq(w.refusals, 8, "ever more seldom: %d times", w.refusals);
    world_done(&w);
}

Test(turn, says_that_admission_refuses_pods_until_it_does_not)
{
    struct world w;

    world_init(&w, 66, 30);
    w.filler_pods = 60;
    w.gated_pods = 6;
    w.gated = true;
    w.refused_pod = "";
    live(&w, 5000);
    expect_placed(&w, "Refused");
    w.refused_pod = NULL;
    live(&w, 70000);
    expect_placed(&w, "ByGate");
    world_done(&w);
}

Test(turn, deletion_costs_go_before_the_scale_but_hold_it_for_a_second_at_most)
{
    static const struct {
        const char *name;
        bool hold;
        int64_t least_ms, most_ms;
    } rows[] = {{"answered", false, 0, 500}, {"not answered", true, 900, 1500}};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        int64_t from;

        world_init(&w, 66, 30);
        live(&w, 30000);
        w.hold_pods = rows[i].hold;
        w.replicas = w.filler_pods = 70;
        watch_stop(w.pods);
        watch_start(w.pods);
        workload_refresh(w.workload);
        from = w.fake.now.us;
        live(&w, 3000);
        w.hold_pods = false;
        live(&w, 100);
        cr_assert_eq(w.replicas, 66, "%s", rows[i].name);
        cr_assert_gt(w.pod_patches, 0, "%s: no costs", rows[i].name);
        cr_assert_geq(w.scaled_at_us - from, rows[i].least_ms * US_PER_MS, "%s", rows[i].name);
        cr_assert_leq(w.scaled_at_us - from, rows[i].most_ms * US_PER_MS, "%s: %lld us",
                      rows[i].name, (long long)(w.scaled_at_us - from));
        world_done(&w);
    }
}

Test(turn, a_schedule_changes_the_policy_at_its_time)
{
    static const char text[] =
        "apiVersion: brim.dev/v1\nkind: FillerPolicy\nmetadata: {name: miner}\nspec:\n"
        "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}\n"
        "  replicas: {min: 0, max: 150}\n"
        "  headroom: {mode: fixed, max: 4}\n"
        "  settle: 25s\n"
        "  schedule:\n"
        "    - {days: mon-sun, from: \"14:15\", to: \"15:00\", zone: UTC, replicas: {max: 20}}\n";
    struct world w;

    world_init_of(&w, text, 66, 30);
    /* The fake's clock begins at 14:13:20. */
    live(&w, 90000);
    cr_assert_eq(w.replicas, 66);
    live(&w, 15000);
    cr_assert_eq(w.replicas, 20, "%ld", w.replicas);
    world_done(&w);
}

static const char affinity_text[] =
    "apiVersion: brim.dev/v1\nkind: FillerPolicy\nmetadata: {name: miner}\nspec:\n"
    "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}\n"
    "  replicas: {min: 0, max: 150}\n"
    "  headroom: {mode: fixed, max: 4}\n"
    "  settle: 25s\n"
    "  placement: affinity\n";

Test(turn, without_the_gate_no_pod_of_a_filler_with_a_class_is_patched)
{
    struct world w;

    world_init_of(&w, affinity_text, 70, 30);
    live(&w, 3000);
    cr_assert_eq(w.replicas, 66);
    cr_assert_eq(w.pod_patches, 0);
    world_done(&w);
}

Test(turn, filler_without_a_class_is_marked_without_the_gate_too_where_that_is_allowed)
{
    static const struct {
        const char *name;
        bool forbidden;
        const char *placed;
    } rows[] = {{"allowed", false, "ByScheduler"}, {"forbidden", true, "Forbidden"}};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct snapshot *s;

        world_init_of(&w, affinity_text, 70, 30);
        w.classless = true;
        w.pods_forbidden = rows[i].forbidden;
        live(&w, 5000);
        cr_assert_eq(w.replicas, 66, "%s: %ld", rows[i].name, w.replicas);
        cr_assert_eq(w.pod_patches, 4, "%s: %d", rows[i].name, w.pod_patches);
        s = snapshot_slot_get(w.machine.slot);
        cr_assert_str_eq(s->fillers[0].placed.reason, rows[i].placed, "%s", rows[i].name);
        cr_assert_eq(s->fillers[0].placed.status, !rows[i].forbidden);
        cr_assert_eq(strstr(s->fillers[0].placed.message, "PriorityClass") != NULL,
                     rows[i].forbidden, "%s", s->fillers[0].placed.message);
        snapshot_unref(s);
        world_done(&w);
    }
}

Test(turn, what_a_dry_run_pretended_counts_no_more_once_the_policy_controls)
{
    static const char text[] =
        "apiVersion: brim.dev/v1\nkind: FillerPolicy\nmetadata: {name: miner}\nspec:\n"
        "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}\n"
        "  replicas: {min: 0, max: 150}\n"
        "  headroom: {mode: fixed, max: 4}\n"
        "  settle: 25s\n"
        "  mode: dry-run\n";
    struct world w;
    struct policy_list control = {0}, dry = {0};

    cr_assert(policy_read(SV("p"), sv_from(policy_text), &control, NULL));
    cr_assert(policy_read(SV("p"), sv_from(text), &dry, NULL));
    world_init_of(&w, text, 0, 30);
    live(&w, 30000);
    cr_assert_eq(w.turn->fillers[0]->decision.replicas, 66);
    cr_assert_eq(w.patches, 0);
    turn_set_policy(w.turn, 0, control.at[0]);
    live(&w, 24000);
    cr_assert_eq(w.turn->fillers[0]->from, 0, "the real count");
    cr_assert_eq(w.patches, 0, "room that was free for settle is asked for, replicas %ld",
                 w.replicas);
    live(&w, 6000);
    cr_assert_eq(w.replicas, 66, "%ld", w.replicas);
    cr_assert_eq(w.patches, 1);
    turn_set_policy(w.turn, 0, dry.at[0]);
    w.paid_cores = 60;
    watch_stop(w.pods);
    watch_start(w.pods);
    live(&w, 10000);
    cr_assert_eq(w.turn->fillers[0]->decision.replicas, 36);
    cr_assert_eq(w.replicas, 66, "a dry run writes nothing");
    world_done(&w);
    policy_list_done(&dry);
    policy_list_done(&control);
}

/* Beside the 30 paid cores a pod of a core that stayed half a minute, each minute of the last hour. */
static void tell_history(struct past *p, struct wall now)
{
    struct shape node = {.ready = true}, pod = {0}, paid = {0};
    int64_t begin_ms = now.us / US_PER_MS - 3600 * 1000;

    node.amount.at[RESOURCE_CPU] = 100000;
    pod.amount.at[RESOURCE_CPU] = 1000;
    paid.amount.at[RESOURCE_CPU] = 30000;
    past_event(p, &(struct event){.kind = EVENT_GAP, .t_ms = begin_ms, .resets = true});
    past_event(
        p, &(struct event){.kind = EVENT_NODE, .t_ms = begin_ms, .node = SV("n1"), .shape = &node});
    past_event(p, &(struct event){.kind = EVENT_POD_FOUND,
                                  .t_ms = begin_ms,
                                  .pod = 60,
                                  .shape = &paid,
                                  .node = SV("n1")});
    for (uint64_t i = 0; i < 60; i++) {
        int64_t t_ms = begin_ms + (int64_t)i * 60000;

        past_event(p,
                   &(struct event){
                       .kind = EVENT_POD_CREATED, .t_ms = t_ms + 10000, .pod = i, .shape = &pod});
        past_event(p, &(struct event){.kind = EVENT_POD_GONE, .t_ms = t_ms + 40000, .pod = i});
    }
}

static const char learning_text[] =
    "apiVersion: brim.dev/v1\nkind: FillerPolicy\nmetadata: {name: miner}\nspec:\n"
    "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}\n"
    "  replicas: {min: 0, max: 150}\n"
    "  headroom: {max: 10}\n"
    "  settle: 25s\n";

static void with_name(char text[static sizeof learning_text + 8], const char *name)
{
    static const char was[] = "{name: miner}";
    const char *at = strstr(learning_text, was);

    (void)snprintf(text, sizeof learning_text + 8, "%.*s{name: %s}%s", (int)(at - learning_text),
                   learning_text, name, at + strlen(was));
}

static const char *name_in_force(const struct world *w)
{
    static char name[32];

    (void)snprintf(name, sizeof name, "%.*s", SV_ARG(w->turn->fillers[0]->policy->name));
    return name;
}

Test(turn, a_filler_is_unknown_until_its_past_was_read)
{
    struct past *past = past_new();
    struct world w;

    world_init_of(&w, learning_text, 60, 30);
    turn_expect_past(w.turn, past);
    live(&w, 1500);
    cr_assert_eq(w.turn->fillers[0]->decision.reason, REASON_UNKNOWN);
    tell_history(past, w.fake.wall);
    past_end(past);
    live(&w, 100);
    cr_assert_neq(w.turn->fillers[0]->decision.reason, REASON_UNKNOWN);
    cr_assert_eq(w.turn->fillers[0]->plan.headroom.kind, HEADROOM_USUAL, "%s",
                 headroom_kind_name(w.turn->fillers[0]->plan.headroom.kind));
    cr_assert_eq(w.turn->fillers[0]->plan.headroom.need, 1000);
    cr_assert_eq(w.patches, 0, "10 cores would have been kept free");
    world_done(&w);
}

Test(turn, a_past_that_takes_too_long_is_learned_when_it_comes)
{
    struct past *past = past_new();
    struct world w;

    world_init_of(&w, learning_text, 60, 30);
    turn_expect_past(w.turn, past);
    live(&w, 3000);
    cr_assert_eq(w.turn->fillers[0]->plan.headroom.kind, HEADROOM_CAREFUL);
    live(&w, 10000);
    tell_history(past, w.fake.wall);
    past_end(past);
    live(&w, 5000);
    cr_assert_eq(w.turn->fillers[0]->plan.headroom.kind, HEADROOM_USUAL, "%s",
                 headroom_kind_name(w.turn->fillers[0]->plan.headroom.kind));
    cr_assert_eq(w.turn->fillers[0]->plan.headroom.need, 1000);
    world_done(&w);
}

/* The planner has been asked for long then. The target is the same, its policy another one. */
Test(turn, a_policy_that_comes_later_learns_from_the_past)
{
    char text[sizeof learning_text + 8];
    struct past *past = past_new();
    struct world w;

    world_init_of(&w, learning_text, 60, 30);
    live(&w, 60000);
    cr_assert_eq(w.turn->fillers[0]->plan.headroom.kind, HEADROOM_CAREFUL);
    with_name(text, "another");
    write_policy(&w, text);
    live(&w, 100);
    cr_assert_str_eq(name_in_force(&w), "miner");
    turn_expect_past(w.turn, past);
    live(&w, 1000);
    cr_assert_str_eq(name_in_force(&w), "another");
    cr_assert_eq(w.turn->fillers[0]->decision.reason, REASON_UNKNOWN);
    tell_history(past, w.fake.wall);
    past_end(past);
    live(&w, 100);
    cr_assert_neq(w.turn->fillers[0]->decision.reason, REASON_UNKNOWN);
    cr_assert_eq(w.turn->fillers[0]->plan.headroom.kind, HEADROOM_USUAL, "%s",
                 headroom_kind_name(w.turn->fillers[0]->plan.headroom.kind));
    world_done(&w);
}

/* What the filler's condition ScalingActive says, and the reason and text of its newest decision. */
static void expect_cause(const struct world *w, const char *reason, const char *message)
{
    struct snapshot *s = snapshot_slot_get(w->machine.slot);
    const struct snapshot_filler *f = &s->fillers[0];
    char detail[SNAPSHOT_TEXT_SIZE + 16];

    (void)snprintf(detail, sizeof detail, "unknown: %s", message);
    cr_expect_eq(f->reason, REASON_UNKNOWN, "%s: %s", reason, reason_name(f->reason));
    cr_expect_str_eq(f->active.reason, reason);
    cr_expect_str_eq(f->active.message, message);
    cr_expect_str_eq(f->decisions[0].detail, detail);
    cr_expect_str_eq(f->detail, "", "nothing is decided: %s", f->detail);
    cr_expect_not(snapshot_decided(f));
    snapshot_unref(s);
}

Test(turn, what_is_said_is_of_now_and_so_is_the_cause_of_saying_nothing)
{
    struct world w;
    struct snapshot *s;

    world_init(&w, 66, 30);
    live(&w, 30000);
    w.paid_cores = 20;
    watch_stop(w.pods);
    watch_start(w.pods);
    live(&w, 10000);
    s = snapshot_slot_get(w.machine.slot);
    cr_assert_eq(s->fillers[0].reason, REASON_HOLD);
    cr_assert(sv_starts(sv_from(s->fillers[0].detail), SV("hold 66: 80 fit, 4 kept free; ")), "%s",
              s->fillers[0].detail);
    snapshot_unref(s);

    turn_let_go(w.turn, 0, true);
    live(&w, 1000);
    expect_cause(&w, "PolicyGone", "its policy is gone: the target is left as it is");
    turn_let_go(w.turn, 0, false);
    live(&w, 1000);
    w.owned = true;
    live(&w, 60000);
    expect_cause(&w, "AnotherAutoscaler",
                 "HorizontalPodAutoscaler filler/other scales it too: left alone");
    w.owned = false;
    live(&w, 60000);
    w.missing = true;
    live(&w, 10000);
    expect_cause(&w, "TargetMissing", "Deployment filler/miner does not exist");
    world_done(&w);
}

Test(turn, a_policy_that_vanished_holds_its_count_for_five_minutes_and_lets_go_then)
{
    char text[sizeof policy_text + 40];
    struct world w;

    (void)snprintf(text, sizeof text, "%s  onRemove: restore\n", policy_text);
    world_init_of(&w, text, 12, 30);
    live(&w, 30000);
    cr_assert_eq(w.replicas, 66);
    remove_policy(&w);
    live(&w, 2000);
    w.paid_cores = 60;
    watch_stop(w.pods);
    watch_start(w.pods);
    live(&w, POLICY_SET_HOLD_US / US_PER_MS - 2000);
    cr_assert_eq(w.patches, 1, "held, though the paid load wants its room");
    live(&w, 2000);
    cr_assert_eq(w.patches, 2);
    cr_assert_eq(w.replicas, 12, "what was found is given back");
    world_done(&w);
}

static void relist(struct world *w)
{
    watch_stop(w->pods);
    watch_start(w->pods);
}

Test(turn, yields_to_a_pod_that_waits_before_all_pods_are_listed_anew)
{
    struct world w;

    world_init(&w, 0, 30);
    live(&w, 30000);
    cr_assert_eq(w.replicas, 66);
    w.filler_pods = 66;
    w.hold_lists = true;
    w.waiting_cores = 4;
    relist(&w);
    live(&w, 1000);
    cr_assert(watch_stats(w.pods)->listing);
    cr_assert_eq(w.replicas, 62, "4 cores wait; is %ld", w.replicas);
    /* It was deleted: the list tells, and what it left is free once settle is over. */
    w.filler_pods = 62;
    w.waiting_cores = 0;
    w.hold_lists = false;
    live(&w, 20000);
    cr_assert_not(watch_stats(w.pods)->listing);
    cr_assert_eq(w.replicas, 62);
    live(&w, 10000);
    cr_assert_eq(w.replicas, 66, "is %ld", w.replicas);
    world_done(&w);
}

Test(turn, grows_only_once_all_pods_are_listed_anew)
{
    struct world w;

    world_init(&w, 0, 30);
    live(&w, 20000);
    w.hold_lists = true;
    relist(&w);
    live(&w, 30000);
    cr_assert_eq(w.replicas, 0, "grew to %ld on half an account", w.replicas);
    w.hold_lists = false;
    live(&w, 7000);
    cr_assert_eq(w.replicas, 66, "the history stays; is %ld: %s", w.replicas,
                 reason_name(w.turn->fillers[0]->decision.reason));
    world_done(&w);
}

/* The same with a server that takes its time, up to `delay_ms`, for every answer. */
static void live_slowly(struct world *w, int64_t ms, int64_t delay_ms)
{
    for (int64_t at = 0; at < ms; at += 100) {
        fake_machine_look(&w->machine);
        fake_advance(&w->fake, 100 * US_PER_MS);
        turn_run(w->turn);
        cr_assert_neq(w->turn->fillers[0]->decision.reason, REASON_STALE, "stale after %lld ms",
                      (long long)at);
        if (at % delay_ms == 0)
            serve(w);
    }
}

Test(turn, a_quiet_cluster_is_neither_stale_nor_kept_from_growing_by_a_short_stale_after)
{
    char text[sizeof policy_text + 40];

    (void)snprintf(text, sizeof text, "%s  stale: {after: 5s}\n", policy_text);
    for (int64_t delay_ms = 100; delay_ms <= 500; delay_ms += 100) {
        for (int64_t begin_ms = 100; begin_ms <= 2000; begin_ms += 100) {
            struct world w;

            world_init_of(&w, text, 0, 30);
            live(&w, begin_ms);
            live_slowly(&w, 28000 - begin_ms, delay_ms);
            cr_assert_eq(w.replicas, 66, "begun after %lld ms, answers in %lld ms: %ld",
                         (long long)begin_ms, (long long)delay_ms, w.replicas);
            cr_assert_eq(watch_silence(w.pods), 5 * US_PER_S / 3);
            cr_assert_eq(watch_silence(w.nodes), 5 * US_PER_S / 3);
            live_slowly(&w, 60000, delay_ms);
            cr_assert_eq(w.patches, 1);
            world_done(&w);
        }
    }
}

/* Streams stand, and nobody answers what is asked to find out whether they live. */
Test(turn, on_facts_that_nobody_vouches_for_is_done_what_the_policy_says)
{
    static const struct {
        const char *then;
        long replicas;
    } rows[] = {{"hold", 66}, {"shrink", 0}};
    char text[sizeof policy_text + 60];

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;

        (void)snprintf(text, sizeof text, "%s  stale: {after: 20s, then: %s}\n", policy_text,
                       rows[i].then);
        world_init_of(&w, text, 0, 30);
        live(&w, 30000);
        cr_assert_eq(w.replicas, 66, "%s: is %ld", rows[i].then, w.replicas);
        w.mute = true;
        live(&w, 13000);
        cr_assert_neq(w.turn->fillers[0]->decision.reason, REASON_STALE, "%s", rows[i].then);
        cr_assert_eq(w.replicas, 66, "%s: is %ld", rows[i].then, w.replicas);
        live(&w, 9000);
        cr_assert_eq(w.turn->fillers[0]->decision.reason, REASON_STALE, "%s: %s", rows[i].then,
                     reason_name(w.turn->fillers[0]->decision.reason));
        cr_assert_eq(w.replicas, rows[i].replicas, "%s: is %ld", rows[i].then, w.replicas);
        live(&w, 60000);
        cr_assert_eq(w.replicas, rows[i].replicas, "%s: is %ld", rows[i].then, w.replicas);
        w.mute = false;
        live(&w, 100000);
        cr_assert_eq(w.replicas, 66, "%s: is %ld afterwards", rows[i].then, w.replicas);
        world_done(&w);
    }
}

Test(turn, growth_waits_as_the_server_tells_it)
{
    struct world w;

    world_init(&w, 0, 30);
    w.told_to_wait_s = 40;
    live(&w, 65000);
    cr_assert_eq(w.patches, 1, "%d patches", w.patches);
    cr_assert_eq(w.rescaled, 0, "it was not: %s", w.last_event);
    cr_assert_eq(w.failed, 1);
    cr_assert_not_null(strstr(w.last_event, "New size: 66; reason: "), "%s", w.last_event);
    cr_assert_not_null(strstr(w.last_event, "; error: "), "%s", w.last_event);
    live(&w, 7000);
    cr_assert_eq(w.patches, 2, "%d patches", w.patches);
    cr_assert_eq(w.failed, 1, "told once until something is taken");
    cr_assert_eq(w.turn->fillers[0]->decisions_total[REASON_HARVEST], 1,
                 "asked again is not decided again");
    w.told_to_wait_s = 0;
    live(&w, 32000);
    cr_assert_eq(w.replicas, 0);
    live(&w, 7000);
    cr_assert_eq(w.replicas, 66, "is %ld", w.replicas);
    cr_assert_eq(w.rescaled, 1);
    cr_assert_not_null(strstr(w.last_event, "\"SuccessfulRescale\""), "%s", w.last_event);
    world_done(&w);
}

Test(turn, what_a_proxy_says_is_no_word_of_what_became_of_a_write)
{
    static const struct {
        int status;
        bool may_have;
    } rows[] = {{400, false}, {403, false}, {422, false}, {408, true}, {500, true}, {502, true}};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;

        world_init(&w, 0, 30);
        w.lost_status = rows[i].status;
        while (!w.broken)
            live(&w, 100);
        cr_expect_eq(workload_may_have_set(w.workload, 66), rows[i].may_have, "%d", rows[i].status);
        world_done(&w);
    }
}

Test(turn, a_node_that_a_new_list_does_not_name_is_gone)
{
    struct world w;

    world_init(&w, 0, 30);
    w.second_node = true;
    live(&w, 30000);
    cr_assert_eq(w.replicas, 86, "is %ld", w.replicas);
    w.second_node = false;
    watch_stop(w.nodes);
    watch_start(w.nodes);
    live(&w, 1000);
    cr_assert_eq(w.replicas, 66, "is %ld", w.replicas);
    world_done(&w);
}
