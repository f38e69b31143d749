#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "agent/kube/scale.h"
#include "base/alloc.h"
#include "tests/unit/agent/fake_kube.h"

/* What the last operation ended with, copied. */
struct seen {
    int calls;
    enum err_kind kind;
    int status;
    char text[256];
    char uid[64], version[64], selector[256], owner[96];
    char rests[64], up_by[64], down_by[64];
    bool up, down;
    char pod[2048];
    int64_t replicas, status_replicas;
};

static void copy(char *to, size_t size, struct sv text)
{
    cr_assert_lt(text.len, size);
    if (text.len != 0)
        memcpy(to, text.at, text.len);
    to[text.len] = '\0';
}

static void on_result(void *self, const struct scale_result *r)
{
    struct seen *s = self;
    int calls = s->calls + 1;

    *s = (struct seen){.calls = calls};
    if (r->problem != NULL) {
        s->kind = r->problem->err.kind;
        s->status = r->problem->status;
        copy(s->text, sizeof s->text, sv_from(r->problem->err.text));
        return;
    }
    copy(s->uid, sizeof s->uid, r->scale.uid.len != 0 ? r->scale.uid : r->uid);
    copy(s->version, sizeof s->version, r->scale.resource_version);
    copy(s->selector, sizeof s->selector, r->scale.selector);
    if (r->owner_kind != NULL)
        (void)snprintf(s->owner, sizeof s->owner, "%s %.*s", r->owner_kind, SV_ARG(r->owner));
    copy(s->rests, sizeof s->rests, r->scale.rests);
    s->up = r->pause.up;
    s->down = r->pause.down;
    copy(s->up_by, sizeof s->up_by, sv_from(r->pause.up_by));
    copy(s->down_by, sizeof s->down_by, sv_from(r->pause.down_by));
    copy(s->pod, sizeof s->pod, r->pod_json);
    s->replicas = r->scale.replicas;
    s->status_replicas = r->scale.status_replicas;
}

struct rig {
    struct fake fake;
    struct kube_config config;
    struct transport transport;
    struct timers timers;
    struct client *client;
    struct scaler *scaler;
    struct seen seen;
};

static void rig_init(struct rig *r, const char *api_version, const char *kind)
{
    *r = (struct rig){0};
    fake_init(&r->fake);
    r->transport = fake_transport(&r->fake);
    r->timers = fake_timers(&r->fake);
    r->client = client_new(&r->config, &r->transport, &r->timers);
    r->scaler = scaler_new(
        r->client,
        &(struct target){.api_version = api_version, .kind = kind, .ns = "n s", .name = "miner"});
}

static void rig_done(struct rig *r)
{
    scaler_free(r->scaler);
    client_free(r->client);
    fake_done(&r->fake);
}

static const struct {
    const char *api_version, *kind, *path;
} kinds[] = {
    {"apps/v1", "Deployment", "/apis/apps/v1/namespaces/n%20s/deployments/miner/scale"},
    {"apps/v1", "StatefulSet", "/apis/apps/v1/namespaces/n%20s/statefulsets/miner/scale"},
    {"apps/v1", "ReplicaSet", "/apis/apps/v1/namespaces/n%20s/replicasets/miner/scale"},
    {"v1", "ReplicationController", "/api/v1/namespaces/n%20s/replicationcontrollers/miner/scale"},
};

Test(scale, knows_where_the_built_in_kinds_are)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct rig r;

        rig_init(&r, kinds[i].api_version, kinds[i].kind);
        (void)scale_get(r.scaler, on_result, &r.seen);
        cr_assert_str_eq(fake_pending(&r.fake)->path, kinds[i].path);
        cr_assert_str_eq(fake_pending(&r.fake)->method, "GET");
        fake_json(
            fake_pending(&r.fake), 200,
            "{\"metadata\":{\"uid\":\"u1\",\"resourceVersion\":\"9\"},\"spec\":{\"replicas\":5},"
            "\"status\":{\"replicas\":4,\"selector\":\"app=x\"}}");
        cr_assert_eq(r.seen.calls, 1);
        cr_assert_eq(r.seen.replicas, 5);
        cr_assert_eq(r.seen.status_replicas, 4);
        cr_assert_str_eq(r.seen.uid, "u1");
        cr_assert_str_eq(r.seen.version, "9");
        cr_assert_str_eq(r.seen.selector, "app=x");
        rig_done(&r);
    }
}

