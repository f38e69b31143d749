#include "agent/prom/scrapes.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/num.h"
#include "storage/report_gather.h"

#define UNKNOWN SAMPLE_UNKNOWN
/* No time is later, so that none overflows: the year 2255. */
#define MAX_TIME_MS INT64_C(9000000000000)

enum { HOLD_INTERVALS = SAMPLES_HOLD_MS / SAMPLES_STEP_MS, MEASURED = 63 };
enum { LATE_PART = 16 }; /* scrapes may be a 16th of the interval early */

enum field {
    ALLOCATABLE, /* thousandths, up to HEADROOM */
    PAID,
    PENDING,
    READY,
    STARTING,
    LEAVING,
    KEPT,
    RESERVED,
    HEADROOM,
    DESIRED,
    NODES,
    ALIVE,  /* stands in each scrape, whatever the agent knows */
    YIELDS, /* counters */
    HARVESTS,
    PODS,
    BLOCKED,
    FIELD_COUNT
};
enum { FIRST_COUNTER = YIELDS, COUNTERS = FIELD_COUNT - FIRST_COUNTER };

static const struct {
    const char *metric, *label, *value;
} names[] = {
    [ALLOCATABLE] = {"cpu_capacity_allocatable", NULL, NULL},
    [PAID] = {"cpu_capacity_requested", NULL, NULL},
    [PENDING] = {"cpu_capacity_pending", NULL, NULL},
    [READY] = {"brim_filler_cores", "state", "ready"},
    [STARTING] = {"brim_filler_cores", "state", "starting"},
    [LEAVING] = {"brim_filler_cores", "state", "leaving"},
    [KEPT] = {"brim_kept_cores", NULL, NULL},
    [RESERVED] = {"cpu_capacity_reserved", NULL, NULL},
    [HEADROOM] = {"brim_headroom_cores", NULL, NULL},
    [DESIRED] = {"brim_desired_replicas", NULL, NULL},
    [NODES] = {"brim_nodes", NULL, NULL},
    [ALIVE] = {"brim_build_info", NULL, NULL},
    [YIELDS] = {"brim_decisions_total", "reason", "yield"},
    [HARVESTS] = {"brim_decisions_total", "reason", "harvest"},
    [PODS] = {"brim_paid_pods_total", NULL, NULL},
    [BLOCKED] = {"brim_paid_pods_blocked_total", NULL, NULL},
};
_Static_assert(COUNT_OF(names) == FIELD_COUNT, "a field has no series");

/* Labels of metrics, not of who was scraped. */
static const char *const own_labels[] = {"__name__", "policy", "state",
                                         "kind",     "reason", "version"};

struct point {
    int64_t t_ms, value;
    uint32_t feed, field;
};

struct feed {
    uint64_t id;
    uint32_t cluster;
    bool seen;
    int64_t last_ms, interval_ms;
    int64_t told_ms;            /* the last scrape that told the room; 0: none */
    int64_t steps_ms[MEASURED]; /* between the first scrapes of the window */
    size_t n_steps;
    int64_t counter[COUNTERS]; /* as last told, or UNKNOWN */
    int64_t grown[COUNTERS];   /* since a scrape of its cluster counted */
};

struct cluster {
    char *name;
    bool follows, on;
    uint32_t followed; /* a feed */
    int64_t last_ms;   /* its last scrape */
    int64_t until_ms;  /* while on: how long the level holds */
    int64_t since_ms;  /* … and from when it is not in the total yet */
    int64_t desired;   /* as last told, or UNKNOWN */
    int direction;     /* of the last change of it */
    struct report_level level;
    struct report_row total;
};

struct scrapes {
    struct report *report;
    struct sv label;
    int64_t step_ms;
    struct feed *feeds;
    size_t n_feeds, cap_feeds;
    struct map by_id;
    struct cluster *clusters;
    size_t n_clusters, cap_clusters;
    struct point *points;
    size_t n_points, cap_points;
    struct report_level level; /* of all clusters */
    int64_t on;                /* clusters in it */
    int64_t now_ms;            /* up to when it is in the pieces */
    struct report_scrapes found;
};

static uint64_t feed_hash(const void *self, uint32_t index)
{
    return ((const struct scrapes *)self)->feeds[index].id;
}

static bool feed_equal(const void *self, uint32_t index, const void *key)
{
    return ((const struct scrapes *)self)->feeds[index].id == *(const uint64_t *)key;
}

