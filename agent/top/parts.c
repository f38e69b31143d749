#include "agent/top/parts.h"

#include <string.h>

#include "agent/top/words.h"

struct band {
    enum mark mark;
    int64_t milli;
};

enum { BANDS = 5 };

static int64_t known(int64_t n)
{
    return n > 0 ? n : 0;
}

/* The columns that `part` of `whole` fills of `n`, to the nearest. */
static int share(int64_t part, int64_t whole, int n)
{
    return whole <= 0 ? 0 : (int)((double)part * n / (double)whole + 0.5);
}

static void draw_bar(struct canvas *c, struct parts_box box, const struct band *bands, int64_t brim)
{
    int64_t sum = 0, upto = 0, whole;
    int width = box.cols - 2, at = 0;

    for (int i = 0; i < BANDS; i++)
        sum += bands[i].milli;
    whole = sum > brim ? sum : brim;
    (void)canvas_text(c, box.row, box.col, INK_TEXT, "|");
    for (int i = 0; i < BANDS; i++) {
        int end;

        upto += bands[i].milli;
        end = share(upto, whole, width);
        if (end == at && bands[i].mark == MARK_WAITING && bands[i].milli > 0 && end < width)
            end++; /* who waits is seen, however few */
        canvas_mark(c, box.row, box.col + 1 + at, end - at, bands[i].mark);
        at = end > at ? end : at;
    }
    if (brim > 0 && whole > brim)
        (void)canvas_text(c, box.row, box.col + 1 + share(brim, whole, width), INK_BOLD, "|");
    (void)canvas_text(c, box.row, box.col + box.cols - 1, INK_TEXT, "|");
}

void parts_bar(struct canvas *c, struct parts_box box, const struct top_cpu *cpu)
{
    const struct band bands[BANDS] = {
        {MARK_PAID, known(cpu->paid)},     {MARK_WAITING, known(cpu->waiting)},
        {MARK_FILLER, known(cpu->filler)}, {MARK_LEAVING, known(cpu->leaving)},
        {MARK_KEPT, run_kept(cpu)},
    };

    draw_bar(c, box, bands, known(cpu->allocatable));
}

enum { LABEL_COLS = 6 }; /* "12345|" */

static enum mark band_at(const struct run_sample *s, double milli)
{
    const struct band bands[BANDS] = {
        {MARK_PAID, s->paid},       {MARK_WAITING, s->waiting}, {MARK_FILLER, s->filler},
        {MARK_LEAVING, s->leaving}, {MARK_KEPT, s->kept},
    };
    double upto = 0;

    for (int i = 0; i < BANDS; i++) {
        upto += (double)bands[i].milli;
        if (milli < upto)
            return bands[i].mark;
    }
    return MARK_IDLE;
}

/* The largest amount in view: what the top of the chart stands for. */
static int64_t highest(const struct run *run, int64_t first, int step, int columns)
{
    int64_t most = 0;

    for (int i = 0; i < columns; i++) {
        const struct run_sample *s = run_at(run, first + (int64_t)i * step, step);

        if (s != NULL && s->allocatable > most)
            most = s->allocatable;
    }
    return most;
}

static void draw_column(struct canvas *c, int row, int col, int rows, const struct run_sample *s,
                        int64_t most)
{
    for (int r = 0; r < rows; r++) {
        double middle = ((double)(rows - r) - 0.5) * (double)most / rows;

        canvas_mark(c, row + r, col, 1, s != NULL ? band_at(s, middle) : MARK_UNKNOWN);
    }
}

static void draw_labels(struct canvas *c, struct parts_box box, int rows, int64_t most)
{
    int every = rows <= 8 ? 2 : rows / 4;

    for (int r = 0; r < rows; r++) {
        char cores[WORDS_CORES];

        words_cores(most * (rows - r) / rows, cores);
        if (r % every == 0 && most > 0)
            canvas_right(c, box.row + r, box.col + LABEL_COLS - 1, INK_MUTED, "%.5s", cores);
        (void)canvas_text(c, box.row + r, box.col + LABEL_COLS - 1, INK_TEXT, "|");
        (void)canvas_text(c, box.row + r, box.col + box.cols - 1, INK_TEXT, "|");
    }
}

