#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool open_file(const char *path, bool ordinary, int *ret_fd, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (ordinary ? O_NONBLOCK : 0));
    struct stat stat;

    if (fd < 0)
        return err_set(err, errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_SYSTEM, errno,
                       "%s: %s", path, strerror(errno));
    if (ordinary && (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode))) {
        (void)close(fd);
        return err_set(err, ERR_INPUT, 0, "%s: found no ordinary file, expected one", path);
    }
    *ret_fd = fd;
    return true;
}

bool file_read(const char *path, bool ordinary, size_t max, struct strbuf *ret_text,
               struct err *err)
{
    int fd = -1;

    if (!open_file(path, ordinary, &fd, err))
        return false;
    strbuf_init(ret_text, max);
    for (;;) {
        size_t want = max - ret_text->len < 4096 ? max - ret_text->len : 4096;
        char *room = strbuf_room(ret_text, want == 0 ? 1 : want);
        ssize_t got = room != NULL ? read(fd, room, want) : -1;
        int code = errno;

        if (room != NULL && got < 0 && code == EINTR)
            continue;
        if (got > 0) {
            strbuf_wrote(ret_text, (size_t)got);
            continue;
        }
        (void)close(fd);
        if (got == 0)
            return true;
        strbuf_done(ret_text);
        if (room == NULL)
            return err_set(err, ERR_LIMIT, 0, "%s: longer than %zu bytes", path, max);
        return err_set(err, ERR_SYSTEM, code, "%s: %s", path, strerror(code));
    }
}
