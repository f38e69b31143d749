#include "tests/fuzz/script.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct script_timer {
    struct script *script;
    struct script_timer *next;
    void (*fn)(void *self);
    void *self;
    int64_t at_us; /* INT64_MAX: not set */
};

struct transfer {
    struct script *script;
    struct transfer *next;
    struct transport_handler handler;
    bool busy; /* inside a callback: freed behind it */
    bool gone;
    bool limited; /* it has a time limit, behind all timers */
    bool open;    /* all that comes of the answer has come, and it does not end */
};

/* ---- clock ---- */

static struct mono clock_now(void *self)
{
    return ((struct script *)self)->now;
}

static struct wall clock_wall(void *self)
{
    return (struct wall){.us = INT64_C(1790000000) * US_PER_S + ((struct script *)self)->now.us};
}

static void *timer_new(void *self, void (*fn)(void *fn_self), void *fn_self)
{
    struct script *s = self;
    struct script_timer *t = xcalloc(1, sizeof *t);

    *t = (struct script_timer){
        .script = s, .next = s->timers, .fn = fn, .self = fn_self, .at_us = INT64_MAX};
    s->timers = t;
    return t;
}

static void timer_set(void *timer, int64_t delay_us)
{
    struct script_timer *t = timer;

    if (delay_us < 0)
        abort();
    t->at_us = t->script->now.us + delay_us;
}

static void timer_stop(void *timer)
{
    ((struct script_timer *)timer)->at_us = INT64_MAX;
}

static void timer_free(void *timer)
{
    struct script_timer *t = timer;

    if (t == NULL)
        return;
    for (struct script_timer **at = &t->script->timers; *at != NULL; at = &(*at)->next) {
        if (*at == t) {
            *at = t->next;
            break;
        }
    }
    free(t);
}

static bool fire(struct script *s)
{
    struct script_timer *next = NULL;

    for (struct script_timer *t = s->timers; t != NULL; t = t->next) {
        if (t->at_us != INT64_MAX && (next == NULL || t->at_us < next->at_us))
            next = t;
    }
    if (next == NULL)
        return false;
    if (next->at_us > s->now.us)
        s->now.us = next->at_us;
    next->at_us = INT64_MAX;
    next->fn(next->self);
    return true;
}

/* ---- transport ---- */

static void transfer_free(struct transfer *t)
{
    for (struct transfer **at = &t->script->transfers; *at != NULL; at = &(*at)->next) {
        if (*at == t) {
            *at = t->next;
            break;
        }
    }
    free(t);
}

static struct transfer *start(void *self, const struct transport_request *r,
                              const struct transport_handler *handler)
{
    struct script *s = self;
    struct transfer *t = xcalloc(1, sizeof *t), **last = &s->transfers;

    if (r->path[0] != '/' || strpbrk(r->path, " \r\n") != NULL)
        abort();
    for (size_t i = 0; i < r->n_headers; i++) {
        if (strpbrk(r->headers[i], "\r\n") != NULL)
            abort();
    }
    *t = (struct transfer){.script = s, .handler = *handler, .limited = r->timeout_us != 0};
    while (*last != NULL)
        last = &(*last)->next;
    *last = t;
    return t;
}

static void cancel(void *self UNUSED, struct transfer *t)
{
    if (t->gone)
        abort();
    t->gone = true;
    if (!t->busy)
        transfer_free(t);
}

static void finish(struct transfer *t, const struct err *err)
{
    t->busy = t->gone = true;
    t->handler.done(t->handler.self, err);
    transfer_free(t);
}

static void refuse(struct transfer *t)
{
    struct err err = {0};

    (void)err_set(&err, ERR_NETWORK, 7, "connection refused");
    finish(t, &err);
}

/* Behind a callback that said `ok`: is the transfer still there? */
static bool goes_on(struct transfer *t, bool ok, const struct err *err)
{
    t->busy = false;
    if (t->gone) {
        transfer_free(t);
        return false;
    }
    if (!ok) {
        if (err->kind == ERR_NONE)
            abort();
        finish(t, err);
    }
    return ok;
}

