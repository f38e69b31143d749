#include <stdio.h>

#include "agent/api.h"
#include "agent/cli.h"
#include "agent/cmd.h"
#include "agent/json_read.h"
#include "agent/show.h"
#include "base/jsonw.h"

static const struct cli_flag flags[] = {
    {"agent", 0, CLI_VALUE, "URL", API_DEFAULT_AGENT, NULL, "where the agent listens"},
    {"policy", 0, CLI_VALUE, "NAME", NULL, NULL, "this policy alone"},
    {"output", 'o', CLI_VALUE, "FORMAT", "text", "text|json",
     "form of the answer; json as the agent gives it"},
};

static const struct cli_command command = {
    .name = "brim status",
    .args = "",
    .about = "Shows what the agent does now and why, with the conditions of each filler. Exit code "
             "1 if the agent is not\n"
             "ready, a filler cannot be scaled, or there is no policy NAME.",
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples = "  kubectl -n brim port-forward deploy/brim 8090 &\n  brim status\n",
};

static void show_cpu(struct sv json, struct strbuf *out)
{
    static const struct {
        const char *path, *name;
    } rows[] = {
        {"cpu.allocatable_milli", "allocatable"}, {"cpu.paid_milli", "paid"},
        {"cpu.pending_milli", "waiting"},         {"cpu.filler_milli", "filler"},
        {"cpu.leaving_milli", "leaving"},         {"cpu.reserve_milli", "reserve"},
        {"cpu.headroom_milli", "headroom"},
    };

    (void)strbuf_add(out, SV("Cores:      "));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        (void)strbuf_addf(out, "%s%s ", i == 0 ? "" : ", ", rows[i].name);
        show_milli(json, rows[i].path, out);
    }
    (void)strbuf_add_char(out, '\n');
}

static void show_conditions(struct sv filler, struct strbuf *out)
{
    struct sv rest = json_at(filler, "conditions"), item;

    while (json_next(&rest, &item)) {
        (void)strbuf_add(out, SV("  "));
        show_text(item, "type", out);
        (void)strbuf_add(out, SV(": "));
        show_text(item, "status", out);
        (void)strbuf_add(out, SV(" ("));
        show_text(item, "reason", out);
        (void)strbuf_add(out, SV(") "));
        show_text(item, "message", out);
        (void)strbuf_add_char(out, '\n');
    }
}

/* Learned headroom, and what would have sufficed. */
static void show_headroom(struct sv filler, struct strbuf *out)
{
    static const struct {
        const char *path, *name;
    } rows[] = {
        {"headroom.milli", "now"},
        {"headroom.usual_milli", "usual"},
        {"headroom.surge_milli", "surge"},
        {"headroom.expected_milli", "expected"},
        {"headroom.ceiling_milli", "ceiling"},
        {"headroom.need_milli", "would have sufficed"},
    };

    if (json_at(filler, "headroom.kind").len == 0)
        return;
    (void)strbuf_add(out, SV("  headroom ("));
    show_text(filler, "headroom.kind", out);
    (void)strbuf_add(out, SV("): "));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        (void)strbuf_addf(out, "%s%s ", i == 0 ? "" : ", ", rows[i].name);
        show_milli(filler, rows[i].path, out);
    }
    (void)strbuf_add_char(out, '\n');
}

static void show_paused(struct sv filler, struct strbuf *out)
{
    bool up = json_true(filler, "paused.up"), down = json_true(filler, "paused.down");

    if (!up && !down)
        return;
    (void)strbuf_addf(out, "  paused by annotation: %s (",
                      up && down ? "up and down"
                      : up       ? "up"
                                 : "down");
    show_text(filler, up ? "paused.up_by" : "paused.down_by", out);
    if (up && down && !sv_eq(json_at(filler, "paused.up_by"), json_at(filler, "paused.down_by"))) {
        (void)strbuf_add(out, SV(", "));
        show_text(filler, "paused.down_by", out);
    }
    (void)strbuf_add(out, SV(")\n"));
}

