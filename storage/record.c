#include "storage/record.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "storage/activity.h"
#include "storage/blocked.h"
#include "storage/rollup.h"

static const char *const kind_names[] = {
    [RECORD_DAY] = "day",         [RECORD_HOUR] = "hour",         [RECORD_MINUTE] = "minute",
    [RECORD_SAMPLE] = "sample",   [RECORD_DECISION] = "decision", [RECORD_GAP] = "gap",
    [RECORD_JOURNAL] = "journal", [RECORD_ACTIVITY] = "activity", [RECORD_GROUP] = "group",
    [RECORD_EVENT] = "event",     [RECORD_BLOCKED] = "blocked",
};
_Static_assert(COUNT_OF(kind_names) == RECORD_KIND_COUNT_, "a kind has no name");

/* Places of what all kinds have. */
enum {
    TIME,
    UNTIL,
    COVERED = 1,
    MERGED = 1,
    ID = 1,
    OF_SAMPLE = 2,
    OF_FIGURES = 2,
    OF_DECISION = 2
};
enum { POLICY, REASON, BOUND, DETAIL };
enum { GAP_DECISIONS = 2, GAP_WHY = 0 };
enum { CHUNK_SEGMENT = 2, CHUNK_NUMBER, CHUNK_EVENTS, CHUNK_DATA = 0 };
enum { ROLLED_STEP = 1, ROLLED_DATA = 1 };
enum {
    GROUP_MEANS = 2,
    GROUP_MOST_PAID = GROUP_MEANS + GROUP_FIELD_COUNT_,
    GROUP_MOST_NODES,
    GROUP_STEP
};
enum { GROUP_LABEL = 1, GROUP_NAME };
enum { EVENT_POD = 1, EVENT_CREATED, EVENT_CPU, EVENT_MEMORY, EVENT_PRIORITY, EVENT_FILLER };
enum { EVENT_WHAT, EVENT_NODE_NAME, EVENT_REASON };
enum { BLOCKED_CREATED = 2, BLOCKED_CPU, BLOCKED_END = 0 };

enum { CORES = 3, MEAN = 3 };
enum { MAX_WHY = 255 }; /* bytes: a gap's reason is a word or a sentence */

static const char *const figure_names[RECORD_FIGURES] = {"covered_ms", "min", "mean", "p50",
                                                         "p90",        "p99", "max"};
enum { FIGURE_COVERED, FIGURE_MIN, FIGURE_MEAN, FIGURE_P50, FIGURE_P90, FIGURE_P99, FIGURE_MAX };

const char *record_kind_name(enum record_kind kind)
{
    return kind_names[kind];
}

enum record_kind record_kind_named(struct sv name)
{
    int kind = 0;

    while (kind < RECORD_KIND_COUNT_ && !sv_eq(name, sv_from(kind_names[kind])))
        kind++;
    return (enum record_kind)kind;
}

/* ---- columns ---- */

static void add(struct record_table *t, enum record_type type, const char *name, int digits,
                bool needed, int place)
{
    struct record_column *c = &t->at[t->n++];

    *c = (struct record_column){
        .type = type, .digits = digits, .needed = needed, .place = (size_t)place};
    (void)snprintf(c->name, sizeof c->name, "%s", name);
}

static bool series_is_cores(enum series series)
{
    return (int)series <= SAMPLE_KEPT || (int)series == SAMPLE_NODE_FREE_MIN ||
           (int)series == SAMPLE_NODE_FREE_MAX || series >= SERIES_DEMAND;
}

static const char *unit_of(bool cores)
{
    return cores ? "_cores" : "";
}

static void add_sample(struct record_table *t)
{
    char name[RECORD_NAME_SIZE];

    add(t, RECORD_TIME, "time", 0, true, TIME);
    add(t, RECORD_TEXT, "policy", 0, true, POLICY);
    add(t, RECORD_NUMBER, "merged", 0, false, MERGED);
    for (int i = 0; i < SAMPLE_COUNT_; i++) {
        bool cores = series_is_cores((enum series)i);

        (void)snprintf(name, sizeof name, "%s%s", sample_field_name((enum sample_field)i),
                       unit_of(cores));
        add(t, RECORD_NUMBER, name, cores ? CORES : 0, false, OF_SAMPLE + i);
    }
}

