#include "tests/pocket/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "tests/pocket/arrivals.h"

/* A connection's buffers; a list is sent in pieces of about this size. */
enum { CONNECTION_MEMORY = 512 << 10, STREAM_BLOCK = 256 << 10 };

#define TYPE_MERGE_PATCH "application/merge-patch+json"

/* How long a version that the server has not reached is waited for. */
#define PATIENCE_US (3 * US_PER_S)

/* One request, from its headers to the last byte of its answer. */
struct exchange {
    struct wire *wire;
    struct MHD_Connection *connection;
    struct exchange *next, **link; /* among those that sleep */
    struct stream *stream;
    struct strbuf body;
    bool too_large;
    bool sleeping;
    bool waiting; /* for a version, not in a stream */
    uint64_t wait_version;
    struct mono began;
    struct mono patient_until;
};

struct wire {
    struct api *api;
    struct MHD_Daemon *daemon;
    struct exchange *sleepers;
    struct arrivals *arrivals;
    char address[64];
    int fd;
};

static void sleep_exchange(struct exchange *x)
{
    struct wire *w = x->wire;

    x->sleeping = true;
    x->next = w->sleepers;
    x->link = &w->sleepers;
    if (x->next != NULL)
        x->next->link = &x->next;
    w->sleepers = x;
    MHD_suspend_connection(x->connection);
}

static void leave_list(struct exchange *x)
{
    if (!x->sleeping)
        return;
    x->sleeping = false;
    *x->link = x->next;
    if (x->next != NULL)
        x->next->link = x->link;
}

/* ---- answers ---- */

static ssize_t read_stream(void *self, uint64_t at, char *to, size_t max)
{
    struct exchange *x = self;
    ssize_t n = x->stream->read(x->stream, to, max);

    (void)at;
    if (n == STREAM_END)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n == STREAM_LATER)
        sleep_exchange(x);
    return n;
}

static enum MHD_Result send_answer(struct exchange *x, struct api_answer *a)
{
    struct MHD_Response *r;
    enum MHD_Result result;
    char seconds[16];

    x->stream = a->stream;
    if (a->stream != NULL) {
        strbuf_done(&a->body);
        r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, x, NULL);
    } else {
        r = MHD_create_response_from_buffer(a->body.len, a->body.at, MHD_RESPMEM_MUST_FREE);
    }
    if (r == NULL)
        return MHD_NO; /* closes the connection */
    (void)MHD_add_response_header(r, "Content-Type", a->content_type);
    (void)MHD_add_response_header(r, "Cache-Control", "no-cache, private");
    if (a->retry_after_s != 0) {
        (void)snprintf(seconds, sizeof seconds, "%d", a->retry_after_s);
        (void)MHD_add_response_header(r, "Retry-After", seconds);
    }
    result = MHD_queue_response(x->connection, (unsigned)a->status, r);
    MHD_destroy_response(r);
    return result;
}

static enum MHD_Result send_too_large(struct exchange *x)
{
    struct api_answer a = {.status = MHD_HTTP_CONTENT_TOO_LARGE, .content_type = "text/plain"};

    strbuf_init(&a.body, 128);
    (void)strbuf_add(&a.body, SV("the request's body is too large"));
    return send_answer(x, &a);
}

/* ---- requests ---- */

struct params {
    struct api_param at[API_MAX_PARAMS];
    size_t n;
};

static enum MHD_Result add_param(void *self, enum MHD_ValueKind kind, const char *key,
                                 size_t key_len, const char *value, size_t value_len)
{
    struct params *p = self;

    (void)kind;
    if (p->n == API_MAX_PARAMS)
        return MHD_NO;
    p->at[p->n++] =
        (struct api_param){.key = {.at = key, .len = key_len},
                           .value = {.at = value, .len = value != NULL ? value_len : 0}};
    return MHD_YES;
}

static struct sv header(struct exchange *x, const char *name)
{
    return sv_from(MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name));
}

static enum MHD_Result answer(struct exchange *x, const char *path, const char *method)
{
    struct mono now = world_now(x->wire->api->world);
    struct params params = {0};
    struct api_answer a;

    (void)MHD_get_connection_values_n(x->connection, MHD_GET_ARGUMENT_KIND, add_param, &params);
    api_handle(x->wire->api,
               &(struct api_request){.method = sv_from(method),
                                     .path = sv_from(path),
                                     .params = params.at,
                                     .n_params = params.n,
                                     .accept = header(x, "Accept"),
                                     .content_type = header(x, "Content-Type"),
                                     .body = strbuf_sv(&x->body),
                                     .patient = now.us < x->patient_until.us},
               &a);
    if (!a.wait)
        return send_answer(x, &a);
    strbuf_done(&a.body);
    x->waiting = true;
    x->wait_version = a.wait_version;
    sleep_exchange(x);
    return MHD_YES;
}

