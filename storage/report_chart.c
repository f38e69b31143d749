#include "storage/report_chart.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "storage/report_gather.h"
#include "storage/report_words.h"

static void add(struct strbuf *out, const char *text)
{
    (void)strbuf_add(out, sv_from(text));
}

/* A character of its own in markup; NULL: it is not. */
static const char *entity_of(char c)
{
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    }
    return NULL;
}

void report_html(struct strbuf *out, struct sv text)
{
    while (text.len != 0) {
        const char *entity = entity_of(text.at[0]);
        size_t hidden = sv_hidden(text), len = hidden != 0 ? hidden : sv_utf8(text);

        if (entity != NULL)
            add(out, entity);
        else
            (void)strbuf_add(out, hidden != 0 ? SV(" ") : (struct sv){text.at, len});
        text = sv_skip(text, len);
    }
}

/* ---- columns: pieces, or what they are folded into ---- */

enum { MAX_COLUMNS = 800, MAX_LINES = 62 };

struct columns {
    const struct report *r;
    struct report_row *at;
    size_t n, cap;
    enum calendar_unit unit;
};

static void add_column(struct report_row *to, const struct report_row *piece)
{
    to->until_ms = piece->until_ms;
    to->span_ms += piece->span_ms;
    to->covered_ms += piece->covered_ms;
    to->journal_ms += piece->journal_ms;
    for (int k = 0; k < REPORT_PART_COUNT_; k++)
        report_add(&to->part[k], piece->part[k]);
    to->peak_paid_milli = max_i64(to->peak_paid_milli, piece->peak_paid_milli);
    to->blocked += piece->blocked;
    report_add(&to->wait_ms, piece->wait_ms);
}

/* An hour that comes twice, since the clock is put back, is two columns, as it is two rows. */
static bool same_column(const struct columns *c, const struct report_row *column,
                        const struct report_row *piece, int64_t local_s)
{
    return column->local_s == local_s &&
           (c->unit > CALENDAR_HOUR || column->offset_s == piece->offset_s);
}

static void fold(struct columns *c)
{
    c->n = 0;
    for (size_t i = 0; i < c->r->n_pieces; i++) {
        const struct report_row *piece = &c->r->pieces[i];
        int64_t local_s = calendar_floor(c->unit, piece->local_s);

        if (c->n == 0 || !same_column(c, &c->at[c->n - 1], piece, local_s))
            VEC_PUSH(c->at, c->n, c->cap,
                     ((struct report_row){.first_ms = piece->first_ms,
                                          .local_s = local_s,
                                          .offset_s = piece->offset_s}));
        add_column(&c->at[c->n - 1], piece);
    }
}

/* The finest unit that makes no more columns than that; months in any case. */
static struct columns columns_of(const struct report *r, size_t most)
{
    struct columns c = {.r = r, .unit = r->minutes ? CALENDAR_MINUTE : CALENDAR_HOUR};

    fold(&c);
    while (c.n > most && c.unit < CALENDAR_MONTH) {
        c.unit++;
        fold(&c);
    }
    return c;
}

static int64_t mean_milli(const struct report_row *row, enum report_part part)
{
    return row->covered_ms > 0 ? row->part[part] / row->covered_ms : 0;
}

/* Less than half of it is known: it is not drawn. */
static bool is_gap(const struct report_row *row)
{
    return row->covered_ms * 2 < row->span_ms;
}

/* ---- the chart of use ---- */

/* Of the picture's own units; it is stretched to its place. */
enum { WIDE = 4000, HIGH = 1000 };

struct plot {
    struct columns columns;
    int64_t top_milli;  /* of the axis */
    int64_t step_milli; /* between its lines */
};

static int x_of(const struct plot *p, int64_t t_ms)
{
    const struct report_query *q = &p->columns.r->query;

    return (int)((__int128)(t_ms - q->since_ms) * WIDE / (q->until_ms - q->since_ms));
}

static int y_of(const struct plot *p, int64_t milli)
{
    return HIGH - (int)((__int128)min_i64(milli, p->top_milli) * HIGH / p->top_milli);
}

