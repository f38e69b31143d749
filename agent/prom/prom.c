#include "agent/prom/prom.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/cmd.h"
#include "agent/kube/client.h"
#include "base/alloc.h"
#include "base/base64.h"
#include "base/num.h"

enum { MAX_FILE = 64 << 10, MAX_HEADERS = 32, MAX_ERROR_BODY = 64 << 10 };

/* libcurl's CURLE_OPERATION_TIMEDOUT, which the transport hands on as the error's code. */
enum { TIMED_OUT = 28 };

/* A server that is throttling or away for a moment is asked again so often, one that never answered is not. */
enum { FIRST_TRIES = 1, MAX_TRIES = 5 };

/* ---- who asks ---- */

/* Is it this machine? Then what goes over http is seen by nobody else. */
static bool is_local(const char *url)
{
    struct sv host = sv_skip(sv_from(url), strlen("http://")), tail;

    (void)sv_cut(host, '/', &host, &tail);
    if (sv_starts(host, SV("[::1]")))
        return true;
    (void)sv_cut(host, ':', &host, &tail);
    return sv_eq(host, SV("localhost")) || sv_starts(host, SV("127."));
}

static bool read_address(struct prom *p, const char *url, struct err *err)
{
    struct sv text = sv_from(url), authority, tail;
    bool plain = sv_starts(text, SV("http://"));

    while (sv_ends(text, SV("/")))
        text.len--;
    authority = sv_skip(text, plain ? 7 : 8);
    (void)sv_cut(authority, '/', &authority, &tail);
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.at[i] <= ' ' || text.at[i] == 0x7f || text.at[i] == '?' ||
            text.at[i] == '#')
            authority.len = 0;
    }
    if ((!plain && !sv_starts(text, SV("https://"))) || authority.len == 0)
        return err_set(err, ERR_INPUT, 0,
                       "--prometheus: found '%s', expected an address like http://prometheus:9090",
                       url);
    if (memchr(authority.at, '@', authority.len) != NULL)
        return err_set(err, ERR_INPUT, 0,
                       "--prometheus: found a name and a password in the address, expected them in "
                       "a file (--prometheus-basic-file)");
    p->config.server = sv_dup(text);
    p->config.ns = xstrdup("");
    p->config.plain = plain;
    return true;
}

/* The file's text without blanks at its ends; one line. */
static bool read_line(const char *flag, const char *path, struct strbuf *to, struct err *err)
{
    struct sv text;

    strbuf_init(to, MAX_FILE);
    if (!cmd_read(path, to, err))
        return err_wrap(err, "--%s", flag);
    text = sv_trim(strbuf_sv(to));
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.at[i] < ' ' || text.at[i] == 0x7f)
            text.len = 0;
    }
    if (text.len == 0)
        return err_set(err, ERR_INPUT, 0, "--%s: %s: expected one line of text", flag, path);
    return true;
}

static bool read_basic(struct prom *p, const char *path, struct err *err)
{
    struct strbuf pair, line;
    bool ok;

    if (path == NULL)
        return true;
    strbuf_init(&line, 2 * MAX_FILE);
    ok = read_line("prometheus-basic-file", path, &pair, err);
    if (ok && memchr(pair.at, ':', pair.len) == NULL)
        ok =
            err_set(err, ERR_INPUT, 0, "--prometheus-basic-file: %s: expected USER:PASSWORD", path);
    if (ok) {
        (void)strbuf_add(&line, SV("Authorization: Basic "));
        (void)base64_encode(sv_trim(strbuf_sv(&pair)), &line);
        p->basic = xstrdup(strbuf_str(&line));
    }
    strbuf_done(&pair);
    strbuf_done(&line);
    return ok;
}

