/*
 * parts: the pieces of a frame that are pictures: the bar, the chart, the nodes. Each draws into a
 * box of a canvas.
 */
#ifndef BRIM_AGENT_TOP_PARTS_H
#define BRIM_AGENT_TOP_PARTS_H

#include "agent/top/canvas.h"
#include "agent/top/run.h"
#include "agent/top/view.h"

struct parts_box {
    int row, col, cols, rows;
};

/* One line, `|` at both ends; a bar that is fuller than its end goes on beyond the brim, a `|`
 * inside. */
void parts_bar(struct canvas *c, struct parts_box box, const struct top_cpu *cpu);

/* The chart with its axis below; `step` seconds a column, the newest at the right. */
void parts_chart(struct canvas *c, struct parts_box box, const struct run *run, int64_t now_ms,
                 int step);

/* One line a node, least free first, below a line of headings. */
void parts_nodes(struct canvas *c, struct parts_box box, const struct top_view *v);

#endif
