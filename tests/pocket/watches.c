#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/pbmake.h"
#include "tests/pocket/answers.h"

/* How much is made at a time. */
enum { PIECE = 64 << 10 };

/* As the API server has them. */
#define BOOKMARK_US        (60 * US_PER_S)
#define INITIAL_EVENTS_END "k8s.io/initial-events-end"
#define LAST_CALL_US       (2 * US_PER_S) /* a bookmark comes this long before the end */
#define TIMEOUT_MIN_US     (1800 * US_PER_S)
#define TIMEOUT_SPAN_US    (1800 * US_PER_S)

/* Why a stream is one ERROR. */
enum refusal { REFUSAL_NONE, REFUSAL_GONE, REFUSAL_TOO_LARGE, REFUSAL_OLD_ETCD };

struct watcher {
    struct stream stream;
    const struct api *api;
    struct question q; /* for errors; borrows nothing from the request */
    struct match match;
    bool protobuf, bookmarks;
    bool marks;              /* the end of what is there at first is to be marked */
    struct listing *initial; /* what is there at first; NULL: nothing (any more) */
    size_t initial_at;
    uint64_t cursor;
    uint64_t
        after; /* events up to this version are not told: the client has seen further than we have */
    uint64_t closed; /* the API's count when this began */
    enum refusal refusal;
    bool ended;
    struct mono ends_at, bookmark_at;
    struct strbuf out;
    size_t sent;
};

static const char *const verb_names[] = {
    [VERB_ADDED] = "ADDED", [VERB_MODIFIED] = "MODIFIED", [VERB_DELETED] = "DELETED"};

static void add_frame(struct watcher *w, const char *type, const char *kind, struct sv object)
{
    if (w->protobuf)
        pbmake_watch_frame(&w->out, type, kind, object);
    else
        (void)strbuf_addf(&w->out, "{\"type\":\"%s\",\"object\":%.*s}\n", type, SV_ARG(object));
}

static void add_object(struct watcher *w, enum verb verb, struct object *o, uint64_t version)
{
    struct strbuf object;

    strbuf_init(&object, ANSWER_MAX);
    if (w->protobuf)
        object_protobuf_as(o, version, &object);
    else
        object_json(o, version, true, &object);
    add_frame(w, verb_names[verb], kind_info(w->q.kind)->kind, strbuf_sv(&object));
    strbuf_done(&object);
}

/* What stands in a selector's view of a change: objects come and go by matching or not. */
static void add_event(struct watcher *w, const struct store_event *e)
{
    bool before = e->before != NULL && match_object(&w->match, e->before);
    bool now = e->verb != VERB_DELETED && match_object(&w->match, e->object);

    if (e->version <= w->after || (!before && !now))
        return;
    if (w->api->stress != NULL)
        stress_told(w->api->stress, e->object);
    if (!now)
        add_object(w, VERB_DELETED, e->before, e->version);
    else
        add_object(w, before ? VERB_MODIFIED : VERB_ADDED, e->object, e->version);
}

static void add_bookmark(struct watcher *w, uint64_t version, bool mark, struct mono now)
{
    const struct kind_info *info = kind_info(w->q.kind);
    struct strbuf object, meta;
    char text[24];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)version);
    strbuf_init(&object, ANSWER_MAX);
    strbuf_init(&meta, ANSWER_MAX);
    if (w->protobuf) {
        pbmake_str(&meta, 6, text);
        if (mark)
            pbmake_entry(&meta, 12, INITIAL_EVENTS_END, "true");
        pbmake_message(&object, 1, &meta);
    } else {
        (void)strbuf_addf(
            &object,
            "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{\"resourceVersion\":\"%s\","
            "\"creationTimestamp\":null%s}}",
            info->kind, info->api_version, text,
            mark ? ",\"annotations\":{\"" INITIAL_EVENTS_END "\":\"true\"}" : "");
    }
    add_frame(w, "BOOKMARK", info->kind, strbuf_sv(&object));
    strbuf_done(&object);
    strbuf_done(&meta);
    w->bookmark_at = mono_plus_us(now, BOOKMARK_US);
}

static void fill_failure(const struct watcher *w, struct failure *f, char *text, size_t size)
{
    unsigned long long now = store_version(world_store(w->api->world));

    switch (w->refusal) {
    case REFUSAL_NONE:
        break;
    case REFUSAL_GONE:
        (void)snprintf(text, size, "too old resource version: %llu (%llu)",
                       (unsigned long long)w->after, now);
        *f = (struct failure){.code = 410, .reason = "Expired", .message = text};
        break;
    case REFUSAL_TOO_LARGE:
        (void)snprintf(text, size, "Timeout: Too large resource version: %llu, current: %llu",
                       (unsigned long long)w->after, now);
        *f = (struct failure){.code = 504,
                              .reason = "Timeout",
                              .message = text,
                              .cause = "ResourceVersionTooLarge",
                              .retry_after_s = 1};
        break;
    case REFUSAL_OLD_ETCD:
        *f = (struct failure){.code = 500,
                              .reason = "InternalError",
                              .message = "Internal error occurred: a watch stream was requested by "
                                         "the client but the required storage feature "
                                         "RequestWatchProgress is disabled"};
        break;
    }
}