/* "X-Scope-OrgID: team-a", one a line; blank lines and those that begin with '#' aside. */
static bool read_headers(struct prom *p, const char *path, struct err *err)
{
    struct strbuf text;
    struct sv rest, line;
    bool ok = true;
    int n = 0;

    if (path == NULL)
        return true;
    strbuf_init(&text, MAX_FILE);
    ok = cmd_read(path, &text, err) || err_wrap(err, "--prometheus-headers-file");
    rest = strbuf_sv(&text);
    while (ok && sv_next(&rest, '\n', &line)) {
        struct sv name, value;

        n++;
        line = sv_trim(line);
        if (line.len == 0 || line.at[0] == '#')
            continue;
        if (!sv_cut(line, ':', &name, &value) || name.len == 0 || n > MAX_HEADERS ||
            memchr(name.at, ' ', name.len) != NULL || memchr(line.at, '\0', line.len) != NULL)
            ok = err_set(err, ERR_INPUT, 0,
                         "--prometheus-headers-file: %s:%d: expected at most %d lines of the form "
                         "Name: value",
                         path, n, MAX_HEADERS);
        (void)strbuf_add(&p->lines, line);
        (void)strbuf_add_char(&p->lines, '\0');
    }
    strbuf_done(&text);
    return ok;
}

static bool read_credentials(struct prom *p, const struct prom_options *o, struct err *err)
{
    bool changed;

    if (o->token_file != NULL && o->basic_file != NULL)
        return err_set(err, ERR_INPUT, 0,
                       "found --prometheus-token-file and --prometheus-basic-file, expected one");
    if (p->config.plain && (o->token_file != NULL || o->basic_file != NULL) && !is_local(o->url))
        return err_set(err, ERR_INPUT, 0,
                       "--prometheus: found http://, expected https://: a token or password would "
                       "be seen on the way");
    p->config.token_file = o->token_file != NULL ? xstrdup(o->token_file) : NULL;
    p->config.ca_file = o->ca_file != NULL ? xstrdup(o->ca_file) : NULL;
    return kube_config_read_token(&p->config, err) &&
           kube_config_read_tls(&p->config, &changed, err) && read_basic(p, o->basic_file, err) &&
           read_headers(p, o->headers_file, err);
}

bool prom_open(struct prom *p, const struct prom_options *options, struct err *err)
{
    struct proxy_env proxy = proxy_env_read();

    *p = (struct prom){0};
    strbuf_init(&p->lines, 2 * MAX_FILE);
    if (read_address(p, options->url, err) && read_credentials(p, options, err) &&
        proxy_choose(&proxy, p->config.server, &p->config.proxy_url, err)) {
        p->loop = loop_new();
        if (transport_curl_new(p->loop, &p->config, &p->curl, err))
            return true;
    }
    prom_close(p);
    return false;
}

void prom_close(struct prom *p)
{
    if (p->curl != NULL)
        transport_curl_free(p->curl);
    if (p->loop != NULL)
        loop_free(p->loop);
    kube_config_done(&p->config);
    free(p->basic);
    strbuf_done(&p->lines);
    *p = (struct prom){0};
}

/* ---- a question ---- */

struct asking {
    struct loop *loop;
    struct promread read;
    int status;
    struct strbuf body; /* of an answer that is no 2xx */
    bool done;
    struct err err; /* kind ERR_NONE: none */
};

static bool on_head(void *self, const struct transport_head *head, struct err *err UNUSED)
{
    ((struct asking *)self)->status = head->status;
    return true;
}

static bool good(int status)
{
    return status >= 200 && status < 300;
}

static bool on_data(void *self, struct sv bytes, struct err *err)
{
    struct asking *a = self;

    if (good(a->status))
        return promread_push(&a->read, bytes, err);
    (void)strbuf_add(&a->body, bytes); /* what does not fit is no error of Prometheus */
    return true;
}

static void on_done(void *self, const struct err *err)
{
    struct asking *a = self;

    a->done = true;
    if (err != NULL)
        a->err = *err;
    loop_stop(a->loop);
}

static enum err_kind kind_of(int status, const char *type)
{
    switch (status) {
    case 401:
        return ERR_AUTH;
    case 403:
        return ERR_FORBIDDEN;
    case 404: /* somebody else than Prometheus, or elsewhere */
    case 405:
        return ERR_PROTOCOL;
    case 429:
        return ERR_THROTTLED;
    case 503: /* of Prometheus that it took too long, of a gateway that nobody is there */
        return type[0] != '\0' ? ERR_LIMIT : ERR_SERVER;
    case 413:
    case 504:
        return ERR_LIMIT;
    case 422:
        return strcmp(type, "bad_data") == 0 ? ERR_INPUT : ERR_LIMIT;
    default:
        if (status >= 500)
            return ERR_SERVER;
        return status >= 400 ? ERR_INPUT : ERR_PROTOCOL;
    }
}