static void add_figures(struct record_table *t)
{
    char name[RECORD_NAME_SIZE];

    add(t, RECORD_TIME, "time", 0, true, TIME);
    add(t, RECORD_TEXT, "policy", 0, true, POLICY);
    add(t, RECORD_NUMBER, "covered_ms", 0, true, COVERED);
    for (int k = 0; k < SERIES_COUNT_; k++) {
        bool cores = series_is_cores((enum series)k);

        for (int i = 0; i < RECORD_FIGURES; i++) {
            int digits = (i == FIGURE_MEAN ? MEAN : 0) + (cores && i != FIGURE_COVERED ? CORES : 0);

            (void)snprintf(name, sizeof name, "%s%s_%s", series_name((enum series)k),
                           unit_of(cores && i != FIGURE_COVERED), figure_names[i]);
            add(t, RECORD_NUMBER, name, digits, false, OF_FIGURES + k * RECORD_FIGURES + i);
        }
    }
}

static void add_decision(struct record_table *t)
{
    char name[RECORD_NAME_SIZE];

    add(t, RECORD_TIME, "time", 0, true, TIME);
    add(t, RECORD_TEXT, "policy", 0, true, POLICY);
    add(t, RECORD_NUMBER, "id", 0, true, ID);
    add(t, RECORD_TEXT, "reason", 0, true, REASON);
    add(t, RECORD_TEXT, "bound", 0, false, BOUND);
    add(t, RECORD_TEXT, "detail", 0, false, DETAIL);
    for (int i = 0; i < DECISION_COUNT_; i++) {
        bool cores = i == DECISION_SLOT || (i >= DECISION_ALLOCATABLE && i <= DECISION_HEADROOM);

        (void)snprintf(name, sizeof name, "%s%s", decision_field_name((enum decision_field)i),
                       unit_of(cores));
        add(t, RECORD_NUMBER, name, cores ? CORES : 0, i != DECISION_LATENCY, OF_DECISION + i);
    }
}

static void add_gap(struct record_table *t)
{
    add(t, RECORD_TIME, "time", 0, true, TIME);
    add(t, RECORD_TIME, "until", 0, true, UNTIL);
    add(t, RECORD_TEXT, "why", 0, false, GAP_WHY);
    add(t, RECORD_NUMBER, "decisions", 0, true, GAP_DECISIONS);
}

static void add_chunk(struct record_table *t)
{
    add(t, RECORD_TIME, "time", 0, true, TIME);
    add(t, RECORD_TIME, "until", 0, true, UNTIL);
    add(t, RECORD_NUMBER, "segment", 0, true, CHUNK_SEGMENT);
    add(t, RECORD_NUMBER, "number", 0, true, CHUNK_NUMBER);
    add(t, RECORD_NUMBER, "events", 0, true, CHUNK_EVENTS);
    add(t, RECORD_BYTES, "data", 0, true, CHUNK_DATA);
}

static void add_activity(struct record_table *t)
{
    add(t, RECORD_TIME, "time", 0, true, TIME);
    add(t, RECORD_TEXT, "policy", 0, false, POLICY);
    add(t, RECORD_NUMBER, "step_seconds", 0, true, ROLLED_STEP);
    add(t, RECORD_BYTES, "data", 0, true, ROLLED_DATA);
}

static void add_group(struct record_table *t)
{
    char name[RECORD_NAME_SIZE];

    add(t, RECORD_TIME, "time", 0, true, TIME);
    add(t, RECORD_NUMBER, "step_seconds", 0, true, GROUP_STEP);
    add(t, RECORD_TEXT, "policy", 0, true, POLICY);
    add(t, RECORD_TEXT, "label", 0, true, GROUP_LABEL);
    add(t, RECORD_TEXT, "group", 0, true, GROUP_NAME);
    add(t, RECORD_NUMBER, "covered_ms", 0, true, COVERED);
    for (int k = 0; k < GROUP_FIELD_COUNT_; k++) {
        bool cores = k != GROUP_NODES && k != GROUP_FIT;

        (void)snprintf(name, sizeof name, "%s%s", group_field_name((enum group_field)k),
                       unit_of(cores));
        add(t, RECORD_NUMBER, name, MEAN, true, GROUP_MEANS + k);
    }
    add(t, RECORD_NUMBER, "paid_cores_max", CORES, true, GROUP_MOST_PAID);
    add(t, RECORD_NUMBER, "nodes_max", MEAN, true, GROUP_MOST_NODES);
}

