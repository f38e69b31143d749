#include "storage/report_page.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "storage/report_chart.h"
#include "storage/report_figure.h"
#include "storage/report_group.h"
#include "storage/report_style.h"

static void add(struct strbuf *out, const char *text)
{
    (void)strbuf_add(out, sv_from(text));
}

/* A sentence that is there, as a paragraph. */
static bool put_sentence(const struct report_story *s, enum report_sentence which,
                         struct strbuf *out)
{
    struct strbuf text;
    bool said;

    strbuf_init(&text, REPORT_MAX_TEXT);
    said = report_say(s, which, &text);
    if (said) {
        add(out, "<p>");
        report_html(out, strbuf_sv(&text));
        add(out, "</p>\n");
    }
    strbuf_done(&text);
    return said;
}

static void put_range(const struct report *r, struct strbuf *out)
{
    struct strbuf text;

    strbuf_init(&text, REPORT_MAX_TEXT);
    report_say_range(r, &text);
    report_html(out, strbuf_sv(&text));
    strbuf_done(&text);
}

static void put_moment(const struct report *r, int64_t t_ms, struct strbuf *out)
{
    char text[CALENDAR_TEXT_SIZE];

    calendar_text_moment(calendar_local_s(r->query.zone, t_ms), text);
    add(out, text);
}

/* ---- head ---- */

/* The second of each is for the chart, whose own units are a quarter as large where the page is wide. */
static const char patterns[] =
    "<svg class=\"defs\" aria-hidden=\"true\" focusable=\"false\"><defs>"
    "<pattern id=\"kept\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\" "
    "patternTransform=\"rotate(45)\"><path class=\"ph\" d=\"M0 0V8\"/></pattern>"
    "<pattern id=\"kept4\" href=\"#kept\" patternTransform=\"scale(4)rotate(45)\"/>"
    "<pattern id=\"churn\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
    "patternTransform=\"rotate(-45)\"><path class=\"pc\" d=\"M0 0V6\"/></pattern>"
    "<pattern id=\"churn4\" href=\"#churn\" patternTransform=\"scale(4)rotate(-45)\"/>"
    "<pattern id=\"gap\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
    "patternTransform=\"rotate(45)\"><path class=\"pg\" d=\"M0 0V6\"/></pattern>"
    "<pattern id=\"gap4\" href=\"#gap\" patternTransform=\"scale(4)rotate(45)\"/>"
    "<pattern id=\"dots\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">"
    "<circle class=\"pd\" cx=\"2\" cy=\"2\" r=\"1\"/></pattern>"
    "<pattern id=\"dots4\" href=\"#dots\" patternTransform=\"scale(4)\"/></defs></svg>\n";

static void put_head(const struct report *r, struct strbuf *out)
{
    add(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
             "'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n<title>brim report: ");
    report_html(out, sv_from(r->policy));
    add(out, "</title>\n<style>\n");
    add(out, report_style);
    add(out, "</style>\n</head>\n<body>\n");
    add(out, patterns);
}

/* ---- the summary ---- */

static void put_summary(const struct report_story *s, struct strbuf *out)
{
    add(out, "<header><h1>Capacity report: ");
    report_html(out, sv_from(s->now->policy));
    (void)strbuf_addf(out, "</h1>\n<p class=\"muted\">Made by brim %s. All times are those of ",
                      BRIM_VERSION);
    report_html(out, report_zone_name(s->now));
    add(out, ".</p></header>\n<main>\n<section class=\"say\" aria-label=\"Summary\">\n");
    for (enum report_sentence which = 0; which < SAY_CHANGE; which++)
        (void)put_sentence(s, which, out);
    add(out, "</section>\n");
}

static void put_trial(const struct report_advice *a, const struct report_trial *t,
                      struct strbuf *out)
{
    int64_t more = t->core_hours - a->core_hours;

    add(out, t->kind == TRIAL_HEADROOM ? "<tr><th scope=\"row\">headroom.max "
                                       : "<tr><th scope=\"row\">settle ");
    if (t->kind == TRIAL_HEADROOM)
        report_put_amount(out, t->value);
    else
        (void)strbuf_addf(out, "%lld s", (long long)(t->value / 1000000));
    add(out, "</th><td>");
    report_put_amount(out, t->core_hours);
    add(out, more < 0 ? "</td><td>" : "</td><td>+");
    report_put_amount(out, more);
    (void)strbuf_addf(out, "</td><td>%lld</td><td>", (long long)t->blocked);
    report_put_share(out, t->blocked, a->paid_pods);
    add(out, report_allowed(a, t->blocked) ? "</td><td class=\"text better\">within what you allow"
                                           : "</td><td class=\"text worse\">too many");
    add(out, "</td></tr>\n");
}