/* 1, 2 or 5 of some power of ten, so that there are 4 to 10 lines. */
static void scale(struct plot *p)
{
    static const int factors[] = {2, 5, 10};
    int64_t most = 1000, step = 100, base = 100;
    size_t k = 0;

    for (size_t i = 0; i < p->columns.n; i++)
        most = max_i64(most, max_i64(mean_milli(&p->columns.at[i], REPORT_OFFERED),
                                     p->columns.at[i].peak_paid_milli));
    while (most / step >= 6) {
        step = base * factors[k];
        k = (k + 1) % COUNT_OF(factors);
        base = k == 0 ? base * 10 : base;
    }
    p->step_milli = step;
    p->top_milli = most + most / 12;
}

/* The parts up to this one, together. */
static int64_t stacked(const struct report_row *row, enum report_part up_to)
{
    int64_t sum = 0;

    for (int k = REPORT_PAID; k <= (int)up_to; k++)
        sum += mean_milli(row, (enum report_part)k);
    return sum;
}

/* An area from the floor up in steps, one for each stretch without a gap. */
static void put_band(const struct plot *p, const char *class, enum report_part up_to,
                     struct strbuf *out)
{
    bool open = false;

    (void)strbuf_addf(out, "<path class=\"%s\" d=\"", class);
    for (size_t i = 0; i < p->columns.n; i++) {
        const struct report_row *row = &p->columns.at[i];

        if (is_gap(row)) {
            add(out, open ? "V1000Z" : "");
            open = false;
            continue;
        }
        if (!open)
            (void)strbuf_addf(out, "M%d %d", x_of(p, row->first_ms), HIGH);
        open = true;
        (void)strbuf_addf(out, "V%dH%d", y_of(p, stacked(row, up_to)), x_of(p, row->until_ms));
    }
    add(out, open ? "V1000Z\"/>\n" : "\"/>\n");
}

/* A line in steps that breaks at gaps: what was offered, or the most that paid pods asked for. */
static void put_line(const struct plot *p, const char *class, bool peak, struct strbuf *out)
{
    bool open = false;

    (void)strbuf_addf(out, "<path class=\"%s\" d=\"", class);
    for (size_t i = 0; i < p->columns.n; i++) {
        const struct report_row *row = &p->columns.at[i];
        int y = y_of(p, peak ? row->peak_paid_milli : mean_milli(row, REPORT_OFFERED));

        if (is_gap(row)) {
            open = false;
            continue;
        }
        if (!open)
            (void)strbuf_addf(out, "M%d %d", x_of(p, row->first_ms), y);
        (void)strbuf_addf(out, "V%dH%d", y, x_of(p, row->until_ms));
        open = true;
    }
    add(out, "\"/>\n");
}

static void put_gaps(const struct plot *p, struct strbuf *out)
{
    for (size_t i = 0; i < p->columns.n; i++) {
        const struct report_row *row = &p->columns.at[i];
        int64_t first_ms = row->first_ms;

        if (!is_gap(row))
            continue;
        while (i + 1 < p->columns.n && is_gap(&p->columns.at[i + 1]))
            i++;
        (void)strbuf_addf(out,
                          "<rect class=\"gap\" x=\"%d\" y=\"0\" width=\"%d\" height=\"%d\"><title>"
                          "not recorded</title></rect>\n",
                          x_of(p, first_ms), x_of(p, p->columns.at[i].until_ms) - x_of(p, first_ms),
                          HIGH);
    }
}

static void put_grid(const struct plot *p, struct strbuf *out)
{
    add(out, "<path class=\"grid\" d=\"");
    for (int64_t milli = p->step_milli; milli <= p->top_milli; milli += p->step_milli)
        (void)strbuf_addf(out, "M0 %dH%d", y_of(p, milli), WIDE);
    add(out, "\"/>\n");
}

/* ---- ticks of time ---- */

static const struct tick_step {
    int64_t seconds; /* of the clock; 0: months */
    int64_t months;
} tick_steps[] = {
    {300, 0},     {600, 0},   {900, 0},   {1800, 0},  {3600, 0},   {7200, 0},
    {10800, 0},   {21600, 0}, {43200, 0}, {86400, 0}, {172800, 0}, {604800, 0},
    {1209600, 0}, {0, 1},     {0, 3},     {0, 12},
};

enum { MAX_TICKS = 12, MONDAY_S = 4 * 86400 };

/* Two times with the same key have no tick between them. Weeks begin on Monday. */
static int64_t tick_key(const struct tick_step *step, int64_t local_s)
{
    return step->seconds != 0 ? (local_s - MONDAY_S) / step->seconds
                              : calendar_month(local_s) / step->months;
}

