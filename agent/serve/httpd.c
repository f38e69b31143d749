#include "agent/serve/httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/serve/process.h"
#include "agent/serve/report_desk.h"
#include "agent/serve/routes.h"
#include "base/alloc.h"

/* An address and how many connections it holds. Only the server's thread touches these. */
struct peer {
    struct in6_addr address; /* IPv4 as ::ffff:a.b.c.d */
    int connections;
};

/* A connection that is open, from the library's first notice of it to the last. */
struct line {
    struct peer *peer; /* NULL: the entry is free */
    int fd;
    bool busy;  /* a request is being answered */
    bool ended; /* was shut down by us; the library has yet to close it */
    struct mono idle_since;
};

struct httpd {
    struct MHD_Daemon *daemon;
    struct snapshot_slot *slot;
    struct clock clock;
    struct wall started;
    char *listen_host;
    bool loopback;
    uint16_t port;
    atomic_uint metrics_groups;
    _Atomic(struct report_desk *) desk; /* NULL: no history is kept */
    struct peer peers[HTTPD_MAX_CONNECTIONS];
    struct line lines[HTTPD_MAX_CONNECTIONS];
};

struct address {
    struct sockaddr_storage at;
    socklen_t len;
    bool dual; /* every address, of both families */
};

static bool port_parse(struct sv text, uint16_t *ret_port)
{
    uint64_t port;

    if (!sv_to_u64(text, &port) || port > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

/* ADDRESS:PORT cut at the last colon, which lies behind the bracket of an IPv6 address. */
static bool listen_cut(struct sv listen, struct sv *ret_host, uint16_t *ret_port)
{
    size_t colon = listen.len;
    struct sv host;

    while (colon != 0 && listen.at[colon - 1] != ':')
        colon--;
    if (colon == 0 || !port_parse(sv_skip(listen, colon), ret_port))
        return false;
    host = (struct sv){.at = listen.at, .len = colon - 1};
    if (host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']')
        host = (struct sv){.at = host.at + 1, .len = host.len - 2};
    *ret_host = host;
    return true;
}

static bool address_parse(const char *host, uint16_t port, struct address *ret_a)
{
    struct address a = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a.at;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.at;

    if (host[0] == '\0') {
        *v6 = (struct sockaddr_in6){
            .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
        a.len = sizeof *v6;
        a.dual = true;
    } else if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
                         &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        a.len = sizeof *v4;
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        a.len = sizeof *v6;
    } else {
        return false;
    }
    *ret_a = a;
    return true;
}

/* Both families in one form. */
static struct in6_addr plain_address(const struct sockaddr *sa)
{
    struct in6_addr a = {0};

    if (sa->sa_family == AF_INET6)
        return ((const struct sockaddr_in6 *)sa)->sin6_addr;
    if (sa->sa_family == AF_INET) {
        a.s6_addr[10] = a.s6_addr[11] = 0xff;
        memcpy(&a.s6_addr[12], &((const struct sockaddr_in *)sa)->sin_addr, 4);
    }
    return a;
}

static bool is_loopback(const struct in6_addr *a)
{
    return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

/* The peer's entry, or a free one, or NULL when all are taken. */
static struct peer *peer_find(struct httpd *h, const struct in6_addr *address)
{
    struct peer *unused = NULL;

    for (size_t i = 0; i < COUNT_OF(h->peers); i++) {
        struct peer *p = &h->peers[i];

        if (p->connections != 0 && memcmp(&p->address, address, sizeof *address) == 0)
            return p;
        if (p->connections == 0 && unused == NULL)
            unused = p;
    }
    return unused;
}

static enum MHD_Result on_accept(void *self, const struct sockaddr *sa, socklen_t len)
{
    struct in6_addr address = plain_address(sa);
    const struct peer *p = peer_find(self, &address);

    (void)len;
    if (p == NULL)
        return MHD_NO;
    return is_loopback(&address) || p->connections < HTTPD_MAX_PER_ADDRESS ? MHD_YES : MHD_NO;
}

/*
 * Ends the connection that has been idle longest, if many are open. The library closes only what
 * the other side closed or what timed out; shut down, a socket looks as if its peer had gone.
 */
static void make_room(struct httpd *h)
{
    struct line *oldest = NULL;
    size_t open = 0;

    for (size_t i = 0; i < COUNT_OF(h->lines); i++) {
        struct line *l = &h->lines[i];

        if (l->peer == NULL || l->ended)
            continue;
        open++;
        if (!l->busy && (oldest == NULL || l->idle_since.us < oldest->idle_since.us))
            oldest = l;
    }
    if (open < HTTPD_CROWDED || oldest == NULL)
        return;
    oldest->ended = true;
    (void)shutdown(oldest->fd, SHUT_RDWR);
}

/* NULL where the table is full, which the library's own limit of connections forbids. */
static struct line *line_new(struct httpd *h, struct MHD_Connection *c)
{
    struct in6_addr address =
        plain_address(MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
    struct peer *p = peer_find(h, &address);
    struct line *l = NULL;

    for (size_t i = 0; i < COUNT_OF(h->lines) && l == NULL; i++) {
        if (h->lines[i].peer == NULL)
            l = &h->lines[i];
    }
    if (p == NULL || l == NULL)
        return NULL;
    p->address = address;
    p->connections++;
    *l = (struct line){
        .peer = p,
        .fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
        .idle_since = h->clock.mono(h->clock.self),
    };
    return l;
}

static void on_connection(void *self, struct MHD_Connection *c, void **connection_self,
                          enum MHD_ConnectionNotificationCode code)
{
    struct line *l = *connection_self;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        make_room(self);
        *connection_self = line_new(self, c);
    } else if (l != NULL) {
        l->peer->connections--;
        *l = (struct line){0};
    }
}

static void set_busy(struct httpd *h, struct MHD_Connection *c, bool busy)
{
    struct line *l = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;

    if (l == NULL)
        return;
    l->busy = busy;
    l->idle_since = h->clock.mono(h->clock.self);
}

/* What a request_self points to whose headers were shown before, if it is not a report's job. */
static char seen;

/* The answer was sent, or could not be. */
static void on_completed(void *self, struct MHD_Connection *c, void **request_self,
                         enum MHD_RequestTerminationCode code)
{
    (void)code;
    if (*request_self != &seen)
        report_job_free(*request_self);
    *request_self = NULL;
    set_busy(self, c, false);
}

struct params {
    struct routes_param at[ROUTES_MAX_PARAMS];
    size_t n;
};

static enum MHD_Result add_param(void *self, enum MHD_ValueKind kind, const char *key,
                                 size_t key_len, const char *value, size_t value_len)
{
    struct params *p = self;

    (void)kind;
    if (p->n == ROUTES_MAX_PARAMS)
        return MHD_NO; /* the rest is left out; no address takes that many */
    p->at[p->n++] = (struct routes_param){
        .key = {.at = key, .len = key_len},
        .value = {.at = value, .len = value != NULL ? value_len : 0},
    };
    return MHD_YES;
}

static struct sv header(struct MHD_Connection *c, const char *name)
{
    return sv_from(MHD_lookup_connection_value(c, MHD_HEADER_KIND, name));
}

/* Pages have no script, and load nothing. */
static const char page_policy[] =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'";

static enum MHD_Result send_answer(struct MHD_Connection *c, struct routes_answer *a)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(a->body.len, a->body.at, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result;
    char seconds[12];

    if (r == NULL) {
        strbuf_done(&a->body);
        return MHD_NO; /* closes the connection */
    }
    if (a->status != 304)
        (void)MHD_add_response_header(r, "Content-Type", a->content_type);
    (void)MHD_add_response_header(r, "Cache-Control", "no-store");
    (void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (a->allow != NULL)
        (void)MHD_add_response_header(r, "Allow", a->allow);
    if (a->vary_accept)
        (void)MHD_add_response_header(r, "Vary", "Accept");
    if (a->etag[0] != '\0')
        (void)MHD_add_response_header(r, "ETag", a->etag);
    if (a->retry_after_s != 0) {
        (void)snprintf(seconds, sizeof seconds, "%d", a->retry_after_s);
        (void)MHD_add_response_header(r, "Retry-After", seconds);
    }
    if (sv_starts(sv_from(a->content_type), SV("text/html"))) {
        (void)MHD_add_response_header(r, "Content-Security-Policy", page_policy);
        (void)MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    }
    result = MHD_queue_response(c, (unsigned)a->status, r);
    MHD_destroy_response(r);
    return result;
}

static void resume(void *c)
{
    MHD_resume_connection(c);
}

/* The job that the answer is to come from, the connection suspended until then; NULL: here it is. */
static struct report_job *answer(struct httpd *h, struct MHD_Connection *c, const char *path,
                                 const char *method, struct routes_answer *ret_answer)
{
    struct snapshot *s = snapshot_slot_get(h->slot);
    struct process_figures process = process_read(h->started);
    struct params params = {0};
    struct report_desk *desk = atomic_load(&h->desk);

    (void)MHD_get_connection_values_n(c, MHD_GET_ARGUMENT_KIND, add_param, &params);
    routes_answer(
        &(struct routes_request){
            .method = sv_from(method),
            .path = sv_from(path),
            .params = params.at,
            .n_params = params.n,
            .accept = header(c, "Accept"),
            .host = header(c, "Host"),
            .if_none_match = header(c, "If-None-Match"),
            .loopback = h->loopback,
            .listen_host = sv_from(h->listen_host),
            .now = h->clock.mono(h->clock.self),
            .now_wall = h->clock.wall(h->clock.self),
            .process = &process,
            .nodes = snapshot_slot_nodes(h->slot),
            .has_reports = desk != NULL,
            .metrics_groups = atomic_load(&h->metrics_groups),
        },
        s, ret_answer);
    snapshot_unref(s);
    if (!ret_answer->wants_report)
        return NULL;
    strbuf_done(&ret_answer->body);
    MHD_suspend_connection(c);
    return report_desk_ask(desk, params.at, params.n, resume, c);
}

static enum MHD_Result on_request(void *self, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **request_self)
{
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    struct routes_answer a;
    struct report_job *job;

    (void)version;
    (void)upload;
    set_busy(self, c, true);
    /*
     * The library calls once with the headers and again when the request is complete. Answering at
     * the first call makes it close the connection without reading the body: wanted for what is
     * refused, not for a GET, which may be followed by others.
     */
    if (reads && *request_self == NULL) {
        *request_self = &seen;
        return MHD_YES;
    }
    if (reads && *upload_len != 0) {
        *upload_len = 0; /* a GET with a body: dropped as it comes */
        return MHD_YES;
    }
    if (*request_self != NULL && *request_self != &seen) {
        report_job_take(*request_self, &a);
        return send_answer(c, &a);
    }
    job = answer(self, c, path, method, &a);
    if (job == NULL)
        return send_answer(c, &a);
    *request_self = job;
    return MHD_YES;
}

/* A listening socket of ours, so that errno tells people why it could not be had. */
static bool bind_socket(const struct address *a, int *ret_fd, uint16_t *ret_port, struct err *err)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    int one = 1, zero = 0;
    int fd = socket(a->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return err_set(err, ERR_SYSTEM, errno, "socket: %s", strerror(errno));
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (a->at.ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, a->dual ? &zero : &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)&a->at, a->len) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &len) != 0) {
        (void)err_set(err, ERR_SYSTEM, errno, "%s", strerror(errno));
        (void)close(fd);
        return false;
    }
    *ret_port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                  : ((struct sockaddr_in *)&bound)->sin_port);
    *ret_fd = fd;
    return true;
}