static void show_filler(struct sv filler, struct strbuf *out)
{
    static const struct {
        const char *path, *name;
    } rows[] = {
        {"wanted", "wanted"},   {"replicas", "asked for"},
        {"running", "running"}, {"starting", "starting"},
        {"leaving", "leaving"}, {"unschedulable", "unschedulable"},
        {"gated", "gated"},     {"admitted", "let in"},
        {"fit", "fit"},         {"kept", "kept free"},
        {"min", "min"},         {"max", "max"},
    };

    (void)strbuf_add(out, SV("\nPolicy "));
    show_text(filler, "policy", out);
    (void)strbuf_add(out, SV(": "));
    show_text(filler, "target.kind", out);
    (void)strbuf_add_char(out, ' ');
    show_text(filler, "target.namespace", out);
    (void)strbuf_add_char(out, '/');
    show_text(filler, "target.name", out);
    (void)strbuf_add(out, SV("\n  state "));
    show_text(filler, "state", out);
    if (json_at(filler, "bound_by").len > 2 && json_at(filler, "bound_by").at[0] == '"') {
        (void)strbuf_add(out, SV(", bound by "));
        show_text(filler, "bound_by", out);
    }
    (void)strbuf_add(out, SV("\n  pods: "));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        (void)strbuf_addf(out, "%s%s ", i == 0 ? "" : ", ", rows[i].name);
        show_number(filler, rows[i].path, out);
    }
    (void)strbuf_add_char(out, '\n');
    show_headroom(filler, out);
    show_paused(filler, out);
    show_conditions(filler, out);
}

/* Can each filler be scaled, and is it? The other conditions tell how well. */
static bool decides(struct sv condition)
{
    struct sv type = json_at(condition, "type");

    return sv_eq(type, SV("\"AbleToScale\"")) || sv_eq(type, SV("\"ScalingActive\""));
}

/* Do these hold for every filler, and is the agent ready? */
static bool all_well(struct sv json)
{
    struct sv rest = json_at(json, "fillers"), filler, conditions, item;

    if (sv_eq(json_at(json, "state"), SV("\"starting\"")))
        return false;
    while (json_next(&rest, &filler)) {
        conditions = json_at(filler, "conditions");
        while (json_next(&conditions, &item)) {
            if (decides(item) && sv_eq(json_at(item, "status"), SV("\"False\"")))
                return false;
        }
    }
    return true;
}

static bool has_text(struct sv json, const char *path)
{
    return json_at(json, path).len > 2 && json_at(json, path).at[0] == '"';
}

/* What is wrong with the history, if anything is. */
static void show_history(struct sv json, struct strbuf *out)
{
    static const struct {
        const char *path, *says;
    } rows[] = {
        {"history.error", "History that cannot be written; control goes on: "},
        {"history.network", "History on a network file system, which nobody else can read: "},
        {"history.aside", "Damaged history that was set aside: "},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (!has_text(json, rows[i].path))
            continue;
        (void)strbuf_add(out, sv_from(rows[i].says));
        show_text(json, rows[i].path, out);
        (void)strbuf_add_char(out, '\n');
    }
}

/* Parts that are damaged are told by their number. */
static void show_damaged(struct sv json, struct strbuf *out)
{
    struct sv n = json_at(json, "history.damaged");

    if (n.len != 0 && !sv_eq(n, SV("0")) && !sv_eq(n, SV("null")))
        (void)strbuf_addf(out, "Damaged parts of the history that could not be read: %.*s\n",
                          SV_ARG(n));
}

/* How long ago the API server was heard: a watch that is not there yet has no age. */
static void show_watches(struct sv json, struct strbuf *out)
{
    static const struct {
        const char *path, *name;
    } rows[] = {{"watch.pods_ms", "pods"},
                {"watch.waiting_ms", "pods without a node"},
                {"watch.nodes_ms", "nodes"}};

    (void)strbuf_add(out, SV("\nHeard:      "));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t ms;

        (void)strbuf_addf(out, "%s%s ", i == 0 ? "" : ", ", rows[i].name);
        if (json_i64(json, rows[i].path, &ms))
            (void)strbuf_addf(out, "%lld.%lld s ago", (long long)(ms / 1000),
                              (long long)(ms % 1000 / 100));
        else
            (void)strbuf_add(out, SV("not yet"));
    }
}

