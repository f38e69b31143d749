#include "base/num.h"
#include "capacity/selector.h"
#include "policy/sim/replay_parts.h"

/* Moves of filler and of paid load that are smaller than this share of the cluster are no change of direction. */
enum { TURN_PERCENT = 2 };
/* A filler pod that works for less than this was hardly worth its start. */
#define YOUNG_US (60 * US_PER_S)
/* A wait that is longer by more than this is a delay. */
#define DELAY_US            (500 * US_PER_MS)
#define MILLI_US_PER_CORE_S 1e9

/* ---- turns ---- */

bool turns_add(struct turns *t, int64_t value)
{
    if (!t->begun) {
        *t = (struct turns){.threshold = t->threshold, .low = value, .high = value, .begun = true};
        return false;
    }
    t->low = min_i64(t->low, value);
    t->high = max_i64(t->high, value);

    int direction = t->direction;

    if (direction <= 0 && value - t->low > t->threshold)
        t->direction = 1;
    else if (direction >= 0 && t->high - value > t->threshold)
        t->direction = -1;
    if (t->direction == direction)
        return false;
    t->low = value;
    t->high = value;
    return direction != 0;
}

/* ---- the meter ---- */

void meter_init(struct meter *m, const struct trace *trace, const struct replay_setting *setting,
                int64_t allocatable_milli, struct replay_result *result)
{
    int64_t milli = max_i64(setting->filler.at[RESOURCE_CPU], 1);
    int64_t share = allocatable_milli * TURN_PERCENT / 100;

    *m = (struct meter){
        .trace = trace,
        .setting = setting,
        .result = result,
        .next_row = {.us = setting->sample_us > 0 ? 0 : INT64_MAX},
        .pod_turns = {.threshold = share / milli},
        .paid_turns = {.threshold = share},
    };
    m->wait_us = xcalloc(trace->n_pods + 1, sizeof *m->wait_us);
    m->was_blocked = xcalloc(trace->n_pods + 1, sizeof *m->was_blocked);
    m->promised_by = xcalloc(trace->n_pods + 1, sizeof *m->promised_by);
    for (size_t i = 0; i < trace->n_pods; i++)
        m->promised_by[i] = TRACE_ANY_NODE;
}

void meter_done(struct meter *m)
{
    free(m->stages);
    free(m->nodes);
    free(m->wait_us);
    free(m->was_blocked);
    free(m->promised_by);
}

static bool counts(const struct meter *m)
{
    return m->now.us >= m->setting->warmup_us;
}

static int32_t active(const struct meter *m)
{
    return (int32_t)(m->filler[STAGE_STARTING] + m->filler[STAGE_WORKING]);
}

static void add_row(struct meter *m)
{
    struct replay_result *r = m->result;
    struct replay_row row = m->shown;

    row.at_us = m->next_row.us;
    row.demand_milli = m->bound_milli + m->waiting_milli;
    row.waiting_milli = m->waiting_milli;
    row.active = active(m);
    row.leaving = (int32_t)m->filler[STAGE_LEAVING];
    row.pending = (int32_t)m->filler[STAGE_WAITING];
    VEC_PUSH(r->rows, r->n_rows, r->rows_cap, row);
    m->shown.blocked = 0;
    m->next_row.us += m->setting->sample_us;
}

void meter_advance(struct meter *m, struct mono now)
{
    if (now.us <= m->now.us)
        return;

    int64_t from = max_i64(m->now.us, m->setting->warmup_us);

    if (now.us > from) {
        double cpu = (double)m->setting->filler.at[RESOURCE_CPU];
        double span = (double)(now.us - from) / MILLI_US_PER_CORE_S;

        m->paid_core_s += span * (double)m->bound_milli;
        m->useful_core_s += span * cpu * (double)m->filler[STAGE_WORKING];
        m->wasted_core_s +=
            span * cpu * (double)(m->filler[STAGE_STARTING] + m->filler[STAGE_LEAVING]);
    }
    /* What happened at one moment counts as one move; directions are learned after the warm-up. */
    if (now.us > m->setting->warmup_us) {
        m->result->pod_turns += turns_add(&m->pod_turns, active(m));
        m->result->paid_turns += turns_add(&m->paid_turns, m->bound_milli + m->waiting_milli);
    }
    while (m->next_row.us < now.us)
        add_row(m);
    m->now = now;
}

