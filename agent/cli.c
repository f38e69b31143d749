#include "agent/cli.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

static const struct cli_flag help_flag = {"help", 'h',  CLI_SWITCH,      NULL,
                                          NULL,   NULL, "show this text"};

/* Words longer than this are nobody's slip of the finger. */
enum { NEAREST_MAX = 40 };

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Damerau-Levenshtein distance, neighbours swapped at most once. */
static size_t distance(struct sv a, struct sv b)
{
    size_t row[3][NEAREST_MAX + 1];

    for (size_t j = 0; j <= b.len; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];

        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t changed = a.at[i - 1] != b.at[j - 1];

            now[j] = min_size(min_size(now[j - 1], last[j]) + 1, last[j - 1] + changed);
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] && a.at[i - 2] == b.at[j - 1])
                now[j] = min_size(now[j], before[j - 2] + 1);
        }
    }
    return row[a.len % 3][b.len];
}

const char *cli_nearest(struct sv word, const char *const *words, size_t n)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;

    if (word.len == 0 || word.len > NEAREST_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        struct sv other = sv_from(words[i]);
        size_t d;

        if (other.len > NEAREST_MAX)
            continue;
        d = distance(word, other);
        if (d < best_distance && 3 * d <= (word.len > other.len ? word.len : other.len)) {
            best = words[i];
            best_distance = d;
        }
    }
    return best;
}

static bool unknown_flag(const struct cli_command *c, struct sv name, struct err *err)
{
    const char *names[CLI_MAX_FLAGS + 1];
    const char *near;

    for (size_t i = 0; i < c->n_flags; i++)
        names[i] = c->flags[i].name;
    names[c->n_flags] = help_flag.name;
    near = cli_nearest(name, names, c->n_flags + 1);
    if (near != NULL)
        return err_set(err, ERR_INPUT, 0, "%s: unknown flag --%.*s, did you mean --%s?", c->name,
                       SV_ARG(name), near);
    return err_set(err, ERR_INPUT, 0, "%s: unknown flag --%.*s; %s --help lists what there is",
                   c->name, SV_ARG(name), c->name);
}

static const struct cli_flag *flag_by_name(const struct cli_command *c, struct sv name)
{
    for (size_t i = 0; i < c->n_flags; i++) {
        if (sv_eq(name, sv_from(c->flags[i].name)))
            return &c->flags[i];
    }
    return sv_eq(name, sv_from(help_flag.name)) ? &help_flag : NULL;
}

static const struct cli_flag *flag_by_letter(const struct cli_command *c, char letter)
{
    for (size_t i = 0; i < c->n_flags; i++) {
        if (c->flags[i].letter == letter)
            return &c->flags[i];
    }
    return letter == help_flag.letter ? &help_flag : NULL;
}

static bool chosen(const struct cli_flag *f, const char *value)
{
    struct sv rest = sv_from(f->choices), one;

    while (sv_next(&rest, '|', &one)) {
        if (sv_eq(one, sv_from(value)))
            return true;
    }
    return f->choices == NULL;
}

static bool store(struct cli *cli, const struct cli_flag *f, const char *value, struct err *err)
{
    const struct cli_command *c = cli->command;
    size_t index = (size_t)(f - c->flags);

    if (f == &help_flag) {
        cli->help = true;
        return true;
    }
    if (f->kind == CLI_SWITCH && !sv_eq(sv_from(value), SV("true")) &&
        !sv_eq(sv_from(value), SV("false")))
        return err_set(err, ERR_INPUT, 0, "%s: --%s: found '%s', expected true or false", c->name,
                       f->name, value);
    if (!chosen(f, value))
        return err_set(err, ERR_INPUT, 0, "%s: --%s: found '%s', expected one of %s", c->name,
                       f->name, value, f->choices);
    cli->value[index] = value;
    if (f->kind == CLI_MANY) {
        if (cli->n_many == cli->cap_many)
            cli->many = vec_reserve(cli->many, &cli->cap_many, cli->n_many + 1, sizeof *cli->many);
        cli->many[cli->n_many].flag = index;
        cli->many[cli->n_many].value = value;
        cli->n_many++;
    }
    return true;
}

