#include "agent/top/screen.h"

#include <stdio.h>
#include <string.h>

#include "agent/top/parts.h"
#include "agent/top/words.h"

enum {
    SMALL_COLS = 60,
    SMALL_ROWS = 12,
    BESIDE_COLS = 150, /* from here nodes stand beside the chart */
    BELOW_ROWS = 40,   /* from here below it */
    CHART_LEAST = 4,   /* lines, with the axis, that a chart needs */
    STATE_WORDS = 80,
    LEFT_COLS = 84, /* of the chart when nodes stand beside it */
    GAP_COLS = 2,
};

const int screen_steps[SCREEN_STEPS] = {0, 1, 2, 5, 10, 20, 60, 120};

/* How late the agent's own clock is now. */
static int64_t agent_now(const struct screen *s)
{
    return s->view->t + (s->now_ms - s->answered_ms);
}

static bool away(const struct screen *s)
{
    return s->trouble[0] != '\0';
}

static void who_waits(const struct top_view *v, char *text, size_t size)
{
    if (v->waiting_pods > 0)
        (void)snprintf(text, size, "%lld paid pod%s wait%s.", (long long)v->waiting_pods,
                       v->waiting_pods == 1 ? "" : "s", v->waiting_pods == 1 ? "s" : "");
    else
        (void)snprintf(text, size, "%s",
                       v->waiting_pods == 0 ? "Nobody waits." : "Who waits is not known.");
}

void screen_sentence(const struct screen *s, char text[static SCREEN_SENTENCE])
{
    const struct top_view *v = s->view;
    char work[WORDS_CORES], all[WORDS_CORES], paid[WORDS_CORES], filler[WORDS_CORES];
    char time[WORDS_TIME], waits[80];
    int64_t used = v->cpu.paid + v->cpu.filler;

    if (!v->has_status) {
        (void)snprintf(text, SCREEN_SENTENCE, "Waiting for the agent at %s%s%s", s->agent,
                       away(s) ? ": " : "", s->trouble);
        return;
    }
    if (v->cpu.allocatable <= 0 || v->cpu.paid < 0 || v->cpu.filler < 0) {
        (void)snprintf(text, SCREEN_SENTENCE, "%s.", v->doing);
        return;
    }
    words_cores(used, work);
    words_cores(v->cpu.allocatable, all);
    words_cores(v->cpu.paid, paid);
    words_cores(v->cpu.filler, filler);
    if (away(s)) {
        words_time(s->answered_ms, time);
        (void)snprintf(text, SCREEN_SENTENCE,
                       "At %s, %s of %s cores were at work: %s paid, %s filler.", time, work, all,
                       paid, filler);
        return;
    }
    who_waits(v, waits, sizeof waits);
    (void)snprintf(text, SCREEN_SENTENCE,
                   "%s of %s cores at work (%.0f %%): %s paid, %s filler. %s", work, all,
                   (double)used * 100 / (double)v->cpu.allocatable, paid, filler, waits);
}

/* Words over as many lines as it takes; returns the line behind them. */
static int draw_wrapped(struct canvas *c, int row, int last, enum ink ink, const char *text)
{
    struct sv rest = sv_from(text), word;
    int col = 0;

    while (row < last && sv_next(&rest, ' ', &word)) {
        if (col != 0 && col + 1 + (int)word.len > c->cols) {
            row++;
            col = 0;
        }
        if (row < last)
            col = canvas_text(c, row, col != 0 ? col + 1 : 0, ink, "%.*s", SV_ARG(word));
    }
    return row + 1;
}

/* How fresh what is shown is, and the time; returns where it begins. */
static int draw_freshness(const struct screen *s, struct canvas *c)
{
    int64_t tenths = (s->now_ms - s->answered_ms) / 100;
    char time[WORDS_TIME], age[WORDS_SPAN], text[120];
    bool stale = strcmp(s->view->state, "stale") == 0, bad = away(s) || stale;

    words_time(s->now_ms, time);
    words_span(stale ? s->view->watch_ms : s->now_ms - s->answered_ms, age);
    if (s->paused)
        (void)snprintf(text, sizeof text, "PAUSED   %s UTC", time);
    else if (s->answered_ms == 0)
        (void)snprintf(text, sizeof text, "no answer yet   %s UTC", time);
    else if (bad)
        (void)snprintf(text, sizeof text, "%s for %s   %s UTC",
                       away(s) ? "AWAY, tries on" : "STALE", age, time);
    else
        (void)snprintf(text, sizeof text, "live, %lld.%lld s ago   %s UTC",
                       (long long)(tenths / 10), (long long)(tenths % 10), time);
    canvas_right(c, 0, c->cols, bad ? INK_WAITING : INK_MUTED, "%s", text);
    return c->cols - (int)strlen(text);
}

