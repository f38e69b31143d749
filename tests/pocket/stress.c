#include "tests/pocket/stress.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "tests/pocket/podtext.h"

#define NAMESPACE "stress"

enum { MAX_PATH = 600, GUESSES = 64 };

/* A yield that did not come is given up, and counted, so that the next one is tried. */
#define GIVE_UP_US (30 * US_PER_S)

/* Of one probe: until the patch was at the socket, and until it was read. */
struct sample {
    int64_t us, read_us;
};

enum probe_state { PROBE_NONE, PROBE_CREATED, PROBE_TOLD };

struct stress {
    struct world *world;
    struct stress_config config;
    char path[MAX_PATH];
    struct pod_doc *probe_doc, *churn_doc;
    uint64_t random;
    struct mono began;
    uint64_t events, born, gone; /* of pods that come and go */
    uint64_t reported_events;

    enum probe_state state;
    const struct sim_pod *probe;
    uint64_t probes, missed, lucky; /* lucky: got room without a patch */
    struct mono made_at, told_at, next_at;
    struct wall told_wall; /* the same moment as told_at */
    struct sample *samples;
    size_t n_samples, cap_samples;
};

static struct mono now(const struct stress *s)
{
    return s->config.clock.mono(s->config.clock.self);
}

static uint64_t chance(struct stress *s)
{
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    return s->random >> 33;
}

/* `cpu`: NULL: it asks for none. */
static bool make_doc(struct world *w, const char *cpu, bool preempts, struct pod_doc **ret_doc,
                     struct err *err)
{
    const struct world_timing timing = {.grace_us = 0, .start_us = 0, .exit_us = 0};
    char text[400];
    cJSON *json;
    bool ok;

    (void)snprintf(text, sizeof text,
                   "{\"metadata\":{\"labels\":{\"app\":\"stress\"}},\"spec\":{\"preemptionPolicy\":"
                   "\"%s\",\"priority\":0,\"containers\":[{\"name\":\"c\",\"image\":\"i\","
                   "\"resources\":{\"requests\":{%s%s%s\"memory\":\"1Mi\"}}}]}}",
                   preempts ? "PreemptLowerPriority" : "Never", cpu != NULL ? "\"cpu\":\"" : "",
                   cpu != NULL ? cpu : "", cpu != NULL ? "\"," : "");
    json = cJSON_Parse(text);
    ok = world_pod_doc(w, SV(NAMESPACE), json, &timing, ret_doc, err);
    cJSON_Delete(json);
    return ok;
}

static bool set_path(struct stress *s, struct err *err)
{
    struct sv ns, name;

    if (s->config.probes_per_s == 0)
        return true;
    if (s->config.target == NULL || !sv_cut(sv_from(s->config.target), '/', &ns, &name))
        return err_set(err, ERR_INPUT, 0, "--probe-target: expected NAMESPACE/DEPLOYMENT");
    (void)snprintf(s->path, sizeof s->path, "/apis/apps/v1/namespaces/%.*s/deployments/%.*s/scale",
                   SV_ARG(ns), SV_ARG(name));
    return true;
}

bool stress_new(struct world *w, const struct stress_config *config, struct stress **ret_stress,
                struct err *err)
{
    struct stress *s = xcalloc(1, sizeof *s);
    const struct object *o;
    cJSON *ns = cJSON_Parse("{\"metadata\":{\"name\":\"" NAMESPACE "\"}}");
    bool ok;

    s->world = w;
    s->config = *config;
    s->random = config->seed;
    s->began = s->next_at = now(s);
    ok = set_path(s, err) &&
         world_create(w, KIND_NAMESPACES, (struct sv){0}, ns, &WORLD_NO_TIMING, &o, err) &&
         make_doc(w, "1", config->preempt, &s->probe_doc, err) &&
         make_doc(w, config->probes_per_s != 0 ? NULL : "100m", false, &s->churn_doc, err);
    cJSON_Delete(ns);
    if (!ok) {
        stress_free(s);
        return false;
    }
    *ret_stress = s;
    return true;
}

void stress_free(struct stress *s)
{
    if (s == NULL)
        return;
    pod_doc_unref(s->probe_doc);
    pod_doc_unref(s->churn_doc);
    free(s->samples);
    free(s);
}

/* ---- events ---- */

/* A paid pod that stands on a node; NULL: none was found by guessing. */
static const struct sim_pod *some_pod(struct stress *s)
{
    struct sim *sim = world_sim(s->world);

    for (int i = 0; i < GUESSES && sim_pod_limit(sim) != 0; i++) {
        const struct sim_pod *pod = sim_pod_at(sim, (uint32_t)(chance(s) % sim_pod_limit(sim)));

        if (pod != NULL && pod->owner == NULL && pod->phase == PHASE_RUNNING)
            return pod;
    }
    return NULL;
}

static void change_one(struct stress *s)
{
    const struct sim_pod *pod = some_pod(s);

    if (pod != NULL)
        sim_pod_patch(world_sim(s->world), pod,
                      &(struct sim_pod_patch){.has_cost = true, .cost = pod->deletion_cost ^ 1});
}

static void name_of(char *to, size_t size, const char *kind, uint64_t number)
{
    (void)snprintf(to, size, "%s-%" PRIu64, kind, number);
}

static void bear_one(struct stress *s)
{
    const struct sim_pod *beside = some_pod(s), *pod;
    char name[64];

    name_of(name, sizeof name, "churn", s->born);
    if (beside != NULL && sim_pod_create(world_sim(s->world), sv_from(name), &s->churn_doc->spec,
                                         beside->node, &pod, NULL))
        s->born++;
}

