#include "storage/import.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "storage/activity.h"
#include "storage/codec.h"
#include "storage/rollup.h"

enum { MAX_FIGURES = 64, MAX_GROUP_ROWS = 4096 }; /* rows of one chunk */

/* One that an import before left is no longer wanted. */
#define MAKE_VALUES                                                                                \
    "DROP TABLE IF EXISTS temp.loaded;"                                                            \
    "CREATE TEMP TABLE loaded(policy TEXT NOT NULL, t INTEGER NOT NULL, field INTEGER NOT NULL, "  \
    "value INTEGER NOT NULL, PRIMARY KEY(policy, t, field)) WITHOUT ROWID"
#define ADD_VALUE                                                                                  \
    "INSERT INTO temp.loaded(policy, t, field, value) VALUES(:policy, :t, :field, :value) ON "     \
    "CONFLICT DO UPDATE SET value = value RETURNING value"
#define VALUES "SELECT policy, t, field, value FROM temp.loaded ORDER BY policy, t, field"
/* The gaps that were there before, so that one is found without reading them all. */
#define MAKE_GAPS                                                                                  \
    "DROP TABLE IF EXISTS temp.known;"                                                             \
    "CREATE TEMP TABLE known(first INTEGER NOT NULL, last INTEGER NOT NULL, why TEXT NOT NULL, "   \
    "decisions INTEGER NOT NULL, PRIMARY KEY(first, last, why, decisions)) WITHOUT ROWID;"         \
    "INSERT OR IGNORE INTO temp.known SELECT first, last, why, decisions FROM gap"
#define HAS_GAP                                                                                    \
    "SELECT first FROM temp.known WHERE first = :first AND last = :last AND why = :why AND "       \
    "decisions = :decisions"

/* Samples of one hour. */
struct hour {
    char policy[SAMPLES_POLICY_SIZE];
    int64_t first_ms;
    struct sample *at;
    size_t n, cap;
};

/* Figures of one chunk. */
struct chunk_figures {
    char policy[SAMPLES_POLICY_SIZE];
    enum level level;
    int64_t first_ms;
    struct record_figures *at; /* MAX_FIGURES */
    size_t n;
};

/* Rows of groups that belong together; their texts are copies. */
struct chunk_groups {
    char policy[SAMPLES_POLICY_SIZE];
    struct groups_row *at;
    size_t n, cap;
};

/* An hour whose figures came with the import. */
struct figured {
    int64_t policy, hour_ms;
};

struct import {
    struct history *history;
    struct import_options options;
    struct import_counts counts;
    struct db_stmt *has_gap, *add_value;
    struct hour hour;
    struct chunk_figures figures;
    struct chunk_groups groups;
    struct figured *figured;
    size_t n_figured, cap_figured, next_figured;
    bool committed;
};

static const char *when(int64_t ms, char text[static WALL_TEXT_SIZE])
{
    wall_format((struct wall){ms * US_PER_MS}, 3, text);
    return text;
}

/* ---- figures ---- */

struct matching {
    struct import *import;
    bool *same; /* of each row of the chunk: is it there as it is */
    bool *there;
};

static bool same_figures(const struct record_figures *mine, const struct rollup_row *theirs)
{
    for (int k = 0; k < SERIES_COUNT_; k++) {
        const struct figures *a = &mine->at[k], *b = &theirs->at[k];

        if (a->covered_ms != b->covered_ms || a->min != b->min || a->max != b->max ||
            a->p50 != b->p50 || a->p90 != b->p90 || a->p99 != b->p99 ||
            a->mean_milli != b->mean_milli)
            return false;
    }
    return mine->covered_ms == theirs->covered_ms;
}

static bool match_row(void *self, const struct rollup_row *row)
{
    struct matching *m = self;
    const struct chunk_figures *c = &m->import->figures;

    for (size_t i = 0; i < c->n; i++) {
        if (c->at[i].first_ms != row->first_ms)
            continue;
        m->there[i] = true;
        m->same[i] = same_figures(&c->at[i], row);
    }
    return true;
}

static enum record_kind kind_of(enum level level)
{
    return level == LEVEL_DAY ? RECORD_DAY : level == LEVEL_HOUR ? RECORD_HOUR : RECORD_MINUTE;
}