static void draw_axis(struct canvas *c, struct parts_box box, int64_t first, int step, int columns)
{
    enum { EVERY = 15 };

    for (int i = 0; i + WORDS_TIME - 3 <= columns; i += EVERY) {
        char time[WORDS_TIME];

        words_time((first + (int64_t)i * step) * 1000, time);
        (void)canvas_text(c, box.row + box.rows - 1, box.col + LABEL_COLS + i, INK_MUTED, "%.*s",
                          step < 60 ? 8 : 5, time);
    }
}

void parts_chart(struct canvas *c, struct parts_box box, const struct run *run, int64_t now_ms,
                 int step)
{
    int columns = box.cols - LABEL_COLS - 1, rows = box.rows - 1;
    int64_t newest = now_ms / 1000 / step * step, first = newest - (int64_t)(columns - 1) * step;
    int64_t most = highest(run, first, step, columns);

    draw_labels(c, box, rows, most);
    for (int i = 0; i < columns; i++) {
        int64_t s = first + (int64_t)i * step;

        if ((s + step) * 1000 > run->started_ms && run->started_ms != 0)
            draw_column(c, box.row, box.col + LABEL_COLS + i, rows, run_at(run, s, step), most);
    }
    draw_axis(c, box, first, step, columns);
}

enum { NODE_NAME_COLS = 14, NODE_FIGURE_COLS = 6, NODE_FIGURES = 4 };

static void draw_node(struct canvas *c, struct parts_box box, const struct top_node *n,
                      int64_t largest)
{
    const struct band bands[BANDS] = {
        {MARK_PAID, known(n->paid)},       {MARK_WAITING, 0}, {MARK_FILLER, known(n->filler)},
        {MARK_LEAVING, known(n->leaving)}, {MARK_KEPT, 0},
    };
    const int64_t figures[NODE_FIGURES] = {n->paid, n->filler, n->leaving, n->free};
    int room = box.cols - NODE_NAME_COLS - NODE_FIGURES * NODE_FIGURE_COLS;
    int width = share(n->allocatable, largest, room - 2) + 2;

    (void)canvas_text(c, box.row, box.col, n->cordoned ? INK_MUTED : INK_TEXT, "%.*s%s",
                      NODE_NAME_COLS - 2, n->name, n->cordoned ? "x" : "");
    if (room >= 10)
        draw_bar(c, (struct parts_box){box.row, box.col + NODE_NAME_COLS, width, 1}, bands,
                 known(n->allocatable));
    for (int i = 0; i < NODE_FIGURES; i++) {
        char cores[WORDS_CORES];

        words_cores(figures[i], cores);
        canvas_right(c, box.row, box.col + box.cols - (NODE_FIGURES - 1 - i) * NODE_FIGURE_COLS,
                     INK_TEXT, "%.5s", cores);
    }
}

void parts_nodes(struct canvas *c, struct parts_box box, const struct top_view *v)
{
    static const char *const headings[NODE_FIGURES] = {"PAID", "FILL", "LEAV", "FREE"};
    size_t lines = box.rows > 1 ? (size_t)box.rows - 1 : 0, shown = v->n_nodes;
    int64_t largest = 0;

    (void)canvas_text(c, box.row, box.col, INK_BOLD, "NODE  (least free first)");
    for (int i = 0; i < NODE_FIGURES; i++)
        canvas_right(c, box.row, box.col + box.cols - (NODE_FIGURES - 1 - i) * NODE_FIGURE_COLS,
                     INK_BOLD, "%s", headings[i]);
    if (!v->has_nodes && lines != 0) {
        (void)canvas_text(c, box.row + 1, box.col, INK_MUTED, "the agent makes the table");
        return;
    }
    if (shown > lines)
        shown = lines != 0 ? lines - 1 : 0;
    for (size_t i = 0; i < v->n_nodes; i++)
        largest = v->node[i].allocatable > largest ? v->node[i].allocatable : largest;
    for (size_t i = 0; i < shown; i++)
        draw_node(c, (struct parts_box){box.row + 1 + (int)i, box.col, box.cols, 1}, &v->node[i],
                  largest);
    if (shown < v->n_nodes && lines != 0) {
        char count[WORDS_COUNT];

        words_count((int64_t)(v->n_nodes - shown), count);
        (void)canvas_text(c, box.row + 1 + (int)shown, box.col, INK_MUTED, "and %s more", count);
    }
}
