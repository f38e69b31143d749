#include "policy/controller.h"

#include "base/alloc.h"
#include "base/num.h"

#define FOREIGN_WINDOW_US (FOREIGN_WINDOW_S * US_PER_S)
#define TIME_LIMIT_US     (INT64_MAX / 4) /* 73,000 years */

struct controller {
    struct controller_config config;
    struct settle *settle;
    bool started; /* a first step was made: last holds its time */
    struct mono last;
    bool running;    /* the last step knew its facts: history goes on */
    bool was_paused; /* by annotation, in the last step */
    int64_t ours;    /* the count that the target has as far as we know */
    bool kept;       /* a foreign count is kept until N is no longer kept_at */
    int64_t kept_at;
    struct mono resets[FOREIGN_RESETS]; /* the newest foreign counts, oldest first */
    size_t n_resets;
};

static const char *const reason_names[] = {
    [REASON_STEADY] = "steady", [REASON_HARVEST] = "harvest", [REASON_YIELD] = "yield",
    [REASON_HOLD] = "hold",     [REASON_FOREIGN] = "foreign", [REASON_PAUSED] = "paused",
    [REASON_STALE] = "stale",   [REASON_UNKNOWN] = "unknown",
};
_Static_assert(COUNT_OF(reason_names) == REASON_COUNT_, "a reason has no name");

static const char *const bound_names[] = {
    [BOUND_NONE] = "none",       [BOUND_MAX] = "max",           [BOUND_FIT] = "fit",
    [BOUND_RESERVE] = "reserve", [BOUND_HEADROOM] = "headroom", [BOUND_SETTLE] = "settle",
    [BOUND_MIN] = "min",         [BOUND_STALE] = "stale",       [BOUND_PAUSED] = "paused",
    [BOUND_FOREIGN] = "foreign", [BOUND_SHARE] = "share",       [BOUND_NODE] = "node",
};
_Static_assert(COUNT_OF(bound_names) == BOUND_COUNT_, "a bound has no name");

/* A config whose amounts are not below 0. */
static struct controller_config clean_config(const struct controller_config *config)
{
    return (struct controller_config){
        .min = max_i64(config->min, 0),
        .max = max_i64(config->max, 0),
        .settle = config->settle,
        .stale_shrinks = config->stale_shrinks,
    };
}

static struct controller_facts clean_facts(const struct controller_facts *facts)
{
    struct controller_facts clean = *facts;

    clean.slots = max_i64(facts->slots, 0);
    clean.slots_alone = max_i64(facts->slots_alone, clean.slots);
    clean.slot_milli = max_i64(facts->slot_milli, 0);
    clean.hole_slots = max_i64(facts->hole_slots, 1);
    clean.reserve_milli = max_i64(facts->reserve_milli, 0);
    clean.headroom_milli = max_i64(facts->headroom_milli, 0);
    clean.share = max_i64(facts->share, 0);
    clean.replicas = max_i64(facts->replicas, 0);
    return clean;
}

/* The time of this call: never before the last one's, and so far from the ends that sums cannot
 * overflow. */
static struct mono advance(struct controller *c, struct mono now)
{
    now.us = max_i64(min_i64(now.us, TIME_LIMIT_US), -TIME_LIMIT_US);
    if (!c->started || now.us > c->last.us)
        c->last = now;
    c->started = true;
    return c->last;
}

/*
 * History begins, or begins again after facts were not known: with the replicas found, but not with
 * more than was wanted before, so that nothing that happened unseen can let N rise.
 */
static void start_history(struct controller *c, int64_t replicas, struct mono now)
{
    int64_t before = replicas;

    (void)settle_value(c->settle, &before);
    (void)settle_push(c->settle, now, min_i64(before, replicas));
    c->running = true;
    c->ours = replicas;
    c->kept = false;
}

/* Did somebody else set this count? Takes it for known from now on. */
static bool notice_foreign(struct controller *c, const struct controller_facts *f)
{
    bool foreign = f->replicas != c->ours && !f->late;

    c->ours = f->replicas;
    return foreign;
}

static void note_reset(struct controller *c, struct mono now)
{
    if (c->n_resets == FOREIGN_RESETS) {
        for (size_t i = 1; i < FOREIGN_RESETS; i++)
            c->resets[i - 1] = c->resets[i];
        c->n_resets--;
    }
    c->resets[c->n_resets++] = now;
}

/* Has somebody else set the count so often that growing on would be a quarrel? */
static bool quarrel(const struct controller *c, struct mono now, struct mono *ret_until)
{
    if (c->n_resets < FOREIGN_RESETS)
        return false;

    struct mono first = c->resets[0], newest = c->resets[FOREIGN_RESETS - 1];

    if (mono_since_us(first, newest) > FOREIGN_WINDOW_US ||
        mono_since_us(newest, now) >= FOREIGN_WINDOW_US)
        return false;
    *ret_until = mono_plus_us(newest, FOREIGN_WINDOW_US);
    return true;
}

