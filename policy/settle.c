#include "policy/settle.h"

#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "policy/damper.h"

#define TIME_LIMIT_US (INT64_MAX / 16)
#define SPAN_LIMIT_US (30 * 24 * 3600 * US_PER_S)
#define MINUTE_US     (60 * US_PER_S)

enum { MINUTES = SETTLE_MEMORY_MIN + 1, FIRST = 2 /* 90 s */ };

static const int64_t tries_us[SETTLE_TRIES] = {
    30 * US_PER_S, 60 * US_PER_S, 90 * US_PER_S, 120 * US_PER_S, 300 * US_PER_S, 900 * US_PER_S,
};

/* What N would be with one T, and what came of it. In pods times microseconds; 128 bits hold every
 * count for a month. */
struct
try {
    struct damper damper;
    struct mono scored;        /* up to here */
    __int128 minutes[MINUTES]; /* by the number of the minute, modulo */
    __int128 score;            /* their sum */
};

struct settle {
    struct settle_config config;
    bool started;
    struct mono start, last;
    int64_t x, value; /* N */
    int64_t minute;   /* the newest that is scored */
    size_t best;
    struct damper fixed; /* one of these two is in use */
    struct try tries[SETTLE_TRIES];
};

static int64_t span(int64_t us)
{
    return max_i64(min_i64(us, SPAN_LIMIT_US), 0);
}

static int64_t try_us(const struct settle_config *config, size_t i)
{
    return max_i64(tries_us[i], 2 * span(config->actuation_us));
}

static int64_t minute_of(struct mono at)
{
    return at.us >= 0 ? at.us / MINUTE_US : -((-at.us + MINUTE_US - 1) / MINUTE_US);
}

/* The beginning of a minute that is not before a time. */
static int64_t ceil_minute(int64_t us)
{
    return minute_of((struct mono){.us = us + MINUTE_US - 1}) * MINUTE_US;
}

static size_t place_of(int64_t minute)
{
    int64_t place = minute % MINUTES;

    return (size_t)(place < 0 ? place + MINUTES : place);
}

/* Forgets the minutes that are out of memory once `minute` is the newest. */
static void roll(struct settle *s, int64_t minute)
{
    for (int64_t m = max_i64(s->minute + 1, minute - MINUTES + 1); m <= minute; m++) {
        for (size_t i = 0; i < SETTLE_TRIES; i++) {
            __int128 *old = &s->tries[i].minutes[place_of(m)];

            s->tries[i].score -= *old;
            *old = 0;
        }
    }
    s->minute = max_i64(s->minute, minute);
}

static void credit(struct settle *s, struct try *t, int64_t minute, __int128 amount)
{
    if (minute <= s->minute - MINUTES)
        return;
    t->minutes[place_of(minute)] += amount;
    t->score += amount;
}

/* N was what the damper has from `scored` until now. */
static void score_until(struct settle *s, struct try *t, struct mono now)
{
    int64_t n = 0;
    int64_t oldest = (s->minute - MINUTES + 1) * MINUTE_US;

    (void)damper_value(&t->damper, &n);
    for (int64_t from = max_i64(t->scored.us, oldest); from < now.us;) {
        int64_t minute = minute_of((struct mono){.us = from});
        int64_t to = min_i64(now.us, (minute + 1) * MINUTE_US);

        credit(s, t, minute, (__int128)n * (to - from));
        from = to;
    }
    t->scored = now;
}

/* Carries the try on to a time up to which x stood. */
static void play_on(struct settle *s, struct try *t, struct mono now)
{
    struct mono rise;

    while (damper_next_rise(&t->damper, &rise) && rise.us < now.us) {
        score_until(s, t, rise);
        (void)damper_push(&t->damper, rise, s->x);
    }
    score_until(s, t, now);
}

static void push_try(struct settle *s, struct try *t, struct mono now, int64_t x)
{
    int64_t before = x;

    play_on(s, t, now);
    (void)damper_value(&t->damper, &before);

    int64_t n = damper_push(&t->damper, now, x);

    if (n < before)
        credit(s, t, minute_of(now), -(__int128)span(s->config.kill_us) * (before - n));
}

/* The first minute's beginning at which an hour is known. */
static int64_t known_from_us(const struct settle *s)
{
    return ceil_minute(s->start.us + SETTLE_MEMORY_MIN * MINUTE_US);
}

/* The best of the scores; before an hour is known the usual T. */
static size_t choose(const struct settle *s, int64_t begin_us)
{
    size_t best = 0;

    if (begin_us < known_from_us(s))
        return FIRST;
    for (size_t i = 1; i < SETTLE_TRIES; i++)
        if (s->tries[i].score >= s->tries[best].score)
            best = i;
    return best;
}

