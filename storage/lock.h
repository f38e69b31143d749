/*
 * lock: one writer to a history file. Two agents on one file would mix their samples and number their decisions alike.
 *
 * The lock is flock(2) on PATH-lock, which then says who holds it: process and host. SQLite's own locks are left alone: closing any
 * other handle of the database's file would drop them. Whatever ends the holder frees the lock; its file stays. Readers need none.
 * Advisory, and only as good as flock() is where the file lies (on NFS: Linux 2.6.12 or later on all sides).
 */
#ifndef BRIM_STORAGE_LOCK_H
#define BRIM_STORAGE_LOCK_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"

/* Never waits. ERR_STORAGE: another process holds it, with who that is, or the lock's file cannot be opened. */
bool lock_take(const char *path, int *ret_lock, struct err *err) MUST_CHECK;
/* Below 0: there is none. */
void lock_release(int lock);

#endif