static void add_event(struct record_table *t)
{
    add(t, RECORD_TIME, "time", 0, true, TIME);
    add(t, RECORD_TEXT, "event", 0, true, EVENT_WHAT);
    add(t, RECORD_NUMBER, "pod", 0, false, EVENT_POD);
    add(t, RECORD_TEXT, "node", 0, false, EVENT_NODE_NAME);
    add(t, RECORD_TIME, "created", 0, false, EVENT_CREATED);
    add(t, RECORD_NUMBER, "cpu_cores", CORES, false, EVENT_CPU);
    add(t, RECORD_NUMBER, "memory_bytes", 0, false, EVENT_MEMORY);
    add(t, RECORD_NUMBER, "priority", 0, false, EVENT_PRIORITY);
    add(t, RECORD_NUMBER, "filler", 0, false, EVENT_FILLER);
    add(t, RECORD_TEXT, "why", 0, false, EVENT_REASON);
}

static void add_blocked(struct record_table *t)
{
    add(t, RECORD_TIME, "time", 0, true, TIME);
    add(t, RECORD_TIME, "until", 0, true, UNTIL);
    add(t, RECORD_TIME, "created", 0, true, BLOCKED_CREATED);
    add(t, RECORD_TEXT, "end", 0, true, BLOCKED_END);
    add(t, RECORD_NUMBER, "cpu_cores", CORES, true, BLOCKED_CPU);
}

void record_tables_init(struct record_tables *t)
{
    static void (*const adders[])(struct record_table *) = {
        [RECORD_DAY] = add_figures,       [RECORD_HOUR] = add_figures,
        [RECORD_MINUTE] = add_figures,    [RECORD_SAMPLE] = add_sample,
        [RECORD_DECISION] = add_decision, [RECORD_GAP] = add_gap,
        [RECORD_JOURNAL] = add_chunk,     [RECORD_ACTIVITY] = add_activity,
        [RECORD_GROUP] = add_group,       [RECORD_EVENT] = add_event,
        [RECORD_BLOCKED] = add_blocked,
    };
    _Static_assert(COUNT_OF(adders) == RECORD_KIND_COUNT_, "a kind has no columns");

    for (int kind = 0; kind < RECORD_KIND_COUNT_; kind++) {
        t->of[kind] =
            (struct record_table){.at = xcalloc(RECORD_MAX_COLUMNS, sizeof *t->of[kind].at)};
        adders[kind](&t->of[kind]);
    }
}

void record_tables_done(struct record_tables *t)
{
    for (int kind = 0; kind < RECORD_KIND_COUNT_; kind++)
        free(t->of[kind].at);
    *t = (struct record_tables){0};
}

void record_clear(struct record *r, enum record_kind kind)
{
    r->kind = kind;
    for (int i = 0; i < RECORD_MAX_NUMBERS; i++)
        r->number[i] = RECORD_UNKNOWN;
    for (int i = 0; i < RECORD_MAX_TEXTS; i++)
        r->text[i] = (struct sv){0};
}

/* ---- there and back ---- */

static bool expect_text(const char *name, struct sv text, size_t most, struct err *err)
{
    bool nul = text.len != 0 && memchr(text.at, '\0', text.len) != NULL;

    return (text.len <= most && !nul && sv_is_utf8(text)) ||
           err_set(err, ERR_INPUT, 0, "%s: found %zu bytes%s, expected a text of at most %zu", name,
                   text.len,
                   text.len > most ? ""
                   : nul           ? " with a NUL"
                                   : " that are no UTF-8",
                   most);
}

static bool take_text(const char *name, struct sv text, char *to, size_t size, struct err *err)
{
    if (!expect_text(name, text, size - 1, err))
        return false;
    if (text.len != 0)
        memcpy(to, text.at, text.len);
    to[text.len] = '\0';
    return true;
}