static bool refuse_figures(const struct chunk_figures *c, size_t i, struct err *err)
{
    char text[WALL_TEXT_SIZE];

    return err_set(err, ERR_CONFLICT, 0,
                   "the history has other figures of %s for the %s from %s: --replace takes these "
                   "in their place",
                   c->policy, record_kind_name(kind_of(c->level)), when(c->at[i].first_ms, text));
}

static bool put_figures(struct import *im, int64_t policy, const struct matching *m,
                        struct err *err)
{
    struct chunk_figures *c = &im->figures;
    struct rollup_row rows[MAX_FIGURES];
    enum record_kind kind = kind_of(c->level);
    size_t n = 0;

    for (size_t i = 0; i < c->n; i++) {
        if (m->same[i]) {
            im->counts.there[kind]++;
            continue;
        }
        if (m->there[i] && !im->options.replace)
            return refuse_figures(c, i, err);
        im->counts.added[kind] += !m->there[i];
        im->counts.replaced[kind] += m->there[i];
        rows[n++] = (struct rollup_row){
            .first_ms = c->at[i].first_ms, .covered_ms = c->at[i].covered_ms, .at = c->at[i].at};
    }
    return n == 0 || rollup_put(im->history, policy, c->level, rows, n, err);
}

static bool end_figures(struct import *im, struct err *err)
{
    struct chunk_figures *c = &im->figures;
    bool same[MAX_FIGURES] = {false}, there[MAX_FIGURES] = {false};
    struct matching m = {.import = im, .same = same, .there = there};
    enum series all[SERIES_COUNT_];
    struct rollup_query q = {.level = c->level,
                             .from_ms = c->first_ms,
                             .until_ms = c->first_ms + level_span_ms(c->level),
                             .series = all,
                             .n_series = SERIES_COUNT_};
    bool ok;

    if (c->n == 0)
        return true;
    for (int k = 0; k < SERIES_COUNT_; k++)
        all[k] = (enum series)k;
    ok = samples_policy(im->history->samples, sv_from(c->policy), &q.policy, err) &&
         rollup_each(im->history, &q, match_row, &m, err) && put_figures(im, q.policy, &m, err);
    for (size_t i = 0; ok && i < c->n && c->level == LEVEL_HOUR; i++)
        VEC_PUSH(im->figured, im->n_figured, im->cap_figured,
                 ((struct figured){.policy = q.policy, .hour_ms = c->at[i].first_ms}));
    c->n = 0;
    return ok;
}

static bool add_figures(struct import *im, const struct record *r, struct err *err)
{
    struct chunk_figures *c = &im->figures;
    struct record_figures found;
    int64_t first_ms;

    if (!record_to_figures(r, &found, err))
        return false;
    first_ms = packs_floor(found.first_ms, level_span_ms(found.level));
    if ((c->n == MAX_FIGURES || first_ms != c->first_ms || found.level != c->level ||
         !sv_eq(found.policy, sv_from(c->policy))) &&
        !end_figures(im, err))
        return false;
    if (c->n != 0 && c->at[c->n - 1].first_ms >= found.first_ms)
        return err_set(err, ERR_INPUT, 0,
                       "time: found one that is not after that of the row before, expected figures "
                       "of a policy by time");
    if (c->n == 0) {
        c->level = found.level;
        c->first_ms = first_ms;
        (void)snprintf(c->policy, sizeof c->policy, "%.*s", SV_ARG(found.policy));
    }
    c->at[c->n++] = found;
    return true;
}

/* ---- samples ---- */

static bool keep_sample(void *self, const struct sample *s)
{
    struct hour *there = self;

    VEC_PUSH(there->at, there->n, there->cap, *s);
    return there->n < CODEC_MAX_ROWS;
}

static bool same_sample(const struct sample *a, const struct sample *b)
{
    return a->t_ms == b->t_ms && a->merged == b->merged && memcmp(a->at, b->at, sizeof a->at) == 0;
}

/* May the sample go between those that are there? `next`: the place of the first of them that is not before it. */
static bool fits_between(const struct hour *there, size_t next, const struct sample *s,
                         struct err *err)
{
    const struct sample *before = next > 0 ? &there->at[next - 1] : NULL;
    char text[WALL_TEXT_SIZE], other[WALL_TEXT_SIZE];

