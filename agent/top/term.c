#include "agent/top/term.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool term_write(int out, struct sv bytes, struct err *err)
{
    while (bytes.len != 0) {
        ssize_t n = write(out, bytes.at, bytes.len);

        if (n < 0 && errno == EAGAIN) { /* the terminal is slow: frames wait, they do not pile up */
            struct pollfd wait = {.fd = out, .events = POLLOUT};

            (void)poll(&wait, 1, 1000);
            continue;
        }
        if (n < 0 && errno != EINTR)
            return err_set(err, ERR_SYSTEM, errno, "terminal: %s", strerror(errno));
        if (n > 0)
            bytes = sv_skip(bytes, (size_t)n);
    }
    return true;
}

bool term_hold(struct term *t, int in, int out, struct err *err)
{
    struct termios raw;

    *t = (struct term){.in = in, .out = out};
    if (!isatty(in) || tcgetattr(in, &t->before) != 0) {
        t->in = -1;
    } else {
        raw = t->before;
        raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        raw.c_cc[VSUSP] = _POSIX_VDISABLE;
        if (tcsetattr(in, TCSANOW, &raw) != 0)
            return err_set(err, ERR_SYSTEM, errno, "terminal: %s", strerror(errno));
    }
    t->held = true;
    return term_write(out, SV("\033[?1049h\033[?25l\033[2J"), err);
}

void term_give_back(struct term *t)
{
    if (!t->held)
        return;
    t->held = false;
    (void)!term_write(t->out, SV("\033[0m\033[?25h\033[?1049l"), NULL);
    if (t->in >= 0)
        (void)tcsetattr(t->in, TCSANOW, &t->before);
}

void term_size(int out, int *ret_cols, int *ret_rows)
{
    struct winsize size = {0};

    *ret_cols = 80;
    *ret_rows = 24;
    if (ioctl(out, TIOCGWINSZ, &size) == 0 && size.ws_col != 0 && size.ws_row != 0) {
        *ret_cols = size.ws_col;
        *ret_rows = size.ws_row;
    }
}

bool term_is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *value = getenv(names[i]);

        if (value != NULL && value[0] != '\0')
            return strcasestr(value, "utf-8") != NULL || strcasestr(value, "utf8") != NULL;
    }
    return false;
}

bool term_has_colour(void)
{
    const char *no = getenv("NO_COLOR"), *name = getenv("TERM");

    return (no == NULL || no[0] == '\0') && (name == NULL || strcmp(name, "dumb") != 0);
}
