#include "base/log.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"

/* What stderr got while a function ran. */
static size_t captured(void (*run)(void), char *text, size_t size)
{
    FILE *file = tmpfile();
    int old = dup(STDERR_FILENO);
    size_t len;

    cr_assert(file != NULL && old >= 0);
    (void)dup2(fileno(file), STDERR_FILENO);
    run();
    (void)dup2(old, STDERR_FILENO);
    (void)close(old);
    rewind(file);
    len = fread(text, 1, size - 1, file);
    text[len] = '\0';
    (void)fclose(file);
    return len;
}

static void one_line(void)
{
    log_warn("watch ended", F_STR("kind", "pod"), F_INT("status", 410), F_STR("why", "a \"b\"\n"),
             F_STR("name", "eu\u202eb"), F_STR("city", "K\u00f6ln"));
}

Test(log, writes_text_with_fields)
{
    char text[4096];

    (void)captured(one_line, text, sizeof text);
    cr_assert(strstr(text, "watch ended") != NULL, "%s", text);
    cr_assert(strstr(text, "kind=pod") != NULL && strstr(text, "status=410") != NULL, "%s", text);
    cr_assert(strstr(text, "why=\"a \\\"b\\\"\\n\"") != NULL, "%s", text);
    cr_assert(strstr(text, "name=\"eu\\u202eb\" city=K\u00f6ln") != NULL, "%s", text);
    cr_assert_eq(strchr(text, '\n'), text + strlen(text) - 1, "one line a message: %s", text);
}

Test(log, writes_json_of_the_same_call)
{
    char text[4096];
    char *after_time;

    log_setup(LOG_INFO, true);
    (void)captured(one_line, text, sizeof text);
    cr_assert_eq(strncmp(text, "{\"time\":\"", 9), 0, "%s", text);
    after_time = strchr(text + 9, ',');
    cr_assert_str_eq(after_time,
                     ",\"level\":\"warn\",\"msg\":\"watch "
                     "ended\",\"kind\":\"pod\",\"status\":410,\"why\":\"a \\\"b\\\"\\n\","
                     "\"name\":\"eu\\u202eb\",\"city\":\"K\u00f6ln\"}\n");
}

static void below_the_threshold(void)
{
    log_debug("nothing to see");
    log_info("nor here");
    log_error("this");
}

Test(log, leaves_out_what_is_below_the_level)
{
    char text[4096];

    log_setup(LOG_WARN, false);
    cr_assert(log_enabled(LOG_WARN) && !log_enabled(LOG_INFO));
    (void)captured(below_the_threshold, text, sizeof text);
    cr_assert(strstr(text, "this") != NULL && strstr(text, "nor here") == NULL, "%s", text);
}

static void many_lines(void)
{
    for (int i = 0; i < 100; i++)
        log_info("again", F_INT("i", i));
    log_info("another site");
}

Test(log, limits_repeats_a_call_site)
{
    char text[65536];
    int lines = 0;

    (void)captured(many_lines, text, sizeof text);
    for (const char *at = strstr(text, "again"); at != NULL; at = strstr(at + 1, "again"))
        lines++;
    cr_assert(lines == LOG_BURST, "%d lines", lines);
    cr_assert(strstr(text, "another site") != NULL);
}

static void after_a_window(void)
{
    /* A site whose window lies far back and that held 5 lines. */
    struct log_site site = {.window_start_s = -1000, .lines = LOG_BURST, .held_back = 5};

    log_write(&site, LOG_WARN, "late", NULL, 0);
}

Test(log, tells_how_many_were_held_back)
{
    char text[4096];

    (void)captured(after_a_window, text, sizeof text);
    cr_assert(strstr(text, "held_back=5") != NULL, "%s", text);
}

static void endless_field(void)
{
    static char text[3 * LOG_MAX_LINE];

    memset(text, 'x', sizeof text - 1);
    log_error("long", F_STR("text", text));
}

Test(log, ends_a_line_that_is_too_long)
{
    static char text[4 * LOG_MAX_LINE];
    size_t len = captured(endless_field, text, sizeof text);

    cr_assert(len <= LOG_MAX_LINE + 1 && text[len - 1] == '\n');
    cr_assert(strstr(text, "long") != NULL);
}
