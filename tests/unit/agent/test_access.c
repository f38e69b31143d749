#include <criterion/criterion.h>
#include <string.h>

#include "agent/kube/access.h"
#include "tests/unit/agent/fake_kube.h"

struct seen {
    int calls;
    bool allowed;
    enum err_kind kind;
};

static void on_access(void *self, bool allowed, const struct err *err)
{
    struct seen *s = self;

    s->calls++;
    s->allowed = allowed;
    s->kind = err != NULL ? err->kind : ERR_NONE;
}

struct rig {
    struct fake fake;
    struct kube_config config;
    struct transport transport;
    struct timers timers;
    struct client *client;
    struct seen seen;
};

static void rig_init(struct rig *r)
{
    *r = (struct rig){0};
    fake_init(&r->fake);
    r->transport = fake_transport(&r->fake);
    r->timers = fake_timers(&r->fake);
    r->client = client_new(&r->config, &r->transport, &r->timers);
}

static void rig_done(struct rig *r)
{
    client_free(r->client);
    fake_done(&r->fake);
}

static const struct access_right scale = {.verb = "patch",
                                          .group = "apps",
                                          .resource = "deployments",
                                          .subresource = "scale",
                                          .ns = "filler",
                                          .name = "miner"};

Test(access, asks_for_exactly_the_right)
{
    struct rig r;
    struct access_right pods = access_right_to_patch_pods("filler");
    struct transfer *t;

    rig_init(&r);
    (void)access_ask(r.client, &scale, on_access, &r.seen);
    t = fake_pending(&r.fake);
    cr_assert_str_eq(t->method, "POST");
    cr_assert_str_eq(t->path, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
    cr_assert_str_eq(
        t->body,
        "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SelfSubjectAccessReview\",\"spec\":"
        "{\"resourceAttributes\":{\"namespace\":\"filler\",\"verb\":\"patch\",\"group\":\"apps\","
        "\"resource\":\"deployments\",\"subresource\":\"scale\",\"name\":\"miner\"}}}");
    fake_json(t, 201, "{\"status\":{\"allowed\":true}}");
    cr_assert(r.seen.calls == 1 && r.seen.allowed && r.seen.kind == ERR_NONE);
    (void)access_ask(r.client, &pods, on_access, &r.seen);
    cr_assert_not_null(strstr(fake_pending(&r.fake)->body,
                              "{\"resourceAttributes\":{\"namespace\":\"filler\",\"verb\":"
                              "\"patch\",\"resource\":\"pods\"}}"));
    fake_json(fake_pending(&r.fake), 201,
              "{\"status\":{\"allowed\":false,\"reason\":\"no RBAC policy matched\"}}");
    cr_assert(r.seen.calls == 2 && !r.seen.allowed && r.seen.kind == ERR_NONE);
    rig_done(&r);
}

Test(access, takes_nothing_else_for_an_answer)
{
    static const struct {
        int status;
        const char *body;
        enum err_kind kind;
    } rows[] = {
        {201, "{\"status\":{}}", ERR_PROTOCOL},
        {201, "{\"status\":{\"allowed\":\"true\"}}", ERR_PROTOCOL},
        {201, "{}", ERR_PROTOCOL},
        {201, "[true]", ERR_PROTOCOL},
        {201, "", ERR_PROTOCOL},
        {201, "{\"status\":{\"allowed\":true}", ERR_PROTOCOL},
        {403, "{\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\"}", ERR_FORBIDDEN},
        {500, "", ERR_SERVER},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rig r;

        rig_init(&r);
        (void)access_ask(r.client, &scale, on_access, &r.seen);
        fake_json(fake_pending(&r.fake), rows[i].status, rows[i].body);
        cr_expect_eq(r.seen.calls, 1, "row %zu", i);
        cr_expect_eq(r.seen.kind, rows[i].kind, "row %zu", i);
        cr_expect_not(r.seen.allowed, "row %zu", i);
        rig_done(&r);
    }
}

Test(access, is_silent_after_a_cancel)
{
    struct rig r;

    rig_init(&r);
    access_cancel(access_ask(r.client, &scale, on_access, &r.seen));
    access_cancel(NULL);
    cr_assert_eq(fake_count(&r.fake), 0);
    cr_assert_eq(r.seen.calls, 0);
    rig_done(&r);
}

Test(access, names_a_right_for_people)
{
    static const struct access_right nodes = {.verb = "list", .resource = "nodes"};
    const struct access_right pods = access_right_to_patch_pods("filler");
    CLEANUP(strbuf_done) struct strbuf text;

    strbuf_init(&text, 1000);
    access_right_text(&scale, &text);
    cr_expect_str_eq(strbuf_str(&text), "patch deployments.apps/scale miner in namespace filler");
    strbuf_clear(&text);
    access_right_text(&pods, &text);
    cr_expect_str_eq(strbuf_str(&text), "patch pods in namespace filler");
    strbuf_clear(&text);
    access_right_text(&nodes, &text);
    cr_expect_str_eq(strbuf_str(&text), "list nodes");
}

Test(access, misses_the_gate_in_a_template)
{
    const struct pod_record both = {.gated = true, .gated_by_brim = true, .gated_by_others = true};
    const struct pod_record others = {.gated = true, .gated_by_others = true};
    struct err err = {0};

    cr_expect(access_template_gated(&both, &err));
    cr_expect_not(access_template_gated(&others, &err));
    cr_expect_eq(err.kind, ERR_NOT_FOUND);
    cr_expect_not_null(strstr(err.text, "(but others)"), "%s", err.text);
    cr_expect_not(access_template_gated(&(struct pod_record){0}, &err));
    cr_expect_null(strstr(err.text, "others"), "%s", err.text);
}
