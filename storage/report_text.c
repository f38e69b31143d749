#include "storage/report_text.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonw.h"
#include "base/num.h"
#include "storage/report_figure.h"
#include "storage/report_group_text.h"

static void utc_text(int64_t t_ms, char text[static WALL_TEXT_SIZE])
{
    wall_format((struct wall){t_ms * 1000}, 0, text);
}

/* ---- table ---- */

struct table {
    const struct report *r;
    bool wide;
    int name_width;
    int width[FIGURE_COUNT_];
};

static bool shown(const struct table *t, enum report_figure f)
{
    return t->wide || !report_figure_kind(f)->wide;
}

static void widen(int *width, const char *text)
{
    *width = (int)max_i64(*width, (int64_t)strlen(text));
}

static void measure_row(struct table *t, const struct report_row *row, const char *name)
{
    struct report_figures figures;
    char text[REPORT_CELL_SIZE];

    report_figures(t->r, row, REPORT_TABLE_STEP, &figures);
    for (enum report_figure f = 0; f < FIGURE_COUNT_; f++) {
        if (!shown(t, f))
            continue;
        report_cell(&figures, f, text);
        widen(&t->width[f], text);
    }
    widen(&t->name_width, name);
}

static void measure(struct table *t)
{
    const struct report *r = t->r;
    char name[CALENDAR_TEXT_SIZE];

    for (enum report_figure f = 0; f < FIGURE_COUNT_; f++)
        widen(&t->width[f], report_figure_kind(f)->head);
    for (size_t i = 0; i < r->n_rows; i++) {
        report_row_name(r, &r->rows[i], name);
        measure_row(t, &r->rows[i], name);
    }
    measure_row(t, &r->total, "total");
}

static void put_line(const struct table *t, const struct report_row *row, const char *name,
                     struct strbuf *out)
{
    struct report_figures figures;
    char text[REPORT_CELL_SIZE];

    report_figures(t->r, row, REPORT_TABLE_STEP, &figures);
    (void)strbuf_addf(out, "%-*s", t->name_width, name);
    for (enum report_figure f = 0; f < FIGURE_COUNT_; f++) {
        if (!shown(t, f))
            continue;
        report_cell(&figures, f, text);
        report_put_cell(text, t->width[f], out);
    }
    (void)strbuf_add_char(out, '\n');
}

static void put_head(const struct table *t, const char *first, struct strbuf *out)
{
    (void)strbuf_addf(out, "%-*s", t->name_width, first);
    for (enum report_figure f = 0; f < FIGURE_COUNT_; f++) {
        if (shown(t, f))
            report_put_cell(report_figure_kind(f)->head, t->width[f], out);
    }
    (void)strbuf_add_char(out, '\n');
}

static const char *unit_head(const struct report *r)
{
    static const char *const heads[] = {
        [REPORT_MINUTE] = "MINUTE", [REPORT_HOUR] = "HOUR",   [REPORT_DAY] = "DAY",
        [REPORT_WEEK] = "WEEK",     [REPORT_MONTH] = "MONTH", [REPORT_WEEK_HOUR] = "HOUR",
    };

    return heads[r->query.by];
}

/* Of several clusters each one, all in all. */
static void put_clusters(const struct table *t, struct strbuf *out)
{
    const struct report *r = t->r;
    struct table own = *t;
    struct strbuf name;

    if (r->cluster_label[0] == '\0')
        return;
    strbuf_init(&name, REPORT_MAX_TEXT);
    widen(&own.name_width, "CLUSTER");
    for (size_t i = 0; i < r->n_clusters; i++)
        measure_row(&own, &r->clusters[i].total, r->clusters[i].name);
    (void)strbuf_add_char(out, '\n');
    put_head(&own, "CLUSTER", out);
    for (size_t i = 0; i < r->n_clusters; i++) {
        strbuf_clear(&name);
        (void)strbuf_add_shown(&name,
                               sv_from(r->clusters[i].name[0] != '\0' ? r->clusters[i].name : "-"));
        put_line(&own, &r->clusters[i].total, strbuf_str(&name), out);
    }
    strbuf_done(&name);
}

static void put_rows(const struct report *r, bool wide, struct strbuf *out)
{
    struct table t = {.r = r, .wide = wide};
    char name[CALENDAR_TEXT_SIZE];

    measure(&t);
    put_head(&t, unit_head(r), out);
    for (size_t i = 0; i < r->n_rows; i++) {
        report_row_name(r, &r->rows[i], name);
        put_line(&t, &r->rows[i], name, out);
    }
    put_line(&t, &r->total, "total", out);
    put_clusters(&t, out);
}

