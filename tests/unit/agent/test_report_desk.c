#include "agent/serve/report_desk.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/serve/httpd.h"

/* A program in a folder of its own, in place of brim. */
struct program {
    char dir[64], path[128];
};

static struct program program_new(const char *script)
{
    struct program p = {.dir = "/tmp/brim-desk-XXXXXX"};
    FILE *f;

    cr_assert_not_null(mkdtemp(p.dir));
    (void)snprintf(p.path, sizeof p.path, "%s/brim", p.dir);
    f = fopen(p.path, "w");
    cr_assert(f != NULL && fprintf(f, "#!/bin/sh\n%s\n", script) > 0 && fclose(f) == 0);
    cr_assert_eq(chmod(p.path, 0700), 0);
    return p;
}

static void program_done(const struct program *p)
{
    (void)unlink(p->path);
    (void)rmdir(p->dir);
}

static struct report_desk *desk_of(const struct program *p)
{
    struct report_desk *d;
    struct err err = {0};

    cr_assert(report_desk_new(p->path, "/var/lib/history.db", &d, &err), "%s", err.text);
    return d;
}

static void post(void *self)
{
    (void)sem_post(self);
}

/* Asks and waits. */
static struct routes_answer ask(struct report_desk *d, const struct routes_param *params, size_t n)
{
    struct report_job *job;
    struct routes_answer a;
    sem_t there;

    (void)sem_init(&there, 0, 0);
    job = report_desk_ask(d, params, n, post, &there);
    while (sem_wait(&there) != 0)
        continue;
    report_job_take(job, &a);
    report_job_free(job);
    (void)sem_destroy(&there);
    return a;
}

/* Only what is ours becomes a flag, and no value becomes a flag of its own. */
Test(report_desk, asks_with_flags)
{
    static const struct routes_param params[] = {
        {SV("policy"), SV("--policy-file=/etc/passwd; rm -rf")},
        {SV("since"), SV("7d")},
        {SV("policy-file"), SV("/etc/shadow")},
        {SV("db"), SV("/etc/shadow")},
        {SV("output"), SV("json")},
        {SV("format"), SV("csv")},
        {SV("advice"), SV("1")},
        {SV("zone"), SV("")},
    };
    struct program p = program_new("for w in \"$@\"; do echo \"<$w>\"; done");
    struct report_desk *d = desk_of(&p);
    struct routes_answer a = ask(d, params, COUNT_OF(params));

    cr_expect_eq(a.status, 200);
    cr_expect_str_eq(a.content_type, "text/csv; charset=utf-8");
    cr_expect_str_eq(
        strbuf_str(&a.body),
        "<report>\n<--db=/var/lib/history.db>\n<--policy=--policy-file=/etc/passwd; rm "
        "-rf>\n<--since=7d>\n<--advice>\n<--output=csv>\n");
    strbuf_done(&a.body);
    report_desk_free(d);
    program_done(&p);
}

