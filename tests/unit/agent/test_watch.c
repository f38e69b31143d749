#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "agent/kube/watch.h"
#include "base/alloc.h"
#include "tests/unit/agent/fake_kube.h"

/* What a handler that mirrors the cluster knows. */
enum { MAX_OBJECTS = 16 };

struct mirror {
    char names[MAX_OBJECTS][32];
    bool seen[MAX_OBJECTS]; /* since begin() */
    size_t n;
    int begins, synceds, troubles;
    struct err last_trouble;
    const char *refuse;    /* the object of this name is broken */
    struct watch *stop_at; /* stopped by the first object */
};

static void on_begin(void *self)
{
    struct mirror *m = self;

    m->begins++;
    memset(m->seen, 0, sizeof m->seen);
}

static size_t find(const struct mirror *m, const char *name)
{
    size_t i = 0;

    while (i < m->n && strcmp(m->names[i], name) != 0)
        i++;
    return i;
}

static void drop(struct mirror *m, size_t i)
{
    m->n--;
    memmove(m->names[i], m->names[m->n], sizeof m->names[i]);
    m->seen[i] = m->seen[m->n];
}

static bool on_object(void *self, enum watch_change change, enum decode_format format,
                      struct sv object, struct err *err)
{
    struct mirror *m = self;
    CLEANUP(free_ptr) char *text = sv_dup(object);
    const char *at = strstr(text, "\"name\":\"");
    char name[32] = "";
    size_t i;

    cr_assert_eq(format, DECODE_JSON);
    cr_assert_not_null(at, "no name in %s", text);
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(at + 8, "\""), at + 8);
    if (m->refuse != NULL && strcmp(m->refuse, name) == 0)
        return err_set(err, ERR_INPUT, 0, "%s is broken", name);
    i = find(m, name);
    if (change == WATCH_DELETE) {
        if (i < m->n)
            drop(m, i);
    } else {
        cr_assert(i < MAX_OBJECTS);
        (void)snprintf(m->names[i], sizeof m->names[i], "%s", name);
        m->seen[i] = true;
        if (i == m->n)
            m->n++;
    }
    if (m->stop_at != NULL)
        watch_stop(m->stop_at);
    return true;
}

static void on_synced(void *self)
{
    struct mirror *m = self;

    m->synceds++;
    for (size_t i = m->n; i-- > 0;)
        if (!m->seen[i])
            drop(m, i);
}

static void on_trouble(void *self, const struct err *err)
{
    struct mirror *m = self;

    m->troubles++;
    m->last_trouble = *err;
    cr_assert_neq(err->kind, ERR_NONE, "trouble without a kind: %s", err->text);
}

struct rig {
    struct fake fake;
    struct kube_config config;
    struct transport transport;
    struct timers timers;
    struct client *client;
    struct mirror mirror;
    struct watch *watch;
};

static void rig_init_as(struct rig *r, bool initial_events)
{
    *r = (struct rig){0};
    fake_init(&r->fake);
    r->transport = fake_transport(&r->fake);
    r->timers = fake_timers(&r->fake);
    r->client = client_new(&r->config, &r->transport, &r->timers);
    r->watch = watch_new(r->client,
                         &(struct watch_options){.path = WATCH_PODS_PATH,
                                                 .list_kind = WATCH_PODS_KIND,
                                                 .field_selector = WATCH_PODS_SELECTOR,
                                                 .initial_events = initial_events,
                                                 .seed = 7},
                         &(struct watch_handler){.begin = on_begin,
                                                 .object = on_object,
                                                 .synced = on_synced,
                                                 .trouble = on_trouble,
                                                 .self = &r->mirror});
}

static void rig_init(struct rig *r)
{
    rig_init_as(r, false);
}

static void rig_done(struct rig *r)
{
    watch_free(r->watch);
    client_free(r->client);
    fake_done(&r->fake);
}

/* The invariants: at most one request, and none while it waits; a state that asks has one; a timer but for lists. */
static void check(struct rig *r, const char *where)
{
    enum watch_state state = watch_state(r->watch);
    size_t requests = fake_count(&r->fake);
    bool asks = state == WATCH_LIST || state == WATCH_INITIAL || state == WATCH_STREAM ||
                state == WATCH_PROBE;
    bool timed = r->fake.timers->at_us != INT64_MAX;

    cr_assert_eq(requests, asks ? 1U : 0U, "%s: state %s with %zu requests", where,
                 watch_state_name(state), requests);
    cr_assert_eq(timed,
                 state == WATCH_INITIAL || state == WATCH_STREAM || state == WATCH_LIST_LATER ||
                     state == WATCH_STREAM_LATER,
                 "%s: state %s, timer %d", where, watch_state_name(state), timed);
}

static struct transfer *expect(struct rig *r, const char *part)
{
    struct transfer *t = fake_pending(&r->fake);

    check(r, part);
    cr_assert_not_null(t, "no request, expected one with %s; state %s", part,
                       watch_state_name(watch_state(r->watch)));
    cr_assert_not_null(strstr(t->path, part), "found request %s, expected one with %s", t->path,
                       part);
    return t;
}

#define LIST(rv, token, items)                                                                     \
    "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" rv          \
    "\",\"continue\":\"" token "\"},\"items\":[" items "]}"
#define POD(name, rv)       "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" rv "\"}}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define STATUS(code, reason, more)                                                                 \
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"words\","     \
    "\"reason\":\"" reason "\",\"code\":" code more "}"
#define TOO_LARGE                                                                                  \
    STATUS("504", "Timeout",                                                                       \
           ",\"details\":{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\"}],"                  \
           "\"retryAfterSeconds\":1}")

/* Up to the stream from version 10, with one pod "a". */
static struct transfer *into_stream(struct rig *r)
{
    struct transfer *t;

    watch_start(r->watch);
    fake_json(expect(r, "limit=500"), 200, LIST("10", "", POD("a", "5")));
    t = expect(r, "resourceVersion=10");
    cr_assert(fake_head(t, 200, "application/json", -1));
    return t;
}

Test(watch, lists_page_by_page_and_then_streams)
{
    static const size_t pieces[] = {0, 1, 7};

    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        struct rig r;
        struct transfer *t;

        rig_init(&r);
        r.fake.piece = pieces[i];
        watch_start(r.watch);
        t = expect(
            &r,
            "/api/v1/"
            "pods?limit=500&fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed");
        cr_assert_null(strstr(t->path, "resourceVersion"), "%s", t->path);
        cr_assert_str_eq(t->accept, CLIENT_PROTOBUF);
        cr_assert_eq(t->channel, CHANNEL_WATCH);
        cr_assert_eq(t->timeout_us, CLIENT_TIMEOUT_US, "a page has an end");
        fake_json(t, 200, LIST("10", "to/k=", POD("a", "5") "," POD("b", "6")));
        cr_assert_eq(r.mirror.synceds, 0);
        fake_json(expect(&r, "continue=to%2Fk%3D"), 200, LIST("10", "", POD("c", "7")));
        cr_assert_eq(r.mirror.begins, 1);
        cr_assert_eq(r.mirror.synceds, 1);
        cr_assert_eq(r.mirror.n, 3);

        t = expect(&r, "resourceVersion=10");
        cr_assert_not_null(strstr(t->path, "watch=1&allowWatchBookmarks=true&timeoutSeconds="));
        cr_assert(fake_head(t, 200, "application/json", -1));
        cr_assert(fake_data(t, EVENT("ADDED", POD("d", "11")) EVENT("DELETED", POD("a", "12"))));
        cr_assert_eq(r.mirror.n, 3);
        cr_assert_str_eq(watch_version(r.watch), "12");
        cr_assert(fake_data(t, EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"40\"}}")));
        cr_assert_eq(watch_stats(r.watch)->events, 2);
        fake_end(t);
        (void)expect(&r, "resourceVersion=40");
        cr_assert_eq(watch_stats(r.watch)->errors, 0);
        cr_assert_eq(watch_stats(r.watch)->relists, 0);
        rig_done(&r);
    }
}

