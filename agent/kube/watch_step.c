#include "agent/kube/watch_step.h"

#include "base/num.h"

/* Back-off of the reference client (client-go, reflector.go). */
#define BACKOFF_FIRST_US  (800 * US_PER_MS)
#define BACKOFF_MAX_US    (30 * US_PER_S)
#define BACKOFF_RESET_US  (120 * US_PER_S)
#define FORBIDDEN_WAIT_US (30 * US_PER_S)
#define TOO_LARGE_WAIT_US (1 * US_PER_S)
#define RETRY_AFTER_MAX_S 300
/* What is ordinary once is a server in trouble when it happens again so soon: servers that are replaced one by one take longer. */
#define AGAIN_US (10 * US_PER_S)
/* A stream that ends sooner is a server in trouble rather than a timeout: at once without an event, else the second time. */
#define STREAM_SHORT_US (1 * US_PER_S)
/*
 * A server that has just started refuses everybody until it has read its roles: the first refusals are answered by the
 * ordinary back-off. Only from this many in a row on is it taken for a right that is missing.
 */
enum { FORBIDDEN_FOR_GOOD = 4 };
/* How often a stream may fail with an error of the server's before a list is tried instead. */
enum { STREAM_FAILURES = 3 };
/* How often a page behind the first may fail so before the list is begun anew: its token may be what does not please. */
enum { PAGE_FAILURES = 3 };
/* How often the initial events may break off in the middle before pages, which are resumed, do it. */
enum { INITIAL_FAILURES = 3 };

static const char *const state_names[] = {
    [WATCH_OFF] = "off",
    [WATCH_LIST] = "list",
    [WATCH_INITIAL] = "initial",
    [WATCH_STREAM] = "stream",
    [WATCH_PROBE] = "probe",
    [WATCH_LIST_LATER] = "list-later",
    [WATCH_STREAM_LATER] = "stream-later",
};
_Static_assert(COUNT_OF(state_names) == WATCH_STATE_COUNT_, "a state has no name");

const char *watch_state_name(enum watch_state state)
{
    return state_names[state];
}

