#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/kube/decode.h"
#include "agent/kube/frame.h"
#include "tests/pbmake.h"
#include "tests/unit/agent/samples.h"

static struct samples samples;
static struct resource_names names;
static struct decoder d;

static void setup(void)
{
    struct podreq_rules rules;

    samples_load(&samples);
    resource_names_init(&names);
    cr_assert(podreq_rules_for(SV("1.35"), &rules, NULL));
    decoder_init(&d, &names, &rules);
}

static void teardown(void)
{
    decoder_done(&d);
    resource_names_done(&names);
    samples_done(&samples);
}

TestSuite(decode, .init = setup, .fini = teardown);

static struct sv object_of(const char *sample, enum decode_format format)
{
    const struct sample *s = samples_find(&samples, sample);
    struct sv object = {0};

    cr_assert(decode_unwrap(format, strbuf_sv(format == DECODE_PROTOBUF ? &s->protobuf : &s->json),
                            &object, NULL));
    return object;
}

static struct pod_record pod_of(struct sv json)
{
    struct pod_record pod = {0};
    struct err err = {0};

    cr_assert(decode_pod(&d, DECODE_JSON, json, &pod, &err), "%.*s: %s", SV_ARG(json), err.text);
    return pod;
}

Test(decode, reads_the_pod_of_the_samples_in_both_forms)
{
    for (int form = 0; form < DECODE_PROTOBUF + 1; form++) {
        struct pod_record pod;
        struct err err = {0};

        cr_assert(decode_pod(&d, (enum decode_format)form,
                             object_of("pod", (enum decode_format)form), &pod, &err),
                  "%s", err.text);
        cr_expect(sv_eq(pod.ns, SV("default")));
        cr_expect(sv_eq(pod.name, SV("p1")));
        cr_expect(uid_eq(pod.uid, (struct uid){0x1111111122223333, 0x4444555555555555}));
        cr_expect(uid_eq(pod.owner_uid, (struct uid){0x9999999900000000, 0}));
        cr_expect(sv_eq(pod.owner_kind, SV("ReplicaSet")));
        cr_expect(sv_eq(pod.owner_name, SV("rs")));
        cr_assert_eq(pod.n_labels, 1);
        cr_expect(sv_eq(pod.labels[0].key, SV("app")) && sv_eq(pod.labels[0].value, SV("filler")));
        cr_expect(sv_eq(pod.node, SV("n1")));
        cr_expect_eq(pod.nominated.len, 0);
        cr_expect(sv_eq(pod.priority_class, SV("filler")));
        cr_expect_eq(pod.priority, -100);
        cr_expect_eq(pod.deletion_cost, -7);
        cr_expect_eq(pod.phase, PHASE_RUNNING);
        cr_expect_eq(pod.created.us, INT64_C(1748772673) * US_PER_S);
        /* The container asks for 1.5 and has 1, the sidecar for 0.1, the init container for 2; overhead is 0.01. */
        cr_expect_eq(pod.request.at[RESOURCE_CPU], 2010);
        cr_expect_eq(pod.request.at[RESOURCE_MEMORY], (INT64_C(1024) + 64) << 20);
        cr_expect_eq(pod.request.at[RESOURCE_PODS], 1);
        cr_assert_eq(pod.rules.n_node_selector, 1);
        cr_expect(sv_eq(pod.rules.node_selector[0].key, SV("pool")));
        cr_assert_eq(pod.rules.n_tolerations, 1);
        cr_expect(sv_eq(pod.rules.tolerations[0].key, SV("k")));
        cr_expect_eq(pod.rules.tolerations[0].op, TOLERATE_EXISTS);
        cr_expect_eq(pod.rules.tolerations[0].effect, EFFECT_NO_SCHEDULE);
        cr_expect(!pod.gated && !pod.deleting && !pod.ready && !pod.unschedulable);
        cr_expect(!pod.preempts_never && !pod.uncountable && !pod.rules.has_affinity);
    }
}

Test(decode, reads_the_node_of_the_samples_in_both_forms)
{
    for (int form = 0; form < DECODE_PROTOBUF + 1; form++) {
        struct node_record node;
        struct err err = {0};

        cr_assert(decode_node(&d, (enum decode_format)form,
                              object_of("node", (enum decode_format)form), &node, &err),
                  "%s", err.text);
        cr_expect(sv_eq(node.name, SV("n1")));
        cr_expect(uid_is_zero(node.uid), "none was written");
        cr_assert_eq(node.n_labels, 1);
        cr_expect(sv_eq(node.labels[0].key, SV("kubernetes.io/hostname")));
        cr_assert_eq(node.n_taints, 1);
        cr_expect(sv_eq(node.taints[0].key, SV("node.kubernetes.io/unschedulable")));
        cr_expect_eq(node.taints[0].effect, EFFECT_NO_SCHEDULE);
        cr_expect(node.unschedulable && node.ready);
        cr_expect_eq(node.allocatable.at[RESOURCE_CPU], 31850);
        cr_expect_eq(node.allocatable.at[RESOURCE_MEMORY], INT64_C(129719976) << 10);
        cr_expect_eq(node.allocatable.at[RESOURCE_EPHEMERAL], 95551679124);
        cr_expect_eq(node.allocatable.at[RESOURCE_PODS], 110);
    }
}

