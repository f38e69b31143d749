#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/cmd.h"
#include "agent/cmd_history.h"
#include "agent/history_metrics.h"
#include "agent/report_ask.h"
#include "base/alloc.h"
#include "base/num.h"
#include "storage/lock.h"
#include "storage/series.h"

#define KINDS_TEXT                                                                                 \
    "days, hours, minutes, samples, decisions, gaps, journal, activity, groups; of an export "     \
    "also events "                                                                                 \
    "and "                                                                                         \
    "blocked (pods)"

enum format { CSV, JSONL, OPENMETRICS };

/* "samples,decisions": kinds by their names, in the plural or not. */
static bool read_kinds(struct sv text, unsigned all, unsigned *ret_kinds, struct err *err)
{
    unsigned kinds = 0;
    struct sv word;

    for (struct sv rest = text; sv_next(&rest, ',', &word);) {
        enum record_kind kind = record_kind_named(word);

        if (kind == RECORD_KIND_COUNT_ && sv_ends(word, SV("s")))
            kind = record_kind_named((struct sv){.at = word.at, .len = word.len - 1});
        if (kind == RECORD_KIND_COUNT_)
            return err_set(err, ERR_INPUT, 0, "--what: found %.*s, expected some of " KINDS_TEXT,
                           SV_ARG(word));
        kinds |= 1u << kind;
    }
    *ret_kinds = text.len != 0 ? kinds : all;
    return true;
}

static bool need_db(const struct cli *cli, const char **ret_db, struct err *err)
{
    *ret_db = cli_value(cli, "db");
    return *ret_db != NULL ||
           err_set(err, ERR_INPUT, 0, "found no --db, expected the history file");
}

/* ---- out ---- */

static const struct cli_flag export_flags[] = {
    {"db", 0, CLI_VALUE, "FILE", NULL, NULL, "the history that an agent keeps"},
    {"what", 0, CLI_VALUE, "KINDS", "", NULL,
     "some of " KINDS_TEXT " [all that an import takes; of OpenMetrics samples,decisions]"},
    {"policy", 0, CLI_VALUE, "NAME", "", NULL, "whose [all]"},
    {"since", 0, CLI_VALUE, "TIME", "", NULL,
     "2026-10-01, with a time: 2026-10-01T08:00 or 2026-10-01T08:00:00Z, or so long before the "
     "end: 7d, 12h [the first record]"},
    {"until", 0, CLI_VALUE, "TIME", "", NULL, "up to, but without [the last record]"},
    {"out", 0, CLI_VALUE, "FILE", NULL, NULL,
     "write to this file, which is there, or replaced, only when all is in it [stdout]"},
    {"output", 'o', CLI_VALUE, "FORMAT", "csv", "csv|jsonl|openmetrics", "form of the answer"},
};

static const struct cli_command export_command = {
    .name = "brim history export",
    .args = "",
    .about =
        "Writes what a history holds as CSV, JSON lines or OpenMetrics, row by row; the agent "
        "may go on writing to it. Times are\nin UTC, amounts of cpu in cores. CSV has the rows "
        "of a kind together, below the names of their columns. OpenMetrics has\nthe names that "
        "/metrics serves, for promtool tsdb create-blocks-from openmetrics.\n"
        "Exit code 1: something could not be read, and is missing.",
    .flags = export_flags,
    .n_flags = COUNT_OF(export_flags),
    .examples = "  brim history export --db history.db >history.csv\n"
                "  brim history export --db history.db --what samples --since 1d -o jsonl | jq "
                ".paid_cores\n"
                "  brim history export --db history.db -o openmetrics --out history.om\n"
                "  promtool tsdb create-blocks-from openmetrics history.om data/\n",
};

static enum format format_of(const struct cli *cli)
{
    char first = cli_value(cli, "output")[0];

    return first == 'c' ? CSV : first == 'j' ? JSONL : OPENMETRICS;
}