/* A frame of WatchEvent{"BOOKMARK", RawExtension{"k8s" Unknown{typeMeta{"v1", "Pod"}, raw}}}, where raw is
 * Pod{metadata{name "a", resourceVersion RV}}, RV of two bytes. */
#define BOOKMARK_PB(rv)                                                                            \
    SV("\0\0\0\x28\x0a\x08"                                                                        \
       "BOOKMARK\x12\x1c\x0a\x1ak8s\0"                                                             \
       "\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x09\x0a\x07\x0a\x01"                                     \
       "a2\x02" rv)

Test(watch, a_version_that_is_no_text_is_no_version)
{
    struct rig r;
    struct transfer *t;

    rig_init(&r);
    watch_start(r.watch);
    fake_json(expect(&r, "limit=500"), 200, LIST("10", "", POD("a", "5")));
    t = expect(&r, "resourceVersion=10");
    cr_assert(fake_head(t, 200, CLIENT_PROTOBUF ";stream=watch", -1));
    cr_assert(fake_bytes(t, BOOKMARK_PB("13")));
    cr_assert_str_eq(watch_version(r.watch), "13");
    cr_assert(fake_bytes(t, BOOKMARK_PB("\0\0")));
    cr_assert_str_eq(watch_version(r.watch), "13");
    rig_done(&r);
}

Test(watch, sweeps_what_a_new_list_does_not_name)
{
    struct rig r;
    struct transfer *t;

    rig_init(&r);
    t = into_stream(&r);
    (void)fake_data(t, EVENT("ERROR", STATUS("410", "Expired", "")));
    t = expect(&r, "limit=50&");
    cr_assert_null(strstr(t->path, "resourceVersion"), "after a 410 the list has no version: %s",
                   t->path);
    fake_json(t, 200, LIST("90", "", POD("z", "80")));
    cr_assert_eq(r.mirror.n, 1);
    cr_assert_str_eq(r.mirror.names[0], "z");
    cr_assert_eq(watch_stats(r.watch)->relists, 1);
    (void)expect(&r, "resourceVersion=90");
    rig_done(&r);
}

/* One failure of the stream, and what comes of it. */
static const struct failure {
    const char *name;
    int status; /* 0: the connection breaks; -1: the stream ends at once; -2: an ERROR event */
    const char *type;
    int retry_after_s;
    const char *body;
    int64_t min_us, max_us; /* until the next request */
    const char *next;
    enum err_kind kind;
} failures[] = {
    {"refused", 0, "", -1, "", 800 * US_PER_MS, 1600 * US_PER_MS, "resourceVersion=10",
     ERR_NETWORK},
    {"410 as answer", 410, "application/json", -1, STATUS("410", "Expired", ""), 0, 0, "limit=50&",
     ERR_GONE},
    {"410 as event", -2, "", -1, STATUS("410", "Expired", ""), 0, 0, "limit=50&", ERR_GONE},
    {"500 as event", -2, "", -1, STATUS("500", "InternalError", ""), 800 * US_PER_MS,
     1600 * US_PER_MS, "resourceVersion=10", ERR_SERVER},
    {"Expired as event, without a code", -2, "", -1, "{\"kind\":\"Status\",\"reason\":\"Expired\"}",
     0, 0, "limit=50&", ERR_GONE},
    {"429 as event", -2, "", -1,
     STATUS("429", "TooManyRequests", ",\"details\":{\"retryAfterSeconds\":4}"), 4 * US_PER_S,
     4 * US_PER_S, "resourceVersion=10", ERR_THROTTLED},
    {"429 in plain text", 429, "text/plain", 7, "Too many requests, please try again later.\n",
     7 * US_PER_S, 7 * US_PER_S, "resourceVersion=10", ERR_THROTTLED},
    {"429 without a time", 429, "text/plain", -1, "no", 800 * US_PER_MS, 1600 * US_PER_MS,
     "resourceVersion=10", ERR_THROTTLED},
    {"503 in plain text", 503, "text/plain; charset=utf-8", -1, "service unavailable\n",
     800 * US_PER_MS, 1600 * US_PER_MS, "resourceVersion=10", ERR_SERVER},
    {"401", 401, "application/json", -1, STATUS("401", "Unauthorized", ""), 800 * US_PER_MS,
     1600 * US_PER_MS, "resourceVersion=10", ERR_AUTH},
    {"403", 403, "application/json", -1, STATUS("403", "Forbidden", ""), 800 * US_PER_MS,
     1600 * US_PER_MS, "resourceVersion=10", ERR_FORBIDDEN},
    {"504 too large", 504, "application/json", 1, TOO_LARGE, 1 * US_PER_S, 1 * US_PER_S,
     "resourceVersionMatch=NotOlderThan&resourceVersion=10", ERR_SERVER},
    {"406", 406, "application/json", -1, STATUS("406", "NotAcceptable", ""), 0, 0,
     "resourceVersion=10", ERR_INPUT},
    {"a web page", 200, "text/html", -1, "<html>", 800 * US_PER_MS, 1600 * US_PER_MS,
     "resourceVersion=10", ERR_PROTOCOL},
    {"broken stream", 200, "application/json", -1, "]]]]\n", 800 * US_PER_MS, 1600 * US_PER_MS,
     "resourceVersion=10", ERR_NONE},
    {"redirect", 302, "text/html", -1, "", 800 * US_PER_MS, 1600 * US_PER_MS, "resourceVersion=10",
     ERR_PROTOCOL},
};

Test(watch, does_what_each_failure_asks_for)
{
    for (size_t i = 0; i < COUNT_OF(failures); i++) {
        const struct failure *row = &failures[i];
        struct rig r;
        struct transfer *t;
        int64_t waited_us;

        rig_init(&r);
        watch_start(r.watch);
        fake_json(expect(&r, "limit=500"), 200, LIST("10", "", POD("a", "5")));
        t = expect(&r, "watch=1");
        if (row->status == 0)
            fake_break(t);
        else if (row->status == -2)
            (void)(fake_head(t, 200, "application/json", -1) &&
                   fake_data(t, "{\"type\":\"ERROR\",\"object\":") && fake_data(t, row->body) &&
                   fake_data(t, "}\n"));
        else
            fake_reply(t, row->status, row->type, row->retry_after_s, row->body);
        cr_assert_eq(r.mirror.troubles, 1, "%s: %d troubles", row->name, r.mirror.troubles);
        if (row->kind != ERR_NONE)
            cr_assert_eq(r.mirror.last_trouble.kind, row->kind, "%s: %s", row->name,
                         r.mirror.last_trouble.text);
        check(&r, row->name);

        waited_us = r.fake.now.us;
        if (fake_pending(&r.fake) == NULL)
            cr_assert(fake_next_timer(&r.fake), "%s: nothing is waited for", row->name);
        waited_us = r.fake.now.us - waited_us;
        cr_assert(waited_us >= row->min_us && waited_us <= row->max_us, "%s: waited %lld us",
                  row->name, (long long)waited_us);
        t = expect(&r, row->next);
        cr_assert_str_eq(t->accept, row->status == 406 ? CLIENT_JSON : CLIENT_PROTOBUF, "%s",
                         row->name);
        rig_done(&r);
    }
}

