#include "agent/replay_page.h"

#include <string.h>

#include "base/num.h"

/* The picture's own units. A column is two wide, so that a set point's line can be seen. */
enum { COLUMNS = 1000, WIDTH = 2 * COLUMNS, HEIGHT = 560, LANE = 60, LEFT = 130, BOTTOM = 50 };

static const char head[] =
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\">\n";

static const char style[] =
    "<style>\n"
    ":root{color-scheme:light dark;--page:#F5F6F8;--idle:#F1F3F6;--text:#15202B;--muted:#536070;"
    "--bad:#B3261E;--paid:#1B5794;--wait:#8E1236;--fill:#CC7700;--edge:#8F5200;--rule:#D5DBE2;"
    "--mark:#76828F}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#0E141B;--idle:#1A232D;--text:#E6ECF2;"
    "--muted:#9DAAB8;--bad:#FF8A80;--paid:#3173B8;--wait:#FF5C85;--fill:#D39B38;--edge:#FFD98F;"
    "--rule:#2B3744;--mark:#75869A}}\n"
    "body{margin:0 auto;max-width:72rem;padding:1rem;background:var(--page);color:var(--text);"
    "font:16px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.4rem}h2{font-size:1.1rem;margin:2rem 0 .3rem}\n"
    "svg{display:block;width:100%;height:auto;background:var(--idle)}\n"
    "svg text{fill:var(--muted);font:26px system-ui,sans-serif}\n"
    ".paid{fill:var(--paid)}.wait{fill:var(--wait)}.fill{fill:var(--fill)}"
    ".leav{fill:url(#leaving)}.leav-line{stroke:var(--edge);stroke-width:3}\n"
    ".set{fill:none;stroke:var(--text);stroke-width:3;stroke-dasharray:8 6}"
    ".all{stroke:var(--text);stroke-width:4}.mark{stroke:var(--bad);stroke-width:5}"
    ".axis{stroke:var(--mark);stroke-width:2}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.5rem 0}\n"
    "th,td{padding:.15rem .8rem;border-bottom:1px solid var(--rule);text-align:right}"
    "th:first-child{text-align:left}\n"
    ".key{color:var(--muted)}.key i{display:inline-block;width:1em;height:.8em;margin:0 .3em 0 1em}"
    ".over{overflow-x:auto}\n"
    "</style>\n";

static void add(struct strbuf *out, const char *text)
{
    (void)strbuf_add(out, sv_from(text));
}

static void add_escaped(struct strbuf *out, struct sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.at[i]) {
        case '<':
            add(out, "&lt;");
            break;
        case '&':
            add(out, "&amp;");
            break;
        case '"':
            add(out, "&quot;");
            break;
        default:
            (void)strbuf_add_char(out, text.at[i]);
        }
    }
}

/* ---- the picture ---- */

/* Means over the rows of a column, in milli; each is what stands on top of the one before. */
enum band { BAND_PAID, BAND_WAITING, BAND_FILLER, BAND_LEAVING, BAND_COUNT_ };
static const char *const band_classes[] = {"paid", "wait", "fill", "leav"};
_Static_assert(COUNT_OF(band_classes) == BAND_COUNT_, "a band has no class");

struct column {
    int64_t top[BAND_COUNT_];
    int64_t set_point;
    int32_t blocked;
};

struct picture {
    struct column columns[COLUMNS];
    size_t n;
    int64_t most; /* what the upper edge stands for */
    int64_t allocatable;
};

static void add_up(struct column *c, const struct replay_row *row, int64_t cpu)
{
    int64_t top = row->demand_milli - row->waiting_milli;

    c->top[BAND_PAID] += top;
    c->top[BAND_FILLER] += top += row->active * cpu;
    c->top[BAND_LEAVING] += top += row->leaving * cpu;
    c->top[BAND_WAITING] += top + row->waiting_milli;
    c->set_point += row->demand_milli + row->set_point * cpu;
    c->blocked += row->blocked;
}

static void measure(const struct replay_report *r, const struct replay_flight *f, struct picture *p)
{
    const struct replay_result *result = &f->result;
    int64_t cpu = r->setting->filler.at[RESOURCE_CPU];

    *p = (struct picture){.n = result->n_rows < COLUMNS ? result->n_rows : COLUMNS,
                          .allocatable = trace_allocatable(r->trace)};
    p->most = p->allocatable;
    for (size_t i = 0; i < p->n; i++) {
        size_t from = i * result->n_rows / p->n, end = (i + 1) * result->n_rows / p->n;
        struct column *c = &p->columns[i];

        for (size_t k = from; k < end; k++)
            add_up(c, &result->rows[k], cpu);
        for (int band = 0; band < BAND_COUNT_; band++) {
            c->top[band] /= (int64_t)(end - from);
            p->most = max_i64(p->most, c->top[band]);
        }
        c->set_point /= (int64_t)(end - from);
    }
    p->most = max_i64(p->most + p->most / 25, 1);
}

