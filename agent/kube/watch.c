#include "agent/kube/watch.h"

#include <stdio.h>
#include <string.h>

#include "agent/kube/frame.h"
#include "base/alloc.h"
#include "base/num.h"

/* The server ends a stream after a random time in this range, as client-go asks. */
enum { STREAM_MIN_S = 300, STREAM_MAX_S = 600 };

enum { MAX_PATH = 64 << 10 };

struct watch {
    struct client *client;
    struct timers timers;
    struct watch_handler handler;
    const char *path;
    const char *list_kind;
    struct strbuf selector; /* encoded */
    bool batched;
    int64_t silent_us; /* silence after which a stream is probed */

    struct watch_step step;
    struct watch_stats stats;
    char version[WATCH_MAX_VERSION];
    struct strbuf token; /* continue; empty: the list's first page */
    bool listed;         /* a list was begun before */
    uint32_t pages;      /* of the list under way */
    struct mono fed_at;  /* when bytes last came */
    bool told;           /* an initial event came */
    bool live;           /* one among them that was a change */
    bool unmarked;       /* a bookmark came instead of the mark */

    struct client_call *call;
    struct frame *frame;
    struct decoder decoder; /* of metadata and Status */
    struct resource_names names;
    bool json;                          /* the last answer's form */
    struct client_problem stream_error; /* an ERROR event; err.kind ERR_NONE: none */
    void *timer;
};

static struct mono now(const struct watch *w)
{
    return w->timers.now(w->timers.self);
}

static void drive(struct watch *w, enum watch_input in, const struct client_problem *problem);

/*
 * Are the initial events refused? The gate is off: 422. (Servers of 1.19 to 1.26, which do not know of it, refuse
 * resourceVersionMatch of a watch the same way.) etcd is too old: ERROR 500 at once. A bookmark without the mark comes from
 * who does not know of it and sends no error either.
 */
static bool refuses(const struct watch *w, const struct client_problem *p)
{
    if (w->step.state != WATCH_INITIAL)
        return false;
    if (w->unmarked || p->status == 400 || p->status == 422)
        return true;
    return p->status == 500 && w->stream_error.err.kind != ERR_NONE && !w->told;
}

static enum watch_input input_of(const struct watch *w, const struct client_problem *p)
{
    if (refuses(w, p))
        return WATCH_IN_REFUSED;
    /* A version or token that the server cannot read is as good as one that it has forgotten. */
    if (p->err.kind == ERR_GONE || p->status == 400 || p->status == 422)
        return WATCH_IN_GONE;
    if (p->version_too_large)
        return WATCH_IN_TOO_LARGE;
    if (p->err.kind == ERR_FORBIDDEN)
        return WATCH_IN_FORBIDDEN;
    if (p->status == 406 || p->status == 415)
        return WATCH_IN_NOT_ACCEPTABLE;
    if (p->err.kind == ERR_THROTTLED || (p->err.kind == ERR_SERVER && p->retry_after_s > 0))
        return WATCH_IN_TOLD_TO_WAIT;
    return WATCH_IN_FAILED;
}

/* After what silence is the stream under way probed? */
static int64_t silence(const struct watch *w)
{
    return w->step.doubted ? min_i64(w->silent_us, WATCH_DOUBT_US) : w->silent_us;
}

/* An answer's head, an object, an event or a bookmark: mere bytes are none of them. */
static void heard(struct watch *w)
{
    w->stats.heard = now(w);
    if (w->step.state == WATCH_STREAM)
        w->timers.timer_set(w->timer, silence(w));
    else if (w->step.state == WATCH_INITIAL && !w->live)
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
    w->step.anew = false;
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
    w->step.heard_events++;
    w->step.told = now(w);
}

static void take_change(struct watch *w, enum frame_event event, enum decode_format format,
                        struct sv object)
{
    enum watch_change change = event == FRAME_DELETED ? WATCH_DELETE : WATCH_UPSERT;
    struct sv version;

