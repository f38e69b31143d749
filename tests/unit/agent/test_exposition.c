#include <criterion/criterion.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/serve/exposition.h"
#include "tests/unit/agent/sample_snapshot.h"

static const struct process_figures process = {.started = {.us = INT64_C(1789996400250000)},
                                               .has_resident = true,
                                               .has_cpu = true,
                                               .resident_bytes = 4096000,
                                               .cpu_us = 1230000};

static struct strbuf page_of(enum exposition_format format, const struct snapshot *s)
{
    struct strbuf out;

    strbuf_init(&out, 1 << 20);
    exposition_write(format, s, &process, SAMPLE_NOW, &out);
    cr_assert(!out.full);
    return out;
}

static bool has_line(const struct strbuf *page, const char *line)
{
    size_t len = strlen(line);

    for (const char *at = strbuf_str(page); (at = strstr(at, line)) != NULL; at++) {
        if ((at == page->at || at[-1] == '\n') && at[len] == '\n')
            return true;
    }
    return false;
}

static bool name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || c == '_' || (!first && c >= '0' && c <= '9');
}

/* A sample's name, its labels in quotes with escapes only where they may stand, one blank, a plain
 * decimal number. */
static void check_sample(struct sv line, struct sv family, const char *type)
{
    static const char *const suffixes[] = {"", "_total", "_info", "_bucket", "_sum", "_count"};
    size_t i = 0;
    bool known = false, dot = false;
    struct sv name;

    while (i < line.len && name_char(line.at[i], i == 0))
        i++;
    name = (struct sv){.at = line.at, .len = i};
    for (size_t k = 0; k < COUNT_OF(suffixes); k++) {
        struct sv suffix = sv_from(suffixes[k]);

        known |= sv_starts(name, family) && sv_eq(sv_skip(name, family.len), suffix);
    }
    cr_assert(known, "sample %.*s stands in family %.*s (%s)", SV_ARG(line), SV_ARG(family), type);
    if (line.at[i] == '{') {
        do {
            i++;
            cr_assert(name_char(line.at[i], true), "%.*s", SV_ARG(line));
            while (name_char(line.at[i], false))
                i++;
            cr_assert(line.at[i] == '=' && line.at[i + 1] == '"', "%.*s", SV_ARG(line));
            for (i += 2; line.at[i] != '"'; i++) {
                if (line.at[i] == '\\') {
                    i++;
                    cr_assert(strchr("\\\"n", line.at[i]) != NULL, "%.*s", SV_ARG(line));
                }
                cr_assert_lt(i, line.len);
            }
            i++;
        } while (line.at[i] == ',');
        cr_assert_eq(line.at[i++], '}', "%.*s", SV_ARG(line));
    }
    cr_assert_eq(line.at[i++], ' ', "%.*s", SV_ARG(line));
    cr_assert_lt(i, line.len, "%.*s: no value", SV_ARG(line));
    for (; i < line.len; i++) {
        cr_assert((line.at[i] >= '0' && line.at[i] <= '9') || (line.at[i] == '.' && !dot), "%.*s",
                  SV_ARG(line));
        dot |= line.at[i] == '.';
    }
}

/* HELP before TYPE before samples, each family once and in one piece. */
static void check_rules(enum exposition_format format, const struct strbuf *page)
{
    struct sv rest = strbuf_sv(page), line, piece, family = {0}, seen[100];
    const char *type = "";
    size_t families = 0, samples = 0;
    bool eof = false;

    cr_assert(page->len != 0 && page->at[page->len - 1] == '\n');
    while (sv_next(&rest, '\n', &line)) {
        cr_assert(!eof, "text after EOF");
        if (sv_eq(line, SV("# EOF"))) {
            eof = true;
        } else if (sv_starts(line, SV("# HELP "))) {
            cr_assert(families == 0 || samples != 0, "family %.*s has no sample", SV_ARG(family));
            line = sv_skip(line, 7);
            cr_assert(sv_next(&line, ' ', &family));
            for (size_t i = 0; i < families; i++)
                cr_assert(!sv_eq(seen[i], family), "family %.*s stands there twice",
                          SV_ARG(family));
            seen[families++] = family;
            samples = 0;
            type = "";
        } else if (sv_starts(line, SV("# TYPE "))) {
            line = sv_skip(line, 7);
            cr_assert(sv_next(&line, ' ', &piece) && sv_eq(piece, family));
            type = line.at;
            if (format == EXPOSITION_TEXT)
                cr_assert(sv_eq(line, SV("counter")) == sv_ends(family, SV("_total")), "%.*s",
                          SV_ARG(family));
            else
                cr_assert(!sv_ends(family, SV("_total")) && !sv_ends(family, SV("_info")), "%.*s",
                          SV_ARG(family));
        } else if (sv_starts(line, SV("# UNIT "))) {
            cr_assert_eq(format, EXPOSITION_OPENMETRICS);
            line = sv_skip(line, 7);
            cr_assert(sv_next(&line, ' ', &piece) && sv_eq(piece, family) && sv_ends(family, line));
        } else {
            cr_assert(type[0] != '\0', "a sample without type: %.*s", SV_ARG(line));
            check_sample(line, family, type);
            samples++;
        }
    }
    cr_assert_eq(eof, format == EXPOSITION_OPENMETRICS);
    cr_assert_gt(families, 2);
}