static size_t count_ticks(const struct columns *c, const struct tick_step *step)
{
    size_t n = 0;

    for (size_t i = 1; i < c->n; i++)
        n += tick_key(step, c->at[i].local_s) != tick_key(step, c->at[i - 1].local_s);
    return n;
}

static const struct tick_step *choose_ticks(const struct columns *c)
{
    size_t i = 0;

    while (i + 1 < COUNT_OF(tick_steps) && count_ticks(c, &tick_steps[i]) > MAX_TICKS)
        i++;
    return &tick_steps[i];
}

/* "14:30", "5 Oct", "2026-10". */
static void tick_text(const struct tick_step *step, int64_t local_s,
                      char text[static CALENDAR_TEXT_SIZE])
{
    int64_t day_s = calendar_floor(CALENDAR_DAY, local_s), rest = local_s - day_s;
    char *comma;

    if (step->seconds == 0) {
        calendar_text(CALENDAR_MONTH, local_s, text);
    } else if (step->seconds < CALENDAR_DAY_S && rest != 0) {
        (void)snprintf(text, CALENDAR_TEXT_SIZE, "%02d:%02d", (int)(rest / 3600),
                       (int)(rest % 3600 / 60));
    } else {
        calendar_text_moment(local_s, text);
        comma = strchr(text, ',');
        if (comma != NULL)
            *comma = '\0';
    }
}

/* In hundredths of a percent of the width. Every second one is left out where it is narrow. */
static void put_ticks(const struct plot *p, struct strbuf *out)
{
    const struct columns *c = &p->columns;
    const struct tick_step *step = choose_ticks(c);
    char text[CALENDAR_TEXT_SIZE];
    int n = 0;

    for (size_t i = 1; i < c->n; i++) {
        int x = x_of(p, c->at[i].first_ms) * 10000 / WIDE;

        if (tick_key(step, c->at[i].local_s) == tick_key(step, c->at[i - 1].local_s))
            continue;
        tick_text(step, c->at[i].local_s, text);
        if (x < 300 || x > 9700)
            continue;
        (void)strbuf_addf(out, "<text%s x=\"%d.%02d%%\" y=\"300\">%s</text>",
                          n++ % 2 != 0 ? " class=\"odd\"" : "", x / 100, x % 100, text);
    }
    add(out, "\n");
}

static void put_cores_axis(const struct plot *p, struct strbuf *out)
{
    add(out, "<svg class=\"axis\" aria-hidden=\"true\">");
    for (int64_t milli = 0; milli <= p->top_milli; milli += p->step_milli) {
        (void)strbuf_addf(out, "<text x=\"100%%\" y=\"%d\">", y_of(p, milli) * 240 / HIGH + 8);
        (void)strbuf_addf(out, milli % 1000 != 0 ? "%lld.%lld" : "%lld", (long long)(milli / 1000),
                          (long long)(milli % 1000 / 100));
        add(out, "</text>");
    }
    add(out, "<text x=\"100%\" y=\"272\">waits</text></svg>\n");
}

/* Below the chart: how many paid pods waited. The most is as high as the lane. */
static void put_waits_lane(const struct plot *p, struct strbuf *out)
{
    int64_t most = 0;

    for (size_t i = 0; i < p->columns.n; i++)
        most = max_i64(most, p->columns.at[i].blocked);
    add(out, "<svg class=\"lane\" y=\"256\" width=\"100%\" height=\"24\" viewBox=\"0 0 4000 1000\" "
             "preserveAspectRatio=\"none\">");
    for (size_t i = 0; i < p->columns.n; i++) {
        const struct report_row *row = &p->columns.at[i];
        int x = x_of(p, row->first_ms), width = x_of(p, row->until_ms) - x, high;

        if (row->blocked == 0)
            continue;
        high = 200 + (int)(row->blocked * 800 / most);
        (void)strbuf_addf(
            out,
            "<rect class=\"wait\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"><title>"
            "%lld waited</title></rect>",
            x, HIGH - high, width > 12 ? width : 12, high, (long long)row->blocked);
    }
    add(out, "</svg>\n");
}

static const char *unit_name(enum calendar_unit unit)
{
    static const char *const names[] = {"minute", "hour", "day", "week", "month"};

    return names[unit];
}

