#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/kube/config.h"
#include "agent/kube/transport.h"
#include "base/alloc.h"
#include "base/clock.h"

/*
 * A server on loopback with a thread a connection, which answers by path:
 *   /echo     the request as it came          /empty  204               /retry    429 with Retry-After
 *   /chunks   three chunks                    /cut    half an answer    /huge     5 MiB
 *   /quiet    a head and then nothing         /mute   nothing           /redirect 302
 *   /trickle  TRICKLE bytes, a millisecond apart
 */
enum { TRICKLE = 40 };

struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
    atomic_int connections, requests;
};

struct visit {
    struct server *server;
    int fd;
};

static void say(int fd, const char *text)
{
    size_t len = strlen(text);

    while (len != 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

static void say_body(int fd, const char *body)
{
    char head[128];

    (void)snprintf(
        head, sizeof head,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
        strlen(body));
    say(fd, head);
    say(fd, body);
}

/* Waits until the other side closes. */
static void linger(int fd)
{
    char sink[64];

    while (recv(fd, sink, sizeof sink, 0) > 0)
        continue;
}

static void say_huge(int fd)
{
    static const char block[4097] = {0};
    char text[sizeof block];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    say(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5242880\r\n\r\n");
    for (int i = 0; i < 1280; i++)
        say(fd, text);
}

static void say_trickle(int fd)
{
    say(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: "
            "chunked\r\n\r\n");
    for (int i = 0; i < TRICKLE; i++) {
        (void)usleep(1000);
        say(fd, "1\r\nx\r\n");
    }
    say(fd, "0\r\n\r\n");
}

/* False: the connection is to be closed. */
static bool answer(int fd, const char *request)
{
    const char *path = strchr(request, ' ');

    if (path == NULL)
        return false;
    path++;
    if (strncmp(path, "/prefix", 7) == 0)
        path += 7;
    if (strncmp(path, "/echo", 5) == 0) {
        say_body(fd, request);
    } else if (strncmp(path, "/empty", 6) == 0) {
        say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
    } else if (strncmp(path, "/retry", 6) == 0) {
        say(fd, "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-type: "
                "text/plain\r\nContent-Length: 2\r\n\r\nno");
    } else if (strncmp(path, "/redirect", 9) == 0) {
        say(fd, "HTTP/1.1 302 Found\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n");
    } else if (strncmp(path, "/chunks", 7) == 0) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: "
                "chunked\r\n\r\n3\r\nabc\r\n");
        say(fd, "4\r\ndefg\r\n1\r\nh\r\n0\r\n\r\n");
    } else if (strncmp(path, "/huge", 5) == 0) {
        say_huge(fd);
    } else if (strncmp(path, "/trickle", 8) == 0) {
        say_trickle(fd);
    } else if (strncmp(path, "/cut", 4) == 0) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                "100\r\n\r\nonly so much");
        return false;
    } else {
        if (strncmp(path, "/quiet", 6) == 0)
            say(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: "
                    "chunked\r\n\r\n");
        linger(fd);
        return false;
    }
    return true;
}

static void *serve_connection(void *self)
{
    struct visit *visit = self;
    int fd = visit->fd;
    char request[8192];
    size_t len = 0;

    for (;;) {
        ssize_t n = recv(fd, request + len, sizeof request - 1 - len, 0);
        const char *end, *length;
        size_t body = 0;

        if (n <= 0)
            break;
        len += (size_t)n;
        request[len] = '\0';
        end = strstr(request, "\r\n\r\n");
        if (end == NULL)
            continue;
        length = strstr(request, "Content-Length: ");
        if (length != NULL)
            body = (size_t)atoi(length + 16);
        if (len < (size_t)(end - request) + 4 + body)
            continue;
        len = 0;
        atomic_fetch_add(&visit->server->requests, 1);
        if (!answer(fd, request))
            break;
    }
    (void)close(fd);
    free(visit);
    return NULL;
}

static void *serve(void *self)
{
    struct server *s = self;

    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        struct visit *visit;
        pthread_t thread;

        if (fd < 0)
            return NULL;
        atomic_fetch_add(&s->connections, 1);
        visit = xmalloc(sizeof *visit);
        *visit = (struct visit){.server = s, .fd = fd};
        cr_assert_eq(pthread_create(&thread, NULL, serve_connection, visit), 0);
        (void)pthread_detach(thread);
    }
}

