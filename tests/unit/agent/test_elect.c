#include "agent/elect.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/unit/agent/fake_kube.h"

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/brim/leases"

struct rig {
    struct fake fake;
    struct kube_config config;
    struct transport transport;
    struct timers timers;
    struct client *client;
    struct elect *elect;
    int gained, lost, released;
    int answered; /* writes */
    enum err_kind answer;
};

static void changed(void *self, bool leads)
{
    struct rig *r = self;

    r->gained += leads;
    r->lost += !leads;
}

static struct mono now_of(void *self)
{
    return ((struct fake *)self)->now;
}

static struct wall wall_of(void *self)
{
    return ((struct fake *)self)->wall;
}

static bool may_write(void *self)
{
    return elect_leads(self);
}

static void rig_init(struct rig *r)
{
    *r = (struct rig){.config = {.server = (char *)"http://fake"}};
    fake_init(&r->fake);
    r->transport = fake_transport(&r->fake);
    r->timers = fake_timers(&r->fake);
    r->client = client_new(&r->config, &r->transport, &r->timers);
    r->elect = elect_new(r->client,
                         &(struct elect_options){.ns = SV("brim"),
                                                 .name = SV("brim"),
                                                 .identity = "me",
                                                 .seed = 1,
                                                 .clock = {now_of, wall_of, &r->fake}},
                         &(struct elect_handler){.changed = changed, .self = r});
    client_set_fence(r->client, &(struct client_fence){.may_write = may_write, .self = r->elect});
}

static void rig_done(struct rig *r)
{
    elect_free(r->elect);
    client_free(r->client);
    fake_done(&r->fake);
}

static const char *lease_of(const char *holder)
{
    static char text[512];

    (void)snprintf(text, sizeof text,
                   "{\"metadata\":{\"name\":\"brim\",\"resourceVersion\":\"5\"},\"spec\":{"
                   "\"holderIdentity\":\"%s\","
                   "\"leaseDurationSeconds\":15,\"leaseTransitions\":1}}",
                   holder);
    return text;
}

static struct transfer *expect(struct rig *r, const char *method, const char *path)
{
    struct transfer *t = fake_pending(&r->fake);

    cr_assert_not_null(t, "%s %s was not asked", method, path);
    cr_assert_str_eq(t->method, method);
    cr_assert_str_eq(t->path, path);
    return t;
}

static void lead(struct rig *r)
{
    fake_advance(&r->fake, 0);
    fake_json(expect(r, "GET", LEASES "/brim"), 404, "{}");
    cr_assert_eq(r->gained, 0);
    fake_json(expect(r, "POST", LEASES), 201, lease_of("me"));
    cr_assert(r->gained == 1 && elect_leads(r->elect));
}

Test(elect, tells_that_the_namespace_is_not_there, .init = cr_redirect_stderr)
{
    char text[4096] = "";
    struct rig r;

    rig_init(&r);
    for (int i = 0; i < 3; i++) {
        fake_advance(&r.fake, 10 * US_PER_S);
        fake_json(expect(&r, "GET", LEASES "/brim"), 404, "{}");
        fake_json(
            expect(&r, "POST", LEASES), 404,
            "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"message\":\"namespaces \\\"brim\\\" "
            "not found\",\"reason\":\"NotFound\",\"code\":404}");
        cr_assert(r.gained == 0 && !elect_leads(r.elect));
    }
    (void)fread(text, 1, sizeof text - 1, cr_get_redirected_stderr());
    cr_assert_not_null(strstr(text, "the lease cannot be read or written"), "%s", text);
    cr_assert_not_null(strstr(text, "namespaces"), "%s", text);
    cr_assert_null(strstr(strstr(text, "the lease cannot") + 1, "the lease cannot"), "once: %s",
                   text);
    rig_done(&r);
}

static void on_write(void *self, const struct client_answer *answer)
{
    struct rig *r = self;

    r->answered++;
    r->answer = answer->problem != NULL ? answer->problem->err.kind : ERR_NONE;
}

static struct client_call *write_on(struct rig *r, const char *method,
                                    enum transport_channel channel)
{
    return client_send(r->client,
                       &(struct client_request){.method = method, .path = "/x", .channel = channel},
                       on_write, r);
}

Test(elect, a_lease_is_named_by_namespace_and_name)
{
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {"brim/brim", true}, {"kube-system/brim.a-1", true},
        {"brim", false},     {"", false},
        {"/", false},        {"a/", false},
        {"/b", false},       {"a/b/c", false},
        {"A/b", false},      {"a/-b", false},
        {"a/b.", false},     {"a/b?x=y", false},
        {"a/..", false},     {"a b/c", false},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sv ns, name;
        struct err err = {0};

        cr_assert_eq(elect_parse_name(sv_from(rows[i].text), &ns, &name, &err), rows[i].good, "%s",
                     rows[i].text);
        cr_assert(rows[i].good || strstr(err.text, "expected NAMESPACE/NAME") != NULL, "%s",
                  err.text);
    }
}

Test(elect, no_two_processes_have_one_identity)
{
    char a[LEASE_MAX_NAME], b[LEASE_MAX_NAME];

    elect_make_identity(a);
    elect_make_identity(b);
    cr_assert_str_neq(a, b);
    cr_assert(strchr(a, '_') != NULL);
}

