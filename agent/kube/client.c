#include "agent/kube/client.h"

#include <stdio.h>
#include <string.h>

#include "agent/kube/exec.h"
#include "agent/kube/pbwire.h"
#include "base/alloc.h"
#include "base/base64.h"

/* What the reference client does: cached at most a minute less ten seconds. */
#define TOKEN_AGE_US (50 * US_PER_S)
/* Of certificates too; after trouble with the network, which may be theirs, much sooner. */
#define TLS_AGE_US     (300 * US_PER_S)
#define TLS_TROUBLE_US (1 * US_PER_S)
#define WARM_US        (30 * US_PER_S)

enum { MAX_PROBLEM_BODY = 64 << 10, MAX_HEADER = 128 << 10, MAX_SEGMENT_SHOWN = 90 };

struct client {
    struct kube_config *config;
    struct transport transport;
    struct timers timers;
    struct mono token_read, tls_read;
    bool tls_doubted;          /* a connection failed since */
    struct exec *exec;         /* NULL: no program gives credentials */
    void *fail_timer;          /* for calls that must not fail from inside client_start() */
    struct client_fence fence; /* may_write NULL: none */
    struct decoder decoder;    /* of Status bodies */
    struct resource_names names;
    struct strbuf authorization; /* header line; empty: none */
    const char **headers;        /* what goes with each request */
    struct client_call *calls;
    struct client_call *warm_call;
    void *warm_timer;
    struct mono control_used;
};

/* The places in `headers`; without credentials what is sent begins at the second. */
enum { HEADER_AUTHORIZATION, HEADER_AGENT, HEADER_FIRST_IMPERSONATE };

struct client_call {
    struct client *client;
    struct client_call *next, **link;
    struct transfer *transfer;
    struct client_handler handler;
    client_answer_fn *answer_fn; /* client_send(): the handler is our own */
    void *answer_self;

    char *method, *path, *accept, *content_type;
    struct strbuf body;
    enum transport_channel channel;
    int64_t timeout_us;
    bool stream, batched, fenced;

    bool logged_in_again; /* after a 401, once */
    uint64_t generation;  /* of exec's credentials: those sent, and those that were refused */
    uint64_t newer_than;
    bool waits;         /* for exec, or to be failed */
    bool released;      /* is being looked at again, after exec's run */
    struct err failure; /* of exec or the fence; kind ERR_NONE: none */
    int status;         /* 0: no answer yet */
    int retry_after_s;
    bool plain_text; /* of a problem's body */
    enum decode_format format;
    struct strbuf collected; /* a problem's body, or client_send()'s answer */
};

/* ---- logging in ---- */

static void make_authorization(struct client *c)
{
    const struct kube_config *config = c->config;

    strbuf_clear(&c->authorization);
    if (config->plain)
        return;
    if (config->token != NULL) {
        (void)strbuf_addf(&c->authorization, "Authorization: Bearer %s", config->token);
    } else if (config->username != NULL) {
        struct strbuf pair;

        strbuf_init(&pair, MAX_HEADER);
        (void)strbuf_addf(&pair, "%s:%s", config->username,
                          config->password != NULL ? config->password : "");
        (void)strbuf_addf(&c->authorization, "Authorization: Basic ");
        (void)base64_encode(strbuf_sv(&pair), &c->authorization);
        strbuf_done(&pair);
    }
}

/* A token that cannot be read leaves the old one in force: the server tells whether it still holds. */
static void read_token(struct client *c)
{
    c->token_read = c->timers.now(c->timers.self);
    if (kube_config_read_token(c->config, NULL))
        make_authorization(c);
}

static void drop_connections(struct client *c)
{
    if (c->transport.drop != NULL)
        c->transport.drop(c->transport.self);
}

/* Reads the files of certificates again; true if they are others now. Where they cannot be read the old ones stay in force. */
static bool read_tls(struct client *c)
{
    bool changed = false;

    c->tls_read = c->timers.now(c->timers.self);
    c->tls_doubted = false;
    if (!kube_config_read_tls(c->config, &changed, NULL) || !changed)
        return false;
    drop_connections(c);
    return true;
}

static bool has_tls_files(const struct kube_config *config)
{
    return config->ca_file != NULL || config->cert_file != NULL;
}

/* What may have been replaced meanwhile is looked at before a request. */
static void read_files(struct client *c, struct mono now)
{
    if (c->config->token_file != NULL && mono_since_us(c->token_read, now) >= TOKEN_AGE_US)
        read_token(c);
    if (has_tls_files(c->config) &&
        mono_since_us(c->tls_read, now) >= (c->tls_doubted ? TLS_TROUBLE_US : TLS_AGE_US))
        (void)read_tls(c);
}

