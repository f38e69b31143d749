#include "agent/report_replay.h"

#include <stdio.h>

#include "agent/cmd_replay.h"
#include "base/alloc.h"
#include "base/num.h"
#include "policy/sim/replay.h"
#include "storage/series.h"

struct playing {
    const struct policy *policy;
    const struct report *report;
    struct trace trace;
    struct replay_setting setting;
    struct oracle past;
    struct report_advice *advice;
};

/* From where on at most REPORT_REPLAY_PODS came. */
static int64_t first_to_play(const struct report *r)
{
    int64_t pods = 0;
    size_t i = r->n_pieces;

    while (i > 0 && pods + r->pieces[i - 1].pods <= REPORT_REPLAY_PODS)
        pods += r->pieces[--i].pods;
    return i < r->n_pieces ? r->pieces[i].first_ms : r->query.until_ms;
}

/* What samples show of pods that start, or leave: their cpu for as long as that took, divided by how many there were. */
static int64_t mean_us(int64_t area, int64_t pods, int64_t slot_milli, int64_t otherwise_us)
{
    enum { LEAST_PODS = 20 }; /* fewer are luck */

    if (pods < LEAST_PODS || slot_milli <= 0)
        return otherwise_us;
    return area / slot_milli * US_PER_MS / pods;
}

static bool measure_filler(struct history *h, struct playing *p, struct err *err)
{
    static const enum series series[] = {(enum series)SAMPLE_STARTING, (enum series)SAMPLE_LEAVING};
    const int64_t edges[] = {p->report->query.since_ms, p->report->query.until_ms};
    const struct series_query query = {.policy = sv_from(p->report->policy),
                                       .series = series,
                                       .n_series = COUNT_OF(series),
                                       .edges = edges,
                                       .n_rows = 1};
    int64_t slot_milli = p->setting.filler.at[RESOURCE_CPU];
    struct figures f[COUNT_OF(series)];
    struct series_row row;

    if (!series_read(h, &query, &row, f, err))
        return false;
    p->setting.start_us = mean_us(f[0].mean_milli / 1000 * f[0].covered_ms, p->report->total.starts,
                                  slot_milli, p->setting.start_us);
    p->setting.grace_us = mean_us(f[1].mean_milli / 1000 * f[1].covered_ms, p->report->total.stops,
                                  slot_milli, p->setting.grace_us);
    return true;
}

static void set_filler(struct playing *p)
{
    struct replay_setting *s = &p->setting;

    *s = replay_setting_default();
    s->filler = p->trace.filler;
    if (s->filler.at[RESOURCE_CPU] <= 0 && p->policy->pod.given) {
        s->filler.at[RESOURCE_CPU] = p->policy->pod.cpu_milli;
        s->filler.at[RESOURCE_MEMORY] = p->policy->pod.memory_bytes;
    }
    s->filler.at[RESOURCE_PODS] = 1;
    s->max_replicas = p->policy->max;
    s->placement = p->policy->placement;
    s->warmup_us = min_i64(s->warmup_us, p->trace.end_us / 10);
    s->sample_us = 0;
}

static bool prepare(struct history *h, struct playing *p, struct err *err)
{
    struct report_advice *a = p->advice;

    a->first_ms = first_to_play(p->report);
    a->until_ms = p->report->query.until_ms;
    if (!replay_read_history(h, a->first_ms, a->until_ms, &p->trace, err))
        return false;
    if (p->trace.end_us / 1000 < REPORT_REPLAY_LEAST_MS)
        return err_set(err, ERR_INPUT, 0,
                       "a replay needs at least an hour of the event journal; there are %lld min",
                       (long long)(p->trace.end_us / 1000 / 60000));
    a->first_ms = p->trace.began.us / 1000;
    set_filler(p);
    if (p->setting.filler.at[RESOURCE_CPU] <= 0)
        return err_set(err, ERR_INPUT, 0, "no filler pod was seen, so that its size is not known");
    return measure_filler(h, p, err) && oracle_find(&p->trace, &p->setting, &p->past, err);
}

/* A policy with another headroom.max or settle, in its schedule too. */
struct changed {
    struct policy policy;              /* borrows the rest */
    struct policy_override *overrides; /* one for each of the policy's … */
    struct policy *values;             /* … as are their values */
};

static void change(struct policy *p, enum report_trial_kind kind, int64_t percent,
                   int64_t settle_us)
{
    if (kind == TRIAL_HEADROOM) {
        p->headroom_max.milli = p->headroom_max.milli * percent / 100;
        p->headroom_min.milli = p->headroom_min.milli * percent / 100;
    } else {
        p->settle_us = settle_us;
        p->settle_auto = false;
    }
}

