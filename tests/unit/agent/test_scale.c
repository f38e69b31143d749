#include <criterion/criterion.h>
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
    char uid[64], version[64], selector[64], hpa[64];
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
    copy(s->hpa, sizeof s->hpa, r->hpa);
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
    (void)scale_find_hpa(r.scaler, on_result, &r.seen);
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
    cr_assert_str_eq(r.seen.hpa, "d");
    (void)scale_find_hpa(r.scaler, on_result, &r.seen);
    fake_json(fake_pending(&r.fake), 200, "{\"items\":[]}");
    cr_assert_eq(r.seen.kind, ERR_NONE);
    cr_assert_str_eq(r.seen.hpa, "");
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