static void end_one(struct stress *s)
{
    const struct sim_pod *pod;
    char name[64];

    if (s->gone == s->born)
        return;
    name_of(name, sizeof name, "churn", s->gone++);
    pod = sim_pod_find(world_sim(s->world), SV(NAMESPACE), sv_from(name));
    if (pod != NULL)
        sim_pod_delete(world_sim(s->world), pod, 0);
}

static void event(struct stress *s)
{
    switch (s->events++ % 6) {
    case 0:
        bear_one(s);
        break;
    case 1:
        end_one(s);
        break;
    default:
        change_one(s);
        break;
    }
}

/* ---- probes ---- */

static void probe_begin(struct stress *s, struct mono t)
{
    char name[64];

    name_of(name, sizeof name, "probe", s->probes);
    if (!sim_pod_create(world_sim(s->world), sv_from(name), &s->probe_doc->spec, NULL, &s->probe,
                        NULL))
        return;
    s->probes++;
    s->state = PROBE_CREATED;
    s->made_at = t;
}

static void probe_end(struct stress *s, struct mono t)
{
    s->state = PROBE_NONE;
    s->probe = NULL;
    s->next_at = mono_plus_us(t, US_PER_S / s->config.probes_per_s);
}

static void probe_step(struct stress *s, struct mono t)
{
    switch (s->state) {
    case PROBE_NONE:
        if (t.us >= s->next_at.us)
            probe_begin(s, t);
        break;
    case PROBE_CREATED:
        if (s->probe->node != NULL) {
            s->lucky++;
            probe_end(s, t);
        }
        break;
    case PROBE_TOLD:
        if (s->probe->node != NULL &&
            !s->config.preempt) { /* room that came free for another reason was on its way */
            s->lucky++;
            probe_end(s, t);
        } else if (mono_since_us(s->told_at, t) >= GIVE_UP_US) {
            s->missed++;
            probe_end(s, t);
        }
        break;
    }
}

void stress_told(struct stress *s, const struct object *o)
{
    if (s->state != PROBE_CREATED || !s->probe->unschedulable || !sv_eq(o->is.ns, SV(NAMESPACE)) ||
        !sv_eq(o->is.name, s->probe->name))
        return;
    s->state = PROBE_TOLD;
    s->told_at = now(s);
    s->told_wall = s->config.clock.wall(s->config.clock.self);
}

void stress_heard(struct stress *s, struct sv path, struct wall arrived)
{
    struct mono t = now(s);

    if (s->state != PROBE_TOLD || !sv_eq(path, sv_from(s->path)))
        return;
    VEC_PUSH(s->samples, s->n_samples, s->cap_samples,
             ((struct sample){.us = max_i64(arrived.us - s->told_wall.us, 0),
                              .read_us = mono_since_us(s->told_at, t)}));
    probe_end(s, t);
}

/* ---- turns ---- */

static uint64_t events_due(const struct stress *s, struct mono t)
{
    return (uint64_t)(mono_since_us(s->began, t) * s->config.events_per_s / US_PER_S);
}

void stress_run(struct stress *s)
{
    struct mono t = now(s);
    int64_t most = max_i64(s->config.events_per_s / 5, 1);

    for (; most > 0 && s->events < events_due(s, t); most--)
        event(s);
    if (s->config.probes_per_s != 0)
        probe_step(s, t);
}

int64_t stress_idle_us(const struct stress *s, int64_t max_us)
{
    int64_t us = max_us;

    if (s->config.events_per_s != 0)
        us = min_i64(us, US_PER_S / s->config.events_per_s);
    if (s->config.probes_per_s != 0)
        us = min_i64(us, US_PER_S / s->config.probes_per_s);
    return us;
}

/* ---- report ---- */

static int by_time(const void *a, const void *b)
{
    int64_t x = ((const struct sample *)a)->us, y = ((const struct sample *)b)->us;

    return (x > y) - (x < y);
}

static int by_read(const void *a, const void *b)
{
    int64_t x = ((const struct sample *)a)->read_us, y = ((const struct sample *)b)->read_us;

    return (x > y) - (x < y);
}

static struct sample quantile(const struct stress *s, int64_t per_mille)
{
    size_t at = s->n_samples * (size_t)per_mille / 1000;

    if (s->n_samples == 0)
        return (struct sample){0};
    return s->samples[at < s->n_samples ? at : s->n_samples - 1];
}

static void sort(struct stress *s, int (*compare)(const void *, const void *))
{
    if (s->n_samples != 0)
        qsort(s->samples, s->n_samples, sizeof *s->samples, compare);
}

void stress_report(struct stress *s, FILE *to)
{
    sort(s, by_time);
    (void)fprintf(to,
                  "stress: {\"events\":%" PRIu64 ",\"probes\":%zu,\"p50_us\":%" PRId64
                  ",\"p99_us\":%" PRId64 ",\"p999_us\":%" PRId64 ",\"max_us\":%" PRId64,
                  s->events - s->reported_events, s->n_samples, quantile(s, 500).us,
                  quantile(s, 990).us, quantile(s, 999).us, quantile(s, 1000).us);
    sort(s, by_read);
    (void)fprintf(to,
                  ",\"read_p50_us\":%" PRId64 ",\"read_p99_us\":%" PRId64
                  ",\"read_p999_us\":%" PRId64 ",\"read_max_us\":%" PRId64 ",\"missed\":%" PRIu64
                  ",\"lucky\":%" PRIu64 "}\n",
                  quantile(s, 500).read_us, quantile(s, 990).read_us, quantile(s, 999).read_us,
                  quantile(s, 1000).read_us, s->missed, s->lucky);
    (void)fflush(to);
    s->reported_events = s->events;
    s->n_samples = 0;
    s->missed = s->lucky = 0;
}
