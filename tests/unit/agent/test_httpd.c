#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "agent/serve/httpd.h"
#include "agent/serve/lines.h"
#include "base/strbuf.h"
#include "tests/unit/agent/certs.h"
#include "tests/unit/agent/sample_snapshot.h"

/* A server on a free port of the loopback address, over a slot with the sample. */
struct served {
    struct snapshot_slot *slot;
    struct httpd *h;
    uint16_t port; /* 0: the plain one's */
};

/* The sample as a loop that turns right now would have made it. */
static struct snapshot *fresh_sample(void)
{
    struct snapshot *s = sample_snapshot();
    struct clock clock = clock_system();

    s->at_mono = clock.mono(clock.self);
    return s;
}

static struct served serve(bool with_snapshot)
{
    struct served s = {.slot = snapshot_slot_new()};
    struct err err = {0};

    if (with_snapshot)
        snapshot_slot_set(s.slot, fresh_sample());
    cr_assert(httpd_start("127.0.0.1:0", s.slot, clock_system(), &s.h, &err), "%s", err.text);
    cr_assert(httpd_port(s.h) != 0 && httpd_secure_port(s.h) == 0);
    return s;
}

static void served_done(struct served *s)
{
    httpd_stop(s->h);
    snapshot_slot_free(s->slot);
}

static int dial(const struct served *s)
{
    uint16_t port = s->port != 0 ? s->port : httpd_port(s->h);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    const struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0, "%s", strerror(errno));
    return fd;
}

/* Sends, then reads until the server closes. */
static struct strbuf talk(const struct served *s, const char *text)
{
    struct strbuf out;
    char piece[4096];
    ssize_t got;
    int fd = dial(s);

    strbuf_init(&out, 1 << 20);
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    for (;;) {
        got = recv(fd, piece, sizeof piece, 0);
        if (got <= 0)
            break;
        (void)strbuf_add(&out, (struct sv){.at = piece, .len = (size_t)got});
    }
    (void)close(fd);
    return out;
}

Test(httpd, answers_over_a_socket)
{
    static const struct {
        const char *request;
        const char *want[3];
    } rows[] = {
        {"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
         {"HTTP/1.1 200", "\r\n\r\nok\n"}},
        {"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
         {"version=0.0.4", "cpu_capacity_remaining{policy=\"miner\"} 171.25",
          "process_resident_memory_bytes"}},
        {"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\nConnection: "
         "close\r\n\r\n",
         {"application/openmetrics-text", "# EOF\n", "X-Content-Type-Options: nosniff"}},
        {"GET /api/v1/decisions?limit=1&policy=min%65r HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: "
         "close\r\n\r\n",
         {"HTTP/1.1 200", "\"id\":30,", "application/json"}},
        {"GET /api/v1/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
         {"HTTP/1.1 403"}},
        {"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n",
         {"HTTP/1.1 405", "Allow: GET, HEAD"}},
        {"GET /readyz?verbose HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
         {"HTTP/1.1 503", "[-]nodes"}},
        {"rubbish\r\n\r\n", {NULL}}, /* closed without an answer */
    };
    struct served s = serve(true);
    struct snapshot *now;

    now = fresh_sample();
    now->ready = false;
    now->fillers[0].known = true;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct strbuf got;

        if (strstr(rows[i].request, "readyz") != NULL)
            snapshot_slot_set(s.slot, snapshot_ref(now));
        got = talk(&s, rows[i].request);
        for (size_t k = 0; k < COUNT_OF(rows[i].want) && rows[i].want[k] != NULL; k++)
            cr_expect(strstr(strbuf_str(&got), rows[i].want[k]) != NULL, "%s: no '%s' in: %s",
                      rows[i].request, rows[i].want[k], strbuf_str(&got));
        strbuf_done(&got);
    }
    snapshot_unref(now);
    served_done(&s);
}