/* The objects of a stream, kept for a look side by side. */
struct collected {
    struct {
        enum frame_event event;
        struct strbuf object;
    } at[SAMPLES_MAX];
    size_t n;
};

static bool collect(void *self, enum frame_event event, enum decode_format format UNUSED,
                    struct sv object, struct err *err UNUSED)
{
    struct collected *c = self;

    c->at[c->n].event = event;
    strbuf_init(&c->at[c->n].object, 1 << 20);
    (void)strbuf_add(&c->at[c->n++].object, object);
    return true;
}

static struct collected collect_sample(const char *name, bool watch, enum decode_format format)
{
    const struct sample *s = samples_find(&samples, name);
    struct collected c = {.n = 0};
    struct frame_handler handler = {.object = collect, .self = &c};
    CLEANUP(frame_free_ptr) struct frame *f = frame_new(watch, format, &handler);

    cr_assert(frame_push(f, strbuf_sv(format == DECODE_PROTOBUF ? &s->protobuf : &s->json), NULL));
    return c;
}

static void collected_done(struct collected *c)
{
    for (size_t i = 0; i < c->n; i++)
        strbuf_done(&c->at[i].object);
}

/* The same pod in both forms; the second decoder's record must outlive the first's. */
static void expect_same_pod(struct sv pb, struct sv json, const char *what)
{
    struct decoder other;
    struct pod_record a, b;
    char difference[DIFFERENCE_SIZE];
    struct err err = {0};

    decoder_init(&other, &names, &d.rules);
    cr_expect(decode_pod(&d, DECODE_PROTOBUF, pb, &a, &err), "%s: %s", what, err.text);
    cr_expect(decode_pod(&other, DECODE_JSON, json, &b, &err), "%s: %s", what, err.text);
    pods_differ(&a, &b, difference);
    cr_expect_str_empty(difference, "%s: %s", what, difference);
    decoder_done(&other);
}

static void expect_same_meta(struct sv pb, struct sv json, const char *what)
{
    struct decoder other;
    struct object_meta a, b;

    decoder_init(&other, NULL, &d.rules);
    cr_assert(decode_meta(&d, DECODE_PROTOBUF, pb, &a, NULL), "%s", what);
    cr_assert(decode_meta(&other, DECODE_JSON, json, &b, NULL), "%s", what);
    cr_expect(sv_eq(a.ns, b.ns) && sv_eq(a.name, b.name) && uid_eq(a.uid, b.uid), "%s", what);
    cr_expect(a.resource_version.len != 0, "%s", what);
    cr_expect(sv_eq(a.resource_version, b.resource_version), "%s", what);
    cr_expect_eq(a.initial_events_end, b.initial_events_end, "%s", what);

    struct sv version;

    cr_assert(decode_version(&d, DECODE_PROTOBUF, pb, &version, NULL), "%s", what);
    cr_expect(sv_eq(version, a.resource_version), "%s", what);
    cr_assert(decode_version(&other, DECODE_JSON, json, &version, NULL), "%s", what);
    cr_expect(sv_eq(version, a.resource_version), "%s", what);
    decoder_done(&other);
}

Test(decode, gives_the_same_records_from_protobuf_and_json)
{
    static const struct {
        const char *name;
        bool watch;
        size_t objects;
    } streams[] = {{"podlist", false, 2}, {"watch", true, 5}};

    expect_same_pod(object_of("pod", DECODE_PROTOBUF), object_of("pod", DECODE_JSON), "pod");
    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        CLEANUP(collected_done)
        struct collected pb = collect_sample(streams[i].name, streams[i].watch, DECODE_PROTOBUF);
        CLEANUP(collected_done)
        struct collected json = collect_sample(streams[i].name, streams[i].watch, DECODE_JSON);

        cr_assert_eq(pb.n, streams[i].objects);
        cr_assert_eq(json.n, streams[i].objects);
        for (size_t k = 0; k < pb.n; k++) {
            struct sv a = strbuf_sv(&pb.at[k].object), b = strbuf_sv(&json.at[k].object);

            cr_expect_eq(pb.at[k].event, json.at[k].event, "%s", streams[i].name);
            if (pb.at[k].event == FRAME_ERROR)
                continue;
            expect_same_pod(a, b, streams[i].name);
            expect_same_meta(a, b, streams[i].name);
        }
    }
}