static void put_summary(const struct report_story *s, struct strbuf *out)
{
    (void)strbuf_add(out, SV("brim report of policy "));
    (void)strbuf_add_shown(out, sv_from(s->now->policy));
    (void)strbuf_add(out, SV(", times in "));
    (void)strbuf_add_shown(out, report_zone_name(s->now));
    (void)strbuf_add(out, SV("\n\n"));
    for (enum report_sentence which = 0; which < SAY_COUNT_; which++) {
        if (report_say(s, which, out))
            (void)strbuf_add_char(out, '\n');
    }
    (void)strbuf_add_char(out, '\n');
}

/* ---- two periods ---- */

struct both {
    struct report_figures now, before;
};

static struct both figures_of(const struct report_story *s, int64_t step)
{
    struct both b;

    report_figures(s->now, &s->now->total, step, &b.now);
    report_figures(s->before, &s->before->total, step, &b.before);
    return b;
}

static void put_change(const struct both *b, enum report_figure f,
                       char text[static REPORT_CELL_SIZE])
{
    enum report_form form = report_figure_kind(f)->form;

    if (b->now.known[f] && b->before.known[f])
        report_form_text(form == FORM_SHARE ? FORM_POINTS : form, b->now.at[f] - b->before.at[f],
                         text);
    else
        (void)snprintf(text, REPORT_CELL_SIZE, "-");
}

static void put_comparison(const struct report_story *s, struct strbuf *out)
{
    struct both b = figures_of(s, REPORT_TABLE_STEP);
    char now[REPORT_CELL_SIZE], before[REPORT_CELL_SIZE], change[REPORT_CELL_SIZE];

    (void)strbuf_add(out, SV("\nnow:    "));
    report_say_range(s->now, out);
    (void)strbuf_add(out, SV("\nbefore: "));
    report_say_range(s->before, out);
    (void)strbuf_addf(out, "\n\n%-36s  %12s  %12s  %12s\n", "FIGURE", "NOW", "BEFORE", "CHANGE");
    for (enum report_figure f = 0; f < FIGURE_COUNT_; f++) {
        report_cell(&b.now, f, now);
        report_cell(&b.before, f, before);
        put_change(&b, f, change);
        (void)strbuf_addf(out, "%-36s  %12s  %12s  %12s\n", report_figure_kind(f)->label, now,
                          before, change);
    }
}

static void print_table(const struct report_story *s, bool wide, struct strbuf *out)
{
    put_summary(s, out);
    put_rows(s->now, wide, out);
    if (s->before != NULL)
        put_comparison(s, out);
    report_group_tables(s, out);
}

/* ---- CSV ---- */

/* Nothing where it is not known. */
static void put_value(const struct report_figures *figures, enum report_figure f,
                      struct strbuf *out)
{
    if (figures->known[f])
        report_put_number(report_figure_kind(f)->form, figures->at[f], out);
}

static void print_csv_both(const struct report_story *s, struct strbuf *out)
{
    struct both b = figures_of(s, REPORT_FULL_STEP);

    (void)strbuf_add(out, SV("figure,now,before\n"));
    for (enum report_figure f = 0; f < FIGURE_COUNT_; f++) {
        (void)strbuf_addf(out, "%s,", report_figure_kind(f)->key);
        put_value(&b.now, f, out);
        (void)strbuf_add_char(out, ',');
        put_value(&b.before, f, out);
        (void)strbuf_add_char(out, '\n');
    }
}

static void put_csv_row(const struct report *r, const struct report_row *row, struct strbuf *out)
{
    struct report_figures figures;
    char utc[WALL_TEXT_SIZE], name[CALENDAR_TEXT_SIZE];

    report_row_name(r, row, name);
    (void)strbuf_addf(out, "%s,", name);
    if (row->times != 0) { /* an hour of the week may not lie in the range */
        utc_text(row->first_ms, utc);
        (void)strbuf_add(out, sv_from(utc));
    }
    (void)strbuf_add_char(out, ',');
    if (row->times != 0) {
        utc_text(row->until_ms, utc);
        (void)strbuf_add(out, sv_from(utc));
    }
    report_figures(r, row, REPORT_FULL_STEP, &figures);
    for (enum report_figure f = 0; f < FIGURE_COUNT_; f++) {
        (void)strbuf_add_char(out, ',');
        put_value(&figures, f, out);
    }
    (void)strbuf_add_char(out, '\n');
}

