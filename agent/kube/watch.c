#include "agent/kube/watch.h"

#include <stdio.h>
#include <string.h>

#include "agent/kube/frame.h"
#include "base/alloc.h"
#include "base/num.h"

/* Back-off of the reference client (client-go, reflector.go). */
#define BACKOFF_FIRST_US  (800 * US_PER_MS)
#define BACKOFF_MAX_US    (30 * US_PER_S)
#define BACKOFF_RESET_US  (120 * US_PER_S)
#define FORBIDDEN_WAIT_US (30 * US_PER_S)
#define TOO_LARGE_WAIT_US (1 * US_PER_S)
#define RETRY_AFTER_MAX_S 300
/* What is ordinary once is a server in trouble when it happens again so soon: servers that are replaced one by one take longer. */
#define AGAIN_US (10 * US_PER_S)
/* A stream that ends sooner is a server in trouble rather than a timeout: at once without an event, else the second time. */
#define STREAM_SHORT_US (1 * US_PER_S)
/*
 * A server that has just started refuses everybody until it has read its roles: the first refusals are answered by the
 * ordinary back-off. Only from this many in a row on is it taken for a right that is missing.
 */
enum { FORBIDDEN_FOR_GOOD = 4 };
/* How often a stream may fail with an error of the server's before a list is tried instead. */
enum { STREAM_FAILURES = 3 };
/* How often a page behind the first may fail so before the list is begun anew: its token may be what does not please. */
enum { PAGE_FAILURES = 3 };
/* How often the initial events may break off in the middle before pages, which are resumed, do it. */
enum { INITIAL_FAILURES = 3 };
/* The server ends a stream after a random time in this range, as client-go asks. */
enum { STREAM_MIN_S = 300, STREAM_MAX_S = 600 };

enum { MAX_PATH = 64 << 10 };

static const char *const state_names[] = {
    [WATCH_OFF] = "off",
    [WATCH_LIST] = "list",
    [WATCH_INITIAL] = "initial",
    [WATCH_STREAM] = "stream",
    [WATCH_PROBE] = "probe",
    [WATCH_LIST_LATER] = "list-later",
    [WATCH_STREAM_LATER] = "stream-later",
};
_Static_assert(COUNT_OF(state_names) == WATCH_STATE_COUNT_, "a state has no name");

const char *watch_state_name(enum watch_state state)
{
    return state_names[state];
}

/* What can happen. */
enum input {
    IN_START,
    IN_STOP,
    IN_TIMER,     /* the wait is over; of a stream or probe: silence */
    IN_PAGE,      /* a page of a list is complete, more follow */
    IN_COMPLETE,  /* the answer is complete: the last page, the stream's end, the probe */
    IN_MARKED,    /* the stream has told all that there was, and goes on with what changes */
    IN_REFUSED,   /* the server has no initial events */
    IN_MUTE,      /* the stream brings bytes and tells nothing */
    IN_GONE,      /* the version or the list's token is too old */
    IN_TOO_LARGE, /* the server is behind */
    IN_TOLD_TO_WAIT,
    IN_FORBIDDEN,
    IN_NOT_ACCEPTABLE, /* the server has no such format */
    IN_FAILED,         /* anything else */
};

/* What the driver should do after a move. */
enum action {
    DO_NOTHING,
    DO_CANCEL,
    DO_LIST_FIRST,
    DO_LIST_NEXT,
    DO_INITIAL,
    DO_FOLLOW, /* what is under way goes on as a stream */
    DO_STREAM,
    DO_PROBE,
    DO_WAIT
};

struct move {
    enum action action;
    int64_t wait_us; /* DO_WAIT */
    bool synced;     /* tell the handler first */
};

struct watch {
    struct client *client;
    struct timers timers;
    struct watch_handler handler;
    const char *path;
    const char *list_kind;
    struct strbuf selector; /* encoded */
    bool batched;
    bool asks_initial; /* initial events rather than pages, where the server has them */
    uint64_t random;
    int64_t silent_us; /* silence after which a stream is probed */

