#include "agent/kube/events.h"

#include <ctype.h>
#include <string.h>

#include "base/alloc.h"
#include "base/jsonw.h"

/* Limits of the API's validation; a name is a DNS subdomain of at most 253, of which '.' and 16 hex digits are ours. */
enum {
    MAX_NOTE = 1024,
    MAX_WORD = 128,
    MAX_OBJECT_NAME = 253 - 17,
    MAX_BODY = 16 << 10,
    MAX_PATH = 4096
};

enum series_state { SERIES_FREE, SERIES_POSTING, SERIES_POSTED };

/* An event that was written, and how often it came since. */
struct series {
    struct events *events;
    enum series_state state;
    uint64_t key;
    struct mono last;    /* when it came last */
    struct mono written; /* when the count was written last */
    struct wall last_wall;
    int64_t count; /* all of them */
    int64_t count_written;
    char *ns, *name; /* of the Event */
    struct client_call *call;
};

/* A bucket of tokens for one object, in microseconds of EVENTS_REFILL_US each. */
struct bucket {
    uint64_t key; /* 0: free */
    int64_t credit_us;
    struct mono at;
};

struct events {
    struct client *client;
    struct timers timers;
    char *controller, *instance;
    void *timer; /* writes counts that wait */
    uint64_t serial;
    int underway;
    struct events_stats stats;
    struct series series[EVENTS_MAX_SERIES];
    struct bucket buckets[EVENTS_MAX_OBJECTS];
};

static uint64_t mix(uint64_t key, const char *text)
{
    return (key ^ sv_hash(sv_from(text))) * 0x9e3779b97f4a7c15ULL + 1;
}

static uint64_t object_key(const struct events_object *o)
{
    uint64_t key = mix(mix(mix(mix(1, o->uid), o->kind), o->ns != NULL ? o->ns : ""), o->name);

    return key != 0 ? key : 1;
}

static uint64_t series_key(const struct events_object *o, const struct event *ev)
{
    return mix(mix(mix(object_key(o), ev->reason), ev->action), ev->note) + ev->warning;
}

/* ---- limits ---- */

static struct bucket *bucket_of(struct events *e, uint64_t key, struct mono now)
{
    struct bucket *oldest = &e->buckets[0];

    for (size_t i = 0; i < EVENTS_MAX_OBJECTS; i++) {
        struct bucket *b = &e->buckets[i];

        if (b->key == key)
            return b;
        if (b->key == 0 || (oldest->key != 0 && b->at.us < oldest->at.us))
            oldest = b;
    }
    *oldest = (struct bucket){.key = key, .credit_us = EVENTS_BURST * EVENTS_REFILL_US, .at = now};
    return oldest;
}

static bool allowed(struct events *e, uint64_t key, struct mono now)
{
    struct bucket *b = bucket_of(e, key, now);

    b->credit_us += mono_since_us(b->at, now);
    if (b->credit_us > EVENTS_BURST * EVENTS_REFILL_US)
        b->credit_us = EVENTS_BURST * EVENTS_REFILL_US;
    b->at = now;
    if (b->credit_us < EVENTS_REFILL_US)
        return false;
    b->credit_us -= EVENTS_REFILL_US;
    return true;
}

/* ---- writing ---- */

static void series_clear(struct series *s)
{
    if (s->call != NULL)
        s->events->underway--;
    client_cancel(s->call);
    free(s->ns);
    free(s->name);
    *s = (struct series){.events = s->events};
}

/* The longest head of at most `max` bytes that does not cut a character of UTF-8. */
static struct sv cut(const char *text, size_t max)
{
    struct sv sv = sv_from(text);

    if (sv.len <= max)
        return sv;
    while (max != 0 && ((unsigned char)sv.at[max] & 0xc0) == 0x80)
        max--;
    return (struct sv){.at = sv.at, .len = max};
}

static void add_wall(struct jsonw *w, const char *key, struct wall t)
{
    char text[WALL_TEXT_SIZE];

    wall_format(t, 6, text);
    jsonw_cstr(w, key, text);
}

