#include "policy/sim/hpa.h"

#include <math.h>

#include "base/alloc.h"

enum { NO_PROPOSAL = -1 };

static const char *const outcome_names[] = {[HPA_STEADY] = "steady",
                                            [HPA_RESCALED] = "rescaled",
                                            [HPA_DISABLED] = "disabled",
                                            [HPA_NO_METRICS] = "no-metrics"};
_Static_assert(COUNT_OF(outcome_names) == HPA_OUTCOME_COUNT_, "an outcome has no name");

const char *hpa_outcome_name(enum hpa_outcome outcome)
{
    return outcome_names[outcome];
}

/* A proposal, or a change of the scale, and when it was. */
struct memory {
    struct mono at;
    int32_t n;
};

struct memories {
    struct memory *at;
    size_t n, cap;
};

struct hpa {
    struct hpa_spec spec;
    struct memories proposals, ups, downs;
};

struct hpa_spec hpa_spec_default(void)
{
    const struct hpa_policy doubling = {.unit = HPA_UNIT_PERCENT, .value = 100, .period_s = 15};
    const struct hpa_policy four = {.unit = HPA_UNIT_PODS, .value = 4, .period_s = 15};

    return (struct hpa_spec){
        .min = 1,
        .max = 10,
        .down_window_s = 300,
        .tolerance_up_milli = 100,
        .tolerance_down_milli = 100,
        .up = {.policies = {four, doubling}, .n_policies = 2},
        .down = {.window_s = 300, .policies = {doubling}, .n_policies = 1},
    };
}

static bool rules_check(const struct hpa_rules *rules, const char *which, struct err *err)
{
    if (rules->window_s < 0 || rules->window_s > HPA_MAX_WINDOW_S)
        return err_set(err, ERR_INPUT, 0, "%s: a window of %d s, expected 0 to %d", which,
                       rules->window_s, HPA_MAX_WINDOW_S);
    if (rules->n_policies == 0 || rules->n_policies > HPA_MAX_POLICIES)
        return err_set(err, ERR_INPUT, 0, "%s: %zu policies, expected 1 to %d", which,
                       rules->n_policies, HPA_MAX_POLICIES);
    for (size_t i = 0; i < rules->n_policies; i++) {
        const struct hpa_policy *p = &rules->policies[i];

        if (p->value <= 0 || p->period_s <= 0 || p->period_s > HPA_MAX_PERIOD_S)
            return err_set(err, ERR_INPUT, 0, "%s: %d in %d s, expected more than 0 in 1 to %d s",
                           which, p->value, p->period_s, HPA_MAX_PERIOD_S);
    }
    return true;
}

bool hpa_new(const struct hpa_spec *spec, struct hpa **ret_hpa, struct err *err)
{
    if (spec->min < 0 || spec->max < 1 || spec->min > spec->max)
        return err_set(err, ERR_INPUT, 0, "from %d to %d replicas", spec->min, spec->max);
    if (spec->n_metrics == 0 || spec->n_metrics > HPA_MAX_METRICS)
        return err_set(err, ERR_INPUT, 0, "%zu metrics, expected 1 to %d", spec->n_metrics,
                       HPA_MAX_METRICS);
    for (size_t i = 0; i < spec->n_metrics; i++) {
        if (spec->metrics[i].target_milli <= 0)
            return err_set(err, ERR_INPUT, 0, "a target of %lld, expected more than 0",
                           (long long)spec->metrics[i].target_milli);
    }
    if (spec->down_window_s < 0 || spec->tolerance_up_milli < 0 || spec->tolerance_down_milli < 0)
        return err_set(err, ERR_INPUT, 0, "a window or tolerance below 0");
    if (!rules_check(&spec->up, "scaleUp", err) || !rules_check(&spec->down, "scaleDown", err))
        return false;

    struct hpa *h = xcalloc(1, sizeof *h);

    h->spec = *spec;
    *ret_hpa = h;
    return true;
}

void hpa_free(struct hpa *h)
{
    if (h == NULL)
        return;
    free(h->proposals.at);
    free(h->ups.at);
    free(h->downs.at);
    free(h);
}

const struct hpa_spec *hpa_spec(const struct hpa *h)
{
    return &h->spec;
}

/* ---- proposals ---- */

static int32_t to_replicas(double n)
{
    return n >= (double)INT32_MAX ? INT32_MAX : n <= 0 ? 0 : (int32_t)n;
}

static bool tolerated(const struct hpa_spec *spec, double ratio)
{
    return 1.0 - spec->tolerance_down_milli / 1000.0 <= ratio &&
           ratio <= 1.0 + spec->tolerance_up_milli / 1000.0;
}

static int32_t propose_value(const struct hpa_spec *spec, const struct hpa_input *in, size_t i)
{
    double ratio = (double)in->readings[i].milli / (double)spec->metrics[i].target_milli;

    if (in->replicas == 0)
        return to_replicas(ceil(ratio));
    if (tolerated(spec, ratio))
        return in->replicas;
    return to_replicas(ceil(ratio * in->ready));
}

