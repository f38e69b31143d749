#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/pods.h"
#include "base/alloc.h"
#include "tests/unit/agent/fake_kube.h"

/* The two watches of pods on a server that is played by hand, and on one that plays by chance. */

struct rig {
    struct fake fake;
    struct kube_config config;
    struct transport transport;
    struct timers timers;
    struct client *client;
    struct facts facts;
    struct pods *pods;
};

static void rig_init(struct rig *r)
{
    const struct podreq_rules rules = {0};

    *r = (struct rig){0};
    fake_init(&r->fake);
    r->transport = fake_transport(&r->fake);
    r->timers = fake_timers(&r->fake);
    r->client = client_new(&r->config, &r->transport, &r->timers);
    facts_init(&r->facts, &rules);
    r->pods = pods_new(r->client, &r->facts, 7);
    watch_start(pods_watch(r->pods));
}

static void rig_done(struct rig *r)
{
    pods_free(r->pods);
    facts_done(&r->facts);
    client_free(r->client);
    fake_done(&r->fake);
}

#define LIST(rv, token, items)                                                                     \
    "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"" rv "\",\"continue\":\"" token     \
    "\"},\"items\":[" items "]}"
#define POD(name, rv, node, reason)                                                                \
    "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"x\",\"uid\":\"" name                     \
    "\",\"resourceVersion\":\"" rv "\",\"creationTimestamp\":\"2026-10-01T10:00:00Z\"},\"spec\":{" \
    "\"nodeName\":\"" node                                                                         \
    "\",\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"1\"}}}]},"          \
    "\"status\":{\"phase\":\"Pending\",\"conditions\":[{\"type\":\"PodScheduled\",\"status\":"     \
    "\"False\",\"reason\":\"" reason "\"}]}}"
#define WAITS(name, rv)     POD(name, rv, "", "Unschedulable")
#define BOUND(name, rv)     POD(name, rv, "n1", "")
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define GONE                "{\"kind\":\"Status\",\"reason\":\"Expired\",\"message\":\"old\",\"code\":410}"

static bool is_small(const struct transfer *t)
{
    return strstr(t->path, "spec.nodeName") != NULL;
}

/* The request of one of the watches that is not answered. */
static struct transfer *pending(struct rig *r, bool small, const char *part)
{
    for (struct transfer *t = r->fake.transfers; t != NULL; t = t->next) {
        if (t->answering || is_small(t) != small)
            continue;
        cr_assert_not_null(strstr(t->path, part), "found %s, expected %s", t->path, part);
        return t;
    }
    cr_assert_fail("no request with %s of the %s watch", part, small ? "small" : "large");
    return NULL;
}

static struct transfer *stream(struct rig *r, bool small)
{
    struct transfer *t = pending(r, small, "watch=1");

    cr_assert(fake_head(t, 200, "application/json", -1));
    return t;
}

static void refuse_initial(struct rig *r)
{
    fake_json(pending(r, false, "sendInitialEvents"), 422, "{\"kind\":\"Status\",\"code\":422}");
}

/* The large watch lists anew, in pages. */
static void list_large(struct rig *r, const char *list)
{
    fake_json(pending(r, false, "pods?limit="), 200, list);
    (void)stream(r, false);
}

/* Up to the second list: the first named "a" bound and "b" waiting, and then history was gone. */
static void into_relist(struct rig *r)
{
    struct transfer *t;

    rig_init(r);
    refuse_initial(r);
    cr_assert_eq(watch_state(pods_waiting(r->pods)), WATCH_OFF,
                 "beside the first list it is no use");
    fake_json(pending(r, false, "pods?limit="), 200,
              LIST("10", "", BOUND("a", "5") "," WAITS("b", "6")));
    t = stream(r, false);
    (void)fake_data(t, EVENT("ERROR", GONE));
    cr_assert_eq(watch_state(pods_waiting(r->pods)), WATCH_LIST);
}

/* Up to both streams: "a" bound and "b" waiting at version 10 of the large one, 9 of the small. */
static void into_streams(struct rig *r, struct transfer **ret_large, struct transfer **ret_small)
{
    rig_init(r);
    refuse_initial(r);
    fake_json(pending(r, false, "pods?limit="), 200,
              LIST("10", "", BOUND("a", "5") "," WAITS("b", "6")));
    *ret_large = stream(r, false);
    fake_json(pending(r, true, "pods?limit="), 200, LIST("9", "", WAITS("b", "6")));
    *ret_small = stream(r, true);
}