/* The first line of a text that is not Prometheus' own, as of a gateway; of a page of HTML nothing. */
static void plain_reason(struct sv body, char *text, size_t size)
{
    struct sv line = {0};

    body = sv_trim(body);
    (void)sv_next(&body, '\n', &line);
    if (sv_starts(line, SV("<")))
        line = SV("a page of HTML");
    (void)snprintf(text, size, "%.*s", (int)(line.len < 120 ? line.len : 120), line.at);
    for (char *c = text; *c != '\0'; c++)
        *c = (unsigned char)*c < ' ' || *c == 0x7f ? ' ' : *c;
}

/* What may be wrong where it is not Prometheus that answers. */
static const char *hint_of(const struct asking *a)
{
    if (a->status >= 300 && a->status < 400)
        return " (it sends elsewhere, which is not followed: is it https://, or somebody to sign "
               "in "
               "first?)";
    return a->status == 404 && a->read.error_type[0] == '\0'
               ? " (is there a path in front of /api/v1?)"
               : "";
}

/* What an answer other than 2xx says. */
static bool refused(struct asking *a, struct err *err)
{
    struct err own = {0};
    char text[128] = "";

    if (!promread_push(&a->read, strbuf_sv(&a->body), &own) || promread_end(&a->read, &own) ||
        own.kind != ERR_SERVER) {
        plain_reason(strbuf_sv(&a->body), text, sizeof text);
        (void)err_set(&own, ERR_SERVER, 0, "%s", text);
    }
    return err_set(err, kind_of(a->status, a->read.error_type), a->status,
                   "Prometheus answers %d%s%s%s", a->status, own.text[0] != '\0' ? ": " : "",
                   own.text, hint_of(a));
}

static bool judge(struct prom *p, struct asking *a, struct err *err)
{
    if (!a->done)
        return err_set(err, ERR_NETWORK, 0, "Prometheus: interrupted");
    if (a->err.kind != ERR_NONE)
        return err_set(err, a->err.code == TIMED_OUT ? ERR_LIMIT : a->err.kind, a->err.code,
                       "Prometheus: %s", a->err.text);
    if (!good(a->status))
        return refused(a, err);
    if (!promread_end(&a->read, err))
        return false;
    if (a->read.partial) {
        (void)snprintf(p->warning_text, sizeof p->warning_text, "%s",
                       a->read.warning[0] != '\0' ? a->read.warning : "the answer is partial");
        p->warning = p->warning_text;
    }
    return true;
}

static void add_time(struct strbuf *form, const char *name, int64_t ms)
{
    (void)strbuf_addf(form, "&%s=%s%lld.%03lld", name, ms < 0 ? "-" : "", llabs(ms / 1000),
                      llabs(ms % 1000));
}

static void make_form(const struct prom_query *q, struct strbuf *form)
{
    (void)strbuf_add(form, SV("query="));
    client_escape(form, sv_from(q->text));
    if (q->step_ms == 0) {
        add_time(form, "time", q->end_ms);
        return;
    }
    add_time(form, "start", q->begin_ms);
    add_time(form, "end", q->end_ms);
    add_time(form, "step", q->step_ms);
}

/* The token is read anew: a long replay outlives it. Returns how many lines there are. */
static size_t make_headers(struct prom *p, struct strbuf *token, const char **lines)
{
    size_t n = 0;

    (void)!kube_config_read_token(&p->config, NULL); /* the old one stays in force then */
    if (p->config.token != NULL) {
        (void)strbuf_addf(token, "Authorization: Bearer %s", p->config.token);
        lines[n++] = strbuf_str(token);
    } else if (p->basic != NULL) {
        lines[n++] = p->basic;
    }
    lines[n++] = "User-Agent: brim/" BRIM_VERSION;
    for (size_t at = 0; at < p->lines.len; at += strlen(p->lines.at + at) + 1)
        lines[n++] = p->lines.at + at;
    return n;
}

