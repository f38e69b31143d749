#include "storage/history.h"

#include "base/num.h"
#include "storage/activity.h"
#include "storage/codec.h"
#include "storage/rollup.h"
#include "storage/schema.h"

enum { SHRINK_PART = 10, HOLD_HOURS = 25 };

#define ADD_GAP                                                                                    \
    "INSERT INTO gap(first, last, why, decisions) VALUES(:first, :last, :why, :decisions)"
#define GAPS                                                                                       \
    "SELECT first, last, why, decisions FROM gap WHERE last >= :from AND first < :until ORDER BY " \
    "id"
#define ALL_PACKS   "SELECT data FROM pack UNION ALL SELECT data FROM activity"
#define CHANGES     "SELECT total_changes()"
#define FORGET_GAPS "DELETE FROM gap WHERE last < :before"

#define FORGET_GROUP_NAMES                                                                         \
    "DELETE FROM node_group WHERE policy NOT IN (SELECT policy FROM pack WHERE level >= 4"         \
    " UNION SELECT policy FROM group_sample)"

_Static_assert(LEVEL_GROUP_MINUTE == 4 && LEVEL_COUNT_ == LEVEL_GROUP_DAY + 1,
               "levels of groups come last");

bool history_open(const struct db_options *options, struct history *ret_history, struct err *err)
{
    struct history h = {0};

    if (!schema_open(options, &h.db, err) || !samples_open(h.db, &h.samples, err) ||
        !decisions_open(h.db, h.samples, &h.decisions, err) || !chunks_open(h.db, &h.chunks, err) ||
        !packs_open(h.db, PACKS_FIGURES, &h.packs, err) ||
        !packs_open(h.db, PACKS_ACTIVITY, &h.activity, err) ||
        !groups_open(h.db, h.samples, &h.groups, err)) {
        history_close(&h);
        return false;
    }
    *ret_history = h;
    return true;
}

void history_close(struct history *h)
{
    groups_close(h->groups);
    activity_progress_free(h->activity_progress);
    packs_close(h->activity);
    packs_close(h->packs);
    chunks_close(h->chunks);
    decisions_close(h->decisions);
    samples_close(h->samples);
    db_close(h->db);
    *h = (struct history){0};
}

bool history_add_gap(struct history *h, const struct history_gap *gap, struct err *err)
{
    struct db_stmt *s;
    bool ok;

    if (!db_prepare(h->db, ADD_GAP, &s, err))
        return false;
    db_bind_i64(s, ":first", gap->first_ms);
    db_bind_i64(s, ":last", gap->last_ms);
    db_bind_text(s, ":why", gap->why);
    db_bind_i64(s, ":decisions", gap->decisions);
    ok = db_run(s, err);
    db_stmt_free(s);
    return ok;
}

bool history_gaps(struct history *h, int64_t from_ms, int64_t until_ms,
                  bool (*each)(void *self, const struct history_gap *gap), void *self,
                  struct err *err)
{
    struct db_stmt *s;
    bool ok, row = false;

    if (!db_prepare(h->db, GAPS, &s, err))
        return false;
    db_bind_i64(s, ":from", from_ms);
    db_bind_i64(s, ":until", until_ms);
    do {
        ok = db_step(s, &row, err);
    } while (ok && row &&
             each(self, &(struct history_gap){.first_ms = db_i64(s, 0),
                                              .last_ms = db_i64(s, 1),
                                              .why = db_text(s, 2),
                                              .decisions = db_i64(s, 3)}));
    db_stmt_free(s);
    return ok;
}

bool history_damaged(struct history *h, int64_t *ret_parts, struct err *err)
{
    struct db_stmt *s;
    struct codec codec;
    int64_t parts = 0;
    bool ok, row = false;

    if (!db_prepare(h->db, ALL_PACKS, &s, err))
        return false;
    do {
        ok = db_step(s, &row, err);
        parts += ok && row && !codec_open(db_blob(s, 0), &codec, NULL);
    } while (ok && row);
    db_stmt_free(s);
    if (ok)
        *ret_parts = parts;
    return ok;
}

