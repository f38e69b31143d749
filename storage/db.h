/*
 * db: one SQLite database, and the only file that knows sqlite3.
 *
 * A struct db and its statements belong to one thread at a time. Errors are ERR_STORAGE with SQLite's text after the file's name
 * and its primary result code in `code`: DB_FULL, DB_BUSY and DB_CORRUPT are what callers tell apart.
 *
 * Durability: write-ahead log with synchronous=FULL. A commit that returned true survives the end of the process and of the
 * machine's power. (With NORMAL a power loss takes everything since the last checkpoint, which may be hours.) What a caller
 * gathers before it commits is lost; storage/writer.h bounds that by 10 s. One fsync a batch is cheap enough for that.
 *
 * On a network file system (mount.h) a file that is opened for writing is this connection's alone, since other machines do not share its
 * memory: nobody else can read it until it is closed. Only writers fold the log back into the file; readers are opened read-only, so
 * that never two do so at a time.
 *
 * The file is taken as hostile: no trusted schema, defensive mode, cells are checked, values are at most DB_MAX_VALUE bytes.
 */
#ifndef BRIM_STORAGE_DB_H
#define BRIM_STORAGE_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/sv.h"

/* Result codes of SQLite (https://sqlite.org/rescode.html). */
enum {
    DB_BUSY = 5,
    DB_READ_ONLY = 8,
    DB_IO = 10,
    DB_CORRUPT = 11,
    DB_FULL = 13,
    DB_CANT_OPEN = 14,
    DB_NOT_A_DB = 26
};

enum {
    DB_MAX_VALUE = 1 << 20, /* bytes of one text or blob, and of one statement */
    DB_CACHE_KIB = 512,     /* the page cache: the agent's whole memory budget is a few MiB */
    DB_BUSY_MS = 2000,      /* how long to wait for another process's lock */
    DB_COPY_PAGES = 256,    /* of db_copy(), at a time: a MiB */
    DB_SPARE_BYTES = 64 << 10,
    DB_ASK_STEPS = 1000,
    DB_WAL_PAGES = 256, /* of 4 KiB: the log is folded back into the file at this size */
};

struct db_options {
    const char *path;
    bool read_only;
    int64_t max_bytes; /* the file does not grow beyond; 0: no limit. Reaching it is DB_FULL */
    const char *vfs;   /* SQLite's way to the files; NULL: the system's */
};

struct db;
struct db_stmt;

/* Opens or, unless read_only, makes the file. Changes nothing in one that is there. */
bool db_open(const struct db_options *options, struct db **ret_db, struct err *err) MUST_CHECK;
/*
 * All statements must be freed before. The last writer folds the log back, unless the file is damaged: then both stay as they are. NULL
 * is allowed.
 */
void db_close(struct db *db);
static inline void db_close_ptr(struct db **p)
{
    db_close(*p);
}

/* Takes the write-ahead log and the limit of size into use. */
bool db_use_log(struct db *db, struct err *err) MUST_CHECK;

/* The last DB_SPARE_BYTES below the limit are only for making room: deleting may need a few pages before it frees some. */
bool db_use_spare(struct db *db, bool use, struct err *err) MUST_CHECK;

/* Statements without parameters and results. */
bool db_exec(struct db *db, const char *sql, struct err *err) MUST_CHECK;
/* The first column of the first row; 0 where there is none. */
bool db_number(struct db *db, const char *sql, int64_t *ret_number, struct err *err) MUST_CHECK;

/* Names the tables in the order in which they were made, but those that SQLite keeps for itself. */
bool db_tables(struct db *db, void (*each)(void *self, struct sv name), void *self,
               struct err *err) MUST_CHECK;

/* A transaction that may write; begin takes the write lock at once. */
bool db_begin(struct db *db, struct err *err) MUST_CHECK;
bool db_commit(struct db *db, struct err *err) MUST_CHECK;
/* Undoes the open transaction, if there is one. */
void db_rollback(struct db *db);

/* PRAGMA integrity_check: false with the first finding. Reads the whole file. */
bool db_integrity(struct db *db, struct err *err) MUST_CHECK;

/*
 * PRAGMA quick_check: pages and rows, but not what indexes say of them. Reads the whole file. `go_on` is asked each DB_ASK_STEPS steps of
 * SQLite's machine (every few milliseconds): where it says no, the check ends without a finding and *ret_whole is false.
 */
bool db_quick_check(struct db *db, bool (*go_on)(void *self), void *self, bool *ret_whole,
                    struct err *err) MUST_CHECK;

/* Bytes of the file without its log, and whether it stands at max_bytes (free pages inside are no room either then). */
int64_t db_bytes(struct db *db);
bool db_at_limit(struct db *db);

/*
 * Copies all of a database into an empty one that is open for writing, as it stands when the copying begins, while others go on writing to
 * it: they are not held up, but the log grows for as long. `each`, if there is one, is called after every DB_COPY_PAGES.
 */
bool db_copy(struct db *from, struct db *to, void (*each)(void *self, int64_t left, int64_t pages),
             void *self, struct err *err) MUST_CHECK;

const char *db_path(const struct db *db);

/* The network file system that the file lies on, as it was opened for writing; NULL: none. */
const char *db_network(const struct db *db);

/* What the first call said that found the file to be damaged (DB_CORRUPT), or no database (DB_NOT_A_DB); NULL: none did. */
const char *db_damage(const struct db *db);

bool db_prepare(struct db *db, const char *sql, struct db_stmt **ret_stmt,
                struct err *err) MUST_CHECK;
void db_stmt_free(struct db_stmt *s);

/*
 * Parameters are bound by their names (":policy"), which must be in the statement. Text and blobs are copied. What cannot be
 * bound (too large) is reported by the next db_step().
 */
void db_bind_i64(struct db_stmt *s, const char *name, int64_t value);
void db_bind_text(struct db_stmt *s, const char *name, struct sv value);
void db_bind_blob(struct db_stmt *s, const char *name, struct sv value);

/* The next row, or *ret_row false at the end; the statement is then, as after an error, ready to be bound and run again. */
bool db_step(struct db_stmt *s, bool *ret_row, struct err *err) MUST_CHECK;
/* Runs a statement whose rows nobody wants. */
bool db_run(struct db_stmt *s, struct err *err) MUST_CHECK;
/* Leaves a statement before its last row. */
void db_reset(struct db_stmt *s);

/* Binds what the column of another statement's row holds, of whatever type. */
void db_bind_column(struct db_stmt *s, const char *name, struct db_stmt *from, int column);

/* Columns of the row, from 0; text and blobs are valid until the next step or reset. Other types are converted. */
int64_t db_i64(struct db_stmt *s, int column);
struct sv db_text(struct db_stmt *s, int column);
struct sv db_blob(struct db_stmt *s, int column);

#endif