/*
 * What is pushed. On stale facts nothing above what is wanted and asked for already: N
 * is then at most that, and growth needs T of fresh history afterwards.
 */
static int64_t point_to_push(const struct controller *c, const struct controller_facts *f,
                             int64_t x)
{
    int64_t before = x;

    if (f->fresh)
        return x;
    (void)settle_value(c->settle, &before);
    x = min_i64(min_i64(x, before), f->replicas);
    return c->config.stale_shrinks ? min_i64(x, c->config.min) : x;
}

/* Which part of x's formula decides, where N has come up to it: other fillers only if without them
 * x would be more. */
static enum bound bound_of_set_point(const struct controller *c, const struct controller_facts *f,
                                     const struct decision *d)
{
    int64_t alone = set_point(f->slots_alone, d->kept_slots, c->config.min, c->config.max);

    if (d->set_point == c->config.max)
        return BOUND_MAX;
    if (d->set_point < alone)
        return BOUND_SHARE;
    if (d->set_point == f->slots_alone)
        return BOUND_FIT;
    if (f->slots_alone - min_i64(f->slots_alone, d->kept_slots) < c->config.min)
        return BOUND_MIN;

    int64_t by_reserve = kept_slots(f->reserve_milli, 0, f->slot_milli, f->hole_slots);

    return d->kept_slots > by_reserve ? BOUND_HEADROOM : BOUND_RESERVE;
}

static enum bound bound_of_damped(const struct controller *c, const struct controller_facts *f,
                                  const struct decision *d)
{
    if (d->damped < d->set_point)
        return f->fresh ? BOUND_SETTLE : BOUND_STALE;
    return bound_of_set_point(c, f, d);
}

/* The target asks for less than N: what, if anything, keeps it there? */
static enum reason reason_to_stay_below(const struct controller *c,
                                        const struct controller_facts *f, bool held,
                                        enum bound *ret_bound)
{
    if (f->paused_up) {
        *ret_bound = BOUND_PAUSED;
        return REASON_PAUSED;
    }
    if (!f->fresh || f->cut_off) {
        *ret_bound = BOUND_STALE;
        return f->fresh ? REASON_HOLD : REASON_STALE;
    }
    if (held) {
        *ret_bound = BOUND_FOREIGN;
        return REASON_PAUSED;
    }
    if (c->kept) {
        *ret_bound = BOUND_FOREIGN;
        return REASON_FOREIGN;
    }
    return REASON_HARVEST;
}

static void decide(const struct controller *c, const struct controller_facts *f, bool held,
                   struct decision *d)
{
    d->replicas = f->replicas;
    d->bound = bound_of_damped(c, f, d);
    if (f->replicas > d->damped) {
        d->reason = f->paused_down ? REASON_PAUSED : REASON_YIELD;
        if (f->paused_down)
            d->bound = BOUND_PAUSED;
    } else if (f->replicas < d->damped) {
        d->reason = reason_to_stay_below(c, f, held, &d->bound);
    } else if (!f->fresh) {
        d->reason = REASON_STALE;
    } else {
        d->reason = d->damped < d->set_point ? REASON_HOLD : REASON_STEADY;
    }
    d->write = d->reason == REASON_YIELD || d->reason == REASON_HARVEST;
    if (d->write)
        d->replicas = d->damped;
}

static void ask_again(struct decision *d, struct mono at)
{
    if (!d->has_wake || at.us < d->wake.us)
        d->wake = at;
    d->has_wake = true;
}

const char *reason_name(enum reason reason)
{
    return reason_names[reason];
}

const char *bound_name(enum bound bound)
{
    return bound_names[bound];
}

struct controller *controller_new(const struct controller_config *config)
{
    struct controller *c = xcalloc(1, sizeof *c);

    c->config = clean_config(config);
    c->settle = settle_new(&c->config.settle);
    return c;
}

void controller_free(struct controller *c)
{
    if (c == NULL)
        return;
    settle_free(c->settle);
    free(c);
}

void controller_configure(struct controller *c, const struct controller_config *config)
{
    c->config = clean_config(config);
    settle_configure(c->settle, &c->config.settle);
}

struct decision controller_step(struct controller *c, const struct controller_facts *facts,
                                struct mono now)
{
    struct controller_facts f = clean_facts(facts);
    struct decision d = {.replicas = f.replicas, .reason = REASON_UNKNOWN};
    struct mono until = {0};
    bool foreign = false, held;

    now = advance(c, now);
    if (c->was_paused && !f.paused_up && !f.paused_down)
        c->n_resets = 0;
    c->was_paused = f.paused_up || f.paused_down;
    if (!f.known) {
        c->running = false;
        return d;
    }

