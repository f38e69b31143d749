/*
 * lock: one writer to a history file. Two agents on one file would mix their samples and number their decisions alike.
 *
 * Two locks. flock(2) on PATH-lock, which says who holds it: process and host. And one on the database's own file (fcntl(2), open file
 * description lock, far behind all bytes that SQLite locks), which holds whatever name the other agent has for the file, and when somebody
 * removed PATH-lock. Whatever ends the holder frees both; PATH-lock stays, empty after an end in good order. Readers need none. Advisory, and only as good as these are
 * where the file lies (on NFS: Linux 2.6.12 or later on all sides; a file system without the second kind does without it).
 *
 * While a lock is held its file is open: closing it drops SQLite's own locks of this process (fcntl(2)), so lock_release() comes after
 * the database was closed.
 */
#ifndef BRIM_STORAGE_LOCK_H
#define BRIM_STORAGE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

/* A holder writes each 10 s, and may wait as long for its disk. */
#define LOCK_ANSWER_US (INT64_C(30) * 1000 * 1000)

struct lock;

/*
 * Never waits. Makes an empty file if there is none. ERR_STORAGE: another process holds it, with who that is, or a file cannot be
 * opened for writing.
 */
bool lock_take(const char *path, struct lock **ret_lock, struct err *err) MUST_CHECK;
/*
 * Where locks may not hold (a network file system that is mounted without them), who took one and finds it unsettled waits LOCK_ANSWER_US
 * for an answer of the one who is named in it and did not end in good order: lock_stands() tells. `ret_who` then says who that is. Without an
 * answer it is gone, and the lock may be settled.
 */
bool lock_is_settled(const struct lock *lock, struct err *ret_who);
void lock_settle(struct lock *lock);

/* NULL is allowed. */
void lock_release(struct lock *lock);

/*
 * Does the path still lead to the file that is locked, and is it this process's alone? ERR_STORAGE where it was removed, moved or
 * replaced, and where a lock that is not settled was answered. Asked by its holder before each write: it names itself anew where another
 * process wrote its name into PATH-lock.
 */
bool lock_stands(struct lock *lock, struct err *err) MUST_CHECK;

#endif