static const struct {
    const char *name, *body;
    bool good;
    int64_t replicas;
} scales[] = {
    {"zero is left out", "{\"metadata\":{\"uid\":\"u\"},\"spec\":{},\"status\":{\"replicas\":0}}",
     true, 0},
    {"no spec at all", "{\"metadata\":{\"uid\":\"u\"}}", true, 0},
    {"largest", "{\"metadata\":{\"uid\":\"u\"},\"spec\":{\"replicas\":2147483647}}", true,
     2147483647},
    {"negative", "{\"metadata\":{\"uid\":\"u\"},\"spec\":{\"replicas\":-1}}", false, 0},
    {"fraction", "{\"metadata\":{\"uid\":\"u\"},\"spec\":{\"replicas\":1.5}}", false, 0},
    {"too large", "{\"metadata\":{\"uid\":\"u\"},\"spec\":{\"replicas\":2147483648}}", false, 0},
    {"text", "{\"metadata\":{\"uid\":\"u\"},\"spec\":{\"replicas\":\"3\"}}", false, 0},
    {"no uid", "{\"spec\":{\"replicas\":1}}", false, 0},
    {"no object", "[1]", false, 0},
    {"nothing", "", false, 0},
    {"half", "{\"metadata\":{\"uid\":", false, 0},
};

Test(scale, reads_a_scale_or_refuses_it)
{
    for (size_t i = 0; i < COUNT_OF(scales); i++) {
        struct rig r;

        rig_init(&r, "apps/v1", "Deployment");
        (void)scale_get(r.scaler, on_result, &r.seen);
        fake_json(fake_pending(&r.fake), 200, scales[i].body);
        cr_assert_eq(r.seen.calls, 1, "%s", scales[i].name);
        cr_assert_eq(r.seen.kind, scales[i].good ? ERR_NONE : ERR_PROTOCOL, "%s: %s",
                     scales[i].name, r.seen.text);
        cr_assert_eq(r.seen.replicas, scales[i].replicas, "%s", scales[i].name);
        rig_done(&r);
    }
}

Test(scale, guards_its_patches)
{
    struct rig r;
    struct transfer *t;

    rig_init(&r, "apps/v1", "Deployment");
    (void)scale_patch_yield(r.scaler, SV("u1"), 3, on_result, &r.seen);
    t = fake_pending(&r.fake);
    cr_assert_str_eq(t->method, "PATCH");
    cr_assert_str_eq(t->path,
                     "/apis/apps/v1/namespaces/n%20s/deployments/miner/scale?fieldManager=brim");
    cr_assert_str_eq(t->content_type, "application/merge-patch+json");
    cr_assert_str_eq(t->body, "{\"metadata\":{\"uid\":\"u1\"},\"spec\":{\"replicas\":3}}");
    cr_assert_eq(t->channel, CHANNEL_CONTROL);
    cr_assert_eq(t->timeout_us, 10 * US_PER_S);
    fake_json(t, 409,
              "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"message\":\"uid\",\"reason\":"
              "\"Conflict\",\"code\":409}");
    cr_assert_eq(r.seen.kind, ERR_CONFLICT);
    cr_assert_eq(r.seen.status, 409);
    cr_assert_str_eq(
        r.seen.text,
        "PATCH /apis/apps/v1/namespaces/n%20s/deployments/miner/scale: 409 Conflict: uid");

    (void)scale_patch_grow(r.scaler, SV("u1"), 3, 8, on_result, &r.seen);
    t = fake_pending(&r.fake);
    cr_assert_str_eq(t->content_type, "application/json-patch+json");
    cr_assert_str_eq(t->body, "[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"u1\"},"
                              "{\"op\":\"test\",\"path\":\"/spec/replicas\",\"value\":3},"
                              "{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":8}]");
    fake_json(t, 422,
              "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"message\":\"m\",\"reason\":\"Invalid\","
              "\"code\":422}");
    cr_assert_eq(r.seen.kind, ERR_CONFLICT);

    (void)scale_patch_grow(r.scaler, SV("u1"), 0, 8, on_result, &r.seen);
    t = fake_pending(&r.fake);
    cr_assert_str_eq(t->body, "[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"u1\"},"
                              "{\"op\":\"test\",\"path\":\"/spec/replicas\",\"value\":null},"
                              "{\"op\":\"add\",\"path\":\"/spec/replicas\",\"value\":8}]");
    fake_json(t, 200, "{\"metadata\":{\"uid\":\"u1\"},\"spec\":{\"replicas\":8}}");
    cr_assert_eq(r.seen.replicas, 8);
    rig_done(&r);
}