/* "-", "-1", "-.5": an argument, though it begins like a flag. */
static bool is_flag(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && word[1] != '.' &&
           !(word[1] >= '0' && word[1] <= '9');
}

/* "--name", "--name=value" or "--name value"; *i moves on if the next word is the value. */
static bool take_long(struct cli *cli, int argc, char **argv, int *i, struct err *err)
{
    const char *text = argv[*i] + 2;
    struct sv name = sv_from(text), value = {0};
    const struct cli_flag *f;

    (void)sv_cut(sv_from(text), '=', &name, &value);
    f = flag_by_name(cli->command, name);
    if (f == NULL)
        return unknown_flag(cli->command, name, err);
    if (value.at != NULL)
        return store(cli, f, value.at, err); /* ends where the word ends: still a C string */
    if (f->kind == CLI_SWITCH)
        return store(cli, f, "true", err);
    if (*i + 1 >= argc)
        return err_set(err, ERR_INPUT, 0, "%s: --%s: expected a value (%s)", cli->command->name,
                       f->name, f->arg);
    return store(cli, f, argv[++*i], err);
}

/* "-a", "-abc" (switches), "-ovalue", "-o=value" or "-o value". */
static bool take_short(struct cli *cli, int argc, char **argv, int *i, struct err *err)
{
    for (const char *at = argv[*i] + 1; *at != '\0'; at++) {
        const struct cli_flag *f = flag_by_letter(cli->command, *at);

        if (f == NULL)
            return err_set(err, ERR_INPUT, 0, "%s: unknown flag -%c; %s --help lists what there is",
                           cli->command->name, *at, cli->command->name);
        if (f->kind == CLI_SWITCH) {
            if (!store(cli, f, "true", err))
                return false;
            continue;
        }
        if (at[1] != '\0')
            return store(cli, f, at[1] == '=' ? at + 2 : at + 1, err);
        if (*i + 1 >= argc)
            return err_set(err, ERR_INPUT, 0, "%s: -%c: expected a value (%s)", cli->command->name,
                           *at, f->arg);
        return store(cli, f, argv[++*i], err);
    }
    return true;
}

static bool check_count(const struct cli *cli, struct err *err)
{
    const struct cli_command *c = cli->command;

    if (cli->n_args < (size_t)c->min_args)
        return err_set(err, ERR_INPUT, 0, "%s: expected %s; see %s --help", c->name, c->args,
                       c->name);
    if (c->max_args >= 0 && cli->n_args > (size_t)c->max_args)
        return err_set(err, ERR_INPUT, 0, "%s: found '%s', expected %s%s", c->name,
                       cli->args[c->max_args], c->max_args == 0 ? "no arguments" : "no more than ",
                       c->max_args == 0 ? "" : c->args);
    return true;
}

bool cli_parse(const struct cli_command *command, int argc, char **argv, struct cli *ret_cli,
               struct err *err)
{
    struct cli *cli = ret_cli;
    bool flags = true;

    assert(command->n_flags <= CLI_MAX_FLAGS);
    *cli = (struct cli){.command = command};
    if (argc > CLI_MAX_WORDS)
        return err_set(err, ERR_LIMIT, 0, "%s: more than %d words", command->name, CLI_MAX_WORDS);
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];

        if (flags && sv_eq(sv_from(word), SV("--"))) {
            flags = false;
        } else if (flags && word[0] == '-' && word[1] == '-') {
            if (!take_long(cli, argc, argv, &i, err))
                return false;
        } else if (flags && is_flag(word)) {
            if (!take_short(cli, argc, argv, &i, err))
                return false;
        } else {
            VEC_PUSH(cli->args, cli->n_args, cli->cap_args, word);
        }
    }
    return cli->help || check_count(cli, err);
}