static void server_start(struct server *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;

    *s = (struct server){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    cr_assert_eq(bind(s->fd, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(listen(s->fd, 16), 0);
    cr_assert_eq(getsockname(s->fd, (struct sockaddr *)&at, &len), 0);
    s->port = ntohs(at.sin_port);
    cr_assert_eq(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
    (void)shutdown(s->fd, SHUT_RDWR);
    (void)pthread_join(s->thread, NULL);
    (void)close(s->fd);
}

struct rig {
    struct server server;
    struct loop *loop;
    struct loop_timer *limit;
    struct kube_config config;
    char url[64];
    struct transport_curl *curl;
    struct transport transport;
};

static void too_long(void *self UNUSED)
{
    cr_assert_fail("nothing happened for 10 s");
}

static void rig_init_at(struct rig *r, const char *host)
{
    struct err err = {0};

    *r = (struct rig){0};
    server_start(&r->server);
    (void)snprintf(r->url, sizeof r->url, "http://%s:%u/prefix", host, r->server.port);
    r->config = (struct kube_config){.server = r->url, .plain = true};
    r->loop = loop_new();
    r->limit = loop_timer_new(r->loop, too_long, r);
    loop_timer_set(r->limit, 10 * US_PER_S);
    cr_assert(transport_curl_new(r->loop, &r->config, &r->curl, &err), "%s", err.text);
    r->transport = transport_curl_transport(r->curl);
}

static void rig_init(struct rig *r)
{
    rig_init_at(r, "127.0.0.1");
}

static void rig_done(struct rig *r)
{
    transport_curl_free(r->curl);
    loop_timer_free(r->limit);
    loop_free(r->loop);
    server_stop(&r->server);
}

enum act {
    CANCEL_NEVER,
    CANCEL_IN_HEAD,
    CANCEL_IN_DATA,
    REFUSE_HEAD,
    REFUSE_DATA,
    STOP_IN_HEAD,
    STOP_IN_DATA
};

/* One exchange, as its callbacks saw it. */
struct exchange {
    struct rig *rig;
    struct transfer *transfer;
    int heads, dones;
    bool batched;
    int turns;            /* of the loop that brought data */
    int64_t shortest_us;  /* between two of them; 0: there were no two */
    size_t in_turn, most; /* bytes in the turn that runs, in any turn */
    bool slow;            /* the server has more by the time that what came is read */
    struct mono read;
    int status, retry_after_s;
    char type[64];
    struct strbuf body;
    struct err err;
    enum act act;
    struct exchange *victim; /* cancelled in head, in place of the exchange itself */
    struct exchange *then;   /* begun in done */
    const char *then_path;
};

static void begin(struct exchange *x, struct rig *r, const char *path,
                  enum transport_channel channel, bool stream);

static void cancel(struct exchange *x)
{
    x->rig->transport.cancel(x->rig->transport.self, x->transfer);
    x->transfer = NULL;
}

static bool on_head(void *self, const struct transport_head *head, struct err *err)
{
    struct exchange *x = self;

    x->heads++;
    x->status = head->status;
    x->retry_after_s = head->retry_after_s;
    (void)snprintf(x->type, sizeof x->type, "%.*s", SV_ARG(head->content_type));
    if (x->act == CANCEL_IN_HEAD) {
        cancel(x->victim != NULL ? x->victim : x);
        loop_stop(x->rig->loop);
    } else if (x->act == STOP_IN_HEAD) {
        loop_stop(x->rig->loop);
    } else if (x->act == REFUSE_HEAD) {
        return err_set(err, ERR_PROTOCOL, 1, "refused");
    }
    return true;
}

static bool on_data(void *self, struct sv bytes, struct err *err)
{
    struct exchange *x = self;

    struct mono now = loop_now(x->rig->loop);
    int64_t since_us = mono_since_us(x->read, now);

    x->turns += since_us != 0;
    if (x->body.len != 0 && since_us != 0 && (x->shortest_us == 0 || since_us < x->shortest_us))
        x->shortest_us = since_us;
    x->in_turn = since_us != 0 ? bytes.len : x->in_turn + bytes.len;
    x->most = x->in_turn > x->most ? x->in_turn : x->most;
    x->read = now;
    (void)strbuf_add(&x->body, bytes);
    if (x->slow)
        (void)usleep(1000);
    if (x->act == CANCEL_IN_DATA) {
        cancel(x);
        loop_stop(x->rig->loop);
    } else if (x->act == STOP_IN_DATA && x->body.len >= 65536) {
        loop_stop(x->rig->loop);
    } else if (x->act == REFUSE_DATA) {
        return err_set(err, ERR_PROTOCOL, 2, "refused");
    }
    return true;
}

static void on_done(void *self, const struct err *err)
{
    struct exchange *x = self;

    x->dones++;
    x->transfer = NULL;
    x->err = err != NULL ? *err : (struct err){0};
    if (x->then != NULL)
        begin(x->then, x->rig, x->then_path, CHANNEL_POOL, false);
    else
        loop_stop(x->rig->loop);
}

static void begin(struct exchange *x, struct rig *r, const char *path,
                  enum transport_channel channel, bool stream)
{
    static const char *const headers[] = {"Authorization: Bearer t", "User-Agent: brim/test"};
    bool patch = strncmp(path, "/echo?patch", 11) == 0;

    x->rig = r;
    strbuf_init(&x->body, 8 << 20);
    x->transfer = r->transport.start(
        r->transport.self,
        &(struct transport_request){
            .method = patch ? "PATCH" : "GET",
            .path = path,
            .accept = "application/json",
            .content_type = patch ? "application/merge-patch+json" : NULL,
            .body = patch ? SV("{\"a\":1}") : (struct sv){0},
            .headers = headers,
            .n_headers = 2,
            .channel = channel,
            .timeout_us = strncmp(path, "/mute", 5) == 0 ? 200 * US_PER_MS : 0,
            .stream = stream,
            .batched = x->batched,
        },
        &(struct transport_handler){.head = on_head, .data = on_data, .done = on_done, .self = x});
    cr_assert_eq(x->dones, 0, "done from inside start");
}

static void exchange(struct exchange *x, struct rig *r, const char *path,
                     enum transport_channel channel, bool stream)
{
    begin(x, r, path, channel, stream);
    loop_run(r->loop);
}

static const struct {
    const char *name, *path;
    bool stream;
    int status, retry_after_s;
    const char *type, *body; /* NULL: not looked at */
    enum err_kind kind;
} rows[] = {
    {"whole", "/echo", false, 200, -1, "application/json", NULL, ERR_NONE},
    {"without a body", "/empty", false, 204, -1, "", "", ERR_NONE},
    {"chunks", "/chunks", true, 200, -1, "application/json", "abcdefgh", ERR_NONE},
    {"told to wait", "/retry", false, 429, 7, "text/plain", "no", ERR_NONE},
    {"redirect", "/redirect", false, 302, -1, "", "", ERR_NONE},
    {"cut off", "/cut", false, 200, -1, "application/json", "only so much", ERR_NETWORK},
    {"too large", "/huge", false, 200, -1, "application/json", NULL, ERR_LIMIT},
    {"large stream", "/huge", true, 200, -1, "application/json", NULL, ERR_NONE},
    {"no answer in time", "/mute", false, 0, 0, "", "", ERR_NETWORK},
};

Test(transport_curl, brings_answers_and_failures)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rig r;
        struct exchange x = {0};

        rig_init(&r);
        exchange(&x, &r, rows[i].path, CHANNEL_POOL, rows[i].stream);
        cr_assert_eq(x.dones, 1, "%s", rows[i].name);
        cr_assert_eq(x.heads, rows[i].status != 0, "%s: %d heads", rows[i].name, x.heads);
        cr_assert_eq(x.err.kind, rows[i].kind, "%s: %s", rows[i].name, x.err.text);
        cr_assert_eq(x.status, rows[i].status, "%s: %d", rows[i].name, x.status);
        cr_assert_eq(x.retry_after_s, rows[i].retry_after_s, "%s", rows[i].name);
        cr_assert_str_eq(x.type, rows[i].type, "%s", rows[i].name);
        if (rows[i].body != NULL)
            cr_assert_str_eq(strbuf_str(&x.body), rows[i].body, "%s", rows[i].name);
        if (rows[i].kind == ERR_LIMIT)
            cr_assert_leq(x.body.len, TRANSPORT_MAX_BODY);
        strbuf_done(&x.body);
        rig_done(&r);
    }
}

Test(transport_curl, sends_what_it_is_told_and_no_more)
{
    struct rig r;
    struct exchange x = {0};
    char expected[512];

    rig_init(&r);
    exchange(&x, &r, "/echo?patch=%2F..", CHANNEL_CONTROL, false);
    (void)snprintf(expected, sizeof expected,
                   "PATCH /prefix/echo?patch=%%2F.. HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: "
                   "application/json\r\n"
                   "Content-Type: application/merge-patch+json\r\nAuthorization: Bearer "
                   "t\r\nUser-Agent: brim/test\r\n"
                   "Content-Length: 7\r\n\r\n{\"a\":1}",
                   r.server.port);
    cr_assert_str_eq(strbuf_str(&x.body), expected);
    strbuf_done(&x.body);
    rig_done(&r);
}

Test(transport_curl, keeps_its_connections_a_channel_each)
{
    struct rig r;

    rig_init(&r);
    for (int i = 0; i < 6; i++) {
        struct exchange x = {0};

        exchange(&x, &r, "/echo", i % 2 == 0 ? CHANNEL_CONTROL : CHANNEL_POOL, false);
        strbuf_done(&x.body);
    }
    cr_assert_eq(atomic_load(&r.server.connections), 2, "%d connections",
                 atomic_load(&r.server.connections));
    rig_done(&r);
}

/* Our end of a connection to the server; -1: there is none. */
static int our_end(const struct server *s)
{
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in peer;
        socklen_t len = sizeof peer;

        if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && ntohs(peer.sin_port) == s->port)
            return fd;
    }
    return -1;
}