int64_t history_damage_met(const struct history *h)
{
    return samples_damaged(h->samples) + groups_damaged(h->groups);
}

static bool forget_gaps(struct history *h, int64_t before_ms, struct err *err)
{
    struct db_stmt *s;
    bool ok;

    if (!db_prepare(h->db, FORGET_GAPS, &s, err))
        return false;
    db_bind_i64(s, ":before", before_ms);
    ok = db_run(s, err);
    db_stmt_free(s);
    return ok;
}

static bool forget_before(struct history *h, int64_t before_ms, struct err *err)
{
    return samples_forget(h->samples, before_ms, err) &&
           decisions_forget(h->decisions, before_ms, err) && forget_gaps(h, before_ms, err) &&
           packs_forget(h->packs, LEVEL_GROUP_MINUTE, before_ms, err);
}

static bool forget_level(struct history *h, enum level level, int64_t before_ms, struct err *err)
{
    return packs_forget(h->packs, level, before_ms, err) &&
           packs_forget(h->activity, level, before_ms, err);
}

static bool forget_hours(struct history *h, int64_t before_ms, struct err *err)
{
    return forget_level(h, LEVEL_HOUR, before_ms, err) &&
           forget_level(h, LEVEL_DAY, before_ms, err) &&
           packs_forget(h->packs, LEVEL_GROUP_HOUR, before_ms, err) &&
           packs_forget(h->packs, LEVEL_GROUP_DAY, before_ms, err);
}

static bool finish(struct history *h, bool ok, struct err *err)
{
    ok = ok && db_commit(h->db, err);
    if (!ok)
        db_rollback(h->db);
    return ok;
}

bool history_forget(struct history *h, const struct history_keep *keep, int64_t now_ms,
                    struct err *err)
{
    bool ok;

    if (!db_begin(h->db, err))
        return false;
    ok = chunks_keep(h->chunks, keep->journal_bytes > 0 ? keep->journal_bytes : INT64_MAX,
                     keep->journal_ms > 0 ? now_ms - keep->journal_ms : INT64_MIN, err);
    if (ok && keep->samples_ms > 0)
        ok = forget_before(h, now_ms - keep->samples_ms, err);
    if (ok && keep->minutes_ms > 0)
        ok = forget_level(h, LEVEL_MINUTE, now_ms - keep->minutes_ms, err);
    if (ok && keep->hours_ms > 0)
        ok = forget_hours(h, now_ms - keep->hours_ms, err);
    return finish(h, ok, err);
}

/*
 * A day's figures, once it is over and nothing of it waits to be packed. It was over before if there is something later: a clock was
 * set back.
 */
static bool pack_day(struct history *h, int64_t policy, int64_t day_ms, int64_t now_ms,
                     struct err *err)
{
    int64_t end_ms = day_ms + PACKS_DAY_MS, begin, until;
    bool open = true;

    if (!packs_span(h->packs, LEVEL_SAMPLES, &begin, &until, err))
        return false;
    if (now_ms < end_ms && until < end_ms)
        return true;
    return samples_has_rows(h->samples, policy, day_ms, end_ms, &open, err) &&
           (open || rollup_make_day(h, policy, day_ms, err));
}

/* An hour, and those after it into which its last sample holds: a merged one does so for up to a day. */
static bool pack_hours(struct history *h, int64_t policy, int64_t hour_ms, struct err *err)
{
    int64_t covered_ms = 1;
    bool ok = true, open = false;

    for (int i = 0; ok && !open && covered_ms != 0 && i <= HOLD_HOURS; i++) {
        ok = rollup_make_hour(h, policy, hour_ms, &covered_ms, err);
        hour_ms += PACKS_HOUR_MS;
        ok = ok &&
             samples_has_rows(h->samples, policy, hour_ms, hour_ms + PACKS_HOUR_MS, &open, err);
    }
    return ok;
}

