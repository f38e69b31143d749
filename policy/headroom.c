#include "policy/headroom.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/num.h"
#include "policy/load.h"
#include "policy/peaks.h"
#include "policy/rises.h"
#include "policy/surges.h"

#define TIME_LIMIT_US    (INT64_MAX / 16) /* 18,000 years */
#define SPAN_LIMIT_US    (30 * 24 * 3600 * US_PER_S)
#define CEILING_AFTER_US (3600 * US_PER_S)

enum { PERCENT_LIMIT = 1000, PPM = 1000000, PPM_LIMIT = 10 * PPM, TRIES = 3 /* k */ };

_Static_assert((int)HEADROOM_MAX_SAMPLES == (int)RISES_MAX, "one limit");

/* The highest D of [t - T, t - A], and until when it stays that if D does not change. */
struct recent {
    bool known;
    int64_t peak;
    bool ends;
    struct mono until;
};

/* The rises that earlier surges had where the next would be now, and until when they are these if
 * D does not change. */
struct looked {
    int64_t distance_us; /* p; 0: nobody has looked */
    int64_t rises[TRIES];
    int n;
    int64_t nearest_us; /* what is so long ago may already be a part of them */
    bool ends;
    struct mono until;
};

struct headroom {
    struct headroom_config config;
    bool told;        /* anything: `last` holds its time */
    bool has_demand;  /* since the last gap */
    struct mono last; /* D is in force and the surges are judged up to before it */
    int64_t demand, allocatable;
    struct load load;
    struct recent recent; /* as of `last` */
    struct looked looked;
    int64_t falls_from;   /* the day's peak that */
    struct mono falls_at; /* leaves then, at the earliest */
    struct rises rises;
    int64_t told_milli, told_values; /* by another process; 0: nothing */
    struct surges surges;
    struct peaks peaks;
    uint64_t arrivals, above;
};

static const char *const kind_names[] = {
    [HEADROOM_FIXED] = "fixed", [HEADROOM_CAREFUL] = "careful",   [HEADROOM_USUAL] = "usual",
    [HEADROOM_SURGE] = "surge", [HEADROOM_EXPECTED] = "expected", [HEADROOM_CEILING] = "ceiling",
};
_Static_assert(COUNT_OF(kind_names) == HEADROOM_KIND_COUNT_, "a kind has no name");

static int64_t within(int64_t value, int64_t least, int64_t most)
{
    return max_i64(min_i64(value, most), least);
}

static struct headroom_config clean_config(const struct headroom_config *config)
{
    struct headroom_config c = *config;

    c.actuation_us = within(c.actuation_us, 1, SPAN_LIMIT_US);
    c.settle_us = within(c.settle_us, c.actuation_us, SPAN_LIMIT_US);
    c.max_milli = within(c.max_milli, 0, HEADROOM_MAX_MILLI);
    c.min_milli = within(c.min_milli, 0, c.max_milli);
    c.blocked_ppm = (int32_t)within(c.blocked_ppm, 0, PPM);
    c.samples = (int32_t)within(c.samples, 1, HEADROOM_MAX_SAMPLES);
    c.needed = (int32_t)within(c.needed, 0, c.samples);
    c.surge_percent = (int32_t)within(c.surge_percent, 0, PERCENT_LIMIT);
    c.ceiling_ppm = (int32_t)within(c.ceiling_ppm, 0, PPM_LIMIT);
    c.ceiling_window_us = within(c.ceiling_window_us, PEAKS, 12 * SPAN_LIMIT_US);
    c.jitter_us = within(c.jitter_us, 0, SPAN_LIMIT_US);
    return c;
}

/* Rounded up. */
static int64_t percent_of(int64_t milli, int32_t percent)
{
    return (milli * percent + 99) / 100;
}

static int64_t ppm_of(int64_t milli, int32_t ppm)
{
    return (int64_t)(((__int128)milli * ppm + PPM - 1) / PPM);
}

/* ---- recent demand ---- */

static void keep_earlier(struct mono *until, bool *ends, struct mono at)
{
    if (!*ends || at.us < until->us)
        *until = at;
    *ends = true;
}

static struct recent recent_at(const struct headroom *h, struct mono now)
{
    struct mono from = mono_plus_us(now, -h->config.settle_us);
    struct mono to = mono_plus_us(now, -h->config.actuation_us), at;
    struct recent r = {.known = load_knows(&h->load, to)};

