#include "storage/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "storage/backup.h"
#include "storage/schema.h"

enum { MAX_COLUMNS = 64, MAX_SQL = 16 << 10, MAX_NAME = 64, ROWS_A_COMMIT = 5000, PAGE = 4096 };

/* A database's header (https://sqlite.org/fileformat.html, 1.3). */
enum { WRITE_VERSION_AT = 18, CHANGES_AT = 24, PAGES_AT = 28, FREE_AT = 32, VALID_FOR_AT = 92 };
/* More no history has: 16 GiB. */
#define MAX_PAGES (INT64_C(1) << 22)

struct table {
    char name[RECOVER_NAME_SIZE];
    char columns[MAX_COLUMNS][MAX_NAME];
    int n_columns;
    char key[RECOVER_MAX_KEY]
            [MAX_NAME]; /* "rowid", or the columns of the primary key, all integers */
    int n_key;          /* 0: cannot be searched */
};

struct recovery {
    struct db *from, *to;
    struct table table;
    struct recover_table *counts;
    struct recover_result *result;
    void (*told)(void *self, const struct recover_hole *hole);
    void *self;
    int64_t uncommitted;
};

struct key {
    int64_t at[RECOVER_MAX_KEY];
};

/* Reads the tables' makeup from the new history. */
static bool read_columns(struct db *db, struct table *t, bool *ret_without_rowid, struct err *err)
{
    struct db_stmt *s;
    bool row, ok, integers = true;
    int64_t pk;

    *ret_without_rowid = false;
    if (!db_prepare(db,
                    "SELECT c.name, c.pk, c.type, (SELECT wr FROM pragma_table_list WHERE name = "
                    ":table) FROM pragma_table_info(:table) c ORDER BY c.cid",
                    &s, err))
        return false;
    db_bind_text(s, ":table", sv_from(t->name));
    t->n_columns = t->n_key = 0;
    for (;;) {
        ok = db_step(s, &row, err);
        if (!ok || !row || t->n_columns == MAX_COLUMNS)
            break;
        (void)snprintf(t->columns[t->n_columns], MAX_NAME, "%.*s", SV_ARG(db_text(s, 0)));
        pk = db_i64(s, 1);
        *ret_without_rowid = db_i64(s, 3) != 0;
        if (pk > 0 && pk <= RECOVER_MAX_KEY) {
            memcpy(t->key[pk - 1], t->columns[t->n_columns], MAX_NAME);
            t->n_key++;
            integers = integers && sv_eq(db_text(s, 2), SV("INTEGER"));
        }
        integers = integers && pk <= RECOVER_MAX_KEY;
        t->n_columns++;
    }
    db_stmt_free(s);
    if (!integers)
        t->n_key = 0;
    return ok;
}

static bool read_table(struct db *db, struct table *t, struct err *err)
{
    bool without_rowid;

    if (!read_columns(db, t, &without_rowid, err))
        return false;
    if (!without_rowid) {
        (void)snprintf(t->key[0], MAX_NAME, "rowid");
        t->n_key = 1;
    }
    return true;
}

static void add_key(const struct table *t, struct strbuf *sql, const char *before, const char *end)
{
    for (int i = 0; i < t->n_key; i++)
        (void)strbuf_addf(sql, "%s%s%s%s", i > 0 ? ", " : "", before, t->key[i], end);
}

static void add_columns(const struct table *t, struct strbuf *sql, const char *before)
{
    for (int i = 0; i < t->n_columns; i++)
        (void)strbuf_addf(sql, "%s%s%s", i > 0 ? ", " : "", before, t->columns[i]);
}

/* The rows from a key on: first the columns, then the key. */
static bool prepare_from(struct recovery *r, struct db_stmt **ret_s, struct err *err)
{
    const struct table *t = &r->table;
    struct strbuf sql;
    bool ok;

    strbuf_init(&sql, MAX_SQL);
    (void)strbuf_add(&sql, SV("SELECT "));
    add_columns(t, &sql, "");
    (void)strbuf_add(&sql, SV(", "));
    add_key(t, &sql, "", "");
    (void)strbuf_addf(&sql, " FROM %s WHERE (", t->name);
    add_key(t, &sql, "", "");
    (void)strbuf_add(&sql, SV(") >= ("));
    add_key(t, &sql, ":", "");
    (void)strbuf_add(&sql, SV(") ORDER BY "));
    add_key(t, &sql, "", "");
    ok = db_prepare(r->from, strbuf_str(&sql), ret_s, err);
    strbuf_done(&sql);
    return ok;
}

