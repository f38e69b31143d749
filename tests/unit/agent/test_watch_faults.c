#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "agent/kube/watch.h"
#include "capacity/cluster.h"
#include "tests/pbmake.h"
#include "tests/unit/agent/fake_kube.h"

/*
 * One watch beside a server with a short history, over a connection that fails at every byte of every answer in turn. What
 * the watch brings goes into a cluster; in the end that must hold what the server holds, counted from scratch.
 *
 * The server's pods stand on node n1. At the first list its version is 20 and a to c are there; then come the changes below.
 */

enum { FIRST_VERSION = 20, LAST_VERSION = 26, LAST_PODS = 3, LAST_CORES = 12 };

static const struct change {
    int version;
    const char *type, *name;
    int cores;
} changes[] = {
    {1, "ADDED", "a", 1},    {2, "ADDED", "b", 2},     {3, "ADDED", "c", 3},
    {21, "ADDED", "d", 4},   {22, "MODIFIED", "b", 5}, {25, "BOOKMARK", "", 0},
    {26, "DELETED", "a", 1},
};

enum { ITEMS = 3 }; /* the first list's */

/* How an answer goes wrong behind its first bytes. */
enum fault {
    FAULT_BREAKS,  /* the connection does */
    FAULT_ENDS,    /* as if it had been whole */
    FAULT_GARBAGE, /* a byte is another one; all else comes as it should */
    FAULT_COUNT_
};
static const char *const fault_names[] = {"breaks", "ends", "garbage"};
_Static_assert(COUNT_OF(fault_names) == FAULT_COUNT_, "a fault has no name");

struct rig {
    struct fake fake;
    struct kube_config config;
    struct transport transport;
    struct timers timers;
    struct client *client;
    struct watch *watch;
    struct cluster *cluster;
    struct decoder decoder;
    enum decode_format format;
    bool initial; /* the server gives lists as initial events */

    bool moved_on; /* the server has reached its last version */
    /* What goes wrong: with this answer (from 1; 0: none), behind so many bytes. */
    int faulty;
    size_t at;
    enum fault fault;
    bool faulted;   /* it did */
    bool forgets;   /* the next watch is told that its version is gone */
    size_t longest; /* of the faulty answer: its bytes */
};

/* ---- the client ---- */

static void on_begin(void *self)
{
    cluster_list_begin(((struct rig *)self)->cluster, CLUSTER_PODS);
}

static bool on_object(void *self, enum watch_change change, enum decode_format format,
                      struct sv object, struct err *err)
{
    struct rig *r = self;
    struct pod_record pod;

    if (!decode_pod(&r->decoder, format, object, &pod, err))
        return false;
    if (change == WATCH_DELETE)
        (void)cluster_remove_pod(r->cluster, pod.uid);
    else
        (void)cluster_upsert_pod(r->cluster, &pod, CLUSTER_PAID, false);
    return true;
}

static void on_synced(void *self)
{
    (void)cluster_list_end(((struct rig *)self)->cluster, CLUSTER_PODS);
}

static void on_trouble(void *self UNUSED, const struct err *err)
{
    cr_assert_neq(err->kind, ERR_NONE, "trouble without a kind: %s", err->text);
}

static void rig_init(struct rig *r, enum decode_format format)
{
    *r = (struct rig){.format = format, .config = {.server = (char[]){"http://x"}, .plain = true}};
    fake_init(&r->fake);
    r->transport = fake_transport(&r->fake);
    r->timers = fake_timers(&r->fake);
    r->client = client_new(&r->config, &r->transport, &r->timers);
    r->cluster = cluster_new();
    decoder_init(&r->decoder, cluster_names(r->cluster), &(struct podreq_rules){0});
    r->watch = watch_new(
        r->client,
        &(struct watch_options){.path = WATCH_PODS_PATH, .list_kind = WATCH_PODS_KIND, .seed = 7},
        &(struct watch_handler){on_begin, on_object, on_synced, on_trouble, r});
}

static void rig_done(struct rig *r)
{
    watch_free(r->watch);
    decoder_done(&r->decoder);
    cluster_free(r->cluster);
    client_free(r->client);
    fake_done(&r->fake);
}

/* ---- what the server says ---- */

static void add_pod_json(const struct change *c, struct strbuf *out)
{
    if (strcmp(c->type, "BOOKMARK") == 0)
        (void)strbuf_addf(out, "{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"%d\"}}",
                          c->version);
    else
        (void)strbuf_addf(out,
                          "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"x\",\"uid\":\"%s\","
                          "\"resourceVersion\":\"%d\"},"
                          "\"spec\":{\"nodeName\":\"n1\",\"containers\":[{\"name\":\"m\","
                          "\"resources\":{\"requests\":"
                          "{\"cpu\":\"%d\"}}}]},\"status\":{\"phase\":\"Running\"}}",
                          c->name, c->name, c->version, c->cores);
}

