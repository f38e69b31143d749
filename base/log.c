#include "base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/jsonw.h"
#include "base/strbuf.h"

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};
_Static_assert(COUNT_OF(level_names) == LOG_LEVEL_COUNT_, "a log level has no name");

/* The one piece of state a process has outside its wiring: set before threads start, the lock
 * guards the call sites. */
static enum log_level threshold = LOG_INFO;
static bool as_json;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void log_setup(enum log_level level, bool json)
{
    threshold = level;
    as_json = json;
}

bool log_enabled(enum log_level level)
{
    return level <= threshold;
}

/* May this line go out, and how many of its like were held back before it? */
static bool pass(struct log_site *site, int64_t now_s, uint32_t *ret_held_back)
{
    if (now_s - site->window_start_s >= LOG_WINDOW_S) {
        *ret_held_back = site->held_back;
        *site = (struct log_site){.window_start_s = now_s, .lines = 1};
        return true;
    }
    if (site->lines == LOG_BURST) {
        site->held_back++;
        return false;
    }
    site->lines++;
    *ret_held_back = 0;
    return true;
}

static bool plain(struct sv text)
{
    bool some = text.len != 0;

    for (; text.len != 0; text = sv_skip(text, sv_utf8(text))) {
        char c = text.at[0];

        if (c == ' ' || c == '"' || c == '=' || c == '\\' || sv_hidden(text) != 0)
            return false;
    }
    return some;
}

static void write_text(struct strbuf *line, const char *time, enum log_level level,
                       const char *message, const struct log_field *fields, size_t count)
{
    (void)strbuf_addf(line, "%s %-5s %s", time, level_names[level], message);
    for (size_t i = 0; i < count; i++) {
        (void)strbuf_addf(line, " %s=", fields[i].key);
        if (fields[i].kind == LOG_FIELD_INT)
            (void)strbuf_addf(line, "%lld", (long long)fields[i].num);
        else if (plain(fields[i].str))
            (void)strbuf_add(line, fields[i].str);
        else
            jsonw_text(line, fields[i].str);
    }
}

static void write_json(struct strbuf *line, const char *time, enum log_level level,
                       const char *message, const struct log_field *fields, size_t count)
{
    struct jsonw w;

    jsonw_init(&w, line);
    jsonw_object(&w, NULL);
    jsonw_str(&w, "time", sv_from(time));
    jsonw_str(&w, "level", sv_from(level_names[level]));
    jsonw_str(&w, "msg", sv_from(message));
    for (size_t i = 0; i < count; i++) {
        if (fields[i].kind == LOG_FIELD_INT)
            jsonw_i64(&w, fields[i].key, fields[i].num);
        else
            jsonw_str(&w, fields[i].key, fields[i].str);
    }
    jsonw_end(&w);
}

void log_write(struct log_site *site, enum log_level level, const char *message,
               const struct log_field *fields, size_t count)
{
    struct clock clock = clock_system();
    struct log_field all[32];
    uint32_t held_back;
    char time[WALL_TEXT_SIZE];
    struct strbuf line;
    bool go;

    (void)pthread_mutex_lock(&lock);
    go = pass(site, clock.mono(clock.self).us / US_PER_S, &held_back);
    (void)pthread_mutex_unlock(&lock);
    if (!go)
        return;
    if (count > COUNT_OF(all) - 1)
        count = COUNT_OF(all) - 1;
    for (size_t i = 0; i < count; i++)
        all[i] = fields[i];
    if (held_back != 0)
        all[count++] = F_INT("held_back", held_back);

    wall_format(clock.wall(clock.self), 3, time);
    strbuf_init(&line, LOG_MAX_LINE);
    if (as_json)
        write_json(&line, time, level, message, all, count);
    else
        write_text(&line, time, level, message, all, count);
    line.full = false;
    line.max++;
    (void)strbuf_add_char(&line, '\n');
    /* One write a line, so that lines of several threads do not mix; nothing sensible can be done
     * if stderr is gone. */
    if (write(STDERR_FILENO, line.at, line.len) < 0)
        (void)0;
    strbuf_done(&line);
}
