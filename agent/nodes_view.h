/*
 * nodes_view: what is on every node at one moment, as an immutable value with a count of references
 * that the serve thread answers from, and the board where the newest hangs.
 *
 * It is as large as the cluster, so the loop makes one only while somebody looks: a reader asks the
 * board (nodes_board_ask), which leaves a mark; the loop, in a turn that it has anyway, makes a new
 * one at most every NODES_VIEW_EVERY_US and none once the mark is older than NODES_VIEW_ASKED_US.
 * All cpu in milli. Rows keep their places as long as `gen` is the same.
 */
#ifndef BRIM_AGENT_NODES_VIEW_H
#define BRIM_AGENT_NODES_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
    atomic_int refs;
    struct wall at;
    struct mono at_mono;
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

struct nodes_board;
struct nodes_board *nodes_board_new(void);
void nodes_board_free(struct nodes_board *b);

/* For readers: marks that somebody looks and returns a new reference to the newest, NULL if there
 * is none yet. */
struct nodes_view *nodes_board_ask(struct nodes_board *b, struct mono now);

/* For the loop: is a new one due? False where nobody has looked of late; what hung there is then
 * taken down. */
bool nodes_board_due(struct nodes_board *b, struct mono now);
/* Puts `v` there, taking over the caller's reference, and sets its generation. */
void nodes_board_set(struct nodes_board *b, struct nodes_view *v);

#endif