static void add_pod_protobuf(const struct change *c, struct strbuf *out)
{
    struct strbuf part, inner;
    char text[16];

    strbuf_init(&part, 4096);
    strbuf_init(&inner, 4096);
    pbmake_str(&part, 1, c->name);
    pbmake_str(&part, 3, "x");
    pbmake_str(&part, 5, c->name);
    (void)snprintf(text, sizeof text, "%d", c->version);
    pbmake_str(&part, 6, text);
    pbmake_message(out, 1, &part);
    if (c->cores != 0) {
        (void)snprintf(text, sizeof text, "%d", c->cores);
        pbmake_quantity(&inner, 2, "cpu", text);
        pbmake_str(&part, 1, "m");
        pbmake_message(&part, 8, &inner);
        pbmake_message(&inner, 2, &part); /* the container */
        pbmake_str(&inner, 10, "n1");
        pbmake_message(out, 2, &inner);
        pbmake_str(&part, 1, "Running");
        pbmake_message(out, 3, &part);
    }
    strbuf_done(&part);
    strbuf_done(&inner);
}

static void add_pod(const struct rig *r, const struct change *c, struct strbuf *out)
{
    if (r->format == DECODE_JSON)
        add_pod_json(c, out);
    else
        add_pod_protobuf(c, out);
}

static void add_frame(const struct rig *r, const char *type, const char *kind, struct sv object,
                      struct strbuf *out)
{
    if (r->format == DECODE_JSON)
        (void)strbuf_addf(out, "{\"type\":\"%s\",\"object\":%.*s}\n", type, SV_ARG(object));
    else
        pbmake_watch_frame(out, type, kind, object);
}

static bool is_there(size_t i, int version)
{
    if (changes[i].version > version || strcmp(changes[i].type, "BOOKMARK") == 0 ||
        strcmp(changes[i].type, "DELETED") == 0)
        return false;
    for (size_t k = i + 1; k < COUNT_OF(changes) && changes[k].version <= version; k++)
        if (strcmp(changes[k].name, changes[i].name) == 0)
            return false;
    return true;
}

/* The items from `from` on, at most `limit`; more than that get a continue token. */
static void write_list(const struct rig *r, int version, size_t from, size_t limit,
                       struct strbuf *out)
{
    struct strbuf items, item, meta;
    const char *token = "";
    char text[16];
    size_t n = 0;

    strbuf_init(&items, 1 << 16);
    strbuf_init(&item, 1 << 16);
    strbuf_init(&meta, 1 << 16);
    for (size_t i = 0, at = 0; i < COUNT_OF(changes); i++) {
        if (!is_there(i, version) || at++ < from)
            continue;
        if (n == limit) {
            token = "two";
            break;
        }
        strbuf_clear(&item);
        add_pod(r, &changes[i], &item);
        if (r->format == DECODE_PROTOBUF)
            pbmake_message(&items, 2, &item);
        else
            (void)strbuf_addf(&items, "%s%s", n != 0 ? "," : "", strbuf_str(&item));
        n++;
    }
    (void)snprintf(text, sizeof text, "%d", version);
    if (r->format == DECODE_PROTOBUF) {
        pbmake_str(&meta, 2, text);
        pbmake_str(&meta, 3, token);
        strbuf_clear(&item);
        pbmake_message(&item, 1, &meta);
        (void)strbuf_add(&item, strbuf_sv(&items));
        pbmake_envelope(out, "PodList", strbuf_sv(&item));
    } else {
        (void)strbuf_addf(
            out,
            "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"%d\","
            "\"continue\":\"%s\"},\"items\":[%s]}",
            version, token, strbuf_str(&items));
    }
    strbuf_done(&items);
    strbuf_done(&item);
    strbuf_done(&meta);
}

static void write_gone(const struct rig *r, struct strbuf *out)
{
    struct strbuf status;

    strbuf_init(&status, 4096);
    if (r->format == DECODE_PROTOBUF) {
        pbmake_str(&status, 4, "Expired");
        pbmake_var(&status, 6, 410);
    } else {
        (void)strbuf_addf(&status, "{\"kind\":\"Status\",\"reason\":\"Expired\",\"code\":410}");
    }
    add_frame(r, "ERROR", "Status", strbuf_sv(&status), out);
    strbuf_done(&status);
}

