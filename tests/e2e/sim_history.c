/*
 * sim_history: plays a history against the simulation, for test_sim_equal.py, which plays the same
 * one against a real control plane.
 *
 * Standard input holds one line a fact, words parted by single blanks, times in microseconds from
 * the start, in order; CPU in milli, memory in MiB:
 *
 *   set KEY VALUE                                   of struct sim_config, before anything else
 *   node NAME GROUP CPU MEMORY PODS                 ready at once; its label `group` is GROUP
 *   filler GROUP CPU MEMORY PRIORITY GRACE START EXIT    a workload of 0 pods for nodes of GROUP
 *   AT pod NAME GROUP CPU MEMORY PRIORITY GRACE START EXIT GATED    a paid pod; GATED: 0 or 1
 *   AT delete NAME | AT ungate NAME | AT scale GROUP N
 *   AT count GROUP                                  prints "count GROUP PAID FILLER LEAVING"
 *
 * "count" shows the pods that are bound; LEAVING are those of both kinds that were asked to go. At
 * the end each paid pod has a line "wait GROUP NAME US", or "wait GROUP NAME -" where it was never
 * bound.
 *
 * With a first line "hpa …" it plays rounds of one autoscaler instead:
 *
 *   hpa MIN MAX TARGET VALUE_MILLI WINDOW [UP_WINDOW UP_UNIT UP_VALUE UP_PERIOD
 *                                          DOWN_WINDOW DOWN_UNIT DOWN_VALUE DOWN_PERIOD]
 *   round AT VALUE_MILLI REPLICAS STATUS READY      prints "round OUTCOME REPLICAS"
 *
 * TARGET is value or average, a UNIT pods or percent. Exit status 2 and a message where a line is
 * not understood.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/sv.h"
#include "policy/sim/sim.h"

enum { MAX_WORDS = 16, MAX_LINE = 512 };

struct paid {
    char *name, *group;
    int64_t created_us, bound_us; /* bound_us -1: not yet */
};

struct play {
    struct sim_config config;
    struct sim *sim;
    struct paid *paid;
    size_t n_paid, paid_cap;
    struct hpa *hpa;
    struct sv words[MAX_WORDS];
    size_t n_words;
};

/* ---- reading ---- */

static _Noreturn void refuse(const struct play *p, const char *what)
{
    (void)fprintf(stderr, "sim_history: %s:", what);
    for (size_t i = 0; i < p->n_words; i++)
        (void)fprintf(stderr, " %.*s", SV_ARG(p->words[i]));
    (void)fputc('\n', stderr);
    exit(2);
}

static struct sv word(const struct play *p, size_t at)
{
    if (at >= p->n_words)
        refuse(p, "too few words");
    return p->words[at];
}

static int64_t number(const struct play *p, size_t at)
{
    int64_t value;

    if (!sv_to_i64(word(p, at), &value))
        refuse(p, "not a number");
    return value;
}

static void split(struct play *p, struct sv line)
{
    struct sv piece;

    p->n_words = 0;
    while (sv_next(&line, ' ', &piece)) {
        if (p->n_words == MAX_WORDS)
            refuse(p, "too many words");
        p->words[p->n_words++] = piece;
    }
}

static bool is(const struct play *p, size_t at, const char *text)
{
    return sv_eq(word(p, at), sv_from(text));
}

/* ---- the world ---- */

/* A paid pod's tag is its place in `paid`, plus one; filler has 0. */
static void see(void *self, const struct sim_event *event)
{
    struct play *p = self;

    if (event->kind != SIM_POD || event->verb != SIM_MODIFIED || event->pod->node == NULL ||
        event->pod->spec->tag == 0)
        return;

    struct paid *paid = &p->paid[event->pod->spec->tag - 1];

    if (paid->bound_us < 0)
        paid->bound_us = event->pod->bound_at.us;
}

static struct sim *world(struct play *p)
{
    if (p->sim == NULL) {
        p->config.observer = (struct sim_observer){.see = see, .self = p};
        p->sim = sim_new(&p->config);
    }
    return p->sim;
}

