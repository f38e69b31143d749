/*
 * packs: the tables of packed values: chunks of the codec, by policy, level and time.
 *
 * There are two of one form. In "pack" a chunk at LEVEL_SAMPLES holds an hour's samples (samples.h), above figures (rollup.h), or those of
 * groups of nodes (groups.h); in "activity" it holds what happened (activity.h), at levels above LEVEL_SAMPLES, and policy 0 is there what
 * belongs to none. A chunk belongs to the time from `first` on, a multiple of its level's span since 1970 in UTC.
 */
#ifndef BRIM_STORAGE_PACKS_H
#define BRIM_STORAGE_PACKS_H

#include "storage/db.h"

/* Files hold these numbers. */
enum level {
    LEVEL_SAMPLES,
    LEVEL_MINUTE,
    LEVEL_HOUR,
    LEVEL_DAY,
    LEVEL_GROUP_MINUTE,
    LEVEL_GROUP_HOUR,
    LEVEL_GROUP_DAY,
    LEVEL_COUNT_
};

#define PACKS_MINUTE_MS INT64_C(60000)
#define PACKS_HOUR_MS   (60 * PACKS_MINUTE_MS)
#define PACKS_DAY_MS    (24 * PACKS_HOUR_MS)

/* For how long a row of figures stands; of samples 0. */
int64_t level_step_ms(enum level level);
/* The time of one chunk: an hour, an hour, a day, 64 days; of groups likewise. */
int64_t level_span_ms(enum level level);

/* The multiple of `unit_ms` at or before t. */
int64_t packs_floor(int64_t t_ms, int64_t unit_ms);

/*
 * Runs a question for what can be packed, with :hour and :next, the begin and the end of the hour of `now_ms`. Its row is a policy, the
 * first time before :hour that it has rows of, and the first from :next on (a clock was set back). Tells the hour of the former, or else
 * of the latter; INT64_MIN: there is no row.
 */
bool packs_unpacked(struct db_stmt *unpacked, int64_t now_ms, int64_t *ret_policy,
                    int64_t *ret_hour_ms, struct err *err) MUST_CHECK;

struct pack {
    int64_t first_ms;           /* of its span */
    int64_t begin_ms, until_ms; /* of what is in it: from the first row to the end of the last */
    int64_t rows;
    struct sv data;
};

enum packs_table { PACKS_FIGURES, PACKS_ACTIVITY, PACKS_TABLE_COUNT_ };

struct packs;

/* Borrows the db. */
bool packs_open(struct db *db, enum packs_table table, struct packs **ret_packs,
                struct err *err) MUST_CHECK;
void packs_close(struct packs *p);

/* Takes the place of what is at `first_ms`. */
bool packs_put(struct packs *p, int64_t policy, enum level level, const struct pack *pack,
               struct err *err) MUST_CHECK;
/* One with a row at each of `n` steps of the level, which rise and are not none. */
bool packs_put_steps(struct packs *p, int64_t policy, enum level level, int64_t first_ms,
                     const int64_t *steps, size_t n, struct sv data, struct err *err) MUST_CHECK;

/* Leaves nothing at `first_ms`. */
bool packs_drop(struct packs *p, int64_t policy, enum level level, int64_t first_ms,
                struct err *err) MUST_CHECK;

/* Those whose span touches from <= t < until, by time; `each` returns false to end, and may not call packs_each() of the same packs. */
typedef bool packs_each_fn(void *self, const struct pack *pack);
bool packs_each(struct packs *p, int64_t policy, enum level level, int64_t from_ms,
                int64_t until_ms, packs_each_fn *each, void *self, struct err *err) MUST_CHECK;

/* Is there one for the span that begins at first_ms? */
bool packs_has(struct packs *p, int64_t policy, enum level level, int64_t first_ms, bool *ret_has,
               struct err *err) MUST_CHECK;

/* The last whose first row is at or before t, for `each` to see; or none. */
bool packs_last_before(struct packs *p, int64_t policy, enum level level, int64_t t_ms,
                       packs_each_fn *each, void *self, struct err *err) MUST_CHECK;

/* From the first row of any policy at a level to the end of the last; both 0: there are none. */
bool packs_span(struct packs *p, enum level level, int64_t *ret_begin_ms, int64_t *ret_until_ms,
                struct err *err) MUST_CHECK;

/* Drops chunks that end at or before a time. */
bool packs_forget(struct packs *p, enum level level, int64_t before_ms, struct err *err) MUST_CHECK;

#endif
