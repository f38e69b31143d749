/*
 * recover: what can still be read of a damaged history, in a new one.
 *
 * The damaged file is only read: a copy of it and of its log (FILE-wal) is worked on, in which pages that the disk does not give, or
 * that lie behind the end of a file that was cut off, are zeros. Where the copy's first page is no history's, that of a new history takes its place: it tells where the tables begin, which is
 * the same in all that began with this schema. Each table is then read in the order of its key; where a page is damaged the next key
 * that can be read is searched by doubling and halving (a few dozen look-ups a hole), and what lies between is lost, which is told.
 * Rows that the tables do not take (something is missing in them, or they are there already) are left out and counted.
 *
 * What was overwritten inside a page without breaking its form cannot be noticed: SQLite keeps no checksums. The result passes PRAGMA
 * integrity_check, has the newest schema, and gets its name when it is whole (backup.h).
 */
#ifndef BRIM_STORAGE_RECOVER_H
#define BRIM_STORAGE_RECOVER_H

#include "storage/db.h"

enum { RECOVER_MAX_TABLES = 64, RECOVER_NAME_SIZE = 64, RECOVER_MAX_KEY = 4 };

/* Keys between which nothing could be read; the last column moves fastest. */
struct recover_hole {
    const char *table;
    int n; /* columns of the key */
    int64_t from[RECOVER_MAX_KEY], until[RECOVER_MAX_KEY];
    bool to_end; /* nothing could be read from `from` on */
};

struct recover_table {
    char name[RECOVER_NAME_SIZE];
    int64_t rows, refused; /* salvaged; not taken */
    int64_t holes;
    bool missing; /* no such table could be read at all */
};

struct recover_result {
    struct recover_table tables[RECOVER_MAX_TABLES];
    size_t n;
    int64_t unread_pages; /* that the disk did not give, or the file lost at its end */
    bool new_first_page;
    bool log_ignored; /* the log did not go with the file */
};

/* `told` is called for each hole as it is found; may be NULL. ERR_STORAGE: nothing could be salvaged, or OUT cannot be written. */
bool recover_make(const char *from, const char *to,
                  void (*told)(void *self, const struct recover_hole *hole), void *self,
                  struct recover_result *ret_result, struct err *err) MUST_CHECK;

#endif