Test(scale, asks_the_server_how_other_kinds_are_spelled)
{
    static const char list[] = "{\"kind\":\"APIResourceList\",\"resources\":["
                               "{\"name\":\"workflowtemplates\",\"kind\":\"WorkflowTemplate\"},"
                               "{\"name\":\"workflowtemplatesets/scale\",\"kind\":\"Scale\"},"
                               "{\"name\":\"rollouts/status\",\"kind\":\"Rollout\"},"
                               "{\"name\":\"rollouts\",\"kind\":\"Rollout\"},{\"name\":\"rollouts/"
                               "scale\",\"kind\":\"Scale\"}]}";
    struct rig r;

    rig_init(&r, "argoproj.io/v1alpha1", "Rollout");
    (void)scale_patch_yield(r.scaler, SV("u"), 1, on_result, &r.seen);
    cr_assert_str_eq(fake_pending(&r.fake)->path, "/apis/argoproj.io/v1alpha1");
    cr_assert_str_eq(fake_pending(&r.fake)->method, "GET");
    fake_json(fake_pending(&r.fake), 200, list);
    cr_assert_str_eq(fake_pending(&r.fake)->method, "PATCH");
    cr_assert_str_eq(
        fake_pending(&r.fake)->path,
        "/apis/argoproj.io/v1alpha1/namespaces/n%20s/rollouts/miner/scale?fieldManager=brim");
    fake_json(fake_pending(&r.fake), 200, "{\"metadata\":{\"uid\":\"u\"}}");
    cr_assert_eq(r.seen.calls, 1);
    (void)scale_get(r.scaler, on_result, &r.seen);
    cr_assert_not_null(strstr(fake_pending(&r.fake)->path, "/rollouts/miner/scale"),
                       "the answer is remembered");
    rig_done(&r);

    rig_init(&r, "argoproj.io/v1alpha1", "WorkflowTemplate");
    (void)scale_get(r.scaler, on_result, &r.seen);
    fake_json(fake_pending(&r.fake), 200, list);
    cr_assert_eq(r.seen.kind, ERR_NOT_FOUND, "%s", r.seen.text);
    rig_done(&r);
}

/* Up to how many resources their names are held against each other, which costs as their square. */
static void discover_among(int n, enum err_kind expected)
{
    struct strbuf list;
    struct rig r;

    strbuf_init(&list, 1 << 20);
    (void)strbuf_addf(&list, "{\"kind\":\"APIResourceList\",\"resources\":[");
    for (int i = 0; i < n - 2; i++)
        (void)strbuf_addf(&list, "{\"name\":\"x%d\",\"kind\":\"Rollout\"},", i);
    (void)strbuf_addf(&list, "{\"name\":\"rollouts\",\"kind\":\"Rollout\"},"
                             "{\"name\":\"rollouts/scale\",\"kind\":\"Scale\"}]}");
    rig_init(&r, "argoproj.io/v1alpha1", "Rollout");
    (void)scale_get(r.scaler, on_result, &r.seen);
    fake_json(fake_pending(&r.fake), 200, strbuf_str(&list));
    cr_assert_eq(fake_pending(&r.fake) != NULL, expected == ERR_NONE, "%d resources", n);
    cr_assert_eq(r.seen.kind, expected, "%d resources: %s", n, r.seen.text);
    rig_done(&r);
    strbuf_done(&list);
}

