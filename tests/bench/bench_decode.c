/*
 * How fast a list of pods is cut and decoded: bytes and pods a second, of a list as a busy cluster has it (6.4 KB a pod, 2
 * containers, 12 labels, 40 % of it managedFields), pushed in pieces as a socket gives them.
 *
 *     bench_decode [PODS [ROUNDS]]
 *
 * Lines of three words are for bench.py.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/kube/decode.h"
#include "agent/kube/frame.h"
#include "tests/pbmake.h"

enum { PODS = 30000, ROUNDS = 5, PUSH_BYTES = 128 << 10 };

/* Lengths that make the pod 6.4 KB with 40 % of managedFields. */
enum { MANAGED_BYTES = 850, ENV_BYTES = 210, ENVS = 3 };

static struct strbuf scratch(void)
{
    struct strbuf b;

    strbuf_init(&b, SIZE_MAX);
    return b;
}

static void filler(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + i % 26);
    text[len] = '\0';
}

static void add_meta(struct strbuf *pod, int index)
{
    CLEANUP(strbuf_done) struct strbuf meta = scratch(), part = scratch(), raw = scratch();
    char text[MANAGED_BYTES + 1];

    (void)snprintf(text, sizeof text, "web-5d7c9f8b6d-%05d", index);
    pbmake_str(&meta, 1, text);
    pbmake_str(&meta, 2, "web-5d7c9f8b6d-");
    pbmake_str(&meta, 3, "production");
    pbmake_str(&meta, 4, "");
    (void)snprintf(text, sizeof text, "3f1c7a52-8b1e-4a6f-9c0d-%012d", index);
    pbmake_str(&meta, 5, text);
    pbmake_str(&meta, 6, "123456789");
    pbmake_var(&meta, 7, 0);
    pbmake_var(&part, 1, 1760000000);
    pbmake_var(&part, 2, 0);
    pbmake_message(&meta, 8, &part);
    for (int i = 0; i < 12; i++) {
        char key[64];

        (void)snprintf(key, sizeof key, "example.com/label-%02d", i);
        pbmake_entry(&meta, 11, key, "some-value");
    }
    pbmake_entry(&meta, 12, "prometheus.io/scrape", "true");
    pbmake_entry(&meta, 12, "kubectl.kubernetes.io/restartedAt", "2026-10-01T14:37:15Z");
    pbmake_str(&part, 1, "ReplicaSet");
    pbmake_str(&part, 3, "web-5d7c9f8b6d");
    pbmake_str(&part, 4, "99999999-0000-0000-0000-000000000000");
    pbmake_str(&part, 5, "apps/v1");
    pbmake_var(&part, 6, 1);
    pbmake_var(&part, 7, 1);
    pbmake_message(&meta, 13, &part);
    filler(text, MANAGED_BYTES - 80);
    for (int i = 0; i < 3; i++) {
        pbmake_str(&part, 1, "kube-controller-manager");
        pbmake_str(&part, 2, "Update");
        pbmake_str(&part, 3, "v1");
        pbmake_str(&part, 6, "FieldsV1");
        pbmake_str(&raw, 1, text);
        pbmake_message(&part, 7, &raw);
        pbmake_message(&meta, 17, &part);
    }
    pbmake_message(pod, 1, &meta);
}

static void add_container(struct strbuf *spec, const char *name)
{
    CLEANUP(strbuf_done) struct strbuf c = scratch(), part = scratch();
    char text[ENV_BYTES + 1];

    filler(text, ENV_BYTES);
    pbmake_str(&c, 1, name);
    pbmake_str(&c, 2,
               "registry.example.com/team/application/web@sha256:0123456789abcdef0123456789abcdef");
    pbmake_str(&part, 1, "http");
    pbmake_var(&part, 2, 0);
    pbmake_var(&part, 3, 8080);
    pbmake_str(&part, 4, "TCP");
    pbmake_message(&c, 6, &part);
    for (int i = 0; i < ENVS; i++) {
        pbmake_str(&part, 1, "SOME_VARIABLE");
        pbmake_str(&part, 2, text);
        pbmake_message(&c, 7, &part);
    }
    pbmake_quantity(&part, 1, "cpu", "2");
    pbmake_quantity(&part, 1, "memory", "4Gi");
    pbmake_quantity(&part, 2, "cpu", "500m");
    pbmake_quantity(&part, 2, "memory", "1Gi");
    pbmake_message(&c, 8, &part);
    pbmake_str(&part, 1, "kube-api-access-abcde");
    pbmake_var(&part, 2, 1);
    pbmake_str(&part, 3, "/var/run/secrets/kubernetes.io/serviceaccount");
    pbmake_message(&c, 9, &part);
    pbmake_str(&c, 13, "/dev/termination-log");
    pbmake_str(&c, 14, "IfNotPresent");
    pbmake_var(&c, 16, 0);
    pbmake_var(&c, 17, 0);
    pbmake_var(&c, 18, 0);
    pbmake_str(&c, 20, "File");
    pbmake_message(spec, 2, &c);
}

