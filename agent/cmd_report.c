#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/cmd.h"
#include "agent/prom/flags.h"
#include "agent/report_ask.h"
#include "base/alloc.h"
#include "storage/report_page.h"
#include "storage/report_text.h"

static const struct cli_flag flags[] = {
    {"db", 0, CLI_VALUE, "FILE", NULL, NULL, "the history that an agent keeps"},
    {"prometheus", 0, CLI_VALUE, "URL", NULL, NULL,
     "instead of it a Prometheus, Thanos, Mimir or VictoriaMetrics that scrapes the agents"},
    {"cluster", 0, CLI_MANY, "NAME", NULL, NULL, "of it: these clusters [all]"},
    {"by-label", 0, CLI_VALUE, "LABEL", NULL, NULL, "what tells clusters apart [cluster]"},
    {"match", 0, CLI_VALUE, "LABELS", "", NULL, "series with these alone: team=\"a\""},
    PROM_FLAGS,
    {"policy", 0, CLI_VALUE, "NAME", "", NULL, "whose room and filler [the only one]"},
    {"by", 0, CLI_VALUE, "UNIT", "day", "minute|hour|day|week|month|hour-of-week",
     "what a row stands for"},
    {"since", 0, CLI_VALUE, "TIME", "", NULL,
     "2026-10-01, with a time: 2026-10-01T08:00 or 2026-10-01T08:00:00Z, or so long before the "
     "end: 7d, 12h [the first record; of a Prometheus 7d]"},
    {"until", 0, CLI_VALUE, "TIME", "", NULL,
     "up to, but without [the last record; of a Prometheus now]"},
    {"zone", 0, CLI_VALUE, "NAME", "UTC", NULL,
     "by whose clock minutes to months begin, like Europe/Berlin"},
    {"compare", 0, CLI_VALUE, "TIME", "", NULL,
     "also the period that begins then and is as long; `previous`: the one before; "
     "TIME..TIME: any"},
    {"target", 0, CLI_VALUE, "PERCENT", "", NULL, "utilisation aimed at [the stored policy's]"},
    {"price", 0, CLI_VALUE, "PRICE", "", NULL,
     "of a core for an hour, like 0.03 or \"0.03 EUR\" [the stored policy's]"},
    {"advice", 0, CLI_SWITCH, NULL, NULL, NULL,
     "replay the time with other settings of the policy, and say what they would have brought"},
    {"policy-file", 0, CLI_VALUE, "FILE", NULL, NULL,
     "the policy for target, price and advice [the one that the history keeps]"},
    {"groups", 0, CLI_SWITCH, NULL, NULL, NULL,
     "in CSV a row for each group of nodes that the history tells apart, instead of times"},
    {"output", 'o', CLI_VALUE, "FORMAT", "table", "table|wide|csv|json|html", "form of the answer"},
};

static const struct cli_command command = {
    .name = "brim report",
    .args = "",
    .about = "Shows what the cluster's cpu was used for: paid pods, filler, kept free and idle "
             "core-hours, yields, and paid pods\n"
             "that had to wait for filler; and says it in plain words. Reads a history file, to "
             "which the "
             "agent may go on writing, or asks a Prometheus that scrapes agents.",
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples =
        "  brim report --db history.db\n  brim report --db history.db --by hour --since "
        "2026-10-01 --until 2026-10-02 -o csv\n"
        "  brim report --db history.db --since 30d --compare previous --zone Europe/Berlin "
        "--advice -o html >report.html\n"
        "  brim report --db history.db --by hour-of-week --price \"0.03 EUR\" -o wide\n"
        "  brim report --db history.db --since 30d -o csv --groups\n"
        "  brim report --prometheus http://prometheus:9090 --since 30d --by-label cluster\n",
};

static void print(const struct report_story *story, struct sv format, bool groups,
                  struct strbuf *out)
{
    if (sv_eq(format, SV("html")))
        report_page(story, out);
    else
        report_print(story,
                     sv_eq(format, SV("wide"))   ? REPORT_WIDE
                     : sv_eq(format, SV("csv"))  ? (groups ? REPORT_GROUPS_CSV : REPORT_CSV)
                     : sv_eq(format, SV("json")) ? REPORT_JSON
                                                 : REPORT_TABLE,
                     out);
}

