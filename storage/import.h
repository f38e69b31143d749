/*
 * import: takes records into a history, all of them or none.
 *
 * One transaction: what fails, and what is not ended by import_end(), leaves the history as it was. What is there already and is the same
 * is left alone, so that the same file may be taken in twice. Where the history has something else for the same time, the import fails and
 * says what was there, unless it may be replaced:
 *     sample              at this millisecond, or between two samples that hold for it; replaced from the first new sample to the last of
 *                         an hour
 *     day, hour, minute   of this time
 *     decision            with this id
 *     journal             of this segment and number
 *     activity            in the chunk that begins at this time
 *     group               of this group, time and step
 * A gap that is there is not added again.
 *
 * Samples of one policy come by time. Those of an hour whose figures came before them are packed at once; others stay rows, and readers
 * see the same; an agent packs them when it next runs on the file. Memory: an hour's samples, or a chunk's figures.
 */
#ifndef BRIM_STORAGE_IMPORT_H
#define BRIM_STORAGE_IMPORT_H

#include "storage/record.h"

struct import_options {
    bool replace;
};

struct import_counts {
    int64_t added[RECORD_KIND_COUNT_], there[RECORD_KIND_COUNT_], replaced[RECORD_KIND_COUNT_];
};

struct import;

/* Borrows the history, which is open for writing and has no transaction open. ERR_STORAGE. */
bool import_begin(struct history *h, const struct import_options *options,
                  struct import **ret_import, struct err *err) MUST_CHECK;

/* ERR_INPUT: the record is none; ERR_CONFLICT: something else is there; ERR_STORAGE. Then only import_free() may follow. */
bool import_add(struct import *i, const struct record *r, struct err *err) MUST_CHECK;

/*
 * One value of a sample, in any order: samples are put together from them by import_values_end(), which is O(n log n); what no value tells
 * is unknown. ERR_CONFLICT: there was another value for the same.
 */
bool import_value(struct import *i, struct sv policy, int64_t t_ms, enum sample_field field,
                  int64_t value, struct err *err) MUST_CHECK;
bool import_values_end(struct import *i, struct err *err) MUST_CHECK;

/* Commits. */
bool import_end(struct import *i, struct import_counts *ret_counts, struct err *err) MUST_CHECK;
/* Undoes what was not committed. NULL is allowed. */
void import_free(struct import *i);

#endif
