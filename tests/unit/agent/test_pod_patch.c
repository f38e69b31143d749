#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "agent/kube/pod_patch.h"
#include "base/alloc.h"
#include "tests/unit/agent/fake_kube.h"

#define UID "00000000-0000-4000-8000-000000000007"

/* What the patches ended with. */
struct seen {
    int calls;
    int outcomes[POD_PATCH_OUTCOME_COUNT_];
    enum pod_patch_outcome outcome; /* of the last, as the next three */
    struct uid uid;
    enum err_kind kind;
    char text[256];
};

static void on_end(void *self, const struct pod_patch_result *r)
{
    struct seen *s = self;

    s->calls++;
    s->outcomes[r->outcome]++;
    s->outcome = r->outcome;
    s->uid = r->uid;
    s->kind = r->err != NULL ? r->err->kind : ERR_NONE;
    (void)snprintf(s->text, sizeof s->text, "%s", r->err != NULL ? r->err->text : "");
    cr_assert_eq(r->outcome == POD_PATCH_DONE, r->err == NULL);
}

struct rig {
    struct fake fake;
    struct kube_config config;
    struct transport transport;
    struct timers timers;
    struct client *client;
    struct pod_patcher *patcher;
    struct seen seen;
};

static void rig_init(struct rig *r)
{
    *r = (struct rig){0};
    fake_init(&r->fake);
    r->transport = fake_transport(&r->fake);
    r->timers = fake_timers(&r->fake);
    r->client = client_new(&r->config, &r->transport, &r->timers);
    r->patcher = pod_patcher_new(r->client, "filler");
}

static void rig_done(struct rig *r)
{
    pod_patcher_free(r->patcher);
    client_free(r->client);
    fake_done(&r->fake);
}

static const struct pod_rules no_rules = {0};

static struct pod_patch_pod pod_named(const char *name)
{
    return (struct pod_patch_pod){
        .name = sv_from(name), .uid = uid_parse(SV(UID)), .rules = &no_rules};
}

static struct pod_patch *let_in(struct rig *r, const char *name)
{
    const struct pod_patch_pod pod = pod_named(name);

    return pod_patch_let_in(r->patcher, &pod, SV("n1"), on_end, &r->seen);
}

static struct pod_patch *cost(struct rig *r, const char *name, int32_t value)
{
    const struct pod_patch_pod pod = pod_named(name);

    return pod_patch_cost(r->patcher, &pod, value, on_end, &r->seen);
}

#define STATUS(code, reason, message)                                                              \
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"" message     \
    "\",\"reason\":\"" reason "\",\"code\":" #code "}"

/* The oldest request is for this pod, and gets this answer. */
static void answer(struct rig *r, const char *name, int status, const char *body)
{
    char path[256];

    (void)snprintf(path, sizeof path, "/api/v1/namespaces/filler/pods/%s?fieldManager=brim", name);
    cr_assert_not_null(fake_pending(&r->fake));
    cr_assert_str_eq(fake_pending(&r->fake)->path, path);
    fake_json(fake_pending(&r->fake), status, body);
}

#define LET_IN(gates, terms)                                                                       \
    "{\"metadata\":{\"uid\":\"" UID "\"},\"spec\":{\"schedulingGates\":" gates                     \
    ",\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{"        \
    "\"nodeSelectorTerms\":[" terms "]}}}}}"
#define HERE "{\"key\":\"metadata.name\",\"operator\":\"In\",\"values\":[\"n1\"]}"

Test(pod_patch, lets_a_pod_in_with_one_patch)
{
    struct rig r;
    struct transfer *t;

    rig_init(&r);
    (void)let_in(&r, "a");
    t = fake_pending(&r.fake);
    cr_assert_str_eq(t->method, "PATCH");
    cr_assert_str_eq(t->content_type, "application/merge-patch+json");
    cr_assert_eq(t->channel, CHANNEL_PODS);
    cr_assert_str_eq(t->body, LET_IN("null", "{\"matchFields\":[" HERE "]}"));
    answer(&r, "a", 200, "{}");
    cr_assert_eq(r.seen.calls, 1);
    cr_assert_eq(r.seen.outcome, POD_PATCH_DONE, "%s", r.seen.text);
    cr_assert(uid_eq(r.seen.uid, uid_parse(SV(UID))));
    rig_done(&r);
}

