/*
 * folder: a folder of the test's own, gone with all that is in it at the end. In memory where there is
 * such a place: a history waits for the disk with each commit, and tests commit thousands of times.
 */
#ifndef BRIM_TESTS_UNIT_STORAGE_FOLDER_H
#define BRIM_TESTS_UNIT_STORAGE_FOLDER_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/attr.h"

struct folder {
    char path[256];
    char file[300]; /* a history in there; not made yet */
};

static inline struct folder folder_new(void)
{
    const char *tmp = getenv("TMPDIR");
    struct folder f;

    if (tmp == NULL)
        tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(f.path, sizeof f.path, "%s/brim-storage-XXXXXX", tmp);
    cr_assert_not_null(mkdtemp(f.path));
    (void)snprintf(f.file, sizeof f.file, "%s/history.db", f.path);
    return f;
}

static inline void folder_done(struct folder *f)
{
    DIR *dir = opendir(f->path);
    char file[600];

    if (dir == NULL)
        return;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        (void)snprintf(file, sizeof file, "%s/%s", f->path, entry->d_name);
        if (entry->d_name[0] != '.')
            (void)unlink(file);
    }
    (void)closedir(dir);
    (void)rmdir(f->path);
}

#endif
