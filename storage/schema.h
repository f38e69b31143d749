/*
 * schema: what tables the history has, as numbered migrations that only ever grow, and how a file is opened as a history.
 *
 * A history carries the application id "brim" and the number of the last migration that it saw. A file of another application, or
 * of a brim that knows more, is refused by name and left as it is.
 */
#ifndef BRIM_STORAGE_SCHEMA_H
#define BRIM_STORAGE_SCHEMA_H

#include "storage/db.h"

enum {
    SCHEMA_APPLICATION = 0x6272696d, /* "brim" */
    SCHEMA_VERSION = 8,              /* the last migration */
};

/*
 * Opens a history. For writing: an empty or missing file becomes one, an older one is brought up to date in one transaction. For
 * reading: it must be one of this version. ERR_STORAGE.
 */
bool schema_open(const struct db_options *options, struct db **ret_db, struct err *err) MUST_CHECK;

#endif