Test(scale, looks_at_no_more_resources_than_a_group_may_have)
{
    discover_among(2000, ERR_NONE);
    discover_among(2001, ERR_NOT_FOUND);
}

Test(scale, makes_a_pod_of_the_template)
{
    struct rig r;

    rig_init(&r, "apps/v1", "Deployment");
    (void)scale_template(r.scaler, on_result, &r.seen);
    cr_assert_str_eq(fake_pending(&r.fake)->path,
                     "/apis/apps/v1/namespaces/n%20s/deployments/miner");
    fake_json(fake_pending(&r.fake), 200,
              "{\"metadata\":{\"uid\":\"u7\"},\"spec\":{\"template\":{\"metadata\":{\"labels\":{"
              "\"a\":\"b\"}},\"spec\":{"
              "\"resources\":{\"limits\":{\"cpu\":\"9\",\"memory\":\"8\",\"hugepages-2Mi\":\"7\"}},"
              "\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{\"cpu\":\"2\",\"x/"
              "y\":\"1\"},\"requests\":{\"cpu\":\"1\"}}}],"
              "\"initContainers\":[{\"name\":\"i\",\"resources\":{\"limits\":{\"cpu\":\"4\"}}},{"
              "\"name\":\"j\"}]}}}}");
    cr_assert_str_eq(r.seen.uid, "u7");
    cr_assert_str_eq(
        r.seen.pod,
        "{\"metadata\":{\"labels\":{\"a\":\"b\"},\"namespace\":\"n s\"},\"spec\":{"
        "\"resources\":{\"limits\":{\"cpu\":\"9\",\"memory\":\"8\",\"hugepages-2Mi\":\"7\"},"
        "\"requests\":{\"memory\":\"8\"}},"
        "\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{\"cpu\":\"2\",\"x/y\":\"1\"},"
        "\"requests\":{\"cpu\":\"1\",\"x/y\":\"1\"}}}],"
        "\"initContainers\":[{\"name\":\"i\",\"resources\":{\"limits\":{\"cpu\":\"4\"},"
        "\"requests\":{\"cpu\":\"4\"}}},"
        "{\"name\":\"j\"}]},\"kind\":\"Pod\",\"apiVersion\":\"v1\"}");
    (void)scale_template(r.scaler, on_result, &r.seen);
    fake_json(fake_pending(&r.fake), 200, "{\"spec\":{\"template\":7}}");
    cr_assert_eq(r.seen.kind, ERR_NOT_FOUND);
    rig_done(&r);
}

#define HPA(name, version, kind, target)                                                           \
    "{\"metadata\":{\"name\":\"" name                                                              \
    "\"},\"spec\":{\"scaleTargetRef\":{\"apiVersion\":\"" version "\",\"kind\":\"" kind            \
    "\",\"name\":\"" target "\"}}}"

Test(scale, finds_another_autoscaler_on_whichever_page)
{
    struct rig r;

    rig_init(&r, "apps/v1", "Deployment");
    (void)scale_find_owner(r.scaler, on_result, &r.seen);
    cr_assert_str_eq(fake_pending(&r.fake)->path,
                     "/apis/autoscaling/v2/namespaces/n%20s/horizontalpodautoscalers?limit=200");
    fake_json(fake_pending(&r.fake), 200,
              "{\"metadata\":{\"continue\":\"t+1\"},\"items\":[" HPA(
                  "a", "apps/v1", "Deployment",
                  "other") "," HPA("b", "apps/v1", "StatefulSet",
                                   "miner") "," HPA("c", "v1", "Deployment", "miner") "]}");
    cr_assert_eq(r.seen.calls, 0);
    cr_assert_not_null(strstr(fake_pending(&r.fake)->path, "&continue=t%2B1"));
    fake_json(fake_pending(&r.fake), 200,
              "{\"items\":[" HPA("d", "apps/v1beta2", "Deployment", "miner") "]}");
    cr_assert_eq(r.seen.calls, 1);
    cr_assert_str_eq(r.seen.owner, "HorizontalPodAutoscaler d");
    rig_done(&r);
}