/* A kernel without IPv6 still has every address of the other family. */
static bool bind_any(struct address *a, uint16_t port, int *ret_fd, uint16_t *ret_port,
                     struct err *err)
{
    struct err why = {0};

    if (bind_socket(a, ret_fd, ret_port, &why))
        return true;
    if (a->dual && (why.code == EAFNOSUPPORT || why.code == EADDRNOTAVAIL)) {
        (void)address_parse("0.0.0.0", port, a);
        return bind_socket(a, ret_fd, ret_port, err);
    }
    return err_set(err, why.kind, why.code, "%s", why.text);
}

/* Without MHD_USE_ERROR_LOG: the library's own words would go to stderr past the log. */
static struct MHD_Daemon *daemon_start(struct httpd *h, int fd)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, on_accept, h, on_request, h,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTPD_MAX_CONNECTIONS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTPD_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)HTTPD_TIMEOUT_S, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_END);
}

bool httpd_start(const char *listen, struct snapshot_slot *slot, struct clock clock,
                 struct httpd **ret_httpd, struct err *err)
{
    struct httpd *h;
    struct address a;
    struct sv host;
    struct in6_addr plain;
    CLEANUP(free_ptr) char *host_text = NULL;
    uint16_t port;
    int fd;

    if (!listen_cut(sv_from(listen), &host, &port))
        return err_set(err, ERR_INPUT, 0,
                       "listen: found '%s', expected ADDRESS:PORT, like " HTTPD_DEFAULT_LISTEN,
                       listen);
    host_text = sv_dup(host);
    if (!address_parse(host_text, port, &a))
        return err_set(err, ERR_INPUT, 0,
                       "listen: found address '%s', expected a number like 127.0.0.1 or [::1]",
                       host_text);
    if (!bind_any(&a, port, &fd, &port, err))
        return err_wrap(err, "listen %s", listen);