Test(decode, gives_the_same_nodes_from_protobuf_and_json)
{
    CLEANUP(collected_done)
    struct collected pb = collect_sample("nodelist", false, DECODE_PROTOBUF);
    CLEANUP(collected_done) struct collected json = collect_sample("nodelist", false, DECODE_JSON);
    struct decoder other;
    struct node_record a, b;
    char difference[DIFFERENCE_SIZE];

    cr_assert(pb.n == 1 && json.n == 1);
    decoder_init(&other, &names, &d.rules);
    cr_assert(decode_node(&d, DECODE_PROTOBUF, strbuf_sv(&pb.at[0].object), &a, NULL));
    cr_assert(decode_node(&other, DECODE_JSON, strbuf_sv(&json.at[0].object), &b, NULL));
    nodes_differ(&a, &b, difference);
    cr_expect_str_empty(difference, "%s", difference);
    decoder_done(&other);
}

Test(decode, finds_the_end_of_the_initial_events)
{
    for (int form = 0; form < 2; form++) {
        CLEANUP(strbuf_done) struct strbuf meta, pb;
        struct sv object =
            SV("{\"metadata\":{\"resourceVersion\":\"42\",\"annotations\":"
               "{\"k8s.io/initial-events-end\":\"true\"}},\"spec\":{\"containers\":null}}");
        struct object_meta m;

        strbuf_init(&meta, 1000);
        strbuf_init(&pb, 1000);
        pbmake_str(&meta, 6, "42");
        pbmake_entry(&meta, 12, "other", "false");
        pbmake_entry(&meta, 12, "k8s.io/initial-events-end", "true");
        pbmake_message(&pb, 1, &meta);
        cr_assert(decode_meta(&d, (enum decode_format)form,
                              form == DECODE_PROTOBUF ? strbuf_sv(&pb) : object, &m, NULL));
        cr_expect(m.initial_events_end);
        cr_expect(sv_eq(m.resource_version, SV("42")));
        cr_expect(uid_is_zero(m.uid) && m.name.len == 0 && m.ns.len == 0);
    }
}

Test(decode, reads_statuses_in_both_forms)
{
    struct sv details =
        SV("{\"kind\":\"Status\",\"message\":\"Too large resource version\",\"reason\":\"Timeout\","
           "\"details\":{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\"},{\"reason\":\"X\"}],"
           "\"retryAfterSeconds\":1},\"code\":504}");
    struct api_status status;
    struct err err = {0};

    for (int form = 0; form < 2; form++) {
        cr_assert(decode_status(&d, (enum decode_format)form,
                                object_of("status410", (enum decode_format)form), &status, &err),
                  "%s", err.text);
        cr_expect_eq(status.code, 410);
        cr_expect(sv_eq(status.reason, SV("Expired")));
        cr_expect(sv_eq(status.message, SV("too old resource version: 5 (900)")));
        cr_expect(status.cause.len == 0 && status.retry_after_s == 0);
    }
    cr_assert(decode_status(&d, DECODE_JSON, details, &status, NULL));
    cr_expect(status.code == 504 && status.retry_after_s == 1);
    cr_expect(sv_eq(status.cause, SV("ResourceVersionTooLarge")));

    CLEANUP(strbuf_done) struct strbuf pb, part, cause;

    strbuf_init(&pb, 1000);
    strbuf_init(&part, 1000);
    strbuf_init(&cause, 1000);
    pbmake_str(&cause, 1, "ResourceVersionTooLarge");
    pbmake_message(&part, 4, &cause);
    pbmake_str(&cause, 1, "X");
    pbmake_message(&part, 4, &cause);
    pbmake_var(&part, 5, 1);
    pbmake_message(&pb, 5, &part);
    pbmake_var(&pb, 6, 504);
    cr_assert(decode_status(&d, DECODE_PROTOBUF, strbuf_sv(&pb), &status, NULL));
    cr_expect(status.code == 504 && status.retry_after_s == 1);
    cr_expect(sv_eq(status.cause, SV("ResourceVersionTooLarge")));
}

Test(decode, fills_in_what_a_pod_does_not_say)
{
    CLEANUP(strbuf_done) struct strbuf empty;

    strbuf_init(&empty, 10);
    expect_same_pod(strbuf_sv(&empty), SV("{}"), "empty");
    expect_same_pod(
        strbuf_sv(&empty),
        SV("{\"metadata\":null,\"spec\":{\"containers\":null,\"affinity\":null,\"priority\":null},"
           "\"status\":{}}"),
        "null");

    struct pod_record pod = pod_of(SV("{}"));

    cr_expect_eq(pod.grace_s, 30);
    cr_expect_eq(pod.phase, PHASE_PENDING);
    cr_expect_eq(pod.created.us, 0);
    cr_expect_eq(pod.request.at[RESOURCE_PODS], 1);
    cr_expect_eq(pod.request.at[RESOURCE_CPU], 0);
}