static void draw_header(const struct screen *s, struct canvas *c)
{
    int end = draw_freshness(s, c) - 2, col = canvas_text(c, 0, 0, INK_BOLD, "brim top") + 3;
    struct sv agent = sv_from(s->agent);
    char nodes[40];

    if (sv_starts(agent, SV("http://")))
        agent = sv_skip(agent, sizeof "http://" - 1);
    if (end > col)
        col = canvas_text(c, 0, col, INK_TEXT, "%.*s",
                          (int)agent.len < end - col ? (int)agent.len : end - col, agent.at) +
              3;
    (void)snprintf(nodes, sizeof nodes, "%lld node%s", (long long)s->view->nodes,
                   s->view->nodes == 1 ? "" : "s");
    if (s->view->has_status && s->view->nodes >= 0 && col + (int)strlen(nodes) <= end)
        (void)canvas_text(c, 0, col, INK_TEXT, "%s", nodes);
}

static void draw_key(const struct top_view *v, struct canvas *c, int row)
{
    const struct top_cpu *p = &v->cpu;
    int64_t idle = p->allocatable - p->paid - p->waiting - p->filler - p->leaving - run_kept(p);
    const struct {
        enum mark mark;
        const char *name;
        int64_t milli, of;
    } rows[] = {
        {MARK_PAID, "paid", p->paid, TOP_UNKNOWN},
        {MARK_WAITING, "waiting", p->waiting, TOP_UNKNOWN},
        {MARK_FILLER, "filler", p->filler, TOP_UNKNOWN},
        {MARK_LEAVING, "leaving", p->leaving, TOP_UNKNOWN},
        {MARK_KEPT, "kept", run_kept(p), p->reserve + p->headroom},
        {MARK_IDLE, "idle", idle > 0 ? idle : 0, TOP_UNKNOWN},
    };
    int col = 0;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char cores[WORDS_CORES], of[WORDS_CORES];

        words_cores(rows[i].milli, cores);
        words_cores(rows[i].of, of);
        if (rows[i].mark != MARK_IDLE) {
            canvas_mark(c, row, col, 1, rows[i].mark);
            col += 2;
        }
        col = canvas_text(c, row, col, INK_TEXT, "%s %s%s%s", rows[i].name, cores,
                          rows[i].of >= 0 ? "/" : "", rows[i].of >= 0 ? of : "");
        col += 2;
    }
}

/* What the last 24 hours came to, or the time since the agent's start if that is less. */
static void draw_day(const struct top_view *v, struct canvas *c, int row)
{
    char waited[WORDS_COUNT], paid[WORDS_COUNT], hours[WORDS_COUNT], span[WORDS_SPAN];
    bool whole = v->t - v->day_from >= INT64_C(24) * 3600 * 1000;
    double percent = v->day_paid > 0 ? (double)v->day_blocked * 100 / (double)v->day_paid : 0;
    int col;

    if (v->day_from < 0 || v->day_paid < 0) {
        (void)canvas_text(c, row, 0, INK_MUTED, "%s", v->doing);
        return;
    }
    words_count(v->day_blocked, waited);
    words_count(v->day_paid, paid);
    words_span(v->t - v->day_from, span);
    col = canvas_text(c, row, 0, INK_TEXT, "%s%s: ", whole ? "" : "last ", whole ? "24 h" : span);
    if (v->day_paid == 0)
        col = canvas_text(c, row, col, INK_TEXT, "no paid pod arrived");
    else
        col = canvas_text(c, row, col, INK_TEXT, "%s of %s paid pods waited for filler", waited,
                          paid);
    if (percent > 0)
        col = canvas_text(c, row, col, INK_TEXT, " (%.*f %%)", percent < 1 ? 2 : 1, percent);
    if (v->day_core_hours < 0)
        return;
    if (v->day_core_hours < 10000)
        words_cores(v->day_core_hours, hours);
    else
        words_count(v->day_core_hours / 1000, hours);
    col = canvas_text(c, row, col, INK_TEXT, "; %s core-h", hours);
    if (col + (int)strlen(" harvested") <= c->cols)
        (void)canvas_text(c, row, col, INK_TEXT, " harvested");
}

/* When the filler's count last moved, by the agent's clock; TOP_UNKNOWN if that was for another
 * reason than its state: the decision behind the state was not read yet. */