#define SCALED(name, ref)                                                                          \
    "{\"metadata\":{\"name\":\"" name "\"},\"spec\":{\"scaleTargetRef\":{" ref "}}}"

static const struct {
    const char *name, *api_version, *kind, *items, *owner;
} scaled_objects[] = {
    {"none", "apps/v1", "Deployment", "", ""},
    {"defaults", "apps/v1", "Deployment", SCALED("a", "\"name\":\"miner\""), "ScaledObject a"},
    {"another name", "apps/v1", "Deployment", SCALED("a", "\"name\":\"web\""), ""},
    {"another kind by default", "apps/v1", "StatefulSet", SCALED("a", "\"name\":\"miner\""), ""},
    {"another group by default", "x.dev/v1", "Deployment", SCALED("a", "\"name\":\"miner\""), ""},
    {"kind and group", "argoproj.io/v1alpha1", "Rollout",
     SCALED("a", "\"name\":\"miner\"") "," SCALED(
         "b", "\"apiVersion\":\"argoproj.io/v1alpha1\",\"kind\":\"Rollout\",\"name\":\"miner\""),
     "ScaledObject b"},
    {"paused", "apps/v1", "Deployment",
     "{\"metadata\":{\"name\":\"p\",\"annotations\":{\"autoscaling.keda.sh/paused\":\"true\"}},"
     "\"spec\":{\"scaleTargetRef\":{\"name\":\"miner\"}}}",
     "ScaledObject p"},
    {"no ref", "apps/v1", "Deployment", "{},{\"spec\":7},[]", ""},
};

Test(scale, finds_scaled_objects_where_there_is_no_other_autoscaler)
{
    for (size_t i = 0; i < COUNT_OF(scaled_objects); i++) {
        char body[1024];
        struct rig r;

        rig_init(&r, scaled_objects[i].api_version, scaled_objects[i].kind);
        (void)scale_find_owner(r.scaler, on_result, &r.seen);
        fake_json(fake_pending(&r.fake), 200, "{\"items\":[]}");
        cr_assert_eq(r.seen.calls, 0);
        cr_assert_str_eq(fake_pending(&r.fake)->path,
                         "/apis/keda.sh/v1alpha1/namespaces/n%20s/scaledobjects?limit=200");
        (void)snprintf(body, sizeof body, "{\"items\":[%s]}", scaled_objects[i].items);
        fake_json(fake_pending(&r.fake), 200, body);
        cr_assert_eq(r.seen.kind, ERR_NONE, "%s", scaled_objects[i].name);
        cr_assert_str_eq(r.seen.owner, scaled_objects[i].owner, "%s: %s", scaled_objects[i].name,
                         r.seen.owner);
        rig_done(&r);
    }
}

/* Of a look for owners: was KEDA asked, and if so answered so? */
static bool asks_keda(struct rig *r, int status)
{
    bool asked;

    (void)scale_find_owner(r->scaler, on_result, &r->seen);
    fake_json(fake_pending(&r->fake), 200, "{\"items\":[]}");
    asked = fake_pending(&r->fake) != NULL;
    if (asked)
        fake_json(fake_pending(&r->fake), status,
                  status == 200 ? "{\"items\":[]}" : "{\"kind\":\"Status\"}");
    return asked;
}