static bool read_moment(const char *flag, struct sv text, int64_t end_ms, int64_t fallback_ms,
                        int64_t *ret_ms, struct err *err)
{
    int64_t ms, span_ms;

    if (!report_time(text, NULL, &ms, &span_ms, err))
        return err_wrap(err, "%s", flag);
    *ret_ms = text.len == 0 ? fallback_ms
              : span_ms > 0 ? max_i64(0, end_ms - span_ms)
                            : min_i64(max_i64(0, ms), RECORD_LAST_MS);
    return true;
}

static bool read_query(const struct cli *cli, struct history *h, struct export_query *q,
                       struct err *err)
{
    unsigned all = format_of(cli) == OPENMETRICS ? 1u << RECORD_SAMPLE | 1u << RECORD_DECISION
                                                 : RECORD_IMPORTED;
    int64_t first_ms, end_ms;

    q->policy = sv_from(cli_value(cli, "policy"));
    if (!read_kinds(sv_from(cli_value(cli, "what")), all, &q->kinds, err) ||
        !series_span(h, &first_ms, &end_ms, err) ||
        !read_moment("until", sv_from(cli_value(cli, "until")), end_ms, RECORD_LAST_MS,
                     &q->until_ms, err))
        return false;
    if (!read_moment("since", sv_from(cli_value(cli, "since")), min_i64(end_ms, q->until_ms), 0,
                     &q->from_ms, err))
        return false;
    return q->from_ms < q->until_ms ||
           err_set(err, ERR_INPUT, 0, "until: found a time that is not after since");
}

static bool write_record(void *self, const struct record *r, struct err *err)
{
    return record_write(self, r) || err_set(err, ERR_SYSTEM, errno, "%s", strerror(errno));
}

static bool write_records(struct history *h, const struct export_query *q,
                          enum record_format format, FILE *to, struct export_damage *damage,
                          struct err *err)
{
    struct record_tables tables;
    struct record_writer writer;
    bool ok;

    record_tables_init(&tables);
    record_writer_init(&writer, &tables, format, to);
    ok = export_read(h, q, write_record, &writer, damage, err);
    record_writer_done(&writer);
    record_tables_done(&tables);
    return ok;
}

static bool write_history(const struct cli *cli, FILE *to, struct export_damage *damage,
                          struct err *err)
{
    struct db_options options = {.read_only = true};
    struct history h = {0};
    struct export_query q = {0};
    bool ok = need_db(cli, &options.path, err) && history_open(&options, &h, err) &&
              export_begin(&h, err) && read_query(cli, &h, &q, err);

    if (ok && format_of(cli) == OPENMETRICS)
        ok = history_metrics_write(&h, &q, to, damage, err);
    else if (ok)
        ok = write_records(&h, &q, format_of(cli) == CSV ? RECORD_CSV : RECORD_JSONL, to, damage,
                           err);
    if (h.db != NULL)
        export_end(&h);
    history_close(&h);
    return ok && (fflush(to) == 0 || err_set(err, ERR_SYSTEM, errno, "%s", strerror(errno)));
}

/* Beside the file first, then in its place. */
static bool write_file(const struct cli *cli, const char *path, struct export_damage *damage,
                       struct err *err)
{
    char part[4096];
    FILE *to;
    bool ok;

    if ((size_t)snprintf(part, sizeof part, "%s.part", path) >= sizeof part)
        return err_set(err, ERR_INPUT, 0, "out: found a name of more than %zu bytes",
                       sizeof part - sizeof ".part");
    to = fopen(part, "we");
    if (to == NULL)
        return err_set(err, ERR_SYSTEM, errno, "%s: %s", part, strerror(errno));
    ok = write_history(cli, to, damage, err);
    if (ok && fsync(fileno(to)) != 0)
        ok = err_set(err, ERR_SYSTEM, errno, "%s: %s", part, strerror(errno));
    if (fclose(to) != 0 && ok)
        ok = err_set(err, ERR_SYSTEM, errno, "%s: %s", part, strerror(errno));
    if (ok && rename(part, path) != 0)
        ok = err_set(err, ERR_SYSTEM, errno, "%s: %s", path, strerror(errno));
    if (!ok)
        (void)unlink(part);
    return ok;
}

