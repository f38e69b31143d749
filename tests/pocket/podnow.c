/* Pods as they are now: what the simulation knows of them, around the text of their doc. */
#include "agent/json_read.h"
#include "base/jsonw.h"
#include "tests/pocket/fat.h"
#include "tests/pocket/parts.h"

enum { MAX_TEXT = 1 << 20 };

struct writer {
    const struct world *w;
    struct strbuf text;
    struct jsonw json;
};

static void add_time(struct writer *to, const char *key, struct mono t)
{
    char text[WALL_TEXT_SIZE];

    wall_format(world_wall(to->w, t), 0, text);
    jsonw_cstr(&to->json, key, text);
}

static void add_condition(struct writer *to, const char *type, bool status, const char *reason,
                          const char *message, struct mono since)
{
    jsonw_object(&to->json, NULL);
    jsonw_cstr(&to->json, "type", type);
    jsonw_cstr(&to->json, "status", status ? "True" : "False");
    jsonw_null(&to->json, "lastProbeTime");
    add_time(to, "lastTransitionTime", since);
    if (reason != NULL)
        jsonw_cstr(&to->json, "reason", reason);
    if (message != NULL)
        jsonw_cstr(&to->json, "message", message);
    jsonw_end(&to->json);
}

static void write_labels(struct writer *to, const struct object_spec *spec)
{
    jsonw_object(&to->json, "labels");
    for (size_t i = 0; i < spec->n_labels; i++)
        jsonw_sv_str(&to->json, spec->labels[i].key, spec->labels[i].value);
    jsonw_end(&to->json);
}

static void write_meta(struct writer *to, const struct sim_pod *pod, const struct object_spec *spec)
{
    char uid[UID_TEXT_SIZE];

    uid_text(pod->uid, uid);
    jsonw_str(&to->json, "name", pod->name);
    jsonw_str(&to->json, "namespace", pod->spec->ns);
    jsonw_cstr(&to->json, "uid", uid);
    add_time(to, "creationTimestamp", pod->created);
    if (pod->deleting) {
        add_time(to, "deletionTimestamp", (struct mono){.us = pod->deleted_at.us + pod->grace_us});
        jsonw_i64(&to->json, "deletionGracePeriodSeconds", world_shown_s(to->w, pod->grace_us));
    }
    if (world_fat(to->w))
        write_labels(to, spec);
}

static void write_conditions(struct writer *to, const struct sim_pod *pod)
{
    bool running = pod->phase == PHASE_RUNNING;

    jsonw_array(&to->json, "conditions");
    if (pod->preempted)
        add_condition(to, "DisruptionTarget", true, "PreemptionByScheduler",
                      "default-scheduler: preempting to accommodate a higher priority pod",
                      pod->deleted_at);
    if (pod->node != NULL) {
        add_condition(to, "PodScheduled", true, NULL, NULL, pod->bound_at);
        add_condition(to, "Initialized", true, NULL, NULL, pod->bound_at);
        add_condition(to, "Ready", pod->ready && running,
                      pod->ready && running ? NULL : "ContainersNotReady", NULL,
                      pod->ready ? pod->ready_at : pod->bound_at);
        add_condition(to, "ContainersReady", pod->ready && running,
                      pod->ready && running ? NULL : "ContainersNotReady", NULL,
                      pod->ready ? pod->ready_at : pod->bound_at);
    } else if (pod->gated) {
        add_condition(to, "PodScheduled", false, "SchedulingGated",
                      "Scheduling is blocked due to non-empty scheduling gates", pod->created);
    } else if (pod->unschedulable) {
        add_condition(to, "PodScheduled", false, "Unschedulable",
                      "0 nodes are available for this pod.", pod->failed_at);
    }
    jsonw_end(&to->json);
}

