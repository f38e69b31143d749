/*
 * Source: k8s.io/kubernetes/pkg/controller/replicaset, controller_utils.go (ActivePodsWithRanks).
 */
#include <stdio.h>

#include "policy/sim/parts.h"

/* BurstReplicas: the most that one sync creates or deletes. */
enum { SYNC_MAX = 500 };
#define ONE_CALL INT64_C(1000000)

void replicas_account(struct pod *pod, int32_t sign)
{
    struct workload *w = pod->owner;

    if (w == NULL || pod_finished(pod))
        return;
    if (pod->view.ready)
        w->ready_any += sign;
    if (pod->view.deleting) {
        w->view.live.terminating += sign;
        return;
    }
    w->view.live.replicas += sign;
    if (pod->view.ready)
        w->view.live.ready += sign;
}

void replicas_arm(struct sim *s, struct workload *w)
{
    if (w->calls > 0) {
        w->dirty = true;
        return;
    }
    if (w->armed)
        return;
    w->armed = true;
    timeline_add(s, mono_plus_us(s->now, s->config.react_us),
                 (struct timed){.what = HAPPEN_SYNC, .id = w->view.id, .serial = w->serial});
}

/* When the client may make its next call: a token bucket, as client-go's, that lends. */
static struct mono next_call(struct sim *s)
{
    struct client *c = &s->client;
    const int64_t full = s->config.client_burst * ONE_CALL, rate = s->config.client_rate;

    if (rate <= 0)
        return s->now;

    int64_t passed = mono_since_us(c->at, s->now);

    /* Beyond this the bucket is full, whatever was lent. */
    if (passed >= (full - c->tokens) / rate)
        c->tokens = full;
    else
        c->tokens += passed * rate;
    c->at = s->now;
    c->tokens -= ONE_CALL;
    if (c->tokens >= 0)
        return s->now;
    return mono_plus_us(s->now, (-c->tokens + rate - 1) / rate);
}

static void call(struct sim *s, struct workload *w, enum happening what, const struct pod *pod)
{
    const struct timed of_pod = {.what = what,
                                 .id = pod != NULL ? pod->view.id : 0,
                                 .serial = pod != NULL ? pod->serial : 0,
                                 .other = w->view.id,
                                 .other_serial = w->serial};

    w->calls++;
    timeline_add(s, mono_plus_us(next_call(s), s->config.call_us), of_pod);
}

/* A batch goes out at once, the next one, twice as large, when it is answered. */
static void create_batch(struct sim *s, struct workload *w)
{
    int32_t n = w->batch < w->to_create ? w->batch : w->to_create;

    w->to_create -= n;
    w->batch *= 2;
    for (int32_t i = 0; i < n; i++)
        call(s, w, HAPPEN_CREATE, NULL);
}

/* ---- who goes ---- */

struct ranked {
    struct pod *pod;
    uint32_t neighbours;            /* active pods of the owner on its node, itself among them */
    int64_t ready_log, created_log; /* floor(log2) of the ages in ns; -1: no age */
    int64_t ready_s, created_s;
};

/* Ages are compared by their magnitude alone; times are whole seconds, as the API stores them. */
static int64_t log_age(const struct sim *s, int64_t since_s)
{
    int64_t ns = (sim_wall(s, s->now).us - since_s * US_PER_S) * 1000;

    return ns > 0 ? 63 - __builtin_clzll((unsigned long long)ns) : -1;
}

static int order(bool first, bool second)
{
    return first == second ? 0 : first ? -1 : 1;
}

static int by_uid(struct uid a, struct uid b)
{
    if (a.hi != b.hi)
        return a.hi < b.hi ? -1 : 1;
    return a.lo < b.lo ? -1 : a.lo > b.lo;
}

static int by_age(int64_t log_a, int64_t log_b, const struct ranked *a, const struct ranked *b)
{
    if (log_a != log_b)
        return log_a < log_b ? -1 : 1;
    return by_uid(a->pod->view.uid, b->pod->view.uid);
}

/* Pending, then Unknown, then Running. */
static int phase_rank(enum pod_phase phase)
{
    return phase == PHASE_PENDING ? 0 : phase == PHASE_UNKNOWN ? 1 : 2;
}

static int goes_first(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    const struct sim_pod *p = &a->pod->view, *q = &b->pod->view;

    if ((p->node == NULL) != (q->node == NULL))
        return order(p->node == NULL, q->node == NULL);
    if (phase_rank(p->phase) != phase_rank(q->phase))
        return phase_rank(p->phase) - phase_rank(q->phase);
    if (p->ready != q->ready)
        return order(!p->ready, !q->ready);
    if (p->deletion_cost != q->deletion_cost)
        return p->deletion_cost < q->deletion_cost ? -1 : 1;
    if (a->neighbours != b->neighbours)
        return a->neighbours > b->neighbours ? -1 : 1;
    if (p->ready && a->ready_s != b->ready_s)
        return by_age(a->ready_log, b->ready_log, a, b);
    if (a->created_s != b->created_s)
        return by_age(a->created_log, b->created_log, a, b);
    return a->pod->serial < b->pod->serial ? 1 : -1;
}