int history_export(int argc, char **argv)
{
    struct export_damage damage = {0};
    struct err err = {0};
    struct cli cli;
    int code;
    bool ok;

    if (!cli_begin(&export_command, argc, argv, &cli, &code))
        return code;
    ok = cli_value(&cli, "out") != NULL ? write_file(&cli, cli_value(&cli, "out"), &damage, &err)
                                        : write_history(&cli, stdout, &damage, &err);
    code = ok ? CLI_DONE : cmd_fail(export_command.name, &err);
    if (ok && (damage.samples != 0 || damage.journal != 0)) {
        (void)fprintf(stderr,
                      "%s: parts of the history are damaged and missing: %lld of the samples, %lld "
                      "of the journal\n",
                      export_command.name, (long long)damage.samples, (long long)damage.journal);
        code = CLI_NO;
    }
    cli_done(&cli);
    return code;
}

/* ---- in ---- */

static const struct cli_flag import_flags[] = {
    {"db", 0, CLI_VALUE, "FILE", NULL, NULL,
     "the history that takes it in, a new one or one that no agent writes to"},
    {"what", 0, CLI_VALUE, "KINDS", "", NULL,
     "some of days, hours, minutes, samples, decisions, gaps, journal, activity, groups; the "
     "others are left out "
     "[all]"},
    {"replace", 0, CLI_SWITCH, NULL, NULL, NULL,
     "where the history has something else for the same time, take this in its place"},
};

static const struct cli_command import_command = {
    .name = "brim history import",
    .args = "FILE",
    .about =
        "Takes what `brim history export` wrote (CSV, JSON lines, OpenMetrics; - is stdin) into "
        "a history: all of it, or\nnothing. What is there already is left alone; where there "
        "is something else for the same time it says so and ends.\n"
        "Exit code 1: the history has something else.",
    .min_args = 1,
    .max_args = 1,
    .flags = import_flags,
    .n_flags = COUNT_OF(import_flags),
    .examples = "  brim history import --db new.db history.csv\n"
                "  brim history export --db old.db -o jsonl | brim history import --db new.db -\n",
};

struct taking {
    struct record_lines lines;
    struct import *import;
    unsigned kinds;
    int64_t left_out;
};

/* What is there already may be found some rows later: it has its time. */
static bool place(const struct taking *t, struct err *err)
{
    return err->kind == ERR_CONFLICT ? err_wrap(err, "%s", t->lines.name)
                                     : record_lines_wrong(&t->lines, err);
}

static bool take_records(struct taking *t, enum record_format format, struct err *err)
{
    struct record *record = xcalloc(1, sizeof *record);
    struct record_reader reader;
    struct record_tables tables;
    bool ok, some = true;

    record_tables_init(&tables);
    record_reader_init(&reader, &tables, format, &t->lines);
    do {
        ok = record_read(&reader, record, &some, err);
        if (ok && some && (t->kinds & 1u << record->kind) == 0)
            t->left_out++;
        else if (ok && some)
            ok = import_add(t->import, record, err) || place(t, err);
    } while (ok && some);
    record_reader_done(&reader);
    record_tables_done(&tables);
    free(record);
    return ok;
}

/* A comment, or the name of a metric. */
static bool begins_metrics(int first)
{
    return first == '#' || first == '_' || first == ':' || (first >= 'a' && first <= 'z') ||
           (first >= 'A' && first <= 'Z');
}