static int64_t moved_at(const struct top_view *v, const struct top_filler *f)
{
    for (size_t i = 0; i < v->n_decisions; i++) {
        const struct top_decision *d = &v->decisions[i];

        if (strcmp(d->policy, f->policy) == 0 && d->from != d->to)
            return strcmp(d->reason, f->state) == 0 ? d->t : TOP_UNKNOWN;
    }
    return TOP_UNKNOWN;
}

static void state_words(const struct top_filler *f, int64_t moved, int64_t now, char *text,
                        size_t size)
{
    static const struct {
        const char *state, *moved, *words;
    } states[] = {
        {"yield", "yielded", "yields"},
        {"harvest", "grew", "grows"},
        {"foreign", NULL, "keeps somebody else's count"},
        {"stale", NULL, "no news, does not grow"},
    };
    const char *words = f->trouble[0] != '\0' ? "not acting" : f->state;
    char ago[WORDS_SPAN];

    words_span(now - moved, ago);
    for (size_t i = 0; f->trouble[0] == '\0' && i < COUNT_OF(states); i++) {
        if (strcmp(f->state, states[i].state) != 0)
            continue;
        words = states[i].words;
        if (states[i].moved != NULL && moved >= 0) {
            (void)snprintf(text, size, "%s %s ago", states[i].moved, ago);
            return;
        }
    }
    (void)snprintf(text, size, "%s", words);
}

static void state_text(const struct screen *s, const struct top_filler *f, char *text, size_t size)
{
    int64_t now = agent_now(s);
    bool settles = f->earliest_up_t > now && strcmp(f->bound, "settle") == 0;
    char words[STATE_WORDS], gated[STATE_WORDS] = "", more[WORDS_SPAN];

    state_words(f, moved_at(s->view, f), now, words, sizeof words);
    if (f->gated > 0)
        (void)snprintf(gated, sizeof gated, ", %lld gated", (long long)f->gated);
    words_span(f->earliest_up_t - now, more);
    (void)snprintf(text, size, "%s%s%s%s%s", words, gated, settles ? ", settles " : "",
                   settles ? more : "", settles ? " more" : "");
}

static void draw_filler(const struct screen *s, struct canvas *c, int row,
                        const struct top_filler *f)
{
    const int64_t figures[] = {f->wanted, f->running, f->leaving, f->fit, f->max};
    char state[2 * STATE_WORDS + 80];

    (void)canvas_text(c, row, 0, INK_TEXT, "%.14s", f->policy);
    for (int i = 0; i < (int)COUNT_OF(figures); i++) {
        char count[WORDS_COUNT];

        (void)snprintf(count, sizeof count, "%lld", (long long)figures[i]);
        canvas_right(c, row, 20 + 6 * i, INK_TEXT, "%.5s", figures[i] >= 0 ? count : "-");
    }
    state_text(s, f, state, sizeof state);
    (void)canvas_text(c, row, 46, f->trouble[0] != '\0' ? INK_WAITING : INK_TEXT, "%s", state);
}

/* A text that is too long for its line ends in dots, behind a whole word. */
static void draw_cut(struct canvas *c, int row, int col, enum ink ink, const char *text)
{
    int len = (int)strlen(text), room = c->cols - col - 3;

    if (col + len <= c->cols) {
        (void)canvas_text(c, row, col, ink, "%s", text);
        return;
    }
    while (room > 0 && text[room] != ' ')
        room--;
    while (room > 0 && strchr(" ,;:(", text[room - 1]) != NULL)
        room--;
    (void)canvas_text(c, row, col, ink, "%.*s...", room > 0 ? room : 0, text);
}

/* The sum that makes N: cores down to the pods that fit, then pods. */
static void draw_sum(const struct top_view *v, struct canvas *c, int row)
{
    const struct top_filler *f = &v->fillers[0];
    const struct top_cpu *p = &v->cpu;
    int64_t room = p->allocatable - p->paid - (p->waiting > 0 ? p->waiting : 0);
    int64_t rounding = f->slot > 0 && f->fit <= room / f->slot ? room - f->fit * f->slot : 0;
    char all[WORDS_CORES], paid[WORDS_CORES], other[WORDS_CORES];
    int col;

    if (f->trouble[0] != '\0')
        (void)canvas_text(c, row, 2, INK_WAITING, "%s", f->trouble);
    if (f->trouble[0] != '\0' || f->fit < 0 || f->kept < 0 || p->allocatable < 0 || p->paid < 0)
        return;
    words_cores(p->allocatable, all);
    words_cores(p->paid, paid);
    col = canvas_text(c, row, 2, INK_TEXT, "%s cores - %s paid", all, paid);
    words_cores(p->waiting, other);
    if (p->waiting > 0)
        col = canvas_text(c, row, col, INK_TEXT, " - %s waiting", other);
    words_cores(rounding, other);
    if (rounding >= 50)
        col = canvas_text(c, row, col, INK_TEXT, " - %s rounding", other);
    words_cores(f->slot, other);
    if (f->slot > 0 && f->slot != 1000)
        col =
            canvas_text(c, row, col, INK_TEXT, " = %lld pods of %s fit", (long long)f->fit, other);
    else
        col = canvas_text(c, row, col, INK_TEXT, " = %lld fit", (long long)f->fit);
    (void)canvas_text(c, row, col, INK_TEXT, " - %lld kept = %lld%s%s", (long long)f->kept,
                      (long long)(f->fit > f->kept ? f->fit - f->kept : 0),
                      f->bound[0] != '\0' ? "; bound by " : "", f->bound);
}