static const struct map_ops feed_ops = {.hash = feed_hash, .equal = feed_equal};

struct scrapes *scrapes_new(struct report *r, struct sv label, int64_t step_ms)
{
    struct scrapes *s = xcalloc(1, sizeof *s);

    s->report = r;
    s->label = label;
    s->step_ms = step_ms;
    s->now_ms = INT64_MIN;
    map_init(&s->by_id, &feed_ops, s);
    return s;
}

void scrapes_free(struct scrapes *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n_clusters; i++)
        free(s->clusters[i].name);
    map_done(&s->by_id);
    free(s->clusters);
    free(s->feeds);
    free(s->points);
    free(s);
}

/* ---- series ---- */

static bool find_field(const struct promread_series *series, uint32_t *ret_field)
{
    struct sv name = promread_label(series, "__name__");

    for (uint32_t f = 0; f < FIELD_COUNT; f++) {
        if (sv_eq(name, sv_from(names[f].metric)) &&
            (names[f].label == NULL ||
             sv_eq(promread_label(series, names[f].label), sv_from(names[f].value)))) {
            *ret_field = f;
            return true;
        }
    }
    return false;
}

static bool is_own(struct sv label)
{
    for (size_t i = 0; i < COUNT_OF(own_labels); i++) {
        if (sv_eq(label, sv_from(own_labels[i])))
            return true;
    }
    return false;
}

/* Whatever the order of the labels. */
static uint64_t feed_id(const struct promread_series *series)
{
    uint64_t id = 0;

    for (size_t i = 0; i < series->n_labels; i++) {
        const struct promread_label *l = &series->labels[i];

        if (!is_own(l->name))
            id += (sv_hash(l->name) * UINT64_C(0x9e3779b97f4a7c15)) ^ sv_hash(l->value);
    }
    return id;
}

static bool cluster_at(struct scrapes *s, struct sv name, uint32_t *ret_cluster, struct err *err)
{
    const struct cluster fresh = {.desired = UNKNOWN};

    for (uint32_t i = 0; i < s->n_clusters; i++) {
        if (sv_eq(sv_from(s->clusters[i].name), name)) {
            *ret_cluster = i;
            return true;
        }
    }
    if (s->n_clusters == REPORT_MAX_CLUSTERS)
        return err_set(err, ERR_LIMIT, 0, "found more than %d values of the label %.*s",
                       REPORT_MAX_CLUSTERS, SV_ARG(s->label));
    *ret_cluster = (uint32_t)s->n_clusters;
    VEC_PUSH(s->clusters, s->n_clusters, s->cap_clusters, fresh);
    s->clusters[*ret_cluster].name = sv_dup(name);
    return true;
}

bool scrapes_expect(struct scrapes *s, struct sv cluster, struct err *err)
{
    uint32_t at;

    return cluster_at(s, cluster, &at, err);
}

static bool feed_at(struct scrapes *s, const struct promread_series *series, uint32_t *ret_feed,
                    struct err *err)
{
    struct feed fresh = {.id = feed_id(series)};
    uint32_t index = map_find(&s->by_id, fresh.id, &fresh.id);
    char label[REPORT_LABEL_SIZE];

    if (index == MAP_NONE) {
        (void)snprintf(label, sizeof label, "%.*s", SV_ARG(s->label));
        if (s->n_feeds == SCRAPES_MAX_FEEDS)
            return err_set(err, ERR_LIMIT, 0, "found more than %d agents: name the cluster",
                           SCRAPES_MAX_FEEDS);
        if (!cluster_at(s, promread_label(series, label), &fresh.cluster, err))
            return false;
        for (size_t i = 0; i < COUNTERS; i++)
            fresh.counter[i] = UNKNOWN;
        index = (uint32_t)s->n_feeds;
        VEC_PUSH(s->feeds, s->n_feeds, s->cap_feeds, fresh);
        map_put(&s->by_id, fresh.id, index);
    }
    *ret_feed = index;
    return true;
}

bool scrapes_take(struct scrapes *s, const struct promread_series *series, struct err *err)
{
    struct point p = {0};

    if (!find_field(series, &p.field))
        return true;
    if (!feed_at(s, series, &p.feed, err))
        return false;
    for (size_t i = 0; i < series->n_points; i++) {
        int digits = p.field <= HEADROOM ? 3 : 0;

        p.t_ms = series->points[i].t_ms;
        if (!promread_number(series->points[i].value, digits, &p.value) || p.value < 0 ||
            p.value > FIGURES_MAX || p.t_ms <= 0 || p.t_ms >= MAX_TIME_MS)
            continue;
        if (s->n_points == SCRAPES_MAX_POINTS)
            return err_set(err, ERR_LIMIT, SCRAPES_MAX_POINTS, "more than %d points at once",
                           SCRAPES_MAX_POINTS);
        VEC_PUSH(s->points, s->n_points, s->cap_points, p);
    }
    return true;
}

