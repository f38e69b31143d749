/*
 * Files that a history takes in, as CSV, JSON lines or OpenMetrics: what is accepted comes out, goes into another history, and comes
 * out of that as the same bytes, and may go in twice; what is refused has a place and leaves all as it was. An input is one such file
 * or several, with NEXT_FILE between them, that go into one history one after another.
 *
 * To make a history takes far longer than to read such a file: two serve all inputs, and are emptied behind what was accepted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/history_metrics.h"
#include "base/alloc.h"
#include "storage/activity.h"
#include "tests/fuzz/fuzz.h"

static NORETURN void fail(const char *what)
{
    (void)fprintf(stderr, "import: %s\n", what);
    abort();
}

/* Tables that an import writes to. */
#define ROWS                                                                                       \
    "(SELECT count(*) FROM policy) + (SELECT count(*) FROM sample) + (SELECT count(*) FROM "       \
    "decision) + (SELECT count(*) FROM chunk) + (SELECT count(*) FROM gap) + (SELECT count(*) "    \
    "FROM pack) + (SELECT count(*) FROM activity) + (SELECT count(*) FROM node_group) + (SELECT "  \
    "count(*) FROM group_sample)"
#define EMPTY                                                                                      \
    "DELETE FROM policy; DELETE FROM sample; DELETE FROM decision; DELETE FROM chunk; DELETE "     \
    "FROM gap; DELETE FROM pack; DELETE FROM activity; DELETE FROM node_group; DELETE FROM "       \
    "group_sample"
/* Tables of which neither says anything. */
#define FORGOTTEN                                                                                  \
    "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND "    \
    "name NOT IN ('policy', 'sample', 'decision', 'chunk', 'gap', 'pack', 'activity', "            \
    "'node_group', 'group_sample', 'policy_text', 'policy_found')"

enum { NEXT_FILE = 0x1e };
#define ALL_KINDS ((1u << RECORD_KIND_COUNT_) - 1)

static struct record_tables tables;
static struct history histories[2]; /* what takes the input in, and its copy */

static struct history open_history(void)
{
    const struct db_options options = {.path = ":memory:"};
    struct history h = {0};
    struct err err = {0};
    int64_t forgotten;

    if (!history_open(&options, &h, &err) || !db_number(h.db, FORGOTTEN, &forgotten, &err))
        fail(err.text);
    if (forgotten != 0)
        fail("a table is not emptied between inputs");
    return h;
}

static bool take_records(struct record_lines *lines, enum record_format format,
                         struct import *import, struct err *err)
{
    struct record *r = xcalloc(1, sizeof *r);
    struct record_reader reader;
    bool ok, some;

    record_reader_init(&reader, &tables, format, lines);
    do {
        ok = record_read(&reader, r, &some, err) && (!some || import_add(import, r, err));
    } while (ok && some);
    record_reader_done(&reader);
    free(r);
    return ok;
}

static bool take(struct history *h, struct sv text, bool replace, struct err *err)
{
    FILE *from = fmemopen((void *)(uintptr_t)text.at, text.len, "r");
    struct import_counts counts;
    struct record_lines lines;
    struct import *import;
    int64_t skipped;
    bool ok;
    int first;

    if (from == NULL ||
        !import_begin(h, &(struct import_options){.replace = replace}, &import, err))
        abort();
    record_lines_init(&lines, from, "f");
    ok = record_lines_peek(&lines, &first, err);
    if (ok && (first == '{' || first == 'k'))
        ok = take_records(&lines, first == '{' ? RECORD_JSONL : RECORD_CSV, import, err);
    else
        ok = ok && history_metrics_read(&lines, import, &skipped, err);
    ok = ok && import_end(import, &counts, err);
    import_free(import);
    record_lines_done(&lines);
    (void)fclose(from);
    return ok;
}

static bool write_record(void *self, const struct record *r, struct err *err)
{
    return record_write(self, r) || err_set(err, ERR_SYSTEM, 0, "not written");
}

