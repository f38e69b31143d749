#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/cli.h"
#include "agent/cmd.h"
#include "agent/cmd_history.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "storage/backup.h"
#include "storage/history.h"
#include "storage/recover.h"

#define DB_FLAG                                                                                    \
    {                                                                                              \
        "db", 0, CLI_VALUE, "FILE", NULL, NULL, "the history that an agent keeps"                  \
    }

enum { MAX_TEXT = 64 << 10, MAX_TABLES = 64, HOLES_SHOWN = 20 };

static bool need_db(const struct cli *cli, const char **ret_db, struct err *err)
{
    *ret_db = cli_value(cli, "db");
    return *ret_db != NULL ||
           err_set(err, ERR_INPUT, 0, "found no --db, expected the history file");
}

/* What there is. */

struct table {
    char name[64];
    int64_t rows;
};

struct facts {
    const char *path;
    int64_t bytes, log_bytes, schema, first_ms, last_ms, damaged;
    struct chunks_totals journal;
    struct strbuf policies;
    size_t n_policies;
    struct table tables[MAX_TABLES];
    size_t n_tables;
};

static int64_t size_of(const char *path, const char *end)
{
    char file[4096 + 8];
    struct stat st;

    (void)snprintf(file, sizeof file, "%s%s", path, end);
    return stat(file, &st) == 0 ? st.st_size : 0;
}

static void add_policy(void *self, struct sv name)
{
    struct facts *f = self;

    (void)strbuf_add(&f->policies, f->n_policies++ > 0 ? SV(", ") : SV(""));
    (void)strbuf_add_shown(&f->policies, name);
}

static void add_table(void *self, struct sv name)
{
    struct facts *f = self;

    if (f->n_tables < MAX_TABLES)
        (void)snprintf(f->tables[f->n_tables++].name, sizeof f->tables->name, "%.*s", SV_ARG(name));
}

static bool count_rows(struct db *db, struct facts *f, struct err *err)
{
    char sql[128];

    if (!db_tables(db, add_table, f, err))
        return false;
    for (size_t i = 0; i < f->n_tables; i++) {
        (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM \"%s\"", f->tables[i].name);
        if (!db_number(db, sql, &f->tables[i].rows, err))
            return false;
    }
    return true;
}

static bool gather(struct history *h, const char *path, struct facts *f, struct err *err)
{
    f->path = path;
    f->bytes = size_of(f->path, "");
    f->log_bytes = size_of(f->path, "-wal");
    return db_number(h->db, "PRAGMA user_version", &f->schema, err) &&
           samples_span(h->samples, &f->first_ms, &f->last_ms, err) &&
           samples_policies(h->samples, add_policy, f, err) &&
           history_damaged(h, &f->damaged, err) && chunks_totals(h->chunks, &f->journal, err) &&
           count_rows(h->db, f, err);
}

static const char *when(int64_t ms, char text[static WALL_TEXT_SIZE])
{
    if (ms == 0)
        return "-";
    wall_format((struct wall){ms * 1000}, 0, text);
    return text;
}

static void print_table(const struct facts *f, struct strbuf *out)
{
    char first[WALL_TEXT_SIZE], last[WALL_TEXT_SIZE];

    (void)strbuf_addf(out, "file      %s\n", f->path);
    (void)strbuf_addf(out, "schema    %lld\n", (long long)f->schema);
    (void)strbuf_add(out, SV("size      "));
    (void)strbuf_add_size(out, f->bytes);
    (void)strbuf_add(out, SV(", log "));
    (void)strbuf_add_size(out, f->log_bytes);
    (void)strbuf_add_char(out, '\n');
    (void)strbuf_addf(out, "samples   %s to %s\n", when(f->first_ms, first),
                      when(f->last_ms, last));
    if (f->damaged != 0)
        (void)strbuf_addf(
            out, "damaged   %lld packed parts cannot be read: what is in them is missing\n",
            (long long)f->damaged);
    (void)strbuf_addf(out, "policies  %.*s\n", SV_ARG(strbuf_sv(&f->policies)));
    (void)strbuf_addf(out, "journal   %s to %s, %lld events in %lld segments, ",
                      when(f->journal.first_ms, first), when(f->journal.last_ms, last),
                      (long long)f->journal.events, (long long)f->journal.segments);
    (void)strbuf_add_size(out, f->journal.bytes);
    (void)strbuf_add_char(out, '\n');
    (void)strbuf_addf(out, "\n%-16s %12s\n", "TABLE", "ROWS");
    for (size_t i = 0; i < f->n_tables; i++)
        (void)strbuf_addf(out, "%-16s %12lld\n", f->tables[i].name, (long long)f->tables[i].rows);
}

