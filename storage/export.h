/*
 * export: a history as records, one after the other, by kind, policy and time.
 *
 * Policies come by name, so that what was exported, imported and exported again is the same. Nothing is held in memory but one row and
 * what the event journal keeps alive. While an agent writes to the file, a transaction around it (export_begin()) makes all be as it stood
 * at one moment; the log grows for as long.
 */
#ifndef BRIM_STORAGE_EXPORT_H
#define BRIM_STORAGE_EXPORT_H

#include "storage/record.h"

struct export_query {
    struct sv policy; /* "": all */
    int64_t from_ms,
        until_ms; /* from <= t < until, both at or above 0; of figures and the journal what touches it */
    unsigned kinds; /* bits 1 << enum record_kind */
};

/* What could not be read and is missing. */
struct export_damage {
    int64_t samples, journal; /* chunks; figures of groups are among the samples */
};

/* Takes a record, or says in `err` why it does not. */
typedef bool export_each_fn(void *self, const struct record *r, struct err *err);

bool export_begin(struct history *h, struct err *err) MUST_CHECK;
void export_end(struct history *h);

/* ERR_STORAGE, ERR_NOT_FOUND for a policy that the history does not know, and what `each` says. */
bool export_read(struct history *h, const struct export_query *q, export_each_fn *each, void *self,
                 struct export_damage *ret_damage, struct err *err) MUST_CHECK;

/* The names of the policies that the query wants, by name. ERR_NOT_FOUND: the history does not know the one that is wanted. */
bool export_policies(struct history *h, const struct export_query *q, char ***ret_names,
                     size_t *ret_n, struct err *err) MUST_CHECK;
void export_policies_free(char **names, size_t n);

#endif
