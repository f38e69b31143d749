#include "policy/sim/peers.h"

#include "base/num.h"
#include "policy/sim/replay_parts.h"

static const char *const names[] = {
    [PEER_HPA] = "hpa",         [PEER_HPA_TUNED] = "hpa-tuned", [PEER_KEDA] = "keda",
    [PEER_PREEMPT] = "preempt", [PEER_STATIC] = "static",       [PEER_ORACLE] = "oracle",
};
_Static_assert(COUNT_OF(names) == PEER_COUNT_, "a peer has no name");

/* KEDA asks its source this often (pollingInterval). */
#define KEDA_POLL_US (30 * US_PER_S)

const char *peer_name(enum peer peer)
{
    return names[peer];
}

enum peer peer_find(struct sv name)
{
    int i = 0;

    while (i < PEER_COUNT_ && !sv_eq(name, sv_from(names[i])))
        i++;
    return (enum peer)i;
}

/* ---- the reversed metric ---- */

struct reading {
    struct replay_world *w;
    int64_t hold_us; /* a value is read again after this */
    struct mono read_at;
    int64_t milli;
    bool read;
};

/* Room beside paid pods, in sum over the nodes, and less what waiting ones ask for. */
static int64_t remaining(const struct reading *r)
{
    const struct replay_world *w = r->w;
    int64_t milli = -w->setting->reserve_milli - w->meter->waiting_milli;
    int64_t filler = w->setting->filler.at[RESOURCE_CPU];

    for (uint32_t id = 0; id < sim_node_limit(w->sim); id++) {
        const struct sim_node *node = sim_node_at(w->sim, id);

        if (node == NULL || node->record.unschedulable)
            continue;

        int64_t fillers = id < w->meter->nodes_cap ? w->meter->nodes[id].fillers : 0;
        int64_t free = node->record.allocatable.at[RESOURCE_CPU] - node->used.at[RESOURCE_CPU];

        milli += max_i64(0, free + fillers * filler);
    }
    return max_i64(milli, 0);
}

static struct hpa_reading read_metric(void *self, size_t index, struct mono now)
{
    struct reading *r = self;

    (void)index;
    if (!r->read || mono_since_us(r->read_at, now) >= r->hold_us) {
        r->read = true;
        r->read_at = now;
        r->milli = remaining(r);
    }
    return (struct hpa_reading){.valid = true, .milli = r->milli};
}

static struct hpa_spec autoscaler(enum peer peer, const struct replay_setting *s, int32_t most)
{
    struct hpa_spec spec = hpa_spec_default();

    spec.min = 1;
    spec.max = most > 0 ? most : 1;
    spec.n_metrics = 1;
    spec.metrics[0] = (struct hpa_metric){.target = HPA_AVERAGE_VALUE,
                                          .target_milli = s->filler.at[RESOURCE_CPU]};
    if (peer != PEER_HPA_TUNED)
        return spec;
    spec.has_behavior = true;
    spec.tolerance_up_milli = 0;
    spec.tolerance_down_milli = 0;
    spec.down.window_s = 0;
    spec.up.window_s = 300;
    return spec;
}

/* ---- a run ---- */

/* Writes of an autoscaler show up as changes of the workload. */
static void see(void *self, const struct sim_event *e, uint32_t pod)
{
    struct replay_world *w = self;

    (void)pod;
    if (e->kind == SIM_WORKLOAD && e->workload->replicas != w->meter->shown.replicas)
        meter_wrote(w->meter, e->workload->replicas);
}

/* How many replicas it begins with. */
static int64_t first_replicas(enum peer peer, const struct replay_setting *s,
                              const struct oracle *past, int64_t allocatable_milli)
{
    if (peer == PEER_PREEMPT)
        return past->empty_slots;
    if (peer == PEER_STATIC)
        return (allocatable_milli - past->peak_milli) / s->filler.at[RESOURCE_CPU];
    return 1;
}

static bool fly(struct replay_world *w, enum peer peer, const struct oracle *past,
                int64_t allocatable_milli, struct err *err)
{
    const struct replay_setting *s = w->setting;
    struct reading reading = {.w = w, .hold_us = peer == PEER_KEDA ? KEDA_POLL_US : 0};
    const struct sim_metrics metrics = {.read = read_metric, .self = &reading};
    const struct hpa_spec spec = autoscaler(peer, s, world_replicas(s, past, INT64_MAX));
    bool scales = peer == PEER_HPA || peer == PEER_HPA_TUNED || peer == PEER_KEDA;

    w->pilot = (struct replay_pilot){.see = see, .self = w};
    return world_add_filler(
               w, world_replicas(s, past, first_replicas(peer, s, past, allocatable_milli)), false,
               err) &&
           (!scales || sim_hpa_add(w->sim, w->filler, &spec, &metrics,
                                   (struct mono){.us = HPA_SYNC_US}, err)) &&
           world_play(w, err);
}

static void foresee(const struct oracle *past, struct replay_result *r)
{
    r->useful_core_s = past->useful_core_s;
    r->available_core_s = past->available_core_s;
    r->fill = past->available_core_s > 0 ? past->useful_core_s / past->available_core_s : 0;
    r->of_oracle = 1;
}

bool peers_run(const struct trace *trace, const struct replay_setting *setting,
               const struct oracle *past, enum peer peer, struct replay_result *ret_result,
               struct err *err)
{
    struct replay_result result = {0};
    int64_t allocatable = trace_allocatable(trace);
    struct replay_world w;
    struct meter meter;
    bool ok;

    if (peer == PEER_ORACLE) {
        foresee(past, &result);
        *ret_result = result;
        return true;
    }
    world_init(&w, trace, setting);
    meter_init(&meter, trace, setting, allocatable, &result);
    w.meter = &meter;
    ok = fly(&w, peer, past, allocatable, err);
    if (ok) {
        meter_finish(&meter, past);
        *ret_result = result;
    } else {
        replay_result_done(&result);
    }
    meter_done(&meter);
    world_done(&w);
    return ok;
}
