#include "agent/serve/httpd.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/serve/lines.h"
#include "agent/serve/listen.h"
#include "agent/serve/process.h"
#include "agent/serve/report_desk.h"
#include "agent/serve/routes.h"
#include "base/alloc.h"

/* A listening socket and its connections. Each has a thread of the library's. */
struct door {
    struct httpd *server;
    struct MHD_Daemon *daemon; /* NULL: there is no such door */
    struct tls *tls;           /* NULL: plain HTTP */
    struct listen at;
    struct lines lines;
};

struct httpd {
    struct snapshot_slot *slot;
    struct clock clock;
    struct wall started;
    atomic_uint metrics_groups;
    _Atomic(struct report_desk *) desk; /* NULL: no history is kept */
    struct door plain, secure;
};

static struct mono now(const struct httpd *h)
{
    return h->clock.mono(h->clock.self);
}

static enum MHD_Result on_accept(void *self, const struct sockaddr *sa, socklen_t len)
{
    struct door *d = self;
    struct in6_addr address = listen_plain(sa);

    (void)len;
    return lines_admit(&d->lines, &address) ? MHD_YES : MHD_NO;
}

static struct line *line_new(struct door *d, struct MHD_Connection *c)
{
    struct in6_addr address =
        listen_plain(MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
    int fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    struct line *l = lines_open(&d->lines, &address, fd, now(d->server));

    if (l != NULL && d->tls != NULL) {
        l->pair = tls_current(d->tls);
        tls_pair_use(l->pair,
                     MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session);
    }
    return l;
}

static void on_connection(void *self, struct MHD_Connection *c, void **connection_self,
                          enum MHD_ConnectionNotificationCode code)
{
    struct line *l = *connection_self;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *connection_self = line_new(self, c);
    } else if (l != NULL) {
        tls_pair_unref(l->pair);
        lines_close(l);
    }
}

static struct line *line_of(struct MHD_Connection *c)
{
    return MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void set_busy(struct httpd *h, struct MHD_Connection *c, bool busy)
{
    struct line *l = line_of(c);

    if (l == NULL)
        return;
    l->busy = busy;
    l->idle_since = now(h);
}

/* A request whose connection is suspended, or was. */
struct held {
    struct report_job *job; /* the answer is to come from it; NULL: waits for a board */
    struct board_waiter waiter;
};

/* What a request_self points to whose headers were shown before, if it is not held. */
static char seen;

/* The answer was sent, or could not be. */
static void on_completed(void *self, struct MHD_Connection *c, void **request_self,
                         enum MHD_RequestTerminationCode code)
{
    struct held *held = *request_self;

    (void)code;
    if (held != NULL && *request_self != &seen) {
        report_job_free(held->job);
        free(held);
    }
    *request_self = NULL;
    set_busy(((struct door *)self)->server, c, false);
}

struct query {
    struct routes_param at[ROUTES_MAX_PARAMS];
    size_t n;
    bool more;
};

static enum MHD_Result add_param(void *self, enum MHD_ValueKind kind, const char *key,
                                 size_t key_len, const char *value, size_t value_len)
{
    struct query *p = self;

    (void)kind;
    if (p->n == ROUTES_MAX_PARAMS) {
        p->more = true; /* the rest is left out; no address takes that many */
        return MHD_NO;
    }
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

/* Over TLS whoever proved something long ago is to prove it again, and to see another certificate. */
static bool is_old(const struct httpd *h, const struct line *l)
{
    return l != NULL && l->pair != NULL && mono_since_us(l->opened, now(h)) >= HTTPD_LIFETIME_US;
}

static enum MHD_Result send_answer(struct httpd *h, struct MHD_Connection *c,
                                   struct routes_answer *a)
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
    if (a->location[0] != '\0')
        (void)MHD_add_response_header(r, "Location", a->location);
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
    if (is_old(h, line_of(c)))
        (void)MHD_add_response_header(r, "Connection", "close");
    result = MHD_queue_response(c, (unsigned)a->status, r);
    MHD_destroy_response(r);
    return result;
}

static void resume(void *c)
{
    MHD_resume_connection(c);
}

static void answer_now(struct door *d, struct MHD_Connection *c, const struct query *params,
                       const char *path, const char *method, struct routes_answer *ret_answer)
{
    struct httpd *h = d->server;
    struct snapshot *s = snapshot_slot_get(h->slot);
    struct process_figures process = process_read(h->started);

    routes_answer(
        &(struct routes_request){
            .method = sv_from(method),
            .path = sv_from(path),
            .params = params->at,
            .n_params = params->n,
            .more_params = params->more,
            .accept = header(c, "Accept"),
            .host = header(c, "Host"),
            .if_none_match = header(c, "If-None-Match"),
            .loopback = d->tls == NULL,
            .listen_host = sv_from(d->at.host),
            .now = now(h),
            .now_wall = h->clock.wall(h->clock.self),
            .process = &process,
            .boards = snapshot_slot_boards(h->slot),
            .has_reports = atomic_load(&h->desk) != NULL,
            .metrics_groups = atomic_load(&h->metrics_groups),
        },
        s, ret_answer);
    snapshot_unref(s);
}

static struct held *hold(struct MHD_Connection *c)
{
    MHD_suspend_connection(c);
    return xcalloc(1, sizeof(struct held));
}

/* Until the board has something, or for BOARD_WAIT_US. */
static struct held *wait_for(struct httpd *h, struct MHD_Connection *c, struct board *board)
{
    struct held *held = hold(c);

