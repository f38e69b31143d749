#include "tests/unit/agent/core.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

#define STEP_US (100 * US_PER_MS)
/* The default. */
#define STALE_US   (90 * US_PER_S)
#define LONGEST_US (400 * US_PER_S)
/* Nothing changed for so long: the end. */
#define PEACE_US (15 * US_PER_S)

enum { OUTAGE_CALLS = 20, MAX_ANSWER = 1 << 20 };

#define SCALE_OF(ns, name) "/apis/apps/v1/namespaces/" ns "/deployments/" name "/scale"
#define MINER              SCALE_OF("filler", "miner")

static const struct {
    int64_t at_us;
    const char *path, *body;
} steps[] = {
    {30 * US_PER_S, SCALE_OF("default", "web"), "{\"spec\":{\"replicas\":5}}"},
    {45 * US_PER_S, "/api/v1/nodes/n-2", "{\"spec\":{\"unschedulable\":true}}"},
    {55 * US_PER_S, "/api/v1/nodes/n-2", "{\"spec\":{\"unschedulable\":null}}"},
    {60 * US_PER_S, SCALE_OF("default", "web"), "{\"spec\":{\"replicas\":2}}"},
};

static const char *const fault_names[] = {
    [CORE_REFUSED] = "refused",     [CORE_LOST] = "lost",     [CORE_HALF] = "half",
    [CORE_HANGS] = "hangs",         [CORE_BROKEN] = "broken", [CORE_THROTTLED] = "throttled",
    [CORE_FORBIDDEN] = "forbidden", [CORE_GONE] = "gone",     [CORE_OUTAGE] = "outage",
};
_Static_assert(COUNT_OF(fault_names) == CORE_FAULT_COUNT_, "a fault has no name");

const char *core_fault_name(enum core_fault fault)
{
    return fault_names[fault];
}

/* ---- the agent ---- */

static void start_agent(struct core *c)
{
    struct err err = {0};

    c->machine = (struct fake_machine){.fake = &c->fake};
    fake_machine_use(&c->machine);
    c->options = (struct agent_options){
        .kube = {.kubeconfig = BRIM_SOURCE_ROOT "/tests/unit/agent/core_kubeconfig.yaml"},
        .listen = "",
        .policy = BRIM_SOURCE_ROOT "/tests/unit/agent/core_policy.yaml",
        .seed = 1};
    cr_assert(agent_new(&c->options, &c->agent, &err), "%s", err.text);
}

/* NULL until the API server's release is known. */
static const struct turn *turn_of(const struct core *c)
{
    return fake_machine_turn_self(&c->machine);
}

void core_restart(struct core *c)
{
    agent_free(c->agent);
    start_agent(c);
}

void core_init(struct core *c)
{
    struct err err = {0};

    *c = (struct core){.failing = 0};
    fake_init(&c->fake);
    c->began = c->heard = c->fake.now;
    c->world = world_new(&(struct world_config){
        .seed = 1, .speed = 1, .ring = 4096, .now = c->fake.now, .wall = c->fake.wall});
    cr_assert(scenario_load(c->world, BRIM_SOURCE_ROOT "/tests/pocket/scenarios/faults.yaml",
                            &c->scenario, &err),
              "%s", err.text);
    c->api = (struct api){.world = c->world, .random = 1};
    start_agent(c);
}

const struct turn_filler *core_filler(const struct core *c)
{
    return turn_of(c) != NULL ? turn_of(c)->fillers[0] : NULL;
}

/* ---- requests on their way to the server ---- */

struct request {
    char *text; /* owned: path and values without percent signs, one behind another */
    struct api_param params[API_MAX_PARAMS];
    struct api_request api;
};

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Writes the text without its percent signs to *to, which moves on. */
static struct sv unescape(char **to, struct sv text)
{
    char *from = *to;

    for (size_t i = 0; i < text.len; i++) {
        char byte = text.at[i];

        if (byte == '%' && i + 2 < text.len) {
            byte = (char)(hex(text.at[i + 1]) << 4 | hex(text.at[i + 2]));
            i += 2;
        }
        *(*to)++ = byte;
    }
    return (struct sv){.at = from, .len = (size_t)(*to - from)};
}