static void put_use_description(const struct plot *p, struct strbuf *out)
{
    (void)strbuf_addf(
        out,
        "<desc id=\"use-desc\">Cores by the %s, stacked from below: paid work, filler "
        "at work, filler that starts or stops, kept free, idle; the line above is "
        "what the nodes offered, ",
        unit_name(p->columns.unit));
    if (p->columns.unit != CALENDAR_MINUTE)
        add(out, "the thin line the most that paid work asked for, ");
    add(out, "the marks below are paid pods that waited. ");
    (void)strbuf_addf(out, "The table after it has the same figures.</desc>\n");
}

static void put_use_picture(const struct plot *p, struct strbuf *out)
{
    add(out, "<svg class=\"plot\" role=\"img\" aria-labelledby=\"use-title use-desc\">"
             "<title id=\"use-title\">What the cores were used for</title>");
    put_use_description(p, out);
    add(out, "<svg y=\"4\" width=\"100%\" height=\"240\" viewBox=\"0 0 4000 1000\" "
             "preserveAspectRatio=\"none\">\n");
    put_band(p, "idle", REPORT_IDLE, out);
    put_band(p, "kept", REPORT_KEPT, out);
    put_band(p, "kept-hatch", REPORT_KEPT, out);
    put_band(p, "churn", REPORT_CHURN, out);
    put_band(p, "churn-hatch", REPORT_CHURN, out);
    put_band(p, "filler", REPORT_FILLER, out);
    put_band(p, "filler-dots", REPORT_FILLER, out);
    put_band(p, "paid", REPORT_PAID, out);
    put_grid(p, out);
    put_gaps(p, out);
    if (p->columns.unit != CALENDAR_MINUTE)
        put_line(p, "peak", true, out);
    put_line(p, "brim", false, out);
    add(out, "</svg>\n");
    put_waits_lane(p, out);
    put_ticks(p, out);
    add(out, "</svg>\n");
}

static void put_amount_cell(int64_t milli, struct strbuf *out)
{
    add(out, "<td>");
    report_put_amount(out, milli);
    add(out, "</td>");
}

/* How many waited; who the journal does not tell of is not nobody. */
static void put_waits(const struct report_row *row, struct strbuf *out)
{
    if (row->journal_ms > 0 || row->blocked > 0)
        (void)strbuf_addf(out, "%lld", (long long)row->blocked);
    else
        add(out, "–");
}

static void put_use_line(const struct columns *c, const struct report_row *row, struct strbuf *out)
{
    char name[CALENDAR_TEXT_SIZE];

    if (c->r->offsets_differ && c->unit <= CALENDAR_HOUR)
        calendar_text_offset(c->unit, row->local_s, row->offset_s, name);
    else
        calendar_text(c->unit, row->local_s, name);
    (void)strbuf_addf(out, "<tr><th scope=\"row\">%s</th>", name);
    for (int k = 0; k < REPORT_PART_COUNT_ && row->covered_ms > 0; k++)
        put_amount_cell(mean_milli(row, (enum report_part)k), out);
    if (row->covered_ms > 0)
        put_amount_cell(row->peak_paid_milli, out);
    else
        add(out, "<td colspan=\"7\">not recorded</td>");
    add(out, "<td>");
    put_waits(row, out);
    add(out, "</td></tr>\n");
}

