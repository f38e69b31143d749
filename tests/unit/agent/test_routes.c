#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <string.h>

#include "agent/serve/routes.h"
#include "tests/unit/agent/sample_snapshot.h"

static const struct process_figures process = {.started = {.us = 1}};

static struct routes_request request(const char *method, const char *path)
{
    return (struct routes_request){
        .method = sv_from(method),
        .path = sv_from(path),
        .host = SV("localhost:8090"),
        .loopback = true,
        .listen_host = SV("127.0.0.7"),
        .now = SAMPLE_NOW,
        .now_wall = SAMPLE_WALL,
        .process = &process,
    };
}

/* Whatever is answered: a status, a type, a body, an Allow with each 405 and with nothing else. */
static struct routes_answer ask(const struct routes_request *rq, const struct snapshot *s)
{
    struct routes_answer a;

    routes_answer(rq, s, &a);
    cr_assert(a.status >= 200 && a.status < 600);
    cr_assert(a.content_type != NULL && a.body.len != 0 && !a.body.full);
    cr_assert_eq(a.allow != NULL, a.status == 405);
    if (strcmp(a.content_type, "application/json") == 0) {
        cJSON *json = cJSON_ParseWithLength(a.body.at, a.body.len);

        cr_assert(json != NULL, "not JSON: %s", strbuf_str(&a.body));
        cJSON_Delete(json);
    }
    return a;
}

static cJSON *ask_json(const struct routes_request *rq, const struct snapshot *s)
{
    struct routes_answer a = ask(rq, s);
    cJSON *json;

    cr_assert_eq(a.status, 200, "%s", strbuf_str(&a.body));
    cr_assert_str_eq(a.content_type, "application/json");
    json = cJSON_ParseWithLength(a.body.at, a.body.len);
    strbuf_done(&a.body);
    return json;
}

/* A path of keys and indexes: "fillers.0.policy". */
static const cJSON *at(const cJSON *json, const char *path)
{
    struct sv rest = sv_from(path), key;
    int64_t index;

    while (sv_next(&rest, '.', &key) && json != NULL) {
        char name[64];

        (void)snprintf(name, sizeof name, "%.*s", SV_ARG(key));
        json = sv_to_i64(key, &index) ? cJSON_GetArrayItem(json, (int)index)
                                      : cJSON_GetObjectItemCaseSensitive(json, name);
    }
    return json;
}

static void expect_number(const cJSON *json, const char *path, double want)
{
    const cJSON *found = at(json, path);

    cr_expect(cJSON_IsNumber(found) && (int64_t)found->valuedouble == (int64_t)want,
              "%s is not %.0f", path, want);
}

static void expect_null(const cJSON *json, const char *path)
{
    cr_expect(cJSON_IsNull(at(json, path)), "%s is not null", path);
}

static void expect_text(const cJSON *json, const char *path, const char *want)
{
    const cJSON *found = at(json, path);

    cr_expect(cJSON_IsString(found) && strcmp(found->valuestring, want) == 0, "%s is not '%s'",
              path, want);
}

Test(routes, answers_each_address_with_its_status)
{
    static const struct {
        const char *method, *path, *host;
        bool open; /* listens on an address that others reach */
        int want;
    } rows[] = {
        {"GET", "/", NULL, false, 200},
        {"HEAD", "/", NULL, false, 200},
        {"GET", "/metrics", NULL, false, 200},
        {"GET", "/metrics/", NULL, false, 404},
        {"GET", "/livez", NULL, false, 200},
        {"GET", "/readyz", NULL, false, 200},
        {"GET", "/api/v1/status", NULL, false, 200},
        {"GET", "/api/v1/decisions", NULL, false, 200},
        {"GET", "/api/v1/decisions/30", NULL, false, 200},
        {"GET", "/api/v1/decisions/31", NULL, false, 404},
        {"GET", "/api/v1/decisions/", NULL, false, 404},
        {"GET", "/api/v1/decisions/-1", NULL, false, 404},
        {"GET", "/api/v1/decisions/18446744073709551615", NULL, false, 404},
        {"GET", "/api/v1/decisions/99999999999999999999", NULL, false, 404},
        {"GET", "/api/v2", NULL, false, 404},
        {"GET", "/api", NULL, false, 404},
        {"GET", "/apiary", NULL, false, 404},
        {"GET", "", NULL, false, 404},
        {"POST", "/metrics", NULL, false, 405},
        {"DELETE", "/api/v1/status", NULL, false, 405},
        {"get", "/", NULL, false, 405},
        {"GET", "/api/v1/status", "127.0.0.1:8090", false, 200},
        {"GET", "/api/v1/status", "[::1]:8090", false, 200},
        {"GET", "/api/v1/status", "127.0.0.7", false, 200},
        {"GET", "/api/v1/status", "evil.example:8090", false, 403},
        {"GET", "/api/v1/status", "localhost.evil.example", false, 403},
        {"GET", "/api/v1/status", "", false, 403},
        {"GET", "/api/v1/status", "[", false, 403},
        {"GET", "/metrics", "evil.example", false, 200},
        {"GET", "/api/v1/status", "brim.example", true, 200},
    };
    struct snapshot *s = sample_snapshot();

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct routes_request rq = request(rows[i].method, rows[i].path);
        struct routes_answer a;

        rq.loopback = !rows[i].open;
        if (rows[i].host != NULL)
            rq.host = sv_from(rows[i].host);
        a = ask(&rq, s);
        cr_expect_eq(a.status, rows[i].want, "%s %s Host %s: %d", rows[i].method, rows[i].path,
                     rows[i].host != NULL ? rows[i].host : "-", a.status);
        if (a.status >= 400 && sv_starts(rq.path, SV("/api/")))
            cr_expect_str_eq(a.content_type, "application/json", "%s", rows[i].path);
        strbuf_done(&a.body);
    }
    snapshot_unref(s);
}

