/*
 * found: what the policies' targets asked for before brim first wrote, over restarts: what
 * `onRemove: restore` gives back.
 *
 * It is kept in the history (storage/policies.h). found_keep() tells the disk thread what this
 * process found and asks what counts, which is what was found first; nobody waits for the answer.
 * Until it is there, as for want of a history, what this process found counts.
 */
#ifndef BRIM_AGENT_FOUND_H
#define BRIM_AGENT_FOUND_H

#include <stddef.h>
#include <stdint.h>

#include "storage/policies.h"
#include "storage/writer.h"

struct found;

/* The writer is borrowed; NULL: nothing is kept. */
struct found *found_new(struct writer *writer);
/* NULL is allowed; before or after the writer is stopped. */
void found_free(struct found *f);

/* All policies in force, and what was found of them; copied. */
void found_keep(struct found *f, const struct policies_found *found, size_t n);

/* A new history was begun: what is kept is kept in that one, too. */
void found_keep_again(struct found *f);

/* What the target of this policy asked for: of an earlier process if that is kept, else `here`. */
int64_t found_count(struct found *f, struct sv policy, struct uid uid, int64_t here);

#endif
