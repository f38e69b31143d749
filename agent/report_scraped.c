#include "agent/report_scraped.h"

#include <stdio.h>
#include <string.h>

#include "agent/prom/matchers.h"
#include "agent/prom/scrapes.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/num.h"

#define MINUTE_MS INT64_C(60000)
#define DAY_MS    (24 * 60 * MINUTE_MS)

enum { MAX_POLICIES = 1000 };

struct report_scraped {
    const struct report_scraped_options *options;
    struct prom prom;
    struct prom_asked asked;
    int64_t now_ms;
    char *names[MAX_POLICIES]; /* of policies, of all periods asked for */
    size_t n_names;
};

/* ---- options ---- */

static const char *label_of(const struct report_scraped *s)
{
    return s->options->label != NULL ? s->options->label : "cluster";
}

/* [a-zA-Z_][a-zA-Z0-9_]*: it becomes a part of questions. */
static bool is_label(struct sv name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];

        if (c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') &&
            (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return name.len != 0 && name.len < REPORT_LABEL_SIZE;
}

bool report_scraped_open(const struct report_scraped_options *options,
                         struct report_scraped **ret_scraped, struct err *err)
{
    struct report_scraped *s = xcalloc(1, sizeof *s);
    const struct clock clock = clock_system();

    s->options = options;
    s->now_ms = clock.wall(clock.self).us / US_PER_MS;
    if (!is_label(sv_from(label_of(s)))) {
        (void)err_set(err, ERR_INPUT, 0, "--by-label: found '%s', expected a label's name",
                      label_of(s));
    } else if (options->match != NULL && !matchers_check(sv_from(options->match), err)) {
        (void)err_wrap(err, "--match");
    } else if (prom_open(&s->prom, &options->prom, err)) {
        *ret_scraped = s;
        return true;
    }
    free(s);
    return false;
}

void report_scraped_close(struct report_scraped *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n_names; i++)
        free(s->names[i]);
    prom_close(&s->prom);
    free(s);
}

/* ---- questions ---- */

/* Further matchers, with a comma in front of each. */
static void put_matchers(const struct report_scraped *s, struct strbuf *out)
{
    const struct report_scraped_options *o = s->options;

    if (o->match != NULL && o->match[0] != '\0')
        (void)strbuf_addf(out, ",%s", o->match);
    if (o->n_clusters == 0)
        return;
    (void)strbuf_addf(out, ",%s=~\"", label_of(s));
    for (size_t i = 0; i < o->n_clusters; i++) {
        (void)strbuf_add(out, i != 0 ? SV("|") : SV(""));
        prom_put_literal(out, sv_from(o->clusters[i]));
    }
    (void)strbuf_add_char(out, '"');
}

/* The series of the policy and those of whole agents, which have no such label. */
static void put_selector(const struct report_scraped *s, const char *policy, int64_t span_ms,
                         struct strbuf *out)
{
    (void)strbuf_add(out, SV("{__name__=~\"" SCRAPES_METRICS "\",policy=~\"|"));
    prom_put_literal(out, sv_from(policy));
    (void)strbuf_add_char(out, '"');
    put_matchers(s, out);
    (void)strbuf_addf(out, "}[%lldms]", (long long)span_ms);
}

static bool ask(struct report_scraped *s, struct strbuf *text, struct prom_query *query,
                promread_fn *each, void *self, struct err *err)
{
    if (text->full)
        return err_set(err, ERR_LIMIT, 0, "--match, --cluster: found more than %d bytes",
                       PROM_MAX_QUERY / 4);
    query->text = strbuf_str(text);
    return prom_ask_patiently(&s->prom, query, each, self, &s->asked, err);
}

/* ---- what there is ---- */

static bool span(void *self, int64_t *ret_first_ms, int64_t *ret_until_ms, struct err *err UNUSED)
{
    const struct report_scraped *s = self;

    *ret_first_ms = s->now_ms - REPORT_SCRAPED_SINCE_MS;
    *ret_until_ms = s->now_ms;
    return true;
}

