/*
 * policies: the last good text of the policy files, so that a restart with broken files does not forget what was in force.
 *
 * There is one set: saving replaces it whole, in one transaction. A text is at most DB_MAX_VALUE bytes (ERR_STORAGE), and the
 * names differ.
 */
#ifndef BRIM_STORAGE_POLICIES_H
#define BRIM_STORAGE_POLICIES_H

#include <stddef.h>

#include "storage/db.h"

struct policies_text {
    struct sv name, text;
};

bool policies_save(struct db *db, const struct policies_text *texts, size_t n, int64_t saved_at_ms,
                   struct err *err) MUST_CHECK;

/* Each text in the order in which they were saved, valid during the call. */
bool policies_load(struct db *db,
                   void (*each)(void *self, const struct policies_text *text, int64_t saved_at_ms),
                   void *self, struct err *err) MUST_CHECK;

#endif