static struct sv give(struct history *h, enum record_format format, unsigned kinds)
{
    const struct export_query q = {.until_ms = RECORD_LAST_MS + 1, .kinds = kinds};
    struct record_writer writer;
    struct export_damage damage;
    struct err err = {0};
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);

    record_writer_init(&writer, &tables, format, to);
    if (!export_read(h, &q, write_record, &writer, &damage, &err))
        fail(err.text);
    record_writer_done(&writer);
    (void)fclose(to);
    return (struct sv){.at = text, .len = len};
}

static void drop(struct sv given)
{
    free((void *)(uintptr_t)given.at);
}

static void expect_text(struct history *h, enum record_format format, struct sv expected,
                        const char *what)
{
    struct sv found = give(h, format, RECORD_IMPORTED);

    if (!sv_eq(found, expected))
        fail(what);
    drop(found);
}

static void empty(struct history *h)
{
    struct err err = {0};

    if (!db_exec(h->db, EMPTY, &err))
        fail(err.text);
}

static void check_copy(enum record_format format)
{
    struct history *copy = &histories[1];
    struct sv text = give(&histories[0], format, RECORD_IMPORTED);
    struct err err = {0};

    if (text.len != 0 && !take(copy, text, false, &err))
        fail(err.text);
    expect_text(copy, format, text, "what came out is not what went in");
    drop(text);
    empty(copy);
}

static void check_refused(const struct err *found)
{
    if ((found->kind != ERR_INPUT && found->kind != ERR_CONFLICT && found->kind != ERR_LIMIT) ||
        found->text[0] == '\0')
        fail(found->text);
}

static void check_nothing(void)
{
    struct err err = {0};
    int64_t rows;

    if (!db_number(histories[0].db, "SELECT " ROWS, &rows, &err))
        fail(err.text);
    if (rows != 0)
        fail("something was applied");
}

/* One more file into what is there; false where it was refused. */
static bool add_file(struct sv file, bool replace, bool first)
{
    struct sv before = first ? (struct sv){0} : give(&histories[0], RECORD_CSV, RECORD_IMPORTED);
    struct err err = {0};
    bool ok = take(&histories[0], file, replace, &err);

    if (!ok) {
        check_refused(&err);
        if (first)
            check_nothing();
        else
            expect_text(&histories[0], RECORD_CSV, before, "something was applied");
    }
    drop(before);
    return ok;
}

static void check_again(struct sv file, bool replace)
{
    struct sv before = give(&histories[0], RECORD_CSV, RECORD_IMPORTED);
    struct err err = {0};

    if (!take(&histories[0], file, replace, &err))
        fail(err.text);
    expect_text(&histories[0], RECORD_CSV, before, "a second time it is something else");
    drop(before);
}

static bool follow(void *self, const struct activity_row *row)
{
    int64_t *last_ms = self;

    if (row->first_ms <= *last_ms)
        fail("what happened goes back");
    for (size_t i = 1; i < row->n_bins; i++) {
        if (row->bins[i].key <= row->bins[i - 1].key)
            fail("bins are not in order");
    }
    *last_ms = row->first_ms;
    return true;
}

/* What happened, of the journal and of the first policy. */
static void check_activity(void)
{
    struct err err = {0};

    for (int64_t policy = 0; policy < 2; policy++) {
        for (int level = LEVEL_MINUTE; level <= LEVEL_DAY; level++) {
            int64_t last_ms = INT64_MIN;

            if (!activity_each(&histories[0], policy, (enum level)level, 0, RECORD_LAST_MS, follow,
                               &last_ms, &err))
                fail(err.text);
        }
    }
}

static void make_histories(void)
{
    if (histories[0].db != NULL)
        return;
    record_tables_init(&tables);
    histories[0] = open_history();
    histories[1] = open_history();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv rest = {.at = (const char *)data, .len = size}, file, last = {0};
    bool replace = size % 2 == 0;

    make_histories();
    while (sv_next(&rest, NEXT_FILE, &file)) {
        if (file.len == 0 || !add_file(file, replace, last.len == 0))
            break;
        last = file;
    }
    if (last.len == 0)
        return 0;
    check_again(last, replace);
    check_copy(RECORD_CSV);
    check_copy(RECORD_JSONL);
    drop(give(&histories[0], RECORD_JSONL, ALL_KINDS));
    check_activity();
    empty(&histories[0]);
    return 0;
}
