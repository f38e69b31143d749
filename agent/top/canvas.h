/*
 * canvas: a rectangle of characters that a frame is drawn on. Whatever is drawn beyond its edges is
 * cut: a frame is never wider than the terminal nor has it more lines.
 *
 * Colours only repeat what the signs say; they are the terminal's own 16.
 */
#ifndef BRIM_AGENT_TOP_CANVAS_H
#define BRIM_AGENT_TOP_CANVAS_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/strbuf.h"

enum {
    CANVAS_MAX_COLS = 1000,
    CANVAS_MAX_ROWS = 500,
    CANVAS_MAX_BYTES = 8 << 20, /* 500,000 cells, each with a colour of its own */
};

enum ink {
    INK_TEXT,
    INK_BOLD,
    INK_MUTED,
    INK_PAID,
    INK_WAITING,
    INK_FILLER,
    INK_LEAVING,
    INK_KEPT,
    INK_COUNT_
};

/* How cells are filled; the signs of ASCII, or blocks. */
enum mark {
    MARK_IDLE,
    MARK_PAID,
    MARK_WAITING,
    MARK_FILLER,
    MARK_LEAVING,
    MARK_KEPT,
    MARK_UNKNOWN,
    MARK_COUNT_
};

struct canvas_cell {
    char byte; /* ASCII, or 0: `mark` */
    unsigned char mark, ink;
};

struct canvas {
    int cols, rows;
    struct canvas_cell *at;
};

/* Sizes beyond the limits are cut, below 1 raised. */
void canvas_init(struct canvas *c, int cols, int rows);
void canvas_done(struct canvas *c);
/* Another size: empties. */
void canvas_resize(struct canvas *c, int cols, int rows);
void canvas_clear(struct canvas *c);

/* Returns the column behind the text. */
int canvas_text(struct canvas *c, int row, int col, enum ink ink, const char *fmt, ...)
    PRINTF(5, 6);
/* The text ends before column `end`. */
void canvas_right(struct canvas *c, int row, int end, enum ink ink, const char *fmt, ...)
    PRINTF(5, 6);
void canvas_mark(struct canvas *c, int row, int col, int n, enum mark mark);

char canvas_sign(enum mark mark);

/* How a canvas becomes bytes. */
struct canvas_style {
    bool colour;
    bool utf8;
    bool terminal; /* with the sequences that put it in place; else lines without trailing blanks */
};

void canvas_write(const struct canvas *c, const struct canvas_style *style, struct strbuf *out);

#endif