static void print_csv(const struct report *r, struct strbuf *out)
{
    (void)strbuf_add(out, SV("name,from,until"));
    for (enum report_figure f = 0; f < FIGURE_COUNT_; f++)
        (void)strbuf_addf(out, ",%s", report_figure_kind(f)->key);
    (void)strbuf_add_char(out, '\n');
    for (size_t i = 0; i < r->n_rows; i++)
        put_csv_row(r, &r->rows[i], out);
}

/* ---- JSON ---- */

static void json_time(struct jsonw *w, const char *key, int64_t t_ms)
{
    char utc[WALL_TEXT_SIZE];

    utc_text(t_ms, utc);
    jsonw_cstr(w, key, utc);
}

static void json_row(const struct report *r, const struct report_row *row, const char *key,
                     const char *name, struct jsonw *w)
{
    struct report_figures figures;
    struct strbuf text;

    strbuf_init(&text, 64);
    report_figures(r, row, REPORT_FULL_STEP, &figures);
    jsonw_object(w, key);
    if (name != NULL)
        jsonw_cstr(w, "name", name);
    if (row->times != 0) {
        json_time(w, "from", row->first_ms);
        json_time(w, "until", row->until_ms);
    }
    if (r->query.by == REPORT_WEEK_HOUR)
        jsonw_i64(w, "times", row->times);
    for (enum report_figure f = 0; f < FIGURE_COUNT_; f++) {
        const struct report_figure_kind *kind = report_figure_kind(f);

        strbuf_clear(&text);
        put_value(&figures, f, &text);
        if (figures.known[f])
            jsonw_raw(w, kind->key, strbuf_sv(&text));
        else
            jsonw_null(w, kind->key);
    }
    strbuf_done(&text);
    jsonw_end(w);
}

