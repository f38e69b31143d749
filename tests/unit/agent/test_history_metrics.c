/* A history as OpenMetrics, out and in again. */
#include "agent/history_metrics.h"

#include <string.h>

#include "base/alloc.h"
#include "tests/unit/policy/random.h"
#include "tests/unit/storage/folder.h"

#define T0 INT64_C(1789999200000) /* 2026-09-21T14:00:00Z */

static const struct export_query samples = {.until_ms = RECORD_LAST_MS,
                                            .kinds = 1u << RECORD_SAMPLE | 1u << RECORD_DECISION};

static void open_file(const char *path, struct history *h)
{
    struct err err = {0};

    *h = (struct history){0};
    cr_assert(history_open(&(struct db_options){.path = path}, h, &err), "%s", err.text);
}

static char *text_of(struct history *h, const struct export_query *q)
{
    struct export_damage damage;
    struct err err = {0};
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    cr_assert(history_metrics_write(h, q, to, &damage, &err), "%s", err.text);
    (void)fclose(to);
    return text;
}

static bool take_in(struct history *h, const char *text, int64_t *skipped, struct err *err)
{
    const struct import_options options = {0};
    FILE *from = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    struct import_counts counts;
    struct record_lines lines;
    struct import *import;
    bool ok;

    record_lines_init(&lines, from, "a.om");
    cr_assert(import_begin(h, &options, &import, err), "%s", err->text);
    ok = history_metrics_read(&lines, import, skipped, err) && import_end(import, &counts, err);
    import_free(import);
    record_lines_done(&lines);
    (void)fclose(from);
    return ok;
}

static void add_decision(struct history *h, uint64_t id, int64_t t_ms, const char *reason)
{
    struct decision_entry d = {.id = id, .t_ms = t_ms, .policy = "a\"b"};
    struct err err = {0};

    (void)snprintf(d.reason, sizeof d.reason, "%s", reason);
    cr_assert(decisions_add(h->decisions, &d, &err), "%s", err.text);
}

Test(history_metrics, says_what_metrics_serve_at_the_times_of_the_samples)
{
    struct sample s = {.policy = "a\"b", .t_ms = T0 + 5, .at = {[SAMPLE_PAID] = 1500}};
    CLEANUP(free_ptr) char *text = NULL;
    struct folder f = folder_new();
    struct history h;
    struct err err = {0};

    open_file(f.file, &h);
    cr_assert(samples_add(h.samples, &s, &err));
    s.t_ms = T0 + 10000;
    s.at[SAMPLE_PAID] = SAMPLE_UNKNOWN;
    s.at[SAMPLE_STARTING] = 250;
    cr_assert(samples_add(h.samples, &s, &err));
    add_decision(&h, 1, T0 + 3, "yield");
    add_decision(&h, 2, T0 + 10000, "yield");
    text = text_of(&h, &samples);
    cr_assert_not_null(
        strstr(text, "\n# TYPE cpu_capacity_requested gauge\n"
                     "cpu_capacity_requested{policy=\"a\\\"b\"} 1.5 1789999200.005\n# HELP"),
        "%s", text);
    cr_assert_not_null(
        strstr(text, "\n# TYPE brim_filler_cores gauge\n# UNIT brim_filler_cores cores\n"
                     "brim_filler_cores{policy=\"a\\\"b\",state=\"ready\"} 0 1789999200.005\n"
                     "brim_filler_cores{policy=\"a\\\"b\",state=\"ready\"} 0 1789999210\n"
                     "brim_filler_cores{policy=\"a\\\"b\",state=\"starting\"} 0 1789999200.005\n"
                     "brim_filler_cores{policy=\"a\\\"b\",state=\"starting\"} 0.25 1789999210\n"),
        "%s", text);
    cr_assert_not_null(
        strstr(text, "\n# TYPE brim_decisions counter\n"
                     "brim_decisions_total{policy=\"a\\\"b\",reason=\"yield\"} 1 1789999200.005\n"
                     "brim_decisions_total{policy=\"a\\\"b\",reason=\"yield\"} 2 1789999210\n"
                     "# EOF\n"),
        "%s", text);
    history_close(&h);
    folder_done(&f);
}