static bool waits(const struct rig *r, const char *name)
{
    return cluster_find_pending(facts_cluster(&r->facts), uid_parse(sv_from(name))) != NULL;
}

static bool bound(const struct rig *r, const char *name)
{
    return cluster_pod_node(facts_cluster(&r->facts), uid_parse(sv_from(name))) != CLUSTER_NO_NODE;
}

static void verify(const struct rig *r, const char *where)
{
    char what[160];

    cr_assert(cluster_verify(facts_cluster(&r->facts), what, sizeof what), "%s: %s", where, what);
}

Test(pods, a_pod_that_waits_is_known_before_the_list_that_names_it)
{
    struct rig r;
    struct transfer *t;

    into_relist(&r);
    fake_json(pending(&r, true, "pods?limit="), 200,
              LIST("20", "", WAITS("b", "6") "," WAITS("c", "15")));
    cr_assert(waits(&r, "b"));
    cr_assert(waits(&r, "c"), "of the small list");
    t = stream(&r, true);
    cr_assert(fake_data(t, EVENT("ADDED", WAITS("d", "21"))));
    cr_assert(waits(&r, "d"), "of its stream");
    cr_assert(bound(&r, "a"), "the former account stays");
    fake_json(pending(&r, false, "pods?limit="), 200,
              LIST("20", "", BOUND("a", "5") "," WAITS("b", "6") "," WAITS("c", "15")));
    cr_assert_eq(watch_state(pods_waiting(r.pods)), WATCH_STREAM);
    cr_assert_eq(fake_count(&r.fake), 2);
    cr_assert_eq(cluster_pod_count(facts_cluster(&r.facts)), 4);
    verify(&r, "synced");
    rig_done(&r);
}

/* etcd was restored from a backup, and the small watch finds that first: the large one is silent. */
Test(pods, a_history_that_goes_back_is_listed_by_both)
{
    struct rig r;
    struct transfer *large, *small;

    into_streams(&r, &large, &small);
    (void)fake_data(small, EVENT("MODIFIED", WAITS("c", "15")));
    cr_assert(waits(&r, "c"));
    (void)fake_data(small, EVENT("ERROR", GONE));
    fake_json(pending(&r, true, "pods?limit="), 200,
              LIST("4", "", WAITS("b", "2") "," WAITS("d", "3")));
    fake_advance(&r.fake, 1);
    list_large(&r, LIST("5", "", BOUND("a", "1") "," WAITS("b", "2") "," WAITS("d", "3")));
    cr_assert(waits(&r, "d"), "what waits is known");
    cr_assert(!waits(&r, "c"), "it came behind the backup");
    fake_json(pending(&r, true, "pods?limit="), 200,
              LIST("5", "", WAITS("b", "2") "," WAITS("d", "3")));
    small = stream(&r, true);
    cr_assert(fake_data(small, EVENT("ADDED", WAITS("e", "6"))));
    cr_assert(waits(&r, "e"), "and what comes is known early");
    verify(&r, "put back");
    rig_done(&r);
}

/* It has been gone a moment before, too: the list waits, and pods are told of early all the same. */
Test(pods, pods_are_known_early_while_a_list_waits_to_begin)
{
    struct rig r;
    struct transfer *large, *small;

    into_streams(&r, &large, &small);
    (void)fake_data(large, EVENT("ERROR", GONE));
    fake_json(pending(&r, false, "pods?limit="), 200,
              LIST("20", "", BOUND("a", "5") "," WAITS("b", "6")));
    large = stream(&r, false);
    fake_json(pending(&r, true, "pods?limit="), 200, LIST("20", "", WAITS("b", "6")));
    small = stream(&r, true);
    (void)fake_data(large, EVENT("ERROR", GONE));
    cr_assert_eq(watch_state(pods_watch(r.pods)), WATCH_LIST_LATER);
    cr_assert(fake_data(small, EVENT("ADDED", WAITS("c", "21"))));
    cr_assert(waits(&r, "c"));
    verify(&r, "before the list");
    rig_done(&r);
}