static bool take_policy(struct sv name, char to[SAMPLES_POLICY_SIZE], struct err *err)
{
    if (name.len == 0)
        return err_set(err, ERR_INPUT, 0, "policy: found nothing, expected a name");
    return take_text("policy", name, to, SAMPLES_POLICY_SIZE, err);
}

static bool expect(const char *name, int64_t found, int64_t least, int64_t most, struct err *err)
{
    return (found >= least && found <= most) ||
           err_set(err, ERR_INPUT, 0, "%s: found %lld, expected %lld to %lld", name,
                   (long long)found, (long long)least, (long long)most);
}

void record_from_sample(const struct sample *s, struct record *to)
{
    record_clear(to, RECORD_SAMPLE);
    to->number[TIME] = s->t_ms;
    to->number[MERGED] = s->merged;
    to->text[POLICY] = sv_from(s->policy);
    memcpy(&to->number[OF_SAMPLE], s->at, sizeof s->at);
}

bool record_to_sample(const struct record *r, struct sample *ret_sample, struct err *err)
{
    struct sample s = {.t_ms = r->number[TIME],
                       .merged = r->number[MERGED] != RECORD_UNKNOWN ? r->number[MERGED] : 0};

    if (!take_policy(r->text[POLICY], s.policy, err) ||
        !expect("merged", s.merged, 0, INT32_MAX, err))
        return false;
    memcpy(s.at, &r->number[OF_SAMPLE], sizeof s.at);
    *ret_sample = s;
    return true;
}

static const enum level levels[] = {
    [RECORD_DAY] = LEVEL_DAY, [RECORD_HOUR] = LEVEL_HOUR, [RECORD_MINUTE] = LEVEL_MINUTE};

void record_from_figures(const struct record_figures *f, struct record *to)
{
    record_clear(to, f->level == LEVEL_DAY    ? RECORD_DAY
                     : f->level == LEVEL_HOUR ? RECORD_HOUR
                                              : RECORD_MINUTE);
    to->number[TIME] = f->first_ms;
    to->number[COVERED] = f->covered_ms;
    to->text[POLICY] = f->policy;
    for (int k = 0; k < SERIES_COUNT_; k++) {
        const struct figures *from = &f->at[k];
        int64_t *at = &to->number[OF_FIGURES + k * RECORD_FIGURES];

        if (from->covered_ms <= 0)
            continue;
        at[FIGURE_COVERED] = from->covered_ms;
        at[FIGURE_MIN] = from->min;
        at[FIGURE_MEAN] = from->mean_milli;
        at[FIGURE_P50] = from->p50;
        at[FIGURE_P90] = from->p90;
        at[FIGURE_P99] = from->p99;
        at[FIGURE_MAX] = from->max;
    }
}

static bool to_series(const int64_t *at, enum series series, int64_t covered_ms,
                      struct figures *ret_figures, struct err *err)
{
    struct figures f = {0};

    for (int i = 1; i < RECORD_FIGURES; i++) {
        if ((at[i] == RECORD_UNKNOWN) != (at[0] == RECORD_UNKNOWN))
            return err_set(
                err, ERR_INPUT, 0, "%s_%s: found %s, expected all figures of a series or none",
                series_name(series), figure_names[i], at[i] == RECORD_UNKNOWN ? "none" : "one");
    }
    if (at[0] != RECORD_UNKNOWN) {
        f = (struct figures){.covered_ms = at[FIGURE_COVERED],
                             .min = at[FIGURE_MIN],
                             .max = at[FIGURE_MAX],
                             .p50 = at[FIGURE_P50],
                             .p90 = at[FIGURE_P90],
                             .p99 = at[FIGURE_P99],
                             .mean_milli = at[FIGURE_MEAN]};
        if (f.covered_ms <= 0 || f.covered_ms > covered_ms || !figures_plausible(&f, FIGURES_ALL))
            return err_set(err, ERR_INPUT, 0,
                           "%s: found figures that contradict each other, expected min <= p50 <= "
                           "p90 <= p99 <= max, the mean among them, and at most %lld ms",
                           series_name(series), (long long)covered_ms);
    }
    *ret_figures = f;
    return true;
}

