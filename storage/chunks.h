/*
 * chunks: the event journal in the database, one row a chunk. Old segments are dropped whole, by size and by age.
 */
#ifndef BRIM_STORAGE_CHUNKS_H
#define BRIM_STORAGE_CHUNKS_H

#include "storage/db.h"
#include "storage/journal.h"
#include "storage/unpack.h"

struct chunks;

/* Borrows the db. Segments of this opening come after all that are there. */
bool chunks_open(struct db *db, struct chunks **ret_chunks, struct err *err) MUST_CHECK;
void chunks_close(struct chunks *c);

/* Pieces come in the order in which the journal made them; each at most once, but again after a rollback. */
bool chunks_add(struct chunks *c, const struct journal_piece *piece, struct err *err) MUST_CHECK;

struct chunks_totals {
    int64_t bytes, events, segments;
    int64_t first_ms, last_ms; /* 0 where there are none */
};
bool chunks_totals(struct chunks *c, struct chunks_totals *ret_totals, struct err *err) MUST_CHECK;

/*
 * Drops the oldest segments while all take more than max_bytes, and those that ended before before_ms. The newest always stays,
 * so that max_bytes is exceeded where it is less than one segment. Sums only the index: O(chunks).
 */
bool chunks_keep(struct chunks *c, int64_t max_bytes, int64_t before_ms,
                 struct err *err) MUST_CHECK;
/* Drops the oldest segment, if it is not the only one. */
bool chunks_drop_oldest(struct chunks *c, struct err *err) MUST_CHECK;

/*
 * Tells the events with from <= t < until (unpack.h). Damaged chunks are skipped up to the next segment and leave a gap; how many is
 * in *ret_damaged. O(bytes from the begin of the segment that `from` lies in).
 */
bool chunks_read(struct chunks *c, int64_t from_ms, int64_t until_ms, unpack_each_fn *each,
                 void *self, int64_t *ret_damaged, struct err *err) MUST_CHECK;

/* A chunk as the file keeps it; `data` is borrowed. */
struct chunk {
    int64_t segment, number, first_ms, last_ms, events;
    struct sv data;
};

/* Those that chunks_read() would look at, in their order; `each` returns false to end. */
typedef bool chunks_each_fn(void *self, const struct chunk *chunk);
bool chunks_each(struct chunks *c, int64_t from_ms, int64_t until_ms, chunks_each_fn *each,
                 void *self, struct err *err) MUST_CHECK;

/* Is there a chunk of this segment and number, and is it the same in all? */
bool chunks_look(struct chunks *c, const struct chunk *chunk, bool *ret_there, bool *ret_same,
                 struct err *err) MUST_CHECK;
/* Takes the place of the one of this segment and number. */
bool chunks_put(struct chunks *c, const struct chunk *chunk, struct err *err) MUST_CHECK;

#endif
