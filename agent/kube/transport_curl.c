#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "agent/kube/config.h"
#include "agent/kube/transport.h"
#include "base/alloc.h"
#include "base/strbuf.h"

/*
 * A multi handle a channel: each has its own connection cache, so that a flood on one cannot push out the warm connection
 * of another. libcurl must not be called from inside its own callbacks; `depth` says whether we are in one, and what is
 * started or cancelled meanwhile waits until it returns.
 */

enum { MAX_URL = 128 << 10, MAX_HEADER_LINE = 128 << 10 };

/* Watches bring bursts of many events; a stream's buffer lives as long as the watch. */
enum { STREAM_BUFFER = 64 << 10, PLAIN_BUFFER = 16 << 10 };

/* So much of a batched answer is read at once, in so many reads at most. */
enum { BATCH_BYTES = 256 << 10, BATCH_READS = 64 };

/* A transfer that has brought so much (a batched one: BATCH_BYTES) lets the others have their turn; libcurl alone would read a
 * hundred buffers, which is 90 ms of decoding in a list of all pods. */
enum { SLICE_BYTES = 64 << 10 };

#define CONNECT_TIMEOUT_MS 10000L
/* A dead peer is noticed after 30 s + 3 * 15 s at the latest, as with the reference client. */
#define KEEPALIVE_IDLE_S     30L
#define KEEPALIVE_INTERVAL_S 15L
#define KEEPALIVE_PROBES     3
/* The server closes idle connections after 90 s; a little less, so that no request meets the closing. */
#define IDLE_MAX_S 85L

struct channel {
    struct transport_curl *transport;
    CURLM *multi;
    struct loop_timer *timer;
    struct loop_timer *resume; /* runs while transfers are paused */
    struct transfer *transfers;
    int depth;
    bool drop;                    /* streams are to end at the next turn */
    struct socket_watch *reading; /* batched, and being read: NULL once it is gone */
    size_t read;                  /* bytes of bodies since */
};

/*
 * Behind each read of a batched answer the kernel is told to wake us for BATCH_BYTES alone (SO_RCVLOWAT,
 * socket(7)), and what came till then is read when the timer fires. A read that brings nothing ends this.
 */
struct socket_watch {
    struct channel *channel;
    int fd;
    struct loop_io *io;
    struct loop_timer *batch;
    bool batched;
    bool gathers; /* the timer runs */
};

struct transport_curl {
    struct loop *loop;
    const struct kube_config *config;
    struct strbuf prefix; /* of every URL */
    struct curl_slist
        *dial;          /* CURLOPT_CONNECT_TO, where the certificate's name is not the host's */
    struct strbuf host; /* Host header for it */
    struct channel channels[CHANNEL_COUNT_];
};

enum transfer_state { TRANSFER_NEW, TRANSFER_ADDED, TRANSFER_ENDED, TRANSFER_CANCELLED };

struct transfer {
    struct channel *channel;
    struct transfer *next, **link;
    enum transfer_state state;
    CURL *easy;
    CURLcode result; /* of a setup that failed, or of the exchange once TRANSFER_ENDED */
    struct curl_slist *headers;
    struct transport_handler handler;
    struct transport_head head;
    struct strbuf content_type;
    struct err err; /* kind ERR_NONE: none */
    bool head_told;
    bool stream;
    bool batched;
    bool dropped; /* begun before drop() */
    size_t received;
    size_t slice; /* since it was paused last */
    bool paused;
    char text[CURL_ERROR_SIZE];
};

/* ---- one transfer ---- */

static void transfer_free(struct transfer *t)
{
    *t->link = t->next;
    if (t->next != NULL)
        t->next->link = t->link;
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    strbuf_done(&t->content_type);
    free(t);
}

static bool tell_head(struct transfer *t)
{
    long status = 0;

    if (t->head_told)
        return true;
    t->head_told = true;
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    t->head.status = (int)status;
    t->head.content_type = strbuf_sv(&t->content_type);
    return t->handler.head(t->handler.self, &t->head, &t->err);
}