/* After a 401: may there be other credentials by now? */
static bool has_others(struct client *c, struct client_call *call)
{
    bool others = false;

    if (c->config->token_file != NULL) {
        read_token(c);
        others = true;
    }
    if (c->config->cert_file != NULL && read_tls(c))
        others = true;
    if (c->exec != NULL) {
        call->newer_than = call->generation;
        others = exec_ask(c->exec, call->newer_than, NULL) != EXEC_REFUSED;
    }
    return others;
}

/* ---- problems ---- */

static enum err_kind kind_of_status(int status, bool json_patch)
{
    switch (status) {
    case 401:
        return ERR_AUTH;
    case 403:
        return ERR_FORBIDDEN;
    case 404:
        return ERR_NOT_FOUND;
    case 408: /* a proxy lost patience; what it had read of the request may have gone on */
        return ERR_SERVER;
    case 409:
        return ERR_CONFLICT;
    case 410:
        return ERR_GONE;
    case 413:
        return ERR_LIMIT;
    case 422:
        /* A failed `test` has no reason of its own (k8s.io/apiserver, handlers/patch.go). */
        return json_patch ? ERR_CONFLICT : ERR_INPUT;
    case 429:
        return ERR_THROTTLED;
    default:
        if (status >= 500)
            return ERR_SERVER;
        return status >= 400 ? ERR_INPUT : ERR_PROTOCOL;
    }
}

/* The text's first line, what cannot be printed as blanks. */
static void first_line(struct sv text, char *out, size_t size)
{
    size_t len = 0;

    text = sv_trim(text);
    for (; len < text.len && len + 1 < size && text.at[len] != '\n'; len++)
        out[len] = (unsigned char)text.at[len] < 0x20 || text.at[len] == 0x7f ? ' ' : text.at[len];
    out[len] = '\0';
}

/* Fills in what the body says, if it is a Status. */
static bool explain(struct client_call *call, struct client_problem *p, const char *where)
{
    struct sv body = strbuf_sv(&call->collected);
    struct api_status status;
    char reason[64], message[sizeof p->err.text]; /* err_set() cuts what is too long */

    if (call->plain_text || (call->format == DECODE_PROTOBUF && !pb_unwrap(body, &body, NULL)) ||
        !decode_status(&call->client->decoder, call->format, body, &status, NULL))
        return false;
    first_line(status.reason, reason, sizeof reason);
    first_line(status.message, message, sizeof message);
    if (p->retry_after_s < 0 && status.retry_after_s > 0)
        p->retry_after_s = status.retry_after_s;
    p->version_too_large = p->status == 504 && sv_eq(status.cause, SV("ResourceVersionTooLarge"));
    (void)err_set(&p->err, p->err.kind, p->status, "%s: %d %s: %s", where, p->status, reason,
                  message);
    return true;
}

/* "GET /api/v1/pods": the query says nothing that a reader of messages wants. */
static void name_call(const struct client_call *call, char *out, size_t size)
{
    size_t len = strcspn(call->path, "?");

    (void)snprintf(out, size, "%s %.*s", call->method,
                   (int)(len < MAX_SEGMENT_SHOWN ? len : MAX_SEGMENT_SHOWN), call->path);
}

static struct client_problem make_problem(struct client_call *call, const struct err *err)
{
    struct client_problem p = {.status = call->status, .retry_after_s = call->retry_after_s};
    char where[MAX_SEGMENT_SHOWN + 16], line[sizeof p.err.text];

    name_call(call, where, sizeof where);
    if (err != NULL) {
        p.err = *err;
        (void)err_wrap(&p.err, "%s", where);
        return p;
    }
    p.err.kind = kind_of_status(p.status, call->content_type != NULL &&
                                              strcmp(call->content_type, CLIENT_JSON_PATCH) == 0);
    if (!explain(call, &p, where)) {
        first_line(call->plain_text ? strbuf_sv(&call->collected) : (struct sv){0}, line,
                   sizeof line);
        (void)err_set(&p.err, p.err.kind, p.status,
                      line[0] != '\0' ? "%s: %d %s" : "%s: status %d%s", where, p.status, line);
    }
    return p;
}

/* ---- calls ---- */

static void call_free(struct client_call *call)
{
    *call->link = call->next;
    if (call->next != NULL)
        call->next->link = call->link;
    free(call->method);
    free(call->path);
    free(call->accept);
    free(call->content_type);
    strbuf_done(&call->body);
    strbuf_done(&call->collected);
    free(call);
}

