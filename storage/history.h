/*
 * history: all that a history file holds, opened together, and what is kept of it for how long.
 */
#ifndef BRIM_STORAGE_HISTORY_H
#define BRIM_STORAGE_HISTORY_H

#include "storage/chunks.h"
#include "storage/decisions.h"
#include "storage/groups.h"
#include "storage/packs.h"
#include "storage/samples.h"

struct activity_progress;

struct history {
    struct db *db;
    struct samples *samples;
    struct decisions *decisions;
    struct chunks *chunks;
    struct packs *packs;
    struct packs *activity; /* what happened (activity.h) */
    struct activity_progress *activity_progress;
    struct groups *groups;
};

/* How much is kept; 0: without end. */
struct history_keep {
    int64_t samples_ms; /* samples, decisions, gaps, and figures of groups by the minute */
    int64_t minutes_ms; /* figures, and what happened, by the minute */
    int64_t hours_ms;   /* … by the hour and by the day, of groups, too */
    int64_t journal_ms;
    int64_t journal_bytes;
};

/* ERR_STORAGE. history_close() takes a zeroed one and one that was not opened whole. */
bool history_open(const struct db_options *options, struct history *ret_history,
                  struct err *err) MUST_CHECK;
void history_close(struct history *h);

/* Says that something is missing between two times: why, and how many decisions if that is what is missing. */
struct history_gap {
    int64_t first_ms, last_ms;
    struct sv why;
    int64_t decisions;
};
bool history_add_gap(struct history *h, const struct history_gap *gap, struct err *err) MUST_CHECK;
/* Those that touch from <= t < until, oldest first; `each` returns false to end. */
bool history_gaps(struct history *h, int64_t from_ms, int64_t until_ms,
                  bool (*each)(void *self, const struct history_gap *gap), void *self,
                  struct err *err) MUST_CHECK;

/* How many packed parts cannot be read: what is in them is missing. Reads all of them. */
bool history_damaged(struct history *h, int64_t *ret_parts, struct err *err) MUST_CHECK;
/* How many of samples and of groups of nodes were met until now that cannot be read, each as often as it was tried. */
int64_t history_damage_met(const struct history *h);

/* Drops what is past its time, in one transaction. */
bool history_forget(struct history *h, const struct history_keep *keep, int64_t now_ms,
                    struct err *err) MUST_CHECK;

/*
 * Packs the samples of one hour that is not that of `now_ms`, and makes its figures (samples.h, rollup.h), in one transaction; where all
 * are packed, those of groups of nodes (groups.h); where there is no such hour, a round of what happened up to the hour of `now_ms` is
 * rolled up (activity.h). *ret_more: there may be another hour, or round.
 */
bool history_pack(struct history *h, int64_t now_ms, bool *ret_more, struct err *err) MUST_CHECK;

/*
 * Makes room in a file that stands at its limit: drops the journal's oldest segment, the oldest tenth of the time of samples and of minutes;
 * where there are no minutes but the newest that of hours, and then that of days; and names of groups of a policy of whose groups nothing
 * is left. The newest chunk of each level stays, and the journal's newest segment. DB_FULL where nothing could be dropped.
 */
bool history_shrink(struct history *h, struct err *err) MUST_CHECK;

#endif