static void put_trials(const struct report *r, const struct report_advice *a, struct strbuf *out)
{
    add(out, "<details><summary>What was tried</summary><div class=\"over\" tabindex=\"0\" "
             "role=\"region\" aria-label=\"What was tried\"><table><caption>Replays of the event "
             "journal from ");
    put_moment(r, a->first_ms, out);
    add(out, " to ");
    put_moment(r, a->until_ms, out);
    add(out,
        "</caption><thead><tr><th scope=\"col\">policy with</th><th scope=\"col\">filler's "
        "core-hours</th><th scope=\"col\">more</th><th scope=\"col\">paid pods that waited</th>"
        "<th scope=\"col\">share</th><th class=\"text\" "
        "scope=\"col\">verdict</th></tr></thead><tbody>\n<tr>"
        "<th scope=\"row\">nothing changed</th><td>");
    report_put_amount(out, a->core_hours);
    (void)strbuf_addf(out, "</td><td></td><td>%lld</td><td>", (long long)a->blocked);
    report_put_share(out, a->blocked, a->paid_pods);
    add(out, report_allowed(a, a->blocked) ? "</td><td class=\"text better\">within what you allow"
                                           : "</td><td class=\"text worse\">too many");
    add(out, "</td></tr>\n");
    for (size_t i = 0; i < a->n; i++)
        put_trial(a, &a->trials[i], out);
    add(out, "</tbody></table></div></details>\n");
}

static void put_advice(const struct report_story *s, struct strbuf *out)
{
    add(out, "<section aria-labelledby=\"h-change\"><h2 id=\"h-change\">What to change</h2>\n"
             "<div class=\"change\">");
    if (!put_sentence(s, SAY_CHANGE, out))
        add(out, "<p>Other settings were not tried: ask for them with <code>brim report "
                 "--advice</code>, which replays the time with each.</p>\n");
    add(out, "</div>\n");
    if (s->advice != NULL && s->advice->made)
        put_trials(s->now, s->advice, out);
    add(out, "</section>\n");
}

/* ---- figures ---- */

static void put_value(const struct report *r, enum report_form form, int64_t value,
                      struct strbuf *out)
{
    char text[REPORT_CELL_SIZE];
    struct strbuf money;

    switch (form) {
    case FORM_CORE_HOURS:
        report_put_hours(out, r, value);
        return;
    case FORM_CORES:
        report_put_amount(out, value);
        return;
    case FORM_COUNT:
        report_put_count(out, value);
        return;
    case FORM_MONEY:
        strbuf_init(&money, REPORT_MAX_TEXT);
        report_put_money(&money, &r->query.terms, value);
        report_html(out, strbuf_sv(&money));
        strbuf_done(&money);
        return;
    case FORM_SHARE:
    case FORM_POINTS:
    case FORM_TIME:
    case FORM_LATENCY:
        report_form_text(form, value, text);
        add(out, text);
        return;
    }
}

static void put_figure(const struct report *r, const struct report_figures *figures,
                       enum report_figure f, struct strbuf *out)
{
    if (figures->known[f])
        put_value(r, report_figure_kind(f)->form, figures->at[f], out);
    else
        add(out, "–");
}

static void put_total(const struct report *r, enum report_figure f, struct strbuf *out)
{
    struct report_figures figures;

    report_figures(r, &r->total, report_step(r), &figures);
    put_figure(r, &figures, f, out);
}

static const char *unit_of_form(enum report_form form)
{
    switch (form) {
    case FORM_CORE_HOURS:
        return ", core-hours";
    case FORM_CORES:
        return ", cores";
    case FORM_POINTS:
        return ", points";
    case FORM_SHARE:
    case FORM_COUNT:
    case FORM_TIME:
    case FORM_LATENCY:
    case FORM_MONEY:
        break;
    }
    return "";
}

static const char *unit_of(enum report_figure f)
{
    return unit_of_form(report_figure_kind(f)->form);
}