static const struct sv zones[] = {SV("a"), SV("b \"2\"")}, other_node[] = {SV("n9")};
static const struct requirement zone = {SV("zone"), OP_IN, zones, 2};
static const struct requirement fast = {SV("fast"), OP_EXISTS, NULL, 0};
static const struct requirement odd = {SV("odd"), OP_INVALID, zones, 1};
static const struct requirement not_there = {SV("metadata.name"), OP_NOT_IN, other_node, 1};
static const struct requirement both[] = {{SV("zone"), OP_IN, zones, 2},
                                          {SV("size"), OP_GT, zones, 1}};
static const struct node_term terms_one[] = {{both, 2, NULL, 0}};
static const struct node_term terms_three[] = {
    {&zone, 1, &not_there, 1}, {NULL, 0, NULL, 0}, {&fast, 1, NULL, 0}};
static const struct node_term terms_field[] = {{NULL, 0, &not_there, 1}};
static const struct node_term terms_odd[] = {{&fast, 1, NULL, 0}, {&odd, 1, NULL, 0}};
static const struct node_term terms_odd_field[] = {{NULL, 0, &odd, 1}};

#define ZONE_TEXT "{\"key\":\"zone\",\"operator\":\"In\",\"values\":[\"a\",\"b \\\"2\\\"\"]}"
#define NOT_TEXT  "{\"key\":\"metadata.name\",\"operator\":\"NotIn\",\"values\":[\"n9\"]}"

static const struct {
    const char *name;
    struct pod_rules rules;
    const char *terms;
} term_rows[] = {
    {"affinity without terms", {.has_affinity = true}, "{\"matchFields\":[" HERE "]}"},
    {"one",
     {.has_affinity = true, .terms = terms_one, .n_terms = 1},
     "{\"matchExpressions\":[" ZONE_TEXT
     ",{\"key\":\"size\",\"operator\":\"Gt\",\"values\":[\"a\"]}],\"matchFields\":[" HERE "]}"},
    {"three, an empty one among them",
     {.has_affinity = true, .terms = terms_three, .n_terms = 3},
     "{\"matchExpressions\":[" ZONE_TEXT "],\"matchFields\":[" NOT_TEXT "," HERE
     "]},{},{\"matchExpressions\":[{\"key\":\"fast\",\"operator\":\"Exists\"}],\"matchFields\":"
     "[" HERE "]}"},
    {"fields alone",
     {.has_affinity = true, .terms = terms_field, .n_terms = 1},
     "{\"matchFields\":[" NOT_TEXT "," HERE "]}"},
};

Test(pod_patch, requires_the_node_in_every_term)
{
    for (size_t i = 0; i < COUNT_OF(term_rows); i++) {
        char expected[2048];
        struct pod_patch_pod pod = pod_named("a");
        struct rig r;

        rig_init(&r);
        pod.rules = &term_rows[i].rules;
        (void)pod_patch_let_in(r.patcher, &pod, SV("n1"), on_end, &r.seen);
        (void)snprintf(expected, sizeof expected, LET_IN("null", "%s"), term_rows[i].terms);
        cr_expect_str_eq(fake_pending(&r.fake)->body, expected, "%s", term_rows[i].name);
        rig_done(&r);
    }
}

