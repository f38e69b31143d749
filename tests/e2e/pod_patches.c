/*
 * pod_patches: writes on the pods of one namespace what standard input asks for, all at once, for test_gate.py.
 *
 *   pod_patches KUBECONFIG NAMESPACE
 *
 * The pods are listed first, as the agent knows them by its watch; then each line is begun, in order:
 *
 *   in NAME NODE         lets the pod in
 *   bare NAME NODE       the same, as if the pod had no affinity of its own and no other gates
 *   stranger NAME NODE   the same, with the uid of no pod
 *   cost NAME N          sets its deletion cost
 *
 * Prints "may yes" or "may no", as the server's review of the account says, "NAME OUTCOME TEXT" for each as it ends, "missing
 * TEXT" if a right was missing, and "seconds N.NNN", from the first begun to the last ended. Exit status 2 and a message where
 * a line is not understood.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api.h"
#include "agent/kube/access.h"
#include "agent/kube/pod_patch.h"
#include "agent/kube/watch.h"
#include "base/alloc.h"

enum { MAX_LINE = 1024 };

struct task {
    struct work *work;
    char name[256];
};

/* A pod as it was listed; its rules live in a decoder of its own. */
struct listed {
    struct decoder decoder;
    char *text;
    struct pod_record record;
};

struct work {
    struct api api;
    struct resource_names names;
    struct listed *pods;
    size_t n_pods, cap_pods;
    struct pod_patcher *patcher;
    size_t left;
};

static void fatal(const char *what, const char *why)
{
    (void)fprintf(stderr, "pod_patches: %s: %s\n", what, why);
    exit(2);
}

static bool on_pod(void *self, enum frame_event event UNUSED, enum decode_format format,
                   struct sv object, struct err *err)
{
    struct work *w = self;
    struct listed pod = {.text = sv_dup(object)};

    decoder_init(&pod.decoder, &w->names, &(struct podreq_rules){0});
    if (!decode_pod(&pod.decoder, format, (struct sv){.at = pod.text, .len = object.len},
                    &pod.record, err))
        return false;
    VEC_PUSH(w->pods, w->n_pods, w->cap_pods, pod);
    return true;
}

static const struct pod_record *find(const struct work *w, const char *name)
{
    for (size_t i = 0; i < w->n_pods; i++)
        if (sv_eq(w->pods[i].record.name, sv_from(name)))
            return &w->pods[i].record;
    fatal(name, "no such pod");
    return NULL;
}

static void on_end(void *self, const struct pod_patch_result *result)
{
    struct task *task = self;

    (void)printf("%s %s %s\n", task->name, pod_patch_outcome_name(result->outcome),
                 result->err != NULL ? result->err->text : "");
    if (--task->work->left == 0)
        loop_stop(task->work->api.loop);
    free(task);
}

static void begin(struct work *w, const char *what, const char *name, const char *arg)
{
    static const struct pod_rules none = {0};
    const struct pod_record *record = find(w, name);
    struct task *task = xcalloc(1, sizeof *task);
    struct pod_patch_pod pod = {.name = record->name,
                                .uid = record->uid,
                                .rules = &record->rules,
                                .gated_by_others = record->gated_by_others};

    task->work = w;
    (void)snprintf(task->name, sizeof task->name, "%s", name);
    w->left++;
    if (strcmp(what, "cost") == 0) {
        (void)pod_patch_cost(w->patcher, &pod, (int32_t)strtol(arg, NULL, 10), on_end, task);
        return;
    }
    if (strcmp(what, "bare") == 0) {
        pod.rules = &none;
        pod.gated_by_others = false;
    } else if (strcmp(what, "stranger") == 0) {
        pod.uid.lo++;
    } else if (strcmp(what, "in") != 0) {
        fatal(what, "expected in, bare, stranger or cost");
    }
    (void)pod_patch_let_in(w->patcher, &pod, sv_from(arg), on_end, task);
}

static void tell_right(struct work *w, const char *ns)
{
    const struct access_right right = access_right_to_patch_pods(ns);
    struct err err = {0};
    bool allowed;

    if (!access_wait(w->api.client, w->api.loop, &right, &allowed, &err))
        fatal("access", err.text);
    (void)printf("may %s\n", allowed ? "yes" : "no");
}

static void begin_all(struct work *w)
{
    char line[MAX_LINE], what[16], name[256], arg[256];

    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "%15s %255s %255s", what, name, arg) != 3)
            fatal(line, "expected three words");
        begin(w, what, name, arg);
    }
}

int main(int argc, char **argv)
{
    struct work w = {0};
    struct err err = {0};
    char path[512];
    struct mono began;

    if (argc != 3)
        fatal("usage", "pod_patches KUBECONFIG NAMESPACE");
    if (!api_open(&w.api, argv[1], NULL, &err))
        fatal(argv[1], err.text);
    resource_names_init(&w.names);
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/%s/pods", argv[2]);
    if (!api_list(&w.api, path, WATCH_PODS_KIND, NULL,
                  &(struct frame_handler){.object = on_pod, .self = &w}, &err))
        fatal(path, err.text);
    tell_right(&w, argv[2]);
    w.patcher = pod_patcher_new(w.api.client, argv[2]);
    began = loop_fresh(w.api.loop);
    begin_all(&w);
    if (w.left != 0)
        loop_run(w.api.loop);
    if (pod_patcher_view(w.patcher).missing != NULL)
        (void)printf("missing %s\n", pod_patcher_view(w.patcher).missing);
    (void)printf("seconds %.3f\n",
                 (double)mono_since_us(began, loop_fresh(w.api.loop)) / (double)US_PER_S);
    pod_patcher_free(w.patcher);
    for (size_t i = 0; i < w.n_pods; i++) {
        decoder_done(&w.pods[i].decoder);
        free(w.pods[i].text);
    }
    free(w.pods);
    resource_names_done(&w.names);
    api_close(&w.api);
    return 0;
}