/* All rows in the order of the tree, or the other way round. */
static bool prepare_all(struct recovery *r, bool backwards, struct db_stmt **ret_s, struct err *err)
{
    struct strbuf sql;
    bool ok;

    strbuf_init(&sql, MAX_SQL);
    (void)strbuf_add(&sql, SV("SELECT "));
    add_columns(&r->table, &sql, "");
    (void)strbuf_addf(&sql, " FROM %s ORDER BY %s %s", r->table.name, r->table.columns[0],
                      backwards ? "DESC" : "ASC");
    ok = db_prepare(r->from, strbuf_str(&sql), ret_s, err);
    strbuf_done(&sql);
    return ok;
}

static bool prepare_insert(struct recovery *r, struct db_stmt **ret_s, struct err *err)
{
    struct strbuf sql;
    bool ok;

    strbuf_init(&sql, MAX_SQL);
    (void)strbuf_addf(&sql, "INSERT OR IGNORE INTO %s(", r->table.name);
    add_columns(&r->table, &sql, "");
    (void)strbuf_add(&sql, SV(") VALUES("));
    add_columns(&r->table, &sql, ":");
    (void)strbuf_add(&sql, SV(") RETURNING 1"));
    ok = db_prepare(r->to, strbuf_str(&sql), ret_s, err);
    strbuf_done(&sql);
    return ok;
}

static bool commit(struct recovery *r, struct err *err)
{
    r->uncommitted = 0;
    return db_commit(r->to, err) && db_begin(r->to, err);
}

/* Takes the row that `from` stands on. */
static bool take_row(struct recovery *r, struct db_stmt *from, struct db_stmt *insert,
                     struct err *err)
{
    bool taken = false;
    char name[MAX_NAME + 1];

    for (int i = 0; i < r->table.n_columns; i++) {
        (void)snprintf(name, sizeof name, ":%s", r->table.columns[i]);
        db_bind_column(insert, name, from, i);
    }
    if (!db_step(insert, &taken, err))
        return false;
    db_reset(insert);
    r->counts->rows += taken;
    r->counts->refused += !taken;
    return ++r->uncommitted < ROWS_A_COMMIT || commit(r, err);
}

static void bind_key(struct recovery *r, struct db_stmt *s, const struct key *k)
{
    char name[MAX_NAME + 1];

    for (int i = 0; i < r->table.n_key; i++) {
        (void)snprintf(name, sizeof name, ":%s", r->table.key[i]);
        db_bind_i64(s, name, k->at[i]);
    }
}

static struct key key_of(const struct recovery *r, struct db_stmt *s)
{
    struct key k = {0};

    for (int i = 0; i < r->table.n_key; i++)
        k.at[i] = db_i64(s, r->table.n_columns + i);
    return k;
}

static bool key_less(const struct recovery *r, const struct key *a, const struct key *b)
{
    int i = 0;

    while (i < r->table.n_key - 1 && a->at[i] == b->at[i])
        i++;
    return a->at[i] < b->at[i];
}

/* The key that comes `step` later in the column `place`; false if there is none. */
static bool later(const struct recovery *r, struct key *k, int place, int64_t step)
{
    if (__builtin_add_overflow(k->at[place], step, &k->at[place]))
        return false;
    for (int i = place + 1; i < r->table.n_key; i++)
        k->at[i] = INT64_MIN;
    return true;
}

enum probe { PROBE_ROW, PROBE_END, PROBE_DAMAGED };

/* Can the row at or after the key be read? One before it comes out of pages that are damaged. */
static enum probe probe(struct recovery *r, struct db_stmt *s, const struct key *k,
                        struct key *ret_found)
{
    bool row;

    bind_key(r, s, k);
    if (!db_step(s, &row, NULL))
        return PROBE_DAMAGED;
    if (!row)
        return PROBE_END;
    *ret_found = key_of(r, s);
    db_reset(s);
    return key_less(r, ret_found, k) ? PROBE_DAMAGED : PROBE_ROW;
}

/* Between a step that fails and one that does not: the row at the smallest that does not. */
static enum probe halve(struct recovery *r, struct db_stmt *s, const struct key *k, int place,
                        int64_t bad, int64_t good, struct key *ret_found)
{
    struct key at;

    while (good - bad > 1) {
        int64_t half = bad + (good - bad) / 2;

        at = *k;
        (void)later(r, &at, place, half);
        if (probe(r, s, &at, ret_found) == PROBE_DAMAGED)
            bad = half;
        else
            good = half;
    }
    at = *k;
    (void)later(r, &at, place, good);
    return probe(r, s, &at, ret_found);
}