    if (!r.known) {
        if (load_next(&h->load, to, &at))
            keep_earlier(&r.until, &r.ends, mono_plus_us(at, h->config.actuation_us));
        return r;
    }
    r.peak = load_peak_least(&h->load, from, to);
    if (load_next_above(&h->load, to, r.peak, &at))
        keep_earlier(&r.until, &r.ends, mono_plus_us(at, h->config.actuation_us));
    if (load_last_end(&h->load, from, to, r.peak, &at))
        keep_earlier(&r.until, &r.ends, mono_plus_us(at, h->config.settle_us));
    return r;
}

/* u, 0 while it is not known. */
static int64_t rise(const struct headroom *h)
{
    return h->recent.known ? max_i64(0, h->demand - h->recent.peak) : 0;
}

/* Does what another process learned stand in for what was not learned here? */
static bool is_told(const struct headroom *h)
{
    return h->rises.len < (size_t)h->config.needed && h->told_values >= h->config.needed;
}

static size_t values(const struct headroom *h)
{
    return is_told(h) ? (size_t)h->told_values : h->rises.len;
}

static int64_t need(const struct headroom *h)
{
    return is_told(h) ? h->told_milli : rises_need(&h->rises, h->config.blocked_ppm);
}

/* H0 */
static int64_t usual(const struct headroom *h)
{
    const struct headroom_config *c = &h->config;

    if (c->fixed || values(h) < (size_t)c->needed)
        return c->max_milli;
    return max_i64(c->min_milli, min_i64(need(h), c->max_milli));
}

/* ---- time ---- */

static void judge_surge(const struct headroom *h, struct surges *s, struct mono now)
{
    surges_step(s, rise(h) > usual(h), now, h->config.actuation_us, h->config.jitter_us);
}

/* D stays in force from `last` to before `now`: what begins and ends meanwhile is noted at its own
 * time, so that it does not matter when anybody asks. */
static void pass_time(struct headroom *h, struct mono now)
{
    judge_surge(h, &h->surges, h->last);
    peaks_note(&h->peaks, h->last, now, h->demand);
    while (h->recent.ends && h->recent.until.us < now.us) {
        struct mono at = h->recent.until;

        h->recent = recent_at(h, at);
        judge_surge(h, &h->surges, at);
    }
    surges_pass(&h->surges, now, h->config.jitter_us);
    if (h->recent.ends && h->recent.until.us == now.us)
        h->recent = recent_at(h, now);
}

static void advance(struct headroom *h, struct mono now)
{
    now.us = within(now.us, -TIME_LIMIT_US, TIME_LIMIT_US);
    if (h->told && now.us <= h->last.us)
        return;
    if (h->has_demand)
        pass_time(h, now);
    h->told = true;
    h->last = now;
}

static void set_demand(struct headroom *h, int64_t demand_milli)
{
    uint64_t merges = h->load.merges;
    bool changed = !h->has_demand || h->demand != demand_milli;

    h->has_demand = true;
    h->demand = demand_milli;
    if (!changed)
        return;
    load_put(&h->load, h->last, demand_milli);
    if (h->load.merges != merges) {
        h->recent = recent_at(h, h->last);
        h->looked = (struct looked){0};
    }
    /* What was in force may leave the span that is looked at, and what is may enter it. */
    keep_earlier(&h->recent.until, &h->recent.ends, mono_plus_us(h->last, h->config.actuation_us));
    keep_earlier(&h->looked.until, &h->looked.ends, mono_plus_us(h->last, h->looked.nearest_us));
}

/* ---- what is expected ---- */

/* The k-th rise: from the value at `from` to the highest up to `to`. */
struct look {
    struct mono from, to;
};

static int64_t span_us(const struct headroom_config *c)
{
    return 2 * c->jitter_us + c->actuation_us + SURGES_SPREAD_US;
}

/* One earlier rise, and when it will be another one; false if it is not known. */
static bool look_back(const struct headroom *h, int64_t back_us, struct looked *to)
{
    struct look look = {.from = mono_plus_us(h->last, -back_us)};
    struct mono at;

    look.to = mono_plus_us(look.from, min_i64(span_us(&h->config), back_us));
    /* Of what is not known: when it comes to be. */
    if (load_next(&h->load, look.from, &at))
        keep_earlier(&to->until, &to->ends, mono_plus_us(at, back_us));
    if (!load_knows(&h->load, look.from))
        return false;

    int64_t peak = load_peak_most(&h->load, look.from, look.to);

    to->rises[to->n++] = peak - load_least_at(&h->load, look.from);
    if (load_next_most_above(&h->load, look.to, peak, &at))
        keep_earlier(&to->until, &to->ends, mono_plus_us(at, mono_since_us(look.to, h->last)));
    return true;
}