static bool on_policy(void *self, const struct promread_series *series, struct err *err UNUSED)
{
    struct report_scraped *s = self;
    struct sv name = promread_label(series, "policy");

    for (size_t i = 0; i < s->n_names; i++) {
        if (sv_eq(sv_from(s->names[i]), name))
            return true;
    }
    if (name.len != 0 && s->n_names < MAX_POLICIES)
        s->names[s->n_names++] = sv_dup(name);
    return true;
}

#define TOLD "cpu_capacity_allocatable{policy!=\"\""

/* Names of policies that were scraped in begin <= t < end, and a step after it. */
static bool ask_names(struct report_scraped *s, int64_t begin_ms, int64_t end_ms, int64_t step_ms,
                      struct err *err)
{
    struct prom_query query = {
        .begin_ms = begin_ms + step_ms, .end_ms = end_ms + step_ms, .step_ms = step_ms};
    struct strbuf text;
    bool ok;

    strbuf_init(&text, PROM_MAX_QUERY);
    (void)strbuf_add(&text, SV("count by(policy)(last_over_time(" TOLD));
    put_matchers(s, &text);
    (void)strbuf_addf(&text, "}[%lldms]))", (long long)step_ms);
    ok = ask(s, &text, &query, on_policy, s, err);
    strbuf_done(&text);
    return ok;
}

/* Of the whole time at once, unless that is too much for the server. */
static bool ask_policies(struct report_scraped *s, const struct report_query *q, struct err *err)
{
    int64_t window_ms = q->until_ms - q->since_ms, end_ms;
    int64_t step_ms = max_i64(5 * MINUTE_MS, window_ms / (PROM_MAX_POINTS / 2) + 1);
    struct err own = {0};

    for (int64_t at = q->since_ms; at < q->until_ms; at = end_ms) {
        end_ms = min_i64(at + window_ms, q->until_ms);
        if (ask_names(s, at, end_ms, step_ms, &own))
            continue;
        if (!prom_halve(&own, end_ms - at, max_i64(step_ms, REPORT_SCRAPED_MIN_WINDOW_MS),
                        &window_ms))
            return prom_name_window(at, end_ms, &own, err);
        end_ms = at;
    }
    return true;
}

static bool nothing_told(const struct report_scraped *s, const struct report_query *q,
                         struct err *err)
{
    struct err own = {0};
    struct strbuf matchers;

    strbuf_init(&matchers, PROM_MAX_QUERY);
    put_matchers(s, &matchers);
    (void)err_set(&own, ERR_NOT_FOUND, 0,
                  "%s: nothing of brim was scraped: found no " TOLD "%s}%s%s", s->options->prom.url,
                  strbuf_str(&matchers), s->asked.partial != 0 ? "; it warns: " : "",
                  s->asked.warning);
    strbuf_done(&matchers);
    return prom_name_window(q->since_ms, q->until_ms, &own, err);
}

