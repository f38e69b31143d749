/*
 * backup: a copy of a history in one file, made while an agent writes to it.
 *
 * The copy is the history as it stands when the copying begins, of whatever schema; it passes PRAGMA integrity_check, is on the disk
 * when it is there under its name, and has no log beside it. Nothing is overwritten. The agent is not held up; its log grows while
 * the copying lasts. A history on a network file system is its writer's alone (db.h): it can be copied when no agent writes to it.
 */
#ifndef BRIM_STORAGE_BACKUP_H
#define BRIM_STORAGE_BACKUP_H

#include "storage/db.h"

/* `each` as in db_copy(). ERR_STORAGE; then there is no file `to`. */
bool backup_make(const char *from, const char *to,
                 void (*each)(void *self, int64_t left, int64_t pages), void *self,
                 int64_t *ret_bytes, struct err *err) MUST_CHECK;

/*
 * A new file that gets its name only when it is whole: backup_begin() makes PATH.part beside it, and refuses where PATH is there
 * already; backup_end() checks and syncs what was written there, and gives it its name. `db` is closed in any case.
 */
bool backup_begin(const char *path, struct db **ret_db, struct err *err) MUST_CHECK;
bool backup_end(const char *path, struct db *db, struct err *err) MUST_CHECK;
/* Instead of backup_end(): closes and removes it. */
void backup_drop(const char *path, struct db *db);

#endif
