#include <stdlib.h>
#include <unistd.h>

#include "agent/api.h"
#include "agent/cli.h"
#include "agent/cmd.h"
#include "agent/top/answers.h"
#include "agent/top/ask.h"
#include "agent/top/live.h"
#include "base/alloc.h"

static const struct cli_flag flags[] = {
    {"agent", 0, CLI_VALUE, "URL", API_DEFAULT_AGENT, NULL, "where the agent listens"},
    {"interval", 'n', CLI_VALUE, "SECONDS", "1", NULL, "time from one question to the next"},
    {"watch", 'w', CLI_SWITCH, NULL, NULL, NULL, "not on a terminal: go on with one line a change"},
    {"for", 0, CLI_VALUE, "SECONDS", NULL, NULL, "end by itself after this"},
    {"report", 0, CLI_SWITCH, NULL, NULL, NULL,
     "at the end a report of the run [true on a terminal]"},
    {"output", 'o', CLI_VALUE, "FORMAT", "text", "text|json",
     "json: the status once, as the agent gives it"},
};

static const struct cli_command command = {
    .name = "brim top",
    .args = "",
    .about = "Shows the cluster live: paid, filler, kept and idle cpu, the fillers, the last "
             "decisions, and nodes where there is\n"
             "room for them. In a pipe: one plain picture. q or Ctrl-C ends it, with a report of "
             "the run.",
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples = "  kubectl -n brim port-forward deploy/brim 8090 &\n  brim top\n"
                "  brim top -w --report | tee run.log\n",
};

enum { MAX_SECONDS = 86400 * 365 };

static bool seconds(const struct cli *cli, const char *flag, int64_t *ret_us, struct err *err)
{
    const char *text = cli_value(cli, flag);
    int64_t s = 0;

    if (text != NULL && (!sv_to_i64(sv_from(text), &s) || s < 1 || s > MAX_SECONDS))
        return err_set(err, ERR_INPUT, 0, "--%s: found '%s', expected seconds from 1", flag, text);
    *ret_us = s * US_PER_S;
    return true;
}

static bool print_json(struct api *api, struct err *err)
{
    struct strbuf answer;
    bool ok;

    strbuf_init(&answer, TRANSPORT_MAX_BODY);
    ok = api_get(api, "/api/v1/status", &answer, err) &&
         (cmd_print(&answer) == CLI_DONE ||
          err_set(err, ERR_SYSTEM, 0, "the output cannot be written"));
    strbuf_done(&answer);
    return ok;
}

static bool print_report(const struct run *run, struct err *err)
{
    struct strbuf out;
    bool ok;

    strbuf_init(&out, 64 << 10);
    run_report(run, &out);
    ok = cmd_print(&out) == CLI_DONE || err_set(err, ERR_SYSTEM, 0, "the output cannot be written");
    strbuf_done(&out);
    return ok;
}

static bool show(const struct cli *cli, struct api *api, const struct live_options *options,
                 struct err *err)
{
    CLEANUP(free_ptr) struct top_view *view = xcalloc(1, sizeof *view);
    CLEANUP(free_ptr) struct run *run = xcalloc(1, sizeof *run);
    struct ask ask = {.api = api, .view = view, .run = run};
    bool terminal = isatty(STDOUT_FILENO) != 0, ok;

    run_init(run, options->interval_us / US_PER_MS);
    ok = terminal ? live_run(&ask, options, err)
                  : live_lines(&ask, options, cli_on(cli, "watch"), err);
    answers_done(view);
    if (ok && (cli_value(cli, "report") != NULL ? cli_on(cli, "report") : terminal))
        ok = print_report(run, err);
    return ok;
}

static bool top(const struct cli *cli, struct err *err)
{
    struct live_options options = {.agent = cli_value(cli, "agent")};
    struct api api;
    bool ok;

    if (!seconds(cli, "interval", &options.interval_us, err) ||
        !seconds(cli, "for", &options.for_us, err) || !api_open_agent(&api, options.agent, err))
        return false;
    ok = sv_eq(sv_from(cli_value(cli, "output")), SV("json")) ? print_json(&api, err)
                                                              : show(cli, &api, &options, err);
    api_close(&api);
    return ok;
}

int cmd_top(int argc, char **argv)
{
    struct err err = {0};
    struct cli cli;
    int code;

    if (!cli_begin(&command, argc, argv, &cli, &code))
        return code;
    code = top(&cli, &err) ? CLI_DONE : cmd_fail(command.name, &err);
    cli_done(&cli);
    return code;
}