static void put_use_table(const struct report *r, struct strbuf *out)
{
    struct columns c = columns_of(r, MAX_LINES);

    (void)strbuf_addf(
        out,
        "<details><summary>The chart as a table, by the %s</summary><div class=\"over\" "
        "tabindex=\"0\" role=\"region\" aria-label=\"Use as a table\"><table><caption>"
        "Cores, mean of each %s</caption>"
        "<thead><tr><th scope=\"col\">%s</th>",
        unit_name(c.unit), unit_name(c.unit), unit_name(c.unit));
    add(out,
        "<th scope=\"col\">offered</th><th scope=\"col\">paid</th><th scope=\"col\">filler</th>"
        "<th scope=\"col\">starting, stopping</th><th scope=\"col\">kept free</th>"
        "<th scope=\"col\">idle</th><th scope=\"col\">most paid</th>"
        "<th scope=\"col\">waits</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < c.n; i++)
        put_use_line(&c, &c.at[i], out);
    add(out, "</tbody></table></div></details>\n");
    free(c.at);
}

static void put_key(bool peak, struct strbuf *out)
{
    static const char *const entries[][2] = {
        {"paid", "paid"},
        {"filler", "filler at work"},
        {"churn", "filler starting, stopping"},
        {"kept", "kept free"},
        {"idle", "idle"},
    };

    add(out, "<p class=\"key\" aria-hidden=\"true\">cores:");
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        (void)strbuf_addf(out,
                          " <span><svg width=\"18\" height=\"12\"><rect class=\"%s\" width=\"18\" "
                          "height=\"12\"/>",
                          entries[i][0]);
        if (i >= 1 && i <= 3)
            (void)strbuf_addf(out, "<rect class=\"%s\" width=\"18\" height=\"12\"/>",
                              i == 1   ? "filler-dots"
                              : i == 2 ? "churn-hatch"
                                       : "kept-hatch");
        (void)strbuf_addf(out, "</svg> %s</span>", entries[i][1]);
    }
    add(out, " <span><svg width=\"18\" height=\"12\"><path class=\"brim\" d=\"M0 6H18\"/></svg> "
             "offered</span>");
    if (peak)
        add(out,
            " <span><svg width=\"18\" height=\"12\"><path class=\"peak\" d=\"M0 6H18\"/></svg> "
            "most that paid work asked for</span>");
    add(out,
        " <span><svg width=\"18\" height=\"12\"><rect class=\"wait\" width=\"6\" height=\"12\"/>"
        "</svg> paid pods that waited</span></p>\n");
}

void report_chart_use(const struct report *r, struct strbuf *out)
{
    struct plot p = {.columns = columns_of(r, MAX_COLUMNS)};

    scale(&p);
    put_key(p.columns.unit != CALENDAR_MINUTE, out);
    add(out, "<div class=\"chart\">\n");
    put_cores_axis(&p, out);
    put_use_picture(&p, out);
    add(out, "</div>\n");
    put_use_table(r, out);
    free(p.columns.at);
}

/* ---- the hours of the week ---- */

enum map_kind { MAP_PAID, MAP_USED, MAP_WAITS, MAP_COUNT_ };
enum { CELL = 10, MAP_LEFT = 26, MAP_TOP = 12, STEPS = 7 };

static const char *const map_titles[] = {"Paid work", "Paid work and filler",
                                         "Paid pods that waited"};

static int64_t used_of(const struct report_row *row)
{
    int64_t used = row->part[REPORT_PAID];

    report_add(&used, row->part[REPORT_FILLER]);
    return used;
}

static int64_t most_waits(const struct report *r)
{
    int64_t most = 1;

    for (int i = 0; i < CALENDAR_WEEK_HOURS; i++)
        most = max_i64(most, r->week[i].blocked);
    return most;
}

/* 0 to 6; 0 is 0 alone where waits are counted. */
static int step_of(enum map_kind kind, const struct report_row *row, int64_t most)
{
    int64_t share;

    if (kind == MAP_WAITS)
        return row->blocked == 0 ? 0 : 1 + (int)((row->blocked * (STEPS - 1) - 1) / most);
    share = report_share_milli(kind == MAP_PAID ? row->part[REPORT_PAID] : used_of(row),
                               row->part[REPORT_OFFERED]);
    return (int)min_i64(share * STEPS / 1000, STEPS - 1);
}

/* "Tue 14:00: paid 41.2 %, all 86.0 %, waits 0, 4 h". */
static void put_cell_title(const struct report_row *row, int hour, struct strbuf *out)
{
    (void)strbuf_addf(out, "<title>%s %02d:00: ", calendar_day_name(hour / 24), hour % 24);
    if (row->covered_ms == 0) {
        add(out, "not recorded</title>");
        return;
    }
    add(out, "paid ");
    report_put_share(out, row->part[REPORT_PAID], row->part[REPORT_OFFERED]);
    add(out, ", all ");
    report_put_share(out, used_of(row), row->part[REPORT_OFFERED]);
    add(out, ", waits ");
    put_waits(row, out);
    (void)strbuf_addf(out, ", %lld h</title>", (long long)((row->covered_ms + 1800000) / 3600000));
}

/* Less than two weeks of it were seen. */
static bool is_thin(const struct report_row *row)
{
    return row->covered_ms < 2 * 3600000LL * 99 / 100;
}

static bool map_tells(enum map_kind kind, const struct report_row *row)
{
    return kind == MAP_WAITS ? row->journal_ms > 0 || row->blocked > 0 : row->covered_ms > 0;
}

