#include "policy/sim/parts.h"

/* How often the scheduler looks for pods that were unschedulable for long
 * (k8s.io/kubernetes/pkg/scheduler/backend/queue: flushUnschedulablePodsLeftover). */
#define FLUSH_EVERY_US (30 * US_PER_S)

/* ---- queues ---- */

static bool active_before(const struct pod *a, const struct pod *b)
{
    if (a->spec->view.priority != b->spec->view.priority)
        return a->spec->view.priority > b->spec->view.priority;
    return a->queue_order < b->queue_order;
}

static bool backoff_before(const struct pod *a, const struct pod *b)
{
    if (a->backoff_until.us != b->backoff_until.us)
        return a->backoff_until.us < b->backoff_until.us;
    return active_before(a, b);
}

void sched_init(struct sched *sched)
{
    *sched =
        (struct sched){.active = {.before = active_before}, .backoff = {.before = backoff_before}};
}

void sched_done(struct sched *sched)
{
    for (size_t i = 0; i < sched->n_shapes; i++)
        shape_free(sched->shapes[i]);
    free(sched->active.list.at);
    free(sched->backoff.list.at);
    free(sched->unschedulable.at);
    free(sched->glances);
    free(sched->changed);
    free(sched->victims.at);
    free(sched->best.at);
}

static void arm(struct sim *s)
{
    struct sched *q = &s->sched;

    if (q->armed || (q->active.list.n == 0 && q->backoff.list.n == 0))
        return;
    q->armed = true;
    timeline_add(s, mono_plus_us(s->now, s->config.attempt_us),
                 (struct timed){.what = HAPPEN_ATTEMPT});
}

static void activate(struct sim *s, struct pod *pod)
{
    pod->queue = QUEUE_ACTIVE;
    heap_push(&s->sched.active, pod);
    arm(s);
}

void sched_enqueue(struct sim *s, struct pod *pod)
{
    pod->queue_order = s->sched.order++;
    activate(s, pod);
}

void sched_dequeue(struct sim *s, struct pod *pod)
{
    struct sched *q = &s->sched;
    struct pod *moved;

    switch (pod->queue) {
    case QUEUE_NONE:
    case QUEUE_COUNT_:
        break;
    case QUEUE_ACTIVE:
        heap_cut(&q->active, pod);
        break;
    case QUEUE_BACKOFF:
        heap_cut(&q->backoff, pod);
        break;
    case QUEUE_UNSCHEDULABLE:
        moved = list_cut(&q->unschedulable, pod->at_queue);
        if (moved != NULL)
            moved->at_queue = pod->at_queue;
        break;
    }
    pod->queue = QUEUE_NONE;
}

static void park(struct sim *s, struct pod *pod)
{
    struct sched *q = &s->sched;

    pod->queue = QUEUE_UNSCHEDULABLE;
    pod->queue_order = q->order++;
    pod->queued_at = s->now;
    pod->at_queue = q->unschedulable.n;
    list_push(&q->unschedulable, pod);
    if (!q->flush_armed) {
        q->flush_armed = true;
        timeline_add(s, mono_plus_us(s->now, FLUSH_EVERY_US), (struct timed){.what = HAPPEN_FLUSH});
    }
}

void sched_wake(struct sim *s, struct pod *pod)
{
    if (pod->queue != QUEUE_UNSCHEDULABLE)
        return;
    sched_dequeue(s, pod);
    if (pod->backoff_until.us <= s->now.us) {
        activate(s, pod);
        return;
    }
    pod->queue = QUEUE_BACKOFF;
    heap_push(&s->sched.backoff, pod);
    arm(s);
}

/* From the end, since waking takes a pod out of the list. */
void sched_wake_room(struct sim *s)
{
    const struct pod_list *list = &s->sched.unschedulable;

    for (size_t i = list->n; i-- > 0;) {
        if (list->at[i]->wants_room)
            sched_wake(s, list->at[i]);
    }
}

void sched_wake_node(struct sim *s, const struct node *node)
{
    const struct pod_list *list = &s->sched.unschedulable;

    for (size_t i = list->n; i-- > 0;) {
        struct pod *pod = list->at[i];

        if (resources_fit(&pod->spec->view.request, &node->view.record.allocatable, NULL) &&
            rules_check_node(pod_rules_of(pod), &node->view.record) == NODE_ACCEPTS)
            sched_wake(s, pod);
    }
}

void sched_flush(struct sim *s)
{
    struct sched *q = &s->sched;

    for (size_t i = q->unschedulable.n; i-- > 0;) {
        struct pod *pod = q->unschedulable.at[i];

        if (mono_since_us(pod->queued_at, s->now) >= s->config.flush_us)
            sched_wake(s, pod);
    }
    q->flush_armed = q->unschedulable.n != 0;
    if (q->flush_armed)
        timeline_add(s, mono_plus_us(s->now, FLUSH_EVERY_US), (struct timed){.what = HAPPEN_FLUSH});
}

/*
 * Pods whose back-off is over stand in the active queue; while that is empty the next one is taken
 * out of its back-off early (SchedulerPopFromBackoffQ, on from 1.33).
 */
static struct pod *next_pod(struct sim *s)
{
    struct sched *q = &s->sched;

    while (q->backoff.list.n != 0 && q->backoff.list.at[0]->backoff_until.us <= s->now.us) {
        struct pod *pod = q->backoff.list.at[0];

        sched_dequeue(s, pod);
        activate(s, pod);
    }