Test(scale, asks_seldom_for_scaled_objects_that_it_cannot_see)
{
    static const struct {
        int status;
        enum err_kind kind;
        bool rests;
    } rows[] = {{404, ERR_NONE, true},
                {403, ERR_NONE, true},
                {200, ERR_NONE, false},
                {500, ERR_SERVER, false}};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rig r;

        rig_init(&r, "apps/v1", "Deployment");
        cr_assert(asks_keda(&r, rows[i].status));
        cr_assert_eq(r.seen.kind, rows[i].kind, "%d", rows[i].status);
        cr_assert_str_eq(r.seen.owner, "");
        fake_advance(&r.fake, SCALE_ABSENT_US - 1);
        cr_assert_eq(asks_keda(&r, 200), !rows[i].rests, "%d", rows[i].status);
        cr_assert_eq(r.seen.kind, ERR_NONE);
        fake_advance(&r.fake, 1);
        cr_assert(asks_keda(&r, 200), "%d", rows[i].status);
        rig_done(&r);
    }
}

/* Without the right to see HorizontalPodAutoscalers nobody can tell, whatever KEDA has. */
Test(scale, says_that_autoscalers_may_not_be_seen)
{
    struct rig r;

    rig_init(&r, "apps/v1", "Deployment");
    (void)scale_find_owner(r.scaler, on_result, &r.seen);
    fake_json(fake_pending(&r.fake), 403, "{\"kind\":\"Status\"}");
    cr_assert_eq(r.seen.kind, ERR_FORBIDDEN);
    rig_done(&r);
}

static const struct {
    const char *annotations;
    bool up, down;
    const char *up_by, *down_by;
} pauses[] = {
    {"", false, false, "", ""},
    {"\"brim.dev/paused\":\"\"", true, true, "brim.dev/paused", "brim.dev/paused"},
    {"\"brim.dev/paused\":\"false\"", false, false, "", ""},
    {"\"brim.dev/paused-up\":\"true\"", true, false, "brim.dev/paused-up", ""},
    {"\"brim.dev/paused-down\":\"true\"", false, true, "", "brim.dev/paused-down"},
    {"\"autoscaling.keda.sh/paused\":\"true\"", true, true, "autoscaling.keda.sh/paused",
     "autoscaling.keda.sh/paused"},
    {"\"autoscaling.keda.sh/paused\":\"false\"", false, false, "", ""},
    {"\"autoscaling.keda.sh/paused-replicas\":\"0\"", true, true,
     "autoscaling.keda.sh/paused-replicas", "autoscaling.keda.sh/paused-replicas"},
    {"\"autoscaling.keda.sh/paused-scale-in\":\"true\"", false, true, "",
     "autoscaling.keda.sh/paused-scale-in"},
    {"\"autoscaling.keda.sh/paused-scale-out\":\"true\"", true, false,
     "autoscaling.keda.sh/paused-scale-out", ""},
    {"\"autoscaling.keda.sh/paused-scale-out\":\"true\",\"brim.dev/paused-down\":\"true\"", true,
     true, "autoscaling.keda.sh/paused-scale-out", "brim.dev/paused-down"},
    {"\"autoscaling.keda.sh/paused\":\"true\",\"brim.dev/paused-up\":\"true\"", true, true,
     "brim.dev/paused-up", "autoscaling.keda.sh/paused"},
};

Test(scale, reads_which_annotation_pauses)
{
    for (size_t i = 0; i < COUNT_OF(pauses); i++) {
        char body[512];
        struct rig r;

        rig_init(&r, "apps/v1", "Deployment");
        (void)scale_patch_pause(r.scaler, SCALE_PAUSE_UP, true, on_result, &r.seen);
        (void)snprintf(body, sizeof body, "{\"metadata\":{\"annotations\":{%s}}}",
                       pauses[i].annotations);
        fake_json(fake_pending(&r.fake), 200, body);
        cr_assert_eq(r.seen.up, pauses[i].up, "%s", pauses[i].annotations);
        cr_assert_eq(r.seen.down, pauses[i].down, "%s", pauses[i].annotations);
        cr_assert_str_eq(r.seen.up_by, pauses[i].up_by, "%s", pauses[i].annotations);
        cr_assert_str_eq(r.seen.down_by, pauses[i].down_by, "%s", pauses[i].annotations);
        rig_done(&r);
    }
}

