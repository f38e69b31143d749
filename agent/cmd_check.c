#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/cli.h"
#include "agent/cmd.h"
#include "base/alloc.h"
#include "base/jsonw.h"
#include "base/yaml.h"
#include "policy/policy.h"

static const struct cli_flag flags[] = {
    {"output", 'o', CLI_VALUE, "FORMAT", "text", "text|json",
     "form of the answer; json is one line a file"},
};

static const struct cli_command command = {
    .name = "brim check",
    .args = "FILE|DIR|-…",
    .about = "Validates policy files, as the agent reads them: each alone and all together. Of a "
             "directory the files *.yaml,\n"
             "*.yml and *.json are taken, hidden ones apart. Exit code 1 if anything is wrong.",
    .min_args = 1,
    .max_args = -1,
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples = "  brim check miner.yaml\n  brim check /etc/brim/policies\n",
};

enum { ANSWER_MAX = 16 << 20 };

/* A file and what is wrong with it; its policies are those from `first` to before `end`. */
struct checked {
    char *path;
    struct err err; /* of kind ERR_NONE: nothing */
    bool elsewhere; /* the error stands with another file, too */
    size_t first, end;
};

struct checker {
    bool json;
    bool wrong, unread;
    struct policy_list all; /* of every file that is whole */
    struct checked *files;
    size_t len, cap;
    struct strbuf out;
};

static struct checked *add_file(struct checker *c, const char *path)
{
    const struct checked file = {.path = xstrdup(path), .first = c->all.len, .end = c->all.len};

    VEC_PUSH(c->files, c->len, c->cap, file);
    return &c->files[c->len - 1];
}

static void tell_wrong(struct checker *c, const struct checked *file)
{
    if (c->json) {
        struct jsonw w;

        jsonw_init(&w, &c->out);
        jsonw_object(&w, NULL);
        jsonw_cstr(&w, "file", file->path);
        jsonw_bool(&w, "ok", false);
        jsonw_cstr(&w, "error", file->err.text);
        jsonw_end(&w);
        (void)strbuf_add_char(&c->out, '\n');
    } else if (!file->elsewhere) {
        (void)fprintf(stderr, "%s\n", file->err.text);
    }
}

static void tell_good(struct checker *c, const struct checked *file)
{
    struct jsonw w;

    if (c->json) {
        jsonw_init(&w, &c->out);
        jsonw_object(&w, NULL);
        jsonw_cstr(&w, "file", file->path);
        jsonw_bool(&w, "ok", true);
        jsonw_array(&w, "policies");
        for (size_t i = file->first; i < file->end; i++)
            jsonw_str(&w, NULL, c->all.at[i]->name);
        jsonw_end(&w);
        jsonw_end(&w);
        (void)strbuf_add_char(&c->out, '\n');
        return;
    }
    (void)strbuf_addf(&c->out, "%s: ok%s", file->path,
                      file->first == file->end ? ", no policy" : "");
    for (size_t i = file->first; i < file->end; i++) {
        const struct policy *p = c->all.at[i];

        (void)strbuf_addf(&c->out, "%s policy %.*s: %.*s %.*s/%.*s, %d to %d replicas, mode %s",
                          i == file->first ? "," : ";", SV_ARG(p->name), SV_ARG(p->target_kind),
                          SV_ARG(p->target_ns), SV_ARG(p->target_name), p->min, p->max,
                          policy_mode_name(p->mode));
    }
    (void)strbuf_add_char(&c->out, '\n');
}

static void check_file(struct checker *c, const char *path)
{
    struct checked *file = add_file(c, path);
    struct zone_source zones = zone_files(NULL);
    struct strbuf text;

    strbuf_init(&text, YAML_MAX_BYTES);
    if (!cmd_read(path, &text, &file->err))
        c->unread = true;
    else if (!policy_read_zoned(sv_from(path), strbuf_sv(&text), &zones, &c->all, &file->err))
        c->wrong = true;
    file->end = c->all.len;
    strbuf_done(&text);
}

