#include <stdio.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/cmd.h"
#include "storage/report.h"

static const struct cli_flag flags[] = {
    {"db", 0, CLI_VALUE, "FILE", NULL, NULL, "the history that an agent keeps"},
    {"policy", 0, CLI_VALUE, "NAME", "", NULL, "whose room and filler [the only one]"},
    {"by", 0, CLI_VALUE, "UNIT", "day", "hour|day", "what a row stands for"},
    {"since", 0, CLI_VALUE, "TIME", NULL, NULL,
     "2026-10-01, or with a time: 2026-10-01T08:00:00Z [the first record]"},
    {"until", 0, CLI_VALUE, "TIME", NULL, NULL, "up to, but without [the last record]"},
    {"utc-offset", 0, CLI_VALUE, "+HH:MM", "+00:00", NULL,
     "the clock by which hours and days begin"},
    {"output", 'o', CLI_VALUE, "FORMAT", "table", "table|csv|json", "form of the answer"},
};

static const struct cli_command command = {
    .name = "brim report",
    .args = "",
    .about =
        "Shows what the cluster's cpu was used for: paid pods, filler, kept free and idle "
        "core-hours, yields, and paid pods\n"
        "that had to wait for filler. Reads a history file; the agent may go on writing to it.",
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples = "  brim report --db history.db\n  brim report --db history.db --by hour --since "
                "2026-10-01 --until 2026-10-02 -o csv\n"
                "  brim report --db history.db --policy miner --utc-offset +02:00\n",
};

/* "+02:00": 7200. */
static bool read_offset(const char *text, int64_t *ret_offset_s, struct err *err)
{
    struct sv all = sv_from(text), hours, minutes;
    uint64_t h, m;

    if (all.len == 0 || (text[0] != '+' && text[0] != '-') ||
        !sv_cut(sv_skip(all, 1), ':', &hours, &minutes) || hours.len != 2 || minutes.len != 2 ||
        !sv_to_u64(hours, &h) || !sv_to_u64(minutes, &m) || h > 14 || m > 59)
        return err_set(err, ERR_INPUT, 0,
                       "--utc-offset: found %s, expected hours and minutes like +02:00", text);
    *ret_offset_s = (int64_t)(h * 3600 + m * 60) * (text[0] == '-' ? -1 : 1);
    return true;
}

/* A date begins at midnight of the report's clock. 0 where the flag is not given. */
static bool read_time(const struct cli *cli, const char *flag, int64_t offset_s, int64_t *ret_ms,
                      struct err *err)
{
    const char *text = cli_value(cli, flag);
    char whole[64];
    struct wall t;

    *ret_ms = 0;
    if (text == NULL)
        return true;
    (void)snprintf(whole, sizeof whole, "%s%s", text, strlen(text) == 10 ? "T00:00:00Z" : "");
    if (!wall_parse(sv_from(whole), &t))
        return err_set(err, ERR_INPUT, 0,
                       "--%s: found %s, expected a date or a time like 2026-10-01T08:00:00Z", flag,
                       text);
    *ret_ms = t.us / 1000 - (strlen(text) == 10 ? offset_s * 1000 : 0);
    return true;
}

static bool read_query(const struct cli *cli, struct report_query *q, struct err *err)
{
    *q = (struct report_query){.policy = sv_from(cli_value(cli, "policy")),
                               .by = cli_value(cli, "by")[0] == 'h' ? REPORT_HOUR : REPORT_DAY};
    if (cli_value(cli, "db") == NULL)
        return err_set(err, ERR_INPUT, 0, "found no --db, expected the history file");
    return read_offset(cli_value(cli, "utc-offset"), &q->offset_s, err) &&
           read_time(cli, "since", q->offset_s, &q->since_ms, err) &&
           read_time(cli, "until", q->offset_s, &q->until_ms, err);
}

static int print(const struct report *r, const char *format)
{
    struct strbuf out;
    int code;

    strbuf_init(&out, REPORT_MAX_TEXT);
    report_print(r,
                 format[0] == 't'   ? REPORT_TABLE
                 : format[0] == 'c' ? REPORT_CSV
                                    : REPORT_JSON,
                 &out);
    code = cmd_print(&out);
    strbuf_done(&out);
    return code;
}

int cmd_report(int argc, char **argv)
{
    struct history history = {0};
    struct db_options options;
    struct report_query query;
    struct report report;
    struct err err = {0};
    struct cli cli;
    int code;

    if (!cli_begin(&command, argc, argv, &cli, &code))
        return code;
    options = (struct db_options){.path = cli_value(&cli, "db"), .read_only = true};
    if (read_query(&cli, &query, &err) && history_open(&options, &history, &err) &&
        report_make(&history, &query, &report, &err)) {
        code = print(&report, cli_value(&cli, "output"));
        report_done(&report);
    } else {
        code = cmd_fail(command.name, &err);
    }
    history_close(&history);
    cli_done(&cli);
    return code;
}