/* "c" was told of by the small watch as waiting in version 15; what the list of version 20 and the stream behind it say. */
static const struct outcome {
    const char *name;
    const char *small; /* what the small stream says next */
    const char *list, *stream;
    bool waits, bound;               /* behind the list */
    bool waits_at_end, bound_at_end; /* behind the stream */
} outcomes[] = {
    {"still waits", "", WAITS("c", "15"), "", true, false, true, false},
    {"was bound", EVENT("DELETED", WAITS("c", "18")), BOUND("c", "18"), "", false, true, false,
     true},
    {"is gone", EVENT("DELETED", WAITS("c", "18")), "", "", false, false, false, false},
    {"is gone, and the small watch has not heard", "", "", "", false, false, false, false},
    {"was bound behind the list", EVENT("DELETED", WAITS("c", "25")), WAITS("c", "15"),
     EVENT("MODIFIED", BOUND("c", "25")), true, false, false, true},
    {"is gone behind the list", EVENT("DELETED", WAITS("c", "25")), WAITS("c", "15"),
     EVENT("DELETED", WAITS("c", "25")), true, false, false, false},
    {"changed behind the list", EVENT("MODIFIED", WAITS("c", "22")), POD("c", "12", "", ""),
     EVENT("MODIFIED", POD("c", "21", "", "")) EVENT("MODIFIED", WAITS("c", "22")), true, false,
     true, false},
    {"came behind the list", EVENT("MODIFIED", WAITS("c", "22")), "",
     EVENT("ADDED", POD("c", "21", "", "")) EVENT("MODIFIED", WAITS("c", "22")), true, false, true,
     false},
    {"came behind the list and went", EVENT("MODIFIED", WAITS("c", "22")), "",
     EVENT("ADDED", POD("c", "21", "", "")) EVENT("DELETED", WAITS("c", "23")), true, false, false,
     false},
};

Test(pods, whatever_the_two_watches_say_a_pod_counts_once)
{
    for (size_t i = 0; i < COUNT_OF(outcomes); i++) {
        const struct outcome *row = &outcomes[i];
        struct strbuf list;
        struct rig r;
        struct transfer *t;
        const struct pending_pod *c;

        into_relist(&r);
        fake_json(pending(&r, true, "pods?limit="), 200, LIST("19", "", WAITS("c", "15")));
        cr_assert(fake_data(stream(&r, true), row->small), "%s", row->name);
        cr_assert(waits(&r, "c"), "%s: the claim stands till the list", row->name);
        strbuf_init(&list, 1 << 16);
        (void)strbuf_addf(&list, LIST("20", "", "%s"), row->list);
        fake_json(pending(&r, false, "pods?limit="), 200, strbuf_str(&list));
        strbuf_done(&list);
        cr_assert_eq(waits(&r, "c"), row->waits, "%s", row->name);
        cr_assert_eq(bound(&r, "c"), row->bound, "%s", row->name);
        verify(&r, row->name);
        c = cluster_find_pending(facts_cluster(&r.facts), uid_parse(SV("c")));
        cr_assert(c == NULL || c->unschedulable, "%s: the list takes nothing back", row->name);
        t = stream(&r, false);
        cr_assert(fake_data(t, row->stream), "%s", row->name);
        c = cluster_find_pending(facts_cluster(&r.facts), uid_parse(SV("c")));
        cr_assert_eq(c != NULL, row->waits_at_end, "%s", row->name);
        cr_assert(c == NULL || c->unschedulable, "%s: what is newest counts", row->name);
        cr_assert_eq(bound(&r, "c"), row->bound_at_end, "%s", row->name);
        cr_assert_eq(cluster_pod_count(facts_cluster(&r.facts)),
                     row->waits_at_end || row->bound_at_end ? 1 : 0, "%s", row->name);
        verify(&r, row->name);
        rig_done(&r);
    }
}

Test(pods, who_is_bound_does_not_wait_whatever_the_small_watch_says_late)
{
    struct rig r;

    into_relist(&r);
    fake_json(pending(&r, true, "pods?limit="), 200, LIST("9", "", WAITS("a", "3")));
    cr_assert(bound(&r, "a"));
    cr_assert_not(waits(&r, "a"));
    rig_done(&r);
}