/* Names that a policy directory's files have; "..data" and its like belong to the mount of a
 * ConfigMap. */
static int is_policy_file(const struct dirent *entry)
{
    struct sv name = sv_from(entry->d_name);

    return name.at[0] != '.' &&
           (sv_ends(name, SV(".yaml")) || sv_ends(name, SV(".yml")) || sv_ends(name, SV(".json")));
}

static void check_directory(struct checker *c, const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, is_policy_file, alphasort);

    if (n < 0) {
        c->unread = true;
        (void)err_set(&add_file(c, path)->err, ERR_SYSTEM, errno, "%s: %s", path, strerror(errno));
        return;
    }
    if (n == 0) {
        c->wrong = true;
        (void)err_set(&add_file(c, path)->err, ERR_INPUT, 0,
                      "%s: found no file, expected *.yaml, *.yml or *.json", path);
    }
    for (int i = 0; i < n; i++) {
        struct strbuf file;

        strbuf_init(&file, 1 << 16);
        (void)strbuf_addf(&file, "%s%s%s", path, sv_ends(sv_from(path), SV("/")) ? "" : "/",
                          entries[i]->d_name);
        check_file(c, strbuf_str(&file));
        strbuf_done(&file);
        free(entries[i]);
    }
    free(entries);
}

static void check_path(struct checker *c, const char *path)
{
    struct stat about;

    if (strcmp(path, "-") != 0 && stat(path, &about) == 0 && S_ISDIR(about.st_mode))
        check_directory(c, path);
    else
        check_file(c, path);
}

static struct checked *file_of(const struct checker *c, const struct policy *p)
{
    for (size_t k = 0;; k++) {
        for (size_t i = c->files[k].first; i < c->files[k].end; i++) {
            if (c->all.at[i] == p)
                return &c->files[k];
        }
    }
}

/* Neither of two files that clash is good; people need to hear of it but once. */
static void check_together(struct checker *c)
{
    for (size_t i = 0; i < c->all.len; i++) {
        struct err err = {0};
        const struct policy *earlier = policy_list_clash(&c->all, i, &err);
        struct checked *a, *b;

        if (earlier == NULL)
            continue;
        c->wrong = true;
        a = file_of(c, earlier);
        b = file_of(c, c->all.at[i]);
        if (a->err.kind == ERR_NONE) {
            a->err = err;
            a->elsewhere = b->err.kind == ERR_NONE;
        }
        if (b->err.kind == ERR_NONE || a == b) {
            b->err = err;
            b->elsewhere = false;
        }
    }
}

/* More than an agent takes: wrong is where the first stands that is too many. */
static void check_number(struct checker *c)
{
    struct err err = {0};
    struct checked *file;

    if (policy_list_fits(&c->all, &err))
        return;
    c->wrong = true;
    file = file_of(c, c->all.at[POLICY_MAX_TOGETHER]);
    if (file->err.kind == ERR_NONE)
        file->err = err;
}

static void tell(struct checker *c)
{
    for (size_t k = 0; k < c->len; k++) {
        if (c->files[k].err.kind != ERR_NONE)
            tell_wrong(c, &c->files[k]);
        else
            tell_good(c, &c->files[k]);
        free(c->files[k].path);
    }
    free(c->files);
}

int cmd_check(int argc, char **argv)
{
    struct checker c = {0};
    struct cli cli;
    int code;

    if (!cli_begin(&command, argc, argv, &cli, &code))
        return code;
    c.json = sv_eq(sv_from(cli_value(&cli, "output")), SV("json"));
    strbuf_init(&c.out, ANSWER_MAX);
    for (size_t i = 0; i < cli.n_args; i++)
        check_path(&c, cli.args[i]);
    check_together(&c);
    check_number(&c);
    tell(&c);
    code = cmd_print(&c.out);
    policy_list_done(&c.all);
    strbuf_done(&c.out);
    cli_done(&cli);
    return c.unread ? CLI_UNREACHABLE : c.wrong ? CLI_NO : code;
}