static void put_four(const struct report_story *s, struct strbuf *out)
{
    static const enum report_figure four[] = {FIGURE_USED, FIGURE_FILLER, FIGURE_BLOCKED_SHARE,
                                              FIGURE_IDLE};

    add(out, "<section aria-label=\"Four figures\"><dl class=\"four\">\n");
    for (size_t i = 0; i < COUNT_OF(four); i++) {
        (void)strbuf_addf(out, "<div><dt>%s%s</dt><dd class=\"big\">",
                          report_figure_kind(four[i])->label, unit_of(four[i]));
        put_total(s->now, four[i], out);
        add(out, "</dd><dd class=\"muted\">");
        if (s->before != NULL) {
            add(out, "before: ");
            put_total(s->before, four[i], out);
        }
        add(out, "</dd></div>\n");
    }
    add(out, "</dl></section>\n");
}

/* What a value has changed by. */
static void put_difference(const struct report *r, enum report_form form, int64_t change,
                           struct strbuf *out)
{
    add(out, change > 0 && form != FORM_SHARE && form != FORM_POINTS ? "+" : "");
    put_value(r, form == FORM_SHARE ? FORM_POINTS : form, change, out);
}

static void put_change(const struct report_story *s, const struct report_figures *now,
                       const struct report_figures *before, enum report_figure f,
                       struct strbuf *out)
{
    add(out, "<td>");
    put_figure(s->now, before, f, out);
    add(out, "</td><td>");
    if (now->known[f] && before->known[f])
        put_difference(s->now, report_figure_kind(f)->form, now->at[f] - before->at[f], out);
    add(out, "</td>");
}

static void put_figures(const struct report_story *s, struct strbuf *out)
{
    struct report_figures now, before = {0};

    report_figures(s->now, &s->now->total, report_step(s->now), &now);
    if (s->before != NULL)
        report_figures(s->before, &s->before->total, report_step(s->now), &before);
    add(out, "<section aria-labelledby=\"h-all\"><h2 id=\"h-all\">All figures</h2>\n"
             "<div class=\"over\" tabindex=\"0\" role=\"region\" aria-label=\"All figures as a "
             "table\"><table>"
             "<caption>Of the whole time; – is not known</caption><thead>"
             "<tr><th scope=\"col\">figure</th><th scope=\"col\">now</th>");
    if (s->before != NULL)
        add(out, "<th scope=\"col\">before</th><th scope=\"col\">change</th>");
    add(out, "</tr></thead><tbody>\n");
    for (enum report_figure f = 0; f < FIGURE_COUNT_; f++) {
        (void)strbuf_addf(out, "<tr><th scope=\"row\">%s%s</th><td>", report_figure_kind(f)->label,
                          unit_of(f));
        put_figure(s->now, &now, f, out);
        add(out, "</td>");
        if (s->before != NULL)
            put_change(s, &now, &before, f, out);
        add(out, "</tr>\n");
    }
    add(out, "</tbody></table></div>\n");
    if (s->before != NULL) {
        add(out, "<p class=\"muted\">Before: ");
        put_range(s->before, out);
        add(out, ".</p>\n");
    }
    add(out, "</section>\n");
}

/* ---- lists ---- */

static void put_wait(const struct report *r, const struct report_wait *wait, struct strbuf *out)
{
    add(out, "<tr><th scope=\"row\">");
    put_moment(r, wait->created_ms, out);
    add(out, "</th><td>");
    report_put_duration(out, wait->until_ms - wait->created_ms);
    add(out, "</td><td>");
    report_put_amount(out, wait->cpu_milli);
    add(out, "</td><td class=\"text\">");
    add(out, wait->bound   ? "found a node"
             : wait->waits ? "still waited at the end"
                           : "went before it found one");
    add(out, "</td></tr>\n");
}

/* Only where some answered a pod that waited. */
static void put_yields(const struct report *r, struct strbuf *out)
{
    if (r->total.answers == 0)
        return;
    add(out, "<section aria-labelledby=\"h-yields\"><h2 id=\"h-yields\">Yields</h2>\n");
    report_chart_latencies(r, out);
    add(out, "</section>\n");
}