    struct pod_heap *from = q->active.list.n != 0 ? &q->active : &q->backoff;

    if (from->list.n == 0)
        return NULL;

    struct pod *pod = from->list.at[0];

    sched_dequeue(s, pod);
    return pod;
}

/* ---- attempts ---- */

struct resources sched_room(const struct node *node, const struct pod *pod, int32_t priority)
{
    struct resources room = node->free;

    for (size_t i = 0; i < node->nominated.n; i++) {
        const struct pod *other = node->nominated.at[i];

        if (other != pod && other->spec->view.priority >= priority)
            resources_sub(&room, &other->spec->view.request);
    }
    return room;
}

bool sched_fits(const struct pod *pod, const struct node *node)
{
    struct resources room = sched_room(node, pod, pod->spec->view.priority);

    return !node->view.gone && resources_fit(&pod->spec->view.request, &room, NULL) &&
           rules_check_node(pod_rules_of(pod), &node->view.record) == NODE_ACCEPTS;
}

/* Rules that name one node spare the look at all others. */
static struct node *pick_pinned(struct sim *s, const struct pod *pod, bool *ret_accepting)
{
    const struct sim_node *view = sim_node_find(s, pod->pin);

    *ret_accepting = false;
    if (view == NULL)
        return NULL;

    struct node *node = node_at(s, view->id);

    *ret_accepting = rules_check_node(pod_rules_of(pod), &view->record) == NODE_ACCEPTS;
    return *ret_accepting && sched_fits(pod, node) ? node : NULL;
}

/* The nominated node comes first; if the pod fits there, no other is looked at. */
static struct node *pick(struct sim *s, const struct pod *pod, bool *ret_accepting)
{
    *ret_accepting = true;
    if (pod->nominated != NULL && sched_fits(pod, pod->nominated))
        return pod->nominated;
    if (pod->pin.len != 0)
        return pick_pinned(s, pod, ret_accepting);
    return shape_pick(s, pod, ret_accepting);
}

static void bind(struct sim *s, struct pod *pod, struct node *node)
{
    pod_bind(s, pod, node);
    kubelet_bound(s, pod);
    s->sched.bindings++;
    tell_pod(s, SIM_MODIFIED, pod);
}

/* Pods of lower priority that were promised this node must look again. */
static void withdraw_lower(struct sim *s, struct node *node, int32_t priority)
{
    for (size_t i = node->nominated.n; i-- > 0;) {
        struct pod *other = node->nominated.at[i];

        if (other->spec->view.priority >= priority)
            continue;
        pod_nominate(s, other, NULL);
        tell_pod(s, SIM_MODIFIED, other);
        sched_wake(s, other);
    }
}

/* Victims go whole, each with its own grace. */
static void evict(struct sim *s, const struct pod_list *victims)
{
    for (size_t i = 0; i < victims->n; i++) {
        struct pod *victim = victims->at[i];

        if (victim->view.deleting)
            continue;
        victim->view.preempted = true;
        s->sched.preemptions++;
        pod_ask_to_go(s, victim, victim->spec->view.grace_us);
    }
}

static int64_t backoff_us(const struct sim *s, uint32_t attempts)
{
    int64_t us = s->config.backoff_us;

    for (uint32_t i = 1; i < attempts && us < s->config.backoff_max_us; i++)
        us *= 2;
    return us < s->config.backoff_max_us ? us : s->config.backoff_max_us;
}

/* Back-off ends with the whole second of the wall clock into which it falls (from 1.33), so that pods
 * of one second are taken by importance. */
static struct mono backoff_end(const struct sim *s, uint32_t attempts)
{
    struct mono end = mono_plus_us(s->now, backoff_us(s, attempts));

    return (struct mono){.us = (sim_seconds(s, end) + 1) * US_PER_S - s->config.epoch.us};
}

/*
 * A promise stands while its victims are still going; else it is made anew, or withdrawn where no
 * node can be freed (as the plugin's answers "no opinion" and "none").
 */
static void fail(struct sim *s, struct pod *pod, bool accepting)
{
    struct node *before = pod->nominated, *target = before;
    bool first = !pod->view.unschedulable;

    pod->wants_room = accepting;
    pod->backoff_until = backoff_end(s, pod->view.attempts);
    s->sched.best.n = 0;
    if (preempt_allowed(pod)) {
        target = accepting ? preempt_find(s, pod) : NULL;
        pod_nominate(s, pod, target);
    }
    pod->view.unschedulable = true;
    if (!pod->view.blocked)
        pod->view.failed_at = s->now;
    pod->view.blocked = true;
    park(s, pod);
    if (first || before != target)
        tell_pod(s, SIM_MODIFIED, pod);
    if (before != NULL && before != target)
        sched_wake_room(s);
    if (target != NULL && s->sched.best.n != 0) {
        withdraw_lower(s, target, pod->spec->view.priority);
        evict(s, &s->sched.best);
    }
}

void sched_attempt(struct sim *s)
{
    bool accepting;

    s->sched.armed = false;

    struct pod *pod = next_pod(s);

    if (pod == NULL)
        return;
    s->sched.attempts++;
    pod->view.attempts++;

    struct node *node = pick(s, pod, &accepting);

    if (node != NULL)
        bind(s, pod, node);
    else
        fail(s, pod, accepting);
    arm(s);
}