Test(watch, tells_what_an_error_event_says)
{
    static const struct {
        const char *status, *text;
    } rows[] = {
        {STATUS("500", "InternalError", ""), "500 InternalError: words"},
        {"{\"kind\":\"Status\",\"message\":\"words\"}", "an error: words"},
        {"{\"kind\":\"Status\",\"reason\":\"Gone\"}", "an error Gone"},
        {"{\"kind\":\"Status\",\"code\":503}", "503"},
        {"{\"kind\":\"Status\"}", "an error"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rig r;
        struct transfer *t;
        char text[300];

        rig_init(&r);
        t = into_stream(&r);
        (void)(fake_data(t, "{\"type\":\"ERROR\",\"object\":") && fake_data(t, rows[i].status) &&
               fake_data(t, "}\n"));
        (void)snprintf(text, sizeof text, "watch %s: the stream ended with %s", WATCH_PODS_PATH,
                       rows[i].text);
        cr_expect_not_null(strstr(r.mirror.last_trouble.text, text), "found '%s', expected '%s'",
                           r.mirror.last_trouble.text, text);
        rig_done(&r);
    }
}

Test(watch, backs_off_to_half_a_minute_and_begins_anew_after_peace)
{
    struct rig r;
    struct transfer *t;
    int64_t before_us, waited_us = 0, last_us;
    bool varies = false;

    rig_init(&r);
    watch_start(r.watch);
    fake_json(expect(&r, "limit=500"), 200, LIST("10", "", ""));
    for (int i = 0; i < 12; i++) {
        int64_t base_us = 800 * US_PER_MS << (i < 6 ? i : 6);

        if (base_us > 30 * US_PER_S)
            base_us = 30 * US_PER_S;
        fake_break(expect(&r, "resourceVersion=10"));
        before_us = r.fake.now.us;
        cr_assert(fake_next_timer(&r.fake));
        last_us = waited_us;
        waited_us = r.fake.now.us - before_us;
        cr_assert(waited_us >= base_us && waited_us <= 2 * base_us, "try %d waited %lld us", i,
                  (long long)waited_us);
        varies = varies || (i > 7 && waited_us != last_us);
    }
    cr_assert(varies, "no jitter: a fleet would come back all at once");
    t = expect(&r, "resourceVersion=10");
    cr_assert(fake_head(t, 200, "application/json", -1));
    for (int i = 0; i < 5; i++) {
        cr_assert(fake_data(t, EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"40\"}}")));
        fake_advance(&r.fake, 30 * US_PER_S);
    }
    fake_break(t);
    before_us = r.fake.now.us;
    cr_assert(fake_next_timer(&r.fake));
    cr_assert_leq(r.fake.now.us - before_us, 1600 * US_PER_MS);
    (void)expect(&r, "resourceVersion=40");
    rig_done(&r);
}

/* Refuses the request under way and gives back how long was waited then. */
static int64_t wait_after_403(struct rig *r)
{
    int64_t before_us = r->fake.now.us;

    fake_json(expect(r, "pods"), 403, STATUS("403", "Forbidden", ""));
    cr_assert(fake_next_timer(&r->fake));
    return r->fake.now.us - before_us;
}

Test(watch, asks_soon_again_after_the_first_refusals_and_slowly_after_the_fourth)
{
    struct rig r;

    rig_init(&r);
    watch_start(r.watch);
    /* The server is away for long: what comes after does not wait the longer for it. */
    for (int i = 0; i < 8; i++) {
        fake_break(expect(&r, "limit=500"));
        cr_assert(fake_next_timer(&r.fake));
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 6; i++) {
            int64_t waited_us = wait_after_403(&r);
            int64_t least_us = i < 3 ? 800 * US_PER_MS << i : 30 * US_PER_S;
            int64_t most_us = i < 3 ? 2 * least_us : least_us;

            cr_expect(waited_us >= least_us && waited_us <= most_us,
                      "round %d, refusal %d: waited %lld us", round, i, (long long)waited_us);
            /* A broken connection between two of them is no grant. */
            if (i == 4) {
                fake_break(expect(&r, "pods"));
                cr_assert(fake_next_timer(&r.fake));
            }
        }
        if (round == 0)
            fake_json(expect(&r, "limit=500"), 200, LIST("10", "", POD("a", "5")));
    }
    rig_done(&r);
}

Test(watch, treats_a_short_stream_without_events_as_a_failure)
{
    struct rig r;

    rig_init(&r);
    fake_end(into_stream(&r));
    cr_assert_eq(watch_state(r.watch), WATCH_STREAM_LATER);
    cr_assert(fake_next_timer(&r.fake));
    (void)expect(&r, "resourceVersion=10");
    rig_done(&r);
}

Test(watch, probes_after_silence_and_goes_on)
{
    struct rig r;
    struct transfer *t;

    rig_init(&r);
    (void)into_stream(&r);
    fake_advance(&r.fake, WATCH_SILENT_US);
    t = expect(&r, "limit=1&");
    cr_assert_not_null(strstr(t->path, "resourceVersionMatch=NotOlderThan&resourceVersion=10"),
                       "%s", t->path);
    fake_json(t, 200, LIST("11", "x", POD("q", "11")));
    (void)expect(&r, "resourceVersion=10");
    cr_assert_eq(r.mirror.n, 1, "a probe's objects are nobody's");
    cr_assert_eq(r.mirror.troubles, 0);
    cr_assert_eq(watch_stats(r.watch)->heard.us, r.fake.now.us);
    rig_done(&r);
}

Test(watch, probes_after_the_silence_that_it_was_told)
{
    struct rig r;

    rig_init(&r);
    (void)into_stream(&r);
    watch_set_silence(r.watch, 2 * US_PER_S);
    fake_advance(&r.fake, 1900 * US_PER_MS);
    cr_assert_eq(watch_state(r.watch), WATCH_STREAM);
    fake_advance(&r.fake, 100 * US_PER_MS);
    fake_json(expect(&r, "limit=1&"), 200, LIST("11", "x", POD("q", "11")));
    cr_assert_not(watch_stats(r.watch)->connected);
    cr_assert(fake_head(expect(&r, "resourceVersion=10"), 200, "application/json", -1));
    cr_assert(watch_stats(r.watch)->connected);

    /* What has been silent for too long by now is asked at once; what may be silent longer is not. */
    fake_advance(&r.fake, 1500 * US_PER_MS);
    watch_set_silence(r.watch, 4 * US_PER_S);
    fake_advance(&r.fake, 1500 * US_PER_MS);
    cr_assert_eq(watch_state(r.watch), WATCH_STREAM);
    watch_set_silence(r.watch, 1500 * US_PER_MS);
    fake_advance(&r.fake, 1);
    (void)expect(&r, "limit=1&");
    rig_done(&r);
}