/* With no replicas the ratio is infinite, or no number where the value is 0, too: out of tolerance.
 */
static int32_t propose_average(const struct hpa_spec *spec, const struct hpa_input *in, size_t i)
{
    double value = (double)in->readings[i].milli, target = (double)spec->metrics[i].target_milli;

    if (in->status_replicas > 0 && tolerated(spec, value / (target * in->status_replicas)))
        return in->status_replicas;
    return to_replicas(ceil(value / target));
}

/* What the pods' samples come to. */
struct survey {
    int64_t total;
    int32_t ready, pending, missing;
};

static struct survey survey_pods(const struct hpa_reading *r)
{
    struct survey v = {0};

    for (size_t i = 0; i < r->n_pods; i++) {
        const struct hpa_pod *pod = &r->pods[i];

        if (pod->ignored)
            continue;
        if (pod->pending) {
            v.pending++;
        } else if (!pod->sampled) {
            v.missing++;
        } else {
            v.ready++;
            v.total += pod->milli;
        }
    }
    return v;
}

/* The mean is a whole number of milli, cut as there. */
static double mean_ratio(int64_t total, int32_t n, int64_t target)
{
    return (double)(total / n) / (double)target;
}

static int32_t propose_pods(const struct hpa_spec *spec, const struct hpa_input *in, size_t i)
{
    int64_t target = spec->metrics[i].target_milli;
    struct survey v = survey_pods(&in->readings[i]);

    if (v.ready == 0)
        return NO_PROPOSAL;

    double ratio = mean_ratio(v.total, v.ready, target);
    bool unready_count = v.pending > 0 && ratio > 1.0;
    int32_t n = v.ready + v.missing + (unready_count ? v.pending : 0);

    if (!unready_count && v.missing == 0)
        return tolerated(spec, ratio) ? in->status_replicas : to_replicas(ceil(ratio * v.ready));
    /* Nobody may be missed on the way down; on the way up the missing use nothing. */
    if (ratio < 1.0)
        v.total += (int64_t)v.missing * target;

    double careful = mean_ratio(v.total, n, target);
    int32_t wanted = to_replicas(ceil(careful * n));

    if (tolerated(spec, careful) || (ratio < 1.0 && careful > 1.0) ||
        (ratio > 1.0 && careful < 1.0))
        return in->status_replicas;
    if ((careful < 1.0 && wanted > in->status_replicas) ||
        (careful > 1.0 && wanted < in->status_replicas))
        return in->status_replicas;
    return wanted;
}

static int32_t propose(const struct hpa_spec *spec, const struct hpa_input *in, size_t i)
{
    if (!in->readings[i].valid)
        return NO_PROPOSAL;
    switch (spec->metrics[i].target) {
    case HPA_VALUE:
        return propose_value(spec, in, i);
    case HPA_AVERAGE_VALUE:
        return propose_average(spec, in, i);
    case HPA_PODS:
        return propose_pods(spec, in, i);
    case HPA_TARGET_COUNT_:
        break;
    }
    return NO_PROPOSAL;
}

/* The largest valid proposal; none, or shrinking on part of the metrics alone, is no decision. */
static int32_t largest_proposal(const struct hpa_spec *spec, const struct hpa_input *in)
{
    int32_t largest = NO_PROPOSAL;
    bool broken = false;

    for (size_t i = 0; i < spec->n_metrics; i++) {
        int32_t one = propose(spec, in, i);

        broken = broken || one == NO_PROPOSAL;
        largest = one > largest ? one : largest;
    }
    return broken && largest < in->replicas ? NO_PROPOSAL : largest;
}

/* ---- memory ---- */

static bool within(const struct memory *m, int64_t period_s, struct mono now)
{
    return mono_since_us(m->at, now) < period_s * US_PER_S;
}

/* Keeps what is younger than the longest time that anybody asks for. */
static void remember(struct memories *list, int64_t longest_s, int32_t n, struct mono now)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->n; i++) {
        if (mono_since_us(list->at[i].at, now) <= longest_s * US_PER_S)
            list->at[kept++] = list->at[i];
    }
    list->n = kept;
    VEC_PUSH(list->at, list->n, list->cap, ((struct memory){.at = now, .n = n}));
}

static int64_t sum_within(const struct memories *list, int64_t period_s, struct mono now)
{
    int64_t sum = 0;

    for (size_t i = 0; i < list->n; i++)
        sum += within(&list->at[i], period_s, now) ? list->at[i].n : 0;
    return sum;
}

/* ---- stabilization and limits ---- */