Test(pods, what_the_list_has_told_is_not_taken_back_by_the_small_watch)
{
    const struct pending_pod *c;
    struct rig r;

    into_relist(&r);
    fake_json(pending(&r, false, "pods?limit="), 200, LIST("20", "next", WAITS("c", "18")));
    fake_json(pending(&r, true, "pods?limit="), 200, LIST("16", "", POD("c", "15", "", "")));
    fake_json(pending(&r, false, "continue=next"), 200, LIST("20", "", BOUND("d", "5")));
    c = cluster_find_pending(facts_cluster(&r.facts), uid_parse(SV("c")));
    cr_assert(c != NULL && c->unschedulable);
    cr_assert_eq(cluster_pod_count(facts_cluster(&r.facts)), 2);
    rig_done(&r);
}

Test(pods, versions_that_are_no_numbers_take_nothing_early)
{
    struct rig r;

    into_relist(&r);
    fake_json(pending(&r, true, "pods?limit="), 200, LIST("9", "", WAITS("c", "v-3")));
    cr_assert_not(waits(&r, "c"));
    rig_done(&r);
}

Test(pods, a_list_that_begins_anew_begins_the_small_one_anew)
{
    struct rig r;

    into_relist(&r);
    fake_json(pending(&r, true, "pods?limit="), 200, LIST("20", "", WAITS("c", "15")));
    (void)stream(&r, true);
    fake_json(pending(&r, false, "pods?limit="), 200, LIST("20", "next", BOUND("a", "5")));
    fake_json(pending(&r, false, "continue=next"), 410, GONE);
    /* The second 410 in a row: the list waits a little. */
    cr_assert(waits(&r, "c"));
    cr_assert(fake_next_timer(&r.fake));
    fake_json(pending(&r, true, "pods?limit="), 200, LIST("30", "", ""));
    fake_json(pending(&r, false, "pods?limit="), 200, LIST("30", "", BOUND("a", "5")));
    cr_assert_eq(cluster_pod_count(facts_cluster(&r.facts)), 1, "what was told in vain is gone");
    verify(&r, "synced");
    rig_done(&r);
}

Test(pods, more_than_can_be_remembered_come_with_the_list)
{
    struct rig r;
    struct strbuf body;

    into_relist(&r);
    strbuf_init(&body, 8 << 20);
    (void)strbuf_addf(
        &body, "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"20\"},\"items\":[");
    for (int i = 0; i < PODS_MAX_EARLY + 10; i++)
        (void)strbuf_addf(&body,
                          "%s{\"metadata\":{\"name\":\"p%d\",\"uid\":\"p%d\",\"resourceVersion\":"
                          "\"%d\"},\"spec\":{\"containers\":[{\"name\":\"c\"}]},\"status\":{"
                          "\"phase\":\"Pending\"}}",
                          i != 0 ? "," : "", i, i, 30 + i);
    (void)strbuf_addf(&body, "]}");
    fake_json(pending(&r, true, "pods?limit="), 200, strbuf_str(&body));
    cr_assert_eq(cluster_pod_count(facts_cluster(&r.facts)), 2 + PODS_MAX_EARLY);
    fake_json(pending(&r, false, "pods?limit="), 200, strbuf_str(&body));
    cr_assert_eq(cluster_pod_count(facts_cluster(&r.facts)), PODS_MAX_EARLY + 10);
    verify(&r, "synced");
    strbuf_done(&body);
    rig_done(&r);
}

Test(pods, a_pod_that_waits_is_known_before_the_large_stream_is_read)
{
    struct transfer *large, *small;
    struct rig r;

    into_streams(&r, &large, &small);
    cr_assert(fake_data(small, EVENT("ADDED", WAITS("c", "12"))));
    cr_assert(waits(&r, "c"));
    cr_assert(fake_data(large, EVENT("ADDED", POD("c", "11", "", ""))));
    cr_assert(cluster_find_pending(facts_cluster(&r.facts), uid_parse(SV("c")))->unschedulable,
              "what is older takes nothing back");
    cr_assert(fake_data(large, EVENT("MODIFIED", WAITS("c", "12"))));
    cr_assert(fake_data(large, EVENT("MODIFIED", BOUND("c", "13"))));
    cr_assert(bound(&r, "c"));
    cr_assert(fake_data(large, EVENT("DELETED", BOUND("c", "14"))));
    cr_assert_eq(cluster_pod_count(facts_cluster(&r.facts)), 2);
    cr_assert(fake_data(small, EVENT("MODIFIED", WAITS("c", "13"))), "told late");
    cr_assert_not(waits(&r, "c"), "the large stream is beyond that");
    verify(&r, "at the end");
    rig_done(&r);
}