static bool tell_head(struct transfer *t, uint8_t status, uint8_t how)
{
    static const int statuses[] = {200, 201, 204, 301, 400, 401, 403, 404, 406,
                                   409, 410, 413, 415, 422, 429, 500, 503, 504};
    static const char *const types[] = {"application/json", "application/vnd.kubernetes.protobuf",
                                        "text/plain; charset=utf-8",
                                        "application/vnd.kubernetes.protobuf;stream=watch"};
    struct transport_head head = {
        .status = statuses[status % COUNT_OF(statuses)],
        .content_type = sv_from(types[how & 3]),
        .retry_after_s = (how >> 5) - 1,
    };
    struct err err = {0};
    bool ok;

    t->busy = true;
    ok = t->handler.head(t->handler.self, &head, &err);
    return goes_on(t, ok, &err);
}

static bool tell_body(struct transfer *t, struct sv body, size_t piece)
{
    while (body.len != 0) {
        size_t n = piece != 0 && piece < body.len ? piece : body.len;
        char *copy = xmalloc(n); /* a reader beyond its end is caught */
        struct err err = {0};
        bool ok;

        memcpy(copy, body.at, n);
        t->busy = true;
        ok = t->handler.data(t->handler.self, (struct sv){.at = copy, .len = n}, &err);
        free(copy);
        if (!goes_on(t, ok, &err))
            return false;
        body = sv_skip(body, n);
    }
    return true;
}

uint8_t script_byte(struct script *s)
{
    uint8_t byte = s->bytes.len != 0 ? (uint8_t)s->bytes.at[0] : 0;

    s->bytes = sv_skip(s->bytes, 1);
    return byte;
}

static void answer(struct script *s, struct transfer *t)
{
    uint8_t status, how, piece;
    size_t len;
    struct sv body;

    if (s->bytes.len == 0) {
        refuse(t);
        return;
    }
    status = script_byte(s);
    how = script_byte(s);
    piece = script_byte(s);
    len = (size_t)script_byte(s) << 8;
    len |= script_byte(s);
    body = (struct sv){.at = s->bytes.at, .len = len < s->bytes.len ? len : s->bytes.len};
    s->bytes = sv_skip(s->bytes, body.len);
    if (!tell_head(t, status, how) || !tell_body(t, body, piece))
        return;
    if ((how >> 2 & 7) == 7)
        refuse(t);
    else if ((how >> 2 & 7) == 6)
        t->open = true;
    else
        finish(t, NULL);
}

/* The time limit of a request whose answer has no end. */
static bool end_late(struct script *s)
{
    struct transfer *t = s->transfers;

    while (t != NULL && !t->limited)
        t = t->next;
    if (t == NULL)
        return false;
    refuse(t);
    return true;
}

/* ---- public ---- */

void script_init(struct script *s, struct sv bytes)
{
    *s = (struct script){
        .bytes = bytes,
        .now = {.us = 1000 * US_PER_S},
        .config = {.server = xstrdup("https://127.0.0.1:1"),
                   .ns = xstrdup("default"),
                   .token = xstrdup("t")},
        .transport = {.start = start, .cancel = cancel, .self = s},
        .clock = {.now = clock_now,
                  .wall = clock_wall,
                  .timer_new = timer_new,
                  .timer_set = timer_set,
                  .timer_stop = timer_stop,
                  .timer_free = timer_free,
                  .self = s},
    };
    s->client = client_new(&s->config, &s->transport, &s->clock);
}

void script_done(struct script *s)
{
    client_free(s->client);
    kube_config_done(&s->config);
    if (s->transfers != NULL || s->timers != NULL)
        abort();
}

bool script_play(struct script *s)
{
    struct transfer *t = s->transfers;

    while (t != NULL && t->open)
        t = t->next;
    if (t != NULL) {
        answer(s, t);
        return true;
    }
    return fire(s) || end_late(s);
}