    h = xcalloc(1, sizeof *h);
    plain = plain_address((const struct sockaddr *)&a.at);
    h->loopback = is_loopback(&plain);
    h->listen_host = TAKE(host_text);
    h->slot = slot;
    h->clock = clock;
    h->started = clock.wall(clock.self);
    h->port = port;
    h->daemon = daemon_start(h, fd);
    if (h->daemon == NULL) {
        (void)close(fd);
        httpd_stop(h);
        return err_set(err, ERR_SYSTEM, errno,
                       "listen %s: the server's thread could not be started", listen);
    }
    *ret_httpd = h;
    return true;
}

bool httpd_serve_reports(struct httpd *h, const char *program, const char *db, struct err *err)
{
    struct report_desk *desk;

    if (!report_desk_new(program, db, &desk, err))
        return false;
    atomic_store(&h->desk, desk);
    return true;
}

void httpd_serve_metrics(struct httpd *h, unsigned groups)
{
    atomic_store(&h->metrics_groups, groups);
}

uint16_t httpd_port(const struct httpd *h)
{
    return h->port;
}

bool httpd_loopback(const struct httpd *h)
{
    return h->loopback;
}

void httpd_stop(struct httpd *h)
{
    struct report_desk *desk;

    if (h == NULL)
        return;
    /* Requests that wait for a report must go on before the thread can end. */
    desk = atomic_load(&h->desk);
    if (desk != NULL)
        report_desk_stop(desk);
    if (h->daemon != NULL)
        MHD_stop_daemon(h->daemon); /* closes the listening socket too */
    report_desk_free(desk);
    free(h->listen_host);
    free(h);
}