/* Nobody waits most of the time: to probe that would cost requests and connections for nothing. */
Test(pods, the_small_watch_is_probed_often_only_beside_a_list)
{
    struct transfer *large, *small;
    struct rig r;

    into_streams(&r, &large, &small);
    watch_set_silence(pods_watch(r.pods), 2 * US_PER_S);
    (void)fake_data(large, EVENT("ERROR", GONE));
    cr_assert_eq(watch_silence(pods_waiting(r.pods)), 2 * US_PER_S);
    fake_json(pending(&r, true, "pods?limit="), 200, LIST("20", "", WAITS("b", "6")));
    fake_json(pending(&r, false, "pods?limit="), 200, LIST("20", "", WAITS("b", "6")));
    cr_assert_eq(watch_silence(pods_waiting(r.pods)), WATCH_SILENT_US);
    rig_done(&r);
}

Test(pods, the_streams_go_on_however_much_was_told_early)
{
    struct transfer *large, *small;
    struct rig r;
    char text[512];

    into_streams(&r, &large, &small);
    for (int i = 0; i < 3 * PODS_MAX_EARLY; i++) {
        for (int k = 0; k < 2; k++) {
            (void)snprintf(text, sizeof text,
                           "{\"type\":\"%s\",\"object\":{\"metadata\":{\"name\":\"p\",\"uid\":"
                           "\"p%d\",\"resourceVersion\":\"%d\"},\"spec\":{\"containers\":[{"
                           "\"name\":\"c\"}]},\"status\":{\"phase\":\"Pending\"}}}\n",
                           k == 0 ? "ADDED" : "DELETED", i, 20 + 2 * i + k);
            if (k == 0) {
                cr_assert(fake_data(small, text));
                (void)snprintf(text + 400, 16, "p%d", i);
                cr_assert(waits(&r, text + 400), "pod %d", i);
                text[400] = '\0';
            }
            cr_assert(fake_data(large, text));
        }
    }
    cr_assert_eq(cluster_pod_count(facts_cluster(&r.facts)), 2);
    verify(&r, "at the end");
    rig_done(&r);
}

/* ---- by chance ---- */

enum { PODS = 6, EVENTS = 40, FEEDS = 4, STEPS = 4000 };

enum state { ABSENT, WAITING, REPORTED, ON_NODE };

/* What a request is given, piece by piece. */
struct feed {
    struct transfer *t;
    int number;            /* its own, since another one may come to lie where it was */
    uint64_t at;           /* up to here it was told */
    enum state seen[PODS]; /* a list's, or the beginning's, moment */
    int next;              /* pod of that moment; PODS: changes now */
    bool initial;
};

/* A server: version v is the change log[v] of one pod. Of one name there is a new pod each time it comes. */
struct server {
    struct rig r;
    uint64_t random;
    struct change {
        int pod, life;
        enum state before, now;
    } log[EVENTS + 2];
    uint64_t version;
    enum state state[PODS];
    int life[PODS];
    struct feed feeds[FEEDS];
    bool no_initial;
};

static uint64_t roll(struct server *s, uint64_t n)
{
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    return (s->random >> 33) % n;
}

static void change(struct server *s)
{
    static const enum state after[][2] = {[ABSENT] = {WAITING, WAITING},
                                          [WAITING] = {REPORTED, ABSENT},
                                          [REPORTED] = {ON_NODE, ABSENT},
                                          [ON_NODE] = {ABSENT, ABSENT}};
    int pod = (int)roll(s, PODS);
    struct change *c = &s->log[++s->version];

    s->life[pod] += s->state[pod] == ABSENT;
    *c = (struct change){.pod = pod,
                         .life = s->life[pod],
                         .before = s->state[pod],
                         .now = after[s->state[pod]][roll(s, 4) == 0]};
    s->state[pod] = c->now;
}

/* The version in which a pod came to be as it was at a moment. */
static uint64_t version_of(const struct server *s, int pod, uint64_t at)
{
    while (at > 0 && s->log[at].pod != pod)
        at--;
    return at;
}

static void moment(const struct server *s, uint64_t at, enum state to[static PODS])
{
    for (int i = 0; i < PODS; i++) {
        uint64_t v = version_of(s, i, at);

        to[i] = v != 0 ? s->log[v].now : ABSENT;
    }
}