Test(history_metrics, means_have_a_step)
{
    const struct export_query q = {.until_ms = RECORD_LAST_MS, .kinds = 1u << RECORD_HOUR};
    CLEANUP(free_ptr) char *text = NULL;
    struct folder f = folder_new();
    struct history h;
    struct err err = {0};
    int64_t skipped;
    bool more;

    open_file(f.file, &h);
    for (int i = 0; i < 3; i++) {
        struct sample s = {
            .policy = "miner", .t_ms = T0 + i * 10000, .at = {[SAMPLE_PAID] = i == 2}};

        cr_assert(samples_add(h.samples, &s, &err));
    }
    cr_assert(history_pack(&h, T0 + PACKS_HOUR_MS, &more, &err), "%s", err.text);
    text = text_of(&h, &q);
    /* 30 of 50 s at a thousandth of a core */
    cr_assert_not_null(
        strstr(text, "cpu_capacity_requested{policy=\"miner\",step=\"1h\"} 0.0006 1789999200\n"),
        "%s", text);
    cr_assert_not(take_in(&h, text, &skipped, &err));
    cr_assert_not_null(strstr(err.text, "a.om:3: found means by 1h, expected samples"), "%s",
                       err.text);
    history_close(&h);
    folder_done(&f);
}

static void fill(struct history *h, struct random *r, const char *policy)
{
    int64_t t_ms = T0 + (int64_t)(random_u64(r) % 3600000);
    struct err err = {0};

    for (int i = 0; i < 500; i++) {
        struct sample s = {.t_ms = t_ms};

        (void)snprintf(s.policy, sizeof s.policy, "%s", policy);
        for (int k = 0; k < SAMPLE_COUNT_; k++)
            s.at[k] = random_u64(r) % 9 == 0 ? SAMPLE_UNKNOWN : (int64_t)(random_u64(r) % 184001);
        cr_assert(samples_add(h->samples, &s, &err), "%s", err.text);
        t_ms += 1 + (int64_t)(random_u64(r) % 20000);
    }
}

Test(history_metrics, samples_come_out_as_they_went_in)
{
    struct random r = random_start("history_metrics/samples_come_out_as_they_went_in");
    const struct export_query q = {.until_ms = RECORD_LAST_MS, .kinds = 1u << RECORD_SAMPLE};

    for (int round = 0; round < 4; round++) {
        CLEANUP(free_ptr) char *first = NULL, *second = NULL;
        struct folder f = folder_new(), g = folder_new();
        struct history h, copy;
        struct err err = {0};
        int64_t skipped;

        open_file(f.file, &h);
        open_file(g.file, &copy);
        fill(&h, &r, "miner");
        fill(&h, &r, "b\\\"c\n");
        /* Where nobody says what is kept in holes, a guess is taken in: here all say so. */
        cr_assert(db_exec(h.db, "UPDATE sample SET kept = 7000 WHERE kept < 0", &err));
        first = text_of(&h, &q);
        cr_assert(take_in(&copy, first, &skipped, &err), "%s", err.text);
        cr_assert_eq(skipped, 0);
        second = text_of(&copy, &q);
        cr_assert_str_eq(first, second);
        history_close(&copy);
        history_close(&h);
        folder_done(&g);
        folder_done(&f);
    }
}

/* What Prometheus makes of a scrape: labels of its own, other metrics, numbers as Go writes them. */
Test(history_metrics, takes_what_prometheus_dumps)
{
    static const char dump[] =
        "cpu_capacity_requested{instance=\"a:1\",job=\"brim\",policy=\"miner\"} 1.845e+02 "
        "1.7899992e+09\n"
        "brim_build_info{version=\"1\"} 1 1789999200\n"
        "cpu_capacity_requested{job=\"brim\",policy=\"miner\",} NaN 1789999230\n"
        "brim_headroom_cores{kind=\"usual\",policy=\"miner\"} 2.5 1789999200\n"
        "cpu_capacity_reserved{policy=\"miner\"} 1 1789999200\n"
        "# EOF\n";
    struct folder f = folder_new();
    struct history h;
    struct err err = {0};
    int64_t skipped, value;

    open_file(f.file, &h);
    cr_assert(take_in(&h, dump, &skipped, &err), "%s", err.text);
    cr_assert_eq(skipped, 2);
    cr_assert(db_number(h.db, "SELECT paid FROM sample WHERE t = 1789999200000", &value, &err));
    cr_assert_eq(value, 184500);
    cr_assert(db_number(h.db, "SELECT kept FROM sample", &value, &err));
    cr_assert_eq(value, 3500);
    history_close(&h);
    folder_done(&f);
}