/* The next row after a key behind which there is damage; PROBE_DAMAGED: none. */
static enum probe skip(struct recovery *r, struct db_stmt *s, const struct key *k,
                       struct key *ret_found)
{
    for (int place = r->table.n_key - 1; place >= 0; place--) {
        int64_t bad = 0, step = 1;
        struct key at = *k;

        while (later(r, &at, place, step)) {
            enum probe found = probe(r, s, &at, ret_found);

            if (found != PROBE_DAMAGED)
                return halve(r, s, k, place, bad, step, ret_found);
            bad = step;
            if (step > INT64_MAX / 2)
                break;
            step *= 2;
            at = *k;
        }
    }
    return PROBE_DAMAGED;
}

static void tell_hole(struct recovery *r, const struct key *from, const struct key *until,
                      bool to_end)
{
    struct recover_hole hole = {.table = r->table.name, .n = r->table.n_key, .to_end = to_end};

    memcpy(hole.from, from->at, sizeof hole.from);
    if (!to_end)
        memcpy(hole.until, until->at, sizeof hole.until);
    r->counts->holes++;
    if (r->told != NULL)
        r->told(r->self, &hole);
}

/*
 * Rows from the key on, up to the end (*ret_end) or to what cannot be read; *k is then the last that was. Where keys do not rise pages
 * are damaged, and may lead in circles.
 */
static bool read_on(struct recovery *r, struct db_stmt *s, struct db_stmt *insert, struct key *k,
                    bool *ret_end, struct err *err)
{
    bool row, first = true, ok = true;

    *ret_end = false;
    bind_key(r, s, k);
    while (ok && db_step(s, &row, NULL)) {
        struct key next;

        if (!row) {
            *ret_end = true;
            return true;
        }
        next = key_of(r, s);
        if (first ? key_less(r, &next, k) : !key_less(r, k, &next))
            break;
        first = false;
        *k = next;
        ok = take_row(r, s, insert, err);
    }
    db_reset(s);
    return ok;
}

static bool read_by_key(struct recovery *r, struct db_stmt *insert, struct err *err)
{
    struct db_stmt *s;
    struct key k, found;
    bool end = false, ok = true;

    if (!prepare_from(r, &s, NULL)) {
        r->counts->missing = true;
        return true;
    }
    for (int i = 0; i < RECOVER_MAX_KEY; i++)
        k.at[i] = 0;
    while (ok && !end) {
        enum probe next;

        ok = read_on(r, s, insert, &k, &end, err);
        if (!ok || end)
            break;
        next = skip(r, s, &k, &found);
        tell_hole(r, &k, &found, next != PROBE_ROW);
        end = next != PROBE_ROW;
        k = found;
    }
    db_stmt_free(s);
    return ok;
}

/* Does the row's first column come after that of the row before, in this direction? Remembers it in `last`. */
static bool goes_on(struct db_stmt *s, bool backwards, struct strbuf *last, bool first)
{
    struct sv key = db_text(s, 0);
    int order = first ? 0 : sv_cmp(key, strbuf_sv(last));

    if (!first && (backwards ? order >= 0 : order <= 0))
        return false;
    strbuf_clear(last);
    return strbuf_add(last, key);
}

/*
 * Rows in the order of the tree, whose key is the first column, up to what cannot be read (*ret_whole false). Where keys do not rise, or
 * fall, pages are damaged, and may lead in circles.
 */
static bool read_in_order(struct recovery *r, struct db_stmt *s, bool backwards,
                          struct db_stmt *insert, bool *ret_whole, struct err *err)
{
    bool row = true, first = true, ok = true;
    struct strbuf last;

    strbuf_init(&last, DB_MAX_VALUE);
    *ret_whole = true;
    while (ok && row) {
        *ret_whole = db_step(s, &row, NULL) && (!row || goes_on(s, backwards, &last, first));
        if (!*ret_whole || !row)
            break;
        first = false;
        ok = take_row(r, s, insert, err);
    }
    strbuf_done(&last);
    return ok;
}

/* From the begin and from the end, each up to what cannot be read. */
static bool read_from_ends(struct recovery *r, struct db_stmt *insert, struct err *err)
{
    bool ok = true, whole = false;

    for (int backwards = 0; ok && !whole && backwards < 2; backwards++) {
        struct db_stmt *s;

        if (!prepare_all(r, backwards == 1, &s, NULL)) {
            r->counts->missing = true;
            return true;
        }
        ok = read_in_order(r, s, backwards == 1, insert, &whole, err);
        db_stmt_free(s);
        r->counts->holes += backwards == 0 && !whole;
    }
    return ok;
}