static void put_map(const struct report *r, enum map_kind kind, struct strbuf *out)
{
    int64_t most = most_waits(r);

    (void)strbuf_addf(
        out,
        "<figure><figcaption id=\"map%d\">%s</figcaption><svg class=\"map\" viewBox=\"0 0 "
        "%d %d\" role=\"img\" aria-labelledby=\"map%d\">\n",
        (int)kind, map_titles[kind], MAP_LEFT + 24 * CELL, MAP_TOP + 7 * CELL, (int)kind);
    for (int hour = 0; hour < 24; hour += 6)
        (void)strbuf_addf(out, "<text x=\"%d\" y=\"9\">%02d</text>", MAP_LEFT + hour * CELL, hour);
    for (int i = 0; i < CALENDAR_WEEK_HOURS; i++) {
        const struct report_row *row = &r->week[i];
        int x = MAP_LEFT + i % 24 * CELL, y = MAP_TOP + i / 24 * CELL;

        if (i % 24 == 0)
            (void)strbuf_addf(out, "<text x=\"0\" y=\"%d\">%s</text>\n", y + CELL - 2,
                              calendar_day_name(i / 24));
        if (!map_tells(kind, row))
            (void)strbuf_addf(out, "<rect class=\"none\" x=\"%d\" y=\"%d\">", x, y);
        else
            (void)strbuf_addf(out, "<rect class=\"s%d\" x=\"%d\" y=\"%d\">",
                              step_of(kind, row, most), x, y);
        put_cell_title(row, i, out);
        add(out, "</rect>");
        if (map_tells(kind, row) && is_thin(row))
            (void)strbuf_addf(out, "<path class=\"thin\" d=\"M%d %dl%d %d\"/>", x, y + CELL - 1,
                              CELL - 1, 1 - CELL);
    }
    add(out, "</svg>\n");
}

static void put_map_scale(enum map_kind kind, int64_t most, struct strbuf *out)
{
    add(out, "<p class=\"scale\">");
    for (int i = 0; i < STEPS; i++)
        (void)strbuf_addf(
            out,
            "<svg width=\"14\" height=\"12\" aria-hidden=\"true\"><rect class=\"s%d\" "
            "width=\"14\" height=\"12\"/></svg>",
            i);
    if (kind == MAP_WAITS)
        (void)strbuf_addf(out, " 0 to %lld", (long long)most);
    else
        add(out, " 0 to 100 %");
    add(out, "</p></figure>\n");
}

static void put_week_table(const struct report *r, struct strbuf *out)
{
    add(out, "<details><summary>The maps as a table</summary><div class=\"over\" tabindex=\"0\" "
             "role=\"region\" aria-label=\"Hours of the week as a table\"><table><caption>Percent "
             "paid / percent in all / waits</caption><thead><tr><th scope=\"col\">hour</th>");
    for (int day = 0; day < 7; day++)
        (void)strbuf_addf(out, "<th scope=\"col\">%s</th>", calendar_day_name(day));
    add(out, "</tr></thead><tbody>\n");
    for (int hour = 0; hour < 24; hour++) {
        (void)strbuf_addf(out, "<tr><th scope=\"row\">%02d:00</th>", hour);
        for (int day = 0; day < 7; day++) {
            const struct report_row *row = &r->week[day * 24 + hour];
            int64_t paid = report_share_milli(row->part[REPORT_PAID], row->part[REPORT_OFFERED]);
            int64_t used = report_share_milli(used_of(row), row->part[REPORT_OFFERED]);

            if (row->covered_ms == 0) {
                add(out, "<td>–</td>");
            } else {
                (void)strbuf_addf(out, "<td>%lld / %lld / ", (long long)(paid + 5) / 10,
                                  (long long)(used + 5) / 10);
                put_waits(row, out);
                add(out, "</td>");
            }
        }
        add(out, "</tr>\n");
    }
    add(out, "</tbody></table></div></details>\n");
}

void report_chart_week(const struct report *r, struct strbuf *out)
{
    add(out, "<div class=\"maps\">\n");
    for (enum map_kind kind = 0; kind < MAP_COUNT_; kind++) {
        put_map(r, kind, out);
        put_map_scale(kind, most_waits(r), out);
    }
    add(out, "</div>\n");
    put_week_table(r, out);
}

