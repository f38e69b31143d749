#include "policy/sim/oracle.h"

#include "base/num.h"
#include "policy/sim/replay_parts.h"

#define MILLI_US_PER_CORE_S 1e9

/* Slots of a node that became free at one time. */
struct freed {
    int64_t since_us;
    int64_t slots;
};

/* The free slots of a node, those that have been free longest first: who comes takes the youngest. */
struct stack {
    struct freed *at;
    size_t n, cap;
    int64_t slots; /* sum */
    int64_t allocatable_milli;
};

/* The clairvoyant begins or ends to use slots. */
struct edge {
    int64_t at_us;
    int64_t slots;
};

struct search {
    const struct trace *trace;
    const struct replay_setting *setting;
    struct oracle *found;
    struct resource_places places; /* of the filler's request */
    struct stack *nodes;           /* by the sim's id */
    size_t nodes_cap;
    bool capped; /* max_replicas may bind: the edges are kept */
    struct edge *edges;
    size_t n_edges, edges_cap;
    int64_t grace_us; /* between the last use of a slot and its end */
    int64_t now_us, bound_milli, waiting_milli, allocatable_milli;
};

static struct stack *stack_of(struct search *f, uint32_t id)
{
    size_t old = f->nodes_cap;

    if (id >= old) {
        f->nodes = vec_reserve(f->nodes, &f->nodes_cap, id + 1U, sizeof *f->nodes);
        memset(f->nodes + old, 0, (f->nodes_cap - old) * sizeof *f->nodes);
    }
    return &f->nodes[id];
}

static void advance(struct search *f, int64_t now_us)
{
    int64_t cpu = f->setting->filler.at[RESOURCE_CPU];
    int64_t from = max_i64(f->now_us, f->setting->warmup_us);
    int64_t most = f->setting->max_replicas > INT64_MAX / max_i64(cpu, 1)
                       ? INT64_MAX
                       : f->setting->max_replicas * cpu;

    f->found->peak_milli = max_i64(f->found->peak_milli, f->bound_milli + f->waiting_milli);
    if (now_us > from) {
        double span = (double)(now_us - from) / MILLI_US_PER_CORE_S;
        int64_t left = max_i64(f->allocatable_milli - f->bound_milli, 0);

        f->found->available_core_s += span * (double)min_i64(left, most);
        f->found->allocatable_core_s += span * (double)f->allocatable_milli;
    }
    f->now_us = now_us;
}

/* Slots that were free for an interval: the clairvoyant uses them for what is left of it. */
static void use(struct search *f, const struct freed *freed, int64_t slots)
{
    int64_t begin = freed->since_us + f->setting->start_us;
    int64_t end = f->now_us - f->grace_us;

    if (end <= begin)
        return;
    if (f->capped) {
        VEC_PUSH(f->edges, f->n_edges, f->edges_cap, ((struct edge){begin, slots}));
        VEC_PUSH(f->edges, f->n_edges, f->edges_cap, ((struct edge){end, -slots}));
        return;
    }
    begin = max_i64(begin, f->setting->warmup_us);
    if (end > begin)
        f->found->useful_core_s += (double)(end - begin) / MILLI_US_PER_CORE_S * (double)slots *
                                   (double)f->setting->filler.at[RESOURCE_CPU];
}

static void set_slots(struct search *f, struct stack *s, int64_t slots)
{
    if (slots > s->slots) {
        VEC_PUSH(s->at, s->n, s->cap, ((struct freed){f->now_us, slots - s->slots}));
        s->slots = slots;
    }
    while (s->slots > slots) {
        struct freed *top = &s->at[s->n - 1];
        int64_t taken = min_i64(top->slots, s->slots - slots);

        use(f, top, taken);
        top->slots -= taken;
        s->slots -= taken;
        s->n -= top->slots == 0;
    }
}

static void look_at(struct search *f, const struct sim_node *node, bool there)
{
    const struct resources *total = &node->record.allocatable;
    struct stack *s = stack_of(f, node->id);
    struct resources room;
    int64_t offers = there && !node->record.unschedulable ? total->at[RESOURCE_CPU] : 0;

    f->allocatable_milli += offers - s->allocatable_milli;
    s->allocatable_milli = offers;
    for (int i = 0; i < f->places.n; i++)
        room.at[f->places.at[i]] = total->at[f->places.at[i]];
    resources_sub_at(&room, &node->used, &f->places);
    set_slots(f, s, offers > 0 ? resources_times_at(&f->setting->filler, &room, &f->places) : 0);
}

