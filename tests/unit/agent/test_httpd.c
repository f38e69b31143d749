#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "agent/serve/httpd.h"
#include "base/strbuf.h"
#include "tests/unit/agent/sample_snapshot.h"

/* A server on a free port of the loopback address, over a slot with the sample. */
struct served {
    struct snapshot_slot *slot;
    struct httpd *h;
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
    cr_assert(httpd_loopback(s.h) && httpd_port(s.h) != 0);
    return s;
}

static void served_done(struct served *s)
{
    httpd_stop(s->h);
    snapshot_slot_free(s->slot);
}

static int dial(const struct served *s)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(httpd_port(s->h))};
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
    int fd[HTTPD_MAX_PER_ADDRESS + 10];
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
    cr_expect(open > HTTPD_CROWDED / 2 && open <= HTTPD_MAX_CONNECTIONS, "%zu are open", open);
    cr_expect(closed(fds[0]) && !closed(fds[IDLE - 1]), "the longest idle go first");
    for (size_t i = 0; i < IDLE; i++)
        (void)close(fds[i]);
    served_done(&s);
}

Test(httpd, leaves_connections_alone_while_there_is_room)
{
    static const char request[] = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
    int fds[HTTPD_CROWDED];
    struct served s = serve(true);
    struct strbuf got;
    char answer[512];

    for (size_t i = 0; i < HTTPD_CROWDED; i++)
        fds[i] = dial(&s);
    /* The first is used once more and kept: now the second is idle for longest. */
    cr_assert_eq(send(fds[0], request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    cr_assert_gt(recv(fds[0], answer, sizeof answer, 0), 0);
    for (size_t i = 0; i < HTTPD_CROWDED; i++)
        cr_expect(!closed(fds[i]), "%zu", i);
    got = talk(&s, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    strbuf_done(&got);
    for (size_t i = 0; i < HTTPD_CROWDED; i++)
        cr_expect_eq(closed(fds[i]), i == 1, "%zu", i);
    for (size_t i = 0; i < HTTPD_CROWDED; i++)
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
        {"192.0.2.1:80", "listen 192.0.2.1:80: ", ERR_SYSTEM}, /* TEST-NET: no machine has it */
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

Test(httpd, knows_which_addresses_others_reach)
{
    static const struct {
        const char *listen;
        bool loopback;
    } rows[] = {{"127.0.0.1:0", true},
                {"127.1.2.3:0", true},
                {"localhost:0", true},
                {":0", false},
                {"0.0.0.0:0", false}};
    struct snapshot_slot *slot = snapshot_slot_new();

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct httpd *h = NULL;
        struct err err = {0};

        cr_assert(httpd_start(rows[i].listen, slot, clock_system(), &h, &err), "%s: %s",
                  rows[i].listen, err.text);
        cr_expect_eq(httpd_loopback(h), rows[i].loopback, "%s", rows[i].listen);
        httpd_stop(h);
    }
    snapshot_slot_free(slot);
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