static void put_pod(struct strbuf *out, int pod, int life, uint64_t version, enum state state)
{
    (void)strbuf_addf(
        out,
        "{\"metadata\":{\"name\":\"p%d\",\"uid\":\"p%d-%d\",\"resourceVersion\":\"%d\"},"
        "\"spec\":{\"nodeName\":\"%s\",\"containers\":[{\"name\":\"c\"}]},\"status\":{"
        "\"phase\":\"Pending\",\"conditions\":[{\"type\":\"PodScheduled\",\"status\":"
        "\"%s\",\"reason\":\"%s\"}]}}",
        pod, pod, life, (int)version, state == ON_NODE ? "n1" : "",
        state == REPORTED ? "False" : "True", state == REPORTED ? "Unschedulable" : "");
}

static bool matches(bool small, enum state state)
{
    return state != ABSENT && (!small || state != ON_NODE);
}

static void give(struct feed *f, const char *type, int pod, int life, uint64_t version,
                 enum state st)
{
    struct strbuf text;

    strbuf_init(&text, 4096);
    (void)strbuf_addf(&text, "{\"type\":\"%s\",\"object\":", type);
    put_pod(&text, pod, life, version, st);
    (void)strbuf_addf(&text, "}\n");
    if (!fake_data(f->t, strbuf_str(&text)))
        f->t = NULL;
    strbuf_done(&text);
}

static void give_change(struct server *s, struct feed *f)
{
    const struct change *c = &s->log[++f->at];
    bool small = is_small(f->t), before = matches(small, c->before), after = matches(small, c->now);

    if (after)
        give(f, before ? "MODIFIED" : "ADDED", c->pod, c->life, f->at, c->now);
    else if (before)
        give(f, "DELETED", c->pod, c->life, f->at, c->before);
}

static void give_mark(struct feed *f)
{
    char text[200];

    (void)snprintf(text, sizeof text,
                   "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"%d\","
                   "\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n",
                   (int)f->at);
    if (!fake_data(f->t, text))
        f->t = NULL;
}

/* The next piece of an answer that goes on. */
static void go_on(struct server *s, struct feed *f)
{
    if (f->next == PODS) {
        if (f->at < s->version)
            give_change(s, f);
        return;
    }
    int pod = f->next++;

    if (matches(is_small(f->t), f->seen[pod])) {
        uint64_t v = version_of(s, pod, f->at);

        give(f, "ADDED", pod, s->log[v].life, v, f->seen[pod]);
    }
    if (f->t != NULL && f->next == PODS)
        give_mark(f);
}

/* A list of the present moment; of the large watch in two pages. */
static void answer_list(struct server *s, struct transfer *t)
{
    static struct {
        uint64_t at;
    } paged;
    bool small = is_small(t), second = strstr(t->path, "continue=") != NULL;
    uint64_t at = second ? paged.at : s->version;
    enum state seen[PODS];
    struct strbuf body;
    bool first = true;

    if (!second && !small)
        paged.at = at;
    moment(s, at, seen);
    strbuf_init(&body, 1 << 16);
    (void)strbuf_addf(&body,
                      "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"%d\",\"continue\":"
                      "\"%s\"},\"items\":[",
                      (int)at, second || small ? "" : "more");
    for (int i = second ? PODS / 2 : 0; i < (second || small ? PODS : PODS / 2); i++) {
        uint64_t v = version_of(s, i, at);

        if (!matches(small, seen[i]))
            continue;
        if (!first)
            (void)strbuf_add_char(&body, ',');
        first = false;
        put_pod(&body, i, s->log[v].life, v, seen[i]);
    }
    (void)strbuf_addf(&body, "]}");
    fake_json(t, 200, strbuf_str(&body));
    strbuf_done(&body);
}

static struct feed *free_feed(struct server *s)
{
    for (int i = 0; i < FEEDS; i++)
        if (s->feeds[i].t == NULL)
            return &s->feeds[i];
    cr_assert_fail("more streams than two watches have");
    return NULL;
}

static void answer(struct server *s, struct transfer *t)
{
    const char *version = strstr(t->path, "resourceVersion=");
    bool initial = strstr(t->path, "sendInitialEvents") != NULL;

    if (initial && s->no_initial) {
        fake_json(t, 422, "{\"kind\":\"Status\",\"code\":422}");
    } else if (strstr(t->path, "watch=1") == NULL) {
        answer_list(s, t);
    } else if (fake_head(t, 200, "application/json", -1)) {
        struct feed *f = free_feed(s);

        *f = (struct feed){.t = t, .number = t->number, .next = initial ? 0 : PODS};
        if (initial)
            f->at = s->version;
        else
            cr_assert_eq(sscanf(version, "resourceVersion=%ld", (long *)&f->at), 1, "%s", t->path);
        moment(s, f->at, f->seen);
    }
}