static char *event_name(struct events *e, const struct events_object *o, struct wall now)
{
    struct sv name = cut(o->name, MAX_OBJECT_NAME);
    struct strbuf text;

    while (name.len != 0 && !isalnum((unsigned char)name.at[name.len - 1]))
        name.len--;
    strbuf_init(&text, MAX_PATH);
    (void)strbuf_add(&text, name);
    /* As the reference client does, nanoseconds in hex; the serial number keeps two of one turn apart. */
    (void)strbuf_addf(&text, ".%llx", (unsigned long long)now.us * 1000 + e->serial++ % 1000);
    return text.at;
}

static void write_event(struct strbuf *body, const struct events *e, const struct series *s,
                        const struct events_object *o, const struct event *ev)
{
    struct jsonw w;

    jsonw_init(&w, body);
    jsonw_object(&w, NULL);
    jsonw_cstr(&w, "apiVersion", "events.k8s.io/v1");
    jsonw_cstr(&w, "kind", "Event");
    jsonw_object(&w, "metadata");
    jsonw_cstr(&w, "namespace", s->ns);
    jsonw_cstr(&w, "name", s->name);
    jsonw_end(&w);
    add_wall(&w, "eventTime", s->last_wall);
    jsonw_str(&w, "reportingController", cut(e->controller, MAX_WORD));
    jsonw_str(&w, "reportingInstance", cut(e->instance, MAX_WORD));
    jsonw_str(&w, "action", cut(ev->action, MAX_WORD));
    jsonw_str(&w, "reason", cut(ev->reason, MAX_WORD));
    jsonw_object(&w, "regarding");
    jsonw_cstr(&w, "apiVersion", o->api_version);
    jsonw_cstr(&w, "kind", o->kind);
    if (o->ns != NULL)
        jsonw_cstr(&w, "namespace", o->ns);
    jsonw_cstr(&w, "name", o->name);
    jsonw_cstr(&w, "uid", o->uid);
    jsonw_end(&w);
    jsonw_str(&w, "note", cut(ev->note, MAX_NOTE));
    jsonw_cstr(&w, "type", ev->warning ? "Warning" : "Normal");
    jsonw_end(&w);
}

static void series_path(struct strbuf *path, const struct series *s, bool named)
{
    (void)strbuf_addf(path, "/apis/events.k8s.io/v1/namespaces/");
    client_escape(path, sv_from(s->ns));
    (void)strbuf_addf(path, "/events");
    if (!named)
        return;
    (void)strbuf_add_char(path, '/');
    client_escape(path, sv_from(s->name));
}

static void plan(struct events *e);

static void on_answer(void *self, const struct client_answer *answer)
{
    struct series *s = self;
    struct events *e = s->events;

    s->call = NULL;
    e->underway--;
    if (answer->problem != NULL) {
        /* Dropped. Forgotten as well, so that the next one begins anew, also if the Event has expired meanwhile. */
        e->stats.failed++;
        series_clear(s);
        return;
    }
    e->stats.sent++;
    s->state = SERIES_POSTED;
    plan(e);
}

static void series_send(struct series *s, const char *method, const char *content_type,
                        const struct strbuf *body, bool named)
{
    struct strbuf path;

    strbuf_init(&path, MAX_PATH);
    series_path(&path, s, named);
    s->events->underway++;
    s->written = s->last;
    s->count_written = s->count;
    s->call = client_send(s->events->client,
                          &(struct client_request){
                              .method = method,
                              .path = strbuf_str(&path),
                              .content_type = content_type,
                              .body = strbuf_sv(body),
                              .channel = CHANNEL_POOL,
                          },
                          on_answer, s);
    strbuf_done(&path);
}

static void write_count(struct series *s)
{
    struct strbuf body;
    struct jsonw w;

    strbuf_init(&body, MAX_BODY);
    jsonw_init(&w, &body);
    jsonw_object(&w, NULL);
    jsonw_object(&w, "series");
    jsonw_i64(&w, "count", s->count);
    add_wall(&w, "lastObservedTime", s->last_wall);
    jsonw_end(&w);
    jsonw_end(&w);
    series_send(s, "PATCH", CLIENT_MERGE_PATCH, &body, true);
    strbuf_done(&body);
}