static bool recover_table(struct recovery *r, struct err *err)
{
    struct db_stmt *insert;
    bool ok;

    if (!read_table(r->to, &r->table, err) || !prepare_insert(r, &insert, err))
        return false;
    ok = r->table.n_key > 0 ? read_by_key(r, insert, err) : read_from_ends(r, insert, err);
    db_stmt_free(insert);
    return ok;
}

static void add_table(void *self, struct sv name)
{
    struct recover_result *result = self;

    if (result->n < RECOVER_MAX_TABLES)
        (void)snprintf(result->tables[result->n++].name, RECOVER_NAME_SIZE, "%.*s", SV_ARG(name));
}

static bool recover_tables(struct recovery *r, struct err *err)
{
    int64_t rows = 0;
    bool ok = db_tables(r->to, add_table, r->result, err) && db_begin(r->to, err);

    for (size_t i = 0; ok && i < r->result->n; i++) {
        r->counts = &r->result->tables[i];
        memcpy(r->table.name, r->counts->name, sizeof r->table.name);
        ok = recover_table(r, err);
        rows += r->counts->rows;
    }
    if (!ok || !db_commit(r->to, err)) {
        db_rollback(r->to);
        return false;
    }
    return rows > 0 || err_set(err, ERR_STORAGE, 0, "nothing could be read");
}

static char *with_end(const char *path, const char *end)
{
    size_t size = strlen(path) + strlen(end) + 1;
    char *all = xmalloc(size);

    (void)snprintf(all, size, "%s%s", path, end);
    return all;
}

static bool write_page(int fd, const char *page, size_t len, int64_t at, const char *path,
                       struct err *err)
{
    return pwrite(fd, page, len, at) == (ssize_t)len ||
           err_set(err, ERR_STORAGE, 0, "%s: %s", path, strerror(errno));
}

/* Page by page: what the disk does not give is zeros. */
static bool copy_pages(int in, int out, const char *to, int64_t *ret_unread, struct err *err)
{
    char page[PAGE];
    int64_t size = lseek(in, 0, SEEK_END);

    for (int64_t at = 0; at < size; at += PAGE) {
        size_t len = size - at < PAGE ? (size_t)(size - at) : PAGE;
        ssize_t got = pread(in, page, len, at);

        if (got < 0 || (size_t)got < len) {
            memset(page, 0, sizeof page);
            ++*ret_unread;
        }
        if (!write_page(out, page, len, at, to, err))
            return false;
    }
    return true;
}

static bool copy_file(const char *from, const char *to, int64_t *ret_unread, struct err *err)
{
    int in = open(from, O_RDONLY | O_CLOEXEC), out;
    bool ok;

    if (in < 0)
        return err_set(err, ERR_STORAGE, errno, "%s: %s", from, strerror(errno));
    out = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ok = out >= 0 ? copy_pages(in, out, to, ret_unread, err)
                  : err_set(err, ERR_STORAGE, 0, "%s: %s", to, strerror(errno));
    if (out >= 0)
        (void)close(out);
    (void)close(in);
    return ok;
}

/*
 * A file that was cut off is as long again as its first page says, with zeros: SQLite opens none whose tables begin behind its end.
 * So is a page of which a part is left: rows that lie across the cut would come out with zeros in them. A first page that says
 * nonsense is left as it is.
 */
static void restore_length(const char *copy, int64_t *ret_unread)
{
    int fd = open(copy, O_RDWR | O_CLOEXEC);
    int64_t have = fd >= 0 ? lseek(fd, 0, SEEK_END) / PAGE : 0, want = 0;
    unsigned char count[4];

    if (have > 0 && pread(fd, count, sizeof count, PAGES_AT) == (ssize_t)sizeof count)
        for (size_t i = 0; i < sizeof count; i++)
            want = want << 8 | count[i];
    if (want > have && want <= MAX_PAGES && ftruncate(fd, have * PAGE) == 0 &&
        ftruncate(fd, want * PAGE) == 0)
        *ret_unread += want - have;
    if (fd >= 0)
        (void)close(fd);
}

static void remove_copy(const char *copy)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};

    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        CLEANUP(free_ptr) char *file = with_end(copy, ends[i]);

        (void)unlink(file);
    }
}

static void put_u32(char *at, int64_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(value >> (24 - 8 * i));
}