static void changed_init(struct changed *c, const struct policy *from, enum report_trial_kind kind,
                         int64_t percent, int64_t settle_us)
{
    size_t n = from->n_overrides;

    *c = (struct changed){.policy = *from,
                          .overrides = xcalloc(n + 1, sizeof *c->overrides),
                          .values = xcalloc(n + 1, sizeof *c->values)};
    change(&c->policy, kind, percent, settle_us);
    for (size_t k = 0; k < n; k++) {
        c->values[k] = *from->overrides[k].values;
        change(&c->values[k], kind, percent, settle_us);
        c->overrides[k] = from->overrides[k];
        c->overrides[k].values = &c->values[k];
    }
    c->policy.overrides = c->overrides;
}

static void changed_done(struct changed *c)
{
    free(c->overrides);
    free(c->values);
}

static bool play(struct playing *p, const struct policy *policy, struct replay_result *ret_result,
                 struct err *err)
{
    return replay_run(&p->trace, &p->setting, &p->past, policy, ret_result, err);
}

static int64_t core_hours(const struct replay_result *r)
{
    return (int64_t)(r->useful_core_s / 3600 * 1000 + 0.5);
}

static int64_t headroom_milli(const struct playing *p, const struct policy *policy)
{
    return room_spec_milli(&policy->headroom_max, p->report->total.peak_offered_milli, 0);
}

static bool play_as_is(struct playing *p, struct err *err)
{
    struct report_advice *a = p->advice;
    struct replay_result result;

    if (!play(p, p->policy, &result, err))
        return false;
    a->paid_pods = (int64_t)result.paid_pods;
    a->blocked = (int64_t)result.blocked;
    a->core_hours = core_hours(&result);
    a->need_milli = result.has_learned ? result.learned.need_milli : 0;
    a->allowed_ppm = p->policy->blocked_ppm;
    a->headroom_milli = headroom_milli(p, p->policy);
    a->settle_us = p->policy->settle_us;
    replay_result_done(&result);
    return true;
}

static bool play_trial(struct playing *p, enum report_trial_kind kind, int64_t percent,
                       int64_t settle_us, struct err *err)
{
    struct report_advice *a = p->advice;
    struct replay_result result;
    struct changed other;
    bool ok;

    changed_init(&other, p->policy, kind, percent, settle_us);
    ok = play(p, &other.policy, &result, err);
    if (ok) {
        a->trials[a->n++] = (struct report_trial){
            .kind = kind,
            .value = kind == TRIAL_HEADROOM ? headroom_milli(p, &other.policy) : settle_us,
            .core_hours = core_hours(&result),
            .blocked = (int64_t)result.blocked,
        };
        replay_result_done(&result);
    }
    changed_done(&other);
    return ok;
}

static bool play_all(struct playing *p, struct err *err)
{
    static const int64_t percents[] = {50, 75, 150, 200}, settles_s[] = {30, 60, 120, 300};

    _Static_assert(COUNT_OF(percents) + COUNT_OF(settles_s) <= REPORT_MAX_TRIALS,
                   "too many trials");
    if (!play_as_is(p, err))
        return false;
    for (size_t i = 0; i < COUNT_OF(percents); i++) {
        if (p->policy->headroom_max.kind != ROOM_LARGEST_NODE && p->advice->headroom_milli > 0 &&
            !play_trial(p, TRIAL_HEADROOM, percents[i], 0, err))
            return false;
    }
    for (size_t i = 0; i < COUNT_OF(settles_s); i++) {
        if (settles_s[i] * US_PER_S != p->policy->settle_us &&
            !play_trial(p, TRIAL_SETTLE, 0, settles_s[i] * US_PER_S, err))
            return false;
    }
    return true;
}

void report_replay(struct history *h, const struct policy *policy, const struct report *r,
                   struct report_advice *ret_advice)
{
    struct playing p = {.policy = policy, .report = r, .advice = ret_advice};
    struct err err = {0};

    *ret_advice = (struct report_advice){0};
    trace_init(&p.trace);
    ret_advice->made = prepare(h, &p, &err) && play_all(&p, &err);
    if (!ret_advice->made)
        (void)snprintf(ret_advice->why_not, sizeof ret_advice->why_not, "%s", err.text);
    oracle_done(&p.past);
    trace_done(&p.trace);
}