Test(report_desk, tells_what_went_wrong)
{
    static const struct {
        const char *script;
        int status;
        const char *body;
    } rows[] = {
        {"echo page", 200, "page\n"},
        {"echo 'since: found x' >&2; exit 2", 400, "since: found x\n"},
        {"echo 'cannot be read' >&2; exit 3", 503, "cannot be read\n"},
        {"kill -9 $$", 500, "the report's process failed\n"},
        {"exec cat /dev/zero", 500, "the report is larger than this server sends\n"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct program p = program_new(rows[i].script);
        struct report_desk *d = desk_of(&p);
        struct routes_answer a = ask(d, NULL, 0);

        cr_expect_eq(a.status, rows[i].status, "%s: %d", rows[i].script, a.status);
        cr_expect_str_eq(strbuf_str(&a.body), rows[i].body);
        strbuf_done(&a.body);
        report_desk_free(d);
        program_done(&p);
    }
}

Test(report_desk, without_a_program_says_so)
{
    struct program p = {.path = "/nonexistent"};
    struct report_desk *d = desk_of(&p);
    struct routes_answer a = ask(d, NULL, 0);

    cr_expect_eq(a.status, 500);
    strbuf_done(&a.body);
    report_desk_free(d);
}

static void count(void *self)
{
    (void)atomic_fetch_add((atomic_int *)self, 1);
}

/* One runs and eight wait; the next is refused at once. When the desk is stopped each has its answer, whatever still runs. */
Test(report_desk, refuses_more_than_may_wait_and_ends_all_when_it_is_stopped, .timeout = 30)
{
    struct program p = program_new("exec sleep 1000");
    struct report_desk *d = desk_of(&p);
    struct report_job *jobs[REPORT_DESK_MAX_JOBS + 2];
    atomic_int done = 0;
    int refused = 0;

    for (size_t i = 0; i < COUNT_OF(jobs); i++)
        jobs[i] = report_desk_ask(d, NULL, 0, count, &done);
    cr_expect(atomic_load(&done) >= 1 && atomic_load(&done) <= 2);
    report_desk_stop(d);
    cr_expect_eq(atomic_load(&done), (int)COUNT_OF(jobs));
    for (size_t i = 0; i < COUNT_OF(jobs); i++) {
        struct routes_answer a;

        report_job_take(jobs[i], &a);
        cr_expect(a.status == 503 || a.status == 429, "%d", a.status);
        refused += a.status == 429;
        strbuf_done(&a.body);
        report_job_free(jobs[i]);
    }
    cr_expect(refused >= 1 && refused <= 2, "%d", refused);
    report_desk_free(d);
    program_done(&p);
}

/* ---- over a socket ---- */

static int dial(const struct httpd *h)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(httpd_port(h))};
    const struct timeval limit = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void say(int fd, const char *path, const char *host)
{
    char text[256];
    int len = snprintf(text, sizeof text,
                       "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host);

    cr_assert_eq(send(fd, text, (size_t)len, MSG_NOSIGNAL), len);
}

static struct strbuf hear(int fd)
{
    struct strbuf out;
    char piece[4096];
    ssize_t got;

    strbuf_init(&out, 1 << 20);
    for (;;) {
        got = recv(fd, piece, sizeof piece, 0);
        if (got < 0 && errno == EINTR) /* the runner's handler of children that end */
            continue;
        if (got <= 0)
            break;
        (void)strbuf_add(&out, (struct sv){.at = piece, .len = (size_t)got});
    }
    (void)close(fd);
    return out;
}

static struct httpd *serve(struct snapshot_slot *slot, const struct program *p)
{
    struct httpd *h;
    struct err err = {0};

    cr_assert(httpd_start("127.0.0.1:0", slot, clock_system(), &h, &err), "%s", err.text);
    if (p != NULL)
        cr_assert(httpd_serve_reports(h, p->path, "history.db", &err), "%s", err.text);
    return h;
}

static void expect(const struct httpd *h, const char *path, const char *host, const char *line,
                   const char *body)
{
    int fd = dial(h);
    struct strbuf got;

    say(fd, path, host);
    got = hear(fd);
    cr_expect(strstr(strbuf_str(&got), line) != NULL && strstr(strbuf_str(&got), body) != NULL,
              "%s: %s", path, strbuf_str(&got));
    strbuf_done(&got);
}

Test(report_desk, answers_over_a_socket)
{
    struct snapshot_slot *slot = snapshot_slot_new();
    struct program p = program_new("echo \"<p>$*</p>\"");
    struct httpd *h = serve(slot, &p);

    expect(h, "/report?since=7d", "localhost", "HTTP/1.1 200", "--since=7d --output=html</p>");
    expect(h, "/report", "localhost", "Content-Security-Policy: default-src 'none'", "<p>");
    expect(h, "/report?format=json", "localhost", "Content-Type: application/json", "json");
    expect(h, "/report", "evil.example", "HTTP/1.1 403", "Host");
    httpd_stop(h);
    h = serve(slot, NULL);
    expect(h, "/report", "localhost", "HTTP/1.1 404", "--db FILE");
    httpd_stop(h);
    snapshot_slot_free(slot);
    program_done(&p);
}

/* While a report is made others are served, and the server ends without waiting for it. */
Test(report_desk, keeps_nobody_waiting, .timeout = 30)
{
    struct snapshot_slot *slot = snapshot_slot_new();
    struct program p = program_new("exec sleep 1000");
    struct httpd *h = serve(slot, &p);
    int fd = dial(h), gone = dial(h);
    struct strbuf got;

    say(fd, "/report", "localhost");
    say(gone, "/report", "localhost");
    (void)close(gone);
    for (int i = 0; i < 20; i++)
        expect(h, "/livez", "localhost", "HTTP/1.1 200", "ok");
    httpd_stop(h);
    got = hear(fd); /* closed, with or without an answer */
    strbuf_done(&got);
    snapshot_slot_free(slot);
    program_done(&p);
}