    if (next < there->n && there->at[next].t_ms == s->t_ms)
        return err_set(err, ERR_CONFLICT, 0,
                       "the history has another sample of %s at %s: --replace takes this in its "
                       "place",
                       there->policy, when(s->t_ms, text));
    if (before == NULL || next == there->n ||
        there->at[next].t_ms - before->t_ms > sample_hold_ms(before))
        return true;
    return err_set(
        err, ERR_CONFLICT, 0,
        "the history has samples of %s before and after %s, at %s: --replace takes these "
        "in their place",
        there->policy, when(s->t_ms, text), when(before->t_ms, other));
}

/* What is new among the samples of the hour; with all that is there and stays, in order. */
static bool merge(struct import *im, const struct hour *there, struct hour *all, bool *ret_new,
                  struct err *err)
{
    const struct hour *mine = &im->hour;
    int64_t first_ms = mine->at[0].t_ms, last_ms = mine->at[mine->n - 1].t_ms;
    size_t next = 0;

    *ret_new = false;
    for (size_t i = 0; i < mine->n; i++) {
        for (; next < there->n && there->at[next].t_ms < mine->at[i].t_ms; next++) {
            bool covered = there->at[next].t_ms >= first_ms && there->at[next].t_ms <= last_ms;

            if (im->options.replace && covered) {
                im->counts.replaced[RECORD_SAMPLE]++;
                *ret_new = true;
            } else {
                VEC_PUSH(all->at, all->n, all->cap, there->at[next]);
            }
        }
        if (next < there->n && same_sample(&there->at[next], &mine->at[i])) {
            im->counts.there[RECORD_SAMPLE]++;
            VEC_PUSH(all->at, all->n, all->cap, there->at[next++]);
            continue;
        }
        if (!im->options.replace && !fits_between(there, next, &mine->at[i], err))
            return false;
        *ret_new = true;
        if (next < there->n && there->at[next].t_ms == mine->at[i].t_ms) {
            im->counts.replaced[RECORD_SAMPLE]++;
            next++;
        } else {
            im->counts.added[RECORD_SAMPLE]++;
        }
        VEC_PUSH(all->at, all->n, all->cap, mine->at[i]);
    }
    for (; next < there->n; next++)
        VEC_PUSH(all->at, all->n, all->cap, there->at[next]);
    return true;
}

/* Both come by policy and time: the search goes on where it ended. */
static bool is_figured(struct import *im, int64_t policy, int64_t hour_ms)
{
    for (size_t n = 0; n < im->n_figured; n++) {
        size_t i = (im->next_figured + n) % im->n_figured;

        if (im->figured[i].policy == policy && im->figured[i].hour_ms == hour_ms) {
            im->next_figured = i + 1;
            return true;
        }
    }
    return false;
}

static bool write_hour(struct import *im, int64_t policy, bool some, const struct hour *all,
                       struct err *err)
{
    struct samples *samples = im->history->samples;
    bool ok = !some || samples_drop_hour(samples, policy, im->hour.first_ms, err);

    for (size_t i = 0; ok && i < all->n; i++)
        ok = samples_add(samples, &all->at[i], err);
    if (!ok || !is_figured(im, policy, im->hour.first_ms))
        return ok;
    return samples_pack(samples, policy, im->hour.first_ms, err);
}

static bool end_hour(struct import *im, struct err *err)
{
    struct hour *mine = &im->hour, there = {0}, all = {0};
    int64_t policy;
    bool ok, some;

    if (mine->n == 0)
        return true;
    memcpy(there.policy, mine->policy, sizeof there.policy);
    ok = samples_policy(im->history->samples, sv_from(mine->policy), &policy, err) &&
         samples_each(im->history->samples, sv_from(mine->policy), mine->first_ms,
                      mine->first_ms + PACKS_HOUR_MS, keep_sample, &there, err) &&
         merge(im, &there, &all, &some, err) &&
         (!some || write_hour(im, policy, there.n != 0, &all, err));
    free(there.at);
    free(all.at);
    mine->n = 0;
    return ok;
}

