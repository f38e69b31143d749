#include "agent/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli.h"

static void list(const char *name, const struct cmd *cmds, size_t n, FILE *to)
{
    (void)fprintf(to, "Usage: %s COMMAND [flags]\n\nCommands:\n", name);
    for (size_t i = 0; i < n; i++)
        (void)fprintf(to, "  %-10s %s\n", cmds[i].name, cmds[i].about);
    (void)fprintf(to, "\n%s COMMAND --help tells more of each.\n", name);
}

static int unknown(const char *name, const struct cmd *cmds, size_t n, const char *word)
{
    const char *names[CLI_MAX_FLAGS];
    const char *near;
    size_t known = n < COUNT_OF(names) ? n : COUNT_OF(names);

    for (size_t i = 0; i < known; i++)
        names[i] = cmds[i].name;
    near = cli_nearest(sv_from(word), names, known);
    if (near != NULL)
        (void)fprintf(stderr, "%s: unknown command '%s', did you mean %s?\n", name, word, near);
    else
        (void)fprintf(stderr, "%s: unknown command '%s'; %s --help lists what there is\n", name,
                      word, name);
    return CLI_USAGE;
}

int cmd_dispatch(const char *name, const struct cmd *cmds, size_t n, int argc, char **argv)
{
    struct sv word;

    if (argc < 2) {
        list(name, cmds, n, stderr);
        return CLI_USAGE;
    }
    word = sv_from(argv[1]);
    if (sv_eq(word, SV("--help")) || sv_eq(word, SV("-h")) || sv_eq(word, SV("help"))) {
        list(name, cmds, n, stdout);
        return CLI_DONE;
    }
    for (size_t i = 0; i < n; i++) {
        if (sv_eq(word, sv_from(cmds[i].name)))
            return cmds[i].run(argc - 1, argv + 1);
    }
    return unknown(name, cmds, n, argv[1]);
}

static bool read_all(FILE *f, struct strbuf *to, struct err *err)
{
    enum { PIECE = 64 << 10 };
    bool mib = to->max >= 1 << 20;

    for (;;) {
        char *room = strbuf_room(to, PIECE);
        size_t got;

        if (room == NULL)
            return err_set(err, ERR_LIMIT, 0, "larger than %zu %s", to->max >> (mib ? 20 : 10),
                           mib ? "MiB" : "KiB");
        got = fread(room, 1, PIECE, f);
        strbuf_wrote(to, got);
        if (got < PIECE)
            return ferror(f) == 0 || err_set(err, ERR_SYSTEM, errno, "%s", strerror(errno));
    }
}

bool cmd_read(const char *path, struct strbuf *to, struct err *err)
{
    FILE *f;
    bool ok;

    if (strcmp(path, "-") == 0)
        return read_all(stdin, to, err) || err_wrap(err, "stdin");
    f = fopen(path, "rbe");
    if (f == NULL)
        return err_set(err, ERR_SYSTEM, errno, "%s: %s", path, strerror(errno));
    ok = read_all(f, to, err);
    (void)fclose(f);
    return ok || err_wrap(err, "%s", path);
}

int cmd_print(struct strbuf *text)
{
    size_t wrote = fwrite(strbuf_str(text), 1, text->len, stdout);
    bool whole = wrote == text->len && fflush(stdout) == 0 && !text->full;

    strbuf_clear(text);
    return whole ? CLI_DONE : CLI_UNREACHABLE;
}

int cmd_fail(const char *name, const struct err *err)
{
    struct strbuf text;

    strbuf_init(&text, 2 * sizeof err->text);
    (void)strbuf_add_shown(&text, sv_from(err->text));
    (void)fprintf(stderr, "%s: %s\n", name, strbuf_str(&text));
    strbuf_done(&text);
    if (err->kind == ERR_INPUT)
        return CLI_USAGE;
    /* A server's 404 is an answer; a file that is not there is something that could not be read. */
    return err->kind == ERR_NOT_FOUND && err->code == 404 ? CLI_NO : CLI_UNREACHABLE;
}
