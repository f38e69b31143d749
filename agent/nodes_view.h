/*
 * nodes_view: what is on every node at one moment, as an immutable value that the serve thread
 * answers from, and the board where the newest hangs (board.h): a new one at most every
 * NODES_VIEW_EVERY_US, none once nobody has asked for NODES_VIEW_ASKED_US.
 *
 * All cpu in milli. Rows keep their places as long as `gen` is the same.
 */
#ifndef BRIM_AGENT_NODES_VIEW_H
#define BRIM_AGENT_NODES_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/board.h"
#include "base/attr.h"
#include "base/clock.h"

#define NODES_VIEW_EVERY_US (1 * US_PER_S)
#define NODES_VIEW_ASKED_US (10 * US_PER_S)

struct nodes_row {
    char *name; /* owned by the view */
    int64_t allocatable_milli, paid_milli;
    int64_t filler_milli;  /* without what is leaving */
    int64_t leaving_milli; /* terminating filler */
    int64_t claimed_milli; /* placed here for pending paid pods */
    int64_t free_milli;    /* allocatable - paid - filler - leaving, at least 0 */
    int64_t fit;           /* filler pods that fit beside paid pods and claims; 0 unless eligible */
    bool eligible;         /* can take filler */
    bool cordoned, ready;
};

struct nodes_view {
    struct board_value value; /* first */
    struct wall at;
    uint64_t gen;
    bool fit_known; /* the filler's shape is known; else fit and eligible mean nothing */
    size_t len, cap;
    struct nodes_row *rows;
};

/* An empty view with one reference; rows are added before it is shown to anybody. */
struct nodes_view *nodes_view_new(void);
void nodes_view_add(struct nodes_view *v, const struct nodes_row *row); /* copies the name */
/* The same generation as `before` (NULL: none) if the same nodes stand in the same places. */
void nodes_view_set_gen(struct nodes_view *v, const struct nodes_view *before);
void nodes_view_unref(struct nodes_view *v); /* NULL is fine */

struct nodes_board {
    struct board *board;
    uint64_t last_gen; /* of a view that was taken down: its numbers are not used again */
};

void nodes_board_init(struct nodes_board *b);
void nodes_board_done(struct nodes_board *b);

/* For readers: board_ask(). */
struct nodes_view *nodes_board_ask(struct nodes_board *b, struct mono now);

/* For the loop: board_set(), and sets the view's generation. */
void nodes_board_set(struct nodes_board *b, struct nodes_view *v);

#endif
