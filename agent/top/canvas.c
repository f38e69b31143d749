#include "agent/top/canvas.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static const struct {
    char sign;
    const char *block;
    enum ink ink;
} marks[] = {
    [MARK_IDLE] = {' ', " ", INK_TEXT},
    [MARK_PAID] = {'#', "\xe2\x96\x88", INK_PAID}, /* full block */
    [MARK_WAITING] = {'!', "!", INK_WAITING},
    [MARK_FILLER] = {'+', "\xe2\x96\x93", INK_FILLER},   /* dark shade */
    [MARK_LEAVING] = {'/', "\xe2\x95\xb1", INK_LEAVING}, /* diagonal */
    [MARK_KEPT] = {':', "\xe2\x96\x91", INK_KEPT},       /* light shade */
    [MARK_UNKNOWN] = {'?', "?", INK_MUTED},
};
_Static_assert(COUNT_OF(marks) == MARK_COUNT_, "a mark has no sign");

static const char *const inks[] = {
    [INK_TEXT] = "\033[0m",       [INK_BOLD] = "\033[0;1m",     [INK_MUTED] = "\033[0;90m",
    [INK_PAID] = "\033[0;34m",    [INK_WAITING] = "\033[0;31m", [INK_FILLER] = "\033[0;33m",
    [INK_LEAVING] = "\033[0;33m", [INK_KEPT] = "\033[0;36m",
};
_Static_assert(COUNT_OF(inks) == INK_COUNT_, "an ink has no sequence");

static int clamp(int n, int least, int most)
{
    return n < least ? least : n > most ? most : n;
}

void canvas_init(struct canvas *c, int cols, int rows)
{
    *c = (struct canvas){.cols = clamp(cols, 1, CANVAS_MAX_COLS),
                         .rows = clamp(rows, 1, CANVAS_MAX_ROWS)};
    c->at = xcalloc((size_t)c->cols * (size_t)c->rows, sizeof *c->at);
    canvas_clear(c);
}

void canvas_done(struct canvas *c)
{
    free(c->at);
    c->at = NULL;
}

void canvas_resize(struct canvas *c, int cols, int rows)
{
    canvas_done(c);
    canvas_init(c, cols, rows);
}

void canvas_clear(struct canvas *c)
{
    for (size_t i = 0; i < (size_t)c->cols * (size_t)c->rows; i++)
        c->at[i] = (struct canvas_cell){.byte = ' ', .ink = INK_TEXT};
}

static struct canvas_cell *cell(struct canvas *c, int row, int col)
{
    if (row < 0 || row >= c->rows || col < 0 || col >= c->cols)
        return NULL;
    return &c->at[(size_t)row * (size_t)c->cols + (size_t)col];
}

static int put(struct canvas *c, int row, int col, enum ink ink, const char *text)
{
    for (; *text != '\0'; text++, col++) {
        struct canvas_cell *at = cell(c, row, col);

        if (at != NULL)
            *at = (struct canvas_cell){.byte = *text < ' ' || *text > '~' ? '?' : *text,
                                       .ink = (unsigned char)ink};
    }
    return col;
}

int canvas_text(struct canvas *c, int row, int col, enum ink ink, const char *fmt, ...)
{
    char text[CANVAS_MAX_COLS + 1];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return put(c, row, col, ink, text);
}

void canvas_right(struct canvas *c, int row, int end, enum ink ink, const char *fmt, ...)
{
    char text[CANVAS_MAX_COLS + 1];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)put(c, row, end - (int)strlen(text), ink, text);
}

void canvas_mark(struct canvas *c, int row, int col, int n, enum mark mark)
{
    for (int i = 0; i < n; i++) {
        struct canvas_cell *at = cell(c, row, col + i);

        if (at != NULL)
            *at = (struct canvas_cell){.mark = (unsigned char)mark,
                                       .ink = (unsigned char)marks[mark].ink};
    }
}

char canvas_sign(enum mark mark)
{
    return marks[mark].sign;
}

static void write_cell(const struct canvas_cell *at, const struct canvas_style *style, int *ink,
                       struct strbuf *out)
{
    bool blank = at->byte == ' ' || (at->byte == 0 && at->mark == MARK_IDLE);

    if (style->colour && !blank && *ink != at->ink) {
        (void)strbuf_add(out, sv_from(inks[at->ink]));
        *ink = at->ink;
    }
    if (at->byte != 0)
        (void)strbuf_add_char(out, at->byte);
    else if (style->utf8)
        (void)strbuf_add(out, sv_from(marks[at->mark].block));
    else
        (void)strbuf_add_char(out, marks[at->mark].sign);
}

/* Columns up to the last that is not blank. */
static int used(const struct canvas *c, int row)
{
    const struct canvas_cell *line = &c->at[(size_t)row * (size_t)c->cols];
    int n = c->cols;

    while (n > 0 &&
           (line[n - 1].byte == ' ' || (line[n - 1].byte == 0 && line[n - 1].mark == MARK_IDLE)))
        n--;
    return n;
}

void canvas_write(const struct canvas *c, const struct canvas_style *style, struct strbuf *out)
{
    int last = c->rows;

    while (!style->terminal && last > 0 && used(c, last - 1) == 0)
        last--;
    if (style->terminal)
        (void)strbuf_add(out, SV("\033[H"));
    for (int row = 0; row < last; row++) {
        int n = used(c, row), ink = INK_TEXT;

        for (int col = 0; col < n; col++)
            write_cell(&c->at[(size_t)row * (size_t)c->cols + (size_t)col], style, &ink, out);
        if (ink != INK_TEXT)
            (void)strbuf_add(out, sv_from(inks[INK_TEXT]));
        /* A line that is full leaves the cursor on its last column: clearing from there would take
         * that away. */
        if (style->terminal && n < c->cols)
            (void)strbuf_add(out, SV("\033[K"));
        if (!style->terminal)
            (void)strbuf_add_char(out, '\n');
        else if (row + 1 < last)
            (void)strbuf_add(out, SV("\r\n"));
    }
}