/* A part of an answer (206) is none: nobody asks for parts. */
static bool good(int status)
{
    return status >= 200 && status < 300 && status != 206;
}

static bool on_head(void *self, const struct transport_head *head, struct err *err)
{
    struct client_call *call = self;

    call->status = head->status;
    call->retry_after_s = head->retry_after_s;
    call->plain_text = false;
    /* Types are written in any case (RFC 9110, 8.3.1). */
    if (sv_starts_ascii_case(head->content_type, SV("application/vnd.kubernetes.protobuf")))
        call->format = DECODE_PROTOBUF;
    else if (sv_starts_ascii_case(head->content_type, SV("application/json")))
        call->format = DECODE_JSON;
    else
        call->plain_text = true;
    if (!good(call->status))
        return true;
    /* An answer without a body (204, or an empty 200) has no type, and then nothing has to be decoded. */
    if (call->plain_text && call->stream)
        return err_set(err, ERR_PROTOCOL, call->status,
                       "found content of type '%.*s', expected JSON or protobuf",
                       (int)(head->content_type.len < 60 ? head->content_type.len : 60),
                       head->content_type.at);
    return call->handler.head(call->handler.self, call->format, err);
}

static bool on_data(void *self, struct sv bytes, struct err *err)
{
    struct client_call *call = self;

    if (good(call->status))
        return call->handler.data(call->handler.self, bytes, err);
    /* More than fits is no Status; the code says enough then. */
    (void)strbuf_add(&call->collected, bytes);
    return true;
}

static void begin(struct client_call *call);

static void fail(struct client_call *call, const struct err *err)
{
    struct client_problem p = make_problem(call, err);

    call->handler.done(call->handler.self, &p);
    call_free(call);
}

static void on_done(void *self, const struct err *err)
{
    struct client_call *call = self;
    struct client *c = call->client;

    call->transfer = NULL;
    if (call->status == 401 && !call->logged_in_again && has_others(c, call)) {
        call->logged_in_again = true;
        begin(call);
        return;
    }
    if (err != NULL)
        c->tls_doubted = true;
    if (err != NULL || !good(call->status)) {
        fail(call, err);
        return;
    }
    call->handler.done(call->handler.self, NULL);
    call_free(call);
}

/* Waits for exec if its credentials are not there; then begin() comes once more. */
static bool has_credentials(struct client_call *call)
{
    struct client *c = call->client;

    if (c->exec == NULL)
        return true;
    switch (exec_ask(c->exec, call->newer_than, &call->failure)) {
    case EXEC_READY:
    case EXEC_REFUSED:
        call->generation = exec_generation(c->exec);
        return true;
    case EXEC_FAILED:
        c->timers.timer_set(c->fail_timer, 0);
        break;
    case EXEC_WAIT:
        break;
    }
    call->waits = true;
    return false;
}

static struct client_call *next_released(struct client *c)
{
    for (struct client_call *call = c->calls; call != NULL; call = call->next)
        if (call->released)
            return call;
    return NULL;
}

/* Looks at all that wait once more. Callbacks change the list: what they add waits for the next time. */
static void release(struct client *c)
{
    for (struct client_call *call = c->calls; call != NULL; call = call->next)
        call->released = call->waits;
    for (struct client_call *call = next_released(c); call != NULL; call = next_released(c)) {
        call->released = call->waits = false;
        if (call->failure.kind != ERR_NONE)
            fail(call, &call->failure);
        else
            begin(call);
    }
}

static void on_fail_timer(void *self)
{
    release(self);
}

static void on_exec(void *self, bool new_certificate)
{
    struct client *c = self;

    make_authorization(c);
    if (new_certificate)
        drop_connections(c);
    release(c);
}

static void refuse(struct err *err)
{
    (void)err_set(err, ERR_CONFLICT, 0, "not sent: another replica leads, or none does");
}

/* Asks the fence. */
static bool may_go(struct client_call *call)
{
    struct client *c = call->client;

    if (!call->fenced || c->fence.may_write == NULL || c->fence.may_write(c->fence.self))
        return true;
    refuse(&call->failure);
    call->waits = true;
    c->timers.timer_set(c->fail_timer, 0);
    return false;
}