static void request_init(struct request *r, const char *method, const char *path,
                         const char *accept, const char *content_type, const char *body)
{
    struct sv head = sv_from(path), query = {0}, pair, key, value;
    char *to = r->text = xmalloc(strlen(path) + 1);
    size_t n = 0;

    (void)sv_cut(sv_from(path), '?', &head, &query);
    while (sv_next(&query, '&', &pair)) {
        cr_assert_lt(n, API_MAX_PARAMS);
        cr_assert(sv_cut(pair, '=', &key, &value));
        r->params[n++] = (struct api_param){.key = key, .value = unescape(&to, value)};
    }
    r->api = (struct api_request){.method = sv_from(method),
                                  .path = unescape(&to, head),
                                  .params = r->params,
                                  .n_params = n,
                                  .accept = sv_from(accept),
                                  .content_type = sv_from(content_type),
                                  .body = sv_from(body)};
}

static void request_done(struct request *r)
{
    free(r->text);
}

/* ---- what the server's own pods leave ---- */

static bool is_filler(const struct object *o)
{
    return sv_eq(o->is.ns, SV("filler"));
}

/* The server's pods, as a cluster of their own; filler and paid ones told apart by namespace. */
static struct cluster *recount(const struct core *c)
{
    struct cluster *truth = cluster_new();
    struct decoder decoder;
    struct strbuf text;

    decoder_init(&decoder, cluster_names(truth),
                 &(struct podreq_rules){.status = true, .pod_level = true});
    strbuf_init(&text, MAX_ANSWER);
    for (int k = 0; k < 2; k++) {
        struct listing *l = store_list(world_store(c->world), k == 0 ? KIND_NODES : KIND_PODS);

        for (size_t i = 0; i < l->n; i++) {
            struct node_record node;
            struct pod_record pod;

            strbuf_clear(&text);
            object_json(l->at[i], l->at[i]->version, true, &text);
            if (k == 0) {
                cr_assert(decode_node(&decoder, DECODE_JSON, strbuf_sv(&text), &node, NULL));
                cluster_upsert_node(truth, &node);
            } else {
                cr_assert(decode_pod(&decoder, DECODE_JSON, strbuf_sv(&text), &pod, NULL));
                (void)cluster_upsert_pod(truth, &pod, is_filler(l->at[i]) ? 0 : CLUSTER_PAID,
                                         false);
            }
        }
        listing_unref(l);
    }
    strbuf_done(&text);
    decoder_done(&decoder);
    return truth;
}

/* Filler pods of one core for which the nodes have room beside paid pods. */
static int64_t fit_of(const struct cluster *truth)
{
    int64_t fit = 0;

    for (uint32_t i = 0; i < cluster_node_limit(truth); i++) {
        const struct cluster_node *n = cluster_node(truth, i);
        int64_t left;

        if (n == NULL || n->unschedulable)
            continue;
        left = cluster_sum_place(n, NODE_SUM_ALLOCATABLE, RESOURCE_CPU) -
               cluster_sum_place(n, NODE_SUM_PAID, RESOURCE_CPU);
        fit += left > 0 ? left / 1000 : 0;
    }
    return fit;
}

static void note_fit(struct core *c)
{
    uint64_t version = store_version(world_store(c->world));

    if (version != c->fit_version) {
        struct cluster *truth = recount(c);

        c->fit = fit_of(truth);
        cluster_free(truth);
    }
    c->fit_version = version;
    c->fits[c->n_fits++ % CORE_FITS] = c->fit;
}

static int64_t most_fit(const struct core *c)
{
    int64_t most = 0;

    for (size_t i = 0; i < CORE_FITS && i < c->n_fits; i++)
        most = c->fits[i] > most ? c->fits[i] : most;
    return most;
}

int64_t core_replicas(const struct core *c)
{
    const struct object *o =
        store_find(world_store(c->world), KIND_DEPLOYMENTS, SV("filler"), SV("miner"));
    struct strbuf text;
    const char *at;
    long replicas = -1;

    strbuf_init(&text, MAX_ANSWER);
    object_json(o, o->version, true, &text);
    at = strstr(strbuf_str(&text), "\"replicas\":");
    cr_assert(at != NULL && sscanf(at, "\"replicas\":%ld", &replicas) == 1);
    strbuf_done(&text);
    return replicas;
}

/* ---- answers on their way back ---- */

static struct transfer *find_transfer(struct core *c, int number)
{
    struct transfer *t = c->fake.transfers;

    while (t != NULL && t->number != number)
        t = t->next;
    return t;
}

static void note_heard(struct core *c, const struct transfer *t)
{
    if (strncmp(t->path, "/api/v1/", 8) == 0)
        c->heard = c->fake.now;
}

static void keep_stream(struct core *c, int number, struct stream *stream, bool breaks)
{
    for (size_t i = 0; i < CORE_MAX_STREAMS; i++) {
        if (c->streams[i].number == 0) {
            c->streams[i] =
                (struct core_stream){.number = number, .stream = stream, .breaks = breaks};
            return;
        }
    }
    cr_assert_fail("more streams than ever");
}