/* ---- waits ---- */

/* Counts, and a bar for each. */
struct bars {
    const char *caption, *of, *counted; /* what is counted, and by what */
    const char *mark;                   /* class of the bars */
};

static void put_bars(const struct bars *bars, const char *const *names, const int64_t *counts,
                     size_t n, struct strbuf *out)
{
    int64_t most = 1;

    for (size_t i = 0; i < n; i++)
        most = max_i64(most, counts[i]);
    (void)strbuf_addf(out,
                      "<table class=\"bars\"><caption>%s</caption><thead><tr><th scope=\"col\">%s"
                      "</th><th scope=\"col\">%s</th><td></td></tr></thead><tbody>\n",
                      bars->caption, bars->of, bars->counted);
    for (size_t i = 0; i < n; i++)
        (void)strbuf_addf(out,
                          "<tr><th scope=\"row\">%s</th><td>%lld</td><td class=\"bar\"><svg "
                          "width=\"100%%\" height=\"12\" aria-hidden=\"true\"><rect class=\"%s\" "
                          "width=\"%lld%%\" height=\"12\"/></svg></td></tr>\n",
                          names[i], (long long)counts[i], bars->mark,
                          (long long)(counts[i] * 100 / most));
    add(out, "</tbody></table>\n");
}

void report_chart_waits(const struct report *r, struct strbuf *out)
{
    static const struct bars bars = {"How long they waited", "wait", "pods", "wait"};
    static const char *const names[] = {"up to 1 s",  "1 to 5 s",   "5 to 10 s", "10 to 30 s",
                                        "30 to 60 s", "1 to 5 min", "over 5 min"};

    _Static_assert(COUNT_OF(names) == REPORT_WAIT_BUCKETS, "a bucket has no name");
    put_bars(&bars, names, r->total.wait_buckets, COUNT_OF(names), out);
}

/* ---- yields ---- */

void report_chart_latencies(const struct report *r, struct strbuf *out)
{
    static const struct bars bars = {"How soon yields answered a paid pod that waited", "within",
                                     "yields", "paid"};
    static const char *const names[] = {"1 ms",   "5 ms",   "20 ms", "50 ms",
                                        "100 ms", "500 ms", "1 s",   "longer"};
    static const int64_t steps_us[] = {1000, 5000, 20000, 50000, 100000, 500000, 1000000};
    int64_t counts[COUNT_OF(names)] = {0};

    _Static_assert(COUNT_OF(steps_us) + 1 == COUNT_OF(names), "one is beyond the last");
    for (size_t i = 0; i < r->latencies.n; i++) {
        size_t at = 0;

        while (at < COUNT_OF(steps_us) && r->latencies.at[i].length > steps_us[at])
            at++;
        counts[at] += r->latencies.at[i].n;
    }
    put_bars(&bars, names, counts, COUNT_OF(names), out);
}

/* ---- groups of nodes ---- */

/* In tenths of a percent of the picture's width. */
static int64_t put_bar(const char *class, int64_t from, int64_t milli, int64_t most_milli,
                       struct strbuf *out)
{
    int64_t width = min_i64(milli * 1000 / most_milli, 1000 - from);

    if (width > 0)
        (void)strbuf_addf(out,
                          "<rect class=\"%s\" x=\"%lld.%lld%%\" width=\"%lld.%lld%%\" "
                          "height=\"12\"/>",
                          class, (long long)(from / 10), (long long)(from % 10),
                          (long long)(width / 10), (long long)(width % 10));
    return from + max_i64(width, 0);
}

void report_chart_group(const struct report_group *g, int64_t most_milli, struct strbuf *out)
{
    int64_t paid = groups_mean_milli(&g->sum, GROUP_PAID);
    int64_t filler = groups_mean_milli(&g->sum, GROUP_FILLER), at;
    int64_t offered = groups_mean_milli(&g->sum, GROUP_ALLOCATABLE);

    most_milli = max_i64(most_milli, 1);
    add(out, "<svg width=\"100%\" height=\"12\" aria-hidden=\"true\">");
    at = put_bar("paid", 0, paid, most_milli, out);
    (void)put_bar("filler", at, filler, most_milli, out);
    at = put_bar("filler-dots", at, filler, most_milli, out);
    (void)put_bar("idle", at, offered - paid - filler, most_milli, out);
    add(out, "</svg>");
}