/* The server may be another one by now, or have been restored from a backup. */
Test(watch, probes_soon_where_a_stream_goes_on_behind_one_that_ended_and_says_nothing)
{
    struct rig r;
    struct transfer *t;

    rig_init(&r);
    t = into_stream(&r);
    fake_break(t);
    cr_assert(fake_next_timer(&r.fake));
    t = expect(&r, "watch=1");
    cr_assert(fake_head(t, 200, "application/json", -1));
    fake_advance(&r.fake, WATCH_DOUBT_US - 1);
    cr_assert_eq(watch_state(r.watch), WATCH_STREAM);
    fake_advance(&r.fake, 1);
    fake_json(expect(&r, "limit=1&"), 200, LIST("10", "x", POD("a", "5")));
    t = expect(&r, "watch=1");
    cr_assert(fake_head(t, 200, "application/json", -1));
    fake_advance(&r.fake, WATCH_SILENT_US - 1);
    cr_assert_eq(watch_state(r.watch), WATCH_STREAM, "once");

    /* It says something: no more doubt. */
    fake_break(t);
    cr_assert(fake_next_timer(&r.fake));
    t = expect(&r, "watch=1");
    cr_assert(fake_head(t, 200, "application/json", -1));
    cr_assert(fake_data(t, EVENT("MODIFIED", POD("a", "11"))));
    fake_advance(&r.fake, WATCH_SILENT_US - 1);
    cr_assert_eq(watch_state(r.watch), WATCH_STREAM);
    rig_done(&r);
}

Test(watch, takes_no_blank_for_a_word)
{
    struct rig r;
    struct transfer *t;
    struct mono told_at;

    rig_init(&r);
    watch_start(r.watch);
    fake_json(expect(&r, "limit=500"), 200, LIST("10", "", POD("a", "5")));
    watch_set_silence(r.watch, 4 * US_PER_S);
    t = expect(&r, "resourceVersion=10");
    cr_assert(fake_head(t, 200, "application/json", -1));
    told_at = r.fake.now;
    for (int i = 0; i < 3; i++) {
        fake_advance(&r.fake, US_PER_S);
        cr_assert(fake_data(t, i == 1 ? EVENT("UNHEARD", POD("a", "11")) : "\n"));
    }
    cr_assert_eq(watch_stats(r.watch)->heard.us, told_at.us);
    cr_assert_eq(r.mirror.troubles, 0);
    fake_advance(&r.fake, US_PER_S);
    cr_assert_eq(r.mirror.troubles, 1, "who sends bytes all the time is not just silent");
    cr_assert(fake_next_timer(&r.fake));
    fake_json(expect(&r, "limit=50&fieldSelector"), 200, LIST("12", "", POD("b", "12")));
    cr_assert_eq(r.mirror.n, 1);
    cr_assert_str_eq(r.mirror.names[0], "b");

    /* The blank behind an event. */
    t = expect(&r, "resourceVersion=12");
    cr_assert(fake_head(t, 200, "application/json", -1));
    fake_advance(&r.fake, US_PER_S);
    cr_assert(fake_data(t, "\n"));
    fake_advance(&r.fake, 3 * US_PER_S);
    (void)expect(&r, "limit=1&");
    cr_assert_eq(r.mirror.troubles, 1);
    rig_done(&r);
}

/* Streams that say nothing beside probes, for as long as that is believed. The request behind it. */
static struct transfer *after_mute_streams(struct rig *r, const char *answer)
{
    struct transfer *t;
    struct mono since;

    rig_init(r);
    (void)into_stream(r);
    since = r->fake.now;
    for (;;) {
        cr_assert(fake_next_timer(&r->fake));
        t = expect(r, "limit=1&");
        fake_json(t, 200, answer);
        if (mono_since_us(since, r->fake.now) >= WATCH_UNPROVEN_US)
            return fake_pending(&r->fake);
        t = expect(r, "watch=1");
        cr_assert(fake_head(t, 200, "application/json", -1));
    }
}

Test(watch, lists_where_streams_never_tell_what_probes_find)
{
    struct rig r;

    cr_assert_not_null(
        strstr(after_mute_streams(&r, LIST("11", "x", POD("q", "11")))->path,
               "limit=50&fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed"
               "&resourceVersionMatch=NotOlderThan&resourceVersion=10"));
    fake_json(expect(&r, "limit=50&"), 200, LIST("12", "", POD("b", "12")));
    cr_assert_eq(r.mirror.n, 1);
    cr_assert_str_eq(r.mirror.names[0], "b");
    (void)expect(&r, "watch=1");
    rig_done(&r);

    cr_assert_not_null(
        strstr(after_mute_streams(&r, LIST("10", "x", POD("a", "5")))->path, "watch=1"),
        "nothing can have happened");
    rig_done(&r);
}

Test(watch, is_never_silent_for_longer_than_a_minute_nor_asks_every_moment)
{
    struct rig r;

    rig_init(&r);
    cr_assert_eq(watch_silence(r.watch), WATCH_SILENT_US);
    watch_set_silence(r.watch, INT64_MAX);
    cr_assert_eq(watch_silence(r.watch), WATCH_SILENT_US);
    watch_set_silence(r.watch, 1);
    cr_assert_eq(watch_silence(r.watch), WATCH_SILENT_MIN_US);
    rig_done(&r);
}

Test(watch, a_stream_is_given_a_minute_for_its_head)
{
    struct rig r;

    rig_init(&r);
    watch_start(r.watch);
    watch_set_silence(r.watch, US_PER_S);
    fake_json(expect(&r, "limit=500"), 200, LIST("10", "", POD("a", "5")));
    fake_advance(&r.fake, WATCH_SILENT_US - 1);
    cr_assert_eq(watch_state(r.watch), WATCH_STREAM);
    fake_advance(&r.fake, 1);
    cr_assert_eq(watch_state(r.watch), WATCH_PROBE);
    rig_done(&r);
}

Test(watch, gives_up_a_version_that_the_server_does_not_reach)
{
    struct rig r;
    struct transfer *t;

    rig_init(&r);
    (void)into_stream(&r);
    fake_advance(&r.fake, WATCH_SILENT_US);
    for (int i = 0; i < WATCH_TOO_LARGE_TRIES + 1; i++) {
        t = expect(&r, "resourceVersion=10");
        fake_reply(t, 504, "application/json", 1, TOO_LARGE);
        fake_advance(&r.fake, US_PER_S);
    }
    t = expect(&r, "limit=50&");
    cr_assert_null(strstr(t->path, "resourceVersion"), "%s", t->path);
    rig_done(&r);
}

Test(watch, lists_when_the_server_breaks_stream_after_stream)
{
    struct rig r;

    rig_init(&r);
    watch_start(r.watch);
    fake_json(expect(&r, "limit=500"), 200, LIST("10", "", POD("a", "5")));
    for (int i = 0; i < 3; i++) {
        fake_json(expect(&r, "watch=1"), 500, STATUS("500", "InternalError", ""));
        cr_assert(fake_next_timer(&r.fake));
    }
    fake_json(expect(&r, "resourceVersionMatch=NotOlderThan&resourceVersion=10"), 200,
              LIST("12", "", POD("a", "5")));
    (void)expect(&r, "resourceVersion=12");
    rig_done(&r);
}

Test(watch, goes_on_with_the_page_before_which_it_was_told_to_wait)
{
    struct rig r;

    rig_init(&r);
    watch_start(r.watch);
    fake_json(expect(&r, "limit=500"), 200, LIST("10", "tok", POD("a", "5")));
    fake_reply(expect(&r, "continue=tok"), 429, "text/plain", 7, "slow down");
    fake_advance(&r.fake, 7 * US_PER_S);
    fake_json(expect(&r, "continue=tok"), 200, LIST("10", "", POD("b", "6")));
    cr_assert_eq(r.mirror.begins, 1);
    cr_assert_eq(r.mirror.n, 2);
    rig_done(&r);
}