static void add_spec(struct strbuf *pod)
{
    CLEANUP(strbuf_done) struct strbuf spec = scratch(), part = scratch();
    static const char *const taints[] = {"node.kubernetes.io/not-ready",
                                         "node.kubernetes.io/unreachable"};

    pbmake_str(&part, 1, "kube-api-access-abcde");
    pbmake_message(&spec, 1, &part);
    add_container(&spec, "web");
    add_container(&spec, "proxy");
    pbmake_str(&spec, 3, "Always");
    pbmake_var(&spec, 4, 30);
    pbmake_str(&spec, 6, "ClusterFirst");
    pbmake_str(&spec, 8, "default");
    pbmake_str(&spec, 9, "default");
    pbmake_str(&spec, 10, "node-0042.example.com");
    for (unsigned i = 11; i < 14; i++)
        pbmake_var(&spec, i, 0);
    pbmake_message(&spec, 14, &part);
    pbmake_str(&spec, 16, "");
    pbmake_str(&spec, 17, "");
    pbmake_str(&spec, 19, "default-scheduler");
    for (size_t i = 0; i < COUNT_OF(taints); i++) {
        pbmake_str(&part, 1, taints[i]);
        pbmake_str(&part, 2, "Exists");
        pbmake_str(&part, 3, "");
        pbmake_str(&part, 4, "NoExecute");
        pbmake_var(&part, 5, 300);
        pbmake_message(&spec, 22, &part);
    }
    pbmake_str(&spec, 24, "");
    pbmake_var(&spec, 25, 0);
    pbmake_var(&spec, 30, 1);
    pbmake_str(&spec, 31, "PreemptLowerPriority");
    pbmake_message(pod, 2, &spec);
}

static void add_container_status(struct strbuf *status, const char *name)
{
    CLEANUP(strbuf_done) struct strbuf s = scratch(), part = scratch();

    pbmake_str(&s, 1, name);
    pbmake_str(&part, 2, "\x0a\x08\x08\x80\xbe\x9c\xc7\x06\x10"); /* running since … */
    pbmake_message(&s, 2, &part);
    pbmake_message(&s, 3, &part);
    pbmake_var(&s, 4, 1);
    pbmake_var(&s, 5, 0);
    pbmake_str(&s, 6, "registry.example.com/team/application/web:1.2.3");
    pbmake_str(&s, 7,
               "registry.example.com/team/application/web@sha256:0123456789abcdef0123456789");
    pbmake_str(&s, 8,
               "containerd://0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    pbmake_var(&s, 9, 1);
    pbmake_quantity(&s, 10, "cpu", "500m");
    pbmake_quantity(&s, 10, "memory", "1Gi");
    pbmake_quantity(&part, 1, "cpu", "2");
    pbmake_quantity(&part, 1, "memory", "4Gi");
    pbmake_quantity(&part, 2, "cpu", "500m");
    pbmake_quantity(&part, 2, "memory", "1Gi");
    pbmake_message(&s, 11, &part);
    pbmake_message(status, 8, &s);
}

static void add_status(struct strbuf *pod)
{
    CLEANUP(strbuf_done) struct strbuf status = scratch(), part = scratch();
    static const char *const types[] = {"PodReadyToStartContainers", "Initialized", "Ready",
                                        "ContainersReady", "PodScheduled"};

    pbmake_str(&status, 1, "Running");
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        pbmake_str(&part, 1, types[i]);
        pbmake_str(&part, 2, "True");
        pbmake_str(&part, 3, "");
        pbmake_str(&part, 4, "\x08\x80\xbe\x9c\xc7\x06");
        pbmake_str(&part, 5, "");
        pbmake_str(&part, 6, "");
        pbmake_message(&status, 2, &part);
    }
    pbmake_str(&status, 3, "");
    pbmake_str(&status, 4, "");
    pbmake_str(&status, 5, "10.0.0.42");
    pbmake_str(&status, 6, "10.244.3.17");
    add_container_status(&status, "web");
    add_container_status(&status, "proxy");
    pbmake_str(&status, 9, "Burstable");
    pbmake_str(&status, 11, "");
    pbmake_message(pod, 3, &status);
}