/* When the count may be written: at once for the second, then each EVENTS_SERIES_US. */
static int64_t wait_us(const struct series *s, struct mono now)
{
    int64_t since_us = mono_since_us(s->written, now);

    if (s->count_written < 2 || since_us >= EVENTS_SERIES_US)
        return 0;
    return EVENTS_SERIES_US - since_us;
}

/* Writes the counts that are due and sets the timer for the next. */
static void plan(struct events *e)
{
    struct mono now = e->timers.now(e->timers.self);
    int64_t next_us = INT64_MAX;

    for (size_t i = 0; i < EVENTS_MAX_SERIES; i++) {
        struct series *s = &e->series[i];

        if (s->state != SERIES_POSTED || s->call != NULL || s->count == s->count_written)
            continue;
        if (wait_us(s, now) == 0 && e->underway < EVENTS_MAX_UNDERWAY)
            write_count(s);
        else if (wait_us(s, now) < next_us)
            next_us = wait_us(s, now);
    }
    if (next_us != INT64_MAX)
        e->timers.timer_set(e->timer, next_us > US_PER_S ? next_us : US_PER_S);
}

static void on_timer(void *self)
{
    plan(self);
}

/* ---- public ---- */

struct events *events_new(struct client *client, const char *controller, const char *instance)
{
    struct events *e = xcalloc(1, sizeof *e);

    e->client = client;
    e->timers = *client_timers(client);
    e->controller = xstrdup(controller);
    e->instance = xstrdup(instance);
    e->timer = e->timers.timer_new(e->timers.self, on_timer, e);
    for (size_t i = 0; i < EVENTS_MAX_SERIES; i++)
        e->series[i].events = e;
    return e;
}

void events_free(struct events *e)
{
    if (e == NULL)
        return;
    for (size_t i = 0; i < EVENTS_MAX_SERIES; i++)
        series_clear(&e->series[i]);
    e->timers.timer_free(e->timer);
    free(e->controller);
    free(e->instance);
    free(e);
}

/* The series with this key that is still young, or NULL; *ret_place is where a new one may stand: free, or the oldest. */
static struct series *find(struct events *e, uint64_t key, struct mono now,
                           struct series **ret_place)
{
    struct series *oldest = &e->series[0];

    for (size_t i = 0; i < EVENTS_MAX_SERIES; i++) {
        struct series *s = &e->series[i];

        if (s->state != SERIES_FREE && s->key == key &&
            mono_since_us(s->last, now) < EVENTS_SERIES_US)
            return s;
        if (s->state == SERIES_FREE ||
            (oldest->state != SERIES_FREE && s->last.us < oldest->last.us))
            oldest = s;
    }
    *ret_place = oldest;
    return NULL;
}

void events_post(struct events *e, const struct events_object *object, const struct event *event)
{
    struct mono now = e->timers.now(e->timers.self);
    uint64_t key = series_key(object, event);
    struct series *place = NULL;
    struct series *s = find(e, key, now, &place);
    struct strbuf body;

    if (s != NULL) {
        e->stats.aggregated++;
        s->count++;
        s->last = now;
        s->last_wall = e->timers.wall(e->timers.self);
        plan(e);
        return;
    }
    if (e->underway >= EVENTS_MAX_UNDERWAY || !allowed(e, object_key(object), now)) {
        e->stats.limited++;
        return;
    }
    series_clear(place);
    *place = (struct series){
        .events = e,
        .state = SERIES_POSTING,
        .key = key,
        .last = now,
        .last_wall = e->timers.wall(e->timers.self),
        .count = 1,
        .ns = xstrdup(object->ns != NULL ? object->ns : "default"),
    };
    place->name = event_name(e, object, place->last_wall);
    strbuf_init(&body, MAX_BODY);
    write_event(&body, e, place, object, event);
    series_send(place, "POST", "application/json", &body, false);
    strbuf_done(&body);
}

const struct events_stats *events_stats(const struct events *e)
{
    return &e->stats;
}