Test(routes, livez_tells_of_a_loop_that_hangs)
{
    struct snapshot *s = sample_snapshot();
    struct routes_request rq = request("GET", "/livez");
    struct routes_answer a;

    rq.now = mono_plus_us(s->at_mono, ROUTES_DEAD_US);
    a = ask(&rq, s);
    cr_expect_eq(a.status, 200);
    strbuf_done(&a.body);
    rq.now.us++;
    a = ask(&rq, s);
    cr_expect_eq(a.status, 503);
    cr_expect_str_eq(strbuf_str(&a.body), "the loop has not turned for 60 s\n");
    strbuf_done(&a.body);
    snapshot_unref(s);
}

Test(routes, answers_before_the_first_turn)
{
    static const char *const paths[] = {"/", "/metrics", "/livez", "/api/v1/status",
                                        "/api/v1/decisions"};

    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct routes_request rq = request("GET", paths[i]);
        struct routes_answer a = ask(&rq, NULL);

        cr_expect_eq(a.status, 200, "%s", paths[i]);
        strbuf_done(&a.body);
    }
}

Test(routes, says_what_readiness_waits_for)
{
    struct routes_request rq = request("GET", "/readyz");
    const struct routes_param verbose = {.key = SV("verbose")};
    struct snapshot *s = sample_snapshot();
    struct routes_answer a = ask(&rq, NULL);

    cr_expect_eq(a.status, 503);
    cr_expect_str_eq(strbuf_str(&a.body), "pods: not listed yet\nnodes: not listed yet\n");
    strbuf_done(&a.body);

    s->ready = false;
    a = ask(&rq, s);
    cr_expect_eq(a.status, 503);
    cr_expect_str_eq(strbuf_str(&a.body), "nodes: not listed yet\n");
    strbuf_done(&a.body);

    rq.params = &verbose;
    rq.n_params = 1;
    a = ask(&rq, s);
    cr_expect_eq(a.status, 503);
    cr_expect_str_eq(strbuf_str(&a.body), "[+]pods: listed\n[-]nodes: not listed yet\nnot ready\n");
    strbuf_done(&a.body);

    s->watches[1].synced = s->ready = true;
    a = ask(&rq, s);
    cr_expect_eq(a.status, 200);
    cr_expect_str_eq(strbuf_str(&a.body), "[+]pods: listed\n[+]nodes: listed\nok\n");
    strbuf_done(&a.body);
    snapshot_unref(s);
}