    enum watch_state state;
    struct watch_stats stats;
    char version[WATCH_MAX_VERSION];
    bool anew;           /* the next list is not to go by `version` */
    struct strbuf token; /* continue; empty: the list's first page */
    bool listed;         /* a list was begun before */
    bool json_only;      /* no protobuf from this server */
    struct mono json_only_at;
    bool refused; /* no initial events from this server */
    struct mono refused_at;
    uint32_t failures;         /* in a row: power of the back-off */
    uint32_t stream_failures;  /* streams in a row that the server broke */
    uint32_t initial_failures; /* initial events in a row that broke off */
    uint32_t page_failures;    /* of one page, by the server */
    uint32_t too_large;        /* tries in a row */
    uint32_t forbidden;        /* 403s since anything was last granted */
    uint32_t pages;            /* of the list under way */
    struct mono failed_at;
    struct mono gone_at;   /* when a list was last begun anew because of a 410; 0: never */
    struct mono short_at;  /* when a stream last ended soon behind an event; 0: never */
    struct mono begun_at;  /* of the request under way */
    struct mono fed_at;    /* when bytes last came */
    uint64_t heard_events; /* from this stream, bookmarks included, initial events not */
    bool told;             /* an initial event came */
    bool live;             /* one among them that was a change */
    bool unmarked;         /* a bookmark came instead of the mark */
    struct mono told_at;   /* when a stream last told something, or a list was complete */
    bool moved_on;         /* the probe found a version that we were not told of */

    struct client_call *call;
    struct frame *frame;
    struct decoder decoder; /* of metadata and Status */
    struct resource_names names;
    struct client_problem stream_error; /* an ERROR event; err.kind ERR_NONE: none */
    void *timer;
};

