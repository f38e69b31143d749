#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli.h"

static const struct cli_flag flags[] = {
    {"output", 'o', CLI_VALUE, "FORMAT", "table", "table|json", "form of the answer"},
    {"watch", 'w', CLI_SWITCH, NULL, NULL, NULL, "go on"},
    {"all", 'A', CLI_SWITCH, NULL, NULL, NULL, "everything"},
    {"label", 'l', CLI_MANY, "KEY", NULL, NULL, "by label"},
    {"for", 0, CLI_VALUE, "SPAN", NULL, NULL, "how long"},
};

static const struct cli_command command = {
    .name = "brim test",
    .args = "FILE [OTHER]",
    .about = "Tests.",
    .max_args = 2,
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples = "  brim test\n",
};

enum { WORDS = 10 };

static bool parse(const char *const *words, struct cli *cli, struct err *err)
{
    char *argv[WORDS + 2] = {(char *)"test"};
    int argc = 1;

    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = (char *)words[argc - 1];
    return cli_parse(&command, argc, argv, cli, err);
}

/* "output for watch all [label,label] arg,arg" */
static void describe(const struct cli *cli, char *text, size_t size)
{
    const char *span = cli_value(cli, "for"), *label;
    size_t used =
        (size_t)snprintf(text, size, "%s %s %d %d [", cli_value(cli, "output"),
                         span != NULL ? span : "-", cli_on(cli, "watch"), cli_on(cli, "all"));

    for (size_t i = 0; (label = cli_many(cli, "label", i)) != NULL; i++)
        used += (size_t)snprintf(text + used, size - used, "%s,", label);
    used += (size_t)snprintf(text + used, size - used, "]");
    for (size_t i = 0; i < cli->n_args; i++)
        used += (size_t)snprintf(text + used, size - used, " %s", cli->args[i]);
}

Test(cli, reads_flags_in_every_form)
{
    static const struct {
        const char *words[WORDS];
        const char *want;
    } rows[] = {
        {{NULL}, "table - 0 0 []"},
        {{"--output", "json"}, "json - 0 0 []"},
        {{"--output=json"}, "json - 0 0 []"},
        {{"-o", "json"}, "json - 0 0 []"},
        {{"-ojson"}, "json - 0 0 []"},
        {{"-o=json"}, "json - 0 0 []"},
        {{"-o", "json", "-o", "table"}, "table - 0 0 []"},
        {{"-wA"}, "table - 1 1 []"},
        {{"-wojson"}, "json - 1 0 []"},
        {{"--watch", "--watch=false"}, "table - 0 0 []"},
        {{"--watch=true"}, "table - 1 0 []"},
        {{"-l", "a", "f", "-lb", "--label=c"}, "table - 0 0 [a,b,c,] f"},
        {{"--for="}, "table  0 0 []"},
        {{"--for", "--watch"}, "table --watch 0 0 []"},
        {{"--", "--watch", "-o"}, "table - 0 0 [] --watch -o"},
        {{"-", "-1"}, "table - 0 0 [] - -1"},
        {{"-.5m"}, "table - 0 0 [] -.5m"},
        {{"a", "-w", "b"}, "table - 1 0 [] a b"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct cli cli;
        struct err err = {0};
        char text[256];

        cr_assert(parse(rows[i].words, &cli, &err), "%zu: %s", i, err.text);
        describe(&cli, text, sizeof text);
        cr_expect_str_eq(text, rows[i].want, "row %zu: %s", i, text);
        cli_done(&cli);
    }
}

Test(cli, says_what_was_wrong_and_what_was_meant)
{
    static const struct {
        const char *words[WORDS];
        const char *want;
    } rows[] = {
        {{"--outptu", "json"}, "brim test: unknown flag --outptu, did you mean --output?"},
        {{"--foo"}, "brim test: unknown flag --foo, did you mean --for?"},
        {{"--hlep"}, "brim test: unknown flag --hlep, did you mean --help?"},
        {{"--quite-different=1"},
         "brim test: unknown flag --quite-different; brim test --help lists what there is"},
        {{"---"}, "brim test: unknown flag ---; brim test --help lists what there is"},
        {{"-x"}, "brim test: unknown flag -x; brim test --help lists what there is"},
        {{"-wx"}, "brim test: unknown flag -x; brim test --help lists what there is"},
        {{"-o"}, "brim test: -o: expected a value (FORMAT)"},
        {{"--for"}, "brim test: --for: expected a value (SPAN)"},
        {{"-o", "jsn"}, "brim test: --output: found 'jsn', expected one of table|json"},
        {{"-o", ""}, "brim test: --output: found '', expected one of table|json"},
        {{"--watch=yes"}, "brim test: --watch: found 'yes', expected true or false"},
        {{"a", "b", "c"}, "brim test: found 'c', expected no more than FILE [OTHER]"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct cli cli;
        struct err err = {0};

        cr_expect(!parse(rows[i].words, &cli, &err), "row %zu", i);
        cr_expect_eq(err.kind, ERR_INPUT);
        cr_expect_str_eq(err.text, rows[i].want);
        cli_done(&cli);
    }
}

Test(cli, wants_the_arguments_that_a_command_needs)
{
    static const struct cli_command strict = {
        .name = "brim strict", .args = "FILE", .about = "", .min_args = 1, .max_args = 1};
    char *none[] = {(char *)"strict", NULL}, *help[] = {(char *)"strict", (char *)"-h", NULL};
    struct cli cli;
    struct err err = {0};

    cr_expect(!cli_parse(&strict, 1, none, &cli, &err));
    cr_expect_str_eq(err.text, "brim strict: expected FILE; see brim strict --help");
    cli_done(&cli);
    cr_expect(cli_parse(&strict, 2, help, &cli, &err) && cli.help);
    cli_done(&cli);
}

Test(cli, makes_help_from_the_table)
{
    static const char *const parts[] = {
        "Usage: brim test [flags] FILE [OTHER]\n",
        "  -o, --output FORMAT  form of the answer (table|json) [table]\n",
        "      --for SPAN       how long\n",
        "  -h, --help           show this text\n",
        "Examples:\n  brim test\n",
        "Exit codes: ",
    };
    struct strbuf out;

    strbuf_init(&out, CLI_MAX_HELP);
    cli_help(&command, &out);
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        cr_expect(strstr(strbuf_str(&out), parts[i]) != NULL, "no '%s' in:\n%s", parts[i],
                  strbuf_str(&out));
    strbuf_done(&out);
}

Test(cli, finds_the_nearest_word_only_where_it_is_near)
{
    static const char *const words[] = {"check", "explain", "status", "version", "capacity"};
    static const struct {
        const char *word, *want;
    } rows[] = {
        {"chek", "check"},
        {"hceck", "check"},
        {"explian", "explain"},
        {"stats", "status"},
        {"x", NULL},
        {"", NULL},
        {"foobar", NULL},
        {"capcity", "capacity"},
        {"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", NULL},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *got = cli_nearest(sv_from(rows[i].word), words, COUNT_OF(words));

        cr_expect(rows[i].want == NULL ? got == NULL
                                       : got != NULL && strcmp(got, rows[i].want) == 0,
                  "%s: %s", rows[i].word, got != NULL ? got : "none");
    }
}