/* Groups of nodes, hour by hour; then what happened, round by round. */
static bool pack_others(struct history *h, int64_t now_ms, bool *ret_more, struct err *err)
{
    int64_t policy = 0, hour_ms = 0;

    if (!groups_unpacked(h->groups, now_ms, &policy, &hour_ms, err))
        return false;
    *ret_more = hour_ms != INT64_MIN;
    if (!*ret_more)
        return activity_roll(h, now_ms, ret_more, err);
    return finish(h, db_begin(h->db, err) && groups_pack(h->groups, policy, hour_ms, err), err);
}

bool history_pack(struct history *h, int64_t now_ms, bool *ret_more, struct err *err)
{
    int64_t policy = 0, hour_ms = 0;
    bool ok;

    if (!samples_unpacked(h->samples, now_ms, &policy, &hour_ms, err))
        return false;
    if (hour_ms == INT64_MIN)
        return pack_others(h, now_ms, ret_more, err);
    *ret_more = true;
    ok = db_begin(h->db, err) && samples_pack(h->samples, policy, hour_ms, err) &&
         pack_hours(h, policy, hour_ms, err) &&
         pack_day(h, policy, packs_floor(hour_ms, PACKS_DAY_MS), now_ms, err);
    return finish(h, ok, err);
}

/* From the first row of a level to the end of the last, of figures and of what happened; both 0: there are none. */
static bool level_span(struct history *h, enum level level, int64_t *ret_begin_ms,
                       int64_t *ret_until_ms, struct err *err)
{
    int64_t begin, until, told_begin, told_until;

    if (!packs_span(h->packs, level, &begin, &until, err) ||
        !packs_span(h->activity, level, &told_begin, &told_until, err))
        return false;
    *ret_begin_ms = until == 0 ? told_begin : told_until == 0 ? begin : min_i64(begin, told_begin);
    *ret_until_ms = max_i64(until, told_until);
    return true;
}

/* Drops the oldest tenth of a level's time, and at least one of its chunks, but never the newest. */
static bool shrink_level(struct history *h, enum level level, bool *ret_any, struct err *err)
{
    int64_t begin, until, before, span_ms = level_span_ms(level);

    if (!level_span(h, level, &begin, &until, err))
        return false;
    before = min_i64(begin + max_i64((until - begin) / SHRINK_PART, span_ms),
                     packs_floor(until - 1, span_ms));
    *ret_any = until != 0 && begin < before;
    return !*ret_any || forget_level(h, level, before, err);
}

/* What tells least goes first: minutes, and only where none but the newest are left what is coarser. */
static bool shrink_figures(struct history *h, struct err *err)
{
    static const enum level order[][2] = {
        {LEVEL_MINUTE, LEVEL_MINUTE}, {LEVEL_HOUR, LEVEL_GROUP_HOUR}, {LEVEL_DAY, LEVEL_GROUP_DAY}};
    bool any = false, others = false;

    for (size_t i = 0; !any && !others && i < COUNT_OF(order); i++) {
        if (!shrink_level(h, order[i][0], &any, err) || !shrink_level(h, order[i][1], &others, err))
            return false;
    }
    return true;
}

/* Names of groups that nothing is kept of. */
static bool forget_group_names(struct history *h, struct err *err)
{
    return db_exec(h->db, FORGET_GROUP_NAMES, err);
}

static bool shrink(struct history *h, struct err *err)
{
    int64_t first, last, before = 0, after = 0;
    bool ok;

    if (!db_begin(h->db, err))
        return false;
    ok = db_number(h->db, CHANGES, &before, err) && chunks_drop_oldest(h->chunks, err) &&
         samples_span(h->samples, &first, &last, err) &&
         forget_before(h, first + (last - first) / SHRINK_PART, err) && shrink_figures(h, err) &&
         forget_group_names(h, err) && db_number(h->db, CHANGES, &after, err);
    if (ok && before == after)
        ok = err_set(err, ERR_STORAGE, DB_FULL,
                     "%s: stands at its limit of size, and nothing but the newest is left to drop",
                     db_path(h->db));
    return finish(h, ok, err);
}

bool history_shrink(struct history *h, struct err *err)
{
    bool ok = db_use_spare(h->db, true, err) && shrink(h, err);

    return db_use_spare(h->db, false, ok ? err : NULL) && ok;
}
