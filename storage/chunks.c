#include "storage/chunks.h"

#include "base/alloc.h"

enum statement {
    ADD,
    GROW,
    LAST_SEGMENT,
    START,
    RANGE,
    TOTALS,
    SEGMENTS,
    DROP,
    ALL,
    LOOK,
    PUT,
    STATEMENT_COUNT_
};

static const char *const sql[] = {
    [ADD] = "INSERT INTO chunk(segment, number, first, last, events, bytes, data) "
            "VALUES(:segment, :number, :first, :last, :events, :bytes, :data)",
    /* The offset proves that nothing is missing in between. */
    [GROW] = "UPDATE chunk SET last = :last, events = events + :events, bytes = bytes + :bytes, "
             "data = CAST(data || :data AS BLOB) "
             "WHERE segment = :segment AND number = :number AND bytes = :offset RETURNING number",
    [LAST_SEGMENT] = "SELECT max(segment) FROM chunk",
    [START] = "SELECT max(segment) FROM chunk WHERE number = 0 AND first < :from",
    [RANGE] = "SELECT segment, number, first, data FROM chunk WHERE segment >= :start AND first < "
              ":until ORDER BY segment, number",
    [TOTALS] =
        "SELECT sum(bytes), sum(events), count(DISTINCT segment), min(first), max(last) FROM chunk",
    [SEGMENTS] =
        "SELECT segment, sum(bytes), max(last) FROM chunk GROUP BY segment ORDER BY segment DESC",
    [DROP] = "DELETE FROM chunk WHERE segment <= :segment",
    [ALL] = "SELECT segment, number, first, last, events, data FROM chunk WHERE segment >= :start "
            "AND first < :until ORDER BY segment, number",
    [LOOK] = "SELECT first = :first AND last = :last AND events = :events AND data = :data "
             "FROM chunk WHERE segment = :segment AND number = :number",
    [PUT] = "INSERT OR REPLACE INTO chunk(segment, number, first, last, events, bytes, data) "
            "VALUES(:segment, :number, :first, :last, :events, :bytes, :data)",
};
_Static_assert(COUNT_OF(sql) == STATEMENT_COUNT_, "a statement has no text");

struct chunks {
    struct db *db;
    int64_t base; /* the last segment that was there at opening */
    struct db_stmt *stmt[STATEMENT_COUNT_];
};

bool chunks_open(struct db *db, struct chunks **ret_chunks, struct err *err)
{
    struct chunks *c = xcalloc(1, sizeof *c);

    c->db = db;
    for (int i = 0; i < STATEMENT_COUNT_; i++) {
        if (!db_prepare(db, sql[i], &c->stmt[i], err)) {
            chunks_close(c);
            return false;
        }
    }
    if (!db_number(db, sql[LAST_SEGMENT], &c->base, err)) {
        chunks_close(c);
        return false;
    }
    *ret_chunks = c;
    return true;
}

void chunks_close(struct chunks *c)
{
    if (c == NULL)
        return;
    for (int i = 0; i < STATEMENT_COUNT_; i++)
        db_stmt_free(c->stmt[i]);
    free(c);
}

static void bind_piece(struct chunks *c, struct db_stmt *s, const struct journal_piece *piece)
{
    db_bind_i64(s, ":segment", c->base + (int64_t)piece->segment);
    db_bind_i64(s, ":number", piece->chunk);
    db_bind_i64(s, ":last", piece->last_ms);
    db_bind_i64(s, ":events", piece->events);
    db_bind_i64(s, ":bytes", (int64_t)piece->len);
    db_bind_blob(s, ":data", (struct sv){.at = piece->bytes, .len = piece->len});
}

static bool grow(struct chunks *c, const struct journal_piece *piece, struct err *err)
{
    struct db_stmt *s = c->stmt[GROW];
    bool row;

    bind_piece(c, s, piece);
    db_bind_i64(s, ":offset", (int64_t)piece->offset);
    if (!db_step(s, &row, err))
        return false;
    if (!row)
        return err_set(err, ERR_STORAGE, 0, "%s: a piece of the event journal has lost its chunk",
                       db_path(c->db));
    return db_run(s, err);
}

bool chunks_add(struct chunks *c, const struct journal_piece *piece, struct err *err)
{
    struct db_stmt *s = c->stmt[ADD];

    if (piece->offset != 0)
        return grow(c, piece, err);
    bind_piece(c, s, piece);
    db_bind_i64(s, ":first", piece->first_ms);
    return db_run(s, err);
}

bool chunks_totals(struct chunks *c, struct chunks_totals *ret_totals, struct err *err)
{
    struct db_stmt *s = c->stmt[TOTALS];
    bool row;

    if (!db_step(s, &row, err))
        return false;
    *ret_totals = (struct chunks_totals){0};
    if (!row)
        return true;
    *ret_totals = (struct chunks_totals){.bytes = db_i64(s, 0),
                                         .events = db_i64(s, 1),
                                         .segments = db_i64(s, 2),
                                         .first_ms = db_i64(s, 3),
                                         .last_ms = db_i64(s, 4)};
    db_reset(s);
    return true;
}

