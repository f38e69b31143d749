/*
 * screen: draws what `brim top` knows as one frame. Pure: view, run and time in, canvas out.
 *
 * From 60 x 12 there is a header, the sentence, the bar with its key, the fillers with the sum that
 * makes N, a chart of what top saw, and decisions; from 150 columns nodes stand beside, from 40 lines
 * below the chart. A smaller terminal gets the sentence and the bar.
 */
#ifndef BRIM_AGENT_TOP_SCREEN_H
#define BRIM_AGENT_TOP_SCREEN_H

#include "agent/top/canvas.h"
#include "agent/top/run.h"
#include "agent/top/view.h"

enum screen_page { SCREEN_MAIN, SCREEN_NODES, SCREEN_DECISIONS, SCREEN_HELP, SCREEN_PAGE_COUNT_ };

/* Seconds that a column of the chart may stand for; 0: as many as show the whole run. */
extern const int screen_steps[];
enum { SCREEN_STEPS = 8 };

struct screen {
    const struct top_view *view;
    const struct run *run;  /* NULL: no chart */
    int64_t now_ms;         /* by the reader's clock */
    int64_t answered_ms;    /* when the agent's last status came; 0: never */
    char agent[TOP_TEXT];   /* its address */
    char trouble[TOP_TEXT]; /* why it did not answer the last question; "": it did */
    enum screen_page page;
    int step; /* index into screen_steps */
    bool paused;
    bool keys; /* show which keys there are */
};

void screen_draw(const struct screen *s, struct canvas *c);

/* Does a frame of this size show nodes? Asking for them costs the agent something. */
bool screen_wants_nodes(const struct screen *s, int cols, int rows);

/* The first sentences of any frame, also in plain text. */
enum { SCREEN_SENTENCE = 640 };
void screen_sentence(const struct screen *s, char text[static SCREEN_SENTENCE]);

#endif