bool prom_ask(struct prom *p, const struct prom_query *query, promread_fn *each, void *self,
              struct err *err)
{
    struct asking a = {.loop = p->loop};
    const struct transport_handler handler = {on_head, on_data, on_done, &a};
    struct transport transport = transport_curl_transport(p->curl);
    const char *lines[MAX_HEADERS + 2];
    struct strbuf form, token;
    struct transfer *transfer;
    bool ok;

    p->warning = NULL;
    promread_init(&a.read, each, self);
    strbuf_init(&a.body, MAX_ERROR_BODY);
    strbuf_init(&form, 4 * PROM_MAX_QUERY);
    strbuf_init(&token, 2 * KUBE_CONFIG_MAX_TOKEN);
    make_form(query, &form);
    transfer =
        transport.start(transport.self,
                        &(struct transport_request){
                            .method = "POST",
                            .path = query->step_ms != 0 ? "/api/v1/query_range" : "/api/v1/query",
                            .accept = "application/json",
                            .content_type = "application/x-www-form-urlencoded",
                            .body = strbuf_sv(&form),
                            .headers = lines,
                            .n_headers = make_headers(p, &token, lines),
                            .channel = CHANNEL_POOL,
                            .timeout_us = PROM_TIMEOUT_US,
                            .stream = true,
                        },
                        &handler);
    loop_run(p->loop);
    if (!a.done)
        transport.cancel(transport.self, transfer);
    ok = judge(p, &a, err);
    promread_done(&a.read);
    strbuf_done(&a.body);
    strbuf_done(&form);
    strbuf_done(&token);
    return ok;
}

/* ---- patience ---- */

static void pause_s(int seconds)
{
    const struct timespec t = {.tv_sec = seconds};

    (void)nanosleep(&t, NULL);
}

/* May the same question be answered in a moment? */
static bool passes(const struct err *err)
{
    return err->kind == ERR_THROTTLED || err->kind == ERR_NETWORK || err->kind == ERR_SERVER;
}

bool prom_ask_patiently(struct prom *p, const struct prom_query *query, promread_fn *each,
                        void *self, struct prom_asked *asked, struct err *err)
{
    struct err own = {0};

    for (int tries = 1;; tries++) {
        if (prom_ask(p, query, each, self, &own))
            break;
        if (!passes(&own) || tries == (asked->queries != 0 ? MAX_TRIES : FIRST_TRIES))
            return err_set(err, own.kind, own.code, "%s", own.text);
        pause_s(1 << (tries - 1));
    }
    asked->queries++;
    if (p->warning != NULL && asked->partial++ == 0)
        (void)snprintf(asked->warning, sizeof asked->warning, "%s", p->warning);
    return true;
}

/* ---- words ---- */

bool prom_halve(const struct err *own, int64_t asked_ms, int64_t least_ms, int64_t *window_ms)
{
    if (own->kind != ERR_LIMIT || own->code == 0 || asked_ms <= least_ms)
        return false;
    *window_ms = max_i64(asked_ms / 2, least_ms);
    return true;
}

bool prom_name_window(int64_t begin_ms, int64_t end_ms, const struct err *own, struct err *err)
{
    char begin[WALL_TEXT_SIZE], end[WALL_TEXT_SIZE];

    wall_format((struct wall){.us = begin_ms * US_PER_MS}, 0, begin);
    wall_format((struct wall){.us = end_ms * US_PER_MS}, 0, end);
    return err_set(err, own->kind, own->code, "%s to %s: %s", begin, end, own->text);
}

void prom_put_quoted(struct strbuf *out, struct sv text)
{
    (void)strbuf_add_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '"' || text.at[i] == '\\')
            (void)strbuf_add_char(out, '\\');
        (void)strbuf_add_char(out, text.at[i]);
    }
    (void)strbuf_add_char(out, '"');
}

void prom_put_literal(struct strbuf *out, struct sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];

        if (c == '\\')
            (void)strbuf_add(out, SV("\\\\\\\\"));
        else if (c == '"')
            (void)strbuf_add(out, SV("\\\""));
        else if (strchr(".+*?()|[]{}^$", c) != NULL && c != '\0')
            (void)strbuf_addf(out, "\\\\%c", c);
        else
            (void)strbuf_add_char(out, c);
    }
}
