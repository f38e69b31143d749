#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "storage/blocked.h"
#include "storage/report_gather.h"

/* ---- decisions ---- */

void report_keep_length(struct report_lengths *lengths, size_t piece, int64_t length, int64_t n)
{
    if (lengths->n < REPORT_KEEP_LENGTHS)
        VEC_PUSH(lengths->at, lengths->n, lengths->cap,
                 ((struct report_length){.length = length, .n = n, .piece = piece}));
}

/* Directions that come after those the piece has. */
void report_join_ways(struct report_row *piece, int first_way, int last_way)
{
    if (first_way == 0)
        return;
    piece->reversals += piece->last_way == -first_way;
    piece->first_way = piece->first_way == 0 ? first_way : piece->first_way;
    piece->last_way = last_way;
}

static bool take_decision(void *self, const struct decision_entry *d)
{
    struct report *r = self;
    struct report_row *piece = report_piece_at(r, d->t_ms);
    int64_t change = d->at[DECISION_REPLICAS] - d->at[DECISION_BEFORE];
    int64_t latency_us = d->at[DECISION_LATENCY];
    int way = (change > 0) - (change < 0);

    if (piece == NULL)
        return true;
    if (latency_us > 0) {
        report_keep_length(&r->latencies, (size_t)(piece - r->pieces), latency_us, 1);
        piece->latency_max_us = max_i64(piece->latency_max_us, latency_us);
    }
    piece->yields += strcmp(d->reason, "yield") == 0;
    piece->harvests += strcmp(d->reason, "harvest") == 0;
    report_join_ways(piece, way, way);
    return true;
}

bool report_count_decisions(struct history *h, struct report *r, int64_t from_ms, int64_t to_ms,
                            struct err *err)
{
    const struct decisions_filter filter = {.policy = sv_from(r->policy),
                                            .from_ms = max_i64(from_ms, r->query.since_ms),
                                            .until_ms = min_i64(to_ms, r->query.until_ms),
                                            .oldest_first = true};

    return filter.from_ms >= filter.until_ms ||
           decisions_each(h->decisions, &filter, take_decision, r, err);
}

/* ---- the event journal ---- */

void report_keep_wait(struct report *r, const struct report_wait *wait)
{
    int64_t ms = wait->until_ms - wait->created_ms;
    size_t at = REPORT_KEEP_WAITS - 1;

    if (r->n_waits < REPORT_KEEP_WAITS)
        at = r->n_waits++;
    else if (r->waits[at].until_ms - r->waits[at].created_ms >= ms)
        return;
    for (; at > 0 && r->waits[at - 1].until_ms - r->waits[at - 1].created_ms < ms; at--)
        r->waits[at] = r->waits[at - 1];
    r->waits[at] = *wait;
}

static size_t wait_bucket(int64_t ms)
{
    static const int64_t steps_ms[] = REPORT_WAIT_STEPS_MS;
    size_t i = 0;

    _Static_assert(COUNT_OF(steps_ms) + 1 == REPORT_WAIT_BUCKETS, "one bucket is beyond the last");
    while (i < COUNT_OF(steps_ms) && ms > steps_ms[i])
        i++;
    return i;
}

/* One of those that were blocked in this piece, which may be its longest. */
void report_show_wait(struct report *r, struct report_row *piece, const struct report_wait *wait)
{
    int64_t wait_ms = wait->until_ms - wait->created_ms;

    if (wait_ms >= piece->longest_wait_ms) {
        piece->longest_wait_ms = wait_ms;
        piece->longest = *wait;
    }
    report_keep_wait(r, wait);
}

/*
 * The least that paid pods asked for in each second of the last REPORT_RISE_MS: of those only that are less than what came later,
 * the oldest first, so that adding is O(1) amortised.
 */
enum { RISE_SECONDS = REPORT_RISE_MS / 1000 + 2 };

struct rise {
    struct {
        int64_t second, least_milli;
    } at[RISE_SECONDS];
    size_t first, n; /* a ring */
};

static size_t rise_place(const struct rise *r, size_t i)
{
    return (r->first + i) % RISE_SECONDS;
}

/* How far demand stands above the least of the last REPORT_RISE_MS; times that fall begin anew. */
static int64_t rise_by(struct rise *r, int64_t t_ms, int64_t demand_milli)
{
    int64_t second = t_ms / 1000, oldest = second - REPORT_RISE_MS / 1000;

    if (r->n != 0 && r->at[rise_place(r, r->n - 1)].second > second)
        r->n = 0;
    while (r->n != 0 && r->at[rise_place(r, 0)].second < oldest) {
        r->first = rise_place(r, 1);
        r->n--;
    }
    while (r->n != 0 && r->at[rise_place(r, r->n - 1)].least_milli >= demand_milli)
        r->n--;
    if (r->n == 0 || r->at[rise_place(r, r->n - 1)].second != second) {
        size_t at = rise_place(r, r->n++);

        r->at[at].second = second;
        r->at[at].least_milli = demand_milli;
    }
    return demand_milli - r->at[rise_place(r, 0)].least_milli;
}

