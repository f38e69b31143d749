/*
 * Runs a fuzz target over files, and over the files of folders, once each: what compilers without libFuzzer do with the
 * corpus, and what the ordinary suite does.
 *
 *     fuzz_x FILE|FOLDER…
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "tests/fuzz/fuzz.h"

enum { LARGEST_INPUT = 1 << 20 };

static bool run_file(const char *path)
{
    char *data = xmalloc(LARGEST_INPUT);
    FILE *file = fopen(path, "re");
    size_t n;

    if (file == NULL) {
        perror(path);
        free(data);
        return false;
    }
    n = fread(data, 1, LARGEST_INPUT, file);
    (void)fclose(file);

    /* On memory of exactly its size, so that a byte too many is seen by a sanitizer. */
    char *exact = xrealloc(data, n);

    (void)LLVMFuzzerTestOneInput((const uint8_t *)exact, n);
    free(exact);
    return true;
}

/* How many files were run; -1 if one could not be read. */
static int run(const char *path)
{
    DIR *folder = opendir(path);
    int files = 0;

    if (folder == NULL && errno == ENOTDIR)
        return run_file(path) ? 1 : -1;
    if (folder == NULL) {
        perror(path);
        return -1;
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char file[4096];

        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (!run_file(file)) {
            files = -1;
            break;
        }
        files++;
    }
    (void)closedir(folder);
    return files;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int files = run(argv[i]);

        if (files <= 0) {
            (void)fprintf(stderr, "%s: no corpus\n", argv[i]);
            return 1;
        }
        printf("%s: %d files\n", argv[i], files);
    }
    return argc > 1 ? 0 : 2;
}