static void show_status(struct sv json, struct strbuf *out)
{
    struct sv rest, filler;
    int64_t t;

    (void)strbuf_add(out, SV("Doing:      "));
    show_parts(json, json_at(json, "say.doing"), out);
    rest = json_at(json, "say.why");
    if (json_next(&rest, &filler)) {
        (void)strbuf_add(out, SV("\nWhy:        "));
        show_parts(json, json_at(json, "say.why"), out);
    }
    (void)strbuf_add_char(out, '\n');
    show_cpu(json, out);
    (void)strbuf_add(out, SV("Paid pods that wait: "));
    show_number(json, "waiting.pods", out);
    (void)strbuf_add(out, SV("\nNodes:      "));
    show_number(json, "nodes", out);
    (void)strbuf_add(out, SV(", that can take filler "));
    show_number(json, "eligible_nodes", out);
    show_watches(json, out);
    if (json_i64(json, "t", &t)) {
        (void)strbuf_add(out, SV("\nAt:         "));
        show_moment(t, out);
    }
    (void)strbuf_add_char(out, '\n');
    show_history(json, out);
    show_damaged(json, out);
    if (has_text(json, "policy_error")) {
        (void)strbuf_add(out, SV("Policies that cannot be read; older ones are in force: "));
        show_text(json, "policy_error", out);
        (void)strbuf_add_char(out, '\n');
    }
    rest = json_at(json, "fillers");
    while (json_next(&rest, &filler))
        show_filler(filler, out);
}

/* Was one policy asked for that the agent does not have? While it starts it may yet come. */
static bool is_missing(const struct cli *cli, struct sv json)
{
    struct sv rest = json_at(json, "fillers"), filler;

    return cli_value(cli, "policy") != NULL && !json_next(&rest, &filler) &&
           !sv_eq(json_at(json, "state"), SV("\"starting\""));
}

/* Those that the agent lists without being asked for one. */
static void add_names(struct sv json, struct strbuf *out)
{
    struct sv rest = json_at(json, "fillers"), filler;
    int64_t total = 0, shown = 0;

    while (json_next(&rest, &filler)) {
        (void)strbuf_add(out, shown++ == 0 ? SV("the agent has ") : SV(", "));
        show_text(filler, "policy", out);
    }
    if (json_i64(json, "fillers_total", &total) && total > shown)
        (void)strbuf_addf(out, " and %lld more", (long long)(total - shown));
    if (shown == 0)
        (void)strbuf_add(out, SV("the agent has none"));
}

static bool ask(const struct cli *cli, const char *policy, struct strbuf *answer, struct err *err)
{
    struct strbuf path;
    struct api api;
    bool ok;

    if (!api_open_agent(&api, cli_value(cli, "agent"), err))
        return false;
    strbuf_init(&path, API_MAX_PATH);
    (void)strbuf_add(&path, SV("/api/v1/status"));
    if (policy != NULL) {
        (void)strbuf_add(&path, SV("?policy="));
        client_escape(&path, sv_from(policy));
    }
    ok = api_get(&api, strbuf_str(&path), answer, err);
    strbuf_done(&path);
    api_close(&api);
    return ok;
}

/* Says on stderr that there is no such policy, and which there are. */
static int tell_missing(const struct cli *cli, struct err *err)
{
    struct strbuf all, names;
    int code = CLI_NO;

    strbuf_init(&all, TRANSPORT_MAX_BODY);
    strbuf_init(&names, TRANSPORT_MAX_BODY);
    if (!ask(cli, NULL, &all, err)) {
        code = cmd_fail("brim status", err);
    } else {
        add_names(strbuf_sv(&all), &names);
        (void)fprintf(stderr, "brim status: found no policy %s: %s\n", cli_value(cli, "policy"),
                      strbuf_str(&names));
    }
    strbuf_done(&names);
    strbuf_done(&all);
    return code;
}

static int tell(const struct cli *cli, struct sv json)
{
    struct strbuf out;
    int code;

    strbuf_init(&out, TRANSPORT_MAX_BODY);
    if (sv_eq(sv_from(cli_value(cli, "output")), SV("json")))
        (void)strbuf_add(&out, json);
    else
        show_status(json, &out);
    code = cmd_print(&out);
    strbuf_done(&out);
    return code == CLI_DONE && !all_well(json) ? CLI_NO : code;
}

int cmd_status(int argc, char **argv)
{
    struct strbuf answer;
    struct err err = {0};
    struct cli cli;
    int code;

    if (!cli_begin(&command, argc, argv, &cli, &code))
        return code;
    strbuf_init(&answer, TRANSPORT_MAX_BODY);
    if (!ask(&cli, cli_value(&cli, "policy"), &answer, &err))
        code = cmd_fail("brim status", &err);
    else if (is_missing(&cli, strbuf_sv(&answer)))
        code = tell_missing(&cli, &err);
    else
        code = tell(&cli, strbuf_sv(&answer));
    strbuf_done(&answer);
    cli_done(&cli);
    return code;
}