static void look_at_earlier_surges(struct headroom *h, int64_t distance_us)
{
    struct looked *l = &h->looked;
    int64_t nearest_us = distance_us + h->config.jitter_us;

    if (l->distance_us == distance_us && (!l->ends || l->until.us > h->last.us))
        return;
    *l = (struct looked){
        .distance_us = distance_us,
        .nearest_us = nearest_us - min_i64(span_us(&h->config), nearest_us),
    };
    for (int k = 1; k <= TRIES; k++) {
        int64_t back_us = k * distance_us + h->config.jitter_us;

        if (back_us > LOAD_HISTORY_S * US_PER_S || !look_back(h, back_us, l))
            return;
    }
}

/* H_expected, and when it may be another one though D does not change. */
static void expect(struct headroom *h, int64_t distance_us, struct headroom_state *s)
{
    const struct looked *l = &h->looked;
    struct mono from = mono_plus_us(h->last, -2 * h->config.jitter_us), at;
    int64_t arrived = max_i64(0, h->demand - load_most_at(&h->load, from));
    int64_t largest = 0, second = 0;

    look_at_earlier_surges(h, distance_us);
    for (int i = 0; i < l->n; i++) {
        second = max_i64(second, min_i64(l->rises[i], largest));
        largest = max_i64(largest, l->rises[i]);
    }
    s->expected = max_i64(0, second - arrived);
    if (l->ends)
        keep_earlier(&s->wake, &s->has_wake, l->until);
    if (second > 0 && load_next(&h->load, from, &at))
        keep_earlier(&s->wake, &s->has_wake, mono_plus_us(at, mono_since_us(from, h->last)));
}

/* ---- ceiling ---- */

/* When the day's peak may be another one or too little of the day known. What is noted in the
 * meantime only makes that later. */
static struct mono peak_falls(struct headroom *h, int64_t highest, int64_t needed_us)
{
    if (h->falls_from != highest || h->falls_at.us <= h->last.us) {
        h->falls_from = highest;
        h->falls_at = peaks_falls(&h->peaks, h->last, needed_us);
    }
    return h->falls_at;
}

/* Also says when it may become another one, if that would be below `largest` or is now. */
static int64_t ceiling(struct headroom *h, int64_t largest, struct headroom_state *s)
{
    const struct headroom_config *c = &h->config;
    struct peaks_sum sum = peaks_at(&h->peaks, h->last);
    int64_t needed_us = min_i64(CEILING_AFTER_US, c->ceiling_window_us);
    int64_t margin = ppm_of(h->allocatable, c->ceiling_ppm);
    int64_t top = max_i64(sum.highest, h->demand) + margin - h->demand;

    if (margin < largest && (sum.highest > h->demand || top < largest))
        keep_earlier(&s->wake, &s->has_wake, peak_falls(h, sum.highest, needed_us));
    if (sum.known_us >= needed_us)
        return top;
    if (top < largest)
        keep_earlier(&s->wake, &s->has_wake, mono_plus_us(h->last, needed_us - sum.known_us));
    return INT64_MAX;
}

/* ---- public ---- */

struct headroom_config headroom_config_default(void)
{
    return (struct headroom_config){
        .settle_us = 90 * US_PER_S,
        .actuation_us = 11300 * US_PER_MS,
        .blocked_ppm = 5000,
        .samples = 2000,
        .needed = 20,
        .surge_percent = 200,
        .ceiling_ppm = 50000,
        .ceiling_window_us = 24 * 3600 * US_PER_S,
        .jitter_us = 10 * US_PER_S,
    };
}

struct headroom *headroom_new(const struct headroom_config *config)
{
    struct headroom *h = xcalloc(1, sizeof *h);

    h->config = clean_config(config);
    load_init(&h->load, h->config.settle_us + h->config.actuation_us);
    rises_init(&h->rises, (size_t)h->config.samples);
    peaks_init(&h->peaks, h->config.ceiling_window_us);
    h->falls_from = -1; /* none */
    return h;
}

void headroom_free(struct headroom *h)
{
    if (h == NULL)
        return;
    load_done(&h->load);
    rises_done(&h->rises);
    free(h);
}