bool record_to_figures(const struct record *r, struct record_figures *ret_figures, struct err *err)
{
    struct record_figures f = {.policy = r->text[POLICY],
                               .level = levels[r->kind],
                               .first_ms = r->number[TIME],
                               .covered_ms = r->number[COVERED]};
    int64_t step_ms = level_step_ms(f.level);
    char policy[SAMPLES_POLICY_SIZE];

    if (!take_policy(f.policy, policy, err) || !expect("covered_ms", f.covered_ms, 1, step_ms, err))
        return false;
    if (f.first_ms != packs_floor(f.first_ms, step_ms))
        return err_set(err, ERR_INPUT, 0, "time: expected the begin of a full %s of UTC",
                       kind_names[r->kind]);
    for (int k = 0; k < SERIES_COUNT_; k++) {
        if (!to_series(&r->number[OF_FIGURES + k * RECORD_FIGURES], (enum series)k, f.covered_ms,
                       &f.at[k], err))
            return false;
    }
    *ret_figures = f;
    return true;
}

void record_from_decision(const struct decision_entry *d, struct record *to)
{
    record_clear(to, RECORD_DECISION);
    to->number[TIME] = d->t_ms;
    to->number[ID] = (int64_t)d->id;
    to->text[POLICY] = sv_from(d->policy);
    to->text[REASON] = sv_from(d->reason);
    to->text[BOUND] = sv_from(d->bound);
    to->text[DETAIL] = sv_from(d->detail);
    memcpy(&to->number[OF_DECISION], d->at, sizeof d->at);
}

bool record_to_decision(const struct record *r, struct decision_entry *ret_decision,
                        struct err *err)
{
    struct decision_entry d = {.id = (uint64_t)r->number[ID], .t_ms = r->number[TIME]};

    if (!take_policy(r->text[POLICY], d.policy, err) ||
        !expect("id", r->number[ID], 1, INT64_MAX - 1, err) ||
        !take_text("reason", r->text[REASON], d.reason, sizeof d.reason, err) ||
        !take_text("bound", r->text[BOUND], d.bound, sizeof d.bound, err) ||
        !take_text("detail", r->text[DETAIL], d.detail, sizeof d.detail, err))
        return false;
    memcpy(d.at, &r->number[OF_DECISION], sizeof d.at);
    if (d.at[DECISION_LATENCY] == RECORD_UNKNOWN)
        d.at[DECISION_LATENCY] = 0;
    *ret_decision = d;
    return true;
}

void record_from_gap(const struct history_gap *gap, struct record *to)
{
    record_clear(to, RECORD_GAP);
    to->number[TIME] = gap->first_ms;
    to->number[UNTIL] = gap->last_ms;
    to->number[GAP_DECISIONS] = gap->decisions;
    to->text[GAP_WHY] = gap->why;
}

bool record_to_gap(const struct record *r, struct history_gap *ret_gap, struct err *err)
{
    if (!expect("decisions", r->number[GAP_DECISIONS], 0, INT64_MAX, err) ||
        !expect_text("why", r->text[GAP_WHY], MAX_WHY, err))
        return false;
    *ret_gap = (struct history_gap){.first_ms = r->number[TIME],
                                    .last_ms = r->number[UNTIL],
                                    .why = r->text[GAP_WHY],
                                    .decisions = r->number[GAP_DECISIONS]};
    return true;
}

void record_from_chunk(const struct chunk *chunk, struct record *to)
{
    record_clear(to, RECORD_JOURNAL);
    to->number[TIME] = chunk->first_ms;
    to->number[UNTIL] = chunk->last_ms;
    to->number[CHUNK_SEGMENT] = chunk->segment;
    to->number[CHUNK_NUMBER] = chunk->number;
    to->number[CHUNK_EVENTS] = chunk->events;
    to->text[CHUNK_DATA] = chunk->data;
}