Test(watch, begins_the_list_again_when_its_token_expires)
{
    struct rig r;
    struct transfer *t;

    rig_init(&r);
    watch_start(r.watch);
    fake_json(expect(&r, "limit=500"), 200, LIST("10", "tok", POD("a", "5")));
    fake_json(expect(&r, "continue=tok"), 410, STATUS("410", "Expired", ""));
    t = expect(&r, "limit=50&");
    cr_assert_null(strstr(t->path, "continue"));
    cr_assert_eq(r.mirror.begins, 2);
    fake_json(t, 200, LIST("20", "", POD("b", "15")));
    cr_assert_eq(r.mirror.n, 1);
    cr_assert_str_eq(r.mirror.names[0], "b");
    rig_done(&r);
}

Test(watch, begins_the_list_again_when_its_token_never_pleases)
{
    struct rig r;

    rig_init(&r);
    watch_start(r.watch);
    fake_json(expect(&r, "limit=500"), 200, LIST("10", "tok", POD("a", "5")));
    for (int i = 0; i < 5; i++) { /* a broken connection is not the token's fault */
        fake_break(expect(&r, "continue=tok"));
        cr_assert(fake_next_timer(&r.fake));
    }
    for (int i = 0; i < 3; i++) {
        fake_json(expect(&r, "continue=tok"), 500, STATUS("500", "InternalError", ""));
        cr_assert(fake_next_timer(&r.fake));
    }
    cr_assert_null(strstr(expect(&r, "resourceVersion=10")->path, "continue"));
    cr_assert_eq(r.mirror.begins, 2);
    fake_json(expect(&r, "limit=50&"), 200, LIST("20", "", POD("b", "15")));
    cr_assert_eq(r.mirror.n, 1);
    (void)expect(&r, "watch=1");
    rig_done(&r);
}

/* Servers that are never done, without a failure of any wire. */
static const struct circle {
    const char *name, *stream; /* the stream's bytes; NULL: a 410 as answer */
    const char *list;          /* NULL: as it should be */
    int most;                  /* requests in a minute */
} circles[] = {
    {"every version is gone", NULL, NULL, 18},
    {"a bookmark, and the version is gone",
     EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"10\"}}")
         EVENT("ERROR", STATUS("410", "Expired", "")),
     NULL, 18},
    {"a bookmark, and the end", EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"10\"}}"),
     NULL, 10},
    {"a change, and the end", EVENT("MODIFIED", POD("a", "11")), NULL, 10},
    {"a page that leads to itself", "", LIST("10", "tok", POD("a", "5")), 18},
};

Test(watch, does_not_hurry_where_a_server_leads_in_circles)
{
    for (size_t i = 0; i < COUNT_OF(circles); i++) {
        const struct circle *row = &circles[i];
        struct rig r;
        int requests = 0;

        rig_init(&r);
        watch_start(r.watch);
        for (int64_t end_us = r.fake.now.us + 60 * US_PER_S; r.fake.now.us < end_us;) {
            struct transfer *t = fake_pending(&r.fake);

            check(&r, row->name);
            cr_assert_leq(requests, row->most, "%s: %d requests in less than a minute", row->name,
                          requests);
            requests += t != NULL;
            if (t == NULL)
                cr_assert(fake_next_timer(&r.fake));
            else if (strstr(t->path, "watch=1") == NULL)
                fake_json(t, 200, row->list != NULL ? row->list : LIST("10", "", POD("a", "5")));
            else if (row->stream == NULL)
                fake_json(t, 410, STATUS("410", "Expired", ""));
            else if (fake_head(t, 200, "application/json", -1) && fake_data(t, row->stream))
                fake_end(t);
        }
        rig_done(&r);
    }
}

Test(watch, does_not_hurry_a_server_that_is_behind_and_names_no_time)
{
    struct rig r;

    rig_init(&r);
    watch_start(r.watch);
    for (int i = 0; i < 3 * WATCH_TOO_LARGE_TRIES; i++) {
        fake_reply(expect(&r, "limit=500"), 504, "application/json", 0, TOO_LARGE);
        check(&r, "behind");
        cr_assert_eq(watch_state(r.watch), WATCH_LIST_LATER);
        cr_assert(fake_next_timer(&r.fake));
    }
    rig_done(&r);
}

Test(watch, ends_a_list_that_has_no_end)
{
    struct rig r;
    char page[200];
    int pages = 0;

    rig_init(&r);
    watch_start(r.watch);
    while (watch_state(r.watch) == WATCH_LIST && pages <= WATCH_MAX_PAGES) {
        (void)snprintf(page, sizeof page,
                       "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"10\","
                       "\"continue\":\"t%d\"},\"items\":[]}",
                       pages++);
        fake_json(fake_pending(&r.fake), 200, page);
    }
    cr_assert_eq(pages, WATCH_MAX_PAGES);
    cr_assert_eq(r.mirror.last_trouble.kind, ERR_LIMIT);
    cr_assert_eq(r.mirror.synceds, 0);
    cr_assert(fake_next_timer(&r.fake));
    cr_assert_null(strstr(expect(&r, "limit=50&")->path, "continue"));
    rig_done(&r);
}

/* What is no list of pods. */
static const struct stranger {
    const char *name;
    int status;
    const char *body;
    size_t known; /* objects that it may have brought */
} strangers[] = {
    {"a Status with 200", 200,
     "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"7\"},"
     "\"status\":\"Failure\",\"code\":500}",
     1},
    {"other objects", 200,
     "{\"kind\":\"ConfigMapList\",\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[" POD(
         "x", "3") "]}",
     1},
    {"other objects, said at the end", 200,
     "{\"items\":[" POD(
         "x", "3") "],\"metadata\":{\"resourceVersion\":\"7\"},\"kind\":\"ConfigMapList\"}",
     2},
    {"no kind at all", 200, "{\"metadata\":{\"resourceVersion\":\"7\"}}", 1},
    {"a part", 206, LIST("7", "", ""), 1},
};

Test(watch, takes_nothing_for_a_list_but_a_list_of_its_kind)
{
    for (size_t i = 0; i < COUNT_OF(strangers); i++) {
        const struct stranger *row = &strangers[i];
        struct rig r;

        rig_init(&r);
        (void)fake_data(into_stream(&r), EVENT("ERROR", STATUS("410", "Expired", "")));
        fake_json(expect(&r, "limit=50&"), row->status, row->body);
        cr_expect_eq(watch_state(r.watch), WATCH_LIST_LATER, "%s", row->name);
        cr_expect_eq(r.mirror.synceds, 1, "%s", row->name);
        cr_expect_eq(r.mirror.n, row->known, "%s: %zu objects", row->name, r.mirror.n);
        cr_expect_eq(r.mirror.last_trouble.kind, ERR_PROTOCOL, "%s: %s", row->name,
                     r.mirror.last_trouble.text);
        rig_done(&r);
    }
}

Test(watch, takes_no_list_of_another_kind_for_a_probe_s_answer)
{
    struct rig r;

    rig_init(&r);
    (void)into_stream(&r);
    fake_advance(&r.fake, WATCH_SILENT_US);
    fake_json(expect(&r, "limit=1&"), 200, "{\"kind\":\"NodeList\",\"metadata\":{}}");
    cr_assert_eq(watch_state(r.watch), WATCH_STREAM_LATER);
    rig_done(&r);
}