Test(pod_patch, sets_a_cost_or_takes_it_away)
{
    struct rig r;

    rig_init(&r);
    (void)cost(&r, "a", -2147483647 - 1);
    cr_assert_str_eq(fake_pending(&r.fake)->body,
                     "{\"metadata\":{\"uid\":\"" UID
                     "\",\"annotations\":{\"controller.kubernetes.io/pod-deletion-cost\":"
                     "\"-2147483648\"}}}");
    cr_assert_str_eq(fake_pending(&r.fake)->content_type, "application/merge-patch+json");
    answer(&r, "a", 200, "{}");
    (void)cost(&r, "b", 0);
    cr_assert_str_eq(fake_pending(&r.fake)->body,
                     "{\"metadata\":{\"uid\":\"" UID
                     "\",\"annotations\":{\"controller.kubernetes.io/pod-deletion-cost\":null}}}");
    answer(&r, "b", 200, "{}");
    cr_assert_eq(r.seen.outcomes[POD_PATCH_DONE], 2);
    rig_done(&r);
}

/* ---- what the pod is ---- */

#define LIST "/api/v1/namespaces/filler/pods?fieldSelector=metadata.name%3Da"
#define POD_OF(uid, more, gates, affinity)                                                         \
    "{\"kind\":\"PodList\",\"items\":[{\"metadata\":{\"name\":\"a\",\"uid\":\"" uid "\"" more      \
    "},\"spec\":{\"schedulingGates\":[" gates "]" affinity "}}]}"
#define ROOM  "{\"name\":\"brim.dev/room\"}"
#define QUOTA "{\"name\":\"example.com/quota\"}"
#define AFFINITY(terms)                                                                            \
    ",\"affinity\":{\"podAffinity\":{},\"nodeAffinity\":{"                                         \
    "\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[" terms "]}}}"

static const struct {
    const char *name, *pod, *body; /* body: of the patch that follows; NULL: none */
    enum pod_patch_outcome outcome;
    enum err_kind kind;
} read_rows[] = {
    {"other gates stay", POD_OF(UID, "", QUOTA "," ROOM, ""),
     LET_IN("[" QUOTA "]", "{\"matchFields\":[" HERE "]}"), POD_PATCH_DONE, ERR_NONE},
    {"terms of its own",
     POD_OF(UID, "", ROOM,
            AFFINITY("{\"matchExpressions\":[{\"key\":\"k\",\"operator\":\"Near\",\"values\":"
                     "[\"v\"]}]},{},{\"matchFields\":[" NOT_TEXT "]}")),
     LET_IN("null",
            "{\"matchExpressions\":[{\"key\":\"k\",\"operator\":\"Near\",\"values\":"
            "[\"v\"]}],\"matchFields\":[" HERE "]},{},{\"matchFields\":[" NOT_TEXT "," HERE "]}"),
     POD_PATCH_DONE, ERR_NONE},
    {"the gate is gone", POD_OF(UID, "", QUOTA, ""), NULL, POD_PATCH_REFUSED, ERR_CONFLICT},
    {"another pod", POD_OF("x", "", ROOM, ""), NULL, POD_PATCH_GONE, ERR_GONE},
    {"it is leaving", POD_OF(UID, ",\"deletionTimestamp\":\"2026-10-01T10:00:00Z\"", ROOM, ""),
     NULL, POD_PATCH_GONE, ERR_GONE},
    {"no pod", "{\"items\":[]}", NULL, POD_PATCH_GONE, ERR_GONE},
    {"no list", "{\"items\":7}", NULL, POD_PATCH_UNKNOWN, ERR_PROTOCOL},
    {"nothing", "", NULL, POD_PATCH_UNKNOWN, ERR_PROTOCOL},
    {"half", "{\"items\":[{", NULL, POD_PATCH_UNKNOWN, ERR_PROTOCOL},
};