/* Returns the line behind the fillers. */
static int draw_fillers(const struct screen *s, struct canvas *c, int row, int most)
{
    static const char *const headings[] = {"WANT", "RUN", "LEAVE", "FIT", "MAX"};
    const struct top_view *v = s->view;
    int shown = (int)v->n_fillers < most ? (int)v->n_fillers : most;

    if (v->has_status && v->n_fillers == 0) {
        (void)canvas_text(c, row, 0, INK_TEXT,
                          "No filler yet: give the agent a FillerPolicy (brim explain policy).");
        return row + 1;
    }
    (void)canvas_text(c, row, 0, INK_BOLD, "FILLER");
    for (int i = 0; i < (int)COUNT_OF(headings); i++)
        canvas_right(c, row, 20 + 6 * i, INK_BOLD, "%s", headings[i]);
    (void)canvas_text(c, row, 46, INK_BOLD, "STATE");
    for (int i = 0; i < shown; i++)
        draw_filler(s, c, row + 1 + i, &v->fillers[i]);
    if ((int64_t)shown < v->fillers_total)
        canvas_right(c, row, c->cols, INK_MUTED, "%lld more",
                     (long long)(v->fillers_total - shown));
    row += 1 + shown;
    if (shown != 0)
        draw_sum(v, c, row);
    if (shown != 0 && v->fillers[0].note[0] != '\0')
        draw_cut(c, ++row, 2, INK_WAITING, v->fillers[0].note);
    return row + 1;
}

static void draw_decision(struct canvas *c, int row, const struct top_decision *d, bool name)
{
    const char *detail = strstr(d->detail, ": ");
    char time[WORDS_TIME], move[64];
    int col;

    words_time(d->t, time);
    if (d->from == d->to)
        (void)snprintf(move, sizeof move, "%lld", (long long)d->to);
    else
        (void)snprintf(move, sizeof move, "%lld > %lld", (long long)d->from, (long long)d->to);
    col = canvas_text(c, row, 0, INK_TEXT, "%s %c %-9s ", time,
                      d->to > d->from   ? '^'
                      : d->to < d->from ? 'v'
                                        : 'o',
                      move);
    if (name)
        col = canvas_text(c, row, col, INK_TEXT, "%s ", d->policy);
    col = canvas_text(c, row, col, INK_TEXT, "%s: ", d->reason);
    draw_cut(c, row, col, INK_TEXT, detail != NULL ? detail + 2 : d->detail);
}

/* Without `all` those are left out that only say that all is done. */
static void draw_decisions(const struct top_view *v, struct canvas *c, struct parts_box box,
                           bool all)
{
    int row = 0;

    for (size_t i = 0; i < v->n_decisions && row < box.rows; i++) {
        const struct top_decision *d = &v->decisions[i];

        if (all || d->from != d->to || strcmp(d->reason, "steady") != 0)
            draw_decision(c, box.row + row++, d, v->n_fillers > 1);
    }
    if (v->n_decisions == 0 && box.rows > 0)
        (void)canvas_text(c, box.row, 0, INK_MUTED, "Nothing was decided yet.");
}

/* The seconds a column stands for: as chosen, or the least that show the whole run. */
static int step_of(const struct screen *s, int columns)
{
    int i = 1;

    if (screen_steps[s->step] != 0)
        return screen_steps[s->step];
    while (i + 1 < SCREEN_STEPS &&
           s->now_ms - s->run->started_ms > (int64_t)screen_steps[i] * columns * 1000)
        i++;
    return screen_steps[i];
}

static void draw_chart(const struct screen *s, struct canvas *c, struct parts_box box)
{
    parts_chart(c, box, s->run, s->now_ms, step_of(s, box.cols));
}

