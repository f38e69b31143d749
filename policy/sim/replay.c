#include "policy/sim/replay.h"

#include "base/alloc.h"
#include "policy/damper.h"

struct replay_setting replay_setting_default(void)
{
    return (struct replay_setting){
        .start_us = 5 * US_PER_S,
        .grace_us = 10 * US_PER_S,
        .api_us = 150 * US_PER_MS,
        .gather_us = 100 * US_PER_MS,
        .grow_us = US_PER_S,
        .controller_us = 150 * US_PER_MS,
        .placement = PLACEMENT_GATE,
        .max_replicas = INT32_MAX,
        .warmup_us = 600 * US_PER_S,
        .sample_us = 10 * US_PER_S,
        .seed = 1,
    };
}

void replay_result_done(struct replay_result *r)
{
    free(r->rows);
    free(r->steps);
    *r = (struct replay_result){0};
}

/* ---- advice ---- */

/* What a damper makes of the set points. */
struct trial {
    const struct replay_setting *setting;
    struct damper damper;
    int64_t at_us, n;
    double pod_us; /* worked */
    int64_t kills;
};

/* Until `to_us` there are n pods; those that came new had to start first. */
static void go_on(struct trial *t, int64_t to_us, int64_t n)
{
    int64_t from = t->at_us > t->setting->warmup_us ? t->at_us : t->setting->warmup_us;

    if (to_us > from)
        t->pod_us += (double)(to_us - from) * (double)t->n;
    t->at_us = to_us;
    if (to_us >= t->setting->warmup_us && n > t->n)
        t->pod_us -= (double)(n - t->n) * (double)t->setting->start_us;
    if (to_us >= t->setting->warmup_us && n < t->n)
        t->kills += t->n - n;
    t->n = n;
}

/* Rises between two set points come at their own times. */
static void rise_until(struct trial *t, int64_t until_us)
{
    struct mono at;
    int64_t last_us = INT64_MIN;

    while (damper_next_rise(&t->damper, &at) && at.us < until_us && at.us > last_us) {
        const struct damper *d = &t->damper;
        /* The newest value holds: pushing it again only lets time pass. */
        int64_t value = d->at[(d->first + d->len - 1) % d->cap].value;

        go_on(t, at.us, damper_push(&t->damper, at, value));
        last_us = at.us;
    }
}

struct replay_advice replay_advise(const struct replay_result *r,
                                   const struct replay_setting *setting, int64_t end_us,
                                   int64_t settle_us, int64_t kill_cost_us)
{
    struct trial t = {.setting = setting};
    struct replay_advice a = {.settle_us = settle_us};
    double core_s = (double)setting->filler.at[RESOURCE_CPU] / 1e9;

    damper_init(&t.damper, settle_us);
    (void)damper_push(&t.damper, (struct mono){0}, 0);
    for (size_t i = 0; i < r->n_steps; i++) {
        const struct replay_step *s = &r->steps[i];

        rise_until(&t, s->at_us);
        go_on(&t, s->at_us, damper_push(&t.damper, (struct mono){.us = s->at_us}, s->set_point));
    }
    rise_until(&t, end_us);
    go_on(&t, end_us, t.n);
    damper_done(&t.damper);
    if (r->available_core_s > 0) {
        a.fill = t.pod_us * core_s / r->available_core_s;
        a.net = a.fill - (double)t.kills * (double)kill_cost_us * core_s / r->available_core_s;
    }
    a.kills_h = r->hours > 0 ? (double)t.kills / r->hours : 0;
    return a;
}
