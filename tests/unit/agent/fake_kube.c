#include "tests/unit/agent/fake_kube.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/alloc.h"

void fake_init(struct fake *f)
{
    /* Not zero, so that a time that was never set stands out. */
    *f = (struct fake){.now = {.us = 1000 * US_PER_S},
                       .wall = {.us = INT64_C(1790000000) * US_PER_S}};
}

void fake_done(struct fake *f)
{
    cr_assert_null(f->transfers, "a request was left behind: %s",
                   f->transfers != NULL ? f->transfers->path : "");
    cr_assert_null(f->timers, "a timer was left behind");
}

/* ---- clock ---- */

static struct mono now(void *self)
{
    return ((struct fake *)self)->now;
}

static struct wall wall(void *self)
{
    return ((struct fake *)self)->wall;
}

static void *timer_new(void *self, void (*fn)(void *fn_self), void *fn_self)
{
    struct fake *f = self;
    struct fake_timer *t = xcalloc(1, sizeof *t);

    *t = (struct fake_timer){
        .fake = f, .next = f->timers, .fn = fn, .self = fn_self, .at_us = INT64_MAX};
    f->timers = t;
    return t;
}

static void timer_set(void *timer, int64_t delay_us)
{
    struct fake_timer *t = timer;

    cr_assert(delay_us >= 0);
    t->at_us = t->fake->now.us + delay_us;
}

static void timer_stop(void *timer)
{
    ((struct fake_timer *)timer)->at_us = INT64_MAX;
}

static void timer_free(void *timer)
{
    struct fake_timer *t = timer;

    if (t == NULL)
        return;
    for (struct fake_timer **at = &t->fake->timers; *at != NULL; at = &(*at)->next) {
        if (*at == t) {
            *at = t->next;
            break;
        }
    }
    free(t);
}

struct timers fake_timers(struct fake *f)
{
    return (struct timers){
        .now = now,
        .wall = wall,
        .timer_new = timer_new,
        .timer_set = timer_set,
        .timer_stop = timer_stop,
        .timer_free = timer_free,
        .self = f,
    };
}

static struct fake_timer *next_timer(struct fake *f)
{
    struct fake_timer *next = NULL;

    for (struct fake_timer *t = f->timers; t != NULL; t = t->next)
        if (t->at_us != INT64_MAX && (next == NULL || t->at_us < next->at_us))
            next = t;
    return next;
}

static void turn_to(struct fake *f, int64_t at_us)
{
    if (at_us <= f->now.us)
        return;
    f->wall.us += at_us - f->now.us;
    f->now.us = at_us;
}

bool fake_next_timer(struct fake *f)
{
    struct fake_timer *t = next_timer(f);

    if (t == NULL)
        return false;
    turn_to(f, t->at_us);
    t->at_us = INT64_MAX;
    t->fn(t->self);
    return true;
}

void fake_advance(struct fake *f, int64_t us)
{
    int64_t end_us = f->now.us + us;

    for (struct fake_timer *t = next_timer(f); t != NULL && t->at_us <= end_us; t = next_timer(f))
        (void)fake_next_timer(f);
    turn_to(f, end_us);
}

/* ---- transport ---- */

static void transfer_free(struct transfer *t)
{
    for (struct transfer **at = &t->fake->transfers; *at != NULL; at = &(*at)->next) {
        if (*at == t) {
            *at = t->next;
            break;
        }
    }
    free(t->method);
    free(t->path);
    free(t->accept);
    free(t->content_type);
    free(t->body);
    free(t->headers);
    free(t);
}

static char *dup_or_null(const char *text)
{
    return text != NULL ? xstrdup(text) : NULL;
}

