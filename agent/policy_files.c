#include "agent/policy_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cmd.h"
#include "base/alloc.h"
#include "base/yaml.h"

void policy_texts_add(struct policy_texts *texts, struct sv name, struct sv text)
{
    struct policy_text t = {.name = sv_dup(name), .at = xmalloc(text.len + 1), .len = text.len};

    if (text.len != 0)
        memcpy(t.at, text.at, text.len);
    VEC_PUSH(texts->at, texts->len, texts->cap, t);
}

void policy_texts_done(struct policy_texts *texts)
{
    for (size_t i = 0; i < texts->len; i++) {
        free(texts->at[i].name);
        free(texts->at[i].at);
    }
    free(texts->at);
    *texts = (struct policy_texts){0};
}

bool policy_texts_equal(const struct policy_texts *a, const struct policy_texts *b)
{
    if (a->len != b->len)
        return false;
    for (size_t i = 0; i < a->len; i++) {
        if (strcmp(a->at[i].name, b->at[i].name) != 0 || a->at[i].len != b->at[i].len ||
            memcmp(a->at[i].at, b->at[i].at, a->at[i].len) != 0)
            return false;
    }
    return true;
}

static bool refuse_system(struct err *err, const char *path)
{
    return err_set(err, ERR_SYSTEM, errno, "%s: %s", path, strerror(errno));
}

static bool read_open(int fd, const char *path, struct strbuf *text, struct err *err)
{
    for (;;) {
        char *room = strbuf_room(text, 1 << 16);
        ssize_t n = room != NULL ? read(fd, room, 1 << 16) : 0;

        if (room == NULL)
            return err_set(err, ERR_LIMIT, 0, "%s: a file of more than %d bytes", path,
                           YAML_MAX_BYTES - (1 << 16));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return refuse_system(err, path);
        if (n == 0)
            return true;
        strbuf_wrote(text, (size_t)n);
    }
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* A file of an open directory, unless somebody writes it just now. */
static bool read_at(int dir, const char *name, const char *path, struct strbuf *text,
                    struct err *err)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat before, after;
    bool ok = fd >= 0 && fstat(fd, &before) == 0;

    if (!ok)
        (void)refuse_system(err, path);
    else if (!S_ISREG(before.st_mode))
        ok = err_set(err, ERR_INPUT, 0, "%s: found no regular file, expected one", path);
    else
        ok = read_open(fd, path, text, err);
    if (ok && (fstat(fd, &after) != 0 || before.st_size != after.st_size ||
               !same_time(&before.st_mtim, &after.st_mtim)))
        ok = err_set(err, ERR_CONFLICT, 0, "%s: changed while it was read", path);
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

static int wanted(const struct dirent *entry)
{
    struct sv name = sv_from(entry->d_name);

    return !sv_starts(name, SV(".")) &&
           (sv_ends(name, SV(".yaml")) || sv_ends(name, SV(".yml")) || sv_ends(name, SV(".json")));
}

static bool load_entry(int dir, const char *path, const char *name, size_t *bytes,
                       struct policy_texts *to, struct err *err)
{
    struct strbuf text;
    char file[4096];
    bool ok;

    if ((size_t)snprintf(file, sizeof file, "%s/%s", path, name) >= sizeof file)
        return err_set(err, ERR_LIMIT, 0, "%s: a path of more than %zu bytes", path,
                       sizeof file - 1);
    strbuf_init(&text, YAML_MAX_BYTES);
    ok = read_at(dir, name, file, &text, err);
    *bytes += text.len;
    if (ok && *bytes > POLICY_FILES_MAX_BYTES)
        ok = err_set(err, ERR_LIMIT, 0, "%s: policy files of more than %d bytes together", path,
                     POLICY_FILES_MAX_BYTES);
    if (ok)
        policy_texts_add(to, sv_from(file), strbuf_sv(&text));
    strbuf_done(&text);
    return ok;
}

static bool load_entries(int dir, const char *path, struct policy_texts *to, struct err *err)
{
    struct dirent **entries = NULL;
    int n = scandirat(dir, ".", &entries, wanted, alphasort);
    size_t bytes = 0;
    bool ok = n >= 0;

    if (!ok)
        (void)refuse_system(err, path);
    else if (n > POLICY_FILES_MAX)
        ok = err_set(err, ERR_LIMIT, 0, "%s: found %d policy files, expected at most %d", path, n,
                     POLICY_FILES_MAX);
    for (int i = 0; ok && i < n; i++)
        ok = load_entry(dir, path, entries[i]->d_name, &bytes, to, err);
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    return ok;
}

static bool load_dir(const char *path, struct policy_texts *to, struct err *err)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int data = dir >= 0 ? openat(dir, "..data", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool ok =
        dir >= 0 ? load_entries(data >= 0 ? data : dir, path, to, err) : refuse_system(err, path);

    if (data >= 0)
        (void)close(data);
    if (dir >= 0)
        (void)close(dir);
    return ok;
}

static bool load_file(const char *path, struct policy_texts *to, struct err *err)
{
    struct strbuf text;
    bool ok;

    strbuf_init(&text, YAML_MAX_BYTES);
    ok = cmd_read(path, &text, err);
    if (ok)
        policy_texts_add(to, sv_from(path), strbuf_sv(&text));
    strbuf_done(&text);
    return ok;
}

static bool is_dir(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool policy_texts_load(const char *path, struct policy_texts *to, struct err *err)
{
    if (is_dir(path) ? load_dir(path, to, err) : load_file(path, to, err))
        return true;
    policy_texts_done(to);
    return false;
}

bool policy_texts_read(const struct policy_texts *texts, struct policy_list *to, struct err *err)
{
    struct zone_source zones = zone_files(NULL);
    bool ok = true;

    for (size_t i = 0; ok && i < texts->len; i++)
        ok = policy_read_zoned(sv_from(texts->at[i].name),
                               (struct sv){.at = texts->at[i].at, .len = texts->at[i].len}, &zones,
                               to, err);
    if (ok && policy_list_check(to, err))
        return true;
    policy_list_done(to);
    return false;
}

bool policy_files_read(const char *path, struct policy_list *to, struct err *err)
{
    CLEANUP(policy_texts_done) struct policy_texts texts = {0};

    if (!policy_texts_load(path, &texts, err))
        return false;
    if (texts.len == 0)
        return err_set(err, ERR_INPUT, 0, "%s: found no *.yaml, *.yml or *.json", path);
    return policy_texts_read(&texts, to, err);
}