static void begin(struct client_call *call)
{
    struct client *c = call->client;
    struct mono now = c->timers.now(c->timers.self);
    bool has_authorization;

    read_files(c, now);
    if (call->channel == CHANNEL_CONTROL)
        c->control_used = now;
    call->status = 0;
    call->retry_after_s = -1;
    strbuf_clear(&call->collected);
    if (!may_go(call) || !has_credentials(call))
        return;

    /* The line may be a new one since; where there is none, the others begin behind its place. */
    has_authorization = c->authorization.len != 0;
    c->headers[HEADER_AUTHORIZATION] = strbuf_str(&c->authorization);
    struct transport_request request = {
        .method = call->method,
        .path = call->path,
        .accept = call->accept,
        .content_type = call->content_type,
        .body = strbuf_sv(&call->body),
        .headers = has_authorization ? c->headers : c->headers + 1,
        .n_headers = (has_authorization ? 2 : 1) + c->config->n_impersonate,
        .channel = call->channel,
        .timeout_us = call->timeout_us,
        .stream = call->stream,
        .batched = call->batched,
    };
    struct transport_handler handler = {
        .head = on_head, .data = on_data, .done = on_done, .self = call};

    call->transfer = c->transport.start(c->transport.self, &request, &handler);
}

static struct client_call *call_new(struct client *c, const struct client_request *r)
{
    struct client_call *call = xcalloc(1, sizeof *call);

    *call = (struct client_call){
        .client = c,
        .next = c->calls,
        .link = &c->calls,
        .method = xstrdup(r->method),
        .path = xstrdup(r->path),
        .accept = xstrdup(r->accept != NULL ? r->accept : CLIENT_JSON),
        .content_type = r->content_type != NULL ? xstrdup(r->content_type) : NULL,
        .channel = r->channel,
        .timeout_us = r->timeout_us != 0 || r->stream ? r->timeout_us : CLIENT_TIMEOUT_US,
        .stream = r->stream,
        .batched = r->batched,
        .fenced = !r->unfenced && strcmp(r->method, "GET") != 0,
    };
    if (c->calls != NULL)
        c->calls->link = &call->next;
    c->calls = call;
    strbuf_init(&call->body, r->body.len);
    (void)strbuf_add(&call->body, r->body);
    strbuf_init(&call->collected, MAX_PROBLEM_BODY);
    return call;
}

struct client_call *client_start(struct client *c, const struct client_request *request,
                                 const struct client_handler *handler)
{
    struct client_call *call = call_new(c, request);

    call->handler = *handler;
    begin(call);
    return call;
}

static bool answer_head(void *self UNUSED, enum decode_format format UNUSED, struct err *err UNUSED)
{
    return true;
}

static bool answer_data(void *self, struct sv bytes, struct err *err)
{
    struct client_call *call = self;

    if (strbuf_add(&call->collected, bytes))
        return true;
    return err_set(err, ERR_LIMIT, call->status, "the answer is longer than %d bytes",
                   TRANSPORT_MAX_BODY);
}

static void answer_done(void *self, const struct client_problem *problem)
{
    struct client_call *call = self;
    struct client_answer answer = {
        .problem = problem,
        .status = call->status,
        .format = call->format,
        .body = strbuf_sv(&call->collected),
    };

    call->answer_fn(call->answer_self, &answer);
}

struct client_call *client_send(struct client *c, const struct client_request *request,
                                client_answer_fn *fn, void *self)
{
    struct client_call *call = call_new(c, request);

    call->handler = (struct client_handler){
        .head = answer_head, .data = answer_data, .done = answer_done, .self = call};
    call->answer_fn = fn;
    call->answer_self = self;
    call->collected.max = TRANSPORT_MAX_BODY;
    begin(call);
    return call;
}

void client_cancel(struct client_call *call)
{
    if (call == NULL)
        return;
    if (call->transfer != NULL)
        call->client->transport.cancel(call->client->transport.self, call->transfer);
    call_free(call);
}

/* ---- the fence ---- */

void client_set_fence(struct client *c, const struct client_fence *fence)
{
    c->fence = *fence;
}

void client_drop_writes(struct client *c)
{
    for (struct client_call *call = c->calls; call != NULL; call = call->next) {
        if (!call->fenced || call->channel == CHANNEL_CONTROL)
            continue;
        if (call->transfer != NULL)
            c->transport.cancel(c->transport.self, TAKE(call->transfer));
        refuse(&call->failure);
        call->waits = true;
    }
    release(c);
}

size_t client_writes(const struct client *c)
{
    size_t n = 0;

    for (const struct client_call *call = c->calls; call != NULL; call = call->next)
        n += call->fenced;
    return n;
}

void client_push(struct client *c, enum transport_channel channel)
{
    if (c->transport.push != NULL)
        c->transport.push(c->transport.self, channel);
}