static void follow_reading(struct rig *r, size_t row)
{
    struct transfer *t = fake_pending(&r->fake);

    cr_assert_str_eq(t->path, LIST, "%s", read_rows[row].name);
    cr_assert_str_eq(t->method, "GET");
    cr_assert_eq(t->channel, CHANNEL_PODS);
    fake_json(t, 200, read_rows[row].pod);
    if (read_rows[row].body != NULL) {
        cr_assert_str_eq(fake_pending(&r->fake)->body, read_rows[row].body, "%s",
                         read_rows[row].name);
        answer(r, "a", 200, "{}");
    }
    cr_expect_eq(r->seen.calls, 1, "%s", read_rows[row].name);
    cr_expect_eq(r->seen.outcome, read_rows[row].outcome, "%s: %s", read_rows[row].name,
                 r->seen.text);
    cr_expect_eq(r->seen.kind, read_rows[row].kind, "%s: %s", read_rows[row].name, r->seen.text);
}

Test(pod_patch, is_made_of_what_the_pod_is_where_the_server_says_that_it_does_not_suit)
{
    for (size_t i = 0; i < COUNT_OF(read_rows); i++) {
        struct rig r;

        rig_init(&r);
        (void)let_in(&r, "a");
        answer(&r, "a", i % 2 == 0 ? 422 : 409, STATUS(422, "Invalid", "m"));
        cr_assert_eq(r.seen.calls, 0);
        follow_reading(&r, i);
        rig_done(&r);
    }
}

Test(pod_patch, reads_first_what_is_not_known)
{
    struct pod_rules odd_rules = {.has_affinity = true, .terms = terms_odd, .n_terms = 2};
    struct pod_rules odd_field = {.has_affinity = true, .terms = terms_odd_field, .n_terms = 1};
    struct pod_patch_pod pods[] = {pod_named("a"), pod_named("a"), pod_named("a"), pod_named("a")};

    pods[0].rules = NULL;
    pods[1].gated_by_others = true;
    pods[2].rules = &odd_rules;
    pods[3].rules = &odd_field;
    for (size_t i = 0; i < COUNT_OF(pods); i++) {
        struct rig r;

        rig_init(&r);
        (void)pod_patch_let_in(r.patcher, &pods[i], SV("n1"), on_end, &r.seen);
        follow_reading(&r, i);
        rig_done(&r);
    }
}

Test(pod_patch, reads_once_and_believes_the_second_refusal)
{
    struct rig r;

    rig_init(&r);
    (void)let_in(&r, "a");
    answer(&r, "a", 422, STATUS(422, "Invalid", "m"));
    fake_json(fake_pending(&r.fake), 200, POD_OF(UID, "", ROOM, ""));
    answer(&r, "a", 422, STATUS(422, "Invalid", "no more than that"));
    cr_assert_eq(r.seen.outcome, POD_PATCH_REFUSED);
    cr_assert_eq(r.seen.kind, ERR_INPUT);
    cr_assert_not_null(strstr(r.seen.text, "no more than that"), "%s", r.seen.text);

    (void)cost(&r, "a", 5);
    answer(&r, "a", 409, STATUS(409, "Conflict", "m"));
    fake_json(fake_pending(&r.fake), 200, POD_OF(UID, "", QUOTA, ""));
    cr_assert_not_null(strstr(fake_pending(&r.fake)->body, "\"5\""), "a cost needs no gate");
    answer(&r, "a", 409, STATUS(409, "Conflict", "m"));
    cr_assert_eq(r.seen.calls, 2);
    cr_assert_eq(r.seen.outcome, POD_PATCH_REFUSED);
    cr_assert_eq(r.seen.kind, ERR_CONFLICT);
    rig_done(&r);
}

Test(pod_patch, guards_with_the_uid_that_the_server_writes)
{
    struct rig r;
    struct pod_patch_pod pod = {.name = SV("a"), .uid = uid_parse(SV("no-uuid"))};

    rig_init(&r);
    (void)pod_patch_cost(r.patcher, &pod, 5, on_end, &r.seen);
    answer(&r, "a", 409, STATUS(409, "Conflict", "m"));
    fake_json(fake_pending(&r.fake), 200, POD_OF("no-uuid", "", "", ""));
    cr_assert_not_null(strstr(fake_pending(&r.fake)->body, "\"uid\":\"no-uuid\""));
    answer(&r, "a", 200, "{}");
    cr_assert_eq(r.seen.outcome, POD_PATCH_DONE);
    rig_done(&r);
}