void scrapes_drop(struct scrapes *s)
{
    s->n_points = 0;
}

/* ---- levels over time ---- */

static void add_level(struct report_level *sum, const struct report_level *level, int64_t sign)
{
    for (int k = 0; k < REPORT_PART_COUNT_; k++)
        sum->part[k] += sign * level->part[k];
    sum->demand += sign * level->demand;
    sum->nodes += sign * level->nodes;
}

static void pass(struct scrapes *s, int64_t t_ms)
{
    if (s->on != 0 && t_ms > s->now_ms)
        report_take_level(s->report, &s->level, s->now_ms, t_ms);
    s->now_ms = max_i64(s->now_ms, t_ms);
}

/* The cluster's level holds no longer than until now. */
static void switch_off(struct scrapes *s, struct cluster *c)
{
    const struct report_query *q = &s->report->query;
    int64_t from_ms = max_i64(c->since_ms, q->since_ms), until_ms = min_i64(s->now_ms, q->until_ms);

    if (!c->on)
        return;
    if (from_ms < until_ms)
        report_row_level(&c->total, &c->level, from_ms, until_ms - from_ms);
    add_level(&s->level, &c->level, -1);
    s->on--;
    c->on = false;
}

static void switch_on(struct scrapes *s, struct cluster *c, const struct report_level *level,
                      int64_t until_ms)
{
    c->level = *level;
    c->since_ms = s->now_ms;
    c->until_ms = until_ms;
    c->on = true;
    add_level(&s->level, level, 1);
    s->on++;
}

/* The level that ends first; NULL: none ends before t. */
static struct cluster *next_to_end(struct scrapes *s, int64_t t_ms)
{
    struct cluster *next = NULL;

    for (size_t i = 0; i < s->n_clusters; i++) {
        struct cluster *c = &s->clusters[i];

        if (c->on && c->until_ms < (next != NULL ? next->until_ms : t_ms))
            next = c;
    }
    return next;
}

static void advance(struct scrapes *s, int64_t t_ms)
{
    struct cluster *c;

    while ((c = next_to_end(s, t_ms)) != NULL) {
        pass(s, c->until_ms);
        switch_off(s, c);
    }
    pass(s, t_ms);
}

/* ---- scrapes ---- */

/* False: the agent does not know yet, or no longer. */
static bool level_of(const int64_t v[static FIELD_COUNT], struct report_level *ret_level)
{
    struct sample sample = {.at = {[SAMPLE_ALLOCATABLE] = v[ALLOCATABLE],
                                   [SAMPLE_PAID] = v[PAID],
                                   [SAMPLE_PENDING] = v[PENDING],
                                   [SAMPLE_READY] = v[READY],
                                   [SAMPLE_STARTING] = v[STARTING],
                                   [SAMPLE_LEAVING] = v[LEAVING],
                                   [SAMPLE_KEPT] = v[KEPT]}};

    for (int f = ALLOCATABLE; f <= LEAVING; f++) {
        if (v[f] == UNKNOWN)
            return false;
    }
    /* Agents did not always tell it: then without the rounding to whole holes. */
    if (v[KEPT] == UNKNOWN)
        sample.at[SAMPLE_KEPT] = max_i64(v[RESERVED], 0) + max_i64(v[HEADROOM], 0);
    *ret_level = report_level_of(&sample);
    ret_level->nodes = max_i64(v[NODES], 0);
    return true;
}

/* What the counters grew by, as the feed tells it; one that fell began at 0. */
static void count_growth(struct feed *f, const int64_t v[static FIELD_COUNT])
{
    for (int i = 0; i < COUNTERS; i++) {
        int64_t now = v[FIRST_COUNTER + i], before = f->counter[i];

        if (now == UNKNOWN)
            continue;
        if (before != UNKNOWN)
            f->grown[i] += now >= before ? now - before : now;
        f->counter[i] = now;
    }
}