static void write_events(const struct rig *r, long after, struct strbuf *out)
{
    struct strbuf object;

    strbuf_init(&object, 4096);
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        if (changes[i].version <= after)
            continue;
        strbuf_clear(&object);
        add_pod(r, &changes[i], &object);
        add_frame(r, changes[i].type, "Pod", strbuf_sv(&object), out);
    }
    strbuf_done(&object);
}

/* All there is as if it had just come, the mark, and what comes then. */
static void write_initial(const struct rig *r, struct strbuf *out)
{
    int version = r->moved_on ? LAST_VERSION : FIRST_VERSION;
    struct strbuf object, meta;
    char text[16];

    strbuf_init(&object, 4096);
    strbuf_init(&meta, 4096);
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        if (!is_there(i, version))
            continue;
        strbuf_clear(&object);
        add_pod(r, &changes[i], &object);
        add_frame(r, "ADDED", "Pod", strbuf_sv(&object), out);
    }
    strbuf_clear(&object);
    (void)snprintf(text, sizeof text, "%d", version);
    if (r->format == DECODE_PROTOBUF) {
        pbmake_str(&meta, 6, text);
        pbmake_entry(&meta, 12, "k8s.io/initial-events-end", "true");
        pbmake_message(&object, 1, &meta);
    } else {
        (void)strbuf_addf(
            &object,
            "{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"%d\",\"annotations\":{"
            "\"k8s.io/initial-events-end\":\"true\"}}}",
            version);
    }
    add_frame(r, "BOOKMARK", "Pod", strbuf_sv(&object), out);
    write_events(r, version, out);
    strbuf_done(&object);
    strbuf_done(&meta);
}

/* The query's resourceVersion; 0: none, -1: not one that a server could have given out. */
static long version_of(const char *path)
{
    const char *at = strstr(path, "resourceVersion=");
    char *end;
    long version;

    if (at == NULL)
        return 0;
    version = strtol(at + strlen("resourceVersion="), &end, 10);
    return version > 0 && version <= 1000000 && (*end == '\0' || *end == '&') ? version : -1;
}

static void refuse(struct transfer *t, int status, const char *reason, const char *cause)
{
    char body[200];

    (void)snprintf(
        body, sizeof body,
        "{\"kind\":\"Status\",\"code\":%d,\"reason\":\"%s\",\"details\":{\"causes\":[{\"reason\":"
        "\"%s\"}]}}",
        status, reason, cause);
    fake_json(t, status, body);
}

/* The answer's bytes; false: it was refused. */
static bool write_answer(struct rig *r, struct transfer *t, struct strbuf *out)
{
    bool stream = strstr(t->path, "watch=1") != NULL;
    long version = version_of(t->path);

    if (strstr(t->path, "sendInitialEvents") != NULL && r->initial) {
        write_initial(r, out);
        r->moved_on = true;
        return true;
    }
    if (strstr(t->path, "sendInitialEvents") != NULL) {
        refuse(t, 422, "Invalid", "");
        return false;
    }
    if (version < 0) {
        refuse(t, 400, "BadRequest", "");
        return false;
    }
    if (stream && r->forgets) {
        r->forgets = false;
        write_gone(r, out);
    } else if (stream) {
        r->moved_on = true;
        write_events(r, version, out);
    } else if (version > LAST_VERSION) {
        refuse(t, 504, "Timeout", "ResourceVersionTooLarge");
        return false;
    } else {
        write_list(r, r->moved_on ? LAST_VERSION : FIRST_VERSION,
                   strstr(t->path, "continue=") != NULL ? ITEMS - 1 : 0,
                   strstr(t->path, "limit=1&") != NULL ? 1 : ITEMS - 1, out);
    }
    return true;
}

/* ---- the wire ---- */

static void send_whole(struct transfer *t, struct sv bytes)
{
    if (fake_bytes(t, bytes) && strstr(t->path, "watch=1") == NULL)
        fake_end(t);
}

static void send_faulty(struct rig *r, struct transfer *t, struct strbuf *body)
{
    size_t at = r->at < body->len ? r->at : body->len;

    r->faulted = true;
    r->longest = body->len;
    if (r->fault == FAULT_GARBAGE) {
        if (at < body->len)
            body->at[at] = (char)(body->at[at] ^ (1 + (int)(at % 255)));
        /* Nobody can tell a wrong byte from a right one inside a text: the next list does. */
        r->forgets = true;
        if (fake_bytes(t, strbuf_sv(body)))
            fake_end(t);
        return;
    }
    if (!fake_bytes(t, (struct sv){.at = body->at, .len = at}))
        return;
    if (r->fault == FAULT_ENDS)
        fake_end(t);
    else
        fake_break(t);
}