    held->waiter = (struct board_waiter){.done = resume, .self = c, .since = now(h)};
    if (!board_wait(board, &held->waiter))
        resume(c);
    return held;
}

/* The connection is suspended until the answer is there; NULL: here it is. One that `waited` for a board gets what
 * there is. */
static struct held *answer(struct door *d, struct MHD_Connection *c, const char *path,
                           const char *method, bool waited, struct routes_answer *ret_answer)
{
    struct httpd *h = d->server;
    struct query params = {0};
    struct held *held;

    boards_expire(snapshot_slot_boards(h->slot), now(h));
    (void)MHD_get_connection_values_n(c, MHD_GET_ARGUMENT_KIND, add_param, &params);
    answer_now(d, c, &params, path, method, ret_answer);
    if (!ret_answer->wants_report && (ret_answer->awaits == NULL || waited))
        return NULL;
    strbuf_done(&ret_answer->body);
    if (!ret_answer->wants_report)
        return wait_for(h, c, ret_answer->awaits);
    held = hold(c);
    held->job = report_desk_ask(atomic_load(&h->desk), params.at, params.n, resume, c);
    return held;
}

static enum MHD_Result on_request(void *self, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **request_self)
{
    struct door *d = self;
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    struct routes_answer a;
    struct held *held = NULL;

    (void)version;
    (void)upload;
    set_busy(d->server, c, true);
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
    if (*request_self != &seen)
        held = *request_self;
    if (held != NULL && held->job != NULL) {
        report_job_take(held->job, &a);
        return send_answer(d->server, c, &a);
    }
    held = answer(d, c, path, method, held != NULL, &a);
    if (held == NULL)
        return send_answer(d->server, c, &a);
    *request_self = held;
    return MHD_YES;
}

/* The credentials of each session are its connection's (tls_pair_use()), never the library's own. */
static int no_credentials(gnutls_session_t session, const gnutls_datum_t *cas, int n_cas,
                          const gnutls_pk_algorithm_t *algorithms, int n_algorithms,
                          gnutls_pcert_st **ret_certs, unsigned *ret_n, gnutls_privkey_t *ret_key)
{
    (void)session;
    (void)cas;
    (void)n_cas;
    (void)algorithms;
    (void)n_algorithms;
    (void)ret_certs;
    (void)ret_n;
    (void)ret_key;
    return -1;
}

/* Without MHD_USE_ERROR_LOG: the library's own words would go to stderr past the log. */
static struct MHD_Daemon *daemon_start(struct door *d)
{
    const struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)no_credentials},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)tls_priorities},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;

    return MHD_start_daemon(flags | (d->tls != NULL ? MHD_USE_TLS : 0), 0, on_accept, d, on_request,
                            d, MHD_OPTION_LISTEN_SOCKET, d->at.fd, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)LINES_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)HTTPD_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)HTTPD_TIMEOUT_S, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
                            d, MHD_OPTION_NOTIFY_COMPLETED, on_completed, d, MHD_OPTION_ARRAY,
                            d->tls != NULL ? tls : none, MHD_OPTION_END);
}

static bool door_open(struct httpd *h, struct door *d, const char *listen, struct tls *tls,
                      struct err *err)
{
    const char *flag = tls != NULL ? "--secure-listen" : "--listen";

    if (!listen_open(flag, listen, tls == NULL, &d->at, err))
        return false;
    d->server = h;
    d->tls = tls;
    d->daemon = daemon_start(d);
    if (d->daemon != NULL)
        return true;
    (void)close(d->at.fd);
    free(TAKE(d->at.host));
    return err_set(err, ERR_SYSTEM, errno, "%s %s: the server's thread could not be started", flag,
                   listen);
}

bool httpd_start(const char *listen, struct snapshot_slot *slot, struct clock clock,
                 struct httpd **ret_httpd, struct err *err)
{
    struct httpd *h = xcalloc(1, sizeof *h);

    h->slot = slot;
    h->clock = clock;
    h->started = clock.wall(clock.self);
    if (!door_open(h, &h->plain, listen, NULL, err)) {
        free(h);
        return false;
    }
    *ret_httpd = h;
    return true;
}

bool httpd_serve_secure(struct httpd *h, const char *listen, struct tls *tls, struct err *err)
{
    return door_open(h, &h->secure, listen, tls, err);
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
    return h->plain.at.port;
}

uint16_t httpd_secure_port(const struct httpd *h)
{
    return h->secure.at.port;
}

static void door_close(struct door *d)
{
    if (d->daemon != NULL)
        MHD_stop_daemon(d->daemon); /* closes the listening socket too */
    free(d->at.host);
}

void httpd_stop(struct httpd *h)
{
    struct report_desk *desk;

    if (h == NULL)
        return;
    /* Requests that wait for a report or a board must go on before the threads can end. */
    boards_close(snapshot_slot_boards(h->slot));
    desk = atomic_load(&h->desk);
    if (desk != NULL)
        report_desk_stop(desk);
    door_close(&h->plain);
    door_close(&h->secure);
    report_desk_free(desk);
    free(h);
}