static void count_into(struct report_row *row, const int64_t grown[static COUNTERS], bool turned)
{
    row->yields += grown[YIELDS - FIRST_COUNTER];
    row->harvests += grown[HARVESTS - FIRST_COUNTER];
    row->pods += grown[PODS - FIRST_COUNTER];
    row->blocked += grown[BLOCKED - FIRST_COUNTER];
    row->reversals += turned;
}

/* Did the wanted replicas turn round since the last scrape? */
static bool turns(struct cluster *c, int64_t desired)
{
    int64_t change = c->desired == UNKNOWN || desired == UNKNOWN ? 0 : desired - c->desired;
    int direction = (change > 0) - (change < 0);
    bool turned = direction != 0 && c->direction == -direction;

    if (desired != UNKNOWN)
        c->desired = desired;
    if (direction != 0)
        c->direction = direction;
    return turned;
}

/* What was counted counts once, whoever told it. */
static void count_scrape(struct scrapes *s, const struct feed *f, int64_t t_ms, int64_t desired)
{
    struct cluster *c = &s->clusters[f->cluster];
    struct report_row *piece = report_piece_at(s->report, t_ms);
    bool turned = turns(c, desired);

    if (piece != NULL) {
        count_into(piece, f->grown, turned);
        count_into(&c->total, f->grown, turned);
    }
    for (size_t i = 0; i < s->n_feeds; i++) {
        if (s->feeds[i].cluster == f->cluster)
            memset(s->feeds[i].grown, 0, sizeof s->feeds[i].grown);
    }
}

/* Whoever was scraped in a step stands in it: the next step tells what is silent. */
static int64_t hold_ms(const struct scrapes *s, const struct feed *f)
{
    return f->interval_ms <= s->step_ms ? s->step_ms : HOLD_INTERVALS * f->interval_ms;
}

/* Another feed steps in, if it can, before what the silent one said ends. */
static int64_t patience_ms(const struct scrapes *s, const struct feed *f)
{
    return max_i64(hold_ms(s, f) - f->interval_ms, f->interval_ms);
}

static bool is_followed(struct scrapes *s, uint32_t feed, int64_t t_ms)
{
    const struct feed *f = &s->feeds[feed];
    struct cluster *c = &s->clusters[f->cluster];

    if (c->follows && c->followed != feed &&
        t_ms - c->last_ms <= patience_ms(s, &s->feeds[c->followed]))
        return false;
    c->follows = true;
    c->followed = feed;
    c->last_ms = t_ms;
    return true;
}

/*
 * A scrape tells at least that the agent is there. What puts the answers of two scrapers together, series by series, leaves samples
 * that stand at the other one's times (Thanos without the replica's label): of them counters alone are taken, with the next scrape.
 * Even that it is there may be one of them: that the room is missing is believed once a scrape is due.
 */
static bool is_whole(struct feed *f, int64_t t_ms, const int64_t v[static FIELD_COUNT])
{
    if (v[ALLOCATABLE] != UNKNOWN) {
        f->told_ms = t_ms;
        return true;
    }
    return v[ALIVE] != UNKNOWN && t_ms - f->told_ms >= f->interval_ms - f->interval_ms / LATE_PART;
}

static void take_scrape(struct scrapes *s, uint32_t feed, int64_t t_ms,
                        const int64_t v[static FIELD_COUNT])
{
    struct feed *f = &s->feeds[feed];
    struct cluster *c = &s->clusters[f->cluster];
    struct report_level level;
    bool known = level_of(v, &level);

    if (f->seen && t_ms <= f->last_ms)
        return;
    f->seen = true;
    f->last_ms = t_ms;
    count_growth(f, v);
    if (!is_whole(f, t_ms, v))
        return;
    if (!is_followed(s, feed, t_ms)) {
        if (t_ms == c->last_ms) /* the other one has told it already */
            memset(f->grown, 0, sizeof f->grown);
        s->found.compared += known && c->on;
        s->found.disputed +=
            known && c->on && level.part[REPORT_OFFERED] != c->level.part[REPORT_OFFERED];
        return;
    }
    advance(s, t_ms);
    switch_off(s, c);
    if (known)
        switch_on(s, c, &level, t_ms + hold_ms(s, f));
    count_scrape(s, f, t_ms, v[DESIRED]);
}

/* ---- windows ---- */

static int by_time(const void *left, const void *right)
{
    const struct point *a = left, *b = right;

    if (a->t_ms != b->t_ms)
        return a->t_ms < b->t_ms ? -1 : 1;
    return (a->feed > b->feed) - (a->feed < b->feed);
}

