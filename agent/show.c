#include "agent/show.h"

#include "agent/json_read.h"
#include "base/clock.h"
#include "base/jsonw.h"

enum { SHOW_MAX_TEXT = 4096 };

void show_text(struct sv json, const char *path, struct strbuf *out)
{
    struct strbuf text;

    strbuf_init(&text, SHOW_MAX_TEXT);
    if (json_text(json, path, &text))
        (void)strbuf_add_shown(out, strbuf_sv(&text));
    else
        (void)strbuf_add_char(out, '-');
    strbuf_done(&text);
}

void show_number(struct sv json, const char *path, struct strbuf *out)
{
    int64_t n;

    if (json_i64(json, path, &n))
        (void)strbuf_addf(out, "%lld", (long long)n);
    else
        (void)strbuf_add_char(out, '-');
}

void show_milli(struct sv json, const char *path, struct strbuf *out)
{
    int64_t n;

    if (json_i64(json, path, &n))
        jsonw_milli_text(out, n);
    else
        (void)strbuf_add_char(out, '-');
}

void show_moment(int64_t ms, struct strbuf *out)
{
    static const int64_t last_s =
        INT64_C(253402300799); /* the end of the year 9999: RFC 3339 has no later one */
    char text[WALL_TEXT_SIZE];

    if (ms < 0 || ms / 1000 > last_s) {
        (void)strbuf_add_char(out, '-');
        return;
    }
    wall_format((struct wall){.us = ms * US_PER_MS}, 0, text);
    (void)strbuf_add(out, sv_from(text));
}

/* "12 s", "3 min 5 s" */
static void show_left(int64_t ms, struct strbuf *out)
{
    int64_t s = ms > 0 ? (ms + 999) / 1000 : 0;

    if (s >= 60)
        (void)strbuf_addf(out, "%lld min ", (long long)(s / 60));
    (void)strbuf_addf(out, "%lld s", (long long)(s % 60));
}

void show_parts(struct sv json, struct sv parts, struct strbuf *out)
{
    struct sv item;
    int64_t ms, now = 0;

    (void)json_i64(json, "t", &now);
    while (json_next(&parts, &item)) {
        if (json_i64(item, "at", &ms))
            show_moment(ms, out);
        else if (json_i64(item, "until", &ms) && ms >= 0)
            show_left(ms - now, out);
        else
            show_text(item, "", out);
    }
}
