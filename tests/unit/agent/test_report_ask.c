#include "agent/report_ask.h"

#include "storage/policies.h"
#include "storage/report_text.h"
#include "tests/unit/storage/reported.h"

#define T0 INT64_C(1789999200000) /* 2026-09-21T14:00:00Z */

static struct zone *berlin(void)
{
    struct zone_source zones = zone_files(TEST_DATA "/zones");
    struct zone *z = NULL;
    struct err err = {0};

    cr_assert(zones.load(zones.self, SV("Europe/Berlin"), &z, &err), "%s", err.text);
    return z;
}

Test(report_ask, reads_times)
{
    static const struct {
        const char *text;
        int64_t utc_ms, berlin_ms, span_ms; /* both 0 and no span: refused */
    } rows[] = {
        {"2026-10-01", 1790812800000, 1790805600000, 0},
        {"2026-10-01T08:00", 1790841600000, 1790834400000, 0},
        {"2026-10-01T08:00:30", 1790841630000, 1790834430000, 0},
        {"2026-10-01T08:00:00Z", 1790841600000, 1790841600000, 0},
        {"2026-10-01T08:00:00+02:00", 1790834400000, 1790834400000, 0},
        {"2026-12-01", 1796083200000, 1796079600000, 0},
        {"2026-03-29T02:30", 1774751400000, 1774746000000,
         0}, /* skipped: when the clock is changed */
        {"7d", 0, 0, 7 * DAY},
        {"2w", 0, 0, 14 * DAY},
        {"12h", 0, 0, 12 * HOUR},
        {"1h30m", 0, 0, 5400000},
        {"0d", 0, 0, 0},
        {"-7d", 0, 0, 0},
        {"d", 0, 0, 0},
        {"7 d", 0, 0, 0},
        {"yesterday", 0, 0, 0},
        {"2026-13-01", 0, 0, 0},
        {"2026-02-29", 0, 0, 0},
        {"2026-10-01T25:00", 0, 0, 0},
        {"99999999999999999999d", 0, 0, 0},
    };
    struct zone *z = berlin();

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        bool fine = rows[i].utc_ms != 0 || rows[i].span_ms != 0;
        struct err err = {0};
        int64_t ms, span_ms;

        cr_expect_eq(report_time(sv_from(rows[i].text), NULL, &ms, &span_ms, &err), fine, "%s",
                     rows[i].text);
        cr_expect(!fine || (ms == rows[i].utc_ms && span_ms == rows[i].span_ms), "%s: %lld",
                  rows[i].text, (long long)ms);
        if (!fine)
            continue;
        cr_expect(report_time(sv_from(rows[i].text), z, &ms, &span_ms, &err));
        cr_expect_eq(ms, rows[i].berlin_ms, "%s in Berlin: %lld", rows[i].text, (long long)ms);
    }
    zone_free(z);
}

Test(report_ask, reads_prices)
{
    static const struct {
        const char *text, *currency;
        int64_t micro; /* -1: refused */
    } rows[] = {
        {"0.03", "", 30000}, {"0.03 EUR", "EUR", 30000},
        {"2", "", 2000000},  {"0.035 ct", "ct", 35000},
        {"EUR 3", "", -1},   {"-1", "", -1},
        {"", "", -1},        {"0.03 moneymoneymoneymoney", "", -1},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct report_terms terms = {0};
        struct err err = {0};
        bool ok = report_price(sv_from(rows[i].text), &terms, &err);

        cr_expect_eq(ok, rows[i].micro >= 0, "%s", rows[i].text);
        cr_expect(!ok || (terms.price_micro == rows[i].micro &&
                          strcmp(terms.currency, rows[i].currency) == 0),
                  "%s", rows[i].text);
    }
}

static const char policy[] =
    "apiVersion: brim.dev/v1\nkind: FillerPolicy\nmetadata: {name: miner}\nspec:\n"
    "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}\n"
    "  replicas: {max: 20}\n  headroom: {blocked: 2%}\n  report: {target: 90%, price: 0.5}\n";

static void keep_policy(struct reported *d)
{
    const struct policies_text text = {.name = SV("miner.yaml"), .text = sv_from(policy)};
    const struct decision_entry decision = {
        .id = 1, .t_ms = T0, .policy = "miner", .reason = "hold", .at = {[DECISION_SLOT] = 2000}};
    struct err err = {0};

    cr_assert(policies_save(d->history.db, &text, 1, T0, &err), "%s", err.text);
    cr_assert(decisions_add(d->history.decisions, &decision, &err), "%s", err.text);
}