static void set_config(struct play *p)
{
    struct sim_config *c = &p->config;
    int64_t value = number(p, 2);

    if (is(p, 1, "seed"))
        c->seed = (uint64_t)value;
    else if (is(p, 1, "attempt_us"))
        c->attempt_us = value;
    else if (is(p, 1, "react_us"))
        c->react_us = value;
    else if (is(p, 1, "call_us"))
        c->call_us = value;
    else if (is(p, 1, "client_rate"))
        c->client_rate = (int32_t)value;
    else if (is(p, 1, "epoch_us"))
        c->epoch.us = value;
    else if (is(p, 1, "jitter_percent"))
        c->jitter_percent = (int32_t)value;
    else
        refuse(p, "unknown key");
}

static struct resources request(const struct play *p, size_t cpu_at)
{
    struct resources r = {0};

    r.at[RESOURCE_CPU] = number(p, cpu_at);
    r.at[RESOURCE_MEMORY] = number(p, cpu_at + 1) * 1024 * 1024;
    return r;
}

static void add_node(struct play *p)
{
    const struct label labels[] = {{.key = SV("group"), .value = word(p, 2)}};
    struct node_record record = {.name = word(p, 1),
                                 .labels = labels,
                                 .n_labels = 1,
                                 .allocatable = request(p, 3),
                                 .ready = true};
    const struct sim_node *node;
    struct err err;

    record.allocatable.at[RESOURCE_PODS] = number(p, 5);
    if (!sim_node_put(world(p), &record, &node, &err))
        refuse(p, err.text);
}

/* From priority on the words of a pod and of a filler are the same. */
static struct sim_pod_spec spec_of(const struct play *p, struct sv group, struct label *selector,
                                   size_t cpu_at)
{
    struct sim_pod_spec spec = sim_pod_spec_default();

    *selector = (struct label){.key = SV("group"), .value = group};
    spec.rules.node_selector = selector;
    spec.rules.n_node_selector = 1;
    spec.ns = group;
    spec.request = request(p, cpu_at);
    spec.priority = (int32_t)number(p, cpu_at + 2);
    spec.grace_us = number(p, cpu_at + 3);
    spec.start_us = number(p, cpu_at + 4);
    spec.exit_us = number(p, cpu_at + 5);
    return spec;
}

static void add_filler(struct play *p)
{
    struct label selector;
    const struct sim_workload_spec spec = {.kind = SV("Deployment"),
                                           .name = SV("filler"),
                                           .template = spec_of(p, word(p, 1), &selector, 2)};
    const struct sim_workload *w;
    struct err err;

    if (!sim_workload_add(world(p), &spec, &w, &err))
        refuse(p, err.text);
}

static void add_pod(struct play *p)
{
    struct label selector;
    struct sim_pod_spec spec = spec_of(p, word(p, 3), &selector, 4);
    const struct paid paid = {.name = sv_dup(word(p, 2)),
                              .group = sv_dup(word(p, 3)),
                              .created_us = sim_now(p->sim).us,
                              .bound_us = -1};
    const struct sim_pod *pod;
    struct err err;

    VEC_PUSH(p->paid, p->n_paid, p->paid_cap, paid);
    spec.gated = number(p, 10) != 0;
    spec.tag = p->n_paid;
    if (!sim_pod_create(p->sim, word(p, 2), &spec, NULL, &pod, &err))
        refuse(p, err.text);
}

/* NULL: it is gone, which a finished deletion may well have done. */
static const struct sim_pod *find_pod(const struct play *p)
{
    for (size_t i = 0; i < p->n_paid; i++) {
        if (sv_eq(sv_from(p->paid[i].name), word(p, 2)))
            return sim_pod_find(p->sim, sv_from(p->paid[i].group), word(p, 2));
    }
    refuse(p, "no such pod");
}

static void scale(struct play *p)
{
    const struct sim_workload *w =
        sim_workload_find(p->sim, SV("Deployment"), word(p, 2), SV("filler"));

    if (w == NULL)
        refuse(p, "no such filler");
    sim_workload_scale(p->sim, w, (int32_t)number(p, 3));
}

static void count(const struct play *p)
{
    struct sv group = word(p, 2);
    uint32_t paid = 0, filler = 0, leaving = 0;

    for (uint32_t id = 0; id < sim_pod_limit(p->sim); id++) {
        const struct sim_pod *pod = sim_pod_at(p->sim, id);

        if (pod == NULL || pod->node == NULL || !sv_eq(pod->spec->ns, group))
            continue;
        if (pod->owner != NULL)
            filler++;
        else
            paid++;
        leaving += pod->deleting;
    }
    (void)printf("count %.*s %u %u %u\n", SV_ARG(group), paid, filler, leaving);
}