Test(decode, reads_deletion_costs_as_the_controller_does)
{
    static const struct {
        const char *text;
        int32_t cost;
    } rows[] = {
        {"0", 0},
        {"5", 5},
        {"-5", -5},
        {"2147483647", INT32_MAX},
        {"-2147483648", INT32_MIN},
        {"+10", 0},
        {"2147483648", 0},
        {"007", 0},
        {"", 0},
        {"-", 0},
        {"1.5", 0},
        {" 1", 0},
        {"x", 0},
        {"99999999999999999999", 0},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char json[200];
        struct pod_record pod;

        (void)snprintf(json, sizeof json,
                       "{\"metadata\":{\"annotations\":{\"controller.kubernetes.io/"
                       "pod-deletion-cost\":\"%s\"}}}",
                       rows[i].text);
        pod = pod_of(sv_from(json));
        cr_expect_eq(pod.deletion_cost, rows[i].cost, "'%s': %d", rows[i].text, pod.deletion_cost);
    }
}

Test(decode, takes_the_first_condition_of_a_type)
{
    struct pod_record pod =
        pod_of(SV("{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"},"
                  "{\"type\":\"PodScheduled\",\"status\":\"False\",\"reason\":\"Unschedulable\"},"
                  "{\"type\":\"Ready\",\"status\":\"False\"},{\"type\":\"PodScheduled\",\"status\":"
                  "\"True\"}]}}"));

    cr_expect(pod.ready && pod.unschedulable);
    pod = pod_of(
        SV("{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"Unknown\"},"
           "{\"type\":\"PodScheduled\",\"status\":\"False\",\"reason\":\"SchedulingGated\"}]}}"));
    cr_expect(!pod.ready && !pod.unschedulable);
}

Test(decode, takes_the_owner_that_is_the_controller)
{
    struct pod_record pod =
        pod_of(SV("{\"metadata\":{\"ownerReferences\":[{\"kind\":\"A\",\"uid\":\"a\"},"
                  "{\"kind\":\"B\",\"name\":\"b\",\"uid\":\"b\",\"controller\":true},"
                  "{\"kind\":\"C\",\"uid\":\"c\",\"controller\":true}]}}"));

    cr_expect(sv_eq(pod.owner_kind, SV("B")) && sv_eq(pod.owner_name, SV("b")));
    cr_expect(uid_eq(pod.owner_uid, uid_parse(SV("b"))));
    pod = pod_of(SV("{\"metadata\":{\"ownerReferences\":[{\"kind\":\"A\",\"uid\":\"a\","
                    "\"controller\":false}]}}"));
    cr_expect(uid_is_zero(pod.owner_uid) && pod.owner_kind.len == 0);
}

Test(decode, reads_quantities_as_json_may_write_them)
{
    static const struct {
        const char *json;
        int64_t cpu_milli;
    } rows[] = {
        {"\"1500m\"", 1500},
        {"\" 2 \"", 2000},
        {"2", 2000},
        {"0.1", 100},
        {"1.5e0", 1500},
        {"null", 0},
        {"-0", 0},
        {"1e-3", 1},
        {"\"\\t3\"", 3000},
        {"9007199254740.993", INT64_C(9007199254740993)},
        {"1e300", INT64_MAX},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char json[200];
        struct pod_record pod;

        (void)snprintf(json, sizeof json,
                       "{\"spec\":{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":%s}}}]}}",
                       rows[i].json);
        pod = pod_of(sv_from(json));
        cr_expect_eq(pod.request.at[RESOURCE_CPU], rows[i].cpu_milli, "%s: %" PRIi64, rows[i].json,
                     pod.request.at[RESOURCE_CPU]);
    }
}

Test(decode, counts_a_key_that_comes_twice_as_it_came_last)
{
    struct pod_record pod = pod_of(SV("{\"spec\":{\"priority\":1,\"priority\":2,\"containers\":[{"
                                      "\"resources\":{\"requests\":{\"cpu\":1,\"cpu\":2}}}]}}"));
    CLEANUP(strbuf_done) struct strbuf pb, spec, container, resources;

    cr_expect_eq(pod.request.at[RESOURCE_CPU], 2000);
    cr_expect_eq(pod.priority, 2);
    strbuf_init(&pb, 1000);
    strbuf_init(&spec, 1000);
    strbuf_init(&container, 1000);
    strbuf_init(&resources, 1000);
    pbmake_quantity(&resources, 2, "cpu", "1");
    pbmake_quantity(&resources, 2, "cpu", "2");
    pbmake_message(&container, 8, &resources);
    pbmake_message(&spec, 2, &container);
    pbmake_var(&spec, 25, 1);
    pbmake_var(&spec, 25, 2);
    pbmake_message(&pb, 2, &spec);
    cr_assert(decode_pod(&d, DECODE_PROTOBUF, strbuf_sv(&pb), &pod, NULL));
    cr_expect_eq(pod.request.at[RESOURCE_CPU], 2000);
    cr_expect_eq(pod.priority, 2);
}