static int by_text(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static bool policies(void *self, const struct report_query *q,
                     void (*each)(void *to, struct sv name), void *to, struct err *err)
{
    struct report_scraped *s = self;

    if (!ask_policies(s, q, err))
        return false;
    if (s->n_names == 0)
        return nothing_told(s, q, err);
    qsort(s->names, s->n_names, sizeof *s->names, by_text);
    for (size_t i = 0; i < s->n_names; i++)
        each(to, sv_from(s->names[i]));
    return true;
}

/* ---- windows ---- */

struct gathering {
    struct report_scraped *s;
    struct report *report;
    struct scrapes *scrapes;
    int64_t step_ms; /* 0: every scrape */
};

static bool on_series(void *self, const struct promread_series *series, struct err *err)
{
    return scrapes_take(self, series, err);
}

static int64_t step_of(const struct report_query *q)
{
    int64_t days = (q->until_ms - q->since_ms) / DAY_MS;

    return days <= 14 ? 0 : days <= 90 ? MINUTE_MS : 5 * MINUTE_MS;
}

/* Scrapes of begin <= t < end. */
static bool ask_window(const struct gathering *g, int64_t begin_ms, int64_t end_ms, struct err *err)
{
    struct prom_query query = {.begin_ms = begin_ms, .end_ms = end_ms - 1, .step_ms = g->step_ms};
    struct strbuf text;
    bool ok;

    strbuf_init(&text, PROM_MAX_QUERY);
    if (g->step_ms != 0)
        (void)strbuf_add(&text, SV("last_over_time("));
    put_selector(g->s, g->report->policy, g->step_ms != 0 ? g->step_ms : end_ms - begin_ms, &text);
    if (g->step_ms != 0)
        (void)strbuf_add_char(&text, ')');
    ok = ask(g->s, &text, &query, on_series, g->scrapes, err);
    strbuf_done(&text);
    if (!ok)
        scrapes_drop(g->scrapes);
    return ok;
}

static void show(const struct gathering *g, int64_t done_ms)
{
    const struct report_query *q = &g->report->query;
    int percent = (int)(100 * (done_ms - q->since_ms) / (q->until_ms - q->since_ms));

    if (g->s->options->shows)
        (void)fprintf(stderr, "\r%-20s %3d %%%s", "asking Prometheus", percent < 0 ? 0 : percent,
                      done_ms >= q->until_ms ? "\r\x1b[K" : "");
}

/* What counters stood at before the time begins is found a little earlier. */
static bool ask_all(const struct gathering *g, struct err *err)
{
    const struct report_query *q = &g->report->query;
    int64_t window_ms = g->step_ms != 0 ? DAY_MS : REPORT_SCRAPED_WINDOW_MS, end_ms;
    struct err own = {0};

    for (int64_t at = q->since_ms - 5 * MINUTE_MS; at < q->until_ms; at = end_ms) {
        end_ms = min_i64(at + window_ms, q->until_ms);
        if (ask_window(g, at, end_ms, &own)) {
            scrapes_window(g->scrapes, end_ms);
            show(g, end_ms);
            continue;
        }
        if (!prom_halve(&own, end_ms - at, REPORT_SCRAPED_MIN_WINDOW_MS, &window_ms))
            return prom_name_window(at, end_ms, &own, err);
        end_ms = at;
    }
    return true;
}

static bool expect_clusters(const struct gathering *g, struct err *err)
{
    const struct report_scraped_options *o = g->s->options;
    bool ok = true;

    for (size_t i = 0; i < o->n_clusters && ok; i++)
        ok = scrapes_expect(g->scrapes, sv_from(o->clusters[i]), err);
    return ok;
}

static bool gather(void *self, struct report *r, struct err *err)
{
    struct report_scraped *s = self;
    int64_t step_ms = step_of(&r->query);
    struct gathering g = {.s = s,
                          .report = r,
                          .scrapes = scrapes_new(r, sv_from(label_of(s)), step_ms),
                          .step_ms = step_ms};
    bool ok = expect_clusters(&g, err) && ask_all(&g, err);

    if (ok) {
        scrapes_end(g.scrapes);
        r->scrapes.step_ms = g.step_ms;
        r->scrapes.queries = (int64_t)s->asked.queries;
        r->scrapes.partial = (int64_t)s->asked.partial;
        (void)snprintf(r->scrapes.warning, sizeof r->scrapes.warning, "%s", s->asked.warning);
        if (s->options->label != NULL || r->n_clusters > 1)
            (void)snprintf(r->cluster_label, sizeof r->cluster_label, "%s", label_of(s));
    }
    scrapes_free(g.scrapes);
    return ok;
}

struct report_source report_scraped_source(struct report_scraped *s)
{
    return (struct report_source){.self = s,
                                  .name = s->options->prom.url,
                                  .span = span,
                                  .policies = policies,
                                  .gather = gather};
}
