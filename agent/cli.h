/*
 * cli: command lines, read by a table; the help text is made from the same table.
 *
 * Flags follow kubectl: "--name value", "--name=value", "-n value", "-nvalue", "-ab" for two
 * switches; "--switch=false" turns one off; flags and arguments may stand in any order; "--" ends
 * the flags; "-" and negative numbers are arguments. --help and -h are always there. Everything is
 * borrowed from argv and the table. A wrong line is an ERR_INPUT: brim check: unknown flag
 * --outptu, did you mean --output?
 *
 * Exit codes of all commands: 0 done, 1 the answer is no, 2 bad use, 3 something could not be
 * reached or read.
 */
#ifndef BRIM_AGENT_CLI_H
#define BRIM_AGENT_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "base/sv.h"

enum cli_exit { CLI_DONE = 0, CLI_NO = 1, CLI_USAGE = 2, CLI_UNREACHABLE = 3 };

enum cli_kind {
    CLI_SWITCH, /* takes no value */
    CLI_VALUE,  /* the last one counts */
    CLI_MANY,   /* may be repeated, all count */
};

struct cli_flag {
    const char *name; /* without dashes */
    char letter;      /* 0: none */
    enum cli_kind kind;
    const char *arg;      /* how help names the value: "FILE" */
    const char *fallback; /* the value where the flag is not given; NULL: none */
    const char *choices;  /* "table|json": the only values allowed; NULL: any */
    const char *help;
};

struct cli_command {
    const char *name;       /* as it is called: "brim check" */
    const char *args;       /* "FILE…", "" for none */
    const char *about;      /* what it does, one or more sentences */
    int min_args, max_args; /* max -1: any number */
    const struct cli_flag *flags;
    size_t n_flags;
    const char *examples; /* lines, or NULL */
};

enum { CLI_MAX_FLAGS = 32, CLI_MAX_WORDS = 4096, CLI_MAX_HELP = 64 << 10 };

struct cli {
    const struct cli_command *command;
    bool help; /* --help was given: nothing else is checked */
    const char
        *value[CLI_MAX_FLAGS]; /* of each flag of the table; a switch: "true", "false" or NULL */
    struct {
        size_t flag;
        const char *value;
    } * many; /* values of CLI_MANY flags, in order */
    size_t n_many, cap_many;
    const char **args;
    size_t n_args, cap_args;
};

/* argv[0] is the command's own name and is skipped. cli_done() whatever it returns. */
bool cli_parse(const struct cli_command *command, int argc, char **argv, struct cli *ret_cli,
               struct err *err) MUST_CHECK;
void cli_done(struct cli *cli);

/*
 * What each command begins with: parses, prints help to stdout or the mistake to stderr. True: go
 * on. False: return *ret_exit; there is nothing to free.
 */
bool cli_begin(const struct cli_command *command, int argc, char **argv, struct cli *ret_cli,
               int *ret_exit) MUST_CHECK;

/* The flag must be in the table. NULL where neither the line nor the table gives a value. */
const char *cli_value(const struct cli *cli, const char *flag);
bool cli_on(const struct cli *cli, const char *flag);
/* The i-th value of a CLI_MANY flag, NULL beyond the last. */
const char *cli_many(const struct cli *cli, const char *flag, size_t i);

void cli_help(const struct cli_command *command, struct strbuf *out);

/*
 * The nearest of `n` words to `word`, or NULL if none is near enough to have been meant: at most a
 * third of its letters differ (insert, drop, change, swap neighbours).
 */
const char *cli_nearest(struct sv word, const char *const *words, size_t n);

#endif