void cli_done(struct cli *cli)
{
    free(cli->many);
    free(cli->args);
    *cli = (struct cli){0};
}

bool cli_begin(const struct cli_command *command, int argc, char **argv, struct cli *ret_cli,
               int *ret_exit)
{
    struct err err = {0};

    if (!cli_parse(command, argc, argv, ret_cli, &err)) {
        (void)fprintf(stderr, "%s\n", err.text);
        *ret_exit = CLI_USAGE;
    } else if (ret_cli->help) {
        struct strbuf text;

        strbuf_init(&text, CLI_MAX_HELP);
        cli_help(command, &text);
        (void)fputs(strbuf_str(&text), stdout);
        strbuf_done(&text);
        *ret_exit = CLI_DONE;
    } else {
        return true;
    }
    cli_done(ret_cli);
    return false;
}

static size_t index_of(const struct cli *cli, const char *flag)
{
    const struct cli_flag *f = flag_by_name(cli->command, sv_from(flag));

    assert(f != NULL && f != &help_flag);
    return (size_t)(f - cli->command->flags);
}

const char *cli_value(const struct cli *cli, const char *flag)
{
    size_t i = index_of(cli, flag);

    return cli->value[i] != NULL ? cli->value[i] : cli->command->flags[i].fallback;
}

bool cli_on(const struct cli *cli, const char *flag)
{
    const char *value = cli_value(cli, flag);

    return value != NULL && sv_eq(sv_from(value), SV("true"));
}

const char *cli_many(const struct cli *cli, const char *flag, size_t i)
{
    size_t index = index_of(cli, flag);

    for (size_t k = 0; k < cli->n_many; k++) {
        if (cli->many[k].flag != index)
            continue;
        if (i == 0)
            return cli->many[k].value;
        i--;
    }
    return NULL;
}

/* "  -o, --output FORMAT" */
static size_t flag_head(const struct cli_flag *f, struct strbuf *out)
{
    size_t before = out->len;

    if (f->letter != 0)
        (void)strbuf_addf(out, "  -%c, --%s", f->letter, f->name);
    else
        (void)strbuf_addf(out, "      --%s", f->name);
    if (f->kind != CLI_SWITCH)
        (void)strbuf_addf(out, " %s", f->arg);
    return out->len - before;
}

static void flag_line(const struct cli_flag *f, size_t width, struct strbuf *out)
{
    size_t used = flag_head(f, out);

    (void)strbuf_addf(out, "%*s  %s", (int)(width - used), "", f->help);
    if (f->choices != NULL)
        (void)strbuf_addf(out, " (%s)", f->choices);
    if (f->fallback != NULL)
        (void)strbuf_addf(out, " [%s]", f->fallback);
    (void)strbuf_add_char(out, '\n');
}

void cli_help(const struct cli_command *command, struct strbuf *out)
{
    struct strbuf head;
    size_t width = 0;

    strbuf_init(&head, CLI_MAX_HELP);
    for (size_t i = 0; i <= command->n_flags; i++) {
        size_t used = flag_head(i < command->n_flags ? &command->flags[i] : &help_flag, &head);

        width = used > width ? used : width;
    }
    strbuf_done(&head);
    (void)strbuf_addf(out, "Usage: %s [flags]%s%s\n\n%s\n\nFlags:\n", command->name,
                      command->args[0] != '\0' ? " " : "", command->args, command->about);
    for (size_t i = 0; i < command->n_flags; i++)
        flag_line(&command->flags[i], width, out);
    flag_line(&help_flag, width, out);
    if (command->examples != NULL)
        (void)strbuf_addf(out, "\nExamples:\n%s", command->examples);
    (void)strbuf_add(out, SV("\nExit codes: 0 done, 1 the answer is no, 2 bad use, 3 could not "
                             "reach or read something\n"));
}