static void make_list(struct strbuf *out, int pods)
{
    CLEANUP(strbuf_done) struct strbuf list = scratch(), part = scratch();

    pbmake_str(&part, 2, "123456789");
    pbmake_message(&list, 1, &part);
    for (int i = 0; i < pods; i++) {
        add_meta(&part, i);
        add_spec(&part);
        add_status(&part);
        pbmake_message(&list, 2, &part);
    }
    pbmake_envelope(out, "PodList", strbuf_sv(&list));
}

struct sink {
    struct decoder decoder;
    int64_t pods, cpu_milli;
    bool decode;
};

static bool sink_object(void *self, enum frame_event event UNUSED, enum decode_format format,
                        struct sv object, struct err *err)
{
    struct sink *sink = self;
    struct pod_record pod;

    sink->pods++;
    if (!sink->decode)
        return true;
    if (!decode_pod(&sink->decoder, format, object, &pod, err))
        return false;
    sink->cpu_milli += pod.request.at[RESOURCE_CPU];
    return true;
}

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool run(struct sink *sink, struct sv body, struct err *err)
{
    struct frame_handler handler = {.object = sink_object, .self = sink};
    CLEANUP(frame_free_ptr) struct frame *f = frame_new(false, DECODE_PROTOBUF, &handler);

    while (body.len != 0) {
        size_t n = body.len < PUSH_BYTES ? body.len : PUSH_BYTES;

        if (!frame_push(f, (struct sv){.at = body.at, .len = n}, err))
            return false;
        body = sv_skip(body, n);
    }
    return frame_end(f, err);
}

static void measure(struct sink *sink, struct sv body, int rounds, const char *what)
{
    double best = 1e9, took;
    struct err err;

    for (int i = 0; i < rounds; i++) {
        double start = seconds();

        sink->pods = 0;
        if (!run(sink, body, &err)) {
            (void)fprintf(stderr, "bench_decode: %s\n", err.text);
            exit(1);
        }
        took = seconds() - start;
        best = took < best ? took : best;
        if (sink->decode)
            printf("decode.rate %.0f MB/s\n", (double)body.len / took / 1e6);
    }
    printf("%-22s %8.0f MB/s %9.0f pods/s %6.2f us/pod\n", what, (double)body.len / best / 1e6,
           (double)sink->pods / best, best * 1e6 / (double)sink->pods);
}

int main(int argc, char **argv)
{
    int pods = argc > 1 ? atoi(argv[1]) : PODS;
    int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS;
    CLEANUP(strbuf_done) struct strbuf body = scratch();
    struct resource_names names;
    struct podreq_rules rules;
    struct sink sink = {0};

    resource_names_init(&names);
    if (pods < 1 || rounds < 1 || !podreq_rules_for(SV("1.35"), &rules, NULL))
        return 2;
    decoder_init(&sink.decoder, &names, &rules);
    make_list(&body, pods);
    printf("%d pods of %zu bytes, pushed in pieces of %d KiB\n", pods, body.len / (size_t)pods,
           PUSH_BYTES >> 10);
    measure(&sink, strbuf_sv(&body), rounds, "cut (frame)");
    sink.decode = true;
    measure(&sink, strbuf_sv(&body), rounds, "cut and decode, 1.35");
    decoder_done(&sink.decoder);
    resource_names_done(&names);
    return 0;
}
