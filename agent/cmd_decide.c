#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/cmd.h"
#include "agent/decide_answer.h"
#include "agent/policy_files.h"

static const struct cli_flag flags[] = {
    {"policy", 'p', CLI_VALUE, "FILE|DIR", NULL, NULL, "the policies to decide by"},
};

static const struct cli_command command = {
    .name = "brim decide",
    .args = "",
    .about = "The controller as a filter: reads facts and questions from stdin, one JSON object a "
             "line, and answers each question\n"
             "with a line on stdout. It decides as the agent does, but time is what the lines say. "
             "docs/DECIDE.md has the keys.",
    .min_args = 0,
    .max_args = 0,
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples = "  brim decide --policy miner.yaml < facts.jsonl\n",
};

/* Bytes that are read and written at once, and the longest line. */
enum { PIECE = 256 << 10, MAX_LINE = 1 << 20, MAX_ANSWER = 64 << 10 };

struct run {
    struct decide *decide;
    struct decide_line line;
    uint64_t line_number;
    struct strbuf in, out, scratch;
};

static bool take_line(struct run *run, char *text, size_t len, struct err *err)
{
    run->line_number++;
    if (sv_trim((struct sv){.at = text, .len = len}).len == 0)
        return true;
    if (!decide_line_read(&run->line, text, len, decide_names(run->decide), err) ||
        !decide_apply(run->decide, &run->line, err))
        return err_wrap(err, "line %llu", (unsigned long long)run->line_number);
    if (run->line.kind == LINE_STEP) {
        size_t n;
        const struct decide_answer *answers = decide_step(run->decide, &n);

        decide_answer_print(run->decide, answers, n, &run->scratch, &run->out);
    }
    return true;
}

static bool flush(struct run *run, struct err *err)
{
    return run->out.len == 0 || cmd_print(&run->out) == CLI_DONE ||
           err_set(err, ERR_SYSTEM, errno, "stdout: %s", strerror(errno));
}

/* Takes all whole lines, and at the end of the input the one that has no newline. */
static bool take_lines(struct run *run, bool at_end, struct err *err)
{
    char *at = run->in.at, *end = run->in.at + run->in.len, *newline;

    while (at < end) {
        newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL && !at_end)
            break;
        newline = newline != NULL ? newline : end;
        if (!take_line(run, at, (size_t)(newline - at), err) ||
            (run->out.len > PIECE && !flush(run, err)))
            return false;
        at = newline < end ? newline + 1 : end;
    }
    strbuf_drop(&run->in, (size_t)(at - run->in.at));
    return run->in.len <= MAX_LINE ||
           err_set(err, ERR_INPUT, 0, "line %llu: found more than %d bytes, expected at most that",
                   (unsigned long long)run->line_number + 1, MAX_LINE);
}

/* Answers go out before each wait for input, so that whoever asks line by line is answered line by
 * line. */
static bool follow(struct run *run, struct err *err)
{
    for (;;) {
        char *room;
        ssize_t got;

        if (!flush(run, err))
            return false;
        room = strbuf_room(&run->in, PIECE);
        got = read(STDIN_FILENO, room, PIECE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(err, ERR_SYSTEM, errno, "stdin: %s", strerror(errno));
        strbuf_wrote(&run->in, (size_t)got);
        if (!take_lines(run, got == 0, err))
            return false;
        if (got == 0)
            return flush(run, err);
    }
}

static bool decide_by(const struct policy_list *policies, struct err *err)
{
    struct run run = {0};
    bool ok;

    if (!decide_new(policies, &run.decide, err))
        return false;
    strbuf_init(&run.in, MAX_LINE + 2 * PIECE);
    strbuf_init(&run.out, 2 * PIECE + MAX_ANSWER);
    strbuf_init(&run.scratch, MAX_ANSWER);
    ok = follow(&run, err);
    if (!ok)
        (void)flush(&run, NULL); /* what was answered before the mistake stands */
    strbuf_done(&run.in);
    strbuf_done(&run.out);
    strbuf_done(&run.scratch);
    decide_line_done(&run.line);
    decide_free(run.decide);
    return ok;
}

static bool run_policies(const char *path, struct err *err)
{
    struct policy_list policies = {0};
    bool ok;

    if (path == NULL)
        return err_set(err, ERR_INPUT, 0, "found no --policy, expected a policy file");
    if (strcmp(path, "-") == 0)
        return err_set(err, ERR_INPUT, 0,
                       "--policy: found -, expected a file: the facts come from stdin");
    if (!policy_files_read(path, &policies, err)) {
        /* Too much of them is a mistake in them, too. */
        err->kind = err->kind == ERR_LIMIT ? ERR_INPUT : err->kind;
        return false;
    }
    ok = decide_by(&policies, err);
    policy_list_done(&policies);
    return ok;
}

int cmd_decide(int argc, char **argv)
{
    struct err err = {0};
    struct cli cli;
    int code;

    if (!cli_begin(&command, argc, argv, &cli, &code))
        return code;
    code = run_policies(cli_value(&cli, "policy"), &err) ? CLI_DONE : cmd_fail(command.name, &err);
    cli_done(&cli);
    return code;
}
