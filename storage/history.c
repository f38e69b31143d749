#include "storage/history.h"

#include "storage/schema.h"

enum { SHRINK_PART = 10 };

#define ADD_GAP                                                                                    \
    "INSERT INTO gap(first, last, why, decisions) VALUES(:first, :last, :why, :decisions)"
#define GAPS                                                                                       \
    "SELECT first, last, why, decisions FROM gap WHERE last >= :from AND first < :until ORDER BY " \
    "id"
#define FORGET_GAPS "DELETE FROM gap WHERE last < :before"

bool history_open(const struct db_options *options, struct history *ret_history, struct err *err)
{
    struct history h = {0};

    if (!schema_open(options, &h.db, err) || !samples_open(h.db, &h.samples, err) ||
        !decisions_open(h.db, h.samples, &h.decisions, err) || !chunks_open(h.db, &h.chunks, err)) {
        history_close(&h);
        return false;
    }
    *ret_history = h;
    return true;
}

void history_close(struct history *h)
{
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
           decisions_forget(h->decisions, before_ms, err) && forget_gaps(h, before_ms, err);
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
    return finish(h, ok, err);
}

static bool shrink(struct history *h, struct err *err)
{
    int64_t first, last;
    bool ok;

    if (!db_begin(h->db, err))
        return false;
    ok = chunks_drop_oldest(h->chunks, err) && samples_span(h->samples, &first, &last, err) &&
         forget_before(h, first + (last - first) / SHRINK_PART, err);
    return finish(h, ok, err);
}

bool history_shrink(struct history *h, struct err *err)
{
    bool ok = db_use_spare(h->db, true, err) && shrink(h, err);

    return db_use_spare(h->db, false, ok ? err : NULL) && ok;
}
