#include "agent/boards.h"

void boards_init(struct boards *b)
{
    nodes_board_init(&b->nodes);
    b->room = board_new(ROOM_VIEW_EVERY_US, ROOM_VIEW_ASKED_US);
    b->pods = board_new(PODS_VIEW_EVERY_US, PODS_VIEW_ASKED_US);
}

void boards_done(struct boards *b)
{
    nodes_board_done(&b->nodes);
    board_free(b->room);
    board_free(b->pods);
}

void boards_on_wait(struct boards *b, void (*ring)(void *self), void *self)
{
    board_on_wait(b->nodes.board, ring, self);
    board_on_wait(b->room, ring, self);
    board_on_wait(b->pods, ring, self);
}

void boards_expire(struct boards *b, struct mono now)
{
    board_expire(b->nodes.board, now);
    board_expire(b->room, now);
    board_expire(b->pods, now);
}

void boards_close(struct boards *b)
{
    board_close(b->nodes.board);
    board_close(b->room);
    board_close(b->pods);
}

void boards_clear(struct boards *b)
{
    board_clear(b->nodes.board);
    board_clear(b->room);
    board_clear(b->pods);
}