/* ---- waiting, keeping warm ---- */

struct waiting {
    struct loop *loop;
    struct strbuf body;
    enum decode_format format;
    struct client_problem problem;
    bool done, failed;
};

static void waiting_answered(void *self, const struct client_answer *answer)
{
    struct waiting *w = self;

    w->done = true;
    w->failed = answer->problem != NULL;
    if (w->failed)
        w->problem = *answer->problem;
    else
        (void)strbuf_add(&w->body, answer->body);
    w->format = answer->format;
    loop_stop(w->loop);
}

bool client_wait(struct client *c, struct loop *loop, const struct client_request *request,
                 struct strbuf *ret_body, enum decode_format *ret_format, struct err *err)
{
    struct waiting w = {.loop = loop};
    struct client_call *call;

    strbuf_init(&w.body, TRANSPORT_MAX_BODY);
    call = client_send(c, request, waiting_answered, &w);
    loop_run(loop);
    if (!w.done) {
        client_cancel(call);
        strbuf_done(&w.body);
        return err_set(err, ERR_NETWORK, 0, "%s %s: interrupted", request->method, request->path);
    }
    if (w.failed) {
        strbuf_done(&w.body);
        return err_set(err, w.problem.err.kind, w.problem.err.code, "%s", w.problem.err.text);
    }
    *ret_body = w.body;
    *ret_format = w.format;
    return true;
}

static void warmed(void *self, const struct client_answer *answer UNUSED)
{
    struct client *c = self;

    c->warm_call = NULL;
}

static void keep_warm(void *self)
{
    struct client *c = self;
    int64_t idle_us = mono_since_us(c->control_used, c->timers.now(c->timers.self));

    if (idle_us >= WARM_US) {
        if (c->warm_call == NULL)
            c->warm_call =
                client_send(c,
                            &(struct client_request){
                                .method = "GET", .path = "/version", .channel = CHANNEL_CONTROL},
                            warmed, c);
        idle_us = 0;
    }
    c->timers.timer_set(c->warm_timer, WARM_US - idle_us);
}

void client_keep_warm(struct client *c)
{
    if (c->warm_timer != NULL)
        return;
    c->control_used = (struct mono){.us = c->timers.now(c->timers.self).us - WARM_US};
    c->warm_timer = c->timers.timer_new(c->timers.self, keep_warm, c);
    c->timers.timer_set(c->warm_timer, 0);
}

/* ---- birth and death ---- */

struct client *client_new(struct kube_config *config, const struct transport *transport,
                          const struct timers *timers)
{
    struct client *c = xcalloc(1, sizeof *c);

    *c = (struct client){.config = config, .transport = *transport, .timers = *timers};
    c->token_read = c->tls_read = timers->now(timers->self);
    c->fail_timer = timers->timer_new(timers->self, on_fail_timer, c);
    resource_names_init(&c->names);
    decoder_init(&c->decoder, &c->names, &(struct podreq_rules){0});
    strbuf_init(&c->authorization, MAX_HEADER);
    make_authorization(c);

    size_t n = config->n_impersonate;

    c->headers = xcalloc(HEADER_FIRST_IMPERSONATE + n, sizeof *c->headers);
    c->headers[HEADER_AGENT] = "User-Agent: brim/" BRIM_VERSION;
    for (size_t i = 0; i < n; i++)
        c->headers[HEADER_FIRST_IMPERSONATE + i] = config->impersonate[i];
    return c;
}

void client_set_runner(struct client *c, const struct exec_runner *runner)
{
    if (c->config->exec == NULL)
        return;
    c->exec = exec_new(c->config, runner, &c->timers, on_exec, c);
}

void client_free(struct client *c)
{
    if (c == NULL)
        return;
    c->timers.timer_free(c->warm_timer);
    c->timers.timer_free(c->fail_timer);
    while (c->calls != NULL)
        client_cancel(c->calls);
    exec_free(c->exec);
    strbuf_done(&c->authorization);
    decoder_done(&c->decoder);
    resource_names_done(&c->names);
    free(c->headers);
    free(c);
}

const struct kube_config *client_config(const struct client *c)
{
    return c->config;
}

const struct timers *client_timers(const struct client *c)
{
    return &c->timers;
}

void client_escape(struct strbuf *out, struct sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char b = (unsigned char)text.at[i];

        if ((b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
            b == '-' || b == '.' || b == '_' || b == '~')
            (void)strbuf_add_char(out, (char)b);
        else
            (void)strbuf_addf(out, "%%%02X", b);
    }
}
