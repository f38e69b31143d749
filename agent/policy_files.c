#include "agent/policy_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "agent/cmd.h"
#include "base/alloc.h"
#include "base/yaml.h"

static bool read_file(const char *path, struct policy_list *to, struct err *err)
{
    struct zone_source zones = zone_files(NULL);
    struct strbuf text;
    bool ok;

    strbuf_init(&text, YAML_MAX_BYTES);
    ok = cmd_read(path, &text, err) &&
         policy_read_zoned(sv_from(path), strbuf_sv(&text), &zones, to, err);
    strbuf_done(&text);
    return ok;
}

static int wanted(const struct dirent *entry)
{
    struct sv name = sv_from(entry->d_name);

    return !sv_starts(name, SV(".")) &&
           (sv_ends(name, SV(".yaml")) || sv_ends(name, SV(".yml")) || sv_ends(name, SV(".json")));
}

static bool read_entries(const char *path, struct dirent **entries, int n, struct policy_list *to,
                         struct err *err)
{
    for (int i = 0; i < n; i++) {
        char file[4096];

        if ((size_t)snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name) >= sizeof file)
            return err_set(err, ERR_LIMIT, 0, "%s: a path of more than %zu bytes", path,
                           sizeof file - 1);
        if (!read_file(file, to, err))
            return false;
    }
    return true;
}

static bool read_dir(const char *path, struct policy_list *to, struct err *err)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, wanted, alphasort);
    bool ok;

    if (n < 0)
        return err_set(err, ERR_SYSTEM, errno, "%s: %s", path, strerror(errno));
    if (n > POLICY_FILES_MAX)
        ok = err_set(err, ERR_LIMIT, 0, "%s: found %d policy files, expected at most %d", path, n,
                     POLICY_FILES_MAX);
    else if (n == 0)
        ok = err_set(err, ERR_INPUT, 0, "%s: found no *.yaml, *.yml or *.json", path);
    else
        ok = read_entries(path, entries, n, to, err);
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    return ok;
}

bool policy_files_read(const char *path, struct policy_list *to, struct err *err)
{
    struct stat info;
    bool is_dir = stat(path, &info) == 0 && S_ISDIR(info.st_mode);

    if ((is_dir ? read_dir(path, to, err) : read_file(path, to, err)) && policy_list_check(to, err))
        return true;
    policy_list_done(to);
    return false;
}