/* ---- outcomes ---- */

static const struct {
    int status;
    const char *body;
    enum pod_patch_outcome outcome;
    enum err_kind kind;
    bool missing;
} ends[] = {
    {201, "{}", POD_PATCH_DONE, ERR_NONE, false},
    {404, STATUS(404, "NotFound", "pods not found"), POD_PATCH_GONE, ERR_NOT_FOUND, false},
    {410, STATUS(410, "Gone", "m"), POD_PATCH_GONE, ERR_GONE, false},
    {400, STATUS(400, "BadRequest", "m"), POD_PATCH_REFUSED, ERR_INPUT, false},
    {401, STATUS(401, "Unauthorized", "m"), POD_PATCH_REFUSED, ERR_AUTH, false},
    {403, STATUS(403, "Forbidden", "User cannot patch resource"), POD_PATCH_REFUSED, ERR_FORBIDDEN,
     true},
    {403,
     STATUS(403, "Forbidden", "ValidatingAdmissionPolicy 'x' with binding 'y' denied request: z"),
     POD_PATCH_REFUSED, ERR_FORBIDDEN, false},
    {403, STATUS(403, "Forbidden", "admission webhook x denied the request: z"), POD_PATCH_REFUSED,
     ERR_FORBIDDEN, false},
    {500, STATUS(500, "InternalError", "m"), POD_PATCH_UNKNOWN, ERR_SERVER, false},
    {503, "not now", POD_PATCH_UNKNOWN, ERR_SERVER, false},
    {504, STATUS(504, "Timeout", "m"), POD_PATCH_UNKNOWN, ERR_SERVER, false},
};

Test(pod_patch, says_how_it_ended)
{
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        struct rig r;

        rig_init(&r);
        (void)let_in(&r, "a");
        answer(&r, "a", ends[i].status, ends[i].body);
        cr_expect_eq(r.seen.calls, 1, "%d", ends[i].status);
        cr_expect_eq(r.seen.outcome, ends[i].outcome, "row %zu: %s", i, r.seen.text);
        cr_expect_eq(r.seen.kind, ends[i].kind, "row %zu: %s", i, r.seen.text);
        cr_expect_eq(pod_patcher_view(r.patcher).missing != NULL, ends[i].missing, "row %zu", i);
        cr_expect_eq(fake_count(&r.fake), 0, "row %zu: nothing is tried again", i);
        rig_done(&r);
    }
}

Test(pod_patch, does_not_know_what_became_of_a_request_that_broke_off)
{
    struct rig r;

    rig_init(&r);
    (void)let_in(&r, "a");
    fake_break(fake_pending(&r.fake));
    cr_assert_eq(r.seen.outcome, POD_PATCH_UNKNOWN);
    cr_assert_eq(r.seen.kind, ERR_NETWORK);
    rig_done(&r);
}

Test(pod_patch, names_the_right_that_is_missing_until_it_is_there)
{
    struct rig r;

    rig_init(&r);
    cr_assert_null(pod_patcher_view(r.patcher).missing);
    (void)let_in(&r, "a");
    answer(&r, "a", 403, STATUS(403, "Forbidden", "m"));
    cr_assert_str_eq(pod_patcher_view(r.patcher).missing,
                     "brim may not patch pods in namespace filler: its service account needs a "
                     "Role there with the verb patch on pods");
    (void)let_in(&r, "a");
    answer(&r, "a", 422, STATUS(422, "Invalid", "m"));
    fake_json(fake_pending(&r.fake), 403, STATUS(403, "Forbidden", "m"));
    cr_assert_not_null(strstr(pod_patcher_view(r.patcher).missing, "may not list pods"));
    (void)let_in(&r, "a");
    answer(&r, "a", 200, "{}");
    cr_assert_null(pod_patcher_view(r.patcher).missing);
    (void)let_in(&r, "a");
    answer(&r, "a", 403, STATUS(403, "Forbidden", "m"));
    cr_assert_not_null(pod_patcher_view(r.patcher).missing);
    (void)let_in(&r, "a");
    answer(&r, "a", 403, STATUS(403, "Forbidden", "admission webhook x denied the request: z"));
    cr_assert_null(pod_patcher_view(r.patcher).missing, "who comes to admission has the right");
    rig_done(&r);
}