bool record_to_chunk(const struct record *r, struct chunk *ret_chunk, struct err *err)
{
    const int64_t *n = r->number;

    if (!expect("segment", n[CHUNK_SEGMENT], 1, INT32_MAX, err) ||
        !expect("number", n[CHUNK_NUMBER], 0, INT32_MAX, err) ||
        !expect("events", n[CHUNK_EVENTS], 0, INT32_MAX, err))
        return false;
    *ret_chunk = (struct chunk){.segment = n[CHUNK_SEGMENT],
                                .number = n[CHUNK_NUMBER],
                                .first_ms = n[TIME],
                                .last_ms = n[UNTIL],
                                .events = n[CHUNK_EVENTS],
                                .data = r->text[CHUNK_DATA]};
    return true;
}

void record_from_activity(const struct record_activity *a, struct record *to)
{
    record_clear(to, RECORD_ACTIVITY);
    to->number[TIME] = a->first_ms;
    to->number[ROLLED_STEP] = level_step_ms(a->level) / 1000;
    to->text[POLICY] = a->policy;
    to->text[ROLLED_DATA] = a->data;
}

bool record_to_activity(const struct record *r, struct record_activity *ret_activity,
                        struct err *err)
{
    struct record_activity a = {.policy = r->text[POLICY],
                                .data = r->text[ROLLED_DATA],
                                .level = LEVEL_MINUTE,
                                .first_ms = r->number[TIME]};

    while (a.level < LEVEL_DAY && level_step_ms(a.level) / 1000 != r->number[ROLLED_STEP])
        a.level++;
    if (level_step_ms(a.level) / 1000 != r->number[ROLLED_STEP])
        return err_set(err, ERR_INPUT, 0, "step_seconds: found %lld, expected 60, 3600 or 86400",
                       (long long)r->number[ROLLED_STEP]);
    if (!expect_text("policy", a.policy, SAMPLES_POLICY_SIZE - 1, err))
        return false;
    if (packs_floor(a.first_ms, level_span_ms(a.level)) != a.first_ms)
        return err_set(err, ERR_INPUT, 0, "time: expected the begin of a chunk, of %lld s",
                       (long long)level_span_ms(a.level) / 1000);
    if (!activity_check(a.level, a.data))
        return err_set(err, ERR_INPUT, 0, "data: found %zu bytes, expected those of a chunk",
                       a.data.len);
    *ret_activity = a;
    return true;
}

/* Of a sample the time until the next one. */
static int64_t group_step_s(enum level level)
{
    return (level == LEVEL_SAMPLES ? SAMPLES_STEP_MS : level_step_ms(level)) / 1000;
}

void record_from_group(const struct record_group *group, struct record *to)
{
    const struct groups_row *row = &group->row;

    record_clear(to, RECORD_GROUP);
    to->number[TIME] = row->first_ms;
    to->number[COVERED] = row->covered_ms;
    to->text[POLICY] = group->policy;
    to->text[GROUP_LABEL] = row->label;
    to->text[GROUP_NAME] = row->value;
    to->number[GROUP_STEP] = group_step_s(row->level);
    memcpy(&to->number[GROUP_MEANS], row->mean_milli, sizeof row->mean_milli);
    to->number[GROUP_MOST_PAID] = row->most_paid_milli;
    to->number[GROUP_MOST_NODES] = row->most_nodes_milli;
}

static bool to_group_level(int64_t step_s, enum level *ret_level, struct err *err)
{
    static const enum level group_levels[] = {LEVEL_SAMPLES, LEVEL_GROUP_MINUTE, LEVEL_GROUP_HOUR,
                                              LEVEL_GROUP_DAY};

    for (size_t i = 0; i < COUNT_OF(group_levels); i++) {
        if (group_step_s(group_levels[i]) == step_s) {
            *ret_level = group_levels[i];
            return true;
        }
    }
    return err_set(err, ERR_INPUT, 0, "step_seconds: found %lld, expected 10, 60, 3600 or 86400",
                   (long long)step_s);
}

/* A sample has whole nodes and pods, and nothing above it. */
static bool expect_sample(struct groups_row *row, struct err *err)
{
    row->most_paid_milli = row->mean_milli[GROUP_PAID];
    row->most_nodes_milli = row->mean_milli[GROUP_NODES];
    return (row->mean_milli[GROUP_NODES] % 1000 == 0 && row->mean_milli[GROUP_FIT] % 1000 == 0) ||
           err_set(err, ERR_INPUT, 0,
                   "found a part of a node or pod in a sample, expected whole ones");
}

