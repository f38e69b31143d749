#include <stdio.h>

#include "agent/cli.h"
#include "agent/cmd.h"
#include "policy/field.h"

static const struct cmd kinds[] = {
    {"decision", explain_decision, "why the agent decided as it did (the newest, or by number)"},
    {"pod", explain_pod, "how a pod is counted, step by step"},
    {"policy", explain_policy, "the keys of a policy file"},
    {"quantity", explain_quantity, "what a Kubernetes quantity comes to"},
};

int cmd_explain(int argc, char **argv)
{
    return cmd_dispatch("brim explain", kinds, COUNT_OF(kinds), argc, argv);
}

static const struct cli_flag policy_flags[] = {
    {"output", 'o', CLI_VALUE, "FORMAT", "text", "text|json|markdown",
     "form of the answer; json is the JSON schema of all keys, markdown the manual's reference"},
};

static const struct cli_command policy_command = {
    .name = "brim explain policy",
    .args = "[KEY]",
    .about = "Shows the keys of a policy file: type, unit, default, range, meaning.",
    .max_args = 1,
    .flags = policy_flags,
    .n_flags = COUNT_OF(policy_flags),
    .examples = "  brim explain policy\n  brim explain policy spec.reserve.cpu\n  brim explain "
                "policy -o json > schema.json\n",
};

static bool explain_key(const char *key, struct strbuf *out)
{
    const char *near;

    if (field_explain(key, out))
        return true;
    near = field_suggest(sv_from(key));
    if (near != NULL)
        (void)fprintf(stderr, "brim explain policy: unknown key '%s', did you mean %s?\n", key,
                      near);
    else
        (void)fprintf(stderr,
                      "brim explain policy: unknown key '%s'; without a key all are listed\n", key);
    return false;
}

int explain_policy(int argc, char **argv)
{
    struct strbuf out;
    struct cli cli;
    const char *key;
    bool schema, reference;
    int code;

    if (!cli_begin(&policy_command, argc, argv, &cli, &code))
        return code;
    key = cli.n_args != 0 ? cli.args[0] : NULL;
    schema = sv_eq(sv_from(cli_value(&cli, "output")), SV("json"));
    reference = sv_eq(sv_from(cli_value(&cli, "output")), SV("markdown"));
    strbuf_init(&out, 1 << 20);
    if ((schema || reference) && key != NULL) {
        (void)fprintf(stderr, "brim explain policy: -o %s gives all keys, expected no KEY\n",
                      cli_value(&cli, "output"));
        code = CLI_USAGE;
    } else if (schema || reference) {
        (schema ? field_schema : field_reference)(&out);
        code = cmd_print(&out);
    } else {
        code = explain_key(key, &out) ? cmd_print(&out) : CLI_NO;
    }
    strbuf_done(&out);
    cli_done(&cli);
    return code;
}