Test(elect, it_leads_once_the_lease_is_its_own)
{
    struct rig r;

    rig_init(&r);
    cr_assert(!elect_leads(r.elect));
    lead(&r);
    cr_assert_str_eq(elect_holder(r.elect), "me");
    fake_advance(&r.fake, LEASE_RETRY_US);
    cr_assert_eq(expect(&r, "PUT", LEASES "/brim")->channel, CHANNEL_CONTROL);
    fake_json(fake_pending(&r.fake), 200, lease_of("me"));
    cr_assert(r.gained == 1 && r.lost == 0);
    rig_done(&r);
}

Test(elect, what_would_write_is_not_sent_by_who_does_not_lead)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};
    struct rig r;

    rig_init(&r);
    fake_advance(&r.fake, 0);
    fake_json(expect(&r, "GET", LEASES "/brim"), 200, lease_of("other"));
    cr_assert_str_eq(elect_holder(r.elect), "other");
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        (void)write_on(&r, methods[i], CHANNEL_POOL);
        cr_assert_eq((size_t)r.answered, i, "not from inside");
        fake_advance(&r.fake, 0);
        cr_assert_eq((size_t)r.answered, i + 1);
        cr_assert_eq(r.answer, ERR_CONFLICT);
    }
    cr_assert_null(fake_pending(&r.fake), "nothing was sent");
    (void)write_on(&r, "GET", CHANNEL_POOL);
    fake_json(expect(&r, "GET", "/x"), 200, "{}");
    cr_assert_eq(r.answer, ERR_NONE);
    rig_done(&r);
}

Test(elect, a_process_that_was_stopped_knows_before_it_writes)
{
    struct rig r;

    rig_init(&r);
    lead(&r);
    r.fake.now.us += LEASE_DEADLINE_US; /* no timer fires meanwhile */
    cr_assert(!elect_leads(r.elect));
    (void)write_on(&r, "PATCH", CHANNEL_CONTROL);
    cr_assert_null(fake_pending(&r.fake));
    elect_check(r.elect);
    cr_assert_eq(r.lost, 1);
    fake_advance(&r.fake, 0);
    cr_assert_eq(r.answer, ERR_CONFLICT);
    rig_done(&r);
}

Test(elect, what_waits_to_be_sent_is_dropped_and_the_control_channel_comes_to_its_end)
{
    struct rig r;

    rig_init(&r);
    lead(&r);
    (void)write_on(&r, "PATCH", CHANNEL_PODS);
    (void)write_on(&r, "POST", CHANNEL_POOL);
    (void)write_on(&r, "GET", CHANNEL_POOL);
    (void)write_on(&r, "PATCH", CHANNEL_CONTROL);
    cr_assert_eq(client_writes(r.client), 3);
    client_drop_writes(r.client);
    cr_assert_eq(r.answered, 2);
    cr_assert_eq(r.answer, ERR_CONFLICT);
    cr_assert_eq(client_writes(r.client), 1);
    fake_json(expect(&r, "GET", "/x"), 200, "{}");
    fake_json(expect(&r, "PATCH", "/x"), 200, "{}");
    cr_assert_eq(r.answered, 4);
    rig_done(&r);
}

Test(elect, who_cannot_renew_stops_when_its_time_is_over)
{
    struct rig r;

    rig_init(&r);
    lead(&r);
    for (int i = 0; i < 20 && r.lost == 0; i++) {
        fake_advance(&r.fake, US_PER_S / 2);
        if (fake_pending(&r.fake) != NULL)
            fake_break(fake_pending(&r.fake));
    }
    cr_assert_eq(r.lost, 1);
    rig_done(&r);
}

static void released(void *self)
{
    ((struct rig *)self)->released++;
}

Test(elect, the_lease_is_given_back_behind_the_last_answer)
{
    struct rig r;

    rig_init(&r);
    lead(&r);
    (void)write_on(&r, "PATCH", CHANNEL_PODS);
    elect_release(r.elect, released, &r);
    cr_assert(!elect_leads(r.elect) && r.lost == 1);
    fake_advance(&r.fake, ELECT_DRAIN_US / 2);
    fake_json(expect(&r, "PATCH", "/x"), 200, "{}");
    fake_advance(&r.fake, ELECT_DRAIN_US / 10);
    cr_assert(strstr(expect(&r, "PUT", LEASES "/brim")->body, "\"holderIdentity\":\"\"") != NULL);
    fake_json(fake_pending(&r.fake), 200, lease_of(""));
    cr_assert_eq(r.released, 1);
    rig_done(&r);
}

Test(elect, an_end_does_not_wait_for_a_server_that_is_silent)
{
    struct rig r;

    rig_init(&r);
    lead(&r);
    (void)write_on(&r, "PATCH", CHANNEL_PODS);
    elect_release(r.elect, released, &r);
    fake_advance(&r.fake, ELECT_DRAIN_US + 100 * US_PER_MS);
    (void)expect(&r, "PUT", LEASES "/brim");
    fake_advance(&r.fake, ELECT_RELEASE_US);
    cr_assert_eq(r.released, 1);
    rig_done(&r);
}

Test(elect, who_does_not_lead_ends_at_once)
{
    struct rig r;

    rig_init(&r);
    fake_advance(&r.fake, 0);
    fake_json(expect(&r, "GET", LEASES "/brim"), 200, lease_of("other"));
    elect_release(r.elect, released, &r);
    cr_assert_eq(r.released, 0, "not from inside");
    fake_advance(&r.fake, 0);
    cr_assert_eq(r.released, 1);
    cr_assert_null(fake_pending(&r.fake));
    rig_done(&r);
}