Test(routes, chooses_the_format_of_metrics_by_accept)
{
    struct routes_request rq = request("GET", "/metrics");
    struct routes_answer a = ask(&rq, NULL);

    cr_expect_str_eq(a.content_type, "text/plain; version=0.0.4; charset=utf-8");
    strbuf_done(&a.body);
    rq.accept = SV("application/openmetrics-text");
    a = ask(&rq, NULL);
    cr_expect_str_eq(a.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    strbuf_done(&a.body);
}

Test(routes, shows_status_with_null_for_what_is_not_known)
{
    struct routes_request rq = request("GET", "/api/v1/status");
    struct snapshot *s = sample_snapshot();
    cJSON *json = ask_json(&rq, s);

    expect_number(json, "v", 1);
    expect_number(json, "t", 1790000000000.0);
    expect_number(json, "boot", 1789996400000.0);
    expect_text(json, "state",
                "unknown"); /* a filler that cannot be scaled matters more than one that grows */
    expect_number(json, "watch.pods_ms", 1500);
    expect_null(json, "watch.nodes_ms");
    expect_number(json, "watch.waiting_ms", 40000);
    expect_number(json, "cpu.allocatable_milli", 184000);
    expect_number(json, "cpu.paid_milli", 8500);
    expect_number(json, "cpu.filler_milli", 130000);
    expect_number(json, "cpu.leaving_milli", 2000);
    expect_number(json, "waiting.pods", 2);
    expect_number(json, "fillers_total", 2);
    expect_text(json, "fillers.0.policy", "miner");
    expect_text(json, "fillers.0.target.namespace", "filler");
    expect_number(json, "fillers.0.wanted", 139);
    expect_number(json, "fillers.0.running", 120);
    expect_text(json, "fillers.0.bound_by", "headroom");
    expect_text(json, "fillers.0.conditions.0.type", "ScalingActive");
    expect_number(json, "fillers.0.decisions.harvest", 7);
    expect_text(json, "fillers.1.policy", "a\"b\\c\nd");
    expect_null(json, "fillers.1.wanted");
    expect_null(json, "fillers.1.fit");
    expect_null(json, "fillers.1.bound_by");
    expect_null(json, "fillers.1.earliest_up_t");
    cJSON_Delete(json);
    snapshot_unref(s);

    json = ask_json(&rq, NULL);
    expect_text(json, "state", "starting");
    expect_null(json, "boot");
    expect_null(json, "cpu.allocatable_milli");
    expect_null(json, "waiting.pods");
    expect_null(json, "watch.pods_ms");
    cJSON_Delete(json);
}

Test(routes, says_what_is_done_for_every_reason)
{
    struct routes_request rq = request("GET", "/api/v1/status");
    struct snapshot *s = snapshot_new(1);

    s->ready = true;
    sample_filler(&s->fillers[0], "miner");
    for (int r = 0; r < REASON_COUNT_; r++) {
        cJSON *json;

        s->fillers[0].reason = (enum reason)r;
        s->fillers[0].has_wake = r == REASON_HOLD;
        s->fillers[0].wake = SAMPLE_WALL;
        json = ask_json(&rq, s);
        cr_expect(cJSON_IsString(at(json, "say.doing.0")), "%s says nothing",
                  reason_name((enum reason)r));
        if (r == REASON_HOLD)
            expect_number(json, "say.doing.2.until", 1790000000000.0);
        if (r == REASON_HARVEST)
            expect_text(json, "say.doing.1", "9 pods");
        expect_text(json, "say.why.0", "now of \"miner\"");
        cJSON_Delete(json);
    }
    snapshot_unref(s);
}

Test(routes, keeps_status_small_with_many_policies_and_shows_each_by_name)
{
    const struct routes_param policy = {.key = SV("policy"), .value = SV("p-41")};
    struct routes_request rq = request("GET", "/api/v1/status");
    struct snapshot *s = snapshot_new(50);
    struct routes_answer a;
    cJSON *json;

    s->ready = true;
    for (size_t i = 0; i < s->n_fillers; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "p-%zu", i);
        sample_filler(&s->fillers[i], name);
    }
    a = ask(&rq, s);
    cr_expect_leq(a.body.len, 16 << 10, "%zu bytes", a.body.len);
    strbuf_done(&a.body);
    rq.params = &policy;
    rq.n_params = 1;
    json = ask_json(&rq, s);
    cr_expect_eq(cJSON_GetArraySize(at(json, "fillers")), 1);
    expect_text(json, "fillers.0.policy", "p-41");
    expect_number(json, "fillers_total", 50);
    cJSON_Delete(json);
    snapshot_unref(s);
}

Test(routes, a_status_of_one_policy_speaks_of_that_one_and_says_if_there_is_none)
{
    struct routes_param policy = {.key = SV("policy"), .value = SV("miner")};
    struct routes_request rq = request("GET", "/api/v1/status");
    struct snapshot *s = sample_snapshot();
    cJSON *json;

    rq.params = &policy;
    rq.n_params = 1;
    json = ask_json(&rq, s);
    expect_text(json, "state", "harvest");
    expect_text(json, "say.doing.0", "Growing by ");
    cJSON_Delete(json);
    policy.value = SV("nope");
    json = ask_json(&rq, s);
    cr_expect_eq(cJSON_GetArraySize(at(json, "fillers")), 0);
    expect_text(json, "state", "no-policy");
    expect_text(json, "say.doing.0", "There is no policy of this name");
    cJSON_Delete(json);
    snapshot_unref(s);
}

