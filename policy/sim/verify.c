#include <stdarg.h>
#include <stdio.h>

#include "policy/sim/parts.h"

struct finding {
    char *what;
    size_t size;
};

PRINTF(2, 3) static bool differ(const struct finding *f, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(f->what, f->size, fmt, args);
    va_end(args);
    return false;
}

static bool in_order(const struct tenant *a, const struct tenant *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->started_s != b->started_s)
        return a->started_s < b->started_s;
    return a->pod->at_slot <= b->pod->at_slot;
}

static bool node_holds(const struct sim *s, const struct node *node, const struct finding *f)
{
    struct resources used = {0}, free = node->view.record.allocatable;
    uint32_t counted = 0;

    for (size_t i = 0; i < node->n_tenants; i++) {
        const struct pod *pod = node->tenants[i].pod;

        if (!pod->live || pod->node != node)
            return differ(f, "node %u: pod %zu of its list is not its own", node->view.id, i);
        if (i > 0 && !in_order(&node->tenants[i - 1], &node->tenants[i]))
            return differ(f, "node %u: pod %zu is out of order", node->view.id, i);
        if (pod_finished(pod) != (pod->at_slot == SIZE_MAX) ||
            (!pod_finished(pod) && node->slots.at[pod->at_slot] != pod))
            return differ(f, "pod %u: finished, or not in its slot", pod->view.id);
        if (pod->counted == pod_finished(pod))
            return differ(f, "pod %u: counted and finished, or neither", pod->view.id);
        if (!pod->counted)
            continue;
        counted++;
        resources_add(&used, &pod->spec->view.request);
    }
    for (size_t i = 0; i < node->nominated.n; i++) {
        const struct pod *pod = node->nominated.at[i];

        if (!pod->live || pod->nominated != node || pod->node != NULL || pod->at_nominated != i)
            return differ(f, "node %u: nominated pod %zu is not its own", node->view.id, i);
    }
    resources_sub(&free, &used);
    if (counted != node->view.pods || !resources_equal(&used, &node->view.used) ||
        !resources_equal(&free, &node->free))
        return differ(f, "node %u: sums differ from a recount at %lld us", node->view.id,
                      (long long)s->now.us);
    return true;
}

static bool queue_holds(const struct sim *s, const struct pod *pod, const struct finding *f)
{
    const struct sched *q = &s->sched;
    const struct pod_list *lists[] = {[QUEUE_NONE] = NULL,
                                      [QUEUE_ACTIVE] = &q->active.list,
                                      [QUEUE_BACKOFF] = &q->backoff.list,
                                      [QUEUE_UNSCHEDULABLE] = &q->unschedulable};
    const struct pod_list *list = lists[pod->queue];
    bool waits = pod->node == NULL && !pod->view.gated;

    if (waits != (list != NULL))
        return differ(f, "pod %u: %s", pod->view.id,
                      waits ? "waits in no queue" : "is queued, bound or gated");
    if (list != NULL && (pod->at_queue >= list->n || list->at[pod->at_queue] != pod))
        return differ(f, "pod %u: not at its place in the queue", pod->view.id);
    if (pod->view.gated && pod->view.unschedulable)
        return differ(f, "pod %u: gated and unschedulable", pod->view.id);
    return true;
}

static bool workload_holds(const struct workload *w, const struct finding *f)
{
    struct sim_workload_status is = {0};
    const struct sim_workload_status *kept = &w->view.live;

    for (size_t i = 0; i < w->pods.n; i++) {
        const struct pod *pod = w->pods.at[i];

        if (pod->owner != w || pod->at_owner != i)
            return differ(f, "workload %u: pod %zu is not its own", w->view.id, i);
        is.replicas += pod_active(pod);
        is.ready += pod_active(pod) && pod->view.ready;
        is.terminating += pod->view.deleting && !pod_finished(pod);
    }
    if (is.replicas != kept->replicas || is.ready != kept->ready ||
        is.terminating != kept->terminating)
        return differ(f, "workload %u: counts differ from a recount", w->view.id);
    return true;
}

bool sim_verify(const struct sim *s, char *what, size_t size)
{
    const struct finding f = {.what = what, .size = size};
    uint32_t live = 0, bound = 0;

    for (size_t i = 0; i < s->n_nodes; i++) {
        if (s->nodes[i] != NULL && !node_holds(s, s->nodes[i], &f))
            return false;
    }
    for (size_t i = 0; i < s->n_workloads; i++) {
        if (s->workloads[i] != NULL && !workload_holds(s->workloads[i], &f))
            return false;
    }
    for (uint32_t id = 0; id < s->n_pods; id++) {
        const struct pod *pod = pod_at(s, id);

        if (!pod->live)
            continue;
        live++;
        bound += pod->node != NULL;
        if (!queue_holds(s, pod, &f))
            return false;
    }
    if (live != s->live_pods || bound != s->bound)
        return differ(&f, "counts of pods differ from a recount");
    return true;
}
