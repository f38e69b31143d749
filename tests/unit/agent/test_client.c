#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/kube/client.h"
#include "agent/kube/version.h"
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
    {"a type in capitals", 404, -1, "Application/JSON; Charset=UTF-8",
     "{\"kind\":\"Status\",\"code\":404,\"reason\":\"NotFound\",\"message\":\"no x\"}", NULL, 0,
     ERR_NOT_FOUND, "GET /x: 404 NotFound: no x"},
    {"plain text", 429, 3, "text/plain", "Too many requests\nsecond line", NULL, 0, ERR_THROTTLED,
     "GET /x: 429 Too many requests"},
    {"control characters", 503, -1, "text/plain", "a\x1b[31mb", NULL, 0, ERR_SERVER,
     "GET /x: 503 a [31mb"},
    {"JSON that is none", 500, -1, "application/json", "{", NULL, 0, ERR_SERVER,
     "GET /x: status 500"},
    {"nothing", 403, -1, "", "", NULL, 0, ERR_FORBIDDEN, "GET /x: status 403"},
    {"a proxy that lost patience", 408, -1, "text/plain", "slow", NULL, 0, ERR_SERVER,
     "GET /x: 408 slow"},
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
    static const char *const types[] = {"application/vnd.kubernetes.protobuf",
                                        "application/vnd.Kubernetes.Protobuf"};

    for (size_t i = 0; i < COUNT_OF(types); i++) {
        struct rig r = {0};
        struct transfer *t;

        rig_start(&r);
        t = get(&r, "/x");
        cr_assert(fake_head(t, 409, types[i], -1));
        cr_assert(fake_bytes(t, SV(PB_STATUS)));
        fake_end(t);
        cr_assert_eq(r.seen.problem.err.kind, ERR_CONFLICT);
        cr_assert_str_eq(r.seen.problem.err.text, "GET /x: 409 r: m");
        rig_done(&r);
    }
}

static void on_version(void *self, const struct kube_version *version,
                       const struct err *problem UNUSED)
{
    char *release = self;

    (void)snprintf(release, sizeof version->release, "%s",
                   version != NULL ? version->release : "none");
}

