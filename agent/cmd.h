/*
 * cmd: the commands of `brim`. Each gets its own words (argv[0] is its name) and returns an exit
 * code (cli.h).
 *
 * Answers go to stdout, mistakes to stderr. The first lines of a command are its table of flags and
 * cli_begin().
 */
#ifndef BRIM_AGENT_CMD_H
#define BRIM_AGENT_CMD_H

#include <stddef.h>

#include "base/err.h"
#include "base/strbuf.h"

struct cmd {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about; /* one line, for the list */
};

/* Picks argv[1] from the table and runs it with the words from there on. `name` is what comes
 * before: "brim explain". */
int cmd_dispatch(const char *name, const struct cmd *cmds, size_t n, int argc, char **argv);

int cmd_agent(int argc, char **argv);
int cmd_capacity(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_decide(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_history(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_version(int argc, char **argv);

int explain_decision(int argc, char **argv);
int explain_pod(int argc, char **argv);
int explain_policy(int argc, char **argv);
int explain_quantity(int argc, char **argv);

/* Largest file or stdin that a command reads whole. */
enum { CMD_MAX_INPUT = 1 << 30 };

/* Reads a file, or stdin where path is "-", whole. ERR_SYSTEM; ERR_LIMIT: it does not fit into what
 * `to` may hold. */
bool cmd_read(const char *path, struct strbuf *to, struct err *err) MUST_CHECK;

/* Writes all of it to stdout and empties it; CLI_DONE, or CLI_UNREACHABLE if stdout does not take
 * it. */
int cmd_print(struct strbuf *text);

/* Prints the error to stderr, with no character that would steer a terminal, and returns the exit code that suits its kind. */
int cmd_fail(const char *name, const struct err *err);

#endif
