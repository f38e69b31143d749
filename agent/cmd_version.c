#include "agent/cli.h"
#include "agent/cmd.h"
#include "base/jsonw.h"

static const struct cli_flag flags[] = {
    {"output", 'o', CLI_VALUE, "FORMAT", "text", "text|json", "form of the answer"},
};

static const struct cli_command command = {
    .name = "brim version",
    .args = "",
    .about = "Prints which brim this is.",
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples = "  brim version -o json\n",
};

int cmd_version(int argc, char **argv)
{
    struct strbuf out;
    struct cli cli;
    int code;

    if (!cli_begin(&command, argc, argv, &cli, &code))
        return code;
    strbuf_init(&out, CLI_MAX_HELP);
    if (sv_eq(sv_from(cli_value(&cli, "output")), SV("json"))) {
        struct jsonw w;

        jsonw_init(&w, &out);
        jsonw_object(&w, NULL);
        jsonw_i64(&w, "v", 1);
        jsonw_cstr(&w, "version", BRIM_VERSION);
        jsonw_end(&w);
        (void)strbuf_add_char(&out, '\n');
    } else {
        (void)strbuf_add(&out, SV("brim " BRIM_VERSION "\n"));
    }
    code = cmd_print(&out);
    strbuf_done(&out);
    cli_done(&cli);
    return code;
}