static void start(struct settle *s, struct mono now, int64_t value)
{
    s->started = true;
    s->start = now;
    s->minute = minute_of(now);
    s->value = value;
    s->best = FIRST;
    if (!s->config.automatic)
        (void)damper_push(&s->fixed, now, value);
    for (size_t i = 0; s->config.automatic && i < SETTLE_TRIES; i++) {
        (void)damper_push(&s->tries[i].damper, now, value);
        s->tries[i].scored = now;
    }
}

/* At the beginning of a minute the choice is made anew, whenever in it that comes to be known. */
static void begin_minute(struct settle *s, int64_t minute)
{
    struct mono begin = {.us = minute * MINUTE_US};

    roll(s, minute);
    for (size_t i = 0; i < SETTLE_TRIES; i++)
        play_on(s, &s->tries[i], begin);
    s->best = choose(s, begin.us);
}

static void push_all(struct settle *s, struct mono now, int64_t x)
{
    int64_t best = 0;

    if (minute_of(now) > s->minute)
        begin_minute(s, minute_of(now));
    for (size_t i = 0; i < SETTLE_TRIES; i++)
        push_try(s, &s->tries[i], now, x);
    (void)damper_value(&s->tries[s->best].damper, &best);
    s->value = max_i64(best, min_i64(s->value, x));
}

static void forget(struct settle *s)
{
    damper_done(&s->fixed);
    for (size_t i = 0; i < SETTLE_TRIES; i++) {
        damper_done(&s->tries[i].damper);
        s->tries[i] = (struct try){0};
    }
}

static void set_windows(struct settle *s)
{
    damper_set_window(&s->fixed, settle_least_us(&s->config));
    for (size_t i = 0; i < SETTLE_TRIES; i++)
        damper_set_window(&s->tries[i].damper, try_us(&s->config, i));
}

int64_t settle_least_us(const struct settle_config *config)
{
    if (config->automatic)
        return try_us(config, 0);
    return max_i64(span(config->settle_us), 2 * span(config->actuation_us));
}

struct settle *settle_new(const struct settle_config *config)
{
    struct settle *s = xcalloc(1, sizeof *s);

    s->config = *config;
    set_windows(s);
    return s;
}

void settle_free(struct settle *s)
{
    if (s == NULL)
        return;
    forget(s);
    free(s);
}

void settle_configure(struct settle *s, const struct settle_config *config)
{
    bool other_mode = config->automatic != s->config.automatic;

    s->config = *config;
    if (other_mode)
        forget(s);
    set_windows(s);
    if (!other_mode || !s->started)
        return;
    start(s, s->last, s->value);
    (void)settle_push(s, s->last, s->x);
}

int64_t settle_push(struct settle *s, struct mono now, int64_t x)
{
    now.us = max_i64(min_i64(now.us, TIME_LIMIT_US), -TIME_LIMIT_US);
    if (!s->started || now.us > s->last.us)
        s->last = now;
    if (!s->started)
        start(s, s->last, x);
    if (s->config.automatic)
        push_all(s, s->last, x);
    else
        s->value = damper_push(&s->fixed, s->last, x);
    s->x = x;
    return s->value;
}

bool settle_value(const struct settle *s, int64_t *ret_value)
{
    if (!s->started)
        return false;
    *ret_value = s->value;
    return true;
}

/* When the choice may first fall on a try that has more than N by then; INT64_MAX: never. */
static int64_t next_choice_us(const struct settle *s, size_t i)
{
    int64_t n = s->value, from = max_i64((s->minute + 1) * MINUTE_US, known_from_us(s));
    struct mono rise;

    (void)damper_value(&s->tries[i].damper, &n);
    if (n > s->value)
        return from;
    /* It may be chosen at any minute before its rise, and rise in the middle of one. */
    return damper_next_rise(&s->tries[i].damper, &rise) ? max_i64(rise.us, from) : INT64_MAX;
}

bool settle_next_rise(const struct settle *s, struct mono *ret_at)
{
    struct mono rise;
    int64_t at = INT64_MAX;

    if (!s->config.automatic)
        return damper_next_rise(&s->fixed, ret_at);
    if (s->value >= s->x)
        return false;
    if (damper_next_rise(&s->tries[s->best].damper, &rise))
        at = rise.us;
    for (size_t i = 0; i < SETTLE_TRIES; i++)
        at = i != s->best ? min_i64(at, next_choice_us(s, i)) : at;
    if (at == INT64_MAX)
        return false;
    *ret_at = (struct mono){.us = at};
    return true;
}

int64_t settle_window_us(const struct settle *s)
{
    return s->config.automatic ? try_us(&s->config, s->best) : settle_least_us(&s->config);
}

int64_t settle_try_us(const struct settle *s, size_t i)
{
    return try_us(&s->config, i);
}

double settle_score(const struct settle *s, size_t i)
{
    return (double)s->tries[i].score;
}