static void json_time(struct jsonw *w, const char *key, int64_t ms)
{
    char text[WALL_TEXT_SIZE];

    jsonw_cstr(w, key, ms != 0 ? when(ms, text) : NULL);
}

static void print_json(const struct facts *f, struct strbuf *out)
{
    struct jsonw w;

    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    jsonw_i64(&w, "version", 1);
    jsonw_cstr(&w, "file", f->path);
    jsonw_i64(&w, "schema", f->schema);
    jsonw_i64(&w, "bytes", f->bytes);
    jsonw_i64(&w, "log_bytes", f->log_bytes);
    json_time(&w, "first", f->first_ms);
    json_time(&w, "last", f->last_ms);
    jsonw_i64(&w, "damaged", f->damaged);
    jsonw_object(&w, "journal");
    json_time(&w, "first", f->journal.first_ms);
    json_time(&w, "last", f->journal.last_ms);
    jsonw_i64(&w, "events", f->journal.events);
    jsonw_i64(&w, "segments", f->journal.segments);
    jsonw_i64(&w, "bytes", f->journal.bytes);
    jsonw_end(&w);
    jsonw_object(&w, "rows");
    for (size_t i = 0; i < f->n_tables; i++)
        jsonw_i64(&w, f->tables[i].name, f->tables[i].rows);
    jsonw_end(&w);
    jsonw_end(&w);
    (void)strbuf_add_char(out, '\n');
}

static int print_facts(const struct facts *f, bool json)
{
    struct strbuf out;
    int code;

    strbuf_init(&out, MAX_TEXT);
    if (json)
        print_json(f, &out);
    else
        print_table(f, &out);
    code = cmd_print(&out);
    strbuf_done(&out);
    return code;
}

static const struct cli_flag show_flags[] = {
    DB_FLAG,
    {"output", 'o', CLI_VALUE, "FORMAT", "table", "table|json", "form of the answer"},
};

static const struct cli_command show_command = {
    .name = "brim history",
    .args = "",
    .about = "Shows what a history file holds: its size, from when to when, and how many rows of "
             "what. The agent may go on writing\nto it.\n\n"
             "Commands:\n"
             "  backup     copy a history into one file, while an agent writes to it\n"
             "  recover    save what can be read of a damaged history\n"
             "  export     write it as CSV, JSON lines or OpenMetrics\n"
             "  import     take in what was exported",
    .flags = show_flags,
    .n_flags = COUNT_OF(show_flags),
    .examples = "  brim history --db history.db\n"
                "  brim history backup --db history.db monday.db\n"
                "  brim history recover history.db.corrupt-20261123T093000Z saved.db\n"
                "  brim history export --db history.db --what samples --since 1d >day.csv\n",
};

static int show(int argc, char **argv)
{
    struct history history = {0};
    struct facts facts = {0};
    struct db_options options = {.read_only = true};
    struct err err = {0};
    struct cli cli;
    int code;

    if (!cli_begin(&show_command, argc, argv, &cli, &code))
        return code;
    strbuf_init(&facts.policies, MAX_TEXT);
    if (need_db(&cli, &options.path, &err) && history_open(&options, &history, &err) &&
        gather(&history, options.path, &facts, &err))
        code = print_facts(&facts, cli_value(&cli, "output")[0] == 'j');
    else
        code = cmd_fail(show_command.name, &err);
    history_close(&history);
    strbuf_done(&facts.policies);
    cli_done(&cli);
    return code;
}

/* A copy. */

static const struct cli_flag backup_flags[] = {DB_FLAG};

static const struct cli_command backup_command = {
    .name = "brim history backup",
    .args = "FILE",
    .about = "Copies a history into a new file, as it stands now, while an agent goes on writing "
             "to it. The copy is checked, and is\nthere under its name only when it is whole and "
             "on the disk. Nothing is overwritten.",
    .min_args = 1,
    .max_args = 1,
    .flags = backup_flags,
    .n_flags = COUNT_OF(backup_flags),
    .examples = "  brim history backup --db /var/lib/brim/history.db monday.db\n",
};

static void print_backup(const char *path, int64_t bytes)
{
    struct strbuf size;

    strbuf_init(&size, 64);
    (void)strbuf_add_size(&size, bytes);
    (void)printf("%s: %s, whole\n", path, strbuf_str(&size));
    strbuf_done(&size);
}