static bool take_sample(struct import *im, const struct sample *s, struct err *err)
{
    struct hour *hour = &im->hour;
    int64_t hour_ms = packs_floor(s->t_ms, PACKS_HOUR_MS);
    char text[WALL_TEXT_SIZE];

    if ((hour_ms != hour->first_ms || strcmp(s->policy, hour->policy) != 0) && !end_hour(im, err))
        return false;
    if (hour->n != 0 && hour->at[hour->n - 1].t_ms >= s->t_ms)
        return err_set(
            err, ERR_INPUT, 0,
            "time: found one that is not after %s of the row before, expected samples of "
            "a policy by time",
            when(hour->at[hour->n - 1].t_ms, text));
    if (hour->n == CODEC_MAX_ROWS)
        return err_set(err, ERR_LIMIT, 0, "found more than %d samples of one hour", CODEC_MAX_ROWS);
    hour->first_ms = hour_ms;
    memcpy(hour->policy, s->policy, sizeof hour->policy);
    VEC_PUSH(hour->at, hour->n, hour->cap, *s);
    return true;
}

static bool add_sample(struct import *im, const struct record *r, struct err *err)
{
    struct sample s;

    return record_to_sample(r, &s, err) && take_sample(im, &s, err);
}

/* ---- values ---- */

static bool refuse_value(struct sv policy, int64_t t_ms, enum sample_field field, struct err *err)
{
    char text[WALL_TEXT_SIZE];

    return err_set(err, ERR_CONFLICT, 0, "found a second value for %s of %.*s at %s, expected one",
                   sample_field_name(field), SV_ARG(policy), when(t_ms, text));
}

static bool open_values(struct import *im, struct err *err)
{
    return im->add_value != NULL || (db_exec(im->history->db, MAKE_VALUES, err) &&
                                     db_prepare(im->history->db, ADD_VALUE, &im->add_value, err));
}

bool import_value(struct import *im, struct sv policy, int64_t t_ms, enum sample_field field,
                  int64_t value, struct err *err)
{
    struct db_stmt *s;
    int64_t there = value;
    bool row;

    if (!open_values(im, err))
        return false;
    s = im->add_value;
    db_bind_text(s, ":policy", policy);
    db_bind_i64(s, ":t", t_ms);
    db_bind_i64(s, ":field", field);
    db_bind_i64(s, ":value", value);
    if (!db_step(s, &row, err))
        return false;
    if (row) {
        there = db_i64(s, 0);
        db_reset(s);
    }
    return there == value || refuse_value(policy, t_ms, field, err);
}

/* A sample that is complete; what is kept in holes is about reserve and headroom. */
static bool take_grown(struct import *im, struct sample *s, struct err *err)
{
    int64_t reserve = s->at[SAMPLE_RESERVE], headroom = s->at[SAMPLE_HEADROOM];

    if (s->policy[0] == '\0')
        return true;
    if (s->at[SAMPLE_KEPT] == SAMPLE_UNKNOWN && reserve != SAMPLE_UNKNOWN &&
        headroom != SAMPLE_UNKNOWN &&
        __builtin_add_overflow(reserve, headroom, &s->at[SAMPLE_KEPT]))
        s->at[SAMPLE_KEPT] = INT64_MAX;
    return take_sample(im, s, err);
}

/* A sample that grows value by value. */
static bool take_value(struct import *im, struct db_stmt *row, struct sample *s, struct err *err)
{
    struct sv policy = db_text(row, 0);
    int64_t t_ms = db_i64(row, 1), field = db_i64(row, 2);

    if (t_ms != s->t_ms || !sv_eq(policy, sv_from(s->policy))) {
        if (!take_grown(im, s, err))
            return false;
        *s = (struct sample){.t_ms = t_ms};
        (void)snprintf(s->policy, sizeof s->policy, "%.*s", SV_ARG(policy));
        for (int i = 0; i < SAMPLE_COUNT_; i++)
            s->at[i] = SAMPLE_UNKNOWN;
    }
    if (field >= 0 && field < SAMPLE_COUNT_)
        s->at[field] = db_i64(row, 3);
    return true;
}