/* Chart and decisions, and nodes where there is room for them. */
static void draw_body(const struct screen *s, struct canvas *c, struct parts_box box)
{
    bool beside = c->cols >= BESIDE_COLS, below = !beside && c->rows >= BELOW_ROWS;
    int nodes = 0, chart;

    if (below) {
        nodes = (int)s->view->n_nodes + 1;
        nodes = nodes > box.rows / 3 ? box.rows / 3 : nodes;
    }
    if (beside) {
        struct parts_box right = {box.row, LEFT_COLS + GAP_COLS, c->cols - LEFT_COLS - GAP_COLS,
                                  box.rows * 3 / 5};

        box.cols = LEFT_COLS;
        parts_nodes(c, right, s->view);
    }
    chart = s->run != NULL ? (box.rows - nodes) * 3 / 5 : 0;
    if (chart >= CHART_LEAST) {
        draw_chart(s, c, (struct parts_box){box.row, 0, box.cols, chart});
        box.row += chart;
        box.rows -= chart;
    } else if (beside) {
        box.row += box.rows * 3 / 5; /* decisions are wide: they stay below the nodes */
        box.rows -= box.rows * 3 / 5;
    }
    if (nodes != 0)
        parts_nodes(c, (struct parts_box){box.row, 0, box.cols, nodes}, s->view);
    draw_decisions(s->view, c, (struct parts_box){box.row + nodes, 0, c->cols, box.rows - nodes},
                   false);
}

static void draw_help(struct canvas *c, struct parts_box box)
{
    static const char *const lines[] = {
        "# paid      what pods that are not filler ask for",
        "! waiting   what pending paid pods claim",
        "+ filler    what filler asks for",
        "/ leaving   filler that was told to stop and still holds its room",
        ": kept      kept free for paid pods to come: reserve and headroom",
        "? unknown   the agent did not answer",
        "",
        "f  fillers and chart    n  nodes    d  decisions",
        "+  longer range         -  shorter range",
        "p  stop and go on       q  end, with a report of the run",
    };

    for (size_t i = 0; i < COUNT_OF(lines) && (int)i < box.rows; i++)
        (void)canvas_text(c, box.row + (int)i, 2, INK_TEXT, "%s", lines[i]);
}

static void draw_page(const struct screen *s, struct canvas *c, struct parts_box box)
{
    switch (s->page) {
    case SCREEN_MAIN:
        draw_body(s, c, box);
        return;
    case SCREEN_NODES:
        parts_nodes(c, box, s->view);
        return;
    case SCREEN_DECISIONS:
        draw_decisions(s->view, c, box, true);
        return;
    case SCREEN_HELP:
        draw_help(c, box);
        return;
    case SCREEN_PAGE_COUNT_:
        return;
    }
}

static bool small(int cols, int rows)
{
    return cols < SMALL_COLS || rows < SMALL_ROWS;
}

void screen_draw(const struct screen *s, struct canvas *c)
{
    char sentence[SCREEN_SENTENCE];
    struct parts_box box = {0, 0, c->cols, 0};
    int row;

    canvas_clear(c);
    screen_sentence(s, sentence);
    if (small(c->cols, c->rows)) {
        row = draw_wrapped(c, 0, c->rows - 1, INK_BOLD, sentence);
        parts_bar(c, (struct parts_box){row < c->rows ? row : c->rows - 1, 0, c->cols, 1},
                  &s->view->cpu);
        return;
    }
    draw_header(s, c);
    (void)canvas_text(c, 1, 0, INK_BOLD, "%s", sentence);
    row = 2;
    if (s->view->has_status) {
        parts_bar(c, (struct parts_box){2, 0, c->cols, 1}, &s->view->cpu);
        draw_key(s->view, c, 3);
        draw_day(s->view, c, 4);
        row = draw_fillers(s, c, 5, c->rows / 8);
    }
    box.row = row;
    box.rows = c->rows - row - (s->keys ? 1 : 0);
    if (s->view->has_status || s->page == SCREEN_HELP)
        draw_page(s, c, box);
    if (s->keys)
        (void)canvas_text(c, c->rows - 1, 1, INK_MUTED,
                          "f fillers  n nodes  d decisions  +/- range  p pause  ? help  q quit");
}

bool screen_wants_nodes(const struct screen *s, int cols, int rows)
{
    return !small(cols, rows) &&
           (s->page == SCREEN_NODES ||
            (s->page == SCREEN_MAIN && (cols >= BESIDE_COLS || rows >= BELOW_ROWS)));
}