/* Forgets the streams that the client has ended. */
static void reap(struct server *s)
{
    for (int i = 0; i < FEEDS; i++) {
        bool there = false;

        for (struct transfer *t = s->r.fake.transfers; t != NULL; t = t->next)
            there |= t == s->feeds[i].t && t->number == s->feeds[i].number;
        if (!there)
            s->feeds[i].t = NULL;
    }
}

static struct feed *some_feed(struct server *s)
{
    struct feed *f = &s->feeds[roll(s, FEEDS)];

    return f->t != NULL ? f : NULL;
}

static void act(struct server *s)
{
    struct transfer *t = fake_pending(&s->r.fake);
    struct feed *f = some_feed(s);

    if (t != NULL && roll(s, 3) == 0)
        answer(s, t);
    else if (f != NULL && roll(s, 2) == 0)
        go_on(s, f);
    else if (s->version < EVENTS && roll(s, 4) == 0)
        change(s);
    reap(s);
}

/* History is gone: whoever streams must list. */
static void expire(struct server *s, bool small)
{
    for (int i = 0; i < FEEDS; i++) {
        struct feed *f = &s->feeds[i];

        if (f->t == NULL || is_small(f->t) != small)
            continue;
        (void)fake_data(f->t, EVENT("ERROR", GONE));
        reap(s);
        return;
    }
}

static bool caught_up(struct server *s)
{
    if (fake_pending(&s->r.fake) != NULL || watch_stats(pods_watch(s->r.pods))->listing)
        return false;
    for (int i = 0; i < FEEDS; i++)
        if (s->feeds[i].t != NULL && !is_small(s->feeds[i].t) && s->feeds[i].at == s->version &&
            s->feeds[i].next == PODS)
            return true;
    return false;
}

/* Has one of the watches a request under way? */
static bool asks(const struct server *s, bool small)
{
    for (struct transfer *t = s->r.fake.transfers; t != NULL; t = t->next)
        if (is_small(t) == small)
            return true;
    return false;
}

static void settle(struct server *s)
{
    for (int i = 0; !caught_up(s); i++) {
        cr_assert_lt(i, STEPS, "the watches do not catch up");
        act(s);
        if (!asks(s, false) || !asks(s, true))
            (void)fake_next_timer(&s->r.fake);
        reap(s);
    }
}

static void compare(struct server *s, uint64_t seed)
{
    struct cluster *c = facts_cluster(&s->r.facts);
    size_t there = 0;
    char name[32];

    verify(&s->r, "caught up");
    for (int i = 0; i < PODS; i++) {
        (void)snprintf(name, sizeof name, "p%d-%d", i, s->life[i]);

        struct uid uid = uid_parse(sv_from(name));
        const struct pending_pod *p = cluster_find_pending(c, uid);
        enum state found = cluster_pod_node(c, uid) != CLUSTER_NO_NODE ? ON_NODE
                           : p == NULL                                 ? ABSENT
                           : p->unschedulable                          ? REPORTED
                                                                       : WAITING;

        there += s->state[i] != ABSENT;
        cr_assert_eq(found, s->state[i], "seed %llu: %s is %d, expected %d",
                     (unsigned long long)seed, name, (int)found, (int)s->state[i]);
    }
    cr_assert_eq(cluster_pod_count(c), there, "seed %llu: pods that are no more",
                 (unsigned long long)seed);
}

Test(pods, the_account_is_the_server_s_whatever_the_order_in_which_the_two_watches_are_heard)
{
    uint64_t seed = (uint64_t)time(NULL);

    for (int i = 0; i < 1000; i++, seed++) {
        struct server s = {.random = seed, .no_initial = i % 2 == 0};

        rig_init(&s.r);
        for (int k = 0; k < 10; k++)
            change(&s);
        settle(&s);
        compare(&s, seed);
        for (int k = 0; k < 3; k++) {
            expire(&s, roll(&s, 3) == 0);
            for (int n = 0; n < 60; n++)
                act(&s);
            settle(&s);
            compare(&s, seed);
        }
        rig_done(&s.r);
    }
}