static struct meter_node *node_of(struct meter *m, uint32_t id)
{
    size_t old = m->nodes_cap;

    if (id >= old) {
        m->nodes = vec_reserve(m->nodes, &m->nodes_cap, id + 1U, sizeof *m->nodes);
        memset(m->nodes + old, 0, (m->nodes_cap - old) * sizeof *m->nodes);
    }
    return &m->nodes[id];
}

/* ---- filler ---- */

static enum stage stage_of(const struct sim_event *e)
{
    const struct sim_pod *pod = e->pod;

    if (e->verb == SIM_DELETED)
        return STAGE_NONE;
    if (pod->deleting)
        return STAGE_LEAVING;
    if (pod->ready)
        return STAGE_WORKING;
    return pod->node != NULL ? STAGE_STARTING : STAGE_WAITING;
}

static void count_kill(struct meter *m, const struct sim_pod *pod)
{
    if (!counts(m))
        return;
    m->result->kills++;
    m->result->young_kills += !pod->ready || mono_since_us(pod->ready_at, m->now) < YOUNG_US;
}

void meter_see_filler(struct meter *m, const struct sim_event *e)
{
    size_t old = m->stages_cap;
    uint32_t id = e->pod->id;

    if (id >= old) {
        m->stages = vec_reserve(m->stages, &m->stages_cap, id + 1U, sizeof *m->stages);
        memset(m->stages + old, STAGE_NONE, m->stages_cap - old);
    }

    enum stage before = m->stages[id], after = stage_of(e);

    if (before == after)
        return;
    m->stages[id] = (uint8_t)after;
    m->filler[before]--;
    m->filler[after]++;
    if (before == STAGE_STARTING || before == STAGE_WORKING) {
        if (after == STAGE_LEAVING || after == STAGE_NONE)
            count_kill(m, e->pod);
    }
    if (before <= STAGE_WAITING && after > STAGE_WAITING)
        node_of(m, e->pod->node->id)->fillers++;
    else if (before > STAGE_WAITING && after == STAGE_NONE)
        node_of(m, e->pod->node->id)->fillers--;
}

/* ---- paid pods ---- */

static void promise(struct meter *m, const struct sim_pod *view, uint32_t pod)
{
    uint32_t before = m->promised_by[pod];
    uint32_t after = view->nominated != NULL ? view->nominated->id : TRACE_ANY_NODE;

    if (before == after)
        return;
    if (before != TRACE_ANY_NODE)
        resources_sub(&node_of(m, before)->promised, &view->spec->request);
    if (after != TRACE_ANY_NODE)
        resources_add(&node_of(m, after)->promised, &view->spec->request);
    m->promised_by[pod] = after;
}

/* Would the pod fit if all filler were gone? What other waiting pods were promised is theirs. */
static bool fits_without_filler(struct meter *m, const struct sim *s, const struct sim_pod *pod)
{
    const struct resources *filler = &m->setting->filler;

    for (uint32_t id = 0; id < sim_node_limit(s); id++) {
        const struct sim_node *node = sim_node_at(s, id);
        const struct meter_node *mine = node_of(m, id);

        if (node == NULL)
            continue;

        struct resources room = node->record.allocatable;

        resources_sub(&room, &node->used);
        resources_sub(&room, &mine->promised);
        for (int place = 0; place < RESOURCE_MAX; place++)
            room.at[place] += filler->at[place] * mine->fillers;
        if (pod->nominated == node)
            resources_add(&room, &pod->spec->request);
        if (resources_fit(&pod->spec->request, &room, NULL) &&
            rules_check_node(pod->rules, &node->record) == NODE_ACCEPTS)
            return true;
    }
    return false;
}

static void count_blocked(struct meter *m, const struct sim *s, const struct sim_pod *view,
                          uint32_t pod)
{
    if (!counts(m) || view->created.us < m->setting->warmup_us || !fits_without_filler(m, s, view))
        return;
    m->was_blocked[pod] = 1;
    m->result->blocked++;
    m->shown.blocked++;
}