static void add_error(struct watcher *w)
{
    struct failure f = {0};
    struct strbuf object;
    char text[120];

    fill_failure(w, &f, text, sizeof text);
    strbuf_init(&object, ANSWER_MAX);
    if (w->protobuf)
        status_protobuf(&w->q, &f, &object);
    else
        status_json(&w->q, &f, &object);
    add_frame(w, "ERROR", "Status", strbuf_sv(&object));
    strbuf_done(&object);
    w->ended = true;
}

/* The objects that there are, as if they had just come. */
static void add_initial(struct watcher *w, struct mono now)
{
    while (w->initial != NULL && w->out.len < PIECE) {
        if (w->initial_at == w->initial->n) {
            if (w->marks)
                add_bookmark(w, w->initial->version, true, now);
            listing_unref(w->initial);
            w->initial = NULL;
            return;
        }
        struct object *o = w->initial->at[w->initial_at++];

        if (match_object(&w->match, o))
            add_object(w, VERB_ADDED, o, o->version);
    }
}

/* The bookmark before the end, so that the client can resume from there. */
static struct mono next_bookmark(const struct watcher *w, struct mono now)
{
    struct mono last_call = {.us = w->ends_at.us - LAST_CALL_US};

    return now.us < last_call.us && last_call.us < w->bookmark_at.us ? last_call : w->bookmark_at;
}

static void fill(struct watcher *w)
{
    struct store *s = world_store(w->api->world);
    struct mono now = world_now(w->api->world);
    const struct store_event *e;
    bool lost = false;

    if (w->refusal != REFUSAL_NONE) {
        add_error(w);
        return;
    }
    /* What came since the server went is told by no watch of before. */
    if (w->closed != w->api->closed) {
        w->ended = true;
        return;
    }
    add_initial(w, now);
    while (w->initial == NULL && w->out.len < PIECE) {
        e = store_next(s, w->q.kind, &w->cursor, &lost);
        if (e == NULL)
            break;
        add_event(w, e);
    }
    /* Too slow for the history: cut off, as the server does. */
    if (lost || now.us >= w->ends_at.us)
        w->ended = true;
    else if (w->out.len == 0 && w->bookmarks && now.us >= w->bookmark_at.us &&
             store_version(s) >= w->after) {
        add_bookmark(w, store_version(s), false, now);
        w->bookmark_at = next_bookmark(w, now);
    }
}

static ssize_t read_watch(struct stream *stream, char *to, size_t max)
{
    struct watcher *w = (struct watcher *)stream;
    size_t n;

    if (w->sent == w->out.len) {
        strbuf_clear(&w->out);
        w->sent = 0;
        if (!w->ended)
            fill(w);
        if (w->out.len == 0)
            return w->ended ? STREAM_END : STREAM_LATER;
    }
    n = w->out.len - w->sent < max ? w->out.len - w->sent : max;
    memcpy(to, w->out.at + w->sent, n);
    w->sent += n;
    return (ssize_t)n;
}

static bool watch_ready(struct stream *stream)
{
    struct watcher *w = (struct watcher *)stream;
    struct mono now = world_now(w->api->world);

    return w->cursor != store_end(world_store(w->api->world), w->q.kind) ||
           now.us >= w->ends_at.us || w->closed != w->api->closed ||
           (w->bookmarks && now.us >= w->bookmark_at.us);
}

static void free_watch(struct stream *stream)
{
    struct watcher *w = (struct watcher *)stream;

    listing_unref(w->initial);
    match_done(&w->match);
    strbuf_done(&w->out);
    free(w);
}

/* ---- beginning ---- */

static void fail(const struct question *q, int code, const char *reason, const char *message,
                 const char *field, struct api_answer *a)
{
    answer_failure(q,
                   &(struct failure){.code = code,
                                     .reason = reason,
                                     .message = message,
                                     .cause = field != NULL ? "FieldValueForbidden" : NULL,
                                     .cause_field = field},
                   a);
}

static void forbid(const struct question *q, const char *message, const char *field,
                   struct api_answer *a)
{
    fail(q, 422, "Invalid", message, field, a);
}

static bool gate_is_on(const struct question *q)
{
    return q->api->watch_list == WATCH_LIST_ON || q->api->watch_list == WATCH_LIST_OLD_ETCD;
}