static void put_waits(const struct report *r, struct strbuf *out)
{
    add(out, "<section aria-labelledby=\"h-waits\"><h2 id=\"h-waits\">Waits</h2>\n");
    if (r->total.blocked == 0) {
        add(out,
            r->total.journal_ms > 0
                ? "<p>No paid pod waited for filler to leave.</p></section>\n"
                : "<p>Not known: the event journal does not tell of that time.</p></section>\n");
        return;
    }
    if (r->scrapes.interval_ms != 0) {
        add(out, "<p>How long they were is told by a history alone.</p></section>\n");
        return;
    }
    report_chart_waits(r, out);
    (void)strbuf_addf(
        out,
        "<details><summary>The %zu longest</summary><div class=\"over\" tabindex=\"0\" "
        "role=\"region\" aria-label=\"The longest waits\"><table><caption>From a paid "
        "pod's arrival to its node; names of paid pods are not kept</caption><thead><tr>"
        "<th scope=\"col\">came</th><th scope=\"col\">waited</th><th scope=\"col\">cores"
        "</th><th class=\"text\" scope=\"col\">and then</th></tr></thead><tbody>\n",
        r->n_waits);
    for (size_t i = 0; i < r->n_waits; i++)
        put_wait(r, &r->waits[i], out);
    add(out, "</tbody></table></div></details></section>\n");
}

/* One line a cluster, of the figures that a narrow table has. */
static void put_cluster(const struct report *r, const struct report_cluster *c, struct strbuf *out)
{
    struct report_figures figures;

    report_figures(r, &c->total, report_step(r), &figures);
    add(out, "<tr><th scope=\"row\">");
    report_html(out, sv_from(c->name[0] != '\0' ? c->name : "–"));
    add(out, "</th>");
    for (enum report_figure f = 0; f < FIGURE_COUNT_; f++) {
        if (report_figure_kind(f)->wide)
            continue;
        add(out, "<td>");
        put_figure(r, &figures, f, out);
        add(out, "</td>");
    }
    add(out, "</tr>\n");
}

static void put_clusters(const struct report *r, struct strbuf *out)
{
    if (r->cluster_label[0] == '\0')
        return;
    add(out, "<section aria-labelledby=\"h-clusters\"><h2 id=\"h-clusters\">Clusters</h2>\n"
             "<div class=\"over\" tabindex=\"0\" role=\"region\" aria-label=\"Clusters as a "
             "table\"><table>"
             "<caption>Each one, of the whole time; by the label ");
    report_html(out, sv_from(r->cluster_label));
    add(out, "</caption><thead><tr><th scope=\"col\">cluster</th>");
    for (enum report_figure f = 0; f < FIGURE_COUNT_; f++) {
        if (!report_figure_kind(f)->wide)
            (void)strbuf_addf(out, "<th scope=\"col\">%s%s</th>", report_figure_kind(f)->label,
                              unit_of(f));
    }
    add(out, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < r->n_clusters; i++)
        put_cluster(r, &r->clusters[i], out);
    add(out, "</tbody></table></div></section>\n");
}

static void put_group_bar(const struct report_group *g, int64_t most_milli, struct strbuf *out)
{
    add(out, "<td class=\"bar\">");
    report_chart_group(g, most_milli, out);
    add(out, "</td>");
}

static void put_group_figures(const struct report *r, const struct report_group_figures *figures,
                              struct strbuf *out)
{
    for (int f = 0; f < GROUP_FIGURE_COUNT_; f++) {
        add(out, "<td>");
        if (figures->known[f])
            put_value(r, report_group_kind((enum report_group_figure)f)->form, figures->at[f], out);
        else
            add(out, "–");
        add(out, "</td>");
    }
}

static void put_group_changes(const struct report *r, const struct report_group_figures *now,
                              const struct report_group_figures *before, struct strbuf *out)
{
    struct report_group_figures changes;

    report_group_changes(now, before, &changes);
    for (int f = 0; f < GROUP_FIGURE_COUNT_; f++) {
        add(out, "<td>");
        if (changes.known[f])
            put_difference(r, report_group_kind((enum report_group_figure)f)->form, changes.at[f],
                           out);
        add(out, "</td>");
    }
}

static void put_group(const struct report *r, const struct report_group *g, int64_t most_milli,
                      struct strbuf *out)
{
    struct report_group_figures figures;

    report_group_figures(r, g, report_step(r), &figures);
    add(out, "<tr><th scope=\"row\">");
    report_html(out, sv_from(g->name));
    add(out, "</th>");
    put_group_bar(g, most_milli, out);
    put_group_figures(r, &figures, out);
    add(out, "</tr>\n");
}