bool import_values_end(struct import *im, struct err *err)
{
    struct sample s = {0};
    struct db_stmt *values;
    bool row, ok;

    if (im->add_value == NULL)
        return true;
    if (!db_prepare(im->history->db, VALUES, &values, err))
        return false;
    do {
        ok = db_step(values, &row, err) && (!row || take_value(im, values, &s, err));
    } while (ok && row);
    ok = ok && take_grown(im, &s, err);
    db_stmt_free(values);
    return ok;
}

/* ---- the others ---- */

static bool add_decision(struct import *im, const struct record *r, struct err *err)
{
    struct decisions *decisions = im->history->decisions;
    struct decision_entry d, there;
    char text[WALL_TEXT_SIZE];
    bool is_there;

    if (!record_to_decision(r, &d, err) || !decisions_find(decisions, d.id, &there, &is_there, err))
        return false;
    if (is_there && d.t_ms == there.t_ms && strcmp(d.policy, there.policy) == 0 &&
        strcmp(d.reason, there.reason) == 0 && strcmp(d.bound, there.bound) == 0 &&
        strcmp(d.detail, there.detail) == 0 && memcmp(d.at, there.at, sizeof d.at) == 0) {
        im->counts.there[RECORD_DECISION]++;
        return true;
    }
    if (is_there && !im->options.replace)
        return err_set(
            err, ERR_CONFLICT, 0,
            "the history has another decision %llu, of %s at %s: --replace takes this in "
            "its place",
            (unsigned long long)d.id, there.policy, when(there.t_ms, text));
    im->counts.added[RECORD_DECISION] += !is_there;
    im->counts.replaced[RECORD_DECISION] += is_there;
    return (!is_there || decisions_drop(decisions, d.id, err)) && decisions_add(decisions, &d, err);
}

static bool open_gaps(struct import *im, struct err *err)
{
    return im->has_gap != NULL || (db_exec(im->history->db, MAKE_GAPS, err) &&
                                   db_prepare(im->history->db, HAS_GAP, &im->has_gap, err));
}

static bool add_gap(struct import *im, const struct record *r, struct err *err)
{
    struct db_stmt *s;
    struct history_gap gap;
    bool there;

    if (!record_to_gap(r, &gap, err) || !open_gaps(im, err))
        return false;
    s = im->has_gap;
    db_bind_i64(s, ":first", gap.first_ms);
    db_bind_i64(s, ":last", gap.last_ms);
    db_bind_text(s, ":why", gap.why);
    db_bind_i64(s, ":decisions", gap.decisions);
    if (!db_step(s, &there, err))
        return false;
    if (there)
        db_reset(s);
    im->counts.there[RECORD_GAP] += there;
    im->counts.added[RECORD_GAP] += !there;
    return there || history_add_gap(im->history, &gap, err);
}

static bool add_chunk(struct import *im, const struct record *r, struct err *err)
{
    struct chunk chunk;
    bool there, same;

    if (!record_to_chunk(r, &chunk, err) ||
        !chunks_look(im->history->chunks, &chunk, &there, &same, err))
        return false;
    if (there && !same && !im->options.replace)
        return err_set(
            err, ERR_CONFLICT, 0,
            "the history has another part %lld of segment %lld of the journal: --replace "
            "takes this in its place",
            (long long)chunk.number, (long long)chunk.segment);
    im->counts.there[RECORD_JOURNAL] += same;
    im->counts.replaced[RECORD_JOURNAL] += there && !same;
    im->counts.added[RECORD_JOURNAL] += !there;
    return same || chunks_put(im->history->chunks, &chunk, err);
}

static bool add_activity(struct import *im, const struct record *r, struct err *err)
{
    struct history *h = im->history;
    struct record_activity a;
    int64_t policy = 0;
    bool there, same;

    if (!record_to_activity(r, &a, err) ||
        (a.policy.len != 0 && !samples_policy(h->samples, a.policy, &policy, err)) ||
        !activity_look(h, policy, a.level, a.first_ms, a.data, &there, &same, err))
        return false;
    if (there && !same && !im->options.replace)
        return err_set(err, ERR_CONFLICT, 0,
                       "the history tells of something else that happened then: --replace takes "
                       "this in its place");
    im->counts.there[RECORD_ACTIVITY] += same;
    im->counts.replaced[RECORD_ACTIVITY] += there && !same;
    im->counts.added[RECORD_ACTIVITY] += !there;
    return same || activity_put(h, policy, a.level, a.first_ms, a.data, err);
}