struct events {
    struct report *report;
    int64_t from_ms, to_ms; /* what is not in between counts in nothing */
    struct blocked *blocked;
    struct blocked_sums sums; /* since last_ms */
    int64_t last_ms;
    struct rise rise;
};

/* The piece of a time that counts. */
static struct report_row *counted_at(const struct events *ev, int64_t t_ms)
{
    return t_ms >= ev->from_ms && t_ms < ev->to_ms ? report_piece_at(ev->report, t_ms) : NULL;
}

static void take_blocked(void *self, const struct blocked_pod *pod)
{
    const struct events *ev = self;
    struct report_row *piece = counted_at(ev, pod->reported_ms);
    struct report_wait wait = {.created_ms = pod->created_ms,
                               .reported_ms = pod->reported_ms,
                               .until_ms = max_i64(pod->until_ms, pod->created_ms),
                               .cpu_milli = pod->cpu_milli,
                               .bound = pod->bound,
                               .waits = pod->waits};
    int64_t wait_ms = wait.until_ms - wait.created_ms;

    if (piece == NULL)
        return;
    piece->blocked++;
    report_add(&piece->wait_ms, wait_ms);
    piece->wait_buckets[wait_bucket(wait_ms)]++;
    report_keep_length(&ev->report->lengths_of_waits, (size_t)(piece - ev->report->pieces), wait_ms,
                       1);
    report_show_wait(ev->report, piece, &wait);
}

/* What the nodes were since the last event. */
static void spread_nodes(struct events *ev, int64_t until_ms)
{
    const struct report_query *q = &ev->report->query;
    int64_t from_ms = max_i64(ev->last_ms, max_i64(ev->from_ms, q->since_ms));
    struct report_row *piece;

    until_ms = min_i64(until_ms, min_i64(ev->to_ms, q->until_ms));
    if (from_ms >= until_ms || ev->sums.nodes == 0)
        return;
    for (piece = report_piece_at(ev->report, from_ms); from_ms < until_ms; piece++) {
        int64_t end_ms = min_i64(piece->until_ms, until_ms);

        piece->nodes = max_i64(piece->nodes, ev->sums.nodes);
        report_add(&piece->lone, report_area(ev->sums.lone_milli, end_ms - from_ms));
        from_ms = end_ms;
    }
}

static void count_event(const struct events *ev, const struct event *e)
{
    struct report_row *piece = counted_at(ev, e->t_ms);
    bool pod = e->shape != NULL && e->kind >= EVENT_POD_FOUND;

    if (piece == NULL || !pod)
        return;
    piece->pods += e->kind == EVENT_POD_CREATED && !e->shape->filler;
    piece->starts += e->kind == EVENT_POD_BOUND && e->shape->filler;
    piece->stops += e->kind == EVENT_POD_GONE && e->shape->filler && e->node.len != 0;
}

/* What is found was there before: growth is told by what comes after it. */
static void note_rise(struct events *ev, const struct event *e)
{
    struct report_row *piece;
    int64_t rise;

    if (e->kind == EVENT_GAP || e->kind == EVENT_POD_FOUND) {
        ev->rise.n = 0;
        return;
    }
    rise = rise_by(&ev->rise, e->t_ms, ev->sums.demand_milli);
    piece = counted_at(ev, e->t_ms);
    if (piece != NULL)
        piece->rise_milli = max_i64(piece->rise_milli, rise);
}

/* Where everything is told anew, nobody knows what was since the last event. */
static bool take_event(void *self, const struct event *e)
{
    struct events *ev = self;

    if (e->kind != EVENT_GAP || !e->resets)
        spread_nodes(ev, e->t_ms);
    blocked_event(ev->blocked, e);
    ev->sums = blocked_sums(ev->blocked);
    ev->last_ms = e->t_ms;
    note_rise(ev, e);
    count_event(ev, e);
    /* What comes then tells of nothing but how waits ended. */
    return e->t_ms < ev->to_ms || ev->sums.waiting != 0;
}

bool report_count_events(struct history *h, struct report *r, const struct report_events *range,
                         struct err *err)
{
    struct events events = {.report = r, .from_ms = range->from_ms, .to_ms = range->to_ms};
    int64_t damaged;
    bool ok;

    events.blocked = blocked_new(take_blocked, &events);
    ok =
        chunks_read(h->chunks, range->read_ms, range->until_ms, take_event, &events, &damaged, err);
    if (ok) {
        r->damaged_chunks = max_i64(r->damaged_chunks, damaged);
        spread_nodes(&events, range->spread_ms);
        blocked_finish(events.blocked, range->until_ms);
    }
    blocked_free(events.blocked);
    return ok;
}