Test(exposition, writes_every_figure_of_a_known_filler)
{
    static const char *const lines[] = {
        "# TYPE cpu_capacity_remaining gauge",
        "cpu_capacity_remaining{policy=\"miner\"} 171.25",
        "cpu_capacity_allocatable{policy=\"miner\"} 184",
        "cpu_capacity_requested{policy=\"miner\"} 8.5",
        "cpu_capacity_pending{policy=\"miner\"} 4",
        "cpu_capacity_reserved{policy=\"miner\"} 0.25",
        "brim_headroom_cores{policy=\"miner\",kind=\"surge\"} 30",
        "brim_headroom_need_cores{policy=\"miner\"} 41.5",
        "brim_headroom_capped{policy=\"miner\"} 1",
        "brim_kept_cores{policy=\"miner\"} 32",
        "brim_hole_replicas{policy=\"miner\"} 4",
        "brim_settle_seconds{policy=\"miner\"} 22.6",
        "brim_fit_replicas{policy=\"miner\"} 171",
        "brim_desired_replicas{policy=\"miner\"} 139",
        "brim_replicas{policy=\"miner\"} 130",
        "brim_scale_ratio{policy=\"miner\"} 1.158333333",
        "brim_filler_cores{policy=\"miner\",state=\"ready\"} 120",
        "brim_filler_cores{policy=\"miner\",state=\"leaving\"} 2",
        "brim_filler_pods{policy=\"miner\",state=\"unschedulable\"} 1",
        "brim_filler_pods{policy=\"miner\",state=\"gated\"} 6",
        "brim_filler_pods{policy=\"miner\",state=\"admitted\"} 4",
        "brim_admissions_total{policy=\"miner\"} 90",
        "brim_admissions_refused_total{policy=\"miner\"} 2",
        "brim_placement_errors_total{policy=\"miner\"} 1",
        "brim_paused{policy=\"miner\",direction=\"up\"} 1",
        "brim_paused{policy=\"miner\",direction=\"down\"} 0",
        "brim_decisions_total{policy=\"miner\",reason=\"harvest\"} 7",
        "brim_decisions_total{policy=\"a\\\"b\\\\c\\nd\",reason=\"yield\"} 0",
        "brim_scale_errors_total{policy=\"miner\"} 3",
        "brim_yield_latency_seconds_bucket{policy=\"miner\",le=\"0.001\"} 4",
        "brim_yield_latency_seconds_bucket{policy=\"miner\",le=\"1\"} 5",
        "brim_yield_latency_seconds_bucket{policy=\"miner\",le=\"+Inf\"} 7",
        "brim_yield_latency_seconds_sum{policy=\"miner\"} 30.0015",
        "brim_yield_latency_seconds_count{policy=\"miner\"} 7",
        "brim_paid_pods_total 40",
        "brim_paid_pods_blocked_total 1",
        "brim_paid_pods_waiting 2",
        "brim_nodes 6",
        "brim_watch_staleness_seconds{kind=\"pods\"} 1.5",
        "brim_watch_staleness_seconds{kind=\"waiting\"} 40",
        "brim_watch_relists_total{kind=\"pods\"} 2",
        "brim_watch_errors_total{kind=\"nodes\"} 9",
        "brim_build_info{version=\"" BRIM_VERSION "\"} 1",
        "process_start_time_seconds 1789996400.25",
        "process_resident_memory_bytes 4096000",
        "process_cpu_seconds_total 1.23",
    };
    struct snapshot *s = sample_snapshot();
    struct strbuf page = page_of(EXPOSITION_TEXT, s);

    check_rules(EXPOSITION_TEXT, &page);
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        cr_expect(has_line(&page, lines[i]), "missing: %s\n%s", lines[i], strbuf_str(&page));
    strbuf_done(&page);
    snapshot_unref(s);
}