/* ---- many ---- */

static void name_of(int i, char text[static 16])
{
    (void)snprintf(text, 16, "p%d", i);
}

Test(pod_patch, sends_so_many_at_once_and_costs_before_let_ins)
{
    struct rig r;
    char name[16];

    rig_init(&r);
    for (int i = 0; i < POD_PATCH_PARALLEL + 2; i++) {
        name_of(i, name);
        (void)let_in(&r, name);
    }
    (void)cost(&r, "c0", 1);
    (void)cost(&r, "c1", 1);
    cr_assert_eq(fake_count(&r.fake), POD_PATCH_PARALLEL);
    cr_assert_eq(pod_patcher_view(r.patcher).sent, POD_PATCH_PARALLEL);
    cr_assert_eq(pod_patcher_view(r.patcher).waiting, 4);
    for (int i = 0; i < POD_PATCH_PARALLEL; i++) {
        name_of(i, name);
        answer(&r, name, 200, "{}");
        cr_assert_leq(fake_count(&r.fake), POD_PATCH_PARALLEL);
    }
    cr_assert_eq(pod_patcher_view(r.patcher).waiting, 0);
    answer(&r, "c0", 200, "{}");
    answer(&r, "c1", 200, "{}");
    name_of(POD_PATCH_PARALLEL, name);
    answer(&r, name, 200, "{}");
    name_of(POD_PATCH_PARALLEL + 1, name);
    answer(&r, name, 200, "{}");
    cr_assert_eq(r.seen.outcomes[POD_PATCH_DONE], POD_PATCH_PARALLEL + 4);
    rig_done(&r);
}

Test(pod_patch, keeps_still_as_long_as_the_server_says)
{
    struct rig r;

    rig_init(&r);
    (void)let_in(&r, "a");
    (void)let_in(&r, "b");
    fake_reply(fake_pending(&r.fake), 429, "text/plain", 3, "Too many requests");
    cr_assert_eq(r.seen.calls, 0);
    (void)let_in(&r, "c");
    (void)cost(&r, "d", 1);
    answer(&r, "b", 200, "{}");
    cr_assert_eq(fake_count(&r.fake), 0);
    cr_assert_eq(pod_patcher_view(r.patcher).waiting, 3);
    fake_advance(&r.fake, 3 * US_PER_S - 1);
    cr_assert_eq(fake_count(&r.fake), 0);
    fake_advance(&r.fake, 1);
    answer(&r, "d", 200, "{}");
    answer(&r, "a", 200, "{}");
    answer(&r, "c", 200, "{}");
    cr_assert_eq(r.seen.outcomes[POD_PATCH_DONE], 4);

    (void)let_in(&r, "a");
    fake_reply(fake_pending(&r.fake), 429, "text/plain", -1, "Too many requests");
    fake_advance(&r.fake, 1 * US_PER_S);
    answer(&r, "a", 200, "{}");
    rig_done(&r);
}