static void serve(struct rig *r, struct transfer *t)
{
    bool stream = strstr(t->path, "watch=1") != NULL;
    struct strbuf body;

    strbuf_init(&body, 1 << 16);
    if (write_answer(r, t, &body) &&
        fake_head(t, 200,
                  r->format == DECODE_JSON ? "application/json"
                  : stream                 ? "application/vnd.kubernetes.protobuf;stream=watch"
                                           : "application/vnd.kubernetes.protobuf",
                  -1)) {
        if (t->number == r->faulty)
            send_faulty(r, t, &body);
        else
            send_whole(t, strbuf_sv(&body));
    }
    strbuf_done(&body);
}

/* ---- what must be so ---- */

static void check_always(const struct rig *r)
{
    char what[200];

    cr_assert(cluster_verify(r->cluster, what, sizeof what), "format %d, answer %d %s at %zu: %s",
              (int)r->format, r->faulty, fault_names[r->fault], r->at, what);
}

static int64_t cores(const struct rig *r)
{
    int64_t milli = 0;

    for (uint32_t i = 0; i < cluster_node_limit(r->cluster); i++) {
        const struct cluster_node *n = cluster_node(r->cluster, i);

        if (n != NULL)
            milli += cluster_sum_place(n, NODE_SUM_PAID, RESOURCE_CPU);
    }
    return milli / 1000;
}

static bool is_there_yet(const struct rig *r)
{
    return watch_state(r->watch) == WATCH_STREAM && strcmp(watch_version(r->watch), "26") == 0 &&
           (r->faulty == 0 || r->faulted) && !r->forgets;
}

static void add_node(struct rig *r)
{
    struct node_record n1 = {.name = SV("n1"), .ready = true};

    n1.allocatable.at[RESOURCE_CPU] = 100000;
    cluster_upsert_node(r->cluster, &n1);
}

/* Plays it to the end. Returns the length of the faulty answer, 0 if there was none of that number. */
static size_t play(enum decode_format format, bool initial, int faulty, size_t at, enum fault fault)
{
    struct rig r;
    size_t longest;

    rig_init(&r, format);
    add_node(&r);
    r.initial = initial;
    r.faulty = faulty;
    r.at = at;
    r.fault = fault;
    r.fake.piece = at % 11;
    watch_start(r.watch);
    for (int turns = 0; !is_there_yet(&r); turns++) {
        struct transfer *t = fake_pending(&r.fake);

        cr_assert(turns < 200, "format %d, answer %d %s at %zu: no end; %s from \"%s\"",
                  (int)format, faulty, fault_names[fault], at,
                  watch_state_name(watch_state(r.watch)), watch_version(r.watch));
        if (t != NULL)
            serve(&r, t);
        else if (faulty > r.fake.started && watch_state(r.watch) == WATCH_STREAM)
            break;
        else
            cr_assert(fake_next_timer(&r.fake), "nothing under way and nothing to wait for");
        check_always(&r);
    }
    longest = r.longest;
    if (faulty == 0 || longest != 0) {
        cr_assert_eq(cluster_pod_count(r.cluster), LAST_PODS,
                     "format %d, answer %d %s at %zu: %zu pods", (int)format, faulty,
                     fault_names[fault], at, cluster_pod_count(r.cluster));
        cr_assert_eq(cores(&r), LAST_CORES, "format %d, answer %d %s at %zu: %lld cores",
                     (int)format, faulty, fault_names[fault], at, (long long)cores(&r));
    }
    rig_done(&r);
    return longest;
}

/* Every byte of every answer of a run in which nothing fails. */
static size_t play_run(enum decode_format format, bool initial, enum fault fault)
{
    size_t played = 0, longest;

    (void)play(format, initial, 0, 0, fault);
    for (int faulty = 1; (longest = play(format, initial, faulty, 0, fault)) != 0; faulty++)
        for (size_t at = 1; at <= longest; at++, played++)
            (void)play(format, initial, faulty, at, fault);
    return played;
}

/* In both forms, by pages and by initial events. */
static void play_all(enum fault fault)
{
    for (int k = 0; k < 4; k++) {
        size_t played = play_run(k % 2 == 0 ? DECODE_PROTOBUF : DECODE_JSON, k / 2 != 0, fault);

        cr_assert_gt(played, 500, "only %zu bytes", played);
    }
}

Test(watch_faults, a_connection_cut_at_any_byte_costs_nothing)
{
    play_all(FAULT_BREAKS);
}

Test(watch_faults, an_answer_that_ends_at_any_byte_as_if_it_were_whole_costs_nothing)
{
    play_all(FAULT_ENDS);
}

Test(watch_faults, a_wrong_byte_anywhere_is_gone_with_the_next_list)
{
    play_all(FAULT_GARBAGE);
}