Test(exposition, a_filler_whose_count_is_held_has_room_but_no_fit)
{
    struct snapshot *s = sample_snapshot();
    struct strbuf page;

    s->fillers[0].reason = REASON_UNKNOWN;
    page = page_of(EXPOSITION_TEXT, s);
    check_rules(EXPOSITION_TEXT, &page);
    cr_expect(has_line(&page, "cpu_capacity_remaining{policy=\"miner\"} 171.25"));
    cr_expect(has_line(&page, "brim_replicas{policy=\"miner\"} 130"));
    cr_expect_null(strstr(strbuf_str(&page), "brim_fit_replicas{"));
    strbuf_done(&page);
    snapshot_unref(s);
}

Test(exposition, names_families_of_openmetrics_without_suffix_and_ends_the_page)
{
    static const char *const lines[] = {
        "# TYPE brim_decisions counter",
        "brim_decisions_total{policy=\"miner\",reason=\"harvest\"} 7",
        "# UNIT brim_headroom_cores cores",
        "# TYPE brim_build info",
        "# TYPE process_cpu_seconds counter",
        "# UNIT process_cpu_seconds seconds",
        "brim_yield_latency_seconds_bucket{policy=\"miner\",le=\"1.0\"} 5",
        "brim_yield_latency_seconds_bucket{policy=\"miner\",le=\"0.25\"} 4",
    };
    struct snapshot *s = sample_snapshot();
    struct strbuf page = page_of(EXPOSITION_OPENMETRICS, s);

    check_rules(EXPOSITION_OPENMETRICS, &page);
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        cr_expect(has_line(&page, lines[i]), "missing: %s\n%s", lines[i], strbuf_str(&page));
    cr_expect_null(strstr(strbuf_str(&page), "UNIT cpu_capacity"));
    strbuf_done(&page);
    snapshot_unref(s);
}

Test(exposition, shows_nothing_of_what_is_not_known)
{
    struct snapshot *s = sample_snapshot();
    struct strbuf page = page_of(EXPOSITION_TEXT, s);

    cr_expect_null(strstr(strbuf_str(&page), "cpu_capacity_remaining{policy=\"a"));
    cr_expect_null(strstr(strbuf_str(&page), "brim_replicas{policy=\"a"));
    cr_expect_null(strstr(strbuf_str(&page), "staleness_seconds{kind=\"nodes"));
    strbuf_done(&page);

    s->fillers[0].ready = 0;
    page = page_of(EXPOSITION_TEXT, s);
    cr_expect_null(strstr(strbuf_str(&page), "brim_scale_ratio"),
                   "a ratio to nothing, or a family without sample");
    strbuf_done(&page);

    s->ready = false;
    page = page_of(EXPOSITION_TEXT, s);
    check_rules(EXPOSITION_TEXT, &page);
    cr_expect_null(strstr(strbuf_str(&page), "brim_nodes"));
    cr_expect_null(strstr(strbuf_str(&page), "brim_paid_pods"));
    cr_expect_null(strstr(strbuf_str(&page), "brim_filler_pods"));
    strbuf_done(&page);
    snapshot_unref(s);

    page = page_of(EXPOSITION_OPENMETRICS, NULL);
    check_rules(EXPOSITION_OPENMETRICS, &page);
    cr_expect_null(strstr(strbuf_str(&page), "policy="));
    cr_expect(strstr(strbuf_str(&page), "brim_build_info") != NULL);
    strbuf_done(&page);
}

Test(exposition, never_shows_a_negative_number)
{
    struct snapshot *s = sample_snapshot();
    struct strbuf page;

    s->fillers[0].remaining_milli = -1500;
    s->fillers[0].yield_latency.sum_us = INT64_MIN;
    s->watches[0].heard = (struct mono){.us = SAMPLE_NOW.us + 5};
    page = page_of(EXPOSITION_TEXT, s);
    check_rules(EXPOSITION_TEXT, &page);
    cr_expect(has_line(&page, "cpu_capacity_remaining{policy=\"miner\"} 0"));
    cr_expect(has_line(&page, "brim_watch_staleness_seconds{kind=\"pods\"} 0"));
    strbuf_done(&page);
    snapshot_unref(s);
}

Test(exposition, cuts_the_ratio_so_that_an_autoscaler_never_rounds_up)
{
    struct snapshot *s = sample_snapshot();
    struct strbuf page;

    s->fillers[0].desired = 2;
    s->fillers[0].ready = 3;
    page = page_of(EXPOSITION_TEXT, s);
    cr_expect(has_line(&page, "brim_scale_ratio{policy=\"miner\"} 0.666666666"));
    strbuf_done(&page);
    s->fillers[0].desired = INT64_MAX;
    s->fillers[0].ready = 1;
    page = page_of(EXPOSITION_TEXT, s);
    check_rules(EXPOSITION_TEXT, &page);
    strbuf_done(&page);
    snapshot_unref(s);
}

