/*
 * Answers of a Prometheus that scraped agents, as a report of an hour, which the input may want in one of its forms: to write it in all
 * of them takes longer than all else.
 */
#include <cjson/cJSON.h>
#include <stdlib.h>

#include "agent/prom/scrapes.h"
#include "storage/report_page.h"
#include "storage/report_text.h"
#include "tests/fuzz/fuzz.h"

#define SINCE_MS (INT64_C(1700000000) * 1000)
#define HOUR_MS  (INT64_C(3600) * 1000)
#define STEP_MS  INT64_C(60000)

/* Bits of the first byte; above them stands the form: 0 for none, FORMS and one of enum report_format, or PAGE. */
enum { IN_STEPS = 1, WITHOUT_LABEL = 2, BY_MINUTE = 4, FORM_SHIFT = 3 };
enum { FORMS = 1, JSON = FORMS + REPORT_JSON, PAGE };

struct asked {
    struct sv answers;
    unsigned how;
};

static bool span(void *self UNUSED, int64_t *ret_first_ms, int64_t *ret_until_ms,
                 struct err *err UNUSED)
{
    *ret_first_ms = SINCE_MS;
    *ret_until_ms = SINCE_MS + HOUR_MS;
    return true;
}

static bool policies(void *self UNUSED, const struct report_query *q UNUSED,
                     void (*each)(void *to, struct sv name), void *to, struct err *err UNUSED)
{
    each(to, SV("miner"));
    return true;
}

static bool take(void *self, const struct promread_series *series, struct err *err)
{
    return scrapes_take(self, series, err);
}

/* As a command does it: what an answer gave that broke off is dropped. */
static void read_answer(struct scrapes *s, struct sv text)
{
    struct err err = {0};
    struct promread r;

    promread_init(&r, take, s);
    if (!promread_push(&r, text, &err) || !promread_end(&r, &err))
        scrapes_drop(s);
    promread_done(&r);
}

/* Answers are ended by a NUL each, those of a window by another one. */
static bool gather(void *self, struct report *r, struct err *err UNUSED)
{
    const struct asked *asked = self;
    struct scrapes *s =
        scrapes_new(r, (asked->how & WITHOUT_LABEL) != 0 ? (struct sv){0} : SV("cluster"),
                    (asked->how & IN_STEPS) != 0 ? STEP_MS : 0);
    struct sv rest = asked->answers, answer;
    int64_t until_ms = SINCE_MS;

    while (sv_next(&rest, '\0', &answer)) {
        if (answer.len != 0) {
            read_answer(s, answer);
            continue;
        }
        until_ms += HOUR_MS / 4;
        scrapes_window(s, until_ms);
    }
    scrapes_window(s, SINCE_MS + HOUR_MS);
    scrapes_end(s);
    scrapes_free(s);
    return true;
}

/* The parts add up to the whole, and no time is told twice. */
static void check_row(const struct report_row *row)
{
    int64_t sum = 0;

    for (int k = REPORT_PAID; k < REPORT_PART_COUNT_; k++) {
        if (row->part[k] < 0 || __builtin_add_overflow(sum, row->part[k], &sum))
            fuzz_fail("a part is none");
    }
    if (row->part[REPORT_OFFERED] != INT64_MAX && sum != row->part[REPORT_OFFERED])
        fuzz_fail("the parts do not add up");
    if (row->covered_ms < 0 || row->covered_ms > row->span_ms)
        fuzz_fail("more was recorded than there was");
    if (row->yields < 0 || row->harvests < 0 || row->pods < 0 || row->blocked < 0)
        fuzz_fail("less than nothing was counted");
}

static void check_json(const char *text)
{
    cJSON *json = cJSON_ParseWithOpts(text, NULL, true);

    if (json == NULL)
        fuzz_fail("the report is no JSON");
    cJSON_Delete(json);
}

static void print(const struct report *r, unsigned form)
{
    const struct report_story story = {.now = r};
    struct strbuf text;

    strbuf_init(&text, REPORT_MAX_TEXT);
    if (form == PAGE)
        report_page(&story, &text);
    else if (form >= FORMS && form < PAGE)
        report_print(&story, (enum report_format)(form - FORMS), &text);
    if (form == JSON)
        check_json(strbuf_str(&text));
    strbuf_done(&text);
}

static void check(const struct report *r)
{
    check_row(&r->total);
    for (size_t i = 0; i < r->n_rows; i++)
        check_row(&r->rows[i]);
    for (size_t i = 0; i < r->n_clusters; i++)
        check_row(&r->clusters[i].total);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct asked asked = {.answers = sv_skip((struct sv){.at = (const char *)data, .len = size}, 1),
                          .how = size != 0 ? data[0] : 0};
    const struct report_source source = {&asked, "scrapes", span, policies, gather};
    const struct report_query query = {.since_ms = SINCE_MS,
                                       .until_ms = SINCE_MS + HOUR_MS,
                                       .by = (asked.how & BY_MINUTE) != 0 ? REPORT_MINUTE
                                                                          : REPORT_HOUR};
    struct report r;
    struct err err = {0};

    if (report_make_from(&source, &query, &r, &err)) {
        check(&r);
        print(&r, asked.how >> FORM_SHIFT);
        report_done(&r);
    } else if (err.kind == ERR_NONE || err.text[0] == '\0') {
        abort();
    }
    return 0;
}