/* ---- time and chance ---- */

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t random_next(struct watch *w)
{
    uint64_t z = w->random += 0x9e3779b97f4a7c15ULL;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

static int64_t random_below(struct watch *w, int64_t limit)
{
    return (int64_t)(random_next(w) % (uint64_t)limit);
}

static struct mono now(const struct watch *w)
{
    return w->timers.now(w->timers.self);
}

/* The back-off after so many failures before this one. */
static int64_t doubled(struct watch *w, uint32_t failures)
{
    int64_t us = BACKOFF_FIRST_US;

    for (uint32_t i = 0; i < failures && us < BACKOFF_MAX_US; i++)
        us *= 2;
    if (us > BACKOFF_MAX_US)
        us = BACKOFF_MAX_US;
    return us + random_below(w, us + 1);
}

static int64_t backoff(struct watch *w)
{
    if (w->failures != 0 && mono_since_us(w->failed_at, now(w)) >= BACKOFF_RESET_US)
        w->failures = 0;
    w->failed_at = now(w);
    return doubled(w, w->failures++);
}

static int64_t wait_if_again(struct watch *w, struct mono *last)
{
    bool again = last->us != 0 && mono_since_us(*last, now(w)) < AGAIN_US;

    *last = now(w);
    return again ? backoff(w) : 0;
}

/* From 0.8 s on whatever failed before: the server is there again. */
static int64_t forbidden_wait(struct watch *w)
{
    return ++w->forbidden < FORBIDDEN_FOR_GOOD ? doubled(w, w->forbidden - 1) : FORBIDDEN_WAIT_US;
}

static int64_t told_us(int retry_after_s, int64_t otherwise_us)
{
    if (retry_after_s <= 0)
        return otherwise_us;
    return (retry_after_s < RETRY_AFTER_MAX_S ? retry_after_s : RETRY_AFTER_MAX_S) * US_PER_S;
}

/* ---- the one function that makes every move ---- */

/* Nothing came since a server refused something. */
static bool absent(const struct watch *w, struct mono refused_at)
{
    struct mono last = {.us = max_i64(w->stats.heard.us, refused_at.us)};

    return mono_since_us(last, now(w)) >= WATCH_ABSENCE_US;
}

/* Who answers next may be another one. */
static void forget_refusals(struct watch *w)
{
    if (w->refused && absent(w, w->refused_at))
        w->refused = false;
    if (w->json_only && absent(w, w->json_only_at))
        w->json_only = false;
}

static void give_up_initial(struct watch *w)
{
    w->refused = true;
    w->refused_at = now(w);
    w->initial_failures = 0;
    w->stats.refused++;
}

static void forget_pages(struct watch *w)
{
    strbuf_clear(&w->token);
    w->page_failures = 0;
}

/* A list from its beginning, or, where it has got somewhere, its next page. */
static struct move list(struct watch *w)
{
    bool resumes = w->token.len != 0;

    forget_refusals(w);
    if (!resumes && w->asks_initial && !w->refused && !w->json_only) {
        w->state = WATCH_INITIAL;
        return (struct move){.action = DO_INITIAL};
    }
    w->state = WATCH_LIST;
    return (struct move){.action = resumes ? DO_LIST_NEXT : DO_LIST_FIRST};
}

static struct move list_anew(struct watch *w, int64_t wait_us)
{
    w->anew = true;
    forget_pages(w);
    w->too_large = 0;
    w->stream_failures = 0;
    if (wait_us <= 0)
        return list(w);
    w->state = WATCH_LIST_LATER;
    return (struct move){.action = DO_WAIT, .wait_us = wait_us};
}

static bool lists(const struct watch *w)
{
    return w->state == WATCH_LIST || w->state == WATCH_INITIAL;
}

/* Goes on later with what was under way. */
static struct move later(struct watch *w, int64_t wait_us)
{
    w->state = lists(w) ? WATCH_LIST_LATER : WATCH_STREAM_LATER;
    return (struct move){.action = DO_WAIT, .wait_us = wait_us};
}

static struct move stream(struct watch *w)
{
    forget_refusals(w);
    w->state = WATCH_STREAM;
    return (struct move){.action = DO_STREAM};
}

static struct move timer_fired(struct watch *w)
{
    switch (w->state) {
    case WATCH_LIST_LATER:
        return list(w);
    case WATCH_STREAM_LATER:
        return stream(w);
    case WATCH_STREAM:
        w->state = WATCH_PROBE;
        return (struct move){.action = DO_PROBE};
    case WATCH_OFF:
    case WATCH_LIST:
    case WATCH_INITIAL:
    case WATCH_PROBE:
    case WATCH_STATE_COUNT_:
        break;
    }
    return (struct move){.action = DO_NOTHING};
}

/* How long to wait for the next one behind a stream that has ended in peace. */
static int64_t wait_after_stream(struct watch *w)
{
    if (mono_since_us(w->begun_at, now(w)) >= STREAM_SHORT_US)
        return 0;
    return w->heard_events == 0 ? backoff(w) : wait_if_again(w, &w->short_at);
}

/* The probe says that there was more, and no stream has told of anything for long: streams cannot be relied on. */
static bool unproven(const struct watch *w)
{
    return w->state == WATCH_PROBE && w->moved_on &&
           mono_since_us(w->told_at, now(w)) >= WATCH_UNPROVEN_US;
}

static struct move completed(struct watch *w)
{
    bool was_list = w->state == WATCH_LIST;
    struct move m;

    w->too_large = w->page_failures = 0;
    if (w->state == WATCH_STREAM) {
        int64_t wait_us = wait_after_stream(w);

        if (wait_us != 0)
            return later(w, wait_us);
        w->stream_failures = 0;
    }
    if (unproven(w)) {
        strbuf_clear(&w->token);
        return list(w);
    }
    m = stream(w);
    m.synced = was_list;
    return m;
}

static struct move marked(struct watch *w)
{
    w->state = WATCH_STREAM;
    w->too_large = 0;
    w->initial_failures = 0;
    return (struct move){.action = DO_FOLLOW, .synced = true};
}

static struct move refuse(struct watch *w)
{
    give_up_initial(w);
    return list(w);
}

/* A list that must not be older than what is known. */
static struct move list_later(struct watch *w, int64_t wait_us)
{
    forget_pages(w);
    w->state = WATCH_LIST_LATER;
    return (struct move){.action = DO_WAIT, .wait_us = wait_us};
}

/* A stream that the server breaks again and again: a list may do better. It must not be older than what is known.
 * Likewise a page: the list's beginning may. */
static struct move failed(struct watch *w, const struct client_problem *problem)
{
    bool reached = problem->err.kind != ERR_NETWORK && problem->err.kind != ERR_AUTH;
    bool broke_off = w->state == WATCH_INITIAL && w->frame != NULL;
    bool paged = w->state == WATCH_LIST && w->token.len != 0;
    struct move m = later(w, backoff(w));

    if (paged && reached && ++w->page_failures >= PAGE_FAILURES)
        forget_pages(w);
    if (broke_off && ++w->initial_failures >= INITIAL_FAILURES)
        give_up_initial(w);
    if (w->state == WATCH_STREAM_LATER && reached && ++w->stream_failures >= STREAM_FAILURES) {
        w->stream_failures = 0;
        strbuf_clear(&w->token);
        w->state = WATCH_LIST_LATER;
    }
    return m;
}

/* Only a list tells when the server has caught up: a stream would just be silent. */
static struct move too_large(struct watch *w, int64_t wait_us)
{
    if (++w->too_large > WATCH_TOO_LARGE_TRIES)
        return list_anew(w, wait_us);
    strbuf_clear(&w->token);
    w->state = WATCH_LIST;
    return later(w, wait_us);
}

static struct move step(struct watch *w, enum input in, const struct client_problem *problem)
{
    int retry_after_s = problem != NULL ? problem->retry_after_s : -1;

    if (in == IN_STOP) {
        w->state = WATCH_OFF;
        return (struct move){.action = DO_CANCEL};
    }
    switch (in) {
    case IN_START:
        return w->state == WATCH_OFF ? list_anew(w, 0) : (struct move){.action = DO_NOTHING};
    case IN_STOP:
        break;
    case IN_TIMER:
        return timer_fired(w);
    case IN_PAGE:
        w->page_failures = 0;
        return list(w);
    case IN_COMPLETE:
        return completed(w);
    case IN_MARKED:
        return marked(w);
    case IN_REFUSED:
        return refuse(w);
    case IN_MUTE:
        return list_later(w, backoff(w));
    case IN_GONE:
        return list_anew(w, wait_if_again(w, &w->gone_at));
    case IN_TOO_LARGE:
        return too_large(w, told_us(retry_after_s, TOO_LARGE_WAIT_US));
    case IN_TOLD_TO_WAIT:
        return later(w, told_us(retry_after_s, 0) > 0 ? told_us(retry_after_s, 0) : backoff(w));
    case IN_FORBIDDEN:
        return later(w, forbidden_wait(w));
    case IN_NOT_ACCEPTABLE:
        if (w->json_only)
            return failed(w, problem);
        w->json_only = true;
        w->json_only_at = now(w);
        return lists(w) ? list(w) : stream(w);
    case IN_FAILED:
        return failed(w, problem);
    }
    return (struct move){.action = DO_NOTHING};
}

/* ---- the driver ---- */

static void drive(struct watch *w, enum input in, const struct client_problem *problem);

/*
 * Are the initial events refused? The gate is off: 422. (Servers of 1.19 to 1.26, which do not know of it, refuse
 * resourceVersionMatch of a watch the same way.) etcd is too old: ERROR 500 at once. A bookmark without the mark comes from
 * who does not know of it and sends no error either.
 */
static bool refuses(const struct watch *w, const struct client_problem *p)
{
    if (w->state != WATCH_INITIAL)
        return false;
    if (w->unmarked || p->status == 400 || p->status == 422)
        return true;
    return p->status == 500 && w->stream_error.err.kind != ERR_NONE && !w->told;
}

static enum input input_of(const struct watch *w, const struct client_problem *p)
{
    if (refuses(w, p))
        return IN_REFUSED;
    /* A version or token that the server cannot read is as good as one that it has forgotten. */
    if (p->err.kind == ERR_GONE || p->status == 400 || p->status == 422)
        return IN_GONE;
    if (p->version_too_large)
        return IN_TOO_LARGE;
    if (p->err.kind == ERR_FORBIDDEN)
        return IN_FORBIDDEN;
    if (p->status == 406 || p->status == 415)
        return IN_NOT_ACCEPTABLE;
    if (p->err.kind == ERR_THROTTLED || (p->err.kind == ERR_SERVER && p->retry_after_s > 0))
        return IN_TOLD_TO_WAIT;
    return IN_FAILED;
}

/* An answer's head, an object, an event or a bookmark: mere bytes are none of them. */
static void heard(struct watch *w)
{
    w->stats.heard = now(w);
    if (w->state == WATCH_STREAM)
        w->timers.timer_set(w->timer, w->silent_us);
    else if (w->state == WATCH_INITIAL && !w->live)
        w->timers.timer_set(w->timer, WATCH_MARK_US);
}

/* Text of any form, but of a size that fits into a query; etcd's are 20 digits at most. */
static bool is_version(const struct watch *w, struct sv version)
{
    return version.len != 0 && version.len < sizeof w->version &&
           memchr(version.at, '\0', version.len) == NULL;
}

static void set_version(struct watch *w, struct sv version)
{
    if (!is_version(w, version))
        return;
    memcpy(w->version, version.at, version.len);
    w->version[version.len] = '\0';
    w->anew = false;
}

static void hand_over(struct watch *w, enum watch_change change, enum decode_format format,
                      struct sv object)
{
    struct err err = {0};

    if (w->handler.object(w->handler.self, change, format, object, &err))
        return;
    w->stats.broken++;
    w->handler.trouble(w->handler.self, &err);
}

/* Reasons count where somebody in between left out the code. */
static enum err_kind kind_of_error(const struct api_status *status)
{
    if (status->code == 410 || (status->code == 0 && (sv_eq(status->reason, SV("Expired")) ||
                                                      sv_eq(status->reason, SV("Gone")))))
        return ERR_GONE;
    return status->code == 429 ? ERR_THROTTLED : ERR_SERVER;
}

/* An ERROR event ends the stream; what it says is treated as if it had been the answer. */
static bool take_error(struct watch *w, enum decode_format format, struct sv object,
                       struct err *err)
{
    struct api_status status = {0};
    struct client_problem *p = &w->stream_error;
    char code[16] = "an error";

    *p = (struct client_problem){.retry_after_s = -1};
    if (!decode_status(&w->decoder, format, object, &status, err)) {
        p->err = *err;
        return false;
    }
    p->status = status.code;
    if (status.retry_after_s > 0)
        p->retry_after_s = status.retry_after_s;
    p->version_too_large = sv_eq(status.cause, SV("ResourceVersionTooLarge"));
    p->err.kind = kind_of_error(&status);
    if (status.code != 0)
        (void)snprintf(code, sizeof code, "%d", status.code);
    (void)err_set(
        &p->err, p->err.kind, status.code, "watch %s: the stream ended with %s%s%.*s%s%.*s",
        w->path, code, status.reason.len != 0 ? " " : "",
        (int)(status.reason.len < 40 ? status.reason.len : 40), status.reason.at,
        status.message.len != 0 ? ": " : "",
        (int)(status.message.len < sizeof p->err.text ? status.message.len : sizeof p->err.text),
        status.message.at);
    *err = p->err;
    return false;
}

static void stream_told(struct watch *w)
{
    w->heard_events++;
    w->told_at = now(w);
}

static void take_change(struct watch *w, enum frame_event event, enum decode_format format,
                        struct sv object)
{
    enum watch_change change = event == FRAME_DELETED ? WATCH_DELETE : WATCH_UPSERT;
    struct sv version;

    if (w->state == WATCH_INITIAL) {
        /* In no order: none of their versions is one to go on from. */
        w->told = true;
        w->live |= event != FRAME_ADDED;
        hand_over(w, change, format, object);
        return;
    }
    w->stats.events++;
    stream_told(w);
    hand_over(w, change, format, object);
    /* Without a version of its own the stream goes on; resuming then begins a little earlier. */
    if (decode_version(&w->decoder, format, object, &version, NULL))
        set_version(w, version);
}

/* The bookmark behind the initial events. */
static bool take_mark(struct watch *w, const struct object_meta *meta, struct err *err)
{
    w->unmarked = !meta->initial_events_end;
    if (w->unmarked)
        return err_set(err, ERR_PROTOCOL, 0, "%s: a bookmark among the initial events", w->path);
    if (!is_version(w, meta->resource_version))
        return err_set(err, ERR_PROTOCOL, 0, "%s: the initial events have no resourceVersion",
                       w->path);
    set_version(w, meta->resource_version);
    drive(w, IN_MARKED, NULL);
    return true;
}

static bool take_bookmark(struct watch *w, enum decode_format format, struct sv object,
                          struct err *err)
{
    struct object_meta meta;
    struct err broken = {0};

    if (!decode_meta(&w->decoder, format, object, &meta, &broken)) {
        w->stats.broken++;
        w->handler.trouble(w->handler.self, &broken);
        return true;
    }
    if (w->state == WATCH_INITIAL)
        return take_mark(w, &meta, err);
    stream_told(w);
    set_version(w, meta.resource_version);
    return true;
}

static bool check_kind(const struct watch *w, struct err *err)
{
    return frame_check_kind(w->frame, w->list_kind, err) || err_wrap(err, "%s", w->path);
}

static bool on_object(void *self, enum frame_event event, enum decode_format format,
                      struct sv object, struct err *err)
{
    struct watch *w = self;

    if (w->state == WATCH_PROBE)
        return true;
    if (event != FRAME_OTHER)
        heard(w);
    switch (event) {
    case FRAME_ITEM:
        /* Some write the kind behind the items: then the end tells. */
        if (frame_kind(w->frame).len != 0 && !check_kind(w, err))
            return false;
        hand_over(w, WATCH_UPSERT, format, object);
        break;
    case FRAME_ADDED:
    case FRAME_MODIFIED:
    case FRAME_DELETED:
        take_change(w, event, format, object);
        break;
    case FRAME_BOOKMARK:
        if (!take_bookmark(w, format, object, err))
            return false;
        break;
    case FRAME_ERROR:
        return take_error(w, format, object, err);
    case FRAME_OTHER:
    case FRAME_EVENT_COUNT_:
        break;
    }
    /* The handler may have stopped us. */
    return w->state != WATCH_OFF || err_set(err, ERR_NONE, 0, "stopped");
}

static bool on_head(void *self, enum decode_format format, struct err *err UNUSED)
{
    struct watch *w = self;
    struct frame_handler handler = {.object = on_object, .self = w};

    heard(w);
    w->forbidden = 0;
    w->stats.connected = w->state == WATCH_STREAM;
    frame_free(w->frame);
    w->frame = frame_new(w->state == WATCH_STREAM || w->state == WATCH_INITIAL, format, &handler);
    return true;
}

static bool on_data(void *self, struct sv bytes, struct err *err)
{
    struct watch *w = self;

    w->fed_at = now(w);
    return frame_push(w->frame, bytes, err);
}

/* Pages may be empty (a server may give fewer objects than it was asked for), but lead on. False: the list has to begin anew. */
static bool take_token(struct watch *w, struct sv token, struct err *err)
{
    bool repeats = token.len != 0 && sv_eq(token, strbuf_sv(&w->token));

    strbuf_clear(&w->token);
    if (repeats)
        return err_set(err, ERR_PROTOCOL, 0, "%s: the list goes on with the page that it just gave",
                       w->path);
    if (token.len != 0 && ++w->pages >= WATCH_MAX_PAGES)
        return err_set(err, ERR_LIMIT, 0, "%s: the list has more than %d pages", w->path,
                       WATCH_MAX_PAGES);
    return strbuf_add(&w->token, token) ||
           err_set(err, ERR_LIMIT, 0, "%s: the list's continue token is longer than %d bytes",
                   w->path, WATCH_MAX_CONTINUE);
}

/* The answer is whole: what does it mean? False: it broke off inside an object. */
static bool finish(struct watch *w, enum input *ret_in, struct err *err)
{
    *ret_in = IN_COMPLETE;
    if (w->frame == NULL)
        return err_set(err, ERR_PROTOCOL, 0, "%s: the answer is empty", w->path);
    if (!frame_end(w->frame, err))
        return err_wrap(err, "%s", w->path);
    if (w->state == WATCH_INITIAL)
        return err_set(err, ERR_PROTOCOL, 0, "%s: the initial events have no end", w->path);
    if (w->state == WATCH_STREAM)
        return true;
    if (!check_kind(w, err))
        return false;

    struct sv version = frame_resource_version(w->frame);
    struct sv token = frame_continue(w->frame);

    if (w->state == WATCH_PROBE) {
        w->moved_on = is_version(w, version) && !sv_eq(version, sv_from(w->version));
        return true;
    }

    if (!is_version(w, version))
        return err_set(err, ERR_PROTOCOL, 0, "%s: the list has no resourceVersion", w->path);
    set_version(w, version);
    *ret_in = token.len != 0 ? IN_PAGE : IN_COMPLETE;
    return take_token(w, token, err);
}

/* False: the handler has stopped us. */
static bool report(struct watch *w, const struct err *err)
{
    w->stats.errors++;
    w->handler.trouble(w->handler.self, err);
    return w->state != WATCH_OFF;
}

static void on_done(void *self, const struct client_problem *problem)
{
    struct watch *w = self;
    struct client_problem p = {.retry_after_s = -1};
    enum input in;

    w->call = NULL;
    w->stats.connected = false;
    if (problem == NULL && finish(w, &in, &p.err)) {
        /* Complete. */
    } else {
        if (problem != NULL)
            p = w->stream_error.err.kind != ERR_NONE ? w->stream_error : *problem;
        in = input_of(w, &p);
        if (in != IN_REFUSED && !report(w, &p.err))
            return;
    }
    drive(w, in, &p);
}

static void request(struct watch *w, const char *path)
{
    bool endless = w->state == WATCH_STREAM || w->state == WATCH_INITIAL;
    struct client_handler handler = {.head = on_head, .data = on_data, .done = on_done, .self = w};

    w->heard_events = 0;
    w->told = w->live = w->unmarked = false;
    w->stream_error = (struct client_problem){0};
    frame_free(w->frame);
    w->frame = NULL;
    w->begun_at = now(w);
    w->call = client_start(
        w->client,
        &(struct client_request){
            .method = "GET",
            .path = path,
            .accept = w->json_only ? CLIENT_JSON : CLIENT_PROTOBUF,
            .channel = CHANNEL_WATCH,
            /* Pages have no limit of size but the server's, and so go as streams with an end. */
            .stream = true,
            .batched = w->batched && endless,
            .timeout_us = endless ? 0 : CLIENT_TIMEOUT_US,
        },
        &handler);
}

static void add_selector(const struct watch *w, struct strbuf *path)
{
    if (w->selector.len != 0)
        (void)strbuf_addf(path, "&fieldSelector=%s", strbuf_str(&w->selector));
}

static int page_of(const struct watch *w)
{
    return w->json_only ? WATCH_PAGE_JSON : WATCH_PAGE;
}

/* What a list or stream goes by; "": by nothing. */
static const char *from_version(const struct watch *w)
{
    return w->anew ? "" : w->version;
}

/* Without a version: consistent. With one (the stream broke, the history did not): not older than that. */
static void start_list(struct watch *w, int limit)
{
    struct strbuf path;

    strbuf_init(&path, MAX_PATH);
    (void)strbuf_addf(&path, "%s?limit=%d", w->path, limit);
    add_selector(w, &path);
    if (w->state == WATCH_LIST && w->token.len != 0) {
        (void)strbuf_addf(&path, "&continue=");
        client_escape(&path, strbuf_sv(&w->token));
    } else if (from_version(w)[0] != '\0') {
        (void)strbuf_addf(&path, "&resourceVersionMatch=NotOlderThan&resourceVersion=");
        client_escape(&path, sv_from(from_version(w)));
    }
    request(w, strbuf_str(&path));
    strbuf_done(&path);
}

static void start_stream(struct watch *w)
{
    int64_t timeout_s = STREAM_MIN_S + random_below(w, STREAM_MAX_S - STREAM_MIN_S + 1);
    struct strbuf path;

    strbuf_init(&path, MAX_PATH);
    (void)strbuf_addf(&path, "%s?watch=1&allowWatchBookmarks=true&timeoutSeconds=%lld", w->path,
                      (long long)timeout_s);
    add_selector(w, &path);
    /* Without a version the initial events are as consistent as a list without one. */
    if (w->state == WATCH_INITIAL)
        (void)strbuf_addf(&path, "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
    (void)strbuf_addf(&path, "&resourceVersion=");
    client_escape(&path, sv_from(from_version(w)));
    request(w, strbuf_str(&path));
    strbuf_done(&path);
    w->timers.timer_set(w->timer, WATCH_SILENT_US);
}

static void cancel(struct watch *w)
{
    client_cancel(w->call);
    w->call = NULL;
    w->stats.connected = false;
    w->timers.timer_stop(w->timer);
}

/* Another beginning of the same list, for that the server refused the first one, is no relist. False: we were stopped. */
static bool begin(struct watch *w, bool refused)
{
    if (w->listed && !refused)
        w->stats.relists++;
    w->listed = true;
    w->pages = 0;
    w->stats.listing = true;
    w->handler.begin(w->handler.self);
    return lists(w);
}

static void drive(struct watch *w, enum input in, const struct client_problem *problem)
{
    struct move m = step(w, in, problem);

    if (m.synced) {
        w->stats.synced = true;
        w->stats.listing = false;
        w->told_at = now(w);
        w->stream_failures = 0;
        w->handler.synced(w->handler.self);
        if (w->state == WATCH_OFF)
            return;
    }
    if (m.action == DO_NOTHING)
        return;
    if (m.action != DO_FOLLOW)
        cancel(w);
    switch (m.action) {
    case DO_NOTHING:
    case DO_CANCEL:
        break;
    case DO_LIST_FIRST:
        if (begin(w, in == IN_REFUSED))
            start_list(w, page_of(w));
        break;
    case DO_LIST_NEXT:
        start_list(w, page_of(w));
        break;
    case DO_INITIAL:
        if (begin(w, false))
            start_stream(w);
        break;
    case DO_FOLLOW:
        w->stats.connected = true;
        w->timers.timer_set(w->timer, w->silent_us);
        break;
    case DO_STREAM:
        start_stream(w);
        break;
    case DO_PROBE:
        start_list(w, 1);
        break;
    case DO_WAIT:
        w->timers.timer_set(w->timer, m.wait_us);
        break;
    }
}

/* Initial events that have not even begun, or have no end that anybody marks. */
static void initial_silent(struct watch *w)
{
    struct client_problem p = {.retry_after_s = -1};

    if (w->frame != NULL) {
        drive(w, IN_REFUSED, NULL);
        return;
    }
    (void)err_set(&p.err, ERR_NETWORK, 0, "%s: no answer in %lld s", w->path,
                  (long long)(WATCH_SILENT_US / US_PER_S));
    if (report(w, &p.err))
        drive(w, IN_FAILED, &p);
}

/* Bytes went on after the last word: who has nothing to say sends none. One blank behind an event may come late. */
static bool trickles(const struct watch *w)
{
    return w->stats.connected && mono_since_us(w->stats.heard, w->fed_at) > w->silent_us / 2;
}

static void stream_mute(struct watch *w)
{
    struct err err = {0};

    (void)err_set(&err, ERR_PROTOCOL, 0, "watch %s: bytes, but nothing told in %lld s", w->path,
                  (long long)(w->silent_us / US_PER_S));
    if (report(w, &err))
        drive(w, IN_MUTE, NULL);
}

static void on_timer(void *self)
{
    struct watch *w = self;

    if (w->state == WATCH_INITIAL)
        initial_silent(w);
    else if (trickles(w))
        stream_mute(w);
    else
        drive(w, IN_TIMER, NULL);
}

/* ---- public ---- */

struct watch *watch_new(struct client *client, const struct watch_options *options,
                        const struct watch_handler *handler)
{
    struct watch *w = xcalloc(1, sizeof *w);

    *w = (struct watch){
        .client = client,
        .timers = *client_timers(client),
        .handler = *handler,
        .path = options->path,
        .list_kind = options->list_kind,
        .batched = options->batched,
        .asks_initial = options->initial_events,
        .random = options->seed,
        .silent_us = WATCH_SILENT_US,
    };
    strbuf_init(&w->selector, MAX_PATH / 2);
    if (options->field_selector != NULL)
        client_escape(&w->selector, sv_from(options->field_selector));
    strbuf_init(&w->token, WATCH_MAX_CONTINUE);
    resource_names_init(&w->names);
    decoder_init(&w->decoder, &w->names, &(struct podreq_rules){0});
    w->timer = w->timers.timer_new(w->timers.self, on_timer, w);
    return w;
}

void watch_free(struct watch *w)
{
    if (w == NULL)
        return;
    client_cancel(w->call);
    w->timers.timer_free(w->timer);
    frame_free(w->frame);
    decoder_done(&w->decoder);
    resource_names_done(&w->names);
    strbuf_done(&w->token);
    strbuf_done(&w->selector);
    free(w);
}

void watch_set_silence(struct watch *w, int64_t us)
{
    int64_t before = w->silent_us;

    w->silent_us = max_i64(min_i64(us, WATCH_SILENT_US), WATCH_SILENT_MIN_US);
    if (w->silent_us != before && w->stats.connected)
        w->timers.timer_set(w->timer,
                            max_i64(w->silent_us - mono_since_us(w->stats.heard, now(w)), 0));
}

int64_t watch_silence(const struct watch *w)
{
    return w->silent_us;
}

void watch_start(struct watch *w)
{
    drive(w, IN_START, NULL);
}

void watch_stop(struct watch *w)
{
    drive(w, IN_STOP, NULL);
}

enum watch_state watch_state(const struct watch *w)
{
    return w->state;
}

const struct watch_stats *watch_stats(const struct watch *w)
{
    return &w->stats;
}

const char *watch_version(const struct watch *w)
{
    return w->version;
}
