#include "policy/sim/parts.h"

/* ---- the heap of what is to happen ---- */

static bool earlier(const struct timed *a, const struct timed *b)
{
    return a->at.us != b->at.us ? a->at.us < b->at.us : a->seq < b->seq;
}

void timeline_add(struct sim *s, struct mono at, struct timed what)
{
    struct timeline *t = &s->timeline;

    what.at = at.us < s->now.us ? s->now : at;
    what.seq = t->seq++;
    VEC_PUSH(t->at, t->n, t->cap, what);

    size_t i = t->n - 1;

    while (i > 0 && earlier(&what, &t->at[(i - 1) / 2])) {
        t->at[i] = t->at[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    t->at[i] = what;
}

bool timeline_take(struct sim *s, struct mono until, struct timed *ret_what)
{
    struct timeline *t = &s->timeline;

    if (t->n == 0 || t->at[0].at.us > until.us)
        return false;
    *ret_what = t->at[0];

    struct timed last = t->at[--t->n];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= t->n)
            break;
        if (child + 1 < t->n && earlier(&t->at[child + 1], &t->at[child]))
            child++;
        if (!earlier(&t->at[child], &last))
            break;
        t->at[i] = t->at[child];
        i = child;
    }
    if (t->n != 0)
        t->at[i] = last;
    return true;
}

/* ---- chance ---- */

uint64_t sim_seed(const struct sim *s, uint64_t of)
{
    return random_of(s->config.seed + random_of(of * RANDOM_STEP));
}

uint64_t sim_random(struct sim *s, enum chance chance)
{
    return random_of(s->random[chance] += RANDOM_STEP);
}

int64_t sim_jitter(struct sim *s, int64_t us)
{
    int64_t span = us / 100 * s->config.jitter_percent;

    if (span <= 0)
        return us;
    return us - span + (int64_t)(sim_random(s, CHANCE_TIMES) % (2 * (uint64_t)span + 1));
}

int64_t sim_seconds(const struct sim *s, struct mono t)
{
    int64_t us = sim_wall(s, t).us;

    return us >= 0 ? us / US_PER_S : -((-us + US_PER_S - 1) / US_PER_S);
}

struct uid sim_uid(struct sim *s)
{
    struct uid uid = {.hi = sim_random(s, CHANCE_NAMES), .lo = sim_random(s, CHANCE_NAMES)};

    /* As a version 4 UUID has them, so that its text is a valid one. */
    uid.hi = (uid.hi & ~UINT64_C(0xf000)) | UINT64_C(0x4000);
    uid.lo = (uid.lo & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
    return uid;
}

/* ---- the observer ---- */

static void tell(struct sim *s, const struct sim_event *event)
{
    if (s->config.observer.see == NULL)
        return;
    s->telling = true;
    s->config.observer.see(s->config.observer.self, event);
    s->telling = false;
}

void tell_pod(struct sim *s, enum sim_verb verb, struct pod *pod)
{
    if (verb == SIM_MODIFIED && pod->node != NULL)
        node_heard_of(pod->node, pod);
    pod->view.version = ++s->version;

    const struct sim_event event = {
        .kind = SIM_POD, .verb = verb, .version = s->version, .at = s->now, .pod = &pod->view};

    tell(s, &event);
}

void tell_node(struct sim *s, enum sim_verb verb, struct node *node)
{
    node->view.version = ++s->version;

    const struct sim_event event = {
        .kind = SIM_NODE, .verb = verb, .version = s->version, .at = s->now, .node = &node->view};

    tell(s, &event);
}

void tell_workload(struct sim *s, enum sim_verb verb, struct workload *w)
{
    w->view.version = ++s->version;

    const struct sim_event event = {.kind = SIM_WORKLOAD,
                                    .verb = verb,
                                    .version = s->version,
                                    .at = s->now,
                                    .workload = &w->view};

    tell(s, &event);
}

/* ---- lists and heaps of pods ---- */

void list_push(struct pod_list *list, struct pod *pod)
{
    VEC_PUSH(list->at, list->n, list->cap, pod);
}

struct pod *list_cut(struct pod_list *list, size_t at)
{
    struct pod *last = list->at[--list->n];

    if (at == list->n)
        return NULL;
    list->at[at] = last;
    return last;
}

static void place(struct pod_heap *heap, size_t at, struct pod *pod)
{
    heap->list.at[at] = pod;
    pod->at_queue = at;
}

static void sift_up(struct pod_heap *heap, size_t at, struct pod *pod)
{
    while (at > 0 && heap->before(pod, heap->list.at[(at - 1) / 2])) {
        place(heap, at, heap->list.at[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(heap, at, pod);
}

static void sift_down(struct pod_heap *heap, size_t at, struct pod *pod)
{
    struct pod **pods = heap->list.at;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= heap->list.n)
            break;
        if (child + 1 < heap->list.n && heap->before(pods[child + 1], pods[child]))
            child++;
        if (!heap->before(pods[child], pod))
            break;
        place(heap, at, pods[child]);
        at = child;
    }
    place(heap, at, pod);
}

void heap_push(struct pod_heap *heap, struct pod *pod)
{
    list_push(&heap->list, pod);
    sift_up(heap, heap->list.n - 1, pod);
}

void heap_cut(struct pod_heap *heap, struct pod *pod)
{
    size_t at = pod->at_queue;
    struct pod *last = list_cut(&heap->list, at);

    if (last == NULL)
        return;
    if (at > 0 && heap->before(last, heap->list.at[(at - 1) / 2]))
        sift_up(heap, at, last);
    else
        sift_down(heap, at, last);
}