static void drop_stream(struct core_stream *s)
{
    s->stream->free(s->stream);
    *s = (struct core_stream){0};
}

/* Gives on what a stream has. */
static void pump(struct core *c, struct core_stream *s)
{
    static char piece[64 << 10];

    for (;;) {
        struct transfer *t = find_transfer(c, s->number);
        ssize_t n;

        if (t == NULL) { /* cancelled */
            drop_stream(s);
            return;
        }
        n = s->stream->read(s->stream, piece, sizeof piece);
        if (n == STREAM_LATER)
            return;
        if (n == STREAM_END) {
            drop_stream(s);
            fake_end(t);
            return;
        }
        note_heard(c, t);
        if (!s->breaks) {
            (void)fake_bytes(t, (struct sv){.at = piece, .len = (size_t)n});
            continue;
        }
        drop_stream(s);
        if (fake_bytes(t, (struct sv){.at = piece, .len = (size_t)n / 2}))
            fake_break(t);
        return;
    }
}

static void pump_all(struct core *c)
{
    for (size_t i = 0; i < CORE_MAX_STREAMS; i++) {
        if (c->streams[i].number == 0)
            continue;
        pump(c, &c->streams[i]);
        fake_machine_turn(&c->machine);
    }
}

static void give_answer(struct core *c, struct transfer *t, struct api_answer *a, bool half)
{
    struct sv body = strbuf_sv(&a->body);
    int number = t->number;

    if (!fake_head(t, a->status, a->content_type, a->retry_after_s != 0 ? a->retry_after_s : -1)) {
        if (a->stream != NULL)
            a->stream->free(a->stream);
        return;
    }
    if (a->stream != NULL) {
        keep_stream(c, number, a->stream, half);
        return;
    }
    if (half)
        body.len /= 2;
    if (!fake_bytes(t, body))
        return;
    if (half)
        fake_break(t);
    else
        fake_end(t);
}

/* A write of the scale that was carried out: what it may not be. A late growth was right when it was sent. */
static void note_write(struct core *c, const char *content_type)
{
    bool grows = strcmp(content_type, CLIENT_JSON_PATCH) == 0;
    int64_t to = core_replicas(c);

    if (grows && c->slow_us == 0) {
        cr_assert_leq(to, most_fit(c), "call %d %s: %lld replicas where %lld fit", c->failing,
                      fault_names[c->fault], (long long)to, (long long)most_fit(c));
        cr_assert_leq(mono_since_us(c->heard, c->fake.now), STALE_US,
                      "call %d %s: growth on stale facts", c->failing, fault_names[c->fault]);
    }
    if (c->n_writes < CORE_MAX_WRITES)
        c->writes[c->n_writes] =
            (struct core_write){.at_us = mono_since_us(c->began, c->fake.now), .to = to};
    c->n_writes++;
}

static bool is_scale_patch(const struct transfer *t)
{
    return strcmp(t->method, "PATCH") == 0 && strncmp(t->path, MINER, strlen(MINER)) == 0;
}

static void handle(struct core *c, const char *method, const char *path, const char *accept,
                   const char *content_type, const char *body, struct api_answer *a)
{
    struct request r;

    request_init(&r, method, path, accept, content_type, body);
    api_handle(&c->api, &r.api, a);
    cr_assert(!a->wait);
    request_done(&r);
}

static void carry_out(struct core *c, const struct transfer *t, struct api_answer *a)
{
    handle(c, t->method, t->path, t->accept, t->content_type, t->body, a);
    if (is_scale_patch(t) && a->status == 200)
        note_write(c, t->content_type);
}

static void answer_drop(struct api_answer *a)
{
    if (a->stream != NULL)
        a->stream->free(a->stream);
    strbuf_done(&a->body);
}

static void fail(struct core *c, struct transfer *t)
{
    struct api_answer a = {0};

    c->failed = true;
    if (c->fault == CORE_LOST || c->fault == CORE_HALF || c->fault == CORE_HANGS)
        carry_out(c, t, &a);
    switch (c->fault) {
    case CORE_REFUSED:
    case CORE_OUTAGE:
    case CORE_LOST:
        fake_break(t);
        break;
    case CORE_HALF:
        give_answer(c, t, &a, true);
        a.stream = NULL;
        break;
    case CORE_HANGS:
        c->hanging = t->number;
        c->hangs = mono_plus_us(c->fake.now, t->timeout_us != 0 ? t->timeout_us : LONGEST_US);
        t->answering = true;
        break;
    case CORE_BROKEN:
        fake_json(t, 500, "{\"kind\":\"Status\",\"code\":500,\"reason\":\"InternalError\"}");
        break;
    case CORE_THROTTLED:
        fake_reply(t, 429, "text/plain", 2, "Too many requests, please try again later.\n");
        break;
    case CORE_FORBIDDEN:
        fake_json(t, 403, "{\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\"}");
        break;
    case CORE_GONE:
        fake_json(t, 410, "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}");
        break;
    case CORE_FAULT_COUNT_:
        break;
    }
    answer_drop(&a);
}

