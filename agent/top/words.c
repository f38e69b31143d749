#include "agent/top/words.h"

#include <stdio.h>

#include "base/clock.h"

/* Beyond it years have five digits. */
#define LAST_MS INT64_C(253402300799000)

void words_cores(int64_t milli, char text[static WORDS_CORES])
{
    if (milli < 0)
        (void)snprintf(text, WORDS_CORES, "-");
    else if (milli >= 9950)
        (void)snprintf(text, WORDS_CORES, "%lld",
                       (long long)(milli / 1000 + (milli % 1000 >= 500)));
    else if (milli % 1000 == 0)
        (void)snprintf(text, WORDS_CORES, "%lld", (long long)(milli / 1000));
    else
        (void)snprintf(text, WORDS_CORES, "%lld.%lld", (long long)((milli + 50) / 1000),
                       (long long)((milli + 50) / 100 % 10));
}

void words_span(int64_t ms, char text[static WORDS_SPAN])
{
    static const struct {
        int64_t s;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    int64_t s = ms > 0 ? ms / 1000 : 0;
    size_t i = 0;

    while (i < 3 && s < units[i].s)
        i++;
    if (i == 3 || s % units[i].s / units[i + 1].s == 0)
        (void)snprintf(text, WORDS_SPAN, "%lld %s", (long long)(s / units[i].s), units[i].name);
    else
        (void)snprintf(text, WORDS_SPAN, "%lld %s %lld %s", (long long)(s / units[i].s),
                       units[i].name, (long long)(s % units[i].s / units[i + 1].s),
                       units[i + 1].name);
}

void words_time(int64_t ms, char text[static WORDS_TIME])
{
    char whole[WALL_TEXT_SIZE];

    if (ms < 0 || ms > LAST_MS) {
        (void)snprintf(text, WORDS_TIME, "--:--:--");
        return;
    }
    wall_format((struct wall){.us = ms * US_PER_MS}, 0, whole);
    (void)snprintf(text, WORDS_TIME, "%.8s", whole + sizeof "2026-10-01T" - 1);
}

void words_count(int64_t n, char text[static WORDS_COUNT])
{
    char digits[24];
    int len, out = 0;

    if (n < 0) {
        (void)snprintf(text, WORDS_COUNT, "-");
        return;
    }
    len = snprintf(digits, sizeof digits, "%lld", (long long)n);
    for (int i = 0; i < len; i++) {
        if (i != 0 && (len - i) % 3 == 0)
            text[out++] = ',';
        text[out++] = digits[i];
    }
    text[out] = '\0';
}
