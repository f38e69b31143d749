/*
 * policies: the last good text of the policy files, so that a restart with broken files does not forget what was in force; and
 * what the policies' targets asked for before brim first wrote, so that one that is let go after a restart is given that back.
 *
 * There is one set: saving replaces it whole, in one transaction. A text is at most DB_MAX_VALUE bytes (ERR_STORAGE), and the
 * names differ.
 */
#ifndef BRIM_STORAGE_POLICIES_H
#define BRIM_STORAGE_POLICIES_H

#include <stddef.h>

#include "capacity/records.h"
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

/* What a policy's target asked for before the first write. */
struct policies_found {
    struct sv policy;
    struct uid uid; /* of the target; zero: nothing was written yet, or it was not found */
    int64_t replicas;
};

/*
 * These are the policies in force. Of each the count that was kept first stays, as long as its
 * target is the same object; of others nothing is kept any longer. One transaction.
 */
bool policies_keep_found(struct db *db, const struct policies_found *found, size_t n,
                         struct err *err) MUST_CHECK;

/* Each that is kept, valid during the call. */
bool policies_load_found(struct db *db,
                         void (*each)(void *self, const struct policies_found *found), void *self,
                         struct err *err) MUST_CHECK;

#endif