Test(client, tells_the_servers_release_unless_nobody_asks_any_more)
{
    char release[sizeof((struct kube_version *)0)->release] = "";
    struct rig r = {0};

    rig_start(&r);
    (void)kube_version_ask(r.client, on_version, release);
    fake_json(fake_newest(&r.fake), 200, "{\"major\":\"1\",\"minor\":\"35+\"}");
    cr_assert_str_eq(release, "1.35");
    release[0] = '\0';
    kube_version_cancel(kube_version_ask(r.client, on_version, release));
    kube_version_cancel(NULL);
    cr_assert_eq(fake_count(&r.fake), 0);
    cr_assert_str_eq(release, "", "nothing is told after a cancel");
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

/* ---- credentials that change ---- */

/* A program that ends when the test says so. */
struct exec_run {
    exec_done_fn *fn;
    void *self;
};

struct login {
    struct rig rig;
    struct kube_exec plan;
    struct exec_run *run; /* NULL: none */
    int runs, drops;
};

static struct exec_run *run_start(void *self, const struct kube_exec *plan UNUSED, exec_done_fn *fn,
                                  void *fn_self, struct err *err UNUSED)
{
    struct login *l = self;

    l->runs++;
    l->run = xcalloc(1, sizeof *l->run);
    *l->run = (struct exec_run){.fn = fn, .self = fn_self};
    return l->run;
}

static void run_cancel(struct exec_run *run)
{
    free(run);
}

static void run_end(struct login *l, const char *status)
{
    struct exec_run *run = l->run;
    char text[512];

    (void)snprintf(text, sizeof text,
                   "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" KUBE_EXEC_V1
                   "\",\"status\":{%s}}",
                   status);
    cr_assert_not_null(run);
    l->run = NULL;
    run->fn(run->self, sv_from(text), NULL);
    free(run);
}

static void drop(void *self)
{
    ((struct login *)self)->drops++;
}

/* The transport's functions have one `self`, the fake, which stands at the front of the rig, which stands at the front here. */
static void login_init(struct login *l)
{
    static char version[] = KUBE_EXEC_V1, name[] = "login";
    static char *argv[] = {name, NULL}, *env[] = {NULL};
    struct exec_runner runner = {.start = run_start, .cancel = run_cancel, .self = l};

    *l = (struct login){.plan = {.api_version = version, .argv = argv, .env = env}};
    l->rig.config.exec = &l->plan;
    rig_start(&l->rig);
    client_free(l->rig.client);
    l->rig.transport.drop = drop;
    l->rig.client = client_new(&l->rig.config, &l->rig.transport, &l->rig.timers);
    client_set_runner(l->rig.client, &runner);
}

static void login_done(struct login *l)
{
    rig_done(&l->rig);
    free(l->rig.config.token);
    strbuf_done(&l->rig.config.cert_pem);
    strbuf_done(&l->rig.config.key_pem);
}

#define REFUSAL "{\"kind\":\"Status\",\"code\":401,\"reason\":\"Unauthorized\",\"message\":\"no\"}"
#define CERT(name)                                                                                 \
    "\"clientCertificateData\":\"-----BEGIN " name "-----\\n-----END X-----\","                    \
    "\"clientKeyData\":\"-----BEGIN K-----\\n-----END K-----\""

Test(client, waits_for_a_program_and_then_sends_all)
{
    struct login l;
    struct client_call *cancelled;

    login_init(&l);
    cr_assert_null(get(&l.rig, "/a"), "nothing is sent without credentials");
    cancelled = client_send(l.rig.client, &(struct client_request){.method = "GET", .path = "/b"},
                            on_answer, &l.rig.seen);
    (void)get(&l.rig, "/c");
    client_cancel(cancelled);
    cr_assert_eq(l.runs, 1);
    run_end(&l, "\"token\":\"one\"");
    cr_assert_eq(fake_count(&l.rig.fake), 2);
    cr_assert_not_null(strstr(fake_newest(&l.rig.fake)->headers, "Bearer one\n"));
    fake_json(fake_newest(&l.rig.fake), 200, "{}");
    fake_json(fake_newest(&l.rig.fake), 200, "{}");
    cr_assert_eq(l.rig.seen.calls, 2);
    cr_assert_not_null(strstr(get(&l.rig, "/d")->headers, "Bearer one\n"));
    cr_assert_eq(l.runs, 1);
    login_done(&l);
}

Test(client, tells_what_the_program_said)
{
    struct login l;

    login_init(&l);
    (void)get(&l.rig, "/a");
    run_end(&l, "");
    cr_assert_eq(l.rig.seen.calls, 0, "its end is told at the next turn");
    (void)get(&l.rig, "/b");
    cr_assert(fake_next_timer(&l.rig.fake));
    cr_assert_eq(l.rig.seen.calls, 2);
    cr_assert_eq(l.rig.seen.problem.err.kind, ERR_AUTH);
    cr_assert_eq(l.rig.seen.problem.status, 0);
    cr_assert_str_eq(
        l.rig.seen.problem.err.text,
        "GET /a: exec plugin 'login': its answer: found neither a token nor a certificate");
    cr_assert_eq(l.runs, 1);
    cr_assert_null(fake_newest(&l.rig.fake));
    login_done(&l);
}

Test(client, runs_the_program_again_after_a_401)
{
    struct login l;

    login_init(&l);
    (void)get(&l.rig, "/a");
    run_end(&l, "\"token\":\"one\"");
    fake_advance(&l.rig.fake, 60 * US_PER_S);
    fake_json(fake_newest(&l.rig.fake), 401, REFUSAL);
    cr_assert_eq(l.runs, 2);
    cr_assert_eq(l.rig.seen.calls, 0);
    cr_assert_not_null(strstr(get(&l.rig, "/b")->headers, "Bearer one\n"), "others do not wait");
    run_end(&l, "\"token\":\"two\"");
    cr_assert_not_null(strstr(fake_newest(&l.rig.fake)->headers, "Bearer two\n"));
    cr_assert_str_eq(fake_newest(&l.rig.fake)->path, "/a");
    fake_json(fake_newest(&l.rig.fake), 401, REFUSAL);
    cr_assert_eq(l.rig.seen.calls, 1);
    cr_assert_eq(l.rig.seen.problem.status, 401);
    /* The other was sent with the first token: the second one is tried, without another run. */
    fake_json(fake_newest(&l.rig.fake), 401, REFUSAL);
    cr_assert_not_null(strstr(fake_newest(&l.rig.fake)->headers, "Bearer two\n"));
    cr_assert_eq(l.runs, 2);
    fake_json(fake_newest(&l.rig.fake), 200, "{}");
    cr_assert_eq(l.rig.seen.calls, 2);
    cr_assert_eq(l.drops, 0, "a token is no reason to give up connections");
    login_done(&l);
}

Test(client, gives_up_connections_when_the_program_gives_another_certificate)
{
    struct login l;

    login_init(&l);
    (void)get(&l.rig, "/a");
    run_end(&l, CERT("X"));
    cr_assert_eq(l.drops, 0);
    cr_assert_str_eq(fake_newest(&l.rig.fake)->headers, AGENT);
    fake_advance(&l.rig.fake, 60 * US_PER_S);
    fake_json(fake_newest(&l.rig.fake), 401, REFUSAL);
    run_end(&l, CERT("Y"));
    cr_assert_eq(l.drops, 1);
    fake_json(fake_newest(&l.rig.fake), 200, "{}");
    cr_assert_eq(l.rig.seen.calls, 1);
    login_done(&l);
}

/* Each n-th call of a day is refused, its program failing now and then: every call ends, once. */
Test(client, ends_every_call_whatever_program_and_server_do)
{
    const unsigned first = (unsigned)getpid();
    unsigned seed = first;
    struct login l;
    int sent = 0;

    login_init(&l);
    for (int i = 0; i < 3000; i++) {
        struct transfer *t = fake_newest(&l.rig.fake);

        switch (rand_r(&seed) % 6) {
        case 0:
        case 1:
            (void)get(&l.rig, "/a");
            sent++;
            break;
        case 2:
            if (t != NULL)
                fake_json(t, rand_r(&seed) % 3 == 0 ? 401 : 200, REFUSAL);
            break;
        case 3:
            if (t != NULL)
                fake_break(t);
            break;
        case 4:
            if (l.run != NULL)
                run_end(&l, rand_r(&seed) % 3 == 0 ? "" : "\"token\":\"t\"");
            break;
        case 5:
            fake_advance(&l.rig.fake, rand_r(&seed) % 5 * US_PER_S);
            break;
        }
    }
    for (int i = 0; i < 100000 && l.rig.seen.calls < sent; i++) {
        if (l.run != NULL)
            run_end(&l, "\"token\":\"t\"");
        else if (fake_newest(&l.rig.fake) != NULL)
            fake_json(fake_newest(&l.rig.fake), 200, "{}");
        else
            cr_assert(fake_next_timer(&l.rig.fake), "seed %u", first);
    }
    cr_assert_eq(l.rig.seen.calls, sent, "seed %u", first);
    login_done(&l);
}

static void write_pem(const char *path, const char *name)
{
    FILE *f = fopen(path, "w");

    cr_assert_not_null(f);
    cr_assert_gt(fprintf(f, "-----BEGIN %s-----\n-----END %s-----\n", name, name), 0);
    cr_assert_eq(fclose(f), 0);
}

Test(client, reads_certificates_again_now_and_then_and_after_trouble)
{
    char path[] = "/tmp/brim-pem-XXXXXX";
    struct login l = {0};
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    write_pem(path, "A");
    l.rig.config = (struct kube_config){.ca_file = path, .cert_file = path, .key_file = path};
    strbuf_init(&l.rig.config.ca_pem, 1000);
    rig_start(&l.rig);
    l.rig.transport.drop = drop;
    client_free(l.rig.client);
    l.rig.client = client_new(&l.rig.config, &l.rig.transport, &l.rig.timers);

    fake_advance(&l.rig.fake, 299 * US_PER_S);
    fake_json(get(&l.rig, "/a"), 200, "{}");
    cr_assert_eq(l.drops, 0);
    fake_advance(&l.rig.fake, 1 * US_PER_S);
    fake_json(get(&l.rig, "/a"), 200, "{}");
    cr_assert_eq(l.drops, 1, "after five minutes");
    cr_assert_not_null(strstr(strbuf_str(&l.rig.config.key_pem), "BEGIN A"));

    write_pem(path, "B");
    fake_advance(&l.rig.fake, 2 * US_PER_S);
    fake_break(get(&l.rig, "/a"));
    cr_assert_eq(l.rig.seen.problem.err.kind, ERR_NETWORK);
    cr_assert_eq(l.drops, 1);
    fake_json(get(&l.rig, "/a"), 200, "{}");
    cr_assert_eq(l.drops, 2, "after trouble");
    cr_assert_not_null(strstr(strbuf_str(&l.rig.config.ca_pem), "BEGIN B"));

    write_pem(path, "C");
    fake_json(get(&l.rig, "/a"), 401, REFUSAL);
    cr_assert_eq(l.drops, 3, "after a 401");
    fake_json(fake_newest(&l.rig.fake), 401, REFUSAL);
    cr_assert_eq(l.rig.seen.calls, 5);
    fake_json(get(&l.rig, "/a"), 401, REFUSAL);
    cr_assert_eq(l.rig.seen.calls, 6, "the same again is not tried again");

    cr_assert_eq(unlink(path), 0);
    fake_advance(&l.rig.fake, 300 * US_PER_S);
    fake_json(get(&l.rig, "/a"), 200, "{}");
    cr_assert_eq(l.drops, 3);
    cr_assert_not_null(strstr(strbuf_str(&l.rig.config.cert_pem), "BEGIN C"), "the old ones stay");
    rig_done(&l.rig);
    strbuf_done(&l.rig.config.ca_pem);
    strbuf_done(&l.rig.config.cert_pem);
    strbuf_done(&l.rig.config.key_pem);
    (void)close(fd);
}