/* ---- a server that takes its time ---- */

static void put_off(struct core *c, const struct transfer *t)
{
    struct mono due = mono_plus_us(c->fake.now, random_in(c->random, 0, c->slow_us));
    size_t i = 0;

    while (i < CORE_MAX_SLOW && c->slow[i].number != 0)
        i++;
    cr_assert_lt(i, CORE_MAX_SLOW, "more writes on their way than ever");
    c->slow[i] = (struct core_slow){
        .number = t->number,
        .method = xstrdup(t->method),
        .path = xstrdup(t->path),
        .accept = xstrdup(t->accept),
        .content_type = xstrdup(t->content_type),
        .body = xstrdup(t->body),
        .due = due,
        .answer_due = mono_plus_us(due, random_in(c->random, 0, c->slow_us)),
        .given_up = mono_plus_us(c->fake.now, t->timeout_us),
    };
}

static void slow_drop(struct core_slow *s)
{
    if (s->carried_out)
        answer_drop(&s->answer);
    free(s->method);
    free(s->path);
    free(s->accept);
    free(s->content_type);
    free(s->body);
    *s = (struct core_slow){0};
}

static void carry_out_late(struct core *c, struct core_slow *s)
{
    handle(c, s->method, s->path, s->accept, s->content_type, s->body, &s->answer);
    s->carried_out = true;
    if (s->answer.status == 200)
        note_write(c, s->content_type);
}

static void pump_slow(struct core *c)
{
    for (size_t i = 0; i < CORE_MAX_SLOW; i++) {
        struct core_slow *s = &c->slow[i];
        struct transfer *t = s->number != 0 ? find_transfer(c, s->number) : NULL;

        if (s->number == 0)
            continue;
        if (!s->carried_out && c->fake.now.us >= s->due.us)
            carry_out_late(c, s);
        if (t != NULL && c->fake.now.us >= s->given_up.us)
            fake_break(t);
        else if (t != NULL && s->carried_out && c->fake.now.us >= s->answer_due.us)
            give_answer(c, t, &s->answer, false);
        if (s->carried_out && find_transfer(c, s->number) == NULL)
            slow_drop(s);
        fake_machine_turn(&c->machine);
    }
}

size_t core_slow_count(const struct core *c)
{
    size_t n = 0;

    for (size_t i = 0; i < CORE_MAX_SLOW; i++)
        n += c->slow[i].number != 0;
    return n;
}

static void answer(struct core *c, struct transfer *t)
{
    int last = c->failing + (c->fault == CORE_OUTAGE ? OUTAGE_CALLS - 1 : 0);
    struct api_answer a;

    if (c->slow_us != 0 && is_scale_patch(t)) {
        put_off(c, t);
        t->answering = true;
        return;
    }

    if (c->failing != 0 && t->number >= c->failing && t->number <= last) {
        fail(c, t);
        return;
    }
    carry_out(c, t, &a);
    give_answer(c, t, &a, false);
    a.stream = NULL;
    answer_drop(&a);
}

/* ---- time ---- */

static void patch(struct core *c, const char *path, const char *body)
{
    struct api_answer a;

    handle(c, "PATCH", path, CLIENT_JSON, CLIENT_MERGE_PATCH, body, &a);
    cr_assert_eq(a.status, 200, "%s", strbuf_str(&a.body));
    answer_drop(&a);
}

/* What is done to the cluster by others. */
static void happen(struct core *c)
{
    int64_t us = mono_since_us(c->began, c->fake.now);

    for (; c->done_steps < COUNT_OF(steps) && us >= steps[c->done_steps].at_us; c->done_steps++)
        patch(c, steps[c->done_steps].path, steps[c->done_steps].body);
}

static void scale(struct core *c, const char *path, int64_t replicas)
{
    char body[64];

    (void)snprintf(body, sizeof body, "{\"spec\":{\"replicas\":%lld}}", (long long)replicas);
    patch(c, path, body);
}

void core_scale_web(struct core *c, int64_t replicas)
{
    scale(c, SCALE_OF("default", "web"), replicas);
}

