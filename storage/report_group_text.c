#include "storage/report_group_text.h"

#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "storage/report_group.h"

/* ---- tables ---- */

/* What a line tells of a group. */
enum when { NOW, BEFORE, CHANGE, WHEN_COUNT_ };

static const char *const when_names[] = {[NOW] = "now", [BEFORE] = "before", [CHANGE] = "change"};
_Static_assert(COUNT_OF(when_names) == WHEN_COUNT_, "a line has no name");

struct line {
    char cell[GROUP_FIGURE_COUNT_][REPORT_CELL_SIZE];
};

static void figures_cells(const struct report *r, const struct report_group *g, struct line *line)
{
    struct report_group_figures figures;

    report_group_figures(r, g, REPORT_TABLE_STEP, &figures);
    for (int f = 0; f < GROUP_FIGURE_COUNT_; f++)
        report_group_cell(&figures, (enum report_group_figure)f, line->cell[f]);
}

static void change_cells(const struct report_story *s, const struct report_group_pair *pair,
                         struct line *line)
{
    struct report_group_figures now, before, changes;

    report_group_figures(s->now, pair->now, REPORT_TABLE_STEP, &now);
    report_group_figures(s->before, pair->before, REPORT_TABLE_STEP, &before);
    report_group_changes(&now, &before, &changes);
    for (int f = 0; f < GROUP_FIGURE_COUNT_; f++) {
        if (changes.known[f])
            report_form_text(report_group_change_form((enum report_group_figure)f), changes.at[f],
                             line->cell[f]);
        else
            memcpy(line->cell[f], "-", sizeof "-");
    }
}

/* False: the group has no such line. */
static bool make_line(const struct report_story *s, const struct report_group_pair *pair,
                      enum when when, struct line *line)
{
    bool is = when == NOW      ? pair->now != NULL
              : when == BEFORE ? pair->before != NULL
                               : pair->now != NULL && pair->before != NULL;

    if (is && when == CHANGE)
        change_cells(s, pair, line);
    else if (is)
        figures_cells(when == NOW ? s->now : s->before, when == NOW ? pair->now : pair->before,
                      line);
    return is;
}

struct widths {
    int name, when, figure[GROUP_FIGURE_COUNT_];
};

static void widen(int *width, const char *text)
{
    *width = (int)max_i64(*width, (int64_t)strlen(text));
}

static void measure(const struct report_story *s, const struct report_group_pair *pairs, size_t n,
                    struct widths *w)
{
    struct line line;

    widen(&w->name, "GROUP");
    for (int f = 0; f < GROUP_FIGURE_COUNT_; f++)
        widen(&w->figure[f], report_group_kind((enum report_group_figure)f)->head);
    for (size_t i = 0; i < n; i++) {
        widen(&w->name, report_group_of(&pairs[i])->name);
        for (int when = NOW; when < WHEN_COUNT_; when++) {
            bool is = make_line(s, &pairs[i], (enum when)when, &line);

            for (int f = 0; is && f < GROUP_FIGURE_COUNT_; f++)
                widen(&w->figure[f], line.cell[f]);
        }
    }
    for (int when = NOW; s->before != NULL && when < WHEN_COUNT_; when++)
        widen(&w->when, when_names[when]);
}

static void put_pair(const struct report_story *s, const struct report_group_pair *pair,
                     const struct widths *w, struct strbuf *out)
{
    const char *name = report_group_of(pair)->name;
    struct line line;

    for (int when = NOW; when < WHEN_COUNT_; when++) {
        if (!make_line(s, pair, (enum when)when, &line))
            continue;
        (void)strbuf_add_shown_left(out, sv_from(name), w->name);
        name = "";
        if (s->before != NULL) {
            (void)strbuf_add(out, SV("  "));
            (void)strbuf_add_shown_left(out, sv_from(when_names[when]), w->when);
        }
        for (int f = 0; f < GROUP_FIGURE_COUNT_; f++)
            report_put_cell(line.cell[f], w->figure[f], out);
        (void)strbuf_add_char(out, '\n');
    }
}

static void put_table(const struct report_story *s, const struct report_group_pair *pairs, size_t n,
                      struct strbuf *out)
{
    struct widths w = {0};

    measure(s, pairs, n, &w);
    (void)strbuf_add(out, SV("\nnodes by "));
    (void)strbuf_add_shown(out, sv_from(report_group_of(&pairs[0])->label));
    (void)strbuf_add_char(out, '\n');
    (void)strbuf_add_shown_left(out, sv_from("GROUP"), w.name);
    if (s->before != NULL) {
        (void)strbuf_add(out, SV("  "));
        (void)strbuf_add_shown_left(out, sv_from(""), w.when);
    }
    for (int f = 0; f < GROUP_FIGURE_COUNT_; f++)
        report_put_cell(report_group_kind((enum report_group_figure)f)->head, w.figure[f], out);
    (void)strbuf_add_char(out, '\n');
    for (size_t i = 0; i < n; i++)
        put_pair(s, &pairs[i], &w, out);
}