static struct transfer *start(void *self, const struct transport_request *r,
                              const struct transport_handler *handler)
{
    struct fake *f = self;
    struct transfer *t = xcalloc(1, sizeof *t);
    struct transfer **last = &f->transfers;
    struct strbuf headers;

    strbuf_init(&headers, 1 << 20);
    for (size_t i = 0; i < r->n_headers; i++)
        (void)strbuf_addf(&headers, "%s\n", r->headers[i]);
    *t = (struct transfer){
        .fake = f,
        .number = ++f->started,
        .method = xstrdup(r->method),
        .path = xstrdup(r->path),
        .accept = dup_or_null(r->accept),
        .content_type = dup_or_null(r->content_type),
        .body = sv_dup(r->body),
        .headers = xstrdup(strbuf_str(&headers)),
        .channel = r->channel,
        .timeout_us = r->timeout_us,
        .stream = r->stream,
        .handler = *handler,
    };
    strbuf_done(&headers);
    while (*last != NULL)
        last = &(*last)->next;
    *last = t;
    return t;
}

static void cancel(void *self UNUSED, struct transfer *t)
{
    cr_assert(!t->gone, "cancelled twice, or after its end");
    t->gone = true;
    if (!t->busy)
        transfer_free(t);
}

struct transport fake_transport(struct fake *f)
{
    return (struct transport){.start = start, .cancel = cancel, .self = f};
}

struct transfer *fake_pending(struct fake *f)
{
    for (struct transfer *t = f->transfers; t != NULL; t = t->next)
        if (!t->answering)
            return t;
    return NULL;
}

struct transfer *fake_newest(struct fake *f)
{
    struct transfer *t = f->transfers;

    while (t != NULL && t->next != NULL)
        t = t->next;
    return t;
}

size_t fake_count(const struct fake *f)
{
    size_t n = 0;

    for (const struct transfer *t = f->transfers; t != NULL; t = t->next)
        n++;
    return n;
}

static void finish(struct transfer *t, const struct err *err)
{
    t->busy = true;
    t->gone = true;
    t->handler.done(t->handler.self, err);
    transfer_free(t);
}

/* After a callback that said `ok`: is the transfer still there? */
static bool goes_on(struct transfer *t, bool ok, const struct err *err)
{
    t->busy = false;
    if (t->gone) {
        transfer_free(t);
        return false;
    }
    if (!ok)
        finish(t, err);
    return ok;
}

bool fake_head(struct transfer *t, int status, const char *content_type, int retry_after_s)
{
    struct transport_head head = {
        .status = status, .content_type = sv_from(content_type), .retry_after_s = retry_after_s};
    struct err err = {0};

    t->answering = true;
    t->busy = true;
    return goes_on(t, t->handler.head(t->handler.self, &head, &err), &err);
}

bool fake_bytes(struct transfer *t, struct sv bytes)
{
    struct sv rest = bytes;
    size_t piece = t->fake->piece != 0 ? t->fake->piece : rest.len;

    while (rest.len != 0) {
        struct sv now_bytes = {.at = rest.at, .len = rest.len < piece ? rest.len : piece};
        struct err err = {0};
        /* A copy on the heap, so that a reader beyond the end is caught. */
        char *copy = xmalloc(now_bytes.len);
        bool ok;

        memcpy(copy, now_bytes.at, now_bytes.len);
        t->busy = true;
        ok = t->handler.data(t->handler.self, (struct sv){.at = copy, .len = now_bytes.len}, &err);
        free(copy);
        if (!goes_on(t, ok, &err))
            return false;
        rest = sv_skip(rest, now_bytes.len);
    }
    return true;
}

bool fake_data(struct transfer *t, const char *bytes)
{
    return fake_bytes(t, sv_from(bytes));
}

void fake_end(struct transfer *t)
{
    finish(t, NULL);
}

void fake_break(struct transfer *t)
{
    struct err err = {0};

    (void)err_set(&err, ERR_NETWORK, 7, "connection refused");
    finish(t, &err);
}

void fake_reply(struct transfer *t, int status, const char *content_type, int retry_after_s,
                const char *body)
{
    if (fake_head(t, status, content_type, retry_after_s) && fake_data(t, body))
        fake_end(t);
}

void fake_json(struct transfer *t, int status, const char *body)
{
    fake_reply(t, status, "application/json", -1, body);
}