#define JOB "\"metadata\":{\"uid\":\"j1\",\"resourceVersion\":\"7\"}"
#define JOB_SELECTOR                                                                               \
    "\"selector\":{\"matchLabels\":{\"batch.kubernetes.io/controller-uid\":\"j1\"}}"

static const struct {
    const char *name, *body;
    enum err_kind kind;
    int64_t replicas, status_replicas;
    const char *selector, *rests;
} jobs[] = {
    {"runs",
     "{" JOB ",\"spec\":{\"parallelism\":5," JOB_SELECTOR
     "},\"status\":{\"active\":4,\"ready\":3}}",
     ERR_NONE, 5, 4, "batch.kubernetes.io/controller-uid=j1", ""},
    {"absent is one", "{" JOB ",\"spec\":{" JOB_SELECTOR "},\"status\":{}}", ERR_NONE, 1, 0,
     "batch.kubernetes.io/controller-uid=j1", ""},
    {"zero",
     "{" JOB ",\"spec\":{\"parallelism\":0," JOB_SELECTOR "},\"status\":{\"terminating\":2}}",
     ERR_NONE, 0, 0, "batch.kubernetes.io/controller-uid=j1", ""},
    {"suspended", "{" JOB ",\"spec\":{\"suspend\":true,\"parallelism\":2," JOB_SELECTOR "}}",
     ERR_NONE, 2, 0, "batch.kubernetes.io/controller-uid=j1", "is suspended"},
    {"not suspended", "{" JOB ",\"spec\":{\"suspend\":false,\"parallelism\":2," JOB_SELECTOR "}}",
     ERR_NONE, 2, 0, "batch.kubernetes.io/controller-uid=j1", ""},
    {"complete",
     "{" JOB ",\"spec\":{" JOB_SELECTOR
     "},\"status\":{\"conditions\":[{\"type\":\"SuccessCriteriaMet\",\"status\":"
     "\"True\"},{\"type\":\"Complete\",\"status\":\"True\"}]}}",
     ERR_NONE, 1, 0, "batch.kubernetes.io/controller-uid=j1", "has ended (Complete)"},
    {"failed",
     "{" JOB ",\"spec\":{" JOB_SELECTOR
     "},\"status\":{\"conditions\":[{\"type\":\"Failed\",\"status\":\"True\"}]}}",
     ERR_NONE, 1, 0, "batch.kubernetes.io/controller-uid=j1", "has ended (Failed)"},
    {"about to fail",
     "{" JOB ",\"spec\":{" JOB_SELECTOR
     "},\"status\":{\"conditions\":[{\"type\":\"FailureTarget\",\"status\":\"True\"}]}}",
     ERR_NONE, 1, 0, "batch.kubernetes.io/controller-uid=j1", "is about to end (FailureTarget)"},
    {"condition that does not hold",
     "{" JOB ",\"spec\":{" JOB_SELECTOR
     "},\"status\":{\"conditions\":[{\"type\":\"Failed\",\"status\":\"False\"}]}}",
     ERR_NONE, 1, 0, "batch.kubernetes.io/controller-uid=j1", ""},
    {"all operators",
     "{" JOB ",\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\",\"x.dev/"
     "c\":\"\"},\"matchExpressions\":["
     "{\"key\":\"d\",\"operator\":\"In\",\"values\":[\"e\",\"f\"]},{\"key\":\"g\",\"operator\":"
     "\"NotIn\",\"values\":"
     "[\"h\"]},{\"key\":\"i\",\"operator\":\"Exists\"},{\"key\":\"j\",\"operator\":"
     "\"DoesNotExist\"}]}}}",
     ERR_NONE, 1, 0, "a=b,x.dev/c=,d in (e,f),g notin (h),i,!j", ""},
    {"no selector", "{" JOB ",\"spec\":{}}", ERR_NONE, 1, 0, "", ""},
    {"a value that would mean more",
     "{" JOB ",\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b,c=d\"}}}}", ERR_PROTOCOL, 0, 0,
     "", ""},
    {"an operator that is none",
     "{" JOB ",\"spec\":{\"selector\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Gt\","
     "\"values\":[\"1\"]}]}}}",
     ERR_PROTOCOL, 0, 0, "", ""},
    {"no values",
     "{" JOB
     ",\"spec\":{\"selector\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\"}]}}}",
     ERR_PROTOCOL, 0, 0, "", ""},
    {"selector as text", "{" JOB ",\"spec\":{\"selector\":\"a=b\"}}", ERR_PROTOCOL, 0, 0, "", ""},
    {"half a count", "{" JOB ",\"spec\":{\"parallelism\":1.5}}", ERR_PROTOCOL, 0, 0, "", ""},
    {"no uid", "{\"spec\":{}}", ERR_PROTOCOL, 0, 0, "", ""},
};