/* A line of a group of which two periods are told; the first one has its name. */
static void put_group_head(const struct report_group_pair *pair, bool first, const char *when,
                           struct strbuf *out)
{
    add(out, "<tr>");
    if (first) {
        (void)strbuf_addf(out, "<th scope=\"rowgroup\" rowspan=\"%d\">",
                          pair->now != NULL && pair->before != NULL ? 3 : 1);
        report_html(out, sv_from(report_group_of(pair)->name));
        add(out, "</th>");
    }
    (void)strbuf_addf(out, "<th class=\"when\" scope=\"row\">%s</th>", when);
}

static void put_group_both(const struct report_story *s, const struct report_group_pair *pair,
                           int64_t most_milli, struct strbuf *out)
{
    struct report_group_figures now, before;
    int64_t step = report_step(s->now);

    add(out, "<tbody>\n");
    if (pair->now != NULL) {
        report_group_figures(s->now, pair->now, step, &now);
        put_group_head(pair, true, "now", out);
        put_group_bar(pair->now, most_milli, out);
        put_group_figures(s->now, &now, out);
        add(out, "</tr>\n");
    }
    if (pair->before != NULL) {
        report_group_figures(s->before, pair->before, step, &before);
        put_group_head(pair, pair->now == NULL, "before", out);
        put_group_bar(pair->before, most_milli, out);
        put_group_figures(s->now, &before, out);
        add(out, "</tr>\n");
    }
    if (pair->now != NULL && pair->before != NULL) {
        put_group_head(pair, false, "change", out);
        add(out, "<td class=\"bar\"></td>");
        put_group_changes(s->now, &now, &before, out);
        add(out, "</tr>\n");
    }
    add(out, "</tbody>\n");
}

static int64_t most_of(const struct report_group *g)
{
    return g != NULL ? groups_mean_milli(&g->sum, GROUP_ALLOCATABLE) : 0;
}

static void put_label_head(const struct report_story *s, const char *label, struct strbuf *out)
{
    add(out, "<div class=\"over\" tabindex=\"0\" role=\"region\" aria-label=\"Nodes by ");
    report_html(out, sv_from(label));
    (void)strbuf_addf(out, " as a table\"><table class=\"groups%s\"><caption>By the label ",
                      s->before != NULL ? " both" : "");
    report_html(out, sv_from(label));
    add(out, s->before != NULL ? ", of the whole of both times" : ", of the whole time");
    add(out, "; filler is that of all policies</caption><thead><tr><th scope=\"col\">group</th>");
    add(out, s->before != NULL ? "<th class=\"text\" scope=\"col\">when</th>" : "");
    add(out, "<td class=\"bar\"></td>");
    for (int f = 0; f < GROUP_FIGURE_COUNT_; f++) {
        const struct report_figure_kind *kind = report_group_kind((enum report_group_figure)f);

        (void)strbuf_addf(out, "<th scope=\"col\">%s%s</th>", kind->label,
                          f == GROUP_FIGURE_FIT ? "" : unit_of_form(kind->form));
    }
    add(out, "</tr></thead>");
}

/* Those of one label. */
static void put_label(const struct report_story *s, const struct report_group_pair *pairs, size_t n,
                      struct strbuf *out)
{
    int64_t most_milli = 0;

    for (size_t i = 0; i < n; i++)
        most_milli = max_i64(most_milli, max_i64(most_of(pairs[i].now), most_of(pairs[i].before)));
    put_label_head(s, report_group_of(pairs)->label, out);
    add(out, s->before != NULL ? "\n" : "<tbody>\n");
    for (size_t i = 0; i < n; i++) {
        if (s->before != NULL)
            put_group_both(s, &pairs[i], most_milli, out);
        else
            put_group(s->now, pairs[i].now, most_milli, out);
    }
    add(out, s->before != NULL ? "</table></div>\n" : "</tbody></table></div>\n");
}

static void put_groups(const struct report_story *s, struct strbuf *out)
{
    struct report_group_pair *pairs;
    size_t n = report_group_pairs_new(s->now, s->before, &pairs);

    if (n != 0)
        add(out,
            "<section aria-labelledby=\"h-groups\"><h2 id=\"h-groups\">Groups of nodes</h2>\n");
    for (size_t i = 0, of; i < n; i += of) {
        of = report_group_pairs_of_label(pairs + i, n - i);
        put_label(s, pairs + i, of, out);
    }
    add(out, n != 0 ? "</section>\n" : "");
    free(pairs);
}

