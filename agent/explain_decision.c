#include "agent/api.h"
#include "agent/cli.h"
#include "agent/cmd.h"
#include "agent/json_read.h"
#include "agent/show.h"

static const struct cli_flag flags[] = {
    {"agent", 0, CLI_VALUE, "URL", API_DEFAULT_AGENT, NULL, "where the agent listens"},
    {"output", 'o', CLI_VALUE, "FORMAT", "text", "text|json",
     "form of the answer; json as the agent gives it"},
};

static const struct cli_command command = {
    .name = "brim explain decision",
    .args = "[N]",
    .about = "Shows a decision of the agent with what it was made from: the newest, or the one of "
             "this number.",
    .max_args = 1,
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples =
        "  brim explain decision\n  brim explain decision 4711 --agent http://127.0.0.1:9000\n",
};

static void row(struct sv decision, const char *name, const char *path,
                void (*show)(struct sv, const char *, struct strbuf *), struct strbuf *out)
{
    (void)strbuf_addf(out, "%-16s", name);
    show(decision, path, out);
    (void)strbuf_add_char(out, '\n');
}

static void show_decision(struct sv d, struct strbuf *out)
{
    int64_t t;

    row(d, "decision", "id", show_number, out);
    (void)strbuf_addf(out, "%-16s", "at");
    show_moment(json_i64(d, "t", &t) ? t : -1, out);
    (void)strbuf_add_char(out, '\n');
    row(d, "policy", "policy", show_text, out);
    row(d, "reason", "reason", show_text, out);
    row(d, "replicas before", "from", show_number, out);
    row(d, "replicas after", "to", show_number, out);
    row(d, "bound by", "bound_by", show_text, out);
    row(d, "cores offered", "allocatable_milli", show_milli, out);
    row(d, "cores paid", "paid_milli", show_milli, out);
    row(d, "cores waiting", "pending_milli", show_milli, out);
    row(d, "pods that fit", "fit", show_number, out);
    row(d, "pods kept free", "kept", show_number, out);
    row(d, "set point", "set_point", show_number, out);
    row(d, "after settling", "damped", show_number, out);
    row(d, "in words", "detail", show_text, out);
}

static bool ask(const struct cli *cli, struct strbuf *answer, struct err *err)
{
    struct strbuf path;
    struct api api;
    uint64_t id;
    bool ok;

    if (cli->n_args != 0 && !sv_to_u64(sv_from(cli->args[0]), &id))
        return err_set(err, ERR_INPUT, 0, "found '%s', expected the number of a decision",
                       cli->args[0]);
    if (!api_open_agent(&api, cli_value(cli, "agent"), err))
        return false;
    strbuf_init(&path, API_MAX_PATH);
    if (cli->n_args != 0)
        (void)strbuf_addf(&path, "/api/v1/decisions/%s", cli->args[0]);
    else
        (void)strbuf_add(&path, SV("/api/v1/decisions?limit=1"));
    ok = api_get(&api, strbuf_str(&path), answer, err);
    strbuf_done(&path);
    api_close(&api);
    return ok;
}

/* The decision of either answer; empty if the agent has not decided anything yet. */
static struct sv only_decision(struct sv answer)
{
    struct sv list = json_at(answer, "decisions"), item;

    return json_next(&list, &item) ? item : json_at(answer, "decision");
}

int explain_decision(int argc, char **argv)
{
    struct strbuf answer, out;
    struct err err = {0};
    struct cli cli;
    struct sv decision;
    int code;

    if (!cli_begin(&command, argc, argv, &cli, &code))
        return code;
    strbuf_init(&answer, TRANSPORT_MAX_BODY);
    strbuf_init(&out, TRANSPORT_MAX_BODY);
    if (!ask(&cli, &answer, &err)) {
        code = cmd_fail(command.name, &err);
    } else {
        decision = only_decision(strbuf_sv(&answer));
        if (decision.len == 0) {
            (void)err_set(&err, ERR_NOT_FOUND, 404, "the agent has not decided anything yet");
            code = cmd_fail(command.name, &err);
        } else if (sv_eq(sv_from(cli_value(&cli, "output")), SV("json"))) {
            (void)strbuf_add(&out, decision);
            (void)strbuf_add_char(&out, '\n');
            code = cmd_print(&out);
        } else {
            show_decision(decision, &out);
            code = cmd_print(&out);
        }
    }
    strbuf_done(&out);
    strbuf_done(&answer);
    cli_done(&cli);
    return code;
}