/* ---- time and chance ---- */

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t random_next(struct watch_step *s)
{
    uint64_t z = s->random += 0x9e3779b97f4a7c15ULL;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

int64_t watch_step_chance(struct watch_step *s, int64_t limit)
{
    return (int64_t)(random_next(s) % (uint64_t)limit);
}

/* The back-off after so many failures before this one. */
static int64_t doubled(struct watch_step *s, uint32_t failures)
{
    int64_t us = BACKOFF_FIRST_US;

    for (uint32_t i = 0; i < failures && us < BACKOFF_MAX_US; i++)
        us *= 2;
    if (us > BACKOFF_MAX_US)
        us = BACKOFF_MAX_US;
    return us + watch_step_chance(s, us + 1);
}

static int64_t backoff(struct watch_step *s)
{
    if (s->failures != 0 && mono_since_us(s->failed_at, s->now) >= BACKOFF_RESET_US)
        s->failures = 0;
    s->failed_at = s->now;
    return doubled(s, s->failures++);
}

static int64_t wait_if_again(struct watch_step *s, struct mono *last)
{
    bool again = last->us != 0 && mono_since_us(*last, s->now) < AGAIN_US;

    *last = s->now;
    return again ? backoff(s) : 0;
}

/* From 0.8 s on whatever failed before: the server is there again. */
static int64_t forbidden_wait(struct watch_step *s)
{
    return ++s->forbidden < FORBIDDEN_FOR_GOOD ? doubled(s, s->forbidden - 1) : FORBIDDEN_WAIT_US;
}

static int64_t told_us(int retry_after_s, int64_t otherwise_us)
{
    if (retry_after_s <= 0)
        return otherwise_us;
    return (retry_after_s < RETRY_AFTER_MAX_S ? retry_after_s : RETRY_AFTER_MAX_S) * US_PER_S;
}

/* ---- moves ---- */

/* Nothing came since a server refused something. */
static bool absent(const struct watch_step *s, struct mono refused_at)
{
    struct mono last = {.us = max_i64(s->heard.us, refused_at.us)};

    return mono_since_us(last, s->now) >= WATCH_ABSENCE_US;
}

/* Who answers next may be another one. */
static void forget_refusals(struct watch_step *s)
{
    if (s->refused && absent(s, s->refused_at))
        s->refused = false;
    if (s->json_only && absent(s, s->json_only_at))
        s->json_only = false;
}

static void give_up_initial(struct watch_step *s)
{
    s->refused = true;
    s->refused_at = s->now;
    s->initial_failures = 0;
    s->refusals++;
}

static void forget_pages(struct watch_step *s)
{
    s->resumes = false;
    s->page_failures = 0;
}

/* A list from its beginning, or, where it has got somewhere, its next page. */
static struct watch_move list(struct watch_step *s)
{
    bool resumes = s->resumes;

    forget_refusals(s);
    if (!resumes && s->asks_initial && !s->refused && !s->json_only) {
        s->state = WATCH_INITIAL;
        return (struct watch_move){.action = WATCH_DO_INITIAL};
    }
    s->state = WATCH_LIST;
    return (struct watch_move){.action = resumes ? WATCH_DO_LIST_NEXT : WATCH_DO_LIST_FIRST};
}

static struct watch_move list_anew(struct watch_step *s, int64_t wait_us)
{
    s->anew = true;
    forget_pages(s);
    s->too_large = 0;
    s->stream_failures = 0;
    if (wait_us <= 0)
        return list(s);
    s->state = WATCH_LIST_LATER;
    return (struct watch_move){.action = WATCH_DO_WAIT, .wait_us = wait_us};
}

bool watch_step_lists(const struct watch_step *s)
{
    return s->state == WATCH_LIST || s->state == WATCH_INITIAL;
}

/* Goes on later with what was under way. */
static struct watch_move later(struct watch_step *s, int64_t wait_us)
{
    s->state = watch_step_lists(s) ? WATCH_LIST_LATER : WATCH_STREAM_LATER;
    return (struct watch_move){.action = WATCH_DO_WAIT, .wait_us = wait_us};
}

static struct watch_move stream(struct watch_step *s)
{
    forget_refusals(s);
    s->doubted = s->state == WATCH_STREAM || s->state == WATCH_STREAM_LATER;
    s->state = WATCH_STREAM;
    return (struct watch_move){.action = WATCH_DO_STREAM};
}

static struct watch_move timer_fired(struct watch_step *s)
{
    switch (s->state) {
    case WATCH_LIST_LATER:
        return list(s);
    case WATCH_STREAM_LATER:
        return stream(s);
    case WATCH_STREAM:
        s->state = WATCH_PROBE;
        return (struct watch_move){.action = WATCH_DO_PROBE};
    case WATCH_OFF:
    case WATCH_LIST:
    case WATCH_INITIAL:
    case WATCH_PROBE:
    case WATCH_STATE_COUNT_:
        break;
    }
    return (struct watch_move){.action = WATCH_DO_NOTHING};
}

/* How long to wait for the next one behind a stream that has ended in peace. */
static int64_t wait_after_stream(struct watch_step *s)
{
    if (mono_since_us(s->begun, s->now) >= STREAM_SHORT_US)
        return 0;
    return s->heard_events == 0 ? backoff(s) : wait_if_again(s, &s->short_at);
}

/* The probe says that there was more, and no stream has told of anything for long: streams cannot be relied on. */
static bool unproven(const struct watch_step *s)
{
    return s->state == WATCH_PROBE && s->moved_on &&
           mono_since_us(s->told, s->now) >= WATCH_UNPROVEN_US;
}

static struct watch_move completed(struct watch_step *s)
{
    bool was_list = s->state == WATCH_LIST;
    struct watch_move m;

    s->too_large = s->page_failures = 0;
    if (s->state == WATCH_STREAM) {
        int64_t wait_us = wait_after_stream(s);

        if (wait_us != 0)
            return later(s, wait_us);
        s->stream_failures = 0;
    }
    if (unproven(s)) {
        s->resumes = false;
        return list(s);
    }
    m = stream(s);
    m.synced = was_list;
    return m;
}

static struct watch_move marked(struct watch_step *s)
{
    s->doubted = false;
    s->state = WATCH_STREAM;
    s->too_large = 0;
    s->initial_failures = 0;
    return (struct watch_move){.action = WATCH_DO_FOLLOW, .synced = true};
}

static struct watch_move refuse(struct watch_step *s)
{
    give_up_initial(s);
    return list(s);
}

/* A list that must not be older than what is known. */
static struct watch_move list_later(struct watch_step *s, int64_t wait_us)
{
    forget_pages(s);
    s->state = WATCH_LIST_LATER;
    return (struct watch_move){.action = WATCH_DO_WAIT, .wait_us = wait_us};
}

/* A stream that the server breaks again and again: a list may do better. It must not be older than what is known.
 * Likewise a page: the list's beginning may. */
static struct watch_move failed(struct watch_step *s, const struct client_problem *problem)
{
    bool reached = problem->err.kind != ERR_NETWORK && problem->err.kind != ERR_AUTH;
    bool broke_off = s->state == WATCH_INITIAL && s->answers;
    bool paged = s->state == WATCH_LIST && s->resumes;
    struct watch_move m = later(s, backoff(s));

    if (paged && reached && ++s->page_failures >= PAGE_FAILURES)
        forget_pages(s);
    if (broke_off && ++s->initial_failures >= INITIAL_FAILURES)
        give_up_initial(s);
    if (s->state == WATCH_STREAM_LATER && reached && ++s->stream_failures >= STREAM_FAILURES) {
        s->stream_failures = 0;
        s->resumes = false;
        s->state = WATCH_LIST_LATER;
    }
    return m;
}

/* Only a list tells when the server has caught up: a stream would just be silent. */
static struct watch_move too_large(struct watch_step *s, int64_t wait_us)
{
    if (++s->too_large > WATCH_TOO_LARGE_TRIES)
        return list_anew(s, wait_us);
    s->resumes = false;
    s->state = WATCH_LIST;
    return later(s, wait_us);
}

struct watch_move watch_step(struct watch_step *s, enum watch_input in,
                             const struct client_problem *problem, struct mono now)
{
    int retry_after_s = problem != NULL ? problem->retry_after_s : -1;

    s->now = now;
    if (in == WATCH_IN_STOP) {
        s->state = WATCH_OFF;
        return (struct watch_move){.action = WATCH_DO_CANCEL};
    }
    switch (in) {
    case WATCH_IN_START:
        return s->state == WATCH_OFF ? list_anew(s, 0)
                                     : (struct watch_move){.action = WATCH_DO_NOTHING};
    case WATCH_IN_STOP:
        break;
    case WATCH_IN_TIMER:
        return timer_fired(s);
    case WATCH_IN_PAGE:
        s->page_failures = 0;
        return list(s);
    case WATCH_IN_COMPLETE:
        return completed(s);
    case WATCH_IN_MARKED:
        return marked(s);
    case WATCH_IN_REFUSED:
        return refuse(s);
    case WATCH_IN_MUTE:
        return list_later(s, backoff(s));
    case WATCH_IN_GONE:
        return list_anew(s, wait_if_again(s, &s->gone_at));
    case WATCH_IN_TOO_LARGE:
        return too_large(s, told_us(retry_after_s, TOO_LARGE_WAIT_US));
    case WATCH_IN_TOLD_TO_WAIT:
        return later(s, told_us(retry_after_s, 0) > 0 ? told_us(retry_after_s, 0) : backoff(s));
    case WATCH_IN_FORBIDDEN:
        return later(s, forbidden_wait(s));
    case WATCH_IN_NOT_ACCEPTABLE:
        if (s->json_only)
            return failed(s, problem);
        s->json_only = true;
        s->json_only_at = s->now;
        return watch_step_lists(s) ? list(s) : stream(s);
    case WATCH_IN_FAILED:
        return failed(s, problem);
    }
    return (struct watch_move){.action = WATCH_DO_NOTHING};
}