void meter_see_paid(struct meter *m, const struct sim *s, const struct sim_event *e, uint32_t pod)
{
    const struct sim_pod *view = e->pod;
    int64_t cpu = view->spec->request.at[RESOURCE_CPU];
    bool was_bound = m->wait_us[pod] < 0;

    if (e->verb == SIM_ADDED)
        m->waiting_milli += cpu;
    promise(m, view, pod);
    if (e->verb == SIM_DELETED) {
        m->bound_milli -= was_bound ? cpu : 0;
        m->waiting_milli -= was_bound ? 0 : cpu;
    }
    /* The first attempt has just failed. */
    if (view->unschedulable && view->attempts == 1 && e->verb == SIM_MODIFIED)
        count_blocked(m, s, view, pod);
    if (was_bound || (view->node == NULL && e->verb != SIM_DELETED))
        return;
    /* The wait is over: kept as -1 - wait, so that one of 0 tells, too. */
    m->wait_us[pod] = -1 - mono_since_us(view->created, m->now);
    if (e->verb != SIM_DELETED) {
        m->waiting_milli -= cpu;
        m->bound_milli += cpu;
    }
}

/* ---- writes ---- */

void meter_wrote(struct meter *m, int64_t replicas)
{
    int32_t before = m->shown.replicas;

    m->shown.replicas = (int32_t)replicas;
    if (!counts(m))
        return;
    if (!m->write_turns.begun)
        (void)turns_add(&m->write_turns, before);
    m->result->write_turns += turns_add(&m->write_turns, replicas);
    m->result->scale_writes++;
}

void meter_pod_wrote(struct meter *m)
{
    m->result->pod_writes += counts(m);
}

/* ---- sums ---- */

static int by_value(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return a < b ? -1 : a > b;
}

/* The waits of `n` pods, of which all but the `n_sorted` given did not wait: the value that a share
 * of them does not exceed, by nearest rank; 0 of none. */
static int64_t quantile(const int64_t *sorted, size_t n_sorted, size_t n, size_t percent)
{
    size_t rank = (n * percent + 99) / 100, before = n - n_sorted;

    return rank > before ? sorted[rank - before - 1] : 0;
}

static void sum_waits(struct meter *m, const struct oracle *past)
{
    struct replay_result *r = m->result;
    int64_t *because = NULL;
    double core_us = 0;
    size_t n = 0, n_because = 0, cap = 0;

    for (size_t i = 0; i < m->trace->n_pods; i++) {
        const struct trace_pod *pod = &m->trace->pods[i];
        int64_t wait = m->wait_us[i] < 0 ? -1 - m->wait_us[i] : m->now.us - pod->create_us;

        if (pod->create_us < m->setting->warmup_us || pod->found_on != TRACE_ANY_NODE)
            continue;
        n++;
        r->delayed += wait - past->wait_us[i] > DELAY_US;
        if (!m->was_blocked[i])
            continue;
        VEC_PUSH(because, n_because, cap, wait);
        core_us += (double)wait * (double)m->trace->kinds[pod->kind].request.at[RESOURCE_CPU];
    }
    if (n_because != 0)
        qsort(because, n_because, sizeof *because, by_value);
    r->paid_pods = n;
    r->wait_p50_us = quantile(because, n_because, n, 50);
    r->wait_p99_us = quantile(because, n_because, n, 99);
    r->wait_max_us = quantile(because, n_because, n, 100);
    r->blocked_p50_us = quantile(because, n_because, n_because, 50);
    r->wait_core_h = core_us / MILLI_US_PER_CORE_S / 3600;
    free(because);
}

static double share(double part, double of)
{
    return of > 0 ? part / of : 0;
}

void meter_finish(struct meter *m, const struct oracle *past)
{
    struct replay_result *r = m->result;

    r->hours = (double)max_i64(m->now.us - m->setting->warmup_us, 0) / (3600.0 * US_PER_S);
    r->useful_core_s = m->useful_core_s;
    r->available_core_s = past->available_core_s;
    r->fill = share(m->useful_core_s, past->available_core_s);
    r->of_oracle = share(m->useful_core_s, past->useful_core_s);
    r->utilisation = share(m->paid_core_s + m->useful_core_s, past->allocatable_core_s);
    r->wasted = share(m->wasted_core_s, past->available_core_s);
    sum_waits(m, past);
}