static bool has_name(struct sv line, const char *name, struct sv *ret_value)
{
    size_t len = strlen(name);

    if (line.len <= len || strncasecmp(line.at, name, len) != 0 || line.at[len] != ':')
        return false;
    *ret_value = sv_trim(sv_skip(line, len + 1));
    return true;
}

static size_t on_header(char *at, size_t size, size_t count, void *self)
{
    struct transfer *t = self;
    struct sv line = {.at = at, .len = size * count}, value;
    int64_t seconds;

    if (t->state == TRANSFER_CANCELLED)
        return 0;
    if (sv_starts(line, SV("HTTP/"))) {
        /* A new head: of a proxy's answer or of "100 Continue" nothing is kept. */
        strbuf_clear(&t->content_type);
        t->head.retry_after_s = -1;
    } else if (has_name(line, "Content-Type", &value)) {
        strbuf_clear(&t->content_type);
        (void)strbuf_add(&t->content_type, value);
    } else if (has_name(line, "Retry-After", &value)) {
        if (sv_to_i64(value, &seconds) && seconds >= 0)
            t->head.retry_after_s = seconds < 86400 ? (int)seconds : 86400;
    } else if (sv_trim(line).len == 0) {
        long status = 0;

        (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        /* Told as soon as it is complete: a quiet stream has no data for a minute. */
        if (status >= 200 && !tell_head(t))
            return 0;
    }
    return t->state == TRANSFER_CANCELLED ? 0 : line.len;
}

static void end_slice(struct transfer *t)
{
    t->slice = 0;
    t->paused = curl_easy_pause(t->easy, CURLPAUSE_RECV) == CURLE_OK;
    if (t->paused)
        loop_timer_set(t->channel->resume, 0);
}

static size_t on_body(char *at, size_t size, size_t count, void *self)
{
    struct transfer *t = self;
    struct sv bytes = {.at = at, .len = size * count};

    if (t->state == TRANSFER_CANCELLED || !tell_head(t))
        return CURL_WRITEFUNC_ERROR;
    if (t->state == TRANSFER_CANCELLED)
        return CURL_WRITEFUNC_ERROR;
    if (!t->stream && bytes.len > TRANSPORT_MAX_BODY - t->received) {
        (void)err_set(&t->err, ERR_LIMIT, 0, "the answer is longer than %d bytes",
                      TRANSPORT_MAX_BODY);
        return CURL_WRITEFUNC_ERROR;
    }
    t->received += bytes.len;
    t->channel->read += bytes.len;
    if (!t->handler.data(t->handler.self, bytes, &t->err))
        return CURL_WRITEFUNC_ERROR;
    if (t->state == TRANSFER_CANCELLED)
        return CURL_WRITEFUNC_ERROR;
    t->slice += bytes.len;
    if (t->slice >= (t->batched ? BATCH_BYTES : SLICE_BYTES))
        end_slice(t);
    return bytes.len;
}

/* ---- settings ---- */

/* curl_easy_setopt() is variadic and type-checked by macro, hence a macro here too: the first failure is kept. */
#define SET(t, option, ...)                                                                        \
    do {                                                                                           \
        CURLcode code_ = curl_easy_setopt((t)->easy, option, __VA_ARGS__);                         \
        if (code_ != CURLE_OK && (t)->result == CURLE_OK)                                          \
            (t)->result = code_;                                                                   \
    } while (0)

static void add_header(struct transfer *t, const char *line)
{
    struct curl_slist *more = curl_slist_append(t->headers, line);

    if (more == NULL)
        t->result = CURLE_OUT_OF_MEMORY;
    else
        t->headers = more;
}

static void add_named_header(struct transfer *t, const char *name, const char *value)
{
    struct strbuf line;

    strbuf_init(&line, MAX_HEADER_LINE);
    if (strbuf_addf(&line, "%s: %s", name, value))
        add_header(t, strbuf_str(&line));
    else
        t->result = CURLE_OUT_OF_MEMORY;
    strbuf_done(&line);
}

static void set_headers(struct transfer *t, const struct transport_curl *tc,
                        const struct transport_request *r)
{
    if (r->accept != NULL)
        add_named_header(t, "Accept", r->accept);
    if (r->content_type != NULL)
        add_named_header(t, "Content-Type", r->content_type);
    if (tc->host.len != 0)
        add_named_header(t, "Host", strbuf_str(&tc->host));
    /* Without this libcurl asks before it sends bodies above 1 MiB. */
    add_header(t, "Expect:");
    for (size_t i = 0; i < r->n_headers; i++)
        add_header(t, r->headers[i]);
    SET(t, CURLOPT_HTTPHEADER, t->headers);
}

/* A copy: what the config holds may be read anew while this request still waits for a connection. */
static void set_pem(struct transfer *t, CURLoption option, const struct strbuf *pem)
{
    struct curl_blob blob = {.data = pem->at, .len = pem->len, .flags = CURL_BLOB_COPY};

    SET(t, option, &blob);
}

/* A connection is used again only by requests with the same authority and certificate: libcurl compares the blobs. */
static void set_tls(struct transfer *t, const struct kube_config *c)
{
    SET(t, CURLOPT_SSL_VERIFYPEER, c->insecure ? 0L : 1L);
    SET(t, CURLOPT_SSL_VERIFYHOST, c->insecure ? 0L : 2L);
    SET(t, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    /* The machine's own authorities are read anew with each connection. */
    SET(t, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    if (c->ca_pem.len != 0) {
        set_pem(t, CURLOPT_CAINFO_BLOB, &c->ca_pem);
        SET(t, CURLOPT_CAPATH, NULL); /* that CA alone, not the machine's too */
    }
    if (c->cert_pem.len != 0) {
        set_pem(t, CURLOPT_SSLCERT_BLOB, &c->cert_pem);
        set_pem(t, CURLOPT_SSLKEY_BLOB, &c->key_pem);
        /* A key under a password is refused. Where none is given libcurl 7.88 reads it all the same, through a null pointer. */
        SET(t, CURLOPT_KEYPASSWD, "");
    }
}

/* What the environment says was looked at when the config was made: libcurl, which reads it otherwise, must not. */
static void set_proxy(struct transfer *t, const struct kube_config *c)
{
    struct sv url = sv_from(c->proxy_url);
    struct strbuf named;

    SET(t, CURLOPT_NOPROXY, "");
    strbuf_init(&named, MAX_URL);
    /* Go lets the proxy look names up, under either spelling; libcurl only under the longer. */
    if (sv_starts_ascii_case(url, SV("socks5://"))) {
        (void)strbuf_add(&named, SV("socks5h://"));
        url = sv_skip(url, strlen("socks5://"));
    }
    if (strbuf_add(&named, url))
        SET(t, CURLOPT_PROXY, strbuf_str(&named));
    else
        t->result = CURLE_URL_MALFORMAT;
    strbuf_done(&named);
    if (!sv_starts_ascii_case(sv_from(c->proxy_url), SV("https://")))
        return;
    /* Go holds proxies to the cluster's authority; most have the machine's, which count as well. */
    SET(t, CURLOPT_PROXY_SSL_VERIFYPEER, c->insecure ? 0L : 1L);
    SET(t, CURLOPT_PROXY_SSL_VERIFYHOST, c->insecure ? 0L : 2L);
    if (c->ca_pem.len != 0)
        set_pem(t, CURLOPT_PROXY_CAINFO_BLOB, &c->ca_pem);
}

/* CURLOPT_TCP_KEEPCNT came with libcurl 8.9; without it the kernel probes nine times. */
static int on_socket(void *self UNUSED, curl_socket_t fd, curlsocktype purpose UNUSED)
{
    int probes = KEEPALIVE_PROBES;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    return CURL_SOCKOPT_OK;
}

static void set_connection(struct transfer *t, const struct transport_curl *tc,
                           const struct transport_request *r)
{
    SET(t, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(t, CURLOPT_NOSIGNAL, 1L);
    /* A name is looked up by a thread, for as long as resolv.conf(5) allows: who gives a request up, or ends, does not wait for it. */
    SET(t, CURLOPT_QUICK_EXIT, 1L);
    SET(t, CURLOPT_FOLLOWLOCATION, 0L);
    SET(t, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(t, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(t, CURLOPT_TCP_NODELAY, 1L);
    SET(t, CURLOPT_TCP_KEEPALIVE, 1L);
    SET(t, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    SET(t, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    SET(t, CURLOPT_SOCKOPTFUNCTION, on_socket);
    SET(t, CURLOPT_MAXAGE_CONN, IDLE_MAX_S);
    SET(t, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    SET(t, CURLOPT_BUFFERSIZE, r->stream ? (long)STREAM_BUFFER : (long)PLAIN_BUFFER);
    if (r->timeout_us > 0)
        SET(t, CURLOPT_TIMEOUT_MS, (long)((r->timeout_us + US_PER_MS - 1) / US_PER_MS));
    set_proxy(t, tc->config);
    if (tc->dial != NULL)
        SET(t, CURLOPT_CONNECT_TO, tc->dial);
}

static void set_request(struct transfer *t, const struct transport_curl *tc,
                        const struct transport_request *r)
{
    struct strbuf url;

    strbuf_init(&url, MAX_URL);
    (void)strbuf_add(&url, strbuf_sv(&tc->prefix));
    if (strbuf_add(&url, sv_from(r->path)))
        SET(t, CURLOPT_URL, strbuf_str(&url));
    else
        t->result = CURLE_URL_MALFORMAT;
    strbuf_done(&url);
    if (r->content_type != NULL) {
        SET(t, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
        SET(t, CURLOPT_COPYPOSTFIELDS, r->body.len != 0 ? r->body.at : "");
    }
    SET(t, CURLOPT_CUSTOMREQUEST, r->method);
    SET(t, CURLOPT_PATH_AS_IS, 1L);
    SET(t, CURLOPT_HEADERFUNCTION, on_header);
    SET(t, CURLOPT_HEADERDATA, t);
    SET(t, CURLOPT_WRITEFUNCTION, on_body);
    SET(t, CURLOPT_WRITEDATA, t);
    SET(t, CURLOPT_ERRORBUFFER, t->text);
    SET(t, CURLOPT_PRIVATE, t);
}

/* ---- a channel's turns ---- */

/* The head was told when its last line came: no answer is complete without that. */
static void tell_done(struct transfer *t)
{
    struct err err = t->err;
    bool failed = t->result != CURLE_OK || t->err.kind != ERR_NONE;

    if (failed && err.kind == ERR_NONE) {
        const char *text = t->text[0] != '\0' ? t->text : curl_easy_strerror(t->result);

        (void)err_set(&err, ERR_NETWORK, (int)t->result, "%s", text);
    }
    t->handler.done(t->handler.self, failed ? &err : NULL);
    transfer_free(t);
}

/* Gives libcurl what was started and takes back what was cancelled while it could not be called. */
static void settle(struct channel *ch)
{
    struct transfer *next;

    for (struct transfer *t = ch->transfers; t != NULL; t = next) {
        next = t->next;
        if (t->state == TRANSFER_NEW && t->result == CURLE_OK) {
            t->state = TRANSFER_ADDED;
            if (curl_multi_add_handle(ch->multi, t->easy) != CURLM_OK)
                t->result = CURLE_FAILED_INIT;
        } else if (t->state == TRANSFER_CANCELLED) {
            (void)curl_multi_remove_handle(ch->multi, t->easy);
            transfer_free(t);
        }
    }
}

/* The next transfer whose end nobody was told of; callbacks may change the list, so it is looked for from the start. */
static struct transfer *next_ended(struct channel *ch)
{
    for (struct transfer *t = ch->transfers; t != NULL; t = t->next)
        if (t->state == TRANSFER_ENDED || (t->state <= TRANSFER_ADDED && t->result != CURLE_OK))
            return t;
    return NULL;
}

static void collect(struct channel *ch)
{
    int left;

    for (CURLMsg *m = curl_multi_info_read(ch->multi, &left); m != NULL;
         m = curl_multi_info_read(ch->multi, &left)) {
        struct transfer *t = NULL;
        CURL *easy = m->easy_handle;
        CURLcode result = m->data.result;

        if (m->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
        (void)curl_multi_remove_handle(ch->multi, easy);
        if (t->state != TRANSFER_CANCELLED) {
            t->state = TRANSFER_ENDED;
            t->result = result;
        }
    }
}

/* Ends the streams that go over connections which are given up. */
static void end_streams(struct channel *ch)
{
    ch->drop = false;
    for (struct transfer *t = ch->transfers; t != NULL; t = t->next) {
        if (!t->stream || !t->dropped || t->state != TRANSFER_ADDED)
            continue;
        (void)curl_multi_remove_handle(ch->multi, t->easy);
        t->state = TRANSFER_ENDED;
        (void)err_set(&t->err, ERR_NETWORK, 0, "given up: there are new certificates");
    }
}

static void turn(struct channel *ch, curl_socket_t fd, int events)
{
    int running;

    ch->depth++;
    (void)curl_multi_socket_action(ch->multi, fd, events, &running);
    ch->depth--;
    collect(ch);
    settle(ch);
    if (ch->drop)
        end_streams(ch);
    for (struct transfer *t = next_ended(ch); t != NULL; t = next_ended(ch)) {
        t->state = TRANSFER_ENDED;
        tell_done(t);
    }
}

/* Where the kernel knows no such mark, single bytes wake us as well. */
static void set_gathers(struct socket_watch *s, bool gathers)
{
    int bytes = gathers ? BATCH_BYTES : 1;

    if (gathers)
        loop_timer_set(s->batch, TRANSPORT_BATCH_US);
    else
        loop_timer_stop(s->batch);
    if (gathers != s->gathers)
        (void)setsockopt(s->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
    s->gathers = gathers;
}

static bool holds_bytes(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/*
 * Over TLS libcurl reads one record a time, and an event is a record: what is left behind it is too little
 * to wake us, so it is read as well.
 */
static void socket_turn(struct socket_watch *s, int events)
{
    struct channel *ch = s->channel;
    size_t before, reads = 0;

    ch->read = 0;
    ch->reading = s->batched && (events & CURL_CSELECT_IN) != 0 ? s : NULL;
    do {
        before = ch->read;
        turn(ch, s->fd, events);
    } while (ch->reading != NULL && ch->read != before && ch->read < BATCH_BYTES &&
             ++reads < BATCH_READS && holds_bytes(s->fd));
    if (ch->reading != NULL)
        set_gathers(s, ch->read != 0);
    ch->reading = NULL;
}

static void on_ready(void *self, int fd UNUSED, bool readable, bool writable)
{
    socket_turn(self, (readable ? CURL_CSELECT_IN : 0) | (writable ? CURL_CSELECT_OUT : 0));
}

static void on_batch(void *self)
{
    socket_turn(self, CURL_CSELECT_IN);
}

static void on_timer(void *self)
{
    turn(self, CURL_SOCKET_TIMEOUT, 0);
}

static void on_resume(void *self)
{
    struct channel *ch = self;

    ch->depth++;
    for (struct transfer *t = ch->transfers; t != NULL; t = t->next) {
        if (!t->paused || t->state != TRANSFER_ADDED)
            continue;
        t->paused = false; /* before it goes on: what lies there may be more than a slice */
        (void)curl_easy_pause(t->easy, CURLPAUSE_CONT);
    }
    ch->depth--;
    turn(ch, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *multi UNUSED, long delay_ms, void *self)
{
    struct channel *ch = self;

    if (delay_ms < 0)
        loop_timer_stop(ch->timer);
    else
        loop_timer_set(ch->timer, delay_ms * US_PER_MS);
    return 0;
}

/* The connection may be used again. */
static void socket_free(struct channel *ch, struct socket_watch *s)
{
    if (s == NULL)
        return;
    if (ch->reading == s)
        ch->reading = NULL;
    set_gathers(s, false);
    loop_timer_free(s->batch);
    loop_io_free(s->io);
    free(s);
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *self, void *socket)
{
    struct channel *ch = self;
    struct socket_watch *s = socket;
    struct transfer *t = NULL;

    if (what == CURL_POLL_REMOVE) {
        socket_free(ch, s);
        return 0;
    }
    if (s == NULL) {
        s = xcalloc(1, sizeof *s);
        *s = (struct socket_watch){.channel = ch, .fd = fd};
        s->io = loop_io_new(ch->transport->loop, fd, on_ready, s);
        s->batch = loop_timer_new(ch->transport->loop, on_batch, s);
        (void)curl_multi_assign(ch->multi, fd, s);
    }
    (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
    s->batched = t != NULL && t->batched;
    loop_io_set(s->io, (what & CURL_POLL_IN) != 0, (what & CURL_POLL_OUT) != 0);
    return 0;
}

/* ---- transport ---- */

static struct transfer *start(void *self, const struct transport_request *request,
                              const struct transport_handler *handler)
{
    struct transport_curl *tc = self;
    struct channel *ch = &tc->channels[request->channel];
    struct transfer *t = xcalloc(1, sizeof *t);

    *t = (struct transfer){
        .channel = ch,
        .next = ch->transfers,
        .link = &ch->transfers,
        .easy = curl_easy_init(),
        .handler = *handler,
        .stream = request->stream,
        .batched = request->batched,
        .head = {.retry_after_s = -1},
    };
    if (t->easy == NULL)
        abort(); /* memory is gone; see alloc.h */
    if (ch->transfers != NULL)
        ch->transfers->link = &t->next;
    ch->transfers = t;
    strbuf_init(&t->content_type, 256);
    set_request(t, tc, request);
    set_connection(t, tc, request);
    set_headers(t, tc, request);
    if (!tc->config->plain)
        set_tls(t, tc->config);
    if (ch->depth == 0)
        settle(ch);
    if (t->result != CURLE_OK)
        loop_timer_set(ch->timer, 0); /* its end is told there: never from inside start() */
    return t;
}

static void cancel(void *self UNUSED, struct transfer *t)
{
    t->state = TRANSFER_CANCELLED;
    if (t->channel->depth == 0)
        settle(t->channel);
}

/* libcurl would begin it at the timer, in the next round of the loop. What ends by this is told there. */
static void push(void *self, enum transport_channel channel)
{
    struct channel *ch = &((struct transport_curl *)self)->channels[channel];
    int running;

    if (ch->depth != 0)
        return;
    ch->depth++;
    (void)curl_multi_socket_action(ch->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    ch->depth--;
    loop_timer_set(ch->timer, 0);
}

/* Not at once: it may be asked for in a callback. Other connections are never used again since the blobs differ. */
static void drop(void *self)
{
    struct transport_curl *tc = self;

    for (size_t i = 0; i < CHANNEL_COUNT_; i++) {
        struct channel *ch = &tc->channels[i];

        for (struct transfer *t = ch->transfers; t != NULL; t = t->next)
            t->dropped = true;
        ch->drop = true;
        loop_timer_set(ch->timer, 0);
    }
}

/* ---- birth and death ---- */

/*
 * Where the certificate bears another name than the host: the URL gets that name, which SNI and verification go by, and the
 * connection is dialled to the host all the same.
 */
static bool set_names(struct transport_curl *tc, struct err *err)
{
    const struct kube_config *c = tc->config;
    struct sv rest = sv_skip(sv_from(c->server), c->plain ? 7 : 8), authority = rest, tail;
    struct sv port = c->plain ? SV("80") : SV("443");
    const char *colon;
    struct strbuf dial;

    strbuf_init(&tc->prefix, MAX_URL / 2);
    strbuf_init(&tc->host, MAX_URL / 2);
    if (c->tls_server_name == NULL || c->plain) {
        (void)strbuf_add(&tc->prefix, sv_from(c->server));
        return true;
    }
    if (sv_cut(rest, '/', &authority, &tail))
        (void)tail;
    colon = memrchr(authority.at, ':', authority.len);
    if (colon != NULL &&
        memchr(colon, ']', (size_t)(authority.at + authority.len - colon)) == NULL) {
        port = sv_skip(authority, (size_t)(colon - authority.at) + 1);
    } else {
        colon = authority.at + authority.len;
    }
    (void)strbuf_add(&tc->host, authority);
    (void)strbuf_addf(&tc->prefix, "https://%s:%.*s", c->tls_server_name, SV_ARG(port));
    (void)strbuf_add(&tc->prefix, sv_skip(rest, authority.len));
    strbuf_init(&dial, MAX_URL);
    (void)strbuf_addf(&dial, "::%.*s:%.*s", (int)(colon - authority.at), authority.at,
                      SV_ARG(port));
    tc->dial = curl_slist_append(NULL, strbuf_str(&dial));
    strbuf_done(&dial);
    return tc->dial != NULL || err_set(err, ERR_SYSTEM, 0, "libcurl: out of memory");
}

static bool channel_init(struct channel *ch, struct transport_curl *tc, long connections)
{
    *ch = (struct channel){.transport = tc, .multi = curl_multi_init(), .timer = NULL};
    if (ch->multi == NULL)
        return false;
    ch->timer = loop_timer_new(tc->loop, on_timer, ch);
    ch->resume = loop_timer_new(tc->loop, on_resume, ch);
    return curl_multi_setopt(ch->multi, CURLMOPT_SOCKETFUNCTION, set_socket) == CURLM_OK &&
           curl_multi_setopt(ch->multi, CURLMOPT_SOCKETDATA, ch) == CURLM_OK &&
           curl_multi_setopt(ch->multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
           curl_multi_setopt(ch->multi, CURLMOPT_TIMERDATA, ch) == CURLM_OK &&
           curl_multi_setopt(ch->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) == CURLM_OK &&
           curl_multi_setopt(ch->multi, CURLMOPT_MAXCONNECTS, connections > 8 ? connections : 8L) ==
               CURLM_OK &&
           curl_multi_setopt(ch->multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections) == CURLM_OK;
}

bool transport_curl_new(struct loop *loop, const struct kube_config *config,
                        struct transport_curl **ret_t, struct err *err)
{
    /* 0: no limit. A patch never queues behind a lease renewal that hangs: it gets a connection of its own then. */
    static const long connections[CHANNEL_COUNT_] = {[CHANNEL_CONTROL] = 0,
                                                     [CHANNEL_WATCH] = 0,
                                                     [CHANNEL_POOL] = 8,
                                                     [CHANNEL_PODS] = TRANSPORT_POD_CONNECTIONS};
    struct transport_curl *tc = xcalloc(1, sizeof *tc);
    bool ok;

    tc->loop = loop;
    tc->config = config;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(tc);
        return err_set(err, ERR_SYSTEM, 0, "libcurl: cannot be initialised");
    }
    ok = set_names(tc, err);
    for (size_t i = 0; i < CHANNEL_COUNT_ && ok; i++)
        ok = channel_init(&tc->channels[i], tc, connections[i]) ||
             err_set(err, ERR_SYSTEM, 0, "libcurl: no multi handle");
    if (!ok) {
        transport_curl_free(tc);
        return false;
    }
    *ret_t = tc;
    return true;
}

static void channel_done(struct channel *ch)
{
    if (ch->multi == NULL)
        return;
    while (ch->transfers != NULL) {
        (void)curl_multi_remove_handle(ch->multi, ch->transfers->easy);
        transfer_free(ch->transfers);
    }
    (void)curl_multi_cleanup(ch->multi);
    loop_timer_free(ch->timer);
    loop_timer_free(ch->resume);
}

void transport_curl_free(struct transport_curl *tc)
{
    if (tc == NULL)
        return;
    for (size_t i = 0; i < CHANNEL_COUNT_; i++)
        channel_done(&tc->channels[i]);
    curl_slist_free_all(tc->dial);
    strbuf_done(&tc->prefix);
    strbuf_done(&tc->host);
    free(tc);
    curl_global_cleanup();
}

struct transport transport_curl_transport(struct transport_curl *t)
{
    return (struct transport){
        .start = start, .cancel = cancel, .push = push, .drop = drop, .self = t};
}