Test(watch, skips_and_counts_a_broken_object)
{
    struct rig r;

    rig_init(&r);
    r.mirror.refuse = "bad";
    watch_start(r.watch);
    fake_json(expect(&r, "limit=500"), 200, LIST("10", "", POD("bad", "4") "," POD("a", "5")));
    cr_assert_eq(watch_stats(r.watch)->broken, 1);
    cr_assert_eq(watch_stats(r.watch)->errors, 0);
    cr_assert_eq(r.mirror.n, 1);
    cr_assert_str_eq(r.mirror.last_trouble.text, "bad is broken");
    rig_done(&r);
}

Test(watch, may_be_stopped_by_its_handler_and_started_again)
{
    struct rig r;
    struct transfer *t;

    rig_init(&r);
    t = into_stream(&r);
    r.mirror.stop_at = r.watch;
    cr_assert_not(fake_data(t, EVENT("ADDED", POD("d", "11")) EVENT("ADDED", POD("e", "12"))));
    cr_assert_eq(watch_state(r.watch), WATCH_OFF);
    cr_assert_eq(r.mirror.n, 2, "nothing comes after a stop");
    cr_assert_eq(r.mirror.troubles, 0);
    check(&r, "stopped");
    r.mirror.stop_at = NULL;
    watch_start(r.watch);
    (void)expect(&r, "limit=50&");
    rig_done(&r);
}

/* A server with three pods at version 20; streams bring "d" once. Answers request by request, but breaks the n-th. */
static void serve(struct rig *r, int broken, bool midway)
{
    for (int turns = 0; turns < 100; turns++) {
        struct transfer *t = fake_pending(&r->fake);

        check(r, "served");
        if (t == NULL && watch_state(r->watch) == WATCH_STREAM && r->mirror.n == 4)
            return;
        if (t == NULL) {
            cr_assert(fake_next_timer(&r->fake), "nothing under way and nothing to wait for");
            continue;
        }

        bool breaks = t->number == broken;
        bool stream = strstr(t->path, "watch=1") != NULL;

        if (breaks && !midway) {
            fake_break(t);
        } else if (stream) {
            if (fake_head(t, 200, "application/json", -1) &&
                fake_data(t, EVENT("ADDED", POD("d", "21")) "{\"type\":") && breaks)
                fake_break(t);
        } else if (strstr(t->path, "continue=two") != NULL) {
            if (breaks && fake_head(t, 200, "application/json", -1) &&
                fake_data(t, "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"20\"},"
                             "\"items\":[" POD("c", "3") ","))
                fake_break(t);
            else if (!breaks)
                fake_json(t, 200, LIST("20", "", POD("c", "3")));
        } else {
            if (breaks && fake_head(t, 200, "application/json", -1) &&
                fake_data(t, "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"20\"},"
                             "\"items\":[" POD("a", "1") ","))
                fake_break(t);
            else if (!breaks)
                fake_json(t, 200, LIST("20", "two", POD("a", "1") "," POD("b", "2")));
        }
    }
    cr_assert_fail("no end in 100 turns");
}

Test(watch, arrives_at_the_same_state_whichever_request_fails)
{
    for (int broken = 0; broken <= 5; broken++) {
        for (int midway = 0; midway <= 1; midway++) {
            struct rig r;

            rig_init(&r);
            watch_start(r.watch);
            serve(&r, broken, midway != 0);
            cr_assert_eq(r.mirror.n, 4, "request %d broken", broken);
            cr_assert_eq(r.mirror.synceds, 1);
            cr_assert(watch_stats(r.watch)->synced);
            cr_assert_leq(r.mirror.troubles, 1);
            cr_assert_str_eq(watch_version(r.watch), "21");
            rig_done(&r);
        }
    }
}

/* ---- initial events ---- */

#define BOOKMARK(rv) EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"" rv "\"}}")
#define MARK(rv)                                                                                   \
    EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"" rv                                   \
                      "\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}")
#define INITIAL_OF(rv)                                                                             \
    "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=" rv

/* The request for initial events, with its head answered. */
static struct transfer *into_initial(struct rig *r)
{
    struct transfer *t = expect(r, "sendInitialEvents=true");

    cr_assert_eq(watch_state(r->watch), WATCH_INITIAL);
    cr_assert(fake_head(t, 200, "application/json", -1));
    return t;
}

static struct transfer *start_initial(struct rig *r)
{
    rig_init_as(r, true);
    watch_start(r->watch);
    return into_initial(r);
}

/* From refused initial events on: pages, and the stream behind them. */
static void expect_pages(struct rig *r, const char *where)
{
    struct transfer *t = expect(r, "pods?limit=");

    cr_assert_null(strstr(t->path, "sendInitialEvents"), "%s: %s", where, t->path);
    fake_json(t, 200, LIST("30", "", POD("z", "5")));
    cr_assert_eq(r->mirror.synceds, 1, "%s", where);
    cr_assert_eq(r->mirror.n, 1, "%s: %zu objects", where, r->mirror.n);
    cr_assert_eq(watch_stats(r->watch)->refused, 1, "%s", where);
    t = expect(r, "resourceVersion=30");
    cr_assert_null(strstr(t->path, "sendInitialEvents"), "%s: %s", where, t->path);
}

Test(watch, takes_all_that_there_is_from_the_stream_that_goes_on)
{
    static const size_t pieces[] = {0, 1, 7};

    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        struct rig r;
        struct transfer *t;

        rig_init_as(&r, true);
        r.fake.piece = pieces[i];
        watch_start(r.watch);
        t = expect(&r, "watch=1&allowWatchBookmarks=true&timeoutSeconds=");
        cr_assert_str_eq(strstr(t->path, "&sendInitialEvents"), "&" INITIAL_OF(""));
        cr_assert_not_null(strstr(t->path, "fieldSelector=status.phase%21%3DSucceeded"));
        cr_assert_str_eq(t->accept, CLIENT_PROTOBUF);
        (void)into_initial(&r);
        cr_assert(fake_data(t, EVENT("ADDED", POD("a", "5")) EVENT("ADDED", POD("b", "6"))));
        cr_assert_eq(r.mirror.synceds, 0);
        cr_assert(watch_stats(r.watch)->listing);
        cr_assert_not(watch_stats(r.watch)->connected);
        cr_assert_str_eq(watch_version(r.watch), "", "initial events have no order");
        cr_assert(fake_data(t, MARK("20")));
        cr_assert_eq(watch_state(r.watch), WATCH_STREAM);
        cr_assert_eq(r.mirror.synceds, 1);
        cr_assert_not(watch_stats(r.watch)->listing);
        cr_assert(watch_stats(r.watch)->connected);
        cr_assert_str_eq(watch_version(r.watch), "20");
        cr_assert_eq(watch_stats(r.watch)->events, 0);
        check(&r, "marked");

        cr_assert(fake_data(t, EVENT("ADDED", POD("c", "21")) EVENT("DELETED", POD("a", "22"))));
        cr_assert_eq(r.mirror.n, 2);
        cr_assert_str_eq(watch_version(r.watch), "22");
        cr_assert_eq(watch_stats(r.watch)->events, 2);
        fake_end(t);
        t = expect(&r, "resourceVersion=22");
        cr_assert_null(strstr(t->path, "sendInitialEvents"));
        cr_assert_eq(r.mirror.begins, 1);
        cr_assert_eq(watch_stats(r.watch)->relists, 0);
        cr_assert_eq(watch_stats(r.watch)->errors, 0);
        rig_done(&r);
    }
}