static void write_statuses(struct writer *to, const struct sim_pod *pod, const struct pod_doc *doc)
{
    struct sv rest = strbuf_sv(&doc->containers), item;
    bool running = pod->phase == PHASE_RUNNING;

    jsonw_array(&to->json, "containerStatuses");
    while (json_next(&rest, &item)) {
        jsonw_object(&to->json, NULL);
        jsonw_raw(&to->json, "name", json_at(item, "name"));
        jsonw_raw(&to->json, "image", json_at(item, "image"));
        jsonw_cstr(&to->json, "imageID", "");
        jsonw_bool(&to->json, "ready", pod->ready && running);
        jsonw_bool(&to->json, "started", running);
        jsonw_i64(&to->json, "restartCount", 0);
        jsonw_object(&to->json, "lastState");
        jsonw_end(&to->json);
        jsonw_object(&to->json, "state");
        jsonw_object(&to->json, running                       ? "running"
                                : pod->phase == PHASE_PENDING ? "waiting"
                                                              : "terminated");
        if (running)
            add_time(to, "startedAt", pod->bound_at);
        else if (pod->phase == PHASE_PENDING)
            jsonw_cstr(&to->json, "reason", "ContainerCreating");
        else
            jsonw_i64(&to->json, "exitCode", pod->phase == PHASE_FAILED);
        jsonw_end(&to->json);
        jsonw_end(&to->json);
        jsonw_end(&to->json);
    }
    jsonw_end(&to->json);
}

static void write_status(struct writer *to, const struct sim_pod *pod, const struct pod_doc *doc)
{
    jsonw_cstr(&to->json, "phase", pod_phase_name(pod->phase));
    write_conditions(to, pod);
    if (pod->nominated != NULL)
        jsonw_str(&to->json, "nominatedNodeName", pod->nominated->record.name);
    if (pod->node == NULL)
        return;
    add_time(to, "startTime", pod->bound_at);
    write_statuses(to, pod, doc);
}

static void write_spec(struct writer *to, const struct sim_pod *pod, const struct pod_doc *doc)
{
    if (pod->node != NULL)
        jsonw_str(&to->json, "nodeName", pod->node->record.name);
    if (pod->gated)
        jsonw_raw(&to->json, "schedulingGates", strbuf_sv(&doc->gates));
}

/* Begins and ends one part; where it stands in the text without its braces. */
static size_t begin(struct writer *to)
{
    jsonw_init(&to->json, &to->text);
    jsonw_object(&to->json, NULL);
    return to->text.len;
}

static size_t end(struct writer *to, size_t start)
{
    jsonw_end(&to->json);
    return to->text.len - start - 1;
}

struct object *podtext_object(const struct world *w, const struct sim_pod *pod,
                              const struct pod_doc *doc)
{
    struct writer to = {.w = w};
    size_t start[PART_COUNT_], len[PART_COUNT_];
    struct object_spec spec = {.kind = KIND_PODS,
                               .ns = pod->spec->ns,
                               .name = pod->name,
                               .phase = sv_from(pod_phase_name(pod->phase)),
                               .labels = doc->spec.labels,
                               .n_labels = doc->spec.n_labels,
                               .shared = doc->shared};
    struct fat_labels labels;
    struct object *o;

    if (world_fat(w)) {
        fat_labels(pod, &labels);
        spec.labels = labels.at;
        spec.n_labels = labels.n;
    }
    strbuf_init(&to.text, MAX_TEXT);
    start[PART_META] = begin(&to);
    write_meta(&to, pod, &spec);
    len[PART_META] = end(&to, start[PART_META]);
    start[PART_SPEC] = begin(&to);
    write_spec(&to, pod, doc);
    len[PART_SPEC] = end(&to, start[PART_SPEC]);
    start[PART_STATUS] = begin(&to);
    write_status(&to, pod, doc);
    len[PART_STATUS] = end(&to, start[PART_STATUS]);
    for (size_t i = 0; i < PART_COUNT_; i++)
        spec.part[i] = (struct sv){.at = to.text.at + start[i], .len = len[i]};
    if (pod->node != NULL)
        spec.node = pod->node->record.name;
    if (pod->nominated != NULL)
        spec.nominated = pod->nominated->record.name;
    o = object_new(&spec);
    strbuf_done(&to.text);
    return o;
}