    if (c->running)
        foreign = notice_foreign(c, &f);
    else
        start_history(c, f.replicas, now);
    d.slots = f.slots;
    d.kept_slots = kept_slots(f.reserve_milli, f.headroom_milli, f.slot_milli, f.hole_slots);
    d.set_point = set_point(d.slots, d.kept_slots, c->config.min, c->config.max);
    if (f.shared)
        d.set_point = min_i64(d.set_point, f.share);
    d.damped = settle_push(c->settle, now, point_to_push(c, &f, d.set_point));
    if (foreign) {
        c->kept = f.replicas < d.damped;
        c->kept_at = d.damped;
        if (f.replicas != d.damped && !f.inherits)
            note_reset(c, now);
    } else if (d.damped != c->kept_at) {
        c->kept = false;
    }

    held = quarrel(c, now, &until);
    decide(c, &f, held, &d);
    if (settle_next_rise(c->settle, &d.wake))
        d.has_wake = true;
    if (held)
        ask_again(&d, until);
    return d;
}

void controller_wrote(struct controller *c, int64_t replicas, struct mono now)
{
    (void)advance(c, now);
    c->ours = max_i64(replicas, 0);
    c->kept = false;
}

int64_t controller_settle_us(const struct controller *c)
{
    return settle_window_us(c->settle);
}

int64_t kept_slots(int64_t reserve_milli, int64_t headroom_milli, int64_t slot_milli,
                   int64_t hole_slots)
{
    int64_t sum, hole_milli, kept;

    if (slot_milli <= 0)
        return 0;
    hole_slots = max_i64(hole_slots, 1);
    if (__builtin_add_overflow(max_i64(reserve_milli, 0), max_i64(headroom_milli, 0), &sum))
        sum = INT64_MAX;
    if (sum == 0)
        return 0;
    if (__builtin_mul_overflow(slot_milli, hole_slots, &hole_milli))
        return hole_slots; /* one hole is more than all there can be */
    if (__builtin_mul_overflow((sum - 1) / hole_milli + 1, hole_slots, &kept))
        return INT64_MAX;
    return kept;
}

int64_t set_point(int64_t slots, int64_t kept, int64_t min, int64_t max)
{
    return min_i64(min_i64(slots, max), max_i64(min, slots - min_i64(slots, kept)));
}

/* Thousandths, with no more digits than they need. */
static void add_thousandths(struct strbuf *out, int64_t value)
{
    int64_t part = value % 1000;
    int digits = 3;

    (void)strbuf_addf(out, "%lld", (long long)(value / 1000));
    if (part == 0)
        return;
    for (; part % 10 == 0; digits--)
        part /= 10;
    (void)strbuf_addf(out, ".%0*lld", digits, (long long)part);
}

static void add_bound(const struct decision *d, struct strbuf *out)
{
    const struct decision_why *why = &d->why;

    switch (d->bound) {
    case BOUND_HEADROOM:
        (void)strbuf_addf(out, " (%s, ", headroom_kind_name(why->headroom));
        add_thousandths(out, why->headroom_milli);
        (void)strbuf_add(out, SV(" cores)"));
        break;
    case BOUND_RESERVE:
        (void)strbuf_add(out, SV(" ("));
        add_thousandths(out, why->reserve_milli);
        (void)strbuf_add(out, SV(" cores)"));
        break;
    case BOUND_SHARE:
        if (why->taker[0] != '\0')
            (void)strbuf_addf(out, " (%s)", why->taker);
        break;
    case BOUND_SETTLE:
        (void)strbuf_add(out, SV(" ("));
        add_thousandths(out, why->settle_us / US_PER_MS);
        (void)strbuf_add(out, SV(" s"));
        if (d->has_wake) {
            (void)strbuf_add(out, SV(", "));
            add_thousandths(out, max_i64(mono_since_us(why->at, d->wake), 0) / US_PER_MS);
            (void)strbuf_add(out, SV(" s to go"));
        }
        (void)strbuf_add(out, SV(")"));
        break;
    default:
        break;
    }
}

static void add_why(const struct decision *d, struct strbuf *out)
{
    const struct decision_why *why = &d->why;

    add_bound(d, out);
    if (!why->capped)
        return;
    (void)strbuf_add(out, SV("; more than "));
    add_thousandths(out, why->blocked_ppm / 10);
    (void)strbuf_add(out, SV(" % of the paid pods needed more than headroom.max, "));
    add_thousandths(out, why->cap_milli);
    (void)strbuf_add(out, SV(" cores: "));
    add_thousandths(out, why->need_milli);
    (void)strbuf_add(out, SV(" would have met it"));
}

void decision_text(const struct decision *d, int64_t from, struct strbuf *out)
{
    (void)strbuf_addf(out, "%s ", reason_names[d->reason]);
    if (d->write)
        (void)strbuf_addf(out, "%lld -> ", (long long)from);
    (void)strbuf_addf(out, "%lld: ", (long long)d->replicas);
    if (d->reason == REASON_UNKNOWN) {
        (void)strbuf_add(out, SV("the target or its pods' shape is not known"));
        return;
    }
    (void)strbuf_addf(out, "%lld fit, %lld kept free; bound by %s", (long long)d->slots,
                      (long long)d->kept_slots, bound_names[d->bound]);
    if (d->why.known)
        add_why(d, out);
}