static int y_of(const struct picture *p, int64_t milli)
{
    return HEIGHT - (int)((double)milli / (double)p->most * HEIGHT);
}

static int x_of(const struct picture *p, size_t column)
{
    return LEFT + (int)(column * (WIDTH - LEFT) / (p->n != 0 ? p->n : 1));
}

/* A stepped line over the columns. */
static void put_steps(const struct picture *p, const int64_t *first, struct strbuf *out)
{
    int before = INT32_MIN;

    for (size_t i = 0; i < p->n; i++) {
        const int64_t *value = (const int64_t *)((const char *)first + i * sizeof p->columns[0]);
        int y = y_of(p, *value);

        if (i == 0)
            (void)strbuf_addf(out, "M%d %d", x_of(p, 0), y);
        else if (y != before)
            (void)strbuf_addf(out, "V%d", y);
        before = y;
        (void)strbuf_addf(out, "H%d", x_of(p, i + 1));
    }
}

static void put_bands(const struct picture *p, struct strbuf *out)
{
    static const enum band from_the_back[] = {BAND_WAITING, BAND_LEAVING, BAND_FILLER, BAND_PAID};

    for (size_t i = 0; i < COUNT_OF(from_the_back); i++) {
        enum band band = from_the_back[i];

        (void)strbuf_addf(out, "<path class=\"%s\" d=\"", band_classes[band]);
        put_steps(p, &p->columns[0].top[band], out);
        (void)strbuf_addf(out, "V%dH%dZ\"/>\n", HEIGHT, LEFT);
    }
}

static void put_marks(const struct picture *p, struct strbuf *out)
{
    add(out, "<path class=\"mark\" d=\"");
    for (size_t i = 0; i < p->n; i++) {
        if (p->columns[i].blocked != 0)
            (void)strbuf_addf(out, "M%d %dv%d", x_of(p, i), HEIGHT + 10,
                              (int)min_i64(15 + p->columns[i].blocked, LANE - 15));
    }
    add(out, "\"/>\n");
}

/* "1 d 4 h", two units at most. */
static void put_time(int64_t us, struct strbuf *out)
{
    int64_t s = us / US_PER_S;

    if (s >= 86400)
        (void)strbuf_addf(out, "%lld d %lld h", (long long)(s / 86400),
                          (long long)(s % 86400 / 3600));
    else if (s >= 3600)
        (void)strbuf_addf(out, "%lld h %lld min", (long long)(s / 3600),
                          (long long)(s % 3600 / 60));
    else
        (void)strbuf_addf(out, "%lld min %lld s", (long long)(s / 60), (long long)(s % 60));
}

static void put_axes(const struct replay_report *r, const struct picture *p, struct strbuf *out)
{
    (void)strbuf_addf(out,
                      "<path class=\"axis\" d=\"M%d %dH%dM%d %dH%d\"/>"
                      "<path class=\"all\" d=\"M%d %dH%d\"/>\n",
                      LEFT, HEIGHT, WIDTH, LEFT, HEIGHT + LANE, WIDTH, LEFT,
                      y_of(p, p->allocatable), WIDTH);
    for (int i = 0; i <= 4; i++) {
        int64_t cores = p->allocatable * i / 4000;

        (void)strbuf_addf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%lld</text>", LEFT - 12,
                          y_of(p, cores * 1000) + 9, (long long)cores);
        (void)strbuf_addf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\">",
                          LEFT + i * (WIDTH - LEFT) / 4, HEIGHT + LANE + 34,
                          i == 0   ? "start"
                          : i == 4 ? "end"
                                   : "middle");
        put_time(r->trace->end_us / 4 * i, out);
        add(out, "</text>\n");
    }
    (void)strbuf_addf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">blocked</text>\n",
                      LEFT - 12, HEIGHT + LANE / 2 + 9);
}

static void put_picture(const struct replay_report *r, const struct replay_flight *f,
                        struct strbuf *out)
{
    struct picture p;

    measure(r, f, &p);
    (void)strbuf_addf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"cores over time: ",
                      WIDTH, HEIGHT + LANE + BOTTOM);
    add_escaped(out, f->name);
    add(out, "\"><defs><pattern id=\"leaving\" width=\"12\" height=\"12\" "
             "patternUnits=\"userSpaceOnUse\"><path class=\"leav-line\" d=\"M0 12L12 0\"/>"
             "</pattern></defs>\n");
    put_bands(&p, out);
    if (f->is_policy) {
        add(out, "<path class=\"set\" d=\"");
        put_steps(&p, &p.columns[0].set_point, out);
        add(out, "\"/>\n");
    }
    put_marks(&p, out);
    put_axes(r, &p, out);
    add(out, "</svg>\n");
}