static struct ranked rank_of(const struct sim *s, struct pod *pod)
{
    int64_t ready_s = sim_seconds(s, pod->view.ready_at);
    int64_t created_s = sim_seconds(s, pod->view.created);

    return (struct ranked){
        .pod = pod,
        .neighbours = pod->node != NULL ? pod->owner->on_node[pod->node->view.id].staying : 0,
        .ready_s = ready_s,
        .created_s = created_s,
        .ready_log = log_age(s, ready_s),
        .created_log = log_age(s, created_s),
    };
}

/* A heap with the one that goes last on top: lets that at `at` sink to its place among n. */
static void sink(struct ranked *heap, size_t n, size_t at)
{
    const struct ranked falling = heap[at];

    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && goes_first(&heap[child], &heap[child + 1]) < 0)
            child++;
        if (goes_first(&heap[child], &falling) < 0)
            break;
        heap[at] = heap[child];
    }
    heap[at] = falling;
}

void replicas_rank(const struct sim *s, struct pod **pods, size_t n, size_t wanted)
{
    CLEANUP(free_ptr) struct ranked *first = xcalloc(wanted, sizeof *first);

    for (size_t i = 0; i < wanted; i++)
        first[i] = rank_of(s, pods[i]);
    for (size_t i = wanted / 2; i-- > 0;)
        sink(first, wanted, i);
    for (size_t i = wanted; i < n; i++) {
        const struct ranked next = rank_of(s, pods[i]);

        if (goes_first(&next, &first[0]) < 0) {
            first[0] = next;
            sink(first, wanted, 0);
        }
    }
    qsort(first, wanted, sizeof *first, goes_first);
    for (size_t i = 0; i < wanted; i++)
        pods[i] = first[i].pod;
}

static void delete_some(struct sim *s, struct workload *w, int32_t n)
{
    struct pod **active = xcalloc(w->pods.n, sizeof(struct pod *));
    size_t n_active = 0;

    for (size_t i = 0; i < w->pods.n; i++) {
        if (pod_active(w->pods.at[i]))
            active[n_active++] = w->pods.at[i];
    }
    if ((size_t)n < n_active)
        replicas_rank(s, active, n_active, (size_t)n);
    for (size_t i = 0; i < n_active && i < (size_t)n; i++)
        call(s, w, HAPPEN_DELETE, active[i]);
    free(active);
}

/* ---- a sync ---- */

static void publish(struct sim *s, struct workload *w)
{
    struct sim_workload_status *was = &w->view.status, is = w->view.live;

    if (was->replicas == is.replicas && was->ready == is.ready &&
        was->terminating == is.terminating)
        return;
    *was = is;
    tell_workload(s, SIM_MODIFIED, w);
}

void replicas_sync(struct sim *s, struct workload *w)
{
    int32_t missing = w->view.replicas - w->view.live.replicas;

    w->armed = false;
    publish(s, w);
    if (missing > 0) {
        w->to_create = missing < SYNC_MAX ? missing : SYNC_MAX;
        w->batch = 1;
        create_batch(s, w);
    } else if (missing < 0) {
        delete_some(s, w, -missing < SYNC_MAX ? -missing : SYNC_MAX);
    }
}

/* A call was answered; after the last one the controller looks again. */
static void answered(struct sim *s, struct workload *w)
{
    w->calls--;
    if (w->calls == 0 && w->to_create > 0)
        create_batch(s, w);
    if (w->calls == 0 && w->dirty) {
        w->dirty = false;
        replicas_arm(s, w);
    }
}

void replicas_created(struct sim *s, struct workload *w)
{
    char name[300];
    char prefix[280];

    (void)snprintf(prefix, sizeof prefix, "%s-%08x", w->name, (unsigned)w->view.uid.hi);
    pod_make_name(s, w->view.ns, prefix, name, sizeof name);
    w->template->refs++;

    struct pod *pod = pod_add(s, sv_from(name), w->template, w);

    if (pod != NULL) {
        tell_pod(s, SIM_ADDED, pod);
        if (!pod->view.gated)
            sched_enqueue(s, pod);
    }
    answered(s, w);
}

void replicas_deleted(struct sim *s, struct workload *w, struct pod *pod)
{
    if (pod != NULL && !pod->view.deleting)
        pod_ask_to_go(s, pod, pod->spec->view.grace_us);
    answered(s, w);
}