Test(watch, follows_changes_among_the_initial_events)
{
    struct rig r;
    struct transfer *t = start_initial(&r);

    cr_assert(fake_data(t, EVENT("ADDED", POD("a", "5")) EVENT("ADDED", POD("b", "6"))));
    cr_assert(fake_data(t, EVENT("DELETED", POD("a", "7")) EVENT("MODIFIED", POD("b", "8"))));
    cr_assert(fake_data(t, MARK("8")));
    cr_assert_eq(r.mirror.n, 1);
    cr_assert_str_eq(r.mirror.names[0], "b");
    rig_done(&r);
}

/* How a server says no, and what comes of it: pages at once, and no trouble told. */
static const struct refusal {
    const char *name;
    int status; /* 200: the body comes as a stream */
    const char *body;
} refusals[] = {
    {"the gate is off", 422,
     STATUS("422", "Invalid", ",\"details\":{\"causes\":[{\"field\":\"sendInitialEvents\"}]}")},
    {"the parameter is bad", 400, STATUS("400", "BadRequest", "")},
    {"etcd is too old", 200, EVENT("ERROR", STATUS("500", "InternalError", ""))},
    {"a bookmark without the mark", 200, EVENT("ADDED", POD("a", "5")) BOOKMARK("9")},
};

Test(watch, lists_in_pages_where_initial_events_are_refused)
{
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        const struct refusal *row = &refusals[i];
        struct rig r;
        struct transfer *t;

        rig_init_as(&r, true);
        watch_start(r.watch);
        t = expect(&r, INITIAL_OF(""));
        if (row->status != 200)
            fake_json(t, row->status, row->body);
        else
            (void)(fake_head(t, 200, "application/json", -1) && fake_data(t, row->body));
        cr_assert_eq(r.mirror.troubles, 0, "%s: %s", row->name, r.mirror.last_trouble.text);
        expect_pages(&r, row->name);
        cr_assert_eq(watch_stats(r.watch)->relists, 0, "%s", row->name);
        cr_assert_eq(watch_stats(r.watch)->errors, 0, "%s", row->name);
        rig_done(&r);
    }
}

Test(watch, does_not_wait_for_a_mark_that_never_comes)
{
    /* A server that ignores the parameters: quiet, or with changes all the time. */
    for (int busy = 0; busy <= 1; busy++) {
        struct rig r;
        struct transfer *t = start_initial(&r);

        cr_assert(fake_data(t, EVENT("ADDED", POD("a", "5"))));
        fake_advance(&r.fake, WATCH_MARK_US - US_PER_S);
        cr_assert(fake_data(t, EVENT("ADDED", POD("b", "6"))));
        check(&r, "silent");
        for (int i = 0; busy && i < 9; i++) {
            cr_assert(fake_data(t, EVENT("MODIFIED", POD("b", "7"))));
            fake_advance(&r.fake, US_PER_S);
        }
        cr_assert_eq(watch_state(r.watch), WATCH_INITIAL, "too soon");
        fake_advance(&r.fake, busy ? US_PER_S : WATCH_MARK_US);
        cr_assert_eq(r.mirror.troubles, 0);
        expect_pages(&r, busy ? "busy" : "quiet");
        rig_done(&r);
    }
}

Test(watch, does_not_wait_for_a_mark_behind_blanks)
{
    struct rig r;
    struct transfer *t = start_initial(&r);

    for (int64_t us = 0; us < WATCH_MARK_US; us += 2 * US_PER_S) {
        cr_assert(fake_data(t, "\n"), "too soon");
        fake_advance(&r.fake, 2 * US_PER_S);
    }
    expect_pages(&r, "blanks");
    rig_done(&r);
}

Test(watch, asks_for_initial_events_again_after_a_long_absence)
{
    struct rig r;
    struct transfer *t;

    rig_init_as(&r, true);
    watch_start(r.watch);
    fake_json(expect(&r, INITIAL_OF("")), 422, STATUS("422", "Invalid", ""));
    expect_pages(&r, "first");
    t = expect(&r, "resourceVersion=30");
    cr_assert(fake_head(t, 200, "application/json", -1));
    (void)fake_data(t, EVENT("ERROR", STATUS("410", "Expired", "")));
    t = expect(&r, "limit=50&");
    for (int64_t end_us = r.fake.now.us + WATCH_ABSENCE_US; r.fake.now.us < end_us;) {
        fake_break(expect(&r, "limit=50&"));
        cr_assert(fake_next_timer(&r.fake));
    }
    t = into_initial(&r);
    cr_assert(fake_data(t, EVENT("ADDED", POD("a", "45")) MARK("50")));
    cr_assert_eq(r.mirror.n, 1);
    cr_assert_eq(watch_state(r.watch), WATCH_STREAM);
    rig_done(&r);
}

Test(watch, begins_the_initial_events_anew_when_they_break_off)
{
    struct rig r;
    struct transfer *t = start_initial(&r);

    cr_assert(fake_data(t, EVENT("ADDED", POD("a", "50"))));
    fake_break(t);
    cr_assert_eq(r.mirror.troubles, 1);
    cr_assert(fake_next_timer(&r.fake));
    cr_assert_eq(r.mirror.begins, 2);
    (void)expect(&r, INITIAL_OF(""));
    t = into_initial(&r);
    cr_assert(fake_data(t, EVENT("ADDED", POD("b", "6"))));
    fake_end(t); /* in peace, yet before the mark */
    cr_assert_eq(r.mirror.troubles, 2);
    cr_assert_eq(r.mirror.synceds, 0);
    cr_assert(fake_next_timer(&r.fake));
    t = into_initial(&r);
    cr_assert(fake_data(t, EVENT("ADDED", POD("c", "7")) MARK("60")));
    cr_assert_eq(r.mirror.n, 1, "only what was named since the last beginning is there");
    cr_assert_str_eq(r.mirror.names[0], "c");
    rig_done(&r);
}

Test(watch, lists_in_pages_where_initial_events_always_break_off)
{
    struct rig r;
    struct transfer *t;

    rig_init_as(&r, true);
    watch_start(r.watch);
    for (int i = 0; i < 3; i++) {
        t = into_initial(&r);
        cr_assert(fake_data(t, EVENT("ADDED", POD("a", "5"))));
        fake_break(t);
        cr_assert(fake_next_timer(&r.fake));
    }
    expect_pages(&r, "three times");
    rig_done(&r);
}

Test(watch, asks_again_where_no_initial_event_came)
{
    struct rig r;

    rig_init_as(&r, true);
    watch_start(r.watch);
    for (int i = 0; i < 5; i++) {
        fake_break(expect(&r, INITIAL_OF("")));
        cr_assert(fake_next_timer(&r.fake));
    }
    (void)expect(&r, INITIAL_OF(""));
    fake_advance(&r.fake, WATCH_SILENT_US);
    cr_assert_eq(r.mirror.troubles, 6, "a minute without a head is a failure");
    cr_assert_eq(r.mirror.last_trouble.kind, ERR_NETWORK);
    cr_assert(fake_next_timer(&r.fake));
    (void)expect(&r, INITIAL_OF(""));
    cr_assert_eq(watch_stats(r.watch)->refused, 0);
    rig_done(&r);
}

Test(watch, takes_initial_events_again_when_history_is_gone)
{
    struct rig r;
    struct transfer *t = start_initial(&r);

    cr_assert(fake_data(t, EVENT("ADDED", POD("a", "5")) MARK("20")));
    (void)fake_data(t, EVENT("ERROR", STATUS("410", "Expired", "")));
    cr_assert_eq(r.mirror.begins, 2);
    (void)expect(&r, INITIAL_OF(""));
    t = into_initial(&r);
    cr_assert(fake_data(t, EVENT("ADDED", POD("z", "80")) MARK("90")));
    cr_assert_eq(r.mirror.n, 1);
    cr_assert_str_eq(r.mirror.names[0], "z");
    cr_assert_eq(watch_stats(r.watch)->relists, 1);
    rig_done(&r);
}