static const char *why_text(const char *why)
{
    static const char *const words[][2] = {
        {"start", "brim was started again"},  {"relist", "the watch was listed anew"},
        {"lost", "the disk did not keep up"}, {"clock", "the clock was set back"},
        {"", "no reason is noted"},
    };

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcmp(words[i][0], why) == 0)
            return words[i][1];
    }
    return why;
}

static void put_gaps(const struct report *r, struct strbuf *out)
{
    if (r->n_gaps == 0)
        return;
    add(out, "<section aria-labelledby=\"h-gaps\"><h2 id=\"h-gaps\">Gaps</h2>\n<div class=\"over\" "
             "tabindex=\"0\" role=\"region\" aria-label=\"Gaps as a table\"><table>");
    (void)strbuf_addf(
        out, "<caption>The longest %zu of %lld; no figure counts what is missing</caption>",
        r->n_gaps, (long long)r->all_gaps);
    add(out, "<thead><tr><th scope=\"col\">from</th><th scope=\"col\">until</th><th scope=\"col\">"
             "missing</th><th class=\"text\" scope=\"col\">why</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < r->n_gaps; i++) {
        add(out, "<tr><th scope=\"row\">");
        put_moment(r, r->gaps[i].first_ms, out);
        add(out, "</th><td>");
        put_moment(r, r->gaps[i].until_ms, out);
        add(out, "</td><td>");
        report_put_duration(out, r->gaps[i].missing_ms);
        add(out, "</td><td class=\"text\">");
        report_html(out, sv_from(why_text(r->gaps[i].why)));
        add(out, "</td></tr>\n");
    }
    add(out, "</tbody></table></div></section>\n");
}

static const char method[] =
    "<section aria-labelledby=\"h-method\"><h2 id=\"h-method\">What the figures mean</h2>\n"
    "<p>Everything that the nodes offered (their allocatable cpu) is split into parts that add up "
    "to "
    "it: <b>paid</b> is what bound paid pods ask for; <b>filler at work</b> its ready pods; "
    "<b>starting and stopping</b> those that hold room but do no work; <b>kept free</b> the "
    "reserve "
    "and the headroom, in whole holes, as far as they were free; <b>idle</b> the rest. A time that "
    "was not recorded counts in nothing.</p>\n"
    "<p><b>Harvestable</b> is what paid work left, no more than the policy's most replicas could "
    "use. "
    "A paid pod <b>waited for filler</b> if the scheduler found no room for it at first although "
    "it "
    "would have fitted with no filler at all; its wait is counted from its arrival to its node. A "
    "<b>yield</b> is a step down because paid work wants the room, a <b>harvest</b> one up; a "
    "<b>reversal</b> a change between the two. <b>Nodes that only filler used</b> held filler and "
    "no "
    "paid pod but those tied to them. What to change comes from replays of the event journal with "
    "the same controller; they simulate the scheduler and say what would probably have been.</p>\n"
    "<p>The names of paid pods and former policies are not kept in the history. "
    "docs/REPORT.md has every figure.</p>\n"
    "</section>\n";

static const char *zone_note(const struct report *r)
{
    return r->offsets_differ
               ? " The clock was changed in this time: a day of the change has more or fewer hours."
               : "";
}

/* Of less than a day there is nothing to see. */
static void put_week(const struct report *r, struct strbuf *out)
{
    if (r->total.span_ms <= CALENDAR_DAY_S * INT64_C(1000))
        return;
    add(out, "<section aria-labelledby=\"h-week\"><h2 id=\"h-week\">By hour of the week</h2>\n"
             "<p class=\"muted\">Hours by the clock of ");
    report_html(out, report_zone_name(r));
    (void)strbuf_addf(out, ". Struck through: seen for less than two weeks.%s</p>\n", zone_note(r));
    report_chart_week(r, out);
    add(out, "</section>\n");
}

void report_page(const struct report_story *s, struct strbuf *out)
{
    const struct report *r = s->now;

    put_head(r, out);
    put_summary(s, out);
    put_advice(s, out);
    put_four(s, out);
    add(out,
        "<section aria-labelledby=\"h-use\"><h2 id=\"h-use\">What the cores were used for</h2>\n");
    report_chart_use(r, out);
    add(out, "</section>\n");
    put_week(r, out);
    put_clusters(r, out);
    put_groups(s, out);
    put_waits(r, out);
    put_yields(r, out);
    put_figures(s, out);
    put_gaps(r, out);
    add(out, method);
    add(out, "</main>\n</body>\n</html>\n");
}