/* Each file is read for itself, and lines may end as Windows ends them. */
Test(history_metrics, a_history_takes_in_one_file_after_the_other)
{
    struct folder f = folder_new();
    struct history h;
    struct err err = {0};
    int64_t skipped, value;

    open_file(f.file, &h);
    cr_assert(take_in(&h, "brim_replicas{policy=\"m\"} 1 1\n# EOF\n", &skipped, &err), "%s",
              err.text);
    cr_assert(take_in(&h, "brim_replicas{policy=\"m\"} 2 2\r\n# EOF\r\n", &skipped, &err), "%s",
              err.text);
    cr_assert(db_number(h.db, "SELECT group_concat(replicas, '') FROM sample", &value, &err));
    cr_assert_eq(value, 12);
    history_close(&h);
    folder_done(&f);
}

static const struct {
    const char *name, *text, *told;
} broken[] = {
    {"cut off", "cpu_capacity_requested{policy=\"m\"} 1 2\n", "a.om:1: found the end of the file"},
    {"after the end", "# EOF\nx 1 2\n", "a.om:2: found a line after # EOF"},
    {"no value", "cpu_capacity_requested{policy=\"m\"}\n# EOF\n", "a.om:1: found cpu_capacity"},
    {"no time", "cpu_capacity_requested{policy=\"m\"} 1\n# EOF\n",
     "a.om:1: found nothing, expected the time"},
    {"a value", "cpu_capacity_requested{policy=\"m\"} one 1\n# EOF\n",
     "a.om:1: found one, expected a value"},
    {"below 0", "cpu_capacity_requested{policy=\"m\"} -1 1\n# EOF\n",
     "a.om:1: found -1, expected a value"},
    {"a number that is none", "cpu_capacity_requested{policy=\"m\"} 1-2 1\n# EOF\n",
     "a.om:1: found 1-2"},
    {"a policy that is no UTF-8", "cpu_capacity_requested{policy=\"m\xff\"} 1 1\n# EOF\n",
     "a.om:1: found no policy, expected a label policy of 1 to 255 bytes of UTF-8"},
    {"no policy", "cpu_capacity_requested 1 1\n# EOF\n", "a.om:1: found no policy"},
    {"labels", "cpu_capacity_requested{policy=\"m} 1 1\n# EOF\n", "a.om:1: found cpu_capacity"},
    {"no line", "42\n# EOF\n", "a.om:1: found 42, expected as OpenMetrics has it NAME"},
    {"two values",
     "cpu_capacity_requested{policy=\"m\"} 1 "
     "1\ncpu_capacity_requested{policy=\"m\",instance=\"b\"} 2 1\n# EOF\n",
     "a.om:2: found a second value for paid of m at 1970-01-01T00:00:01.000Z"},
};

Test(history_metrics, what_is_wrong_has_its_place_and_nothing_is_applied)
{
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        struct folder f = folder_new();
        struct history h;
        struct err err = {0};
        int64_t skipped, rows;

        open_file(f.file, &h);
        cr_assert_not(take_in(&h, broken[i].text, &skipped, &err), "%s", broken[i].name);
        cr_assert_not_null(strstr(err.text, broken[i].told), "%s: %s", broken[i].name, err.text);
        cr_assert(db_number(h.db, "SELECT count(*) FROM policy", &rows, &err));
        cr_assert_eq(rows, 0, "%s", broken[i].name);
        history_close(&h);
        folder_done(&f);
    }
}