/* The points of the scrape that begins at `i`; returns where the next one does. */
static size_t read_scrape(const struct scrapes *s, size_t i, int64_t ret_values[static FIELD_COUNT])
{
    const struct point *first = &s->points[i];

    for (int f = 0; f < FIELD_COUNT; f++)
        ret_values[f] = UNKNOWN;
    for (; i < s->n_points && s->points[i].t_ms == first->t_ms && s->points[i].feed == first->feed;
         i++)
        ret_values[s->points[i].field] = s->points[i].value;
    return i;
}

static int by_length(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

/* The median of the first steps; with one scrape alone it stays what it was. */
static void measure(struct scrapes *s)
{
    int64_t *last_ms = xcalloc(s->n_feeds + 1, sizeof *last_ms);

    for (size_t i = 0; i < s->n_feeds; i++)
        s->feeds[i].n_steps = 0;
    for (size_t i = 0; i < s->n_points; i++) {
        const struct point *p = &s->points[i];
        struct feed *f = &s->feeds[p->feed];

        if (p->field != ALLOCATABLE)
            continue;
        if (last_ms[p->feed] != 0 && p->t_ms > last_ms[p->feed] && f->n_steps < MEASURED)
            f->steps_ms[f->n_steps++] = p->t_ms - last_ms[p->feed];
        last_ms[p->feed] = p->t_ms;
    }
    for (size_t i = 0; i < s->n_feeds; i++) {
        struct feed *f = &s->feeds[i];

        qsort(f->steps_ms, f->n_steps, sizeof *f->steps_ms, by_length);
        if (f->n_steps != 0)
            f->interval_ms = f->steps_ms[f->n_steps / 2];
        else if (f->interval_ms == 0)
            f->interval_ms = SCRAPES_OTHERWISE_MS;
    }
    free(last_ms);
}

void scrapes_window(struct scrapes *s, int64_t until_ms)
{
    int64_t values[FIELD_COUNT];

    if (s->n_points != 0)
        qsort(s->points, s->n_points, sizeof *s->points, by_time);
    measure(s);
    for (size_t i = 0; i < s->n_points;) {
        const struct point *p = &s->points[i];

        i = read_scrape(s, i, values);
        take_scrape(s, p->feed, p->t_ms, values);
    }
    advance(s, until_ms);
    s->n_points = 0;
}

/* ---- the end ---- */

static int by_name(const void *left, const void *right)
{
    return strcmp(((const struct report_cluster *)left)->name,
                  ((const struct report_cluster *)right)->name);
}

static void end_row(const struct report *r, int64_t clusters, struct report_row *row)
{
    report_end_levels(&r->query.terms, clusters, row);
    row->journal_ms = row->decisions_ms = row->covered_ms;
}

static void hand_over_clusters(struct scrapes *s)
{
    struct report *r = s->report;

    r->clusters = xcalloc(s->n_clusters + 1, sizeof *r->clusters);
    for (size_t i = 0; i < s->n_clusters; i++) {
        struct cluster *c = &s->clusters[i];

        switch_off(s, c);
        end_row(r, 1, &c->total);
        c->total.first_ms = r->query.since_ms;
        c->total.until_ms = r->query.until_ms;
        c->total.span_ms = r->query.until_ms - r->query.since_ms;
        c->total.times = 1;
        r->clusters[r->n_clusters++] = (struct report_cluster){TAKE(c->name), c->total};
    }
    qsort(r->clusters, r->n_clusters, sizeof *r->clusters, by_name);
}

static int64_t clusters_seen(const struct scrapes *s)
{
    int64_t n = 0;

    for (size_t i = 0; i < s->n_clusters; i++)
        n += s->clusters[i].follows;
    return n;
}

void scrapes_end(struct scrapes *s)
{
    struct report *r = s->report;
    int64_t clusters = clusters_seen(s);

    advance(s, r->query.until_ms);
    for (size_t i = 0; i < r->n_pieces; i++)
        end_row(r, clusters, &r->pieces[i]);
    report_cut_begin(r);
    hand_over_clusters(s);
    report_find_gaps(r);
    r->scrapes = s->found;
    r->scrapes.feeds = (int64_t)s->n_feeds;
    r->scrapes.interval_ms = s->n_feeds != 0 ? 0 : SCRAPES_OTHERWISE_MS;
    for (size_t i = 0; i < s->n_feeds; i++)
        r->scrapes.interval_ms = max_i64(r->scrapes.interval_ms, s->feeds[i].interval_ms);
}