static const struct {
    const char *name, *gates[3];
    bool gated, by_brim, by_others;
} gate_rows[] = {
    {"none", {NULL}, false, false, false},
    {"brim's", {"brim.dev/room"}, true, true, false},
    {"another's", {"brim.dev/rooms"}, true, false, true},
    {"both", {"brim.dev/room", "example.com/quota"}, true, true, true},
    {"both, the other way round", {"example.com/quota", "brim.dev/room"}, true, true, true},
    {"without a name", {""}, true, false, true},
};

Test(decode, tells_whose_gates_a_pod_waits_behind_in_both_forms)
{
    for (size_t i = 0; i < COUNT_OF(gate_rows); i++) {
        CLEANUP(strbuf_done) struct strbuf pb, spec, gate, json;
        struct pod_record pod;

        strbuf_init(&pb, 1000);
        strbuf_init(&spec, 1000);
        strbuf_init(&gate, 1000);
        strbuf_init(&json, 1000);
        (void)strbuf_addf(&json, "{\"spec\":{\"schedulingGates\":[");
        for (size_t k = 0; gate_rows[i].gates[k] != NULL; k++) {
            pbmake_str(&gate, 1, gate_rows[i].gates[k]);
            pbmake_message(&spec, 38, &gate);
            (void)strbuf_addf(&json, "%s{\"name\":\"%s\"}", k != 0 ? "," : "",
                              gate_rows[i].gates[k]);
        }
        (void)strbuf_addf(&json, "]}}");
        pbmake_message(&pb, 2, &spec);
        expect_same_pod(strbuf_sv(&pb), strbuf_sv(&json), gate_rows[i].name);
        pod = pod_of(strbuf_sv(&json));
        cr_expect_eq(pod.gated, gate_rows[i].gated, "%s", gate_rows[i].name);
        cr_expect_eq(pod.gated_by_brim, gate_rows[i].by_brim, "%s", gate_rows[i].name);
        cr_expect_eq(pod.gated_by_others, gate_rows[i].by_others, "%s", gate_rows[i].name);
    }
}

Test(decode, reads_which_nodes_a_pod_accepts_in_both_forms)
{
    struct sv json =
        SV("{\"spec\":{\"schedulingGates\":[{\"name\":\"g\"}],\"preemptionPolicy\":\"Never\","
           "\"terminationGracePeriodSeconds\":-3,\"nodeSelector\":{\"a\":\"b\"},"
           "\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{"
           "\"nodeSelectorTerms\":["
           "{\"matchExpressions\":[{\"key\":\"z\",\"operator\":\"In\",\"values\":[\"1\",\"2\"]},"
           "{\"key\":\"y\",\"operator\":\"Nearly\"}]},"
           "{\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"NotIn\",\"values\":[\"n\"]}"
           "]},{}]}}},"
           "\"tolerations\":[{},{\"key\":\"k\",\"operator\":\"Gt\",\"value\":\"v\",\"effect\":"
           "\"NoExecute\"}]}}");
    CLEANUP(strbuf_done) struct strbuf pb, spec, terms, term, part, affinity;
    struct pod_record pod;

    strbuf_init(&pb, 1000);
    strbuf_init(&spec, 1000);
    strbuf_init(&terms, 1000);
    strbuf_init(&term, 1000);
    strbuf_init(&part, 1000);
    strbuf_init(&affinity, 1000);
    pbmake_str(&part, 1, "g");
    pbmake_message(&spec, 38, &part);
    pbmake_str(&spec, 31, "Never");
    pbmake_var(&spec, 4, (uint64_t)-3);
    pbmake_entry(&spec, 7, "a", "b");
    pbmake_str(&part, 1, "z");
    pbmake_str(&part, 2, "In");
    pbmake_str(&part, 3, "1");
    pbmake_str(&part, 3, "2");
    pbmake_message(&term, 1, &part);
    pbmake_str(&part, 1, "y");
    pbmake_str(&part, 2, "Nearly");
    pbmake_message(&term, 1, &part);
    pbmake_message(&terms, 1, &term);
    pbmake_str(&part, 1, "metadata.name");
    pbmake_str(&part, 2, "NotIn");
    pbmake_str(&part, 3, "n");
    pbmake_message(&term, 2, &part);
    pbmake_message(&terms, 1, &term);
    pbmake_message(&terms, 1, &term); /* empty */
    pbmake_message(&part, 1, &terms);
    pbmake_message(&affinity, 1, &part);
    pbmake_message(&spec, 18, &affinity);
    pbmake_message(&spec, 22, &part);
    pbmake_str(&part, 1, "k");
    pbmake_str(&part, 2, "Gt");
    pbmake_str(&part, 3, "v");
    pbmake_str(&part, 4, "NoExecute");
    pbmake_message(&spec, 22, &part);
    pbmake_message(&pb, 2, &spec);
    expect_same_pod(strbuf_sv(&pb), json, "rules");

    pod = pod_of(json);
    cr_expect(pod.gated && pod.preempts_never);
    cr_expect_eq(pod.grace_s, 0);
    cr_expect(pod.rules.has_affinity);
    cr_assert_eq(pod.rules.n_terms, 3);
    cr_assert_eq(pod.rules.terms[0].n_exprs, 2);
    cr_expect_eq(pod.rules.terms[0].exprs[0].op, OP_IN);
    cr_expect_eq(pod.rules.terms[0].exprs[0].n_values, 2);
    cr_expect_eq(pod.rules.terms[0].exprs[1].op, OP_INVALID);
    cr_expect_eq(pod.rules.terms[1].fields[0].op, OP_NOT_IN);
    cr_expect_eq(pod.rules.terms[2].n_exprs + pod.rules.terms[2].n_fields, 0);
    cr_assert_eq(pod.rules.n_tolerations, 2);
    cr_expect_eq(pod.rules.tolerations[0].op, TOLERATE_EQUAL);
    cr_expect_eq(pod.rules.tolerations[0].effect, EFFECT_NONE);
    cr_expect_eq(pod.rules.tolerations[1].op, TOLERATE_OTHER);
    cr_expect_eq(pod.rules.tolerations[1].effect, EFFECT_NO_EXECUTE);
}