Test(httpd, gives_no_body_to_head)
{
    struct served s = serve(true);
    struct strbuf got = talk(&s, "HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

    cr_expect(strstr(strbuf_str(&got), "HTTP/1.1 200") != NULL);
    cr_expect(strstr(strbuf_str(&got), "Content-Length: ") != NULL);
    cr_expect_null(strstr(strbuf_str(&got), "cpu_capacity"));
    strbuf_done(&got);
    served_done(&s);
}

Test(httpd, keeps_a_connection_for_the_next_request)
{
    struct served s = serve(false);
    struct strbuf got = talk(&s, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
                                 "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const char *first = strstr(strbuf_str(&got), "HTTP/1.1 200");

    cr_assert(first != NULL && strstr(first + 1, "HTTP/1.1 200") != NULL, "%s", strbuf_str(&got));
    strbuf_done(&got);
    served_done(&s);
}

Test(httpd, refuses_headers_beyond_its_memory)
{
    struct served s = serve(false);
    struct strbuf request, got;

    strbuf_init(&request, 1 << 20);
    (void)strbuf_add(&request, SV("GET /livez HTTP/1.1\r\nHost: x\r\n"));
    while (request.len < 2 * HTTPD_MEMORY)
        (void)strbuf_add(&request, SV("X-Padding: 0123456789012345678901234567890123456789\r\n"));
    (void)strbuf_add(&request, SV("\r\n"));
    got = talk(&s, strbuf_str(&request));
    cr_expect_null(strstr(strbuf_str(&got), " 200 "), "%s", strbuf_str(&got));
    strbuf_done(&got);
    got = talk(&s, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    cr_expect(strstr(strbuf_str(&got), " 200 ") != NULL, "and then serves on");
    strbuf_done(&got);
    strbuf_done(&request);
    served_done(&s);
}

Test(httpd, does_not_count_connections_from_loopback_against_one_address)
{
    struct served s = serve(false);
    int fd[LINES_MAX_PER_ADDRESS + 10];
    char piece[16];

    for (size_t i = 0; i < COUNT_OF(fd); i++)
        fd[i] = dial(&s);
    for (size_t i = 0; i < COUNT_OF(fd); i++) {
        static const char text[] = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";

        cr_assert_eq(send(fd[i], text, sizeof text - 1, MSG_NOSIGNAL), (ssize_t)sizeof text - 1);
        cr_expect_gt(recv(fd[i], piece, sizeof piece, 0), 0, "connection %zu", i);
        (void)close(fd[i]);
    }
    served_done(&s);
}

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

enum { IDLE = 1500 };

/* Whether the peer has closed: something to read, and that is the end. */
static bool closed(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);

    return got == 0 || (got < 0 && errno != EAGAIN);
}

Test(httpd, answers_a_probe_beside_more_idle_connections_than_it_holds)
{
    static int fds[IDLE];
    const struct rlimit enough = {.rlim_cur = 4096, .rlim_max = 4096};
    struct served s = serve(true);
    size_t open = 0;

    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &enough), 0, "%s", strerror(errno));
    for (size_t i = 0; i < IDLE; i++) {
        fds[i] = dial(&s);
        /* Every third has begun a request that never ends. */
        if (i % 3 == 0)
            (void)send(fds[i], "GET /livez HT", 13, MSG_NOSIGNAL);
    }
    for (int i = 0; i < 20; i++) {
        double began = seconds();
        struct strbuf got = talk(&s, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

        cr_expect(strstr(strbuf_str(&got), "HTTP/1.1 200") != NULL, "%s", strbuf_str(&got));
        cr_expect_lt(seconds() - began, 1.0, "probe %d took %.3f s", i, seconds() - began);
        strbuf_done(&got);
    }
    for (size_t i = 0; i < IDLE; i++)
        open += !closed(fds[i]);
    cr_expect(open > LINES_CROWDED / 2 && open <= LINES_MAX, "%zu are open", open);
    cr_expect(closed(fds[0]) && !closed(fds[IDLE - 1]), "the longest idle go first");
    for (size_t i = 0; i < IDLE; i++)
        (void)close(fds[i]);
    served_done(&s);
}

Test(httpd, leaves_connections_alone_while_there_is_room)
{
    static const char request[] = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
    int fds[LINES_CROWDED];
    struct served s = serve(true);
    struct strbuf got;
    char answer[512];

    for (size_t i = 0; i < LINES_CROWDED; i++)
        fds[i] = dial(&s);
    /* The first is used once more and kept: now the second is idle for longest. */
    cr_assert_eq(send(fds[0], request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    cr_assert_gt(recv(fds[0], answer, sizeof answer, 0), 0);
    for (size_t i = 0; i < LINES_CROWDED; i++)
        cr_expect(!closed(fds[i]), "%zu", i);
    got = talk(&s, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    strbuf_done(&got);
    for (size_t i = 0; i < LINES_CROWDED; i++)
        cr_expect_eq(closed(fds[i]), i == 1, "%zu", i);
    for (size_t i = 0; i < LINES_CROWDED; i++)
        (void)close(fds[i]);
    served_done(&s);
}

Test(httpd, stops_while_connections_are_open)
{
    struct served s = serve(true);
    int fd = dial(&s);

    cr_assert_eq(send(fd, "GET /me", 7, MSG_NOSIGNAL), 7);
    served_done(&s);
    (void)close(fd);
}

Test(httpd, says_what_is_wrong_with_an_address)
{
    static const struct {
        const char *listen, *text;
        enum err_kind kind;
    } rows[] = {
        {"", "ADDRESS:PORT", ERR_INPUT},
        {"8090", "ADDRESS:PORT", ERR_INPUT},
        {"127.0.0.1:", "ADDRESS:PORT", ERR_INPUT},
        {"127.0.0.1:65536", "ADDRESS:PORT", ERR_INPUT},
        {"127.0.0.1:-1", "ADDRESS:PORT", ERR_INPUT},
        {"127.0.0.1:80x", "ADDRESS:PORT", ERR_INPUT},
        {"brim.example:80", "address 'brim.example'", ERR_INPUT},
        {"[127.0.0.1:80", "address '[127.0.0.1'", ERR_INPUT},
    };
    struct snapshot_slot *slot = snapshot_slot_new();

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct httpd *h = NULL;
        struct err err = {0};

        cr_expect(!httpd_start(rows[i].listen, slot, clock_system(), &h, &err), "%s",
                  rows[i].listen);
        cr_expect(h == NULL && err.kind == rows[i].kind && strstr(err.text, rows[i].text) != NULL,
                  "%s: %s", rows[i].listen, err.text);
    }
    snapshot_slot_free(slot);
    httpd_stop(NULL);
}

Test(httpd, serves_plain_text_to_this_machine_alone)
{
    static const struct {
        const char *listen;
        bool taken;
    } rows[] = {{"127.0.0.1:0", true}, {"127.1.2.3:0", true}, {"localhost:0", true},
                {":0", false},         {"0.0.0.0:0", false},  {"[::]:0", false}};
    struct snapshot_slot *slot = snapshot_slot_new();

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct httpd *h = NULL;
        struct err err = {0};

        cr_expect_eq(httpd_start(rows[i].listen, slot, clock_system(), &h, &err), rows[i].taken,
                     "%s: %s", rows[i].listen, err.text);
        cr_expect(rows[i].taken ||
                      (err.kind == ERR_INPUT && strstr(err.text, "--secure-listen") != NULL),
                  "%s: %s", rows[i].listen, err.text);
        httpd_stop(h);
    }
    snapshot_slot_free(slot);
}

/* ---- over TLS ---- */

struct client {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    int fd;
};

/* A handshake by these priorities; the server is checked for `host` by `ca`. GnuTLS's code. */
static int shake(struct client *c, uint16_t port, const struct cert *ca, const char *host,
                 const char *priorities, const struct cert *own)
{
    gnutls_datum_t text = cert_datum(cert_pem(ca));
    struct served at = {0};
    int code;

    at.port = port;
    cr_assert_eq(gnutls_certificate_allocate_credentials(&c->credentials), 0);
    cr_assert_gt(gnutls_certificate_set_x509_trust_mem(c->credentials, &text, GNUTLS_X509_FMT_PEM),
                 0);
    if (own != NULL) {
        gnutls_datum_t cert = cert_datum(cert_pem(own)), key = cert_datum(cert_key_pem(own));

        cr_assert_eq(
            gnutls_certificate_set_x509_key_mem(c->credentials, &cert, &key, GNUTLS_X509_FMT_PEM),
            0);
    }
    cr_assert_eq(gnutls_init(&c->session, GNUTLS_CLIENT), 0);
    cr_assert_eq(gnutls_priority_set_direct(c->session, priorities, NULL), 0, "%s", priorities);
    (void)gnutls_credentials_set(c->session, GNUTLS_CRD_CERTIFICATE, c->credentials);
    (void)gnutls_server_name_set(c->session, GNUTLS_NAME_DNS, host, strlen(host));
    gnutls_session_set_verify_cert(c->session, host, 0);
    c->fd = dial(&at);
    gnutls_transport_set_int(c->session, c->fd);
    do
        code = gnutls_handshake(c->session);
    while (code < 0 && gnutls_error_is_fatal(code) == 0);
    return code;
}

static void hang_up(struct client *c)
{
    gnutls_deinit(c->session);
    gnutls_certificate_free_credentials(c->credentials);
    (void)close(c->fd);
}

/* What the server answers until it has said `until`, or ends. */
static struct strbuf talk_tls(struct client *c, const char *text, const char *until)
{
    struct strbuf out;
    char piece[4096];

    strbuf_init(&out, 1 << 20);
    cr_assert_eq(gnutls_record_send(c->session, text, strlen(text)), (ssize_t)strlen(text));
    while (strstr(strbuf_str(&out), until) == NULL) {
        ssize_t got = gnutls_record_recv(c->session, piece, sizeof piece);

        if (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED)
            continue;
        if (got <= 0)
            break;
        (void)strbuf_add(&out, (struct sv){.at = piece, .len = (size_t)got});
    }
    return out;
}

#define ANY "NORMAL"

static void expect_livez(struct client *c)
{
    struct strbuf out =
        talk_tls(c, "GET /livez HTTP/1.1\r\nHost: brim.filler.svc\r\n\r\n", "\r\n\r\nok\n");

    cr_expect(sv_starts(strbuf_sv(&out), SV("HTTP/1.1 200 ")), "%s", strbuf_str(&out));
    strbuf_done(&out);
}

static struct served serve_tls(const struct cert *leaf, struct cert_files *files,
                               struct tls **ret_tls)
{
    struct served s = serve(true);
    struct err err = {0};

    cert_files_write(files, leaf, leaf);
    cr_assert(tls_new(files->cert, files->key, ret_tls, &err), "%s", err.text);
    cr_assert(httpd_serve_secure(s.h, ":0", *ret_tls, &err), "%s", err.text);
    cr_assert_neq(httpd_secure_port(s.h), 0);
    return s;
}

Test(httpd, serves_tls_from_1_2_on)
{
    static const struct {
        const char *priorities;
        bool taken;
    } rows[] = {{ANY, true},
                {"NORMAL:-VERS-ALL:+VERS-TLS1.3", true},
                {"NORMAL:-VERS-ALL:+VERS-TLS1.2", true},
                {"NORMAL:-VERS-ALL:+VERS-TLS1.1:%VERIFY_ALLOW_SIGN_WITH_SHA1", false}};
    struct cert *ca = cert_ca("serving"), *own_ca = cert_ca("somebody's");
    struct cert *own = cert_client(own_ca, "somebody", NULL);
    struct cert *leaf = cert_server(ca, "brim.filler.svc");
    struct cert_files files = {0};
    struct tls *tls;
    struct served s = serve_tls(leaf, &files, &tls);
    struct err err = {0};

    /* TEST-NET: no machine has it. */
    cr_expect(!httpd_serve_secure(s.h, "192.0.2.1:80", tls, &err) && err.kind == ERR_SYSTEM &&
                  strstr(err.text, "--secure-listen 192.0.2.1:80: ") != NULL,
              "%s", err.text);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct client c;
        int code = shake(&c, httpd_secure_port(s.h), ca, "brim.filler.svc", rows[i].priorities,
                         i == 1 ? own : NULL);

        cr_expect_eq(code == 0, rows[i].taken, "%s: %s", rows[i].priorities, gnutls_strerror(code));
        if (code == 0) {
            expect_livez(&c);
            expect_livez(&c); /* the connection lives on */
        }
        hang_up(&c);
    }
    served_done(&s);
    tls_free(tls);
    cert_files_done(&files);
    cert_free(leaf);
    cert_free(own);
    cert_free(own_ca);
    cert_free(ca);
}

Test(httpd, begins_new_connections_with_the_new_certificate)
{
    struct cert *ca = cert_ca("serving"), *other_ca = cert_ca("serving, next");
    struct cert *leaf = cert_server(ca, "brim.filler.svc"),
                *other = cert_server(other_ca, "brim.filler.svc");
    struct cert_files files = {0};
    struct tls *tls;
    struct served s = serve_tls(leaf, &files, &tls);
    uint16_t port = httpd_secure_port(s.h);
    struct client before, after, late;
    struct err err = {0};
    bool changed;

    cr_assert_eq(shake(&before, port, ca, "brim.filler.svc", ANY, NULL), 0);
    expect_livez(&before);
    cert_files_write(&files, other, other);
    cr_assert(tls_reload(tls, &changed, &err) && changed, "%s", err.text);
    cr_expect_eq(shake(&after, port, other_ca, "brim.filler.svc", ANY, NULL), 0);
    cr_expect_neq(shake(&late, port, ca, "brim.filler.svc", ANY, NULL), 0);
    expect_livez(&before);
    expect_livez(&after);
    hang_up(&before);
    hang_up(&after);
    hang_up(&late);
    served_done(&s);
    tls_free(tls);
    cert_files_done(&files);
    cert_free(leaf);
    cert_free(other);
    cert_free(ca);
    cert_free(other_ca);
}

/* A clock that a test moves. */
static _Atomic int64_t hand_us;

static struct mono hand_mono(void *self)
{
    struct clock clock = clock_system();

    (void)self;
    return (struct mono){.us = clock.mono(clock.self).us + hand_us};
}

static struct wall hand_wall(void *self)
{
    struct clock clock = clock_system();

    (void)self;
    return clock.wall(clock.self);
}

Test(httpd, ends_a_tls_connection_after_ten_minutes)
{
    static const char ask[] = "GET /livez HTTP/1.1\r\nHost: h\r\n\r\n";
    struct cert *ca = cert_ca("serving"), *leaf = cert_server(ca, "brim.filler.svc");
    struct served s = {.slot = snapshot_slot_new()};
    struct clock clock = {.mono = hand_mono, .wall = hand_wall};
    struct cert_files files = {0};
    struct err err = {0};
    struct tls *tls;
    struct client c;

    cert_files_write(&files, leaf, leaf);
    cr_assert(tls_new(files.cert, files.key, &tls, &err), "%s", err.text);
    cr_assert(httpd_start("127.0.0.1:0", s.slot, clock, &s.h, &err), "%s", err.text);
    cr_assert(httpd_serve_secure(s.h, "127.0.0.1:0", tls, &err), "%s", err.text);
    cr_assert_eq(shake(&c, httpd_secure_port(s.h), ca, "brim.filler.svc", ANY, NULL), 0);
    for (int i = 0; i < 2; i++) {
        struct strbuf out;

        hand_us = i == 0 ? HTTPD_LIFETIME_US - 10 * US_PER_S : HTTPD_LIFETIME_US;
        out = talk_tls(&c, ask, "\r\n\r\nok\n");
        cr_expect_eq(strstr(strbuf_str(&out), "Connection: close") != NULL, i == 1, "%d: %s", i,
                     strbuf_str(&out));
        strbuf_done(&out);
    }
    hang_up(&c);
    served_done(&s);
    tls_free(tls);
    cert_files_done(&files);
    cert_free(leaf);
    cert_free(ca);
}

Test(httpd, says_that_a_port_is_taken)
{
    struct served s = serve(false);
    struct httpd *h = NULL;
    struct err err = {0};
    char listen[32];

    (void)snprintf(listen, sizeof listen, "127.0.0.1:%u", (unsigned)httpd_port(s.h));
    cr_expect(!httpd_start(listen, s.slot, clock_system(), &h, &err));
    cr_expect(err.kind == ERR_SYSTEM && err.code == EADDRINUSE && h == NULL, "%s", err.text);
    served_done(&s);
}

/* What a loop does when its bell rings: a table of nodes hangs there, after a while. */
static void *hang_nodes(void *self)
{
    const struct timespec while_ = {.tv_nsec = 50 * 1000 * 1000};
    struct boards *boards = self;

    (void)nanosleep(&while_, NULL);
    nodes_board_set(&boards->nodes, nodes_view_new());
    return NULL;
}

struct bell {
    struct boards *boards;
    pthread_t thread;
    int rings;
};

static void ring(void *self)
{
    struct bell *bell = self;

    if (bell->rings++ == 0)
        cr_assert_eq(pthread_create(&bell->thread, NULL, hang_nodes, bell->boards), 0);
}

#define GET_NODES "GET /api/v1/nodes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

Test(httpd, who_asks_first_waits_for_the_loop_and_holds_up_nobody)
{
    struct served s = serve(true);
    struct bell bell = {.boards = snapshot_slot_boards(s.slot)};
    int fd = dial(&s);
    struct strbuf got;
    char piece[256];
    ssize_t n;

    boards_on_wait(bell.boards, ring, &bell);
    cr_assert_eq(send(fd, GET_NODES, strlen(GET_NODES), MSG_NOSIGNAL), (ssize_t)strlen(GET_NODES));
    got = talk(&s, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    cr_expect(strstr(strbuf_str(&got), "HTTP/1.1 200") != NULL);
    strbuf_done(&got);
    n = recv(fd, piece, sizeof piece - 1, 0);
    cr_assert(n > 0);
    piece[n] = '\0';
    cr_expect(strstr(piece, "HTTP/1.1 200") != NULL, "%s", piece);
    (void)close(fd);
    cr_expect_eq(bell.rings, 1);
    (void)pthread_join(bell.thread, NULL);
    served_done(&s);
}

static void ring_in_vain(void *self)
{
    ++*(int *)self;
}

Test(httpd, ends_although_somebody_waits)
{
    struct served s = serve(true);
    int rings = 0, fd = dial(&s);
    struct strbuf got;

    boards_on_wait(snapshot_slot_boards(s.slot), ring_in_vain, &rings);
    cr_assert_eq(send(fd, GET_NODES, strlen(GET_NODES), MSG_NOSIGNAL), (ssize_t)strlen(GET_NODES));
    got = talk(&s, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    strbuf_done(&got);
    served_done(&s);
    cr_expect_eq(rings, 1);
    (void)close(fd);
}