/* `clusters` must live as long as what is returned. */
static struct report_scraped_options scraped_of(const struct cli *cli, const char **clusters)
{
    size_t n = 0;

    for (; cli_many(cli, "cluster", n) != NULL; n++)
        clusters[n] = cli_many(cli, "cluster", n);
    return (struct report_scraped_options){.prom = prom_flags_read(cli),
                                           .match = cli_value(cli, "match"),
                                           .label = cli_value(cli, "by-label"),
                                           .clusters = clusters,
                                           .n_clusters = n,
                                           .shows = isatty(STDERR_FILENO) == 1};
}

static bool check_groups(const struct cli *cli, struct err *err)
{
    const char *output = cli_value(cli, "output");

    if (!cli_on(cli, "groups"))
        return true;
    if (strcmp(output, "csv") != 0)
        return err_set(
            err, ERR_INPUT, 0,
            "found --groups with -o %s, expected -o csv: the other forms have the groups "
            "in any case",
            output);
    return cli_value(cli, "prometheus") == NULL ||
           err_set(err, ERR_INPUT, 0,
                   "found --groups with --prometheus, expected --db: a history alone tells of "
                   "groups of nodes");
}

/* What makes sense beside --prometheus alone. */
static bool check(const struct cli *cli, struct err *err)
{
    static const char *const names[] = {"by-label", "prometheus-token-file",
                                        "prometheus-basic-file", "prometheus-ca-file",
                                        "prometheus-headers-file"};
    const char *found = cli_many(cli, "cluster", 0) != NULL  ? "cluster"
                        : cli_value(cli, "match")[0] != '\0' ? "match"
                                                             : NULL;

    for (size_t i = 0; i < COUNT_OF(names) && found == NULL; i++)
        found = cli_value(cli, names[i]) != NULL ? names[i] : NULL;
    return found == NULL || cli_value(cli, "prometheus") != NULL ||
           err_set(err, ERR_INPUT, 0, "found --%s without --prometheus, expected both", found);
}

static struct report_ask ask_of(const struct cli *cli)
{
    return (struct report_ask){
        .db = cli_value(cli, "db"),
        .policy = sv_from(cli_value(cli, "policy")),
        .by = sv_from(cli_value(cli, "by")),
        .since = sv_from(cli_value(cli, "since")),
        .until = sv_from(cli_value(cli, "until")),
        .zone = sv_from(cli_value(cli, "zone")),
        .compare = sv_from(cli_value(cli, "compare")),
        .target = sv_from(cli_value(cli, "target")),
        .price = sv_from(cli_value(cli, "price")),
        .policy_file = cli_value(cli, "policy-file"),
        .advice = cli_on(cli, "advice"),
    };
}

static int answer(const struct cli *cli, struct report_answer *a)
{
    const char **clusters = xcalloc(cli->n_many + 1, sizeof *clusters);
    const struct report_scraped_options scraped = scraped_of(cli, clusters);
    struct report_ask ask = ask_of(cli);
    struct strbuf out;
    struct err err = {0};
    bool ok;
    int code;

    ask.scraped = scraped.prom.url != NULL ? &scraped : NULL;
    ok = check(cli, &err) && check_groups(cli, &err) && report_ask(&ask, a, &err);
    free(clusters);
    if (!ok)
        return cmd_fail(command.name, &err);
    strbuf_init(&out, REPORT_MAX_TEXT);
    print(&a->story, sv_from(cli_value(cli, "output")), cli_on(cli, "groups"), &out);
    code = cmd_print(&out);
    strbuf_done(&out);
    return code;
}

int cmd_report(int argc, char **argv)
{
    struct report_answer a = {0};
    struct cli cli;
    int code;

    if (!cli_begin(&command, argc, argv, &cli, &code))
        return code;
    code = answer(&cli, &a);
    report_answer_done(&a);
    cli_done(&cli);
    return code;
}
