/*
 * Files that a history takes in, as CSV, JSON lines or OpenMetrics: what is accepted comes out, goes into another history, and comes
 * out of that as the same bytes; what is refused has a place and leaves nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/history_metrics.h"
#include "base/alloc.h"
#include "tests/fuzz/fuzz.h"

static NORETURN void fail(const char *what)
{
    (void)fprintf(stderr, "import: %s\n", what);
    abort();
}

static struct history open_history(void)
{
    const struct db_options options = {.path = ":memory:"};
    struct history h = {0};
    struct err err = {0};

    if (!history_open(&options, &h, &err))
        fail(err.text);
    return h;
}

static bool take_records(struct record_lines *lines, enum record_format format,
                         struct import *import, struct err *err)
{
    struct record *r = xcalloc(1, sizeof *r);
    struct record_tables tables;
    struct record_reader reader;
    bool ok, some;

    record_tables_init(&tables);
    record_reader_init(&reader, &tables, format, lines);
    do {
        ok = record_read(&reader, r, &some, err) && (!some || import_add(import, r, err));
    } while (ok && some);
    record_reader_done(&reader);
    record_tables_done(&tables);
    free(r);
    return ok;
}

static bool take(struct history *h, const char *text, size_t len, bool replace, struct err *err)
{
    FILE *from = fmemopen((void *)(uintptr_t)text, len, "r");
    struct import_counts counts;
    struct record_lines lines;
    struct import *import;
    int64_t skipped;
    bool ok;

    if (from == NULL ||
        !import_begin(h, &(struct import_options){.replace = replace}, &import, err))
        abort();
    record_lines_init(&lines, from, "f");
    if (text[0] == '{' || text[0] == 'k')
        ok = take_records(&lines, text[0] == '{' ? RECORD_JSONL : RECORD_CSV, import, err);
    else
        ok = history_metrics_read(&lines, import, &skipped, err);
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

static char *give(struct history *h, enum record_format format, size_t *ret_len)
{
    const struct export_query q = {.until_ms = RECORD_LAST_MS + 1, .kinds = RECORD_IMPORTED};
    struct record_tables tables;
    struct record_writer writer;
    struct export_damage damage;
    struct err err = {0};
    char *text = NULL;
    FILE *to = open_memstream(&text, ret_len);

    record_tables_init(&tables);
    record_writer_init(&writer, &tables, format, to);
    if (!export_read(h, &q, write_record, &writer, &damage, &err))
        fail(err.text);
    record_writer_done(&writer);
    record_tables_done(&tables);
    (void)fclose(to);
    return text;
}

static void check_copy(struct history *h, enum record_format format)
{
    size_t len, again_len;
    char *text = give(h, format, &len), *again;
    struct history copy = open_history();
    struct err err = {0};

    if (len != 0 && !take(&copy, text, len, false, &err))
        fail(err.text);
    again = give(&copy, format, &again_len);
    if (len != again_len || memcmp(text, again, len) != 0)
        fail("what came out is not what went in");
    free(again);
    free(text);
    history_close(&copy);
}

static void check_nothing(struct history *h, const struct err *err)
{
    size_t len;
    char *text = give(h, RECORD_CSV, &len);

    if (len != 0)
        fail("something was applied");
    free(text);
    if ((err->kind != ERR_INPUT && err->kind != ERR_CONFLICT && err->kind != ERR_LIMIT) ||
        err->text[0] == '\0')
        fail(err->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct history h;
    struct err err = {0};

    if (size == 0)
        return 0;
    h = open_history();
    if (take(&h, (const char *)data, size, size % 2 == 0, &err)) {
        check_copy(&h, RECORD_CSV);
        check_copy(&h, RECORD_JSONL);
    } else {
        check_nothing(&h, &err);
    }
    history_close(&h);
    return 0;
}