/* Parameters that a watch may not have. */
static bool check_params(const struct question *q, struct api_answer *a)
{
    struct sv initial = param(q->request, "sendInitialEvents");
    struct sv match = param(q->request, "resourceVersionMatch");

    if (q->api->watch_list == WATCH_LIST_IGNORED)
        return true;
    if (initial.len != 0 && !sv_eq(match, SV("NotOlderThan")))
        forbid(q,
               "resourceVersionMatch: Forbidden: sendInitialEvents requires setting "
               "resourceVersionMatch to NotOlderThan",
               "resourceVersionMatch", a);
    else if (initial.len != 0 && !gate_is_on(q))
        forbid(q,
               "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the "
               "WatchList feature gate is enabled",
               "sendInitialEvents", a);
    else if (initial.len == 0 && match.len != 0)
        forbid(q,
               "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch "
               "unless sendInitialEvents is provided",
               "resourceVersionMatch", a);
    else
        return true;
    return false;
}

/* With the gate a watch from nowhere has initial events whether or not it says so. */
static bool wants_initial(const struct question *q, uint64_t version)
{
    struct sv initial = param(q->request, "sendInitialEvents");

    if (!gate_is_on(q))
        return false;
    return initial.len != 0 ? param_true(q->request, "sendInitialEvents") : version == 0;
}

static bool read_times(const struct question *q, struct watcher *w)
{
    struct mono now = world_now(w->api->world);
    struct sv seconds = param(q->request, "timeoutSeconds");
    uint64_t timeout_s = 0;

    if (seconds.len != 0 && (!sv_to_u64(seconds, &timeout_s) || timeout_s > INT32_MAX))
        return false;
    q->api->random = q->api->random * 6364136223846793005u + 1442695040888963407u;
    w->ends_at = mono_plus_us(
        now, timeout_s != 0 ? (int64_t)timeout_s * US_PER_S
                            : TIMEOUT_MIN_US + (int64_t)(q->api->random >> 40) % TIMEOUT_SPAN_US);
    w->bookmarks = param_true(q->request, "allowWatchBookmarks");
    w->bookmark_at = mono_plus_us(now, BOOKMARK_US);
    w->bookmark_at = next_bookmark(w, now);
    return true;
}

/* Where the watch begins. */
static void place(struct watcher *w, const struct question *q, uint64_t version)
{
    struct store *s = world_store(w->api->world);
    bool initial = wants_initial(q, version);

    w->after = version;
    w->marks = initial && w->bookmarks;
    if (w->marks && w->api->watch_list == WATCH_LIST_OLD_ETCD) {
        w->refusal = REFUSAL_OLD_ETCD;
    } else if (initial && version > store_version(s)) {
        w->refusal = REFUSAL_TOO_LARGE;
    } else if (initial || version == 0) {
        w->initial = store_list(s, w->q.kind);
        w->cursor = store_end(s, w->q.kind);
    } else if (!store_seek(s, w->q.kind, version, &w->cursor)) {
        w->refusal = REFUSAL_GONE;
    }
}

void watch_handle(const struct question *q, struct api_answer *a)
{
    struct watcher *w;
    struct sv version_text = param(q->request, "resourceVersion");
    struct err err = {0};
    struct failure f = {0};
    uint64_t version = 0;
    char text[120];

    if (!check_params(q, a))
        return;
    w = xcalloc(1, sizeof *w);
    w->stream = (struct stream){.read = read_watch, .ready = watch_ready, .free = free_watch};
    w->api = q->api;
    w->q = (struct question){.api = q->api, .kind = q->kind};
    w->closed = q->api->closed;
    w->protobuf = q->protobuf && kind_info(q->kind)->parted;
    strbuf_init(&w->out, ANSWER_MAX);
    if (!match_init(&w->match, q->kind, q->ns, param(q->request, "fieldSelector"),
                    param(q->request, "labelSelector"), &err)) {
        fail(q, 400, "BadRequest", err.text, NULL, a);
    } else if ((version_text.len != 0 && !sv_to_u64(version_text, &version)) || !read_times(q, w)) {
        fail(q, 400, "BadRequest", "resourceVersion and timeoutSeconds: expected whole numbers",
             NULL, a);
    } else {
        place(w, q, version);
        /* It is waited for what initial events shall not be older than. */
        if (w->refusal == REFUSAL_TOO_LARGE && q->request->patient) {
            a->wait = true;
            a->wait_version = version;
            free_watch(&w->stream);
            return;
        }
        if (w->refusal != REFUSAL_GONE || !q->api->gone_by_status) {
            a->content_type = w->protobuf ? TYPE_PROTOBUF ";stream=watch" : TYPE_JSON;
            a->stream = &w->stream;
            return;
        }
        fill_failure(w, &f, text, sizeof text);
        answer_failure(q, &f, a);
    }
    free_watch(&w->stream);
}
