/*
 * boards: all that hangs on a board (board.h), and the boards as one.
 */
#ifndef BRIM_AGENT_BOARDS_H
#define BRIM_AGENT_BOARDS_H

#include "agent/nodes_view.h"
#include "agent/pods_view.h"
#include "agent/room_view.h"

struct boards {
    struct nodes_board nodes; /* struct nodes_view: the table of nodes */
    struct board *room;       /* struct room_view */
    struct board *pods;       /* struct pods_view: names of filler pods */
};

void boards_init(struct boards *b);
/* No reader is left. */
void boards_done(struct boards *b);

/* As of each: board_on_wait(), board_expire(), board_close(), board_clear(). */
void boards_on_wait(struct boards *b, void (*ring)(void *self), void *self);
void boards_expire(struct boards *b, struct mono now);
void boards_close(struct boards *b);
void boards_clear(struct boards *b);

#endif