Test(decode, says_when_a_resource_finds_no_place)
{
    char json[200];
    struct pod_record pod;

    for (int i = RESOURCE_FIRST_EXTENDED; i < RESOURCE_MAX; i++) {
        (void)snprintf(
            json, sizeof json,
            "{\"spec\":{\"containers\":[{\"resources\":{\"requests\":{\"example.com/r%d\":1}}}]}}",
            i);
        pod = pod_of(sv_from(json));
        cr_expect(!pod.uncountable, "%d", i);
        cr_expect_eq(pod.request.at[i], 1, "%d", i);
    }
    pod = pod_of(SV(
        "{\"spec\":{\"containers\":[{\"resources\":{\"requests\":{\"example.com/more\":1}}}]}}"));
    cr_expect(pod.uncountable && names.overflow);
    pod = pod_of(SV(
        "{\"spec\":{\"containers\":[{\"resources\":{\"requests\":{\"example.com/more\":0}}}]}}"));
    cr_expect(!pod.uncountable, "nothing of it is asked for");
    pod =
        pod_of(SV("{\"spec\":{\"containers\":[{\"resources\":{\"requests\":{\"nonsense\":1}}}]}}"));
    cr_expect(!pod.uncountable, "the scheduler ignores it too");
}

Test(decode, names_the_place_of_what_is_wrong_in_json)
{
    static const struct {
        const char *json;
        const char *text; /* the beginning of the message */
    } rows[] = {
        {"", "no valid JSON"},
        {"   ", "no valid JSON"},
        {"[]", "found a list, expected an object"},
        {"17", "found 17, expected an object"},
        {"{} {}", "no valid JSON"},
        {"{\"a\":1.2.3}", "no valid JSON: no number at offset 5"},
        {"{\"a\":01}", "no valid JSON: no number at offset 5"},
        {"{\"a\":\"x\ny\"}", "no valid JSON: a control character at offset 7"},
        {"{\"a\":\"\xff\"}", "no valid JSON: a byte that is not UTF-8 at offset 6"},
        {"{\"a\":\"x}", "no valid JSON: a string without an end at offset 5"},
        {"{\"metadata\":[]}", "metadata: found a list, expected an object"},
        {"{\"metadata\":{\"name\":7}}", "metadata.name: found 7, expected text"},
        {"{\"metadata\":{\"name\":\"a\\u0000b\"}}", "metadata.name: found a NUL"},
        {"{\"metadata\":{\"labels\":{\"a\":{}}}}",
         "metadata.labels.a: found an object, expected text"},
        {"{\"metadata\":{\"labels\":{\"a\\u0000\":\"\"}}}", "metadata.labels.a?: found a NUL"},
        {"{\"metadata\":{\"labels\":{7:\"\"}}}", "metadata.labels.?7: found a NUL or a number"},
        {"{\"metadata\":{\"creationTimestamp\":\"yesterday\"}}",
         "metadata.creationTimestamp: found 'yesterday', expected a time"},
        {"{\"metadata\":{\"ownerReferences\":[{\"controller\":\"yes\"}]}}",
         "metadata.ownerReferences[0].controller: found 'yes', expected true or false"},
        {"{\"spec\":{\"priority\":1.5}}", "spec.priority: found 1.5, expected a whole number"},
        {"{\"spec\":{\"priority\":\"1\"}}", "spec.priority: found '1', expected a whole number"},
        {"{\"spec\":{\"priority\":2147483648}}",
         "spec.priority: found 2147483648, expected a whole number of 32"},
        {"{\"spec\":{\"containers\":{}}}", "spec.containers: found an object, expected a list"},
        {"{\"spec\":{\"containers\":[{},null]}}",
         "spec.containers[1]: found null, expected an object"},
        {"{\"spec\":{\"containers\":[{},{\"resources\":{\"requests\":{\"cpu\":\"1.5GB\"}}}]}}",
         "spec.containers[1].resources.requests.cpu: "},
        {"{\"spec\":{\"initContainers\":[{\"resources\":{\"requests\":{\"nonsense\":\"1K\"}}}]}}",
         "spec.initContainers[0].resources.requests.nonsense: "},
        {"{\"spec\":{\"overhead\":{\"cpu\":true}}}",
         "spec.overhead.cpu: found true, expected a quantity"},
        {"{\"spec\":{\"tolerations\":[{\"key\":1}]}}",
         "spec.tolerations[0].key: found 1, expected text"},
        {"{\"spec\":{\"affinity\":{\"nodeAffinity\":{"
         "\"requiredDuringSchedulingIgnoredDuringExecution\":"
         "{\"nodeSelectorTerms\":[{\"matchExpressions\":[{\"values\":[1]}]}]}}}}}",
         "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution."
         "nodeSelectorTerms[0]."
         "matchExpressions[0].values[0]: found 1, expected text"},
        {"{\"status\":{\"conditions\":[{\"type\":[]}]}}",
         "status.conditions[0].type: found a list, expected text"},
        {"{\"spec\":{\"nodeName\":\"n\"},\"status\":{\"containerStatuses\":[{"
         "\"allocatedResources\":{\"cpu\":\"x\"}}]}}",
         "status.containerStatuses[0].allocatedResources.cpu: "},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pod_record pod = {.grace_s = -1};
        struct err err = {0};

        cr_expect(!decode_pod(&d, DECODE_JSON, sv_from(rows[i].json), &pod, &err), "%s",
                  rows[i].json);
        cr_expect_eq(err.kind, ERR_INPUT, "%s", rows[i].json);
        cr_expect(sv_starts(sv_from(err.text), sv_from(rows[i].text)), "%s: %s", rows[i].json,
                  err.text);
        cr_expect_eq(pod.grace_s, -1, "%s: the record is untouched", rows[i].json);
        cr_expect(!decode_pod(&d, DECODE_JSON, sv_from(rows[i].json), &pod, NULL), "%s",
                  rows[i].json);
    }
    cr_expect_eq(pod_of(SV("{\"spec\":{\"priority\":3}}")).priority, 3,
                 "the decoder is still usable");
}