static int socket_of(struct MHD_Connection *c)
{
    return MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

static void heard(struct exchange *x, const char *path)
{
    const struct clock clock = clock_system();
    struct wall arrived =
        arrivals_take(x->wire->arrivals, socket_of(x->connection), clock.wall(clock.self));

    if (sv_starts(header(x, "Content-Type"), SV(TYPE_MERGE_PATCH)))
        stress_heard(x->wire->api->stress, sv_from(path), arrived);
}

static void on_connection(void *self, struct MHD_Connection *c, void **connection_self,
                          enum MHD_ConnectionNotificationCode what)
{
    struct wire *w = self;

    (void)connection_self;
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        arrivals_open(w->arrivals, socket_of(c));
    else
        arrivals_close(w->arrivals, socket_of(c));
}

/* The library calls with the headers, with each piece of the body, and at the end; and again after a sleep. */
static enum MHD_Result on_request(void *self, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **request_self)
{
    struct wire *w = self;
    struct exchange *x = *request_self;

    (void)version;
    if (x == NULL) {
        x = xcalloc(1, sizeof *x);
        *x = (struct exchange){.wire = w, .connection = c, .began = world_now(w->api->world)};
        x->patient_until = mono_plus_us(x->began, PATIENCE_US);
        strbuf_init(&x->body, API_MAX_BODY);
        *request_self = x;
        if (w->api->stress != NULL)
            heard(x, path);
        return MHD_YES;
    }
    if (*upload_len != 0) {
        x->too_large =
            !strbuf_add(&x->body, (struct sv){.at = upload, .len = *upload_len}) || x->too_large;
        *upload_len = 0;
        return MHD_YES;
    }
    return x->too_large ? send_too_large(x) : answer(x, path, method);
}

static void on_done(void *self, struct MHD_Connection *c, void **request_self,
                    enum MHD_RequestTerminationCode how)
{
    struct exchange *x = *request_self;

    (void)self;
    (void)c;
    (void)how;
    if (x == NULL)
        return;
    leave_list(x);
    if (x->stream != NULL)
        x->stream->free(x->stream);
    strbuf_done(&x->body);
    free(x);
}

/* ---- the server ---- */

static bool open_socket(struct wire *w, const char *listen_at, struct err *err)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    struct sv host, port_text;
    char host_text[INET_ADDRSTRLEN] = "";
    uint64_t port = 0;
    int one = 1;

    if (sv_cut(sv_from(listen_at), ':', &host, &port_text))
        (void)snprintf(host_text, sizeof host_text, "%.*s", SV_ARG(host));
    if (inet_pton(AF_INET, host_text, &at.sin_addr) != 1 || !sv_to_u64(port_text, &port) ||
        port > UINT16_MAX)
        return err_set(err, ERR_INPUT, 0,
                       "--listen: found '%s', expected ADDRESS:PORT like 127.0.0.1:6443",
                       listen_at);
    at.sin_port = htons((uint16_t)port);
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (w->fd < 0)
        return err_set(err, ERR_SYSTEM, errno, "socket: %s", strerror(errno));
    (void)setsockopt(w->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(w->fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(w->fd, SOMAXCONN) != 0 ||
        getsockname(w->fd, (struct sockaddr *)&at, &len) != 0)
        return err_set(err, ERR_SYSTEM, errno, "listen %s: %s", listen_at, strerror(errno));
    (void)snprintf(w->address, sizeof w->address, "%s:%d", host_text, ntohs(at.sin_port));
    return true;
}

bool wire_start(const struct wire_config *config, struct api *api, struct wire **ret_wire,
                struct err *err)
{
    struct wire *w = xcalloc(1, sizeof *w);
    bool tls = config->cert.len != 0;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_CONNECTION_LIMIT, WIRE_MAX_CONNECTIONS, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL},
        {tls ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, (void *)config->cert.at},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)config->key.at},
        {MHD_OPTION_END, 0, NULL},
    };

    w->api = api;
    w->fd = -1;
    w->arrivals = arrivals_new();
    if (!open_socket(w, config->listen, err)) {
        wire_stop(w);
        return false;
    }
    w->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (tls ? MHD_USE_TLS : 0), 0, NULL, NULL,
        on_request, w, MHD_OPTION_LISTEN_SOCKET, w->fd, MHD_OPTION_NOTIFY_COMPLETED, on_done, w,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, w, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (w->daemon == NULL) {
        wire_stop(w);
        return err_set(err, ERR_SYSTEM, 0, "listen %s: the server could not be started%s",
                       config->listen, tls ? "; are certificate and key good PEM?" : "");
    }
    w->fd = -1; /* the library's now */
    *ret_wire = w;
    return true;
}

static void wake(struct exchange *x)
{
    leave_list(x);
    MHD_resume_connection(x->connection);
}

void wire_stop(struct wire *w)
{
    if (w == NULL)
        return;
    /* The library insists that nobody sleeps when it is stopped. */
    while (w->sleepers != NULL)
        wake(w->sleepers);
    if (w->daemon != NULL) {
        w->api->closed++;
        (void)MHD_run(w->daemon);
        while (w->sleepers != NULL)
            wake(w->sleepers);
        MHD_stop_daemon(w->daemon);
    }
    if (w->fd >= 0)
        (void)close(w->fd);
    arrivals_free(w->arrivals);
    free(w);
}

const char *wire_address(const struct wire *w)
{
    return w->address;
}

int wire_fd(const struct wire *w)
{
    return MHD_get_daemon_info(w->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

int64_t wire_timeout_us(const struct wire *w, int64_t max_us)
{
    MHD_UNSIGNED_LONG_LONG ms;

    if (MHD_get_timeout(w->daemon, &ms) == MHD_YES && (int64_t)ms * US_PER_MS < max_us)
        return (int64_t)ms * US_PER_MS;
    return max_us;
}

static bool is_due(const struct exchange *x)
{
    struct world *world = x->wire->api->world;

    if (!x->waiting)
        return x->stream->ready(x->stream);
    return store_version(world_store(world)) >= x->wait_version ||
           world_now(world).us >= x->patient_until.us;
}

void wire_run(struct wire *w)
{
    struct exchange *x = w->sleepers;

    while (x != NULL) {
        struct exchange *next = x->next;

        if (is_due(x))
            wake(x);
        x = next;
    }
    if (w->api->stress != NULL)
        arrivals_look(w->arrivals);
    (void)MHD_run(w->daemon);
}