void core_scale_filler(struct core *c, int64_t replicas)
{
    scale(c, MINER, replicas);
}

static void end_hanging(struct core *c)
{
    struct transfer *t = find_transfer(c, c->hanging);

    if (c->hanging == 0 || (t != NULL && c->fake.now.us < c->hangs.us))
        return;
    c->hanging = 0;
    if (t != NULL)
        fake_break(t);
}

void core_step(struct core *c)
{
    char what[200];

    fake_advance(&c->fake, STEP_US);
    world_advance(c->world, c->fake.now);
    happen(c);
    note_fit(c);
    end_hanging(c);
    pump_slow(c);
    fake_machine_look(&c->machine);
    fake_machine_turn(&c->machine);
    for (struct transfer *t = fake_pending(&c->fake); t != NULL; t = fake_pending(&c->fake)) {
        answer(c, t);
        fake_machine_turn(&c->machine);
    }
    pump_all(c);
    if (turn_of(c) != NULL)
        cr_assert(cluster_verify(facts_cluster(turn_of(c)->parts.facts), what, sizeof what), "%s",
                  what);
}

static int64_t sum_of(const struct cluster *c, bool filler)
{
    int64_t milli = 0;

    for (uint32_t i = 0; i < cluster_node_limit(c); i++) {
        const struct cluster_node *n = cluster_node(c, i);

        if (n != NULL)
            milli += cluster_sum_place(n, filler ? NODE_SUM_FILLER : NODE_SUM_PAID, RESOURCE_CPU);
    }
    return milli;
}

/* Is all filler that is asked for bound? What was not let in is tried again for a minute. */
static bool is_whole(const struct core *c)
{
    struct cluster *truth = recount(c);
    bool whole = sum_of(truth, true) == core_replicas(c) * 1000;

    cluster_free(truth);
    return whole;
}

/* Has the agent nothing to wait for? */
static bool is_at_rest(const struct core *c)
{
    const struct turn *t = turn_of(c);

    return t != NULL && watch_stats(t->parts.pods)->connected &&
           watch_stats(t->parts.nodes)->connected &&
           t->fillers[0]->decision.reason == REASON_STEADY;
}

void core_run(struct core *c)
{
    uint64_t version = 0;
    struct mono changed = c->fake.now;

    for (;;) {
        uint64_t now_version;

        core_step(c);
        now_version = store_version(world_store(c->world));
        if (now_version != version) {
            version = now_version;
            changed = c->fake.now;
        }
        if (c->done_steps == COUNT_OF(steps) && c->hanging == 0 &&
            mono_since_us(changed, c->fake.now) >= PEACE_US && is_at_rest(c) && is_whole(c))
            return;
        cr_assert_lt(mono_since_us(c->began, c->fake.now), 2 * LONGEST_US, "call %d %s: no end",
                     c->failing, fault_names[c->fault]);
    }
}

void core_check_end(struct core *c)
{
    struct cluster *truth = recount(c);
    const struct cluster *seen = facts_cluster(turn_of(c)->parts.facts);

    cr_assert_eq(cluster_pod_count(seen), cluster_pod_count(truth), "call %d %s: %zu pods of %zu",
                 c->failing, fault_names[c->fault], cluster_pod_count(seen),
                 cluster_pod_count(truth));
    cr_assert_eq(cluster_node_count(seen), cluster_node_count(truth));
    for (int filler = 0; filler < 2; filler++)
        cr_assert_eq(sum_of(seen, filler != 0), sum_of(truth, filler != 0),
                     "call %d %s: %s is %lld, expected %lld", c->failing, fault_names[c->fault],
                     filler != 0 ? "filler" : "paid", (long long)sum_of(seen, filler != 0),
                     (long long)sum_of(truth, filler != 0));
    cr_assert_eq(sum_of(truth, true), core_replicas(c) * 1000,
                 "call %d %s: %lld of %lld filler pods are bound", c->failing,
                 fault_names[c->fault], (long long)sum_of(truth, true) / 1000,
                 (long long)core_replicas(c));
    cluster_free(truth);
}

void core_done(struct core *c)
{
    agent_free(c->agent);
    for (size_t i = 0; i < CORE_MAX_SLOW; i++) {
        if (c->slow[i].number != 0)
            slow_drop(&c->slow[i]);
    }
    for (size_t i = 0; i < CORE_MAX_STREAMS; i++)
        if (c->streams[i].number != 0)
            c->streams[i].stream->free(c->streams[i].stream);
    world_free(c->world);
    scenario_free(c->scenario);
    fake_done(&c->fake);
}