Test(exposition, survives_any_limit_of_its_buffer)
{
    struct snapshot *s = sample_snapshot();

    for (size_t max = 0; max < 4096; max += 7) {
        struct strbuf out;

        strbuf_init(&out, max);
        exposition_write(EXPOSITION_TEXT, s, &process, SAMPLE_NOW, &out);
        cr_assert(out.full && out.len <= max);
        strbuf_done(&out);
    }
    snapshot_unref(s);
}

Test(exposition, stays_within_its_budget_of_bytes)
{
    struct snapshot *s = snapshot_new(8);
    struct strbuf page;

    s->ready = true;
    for (size_t i = 0; i < s->n_fillers; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "policy-%zu", i);
        sample_filler(&s->fillers[i], name);
    }
    page = page_of(EXPOSITION_TEXT, s);
    cr_expect_lt(page.len, 64 << 10, "%zu bytes", page.len);
    strbuf_done(&page);
    snapshot_unref(s);
}

Test(exposition, picks_the_format_that_the_client_prefers)
{
    static const struct {
        const char *accept;
        enum exposition_format want;
    } rows[] = {
        {"", EXPOSITION_TEXT},
        {"*/*", EXPOSITION_TEXT},
        {"text/plain", EXPOSITION_TEXT},
        {"application/openmetrics-text", EXPOSITION_OPENMETRICS},
        {"Application/OpenMetrics-Text; Version=1.0.0", EXPOSITION_OPENMETRICS},
        {"application/openmetrics-text; version=\"1.0.0\"", EXPOSITION_OPENMETRICS},
        {"application/openmetrics-text; version=2.0.0", EXPOSITION_TEXT},
        {"application/openmetrics-text;q=0", EXPOSITION_TEXT},
        {"application/openmetrics-text;q=0.3,text/plain;q=0.5", EXPOSITION_TEXT},
        {"application/openmetrics-text;q=0.5,text/plain;q=0.5", EXPOSITION_OPENMETRICS},
        {"application/openmetrics-text;q=0.5,*/*;q=0.6", EXPOSITION_TEXT},
        {"application/openmetrics-text;q=0.5,text/plain;q=0.1,*/*;q=0.9", EXPOSITION_OPENMETRICS},
        {"application/openmetrics-text;q=0.5,text/*;q=0.6,*/*;q=0.1", EXPOSITION_TEXT},
        {"application/openmetrics-text;version=1.0.0;q=0.5,application/"
         "openmetrics-text;version=0.0.1;q=0.4,"
         "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
         EXPOSITION_OPENMETRICS},
        {"application/openmetrics-text;q=1.5", EXPOSITION_TEXT},
        {"application/openmetrics-text;q=", EXPOSITION_TEXT},
        {"application/openmetrics-text;q=0.1234", EXPOSITION_TEXT},
        {"application/openmetrics-text;q=-1", EXPOSITION_TEXT},
        {"application/openmetrics-text;q=1.001", EXPOSITION_TEXT},
        {";;;,,,;q=1,=", EXPOSITION_TEXT},
        {"text/html", EXPOSITION_TEXT},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        cr_expect_eq(exposition_negotiate(sv_from(rows[i].accept)), rows[i].want, "%s",
                     rows[i].accept);
}

Test(exposition, does_not_depend_on_the_locale)
{
    struct snapshot *s = sample_snapshot();
    struct strbuf page;

    (void)setlocale(LC_ALL, "de_DE.UTF-8"); /* where it is installed, its decimal mark is a comma */
    page = page_of(EXPOSITION_TEXT, s);
    check_rules(EXPOSITION_TEXT, &page);
    strbuf_done(&page);
    snapshot_unref(s);
}

Test(exposition, agrees_with_the_document)
{
    struct strbuf want;
    size_t len;
    char *have;
    FILE *f = fopen(BRIM_SOURCE_ROOT "/docs/METRICS.md", "rb");

    cr_assert(f != NULL, "docs/METRICS.md cannot be read");
    strbuf_init(&want, 1 << 20);
    exposition_document(&want);
    have = malloc(1 << 20);
    len = fread(have, 1, 1 << 20, f);
    (void)fclose(f);
    cr_assert(sv_eq(strbuf_sv(&want), (struct sv){.at = have, .len = len}),
              "run: ninja metrics-doc");
    for (size_t i = 0; exposition_metric_name(i) != NULL; i++)
        cr_assert(strstr(strbuf_str(&want), exposition_metric_name(i)) != NULL);
    free(have);
    strbuf_done(&want);
}