/* What is held against comes from the policy that the history keeps; flags go first. */
Test(report_ask, takes_terms_from_the_policy)
{
    struct report_answer a = {0};
    struct reported d;
    struct err err = {0};
    struct report_ask ask;

    reported_open(&d);
    reported_fill(&d, "miner", T0, T0 + 2 * HOUR, 40000);
    ask = (struct report_ask){.db = d.folder.file, .since = SV("1h")};
    cr_assert(report_ask(&ask, &a, &err), "%s", err.text);
    cr_expect_eq(a.now.query.terms.target_ppm, 0);
    report_answer_done(&a);

    keep_policy(&d);
    cr_assert(report_ask(&ask, &a, &err), "%s", err.text);
    cr_expect_eq(a.now.query.terms.target_ppm, 900000);
    cr_expect_eq(a.now.query.terms.price_micro, 500000);
    cr_expect_eq(a.now.query.terms.blocked_ppm, 20000);
    cr_expect_eq(a.now.query.terms.filler_max_milli, 40000);
    cr_expect_eq(a.now.query.until_ms - a.now.query.since_ms, HOUR);
    cr_expect_null(a.story.before);
    cr_expect_null(a.story.advice);
    report_answer_done(&a);

    ask.target = SV("70%");
    ask.price = SV("0.25 USD");
    ask.advice = true;
    cr_assert(report_ask(&ask, &a, &err), "%s", err.text);
    cr_expect_eq(a.now.query.terms.target_ppm, 700000);
    cr_expect_str_eq(a.now.query.terms.currency, "USD");
    cr_expect(a.story.advice != NULL && !a.advice.made && a.advice.why_not[0] != '\0');
    report_answer_done(&a);
    reported_done(&d);
}

Test(report_ask, compares_with_another_period)
{
    static const struct {
        const char *compare;
        int64_t since_ms, until_ms; /* 0: refused */
    } rows[] = {
        {"previous", T0, T0 + HOUR},
        {"2026-09-21T14:30", T0 + HOUR / 2, T0 + HOUR * 3 / 2},
        {"2026-09-21T14:00..2026-09-21T14:10", T0, T0 + HOUR / 6},
        {"30m..10m", T0 + HOUR / 2, T0 + HOUR * 5 / 6},
        {"2026-09-21T15:00..2026-09-21T14:10", 0, 0},
        {"never", 0, 0},
    };
    struct reported d;

    reported_open(&d);
    reported_fill(&d, "miner", T0, T0 + 2 * HOUR, 40000);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct report_ask ask = {.db = d.folder.file,
                                       .since = SV("2026-09-21T15:00"),
                                       .until = SV("2026-09-21T16:00"),
                                       .compare = sv_from(rows[i].compare)};
        struct report_answer a = {0};
        struct err err = {0};
        bool ok = report_ask(&ask, &a, &err);

        cr_expect_eq(ok, rows[i].until_ms != 0, "%s: %s", rows[i].compare, err.text);
        cr_expect(!ok || (a.before.query.since_ms == rows[i].since_ms &&
                          a.before.query.until_ms == rows[i].until_ms),
                  "%s", rows[i].compare);
        report_answer_done(&a);
    }
    reported_done(&d);
}

Test(report_ask, refuses_what_it_does_not_understand)
{
    static const struct report_ask rows[] = {
        {.by = SV("decade")},        {.since = SV("x")},
        {.until = SV("x")},          {.zone = SV("../etc")},
        {.zone = SV("Mars/Crater")}, {.target = SV("110%")},
        {.price = SV("much")},       {.compare = SV("x")},
        {.policy = SV("nobody")},    {.policy_file = "/nonexistent"},
    };
    struct reported d;

    reported_open(&d);
    reported_fill(&d, "miner", T0, T0 + HOUR, 40000);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct report_ask ask = rows[i];
        struct report_answer a = {0};
        struct err err = {0};

        ask.db = d.folder.file;
        cr_expect_not(report_ask(&ask, &a, &err), "row %zu", i);
        cr_expect(err.text[0] != '\0');
        report_answer_done(&a);
    }
    reported_done(&d);
}
