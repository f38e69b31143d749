#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/kube/client.h"
#include "base/alloc.h"
#include "tests/unit/agent/fake_kube.h"

struct seen {
    int calls;
    struct client_problem problem;
    int status;
    enum decode_format format;
    char body[64];
};

static void on_answer(void *self, const struct client_answer *a)
{
    struct seen *s = self;

    s->calls++;
    s->problem = a->problem != NULL ? *a->problem : (struct client_problem){0};
    s->status = a->status;
    s->format = a->format;
    (void)snprintf(s->body, sizeof s->body, "%.*s", SV_ARG(a->body));
}

struct rig {
    struct fake fake;
    struct kube_config config;
    struct transport transport;
    struct timers timers;
    struct client *client;
    struct seen seen;
};

static void rig_start(struct rig *r)
{
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

static struct transfer *get(struct rig *r, const char *path)
{
    (void)client_send(
        r->client, &(struct client_request){.method = "GET", .path = path, .channel = CHANNEL_POOL},
        on_answer, &r->seen);
    return fake_newest(&r->fake);
}

#define AGENT "User-Agent: brim/" BRIM_VERSION "\n"

Test(client, says_who_asks)
{
    static char group[] = "Impersonate-Group: g", user[] = "Impersonate-User: u", token[] = "t0k",
                name[] = "jane", secret[] = "pw";
    char *lines[] = {user, group};
    static const struct {
        const char *name, *headers;
        bool token, password, impersonate, plain;
    } rows[] = {
        {"nobody", AGENT, false, false, false, false},
        {"token", "Authorization: Bearer t0k\n" AGENT, true, false, false, false},
        {"password", "Authorization: Basic amFuZTpwdw==\n" AGENT, false, true, false, false},
        {"as somebody",
         "Authorization: Bearer t0k\n" AGENT "Impersonate-User: u\nImpersonate-Group: g\n", true,
         false, true, false},
        {"with a certificate as somebody", AGENT "Impersonate-User: u\nImpersonate-Group: g\n",
         false, false, true, false},
        {"over plain http", AGENT, true, false, false, true},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rig r = {0};

        r.config = (struct kube_config){
            .plain = rows[i].plain,
            .token = rows[i].token ? token : NULL,
            .username = rows[i].password ? name : NULL,
            .password = rows[i].password ? secret : NULL,
            .impersonate = lines,
            .n_impersonate = rows[i].impersonate ? 2 : 0,
        };
        rig_start(&r);
        cr_assert_str_eq(get(&r, "/x")->headers, rows[i].headers, "%s", rows[i].name);
        rig_done(&r);
    }
}

Test(client, reads_the_token_again_when_it_is_old_or_refused)
{
    char path[] = "/tmp/brim-token-XXXXXX";
    int fd = mkstemp(path);
    struct rig r = {0};

    cr_assert_geq(fd, 0);
    r.config.token_file = path;
    r.config.token = xstrdup("one");
    rig_start(&r);
    cr_assert_eq(write(fd, "two\n", 4), 4);
    cr_assert_not_null(strstr(get(&r, "/x")->headers, "Bearer one\n"));
    fake_json(fake_newest(&r.fake), 401,
              "{\"kind\":\"Status\",\"code\":401,\"reason\":\"Unauthorized\",\"message\":\"no\"}");
    cr_assert_eq(r.seen.calls, 0, "a 401 is tried again");
    cr_assert_not_null(strstr(fake_newest(&r.fake)->headers, "Bearer two\n"));
    fake_json(fake_newest(&r.fake), 401,
              "{\"kind\":\"Status\",\"code\":401,\"reason\":\"Unauthorized\",\"message\":\"no\"}");
    cr_assert_eq(r.seen.calls, 1, "but once only");
    cr_assert_eq(r.seen.problem.err.kind, ERR_AUTH);
    cr_assert_null(fake_newest(&r.fake));

    cr_assert_eq(pwrite(fd, "six\n", 4, 0), 4);
    fake_advance(&r.fake, 49 * US_PER_S);
    cr_assert_not_null(strstr(get(&r, "/x")->headers, "Bearer two\n"));
    fake_json(fake_newest(&r.fake), 200, "{}");
    fake_advance(&r.fake, 1 * US_PER_S);
    cr_assert_not_null(strstr(get(&r, "/x")->headers, "Bearer six\n"));
    cr_assert_eq(unlink(path), 0);
    fake_json(fake_newest(&r.fake), 200, "{}");
    fake_advance(&r.fake, 60 * US_PER_S);
    cr_assert_not_null(strstr(get(&r, "/x")->headers, "Bearer six\n"),
                       "without a file the old one stays");
    rig_done(&r);
    free(r.config.token);
    (void)close(fd);
}

/* A Status in protobuf: "k8s\0", Unknown{2 raw = Status{3 message "m", 4 reason "r", 6 code 409}}. */
#define PB_STATUS "k8s\0\x12\x09\x1a\x01m\x22\x01r\x30\x99\x03"

static const struct {
    const char *name;
    int status, retry_after_s;
    const char *type, *body, *patch;
    size_t len; /* of the body; 0: a C string */
    enum err_kind kind;
    const char *text;
} problems[] = {
    {"a Status", 404, -1, "application/json",
     "{\"kind\":\"Status\",\"code\":404,\"reason\":\"NotFound\",\"message\":\"no x\"}", NULL, 0,
     ERR_NOT_FOUND, "GET /x: 404 NotFound: no x"},
    {"plain text", 429, 3, "text/plain", "Too many requests\nsecond line", NULL, 0, ERR_THROTTLED,
     "GET /x: 429 Too many requests"},
    {"control characters", 503, -1, "text/plain", "a\x1b[31mb", NULL, 0, ERR_SERVER,
     "GET /x: 503 a [31mb"},
    {"JSON that is none", 500, -1, "application/json", "{", NULL, 0, ERR_SERVER,
     "GET /x: status 500"},
    {"nothing", 403, -1, "", "", NULL, 0, ERR_FORBIDDEN, "GET /x: status 403"},
    {"failed test", 422, -1, "application/json", "", CLIENT_JSON_PATCH, 0, ERR_CONFLICT,
     "GET /x: status 422"},
    {"invalid", 422, -1, "application/json", "", CLIENT_MERGE_PATCH, 0, ERR_INPUT,
     "GET /x: status 422"},
    {"redirect", 301, -1, "text/html", "<a>", NULL, 0, ERR_PROTOCOL, "GET /x: 301 <a>"},
};

Test(client, explains_what_went_wrong)
{
    for (size_t i = 0; i < COUNT_OF(problems); i++) {
        struct rig r = {0};

        rig_start(&r);
        (void)client_send(r.client,
                          &(struct client_request){
                              .method = "GET", .path = "/x?y=z", .content_type = problems[i].patch},
                          on_answer, &r.seen);
        fake_reply(fake_newest(&r.fake), problems[i].status, problems[i].type,
                   problems[i].retry_after_s, problems[i].body);
        cr_assert_eq(r.seen.calls, 1);
        cr_assert_eq(r.seen.problem.err.kind, problems[i].kind, "%s", problems[i].name);
        cr_assert_str_eq(r.seen.problem.err.text, problems[i].text, "%s: %s", problems[i].name,
                         r.seen.problem.err.text);
        cr_assert_eq(r.seen.problem.retry_after_s, problems[i].retry_after_s, "%s",
                     problems[i].name);
        rig_done(&r);
    }
}

Test(client, marks_where_a_long_message_was_cut)
{
    struct rig r = {0};
    struct strbuf body;
    size_t len;

    strbuf_init(&body, 4096);
    (void)strbuf_add(
        &body, SV("{\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\",\"message\":\""));
    for (int i = 0; i < 100; i++)
        (void)strbuf_add(&body, SV("brim may not "));
    (void)strbuf_add(&body, SV("\"}"));
    rig_start(&r);
    fake_json(get(&r, "/x"), 403, strbuf_str(&body));
    len = strlen(r.seen.problem.err.text);
    cr_expect_gt(len, sizeof r.seen.problem.err.text - 8, "%s", r.seen.problem.err.text);
    cr_expect_str_eq(r.seen.problem.err.text + len - 3, "…", "%s", r.seen.problem.err.text);
    rig_done(&r);
    strbuf_done(&body);
}

Test(client, explains_protobuf_too)
{
    struct rig r = {0};
    struct transfer *t;
    struct err err = {0};

    rig_start(&r);
    t = get(&r, "/x");
    cr_assert(fake_head(t, 409, "application/vnd.kubernetes.protobuf", -1));
    cr_assert(t->handler.data(t->handler.self,
                              (struct sv){.at = PB_STATUS, .len = sizeof PB_STATUS - 1}, &err));
    fake_end(t);
    cr_assert_eq(r.seen.problem.err.kind, ERR_CONFLICT);
    cr_assert_str_eq(r.seen.problem.err.text, "GET /x: 409 r: m");
    rig_done(&r);
}

Test(client, collects_an_answer_in_pieces)
{
    struct rig r = {0};

    rig_start(&r);
    r.fake.piece = 3;
    fake_json(get(&r, "/x"), 200, "{\"a\": [1, 2, 3]}");
    cr_assert_eq(r.seen.calls, 1);
    cr_assert_eq(r.seen.problem.err.kind, ERR_NONE);
    cr_assert_str_eq(r.seen.body, "{\"a\": [1, 2, 3]}");
    cr_assert_eq(r.seen.format, DECODE_JSON);
    rig_done(&r);
}

Test(client, gives_a_request_a_minute_and_a_stream_for_ever)
{
    struct rig r = {0};
    struct client_handler handler = {0};
    struct client_call *call;

    rig_start(&r);
    cr_assert_eq(get(&r, "/x")->timeout_us, CLIENT_TIMEOUT_US);
    call = client_start(r.client,
                        &(struct client_request){.method = "GET", .path = "/w", .stream = true},
                        &handler);
    cr_assert_eq(fake_newest(&r.fake)->timeout_us, 0);
    client_cancel(call);
    rig_done(&r);
}

Test(client, keeps_a_control_connection_warm)
{
    struct rig r = {0};

    rig_start(&r);
    client_keep_warm(r.client);
    fake_advance(&r.fake, 0);
    cr_assert_str_eq(fake_newest(&r.fake)->path, "/version");
    cr_assert_eq(fake_newest(&r.fake)->channel, CHANNEL_CONTROL);
    fake_json(fake_newest(&r.fake), 200, "{}");
    fake_advance(&r.fake, 20 * US_PER_S);
    (void)client_send(
        r.client,
        &(struct client_request){.method = "PUT", .path = "/lease", .channel = CHANNEL_CONTROL},
        on_answer, &r.seen);
    fake_json(fake_newest(&r.fake), 200, "{}");
    fake_advance(&r.fake, 29 * US_PER_S);
    cr_assert_null(fake_newest(&r.fake), "it was in use");
    fake_advance(&r.fake, 1 * US_PER_S);
    cr_assert_str_eq(fake_newest(&r.fake)->path, "/version");
    fake_advance(&r.fake, 60 * US_PER_S);
    cr_assert_eq(fake_count(&r.fake), 1, "one at a time, even if it hangs");
    rig_done(&r);
}

Test(client, escapes_for_paths_and_queries)
{
    struct strbuf out;

    strbuf_init(&out, 100);
    client_escape(&out, SV("aZ09-._~ /?%=&!\xc3"));
    cr_assert_str_eq(strbuf_str(&out), "aZ09-._~%20%2F%3F%25%3D%26%21%C3");
    strbuf_done(&out);
}