void report_group_tables(const struct report_story *s, struct strbuf *out)
{
    struct report_group_pair *pairs;
    size_t n = report_group_pairs_new(s->now, s->before, &pairs);

    for (size_t i = 0, of; i < n; i += of) {
        of = report_group_pairs_of_label(pairs + i, n - i);
        put_table(s, pairs + i, of, out);
    }
    free(pairs);
}

/* ---- CSV ---- */

/* Nothing where it is not known, or where the group was not there. */
static void put_csv_value(const struct report *r, const struct report_group *g,
                          enum report_group_figure f, struct strbuf *out)
{
    struct report_group_figures figures;

    (void)strbuf_add_char(out, ',');
    if (g == NULL)
        return;
    report_group_figures(r, g, REPORT_FULL_STEP, &figures);
    if (figures.known[f])
        report_put_number(report_group_kind(f)->form, figures.at[f], out);
}

static void put_csv_name(const struct report_group *g, struct strbuf *out)
{
    (void)strbuf_add_csv(out, sv_from(g->label));
    (void)strbuf_add_char(out, ',');
    (void)strbuf_add_csv(out, sv_from(g->name));
}

static void csv_now(const struct report *r, struct strbuf *out)
{
    (void)strbuf_add(out, SV("label,group"));
    for (int f = 0; f < GROUP_FIGURE_COUNT_; f++)
        (void)strbuf_addf(out, ",%s", report_group_kind((enum report_group_figure)f)->key);
    (void)strbuf_add_char(out, '\n');
    for (size_t i = 0; i < r->n_groups; i++) {
        put_csv_name(&r->groups[i], out);
        for (int f = 0; f < GROUP_FIGURE_COUNT_; f++)
            put_csv_value(r, &r->groups[i], (enum report_group_figure)f, out);
        (void)strbuf_add_char(out, '\n');
    }
}

static void csv_both(const struct report_story *s, struct strbuf *out)
{
    struct report_group_pair *pairs;
    size_t n = report_group_pairs_new(s->now, s->before, &pairs);

    (void)strbuf_add(out, SV("label,group,figure,now,before\n"));
    for (size_t i = 0; i < n; i++) {
        for (int f = 0; f < GROUP_FIGURE_COUNT_; f++) {
            put_csv_name(report_group_of(&pairs[i]), out);
            (void)strbuf_addf(out, ",%s", report_group_kind((enum report_group_figure)f)->key);
            put_csv_value(s->now, pairs[i].now, (enum report_group_figure)f, out);
            put_csv_value(s->before, pairs[i].before, (enum report_group_figure)f, out);
            (void)strbuf_add_char(out, '\n');
        }
    }
    free(pairs);
}

void report_group_csv(const struct report_story *s, struct strbuf *out)
{
    if (s->before != NULL)
        csv_both(s, out);
    else
        csv_now(s->now, out);
}

/* ---- JSON ---- */

static void json_group(const struct report *r, const struct report_group *g, struct jsonw *w)
{
    struct report_group_figures figures;
    struct strbuf text;

    strbuf_init(&text, 64);
    report_group_figures(r, g, REPORT_FULL_STEP, &figures);
    jsonw_object(w, NULL);
    jsonw_cstr(w, "label", g->label);
    jsonw_cstr(w, "name", g->name);
    for (int f = 0; f < GROUP_FIGURE_COUNT_; f++) {
        const struct report_figure_kind *kind = report_group_kind((enum report_group_figure)f);

        strbuf_clear(&text);
        report_put_number(kind->form, figures.at[f], &text);
        if (figures.known[f])
            jsonw_raw(w, kind->key, strbuf_sv(&text));
        else
            jsonw_null(w, kind->key);
    }
    jsonw_end(w);
    strbuf_done(&text);
}

static void json_groups(const struct report *r, const char *key, struct jsonw *w)
{
    jsonw_array(w, key);
    for (size_t i = 0; i < r->n_groups; i++)
        json_group(r, &r->groups[i], w);
    jsonw_end(w);
}

void report_group_json(const struct report_story *s, struct jsonw *w)
{
    json_groups(s->now, "groups", w);
    if (s->before != NULL)
        json_groups(s->before, "groups_before", w);
}