static void play_timed(struct play *p)
{
    const struct sim_pod *pod;

    sim_run_until(world(p), (struct mono){.us = number(p, 0)});
    if (is(p, 1, "pod")) {
        add_pod(p);
    } else if (is(p, 1, "scale")) {
        scale(p);
    } else if (is(p, 1, "count")) {
        count(p);
    } else if (is(p, 1, "delete")) {
        pod = find_pod(p);
        if (pod != NULL)
            sim_pod_delete(p->sim, pod, -1);
    } else if (is(p, 1, "ungate")) {
        pod = find_pod(p);
        if (pod != NULL)
            sim_pod_patch(p->sim, pod, &(struct sim_pod_patch){.ungate = true});
    } else {
        refuse(p, "unknown verb");
    }
}

/* ---- one autoscaler ---- */

static struct hpa_rules rules_at(const struct play *p, size_t at)
{
    return (struct hpa_rules){
        .window_s = (int32_t)number(p, at),
        .policies = {{.unit = is(p, at + 1, "pods") ? HPA_UNIT_PODS : HPA_UNIT_PERCENT,
                      .value = (int32_t)number(p, at + 2),
                      .period_s = (int32_t)number(p, at + 3)}},
        .n_policies = 1,
    };
}

static void make_hpa(struct play *p)
{
    struct hpa_spec spec = hpa_spec_default();
    struct err err;

    spec.min = (int32_t)number(p, 1);
    spec.max = (int32_t)number(p, 2);
    spec.metrics[0].target = is(p, 3, "value") ? HPA_VALUE : HPA_AVERAGE_VALUE;
    spec.metrics[0].target_milli = number(p, 4);
    spec.n_metrics = 1;
    spec.down_window_s = (int32_t)number(p, 5);
    spec.has_behavior = p->n_words > 6;
    if (spec.has_behavior) {
        spec.up = rules_at(p, 6);
        spec.down = rules_at(p, 10);
    }
    hpa_free(p->hpa);
    p->hpa = NULL;
    if (!hpa_new(&spec, &p->hpa, &err))
        refuse(p, err.text);
}

static void play_round(struct play *p)
{
    if (p->hpa == NULL)
        refuse(p, "a round without an autoscaler");

    const struct hpa_input in = {.replicas = (int32_t)number(p, 3),
                                 .status_replicas = (int32_t)number(p, 4),
                                 .ready = (int32_t)number(p, 5),
                                 .readings = {{.valid = true, .milli = number(p, 2)}}};
    struct hpa_result result = hpa_round(p->hpa, &in, (struct mono){.us = number(p, 1)});

    (void)printf("round %s %d\n", hpa_outcome_name(result.outcome), result.replicas);
}

/* ---- the whole ---- */

static void play_line(struct play *p)
{
    if (is(p, 0, "set"))
        set_config(p);
    else if (is(p, 0, "node"))
        add_node(p);
    else if (is(p, 0, "filler"))
        add_filler(p);
    else if (is(p, 0, "hpa"))
        make_hpa(p);
    else if (is(p, 0, "round"))
        play_round(p);
    else
        play_timed(p);
}

static void conclude(struct play *p)
{
    for (size_t i = 0; i < p->n_paid; i++) {
        const struct paid *paid = &p->paid[i];

        if (paid->bound_us < 0)
            (void)printf("wait %s %s -\n", paid->group, paid->name);
        else
            (void)printf("wait %s %s %lld\n", paid->group, paid->name,
                         (long long)(paid->bound_us - paid->created_us));
        free(paid->name);
        free(paid->group);
    }
    free(p->paid);
    hpa_free(p->hpa);
    sim_free(p->sim);
}

int main(void)
{
    struct play p = {.config = sim_config_default()};
    char line[MAX_LINE];

    while (fgets(line, sizeof line, stdin) != NULL) {
        struct sv text = sv_trim(sv_from(line));

        if (text.len == 0)
            continue;
        split(&p, text);
        play_line(&p);
    }
    conclude(&p);
    return 0;
}
