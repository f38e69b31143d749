/*
 * log: one line a message, on stderr, as text or JSON. Only agent/ logs; libraries report through
 * err.
 *
 * A message is a fixed sentence plus fields, so that it can be searched and counted:
 *     log_warn("watch ended", F_STR("kind", "pod"), F_INT("status", 410));
 * Repeats are limited a call site: at most LOG_BURST lines in LOG_WINDOW_S seconds, and the next
 * line that gets through carries how many were held back. Secrets and whole objects are never
 * fields. Safe from any thread.
 */
#ifndef BRIM_BASE_LOG_H
#define BRIM_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/sv.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVEL_COUNT_ };

enum { LOG_BURST = 10, LOG_WINDOW_S = 10, LOG_MAX_LINE = 8192 };

struct log_field {
    const char *key;
    enum { LOG_FIELD_STR, LOG_FIELD_INT } kind;
    struct sv str;
    int64_t num;
};

/* One per call site, made by the macros below. */
struct log_site {
    int64_t window_start_s;
    uint32_t lines;
    uint32_t held_back;
};

#define F_SV(name, value)  ((struct log_field){.key = (name), .kind = LOG_FIELD_STR, .str = (value)})
#define F_STR(name, value) F_SV(name, sv_from(value))
#define F_INT(name, value)                                                                         \
    ((struct log_field){.key = (name), .kind = LOG_FIELD_INT, .num = (int64_t)(value)})
#define F_ERR(err) F_STR("error", (err)->text)

/* Sets level and format for the process; called once by main before threads start. */
void log_setup(enum log_level level, bool json);
bool log_enabled(enum log_level level);

void log_write(struct log_site *site, enum log_level level, const char *message,
               const struct log_field *fields, size_t count);

#define LOG_AT(level, message, ...)                                                                \
    do {                                                                                           \
        static struct log_site site_;                                                              \
        const struct log_field fields_[] = {__VA_ARGS__};                                          \
        if (log_enabled(level))                                                                    \
            log_write(&site_, level, message, fields_, sizeof fields_ / sizeof(struct log_field)); \
    } while (0)

#define log_error(message, ...) LOG_AT(LOG_ERROR, message, __VA_ARGS__)
#define log_warn(message, ...)  LOG_AT(LOG_WARN, message, __VA_ARGS__)
#define log_info(message, ...)  LOG_AT(LOG_INFO, message, __VA_ARGS__)
#define log_debug(message, ...) LOG_AT(LOG_DEBUG, message, __VA_ARGS__)

#endif