/* ---- tables ---- */

static void put_figure_row(const struct replay_report *r, const struct replay_figure *row,
                           struct strbuf *out)
{
    struct replay_figure figures[REPLAY_MAX_FIGURES];

    (void)strbuf_addf(out, "<tr><th scope=\"row\">%s</th>", row->name);
    for (size_t i = 0; i < r->n; i++) {
        const struct replay_figure *f =
            replay_figure_find(figures, replay_figures(&r->flights[i], figures), row->key);

        add(out, "<td>");
        if (f != NULL)
            replay_figure_text(f, out);
        else
            add(out, "–");
        add(out, "</td>");
    }
    add(out, "</tr>\n");
}

static void put_figures(const struct replay_report *r, struct strbuf *out)
{
    struct replay_figure figures[REPLAY_MAX_FIGURES];
    size_t n = replay_figures(replay_fullest(r), figures);

    add(out, "<h2>Figures</h2>\n<div class=\"over\"><table>\n<tr><th></th>");
    for (size_t i = 0; i < r->n; i++) {
        add(out, "<th scope=\"col\">");
        add_escaped(out, r->flights[i].name);
        add(out, "</th>");
    }
    add(out, "</tr>\n");
    for (size_t i = 0; i < n; i++)
        put_figure_row(r, &figures[i], out);
    add(out, "</table></div>\n");
}

static void put_advice(const struct replay_flight *f, struct strbuf *out)
{
    add(out, "<h2>");
    add_escaped(out, f->name);
    add(out, " with another settle</h2>\n<table>\n<tr><th>settle</th><th>fill</th>"
             "<th>kills an hour</th><th>fill less what kills cost</th></tr>\n");
    for (size_t i = 0; i < REPLAY_ADVICES; i++) {
        const struct replay_advice *a = &f->advice[i];

        (void)strbuf_addf(
            out,
            "<tr><th scope=\"row\">%lld s</th><td>%.1f%%</td><td>%.1f</td><td>%.1f%%</td></tr>\n",
            (long long)(a->settle_us / US_PER_S), 100 * a->fill, a->kills_h, 100 * a->net);
    }
    add(out, "</table>\n");
    if (!f->has_ifs)
        return;
    add(out, "<table>\n<tr><th>changed</th><th>fill</th><th>blocked pods</th></tr>\n");
    for (int i = 0; i < IF_COUNT_; i++)
        (void)strbuf_addf(out, "<tr><th scope=\"row\">%s</th><td>%.1f%%</td><td>%llu</td></tr>\n",
                          replay_if_name((enum replay_what_if)i), 100 * f->ifs[i].fill,
                          (unsigned long long)f->ifs[i].blocked);
    add(out, "</table>\n");
}

/* What the scrapes show and hide. */
static void put_seen(const struct replay_report *r, struct strbuf *out)
{
    struct strbuf text;
    struct sv rest, line;

    strbuf_init(&text, 4096);
    replay_seen_text(&r->seen, &text);
    rest = strbuf_sv(&text);
    add(out, "<ul>\n");
    while (sv_next(&rest, '\n', &line)) {
        add(out, "<li>");
        add_escaped(out, line);
        add(out, "</li>\n");
    }
    add(out, "</ul>\n");
    strbuf_done(&text);
}

void replay_page(const struct replay_report *r, struct strbuf *out)
{
    add(out, head);
    add(out, "<title>brim replay: ");
    add_escaped(out, sv_from(r->trace_name));
    add(out, "</title>\n");
    add(out, style);
    add(out, "<h1>Replay of ");
    add_escaped(out, sv_from(r->trace_name));
    add(out, "</h1>\n<p class=\"key\">cores:<i style=\"background:var(--paid)\"></i>paid"
             "<i style=\"background:var(--fill)\"></i>filler"
             "<i style=\"border:1px solid var(--edge)\"></i>leaving"
             "<i style=\"background:var(--wait)\"></i>waiting"
             "<i style=\"border-top:2px dashed\"></i>paid and set point"
             "<i style=\"border-top:2px solid\"></i>allocatable"
             "<i style=\"background:var(--bad)\"></i>paid pods blocked</p>\n");
    for (size_t i = 0; i < r->n; i++) {
        if (r->flights[i].is_oracle)
            continue;
        add(out, "<h2>");
        add_escaped(out, r->flights[i].name);
        add(out, "</h2>\n");
        put_picture(r, &r->flights[i], out);
    }
    if (r->has_seen)
        put_seen(r, out);
    put_figures(r, out);
    for (size_t i = 0; i < r->n; i++) {
        if (r->flights[i].is_policy)
            put_advice(&r->flights[i], out);
    }
    add(out, "</html>\n");
}