static bool expect_group(struct groups_row *row, struct err *err)
{
    int64_t step_ms = level_step_ms(row->level);

    if (row->label.len == 0 || row->value.len == 0)
        return err_set(err, ERR_INPUT, 0, "%s: found nothing, expected a name",
                       row->label.len == 0 ? "label" : "group");
    if (!expect_text("label", row->label, GROUPS_LABEL_SIZE - 1, err) ||
        !expect_text("group", row->value, GROUPS_VALUE_SIZE - 1, err) ||
        !expect("covered_ms", row->covered_ms, 1, step_ms > 0 ? step_ms : GROUPS_MAX_HOLD_MS,
                err) ||
        !expect("paid_cores_max", row->most_paid_milli, row->mean_milli[GROUP_PAID], FIGURES_MAX,
                err) ||
        !expect("nodes_max", row->most_nodes_milli, row->mean_milli[GROUP_NODES], FIGURES_MAX, err))
        return false;
    for (int k = 0; k < GROUP_FIELD_COUNT_; k++) {
        if (!expect(group_field_name((enum group_field)k), row->mean_milli[k], 0, FIGURES_MAX / 2,
                    err))
            return false;
    }
    if (step_ms == 0)
        return expect_sample(row, err);
    return row->first_ms == packs_floor(row->first_ms, step_ms) ||
           err_set(err, ERR_INPUT, 0, "time: expected the begin of a full step of UTC");
}

bool record_to_group(const struct record *r, struct record_group *ret_group, struct err *err)
{
    char policy[SAMPLES_POLICY_SIZE];
    struct record_group g = {.policy = r->text[POLICY],
                             .row = {.first_ms = r->number[TIME],
                                     .label = r->text[GROUP_LABEL],
                                     .value = r->text[GROUP_NAME],
                                     .covered_ms = r->number[COVERED],
                                     .most_paid_milli = r->number[GROUP_MOST_PAID],
                                     .most_nodes_milli = r->number[GROUP_MOST_NODES]}};

    memcpy(g.row.mean_milli, &r->number[GROUP_MEANS], sizeof g.row.mean_milli);
    if (!take_policy(g.policy, policy, err) ||
        !to_group_level(r->number[GROUP_STEP], &g.row.level, err) || !expect_group(&g.row, err))
        return false;
    *ret_group = g;
    return true;
}

void record_from_event(const struct event *e, struct record *to)
{
    bool pod = e->kind >= EVENT_POD_FOUND;

    record_clear(to, RECORD_EVENT);
    to->number[TIME] = e->t_ms;
    to->text[EVENT_WHAT] = sv_from(event_kind_name(e->kind));
    to->text[EVENT_NODE_NAME] = e->node;
    if (e->kind == EVENT_GAP)
        to->text[EVENT_REASON] = sv_from(gap_why_name(e->why));
    if (pod) {
        to->number[EVENT_POD] = (int64_t)e->pod;
        to->number[EVENT_CREATED] = e->created_ms;
    }
    if (e->shape == NULL)
        return;
    to->number[EVENT_CPU] = e->shape->amount.at[RESOURCE_CPU];
    to->number[EVENT_MEMORY] = e->shape->amount.at[RESOURCE_MEMORY];
    if (pod) {
        to->number[EVENT_PRIORITY] = e->shape->priority;
        to->number[EVENT_FILLER] = e->shape->filler;
    }
}

void record_from_blocked(const struct blocked_pod *pod, struct record *to)
{
    record_clear(to, RECORD_BLOCKED);
    to->number[TIME] = pod->reported_ms;
    to->number[UNTIL] = pod->until_ms;
    to->number[BLOCKED_CREATED] = pod->created_ms;
    to->number[BLOCKED_CPU] = pod->cpu_milli;
    to->text[BLOCKED_END] = pod->bound ? SV("bound") : pod->waits ? SV("waits") : SV("gone");
}