void headroom_configure(struct headroom *h, const struct headroom_config *config)
{
    struct headroom_config old = h->config;

    h->config = clean_config(config);
    rises_set_max(&h->rises, (size_t)h->config.samples);
    if (h->config.jitter_us != old.jitter_us)
        h->looked = (struct looked){0};
    if (h->config.ceiling_window_us != old.ceiling_window_us) {
        peaks_set_window(&h->peaks, h->config.ceiling_window_us);
        h->falls_at = h->last;
    }
    if (h->config.settle_us == old.settle_us && h->config.actuation_us == old.actuation_us)
        return;
    load_set_fine(&h->load, h->config.settle_us + h->config.actuation_us);
    h->recent = recent_at(h, h->last);
    h->looked = (struct looked){0};
}

void headroom_demand(struct headroom *h, struct mono now, int64_t demand_milli,
                     int64_t allocatable_milli)
{
    advance(h, now);
    h->allocatable = within(allocatable_milli, 0, HEADROOM_MAX_MILLI);
    set_demand(h, within(demand_milli, 0, HEADROOM_MAX_MILLI));
}

int64_t headroom_arrived(struct headroom *h, struct mono now, int64_t demand_milli)
{
    advance(h, now);
    set_demand(h, within(demand_milli, 0, HEADROOM_MAX_MILLI));
    if (!h->recent.known)
        return 0;

    int64_t u = rise(h);

    h->arrivals++;
    h->above += u > usual(h);
    rises_add(&h->rises, u);
    return u;
}

void headroom_gap(struct headroom *h, struct mono now)
{
    now.us = within(now.us, -TIME_LIMIT_US, TIME_LIMIT_US);
    if (h->has_demand)
        judge_surge(h, &h->surges, h->last);
    if (!h->told || now.us > h->last.us)
        h->last = now;
    h->told = true;
    h->has_demand = false;
    load_clear(&h->load);
    surges_forget(&h->surges);
    h->recent = (struct recent){0};
    h->looked = (struct looked){0};
}

const char *headroom_kind_name(enum headroom_kind kind)
{
    return kind_names[kind];
}

static enum headroom_kind kind_of(const struct headroom *h, const struct headroom_state *s)
{
    int64_t largest = max_i64(s->usual, max_i64(s->surge, s->expected));

    if (h->config.fixed)
        return HEADROOM_FIXED;
    if (largest > s->milli)
        return HEADROOM_CEILING;
    if (largest == s->usual)
        return s->values < (size_t)h->config.needed ? HEADROOM_CAREFUL : HEADROOM_USUAL;
    return largest == s->surge ? HEADROOM_SURGE : HEADROOM_EXPECTED;
}

/* H_surge, H_expected and H_top at `last`. */
static void add_the_learned(struct headroom *h, const struct surges *surges,
                            struct headroom_state *s)
{
    int64_t distance_us;

    if (s->rise > s->usual)
        s->surge = percent_of(s->rise, h->config.surge_percent);
    if (h->demand > s->usual && h->recent.ends)
        keep_earlier(&s->wake, &s->has_wake, h->recent.until);
    if (surges_distance(surges, h->config.actuation_us, &distance_us) &&
        distance_us <= LOAD_HISTORY_S * US_PER_S)
        expect(h, distance_us, s);
    s->ceiling = ceiling(h, max_i64(s->usual, max_i64(s->surge, s->expected)), s);
}

void headroom_told(struct headroom *h, int64_t need_milli, int64_t values)
{
    if (values < h->config.needed)
        return;
    h->told_milli = within(need_milli, 0, HEADROOM_MAX_MILLI);
    h->told_values = within(values, 0, HEADROOM_MAX_SAMPLES);
}

struct headroom_state headroom_at(struct headroom *h, struct mono now)
{
    advance(h, now);

    struct headroom_state s = {
        .usual = usual(h),
        .ceiling = INT64_MAX,
        .need = need(h),
        .rise = rise(h),
        .values = values(h),
        .arrivals = h->arrivals,
        .above = h->above,
    };
    struct surges surges = h->surges;

    if (h->has_demand)
        judge_surge(h, &surges, h->last); /* more may be told of this moment */
    s.surges = surges.count;
    s.expected_came = surges.came;
    s.expected_missed = surges.missed;
    s.capped = s.values >= (size_t)h->config.needed && s.usual == h->config.max_milli &&
               s.need > h->config.max_milli;
    if (h->has_demand && !h->config.fixed)
        add_the_learned(h, &surges, &s);
    s.milli = min_i64(s.ceiling, max_i64(s.usual, max_i64(s.surge, s.expected)));
    s.milli = max_i64(s.milli, h->config.fixed ? 0 : h->config.min_milli);
    s.kind = kind_of(h, &s);
    return s;
}