Test(pod_patch, gives_up_what_was_not_sent_in_time)
{
    struct rig r;

    rig_init(&r);
    (void)let_in(&r, "a");
    fake_reply(fake_pending(&r.fake), 429, "text/plain", 30, "Too many requests");
    fake_advance(&r.fake, 2 * US_PER_S);
    (void)cost(&r, "b", 1);
    fake_advance(&r.fake, POD_PATCH_PATIENCE_US - 2 * US_PER_S);
    cr_assert_eq(r.seen.calls, 1);
    cr_assert_eq(r.seen.outcome, POD_PATCH_LATE);
    cr_assert_eq(r.seen.kind, ERR_THROTTLED);
    cr_assert_str_eq(r.seen.text,
                     "pod filler/a: the patch was not sent: the server asks for patience or is "
                     "slow");
    fake_advance(&r.fake, 2 * US_PER_S);
    cr_assert_eq(r.seen.outcomes[POD_PATCH_LATE], 2);
    cr_assert_eq(fake_count(&r.fake), 0);
    rig_done(&r);
}

Test(pod_patch, does_not_send_late_behind_a_server_that_hangs)
{
    struct rig r;

    rig_init(&r);
    for (int i = 0; i < POD_PATCH_PARALLEL; i++)
        (void)cost(&r, "a", 1);
    (void)let_in(&r, "b");
    fake_advance(&r.fake, POD_PATCH_PATIENCE_US);
    cr_assert_eq(r.seen.outcomes[POD_PATCH_LATE], 1);
    for (int i = 0; i < POD_PATCH_PARALLEL; i++)
        fake_break(fake_pending(&r.fake));
    cr_assert_eq(r.seen.outcomes[POD_PATCH_UNKNOWN], POD_PATCH_PARALLEL);
    cr_assert_eq(fake_count(&r.fake), 0);
    rig_done(&r);
}

Test(pod_patch, is_silent_after_a_cancel)
{
    struct rig r;
    struct pod_patch *first, *waiting;

    rig_init(&r);
    first = let_in(&r, "a");
    for (int i = 1; i < POD_PATCH_PARALLEL; i++)
        (void)let_in(&r, "b");
    waiting = let_in(&r, "c");
    (void)let_in(&r, "d");
    pod_patch_cancel(waiting);
    pod_patch_cancel(NULL);
    cr_assert_eq(pod_patcher_view(r.patcher).waiting, 1);
    pod_patch_cancel(first);
    cr_assert_eq(pod_patcher_view(r.patcher).waiting, 0, "its place is given on");
    for (int i = 1; i < POD_PATCH_PARALLEL; i++)
        answer(&r, "b", 200, "{}");
    answer(&r, "d", 200, "{}");
    cr_assert_eq(r.seen.calls, POD_PATCH_PARALLEL);
    (void)let_in(&r, "e");
    rig_done(&r); /* what is under way goes with the patcher */
}

/* A function that begins another patch, a few times. */
struct chain {
    struct rig *rig;
    int left, calls;
    bool inside;
};

static void on_link(void *self, const struct pod_patch_result *result UNUSED)
{
    struct chain *c = self;
    const struct pod_patch_pod pod = pod_named("a");

    cr_assert(!c->inside, "called from inside the call that began it");
    c->calls++;
    if (c->left-- == 0)
        return;
    c->inside = true;
    (void)pod_patch_let_in(c->rig->patcher, &pod, SV("n1"), on_link, c);
    c->inside = false;
}

Test(pod_patch, may_be_begun_where_another_ends)
{
    struct rig r;
    struct chain c = {.rig = &r, .left = 3};
    const struct pod_patch_pod pod = pod_named("a");

    rig_init(&r);
    (void)pod_patch_let_in(r.patcher, &pod, SV("n1"), on_link, &c);
    answer(&r, "a", 200, "{}");
    answer(&r, "a", 404, STATUS(404, "NotFound", "m"));
    fake_reply(fake_pending(&r.fake), 429, "text/plain", 60, "wait");
    while (c.calls < 4)
        cr_assert(fake_next_timer(&r.fake), "late ones that begin others");
    cr_assert_eq(fake_count(&r.fake), 0);
    rig_done(&r);
}