static bool drop_up_to(struct chunks *c, int64_t segment, struct err *err)
{
    db_bind_i64(c->stmt[DROP], ":segment", segment);
    return db_run(c->stmt[DROP], err);
}

bool chunks_keep(struct chunks *c, int64_t max_bytes, int64_t before_ms, struct err *err)
{
    struct db_stmt *s = c->stmt[SEGMENTS];
    int64_t bytes = 0, drop = 0;
    bool row, newest = true;

    for (;;) {
        if (!db_step(s, &row, err))
            return false;
        if (!row)
            break;
        bytes += db_i64(s, 1);
        if (!newest && (bytes > max_bytes || db_i64(s, 2) < before_ms)) {
            drop = db_i64(s, 0);
            db_reset(s);
            break;
        }
        newest = false;
    }
    return drop == 0 || drop_up_to(c, drop, err);
}

bool chunks_drop_oldest(struct chunks *c, struct err *err)
{
    int64_t first = 0, last = 0;

    if (!db_number(c->db, "SELECT min(segment) FROM chunk", &first, err) ||
        !db_number(c->db, sql[LAST_SEGMENT], &last, err))
        return false;
    return first == last || drop_up_to(c, first, err);
}

/*
 * Where reading begins: the last segment that began before `from`, else the first there is. Of the millisecond in which one begins
 * something may be in the one before.
 */
static bool start_of(struct chunks *c, int64_t from_ms, int64_t *ret_segment, struct err *err)
{
    struct db_stmt *s = c->stmt[START];
    bool row;

    db_bind_i64(s, ":from", from_ms);
    if (!db_step(s, &row, err))
        return false;
    *ret_segment = row ? db_i64(s, 0) : 0;
    if (row)
        db_reset(s);
    return true;
}

/* The statement is that of chunks from the one that holds `from_ms` on. */
static bool begin_range(struct chunks *c, struct db_stmt *s, int64_t from_ms, int64_t until_ms,
                        struct err *err)
{
    int64_t start;

    if (!start_of(c, from_ms, &start, err))
        return false;
    db_bind_i64(s, ":start", start);
    db_bind_i64(s, ":until", until_ms);
    return true;
}

bool chunks_read(struct chunks *c, int64_t from_ms, int64_t until_ms, unpack_each_fn *each,
                 void *self, int64_t *ret_damaged, struct err *err)
{
    CLEANUP(unpack_free_ptr) struct unpack *u = unpack_new(from_ms, until_ms, each, self);
    struct db_stmt *s = c->stmt[RANGE];
    int64_t segment = -1, number = -1, damaged = 0;
    bool row;

    if (!begin_range(c, s, from_ms, until_ms, err))
        return false;
    for (;;) {
        if (!db_step(s, &row, err))
            return false;
        if (!row)
            break;
        if (segment >= 0 && !(db_i64(s, 0) == segment && db_i64(s, 1) == number + 1) &&
            !(db_i64(s, 0) == segment + 1 && db_i64(s, 1) == 0))
            unpack_break(u);
        segment = db_i64(s, 0);
        number = db_i64(s, 1);
        if (!unpack_chunk(u, number, db_i64(s, 2), db_blob(s, 3), NULL))
            damaged++;
        if (unpack_ended(u)) {
            db_reset(s);
            break;
        }
    }
    unpack_finish(u);
    *ret_damaged = damaged;
    return true;
}

bool chunks_each(struct chunks *c, int64_t from_ms, int64_t until_ms, chunks_each_fn *each,
                 void *self, struct err *err)
{
    struct db_stmt *s = c->stmt[ALL];
    bool row;

    if (!begin_range(c, s, from_ms, until_ms, err))
        return false;
    for (;;) {
        if (!db_step(s, &row, err))
            return false;
        if (!row)
            return true;
        if (!each(self, &(struct chunk){.segment = db_i64(s, 0),
                                        .number = db_i64(s, 1),
                                        .first_ms = db_i64(s, 2),
                                        .last_ms = db_i64(s, 3),
                                        .events = db_i64(s, 4),
                                        .data = db_blob(s, 5)})) {
            db_reset(s);
            return true;
        }
    }
}

static void bind_chunk(struct db_stmt *s, const struct chunk *chunk)
{
    db_bind_i64(s, ":segment", chunk->segment);
    db_bind_i64(s, ":number", chunk->number);
    db_bind_i64(s, ":first", chunk->first_ms);
    db_bind_i64(s, ":last", chunk->last_ms);
    db_bind_i64(s, ":events", chunk->events);
    db_bind_blob(s, ":data", chunk->data);
}

bool chunks_look(struct chunks *c, const struct chunk *chunk, bool *ret_there, bool *ret_same,
                 struct err *err)
{
    struct db_stmt *s = c->stmt[LOOK];

    bind_chunk(s, chunk);
    if (!db_step(s, ret_there, err))
        return false;
    *ret_same = *ret_there && db_i64(s, 0) != 0;
    if (*ret_there)
        db_reset(s);
    return true;
}

bool chunks_put(struct chunks *c, const struct chunk *chunk, struct err *err)
{
    struct db_stmt *s = c->stmt[PUT];

    bind_chunk(s, chunk);
    db_bind_i64(s, ":bytes", (int64_t)chunk->data.len);
    return db_run(s, err);
}
