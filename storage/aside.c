#include "storage/aside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/sv.h"
#include "storage/schema.h"

#define MARK ".corrupt-"

/* Where a database's header has what tells a history (https://sqlite.org/fileformat.html, 1.3). */
enum { HEADER_SIZE = 100, VERSION_AT = 60, APPLICATION_AT = 68 };

/* SQLite's own size of a page, and how much of a file without a header is looked at. */
enum { PAGE = 4096, LOOK_BYTES = 1 << 20 };

static const char magic[] = "SQLite format 3";

static uint32_t big_endian(const char *at)
{
    const unsigned char *b = (const unsigned char *)at;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* As what a page begins, by its first byte: a b-tree's page, or one that goes on with a long value or is free. */
static bool is_tree(char byte)
{
    return byte == 2 || byte == 5 || byte == 10 || byte == 13;
}

/* Nothing but zeros, or behind the first page mostly pages of a database. */
static bool has_pages(struct sv begin)
{
    size_t n = 0, trees = 0, likely = 0;

    for (size_t at = PAGE; at + PAGE <= begin.len; at += PAGE) {
        n++;
        trees += is_tree(begin.at[at]);
        likely += is_tree(begin.at[at]) || begin.at[at] == 0;
    }
    return (begin.at[0] == 0 && memcmp(begin.at, begin.at + 1, begin.len - 1) == 0) ||
           (trees != 0 && likely * 4 >= n * 3);
}

static bool is_history(struct sv begin)
{
    if (begin.len < HEADER_SIZE)
        return false;
    if (memcmp(begin.at, magic, sizeof magic) == 0)
        return big_endian(begin.at + APPLICATION_AT) == SCHEMA_APPLICATION &&
               big_endian(begin.at + VERSION_AT) <= SCHEMA_VERSION;
    return has_pages(begin);
}

bool aside_is_history(const char *path)
{
    CLEANUP(free_ptr) char *begin = NULL;
    FILE *file = fopen(path, "rbe");
    size_t len;

    if (file == NULL)
        return false;
    begin = xmalloc(LOOK_BYTES);
    len = fread(begin, 1, LOOK_BYTES, file);
    (void)fclose(file);
    return is_history((struct sv){begin, len});
}

/* errno, 0 where all could be read. */
static int read_all(int fd)
{
    CLEANUP(free_ptr) char *part = xmalloc(LOOK_BYTES);
    int64_t at = 0;
    ssize_t got = 1;

    while (got > 0) {
        got = pread(fd, part, LOOK_BYTES, at);
        at += got;
    }
    return got < 0 ? errno : 0;
}

static bool can_read(const char *path, const char *end, struct err *err)
{
    char name[PATH_MAX + 8];
    int fd, failed = 0;

    (void)snprintf(name, sizeof name, "%s%s", path, end);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        failed = read_all(fd);
        (void)close(fd);
    } else if (errno != ENOENT) {
        failed = errno;
    }
    return failed == 0 ||
           err_set(err, ERR_STORAGE, 0, "%s: cannot be read: %s", name, strerror(failed));
}

bool aside_can_read(const char *path, struct err *err)
{
    return can_read(path, "", err) && can_read(path, "-wal", err);
}

/* How many lie beside the file already. */
static int count_moved(const char *path)
{
    CLEANUP(free_ptr) char *folder = xstrdup(path);
    char *slash = strrchr(folder, '/');
    size_t len = strlen(slash + 1);
    int n = 0;
    DIR *dir;

    *slash = '\0';
    dir = opendir(slash == folder ? "/" : folder);
    if (dir == NULL)
        return 0;
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        const char *name = e->d_name;
        struct sv end = SV("-wal");

        n += strncmp(name, slash + 1, len) == 0 &&
             strncmp(name + len, MARK, sizeof MARK - 1) == 0 && !sv_ends(sv_from(name), end);
    }
    (void)closedir(dir);
    return n;
}

/* "20261123T093000Z" */
static void stamp(struct wall now, char text[static WALL_TEXT_SIZE])
{
    char *to = text;

    wall_format(now, 0, text);
    for (const char *from = text; *from != '\0'; from++) {
        if (*from != '-' && *from != ':')
            *to++ = *from;
    }
    *to = '\0';
}

static bool move(const char *path, const char *to, const char *end, bool must, struct err *err)
{
    char from_file[PATH_MAX + 8], to_file[PATH_MAX + 64];

    (void)snprintf(from_file, sizeof from_file, "%s%s", path, end);
    (void)snprintf(to_file, sizeof to_file, "%s%s", to, end);
    if (access(to_file, F_OK) == 0)
        return err_set(err, ERR_STORAGE, 0, "%s: is there already", to_file);
    if (rename(from_file, to_file) == 0 || (errno == ENOENT && !must))
        return true;
    return err_set(err, ERR_STORAGE, 0, "%s: cannot be set aside: %s", from_file, strerror(errno));
}

bool aside_move(const char *path, struct wall now, char *ret_name, size_t size, struct err *err)
{
    CLEANUP(free_ptr) char *real = realpath(path, NULL);
    char text[WALL_TEXT_SIZE], to[PATH_MAX + 48], memory[PATH_MAX + 8];

    if (real == NULL)
        return err_set(err, ERR_STORAGE, 0, "%s: %s", path, strerror(errno));
    if (count_moved(real) >= ASIDE_MAX)
        return err_set(err, ERR_STORAGE, 0,
                       "%s: is damaged, and %d damaged files were set aside already: remove them",
                       path, ASIDE_MAX);
    stamp(now, text);
    (void)snprintf(to, sizeof to, "%s" MARK "%s", real, text);
    /* The log first: without its database it could be taken for a new one's. */
    if (!move(real, to, "-wal", false, err) || !move(real, to, "", true, err))
        return false;
    (void)snprintf(memory, sizeof memory, "%s-shm", real);
    (void)unlink(memory);
    (void)snprintf(ret_name, size, "%s", to);
    return true;
}