    if (w->step.state == WATCH_INITIAL) {
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
    drive(w, WATCH_IN_MARKED, NULL);
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
    if (w->step.state == WATCH_INITIAL)
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

    if (w->step.state == WATCH_PROBE)
        return true;
    if (event != FRAME_OTHER) {
        w->step.doubted = false;
        heard(w);
    }
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
    return w->step.state != WATCH_OFF || err_set(err, ERR_NONE, 0, "stopped");
}

static bool on_head(void *self, enum decode_format format, struct err *err UNUSED)
{
    struct watch *w = self;
    struct frame_handler handler = {.object = on_object, .self = w};

    heard(w);
    w->json = format == DECODE_JSON;
    w->step.forbidden = 0;
    w->stats.connected = w->step.state == WATCH_STREAM;
    frame_free(w->frame);
    w->frame = frame_new(w->step.state == WATCH_STREAM || w->step.state == WATCH_INITIAL, format,
                         &handler);
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
static bool finish(struct watch *w, enum watch_input *ret_in, struct err *err)
{
    *ret_in = WATCH_IN_COMPLETE;
    if (w->frame == NULL)
        return err_set(err, ERR_PROTOCOL, 0, "%s: the answer is empty", w->path);
    if (!frame_end(w->frame, err))
        return err_wrap(err, "%s", w->path);
    if (w->step.state == WATCH_INITIAL)
        return err_set(err, ERR_PROTOCOL, 0, "%s: the initial events have no end", w->path);
    if (w->step.state == WATCH_STREAM)
        return true;
    if (!check_kind(w, err))
        return false;

    struct sv version = frame_resource_version(w->frame);
    struct sv token = frame_continue(w->frame);

    if (w->step.state == WATCH_PROBE) {
        w->step.moved_on = is_version(w, version) && !sv_eq(version, sv_from(w->version));
        return true;
    }

    if (!is_version(w, version))
        return err_set(err, ERR_PROTOCOL, 0, "%s: the list has no resourceVersion", w->path);
    set_version(w, version);
    *ret_in = token.len != 0 ? WATCH_IN_PAGE : WATCH_IN_COMPLETE;
    return take_token(w, token, err);
}

/* False: the handler has stopped us. */
static bool report(struct watch *w, const struct err *err)
{
    w->stats.errors++;
    w->handler.trouble(w->handler.self, err);
    return w->step.state != WATCH_OFF;
}

static void on_done(void *self, const struct client_problem *problem)
{
    struct watch *w = self;
    struct client_problem p = {.retry_after_s = -1};
    enum watch_input in;

    w->call = NULL;
    w->stats.connected = false;
    if (problem == NULL && finish(w, &in, &p.err)) {
        /* Complete. */
    } else {
        if (problem != NULL)
            p = w->stream_error.err.kind != ERR_NONE ? w->stream_error : *problem;
        in = input_of(w, &p);
        if (in != WATCH_IN_REFUSED && !report(w, &p.err))
            return;
    }
    drive(w, in, &p);
}

static void request(struct watch *w, const char *path)
{
    bool endless = w->step.state == WATCH_STREAM || w->step.state == WATCH_INITIAL;
    struct client_handler handler = {.head = on_head, .data = on_data, .done = on_done, .self = w};

    w->step.heard_events = 0;
    w->told = w->live = w->unmarked = false;
    w->stream_error = (struct client_problem){0};
    frame_free(w->frame);
    w->frame = NULL;
    w->step.begun = now(w);
    w->call = client_start(
        w->client,
        &(struct client_request){
            .method = "GET",
            .path = path,
            .accept = w->step.json_only ? CLIENT_JSON : CLIENT_PROTOBUF,
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

/* Some answer JSON though they were offered protobuf: without a word, so that only their last answer tells. */
static int page_of(const struct watch *w)
{
    return w->step.json_only || w->json ? WATCH_PAGE_JSON : WATCH_PAGE;
}

/* What a list or stream goes by; "": by nothing. */
static const char *from_version(const struct watch *w)
{
    return w->step.anew ? "" : w->version;
}

/* Without a version: consistent. With one (the stream broke, the history did not): not older than that. */
static void start_list(struct watch *w, int limit)
{
    struct strbuf path;

    strbuf_init(&path, MAX_PATH);
    (void)strbuf_addf(&path, "%s?limit=%d", w->path, limit);
    add_selector(w, &path);
    if (w->step.state == WATCH_LIST && w->token.len != 0) {
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
    int64_t timeout_s = STREAM_MIN_S + watch_step_chance(&w->step, STREAM_MAX_S - STREAM_MIN_S + 1);
    struct strbuf path;

    strbuf_init(&path, MAX_PATH);
    (void)strbuf_addf(&path, "%s?watch=1&allowWatchBookmarks=true&timeoutSeconds=%lld", w->path,
                      (long long)timeout_s);
    add_selector(w, &path);
    /* Without a version the initial events are as consistent as a list without one. */
    if (w->step.state == WATCH_INITIAL)
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
    return watch_step_lists(&w->step);
}

static struct watch_move move(struct watch *w, enum watch_input in,
                              const struct client_problem *problem)
{
    struct watch_move m;

    w->step.heard = w->stats.heard;
    w->step.answers = w->frame != NULL;
    w->step.resumes = w->token.len != 0;
    m = watch_step(&w->step, in, problem, now(w));
    if (!w->step.resumes)
        strbuf_clear(&w->token);
    w->stats.refused = w->step.refusals;
    return m;
}

static void drive(struct watch *w, enum watch_input in, const struct client_problem *problem)
{
    struct watch_move m = move(w, in, problem);

    if (m.synced) {
        w->stats.synced = true;
        w->stats.listing = false;
        w->step.told = now(w);
        w->step.stream_failures = 0;
        w->handler.synced(w->handler.self);
        if (w->step.state == WATCH_OFF)
            return;
    }
    if (m.action == WATCH_DO_NOTHING)
        return;
    if (m.action != WATCH_DO_FOLLOW)
        cancel(w);
    switch (m.action) {
    case WATCH_DO_NOTHING:
    case WATCH_DO_CANCEL:
        break;
    case WATCH_DO_LIST_FIRST:
        if (begin(w, in == WATCH_IN_REFUSED))
            start_list(w, page_of(w));
        break;
    case WATCH_DO_LIST_NEXT:
        start_list(w, page_of(w));
        break;
    case WATCH_DO_INITIAL:
        if (begin(w, false))
            start_stream(w);
        break;
    case WATCH_DO_FOLLOW:
        w->stats.connected = true;
        w->timers.timer_set(w->timer, w->silent_us);
        break;
    case WATCH_DO_STREAM:
        start_stream(w);
        break;
    case WATCH_DO_PROBE:
        start_list(w, 1);
        break;
    case WATCH_DO_WAIT:
        w->timers.timer_set(w->timer, m.wait_us);
        break;
    }
}

/* Initial events that have not even begun, or have no end that anybody marks. */
static void initial_silent(struct watch *w)
{
    struct client_problem p = {.retry_after_s = -1};

    if (w->frame != NULL) {
        drive(w, WATCH_IN_REFUSED, NULL);
        return;
    }
    (void)err_set(&p.err, ERR_NETWORK, 0, "%s: no answer in %lld s", w->path,
                  (long long)(WATCH_SILENT_US / US_PER_S));
    if (report(w, &p.err))
        drive(w, WATCH_IN_FAILED, &p);
}

/* Bytes went on after the last word: who has nothing to say sends none. One blank behind an event may come late; a stream that
 * is doubted is asked first. */
static bool trickles(const struct watch *w)
{
    return w->stats.connected && !w->step.doubted &&
           mono_since_us(w->stats.heard, w->fed_at) > w->silent_us / 2;
}

static void stream_mute(struct watch *w)
{
    struct err err = {0};

    (void)err_set(&err, ERR_PROTOCOL, 0, "watch %s: bytes, but nothing told in %lld s", w->path,
                  (long long)(w->silent_us / US_PER_S));
    if (report(w, &err))
        drive(w, WATCH_IN_MUTE, NULL);
}

static void on_timer(void *self)
{
    struct watch *w = self;

    if (w->step.state == WATCH_INITIAL)
        initial_silent(w);
    else if (trickles(w))
        stream_mute(w);
    else
        drive(w, WATCH_IN_TIMER, NULL);
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
        .step = {.asks_initial = options->initial_events, .random = options->seed},
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
                            max_i64(silence(w) - mono_since_us(w->stats.heard, now(w)), 0));
}

int64_t watch_silence(const struct watch *w)
{
    return w->silent_us;
}

void watch_start(struct watch *w)
{
    drive(w, WATCH_IN_START, NULL);
}

void watch_stop(struct watch *w)
{
    drive(w, WATCH_IN_STOP, NULL);
}

enum watch_state watch_state(const struct watch *w)
{
    return w->step.state;
}

const struct watch_stats *watch_stats(const struct watch *w)
{
    return &w->stats;
}

const char *watch_version(const struct watch *w)
{
    return w->version;
}