/* The first byte tells the format: an object, the head of a CSV, or what OpenMetrics may begin with. */
static bool take_all(struct taking *t, struct err *err)
{
    int first;

    if (!record_lines_peek(&t->lines, &first, err))
        return false;
    if (first == EOF)
        return err_set(err, ERR_INPUT, 0, "%s: found nothing, expected an export", t->lines.name);
    if (first == '{')
        return take_records(t, RECORD_JSONL, err);
    if (first == 'k')
        return take_records(t, RECORD_CSV, err);
    if (!begins_metrics(first))
        return err_set(err, ERR_INPUT, 0,
                       "%s:1: found 0x%02x as the first byte, expected CSV (kind,...), JSON lines "
                       "({...) or OpenMetrics (# or a name)",
                       t->lines.name, (unsigned)first);
    return history_metrics_read(&t->lines, t->import, &t->left_out, err);
}

static void print_counts(const struct import_counts *c, int64_t left_out)
{
    (void)printf("%-10s %12s %12s %12s\n", "KIND", "ADDED", "THERE", "REPLACED");
    for (int kind = 0; kind < RECORD_EVENT; kind++) {
        if (c->added[kind] != 0 || c->there[kind] != 0 || c->replaced[kind] != 0)
            (void)printf("%-10s %12lld %12lld %12lld\n", record_kind_name((enum record_kind)kind),
                         (long long)c->added[kind], (long long)c->there[kind],
                         (long long)c->replaced[kind]);
    }
    if (left_out != 0)
        (void)printf("left out   %12lld lines\n", (long long)left_out);
}

static bool import_into(const struct cli *cli, struct history *h, FILE *from, struct err *err)
{
    const struct import_options options = {.replace = cli_on(cli, "replace")};
    const char *name = strcmp(cli->args[0], "-") == 0 ? "stdin" : cli->args[0];
    struct import_counts counts;
    struct taking t = {0};
    bool ok;

    if (!read_kinds(sv_from(cli_value(cli, "what")), UINT_MAX, &t.kinds, err) ||
        !import_begin(h, &options, &t.import, err))
        return false;
    record_lines_init(&t.lines, from, name);
    ok = take_all(&t, err) && import_end(t.import, &counts, err);
    record_lines_done(&t.lines);
    import_free(t.import);
    if (ok)
        print_counts(&counts, t.left_out);
    return ok;
}

static void remove_new(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char file[4096 + 8];

    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        (void)snprintf(file, sizeof file, "%s%s", path, ends[i]);
        (void)unlink(file);
    }
}

/* A new file that takes nothing in is none. */
static bool import_file(const struct cli *cli, FILE *from, struct err *err)
{
    struct db_options options = {0};
    struct history h = {0};
    struct lock *lock = NULL;
    bool ok, was_there;

    if (!need_db(cli, &options.path, err))
        return false;
    was_there = access(options.path, F_OK) == 0;
    if (!lock_take(options.path, &lock, err))
        return false;
    ok = history_open(&options, &h, err) && import_into(cli, &h, from, err);
    history_close(&h);
    if (!ok && !was_there)
        remove_new(options.path);
    lock_release(lock);
    return ok;
}

int history_import(int argc, char **argv)
{
    struct err err = {0};
    struct cli cli;
    FILE *from;
    int code;

    if (!cli_begin(&import_command, argc, argv, &cli, &code))
        return code;
    from = strcmp(cli.args[0], "-") == 0 ? stdin : fopen(cli.args[0], "re");
    if (from == NULL)
        (void)err_set(&err, ERR_SYSTEM, errno, "%s: %s", cli.args[0], strerror(errno));
    code = CLI_DONE;
    if (from == NULL || !import_file(&cli, from, &err)) {
        code = cmd_fail(import_command.name, &err);
        code = err.kind == ERR_CONFLICT ? CLI_NO : code;
    }
    if (from != NULL && from != stdin)
        (void)fclose(from);
    cli_done(&cli);
    return code;
}