static void see(void *self, const struct sim_event *e, uint32_t pod)
{
    struct search *f = self;

    advance(f, e->at.us);
    if (e->kind == SIM_NODE)
        look_at(f, e->node, e->verb != SIM_DELETED);
    if (e->kind != SIM_POD)
        return;

    int64_t cpu = e->pod->spec->request.at[RESOURCE_CPU];
    int64_t *wait = &f->found->wait_us[pod];
    bool was_bound = *wait < 0;

    if (e->verb == SIM_ADDED)
        f->waiting_milli += cpu;
    /* A wait that is over is kept as -1 - wait until the end. */
    if (!was_bound && (e->pod->node != NULL || e->verb == SIM_DELETED)) {
        *wait = -1 - mono_since_us(e->pod->created, e->at);
        f->waiting_milli -= cpu;
        f->bound_milli += e->verb != SIM_DELETED ? cpu : 0;
    } else if (was_bound && e->verb == SIM_DELETED) {
        f->bound_milli -= cpu;
    }
    if (e->pod->node != NULL)
        look_at(f, e->pod->node, !e->pod->node->gone);
}

/* The slots of the largest cluster that the trace has, and whether that many are allowed at all. */
static void count_slots(struct search *f)
{
    const struct trace *t = f->trace;
    int64_t *slots = xcalloc(t->n_nodes + 1, sizeof *slots), sum = 0;

    for (size_t i = 0; i < t->n_rows; i++) {
        const struct trace_row *row = &t->rows[i];
        bool is = row->what == TRACE_NODE_IS;
        uint32_t node = is ? t->facts[row->index].node : row->index;

        if (!is && row->what != TRACE_NODE_GOES)
            continue;
        sum -= slots[node];
        slots[node] =
            is ? resources_times(&f->setting->filler, &t->facts[row->index].allocatable, NULL) : 0;
        sum += slots[node];
        f->found->empty_slots = max_i64(f->found->empty_slots, sum);
    }
    f->capped = f->setting->max_replicas < f->found->empty_slots;
    free(slots);
}

static int by_time(const void *left, const void *right)
{
    const struct edge *a = left, *b = right;

    return a->at_us < b->at_us ? -1 : a->at_us > b->at_us;
}

/* At any time at most max_replicas of the slots that could be used. */
static void sum_edges(struct search *f)
{
    int64_t slots = 0, before_us = 0;

    qsort(f->edges, f->n_edges, sizeof *f->edges, by_time);
    for (size_t i = 0; i < f->n_edges; i++) {
        int64_t from = max_i64(before_us, f->setting->warmup_us), at = f->edges[i].at_us;

        if (at > from)
            f->found->useful_core_s += (double)(at - from) / MILLI_US_PER_CORE_S *
                                       (double)min_i64(slots, f->setting->max_replicas) *
                                       (double)f->setting->filler.at[RESOURCE_CPU];
        before_us = at;
        slots += f->edges[i].slots;
    }
}

static void finish(struct search *f)
{
    const struct trace *t = f->trace;

    advance(f, t->end_us);
    /* Nobody comes after the end: what is free then is used up to it. */
    f->grace_us = 0;
    for (size_t id = 0; id < f->nodes_cap; id++)
        set_slots(f, &f->nodes[id], 0);
    if (f->capped)
        sum_edges(f);
    for (size_t i = 0; i < t->n_pods; i++) {
        int64_t *wait = &f->found->wait_us[i];

        *wait = *wait < 0 ? -1 - *wait : t->end_us - t->pods[i].create_us;
    }
}

bool oracle_find(const struct trace *trace, const struct replay_setting *setting,
                 struct oracle *ret_oracle, struct err *err)
{
    struct oracle found = {.wait_us = xcalloc(trace->n_pods + 1, sizeof *found.wait_us)};
    struct search f = {.trace = trace,
                       .setting = setting,
                       .found = &found,
                       .grace_us = setting->grace_us,
                       .places = resources_places(&setting->filler)};
    struct replay_world w;
    bool ok;

    count_slots(&f);
    world_init(&w, trace, setting);
    w.pilot = (struct replay_pilot){.see = see, .self = &f};
    ok = world_play(&w, err);
    if (ok)
        finish(&f);
    world_done(&w);
    for (size_t id = 0; id < f.nodes_cap; id++)
        free(f.nodes[id].at);
    free(f.nodes);
    free(f.edges);
    if (ok)
        *ret_oracle = found;
    else
        oracle_done(&found);
    return ok;
}

void oracle_done(struct oracle *o)
{
    free(o->wait_us);
    *o = (struct oracle){0};
}