/* ---- groups ---- */

static bool same_chunk(const struct groups_row *a, const struct groups_row *b)
{
    int64_t span_ms = level_span_ms(a->level);

    if (a->level != b->level)
        return false;
    return a->level == LEVEL_SAMPLES
               ? a->first_ms == b->first_ms
               : packs_floor(a->first_ms, span_ms) == packs_floor(b->first_ms, span_ms);
}

static void drop_groups(struct chunk_groups *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free((char *)(uintptr_t)c->at[i].label.at);
        free((char *)(uintptr_t)c->at[i].value.at);
    }
    c->n = 0;
}

static bool end_groups(struct import *im, struct err *err)
{
    struct chunk_groups *c = &im->groups;
    struct groups_put_counts counts = {0};
    bool ok = c->n == 0 || groups_put(im->history->groups, sv_from(c->policy), c->at, c->n,
                                      im->options.replace, &counts, err);

    im->counts.added[RECORD_GROUP] += counts.added;
    im->counts.there[RECORD_GROUP] += counts.there;
    im->counts.replaced[RECORD_GROUP] += counts.replaced;
    drop_groups(c);
    return ok;
}

static bool add_group(struct import *im, const struct record *r, struct err *err)
{
    struct chunk_groups *c = &im->groups;
    struct record_group found;

    if (!record_to_group(r, &found, err))
        return false;
    if (c->n != 0 &&
        (!sv_eq(found.policy, sv_from(c->policy)) || !same_chunk(&c->at[0], &found.row) ||
         c->n == MAX_GROUP_ROWS) &&
        !end_groups(im, err))
        return false;
    if (c->n == 0)
        (void)snprintf(c->policy, sizeof c->policy, "%.*s", SV_ARG(found.policy));
    found.row.label = (struct sv){sv_dup(found.row.label), found.row.label.len};
    found.row.value = (struct sv){sv_dup(found.row.value), found.row.value.len};
    VEC_PUSH(c->at, c->n, c->cap, found.row);
    return true;
}

bool import_add(struct import *im, const struct record *r, struct err *err)
{
    switch (r->kind) {
    case RECORD_DAY:
    case RECORD_HOUR:
    case RECORD_MINUTE:
        return add_figures(im, r, err);
    case RECORD_SAMPLE:
        return end_figures(im, err) && add_sample(im, r, err);
    case RECORD_DECISION:
        return add_decision(im, r, err);
    case RECORD_GAP:
        return add_gap(im, r, err);
    case RECORD_JOURNAL:
        return add_chunk(im, r, err);
    case RECORD_ACTIVITY:
        return add_activity(im, r, err);
    case RECORD_GROUP:
        return add_group(im, r, err);
    case RECORD_EVENT:
    case RECORD_BLOCKED:
    case RECORD_KIND_COUNT_:
        break;
    }
    return err_set(err, ERR_INPUT, 0,
                   "found %s: these come out of the journal, which is taken in as rows of kind "
                   "journal",
                   r->kind == RECORD_EVENT ? "an event" : "a blocked pod");
}

bool import_begin(struct history *h, const struct import_options *options,
                  struct import **ret_import, struct err *err)
{
    struct import *im = xcalloc(1, sizeof *im);

    *im = (struct import){.history = h, .options = *options};
    im->figures.at = xcalloc(MAX_FIGURES, sizeof *im->figures.at);
    if (!db_begin(h->db, err)) {
        import_free(im);
        return false;
    }
    *ret_import = im;
    return true;
}

bool import_end(struct import *im, struct import_counts *ret_counts, struct err *err)
{
    if (!end_figures(im, err) || !end_hour(im, err) || !end_groups(im, err) ||
        !db_commit(im->history->db, err))
        return false;
    im->committed = true;
    *ret_counts = im->counts;
    return true;
}

void import_free(struct import *im)
{
    if (im == NULL)
        return;
    db_stmt_free(im->has_gap);
    db_stmt_free(im->add_value);
    if (!im->committed)
        db_rollback(im->history->db);
    drop_groups(&im->groups);
    free(im->groups.at);
    free(im->figured);
    free(im->figures.at);
    free(im->hour.at);
    free(im);
}
