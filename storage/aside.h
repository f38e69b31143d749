/*
 * aside: puts a damaged history out of the way, so that a new one can begin and `brim history recover` finds the old one.
 *
 * history.db becomes history.db.corrupt-20261123T093000Z, its write-ahead log the same with -wal. Nothing is ever deleted or
 * overwritten: at ASIDE_MAX such files no more are made. No connection may have the file open.
 */
#ifndef BRIM_STORAGE_ASIDE_H
#define BRIM_STORAGE_ASIDE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/err.h"

/* A disk that damages whatever is written to it must not be filled with it. */
enum { ASIDE_MAX = 8 };

/*
 * Is it (or was it) a history that this brim may have written? Told by its header; where that is gone, by the pages behind it, which
 * must look like a database's, or by there being nothing but zeros. Files of others, and of a newer brim, are not: they stay where
 * they are.
 */
bool aside_is_history(const char *path);

/*
 * Does the disk give every byte of the file and of its log? ERR_STORAGE where it does not. SQLite takes what a disk refuses to read for
 * damage (SQLITE_IOERR_CORRUPTFS), which may be over when the disk is back. Reads all of both.
 */
bool aside_can_read(const char *path, struct err *err) MUST_CHECK;

/* Moves it; *ret_name, of `size` bytes, is where it lies now. ERR_STORAGE. */
bool aside_move(const char *path, struct wall now, char *ret_name, size_t size,
                struct err *err) MUST_CHECK;

#endif