Test(watch, takes_initial_events_no_older_than_what_is_known)
{
    struct rig r;
    struct transfer *t = start_initial(&r);

    cr_assert(fake_data(t, EVENT("ADDED", POD("a", "5")) MARK("20")));
    for (int i = 0; i < 3; i++) {
        (void)fake_data(t, EVENT("ERROR", STATUS("500", "InternalError", "")));
        cr_assert(fake_next_timer(&r.fake));
        if (i == 2)
            break;
        t = expect(&r, "resourceVersion=20");
        cr_assert(fake_head(t, 200, "application/json", -1));
    }
    t = expect(&r, INITIAL_OF("20"));
    /* The server is behind: it says so, in the stream. */
    for (int i = 0; i < WATCH_TOO_LARGE_TRIES + 1; i++) {
        t = expect(&r, INITIAL_OF("20"));
        cr_assert(fake_head(t, 200, "application/json", -1));
        (void)fake_data(t, EVENT("ERROR", TOO_LARGE));
        fake_advance(&r.fake, US_PER_S);
    }
    t = expect(&r, "sendInitialEvents");
    cr_assert_str_eq(strstr(t->path, "&sendInitialEvents"), "&" INITIAL_OF(""));
    rig_done(&r);
}

Test(watch, lists_json_in_small_pages)
{
    struct rig r;
    struct transfer *t;

    rig_init_as(&r, true);
    watch_start(r.watch);
    fake_json(expect(&r, INITIAL_OF("")), 406, STATUS("406", "NotAcceptable", ""));
    t = expect(&r, "limit=50&");
    cr_assert_str_eq(t->accept, CLIENT_JSON);
    fake_json(t, 200, LIST("10", "tok", POD("a", "5")));
    (void)expect(&r, "limit=50&");
    fake_json(expect(&r, "continue=tok"), 200, LIST("10", "", POD("b", "6")));
    cr_assert_eq(r.mirror.n, 2);
    cr_assert_eq(watch_stats(r.watch)->relists, 1, "begun anew for the other format");
    rig_done(&r);
}

/* A proxy may turn protobuf into JSON without a word. */
Test(watch, goes_by_the_last_answer_s_form_in_the_size_of_pages)
{
    struct rig r;
    struct transfer *t;

    rig_init(&r);
    watch_start(r.watch);
    fake_json(expect(&r, "limit=500&"), 200, LIST("10", "tok", POD("a", "5")));
    t = expect(&r, "limit=50&");
    cr_assert_not_null(strstr(t->path, "continue=tok"), "%s", t->path);
    cr_assert_str_eq(t->accept, CLIENT_PROTOBUF, "protobuf is asked for again each time");
    fake_json(t, 200, LIST("10", "", POD("b", "6")));

    t = expect(&r, "resourceVersion=10");
    cr_assert(fake_head(t, 200, CLIENT_PROTOBUF ";stream=watch", -1));
    fake_break(t);
    cr_assert(fake_next_timer(&r.fake));
    fake_json(expect(&r, "resourceVersion=10"), 410, STATUS("410", "Expired", ""));
    (void)expect(&r, "limit=500&");
    rig_done(&r);
}

/* Answers as a proxy that knows no protobuf, breaks off, and is unheard of for so long; then the request that follows. */
static struct transfer *after_absence(struct rig *r, int64_t us)
{
    rig_init(r);
    watch_start(r->watch);
    fake_json(expect(r, "limit=500"), 406, STATUS("406", "NotAcceptable", ""));
    fake_json(expect(r, "limit=50&"), 200, LIST("10", "", POD("a", "5")));
    for (int64_t end_us = r->fake.now.us + us; r->fake.now.us < end_us;) {
        struct transfer *t = expect(r, "resourceVersion=10");

        cr_assert_str_eq(t->accept, CLIENT_JSON);
        fake_break(t);
        cr_assert(fake_next_timer(&r->fake));
    }
    return expect(r, "resourceVersion=10");
}

Test(watch, asks_for_protobuf_again_after_a_long_absence)
{
    struct rig r;

    cr_assert_str_eq(after_absence(&r, WATCH_ABSENCE_US / 2)->accept, CLIENT_JSON);
    rig_done(&r);
    cr_assert_str_eq(after_absence(&r, WATCH_ABSENCE_US)->accept, CLIENT_PROTOBUF);
    fake_json(expect(&r, "resourceVersion=10"), 415, STATUS("415", "UnsupportedMediaType", ""));
    cr_assert_str_eq(expect(&r, "resourceVersion=10")->accept, CLIENT_JSON);
    fake_json(expect(&r, "resourceVersion=10"), 410, STATUS("410", "Expired", ""));
    fake_json(expect(&r, "limit=50&"), 200, LIST("20", "", POD("b", "15")));
    cr_assert_eq(r.mirror.n, 1);
    rig_done(&r);
}

Test(watch, may_be_stopped_among_the_initial_events)
{
    struct rig r;
    struct transfer *t = start_initial(&r);

    r.mirror.stop_at = r.watch;
    cr_assert_not(fake_data(t, EVENT("ADDED", POD("a", "5")) MARK("20")));
    cr_assert_eq(watch_state(r.watch), WATCH_OFF);
    cr_assert_eq(r.mirror.synceds, 0);
    check(&r, "stopped");
    rig_done(&r);
}

/* As serve(), with initial events: "a", "b", "c" at version 20, then "d". */
static void serve_initial(struct rig *r, int broken, int after)
{
    static const char *const parts[] = {
        EVENT("ADDED", POD("a", "1")), EVENT("ADDED", POD("b", "2")), EVENT("ADDED", POD("c", "3")),
        MARK("20"), EVENT("ADDED", POD("d", "21"))};

    for (int turns = 0; turns < 100; turns++) {
        struct transfer *t = fake_pending(&r->fake);
        bool breaks = t != NULL && t->number == broken;
        bool up = true;

        check(r, "served");
        if (t == NULL && watch_state(r->watch) == WATCH_STREAM && r->mirror.n == 4)
            return;
        if (t == NULL) {
            cr_assert(fake_next_timer(&r->fake), "nothing under way and nothing to wait for");
            continue;
        }
        if (breaks && after < 0) {
            fake_break(t);
            continue;
        }
        up = fake_head(t, 200, "application/json", -1);
        for (int i = strstr(t->path, "sendInitial") != NULL ? 0 : 4; up && i < 5; i++) {
            up = !(breaks && i == after);
            if (!up)
                fake_break(t);
            else
                cr_assert(fake_data(t, parts[i]));
        }
    }
    cr_assert_fail("no end in 100 turns");
}

Test(watch, arrives_at_the_same_state_wherever_initial_events_break_off)
{
    for (int broken = 0; broken <= 3; broken++) {
        for (int after = -1; after <= 4; after++) {
            struct rig r;

            rig_init_as(&r, true);
            watch_start(r.watch);
            serve_initial(&r, broken, after);
            cr_assert_eq(r.mirror.n, 4, "request %d broken behind %d", broken, after);
            cr_assert_eq(r.mirror.synceds, 1);
            cr_assert_leq(r.mirror.troubles, 1);
            cr_assert_str_eq(watch_version(r.watch), "21");
            rig_done(&r);
        }
    }
}