Test(transport_curl, asks_the_kernel_to_find_dead_peers)
{
    static const struct {
        const char *name;
        int level, option, expected;
    } options[] = {{"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1},
                   {"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 30},
                   {"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 15},
                   {"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 3},
                   {"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1}};
    struct rig r;
    struct exchange x = {0};

    rig_init(&r);
    exchange(&x, &r, "/echo", CHANNEL_POOL, false);
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        int value = -1;
        socklen_t len = sizeof value;

        cr_assert_eq(
            getsockopt(our_end(&r.server), options[i].level, options[i].option, &value, &len), 0);
        cr_expect_eq(value, options[i].expected, "%s is %d, expected %d", options[i].name, value,
                     options[i].expected);
    }
    strbuf_done(&x.body);
    rig_done(&r);
}

Test(transport_curl, sends_over_a_warm_connection_what_is_pushed_before_the_loop_goes_round)
{
    struct rig r;
    struct exchange first = {0}, x = {0};

    rig_init(&r);
    exchange(&first, &r, "/echo", CHANNEL_CONTROL, false);
    cr_assert_eq(atomic_load(&r.server.requests), 1);
    begin(&x, &r, "/echo", CHANNEL_CONTROL, false);
    r.transport.push(r.transport.self, CHANNEL_CONTROL);
    cr_assert_eq(x.dones, 0, "ends are told by the loop");
    for (int i = 0; i < 10000 && atomic_load(&r.server.requests) == 1; i++)
        usleep(1000);
    cr_assert_eq(atomic_load(&r.server.requests), 2, "it came though the loop stands still");
    loop_run(r.loop);
    cr_assert_eq(x.dones, 1);
    cr_assert_eq(x.status, 200);
    strbuf_done(&first.body);
    strbuf_done(&x.body);
    rig_done(&r);
}

Test(transport_curl, tells_the_head_of_a_stream_that_says_nothing)
{
    struct rig r;
    struct exchange x = {.act = STOP_IN_HEAD};

    rig_init(&r);
    exchange(&x, &r, "/quiet", CHANNEL_WATCH, true);
    cr_assert_eq(x.heads, 1);
    cr_assert_eq(x.dones, 0);
    cancel(&x);
    rig_done(&r);
    cr_assert_eq(x.dones, 0);
}

Test(transport_curl, may_be_cancelled_in_any_callback)
{
    for (enum act act = CANCEL_IN_HEAD; act <= CANCEL_IN_DATA; act++) {
        struct rig r;
        struct exchange x = {.act = act}, after = {0};

        rig_init(&r);
        exchange(&x, &r, "/chunks", CHANNEL_POOL, false);
        exchange(&after, &r, "/echo", CHANNEL_POOL, false);
        cr_assert_eq(x.dones, 0, "done came after cancel");
        cr_assert_eq(after.dones, 1);
        strbuf_done(&x.body);
        strbuf_done(&after.body);
        rig_done(&r);
    }
}

Test(transport_curl, may_cancel_another_transfer_in_a_callback)
{
    struct rig r;
    struct exchange quiet = {0}, x = {.act = CANCEL_IN_HEAD, .victim = &quiet};

    rig_init(&r);
    begin(&quiet, &r, "/quiet", CHANNEL_POOL, true);
    exchange(&x, &r, "/echo", CHANNEL_POOL, false);
    cr_assert_null(quiet.transfer);
    if (x.dones == 0)
        loop_run(r.loop);
    cr_assert_eq(x.dones, 1);
    cr_assert_eq(quiet.dones, 0);
    strbuf_done(&x.body);
    rig_done(&r);
}

Test(transport_curl, reads_in_batches_what_may_come_so)
{
    struct rig r;
    struct exchange x = {.batched = true}, huge = {.batched = true},
                    cancelled = {.batched = true, .act = CANCEL_IN_DATA}, after = {0};

    rig_init(&r);
    exchange(&x, &r, "/trickle", CHANNEL_WATCH, true);
    cr_assert_eq(x.err.kind, ERR_NONE, "%s", x.err.text);
    cr_assert_eq(x.body.len, TRICKLE);
    /* The loop's timers count from its own time of the turn, which is a little older. */
    cr_assert_geq(x.shortest_us, TRANSPORT_BATCH_US / 2);
    exchange(&huge, &r, "/huge", CHANNEL_WATCH, true);
    cr_assert_eq(huge.err.kind, ERR_NONE, "%s", huge.err.text);
    cr_assert_eq(huge.body.len, 5242880);
    exchange(&cancelled, &r, "/trickle", CHANNEL_WATCH, true);
    exchange(&after, &r, "/chunks", CHANNEL_WATCH, true);
    cr_assert_str_eq(strbuf_str(&after.body), "abcdefgh");
    cr_assert_eq(cancelled.dones, 0);
    strbuf_done(&x.body);
    strbuf_done(&huge.body);
    strbuf_done(&cancelled.body);
    strbuf_done(&after.body);
    rig_done(&r);
}

Test(transport_curl, lets_others_have_their_turn_while_a_long_answer_comes)
{
    enum { SLICE = 64 << 10, BATCH = 256 << 10, BUFFER = 64 << 10 };
    struct rig r;
    struct exchange huge = {.slow = true}, batched = {.slow = true, .batched = true},
                    cancelled = {.act = STOP_IN_DATA}, after = {0};

    rig_init(&r);
    exchange(&huge, &r, "/huge", CHANNEL_WATCH, true);
    cr_expect_eq(huge.body.len, 5242880);
    cr_expect_leq(huge.most, SLICE + BUFFER);
    cr_expect_geq(huge.most, SLICE, "the server gave less than that at a time");
    exchange(&batched, &r, "/huge", CHANNEL_WATCH, true);
    cr_expect_eq(batched.body.len, 5242880);
    cr_expect_leq(batched.most, BATCH + BUFFER);
    /* One that is paused may be cancelled. */
    begin(&cancelled, &r, "/huge", CHANNEL_WATCH, true);
    loop_run(r.loop);
    cancel(&cancelled);
    exchange(&after, &r, "/chunks", CHANNEL_WATCH, true);
    cr_assert_str_eq(strbuf_str(&after.body), "abcdefgh");
    cr_assert_eq(cancelled.dones, 0);
    strbuf_done(&huge.body);
    strbuf_done(&batched.body);
    strbuf_done(&cancelled.body);
    strbuf_done(&after.body);
    rig_done(&r);
}

/* An answer in TLS records of 512 bytes: less altogether than what wakes a batched reader. */
enum { RECORDS = 100 };

#define TLS_SERVER                                                                                 \
    "cd %s && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout k -out c 2>e && "      \
    "exec openssl s_server -accept 127.0.0.1:0 -naccept 1 -key k -cert c -HTTP "                   \
    "-max_send_frag 512 2>e"

static void write_answer(const char *dir)
{
    char path[128];
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/answer", dir);
    f = fopen(path, "w");
    cr_assert_not_null(f);
    (void)fprintf(f,
                  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                  "%d\r\n\r\n%0*d",
                  512 * RECORDS, 512 * RECORDS, 0);
    cr_assert_eq(fclose(f), 0);
}

Test(transport_curl, reads_all_that_is_there_of_a_batch_however_many_tls_records_it_is)
{
    char dir[] = "/tmp/brim-tls-XXXXXX", command[512], line[256];
    struct exchange x = {.batched = true};
    struct err err = {0};
    struct rig r;
    int port = 0;
    FILE *tls;

    rig_init(&r);
    cr_assert_not_null(mkdtemp(dir));
    write_answer(dir);
    (void)snprintf(command, sizeof command, TLS_SERVER, dir);
    tls = popen(command, "r");
    cr_assert_not_null(tls);
    while (port == 0 && fgets(line, sizeof line, tls) != NULL)
        (void)sscanf(line, "ACCEPT 127.0.0.1:%d", &port);
    cr_assert_neq(port, 0, "openssl does not listen");
    transport_curl_free(r.curl);
    (void)snprintf(r.url, sizeof r.url, "https://127.0.0.1:%d", port);
    r.config = (struct kube_config){.server = r.url, .insecure = true};
    cr_assert(transport_curl_new(r.loop, &r.config, &r.curl, &err), "%s", err.text);
    r.transport = transport_curl_transport(r.curl);
    exchange(&x, &r, "/answer", CHANNEL_WATCH, true);
    cr_assert_eq(x.err.kind, ERR_NONE, "%s", x.err.text);
    cr_assert_eq(x.body.len, 512 * RECORDS);
    cr_assert_lt(x.turns, RECORDS / 2, "one record a turn is read");
    strbuf_done(&x.body);
    rig_done(&r);
    (void)pclose(tls);
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    cr_assert_eq(system(command), 0);
}

Test(transport_curl, ends_with_what_the_handler_reports)
{
    for (enum act act = REFUSE_HEAD; act <= REFUSE_DATA; act++) {
        struct rig r;
        struct exchange x = {.act = act};

        rig_init(&r);
        exchange(&x, &r, "/chunks", CHANNEL_POOL, false);
        cr_assert_eq(x.dones, 1);
        cr_assert_eq(x.err.kind, ERR_PROTOCOL);
        cr_assert_str_eq(x.err.text, "refused");
        strbuf_done(&x.body);
        rig_done(&r);
    }
}

Test(transport_curl, may_be_started_in_done)
{
    struct rig r;
    struct exchange second = {0}, first = {.then = &second, .then_path = "/chunks"};

    rig_init(&r);
    exchange(&first, &r, "/echo", CHANNEL_POOL, false);
    cr_assert_eq(second.dones, 1);
    cr_assert_str_eq(strbuf_str(&second.body), "abcdefgh");
    strbuf_done(&first.body);
    strbuf_done(&second.body);
    rig_done(&r);
}

Test(transport_curl, reports_a_server_that_is_not_there)
{
    struct rig r;
    struct exchange x = {0};

    rig_init(&r);
    server_stop(&r.server);
    exchange(&x, &r, "/echo", CHANNEL_POOL, false);
    cr_assert_eq(x.heads, 0);
    cr_assert_eq(x.err.kind, ERR_NETWORK, "%s", x.err.text);
    transport_curl_free(r.curl);
    loop_timer_free(r.limit);
    loop_free(r.loop);
}

/* A listener whose queue is full answers no SYN, as a host behind a firewall that drops. */
Test(transport_curl, gives_up_a_connection_that_is_not_made_in_ten_seconds)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), waiting[2];
    struct rig r;
    struct exchange x = {0};
    struct mono began;
    int64_t took_us;

    cr_assert(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 0) == 0 &&
              getsockname(listener, (struct sockaddr *)&at, &len) == 0);
    for (size_t i = 0; i < COUNT_OF(waiting); i++) {
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(waiting[i], (struct sockaddr *)&at, sizeof at);
    }
    rig_init(&r);
    transport_curl_free(r.curl);
    (void)snprintf(r.url, sizeof r.url, "http://127.0.0.1:%u", ntohs(at.sin_port));
    cr_assert(transport_curl_new(r.loop, &r.config, &r.curl, NULL));
    r.transport = transport_curl_transport(r.curl);
    loop_timer_set(r.limit, 20 * US_PER_S);
    began = loop_now(r.loop);
    exchange(&x, &r, "/echo", CHANNEL_POOL, false);
    took_us = mono_since_us(began, loop_now(r.loop));
    cr_assert_eq(x.err.kind, ERR_NETWORK, "%s", x.err.text);
    cr_assert(took_us > 9 * US_PER_S && took_us < 15 * US_PER_S, "took %lld us",
              (long long)took_us);
    for (size_t i = 0; i < COUNT_OF(waiting); i++)
        (void)close(waiting[i]);
    (void)close(listener);
    rig_done(&r);
}

Test(transport_curl, drops_what_is_under_way_when_freed)
{
    struct rig r;
    struct exchange x[3] = {0};

    rig_init(&r);
    for (size_t i = 0; i < COUNT_OF(x); i++)
        begin(&x[i], &r, "/quiet", (enum transport_channel)i, true);
    rig_done(&r);
    for (size_t i = 0; i < COUNT_OF(x); i++)
        cr_assert_eq(x[i].dones, 0);
}

Test(transport_curl, ends_streams_when_connections_are_given_up)
{
    struct rig r;
    struct exchange before = {.act = STOP_IN_HEAD}, plain = {.act = STOP_IN_HEAD},
                    after = {.act = STOP_IN_HEAD}, last = {0};

    rig_init(&r);
    exchange(&before, &r, "/quiet", CHANNEL_WATCH, true);
    exchange(&plain, &r, "/quiet", CHANNEL_WATCH, false);
    r.transport.drop(r.transport.self);
    cr_assert_eq(before.dones, 0, "not from inside");
    begin(&after, &r, "/quiet", CHANNEL_WATCH, true);
    while (before.dones == 0 || after.heads == 0)
        loop_run(r.loop);
    cr_assert_eq(before.err.kind, ERR_NETWORK);
    cr_assert_str_eq(before.err.text, "given up: there are new certificates");
    cr_assert_eq(plain.dones, 0, "requests come to their end");
    exchange(&last, &r, "/echo", CHANNEL_POOL, false);
    cr_assert_eq(last.err.kind, ERR_NONE, "%s", last.err.text);
    cr_assert_eq(after.dones, 0, "what was begun later goes on");
    cancel(&plain);
    cancel(&after);
    strbuf_done(&before.body);
    strbuf_done(&plain.body);
    strbuf_done(&after.body);
    strbuf_done(&last.body);
    rig_done(&r);
}

/* ---- names that nobody answers for ---- */

static atomic_bool names_are_answered;
static atomic_int names_looked_up;

/* In place of the system's: of "silent.test" nothing is heard for ten seconds. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

    if (node == NULL || strcmp(node, "silent.test") != 0) {
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
        return real(node, service, hints, result);
    }
    atomic_fetch_add(&names_looked_up, 1);
    for (int i = 0; i < 1000 && !atomic_load(&names_are_answered); i++)
        (void)usleep(10000);
    atomic_fetch_sub(&names_looked_up, 1);
    return EAI_AGAIN;
}

Test(transport_curl, waits_for_no_name_that_nobody_answers_for)
{
    const struct clock clock = clock_system();
    struct exchange given_up = {0}, again = {0}, cancelled = {0}, left = {0};
    struct mono began = clock.mono(clock.self);
    struct rig r;

    rig_init_at(&r, "silent.test");
    begin(&cancelled, &r, "/echo", CHANNEL_POOL, false);
    exchange(&given_up, &r, "/mute", CHANNEL_CONTROL, false);
    cr_assert_eq(given_up.err.kind, ERR_NETWORK, "%s", given_up.err.text);
    cr_assert_neq(atomic_load(&names_looked_up), 0);
    cancel(&cancelled);
    begin(&left, &r, "/echo", CHANNEL_WATCH, true);
    exchange(&again, &r, "/mute", CHANNEL_CONTROL, false);
    rig_done(&r);
    cr_assert_lt(mono_since_us(began, clock.mono(clock.self)), 3 * US_PER_S);
    atomic_store(&names_are_answered, true);
    while (atomic_load(&names_looked_up) != 0)
        (void)usleep(1000);
    strbuf_done(&given_up.body);
    strbuf_done(&again.body);
    strbuf_done(&cancelled.body);
    strbuf_done(&left.body);
}