/* Page 1 of a new history, as that of a file of so many pages without a log and without free pages. */
static bool first_page(const char *copy, int64_t pages, char page[static PAGE], struct err *err)
{
    CLEANUP(free_ptr) char *path = with_end(copy, "-new");
    const struct db_options options = {.path = path};
    struct db *db = NULL;
    bool ok;
    int fd;

    remove_copy(path);
    ok = schema_open(&options, &db, err);
    db_close(db);
    fd = ok ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ok = ok && (pread(fd, page, PAGE, 0) == PAGE ||
                err_set(err, ERR_STORAGE, 0, "%s: cannot be read", path));
    if (fd >= 0)
        (void)close(fd);
    remove_copy(path);
    page[WRITE_VERSION_AT] = page[WRITE_VERSION_AT + 1] = 1;
    put_u32(page + PAGES_AT, pages);
    memcpy(page + VALID_FOR_AT, page + CHANGES_AT, 4);
    memset(page + FREE_AT, 0, 8);
    return ok;
}

static bool replace_first_page(const char *copy, struct err *err)
{
    int fd = open(copy, O_RDWR | O_CLOEXEC);
    int64_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    char page[PAGE];
    bool ok = fd >= 0 && first_page(copy, size / PAGE, page, err) &&
              write_page(fd, page, sizeof page, 0, copy, err);

    if (fd >= 0)
        (void)close(fd);
    return ok;
}

/* Can the tables be found in it? An older history is brought up to date first, where that works. */
static bool open_copy(const char *copy, struct db **ret_db, struct err *err)
{
    const struct db_options options = {.path = copy};
    struct db *db = NULL;
    int64_t application, version, n;
    bool ok;

    if (schema_open(&options, ret_db, NULL))
        return true;
    ok = db_open(&options, &db, err) && db_number(db, "PRAGMA application_id", &application, err) &&
         db_number(db, "PRAGMA user_version", &version, err) &&
         db_number(db, "SELECT count(*) FROM sqlite_schema", &n, err);
    if (ok && (application != SCHEMA_APPLICATION || version > SCHEMA_VERSION))
        ok = err_set(err, ERR_STORAGE, 0, "%s", "is no history of this brim, or of a newer one");
    if (!ok) {
        db_close(db);
        return false;
    }
    *ret_db = db;
    return true;
}

static bool is_damaged(const struct err *err)
{
    return err->code == DB_CORRUPT || err->code == DB_NOT_A_DB;
}

/* With its log; without it, if that does not go with it; then with another first page. */
static bool open_somehow(const char *copy, struct recover_result *result, struct db **ret_db,
                         struct err *err)
{
    CLEANUP(free_ptr) char *log = with_end(copy, "-wal");

    if (open_copy(copy, ret_db, err))
        return true;
    if (!is_damaged(err))
        return false;
    if (access(log, F_OK) == 0) {
        result->log_ignored = true;
        (void)unlink(log);
        if (open_copy(copy, ret_db, err))
            return true;
    }
    result->new_first_page = true;
    return is_damaged(err) && replace_first_page(copy, err) && open_copy(copy, ret_db, err);
}

static bool copy_all(const char *from, const char *copy, struct recover_result *result,
                     struct err *err)
{
    CLEANUP(free_ptr) char *log = with_end(from, "-wal"), *log_copy = with_end(copy, "-wal");

    remove_copy(copy);
    if (!copy_file(from, copy, &result->unread_pages, err))
        return false;
    restore_length(copy, &result->unread_pages);
    return access(log, F_OK) != 0 || copy_file(log, log_copy, &result->unread_pages, err);
}

/* An empty history that is not named yet. */
static bool begin_history(const char *to, struct db **ret_db, struct err *err)
{
    CLEANUP(free_ptr) char *part = with_end(to, ".part");
    const struct db_options options = {.path = part};
    struct db *db;

    if (!backup_begin(to, &db, err))
        return false;
    db_close(db);
    return schema_open(&options, ret_db, err);
}

static bool salvage(struct db *from, const char *to, struct recovery *r, struct err *err)
{
    r->from = from;
    if (!begin_history(to, &r->to, err))
        return false;
    if (recover_tables(r, err))
        return backup_end(to, r->to, err);
    backup_drop(to, r->to);
    return false;
}

bool recover_make(const char *from, const char *to,
                  void (*told)(void *self, const struct recover_hole *hole), void *self,
                  struct recover_result *ret_result, struct err *err)
{
    CLEANUP(free_ptr) char *copy = with_end(to, ".part-copy");
    CLEANUP(free_ptr) struct recover_result *result = xcalloc(1, sizeof *result);
    struct recovery r = {.result = result, .told = told, .self = self};
    struct db *db = NULL;
    bool ok;

    ok = copy_all(from, copy, result, err) &&
         (open_somehow(copy, result, &db, err) || err_wrap(err, "%s", from)) &&
         salvage(db, to, &r, err);
    db_close(db);
    remove_copy(copy);
    if (ok)
        *ret_result = *result;
    return ok;
}