Test(scale, reads_jobs_as_scales)
{
    for (size_t i = 0; i < COUNT_OF(jobs); i++) {
        struct rig r;

        rig_init(&r, "batch/v1", "Job");
        cr_assert_not(scaler_has_subresource(r.scaler));
        (void)scale_get(r.scaler, on_result, &r.seen);
        cr_assert_str_eq(fake_pending(&r.fake)->path, "/apis/batch/v1/namespaces/n%20s/jobs/miner");
        fake_json(fake_pending(&r.fake), 200, jobs[i].body);
        cr_assert_eq(r.seen.kind, jobs[i].kind, "%s: %s", jobs[i].name, r.seen.text);
        cr_assert_eq(r.seen.replicas, jobs[i].replicas, "%s", jobs[i].name);
        cr_assert_eq(r.seen.status_replicas, jobs[i].status_replicas, "%s", jobs[i].name);
        cr_assert_str_eq(r.seen.selector, jobs[i].selector, "%s", jobs[i].name);
        cr_assert_str_eq(r.seen.rests, jobs[i].rests, "%s", jobs[i].name);
        rig_done(&r);
    }
}

Test(scale, sets_the_parallelism_of_a_job)
{
    struct rig r;
    struct transfer *t;

    rig_init(&r, "batch/v1", "Job");
    (void)scale_patch_yield(r.scaler, SV("j1"), 0, on_result, &r.seen);
    t = fake_pending(&r.fake);
    cr_assert_str_eq(t->path, "/apis/batch/v1/namespaces/n%20s/jobs/miner?fieldManager=brim");
    cr_assert_str_eq(t->body, "{\"metadata\":{\"uid\":\"j1\"},\"spec\":{\"parallelism\":0}}");
    fake_json(t, 200, "{" JOB ",\"spec\":{\"parallelism\":0}}");
    cr_assert_eq(r.seen.replicas, 0);
    (void)scale_patch_grow(r.scaler, SV("j1"), 0, 8, on_result, &r.seen);
    t = fake_pending(&r.fake);
    cr_assert_str_eq(t->body, "[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"j1\"},"
                              "{\"op\":\"test\",\"path\":\"/spec/parallelism\",\"value\":0},"
                              "{\"op\":\"replace\",\"path\":\"/spec/parallelism\",\"value\":8}]");
    fake_json(t, 200, "{" JOB ",\"spec\":{\"parallelism\":8}}");
    cr_assert_eq(r.seen.replicas, 8);
    rig_done(&r);
}

Test(scale, is_silent_after_a_cancel)
{
    struct rig r;
    struct scale_op *op;

    rig_init(&r, "apps/v1", "Deployment");
    op = scale_get(r.scaler, on_result, &r.seen);
    (void)scale_get(r.scaler, on_result, &r.seen);
    scale_cancel(op);
    cr_assert_eq(fake_count(&r.fake), 1);
    fake_break(fake_pending(&r.fake));
    cr_assert_eq(r.seen.calls, 1);
    cr_assert_eq(r.seen.kind, ERR_NETWORK);
    rig_done(&r);
}