static int backup(int argc, char **argv)
{
    const char *db;
    struct err err = {0};
    struct cli cli;
    int64_t bytes;
    int code;

    if (!cli_begin(&backup_command, argc, argv, &cli, &code))
        return code;
    if (need_db(&cli, &db, &err) && backup_make(db, cli.args[0], NULL, NULL, &bytes, &err)) {
        print_backup(cli.args[0], bytes);
        code = CLI_DONE;
    } else {
        code = cmd_fail(backup_command.name, &err);
    }
    cli_done(&cli);
    return code;
}

/* What can be saved. */

static const struct cli_command recover_command = {
    .name = "brim history recover",
    .args = "FILE OUT",
    .about = "Saves what can be read of a damaged history into a new one, and says what was lost. "
             "FILE is left as it is. No agent\nmay write to it: one that finds its history damaged "
             "sets it aside as NAME.corrupt-TIME and begins a new one.\n"
             "Exit code 1: something was lost.",
    .min_args = 2,
    .max_args = 2,
    .examples = "  brim history recover history.db.corrupt-20261123T093000Z saved.db\n"
                "  brim report --db saved.db\n",
};

static void print_key(const int64_t *key, int n)
{
    for (int i = 0; i < n; i++)
        (void)fprintf(stderr, "%s%lld", i > 0 ? "/" : "", (long long)key[i]);
}

/* Each hole is told as it is found; after some they are only counted. */
static void tell_hole(void *self, const struct recover_hole *hole)
{
    int *told = self;

    if (++*told > HOLES_SHOWN)
        return;
    (void)fprintf(stderr, "lost: %s after ", hole->table);
    print_key(hole->from, hole->n);
    (void)fputs(hole->to_end ? " to the end" : " before ", stderr);
    if (!hole->to_end)
        print_key(hole->until, hole->n);
    (void)fputc('\n', stderr);
}

static void print_notes(const struct recover_result *r, int holes)
{
    if (holes > HOLES_SHOWN)
        (void)fprintf(stderr, "lost: %d more such places\n", holes - HOLES_SHOWN);
    if (r->unread_pages > 0)
        (void)fprintf(stderr, "lost: %lld pages that the file or the disk does not give\n",
                      (long long)r->unread_pages);
    if (r->new_first_page)
        (void)fputs("lost: the first page; the tables were looked for where a new history has "
                    "them\n",
                    stderr);
    if (r->log_ignored)
        (void)fputs("lost: the log does not go with the file: what was in it alone\n", stderr);
}

static bool print_result(const struct recover_result *r, int holes)
{
    bool lost = r->unread_pages > 0 || r->new_first_page || r->log_ignored;

    (void)printf("%-16s %12s %8s %8s\n", "TABLE", "ROWS", "HOLES", "REFUSED");
    for (size_t i = 0; i < r->n; i++) {
        const struct recover_table *t = &r->tables[i];

        (void)printf("%-16s %12lld %8lld %8lld%s\n", t->name, (long long)t->rows,
                     (long long)t->holes, (long long)t->refused,
                     t->missing ? "  cannot be read at all" : "");
        lost = lost || t->holes > 0 || t->refused > 0 || t->missing;
    }
    (void)fflush(stdout);
    print_notes(r, holes);
    return lost;
}

static int recover(int argc, char **argv)
{
    struct recover_result result;
    struct err err = {0};
    struct cli cli;
    int code, holes = 0;

    if (!cli_begin(&recover_command, argc, argv, &cli, &code))
        return code;
    if (recover_make(cli.args[0], cli.args[1], tell_hole, &holes, &result, &err))
        code = print_result(&result, holes) ? CLI_NO : CLI_DONE;
    else
        code = cmd_fail(recover_command.name, &err);
    cli_done(&cli);
    return code;
}

int cmd_history(int argc, char **argv)
{
    static const struct cmd commands[] = {
        {"backup", backup, "copy a history into one file, while an agent writes to it"},
        {"recover", recover, "save what can be read of a damaged history"},
        {"export", history_export, "write it as CSV, JSON lines or OpenMetrics"},
        {"import", history_import, "take in what was exported"},
    };

    if (argc >= 2 && argv[1][0] != '-')
        return cmd_dispatch("brim history", commands, COUNT_OF(commands), argc, argv);
    return show(argc, argv);
}