static int32_t min_of(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t max_of(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Without behavior only shrinking is damped; a proposal of exactly the window's age still counts.
 */
static int32_t stabilize_plain(struct hpa *h, int32_t wanted, struct mono now)
{
    int32_t most = wanted;

    for (size_t i = 0; i < h->proposals.n; i++) {
        const struct memory *m = &h->proposals.at[i];

        if (mono_since_us(m->at, now) <= h->spec.down_window_s * US_PER_S)
            most = max_of(most, m->n);
    }
    remember(&h->proposals, h->spec.down_window_s, wanted, now);
    return most;
}

static int32_t stabilize(struct hpa *h, int32_t current, int32_t wanted, struct mono now)
{
    int32_t up = wanted, down = wanted, result = current;

    for (size_t i = 0; i < h->proposals.n; i++) {
        const struct memory *m = &h->proposals.at[i];

        if (within(m, h->spec.up.window_s, now))
            up = min_of(up, m->n);
        if (within(m, h->spec.down.window_s, now))
            down = max_of(down, m->n);
    }
    remember(&h->proposals, max_of(h->spec.up.window_s, h->spec.down.window_s), wanted, now);
    result = max_of(result, up);
    return min_of(result, down);
}

/* What one policy allows; `sign` is 1 for growth and -1 for shrinking. */
static int32_t policy_limit(const struct hpa *h, const struct hpa_policy *p, int sign,
                            int32_t current, struct mono now)
{
    double start = (double)current - (double)sum_within(&h->ups, p->period_s, now) +
                   (double)sum_within(&h->downs, p->period_s, now);
    double share = start * (1.0 + sign * (p->value / 100.0));

    if (p->unit == HPA_UNIT_PODS)
        return to_replicas(start + (double)sign * p->value);
    return sign > 0 ? to_replicas(ceil(share)) : to_replicas(share);
}

/* The loosest limit, or the tightest where `select` says Min; never behind the present count. */
static int32_t limit(const struct hpa *h, const struct hpa_rules *rules, int sign, int32_t current,
                     struct mono now)
{
    if (rules->select == HPA_SELECT_DISABLED)
        return current;

    bool largest = (sign > 0) == (rules->select == HPA_SELECT_MAX);
    int32_t result = policy_limit(h, &rules->policies[0], sign, current, now);

    for (size_t i = 1; i < rules->n_policies; i++) {
        int32_t one = policy_limit(h, &rules->policies[i], sign, current, now);

        result = largest ? max_of(result, one) : min_of(result, one);
    }
    return sign > 0 ? max_of(result, current) : min_of(result, current);
}

static int32_t bounded(const struct hpa *h, int32_t current, int32_t wanted, struct mono now)
{
    if (wanted > current)
        return min_of(wanted, min_of(h->spec.max, limit(h, &h->spec.up, 1, current, now)));
    if (wanted < current)
        return max_of(wanted, max_of(h->spec.min, limit(h, &h->spec.down, -1, current, now)));
    return wanted;
}

/* Without behavior: at most twice as many at a time, or four. */
static int32_t bounded_plain(const struct hpa *h, int32_t current, int32_t wanted)
{
    int32_t doubled = current > INT32_MAX / 2 ? INT32_MAX : current * 2;
    int32_t most = min_of(h->spec.max, max_of(doubled, 4));

    return max_of(h->spec.min, min_of(wanted, most));
}

static int32_t longest_period(const struct hpa_rules *rules)
{
    int32_t longest = 0;

    for (size_t i = 0; i < rules->n_policies; i++)
        longest = max_of(longest, rules->policies[i].period_s);
    return longest;
}

/* Remembers a rescale for the limits of behavior. */
static struct hpa_result conclude(struct hpa *h, int32_t current, int32_t proposal, int32_t wanted,
                                  struct mono now)
{
    struct hpa_result result = {
        .outcome = wanted != current ? HPA_RESCALED : HPA_STEADY,
        .proposal = proposal,
        .replicas = wanted,
    };

    /* Each policy asks both lists, as far back as its own period. */
    int32_t longest = max_of(longest_period(&h->spec.up), longest_period(&h->spec.down));

    if (h->spec.has_behavior && wanted > current)
        remember(&h->ups, longest, wanted - current, now);
    if (h->spec.has_behavior && wanted < current)
        remember(&h->downs, longest, current - wanted, now);
    return result;
}

struct hpa_result hpa_round(struct hpa *h, const struct hpa_input *in, struct mono now)
{
    const struct hpa_spec *spec = &h->spec;
    int32_t current = in->replicas;

    if (h->proposals.n == 0)
        remember(&h->proposals, 0, current, now);
    if (current == 0 && spec->min != 0)
        return (struct hpa_result){.outcome = HPA_DISABLED};
    if (current > spec->max)
        return conclude(h, current, current, spec->max, now);
    if (current < spec->min)
        return conclude(h, current, current, spec->min, now);

    int32_t proposal = largest_proposal(spec, in);

    if (proposal == NO_PROPOSAL)
        return (struct hpa_result){
            .outcome = HPA_NO_METRICS, .proposal = current, .replicas = current};

    int32_t wanted;

    if (spec->has_behavior)
        wanted = bounded(h, current, stabilize(h, current, proposal, now), now);
    else
        wanted = bounded_plain(h, current, stabilize_plain(h, proposal, now));
    return conclude(h, current, proposal, wanted, now);
}