Test(routes, what_was_not_decided_is_null_though_the_room_is_known)
{
    static const char *const figures[] = {"fit", "kept", "set_point", "damped"};
    const struct routes_param policy = {.key = SV("policy"), .value = SV("miner")};
    struct routes_request rq = request("GET", "/api/v1/status");
    struct snapshot *s = sample_snapshot();
    char path[64];
    cJSON *json;

    rq.params = &policy;
    rq.n_params = 1;
    s->fillers[0].reason = s->fillers[0].decisions[0].decision.reason = REASON_UNKNOWN;
    json = ask_json(&rq, s);
    expect_number(json, "fillers.0.slot_milli", 1000);
    for (size_t i = 0; i < COUNT_OF(figures); i++) {
        (void)snprintf(path, sizeof path, "fillers.0.%s", figures[i]);
        expect_null(json, path);
    }
    cJSON_Delete(json);
    rq.path = SV("/api/v1/decisions");
    json = ask_json(&rq, s);
    expect_number(json, "decisions.0.to", 139);
    for (size_t i = 0; i < COUNT_OF(figures); i++) {
        (void)snprintf(path, sizeof path, "decisions.0.%s", figures[i]);
        expect_null(json, path);
    }
    cJSON_Delete(json);
    snapshot_unref(s);
}

Test(routes, lists_decisions_newest_first_and_pages)
{
    static const struct {
        const char *key, *value;
        int status, count;
        double first;
    } rows[] = {
        {"limit", "50", 200, 6, 35},     {"limit", "1", 200, 1, 35},
        {"limit", "0", 400, 0, 0},       {"limit", "501", 400, 0, 0},
        {"limit", "x", 400, 0, 0},       {"limit", "", 400, 0, 0},
        {"before", "30", 200, 4, 25},    {"before", "1", 200, 0, 0},
        {"before", "-1", 400, 0, 0},     {"policy", "miner", 200, 3, 30},
        {"policy", "nobody", 200, 0, 0}, {"reason", "yield", 200, 2, 25},
        {"other", "x", 200, 6, 35},
    };
    struct snapshot *s = snapshot_new(2);

    sample_filler(&s->fillers[0], "miner");
    sample_filler(&s->fillers[1], "batch");
    for (size_t i = 0; i < 3; i++)
        s->fillers[1].decisions[i].id += 5;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct routes_param p = {.key = sv_from(rows[i].key),
                                       .value = sv_from(rows[i].value)};
        struct routes_request rq = request("GET", "/api/v1/decisions");
        struct routes_answer a;
        cJSON *json;

        rq.params = &p;
        rq.n_params = 1;
        a = ask(&rq, s);
        cr_expect_eq(a.status, rows[i].status, "%s=%s", rows[i].key, rows[i].value);
        json = cJSON_ParseWithLength(a.body.at, a.body.len);
        if (a.status == 200) {
            cr_expect_eq(cJSON_GetArraySize(at(json, "decisions")), rows[i].count, "%s=%s",
                         rows[i].key, rows[i].value);
            if (rows[i].count != 0)
                expect_number(json, "decisions.0.id", rows[i].first);
        }
        cJSON_Delete(json);
        strbuf_done(&a.body);
    }
    snapshot_unref(s);
}

Test(routes, shows_one_decision_with_its_inputs)
{
    struct routes_request rq = request("GET", "/api/v1/decisions/20");
    struct snapshot *s = sample_snapshot();
    cJSON *json = ask_json(&rq, s);

    expect_number(json, "decision.id", 20);
    expect_text(json, "decision.reason", "yield");
    expect_text(json, "decision.policy", "miner");
    expect_number(json, "decision.from", 130);
    expect_number(json, "decision.to", 139);
    expect_text(json, "decision.detail", "detail 1 of \"miner\"");
    cJSON_Delete(json);
    snapshot_unref(s);
}

Test(routes, reports_are_sent_on_to_the_replica_that_leads)
{
    struct routes_param params[] = {{SV("since"), SV("7d")}, {SV("by"), SV("a b&c\r\n")}};
    struct routes_request rq = request("GET", "/report");
    struct snapshot *s = snapshot_new(0);
    struct routes_answer a;
    char long_text[1100];

    rq.params = params;
    rq.n_params = COUNT_OF(params);
    rq.has_reports = true;
    s->lead.on = true;
    routes_answer(&rq, s, &a); /* nobody knows where it is */
    cr_assert(a.wants_report);
    strbuf_done(&a.body);
    (void)strcpy(s->lead.url, "http://10.0.0.1:8080");
    a = ask(&rq, s);
    cr_assert_eq(a.status, 307);
    cr_assert(!a.wants_report);
    cr_assert_str_eq(a.location, "http://10.0.0.1:8080/report?since=7d&by=a%20b%26c%0D%0A");
    strbuf_done(&a.body);
    memset(long_text, 'a', sizeof long_text);
    params[0].value = (struct sv){.at = long_text, .len = sizeof long_text};
    a = ask(&rq, s);
    cr_assert_eq(a.status, 414);
    cr_assert_str_eq(a.location, "");
    strbuf_done(&a.body);
    s->lead.leads = true;
    routes_answer(&rq, s, &a);
    cr_assert(a.wants_report);
    strbuf_done(&a.body);
    snapshot_unref(s);
}