static void json_waits(const struct report *r, struct jsonw *w)
{
    jsonw_array(w, "waits");
    for (size_t i = 0; i < r->n_waits; i++) {
        const struct report_wait *wait = &r->waits[i];

        jsonw_object(w, NULL);
        json_time(w, "created", wait->created_ms);
        jsonw_milli(w, "wait_seconds", wait->until_ms - wait->created_ms);
        jsonw_milli(w, "cores", wait->cpu_milli);
        jsonw_cstr(w, "end", wait->bound ? "bound" : wait->waits ? "waits" : "gone");
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void json_gaps(const struct report *r, struct jsonw *w)
{
    jsonw_i64(w, "gaps_total", r->all_gaps);
    jsonw_array(w, "gaps");
    for (size_t i = 0; i < r->n_gaps; i++) {
        jsonw_object(w, NULL);
        json_time(w, "from", r->gaps[i].first_ms);
        json_time(w, "until", r->gaps[i].until_ms);
        jsonw_milli(w, "missing_seconds", r->gaps[i].missing_ms);
        jsonw_cstr(w, "why", r->gaps[i].why[0] != '\0' ? r->gaps[i].why : NULL);
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void json_clusters(const struct report *r, struct jsonw *w)
{
    jsonw_cstr(w, "cluster_label", r->cluster_label[0] != '\0' ? r->cluster_label : NULL);
    jsonw_array(w, "clusters");
    for (size_t i = 0; i < r->n_clusters; i++)
        json_row(r, &r->clusters[i].total, NULL, r->clusters[i].name, w);
    jsonw_end(w);
}

static void json_scrapes(const struct report *r, struct jsonw *w)
{
    const struct report_scrapes *s = &r->scrapes;

    if (s->interval_ms == 0) {
        jsonw_null(w, "scrapes");
        return;
    }
    jsonw_object(w, "scrapes");
    jsonw_milli(w, "interval_seconds", s->interval_ms);
    jsonw_milli(w, "step_seconds", s->step_ms);
    jsonw_i64(w, "agents", s->feeds);
    jsonw_i64(w, "compared", s->compared);
    jsonw_i64(w, "disputed", s->disputed);
    jsonw_i64(w, "queries", s->queries);
    jsonw_i64(w, "partial", s->partial);
    jsonw_cstr(w, "warning", s->warning[0] != '\0' ? s->warning : NULL);
    jsonw_end(w);
}

static void json_terms(const struct report_terms *t, struct jsonw *w)
{
    if (t->target_ppm > 0)
        jsonw_milli(w, "target", t->target_ppm / 1000);
    else
        jsonw_null(w, "target");
    if (t->blocked_ppm > 0) {
        struct strbuf share;

        strbuf_init(&share, 64);
        report_put_micro(&share, t->blocked_ppm);
        jsonw_raw(w, "allowed_blocked_share", strbuf_sv(&share));
        strbuf_done(&share);
    } else {
        jsonw_null(w, "allowed_blocked_share");
    }
    if (t->price_micro > 0) {
        struct strbuf price;

        strbuf_init(&price, 64);
        report_put_micro(&price, t->price_micro);
        jsonw_raw(w, "price", strbuf_sv(&price));
        strbuf_done(&price);
    } else {
        jsonw_null(w, "price");
    }
    jsonw_cstr(w, "currency", t->currency[0] != '\0' ? t->currency : NULL);
}

static void json_trials(const struct report_advice *a, struct jsonw *w)
{
    jsonw_array(w, "trials");
    for (size_t i = 0; i < a->n; i++) {
        const struct report_trial *t = &a->trials[i];

        jsonw_object(w, NULL);
        if (t->kind == TRIAL_HEADROOM)
            jsonw_milli(w, "headroom_max_cores", t->value);
        else
            jsonw_milli(w, "settle_seconds", t->value / 1000);
        jsonw_milli(w, "filler_core_hours", t->core_hours);
        jsonw_i64(w, "blocked_pods", t->blocked);
        jsonw_bool(w, "allowed", report_allowed(a, t->blocked));
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void json_advice(const struct report_advice *a, struct jsonw *w)
{
    if (a == NULL) {
        jsonw_null(w, "advice");
        return;
    }
    jsonw_object(w, "advice");
    jsonw_cstr(w, "why_not", a->made ? NULL : a->why_not);
    if (a->made) {
        json_time(w, "from", a->first_ms);
        json_time(w, "until", a->until_ms);
        jsonw_i64(w, "paid_pods", a->paid_pods);
        jsonw_milli(w, "headroom_max_cores", a->headroom_milli);
        jsonw_milli(w, "headroom_needed_cores", a->need_milli);
        jsonw_milli(w, "settle_seconds", a->settle_us / 1000);
        jsonw_milli(w, "filler_core_hours", a->core_hours);
        jsonw_i64(w, "blocked_pods", a->blocked);
        json_trials(a, w);
    }
    jsonw_end(w);
}

static void json_summary(const struct report_story *s, struct jsonw *w)
{
    struct strbuf text;

    strbuf_init(&text, REPORT_MAX_TEXT);
    jsonw_array(w, "summary");
    for (enum report_sentence which = 0; which < SAY_COUNT_; which++) {
        strbuf_clear(&text);
        if (report_say(s, which, &text))
            jsonw_str(w, NULL, strbuf_sv(&text));
    }
    jsonw_end(w);
    strbuf_done(&text);
}

static void print_json(const struct report_story *s, struct strbuf *out)
{
    const struct report *r = s->now;
    char name[CALENDAR_TEXT_SIZE];
    struct jsonw w;

    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    jsonw_i64(&w, "version", REPORT_VERSION);
    jsonw_cstr(&w, "policy", r->policy);
    jsonw_cstr(&w, "by", report_by_name(r->query.by));
    jsonw_str(&w, "zone", report_zone_name(r));
    json_time(&w, "since", r->query.since_ms);
    json_time(&w, "until", r->query.until_ms);
    json_terms(&r->query.terms, &w);
    jsonw_i64(&w, "damaged_chunks", r->damaged_chunks);
    jsonw_i64(&w, "damaged_groups", r->groups_damage.parts);
    jsonw_milli(&w, "missing_groups_seconds", r->groups_damage.missing_ms);
    json_summary(s, &w);
    jsonw_array(&w, "rows");
    for (size_t i = 0; i < r->n_rows; i++) {
        report_row_name(r, &r->rows[i], name);
        json_row(r, &r->rows[i], NULL, name, &w);
    }
    jsonw_end(&w);
    json_row(r, &r->total, "total", NULL, &w);
    if (s->before != NULL)
        json_row(s->before, &s->before->total, "before", NULL, &w);
    json_clusters(r, &w);
    report_group_json(s, &w);
    json_scrapes(r, &w);
    json_waits(r, &w);
    json_gaps(r, &w);
    json_advice(s->advice, &w);
    jsonw_end(&w);
    (void)strbuf_add_char(out, '\n');
}

void report_print(const struct report_story *s, enum report_format format, struct strbuf *out)
{
    switch (format) {
    case REPORT_TABLE:
    case REPORT_WIDE:
        print_table(s, format == REPORT_WIDE, out);
        return;
    case REPORT_CSV:
        if (s->before != NULL)
            print_csv_both(s, out);
        else
            print_csv(s->now, out);
        return;
    case REPORT_GROUPS_CSV:
        report_group_csv(s, out);
        return;
    case REPORT_JSON:
        print_json(s, out);
        return;
    }
}