Test(decode, names_the_place_of_what_is_wrong_in_protobuf)
{
    static const struct {
        const char *name;
        struct sv message;
        enum err_kind kind;
        const char *text;
    } rows[] = {
        {"cut off",
         SV("\x0a\x05"
            "abc"),
         ERR_PROTOCOL, "field 1 at offset 0: longer than what it is in"},
        {"metadata", SV("\x0a\x02\x0a\x05"), ERR_PROTOCOL, "metadata: field 1 at offset 2: longer"},
        {"label", SV("\x0a\x04\x5a\x02\x0a\x05"), ERR_PROTOCOL,
         "metadata.labels: field 1 at offset 4: longer"},
        {"created", SV("\x0a\x0d\x42\x0b\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
         ERR_PROTOCOL, "metadata.creationTimestamp: a time beyond"},
        {"container", SV("\x12\x06\x12\x00\x12\x02\x0a\x05"), ERR_PROTOCOL,
         "spec.containers[1]: field 1 at offset 6: longer"},
        {"quantity",
         SV("\x12\x10\x12\x0e\x42\x0c\x12\x0a\x0a\x03"
            "cpu\x12\x03\x0a\x01K"),
         ERR_INPUT, "spec.containers[0].resources.requests.cpu: "},
        {"condition", SV("\x1a\x04\x12\x02\x0a\x05"), ERR_PROTOCOL,
         "status.conditions: field 1 at offset 4"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pod_record pod = {.grace_s = -1};
        struct err err = {0};

        cr_expect(!decode_pod(&d, DECODE_PROTOBUF, rows[i].message, &pod, &err), "%s",
                  rows[i].name);
        cr_expect_eq(err.kind, rows[i].kind, "%s", rows[i].name);
        cr_expect(sv_starts(sv_from(err.text), sv_from(rows[i].text)), "%s: %s", rows[i].name,
                  err.text);
        cr_expect_eq(pod.grace_s, -1, "%s: the record is untouched", rows[i].name);
    }
}

Test(decode, skips_fields_of_an_unexpected_wire_type)
{
    struct pod_record pod;

    /* metadata a number, spec.priority text, status eight bytes */
    cr_assert(decode_pod(&d, DECODE_PROTOBUF,
                         SV("\x08\x01\x12\x04\xca\x01\x01x\x19"
                            "12345678"),
                         &pod, NULL));
    cr_expect_eq(pod.priority, 0);
    cr_expect_eq(pod.grace_s, 30);
}

Test(decode, refuses_an_object_that_needs_too_much_memory)
{
    CLEANUP(strbuf_done) struct strbuf json, pb, spec, part;
    struct pod_record pod;
    struct err err;

    strbuf_init(&json, SIZE_MAX);
    strbuf_init(&pb, SIZE_MAX);
    strbuf_init(&spec, SIZE_MAX);
    strbuf_init(&part, SIZE_MAX);
    (void)strbuf_add(&json, SV("{\"spec\":{\"tolerations\":["));
    for (int i = 0; i < 300000; i++) {
        (void)strbuf_add(&json, SV("{},"));
        pbmake_message(&spec, 22, &part);
    }
    (void)strbuf_add(&json, SV("{}]}}"));
    pbmake_message(&pb, 2, &spec);
    cr_expect(!decode_pod(&d, DECODE_JSON, strbuf_sv(&json), &pod, &err));
    cr_expect_eq(err.kind, ERR_LIMIT, "%s", err.text);
    cr_expect(!decode_pod(&d, DECODE_PROTOBUF, strbuf_sv(&pb), &pod, &err));
    cr_expect_eq(err.kind, ERR_LIMIT, "%s", err.text);
    cr_expect_eq(pod_of(SV("{\"spec\":{\"priority\":3}}")).priority, 3,
                 "the decoder is still usable");
}

Test(decode, leaves_managed_fields_out)
{
    struct pod_record pod = pod_of(
        SV("{\"metadata\":{\"managedFields\":[{\"a\":{\"]\":[]}}] ,\"name\":\"n\",\"annotations\":"
           "{\"managedFields\":\"[\"}}}"));

    cr_expect(sv_eq(pod.name, SV("n")));
}

/* Decodes as everything; what must not happen is a crash. */
static void decode_all(enum decode_format format, struct sv bytes)
{
    struct pod_record pod;
    struct node_record node;
    struct object_meta meta;
    struct api_status status;
    char *copy = malloc(bytes.len != 0 ? bytes.len : 1);

    /* On memory of exactly its size, so that a byte too many is seen by the sanitizer. */
    memcpy(copy, bytes.at, bytes.len);
    bytes.at = copy;
    (void)!decode_pod(&d, format, bytes, &pod, NULL);
    (void)!decode_node(&d, format, bytes, &node, NULL);
    (void)!decode_meta(&d, format, bytes, &meta, NULL);
    (void)!decode_version(&d, format, bytes, &meta.resource_version, NULL);
    (void)!decode_status(&d, format, bytes, &status, NULL);
    free(copy);
}

Test(decode, survives_objects_cut_off_at_every_byte)
{
    static const char *const objects[] = {"pod", "node", "status410"};

    for (size_t i = 0; i < COUNT_OF(objects); i++) {
        for (int form = 0; form < 2; form++) {
            struct sv whole = object_of(objects[i], (enum decode_format)form);

            for (size_t n = 0; n < whole.len; n++) {
                struct sv cut = {.at = whole.at, .len = n};
                struct pod_record pod;

                decode_all((enum decode_format)form, cut);
                if (form == DECODE_JSON)
                    cr_expect(!decode_pod(&d, DECODE_JSON, cut, &pod, NULL), "%s at %zu",
                              objects[i], n);
            }
        }
    }
}

Test(decode, survives_flipped_bytes)
{
    static const char *const objects[] = {"pod", "node", "status410"};
    unsigned seed = 20261122;

    for (size_t i = 0; i < COUNT_OF(objects); i++) {
        for (int form = 0; form < 2; form++) {
            struct sv whole = object_of(objects[i], (enum decode_format)form);
            CLEANUP(strbuf_done) struct strbuf broken;

            strbuf_init(&broken, SIZE_MAX);
            for (int round = 0; round < 1500; round++) {
                strbuf_clear(&broken);
                (void)strbuf_add(&broken, whole);
                for (int flips = 1 + rand_r(&seed) % 4; flips > 0; flips--)
                    broken.at[(size_t)rand_r(&seed) % broken.len] = (char)rand_r(&seed);
                decode_all((enum decode_format)form, strbuf_sv(&broken));
            }
        }
    }
}
